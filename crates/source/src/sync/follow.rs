//! The blocks after the last final one: kept as they come, undone as the chain changes its mind.

use std::collections::BTreeMap;

use protocol::B256;

use super::Syncer;
use crate::archive::head::Block;
use crate::log::Logs;
use crate::rpc::Header;
use crate::{Error, Result};

/// The most blocks taken in one step; the next step goes on.
const MOST_BLOCKS: u64 = 256;

/// What one step at the head of the chain changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeadChange {
    /// The block down to which a reorganisation undid the tail: it and those below stand.
    pub undone_to: Option<u64>,
    /// How many blocks were undone.
    pub undone: usize,
    /// The blocks that are new.
    pub added: Vec<Block>,
    /// Logs in them.
    pub logs: u64,
    /// Blocks that became final and were given with other logs when they were read a second time: they left the tail and
    /// are in no file, so that they are missing and read anew.
    pub doubted: Option<(u64, u64)>,
}

impl HeadChange {
    /// Whether nothing happened.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.undone == 0 && self.added.is_empty() && self.doubted.is_none()
    }
}

impl Syncer<'_> {
    /// Takes the chain as it is up to a block that is not final, `final_block` being the last that is, up to which
    /// everything must have been [backfilled](Syncer::backfill) or be in the tail. Blocks that are final leave the tail.
    ///
    /// A chain that changes while it is read gives a transient error, and the tail is as it was.
    ///
    /// # Errors
    /// No endpoint answers as it should, the chain changes while it is read, or the disk refuses.
    pub async fn follow(&mut self, latest: u64, final_block: &Header) -> Result<HeadChange> {
        let mut change = HeadChange::default();
        self.rewind(latest, final_block, &mut change).await?;
        change.doubted = self.promote(final_block).await?;
        let first = self.tail.blocks().last().map_or(final_block.number, |block| block.number).saturating_add(1);
        let last = latest.min(first.saturating_add(MOST_BLOCKS - 1));
        if first <= last {
            self.extend(first, last, final_block, &mut change).await?;
        }
        // Contracts that these blocks name are watched from the block that names them, so the tail is read again whole.
        if self.tail.filter() != &self.watch.filter() {
            let undone = self.tail.rewind(final_block.number);
            self.tail.widen(self.watch.filter());
            let again = last.min(final_block.number.saturating_add(MOST_BLOCKS));
            let mut reread = HeadChange::default();
            self.extend(final_block.number.saturating_add(1), again, final_block, &mut reread).await?;
            let (undone, doubted) = (change.undone + undone, change.doubted);
            change = HeadChange { undone_to: Some(final_block.number), undone, doubted, ..reread };
        }
        if !change.is_nothing() {
            self.tail.save(self.writer, &self.market)?;
        }
        Ok(change)
    }

    /// Takes off the blocks that the chain no longer has.
    async fn rewind(&mut self, latest: u64, final_block: &Header, change: &mut HeadChange) -> Result<()> {
        while let Some(top) = self.tail.blocks().last().copied() {
            if top.number < final_block.number {
                // The tail ends below what is final: it can only be read again from files.
                break;
            }
            let is_there = if top.number > latest {
                false
            } else if top.number == final_block.number {
                final_block.hash == top.hash
            } else {
                self.client.header(top.number).await?.is_some_and(|header| header.hash == top.hash)
            };
            if is_there {
                break;
            }
            let to = top.number.saturating_sub(1);
            change.undone += self.tail.rewind(to);
            change.undone_to = Some(to);
        }
        Ok(())
    }

    /// Moves what is final into files. The final block's hash is the proof that these are its blocks: each stands on the one
    /// before. That none of their logs was left out when they were new is shown by reading them once more. Returns the
    /// blocks that were given otherwise.
    async fn promote(&mut self, final_block: &Header) -> Result<Option<(u64, u64)>> {
        let Some(first) = self.tail.blocks().first().map(|block| block.number) else {
            return Ok(None);
        };
        let Some(held) = self.tail.block(final_block.number) else {
            if self.tail.blocks().last().is_some_and(|top| top.number < final_block.number) {
                // Everything in it is final by now and was never tied to a final block: it is read again.
                self.tail.rewind(0);
                self.tail.save(self.writer, &self.market)?;
            }
            return Ok(None);
        };
        if held.hash != final_block.hash {
            return Ok(None);
        }
        let again = self.client.logs(self.tail.filter(), first, final_block.number).await?;
        if !again.iter().eq(self.tail.logs().iter().take_while(|log| log.block <= final_block.number)) {
            self.tail.rewind(0);
            self.tail.save(self.writer, &self.market)?;
            return Ok(Some((first, final_block.number)));
        }
        let filter = self.tail.filter().clone();
        if self.tail.promote(self.writer, &self.market, final_block.number)?.is_some() {
            self.coverage.add(&filter, first, final_block.number, final_block.hash);
        }
        Ok(None)
    }

    /// What an error comes to where a chain that became shorter explains it: a block that it had a moment ago it had not when
    /// it was asked, and it may have it again by now.
    async fn moved_or(&self, error: Error, last: u64) -> Result<Error> {
        let is_explained = matches!(error, Error::Node { .. })
            && (self.client.header(last).await?.is_some() || self.client.tip().await?.latest.number < last);
        Ok(if is_explained { moved(last) } else { error })
    }

    /// Puts blocks `first` to `last` on top of the tail.
    async fn extend(&mut self, first: u64, last: u64, final_block: &Header, change: &mut HeadChange) -> Result<()> {
        let numbers: Vec<u64> = (first..=last).collect();
        let headers = match self.client.headers(&numbers).await {
            Ok(headers) => headers,
            Err(error) => return Err(self.moved_or(error, last).await?),
        };
        let mut below: B256 = self.tail.blocks().last().map_or(final_block.hash, |block| block.hash);
        for header in &headers {
            if header.parent_hash != below {
                return Err(moved(header.number));
            }
            below = header.hash;
        }
        let logs = match self.client.logs(self.tail.filter(), first, last).await {
            Ok(logs) => logs,
            Err(error) => return Err(self.moved_or(error, last).await?),
        };
        // Were the blocks exchanged between the two questions, the last one's hash has changed.
        if self.client.header(last).await?.map(|header| header.hash) != Some(below) {
            return Err(moved(last));
        }
        let mut by_block: BTreeMap<u64, Logs> = BTreeMap::new();
        for log in logs.iter() {
            by_block.entry(log.block).or_default().push(&log);
        }
        let known: BTreeMap<u64, B256> = headers.iter().map(|header| (header.number, header.hash)).collect();
        if let Some(stray) = logs.iter().find(|log| known.get(&log.block) != Some(&log.block_hash)) {
            return Err(moved(stray.block));
        }
        for header in &headers {
            let block =
                Block { number: header.number, hash: header.hash, parent_hash: header.parent_hash, time: header.time };
            let own = by_block.remove(&header.number).unwrap_or_default();
            self.tail.push(block, &own)?;
            own.iter().for_each(|log| {
                self.watch.observe(&log);
            });
            change.logs += own.len() as u64;
            change.added.push(block);
        }
        Ok(())
    }
}

/// The chain was reorganised between two questions: the same again finds it as it is now.
fn moved(block: u64) -> Error {
    Error::Moved { block }
}
