//! The table `ledger`: what moved between the treasury's accounts, in batches that are there whole or not at all.
//!
//! ```text
//! <archive>/ledger/000000000001.parquet   the first batch; the next has the next number
//! <archive>/ledger/head                   how many batches there are, and the SHA-256 of the last
//! ```
//!
//! Each batch says in its footer what the SHA-256 of the one before is. The head is written after the batch that it is about: a head that
//! is one batch behind is what a program leaves that died in between, and the next batch mends it. Any other head says that a batch was
//! lost or changed. Ledgers of before heads were written have none until their next batch.
//!
//! Batches are numbered without a gap, and rows stand in the order in which they were posted: reading them all in order makes the
//! ledger again. `group` tells which rows of a batch stand or fall together. Accounts and actions are words that the reader of the table
//! understands; amounts are `Decimal128(38,0)` in the token's smallest unit, `usd` is what the amount was worth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    Decimal128Builder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringBuilder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder, UInt8Builder, UInt64Builder,
};
use arrow_array::cast::AsArray as _;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array as _, ArrayRef, Decimal128Array, FixedSizeBinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use protocol::amount::{Raw, Usd8};
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{Address, B256};

use super::cells::{self, Columns};
use super::scan::damaged;
use super::{Archive, DataFile, Footer, PendingFile, Scan, Span, Table, Writer, entries, is_finished, publish};
use crate::error::{Error, IoContext as _, Result};

/// Rows handed to the file at a time.
const BATCH_ROWS: usize = 8_192;

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = |name, nullable| {
        Field::new(name, DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)), nullable)
    };
    Arc::new(Schema::new(vec![
        cells::bytes("id", 32, false),
        Field::new("group", DataType::UInt64, false),
        cells::moment("time"),
        word("action", false),
        cells::bytes("held_id", 32, true),
        Field::new("network", DataType::UInt64, true),
        cells::bytes("token", 20, true),
        word("symbol", true),
        Field::new("decimals", DataType::UInt8, true),
        word("debit", true),
        cells::bytes("debit_reserve", 20, true),
        word("credit", true),
        cells::bytes("credit_reserve", 20, true),
        Field::new("amount_raw", DataType::Decimal128(38, 0), true),
        Field::new("usd", DataType::Decimal128(38, 8), true),
        word("standing", false),
        Field::new("origin_network", DataType::UInt64, true),
        cells::bytes("tx_hash", 32, true),
        Field::new("log_index", DataType::UInt64, true),
        word("origin_file", true),
        Field::new("origin_row", DataType::UInt64, true),
    ]))
});

/// A token, and how it is divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its network.
    pub network: ChainId,
    /// Its contract.
    pub address: Address,
    /// Its name.
    pub symbol: String,
    /// Its decimals.
    pub decimals: u8,
}

/// One side of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The account's word.
    pub code: String,
    /// The reserve it is about.
    pub reserve: Option<Address>,
}

/// Two sides and what goes from one to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is kept in.
    pub token: Token,
    /// The left side.
    pub debit: Side,
    /// The right side.
    pub credit: Side,
}

/// Where a row is known from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A transaction, and a log in its block.
    Transaction {
        /// Its network.
        network: ChainId,
        /// Its hash.
        transaction: B256,
        /// The log.
        log_index: Option<u64>,
    },
    /// A row of a file, or a step of a rule of that name.
    File {
        /// Its name.
        name: String,
        /// The row.
        row: u64,
    },
}

/// One transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its id.
    pub id: B256,
    /// Rows of a batch with the same number stand or fall together; it never falls within a batch.
    pub group: u64,
    /// When.
    pub time: TimeUs,
    /// What it does, in a word.
    pub action: String,
    /// What was held, where it is about that.
    pub held: Option<B256>,
    /// What it moves; none where it is about what was held.
    pub entry: Option<Entry>,
    /// How much, in the smallest unit.
    pub amount: Option<Raw>,
    /// What that was worth.
    pub usd: Option<Usd8>,
    /// How it is known.
    pub standing: Standing,
    /// Where it is known from.
    pub origin: Origin,
}

