//! The logs of a range of blocks, in as many questions as the endpoints make of it.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Address, B256};
use tokio::sync::{mpsc, watch};

use super::fault::{Attempt, Complaint, Fault};
use super::json::{Malformed, Scan};
use super::lane::Lane;
use super::limits::{Excess, read_refusal};
use super::round::Round;
use super::wire::Question;
use super::{Filter, Inner, LogRange, logs};
use crate::log::Logs;
use crate::{Error, Result};

/// How often a range is read anew whose answers contradict one another.
const READINGS: u32 = 4;

/// Failures of a question after which less is asked for: too much at once can look like anything.
const STUMBLES: u32 = 2;

/// A question for logs.
#[derive(Debug, Clone)]
struct Job {
    filter: Filter,
    from: u64,
    to: u64,
}

/// What an endpoint says to a question for logs.
enum Said {
    Logs(Logs, logs::Parsed),
    TooMuch(Excess, String),
    /// The answer is longer than this question's may be for now.
    Long,
}

/// Whose turn it is among stretches that are read at the same time and handed on one after another.
#[derive(Debug, Clone)]
pub(super) struct Turn {
    /// One's own place.
    pub(super) number: usize,
    /// The place of the one being handed on.
    pub(super) now: watch::Receiver<usize>,
}

impl Turn {
    async fn come(&self) {
        // Where nobody tells any more, nobody waits either.
        let _ = self.now.clone().wait_for(|now| *now >= self.number).await;
    }
}

/// Blocks whose logs are read in one go, and handed on in pieces.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) turn: Turn,
}

impl Stretch {
    /// Reads it and hands it on. The next piece is begun when the one before was taken, so that no more than one waits.
    pub(super) async fn read(mut self, client: &Inner, filter: &Filter, pieces: &mpsc::Sender<Result<LogRange>>) {
        loop {
            let Ok(place) = pieces.reserve().await else { return };
            let piece = fetch(client, filter, &self).await;
            let next = piece.as_ref().ok().and_then(|piece| piece.to.checked_add(1)).filter(|next| *next <= self.to);
            place.send(piece);
            match next {
                Some(next) => self.from = next,
                None => return,
            }
        }
    }
}

/// The first logs of a stretch, each once, in order, and with its time: those of all of its blocks, or of the first ones where
/// there are many.
async fn fetch(client: &Inner, filter: &Filter, stretch: &Stretch) -> Result<LogRange> {
    let from = stretch.from;
    let mut readings = 0;
    loop {
        let Gathered { to, logs, parsed, lane } = gather(client, filter, stretch).await?;
        let times = if parsed.timed { None } else { Some(times(client, &logs).await?) };
        match logs::settle(logs, times.as_ref()) {
            Ok(logs) => return Ok(LogRange { from, to, logs }),
            // A reorganisation between two answers does this; it is over soon.
            Err(cause) => {
                readings += 1;
                if readings == READINGS {
                    return Err(Error::Node {
                        host: lane.map(Lane::host).unwrap_or_default(),
                        method: "eth_getLogs".to_owned(),
                        what: cause.to_string(),
                    });
                }
            }
        }
    }
}

/// The time of every block that has a log, and its hash.
async fn times(client: &Inner, logs: &Logs) -> Result<BTreeMap<u64, (B256, u64)>> {
    let blocks = logs::blocks(logs);
    let headers = client.headers(&blocks).await?;
    Ok(headers.into_iter().map(|header| (header.number, (header.hash, header.time))).collect())
}

/// What was read of a stretch, up to a block.
struct Gathered<'c> {
    to: u64,
    logs: Logs,
    parsed: logs::Parsed,
    lane: Option<&'c Lane>,
}

async fn gather<'c>(client: &'c Inner, filter: &Filter, stretch: &Stretch) -> Result<Gathered<'c>> {
    let Stretch { from, mut to, .. } = *stretch;
    let mut all = Logs::default();
    let mut total = logs::Parsed { count: 0, timed: true };
    let mut last = None;
    // The jobs in the order of their blocks, the next one at the end.
    let mut jobs = vec![Job { filter: filter.clone(), from, to }];
    while let Some(job) = jobs.pop() {
        let (logs, parsed, lane) = ask(client, job, &mut jobs, &stretch.turn).await?;
        if all.is_empty() {
            all = logs;
        } else {
            all.append(&logs);
        }
        total = logs::Parsed { count: total.count + parsed.count, timed: total.timed && parsed.timed };
        last = Some(lane);
        if all.bytes() < client.room.enough() {
            continue;
        }
        let Some(next) = jobs.iter().map(|job| job.from).min() else { break };
        if next > from {
            to = next - 1;
            break;
        }
        // Of no block is everything there, because the contracts are asked for in parts: so it is to be fewer blocks.
        while from < to && all.bytes() >= client.room.enough() / 2 {
            to = from + (to - from) / 2;
            all.keep_to(to);
        }
        jobs.retain(|job| job.from <= to);
        jobs.iter_mut().for_each(|job| job.to = job.to.min(to));
        if from == to && all.bytes() >= client.room.longest() {
            let what = format!("they come to more than {} bytes", client.room.longest());
            let address = filter.addresses.first().copied().unwrap_or_default();
            return Err(Error::TooLarge { host: lane.host(), block: from, address, what });
        }
    }
    all.keep_to(to);
    Ok(Gathered { to, logs: all, parsed: total, lane: last })
}

