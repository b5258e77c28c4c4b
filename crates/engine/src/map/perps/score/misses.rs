//! What came in the past after what was said: a band as wide as a map was off.

use super::{Calibration, calibration, quantile};
use crate::map::perps::estimated::Banded;
use crate::map::perps::grid::{count, floor};

/// The share of past cases that are near one.
const NEAR: usize = 10;

/// And how many they are at least.
const LEAST_NEAR: usize = 20;

/// Past cases from which on there is a band.
pub const LEAST: usize = 100;

/// The share of cases that a band leaves on either side of it, where the past goes on.
pub const OUTSIDE: f64 = 0.1;

/// Past cases: what was said before each, and what came. Of the tenth of them in which the nearest was said, as many less as more
/// (towards either end of what was ever said of fewer, and of 20 at least), the band is from the 10th to the 90th percentile of what
/// came.
///
/// The percentiles are those of conformal prediction (Vovk, Gammerman and Shafer 2005): the `floor(0.1 (n + 1))`-th and the
/// `ceil(0.9 (n + 1))`-th of `n` values, between which the next of exchangeable ones lies in four cases of five or more. Markets are
/// not exchangeable with their past: how often such bands held is to be counted ([`walk_forward`]) and said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Misses(Vec<(f64, f64)>);

impl Misses {
    /// Of past cases: what was said before each, and what came.
    #[must_use]
    pub fn of(mut cases: Vec<(f64, f64)>) -> Self {
        cases.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self(cases)
    }

    /// One case more.
    pub fn add(&mut self, said: f64, came: f64) {
        let at = self.0.partition_point(|case| case.0 <= said);
        self.0.insert(at, (said, came));
    }

    /// How many cases there are.
    #[must_use]
    pub fn cases(&self) -> usize {
        self.0.len()
    }

    /// The most that was ever said; none without cases.
    #[must_use]
    pub fn most(&self) -> Option<f64> {
        self.0.last().map(|case| case.0)
    }

    /// The band around what is said, with the median between. None where fewer than [`LEAST`] cases are past, or less was ever said:
    /// of such a case the past tells nothing.
    #[must_use]
    pub fn band(&self, said: f64) -> Option<Banded> {
        if self.cases() < LEAST || self.most().is_none_or(|most| said.is_nan() || said > most) {
            return None;
        }
        let (first, last) =
            (self.0.partition_point(|case| case.0 < said), self.0.partition_point(|case| case.0 <= said));
        let middle = first.midpoint(last);
        // Towards either end of what was ever said fewer are near, or all would be on one side: of less said, if much is.
        let about = 2 * middle.min(self.0.len() - middle) + 1;
        let wanted = about.clamp(LEAST_NEAR, self.0.len().div_ceil(NEAR).max(LEAST_NEAR));
        let from = middle.saturating_sub(wanted / 2).min(self.0.len() - wanted);
        // Cases in which the same was said are all as near.
        let near = if first < last { from.min(first)..(from + wanted).max(last) } else { from..from + wanted };
        let mut came: Vec<f64> = self.0.get(near)?.iter().map(|(_, came)| *came).collect();
        came.sort_by(f64::total_cmp);
        let outside = OUTSIDE * count(came.len() + 1);
        let low = came.get(floor(outside).checked_sub(1)?)?;
        let high = came.get(came.len().checked_sub(floor(outside))?)?;
        Some(Banded { low: *low, mid: quantile(&came, 0.5)?, high: *high })
    }
}

/// How often bands held that were made of what was past.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Held {
    /// The cases that had a band.
    pub calibration: Calibration,
    /// The cases that had none.
    pub without: usize,
}

