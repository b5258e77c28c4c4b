//! The levels over a client: each goes through a plan and comes back with a [`Report`].
//!
//! A block that a node will not or cannot answer for is counted among those of which nothing is known, with the reason, and
//! the rest go on. A client that can reach nobody, or has spent its budget, ends the run; what was learnt until then is
//! returned all the same, and [`Report::through`] says how far it got.

use std::ops::RangeInclusive;

use futures_util::{StreamExt, stream};
use serde::Deserialize;
use serde_json::json;

use super::bloom::{Sketch, Verdict as BloomVerdict, is_filled};
use super::compare::{Fault, differences, finding, prove_logs};
use super::plan::Plan;
use super::receipt::{self, BlockReceipts, Malformed, Verdict, verify};
use super::{Level, Report};
use crate::log::{Log, Logs};
use crate::rpc::{Client, Filter, Header};
use crate::{Error, Result};

/// How many blocks' receipts are asked for at once; the client bounds how many questions are open.
const AHEAD: usize = 16;
/// How many blocks are gone through at once.
const WINDOW: usize = 200;
/// The most blocks whose logs are read again at once.
const STEP: u64 = 2_000;

/// Where the held logs of a range of blocks come from: the archive, or a test. It returns at least those of the range, in the
/// chain's order. Ranges are asked for in order.
pub type Held<'a> = &'a mut (dyn FnMut(u64, u64) -> Result<Logs> + Send);

/// Who is told how far it has got, from time to time.
pub type Watch<'a> = &'a mut (dyn FnMut(&Report) + Send);

/// Compares the held logs of a plan's blocks with the receipts that their headers commit to: what was learnt, and whether it
/// got to the end.
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn prove_receipts(
    client: &Client,
    filter: &Filter,
    held: Held<'_>,
    plan: &Plan,
    watch: Watch<'_>,
) -> (Report, Result<()>) {
    let mut report = Report::new(Level::Receipts, plan.from, plan.to);
    let mut windows = Windows::of(client, plan);
    let ended = async {
        while let Some(window) = windows.next(held, &mut report).await? {
            let ended = receipts_of(client, filter, &window, &mut report).await;
            windows.tell(&mut report, watch);
            ended?;
        }
        Ok(())
    };
    let ended = ended.await;
    (report, ended)
}

