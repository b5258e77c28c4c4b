//! How near a map came, and how sure that is.
//!
//! * [`walk`](mod@walk): what every method said of each candle before it, beside what came;
//! * [`misses`]: what came after what was said, as a band;
//! * [`sure`]: means, and where they lie by chance.

pub mod misses;
pub mod sure;
pub mod walk;

use super::estimated::Banded;
use super::grid::{Grid, count, floor};

pub use misses::Misses;
pub use sure::{Sure, TooFew, bootstrap};
pub use walk::{Each, Method, Methods, Said, Walked, walk};

/// A rank correlation over levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// Spearman's rho, in -1 to 1; none where one of the two is the same everywhere.
    pub rho: Option<f64>,
    /// Levels compared.
    pub levels: usize,
    /// The share of levels that are tied with another, in the map and in what it is compared with. Tied levels share the mean of their
    /// ranks; many ties (levels without any position) make rho speak of which levels are empty.
    pub tied: [f64; 2],
}

/// Spearman's rank correlation: Pearson's of the ranks, with mean ranks for ties.
///
/// # Panics
/// The two are not of the same length.
#[must_use]
pub fn rank(map: &[f64], truth: &[f64]) -> Rank {
    assert_eq!(map.len(), truth.len(), "both stand on the same levels");
    let (a, tied_a) = ranks(map);
    let (b, tied_b) = ranks(truth);
    Rank { rho: pearson(&a, &b), levels: map.len(), tied: [tied_a, tied_b] }
}

/// Mean ranks, and the share of values that are tied.
fn ranks(values: &[f64]) -> (Vec<f64>, f64) {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let (mut tied, mut first) = (0, 0);
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let mean = count(first) + (count(group.len()) - 1.0) / 2.0;
        for each in group {
            ranks[*each] = mean;
        }
        if group.len() > 1 {
            tied += group.len();
        }
        first += group.len();
    }
    (ranks, if values.is_empty() { 0.0 } else { count(tied) / count(values.len()) })
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let n = count(a.len());
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        ab += (a - mean_a) * (b - mean_b);
        aa += (a - mean_a) * (a - mean_a);
        bb += (b - mean_b) * (b - mean_b);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Mass by distance from the mark: `bins` bins of `width` (in logarithms) each on either side, from the furthest below to the
/// furthest above.
#[must_use]
pub fn by_distance(grid: &Grid, mass: &[f64], mark: f64, width: f64, bins: usize) -> Vec<f64> {
    let mut sums = vec![0.0; 2 * bins];
    let foot = mark.ln() - width * count(bins);
    for (middle, mass) in grid.middles().iter().zip(mass) {
        let place = (middle.ln() - foot) / width;
        if place >= 0.0 && place < count(2 * bins) {
            sums[floor(place)] += mass;
        }
    }
    sums
}

/// A stretch of levels that a price crossed: how many levels, what a map said stood on them, and what was liquidated on them. Where
/// on them is not told, so they are heavy or light together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossed {
    /// How many levels.
    pub levels: f64,
    /// What the map put on them, in any unit.
    pub said: f64,
    /// What came, in any unit.
    pub came: f64,
}

/// How much heavier what was liquidated lay where a map said that much stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    /// The share of all that came which came on the heaviest levels.
    pub share: f64,
    /// The share of the crossed levels that these are: what chance would have given.
    pub chance: f64,
}

impl Lift {
    /// The share over chance: 1 for a map that is the same everywhere, or knows nothing.
    #[must_use]
    pub fn times(self) -> f64 {
        self.share / self.chance
    }
}

