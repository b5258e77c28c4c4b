//! Receipts, their consensus encoding, and the root that a block's header commits to.
//!
//! A header's `receiptsRoot` is the root of a Merkle-Patricia trie whose keys are the transactions' places and whose values
//! are the receipts in their consensus encoding. Who has all receipts of a block can compute it; where it equals the header's,
//! no log of the block was left out, added or altered. What it does not cover: a transaction's *hash* is no part of its
//! receipt (its place is), and the header itself is only as good as whoever vouches for it.
//!
//! The encoding: `rlp([status, cumulative gas, bloom, logs])`, behind the transaction's type byte where it has one (EIP-2718;
//! types 1 to 4 by EIP-2930, 1559, 4844, 7702). Before Byzantium the status was the state's root (EIP-658). Chains differ so:
//! * OP Stack's deposits (0x7e): nonce and version follow the logs, but only once a version is there (Canyon). From Regolith
//!   to Canyon nodes show a nonce that the root leaves out. Scroll's 0x7e has neither.
//! * Celo's CIP-64 (0x7b): the base fee in the fee's currency follows the logs, since Celo is an L2.
//! * Arbitrum's own (0x64 to 0x6a) are plain; 0x78, what was before Nitro, is encoded as legacy, without its byte.
//! * Polygon's state sync shows as a receipt that is not in the root. Since block 80,084,800 (PIP-74) it is a transaction of its
//!   own, 0x7f, whose receipt is tried as a plain one: where that gives another root, nothing is concluded.

use std::borrow::Cow;

use alloy_primitives::{Bloom, Bytes, hex, keccak256};
use alloy_rlp::{Encodable, Header as RlpHeader};
use alloy_trie::root::ordered_trie_root_with_encoder;
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde::Deserialize;

use crate::log::{Log, MAX_TOPICS};
use crate::rpc::json;

/// The root of a block without receipts: the hash of an empty trie.
pub const EMPTY_ROOT: B256 = alloy_trie::EMPTY_ROOT_HASH;

/// What a transaction left behind, as far as the consensus of its chain knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's type byte (EIP-2718); 0 for legacy.
    pub kind: u8,
    /// How it ended.
    pub ending: Ending,
    /// The gas that the block had used after it.
    pub cumulative_gas_used: u64,
    /// The bloom filter over its logs, as the node states it; computed where the node states none.
    pub bloom: Bloom,
    /// Its logs, in order.
    pub logs: Vec<ReceiptLog>,
    /// What its type adds to the encoding.
    pub extra: Extra,
    /// The transaction's hash, as the node states it: no part of the encoding.
    pub transaction: B256,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It succeeded, or it reverted or ran out of gas.
    Status(bool),
    /// Before Byzantium: the root of the state after it.
    StateRoot(B256),
}

/// What a transaction's type adds after the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    None,
    /// An OP Stack deposit since Canyon.
    Deposit {
        /// The sender's nonce.
        nonce: u64,
        /// The layout's version: 1.
        version: u64,
    },
    /// Celo's CIP-64 since it is an L2: the base fee in the currency the fee was paid in.
    BaseFee(u128),
}

/// A log, as a receipt holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptLog {
    /// The contract that wrote it.
    pub address: Address,
    /// At most four.
    pub topics: Vec<B256>,
    /// What is not indexed.
    pub data: Bytes,
}

/// The receipts of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockReceipts {
    /// Those that the header's root is over, in order.
    pub committed: Vec<Receipt>,
    /// Those that the node shows beside: Polygon's state sync. Nothing proves them.
    pub aside: Vec<Receipt>,
}

/// A node's answer is not what it should be: what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether receipts are what a header commits to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They are: none is missing, foreign or altered.
    Proven,
    /// They are not.
    Differs {
        /// The header's root.
        stated: B256,
        /// That of the receipts.
        computed: B256,
    },
    /// Nothing follows.
    NotProvable(Why),
}

