//! The tables `perps`: what venues of perpetual futures said, one folder per venue and kind. Files are only ever added, but for small
//! ones of what was said to this program, which are put together ([`kept`]).
//!
//! Sizes are in coins and open interest is one side's, as [`protocol::perp`] has them. A number is `Decimal128(38, 18)`, beside a float
//! column `*_float` for eyes; a number with more digits than that is a reject. `distortions` names what is known to be wrong or lacking. An
//! observation that was heard again says what it said last ([`protocol::perp::Key`]); the same said again is not kept twice.

mod cells;
pub mod kept;
#[cfg(test)]
mod kept_tests;
mod rows;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::perp::{Key, Kind, Observation};
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::venue::Venue;

use super::cells::{as_differences, compressed};
use super::publish::FinishedFile;
use super::scan::damaged;
use super::{Archive, DataFile, DatasetName, Footer, PendingFile, Scan, Span, Table, TimeRange, Writer, rejects};
use crate::error::{Error, Result};
use crate::venue::Reject;

/// Observations handed to a file at a time.
const BATCH_ROWS: usize = 4_096;

/// What became of observations that were to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// The files that were written.
    pub files: Vec<PathBuf>,
    /// Observations in them.
    pub kept: u64,
    /// Observations that are kept already, or came more than once.
    pub repeats: u64,
    /// Observations that do not fit the columns, written beside the rejects that were handed over.
    pub rejects: u64,
}

impl Archive {
    /// Where what a venue said of a kind lies.
    #[must_use]
    pub fn perps_folder(&self, venue: Venue, kind: Kind) -> PathBuf {
        Shelf::Observed.folder(self, venue, kind.word())
    }

    /// Where rows of a venue lie that could not be taken.
    #[must_use]
    pub fn perps_rejects_folder(&self, venue: Venue) -> PathBuf {
        Shelf::Observed.folder(self, venue, Table::Rejects.word())
    }
}

/// Whose word rows are: venues' own, or that of a file that somebody imported.
#[derive(Debug, Clone, Copy)]
pub enum Shelf<'a> {
    /// What this program heard of venues.
    Observed,
    /// What stands in an imported dataset.
    Imported(&'a DatasetName),
}

impl Shelf<'_> {
    /// How what stands on it is known.
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Observed => Standing::Observed,
            Self::Imported(_) => Standing::Imported,
        }
    }

    fn folder(self, archive: &Archive, venue: Venue, part: &str) -> PathBuf {
        let root = match self {
            Self::Observed => archive.root().join(Table::Perps.word()),
            Self::Imported(dataset) => archive.folder(dataset, Table::Perps),
        };
        root.join(format!("venue={venue}")).join(part)
    }

    /// The folders in which a writer can leave something behind.
    pub(super) fn folders(self, archive: &Archive) -> Vec<PathBuf> {
        let parts = || Kind::ALL.into_iter().map(Kind::word).chain([Table::Rejects.word()]);
        let of = |venue: Venue| parts().map(move |part| self.folder(archive, venue, part)).collect::<Vec<_>>();
        Venue::ALL.into_iter().flat_map(of).collect()
    }
}

impl Archive {
    /// The files of an imported dataset that hold what venues said, by venue and kind.
    ///
    /// # Errors
    /// A file is unreadable or of a later layout.
    pub fn imported_perps(&self, dataset: &DatasetName) -> Result<Vec<(Venue, Kind, DataFile)>> {
        self.perps_files(Shelf::Imported(dataset))
    }

    /// The files of a shelf, by venue and kind.
    fn perps_files(&self, shelf: Shelf<'_>) -> Result<Vec<(Venue, Kind, DataFile)>> {
        let mut files = Vec::new();
        for venue in Venue::ALL {
            for kind in Kind::ALL {
                let found = self.files_in(&shelf.folder(self, venue, kind.word()), &TimeRange::ALL)?;
                files.extend(found.into_iter().map(|file| (venue, kind, file)));
            }
        }
        Ok(files)
    }
}

