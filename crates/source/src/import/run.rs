//! The import itself: convert, write, find repeats, publish.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use arrow_array::BooleanArray;
use arrow_array::cast::AsArray;
use arrow_select::filter::filter_record_batch;
use protocol::time::TimeUs;
use protocol::token::Tokens;
use sha2::{Digest, Sha256};

use super::convert::{Converter, Noticed, Rejection};
use super::input::Flow;
use super::{Plan, key};
use crate::archive::footer::TimeRange;
use crate::archive::liquidations::{self, KeyKind, Row, RowsFile};
use crate::archive::publish::FinishedFile;
use crate::archive::{DataFile, Footer, PendingFile, Scan, Table, Writer, rejects};
use crate::error::{Error, IoContext, Result};
use crate::spill::{Equal, Partitions};

/// Bytes of rejected text gathered before they are handed to the file.
const REJECT_BATCH_BYTES: usize = 4 << 20;
/// Memory for keys before they go to disk: about four million.
const KEY_BUDGET_BYTES: usize = 96 << 20;
/// The longest part of a rejected row that is kept.
const LONGEST_REJECTED_CHARS: usize = 2_000;

/// How far an import is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Rows looked at.
    pub rows: u64,
    /// Bytes or rows into the file, as [`super::Extent`] counts.
    pub at: u64,
}

/// What came of an import.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The very same file was imported before with the same settings; nothing was done.
    pub already_imported: bool,
    /// Rows looked at.
    pub rows: u64,
    /// Rows taken.
    pub taken: u64,
    /// Rows that stand earlier in the same file.
    pub repeated: u64,
    /// Rows whose event the dataset already holds.
    pub already_held: u64,
    /// Rows not taken for other reasons, by kind, each with the first row's number and whole reason.
    pub rejected: BTreeMap<&'static str, (u64, u64, String)>,
    /// What was noticed.
    pub noticed: Noticed,
    /// Rows by what their identity rests on.
    pub keys: BTreeMap<KeyKind, u64>,
    /// The file with the rows, if any was taken.
    pub file: Option<PathBuf>,
    /// The file with the rejects, if there are any.
    pub rejects_file: Option<PathBuf>,
    /// The dataset holds events of the same time whose keys rest on something else, in words: they may be the same.
    pub keyed_otherwise: Option<String>,
    /// Whether keys had to go to disk.
    pub spilled: bool,
}

/// Imports a file.
///
/// # Errors
/// The file or the archive fails; no row of the file is then among the dataset's liquidations.
pub fn run(plan: &Plan, tokens: &Tokens, writer: &Writer, progress: &mut dyn FnMut(Progress)) -> Result<Outcome> {
    let sha256 = sha256_of(plan.path())?;
    let archive = writer.archive();
    if archive.synced_market(&plan.settings.dataset).is_some() {
        return Err(Error::Unfit {
            what: format!("{} is a synced market, and what is imported is kept apart from it", plan.settings.dataset),
            advice: "name another --dataset; `tidegate reconcile` compares the two".to_owned(),
        });
    }
    let held = archive.files(&plan.settings.dataset, Table::Liquidations)?;
    if let Some(file) = held.iter().find(|file| file.footer.note("source_sha256") == Some(&sha256)) {
        return already_imported(plan, file);
    }
    let mut import = Import::begin(plan, tokens, writer)?;
    plan.input.visit(&mut |number, row, at| {
        import.take(number, row)?;
        if number % 4_096 == 0 {
            progress(Progress { rows: number, at });
        }
        Ok(Flow::Continue)
    })?;
    progress(Progress { rows: import.outcome.rows, at: plan.extent().total() });
    import.publish(&held, &sha256)
}

fn already_imported(plan: &Plan, file: &DataFile) -> Result<Outcome> {
    if file.footer.note("settings") == Some(&plan.describe()) {
        return Ok(Outcome { already_imported: true, file: Some(file.path.clone()), ..Outcome::default() });
    }
    let what = format!(
        "{}: the same file is in dataset {} already, read with other settings",
        plan.path().display(),
        plan.settings.dataset
    );
    let advice = format!("give it another --dataset, or delete {} first", file.path.display());
    Err(Error::Unfit { what, advice })
}

impl Plan {
    /// Everything that decides how a row is read, in one line.
    fn describe(&self) -> String {
        let (columns, _) = self.columns();
        let columns: Vec<String> = columns.iter().map(|(field, column)| format!("{}={column}", field.name())).collect();
        let given = &self.settings;
        format!(
            "columns[{}] chain[{}] market[{}] version[{}] amounts[{}]",
            columns.join(","),
            given.chain.map_or_else(String::new, |chain| chain.0.to_string()),
            given.market.as_deref().unwrap_or(""),
            given.version.map_or("", |version| version.word()),
            match given.amounts {
                Some(super::AmountUnit::Tokens) => "tokens",
                Some(super::AmountUnit::Raw) => "raw",
                None => "",
            },
        )
    }
}

