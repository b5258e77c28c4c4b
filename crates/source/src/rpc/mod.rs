//! What is asked of nodes, over several endpoints of one chain at once.
//!
//! * [`Endpoint`]: where a node answers; no message shows more of it than the host;
//! * [`Client`]: all endpoints of one chain, and every question that is put to them;
//! * [`Header`], [`Filter`], [`Call`], [`Answer`]: the questions and their answers;
//! * [`Options`], [`Meter`]: how patient and how thrifty, and what it came to.

mod endpoint;
mod header;
mod json;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alloy_primitives::{Bytes, keccak256};
use futures_util::{Stream, StreamExt, stream};
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde_json::value::RawValue;

pub use endpoint::Endpoint;
pub use header::Header;
pub use json::Malformed;

use crate::log::{Log, Logs};
use crate::{Error, Result};

/// Which logs are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who wrote them; any contract where this is empty.
    pub addresses: BTreeSet<Address>,
    /// What their first topic is; anything, or none, where this is empty.
    pub topics: BTreeSet<B256>,
}

impl Filter {
    /// A name for exactly these addresses and topics: the hash of both, counted and in order.
    #[must_use]
    pub fn hash(&self) -> B256 {
        let mut bytes = Vec::with_capacity(16 + 20 * self.addresses.len() + 32 * self.topics.len());
        bytes.extend_from_slice(&(self.addresses.len() as u64).to_be_bytes());
        self.addresses.iter().for_each(|address| bytes.extend_from_slice(address.as_slice()));
        bytes.extend_from_slice(&(self.topics.len() as u64).to_be_bytes());
        self.topics.iter().for_each(|topic| bytes.extend_from_slice(topic.as_slice()));
        keccak256(bytes)
    }

    /// Whether a log is among those asked for.
    #[must_use]
    pub fn takes(&self, log: &Log<'_>) -> bool {
        let address_fits = self.addresses.is_empty() || self.addresses.contains(&log.address);
        let topic_fits = self.topics.is_empty() || log.topics.first().is_some_and(|topic| self.topics.contains(topic));
        address_fits && topic_fits
    }
}

/// One `eth_call`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Call {
    /// Who is called.
    pub to: Address,
    /// With what.
    pub data: Bytes,
}

/// What a call came to. A revert is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It returned these bytes, which may be none.
    Returned(Bytes),
    /// It reverted, with these bytes, which may be none.
    Reverted(Bytes),
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
    /// The longest answer that is read, in bytes after decompression.
    pub max_reply_bytes: usize,
    /// How often a question is put, to all endpoints together, before it is given up.
    pub attempts: u32,
    /// The wait after a first failure; it doubles up to a minute, and a random part of it is waited.
    pub backoff: Duration,
    /// The most questions that are open at one endpoint.
    pub concurrency: u32,
    /// The most requests that are made in all, every one of a batch counted.
    pub max_requests: Option<u64>,
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
            max_reply_bytes: 256 << 20,
            attempts: 12,
            backoff: Duration::from_millis(250),
            concurrency: 16,
            max_requests: None,
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
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    chain: ChainId,
    endpoint: Endpoint,
    http: reqwest::Client,
    requests: AtomicU64,
}