/// What is kept of a venue and kind in a range of time, each observation once, as it was heard last, by instrument and time.
///
/// # Errors
/// A file cannot be read or is damaged.
pub fn load(archive: &Archive, venue: Venue, kind: Kind, range: &TimeRange) -> Result<Vec<Observation>> {
    load_from(archive, Shelf::Observed, venue, kind, range)
}

/// The same of a shelf.
///
/// # Errors
/// A file cannot be read or is damaged.
pub fn load_from(
    archive: &Archive,
    shelf: Shelf<'_>,
    venue: Venue,
    kind: Kind,
    range: &TimeRange,
) -> Result<Vec<Observation>> {
    kept::again_if_gone(|| load_once(archive, shelf, venue, kind, range))
}

fn load_once(
    archive: &Archive,
    shelf: Shelf<'_>,
    venue: Venue,
    kind: Kind,
    range: &TimeRange,
) -> Result<Vec<Observation>> {
    let mut known = BTreeMap::new();
    for file in archive.files_in(&shelf.folder(archive, venue, kind.word()), range)? {
        expect(&file, venue, kind)?;
        let mut rows = rows::Reader::new(venue, kind, &file.path);
        for chunk in Scan::of_all().within(*range).chunks(std::slice::from_ref(&file)) {
            for batch in chunk.read()? {
                rows.read(&batch?)?;
            }
        }
        for row in rows.finish()? {
            if range.from <= row.time && row.time < range.until {
                remember(&mut known, row);
            }
        }
    }
    Ok(known.into_values().collect())
}

/// Keeps what was heard last, and of what was heard at once, what comes last. Returns whether it says nothing new.
fn remember(known: &mut BTreeMap<Key, Observation>, row: Observation) -> bool {
    match known.entry(row.key()) {
        std::collections::btree_map::Entry::Vacant(place) => {
            place.insert(row);
            false
        }
        std::collections::btree_map::Entry::Occupied(mut place) => {
            let before = place.get();
            let same = before.fact == row.fact && before.distortions == row.distortions;
            // Also where it says the same: what was said in between was said before.
            if before.received <= row.received {
                place.insert(row);
            }
            same
        }
    }
}

/// Checks that a file is what its place says.
fn expect(file: &DataFile, venue: Venue, kind: Kind) -> Result<()> {
    let footer = &file.footer;
    let is = footer.table == Table::Perps
        && footer.note("venue") == Some(venue.word())
        && footer.note("kind") == Some(kind.word());
    if is {
        return Ok(());
    }
    let advice = "somebody put it here or renamed it; move it where it belongs";
    Err(Error::BadFile { path: file.path.clone(), what: format!("does not say that it is {kind} of {venue}"), advice })
}

/// Keeps observations, a file for each venue and kind among them, and rows that could not be taken, of the venue named. Observations are
/// left out that are kept already.
///
/// # Errors
/// The archive cannot be read or written.
pub fn append(writer: &Writer, observations: &[Observation], rejected: &[(Venue, Reject)]) -> Result<Appended> {
    append_to(writer, Shelf::Observed, &BTreeMap::new(), observations, rejected)
}

