//! From the archive to a book: each stage alone and all of it, on one thread.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow};
use engine::book::Book;
use protocol::Address;
use protocol::aave::Revision;
use protocol::aave::log::Statement;
use protocol::event::{Event, Fact};
use source::archive::logs::{LogReader, LogsFile, end_note};
use source::archive::{Archive, MarketName, Scan, Table, Writer};
use source::decode;
use source::log::{Filter, Log, Logs};

use crate::life::{self, Life};
use crate::{forget_peak, heading, line, peak, resident, thread_seconds};

/// How often each stage runs; the best counts.
const RUNS: usize = 5;

/// So many that their memory can be told from all else.
const MANY: u32 = 1_000_000;

/// Revisions that round differently, and few accounts or many: how many, and how many logs.
const CASES: [(Revision, u32, u64); 3] =
    [(Revision::V3_0_2, MANY, 4_000_000), (Revision::V3_0_2, 10_000, 2_000_000), (Revision::V3_6, 10_000, 2_000_000)];

pub(crate) fn report(folder: &Path) -> Result<()> {
    for (place, (revision, accounts, count)) in CASES.into_iter().enumerate() {
        let folder = folder.join(format!("fold-{place}"));
        if folder.exists() {
            std::fs::remove_dir_all(&folder).context("an old archive stays")?;
        }
        case(&folder, revision, accounts, count)?;
        std::fs::remove_dir_all(&folder).context("the archive stays")?;
    }
    Ok(())
}

/// Events a second of CPU, the best of several runs.
fn rate(count: u64, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begin = thread_seconds();
        work()?;
        best = best.min(thread_seconds() - begin);
    }
    Ok(count as f64 / best / 1e6)
}

fn case(folder: &Path, revision: Revision, accounts: u32, count: u64) -> Result<()> {
    let archive = Archive::at(folder)?;
    let market = MarketName::new("bench")?;
    let people = write(&archive, &market, revision, accounts, count)?;
    let files = archive.market_files(&market, Table::Logs)?;
    let rows: u64 = files.iter().map(source::archive::DataFile::rows).sum();
    heading(&format!(
        "\nfold of {:.1} M logs of {people} accounts, {} (one thread, CPU time, best of {RUNS})",
        rows as f64 / 1e6,
        revision.name()
    ));
    if accounts == MANY {
        memory(&archive, &market, revision, rows)?;
    }
    let parquet = rate(rows, || {
        for chunk in Scan::of_all().in_batches_of(1_024).chunks(&files) {
            for batch in chunk.read()? {
                black_box(batch?);
            }
        }
        Ok(())
    })?;
    let reader = rate(rows, || {
        each_log(&archive, &market, |log| {
            black_box(log.block);
            Ok(())
        })
    })?;
    let source: Arc<str> = Arc::from("bench");
    let decoder = rate(rows, || {
        each_log(&archive, &market, |log| {
            black_box(decode::event(&source, log)?);
            Ok(())
        })
    })?;
    let whole = rate(rows, || fold(&archive, &market, revision).map(drop))?;
    line("Parquet alone, no row looked at (floor)", parquet, "M/s", &step(parquet, f64::INFINITY));
    line("and read as logs, in order, checked", reader, "M/s", &step(reader, parquet));
    line("and decoded", decoder, "M/s", &step(decoder, reader));
    let beside = format!("{}; {:.2} of Parquet alone (target: 2 M/s)", step(whole, decoder), whole / parquet);
    line("and folded: archive to book, all of it", whole, "M/s", &beside);
    let mut events = Vec::new();
    each_log(&archive, &market, |log| {
        events.extend(decode::event(&source, log)?);
        Ok(())
    })?;
    let floor = rate(rows, || {
        black_box(plain(&events));
        Ok(())
    })?;
    let applying = rate(rows, || apply(&events, revision).map(drop))?;
    line("a balance added to in a plain map (floor of the fold)", floor, "M/s", "events lie in memory");
    line("folded, from memory", applying, "M/s", &format!("{:.2} of its floor", applying / floor));
    Ok(())
}

