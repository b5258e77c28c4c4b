//! HyperSync: a service that has the logs of whole chains in columns and hands out those of millions of blocks at once.
//!
//! It is asked over its JSON interface, which its operator documents (docs.envio.dev, "HyperSync Query" and "Using curl with
//! HyperSync"): a `POST` to `/query` names blocks from `from_block` to before `to_block`, whose logs, and which fields. The reply has
//!
//! * `data`: a list of parts, each with lists of `logs` and of the `blocks` that these are in; numbers of logs are JSON
//!   numbers, a block's `timestamp` is hex in a string, and a topic that is not there is left out or null;
//! * `next_block`: where to go on, since a reply ends when the service has spent its time or said enough;
//! * `archive_height`: the newest block it has.
//!
//! It has no word for the hash of the last block of a range in which nothing happened, so a node's header is compared with its
//! own ([`HyperSync::confirm`]): else a service for another chain, on which our contracts are not, would pass for one that has
//! found no logs. What it leaves out shows as it does with a node, by [`crate::proof`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{Stream, stream};
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde_json::{Value, json};

use super::endpoint::{Endpoint, Scheme};
use super::fault::{Attempt, Fault};
use super::json::{Malformed, Scan};
use super::lane::Budget;
use super::logs::{self, Parts};
use super::pool::Pool;
use super::room::Room;
use super::transport::Transport;
use super::{Client, Filter, Header, LogRange, Options, Spent, Task};
use crate::log::{Logs, MAX_TOPICS};
use crate::{Error, Result};

/// The environment variable that has the service's token.
pub const TOKEN: &str = "TIDEGATE_HYPERSYNC_TOKEN";

/// Questions that are open at once: a service that is everyone's gives more per answer, not more answers.
const CONCURRENCY: u32 = 8;

/// Ranges that are read ahead.
const AHEAD: usize = 8;

/// The longest reply that is read. The service's own limit is some thousand logs, which are a tenth of it.
const LONGEST_REPLY: usize = 32 << 20;

/// Logs asked for at once; the service may give a few more, as it ends with a whole group of blocks.
const MOST_LOGS: u64 = 20_000;

/// Blocks in a first question, and the most in any.
const SPANS: (u64, u64) = (10_000, 4_000_000);

/// A reply with at most so many logs is one with room for those of twice the blocks.
const COMFORTABLE: usize = 2_000;

/// The columns of a log, as the service calls them; the last four are its topics.
const COLUMNS: [&str; 11] = [
    "block_number",
    "block_hash",
    "transaction_hash",
    "transaction_index",
    "log_index",
    "address",
    "data",
    "topic0",
    "topic1",
    "topic2",
    "topic3",
];

/// A HyperSync service of one chain. A copy is the same service.
#[derive(Clone)]
pub struct HyperSync {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    transport: Transport,
    pool: Pool,
    /// For its replies alone, which are longer and fewer than those of nodes.
    room: Arc<Room>,
    /// What may be in it, in bytes.
    most_bytes: usize,
    attempts: u32,
    /// The longest reply that is read, in bytes.
    longest: usize,
    budget: Arc<Budget>,
    /// The nodes whose headers its own are compared with.
    nodes: String,
    state: Mutex<State>,
}

struct State {
    spent: Spent,
    /// Blocks in the next question.
    span: u64,
}

/// What comes of a question: what was asked for, or what is said of it being too much.
type Said<T> = std::result::Result<T, String>;

