//! Logs held against receipts, bloom filters, and another endpoint.

use anyhow::Context as _;
use protocol::aave::log::Statement;
use protocol::standing::Standing;
use source::archive::logs::LogReader;
use source::archive::proofs::Wrong;
use source::decode;
use source::log::Logs;
use source::proof::plan::{Choice, Cost, Plan, wrong_at_most};
use source::proof::run::{prove_bloom, prove_receipts, second_opinion};
use source::proof::{Level as By, Report as Checked};

use super::{Difference, Finding, Subject};
use crate::args::{self, Level};
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// From which the sampled blocks are drawn: the same for everyone, so that a proof can be repeated.
const SEED: u64 = 1;

/// Blocks that one question to a second endpoint spans at first; the client cuts them as the endpoint needs.
const STRIDE: u64 = 10_000;

/// The blocks to look at: those with liquidations and a sample, or all.
fn plan(subject: &Subject, args: &args::Verify) -> anyhow::Result<Plan> {
    let (from, to) = (subject.definition.first_block, subject.to);
    if args.blocks == "all" {
        return Ok(Plan { from, to, choice: Choice::All });
    }
    let count = args.blocks.parse().context("--blocks is neither a number nor `all`")?;
    let mut blocks = liquidations(subject)?;
    blocks.extend(Plan { from, to, choice: Choice::Sample { seed: SEED, count } }.blocks());
    blocks.sort_unstable();
    blocks.dedup();
    Ok(Plan { from, to, choice: Choice::These(blocks.into_iter().collect()) })
}

/// Blocks in which somebody was liquidated.
fn liquidations(subject: &Subject) -> anyhow::Result<Vec<u64>> {
    let mut logs = LogReader::open(&subject.archive, &subject.market, 0, None)?;
    let mut blocks = Vec::new();
    while let Some(log) = logs.next_log()? {
        if log.block <= subject.to && matches!(decode::statement(&log), Ok(Some(Statement::Liquidated(_)))) {
            blocks.push(log.block);
        }
    }
    Ok(blocks)
}

/// The logs held of some blocks.
fn held(subject: &Subject, from: u64, to: u64) -> source::Result<Logs> {
    let mut reader = LogReader::open(&subject.archive, &subject.market, from, None)?;
    let mut logs = Logs::default();
    while let Some(log) = reader.next_log()? {
        if log.block > to {
            break;
        }
        // What is read around auctions is read of few contracts.
        if subject.filter.takes(&log) {
            logs.push(&log);
        }
    }
    Ok(logs)
}

/// The receipts of blocks, whose root their headers carry.
pub(super) async fn receipts(subject: &Subject, args: &args::Verify) -> anyhow::Result<Finding> {
    let plan = plan(subject, args)?;
    let mut held = |from, to| held(subject, from, to);
    let (checked, ended) =
        prove_receipts(&subject.client, &subject.filter, &mut held, &plan, &mut |_: &Checked| {}).await;
    let mut finding = finding(subject, By::Receipts, "logs with the receipts their headers commit to", &plan, &checked);
    if !finding.proof.whole && checked.holds() {
        finding.notes.push(format!(
            "Of {} blocks looked at none was wrong: with 95 % confidence at most {} of all blocks are, were they drawn at random.",
            text::count(checked.checked),
            text::percent(wrong_at_most(checked.checked))
        ));
    }
    cut_short(&mut finding, ended);
    Ok(finding)
}

/// The filters in blocks' headers.
pub(super) async fn bloom(subject: &Subject, args: &args::Verify) -> anyhow::Result<Finding> {
    let plan = plan(subject, args)?;
    let mut held = |from, to| held(subject, from, to);
    let (checked, ended) = prove_bloom(&subject.client, &subject.filter, &mut held, &plan, &mut |_: &Checked| {}).await;
    let mut finding = finding(subject, By::Bloom, "logs with the bloom filters of headers", &plan, &checked);
    finding
        .notes
        .push("A bloom filter cannot notice a log that was left out beside another one of its block.".to_owned());
    cut_short(&mut finding, ended);
    Ok(finding)
}

