//! How recaptured value is split between protocol and network, to the unit, and what is due each week.

use protocol::U256;
use protocol::time::{DAY_US, TimeUs};

/// Basis points in a whole.
pub const WHOLE_BPS: u16 = 10_000;

/// A split in basis points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Split {
    network_bps: u16,
}

/// The two parts of a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts {
    /// The protocol's, with what division leaves over.
    pub protocol: u128,
    /// The network's, rounded down.
    pub network: u128,
}

impl Split {
    /// 65 % to the protocol, 35 % to the network: Aave's.
    pub const AAVE: Self = Self { network_bps: 3_500 };
    /// 55 % to the protocol, 45 % to the network: Compound's.
    pub const COMPOUND: Self = Self { network_bps: 4_500 };
    /// 60 % to the protocol, 40 % to the network: what was first offered to everybody.
    pub const STANDARD: Self = Self { network_bps: 4_000 };

    /// The split that gives this much to the protocol; none above the whole.
    #[must_use]
    pub fn to_protocol(protocol_bps: u16) -> Option<Self> {
        WHOLE_BPS.checked_sub(protocol_bps).map(|network_bps| Self { network_bps })
    }

    /// The protocol's part in basis points.
    #[must_use]
    pub fn protocol_bps(self) -> u16 {
        WHOLE_BPS.saturating_sub(self.network_bps)
    }

    /// Splits: `network = floor(whole * network_bps / 10^4)`, `protocol = whole - network`, so that both always add up to the
    /// whole, and the protocol owns what division leaves over (it is the ceiling of its part).
    ///
    /// The split of a sum is not the sum of splits: each split may move up to one unit to the protocol. Here each payment is
    /// split by itself, because payments are what moves; whoever splits a week's sum instead differs by less than one unit per payment.
    #[must_use]
    pub fn of(self, whole: u128) -> Parts {
        let network = mul_div(whole, self.network_bps.into(), WHOLE_BPS.into());
        Parts { protocol: whole.saturating_sub(network), network }
    }
}

/// `floor(a * b / c)` without loss in between, for `b <= c` and `c > 0`, which keeps it at or below `a`.
pub(super) fn mul_div(a: u128, b: u128, c: u128) -> u128 {
    assert!(b <= c && c > 0, "a part is no more than its whole");
    // 2^128 * 2^128 = 2^256: the product of two values below 2^128 cannot wrap.
    let quotient = U256::from(a).saturating_mul(U256::from(b)).checked_div(U256::from(c)).unwrap_or_default();
    u128::try_from(quotient).unwrap_or(a)
}

/// Shares a whole by weights, exactly: each part is `floor(whole * weight / sum)`, and what is left over goes to the largest weight, of
/// equal ones to the first. Without any weight above zero, all count the same. No parts where there is nobody.
#[must_use]
pub fn share(whole: u128, weights: &[u128]) -> Vec<u128> {
    let sum = weights.iter().fold(0_u128, |sum, weight| sum.saturating_add(*weight));
    // A sum that leaves 128 bits, or none at all, gives no proportions to go by.
    let is_even = sum == 0 || weights.iter().try_fold(0_u128, |sum, weight| sum.checked_add(*weight)).is_none();
    let count = u128::try_from(weights.len()).unwrap_or(u128::MAX);
    let part = |weight: &u128| if is_even { mul_div(whole, 1, count) } else { mul_div(whole, *weight, sum) };
    let mut parts: Vec<u128> = weights.iter().map(part).collect();
    let given = parts.iter().fold(0_u128, |sum, part| sum.saturating_add(*part));
    let owner = (0..weights.len()).reduce(|best, at| if !is_even && weights[at] > weights[best] { at } else { best });
    if let Some(owner) = owner {
        parts[owner] = parts[owner].saturating_add(whole.saturating_sub(given));
    }
    parts
}

/// Splits over time: each holds from its second on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    first: Split,
    changes: Vec<(u64, Split)>,
}

impl Schedule {
    /// One split for all times.
    #[must_use]
    pub const fn constant(split: Split) -> Self {
        Self { first: split, changes: Vec::new() }
    }