/// Puts a job to one endpoint after another, made smaller until one takes it; the rest of it goes back to the `jobs`.
async fn ask<'c>(
    client: &'c Inner,
    mut job: Job,
    jobs: &mut Vec<Job>,
    turn: &Turn,
) -> Result<(Logs, logs::Parsed, &'c Lane)> {
    let mut round = Round::new(client, "eth_getLogs", Some(job.to));
    let (mut stumbles, mut longest) = (0, client.room.logs());
    let mut refusal: Option<(String, String)> = None;
    loop {
        let (permit, lane) = match (round.lane().await, &refusal) {
            (Ok(next), _) => next,
            (Err(other), None) => return Err(other),
            (Err(other), Some(refusal)) => return Err(too_large(&job, refusal, other)),
        };
        fit(&mut job, lane, jobs);
        match read(lane, &job, longest).await {
            Ok(Said::Logs(logs, parsed)) => {
                permit.answered();
                lane.note_logs(parsed.count);
                lane.bore(job.blocks(), parsed.count);
                return Ok((logs, parsed, lane));
            }
            // What could not be made smaller is long, and so has the time until nobody waits for what is before it.
            Ok(Said::Long) if !job.can_split() && longest < usize::MAX => {
                permit.answered();
                turn.come().await;
                longest = usize::MAX;
            }
            Ok(Said::Long) => {
                lane.learn(
                    Excess::Unsaid,
                    job.blocks(),
                    job.filter.addresses.len() as u64,
                    job.filter.topics.len() as u64,
                );
                let what = "the answer is too long".to_owned();
                if job.split(Excess::Unsaid, jobs) {
                    permit.answered();
                } else {
                    refusal = Some((lane.host(), what.clone()));
                    round.failed(permit, Fault::Oversized(what));
                }
            }
            Ok(Said::TooMuch(excess, what)) => {
                lane.learn(excess, job.blocks(), job.filter.addresses.len() as u64, job.filter.topics.len() as u64);
                client.keep(lane);
                if job.split(excess, jobs) {
                    permit.answered();
                } else {
                    refusal = Some((lane.host(), lane.endpoint.clean(&what)));
                    round.failed(permit, Fault::Refused(what));
                }
            }
            Err(fault) => {
                stumbles += u32::from(matches!(fault, Fault::Fleeting(_)));
                round.failed(permit, fault);
                if stumbles >= STUMBLES && job.split(Excess::Unsaid, jobs) {
                    stumbles = 0;
                }
            }
        }
    }
}

/// Makes a job as small as an endpoint is known to need it.
fn fit(job: &mut Job, lane: &Lane, jobs: &mut Vec<Job>) {
    let span = lane.span();
    if job.blocks() > span {
        job.cut(span, jobs);
    }
    let limits = lane.limits();
    for (limit, is_addresses) in [(limits.addresses, true), (limits.topics, false)] {
        let Some(limit) = limit else { continue };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(1);
        if is_addresses && job.filter.addresses.len() > limit {
            job.part_addresses(limit, jobs);
        } else if !is_addresses && job.filter.topics.len() > limit {
            job.part_topics(limit, jobs);
        }
    }
}

/// One address in one block is still too much for all.
fn too_large(job: &Job, (host, what): &(String, String), other: Error) -> Error {
    match job.filter.addresses.first() {
        Some(address) if !other.is_transient() => {
            Error::TooLarge { host: host.clone(), block: job.from, address: *address, what: what.clone() }
        }
        _ => other,
    }
}

async fn read(lane: &Lane, job: &Job, longest: usize) -> Attempt<Said> {
    let question = Question { longest, ..Question::new("eth_getLogs", job.params()) };
    let read = |scan: &mut Scan<'_>| {
        let mut logs = Logs::default();
        let parsed = logs::read_logs(scan, &mut logs)?;
        Ok::<_, Malformed>((logs, parsed))
    };
    match lane.ask(&question, read).await {
        Ok(Ok((logs, parsed))) => {
            logs::check(&logs, &job.filter, job.from, job.to)?;
            // Whoever contradicts itself within one answer is to blame for it alone.
            Ok(Said::Logs(logs::settle(logs, None)?, parsed))
        }
        Ok(Err(complaint)) => read_complaint(&complaint, job),
        Err(Fault::Oversized(_)) => Ok(Said::Long),
        Err(fault) => Err(fault),
    }
}

