//! The table `transactions`: transactions that matter, each with its receipt as the node gave it, so that later accounting
//! never returns to a node. Files are only ever added.
//!
//! Liquidations and updates of oracles matter, and so do payments in their blocks: what a liquidator bids for the right to come
//! first is paid by the block's maker to whoever recaptures it, in a transaction of its own behind the others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use alloy_primitives::Bytes;
use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder,
    TimestampMicrosecondBuilder, UInt8Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::SECOND_US;
use protocol::{Address, B256};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cells::{self, Columns};
use super::scan::damaged;
use super::{Archive, DataFile, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};
use crate::log::Logs;
use crate::rpc::{json, parse_logs};

/// Rows handed to the file at a time: receipts are long.
const BATCH_ROWS: usize = 512;
/// The largest number of wei a column can hold: 38 digits.
const MOST_WEI: u128 = 10_u128.pow(38) - 1;

/// The columns, in order. `why` is why the transaction is kept, `wei` columns are exact, `receipt` is the receipt's JSON with
/// all its logs, and `internal_transfers` what a trace told of value that moved inside, as JSON, where a node gave one.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let wei = |name, nullable| Field::new(name, DataType::Decimal128(38, 0), nullable);
    Arc::new(Schema::new(vec![
        Field::new("block", DataType::UInt64, false),
        cells::moment("time"),
        cells::bytes("block_hash", 32, false),
        cells::bytes("fee_recipient", 20, false),
        wei("base_fee_wei", true),
        cells::bytes("transaction", 32, false),
        Field::new("transaction_index", DataType::UInt32, false),
        Field::new("why", DataType::Utf8, false),
        Field::new("type", DataType::UInt8, false),
        cells::bytes("from", 20, false),
        cells::bytes("to", 20, true),
        wei("value_wei", false),
        Field::new("input", DataType::Binary, false),
        Field::new("succeeded", DataType::Boolean, true),
        Field::new("gas_used", DataType::UInt64, false),
        wei("effective_gas_price_wei", false),
        Field::new("receipt", DataType::Binary, false),
        Field::new("internal_transfers", DataType::Binary, true),
    ]))
});

/// Why a transaction is kept. One can be kept for several reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reasons {
    /// It liquidates.
    pub liquidation: bool,
    /// It moves a price.
    pub oracle_update: bool,
    /// It pays somebody in a block that matters.
    pub payment: bool,
}

impl Reasons {
    const WORDS: [&str; 3] = ["liquidation", "oracle_update", "payment"];

    /// The words in the column `why`, joined by `+`.
    #[must_use]
    pub fn words(self) -> String {
        let held = [self.liquidation, self.oracle_update, self.payment];
        let words: Vec<&str> =
            Self::WORDS.into_iter().zip(held).filter_map(|(word, held)| held.then_some(word)).collect();
        words.join("+")
    }

    fn from_words(words: &str) -> Option<Self> {
        let known = |word: &str| word.is_empty() || Self::WORDS.contains(&word);
        let has = |wanted: &str| words.split('+').any(|word| word == wanted);
        let [liquidation, oracle_update, payment] = Self::WORDS.map(has);
        words.split('+').all(known).then_some(Self { liquidation, oracle_update, payment })
    }

    fn and(self, other: Self) -> Self {
        Self {
            liquidation: self.liquidation || other.liquidation,
            oracle_update: self.oracle_update || other.oracle_update,
            payment: self.payment || other.payment,
        }
    }
}

/// A receipt as far as it is looked at again.
#[derive(Deserialize)]
struct Receipt<'a> {
    #[serde(borrow)]
    logs: Option<&'a RawValue>,
    #[serde(borrow, rename = "l1Fee")]
    below: Option<Cow<'a, str>>,
}

/// A transaction and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The number of its block.
    pub block: u64,
    /// When its block was made, in seconds since 1970.
    pub time: u64,
    /// The hash of its block.
    pub block_hash: B256,
    /// Who gets the block's fees.
    pub fee_recipient: Address,
    /// The block's base fee per gas in wei; `None` where the chain has or had none.
    pub base_fee: Option<u128>,
    /// Its hash.
    pub hash: B256,
    /// Its place in the block.
    pub index: u32,
    /// Why it is kept.
    pub why: Reasons,
    /// Its type as EIP-2718 counts them; 0 for those older than that.
    pub kind: u8,
    /// Who sent it.
    pub from: Address,
    /// Whom it called; `None` where it made a contract.
    pub to: Option<Address>,
    /// What it paid along, in wei.
    pub value: u128,
    /// What it was called with.
    pub input: Bytes,
    /// Whether it succeeded; `None` where the receipt does not say, as before Byzantium.
    pub succeeded: Option<bool>,
    /// The gas it used.
    pub gas_used: u64,
    /// What it paid per gas, in wei.
    pub effective_gas_price: u128,
    /// The receipt's JSON as the node gave it, with all logs.
    pub receipt: Bytes,
    /// What a trace told of value that moved inside, as JSON; `None` where no node was asked or would say.
    pub internal_transfers: Option<Bytes>,
}

