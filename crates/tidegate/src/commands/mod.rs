//! The commands, each in its own file: resolve what was typed, compute, report.

pub(crate) mod datasets;
pub(crate) mod demo;
pub(crate) mod import;
pub(crate) mod import_logs;
pub(crate) mod import_perps;
pub(crate) mod import_recaptures;
pub(crate) mod leverage;
pub(crate) mod liquidations;
pub(crate) mod map;
pub(crate) mod markets;
pub(crate) mod positions;
pub(crate) mod prices;
pub(crate) mod rebuild;
pub(crate) mod reconcile;
pub(crate) mod svr;
pub(crate) mod sync;
pub(crate) mod sync_perps;
pub(crate) mod treasury;
pub(crate) mod verify;

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, bail};
use protocol::Address;
use protocol::time::{DAY_US, TimeUs};
use source::archive::footer::TimeRange;
use source::archive::{Archive, DataFile, DatasetName, Table};

use crate::args::{self, Args, Command, Output};
use crate::output::Destination;

/// Does what was typed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Demo(demo) => demo::run(demo),
        Command::Import { what: args::Import::Liquidations(import) } => import::run(&args.archive, import),
        Command::Import { what: args::Import::Logs(import) } => import_logs::run(&args.archive, import),
        Command::Import { what: args::Import::Perps(import) } => import_perps::run(&args.archive, import),
        Command::Sync(sync) => match &sync.what {
            Some(args::SyncWhat::Perps(perps)) => sync_perps::run(&args.archive, perps),
            None => sync::run(&args.archive, &sync.sync),
        },
        Command::Import { what: args::Import::Recaptures(import) } => import_recaptures::run(&args.archive, import),
        Command::Svr { what } => svr::run(&args.archive, what),
        Command::Positions(positions) => positions::run(&args.archive, positions),
        Command::Prices(prices) => prices::run(&args.archive, prices),
        Command::Map(map) => map::command(&args.archive, map),
        Command::Leverage(leverage) => leverage::run(&args.archive, leverage),
        Command::Verify(verify) => verify::run(&args.archive, verify),
        Command::Rebuild(rebuild) => rebuild::run(&args.archive, rebuild),
        Command::Datasets(output) => datasets::run(&args.archive, output),
        Command::Markets(markets) => markets::run(markets),
        Command::Liquidations(liquidations) => liquidations::run(&args.archive, liquidations),
        Command::Treasury { what } => treasury::run(&args.archive, what),
        Command::Reconcile(reconcile) => reconcile::run(&args.archive, reconcile),
    }
}

/// The user ended the work before its end; what was done is kept.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("stopped before the end; what was read is kept, and the same command goes on from there")
    }
}

impl std::error::Error for Interrupted {}

/// What the program ends with when a command failed: as shells have it where it was interrupted.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
}

/// Says on standard error what went wrong, in one line.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut message = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let cause = cause.to_string();
        // A cause that its context already spells out is not said twice.
        if depth == 0 || !message.contains(&cause) {
            message.push_str(if depth == 0 { "" } else { ": " });
            message.push_str(&cause);
        }
    }
    say(&format!("error: {}", crate::text::harmless(&message)));
}

/// Says something about the work, not its result: on standard error.
pub(crate) fn say(line: &str) {
    use std::io::Write;
    // There is no one left to tell where standard error is closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Where a command's report goes.
pub(crate) fn destination(output: &Output) -> Destination {
    Destination { format: output.format, file: output.out.clone() }
}

/// A dataset that must exist, with those of its files that can hold rows of the range.
pub(crate) fn dataset(
    archive: &Archive,
    name: &str,
    range: &TimeRange,
) -> anyhow::Result<(DatasetName, Vec<DataFile>)> {
    let dataset = DatasetName::new(name)?;
    let files = archive.files_within(&dataset, Table::Liquidations, range)?;
    if files.is_empty() && archive.files(&dataset, Table::Liquidations)?.is_empty() {
        let known: Vec<String> = archive.datasets()?.iter().map(ToString::to_string).collect();
        let known = if known.is_empty() {
            "it has none yet; import one first".to_owned()
        } else {
            format!("it has {}", known.join(", "))
        };
        bail!("{}: there is no dataset {dataset} with liquidations in this archive; {known}", archive.root().display());
    }
    Ok((dataset, files))
}

/// The half-open range that `--from` and `--to` mean: a day given to `--to` is in it whole, a moment is its end.
pub(crate) fn time_range(from: Option<&str>, to: Option<&str>) -> anyhow::Result<TimeRange> {
    let parse = |option: &str, text: &str| {
        let text = text.trim();
        let date = text
            .parse::<jiff::civil::Date>()
            .ok()
            .filter(|_| text.len() <= 10)
            .and_then(|date| jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok());
        let moment = date.or_else(|| text.parse::<jiff::Timestamp>().ok());
        let moment = moment.with_context(|| {
            format!(
                "--{option} \"{}\" is neither a day (2021-05-19) nor a moment (2021-05-19T13:00:00Z)",
                crate::text::printable(text)
            )
        })?;
        Ok::<_, anyhow::Error>((moment.as_microsecond(), date.is_some()))
    };
    let mut range = TimeRange::ALL;
    if let Some(from) = from {
        range.from = TimeUs(parse("from", from)?.0);
    }
    if let Some(to) = to {
        let (moment, whole_day) = parse("to", to)?;
        range.until = TimeUs(if whole_day { moment.saturating_add(DAY_US) } else { moment });
    }
    if range.from >= range.until {
        bail!("--from is not before --to; give --to a later day or moment");
    }
    Ok(range)
}

/// An account that the user names.
pub(crate) fn account(text: &str) -> anyhow::Result<[u8; 20]> {
    let address = Address::from_str(text.trim())
        .ok()
        .with_context(|| format!("\"{}\" is no address of 20 bytes in hexadecimal", crate::text::printable(text)))?;
    Ok(address.into_array())
}
