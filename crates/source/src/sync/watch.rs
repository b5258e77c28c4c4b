//! Which contracts write the logs of a market. It follows from the logs themselves.

use std::collections::BTreeMap;

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
}

impl Watch {
    /// A market's provider, pool and configurator, and whatever else is known from the start, all since its first block.
    #[must_use]
    pub fn new(provider: Address, pool: Address, configurator: Address, others: &[Address], first_block: u64) -> Self {
        let known = [provider, pool, configurator].into_iter().chain(others.iter().copied());
        let wanted = known.filter(|address| !address.is_zero()).map(|address| (address, first_block)).collect();
        Self { provider, configurator, first_block, wanted }
    }

    /// Learns of the contracts that a log names. Returns whether any of them was new.
    ///
    /// Only the provider and the configurator are believed: any contract can write a log of any shape.
    pub fn observe(&mut self, log: &Log<'_>) -> bool {
        if log.address != self.provider && log.address != self.configurator {
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
            Statement::OracleChanged { oracle } if log.address == self.provider => self.add(oracle, self.first_block),
            _ => false,
        }
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
