//! Which markets there are, where they live, and what a node says of one that is not listed.
//!
//! * the registry ([`Markets`]): Aave's production markets, embedded, and whatever a file of the user's adds or changes;
//! * [`discover`]: everything about a market from its addresses provider alone;
//! * [`feeds`]: which contracts' logs tell that a price may have moved;
//! * [`auctions`]: where auctions for liquidations are settled and what they bring is collected;
//! * [`estimate`]: what a first sync will cost.
//!
//! The registry is a convenience, not a truth: its addresses are where to begin, its other figures are checked against
//! the chain by whoever relies on them.

pub mod auctions;
pub mod chain;
pub mod discover;
pub mod estimate;
pub mod feeds;
mod file;
#[cfg(test)]
mod testing;
pub(crate) mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::Version;

use crate::Result;

/// The file that this program carries; `cargo xtask registry` writes it.
const EMBEDDED: &str = include_str!("../../registry/markets.toml");

/// A market, as far as a registry knows it. What is absent is found on the chain ([`discover`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Market {
    /// What it is called, such as `ethereum-v3-core`: lower-case letters, digits and hyphens.
    pub name: String,
    /// Other names it answers to.
    pub aliases: Vec<String>,
    /// Its name in Aave's address book, such as `AaveV3Ethereum`; it answers to that too.
    pub book: Option<String>,
    /// Its protocol version.
    pub version: Option<Version>,
    /// The chain it lives on.
    pub chain: ChainId,
    /// The contract that names all others: what identifies a market.
    pub addresses_provider: Address,
    /// The pool (V2: lending pool).
    pub pool: Option<Address>,
    /// Sets what governance decides.
    pub configurator: Option<Address>,
    /// Where the pool asks for prices. It can be replaced: [`discover`] says which one counts at a block.
    pub oracle: Option<Address>,
    /// Answers questions about reserves.
    pub data_provider: Option<Address>,
    /// Where fees go.
    pub treasury: Option<Address>,
    /// What prices are counted in.
    pub base: Option<Base>,
    /// A block before its first, as far as known; [`discover::first_block`] checks it.
    pub first_block_hint: Option<u64>,
}

/// What a market's prices are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// US dollars with eight decimals.
    Usd8,
    /// Ether with eighteen decimals.
    Eth18,
}

impl Base {
    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usd8 => "usd8",
            Self::Eth18 => "eth18",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        [Self::Usd8, Self::Eth18].into_iter().find(|base| base.word() == word)
    }
}

/// How a chain is reached and what to expect of it. Averages and habits, none of which decides about correctness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The chain.
    pub chain: ChainId,
    /// Milliseconds between blocks, on average.
    pub block_ms: u64,
    /// How finality is told.
    pub finality: Finality,
    /// How many blocks one request for logs may span on most endpoints.
    pub log_range: u64,
    /// A block and when it was about made.
    pub anchor: Option<Anchor>,
    /// Public endpoints that need no key, or the user's own. May hold keys: never print more than a host.
    pub endpoints: Vec<String>,
}

/// How a chain's finality is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finality {
    /// Whether nodes are expected to answer the block tag `finalized`.
    pub tag: bool,
    /// How many blocks below the tip count as final where they do not.
    pub depth: u64,
}

/// A block and about when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Its number.
    pub block: u64,
    /// Seconds since 1970.
    pub time: u64,
}

impl Network {
    /// About which block is the tip at a time (seconds since 1970); `None` where the registry has no anchor.
    #[must_use]
    pub fn tip_about(&self, time: u64) -> Option<u64> {
        let anchor = self.anchor?;
        let blocks = |seconds: u64| seconds.saturating_mul(1_000).checked_div(self.block_ms);
        if time >= anchor.time {
            Some(anchor.block.saturating_add(blocks(time - anchor.time)?))
        } else {
            Some(anchor.block.saturating_sub(blocks(anchor.time - time)?))
        }
    }
}

/// Markets by name, and the networks they live on.
#[derive(Debug, Clone, Default)]
pub struct Markets {
    /// In the order of the file, which puts a chain's main market first.
    markets: Vec<Market>,
    networks: BTreeMap<ChainId, Network>,
    /// Which edition of the address book the embedded file is from.
    address_book: Option<String>,
}

impl Markets {
    /// The registry this program carries.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static MARKETS: LazyLock<Markets> = LazyLock::new(|| {
            let mut markets = Markets::default();
            // The tests read this very text; where it cannot be read there is nothing to list.
            if markets.merge(EMBEDDED, Path::new("registry/markets.toml")).is_err() {
                return Markets::default();
            }
            markets
        });
        &MARKETS
    }

    /// The embedded registry with a file of the user's over it: an entry of a known name changes what it names, any other
    /// adds a market (it needs `name`, `chain` and `addresses_provider`); a `[[chain]]` likewise, by `id`.
    ///
    /// # Errors
    /// The file cannot be read, or an entry makes no sense; the message names the line and never shows an endpoint.
    pub fn with_file(path: &Path) -> Result<Self> {
        use crate::error::IoContext as _;
        let text = std::fs::read_to_string(path).while_trying_to("read the list of markets", path)?;
        let mut markets = Self::embedded().clone();
        markets.merge(&text, path)?;
        Ok(markets)
    }

    /// All markets, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Market> {
        self.markets.iter()
    }

    /// The market of a name, an alias or the address book's name, in any case.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Market> {
        let name = name.trim().to_ascii_lowercase();
        let answers = |market: &&Market| market.answers_to(&name);
        self.markets.iter().find(|market| market.name == name).or_else(|| self.markets.iter().find(answers))
    }

    /// The market with an addresses provider.
    #[must_use]
    pub fn by_provider(&self, chain: ChainId, provider: Address) -> Option<&Market> {
        self.markets.iter().find(|market| market.chain == chain && market.addresses_provider == provider)
    }

    /// How a chain is reached, where known.
    #[must_use]
    pub fn network(&self, chain: ChainId) -> Option<&Network> {
        self.networks.get(&chain)
    }

    /// Which edition of the address book the embedded markets are from.
    #[must_use]
    pub fn address_book(&self) -> Option<&str> {
        self.address_book.as_deref()
    }

    /// Names that a mistyped one may have meant: those on the same chain or of which one holds the other.
    #[must_use]
    pub fn near(&self, name: &str) -> Vec<&str> {
        let name = name.trim().to_ascii_lowercase();
        let chain = name.split('-').next().unwrap_or("");
        let is_near = |market: &&Market| {
            !name.is_empty()
                && (market.name.contains(&name)
                    || name.contains(&market.name)
                    || market.name.split('-').next() == Some(chain))
        };
        self.markets.iter().filter(is_near).map(|market| market.name.as_str()).collect()
    }
}

impl Market {
    /// `name` is in lower case.
    fn answers_to(&self, name: &str) -> bool {
        self.name == name
            || self.aliases.iter().any(|alias| alias == name)
            || self.book.as_ref().is_some_and(|book| book.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests;
