//! One endpoint: the way to it, what it bears, and what was spent on it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use protocol::chain::ChainId;

use super::endpoint::Endpoint;
use super::fault::{Attempt, Fault};
use super::json::{self, Malformed, Scan};
use super::limits::{Excess, Limits};
use super::room::Room;
use super::transport::{Delivery, Transport};
use super::wire::{self, Question, Said};
use super::{Options, Spent};
use crate::{Error, Result};

/// Blocks in a first question for logs, where nothing is known.
const FIRST_SPAN: u64 = 2_000;

/// The most blocks in a question for logs, however empty they are.
const LONGEST_SPAN: u64 = 1_000_000;

/// Logs that one answer should hold: more cost memory, fewer cost questions.
const COMFORTABLE: u64 = 10_000;

/// Questions in one batch, where the endpoint has not said otherwise.
const BATCH: u64 = 100;

/// One endpoint.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) endpoint: Endpoint,
    /// The host, which everything it says is marked with.
    name: Arc<str>,
    transport: Transport,
    bearing: Mutex<Bearing>,
    /// The newest block it is known to have.
    tip: AtomicU64,
    /// Whether it said since its last failure that it serves the right chain.
    is_right: AtomicBool,
    /// The chain it serves where that is another one; zero otherwise.
    wrong: AtomicU64,
    next_id: AtomicU64,
    budget: Arc<Budget>,
    requests: AtomicU64,
    retries: AtomicU64,
    throttled: AtomicU64,
    bytes: AtomicU64,
    logs: AtomicU64,
}

/// How many requests were made of all endpoints together, and how many may be.
#[derive(Debug)]
pub(super) struct Budget {
    spent: AtomicU64,
    most: u64,
}

