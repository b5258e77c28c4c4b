//! What venues said to this program, kept with how it came: of which contracts, where they were asked, and whether a stream was
//! listened to.
//!
//! Every asking adds a file for each kind, so small files that say the same of themselves are put together once there are
//! [`MOST_SMALL`] of them: the new file is read back and compared before the old ones go. No row is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;

use protocol::perp::{Gap, GapCause, Instrument, Kind, Observation, Observed};
use protocol::time::TimeUs;
use protocol::venue::{Contract, Venue};
use serde::{Deserialize, Serialize};

use super::{Appended, Shelf, append_to, expect, load_from, rows, write};
use crate::archive::scan::damaged;
use crate::archive::{Archive, DataFile, Footer, PendingFile, Scan, Span, Table, TimeRange, Writer, publish, rejects};
use crate::error::{Error, IoContext, Result};
use crate::venue::Reject;

/// So many small files of one kind that say the same of themselves are put together.
pub const MOST_SMALL: usize = 32;
/// A file with fewer rows is small.
pub const SMALL_ROWS: u64 = 100_000;

/// The notes of a footer.
const CAME: &str = "came";
const ASKED_AT: &str = "asked_at";
const INSTRUMENTS: &str = "instruments";

/// What a footer says besides what every footer says.
type Notes = BTreeMap<String, String>;

/// How a venue's words came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Came {
    /// As replies to questions.
    Asked,
    /// On a stream that was listened to all the while.
    Streamed,
}

impl Came {
    /// The word used in footers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Streamed => "streamed",
        }
    }
}

/// Where a venue's words are from.
#[derive(Debug, Clone, Copy)]
pub struct Hearing<'a> {
    /// The venue.
    pub venue: Venue,
    /// How they came.
    pub came: Came,
    /// At which host it was asked or listened to.
    pub place: &'a str,
    /// The contracts they are about.
    pub instruments: &'a [Instrument],
}

/// An instrument as a footer states it.
#[derive(Debug, Serialize, Deserialize)]
struct Stated {
    symbol: String,
    base: String,
    quote: String,
    inverse: bool,
    contract_size: String,
    funding_interval: Option<i64>,
}

impl Hearing<'_> {
    fn notes(&self) -> Result<Notes> {
        let mut stated: Vec<Stated> = self.instruments.iter().map(Stated::of).collect();
        stated.sort_by(|a, b| a.symbol.cmp(&b.symbol));
        let text = serde_json::to_string(&stated).map_err(|cause| Error::Unfit {
            what: format!("contracts of {} cannot be written down: {cause}", self.venue),
            advice: "report this defect".to_owned(),
        })?;
        Ok(BTreeMap::from([
            (CAME.to_owned(), self.came.word().to_owned()),
            (ASKED_AT.to_owned(), self.place.to_owned()),
            (INSTRUMENTS.to_owned(), text),
        ]))
    }
}

impl Stated {
    fn of(instrument: &Instrument) -> Self {
        Self {
            symbol: instrument.symbol.to_string(),
            base: instrument.base.to_string(),
            quote: instrument.quote.to_string(),
            inverse: instrument.contract == Contract::Inverse,
            contract_size: instrument.contract_size.to_string(),
            funding_interval: instrument.funding_interval,
        }
    }

    fn instrument(self, venue: Venue) -> Option<Instrument> {
        Some(Instrument {
            venue,
            symbol: self.symbol.into(),
            base: self.base.into(),
            quote: self.quote.into(),
            contract: if self.inverse { Contract::Inverse } else { Contract::Linear },
            contract_size: self.contract_size.parse().ok()?,
            funding_interval: self.funding_interval,
        })
    }
}

/// The contracts that a file says it is about; none where it says nothing of them.
fn instruments_of(file: &DataFile, venue: Venue) -> Result<Vec<Instrument>> {
    let Some(text) = file.footer.note(INSTRUMENTS) else { return Ok(Vec::new()) };
    let stated: Vec<Stated> = serde_json::from_str(text).map_err(|cause| damaged(&file.path, cause))?;
    let read = |one: Stated| one.instrument(venue).ok_or_else(|| damaged(&file.path, "a contract's size is no number"));
    stated.into_iter().map(read).collect()
}

