//! How near a map came, and how sure that is.

use std::fmt;

use super::estimated::Banded;
use super::grid::{Grid, count};

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
    let mut tied = 0;
    for group in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let first = group.first().map_or(0, |first| order.iter().position(|each| each == first).unwrap_or(0));
        let mean = count(first) + (count(group.len()) - 1.0) / 2.0;
        for each in group {
            ranks[*each] = mean;
        }
        if group.len() > 1 {
            tied += group.len();
        }
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
            sums[super::grid::floor(place)] += mass;
        }
    }
    sums
}

/// How much of what was liquidated lay near the levels that a map called heavy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hits {
    /// The share of it that did; none where nothing was liquidated.
    pub share: Option<f64>,
    /// The share of the looked-at levels that are near a heavy one: what chance would have given.
    pub by_chance: f64,
}

/// The heaviest `top` of the looked-at levels (0.2 for a fifth, at least one, never one without mass) are the map's prediction; a
/// liquidation hits where its level is within `near` of one (0.005 for half a percent).
///
/// # Panics
/// The two are not on the grid.
#[must_use]
pub fn hits(
    grid: &Grid,
    map: &[f64],
    realised: &[f64],
    looked_at: std::ops::Range<usize>,
    top: f64,
    near: f64,
) -> Hits {
    assert!(map.len() == grid.len() && realised.len() == grid.len(), "both stand on the grid");
    let mut order: Vec<usize> = looked_at.clone().filter(|cell| map[*cell] > 0.0).collect();
    order.sort_by(|a, b| map[*b].total_cmp(&map[*a]).then(a.cmp(b)));
    order.truncate(super::grid::floor((count(looked_at.len()) * top).max(1.0)));
    let reach = super::grid::floor((near.ln_1p() / grid.step()).round());
    let mut is_near = vec![false; grid.len()];
    for cell in order {
        is_near[cell.saturating_sub(reach)..(cell + reach + 1).min(grid.len())].fill(true);
    }
    let (mut all, mut hit, mut chance) = (0.0, 0.0, 0_usize);
    for cell in looked_at.clone() {
        all += realised[cell];
        if is_near[cell] {
            hit += realised[cell];
            chance += 1;
        }
    }
    let by_chance = if looked_at.is_empty() { 0.0 } else { count(chance) / count(looked_at.len()) };
    Hits { share: (all > 0.0).then(|| hit / all), by_chance }
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

/// A mean and where it lies in nine bootstrap samples of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sure {
    /// The mean of the values.
    pub mean: f64,
    /// 5th percentile of the resampled means.
    pub low: f64,
    /// 95th percentile.
    pub high: f64,
    /// How many values.
    pub values: usize,
}

impl fmt::Display for Sure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} [{:.3}, {:.3}] n={}", self.mean, self.low, self.high, self.values)
    }
}

/// The moving-block bootstrap of a mean (Künsch 1989): neighbouring values depend on each other, so blocks of them are drawn, with
/// replacement. Chance is counted from `(seed, sample, draw)`: the same everywhere. None without values.
#[must_use]
pub fn bootstrap(values: &[f64], block: usize, samples: usize, seed: u64) -> Option<Sure> {
    if values.is_empty() || samples == 0 {
        return None;
    }
    let n = values.len();
    let block = block.clamp(1, n);
    let starts = n - block + 1;
    let mut means: Vec<f64> = (0..samples)
        .map(|sample| {
            let mut sum = 0.0;
            let mut taken = 0;
            let mut draw = 0;
            while taken < n {
                let start = below(chance(seed, sample, draw), starts);
                let take = block.min(n - taken);
                sum += values[start..start + take].iter().sum::<f64>();
                taken += take;
                draw += 1;
            }
            sum / count(n)
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let at = |part: f64| means[super::grid::floor(part * count(samples - 1))];
    Some(Sure { mean: values.iter().sum::<f64>() / count(n), low: at(0.05), high: at(0.95), values: n })
}

/// Evenly spread 64 bits for each (seed, sample, draw): the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over each in turn.
fn chance(seed: u64, sample: usize, draw: usize) -> u64 {
    let mix = |state: u64| {
        let state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        state ^ (state >> 31)
    };
    mix(mix(mix(seed) ^ sample as u64) ^ draw as u64)
}

/// A number below `bound` from 64 even bits (Lemire's product; the bias is below `bound / 2^64`).
fn below(bits: u64, bound: usize) -> usize {
    usize::try_from((u128::from(bits) * bound as u128) >> 64).unwrap_or(0)
}

/// A value below which a share of sorted values lies (the nearest rank); none without values.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(super::grid::floor((part * count(last)).round())).copied()
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

        #[test]
        fn a_bootstrap_is_the_same_twice_and_holds_its_mean(
            values in proptest::collection::vec(0.0_f64..1.0, 1..200), block in 1_usize..30, seed in any::<u64>()
        ) {
            let sure = bootstrap(&values, block, 400, seed).unwrap();
            prop_assert_eq!(bootstrap(&values, block, 400, seed), Some(sure));
            prop_assert!(sure.low <= sure.high);
            let (least, most) = values.iter().fold((1.0_f64, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
            prop_assert!(sure.low >= least - 1e-12 && sure.high <= most + 1e-12);
        }
    }

    #[test]
    fn an_interval_of_independent_values_has_the_width_it_should() {
        // 400 even values in 0 to 1: the standard error is 0.2887 / 20, nine tenths are 1.645 of it either way.
        let values: Vec<f64> = (0..400).map(|at| count(below(chance(1, 2, at), 1_000_000)) / 1e6).collect();
        let sure = bootstrap(&values, 1, 4_000, 7).unwrap();
        let width = (sure.high - sure.low) / (2.0 * 1.645 * 0.2887 / 20.0);
        assert!((0.9..1.1).contains(&width), "{sure:?} {width}");
    }

    #[test]
    fn hits_say_what_chance_would_have_given() {
        let grid = Grid::new(100.0, 200.0, 700).unwrap();
        let mut map = vec![0.0; 700];
        map[300] = 5.0;
        let mut realised = vec![1.0; 700];
        let found = hits(&grid, &map, &realised, 200..400, 0.2, 0.005);
        // Half a percent is five cells of a tenth of a percent either way: eleven of two hundred.
        assert!((found.by_chance - 11.0 / 200.0).abs() < 1e-12, "{found:?}");
        assert!((found.share.unwrap() - found.by_chance).abs() < 1e-12);
        realised.fill(0.0);
        assert_eq!(hits(&grid, &map, &realised, 200..400, 0.2, 0.005).share, None);
        realised[304] = 1.0;
        realised[310] = 1.0;
        assert_eq!(hits(&grid, &map, &realised, 200..400, 0.2, 0.005).share, Some(0.5));
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