impl Transaction {
    /// Its place on the chain.
    #[must_use]
    pub fn key(&self) -> (u64, u32) {
        (self.block, self.index)
    }

    /// The logs that its receipt holds, with the times nodes wrote beside them or none (0); nothing where it holds none that can be
    /// read.
    #[must_use]
    pub fn logs(&self) -> Option<Logs> {
        let receipt: Receipt<'_> = serde_json::from_slice(&self.receipt).ok()?;
        let mut logs = Logs::default();
        parse_logs(receipt.logs?.get().as_bytes(), &mut logs).ok()?;
        Some(logs)
    }

    /// What it cost its sender in fees, in wei: its gas, and on a rollup what it paid for the chain below. Nothing where the receipt
    /// cannot be read or the number is beyond 128 bits.
    #[must_use]
    pub fn fees(&self) -> Option<u128> {
        let gas = u128::from(self.gas_used).checked_mul(self.effective_gas_price)?;
        let receipt: Receipt<'_> = serde_json::from_slice(&self.receipt).ok()?;
        match receipt.below {
            Some(below) => gas.checked_add(json::quantity_u128(&below)?),
            None => Some(gas),
        }
    }

    /// Takes over from another record of it what this one lacks.
    ///
    /// Returns whether the two can be of the same transaction. Receipts are compared by what was read of them, because
    /// nodes write the same receipt differently.
    fn complete_from(&mut self, other: &Self) -> bool {
        let facts = |one: &Self| {
            let (receipt, internal_transfers) = (Bytes::new(), None);
            Self { why: Reasons::default(), receipt, internal_transfers, ..one.clone() }
        };
        if facts(self) != facts(other) {
            return false;
        }
        self.why = self.why.and(other.why);
        if self.internal_transfers.is_none() {
            self.internal_transfers.clone_from(&other.internal_transfers);
        }
        true
    }
}

/// Writes transactions as one more file of a market. Returns where it lies, or `None` where there are none.
///
/// # Errors
/// A number of wei is beyond every supply, two are at the same place of the chain, or the archive cannot be written.
pub fn append(
    writer: &Writer,
    market: &MarketName,
    chain: ChainId,
    transactions: &[Transaction],
) -> Result<Option<PathBuf>> {
    let mut ordered: Vec<&Transaction> = transactions.iter().collect();
    ordered.sort_by_key(|transaction| transaction.key());
    let (Some(first), Some(last)) = (ordered.first(), ordered.last()) else {
        return Ok(None);
    };
    if let Some(pair) = ordered.windows(2).find(|pair| pair[0].key() == pair[1].key()) {
        return Err(unfit(pair[0], "comes twice"));
    }
    let folder = writer.archive().market_folder(market, Table::Transactions);
    let properties = cells::as_differences(cells::compressed(16_384), &["block", "time"]).build();
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
    for some in ordered.chunks(BATCH_ROWS) {
        let mut columns = RowColumns::default();
        for transaction in some {
            columns.push(transaction)?;
        }
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns.take());
        file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
    }
    let span = Span::Blocks { chain, from: first.block, to: last.block, complete: None };
    let stem = span.file_stem();
    let notes = BTreeMap::from([("market".to_owned(), market.to_string())]);
    let footer = Footer { table: Table::Transactions, standing: Standing::Observed, span, notes };
    let finished = file.finish(&footer)?;
    let name = format!("{stem}-{}.parquet", finished.id()?);
    finished.publish(&name).map(Some)
}

