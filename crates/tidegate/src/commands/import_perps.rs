//! `tidegate import perps`: other people's files of what venues of perpetual futures said.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use protocol::Address;
use protocol::perp::{Counting, Kind, Observed};
use protocol::time::{DAY_US, HOUR_US, SECOND_US, TimeUs};
use protocol::venue::Venue;
use source::archive::footer::TimeRange;
use source::archive::perps::{Appended, Shelf, append_to, load_from};
use source::archive::{Archive, DatasetName, Writer};
use source::import::perps::{Closes, Mode, Read, Settings, read};

use crate::args::{ImportPerps, PerpKind, PerpMargin, PerpSides};
use crate::output;
use crate::perps::rules::{self, Rules};
use crate::text::{count, harmless, printable};

/// Rows a dry run takes.
const PREVIEW_ROWS: usize = 5;
/// Reasons of a summary.
const MOST_REASONS: usize = 8;

/// Imports files.
pub(crate) fn run(archive: &Path, args: &ImportPerps) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let dataset = DatasetName::new(&args.dataset)?;
    if archive.synced_market(&dataset).is_some() {
        bail!("{dataset} is a synced market, and what is imported is kept apart from it; name another --dataset");
    }
    let settings = settings(&archive, &dataset, args)?;
    let rules = rules::stated(&archive, args)?;
    if args.dry_run {
        for path in &args.files {
            output::print(&dry_run(path, &settings, &read(path, &settings, PREVIEW_ROWS)?))?;
        }
        return output::print("\nNothing was written.\n");
    }
    let mut fruitless = Vec::new();
    for path in &args.files {
        let read = read(path, &settings, usize::MAX)?;
        if read.observations.is_empty() && read.rejects.is_empty() {
            let what = if read.rows == 0 { "has no rows" } else { "has no row of what was asked for" };
            fruitless.push(format!("{}: {what}; see --dry-run, --coin and --only", path.display()));
            output::print(&summary(path, &dataset, &settings, &read, &Appended::default()))?;
            continue;
        }
        let writer = Writer::open(&archive)?;
        let rejects: Vec<_> = read.rejects.iter().map(|reject| (settings.venue, reject.clone())).collect();
        let shelf = Shelf::Imported(&dataset);
        let appended = append_to(&writer, shelf, &notes(path, args, rules.as_ref()), &read.observations, &rejects)?;
        output::print(&summary(path, &dataset, &settings, &read, &appended))?;
        if let Some(rules) = &rules {
            output::print(&format!("  liquidated by {}\n", harmless(&rules.words())))?;
        }
        if read.observations.is_empty() {
            fruitless.push(format!("{}: no row could be taken; see the reasons above", path.display()));
        }
    }
    if fruitless.len() == args.files.len() { bail!("{}", fruitless.join("; ")) } else { Ok(()) }
}

/// What every file of the archive says about where it is from.
fn notes(path: &Path, args: &ImportPerps, rules: Option<&Rules>) -> BTreeMap<String, String> {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let origin = args.origin.clone().unwrap_or_else(|| format!("file {file}"));
    let rules = rules.map(|rules| (rules::NOTE.to_owned(), rules.to_note()));
    let notes = [("source_file".to_owned(), file), ("origin".to_owned(), origin)];
    notes.into_iter().chain(rules).collect()
}

fn settings(archive: &Archive, dataset: &DatasetName, args: &ImportPerps) -> anyhow::Result<Settings> {
    let pair = |option: &str, text: &String| -> anyhow::Result<(String, String)> {
        let (name, value) =
            text.split_once('=').with_context(|| format!("--{option} \"{}\" is not NAME=VALUE", printable(text)))?;
        Ok((name.trim().to_owned(), value.trim().to_owned()))
    };
    let venue = venue(&args.venue)?;
    let kind = match args.kind {
        PerpKind::Candles => Kind::Candles,
        PerpKind::OpenInterest => Kind::OpenInterest,
        PerpKind::Liquidations => Kind::Liquidations,
        PerpKind::Positions => Kind::Positions,
        PerpKind::Funding => Kind::Funding,
    };
    let account = args.account.as_deref().map(|text| {
        Address::from_str(text.trim()).ok().with_context(|| format!("--account \"{}\" is no address", printable(text)))
    });
    let candles = if matches!(kind, Kind::OpenInterest | Kind::Liquidations) {
        load_from(archive, Shelf::Imported(dataset), venue, Kind::Candles, &TimeRange::ALL)?
    } else {
        Vec::new()
    };
    Ok(Settings {
        kind,
        venue,
        coin: args.coin.as_deref().map(|coin| Arc::from(coin.trim().to_ascii_uppercase())),
        overrides: args.map.iter().map(|text| pair("map", text)).collect::<anyhow::Result<_>>()?,
        only: args.only.iter().map(|text| pair("only", text)).collect::<anyhow::Result<_>>()?,
        interval: args.interval.as_deref().map(length).transpose()?,
        counting: args.counting.map(|counting| match counting {
            PerpSides::OneSide => Counting::OneSide,
            PerpSides::BothSides => Counting::BothSides,
            PerpSides::Unstated => Counting::Unstated,
        }),
        margin: args.margin.map(|margin| match margin {
            PerpMargin::Cross => Mode::Cross,
            PerpMargin::Isolated => Mode::Isolated,
        }),
        account: account.transpose()?,
        received: TimeUs(jiff::Timestamp::now().as_microsecond()),
        closes: Closes::of(&candles),
    })
}

