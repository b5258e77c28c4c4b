//! The table `logs`: one row per log of a market, as a node returned it, and its reading in the chain's order.
//!
//! A file holds every log of its blocks that its filter lets through, and its footer says which filter that was. Files may
//! overlap, in blocks as in filters: [`LogReader`] merges them, takes exact repeats once, and refuses to choose between
//! files that contradict each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, FixedSizeBinaryArray, RecordBatch, TimestampMicrosecondArray, UInt32Array,
    UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::Encoding;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::SECOND_US;
use protocol::{Address, B256};

use super::cells::{self, Columns};
use super::coverage::Ranges;
use super::footer::Complete;
use super::publish::BackgroundFile;
use super::scan::damaged;
use super::{DataFile, Footer, MarketName, PendingFile, Span, Table, Writer};
use crate::error::{Error, Result};
use crate::log::{Filter, Log, Logs, MAX_TOPICS};

mod reader;

pub use reader::LogReader;

/// Rows in a row group: the unit in which readers skip.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows gathered before they are handed to the file.
const BATCH_ROWS: usize = 8_192;
/// Bytes of data gathered before they are handed to the file, however few the rows.
const BATCH_BYTES: usize = 8 << 20;

/// The columns of topics, in order.
const TOPICS: [&str; MAX_TOPICS] = ["topic0", "topic1", "topic2", "topic3"];

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(fields(false))));

/// The columns of a log; where a row may be a block without one, those of the log itself may be empty.
pub(super) fn fields(may_be_empty: bool) -> Vec<Field> {
    let mut fields = vec![
        Field::new("block", DataType::UInt64, false),
        cells::moment("time"),
        cells::bytes("block_hash", 32, false),
        cells::bytes("transaction", 32, may_be_empty),
        Field::new("transaction_index", DataType::UInt32, may_be_empty),
        Field::new("log_index", DataType::UInt32, may_be_empty),
        cells::bytes("address", 20, may_be_empty),
    ];
    fields.extend(TOPICS.map(|topic| cells::bytes(topic, 32, true)));
    fields.push(Field::new("data", DataType::Binary, may_be_empty));
    fields
}

/// How the table is laid out in a file.
#[must_use]
pub fn properties() -> WriterProperties {
    let rising = ["block", "time", "transaction_index", "log_index"];
    let mut properties = cells::as_differences(cells::compressed(ROW_GROUP_ROWS), &rising);
    // A reader skips by block and time alone; bounds of hashes would only make the footer long.
    properties = properties.set_statistics_enabled(EnabledStatistics::None);
    for column in ["block", "time"] {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(column), EnabledStatistics::Chunk);
    }
    // The logs of a block and of a transaction stand together, so a hash is written once and then pointed at.
    for column in ["block_hash", "transaction", "topic1", "topic2", "topic3"] {
        properties = properties.set_column_dictionary_page_size_limit(ColumnPath::from(column), 4 << 20);
    }
    properties
        // The first version of the format has no dictionaries of hashes.
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_encoding(Encoding::PLAIN)
        .set_column_dictionary_enabled(ColumnPath::from("data"), false)
        .set_column_encoding(ColumnPath::from("data"), Encoding::DELTA_LENGTH_BYTE_ARRAY)
        .build()
}

/// Turns logs into columns.
#[derive(Debug)]
pub(super) struct LogColumns {
    block: UInt64Builder,
    time: TimestampMicrosecondBuilder,
    block_hash: FixedSizeBinaryBuilder,
    transaction: FixedSizeBinaryBuilder,
    transaction_index: UInt32Builder,
    log_index: UInt32Builder,
    address: FixedSizeBinaryBuilder,
    topics: [FixedSizeBinaryBuilder; MAX_TOPICS],
    data: BinaryBuilder,
    rows: usize,
    bytes: usize,
}

impl Default for LogColumns {
    fn default() -> Self {
        let hashes = || FixedSizeBinaryBuilder::new(32);
        Self {
            block: UInt64Builder::new(),
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            block_hash: hashes(),
            transaction: hashes(),
            transaction_index: UInt32Builder::new(),
            log_index: UInt32Builder::new(),
            address: FixedSizeBinaryBuilder::new(20),
            topics: std::array::from_fn(|_| hashes()),
            data: BinaryBuilder::new(),
            rows: 0,
            bytes: 0,
        }
    }
}

