//! `tidegate svr`: how much of the bonuses was recaptured, and who got it.

pub(crate) mod backtest;
mod claims;
mod draw;
pub(crate) mod rows;
mod tables;
mod waterfall;

use std::path::Path;

use anyhow::{Context as _, bail};
use engine::recapture::rates::{By, Fold, Stopped};
use engine::recapture::{Split, StrayReason};
use protocol::standing::Standing;

use self::rows::{Rows, rows};
use crate::args::{Svr, SvrBy, SvrEvents, SvrRates, SvrReport, SvrSource};
use crate::output::{self, Format};
use crate::table::Report;
use crate::text::{count, printable};

/// Answers and writes.
pub(crate) fn run(archive: &Path, what: &Svr) -> anyhow::Result<()> {
    match what {
        Svr::Report(args) => report(archive, args),
        Svr::Events(args) => events(archive, args),
        Svr::Rates(args) => rates(archive, args),
        Svr::Waterfall(args) => waterfall::run(archive, args),
        Svr::Backtest(args) => backtest::run(archive, args),
        Svr::Claims(args) => claims::run(args),
    }
}

fn report(archive: &Path, args: &SvrReport) -> anyhow::Result<()> {
    let rows = rows(archive, &args.source)?;
    let total = fold(&rows, &[])?;
    let by_month = fold(&rows, &[By::Month])?;
    draw::draw(&rows, &by_month, args)?;
    let report = Report {
        title: title("Recaptured bonuses", &args.source),
        standing: standing(&total),
        notes: notes(&rows, &total),
        tables: vec![
            tables::routes(&rows.name, &total),
            tables::months(&rows.name, &by_month),
            tables::rates(&rows, &total),
        ],
    };
    output::write(&report, &super::destination(&args.output))
}

fn events(archive: &Path, args: &SvrEvents) -> anyhow::Result<()> {
    let rows = rows(archive, &args.source)?;
    let top = match args.top {
        None if args.output.format == Format::Text => Some(20),
        None | Some(0) => None,
        top => top,
    };
    let total = fold(&rows, &[])?;
    let mut notes = notes(&rows, &total);
    if let Some(top) = top.filter(|top| *top < rows.events.len()) {
        let (top, all) = (count(top as u64), count(rows.events.len() as u64));
        notes.push(format!("The {top} with the largest bonuses of {all}; --top 0 shows all."));
    }
    let report = Report {
        title: title("Liquidations and what was recaptured of them", &args.source),
        standing: standing(&total),
        notes,
        tables: vec![tables::events(&rows, top)],
    };
    output::write(&report, &super::destination(&args.output))
}

fn rates(archive: &Path, args: &SvrRates) -> anyhow::Result<()> {
    if let Some(twice) = args.by.iter().enumerate().find_map(|(at, by)| args.by[..at].contains(by).then_some(by)) {
        bail!("--by names {} twice; name it once", format!("{twice:?}").to_lowercase());
    }
    let rows = rows(archive, &args.source)?;
    let by: Vec<By> = args.by.iter().map(|by| dimension(*by)).collect();
    let fold = fold(&rows, &by)?;
    let report = Report {
        title: title("Rates of recapture", &args.source),
        standing: standing(&fold),
        notes: notes(&rows, &fold),
        tables: vec![tables::groups(&rows.name, &by, &fold)],
    };
    output::write(&report, &super::destination(&args.output))
}

fn dimension(by: SvrBy) -> By {
    match by {
        SvrBy::Feed => By::Feed,
        SvrBy::Market => By::Market,
        SvrBy::Chain => By::Chain,
        SvrBy::Hour => By::Hour,
        SvrBy::Week => By::Week,
        SvrBy::Month => By::Month,
        SvrBy::Size => By::Size,
        SvrBy::Route => By::Route,
        SvrBy::Searcher => By::Searcher,
    }
}

fn fold(rows: &Rows, by: &[By]) -> anyhow::Result<Fold> {
    let mut fold = Fold::new(by);
    for event in &rows.events {
        fold.add(&event.record).map_err(|stopped| match stopped {
            Stopped::TooLarge => {
                anyhow::anyhow!("a sum leaves 128 bits: some event of {} holds an absurd value", rows.name)
            }
            Stopped::TooManyGroups => anyhow::anyhow!("more than a million groups; group by less"),
        })?;
    }
    Ok(fold)
}

fn standing(fold: &Fold) -> Standing {
    fold.total().standing.unwrap_or(Standing::Assumed)
}

/// What was asked, in a line.
fn title(what: &str, source: &SvrSource) -> String {
    let mut parts = vec![what.to_owned()];
    for (name, values) in [("chain", &source.chain), ("market", &source.market)] {
        if !values.is_empty() {
            let values: Vec<String> = values.iter().map(|value| printable(value)).collect();
            parts.push(format!("{name} {}", values.join(", ")));
        }
    }
    for (name, value) in [("from", &source.from), ("to", &source.to)] {
        parts.extend(value.as_ref().map(|value| format!("{name} {}", printable(value))));
    }
    parts.join(" · ")
}

