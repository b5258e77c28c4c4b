//! A node that lies: a proxy in front of a good one that breaks what is told, counts how often, and is the same each
//! time.

use std::fmt::Write as _;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_primitives::{B256, Bloom};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::anvil;
use crate::http::{self, Connection};

/// What providers say where a range is too long; `{}` is the most they take.
pub const RANGE_TEXTS: [&str; 5] = [
    "query exceeds max block range {}",
    "exceed maximum block range: {}",
    "eth_getLogs is limited to a {} range",
    "You can make eth_getLogs requests with up to a {} block range. Upgrade your plan for more.",
    "block range is too wide (maximum {})",
];

/// What providers say where there are too many logs; `{}` is the most they return.
pub const RESULT_TEXTS: [&str; 3] = [
    "query returned more than {} results",
    "Log response size exceeded. You can make eth_getLogs requests with up to {} logs in the response.",
    "query exceeds max results {}",
];

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Hangs up without a word.
    Drop,
    /// Ends the JSON in the middle.
    Truncate,
    /// 429, and after how many seconds to come again, where it says so.
    TooMany(Option<u64>),
    /// 503 and a page for people.
    Unavailable,
    /// Answers only after this long.
    Stall(Duration),
    /// Says that it is another chain.
    Chain(u64),
    /// Says that its last block is this many further than it is.
    Ahead(u64),
    /// Knows nothing of the last so many blocks, and leaves their logs out without a word.
    Behind(u64),
    /// Refuses more than one request at a time.
    NoBatches,
    /// Refuses logs of more blocks than this, in a provider's words.
    Range(u64, &'static str),
    /// Refuses more logs than this, in a provider's words.
    Results(usize, &'static str),
    /// Has no state of blocks before this one.
    Pruned(u64),
    /// Says that no block has logs: its filter is empty.
    NoBloom,
    /// Repeats logs.
    Repeat(Which),
    /// Leaves logs out; the second says whether also from receipts, whose own filters then fit.
    Omit(Which, bool),
    /// Changes the last bit of a log's data; the second says whether also in receipts.
    Alter(Which, bool),
}

/// Which logs a fault is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// Every one.
    All,
    /// The one of a place: block, and number in the block.
    At(u64, u64),
    /// The `n`th in an answer, from 0.
    Nth(usize),
    /// All of an event.
    Topic(B256),
    /// All of some blocks, first and last.
    Blocks(u64, u64),
}

/// When a fault happens, of the times it could.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Each time.
    Always,
    /// The first so many times.
    First(u64),
    /// Every so many times.
    Every(u64),
    /// Once, at this time, from 1.
    Nth(u64),
}

#[derive(Debug)]
struct Rule {
    fault: Fault,
    /// Only where this method is asked.
    method: Option<String>,
    when: When,
    seen: u64,
    fired: u64,
}

impl Rule {
    /// Whether it happens this time, which is counted.
    fn is_due(&mut self) -> bool {
        self.seen += 1;
        let is_due = match self.when {
            When::Always => true,
            When::First(times) => self.seen <= times,
            When::Every(times) => self.seen.is_multiple_of(times),
            When::Nth(time) => self.seen == time,
        };
        self.fired += u64::from(is_due);
        is_due
    }

    fn is_about(&self, method: &str) -> bool {
        self.method.as_deref().is_none_or(|own| own == method)
    }
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    rules: Mutex<Vec<Rule>>,
    requests: AtomicU64,
    is_over: AtomicBool,
}

/// A proxy on a port of its own, until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Whoever waits for a caller gets one, and sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Proxy {
    /// In front of a node; it breaks nothing yet.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port for a proxy")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            rules: Mutex::default(),
            requests: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.is_over.load(Ordering::Relaxed) {
                    break;
                }
                let own = Arc::clone(&own);
                // A caller who leaves in the middle is no concern of the others.
                std::thread::spawn(move || drop(own.serve(stream)));
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a fault happens; its number is for [`Proxy::fired`].
    pub fn add(&self, fault: Fault, when: When) -> usize {
        self.add_to(fault, when, None)
    }

    /// The same only where a method is asked.
    pub fn add_to(&self, fault: Fault, when: When, method: Option<&str>) -> usize {
        let mut rules = self.shared.rules();
        rules.push(Rule { fault, method: method.map(str::to_owned), when, seen: 0, fired: 0 });
        rules.len() - 1
    }

    /// How often a fault has happened.
    pub fn fired(&self, rule: usize) -> u64 {
        self.shared.rules().get(rule).map_or(0, |rule| rule.fired)
    }

    /// Breaks nothing any more; numbers begin at 0 again.
    pub fn clear(&self) {
        self.shared.rules().clear();
    }

    /// How many HTTP requests came, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

