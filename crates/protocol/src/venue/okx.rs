//! OKX: swaps and futures.
//!
//! A position's margin ratio, `(margin + profit) / (value * (rate + taker fee))`, is 100 % where it is liquidated. Written
//! out for a linear contract with isolated margin,
//!
//! ```text
//! LP = (entry - side * margin / size) / (1 - side * (rate + taker))
//! ```
//!
//! OKX ranks positions into tiers by the number of contracts, and the rate of the tier applies to all of the position.
//! Floors of its [`Tiers`](super::Tiers) are in the unit of [`Position::size`](super::Position::size): contracts times their
//! face value.

use rust_decimal::Decimal;

use super::{Rule, TieredBy, Valuation, Venue};

/// Isolated and cross, linear and inverse, at the account's taker fee (a share: 0.0005 for 0.05 %).
#[must_use]
pub const fn rule(taker_fee: Decimal) -> Rule {
    Rule {
        venue: Venue::Okx,
        valuation: Valuation::Moving,
        tiered_by: TieredBy::Size,
        closing_fee: taker_fee,
        at_equality: true,
    }
}