/// Why nothing follows from a header's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The header states none.
    NoRoot,
    /// The roots differ, but a transaction has a type whose encoding is not known here.
    UnknownKind(u8),
    /// The roots differ, but this chain is known to have put something else under its root at that time.
    Chain(&'static str),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRoot => f.write_str("the chain's headers state no root of their receipts"),
            Self::UnknownKind(kind) => {
                write!(f, "a transaction has the type {kind:#04x}, whose receipt is not known here")
            }
            Self::Chain(why) => f.write_str(why),
        }
    }
}

/// Compares the root of a block's receipts with what its header states.
#[must_use]
pub fn verify(chain: ChainId, block: u64, stated: B256, receipts: &BlockReceipts) -> Verdict {
    if stated.is_zero() {
        return Verdict::NotProvable(Why::NoRoot);
    }
    let computed = root(&receipts.committed);
    if computed == stated {
        return Verdict::Proven;
    }
    if let Some(why) = doubt(chain, block) {
        return Verdict::NotProvable(Why::Chain(why));
    }
    match receipts.committed.iter().find(|receipt| !receipt.is_known()) {
        Some(receipt) => Verdict::NotProvable(Why::UnknownKind(receipt.kind)),
        None => Verdict::Differs { stated, computed },
    }
}

/// The root of receipts in the order given.
#[must_use]
pub fn root(receipts: &[Receipt]) -> B256 {
    ordered_trie_root_with_encoder(receipts, Receipt::encode_into)
}

/// The bloom filter over logs (Yellow Paper, 4.3.1): every address and every topic sets three bits.
#[must_use]
pub fn bloom_of<'a>(logs: impl IntoIterator<Item = &'a ReceiptLog>) -> Bloom {
    let mut bloom = Bloom::ZERO;
    for log in logs {
        bloom.accrue_raw_log(log.address, &log.topics);
    }
    bloom
}

/// The hash that Polygon's nodes show for a block's state sync, which is no transaction and in no root.
#[must_use]
pub fn state_sync_hash(block: u64, block_hash: B256) -> B256 {
    let mut text = b"matic-bor-receipt-".to_vec();
    text.extend_from_slice(&block.to_be_bytes());
    text.extend_from_slice(block_hash.as_slice());
    keccak256(text)
}

/// What is known of a chain that keeps a differing root from being evidence.
fn doubt(chain: ChainId, block: u64) -> Option<&'static str> {
    match (chain.0, block) {
        (42_161, ..22_207_818) => Some("Arbitrum's blocks before Nitro were carried over, and their roots with them"),
        (42_220, ..31_056_500) => {
            Some("before Celo became an L2, its root had a receipt of the block itself, which nodes do not show")
        }
        (324, _) => Some("zkSync's headers do not commit to receipts"),
        _ => None,
    }
}

impl Receipt {
    /// Its consensus encoding.
    #[must_use]
    pub fn encoded(&self) -> Vec<u8> {
        let mut encoded = Vec::new();
        self.encode_into(&mut encoded);
        encoded
    }

    /// Whether its encoding is known here, with all that goes into it.
    const fn is_known(&self) -> bool {
        match self.kind {
            0x00..=0x04 | 0x64..=0x66 | 0x68..=0x6a | 0x7c | 0x7e => true,
            // Since Celo is an L2 the base fee is part of it, and not every node shows it.
            0x7b => matches!(self.extra, Extra::BaseFee(_)),
            _ => false,
        }
    }

