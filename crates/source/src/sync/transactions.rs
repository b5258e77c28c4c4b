//! Transactions that matter, with their receipts: those that liquidate, those that update price feeds, as many of them as are
//! wanted, and payments beside them. Blocks without either are not looked at.
//!
//! What is wanted follows from the logs, what is there from the files, and only the difference is asked for. All transactions of
//! a block go into one file, so that a block is there whole or not at all.

use std::borrow::Cow;
use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};
use protocol::{Address, B256};
use serde::Deserialize;

use super::Syncer;
use crate::archive::transactions::{self, Reasons, Transaction};
use crate::rpc::{Client, json};
use crate::{Error, Result};

/// A file is finished after this many blocks, so that little is lost when the program is killed.
const BLOCKS_PER_FILE: usize = 128;

/// Blocks that are asked about at a time.
const BLOCKS_AT_ONCE: usize = 8;

const BLOCK: &str = "eth_getBlockByNumber";
const RECEIPT: &str = "eth_getTransactionReceipt";

/// A block with liquidations or updates of feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedBlock {
    /// Its number.
    pub block: u64,
    /// Its hash, as the logs have it.
    pub block_hash: B256,
    /// The transactions that liquidate.
    pub liquidations: BTreeSet<B256>,
    /// The transactions that update feeds.
    pub oracle_updates: BTreeSet<B256>,
    /// Who liquidated, as the pool says; what they and the senders of their transactions pay matters.
    pub liquidators: BTreeSet<Address>,
    /// Who collects what is bid for liquidations: whoever pays them matters.
    pub safes: BTreeSet<Address>,
}

/// What became of asking for transactions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Transactions that are on file now and were not before.
    pub transactions: u64,
    /// Blocks of which no node gave everything, and what the last of them said.
    pub lacking: Option<(u64, String)>,
}

impl Syncer<'_> {
    /// Keeps the transactions of blocks that are final, as far as they are not on file.
    ///
    /// What no node gives is counted and not an error: it is asked for again the next time.
    ///
    /// # Errors
    /// No endpoint can be reached, the chain changed, or the disk refuses. What was kept before stays.
    pub async fn read_transactions(&self, wanted: &[WantedBlock]) -> Result<Kept> {
        let held = transactions::held(self.writer.archive(), &self.market)?;
        let has = |hashes: &BTreeSet<B256>, why: fn(Reasons) -> bool| {
            hashes.iter().all(|hash| held.get(hash).is_some_and(|reasons| why(*reasons)))
        };
        let is_there = |block: &&WantedBlock| {
            has(&block.liquidations, |why| why.liquidation) && has(&block.oracle_updates, |why| why.oracle_update)
        };
        let missing: Vec<&WantedBlock> = wanted.iter().filter(|block| !is_there(block)).collect();
        let mut kept = Kept::default();
        for some in missing.chunks(BLOCKS_PER_FILE) {
            if self.is_stopped() {
                break;
            }
            let asked = some.iter().map(|block| of_block(&self.client, block));
            let answers: Vec<Result<Vec<Transaction>>> = stream::iter(asked).buffered(BLOCKS_AT_ONCE).collect().await;
            let (mut found, mut failed) = (Vec::new(), None);
            for answer in answers {
                match answer {
                    Ok(some) => found.extend(some),
                    Err(error @ (Error::Node { .. } | Error::Pruned { .. })) => {
                        let before = kept.lacking.as_ref().map_or(0, |(count, _)| *count);
                        kept.lacking = Some((before + 1, error.to_string()));
                    }
                    Err(error) => failed = Some(error),
                }
            }
            transactions::append(self.writer, &self.market, self.client.chain(), &found)?;
            kept.transactions += found.len() as u64;
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(kept)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireBlock<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    miner: Cow<'a, str>,
    base_fee_per_gas: Option<Cow<'a, str>>,
    #[serde(borrow)]
    transactions: Vec<WireTransaction<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTransaction<'a> {
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow)]
    transaction_index: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    to: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(borrow)]
    input: Cow<'a, str>,
    gas_price: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireReceipt<'a> {
    block_hash: Option<Cow<'a, str>>,
    #[serde(borrow)]
    transaction_hash: Cow<'a, str>,
    status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    gas_used: Cow<'a, str>,
    effective_gas_price: Option<Cow<'a, str>>,
}

/// A transaction as a block shows it, with what it pays per gas where it names a price.
struct Shown {
    transaction: Transaction,
    gas_price: Option<u128>,
}

/// Everything of a block that matters.
async fn of_block(client: &Client, wanted: &WantedBlock) -> Result<Vec<Transaction>> {
    let reply = client.request(BLOCK, serde_json::json!([format!("{:#x}", wanted.block), true])).await?;
    let shown = read_block(reply.json.get(), wanted).map_err(|fault| fault.of(&reply.host, BLOCK, wanted.block))?;
    let mut whole = Vec::new();
    for Shown { mut transaction, gas_price } in shown {
        let reply = client.request(RECEIPT, serde_json::json!([transaction.hash.to_string()])).await?;
        let price = read_receipt(reply.json.get(), &mut transaction, gas_price);
        price.map_err(|fault| fault.of(&reply.host, RECEIPT, wanted.block))?;
        whole.push(transaction);
    }
    Ok(whole)
}