/// All logs, read again from whoever was named.
pub(super) async fn second(subject: &Subject) -> anyhow::Result<Finding> {
    let (from, to) = (subject.definition.first_block, subject.to);
    let begins = (from..=to).step_by(usize::try_from(STRIDE).unwrap_or(usize::MAX));
    let ranges: Vec<_> = begins.map(|begin| begin..=to.min(begin.saturating_add(STRIDE - 1))).collect();
    let mut held = |from, to| held(subject, from, to);
    let (checked, ended) =
        second_opinion(&subject.client, &subject.filter, &mut held, &ranges, &mut |_: &Checked| {}).await;
    let plan = Plan { from, to, choice: Choice::All };
    let mut finding = finding(subject, By::SecondEndpoint, "logs with those of the endpoints named", &plan, &checked);
    finding
        .notes
        .push("The endpoint asked now should be another one than that of the sync, and not its copy.".to_owned());
    cut_short(&mut finding, ended);
    Ok(finding)
}

/// What a check came to, as a proof.
fn finding(subject: &Subject, level: By, what: &str, plan: &Plan, checked: &Checked) -> Finding {
    let mut proof = subject.proof(level, plan.from, what);
    proof.checked = checked.checked;
    proof.wrong = checked.wrong_count();
    proof.not_provable = checked.unknown_count();
    proof.whole = matches!(plan.choice, Choice::All) && checked.through == Some(plan.to);
    proof.first_wrong = checked.first_wrong().map(|(block, what)| Wrong { block, reserve: None, account: None, what });
    let differences = checked.wrong.first.iter().map(|found| Difference {
        what: "log",
        of: format!("block {}", found.block),
        chain: found.to_string(),
        ours: "–".to_owned(),
    });
    let mut notes = Vec::new();
    for (why, blocks) in &checked.not_provable {
        notes.push(format!("{} blocks could not be checked: {why}.", text::count(*blocks)));
    }
    if checked.suspect > 0 {
        notes.push(format!(
            "{} blocks allow a log and none is held or given again; by chance alone {:.1} were to be expected.",
            text::count(checked.suspect),
            checked.suspect_by_chance
        ));
    }
    let blocks = checked.wrong.first.iter().map(|found| found.block).collect();
    Finding { proof, differences: differences.collect(), notes, blocks, is_cut_short: false }
}

/// A check that did not get to its end keeps what it learnt.
fn cut_short(finding: &mut Finding, ended: source::Result<()>) {
    if let Err(error) = ended {
        finding.proof.whole = false;
        finding.is_cut_short = true;
        finding.notes.push(format!("It did not get to the end: {error}."));
    }
}

/// What each level would ask.
pub(super) fn estimate(subject: &Subject, args: &args::Verify) -> anyhow::Result<Report> {
    let plan = plan(subject, args)?;
    let mut table =
        Table::new("estimate", &[("level", Unit::Text), ("blocks", Unit::Count), ("requests", Unit::Count)]);
    for level in &args.level {
        let blocks = plan.count();
        let (name, cost): (&str, Option<Cost>) = match level {
            Level::State => ("state", None),
            Level::Receipts => ("receipts", Some(plan.receipts_cost())),
            Level::Bloom => ("bloom", Some(plan.bloom_cost())),
            Level::Second => ("second endpoint", None),
        };
        let requests = match level {
            Level::Second => Value::Count((subject.to - subject.definition.first_block) / STRIDE + 1),
            Level::State | Level::Receipts | Level::Bloom => {
                cost.map_or(Value::Missing, |cost| Value::Count(cost.requests()))
            }
        };
        let blocks = if *level == Level::State { Value::Count(1) } else { Value::Count(blocks) };
        table.push(vec![Value::Text(name.to_owned()), blocks, requests]);
    }
    Ok(Report {
        title: format!("What it would cost to verify {}", subject.market),
        standing: Standing::Estimated,
        notes: vec!["State takes some calls for each account and reserve, many of them to a request.".to_owned()],
        tables: vec![table],
    })
}