/// The transactions on file of the blocks `from` to `to`, in the chain's order, each once with all reasons it was kept for.
/// All of it is in memory: a long history is best read in stretches.
///
/// # Errors
/// A file is damaged, or two records of a transaction differ; then the later file is named.
pub fn load(archive: &Archive, market: &MarketName, from: u64, to: u64) -> Result<Vec<Transaction>> {
    let mut held: BTreeMap<(u64, u32), Transaction> = BTreeMap::new();
    let files = archive.market_files_from(market, Table::Transactions, from)?;
    let inside = |file: &&DataFile| file.blocks().is_some_and(|(first, last)| first <= to && from <= last);
    for file in files.iter().filter(inside) {
        for chunk in Scan::of_all().of_blocks(from, to).chunks(std::slice::from_ref(file)) {
            for batch in chunk.read()? {
                for transaction in read_batch(Columns { path: &file.path, batch: &batch? })? {
                    if file.blocks().is_none_or(|(first, last)| transaction.block < first || last < transaction.block) {
                        return Err(damaged(&file.path, format!("block {} lies outside its range", transaction.block)));
                    }
                    if !(from..=to).contains(&transaction.block) {
                        continue;
                    }
                    match held.entry(transaction.key()) {
                        std::collections::btree_map::Entry::Vacant(place) => _ = place.insert(transaction),
                        std::collections::btree_map::Entry::Occupied(mut known) => {
                            if !known.get_mut().complete_from(&transaction) {
                                return Err(unfit(&transaction, "is on file differently").about(&file.path));
                            }
                        }
                    }
                }
            }
        }
    }
    Ok(held.into_values().collect())
}

/// Which transactions are on file, by hash, with all reasons they were kept for: less to read than [`load`].
///
/// # Errors
/// A file is damaged.
pub fn held(archive: &Archive, market: &MarketName) -> Result<BTreeMap<B256, Reasons>> {
    let mut held: BTreeMap<B256, Reasons> = BTreeMap::new();
    for file in archive.market_files(market, Table::Transactions)? {
        for chunk in Scan::of(&["transaction", "why"]).chunks(std::slice::from_ref(&file)) {
            for batch in chunk.read()? {
                let batch = batch?;
                let columns = Columns { path: &file.path, batch: &batch };
                let (hashes, why) = (columns.full_bytes::<32>("transaction")?, columns.full::<StringArray>("why")?);
                for (row, hash) in hashes.iter().enumerate() {
                    let reasons = Reasons::from_words(why.value(row));
                    let reasons = reasons.ok_or_else(|| damaged(&file.path, "a reason that is none"))?;
                    let known = held.entry(B256::new(*hash)).or_default();
                    *known = known.and(reasons);
                }
            }
        }
    }
    Ok(held)
}

fn unfit(transaction: &Transaction, what: &str) -> Error {
    Error::Unfit {
        what: format!("transaction {} of block {} {what}", transaction.index, transaction.block),
        advice: "one of the two records is wrong; read the transaction again from another endpoint".to_owned(),
    }
}

/// Turns transactions into columns, in the schema's order.
#[derive(Debug)]
struct RowColumns {
    block: UInt64Builder,
    time: TimestampMicrosecondBuilder,
    block_hash: FixedSizeBinaryBuilder,
    fee_recipient: FixedSizeBinaryBuilder,
    base_fee: Decimal128Builder,
    hash: FixedSizeBinaryBuilder,
    index: UInt32Builder,
    why: StringBuilder,
    kind: UInt8Builder,
    from: FixedSizeBinaryBuilder,
    to: FixedSizeBinaryBuilder,
    value: Decimal128Builder,
    input: BinaryBuilder,
    succeeded: BooleanBuilder,
    gas_used: UInt64Builder,
    gas_price: Decimal128Builder,
    receipt: BinaryBuilder,
    internal_transfers: BinaryBuilder,
}

impl Default for RowColumns {
    fn default() -> Self {
        let bytes = FixedSizeBinaryBuilder::new;
        let wei = || PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 0));
        Self {
            block: UInt64Builder::new(),
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            block_hash: bytes(32),
            fee_recipient: bytes(20),
            base_fee: wei(),
            hash: bytes(32),
            index: UInt32Builder::new(),
            why: StringBuilder::new(),
            kind: UInt8Builder::new(),
            from: bytes(20),
            to: bytes(20),
            value: wei(),
            input: BinaryBuilder::new(),
            succeeded: BooleanBuilder::new(),
            gas_used: UInt64Builder::new(),
            gas_price: wei(),
            receipt: BinaryBuilder::new(),
            internal_transfers: BinaryBuilder::new(),
        }
    }
}