    /// The same with another split from a second since 1970 on; none where that does not come after the last change.
    #[must_use]
    pub fn then(mut self, from: u64, split: Split) -> Option<Self> {
        if self.changes.last().is_some_and(|(last, _)| from <= *last) {
            return None;
        }
        self.changes.push((from, split));
        Some(self)
    }

    /// The split that holds at a second since 1970.
    #[must_use]
    pub fn at(&self, time: u64) -> Split {
        let after = self.changes.partition_point(|(from, _)| *from <= time);
        after.checked_sub(1).map_or(self.first, |at| self.changes[at].1)
    }
}

/// When what accrued is handed on: once a week.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekly {
    /// The day, 0 for Monday to 6 for Sunday.
    pub weekday: u8,
    /// The second of that day in UTC.
    pub second: u32,
}

impl Weekly {
    /// Tuesdays, from their beginning: when the safe that collects for Aave hands on.
    pub const TUESDAYS: Self = Self { weekday: 1, second: 0 };

    /// The second since 1970 in which the week of a moment began: the last hand-over at or before it.
    #[must_use]
    pub fn week_of(self, time: u64) -> i64 {
        const WEEK: i64 = 7 * 86_400;
        // 1970-01-01 was a Thursday, day 3 from Monday.
        let anchor = (i64::from(self.weekday) - 3) * 86_400 + i64::from(self.second);
        let time = i64::try_from(time).unwrap_or(i64::MAX);
        time.saturating_sub((time.saturating_sub(anchor)).rem_euclid(WEEK))
    }

    /// The day on which a week begins, for people.
    #[must_use]
    pub fn day(week: i64) -> TimeUs {
        TimeUs::from_day(week.saturating_mul(1_000_000).div_euclid(DAY_US))
    }
}

/// What came in during a week, and what is due at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accrued {
    /// Payments.
    pub payments: u64,
    /// What they brought, in the smallest unit.
    pub recaptured: u128,
    /// What is due: each payment split by itself, added up.
    pub parts: Parts,
    /// What was handed to the protocol in the week after, in the smallest unit.
    pub transferred: u128,
    /// How many transfers that was.
    pub transfers: u64,
}

impl Accrued {
    /// What was handed on beyond what was due; none where it does not fit.
    #[must_use]
    pub fn surplus(&self) -> Option<i128> {
        let transferred = i128::try_from(self.transferred).ok()?;
        transferred.checked_sub(i128::try_from(self.parts.protocol).ok()?)
    }

    /// Whether what was handed on is what was due, up to the unit per payment that splitting the week's sum may move.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.parts.protocol.abs_diff(self.transferred) <= u128::from(self.payments.saturating_sub(1))
    }
}

/// What accrued, week by week, against what was handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accruals {
    weekly: Weekly,
    schedule: Schedule,
    weeks: std::collections::BTreeMap<i64, Accrued>,
}

impl Accruals {
    /// Nothing accrued yet.
    #[must_use]
    pub const fn new(weekly: Weekly, schedule: Schedule) -> Self {
        Self { weekly, schedule, weeks: std::collections::BTreeMap::new() }
    }

    /// Adds a payment to the safe.
    ///
    /// # Errors
    /// A week's sum leaves 128 bits; nothing is added then.
    pub fn pay(&mut self, time: u64, wei: u128) -> Result<(), TooLarge> {
        let parts = self.schedule.at(time).of(wei);
        let week = self.weeks.entry(self.weekly.week_of(time)).or_default();
        let sum = |a: u128, b: u128| a.checked_add(b).ok_or(TooLarge);
        // The parts are below the whole, so if that fits, they do.
        week.recaptured = sum(week.recaptured, wei)?;
        week.parts.protocol = sum(week.parts.protocol, parts.protocol)?;
        week.parts.network = sum(week.parts.network, parts.network)?;
        week.payments = week.payments.saturating_add(1);
        Ok(())
    }