impl LogColumns {
    /// Appends what is known of a log's block.
    fn push_block_of(&mut self, block: u64, time: u64, hash: &B256) {
        self.rows += 1;
        self.block.append_value(block);
        self.time.append_value(microseconds(time));
        self.block_hash.append_value(hash).expect("a hash has 32 bytes");
    }

    /// Appends a log.
    pub(super) fn push(&mut self, log: &Log<'_>) {
        self.push_block_of(log.block, log.time, &log.block_hash);
        self.bytes += log.data.len();
        self.transaction.append_value(log.transaction).expect("a hash has 32 bytes");
        self.transaction_index.append_value(log.transaction_index);
        self.log_index.append_value(log.log_index);
        self.address.append_value(log.address).expect("an address has 20 bytes");
        for (place, column) in self.topics.iter_mut().enumerate() {
            match log.topics.get(place) {
                Some(topic) => column.append_value(topic).expect("a topic has 32 bytes"),
                None => column.append_null(),
            }
        }
        self.data.append_value(log.data);
    }

    /// Appends a row that is a block and no log.
    pub(super) fn push_block(&mut self, block: u64, time: u64, hash: &B256) {
        self.push_block_of(block, time, hash);
        self.transaction.append_null();
        self.transaction_index.append_null();
        self.log_index.append_null();
        self.address.append_null();
        self.topics.iter_mut().for_each(FixedSizeBinaryBuilder::append_null);
        self.data.append_null();
    }

    /// The waiting rows as columns; none wait afterwards.
    pub(super) fn take(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.block.finish()),
            Arc::new(self.time.finish()),
            Arc::new(self.block_hash.finish()),
            Arc::new(self.transaction.finish()),
            Arc::new(self.transaction_index.finish()),
            Arc::new(self.log_index.finish()),
            Arc::new(self.address.finish()),
        ];
        columns.extend(self.topics.iter_mut().map(|topic| -> ArrayRef { Arc::new(topic.finish()) }));
        columns.push(Arc::new(self.data.finish()));
        columns
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }
}

/// A second since 1970 in microseconds; a node's nonsense stays far away from every year that can be meant.
fn microseconds(second: u64) -> i64 {
    i64::try_from(second).unwrap_or(i64::MAX).saturating_mul(SECOND_US)
}

/// Logs in columns, checked once and then read where they lie.
#[derive(Debug, Clone)]
pub(super) struct Rows {
    block: UInt64Array,
    time: TimestampMicrosecondArray,
    block_hash: FixedSizeBinaryArray,
    transaction: FixedSizeBinaryArray,
    transaction_index: UInt32Array,
    log_index: UInt32Array,
    address: FixedSizeBinaryArray,
    topics: [FixedSizeBinaryArray; MAX_TOPICS],
    data: BinaryArray,
}

impl Rows {
    /// The columns of a batch.
    ///
    /// # Errors
    /// A column is absent, of another type, or has a hole that no log and no block may have.
    pub(super) fn of_batch(path: &Path, batch: &RecordBatch) -> Result<Self> {
        let columns = Columns { path, batch };
        columns.full_bytes::<32>("block_hash")?;
        columns.bytes::<32>("transaction")?;
        columns.bytes::<20>("address")?;
        for topic in TOPICS {
            columns.bytes::<32>(topic)?;
        }
        let bytes = |name| columns.get::<FixedSizeBinaryArray>(name).cloned();
        let [a, b, c, d] = TOPICS.map(bytes);
        let rows = Self {
            block: columns.full::<UInt64Array>("block")?.clone(),
            time: columns.full::<TimestampMicrosecondArray>("time")?.clone(),
            block_hash: bytes("block_hash")?,
            transaction: bytes("transaction")?,
            transaction_index: columns.get::<UInt32Array>("transaction_index")?.clone(),
            log_index: columns.get::<UInt32Array>("log_index")?.clone(),
            address: bytes("address")?,
            topics: [a?, b?, c?, d?],
            data: columns.get::<BinaryArray>("data")?.clone(),
        };
        if rows.time.values().iter().any(|time| *time < 0) {
            return Err(damaged(path, "a time before 1970"));
        }
        Ok(rows)
    }

    /// The same, where every row must be a log.
    ///
    /// # Errors
    /// As [`Rows::of_batch`], and where a row is none.
    pub(super) fn of_logs(path: &Path, batch: &RecordBatch) -> Result<Self> {
        let rows = Self::of_batch(path, batch)?;
        let own: [&dyn Array; 5] =
            [&rows.transaction, &rows.transaction_index, &rows.log_index, &rows.address, &rows.data];
        if own.iter().any(|column| column.null_count() != 0) {
            return Err(damaged(path, "a row is no log"));
        }
        Ok(rows)
    }

