//! Which contracts write the logs of a market. It follows from the logs themselves.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Address;
use protocol::aave::log::Statement;

use crate::decode;
use crate::log::{Filter, Log};

/// The contracts of a market, each with the first block in which it can have written a log that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    provider: Address,
    configurator: Address,
    first_block: u64,
    wanted: BTreeMap<Address, u64>,
    oracles: BTreeSet<Address>,
    /// Where oracles get their prices, each with the block that first names it.
    sources: BTreeMap<Address, u64>,
}

impl Watch {
    /// A market's provider, pool and configurator, and the oracles that are known from the start, all since its first block.
    #[must_use]
    pub fn new(provider: Address, pool: Address, configurator: Address, oracles: &[Address], first_block: u64) -> Self {
        let known = [provider, pool, configurator].into_iter().chain(oracles.iter().copied());
        let wanted = known.filter(|address| !address.is_zero()).map(|address| (address, first_block)).collect();
        let (oracles, sources) = (oracles.iter().copied().collect(), BTreeMap::new());
        Self { provider, configurator, first_block, wanted, oracles, sources }
    }

    /// Learns of the contracts that a log names. Returns whether any of them was new.
    ///
    /// Only the provider, the configurator and the oracles are believed: any contract can write a log of any shape.
    pub fn observe(&mut self, log: &Log<'_>) -> bool {
        let is_oracle = self.oracles.contains(&log.address);
        if log.address != self.provider && log.address != self.configurator && !is_oracle {
            return false;
        }
        let Ok(Some(statement)) = decode::statement(log) else {
            return false;
        };
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these name contracts")]
        match statement {
            // A token writes its first log in the transaction that lists it.
            Statement::Listed(listing) if log.address == self.configurator => {
                let tokens = [listing.a_token, listing.stable, listing.variable];
                tokens.into_iter().fold(false, |new, token| self.add(token, log.block) | new)
            }
            // An oracle may be older than its appointment.
            Statement::OracleChanged { oracle } if log.address == self.provider => {
                self.oracles.insert(oracle);
                self.add(oracle, self.first_block)
            }
            // Who stands behind a source is in no log: it is not watched before somebody asked.
            Statement::SourceChanged { source, .. } if is_oracle && !source.is_zero() => {
                self.sources.entry(source).or_insert(log.block);
                false
            }
            _ => false,
        }
    }

    /// Where oracles get or got their prices, each with the block whose log first names it.
    #[must_use]
    pub fn sources(&self) -> &BTreeMap<Address, u64> {
        &self.sources
    }

    /// Adds a contract, such as a price feed. Returns whether it was new, or is now wanted from an earlier block.
    pub fn add(&mut self, address: Address, from: u64) -> bool {
        if address.is_zero() {
            return false;
        }
        let known = self.wanted.entry(address).or_insert(u64::MAX);
        let is_new = from < *known;
        *known = from.min(*known);
        is_new
    }

    /// Whether a contract is watched.
    #[must_use]
    pub fn watches(&self, address: &Address) -> bool {
        self.wanted.contains_key(address)
    }

    /// Every contract and its first block.
    #[must_use]
    pub fn wanted(&self) -> Vec<(Address, u64)> {
        self.wanted.iter().map(|(address, from)| (*address, *from)).collect()
    }

    /// What to ask for at the head of the chain: everything.
    #[must_use]
    pub fn filter(&self) -> Filter {
        Filter { addresses: self.wanted.keys().copied().collect(), topics: decode::topics() }
    }

    /// The market's first block.
    #[must_use]
    pub fn first_block(&self) -> u64 {
        self.first_block
    }
}
