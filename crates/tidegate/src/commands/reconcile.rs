//! `tidegate reconcile`: two datasets of the same events, side by side.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::bail;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, TimestampMicrosecondType, UInt64Type};
use arrow_array::{Array, Decimal128Array, DictionaryArray, Float64Array, RecordBatch, UInt8Array};
use engine::liquidations::matching::{Candidate, Matches, Side, match_logs, match_rows};
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use source::archive::footer::TimeRange;
use source::archive::reconciliations::{self, Pair};
use source::archive::{Archive, DataFile, Scan, Span, Writer};
use source::spill::{Equal, Partitions};

use crate::args::Reconcile;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text::{address, count};

/// Memory for the rows of one kind before they go to disk.
const BUDGET_BYTES: usize = 64 << 20;
/// Bytes of a candidate written down.
const RECORD_BYTES: usize = 8 + 8 + 20 + 2 * SIDE_BYTES + 33 + 1 + 16 + 17;
/// Bytes of a side written down: whether it is there, its token, its amount.
const SIDE_BYTES: usize = 1 + 4 + 17;

const RULE: &str = "rows with the same transaction and log index are the same; else rows of the same chain, second, user and \
    collateral token (debt token where a row has no collateral) whose amounts agree when rounded to six decimals, one to one; of \
    the rest, the same chain, second, user and token is the same event with other or missing amounts; rows that both know their \
    transactions or logs, and differ in them, are never the same";

/// Compares two datasets and, where they were compared whole, keeps the result for `liquidations --combine`.
pub(crate) fn run(archive: &Path, args: &Reconcile) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let all = TimeRange::ALL;
    let (a, b) = (super::dataset(&archive, &args.a, &all)?, super::dataset(&archive, &args.b, &all)?);
    if a.0 == b.0 {
        bail!("{} and {} are the same dataset; name two", a.0, b.0);
    }
    let asked = super::time_range(args.from.as_deref(), args.to.as_deref())?;
    let common = common_range(&a.1, &b.1);
    let range = TimeRange { from: common.from.max(asked.from), until: common.until.min(asked.until) };
    // A log is the same at whatever second a source puts it, so without a question for a period logs are not cut off.
    let ranges = Ranges { logs: asked, others: range };
    let mut tokens = TokenCodes {
        wanted: args.collateral.iter().map(|token| token.trim().to_lowercase()).collect(),
        ..TokenCodes::default()
    };
    let (mut rows_a, mut rows_b) = (Rows::read(&a.1, &ranges, &mut tokens)?, Rows::read(&b.1, &ranges, &mut tokens)?);
    let mut found = Found::new(args.examples);
    found.match_logs(&mut rows_a, &mut rows_b, range)?;
    found.match_others(&rows_a.others, &rows_b.others)?;
    let whole = args.collateral.is_empty() && asked == all;
    let pair = Pair { a: (&a.0, &a.1), b: (&b.0, &b.1) };
    let on_record = match (whole, found.undecided) {
        (false, _) => ONLY_A_PART.to_owned(),
        (true, 0) => keep(&archive, &pair, &found),
        (true, undecided) => format!(
            "{} of A might be one of B or not: they stand at the same second and user and have no side in common to compare, so \
             nothing is on record for --combine.",
            crate::text::events(undecided)
        ),
    };
    let standing = a.1.iter().chain(&b.1).map(|file| file.footer.standing).max().unwrap_or(Standing::Imported);
    let tables = found.tables(&tokens);
    let notes = vec![format!("How rows are matched: {RULE}."), compared(range, args), on_record];
    let report = Report { title: format!("{} (A) against {} (B)", a.0, b.0), standing, notes, tables };
    output::write(&report, &super::destination(&args.output))
}

const ONLY_A_PART: &str = "Only a part was compared, so nothing is on record for --combine.";

/// Puts the result on record; what was found is worth showing even where that cannot be done.
fn keep(archive: &Archive, pair: &Pair<'_>, found: &Found) -> String {
    let kept = Writer::open(archive).and_then(|writer| reconciliations::record(&writer, pair, RULE, &found.pairs));
    match kept {
        Ok(()) => {
            "Both were compared over their whole common period, so the result is on record: `tidegate liquidations \
            --combine` counts matched events once."
                .to_owned()
        }
        Err(cause) => format!("The result could not be put on record for --combine: {cause}."),
    }
}

/// What was compared, in words.
fn compared(range: TimeRange, args: &Reconcile) -> String {
    let last = TimeUs((range.until.0 - 1).div_euclid(SECOND_US) * SECOND_US);
    let only =
        if args.collateral.is_empty() { String::new() } else { format!(", collateral {}", args.collateral.join(", ")) };
    format!("Compared: {} to {last}{only}.", range.from)
}

