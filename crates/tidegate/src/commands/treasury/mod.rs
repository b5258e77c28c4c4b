//! `tidegate treasury`: the books, statements of them, and policies for what they gain.

mod file;
mod liquidations;
mod made_up;
mod past;
mod policy;
mod recaptures;
mod record;
mod show;
mod statement;

use std::path::Path;
use std::str::FromStr as _;

use anyhow::Context as _;
use engine::treasury::statement::Month;
use engine::treasury::{Account, Origin};
use protocol::Address;
use protocol::chain::ChainId;
use protocol::time::TimeUs;
use protocol::token::Tokens;

use crate::args::Treasury;
use crate::text;
use crate::treasury::coins::Coins;

/// Does what was typed.
pub(crate) fn run(archive: &Path, what: &Treasury) -> anyhow::Result<()> {
    match what {
        Treasury::Record(args) => record::run(archive, args),
        Treasury::Ledger(args) => show::run(archive, args),
        Treasury::Statement(args) => statement::run(archive, args),
        Treasury::Policy(args) => policy::run(archive, args),
    }
}

/// A chain that the user names.
fn network(name: &str) -> anyhow::Result<ChainId> {
    ChainId::from_name(name)
        .with_context(|| format!("\"{}\" is no chain; give its name or number", text::printable(name)))
}

/// A month that the user names.
fn month(name: &str) -> anyhow::Result<Month> {
    let parts = name.trim().split_once('-').and_then(|(year, month)| Some((year.parse().ok()?, month.parse().ok()?)));
    let month = parts.map(|(year, month)| Month { year, month });
    month
        .filter(|month| (1..=12).contains(&month.month) && (2015..2100).contains(&month.year))
        .with_context(|| format!("\"{}\" is no month such as 2026-02", text::printable(name)))
}

/// A moment, or the beginning of a day, in UTC.
pub(crate) fn moment(name: &str) -> Option<TimeUs> {
    let day = || {
        let date = name.trim().parse::<jiff::civil::Date>().ok().filter(|_| name.trim().len() <= 10)?;
        jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()
    };
    let time = day().or_else(|| jiff::Timestamp::from_str(name.trim()).ok())?;
    TimeUs(time.as_microsecond()).plausible()
}

/// A reserve on a network by symbol or address.
fn reserve(network: ChainId, name: &str, tokens: &Tokens) -> Option<Address> {
    Coins::named(network, name, tokens).map(|asset| asset.token)
}

/// An account in a line: its place in the chart and the reserve it is about.
fn account(account: Account, coins: &Coins) -> String {
    let about = account.reserve.map(|reserve| format!(" of {}", coins.reserve(account.asset.network, reserve)));
    format!("{}{}", account.code.word(), about.unwrap_or_default())
}

/// Where a transfer is known from: the transaction or file, and the place in it.
fn origin(origin: &Origin) -> (String, Option<u64>) {
    match origin {
        Origin::Transaction { transaction, log_index, .. } => (transaction.to_string(), *log_index),
        Origin::File { name, row } => (name.to_string(), Some(*row)),
        Origin::Rule { name, step } => (name.to_string(), Some(*step)),
    }
}