/// The same onto a shelf; every file says the notes besides.
///
/// # Errors
/// The archive cannot be read or written.
pub fn append_to(
    writer: &Writer,
    shelf: Shelf<'_>,
    notes: &BTreeMap<String, String>,
    observations: &[Observation],
    rejected: &[(Venue, Reject)],
) -> Result<Appended> {
    let mut appended = Appended::default();
    let mut tables: BTreeMap<(Venue, Kind), BTreeMap<Key, Observation>> = BTreeMap::new();
    let mut rejected = rejected.to_vec();
    for row in observations {
        match rows::fits(row) {
            Ok(()) => {
                let table = tables.entry((row.venue, row.fact.kind())).or_default();
                appended.repeats += u64::from(remember(table, row.clone()));
            }
            Err(detail) => {
                let row_text = crate::venue::shown(&format!("{row:?}"));
                rejected.push((row.venue, Reject { reason: "too many digits", detail, row: row_text }));
                appended.rejects += 1;
            }
        }
    }
    for ((venue, kind), mut table) in tables {
        let times = || table.values().map(|row| row.time);
        let (Some(from), Some(to)) = (times().min(), times().max()) else { continue };
        let range = TimeRange { from, until: TimeUs(to.0.saturating_add(1)) };
        for row in load_from(writer.archive(), shelf, venue, kind, &range)? {
            let key = row.key();
            if table.get(&key).is_some_and(|new| (&new.fact, new.distortions) == (&row.fact, row.distortions)) {
                table.remove(&key);
                appended.repeats += 1;
            }
        }
        if !table.is_empty() {
            appended.kept += table.len() as u64;
            let file = write(writer, shelf, notes, (venue, kind), table.into_values().collect())?;
            appended.files.push(file);
        }
    }
    let mut by_venue: BTreeMap<Venue, Vec<&Reject>> = BTreeMap::new();
    for (venue, reject) in &rejected {
        by_venue.entry(*venue).or_default().push(reject);
    }
    for (venue, rejects) in by_venue {
        appended.files.push(write_rejects(writer, shelf, notes, venue, &rejects)?);
    }
    Ok(appended)
}

fn write(
    writer: &Writer,
    shelf: Shelf<'_>,
    notes: &BTreeMap<String, String>,
    (venue, kind): (Venue, Kind),
    mut observations: Vec<Observation>,
) -> Result<PathBuf> {
    observations.sort_by(|a, b| (a.time, &a.symbol, a.received).cmp(&(b.time, &b.symbol, b.received)));
    let folder = shelf.folder(writer.archive(), venue, kind.word());
    let schema = rows::schema(kind);
    let properties = as_differences(compressed(65_536), &["time", "received"]).build();
    let mut file = PendingFile::create(&folder, schema.clone(), properties)?;
    for part in observations.chunks(BATCH_ROWS) {
        let batch = rows::batch(kind, part).map_err(|cause| Error::arrow(&folder, &cause))?;
        file.write(&batch)?;
    }
    let (first, last) = (observations.first(), observations.last());
    let span = match (first, last) {
        (Some(first), Some(last)) => Span::Times { from: first.time, to: last.time },
        _ => Span::Empty,
    };
    let mut notes = notes.clone();
    notes.extend([("venue".to_owned(), venue.to_string()), ("kind".to_owned(), kind.to_string())]);
    publish(file, Table::Perps, shelf.standing(), span, notes)
}

fn write_rejects(
    writer: &Writer,
    shelf: Shelf<'_>,
    notes: &BTreeMap<String, String>,
    venue: Venue,
    rejects: &[&Reject],
) -> Result<PathBuf> {
    let folder = shelf.folder(writer.archive(), venue, Table::Rejects.word());
    let mut file = PendingFile::create(&folder, rejects::SCHEMA.clone(), rejects::properties())?;
    let mut rows = rejects::Rows::default();
    for (place, reject) in rejects.iter().enumerate() {
        rows.push(place as u64 + 1, reject.reason, &reject.detail, Some(&reject.row));
    }
    file.write(&rows.take().map_err(|cause| Error::arrow(&folder, &cause))?)?;
    let mut notes = notes.clone();
    notes.insert("venue".to_owned(), venue.to_string());
    publish(file, Table::Rejects, shelf.standing(), Span::Empty, notes)
}

fn publish(
    file: PendingFile,
    table: Table,
    standing: Standing,
    span: Span,
    notes: BTreeMap<String, String>,
) -> Result<PathBuf> {
    let footer = Footer { table, standing, span, notes };
    name(file.finish(&footer)?, &footer.span)
}

/// Gives a file its name, by its span and by what is in it.
fn name(finished: FinishedFile, span: &Span) -> Result<PathBuf> {
    let name = format!("{}-{}.parquet", span.file_stem(), finished.id()?);
    finished.publish(&name)
}

/// A file that says something no venue says.
fn senseless(path: &Path, what: &str) -> Error {
    damaged(path, format!("a row has {what}"))
}
