//! The venues themselves, asked without a key.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use protocol::Address;
use protocol::standing::Standing;
use protocol::time::{DAY_US, TimeUs};
use protocol::venue::Venue;
use source::archive::perps::kept::{self, Came, Hearing};
use source::archive::{Archive, Writer};
use source::venue::{Accounts, Client, Interval, Options, Places, Reject, Snapshot, Window, accounts, snapshot};

use super::inputs::Source;
use super::{Found, Origin};
use crate::args::PerpSources;
use crate::commands::{self, import_perps};
use crate::text;

/// Venues that are asked.
pub(crate) const ASKED: [Venue; 5] =
    [Venue::BinanceUsdm, Venue::BinanceCoinm, Venue::Bybit, Venue::Okx, Venue::Hyperliquid];
/// Clocks that differ by more are told, in microseconds.
const APART: i64 = 60_000_000;
/// How far back is asked for a map where nobody says, in microseconds.
pub(crate) const WINDOW: i64 = 30 * DAY_US;

/// Asks all venues at once, or those that are named, as far back as `window` says in microseconds; what they say is kept where
/// `is_kept`.
pub(crate) fn ask(
    archive: &Archive,
    coin: &str,
    (venues, window): (&[Venue], i64),
    of: &PerpSources,
    is_kept: bool,
) -> anyhow::Result<Found> {
    let coin = &spelled(coin);
    let client = Client::new(&places(&of.rest_url)?, options(archive, of.rest_url.is_empty()))?;
    let seen = of.account.iter().map(|text| Ok(Address::from(commands::account(text)?)));
    let seen: Vec<Address> = seen.collect::<anyhow::Result<_>>()?;
    let now = TimeUs(jiff::Timestamp::now().as_microsecond());
    let from = TimeUs(now.0.saturating_sub(window));
    let window = Window { from, until: now, interval: Interval::H1 };
    let asked: Vec<Venue> = ASKED.into_iter().filter(|venue| venues.is_empty() || venues.contains(venue)).collect();
    let mut found = Found::default();
    for venue in venues.iter().filter(|venue| !ASKED.contains(venue)) {
        found.notes.push(format!("Not got: {venue} is not asked by this program; its files can be imported."));
    }
    let client = Arc::new(client);
    let (snapshots, told) = crate::node::run(async {
        let all = ask_each(&client, &asked, coin, window).await?;
        let told =
            if asked.contains(&Venue::Hyperliquid) { accounts(&client, &seen).await } else { Accounts::default() };
        Ok::<(Vec<Snapshot>, Accounts), anyhow::Error>((all, told))
    })?;
    for snapshot in &snapshots {
        found.notes.extend(missing(snapshot));
        found.sources.extend(sources(snapshot, &mut found.notes));
    }
    found.notes.extend(stands_in(archive, &snapshots));
    if is_kept {
        found.notes.extend(keep(archive, &client, &snapshots, &told));
    }
    for source in found.sources.iter_mut().filter(|source| source.venue == Venue::Hyperliquid) {
        source.positions.extend(told.positions.iter().cloned());
    }
    found.notes.extend(told.missing.iter().map(|(account, why)| {
        format!("Not got from {}: positions of {account:#x}: {}.", Venue::Hyperliquid, text::harmless(&why.to_string()))
    }));
    found.notes.extend(rejected(Venue::Hyperliquid, "positions", &told.rejects));
    Ok(found)
}

/// Asks venues all at once.
pub(crate) async fn ask_each(
    client: &Arc<Client>,
    venues: &[Venue],
    coin: &str,
    window: Window,
) -> anyhow::Result<Vec<Snapshot>> {
    let one = |venue: Venue| {
        let (client, coin) = (Arc::clone(client), coin.to_owned());
        tokio::spawn(async move { snapshot(&client, venue, &coin, window).await })
    };
    let tasks: Vec<_> = venues.iter().map(|venue| one(*venue)).collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.context("a venue could not be asked")?);
    }
    Ok(all)
}

pub(crate) fn options(archive: &Archive, is_usual: bool) -> Options {
    // What another server says is not kept as the venue's word.
    Options { cache: is_usual.then(|| archive.root().join("cache").join("venues")), ..Options::default() }
}

/// Where venues are asked.
pub(crate) fn places(elsewhere: &[String]) -> anyhow::Result<Places> {
    let mut places = Places::default();
    for text in elsewhere {
        let (venue, url) = at(text, "rest-url")?;
        let place = match venue {
            Venue::BinanceUsdm => &mut places.binance_usdm,
            Venue::BinanceCoinm => &mut places.binance_coinm,
            Venue::Bybit => &mut places.bybit,
            Venue::Okx => &mut places.okx,
            Venue::Hyperliquid => &mut places.hyperliquid,
            Venue::DydxV4 | Venue::GmxV2 => anyhow::bail!("{venue} is not asked by this program"),
        };
        *place = url;
    }
    Ok(places)
}