impl Client {
    /// Asks every endpoint which chain it serves.
    ///
    /// # Errors
    /// None of them can be reached and serves the chain.
    pub async fn connect(chain: ChainId, endpoints: Vec<Endpoint>, options: Options) -> Result<Self> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let endpoint = endpoints.into_iter().next().ok_or_else(|| Error::Unfit {
            what: "no endpoint was named".to_owned(),
            advice: "name at least one".to_owned(),
        })?;
        let http = reqwest::Client::builder().timeout(options.timeout).build().map_err(|_| Error::Unfit {
            what: format!("{endpoint}: no connection can be prepared"),
            advice: "check that this machine has its certificates".to_owned(),
        })?;
        let client = Self { inner: Arc::new(Inner { chain, endpoint, http, requests: AtomicU64::new(0) }) };
        let found = client.request("eth_chainId", serde_json::json!([])).await?;
        let found = serde_json::from_str(found.get()).ok().and_then(json::quantity);
        match found.map(ChainId) {
            Some(found) if found == chain => Ok(client),
            Some(found) => Err(Error::WrongChain { host: client.host(), expected: chain, found }),
            None => Err(client.bad("eth_chainId", &Malformed::new("is no number"))),
        }
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.inner.chain
    }

    /// Where the chain has got to, as the endpoints agree.
    ///
    /// # Errors
    /// No endpoint answers, or two that keep up give different hashes for a final block.
    pub async fn tip(&self) -> Result<Tip> {
        let latest = self.block("latest").await?;
        let finalized = self.block("finalized").await.unwrap_or(None);
        let latest = latest.ok_or_else(|| self.bad("eth_getBlockByNumber", &Malformed::new("is null")))?;
        Ok(Tip { latest, finalized, behind: Vec::new(), clock: Vec::new() })
    }

    /// The header of a block, or none where no endpoint has got that far.
    ///
    /// # Errors
    /// No endpoint answers, or none as it should.
    pub async fn header(&self, block: u64) -> Result<Option<Header>> {
        self.block(&format!("{block:#x}")).await
    }

    async fn block(&self, tag: &str) -> Result<Option<Header>> {
        let raw = self.request("eth_getBlockByNumber", serde_json::json!([tag, false])).await?;
        if raw.get() == "null" {
            return Ok(None);
        }
        Header::read(raw.get()).map(Some).map_err(|cause| self.bad("eth_getBlockByNumber", &cause))
    }

    /// The headers of blocks, in the order asked for.
    ///
    /// # Errors
    /// A block that no endpoint has, by its number; or no endpoint answers as it should.
    pub async fn headers(&self, blocks: &[u64]) -> Result<Vec<Header>> {
        let mut headers = Vec::with_capacity(blocks.len());
        for block in blocks {
            let header = self.header(*block).await?;
            headers.push(header.ok_or_else(|| Error::Behind { block: *block, host: self.host(), tip: 0 })?);
        }
        Ok(headers)
    }

    /// All logs of a range of blocks that a filter takes, in the chain's order, each with the time of its block.
    ///
    /// # Errors
    /// No endpoint has got that far, answers, or answers as it should; or the logs of one address in one block are more than any
    /// of them hands out.
    pub async fn logs(&self, filter: &Filter, from: u64, to: u64) -> Result<Logs> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            address: &'a str,
            topics: Vec<&'a str>,
            data: &'a str,
            block_number: &'a str,
            block_hash: &'a str,
            transaction_hash: &'a str,
            transaction_index: &'a str,
            log_index: &'a str,
        }
        let topics: Vec<String> = filter.topics.iter().map(ToString::to_string).collect();
        let topics = if topics.is_empty() { serde_json::json!([]) } else { serde_json::json!([topics]) };
        let addresses: Vec<String> = filter.addresses.iter().map(|address| format!("{address:?}")).collect();
        let params = serde_json::json!([{
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"), "address": addresses, "topics": topics,
        }]);
        let raw = self.request("eth_getLogs", params).await?;
        let bad = |what| self.bad("eth_getLogs", &Malformed::new(what));
        let wires: Vec<Wire<'_>> = serde_json::from_str(raw.get()).map_err(|_| bad("is no list of logs"))?;
        let mut logs = Logs::default();
        let mut times = std::collections::BTreeMap::new();
        for wire in wires {
            let topics: Option<Vec<B256>> =
                wire.topics.iter().map(|topic| json::fixed::<32>(topic).map(B256::from)).collect();
            let (Some(topics), Some(data), Some(block)) =
                (topics, json::bytes(wire.data), json::quantity(wire.block_number))
            else {
                return Err(bad("has a log that is none"));
            };
            if let std::collections::btree_map::Entry::Vacant(place) = times.entry(block) {
                place.insert(self.headers(&[block]).await?[0].time);
            }
            let read = || {
                Some(Log {
                    block,
                    block_hash: json::fixed(wire.block_hash)?.into(),
                    time: times[&block],
                    transaction: json::fixed(wire.transaction_hash)?.into(),
                    transaction_index: u32::try_from(json::quantity(wire.transaction_index)?).ok()?,
                    log_index: u32::try_from(json::quantity(wire.log_index)?).ok()?,
                    address: json::fixed(wire.address)?.into(),
                    topics: &topics,
                    data: &data,
                })
            };
            logs.push(&read().ok_or_else(|| bad("has a log that is none"))?);
        }
        Ok(logs.sorted())
    }

    /// The same, in pieces that follow one another without a hole, the next ones being read while one is handled.
    pub fn log_ranges(
        &self,
        filter: Filter,
        from: u64,
        to: u64,
    ) -> impl Stream<Item = Result<LogRange>> + Send + 'static {
        let client = self.clone();
        stream::iter((from..=to).step_by(1_000)).then(move |begin| {
            let (client, filter) = (client.clone(), filter.clone());
            let end = to.min(begin.saturating_add(999));
            async move { Ok(LogRange { from: begin, to: end, logs: client.logs(&filter, begin, end).await? }) }
        })
    }

    /// What calls return at the end of a block, in the order of the calls.
    ///
    /// # Errors
    /// No endpoint has the block's state, answers, or answers as it should.
    pub async fn calls(&self, block: u64, calls: &[Call]) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(calls.len());
        for call in calls {
            let params = serde_json::json!([{ "to": format!("{:?}", call.to), "data": call.data.to_string() }, format!("{block:#x}")]);
            answers.push(match self.request("eth_call", params).await {
                Ok(raw) => Answer::Returned(self.read_bytes("eth_call", &raw)?),
                Err(Error::Node { what, .. }) if what.contains("revert") => Answer::Reverted(Bytes::new()),
                Err(other) => return Err(other),
            });
        }
        Ok(answers)
    }

    /// The code at an address at the end of a block; empty where there is none.
    ///
    /// # Errors
    /// No endpoint has the block's state, answers, or answers as it should.
    pub async fn code(&self, block: u64, address: Address) -> Result<Bytes> {
        let params = serde_json::json!([format!("{address:?}"), format!("{block:#x}")]);
        let raw = self.request("eth_getCode", params).await?;
        self.read_bytes("eth_getCode", &raw)
    }

    fn read_bytes(&self, method: &str, raw: &RawValue) -> Result<Bytes> {
        let bytes = serde_json::from_str(raw.get()).ok().and_then(json::bytes);
        bytes.ok_or_else(|| self.bad(method, &Malformed::new("is not bytes")))
    }

    /// Any other question, as JSON: the result, which is `null` only where every endpoint says so.
    ///
    /// # Errors
    /// No endpoint answers, or none as it should.
    pub async fn request(&self, method: &str, params: serde_json::Value) -> Result<Box<RawValue>> {
        #[derive(serde::Deserialize)]
        struct Reply<'a> {
            #[serde(borrow)]
            result: Option<&'a RawValue>,
            error: Option<serde_json::Value>,
        }
        let id = self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let body = serde_json::json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let unreachable = |what: reqwest::Error| Error::Unreachable {
            host: self.host(),
            what: what.without_url().to_string(),
            attempts: 1,
        };
        let request = self.inner.http.post(self.inner.endpoint.address()).header("content-type", "application/json");
        let reply = request.body(body).send().await.map_err(unreachable)?.bytes().await.map_err(unreachable)?;
        let reply: Reply<'_> =
            serde_json::from_slice(&reply).map_err(|_| self.bad(method, &Malformed::new("is no JSON-RPC reply")))?;
        match (reply.result, reply.error) {
            (Some(result), None) => Ok(result.to_owned()),
            (None, None) => Ok(RawValue::NULL.to_owned()),
            (_, Some(error)) => {
                Err(Error::Node { host: self.host(), method: method.to_owned(), what: error.to_string() })
            }
        }
    }

    /// What was spent so far.
    #[must_use]
    pub fn meter(&self) -> Meter {
        let requests = self.inner.requests.load(Ordering::Relaxed);
        Meter { endpoints: vec![Spent { host: self.host(), requests, ..Spent::default() }] }
    }

    fn host(&self) -> String {
        self.inner.endpoint.host().to_owned()
    }

    fn bad(&self, method: &str, cause: &Malformed) -> Error {
        Error::Node { host: self.host(), method: method.to_owned(), what: cause.to_string() }
    }
}
