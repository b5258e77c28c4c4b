//! Other people's logs: files as `cryo` writes them, one row per log, read from start to end in bounded memory.
//!
//! Such a file has `block_number`, `transaction_index`, `log_index`, `transaction_hash`, `address`, `topic0` to `topic3`, `data`
//! and `chain_id`, as bytes or as hex with `0x`. It has no times, and the hash of a block only where that was asked for; so what
//! is read here is [`Unstamped`] until somebody brings the headers of its blocks.
//!
//! Which blocks a file covers stands nowhere but in its name (`ethereum__logs__18000000_to_18000999.parquet`, both ends
//! included), and which filter it was written with stands nowhere at all. Both are hearsay: a file written from a list of blocks
//! has the same kind of name as one of a range, and rows that a filter of its writer's left out look like rows that never were.
//! What is read from such files is complete only once a proof says so ([`crate::proof`]).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use alloy_primitives::hex;
use protocol::chain::ChainId;
use protocol::{Address, B256};

use super::cell::Cell;
use super::input::{Flow, Input, Row};
use crate::error::{Error, Result};
use crate::log::{Log, Logs, MAX_TOPICS};
use crate::rpc::{Filter, Header};

/// How many logs, and how many rejected rows, are handed over at once.
const BATCH: usize = 16_384;
/// How many bytes of event data are handed over at once, roughly.
const BATCH_BYTES: usize = 32 << 20;

/// A file of logs that can be read: opened, its columns found.
#[derive(Debug)]
pub struct LogFile {
    input: Input,
    columns: Columns,
    claim: Claim,
}

/// Which blocks a file is said to cover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The blocks.
    pub blocks: RangeInclusive<u64>,
    /// The chain that the file's name names, if it is one that is known.
    pub chain: Option<ChainId>,
    /// Who says so.
    pub basis: Basis,
}

/// Who says which blocks a file covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Its name.
    FileName,
    /// The user.
    Stated,
}

/// Some of a file's rows.
#[derive(Debug, Default)]
pub struct Batch {
    /// Logs that the filter takes.
    pub logs: Unstamped,
    /// Rows that are no logs of the file's chain and blocks.
    pub rejects: Vec<Reject>,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Its number in the file, from 1.
    pub row: u64,
    /// The kind of reason, for counting.
    pub reason: &'static str,
    /// The whole reason.
    pub detail: String,
    /// The row as it stood.
    pub shown: String,
}

/// What became of a file's rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// All rows.
    pub rows: u64,
    /// Logs that were taken.
    pub taken: u64,
    /// Logs that the filter does not take. None at all: the file was written with a filter, which may be narrower than ours.
    pub passed_over: u64,
    /// Those of them that are no event the market is read for. None at all: the file was written for some events alone.
    pub other_events: u64,
    /// Rows that repeat the row before, word for word.
    pub repeated: u64,
    /// Rows that were rejected.
    pub rejected: u64,
}

/// Logs in the chain's order, of whose blocks neither time nor (mostly) hash is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unstamped {
    /// With a time of zero, and a hash of zero where the file has none.
    logs: Logs,
}

impl Unstamped {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// The logs as the file has them: their times are zero, and so are their blocks' hashes where the file has none.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Log<'_>> + ExactSizeIterator {
        self.logs.iter()
    }

    /// The blocks whose headers are needed, each once, in order.
    #[must_use]
    pub fn blocks(&self) -> Vec<u64> {
        let mut blocks: Vec<u64> = self.logs.iter().map(|log| log.block).collect();
        blocks.dedup();
        blocks
    }

    /// The logs with the hashes and times of their blocks.
    ///
    /// # Errors
    /// A header is missing; or the file has another hash for a block: it was written before a reorg, or of another chain.
    pub fn stamp(self, headers: &[Header]) -> Result<Logs> {
        let headers: BTreeMap<u64, &Header> = headers.iter().map(|header| (header.number, header)).collect();
        let mut stamped = Logs::default();
        for log in self.logs.iter() {
            let header = headers.get(&log.block).ok_or_else(|| Error::Unfit {
                what: format!("block {} has logs in the file and no header", log.block),
                advice: "ask for the headers of all its blocks".to_owned(),
            })?;
            if !log.block_hash.is_zero() && log.block_hash != header.hash {
                return Err(Error::Unfit {
                    what: format!(
                        "block {} is {} in the file and {} on the chain",
                        log.block, log.block_hash, header.hash
                    ),
                    advice: "the file was written before a reorg or of another chain: have it written anew".to_owned(),
                });
            }
            stamped.push(&Log { block_hash: header.hash, time: header.time, ..log });
        }
        Ok(stamped)
    }
}

