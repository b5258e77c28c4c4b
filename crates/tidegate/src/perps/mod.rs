//! What is known of a coin's perpetual contracts, as the engine takes it: out of imported datasets, or asked of the venues now.
//!
//! Observations become candles with open interest, liquidations by candle, funding and positions ([`inputs`]); of those an
//! estimated model is folded ([`model`]), and positions are put where they are liquidated ([`seen`]).

pub(crate) mod inputs;
pub(crate) mod live;
pub(crate) mod model;
pub(crate) mod seen;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use protocol::perp::{Kind, Observation, Observed};
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::venue::Venue;
use source::archive::footer::TimeRange;
use source::archive::perps::{Shelf, load_from};
use source::archive::{Archive, DatasetName};

use self::inputs::Source;
use crate::args::PerpSources;
use crate::commands::{self, import_perps};
use crate::text;

/// From where a source is: figures of two origins may be the same positions, and are never added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// An imported dataset.
    Dataset(String),
    /// The venues themselves, asked now.
    Venues,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dataset(name) => write!(f, "dataset {name}"),
            Self::Venues => f.write_str("the venues asked"),
        }
    }
}

/// Everything that was found, and what was not.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub sources: Vec<Source>,
    /// What could not be had or is known to be wrong, each a sentence.
    pub notes: Vec<String>,
}

/// Gathers a coin's contracts from where the user says; the venues themselves where `is_alone` and nothing is named.
pub(crate) fn gather(archive: &Path, coin: &str, of: &PerpSources, is_alone: bool) -> anyhow::Result<Found> {
    gather_over(archive, coin, of, is_alone, live::WINDOW)
}

/// The same; where the user says no window, venues are asked for `usual` microseconds and datasets for all they have.
pub(crate) fn gather_over(
    archive: &Path,
    coin: &str,
    of: &PerpSources,
    is_alone: bool,
    usual: i64,
) -> anyhow::Result<Found> {
    let venues: Vec<Venue> = of.venue.iter().map(|word| import_perps::venue(word)).collect::<anyhow::Result<_>>()?;
    let window = of.window.as_deref().map(import_perps::length).transpose().context("--window")?;
    let until = of.until.as_deref().map(|until| commands::time_range(None, Some(until)).map(|range| range.until));
    let until = until.transpose()?.unwrap_or(TimeUs(i64::MAX));
    let archive = Archive::at(archive)?;
    let mut found = Found::default();
    for name in &of.dataset {
        let dataset = DatasetName::new(name)?;
        found.sources.extend(imported(&archive, &dataset, (coin, &venues), (window, until), &mut found.notes)?);
    }
    let is_meant = of.live || !of.account.is_empty() || !of.rest_url.is_empty();
    if is_meant || (is_alone && of.dataset.is_empty()) {
        let asked = live::ask(&archive, coin, &venues, window.unwrap_or(usual), of)?;
        found.sources.extend(asked.sources);
        found.notes.extend(asked.notes);
    }
    Ok(found)
}

/// The contracts of a dataset.
fn imported(
    archive: &Archive,
    dataset: &DatasetName,
    (coin, venues): (&str, &[Venue]),
    (window, until): (Option<i64>, TimeUs),
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Source>> {
    let files = archive.imported_perps(dataset)?;
    if files.is_empty() {
        let known: Vec<String> = archive.datasets()?.iter().map(ToString::to_string).collect();
        bail!(
            "{}: dataset {dataset} has nothing of perpetual futures; `tidegate import perps` takes files into it{}",
            archive.root().display(),
            if known.is_empty() { String::new() } else { format!(", and there are {}", known.join(", ")) }
        );
    }
    let mut held: Vec<Venue> = files.iter().map(|(venue, ..)| *venue).collect();
    held.dedup();
    let mut sources = Vec::new();
    for venue in held.into_iter().filter(|venue| venues.is_empty() || venues.contains(venue)) {
        let mut rows: Vec<Observation> = Vec::new();
        for kind in Kind::ALL {
            rows.extend(load_from(archive, Shelf::Imported(dataset), venue, kind, &TimeRange::ALL)?);
        }
        rows.retain(|row| known_at(row) <= until);
        let is_it = |row: &Observation| row.symbol.eq_ignore_ascii_case(coin);
        if !rows.iter().any(is_it) {
            notes.push(format!("Dataset {dataset} has nothing of {} on {venue}.", text::printable(coin)));
            continue;
        }
        let name: Arc<str> = format!("{dataset}: {venue}").into();
        let mut source = Source::new(name, Origin::Dataset(dataset.to_string()), venue, Standing::Imported);
        source.take(&rows, &|row| row.symbol.eq_ignore_ascii_case(coin), window);
        let mut origins: Vec<String> = files
            .iter()
            .filter(|(of, ..)| *of == venue)
            .filter_map(|(_, kind, file)| Some(format!("{kind} from {}", text::harmless(file.footer.note("origin")?))))
            .collect();
        origins.sort();
        origins.dedup();
        source.notes.push(format!("{}: {}.", source.name, origins.join(", ")));
        sources.push(source);
    }
    Ok(sources)
}

/// When an observation could be known: a candle when it is over.
fn known_at(row: &Observation) -> TimeUs {
    let length = if let Observed::Candle(candle) = &row.fact { candle.interval } else { 0 };
    TimeUs(row.time.0.saturating_add(length))
}

/// A moment of the model's, in seconds, as the program has it.
pub(crate) fn moment(second: i64) -> TimeUs {
    TimeUs(second.saturating_mul(1_000_000))
}