/// What a stage adds to the one before it.
fn step(rate: f64, before: f64) -> String {
    format!("{:>4.0} ns an event, {:>4.0} of them its own", 1e3 / rate, 1e3 / rate - 1e3 / before)
}

fn each_log(archive: &Archive, market: &MarketName, mut each: impl FnMut(&Log<'_>) -> Result<()>) -> Result<()> {
    let mut logs = LogReader::open(archive, market, 0, None)?;
    while let Some(log) = logs.next_log()? {
        each(&log)?;
    }
    Ok(())
}

/// What a book takes, and what the way to it takes besides. Measured before anything else is folded, or it would lie where
/// that had lain.
fn memory(archive: &Archive, market: &MarketName, revision: Revision, rows: u64) -> Result<()> {
    let before = resident();
    let is_known = forget_peak();
    let book = fold(archive, market, revision)?;
    let peak = peak().saturating_sub(before) as f64;
    let after = resident().saturating_sub(before) as f64;
    let accounts = f64::from(book.snapshot().accounts.len());
    line("memory of the book, an account", after / accounts, "bytes", &format!("{accounts} accounts"));
    let mebibytes = |bytes: f64| bytes / f64::from(1 << 20);
    let beside = "what a reader keeps of its batches included";
    line("memory of the book, a million logs", mebibytes(after) * 1e6 / rows as f64, "MiB", beside);
    if is_known {
        line("the most on the way to it", mebibytes(peak), "MiB", &format!("{:.2} of what stays", peak / after));
    }
    Ok(())
}

/// What any fold must at least do: find an account's balance and change it.
fn plain(events: &[Event]) -> std::collections::HashMap<(Address, Address), u128> {
    let mut balances = std::collections::HashMap::new();
    for event in events {
        let Fact::Market(entry) = &event.fact else { continue };
        if let Statement::Minted { account, value, .. } | Statement::Burned { account, value, .. } = &entry.statement {
            let balance = balances.entry((entry.by, *account)).or_insert(0_u128);
            *balance = balance.wrapping_add(value.wrapping_to());
        }
    }
    balances
}

fn apply(events: &[Event], revision: Revision) -> Result<Book> {
    let mut book = life::book(revision)?;
    for event in events {
        book.apply(event).map_err(|gap| anyhow!("{gap}"))?;
    }
    Ok(book)
}

fn fold(archive: &Archive, market: &MarketName, revision: Revision) -> Result<Book> {
    let mut book = life::book(revision)?;
    let source: Arc<str> = Arc::from("bench");
    each_log(archive, market, |log| {
        if let Some(event) = decode::event(&source, log)? {
            book.apply(&event).map_err(|gap| anyhow!("{gap}"))?;
        }
        Ok(())
    })?;
    Ok(book)
}

/// Writes a life into an archive; how many accounts came.
fn write(archive: &Archive, market: &MarketName, revision: Revision, accounts: u32, count: u64) -> Result<usize> {
    let writer = Writer::open(archive)?;
    let filter = Filter { addresses: life::writers().into_iter().collect(), topics: decode::topics() };
    let mut life = Life::new(revision, accounts, count);
    let mut logs = Logs::default();
    let mut file: Option<LogsFile> = None;
    let mut written = 0;
    while written < count {
        logs.clear();
        life.write(&mut logs, 10_000)?;
        written += logs.len() as u64;
        let first = logs.key(0).map_or(0, |(block, _)| block);
        let mut open = match file.take() {
            Some(open) => open,
            None => LogsFile::create(&writer, market, life::CHAIN, &filter, first)?,
        };
        open.append(&logs)?;
        // As a backfill finishes them.
        if open.rows() < 250_000 && written < count {
            file = Some(open);
            continue;
        }
        let last = life.last_block();
        open.publish(last, life::block_hash(last), end_note(life::time(last)))?;
    }
    Ok(life.accounts())
}
