//! What venues of perpetual futures say: contracts, and what is observed of them.
//!
//! Venues count in different units, on different sides and at different prices. Here a size is in coins, open interest is
//! one side's, a side is the position's; what the venue itself reported, and what had to be done to it, stands beside the figure
//! ([`Distortions`]). All of it is [`Standing::Observed`]: as a venue told it.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::Address;
use rust_decimal::Decimal;

use crate::standing::Standing;
use crate::time::TimeUs;
use crate::venue::{Contract, Side, Tiers, Venue};

mod distortion;
mod key;
mod units;

pub use distortion::{Distortion, Distortions};
pub use key::Key;
pub use units::Measure;

/// A perpetual contract of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// The venue.
    pub venue: Venue,
    /// What the venue calls it. Text from outside: it is filtered before it is shown.
    pub symbol: Arc<str>,
    /// The coin, as the venue calls it: some count in thousands and say so here (`1000PEPE`, `kPEPE`).
    pub base: Arc<str>,
    /// What its price is stated in.
    pub quote: Arc<str>,
    /// In what it is margined and settled.
    pub contract: Contract,
    /// What one unit of the venue's size is: coins of a linear contract, units of the quote currency of an inverse one.
    pub contract_size: Decimal,
    /// How far apart funding is paid at present, in microseconds, where the venue says.
    pub funding_interval: Option<i64>,
}

/// One statement of a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Who said it.
    pub venue: Venue,
    /// Of which instrument; empty where it is about a whole feed.
    pub symbol: Arc<str>,
    /// The moment it is about, by the venue's clock; of a candle, when it opened.
    pub time: TimeUs,
    /// When it was heard, by this machine's clock.
    pub received: TimeUs,
    /// What is known to be wrong or lacking about it.
    pub distortions: Distortions,
    /// What was said.
    pub fact: Observed,
}

impl Observation {
    /// How every observation is known.
    pub const STANDING: Standing = Standing::Observed;
}

/// What a venue can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// What was traded, or where a price stood, over a stretch of time.
    Candle(Candle),
    /// How much is open.
    OpenInterest(OpenInterest),
    /// Where mark and index price stand.
    Price(Price),
    /// What longs pay shorts.
    Funding(Funding),
    /// A position was taken over and closed by the venue.
    Liquidation(Liquidation),
    /// The order book.
    Depth(Depth),
    /// The margin tiers.
    Tiers(TierTable),
    /// An account's position.
    Position(Position),
    /// Nothing was heard for a while.
    Gap(Gap),
}

impl Observed {
    /// The word for its kind, used in files and outputs.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Candle(_) => Kind::Candles,
            Self::OpenInterest(_) => Kind::OpenInterest,
            Self::Price(_) => Kind::Prices,
            Self::Funding(_) => Kind::Funding,
            Self::Liquidation(_) => Kind::Liquidations,
            Self::Depth(_) => Kind::Depth,
            Self::Tiers(_) => Kind::Tiers,
            Self::Position(_) => Kind::Positions,
            Self::Gap(_) => Kind::Gaps,
        }
    }
}

/// The kinds of [`Observed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Observed::Candle`].
    Candles,
    /// [`Observed::OpenInterest`].
    OpenInterest,
    /// [`Observed::Price`].
    Prices,
    /// [`Observed::Funding`].
    Funding,
    /// [`Observed::Liquidation`].
    Liquidations,
    /// [`Observed::Depth`].
    Depth,
    /// [`Observed::Tiers`].
    Tiers,
    /// [`Observed::Position`].
    Positions,
    /// [`Observed::Gap`].
    Gaps,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Candles,
        Self::OpenInterest,
        Self::Prices,
        Self::Funding,
        Self::Liquidations,
        Self::Depth,
        Self::Tiers,
        Self::Positions,
        Self::Gaps,
    ];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Candles => "candles",
            Self::OpenInterest => "open_interest",
            Self::Prices => "prices",
            Self::Funding => "funding",
            Self::Liquidations => "liquidations",
            Self::Depth => "depth",
            Self::Tiers => "tiers",
            Self::Positions => "positions",
            Self::Gaps => "gaps",
        }
    }

    /// The kind a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What a candle is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    /// Trades.
    Trade,
    /// The mark price, at which positions are liquidated.
    Mark,
    /// The index price.
    Index,
}