/// Opens a file of logs. The blocks it covers are those stated, else those of its name.
///
/// # Errors
/// The file cannot be read, has not the columns of logs, or nobody says which blocks it covers.
pub fn open(path: &Path, stated: Option<RangeInclusive<u64>>) -> Result<LogFile> {
    let input = Input::open(path)?;
    let columns = Columns::find(&input)?;
    let named = Claim::of_name(path);
    let claim = match (stated, named) {
        (Some(blocks), named) => Claim { blocks, chain: named.and_then(|named| named.chain), basis: Basis::Stated },
        (None, Some(named)) => named,
        (None, None) => {
            return Err(Error::Unfit {
                what: format!("{}: its name does not say which blocks it covers", path.display()),
                advice:
                    "say it, or keep the name that cryo gave it, such as ethereum__logs__18000000_to_18000999.parquet"
                        .to_owned(),
            });
        }
    };
    if claim.blocks.is_empty() {
        return Err(Error::Unfit {
            what: format!("{}: blocks {} to {} are none", path.display(), claim.blocks.start(), claim.blocks.end()),
            advice: "name the first block first".to_owned(),
        });
    }
    Ok(LogFile { input, columns, claim })
}

impl Claim {
    fn of_name(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
        let parts: Vec<&str> = stem.split("__").collect();
        let (chain, range) = (parts.first()?, parts.last()?);
        if parts.len() < 3 || !parts.contains(&"logs") {
            return None;
        }
        let (from, to) = range.split_once("_to_")?;
        let chain = ChainId::from_name(chain.strip_prefix("network_").unwrap_or(chain));
        Some(Self { blocks: from.parse().ok()?..=to.parse().ok()?, chain, basis: Basis::FileName })
    }
}

impl LogFile {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.input.path()
    }

    /// Which blocks it is said to cover.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Reads it through and hands over, batch by batch and in the chain's order, the logs that a filter takes.
    ///
    /// # Errors
    /// The file cannot be read on, is of another chain, is not in the chain's order, or the receiver fails.
    pub fn read(
        &self,
        chain: ChainId,
        filter: &Filter,
        receiver: &mut dyn FnMut(Batch) -> Result<()>,
    ) -> Result<Summary> {
        if let Some(named) = self.claim.chain
            && named != chain
        {
            return Err(self.bad(format!("is of {named} by its name, not of {chain}"), "name the market of its chain"));
        }
        let mut reading = Reading {
            file: self,
            chain,
            filter,
            batch: Batch::default(),
            bytes: 0,
            summary: Summary::default(),
            events: crate::decode::topics(),
            last: None,
        };
        self.input.visit(&mut |number, row, _| {
            reading.row(number, row)?;
            if reading.is_full() {
                reading.bytes = 0;
                receiver(std::mem::take(&mut reading.batch))?;
            }
            Ok(Flow::Continue)
        })?;
        if !reading.batch.logs.is_empty() || !reading.batch.rejects.is_empty() {
            receiver(std::mem::take(&mut reading.batch))?;
        }
        Ok(reading.summary)
    }

    fn bad(&self, what: String, advice: &'static str) -> Error {
        Error::BadFile { path: PathBuf::from(self.path()), what, advice }
    }
}

/// Where each field stands.
#[derive(Debug)]
struct Columns {
    block: usize,
    transaction_index: usize,
    log_index: usize,
    transaction: usize,
    address: usize,
    topics: [usize; MAX_TOPICS],
    data: usize,
    chain: Option<usize>,
    block_hash: Option<usize>,
}

