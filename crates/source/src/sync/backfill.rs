//! Everything up to a final block.

use std::pin::pin;
use std::time::Duration;

use futures_util::StreamExt;
use protocol::B256;

use super::{FOUND_NOTE, Syncer};
use crate::archive::coverage::Job;
use crate::archive::logs::{LogsFile, ORIGIN_NOTE, end_note};
use crate::log::Logs;
use crate::rpc::{HyperSync, LogRange};
use crate::{Error, Result};

/// A file is finished after this many logs, so that little is lost when the program is killed.
const LOGS_PER_FILE: u64 = 250_000;

/// Or after this many ranges, where there is little to find.
const RANGES_PER_FILE: u32 = 64;

/// How often it is looked whether to stop, while a node is waited for.
const LOOK: Duration = Duration::from_millis(100);

/// A file being written.
struct Open {
    file: LogsFile,
    /// The service it is read through, where that is no node.
    through: Option<HyperSync>,
    /// Its first block, and the last that was read whole.
    from: u64,
    to: u64,
    ranges: u32,
    /// The block of the last log: its number, hash and time.
    last: Option<(u64, B256, u64)>,
}

/// How far a backfill has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The first block of what is being read.
    pub from: u64,
    /// The last block read.
    pub at: u64,
    /// The last block of what is being read.
    pub to: u64,
    /// Logs read by this call.
    pub logs: u64,
    /// Requests made so far, for whatever.
    pub requests: u64,
}

/// How a backfill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfilled {
    /// Every log up to the block is in a finished file.
    Complete {
        /// Logs read by this call.
        logs: u64,
    },
    /// Logs name price sources whose feeds must be looked for first: see [`Syncer::unwalked`]. What was read is kept.
    Sources {
        /// Logs read by this call.
        logs: u64,
    },
    /// It was told to stop; what was read is kept.
    Stopped {
        /// Logs read by this call.
        logs: u64,
    },
}

