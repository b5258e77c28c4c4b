//! What is asked of nodes, over several endpoints of one chain at once.
//!
//! * [`Endpoint`]: where a node answers; no message shows more of it than the host;
//! * [`Client`]: all endpoints of one chain, and every question that is put to them;
//! * [`Header`], [`Filter`], [`Call`], [`Answer`]: the questions and their answers;
//! * [`HyperSync`]: a service that is asked in place of nodes for the logs of finished blocks;
//! * [`Options`], [`Meter`]: how patient and how thrifty, and what it came to.
//!
//! A question goes to the endpoint that has done the least for its weight and has room (`pool`), and on to others until one answers or
//! none is left that could (`round`). What an endpoint hands out at once is learned from its refusals (`limits`, `lane`). Every
//! reply is held to be hostile until it was read (`json`, `wire`, `logs`).

mod calls;
mod endpoint;
mod fault;
mod fetch;
mod header;
mod hypersync;
pub(crate) mod json;
mod lane;
mod limits;
mod logs;
mod pool;
pub(crate) mod room;
mod round;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod tip;
mod transport;
mod wire;

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use protocol::Address;
use protocol::chain::ChainId;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

pub use endpoint::Endpoint;
pub use header::Header;
pub use hypersync::{HyperSync, TOKEN as HYPERSYNC_TOKEN};

pub use json::Malformed;
pub use limits::Limits;
pub use logs::{Parsed, parse_logs};

pub use crate::archive::reads::Answer;
pub use crate::log::Filter;

use self::fault::Fault;
use self::fetch::Turn;
use self::lane::{Budget, Lane};
use self::pool::Pool;
use self::room::Room;
use self::round::{Outcome, Round, Told, ask_many, ask_one};
use self::wire::Question;
use crate::log::Logs;
use crate::{Error, Result};

/// One `eth_call`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// Who is called.
    pub to: Address,
    /// With what.
    pub data: Bytes,
}

/// What a call came to, and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// What came back.
    pub answer: Answer,
    /// The host of the endpoint that answered.
    pub host: Arc<str>,
}

/// The result of any other question, and who gave it.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The result.
    pub json: Box<RawValue>,
    /// The host of the endpoint that answered; all of them, where all say `null`.
    pub host: Arc<str>,
}

/// Where the chain has got to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// The newest block that an endpoint has.
    pub latest: Header,
    /// The newest block that is final at every endpoint that keeps up; none where the chain has no such tag.
    pub finalized: Option<Header>,
    /// The endpoints that lag, and the newest block of each.
    pub behind: Vec<(String, u64)>,
    /// The endpoints whose newest block's time is not about now: by how many seconds it is ahead of this machine's clock
    /// (negative: behind it).
    pub clock: Vec<(String, i64)>,
}

/// The logs of a range of blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRange {
    /// The first block.
    pub from: u64,
    /// The last block.
    pub to: u64,
    /// All logs of these blocks that the filter takes, in the chain's order.
    pub logs: Logs,
}

/// How patient and how thrifty a client is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a question may take, answer included.
    pub timeout: Duration,
    /// How long an answer may stand still while it is being read.
    pub stall: Duration,
    /// The longest answer that is read, in bytes after decompression; at most a quarter of `max_bytes_at_once`.
    pub max_reply_bytes: usize,
    /// The most bytes of answers that are in memory at once, from all endpoints together. Logs that were read ahead come on top:
    /// of at most 16 stretches of blocks, and of each no more than some 12 MiB.
    pub max_bytes_at_once: usize,
    /// How often a question is put, to all endpoints together, before it is given up.
    pub attempts: u32,
    /// The wait after a first failure; it doubles up to a minute, and a random part of it is waited.
    pub backoff: Duration,
    /// The most questions that are open at one endpoint.
    pub concurrency: u32,
    /// The most requests that are made in all, every one of a batch counted.
    pub max_requests: Option<u64>,
    /// So many blocks below the newest, endpoints must agree on a chain that has no final blocks.
    pub depth: u64,
    /// An endpoint is passed over for new blocks when it is more blocks behind the best than this.
    pub max_lag: u64,
    /// The folder in which the limits that endpoints were found to have are kept from one run to the next.
    pub limits: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            stall: Duration::from_secs(15),
            max_reply_bytes: 128 << 20,
            max_bytes_at_once: 512 << 20,
            attempts: 12,
            backoff: Duration::from_millis(250),
            concurrency: 16,
            max_requests: None,
            depth: 256,
            max_lag: 16,
            limits: None,
        }
    }
}

