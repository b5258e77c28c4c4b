//! What would have been recaptured of past liquidations, and what waiting for the cutoff could have cost: estimates, whose assumptions
//! and bands travel with them.
//!
//! `recaptured = bonus * coverage * competition * (1 - lost)`, each with a low, a middle and a high value; the band takes all low and all
//! high at once, so that it is wider than any one of them. The bonus is what was seized beyond what was repaid where both are known and
//! agree, and an assumed share of the debt elsewhere.
//!
//! Waiting: while the cutoff runs, the price of the collateral falls by `min(1, k * sqrt(cutoff / 3600)) * (high - low) / high` of its hour, of the worse where it touches two:
//! the range of an hour scaled by the root of time, as that of a random walk is, with k = 1/2, 1 and 4 (with 4 the whole range of
//! the hour falls into 225 seconds). Every position was at a health factor of one when its price came, owed one asset of steady price and
//! held one that moves. What is left of the debt once all collateral is seized with its bonus is the deficit:
//! `debt - debt / threshold * (1 - fall) / (1 + bonus)`.

#![expect(
    clippy::float_arithmetic,
    reason = "the cost of waiting is an estimate; what is recaptured is worked out in integers"
)]

use std::collections::BTreeMap;

use protocol::U256;
use protocol::amount::Usd8;

use super::split::{Parts, Split, TooLarge};
use crate::liquidations::group::is_plausible_bonus;

/// Parts in a whole of what is given in parts per million.
pub const WHOLE_PPM: u32 = 1_000_000;

/// A figure between a low and a high one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Band<T> {
    /// What leads to the least.
    pub low: T,
    /// What is most likely.
    pub mid: T,
    /// What leads to the most.
    pub high: T,
}

impl<T: Copy> Band<T> {
    /// The same from all three places.
    pub const fn all(value: T) -> Self {
        Self { low: value, mid: value, high: value }
    }

    /// Low, middle, high.
    pub const fn list(self) -> [T; 3] {
        [self.low, self.mid, self.high]
    }
}

/// What is assumed, in parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumptions {
    /// For how much of the bonuses an auction is held.
    pub coverage: Band<u32>,
    /// How much of those the winners hand on.
    pub competition: Band<u32>,
    /// How much of the bonuses waiting loses; low is the most.
    pub lost: Band<u32>,
    /// The bonus in parts of the debt, where only one side is known.
    pub bonus: Band<u32>,
    /// How protocol and network split it.
    pub split: Split,
}

/// A past liquidation, as far as its source knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Past {
    /// What was repaid.
    pub debt: Option<Usd8>,
    /// What was seized.
    pub collateral: Option<Usd8>,
}

/// On what a bonus rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Both sides are known and agree.
    Both,
    /// Both are known and contradict each other; the debt and the assumed bonus count.
    Implausible,
    /// The debt alone is known.
    Debt,
    /// The collateral alone is known.
    Collateral,
    /// Neither is.
    Nothing,
}

impl Basis {
    /// Every basis.
    pub const ALL: [Self; 5] = [Self::Both, Self::Implausible, Self::Debt, Self::Collateral, Self::Nothing];

    /// In words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Both => "both sides known",
            Self::Implausible => "both sides known, their prices contradict: bonus assumed of the debt",
            Self::Debt => "debt alone known: bonus assumed of it",
            Self::Collateral => "collateral alone known: bonus assumed to be in it",
            Self::Nothing => "no price: left out",
        }
    }
}

/// Sums over past liquidations. Dollars have eight decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Liquidations by what their bonus rests on, in the order of [`Basis::ALL`].
    pub counts: [u64; Basis::ALL.len()],
    /// What was seized; where it is not known, the debt and the middle bonus on it.
    pub volume: u128,
    /// Bonuses.
    pub bonus: Band<u128>,
    /// Of these what rests on both sides.
    pub bonus_known: u128,
}

