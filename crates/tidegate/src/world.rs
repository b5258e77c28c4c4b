//! A world made up from a seed: markets, prices, positions, and the liquidations that follow from them.
//!
//! Nothing in it is real but the names of chains and tokens and the tokens' decimals, and nothing claims to be: its
//! figures are `assumed`. It is for trying the program without a network or a file, and for tests that need to know
//! everything about a world. Its arithmetic is a simplification of its own ([`rules`] says which), in integers
//! throughout. Every part follows from (seed, stream, index) alone ([`chance`]), so the same seed gives the same world
//! anywhere.
//!
//! In the order in which one follows from the other: [`prices`] by the hour; [`markets`] with their tokens;
//! [`accounts`], each lived through the two years by [`rules`] (with [`ratios`] to pass over calm hours); [`causes`], what made each
//! liquidation possible; [`auctions`], who won it and for how much; [`blocks`], what the chains tell of all that; and [`log`],
//! the liquidations as events.

pub(crate) mod accounts;
pub(crate) mod auctions;
pub(crate) mod blocks;
pub(crate) mod causes;
pub(crate) mod chance;
pub(crate) mod found;
pub(crate) mod log;
pub(crate) mod markets;
pub(crate) mod prices;
pub(crate) mod ratios;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use accounts::{Account, Around};
use auctions::Auctions;
use blocks::Told;
use chance::Chance;
use log::Placed;
use markets::Market;
use prices::Prices;
use protocol::event::Event;
use protocol::time::{HOUR_US, TimeUs};
use ratios::Ratios;
use source::archive::DataFile;
use source::archive::positions::Row;
use source::import::digest;

/// What the archive says of files of a world, before its seed.
const ORIGIN: &str = "made up by tidegate from seed ";

/// Streams of chance below a world's.
const PRICES: u64 = 0;
const ACCOUNTS: u64 = 1;
const LOG: u64 = 2;
const AUCTIONS: u64 = 3;
const BLOCKS: u64 = 4;

/// What a dataset's file says of the world that its liquidations come from. Rounds, bids and payments are in no file: they follow from the
/// seed, as everything in a world does. The file also says which liquidations those are, so that no other world is ever taken for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The world's seed.
    pub seed: u64,
    /// The hash of its liquidations.
    digest: String,
    file: PathBuf,
}

impl Claim {
    /// What a dataset's files of liquidations claim; none where they do not come from a world.
    pub(crate) fn of(files: &[DataFile]) -> Option<Self> {
        let [file] = files else { return None };
        let seed = file.footer.note("origin")?.strip_prefix(ORIGIN)?.parse().ok()?;
        Some(Self { seed, digest: file.footer.note("source_sha256")?.to_owned(), file: file.path.clone() })
    }

    /// Fails unless this is what happened in the world.
    ///
    /// # Errors
    /// Another version of the program made the file.
    pub(crate) fn check(&self, lived: &Lived<'_>) -> anyhow::Result<()> {
        let is_kept = digest(&lived.events()) == self.digest;
        anyhow::ensure!(
            is_kept,
            "{} was made up by another version of this program; remove it and run `tidegate demo --seed {}`",
            self.file.display(),
            self.seed
        );
        Ok(())
    }
}

/// What happened in a world.
#[derive(Debug, Clone)]
pub(crate) struct Lived<'a> {
    /// Its liquidations.
    pub calls: Vec<Placed<'a>>,
    /// The truth about its auctions, which nothing but tests may look at.
    #[cfg_attr(not(test), expect(dead_code, reason = "what the program shows is concluded from what the chains tell"))]
    pub auctions: Auctions,
    /// What its chains tell.
    pub told: Told,
}

impl Lived<'_> {
    /// Its liquidations, in the order in which the archive keeps them.
    pub(crate) fn events(&self) -> Vec<Event> {
        log::events(&self.calls, &self.told.seats)
    }
}

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
    /// The world of a seed. The last one made is kept, because the commands of a demo ask for the same one again and again.
    pub(crate) fn made(seed: u64) -> Arc<Self> {
        static LAST: Mutex<Option<Arc<World>>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some(world) if world.seed == seed => Arc::clone(world),
            _ => Arc::clone(last.insert(Arc::new(Self::of(seed)))),
        }
    }

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

    /// What happened in it and what its chains tell of that.
    pub(crate) fn lived(&self) -> Lived<'_> {
        let chance = Chance::new(self.seed);
        let calls = log::placed(self, chance.stream(LOG));
        let auctions = Auctions::hold(&calls, chance.stream(AUCTIONS));
        let told = blocks::lay(self, &calls, &auctions, chance.stream(BLOCKS));
        Lived { calls, auctions, told }
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

    /// What the archive says that its files come from.
    pub(crate) fn origin(seed: u64) -> String {
        format!("{ORIGIN}{seed}")
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
