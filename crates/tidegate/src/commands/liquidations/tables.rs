//! What was found, as tables.

use engine::liquidations::group::account_of;
use engine::liquidations::{Measure, NO_NAME, SizeClass, Sums};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::time::TimeUs;

use super::Findings;
use crate::args::{By, Liquidations};
use crate::table::{Table, Unit, Value};
use crate::text::{self, count};

/// The columns every sum is shown in.
const SUM_COLUMNS: [(&str, Unit); 8] = [
    ("events", Unit::Count),
    ("users", Unit::Count),
    ("debt_repaid_usd", Unit::Usd),
    ("debt_without_usd", Unit::Count),
    ("collateral_seized_usd", Unit::Usd),
    ("collateral_without_usd", Unit::Count),
    ("bonus_paid_usd", Unit::Usd),
    ("bonus_rate", Unit::Share),
];

fn sums(sums: &Sums, users: u64) -> Vec<Value> {
    // Where no row has a value there is no sum; a zero would be a figure.
    let side = |measure| {
        let without = sums.without_value(measure);
        [Value::usd_if(sums.count > without, sums.value_usd8(measure)), Value::Count(without)]
    };
    let mut values = vec![Value::Count(sums.count), Value::Count(users)];
    values.extend(side(Measure::DebtRepaid));
    values.extend(side(Measure::CollateralSeized));
    values.push(Value::usd_if(sums.bonus_count > 0, sums.bonus_usd8));
    values.push(Value::share(sums.bonus_usd8, sums.bonus_debt_usd8));
    values
}

/// One row per source.
pub(super) fn totals(findings: &[Findings]) -> Table {
    let mut columns =
        vec![("dataset", Unit::Text), ("standing", Unit::Text), ("first", Unit::Time), ("last", Unit::Time)];
    columns.extend(SUM_COLUMNS);
    let mut table = Table::new("totals", &columns);
    for found in findings {
        let total = &found.answer.total;
        let mut row = vec![
            Value::Text(found.name.clone()),
            Value::Text(found.standing.to_string()),
            Value::Time(TimeUs(total.first_us)),
            Value::Time(TimeUs(total.last_us)),
        ];
        row.extend(sums(total, found.answer.users));
        table.push(row);
    }
    table
}

/// What part of the value the largest events are.
pub(super) fn concentration(findings: &[Findings]) -> Table {
    let mut table = Table::new(
        "concentration",
        &[
            ("dataset", Unit::Text),
            ("standing", Unit::Text),
            ("of_value", Unit::Text),
            ("top_1", Unit::Share),
            ("top_10", Unit::Share),
            ("top_100", Unit::Share),
        ],
    );
    for found in findings {
        let whole = found.answer.total.value_usd8(found.measure);
        let part =
            |top: usize| -> i128 { found.answer.largest.iter().take(top).map(|large| -large.negated_value_usd8).sum() };
        let mut row = vec![
            Value::Text(found.name.clone()),
            Value::Text(found.standing.to_string()),
            Value::Text(measure_words(found.measure).to_owned()),
        ];
        row.extend([1, 10, 100].map(|top| Value::share(part(top), whole)));
        table.push(row);
    }
    table
}

/// The largest events.
pub(super) fn largest(findings: &[Findings], rows: usize) -> Table {
    let columns = [
        ("dataset", Unit::Text),
        ("standing", Unit::Text),
        ("time", Unit::Time),
        ("chain", Unit::Text),
        ("market", Unit::Text),
        ("value_usd", Unit::Usd),
        ("debt", Unit::Text),
        ("collateral", Unit::Text),
        ("user", Unit::Text),
        ("liquidator", Unit::Text),
        ("transaction", Unit::Text),
    ];
    let mut table = Table::new("largest", &columns);
    for found in findings {
        for large in found.answer.largest.iter().take(rows) {
            let hex = |bytes: Option<&[u8]>| bytes.map_or(Value::Missing, |bytes| Value::Text(text::hex(bytes)));
            table.push(vec![
                Value::Text(found.name.clone()),
                Value::Text(found.standing.to_string()),
                Value::Time(TimeUs(large.time_us)),
                Value::Text(ChainId(large.chain).to_string()),
                name(found, large.market),
                Value::Usd(Usd8(-large.negated_value_usd8)),
                name(found, large.debt),
                name(found, large.collateral),
                hex(Some(&large.user)),
                hex(large.liquidator.as_ref().map(<[u8; 20]>::as_slice)),
                hex(large.transaction.as_ref().map(<[u8; 32]>::as_slice)),
            ]);
        }
    }
    table
}