/// What was spent on one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spent {
    /// The endpoint's host.
    pub host: String,
    /// Requests, every one of a batch counted.
    pub requests: u64,
    /// Requests that had to be made again, here or elsewhere.
    pub retries: u64,
    /// Requests that were turned away because there were too many.
    pub throttled: u64,
    /// Bytes received, after decompression.
    pub bytes: u64,
    /// Logs received.
    pub logs: u64,
}

/// What was spent on each endpoint so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meter {
    /// In the order in which the endpoints were given.
    pub endpoints: Vec<Spent>,
    /// The most bytes of answers that were in memory at once.
    pub peak_bytes: u64,
    /// The most that may be.
    pub most_bytes: u64,
}

impl Meter {
    /// All requests.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.endpoints.iter().map(|spent| spent.requests).sum()
    }

    /// All retries.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.endpoints.iter().map(|spent| spent.retries).sum()
    }

    /// All bytes received.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.endpoints.iter().map(|spent| spent.bytes).sum()
    }

    /// All logs received.
    #[must_use]
    pub fn logs(&self) -> u64 {
        self.endpoints.iter().map(|spent| spent.logs).sum()
    }
}

/// All endpoints of one chain. A copy is the same client.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    chain: ChainId,
    lanes: Vec<Lane>,
    pool: Pool,
    options: Options,
    budget: Arc<Budget>,
    room: Arc<Room>,
    multicall: calls::Multicall,
}

/// Rounds of questions at a time, where there are many.
const AT_ONCE: usize = 8;

/// Questions in one round.
const GROUP: usize = 100;

/// The most ranges of logs that are read ahead.
const AHEAD: usize = 16;

impl Client {
    /// Asks every endpoint which chain it serves. One that cannot be reached now is asked again when it is its turn; one that
    /// serves another chain is not asked anything else ([`Client::refused`]).
    ///
    /// # Errors
    /// None of them can be reached and serves the chain.
    pub async fn connect(chain: ChainId, endpoints: Vec<Endpoint>, options: Options) -> Result<Self> {
        if endpoints.is_empty() {
            return Err(Error::Unfit {
                what: "no endpoint was named".to_owned(),
                advice: "name at least one".to_owned(),
            });
        }
        let pool = Pool::new(endpoints.iter().map(Endpoint::weight), options.concurrency, options.backoff);
        let budget = Arc::new(Budget::new(options.max_requests));
        let room = Arc::new(Room::new(&options, endpoints.len()));
        let lanes: Result<Vec<Lane>> =
            endpoints.into_iter().map(|endpoint| Lane::new(endpoint, &options, Arc::clone(&budget), &room)).collect();
        let multicall = calls::Multicall::default();
        let inner = Inner { chain, lanes: lanes?, pool, options, budget, room, multicall };
        inner.check_chains().await?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.inner.chain
    }

    /// The endpoints that serve another chain, and which.
    #[must_use]
    pub fn refused(&self) -> Vec<(String, ChainId)> {
        let lanes = self.inner.lanes.iter();
        lanes.filter_map(|lane| Some((lane.host(), ChainId(lane.wrong_chain()?)))).collect()
    }

    /// Where the chain has got to, as the endpoints agree.
    ///
    /// # Errors
    /// No endpoint answers, or two give different hashes for a final block.
    pub async fn tip(&self) -> Result<Tip> {
        tip::tip(&self.inner).await
    }

    /// The header of a block, or none where no endpoint has got that far.
    ///
    /// # Errors
    /// No endpoint answers, or none as it should.
    pub async fn header(&self, block: u64) -> Result<Option<Header>> {
        let mut round = Round::new(&self.inner, "eth_getBlockByNumber", None);
        let question = tip::block(&format!("{block:#x}"));
        loop {
            let (permit, lane) = match round.lane().await {
                Ok(next) => next,
                Err(_) if matches!(round.last(), Some((_, Fault::Null))) => return Ok(None),
                Err(other) => return Err(other),
            };
            let fault = match lane.ask_text(&question).await {
                Ok(text) if text == "null" => Fault::Null,
                Ok(text) => match Header::of(&text, block) {
                    Ok(header) => {
                        permit.answered();
                        return Ok(Some(header));
                    }
                    Err(cause) => cause.into(),
                },
                // Some say so in place of a null.
                Err(Fault::Missing(_)) => Fault::Null,
                Err(fault) => fault,
            };
            round.failed(permit, fault);
        }
    }

