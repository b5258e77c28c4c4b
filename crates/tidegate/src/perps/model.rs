//! The estimated model of a contract: what is supposed, and the fold over its candles.

use std::ops::Range;

use anyhow::Context as _;
use engine::map::perps::Grid;
use engine::map::perps::calibrate::{self, Best, Case};
use engine::map::perps::estimated::{Assumptions, Bucket, Candle, Model};
use engine::map::perps::score::{Misses, Walked, walk};
use protocol::Decimal;
use protocol::venue::{Contract, Opening, Side, Tiers, Venue, hyperliquid};

use super::inputs::Source;
use super::rules::Rules;
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
/// How far taker buying moves entries, tried beside not at all on the best of those ways.
const TILTS: [f64; 2] = [0.5, 1.0];
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

/// The candles that had ended by a moment.
fn ended(source: &Source, until: i64) -> &[Candle] {
    let before = source.candles.partition_point(|candle| candle.time.saturating_add(source.interval) <= until);
    source.candles.get(..before).unwrap_or_default()
}

/// The grid on which a source's levels stand, with room on either side of all its prices before `until`: where they go after it
/// does not move a level. Of all its prices where there are none before.
pub(crate) fn grid(source: &Source, until: i64) -> anyhow::Result<Grid> {
    let before = ended(source, until);
    let candles = if before.is_empty() { &source.candles } else { before };
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

/// By which rules a source's positions are supposed to be liquidated, in words.
pub(crate) fn rules(source: &Source, coin: &str) -> String {
    if let Some(rules) = &source.rules {
        return rules.words();
    }
    match tiers(source, coin) {
        (Some(_), from) => format!("margin tiers {from}"),
        (None, _) => format!("margin tiers not told: {}", flat_words()),
    }
}

/// What a source's model supposes before anything is fitted, for positions at the last price before `until`, or the first of all.
pub(crate) fn prior(source: &Source, coin: &str, until: i64) -> anyhow::Result<Assumptions> {
    let (tiers, from) = tiers(source, coin);
    let entry = ended(source, until).last().map(|candle| candle.close);
    let entry = entry.or(source.candles.first().map(|candle| candle.open));
    let entry = entry.and_then(|price| Decimal::try_from(price).ok());
    let entry = entry.with_context(|| format!("{}: no price", source.name))?;
    if let Some(rules) = &source.rules {
        return ruled(source, rules, entry);
    }
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

/// What is supposed where liquidations follow rules that somebody named: of several venues at the mean of those that allow a leverage.
fn ruled(source: &Source, rules: &Rules, entry: Decimal) -> anyhow::Result<Assumptions> {
    let one = |leverage: u32, share: f64, venue: Venue, tiers: &Tiers| {
        let opening = Opening {
            side: Side::Long,
            contract: if venue == Venue::BinanceCoinm { Contract::Inverse } else { Contract::Linear },
            entry,
            notional: Decimal::from(NOTIONAL),
            leverage: Decimal::from(leverage),
            rule: venue.rule(TAKER_FEE)?,
            tiers: Some(tiers),
        };
        Bucket::exact(&opening, share).ok()
    };
    let mean = |leverage: u32, share: f64| {
        let all: Vec<Bucket> = rules.of.iter().filter_map(|of| one(leverage, share, of.venue, &of.tiers)).collect();
        let count = f64::from(u32::try_from(all.len()).ok().filter(|count| *count > 0)?);
        let ratio = |of: fn(&Bucket) -> f64| all.iter().map(of).sum::<f64>() / count;
        let first = all.first()?;
        Some(Bucket { long_ratio: ratio(|one| one.long_ratio), short_ratio: ratio(|one| one.short_ratio), ..*first })
    };
    let buckets: Vec<Bucket> = PRIOR.iter().filter_map(|(leverage, share)| mean(*leverage, *share)).collect();
    let words = rules.words();
    if buckets.is_empty() {
        anyhow::bail!("{}: {words}: none of them allows a leverage that is supposed; name other rules", source.name);
    }
    let words = format!(
        "{}: liquidation prices by {words}, for positions of ${NOTIONAL}{}; leverages are a round prior that nothing was fitted to.",
        source.name,
        if rules.of.len() > 1 { ", at the mean of those that allow a leverage" } else { "" }
    );
    Ok(supposed(source, words, buckets))
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
        tilt_cases: 0,
        liquidated: 1.0,
        interval: source.interval,
    }
}

/// When the first open interest is known.
pub(crate) fn starts(source: &Source) -> i64 {
    let first = source.candles.iter().find(|candle| candle.open_interest.is_some());
    first.map_or(i64::MAX, |candle| candle.time)
}

/// The candles to whose liquidations a model is fitted that may know nothing of `until` or after: those that had ended by then.
pub(crate) fn fitting(source: &Source, until: i64) -> Range<i64> {
    let starts = starts(source);
    let ended = source.liquidated.range(..=until.saturating_sub(source.interval));
    let ends = ended.last().map_or(starts, |(time, _)| time.saturating_add(1)).max(starts);
    starts + (ends - starts) / WARMING..ends
}

/// A source's candles, each with what was liquidated in it where that is known.
pub(crate) fn cases(source: &Source) -> Vec<Case> {
    let of = |candle: &Candle| (*candle, source.liquidated.get(&candle.time).copied());
    source.candles.iter().map(of).collect()
}

/// What a source's model supposes, fitted to the liquidations of candles before `until` where there are enough.
pub(crate) fn assumptions(source: &Source, coin: &str, grid: &Grid, until: i64) -> anyhow::Result<Assumptions> {
    let mut prior = prior(source, coin, until)?;
    let window = fitting(source, until);
    let known = source.liquidated.range(window.clone()).count();
    if known < LEAST_FITTED {
        return Ok(prior);
    }
    let cases = cases(source);
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
    if source.rules.is_none() && (best.unreached > UNREACHED || best.scale > 1.0) {
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
        prior = supposed(source, words, flat());
        best = fit(&prior)?.unwrap_or(best);
    }
    best = tilted(best, &prior, (grid, &cases, &window))?;
    let scale = format!(
        "{fitted_to}, with {:.2} dollars supposed to be liquidated there for one of the open interest's own (1 where that could \
         have lost as much)",
        best.scale
    );
    let words = best.assumptions.source.replace("leverages are a round prior that nothing was fitted to", &scale);
    Ok(Assumptions { source: words, ..best.assumptions })
}

/// The best fit with what takers bought tried as well, where enough of it is known: `start` is what it began from.
fn tilted(
    best: Best,
    start: &Assumptions,
    (grid, cases, window): (&Grid, &[Case], &Range<i64>),
) -> anyhow::Result<Best> {
    let is_known = |(candle, liquidated): &&Case| {
        window.contains(&candle.time) && liquidated.is_some() && candle.taker_buy.is_some() && candle.turnover.is_some()
    };
    let known = cases.iter().filter(is_known).count();
    if known < LEAST_FITTED {
        return Ok(best);
    }
    let Assumptions { transfer, transfer_power, .. } = best.assumptions;
    let tries = TILTS.map(|entry_tilt| Assumptions { transfer, transfer_power, entry_tilt, ..start.clone() });
    let tilted = calibrate::best(grid, &tries, STRENGTH, cases, window, None)?;
    let mut best = tilted.filter(|tilted| tilted.fit.divergence < best.fit.divergence).unwrap_or(best);
    best.assumptions.tilt_cases = known;
    Ok(best)
}

/// A model after all candles, and what its own past tells of it.
pub(crate) struct Folded {
    pub model: Model,
    /// What came in the candles it was fitted to after what it says of them, longs and shorts.
    pub past: [Misses; 2],
}

/// The model after all candles, with the fit to all known liquidations.
pub(crate) fn folded(source: &Source, coin: &str) -> anyhow::Result<Folded> {
    let grid = grid(source, i64::MAX)?;
    let assumptions = assumptions(source, coin, &grid, i64::MAX)?;
    let window = fitting(source, i64::MAX).start..i64::MAX;
    // What is not taken is counted in the model's coverage.
    let Walked { said, methods } = walk(&grid, &assumptions, &cases(source), &window)?;
    let past = said.map(|said| Misses::of(said.iter().map(|one| (one.band.mid, one.came)).collect()));
    Ok(Folded { model: methods.into_model(), past })
}

#[cfg(test)]
mod tests {
    use protocol::standing::Standing;

    use super::*;
    use crate::perps::Origin;

    /// Twelve days of hours, with what takers bought of each where that is told, and what a model of this tilt liquidates in them.
    fn source(tilt: f64, is_told: bool) -> Source {
        let mut source = Source::new("test".into(), Origin::Venues, Venue::Hyperliquid, Standing::Observed);
        source.interval = 3_600;
        let mut price = 100.0_f64;
        for at in 0..290_i64 {
            let turn = |by: i64| f64::from(i32::try_from(at * by % 29).unwrap()) / 29.0 - 0.5;
            let close = (price * (1.0 + 0.05 * turn(7))).clamp(70.0, 140.0);
            source.candles.push(Candle {
                time: at * 3_600,
                open: price,
                high: price.max(close) * 1.02,
                low: price.min(close) * 0.98,
                close,
                turnover: Some(5_000.0),
                taker_buy: Some(if turn(11) > 0.0 { 5_000.0 } else { 0.0 }),
                open_interest: Some(100.0 + 90.0 * turn(13)),
            });
            price = close;
        }
        let grid = grid(&source, i64::MAX).unwrap();
        let made = Assumptions { entry_tilt: tilt, ..prior(&source, "BTC", i64::MAX).unwrap() };
        let said = walk(
            &grid,
            &made,
            &source.candles.iter().map(|candle| (*candle, Some([0.0; 2]))).collect::<Vec<_>>(),
            &(0..i64::MAX),
        );
        let [longs, shorts] = said.unwrap().said;
        source.liquidated =
            longs.iter().zip(&shorts).map(|(long, short)| (long.time, [long.during.mid, short.during.mid])).collect();
        if !is_told {
            source.candles.iter_mut().for_each(|candle| candle.taker_buy = None);
        }
        source
    }

    #[test]
    fn what_taker_buying_moves_is_fitted_where_it_is_known() {
        for (tilt, is_told, expected, said) in [
            (1.0, true, 1.0, "at 1, fitted to the liquidations of 217 candles"),
            (0.0, true, 0.0, "moves nothing: fitted to 0 on the liquidations of 217 candles"),
            (1.0, false, 0.0, "moves nothing: nothing was fitted to it"),
        ] {
            let source = source(tilt, is_told);
            let grid = grid(&source, i64::MAX).unwrap();
            let found = assumptions(&source, "BTC", &grid, i64::MAX).unwrap();
            assert_eq!((found.entry_tilt, found.tilt_says().contains(said)), (expected, true), "{}", found.tilt_says());
        }
    }
}