fn read_complaint(complaint: &Complaint, job: &Job) -> Attempt<Said> {
    match read_refusal(&complaint.message, job.from, job.blocks()) {
        // What takes too long for one block may take less the next time.
        Some(Excess::Unsaid | Excess::Blocks(_)) if job.from == job.to => {
            let fault = complaint.sort("eth_getLogs");
            if !job.can_split() && matches!(fault, Fault::Fleeting(_) | Fault::Busy(..)) {
                return Err(fault);
            }
            Ok(Said::TooMuch(Excess::Unsaid, complaint.message.clone()))
        }
        Some(excess) => Ok(Said::TooMuch(excess, complaint.message.clone())),
        None => Err(complaint.sort("eth_getLogs")),
    }
}

impl Job {
    fn blocks(&self) -> u64 {
        (self.to - self.from).saturating_add(1)
    }

    fn can_split(&self) -> bool {
        self.from < self.to || self.filter.addresses.len() > 1 || self.filter.topics.len() > 1
    }

    /// Keeps the first blocks and puts the rest back.
    fn cut(&mut self, blocks: u64, jobs: &mut Vec<Self>) {
        let end = self.from.saturating_add(blocks.max(1) - 1);
        if end < self.to {
            jobs.push(Self { filter: self.filter.clone(), from: end + 1, to: self.to });
            self.to = end;
        }
    }

    /// Makes itself smaller where it can.
    fn split(&mut self, excess: Excess, jobs: &mut Vec<Self>) -> bool {
        let half = |count: usize| count / 2;
        let (addresses, topics) = (self.filter.addresses.len(), self.filter.topics.len());
        let fewer = |most: Option<u64>, count: usize| {
            most.and_then(|most| usize::try_from(most).ok())
                .filter(|most| (1..count).contains(most))
                .unwrap_or(half(count))
        };
        let blocks = match excess {
            Excess::Blocks(Some(most)) | Excess::Suggested(most) => most.min(self.to - self.from),
            Excess::Blocks(None) | Excess::Results(_) | Excess::Addresses(_) | Excess::Topics(_) | Excess::Unsaid => {
                self.blocks() / 2
            }
        };
        if let Excess::Addresses(most) = excess
            && addresses > 1
        {
            self.part_addresses(fewer(most, addresses), jobs);
        } else if let Excess::Topics(most) = excess
            && topics > 1
        {
            self.part_topics(fewer(most, topics), jobs);
        } else if self.from < self.to {
            self.cut(blocks, jobs);
        } else if addresses > 1 {
            self.part_addresses(half(addresses), jobs);
        } else if topics > 1 {
            self.part_topics(half(topics), jobs);
        } else {
            return false;
        }
        true
    }

    fn part_addresses(&mut self, count: usize, jobs: &mut Vec<Self>) {
        let rest = part(&mut self.filter.addresses, count);
        let filter = Filter { addresses: rest, topics: self.filter.topics.clone() };
        jobs.push(Self { filter, from: self.from, to: self.to });
    }

    fn part_topics(&mut self, count: usize, jobs: &mut Vec<Self>) {
        let rest = part(&mut self.filter.topics, count);
        let filter = Filter { addresses: self.filter.addresses.clone(), topics: rest };
        jobs.push(Self { filter, from: self.from, to: self.to });
    }

    fn params(&self) -> String {
        let list = |items: Vec<String>| format!("[{}]", items.join(","));
        let addresses = list(self.filter.addresses.iter().map(quoted_address).collect());
        let topics = list(self.filter.topics.iter().map(|topic| format!("\"{topic:#x}\"")).collect());
        let mut filter = format!(r#""fromBlock":"{:#x}","toBlock":"{:#x}""#, self.from, self.to);
        if !self.filter.addresses.is_empty() {
            filter += &format!(r#","address":{addresses}"#);
        }
        if !self.filter.topics.is_empty() {
            filter += &format!(r#","topics":[{topics}]"#);
        }
        format!("[{{{filter}}}]")
    }
}

fn quoted_address(address: &Address) -> String {
    format!("\"{address:#x}\"")
}

/// Keeps the first `count` and gives back the rest.
fn part<T: Ord + Copy>(set: &mut BTreeSet<T>, count: usize) -> BTreeSet<T> {
    match set.iter().nth(count).copied() {
        Some(first) => set.split_off(&first),
        None => BTreeSet::new(),
    }
}
