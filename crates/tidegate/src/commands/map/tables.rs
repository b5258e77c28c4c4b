//! A map as tables.

use engine::map::{Class, Label, Levels, Map, Quantity, Series, Unit as Counted};
use protocol::amount::Usd8;
use protocol::standing::Standing;

use super::Laid;
use crate::args::MapBy;
use crate::table::{Table, Unit, Value};
use crate::text;

/// What a row shows, in the order of its columns.
const SHOWN: [Quantity; 9] = [
    Quantity::Accounts,
    Quantity::Debt,
    Quantity::Collateral,
    Quantity::AllCollateral,
    Quantity::Repayable,
    Quantity::Seized,
    Quantity::Bonus,
    Quantity::ProtocolFee,
    Quantity::Recapturable,
];

/// What is reached at each level: for every standing all together, or split as asked.
pub(super) fn levels(map: &Map, by: &[MapBy]) -> Table {
    let mut columns = vec![("price", Unit::Usd), ("change", Unit::Share)];
    let dimension = |by: MapBy| match by {
        MapBy::Market => "market",
        MapBy::Chain => "chain",
        MapBy::Size => "size",
    };
    columns.extend(by.iter().map(|by| (dimension(*by), Unit::Text)));
    let unit = |quantity| if quantity == Quantity::Accounts { Unit::Count } else { Unit::Usd };
    columns.extend(SHOWN.map(|quantity| (quantity.word(), unit(quantity))));
    columns.push(("standing", Unit::Text));
    let mut table = Table::new("levels", &columns);
    for (standing, label) in labels(map, by) {
        let of = |quantity| {
            map.series.iter().find(|one| one.standing == standing && one.label == label && one.quantity == quantity)
        };
        let series = SHOWN.map(of);
        let is_nothing = |one: &Series| one.now == Some(0) && one.values.iter().all(|value| *value == Some(0));
        if !by.is_empty() && series[0].is_some_and(is_nothing) {
            // Nobody of these is reached anywhere.
            continue;
        }
        for (at, price) in map.levels.prices().iter().enumerate() {
            let change = Value::share(map.levels.distance(*price), 10_000);
            let mut row = vec![Value::Usd(*price), change];
            row.extend(by.iter().map(|by| named(&label, *by)));
            row.extend(series.map(|series| value(series, at)));
            row.push(Value::Text(standing.to_string()));
            table.push(row);
        }
    }
    table
}

/// Whose rows a table has.
fn labels(map: &Map, by: &[MapBy]) -> Vec<(Standing, Label)> {
    let asked = |wanted| by.contains(&wanted);
    // A market is on one chain.
    let fits = |label: &Label| {
        label.market.is_some() == asked(MapBy::Market)
            && label.class.is_some() == asked(MapBy::Size)
            && (label.market.is_some() || label.chain.is_some() == asked(MapBy::Chain))
    };
    let mut labels: Vec<_> = map
        .series
        .iter()
        .filter(|series| !super::perps::is_of_venues(series) && fits(&series.label))
        .map(|series| (series.standing, series.label.clone()))
        .collect();
    labels.dedup();
    labels
}

fn named(label: &Label, by: MapBy) -> Value {
    let name = match by {
        MapBy::Market => label.market.as_ref().map(ToString::to_string),
        MapBy::Chain => label.chain.map(|chain| chain.to_string()),
        MapBy::Size => label.class.map(class),
    };
    name.map_or(Value::Missing, Value::Text)
}

pub(super) fn class(class: Class) -> String {
    match class {
        Class::Debt(class) => class.word().to_owned(),
        Class::Leverage(hundredths) => format!("{}x", f64::from(hundredths) / 100.0),
    }
}

fn value(series: Option<&Series>, at: usize) -> Value {
    let Some(series) = series else { return Value::Missing };
    match (series.values.get(at).copied().flatten(), series.unit) {
        (None, _) => Value::Missing,
        (Some(units), Counted::Count) => u64::try_from(units / 100_000_000).map_or(Value::Missing, Value::Count),
        (Some(units), Counted::Usd | Counted::Coin) => Value::Usd(Usd8(units)),
    }
}

/// Those who owe most among whom each level reaches, beyond the level nearer to today's price.
pub(super) fn who(laid: &[Laid], levels: &Levels, top: usize) -> Table {
    let mut table = Table::new(
        "accounts",
        &[
            ("reached_at", Unit::Usd),
            ("market", Unit::Text),
            ("account", Unit::Text),
            ("liquidatable_from", Unit::Usd),
            ("liquidatable", Unit::Text),
            ("debt", Unit::Usd),
            ("collateral", Unit::Usd),
            ("largest_collateral", Unit::Text),
            ("largest_debt", Unit::Text),
            ("standing", Unit::Text),
        ],
    );
    for (at, level) in levels.prices().iter().enumerate() {
        let below = levels.below();
        let nearer = match at {
            _ if at < below => levels.prices().get(at + 1).filter(|_| at + 1 < below),
            _ if at > below => levels.prices().get(at - 1),
            _ => None,
        };
        let nearer = nearer.copied().unwrap_or(levels.today());
        if nearer == *level {
            continue;
        }
        let mut found = Vec::new();
        for laid in laid {
            for index in &laid.indexes {
                found.extend(index.who(nearer, *level, top).into_iter().map(|who| (laid, index, who)));
            }
        }
        found.sort_by_key(|(.., who)| std::cmp::Reverse(who.debt));
        for (laid, index, who) in found.into_iter().take(top) {
            let held = index.holdings(who.id);
            let name = |side: &dyn Fn(&(protocol::aave::config::ReserveId, u128, u128)) -> u128| {
                let most = held.iter().max_by_key(|leg| index.worth(leg.0, side(leg)).unwrap_or_default());
                let place = most.filter(|leg| side(leg) > 0).map(|leg| usize::from(leg.0.0));
                place.and_then(|place| laid.symbols.get(place)).map_or(Value::Missing, |name| Value::Text(name.clone()))
            };
            let address = laid.addresses.get(&who.id).map(|address| text::address(&address.into_array()));
            table.push(vec![
                Value::Usd(*level),
                Value::Text(index.market().name.to_string()),
                address.map_or(Value::Missing, Value::Text),
                who.from.map_or(Value::Missing, Value::Usd),
                Value::Text(if who.rises { "from there up" } else { "from there down" }.to_owned()),
                Value::Usd(who.debt),
                who.collateral.map_or(Value::Missing, Value::Usd),
                name(&|leg| leg.1),
                name(&|leg| leg.2),
                Value::Text(index.market().standing.to_string()),
            ]);
        }
    }
    table
}
