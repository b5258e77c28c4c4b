//! Many files of logs read as one chain: a merge that holds a batch of each file it is inside of, and no more.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use protocol::B256;

use super::{Rows, complete_of};
use crate::archive::head::Tail;
use crate::archive::scan::damaged;
use crate::archive::{Archive, Chunk, DataFile, MarketName, Scan, Span, Table};
use crate::error::{Error, Result};
use crate::log::{Log, Logs, MAX_TOPICS};

/// Rows decoded at a time: few enough that they and what is folded from them stay in the cache next to the processor, and
/// that hundreds of overlapping files stay small.
const BATCH_ROWS: usize = 1_024;

/// A market's logs in the chain's order, from a block on.
pub struct LogReader {
    /// Files not begun yet, by their first block.
    waiting: VecDeque<Cursor>,
    /// Files being read, each with at least one log ahead.
    open: Vec<Cursor>,
    /// Which of them is read.
    current: usize,
    /// How far it is read before another file has its say: a row of what it has at hand.
    bound: usize,
    /// The last log's block, its hash, and the file that told it.
    seen: Option<(u64, B256, usize)>,
    /// The ends of files from the present block on: block, hash, file.
    ends: VecDeque<(u64, B256, usize)>,
    /// Where the files are, for messages.
    paths: Vec<PathBuf>,
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("paths", &self.paths).field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// A file being read.
struct Cursor {
    /// Its place among the paths.
    file: usize,
    /// The blocks it says it holds.
    from: u64,
    to: u64,
    /// What is still to be read of it.
    chunks: VecDeque<Chunk>,
    batches: Option<Box<dyn Iterator<Item = Result<RecordBatch>> + Send>>,
    /// What was read of it last, and how much of that was handed out.
    rows: Option<Rows>,
    next: usize,
    last: Option<(u64, u32)>,
    /// The first block asked for.
    since: u64,
    /// The topics of the log that was handed out last.
    topics: [B256; MAX_TOPICS],
}

impl LogReader {
    /// The finished logs of a market from a block on, and behind them those of the tail, if it is given.
    ///
    /// # Errors
    /// A file is unreadable, or two files end at the same block with different hashes.
    pub fn open(archive: &Archive, market: &MarketName, from: u64, tail: Option<&Tail>) -> Result<Self> {
        let mut reader = Self::of_files(archive.market_files_from(market, Table::Logs, from)?, from)?;
        if let Some(tail) = tail
            && let Some((first, last)) = tail.blocks().first().zip(tail.blocks().last())
        {
            let path = archive.market_folder(market, Table::Head).join(super::super::head::FILE_NAME);
            let cursor = Cursor {
                next: tail.logs().iter().take_while(|log| log.block < from).count(),
                rows: Some(Rows::copied(&path, tail.logs())?),
                ..Cursor::new(reader.paths.len(), (first.number, last.number), VecDeque::new(), from)
            };
            for block in tail.blocks() {
                let known = reader.ends.iter().find(|(end, hash, _)| *end == block.number && *hash != block.hash);
                if let Some((_, _, file)) = known {
                    let what = format!("knows block {} by another hash than", block.number);
                    return Err(contradiction(&what, &path, &reader.paths[*file]));
                }
            }
            reader.paths.push(path);
            let place = reader.waiting.partition_point(|other| other.from <= cursor.from);
            reader.waiting.insert(place, cursor);
        }
        Ok(reader)
    }

    /// The logs of some files, all of one market and chain, from a block on.
    ///
    /// # Errors
    /// They are of different chains, or two end at the same block with different hashes.
    pub fn of_files(mut files: Vec<DataFile>, from: u64) -> Result<Self> {
        files.retain(|file| file.blocks().is_some_and(|(_, to)| from <= to));
        files.sort_by_key(DataFile::blocks);
        let chain = |file: &DataFile| match file.footer.span {
            Span::Blocks { chain, .. } => Some(chain),
            Span::Empty | Span::Times { .. } => None,
        };
        if let Some(pair) = files.windows(2).find(|pair| chain(&pair[0]) != chain(&pair[1])) {
            return Err(contradiction("is of another chain than", &pair[1].path, &pair[0].path));
        }
        let paths: Vec<PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let mut ends: Vec<_> = files
            .iter()
            .enumerate()
            .filter_map(|(file, data)| Some((data.blocks()?.1, complete_of(data)?.end_hash, file)))
            .collect();
        ends.sort_unstable();
        if let Some(pair) = ends.windows(2).find(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
            let what = format!("knows block {} by another hash than", pair[0].0);
            return Err(contradiction(&what, &paths[pair[1].2], &paths[pair[0].2]));
        }
        let scan = Scan::of_all().of_blocks(from, u64::MAX).in_batches_of(BATCH_ROWS);
        let waiting = files.iter().enumerate().filter_map(|(file, data)| {
            let chunks = scan.chunks(std::slice::from_ref(data)).into();
            Some(Cursor::new(file, data.blocks()?, chunks, from))
        });
        let waiting = waiting.collect();
        Ok(Self { waiting, open: Vec::new(), current: 0, bound: 0, seen: None, ends: ends.into(), paths })
    }

