//! Which contracts write the logs of a market. It follows from the logs themselves.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Address;
use protocol::aave::log::Statement;

use crate::archive::coverage::{Coverage, Job};
use crate::decode;
use crate::log::{Filter, Log};

/// The contracts of a market, each with the first block in which it can have written a log that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    provider: Address,
    configurator: Address,
    first_block: u64,
    wanted: BTreeMap<Address, u64>,
    /// Dual aggregators, safes and settlement contracts, whose own words around auctions are read besides.
    around_auctions: BTreeMap<Address, u64>,
    oracles: BTreeSet<Address>,
    /// Where whoever may be an oracle says that it gets its prices, by who says so and what it names, each with the first block whose
    /// log does. An oracle is set up before it is appointed, and whoever never is one is not asked about.
    named: BTreeMap<(Address, Address), u64>,
}

impl Watch {
    /// A market's provider, pool and configurator, and the oracles that are known from the start, all since its first block.
    #[must_use]
    pub fn new(provider: Address, pool: Address, configurator: Address, oracles: &[Address], first_block: u64) -> Self {
        let known = [provider, pool, configurator].into_iter().chain(oracles.iter().copied());
        let wanted = known.filter(|address| !address.is_zero()).map(|address| (address, first_block)).collect();
        let (oracles, named) = (oracles.iter().copied().collect(), BTreeMap::new());
        let around_auctions = BTreeMap::new();
        Self { provider, configurator, first_block, wanted, around_auctions, oracles, named }
    }

    /// Learns of the contracts that a log names. Returns whether any of them was new.
    ///
    /// Only the provider, the configurator and the oracles are believed: any contract can write a log of any shape. What one says
    /// before it is an oracle is kept until it is, so that logs may come in any order.
    pub fn observe(&mut self, log: &Log<'_>) -> bool {
        if log.address != self.provider && log.address != self.configurator && !decode::names_source(log) {
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
            Statement::SourceChanged { source, .. } if !source.is_zero() => {
                let first = self.named.entry((log.address, source)).or_insert(log.block);
                *first = log.block.min(*first);
                false
            }
            _ => false,
        }
    }

    /// Where oracles get or got their prices, each with the block whose log first names it.
    #[must_use]
    pub fn sources(&self) -> BTreeMap<Address, u64> {
        let mut sources = BTreeMap::new();
        for ((_, source), block) in self.named.iter().filter(|((by, _), _)| self.oracles.contains(by)) {
            let first = sources.entry(*source).or_insert(*block);
            *first = (*block).min(*first);
        }
        sources
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

    /// Adds a contract of which is read what it says around auctions. Returns whether it was new, or is now wanted from an earlier
    /// block.
    pub fn add_auction(&mut self, address: Address, from: u64) -> bool {
        let known = self.around_auctions.entry(address).or_insert(u64::MAX);
        let is_new = from < *known;
        *known = from.min(*known);
        is_new
    }

    /// Every contract of which is read what it says around auctions, and its first block.
    #[must_use]
    pub fn wanted_around_auctions(&self) -> Vec<(Address, u64)> {
        self.around_auctions.iter().map(|(address, from)| (*address, *from)).collect()
    }

    /// What is still to be read up to a block, in order.
    #[must_use]
    pub fn missing(&self, coverage: &Coverage, to: u64) -> Vec<Job> {
        let mut jobs = coverage.missing(&self.wanted(), &decode::topics(), to);
        jobs.extend(coverage.missing(&self.wanted_around_auctions(), &decode::auction_topics(), to));
        jobs.sort_by_key(|job| (job.from, job.to));
        jobs
    }

    /// The last block up to which every log of every contract is held; none where not even the first block is.
    #[must_use]
    pub fn complete_to(&self, coverage: &Coverage, to: u64) -> Option<u64> {
        let own = coverage.complete_to(&self.wanted(), &decode::topics(), to)?;
        match self.wanted_around_auctions().as_slice() {
            [] => Some(own),
            wanted => Some(own.min(coverage.complete_to(wanted, &decode::auction_topics(), to)?)),
        }
    }

    /// What to ask for at the head of the chain: everything.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let mut filter = Filter { addresses: self.wanted.keys().copied().collect(), topics: decode::topics() };
        if !self.around_auctions.is_empty() {
            filter.addresses.extend(self.around_auctions.keys());
            filter.topics.extend(decode::auction_topics());
        }
        filter
    }

    /// The market's first block.
    #[must_use]
    pub fn first_block(&self) -> u64 {
        self.first_block
    }
}

#[cfg(test)]
mod tests {
    use protocol::B256;

    use super::*;

    const PROVIDER: Address = Address::repeat_byte(1);
    const ORACLE: Address = Address::repeat_byte(4);

    /// A log by somebody, in a block, whose event has addresses alone, all of them topics.
    fn observe(watch: &mut Watch, by: Address, block: u64, event: &str, topics: &[Address]) {
        let name = alloy_primitives::keccak256(event);
        let topics: Vec<B256> = std::iter::once(name).chain(topics.iter().map(|topic| topic.into_word())).collect();
        watch.observe(&Log {
            block,
            block_hash: B256::ZERO,
            transaction: B256::ZERO,
            transaction_index: 0,
            log_index: 0,
            address: by,
            time: 0,
            topics: &topics,
            data: &[],
        });
    }

    #[test]
    fn an_oracles_sources_are_known_in_whatever_order_its_logs_come() {
        let [asset, source, other] = [7, 8, 9].map(Address::repeat_byte);
        // Set up, and appointed later; the source is named twice. A stranger names another.
        let logs = [
            (ORACLE, 90, "AssetSourceUpdated(address,address)", vec![asset, source]),
            (Address::repeat_byte(5), 95, "AssetSourceUpdated(address,address)", vec![asset, other]),
            (PROVIDER, 100, "PriceOracleUpdated(address,address)", vec![Address::ZERO, ORACLE]),
            (ORACLE, 120, "AssetSourceUpdated(address,address)", vec![asset, source]),
        ];
        for order in [[0, 1, 2, 3], [2, 0, 1, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let mut watch = Watch::new(PROVIDER, Address::repeat_byte(2), Address::repeat_byte(3), &[], 10);
            for (by, block, event, topics) in order.map(|place: usize| &logs[place]) {
                observe(&mut watch, *by, *block, event, topics);
            }
            assert_eq!(watch.sources(), BTreeMap::from([(source, 90)]), "{order:?}");
        }
    }
}