/// A venue by its word.
pub(crate) fn venue(word: &str) -> anyhow::Result<Venue> {
    Venue::from_word(word.trim()).with_context(|| {
        let known: Vec<&str> = Venue::ALL.iter().map(|venue| venue.word()).collect();
        format!("\"{}\" is no venue whose rules are known; there are {}", printable(word), known.join(", "))
    })
}

/// A length of time such as `5m`, `1h` or `1d`, in microseconds.
pub(crate) fn length(text: &str) -> anyhow::Result<i64> {
    let parse = || {
        let text = text.trim();
        let unit = text.chars().next_back()?;
        let number: i64 = text.strip_suffix(unit)?.parse().ok()?;
        let of = match unit {
            's' => SECOND_US,
            'm' => 60 * SECOND_US,
            'h' => HOUR_US,
            'd' => DAY_US,
            _ => return None,
        };
        number.checked_mul(of).filter(|length| *length > 0 && *length <= 3_660 * DAY_US)
    };
    parse().with_context(|| format!("\"{}\" is no length of time such as 5m, 1h or 30d", printable(text)))
}

fn dry_run(path: &Path, settings: &Settings, read: &Read) -> String {
    let mut text = format!("{} → {} of {}\n\n", harmless(&path.to_string_lossy()), settings.kind, settings.venue);
    text.push_str(&columns(read));
    text.push_str("\nThe first rows as they would be taken:\n\n");
    for one in &read.observations {
        text.push_str(&format!("  {} {} {}\n", one.time, printable(&one.symbol), shown(&one.fact)));
    }
    for reject in &read.rejects {
        text.push_str(&format!("  rejected: {}\n", harmless(&reject.detail)));
    }
    if read.observations.is_empty() && read.rejects.is_empty() {
        text.push_str("  none of the first rows is of what was asked for\n");
    }
    text
}

fn columns(read: &Read) -> String {
    let mut text = String::new();
    for (field, column) in &read.columns {
        text.push_str(&format!("  {field:<22} ← {}\n", printable(column)));
    }
    if !read.unread.is_empty() {
        let unread: Vec<String> = read.unread.iter().map(|column| printable(column)).collect();
        text.push_str(&format!("  not read: {} (name a field with --map FIELD=COLUMN)\n", unread.join(", ")));
    }
    text
}

fn shown(fact: &Observed) -> String {
    let maybe = |number: Option<protocol::Decimal>| number.map_or_else(|| "not given".to_owned(), |n| n.to_string());
    match fact {
        Observed::Candle(of) => format!(
            "{} / {} / {} / {}, volume {} coins, {} USD, of it bought by takers {} coins",
            of.open,
            of.high,
            of.low,
            of.close,
            maybe(of.volume),
            maybe(of.turnover),
            maybe(of.taker_buy)
        ),
        Observed::OpenInterest(of) => {
            format!("{} coins one-sided ({} {} as stated)", of.coins, of.reported, of.unit.word())
        }
        Observed::Funding(of) => format!("rate {}", of.rate),
        Observed::Liquidation(of) => format!("{} of {} coins at {}", of.side.word(), of.coins, of.price),
        Observed::Position(of) => format!(
            "{} {} {} coins worth {}, liquidated at {}",
            of.account,
            of.side.word(),
            of.coins,
            of.value,
            maybe(of.liquidation_price)
        ),
        Observed::Price(_) | Observed::Depth(_) | Observed::Tiers(_) | Observed::Gap(_) => String::new(),
    }
}

fn summary(path: &Path, dataset: &DatasetName, settings: &Settings, read: &Read, appended: &Appended) -> String {
    let mut text =
        format!("{} → dataset {dataset}: {} of {}\n", harmless(&path.to_string_lossy()), settings.kind, settings.venue);
    let times = || read.observations.iter().map(|row| row.time);
    let span = times().min().zip(times().max()).map_or_else(String::new, |(from, to)| format!(", {from} to {to}"));
    text.push_str(&format!("  {} rows looked at\n", count(read.rows)));
    text.push_str(&format!("  {} kept{span}\n", count(appended.kept)));
    let mut line = |number: u64, what: &str| {
        if number > 0 {
            text.push_str(&format!("  {} {what}\n", count(number)));
        }
    };
    line(read.repeats + appended.repeats, "say what is kept already");
    line(read.others, "are of other coins, or another value stands in them than was asked for");
    line(read.rejects.len() as u64 + appended.rejects, "rejected, kept with their reasons");
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for reject in &read.rejects {
        reasons.entry(reject.reason).or_insert((0, &reject.detail)).0 += 1;
    }
    for (reason, (number, first)) in reasons.into_iter().take(MOST_REASONS) {
        text.push_str(&format!("    {}: {reason}; the first: {}\n", count(number), harmless(first)));
    }
    text.push_str(&columns(read));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_or_refused() {
        for (text, expected) in [
            ("5m", Some(300 * SECOND_US)),
            ("1h", Some(HOUR_US)),
            (" 4h ", Some(4 * HOUR_US)),
            ("90d", Some(90 * DAY_US)),
            ("0h", None),
            ("-1h", None),
            ("h", None),
            ("1", None),
            ("", None),
            ("1ü", None),
            ("9999999999d", None),
        ] {
            assert_eq!(length(text).ok(), expected, "{text}");
        }
    }
}