/// What goes back to a caller.
enum Reply {
    Status(&'static str, String, Vec<u8>),
    HangUp,
}

/// What comes instead of an answer.
fn broken(fault: &Fault) -> Reply {
    if *fault == Fault::Drop {
        return Reply::HangUp;
    }
    if *fault == Fault::NoBatches {
        return fine(error(&Value::Null, -32_600, "batch requests are disabled").to_string().into_bytes());
    }
    if let Fault::TooMany(after) = fault {
        let after = after.map(|seconds| format!("Retry-After: {seconds}\r\n")).unwrap_or_default();
        let headers = format!("Content-Type: text/plain\r\n{after}");
        return Reply::Status("429 Too Many Requests", headers, b"rate limit exceeded".to_vec());
    }
    let page = b"<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>".to_vec();
    Reply::Status("503 Service Unavailable", "Content-Type: text/html\r\n".to_owned(), page)
}

fn fine(body: Vec<u8>) -> Reply {
    Reply::Status("200 OK", String::new(), body)
}

impl Shared {
    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut upstream = Connection::new(self.upstream);
        let mut stream = BufReader::new(stream);
        while let Some(message) = http::read(&mut stream)? {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let Reply::Status(status, headers, body) = self.answer(&mut upstream, &message.body)? else { break };
            let mut reply = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
            let is_json = headers.is_empty();
            reply += if is_json { "Content-Type: application/json\r\n" } else { &headers };
            let mut reply = (reply + "\r\n").into_bytes();
            reply.extend(body);
            stream.get_mut().write_all(&reply)?;
        }
        Ok(())
    }

    fn answer(&self, upstream: &mut Connection, body: &[u8]) -> Result<Reply> {
        let asked: Value = serde_json::from_slice(body).context("a request that is no JSON")?;
        let is_batch = asked.is_array();
        let requests = if let Value::Array(requests) = asked { requests } else { vec![asked] };
        let mut is_cut = false;
        for fault in self.transport(&requests, is_batch) {
            is_cut |= fault == Fault::Truncate;
            if let Fault::Stall(time) = fault {
                std::thread::sleep(time);
            } else if fault != Fault::Truncate {
                return Ok(broken(&fault));
            }
        }
        let replies: Result<Vec<Value>> = requests.into_iter().map(|request| self.one(upstream, request)).collect();
        let mut replies = replies?;
        let reply = if is_batch { Value::Array(replies) } else { replies.pop().unwrap_or_default() };
        let mut reply = serde_json::to_vec(&reply)?;
        if is_cut {
            reply.truncate(reply.len() / 2);
        }
        Ok(fine(reply))
    }

    /// What happens to a message as a whole.
    fn transport(&self, requests: &[Value], is_batch: bool) -> Vec<Fault> {
        let mut due = Vec::new();
        for rule in self.rules().iter_mut() {
            let can = matches!(
                rule.fault,
                Fault::Drop | Fault::Truncate | Fault::TooMany(_) | Fault::Unavailable | Fault::Stall(_)
            ) || (is_batch && rule.fault == Fault::NoBatches);
            let is_about = requests.iter().any(|request| rule.is_about(request["method"].as_str().unwrap_or_default()));
            if can && is_about && rule.is_due() {
                due.push(rule.fault.clone());
            }
        }
        due
    }

    fn one(&self, upstream: &mut Connection, mut request: Value) -> Result<Value> {
        let id = request["id"].clone();
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        let tip = if self.needs_tip() { tip(upstream)? } else { 0 };
        if let Some(refusal) = self.before(&id, &method, &mut request["params"], tip) {
            return Ok(refusal);
        }
        let mut reply = ask(upstream, &method, &request["params"])?;
        reply["id"] = id;
        Ok(self.after(&method, &request["params"], reply))
    }

    /// Whether some rule compares with the node's last block.
    fn needs_tip(&self) -> bool {
        self.rules().iter().any(|rule| matches!(rule.fault, Fault::Range(..) | Fault::Pruned(_) | Fault::Behind(_)))
    }

