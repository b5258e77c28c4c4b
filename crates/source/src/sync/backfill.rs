//! Everything up to a final block.

use std::pin::pin;

use futures_util::StreamExt as _;

use super::Syncer;
use crate::archive::coverage::Job;
use crate::archive::logs::{LogsFile, end_note};
use crate::rpc::LogRange;
use crate::{Error, Result, decode};

/// A file is finished after this many logs, so that little is lost when the program is killed.
const LOGS_PER_FILE: u64 = 250_000;

/// Or after this many ranges, where there is little to find.
const RANGES_PER_FILE: u32 = 64;

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
}

/// How a backfill ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backfilled {
    /// Every log up to the block is in a finished file.
    Complete {
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
        let topics = decode::topics();
        let mut logs = 0;
        loop {
            let jobs = self.coverage.missing(&self.watch.wanted(), &topics, to);
            if jobs.is_empty() {
                return Ok(Backfilled::Complete { logs });
            }
            for job in &jobs {
                let known = self.watch.wanted().len();
                logs = self.run(job, logs, report).await?;
                if self.is_stopped() {
                    return Ok(Backfilled::Stopped { logs });
                }
                // New contracts are read together with what else is missing behind them.
                if self.watch.wanted().len() > known {
                    break;
                }
            }
        }
    }

    /// Reads one job, file by file. Returns how many logs were read in all.
    async fn run(&mut self, job: &Job, mut logs: u64, report: &mut (dyn FnMut(Step) + Send)) -> Result<u64> {
        let mut ranges = pin!(self.client.log_ranges(job.filter.clone(), job.from, job.to));
        let mut file: Option<(LogsFile, u64, u32)> = None;
        let mut next = job.from;
        while let Some(range) = ranges.next().await {
            let LogRange { from, to, logs: found } = range?;
            assert_eq!(from, next, "ranges follow one another");
            next = to.saturating_add(1);
            let (mut open, begin, count) = match file.take() {
                Some(open) => open,
                None => (LogsFile::create(self.writer, &self.market, self.client.chain(), &job.filter, from)?, from, 0),
            };
            open.append(&found)?;
            found.iter().for_each(|log| {
                self.watch.observe(&log);
            });
            logs += found.len() as u64;
            report(Step { from: job.from, at: to, to: job.to, logs });
            let is_full = open.rows() >= LOGS_PER_FILE || count + 1 >= RANGES_PER_FILE;
            if is_full || to == job.to || self.is_stopped() {
                self.finish(open, job, begin, to).await?;
            } else {
                file = Some((open, begin, count + 1));
            }
            if self.is_stopped() {
                break;
            }
        }
        Ok(logs)
    }

    /// Finishes a file: its last block's hash ties it to the chain's history.
    async fn finish(&mut self, file: LogsFile, job: &Job, from: u64, to: u64) -> Result<()> {
        let header = self.client.header(to).await?;
        let header = header.ok_or(Error::Moved { block: to })?;
        let hash = header.hash;
        file.publish(to, hash, end_note(header.time))?;
        self.coverage.add(&job.filter, from, to, hash);
        Ok(())
    }
}
