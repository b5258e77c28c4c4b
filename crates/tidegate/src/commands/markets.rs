//! `tidegate markets`: which markets are known by name, and what a first sync of each costs.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::bail;
use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::Version;
use protocol::standing::Standing;
use source::markets::estimate::{Estimate, POLITE_PER_SECOND, Span, estimate};
use source::markets::{Market, Markets, Network};
use source::rpc::Endpoint;

use crate::args;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text::{self, printable};

/// Lists the markets, or says what their first sync costs.
pub(crate) fn run(args: &args::Markets) -> anyhow::Result<()> {
    let known = known(args)?;
    let chosen = chosen(&known, args)?;
    let report = if args.estimate { costs(&known, &chosen, now()) } else { list(&known, &chosen) };
    output::write(&report, &super::destination(&args.output))
}

/// The embedded registry, with the user's file over it where one is given.
fn known(args: &args::Markets) -> anyhow::Result<Markets> {
    Ok(match &args.markets {
        Some(path) => Markets::with_file(path)?,
        None => Markets::embedded().clone(),
    })
}

/// The markets that were asked for, in the registry's order.
fn chosen<'a>(known: &'a Markets, args: &args::Markets) -> anyhow::Result<Vec<&'a Market>> {
    let mut names = BTreeSet::new();
    for name in &args.market {
        names.insert(market(known, name)?.name.as_str());
    }
    let mut chains = BTreeSet::new();
    for name in &args.chain {
        let Some(chain) = ChainId::from_name(name) else {
            bail!("--chain \"{}\" is no chain; give its name or its number", printable(name));
        };
        chains.insert(chain);
    }
    let mut versions = BTreeSet::new();
    for word in &args.version {
        let Some(version) = Version::parse(word) else {
            bail!("--version \"{}\" is no version; markets are of V2 or V3", printable(word));
        };
        versions.insert(version);
    }
    let is_chosen = |market: &&Market| {
        (names.is_empty() || names.contains(market.name.as_str()))
            && (chains.is_empty() || chains.contains(&market.chain))
            && (versions.is_empty() || market.version.is_some_and(|version| versions.contains(&version)))
    };
    Ok(known.iter().filter(is_chosen).collect())
}

/// The market that a name means.
///
/// # Errors
/// None; the message names those that may have been meant.
pub(crate) fn market<'a>(known: &'a Markets, name: &str) -> anyhow::Result<&'a Market> {
    let Some(market) = known.by_name(name) else {
        let near = known.near(name);
        let near = if near.is_empty() { "`tidegate markets` lists them".to_owned() } else { near.join(", ") };
        bail!("there is no market \"{}\"; known: {near}", printable(name));
    };
    Ok(market)
}

fn list(known: &Markets, chosen: &[&Market]) -> Report {
    let mut table = Table::new(
        "markets",
        &[
            ("market", Unit::Text),
            ("version", Unit::Text),
            ("chain", Unit::Text),
            ("base", Unit::Text),
            ("addresses_provider", Unit::Text),
            ("pool", Unit::Text),
            ("from_block", Unit::Count),
            ("endpoints", Unit::Count),
        ],
    );
    for market in chosen {
        let endpoints = known.network(market.chain).map_or(0, |network| network.endpoints.len());
        table.push(vec![
            Value::Text(market.name.clone()),
            text_or_missing(market.version.map(Version::word)),
            Value::Text(market.chain.to_string()),
            text_or_missing(market.base.map(source::markets::Base::word)),
            address(Some(market.addresses_provider)),
            address(market.pool),
            market.first_block_hint.map_or(Value::Missing, Value::Count),
            Value::Count(endpoints.try_into().unwrap_or(u64::MAX)),
        ]);
    }
    let mut tables = Vec::new();
    if let [market] = chosen {
        tables.extend(known.network(market.chain).map(endpoints));
        tables.push(contracts(market));
    }
    tables.push(table);
    let mut notes = vec![
        "from_block lies before a market's first block; a sync finds the first block itself, and reads a market's contracts \
         from the chain, not from this list."
            .to_owned(),
    ];
    if let Some(book) = known.address_book() {
        notes
            .push(format!("Addresses are from {book}; endpoints are public ones that ask for no key, not tried here."));
    }
    Report { title: "Known markets".to_owned(), standing: Standing::Imported, notes, tables }
}