/// What is wrong with an answer.
enum Fault {
    /// It is not what it should be.
    Wrong(String),
    /// It is of another history than the logs.
    Moved,
}

impl Fault {
    fn of(self, host: &str, method: &str, block: u64) -> Error {
        match self {
            Self::Wrong(what) => Error::Node { host: host.to_owned(), method: method.to_owned(), what },
            Self::Moved => Error::Moved { block },
        }
    }
}

fn wrong(what: &str) -> Fault {
    Fault::Wrong(what.to_owned())
}

/// The transactions of a block that matter, without their receipts.
fn read_block(json: &str, wanted: &WantedBlock) -> std::result::Result<Vec<Shown>, Fault> {
    let block: Option<WireBlock<'_>> =
        serde_json::from_str(json).map_err(|_| wrong("is no block with its transactions"))?;
    let block = block.ok_or_else(|| Fault::Wrong(format!("does not have block {}", wanted.block)))?;
    let field = || wrong("has a field that is not what it should be");
    let hash: B256 = json::fixed(&block.hash).ok_or_else(field)?.into();
    if hash != wanted.block_hash {
        return Err(Fault::Moved);
    }
    let base_fee = match &block.base_fee_per_gas {
        Some(fee) => Some(json::quantity_u128(fee).ok_or_else(field)?),
        None => None,
    };
    let time = json::quantity(&block.timestamp).ok_or_else(field)?;
    let fee_recipient: Address = json::fixed(&block.miner).ok_or_else(field)?.into();
    let all: Option<Vec<Shown>> = block
        .transactions
        .iter()
        .map(|wire| {
            let transaction = Transaction {
                block: wanted.block,
                time,
                block_hash: hash,
                fee_recipient,
                base_fee,
                hash: json::fixed(&wire.hash)?.into(),
                index: u32::try_from(json::quantity(&wire.transaction_index)?).ok()?,
                why: Reasons::default(),
                kind: wire.kind.as_deref().map_or(Some(0), |kind| u8::try_from(json::quantity(kind)?).ok())?,
                from: json::fixed(&wire.from)?.into(),
                to: match &wire.to {
                    Some(to) => Some(json::fixed(to)?.into()),
                    None => None,
                },
                value: json::quantity_u128(&wire.value)?,
                input: json::bytes(&wire.input)?,
                succeeded: None,
                gas_used: 0,
                effective_gas_price: 0,
                receipt: Default::default(),
                internal_transfers: None,
            };
            Some(Shown { transaction, gas_price: wire.gas_price.as_deref().and_then(json::quantity_u128) })
        })
        .collect();
    let mut shown = all.ok_or_else(field)?;
    choose(&mut shown, wanted, fee_recipient);
    let chosen = |hash: &B256| shown.iter().any(|shown| shown.transaction.hash == *hash);
    if let Some(absent) = wanted.liquidations.iter().chain(&wanted.oracle_updates).find(|hash| !chosen(hash)) {
        return Err(Fault::Wrong(format!("shows block {} without its transaction {absent}", wanted.block)));
    }
    Ok(shown)
}

/// Keeps what matters, and says why.
fn choose(shown: &mut Vec<Shown>, wanted: &WantedBlock, fee_recipient: Address) {
    let liquidates = |shown: &&Shown| wanted.liquidations.contains(&shown.transaction.hash);
    let mut payers: BTreeSet<Address> = shown.iter().filter(liquidates).map(|shown| shown.transaction.from).collect();
    payers.extend(&wanted.liquidators);
    // Who makes a block passes on what was paid for a place in it.
    payers.insert(fee_recipient);
    for Shown { transaction, .. } in shown.iter_mut() {
        let is_between = payers.contains(&transaction.from)
            || transaction.to == Some(fee_recipient)
            || transaction.to.is_some_and(|to| wanted.safes.contains(&to));
        transaction.why = Reasons {
            liquidation: wanted.liquidations.contains(&transaction.hash),
            oracle_update: wanted.oracle_updates.contains(&transaction.hash),
            payment: transaction.value > 0 && is_between,
        };
    }
    shown.retain(|shown| shown.transaction.why != Reasons::default());
}

