//! One question put to one endpoint after another, until one answers or none is left that could.

use alloy_primitives::Bytes;

use super::Inner;
use super::fault::{self, Fault};
use super::lane::Lane;
use super::pool::Permit;
use super::wire::Question;
use crate::{Error, Result};

/// Replies that cannot be answers, of one endpoint to one question, after which only others are asked.
const MALFORMED: u8 = 3;

/// Attempts, to all endpoints together, after which those that never answered are given up.
const FIRST_CONTACT: u32 = 5;

/// A block this close to an endpoint's newest may be missing for a moment: many endpoints are several nodes.
const FRESH: u64 = 64;

/// The course of one question.
pub(super) struct Round<'c> {
    client: &'c Inner,
    method: String,
    /// The block the question is about: who has not got there is not asked.
    block: Option<u64>,
    barred: Vec<bool>,
    malformed: Vec<u8>,
    attempts: u32,
    most_attempts: u32,
    /// Nobody has ever answered, so that a wrong address is likelier than a bad moment.
    is_first_contact: bool,
    last: Option<(usize, Fault)>,
}

impl<'c> Round<'c> {
    pub(super) fn new(client: &'c Inner, method: &str, block: Option<u64>) -> Self {
        let count = client.lanes.len();
        Self {
            client,
            method: method.to_owned(),
            block,
            barred: vec![false; count],
            malformed: vec![0; count],
            attempts: 0,
            most_attempts: client.options.attempts.max(1),
            is_first_contact: false,
            last: None,
        }
    }

    /// The same where nobody has answered anything yet: whoever mistyped an address is told within seconds. An endpoint that
    /// says it is busy is there, and waited for as ever.
    pub(super) fn first(client: &'c Inner, method: &str) -> Self {
        Self { is_first_contact: true, ..Self::new(client, method, None) }
    }

    /// The same, for one endpoint alone, which is asked only so often.
    pub(super) fn only(client: &'c Inner, method: &str, lane: usize, attempts: u32) -> Self {
        let mut round = Self { most_attempts: attempts, ..Self::new(client, method, None) };
        round.barred.iter_mut().enumerate().for_each(|(place, barred)| *barred = place != lane);
        round
    }

    /// The next endpoint to ask, which serves the chain and has the block.
    pub(super) async fn lane(&mut self) -> Result<(Permit<'c>, &'c Lane)> {
        loop {
            if self.attempts >= self.most_attempts {
                return Err(self.error());
            }
            let Some(permit) = self.client.pool.take(&self.barred).await else { return Err(self.error()) };
            let lane = &self.client.lanes[permit.lane];
            let mut ready = lane.check_chain(self.client.chain).await;
            if let (Ok(()), Some(block)) = (&ready, self.block) {
                ready = lane.check_tip(block).await;
            }
            match ready {
                Ok(()) => return Ok((permit, lane)),
                Err(fault) => self.failed(permit, fault),
            }
        }
    }

    /// Says why an endpoint did not answer; it is asked again, later or not at all.
    pub(super) fn failed(&mut self, permit: Permit<'_>, fault: Fault) {
        let place = permit.lane;
        let lane = &self.client.lanes[place];
        lane.note_fault(&fault);
        if self.is_first_contact && matches!(fault, Fault::Fleeting(_) | Fault::Malformed(_)) {
            self.most_attempts = self.most_attempts.min(FIRST_CONTACT);
        }
        match &fault {
            Fault::Fleeting(_) => {
                self.attempts += 1;
                permit.failed(None);
            }
            Fault::Busy(_, after) => {
                self.attempts += 1;
                permit.failed(*after);
            }
            Fault::Malformed(_) => {
                self.attempts += 1;
                self.malformed[place] = self.malformed[place].saturating_add(1);
                // The last one left is asked as long as any other fault would have it asked.
                let is_last = self.barred.iter().filter(|barred| !**barred).count() <= 1;
                self.barred[place] |= self.malformed[place] >= MALFORMED && !is_last;
                permit.failed(None);
            }
            Fault::Missing(what) if self.is_fresh(lane) && !fault::says_pruned(what) => {
                self.attempts += 1;
                permit.failed(None);
            }
            // It says itself how many it takes, and is asked again for fewer.
            Fault::Batch(_) => permit.answered(),
            Fault::Budget => self.barred.fill(true),
            Fault::Missing(_)
            | Fault::Null
            | Fault::Behind
            | Fault::WrongChain(_)
            | Fault::Reverted(_)
            | Fault::Refused(_)
            | Fault::Oversized(_) => {
                self.barred[place] = true;
                permit.answered();
            }
        }
        // That an endpoint is of no use at all says less about the question than what others said to it.
        let is_aside = matches!(fault, Fault::Behind | Fault::WrongChain(_));
        if !is_aside || self.last.is_none() {
            self.last = Some((place, fault));
        }
    }

    fn is_fresh(&self, lane: &Lane) -> bool {
        self.block.is_some_and(|block| block.saturating_add(FRESH) >= lane.tip())
    }

    /// Something was answered, so that what comes is a new start.
    pub(super) fn progressed(&mut self) {
        self.attempts = 0;
    }

    /// The fault that was met last, and where.
    pub(super) fn last(&self) -> Option<(&'c Lane, &Fault)> {
        self.last.as_ref().map(|(place, fault)| (&self.client.lanes[*place], fault))
    }