    fn encode_into(&self, out: &mut Vec<u8>) {
        let mut fields = Vec::with_capacity(300);
        match &self.ending {
            Ending::Status(succeeded) => succeeded.encode(&mut fields),
            Ending::StateRoot(root) => root.as_slice().encode(&mut fields),
        }
        self.cumulative_gas_used.encode(&mut fields);
        self.bloom.as_slice().encode(&mut fields);
        let mut logs = Vec::new();
        for log in &self.logs {
            log.encode_into(&mut logs);
        }
        list(&logs, &mut fields);
        match self.extra {
            Extra::None => {}
            Extra::Deposit { nonce, version } => {
                nonce.encode(&mut fields);
                version.encode(&mut fields);
            }
            Extra::BaseFee(fee) => fee.encode(&mut fields),
        }
        // 0x78 is Arbitrum's name for a legacy transaction from before Nitro.
        if !matches!(self.kind, 0x00 | 0x78) {
            out.push(self.kind);
        }
        list(&fields, out);
    }
}

impl ReceiptLog {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let mut topics = Vec::with_capacity(self.topics.len() * 33);
        for topic in &self.topics {
            topic.as_slice().encode(&mut topics);
        }
        let mut fields = Vec::with_capacity(topics.len() + self.data.len() + 40);
        self.address.as_slice().encode(&mut fields);
        list(&topics, &mut fields);
        self.data.as_ref().encode(&mut fields);
        list(&fields, out);
    }

    /// Whether a log held elsewhere says the same; if not, in which part it differs.
    pub(super) fn differs_from(&self, held: &Log<'_>) -> Option<&'static str> {
        match held {
            _ if self.address != held.address => Some("address"),
            _ if self.topics != held.topics => Some("topics"),
            _ if self.data.as_ref() != held.data => Some("data"),
            _ => None,
        }
    }
}

fn list(payload: &[u8], out: &mut Vec<u8>) {
    RlpHeader { list: true, payload_length: payload.len() }.encode(out);
    out.extend_from_slice(payload);
}

/// A receipt as nodes write it; everything in it is hearsay.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    root: Option<Cow<'a, str>>,
    #[serde(borrow)]
    cumulative_gas_used: Cow<'a, str>,
    #[serde(borrow)]
    logs_bloom: Option<Cow<'a, str>>,
    logs: Vec<WrittenLog<'a>>,
    #[serde(borrow)]
    transaction_hash: Cow<'a, str>,
    #[serde(borrow)]
    block_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deposit_nonce: Option<Cow<'a, str>>,
    #[serde(borrow)]
    deposit_receipt_version: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base_fee: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct WrittenLog<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    topics: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<Cow<'a, str>>,
}

/// Reads a node's answer to `eth_getBlockReceipts`; `None` where it says `null`: it does not have the block.
///
/// # Errors
/// The answer is no list of receipts of that block.
pub fn parse_block(json: &str, block: u64, block_hash: B256) -> Result<Option<BlockReceipts>, Malformed> {
    let Some(written) = from_json::<Option<Vec<Written<'_>>>>(json)? else { return Ok(None) };
    let receipts = written.iter().map(|one| one.read(block_hash)).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(sort_out(receipts, block, block_hash)))
}

/// Reads a node's answer to `eth_getTransactionReceipt`; `None` where it says `null`: it does not have the transaction.
///
/// # Errors
/// The answer is no receipt, or one of another block.
pub fn parse(json: &str, block_hash: B256) -> Result<Option<Receipt>, Malformed> {
    from_json::<Option<Written<'_>>>(json)?.map(|written| written.read(block_hash)).transpose()
}

/// Puts receipts that were asked for one by one, in the order of their transactions, where they belong.
#[must_use]
pub fn sort_out(receipts: Vec<Receipt>, block: u64, block_hash: B256) -> BlockReceipts {
    let state_sync = state_sync_hash(block, block_hash);
    let (aside, committed) = receipts.into_iter().partition(|receipt| receipt.transaction == state_sync);
    BlockReceipts { committed, aside }
}

