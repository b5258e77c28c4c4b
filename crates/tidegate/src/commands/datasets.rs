//! `tidegate datasets`: what the archive holds, by what its files say.

use std::path::Path;

use protocol::standing::Standing;
use protocol::time::TimeUs;
use source::archive::{Archive, DataFile, Span, Table as ArchiveTable};

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
        for (venue, kind, file) in archive.imported_perps(&dataset)? {
            let (first, last) = span(&file);
            weakest = weakest.max(Some(file.footer.standing));
            notes.push(format!(
                "{dataset}: {} rows of {kind} of {venue}, {first} to {last}, from {}.",
                text::count(file.rows()),
                text::harmless(file.footer.note("origin").unwrap_or("a file"))
            ));
        }
        if let Some(market) = archive.synced_market(&dataset) {
            let own = super::rebuild::notes(archive, &market)?;
            notes.extend(own.into_iter().map(|note| format!("{market}: {note}.")));
        }
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