/// Goes through cases in time's order: each is judged by the band that those before it make, `past` among them, and is then one of
/// them.
pub fn walk_forward(past: &mut Misses, cases: impl IntoIterator<Item = (f64, f64)>) -> Held {
    let (mut judged, mut without) = (Vec::new(), 0);
    for (said, came) in cases {
        match past.band(said) {
            Some(band) => judged.push((band, came)),
            None => without += 1,
        }
        past.add(said, came);
    }
    Held { calibration: calibration(&judged), without }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes is spread over 0.5 to 1.5 of what is said, and over 0 to 10 where nothing is.
    fn case(t: u32) -> (f64, f64) {
        let spread = f64::from(t / 10 * 7_919 % 1_000) / 1_000.0;
        let said = f64::from(t % 10);
        (said, if said > 0.0 { said * (0.5 + spread) } else { 10.0 * spread })
    }

    #[test]
    fn past_misses_make_a_band_that_holds_four_cases_of_five() {
        let mut past = Misses::of((0..10_000).map(case).collect());
        let nothing = past.band(0.0).unwrap();
        assert!((nothing.low - 1.0).abs() < 0.1 && (nothing.high - 9.0).abs() < 0.1, "{nothing:?}");
        let held = walk_forward(&mut past, (10_000..12_000).map(case));
        let found = held.calibration;
        assert!((found.within - 0.8).abs() < 0.05 && (found.below - 0.1).abs() < 0.04, "{found:?}");
        assert_eq!((found.cases, held.without, past.cases()), (2_000, 0, 12_000));
        // Of what was never said, the past tells nothing.
        assert!(past.band(9.0).is_some() && past.band(9.1).is_none() && past.band(f64::NAN).is_none());
    }

    #[test]
    fn too_few_cases_make_no_band() {
        let mut past = Misses::default();
        let held = walk_forward(&mut past, (0..150).map(|t| (1.0, f64::from(t % 7))));
        assert_eq!((held.without, held.calibration.cases), (LEAST, 50));
        assert_eq!(Misses::default().band(1.0), None);
        assert_eq!(Misses::of(vec![(1.0, 1.0); LEAST - 1]).band(1.0), None);
        assert_eq!(Misses::of(vec![(1.0, 1.0); LEAST]).band(1.0), Some(Banded { low: 1.0, mid: 1.0, high: 1.0 }));
    }

    #[test]
    fn percentiles_of_few_values_leave_room_for_the_next() {
        // 20 are near, and of 21 places the 2nd and the 19th are a tenth or less from either end.
        let cases = (0..LEAST).map(|at| (count(at), count(at % 20))).collect();
        let band = Misses::of(cases).band(50.0).unwrap();
        assert_eq!((band.low, band.high), (1.0, 18.0));
    }

    #[test]
    fn what_was_seldom_said_is_not_judged_by_what_was_said_of_less() {
        // What comes is half to the whole of what is said, and much is said seldom: 1,000 times around 1, 30 times 50 to 100.
        let often = (0..1_000).map(|at| (1.0 + count(at) / 1e3, 1.0));
        let seldom = (0..30).map(|at| (50.0 + count(at) * 50.0 / 29.0, 25.0 + count(at * 7 % 30)));
        let past = Misses::of(often.chain(seldom).collect());
        let band = past.band(95.0).unwrap();
        assert!(band.low > 20.0 && band.high > 45.0, "{band:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn bands_of_exchangeable_cases_hold_what_they_are_meant_to(seed in 0_u64..1_000) {
            let mut state = seed;
            let mut next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
            };
            let cases: Vec<(f64, f64)> = (0..800).map(|_| (next(), next())).collect();
            let held = walk_forward(&mut Misses::default(), cases);
            // 700 cases: two standard errors of chance are 0.03; they depend on each other by their common past.
            prop_assert!(held.calibration.within > 0.73, "{held:?}");
        }

        #[test]
        fn a_band_looks_at_nothing_later(
            cases in proptest::collection::vec((0.0_f64..5.0, 0.0_f64..9.0), 120..200), cut in 100_usize..120
        ) {
            let mut part = Misses::default();
            walk_forward(&mut part, cases[..cut].iter().copied());
            let mut all = Misses::of(cases[..cut].to_vec());
            prop_assert_eq!(part.band(1.0), all.band(1.0), "the order of cases is of no matter");
            let before = walk_forward(&mut part, cases[cut..=cut].iter().copied());
            let whole = walk_forward(&mut all, cases[cut..].iter().copied());
            prop_assert_eq!(whole.calibration.cases + whole.without, cases.len() - cut);
            prop_assert_eq!(before.calibration.cases + before.without, 1);
        }
    }
}