/// The stretch of time that both datasets cover; rows outside it cannot be in both.
fn common_range(a: &[DataFile], b: &[DataFile]) -> TimeRange {
    let span = |files: &[DataFile]| {
        let spans = files
            .iter()
            .filter_map(|file| if let Span::Times { from, to } = file.footer.span { Some((from, to)) } else { None });
        spans.reduce(|(from, to), (other_from, other_to)| (from.min(other_from), to.max(other_to)))
    };
    match (span(a), span(b)) {
        (Some((from_a, to_a)), Some((from_b, to_b))) => {
            {
                // Sources write moments to different fractions of a second.
                let second = |time: TimeUs| time.0.div_euclid(SECOND_US) * SECOND_US;
                TimeRange {
                    from: TimeUs(second(from_a.max(from_b))),
                    until: TimeUs(second(to_a.min(to_b)) + SECOND_US),
                }
            }
        }
        _ => TimeRange::ALL,
    }
}

/// Codes for token names that mean the same in both datasets, whatever their case.
#[derive(Debug, Default)]
struct TokenCodes {
    wanted: BTreeSet<String>,
    codes: HashMap<String, u32>,
    names: Vec<String>,
}

impl TokenCodes {
    /// The token's code, and whether it is among those asked for.
    fn code(&mut self, name: &str) -> (u32, bool) {
        let key = name.to_lowercase();
        let wanted = self.wanted.is_empty() || self.wanted.contains(&key);
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let code = *self.codes.entry(key).or_insert(next);
        if code == next {
            self.names.push(name.to_owned());
        }
        (code, wanted)
    }
}

/// Which moments are compared.
struct Ranges {
    /// Of rows that know their logs.
    logs: TimeRange,
    /// Of all others.
    others: TimeRange,
}

/// The rows of one dataset, spread so that rows that can match meet in one partition.
struct Rows {
    /// Rows that know their logs, by log.
    logs: Partitions<RECORD_BYTES>,
    /// The others, by chain, second and user.
    others: Partitions<RECORD_BYTES>,
}

impl Rows {
    fn read(files: &[DataFile], ranges: &Ranges, tokens: &mut TokenCodes) -> anyhow::Result<Self> {
        let mut rows = Self {
            logs: Partitions::new(Equal::Keep, BUDGET_BYTES),
            others: Partitions::new(Equal::Keep, BUDGET_BYTES),
        };
        for chunk in Scan::of(&COLUMNS).within(ranges.logs).chunks(files) {
            for batch in chunk.read()? {
                for (time, candidate) in read_batch(&batch?, tokens) {
                    let within = |range: &TimeRange| range.from <= time && time < range.until;
                    if candidate.by_log && within(&ranges.logs) {
                        let key = u64::from_be_bytes(*candidate.key.first_chunk().unwrap_or(&[0; 8]));
                        rows.logs.push(key, write_record(&candidate))?;
                    } else if !candidate.by_log && within(&ranges.others) {
                        rows.others.push(place_hash(&candidate), write_record(&candidate))?;
                    }
                }
            }
        }
        Ok(rows)
    }
}

const COLUMNS: [&str; 16] = [
    "time",
    "chain_id",
    "user",
    "tx_hash",
    "collateral_symbol",
    "collateral_raw",
    "collateral_decimals",
    "collateral_amount",
    "collateral_usd",
    "debt_symbol",
    "debt_raw",
    "debt_decimals",
    "debt_amount",
    "debt_usd",
    "event_key",
    "event_key_kind",
];

