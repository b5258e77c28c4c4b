//! What venues of perpetual futures have on a map: in sentences, as a table, in a picture.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use engine::map::perps::estimated::{Heat, heat};
use engine::map::perps::{Grid, estimated};
use engine::map::{Band, Map, Series, Side};
use protocol::amount::Usd8;
use protocol::standing::Standing;

use super::super::tables;
use super::{Perps, is_of_venues, moments, whole};
use crate::args::PerpOthers;
use crate::chart::{self, Caption, Panel, Part};
use crate::perps::Origin;
use crate::perps::inputs::Source;
use crate::table::{Table, Unit, Value};
use crate::text;

/// Moves that a summary speaks of, in basis points.
const MOVES: [i128; 6] = [-2_500, -1_000, -500, 500, 1_000, 2_500];
/// Sources that a sentence names.
const MOST_NAMED: usize = 3;
/// Rows of a heatmap.
const ROWS: usize = 240;
/// The most candles a heatmap shows: what it holds grows with them.
const MOST_COLUMNS: i64 = 50_000;
/// Parts of a bar that are told apart.
const MOST_PARTS: usize = 4;

/// The standings of venues' series, in order.
fn standings(map: &Map) -> Vec<Standing> {
    let mut standings: Vec<Standing> =
        map.series.iter().filter(|one| is_of_venues(one)).map(|one| one.standing).collect();
    standings.sort_unstable();
    standings.dedup();
    standings
}

/// The summary: for each origin and standing what moves would liquidate. Bands of several sources are added, as if all erred
/// the same way.
pub(in super::super) fn summary(map: &Map, perps: &Perps) -> Vec<String> {
    let mut sentences = Vec::new();
    for standing in standings(map) {
        for origin in origins(map, perps, standing) {
            sentences.extend(
                [Side::Long, Side::Short].iter().filter_map(|side| already(map, perps, origin, standing, *side)),
            );
            sentences.extend(MOVES.iter().filter_map(|wanted| sentence(map, perps, origin, standing, *wanted)));
        }
    }
    sentences.extend(perps.leverages().map(|said| format!("Of venues, {said}.")));
    sentences
}

/// The origin of a series; a measured one is called after its source.
fn origin<'a>(perps: &'a Perps, name: &str) -> Option<&'a Origin> {
    perps.origin(name).or_else(|| perps.origin(name.strip_suffix(", positions seen")?))
}

/// The origins of venues' series of a standing, in order: their figures may be of the same positions.
fn origins<'a>(map: &Map, perps: &'a Perps, standing: Standing) -> BTreeSet<&'a Origin> {
    let of_standing = map.series.iter().filter(|one| is_of_venues(one) && one.standing == standing);
    of_standing.filter_map(|one| origin(perps, one.label.market.as_deref()?)).collect()
}

/// Every series over all leverages of one origin, standing and side.
fn own<'a>(map: &'a Map, perps: &Perps, of: &Origin, standing: Standing, side: Side) -> Vec<&'a Series> {
    let is_own = |one: &&Series| one.label.market.as_deref().and_then(|name| origin(perps, name)) == Some(of);
    whole(map, standing, side).into_iter().filter(is_own).collect()
}

/// Whom a move hurts, in a word. Where all coins of an account move along, its longs may go in a rise, too.
fn who(perps: &Perps, own: &[&Series], side: Side) -> &'static str {
    let moves = own.iter().any(|one| {
        let seen = one.label.market.as_deref().and_then(|name| name.strip_suffix(", positions seen"));
        perps.laid.iter().any(|laid| Some(&*laid.source.name) == seen && laid.others == PerpOthers::MoveAlong)
    });
    match side {
        _ if moves => "positions",
        Side::Long => "longs",
        Side::Short => "shorts",
    }
}

/// What of a series a move adds to what can be liquidated at today's price already.
fn added(of: &Series, values: &[Option<i128>]) -> Vec<Option<i128>> {
    values.iter().map(|value| value.zip(of.now).and_then(|(value, now)| value.checked_sub(now))).collect()
}

