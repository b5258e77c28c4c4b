//! What makes two observations the same one, heard twice.

use std::sync::Arc;

use alloy_primitives::Address;
use rust_decimal::Decimal;

use super::{Candle, Funding, GapCause, Kind, Liquidation, Observation, Observed, Position, Price, PricedAt, Series};
use crate::time::TimeUs;
use crate::venue::{Side, Venue};

/// What tells an observation from every other: two with the same key are one, of which what was heard last counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    venue: Venue,
    kind: Kind,
    symbol: Arc<str>,
    time: TimeUs,
    part: Part,
}

/// What else tells observations of one kind, instrument and moment apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Whole,
    Candle(Series, i64),
    Price { mark: bool, index: bool },
    Funding { settled: bool },
    Liquidation(Side, Decimal, Decimal, PricedAt, u32),
    Account(Address),
    Gap(GapCause),
}

impl Observation {
    /// What tells it from every other.
    #[must_use]
    pub fn key(&self) -> Key {
        let part = match &self.fact {
            Observed::OpenInterest(_) | Observed::Depth(_) | Observed::Tiers(_) => Part::Whole,
            Observed::Candle(Candle { series, interval, .. }) => Part::Candle(*series, *interval),
            Observed::Price(Price { mark, index }) => Part::Price { mark: mark.is_some(), index: index.is_some() },
            Observed::Funding(Funding { settled, .. }) => Part::Funding { settled: *settled },
            Observed::Liquidation(Liquidation { side, coins, price, priced_at, ordinal, .. }) => {
                Part::Liquidation(*side, coins.normalize(), price.normalize(), *priced_at, *ordinal)
            }
            Observed::Position(Position { account, .. }) => Part::Account(*account),
            Observed::Gap(gap) => Part::Gap(gap.cause),
        };
        Key { venue: self.venue, kind: self.fact.kind(), symbol: self.symbol.clone(), time: self.time, part }
    }
}