/// Everything the registry knows of one market's contracts.
fn contracts(market: &Market) -> Table {
    let mut table = Table::new("contracts", &[("contract", Unit::Text), ("address", Unit::Text)]);
    let parts = [
        ("configurator", market.configurator),
        ("oracle", market.oracle),
        ("data provider", market.data_provider),
        ("treasury", market.treasury),
    ];
    for (name, part) in parts {
        table.push(vec![Value::Text(name.to_owned()), address(part)]);
    }
    table
}

/// How a chain is reached: hosts alone, since an endpoint of the user's can hold a key.
fn endpoints(network: &Network) -> Table {
    let mut table = Table::new("endpoints", &[("endpoint", Unit::Text), ("finality", Unit::Text)]);
    let finality = if network.finality.tag {
        format!("finalized tag, else {} blocks", text::count(network.finality.depth))
    } else {
        format!("{} blocks", text::count(network.finality.depth))
    };
    for url in &network.endpoints {
        let host = Endpoint::parse(url).map_or_else(|_| "not an endpoint".to_owned(), |endpoint| endpoint.to_string());
        table.push(vec![Value::Text(host), Value::Text(finality.clone())]);
    }
    table
}

/// What the first sync of each market costs at a time (seconds since 1970).
fn costs(known: &Markets, chosen: &[&Market], now: u64) -> Report {
    let mut table = Table::new(
        "first_sync",
        &[
            ("market", Unit::Text),
            ("from_block", Unit::Count),
            ("to_block", Unit::Count),
            ("blocks", Unit::Count),
            ("blocks_per_request", Unit::Count),
            ("requests", Unit::Count),
            ("seconds", Unit::Count),
            ("time", Unit::Text),
        ],
    );
    for market in chosen {
        let mut row = vec![Value::Text(market.name.clone())];
        match span(known, market, now) {
            Some(span) => {
                let Estimate { blocks, requests, time } = estimate(span);
                let counts = [span.from, span.to, blocks, span.log_range, requests, time.as_secs()];
                row.extend(counts.map(Value::Count));
                row.push(Value::Text(duration(time)));
            }
            None => row.resize(table.columns.len(), Value::Missing),
        }
        table.push(row);
    }
    let notes = vec![
        format!(
            "Requests for logs alone, at {POLITE_PER_SECOND} a second for a chain's endpoints together: polite where no key \
             is asked for. Spans full of logs are halved, and endpoints that give no times of blocks are asked for them: \
             twice as much is no surprise. An endpoint of one's own is limited by itself."
        ),
        "The last block is told from the clock and the chain's average pace, the first from the registry; a market with \
         neither has no estimate."
            .to_owned(),
    ];
    Report { title: "What a first sync costs".to_owned(), standing: Standing::Estimated, notes, tables: vec![table] }
}

fn span(known: &Markets, market: &Market, now: u64) -> Option<Span> {
    let network = known.network(market.chain)?;
    let (from, to) = (market.first_block_hint?, network.tip_about(now)?);
    Some(Span { from, to, log_range: network.log_range, per_second: POLITE_PER_SECOND })
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A time to plan with: `40 s`, `17 min`, `3.5 h`, `2.1 days`.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let tenths = |unit: u64| format!("{}.{}", seconds / unit, seconds % unit * 10 / unit);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        7_200..172_800 => format!("{} h", tenths(3_600)),
        _ => format!("{} days", tenths(86_400)),
    }
}

fn text_or_missing(word: Option<&str>) -> Value {
    word.map_or(Value::Missing, |word| Value::Text(word.to_owned()))
}

