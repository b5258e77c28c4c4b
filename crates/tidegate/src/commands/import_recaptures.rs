//! `tidegate import recaptures`: somebody's record of recaptured bonuses into the archive.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use source::archive::recaptures::{Appended, Row, append, files};
use source::archive::{Archive, DatasetName, Writer};
use source::import::recaptures::{Read, Settings, notes, read};

use crate::args::ImportRecaptures;
use crate::output;
use crate::text::{count, harmless, printable, usd};

/// Rows a dry run takes.
const PREVIEW_ROWS: usize = 5;
/// Reasons of a summary.
const MOST_REASONS: usize = 8;

/// Imports files.
pub(crate) fn run(archive: &Path, args: &ImportRecaptures) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let settings = settings(args)?;
    let mut fruitless = 0;
    for path in &args.files {
        let dataset = dataset(path, args)?;
        if archive.synced_market(&dataset).is_some() {
            bail!("{dataset} is a synced market, and what is imported is kept apart from it; name another --dataset");
        }
        if args.dry_run {
            output::print(&dry_run(path, &dataset, &read(path, &settings, PREVIEW_ROWS)?))?;
            continue;
        }
        let read = read(path, &settings, usize::MAX)?;
        let held = files(&archive, &dataset)?;
        if held.iter().any(|file| file.footer.note("source_sha256") == Some(&read.sha256)) {
            let name = harmless(&path.to_string_lossy());
            output::print(&format!("{name}: already in dataset {dataset}, unchanged; nothing to do\n"))?;
            continue;
        }
        let writer = Writer::open(&archive)?;
        let notes = notes(path, args.origin.as_deref(), &read);
        let appended = append(&writer, &dataset, &notes, &read.rows, &read.rejects)?;
        output::print(&summary(path, &dataset, &read, &appended))?;
        fruitless += usize::from(read.rows.is_empty());
    }
    if args.dry_run {
        return output::print("\nNothing was written.\n");
    }
    if fruitless == args.files.len() {
        bail!("no row could be taken; see the reasons above, and try --dry-run");
    }
    Ok(())
}

fn dataset(path: &Path, args: &ImportRecaptures) -> anyhow::Result<DatasetName> {
    match &args.dataset {
        Some(name) => Ok(DatasetName::new(name)?),
        None => DatasetName::suggested_by(path)
            .with_context(|| format!("{}: no dataset can be named after it; give --dataset NAME", path.display())),
    }
}

fn settings(args: &ImportRecaptures) -> anyhow::Result<Settings> {
    let chain = args.chain.as_deref().map(|name| {
        ChainId::from_name(name).with_context(|| {
            format!("--chain \"{}\" is no chain this program knows by name; give its number", printable(name))
        })
    });
    let pairs = args.map.iter().map(|pair| {
        let (field, column) = pair
            .split_once('=')
            .with_context(|| format!("--map \"{}\" is not of the form FIELD=COLUMN", printable(pair)))?;
        Ok((field.trim().to_owned(), column.trim().to_owned()))
    });
    Ok(Settings {
        overrides: pairs.collect::<anyhow::Result<_>>()?,
        chain: chain.transpose()?,
        market: args.market.clone(),
    })
}

fn dry_run(path: &Path, dataset: &DatasetName, read: &Read) -> String {
    let mut text = format!("{} → recaptures of dataset {dataset}\n\n", harmless(&path.to_string_lossy()));
    text.push_str(&columns(read));
    text.push_str("\nThe first rows as they would be taken:\n\n");
    for (number, row) in &read.rows {
        text.push_str(&format!("  row {number}: {}\n", shown(row)));
    }
    for reject in &read.rejects {
        text.push_str(&format!("  rejected: {}\n", harmless(&reject.detail)));
    }
    text
}

fn shown(row: &Row) -> String {
    let maybe = |amount: Option<Usd8>| amount.map_or_else(|| "not given".to_owned(), usd);
    format!(
        "{} {} {}: liquidated {}, bonus {}, {}, recaptured {} (protocol {}, network {})",
        row.time,
        row.chain,
        printable(&row.market),
        maybe(row.liquidated),
        maybe(row.bonus),
        if row.routed { "auctioned" } else { "not auctioned" },
        maybe(row.recaptured),
        maybe(row.protocol),
        maybe(row.network)
    )
}

fn columns(read: &Read) -> String {
    let mut text = String::new();
    for (field, column) in &read.columns {
        text.push_str(&format!("  {field:<22} ← {}\n", printable(column)));
    }
    if !read.unread.is_empty() {
        let unread: Vec<String> = read.unread.iter().map(|column| printable(column)).collect();
        text.push_str(&format!("  not read: {} (name a field with --map FIELD=COLUMN)\n", unread.join(", ")));
    }
    text
}

fn summary(path: &Path, dataset: &DatasetName, read: &Read, appended: &Appended) -> String {
    let mut text = format!(
        "{}: {} rows read, {} taken into recaptures of dataset {dataset}\n",
        harmless(&path.to_string_lossy()),
        count(read.looked_at),
        count(appended.kept)
    );
    let mut line = |number: u64, what: &str| {
        if number > 0 {
            text.push_str(&format!("  {} {what}\n", count(number)));
        }
    };
    line(appended.already_held, "are held already");
    line(read.repeats, "repeat an earlier row; taken once");
    line(read.rejects.len() as u64, "rejected, kept with their reasons");
    let days = read.rows.iter().filter(|(_, row)| row.time_is_day).count() as u64;
    line(days, "say the day alone, read as midnight UTC");
    let without = read.rows.iter().filter(|(_, row)| row.bonus.is_none()).count() as u64;
    line(without, "without the bonus that could be taken; they are in no rate");
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for reject in &read.rejects {
        reasons.entry(reject.reason).or_insert((0, &reject.detail)).0 += 1;
    }
    for (reason, (number, first)) in reasons.into_iter().take(MOST_REASONS) {
        text.push_str(&format!("    {}: {reason}; the first: {}\n", count(number), harmless(first)));
    }
    text.push_str(&columns(read));
    text
}
