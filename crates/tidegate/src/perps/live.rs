//! The venues themselves, asked without a key.

use std::sync::Arc;

use anyhow::Context as _;
use protocol::Address;
use protocol::standing::Standing;
use protocol::time::{DAY_US, TimeUs};
use protocol::venue::Venue;
use source::archive::Archive;
use source::venue::{Accounts, Client, Interval, Options, Places, Snapshot, Window, accounts, snapshot};

use super::inputs::Source;
use super::{Found, Origin};
use crate::args::PerpSources;
use crate::commands::{self, import_perps};
use crate::text;

/// Venues that are asked.
pub(crate) const ASKED: [Venue; 5] =
    [Venue::BinanceUsdm, Venue::BinanceCoinm, Venue::Bybit, Venue::Okx, Venue::Hyperliquid];
/// How far back is asked for a map where nobody says, in microseconds.
pub(crate) const WINDOW: i64 = 30 * DAY_US;

/// Asks all venues at once, or those that are named, as far back as `window` says in microseconds.
pub(crate) fn ask(
    archive: &Archive,
    coin: &str,
    venues: &[Venue],
    window: i64,
    of: &PerpSources,
) -> anyhow::Result<Found> {
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
        let one = |venue: Venue| {
            let (client, coin) = (client.clone(), coin.to_owned());
            tokio::spawn(async move { snapshot(&client, venue, &coin, window).await })
        };
        let tasks: Vec<_> = asked.iter().map(|venue| one(*venue)).collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.context("a venue could not be asked")?);
        }
        let told =
            if asked.contains(&Venue::Hyperliquid) { accounts(&client, &seen).await } else { Accounts::default() };
        Ok::<(Vec<Snapshot>, Accounts), anyhow::Error>((all, told))
    })?;
    for snapshot in &snapshots {
        found.notes.extend(missing(snapshot));
        found.sources.extend(sources(snapshot));
    }
    for source in found.sources.iter_mut().filter(|source| source.venue == Venue::Hyperliquid) {
        source.positions.extend(told.positions.iter().cloned());
    }
    found.notes.extend(told.missing.iter().map(|(account, why)| {
        format!("Not got from {}: positions of {account:#x}: {}.", Venue::Hyperliquid, text::harmless(&why.to_string()))
    }));
    found.notes.extend(told.rejects.first().map(|first| {
        let number = text::count(told.rejects.len() as u64);
        format!(
            "{}: {number} positions could not be taken; the first: {}.",
            Venue::Hyperliquid,
            text::harmless(&first.detail)
        )
    }));
    Ok(found)
}

fn options(archive: &Archive, is_usual: bool) -> Options {
    // What another server says is not kept as the venue's word.
    Options { cache: is_usual.then(|| archive.root().join("cache").join("venues")), ..Options::default() }
}

/// Where venues are asked.
fn places(elsewhere: &[String]) -> anyhow::Result<Places> {
    let mut places = Places::default();
    for text in elsewhere {
        let (venue, url) = text
            .split_once('=')
            .with_context(|| format!("--rest-url \"{}\" is not VENUE=URL", text::printable(text)))?;
        let place = match import_perps::venue(venue)? {
            Venue::BinanceUsdm => &mut places.binance_usdm,
            Venue::BinanceCoinm => &mut places.binance_coinm,
            Venue::Bybit => &mut places.bybit,
            Venue::Okx => &mut places.okx,
            Venue::Hyperliquid => &mut places.hyperliquid,
            venue @ (Venue::DydxV4 | Venue::GmxV2) => anyhow::bail!("{venue} is not asked by this program"),
        };
        url.trim().clone_into(place);
    }
    Ok(places)
}

/// The contracts that a venue told something of.
fn sources(snapshot: &Snapshot) -> Vec<Source> {
    let one = |instrument: &protocol::perp::Instrument| {
        let name: Arc<str> = format!("{} {}", snapshot.venue, text::printable(&instrument.symbol)).into();
        let mut source = Source::new(name, Origin::Venues, snapshot.venue, Standing::Observed);
        source.take(&snapshot.observations, &|row| row.symbol == instrument.symbol, None);
        source.take_tiers(&snapshot.observations, instrument);
        super::model::suppose_open_interest(&mut source);
        source
    };
    snapshot.instruments.iter().map(one).collect()
}

/// What could not be had, each a sentence.
fn missing(snapshot: &Snapshot) -> Vec<String> {
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
    if !snapshot.rejects.is_empty() {
        let first = snapshot.rejects.first().map_or("", |reject| reject.detail.as_str());
        notes.push(format!(
            "{}: {} rows could not be taken; the first: {}.",
            snapshot.venue,
            text::count(snapshot.rejects.len() as u64),
            text::harmless(first)
        ));
    }
    notes
}