impl HyperSync {
    /// The service at a URL, beside the nodes of a client, whose patience and whose budget of requests it shares. Its replies
    /// have a room of their own, as large as that of the nodes.
    ///
    /// # Errors
    /// It is no such URL, or the token is none. The message shows no more of either than the host.
    pub fn new(client: &Client, url: &str, token: Option<&str>) -> Result<Self> {
        let options = &client.inner.options;
        let options = Options {
            max_reply_bytes: options.max_reply_bytes.min(LONGEST_REPLY),
            concurrency: options.concurrency.min(CONCURRENCY),
            ..options.clone()
        };
        let mut endpoint = Endpoint::parse(&format!("{}/query", url.trim().trim_end_matches('/')))?;
        if !matches!(endpoint.scheme(), Scheme::Http | Scheme::Https) {
            return Err(Error::Unfit {
                what: format!("{}: HyperSync is spoken to over HTTP", endpoint.host()),
                advice: "name it by https://…".to_owned(),
            });
        }
        if let Some(token) = token {
            endpoint = endpoint.with_token(token)?;
        }
        let room = Arc::new(Room::new(&options, 1));
        let spent = Spent { host: endpoint.host().to_owned(), ..Spent::default() };
        let inner = Inner {
            transport: Transport::new(&endpoint, &options, &room)?,
            pool: Pool::new(std::iter::once(1), options.concurrency, options.backoff),
            room,
            most_bytes: options.max_bytes_at_once,
            attempts: options.attempts.max(1),
            longest: options.max_reply_bytes,
            budget: Arc::clone(&client.inner.budget),
            nodes: client.hosts(),
            state: Mutex::new(State { spent, span: SPANS.0 }),
            endpoint,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Where its operator serves a chain.
    #[must_use]
    pub fn url(chain: ChainId) -> String {
        format!("https://{}.hypersync.xyz", chain.0)
    }

    /// The host, which is all of its address that may be shown.
    #[must_use]
    pub fn host(&self) -> &str {
        self.inner.endpoint.host()
    }

    /// What was spent on it so far.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.inner.lock().spent.clone()
    }

    /// The most bytes of its replies that were held at once so far, and that may be.
    pub(crate) fn room(&self) -> (u64, u64) {
        (self.inner.room.peak() as u64, self.inner.most_bytes as u64)
    }

    /// All logs of a range of blocks that a filter takes, each with the time of its block, in pieces that follow one another
    /// without a hole, the next ones being read while one is handled.
    pub fn log_ranges(
        &self,
        filter: Filter,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<LogRange>> + Send + 'static {
        let walk = Walk {
            service: Arc::clone(&self.inner),
            filter: Arc::new(filter),
            next: Some(from),
            to,
            open: VecDeque::new(),
        };
        stream::unfold(walk, |mut walk| async move { walk.next().await.map(|range| (range, walk)) })
    }

    /// Makes sure that its chain is the one of a node's header: that it has a block of the same hash and time.
    ///
    /// # Errors
    /// It has another block of that number, or does not answer as it should.
    pub async fn confirm(&self, header: &Header) -> Result<()> {
        let block = header.number;
        let question = json!({
            "from_block": block,
            "to_block": block.saturating_add(1),
            "include_all_blocks": true,
            "field_selection": { "block": ["number", "hash", "timestamp"] },
        });
        let take = |reply: Reply| {
            let own = reply.blocks.get(&block).copied();
            own.ok_or_else(|| Malformed::new(format!("does not have block {block}, which was asked for")))
        };
        let said = self.inner.ask(block, &question.to_string(), take).await?;
        let (hash, time) = said.map_err(|what| self.inner.node(&what))?;
        if hash != header.hash {
            return Err(Error::Disagreement {
                block,
                first: self.inner.nodes.clone(),
                first_hash: header.hash,
                second: self.host().to_owned(),
                second_hash: hash,
            });
        }
        if time != header.time {
            let what = format!("gives block {block} the time {time}, which is {} in its header", header.time);
            return Err(self.inner.node(&what));
        }
        Ok(())
    }
}

impl fmt::Debug for HyperSync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HyperSync").field(&self.inner.endpoint).finish()
    }
}

/// A range on its way: what was read, and up to which block it was asked for.
type Reading = Task<Result<(LogRange, u64)>>;

/// A way through a range of blocks.
struct Walk {
    service: Arc<Inner>,
    filter: Arc<Filter>,
    /// Where what is asked for next begins.
    next: Option<u64>,
    to: u64,
    /// What is being read, in the order of its blocks.
    open: VecDeque<Reading>,
}