    /// The next log; `None` at the end.
    ///
    /// # Errors
    /// A file is damaged or says of itself what is not so; or two files contradict each other, then both are named.
    pub fn next_log(&mut self) -> Result<Option<Log<'_>>> {
        if self.open.get(self.current).is_none_or(|cursor| cursor.next >= self.bound) && !self.choose()? {
            return Ok(None);
        }
        let Some((file, (block, _), hash)) = self.open.get(self.current).and_then(Cursor::head) else {
            return Ok(None);
        };
        self.check_history(file, block, hash)?;
        let cursor = &mut self.open[self.current];
        cursor.next += 1;
        Ok(cursor.rows.as_ref().map(|rows| rows.log(cursor.next - 1, &mut cursor.topics)))
    }

    /// Adds the logs of whole blocks behind those that `logs` holds, until there are at least as many as asked for or no
    /// more to read. Returns whether there may be more.
    ///
    /// # Errors
    /// As [`LogReader::next_log`].
    pub fn read_blocks(&mut self, logs: &mut Logs, at_least: usize) -> Result<bool> {
        let mut taken = 0;
        loop {
            if taken >= at_least
                && let Some((last, _, _)) = self.seen
                && self.peek()?.is_none_or(|next| next > last)
            {
                return Ok(true);
            }
            match self.next_log()? {
                Some(log) => logs.push(&log),
                None => return Ok(false),
            }
            taken += 1;
        }
    }

    /// The block of the next log.
    fn peek(&mut self) -> Result<Option<u64>> {
        if self.open.get(self.current).is_none_or(|cursor| cursor.next >= self.bound) && !self.choose()? {
            return Ok(None);
        }
        Ok(self.open.get(self.current).and_then(Cursor::key).map(|(block, _)| block))
    }

    /// Finds the file whose log is next and up to where it may be read without asking again; `false` at the end.
    fn choose(&mut self) -> Result<bool> {
        loop {
            self.refill()?;
            let lowest = self.open.iter().filter_map(Cursor::key).min();
            let next_file = self.waiting.front().map(|cursor| (cursor.from, 0));
            match (lowest, next_file) {
                (None, None) => return Ok(false),
                (Some(lowest), next) if next.is_none_or(|next| lowest < next) => {
                    self.settle(lowest)?;
                    let mut bound = next.unwrap_or((u64::MAX, u32::MAX));
                    let others = self.open.iter().enumerate().filter(|(place, _)| *place != self.current);
                    bound = others.filter_map(|(_, cursor)| cursor.key()).fold(bound, Ord::min);
                    // A file whose batch ended in a repeat must show what it has next before others may run ahead.
                    if self.open.iter().any(|cursor| cursor.key().is_none()) {
                        bound = bound.min((lowest.0, lowest.1.saturating_add(1)));
                    }
                    self.bound = self.open[self.current].rows_before(bound);
                    return Ok(true);
                }
                _ => self.open.extend(self.waiting.pop_front()),
            }
        }
    }

    /// Makes the first file that has the log the current one, and passes over its exact repeats in the others.
    fn settle(&mut self, key: (u64, u32)) -> Result<()> {
        let mut holders = (0..self.open.len()).filter(|place| self.open[*place].key() == Some(key));
        let first = holders.next().unwrap_or(0);
        let repeats: Vec<usize> = holders.collect();
        for place in repeats {
            let (one, other) = (&self.open[first], &self.open[place]);
            let mut topics = [[B256::ZERO; MAX_TOPICS]; 2];
            let [one_topics, other_topics] = &mut topics;
            if one.peek(one_topics) != other.peek(other_topics) {
                let what = format!("holds another log {} of block {} than", key.1, key.0);
                return Err(contradiction(&what, &self.paths[other.file], &self.paths[one.file]));
            }
            self.open[place].next += 1;
        }
        self.current = first;
        Ok(())
    }