    /// What a request is refused for, or turned into, before the node sees it.
    fn before(&self, id: &Value, method: &str, params: &mut Value, tip: u64) -> Option<Value> {
        for rule in self.rules().iter_mut().filter(|rule| rule.is_about(method)) {
            let fault = rule.fault.clone();
            if let Fault::Range(most, text) = fault
                && method == "eth_getLogs"
            {
                let [from, to] = range(&params[0], tip);
                if (to + 1).saturating_sub(from) > most && rule.is_due() {
                    return Some(error(id, -32_602, &text.replace("{}", &most.to_string())));
                }
            } else if let Fault::Pruned(first) = fault {
                let block = state_block(method, params).map(|block| block_number(block, tip));
                if block.is_some_and(|block| block < first) && rule.is_due() {
                    return Some(error(id, -32_000, "missing trie node 5f5f (path ) state is not available"));
                }
            } else if let Fault::Behind(blocks) = fault {
                let tip = tip.saturating_sub(blocks);
                if is_held_back(method, params, tip) && rule.is_due() {
                    if is_beyond(method, params, tip) {
                        return Some(json!({"jsonrpc": "2.0", "id": id, "result": null}));
                    }
                    clamp(method, params, tip);
                }
            }
        }
        None
    }

    /// What becomes of the node's reply.
    fn after(&self, method: &str, params: &Value, mut reply: Value) -> Value {
        for rule in self.rules().iter_mut().filter(|rule| rule.is_about(method)) {
            let fault = rule.fault.clone();
            let is_block = method.starts_with("eth_getBlockBy") && reply["result"]["number"].is_string();
            if let Fault::Chain(id) = fault {
                let is_hex = method == "eth_chainId";
                if (is_hex || method == "net_version") && rule.is_due() {
                    reply["result"] = if is_hex { format!("{id:#x}") } else { id.to_string() }.into();
                }
            } else if let Fault::Ahead(blocks) = fault {
                let is_tag = params[0].as_str().is_some_and(|block| !block.starts_with("0x"));
                let is_number = method == "eth_blockNumber";
                if (is_number || (is_block && is_tag)) && rule.is_due() {
                    ahead(&mut reply["result"], blocks);
                }
            } else if let Fault::Behind(blocks) = fault {
                if method == "eth_blockNumber" && rule.is_due() {
                    let tip = anvil::number(&reply["result"]).unwrap_or(0).saturating_sub(blocks);
                    reply["result"] = format!("{tip:#x}").into();
                }
            } else if let Fault::Results(most, text) = fault {
                let is_more = reply["result"].as_array().is_some_and(|logs| logs.len() > most);
                if method == "eth_getLogs" && is_more && rule.is_due() {
                    return error(&reply["id"], -32_005, &text.replace("{}", &most.to_string()));
                }
            } else if fault == Fault::NoBloom {
                if is_block && rule.is_due() {
                    reply["result"]["logsBloom"] = Bloom::ZERO.to_string().into();
                }
            } else {
                on_logs(rule, method, &mut reply["result"]);
            }
        }
        reply
    }
}

fn tip(upstream: &mut Connection) -> Result<u64> {
    anvil::number(&ask(upstream, "eth_blockNumber", &json!([]))?["result"])
}

fn ask(upstream: &mut Connection, method: &str, params: &Value) -> Result<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    Ok(serde_json::from_slice(&upstream.post(body.as_bytes())?)?)
}

fn error(id: &Value, code: i64, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

/// A block as a request names it.
fn block_number(block: &Value, tip: u64) -> u64 {
    match block.as_str() {
        Some("earliest") => 0,
        Some(text) if text.starts_with("0x") => anvil::number(block).unwrap_or(tip),
        _ => tip,
    }
}

/// The first and last block of a filter; one block where it is named by hash.
fn range(filter: &Value, tip: u64) -> [u64; 2] {
    if filter["blockHash"].is_string() {
        return [tip, tip];
    }
    ["fromBlock", "toBlock"].map(|end| block_number(&filter[end], tip))
}

/// Where a request says at which block it wants state.
fn state_block<'a>(method: &str, params: &'a Value) -> Option<&'a Value> {
    let at = match method {
        "eth_call" | "eth_getBalance" | "eth_getCode" | "eth_getTransactionCount" | "eth_estimateGas" => 1,
        "eth_getStorageAt" | "eth_getProof" => 2,
        _ => return None,
    };
    params.get(at)
}

/// Whether a request reaches further than a last block, or asks what it is.
fn is_held_back(method: &str, params: &Value, tip: u64) -> bool {
    match method {
        "eth_getLogs" => range(&params[0], u64::MAX)[1] > tip,
        "eth_getBlockByNumber" | "eth_getBlockReceipts" => block_number(&params[0], u64::MAX) > tip,
        _ => state_block(method, params).is_some_and(|block| block_number(block, u64::MAX) > tip),
    }
}

