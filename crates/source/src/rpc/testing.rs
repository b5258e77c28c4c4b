//! A node of our own on this machine, which can be told to misbehave: what the tests of the client talk to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alloy_primitives::keccak256;
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Client, Endpoint, Filter, Options};
use crate::Result;
use crate::log::{Log, Logs};

pub(super) const CHAIN: ChainId = ChainId(1);

/// What is done to one HTTP exchange, in place of answering it.
#[derive(Debug, Clone)]
pub(super) enum Trick {
    /// Nothing.
    Fair,
    /// A status, a header and a body.
    Status(u16, &'static str, String),
    /// The connection is closed without a word.
    Drop,
    /// The answer ends halfway, and the length says so.
    Truncate,
    /// The answer ends halfway and nothing more comes.
    Stall,
    /// The answer has another question's number.
    WrongId,
    /// Every result is replaced.
    Result(Value),
    /// Every log comes twice.
    Doubled,
    /// A log comes again with other data.
    Contradicted,
    /// A log from outside the range is added.
    Outside,
    /// A log that the filter does not take is added.
    Unasked,
    /// The last log is left out.
    Omitted,
}

/// How a node behaves, always.
#[derive(Debug, Clone)]
pub(super) struct Nature {
    pub(super) chain: u64,
    pub(super) latest: u64,
    pub(super) finalized: Option<u64>,
    /// What goes into the hashes of blocks: another fork has others.
    pub(super) fork: u8,
    pub(super) logs: Vec<(u64, u32, u8)>,
    pub(super) max_blocks: Option<u64>,
    pub(super) max_results: Option<usize>,
    pub(super) max_addresses: Option<usize>,
    pub(super) max_batch: usize,
    /// Whether logs come with the times of their blocks.
    pub(super) timed: bool,
    /// Replies to methods that are answered in one way only: a result, or an error.
    pub(super) fixed: Vec<(&'static str, std::result::Result<Value, Value>)>,
    /// Whether Multicall3 is there.
    pub(super) multicall: bool,
    /// How its headers' times differ from what they should be.
    pub(super) skew: i64,
    /// The newest block that it has as HyperSync, where that is another.
    pub(super) archived: Option<u64>,
    /// Logs after which it ends an answer as HyperSync, with the block that they are in.
    pub(super) page: usize,
    /// The first topics of its logs; made-up ones where there are none.
    pub(super) events: Vec<B256>,
}

impl Default for Nature {
    fn default() -> Self {
        Self {
            chain: CHAIN.0,
            latest: 100_000,
            finalized: Some(99_900),
            fork: 0,
            logs: Vec::new(),
            max_blocks: None,
            max_results: None,
            max_addresses: None,
            max_batch: 1_000,
            timed: true,
            fixed: Vec::new(),
            multicall: false,
            skew: 0,
            archived: None,
            page: usize::MAX,
            events: Vec::new(),
        }
    }
}

/// A node that listens.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) url: String,
    pub(super) mind: Arc<Mind>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
pub(super) struct Mind {
    pub(super) nature: Mutex<Nature>,
    pub(super) tricks: Mutex<VecDeque<Trick>>,
    /// The methods it was asked, in order.
    pub(super) asked: Mutex<Vec<String>>,
    /// What stood before the last question.
    pub(super) head: Mutex<String>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Mind {
    pub(super) fn new(nature: Nature) -> Arc<Self> {
        Arc::new(Self {
            nature: Mutex::new(nature),
            tricks: Mutex::default(),
            asked: Mutex::default(),
            head: Mutex::default(),
        })
    }

    pub(super) fn asked(&self, method: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == method).count()
    }
}

impl Node {
    pub(super) async fn start(nature: Nature) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mind = Mind::new(nature);
        let task = tokio::spawn(listen(listener, Arc::clone(&mind)));
        Self { url, mind, task }
    }

    pub(super) fn will(&self, tricks: impl IntoIterator<Item = Trick>) {
        self.mind.tricks.lock().unwrap().extend(tricks);
    }
}

async fn listen(listener: TcpListener, mind: Arc<Mind>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, Arc::clone(&mind)));
    }
}