    /// Logs that lie elsewhere, as columns.
    pub(super) fn copied(path: &Path, logs: &Logs) -> Result<Self> {
        let mut columns = LogColumns::default();
        logs.iter().for_each(|log| columns.push(&log));
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns.take());
        Self::of_logs(path, &batch.expect("the columns fit the schema they were made for"))
    }

    /// How many there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.block.len()
    }

    /// Whether a row is a log; else it is a block.
    pub(super) fn is_log(&self, row: usize) -> bool {
        self.log_index.is_valid(row)
    }

    /// The place on the chain of a log.
    #[inline]
    pub(super) fn key(&self, row: usize) -> (u64, u32) {
        (self.block.value(row), self.log_index.value(row))
    }

    /// The hash of a log's block.
    #[inline]
    pub(super) fn block_hash(&self, row: usize) -> B256 {
        B256::new(cell(&self.block_hash, row))
    }

    /// A log, its topics put where they stand side by side.
    #[inline]
    pub(super) fn log<'a>(&'a self, row: usize, topics: &'a mut [B256; MAX_TOPICS]) -> Log<'a> {
        let mut count = 0;
        for (column, topic) in self.topics.iter().zip(topics.iter_mut()) {
            if column.is_null(row) {
                break;
            }
            *topic = B256::new(cell(column, row));
            count += 1;
        }
        Log {
            block: self.block.value(row),
            block_hash: self.block_hash(row),
            // Checked to be none before 1970.
            time: (self.time.value(row) / SECOND_US).unsigned_abs(),
            transaction: B256::new(cell(&self.transaction, row)),
            transaction_index: self.transaction_index.value(row),
            log_index: self.log_index.value(row),
            address: Address::new(cell(&self.address, row)),
            topics: &topics[..count],
            data: self.data.value(row),
        }
    }
}

/// A row of a column that was checked to have `N` bytes a row.
#[inline]
fn cell<const N: usize>(column: &FixedSizeBinaryArray, row: usize) -> [u8; N] {
    column.value_data().as_chunks::<N>().0[row]
}

/// Reads the rows of a batch that are logs behind those that `logs` holds. Rows without a log index are no logs.
pub(super) fn read_batch(path: &Path, batch: &RecordBatch, logs: &mut Logs) -> Result<()> {
    let rows = Rows::of_batch(path, batch)?;
    let mut topics = [B256::ZERO; MAX_TOPICS];
    for row in (0..rows.len()).filter(|row| rows.is_log(*row)) {
        logs.push(&rows.log(row, &mut topics));
    }
    Ok(())
}

/// A file of this table on its way into the archive, fed log by log; another thread encodes and compresses it.
#[derive(Debug)]
pub struct LogsFile {
    columns: LogColumns,
    /// `None` once the disk refused and its reason was asked for.
    file: Option<BackgroundFile>,
    folder: PathBuf,
    market: MarketName,
    chain: ChainId,
    filter: Filter,
    from: u64,
    /// The place and the block of the last log.
    last: Option<((u64, u32), B256)>,
    rows: u64,
}

impl LogsFile {
    /// Begins a file of a market's logs from a block on.
    ///
    /// # Errors
    /// The folder or file cannot be made.
    pub fn create(writer: &Writer, market: &MarketName, chain: ChainId, filter: &Filter, from: u64) -> Result<Self> {
        let folder = writer.archive().market_folder(market, Table::Logs);
        Ok(Self {
            columns: LogColumns::default(),
            file: Some(BackgroundFile::create(&folder, SCHEMA.clone(), properties())?),
            folder,
            market: market.clone(),
            chain,
            filter: filter.clone(),
            from,
            last: None,
            rows: 0,
        })
    }

