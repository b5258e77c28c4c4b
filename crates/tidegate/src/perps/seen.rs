//! Positions that somebody saw, each where it is liquidated.

use std::collections::{BTreeMap, BTreeSet};

use engine::map::perps::measured::{Coin, Liquidation, Margin, Others, Position, liquidations};
use protocol::perp::{self, Observation, Observed};
use protocol::time::{DAY_US, HOUR_US, SECOND_US, TimeUs};
use protocol::venue::{Reach, Refusal, Side, Tiers, Venue, hyperliquid};
use protocol::{Address, Decimal};

use super::inputs::{Source, float};
use crate::args::PerpOthers;

/// Positions of accounts read within this long of each other are of one moment.
const ONE_MOMENT: i64 = HOUR_US;
/// A look that began within this long of the one before may be part of it.
const PARTIAL: i64 = DAY_US;

/// A position of the coin asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub side: Side,
    /// Coins.
    pub size: f64,
    /// The leverage its holder set.
    pub leverage: f64,
    /// Where it is liquidated.
    pub liquidation: Liquidation,
}

/// One look at many accounts.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// When its last position was read, in seconds.
    pub time: i64,
    /// When its first was.
    pub from: i64,
    /// The price of the coin that positions were valued at.
    pub mark: f64,
    pub seen: Vec<Seen>,
    /// Whether prices are those that the venue states.
    pub is_stated: bool,
}

impl Look {
    /// Over how long it was read, where that is no moment, as a sentence.
    pub(crate) fn span(&self) -> Option<String> {
        (self.from < self.time).then(|| {
            format!(
                "Positions were read from {} to {}; the earlier may have changed since.",
                super::moment(self.from),
                super::moment(self.time)
            )
        })
    }
}

/// Every look at accounts that a source has, in time's order.
pub(crate) fn looks(source: &Source, coin: &str, others: PerpOthers) -> Vec<Look> {
    split(source).iter().filter_map(|look| one(source.venue, coin, look, others)).collect()
}

/// The newest look. Where it saw less than half the accounts of the one before, no longer than [`PARTIAL`] ago, it is taken for
/// one that is not over, and what it has not seen again yet stands as it was seen before. An account that closed everything
/// says nothing, so looks at all accounts are never put together.
pub(crate) fn newest(source: &Source, coin: &str, others: PerpOthers) -> Option<Look> {
    let mut looks = split(source);
    looks.retain(|look| look.iter().any(|row| row.symbol.eq_ignore_ascii_case(coin)));
    let mut last = looks.pop()?;
    let accounts = |look: &[&Observation]| -> BTreeSet<Address> {
        look.iter().filter_map(|row| Some(position(row)?.account)).collect()
    };
    let known = accounts(&last);
    if let Some(before) = looks.pop()
        && last.first().zip(before.first()).is_some_and(|(last, before)| last.time.0 - before.time.0 <= PARTIAL)
        && known.len() * 2 < accounts(&before).len()
    {
        let is_new = |row: &&&Observation| position(row).is_some_and(|of| !known.contains(&of.account));
        last.extend(before.iter().filter(is_new));
    }
    one(source.venue, coin, &last, others)
}

/// The rows of each look, in time's order.
fn split(source: &Source) -> Vec<Vec<&Observation>> {
    let mut rows: Vec<(&Observation, Address)> =
        source.positions.iter().filter_map(|row| Some((row, position(row)?.account))).collect();
    rows.sort_by_key(|(row, _)| row.time);
    let mut looks: Vec<Vec<&Observation>> = Vec::new();
    // What the last look has, and when it was read.
    let mut held: BTreeMap<(Address, &str), TimeUs> = BTreeMap::new();
    for (row, account) in rows {
        let key = (account, &*row.symbol);
        // An account that comes again, of another moment, begins another look.
        let is_again = held.get(&key).is_some_and(|time| *time != row.time);
        match looks.last_mut() {
            Some(look) if !is_again && look.first().is_some_and(|first| row.time.0 - first.time.0 < ONE_MOMENT) => {
                look.push(row);
            }
            _ => {
                held.clear();
                looks.push(vec![row]);
            }
        }
        held.insert(key, row.time);
    }
    looks
}

fn position(row: &Observation) -> Option<&perp::Position> {
    if let Observed::Position(of) = &row.fact { Some(of) } else { None }
}

fn one(venue: Venue, coin: &str, look: &[&Observation], others: PerpOthers) -> Option<Look> {
    let is_it = |row: &&&Observation| row.symbol.eq_ignore_ascii_case(coin);
    let own: Vec<(usize, &perp::Position)> = look
        .iter()
        .enumerate()
        .filter(|(_, row)| is_it(row))
        .filter_map(|(at, row)| Some((at, position(row)?)))
        .collect();
    let first = own.first()?.1;
    let mark = float(first.value.checked_div(first.coins)?)?;
    let is_stated = others == PerpOthers::Stated && own.iter().any(|(_, of)| of.liquidation_price.is_some());
    let computed = if is_stated { Vec::new() } else { compute(venue, look, others) };
    let seen = own.iter().filter_map(|(at, of)| {
        Some(Seen {
            side: of.side,
            size: float(of.coins)?,
            leverage: float(of.leverage)?,
            liquidation: if is_stated { stated(of) } else { *computed.get(*at)? },
        })
    });
    let times = || own.iter().filter_map(|(at, _)| Some(look.get(*at)?.time.0.div_euclid(SECOND_US)));
    Some(Look { time: times().max()?, from: times().min()?, mark, seen: seen.collect(), is_stated })
}