/// Where the table lies.
#[must_use]
pub fn folder(archive: &Archive) -> PathBuf {
    archive.root().join(Table::Ledger.word())
}

/// Appends a batch: when this returns, all of its rows are on the disk; when it does not, none is, unless nothing but the head's new name
/// was refused. Returns the batch's number.
///
/// # Errors
/// The archive cannot be read or written, or a batch is missing.
pub fn append(writer: &Writer, origin: &str, rows: &[Row]) -> Result<u64> {
    let folder = folder(writer.archive());
    let before = mended(&folder)?;
    let number = before.as_ref().map_or(1, |before| before.count + 1);
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), cells::compressed(131_072).build())?;
    for some in rows.chunks(BATCH_ROWS) {
        file.write(&batch_of(some).map_err(|cause| Error::arrow(&folder, &cause))?)?;
    }
    let times = rows.iter().map(|row| row.time);
    let span = match (times.clone().min(), times.max()) {
        (Some(from), Some(to)) => Span::Times { from, to },
        _ => Span::Empty,
    };
    let standing = rows.iter().map(|row| row.standing).max().unwrap_or(Standing::Exact);
    let mut notes = BTreeMap::from([
        ("batch".to_owned(), number.to_string()),
        ("rows".to_owned(), rows.len().to_string()),
        ("origin".to_owned(), origin.to_owned()),
    ]);
    notes.extend(before.map(|before| (PREVIOUS.to_owned(), before.digest)));
    let finished = file.finish(&Footer { table: Table::Ledger, standing, span, notes })?;
    let head = Head { count: number, digest: publish::sha256(finished.path())? }.write(&folder)?;
    finished.publish(&file_name(number))?;
    head.name(HEAD)?;
    Ok(number)
}

/// The note of a footer that has the digest of the batch before.
const PREVIOUS: &str = "previous";
/// The name of the head.
const HEAD: &str = "head";

/// How many batches there are, and the last one's digest.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Head {
    count: u64,
    digest: String,
}

impl Head {
    /// What the head of a folder with so many batches should be; none where there is no batch.
    fn of(folder: &Path, batches: usize) -> Result<Option<Self>> {
        let count = u64::try_from(batches).unwrap_or(u64::MAX);
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Self { count, digest: publish::sha256(&folder.join(file_name(count)))? }))
    }

    /// The head on file; none where there is none.
    fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(HEAD);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause).while_trying_to("read the ledger's head", &path),
        };
        let parts = text.trim_end().split_once(' ');
        let head =
            parts.and_then(|(count, digest)| Some(Self { count: count.parse().ok()?, digest: digest.to_owned() }));
        head.map(Some).ok_or_else(|| damaged(&path, "it is not a number of batches and a digest"))
    }

    fn write(&self, folder: &Path) -> Result<publish::Unnamed> {
        publish::Unnamed::write(folder, format!("{} {}\n", self.count, self.digest).as_bytes())
    }
}

/// The head of the batches that are there. Where a program that died left the one on file behind, it is written anew: one behind must
/// stay one behind, should this program die too.
fn mended(folder: &Path) -> Result<Option<Head>> {
    let head = Head::read(folder)?;
    let last = Head::of(folder, numbers(folder)?.len())?;
    check_head(folder, head.as_ref(), last.as_ref())?;
    if let Some(last) = last.as_ref().filter(|last| head.as_ref() != Some(last)) {
        last.write(folder)?.name(HEAD)?;
    }
    Ok(last)
}

/// Whether the head on file is that of the batches that are there, or of those but the last.
fn check_head(folder: &Path, head: Option<&Head>, last: Option<&Head>) -> Result<()> {
    let count = last.map_or(0, |last| last.count);
    let told = |what: String| {
        let advice = "restore the folder from a backup: without all of its batches the ledger is not whole";
        Err(Error::BadFile { path: folder.join(HEAD), what, advice })
    };
    let Some(head) = head else {
        // The first batch of a ledger may be there before its head; a later one that names another is not.
        let is_chained = count > 1 && previous(folder, count)?.is_some();
        return if is_chained { told(format!("is missing, and there are {count} batches")) } else { Ok(()) };
    };
    let known = match count.checked_sub(head.count) {
        Some(0) => last.map(|last| last.digest.clone()),
        Some(1) => previous(folder, count)?,
        Some(_) => return told(format!("says that there are {} batches, and there are {count}", head.count)),
        None => {
            return told(format!(
                "says that there are {} batches, and only {count} are there: the last ones were lost",
                head.count
            ));
        }
    };
    if known.as_ref() == Some(&head.digest) {
        Ok(())
    } else {
        told(format!("says that batch {} has another content than it has", head.count))
    }
}

