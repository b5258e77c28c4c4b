//! `tidegate rebuild`: every derived table of synced markets anew, from logs and answers, without a node.

use std::path::{Path, PathBuf};

use protocol::standing::Standing;
use source::archive::definition::Definition;
use source::archive::prices::KnownBy;
use source::archive::recaptured::{self, Recaptured};
use source::archive::synced::{self, Label, Synced};
use source::archive::{Archive, MarketName, Table as ArchiveTable, Writer};
use source::sync::Syncer;
use source::sync::transactions::WantedBlock;

use super::say;
use crate::args;
use crate::market::{Folder, complete_to, definition, prices, recapture};
use crate::output::{self, Destination, Format};
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// Makes the tables of one market, or of every one.
pub(crate) fn run(archive: &Path, args: &args::Rebuild) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let names = match &args.market {
        Some(name) => vec![MarketName::new(name)?],
        None => every_market(&archive)?,
    };
    let mut table = Table::new(
        "rebuilt",
        &[
            ("market", Unit::Text),
            ("final_block", Unit::Count),
            ("liquidations", Unit::Count),
            ("without_usd", Unit::Count),
            ("exact_prices", Unit::Count),
            ("observed_prices", Unit::Count),
            ("file", Unit::Text),
        ],
    );
    let (mut notes, mut standing) = (Vec::new(), Standing::Exact);
    let writer = Writer::open(&archive)?;
    for name in &names {
        let definition = definition(&archive, name)?;
        let mut folder = Folder::new(&archive, name, &definition)?;
        let Some(to) = complete_to(&archive, name)? else {
            notes.push(format!("{name}: nothing of it is complete yet; `tidegate sync --market {name}` goes on."));
            continue;
        };
        folder.advance_for_liquidations(to)?;
        let made = make(&writer, &mut folder, to)?;
        standing = standing.max(made.standing);
        notes.extend(made.note);
        let priced = prices::rebuilt(&writer, &folder, to)?;
        notes.extend(priced.notes);
        keep_recaptures(&writer, &mut folder, to)?;
        let observed = priced.rows.get(&KnownBy::Call).copied().unwrap_or(0);
        let all: u64 = priced.rows.values().sum();
        table.push(vec![
            Value::Text(name.to_string()),
            Value::Count(to),
            Value::Count(made.rows),
            Value::Count(made.without_usd),
            Value::Count(all.saturating_sub(observed)),
            Value::Count(observed),
            Value::Text(made.file.display().to_string()),
        ]);
    }
    let report = Report { title: "Rebuilt".to_owned(), standing, notes, tables: vec![table] };
    output::write(&report, &Destination { format: Format::Text, file: None })
}

/// Every market that was synced.
fn every_market(archive: &Archive) -> anyhow::Result<Vec<MarketName>> {
    let mut names = Vec::new();
    for name in archive.markets()? {
        if Definition::load(archive, &name)?.is_some() {
            names.push(name);
        }
    }
    if names.is_empty() {
        anyhow::bail!("{}: no market was synced; `tidegate sync --market base-v3` does it", archive.root().display());
    }
    Ok(names)
}

/// What was made.
struct Made {
    rows: u64,
    without_usd: u64,
    standing: Standing,
    file: PathBuf,
    note: Option<String>,
}

/// Writes the table of liquidations from a fold that has come to block `to`. The same logs and answers give the same bytes.
fn make(writer: &Writer, folder: &mut Folder, to: u64) -> anyhow::Result<Made> {
    let market = folder.market().clone();
    let (taken, values) = folder.liquidations(to);
    let definition = values.definition.clone();
    let rows: Vec<Synced> = taken.iter().map(|one| values.row(market.as_str(), one)).collect();
    let standing = values.standing(&rows);
    let dollar = values.assets.dollar();
    let origin = match (definition.base_is_usd, dollar) {
        (true, _) => "logs of the chain; prices as the market's oracle answered".to_owned(),
        (false, Some(dollar)) => {
            format!(
                "logs of the chain; prices as the market's oracle answered, in dollars of {dollar}, taken to be worth one"
            )
        }
        (false, None) => {
            "logs of the chain; no value in dollars, because the market counts in ether and lists no dollar".to_owned()
        }
    };
    let note = (!definition.base_is_usd).then(|| format!("{market}: {origin}."));
    let made_from = synced::state_of(writer.archive(), &market, to)?;
    let label = Label { standing, from: definition.first_block, to, made_from, origin };
    let file = synced::publish(writer, &market, &label, &rows)?;
    let held = synced::file(writer.archive(), &market)?;
    let without_usd = held.as_ref().map_or(0, synced::without_usd);
    Ok(Made { rows: rows.len() as u64, without_usd, standing, file, note })
}

