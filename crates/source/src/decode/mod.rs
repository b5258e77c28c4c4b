//! What a market's logs and a node's answers say.
//!
//! * [`statement`]: one log, read; without context, so that the same log always gives the same statement;
//! * [`words`]: 32-byte words and what they may hold;
//! * [`reads`]: what is asked of contracts by call, and how their answers are read.
//!
//! A log whose first topic is one of ours and whose shape is not is a [`Reject`]: it goes to the table of rejects, since
//! a fork may have changed an event, and a node may lie.

mod events;
pub mod reads;
pub mod words;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::B256;
use protocol::aave::log::{Entry, Statement};
use protocol::event::{Cursor, Event, Fact};
use protocol::time::{SECOND_US, TimeUs};

use crate::log::Log;

pub use words::Reject;
use words::Words;

/// The first topics of every event that a market's own contracts and feeds write and that is read: what a filter asks of them.
#[must_use]
pub fn topics() -> BTreeSet<B256> {
    events::table().topics()
}

/// The first topics of what is read around auctions: what a filter asks of dual aggregators, safes and settlement contracts. When
/// a round was observed stands in `NewRound`; `NewTransmission` has it too and is thirty times as long.
#[must_use]
pub fn auction_topics() -> BTreeSet<B256> {
    events::table().auction_topics()
}

/// Those of them that tell which oracle and which source stand behind a price, and what feeds answered and when it is seen. Chainlink's aggregators say each answer twice; `NewTransmission`
/// has nothing more of a price and is ten times as long, so it is not read.
#[must_use]
pub fn price_topics() -> BTreeSet<B256> {
    events::table().named(&[
        "PriceOracleUpdated(",
        "AssetSourceUpdated(",
        "BaseCurrencySet(",
        "AnswerUpdated(",
        "SecondaryRoundIdUpdated(",
        "CutoffTimeSet(",
        "MaxSyncIterationsSet(",
    ])
}

/// Whether a log is by its name one in which an oracle tells the source of an asset's prices.
#[must_use]
pub fn names_source(log: &Log<'_>) -> bool {
    log.topics.first().is_some_and(|name| events::table().is_named(name, "AssetSourceUpdated("))
}

/// What a log says; `None` where it is no event of ours.
///
/// # Errors
/// It has the name of one of ours and another shape.
pub fn statement(log: &Log<'_>) -> Result<Option<Statement>, Reject> {
    row(log)?.map(|(row, words)| row.read(&words)).transpose()
}

/// A log as an event of the market `source`; `None` where it is no event of ours.
///
/// # Errors
/// As [`statement`], and where its block's time is beyond any calendar.
pub fn event(source: &Arc<str>, log: &Log<'_>) -> Result<Option<Event>, Reject> {
    let Some((row, words)) = row(log)? else {
        return Ok(None);
    };
    let time = time(log.time)?;
    // Read where it will stand: an event is moved as seldom as can be.
    Ok(Some(Event {
        at: Cursor { source: Arc::clone(source), height: log.block, index: u64::from(log.log_index) },
        time,
        fact: Fact::Market(Entry { by: log.address, transaction: log.transaction_index, statement: row.read(&words)? }),
    }))
}

/// Which event a log is, and its arguments, if it is one of ours.
#[inline]
fn row<'a>(log: &Log<'a>) -> Result<Option<(&'static events::Row, Words<'a>)>, Reject> {
    let Some((name, indexed)) = log.topics.split_first() else {
        return Ok(None);
    };
    let Some(row) = events::table().find(name) else {
        return Ok(None);
    };
    row.arguments(indexed, log.data).map(|words| Some((row, words)))
}

/// An answer of a contract at the end of a block, as an event: it stands behind all of the block's logs.
///
/// # Errors
/// The block's time is beyond any calendar.
pub fn answer(
    source: &Arc<str>,
    block: u64,
    seconds: u64,
    by: protocol::Address,
    statement: Statement,
) -> Result<Event, Reject> {
    Ok(Event {
        at: Cursor { source: Arc::clone(source), height: block, index: u64::MAX },
        time: time(seconds)?,
        fact: Fact::Market(Entry { by, transaction: u32::MAX, statement }),
    })
}

fn time(seconds: u64) -> Result<TimeUs, Reject> {
    let seconds = i64::try_from(seconds).ok().and_then(|seconds| seconds.checked_mul(SECOND_US));
    seconds.map(TimeUs).ok_or(Reject::Time)
}

#[cfg(test)]
mod tests;