/// Of levels that prices crossed, from those of the most said for each level down, those that hold `part` of all that was said (0.2
/// for a fifth): which share of what came, came on them, over the share of all crossed levels that they are. Stretches of the same
/// said for each level are taken in the same part. So a map that says the same everywhere has a lift of exactly 1, and one that
/// knows nothing about 1. None where nothing was crossed, said or liquidated.
///
/// That the price came by is told: a map gains nothing by knowing that near levels are reached more often than far ones.
#[must_use]
pub fn lift(crossed: &[Crossed], part: f64) -> Option<Lift> {
    let mut order: Vec<&Crossed> = crossed.iter().filter(|one| one.levels > 0.0).collect();
    let density = |one: &Crossed| one.said / one.levels;
    order.sort_by(|a, b| density(b).total_cmp(&density(a)));
    let sum = |of: &[&Crossed], pick: fn(&Crossed) -> f64| of.iter().map(|one| pick(one)).sum::<f64>();
    let [levels, said, came] =
        [|one: &Crossed| one.levels, |one: &Crossed| one.said, |one: &Crossed| one.came].map(|pick| sum(&order, pick));
    if !(levels > 0.0 && said > 0.0 && came > 0.0) {
        return None;
    }
    let mut wanted = part * said;
    let (mut share, mut chance) = (0.0, 0.0);
    for group in order.chunk_by(|a, b| density(a) == density(b)) {
        let here = sum(group, |one| one.said);
        let taken = if here > 0.0 { (wanted / here).clamp(0.0, 1.0) } else { 0.0 };
        share += taken * sum(group, |one| one.came);
        chance += taken * sum(group, |one| one.levels);
        wanted -= here;
    }
    Some(Lift { share: share / came, chance: chance / levels })
}

/// By how much a map's mass is off, as a share of the true one; none where that is nothing.
#[must_use]
pub fn mass_error(map: f64, truth: f64) -> Option<f64> {
    (truth > 0.0).then(|| map / truth - 1.0)
}

/// How often the truth lay within a band of 10th to 90th percentile, below it and above it, as shares. A true band has 0.8, 0.1, 0.1.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Calibration {
    /// Cases.
    pub cases: usize,
    /// Within.
    pub within: f64,
    /// Below the band.
    pub below: f64,
    /// Above it.
    pub above: f64,
}

/// Counts how often the truth lay within its band.
#[must_use]
pub fn calibration(cases: &[(Banded, f64)]) -> Calibration {
    if cases.is_empty() {
        return Calibration::default();
    }
    let share = |is_so: &dyn Fn(&(Banded, f64)) -> bool| {
        count(cases.iter().filter(|case| is_so(case)).count()) / count(cases.len())
    };
    let below = share(&|(band, truth)| *truth < band.low);
    let above = share(&|(band, truth)| *truth > band.high);
    Calibration { cases: cases.len(), within: 1.0 - below - above, below, above }
}