fn notes(rows: &Rows, fold: &Fold) -> Vec<String> {
    let sums = fold.total();
    let mut notes = vec![
        "Recaptured is what came to protocol and network, after what builders kept. A rate is read with its denominator: recaptured / all bonuses \
         = recaptured / auctioned bonuses × coverage, and coverage = auctioned / all bonuses."
            .to_owned(),
    ];
    let mut note = |number: u64, what: &str| {
        if number > 0 {
            notes.push(format!("{} {what}", count(number)));
        }
    };
    note(sums.without_bonus, "events without a known bonus are in no rate.");
    note(sums.without_volume, "events without a known volume.");
    note(sums.without_payment, "paid events whose payment has no value in dollars.");
    if sums.without_fee == 0 {
        notes.push("Net rates leave out of bonuses what the protocol kept as its fee.".to_owned());
    } else {
        let number = count(sums.without_fee);
        notes
            .push(format!("{number} events do not say what the protocol kept as its fee, so net rates are not known."));
    }
    if !sums.is_payment_known() {
        let unknown = crate::text::usd(protocol::amount::Usd8(sums.bonus_payment_unknown));
        notes.push(format!(
            "Of auctioned bonuses of {unknown} it is not known what was paid: recaptured is at least what stands here, and so are its rates."
        ));
    }
    let unrouted = sums.of(&[engine::recapture::Route::Unknown]);
    if unrouted.count > 0 {
        let unknown = crate::text::usd(protocol::amount::Usd8(unrouted.bonus));
        notes.push(format!(
            "Of {} events with bonuses of {unknown} it is not known whether an auction was held: coverage and recaptured / all bonuses are at least \
             what stands here.",
            count(unrouted.count)
        ));
    }
    if rows.events.iter().any(|event| event.row.is_some()) {
        notes.push(format!(
            "Chain logs tell what was recaptured, not whose it is: protocol's and network's parts are assumed, {} basis points of it to the protocol.",
            Split::AAVE.protocol_bps()
        ));
    }
    match fold.searchers().concentration() {
        Some(found) => notes.push(format!(
            "{} searchers; Herfindahl-Hirschman index of bonuses {} of 10,000; the largest took {} of {} with a named searcher.",
            count(found.searchers),
            count(found.index.into()),
            crate::text::usd(found.largest.part),
            crate::text::usd(found.largest.whole)
        )),
        None => notes.push("Searchers are not named, so their concentration is not known.".to_owned()),
    }
    let mut reasons = std::collections::BTreeMap::<&str, (u64, u128)>::new();
    for stray in &rows.strays {
        let entry = reasons.entry(words(stray.reason)).or_default();
        *entry = (entry.0 + 1, entry.1.saturating_add(stray.wei));
    }
    let unsure = words(StrayReason::Contradiction);
    for (reason, (number, wei)) in reasons {
        if reason == unsure {
            notes.push(format!("{} payments are in no row and in no sum: {reason}.", count(number)));
            continue;
        }
        let native = crate::text::exact_decimal(protocol::U256::from(wei), 18);
        notes.push(format!("{} payments of {native} native tokens are in no row: {reason}.", count(number)));
    }
    notes.extend(rows.notes.iter().cloned());
    notes
}

fn words(reason: StrayReason) -> &'static str {
    match reason {
        StrayReason::NoLiquidation => "their bundle holds no liquidation that is known",
        StrayReason::NoBundle => "no bundle stands before them in their block",
        StrayReason::MaybeLate { .. } => {
            "no bundle stands before them in their block, and an earlier block has an unpaid liquidation"
        }
        StrayReason::Payer(_) => "somebody else than the fee recipient sent them",
        StrayReason::Contradiction => "the settlement's log contradicts itself",
        StrayReason::BonusUnknown => "the bonus of a liquidation they are shared by is not known",
    }
}

/// A share such as `65%` or `0.65`, in basis points or finer, as parts of a million.
pub(crate) fn share(option: &str, text: &str) -> anyhow::Result<u32> {
    let parse = || {
        let text = text.trim();
        let (number, unit) = text.strip_suffix('%').map_or((text, 1_000_000), |number| (number.trim(), 10_000));
        let value: protocol::Decimal = number.parse().ok()?;
        let ppm = value.checked_mul(protocol::Decimal::from(unit))?.normalize();
        (ppm.scale() == 0).then(|| u32::try_from(ppm.mantissa()).ok()).flatten().filter(|ppm| *ppm <= 1_000_000)
    };
    parse().with_context(|| {
        format!(
            "--{option} \"{}\" is no share such as 65% or 0.65, of at most one and whole millionths",
            printable(text)
        )
    })
}

/// A split from the protocol's part.
fn split(text: &str) -> anyhow::Result<Split> {
    let ppm = share("split", text)?;
    let bps = u16::try_from(ppm / 100).ok().filter(|_| ppm % 100 == 0);
    bps.and_then(Split::to_protocol)
        .with_context(|| format!("--split \"{}\" is finer than basis points", printable(text)))
}
