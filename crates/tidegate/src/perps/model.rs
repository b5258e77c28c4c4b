//! The estimated model of a contract: what is supposed, and the fold over its candles.

use anyhow::Context as _;
use engine::map::perps::Grid;
use engine::map::perps::calibrate::{self, Fit, Observation};
use engine::map::perps::estimated::{Assumptions, Bucket, Model};
use protocol::Decimal;
use protocol::venue::{Opening, Side, Tiers, Venue, hyperliquid};

use super::inputs::Source;
use crate::text;

/// Leverages at which open interest is supposed to be held, with their shares, where nothing is known: a round prior, weighted
/// as published maps are, with what they leave out below 10x.
const PRIOR: [(u32, f64); 9] =
    [(2, 0.12), (3, 0.14), (5, 0.20), (10, 0.22), (20, 0.14), (25, 0.08), (50, 0.06), (75, 0.02), (100, 0.02)];
/// As how many observations the prior counts.
const CONCENTRATION: f64 = 20.0;
/// The size whose tier a position is supposed to be in, in US dollars.
const NOTIONAL: u32 = 50_000;
/// A maintenance rate where a venue's tiers are not known, and its fee for closing.
const FLAT: (f64, f64) = (0.005, 0.0005);
/// The taker's fee of rules that have one.
const TAKER_FEE: Decimal = Decimal::from_parts(5, 0, 0, false, 4);
/// Cells of a model's grid.
const CELLS: usize = 1_600;
/// Ways in which positions pass on that are tried when a model is fitted: share of turnover, and its power of leverage.
const TRIES: [(f64, f64); 7] = [(0.03, 1.0), (0.1, 1.0), (0.3, 0.5), (1.0, 0.5), (3.0, 1.0), (10.0, 0.5), (30.0, 1.0)];
/// The way where nothing can be tried.
const UNFITTED: (f64, f64) = (0.1, 1.0);
/// How much the prior counts in a fit.
const STRENGTH: f64 = 0.02;
/// Candles with known liquidations from which on a model is fitted to them.
pub(crate) const LEAST_FITTED: usize = 100;

/// Supposes open interest that is told for the present alone to have been the same before, and says so.
pub(crate) fn suppose_open_interest(source: &mut Source) {
    let is_told = source.candles.iter().any(|candle| candle.open_interest.is_some());
    let Some((_, now)) = source.open_interest.iter().next_back().filter(|_| !is_told) else { return };
    let now = *now;
    source.candles.iter_mut().for_each(|candle| candle.open_interest = Some(now));
    source.notes.push(format!(
        "{}: its open interest is known for one moment only and supposed to have been the same at all times, so its map rests on \
         turnover alone.",
        source.name
    ));
}

/// The grid on which a source's levels stand, with room on either side of all its prices.
pub(crate) fn grid(source: &Source) -> anyhow::Result<Grid> {
    let low = source.candles.iter().map(|candle| candle.low).fold(f64::INFINITY, f64::min);
    let high = source.candles.iter().map(|candle| candle.high).fold(0.0, f64::max);
    Grid::new(low / 3.0, high * 2.0, CELLS).with_context(|| format!("{}: no prices to map", source.name))
}

/// The tiers of a source's contract, and from where they are.
fn tiers(source: &Source, coin: &str) -> (Option<Tiers>, &'static str) {
    if let Some(tiers) = &source.tiers {
        return (Some(tiers.clone()), "as the venue states them now");
    }
    let stated = if source.venue == Venue::Hyperliquid { hyperliquid::stated(coin) } else { None };
    (stated, "as the venue's documents stated them")
}