    /// Appends the next log.
    ///
    /// # Errors
    /// It is not behind the last one, contradicts it about their block, or is none the filter asks for; or the disk refuses.
    pub fn push(&mut self, log: &Log<'_>) -> Result<()> {
        if self.last.map_or(log.block < self.from, |(last, _)| log.key() <= last) {
            return Err(unfit(format!("block {}: log {} comes out of order", log.block, log.log_index)));
        }
        if self.last.is_some_and(|((block, _), hash)| block == log.block && hash != log.block_hash) {
            return Err(unfit(format!("block {}: its logs do not agree on the block's hash", log.block)));
        }
        if log.topics.len() > MAX_TOPICS || !self.filter.takes(log) {
            let what = format!("block {}: log {} of {} was not asked for", log.block, log.log_index, log.address);
            return Err(unfit(what));
        }
        self.last = Some((log.key(), log.block_hash));
        self.rows += 1;
        self.columns.push(log);
        if self.columns.is_full() { self.flush() } else { Ok(()) }
    }

    /// Appends many.
    ///
    /// # Errors
    /// As [`LogsFile::push`].
    pub fn append(&mut self, logs: &Logs) -> Result<()> {
        logs.iter().try_for_each(|log| self.push(&log))
    }

    /// Logs appended so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Closes the file and gives it its name: it now says that it holds every log up to a block, whose hash is given. Where
    /// a file of the same blocks and filter exists, that one stays: what is equal is not kept twice, what differs gets a
    /// name beside it, so that nothing good is lost by being read again.
    ///
    /// # Errors
    /// The last log contradicts the end, or the disk refuses.
    pub fn publish(mut self, to: u64, end_hash: B256, mut notes: BTreeMap<String, String>) -> Result<PathBuf> {
        let fits = self.last.is_none_or(|((block, _), hash)| block < to || (block == to && hash == end_hash));
        if to < self.from || !fits {
            return Err(unfit(format!("the logs of blocks {} to {to} do not end where they were said to", self.from)));
        }
        self.flush()?;
        let complete = Some(Complete { end_hash, filter_hash: self.filter.hash() });
        let span = Span::Blocks { chain: self.chain, from: self.from, to, complete };
        notes.insert("market".to_owned(), self.market.to_string());
        notes.extend(filter_notes(&self.filter));
        let stem = format!("{}-{}", span.file_stem(), short(&self.filter.hash()));
        let footer = Footer { table: Table::Logs, standing: Standing::Observed, span, notes };
        let finished = self.written()?.finish(&footer)?;
        for number in 1_u32.. {
            let name = if number == 1 { format!("{stem}.parquet") } else { format!("{stem}-{number}.parquet") };
            let path = self.folder.join(&name);
            if !path.exists() {
                return finished.publish(&name);
            }
            let there = DataFile::open(path.clone());
            let here = DataFile::open(finished.path().to_owned())?;
            if there.is_ok_and(|there| holds_the_same(&there, &here)) {
                return Ok(path);
            }
        }
        unreachable!("there are fewer than 2^32 files in one folder")
    }

    fn flush(&mut self) -> Result<()> {
        let batch = RecordBatch::try_new(SCHEMA.clone(), self.columns.take());
        let batch = batch.expect("the columns fit the schema they were made for");
        if self.file.as_ref().is_some_and(|file| file.write(batch)) { Ok(()) } else { self.written().map(drop) }
    }

    /// Waits for the file to be written.
    fn written(&mut self) -> Result<PendingFile> {
        self.file.take().expect("a file is waited for once, at its end or at the disk's refusal").join()
    }
}

fn unfit(what: String) -> Error {
    let advice = "nothing of it was kept; read the range again, or from another endpoint".to_owned();
    Error::Unfit { what, advice }
}

/// Whether two files of the same blocks and filter hold the same logs.
fn holds_the_same(a: &DataFile, b: &DataFile) -> bool {
    let read = |file: &DataFile| LogReader::of_files(vec![file.clone()], 0);
    let (Ok(mut a_logs), Ok(mut b_logs)) = (read(a), read(b)) else {
        return false;
    };
    if a.footer.span != b.footer.span || a.rows() != b.rows() {
        return false;
    }
    loop {
        match (a_logs.next_log(), b_logs.next_log()) {
            (Ok(None), Ok(None)) => return true,
            (Ok(a), Ok(b)) if a == b => {}
            _ => return false,
        }
    }
}

const ADDRESSES: &str = "filter_addresses";
const TOPICS_NOTE: &str = "filter_topics";

/// Notes who says that a file holds every log of its blocks, where that is not the node that was asked for them.
pub const COVERAGE_NOTE: &str = "coverage";

/// Notes where logs come from, where that is no node.
pub const ORIGIN_NOTE: &str = "origin";