impl Past {
    /// What the bonus was and on what that rests; and what was seized.
    #[must_use]
    pub fn bonus(self, assumed: Band<u32>) -> (Basis, Band<u128>, u128) {
        let amount = |usd: Option<Usd8>| usd.and_then(|usd| u128::try_from(usd.0).ok());
        // Of the debt: debt * b. In the collateral: collateral * b / (1 + b), as collateral = debt * (1 + b). Both rounded down.
        let of_debt = |debt: u128| assumed.map(|ppm| part(debt, ppm, WHOLE_PPM));
        let in_collateral = |seized: u128| assumed.map(|ppm| part(seized, ppm, WHOLE_PPM.saturating_add(ppm)));
        match (amount(self.debt), amount(self.collateral)) {
            (Some(debt), Some(seized)) => {
                let signed = |units: u128| i128::try_from(units).unwrap_or(i128::MAX);
                let bonus = signed(seized).saturating_sub(signed(debt));
                if is_plausible_bonus(bonus, signed(debt)) {
                    (Basis::Both, Band::all(seized.saturating_sub(debt)), seized)
                } else {
                    let bonus = of_debt(debt);
                    (Basis::Implausible, bonus, debt.saturating_add(bonus.mid))
                }
            }
            (Some(debt), None) => {
                let bonus = of_debt(debt);
                (Basis::Debt, bonus, debt.saturating_add(bonus.mid))
            }
            (None, Some(seized)) => (Basis::Collateral, in_collateral(seized), seized),
            (None, None) => (Basis::Nothing, Band::default(), 0),
        }
    }
}

impl<T: Copy> Band<T> {
    fn map<U>(self, f: impl Fn(T) -> U) -> Band<U> {
        Band { low: f(self.low), mid: f(self.mid), high: f(self.high) }
    }
}

/// `floor(whole * parts / of)` for `parts <= of`.
fn part(whole: u128, parts: u32, of: u32) -> u128 {
    super::split::mul_div(whole, parts.into(), of.into())
}

impl Sums {
    /// Adds a liquidation.
    ///
    /// # Errors
    /// A sum leaves 128 bits.
    pub fn add(&mut self, past: Past, assumptions: &Assumptions) -> Result<(), TooLarge> {
        let (basis, bonus, volume) = past.bonus(assumptions.bonus);
        self.counts[basis as usize] += 1;
        let known = if basis == Basis::Both { bonus.mid } else { 0 };
        for (sum, term) in [
            (&mut self.volume, volume),
            (&mut self.bonus.low, bonus.low),
            (&mut self.bonus.mid, bonus.mid),
            (&mut self.bonus.high, bonus.high),
            (&mut self.bonus_known, known),
        ] {
            *sum = sum.checked_add(term).ok_or(TooLarge)?;
        }
        Ok(())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What would have been recaptured: `floor(bonus * coverage * competition * (1 - lost) / 10^18)`.
    #[must_use]
    pub fn recaptured(&self, assumptions: &Assumptions) -> Band<u128> {
        let of = |bonus: u128, coverage: u32, competition: u32, lost: u32| {
            let kept = WHOLE_PPM.saturating_sub(lost);
            // 2^128 * (2^20)^3 < 2^256.
            let product = [coverage, competition, kept]
                .into_iter()
                .fold(U256::from(bonus), |product, ppm| product.saturating_mul(U256::from(ppm)));
            let whole = U256::from(WHOLE_PPM).saturating_pow(U256::from(3));
            u128::try_from(product.checked_div(whole).unwrap_or_default()).unwrap_or(u128::MAX)
        };
        let Assumptions { coverage, competition, lost, .. } = assumptions;
        Band {
            low: of(self.bonus.low, coverage.low, competition.low, lost.low),
            mid: of(self.bonus.mid, coverage.mid, competition.mid, lost.mid),
            high: of(self.bonus.high, coverage.high, competition.high, lost.high),
        }
    }

    /// The same, split.
    #[must_use]
    pub fn parts(&self, assumptions: &Assumptions) -> Band<Parts> {
        self.recaptured(assumptions).map(|whole| assumptions.split.of(whole))
    }
}

/// How fast an hour's range is run through: the factors on the root of time.
pub const HASTE: Band<f64> = Band { low: 0.5, mid: 1.0, high: 4.0 };

/// The highest and the lowest price of hours, by when each begins in seconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct Hours(BTreeMap<i64, (f64, f64)>);

impl Hours {
    /// Adds an hour; not one whose prices are no prices. Returns whether it was added.
    pub fn add(&mut self, start: i64, high: f64, low: f64) -> bool {
        let is_one = high.is_finite() && low > 0.0 && low <= high && start.rem_euclid(3_600) == 0;
        if is_one {
            self.0.insert(start, (high, low));
        }
        is_one
    }