impl RowColumns {
    fn push(&mut self, transaction: &Transaction) -> Result<()> {
        let wei = |amount: u128| {
            let fits = i128::try_from(amount).ok().filter(|_| amount <= MOST_WEI);
            fits.ok_or_else(|| unfit(transaction, "has more wei than there can be"))
        };
        self.base_fee.append_option(transaction.base_fee.map(wei).transpose()?);
        self.value.append_value(wei(transaction.value)?);
        self.gas_price.append_value(wei(transaction.effective_gas_price)?);
        self.block.append_value(transaction.block);
        let seconds = i64::try_from(transaction.time).unwrap_or(i64::MAX);
        self.time.append_value(seconds.saturating_mul(SECOND_US));
        append(&mut self.block_hash, transaction.block_hash.as_slice());
        append(&mut self.fee_recipient, transaction.fee_recipient.as_slice());
        append(&mut self.hash, transaction.hash.as_slice());
        self.index.append_value(transaction.index);
        self.why.append_value(transaction.why.words());
        self.kind.append_value(transaction.kind);
        append(&mut self.from, transaction.from.as_slice());
        match &transaction.to {
            Some(to) => append(&mut self.to, to.as_slice()),
            None => self.to.append_null(),
        }
        self.input.append_value(&transaction.input);
        self.succeeded.append_option(transaction.succeeded);
        self.gas_used.append_value(transaction.gas_used);
        self.receipt.append_value(&transaction.receipt);
        self.internal_transfers.append_option(transaction.internal_transfers.as_ref());
        return Ok(());

        fn append(builder: &mut FixedSizeBinaryBuilder, bytes: &[u8]) {
            builder.append_value(bytes).expect("a hash or address has its column's width");
        }
    }

    fn take(&mut self) -> Vec<ArrayRef> {
        vec![
            Arc::new(self.block.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.block_hash.finish()),
            Arc::new(self.fee_recipient.finish()),
            Arc::new(self.base_fee.finish()),
            Arc::new(self.hash.finish()),
            Arc::new(self.index.finish()),
            Arc::new(self.why.finish()),
            Arc::new(self.kind.finish()),
            Arc::new(self.from.finish()),
            Arc::new(self.to.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.input.finish()),
            Arc::new(self.succeeded.finish()),
            Arc::new(self.gas_used.finish()),
            Arc::new(self.gas_price.finish()),
            Arc::new(self.receipt.finish()),
            Arc::new(self.internal_transfers.finish()),
        ]
    }
}

