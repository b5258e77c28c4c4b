//! Held logs beside what else is known of them: a block's receipts, or another endpoint's answer.

use protocol::{Address, B256};

use super::receipt::{BlockReceipts, ReceiptLog};
use crate::log::{Log, Logs};
use crate::rpc::Filter;

/// What is wrong with one log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its block.
    pub block: u64,
    /// Its place in the block.
    pub log_index: u32,
    /// The contract that wrote it.
    pub address: Address,
    /// What its first topic is, if it has one.
    pub topic0: Option<B256>,
    /// What is wrong.
    pub fault: Fault,
}

impl std::fmt::Display for Finding {
    /// `log 3 of 0x… with topic 0x… is missing`, without the block.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "log {} of {}", self.log_index, self.address)?;
        if let Some(topic) = self.topic0 {
            write!(f, " with topic {topic}")?;
        }
        write!(f, " {}", self.fault)
    }
}

/// In which way a log is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is there, and is not held.
    Omitted,
    /// It is held, and is not there.
    Foreign,
    /// It is held more than once.
    Repeated,
    /// It is held, and this part of it is another.
    Altered(&'static str),
    /// It cannot be held: its block's bloom filter has nothing of it.
    NotInBloom,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Omitted => f.write_str("is missing"),
            Self::Foreign => f.write_str("is held but not there"),
            Self::Repeated => f.write_str("is held more than once"),
            Self::Altered(part) => write!(f, "is held with another {part}"),
            Self::NotInBloom => f.write_str("is held, and its block's bloom filter excludes it"),
        }
    }
}

/// What came of comparing the logs held of a block with its receipts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many held logs are as they should be.
    pub right: u64,
    /// How many held logs are of Polygon's state sync, which no root covers.
    pub unprovable: u64,
    /// What is wrong, in the order of the block.
    pub wrong: Vec<Finding>,
}

/// Compares the logs held of a block with its receipts, which [`super::receipt::verify`] has proven: every held log must be
/// there as it is held, and every log that the filter takes must be held.
///
/// A place in the block is counted here, not taken from the node. The transaction's hash is compared with what the node says
/// beside the receipt, which the root does not cover.
#[must_use]
pub fn prove_logs(receipts: &BlockReceipts, block: u64, filter: &Filter, held: &[Log<'_>]) -> Compared {
    let mut compared = Compared::default();
    let mut held = held.to_vec();
    held.sort_by_key(|log| log.log_index);
    let mut rest = held.as_slice();
    let mut log_index = 0;
    let committed = (0..).zip(&receipts.committed).map(|(place, receipt)| (place, receipt, true));
    let aside_from = u32::try_from(receipts.committed.len()).unwrap_or(u32::MAX);
    let aside = (aside_from..).zip(&receipts.aside).map(|(place, receipt)| (place, receipt, false));
    for (place, receipt, is_proven) in committed.chain(aside) {
        for log in &receipt.logs {
            let there = as_log(log, block, log_index, place, receipt.transaction);
            rest = foreign_before(rest, Some(log_index), &mut compared.wrong);
            let same = rest.iter().take_while(|held| held.log_index == log_index).count();
            let (here, after) = rest.split_at(same);
            rest = after;
            match here.first() {
                Some(held) => match log.differs_from(held).or_else(|| differs_in_place(&there, held)) {
                    Some(part) => compared.wrong.push(finding(held, Fault::Altered(part))),
                    None if is_proven => compared.right += 1,
                    None => compared.unprovable += 1,
                },
                None if is_proven && filter.takes(&there) => compared.wrong.push(finding(&there, Fault::Omitted)),
                None => {}
            }
            compared.wrong.extend(here.iter().skip(1).map(|held| finding(held, Fault::Repeated)));
            log_index = log_index.saturating_add(1);
        }
    }
    foreign_before(rest, None, &mut compared.wrong);
    compared
}

/// Compares two lists of logs of the same blocks and filter, both in the chain's order: what of the second is missing, foreign
/// or altered in the first.
#[must_use]
pub fn differences(ours: &Logs, theirs: &Logs) -> Vec<Finding> {
    let mut wrong = Vec::new();
    let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        let place = |log: &Log<'_>| (log.block, log.log_index);
        match (ours.peek().copied(), theirs.peek().copied()) {
            (None, None) => return wrong,
            (Some(our), Some(their)) if place(&our) == place(&their) => {
                if let Some(part) = differs(&our, &their) {
                    wrong.push(finding(&our, Fault::Altered(part)));
                }
                ours.next();
                theirs.next();
            }
            (Some(our), their) if their.is_none_or(|their| place(&our) < place(&their)) => {
                wrong.push(finding(&our, Fault::Foreign));
                ours.next();
            }
            (_, Some(their)) => {
                wrong.push(finding(&their, Fault::Omitted));
                theirs.next();
            }
            (Some(_), None) => unreachable!("taken by the arm for what only we have"),
        }
    }
}

/// Passes over held logs whose place comes before the next one that is there.
fn foreign_before<'a, 'b>(held: &'a [Log<'b>], next: Option<u32>, wrong: &mut Vec<Finding>) -> &'a [Log<'b>] {
    let count = held.iter().take_while(|log| next.is_none_or(|next| log.log_index < next)).count();
    let (foreign, rest) = held.split_at(count);
    wrong.extend(foreign.iter().map(|log| finding(log, Fault::Foreign)));
    rest
}

fn as_log(log: &ReceiptLog, block: u64, log_index: u32, transaction_index: u32, transaction: B256) -> Log<'_> {
    Log {
        block,
        block_hash: B256::ZERO,
        time: 0,
        transaction,
        transaction_index,
        log_index,
        address: log.address,
        topics: &log.topics,
        data: &log.data,
    }
}

fn differs_in_place(there: &Log<'_>, held: &Log<'_>) -> Option<&'static str> {
    match held {
        _ if there.transaction_index != held.transaction_index => Some("transaction index"),
        _ if there.transaction != held.transaction => Some("transaction hash"),
        _ => None,
    }
}

fn differs(ours: &Log<'_>, theirs: &Log<'_>) -> Option<&'static str> {
    match ours {
        _ if ours.block_hash != theirs.block_hash => Some("block hash"),
        _ if ours.address != theirs.address => Some("address"),
        _ if ours.topics != theirs.topics => Some("topics"),
        _ if ours.data != theirs.data => Some("data"),
        _ if ours.time != theirs.time => Some("time"),
        _ => differs_in_place(theirs, ours),
    }
}

/// What is wrong with a log.
pub(super) fn finding(log: &Log<'_>, fault: Fault) -> Finding {
    Finding {
        block: log.block,
        log_index: log.log_index,
        address: log.address,
        topic0: log.topics.first().copied(),
        fault,
    }
}