/// Whether it names a block that is not there yet.
fn is_beyond(method: &str, params: &Value, tip: u64) -> bool {
    method.starts_with("eth_getBlock") && block_number(&params[0], tip) > tip
}

/// Names the last block instead.
fn clamp(method: &str, params: &mut Value, tip: u64) {
    let block: Value = format!("{tip:#x}").into();
    match method {
        "eth_getLogs" => {
            let from = block_number(&params[0]["fromBlock"], tip).min(tip);
            params[0]["fromBlock"] = format!("{from:#x}").into();
            params[0]["toBlock"] = block;
        }
        "eth_getBlockByNumber" | "eth_getBlockReceipts" => params[0] = block,
        "eth_getStorageAt" | "eth_getProof" => params[2] = block,
        _ => params[1] = block,
    }
}

/// The last block is further than it is, and has a hash nobody has seen.
fn ahead(result: &mut Value, blocks: u64) {
    let is_block = result.is_object();
    if is_block {
        result["hash"] = B256::repeat_byte(0xaa).to_string().into();
    }
    let place = if is_block { &mut result["number"] } else { result };
    if let Ok(number) = anvil::number(place) {
        *place = format!("{:#x}", number + blocks).into();
    }
}

fn on_logs(rule: &mut Rule, method: &str, result: &mut Value) {
    let also_receipts = matches!(rule.fault, Fault::Omit(_, true) | Fault::Alter(_, true));
    match method {
        "eth_getLogs" => {
            on_list(rule, result);
        }
        "eth_getBlockReceipts" if also_receipts => {
            result.as_array_mut().into_iter().flatten().for_each(|receipt| on_receipt(rule, receipt));
        }
        "eth_getTransactionReceipt" if also_receipts => on_receipt(rule, result),
        _ => {}
    }
}

fn on_receipt(rule: &mut Rule, receipt: &mut Value) {
    if !on_list(rule, &mut receipt["logs"]) {
        return;
    }
    let mut bloom = Bloom::ZERO;
    for log in receipt["logs"].as_array().into_iter().flatten().filter_map(|log| anvil::log(log).ok()) {
        bloom.accrue_log(&log);
    }
    receipt["logsBloom"] = bloom.to_string().into();
}

/// Whether the rule changed a list of logs.
fn on_list(rule: &mut Rule, logs: &mut Value) -> bool {
    let fault = rule.fault.clone();
    let (Fault::Repeat(which) | Fault::Omit(which, _) | Fault::Alter(which, _)) = &fault else { return false };
    let Some(logs) = logs.as_array_mut() else { return false };
    let chosen: Vec<bool> = logs.iter().enumerate().map(|(at, log)| is_chosen(which, at, log)).collect();
    if !chosen.contains(&true) || !rule.is_due() {
        return false;
    }
    let mut out = Vec::new();
    for (mut log, is_chosen) in std::mem::take(logs).into_iter().zip(chosen) {
        if !is_chosen {
            out.push(log);
            continue;
        }
        if matches!(fault, Fault::Omit(..)) {
            continue;
        }
        if matches!(fault, Fault::Repeat(_)) {
            out.push(log.clone());
        } else {
            alter(&mut log);
        }
        out.push(log);
    }
    *logs = out;
    true
}

fn is_chosen(which: &Which, at: usize, log: &Value) -> bool {
    let block = anvil::number(&log["blockNumber"]).unwrap_or(0);
    match which {
        Which::All => true,
        Which::At(of, index) => block == *of && anvil::number(&log["logIndex"]).is_ok_and(|own| own == *index),
        Which::Nth(nth) => at == *nth,
        Which::Topic(topic) => {
            log["topics"][0].as_str().is_some_and(|own| own.eq_ignore_ascii_case(&topic.to_string()))
        }
        Which::Blocks(first, last) => (*first..=*last).contains(&block),
    }
}

/// Changes the last bit of the data, or of the last topic where there is none.
fn alter(log: &mut Value) {
    let topics = log["topics"].as_array().map_or(0, Vec::len);
    let is_empty = log["data"].as_str().is_none_or(|data| data.len() <= 2);
    let place = if is_empty && topics > 0 { &mut log["topics"][topics - 1] } else { &mut log["data"] };
    let Some(text) = place.as_str() else { return };
    let (head, last) = text.split_at(text.len() - 1);
    let digit = u8::from_str_radix(last, 16).unwrap_or(0) ^ 1;
    let mut text = head.to_owned();
    let _ = write!(text, "{digit:x}");
    *place = text.into();
}