impl Walk {
    async fn next(&mut self) -> Option<Result<LogRange>> {
        while self.open.len() < AHEAD
            && let Some(from) = self.next.filter(|from| *from <= self.to)
        {
            let to = from.saturating_add(self.service.span() - 1).min(self.to);
            self.next = to.checked_add(1);
            let reading = self.read(from, to);
            self.open.push_back(reading);
        }
        match self.open.pop_front()?.await {
            Ok((range, to)) => {
                self.put_back(&range, to);
                Some(Ok(range))
            }
            Err(cause) => {
                (self.next, self.open) = (None, VecDeque::new());
                Some(Err(cause))
            }
        }
    }

    /// What of a range was not read comes first, in parts that are read at the same time.
    fn put_back(&mut self, read: &LogRange, to: u64) {
        let Some(from) = read.to.checked_add(1).filter(|from| *from <= to) else { return };
        let room = (2 * AHEAD).saturating_sub(self.open.len()).max(1) as u64;
        let part = self.service.span().max((to - from) / room + 1);
        let mut end = to;
        loop {
            let begin = end.saturating_sub(part - 1).max(from);
            let reading = self.read(begin, end);
            self.open.push_front(reading);
            if begin == from {
                return;
            }
            end = begin - 1;
        }
    }

    fn read(&self, from: u64, to: u64) -> Reading {
        let (service, filter) = (Arc::clone(&self.service), Arc::clone(&self.filter));
        Task(tokio::spawn(async move { Ok((service.range(&filter, from, to).await?, to)) }))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn span(&self) -> u64 {
        self.lock().span
    }

    /// The logs of the first blocks of a range, as many as come in one reply.
    async fn range(&self, filter: &Filter, from: u64, to: u64) -> Result<LogRange> {
        let mut asked = to;
        loop {
            let question = question(filter, from, asked);
            match self.ask(from, &question, |reply| reply.range(filter, from, asked)).await? {
                Ok(range) => {
                    self.bore(&range, to);
                    return Ok(range);
                }
                Err(what) if asked == from => return Err(self.node(&format!("block {from} alone: {what}"))),
                Err(_) => asked = from + (asked - from) / 2,
            }
        }
    }

    /// Asks for fewer blocks the next time where a reply ended early, and for more where there was little in it.
    fn bore(&self, range: &LogRange, to: u64) {
        let covered = (range.to - range.from).saturating_add(1);
        let mut state = self.lock();
        state.spent.logs += range.logs.len() as u64;
        if range.to < to {
            state.span = state.span.min(covered);
        } else if covered >= state.span && range.logs.len() <= COMFORTABLE {
            state.span = state.span.saturating_mul(2).min(SPANS.1);
        }
    }

    /// Puts a question that begins at a block until the reply is one that `take` takes.
    async fn ask<T>(
        &self,
        from: u64,
        question: &str,
        take: impl Fn(Reply) -> std::result::Result<T, Malformed>,
    ) -> Result<Said<T>> {
        let mut attempts = 0;
        loop {
            // Its one place is never barred.
            let Some(permit) = self.pool.take(&[]).await else { unreachable!("a place that is barred") };
            let fault = match self.send(question).await {
                Ok(reply) if reply.is_behind(from) => {
                    let tip = reply.height.unwrap_or(0);
                    return Err(Error::Behind { block: from, host: self.endpoint.host().to_owned(), tip });
                }
                Ok(reply) => match take(reply) {
                    Ok(taken) => {
                        permit.answered();
                        return Ok(Ok(taken));
                    }
                    Err(cause) => cause.into(),
                },
                Err(fault) => fault,
            };
            attempts += 1;
            let (what, after, is_passing) = match fault {
                Fault::Fleeting(what) => (what, None, true),
                Fault::Busy(what, after) => (what, after, true),
                Fault::Malformed(what) => (what, None, false),
                Fault::Oversized(what) => {
                    permit.answered();
                    return Ok(Err(self.endpoint.clean(&what)));
                }
                Fault::Budget => return Err(Error::Budget { spent: self.budget.spent() }),
                Fault::Refused(what) | Fault::Missing(what) | Fault::Batch(what) => return Err(self.node(&what)),
                Fault::Null | Fault::Behind | Fault::WrongChain(_) | Fault::Reverted(_) => {
                    return Err(self.node("says what only nodes say"));
                }
            };
            self.lock().spent.retries += 1;
            if attempts < self.attempts {
                permit.failed(after);
            } else if is_passing {
                let host = self.endpoint.host().to_owned();
                return Err(Error::Unreachable { host, what: self.endpoint.clean(&what), attempts });
            } else {
                return Err(self.node(&what));
            }
        }
    }

    async fn send(&self, question: &str) -> Attempt<Reply> {
        if !self.budget.spend(1) {
            return Err(Fault::Budget);
        }
        self.lock().spent.requests += 1;
        let delivery = self.transport.send(0, question.to_owned(), self.longest).await?;
        let is_throttled = matches!(delivery.status, 429 | 503);
        let mut state = self.lock();
        state.spent.bytes += delivery.body.len() as u64;
        state.spent.throttled += u64::from(is_throttled);
        drop(state);
        if matches!(delivery.status, 401 | 403) {
            return Err(Fault::Refused(format!("HTTP status {}: {TOKEN} must have its token", delivery.status)));
        }
        if delivery.is_success() { Ok(Reply::read(&delivery.body)?) } else { Err(delivery.fault()) }
    }

    /// Something is wrong with what it says; the words may be its own.
    fn node(&self, what: &str) -> Error {
        let (host, method) = (self.endpoint.host().to_owned(), "HyperSync".to_owned());
        Error::Node { host, method, what: self.endpoint.clean(what) }
    }
}

/// The question for the logs of blocks, both ends included.
fn question(filter: &Filter, from: u64, to: u64) -> String {
    let mut selection = serde_json::Map::new();
    if !filter.addresses.is_empty() {
        let addresses = filter.addresses.iter().map(|address| Value::from(format!("{address:#x}"))).collect();
        selection.insert("address".to_owned(), addresses);
    }
    if !filter.topics.is_empty() {
        let first: Value = filter.topics.iter().map(|topic| Value::from(format!("{topic:#x}"))).collect();
        selection.insert("topics".to_owned(), json!([first]));
    }
    let question = json!({
        "from_block": from,
        "to_block": to.saturating_add(1),
        "logs": [selection],
        "field_selection": { "log": COLUMNS, "block": ["number", "hash", "timestamp"] },
        "max_num_logs": MOST_LOGS,
    });
    question.to_string()
}

/// What a reply says, none of it believed yet.
#[derive(Debug, Default)]
struct Reply {
    logs: Logs,
    /// The hashes and times of blocks.
    blocks: BTreeMap<u64, (B256, u64)>,
    next: u64,
    height: Option<u64>,
}

impl Reply {
    fn read(text: &[u8]) -> std::result::Result<Self, Malformed> {
        let mut reply = Self::default();
        let mut data = Vec::new();
        let (mut next, mut has_data) = (None, false);
        let mut scan = Scan::new(text);
        scan.object(|scan, key| match key {
            b"data" => {
                if std::mem::replace(&mut has_data, true) {
                    return Err(logs::twice());
                }
                scan.list(|scan| reply.read_part(scan, &mut data))
            }
            b"next_block" => logs::once(&mut next, number(scan)?),
            b"archive_height" if scan.peek()? != b'n' => logs::once(&mut reply.height, number(scan)?),
            _ => scan.skip().map(drop),
        })?;
        scan.end()?;
        reply.next = next.filter(|_| has_data).ok_or_else(|| Malformed::new("lacks data or next_block"))?;
        Ok(reply)
    }

