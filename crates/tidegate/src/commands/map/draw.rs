//! A map as a picture.

use engine::map::{Label, Map, Quantity, Series};
use protocol::standing::Standing;
use protocol::time::TimeUs;

use super::perps::{self, Perps};
use super::tables;
use crate::args;
use crate::chart::{Caption, Chart, Panel, Part, PriceMap};
use crate::output;
use crate::text;

/// Parts of a bar that are told apart by their shade.
const MOST_PARTS: usize = 4;
/// Notes that go under the picture.
const MOST_NOTES: usize = 6;

/// Draws what `--png` and `--svg` ask for.
pub(super) fn draw(map: &Map, perps: &Perps, args: &args::Map) -> anyhow::Result<()> {
    if args.png.is_none() && args.svg.is_none() {
        return Ok(());
    }
    let chart = Chart::PriceMap(chart(map, perps));
    if let Some(path) = &args.svg {
        output::write_file(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        output::write_file(path, &chart.png()?)?;
    }
    Ok(())
}

/// Draws what `--heatmap` asks for, by the name's ending.
pub(super) fn heatmap(map: &Map, perps: &Perps, args: &args::Map) -> anyhow::Result<()> {
    let Some(path) = &args.shown.heatmap else { return Ok(()) };
    let Some(heat) = perps::say::heatmap(map, perps)? else {
        anyhow::bail!("--heatmap: no estimate is on the map; it needs candles and open interest");
    };
    let chart = Chart::Heat(heat);
    let is_svg = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
    let bytes = if is_svg { chart.svg().into_bytes() } else { chart.png()? };
    output::write_file(path, &bytes)
}

fn chart(map: &Map, perps: &Perps) -> PriceMap {
    let mut standings: Vec<Standing> = map.series.iter().map(|series| series.standing).collect();
    standings.sort_unstable();
    standings.dedup();
    let asset = text::printable(&map.asset);
    let mut panels: Vec<Panel> = standings.iter().filter_map(|standing| panel(map, *standing)).collect();
    let has_loans = !panels.is_empty();
    panels.extend(perps::say::panels(map, perps));
    let words: Vec<&str> = standings.iter().map(|standing| standing.word()).collect();
    let coverage = map.coverage.iter().filter_map(|coverage| {
        let of = text::printable(&coverage.of);
        Some(format!("{of} {} of {}", text::percent(coverage.share?), coverage.whole))
    });
    let mut footnotes = vec![format!("Coverage: {}.", coverage.collect::<Vec<_>>().join("; "))];
    for standing in &standings {
        let is_total = |series: &&Series| {
            series.standing == *standing && series.quantity == Quantity::Debt && series.label == Label::default()
        };
        let now = map.series.iter().find(is_total).and_then(|series| series.now).filter(|now| *now > 0);
        footnotes.extend(now.map(|now| {
            let owed = text::usd(protocol::amount::Usd8(now));
            format!("Not in the picture: {owed} that can be liquidated at today's price already ({standing}).")
        }));
    }
    footnotes.extend(perps::bands::sentences(perps));
    footnotes.extend(map.coverage.iter().flat_map(|coverage| &coverage.blind_spots).map(ToString::to_string));
    let about = map.assumptions.0.iter().map(|assumption| assumption.says.to_string());
    footnotes.extend(about.take(2));
    footnotes.dedup();
    footnotes.truncate(MOST_NOTES);
    PriceMap {
        caption: Caption {
            title: match (has_loans, map.series.iter().any(perps::is_of_venues)) {
                (true, true) => format!("Where {asset} loans and perpetuals are liquidated"),
                (false, true) => format!("Where {asset} perpetuals are liquidated"),
                _ => format!("Where {asset} loans become liquidatable"),
            },
            subtitle: format!("US dollars by the price of {asset}; {}", moment(map)),
            standing: words.join(" · "),
            footnotes,
        },
        price_label: format!("Price of {asset}, US dollars"),
        today: dollars(map.levels.today().0),
        levels: map.levels.prices().iter().map(|price| dollars(price.0)).collect(),
        panels,
    }
}

/// The moment the figures are of: the oldest.
fn moment(map: &Map) -> String {
    let oldest = map.series.iter().map(|series| series.at).min().unwrap_or(TimeUs(0));
    if oldest.plausible().is_none() {
        return "time not stated".to_owned();
    }
    let newest = map.series.iter().map(|series| series.at).max().unwrap_or(oldest);
    if newest == oldest { format!("as of {oldest}") } else { format!("as of {oldest} to {newest}") }
}

/// Debt of one standing: by class where the map has classes, else by market where there are several.
fn panel(map: &Map, standing: Standing) -> Option<Panel> {
    let debt = |series: &&Series| series.standing == standing && series.quantity == Quantity::Debt;
    let total = map.series.iter().filter(debt).find(|series| series.label == Label::default())?;
    let classes: Vec<&Series> = map
        .series
        .iter()
        .filter(debt)
        .filter(|series| series.label.market.is_none() && series.label.class.is_some())
        .collect();
    let markets: Vec<&Series> = map
        .series
        .iter()
        .filter(debt)
        .filter(|series| series.label.market.is_some() && series.label.class.is_none())
        .collect();
    let parts = if classes.is_empty() { &markets } else { &classes };
    let names: Vec<String> =
        markets.iter().filter_map(|series| series.label.market.as_deref()).map(text::printable).collect();
    let of = if names.len() > 3 { format!("{} markets", names.len()) } else { names.join(", ") };
    Some(Panel {
        title: format!("Debt that becomes liquidatable in {of}"),
        badge: standing.word().to_owned(),
        is_estimate: standing == Standing::Estimated,
        is_exact: standing == Standing::Exact,
        prefix: "$".to_owned(),
        parts: stacked(map, parts),
        reached: beyond(&total.values, total.now),
        bands: Vec::new(),
    })
}

/// What levels hold beyond what today's price does. A move that takes more away than it brings brings nothing.
fn beyond(values: &[Option<i128>], now: Option<i128>) -> Vec<Option<f64>> {
    let one = |value: &Option<i128>| Some(dollars(value.as_ref()?.checked_sub(now?)?.max(0)));
    values.iter().map(one).collect()
}

/// The largest parts by themselves, what is left as one.
fn stacked(map: &Map, parts: &[&Series]) -> Vec<Part> {
    let mut parts: Vec<(String, Vec<Option<i128>>)> = parts
        .iter()
        .map(|series| {
            let name = series.label.class.map(tables::class).or(series.label.market.as_deref().map(text::printable));
            (name.unwrap_or_default(), map.levels.steps(&series.values, series.now))
        })
        .collect();
    let weight =
        |steps: &[Option<i128>]| steps.iter().flatten().fold(0_i128, |sum, step| sum.saturating_add((*step).max(0)));
    parts.sort_by_key(|(_, steps)| std::cmp::Reverse(weight(steps)));
    if parts.len() > MOST_PARTS {
        let rest = parts.split_off(MOST_PARTS - 1);
        let add = |sum: Vec<Option<i128>>, (_, steps): &(String, Vec<Option<i128>>)| -> Vec<Option<i128>> {
            sum.iter()
                .zip(steps)
                .map(|(sum, step)| sum.zip(*step).and_then(|(sum, step)| sum.checked_add(step)))
                .collect()
        };
        let sum = rest.iter().fold(vec![Some(0); map.levels.len()], add);
        parts.push((format!("{} others", rest.len()), sum));
    }
    let is_alone = parts.len() == 1;
    let part = |(name, steps): (String, Vec<Option<i128>>)| Part {
        name: if is_alone { "each level adds".to_owned() } else { name },
        steps: steps.into_iter().map(|step| step.map(dollars)).collect(),
    };
    parts.into_iter().map(part).collect()
}

fn dollars(usd8: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a length on a picture")]
    let dollars = usd8 as f64 / 1e8;
    dollars
}