fn read_batch(columns: Columns<'_>) -> Result<Vec<Transaction>> {
    let bad = |what: &str| damaged(columns.path, what);
    let block = columns.full::<UInt64Array>("block")?;
    let time = columns.full::<TimestampMicrosecondArray>("time")?;
    let (block_hash, hash) = (columns.full_bytes::<32>("block_hash")?, columns.full_bytes::<32>("transaction")?);
    let (fee_recipient, from) = (columns.full_bytes::<20>("fee_recipient")?, columns.full_bytes::<20>("from")?);
    let (has_to, to) = columns.bytes::<20>("to")?;
    let base_fee = columns.get::<Decimal128Array>("base_fee_wei")?;
    let value = columns.full::<Decimal128Array>("value_wei")?;
    let gas_price = columns.full::<Decimal128Array>("effective_gas_price_wei")?;
    let (index, kind) = (columns.full::<UInt32Array>("transaction_index")?, columns.full::<UInt8Array>("type")?);
    let why = columns.full::<StringArray>("why")?;
    let (input, receipt) = (columns.full::<BinaryArray>("input")?, columns.full::<BinaryArray>("receipt")?);
    let succeeded = columns.get::<BooleanArray>("succeeded")?;
    let gas_used = columns.full::<UInt64Array>("gas_used")?;
    let internal_transfers = columns.get::<BinaryArray>("internal_transfers")?;
    let wei = |amount: i128| u128::try_from(amount).map_err(|_| bad("less than no wei"));
    (0..columns.batch.num_rows())
        .map(|row| {
            Ok(Transaction {
                block: block.value(row),
                time: u64::try_from(time.value(row) / SECOND_US).map_err(|_| bad("a time before 1970"))?,
                block_hash: B256::new(block_hash[row]),
                fee_recipient: Address::new(fee_recipient[row]),
                base_fee: base_fee.is_valid(row).then(|| wei(base_fee.value(row))).transpose()?,
                hash: B256::new(hash[row]),
                index: index.value(row),
                why: Reasons::from_words(why.value(row)).ok_or_else(|| bad("a reason that is none"))?,
                kind: kind.value(row),
                from: Address::new(from[row]),
                to: has_to.is_valid(row).then(|| Address::new(to[row])),
                value: wei(value.value(row))?,
                input: Bytes::copy_from_slice(input.value(row)),
                succeeded: succeeded.is_valid(row).then(|| succeeded.value(row)),
                gas_used: gas_used.value(row),
                effective_gas_price: wei(gas_price.value(row))?,
                receipt: Bytes::copy_from_slice(receipt.value(row)),
                internal_transfers: internal_transfers
                    .is_valid(row)
                    .then(|| Bytes::copy_from_slice(internal_transfers.value(row))),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::logs::tests::{CHAIN, hash_of, place};

    /// The transaction at a place, which follows from it.
    fn transaction(block: u64, index: u32) -> Transaction {
        let byte = u8::try_from(block % 7 * 16 + u64::from(index)).unwrap();
        let odd = byte % 2 == 1;
        Transaction {
            block,
            time: 1_700_000_000 + block * 12,
            block_hash: hash_of(block),
            fee_recipient: Address::repeat_byte(byte),
            base_fee: odd.then_some(u128::from(byte) * 1_000_000_000),
            hash: B256::repeat_byte(byte),
            index,
            why: Reasons { liquidation: odd, oracle_update: byte % 3 == 0, payment: byte % 5 == 0 },
            kind: byte % 4,
            from: Address::repeat_byte(byte ^ 1),
            to: odd.then(|| Address::repeat_byte(byte ^ 2)),
            value: if odd { MOST_WEI } else { 0 },
            input: vec![byte; usize::from(byte)].into(),
            succeeded: [None, Some(true), Some(false)][usize::from(byte % 3)],
            gas_used: u64::MAX - u64::from(byte),
            effective_gas_price: u128::from(byte),
            receipt: format!("{{\"status\":\"{byte}\"}}").into_bytes().into(),
            internal_transfers: odd.then(|| Bytes::from_static(b"[]")),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn transactions_in_any_number_of_files_read_back_once_and_in_order(
            files in prop::collection::vec(prop::collection::btree_set((0..20_u64, 0..5_u32), 0..12), 0..4),
            (from, to) in (0..20_u64, 0..20_u64),
        ) {
            let place = place();
            for file in &files {
                let some: Vec<_> = file.iter().rev().map(|(block, index)| transaction(*block, *index)).collect();
                let path = append(&place.writer, &place.market, CHAIN, &some).unwrap();
                prop_assert_eq!(path.is_none(), file.is_empty());
            }
            let all: std::collections::BTreeSet<_> = files.into_iter().flatten().collect();
            let expected = all.into_iter().filter(|(block, _)| (from..=to).contains(block));
            let expected: Vec<_> = expected.map(|(block, index)| transaction(block, index)).collect();
            prop_assert_eq!(load(&place.archive, &place.market, from, to).unwrap(), expected);
        }
    }

    #[test]
    fn reasons_and_traces_come_together_and_facts_must_agree() {
        let place = place();
        let write = |transaction| append(&place.writer, &place.market, CHAIN, &[transaction]).unwrap();
        let plain = Transaction { why: Reasons::default(), internal_transfers: None, ..transaction(3, 1) };
        write(Transaction { why: Reasons { payment: true, ..Reasons::default() }, ..plain.clone() });
        let liquidation = Reasons { liquidation: true, ..Reasons::default() };
        let traced = Some(Bytes::from_static(b"[1]"));
        write(Transaction {
            why: liquidation,
            internal_transfers: traced.clone(),
            receipt: Bytes::from_static(b"{ }"),
            ..plain.clone()
        });
        let held = load(&place.archive, &place.market, 0, 9).unwrap();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].why.words(), "liquidation+payment");
        assert_eq!(held[0].internal_transfers, traced);
        write(Transaction { gas_used: 1, ..plain });
        let said = load(&place.archive, &place.market, 0, 9).unwrap_err().to_string();
        assert!(
            said.contains("transaction 1 of block 3 is on file differently") && said.contains(".parquet"),
            "{said}"
        );
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_kept() {
        let place = place();
        let refused = |transactions: &[Transaction]| {
            append(&place.writer, &place.market, CHAIN, transactions).unwrap_err().to_string()
        };
        assert!(refused(&[transaction(1, 1), transaction(1, 1)]).contains("comes twice"));
        let rich = Transaction { value: MOST_WEI + 1, ..transaction(1, 1) };
        assert!(refused(&[rich]).contains("more wei"));
        assert!(load(&place.archive, &place.market, 0, 9).unwrap().is_empty());
    }

    #[test]
    fn every_set_of_reasons_reads_back() {
        for bits in 0..8 {
            let reasons = Reasons { liquidation: bits & 1 > 0, oracle_update: bits & 2 > 0, payment: bits & 4 > 0 };
            assert_eq!(Reasons::from_words(&reasons.words()), Some(reasons));
        }
        assert_eq!(Reasons::from_words("liquidation+bribe"), None);
    }
}