impl Series {
    /// Every series.
    pub const ALL: [Self; 3] = [Self::Trade, Self::Mark, Self::Index];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Mark => "mark",
            Self::Index => "index",
        }
    }

    /// The series a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|series| series.word() == word)
    }
}

/// A stretch of time, from the observation's time on. Prices are in the quote currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candle {
    /// What of.
    pub series: Series,
    /// How long it is, in microseconds.
    pub interval: i64,
    /// The first price.
    pub open: Decimal,
    /// The highest price.
    pub high: Decimal,
    /// The lowest price.
    pub low: Decimal,
    /// The last price.
    pub close: Decimal,
    /// What was traded, in coins, one side of each trade.
    pub volume: Option<Decimal>,
    /// What was traded, in the quote currency.
    pub turnover: Option<Decimal>,
    /// Of the volume, what buyers took from the book, in coins.
    pub taker_buy: Option<Decimal>,
    /// Whether it was over when it was read: an unfinished one says something else later.
    pub finished: bool,
}

/// What is open at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenInterest {
    /// One side's, in coins: every long has its short, and is counted once.
    pub coins: Decimal,
    /// The same in US dollars (a stablecoin counted as one), where the venue gives it or the contract fixes it.
    pub usd: Option<Decimal>,
    /// The number as the venue reports it.
    pub reported: Decimal,
    /// What that number counts.
    pub counting: Counting,
    /// In which unit that number is.
    pub unit: Measure,
}

/// Which sides a venue's open interest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counting {
    /// Every contract once.
    OneSide,
    /// Longs and shorts added up: every contract twice.
    BothSides,
    /// The venue's documents do not say; it is taken as one side's.
    Unstated,
}

impl Counting {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::OneSide, Self::BothSides, Self::Unstated];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OneSide => "one_side",
            Self::BothSides => "both_sides",
            Self::Unstated => "unstated",
        }
    }

    /// The way a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|counting| counting.word() == word)
    }
}

/// Prices a venue computes, in the quote currency; at least one is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// At which positions are valued and liquidated.
    pub mark: Option<Decimal>,
    /// Of the coin on spot markets, as the venue sees it (Hyperliquid: the oracle price).
    pub index: Option<Decimal>,
}

/// What longs pay shorts, as a share of the position's value; negative where shorts pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Funding {
    /// The rate for one interval.
    pub rate: Decimal,
    /// The interval, in microseconds, where it is known.
    pub interval: Option<i64>,
    /// Whether it was paid; otherwise it is what the venue expects by now, and may still change.
    pub settled: bool,
    /// When it was or will be paid, where the venue says.
    pub pays_at: Option<TimeUs>,
}

/// A position that a venue closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liquidation {
    /// The position's side: a long is closed by selling.
    pub side: Side,
    /// How much of it.
    pub coins: Decimal,
    /// A price in the quote currency; which one, says `priced_at`.
    pub price: Decimal,
    /// Which price it is.
    pub priced_at: PricedAt,
    /// Its value at that price in US dollars, a stablecoin counted as one.
    pub usd: Option<Decimal>,
    /// Its place among rows of the same message that are equal to it in all else: two equal rows of one message are two
    /// liquidations, a row of another message that is equal is the same one heard again.
    pub ordinal: u32,
}

/// Which price a liquidation is reported at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PricedAt {
    /// Where the position's margin would be used up; it is neither the trigger nor the trade.
    Bankruptcy,
    /// The limit of the order that closes it.
    Order,
    /// The average of what the order was filled at.
    Average,
    /// The mark price at that moment.
    Mark,
}

