//! Block headers, as far as anything here needs them.

use alloy_primitives::Bloom;
use protocol::{Address, B256};
use serde::Deserialize;

use super::json;

/// A block's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The block's number.
    pub number: u64,
    /// The block's hash.
    pub hash: B256,
    /// The hash of the block before.
    pub parent_hash: B256,
    /// When it was made, in seconds since 1970.
    pub time: u64,
    /// Who gets the fees that are paid on top.
    pub fee_recipient: Address,
    /// The root of the trie of the block's receipts.
    pub receipts_root: B256,
    /// The filter over all addresses and topics of the block's logs; all zero on chains that do not fill it.
    pub logs_bloom: Bloom,
    /// The part of the gas price that is burnt, in the smallest unit of the chain's coin; none before EIP-1559.
    pub base_fee_per_gas: Option<u128>,
    /// The gas that all its transactions together used.
    pub gas_used: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    number: &'a str,
    hash: &'a str,
    parent_hash: &'a str,
    timestamp: &'a str,
    miner: &'a str,
    receipts_root: &'a str,
    logs_bloom: &'a str,
    base_fee_per_gas: Option<&'a str>,
    gas_used: &'a str,
}

impl Header {
    /// The same, of a block whose number is known.
    pub(super) fn of(result: &str, number: u64) -> Result<Self, json::Malformed> {
        let header = Self::read(result)?;
        if header.number == number { Ok(header) } else { Err(json::Malformed::new("is another block's header")) }
    }

    /// Reads what `eth_getBlockByNumber` returns, which is not null.
    pub(super) fn read(result: &str) -> Result<Self, json::Malformed> {
        let wire: Wire<'_> = serde_json::from_str(result).map_err(|_| json::Malformed::new("is no block header"))?;
        let read = || {
            Some(Self {
                number: json::quantity(wire.number)?,
                hash: json::fixed(wire.hash)?.into(),
                parent_hash: json::fixed(wire.parent_hash)?.into(),
                time: json::quantity(wire.timestamp)?,
                fee_recipient: json::fixed(wire.miner)?.into(),
                receipts_root: json::fixed(wire.receipts_root)?.into(),
                logs_bloom: json::fixed(wire.logs_bloom)?.into(),
                base_fee_per_gas: match wire.base_fee_per_gas {
                    Some(fee) => Some(json::quantity_u128(fee)?),
                    None => None,
                },
                gas_used: json::quantity(wire.gas_used)?,
            })
        };
        read().ok_or_else(|| json::Malformed::new("is a block header with a field that is not what it should be"))
    }
}
