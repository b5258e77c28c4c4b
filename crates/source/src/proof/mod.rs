//! Proof that logs are complete: what a node may have left out, and which check would notice.
//!
//! An answer to `eth_getLogs` that lacks a log looks like one that lacks none. Four levels tell them apart, each by its own
//! means, none of them by all:
//!
//! | a log left out | [`Level::SecondEndpoint`] | [`Level::Bloom`] | [`Level::Receipts`] | [`Level::State`] |
//! | --- | --- | --- | --- | --- |
//! | the only one of its block | if the other is honest | if the chain fills the filter | yes | if it moved state |
//! | one beside others of other contracts or events | if the other is honest | no | yes | if it moved state |
//! | one beside a like one, such as a second `LiquidationCall` | if the other is honest | no | yes | if it moved state |
//! | one that moves no state of ours, such as a `LiquidationCall` or a flash loan | if the other is honest | only if alone | yes | no |
//! | the same one by every endpoint | no | only if alone | yes, if the headers are honest | if it moved state |
//! | logs and receipts of a whole made-up chain | if the other is honest | no | no | no |
//! | a held log that never was | if the other is honest | if its bits are not set | yes | if it moved state |
//!
//! A `LiquidationCall` itself moves nothing: the mints, burns and transfers of its transaction do. So an omitted second one in a
//! block is found by the receipts alone (or by another endpoint). [`expected`] is this table for programs, and a test goes
//! through it with blocks of each kind.
//!
//! * [`receipt`]: receipts and the root in the header, for one block;
//! * [`bloom`]: the header's filter, for one block;
//! * [`compare`]: held logs beside receipts or beside another endpoint's;
//! * [`plan`]: which blocks, and at what price;
//! * [`run`]: all of it over a client, to a [`Report`].
//!
//! What the levels rest on: receipts and bloom filters are compared with *headers*. A header's hash is not computed anew here,
//! since chains differ in what they hash; a node that makes up headers, receipts and logs alike is caught by a second endpoint
//! that disagrees about the block's hash.

pub mod bloom;
pub mod compare;
pub mod plan;
pub mod receipt;
pub mod run;

use std::collections::BTreeMap;

use compare::Finding;

pub use crate::archive::proofs::Level;

/// What a node may do to the logs it hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    /// It leaves out the only log of a block that the filter takes, which moves state.
    OnlyOfItsBlock,
    /// It leaves out one beside others of other contracts or events, which moves state.
    BesideOthers,
    /// It leaves out one beside another of the same contract and event, which moves state.
    BesideItsLike,
    /// It leaves out one beside others that moves no state of ours, such as a second `LiquidationCall`.
    MovesNothing,
    /// It leaves out one that moves state, and every endpoint does the same.
    ByAll,
    /// It makes up headers, receipts and logs alike.
    WholeChain,
    /// It adds one that never was, which would move state.
    Invented,
}

impl Omission {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 7] = [
        Self::OnlyOfItsBlock,
        Self::BesideOthers,
        Self::BesideItsLike,
        Self::MovesNothing,
        Self::ByAll,
        Self::WholeChain,
        Self::Invented,
    ];
}

/// Whether a level notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Catch {
    /// Always, where the level can be applied at all.
    Yes,
    /// In some cases: which.
    If(&'static str),
    /// Never.
    No,
}

/// The table above: whether a level notices what a node did.
#[must_use]
pub const fn expected(omission: Omission, level: Level) -> Catch {
    const HONEST: Catch = Catch::If("the other endpoint does not do the same");
    match (omission, level) {
        (Omission::ByAll, Level::SecondEndpoint) => Catch::No,
        (_, Level::SecondEndpoint) => HONEST,
        (Omission::OnlyOfItsBlock, Level::Bloom) => {
            Catch::If("the chain fills the filter: the block is suspect, as others are by chance")
        }
        (Omission::ByAll, Level::Bloom) => Catch::If("it was the only one of its block: then the block stays suspect"),
        (Omission::Invented, Level::Bloom) => Catch::If("its bits are not set by other logs"),
        (Omission::BesideOthers | Omission::BesideItsLike | Omission::MovesNothing, Level::Bloom)
        | (Omission::WholeChain, Level::Bloom | Level::Receipts | Level::State)
        | (Omission::MovesNothing, Level::State) => Catch::No,
        (_, Level::Receipts) => Catch::Yes,
        (_, Level::State) => Catch::If("the state is read before something else moves it back"),
    }
}

