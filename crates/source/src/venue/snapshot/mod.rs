//! All that a venue tells without a key about a coin over a stretch of time. Partial answers are normal: what could not be had is
//! part of the result, with its reason.

mod binance;
mod bybit;
mod hyperliquid;
mod okx;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::Decimal;
use protocol::perp::{Candle, Instrument, Key, Observation, Observed, Price, Series};
use protocol::time::{DAY_US, HOUR_US, SECOND_US, TimeUs};
use protocol::venue::Venue;

pub use self::hyperliquid::{Accounts, accounts};

use super::client::{self, Ask, Client, Failure};
use super::wire::{Parsed, Reject, Unread};

/// How long candles are, and how far apart what else is told of the past. Every venue has these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    /// Five minutes.
    M5,
    /// A quarter of an hour.
    M15,
    /// Half an hour.
    M30,
    /// An hour.
    H1,
    /// Four hours.
    H4,
    /// A day, from midnight in UTC on.
    D1,
}

impl Interval {
    /// Every interval, the shortest first.
    pub const ALL: [Self; 6] = [Self::M5, Self::M15, Self::M30, Self::H1, Self::H4, Self::D1];

    /// In microseconds.
    #[must_use]
    pub const fn us(self) -> i64 {
        match self {
            Self::M5 => 5 * 60 * SECOND_US,
            Self::M15 => 15 * 60 * SECOND_US,
            Self::M30 => 30 * 60 * SECOND_US,
            Self::H1 => HOUR_US,
            Self::H4 => 4 * HOUR_US,
            Self::D1 => DAY_US,
        }
    }

    /// The word used on the command line, and by most venues.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::M30 => "30m",
            Self::H1 => "1h",
            Self::H4 => "4h",
            Self::D1 => "1d",
        }
    }

    /// The interval a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.word() == word)
    }
}

/// The past that is asked about: from its first moment up to, not including, its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its first moment.
    pub from: TimeUs,
    /// The first moment after it.
    pub until: TimeUs,
    /// How finely it is told.
    pub interval: Interval,
}

/// The most pages of one list that are asked for.
const MOST_PAGES: i64 = 40;

impl Window {
    /// The window in pieces of at most `rows` intervals, the oldest first, each as its first and last millisecond.
    fn pages(&self, rows: i64, interval: i64) -> Vec<(i64, i64)> {
        let length = rows * interval;
        let span = self.until.0.saturating_sub(self.from.0).max(0);
        let first = self.until.0 - span;
        let count = (span + length - 1) / length;
        let page = |number: i64| {
            let from = first + number * length;
            (from.div_euclid(1_000), (from + length).min(self.until.0).div_euclid(1_000) - 1)
        };
        (0..count).map(page).collect()
    }

    /// The window from no earlier than a moment on, if anything is left of it.
    fn since(&self, from: TimeUs) -> Self {
        Self { from: self.from.max(from).min(self.until), ..*self }
    }
}

/// What a venue told of a coin.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The venue.
    pub venue: Venue,
    /// The coin, as it was asked about.
    pub coin: Arc<str>,
    /// When the first question was put, by this machine's clock.
    pub begun: TimeUs,
    /// The coin's perpetual contracts there.
    pub instruments: Vec<Instrument>,
    /// What was said of them, each once, by kind, instrument and time.
    pub observations: Vec<Observation>,
    /// Rows that could not be taken.
    pub rejects: Vec<Reject>,
    /// What could not be had.
    pub missing: Vec<Missing>,
    /// By how much the venue's clock is ahead of this machine's (negative: behind), in microseconds, the journey of the reply included;
    /// none where the venue stated no time.
    pub clock: Option<i64>,
}

/// Something that could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Of which instrument; none where it is about the venue.
    pub symbol: Option<Arc<str>>,
    /// What.
    pub what: &'static str,
    /// Why not.
    pub why: Failure,
    /// An older reply, given at this moment, was taken instead.
    pub instead: Option<TimeUs>,
}

/// What is known of an instrument when a reply is read.
#[derive(Debug, Default)]
struct Known {
    mark: Option<Decimal>,
    /// What was paid when each candle opened.
    opens: BTreeMap<TimeUs, Decimal>,
}