/// What a batch says that the digest of the one before is.
fn previous(folder: &Path, number: u64) -> Result<Option<String>> {
    let file = DataFile::open(folder.join(file_name(number)))?;
    Ok(file.footer.note(PREVIOUS).map(str::to_owned))
}

fn file_name(number: u64) -> String {
    format!("{number:012}.parquet")
}

/// The numbers of the batches on file, which have no gap.
fn numbers(folder: &Path) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for name in entries(folder)?.iter().filter(|name| is_finished(name)) {
        let expected = u64::try_from(numbers.len()).unwrap_or(u64::MAX).saturating_add(1);
        if *name != file_name(expected) {
            return Err(Error::BadFile {
                path: folder.join(file_name(expected)),
                what: format!("is missing, and {name} is there"),
                advice: "restore it from a backup: without it the ledger is not whole",
            });
        }
        numbers.push(expected);
    }
    Ok(numbers)
}

/// The head and the batches of one moment: a writer that is at work moves the head between any two of its batches.
fn listed(folder: &Path) -> Result<(Option<Head>, Vec<u64>)> {
    loop {
        let head = Head::read(folder)?;
        let numbers = numbers(folder)?;
        if Head::read(folder)? == head {
            return Ok((head, numbers));
        }
    }
}

/// Hands out every row of every batch, in order, each with the number of its batch.
///
/// # Errors
/// A batch is missing, damaged, or not what its name says; or `each` says so.
pub fn read(archive: &Archive, each: &mut dyn FnMut(u64, Row) -> Result<()>) -> Result<()> {
    let folder = folder(archive);
    let (head, numbers) = listed(&folder)?;
    let mut before: Option<String> = None;
    for number in &numbers {
        let number = *number;
        let file = DataFile::open(folder.join(file_name(number)))?;
        let is_it = file.footer.table == Table::Ledger && file.footer.note("batch") == Some(&number.to_string());
        if !is_it || file.footer.note("rows") != Some(&file.rows().to_string()) {
            return Err(Error::BadFile {
                path: file.path,
                what: "says it is another batch than its name".to_owned(),
                advice: "somebody renamed it; restore it from a backup",
            });
        }
        // Batches of before digests were kept name none.
        if let Some(previous) = file.footer.note(PREVIOUS).filter(|previous| before.as_deref() != Some(previous)) {
            return Err(Error::BadFile {
                path: file.path.clone(),
                what: format!(
                    "follows another batch {} than the one that is there, whose digest begins {}",
                    number - 1,
                    &previous[..previous.len().min(8)]
                ),
                advice: "restore the folder from a backup",
            });
        }
        before = Some(publish::sha256(&file.path)?);
        for chunk in Scan::of_all().chunks(std::slice::from_ref(&file)) {
            for batch in chunk.read()? {
                for row in rows_of(&file.path, &batch?)? {
                    each(number, row)?;
                }
            }
        }
    }
    let last = before.map(|digest| Head { count: u64::try_from(numbers.len()).unwrap_or(u64::MAX), digest });
    check_head(&folder, head.as_ref(), last.as_ref())
}

type Words = StringDictionaryBuilder<Int32Type>;