fn read_batch(batch: &RecordBatch, tokens: &mut TokenCodes) -> Vec<(TimeUs, Candidate)> {
    let filtered = !tokens.wanted.is_empty();
    let (collateral, debt) = (SideColumns::of(batch, "collateral", tokens), SideColumns::of(batch, "debt", tokens));
    let kinds = batch["event_key_kind"].as_dictionary::<Int32Type>();
    let is_log: Vec<bool> = kinds.values().as_string::<i32>().iter().map(|kind| kind == Some("log")).collect();
    let times = batch["time"].as_primitive::<TimestampMicrosecondType>();
    let chains = batch["chain_id"].as_primitive::<UInt64Type>();
    let users = batch["user"].as_fixed_size_binary().value_data().as_chunks::<20>().0;
    let keys = batch["event_key"].as_fixed_size_binary().value_data().as_chunks::<16>().0;
    let transactions = batch["tx_hash"].as_fixed_size_binary();
    let row = |row: usize| {
        let collateral_side = collateral.side(row);
        if filtered && !collateral.is_wanted(row) {
            return None;
        }
        let transaction =
            transactions.is_valid(row).then(|| *transactions.value(row).first_chunk().unwrap_or(&[0; 32]));
        let kind = usize::try_from(kinds.keys().value(row)).unwrap_or(0);
        let candidate = Candidate {
            chain: chains.value(row),
            second: times.value(row).div_euclid(SECOND_US),
            user: users[row],
            collateral: collateral_side,
            debt: debt.side(row),
            transaction,
            by_log: is_log[kind] && transaction.is_some(),
            key: keys[row],
            usd8: if collateral_side.is_some() { collateral.usd(row) } else { debt.usd(row) },
        };
        Some((TimeUs(times.value(row)), candidate))
    };
    (0..batch.num_rows()).filter_map(row).collect()
}

/// The columns of one side of a batch.
struct SideColumns<'a> {
    symbols: &'a DictionaryArray<Int32Type>,
    /// The code of each name of the dictionary, and whether it is asked for.
    codes: Vec<(u32, bool)>,
    raw: &'a Decimal128Array,
    decimals: &'a UInt8Array,
    amount: &'a Float64Array,
    usd: &'a Decimal128Array,
}

impl<'a> SideColumns<'a> {
    fn of(batch: &'a RecordBatch, side: &str, tokens: &mut TokenCodes) -> Self {
        let column = |name: &str| &batch[format!("{side}_{name}").as_str()];
        let symbols = column("symbol").as_dictionary::<Int32Type>();
        let names = symbols.values().as_string::<i32>();
        Self {
            symbols,
            codes: names.iter().map(|name| tokens.code(name.unwrap_or(""))).collect(),
            raw: column("raw").as_primitive(),
            decimals: column("decimals").as_primitive(),
            amount: column("amount").as_primitive(),
            usd: column("usd").as_primitive(),
        }
    }

    fn code(&self, row: usize) -> Option<(u32, bool)> {
        if self.symbols.is_null(row) {
            None
        } else {
            self.codes.get(usize::try_from(self.symbols.keys().value(row)).ok()?).copied()
        }
    }

    fn is_wanted(&self, row: usize) -> bool {
        self.code(row).is_some_and(|(_, wanted)| wanted)
    }

    fn side(&self, row: usize) -> Option<Side> {
        let (token, _) = self.code(row)?;
        let exact = self.raw.is_valid(row) && self.decimals.is_valid(row);
        let exact = exact.then(|| millionths(self.raw.value(row), self.decimals.value(row)));
        let amount_e6 = exact.or_else(|| self.amount.is_valid(row).then(|| float_millionths(self.amount.value(row))));
        Some(Side { token, amount_e6 })
    }

    fn usd(&self, row: usize) -> Option<i128> {
        self.usd.is_valid(row).then(|| self.usd.value(row))
    }
}

