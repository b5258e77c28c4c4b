//! `tidegate reconcile`: two datasets of the same events, side by side.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use anyhow::bail;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type, TimestampMicrosecondType, UInt8Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use engine::liquidations::matching::{Candidate, Matches, match_rows};
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

/// Memory for the rows of one side before they go to disk.
const BUDGET_BYTES: usize = 96 << 20;
/// Bytes of a candidate written down.
const RECORD_BYTES: usize = 8 + 8 + 20 + 4 + 17 + 16 + 17 + 1;

const RULE: &str = "rows with the same transaction and log index are the same; else rows of the same chain, second, user and collateral token \
    (debt token where a side has no collateral) whose amounts agree when rounded to six decimals, one to one; of the rest, the same chain, \
    second, user and token is the same event with different amounts";

/// Compares two datasets and, where they were compared whole, keeps the result for `liquidations --combine`.
pub(crate) fn run(archive: &Path, args: &Reconcile) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let (a, b) =
        (super::dataset(&archive, &args.a, &TimeRange::ALL)?, super::dataset(&archive, &args.b, &TimeRange::ALL)?);
    if a.0 == b.0 {
        bail!("{} and {} are the same dataset; name two", a.0, b.0);
    }
    let asked = super::time_range(args.from.as_deref(), args.to.as_deref())?;
    let common = common_range(&a.1, &b.1);
    let range = if args.from.is_none() && args.to.is_none() { common } else { asked };
    let mut tokens = TokenCodes {
        wanted: args.collateral.iter().map(|token| token.trim().to_lowercase()).collect(),
        ..TokenCodes::default()
    };
    let side =
        if [&a.1, &b.1].into_iter().any(|files| files.iter().any(|file| file.is_empty_throughout("collateral_symbol")))
        {
            "debt"
        } else {
            "collateral"
        };
    let rows_a = candidates(&a.1, range, side, &mut tokens)?;
    let rows_b = candidates(&b.1, range, side, &mut tokens)?;
    let mut found = Found::new(args.examples);
    for partition in 0..rows_a.count() {
        let load = |rows: &Partitions<RECORD_BYTES>| {
            Ok::<_, source::Error>(rows.sorted(partition)?.iter().map(read_record).collect::<Vec<_>>())
        };
        found.take(match_rows(load(&rows_a)?, load(&rows_b)?));
    }
    let whole = args.collateral.is_empty() && range == common;
    let on_record = if whole { keep(&archive, &Pair { a: &a.0, b: &b.0 }, &found) } else { ONLY_A_PART.to_owned() };
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
            TimeRange { from: from_a.max(from_b), until: TimeUs(to_a.min(to_b).0 + 1) }
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
    /// The token's code, or `None` where only other tokens are wanted.
    fn code(&mut self, name: &str) -> Option<u32> {
        let key = name.to_lowercase();
        if !self.wanted.is_empty() && !self.wanted.contains(&key) {
            return None;
        }
        let next = u32::try_from(self.names.len()).ok()?;
        let code = *self.codes.entry(key).or_insert(next);
        if code == next {
            self.names.push(name.to_owned());
        }
        Some(code)
    }
}

fn candidates(
    files: &[DataFile],
    range: TimeRange,
    side: &str,
    tokens: &mut TokenCodes,
) -> anyhow::Result<Partitions<RECORD_BYTES>> {
    let columns: &[&'static str] = if side == "debt" {
        &[
            "time",
            "chain_id",
            "user",
            "debt_symbol",
            "debt_raw",
            "debt_decimals",
            "debt_amount",
            "debt_usd",
            "event_key",
            "event_key_kind",
        ]
    } else {
        &[
            "time",
            "chain_id",
            "user",
            "collateral_symbol",
            "collateral_raw",
            "collateral_decimals",
            "collateral_amount",
            "collateral_usd",
            "event_key",
            "event_key_kind",
        ]
    };
    let mut rows = Partitions::new(Equal::Keep, BUDGET_BYTES);
    for chunk in Scan::of(columns).within(range).chunks(files) {
        for batch in chunk.read()? {
            for candidate in read_batch(&batch?, range, side, tokens) {
                rows.push(hash(&candidate), write_record(&candidate))?;
            }
        }
    }
    Ok(rows)
}