impl Written<'_> {
    fn read(&self, block_hash: B256) -> Result<Receipt, Malformed> {
        // Nodes that leave the hash out exist; one that names another block answers a question nobody asked.
        if let Some(other) = &self.block_hash
            && fixed::<32>(other, "blockHash")? != *block_hash
        {
            return Err(Malformed("a receipt is of another block than the one asked for".to_owned()));
        }
        let kind = self.kind.as_deref().map_or(Ok(0), |text| quantity(text, "type"))?;
        let kind = u8::try_from(kind).map_err(|_| wrong("type", &format!("{kind:#x}")))?;
        let logs = self.logs.iter().map(WrittenLog::read).collect::<Result<Vec<_>, _>>()?;
        let bloom = match self.logs_bloom.as_deref() {
            Some(text) => Bloom::from(fixed::<256>(text, "logsBloom")?),
            None => bloom_of(&logs),
        };
        Ok(Receipt {
            kind,
            ending: self.ending()?,
            cumulative_gas_used: narrow(
                quantity(&self.cumulative_gas_used, "cumulativeGasUsed")?,
                "cumulativeGasUsed",
            )?,
            bloom,
            logs,
            extra: self.extra(kind)?,
            transaction: fixed::<32>(&self.transaction_hash, "transactionHash")?.into(),
        })
    }

    fn ending(&self) -> Result<Ending, Malformed> {
        match (self.status.as_deref(), self.root.as_deref()) {
            (Some(status), _) => match quantity(status, "status")? {
                0 => Ok(Ending::Status(false)),
                1 => Ok(Ending::Status(true)),
                _ => Err(wrong("status", status)),
            },
            (None, Some(root)) => Ok(Ending::StateRoot(fixed::<32>(root, "root")?.into())),
            (None, None) => Err(Malformed("a receipt has neither status nor root".to_owned())),
        }
    }

    fn extra(&self, kind: u8) -> Result<Extra, Malformed> {
        match (kind, &self.deposit_nonce, &self.deposit_receipt_version, &self.base_fee) {
            (0x7e, Some(nonce), Some(version), _) => Ok(Extra::Deposit {
                nonce: narrow(quantity(nonce, "depositNonce")?, "depositNonce")?,
                version: narrow(quantity(version, "depositReceiptVersion")?, "depositReceiptVersion")?,
            }),
            (0x7b, _, _, Some(fee)) => Ok(Extra::BaseFee(quantity(fee, "baseFee")?)),
            _ => Ok(Extra::None),
        }
    }
}

impl WrittenLog<'_> {
    fn read(&self) -> Result<ReceiptLog, Malformed> {
        if self.topics.len() > MAX_TOPICS {
            return Err(Malformed(format!(
                "a log has {} topics, and no chain allows more than four",
                self.topics.len()
            )));
        }
        let topics = self.topics.iter().map(|topic| fixed::<32>(topic, "topics").map(B256::from));
        let data = self.data.as_deref().unwrap_or("0x");
        let data =
            data.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok()).ok_or_else(|| wrong("data", data))?;
        Ok(ReceiptLog {
            address: fixed::<20>(&self.address, "address")?.into(),
            topics: topics.collect::<Result<_, _>>()?,
            data: data.into(),
        })
    }
}

fn from_json<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Malformed> {
    // The parser's message may quote the answer, which may be long and hold anything.
    serde_json::from_str(json).map_err(|cause| {
        let cause: String = cause.to_string().chars().filter(|c| !c.is_control()).take(160).collect();
        Malformed(format!("receipts are not written as they should be: {cause}"))
    })
}

fn quantity(text: &str, field: &'static str) -> Result<u128, Malformed> {
    json::quantity_u128(text).ok_or_else(|| wrong(field, text))
}

fn narrow(number: u128, field: &'static str) -> Result<u64, Malformed> {
    u64::try_from(number).map_err(|_| wrong(field, &format!("{number:#x}")))
}

fn fixed<const N: usize>(text: &str, field: &'static str) -> Result<[u8; N], Malformed> {
    json::fixed(text).ok_or_else(|| wrong(field, text))
}

fn wrong(field: &str, text: &str) -> Malformed {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    Malformed(format!("a receipt's {field} cannot be \"{shown}\""))
}
