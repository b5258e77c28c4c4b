//! `tidegate import logs`: files of logs as `cryo` writes them, so that a sync need not read their blocks from nodes.
//!
//! Nothing in such a file says which filter it was written with, so that it holds every log of a market in its blocks is
//! hearsay, and stands as such in the footers of what is written here. A file that shows no sign of being whole is not
//! believed unless the user says so. The hashes and times of its blocks come from a node.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::Address;
use protocol::standing::Standing;
use source::archive::coverage::Coverage;
use source::archive::logs::{COVERAGE_NOTE, LogReader, LogsFile, ORIGIN_NOTE, end_note, set_aside};
use source::archive::{Archive, DataFile, MarketName, Table as ArchiveTable, Writer};
use source::import::logs::{self, Basis, LogFile, Reject, Summary};
use source::log::{Filter, Log};
use source::rpc::Client;
use source::sync::Watch;

use super::sync;
use crate::args;
use crate::market::prices::Sampling;
use crate::node;
use crate::output::{self, Destination, Format};
use crate::table::{Report, Table, Unit, Value};
use crate::text::{count, harmless, printable};

/// A file of the archive is finished after this many logs, or this many files imported.
const LOGS_PER_FILE: u64 = 250_000;
const FILES_PER_FILE: usize = 64;

/// Imports files of logs.
pub(crate) fn run(archive: &Path, args: &args::ImportLogs) -> anyhow::Result<()> {
    let files = open(args)?;
    let report = node::run(import(archive, args, files))?;
    output::write(&report, &Destination { format: Format::Text, file: None })
}

/// The files in the order of their blocks.
fn open(args: &args::ImportLogs) -> anyhow::Result<Vec<LogFile>> {
    let stated = args.blocks.as_deref().map(blocks).transpose()?;
    if stated.is_some() && args.files.len() > 1 {
        bail!("--blocks says which blocks one file covers, and there are {}; import them one by one", args.files.len());
    }
    let open = |path: &PathBuf| logs::open(path, stated.clone());
    let mut files = args.files.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    files.sort_by_key(|file| (*file.claim().blocks.start(), *file.claim().blocks.end()));
    Ok(files)
}

fn blocks(text: &str) -> anyhow::Result<RangeInclusive<u64>> {
    let ends = text.split_once('-').and_then(|(from, to)| Some((from.trim().parse().ok()?, to.trim().parse().ok()?)));
    let (from, to) =
        ends.with_context(|| format!("--blocks \"{}\" is not FROM-TO, such as 18000000-18000999", printable(text)))?;
    Ok(from..=to)
}

/// A market whose logs are imported, and with what.
struct Target<'a> {
    writer: &'a Writer,
    name: MarketName,
    client: Client,
    filter: Filter,
    stop: &'a AtomicBool,
}

async fn import(folder: &Path, args: &args::ImportLogs, files: Vec<LogFile>) -> anyhow::Result<Report> {
    let archive = Archive::at(folder)?;
    let asked = as_sync(args);
    let known = sync::known(&archive, &asked)?;
    let target = sync::target(&asked, known.as_ref())?;
    let client = node::connect(target.chain, &args.nodes, Some(&target.network), folder).await?;
    let writer = Writer::open(&archive)?;
    let (_, last) = sync::ends(&client, &target, &asked).await?;
    for file in &files {
        let end = *file.claim().blocks.end();
        if end > last.number {
            bail!(
                "{}: covers blocks to {end}, and the last final one is {}; import it once they are final",
                file.path().display(),
                last.number
            );
        }
    }
    let definition = match known {
        Some(known) => known,
        None => {
            let found = sync::define(&client, &target, &asked, last.number).await?;
            found.save(&writer, &target.name)?;
            found
        }
    };
    let stop = node::stop_on_interrupt();
    // Opened to learn what the archive's own logs name, and to see that they are of the chain's history.
    let (syncer, _) =
        sync::open(client.clone(), &writer, &target.name, &definition, (last.number, stop.clone())).await?;
    let mut watch = syncer.watch().clone();
    drop(syncer);
    let looked = look(&files, &client, &mut watch, args)?;
    let filter = filter(&watch, args)?;
    let target = Target { writer: &writer, name: target.name, client, filter, stop: &stop };
    let rows = tokio::task::block_in_place(|| target.take(&files, &looked))?;
    Ok(report(&target, &files, &rows, &looked))
}

/// The same words as for a sync, which finds a market and its chain.
fn as_sync(args: &args::ImportLogs) -> args::Sync {
    args::Sync {
        market: Some(args.market.clone()),
        provider: args.provider.clone(),
        chain: args.chain.clone(),
        from_block: args.from_block,
        to_block: None,
        follow: false,
        finality: args.finality,
        hypersync: None,
        markets: args.markets.clone(),
        svr: None,
        prices: Sampling::Liquidations,
        oracle_updates: args::OracleUpdates::None,
        nodes: args.nodes.clone(),
    }
}

/// What a first reading of a file told.
struct Looked {
    summary: Summary,
    /// Who says that it holds everything.
    word: &'static str,
}