impl Budget {
    pub(super) fn new(most: Option<u64>) -> Self {
        Self { spent: AtomicU64::new(0), most: most.unwrap_or(u64::MAX) }
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// Whether so many more are allowed, which they then are no longer.
    pub(super) fn spend(&self, count: u64) -> bool {
        let more = |spent: u64| spent.checked_add(count).filter(|spent| *spent <= self.most);
        self.spent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

/// How much at once an endpoint was found to bear.
#[derive(Debug, Clone, Copy)]
struct Bearing {
    limits: Limits,
    /// Blocks in the next question for logs.
    span: u64,
    /// Full answers in a row, and how many it takes before more is asked for.
    streak: u32,
    patience: u32,
}

impl Lane {
    pub(super) fn new(endpoint: Endpoint, options: &Options, budget: Arc<Budget>, room: &Arc<Room>) -> Result<Self> {
        let transport = Transport::new(&endpoint, options, room)?;
        let limits =
            options.limits.as_ref().map(|folder| Limits::load(folder, endpoint.host(), now())).unwrap_or_default();
        let span = FIRST_SPAN.min(limits.blocks.unwrap_or(u64::MAX));
        Ok(Self {
            name: endpoint.host().into(),
            endpoint,
            transport,
            bearing: Mutex::new(Bearing { limits, span, streak: 0, patience: 1 }),
            tip: AtomicU64::new(0),
            is_right: AtomicBool::new(false),
            wrong: AtomicU64::new(0),
            next_id: AtomicU64::new(1),
            budget,
            requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            logs: AtomicU64::new(0),
        })
    }

    pub(super) fn host(&self) -> String {
        self.endpoint.host().to_owned()
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// An answer of its own that cannot be.
    pub(super) fn node(&self, method: &str, what: &str) -> Error {
        Error::Node { host: self.host(), method: method.to_owned(), what: what.to_owned() }
    }

    pub(super) fn spent(&self) -> Spent {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Spent {
            host: self.host(),
            requests: count(&self.requests),
            retries: count(&self.retries),
            throttled: count(&self.throttled),
            bytes: count(&self.bytes),
            logs: count(&self.logs),
        }
    }

    pub(super) fn note_fault(&self, fault: &Fault) {
        if matches!(fault, Fault::Fleeting(_) | Fault::Busy(..) | Fault::Malformed(_)) {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(fault, Fault::Busy(..)) {
            self.throttled.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn note_logs(&self, count: usize) {
        self.logs.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn tip(&self) -> u64 {
        self.tip.load(Ordering::Relaxed)
    }

    pub(super) fn note_tip(&self, block: u64) {
        self.tip.store(block, Ordering::Relaxed);
    }

    /// Asks one thing; `read` takes the result in the pass in which the reply is read.
    pub(super) async fn ask<T>(
        &self,
        question: &Question,
        read: impl for<'a> FnMut(&mut Scan<'a>) -> std::result::Result<T, Malformed>,
    ) -> Attempt<Said<T>> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let delivery = self.deliver(id, 1, question.text(id), question.longest).await?;
        match wire::reply(&delivery.body, id, read) {
            Ok(Err(mut complaint)) => {
                if delivery.status == 429 {
                    complaint.code = 429;
                }
                complaint.after = delivery.retry_after;
                Ok(Err(complaint))
            }
            Ok(Ok(value)) if delivery.is_success() => Ok(Ok(value)),
            Err(cause) if delivery.is_success() => Err(cause.into()),
            Ok(Ok(_)) | Err(_) => Err(delivery.fault()),
        }
    }

    /// Asks one thing and takes the result as text.
    pub(super) async fn ask_text(&self, question: &Question) -> Attempt<String> {
        let said = self.ask(question, |scan| wire::raw(scan).map(str::to_owned)).await?;
        said.map_err(|complaint| complaint.sort(&question.method))
    }

    /// Asks several things at once, each answered or not.
    pub(super) async fn ask_all(&self, questions: &[Question]) -> Attempt<Vec<Attempt<String>>> {
        if questions.len() == 1 || !self.transport.takes_batches() {
            let each = questions.iter().map(|question| self.ask_text(question));
            return Ok(futures_util::future::join_all(each).await);
        }
        let count = questions.len() as u64;
        let id = self.next_id.fetch_add(count, Ordering::Relaxed);
        let texts: Vec<String> = questions.iter().zip(id..).map(|(question, id)| question.text(id)).collect();
        let delivery = self.deliver(id, count, format!("[{}]", texts.join(",")), usize::MAX).await?;
        let said = match wire::batch(&delivery.body, id, questions.len()) {
            Ok(said) => said,
            Err(cause) => return Err(self.batch_fault(&delivery, cause, count)),
        };
        // Some refuse a batch in every one of its answers.
        if let Some(Some(Err(complaint))) = said.iter().find(|said| matches!(said, Some(Err(_))))
            && complaint.message.to_ascii_lowercase().contains("batch")
        {
            self.learn_batch(&complaint.message, count);
            return Err(Fault::Batch(complaint.message.clone()));
        }
        let lacking = || Fault::Malformed("what it answers lacks the answer to a question".to_owned());
        Ok(questions
            .iter()
            .zip(said)
            .map(|(question, said)| match said {
                Some(Ok(text)) => Ok(text.to_owned()),
                Some(Err(mut complaint)) => {
                    complaint.after = delivery.retry_after;
                    Err(complaint.sort(&question.method))
                }
                None => Err(lacking()),
            })
            .collect())
    }

    /// What a reply to a batch means that is no list of answers.
    fn batch_fault(&self, delivery: &Delivery, cause: Malformed, count: u64) -> Fault {
        // A complaint about all of it has the number of none of its questions.
        let said = wire::complaint(&delivery.body);
        if let Some(mut complaint) = said {
            complaint.after = delivery.retry_after;
            if complaint.is_about_batch() || matches!(delivery.status, 400 | 405 | 413 | 422) {
                self.learn_batch(&complaint.message, count);
                return Fault::Batch(complaint.message);
            }
            return complaint.sort("batch");
        }
        if matches!(delivery.status, 400 | 405 | 413 | 415 | 422) {
            self.learn_batch("", count);
            return Fault::Batch(format!("HTTP status {}", delivery.status));
        }
        if delivery.is_success() { cause.into() } else { delivery.fault() }
    }

    async fn deliver(&self, id: u64, count: u64, text: String, longest: usize) -> Attempt<Delivery> {
        if !self.budget.spend(count) {
            return Err(Fault::Budget);
        }
        self.requests.fetch_add(count, Ordering::Relaxed);
        match self.transport.send(id, text, longest).await {
            Ok(delivery) => {
                self.bytes.fetch_add(delivery.body.len() as u64, Ordering::Relaxed);
                Ok(delivery)
            }
            Err(fault) => {
                // Whoever answers there next may be somebody else.
                self.is_right.store(false, Ordering::Relaxed);
                Err(fault)
            }
        }
    }

    /// The chain it serves where that is another one.
    pub(super) fn wrong_chain(&self) -> Option<u64> {
        Some(self.wrong.load(Ordering::Relaxed)).filter(|chain| *chain != 0)
    }

    /// Makes sure that it serves the chain.
    pub(super) async fn check_chain(&self, chain: ChainId) -> Attempt<()> {
        if self.is_right.load(Ordering::Relaxed) {
            return Ok(());
        }
        match self.number("eth_chainId").await? {
            found if found == chain.0 => {
                self.is_right.store(true, Ordering::Relaxed);
                self.wrong.store(0, Ordering::Relaxed);
                Ok(())
            }
            found => {
                self.wrong.store(found, Ordering::Relaxed);
                Err(Fault::WrongChain(found))
            }
        }
    }

    /// Makes sure that it has a block.
    pub(super) async fn check_tip(&self, block: u64) -> Attempt<()> {
        if self.tip() < block {
            self.note_tip(self.number("eth_blockNumber").await?);
        }
        if self.tip() < block { Err(Fault::Behind) } else { Ok(()) }
    }

    async fn number(&self, method: &'static str) -> Attempt<u64> {
        let text = self.ask_text(&Question::new(method, "[]".to_owned())).await?;
        let number = serde_json::from_str(&text).ok().and_then(json::quantity);
        number.ok_or_else(|| Malformed::new("is no number").into())
    }

    fn lock(&self) -> MutexGuard<'_, Bearing> {
        self.bearing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> Limits {
        self.lock().limits
    }

    /// Blocks in the next question for logs.
    pub(super) fn span(&self) -> u64 {
        self.lock().span
    }

    /// Questions in the next batch.
    pub(super) fn batch(&self) -> usize {
        let limit = self.lock().limits.batch.unwrap_or(BATCH).min(BATCH);
        usize::try_from(limit).unwrap_or(usize::MAX).max(1)
    }

    /// Asks for more blocks the next time, where an answer that was all it asks for was small.
    pub(super) fn bore(&self, blocks: u64, logs: usize) {
        let mut bearing = self.lock();
        if blocks < bearing.span {
            return;
        }
        bearing.streak += 1;
        let comfortable = bearing.limits.results.map_or(COMFORTABLE, |results| results.min(COMFORTABLE));
        if bearing.streak >= bearing.patience && 2 * logs as u64 <= comfortable {
            let most = bearing.limits.blocks.unwrap_or(u64::MAX).min(LONGEST_SPAN);
            bearing.span = bearing.span.saturating_mul(2).min(most).max(1);
            bearing.streak = 0;
        }
    }

    /// Takes a refusal of the logs of some blocks into account, and keeps what is true of every question.
    pub(super) fn learn(&self, excess: Excess, blocks: u64, addresses: u64, topics: u64) {
        let half = |asked: u64| (asked / 2).max(1);
        self.change(|bearing| {
            let mut span = half(blocks);
            match excess {
                Excess::Blocks(Some(most)) => {
                    // Where exactly as many are refused as it says, it counts differently.
                    span = if most < blocks { most } else { most - 1 }.max(1);
                    bearing.limits.blocks = Some(span);
                }
                Excess::Blocks(None) => {
                    let most = (blocks - blocks / 4).min(blocks - 1).max(1);
                    bearing.limits.blocks = Some(bearing.limits.blocks.map_or(most, |before| before.min(most)));
                }
                Excess::Suggested(most) => span = most.max(1),
                Excess::Results(most) => bearing.limits.results = most.or(bearing.limits.results),
                Excess::Addresses(most) => {
                    bearing.limits.addresses = Some(most.filter(|most| *most < addresses).unwrap_or(half(addresses)));
                    return;
                }
                Excess::Topics(most) => {
                    bearing.limits.topics = Some(most.filter(|most| *most < topics).unwrap_or(half(topics)));
                    return;
                }
                Excess::Unsaid => {}
            }
            // One block that is too full says nothing about how many blocks are.
            if blocks > 1 {
                bearing.span = bearing.span.min(span);
                bearing.streak = 0;
                bearing.patience = (bearing.patience * 2).min(16);
            }
        });
    }

    fn learn_batch(&self, message: &str, asked: u64) {
        let most = super::limits::batch_limit(message, asked).unwrap_or(asked / 2).max(1);
        self.change(|bearing| {
            bearing.limits.batch = Some(bearing.limits.batch.map_or(most, |before| before.min(most)))
        });
    }

    fn change(&self, change: impl FnOnce(&mut Bearing)) {
        let mut bearing = self.lock();
        change(&mut bearing);
        bearing.limits.learned = now();
    }
}

impl Delivery {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What a status means that comes without a reply.
    pub(super) fn fault(&self) -> Fault {
        // Long enough that a key in it is whole where it is looked for and taken out; it is cut after that.
        let start = String::from_utf8_lossy(&self.body[..self.body.len().min(8_192)]).into_owned();
        let what = format!("HTTP status {} ({start})", self.status);
        match self.status {
            429 | 503 => Fault::Busy(format!("HTTP status {}", self.status), self.retry_after),
            408 | 425 | 500..=599 => Fault::Fleeting(format!("HTTP status {}", self.status)),
            413 => Fault::Oversized(what),
            300..=399 => Fault::Refused(format!("HTTP status {}: name the address it leads to", self.status)),
            _ => Fault::Refused(what),
        }
    }
}

/// The machine's clock, in seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