async fn converse(mut stream: TcpStream, mind: Arc<Mind>) {
    let mut bytes = Vec::new();
    while let Some((head, body)) = read_request(&mut stream, &mut bytes).await {
        *mind.head.lock().unwrap() = head;
        let trick = mind.tricks.lock().unwrap().pop_front().unwrap_or(Trick::Fair);
        let request: Value = serde_json::from_slice(&body).unwrap();
        let whole = mind.reply(&request, &trick).to_string();
        let half = &whole[..whole.len() / 2];
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other tricks are within the answer")]
        let text = match &trick {
            Trick::Drop => return,
            Trick::Status(status, header, body) => {
                format!("HTTP/1.1 {status} X\r\n{header}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
            }
            Trick::Stall => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}", whole.len()),
            Trick::Truncate => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{half}", half.len()),
            _ => format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{whole}", whole.len()),
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What stands before the body of the next request, and the body.
async fn read_request(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    loop {
        let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text[..end].split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + length {
                let rest = bytes.split_off(end + 4 + length);
                let body = std::mem::replace(bytes, rest).split_off(end + 4);
                return Some((text[..end].to_owned(), body));
            }
        }
        if stream.read_buf(bytes).await.ok()? == 0 {
            return None;
        }
    }
}

impl Mind {
    pub(super) fn reply(&self, request: &Value, trick: &Trick) -> Value {
        let max_batch = self.nature.lock().unwrap().max_batch;
        match request.as_array() {
            Some(batch) if batch.len() > max_batch => {
                let message = if max_batch > 1 {
                    format!("Batch of more than {max_batch} requests are not allowed")
                } else {
                    "batch requests are not supported".to_owned()
                };
                json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": message } })
            }
            Some(batch) => batch.iter().rev().map(|request| self.reply(request, trick)).collect(),
            None => self.answer(request, trick),
        }
    }

    fn answer(&self, request: &Value, trick: &Trick) -> Value {
        if request["from_block"].is_u64() {
            self.asked.lock().unwrap().push("hypersync".to_owned());
            let reply = self.nature.lock().unwrap().hypersync(request);
            return if let Trick::Result(other) = trick { other.clone() } else { overlaid(reply, trick) };
        }
        let method = request["method"].as_str().unwrap();
        self.asked.lock().unwrap().push(method.to_owned());
        let nature = self.nature.lock().unwrap().clone();
        let outcome = match nature.fixed.iter().find(|(fixed, _)| *fixed == method) {
            Some((_, outcome)) => outcome.clone(),
            None => nature.result(method, &request["params"]),
        };
        let id = if matches!(trick, Trick::WrongId) { json!(1_u64 << 40) } else { request["id"].clone() };
        match outcome {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": tricked(result, trick) }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        }
    }
}

/// The same of a reply of HyperSync, whose numbers are JSON's.
fn overlaid(mut reply: Value, trick: &Trick) -> Value {
    let logs = &mut reply["data"][0]["logs"];
    *logs = tricked(logs.take(), trick);
    for log in logs.as_array_mut().into_iter().flatten() {
        // What a trick wrote as nodes do.
        let node = log.as_object_mut().unwrap().remove("blockNumber");
        if let Some(block) = node {
            log["block_number"] = json!(number(&block));
        }
    }
    reply
}

/// A result that a trick was played on. Tricks with logs leave everything else alone.
fn tricked(mut result: Value, trick: &Trick) -> Value {
    if let Trick::Result(other) = trick {
        return other.clone();
    }
    if let Some(logs) = result.as_array_mut()
        && let Some(first) = logs.first().cloned()
    {
        let mut other = first.clone();
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other tricks are not about logs")]
        match trick {
            Trick::Doubled => logs.extend(logs.clone()),
            Trick::Contradicted => {
                other["data"] = json!("0xbad0");
                logs.push(other);
            }
            Trick::Outside => {
                other["blockNumber"] = json!("0xffffff");
                logs.push(other);
            }
            Trick::Unasked => {
                other["address"] = json!(format!("{:#x}", Address::repeat_byte(0xee)));
                logs.push(other);
            }
            Trick::Omitted => {
                logs.pop();
            }
            _ => {}
        }
    }
    result
}

fn number(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().strip_prefix("0x").unwrap(), 16).unwrap()
}

fn complaint(code: i64, message: String) -> std::result::Result<Value, Value> {
    Err(json!({ "code": code, "message": message }))
}

impl Nature {
    fn result(&self, method: &str, params: &Value) -> std::result::Result<Value, Value> {
        match method {
            "eth_chainId" => Ok(json!(format!("{:#x}", self.chain))),
            "eth_blockNumber" => Ok(json!(format!("{:#x}", self.latest))),
            "eth_getBlockByNumber" => Ok(match params[0].as_str().unwrap() {
                "latest" => self.header(self.latest),
                "finalized" => self.finalized.map_or(Value::Null, |block| self.header(block)),
                _ => self.header(number(&params[0])),
            }),
            "eth_getLogs" => self.find(&params[0]),
            "eth_getCode" => Ok(json!(if self.multicall { "0x60" } else { "0x" })),
            "eth_call" => self.call(&params[0]),
            _ => complaint(-32601, format!("the method {method} does not exist")),
        }
    }

    pub(super) fn hash(&self, block: u64) -> B256 {
        keccak256(format!("{} {block}", self.fork))
    }

    pub(super) fn time(&self, block: u64) -> u64 {
        // The newest block is made now.
        (super::lane::now() / 1_000_000 * 1_000_000).saturating_sub(12 * (self.latest - block.min(self.latest)))
    }

    fn header(&self, block: u64) -> Value {
        if block > self.latest {
            return Value::Null;
        }
        let now = super::lane::now().saturating_sub(12 * (self.latest - block));
        json!({
            "number": format!("{block:#x}"),
            "hash": format!("{:#x}", self.hash(block)),
            "parentHash": format!("{:#x}", self.hash(block.saturating_sub(1))),
            "timestamp": format!("{:#x}", if self.skew == 0 { self.time(block) } else { now.saturating_add_signed(self.skew) }),
            "miner": format!("{:#x}", Address::repeat_byte(7)),
            "receiptsRoot": format!("{:#x}", B256::repeat_byte(8)),
            "logsBloom": format!("0x{}", "00".repeat(256)),
            "baseFeePerGas": "0x7",
            "gasUsed": "0x5208",
            "transactions": [],
        })
    }

    /// Calls return what they were called with; those of address 1 revert, and Multicall3 is Multicall3.
    fn call(&self, call: &Value) -> std::result::Result<Value, Value> {
        if call["to"] == json!("0x0000000000000000000000000000000000000001") {
            return Err(json!({ "code": 3, "message": "execution reverted", "data": "0x0bad" }));
        }
        if self.multicall && call["to"].as_str().unwrap().starts_with("0xca11bde") {
            return Ok(super::calls::tests::multicall(call["data"].as_str().unwrap()));
        }
        Ok(call["data"].clone())
    }

    fn find(&self, filter: &Value) -> std::result::Result<Value, Value> {
        let (from, to) = (number(&filter["fromBlock"]), number(&filter["toBlock"]));
        let addresses: Vec<Value> = filter["address"].as_array().cloned().unwrap_or_default();
        let topics: Vec<Value> = filter["topics"][0].as_array().cloned().unwrap_or_default();
        if self.max_blocks.is_some_and(|most| to - from + 1 > most) {
            return complaint(-32000, format!("exceed maximum block range: {}", self.max_blocks.unwrap()));
        }
        if self.max_addresses.is_some_and(|most| addresses.len() > most) {
            return complaint(-32000, "exceed max addresses".to_owned());
        }
        let logs = self.hidden();
        let fits = |log: &Log<'_>| {
            (from..=to).contains(&log.block)
                && (addresses.is_empty() || addresses.contains(&json!(format!("{:#x}", log.address))))
                && (topics.is_empty() || topics.contains(&json!(format!("{:#x}", log.topics[0]))))
        };
        let found: Vec<Value> = logs.iter().filter(fits).map(|log| self.write(&log)).collect();
        if self.max_results.is_some_and(|most| found.len() > most) {
            return complaint(-32005, format!("query returned more than {} results", self.max_results.unwrap()));
        }
        Ok(Value::Array(found))
    }

    /// What HyperSync answers: parts of a few logs each, and where to go on.
    fn hypersync(&self, request: &Value) -> Value {
        let (from, end) = (request["from_block"].as_u64().unwrap(), request["to_block"].as_u64().unwrap());
        let height = self.archived.unwrap_or(self.latest);
        let mut end = end.min(height + 1).max(from);
        let addresses = request["logs"][0]["address"].as_array().cloned().unwrap_or_default();
        let topics = request["logs"][0]["topics"][0].as_array().cloned().unwrap_or_default();
        let has = |list: &[Value], word: String| list.is_empty() || list.contains(&json!(word));
        let mut found: Vec<Value> = Vec::new();
        let is_all = request["include_all_blocks"] == json!(true);
        for log in self.hidden().iter().filter(|log| !is_all && (from..end).contains(&log.block)) {
            if found.len() >= self.page && found.last().is_some_and(|last| last["block_number"] != json!(log.block)) {
                end = log.block;
                break;
            }
            if has(&addresses, format!("{:#x}", log.address)) && has(&topics, format!("{:#x}", log.topics[0])) {
                found.push(self.write_column(&log));
            }
        }
        let mut blocks: Vec<u64> = found.iter().map(|log| log["block_number"].as_u64().unwrap()).collect();
        blocks.dedup();
        let blocks = if is_all { (from..end).collect() } else { blocks };
        let blocks = blocks.into_iter().map(|block| {
            json!({ "number": block, "hash": format!("{:#x}", self.hash(block)), "timestamp": format!("{:#x}", self.time(block)) })
        });
        let rest = found.split_off(found.len() / 2);
        json!({
            "data": [{ "logs": found, "blocks": blocks.collect::<Vec<_>>() }, { "logs": rest, "transactions": [] }, {}],
            "archive_height": height,
            "next_block": end,
            "total_execution_time": 3,
            "rollback_guard": null,
        })
    }

    fn write_column(&self, log: &Log<'_>) -> Value {
        let mut value = json!({
            "removed": false,
            "log_index": log.log_index,
            "transaction_index": log.transaction_index,
            "transaction_hash": format!("{:#x}", log.transaction),
            "block_hash": format!("{:#x}", log.block_hash),
            "block_number": log.block,
            "address": format!("{:#x}", log.address),
            "data": alloy_primitives::hex::encode_prefixed(log.data),
            "topic3": null,
        });
        for (place, topic) in log.topics.iter().enumerate() {
            value[format!("topic{place}")] = json!(format!("{topic:#x}"));
        }
        value
    }

    /// The logs of the chain: block, place in the block, and who wrote it.
    pub(super) fn hidden(&self) -> Logs {
        let mut logs = Logs::default();
        for (block, index, writer) in &self.logs {
            let transaction = keccak256(format!("{} {block} {}", self.fork, index / 3));
            logs.push(&Log {
                block: *block,
                block_hash: self.hash(*block),
                time: self.time(*block),
                transaction,
                transaction_index: index / 3,
                log_index: *index,
                address: Address::repeat_byte(*writer),
                topics: &[self.event(*writer), B256::with_last_byte(*writer)][..1 + usize::from(writer % 2)],
                data: &vec![*writer; *index as usize % 40],
            });
        }
        logs.sorted()
    }

    fn event(&self, writer: u8) -> B256 {
        self.events.get(usize::from(writer % 3)).copied().unwrap_or_else(|| topic(writer))
    }

    fn write(&self, log: &Log<'_>) -> Value {
        let mut value = json!({
            "address": format!("{:#x}", log.address),
            "topics": log.topics.iter().map(|topic| format!("{topic:#x}")).collect::<Vec<_>>(),
            "data": alloy_primitives::hex::encode_prefixed(log.data),
            "blockNumber": format!("{:#x}", log.block),
            "transactionHash": format!("{:#x}", log.transaction),
            "transactionIndex": format!("{:#x}", log.transaction_index),
            "blockHash": format!("{:#x}", log.block_hash),
            "logIndex": format!("{:#x}", log.log_index),
            "removed": false,
        });
        if self.timed {
            value["blockTimestamp"] = json!(format!("{:#x}", log.time));
        }
        value
    }
}

pub(super) fn topic(writer: u8) -> B256 {
    B256::repeat_byte(writer % 3)
}

/// All addresses and topics that [`Nature::logs`] can have.
pub(super) fn everything() -> Filter {
    Filter { addresses: (0..8).map(Address::repeat_byte).collect(), topics: (0..8).map(topic).collect() }
}

/// Quick to give up and quick to try again.
pub(super) fn options() -> Options {
    Options {
        timeout: Duration::from_secs(20),
        stall: Duration::from_millis(300),
        backoff: Duration::from_micros(200),
        attempts: 24,
        ..Options::default()
    }
}

pub(super) async fn client_of(urls: &[&str], options: Options) -> Result<Client> {
    let endpoints = urls.iter().map(|url| Endpoint::parse(url).unwrap()).collect();
    Client::connect(CHAIN, endpoints, options).await
}