struct Import<'a> {
    plan: &'a Plan,
    writer: &'a Writer,
    converter: Converter<'a>,
    file: RowsFile,
    rejected: rejects::Rows,
    rejects_file: PendingFile,
    /// Key, then 0 for an event the dataset holds or the row's number: of equal keys the one to keep sorts first.
    keys: Partitions<24>,
    outcome: Outcome,
}

impl<'a> Import<'a> {
    fn begin(plan: &'a Plan, tokens: &'a Tokens, writer: &'a Writer) -> Result<Self> {
        let folder = |table| writer.archive().folder(&plan.settings.dataset, table);
        Ok(Self {
            plan,
            writer,
            converter: Converter::new(&plan.mapping, &plan.settings, tokens),
            file: RowsFile::create(&folder(Table::Liquidations))?,
            rejected: rejects::Rows::default(),
            rejects_file: PendingFile::create(&folder(Table::Rejects), rejects::SCHEMA.clone(), rejects::properties())?,
            keys: Partitions::new(Equal::Keep, KEY_BUDGET_BYTES),
            outcome: Outcome::default(),
        })
    }

    fn take(&mut self, number: u64, row: &super::input::Row<'_>) -> Result<()> {
        self.outcome.rows = number;
        match self.converter.convert(row) {
            Ok((time, liquidation)) => {
                let (key, key_kind) = key::of(time, &liquidation);
                self.keys.push(first_word(&key), record(&key, number))?;
                *self.outcome.keys.entry(key_kind).or_default() += 1;
                self.file.push(&Row {
                    time,
                    liquidation: &liquidation,
                    standing: self.plan.settings.standing,
                    source_row: number,
                    key,
                    key_kind,
                })
            }
            Err(Rejection { reason, detail }) => {
                let text: String = row.text(self.plan.input.columns()).chars().take(LONGEST_REJECTED_CHARS).collect();
                let tally = self.outcome.rejected.entry(reason).or_insert_with(|| (0, number, detail.clone()));
                tally.0 += 1;
                self.reject(number, reason, &detail, Some(&text))
            }
        }
    }

    fn reject(&mut self, number: u64, reason: &str, detail: &str, text: Option<&str>) -> Result<()> {
        self.rejected.push(number, reason, detail, text);
        if self.rejected.bytes() >= REJECT_BATCH_BYTES { self.flush_rejects() } else { Ok(()) }
    }

    fn flush_rejects(&mut self) -> Result<()> {
        let batch = self.rejected.take().map_err(|cause| Error::arrow(self.plan.path(), &cause))?;
        self.rejects_file.write(&batch)
    }

    fn publish(mut self, held: &[DataFile], sha256: &str) -> Result<Outcome> {
        self.remember_held(held)?;
        let repeats = self.find_repeats()?;
        self.flush_rejects()?;
        self.outcome.spilled = self.keys.spilled();
        self.outcome.noticed = self.converter.noticed().clone();
        self.outcome.taken = self.file.rows() - repeats.count;
        let span = self.file.span();
        let name = format!("{}-{}.parquet", span.file_stem(), &sha256[..16]);
        let footer = |table| Footer {
            table,
            standing: self.plan.settings.standing,
            span: span.clone(),
            notes: self.notes(sha256),
        };
        let (data_footer, rejects_footer) = (footer(Table::Liquidations), footer(Table::Rejects));
        // Rejects first: a file of rows whose rejects are missing would claim that there were none.
        if self.rejects_file.rows() > 0 {
            self.outcome.rejects_file = Some(self.rejects_file.publish(&rejects_footer, &name)?);
        }
        if self.outcome.taken > 0 {
            let finished = self.file.finish(&data_footer)?;
            let finished = if repeats.count == 0 {
                finished
            } else {
                without_rows(&finished, &repeats, &data_footer, self.writer, self.plan)?
            };
            self.outcome.file = Some(finished.publish(&name)?);
        }
        Ok(self.outcome)
    }