    /// Adds a transfer from the safe to the protocol: it settles the week that ended last before it.
    ///
    /// # Errors
    /// A week's sum leaves 128 bits.
    pub fn transfer(&mut self, time: u64, wei: u128) -> Result<(), TooLarge> {
        let settled = self.weekly.week_of(time).saturating_sub(7 * 86_400);
        let week = self.weeks.entry(settled).or_default();
        week.transferred = week.transferred.checked_add(wei).ok_or(TooLarge)?;
        week.transfers = week.transfers.saturating_add(1);
        Ok(())
    }

    /// The weeks by the second since 1970 in which each began.
    #[must_use]
    pub const fn weeks(&self) -> &std::collections::BTreeMap<i64, Accrued> {
        &self.weeks
    }
}

/// A sum left its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_division_leaves_over_is_the_protocols() {
        for (split, whole, protocol, network) in [
            (Split::AAVE, 100, 65, 35),
            (Split::AAVE, 1, 1, 0),
            (Split::AAVE, 3, 2, 1),
            (Split::STANDARD, 4, 3, 1),
            // Published in whole dollars for Compound: 1,930,712 = 1,061,892 + 868,820.
            (Split::COMPOUND, 1_930_712, 1_061_892, 868_820),
            (
                Split::AAVE,
                u128::MAX,
                u128::MAX - 119_098_828_422_328_462_212_181_112_601_118_874_009,
                119_098_828_422_328_462_212_181_112_601_118_874_009,
            ),
            (Split::AAVE, 0, 0, 0),
        ] {
            assert_eq!(split.of(whole), Parts { protocol, network }, "{split:?} of {whole}");
        }
        assert_eq!(Split::to_protocol(6_500), Some(Split::AAVE));
        assert_eq!((Split::AAVE.protocol_bps(), Split::to_protocol(10_001)), (6_500, None));
        assert_eq!(Split::to_protocol(10_000).unwrap().of(7), Parts { protocol: 7, network: 0 });
    }

    #[test]
    fn a_schedule_changes_in_the_second_it_says() {
        let schedule =
            Schedule::constant(Split::STANDARD).then(100, Split::AAVE).unwrap().then(200, Split::COMPOUND).unwrap();
        let at = [0, 99, 100, 199, 200, u64::MAX].map(|time| schedule.at(time));
        assert_eq!(at, [Split::STANDARD, Split::STANDARD, Split::AAVE, Split::AAVE, Split::COMPOUND, Split::COMPOUND]);
        assert_eq!(schedule.then(200, Split::AAVE), None);
    }

    #[test]
    fn weeks_begin_on_their_day() {
        let day = |text: &str| {
            let part = |from, to| text[from..to].parse::<u8>().unwrap();
            let civil = protocol::time::Civil { year: text[..4].parse().unwrap(), month: part(5, 7), day: part(8, 10) };
            u64::try_from(protocol::time::day_from_civil(civil) * 86_400).unwrap()
        };
        // 2025-04-08, the first hand-over, was a Tuesday.
        let tuesday = i64::try_from(day("2025-04-08")).unwrap();
        assert_eq!(Weekly::TUESDAYS.week_of(day("2025-04-08")), tuesday);
        assert_eq!(Weekly::TUESDAYS.week_of(day("2025-04-14") + 86_399), tuesday);
        assert_eq!(Weekly::TUESDAYS.week_of(day("2025-04-15")), tuesday + 604_800);
        let afternoon = Weekly { weekday: 1, second: 50_000 };
        assert_eq!(afternoon.week_of(day("2025-04-15") + 49_999), tuesday + 50_000);
        assert_eq!(Weekly::day(tuesday).to_string(), "2025-04-08T00:00:00Z");
    }

    #[test]
    fn what_accrued_is_held_against_what_was_handed_on() {
        let week = u64::try_from(Weekly::TUESDAYS.week_of(1_750_000_000)).unwrap();
        let mut accruals = Accruals::new(Weekly::TUESDAYS, Schedule::constant(Split::AAVE));
        for wei in [3, 3, 3] {
            accruals.pay(week + 5, wei).unwrap();
        }
        // Split one by one, 2 of each 3 are due; of the sum of 9, 6 (5.85 rounded up) are.
        accruals.transfer(week + 604_800 + 3_600, 6).unwrap();
        let accrued = accruals.weeks()[&i64::try_from(week).unwrap()];
        assert_eq!((accrued.parts, accrued.payments), (Parts { protocol: 6, network: 3 }, 3));
        assert_eq!((accrued.surplus(), accrued.agrees()), (Some(0), true));
        accruals.transfer(week + 604_800 + 7_200, 3).unwrap();
        let accrued = accruals.weeks()[&i64::try_from(week).unwrap()];
        assert_eq!((accrued.surplus(), accrued.agrees(), accrued.transfers), (Some(3), false, 2));
        assert_eq!(accruals.pay(week, u128::MAX), Err(TooLarge));
    }

    fn splits() -> impl Strategy<Value = Split> {
        (0_u16..=WHOLE_BPS).prop_map(|bps| Split::to_protocol(bps).unwrap())
    }

    proptest! {
        #[test]
        fn parts_add_up_and_neither_shrinks_as_the_whole_grows(split in splits(), whole: u128, more in 0_u128..1_000_000) {
            let parts = split.of(whole);
            prop_assert_eq!(parts.protocol.checked_add(parts.network), Some(whole));
            let wide = U256::from(whole) * U256::from(split.protocol_bps());
            prop_assert_eq!(U256::from(parts.protocol), wide.div_ceil(U256::from(WHOLE_BPS)));
            let grown = split.of(whole.saturating_add(more));
            prop_assert!(grown.protocol >= parts.protocol && grown.network >= parts.network);
        }

        #[test]
        fn splits_of_payments_differ_from_the_split_of_their_sum_by_less_than_a_unit_each(
            split in splits(), payments in prop::collection::vec(0_u128..1 << 100, 1..20)
        ) {
            let due: u128 = payments.iter().map(|wei| split.of(*wei).protocol).sum();
            let of_sum = split.of(payments.iter().sum()).protocol;
            prop_assert!(due >= of_sum && due - of_sum < payments.len() as u128);
        }

        #[test]
        fn shares_add_up_and_follow_their_weights(whole: u128, weights in prop::collection::vec(0_u128..1 << 90, 1..12)) {
            let parts = share(whole, &weights);
            prop_assert_eq!(parts.iter().try_fold(0_u128, |sum, part| sum.checked_add(*part)), Some(whole));
            for (a, b) in weights.iter().zip(&parts).zip(weights.iter().zip(&parts).skip(1)) {
                let ((weight, part), (other_weight, other_part)) = (a, b);
                if weight > other_weight {
                    prop_assert!(part >= other_part);
                }
            }
            for (weight, part) in weights.iter().zip(&parts) {
                prop_assert!(*weight > 0 || *part == 0 || weights.iter().all(|weight| *weight == 0));
            }
        }

        #[test]
        fn what_is_left_over_goes_to_the_largest_weight(whole in 0_u128..1 << 100, weights in prop::collection::vec(1_u128..1 << 90, 2..9)) {
            let parts = share(whole, &weights);
            let sum: u128 = weights.iter().sum();
            let largest = (0..weights.len()).rev().max_by_key(|at| weights[*at]).unwrap();
            for at in 0..weights.len() {
                let floor = mul_div(whole, weights[at], sum);
                prop_assert!(if at == largest { parts[at] >= floor } else { parts[at] == floor }, "{}", at);
            }
        }
    }

    #[test]
    fn shares_without_proportions_are_even() {
        assert_eq!(share(7, &[0, 0, 0]), [3, 2, 2]);
        assert_eq!(share(7, &[u128::MAX, 1]), [4, 3]);
        assert_eq!(share(7, &[]), [0_u128; 0]);
        assert_eq!(share(10, &[1, 1, 1]), [4, 3, 3]);
        assert_eq!(share(10, &[1, 2, 1]), [2, 6, 2]);
    }
}
