//! What is known of a coin's perpetual contracts, as the engine takes it: out of imported datasets, asked of the venues now, or kept of
//! what they said before.
//!
//! Observations become candles with open interest, liquidations by candle, funding and positions ([`inputs`]); of those an
//! estimated model is folded ([`model`]), and positions are put where they are liquidated ([`seen`]).

pub(crate) mod inputs;
pub(crate) mod kept;
pub(crate) mod live;
pub(crate) mod model;
pub(crate) mod rules;
pub(crate) mod seen;
pub(crate) mod told;

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
use crate::args::{PerpKeeping, PerpSources};
use crate::commands::{self, import_perps};
use crate::text;

/// From where a source is: figures of two origins may be the same positions, and are never added up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// An imported dataset.
    Dataset(String),
    /// The venues themselves, asked now.
    Venues,
    /// What venues said to this program before.
    Kept,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dataset(name) => write!(f, "dataset {name}"),
            Self::Venues => f.write_str("the venues asked"),
            Self::Kept => f.write_str("what is kept of venues"),
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

/// What is gathered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// From where.
    pub sources: &'a PerpSources,
    /// What of it is kept.
    pub keeping: &'a PerpKeeping,
    /// Whether there is nothing else, so that venues are asked where nothing is named.
    pub is_alone: bool,
    /// For how many microseconds venues are asked where the user says no window; of datasets and what is kept all is taken.
    pub usual: i64,
}

/// Gathers a coin's contracts out of what the user names, without anything that is kept.
pub(crate) fn gather(archive: &Path, coin: &str, of: &PerpSources, is_alone: bool) -> anyhow::Result<Found> {
    let keeping = PerpKeeping { kept: false, no_keep: true };
    let wanted = Wanted { sources: of, keeping: &keeping, is_alone, usual: live::WINDOW };
    gather_all(archive, coin, wanted)
}

/// Gathers a coin's contracts from where the user says; the venues themselves where nothing is named and there is nothing else.
pub(crate) fn gather_all(archive: &Path, coin: &str, wanted: Wanted<'_>) -> anyhow::Result<Found> {
    let of = wanted.sources;
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
    if wanted.keeping.kept {
        let kept = kept::load(&archive, coin, &venues, (window, until))?;
        found.sources.extend(kept.sources);
        found.notes.extend(kept.notes);
    }
    let is_meant = of.live || !of.account.is_empty() || !of.rest_url.is_empty();
    if is_meant || (wanted.is_alone && of.dataset.is_empty() && !wanted.keeping.kept) {
        let window = window.unwrap_or(wanted.usual);
        let asked = live::ask(&archive, coin, (&venues, window), of, !wanted.keeping.no_keep)?;
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
        let stated = files.iter().filter(|(of, ..)| *of == venue);
        source.rules = rules::of_files(stated.map(|(_, _, file)| file), &mut source.notes)?;
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
