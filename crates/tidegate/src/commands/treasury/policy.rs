//! `tidegate treasury policy`: policies for the loss buffer over one history, side by side.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, bail};
use engine::treasury::policy::{History, Policy, Run, Unfit, simulate};
use protocol::aave::math::Ray;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use source::archive::Archive;

use super::past;
use crate::args::TreasuryPolicy;
use crate::chart::{Bar, Bars, Caption, Chart, Scales};
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;
use crate::treasury::history::{self, bps, dollars};
use crate::treasury::policies;

/// Compares.
pub(super) fn run(archive: &Path, args: &TreasuryPolicy) -> anyhow::Result<()> {
    let opening = dollars(&args.opening).context("--opening")?;
    let cover = bps(&args.cover).context("--cover")?;
    let mut notes = Vec::new();
    let history = match (&args.history, &args.dataset) {
        (Some(path), _) => history::read(path, opening, cover)?,
        (None, Some(name)) => {
            let (history, more) = past::history(&Archive::at(archive)?, name, (opening, cover), args)?;
            notes = more;
            history
        }
        (None, None) => bail!("name a history with --history, or a dataset with --dataset"),
    };
    if history.steps.is_empty() {
        bail!("the history has no step; a policy needs at least two to tell anything");
    }
    let names: Vec<String> = history.reserves.iter().map(|reserve| reserve.name.clone()).collect();
    let policies = policies_of(args, &names)?;
    let mut runs = Vec::new();
    for policy in policies {
        let result = simulate(&policy, &history);
        // One that nobody asked for by name is left out aloud.
        if let (Err(unfit @ Unfit::RiskUnknown), true) = (&result, args.policy.is_empty()) {
            notes.push(format!("The policy {} is left out: {unfit}.", policy.name));
            continue;
        }
        let run = result.map_err(|unfit| {
            anyhow::anyhow!(
                "the policy {} cannot be tried: {}",
                text::printable(&policy.name),
                text::harmless(&unfit.to_string())
            )
        })?;
        runs.push((policy, run));
    }
    notes.extend(remarks(&history));
    let report = Report {
        title: format!("Policies over {} steps of {} reserves", history.steps.len(), history.reserves.len()),
        standing: Standing::Assumed,
        notes,
        tables: vec![path_table(&runs), table(&runs)],
    };
    draw(&runs, args)?;
    output::write(&report, &super::super::destination(&args.output))
}

fn policies_of(args: &TreasuryPolicy, names: &[String]) -> anyhow::Result<Vec<Policy>> {
    let found: Vec<Policy> = if args.policy.is_empty() {
        let read = |(file, content): &(&str, &str)| policies::parse(content, names).with_context(|| (*file).to_owned());
        policies::EMBEDDED.iter().map(read).collect::<anyhow::Result<_>>()?
    } else {
        args.policy.iter().map(|path| policies::read(path, names)).collect::<anyhow::Result<_>>()?
    };
    let different: BTreeSet<&str> = found.iter().map(|policy| policy.name.as_str()).collect();
    if different.len() < found.len() {
        bail!("two policies have one name; give each its own");
    }
    Ok(found)
}

fn remarks(history: &History) -> Vec<String> {
    let mut notes = vec![
        format!(
            "Every policy begins with {} and is measured against a cover of {} of the debt at risk, whatever it aims at itself.",
            usd(history.opening),
            percent(Ray(protocol::U256::from(history.cover.0) * Ray::ONE.0 / protocol::U256::from(10_000)))
        ),
        "A simulation: the market is taken as it was, but for the deposit itself; the standing of what follows is assumed.".to_owned(),
        "Deficits are covered by the reserve's own buffer as it stood before the step's income; the rest is left to stakers.".to_owned(),
    ];
    let seen = || history.steps.iter().flat_map(|step| &step.reserves);
    if seen().any(|seen| seen.at_risk.is_none()) {
        notes.push("Where the debt at risk is not known, nobody can say whether a buffer was enough or too much: that time is counted apart, and idle capital is missing.".to_owned());
        notes.push("A buffer that follows the debt at risk keeps its size where that is not known, and is at its floor until it is known first.".to_owned());
    }
    notes
}

pub(super) fn usd(amount: u128) -> String {
    text::usd(Usd8(i128::try_from(amount).unwrap_or(i128::MAX)))
}

/// Rays as a share for reading.
fn percent(Ray(ray): Ray) -> String {
    format!("{} %", text::decimal(ray, 25))
}

