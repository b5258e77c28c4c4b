//! Asking venues over HTTP, politely: no faster than they allow, never while they ask to be left alone, and not again for what rarely
//! changes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use protocol::time::TimeUs;
use protocol::venue::Venue;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tokio::time::Instant;

use super::cache::{self, Kept};
use super::pace::Pace;
use super::{Places, Unread, binance, bybit, okx, wire};
use crate::rpc::Endpoint;
use crate::web::{self, Broken};
use crate::{Error, Result};

/// How patient a client is.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a reply may take in all.
    pub timeout: Duration,
    /// How long a reply may stand still while it is being read.
    pub stall: Duration,
    /// The longest reply that is read, in bytes after decompression.
    pub max_reply_bytes: usize,
    /// How often a question is put before it is given up.
    pub attempts: u32,
    /// The wait after a first failure; it doubles, and a random part of it is waited.
    pub backoff: Duration,
    /// The longest a question waits for leave to be asked; what would take longer fails at once.
    pub patience: Duration,
    /// Where replies that rarely change are kept; none for nowhere.
    pub cache: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(20),
            stall: Duration::from_secs(8),
            max_reply_bytes: 32 << 20,
            attempts: 3,
            backoff: Duration::from_millis(500),
            patience: Duration::from_secs(70),
            cache: None,
        }
    }
}

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The venue asks to be left alone, or would have to be asked faster than it allows.
    Busy {
        /// What it said.
        what: String,
        /// For how long.
        wait: Duration,
    },
    /// No whole reply came.
    Unreachable(String),
    /// It answered that it will not.
    Refused {
        /// The status of HTTP.
        status: u16,
        /// What it said.
        what: String,
    },
    /// Its reply cannot be read.
    Unread(Unread),
    /// It does not tell this to everybody.
    NotPublic(&'static str),
    /// It does not tell this, or not of all that was asked about.
    NotTold(String),
}

impl Failure {
    /// Whether the same question may be answered later with nothing changed by who asks.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unreachable(_) | Self::Unread(Unread::Cut) => true,
            Self::Refused { .. } | Self::Unread(_) | Self::NotPublic(_) | Self::NotTold(_) => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy { what, wait } => write!(f, "{what}; it asks to be left alone for {} s", wait.as_secs().max(1)),
            Self::Unreachable(what) => write!(f, "no reply ({what})"),
            Self::Refused { status, what } => write!(f, "refused with status {status} ({what})"),
            Self::Unread(why) => why.fmt(f),
            Self::NotPublic(what) => f.write_str(what),
            Self::NotTold(what) => f.write_str(what),
        }
    }
}

/// A question.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    /// The path, with what follows it.
    pub(super) path: String,
    /// What is sent; where there is nothing, it is a GET.
    pub(super) body: Option<String>,
    /// What it costs, in the venue's own weights.
    pub(super) weight: u32,
    /// How old a kept reply may be that is as good as a new one; none where it is always asked anew.
    pub(super) keep: Option<Duration>,
}

impl Ask {
    fn question(&self) -> String {
        format!("{} {}", self.path, self.body.as_deref().unwrap_or_default())
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) body: Vec<u8>,
    /// When it was given.
    pub(super) at: TimeUs,
    /// Why a new one could not be had, where this is an older one than was asked for.
    pub(super) instead_of: Option<Failure>,
}

/// Asks venues.
#[derive(Debug)]
pub struct Client {
    lanes: BTreeMap<Venue, Lane>,
    options: Options,
}

#[derive(Debug)]
struct Lane {
    base: Endpoint,
    /// Or why no connection can be prepared.
    http: std::result::Result<reqwest::Client, String>,
    pace: Mutex<Pace>,
    asked: Mutex<u64>,
}

