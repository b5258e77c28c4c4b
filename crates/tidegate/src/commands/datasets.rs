//! `tidegate datasets`: what the archive holds, by what its files say.

use std::path::Path;

use protocol::perp::Kind;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::venue::Venue;
use source::archive::perps::kept::{Came, kept};
use source::archive::{Archive, DataFile, DatasetName, Span, Table as ArchiveTable};

use crate::args::Output;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// Lists the datasets.
pub(crate) fn run(archive: &Path, output: &Output) -> anyhow::Result<()> {
    output::write(&report(&Archive::at(archive)?)?, &super::destination(output))
}

fn report(archive: &Archive) -> anyhow::Result<Report> {
    let mut table = Table::new(
        "datasets",
        &[
            ("dataset", Unit::Text),
            ("standing", Unit::Text),
            ("first", Unit::Time),
            ("last", Unit::Time),
            ("liquidations", Unit::Count),
            ("rejected_rows", Unit::Count),
            ("file", Unit::Text),
            ("origin", Unit::Text),
        ],
    );
    let (mut weakest, mut notes) = (None, Vec::new());
    for dataset in archive.datasets()? {
        let files = archive.files(&dataset, ArchiveTable::Liquidations)?;
        let rejects = archive.files(&dataset, ArchiveTable::Rejects)?;
        // A file of which no row was taken has left rejects alone, and is listed by them.
        let belongs = |reject: &DataFile, file: &DataFile| reject.path.file_name() == file.path.file_name();
        let fruitless = rejects.iter().filter(|reject| !files.iter().any(|file| belongs(reject, file)));
        for (file, rows) in files.iter().map(|file| (file, file.rows())).chain(fruitless.map(|file| (file, 0))) {
            let rejected: u64 = rejects.iter().filter(|reject| belongs(reject, file)).map(DataFile::rows).sum();
            let (first, last) = match file.footer.span {
                Span::Times { from, to } => (Value::Time(whole_seconds(from)), Value::Time(whole_seconds(to))),
                Span::Empty | Span::Blocks { .. } => (Value::Missing, Value::Missing),
            };
            let note = |key| Value::Text(file.footer.note(key).unwrap_or("").to_owned());
            weakest = weakest.max(Some(file.footer.standing));
            table.push(vec![
                Value::Text(dataset.to_string()),
                Value::Text(file.footer.standing.to_string()),
                first,
                last,
                Value::Count(rows),
                Value::Count(rejected),
                note("source_file"),
                note("origin"),
            ]);
        }
        let perps = archive.imported_perps(&dataset)?.into_iter();
        let perps = perps.map(|(venue, kind, file)| (format!("rows of {kind} of {venue}"), file));
        let recaptures = source::archive::recaptures::files(archive, &dataset)?.into_iter();
        let recaptures = recaptures.map(|file| ("liquidations with recaptured bonuses".to_owned(), file));
        for (what, file) in perps.chain(recaptures) {
            weakest = weakest.max(Some(file.footer.standing));
            notes.push(beside(&dataset, &what, &file));
        }
        if let Some(market) = archive.synced_market(&dataset) {
            let own = super::rebuild::notes(archive, &market)?;
            notes.extend(own.into_iter().map(|note| format!("{market}: {note}.")));
        }
    }
    for (venue, kind, files) in heard(archive)? {
        weakest = weakest.max(files.iter().map(|file| file.footer.standing).max());
        notes.push(heard_of(venue, kind, &files));
    }
    if table.rows.is_empty() && notes.is_empty() {
        notes.push("Nothing is imported yet: `tidegate import liquidations FILE --amounts tokens`.".to_owned());
    }
    Ok(Report {
        title: format!("Datasets in {}", archive.root().display()),
        standing: weakest.unwrap_or(Standing::Assumed),
        notes,
        tables: vec![table],
    })
}

/// A file of a dataset with something else than liquidations alone, as a sentence.
fn beside(dataset: &DatasetName, what: &str, file: &DataFile) -> String {
    let (first, last) = span(file);
    format!(
        "{dataset}: {} {what}, {first} to {last}, from {}.",
        text::count(file.rows()),
        text::harmless(file.footer.note("origin").unwrap_or("a file"))
    )
}

/// What is kept of a venue and kind, as a sentence.
fn heard_of(venue: Venue, kind: Kind, files: &[DataFile]) -> String {
    let times = files.iter().filter_map(|file| match file.footer.span {
        Span::Times { from, to } => Some((from, to)),
        Span::Empty | Span::Blocks { .. } => None,
    });
    let (first, last) = (times.clone().map(|(from, _)| from).min(), times.map(|(_, to)| to).max());
    let shown = |time: Option<TimeUs>| time.map_or("no moment".to_owned(), |time| whole_seconds(time).to_string());
    let is_streamed = files.iter().any(|file| file.footer.note("came") == Some(Came::Streamed.word()));
    format!(
        "{} rows of {kind} of {venue}, {} to {}, as told when asked{} (observed); --kept takes them.",
        text::count(files.iter().map(DataFile::rows).sum()),
        shown(first),
        shown(last),
        if is_streamed { ", and heard on a stream" } else { "" }
    )
}

/// What is kept of venues, by venue and kind.
fn heard(archive: &Archive) -> anyhow::Result<Vec<(Venue, Kind, Vec<DataFile>)>> {
    let mut found: Vec<(Venue, Kind, Vec<DataFile>)> = Vec::new();
    for (venue, kind, file) in kept(archive)?.files {
        match found.last_mut() {
            Some((of, held, files)) if (*of, *held) == (venue, kind) => files.push(file),
            Some(_) | None => found.push((venue, kind, vec![file])),
        }
    }
    Ok(found)
}

/// From when to when a file reaches, in words.
fn span(file: &DataFile) -> (String, String) {
    match file.footer.span {
        Span::Times { from, to } => (whole_seconds(from).to_string(), whole_seconds(to).to_string()),
        Span::Empty | Span::Blocks { .. } => ("no moment".to_owned(), "none".to_owned()),
    }
}

fn whole_seconds(time: TimeUs) -> TimeUs {
    TimeUs(time.second() * 1_000_000)
}