/// Where the venue says a position is liquidated; nowhere, where it says nothing of one and something of others.
fn stated(of: &perp::Position) -> Liquidation {
    Ok(match (of.liquidation_price, of.side) {
        (None, _) => Reach::Never,
        (Some(price), Side::Long) => Reach::Below(price),
        (Some(price), Side::Short) => Reach::Above(price),
    })
}

/// Where all positions of a look are liquidated by the venue's rule, in their order.
fn compute(venue: Venue, look: &[&Observation], others: PerpOthers) -> Vec<Liquidation> {
    let mut most: BTreeMap<&str, Decimal> = BTreeMap::new();
    for row in look {
        let Some(of) = position(row) else { continue };
        let most = most.entry(&row.symbol).or_insert(Decimal::ONE);
        *most = (*most).max(of.max_leverage.unwrap_or(of.leverage));
    }
    let (mut coins, mut coin_of): (Vec<Coin>, BTreeMap<&str, usize>) = Default::default();
    let (mut equities, mut account_of): (Vec<Decimal>, BTreeMap<Address, usize>) = Default::default();
    let (mut positions, mut places) = (Vec::new(), Vec::new());
    for row in look {
        let taken =
            position(row).and_then(|of| Some((of, of.value.checked_div(of.coins)?, venue.rule(Decimal::ZERO)?)));
        let Some((of, mark, rule)) = taken else {
            places.push(None);
            continue;
        };
        let coin = *coin_of.entry(&row.symbol).or_insert_with(|| {
            coins.push(Coin { mark, rule, tiers: tiers(venue, &row.symbol, most.get(&*row.symbol).copied()) });
            coins.len() - 1
        });
        let (equity, margin) = match of.margin {
            perp::Margin::Cross { account_value, .. } => (account_value, Margin::Cross),
            perp::Margin::Isolated { equity, .. } => (of.account_value, Margin::Isolated(equity)),
        };
        let account = *account_of.entry(of.account).or_insert_with(|| {
            equities.push(equity);
            equities.len() - 1
        });
        if margin == Margin::Cross
            && let Some(known) = equities.get_mut(account)
        {
            *known = equity;
        }
        places.push(Some(positions.len()));
        positions.push(Position { account, coin, side: of.side, size: of.coins, margin });
    }
    let others = if others == PerpOthers::MoveAlong { Others::MoveAlong } else { Others::AtTheirMarks };
    let found = liquidations(&equities, &coins, &positions, others);
    let of = |place: Option<usize>| place.and_then(|at| found.get(at).copied()).unwrap_or(Err(Refusal::NoTiers));
    places.into_iter().map(of).collect()
}

/// The tiers of a coin: as Hyperliquid's documents state them, else flat at the highest leverage that was seen.
fn tiers(venue: Venue, coin: &str, most: Option<Decimal>) -> Option<Tiers> {
    if venue == Venue::Hyperliquid { hyperliquid::stated(coin).or_else(|| hyperliquid::flat(most?).ok()) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::perp::Distortions;
    use protocol::standing::Standing;

    use crate::perps::Origin;

    fn row(hour: i64, account: u8, symbol: &str) -> Observation {
        Observation {
            venue: Venue::Hyperliquid,
            symbol: symbol.into(),
            time: TimeUs(hour * HOUR_US),
            received: TimeUs(hour * HOUR_US),
            distortions: Distortions::NONE,
            fact: Observed::Position(perp::Position {
                account: Address::repeat_byte(account),
                side: Side::Long,
                coins: Decimal::ONE,
                entry: Some(Decimal::from(100)),
                value: Decimal::from(100),
                leverage: Decimal::TEN,
                max_leverage: None,
                margin: perp::Margin::Cross { account_value: Decimal::TEN, maintenance: None },
                account_value: Decimal::TEN,
                liquidation_price: Some(Decimal::from(90)),
            }),
        }
    }

    fn source(rows: &[(i64, u8, &str)]) -> Source {
        let mut source = Source::new("test".into(), Origin::Venues, Venue::Hyperliquid, Standing::Observed);
        source.positions = rows.iter().map(|(hour, account, symbol)| row(*hour, *account, symbol)).collect();
        source
    }

    #[test]
    fn a_look_that_is_not_over_keeps_what_was_seen_before() {
        let before: Vec<_> = (1..=5).map(|account| (0, account, "BTC")).collect();
        for (after, seen, hours) in [
            (vec![], 5, (0, 0)),
            // One of five: the others stand as they were.
            (vec![(5, 1, "BTC")], 5, (0, 5)),
            // It has closed its BTC, and the others' stand.
            (vec![(5, 1, "ETH"), (5, 6, "BTC")], 5, (0, 5)),
            // Three of five are a look of their own: the others may be closed.
            (vec![(5, 1, "BTC"), (5, 2, "BTC"), (5, 3, "BTC")], 3, (5, 5)),
            // Too long ago.
            (vec![(25, 1, "BTC")], 1, (25, 25)),
            // A look at another coin is none at this one.
            (vec![(5, 1, "ETH")], 5, (0, 0)),
        ] {
            let rows = [before.clone(), after.clone()].concat();
            let look = newest(&source(&rows), "btc", PerpOthers::Stated).unwrap();
            assert_eq!((look.seen.len(), (look.from / 3_600, look.time / 3_600)), (seen, hours), "{after:?}");
            assert_eq!(look.span().is_some(), hours.0 < hours.1);
        }
    }
}
