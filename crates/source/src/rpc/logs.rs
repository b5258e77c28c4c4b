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
pub(super) struct Parts {
    pub(super) block: Option<u64>,
    pub(super) block_hash: Option<B256>,
    pub(super) time: Option<u64>,
    pub(super) transaction: Option<B256>,
    pub(super) transaction_index: Option<u64>,
    pub(super) log_index: Option<u64>,
    pub(super) address: Option<Address>,
    pub(super) topics: [B256; MAX_TOPICS],
    pub(super) topic_count: Option<usize>,
    pub(super) has_data: bool,
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
    parts.finish(data, out)
}

pub(super) fn once<T>(place: &mut Option<T>, value: T) -> Result<(), Malformed> {
    if place.replace(value).is_some() { Err(twice()) } else { Ok(()) }
}

pub(super) fn twice() -> Malformed {
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
    /// Adds the log, and says whether it came with a time.
    ///
    /// # Errors
    /// A part is missing.
    pub(super) fn finish(&self, data: &[u8], out: &mut Logs) -> Result<bool, Malformed> {
        self.put(data, out).ok_or_else(|| Malformed::new("has a log that lacks a part"))
    }

    fn put(&self, data: &[u8], out: &mut Logs) -> Option<bool> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn whole() -> Value {
        json!({
            "address": format!("0x{}", "Ab".repeat(20)),
            "topics": [format!("0x{}", "01".repeat(32)), format!("0x{}", "02".repeat(32))],
            "data": "0x0102ff",
            "blockNumber": "0x10",
            "blockHash": format!("0x{}", "03".repeat(32)),
            "blockTimestamp": "0x5",
            "transactionHash": format!("0x{}", "04".repeat(32)),
            "transactionIndex": "0x6",
            "logIndex": "0x7",
            "removed": false,
            "other": { "a": [1, "]"] },
        })
    }

    fn parse(value: &Value) -> Result<(Logs, Parsed), Malformed> {
        let mut logs = Logs::default();
        let parsed = parse_logs(value.to_string().as_bytes(), &mut logs)?;
        Ok((logs, parsed))
    }

    #[test]
    fn a_log_is_read_whole() {
        let (logs, parsed) = parse(&json!([whole()])).unwrap();
        assert_eq!(parsed, Parsed { count: 1, timed: true });
        let topics = [B256::repeat_byte(1), B256::repeat_byte(2)];
        let expected = Log {
            block: 16,
            block_hash: B256::repeat_byte(3),
            time: 5,
            transaction: B256::repeat_byte(4),
            transaction_index: 6,
            log_index: 7,
            address: Address::repeat_byte(0xab),
            topics: &topics,
            data: &[1, 2, 255],
        };
        assert_eq!(logs.get(0), Some(expected));
        assert_eq!(parse(&json!([])).unwrap().1, Parsed { count: 0, timed: true });
    }

    #[test]
    fn a_log_without_a_part_or_with_a_wrong_one_is_none() {
        for key in
            ["address", "topics", "data", "blockNumber", "blockHash", "transactionHash", "transactionIndex", "logIndex"]
        {
            let mut log = whole();
            for wrong in [json!(null), json!(1), json!("0x"), json!("0xzz"), json!(["0x01"]), json!({})] {
                // No data is data.
                if key != "data" || wrong != "0x" {
                    log[key] = wrong.clone();
                    assert!(parse(&json!([log])).is_err(), "{key}: {wrong}");
                }
            }
            log.as_object_mut().unwrap().remove(key);
            assert!(parse(&json!([log])).is_err(), "without {key}");
        }
        let changed = |key: &str, value: Value| {
            let mut log = whole();
            log[key] = value;
            parse(&json!([log]))
        };
        assert!(changed("removed", json!(true)).is_err());
        assert!(changed("topics", json!(vec![format!("0x{}", "00".repeat(32)); 5])).is_err());
        assert!(changed("logIndex", json!("0x100000000")).is_err());
        assert!(!changed("blockTimestamp", json!(null)).unwrap().1.timed);
        let twice = whole().to_string().replacen("\"logIndex\"", "\"logIndex\":\"0x7\",\"logIndex\"", 1);
        assert!(parse_logs(format!("[{twice}]").as_bytes(), &mut Logs::default()).is_err());
        assert!(parse(&json!(null)).is_err() && parse(&json!({})).is_err() && parse(&json!([null])).is_err());
    }

    #[test]
    fn one_block_has_one_version_and_one_log_in_a_place() {
        let with = |changes: &[(&str, &str)]| {
            let mut log = whole();
            changes.iter().for_each(|(key, value)| log[*key] = json!(value));
            log
        };
        let settled = |logs: &[Value]| settle(parse(&json!(logs)).unwrap().0, None);
        let hash = format!("0x{}", "09".repeat(32));
        assert_eq!(settled(&[whole(), whole(), whole()]).unwrap().len(), 1);
        assert_eq!(settled(&[with(&[("logIndex", "0x9")]), whole()]).unwrap().len(), 2);
        assert!(settled(&[whole(), with(&[("data", "0x")])]).is_err());
        assert!(settled(&[whole(), with(&[("logIndex", "0x8"), ("blockHash", &hash)])]).is_err());
        assert!(settled(&[whole(), with(&[("logIndex", "0x8"), ("blockTimestamp", "0x6")])]).is_err());
        let other = with(&[("blockNumber", "0x11"), ("blockHash", &hash), ("blockTimestamp", "0x6")]);
        assert_eq!(settled(&[other, whole()]).unwrap().len(), 2);
    }

    proptest! {
        #[test]
        fn a_list_that_is_cut_is_an_error(cut in 1_usize..600) {
            let text = json!([whole()]).to_string();
            let end = text.len().saturating_sub(cut);
            prop_assert!(parse_logs(&text.as_bytes()[..end], &mut Logs::default()).is_err_and(|cause| cause.is_cut()));
        }

        #[test]
        fn no_change_of_a_byte_makes_it_panic(place in 0_usize..700, byte: u8) {
            let mut text = json!([whole()]).to_string().into_bytes();
            let place = place % text.len();
            text[place] = byte;
            let _ = parse_logs(&text, &mut Logs::default());
        }
    }
}
