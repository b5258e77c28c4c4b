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
    let asset = text::printable(&map.asset);
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
        let Some(at) = level(map, wanted) else { continue };
        let price = map.levels.prices()[at];
        let value = |quantity| total(quantity).and_then(|series| series.values.get(at).copied().flatten());
        let Some(owed) = value(Quantity::Debt) else {
            sentences.push(format!("At {} not everything can be valued ({standing}).", text::usd(price)));
            continue;
        };
        let direction = if wanted < 0 { "fall" } else { "rise" };
        let change = text::percent(share(map.levels.distance(price)));
        let more = owed.checked_sub(debt.now.unwrap_or(0)).filter(|more| *more > 0);
        let Some(more) = more else {
            sentences.push(format!(
                "A {direction} of {asset} to {} ({change}) makes no more debt liquidatable ({standing}).",
                text::usd(price)
            ));
            continue;
        };
        let mut sentence = format!(
            "A {direction} of {asset} to {} ({change}) makes {} more debt liquidatable{}",
            text::usd(price),
            money(more),
            places(map, standing, at)
        );
        if let Some(collateral) = value(Quantity::Collateral) {
            sentence.push_str(&format!("; then {} of collateral in {asset} is at stake", money(collateral)));
        }
        if let Some(repaid) = value(Quantity::Repayable) {
            sentence.push_str(&format!(", first calls could repay {}", money(repaid)));
        }
        if let Some(bonus) = value(Quantity::Bonus) {
            sentence.push_str(&format!(" for a bonus of {}", money(bonus)));
        }
        if let (Some(fee), Some(left)) = (value(Quantity::ProtocolFee), value(Quantity::Recapturable)) {
            sentence.push_str(&format!(
                ", of which the protocol takes {}, and an auction of the price update could recapture {} at most",
                money(fee),
                money(left)
            ));
        }
        sentences.push(format!("{sentence} ({standing})."));
    }
    sentences
}

/// The level nearest to a move, if the axis reaches it.
fn level(map: &Map, wanted: i128) -> Option<usize> {
    let away = |at: &usize| (map.levels.distance(map.levels.prices()[*at]) - wanted).abs();
    (0..map.levels.len()).min_by_key(away).filter(|at| away(at) <= wanted.abs() / 10)
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