fn value(amount: u128) -> Value {
    Value::Usd(Usd8(i128::try_from(amount).unwrap_or(i128::MAX)))
}

fn table(runs: &[(Policy, Run)]) -> Table {
    let mut table = Table::new(
        "policies",
        &[
            ("policy", Unit::Text),
            ("covered", Unit::Usd),
            ("borne_by_stakers", Unit::Usd),
            ("under_covered_reserve_days", Unit::Decimal),
            ("cover_unknown_reserve_days", Unit::Decimal),
            ("filled", Unit::Usd),
            ("replenished", Unit::Usd),
            ("replenishments", Unit::Count),
            ("released", Unit::Usd),
            ("average_buffer", Unit::Usd),
            ("average_idle", Unit::Usd),
            ("earned", Unit::Usd),
            ("average_deposits", Unit::Usd),
            ("usage_lowered", Unit::Decimal),
            ("borrow_rate_lowered", Unit::Decimal),
            ("incentives", Unit::Usd),
            ("left", Unit::Usd),
            ("standing", Unit::Text),
        ],
    );
    // Hundredths of a day of one reserve, cut.
    let days =
        |seconds: u64| Value::Decimal { digits: protocol::U256::from(u128::from(seconds) * 100 / 86_400), decimals: 2 };
    let share = |Ray(ray): Ray| Value::Decimal { digits: ray, decimals: 27 };
    for (policy, run) in runs {
        let found = &run.summary;
        table.push(vec![
            Value::Text(policy.name.clone()),
            value(found.covered),
            value(found.borne_by_stakers),
            days(found.under_covered_reserve_s),
            days(found.cover_unknown_reserve_s),
            value(found.filled),
            value(found.replenished),
            Value::Count(found.replenishments),
            value(found.released),
            value(found.average_buffer),
            found.average_idle.map_or(Value::Missing, value),
            value(found.earned),
            value(found.average_deposits),
            share(found.usage_lowered),
            found.borrow_rate_lowered.map_or(Value::Missing, share),
            value(found.incentives),
            value(found.left),
            Value::Text(Standing::Assumed.to_string()),
        ]);
    }
    table
}

/// How each policy stood after its last steps.
fn path_table(runs: &[(Policy, Run)]) -> Table {
    let mut table = Table::new(
        "last_steps",
        &[
            ("policy", Unit::Text),
            ("time", Unit::Time),
            ("buffers", Unit::Usd),
            ("deposits", Unit::Usd),
            ("cash", Unit::Usd),
            ("borne_by_stakers", Unit::Usd),
        ],
    );
    for (policy, run) in runs {
        for point in run.points.iter().rev().take(3).rev() {
            table.push(vec![
                Value::Text(policy.name.clone()),
                Value::Time(TimeUs(i64::try_from(point.time).unwrap_or(0).saturating_mul(SECOND_US))),
                value(point.buffers),
                value(point.deposits),
                value(point.cash),
                value(point.borne_by_stakers),
            ]);
        }
    }
    table
}

/// Two bars a policy: what it left to stakers, and the capital that did nothing for it.
fn draw(runs: &[(Policy, Run)], args: &TreasuryPolicy) -> anyhow::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "the height of a bar")]
    let height = |amount: u128| amount as f64 / 1e8;
    let bars = runs.iter().flat_map(|(policy, run)| {
        let bar = |what: &str, amount| Bar {
            label: format!("{}: {what}", policy.name),
            value: height(amount),
            count: run.summary.replenishments,
        };
        let idle = run.summary.average_idle.map(|idle| bar("idle", idle));
        std::iter::once(bar("stakers", run.summary.borne_by_stakers)).chain(idle)
    });
    let chart = Chart::Bars(Bars {
        caption: Caption {
            title: "What buffers left to stakers, and what they cost in idle capital".to_owned(),
            subtitle: "US dollars; idle is the average over the period".to_owned(),
            standing: Standing::Assumed.to_string(),
            footnotes: vec!["A simulation over one history; every policy began with the same capital.".to_owned()],
        },
        scales: Scales {
            value_label: "US dollars".to_owned(),
            value_prefix: "$".to_owned(),
            count_label: "Replenishments".to_owned(),
        },
        bars: bars.collect(),
        is_series: false,
    });
    if let Some(path) = &args.svg {
        output::write_file(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        output::write_file(path, &chart.png()?)?;
    }
    Ok(())
}
