//! The bands of an estimated map: of what they are made, and how often such bands held.

use engine::map::perps::estimated::place;
use engine::map::perps::score::misses::{Held, LEAST};
use engine::map::{Side, from_float};
use protocol::amount::Usd8;

use super::{Laid, Perps};
use crate::perps::Origin;
use crate::table::{Table, Unit, Value};
use crate::text;

const SIDES: [Side; 2] = [Side::Long, Side::Short];

/// What each estimated source's main band is made of, and how often it held; none where nothing is estimated.
pub(in super::super) fn table(perps: &Perps) -> Option<Table> {
    let mut table = Table::new(
        "bands",
        &[
            ("source", Unit::Text),
            ("side", Unit::Text),
            ("band", Unit::Text),
            ("past_cases", Unit::Count),
            ("goes_to", Unit::Usd),
            ("meant_to_hold", Unit::Share),
            ("held", Unit::Share),
            ("below", Unit::Share),
            ("above", Unit::Share),
            ("judged_cases", Unit::Count),
        ],
    );
    for laid in perps.laid.iter().filter(|laid| laid.model.is_some()) {
        for side in SIDES {
            table.push(row(laid, side, perps.leverage.is_some()));
        }
    }
    (!table.rows.is_empty()).then_some(table)
}

fn row(laid: &Laid, side: Side, is_part: bool) -> Vec<Value> {
    let past = &laid.past[place(side)];
    // Misses are of all leverages together.
    let is_banded = past.cases() >= LEAST && !is_part;
    let most = past.most().filter(|_| is_banded).and_then(from_float);
    let held = laid.held.map(|held| held[place(side)].calibration).filter(|held| held.cases > 0);
    let share = |share: Option<f64>| share.map_or(Value::Missing, Value::Share);
    vec![
        Value::Text(laid.source.name.to_string()),
        Value::Text(side.word().to_owned()),
        Value::Text(if is_banded { "past misses" } else { "none" }.to_owned()),
        Value::Count(past.cases() as u64),
        most.map_or(Value::Missing, |usd| Value::Usd(Usd8(usd))),
        Value::Share(0.8),
        share(held.map(|held| held.within)),
        share(held.map(|held| held.below)),
        share(held.map(|held| held.above)),
        Value::Count(held.map_or(0, |held| held.cases) as u64),
    ]
}

/// What the main band of an origin's panel is called: with how often it held where it is of one source.
pub(super) fn name(perps: &Perps, origin: &Origin) -> String {
    let mut own = perps.laid.iter().filter(|laid| laid.source.origin == *origin && laid.model.is_some());
    let held = match (own.next(), own.next()) {
        (Some(one), None) => one.held,
        _ => None,
    };
    let shares = |[long, short]: [Held; 2]| {
        let percent = |held: Held| text::percent(held.calibration.within);
        format!(" (held {} in falls, {} in rises)", percent(long), percent(short))
    };
    format!("past misses, 8 cases of 10{}", held.map_or_else(String::new, shares))
}

/// What the bands are, a sentence for each source; or why one has none.
pub(in super::super) fn sentences(perps: &Perps) -> Vec<String> {
    perps.laid.iter().filter(|laid| laid.model.is_some()).map(|laid| laid.says(perps.leverage.is_some())).collect()
}

impl Laid {
    fn says(&self, is_part: bool) -> String {
        let name = text::printable(&self.source.name);
        let cases = self.past.each_ref().map(engine::map::perps::score::Misses::cases);
        if is_part {
            return format!("{name}: no band of past misses, which are of all leverages together.");
        }
        if cases[0].min(cases[1]) < LEAST {
            return format!(
                "{name}: no band of past misses: what was liquidated is known for {} past candles of the map, and {LEAST} are needed.",
                text::count(cases[0].min(cases[1]) as u64)
            );
        }
        format!(
            "{name}: the line is what the model puts there; the band is what then was liquidated within {} min, 10th to 90th percentile of the \
             candles, of {} past ones, before which the nearest was said. {} It ends where more is said than ever was.",
            self.source.interval / 60,
            text::count(cases[0].min(cases[1]) as u64),
            self.held.map_or_else(|| "How often such bands held is not known.".to_owned(), |held| held_words(&held)),
        )
    }
}

fn held_words(held: &[Held; 2]) -> String {
    let [long, short] = held.map(|held| held.calibration);
    format!(
        "Judged by candles after those it was made of, it held {} of longs ({} cases) and {} of shorts ({}); 80 % are meant.",
        text::percent(long.within),
        text::count(long.cases as u64),
        text::percent(short.within),
        text::count(short.cases as u64)
    )
}
