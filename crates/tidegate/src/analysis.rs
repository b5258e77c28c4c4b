//! From files of the archive to folded liquidations: reads columns, filters rows, shares the work, bounds the memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Mutex;

use anyhow::Context;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, RecordBatch};
use engine::liquidations::group::{self, Folded, Large, RECORD_BYTES, Stopped};
use engine::liquidations::{Batch, Dimension, Fold, Group, Measure, NO_NAME, Nullable, Shared, Sums};
use source::archive::footer::TimeRange;
use source::archive::liquidations::EventKey;
use source::archive::{Chunk, DataFile, Scan};
use source::spill::{Equal, Partitions};

use crate::workers;

/// Memory for (user, group) pairs before they go to disk, over all workers.
const PAIRS_BUDGET_BYTES: usize = 192 << 20;
/// Memory for groups by user before they go to disk, over all workers.
const RECORDS_BUDGET_BYTES: usize = 128 << 20;
/// Groups by user that one worker holds before it writes them down.
const GROUPS_HELD: usize = 60_000;

/// Which rows count.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    /// The moments.
    pub range: TimeRange,
    /// Chains by id; all where empty.
    pub chains: BTreeSet<u64>,
    /// Names in lower case by column; all where a set is empty.
    pub names: BTreeMap<NameColumn, BTreeSet<String>>,
    /// Liquidated accounts; all where empty.
    pub users: BTreeSet<[u8; 20]>,
    /// Liquidating accounts; all where empty.
    pub liquidators: BTreeSet<[u8; 20]>,
    /// The least value of the measured side, in US dollars of eight decimals.
    pub least_usd8: Option<i128>,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            range: TimeRange::ALL,
            chains: BTreeSet::new(),
            names: BTreeMap::new(),
            users: BTreeSet::new(),
            liquidators: BTreeSet::new(),
            least_usd8: None,
        }
    }
}

/// A column of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum NameColumn {
    /// The market.
    Market,
    /// The protocol's version.
    Version,
    /// The collateral token.
    Collateral,
    /// The debt token.
    Debt,
}

impl NameColumn {
    const ALL: [Self; 4] = [Self::Market, Self::Version, Self::Collateral, Self::Debt];

    const fn column(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::Version => "version",
            Self::Collateral => "collateral_symbol",
            Self::Debt => "debt_symbol",
        }
    }
}

/// What is asked of some files.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    /// The files, each with the events in it that are to be left out because another dataset has them.
    pub files: &'a [(DataFile, &'a HashSet<EventKey>)],
    /// By what to group.
    pub by: &'a [Dimension],
    /// Which side's value counts.
    pub measure: Measure,
    /// Which rows count.
    pub filter: &'a Filter,
    /// For [`Dimension::Episode`].
    pub episodes: Vec<(i64, i64)>,
    /// Whether the largest need their transactions and liquidators.
    pub with_transactions: bool,
    /// How many groups to keep, by value; all where `None`.
    pub top: Option<usize>,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Groups with their distinct users, sorted by key.
    pub groups: Vec<(Group, u64)>,
    /// How many groups there were before `top` cut them.
    pub group_count: u64,
    /// Sums over everything.
    pub total: Sums,
    /// Distinct users over everything.
    pub users: u64,
    /// The largest liquidations.
    pub largest: Vec<Large>,
    /// Tokens without a US dollar value: side, name, how often.
    pub unpriced: Vec<(Measure, String, u64)>,
    /// Names by code.
    pub names: Vec<String>,
    /// Whether anything had to be written to temporary files.
    pub spilled: bool,
}

