//! Binance USDⓈ-M and COIN-M futures.
//!
//! `support/faq/b3c689c1f50a44cabb3a84e663b81d93` (liquidation price of USDⓈ-M contracts), with `WB` the wallet balance,
//! `TMM` and `UPNL` the other positions' maintenance margin and profit, `cum` the deduction:
//!
//! ```text
//! LP = (WB - TMM + UPNL + cum - side * size * entry) / (size * rate - side * size)
//! ```
//!
//! which is `surplus(LP) = 0` without a fee; in hedge mode the long's and the short's terms are added up, each with its own
//! tier. `support/faq/ceccfcfb4e3a45e3b48b0b1bb1a8ae46` says the same of COIN-M, where a notional is
//! `contracts * multiplier / price` coins. Maintenance margin is counted at the mark, and a position is liquidated when it
//! reaches the margin balance.

use rust_decimal::Decimal;

use super::{Rule, TieredBy, Valuation, Venue};

/// USDⓈ-M, isolated and cross, one-way and hedge.
pub const USDM: Rule = Rule {
    venue: Venue::BinanceUsdm,
    valuation: Valuation::Moving,
    tiered_by: TieredBy::Notional,
    closing_fee: Decimal::ZERO,
    at_equality: true,
};

/// COIN-M: the same in coins.
pub const COINM: Rule = Rule { venue: Venue::BinanceCoinm, ..USDM };
