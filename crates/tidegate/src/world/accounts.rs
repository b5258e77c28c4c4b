//! One account through the two years: what its owner does, and when it is liquidated. Accounts do not touch each other, so
//! each can be computed alone.

use protocol::Address;
use protocol::liquidation::Version;

use super::chance::Chance;
use super::markets::{Market, Reserve};
use super::prices::{HOURS, Prices};
use super::ratios::{Ratios, Series};
use super::rules::{self, Position, Quote, Seizure, Terms};

/// The protocol's share of the liquidation bonus on V3, in hundredths of a per cent.
const FEE_BPS: u128 = 1_000;
/// The scale of whole US dollars in prices.
const DOLLAR: u128 = 100_000_000;

/// Collateral, in whole US dollars, above which nobody sits close to the edge.
const MUCH: u128 = 400_000;

/// Streams of chance below an account's.
const ONCE: u64 = 0;
const REVIEWS: u64 = 1;
const PATIENCE: u64 = 2;

/// A liquidation, with what there was before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    /// The hour.
    pub hour: usize,
    /// The position before.
    pub before: Position,
    /// The prices and parameters it was made by.
    pub terms: Terms,
    /// What was taken.
    pub seizure: Seizure,
}

/// What became of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// Its address.
    pub user: Address,
    /// Which of the market's collaterals it has.
    pub collateral: usize,
    /// Which of the market's debts it has.
    pub debt: usize,
    /// Every liquidation, in order.
    pub calls: Vec<Call>,
    /// What stands at the end of the world, if it was opened by then.
    pub position: Option<Position>,
}

/// The world around an account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a> {
    /// Its market.
    pub market: &'a Market,
    /// All prices.
    pub prices: &'a Prices,
    /// How prices stand to each other.
    pub ratios: &'a Ratios,
}

impl Account {
    /// Lives an account through the two years.
    pub(crate) fn live(around: &Around<'_>, chance: Chance) -> Self {
        let once = chance.stream(ONCE);
        let mut account = Self {
            user: Address::from(once.bytes(0)),
            collateral: pick(&around.market.collaterals, once.below(1, 100)),
            debt: 0,
            calls: Vec::new(),
            position: None,
        };
        let collateral = &around.market.collaterals[account.collateral].0;
        account.debt = pick(&around.market.debts, once.below(2, 100));
        // Nobody borrows what he puts in.
        if around.market.debts[account.debt].0.asset == collateral.asset {
            account.debt = 0;
        }
        let wish_usd8 = wish(around.market, once.bits(3));
        let owner = Owner {
            wish_usd8,
            // Who has much at stake keeps away from the edge.
            daring: once.below(4, if wish_usd8 > MUCH * DOLLAR { 78 } else { 100 }),
            chance,
        };
        account.live_on(around, &owner, opening(once));
        account
    }

    fn live_on(&mut self, around: &Around<'_>, owner: &Owner, opened: usize) {
        let market = around.market;
        let (collateral, debt) = (&market.collaterals[self.collateral].0, &market.debts[self.debt].0);
        let terms = |hour| terms(market.version, collateral, debt, around.prices, hour);
        let series = around.ratios.of(collateral.asset, debt.asset);
        let (mut review, mut due, mut hour) = (0, opened, opened);
        while hour < HOURS {
            if hour >= due {
                self.position = Some(owner.settle(review, &terms(hour)));
                due = hour + owner.rest(review);
                review += 1;
            }
            let Some(position) = self.position else { break };
            match next_call(position, series, hour + 1..due.min(HOURS), &terms) {
                Some(at) => {
                    let call = call(position, at, terms(at));
                    hour = at;
                    // Dust stays until its owner comes by: liquidating it would not pay.
                    if terms(at).debt.value(position.debt) >= u128::from(market.least_usd) * DOLLAR
                        && let Some(call) = call
                    {
                        self.position = Some(call.after());
                        self.calls.push(call);
                        due = due.min(at + owner.shaken(self.calls.len()));
                    } else {
                        hour = due;
                    }
                }
                None => hour = due,
            }
        }
    }
}