/// What a source's model supposes before anything is fitted.
pub(crate) fn prior(source: &Source, coin: &str) -> anyhow::Result<Assumptions> {
    let (tiers, from) = tiers(source, coin);
    let entry = source.candles.last().and_then(|candle| Decimal::try_from(candle.close).ok());
    let entry = entry.with_context(|| format!("{}: no price", source.name))?;
    let rule = source.venue.rule(TAKER_FEE);
    let exact = |leverage: u32, share: f64| {
        let opening = Opening {
            side: Side::Long,
            contract: source.contract,
            entry,
            notional: Decimal::from(NOTIONAL),
            leverage: Decimal::from(leverage),
            rule: rule?,
            tiers: Some(tiers.as_ref()?),
        };
        Bucket::exact(&opening, share).ok()
    };
    let mut buckets: Vec<Bucket> = PRIOR.iter().filter_map(|(leverage, share)| exact(*leverage, *share)).collect();
    let levels = if buckets.is_empty() {
        let flat = |(leverage, share): &(u32, f64)| Bucket::flat(f64::from(*leverage), *share, FLAT.0, FLAT.1);
        buckets = PRIOR.iter().map(flat).collect();
        format!(
            "the margin tiers of {} are not known, so its levels are not exact: a flat maintenance rate of {} and a closing fee \
             of {} % stand for them",
            source.venue,
            text::percent(FLAT.0),
            FLAT.1 * 100.0
        )
    } else {
        format!(
            "liquidation prices by the rule of {} and its margin tiers {from}, for positions of ${NOTIONAL}",
            source.venue
        )
    };
    // Leverages that the venue does not allow leave their share to the others.
    let sum: f64 = buckets.iter().map(|bucket| bucket.share).sum();
    buckets.iter_mut().for_each(|bucket| bucket.share /= sum);
    Ok(Assumptions {
        source: format!("{}: {levels}; leverages are a round prior that nothing was fitted to.", source.name),
        priced: source.priced,
        buckets,
        concentration: CONCENTRATION,
        transfer: UNFITTED.0,
        transfer_power: UNFITTED.1,
        fast_share: 0.8,
        fast_pace: 10.0,
        entry_tilt: 0.0,
        liquidated: 1.0,
        interval: source.interval,
    })
}

/// What each candle from `from` to before `until` swept, by side, beside what was liquidated in it.
fn observe(source: &Source, grid: &Grid, assumptions: &Assumptions, until: i64) -> anyhow::Result<Vec<Observation>> {
    let mut model = Model::new(grid.clone(), assumptions.clone())?;
    let mut found = Vec::new();
    for candle in source.candles.iter().take_while(|candle| candle.time < until) {
        if model.apply(candle).is_err() {
            continue;
        }
        let Some(liquidated) = source.liquidated.get(&candle.time) else { continue };
        for (side, realised) in liquidated.iter().enumerate() {
            let swept = model.swept().iter().map(|pair| pair[side].usd).collect();
            found.push(Observation { swept, realised: *realised });
        }
    }
    Ok(found)
}

/// What a source's model supposes, fitted to the liquidations of candles before `until` where there are enough.
pub(crate) fn assumptions(source: &Source, coin: &str, grid: &Grid, until: i64) -> anyhow::Result<Assumptions> {
    let prior = prior(source, coin)?;
    let known = source.liquidated.range(..until).count();
    if known < LEAST_FITTED {
        return Ok(prior);
    }
    let shares: Vec<f64> = prior.buckets.iter().map(|bucket| bucket.share).collect();
    let mut best: Option<(Assumptions, Fit)> = None;
    for (transfer, transfer_power) in TRIES {
        let tried = Assumptions { transfer, transfer_power, ..prior.clone() };
        let Some(fit) = calibrate::shares(&shares, STRENGTH, &observe(source, grid, &tried, until)?) else { continue };
        if best.as_ref().is_none_or(|(_, before)| fit.divergence < before.divergence) {
            best = Some((tried, fit));
        }
    }
    let Some((tried, fit)) = best else { return Ok(prior) };
    let mut fitted = tried.fitted(&fit, 1.0);
    let last = source.liquidated.range(..until).next_back().map_or(until, |(time, _)| *time);
    fitted.source = fitted.source.replace(
        "leverages are a round prior that nothing was fitted to.",
        &format!(
            "leverages and passing on are fitted to the liquidations of {known} candles to {}.",
            super::moment(last)
        ),
    );
    Ok(fitted)
}

/// The model after all candles, with the fit to all known liquidations.
pub(crate) fn folded(source: &Source, coin: &str) -> anyhow::Result<Model> {
    let grid = grid(source)?;
    let assumptions = assumptions(source, coin, &grid, i64::MAX)?;
    let mut model = Model::new(grid, assumptions)?;
    for candle in &source.candles {
        // What is not taken is counted in the model's coverage.
        let _ = model.apply(candle);
    }
    Ok(model)
}
