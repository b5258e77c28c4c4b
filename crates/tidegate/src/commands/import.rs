//! `tidegate import liquidations`: other people's files into the archive.

use std::path::Path;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::chain::ChainId;
use protocol::liquidation::{Amount, Inexact, Leg, Liquidation, Version};
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::token::Tokens;
use source::archive::liquidations::KeyKind;
use source::archive::{Archive, DatasetName, Writer};
use source::import::{self, AmountUnit, Extent, Form, Outcome, Plan, Rejection, Settings};

use crate::args::{Amounts, ImportLiquidations};
use crate::output;
use crate::text::{count, harmless, printable, usd};

/// Rows a dry run shows.
const PREVIEW_ROWS: u64 = 5;

/// Imports files, each whole or not at all.
pub(crate) fn run(archive: &Path, args: &ImportLiquidations) -> anyhow::Result<()> {
    let tokens = tokens(args.tokens.as_deref())?;
    let plans: Vec<Plan> =
        args.files.iter().map(|file| Ok(import::plan(file, settings(args, file)?)?)).collect::<anyhow::Result<_>>()?;
    if args.dry_run {
        return plans.iter().try_for_each(|plan| output::print(&dry_run(plan, &tokens)?));
    }
    let writer = Writer::open(&Archive::at(archive)?)?;
    let mut fruitless = Vec::new();
    for plan in &plans {
        let outcome = import_one(plan, &tokens, &writer)?;
        if !outcome.already_imported && outcome.taken + outcome.already_held == 0 {
            fruitless.push((plan, outcome.rows));
        }
        output::print(&summary(plan, &outcome))?;
    }
    match fruitless.first() {
        Some((plan, 0)) if fruitless.len() == plans.len() => {
            bail!("{}: has no rows; check that the export finished", plan.path().display())
        }
        Some((plan, _)) if fruitless.len() == plans.len() => {
            bail!("{}: no row could be taken; see the reasons above, and try --dry-run", plan.path().display())
        }
        _ => Ok(()),
    }
}

/// Imports one file with a progress bar.
pub(crate) fn import_one(plan: &Plan, tokens: &Tokens, writer: &Writer) -> anyhow::Result<Outcome> {
    let extent = plan.extent();
    let bar = ProgressBar::new(extent.total());
    let done =
        if matches!(extent, Extent::Bytes(_)) { "{bytes}/{total_bytes}" } else { "{human_pos}/{human_len} rows" };
    bar.set_style(
        ProgressStyle::with_template(&format!("{{prefix}} {{wide_bar}} {done}  {{msg}}  ETA {{eta}}"))
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.set_prefix(plan.path().file_name().map(|name| printable(&name.to_string_lossy())).unwrap_or_default());
    let outcome = import::run(plan, tokens, writer, &mut |progress| {
        bar.set_position(progress.at);
        let seconds = bar.elapsed().as_secs_f64().max(0.001);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate for eyes"
        )]
        bar.set_message(format!("{} rows/s", count((progress.rows as f64 / seconds) as u64)));
    });
    bar.finish_and_clear();
    Ok(outcome?)
}

fn settings(args: &ImportLiquidations, file: &Path) -> anyhow::Result<Settings> {
    let chain = args.chain.as_deref().map(|name| {
        ChainId::from_name(name).with_context(|| {
            format!("--chain \"{}\" is no chain this program knows by name; give its number", printable(name))
        })
    });
    let version = args.version.as_deref().map(|text| {
        Version::parse(text).with_context(|| format!("--version \"{}\" is none of V1 to V4", printable(text)))
    });
    let pairs = args.map.iter().map(|pair| {
        let (field, column) = pair
            .split_once('=')
            .with_context(|| format!("--map \"{}\" is not of the form FIELD=COLUMN", printable(pair)))?;
        Ok((field.to_owned(), column.to_owned()))
    });
    Ok(Settings {
        dataset: match &args.dataset {
            Some(name) => DatasetName::new(name)?,
            None => DatasetName::suggested_by(file).with_context(|| {
                format!("{}: no dataset can be named after it; give --dataset NAME", file.display())
            })?,
        },
        origin: args.origin.clone().unwrap_or_else(|| {
            format!("file {}", file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default())
        }),
        standing: Standing::Imported,
        chain: chain.transpose()?,
        market: args.market.clone(),
        version: version.transpose()?,
        amounts: args.amounts.map(|amounts| match amounts {
            Amounts::Tokens => AmountUnit::Tokens,
            Amounts::Raw => AmountUnit::Raw,
        }),
        overrides: pairs.collect::<anyhow::Result<_>>()?,
    })
}

/// The tokens that are known, and those of a user's list.
pub(crate) fn tokens(list: Option<&Path>) -> anyhow::Result<Tokens> {
    let mut tokens = Tokens::embedded().clone();
    if let Some(path) = list {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{}: cannot read the token list; check the path", path.display()))?;
        let more = Tokens::from_csv(&text).map_err(|bad| {
            anyhow::anyhow!(
                "{}: line {} is not chain_id,address,symbol,decimals: \"{}\"",
                path.display(),
                bad.line,
                printable(&bad.text)
            )
        })?;
        tokens.extend(more);
    }
    Ok(tokens)
}