impl Known {
    fn learn(&mut self, row: &Observation) {
        match &row.fact {
            Observed::Price(Price { mark: Some(mark), .. }) => self.mark = Some(*mark),
            Observed::Candle(Candle { series: Series::Trade, open, .. }) => {
                self.opens.insert(row.time, *open);
            }
            Observed::Price(_)
            | Observed::Candle(_)
            | Observed::OpenInterest(_)
            | Observed::Funding(_)
            | Observed::Liquidation(_)
            | Observed::Depth(_)
            | Observed::Tiers(_)
            | Observed::Position(_)
            | Observed::Gap(_) => {}
        }
    }
}

type Said = Result<Parsed<Observation>, Unread>;
type Read = Box<dyn Fn(&Known, &[u8], TimeUs) -> Said + Send + Sync>;
type ReadTaken = fn(&[u8]) -> Result<Parsed<(TimeUs, Decimal)>, Unread>;

/// How a reply is read.
enum Reading {
    /// What it says stands by itself.
    Said(Read),
    /// It says what buyers took in each candle.
    Taken(ReadTaken),
}

/// A question about an instrument.
struct Step {
    what: &'static str,
    ask: Ask,
    reading: Reading,
}

impl Step {
    fn said(
        what: &'static str,
        ask: Ask,
        read: impl Fn(&Known, &[u8], TimeUs) -> Said + Send + Sync + 'static,
    ) -> Self {
        Self { what, ask, reading: Reading::Said(Box::new(read)) }
    }
}

/// What is asked about an instrument, in order, and what it is of no use to ask about.
#[derive(Default)]
struct Plan {
    steps: Vec<Step>,
    vain: Vec<(&'static str, Failure)>,
}

/// A question by GET.
fn get(path: String, weight: u32) -> Ask {
    Ask { path, body: None, weight, keep: None }
}

/// A name from outside as a part of an address.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.') {
            quoted.push(char::from(byte));
        } else {
            quoted.push_str(&format!("%{byte:02X}"));
        }
    }
    quoted
}

/// Everything a venue tells about a coin: its contracts, their tiers, prices, open interest now and then, candles, funding, the book, and
/// recent liquidations where they are public.
pub async fn snapshot(client: &Client, venue: Venue, coin: &str, window: Window) -> Snapshot {
    let mut snapshot = Snapshot {
        venue,
        coin: coin.into(),
        begun: client::now(),
        instruments: Vec::new(),
        observations: Vec::new(),
        rejects: Vec::new(),
        missing: Vec::new(),
        clock: None,
    };
    let coin = coin.to_owned();
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm => binance::instruments(&mut snapshot, client, &coin).await,
        Venue::Bybit => bybit::instruments(&mut snapshot, client, &coin).await,
        Venue::Okx => okx::instruments(&mut snapshot, client, &coin).await,
        Venue::Hyperliquid => hyperliquid::instruments(&mut snapshot, client, &coin).await,
        Venue::DydxV4 | Venue::GmxV2 => {
            let why = Failure::NotTold(format!("{venue} is not asked by this program"));
            snapshot.lack(None, "anything", why);
        }
    }
    if snapshot.instruments.is_empty() && snapshot.missing.is_empty() {
        let why = Failure::NotTold(format!(
            "{venue} has no perpetual contract of it that is traded; coins go by the venue's name, some by the thousand (1000PEPE, kPEPE)"
        ));
        snapshot.lack(None, "contracts", why);
    }
    for instrument in snapshot.instruments.clone() {
        snapshot.follow(client, &instrument, &window).await;
    }
    snapshot.tidy();
    snapshot
}

impl Snapshot {
    fn lack(&mut self, symbol: Option<&Instrument>, what: &'static str, why: Failure) {
        let symbol = symbol.map(|instrument| instrument.symbol.clone());
        self.missing.push(Missing { symbol, what, why, instead: None });
    }