/// Answers a question.
pub(crate) fn ask(question: &Question<'_>) -> anyhow::Result<Answer> {
    let shared = Shared::new(question.by, question.measure).with_episodes(question.episodes.clone());
    let names = Names::new(&question.filter.names);
    let columns = Columns::needed_by(question);
    let scan = Scan::of(&columns.names()).within(question.filter.range);
    let chunks: Vec<(Chunk, &HashSet<EventKey>)> = question
        .files
        .iter()
        .flat_map(|(file, left_out)| {
            scan.chunks(std::slice::from_ref(file)).into_iter().map(|chunk| (chunk, *left_out))
        })
        .collect();
    let workers = workers::share(
        &chunks,
        || Worker::new(&shared, question),
        |worker, (chunk, left_out)| worker.read(chunk, left_out, &names, columns),
    )?;
    let (mut folds, mut pairs, mut records) = (Vec::new(), Vec::new(), Vec::new());
    for mut worker in workers {
        worker.write_groups_down(0)?;
        folds.push(worker.fold.finish());
        pairs.push(worker.pairs);
        records.push(worker.records);
    }
    let folded = group::join(folds).map_err(|_| anyhow::anyhow!(too_large()))?;
    let spilled = pairs.iter().any(Partitions::spilled) || records.iter().any(Partitions::spilled);
    let (users, users_by_group) = distinct_users(&pairs)?;
    let names = SortedNames::of(names.into_texts());
    let mut answer = Answer {
        groups: Vec::new(),
        group_count: 0,
        total: folded.total,
        users,
        unpriced: folded.unpriced.iter().map(|((side, token), count)| (*side, names.text(*token), *count)).collect(),
        largest: folded.largest.iter().map(|large| names.recode_large(large)).collect(),
        names: Vec::new(),
        spilled,
    };
    answer.largest.sort_unstable();
    if shared.is_by_user() {
        merge_records(&mut answer, &records, &names, question)?;
    } else {
        take_groups(&mut answer, folded, &users_by_group, &names, question)?;
    }
    answer.names = names.texts;
    Ok(answer)
}

fn too_large() -> &'static str {
    "a sum of US dollars leaves 128 bits: a file holds values that no import of this program takes; leave its dataset out"
}

struct Worker<'a> {
    fold: Fold<'a>,
    /// User, then group: sorted, a user's pairs stand together.
    pairs: Partitions<24>,
    records: Partitions<RECORD_BYTES>,
    question: &'a Question<'a>,
    by_user: bool,
}

impl<'a> Worker<'a> {
    fn new(shared: &'a Shared, question: &'a Question<'a>) -> Self {
        Self {
            fold: Fold::new(shared),
            pairs: Partitions::new(Equal::Merge, PAIRS_BUDGET_BYTES / workers::count()),
            records: Partitions::new(Equal::Keep, RECORDS_BUDGET_BYTES / workers::count()),
            question,
            by_user: shared.is_by_user(),
        }
    }

    fn read(
        &mut self,
        chunk: &Chunk,
        left_out: &HashSet<EventKey>,
        names: &Names<'_>,
        columns: Columns,
    ) -> anyhow::Result<()> {
        for batch in chunk.read()? {
            let owned = OwnedBatch::from_arrow(&batch?, names, columns)?;
            let rows = owned.rows(self.question, left_out);
            let pairs = &mut self.pairs;
            self.fold.add::<Failure>(&owned.as_batch(), rows.into_iter(), |group, user| {
                let mut pair = [0; 24];
                pair[..20].copy_from_slice(user);
                pair[20..].copy_from_slice(&group.to_be_bytes());
                // The first bytes of an address are as good as a hash, but anyone can choose them.
                let spread =
                    u64::from_be_bytes(*user.last_chunk().unwrap_or(&[0; 8])).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                Ok(pairs.push(spread, pair)?)
            })?;
            if self.by_user {
                self.write_groups_down(GROUPS_HELD)?;
            }
        }
        Ok(())
    }

    fn write_groups_down(&mut self, held: usize) -> anyhow::Result<()> {
        if self.by_user && self.fold.groups() > held {
            for (hash, record) in self.fold.drain() {
                self.records.push(hash, record)?;
            }
        }
        Ok(())
    }
}

/// What can stop a fold: its own bounds, or the disk.
#[derive(Debug)]
enum Failure {
    Stopped(Stopped),
    Source(source::Error),
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<source::Error> for Failure {
    fn from(error: source::Error) -> Self {
        Self::Source(error)
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Stopped(Stopped::TooLarge) => Self::msg(too_large()),
            Failure::Stopped(Stopped::TooManyGroups) => {
                Self::msg("the grouping gives more than a million groups; group by fewer dimensions or add a filter")
            }
            Failure::Source(error) => error.into(),
        }
    }
}

