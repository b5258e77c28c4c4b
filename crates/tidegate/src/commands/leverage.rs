//! `tidegate leverage`: how much leverage there is, beside named stretches of the past, and whether it was reset.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;

use anyhow::bail;
use engine::map::Assumption;
use engine::map::perps::estimated::{Model, place};
use engine::map::perps::leverage::{
    LOOK_BACK, Metric, Moment, REACH, REBUILT, RESET, STRETCHED, WINDOWS, compare, funding, verdict,
};
use protocol::standing::Standing;
use protocol::time::SECOND_US;
use protocol::venue::Side;

use crate::args;
use crate::output;
use crate::perps::inputs::Source;
use crate::perps::{self, Origin, model, told};
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Measures.
pub(crate) fn run(archive: &Path, args: &args::Leverage) -> anyhow::Result<()> {
    if args.supply.is_some_and(|supply| !(supply > 0.0 && supply.is_finite())) {
        bail!("--supply takes a number of coins above 0");
    }
    // A day more than the rule looks back, so that its first day is whole.
    let usual = (LOOK_BACK + DAY) * SECOND_US;
    let wanted = perps::Wanted { sources: &args.sources, keeping: &args.keeping, is_alone: true, usual };
    let found = perps::gather_all(archive, &args.coin, wanted)?;
    let mut notes = Vec::new();
    let mut table = Table::new(
        "leverage",
        &[
            ("source", Unit::Text),
            ("metric", Unit::Text),
            ("now", Unit::Text),
            ("window", Unit::Text),
            ("then_low", Unit::Text),
            ("then_median", Unit::Text),
            ("then_high", Unit::Text),
            ("rank", Unit::Share),
            ("values", Unit::Count),
        ],
    );
    let mut standing = Standing::Observed;
    let (mut told, mut assumed) = (Vec::new(), Vec::new());
    for source in &found.sources {
        let (moments, supposed) = moments(source, &args.coin, args.supply)?;
        let Some(now) = moments.iter().rev().find(|moment| moment.open_interest.is_some()) else {
            notes.push(format!("{}: open interest is not known, so nothing can be said.", source.name));
            continue;
        };
        standing = standing.max(source.standing).max(Standing::Estimated);
        let named = |one: Assumption| Assumption { name: format!("{}.{}", source.name, one.name).into(), ..one };
        assumed.extend(supposed.into_iter().map(named));
        let until = moments.iter().take_while(|moment| moment.time <= now.time).count();
        rows(source, now, &moments[..until], &mut table, &mut notes);
        told.extend(says(source, &moments[..until]));
    }
    told.extend(together(&found.sources));
    if table.rows.is_empty() {
        bail!(
            "nothing is known of the leverage in {}; import candles and open interest (`tidegate import perps`), or see why venues \
             told nothing: {}",
            text::printable(&args.coin),
            found.notes.iter().chain(&notes).map(|note| format!(" {note}")).collect::<String>()
        );
    }
    told.push(rule());
    told.extend(found.sources.iter().flat_map(|source| source.notes.iter().cloned()));
    told.extend(found.notes);
    told.extend(notes);
    let title = format!("Leverage in {}", text::printable(&args.coin));
    let contracts = told::table(&found.sources.iter().collect::<Vec<_>>(), &args.coin);
    let report = Report { title, standing, notes: told, tables: vec![contracts, table] };
    output::write_supposing(&report, &assumed, &super::destination(&args.output))
}

/// The rule, in words.
fn rule() -> String {
    format!(
        "The rule, over {} days, in coins: reset is {} or more off the highest open interest, less than {} above the lowest since, and \
         funding not above its median or not known; rebuilding was as far off and is {} or more above that lowest; stretched is within \
         {} of the highest, with funding in its upper quarter or not known; between is none of these.",
        LOOK_BACK / DAY,
        text::percent(RESET),
        text::percent(REBUILT),
        text::percent(REBUILT),
        text::percent(STRETCHED)
    )
}