/// Adds what became of a transaction.
fn read_receipt(json: &str, transaction: &mut Transaction, gas_price: Option<u128>) -> std::result::Result<(), Fault> {
    let receipt: Option<WireReceipt<'_>> = serde_json::from_str(json).map_err(|_| wrong("is no receipt"))?;
    let absent = || Fault::Wrong(format!("has no receipt of {}", transaction.hash));
    let receipt = receipt.ok_or_else(absent)?;
    let field = || wrong("is a receipt with a field that is not what it should be");
    if json::fixed(&receipt.transaction_hash).map(B256::new) != Some(transaction.hash) {
        return Err(wrong("is another transaction's receipt"));
    }
    if let Some(hash) = &receipt.block_hash
        && json::fixed(hash).map(B256::new) != Some(transaction.block_hash)
    {
        return Err(Fault::Moved);
    }
    transaction.succeeded = match receipt.status.as_deref() {
        None => None,
        Some(status) => Some(json::quantity(status).filter(|status| *status <= 1).ok_or_else(field)? == 1),
    };
    transaction.gas_used = json::quantity(&receipt.gas_used).ok_or_else(field)?;
    // Nodes of old leave it out; then there was no base fee and the price named was the price paid.
    let price = receipt.effective_gas_price.as_deref().and_then(json::quantity_u128).or(gas_price);
    transaction.effective_gas_price = price.ok_or_else(field)?;
    transaction.receipt = json.as_bytes().to_vec().into();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(byte: u8) -> B256 {
        B256::repeat_byte(byte)
    }

    fn shown(byte: u8, from: u8, to: Option<u8>, value: u64) -> serde_json::Value {
        let address = |byte| Address::repeat_byte(byte).to_string();
        serde_json::json!({
            "hash": hash(byte).to_string(), "transactionIndex": format!("{byte:#x}"), "type": "0x2", "from": address(from),
            "to": to.map(address), "value": format!("{value:#x}"), "input": "0x01", "gasPrice": "0x9",
        })
    }

    fn wanted() -> WantedBlock {
        WantedBlock {
            block: 5,
            block_hash: hash(0xb5),
            liquidations: [hash(2)].into(),
            oracle_updates: [hash(1)].into(),
            liquidators: [Address::repeat_byte(0x70)].into(),
            safes: [Address::repeat_byte(0x5a)].into(),
        }
    }

    fn block(transactions: &[serde_json::Value]) -> String {
        serde_json::json!({
            "hash": hash(0xb5).to_string(), "timestamp": "0x64", "miner": Address::repeat_byte(0xee).to_string(),
            "baseFeePerGas": "0x7", "transactions": transactions,
        })
        .to_string()
    }

    #[test]
    fn a_block_gives_what_matters_and_why() {
        let all = [
            shown(1, 0x50, Some(0x51), 0),
            shown(2, 0x60, Some(0x70), 0),
            shown(3, 0x60, Some(0x99), 4),
            shown(4, 0xee, Some(0x99), 4),
            shown(5, 0x33, Some(0xee), 4),
            shown(6, 0x33, Some(0x5a), 4),
            shown(7, 0x33, Some(0xee), 0),
            shown(8, 0x33, Some(0x34), 4),
            shown(9, 0x33, None, 4),
            shown(10, 0x33, Some(0x5a), 0),
        ];
        let found = read_block(&block(&all), &wanted()).ok().unwrap();
        let why: Vec<(u32, String)> =
            found.iter().map(|shown| (shown.transaction.index, shown.transaction.why.words())).collect();
        let words = ["oracle_update", "liquidation", "payment", "payment", "payment", "payment"];
        assert_eq!(why, (1..=6).zip(words.map(str::to_owned)).collect::<Vec<_>>());
        let first = &found[0].transaction;
        assert_eq!(
            (first.time, first.base_fee, first.kind, first.fee_recipient),
            (100, Some(7), 2, Address::repeat_byte(0xee))
        );
    }

    #[test]
    fn a_block_that_is_another_or_lacks_what_the_logs_name_is_refused() {
        let other = WantedBlock { block_hash: hash(9), ..wanted() };
        assert!(matches!(read_block(&block(&[]), &other), Err(Fault::Moved)));
        for bad in
            [block(&[shown(2, 1, None, 0)]), block(&[]), "null".to_owned(), "[]".to_owned(), block(&["0x".into()])]
        {
            assert!(matches!(read_block(&bad, &wanted()), Err(Fault::Wrong(_))), "{bad}");
        }
    }

    #[test]
    fn a_receipt_tells_what_became_of_its_own_transaction_only() {
        let read = |json: &serde_json::Value| {
            let all = [shown(1, 0x50, None, 0), shown(2, 0x60, None, 0)];
            let mut transaction = read_block(&block(&all), &wanted()).ok().unwrap().remove(1).transaction;
            read_receipt(&json.to_string(), &mut transaction, Some(9)).map(|()| transaction)
        };
        let good = serde_json::json!({
            "transactionHash": hash(2).to_string(), "blockHash": hash(0xb5).to_string(), "status": "0x1", "gasUsed": "0x10",
        });
        let transaction = read(&good).ok().unwrap();
        assert_eq!((transaction.succeeded, transaction.gas_used, transaction.effective_gas_price), (Some(true), 16, 9));
        assert_eq!(transaction.receipt, good.to_string().into_bytes());
        let with = |key: &str, value: &str| {
            let mut other = good.clone();
            other[key] = value.into();
            other
        };
        assert!(matches!(read(&with("transactionHash", &hash(3).to_string())), Err(Fault::Wrong(_))));
        assert!(matches!(read(&with("blockHash", &hash(3).to_string())), Err(Fault::Moved)));
        assert!(matches!(read(&with("status", "0x2")), Err(Fault::Wrong(_))));
        assert!(matches!(read(&serde_json::Value::Null), Err(Fault::Wrong(_))));
    }
}