/// What to note of the time of a file's last block, in seconds since 1970: prices are of a moment, and no log need be in
/// that block.
#[must_use]
pub fn end_note(time: u64) -> BTreeMap<String, String> {
    BTreeMap::from([("end_time".to_owned(), time.to_string())])
}

/// The time of a file's last block in seconds since 1970, where it was noted.
#[must_use]
pub fn end_time(file: &DataFile) -> Option<u64> {
    file.footer.note("end_time")?.parse().ok()
}

/// The beginning of a hash, as in file names.
pub(super) fn short(hash: &B256) -> String {
    hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A filter as notes of a footer.
pub(super) fn filter_notes(filter: &Filter) -> [(String, String); 2] {
    let addresses: Vec<String> = filter.addresses.iter().map(|address| format!("{address:#x}")).collect();
    let topics: Vec<String> = filter.topics.iter().map(|topic| format!("{topic:#x}")).collect();
    [(ADDRESSES.to_owned(), addresses.join(",")), (TOPICS_NOTE.to_owned(), topics.join(","))]
}

/// The filter a file was read with.
///
/// # Errors
/// The file does not say it, or not the one whose hash it gives.
pub fn filter_of(file: &DataFile) -> Result<Filter> {
    fn list<T: std::str::FromStr + Ord>(text: &str) -> Option<BTreeSet<T>> {
        text.split(',').filter(|part| !part.is_empty()).map(|part| part.parse().ok()).collect()
    }
    let note = |name| file.footer.note(name);
    let filter = note(ADDRESSES)
        .and_then(list)
        .zip(note(TOPICS_NOTE).and_then(list))
        .map(|(addresses, topics)| Filter { addresses, topics });
    let hash = complete_of(file).map(|complete| complete.filter_hash);
    filter
        .filter(|filter| Some(filter.hash()) == hash)
        .ok_or_else(|| damaged(&file.path, "it does not say which logs were asked for"))
}

/// What a file claims about its blocks.
pub(super) fn complete_of(file: &DataFile) -> Option<Complete> {
    match file.footer.span {
        Span::Blocks { complete, .. } => complete,
        Span::Empty | Span::Times { .. } => None,
    }
}

/// How many logs some files hold up to a block, each counted once in however many files it is. Only where files may hold the same
/// logs, or reach beyond the block, are they looked into.
pub(super) fn count_to(files: Vec<DataFile>, to: u64) -> Result<u64> {
    let mut within = Vec::new();
    for file in files {
        if let Some((from, last)) = file.blocks().filter(|(from, _)| *from <= to) {
            within.push((from, last, filter_of(&file)?, file));
        }
    }
    within.sort_by_key(|(from, last, _, _)| (*from, *last));
    let mut shared = Ranges::default();
    let mut open: Vec<usize> = Vec::new();
    for (place, (from, last, filter, _)) in within.iter().enumerate() {
        open.retain(|other| within[*other].1 >= *from);
        for other in open.iter().map(|other| &within[*other]).filter(|other| filter.meets(&other.2)) {
            shared.add(*from, (*last).min(other.1).min(to));
        }
        if *last > to {
            shared.add(*from, to);
        }
        open.push(place);
    }
    let mut count = 0;
    for (_, last, _, file) in &within {
        let beyond = if *last > to { file.rows() } else { count_in(std::slice::from_ref(file), &shared)? };
        count += file.rows() - beyond;
    }
    let files: Vec<DataFile> = within.into_iter().map(|(_, _, _, file)| file).collect();
    Ok(count + count_in(&files, &shared)?)
}

/// How many logs some files hold of some blocks.
fn count_in(files: &[DataFile], blocks: &Ranges) -> Result<u64> {
    let mut count = 0;
    for (from, to) in blocks.iter() {
        let inside = |file: &&DataFile| file.blocks().is_some_and(|(first, last)| first <= to && from <= last);
        let mut logs = LogReader::of_files(files.iter().filter(inside).cloned().collect(), from)?;
        while logs.next_log()?.is_some_and(|log| log.block <= to) {
            count += 1;
        }
    }
    Ok(count)
}

/// Takes a file that was found wrong out of the archive, so that its blocks are missing and are read anew. Nothing is lost:
/// it stays in its folder under a name that nothing reads, which is returned.
///
/// # Errors
/// The archive cannot be written.
pub fn set_aside(_held: &Writer, file: &DataFile) -> Result<PathBuf> {
    super::publish::set_aside(&file.path)
}

#[cfg(test)]
pub(super) mod tests;