/// What is known of a source at the end of every candle, and what was supposed for it.
fn moments(source: &Source, coin: &str, supply: Option<f64>) -> anyhow::Result<(Vec<Moment>, Vec<Assumption>)> {
    if source.candles.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    // A model that was fitted to what came later would know the past too well: the prior alone.
    let mut model = Model::new(model::grid(source, i64::MAX)?, model::prior(source, coin, i64::MAX)?)?;
    let a_day = usize::try_from(DAY / source.interval.clamp(1, DAY)).unwrap_or(1);
    // A model is large: of candles shorter than an hour those are kept that the newest moment and every hour before it need.
    let newest = source.candles.iter().rposition(|candle| candle.open_interest.is_some()).unwrap_or(0);
    let hour = (a_day / 24).max(1);
    let is_kept = |at: usize| newest.abs_diff(at + a_day - 1) % hour == 0;
    let mut earlier: VecDeque<(usize, Model)> = VecDeque::new();
    let mut moments = Vec::with_capacity(source.candles.len());
    for (at, candle) in source.candles.iter().enumerate() {
        while earlier.front().is_some_and(|(first, _)| first + a_day <= at) {
            earlier.pop_front();
        }
        if is_kept(at) {
            earlier.push_back((at, model.clone()));
        }
        let is_taken = model.apply(candle).is_ok();
        let day = source.candles.get(at.saturating_sub(a_day - 1)..=at).unwrap_or_default();
        let ends = candle.time + source.interval;
        // A day with a gap in it has no sum.
        let is_whole = day.len() == a_day && day.first().is_some_and(|first| first.time + DAY == ends);
        let sum = |of: &dyn Fn(&engine::map::perps::estimated::Candle) -> Option<f64>| {
            if is_whole { day.iter().map(of).sum::<Option<f64>>() } else { None }
        };
        let liquidated = |side: usize| sum(&|candle| source.liquidated.get(&candle.time).map(|both| both[side]));
        let reached = |model: &Model, low: f64, high: f64| {
            [model.reached(Side::Long, low).mid, model.reached(Side::Short, high).mid]
        };
        let near = is_taken.then(|| reached(&model, candle.close * (1.0 - REACH), candle.close * (1.0 + REACH)));
        let before = earlier.front().filter(|(first, _)| is_whole && first + a_day == at + 1).map(|(_, model)| model);
        let predicted = before.filter(|model| model.open_interest().is_some()).map(|model| {
            let low = day.iter().map(|candle| candle.low).fold(f64::INFINITY, f64::min);
            let high = day.iter().map(|candle| candle.high).fold(0.0, f64::max);
            reached(model, low, high).iter().sum::<f64>() * model.assumptions().liquidated
        });
        // What is supposed of the past is no evidence of it: it is known of the newest alone.
        let open_interest = candle.open_interest.filter(|_| !source.is_open_interest_supposed || at == newest);
        moments.push(Moment {
            time: ends,
            length: source.interval,
            price: candle.close,
            open_interest,
            supply,
            turnover: sum(&|candle| candle.turnover),
            depth: source.depth.filter(|_| at + 1 == source.candles.len()),
            funding: rate(source, ends),
            liquidations: liquidated(place(Side::Long)).zip(liquidated(place(Side::Short))).map(|(a, b)| [a, b]),
            reached: near.filter(|_| open_interest.is_some()),
            predicted,
        });
    }
    Ok((moments, model.assumptions().stated()))
}

/// Funding for a day at a moment: the last rate that was paid, no older than a day.
fn rate(source: &Source, time: i64) -> Option<f64> {
    let (_, (rate, hours)) = source.funding.range(time - DAY..=time).next_back()?;
    funding(&[(1.0, *rate, *hours)])
}

/// Every metric now, beside every stretch of the past that data reach.
fn rows(source: &Source, now: &Moment, moments: &[Moment], table: &mut Table, notes: &mut Vec<String>) {
    let mut missing = BTreeSet::new();
    let mut absent: Vec<&str> = Vec::new();
    for metric in Metric::ALL {
        let Some(value) = metric.of(now) else {
            missing.insert(metric);
            continue;
        };
        let mut is_compared = false;
        for window in WINDOWS {
            let Some(found) = compare(now, moments, window, metric) else { continue };
            is_compared = true;
            table.push(vec![
                Value::Text(source.name.to_string()),
                Value::Text(metric.words().to_owned()),
                Value::Text(shown(value)),
                Value::Text(window.name.to_owned()),
                Value::Text(shown(found.then[0])),
                Value::Text(shown(found.then[1])),
                Value::Text(shown(found.then[2])),
                Value::Share(found.rank),
                Value::Count(found.values as u64),
            ]);
        }
        if !is_compared {
            let mut row = vec![Value::Text(source.name.to_string()), Value::Text(metric.words().to_owned())];
            row.push(Value::Text(shown(value)));
            row.extend(vec![Value::Missing; 6]);
            table.push(row);
        }
    }
    let is_reached = |from: i64, to: i64| moments.iter().any(|moment| moment.time >= from && moment.time < to);
    absent.extend(WINDOWS.iter().filter(|window| !is_reached(window.from, window.to)).map(|window| window.name));
    if !absent.is_empty() {
        notes.push(format!("{}: the data do not reach {}.", source.name, absent.join(", ")));
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|metric| metric.words()).collect();
        notes.push(format!("{}: not known, as an input is missing: {}.", source.name, names.join("; ")));
    }
    if source.depth.is_some() {
        notes.push(format!(
            "{}: depth is what the venue shows of its book within 1 %, which may end before that.",
            source.name
        ));
    }
}