/// Reads the files once: what they name is learnt, and whoever is not to be believed is refused before anything is written.
fn look(files: &[LogFile], client: &Client, watch: &mut Watch, args: &args::ImportLogs) -> anyhow::Result<Vec<Looked>> {
    let bar = progress(files.len(), "looking");
    let mut all = Vec::new();
    for file in files {
        let filter = Filter { addresses: watch.filter().addresses, topics: BTreeSet::new() };
        let mut first_reject = None;
        let summary = file.read(client.chain(), &filter, &mut |batch| {
            batch.logs.iter().for_each(|log| {
                watch.observe(&log);
            });
            first_reject = first_reject.take().or(batch.rejects.into_iter().next());
            Ok(())
        })?;
        if let Some(reject) = first_reject {
            return Err(unfit(file, &reject).into());
        }
        all.push(Looked { word: word(file, &summary, args)?, summary });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(all)
}

/// A file with a row that is no log holds something else than it says.
fn unfit(file: &LogFile, reject: &Reject) -> source::Error {
    let (path, detail) = (file.path().display(), harmless(&reject.detail));
    source::Error::Unfit {
        what: format!("{path}: row {} is no log of the file's chain and blocks: {detail}", count(reject.row)),
        advice: "have the file written anew; nothing of it was taken".to_owned(),
    }
}

/// Who says that a file holds every log of the market in its blocks.
fn word(file: &LogFile, summary: &Summary, args: &args::ImportLogs) -> anyhow::Result<&'static str> {
    if args.complete {
        return Ok("hearsay: the user says that it is complete");
    }
    if !args.contract.is_empty() {
        return Ok("hearsay: the user says for which contracts it was written");
    }
    if summary.passed_over == 0 || summary.other_events == 0 {
        bail!(
            "{}: has no log of any contract or event but those a market is read for, so it was written with a filter, which may \
             leave out some; say --complete if you know that it leaves out none, or with --contract for which contracts it was written",
            file.path().display()
        );
    }
    Ok(match file.claim().basis {
        Basis::FileName => "hearsay: its name says which blocks it covers, and other contracts' logs are in it",
        Basis::Stated => "hearsay: the user says which blocks it covers, and other contracts' logs are in it",
    })
}

/// The market's contracts and events, or of them what the files were written for.
fn filter(watch: &Watch, args: &args::ImportLogs) -> anyhow::Result<Filter> {
    let mut filter = watch.filter();
    if args.contract.is_empty() {
        return Ok(filter);
    }
    let only = args.contract.iter().map(|text| super::account(text).map(Address::from));
    let only: BTreeSet<Address> = only.collect::<anyhow::Result<_>>()?;
    filter.addresses.retain(|address| only.contains(address));
    if filter.addresses.is_empty() {
        bail!(
            "none of the contracts that --contract names is one of this market's; `tidegate markets NAME` lists them"
        );
    }
    Ok(filter)
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// So many logs were taken.
    Logs(u64),
    /// Everything in it was held before.
    Held,
    /// It was not begun.
    Stopped,
}

impl Target<'_> {
    /// Takes the files, those that follow one another without a hole into one.
    fn take(&self, files: &[LogFile], looked: &[Looked]) -> anyhow::Result<Vec<Taken>> {
        let bar = progress(files.len(), "taking");
        let mut taken = vec![Taken::Held; files.len()];
        let mut wanted = Vec::new();
        for (place, file) in files.iter().enumerate() {
            if !self.is_held(file)? {
                wanted.push(place);
            }
        }
        let mut rest = wanted.as_slice();
        while !rest.is_empty() {
            let (group, behind) = rest.split_at(together(files, looked, rest));
            rest = behind;
            if self.stop.load(Ordering::Relaxed) {
                group.iter().for_each(|place| taken[*place] = Taken::Stopped);
                continue;
            }
            for (place, logs) in group.iter().zip(self.take_group(files, looked, group)?) {
                taken[*place] = Taken::Logs(logs);
            }
            bar.inc(group.len() as u64);
        }
        bar.finish_and_clear();
        Ok(taken)
    }

    /// Whether the archive holds what a file would bring.
    fn is_held(&self, file: &LogFile) -> anyhow::Result<bool> {
        let files = self.writer.archive().market_files(&self.name, ArchiveTable::Logs)?;
        let (from, to) = (*file.claim().blocks.start(), *file.claim().blocks.end());
        let wanted: Vec<(Address, u64)> = self.filter.addresses.iter().map(|address| (*address, from)).collect();
        Ok(Coverage::of(&files)?.missing(&wanted, &self.filter.topics, to).is_empty())
    }

    /// Writes the logs of files that follow one another into one of the archive. Returns how many each of them brought.
    fn take_group(&self, files: &[LogFile], looked: &[Looked], group: &[usize]) -> anyhow::Result<Vec<u64>> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(Vec::new()) };
        let (from, to) = (*files[*first].claim().blocks.start(), *files[*last].claim().blocks.end());
        let (writer, chain) = (self.writer, self.client.chain());
        let mut out = LogsFile::create(writer, &self.name, chain, &self.filter, from)?;
        let mut brought = Vec::new();
        for place in group {
            let before = out.rows();
            files[*place].read(chain, &self.filter, &mut |batch| {
                if let Some(reject) = batch.rejects.first() {
                    return Err(unfit(&files[*place], reject));
                }
                let headers = wait(self.client.headers(&batch.logs.blocks()))?;
                out.append(&batch.logs.stamp(&headers)?)
            })?;
            brought.push(out.rows() - before);
        }
        let end = wait(self.client.header(to))?;
        let end = end.with_context(|| format!("block {to} is gone from the chain; run the same command again"))?;
        let mut notes = end_note(end.time);
        notes.insert(COVERAGE_NOTE.to_owned(), looked[*first].word.to_owned());
        notes.insert(ORIGIN_NOTE.to_owned(), origin(files, group));
        let before = writer.archive().market_files(&self.name, ArchiveTable::Logs)?;
        let path = out.publish(to, end.hash, notes)?;
        if !before.iter().any(|file| file.path == path) {
            self.agrees(&path, from, to)?;
        }
        Ok(brought)
    }

    /// A file that contradicts what was held before must not stand beside it.
    fn agrees(&self, path: &Path, from: u64, to: u64) -> anyhow::Result<()> {
        let outcome = LogReader::open(self.writer.archive(), &self.name, from, None).and_then(|mut logs| {
            while logs.next_log()?.is_some_and(|log: Log<'_>| log.block <= to) {}
            Ok(())
        });
        let Err(cause) = outcome else { return Ok(()) };
        let aside = set_aside(self.writer, &DataFile::open(path.to_owned())?)?;
        bail!("{cause}. What was imported was set aside as {}", aside.display())
    }
}

