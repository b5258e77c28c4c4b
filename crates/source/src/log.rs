//! Logs as a node returns them, held in columns, and what was asked for to get them.

use std::collections::BTreeSet;

use alloy_primitives::keccak256;
use protocol::{Address, B256};

/// Which logs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who wrote them; any contract where this is empty.
    pub addresses: BTreeSet<Address>,
    /// What their first topic is; anything, or none, where this is empty.
    pub topics: BTreeSet<B256>,
}

impl Filter {
    /// A name for exactly these addresses and topics: the hash of both, counted and in order.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut bytes = Vec::with_capacity(16 + 20 * self.addresses.len() + 32 * self.topics.len());
        bytes.extend_from_slice(&(self.addresses.len() as u64).to_be_bytes());
        self.addresses.iter().for_each(|address| bytes.extend_from_slice(address.as_slice()));
        bytes.extend_from_slice(&(self.topics.len() as u64).to_be_bytes());
        self.topics.iter().for_each(|topic| bytes.extend_from_slice(topic.as_slice()));
        keccak256(bytes)
    }

    /// Whether logs of a contract are among those asked for.
    #[must_use]
    pub fn takes_from(&self, address: &Address) -> bool {
        self.addresses.is_empty() || self.addresses.contains(address)
    }

    /// Whether logs whose first topic is this are among those asked for.
    #[must_use]
    pub fn takes_topic(&self, topic: &B256) -> bool {
        self.topics.is_empty() || self.topics.contains(topic)
    }

    /// Whether there can be a log that both ask for.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        fn meet<T: Ord>(a: &BTreeSet<T>, b: &BTreeSet<T>) -> bool {
            a.is_empty() || b.is_empty() || !a.is_disjoint(b)
        }
        meet(&self.addresses, &other.addresses) && meet(&self.topics, &other.topics)
    }

    /// Whether a log is among those asked for.
    #[must_use]
    pub fn takes(&self, log: &Log<'_>) -> bool {
        let topic_fits = self.topics.is_empty() || log.topics.first().is_some_and(|topic| self.takes_topic(topic));
        self.takes_from(&log.address) && topic_fits
    }
}

/// One log, borrowed from wherever it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log<'a> {
    /// The number of its block.
    pub block: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// When its block was made, in seconds since 1970.
    pub time: u64,
    /// The hash of its transaction.
    pub transaction: B256,
    /// The place of its transaction in the block.
    pub transaction_index: u32,
    /// Its own place in the block.
    pub log_index: u32,
    /// The contract that wrote it.
    pub address: Address,
    /// At most four; the first names the event.
    pub topics: &'a [B256],
    /// What is not indexed, as the ABI lays it out.
    pub data: &'a [u8],
}

impl Log<'_> {
    /// Its place on the chain: the block, then the place in the block.
    #[must_use]
    pub fn key(&self) -> (u64, u32) {
        (self.block, self.log_index)
    }
}

/// The most topics a log can have: `LOG4`.
pub const MAX_TOPICS: usize = 4;

/// Many logs, in the order in which they were added.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs {
    fixed: Vec<Fixed>,
    data: Vec<u8>,
}

/// What of a log has a fixed size.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fixed {
    block: u64,
    time: u64,
    block_hash: B256,
    transaction: B256,
    transaction_index: u32,
    log_index: u32,
    address: Address,
    topic_count: u8,
    topics: [B256; MAX_TOPICS],
    /// Where its data ends in the common buffer; it begins where the log before it ends.
    data_end: usize,
}

impl Logs {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fixed.len()
    }

    /// Forgets all of them and keeps the memory for others.
    pub fn clear(&mut self) {
        self.fixed.clear();
        self.data.clear();
    }

    /// How much memory they need, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.fixed.len() * size_of::<Fixed>() + self.data.len()
    }

    /// Forgets those of blocks behind this one.
    pub fn keep_to(&mut self, block: u64) {
        if self.fixed.iter().any(|fixed| fixed.block > block) {
            let mut kept = Self::default();
            self.iter().filter(|log| log.block <= block).for_each(|log| kept.push(&log));
            *self = kept;
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty()
    }

    /// Adds one.
    ///
    /// # Panics
    /// It has more than [`MAX_TOPICS`] topics, which no chain allows: check before.
    pub fn push(&mut self, log: &Log<'_>) {
        let mut topics = [B256::ZERO; MAX_TOPICS];
        topics[..log.topics.len()].copy_from_slice(log.topics);
        self.data.extend_from_slice(log.data);
        self.fixed.push(Fixed {
            block: log.block,
            time: log.time,
            block_hash: log.block_hash,
            transaction: log.transaction,
            transaction_index: log.transaction_index,
            log_index: log.log_index,
            address: log.address,
            topic_count: u8::try_from(log.topics.len()).unwrap_or(u8::MAX),
            topics,
            data_end: self.data.len(),
        });
    }

    /// Adds all of another's.
    pub fn append(&mut self, other: &Self) {
        let base = self.data.len();
        self.data.extend_from_slice(&other.data);
        self.fixed.extend(other.fixed.iter().map(|log| Fixed { data_end: base + log.data_end, ..log.clone() }));
    }

    /// One of them, by its place.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Log<'_>> {
        let fixed = self.fixed.get(place)?;
        let begin = place.checked_sub(1).map_or(0, |before| self.fixed[before].data_end);
        Some(Log {
            block: fixed.block,
            block_hash: fixed.block_hash,
            time: fixed.time,
            transaction: fixed.transaction,
            transaction_index: fixed.transaction_index,
            log_index: fixed.log_index,
            address: fixed.address,
            topics: &fixed.topics[..usize::from(fixed.topic_count)],
            data: &self.data[begin..fixed.data_end],
        })
    }

    /// The place on the chain of one of them: cheaper than all of it.
    #[must_use]
    pub fn key(&self, place: usize) -> Option<(u64, u32)> {
        self.fixed.get(place).map(|log| (log.block, log.log_index))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Log<'_>> + ExactSizeIterator {
        (0..self.len()).map(|place| self.get(place).unwrap_or_else(|| unreachable!("a place below the length")))
    }

    /// The same logs in the chain's order: by block, then by place in the block.
    #[must_use]
    pub fn sorted(self) -> Self {
        if self.fixed.is_sorted_by_key(|log| (log.block, log.log_index)) {
            return self;
        }
        let mut places: Vec<usize> = (0..self.len()).collect();
        places.sort_by_key(|place| (self.fixed[*place].block, self.fixed[*place].log_index));
        let mut sorted = Self::default();
        for log in places.into_iter().filter_map(|place| self.get(place)) {
            sorted.push(&log);
        }
        sorted
    }
}
