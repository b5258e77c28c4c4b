//! Logs as nodes write them, read in one pass, and what must hold of them before they are believed.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Address, B256};

use super::Filter;
use super::json::{Malformed, Scan};
use crate::log::{Log, Logs, MAX_TOPICS};

/// What was read of a list of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parsed {
    /// How many logs there were.
    pub count: usize,
    /// Whether every one came with the time of its block. Those that did not have the time zero.
    pub timed: bool,
}

/// Reads a list of logs, as `eth_getLogs` returns it, and adds them to others, in the node's order.
///
/// # Errors
/// It is no such list, or holds a log that was removed by a reorganisation or lacks a part. What came before that stays added.
pub fn parse_logs(json: &[u8], out: &mut Logs) -> Result<Parsed, Malformed> {
    let mut scan = Scan::new(json);
    let parsed = read_logs(&mut scan, out)?;
    scan.end()?;
    Ok(parsed)
}

pub(super) fn read_logs(scan: &mut Scan<'_>, out: &mut Logs) -> Result<Parsed, Malformed> {
    let mut parsed = Parsed { count: 0, timed: true };
    let mut data = Vec::new();
    scan.list(|scan| {
        let timed = read_log(scan, &mut data, out)?;
        parsed = Parsed { count: parsed.count + 1, timed: parsed.timed && timed };
        Ok(())
    })?;
    Ok(parsed)
}

/// The parts of a log as they come, in whatever order.
#[derive(Default)]
struct Parts {
    block: Option<u64>,
    block_hash: Option<B256>,
    time: Option<u64>,
    transaction: Option<B256>,
    transaction_index: Option<u64>,
    log_index: Option<u64>,
    address: Option<Address>,
    topics: [B256; MAX_TOPICS],
    topic_count: Option<usize>,
    has_data: bool,
}

fn read_log(scan: &mut Scan<'_>, data: &mut Vec<u8>, out: &mut Logs) -> Result<bool, Malformed> {
    let mut parts = Parts::default();
    scan.object(|scan, key| match key {
        b"address" => once(&mut parts.address, Address::from(scan.fixed()?)),
        b"topics" => {
            let count = read_topics(scan, &mut parts.topics)?;
            once(&mut parts.topic_count, count)
        }
        b"data" => {
            scan.bytes(data)?;
            if std::mem::replace(&mut parts.has_data, true) { Err(twice()) } else { Ok(()) }
        }
        b"blockNumber" => once(&mut parts.block, scan.quantity()?),
        b"blockHash" => once(&mut parts.block_hash, B256::from(scan.fixed()?)),
        b"transactionHash" => once(&mut parts.transaction, B256::from(scan.fixed()?)),
        b"transactionIndex" => once(&mut parts.transaction_index, scan.quantity()?),
        b"logIndex" => once(&mut parts.log_index, scan.quantity()?),
        b"blockTimestamp" => {
            // Some nodes know the field and leave it empty.
            if scan.peek()? == b'"' { once(&mut parts.time, scan.quantity()?) } else { scan.skip().map(drop) }
        }
        b"removed" => {
            let value = scan.skip()?;
            if &scan.text()[value] == b"true" {
                return Err(Malformed::new("has a log of a block that was dropped"));
            }
            Ok(())
        }
        _ => scan.skip().map(drop),
    })?;
    parts.finish(data, out).ok_or_else(|| Malformed::new("has a log that lacks a part"))
}

fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Malformed> {
    if place.replace(value).is_some() { Err(twice()) } else { Ok(()) }
}

fn twice() -> Malformed {
    Malformed::new("has a log that says the same thing twice")
}

fn read_topics(scan: &mut Scan<'_>, topics: &mut [B256; MAX_TOPICS]) -> Result<usize, Malformed> {
    let mut count = 0;
    scan.list(|scan| {
        let place = topics.get_mut(count).ok_or_else(|| Malformed::new("has a log with more than four topics"))?;
        *place = B256::from(scan.fixed()?);
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

impl Parts {
    /// Adds the log, and says whether it came with a time; none where a part is missing.
    fn finish(&self, data: &[u8], out: &mut Logs) -> Option<bool> {
        self.has_data.then_some(())?;
        out.push(&Log {
            block: self.block?,
            block_hash: self.block_hash?,
            time: self.time.unwrap_or(0),
            transaction: self.transaction?,
            transaction_index: u32::try_from(self.transaction_index?).ok()?,
            log_index: u32::try_from(self.log_index?).ok()?,
            address: self.address?,
            topics: &self.topics[..self.topic_count?],
            data,
        });
        Some(self.time.is_some())
    }
}

/// Every log is one that was asked for.
pub(super) fn check(logs: &Logs, filter: &Filter, from: u64, to: u64) -> Result<(), Malformed> {
    for log in logs.iter() {
        if !(from..=to).contains(&log.block) {
            return Err(Malformed::new(format!("has a log of block {}, outside the range asked for", log.block)));
        }
        if !filter.takes(&log) {
            return Err(Malformed::new(format!("has a log in block {} that was not asked for", log.block)));
        }
    }
    Ok(())
}

/// The logs in the chain's order, each once.
///
/// Where `times` are given, they take the place of the logs' own.
///
/// # Errors
/// Two logs contradict one another: they stand in the same place or in two versions of the same block.
pub(super) fn settle(logs: Logs, times: Option<&BTreeMap<u64, (B256, u64)>>) -> Result<Logs, Malformed> {
    let logs = logs.sorted();
    let mut repeats = BTreeSet::new();
    for place in 1..logs.len() {
        let (Some(before), Some(log)) = (logs.get(place - 1), logs.get(place)) else { continue };
        if before.block != log.block {
            continue;
        }
        if before.log_index == log.log_index {
            if before != log {
                return Err(contradiction("two logs in one place", log.block));
            }
            repeats.insert(place);
        } else if before.block_hash != log.block_hash || (times.is_none() && before.time != log.time) {
            return Err(contradiction("logs of two versions", log.block));
        }
    }
    if repeats.is_empty() && times.is_none() {
        return Ok(logs);
    }
    let mut settled = Logs::default();
    for (_, mut log) in logs.iter().enumerate().filter(|(place, _)| !repeats.contains(place)) {
        if let Some(times) = times {
            let (hash, time) = times.get(&log.block).ok_or_else(|| contradiction("logs but no header", log.block))?;
            if *hash != log.block_hash {
                return Err(contradiction("logs of another version than the header's", log.block));
            }
            log.time = *time;
        }
        settled.push(&log);
    }
    Ok(settled)
}

fn contradiction(what: &str, block: u64) -> Malformed {
    Malformed::new(format!("has {what} in block {block}"))
}

/// The distinct blocks of logs, in order.
pub(super) fn blocks(logs: &Logs) -> Vec<u64> {
    let blocks: BTreeSet<u64> = logs.iter().map(|log| log.block).collect();
    blocks.into_iter().collect()
}
