//! The levels over a client: each goes through a plan and comes back with a [`Report`].
//!
//! A block that a node will not or cannot answer for is counted among those of which nothing is known, with the reason, and
//! the rest go on; a client that cannot reach anybody, or has spent its budget, ends the run with an error.

use std::ops::RangeInclusive;

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;

use super::bloom::{Sketch, Verdict as BloomVerdict, is_filled};
use super::compare::{differences, prove_logs};
use super::plan::Plan;
use super::receipt::{self, BlockReceipts, Malformed, Verdict, verify};
use super::{Level, Report};
use crate::log::{Log, Logs};
use crate::rpc::{Client, Filter, Header};
use crate::{Error, Result};

/// How many blocks' receipts are asked for at once; the client bounds how many questions are open.
const AHEAD: usize = 16;
/// How many headers are asked for at once.
const HEADERS: usize = 200;
/// The most blocks whose logs are read again at once.
const STEP: u64 = 2_000;

/// Where the held logs of a range of blocks come from: the archive, or a test. It returns at least those of the range.
pub type Held<'a> = &'a mut (dyn FnMut(u64, u64) -> Result<Logs> + Send);

/// Compares the held logs of a plan's blocks with the receipts that their headers commit to.
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn prove_receipts(client: &Client, filter: &Filter, held: Held<'_>, plan: &Plan) -> Result<Report> {
    let (mut report, before) = begin(Level::Receipts, plan, client);
    let mut answers = stream::iter(plan.blocks().collect::<Vec<_>>())
        .map(|block| async move { (block, receipts_of(client, block).await) })
        .buffered(AHEAD);
    while let Some((block, answer)) = answers.next().await {
        match answer {
            Ok((header, receipts)) => {
                let logs = held(block, block)?;
                judge(client, filter, &header, &receipts, &of_block(&logs, block), &mut report);
            }
            Err(error) => report.cannot(reason(error)?, 1),
        }
    }
    report.requests = client.meter().requests().saturating_sub(before);
    Ok(report)
}