/// The most findings that a report lists; it counts them all.
pub const LISTED: usize = 100;

/// What came of checking a range at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// By which means.
    pub level: Level,
    /// The first block of the range.
    pub from: u64,
    /// The last block of the range.
    pub to: u64,
    /// The last block gone through, in the plan's order; none where not one was.
    pub through: Option<u64>,
    /// Blocks of which something was learnt: for [`Level::SecondEndpoint`] all of the ranges that were compared.
    pub checked: u64,
    /// Held logs that were found right; for [`Level::Bloom`] only not found wrong.
    pub right: u64,
    /// What is wrong: the count, and the first of them.
    pub wrong: Findings,
    /// For [`Level::Receipts`]: blocks whose receipts, as nodes show them, are not those that the header commits to. Either is
    /// wrong, and nothing follows for the logs that are held.
    pub mismatched: u64,
    /// The first of these blocks.
    pub first_mismatched: Option<u64>,
    /// Blocks of which nothing could be learnt, by reason.
    pub not_provable: BTreeMap<String, u64>,
    /// For [`Level::Bloom`]: blocks that allow a log, have none held, and had none when they were read again.
    pub suspect: u64,
    /// For [`Level::Bloom`]: how many of the checked blocks would be suspect by chance alone.
    pub suspect_by_chance: f64,
    /// Requests made, every one of a batch counted.
    pub requests: u64,
}

impl Report {
    /// One of nothing yet.
    #[must_use]
    pub fn new(level: Level, from: u64, to: u64) -> Self {
        Self {
            level,
            from,
            to,
            through: None,
            checked: 0,
            right: 0,
            wrong: Findings::default(),
            mismatched: 0,
            first_mismatched: None,
            not_provable: BTreeMap::new(),
            suspect: 0,
            suspect_by_chance: 0.0,
            requests: 0,
        }
    }

    /// Whether something was checked and nothing was found wrong. What was not provable is no part of this.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.checked > 0 && self.wrong.count == 0 && self.mismatched == 0
    }

    /// Everything that speaks against the logs or the node: wrong logs, and blocks whose receipts are not their header's.
    #[must_use]
    pub const fn wrong_count(&self) -> u64 {
        self.wrong.count.saturating_add(self.mismatched)
    }

    /// The first of it: its block, and what is wrong there.
    #[must_use]
    pub fn first_wrong(&self) -> Option<(u64, String)> {
        let log = self.wrong.first.first().map(|finding| (finding.block, finding.to_string()));
        let mismatched = "its receipts are not those that its header commits to";
        let block = self.first_mismatched.map(|block| (block, mismatched.to_owned()));
        [log, block].into_iter().flatten().min_by_key(|(block, _)| *block)
    }

    /// Blocks about which nothing is known after all: not provable, or still suspect.
    #[must_use]
    pub fn unknown_count(&self) -> u64 {
        self.not_provable.values().sum::<u64>().saturating_add(self.suspect)
    }

    fn cannot(&mut self, why: impl Into<String>, blocks: u64) {
        if blocks > 0 {
            *self.not_provable.entry(why.into()).or_default() += blocks;
        }
    }
}

/// What is wrong: all of it counted, the first of it listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// How many there are.
    pub count: u64,
    /// The first of them, in the order of the chain; at most [`LISTED`].
    pub first: Vec<Finding>,
    /// The first and last block with something wrong.
    pub blocks: Option<(u64, u64)>,
}

impl Findings {
    /// Adds some, all of them later on the chain than those before.
    pub fn add(&mut self, found: Vec<Finding>) {
        for finding in found {
            self.count += 1;
            let first = self.blocks.map_or(finding.block, |(first, _)| first.min(finding.block));
            let last = self.blocks.map_or(finding.block, |(_, last)| last.max(finding.block));
            self.blocks = Some((first, last));
            if self.first.len() < LISTED {
                self.first.push(finding);
            }
        }
    }
}

#[cfg(test)]
mod tests;