/// Distinct users over everything, and by group number.
fn distinct_users(pairs: &[Partitions<24>]) -> anyhow::Result<(u64, HashMap<u32, u64>)> {
    let partitions: Vec<usize> = (0..pairs.first().map_or(0, Partitions::count)).collect();
    let states = workers::share(
        &partitions,
        || (0_u64, HashMap::<u32, u64>::new()),
        |(users, by_group), partition| {
            let mut records = Vec::new();
            for part in pairs {
                records.append(&mut part.sorted(*partition)?);
            }
            records.sort_unstable();
            records.dedup();
            for of_user in records.chunk_by(|a, b| a[..20] == b[..20]) {
                *users += 1;
                for pair in of_user {
                    *by_group.entry(u32::from_be_bytes(*pair.last_chunk().unwrap_or(&[0; 4]))).or_default() += 1;
                }
            }
            Ok::<_, anyhow::Error>(())
        },
    )?;
    let (mut users, mut by_group) = (0, HashMap::<u32, u64>::new());
    for (some, groups) in states {
        users += some;
        #[expect(clippy::iter_over_hash_type, reason = "adding up does not mind the order")]
        for (group, count) in groups {
            *by_group.entry(group).or_default() += count;
        }
    }
    Ok((users, by_group))
}

fn take_groups(
    answer: &mut Answer,
    folded: Folded,
    users: &HashMap<u32, u64>,
    names: &SortedNames,
    question: &Question<'_>,
) -> anyhow::Result<()> {
    // Each worker held fewer, but how many there are must not depend on how many workers there were.
    if folded.groups.len() > group::MOST_GROUPS {
        return Err(Failure::Stopped(Stopped::TooManyGroups).into());
    }
    answer.group_count = folded.groups.len() as u64;
    let with_users = |(number, group)| (names.recode(group, question.by), users.get(&number).copied().unwrap_or(0));
    answer.groups = folded.groups.into_iter().map(with_users).collect();
    keep_top(&mut answer.groups, question);
    answer.groups.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
    Ok(())
}

/// Groups by user, one partition at a time: each has one user.
fn merge_records(
    answer: &mut Answer,
    records: &[Partitions<RECORD_BYTES>],
    names: &SortedNames,
    question: &Question<'_>,
) -> anyhow::Result<()> {
    let words = group::words_per_key(question.by);
    for partition in 0..records.first().map_or(0, Partitions::count) {
        let mut some = Vec::new();
        for part in records {
            some.append(&mut part.sorted(partition)?);
        }
        some.sort_unstable();
        let groups = group::merge_sorted(&some, words).map_err(|_| anyhow::anyhow!(too_large()))?;
        answer.group_count += groups.len() as u64;
        answer.groups.extend(groups.into_iter().map(|group| (names.recode(group, question.by), 1)));
        keep_top(&mut answer.groups, question);
    }
    answer.groups.sort_by(|(a, _), (b, _)| a.key.cmp(&b.key));
    Ok(())
}

fn keep_top(groups: &mut Vec<(Group, u64)>, question: &Question<'_>) {
    if let Some(top) = question.top.filter(|top| *top < groups.len()) {
        // By value, then by count, then by key, so that ties do not depend on chance.
        groups.sort_by(|(a, _), (b, _)| {
            let rank = |group: &Group| {
                (std::cmp::Reverse(group.sums.value_usd8(question.measure)), std::cmp::Reverse(group.sums.count))
            };
            rank(a).cmp(&rank(b)).then_with(|| a.key.cmp(&b.key))
        });
        groups.truncate(top);
    }
}

/// Names in alphabetical order. Codes are given in the order in which threads meet names, which is chance; recoded by these
/// ranks, groups sort and tie the same way every time.
struct SortedNames {
    texts: Vec<String>,
    /// The place in `texts` of each code.
    ranks: Vec<u32>,
}