    fn read_part(&mut self, scan: &mut Scan<'_>, data: &mut Vec<u8>) -> std::result::Result<(), Malformed> {
        scan.object(|scan, key| match key {
            b"logs" => scan.list(|scan| read_log(scan, data, &mut self.logs)),
            b"blocks" => scan.list(|scan| {
                let (number, own) = read_block(scan)?;
                if self.blocks.insert(number, own).is_some_and(|before| before != own) {
                    return Err(Malformed::new(format!("has two versions of block {number}")));
                }
                Ok(())
            }),
            _ => scan.skip().map(drop),
        })
    }

    /// Whether the service has not got as far as a block that was asked for first.
    fn is_behind(&self, from: u64) -> bool {
        self.next <= from && self.height.is_some_and(|height| height < from)
    }

    /// The logs of the blocks that it covers of those that were asked for.
    fn range(self, filter: &Filter, from: u64, to: u64) -> std::result::Result<LogRange, Malformed> {
        let covered = self.next.checked_sub(1).filter(|last| (from..=to).contains(last));
        let last = covered.ok_or_else(|| {
            Malformed::new(format!("goes on at block {} where blocks {from} to {to} were asked for", self.next))
        })?;
        if let Some(height) = self.height.filter(|height| *height < last) {
            return Err(Malformed::new(format!("covers blocks to {last} and has them to {height} alone")));
        }
        logs::check(&self.logs, filter, from, last)?;
        Ok(LogRange { from, to: last, logs: logs::settle(self.logs, Some(&self.blocks))? })
    }
}

fn read_log(scan: &mut Scan<'_>, data: &mut Vec<u8>, out: &mut Logs) -> std::result::Result<(), Malformed> {
    let mut parts = Parts::default();
    let mut topics: [Option<B256>; MAX_TOPICS] = [None; MAX_TOPICS];
    scan.object(|scan, key| match key {
        b"block_number" => logs::once(&mut parts.block, number(scan)?),
        b"block_hash" => logs::once(&mut parts.block_hash, B256::from(scan.fixed()?)),
        b"transaction_hash" => logs::once(&mut parts.transaction, B256::from(scan.fixed()?)),
        b"transaction_index" => logs::once(&mut parts.transaction_index, number(scan)?),
        b"log_index" => logs::once(&mut parts.log_index, number(scan)?),
        b"address" => logs::once(&mut parts.address, Address::from(scan.fixed()?)),
        b"data" => {
            scan.bytes(data)?;
            if std::mem::replace(&mut parts.has_data, true) { Err(logs::twice()) } else { Ok(()) }
        }
        [b't', b'o', b'p', b'i', b'c', place @ b'0'..=b'3'] if scan.peek()? != b'n' => {
            logs::once(&mut topics[usize::from(place - b'0')], B256::from(scan.fixed()?))
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
    let count = topics.iter().take_while(|topic| topic.is_some()).count();
    if topics[count..].iter().any(Option::is_some) {
        return Err(Malformed::new("has a log with a topic behind one that is not there"));
    }
    parts.topics = topics.map(Option::unwrap_or_default);
    parts.topic_count = Some(count);
    parts.finish(data, out).map(drop)
}

fn read_block(scan: &mut Scan<'_>) -> std::result::Result<(u64, (B256, u64)), Malformed> {
    let (mut block, mut hash, mut time) = (None, None, None);
    scan.object(|scan, key| match key {
        b"number" => logs::once(&mut block, number(scan)?),
        b"hash" => logs::once(&mut hash, B256::from(scan.fixed()?)),
        b"timestamp" => logs::once(&mut time, number(scan)?),
        _ => scan.skip().map(drop),
    })?;
    let whole = || Some((block?, (hash?, time?)));
    whole().ok_or_else(|| Malformed::new("has a block that lacks a part"))
}

/// A number, which is one of JSON's or hex in a string.
fn number(scan: &mut Scan<'_>) -> std::result::Result<u64, Malformed> {
    if scan.peek()? == b'"' {
        return scan.quantity();
    }
    let range = scan.skip()?;
    let digits = &scan.text()[range];
    // The standard library would take a sign.
    let is_whole = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_whole);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| Malformed::new("has a number that is none"))
}

#[cfg(test)]
mod tests;