    /// By what share of its price the collateral falls while a cutoff runs from a second on: in the worse of the hours that it touches;
    /// none where one of these is not held.
    #[must_use]
    pub fn fall(&self, second: i64, cutoff_seconds: u32, haste: f64) -> Option<f64> {
        let hour = |second: i64| second.div_euclid(3_600).saturating_mul(3_600);
        let (first, last) = (hour(second), hour(second.saturating_add(cutoff_seconds.into())));
        let reach = (haste * (f64::from(cutoff_seconds) / 3_600.0).sqrt()).min(1.0);
        let mut worst = 0.0_f64;
        for start in (first..=last).step_by(3_600) {
            let (high, low) = self.0.get(&start)?;
            worst = worst.max(reach * (high - low) / high);
        }
        Some(worst)
    }
}

/// What is owed and not covered once all collateral is seized with its bonus, as a share of the debt, after the collateral of a position
/// at a health factor of one has fallen by a share of its price.
#[must_use]
pub fn deficit(threshold: f64, bonus: f64, fall: f64) -> f64 {
    (1.0 - (1.0 - fall) / threshold / (1.0 + bonus)).max(0.0)
}

/// What waiting for one cutoff could have cost.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Waiting {
    /// Liquidations that were looked at.
    pub count: u64,
    /// Those that a cutoff begins or ends in an hour without prices for.
    pub without_prices: u64,
    /// The debt of those looked at in US dollars.
    pub debt: f64,
    /// The furthest that a price fell while the cutoff ran, as a share.
    pub worst_fall: Band<f64>,
    /// The average fall, weighted by debt, times debt: divide by it.
    pub fall_debt: Band<f64>,
    /// Debt that would not have been covered, in US dollars.
    pub deficit: Band<f64>,
}