/// What the archive keeps of venues.
#[derive(Debug, Default)]
pub struct Kept {
    /// The files, by venue and kind.
    pub files: Vec<(Venue, Kind, DataFile)>,
    /// The contracts they are about, each as it was stated last.
    pub instruments: Vec<Instrument>,
    /// At which hosts venues were asked, each once, in order.
    pub places: BTreeMap<Venue, BTreeSet<String>>,
}

/// What the archive keeps of what venues said to this program, by what its files say.
///
/// # Errors
/// A file is unreadable or of a later layout.
pub fn kept(archive: &Archive) -> Result<Kept> {
    again_if_gone(|| {
        let mut kept = Kept { files: archive.perps_files(Shelf::Observed)?, ..Kept::default() };
        let mut instruments: BTreeMap<(Venue, Arc<str>), (TimeUs, Instrument)> = BTreeMap::new();
        for (venue, _, file) in &kept.files {
            let until = ends(file);
            for instrument in instruments_of(file, *venue)? {
                let known = instruments.get(&(*venue, instrument.symbol.clone()));
                if known.is_none_or(|(at, _)| *at <= until) {
                    instruments.insert((*venue, instrument.symbol.clone()), (until, instrument));
                }
            }
            let place = file.footer.note(ASKED_AT).unwrap_or("a place not named");
            kept.places.entry(*venue).or_default().insert(place.to_owned());
        }
        kept.instruments = instruments.into_values().map(|(_, instrument)| instrument).collect();
        Ok(kept)
    })
}