impl Columns {
    fn find(input: &Input) -> Result<Self> {
        let place = |name: &str| input.columns().iter().position(|column| column == name);
        let needed = |name: &str| {
            place(name).ok_or_else(|| Error::BadFile {
                path: input.path().to_owned(),
                what: format!("has no column {name}, and logs need it"),
                advice: "have cryo write its default columns for logs",
            })
        };
        Ok(Self {
            block: needed("block_number")?,
            transaction_index: needed("transaction_index")?,
            log_index: needed("log_index")?,
            transaction: needed("transaction_hash")?,
            address: needed("address")?,
            topics: [needed("topic0")?, needed("topic1")?, needed("topic2")?, needed("topic3")?],
            data: needed("data")?,
            chain: place("chain_id"),
            block_hash: place("block_hash"),
        })
    }
}

/// One pass over a file.
struct Reading<'a> {
    file: &'a LogFile,
    chain: ChainId,
    filter: &'a Filter,
    batch: Batch,
    bytes: usize,
    summary: Summary,
    /// The events a market is read for.
    events: BTreeSet<B256>,
    /// The last log taken, with its data, to tell repetition from contradiction.
    last: Option<Logs>,
}

/// Why a row is not taken: the kind of reason, and all of it.
type Refusal = (&'static str, String);

impl Reading<'_> {
    fn is_full(&self) -> bool {
        self.batch.logs.len() >= BATCH || self.batch.rejects.len() >= BATCH || self.bytes >= BATCH_BYTES
    }

    fn row(&mut self, number: u64, row: &Row<'_>) -> Result<()> {
        self.summary.rows += 1;
        match self.convert(row) {
            Ok(None) => {
                self.summary.passed_over += 1;
                let topics = topics(row, &self.file.columns.topics).unwrap_or_default();
                let is_ours = topics.first().is_some_and(|topic| self.events.contains(topic));
                self.summary.other_events += u64::from(!is_ours);
            }
            Ok(Some(one)) => self.take(number, row, one)?,
            Err(refusal) => self.reject(number, row, refusal),
        }
        Ok(())
    }

    fn take(&mut self, number: u64, row: &Row<'_>, one: Logs) -> Result<()> {
        let Some(log) = one.get(0) else { return Ok(()) };
        let last = self.last.as_ref().and_then(|last| last.get(0));
        if let Some(last) = last {
            let (here, before) = ((log.block, log.log_index), (last.block, last.log_index));
            if here < before {
                let what = format!("is not in the chain's order: row {number} belongs before the row before");
                return Err(self.file.bad(what, "sort it by block_number and log_index, as cryo does"));
            }
            if here == before && log == last {
                self.summary.repeated += 1;
                return Ok(());
            }
            if here == before {
                let detail = format!("block {} has another log {} already", log.block, log.log_index);
                self.reject(number, row, ("contradicts another row", detail));
                return Ok(());
            }
        }
        self.bytes += log.data.len();
        self.batch.logs.logs.push(&log);
        self.summary.taken += 1;
        self.last = Some(one);
        Ok(())
    }

    fn reject(&mut self, number: u64, row: &Row<'_>, (reason, detail): Refusal) {
        let shown: String = row.text(self.file.input.columns()).chars().take(1_000).collect();
        self.bytes += shown.len() + detail.len();
        self.batch.rejects.push(Reject { row: number, reason, detail, shown });
        self.summary.rejected += 1;
    }

    /// One log, or none where the filter does not take it.
    fn convert(&self, row: &Row<'_>) -> std::result::Result<Option<Logs>, Refusal> {
        if let Row::Broken(why, _) = row {
            return Err(("no row", (*why).to_owned()));
        }
        let columns = &self.file.columns;
        let address: Address = fixed::<20>(row, columns.address, "address")?.ok_or_else(|| lacks("address"))?.into();
        let topics = topics(row, &columns.topics)?;
        let no_data = Log {
            block: number(row, columns.block, "block_number")?,
            block_hash: B256::ZERO,
            time: 0,
            transaction: B256::ZERO,
            transaction_index: 0,
            log_index: 0,
            address,
            topics: &topics,
            data: &[],
        };
        if !self.filter.takes(&no_data) {
            return Ok(None);
        }
        if !self.file.claim.blocks.contains(&no_data.block) {
            let (from, to) = (self.file.claim.blocks.start(), self.file.claim.blocks.end());
            let detail = format!("block {} is outside {from} to {to}, which the file covers", no_data.block);
            return Err(("outside the file's blocks", detail));
        }
        if let Some(column) = columns.chain {
            let stated: u64 = number(row, column, "chain_id")?;
            if stated != self.chain.0 {
                return Err(("another chain", format!("chain_id is {stated}, not {}", self.chain.0)));
            }
        }
        let hash = columns.block_hash.map_or(Ok(None), |column| fixed::<32>(row, column, "block_hash"))?;
        let transaction = fixed::<32>(row, columns.transaction, "transaction_hash")?;
        let data = bytes(&row.cell(columns.data), "data")?.ok_or_else(|| lacks("data"))?;
        let mut one = Logs::default();
        one.push(&Log {
            block_hash: hash.map_or(B256::ZERO, B256::from),
            transaction: transaction.ok_or_else(|| lacks("transaction_hash"))?.into(),
            transaction_index: number(row, columns.transaction_index, "transaction_index")?,
            log_index: number(row, columns.log_index, "log_index")?,
            data: &data,
            ..no_data
        });
        Ok(Some(one))
    }
}

