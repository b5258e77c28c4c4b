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

use super::surplus::{over, plus, times};
use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
use super::{Refusal, Rule, TieredBy, Valuation, Venue};

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

/// `support/faq/360033525271`: orders are cancelled, then one large immediate-or-cancel order tries to make the account
/// compliant without closing all of it ("smart liquidation"; small positions mostly go whole, for the fee exceeds what they
/// keep); if that fails, the insurance fund takes the rest at its bankruptcy price. `support/faq/360033525471`: if the fund
/// cannot, the highest ranked positions of the other side are closed at that price, without a fee.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::BinanceUsdm,
    nets_hedges: false,
    order: Order::ImmediateOrCancel,
    amount: Amount::UntilCovered,
    repeats: false,
    backstop: Backstop::InsuranceFund,
    deleveraging: Deleveraging { rank: Rank::ProfitTimesMarginRatio, price: DeleveragingPrice::Bankruptcy },
};

/// "LeveragePnL" of `support/faq/360033525471`, by which accounts are ranked among those on their side, from their profit,
/// wallet balance and maintenance margin in the quote currency:
///
/// ```text
/// max(0, profit) / max(1, balance) * ratio    ratio = maintenance / (balance + profit), 0 if that sum is not above 0
/// ```
///
/// # Errors
/// [`Refusal::Overflow`].
pub fn deleveraging_rank(profit: Decimal, balance: Decimal, maintenance: Decimal) -> Result<Decimal, Refusal> {
    let equity = plus(balance, profit)?;
    if equity <= Decimal::ZERO {
        return Ok(Decimal::ZERO);
    }
    let gain = over(profit.max(Decimal::ZERO), balance.max(Decimal::ONE))?;
    times(gain, over(maintenance, equity)?)
}
