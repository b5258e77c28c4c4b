//! What a block's bloom filter says about logs that are held, or that are not.
//!
//! A header's `logsBloom` has three bits set for every address and every topic of the block's logs. It can therefore refute,
//! never confirm: a held log whose bits are not set is certainly foreign; a block whose bits allow a log of the filter while
//! none is held is *suspect*, and may be so by chance. How often by chance depends on how full the filter is: on Ethereum
//! today most blocks are so full that a filter of hundreds of addresses is suspect in nearly every block, and the check is
//! worth its requests on quiet chains and early blocks alone. [`Sketch::chance`] says so for each block.
//!
//! It cannot see an omitted log beside a held one of the same address and event, nor anything on a chain that leaves the
//! filter empty or full.

use alloy_primitives::{Bloom, BloomInput};
use protocol::{Address, B256};

use super::compare::{Fault, Finding, finding};
use super::receipt::{EMPTY_ROOT, state_sync_hash};
use crate::log::Log;
use crate::rpc::{Filter, Header};

/// Bits in a bloom filter.
const BITS: u32 = 2_048;

/// A filter, hashed once for all blocks.
#[derive(Debug, Clone)]
pub struct Sketch {
    addresses: Vec<(Address, Bloom)>,
    topics: Vec<(B256, Bloom)>,
}

/// What a block's bloom filter says.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Nothing speaks against what is held.
    Agrees,
    /// No log is held, and no bit is set although there are receipts: right where the chain fills the filter, else nothing.
    Empty,
    /// No log is held, and the bits allow one: of this address, for instance.
    Suspect {
        /// An address of the filter whose bits are set; none where the filter takes any.
        address: Option<Address>,
        /// How likely that is by chance, from 0 to 1, given how full the filter is.
        chance: f64,
    },
    /// These held logs are not of this block.
    Contradicted(Vec<Finding>),
    /// The chain does not fill the filter: why that is known.
    NotProvable(&'static str),
}

impl Sketch {
    /// Hashes a filter.
    #[must_use]
    pub fn new(filter: &Filter) -> Self {
        let bits = |bytes: &[u8]| Bloom::from(BloomInput::Raw(bytes));
        Self {
            addresses: filter.addresses.iter().map(|address| (*address, bits(address.as_slice()))).collect(),
            topics: filter.topics.iter().map(|topic| (*topic, bits(topic.as_slice()))).collect(),
        }
    }

    /// What a block's header says about the logs that are held of it.
    #[must_use]
    pub fn check(&self, header: &Header, held: &[Log<'_>]) -> Verdict {
        let bloom = &header.logs_bloom;
        // Polygon's state sync stands in no filter, as it stands in no root.
        let state_sync = state_sync_hash(header.number, header.hash);
        let mut counted = held.iter().filter(|log| log.transaction != state_sync);
        if !bloom.is_zero() && !is_filled(bloom) {
            return Verdict::NotProvable("the chain's blocks have all bits of the bloom filter set");
        }
        if bloom.is_zero() {
            // No bit at all beside logs or receipts: a filter that is not filled is no evidence of anything.
            return match counted.next() {
                Some(_) => Verdict::NotProvable("the chain's blocks leave the bloom filter empty"),
                None if header.receipts_root.is_zero() => {
                    Verdict::NotProvable("the chain's headers commit neither to receipts nor to logs")
                }
                None if header.receipts_root == EMPTY_ROOT => Verdict::Agrees,
                None => Verdict::Empty,
            };
        }
        let foreign: Vec<Finding> = counted
            .by_ref()
            .filter(|log| !bloom.contains_raw_log(log.address, log.topics))
            .map(|log| finding(log, Fault::NotInBloom))
            .collect();
        if !foreign.is_empty() {
            return Verdict::Contradicted(foreign);
        }
        if held.iter().any(|log| log.transaction != state_sync) {
            return Verdict::Agrees;
        }
        match self.allowed_by(bloom) {
            Some(address) => Verdict::Suspect { address, chance: self.chance(bloom) },
            None => Verdict::Agrees,
        }
    }

    /// Whether a block may have a log that the filter takes, and of which address.
    #[must_use]
    pub fn allowed_by(&self, bloom: &Bloom) -> Option<Option<Address>> {
        let topic_fits = self.topics.is_empty() || self.topics.iter().any(|(_, bits)| bloom.contains(bits));
        if !topic_fits {
            return None;
        }
        if self.addresses.is_empty() {
            return Some(None);
        }
        self.addresses.iter().find(|(_, bits)| bloom.contains(bits)).map(|(address, _)| Some(*address))
    }

    /// How likely a block as full as this one allows a log of the filter by chance alone, from 0 to 1.
    ///
    /// An item that is not there has its three bits set with `p = (set / 2048)^3`; of `n` items one is allowed with
    /// `1 - (1 - p)^n`; both an address and a topic must be.
    #[must_use]
    pub fn chance(&self, bloom: &Bloom) -> f64 {
        let set: u32 = bloom.as_slice().iter().map(|byte| byte.count_ones()).sum();
        let one = (f64::from(set) / f64::from(BITS)).powi(3);
        let any = |items: usize| match i32::try_from(items) {
            Ok(0) => 1.0,
            Ok(items) => 1.0 - (1.0 - one).powi(items),
            Err(_) => 1.0,
        };
        any(self.addresses.len()) * any(self.topics.len())
    }
}

/// Whether a header shows that its chain fills the filter: some bits are set, not all.
#[must_use]
pub fn is_filled(bloom: &Bloom) -> bool {
    !bloom.is_zero() && bloom.as_slice().iter().any(|byte| *byte != 0xff)
}