    /// Reads on where a batch was handed out whole, and leaves files that have ended.
    fn refill(&mut self) -> Result<()> {
        for cursor in &mut self.open {
            while cursor.key().is_none() && cursor.read_on(&self.paths[cursor.file])? {}
        }
        self.open.retain(|cursor| cursor.key().is_some());
        self.current = 0;
        Ok(())
    }

    /// Checks that all files tell the same history.
    fn check_history(&mut self, file: usize, block: u64, hash: B256) -> Result<()> {
        let told = match self.seen {
            Some((seen, told, by)) if seen == block => Some((told, by)),
            _ => {
                while self.ends.front().is_some_and(|(end, _, _)| *end < block) {
                    self.ends.pop_front();
                }
                self.ends.front().filter(|(end, _, _)| *end == block).map(|(_, told, by)| (*told, *by))
            }
        };
        if let Some((_, by)) = told.filter(|(told, _)| *told != hash) {
            let what = format!("knows block {block} by another hash than");
            return Err(contradiction(&what, &self.paths[file], &self.paths[by]));
        }
        self.seen = Some((block, hash, file));
        Ok(())
    }
}

impl Cursor {
    /// A file of these blocks, of which nothing was read.
    fn new(file: usize, (from, to): (u64, u64), chunks: VecDeque<Chunk>, since: u64) -> Self {
        let topics = [B256::ZERO; MAX_TOPICS];
        Self { file, from, to, chunks, batches: None, rows: None, next: 0, last: None, since, topics }
    }

    /// What is at hand, if its next log is.
    #[inline]
    fn at_hand(&self) -> Option<&Rows> {
        self.rows.as_ref().filter(|rows| self.next < rows.len())
    }

    /// The place of its next log, if it is at hand.
    fn key(&self) -> Option<(u64, u32)> {
        self.at_hand().map(|rows| rows.key(self.next))
    }

    /// Its file, the place of its next log, and the hash of that log's block.
    #[inline]
    fn head(&self) -> Option<(usize, (u64, u32), B256)> {
        self.at_hand().map(|rows| (self.file, rows.key(self.next), rows.block_hash(self.next)))
    }

    /// Its next log.
    fn peek<'a>(&'a self, topics: &'a mut [B256; MAX_TOPICS]) -> Option<Log<'a>> {
        self.at_hand().map(|rows| rows.log(self.next, topics))
    }

    /// The first row at hand that does not stand before a place.
    fn rows_before(&self, place: (u64, u32)) -> usize {
        let Some(rows) = &self.rows else { return 0 };
        let (mut before, mut end) = (self.next, rows.len());
        while before < end {
            let middle = before + (end - before) / 2;
            if rows.key(middle) < place { before = middle + 1 } else { end = middle }
        }
        before
    }

    /// Reads a batch; `false` where there is none left.
    fn read_on(&mut self, path: &Path) -> Result<bool> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                let rows = Rows::of_logs(path, &batch?)?;
                self.next = 0;
                self.check(path, &rows)?;
                self.rows = Some(rows);
                return Ok(true);
            }
            let Some(chunk) = self.chunks.pop_front() else {
                self.rows = None;
                return Ok(false);
            };
            self.batches = Some(Box::new(chunk.read()?));
        }
    }

    /// Checks that the rows are those the file says it has, and skips what lies before the first block asked for.
    fn check(&mut self, path: &Path, rows: &Rows) -> Result<()> {
        for key in (0..rows.len()).map(|row| rows.key(row)) {
            if key.0 < self.from || self.to < key.0 {
                let what = format!("it holds a log of block {}, and says blocks {} to {}", key.0, self.from, self.to);
                return Err(damaged(path, what));
            }
            if self.last.is_some_and(|last| key <= last) {
                return Err(damaged(path, format!("its logs of block {} are out of order", key.0)));
            }
            self.last = Some(key);
            self.next += usize::from(key.0 < self.since);
        }
        Ok(())
    }
}

/// Two files that cannot both be right.
fn contradiction(what: &str, one: &Path, other: &Path) -> Error {
    Error::BadFile {
        path: one.to_owned(),
        what: format!("{what} {}", other.display()),
        advice: "one of the two is wrong; move one away and sync again, which reads its blocks anew",
    }
}