/// A value below which a share of sorted values lies (the nearest rank); none without values.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(floor((part * count(last)).round())).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranks_of_ties_are_their_mean() {
        // Worked by hand: ranks of the map 0, 1.5, 1.5, 3; of the truth 0, 1, 2, 3; rho = 4.5 / sqrt(4.5 * 5).
        let found = rank(&[1.0, 2.0, 2.0, 3.0], &[10.0, 20.0, 30.0, 40.0]);
        assert!((found.rho.unwrap() - 4.5 / (4.5_f64 * 5.0).sqrt()).abs() < 1e-12);
        assert_eq!(found.tied, [0.5, 0.0]);
        assert_eq!(rank(&[1.0, 1.0], &[1.0, 2.0]).rho, None);
        assert_eq!(rank(&[], &[]).rho, None);
    }

    proptest! {
        #[test]
        fn a_rank_correlation_sees_order_alone(values in proptest::collection::vec(-1e3_f64..1e3, 3..40)) {
            let grown: Vec<f64> = values.iter().map(|v| v.powi(3) * 2.0 + 5.0).collect();
            let fallen: Vec<f64> = values.iter().map(|v| -v).collect();
            if let Some(rho) = rank(&values, &values).rho {
                prop_assert!((rho - 1.0).abs() < 1e-9);
                prop_assert!((rank(&values, &grown).rho.unwrap() - 1.0).abs() < 1e-9);
                prop_assert!((rank(&values, &fallen).rho.unwrap() + 1.0).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_lift_is_over_what_chance_would_have_given() {
        let one = |levels: f64, said: f64, came: f64| Crossed { levels, said, came };
        // Worked by hand: 10 levels of 4 said each, 30 of 1, 60 of none. A fifth of 70 said is 14: 3.5 of the first levels, on which
        // 0.35 of their 20 of 100 came.
        let found = lift(&[one(30.0, 30.0, 50.0), one(60.0, 0.0, 30.0), one(10.0, 40.0, 20.0)], 0.2).unwrap();
        assert!((found.share - 0.07).abs() < 1e-12 && (found.chance - 0.035).abs() < 1e-12, "{found:?}");
        assert!((found.times() - 2.0).abs() < 1e-12);
        // A fifth that goes into the second stretch: 0.8 of 70 is 56, all of the first and 16 of the 30.
        let found = lift(&[one(30.0, 30.0, 50.0), one(60.0, 0.0, 30.0), one(10.0, 40.0, 20.0)], 0.8).unwrap();
        assert!((found.share - (0.2 + 0.5 * 16.0 / 30.0)).abs() < 1e-12 && (found.chance - 0.26).abs() < 1e-12);
        for nothing in [one(0.0, 0.0, 5.0), one(3.0, 0.0, 5.0), one(3.0, 5.0, 0.0)] {
            assert_eq!(lift(&[nothing], 0.2), None);
        }
        assert_eq!(lift(&[], 0.2), None);
    }

    proptest! {
        #[test]
        fn a_map_that_says_the_same_everywhere_has_a_lift_of_one(
            stretches in proptest::collection::vec((1_u16..400, 0.0_f64..1e9), 1..60), each in 0.001_f64..1e6, part in 0.01_f64..1.0
        ) {
            // Levels are counted, so each stretch says a power of two times them: the same for each level to the last bit.
            let each = each.log2().round().exp2();
            let crossed = stretches.iter().map(|(levels, came)| {
                let levels = f64::from(*levels);
                Crossed { levels, said: levels * each, came: *came }
            });
            let crossed: Vec<Crossed> = crossed.collect();
            if let Some(found) = lift(&crossed, part) {
                prop_assert!((found.times() - 1.0).abs() < 1e-9, "{found:?}");
            }
        }

        #[test]
        fn a_lift_does_not_depend_on_units_or_order(
            stretches in proptest::collection::vec((1_u16..400, 0.0_f64..1e3, 0.0_f64..1e3), 1..60), turn in 0_usize..60
        ) {
            let mut crossed: Vec<Crossed> = stretches
                .iter()
                .map(|(levels, said, came)| Crossed { levels: f64::from(*levels), said: *said, came: *came })
                .collect();
            let before = lift(&crossed, 0.2);
            let turn = turn % crossed.len();
            crossed.rotate_left(turn);
            crossed.iter_mut().for_each(|one| (one.said, one.came) = (one.said * 4.0, one.came * 0.5));
            let after = lift(&crossed, 0.2);
            prop_assert_eq!(before.is_some(), after.is_some());
            if let Some((before, after)) = before.zip(after) {
                prop_assert!((before.times() - after.times()).abs() < 1e-9 * before.times().max(1.0));
                prop_assert!((0.0..=1.0 + 1e-12).contains(&before.share) && before.chance <= 1.0 + 1e-12);
                // The heaviest that hold a fifth of all said are no more than a fifth of the levels.
                prop_assert!(before.chance <= 0.2 + 1e-9, "{before:?}");
            }
        }
    }

    #[test]
    fn a_band_is_counted() {
        let band = Banded { low: 1.0, mid: 2.0, high: 3.0 };
        let found = calibration(&[(band, 0.5), (band, 1.0), (band, 2.5), (band, 9.0)]);
        assert_eq!((found.within, found.below, found.above), (0.5, 0.25, 0.25));
        assert_eq!(mass_error(3.0, 2.0), Some(0.5));
        assert_eq!(mass_error(3.0, 0.0), None);
    }
}
