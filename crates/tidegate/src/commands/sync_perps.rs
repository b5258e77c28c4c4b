//! `tidegate sync perps`: what venues of perpetual futures stream of a coin, kept as it is heard.
//!
//! Contracts are asked for once, and what else is told then is kept too. What is heard waits until a minute or [`MOST_WAITING`] rows are
//! full and is written whole; while another program writes to the archive it waits on, and once there is no more room nothing more is
//! read: the venues' queues fill, and connections that break of it leave gaps. The time since a contract was listened to last is a gap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, bail};
use protocol::perp::{Instrument, Kind, Observation};
use protocol::standing::Standing;
use protocol::time::{DAY_US, TimeUs};
use protocol::venue::{Contract, Venue};
use source::archive::perps::kept::{self, Came, Hearing};
use source::archive::{Archive, Writer};
use source::venue::stream::{self, Heard, Report as Listened, Streams};
use source::venue::{Client, Interval, Places, Reject, Snapshot, Window};
use tokio::time::Instant;

use super::{Interrupted, import_perps};
use crate::args;
use crate::output::{self, Destination, Format};
use crate::perps::live;
use crate::table::{Report, Table, Unit, Value};
use crate::{node, text};

/// What is listened to.
const KINDS: [Kind; 4] = [Kind::Liquidations, Kind::Prices, Kind::Funding, Kind::OpenInterest];
/// How long what was heard waits to be written, at most.
const WAITING: Duration = Duration::from_secs(60);
/// So many rows are written at once.
const MOST_WAITING: usize = 4_096;
/// So many rows wait while another program is writing; then nothing more is read.
const MOST_HELD: usize = 16 * MOST_WAITING;
/// How long after the end it is waited for another program to finish.
const LAST_WAIT: Duration = Duration::from_secs(30);
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(200);

/// Listens.
pub(crate) fn run(archive: &Path, args: &args::SyncPerps) -> anyhow::Result<()> {
    let (report, is_cut_short) = node::run(listen(archive, args))?;
    output::write(&report, &Destination { format: Format::Text, file: None })?;
    if is_cut_short { Err(Interrupted.into()) } else { Ok(()) }
}

async fn listen(folder: &Path, args: &args::SyncPerps) -> anyhow::Result<(Report, bool)> {
    let archive = Archive::at(folder)?;
    let length = args.length.as_deref().map(import_perps::length).transpose().context("--for")?;
    let length = length.map(|us| Duration::from_micros(us.unsigned_abs()));
    let venues: Vec<Venue> = args.venue.iter().map(|word| import_perps::venue(word)).collect::<anyhow::Result<_>>()?;
    let places = places(args)?;
    let snapshots = contracts(&archive, args, &venues, &places).await?;
    let instruments: Vec<Instrument> = snapshots.iter().flat_map(|told| told.instruments.clone()).collect();
    let mut notes: Vec<String> = snapshots.iter().flat_map(live::missing).collect();
    if instruments.is_empty() {
        bail!("nothing can be listened to of {}: {}", text::printable(&args.coin), notes.join(" "));
    }
    let mut record = Record::new(&archive, &places, instruments);
    record.begin(&snapshots)?;
    let mut streams = stream::listen(&places, &record.instruments, &KINDS, &stream::Options::default())?;
    let is_cut_short = record.follow(&mut streams, length).await?;
    let heard = streams.report();
    drop(streams);
    record.close().await?;
    notes.extend(said(&heard));
    notes.extend(record.silent());
    let title = format!("Heard of {}", text::printable(&args.coin));
    Ok((Report { title, standing: Standing::Observed, notes, tables: vec![record.table()] }, is_cut_short))
}

/// Where venues are asked and listened to.
fn places(args: &args::SyncPerps) -> anyhow::Result<Places> {
    let mut places = live::places(&args.rest_url)?;
    for text in &args.stream_url {
        let (venue, url) = live::at(text, "stream-url")?;
        match venue {
            Venue::BinanceUsdm => places.binance_usdm_stream = url,
            Venue::BinanceCoinm => places.binance_coinm_stream = url,
            Venue::Bybit => {
                places.bybit_linear_stream.clone_from(&url);
                places.bybit_inverse_stream = url;
            }
            Venue::Okx => places.okx_stream = url,
            Venue::Hyperliquid => places.hyperliquid_stream = url,
            Venue::DydxV4 | Venue::GmxV2 => bail!("{venue} is not listened to by this program"),
        }
    }
    Ok(places)
}