/// How many of the files, from the first on, go into one of the archive.
fn together(files: &[LogFile], looked: &[Looked], rest: &[usize]) -> usize {
    let (mut logs, mut length) = (0, 0);
    for pair in rest.windows(2) {
        let ([one, next], true) = ([pair[0], pair[1]], length + 1 < FILES_PER_FILE) else { break };
        logs += looked[one].summary.taken;
        let follows = files[one].claim().blocks.end().checked_add(1) == Some(*files[next].claim().blocks.start());
        if !follows || looked[one].word != looked[next].word || logs >= LOGS_PER_FILE {
            break;
        }
        length += 1;
    }
    length + 1
}

/// The names of the files imported; of many the first and the last.
fn origin(files: &[LogFile], group: &[usize]) -> String {
    let name = |place: &usize| files[*place].path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    match group {
        [] => String::new(),
        [only] => format!("file {}", name(only)),
        [first, .., last] => format!("{} files, {} to {}", group.len(), name(first), name(last)),
    }
}

/// Waits for a node in the middle of reading a file.
fn wait<T>(work: impl Future<Output = source::Result<T>>) -> source::Result<T> {
    tokio::runtime::Handle::current().block_on(work)
}

fn progress(files: usize, doing: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(files as u64);
    let style =
        ProgressStyle::with_template("{prefix} {wide_bar} {human_pos}/{human_len} files · {elapsed} · {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(doing);
    bar
}

fn report(target: &Target<'_>, files: &[LogFile], taken: &[Taken], looked: &[Looked]) -> Report {
    let mut table = Table::new(
        "imported",
        &[
            ("file", Unit::Text),
            ("from_block", Unit::Count),
            ("to_block", Unit::Count),
            ("rows", Unit::Count),
            ("taken", Unit::Count),
            ("outcome", Unit::Text),
        ],
    );
    for ((file, taken), looked) in files.iter().zip(taken).zip(looked) {
        let (logs, outcome) = match taken {
            Taken::Logs(logs) => (Value::Count(*logs), "taken"),
            Taken::Held => (Value::Count(0), "held before"),
            Taken::Stopped => (Value::Missing, "not begun"),
        };
        table.push(vec![
            Value::Text(harmless(&file.path().file_name().unwrap_or_default().to_string_lossy())),
            Value::Count(*file.claim().blocks.start()),
            Value::Count(*file.claim().blocks.end()),
            Value::Count(looked.summary.rows),
            logs,
            Value::Text(outcome.to_owned()),
        ]);
    }
    let words: BTreeMap<&str, u64> = looked.iter().fold(BTreeMap::new(), |mut words, looked| {
        *words.entry(looked.word).or_default() += 1;
        words
    });
    let mut notes: Vec<String> = words
        .iter()
        .map(|(word, files)| format!("That nothing is left out of {} files is {word}.", count(*files)))
        .collect();
    notes.push(format!(
        "Taken for {} contracts of the market, with the hashes and times of blocks from a node. `tidegate sync --market {}` \
         reads what is missing, `tidegate verify --level receipts,bloom` proves what was taken.",
        count(target.filter.addresses.len() as u64),
        target.name
    ));
    Report { title: format!("Logs of {}", target.name), standing: Standing::Imported, notes, tables: vec![table] }
}
