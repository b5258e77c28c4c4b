//! The tail of a market: the blocks that are not final yet, with their hashes and their logs. One small file, rewritten whole.
//!
//! Blocks become final by [`Tail::promote`]: their logs go into a file of the table `logs`, then the tail is rewritten
//! without them. A process that dies in between leaves the same logs in both places, which [`super::LogReader`] takes once and the
//! next promotion clears away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array, UInt64Array};
use arrow_schema::{Schema, SchemaRef};
use protocol::B256;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::SECOND_US;

use super::cells::{self, Columns};
use super::footer::Complete;
use super::logs::{self, LogColumns, LogsFile};
use super::scan::damaged;
use super::{Archive, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};
use crate::log::{Filter, Log, Logs};

/// The file's name in the market's folder.
pub const FILE_NAME: &str = "tail.parquet";

/// The columns, in order: those of a log, and the parent's hash in rows that are a block. Each block has such a row, and
/// its logs follow it.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let mut fields = logs::fields(true);
    fields.push(cells::bytes("parent_hash", 32, true));
    Arc::new(Schema::new(fields))
});

/// A block of the tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the block before it.
    pub parent_hash: B256,
    /// When it was made, in seconds since 1970.
    pub time: u64,
}

/// The blocks after the last final one, each on top of the one before it, with their logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    chain: ChainId,
    filter: Filter,
    blocks: Vec<Block>,
    logs: Logs,
}

impl Tail {
    /// A tail of no blocks.
    #[must_use]
    pub fn new(chain: ChainId, filter: Filter) -> Self {
        Self { chain, filter, blocks: Vec::new(), logs: Logs::default() }
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.chain
    }

    /// What its logs were read with.
    #[must_use]
    pub fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Its blocks, in order, without a hole.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Its logs, in order.
    #[must_use]
    pub fn logs(&self) -> &Logs {
        &self.logs
    }

    /// The block of a number, if it is in the tail.
    #[must_use]
    pub fn block(&self, number: u64) -> Option<&Block> {
        let first = self.blocks.first()?.number;
        self.blocks.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// Says that from now on more is read. The blocks held keep the logs they have: read them again where the new
    /// addresses can have written logs in them.
    pub fn widen(&mut self, filter: Filter) {
        self.filter = filter;
    }

    /// Puts a block with its logs on top.
    ///
    /// # Errors
    /// It does not stand on the last block, or its logs are not all of it, in order and asked for. The tail is as before.
    pub fn push(&mut self, block: Block, logs: &Logs) -> Result<()> {
        if let Some(last) = self.blocks.last()
            && (last.number.checked_add(1) != Some(block.number) || last.hash != block.parent_hash)
        {
            let what = format!("block {} does not stand on block {} as it is known", block.number, last.number);
            return Err(unfit(what));
        }
        let mut last = None;
        for log in logs.iter() {
            let of_the_block = (log.block, log.block_hash, log.time) == (block.number, block.hash, block.time);
            if !of_the_block || last.is_some_and(|last| log.log_index <= last) || !self.filter.takes(&log) {
                let what = format!("block {}: log {} is out of order or none of its own", block.number, log.log_index);
                return Err(unfit(what));
            }
            last = Some(log.log_index);
        }
        self.blocks.push(block);
        self.logs.append(logs);
        Ok(())
    }

    /// Takes off every block after a number: what a reorganisation undid. Returns how many.
    pub fn rewind(&mut self, to: u64) -> usize {
        let kept = self.blocks.partition_point(|block| block.number <= to);
        self.keep(0, kept);
        let undone = self.blocks.len() - kept;
        self.blocks.truncate(kept);
        undone
    }

    /// Forgets every block up to a number: they are final and stand elsewhere.
    pub fn forget(&mut self, up_to: u64) {
        let gone = self.blocks.partition_point(|block| block.number <= up_to);
        self.keep(gone, self.blocks.len());
        self.blocks.drain(..gone);
    }

    /// Keeps the logs of some blocks, given by their places.
    fn keep(&mut self, begin: usize, end: usize) {
        let kept = self.blocks.get(begin..end).unwrap_or_default();
        let range = kept.first().zip(kept.last()).map(|(first, last)| first.number..=last.number);
        let mut logs = Logs::default();
        for log in self.logs.iter().filter(|log| range.as_ref().is_some_and(|range| range.contains(&log.block))) {
            logs.push(&log);
        }
        self.logs = logs;
    }

    /// Writes the tail, replacing the one on file in one step.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn save(&self, writer: &Writer, market: &MarketName) -> Result<PathBuf> {
        let folder = writer.archive().market_folder(market, Table::Head);
        let mut file = PendingFile::create(&folder, SCHEMA.clone(), cells::compressed(131_072).build())?;
        let mut logs = self.logs.iter().peekable();
        for blocks in self.blocks.chunks(1_024) {
            let (mut columns, mut parents) = (LogColumns::default(), FixedSizeBinaryBuilder::new(32));
            for block in blocks {
                columns.push_block(block.number, block.time, &block.hash);
                parents.append_value(block.parent_hash).expect("a hash has 32 bytes");
                while let Some(log) = logs.next_if(|log| log.block == block.number) {
                    columns.push(&log);
                    parents.append_null();
                }
            }
            let mut columns: Vec<ArrayRef> = columns.take();
            columns.push(Arc::new(parents.finish()));
            let batch = RecordBatch::try_new(SCHEMA.clone(), columns);
            file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
        }
        let mut notes = BTreeMap::from([("market".to_owned(), market.to_string())]);
        notes.extend(logs::filter_notes(&self.filter));
        let (from, to, end_hash) = match (self.blocks.first(), self.blocks.last()) {
            (Some(first), Some(last)) => (first.number, last.number, last.hash),
            _ => (0, 0, B256::ZERO),
        };
        let complete = Some(Complete { end_hash, filter_hash: self.filter.hash() });
        let span = Span::Blocks { chain: self.chain, from, to, complete };
        file.publish(&Footer { table: Table::Head, standing: Standing::Observed, span, notes }, FILE_NAME)
    }