/// What can be liquidated at today's price already, and is in no other sentence.
fn already(map: &Map, perps: &Perps, of: &Origin, standing: Standing, side: Side) -> Option<String> {
    let usd = own(map, perps, of, standing, side).iter().map(|one| one.now).sum::<Option<i128>>()?;
    (usd > 0).then(|| {
        format!(
            "{} of {}s can be liquidated at today's price already, and is not in what a move adds ({standing}, {of}).",
            money(usd),
            side.word()
        )
    })
}

fn sentence(map: &Map, perps: &Perps, of: &Origin, standing: Standing, wanted: i128) -> Option<String> {
    let at = map.levels.nearest(wanted)?;
    let (side, move_) = if wanted < 0 { (Side::Long, "fall") } else { (Side::Short, "rise") };
    let own = own(map, perps, of, standing, side);
    let who = who(perps, &own, side);
    let verb = if who == "shorts" { "squeezes" } else { "liquidates" };
    let value = |one: &Series, values: &[Option<i128>]| added(one, values).get(at).copied().flatten();
    let mut parts: Vec<(i128, &str)> =
        own.iter().filter_map(|one| Some((value(one, &one.values)?, one.label.market.as_deref()?))).collect();
    if parts.is_empty() {
        return None;
    }
    parts.sort_by_key(|(usd, name)| (std::cmp::Reverse(*usd), *name));
    let total = parts.iter().try_fold(0_i128, |sum, (usd, _)| sum.checked_add(*usd))?;
    let price = map.levels.prices()[at];
    #[expect(clippy::cast_precision_loss, reason = "a share for eyes")]
    let change = text::percent(map.levels.distance(price) as f64 / 1e4);
    let between = between(&own, value);
    let named: Vec<String> = parts
        .iter()
        .take(MOST_NAMED)
        .filter(|_| parts.len() > 1)
        .map(|(usd, name)| format!("{} on {}", money(*usd), text::printable(name)))
        .collect();
    let named = if named.is_empty() {
        format!(" on {}", text::printable(parts[0].1))
    } else {
        format!(": {}{}", named.join(", "), if parts.len() > MOST_NAMED { " …" } else { "" })
    };
    let (asset, sign) = (text::printable(&map.asset), if wanted > 0 { "+" } else { "" });
    let price = text::usd(price);
    Some(format!(
        "A {move_} of {asset} to {price} ({sign}{change}) {verb} {} of {who}{between}{named} ({standing}, {of}).",
        money(total)
    ))
}

/// Between what it lies: by the misses of the past, and by leverages alone.
fn between(own: &[&Series], value: impl Fn(&Series, &[Option<i128>]) -> Option<i128>) -> String {
    let sum = |end: &dyn Fn(&Series) -> Option<i128>| own.iter().map(|one| end(one)).sum::<Option<i128>>();
    let band = |of: fn(&Series) -> Option<&Band>| {
        let low = sum(&|one| value(one, &of(one)?.low))?;
        Some(format!("{} to {}", money(low), money(sum(&|one| value(one, &of(one)?.high))?)))
    };
    match (band(|one| one.band.as_ref()), band(|one| one.leverage_band.as_ref())) {
        (Some(past), Some(leverages)) => format!(" ({past} by past misses; {leverages} by leverages alone)"),
        (None, Some(leverages)) => format!(" ({leverages} by leverages alone)"),
        (Some(past), None) => format!(" ({past} by past misses)"),
        (None, None) => String::new(),
    }
}

fn money(usd8: i128) -> String {
    text::usd(Usd8(usd8))
}

