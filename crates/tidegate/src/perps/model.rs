//! The estimated model of a contract: what is supposed, and the fold over its candles.

use std::ops::Range;

use anyhow::Context as _;
use engine::map::perps::Grid;
use engine::map::perps::calibrate::{self, Case};
use engine::map::perps::estimated::{Assumptions, Bucket, Candle, Model};
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
/// Of the time in which open interest is known, the share that goes by before a model is fitted: until then most positions were
/// opened before anything was seen.
const WARMING: i64 = 4;
/// Where more than this share of liquidations came where none of a venue's leverages is liquidated, they are not all the venue's.
const UNREACHED: f64 = 0.1;
/// Candles with known liquidations from which on a model is fitted to them.
pub(crate) const LEAST_FITTED: usize = 100;

/// Supposes open interest that is told for the present alone to have been the same before, and says so.
pub(crate) fn suppose_open_interest(source: &mut Source) {
    let is_told = source.candles.iter().any(|candle| candle.open_interest.is_some());
    let Some((_, now)) = source.open_interest.iter().next_back().filter(|_| !is_told) else { return };
    let now = *now;
    source.is_open_interest_supposed = true;
    source.candles.iter_mut().for_each(|candle| candle.open_interest = Some(now));
    source.notes.push(format!(
        "{}: its open interest is known for one moment only and supposed to have been the same at all times, so its map rests on \
         turnover alone.",
        source.name
    ));
}

/// The grid on which a source's levels stand, with room on either side of all its prices before `until`: where they go after it
/// does not move a level. Of all its prices where there are none before.
pub(crate) fn grid(source: &Source, until: i64) -> anyhow::Result<Grid> {
    let before = source.candles.partition_point(|candle| candle.time < until);
    let candles = source.candles.get(..before).filter(|before| !before.is_empty()).unwrap_or(&source.candles);
    let low = candles.iter().map(|candle| candle.low).fold(f64::INFINITY, f64::min);
    let high = candles.iter().map(|candle| candle.high).fold(0.0, f64::max);
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
    let buckets: Vec<Bucket> = PRIOR.iter().filter_map(|(leverage, share)| exact(*leverage, *share)).collect();
    let levels = if buckets.is_empty() {
        format!("the margin tiers of {} are not known, so its levels are not exact: {}", source.venue, flat_words())
    } else {
        format!(
            "liquidation prices by the rule of {} and its margin tiers {from}, for positions of ${NOTIONAL}",
            source.venue
        )
    };
    let source_words = format!("{}: {levels}; leverages are a round prior that nothing was fitted to.", source.name);
    Ok(supposed(source, source_words, if buckets.is_empty() { flat() } else { buckets }))
}

/// The prior under one flat maintenance rate, up to its highest leverage.
fn flat() -> Vec<Bucket> {
    PRIOR.iter().map(|(leverage, share)| Bucket::flat(f64::from(*leverage), *share, FLAT.0, FLAT.1)).collect()
}

fn flat_words() -> String {
    format!(
        "a flat maintenance rate of {} and a closing fee of {} % stand for them",
        text::percent(FLAT.0),
        FLAT.1 * 100.0
    )
}

fn supposed(source: &Source, words: String, mut buckets: Vec<Bucket>) -> Assumptions {
    // Leverages that the venue does not allow leave their share to the others.
    let sum: f64 = buckets.iter().map(|bucket| bucket.share).sum();
    buckets.iter_mut().for_each(|bucket| bucket.share /= sum);
    Assumptions {
        source: words,
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
    }
}

/// When the first open interest is known.
pub(crate) fn starts(source: &Source) -> i64 {
    let first = source.candles.iter().find(|candle| candle.open_interest.is_some());
    first.map_or(i64::MAX, |candle| candle.time)
}

/// The candles to whose liquidations a model is fitted that may know nothing of `until` or after.
pub(crate) fn fitting(source: &Source, until: i64) -> Range<i64> {
    let starts = starts(source);
    let ends = source.liquidated.range(..until).next_back().map_or(starts, |(time, _)| time.saturating_add(1));
    let ends = ends.max(starts);
    starts + (ends - starts) / WARMING..ends
}

/// What a source's model supposes, fitted to the liquidations of candles before `until` where there are enough.
pub(crate) fn assumptions(source: &Source, coin: &str, grid: &Grid, until: i64) -> anyhow::Result<Assumptions> {
    let prior = prior(source, coin)?;
    let window = fitting(source, until);
    let known = source.liquidated.range(window.clone()).count();
    if known < LEAST_FITTED {
        return Ok(prior);
    }
    let of = |candle: &Candle| (*candle, source.liquidated.get(&candle.time).copied());
    let cases: Vec<Case> = source.candles.iter().map(of).collect();
    let fit = |start: &Assumptions| {
        let tries = TRIES.map(|(transfer, transfer_power)| Assumptions { transfer, transfer_power, ..start.clone() });
        calibrate::best(grid, &tries, STRENGTH, &cases, &window, None)
    };
    let Some(mut best) = fit(&prior)? else { return Ok(prior) };
    let fitted_to = format!(
        "leverages, passing on and how sure they are were fitted to the liquidations of {known} candles from {} to {}",
        super::moment(window.start),
        super::moment(window.end - 1)
    );
    if best.unreached > UNREACHED || best.scale > 1.0 {
        // Whose the liquidations are is not told, so no venue's highest leverage bounds them.
        let words = format!(
            "{}: in {} of the cases in which something was liquidated, nothing at the leverages of {} stood where the price went, so \
             liquidations are supposed to be of other venues too (the map's open interest is not); their margin tiers are not known, \
             and {}; leverages are a round prior that nothing was fitted to.",
            source.name,
            text::percent(best.unreached),
            source.venue,
            flat_words()
        );
        best = fit(&supposed(source, words, flat()))?.unwrap_or(best);
    }
    let scale = format!(
        "{fitted_to}, with {:.2} dollars supposed to be liquidated there for one of the open interest's own (1 where that could \
         have lost as much)",
        best.scale
    );
    let words = best.assumptions.source.replace("leverages are a round prior that nothing was fitted to", &scale);
    Ok(Assumptions { source: words, ..best.assumptions })
}

/// The model after all candles, with the fit to all known liquidations.
pub(crate) fn folded(source: &Source, coin: &str) -> anyhow::Result<Model> {
    let grid = grid(source, i64::MAX)?;
    let assumptions = assumptions(source, coin, &grid, i64::MAX)?;
    let mut model = Model::new(grid, assumptions)?;
    for candle in &source.candles {
        // What is not taken is counted in the model's coverage.
        let _ = model.apply(candle);
    }
    Ok(model)
}
