//! Bybit: linear and inverse contracts, as its help pages computed them before the unified account and compute them now.

use rust_decimal::Decimal;

use super::surplus::{minus, over, plus};
use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
use super::{Refusal, Rule, Side, TieredBy, Valuation, Venue};

/// Help page "Liquidation Price (USDT Contract)", and the inverse formulas of the unified account's isolated mode until
/// 2024: maintenance margin is counted at the entry, and the fee for closing is left out.
///
/// ```text
/// linear   LP = entry - side * (IM - MM + extra) / size       IM = size * entry / leverage, MM = size * entry * rate - deduction
/// inverse  LP = size / (size / entry + side * (IM - MM))      IM = size / entry / leverage, MM = size / entry * rate - deduction
/// ```
pub const CLASSIC: Rule = Rule {
    venue: Venue::Bybit,
    valuation: Valuation::AtEntry,
    tiered_by: TieredBy::Notional,
    closing_fee: Decimal::ZERO,
    at_equality: true,
};

/// Help page "Liquidation Price Calculation under Isolated Mode (Unified Trading Account)", state of 2026-05-27: positions
/// are valued at the mark, so maintenance margin moves along. The estimated fee for closing stands in the initial and in the
/// maintenance margin and cancels.
///
/// ```text
/// inverse, long   LP = size * (1 + rate) / (size / entry + size / entry / leverage + extra / (1 + taker) + deduction)
/// inverse, short  LP = size * (1 - rate) / (size / entry - size / entry / leverage - extra / (1 - taker) - deduction)
/// ```
///
/// That page's formulas for linear contracts were not at hand; its definitions of value and margin, which are the same for
/// both, give `LP = (size * entry - side * (IM + extra) - side * deduction) / (size * (1 - side * rate))`.
///
/// In cross margin the account is liquidated when maintenance margin reaches the margin balance, both in US dollars over
/// all coins: legs of both kinds, and coins at their collateral value, in one [`Margin`](super::Margin). Portfolio margin
/// is a table of shocks, not this equation.
pub const UNIFIED: Rule = Rule { valuation: Valuation::Moving, ..CLASSIC };

/// The margin of an inverse contract in the unified account's isolated mode, in coins: what was added later counts without
/// the taker fee on it, `IM + extra / (1 + side * taker)`.
///
/// # Errors
/// [`Refusal::Overflow`].
pub fn unified_inverse_margin(
    side: Side,
    initial: Decimal,
    extra: Decimal,
    taker: Decimal,
) -> Result<Decimal, Refusal> {
    let divisor = match side {
        Side::Long => plus(Decimal::ONE, taker)?,
        Side::Short => minus(Decimal::ONE, taker)?,
    };
    plus(initial, over(extra, divisor)?)
}

/// Help page "Liquidation Process" of isolated margin: orders are cancelled; a position in the lowest tier is taken over at
/// its bankruptcy price; a larger one is first brought down to the next tier by a fill-or-kill order, and taken over if that
/// does not help. Help page "Auto-Deleveraging (ADL) Mechanism": if the insurance fund is used up, the positions on the
/// other side with the highest leveraged return are closed at the bankruptcy price.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::Bybit,
    nets_hedges: false,
    order: Order::FillOrKill,
    amount: Amount::TiersDown { down: 1, from: 2 },
    repeats: false,
    backstop: Backstop::InsuranceFund,
    deleveraging: Deleveraging { rank: Rank::ProfitAndLeverage, price: DeleveragingPrice::Bankruptcy },
};