/// Reads again where a file went while it was read: small files that were put together in the meantime.
pub(super) fn again_if_gone<T>(mut read: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..3 {
        match read() {
            Err(Error::Io { cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {}
            outcome => return outcome,
        }
    }
    read()
}

/// The last moment a file tells of.
fn ends(file: &DataFile) -> TimeUs {
    match file.footer.span {
        Span::Times { to, .. } => to,
        Span::Empty | Span::Blocks { .. } => TimeUs(i64::MIN),
    }
}

/// Until when what was liquidated of an instrument is known without a gap: the end of the last stream that was listened to, or the last
/// liquidation that a list told. None where nothing of it is kept.
///
/// # Errors
/// A file cannot be read or is damaged.
pub fn watched_until(archive: &Archive, instrument: &Instrument) -> Result<Option<TimeUs>> {
    let mut until = None;
    for (venue, _, file) in archive.perps_files(Shelf::Observed)? {
        let is_streamed = venue == instrument.venue && file.footer.note(CAME) == Some(Came::Streamed.word());
        if is_streamed && instruments_of(&file, venue)?.iter().any(|one| one.symbol == instrument.symbol) {
            until = until.max(Some(ends(&file)));
        }
    }
    let told = load_from(archive, Shelf::Observed, instrument.venue, Kind::Liquidations, &TimeRange::ALL)?;
    let last = told.iter().filter(|row| row.symbol == instrument.symbol).map(|row| row.time).max();
    Ok(until.max(last))
}

/// That nobody listened for a while.
#[must_use]
pub fn unwatched(
    instrument: &Instrument,
    from: TimeUs,
    until: TimeUs,
    received: TimeUs,
    kinds: &[Kind],
) -> Observation {
    Observation {
        venue: instrument.venue,
        symbol: instrument.symbol.clone(),
        time: from,
        received,
        distortions: protocol::perp::Distortions::NONE,
        fact: Observed::Gap(Gap { until, cause: GapCause::Unwatched, kinds: kinds.to_vec() }),
    }
}

/// Keeps what a venue said, and how it came. What is kept already is not kept again; where a list of liquidations begins after the last one
/// that is known, the time between is kept as a gap.
///
/// # Errors
/// The archive cannot be read or written.
pub fn keep(
    writer: &Writer,
    hearing: &Hearing<'_>,
    observations: &[Observation],
    rejected: &[Reject],
) -> Result<Appended> {
    let mut rows = observations.to_vec();
    if hearing.came == Came::Asked {
        for instrument in hearing.instruments {
            let told = observations.iter().filter(|row| row.symbol == instrument.symbol);
            let told = told.filter(|row| row.fact.kind() == Kind::Liquidations);
            let Some(first) = told.min_by_key(|row| row.time) else { continue };
            if let Some(until) = watched_until(writer.archive(), instrument)?.filter(|until| *until < first.time) {
                rows.push(unwatched(instrument, until, first.time, first.received, &[Kind::Liquidations]));
            }
        }
    }
    let rejected: Vec<(Venue, Reject)> = rejected.iter().map(|reject| (hearing.venue, reject.clone())).collect();
    let appended = append_to(writer, Shelf::Observed, &hearing.notes()?, &rows, &rejected)?;
    put_together(writer, hearing.venue)?;
    Ok(appended)
}

/// Puts small files of a venue together.
fn put_together(writer: &Writer, venue: Venue) -> Result<()> {
    let archive = writer.archive();
    for kind in Kind::ALL {
        for (notes, files) in small(archive, &archive.perps_folder(venue, kind))? {
            let mut all = Vec::new();
            for file in &files {
                all.extend(read(file, venue, kind)?);
            }
            let path = write(writer, Shelf::Observed, &notes, (venue, kind), all.clone())?;
            let mut found = read(&DataFile::open(path.clone())?, venue, kind)?;
            let order = |rows: &mut Vec<Observation>| rows.sort_by_key(|row| (row.key(), row.received));
            order(&mut all);
            order(&mut found);
            replace(&path, &files, all == found)?;
        }
    }
    for (notes, files) in small(archive, &archive.perps_rejects_folder(venue))? {
        let folder = archive.perps_rejects_folder(venue);
        let mut file = PendingFile::create(&folder, rejects::SCHEMA.clone(), rejects::properties())?;
        for chunk in files.iter().flat_map(|file| Scan::of_all().chunks_of(file)) {
            for batch in chunk.read()? {
                file.write(&batch?)?;
            }
        }
        let footer = Footer { table: Table::Rejects, standing: Shelf::Observed.standing(), span: Span::Empty, notes };
        let path = super::name(file.finish(&footer)?, &footer.span)?;
        let rows: u64 = files.iter().map(DataFile::rows).sum();
        let is_whole = DataFile::open(path.clone())?.rows() == rows;
        replace(&path, &files, is_whole)?;
    }
    Ok(())
}

/// Small files that say the same of themselves, where there are enough of them to be put together.
fn small(archive: &Archive, folder: &Path) -> Result<BTreeMap<Notes, Vec<DataFile>>> {
    let mut groups: BTreeMap<Notes, Vec<DataFile>> = BTreeMap::new();
    for file in archive.files_in(folder, &TimeRange::ALL)? {
        if file.rows() < SMALL_ROWS {
            groups.entry(file.footer.notes.clone()).or_default().push(file);
        }
    }
    Ok(groups.into_iter().filter(|(_, files)| files.len() >= MOST_SMALL).collect())
}

/// Every row of a file, also those that were said anew later.
fn read(file: &DataFile, venue: Venue, kind: Kind) -> Result<Vec<Observation>> {
    expect(file, venue, kind)?;
    let mut rows = rows::Reader::new(venue, kind, &file.path);
    for chunk in Scan::of_all().chunks(std::slice::from_ref(file)) {
        for batch in chunk.read()? {
            rows.read(&batch?)?;
        }
    }
    rows.finish()
}

/// Removes files whose rows stand in another one, if they do.
fn replace(by: &Path, files: &[DataFile], is_whole: bool) -> Result<()> {
    if !is_whole {
        return Err(damaged(by, "it does not hold what it was made of; the files it was made of are kept"));
    }
    for file in files.iter().filter(|file| file.path != by) {
        fs::remove_file(&file.path).while_trying_to("remove the file", &file.path)?;
    }
    by.parent().map_or(Ok(()), publish::sync_folder)
}
