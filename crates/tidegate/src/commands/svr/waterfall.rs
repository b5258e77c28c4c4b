//! `tidegate svr waterfall`: the three layers in one table and one picture.

use std::path::Path;

use engine::recapture::Split;
use protocol::time::{TimeUs, civil_from_day};
use protocol::token::Tokens;

use super::rows::{Event, Rows, rows};
use crate::args::SvrWaterfall;
use crate::chart::{Caption, Chart};
use crate::layers::put::history;
use crate::layers::{Layers, Part, Put};
use crate::output;
use crate::table::Report;
use crate::text;
use crate::treasury::policies;

/// Answers and writes.
pub(super) fn run(archive: &Path, args: &SvrWaterfall) -> anyhow::Result<()> {
    let rows = rows(archive, &args.source)?;
    let floor = super::standing(&super::fold(&rows, &[])?);
    // What chain logs tell is split by the terms that rows are made with; a record says itself what each part was.
    let split = rows.events.iter().all(|event| event.row.is_some()).then_some(Split::AAVE);
    let policy = args.policy.as_deref().map(|path| put(&rows, path)).transpose()?;
    let layers = Layers::of(rows.events.iter().map(part), split, policy.as_ref().map(|(_, put)| put), floor)?;
    draw(&rows, &layers, args)?;
    let mut notes = vec![
        "Each total is the sum of the lines before it, in units of 10^-8 US dollars; what is kept by searchers is what is left, before gas and the \
         cost of execution."
            .to_owned(),
    ];
    notes.extend(policy.iter().map(|(name, _)| {
        format!(
            "Where the income went is the policy \"{name}\" carried out day by day over it, from nothing: without deficits to cover, and without \
             markets in which deposits would earn."
        )
    }));
    notes.extend(layers.notes().iter().chain(&rows.notes).cloned());
    let report = Report {
        title: super::title("From liquidation bonuses to the treasury", &args.source),
        standing: layers.standing(),
        notes,
        tables: vec![layers.table()],
    };
    output::write(&report, &super::super::destination(&args.output))
}

/// A liquidation as the layers take it.
fn part(event: &Event) -> Part {
    event.row.as_deref().map_or_else(|| Part::from(&event.record), Part::from)
}

/// The name of a policy, and what it does with the income. Without chain logs, nobody knows whose debt was repaid, and all is of one
/// reserve.
fn put(rows: &Rows, path: &Path) -> anyhow::Result<(String, Put)> {
    let tokens = Tokens::embedded();
    let reserve = |event: &Event| {
        let Some(row) = event.row.as_deref() else { return "all".to_owned() };
        let listed = tokens.by_address(row.chain, row.debt);
        listed.map_or_else(|| row.debt.to_string(), |listed| listed.symbol.to_string())
    };
    let history = history(rows.events.iter().map(|event| (part(event), event.record.time, reserve(event))))?;
    let names: Vec<String> = history.reserves.iter().map(|reserve| reserve.name.clone()).collect();
    let policy = policies::read(path, &names)?;
    Ok((text::printable(&policy.name), Put::by(&policy, &history)?))
}

/// Draws what `--png` and `--svg` ask for.
fn draw(rows: &Rows, layers: &Layers, args: &SvrWaterfall) -> anyhow::Result<()> {
    if args.png.is_none() && args.svg.is_none() {
        return Ok(());
    }
    let chart = Chart::Waterfall(layers.waterfall(caption(rows, layers, args)));
    if let Some(path) = &args.svg {
        output::write_file(path, chart.svg().as_bytes())?;
    }
    if let Some(path) = &args.png {
        output::write_file(path, &chart.png()?)?;
    }
    Ok(())
}

fn caption(rows: &Rows, layers: &Layers, args: &SvrWaterfall) -> Caption {
    let whose =
        if rows.events.iter().all(|event| event.row.is_some()) { "attributed by tidegate" } else { "as it records it" };
    let times = || rows.events.iter().map(|event| event.record.time);
    let day = |time: Option<TimeUs>| {
        let civil = civil_from_day(time.unwrap_or(TimeUs(0)).day());
        format!("{}-{:02}-{:02}", civil.year, civil.month, civil.day)
    };
    Caption {
        title: super::title("From liquidation bonuses to the treasury", &args.source),
        subtitle: format!(
            "US dollars · {} to {} (UTC) · {} liquidations",
            day(times().min()),
            day(times().max()),
            text::count(rows.events.len() as u64)
        ),
        standing: format!("{} · {}", layers.standing(), text::printable(&rows.name)),
        footnotes: vec![format!(
            "Source: dataset {}, {whose}. Kept by searchers: before gas and the cost of execution.",
            text::printable(&rows.name)
        )],
    }
}