/// The bursts, the largest first.
pub(super) fn episodes(findings: &[Findings]) -> Table {
    let columns = [
        ("dataset", Unit::Text),
        ("standing", Unit::Text),
        ("start", Unit::Time),
        ("end", Unit::Time),
        ("peak_hour", Unit::Time),
        ("peak_hour_usd", Unit::Usd),
        ("value_usd", Unit::Usd),
        ("share_of_all", Unit::Share),
        ("events", Unit::Count),
        ("users", Unit::Count),
        ("by_chain", Unit::Text),
    ];
    let mut table = Table::new("episodes", &columns);
    for found in findings {
        let whole = found.answer.total.value_usd8(found.measure);
        let mut bursts: Vec<_> = found.episodes.iter().collect();
        bursts.sort_by_key(|burst| (std::cmp::Reverse(burst.episode.value_usd8), burst.episode.from_us));
        for burst in bursts {
            let episode = &burst.episode;
            table.push(vec![
                Value::Text(found.name.clone()),
                Value::Text(found.standing.to_string()),
                Value::Time(TimeUs(episode.from_us)),
                // The last hour ends with its last microsecond; people write the moment after it.
                Value::Time(TimeUs(episode.to_us + 1)),
                Value::Time(TimeUs(episode.peak.start_us)),
                Value::Usd(Usd8(episode.peak.value_usd8)),
                Value::Usd(Usd8(episode.value_usd8)),
                Value::share(episode.value_usd8, whole),
                Value::Count(episode.count),
                Value::Count(burst.users),
                Value::Text(chain_shares(&burst.by_chain, episode.value_usd8)),
            ]);
        }
    }
    table
}

/// The groups of every source.
pub(super) fn groups(findings: &[Findings], by: &[By]) -> Table {
    let dimensions: Vec<String> = by.iter().map(|by| format!("{by:?}").to_lowercase()).collect();
    let mut columns = vec![("dataset", Unit::Text), ("standing", Unit::Text)];
    columns.extend(dimensions.iter().map(|name| (name.as_str(), Unit::Text)));
    columns.extend(SUM_COLUMNS);
    columns.push(("share_of_value", Unit::Share));
    let mut table = Table::new("groups", &columns);
    for found in findings {
        let whole = found.answer.total.value_usd8(found.measure);
        for (group, users) in ordered(found, by) {
            let mut row = vec![Value::Text(found.name.clone()), Value::Text(found.standing.to_string())];
            row.extend(labels(found, by, &group.key));
            row.extend(sums(&group.sums, *users));
            row.push(Value::share(group.sums.value_usd8(found.measure), whole));
            table.push(row);
        }
    }
    table
}

/// Groups in the order people read them: periods and size classes in their own order, all else by value.
pub(super) fn ordered<'a>(found: &'a Findings, by: &[By]) -> Vec<&'a (engine::liquidations::Group, u64)> {
    let mut groups: Vec<_> = found.answer.groups.iter().collect();
    let has_own_order = by.first().is_some_and(|by| matches!(by, By::Day | By::Week | By::Month | By::Size));
    let by_value = |(group, _): &&(engine::liquidations::Group, u64)| {
        (std::cmp::Reverse(group.sums.value_usd8(found.measure)), std::cmp::Reverse(group.sums.count))
    };
    groups.sort_by(|a, b| {
        let own = if has_own_order { a.0.key[0].cmp(&b.0.key[0]) } else { std::cmp::Ordering::Equal };
        own.then_with(|| by_value(a).cmp(&by_value(b))).then_with(|| {
            labels(found, by, &a.0.key).iter().map(label_text).cmp(labels(found, by, &b.0.key).iter().map(label_text))
        })
    });
    groups
}

fn label_text(value: &Value) -> String {
    if let Value::Text(text) = value { text.clone() } else { String::new() }
}

/// What tells a group apart, in words.
pub(super) fn labels(found: &Findings, by: &[By], key: &[u64]) -> Vec<Value> {
    let mut words = key.iter().copied();
    let mut next = || words.next().unwrap_or(u64::MAX);
    by.iter()
        .map(|by| match by {
            By::Chain => Value::Text(ChainId(next()).to_string()),
            By::Market | By::Version | By::Collateral | By::Debt => {
                name(found, u32::try_from(next()).unwrap_or(NO_NAME))
            }
            By::Liquidator | By::User => account_of([next(), next(), next()])
                .map_or(Value::Missing, |account| Value::Text(text::address(&account))),
            By::Size => {
                let word = next();
                Value::Text(
                    SizeClass::ALL
                        .into_iter()
                        .find(|class| *class as u64 == word)
                        .map_or("", SizeClass::words)
                        .to_owned(),
                )
            }
            By::Day | By::Week => Value::Text(TimeUs(next().cast_signed()).to_string().chars().take(10).collect()),
            By::Month => Value::Text(TimeUs(next().cast_signed()).to_string().chars().take(7).collect()),
        })
        .collect()
}