/// Brings the prices and transactions of the liquidations up to a final block, and makes the table; only what the same fold did
/// not bring before.
pub(crate) async fn keep(syncer: &Syncer<'_>, folder: &mut Folder, to: u64) -> anyhow::Result<()> {
    let count = folder.liquidations(to).0.len();
    let blocks = folder.wanted_blocks(to);
    let told = folder.told.replace((count, blocks.len()));
    if told == folder.told {
        return Ok(());
    }
    let has_new = told.is_none_or(|(told, _)| told != count);
    let kept = bring(syncer, folder, &blocks, to, has_new).await;
    if kept.is_err() {
        folder.told = told;
    }
    kept
}

async fn bring(
    syncer: &Syncer<'_>,
    folder: &mut Folder,
    blocks: &[WantedBlock],
    to: u64,
    has_new: bool,
) -> anyhow::Result<()> {
    if has_new {
        match folder.read_prices(syncer, to).await {
            Err(error @ (source::Error::Node { .. } | source::Error::Pruned { .. })) => {
                say(&format!("note: some liquidations stay without a value: {error}"));
            }
            other => other?,
        }
    }
    let brought = syncer.read_transactions(blocks).await?;
    if let Some((count, why)) = brought.lacking {
        say(&format!(
            "note: {} with liquidations or updates of prices lack transactions or receipts, which the next sync asks for again: {why}",
            if count == 1 { "1 block".to_owned() } else { format!("{} blocks", text::count(count)) }
        ));
    }
    // A sync to an earlier block takes nothing away.
    let held = synced::file(syncer.writer().archive(), folder.market())?;
    if has_new && held.as_ref().and_then(synced::made_to).is_none_or(|held| held <= to) {
        make(syncer.writer(), folder, to)?;
    }
    Ok(())
}

/// Makes the table of what became of bonuses up to a block up to which a market was folded, where auctions are held for them, unless the
/// one on file reaches further. The same archive gives the same bytes.
pub(crate) fn keep_recaptures(writer: &Writer, folder: &mut Folder, to: u64) -> anyhow::Result<()> {
    let market = folder.market().clone();
    let held = recaptured::file(writer.archive(), &market)?.and_then(|file| file.blocks());
    if !folder.has_auctions() || held.is_some_and(|(_, held)| to < held) {
        return Ok(());
    }
    let found = recapture::rows(folder, to)?;
    let rows: Vec<Recaptured> = found.iter().flat_map(|found| &found.rows).map(recapture::kept).collect();
    // What contradicts itself says no amount that can be added up.
    let adds_up = |stray: &&engine::recapture::Stray| stray.reason != engine::recapture::StrayReason::Contradiction;
    let strays = found.iter().flat_map(|found| &found.strays).filter(adds_up);
    let wei = strays.clone().fold(0_u128, |sum, stray| sum.saturating_add(stray.wei));
    let definition = folder.liquidations(to).1.definition;
    let label = recaptured::Label {
        chain: definition.chain,
        from: definition.first_block.min(to),
        to,
        made_from: synced::state_of(writer.archive(), &market, to)?,
        strays: (strays.count() as u64, wei),
    };
    recaptured::publish(writer, &market, &label, &rows)?;
    Ok(())
}

/// What must be known of a market's table before its figures are read: that it is older than the logs, or has holes.
pub(crate) fn notes(archive: &Archive, market: &MarketName) -> anyhow::Result<Vec<String>> {
    let Some(file) = synced::file(archive, market)? else {
        return Ok(Vec::new());
    };
    let mut notes = Vec::new();
    let to = synced::made_to(&file).unwrap_or(0);
    let logs = archive.market_files(market, ArchiveTable::Logs)?;
    let last = logs.iter().filter_map(|file| Some(file.blocks()?.1)).max().unwrap_or(0);
    if file.footer.note("made_from") != Some(&synced::state_of(archive, market, to)?) {
        notes.push(format!(
            "the logs up to block {to} are others now than those its liquidations were told from; `tidegate rebuild --market {market}` tells them anew"
        ));
    } else if last > to {
        notes.push(format!(
            "liquidations up to block {to}; logs are held to block {last}, and `tidegate rebuild --market {market}` takes them in"
        ));
    }
    let without = synced::without_usd(&file);
    if without > 0 {
        notes.push(format!(
            "{} without a value on one side: a price or a token's decimals are not known, or nothing in the market stands for a dollar",
            text::events(without)
        ));
    }
    Ok(notes)
}