impl SortedNames {
    fn of(by_code: Vec<String>) -> Self {
        let mut order: Vec<u32> = (0..).take(by_code.len()).collect();
        order.sort_unstable_by(|a, b| by_code[*a as usize].cmp(&by_code[*b as usize]));
        let mut ranks = vec![0; by_code.len()];
        for (rank, code) in (0..).zip(&order) {
            ranks[*code as usize] = rank;
        }
        Self { texts: order.iter().map(|code| by_code[*code as usize].clone()).collect(), ranks }
    }

    fn rank(&self, code: u32) -> u32 {
        self.ranks.get(code as usize).copied().unwrap_or(NO_NAME)
    }

    fn text(&self, code: u32) -> String {
        self.texts.get(self.rank(code) as usize).cloned().unwrap_or_default()
    }

    fn recode(&self, mut group: Group, by: &[Dimension]) -> Group {
        let mut place = 0;
        for dimension in by {
            if dimension.is_name() {
                let code = u32::try_from(group.key[place]).unwrap_or(NO_NAME);
                group.key[place] = self.rank(code).into();
            }
            place += dimension.words();
        }
        group
    }

    fn recode_large(&self, large: &Large) -> Large {
        let [market, collateral, debt] = [large.market, large.collateral, large.debt].map(|code| self.rank(code));
        Large { market, collateral, debt, ..*large }
    }
}

/// Codes for names, shared by all workers and columns, and which names each column's filter lets through.
struct Names<'a> {
    wanted: &'a BTreeMap<NameColumn, BTreeSet<String>>,
    known: Mutex<(HashMap<String, u32>, Vec<String>)>,
}

impl<'a> Names<'a> {
    fn new(wanted: &'a BTreeMap<NameColumn, BTreeSet<String>>) -> Self {
        Self { wanted, known: Mutex::default() }
    }

    fn code(&self, text: &str) -> anyhow::Result<u32> {
        let (codes, texts) = &mut *self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(code) = codes.get(text) {
            return Ok(*code);
        }
        let code = u32::try_from(texts.len()).ok().filter(|code| *code < 4_000_000);
        let code = code
            .context("there are more than four million different names of tokens and markets; add a filter of time")?;
        codes.insert(text.to_owned(), code);
        texts.push(text.to_owned());
        Ok(code)
    }

    fn wants(&self, column: NameColumn, text: Option<&str>) -> bool {
        let Some(wanted) = self.wanted.get(&column).filter(|wanted| !wanted.is_empty()) else {
            return true;
        };
        text.is_some_and(|text| wanted.contains(&text.to_lowercase()))
    }

    fn into_texts(self) -> Vec<String> {
        self.known.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).1
    }
}

/// Which optional columns are read.
#[derive(Debug, Clone, Copy)]
struct Columns {
    liquidator: bool,
    transaction: bool,
    key: bool,
}

impl Columns {
    fn needed_by(question: &Question<'_>) -> Self {
        let by_liquidator = question.by.contains(&Dimension::Liquidator) || !question.filter.liquidators.is_empty();
        Self {
            liquidator: by_liquidator || question.with_transactions,
            transaction: question.with_transactions,
            key: question.files.iter().any(|(_, left_out)| !left_out.is_empty()),
        }
    }

    fn names(self) -> Vec<&'static str> {
        let optional = [("liquidator", self.liquidator), ("tx_hash", self.transaction), ("event_key", self.key)];
        let always = ["time", "chain_id", "user", "debt_usd", "collateral_usd"];
        let named = NameColumn::ALL.map(NameColumn::column);
        always
            .into_iter()
            .chain(named)
            .chain(optional.into_iter().filter(|(_, needed)| *needed).map(|(name, _)| name))
            .collect()
    }
}

/// A batch whose names are codes, with what it borrows from Arrow.
struct OwnedBatch {
    arrow: RecordBatch,
    names: [Vec<u32>; 4],
    /// Per name column, whether the filter lets the row through; empty where there is no filter.
    passes: Vec<bool>,
    present: [Option<Vec<bool>>; 4],
    columns: Columns,
}

