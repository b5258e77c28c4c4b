//! Positions that somebody saw, each where it is liquidated.

use std::collections::BTreeMap;

use engine::map::perps::measured::{Coin, Liquidation, Margin, Others, Position, liquidations};
use protocol::perp::{self, Observation, Observed};
use protocol::time::{HOUR_US, SECOND_US};
use protocol::venue::{Reach, Refusal, Side, Tiers, Venue, hyperliquid};
use protocol::{Address, Decimal};

use super::inputs::{Source, float};
use crate::args::PerpOthers;

/// Positions of accounts read within this long of each other are of one moment.
const ONE_MOMENT: i64 = HOUR_US;

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
    /// When, in seconds.
    pub time: i64,
    /// The price of the coin that positions were valued at.
    pub mark: f64,
    pub seen: Vec<Seen>,
    /// Whether prices are those that the venue states.
    pub is_stated: bool,
}

/// Every look at accounts that a source has, in time's order.
pub(crate) fn looks(source: &Source, coin: &str, others: PerpOthers) -> Vec<Look> {
    let mut rows: Vec<&Observation> = source.positions.iter().collect();
    rows.sort_by_key(|row| row.time);
    let mut looks: Vec<Vec<&Observation>> = Vec::new();
    for row in rows {
        match looks.last_mut() {
            // An account that comes again begins another look.
            Some(look)
                if look.first().is_some_and(|first| row.time.0 - first.time.0 < ONE_MOMENT) && !again(look, row) =>
            {
                look.push(row);
            }
            _ => looks.push(vec![row]),
        }
    }
    looks.iter().filter_map(|look| one(source.venue, coin, look, others)).collect()
}

/// Whether an account and coin stand in a look already, of another moment.
fn again(look: &[&Observation], row: &Observation) -> bool {
    let account = |row: &Observation| if let Observed::Position(of) = &row.fact { Some(of.account) } else { None };
    // Rows are in time's order, so a look of one moment alone needs no search.
    let is_one_moment = look.first().is_some_and(|first| first.time == row.time);
    !is_one_moment
        && look
            .iter()
            .any(|other| other.time != row.time && account(other) == account(row) && other.symbol == row.symbol)
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
    let time = look.iter().map(|row| row.time.0).max()?.div_euclid(SECOND_US);
    Some(Look { time, mark, seen: seen.collect(), is_stated })
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