/// An exact amount in millionths of a token, rounded half up: `raw * 10^6 / 10^decimals`.
fn millionths(raw: i128, decimals: u8) -> i128 {
    match decimals.checked_sub(6) {
        None => raw.saturating_mul(10_i128.pow(u32::from(6 - decimals))),
        Some(surplus) => {
            let unit = 10_i128.checked_pow(u32::from(surplus)).unwrap_or(i128::MAX);
            raw / unit + i128::from(raw % unit >= unit / 2 + unit % 2)
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an amount beyond 128 bits saturates and matches nothing")]
fn float_millionths(tokens: f64) -> i128 {
    (tokens * 1e6).round() as i128
}

fn place_hash(candidate: &Candidate) -> u64 {
    let user = u64::from_be_bytes(*candidate.user.last_chunk().unwrap_or(&[0; 8]));
    (candidate.second.cast_unsigned() ^ user.rotate_left(20) ^ candidate.chain.rotate_left(40))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn write_record(candidate: &Candidate) -> [u8; RECORD_BYTES] {
    let mut bytes = Vec::with_capacity(RECORD_BYTES);
    bytes.extend(candidate.chain.to_be_bytes());
    bytes.extend(candidate.second.to_be_bytes());
    bytes.extend(candidate.user);
    for side in [candidate.collateral, candidate.debt] {
        bytes.push(u8::from(side.is_some()));
        bytes.extend(side.map_or(0, |side| side.token).to_be_bytes());
        write_optional(&mut bytes, side.and_then(|side| side.amount_e6));
    }
    bytes.push(u8::from(candidate.transaction.is_some()));
    bytes.extend(candidate.transaction.unwrap_or([0; 32]));
    bytes.push(u8::from(candidate.by_log));
    bytes.extend(candidate.key);
    write_optional(&mut bytes, candidate.usd8);
    bytes.try_into().expect("every field has its width")
}

fn write_optional(bytes: &mut Vec<u8>, value: Option<i128>) {
    bytes.push(u8::from(value.is_some()));
    bytes.extend(value.unwrap_or(0).to_be_bytes());
}

fn read_record(record: &[u8; RECORD_BYTES]) -> Candidate {
    fn take<const WIDTH: usize>(rest: &mut &[u8]) -> [u8; WIDTH] {
        let (head, tail) = rest.split_first_chunk().expect("a record holds every field");
        *rest = tail;
        *head
    }
    fn optional(rest: &mut &[u8]) -> Option<i128> {
        let [present] = take(rest);
        let value = i128::from_be_bytes(take(rest));
        (present == 1).then_some(value)
    }
    fn side(rest: &mut &[u8]) -> Option<Side> {
        let [present] = take(rest);
        let side = Side { token: u32::from_be_bytes(take(rest)), amount_e6: optional(rest) };
        (present == 1).then_some(side)
    }
    fn transaction(rest: &mut &[u8]) -> Option<[u8; 32]> {
        let [present] = take(rest);
        let hash = take(rest);
        (present == 1).then_some(hash)
    }
    let rest = &mut record.as_slice();
    Candidate {
        chain: u64::from_be_bytes(take(rest)),
        second: i64::from_be_bytes(take(rest)),
        user: take(rest),
        collateral: side(rest),
        debt: side(rest),
        transaction: transaction(rest),
        by_log: take::<1>(rest) == [1],
        key: take(rest),
        usd8: optional(rest),
    }
}

fn load(rows: &Partitions<RECORD_BYTES>, partition: usize) -> anyhow::Result<Vec<Candidate>> {
    Ok(rows.sorted(partition)?.iter().map(read_record).collect())
}

/// Counts and sums of one kind of outcome.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    rows: u64,
    usd8_a: i128,
    usd8_b: i128,
    unpriced: u64,
}

impl Tally {
    fn add(&mut self, a: Option<&Candidate>, b: Option<&Candidate>) {
        self.rows += 1;
        let usd = |row: Option<&Candidate>| row.and_then(|row| row.usd8);
        self.usd8_a = self.usd8_a.saturating_add(usd(a).unwrap_or(0));
        self.usd8_b = self.usd8_b.saturating_add(usd(b).unwrap_or(0));
        self.unpriced += u64::from([a, b].into_iter().flatten().any(|row| row.usd8.is_none()));
    }
}

#[derive(Debug)]
struct Found {
    same: Tally,
    differing: Tally,
    only_a: Tally,
    only_b: Tally,
    /// Rows of A that may be one of B or not.
    undecided: u64,
    /// The keys of every pair: 32 bytes of memory a pair.
    pairs: Vec<([u8; 16], [u8; 16])>,
    /// The earliest rows of each kind that do not match.
    examples: [Vec<(Option<Candidate>, Option<Candidate>)>; 3],
    most_examples: usize,
}

impl Found {
    fn new(most_examples: usize) -> Self {
        let tally = Tally::default();
        Self {
            same: tally,
            differing: tally,
            only_a: tally,
            only_b: tally,
            undecided: 0,
            pairs: Vec::new(),
            examples: Default::default(),
            most_examples,
        }
    }

    /// Pairs rows of the same log, wherever their sources put them in time; of the rest, those of the common period go to
    /// the others.
    fn match_logs(&mut self, a: &mut Rows, b: &mut Rows, range: TimeRange) -> anyhow::Result<()> {
        let within = |row: &Candidate| {
            let time = TimeUs(row.second.saturating_mul(SECOND_US));
            range.from <= time && time < range.until
        };
        for partition in 0..a.logs.count() {
            let (mut rows_a, mut rows_b) = (load(&a.logs, partition)?, load(&b.logs, partition)?);
            let same = match_logs(&mut rows_a, &mut rows_b);
            for row in rows_a.iter().filter(|row| within(row)) {
                a.others.push(place_hash(row), write_record(row))?;
            }
            for row in rows_b.iter().filter(|row| within(row)) {
                b.others.push(place_hash(row), write_record(row))?;
            }
            self.take(Matches { same, ..Matches::default() });
        }
        Ok(())
    }

    fn match_others(&mut self, a: &Partitions<RECORD_BYTES>, b: &Partitions<RECORD_BYTES>) -> anyhow::Result<()> {
        for partition in 0..a.count() {
            self.take(match_rows(load(a, partition)?, load(b, partition)?));
        }
        Ok(())
    }

    fn take(&mut self, matches: Matches) {
        self.undecided += matches.undecided;
        for (a, b) in &matches.same {
            self.same.add(Some(a), Some(b));
            self.pairs.push((a.key, b.key));
        }
        for (a, b) in &matches.differing {
            self.differing.add(Some(a), Some(b));
            self.pairs.push((a.key, b.key));
        }
        matches.only_a.iter().for_each(|a| self.only_a.add(Some(a), None));
        matches.only_b.iter().for_each(|b| self.only_b.add(None, Some(b)));
        let [differing, only_a, only_b] = &mut self.examples;
        differing.extend(matches.differing.into_iter().map(|(a, b)| (Some(a), Some(b))));
        only_a.extend(matches.only_a.into_iter().map(|a| (Some(a), None)));
        only_b.extend(matches.only_b.into_iter().map(|b| (None, Some(b))));
        for examples in &mut self.examples {
            examples.sort_unstable_by_key(|(a, b)| a.or(*b).map(|row| (row.second, row)));
            examples.truncate(self.most_examples);
        }
    }

    fn tables(&self, tokens: &TokenCodes) -> Vec<Table> {
        let examples = (self.most_examples > 0).then(|| self.example_table(tokens));
        examples.into_iter().chain([self.outcome_table()]).collect()
    }

    fn outcome_table(&self) -> Table {
        let columns = [
            ("outcome", Unit::Text),
            ("events", Unit::Count),
            ("of_a", Unit::Count),
            ("of_b", Unit::Count),
            ("usd_in_a", Unit::Usd),
            ("usd_in_b", Unit::Usd),
            ("without_usd", Unit::Count),
        ];
        let mut table = Table::new("outcome", &columns);
        let both = self.same.rows + self.differing.rows;
        let (all_a, all_b) = (both + self.only_a.rows, both + self.only_b.rows);
        let kinds = [
            ("matched", self.same, true, true),
            ("same event, amount other or missing", self.differing, true, true),
            ("only in A", self.only_a, true, false),
            ("only in B", self.only_b, false, true),
        ];
        for (name, tally, in_a, in_b) in kinds {
            let of = |holds: bool, all: u64| if holds { Value::Count(all) } else { Value::Missing };
            table.push(vec![
                Value::Text(name.to_owned()),
                Value::Count(tally.rows),
                of(in_a, all_a),
                of(in_b, all_b),
                Value::usd_if(in_a, tally.usd8_a),
                Value::usd_if(in_b, tally.usd8_b),
                Value::Count(tally.unpriced),
            ]);
        }
        table
    }

    fn example_table(&self, tokens: &TokenCodes) -> Table {
        let columns = [
            ("outcome", Unit::Text),
            ("time", Unit::Time),
            ("user", Unit::Text),
            ("token", Unit::Text),
            ("amount_in_a", Unit::Text),
            ("amount_in_b", Unit::Text),
            ("usd_in_a", Unit::Usd),
            ("usd_in_b", Unit::Usd),
        ];
        let mut table = Table::new("examples", &columns);
        for (name, examples) in
            ["same event, amount other or missing", "only in A", "only in B"].into_iter().zip(&self.examples)
        {
            let token = |row: Candidate| {
                let name = row.collateral.or(row.debt).and_then(|side| tokens.names.get(side.token as usize));
                name.map_or(Value::Missing, |name| Value::Text(name.clone()))
            };
            for (a, b) in examples {
                let Some(row) = a.or(*b) else { continue };
                let amount = |row: &Option<Candidate>| {
                    row.and_then(|row| row.collateral.or(row.debt)).and_then(|side| side.amount_e6).map_or(
                        Value::Missing,
                        |amount| {
                            Value::Text(format!(
                                "{}.{:06}",
                                count(u64::try_from(amount / 1_000_000).unwrap_or(u64::MAX)),
                                amount % 1_000_000
                            ))
                        },
                    )
                };
                let usd = |row: &Option<Candidate>| {
                    row.and_then(|row| row.usd8).map_or(Value::Missing, |usd| Value::Usd(Usd8(usd)))
                };
                table.push(vec![
                    Value::Text(name.to_owned()),
                    Value::Time(TimeUs(row.second * SECOND_US)),
                    Value::Text(address(&row.user)),
                    token(row),
                    amount(a),
                    amount(b),
                    usd(a),
                    usd(b),
                ]);
            }
        }
        table
    }
}