#[expect(clippy::too_many_lines, reason = "a line for each column")]
fn batch_of(rows: &[Row]) -> std::result::Result<RecordBatch, ArrowError> {
    let hashes = || FixedSizeBinaryBuilder::new(32);
    let (mut ids, mut helds, mut transactions) = (hashes(), hashes(), hashes());
    let addresses = || FixedSizeBinaryBuilder::new(20);
    let (mut tokens, mut debit_reserves, mut credit_reserves) = (addresses(), addresses(), addresses());
    let (mut groups, mut networks, mut origin_networks) =
        (UInt64Builder::new(), UInt64Builder::new(), UInt64Builder::new());
    let (mut logs, mut origin_rows, mut decimals) = (UInt64Builder::new(), UInt64Builder::new(), UInt8Builder::new());
    let mut times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut actions, mut symbols, mut debits, mut credits) = (Words::new(), Words::new(), Words::new(), Words::new());
    let (mut standings, mut files) = (Words::new(), Words::new());
    let mut amounts: Decimal128Builder = PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 0));
    let mut dollars: Decimal128Builder = PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 8));
    for row in rows {
        ids.append_value(row.id)?;
        groups.append_value(row.group);
        times.append_value(row.time.0);
        actions.append_value(&row.action);
        append(&mut helds, row.held.as_ref().map(B256::as_slice))?;
        let entry = row.entry.as_ref();
        networks.append_option(entry.map(|entry| entry.token.network.0));
        append(&mut tokens, entry.map(|entry| entry.token.address.as_slice()))?;
        symbols.append_option(entry.map(|entry| &entry.token.symbol));
        decimals.append_option(entry.map(|entry| entry.token.decimals));
        debits.append_option(entry.map(|entry| &entry.debit.code));
        append(
            &mut debit_reserves,
            entry.and_then(|entry| entry.debit.reserve.as_ref()).map(|reserve| reserve.as_slice()),
        )?;
        credits.append_option(entry.map(|entry| &entry.credit.code));
        append(
            &mut credit_reserves,
            entry.and_then(|entry| entry.credit.reserve.as_ref()).map(|reserve| reserve.as_slice()),
        )?;
        amounts.append_option(row.amount.map(|amount| amount.units().cast_signed()));
        dollars.append_option(row.usd.map(|usd| usd.0));
        standings.append_value(row.standing.word());
        let (mut network, mut transaction, mut log, mut file, mut number) = (None, None, None, None, None);
        match &row.origin {
            Origin::Transaction { network: of, transaction: hash, log_index } => {
                (network, transaction, log) = (Some(of.0), Some(hash.as_slice()), *log_index);
            }
            Origin::File { name, row } => (file, number) = (Some(name), Some(*row)),
        }
        origin_networks.append_option(network);
        append(&mut transactions, transaction)?;
        logs.append_option(log);
        files.append_option(file);
        origin_rows.append_option(number);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(groups.finish()),
        Arc::new(times.finish()),
        Arc::new(actions.finish()),
        Arc::new(helds.finish()),
        Arc::new(networks.finish()),
        Arc::new(tokens.finish()),
        Arc::new(symbols.finish()),
        Arc::new(decimals.finish()),
        Arc::new(debits.finish()),
        Arc::new(debit_reserves.finish()),
        Arc::new(credits.finish()),
        Arc::new(credit_reserves.finish()),
        Arc::new(amounts.finish()),
        Arc::new(dollars.finish()),
        Arc::new(standings.finish()),
        Arc::new(origin_networks.finish()),
        Arc::new(transactions.finish()),
        Arc::new(logs.finish()),
        Arc::new(files.finish()),
        Arc::new(origin_rows.finish()),
    ];
    return RecordBatch::try_new(SCHEMA.clone(), columns);

    fn append(to: &mut FixedSizeBinaryBuilder, bytes: Option<&[u8]>) -> std::result::Result<(), ArrowError> {
        match bytes {
            Some(bytes) => to.append_value(bytes),
            None => {
                to.append_null();
                Ok(())
            }
        }
    }
}

/// The columns of a batch as they were read.
struct Read<'a> {
    columns: Columns<'a>,
}

impl<'a> Read<'a> {
    /// A column of words, as text.
    fn words(&self, name: &str) -> Result<StringArray> {
        let found = self.columns.batch.column_by_name(name);
        let plain = found.and_then(words_of);
        plain.ok_or_else(|| damaged(self.columns.path, format!("its column {name} is absent or of another type")))
    }