    /// The tail on file, if there is one, checked: every block stands on the one before it, and every log is of its block.
    ///
    /// # Errors
    /// The file is damaged or of a later layout.
    pub fn load(archive: &Archive, market: &MarketName) -> Result<Option<Self>> {
        let Some(file) =
            archive.market_files(market, Table::Head)?.into_iter().find(|file| file.path.ends_with(FILE_NAME))
        else {
            return Ok(None);
        };
        let Span::Blocks { chain, .. } = file.footer.span else {
            return Ok(None);
        };
        let mut tail = Self::new(chain, logs::filter_of(&file)?);
        let mut logs = Logs::default();
        let mut blocks = Vec::new();
        for chunk in Scan::of_all().chunks(std::slice::from_ref(&file)) {
            for batch in chunk.read()? {
                let batch = batch?;
                logs::read_batch(&file.path, &batch, &mut logs)?;
                read_blocks(Columns { path: &file.path, batch: &batch }, &mut blocks)?;
            }
        }
        let mut rest = logs.iter().peekable();
        for block in blocks {
            let mut own = Logs::default();
            while let Some(log) = rest.next_if(|log| log.block == block.number) {
                own.push(&log);
            }
            tail.push(block, &own).map_err(|cause| damaged(&file.path, cause))?;
        }
        if let Some(log) = rest.next() {
            return Err(damaged(&file.path, format!("it has logs of block {} and not the block", log.block)));
        }
        let end = tail.blocks.last().map_or(B256::ZERO, |block| block.hash);
        if logs::complete_of(&file).map(|complete| complete.end_hash) != Some(end) {
            return Err(damaged(&file.path, "it does not end where it says"));
        }
        Ok(Some(tail))
    }

    /// Moves the blocks up to a final one into a file of logs, then rewrites the tail without them. Returns the file, if
    /// there was anything to move.
    ///
    /// # Errors
    /// The archive cannot be written. The tail on file then still holds what is in no file of logs.
    pub fn promote(&mut self, writer: &Writer, market: &MarketName, up_to: u64) -> Result<Option<PathBuf>> {
        let path = self.publish_final(writer, market, up_to)?;
        if path.is_some() {
            self.forget(up_to);
            self.save(writer, market)?;
        }
        Ok(path)
    }

    /// The first half of [`Tail::promote`].
    fn publish_final(&self, writer: &Writer, market: &MarketName, up_to: u64) -> Result<Option<PathBuf>> {
        let (Some(first), Some(last)) =
            (self.blocks.first(), self.blocks.iter().rev().find(|block| block.number <= up_to))
        else {
            return Ok(None);
        };
        let mut file = LogsFile::create(writer, market, self.chain, &self.filter, first.number)?;
        let moved = |log: &Log<'_>| log.block <= last.number;
        self.logs.iter().take_while(moved).try_for_each(|log| file.push(&log))?;
        file.publish(last.number, last.hash, logs::end_note(last.time)).map(Some)
    }
}

/// Reads the rows that are blocks.
fn read_blocks(columns: Columns<'_>, blocks: &mut Vec<Block>) -> Result<()> {
    let number = columns.full::<UInt64Array>("block")?;
    let time = columns.full::<TimestampMicrosecondArray>("time")?;
    let hash = columns.full_bytes::<32>("block_hash")?;
    let log_index = columns.get::<UInt32Array>("log_index")?;
    let (has_parent, parent) = columns.bytes::<32>("parent_hash")?;
    for row in (0..columns.batch.num_rows()).filter(|row| log_index.is_null(*row)) {
        if has_parent.is_null(row) {
            return Err(damaged(columns.path, "a block without a parent"));
        }
        blocks.push(Block {
            number: number.value(row),
            hash: B256::new(hash[row]),
            parent_hash: B256::new(parent[row]),
            time: u64::try_from(time.value(row) / SECOND_US)
                .map_err(|_| damaged(columns.path, "a time before 1970"))?,
        });
    }
    Ok(())
}

fn unfit(what: String) -> Error {
    Error::Unfit { what, advice: "ask again, from another endpoint if it goes on; nothing of it was kept".to_owned() }
}

#[cfg(test)]
mod tests;
