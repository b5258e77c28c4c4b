//! 32-byte words as the ABI lays them out, and the values they may hold.

use alloy_primitives::{I256, U256};
use protocol::{Address, B256};

/// Why a log or an answer with a known name cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Another number of indexed arguments.
    #[error("it has {found} indexed arguments, not {expected}")]
    Topics {
        /// How many it has.
        found: usize,
        /// How many the event has.
        expected: usize,
    },
    /// Another length of data.
    #[error("its data has {found} bytes, not {expected}")]
    Length {
        /// How many it has.
        found: usize,
        /// How many the event has, at least where an argument has any length.
        expected: usize,
    },
    /// A value beyond its type or beyond what the contract stores.
    #[error("its word {place} does not hold {holds}")]
    Range {
        /// The place among the indexed arguments and then the others, from 0.
        place: usize,
        /// What it should hold.
        holds: &'static str,
    },
    /// The block's time is beyond any calendar.
    #[error("its block's time is beyond any calendar")]
    Time,
}

/// The arguments of a log: the indexed ones, then the others; of an answer: its words alone.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    indexed: &'a [B256],
    data: &'a [u8],
}

type Read<T> = Result<T, Reject>;

impl<'a> Words<'a> {
    /// The arguments of a log, whose shape the caller has checked.
    pub(super) fn of_log(indexed: &'a [B256], data: &'a [u8]) -> Self {
        Self { indexed, data }
    }

    /// The words of an answer.
    #[must_use]
    pub fn of_answer(data: &'a [u8]) -> Self {
        Self { indexed: &[], data }
    }

    #[inline]
    fn bytes(&self, place: usize) -> Read<&'a [u8; 32]> {
        if let Some(topic) = self.indexed.get(place) {
            return Ok(&topic.0);
        }
        let begin = 32 * (place - self.indexed.len());
        let word = self.data.get(begin..).and_then(|rest| rest.first_chunk::<32>());
        word.ok_or(Reject::Length { found: self.data.len(), expected: begin + 32 })
    }

    /// Any integer.
    #[inline]
    pub fn uint(&self, place: usize) -> Read<U256> {
        self.bytes(place).map(|bytes| U256::from_be_bytes(*bytes))
    }

    /// A signed integer.
    #[inline]
    pub fn int(&self, place: usize) -> Read<I256> {
        self.bytes(place).map(|bytes| I256::from_be_bytes(*bytes))
    }

    /// Thirty-two bytes as they are.
    #[inline]
    pub fn hash(&self, place: usize) -> Read<B256> {
        self.bytes(place).map(|bytes| B256::from(*bytes))
    }

    /// An integer below 2^128: indexes and rates.
    #[inline]
    pub fn wide(&self, place: usize) -> Read<u128> {
        match self.bytes(place)?.as_chunks::<16>().0 {
            [high, low] if *high == [0; 16] => Ok(u128::from_be_bytes(*low)),
            _ => Err(Reject::Range { place, holds: "a number below 2^128" }),
        }
    }

    /// An integer below 2^64.
    #[inline]
    pub fn long(&self, place: usize) -> Read<u64> {
        let number = self.wide(place)?;
        u64::try_from(number).map_err(|_| Reject::Range { place, holds: "a number below 2^64" })
    }

    /// An integer below 2^32: rounds of feeds and their times.
    #[inline]
    pub fn medium(&self, place: usize) -> Read<u32> {
        let number = self.wide(place)?;
        u32::try_from(number).map_err(|_| Reject::Range { place, holds: "a number below 2^32" })
    }

    /// An integer below 2^16: basis points.
    #[inline]
    pub fn short(&self, place: usize) -> Read<u16> {
        let number = self.wide(place)?;
        u16::try_from(number).map_err(|_| Reject::Range { place, holds: "a number below 2^16" })
    }

    /// An integer below 2^8.
    #[inline]
    pub fn byte(&self, place: usize) -> Read<u8> {
        let number = self.wide(place)?;
        u8::try_from(number).map_err(|_| Reject::Range { place, holds: "a number below 2^8" })
    }

    /// True or false.
    #[inline]
    pub fn flag(&self, place: usize) -> Read<bool> {
        match self.wide(place)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Reject::Range { place, holds: "true or false" }),
        }
    }

    /// An address.
    #[inline]
    pub fn address(&self, place: usize) -> Read<Address> {
        match self.bytes(place)?.split_first_chunk::<12>() {
            Some(([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], address)) => Ok(Address::from_slice(address)),
            _ => Err(Reject::Range { place, holds: "an address" }),
        }
    }
}