/// A venue and where it is.
pub(crate) fn at(text: &str, option: &str) -> anyhow::Result<(Venue, String)> {
    let (venue, url) =
        text.split_once('=').with_context(|| format!("--{option} \"{}\" is not VENUE=URL", text::printable(text)))?;
    Ok((import_perps::venue(venue)?, url.trim().to_owned()))
}

/// The contracts that a venue told something of.
fn sources(snapshot: &Snapshot, notes: &mut Vec<String>) -> Vec<Source> {
    let mut one = |instrument: &protocol::perp::Instrument| {
        let name: Arc<str> = format!("{} {}", snapshot.venue, text::printable(&instrument.symbol)).into();
        let mut source = Source::new(name, Origin::Venues, snapshot.venue, Standing::Observed);
        source.take(&snapshot.observations, &|row| row.symbol == instrument.symbol, None);
        source.take_tiers(&snapshot.observations, instrument);
        super::model::suppose_open_interest(&mut source);
        notes.extend(source.told.stale(&source.name, snapshot.begun));
        source
    };
    snapshot.instruments.iter().map(&mut one).collect()
}

/// What could not be had, each a sentence.
pub(crate) fn missing(snapshot: &Snapshot) -> Vec<String> {
    let one = |missing: &source::venue::Missing| {
        let of = missing.symbol.as_ref().map_or_else(String::new, |symbol| format!(" of {}", text::printable(symbol)));
        let instead = missing.instead.map_or_else(String::new, |at| format!("; what it said at {at} stands instead"));
        format!(
            "Not got from {}: {}{of}: {}{instead}.",
            snapshot.venue,
            missing.what,
            text::harmless(&missing.why.to_string())
        )
    };
    let mut notes: Vec<String> = snapshot.missing.iter().map(one).collect();
    notes.extend(rejected(snapshot.venue, "rows", &snapshot.rejects));
    notes.extend(snapshot.clock.filter(|ahead| ahead.abs() > APART).map(|ahead| {
        let where_to = if ahead > 0 { "ahead of" } else { "behind" };
        format!("{}: its clock is {} s {where_to} this machine's.", snapshot.venue, ahead.abs() / 1_000_000)
    }));
    notes
}

/// What was not taken, by the kind of reason, each with its first.
fn rejected(venue: Venue, what: &str, rejects: &[Reject]) -> Option<String> {
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for reject in rejects {
        reasons.entry(reject.reason).or_insert((0, &reject.detail)).0 += 1;
    }
    let said: Vec<String> = reasons
        .into_iter()
        .map(|(reason, (number, first))| {
            format!("{} {reason} (the first: {})", text::count(number), text::harmless(first))
        })
        .collect();
    let number = text::count(rejects.len() as u64);
    (!said.is_empty()).then(|| format!("{venue}: {number} {what} could not be taken: {}.", said.join("; ")))
}

/// A coin as venues spell it: in capitals, unless it is typed in both.
pub(crate) fn spelled(coin: &str) -> String {
    let coin = coin.trim();
    if coin.chars().any(|c| c.is_ascii_uppercase()) { coin.to_owned() } else { coin.to_ascii_uppercase() }
}

/// Where what is kept could stand in for venues that told nothing.
fn stands_in(archive: &Archive, snapshots: &[Snapshot]) -> Option<String> {
    let silent =
        |venue: Venue| snapshots.iter().any(|snapshot| snapshot.venue == venue && snapshot.instruments.is_empty());
    let kept = kept::kept(archive).ok()?;
    let held: Vec<String> = kept.places.keys().filter(|venue| silent(**venue)).map(ToString::to_string).collect();
    (!held.is_empty()).then(|| format!("The archive keeps what {} said before: --kept takes it.", held.join(", ")))
}

/// Keeps what venues said. That it cannot be kept is said, and is nothing to stop for.
fn keep(archive: &Archive, client: &Client, snapshots: &[Snapshot], told: &Accounts) -> Option<String> {
    if snapshots.iter().all(|snapshot| snapshot.instruments.is_empty()) {
        return None;
    }
    let all = || -> source::Result<(u64, u64)> {
        let writer = Writer::open(archive)?;
        let (mut new, mut known) = (0, 0);
        for snapshot in snapshots.iter().filter(|snapshot| !snapshot.instruments.is_empty()) {
            let place = client.host(snapshot.venue).unwrap_or("a place not named");
            let instruments = snapshot.instruments.as_slice();
            let hearing = Hearing { venue: snapshot.venue, came: Came::Asked, place, instruments };
            let mut rows = snapshot.observations.clone();
            let is_theirs = |row: &&protocol::perp::Observation| row.venue == snapshot.venue;
            rows.extend(told.positions.iter().filter(is_theirs).cloned());
            let appended = kept::keep(&writer, &hearing, &rows, &snapshot.rejects)?;
            new += appended.kept;
            known += appended.repeats;
        }
        Ok((new, known))
    };
    Some(match all() {
        Ok((new, known)) => format!(
            "Kept in the archive: {} observations, beside {} that were kept already; --no-keep leaves them out.",
            text::count(new),
            text::count(known)
        ),
        Err(why) => format!("What venues said is not kept: {}.", text::harmless(&why.to_string())),
    })
}
