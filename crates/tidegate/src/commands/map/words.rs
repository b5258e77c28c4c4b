//! What a map says, in sentences.

use engine::map::{Label, Map, Quantity, Series};
use protocol::amount::Usd8;
use protocol::standing::Standing;

use crate::text;

/// Moves that a summary speaks of, in basis points.
const MOVES: [i128; 4] = [-2_500, -1_000, 1_000, 2_500];
/// Markets that a sentence names.
const MOST_MARKETS: usize = 3;

/// The summary: for each standing what is liquidatable now, and what a few moves would make so.
pub(super) fn summary(map: &Map) -> Vec<String> {
    let mut standings: Vec<Standing> = map.series.iter().map(|series| series.standing).collect();
    standings.sort_unstable();
    standings.dedup();
    standings.into_iter().flat_map(|standing| of_standing(map, standing)).collect()
}

fn of_standing(map: &Map, standing: Standing) -> Vec<String> {
    let total = |quantity| find(map, standing, &Label::default(), quantity);
    let Some(debt) = total(Quantity::Debt) else { return Vec::new() };
    let mut sentences = Vec::new();
    if let (Some(accounts), Some(owed)) = (total(Quantity::Accounts).and_then(|series| series.now), debt.now) {
        let seems = if standing == Standing::Imported && owed > 0 {
            ": as far as the source goes; what it does not show may keep them safe"
        } else {
            ""
        };
        sentences.push(format!(
            "Now ({standing}): {} accounts can be liquidated and owe {}{seems}.",
            text::count(u64::try_from(accounts / 100_000_000).unwrap_or(0)),
            money(owed)
        ));
    }
    for wanted in MOVES {
        let Some(at) = map.levels.nearest(wanted) else { continue };
        sentences.push(of_move(map, standing, at));
    }
    sentences
}

/// What a move to a level adds to what can be liquidated today.
fn of_move(map: &Map, standing: Standing, at: usize) -> String {
    let price = map.levels.prices()[at];
    let (asset, to) = (text::printable(&map.asset), text::usd(price));
    // Both ends must be known: a total beside an increment would be read as one.
    let change = |quantity| {
        let series = find(map, standing, &Label::default(), quantity)?;
        series.values.get(at).copied().flatten()?.checked_sub(series.now?)
    };
    let Some(owed) = change(Quantity::Debt) else {
        return format!("At {to} not everything can be valued ({standing}).");
    };
    let direction = if price < map.levels.today() { "fall" } else { "rise" };
    let of = format!("A {direction} of {asset} to {to} ({})", text::percent(share(map.levels.distance(price))));
    if owed <= 0 {
        return format!("{of} makes no more debt liquidatable ({standing}).");
    }
    // A move that also makes accounts safe can bring debt and take something else away; of that nothing is said.
    let more = |quantity| change(quantity).filter(|more| *more >= 0).map(money);
    let mut sentence = format!("{of} makes {} more debt liquidatable{}", money(owed), places(map, standing, at));
    if let Some(collateral) = more(Quantity::Collateral) {
        sentence.push_str(&format!("; that puts {collateral} more of collateral in {asset} at stake"));
    }
    if let Some(repaid) = more(Quantity::Repayable) {
        sentence.push_str(&format!("; first calls could repay {repaid} more"));
        if let Some(bonus) = more(Quantity::Bonus) {
            sentence.push_str(&format!(" for {bonus} more of bonus"));
            if let (Some(fee), Some(left)) = (more(Quantity::ProtocolFee), more(Quantity::Recapturable)) {
                sentence.push_str(&format!(
                    ", of which the protocol takes {fee}, and an auction of the price update could recapture {left} at most"
                ));
            }
        }
    }
    format!("{sentence} ({standing}).")
}