    /// Why nobody answered.
    pub(super) fn error(&self) -> Error {
        let Some((place, fault)) = &self.last else {
            return Error::Unfit {
                what: "no endpoint is left to be asked".to_owned(),
                advice: "name at least one that serves the chain".to_owned(),
            };
        };
        let lane = &self.client.lanes[*place];
        let host = lane.host();
        let (method, attempts) = (self.method.clone(), self.attempts.max(1));
        let node = |what: String| Error::Node { host: host.clone(), method, what };
        match fault {
            Fault::Fleeting(what) | Fault::Busy(what, _) => {
                Error::Unreachable { host: host.clone(), what: lane.endpoint.clean(what), attempts }
            }
            Fault::Missing(what) => match self.block {
                Some(block) => Error::Pruned { host: host.clone(), block, advice: PRUNED_ADVICE },
                None => node(lane.endpoint.clean(what)),
            },
            Fault::Behind => self.behind(),
            Fault::WrongChain(found) => Error::WrongChain {
                host: host.clone(),
                expected: self.client.chain,
                found: protocol::chain::ChainId(*found),
            },
            Fault::Budget => Error::Budget { spent: self.client.budget.spent() },
            Fault::Null => node("says that there is no such thing".to_owned()),
            Fault::Reverted(_) => node("says that it reverted".to_owned()),
            Fault::Malformed(what) | Fault::Refused(what) | Fault::Oversized(what) | Fault::Batch(what) => {
                node(lane.endpoint.clean(what))
            }
        }
    }

    fn behind(&self) -> Error {
        let best = self.client.lanes.iter().max_by_key(|lane| lane.tip());
        let (host, tip) = best.map_or_else(Default::default, |lane| (lane.host(), lane.tip()));
        Error::Behind { block: self.block.unwrap_or(0), host, tip }
    }
}

const PRUNED_ADVICE: &str = "name an archive endpoint, or begin at a later block";

/// What came of a question, and from whom.
#[derive(Debug, Clone)]
pub(super) struct Told<'c> {
    pub(super) outcome: Outcome,
    pub(super) lane: &'c Lane,
}

/// What came of a question among several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The result's JSON, which is not null.
    Value(String),
    /// A call that reverted.
    Reverted(Bytes),
    /// No endpoint has such a thing.
    Null,
}

/// Puts many questions, several at a time, and brings the outcomes in the same order.
pub(super) async fn ask_many<'c>(
    client: &'c Inner,
    questions: &[Question],
    block: Option<u64>,
) -> Result<Vec<Told<'c>>> {
    let mut outcomes: Vec<Option<Told<'c>>> = vec![None; questions.len()];
    let method = questions.first().map_or("", |question| question.method.as_ref());
    let mut round = Round::new(client, method, block);
    let mut open: Vec<usize> = (0..questions.len()).collect();
    while !open.is_empty() {
        let (permit, lane) = round.lane().await?;
        let asked: Vec<usize> = open.iter().take(lane.batch()).copied().collect();
        let batch: Vec<Question> = asked.iter().map(|place| questions[*place].clone()).collect();
        let answers = match lane.ask_all(&batch).await {
            Ok(answers) => answers,
            // One question is no batch, whatever a node calls it.
            Err(Fault::Batch(what)) if batch.len() == 1 => {
                round.failed(permit, Fault::Refused(what));
                continue;
            }
            Err(fault) => {
                round.failed(permit, fault);
                continue;
            }
        };
        let mut worst = None;
        for (place, answer) in asked.iter().zip(answers) {
            match answer {
                Ok(text) if text == "null" => outcomes[*place] = Some(Told { outcome: Outcome::Null, lane }),
                Ok(text) => outcomes[*place] = Some(Told { outcome: Outcome::Value(text), lane }),
                Err(Fault::Reverted(bytes)) => {
                    outcomes[*place] = Some(Told { outcome: Outcome::Reverted(bytes), lane });
                }
                Err(fault) => worst = Some(fault),
            }
        }
        let before = open.len();
        open.retain(|place| outcomes[*place].is_none());
        if open.len() < before {
            round.progressed();
        }
        match worst {
            Some(fault) => round.failed(permit, fault),
            None => permit.answered(),
        }
    }
    let mut all = Vec::with_capacity(outcomes.len());
    for (question, told) in questions.iter().zip(outcomes.into_iter().flatten()) {
        all.push(match told.outcome {
            // One endpoint has no such thing; it is nowhere only if nobody has it.
            Outcome::Null => match ask_one(client, question, block).await? {
                Some((text, lane)) => Told { outcome: Outcome::Value(text), lane },
                None => told,
            },
            Outcome::Value(_) | Outcome::Reverted(_) => told,
        });
    }
    Ok(all)
}

/// Puts one question, and says who answered; none where no endpoint has such a thing.
pub(super) async fn ask_one<'c>(
    client: &'c Inner,
    question: &Question,
    block: Option<u64>,
) -> Result<Option<(String, &'c Lane)>> {
    let mut round = Round::new(client, &question.method, block);
    loop {
        let (permit, lane) = match round.lane().await {
            Ok(next) => next,
            Err(_) if matches!(round.last(), Some((_, Fault::Null))) => return Ok(None),
            Err(other) => return Err(other),
        };
        match lane.ask_text(question).await {
            Ok(text) if text == "null" => round.failed(permit, Fault::Null),
            Ok(text) => {
                permit.answered();
                return Ok(Some((text, lane)));
            }
            Err(fault) => round.failed(permit, fault),
        }
    }
}
