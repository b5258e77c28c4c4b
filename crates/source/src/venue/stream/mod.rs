//! What venues say as it happens, over WebSockets that are mended when they break.
//!
//! A connection that breaks or falls silent is made anew after a growing, random wait, and the time in which something may have been said
//! that was not heard is itself an observation ([`Gap`]) of every instrument concerned: a later total can say what it lacks. The same goes for a connection on which
//! the venue refuses a subscription, since it does not always say which. None of the
//! streams read here numbers its messages without holes, so a loss within a connection that stands does not show. What is heard waits in
//! a queue of bounded length: when whoever reads is slow, the connection is read more slowly, and [`Report::slowed`] says by how much.
//! Nothing is dropped but what was heard before.

mod line;
mod rules;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::perp::{Instrument, Key, Kind, Observation};
use protocol::time::TimeUs;
use protocol::venue::Venue;
use tokio::sync::mpsc;

use super::{Places, Reject};
use crate::rpc::Endpoint;
use crate::{Error, Result};

pub use protocol::perp::Gap;

/// How patient a stream is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long making a connection may take.
    pub connect: Duration,
    /// How long a connection may be silent, answers to pings included, before it is made anew.
    pub silence: Duration,
    /// How often a ping is sent; none for as often as the venue's documents ask for.
    pub ping: Option<Duration>,
    /// The wait after a first failure; it doubles up to a minute, and a random part of it is waited.
    pub backoff: Duration,
    /// The longest message that is read, in bytes; a connection that sends a longer one is made anew.
    pub max_message_bytes: usize,
    /// How many observations wait for whoever reads before the connection is read more slowly.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(70),
            ping: None,
            backoff: Duration::from_secs(1),
            max_message_bytes: 4 << 20,
            queue: 8_192,
        }
    }
}

/// What comes out of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A venue said this, or nothing was heard for a while.
    Said(Observation),
    /// A venue said something that could not be taken.
    Rejected(Venue, Reject),
}

/// What happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Connections that were made.
    pub connections: u64,
    /// Attempts that failed, and connections that broke.
    pub broken: u64,
    /// Why the last one did, and of which host.
    pub last_break: Option<String>,
    /// Messages that were heard.
    pub messages: u64,
    /// Observations handed on, gaps included.
    pub observations: u64,
    /// Observations that had been heard before.
    pub repeats: u64,
    /// Observations that came after a later one of their kind and instrument.
    pub late: u64,
    /// Rows that could not be taken.
    pub rejects: u64,
    /// Rows about instruments that were not asked about.
    pub foreign: u64,
    /// How long reading stood still because whoever reads was slow.
    pub slowed: Duration,
}

type Shared = Arc<Mutex<Report>>;

/// Open streams. They end when it is dropped.
#[derive(Debug)]
pub struct Streams {
    heard: mpsc::Receiver<Heard>,
    report: Shared,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Streams {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Streams {
    /// The next thing that is heard; waits for it.
    pub async fn next(&mut self) -> Option<Heard> {
        self.heard.recv().await
    }

    /// What happened so far, over all connections.
    #[must_use]
    pub fn report(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Listens to what is said of some instruments: liquidations, prices, funding and open interest, as far as their venues stream it. One
/// connection is made for each venue's place.
///
/// # Errors
/// A place is no `ws` or `wss` address, or none of the kinds is streamed of any of the instruments. That a venue cannot be reached is none.
pub fn listen(places: &Places, instruments: &[Instrument], kinds: &[Kind], options: &Options) -> Result<Streams> {
    let mut lines: Vec<line::Line> = Vec::new();
    for instrument in instruments {
        let Some(place) = places.stream_of(instrument) else { continue };
        match lines.iter_mut().find(|line| line.venue == instrument.venue && line.place.address() == place) {
            Some(line) => line.instruments.push(instrument.clone()),
            None => {
                let place = Endpoint::parse(place)?;
                if !place.is_web_socket() {
                    return Err(Error::Unfit {
                        what: format!("{place}: is no place to listen to {} at", instrument.venue),
                        advice: "write ws://… or wss://…".to_owned(),
                    });
                }
                let instruments = vec![instrument.clone()];
                lines.push(line::Line { venue: instrument.venue, place, instruments, kinds: kinds.to_vec() });
            }
        }
    }
    lines.retain(|line| !rules::subscriptions(line.venue, &line.instruments, kinds).is_empty());
    if lines.is_empty() {
        return Err(Error::Unfit {
            what: "none of this is streamed".to_owned(),
            advice: "ask for liquidations, prices, funding or open interest, of a contract of a venue that has streams"
                .to_owned(),
        });
    }
    let (sender, heard) = mpsc::channel(options.queue.max(1));
    let report = Shared::default();
    let follow = |line: line::Line| tokio::spawn(line.follow(options.clone(), sender.clone(), Arc::clone(&report)));
    let tasks = lines.into_iter().map(follow).collect();
    Ok(Streams { heard, report, tasks })
}

/// What was heard lately, by which a repetition is known.
#[derive(Debug, Default)]
struct Lately {
    keys: std::collections::BTreeSet<Key>,
    order: VecDeque<Key>,
    latest: std::collections::BTreeMap<(Arc<str>, Kind), TimeUs>,
}

/// So many observations are remembered.
const REMEMBERED: usize = 16_384;

/// What an observation is beside what was heard lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Novelty {
    New,
    Late,
    Repeat,
}

impl Lately {
    fn hear(&mut self, row: &Observation) -> Novelty {
        let key = row.key();
        if !self.keys.insert(key.clone()) {
            return Novelty::Repeat;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        let latest = self.latest.entry((row.symbol.clone(), row.fact.kind())).or_insert(row.time);
        if row.time < *latest {
            return Novelty::Late;
        }
        *latest = row.time;
        Novelty::New
    }
}