/// Asks which contracts there are, with what is told of the last day.
async fn contracts(
    archive: &Archive,
    args: &args::SyncPerps,
    venues: &[Venue],
    places: &Places,
) -> anyhow::Result<Vec<Snapshot>> {
    let client = Arc::new(Client::new(places, live::options(archive, args.rest_url.is_empty()))?);
    let asked: Vec<Venue> =
        live::ASKED.into_iter().filter(|venue| venues.is_empty() || venues.contains(venue)).collect();
    let now = now();
    let window = Window { from: TimeUs(now.0 - DAY_US), until: now, interval: Interval::H1 };
    live::ask_each(&client, &asked, &live::spelled(&args.coin), window).await
}

fn now() -> TimeUs {
    TimeUs(jiff::Timestamp::now().as_microsecond())
}

/// What is heard on its way into the archive.
struct Record<'a> {
    archive: &'a Archive,
    instruments: Vec<Instrument>,
    /// The contracts of each stream, and its host.
    lines: BTreeMap<(Venue, bool), (String, Vec<Instrument>)>,
    waiting: Vec<Observation>,
    rejects: Vec<(Venue, Reject)>,
    /// Rows that were written, with the first and last moment.
    written: BTreeMap<(Venue, Kind), (u64, TimeUs, TimeUs)>,
}

impl<'a> Record<'a> {
    fn new(archive: &'a Archive, places: &Places, instruments: Vec<Instrument>) -> Self {
        let mut lines: BTreeMap<(Venue, bool), (String, Vec<Instrument>)> = BTreeMap::new();
        for one in &instruments {
            let host = places.stream_host(one).unwrap_or_else(|| "a place not named".to_owned());
            let line = lines.entry(line_of(one)).or_insert_with(|| (host, Vec::new()));
            line.1.push(one.clone());
        }
        Self { archive, instruments, lines, waiting: Vec::new(), rejects: Vec::new(), written: BTreeMap::new() }
    }

    /// Keeps what was told when contracts were asked for, and that nobody listened since the last time.
    fn begin(&mut self, snapshots: &[Snapshot]) -> anyhow::Result<()> {
        let begun = now();
        for instrument in &self.instruments {
            if let Some(until) = kept::watched_until(self.archive, instrument)?.filter(|until| *until < begun) {
                self.waiting.push(kept::unwatched(instrument, until, begun, begun, &KINDS));
            }
        }
        let writer = Writer::open(self.archive)?;
        for told in snapshots.iter().filter(|told| !told.instruments.is_empty()) {
            let hearing = Hearing {
                venue: told.venue,
                came: Came::Asked,
                place: "where its contracts were asked for",
                instruments: &told.instruments,
            };
            kept::keep(&writer, &hearing, &told.observations, &told.rejects)?;
        }
        Ok(())
    }

    /// Listens until it was long enough or the user ends it; returns whether that was before the end.
    async fn follow(&mut self, streams: &mut Streams, length: Option<Duration>) -> anyhow::Result<bool> {
        let stop = node::stop_on_interrupt();
        let end = length.map(|length| Instant::now() + length);
        let mut write_at = Instant::now() + WAITING;
        loop {
            if stop.load(Ordering::Relaxed) {
                return Ok(end.is_some());
            }
            let now = Instant::now();
            if end.is_some_and(|end| end <= now) {
                return Ok(false);
            }
            if (write_at <= now || self.waiting.len() >= MOST_WAITING) && self.write()? {
                write_at = now + WAITING;
            }
            let until = end.map_or(now + LOOK, |end| end.min(now + LOOK));
            if self.waiting.len() >= MOST_HELD {
                tokio::time::sleep_until(until).await;
                continue;
            }
            match tokio::time::timeout_at(until, streams.next()).await {
                Err(_) => {}
                Ok(None) => return Ok(false),
                Ok(Some(Heard::Said(row))) => self.waiting.push(row),
                Ok(Some(Heard::Rejected(venue, reject))) => self.rejects.push((venue, reject)),
            }
        }
    }