    /// The headers of blocks, in the order asked for.
    ///
    /// # Errors
    /// A block that no endpoint has, by its number; or no endpoint answers as it should.
    pub async fn headers(&self, blocks: &[u64]) -> Result<Vec<Header>> {
        self.inner.headers(blocks).await
    }

    /// All logs of a range of blocks that a filter takes, in the chain's order, each with the time of its block.
    ///
    /// # Errors
    /// No endpoint has got that far, answers, or answers as it should; or the logs of one address in one block are more than any
    /// of them hands out.
    pub async fn logs(&self, filter: &Filter, from: u64, to: u64) -> Result<Logs> {
        let mut all = Logs::default();
        let mut ranges = std::pin::pin!(self.log_ranges(filter.clone(), from, to));
        while let Some(range) = ranges.try_next().await? {
            all.append(&range.logs);
        }
        Ok(all)
    }

    /// The same, in pieces that follow one another without a hole, the next ones being read while one is handled. How many blocks a piece
    /// has follows from what the endpoints hand out, and from what there is in them: of each stretch that is read ahead, no more
    /// than a few MiB wait.
    pub fn log_ranges(
        &self,
        filter: Filter,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<LogRange>> + Send + 'static {
        let (cutter, reader) = (Arc::clone(&self.inner), Arc::clone(&self.inner));
        let ahead = (self.inner.lanes.len() * 8).min(AHEAD);
        let pieces = stream::unfold(Some(from), move |begin| {
            let piece = begin.filter(|begin| *begin <= to).map(|begin| {
                let end = begin.saturating_add(cutter.span() - 1).min(to);
                ((begin, end), end.checked_add(1))
            });
            std::future::ready(piece)
        });
        let filter = Arc::new(filter);
        let (turn, turns) = watch::channel(0);
        let read = move |(number, (from, to)): (usize, (u64, u64))| {
            let (inner, filter) = (Arc::clone(&reader), Arc::clone(&filter));
            let (sender, receiver) = mpsc::channel(1);
            let stretch = fetch::Stretch { from, to, turn: Turn { number, now: turns.clone() } };
            // A task of its own goes on while the caller asks something else: else it would keep its place at an endpoint and
            // the caller could wait for that place for ever.
            let task = Task(tokio::spawn(async move { stretch.read(&inner, &filter, &sender).await }));
            std::future::ready((number, receiver, task))
        };
        pieces.enumerate().map(read).buffered(ahead).flat_map(move |(number, receiver, task)| {
            turn.send_replace(number);
            stream::unfold((receiver, Some(task)), |(mut receiver, mut task)| async move {
                if let Some(range) = receiver.recv().await {
                    return Some((range, (receiver, task)));
                }
                // It ended, well or in a panic, which goes on here.
                if let Some(task) = task.take() {
                    task.await;
                }
                None
            })
        })
    }

    /// What calls return at the end of a block, in the order of the calls. They go through Multicall3 where the block has it.
    ///
    /// # Errors
    /// No endpoint has the block's state, answers, or answers as it should.
    pub async fn calls(&self, block: u64, calls: &[Call]) -> Result<Vec<Answered>> {
        calls::calls(&self.inner, block, calls).await
    }

    /// The code at an address at the end of a block; empty where there is none.
    ///
    /// # Errors
    /// No endpoint has the block's state, answers, or answers as it should.
    pub async fn code(&self, block: u64, address: Address) -> Result<Bytes> {
        self.inner.code(block, address).await
    }

    /// Any other question, as JSON: the result, which is `null` only where every endpoint says so.
    ///
    /// # Errors
    /// No endpoint answers, or none as it should.
    pub async fn request(&self, method: &str, params: serde_json::Value) -> Result<Reply> {
        let question = Question::new(method.to_owned(), params.to_string());
        match ask_one(&self.inner, &question, None).await? {
            None => Ok(Reply { json: RawValue::NULL.to_owned(), host: self.hosts().into() }),
            Some((text, lane)) => {
                let json = RawValue::from_string(text);
                let json = json.map_err(|_| lane.node(method, "what it answers is not JSON"))?;
                Ok(Reply { json, host: lane.name() })
            }
        }
    }