    /// Asks which contracts there are.
    async fn list(
        &mut self,
        client: &Client,
        ask: Ask,
        read: impl FnOnce(&[u8]) -> Result<Parsed<Instrument>, Unread>,
    ) {
        let what = "contracts";
        match client.ask(self.venue, &ask).await {
            Err(why) => self.lack(None, what, why),
            Ok(reply) => {
                if let Some(why) = reply.instead_of {
                    self.missing.push(Missing { symbol: None, what, why, instead: Some(reply.at) });
                }
                match read(&reply.body) {
                    Err(why) => self.lack(None, what, Failure::Unread(why)),
                    Ok(parsed) => {
                        self.rejects.extend(parsed.rejects);
                        for instrument in parsed.rows {
                            if self.instruments.iter().all(|known| known.symbol != instrument.symbol) {
                                self.instruments.push(instrument);
                            }
                        }
                    }
                }
            }
        }
    }

    /// Asks all there is to ask about an instrument. What fails once for good is not asked page after page.
    async fn follow(&mut self, client: &Client, instrument: &Instrument, window: &Window) {
        let plan = match self.venue {
            Venue::BinanceUsdm | Venue::BinanceCoinm => binance::plan(instrument, window, self.begun),
            Venue::Bybit => bybit::plan(instrument, window),
            Venue::Okx => okx::plan(instrument, window, self.begun),
            Venue::Hyperliquid => hyperliquid::plan(instrument, window, self.begun),
            Venue::DydxV4 | Venue::GmxV2 => Plan::default(),
        };
        let mut known = Known::default();
        let mut failed = BTreeSet::new();
        for Step { what, ask, reading } in plan.steps {
            if failed.contains(what) {
                continue;
            }
            let outcome = match client.ask(self.venue, &ask).await {
                Err(why) => Err(why),
                Ok(reply) => {
                    if let Some(why) = reply.instead_of.clone() {
                        let symbol = Some(instrument.symbol.clone());
                        self.missing.push(Missing { symbol, what, why, instead: Some(reply.at) });
                    }
                    self.hear(&reading, &mut known, instrument, &reply.body, reply.at).map_err(Failure::Unread)
                }
            };
            if let Err(why) = outcome {
                failed.insert(what);
                self.lack(Some(instrument), what, why);
            }
        }
        for (what, why) in plan.vain {
            self.lack(Some(instrument), what, why);
        }
        self.count_candles(instrument, window);
        self.count_open_interest(instrument, window);
    }

    fn hear(
        &mut self,
        reading: &Reading,
        known: &mut Known,
        instrument: &Instrument,
        body: &[u8],
        at: TimeUs,
    ) -> Result<(), Unread> {
        match reading {
            Reading::Said(read) => {
                let parsed = read(known, body, at)?;
                parsed.rows.iter().for_each(|row| known.learn(row));
                let told =
                    parsed.rows.iter().filter(|row| matches!(row.fact, Observed::Price(_)) && row.time != row.received);
                self.clock = told.map(|row| row.time.0.saturating_sub(at.0)).next_back().or(self.clock);
                self.rejects.extend(parsed.rejects);
                self.observations.extend(parsed.rows);
            }
            Reading::Taken(read) => {
                let parsed = read(body)?;
                self.rejects.extend(parsed.rejects);
                let taken: BTreeMap<TimeUs, Decimal> = parsed.rows.into_iter().collect();
                for row in self.observations.iter_mut().filter(|row| row.symbol == instrument.symbol) {
                    if let (Some(bought), Observed::Candle(candle)) = (taken.get(&row.time), &mut row.fact)
                        && candle.series == Series::Trade
                        && candle.volume.is_none_or(|volume| *bought <= volume)
                    {
                        candle.taker_buy = Some(*bought);
                    }
                }
            }
        }
        Ok(())
    }

    /// Says how many candles of the window are lacking, where the venue gave any.
    fn count_candles(&mut self, instrument: &Instrument, window: &Window) {
        let length = window.interval.us();
        let first = -((-window.from.0).div_euclid(length));
        // The one that has just begun may not be there yet.
        let last = window.until.0.min(self.begun.0).div_euclid(length);
        let wanted = usize::try_from(last - first).unwrap_or(0);
        let is_wanted = |row: &&Observation| {
            row.symbol == instrument.symbol
                && (first * length..last * length).contains(&row.time.0)
                && matches!(&row.fact, Observed::Candle(candle) if candle.series == Series::Trade)
        };
        let times: BTreeSet<TimeUs> = self.observations.iter().filter(is_wanted).map(|row| row.time).collect();
        if !times.is_empty() && times.len() < wanted {
            let why = Failure::NotTold(format!("{} of {wanted} are lacking", wanted - times.len()));
            self.lack(Some(instrument), "candles", why);
        }
    }