/// Where, for the markets with most.
fn places(map: &Map, standing: Standing, at: usize) -> String {
    let mut markets: Vec<(i128, &str)> = map
        .series
        .iter()
        .filter(|series| {
            series.standing == standing && series.quantity == Quantity::Debt && series.label.class.is_none()
        })
        .filter_map(|series| {
            let more = series.values.get(at).copied().flatten()?.checked_sub(series.now?)?;
            Some((more, series.label.market.as_deref()?))
        })
        .filter(|(more, _)| *more > 0)
        .collect();
    markets.sort_by_key(|(more, name)| (std::cmp::Reverse(*more), *name));
    if let [(_, only)] = markets[..] {
        return format!(" in {}", text::printable(only));
    }
    let more = markets.len().saturating_sub(MOST_MARKETS);
    let named =
        markets.iter().take(MOST_MARKETS).map(|(usd, name)| format!("{} in {}", money(*usd), text::printable(name)));
    let mut named: Vec<String> = named.collect();
    if more > 0 {
        named.push(format!("the rest in {more} more"));
    }
    if named.is_empty() { String::new() } else { format!(" ({})", named.join(", ")) }
}

fn find<'a>(map: &'a Map, standing: Standing, label: &Label, quantity: Quantity) -> Option<&'a Series> {
    let is_it = |one: &&Series| one.standing == standing && one.label == *label && one.quantity == quantity;
    map.series.iter().find(is_it)
}

fn share(bps: i128) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a share for eyes")]
    let share = bps as f64 / 1e4;
    share
}

fn money(usd8: i128) -> String {
    text::usd(Usd8(usd8))
}

#[cfg(test)]
mod tests {
    use engine::map::{Assumptions, Levels, Unit};
    use protocol::time::TimeUs;

    use super::*;

    /// A map with one level, 10 % down, and what is reached at it and today, in dollars.
    fn map(figures: &[(Quantity, Option<i128>, i128)]) -> Map {
        let usd = |dollars: i128| dollars * 100_000_000;
        let series = figures.iter().map(|(quantity, now, then)| Series {
            label: Label::default(),
            quantity: *quantity,
            unit: Unit::Usd,
            standing: Standing::Exact,
            at: TimeUs(0),
            now: now.map(usd),
            values: vec![Some(usd(*then))],
            band: None,
            leverage_band: None,
        });
        Map {
            asset: "BTC".into(),
            levels: Levels::new(Usd8(usd(100)), vec![Usd8(usd(90))]).unwrap(),
            series: series.collect(),
            coverage: Vec::new(),
            assumptions: Assumptions::default(),
        }
    }

    #[test]
    fn a_sentence_speaks_of_what_a_move_adds() {
        let debt = (Quantity::Debt, Some(70), 100);
        let collateral = (Quantity::Collateral, Some(80), 120);
        let repaid = (Quantity::Repayable, Some(35), 50);
        let bonus = (Quantity::Bonus, Some(4), 6);
        let fee = (Quantity::ProtocolFee, Some(1), 2);
        let left = (Quantity::Recapturable, Some(0), 1);
        let begins = "A fall of BTC to $90.00 (-10.0 %) makes $30.00 more debt liquidatable";
        for (figures, expected) in [
            (
                vec![debt, collateral, repaid, bonus, fee, left],
                "; that puts $40.00 more of collateral in BTC at stake; first calls could repay $15.00 more for $2.00 more of \
                 bonus, of which the protocol takes $1.00, and an auction of the price update could recapture $1.00 at most \
                 (exact).",
            ),
            (
                // What falls, or is not known today, is not spoken of, nor what rests on it.
                vec![debt, (Quantity::Collateral, Some(121), 120), repaid, (Quantity::Bonus, Some(7), 6), fee, left],
                "; first calls could repay $15.00 more (exact).",
            ),
            (vec![debt, (Quantity::Collateral, None, 120), bonus], " (exact)."),
        ] {
            assert_eq!(of_move(&map(&figures), Standing::Exact, 0), format!("{begins}{expected}"));
        }
        for (debt, expected) in [
            ((Quantity::Debt, Some(100), 100), "makes no more debt liquidatable (exact)."),
            ((Quantity::Debt, Some(101), 100), "makes no more debt liquidatable (exact)."),
            ((Quantity::Debt, None, 100), "not everything can be valued (exact)."),
        ] {
            let said = of_move(&map(&[debt]), Standing::Exact, 0);
            assert!(said.ends_with(expected), "{said}");
        }
    }
}