fn read_batch(batch: &RecordBatch, range: TimeRange, side: &str, tokens: &mut TokenCodes) -> Vec<Candidate> {
    let column = |name: &str| &batch[format!("{side}_{name}").as_str()];
    let words = |name: &str| batch[name].as_dictionary::<Int32Type>();
    let symbols = batch[format!("{side}_symbol").as_str()].as_dictionary::<Int32Type>();
    let texts = symbols.values().as_string::<i32>();
    let codes: Vec<Option<u32>> = texts.iter().map(|text| tokens.code(text.unwrap_or(""))).collect();
    let kinds = words("event_key_kind");
    let is_log: Vec<bool> = kinds.values().as_string::<i32>().iter().map(|kind| kind == Some("log")).collect();
    let place = |key: i32| usize::try_from(key).unwrap_or(0);
    let (raw, decimals) =
        (column("raw").as_primitive::<Decimal128Type>(), column("decimals").as_primitive::<UInt8Type>());
    let (amount, usd) =
        (column("amount").as_primitive::<Float64Type>(), column("usd").as_primitive::<Decimal128Type>());
    let times = batch["time"].as_primitive::<TimestampMicrosecondType>();
    let users = batch["user"].as_fixed_size_binary().value_data().as_chunks::<20>().0;
    let keys = batch["event_key"].as_fixed_size_binary().value_data().as_chunks::<16>().0;
    let row = |row: usize| {
        let time = TimeUs(times.value(row));
        let token = if symbols.is_null(row) { None } else { codes[place(symbols.keys().value(row))] };
        (range.from <= time && time < range.until).then_some(())?;
        let exact =
            (raw.is_valid(row) && decimals.is_valid(row)).then(|| millionths(raw.value(row), decimals.value(row)));
        Some(Candidate {
            chain: batch["chain_id"].as_primitive::<UInt64Type>().value(row),
            second: time.0.div_euclid(SECOND_US),
            user: users[row],
            token: token?,
            amount_e6: exact.or_else(|| amount.is_valid(row).then(|| float_millionths(amount.value(row)))),
            key: keys[row],
            usd8: usd.is_valid(row).then(|| usd.value(row)),
            by_log: is_log[place(kinds.keys().value(row))],
        })
    };
    (0..batch.num_rows()).filter_map(row).collect()
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

fn hash(candidate: &Candidate) -> u64 {
    // Rows that can match must meet: by log they share a key, else chain, second and user; a key alone would part the latter.
    let user = u64::from_be_bytes(*candidate.user.last_chunk().unwrap_or(&[0; 8]));
    (candidate.second.cast_unsigned() ^ user.rotate_left(20) ^ candidate.chain.rotate_left(40))
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn write_record(candidate: &Candidate) -> [u8; RECORD_BYTES] {
    let optional = |value: Option<i128>| {
        let mut bytes = [0; 17];
        bytes[0] = u8::from(value.is_some());
        bytes[1..].copy_from_slice(&value.unwrap_or(0).to_be_bytes());
        bytes
    };
    let mut record = [0; RECORD_BYTES];
    let mut rest = record.as_mut_slice();
    let mut put = |bytes: &[u8]| {
        let (head, tail) = std::mem::take(&mut rest).split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        rest = tail;
    };
    put(&candidate.chain.to_be_bytes());
    put(&candidate.second.to_be_bytes());
    put(&candidate.user);
    put(&candidate.token.to_be_bytes());
    put(&optional(candidate.amount_e6));
    put(&candidate.key);
    put(&optional(candidate.usd8));
    put(&[u8::from(candidate.by_log)]);
    record
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
    let rest = &mut record.as_slice();
    Candidate {
        chain: u64::from_be_bytes(take(rest)),
        second: i64::from_be_bytes(take(rest)),
        user: take(rest),
        token: u32::from_be_bytes(take(rest)),
        amount_e6: optional(rest),
        key: take(rest),
        usd8: optional(rest),
        by_log: take::<1>(rest) == [1],
    }
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
            pairs: Vec::new(),
            examples: Default::default(),
            most_examples,
        }
    }

    fn take(&mut self, matches: Matches) {
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
            ("same event, other amount", self.differing, true, true),
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
        for (name, examples) in ["same event, other amount", "only in A", "only in B"].into_iter().zip(&self.examples) {
            for (a, b) in examples {
                let Some(row) = a.or(*b) else { continue };
                let amount = |row: &Option<Candidate>| {
                    row.and_then(|row| row.amount_e6).map_or(Value::Missing, |amount| {
                        Value::Text(format!(
                            "{}.{:06}",
                            count(u64::try_from(amount / 1_000_000).unwrap_or(u64::MAX)),
                            amount % 1_000_000
                        ))
                    })
                };
                let usd = |row: &Option<Candidate>| {
                    row.and_then(|row| row.usd8).map_or(Value::Missing, |usd| Value::Usd(Usd8(usd)))
                };
                table.push(vec![
                    Value::Text(name.to_owned()),
                    Value::Time(TimeUs(row.second * SECOND_US)),
                    Value::Text(address(&row.user)),
                    Value::Text(tokens.names.get(row.token as usize).cloned().unwrap_or_default()),
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