fn address(address: Option<Address>) -> Value {
    address.map_or(Value::Missing, |address| Value::Text(text::address(&address.into_array())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(market: &[&str], chain: &[&str], version: &[&str]) -> args::Markets {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        args::Markets {
            market: owned(market),
            chain: owned(chain),
            version: owned(version),
            markets: None,
            estimate: false,
            output: args::Output { format: output::Format::Text, out: None },
        }
    }

    fn names(args: &args::Markets) -> anyhow::Result<Vec<&'static str>> {
        Ok(chosen(Markets::embedded(), args)?.iter().map(|market| market.name.as_str()).collect())
    }

    #[test]
    fn markets_are_chosen_by_name_chain_and_version() {
        let all = Markets::embedded().iter().count();
        assert_eq!(names(&args(&[], &[], &[])).unwrap().len(), all);
        assert_eq!(names(&args(&["base-v3", "AaveV3Ethereum"], &[], &[])).unwrap(), ["ethereum-v3-core", "base-v3"]);
        assert_eq!(names(&args(&[], &["matic"], &[])).unwrap(), ["polygon-v3", "polygon-v2"]);
        assert_eq!(names(&args(&[], &["137", "43114"], &["2"])).unwrap(), ["polygon-v2", "avalanche-v2"]);
        assert_eq!(names(&args(&["base-v3"], &["matic"], &[])).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_unknown_is_refused_with_what_is_known() {
        let refused = |args: &args::Markets| names(args).unwrap_err().to_string();
        assert!(refused(&args(&["polygon-v4"], &[], &[])).contains("known: polygon-v3, polygon-v2"));
        assert!(refused(&args(&["\u{1b}[2J"], &[], &[])).contains("`tidegate markets` lists them"));
        assert!(refused(&args(&[], &["moon"], &[])).contains("no chain"));
        assert!(refused(&args(&[], &[], &["newest"])).contains("no version"));
    }

    #[test]
    fn an_estimate_has_every_figure_or_none() {
        let all: Vec<&Market> = Markets::embedded().iter().collect();
        let report = costs(Markets::embedded(), &all, 1_790_000_000);
        let rows = &report.tables[0].rows;
        assert_eq!(rows.len(), all.len());
        for row in rows {
            let missing = row.iter().filter(|value| **value == Value::Missing).count();
            assert!(missing == 0 || missing == row.len() - 1, "{row:?}");
        }
        let row = |name: &str| rows.iter().find(|row| row[0] == Value::Text(name.to_owned())).unwrap();
        assert_eq!(row("mantle-v3")[1], Value::Missing, "nobody knows where it begins");
        // The chain makes a block every two seconds, and made this one at that time.
        let base = row("base-v3");
        assert_eq!(base[2], Value::Count(45_726_435 + (1_790_000_000 - 1_778_242_217) / 2));
        let Value::Count(blocks) = base[3] else { panic!("{base:?}") };
        assert_eq!(base[5], Value::Count(blocks.div_ceil(10_000)));
    }

    #[test]
    fn one_market_is_shown_with_its_parts_and_the_list_stays_last() {
        let market = Markets::embedded().by_name("base-v3").unwrap();
        let report = list(Markets::embedded(), &[market]);
        let names: Vec<&str> = report.tables.iter().map(|table| table.name).collect();
        assert_eq!(names, ["endpoints", "contracts", "markets"]);
        assert!(
            report.tables[0].rows.iter().all(|row| !matches!(&row[0], Value::Text(host) if host.contains("not an")))
        );
    }

    #[test]
    fn times_are_rounded_to_what_one_plans_with() {
        for (seconds, expected) in
            [(0, "0 s"), (119, "119 s"), (121, "3 min"), (7_199, "120 min"), (9_000, "2.5 h"), (190_000, "2.1 days")]
        {
            assert_eq!(duration(Duration::from_secs(seconds)), expected);
        }
    }
}