    /// The hosts that are asked, in the order given.
    #[must_use]
    pub fn hosts(&self) -> String {
        let hosts: Vec<String> = self.inner.lanes.iter().map(Lane::host).collect();
        hosts.join(", ")
    }

    /// What was spent so far.
    #[must_use]
    pub fn meter(&self) -> Meter {
        Meter {
            endpoints: self.inner.lanes.iter().map(Lane::spent).collect(),
            peak_bytes: self.inner.room.peak() as u64,
            most_bytes: self.inner.options.max_bytes_at_once as u64,
        }
    }

    /// What each endpoint was found to hand out at most.
    #[must_use]
    pub fn limits(&self) -> Vec<(String, Limits)> {
        self.inner.lanes.iter().map(|lane| (lane.host(), lane.limits())).collect()
    }
}

/// A task that ends with whoever waits for it.
struct Task<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Future for Task<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<T> {
        let joined = std::task::ready!(Pin::new(&mut self.0).poll(context));
        std::task::Poll::Ready(joined.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic())))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<&Endpoint> = self.inner.lanes.iter().map(|lane| &lane.endpoint).collect();
        f.debug_struct("Client").field("chain", &self.inner.chain).field("endpoints", &endpoints).finish()
    }
}

impl Inner {
    /// At least one endpoint serves the chain; while none was reached, a few attempts are made and no more.
    async fn check_chains(&self) -> Result<()> {
        let checks = join_all(self.lanes.iter().map(|lane| lane.check_chain(self.chain))).await;
        if checks.iter().any(std::result::Result::is_ok) {
            return Ok(());
        }
        Round::first(self, "eth_chainId").lane().await.map(drop)
    }

    async fn headers(&self, blocks: &[u64]) -> Result<Vec<Header>> {
        let newest = blocks.iter().max().copied();
        let questions: Vec<Question> = blocks.iter().map(|block| tip::block(&format!("{block:#x}"))).collect();
        let groups: Vec<_> = questions.chunks(GROUP).map(|group| ask_many(self, group, newest)).collect();
        let told: Vec<Vec<Told<'_>>> = stream::iter(groups).buffered(AT_ONCE).try_collect().await?;
        let mut headers = Vec::with_capacity(blocks.len());
        for (block, Told { outcome, lane }) in blocks.iter().zip(told.into_iter().flatten()) {
            let Outcome::Value(text) = outcome else {
                return Err(self.node("eth_getBlockByNumber", &format!("has no block {block}")));
            };
            let header = Header::of(&text, *block);
            headers.push(header.map_err(|cause| lane.node("eth_getBlockByNumber", &cause.to_string()))?);
        }
        Ok(headers)
    }

    async fn code(&self, block: u64, address: Address) -> Result<Bytes> {
        let question = Question::new("eth_getCode", format!(r#"["{address:#x}","{block:#x}"]"#));
        let Some((text, lane)) = ask_one(self, &question, Some(block)).await? else {
            return Err(self.node("eth_getCode", "what they answer is not bytes"));
        };
        let bytes = serde_json::from_str(&text).ok().and_then(json::bytes);
        bytes.ok_or_else(|| lane.node("eth_getCode", "what it answers is not bytes"))
    }

    /// Blocks in the next piece: as many as the endpoint takes that takes the most.
    fn span(&self) -> u64 {
        self.lanes.iter().map(Lane::span).max().unwrap_or(1).max(1)
    }

    /// Keeps what was learned of an endpoint. Where it cannot be written it is learned again, which costs a few questions.
    fn keep(&self, lane: &Lane) {
        if let Some(folder) = &self.options.limits {
            let _ = lane.limits().save(folder, lane.endpoint.host());
        }
    }

    /// An answer that cannot be and that all of them gave.
    fn node(&self, method: &str, what: &str) -> Error {
        let hosts: Vec<&str> = self.lanes.iter().map(|lane| lane.endpoint.host()).collect();
        Error::Node { host: hosts.join(", "), method: method.to_owned(), what: what.to_owned() }
    }
}
