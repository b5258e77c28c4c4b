//! How files write moments: epochs in four units, and ISO 8601 with and without a zone.

use protocol::time::{SECOND_US, TimeUs};

/// A form in which a moment was written. The unit of an epoch is told by its magnitude: from 2015 to 2100 the four units
/// do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Seconds since 1970.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
    /// Microseconds since 1970.
    EpochMicroseconds,
    /// Nanoseconds since 1970, cut to microseconds.
    EpochNanoseconds,
    /// A date and time with an offset or `Z` or `UTC`.
    Zoned,
    /// A date and time that names no zone; read as UTC.
    Naive,
    /// A date alone; read as midnight UTC.
    DateOnly,
}

impl Form {
    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::EpochSeconds => "epoch seconds",
            Self::EpochMilliseconds => "epoch milliseconds",
            Self::EpochMicroseconds => "epoch microseconds",
            Self::EpochNanoseconds => "epoch nanoseconds",
            Self::Zoned => "date and time with zone",
            Self::Naive => "date and time without zone, read as UTC",
            Self::DateOnly => "date alone, read as midnight UTC",
        }
    }
}

/// Reads an epoch of any of the four units.
#[must_use]
pub(crate) fn from_epoch(value: i128) -> Option<(TimeUs, Form)> {
    let second = i128::from(SECOND_US);
    let candidates = [
        (value.checked_mul(second)?, Form::EpochSeconds),
        (value.checked_mul(1_000)?, Form::EpochMilliseconds),
        (value, Form::EpochMicroseconds),
        (value.div_euclid(1_000), Form::EpochNanoseconds),
    ];
    candidates.into_iter().find_map(|(micros, form)| Some((TimeUs(i64::try_from(micros).ok()?).plausible()?, form)))
}

/// Reads an epoch or an ISO 8601 moment.
#[must_use]
pub(crate) fn from_text(text: &str) -> Option<(TimeUs, Form)> {
    let text = text.trim();
    if let Ok(epoch) = without_zero_fraction(text).parse::<i128>() {
        return from_epoch(epoch);
    }
    // A zone by name would be ignored by a reader of civil time, and the moment be hours off.
    if text.contains('[') {
        return None;
    }
    // SQL dashboards write `2021-05-19 13:00:00.000 UTC`, databases `2021-05-19 13:00:00+00`.
    let without_utc =
        text.strip_suffix("UTC").or_else(|| text.strip_suffix("utc")).map(|rest| format!("{}Z", rest.trim_end()));
    let zoned = without_utc.as_deref().unwrap_or(text);
    let (time, form) = if let Ok(moment) = zoned.parse::<jiff::Timestamp>() {
        (moment.as_microsecond(), Form::Zoned)
    } else {
        let form = if text.len() > "2021-05-19".len() { Form::Naive } else { Form::DateOnly };
        let civil = if form == Form::DateOnly {
            text.parse::<jiff::civil::Date>().ok()?.at(0, 0, 0, 0)
        } else {
            text.parse::<jiff::civil::DateTime>().ok()?
        };
        (jiff::tz::Offset::UTC.to_timestamp(civil).ok()?.as_microsecond(), form)
    };
    Some((TimeUs(time).plausible()?, form))
}

/// A whole number that was printed from a float: `1621429200.0` without the fraction.
#[must_use]
pub(super) fn without_zero_fraction(text: &str) -> &str {
    text.strip_suffix(".0").unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_form_of_one_moment_is_that_moment() {
        let moment = TimeUs(1_621_429_200_000_000);
        for (text, form) in [
            ("1621429200", Form::EpochSeconds),
            ("1621429200.0", Form::EpochSeconds),
            ("1621429200000", Form::EpochMilliseconds),
            ("1621429200000000", Form::EpochMicroseconds),
            ("1621429200000000000", Form::EpochNanoseconds),
            ("2021-05-19T13:00:00Z", Form::Zoned),
            ("2021-05-19 13:00:00.000 UTC", Form::Zoned),
            ("2021-05-19 13:00:00+00", Form::Zoned),
            ("2021-05-19 15:00:00+02:00", Form::Zoned),
            ("2021-05-19T08:00:00-05:00", Form::Zoned),
            ("2021-05-19 13:00:00", Form::Naive),
            (" 2021-05-19T13:00 ", Form::Naive),
        ] {
            assert_eq!(from_text(text), Some((moment, form)), "{text}");
        }
        assert_eq!(from_text("2021-05-19"), Some((TimeUs(1_621_382_400_000_000), Form::DateOnly)));
    }

    #[test]
    fn what_is_no_moment_or_no_plausible_one_is_refused() {
        for text in [
            "",
            "yesterday",
            "05/19/2021",
            "2021-13-01",
            "2021-05-19 13:00:00[America/New_York]",
            "2021-05-19T25:00:00Z",
            "0",
            "-1",
            "20210519",
            "1.6e9",
            "1970-01-01",
            "2300-01-01T00:00:00Z",
            "99999999999999999999999999999999999999999",
        ] {
            assert_eq!(from_text(text), None, "{text}");
        }
    }
}