async fn receipts_of(client: &Client, filter: &Filter, window: &Window, report: &mut Report) -> Result<()> {
    let mut answers = stream::iter(window.headers.clone())
        .map(|header| async move {
            let receipts = block_receipts(client, &header).await;
            (header, receipts)
        })
        .buffered(AHEAD);
    while let Some((header, answer)) = answers.next().await {
        match answer.map_err(reason) {
            Ok(receipts) => judge(client, filter, &header, &receipts, &window.of_block(header.number), report),
            Err(why) => report.cannot(why?, 1),
        }
        report.through = Some(header.number);
    }
    Ok(())
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
            let other = held.iter().filter(|log| log.block_hash != header.hash);
            let other: Vec<_> = other.map(|log| finding(log, Fault::Altered("block hash"))).collect();
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

/// Compares the held logs of a plan's blocks with the bloom filters of their headers, and reads suspect blocks again: what was
/// learnt, and whether it got to the end.
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn prove_bloom(
    client: &Client,
    filter: &Filter,
    held: Held<'_>,
    plan: &Plan,
    watch: Watch<'_>,
) -> (Report, Result<()>) {
    let mut report = Report::new(Level::Bloom, plan.from, plan.to);
    let mut filters = Filters { sketch: Sketch::new(filter), fills: false, empty: 0 };
    let mut windows = Windows::of(client, plan);
    let ended = async {
        while let Some(window) = windows.next(held, &mut report).await? {
            let ended = filters.of(client, filter, &window, &mut report).await;
            windows.tell(&mut report, watch);
            ended?;
        }
        Ok(())
    };
    let ended = ended.await;
    if filters.fills {
        report.checked += filters.empty;
    } else {
        report.cannot("the chain's blocks leave the bloom filter empty", filters.empty);
    }
    (report, ended)
}

/// What was seen of blocks' bloom filters.
struct Filters {
    sketch: Sketch,
    /// Whether any block fills it.
    fills: bool,
    /// Blocks that do not.
    empty: u64,
}

impl Filters {
    async fn of(&mut self, client: &Client, filter: &Filter, window: &Window, report: &mut Report) -> Result<()> {
        for header in &window.headers {
            let logs = window.of_block(header.number);
            self.fills |= is_filled(&header.logs_bloom);
            match self.sketch.check(header, &logs) {
                BloomVerdict::NotProvable(why) => report.cannot(why, 1),
                BloomVerdict::Empty => self.empty += 1,
                verdict @ (BloomVerdict::Agrees | BloomVerdict::Suspect { .. } | BloomVerdict::Contradicted(_)) => {
                    if logs.is_empty() {
                        report.suspect_by_chance += self.sketch.chance(&header.logs_bloom);
                    }
                    settle(client, filter, verdict, &logs, header.number, report).await?;
                    report.checked += 1;
                }
            }
            report.through = Some(header.number);
        }
        Ok(())
    }
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
/// [`Fault::Omitted`], one that only we have is [`Fault::Foreign`]. What was learnt, and whether it got to the end.
///
/// # Errors
/// Nobody can be reached, the budget is spent, or the held logs cannot be read.
pub async fn second_opinion(
    client: &Client,
    filter: &Filter,
    held: Held<'_>,
    ranges: &[RangeInclusive<u64>],
    watch: Watch<'_>,
) -> (Report, Result<()>) {
    let from = ranges.iter().map(|range| *range.start()).min().unwrap_or(0);
    let to = ranges.iter().map(|range| *range.end()).max().unwrap_or(0);
    let before = client.meter().requests();
    let mut report = Report::new(Level::SecondEndpoint, from, to);
    for range in ranges {
        let mut next = (!range.is_empty()).then_some(*range.start());
        while let Some(begin) = next {
            let end = begin.saturating_add(STEP - 1).min(*range.end());
            next = (end < *range.end()).then(|| end + 1);
            if let Err(error) = compare_range(client, filter, held, begin..=end, &mut report).await {
                return (report, Err(error));
            }
            report.through = Some(end);
            report.requests = client.meter().requests().saturating_sub(before);
            watch(&report);
        }
    }
    (report, Ok(()))
}

async fn compare_range(
    client: &Client,
    filter: &Filter,
    held: Held<'_>,
    range: RangeInclusive<u64>,
    report: &mut Report,
) -> Result<()> {
    let (begin, end) = (*range.start(), *range.end());
    let theirs = match client.logs(filter, begin, end).await {
        Ok(theirs) => theirs,
        Err(error) => {
            report.cannot(reason(error)?, end - begin + 1);
            return Ok(());
        }
    };
    let ours = within(&held(begin, end)?, begin, end, filter);
    let wrong = differences(&ours, &theirs);
    let bad = wrong.iter().filter(|one| one.fault != Fault::Omitted).count();
    report.checked += end - begin + 1;
    report.right += ours.len().saturating_sub(bad) as u64;
    report.wrong.add(wrong);
    Ok(())
}

/// A plan's blocks, some at a time.
struct Windows<'a> {
    client: &'a Client,
    blocks: Box<dyn Iterator<Item = u64> + Send + 'a>,
    /// Requests that were made before.
    before: u64,
}

/// Some blocks: their headers, as far as they could be had, and the logs that are held of them.
struct Window {
    headers: Vec<Header>,
    held: Logs,
}

impl<'a> Windows<'a> {
    fn of(client: &'a Client, plan: &'a Plan) -> Self {
        Self { client, blocks: plan.blocks(), before: client.meter().requests() }
    }

    /// Counts what was asked by now, and says how far it has got.
    fn tell(&self, report: &mut Report, watch: Watch<'_>) {
        report.requests = self.client.meter().requests().saturating_sub(self.before);
        watch(report);
    }

    /// The next blocks, or none. Blocks without a header go to the report.
    async fn next(&mut self, held: Held<'_>, report: &mut Report) -> Result<Option<Window>> {
        let client = self.client;
        let blocks: Vec<u64> = self.blocks.by_ref().take(WINDOW).collect();
        let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return Ok(None) };
        let headers = match client.headers(&blocks).await {
            Ok(headers) => headers,
            Err(error) => {
                // One block that is not to be had must not cost the others.
                reason(error)?;
                one_by_one_headers(client, &blocks, report).await?
            }
        };
        // Blocks far apart are read by themselves, so that a sample does not load what lies between.
        let held = if (last - first) / 4 <= blocks.len() as u64 {
            held(*first, *last)?
        } else {
            let mut logs = Logs::default();
            for block in &blocks {
                of_block(&held(*block, *block)?, *block).iter().for_each(|log| logs.push(log));
            }
            logs
        };
        Ok(Some(Window { headers, held }))
    }
}