fn dry_run(plan: &Plan, tokens: &Tokens) -> anyhow::Result<String> {
    let settings = plan.settings();
    let (read, _) = plan.columns();
    let mut text =
        format!("{} ({}) → dataset {}\n\n", harmless(&plan.path().to_string_lossy()), plan.format(), settings.dataset);
    for (field, column) in &read {
        text.push_str(&format!("  {:<22} ← {}\n", field.name(), printable(column)));
    }
    let given = [
        ("chain", settings.chain.map(|chain| chain.to_string())),
        ("market", settings.market.clone()),
        ("version", settings.version.map(|version| version.word().to_owned())),
    ];
    for (name, value) in given {
        text.push_str(&value.map_or_else(String::new, |value| {
            format!("  {name:<22} = {} where a row names none\n", printable(&value))
        }));
    }
    for line in unread_notes(plan) {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("\nThe first rows as they would be taken:\n\n");
    for (index, row) in plan.preview(PREVIEW_ROWS, tokens)?.iter().enumerate() {
        text.push_str(&format!("  row {}: {}\n", index + 1, preview(row)));
    }
    text.push_str("\nNothing was written.\n");
    Ok(text)
}

fn preview(row: &Result<(TimeUs, Liquidation), Rejection>) -> String {
    let (time, event) = match row {
        Ok(row) => row,
        Err(rejection) => return format!("rejected: {}", printable_detail(&rejection.detail)),
    };
    let leg = |name: &str, leg: &Option<Leg>| {
        let Some(leg) = leg else { return format!("no {name}") };
        let amount = match leg.amount {
            Amount::Exact(raw) => format!("{} smallest units", raw.units()),
            Amount::Inexact { tokens, why } => format!("{tokens} ({})", why.word()),
            Amount::Missing => "no amount".to_owned(),
        };
        format!(
            "{name} {} {amount}, {}",
            printable(&leg.token.symbol),
            leg.usd.map_or_else(|| "no USD value".to_owned(), usd)
        )
    };
    let version = event.version.map_or("version unknown", |version| version.word());
    format!(
        "{time} {} {} ({version}) user {:#x}; {}; {}",
        event.chain,
        printable(&event.market),
        event.user,
        leg("debt", &event.debt),
        leg("collateral", &event.collateral)
    )
}

fn summary(plan: &Plan, outcome: &Outcome) -> String {
    let name = harmless(&plan.path().to_string_lossy());
    let dataset = &plan.settings().dataset;
    if outcome.already_imported {
        return format!("{name}: already in dataset {dataset}, unchanged; nothing to do\n");
    }
    let mut text =
        format!("{name}: {} rows read, {} taken into dataset {dataset}\n", count(outcome.rows), count(outcome.taken));
    let mut note = |line: String| text.push_str(&format!("  {line}\n"));
    unread_notes(plan).into_iter().for_each(&mut note);
    if outcome.already_held > 0 {
        note(format!("{} rows are events the dataset already holds; taken once", count(outcome.already_held)));
    }
    if outcome.repeated > 0 {
        note(format!("{} rows repeat an earlier row; taken once", count(outcome.repeated)));
    }
    for (reason, (rows, first, detail)) in &outcome.rejected {
        note(format!(
            "{} rows rejected ({reason}); the first is row {}: {}",
            count(*rows),
            count(*first),
            printable_detail(detail)
        ));
    }
    if let Some(path) = &outcome.rejects_file {
        note(format!("rejected rows with their reasons: {}", harmless(&path.to_string_lossy())));
    }
    for (why, amounts) in &outcome.noticed.inexact {
        let advice = if *why == Inexact::UnknownDecimals { " (--tokens FILE can supply them)" } else { "" };
        note(format!("{} amounts: {why}{advice}", count(*amounts)));
    }
    if outcome.noticed.debt_without_usd + outcome.noticed.collateral_without_usd > 0 {
        note(format!(
            "without a US dollar value: {} debt legs, {} collateral legs",
            count(outcome.noticed.debt_without_usd),
            count(outcome.noticed.collateral_without_usd)
        ));
    }
    time_notes(outcome).into_iter().for_each(&mut note);
    if outcome.keys.contains_key(&KeyKind::Fields) {
        note("no log index, so events are told apart by all their fields: two calls alike in time, accounts, tokens, amounts and transaction would count once".to_owned());
    }
    if let Some(how) = &outcome.keyed_otherwise {
        note(format!(
            "the dataset holds events of the same time told apart otherwise ({how}): the same event may now be in it twice; \
             import into datasets of their own and use `tidegate reconcile`"
        ));
    }
    if outcome.spilled {
        note("the events' identities did not fit in memory and were compared on disk".to_owned());
    }
    text
}

/// Which columns are not read, and which of them look as if they should be.
fn unread_notes(plan: &Plan) -> Vec<String> {
    let (_, unread) = plan.columns();
    let shown = |names: &[&str]| names.iter().take(20).map(|name| printable(name)).collect::<Vec<_>>().join(", ");
    let mut notes = Vec::new();
    if !unread.is_empty() {
        notes.push(format!("columns not read: {} (--map FIELD=COLUMN reads them)", shown(&unread)));
    }
    let looks_like_money =
        |name: &&&str| ["amount", "usd", "value", "price"].iter().any(|word| name.to_lowercase().contains(word));
    let money: Vec<&str> = unread.iter().filter(looks_like_money).copied().collect();
    if !money.is_empty() {
        notes.push(format!(
            "of these, {} may hold amounts or values: --map collateral_amount=…, collateral_usd=…, debt_amount=… or debt_usd=… \
             says which side they are of",
            shown(&money)
        ));
    }
    notes
}

fn time_notes(outcome: &Outcome) -> Vec<String> {
    let forms = &outcome.noticed.time_forms;
    let shown: Vec<String> = forms.iter().map(|(form, rows)| format!("{} {}", count(*rows), form.words())).collect();
    let assumes = forms.keys().any(|form| matches!(form, Form::Naive | Form::DateOnly));
    if forms.len() > 1 || assumes { vec![format!("times: {}", shown.join("; "))] } else { Vec::new() }
}

fn printable_detail(detail: &str) -> String {
    harmless(detail).chars().take(200).collect()
}