/// The topics, of which those that are not there are the last.
fn topics(row: &Row<'_>, columns: &[usize; MAX_TOPICS]) -> std::result::Result<Vec<B256>, Refusal> {
    let mut topics = Vec::with_capacity(MAX_TOPICS);
    let mut ended = false;
    for column in columns {
        match fixed::<32>(row, *column, "topic")? {
            Some(_) if ended => return Err(("not a log", "a topic follows one that is not there".to_owned())),
            Some(topic) => topics.push(topic.into()),
            None => ended = true,
        }
    }
    Ok(topics)
}

fn number<T: TryFrom<i128>>(row: &Row<'_>, column: usize, name: &str) -> std::result::Result<T, Refusal> {
    let cell = row.cell(column);
    let whole = match &cell {
        Cell::Integer(whole) => Some(*whole),
        Cell::Text(text) => text.parse().ok(),
        Cell::Null => return Err(lacks(name)),
        Cell::Float(_) | Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => None,
    };
    whole.and_then(|whole| T::try_from(whole).ok()).ok_or_else(|| cannot_be(name, &cell))
}

fn fixed<const N: usize>(row: &Row<'_>, column: usize, name: &str) -> std::result::Result<Option<[u8; N]>, Refusal> {
    let cell = row.cell(column);
    match bytes(&cell, name)? {
        None => Ok(None),
        Some(bytes) => <[u8; N]>::try_from(bytes.as_slice()).map(Some).map_err(|_| cannot_be(name, &cell)),
    }
}

fn bytes(cell: &Cell<'_>, name: &str) -> std::result::Result<Option<Vec<u8>>, Refusal> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Bytes(bytes) => Ok(Some(bytes.to_vec())),
        Cell::Text(text) => {
            let decoded = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
            decoded.map(Some).ok_or_else(|| cannot_be(name, cell))
        }
        Cell::Integer(_) | Cell::Float(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => {
            Err(cannot_be(name, cell))
        }
    }
}

fn lacks(name: &str) -> Refusal {
    ("not a log", format!("{name} is not there"))
}

fn cannot_be(name: &str, cell: &Cell<'_>) -> Refusal {
    let shown: String = cell.shown().unwrap_or_default().chars().filter(|c| !c.is_control()).take(80).collect();
    ("not a log", format!("{name} cannot be \"{shown}\""))
}

#[cfg(test)]
mod tests;