impl Window {
    fn of_block(&self, block: u64) -> Vec<Log<'_>> {
        of_block(&self.held, block)
    }
}

async fn one_by_one_headers(client: &Client, blocks: &[u64], report: &mut Report) -> Result<Vec<Header>> {
    let mut headers = Vec::with_capacity(blocks.len());
    for block in blocks {
        match client.header(*block).await {
            Ok(Some(header)) => headers.push(header),
            Ok(None) => report.cannot("no endpoint has the block", 1),
            Err(error) => report.cannot(reason(error)?, 1),
        }
    }
    Ok(headers)
}

/// Why nothing is known of a block, or the error where it would be no better for the next one.
fn reason(error: Error) -> Result<String> {
    match error {
        Error::Node { what, .. } => Ok(format!("no endpoint answered as it should: {what}")),
        Error::Pruned { host, .. } => Ok(format!("{host} no longer has the block")),
        Error::Moved { .. } => Ok("it was exchanged for another one".to_owned()),
        Error::Behind { .. } => Ok("no endpoint has the block yet".to_owned()),
        Error::TooLarge { host, .. } => Ok(format!("{host} refuses so long an answer")),
        other @ (Error::Io { .. }
        | Error::Locked { .. }
        | Error::BadFile { .. }
        | Error::Unfit { .. }
        | Error::Unreachable { .. }
        | Error::WrongChain { .. }
        | Error::Disagreement { .. }
        | Error::OtherHistory { .. }
        | Error::Budget { .. }) => Err(other),
    }
}

/// All receipts of a block: at once where the node can, else transaction by transaction.
///
/// # Errors
/// No endpoint answers as it should.
pub async fn block_receipts(client: &Client, header: &Header) -> Result<BlockReceipts> {
    let params = json!([format!("{:#x}", header.number)]);
    match client.request(ALL, params).await {
        Ok(reply) => match receipt::parse_block(reply.json.get(), header.number, header.hash) {
            Ok(Some(receipts)) => Ok(receipts),
            // A node that has the header and says `null` does not keep receipts by block, or lost them.
            Ok(None) => one_by_one(client, header).await,
            Err(cause) => Err(misread(&reply.host, ALL, cause)),
        },
        Err(Error::Node { .. }) => one_by_one(client, header).await,
        Err(other) => Err(other),
    }
}

const ALL: &str = "eth_getBlockReceipts";
const BLOCK: &str = "eth_getBlockByNumber";
const ONE: &str = "eth_getTransactionReceipt";

#[derive(Deserialize)]
struct Block {
    hash: String,
    transactions: Vec<String>,
}

async fn one_by_one(client: &Client, header: &Header) -> Result<BlockReceipts> {
    let reply = client.request(BLOCK, json!([format!("{:#x}", header.number), false])).await?;
    let wrong = |what: &str| misread(&reply.host, BLOCK, Malformed(what.to_owned()));
    let block: Block =
        serde_json::from_str(reply.json.get()).map_err(|_| wrong("is no block with its transactions"))?;
    if block.hash.to_ascii_lowercase() != header.hash.to_string() {
        return Err(wrong("is another block than a moment ago"));
    }
    let mut asked = stream::iter(block.transactions)
        .map(|hash| async move { client.request(ONE, json!([hash])).await })
        .buffered(AHEAD);
    let mut receipts = Vec::new();
    while let Some(answer) = asked.next().await {
        let answer = answer?;
        let receipt = receipt::parse(answer.json.get(), header.hash);
        let absent = || Malformed("a receipt of a transaction of the block is not there".to_owned());
        let receipt = receipt.and_then(|receipt| receipt.ok_or_else(absent));
        receipts.push(receipt.map_err(|cause| misread(&answer.host, ONE, cause))?);
    }
    Ok(receipt::sort_out(receipts, header.number, header.hash))
}

fn misread(host: &str, method: &str, cause: Malformed) -> Error {
    Error::Node { host: host.to_owned(), method: method.to_owned(), what: cause.0 }
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