/// The moment by this machine's clock.
pub(super) fn now() -> TimeUs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeUs(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// A random part of a time, never less than a quarter of it.
pub(super) fn part_of(time: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let chance = RandomState::new().hash_one(0) % 1_000;
    time.mul_f64(0.25 + 0.75 * f64::from(u32::try_from(chance).unwrap_or(0)) / 1_000.0)
}

impl Client {
    /// A client of the venues at these places. Nothing is asked yet.
    ///
    /// # Errors
    /// A place is no `http` or `https` address.
    pub fn new(places: &Places, options: Options) -> Result<Self> {
        let mut lanes = BTreeMap::new();
        for (venue, place) in places.rest() {
            let base = Endpoint::parse(place.trim_end_matches('/'))?;
            let way = base.http().ok_or_else(|| Error::Unfit {
                what: format!("{base}: is no place to ask {venue} at"),
                advice: "write http://… or https://…".to_owned(),
            })?;
            let http = web::client(way, options.timeout);
            let lane = Lane { base, http, pace: Mutex::new(Pace::of(venue)), asked: Mutex::new(0) };
            lanes.insert(venue, lane);
        }
        Ok(Self { lanes, options })
    }

    /// The host at which a venue is asked.
    #[must_use]
    pub fn host(&self, venue: Venue) -> Option<&str> {
        self.lanes.get(&venue).map(|lane| lane.base.host())
    }

    /// How many requests were made of a venue, those that failed included.
    #[must_use]
    pub fn asked(&self, venue: Venue) -> u64 {
        self.lanes.get(&venue).map_or(0, |lane| *lane.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a question. A reply that may be kept is taken from where it is kept, and where no new one can be had an older one is better
    /// than none.
    pub(super) async fn ask(&self, venue: Venue, ask: &Ask) -> std::result::Result<Reply, Failure> {
        let folder = self.options.cache.as_deref().filter(|_| ask.keep.is_some());
        let kept = folder.and_then(|folder| cache::load(folder, venue, &ask.question(), self.options.max_reply_bytes));
        if let (Some(kept), Some(age)) = (&kept, ask.keep)
            && kept.is_fresh(age, now())
        {
            return Ok(Reply { body: kept.body.clone(), at: kept.at, instead_of: None });
        }
        match (self.put(venue, ask).await, kept) {
            (Ok(body), _) => {
                let kept = Kept { at: now(), body };
                if let Some(folder) = folder {
                    cache::store(folder, venue, &ask.question(), &kept);
                }
                Ok(Reply { body: kept.body, at: kept.at, instead_of: None })
            }
            (Err(failure), Some(kept)) => Ok(Reply { body: kept.body, at: kept.at, instead_of: Some(failure) }),
            (Err(failure), None) => Err(failure),
        }
    }

    /// Puts a question until it is answered, refused, or was put often enough.
    async fn put(&self, venue: Venue, ask: &Ask) -> std::result::Result<Vec<u8>, Failure> {
        let lane =
            self.lanes.get(&venue).ok_or_else(|| Failure::NotTold(format!("{venue} is not asked by this program")))?;
        let mut backoff = self.options.backoff;
        let mut attempt = 1;
        let mut busy = None;
        loop {
            if let Err(left_alone) = lane.leave(ask.weight, self.options.patience).await {
                // What the venue itself said is the better reason.
                return Err(busy.unwrap_or(left_alone));
            }
            let failure = match lane.put_once(venue, ask, &self.options).await {
                Ok(body) => return Ok(body),
                Err(failure) => failure,
            };
            if attempt >= self.options.attempts || !failure.is_transient() {
                return Err(failure);
            }
            attempt += 1;
            // How long a busy venue is left alone, it says itself.
            if matches!(failure, Failure::Busy { .. }) {
                busy = Some(failure);
            } else {
                tokio::time::sleep(part_of(backoff)).await;
                backoff = backoff.saturating_mul(2);
            }
        }
    }
}

impl Lane {
    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the venue may be asked.
    async fn leave(&self, weight: u32, patience: Duration) -> std::result::Result<(), Failure> {
        let start = Instant::now();
        loop {
            let now = Instant::now();
            let wait = match self.pace().spend(weight, now) {
                Ok(()) => return Ok(()),
                Err(wait) => wait,
            };
            if now.duration_since(start) + wait > patience {
                let what = if self.pace().closed_for(now).is_some() {
                    "it was asked too often"
                } else {
                    "its limit is used up"
                };
                return Err(Failure::Busy { what: what.to_owned(), wait });
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn put_once(&self, venue: Venue, ask: &Ask, options: &Options) -> std::result::Result<Vec<u8>, Failure> {
        let http = self.http.as_ref().map_err(|cause| Failure::Unreachable(cause.clone()))?;
        let url = format!("{}{}", self.base.address().trim_end_matches('/'), ask.path);
        let request = match &ask.body {
            None => http.get(url),
            Some(body) => http.post(url).header(CONTENT_TYPE, "application/json").body(body.clone()),
        };
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let exchange = web::exchange(request, options.stall, options.max_reply_bytes, None);
        let received = match tokio::time::timeout(options.timeout, exchange).await {
            Err(_) => return Err(Failure::Unreachable(format!("none within {} s", options.timeout.as_secs_f32()))),
            Ok(Err(Broken::Fleeting(what))) => return Err(Failure::Unreachable(self.base.clean(&what))),
            Ok(Err(Broken::TooLong)) => {
                let what = format!("it is longer than {} bytes", options.max_reply_bytes);
                return Err(Failure::Unread(Unread::OtherForm(what)));
            }
            Ok(Ok(received)) => received,
        };
        self.heed_weight(venue, &received.headers);
        let outcome = judge(venue, received.status, &received.headers, received.body);
        if let Err(Failure::Busy { wait, .. }) = &outcome {
            self.pace().close(*wait, Instant::now());
        }
        outcome
    }

    /// Binance tells what this address has spent in the running minute, whoever did: near its limit it is left alone until the next.
    fn heed_weight(&self, venue: Venue, headers: &HeaderMap) {
        let is_binance = matches!(venue, Venue::BinanceUsdm | Venue::BinanceCoinm);
        let used = headers.get("x-mbx-used-weight-1m").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        if is_binance && used.is_some_and(|used| used > 2_000) {
            let second = u64::try_from(now().second().rem_euclid(60)).unwrap_or(0);
            self.pace().close(Duration::from_secs(60 - second), Instant::now());
        }
    }
}

/// What a reply means by its status, its headers, and what it says of itself.
///
/// 429 is sent to who asks too often and 418 to who does not stop (Binance, *Limits*); Bybit sends 403 and bars an address for ten
/// minutes (*Rate limit*).
fn judge(venue: Venue, status: u16, headers: &HeaderMap, body: Vec<u8>) -> std::result::Result<Vec<u8>, Failure> {
    let shown = || {
        if body.trim_ascii_start().first() == Some(&b'<') {
            return "a web page in place of a reply, as where this machine's country or address is not served"
                .to_owned();
        }
        let text: String = String::from_utf8_lossy(&body).chars().filter(|c| !c.is_control()).take(120).collect();
        if text.is_empty() { "nothing more".to_owned() } else { text }
    };
    let after = |least: u64| web::wait_asked_for(headers).unwrap_or_default().max(Duration::from_secs(least));
    let says_often = || shown().to_ascii_lowercase().contains("too frequent");
    match status {
        200..=299 => {}
        429 => return Err(Failure::Busy { what: "it was asked too often (429)".to_owned(), wait: after(1) }),
        418 => return Err(Failure::Busy { what: "this address is barred (418)".to_owned(), wait: after(120) }),
        403 if venue == Venue::Bybit && says_often() => {
            return Err(Failure::Busy { what: "this address is barred (403)".to_owned(), wait: after(600) });
        }
        408 | 500..=599 => return Err(Failure::Unreachable(format!("status {status}: {}", shown()))),
        451 => {
            let what = "it does not serve the country this machine is in".to_owned();
            return Err(Failure::Refused { status, what });
        }
        _ => {
            let what = match refusal(venue, &body) {
                Some(refused) => refused.to_string(),
                None => shown(),
            };
            return Err(Failure::Refused { status, what });
        }
    }
    if let Some(Unread::Refused { code, message }) = refusal(venue, &body) {
        let busy = match venue {
            Venue::BinanceUsdm | Venue::BinanceCoinm => matches!(code, -1003 | -1015),
            Venue::Bybit => matches!(code, 10_006 | 10_018),
            Venue::Okx => matches!(code, 50_011 | 50_013 | 50_061),
            Venue::Hyperliquid | Venue::DydxV4 | Venue::GmxV2 => false,
        };
        return Err(if busy {
            Failure::Busy { what: message, wait: after(5) }
        } else {
            Failure::Unread(Unread::Refused { code, message })
        });
    }
    // A reply that is cut off may come whole the next time.
    match wire::read::<serde::de::IgnoredAny>(&body) {
        Ok(_) => Ok(body),
        Err(why) => Err(Failure::Unread(why)),
    }
}

/// What a reply says, where it is a refusal.
fn refusal(venue: Venue, body: &[u8]) -> Option<Unread> {
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm => binance::complaint(body),
        Venue::Bybit => bybit::complaint(body),
        Venue::Okx => okx::complaint(body),
        Venue::Hyperliquid | Venue::DydxV4 | Venue::GmxV2 => None,
    }
}