    fn fixed<const N: usize>(&self, name: &str) -> Result<impl Fn(usize) -> Option<[u8; N]> + use<'a, N>> {
        let (column, values): (&FixedSizeBinaryArray, &[[u8; N]]) = self.columns.bytes(name)?;
        Ok(move |row: usize| column.is_valid(row).then(|| values[row]))
    }

    fn number(&self, name: &str) -> Result<impl Fn(usize) -> Option<u64> + use<'a>> {
        let column: &UInt64Array = self.columns.get(name)?;
        Ok(move |row: usize| column.is_valid(row).then(|| column.value(row)))
    }

    fn decimal(&self, name: &str) -> Result<impl Fn(usize) -> Option<i128> + use<'a>> {
        let column: &Decimal128Array = self.columns.get(name)?;
        Ok(move |row: usize| column.is_valid(row).then(|| column.value(row)))
    }
}

/// Words under their dictionary.
fn words_of(column: &ArrayRef) -> Option<StringArray> {
    let words = column.as_any().downcast_ref::<arrow_array::DictionaryArray<Int32Type>>()?;
    let values = words.values().as_string_opt::<i32>()?;
    let keys = words.keys();
    let word = |row: usize| {
        keys.is_valid(row).then(|| usize::try_from(keys.value(row)).ok().map(|key| values.value(key))).flatten()
    };
    let mut plain = StringBuilder::new();
    (0..keys.len()).for_each(|row| plain.append_option(word(row)));
    Some(plain.finish())
}