    /// Writes what waits; false where another program is writing, and it waits on.
    fn write(&mut self) -> anyhow::Result<bool> {
        let writer = match Writer::open(self.archive) {
            Ok(writer) => writer,
            Err(source::Error::Locked { .. }) => return Ok(false),
            Err(why) => return Err(why.into()),
        };
        let contract: BTreeMap<(Venue, &str), (Venue, bool)> =
            self.instruments.iter().map(|one| ((one.venue, &*one.symbol), line_of(one))).collect();
        let mut rejects = std::mem::take(&mut self.rejects);
        for (line, (place, instruments)) in &self.lines {
            let own = |row: &&Observation| contract.get(&(row.venue, &*row.symbol)) == Some(line);
            let rows: Vec<Observation> = self.waiting.iter().filter(own).cloned().collect();
            // A reject names no contract; the venue's first stream keeps it.
            let (theirs, others) = rejects.into_iter().partition(|(venue, _)| *venue == line.0);
            rejects = others;
            let theirs: Vec<Reject> =
                Vec::from_iter(theirs).into_iter().map(|(_, reject): (Venue, Reject)| reject).collect();
            if rows.is_empty() && theirs.is_empty() {
                continue;
            }
            let hearing = Hearing { venue: line.0, came: Came::Streamed, place, instruments };
            kept::keep(&writer, &hearing, &rows, &theirs)?;
            for row in rows {
                let (count, from, to) =
                    self.written.entry((row.venue, row.fact.kind())).or_insert((0, row.time, row.time));
                (*count, *from, *to) = (*count + 1, (*from).min(row.time), (*to).max(row.time));
            }
        }
        self.waiting.clear();
        Ok(true)
    }

    /// Writes what still waits.
    async fn close(&mut self) -> anyhow::Result<()> {
        let end = Instant::now() + LAST_WAIT;
        while !self.write()? {
            if end <= Instant::now() {
                bail!(
                    "{} rows that were heard last could not be kept: another program is writing to the archive",
                    text::count(self.waiting.len() as u64)
                );
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// What venues do not stream.
    fn silent(&self) -> Vec<String> {
        let venues: BTreeSet<Venue> = self.instruments.iter().map(|one| one.venue).collect();
        let says = |venue: &Venue| match venue {
            Venue::BinanceUsdm | Venue::BinanceCoinm => Some(format!("{venue} streams no open interest.")),
            Venue::Hyperliquid => {
                Some(format!("{venue} streams no liquidations; they are among the fills of the accounts concerned."))
            }
            Venue::Bybit | Venue::Okx | Venue::DydxV4 | Venue::GmxV2 => None,
        };
        venues.iter().filter_map(says).collect()
    }

    fn table(&self) -> Table {
        let columns = [
            ("venue", Unit::Text),
            ("kind", Unit::Text),
            ("rows", Unit::Count),
            ("first", Unit::Time),
            ("last", Unit::Time),
        ];
        let mut table = Table::new("heard", &columns);
        for ((venue, kind), (count, from, to)) in &self.written {
            table.push(vec![
                Value::Text(venue.to_string()),
                Value::Text(kind.to_string()),
                Value::Count(*count),
                Value::Time(*from),
                Value::Time(*to),
            ]);
        }
        table
    }
}

/// The stream of a contract: Bybit has one for linear and one for inverse contracts.
fn line_of(instrument: &Instrument) -> (Venue, bool) {
    (instrument.venue, instrument.contract == Contract::Inverse && instrument.venue == Venue::Bybit)
}

/// What happened on the streams.
fn said(heard: &Listened) -> Vec<String> {
    let count = text::count;
    let mut said = vec![format!(
        "{} messages on {} connections: {} observations, {} heard before, {} after a later one of their kind, {} that could not be \
         taken, {} of other contracts.",
        count(heard.messages),
        count(heard.connections),
        count(heard.observations),
        count(heard.repeats),
        count(heard.late),
        count(heard.rejects),
        count(heard.foreign)
    )];
    if let Some(last) = &heard.last_break {
        let last = text::harmless(last);
        said.push(format!(
            "{} connections broke or were not made; the last: {last}. What was not heard is kept as gaps.",
            count(heard.broken)
        ));
    }
    if heard.slowed >= Duration::from_millis(1) {
        said.push(format!(
            "Reading stood still for {:.1} s in all, because what was heard could not be kept as fast.",
            heard.slowed.as_secs_f64()
        ));
    }
    said
}
