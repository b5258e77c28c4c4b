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

use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
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

/// Help page "Forced partial or full liquidation": a long and a short in one contract are first closed against each other;
/// positions in tier 3 or above are brought down by two tiers at a price slightly better than the market's, again and again;
/// in tiers 1 and 2 all is taken over at the bankruptcy price. Help page "Introduction to auto-deleveraging": when the
/// insurance fund is used up, or fell by 30 % from its peak within 8 hours, positions are closed against the highest ranked
/// of the other side at the mark price.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::Okx,
    nets_hedges: true,
    order: Order::ImmediateOrCancel,
    amount: Amount::TiersDown { down: 2, from: 3 },
    repeats: true,
    backstop: Backstop::InsuranceFund,
    deleveraging: Deleveraging { rank: Rank::ProfitAndLeverage, price: DeleveragingPrice::Mark },
};
