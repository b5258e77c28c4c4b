//! What liquidations that happened tell about the leverages at which positions are held.
//!
//! What a candle swept is linear in the buckets' shares, so shares are fitted to liquidations without running the model again:
//! `realised[t] ~ sum(v[b] * swept[t][b])` with `v >= 0`. The fit minimises the Kullback-Leibler divergence (the likelihood of
//! Poisson counts) by the multiplicative update of Lee and Seung, 2001, "Algorithms for non-negative matrix factorization",
//! section 3, which keeps every `v` non-negative and never raises the divergence.
//!
//! The shares it starts from count as observations too, so that a bucket that was never swept keeps what it was given.
//! Liquidations say nothing about coins that were never near one: what the fit leaves of the open interest goes to the buckets it
//! says least about, in the proportions of the start.

use std::ops::Range;

use super::estimated::{Assumptions, AssumptionsError, Candle, Model};
use super::grid::{Grid, count};
use super::score::{Calibration, calibration};

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
    /// Dollars liquidated for each dollar swept by bucket, as if all open interest were in it: the bucket's share of the open
    /// interest, where liquidations are all of those of the same venues.
    pub rates: Vec<f64>,
    /// How much the observations say about a bucket, against what the start says: 0 for one that was never swept, towards 1
    /// for one that was often.
    pub weights: Vec<f64>,
    /// The divergence left, for each dollar liquidated.
    pub divergence: f64,
    start: Vec<f64>,
}

impl Fit {
    /// How many dollars are liquidated on the liquidations' venues for one that is on the open interest's: 1 where the open
    /// interest could have lost as much; where it could not, liquidations are of more venues than it is, and the number is
    /// what leaves the leverages that were swept as much of it as the start gives them. That is supposed, not seen.
    #[must_use]
    pub fn scale(&self) -> f64 {
        let known = dot(&self.rates, &self.weights);
        let supposed = dot(&self.start, &self.weights);
        if known < 1.0 || supposed <= 0.0 { 1.0 } else { known / supposed }
    }

    /// Shares of the open interest, given how many dollars of it are liquidated on the liquidations' venues for one that is
    /// on the open interest's (1 where they are the same and all are reported), and what of crossed coins is then
    /// liquidated: 1, or more where even all of the open interest could not have lost as much.
    #[must_use]
    pub fn shares(&self, scale: f64) -> (Vec<f64>, f64) {
        let known: Vec<f64> =
            self.rates.iter().zip(&self.weights).map(|(rate, weight)| rate * weight / scale).collect();
        let sum: f64 = known.iter().sum();
        let unknown: f64 = self.start.iter().zip(&self.weights).map(|(share, weight)| share * (1.0 - weight)).sum();
        if sum >= 1.0 || unknown <= 0.0 {
            return (known.iter().map(|share| share / sum).collect(), sum);
        }
        let left = (1.0 - sum) / unknown;
        let weights = self.start.iter().zip(&self.weights);
        let shares = known.iter().zip(weights).map(|(known, (start, weight))| known + left * start * (1.0 - weight));
        (shares.collect(), 1.0)
    }
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
    Some(Fit {
        divergence: divergence(&v, observations) / realised,
        weights: exposure.iter().map(|swept| swept / (swept + pseudo)).collect(),
        rates: v,
        start: start.to_vec(),
    })
}

/// Concentrations that are tried, from sure to unsure.
const CONCENTRATIONS: [f64; 9] = [300.0, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03];

/// The largest concentration whose band holds at least four cases of five, as it is meant to; where none does, the one that holds the
/// most, and the cases then differ by more than the leverages. With how often they lie within. `factor` scales what was swept.
fn concentration(assumptions: &Assumptions, factor: f64, observations: &[Observation]) -> (f64, Calibration) {
    let mut assumptions = assumptions.clone();
    let mut best = (assumptions.concentration, Calibration { within: -1.0, ..Calibration::default() });
    for concentration in CONCENTRATIONS {
        assumptions.concentration = concentration;
        let bands = observations.iter().map(|each| assumptions.band(&each.swept).times(factor));
        let cases: Vec<_> = bands.zip(observations.iter().map(|each| each.realised)).collect();
        let held = calibration(&cases);
        if held.within > best.1.within {
            best = (concentration, held);
        }
        if held.within >= 0.8 {
            break;
        }
    }
    best
}

/// A candle, and what was liquidated in it where that is known: longs and shorts, in US dollars.
pub type Case = (Candle, Option<[f64; 2]>);

/// The best of several assumptions, fitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// With the fitted shares, and as sure of them as the past allows.
    pub assumptions: Assumptions,
    /// The fit of the shares.
    pub fit: Fit,
    /// Dollars liquidated for one of the open interest's venues, given or as [`Fit::scale`] has it.
    pub scale: f64,
    /// The share of candles and sides in which something was liquidated and nothing stood at any of these leverages, of those in which
    /// something was.
    pub unreached: f64,
    /// What the band held of the candles and sides that were fitted to.
    pub held: Calibration,
}