/// A figure in four digits.
fn shown(value: f64) -> String {
    let size = value.abs();
    if size >= 1e9 {
        format!("{:.3}B", value / 1e9)
    } else if size >= 1e6 {
        format!("{:.3}M", value / 1e6)
    } else if size >= 1_000.0 {
        format!("{value:.0}")
    } else if size >= 0.01 || size == 0.0 {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// The verdict with what it rests on.
fn says(source: &Source, moments: &[Moment]) -> Vec<String> {
    let found = verdict(moments);
    let mut evidence = Vec::new();
    if let Some(off) = found.drawdown {
        evidence.push(format!("open interest in coins is {} off its highest", text::percent(off)));
    }
    if let Some(back) = found.recovery {
        evidence.push(format!("{} above its lowest since", text::percent(back)));
    }
    if let Some(rank) = found.funding_rank {
        evidence.push(format!("funding is above {} of its values", text::percent(rank)));
    }
    let at = moments.last().map_or_else(String::new, |last| format!(" at {}", perps::moment(last.time)));
    let mut sentences = vec![format!(
        "{}: {}{at}: {} ({:.0} days of the look-back are covered).",
        source.name,
        found.state,
        if evidence.is_empty() { "there is no evidence".to_owned() } else { evidence.join(", ") },
        found.days
    )];
    sentences.extend(found.missing.into_iter().map(|missing| format!("{}: {missing}", source.name)));
    sentences
}

/// Over the venues that were asked: what is open in all, and funding weighted by it.
fn together(sources: &[Source]) -> Option<String> {
    let live: Vec<&Source> = sources.iter().filter(|source| source.origin == Origin::Venues).collect();
    let known = live.iter().filter_map(|source| {
        let coins = source.open_interest.values().next_back()?;
        let (rate, hours) = source.funding.values().next_back().copied().unzip();
        Some((*coins, source.mark?, rate.zip(hours)))
    });
    let known: Vec<_> = known.collect();
    if known.len() < 2 {
        return None;
    }
    let coins: f64 = known.iter().map(|(coins, ..)| coins).sum();
    let usd: f64 = known.iter().map(|(coins, mark, _)| coins * mark).sum();
    let rates: Vec<_> =
        known.iter().filter_map(|(coins, _, rate)| rate.map(|(rate, hours)| (*coins, rate, hours))).collect();
    let weighted = funding(&rates).map_or_else(|| "not known".to_owned(), |day| format!("{:.4} % a day", day * 100.0));
    Some(format!(
        "Over the {} contracts asked of which open interest is known: {} coins one-sided, {} USD; funding weighted by it {weighted}.",
        known.len(),
        shown(coins),
        shown(usd)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::map::perps::estimated::Candle;
    use protocol::venue::Venue;

    #[test]
    fn figures_are_short() {
        for (value, expected) in [
            (0.0, "0.0000"),
            (0.25, "0.2500"),
            (-1_234.6, "-1235"),
            (2.5e9, "2.500B"),
            (1.5e6, "1.500M"),
            (0.0001, "1.000e-4"),
        ] {
            assert_eq!(shown(value), expected);
        }
    }

    #[test]
    fn the_rule_is_said_with_its_numbers() {
        assert!(rule().contains("20.0 %") && rule().contains("90 days"));
    }

    /// Two days of candles of ten minutes, of which open interest is told for the present alone.
    fn source() -> Source {
        let mut source = Source::new("test".into(), Origin::Venues, Venue::Bybit, Standing::Observed);
        source.interval = 600;
        let candle = |at: i64| Candle {
            time: at * 600,
            open: 100.0,
            high: 101.0,
            low: 99.0,
            close: 100.0,
            turnover: Some(1_000.0),
            taker_buy: None,
            open_interest: None,
        };
        source.candles = (0..288).map(candle).collect();
        source.open_interest.insert(288 * 600 + 5, 10.0);
        source
    }

    #[test]
    fn what_is_supposed_of_the_past_is_no_evidence() {
        let mut source = source();
        model::suppose_open_interest(&mut source);
        let found = moments(&source, "BTC", None).unwrap().0;
        assert_eq!(found.iter().filter(|moment| moment.open_interest.is_some()).count(), 1);
        let said = says(&source, &found).concat();
        assert!(
            said.contains("unknown") && said.contains("no evidence") && !said.contains("off its highest"),
            "{said}"
        );
    }

    #[test]
    fn the_newest_moment_and_each_hour_before_it_are_predicted() {
        let mut source = source();
        source.candles.iter_mut().for_each(|candle| candle.open_interest = Some(10.0));
        let found = moments(&source, "BTC", None).unwrap().0;
        let predicted: Vec<usize> = (0..found.len()).filter(|at| found[*at].predicted.is_some()).collect();
        // The first day has no map made before it.
        assert_eq!(predicted, (0..24).map(|hour| 149 + hour * 6).collect::<Vec<_>>());
    }
}