    /// Says how many steps of open interest are lacking between the first and the last that were told.
    fn count_open_interest(&mut self, instrument: &Instrument, window: &Window) {
        let length = window.interval.us();
        let is_step = |row: &&Observation| {
            row.symbol == instrument.symbol
                && matches!(row.fact, Observed::OpenInterest(_))
                && row.time.0.rem_euclid(length) == 0
        };
        let times: BTreeSet<TimeUs> = self.observations.iter().filter(is_step).map(|row| row.time).collect();
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
        let wanted = usize::try_from((last.0 - first.0) / length + 1).unwrap_or(0);
        if times.len() < wanted {
            let why = Failure::NotTold(format!("{} of {wanted} steps up to {last} are lacking", wanted - times.len()));
            self.lack(Some(instrument), "open interest of the past", why);
        }
    }

    /// Keeps everything once, what was heard last where it differs, in order.
    fn tidy(&mut self) {
        let rows: BTreeMap<Key, Observation> = self.observations.drain(..).map(|row| (row.key(), row)).collect();
        self.observations = rows.into_values().collect();
    }
}

/// What a venue keeps of the past, where that is not all of the window.
fn limit(plan: &mut Plan, what: &'static str, window: &Window, from: i64, said: &str) -> Window {
    if window.from.0 < from {
        plan.vain.push((what, Failure::NotTold(format!("only {said} are told"))));
    }
    window.since(TimeUs(from))
}

/// The pages of a window that are asked for, as the first and last millisecond of each; of more than [`MOST_PAGES`] the latest, having
/// noted that the others are not.
fn pages(plan: &mut Plan, what: &'static str, window: &Window, (rows, interval): (i64, i64)) -> Vec<(i64, i64)> {
    let first = window.until.0.saturating_sub(MOST_PAGES * rows * interval);
    if window.from.0 < first {
        let why = format!("only the latest {MOST_PAGES} pages of {rows} steps are asked for");
        plan.vain.push((what, Failure::NotTold(why)));
    }
    window.since(TimeUs(first)).pages(rows, interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_cover_the_window_without_overlap() {
        for (hours, rows, pages) in [(0, 100, 0), (1, 100, 1), (100, 100, 1), (101, 100, 2), (10_000, 100, 40)] {
            let until = TimeUs(1_700_000_000_000_000 / HOUR_US * HOUR_US);
            let window = Window { from: TimeUs(until.0 - hours * HOUR_US), until, interval: Interval::H1 };
            let mut plan = Plan::default();
            let found = super::pages(&mut plan, "candles", &window, (rows, HOUR_US));
            assert_eq!(found.len(), pages, "{hours}");
            assert_eq!(plan.vain.len(), usize::from(hours > 4_000), "what is left out is said");
            assert!(found.windows(2).all(|pair| pair[0].1 + 1 == pair[1].0), "{found:?}");
            assert!(found.iter().all(|(from, to)| to - from < rows * 3_600_000), "{found:?}");
            assert!(found.last().is_none_or(|last| last.1 + 1 == until.0 / 1_000), "the latest are there");
            if hours <= 4_000 {
                assert!(found.first().is_none_or(|first| first.0 == window.from.0 / 1_000), "and all where they fit");
            }
        }
        let backwards = Window { from: TimeUs(9), until: TimeUs(5), interval: Interval::M5 };
        assert_eq!(backwards.pages(10, 1_000), []);
        assert!(Interval::ALL.iter().all(|interval| Interval::from_word(interval.word()) == Some(*interval)));
    }

    #[test]
    fn a_hostile_name_stays_in_its_place() {
        assert_eq!(quoted("BTC-USDT_1.0"), "BTC-USDT_1.0");
        assert_eq!(quoted("a&b=c/..?#é\n"), "a%26b%3Dc%2F..%3F%23%C3%A9%0A");
    }
}