impl Waiting {
    /// Adds a liquidation of so much debt in a second since 1970. Added in the same order, sums are the same to the bit.
    pub fn add(
        &mut self,
        hours: &Hours,
        (second, debt): (i64, f64),
        cutoff_seconds: u32,
        (threshold, bonus): (f64, f64),
    ) {
        let falls = HASTE.map(|haste| hours.fall(second, cutoff_seconds, haste));
        let Band { low: Some(low), mid: Some(mid), high: Some(high) } = falls else {
            self.without_prices += 1;
            return;
        };
        self.count += 1;
        self.debt += debt;
        for (fall, worst, sum, missing) in [
            (low, &mut self.worst_fall.low, &mut self.fall_debt.low, &mut self.deficit.low),
            (mid, &mut self.worst_fall.mid, &mut self.fall_debt.mid, &mut self.deficit.mid),
            (high, &mut self.worst_fall.high, &mut self.fall_debt.high, &mut self.deficit.high),
        ] {
            *worst = worst.max(fall);
            *sum += fall * debt;
            *missing += debt * deficit(threshold, bonus, fall);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASSUMED: Assumptions = Assumptions {
        coverage: Band { low: 420_000, mid: 700_000, high: 950_000 },
        competition: Band { low: 370_000, mid: 680_000, high: 900_000 },
        lost: Band { low: 20_000, mid: 5_000, high: 0 },
        bonus: Band { low: 50_000, mid: 62_500, high: 100_000 },
        split: Split::AAVE,
    };

    fn past(debt: Option<i128>, collateral: Option<i128>) -> Past {
        Past { debt: debt.map(Usd8), collateral: collateral.map(Usd8) }
    }

    #[test]
    fn a_bonus_rests_on_what_is_known() {
        for (debt, collateral, basis, bonus, volume) in [
            (Some(1_000), Some(1_080), Basis::Both, [80, 80, 80], 1_080),
            (Some(1_000), Some(990), Basis::Implausible, [50, 62, 100], 1_062),
            (Some(1_000), Some(1_251), Basis::Implausible, [50, 62, 100], 1_062),
            (Some(1_000), None, Basis::Debt, [50, 62, 100], 1_062),
            (None, Some(1_100), Basis::Collateral, [52, 64, 100], 1_100),
            (None, None, Basis::Nothing, [0, 0, 0], 0),
        ] {
            let found = past(debt, collateral).bonus(ASSUMED.bonus);
            assert_eq!((found.0, found.1.list(), found.2), (basis, bonus, volume), "{debt:?} {collateral:?}");
        }
    }

    #[test]
    fn assumptions_multiply() {
        let mut sums = Sums::default();
        sums.add(past(Some(1_000_000_000), Some(1_050_000_000)), &ASSUMED).unwrap();
        // 50,000,000 times 0.42 * 0.37 * 0.98, 0.7 * 0.68 * 0.995, 0.95 * 0.9.
        assert_eq!(sums.recaptured(&ASSUMED).list(), [7_614_600, 23_681_000, 42_750_000]);
        assert_eq!(sums.parts(&ASSUMED).mid, Parts { protocol: 15_392_650, network: 8_288_350 });
        assert_eq!((sums.count(), sums.bonus_known), (1, 50_000_000));
    }

    #[test]
    fn waiting_costs_nothing_until_the_price_falls_through_threshold_and_bonus() {
        // 1 - 0.78 * 1.05 = 0.181.
        assert_eq!(deficit(0.78, 0.05, 0.1809), 0.0);
        assert!(deficit(0.78, 0.05, 0.1811) > 0.0);
        assert!((deficit(0.78, 0.05, 0.5) - (1.0 - 0.5 / 0.78 / 1.05)).abs() < 1e-12);
        assert_eq!(deficit(0.93, 0.01, 0.0), 0.0);
        let mut hours = Hours::default();
        assert!(hours.add(7_200, 100.0, 60.0));
        for (start, high, low) in [(7_201, 100.0, 60.0), (0, 60.0, 100.0), (0, f64::NAN, 1.0), (0, 1.0, 0.0)] {
            assert!(!hours.add(start, high, low));
        }
        // Of a range of 40 %: at k = 4 all of it within 225 seconds, at k = 1 a quarter.
        assert_eq!(hours.fall(7_300, 225, HASTE.high), Some(0.4));
        assert_eq!(hours.fall(7_300, 225, HASTE.mid), Some(0.1));
        assert_eq!(hours.fall(7_300, 900, HASTE.high), Some(0.4));
        assert_eq!((hours.fall(7_300, 0, HASTE.high), hours.fall(7_199, 60, 1.0)), (Some(0.0), None));
        // A cutoff that runs into the next hour is as bad as the worse of both; where that is not held, it is not known.
        assert_eq!((hours.fall(10_799, 0, 1.0), hours.fall(10_700, 225, HASTE.high)), (Some(0.0), None));
        assert!(hours.add(10_800, 100.0, 20.0));
        assert_eq!(hours.fall(10_700, 225, HASTE.high), Some(0.8));
        assert_eq!(hours.fall(10_500, 225, HASTE.high), Some(0.4));
        let mut waiting = Waiting::default();
        waiting.add(&hours, (7_300, 1_000.0), 225, (0.78, 0.05));
        waiting.add(&hours, (0, 1_000.0), 225, (0.78, 0.05));
        assert_eq!((waiting.count, waiting.without_prices, waiting.debt), (1, 1, 1_000.0));
        assert_eq!((waiting.deficit.low, waiting.deficit.mid), (0.0, 0.0));
        assert!((waiting.deficit.high - 1_000.0 * (1.0 - 0.6 / 0.78 / 1.05)).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_band_is_ordered_and_never_above_the_bonus(rows in prop::collection::vec(
            (prop::option::of(0_i128..10_i128.pow(20)), prop::option::of(0_i128..10_i128.pow(20))), 0..40)) {
            let mut sums = Sums::default();
            for (debt, collateral) in &rows {
                sums.add(past(*debt, *collateral), &ASSUMED).unwrap();
            }
            let recaptured = sums.recaptured(&ASSUMED);
            prop_assert!(recaptured.low <= recaptured.mid && recaptured.mid <= recaptured.high);
            prop_assert!(recaptured.high <= sums.bonus.high && sums.bonus_known <= sums.bonus.low);
            for (whole, parts) in recaptured.list().into_iter().zip(sums.parts(&ASSUMED).list()) {
                prop_assert_eq!(parts.protocol + parts.network, whole);
            }
        }

        #[test]
        fn longer_waiting_never_costs_less(range in 0.0_f64..0.9, cutoff in 0_u32..60, more in 0_u32..60, threshold in 0.5_f64..0.95) {
            let mut hours = Hours::default();
            hours.add(0, 100.0, 100.0 * (1.0 - range));
            let cost = |cutoff| {
                let mut waiting = Waiting::default();
                waiting.add(&hours, (5, 1.0), cutoff, (threshold, 0.01));
                waiting.deficit
            };
            let (short, long) = (cost(cutoff), cost(cutoff + more));
            prop_assert!(short.low <= long.low && short.mid <= long.mid && short.high <= long.high);
            prop_assert!(short.low <= short.mid && short.mid <= short.high);
        }
    }
}
