//! What liquidations that happened tell about the leverages at which positions are held.
//!
//! What a candle swept is linear in the buckets' shares, so shares are fitted to liquidations without running the model again:
//! `realised[t] ~ sum(v[b] * swept[t][b])` with `v >= 0`, where `v = liquidated * share`. The fit minimises the
//! Kullback-Leibler divergence (the likelihood of Poisson counts) by the multiplicative update of Lee and Seung, 2001, equation
//! (9), which keeps every `v` non-negative and never raises the divergence. The shares it starts from count as observations
//! too, so a bucket that was never swept keeps its own.

use super::estimated::Assumptions;
use super::grid::count;

/// Updates; the divergence has long settled by then.
const UPDATES: usize = 500;

/// One interval and one side.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// What it swept by bucket, in US dollars, as if all open interest were in the bucket.
    pub swept: Vec<f64>,
    /// What was liquidated, in US dollars.
    pub realised: f64,
}

/// What a fit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Shares by bucket, which sum to 1.
    pub shares: Vec<f64>,
    /// Liquidated dollars for each dollar swept. Where open interest and liquidations are not of the same venues it holds
    /// the ratio of their sizes too.
    pub liquidated: f64,
    /// The divergence left, for each dollar liquidated.
    pub divergence: f64,
    /// How much the observations say about a bucket, against what the start says: 0 for one that was never swept, towards 1
    /// for one that was often.
    pub weight: Vec<f64>,
}

/// Fits shares to observations. `strength` is how much the start counts, in units of all that was swept at a bucket on
/// average. None where nothing was swept or nothing liquidated.
#[must_use]
pub fn shares(start: &[f64], strength: f64, observations: &[Observation]) -> Option<Fit> {
    let realised: f64 = observations.iter().map(|each| each.realised).sum();
    let exposure: Vec<f64> =
        (0..start.len()).map(|bucket| observations.iter().map(|each| each.swept[bucket]).sum()).collect();
    let expected: f64 = start.iter().zip(&exposure).map(|(share, swept)| share * swept).sum();
    if !(realised > 0.0 && expected > 0.0) {
        return None;
    }
    let first: Vec<f64> = start.iter().map(|share| share * realised / expected).collect();
    let pseudo = strength * exposure.iter().sum::<f64>() / count(start.len());
    let mut v = first.clone();
    for _ in 0..UPDATES {
        let mut ratio = vec![0.0; v.len()];
        for each in observations {
            let modelled = dot(&v, &each.swept);
            if modelled > 0.0 {
                for (ratio, swept) in ratio.iter_mut().zip(&each.swept) {
                    *ratio += swept * each.realised / modelled;
                }
            }
        }
        for (bucket, v) in v.iter_mut().enumerate() {
            *v = (*v * ratio[bucket] + pseudo * first[bucket]) / (exposure[bucket] + pseudo);
        }
    }
    let liquidated: f64 = v.iter().sum();
    Some(Fit {
        divergence: divergence(&v, observations) / realised,
        weight: exposure.iter().map(|swept| swept / (swept + pseudo)).collect(),
        shares: v.iter().map(|each| each / liquidated).collect(),
        liquidated,
    })
}

/// `sum(r ln(r / m) - r + m)`; intervals in which the model sweeps nothing count with a floor of a billionth.
fn divergence(v: &[f64], observations: &[Observation]) -> f64 {
    let floor = 1e-9 * observations.iter().map(|each| each.realised).sum::<f64>() / count(observations.len());
    observations
        .iter()
        .map(|each| {
            let modelled = dot(v, &each.swept).max(floor);
            let log = if each.realised > 0.0 { each.realised * (each.realised / modelled).ln() } else { 0.0 };
            log - each.realised + modelled
        })
        .sum()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Assumptions {
    /// The same with the shares of a fit.
    #[must_use]
    pub fn fitted(mut self, fit: &Fit) -> Self {
        for (bucket, share) in self.buckets.iter_mut().zip(&fit.shares) {
            bucket.share = *share;
        }
        self.liquidated = fit.liquidated;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_made_the_liquidations_are_found_again() {
        let truth = [0.5, 0.3, 0.2];
        let observations: Vec<Observation> = (0..60_u32)
            .map(|t| {
                let swept: Vec<f64> = (0..3_u32).map(|b| f64::from((t * (7 + 4 * b) + 3 * b) % 11)).collect();
                let realised = 2.0 * dot(&truth, &swept);
                Observation { swept, realised }
            })
            .collect();
        let fit = shares(&[1.0 / 3.0; 3], 1e-9, &observations).unwrap();
        for (found, truth) in fit.shares.iter().zip(truth) {
            assert!((found - truth).abs() < 1e-3, "{fit:?}");
        }
        assert!((fit.liquidated - 2.0).abs() < 1e-3 && fit.divergence < 1e-4, "{fit:?}");
    }

    #[test]
    fn a_bucket_that_was_never_swept_keeps_what_it_was_given() {
        let observations: Vec<Observation> =
            (1..40_u32).map(|t| Observation { swept: vec![f64::from(t), 0.0], realised: f64::from(t) * 3.0 }).collect();
        let fit = shares(&[0.5, 0.5], 1.0, &observations).unwrap();
        // The swept bucket explains all; the other stays at the scale of the start, 6 for each dollar of share.
        assert!((fit.shares[0] - 0.5).abs() < 1e-6, "{fit:?}");
        assert_eq!(fit.weight[1], 0.0);
    }

    #[test]
    fn nothing_swept_or_nothing_liquidated_is_no_fit() {
        assert_eq!(shares(&[1.0], 1.0, &[]), None);
        assert_eq!(shares(&[1.0], 1.0, &[Observation { swept: vec![0.0], realised: 1.0 }]), None);
        assert_eq!(shares(&[1.0], 1.0, &[Observation { swept: vec![1.0], realised: 0.0 }]), None);
    }
}
