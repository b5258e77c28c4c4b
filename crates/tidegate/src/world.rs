//! A world made up from a seed: markets, prices, positions, and the liquidations that follow from them.
//!
//! Nothing in it is real but the names of chains and tokens and the tokens' decimals, and nothing claims to be: its
//! figures are `assumed`. It is for trying the program without a network or a file, and for tests that need to know
//! everything about a world. Its arithmetic is a simplification of its own ([`rules`] says which), in integers
//! throughout. Every part follows from (seed, stream, index) alone ([`chance`]), so the same seed gives the same world
//! anywhere.
//!
//! In the order in which one follows from the other: [`prices`] by the hour; [`markets`] with their tokens;
//! [`accounts`], each lived through the two years by [`rules`] (with [`ratios`] to pass over calm hours); and [`log`],
//! the liquidations as the events that a chain would have told.

pub(crate) mod accounts;
pub(crate) mod chance;
pub(crate) mod log;
pub(crate) mod markets;
pub(crate) mod prices;
pub(crate) mod ratios;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use accounts::{Account, Around};
use chance::Chance;
use markets::Market;
use prices::Prices;
use protocol::event::Event;
use protocol::time::{HOUR_US, TimeUs};
use ratios::Ratios;
use source::archive::positions::Row;

/// Streams of chance below a world's.
const PRICES: u64 = 0;
const ACCOUNTS: u64 = 1;
const LOG: u64 = 2;

/// A world.
#[derive(Debug, Clone)]
pub(crate) struct World {
    /// From which it was made.
    pub seed: u64,
    /// Its markets.
    pub markets: Vec<Market>,
    /// Its prices.
    pub prices: Prices,
    /// The accounts of each market.
    pub accounts: Vec<Vec<Account>>,
}

impl World {
    /// Makes a world.
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let prices = Prices::of(chance.stream(PRICES));
        let markets = markets::all();
        let ratios = Ratios::of_markets(&markets, &prices);
        let accounts = (0..)
            .zip(&markets)
            .map(|(place, market)| {
                let around = Around { market, prices: &prices, ratios: &ratios };
                let of_market = chance.stream(ACCOUNTS).stream(place);
                (0..market.accounts).map(|index| Account::live(&around, of_market.stream(index))).collect()
            })
            .collect();
        Self { seed, markets, prices, accounts }
    }

    /// Its liquidations, in the order in which the archive keeps them.
    pub(crate) fn events(&self) -> Vec<Event> {
        log::events(self, Chance::new(self.seed).stream(LOG))
    }

    /// What stands at the end of its last hour, both sides of every account.
    pub(crate) fn standing_positions(&self) -> Vec<Row> {
        let last = prices::HOURS - 1;
        let mut rows = Vec::new();
        for (market, accounts) in self.markets.iter().zip(&self.accounts) {
            for account in accounts {
                let Some(position) = account.position else { continue };
                let (collateral, debt) = (&market.collaterals[account.collateral].0, &market.debts[account.debt].0);
                let terms = accounts::terms(market.version, collateral, debt, &self.prices, last);
                let legs = [
                    (false, log::leg(collateral, position.collateral, terms.collateral)),
                    (true, log::leg(debt, position.debt, terms.debt)),
                ];
                let of_collateral = |is_debt: bool, bps: u128| u16::try_from(bps).ok().filter(|_| !is_debt);
                rows.extend(legs.map(|(is_debt, leg)| Row {
                    threshold_bps: of_collateral(is_debt, collateral.threshold_bps),
                    bonus_bps: of_collateral(is_debt, collateral.bonus_bps),
                    chain: market.chain,
                    market: market.name.clone(),
                    version: Some(market.version),
                    user: account.user,
                    is_debt,
                    leg,
                }));
            }
        }
        rows
    }

    /// The moment it ends.
    pub(crate) fn ends() -> TimeUs {
        TimeUs(prices::START.0 + i64::try_from(prices::HOURS).unwrap_or(0) * HOUR_US)
    }

    /// How many accounts ever had a position.
    pub(crate) fn positions(&self) -> usize {
        let opened = |account: &&Account| account.position.is_some();
        self.accounts.iter().flatten().filter(opened).count()
    }
}
