//! Moments in microseconds since 1970-01-01 UTC, and the civil calendar (proleptic Gregorian, no leap seconds).

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeUs(pub i64);

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in an hour.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;

/// The first moment a record may carry: 2015-07-30, when Ethereum began. Anything earlier is a misread unit.
pub const EARLIEST: TimeUs = TimeUs(1_438_214_400 * SECOND_US);
/// The first moment a record may no longer carry: 2100-01-01.
pub const LATEST: TimeUs = TimeUs(4_102_444_800 * SECOND_US);

/// A day of the civil calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// Year, as written.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
}

impl TimeUs {
    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn second(self) -> i64 {
        self.0.div_euclid(SECOND_US)
    }

    /// Whole days since 1970, rounded down.
    #[must_use]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(DAY_US)
    }

    /// The moment a day begins.
    #[must_use]
    pub const fn from_day(day: i64) -> Self {
        Self(day.saturating_mul(DAY_US))
    }

    /// The moment, if it lies in the years records may carry ([`EARLIEST`] to [`LATEST`]).
    #[must_use]
    pub fn plausible(self) -> Option<Self> {
        (EARLIEST <= self && self < LATEST).then_some(self)
    }
}

impl std::fmt::Display for TimeUs {
    /// ISO 8601 in UTC to the second, such as `2021-05-19T13:00:00Z`; a fraction is written only where there is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Civil { year, month, day } = civil_from_day(self.day());
        let rest = self.0.rem_euclid(DAY_US);
        let (hour, minute, second) = (rest / HOUR_US, rest / (60 * SECOND_US) % 60, rest / SECOND_US % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let micros = rest % SECOND_US;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        f.write_str("Z")
    }
}

/// The civil date of a day counted from 1970-01-01.
///
/// Source: H. Hinnant, *chrono-Compatible Low-Level Date Algorithms*, `civil_from_days`: the year is taken to begin in
/// March, so that the leap day is its last; an era is 400 years, 146,097 days.
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "a day fits 64 bits with ample room: it is microseconds / 8.64e10")]
pub fn civil_from_day(day: i64) -> Civil {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month: small(month), day: small(day_of_month) }
}

/// The day, counted from 1970-01-01, of a civil date; the inverse of [`civil_from_day`].
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "years are bounded by the calendar's own range of four digits")]
pub fn day_from_civil(date: Civil) -> i64 {
    let month = i64::from(date.month);
    let year = date.year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * march_month + 2) / 5 + i64::from(date.day) - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn small(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_calendar_is_the_one_everybody_uses(second in -62_135_596_800_i64..253_402_300_799) {
            let zoned = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let time = TimeUs(second * SECOND_US);
            let civil = civil_from_day(time.day());
            prop_assert_eq!((civil.year, civil.month, civil.day),
                (i64::from(zoned.year()), zoned.month().cast_unsigned(), zoned.day().cast_unsigned()));
            prop_assert_eq!(day_from_civil(civil), time.day());
            prop_assert_eq!(time.to_string(), zoned.timestamp().to_string());
        }
    }
}