    fn keys_rest_on(&self) -> &'static str {
        key::rests_on(&self.outcome.keys, !self.converter.noticed().inexact.is_empty())
    }

    /// Adds the keys of what the dataset holds in the same stretch of time.
    fn remember_held(&mut self, held: &[DataFile]) -> Result<()> {
        let Some((from, to)) = self.file.times() else {
            return Ok(());
        };
        // A key of all fields holds the time, so an equal one stands at the same moment. A log's key does not.
        let only_fields = !self.outcome.keys.contains_key(&KeyKind::Log);
        let range = TimeRange { from, until: TimeUs(to.0.saturating_add(1)) };
        let searched = if only_fields { range } else { TimeRange::ALL };
        let ours = self.keys_rest_on();
        let otherwise = |file: &&DataFile| file.footer.note("event_key_rests_on").is_some_and(|theirs| theirs != ours);
        let overlapping = held.iter().filter(|file| file.footer.span.may_hold(&range));
        let theirs = overlapping.filter(otherwise).find_map(|file| file.footer.note("event_key_rests_on"));
        self.outcome.keyed_otherwise = theirs.map(|theirs| format!("{theirs}, here {ours}"));
        for chunk in Scan::of(&["event_key"]).within(searched).chunks(held) {
            for batch in chunk.read()? {
                for key in batch?.column(0).as_fixed_size_binary().value_data().as_chunks::<16>().0 {
                    self.keys.push(first_word(key), record(key, 0))?;
                }
            }
        }
        Ok(())
    }

    /// Finds the rows whose key the dataset or an earlier row has, and keeps each among the rejects.
    fn find_repeats(&mut self) -> Result<RowSet> {
        let mut repeats = RowSet::new(self.outcome.rows);
        for partition in 0..self.keys.count() {
            let records = self.keys.sorted(partition)?;
            for same in records.chunk_by(|a, b| a[..16] == b[..16]) {
                let mut numbers = same.iter().map(|record| u64::from_be_bytes(*record.last_chunk().unwrap_or(&[0; 8])));
                let first = numbers.next().unwrap_or(0);
                for number in numbers.filter(|number| *number != 0) {
                    repeats.insert(number);
                    self.reject_repeat(number, first)?;
                }
            }
        }
        Ok(repeats)
    }

    fn reject_repeat(&mut self, number: u64, first: u64) -> Result<()> {
        if first == 0 {
            self.outcome.already_held += 1;
            return self.reject(number, "already held", "the dataset already holds this event", None);
        }
        self.outcome.repeated += 1;
        self.reject(number, "repeated row", &format!("the same event as row {first}"), None)
    }

    fn notes(&self, sha256: &str) -> BTreeMap<String, String> {
        let settings = &self.plan.settings;
        let file_name =
            self.plan.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let weak = self.outcome.keys.contains_key(&KeyKind::Fields);
        [
            ("dataset", settings.dataset.to_string()),
            ("origin", settings.origin.clone()),
            ("source_file", file_name),
            ("source_sha256", sha256.to_owned()),
            ("settings", self.plan.describe()),
            ("event_key_rests_on", self.keys_rest_on().to_owned()),
            ("event_key_weakness", key::weakness(weak)),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
    }
}

/// Some rows of a file, a bit for each of its rows.
struct RowSet {
    bits: Vec<u64>,
    count: u64,
}

impl RowSet {
    fn new(rows: u64) -> Self {
        Self { bits: vec![0; Self::place(rows).0 + 1], count: 0 }
    }

    /// Adds a row that is not in the set yet.
    fn insert(&mut self, row: u64) {
        let (word, bit) = Self::place(row);
        assert!(self.bits[word] & bit == 0, "a row repeats at most one event");
        self.bits[word] |= bit;
        self.count += 1;
    }

    fn contains(&self, row: u64) -> bool {
        let (word, bit) = Self::place(row);
        self.bits[word] & bit != 0
    }

    fn place(row: u64) -> (usize, u64) {
        (usize::try_from(row / 64).expect("a file's rows fit the memory's addresses"), 1 << (row % 64))
    }
}

/// Writes a finished file again without some of its rows.
fn without_rows(
    finished: &FinishedFile,
    rows: &RowSet,
    footer: &Footer,
    writer: &Writer,
    plan: &Plan,
) -> Result<FinishedFile> {
    let file = DataFile::open(finished.path().to_owned())?;
    let folder = writer.archive().folder(&plan.settings.dataset, Table::Liquidations);
    let mut kept = PendingFile::create(&folder, liquidations::SCHEMA.clone(), liquidations::properties())?;
    for chunk in Scan::of_all().chunks(std::slice::from_ref(&file)) {
        for batch in chunk.read()? {
            let batch = batch?;
            let numbers = batch["source_row"].as_primitive::<arrow_array::types::UInt64Type>();
            let keep: BooleanArray = numbers.values().iter().map(|number| Some(!rows.contains(*number))).collect();
            kept.write(&filter_record_batch(&batch, &keep).map_err(|cause| Error::arrow(finished.path(), &cause))?)?;
        }
    }
    kept.finish(footer)
}

fn first_word(key: &[u8; 16]) -> u64 {
    u64::from_be_bytes(*key.first_chunk().unwrap_or(&[0; 8]))
}

fn record(key: &[u8; 16], number: u64) -> [u8; 24] {
    let mut record = [0; 24];
    record[..16].copy_from_slice(key);
    record[16..].copy_from_slice(&number.to_be_bytes());
    record
}

pub(super) fn sha256_of(path: &Path) -> Result<String> {
    let mut file = File::open(path).while_trying_to("read the file", path)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).while_trying_to("read the file", path)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