fn rows_of(path: &Path, batch: &RecordBatch) -> Result<Vec<Row>> {
    let columns = Columns { path, batch };
    let read = Read { columns };
    let times: &TimestampMicrosecondArray = columns.full("time")?;
    let ids = columns.full_bytes::<32>("id")?;
    let [actions, symbols, debits, credits, standings, files] =
        ["action", "symbol", "debit", "credit", "standing", "origin_file"].map(|name| read.words(name));
    let (actions, symbols, debits, credits) = (actions?, symbols?, debits?, credits?);
    let (standings, files) = (standings?, files?);
    let word = |words: &StringArray, row: usize| words.is_valid(row).then(|| words.value(row).to_owned());
    let (group, network, origin_network) =
        (read.number("group")?, read.number("network")?, read.number("origin_network")?);
    let (log, origin_row) = (read.number("log_index")?, read.number("origin_row")?);
    let (held, transaction) = (read.fixed::<32>("held_id")?, read.fixed::<32>("tx_hash")?);
    let token = read.fixed::<20>("token")?;
    let (debit_reserve, credit_reserve) = (read.fixed::<20>("debit_reserve")?, read.fixed::<20>("credit_reserve")?);
    let (amount, usd) = (read.decimal("amount_raw")?, read.decimal("usd")?);
    let decimals: &UInt8Array = columns.get("decimals")?;
    let one = |row: usize| -> Option<Row> {
        let side = |code: Option<String>, reserve: Option<[u8; 20]>| {
            Some(Side { code: code?, reserve: reserve.map(Address::from) })
        };
        let entry = match network(row) {
            None => None,
            Some(network) => Some(Entry {
                token: Token {
                    network: ChainId(network),
                    address: token(row)?.into(),
                    symbol: word(&symbols, row)?,
                    decimals: decimals.is_valid(row).then(|| decimals.value(row))?,
                },
                debit: side(word(&debits, row), debit_reserve(row))?,
                credit: side(word(&credits, row), credit_reserve(row))?,
            }),
        };
        let amount = match amount(row) {
            None => None,
            Some(amount) => Some(u128::try_from(amount).ok().and_then(Raw::new)?),
        };
        let origin = match transaction(row) {
            Some(transaction) => Origin::Transaction {
                network: ChainId(origin_network(row)?),
                transaction: transaction.into(),
                log_index: log(row),
            },
            None => Origin::File { name: word(&files, row)?, row: origin_row(row)? },
        };
        Some(Row {
            id: ids[row].into(),
            group: group(row)?,
            time: TimeUs(times.value(row)),
            action: word(&actions, row)?,
            held: held(row).map(B256::from),
            entry,
            amount,
            usd: usd(row).map(Usd8),
            standing: Standing::from_word(&word(&standings, row)?)?,
            origin,
        })
    };
    (0..batch.num_rows()).map(one).collect::<Option<Vec<Row>>>().ok_or_else(|| damaged(path, "a row has holes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let side = || {
            ("[a-z-]{1,8}", prop::option::of(any::<[u8; 20]>()))
                .prop_map(|(code, reserve)| Side { code, reserve: reserve.map(Address::from) })
        };
        let token = (any::<u64>(), any::<[u8; 20]>(), "\\PC{0,6}", any::<u8>()).prop_map(
            |(network, address, symbol, decimals)| Token {
                network: ChainId(network),
                address: address.into(),
                symbol,
                decimals,
            },
        );
        let entry = (token, side(), side()).prop_map(|(token, debit, credit)| Entry { token, debit, credit });
        let origin = prop_oneof![
            (any::<u64>(), any::<[u8; 32]>(), any::<Option<u64>>()).prop_map(|(network, hash, log_index)| {
                Origin::Transaction { network: ChainId(network), transaction: hash.into(), log_index }
            }),
            ("\\PC{0,9}", any::<u64>()).prop_map(|(name, row)| Origin::File { name, row }),
        ];
        let amount = prop::option::of(0..=protocol::amount::MAX_38_DIGITS);
        let what = (any::<[u8; 32]>(), "[a-z]{1,5}", any::<Option<[u8; 32]>>(), prop::option::of(entry), amount);
        let row = (what, 0_i64..1 << 50, prop::option::of(-(1_i128 << 90)..1 << 90), origin).prop_map(
            |((id, action, held, entry, amount), time, usd, origin)| Row {
                id: id.into(),
                group: 1,
                time: TimeUs(time),
                action,
                held: held.map(B256::from),
                entry,
                amount: amount.and_then(Raw::new),
                usd: usd.map(Usd8),
                standing: Standing::Observed,
                origin,
            },
        );
        prop::collection::vec(row, 0..20)
    }

    fn all(archive: &Archive) -> Result<Vec<(u64, Row)>> {
        let mut rows = Vec::new();
        read(archive, &mut |number, row| {
            rows.push((number, row));
            Ok(())
        })?;
        Ok(rows)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn batches_read_back_in_their_order(batches in prop::collection::vec(rows(), 0..4)) {
            let folder = tempfile::tempdir().unwrap();
            let archive = Archive::at(folder.path()).unwrap();
            prop_assert!(all(&archive).unwrap().is_empty());
            let mut expected = Vec::new();
            for (number, rows) in (1..).zip(&batches) {
                let writer = Writer::open(&archive).unwrap();
                prop_assert_eq!(append(&writer, "test", rows).unwrap(), number);
                expected.extend(rows.iter().map(|row| (number, row.clone())));
            }
            prop_assert_eq!(all(&archive).unwrap(), expected);
        }
    }

    #[test]
    fn the_last_batch_is_missed_and_what_a_program_left_that_died_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        let place = super::folder(&archive);
        let (head, batch) = (place.join(HEAD), |number| place.join(file_name(number)));
        let aside = folder.path().join("aside");
        let told = || {
            [all(&archive).map(|_| ()), append(&writer, "test", &[]).map(|_| ())]
                .map(|told| told.unwrap_err().to_string())
        };
        let mut heads = Vec::new();
        for number in 1..=3 {
            append(&writer, &format!("test {number}"), &[]).unwrap();
            heads.push(std::fs::read(&head).unwrap());
        }
        for says in told_without(&batch(3), &aside, &told) {
            assert!(says.contains("says that there are 3 batches, and only 2 are there"), "{says}");
        }
        // All batches gone, and the head not.
        let all_gone = folder.path().join("gone");
        std::fs::create_dir(&all_gone).unwrap();
        for number in 1..=3 {
            std::fs::rename(batch(number), all_gone.join(file_name(number))).unwrap();
        }
        assert!(told().iter().all(|says| says.contains("only 0 are there")));
        for number in 1..=3 {
            std::fs::rename(all_gone.join(file_name(number)), batch(number)).unwrap();
        }
        for says in told_without(&head, &aside, &told) {
            assert!(says.contains("is missing, and there are 3 batches"), "{says}");
        }
        std::fs::write(&head, &heads[0]).unwrap();
        assert!(told().iter().all(|says| says.contains("says that there are 1 batches, and there are 3")));
        std::fs::write(&head, "three").unwrap();
        assert!(told().iter().all(|says| says.contains("head")));
        // A program that died between the batch and the head, and the next one too.
        std::fs::write(&head, &heads[1]).unwrap();
        assert!(all(&archive).unwrap().is_empty());
        assert_eq!(mended(&place).unwrap().unwrap().count, 3);
        assert_eq!(std::fs::read(&head).unwrap(), heads[2]);
        std::fs::write(&head, &heads[1]).unwrap();
        append(&writer, "test 4", &[]).unwrap();
        assert!(std::fs::read_to_string(&head).unwrap().starts_with("4 "));
        std::fs::write(&head, &heads[2]).unwrap();
        assert!(all(&archive).unwrap().is_empty());
        append(&writer, "test 5", &[]).unwrap();
        // Another batch in the place of one, in the middle and at the end: both hold no row, and one says who wrote it.
        for number in [2, 5] {
            std::fs::copy(batch(number), &aside).unwrap();
            let elsewhere = tempfile::tempdir().unwrap();
            let other = Archive::at(elsewhere.path()).unwrap();
            let there = super::folder(&other);
            std::fs::create_dir_all(&there).unwrap();
            for earlier in 1..number {
                std::fs::copy(batch(earlier), there.join(file_name(earlier))).unwrap();
            }
            let count = usize::try_from(number - 1).unwrap();
            Head::of(&there, count).unwrap().unwrap().write(&there).unwrap().name(HEAD).unwrap();
            assert_eq!(append(&Writer::open(&other).unwrap(), "other", &[]).unwrap(), number);
            std::fs::copy(super::folder(&other).join(file_name(number)), batch(number)).unwrap();
            assert!(all(&archive).is_err(), "{number}");
            std::fs::copy(&aside, batch(number)).unwrap();
        }
        assert!(all(&archive).unwrap().is_empty());
    }

    fn told_without(path: &Path, aside: &Path, told: &dyn Fn() -> [String; 2]) -> [String; 2] {
        std::fs::rename(path, aside).unwrap();
        let says = told();
        std::fs::rename(aside, path).unwrap();
        says
    }

    #[test]
    fn a_ledger_of_before_heads_were_written_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        append(&writer, "test", &[]).unwrap();
        let head = super::folder(&archive).join(HEAD);
        std::fs::remove_file(&head).unwrap();
        assert!(all(&archive).unwrap().is_empty());
        assert_eq!(append(&writer, "test", &[]).unwrap(), 2);
        assert!(all(&archive).unwrap().is_empty() && head.exists());
    }

    #[test]
    fn a_batch_that_is_missing_renamed_or_cut_off_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        for _ in 0..3 {
            append(&writer, "test", &[]).unwrap();
        }
        let place = super::folder(&archive);
        let second = place.join("000000000002.parquet");
        let aside = place.join("aside");
        std::fs::rename(&second, &aside).unwrap();
        for told in [all(&archive).map(|_| ()), append(&writer, "test", &[]).map(|_| ())] {
            let told = told.unwrap_err().to_string();
            assert!(told.contains("000000000002.parquet: is missing"), "{told}");
        }
        std::fs::copy(place.join("000000000001.parquet"), &second).unwrap();
        assert!(all(&archive).unwrap_err().to_string().contains("another batch"));
        std::fs::write(&second, &std::fs::read(&aside).unwrap()[..200]).unwrap();
        assert!(all(&archive).unwrap_err().to_string().contains("damaged"));
        std::fs::rename(&aside, &second).unwrap();
        assert!(all(&archive).unwrap().is_empty());
        // What an interrupted writer left is swept by the next one.
        drop(writer);
        let part = place.join(".77-0.part");
        std::fs::write(&part, b"half").unwrap();
        Writer::open(&archive).unwrap();
        assert!(!part.exists());
    }
}