impl OwnedBatch {
    fn from_arrow(batch: &RecordBatch, names: &Names<'_>, columns: Columns) -> anyhow::Result<Self> {
        let mut passes = if names.wanted.values().any(|wanted| !wanted.is_empty()) {
            vec![true; batch.num_rows()]
        } else {
            Vec::new()
        };
        let mut codes: [Vec<u32>; 4] = Default::default();
        for (column, codes) in NameColumn::ALL.into_iter().zip(&mut codes) {
            let dictionary = batch[column.column()].as_dictionary::<Int32Type>();
            let texts = dictionary.values().as_string::<i32>();
            let mut mapped = Vec::with_capacity(texts.len());
            for text in texts {
                let text = text.unwrap_or("");
                mapped.push((names.code(text)?, names.wants(column, Some(text))));
            }
            let without = (NO_NAME, names.wants(column, None));
            let of = |key: Option<i32>| {
                key.and_then(|key| mapped.get(usize::try_from(key).ok()?).copied()).unwrap_or(without)
            };
            codes.extend(dictionary.keys().iter().map(|key| of(key).0));
            for (pass, key) in passes.iter_mut().zip(dictionary.keys()) {
                *pass &= of(key).1;
            }
        }
        let nullable = ["debt_usd", "collateral_usd", "liquidator", "tx_hash"];
        let present = nullable.map(|name| {
            batch.column_by_name(name).and_then(|column| column.nulls()).map(|nulls| nulls.iter().collect())
        });
        Ok(Self { arrow: batch.clone(), names: codes, passes, present, columns })
    }

    fn as_batch(&self) -> Batch<'_> {
        let [market, version, collateral, debt] = &self.names;
        let usd = |name: &str, present| Nullable {
            values: self.arrow[name].as_primitive::<Decimal128Type>().values(),
            present,
        };
        let [debt_present, collateral_present, liquidator_present, transaction_present] =
            self.present.each_ref().map(|present| present.as_deref());
        Batch {
            time_us: self.arrow["time"].as_primitive::<TimestampMicrosecondType>().values(),
            chain: self.arrow["chain_id"].as_primitive::<UInt64Type>().values(),
            market,
            version,
            collateral,
            debt,
            user: self.bytes("user"),
            liquidator: Nullable {
                values: if self.columns.liquidator { self.bytes("liquidator") } else { &[] },
                present: liquidator_present,
            },
            debt_usd: usd("debt_usd", debt_present),
            collateral_usd: usd("collateral_usd", collateral_present),
            transaction: Nullable {
                values: if self.columns.transaction { self.bytes("tx_hash") } else { &[] },
                present: transaction_present,
            },
        }
    }

    fn bytes<const WIDTH: usize>(&self, name: &str) -> &[[u8; WIDTH]] {
        self.arrow[name].as_fixed_size_binary().value_data().as_chunks().0
    }

    /// The rows that count.
    fn rows(&self, question: &Question<'_>, left_out: &HashSet<EventKey>) -> Vec<usize> {
        let (batch, filter) = (self.as_batch(), question.filter);
        let keys: &[EventKey] = if left_out.is_empty() { &[] } else { self.bytes("event_key") };
        let counts = |row: &usize| {
            let row = *row;
            let time = batch.time_us[row];
            let value = match question.measure {
                Measure::DebtRepaid => batch.debt_usd.get(row),
                Measure::CollateralSeized => batch.collateral_usd.get(row),
            };
            filter.range.from.0 <= time
                && time < filter.range.until.0
                && self.passes.get(row).copied().unwrap_or(true)
                && (filter.chains.is_empty() || filter.chains.contains(&batch.chain[row]))
                && (filter.users.is_empty() || filter.users.contains(&batch.user[row]))
                && (filter.liquidators.is_empty()
                    || batch.liquidator.get(row).is_some_and(|account| filter.liquidators.contains(&account)))
                && filter.least_usd8.is_none_or(|least| value.is_some_and(|value| value >= least))
                && keys.get(row).is_none_or(|key| !left_out.contains(key))
        };
        (0..batch.time_us.len()).filter(counts).collect()
    }
}