impl Call {
    /// The position after it.
    pub(crate) fn after(&self) -> Position {
        Position {
            collateral: self.before.collateral - self.seizure.collateral - self.seizure.fee,
            debt: self.before.debt - self.seizure.repaid,
        }
    }
}

fn call(before: Position, hour: usize, terms: Terms) -> Option<Call> {
    rules::liquidate(before, &terms).map(|seizure| Call { hour, before, terms, seizure })
}

/// The prices and parameters between two tokens in an hour.
pub(super) fn terms(version: Version, collateral: &Reserve, debt: &Reserve, prices: &Prices, hour: usize) -> Terms {
    let quote = |reserve: &Reserve| Quote { usd8: prices.usd8(reserve.asset, hour).into(), unit: reserve.unit };
    Terms {
        version,
        collateral: quote(collateral),
        debt: quote(debt),
        threshold_bps: collateral.threshold_bps,
        bonus_bps: collateral.bonus_bps,
        fee_bps: FEE_BPS,
    }
}

/// The first of some hours in which a position can be liquidated.
fn next_call(
    position: Position,
    series: &Series,
    mut hours: std::ops::Range<usize>,
    terms: &impl Fn(usize) -> Terms,
) -> Option<usize> {
    if position.debt == 0 || position.collateral == 0 {
        return None;
    }
    let limit = Ratios::limit(position, &terms(hours.start.min(HOURS - 1)));
    while let Some(hour) = series.next_below(limit, hours.clone()) {
        // The limit errs on the safe side; the rules themselves decide.
        if rules::liquidate(position, &terms(hour)).is_some() {
            return Some(hour);
        }
        hours.start = hour + 1;
    }
    None
}

/// How an account's owner behaves.
struct Owner {
    wish_usd8: u128,
    /// Of a hundred owners, how many are more careful than this one.
    daring: u64,
    chance: Chance,
}

impl Owner {
    /// Brings the position to the size and health the owner wants today.
    fn settle(&self, review: u64, terms: &Terms) -> Position {
        let chance = self.chance.stream(REVIEWS);
        // The health factor wanted: most stay well away from 1, some sit close to it.
        let health_bps = match self.daring {
            0..40 => chance.between(review, 17_500, 40_000),
            40..74 => chance.between(review, 13_500, 22_000),
            74..90 => chance.between(review, 11_800, 16_000),
            _ => chance.between(review, 10_800, 13_000),
        };
        let collateral = terms.collateral.amount(self.wish_usd8);
        let debt_usd8 = self.wish_usd8 * terms.threshold_bps / u128::from(health_bps);
        Position { collateral, debt: terms.debt.amount(debt_usd8) }
    }

    /// Hours until the owner looks again.
    fn rest(&self, review: u64) -> usize {
        hours(self.chance.stream(PATIENCE).between(review, 15 * 24, 80 * 24))
    }

    /// Hours until the owner comes back after a liquidation.
    fn shaken(&self, calls: usize) -> usize {
        hours(self.chance.stream(PATIENCE).between(1 << 32 | calls as u64, 3 * 24, 25 * 24))
    }
}

/// The collateral an owner wants, in US dollars of eight decimals: twice the size is half as common.
fn wish(market: &Market, bits: u64) -> u128 {
    let (smallest, largest) = (u128::from(market.smallest_usd) * DOLLAR, u128::from(market.largest_usd) * DOLLAR);
    rules::mul_div(&[smallest, 1 << 64], &[u128::from(bits) + 1]).min(largest)
}

/// Half the accounts are there from the first weeks on, the others come within a year and a half.
fn opening(once: Chance) -> usize {
    let weeks = if once.below(5, 2) == 0 { 4 } else { 78 };
    hours(once.below(6, weeks * 7 * 24))
}

fn pick(choices: &[(Reserve, u64)], mut ticket: u64) -> usize {
    for (index, (_, weight)) in choices.iter().enumerate() {
        if ticket < *weight {
            return index;
        }
        ticket -= weight;
    }
    0
}

fn hours(number: u64) -> usize {
    usize::try_from(number).unwrap_or(HOURS)
}
