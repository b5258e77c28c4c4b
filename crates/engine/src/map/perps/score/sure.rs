//! Means, and where they lie by chance.

use std::fmt;

use crate::map::perps::grid::{count, floor};

/// A mean, and where it lies in nine bootstrap samples of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sure {
    /// The mean of the values.
    pub mean: f64,
    /// 5th and 95th percentile of the resampled means, or why there are none.
    pub interval: Result<(f64, f64), TooFew>,
    /// How many values.
    pub values: usize,
}

/// Why there is no interval: with fewer than two blocks of values, all samples are nearly the same, and their spread says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFew {
    /// How many values there are.
    pub values: usize,
    /// How many make a block.
    pub block: usize,
}

impl TooFew {
    /// How many values it takes.
    #[must_use]
    pub const fn needed(self) -> usize {
        self.block.saturating_mul(2)
    }
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no interval, as blocks of {} need {} values and there are {}",
            self.block,
            self.needed(),
            self.values
        )
    }
}

impl fmt::Display for Sure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interval {
            Ok((low, high)) => write!(f, "{:.3} [{low:.3}, {high:.3}] n={}", self.mean, self.values),
            Err(why) => write!(f, "{:.3} ({why})", self.mean),
        }
    }
}

/// The moving-block bootstrap of a mean (Künsch 1989): neighbouring values depend on each other, so blocks of `block` of them (at
/// least one) are drawn, with replacement. Chance is counted from `(seed, sample, draw)`: the same everywhere. None without values
/// or samples; no interval where there are fewer values than two blocks.
#[must_use]
pub fn bootstrap(values: &[f64], block: usize, samples: usize, seed: u64) -> Option<Sure> {
    if values.is_empty() || samples == 0 {
        return None;
    }
    let (n, block) = (values.len(), block.max(1));
    let mean = values.iter().sum::<f64>() / count(n);
    let too_few = TooFew { values: n, block };
    if n < too_few.needed() {
        return Some(Sure { mean, interval: Err(too_few), values: n });
    }
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
    let at = |part: f64| means[floor(part * count(samples - 1))];
    Some(Sure { mean, interval: Ok((at(0.05), at(0.95))), values: n })
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bootstrap_is_the_same_twice_and_holds_its_mean(
            values in proptest::collection::vec(0.0_f64..1.0, 1..200), block in 0_usize..30, seed in any::<u64>()
        ) {
            let sure = bootstrap(&values, block, 400, seed).unwrap();
            prop_assert_eq!(bootstrap(&values, block, 400, seed), Some(sure));
            let (least, most) = values.iter().fold((1.0_f64, 0.0_f64), |(a, b), v| (a.min(*v), b.max(*v)));
            prop_assert!(sure.mean >= least - 1e-12 && sure.mean <= most + 1e-12);
            let Ok((low, high)) = sure.interval else {
                prop_assert!(values.len() < 2 * block);
                return Ok(());
            };
            prop_assert!(values.len() >= 2 * block);
            prop_assert!(low <= high && low >= least - 1e-12 && high <= most + 1e-12);
        }
    }

    #[test]
    fn fewer_values_than_two_blocks_have_no_interval() {
        let values = [0.1, 0.9, 0.2, 0.8, 0.3];
        let few = bootstrap(&values, 3, 100, 1).unwrap();
        assert_eq!(few.interval, Err(TooFew { values: 5, block: 3 }));
        assert_eq!(few.to_string(), "0.460 (no interval, as blocks of 3 need 6 values and there are 5)");
        assert!(bootstrap(&values[..4], 2, 100, 1).unwrap().interval.is_ok());
        assert_eq!(bootstrap(&[], 3, 100, 1), None);
        assert!(bootstrap(&values, usize::MAX, 100, 1).unwrap().interval.is_err());
    }

    #[test]
    fn an_interval_of_independent_values_has_the_width_it_should() {
        // 400 even values in 0 to 1: the standard error is 0.2887 / 20, nine tenths are 1.645 of it either way.
        let values: Vec<f64> = (0..400).map(|at| count(below(chance(1, 2, at), 1_000_000)) / 1e6).collect();
        let (low, high) = bootstrap(&values, 1, 4_000, 7).unwrap().interval.unwrap();
        let width = (high - low) / (2.0 * 1.645 * 0.2887 / 20.0);
        assert!((0.9..1.1).contains(&width), "{low} {high} {width}");
    }
}