impl PricedAt {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Bankruptcy, Self::Order, Self::Average, Self::Mark];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bankruptcy => "bankruptcy",
            Self::Order => "order",
            Self::Average => "average",
            Self::Mark => "mark",
        }
    }

    /// The kind a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priced| priced.word() == word)
    }
}

/// An order book as far as the venue shows it; no bid reaches an ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    /// Orders to buy, the best (highest) first.
    pub bids: Vec<Level>,
    /// Orders to sell, the best (lowest) first.
    pub asks: Vec<Level>,
}

/// Orders at one price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// In the quote currency.
    pub price: Decimal,
    /// How much, in coins.
    pub coins: Decimal,
}

/// Margin tiers, and in what their floors are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierTable {
    /// The tiers; floors and deductions are in `floors`.
    pub tiers: Tiers,
    /// The unit of floors and deductions as the venue states them.
    pub floors: Measure,
}

/// A position of an account whose state is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Whose.
    pub account: Address,
    /// Which way.
    pub side: Side,
    /// How much, in coins; positive.
    pub coins: Decimal,
    /// The average price it was opened at; none where the venue gives none.
    pub entry: Option<Decimal>,
    /// Its value at the mark price, in the quote currency.
    pub value: Decimal,
    /// The leverage its holder has set.
    pub leverage: Decimal,
    /// The highest leverage its contract allows at this size's tier, by which its maintenance margin goes.
    pub max_leverage: Option<Decimal>,
    /// What stands behind it.
    pub margin: Margin,
    /// Everything the account is worth, in the quote currency: isolated positions included.
    pub account_value: Decimal,
    /// What the venue itself computes as its liquidation price; none where there is none, as for one that is fully paid for.
    pub liquidation_price: Option<Decimal>,
}

/// What stands behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Margin {
    /// All of the account's cross margin, in the quote currency, shared with its other cross positions.
    Cross {
        /// What cross margin and cross positions are worth.
        account_value: Decimal,
        /// What all cross positions together must keep; none where nobody says.
        maintenance: Option<Decimal>,
    },
    /// Its own margin alone.
    Isolated {
        /// What is left of it at the mark price, gain and loss included, in the quote currency.
        equity: Decimal,
        /// What was put in less what the position cost, in the quote currency: equity = this + signed size * mark.
        cash: Decimal,
    },
}

/// A time in which something may have been said that was not heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// When it ended, by the clock of the observation's time, at which it began.
    pub until: TimeUs,
    /// Why.
    pub cause: GapCause,
    /// Which kinds of statement are lacking.
    pub kinds: Vec<Kind>,
}

/// Why nothing was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapCause {
    /// There was no connection, or it broke.
    Disconnected,
    /// The connection stood and nothing came, not even an answer to a ping.
    Silent,
    /// A message was longer than is read.
    Oversized,
    /// Nobody listened.
    Unwatched,
}

impl GapCause {
    /// Every cause.
    pub const ALL: [Self; 4] = [Self::Disconnected, Self::Silent, Self::Oversized, Self::Unwatched];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Silent => "silent",
            Self::Oversized => "oversized",
            Self::Unwatched => "unwatched",
        }
    }

    /// The cause a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        assert!(Kind::ALL.iter().all(|kind| Kind::from_word(kind.word()) == Some(*kind)));
        assert!(Series::ALL.iter().all(|series| Series::from_word(series.word()) == Some(*series)));
        assert!(Counting::ALL.iter().all(|counting| Counting::from_word(counting.word()) == Some(*counting)));
        assert!(PricedAt::ALL.iter().all(|priced| PricedAt::from_word(priced.word()) == Some(*priced)));
        assert!(GapCause::ALL.iter().all(|cause| GapCause::from_word(cause.word()) == Some(*cause)));
        assert!(Measure::ALL.iter().all(|measure| Measure::from_word(measure.word()) == Some(*measure)));
        assert_eq!(Kind::from_word("rumours"), None);
    }
}