/// What is reached at each level ahead of the price, by source, and by leverage where asked.
pub(in super::super) fn table(map: &Map) -> Table {
    let mut table = Table::new(
        "perps",
        &[
            ("price", Unit::Usd),
            ("change", Unit::Share),
            ("source", Unit::Text),
            ("side", Unit::Text),
            ("leverage", Unit::Text),
            ("notional", Unit::Usd),
            ("low", Unit::Usd),
            ("high", Unit::Usd),
            ("leverage_low", Unit::Usd),
            ("leverage_high", Unit::Usd),
            ("at", Unit::Time),
            ("standing", Unit::Text),
        ],
    );
    for one in map.series.iter().filter(|one| is_of_venues(one)) {
        let is_long = one.label.side == Some(Side::Long);
        for (at, price) in map.levels.prices().iter().enumerate() {
            let is_ahead = if is_long { *price <= map.levels.today() } else { *price >= map.levels.today() };
            if !is_ahead {
                continue;
            }
            let usd = |values: Option<&Vec<Option<i128>>>| {
                values
                    .and_then(|values| values.get(at).copied().flatten())
                    .map_or(Value::Missing, |usd| Value::Usd(Usd8(usd)))
            };
            table.push(vec![
                Value::Usd(*price),
                Value::share(map.levels.distance(*price), 10_000),
                Value::Text(one.label.market.as_deref().unwrap_or_default().to_owned()),
                Value::Text(one.label.side.map_or("", Side::word).to_owned()),
                Value::Text(one.label.class.map_or_else(|| "all".to_owned(), tables::class)),
                usd(Some(&one.values)),
                usd(one.band.as_ref().map(|band| &band.low)),
                usd(one.band.as_ref().map(|band| &band.high)),
                usd(one.leverage_band.as_ref().map(|band| &band.low)),
                usd(one.leverage_band.as_ref().map(|band| &band.high)),
                Value::Time(one.at),
                Value::Text(one.standing.to_string()),
            ]);
        }
    }
    table
}

/// Every series of a map, loans and perpetuals, one row for each level: for programs, which read one table.
pub(in super::super) fn series(map: &Map) -> Table {
    let mut table = Table::new(
        "series",
        &[
            ("price", Unit::Usd),
            ("change", Unit::Share),
            ("source", Unit::Text),
            ("chain", Unit::Text),
            ("side", Unit::Text),
            ("class", Unit::Text),
            ("quantity", Unit::Text),
            ("unit", Unit::Text),
            ("value", Unit::Usd),
            ("low", Unit::Usd),
            ("high", Unit::Usd),
            ("leverage_low", Unit::Usd),
            ("leverage_high", Unit::Usd),
            ("at", Unit::Time),
            ("standing", Unit::Text),
        ],
    );
    let text = |text: Option<String>| text.map_or(Value::Missing, Value::Text);
    for one in &map.series {
        for (at, price) in map.levels.prices().iter().enumerate() {
            let number = |values: Option<&Vec<Option<i128>>>| {
                let known = values.and_then(|values| values.get(at).copied().flatten());
                known.map_or(Value::Missing, |units| Value::Usd(Usd8(units)))
            };
            table.push(vec![
                Value::Usd(*price),
                Value::share(map.levels.distance(*price), 10_000),
                text(one.label.market.as_ref().map(ToString::to_string)),
                text(one.label.chain.map(|chain| chain.to_string())),
                text(one.label.side.map(|side| side.word().to_owned())),
                text(one.label.class.map(tables::class)),
                Value::Text(one.quantity.word().to_owned()),
                Value::Text(one.unit.word().to_owned()),
                number(Some(&one.values)),
                number(one.band.as_ref().map(|band| &band.low)),
                number(one.band.as_ref().map(|band| &band.high)),
                number(one.leverage_band.as_ref().map(|band| &band.low)),
                number(one.leverage_band.as_ref().map(|band| &band.high)),
                if one.at.plausible().is_some() { Value::Time(one.at) } else { Value::Missing },
                Value::Text(one.standing.to_string()),
            ]);
        }
    }
    table
}

/// How much of each source was seen, and what was not.
pub(in super::super) fn coverage(map: &Map) -> Table {
    let mut table = Table::new(
        "coverage",
        &[("source", Unit::Text), ("seen", Unit::Share), ("of", Unit::Text), ("blind_spots", Unit::Text)],
    );
    for of in &map.coverage {
        let spots: Vec<String> = of.blind_spots.iter().map(ToString::to_string).collect();
        table.push(vec![
            Value::Text(of.of.to_string()),
            of.share.map_or(Value::Missing, Value::Share),
            Value::Text(of.whole.to_string()),
            Value::Text(spots.join(" ")),
        ]);
    }
    table
}

/// A panel for each standing and origin of venues' series, stacked by source.
pub(in super::super) fn panels(map: &Map, perps: &Perps) -> Vec<Panel> {
    let of_standing = |standing: Standing| {
        origins(map, perps, standing).into_iter().filter_map(move |origin| panel(map, perps, origin, standing))
    };
    standings(map).into_iter().flat_map(of_standing).collect()
}