/// What each candle of a window swept, longs and shorts in turn, beside what was liquidated in it. Candles before the window are
/// folded, those after it are not looked at.
///
/// # Errors
/// The assumptions cannot be.
pub fn observe(
    grid: &Grid,
    assumptions: &Assumptions,
    cases: &[Case],
    window: &Range<i64>,
) -> Result<Vec<Observation>, AssumptionsError> {
    let mut model = Model::new(grid.clone(), assumptions.clone())?;
    let mut found = Vec::new();
    for (candle, liquidated) in cases.iter().take_while(|(candle, _)| candle.time < window.end) {
        if model.apply(candle).is_err() || candle.time < window.start {
            continue;
        }
        for (side, realised) in liquidated.iter().flatten().enumerate() {
            let swept = model.swept().iter().map(|pair| pair[side].usd).collect();
            found.push(Observation { swept, realised: *realised });
        }
    }
    Ok(found)
}

/// Fits the shares of each of `tries` to the liquidations of a window's candles, and takes the one that leaves the least divergence
/// (the first of equals). `strength` is as in [`shares`]; `scale` is as in [`Fit::shares`], or [`Fit::scale`] where it is not known.
/// None where nothing can be fitted to.
///
/// # Errors
/// One of the assumptions cannot be.
pub fn best(
    grid: &Grid,
    tries: &[Assumptions],
    strength: f64,
    cases: &[Case],
    window: &Range<i64>,
    scale: Option<f64>,
) -> Result<Option<Best>, AssumptionsError> {
    let mut found: Option<(&Assumptions, Fit, Vec<Observation>)> = None;
    for tried in tries {
        let start: Vec<f64> = tried.buckets.iter().map(|bucket| bucket.share).collect();
        let seen = observe(grid, tried, cases, window)?;
        let Some(fit) = shares(&start, strength, &seen) else { continue };
        if found.as_ref().is_none_or(|(_, before, _)| fit.divergence < before.divergence) {
            found = Some((tried, fit, seen));
        }
    }
    let Some((tried, fit, seen)) = found else { return Ok(None) };
    let scale = scale.unwrap_or_else(|| fit.scale());
    let mut assumptions = tried.clone().fitted(&fit, scale);
    // What is swept does not depend on the shares: every bucket is a population of its own.
    let swept: f64 = seen.iter().map(|each| assumptions.band(&each.swept).mid).sum();
    let factor = seen.iter().map(|each| each.realised).sum::<f64>() / swept;
    let (concentration, held) = concentration(&assumptions, factor, &seen);
    assumptions.concentration = concentration;
    let liquidated: Vec<&Observation> = seen.iter().filter(|each| each.realised > 0.0).collect();
    let blind = liquidated.iter().filter(|each| each.swept.iter().all(|swept| *swept <= 0.0)).count();
    let unreached = count(blind) / count(liquidated.len());
    Ok(Some(Best { assumptions, fit, scale, unreached, held }))
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
    /// The same with the shares of a fit; see [`Fit::shares`].
    #[must_use]
    pub fn fitted(mut self, fit: &Fit, scale: f64) -> Self {
        let (shares, liquidated) = fit.shares(scale);
        for (bucket, share) in self.buckets.iter_mut().zip(shares) {
            bucket.share = share;
        }
        self.liquidated = liquidated;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::perps::estimated::{Bucket, Priced};

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
        for (found, truth) in fit.rates.iter().zip(truth) {
            assert!((found - 2.0 * truth).abs() < 2e-3, "{fit:?}");
        }
        assert!(fit.divergence < 1e-4, "{fit:?}");
        let (shares, liquidated) = fit.shares(1.0);
        assert!((liquidated - 2.0).abs() < 2e-3 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
        // With four times as much open interest on the venues of the liquidations, half of it is in none of these.
        let (shares, liquidated) = fit.shares(4.0);
        assert!(liquidated == 1.0 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    }

    #[test]
    fn what_is_never_swept_takes_what_is_left() {
        let observations: Vec<Observation> =
            (1..40_u32).map(|t| Observation { swept: vec![0.0, f64::from(t)], realised: f64::from(t) * 0.1 }).collect();
        let fit = shares(&[0.5, 0.5], 1e-3, &observations).unwrap();
        let (shares, liquidated) = fit.shares(1.0);
        assert!((shares[0] - 0.9).abs() < 2e-3 && (shares[1] - 0.1).abs() < 2e-3, "{shares:?}");
        assert_eq!((liquidated, fit.weights[0]), (1.0, 0.0));
    }

    #[test]
    fn a_band_is_as_wide_as_the_past_was() {
        let bucket = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0);
        let assumptions = Assumptions {
            source: "test".to_owned(),
            priced: Priced::Mark,
            buckets: vec![bucket(10.0, 0.5), bucket(50.0, 0.5)],
            concentration: 1.0,
            transfer: 0.0,
            transfer_power: 0.0,
            fast_share: 0.0,
            fast_pace: 1.0,
            entry_tilt: 0.0,
            tilt_cases: 0,
            liquidated: 1.0,
            interval: 60,
        };
        // The first bucket would have given 10 and the second 30; what came is 20, give or take.
        let cases = |by: f64| -> Vec<Observation> {
            let signs = [-1.0, -0.5, 0.0, 0.5, 1.0].iter().cycle().take(50);
            signs.map(|sign| Observation { swept: vec![10.0, 30.0], realised: 20.0 + by * sign }).collect()
        };
        let found = [0.5, 3.0, 7.0].map(|by| concentration(&assumptions, 1.0, &cases(by)));
        assert!(found.iter().all(|(_, calibration)| calibration.within >= 0.8), "{found:?}");
        assert!(found[0].0 > found[1].0 && found[1].0 > found[2].0, "{found:?}");
        // What no leverage explains is not explained by being less sure of leverages.
        let (surest, calibration) = concentration(&assumptions, 1.0, &cases(100.0));
        assert_eq!((surest, calibration.within < 0.8), (300.0, true));
    }

    #[test]
    fn a_scale_is_supposed_only_where_the_open_interest_could_not_have_lost_as_much() {
        let cases = |by: f64| -> Vec<Observation> {
            let swept = |t: u32| vec![f64::from(t % 7), f64::from(t % 5), 0.0];
            let came = |swept: &[f64]| by * (swept[0] * 0.2 + swept[1] * 0.1);
            let of = |t| Observation { realised: came(&swept(t)), swept: swept(t) };
            (1..60).map(of).collect()
        };
        let scale = |by: f64| shares(&[0.3, 0.3, 0.4], 1e-9, &cases(by)).unwrap().scale();
        assert_eq!(scale(1.0), 1.0);
        // 0.3 of the open interest is given to the swept leverages, and 0.3 * 10 are seen: over 0.6.
        assert!((scale(10.0) - 5.0).abs() < 0.01, "{}", scale(10.0));
    }

    #[test]
    fn a_fit_looks_at_nothing_before_or_after_its_window() {
        let bucket = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0);
        let tried = |transfer| Assumptions {
            source: "test".to_owned(),
            priced: Priced::Mark,
            buckets: vec![bucket(10.0, 0.5), bucket(50.0, 0.5)],
            concentration: 1.0,
            transfer,
            transfer_power: 0.0,
            fast_share: 0.5,
            fast_pace: 10.0,
            entry_tilt: 0.0,
            tilt_cases: 0,
            liquidated: 1.0,
            interval: 60,
        };
        let case = |at: i32| {
            let close = 100.0 * (1.0 + 0.03 * f64::from(at * 7 % 11 - 5) / 5.0);
            let (high, low) = (close * 1.01, close * 0.98);
            let candle = Candle {
                time: i64::from(at) * 60,
                open: close,
                high,
                low,
                close,
                turnover: Some(500.0),
                taker_buy: None,
                open_interest: Some(10.0),
            };
            (candle, Some([f64::from(at % 5), f64::from(at % 3)]))
        };
        let all: Vec<Case> = (0..200).map(case).collect();
        let grid = Grid::new(50.0, 200.0, 500).unwrap();
        let window = 3_000..6_000;
        let found = |cases: &[Case]| best(&grid, &[0.1, 1.0].map(tried), 0.02, cases, &window, None).unwrap().unwrap();
        let mut other = all.clone();
        for (candle, liquidated) in &mut other {
            if !window.contains(&candle.time) {
                *liquidated = liquidated.map(|[longs, shorts]| [longs * 9.0 + 1.0, shorts]);
            }
        }
        assert_eq!(found(&all), found(&all[..100]));
        assert_eq!(found(&all), found(&other));
        let mut within = all.clone();
        within[70].1 = Some([50.0, 0.0]);
        assert_ne!(found(&all), found(&within));
    }

    #[test]
    fn nothing_swept_or_nothing_liquidated_is_no_fit() {
        assert_eq!(shares(&[1.0], 1.0, &[]), None);
        assert_eq!(shares(&[1.0], 1.0, &[Observation { swept: vec![0.0], realised: 1.0 }]), None);
        assert_eq!(shares(&[1.0], 1.0, &[Observation { swept: vec![1.0], realised: 0.0 }]), None);
    }
}
