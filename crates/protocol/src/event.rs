//! The ordered log that everything else is derived from.

use std::sync::Arc;

use crate::aave::log::Entry;
use crate::liquidation::Liquidation;
use crate::time::TimeUs;

/// One fact and where it stands in its source's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place within its source.
    pub at: Cursor,
    /// When it happened, as its source says.
    pub time: TimeUs,
    /// What happened.
    pub fact: Fact,
}

/// A place in a source; a total order within one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The source's name: a market, a venue, an imported dataset.
    pub source: Arc<str>,
    /// A chain's block, a venue's sequence, 0 for an import.
    pub height: u64,
    /// The position at that height: a chain's log index, an import's row.
    pub index: u64,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// Somebody's debt was repaid out of his collateral.
    Liquidation(Box<Liquidation>),
    /// A contract of an Aave market said something, or was asked.
    Market(Entry),
}

impl Event {
    /// The key by which events of several sources are merged into one order: (time, source, height, index).
    #[must_use]
    pub fn order(&self) -> (TimeUs, &Cursor) {
        (self.time, &self.at)
    }
}
