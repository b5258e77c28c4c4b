//! Venues of perpetual futures: what a position there is, and when it is liquidated.
//!
//! One equation serves them all: [`liquidation_price`] solves it, and a [`Rule`] has the coefficients in which they differ.
//! A module for each venue says where its rule and its figures come from. [`Opening`] is the short way for a position of
//! which only entry, size and leverage are supposed; [`unwind`] is what happens next.
//!
//! Amounts and prices are [`Decimal`]s, in which venues state them and their worked examples: sums and products are exact
//! to 28 digits, a division rounds half to even at the last of them.

use std::fmt;

use rust_decimal::Decimal;

pub mod binance;
pub mod bybit;
pub mod dydx;
pub mod gmx;
pub mod hyperliquid;
mod margin;
pub mod okx;
mod surplus;
pub mod tiers;
pub mod unwind;

pub use margin::{
    Assumes, Leg, Liquidation, Margin, Opening, Others, Position, Quantity, Reach, Refusal, Rule, TieredBy, Valuation,
    bankruptcy_price, liquidation_price, surplus_at,
};
pub use tiers::{Tier, Tiers, TiersError};
pub use unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank, Unwinding};

/// A venue, with the rules by which it liquidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Venue {
    /// Binance, contracts margined in US dollar stablecoins.
    BinanceUsdm,
    /// Binance, contracts margined in the coin itself.
    BinanceCoinm,
    /// Bybit, linear and inverse contracts.
    Bybit,
    /// OKX.
    Okx,
    /// Hyperliquid.
    Hyperliquid,
    /// dYdX v4.
    DydxV4,
    /// GMX v2.
    GmxV2,
}

impl Venue {
    /// Every venue whose rules are known.
    pub const ALL: [Self; 7] =
        [Self::BinanceUsdm, Self::BinanceCoinm, Self::Bybit, Self::Okx, Self::Hyperliquid, Self::DydxV4, Self::GmxV2];

    /// The word used on the command line, in files and in outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::BinanceUsdm => "binance-usdm",
            Self::BinanceCoinm => "binance-coinm",
            Self::Bybit => "bybit",
            Self::Okx => "okx",
            Self::Hyperliquid => "hyperliquid",
            Self::DydxV4 => "dydx-v4",
            Self::GmxV2 => "gmx-v2",
        }
    }

    /// The coefficients by which it liquidates today, at an account's taker fee (a share). `None` for GMX, whose positions
    /// are [of their own kind](gmx::Position).
    #[must_use]
    pub const fn rule(self, taker_fee: Decimal) -> Option<Rule> {
        match self {
            Self::BinanceUsdm => Some(binance::USDM),
            Self::BinanceCoinm => Some(binance::COINM),
            Self::Bybit => Some(bybit::UNIFIED),
            Self::Okx => Some(okx::rule(taker_fee)),
            Self::Hyperliquid => Some(hyperliquid::RULE),
            Self::DydxV4 => Some(dydx::RULE),
            Self::GmxV2 => None,
        }
    }

    /// The venue a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|venue| venue.word() == word)
    }
}

impl fmt::Display for Venue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Which way a position gains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// It gains when the price rises, and is liquidated below its entry.
    Long,
    /// It gains when the price falls, and is liquidated above its entry.
    Short,
}

impl Side {
    /// +1 for a long, -1 for a short.
    #[must_use]
    pub const fn sign(self) -> Decimal {
        match self {
            Self::Long => Decimal::ONE,
            Self::Short => Decimal::NEGATIVE_ONE,
        }
    }

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Long => "long",
            Self::Short => "short",
        }
    }
}

/// In what a contract is margined and settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Contract {
    /// In the quote currency; size is in coins.
    Linear,
    /// In the coin; size is in contracts of a fixed value in the quote currency.
    Inverse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for venue in Venue::ALL {
            assert_eq!(Venue::from_word(venue.word()), Some(venue));
        }
        assert_eq!(Venue::from_word("mtgox"), None);
    }
}