fn panel(map: &Map, perps: &Perps, origin: &Origin, standing: Standing) -> Option<Panel> {
    let [longs, shorts] = [Side::Long, Side::Short].map(|side| own(map, perps, origin, standing, side));
    let below = map.levels.below();
    let both = |long: &[Option<i128>], short: &[Option<i128>]| -> Vec<Option<f64>> {
        (0..map.levels.len())
            .map(|at| if at < below { long.get(at) } else { short.get(at) }.copied().flatten().map(dollars))
            .collect()
    };
    let mut parts: Vec<Part> = Vec::new();
    for (long, short) in longs.iter().zip(&shorts) {
        let steps = both(&map.levels.steps(&long.values, long.now), &map.levels.steps(&short.values, short.now));
        parts.push(Part { name: text::printable(long.label.market.as_deref().unwrap_or_default()), steps });
    }
    let weight = |part: &Part| part.steps.iter().flatten().sum::<f64>();
    parts.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    if parts.len() > MOST_PARTS {
        let rest = parts.split_off(MOST_PARTS - 1);
        let add = |at: usize| rest.iter().map(|part| part.steps.get(at).copied().flatten()).sum::<Option<f64>>();
        parts.push(Part { name: format!("{} others", rest.len()), steps: (0..map.levels.len()).map(add).collect() });
    }
    let total = |of: &dyn Fn(&Series) -> Option<Vec<Option<i128>>>| -> Option<Vec<Option<f64>>> {
        let sum = |all: &[&Series]| -> Option<Vec<Option<i128>>> {
            let first = vec![Some(0_i128); map.levels.len()];
            all.iter().try_fold(first, |sum, one| {
                let values = of(one)?;
                Some(
                    sum.iter()
                        .zip(values)
                        .map(|(sum, value)| sum.zip(value).and_then(|(a, b)| a.checked_add(b)))
                        .collect(),
                )
            })
        };
        Some(both(&sum(&longs)?, &sum(&shorts)?))
    };
    let band = |name: String, of: fn(&Series) -> Option<&Band>| {
        let low = total(&|one| Some(added(one, &of(one)?.low)))?;
        Some(chart::Band { name, low, high: total(&|one| Some(added(one, &of(one)?.high)))? })
    };
    let bands = [
        band(super::bands::name(perps, origin), |one| one.band.as_ref()),
        band("by leverages alone".to_owned(), |one| one.leverage_band.as_ref()),
    ];
    let (from, to) = moments(longs.iter().copied())?;
    let when = if from == to { format!("{to}") } else { format!("{from} to {to}") };
    let what = if standing == Standing::Estimated { "by a model" } else { "in positions seen" };
    Some(Panel {
        title: format!("Perpetuals {what}, {}, {when}", text::printable(&origin.to_string())),
        badge: standing.word().to_owned(),
        is_estimate: standing == Standing::Estimated,
        prefix: "$".to_owned(),
        parts,
        is_exact: false,
        reached: total(&|one| Some(added(one, &one.values)))?,
        bands: bands.into_iter().flatten().collect(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a length on a picture")]
fn dollars(usd8: i128) -> f64 {
    usd8 as f64 / 1e8
}

/// How estimated levels came and went, over the sources of one origin that have the same candles; none where there is no estimate.
pub(in super::super) fn heatmap(map: &Map, perps: &Perps) -> anyhow::Result<Option<chart::Heat>> {
    let Some((origin, interval)) = perps.estimated().next().map(|(source, _)| (&source.origin, source.interval)) else {
        return Ok(None);
    };
    let (sources, others): (Vec<_>, Vec<_>) =
        perps.estimated().partition(|(source, _)| source.origin == *origin && source.interval == interval);
    let candles = || sources.iter().flat_map(|(source, _)| &source.candles);
    let times = || candles().map(|candle| candle.time);
    let span = times().max().zip(times().min()).map_or(0, |(last, first)| last.saturating_sub(first));
    if span / interval.max(1) >= MOST_COLUMNS {
        bail!(
            "--heatmap: the candles of {} min go back {} days, more than the {MOST_COLUMNS} columns a picture has; --window takes the \
             newest of them",
            interval / 60,
            span / 86_400
        );
    }
    let low = candles().map(|candle| candle.low).fold(f64::INFINITY, f64::min) * 0.85;
    let high = candles().map(|candle| candle.high).fold(0.0, f64::max) * 1.15;
    let grid = Grid::new(low, high, ROWS)?;
    let columns = columns(perps, &sources, &grid)?;
    let (Some(first), Some(last)) = (columns.keys().next().copied(), columns.keys().next_back().copied()) else {
        bail!("--heatmap: its sources have no candle in common; --venue names one of them");
    };
    let count = usize::try_from((last - first) / interval + 1).unwrap_or(0);
    let mut cells: Vec<Vec<Option<f64>>> = vec![vec![None; ROWS]; count];
    let mut price = vec![None; count];
    for (time, column) in columns {
        let at = usize::try_from((time - first) / interval).unwrap_or(0);
        cells[at] = column.cells.into_iter().map(Some).collect();
        price[at] = Some(column.close);
    }
    Ok(Some(chart::Heat {
        caption: Caption {
            title: format!("Where {} perpetuals would be liquidated", text::printable(&map.asset)),
            subtitle: format!("Notional in US dollars by price and time; candles of {} min", interval / 60),
            standing: Standing::Estimated.word().to_owned(),
            footnotes: footnotes(map, &sources, &others),
        },
        value_label: "Notional at a level, USD".to_owned(),
        prefix: "$".to_owned(),
        start_s: first,
        bucket_s: interval,
        levels: grid.middles().to_vec(),
        columns: cells,
        price,
    }))
}

/// A moment of a heatmap.
struct Column {
    /// US dollars by row.
    cells: Vec<f64>,
    close: f64,
    /// How many sources are in it.
    sources: usize,
}

/// The moments that all sources have: a sum over some of them would show their coming and going as levels'.
fn columns(
    perps: &Perps,
    sources: &[(&Source, &estimated::Model)],
    grid: &Grid,
) -> anyhow::Result<BTreeMap<i64, Column>> {
    let mut columns: BTreeMap<i64, Column> = BTreeMap::new();
    let mut found = Heat::default();
    for (source, model) in sources {
        let mut fresh = estimated::Model::new(grid.clone(), model.assumptions().clone())?;
        heat(&mut fresh, &source.candles, &mut found);
        let buckets = model.assumptions().buckets.len();
        for (at, (time, close)) in found.times.iter().zip(&found.closes).enumerate() {
            let column =
                columns.entry(*time).or_insert_with(|| Column { cells: vec![0.0; ROWS], close: *close, sources: 0 });
            (column.close, column.sources) = (*close, column.sources + 1);
            for (bucket, assumed) in model.assumptions().buckets.iter().enumerate() {
                if !perps.shows(assumed.leverage) {
                    continue;
                }
                let from = (at * buckets + bucket) * ROWS;
                let coins = &found.coins[from..from + ROWS];
                for ((sum, coins), middle) in column.cells.iter_mut().zip(coins).zip(grid.middles()) {
                    *sum += f64::from(*coins) * middle;
                }
            }
        }
    }
    columns.retain(|_, column| column.sources == sources.len());
    Ok(columns)
}

/// What must be known about a heatmap.
fn footnotes(
    map: &Map,
    sources: &[(&Source, &estimated::Model)],
    others: &[(&Source, &estimated::Model)],
) -> Vec<String> {
    let names = |of: &[(&Source, &estimated::Model)]| {
        of.iter().map(|(source, _)| text::printable(&source.name)).collect::<Vec<_>>().join("; ")
    };
    let mut footnotes = vec![format!("Sources: {}.", names(sources))];
    if !others.is_empty() {
        footnotes.push(format!(
            "Not in the picture, as they may be the same positions again or have candles of another length: {}.",
            names(others)
        ));
    }
    if sources.len() > 1 {
        footnotes.push("A moment that not all sources have is left empty.".to_owned());
    }
    if sources.iter().any(|(source, _)| !source.liquidated.is_empty()) {
        footnotes.push(
            "Leverages, where fitted, are fitted to all known liquidations: earlier moments are drawn with what came later known."
                .to_owned(),
        );
    }
    let said = map.assumptions.0.iter().map(|one| one.says.to_string());
    footnotes.extend(
        said.filter(|says| says.starts_with("Every rise of open interest") || says.contains("is held at")).take(2),
    );
    footnotes
}