fn name(found: &Findings, code: u32) -> Value {
    found.answer.names.get(code as usize).map_or(Value::Missing, |name| Value::Text(name.clone()))
}

/// Which side a value is taken from, in words.
pub(super) const fn measure_words(measure: Measure) -> &'static str {
    match measure {
        Measure::DebtRepaid => "debt repaid",
        Measure::CollateralSeized => "collateral seized",
    }
}

/// What a reader of the figures must know.
pub(super) fn notes(findings: &[Findings], args: &Liquidations) -> Vec<String> {
    let mut notes = Vec::new();
    if findings.len() > 1 {
        notes.push("Datasets stand side by side and are not added up: they may hold the same events. --combine adds reconciled ones.".to_owned());
    }
    for found in findings {
        let by_default = found.measure == Measure::CollateralSeized && args.measure.is_none();
        let why = if by_default { ", since there are files in it without the debt's value" } else { "" };
        notes.push(format!("{}: value means {}{why}.", found.name, measure_words(found.measure)));
        notes.extend(found.notes.iter().map(|note| format!("{}: {note}.", found.name)));
        notes.extend(missing_values(found));
        let shown = found.answer.groups.len() as u64;
        if shown < found.answer.group_count {
            notes.push(format!(
                "{}: the {} groups with the most value are shown, of {}; --top 0 shows all.",
                found.name,
                count(shown),
                count(found.answer.group_count)
            ));
        }
        if found.answer.spilled {
            notes.push(format!(
                "{}: distinct users or groups did not fit in memory and were counted on disk.",
                found.name
            ));
        }
    }
    if args.by.is_empty() || args.episodes {
        notes.extend(findings.first().map(|found| format!("An episode: {}.", found.rule)));
    }
    notes.push(
        "Bonus paid is collateral seized less debt repaid, where both have a value; protocol fees are not in it."
            .to_owned(),
    );
    notes
}

fn missing_values(found: &Findings) -> Vec<String> {
    let total = &found.answer.total;
    let mut notes = Vec::new();
    let sides = [
        (Measure::DebtRepaid, total.debt_absent, total.debt_unpriced),
        (Measure::CollateralSeized, total.collateral_absent, total.collateral_unpriced),
    ];
    for (measure, absent, unpriced) in sides {
        let words = measure_words(measure);
        if absent > 0 {
            let events = text::events(absent);
            notes.push(format!("{}: {events} without {words} in the source, in no sum of it.", found.name));
        }
        if unpriced > 0 {
            let (events, named) = (text::events(unpriced), unpriced_tokens(found, measure));
            notes.push(format!(
                "{}: {events} without a US dollar value of the {words} ({named}), in no sum of it.",
                found.name
            ));
        }
    }
    if total.implausible_count > 0 {
        notes.push(format!(
            "{}: {} left out of the bonus (together {}): at the source's own prices their collateral is worth less than the \
             debt or over a quarter more, so one of the two prices is wrong.",
            found.name,
            text::events(total.implausible_count),
            text::usd(Usd8(total.implausible_usd8)),
        ));
    }
    notes
}

/// The tokens that lack values most often, with how often.
fn unpriced_tokens(found: &Findings, measure: Measure) -> String {
    let mut tokens: Vec<_> = found.answer.unpriced.iter().filter(|(side, ..)| *side == measure).collect();
    tokens.sort_by_key(|(_, name, times)| (std::cmp::Reverse(*times), name.clone()));
    let named = tokens.iter().take(8).map(|(_, name, times)| format!("{} {}", text::printable(name), count(*times)));
    let more = (tokens.len() > 8).then(|| format!("{} more tokens", tokens.len() - 8));
    named.chain(more).collect::<Vec<_>>().join(", ")
}

/// The shares of the three chains of the most value, and of the others together.
fn chain_shares(by_chain: &[(ChainId, i128)], whole: i128) -> String {
    let shown = |name: String, value: i128| match Value::share(value, whole) {
        Value::Share(share) => format!("{name} {}", text::percent(share)),
        Value::Missing | Value::Text(_) | Value::Count(_) | Value::Usd(_) | Value::Time(_) | Value::Decimal { .. } => {
            name
        }
    };
    let (first, others) = by_chain.split_at(by_chain.len().min(3));
    let rest: i128 = others.iter().map(|(_, value)| value).sum();
    let rest = (!others.is_empty()).then(|| shown(format!("{} others", others.len()), rest));
    first.iter().map(|(chain, value)| shown(chain.to_string(), *value)).chain(rest).collect::<Vec<_>>().join(", ")
}