impl Syncer<'_> {
    /// Reads what is missing up to a final block. `report` is told of every range.
    ///
    /// What is read may name contracts that were not known, whose logs are then missing too: it goes on until nothing is.
    ///
    /// # Errors
    /// No endpoint answers as it should, or the disk refuses. What was finished before is kept.
    pub async fn backfill(&mut self, to: u64, report: &mut (dyn FnMut(Step) + Send)) -> Result<Backfilled> {
        let mut logs = 0;
        loop {
            let jobs = self.watch.missing(&self.coverage, to);
            if jobs.is_empty() {
                return Ok(Backfilled::Complete { logs });
            }
            for (place, job) in jobs.iter().enumerate() {
                let known = self.watch.wanted().len();
                logs = self.run(job, place + 1 == jobs.len(), logs, report).await?;
                if self.is_stopped() {
                    return Ok(Backfilled::Stopped { logs });
                }
                if !self.unwalked(to).is_empty() {
                    return Ok(Backfilled::Sources { logs });
                }
                // New contracts are read together with what else is missing behind them.
                if self.watch.wanted().len() > known {
                    break;
                }
            }
        }
    }

    /// Makes sure that some finished file ends at a block up to which everything was read: files say at which time their last
    /// block was made, and what is read at a block is only of use with that.
    ///
    /// # Errors
    /// No endpoint answers as it should, the chain changes while it is read, or the disk refuses.
    pub async fn end_at(&mut self, block: u64) -> Result<()> {
        if self.coverage.boundaries().iter().any(|(end, _)| *end == block) {
            return Ok(());
        }
        let filter = self.watch.filter();
        let logs = self.client.logs(&filter, block, block).await?;
        let job = Job { filter, from: block, to: block };
        let mut open = self.begin(&job, block, None)?;
        open.take(&logs, block)?;
        self.finish(open, &job, true).await
    }

    /// Reads one job, file by file; behind the last one nothing is missing. Returns how many logs were read in all.
    async fn run(
        &mut self,
        job: &Job,
        is_last: bool,
        mut logs: u64,
        report: &mut (dyn FnMut(Step) + Send),
    ) -> Result<u64> {
        let known = self.watch.wanted().len();
        let filter = job.filter.clone();
        let mut ranges = pin!(match &self.hypersync {
            Some(service) => service.log_ranges(filter, job.from, job.to).left_stream(),
            None => self.client.log_ranges(filter, job.from, job.to).right_stream(),
        });
        let mut file: Option<Open> = None;
        let mut next = job.from;
        while let Some(range) = self.unless_stopped(ranges.next()).await {
            let LogRange { from, to, logs: found } = match range {
                Ok(range) => range,
                Err(cause) => {
                    self.keep(file, job).await?;
                    return Err(cause);
                }
            };
            assert_eq!(from, next, "ranges follow one another");
            next = to.saturating_add(1);
            let mut open = match file.take() {
                Some(open) => open,
                None => self.begin(job, from, self.hypersync.clone())?,
            };
            open.take(&found, to)?;
            found.iter().for_each(|log| {
                self.watch.observe(&log);
            });
            logs += found.len() as u64;
            report(Step { from: job.from, at: to, to: job.to, logs, requests: self.meter().requests() });
            let is_full = open.file.rows() >= LOGS_PER_FILE || open.ranges >= RANGES_PER_FILE;
            let must_ask = !self.unwalked(job.to).is_empty();
            if is_full || must_ask || to == job.to {
                // A contract that this job named may have written logs behind it that are still missing.
                let is_end = is_last && !must_ask && to == job.to && self.watch.wanted().len() == known;
                self.finish(open, job, is_end).await?;
            } else {
                file = Some(open);
            }
            if must_ask {
                break;
            }
        }
        if let Some(open) = file {
            self.finish(open, job, false).await?;
        }
        Ok(logs)
    }

    /// What comes of waiting for a node; none where it is told to stop before.
    async fn unless_stopped<T>(&self, work: impl Future<Output = Option<T>>) -> Option<T> {
        let mut work = pin!(work);
        while !self.is_stopped() {
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        None
    }

    fn begin(&self, job: &Job, from: u64, through: Option<HyperSync>) -> Result<Open> {
        let file = LogsFile::create(self.writer, &self.market, self.client.chain(), &job.filter, from)?;
        Ok(Open { file, through, from, to: from, ranges: 0, last: None })
    }

    /// Finishes a file: its last block's hash ties it to the chain's history.
    async fn finish(&mut self, open: Open, job: &Job, is_end: bool) -> Result<()> {
        let header = match self.client.header(open.to).await {
            Ok(Some(header)) => header,
            Ok(None) => return Err(Error::Moved { block: open.to }),
            Err(cause) => {
                self.keep(Some(open), job).await?;
                return Err(cause);
            }
        };
        if let Some(service) = &open.through
            && let Err(cause) = service.confirm(&header).await
        {
            // It broke down, which is no word against what it said before.
            if cause.is_transient() {
                self.keep(Some(open), job).await?;
            }
            return Err(cause);
        }
        self.publish(open, job, (header.number, header.hash, header.time), is_end)
    }

    /// Keeps what was read before nodes failed, up to the last block with a log, whose hash is known without them. What a
    /// service said is kept only where a node says the same of that block.
    async fn keep(&mut self, open: Option<Open>, job: &Job) -> Result<()> {
        let Some((last, open)) = open.and_then(|open| Some((open.last?, open))) else { return Ok(()) };
        if open.through.is_some() {
            let header = self.client.header(last.0).await.ok().flatten();
            if header.is_none_or(|header| (header.number, header.hash, header.time) != last) {
                return Ok(());
            }
        }
        self.publish(open, job, last, false)
    }

    fn publish(&mut self, open: Open, job: &Job, (to, hash, time): (u64, B256, u64), is_end: bool) -> Result<()> {
        let mut notes = end_note(time);
        notes.extend(self.found_at.filter(|_| is_end).map(|at| (FOUND_NOTE.to_owned(), at.min(to).to_string())));
        if let Some(service) = &open.through {
            notes.insert(ORIGIN_NOTE.to_owned(), format!("HyperSync at {}", service.host()));
        }
        open.file.publish(to, hash, notes)?;
        self.coverage.add(&job.filter, open.from, to, hash);
        Ok(())
    }
}

impl Open {
    /// Takes the logs of the next range, which ends at a block.
    fn take(&mut self, found: &Logs, to: u64) -> Result<()> {
        self.file.append(found)?;
        let last = found.iter().next_back();
        self.last = last.map(|log| (log.block, log.block_hash, log.time)).or(self.last);
        (self.to, self.ranges) = (to, self.ranges + 1);
        Ok(())
    }
}