fn judge(
    client: &Client,
    filter: &Filter,
    header: &Header,
    receipts: &BlockReceipts,
    held: &[Log<'_>],
    report: &mut Report,
) {
    match verify(client.chain(), header.number, header.receipts_root, receipts) {
        Verdict::NotProvable(why) => report.cannot(why.to_string(), 1),
        Verdict::Differs { .. } => {
            report.mismatched += 1;
            report.first_mismatched.get_or_insert(header.number);
        }
        Verdict::Proven => {
            let mut compared = prove_logs(receipts, header.number, filter, held);
            let other = held.iter().filter(|log| log.block_hash != header.hash && !log.block_hash.is_zero());
            let other: Vec<_> =
                other.map(|log| super::compare::finding(log, super::compare::Fault::Altered("block hash"))).collect();
            // Logs of another block of the same number are that first, whatever else they are.
            if !other.is_empty() {
                compared.wrong = other;
                compared.right = 0;
            }
            report.checked += 1;
            report.right += compared.right;
            report.wrong.add(compared.wrong);
        }
    }
}

/// Compares the held logs of a plan's blocks with the bloom filters of their headers, and reads suspect blocks again.
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn prove_bloom(client: &Client, filter: &Filter, held: Held<'_>, plan: &Plan) -> Result<Report> {
    let (mut report, before) = begin(Level::Bloom, plan, client);
    let (sketch, mut fills, mut empty) = (Sketch::new(filter), false, 0);
    let mut blocks = plan.blocks();
    loop {
        let wanted: Vec<u64> = blocks.by_ref().take(HEADERS).collect();
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { break };
        let headers = match client.headers(&wanted).await {
            Ok(headers) => headers,
            Err(error) => {
                report.cannot(reason(error)?, wanted.len() as u64);
                continue;
            }
        };
        // Blocks far apart are read by themselves, so that a sample does not load what lies between.
        let close = (last - first) / 4 <= wanted.len() as u64;
        let together = if close { Some(held(*first, *last)?) } else { None };
        for header in &headers {
            let block = header.number;
            let own = if together.is_none() { Some(held(block, block)?) } else { None };
            let logs = together.as_ref().or(own.as_ref()).map(|logs| of_block(logs, block)).unwrap_or_default();
            fills |= is_filled(&header.logs_bloom);
            match sketch.check(header, &logs) {
                BloomVerdict::NotProvable(why) => report.cannot(why, 1),
                BloomVerdict::Empty => empty += 1,
                verdict @ (BloomVerdict::Agrees | BloomVerdict::Suspect { .. } | BloomVerdict::Contradicted(_)) => {
                    report.checked += 1;
                    if logs.is_empty() {
                        report.suspect_by_chance += sketch.chance(&header.logs_bloom);
                    }
                    settle(client, filter, verdict, &logs, block, &mut report).await?;
                }
            }
        }
    }
    if fills {
        report.checked += empty;
    } else {
        report.cannot("the chain's blocks leave the bloom filter empty", empty);
    }
    report.requests = client.meter().requests().saturating_sub(before);
    Ok(report)
}

async fn settle(
    client: &Client,
    filter: &Filter,
    verdict: BloomVerdict,
    held: &[Log<'_>],
    block: u64,
    report: &mut Report,
) -> Result<()> {
    match verdict {
        BloomVerdict::Agrees | BloomVerdict::Empty | BloomVerdict::NotProvable(_) => report.right += held.len() as u64,
        BloomVerdict::Contradicted(foreign) => {
            report.right += (held.len() - foreign.len()) as u64;
            report.wrong.add(foreign);
        }
        BloomVerdict::Suspect { .. } => match client.logs(filter, block, block).await {
            Ok(logs) if logs.is_empty() => report.suspect += 1,
            Ok(logs) => report.wrong.add(differences(&Logs::default(), &logs)),
            Err(error) => {
                reason(error)?;
                report.suspect += 1;
            }
        },
    }
    Ok(())
}

/// Reads ranges from another endpoint and compares them, log by log, with what is held: a log that only it has is
/// [`super::compare::Fault::Omitted`], one that only we have is [`super::compare::Fault::Foreign`].
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn second_opinion(
    client: &Client,
    filter: &Filter,
    held: Held<'_>,
    ranges: &[RangeInclusive<u64>],
) -> Result<Report> {
    let from = ranges.iter().map(|range| *range.start()).min().unwrap_or(0);
    let to = ranges.iter().map(|range| *range.end()).max().unwrap_or(0);
    let before = client.meter().requests();
    let mut report = Report::new(Level::SecondEndpoint, from, to);
    for range in ranges {
        for begin in range.clone().step_by(usize::try_from(STEP).unwrap_or(usize::MAX)) {
            let end = begin.saturating_add(STEP - 1).min(*range.end());
            match client.logs(filter, begin, end).await {
                Ok(theirs) => {
                    let ours = within(&held(begin, end)?, begin, end, filter);
                    let wrong = differences(&ours, &theirs);
                    let bad = wrong.iter().filter(|one| one.fault != super::compare::Fault::Omitted).count();
                    report.checked += end - begin + 1;
                    report.right += ours.len().saturating_sub(bad) as u64;
                    report.wrong.add(wrong);
                }
                Err(error) => report.cannot(reason(error)?, end - begin + 1),
            }
        }
    }
    report.requests = client.meter().requests().saturating_sub(before);
    Ok(report)
}

fn begin(level: Level, plan: &Plan, client: &Client) -> (Report, u64) {
    (Report::new(level, plan.from, plan.to), client.meter().requests())
}

/// Why nothing is known of a block, or the error where it would be no better for the next one.
fn reason(error: Error) -> Result<String> {
    match error {
        Error::Node { what, .. } => Ok(format!("no endpoint answered as it should: {what}")),
        Error::Pruned { host, .. } => Ok(format!("{host} no longer has the block")),
        Error::Behind { .. } => Ok("no endpoint has the block yet".to_owned()),
        Error::TooLarge { host, .. } => Ok(format!("{host} refuses so long an answer")),
        other @ (Error::Io { .. }
        | Error::Locked { .. }
        | Error::BadFile { .. }
        | Error::Unfit { .. }
        | Error::Unreachable { .. }
        | Error::WrongChain { .. }
        | Error::Disagreement { .. }
        | Error::Budget { .. }) => Err(other),
    }
}

async fn receipts_of(client: &Client, block: u64) -> Result<(Header, BlockReceipts)> {
    let header =
        client.header(block).await?.ok_or_else(|| Error::Behind { block, host: "the node".to_owned(), tip: 0 })?;
    let receipts = block_receipts(client, &header).await?;
    Ok((header, receipts))
}

/// All receipts of a block: at once where the node can, else transaction by transaction.
///
/// # Errors
/// No endpoint answers as it should.
pub async fn block_receipts(client: &Client, header: &Header) -> Result<BlockReceipts> {
    let params = json!([format!("{:#x}", header.number)]);
    match client.request("eth_getBlockReceipts", params).await {
        Ok(answer) => match receipt::parse_block(answer.get(), header.number, header.hash) {
            Ok(Some(receipts)) => Ok(receipts),
            // A node that has the header and says `null` does not keep receipts by block, or lost them.
            Ok(None) => one_by_one(client, header).await,
            Err(cause) => Err(misread("eth_getBlockReceipts", cause)),
        },
        Err(Error::Node { .. }) => one_by_one(client, header).await,
        Err(other) => Err(other),
    }
}

#[derive(Deserialize)]
struct Block {
    hash: String,
    transactions: Vec<String>,
}

async fn one_by_one(client: &Client, header: &Header) -> Result<BlockReceipts> {
    const METHOD: &str = "eth_getTransactionReceipt";
    let asked = client.request("eth_getBlockByNumber", json!([format!("{:#x}", header.number), false])).await?;
    let block: Block = serde_json::from_str(asked.get())
        .map_err(|_| misread("eth_getBlockByNumber", Malformed("is no block with its transactions".to_owned())))?;
    if block.hash.to_ascii_lowercase() != header.hash.to_string() {
        return Err(misread("eth_getBlockByNumber", Malformed("is another block than a moment ago".to_owned())));
    }
    let mut asked = stream::iter(block.transactions)
        .map(|hash| async move { client.request(METHOD, json!([hash])).await })
        .buffered(AHEAD);
    let mut receipts = Vec::new();
    while let Some(answer) = asked.next().await {
        let receipt = receipt::parse(answer?.get(), header.hash);
        let absent = || Malformed("a receipt of a transaction of the block is not there".to_owned());
        receipts.push(receipt.and_then(|receipt| receipt.ok_or_else(absent)));
    }
    receipt::sort_out(receipts.into_iter(), header.number, header.hash).map_err(|cause| misread(METHOD, cause))
}

fn misread(method: &str, cause: Malformed) -> Error {
    Error::Node { host: "the node".to_owned(), method: method.to_owned(), what: cause.0 }
}

/// The held logs of one block. They are in the chain's order, so the block's lie together.
fn of_block(logs: &Logs, block: u64) -> Vec<Log<'_>> {
    let begin = partition(logs, |log| log.block < block);
    (begin..logs.len()).map_while(|place| logs.get(place).filter(|log| log.block == block)).collect()
}

/// The held logs of a range that a filter takes.
fn within(logs: &Logs, from: u64, to: u64, filter: &Filter) -> Logs {
    let mut taken = Logs::default();
    for log in logs.iter().filter(|log| (from..=to).contains(&log.block) && filter.takes(log)) {
        taken.push(&log);
    }
    taken.sorted()
}

fn partition(logs: &Logs, before: impl Fn(&Log<'_>) -> bool) -> usize {
    let (mut low, mut high) = (0, logs.len());
    while low < high {
        let middle = low + (high - low) / 2;
        match logs.get(middle) {
            Some(log) if before(&log) => low = middle + 1,
            _ => high = middle,
        }
    }
    low
}
