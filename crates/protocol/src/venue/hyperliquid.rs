//! Hyperliquid.
//!
//! Documents `trading/liquidations` and `trading/margin-tiers`. With `l` the maintenance rate, half of the initial margin at
//! the asset's highest leverage, and `margin_available` the account value (cross) or the isolated margin with its profit,
//! less maintenance margin,
//!
//! ```text
//! liq = price - side * margin_available / size / (1 - l * side)
//! maintenance = notional * rate - deduction
//! deduction[n] = deduction[n-1] + floor[n] * (rate[n] - rate[n-1])
//! ```
//!
//! The division lets the maintenance margin follow the price. The exchange's answers recorded in 2023 lack it.

use rust_decimal::Decimal;

use super::margin::positive;
use super::surplus::{minus, over, plus, times};
use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
use super::{
    Contract, Leg, Margin, Others, Position, Quantity, Refusal, Rule, Side, TieredBy, Tiers, TiersError, Valuation,
    Venue,
};

/// The formula of today.
pub const RULE: Rule = Rule {
    venue: Venue::Hyperliquid,
    valuation: Valuation::Moving,
    tiered_by: TieredBy::Notional,
    closing_fee: Decimal::ZERO,
    at_equality: false,
};

/// The formula of 2023, `liq = price - side * margin_available / size`: maintenance margin
/// stays what it is at the mark.
pub const RULE_2023: Rule = Rule { valuation: Valuation::AtMark, ..RULE };

/// The tiers of an asset with one highest leverage: maintenance rate `1 / (2 * leverage)`. Positions opened under older
/// limits keep theirs, so take the leverage from the position where it is stated.
///
/// # Errors
/// The leverage is below 1 or too large.
pub fn flat(max_leverage: Decimal) -> Result<Tiers, TiersError> {
    tiered(&[(Decimal::ZERO, max_leverage)])
}

/// Tiers from (floor in USDC, highest leverage).
///
/// # Errors
/// They are no table.
pub fn tiered(rows: &[(Decimal, Decimal)]) -> Result<Tiers, TiersError> {
    let mut tiers = Vec::with_capacity(rows.len());
    for (floor, max_leverage) in rows {
        let rate = Decimal::TWO.checked_mul(*max_leverage).and_then(|twice| Decimal::ONE.checked_div(twice));
        tiers.push((*floor, rate.ok_or(TiersError::Overflow)?, *max_leverage));
    }
    Tiers::continuous(&tiers)
}

/// The tiers that `trading/margin-tiers` stated for mainnet assets when it was read. `None` for all others, most of which have
/// one tier; the exchange's own `meta` answer has those of today.
#[must_use]
pub fn stated(coin: &str) -> Option<Tiers> {
    let (floor, low, high) = match coin {
        "BTC" => (150_000_000, 40, 20),
        "ETH" => (100_000_000, 25, 15),
        "SOL" => (70_000_000, 20, 10),
        "XRP" => (40_000_000, 20, 10),
        "DOGE" | "kPEPE" | "SUI" | "WLD" | "TRUMP" | "LTC" | "ENA" | "POPCAT" | "WIF" | "AAVE" | "kBONK" | "LINK"
        | "CRV" | "AVAX" | "ADA" | "UNI" | "NEAR" | "TIA" | "APT" | "BCH" | "HYPE" | "FARTCOIN" => (20_000_000, 10, 5),
        "OP" | "ARB" | "LDO" | "TON" | "MKR" | "ONDO" | "JUP" | "INJ" | "kSHIB" | "SEI" | "TRX" | "BNB" | "DOT" => {
            (3_000_000, 10, 5)
        }
        _ => return None,
    };
    tiered(&[(Decimal::ZERO, Decimal::from(low)), (Decimal::from(floor), Decimal::from(high))]).ok()
}

/// A position from what the exchange states about an account: the signed size `szi` and the mark. The value behind it has
/// its profit already, so the mark stands for the entry: `raw USDC + szi * mark` for [isolated](Margin::isolated) margin, and
/// [`stated_cross`] for cross margin.
///
/// # Errors
/// [`Refusal::Overflow`].
pub fn stated_position(szi: Decimal, mark: Decimal) -> Result<Position, Refusal> {
    let side = if szi < Decimal::ZERO { Side::Short } else { Side::Long };
    Ok(Position { side, contract: Contract::Linear, size: times(szi, side.sign())?, entry: mark })
}

/// The cross margin behind one leg of [`stated_position`], from the account value and `crossMaintenanceMarginUsed`, which
/// includes the leg's own. What is stated is rounded, so a rest below 0 by less than a thousandth of the leg's own is none.
///
/// # Errors
/// [`Refusal::Negative`] where the account's maintenance margin is less than the leg's own; as for
/// [`Leg::maintenance_margin`].
pub fn stated_cross(
    account_value: Decimal,
    maintenance_used: Decimal,
    leg: &Leg<'_>,
    mark: Decimal,
) -> Result<Margin, Refusal> {
    let own = leg.maintenance_margin(mark)?;
    let rest = minus(maintenance_used, own)?;
    if plus(rest, times(own, Decimal::from_parts(1, 0, 0, false, 3))?)? < Decimal::ZERO {
        return Err(Refusal::Negative(Quantity::Maintenance));
    }
    Ok(Margin::cross(account_value, Others { maintenance: rest.max(Decimal::ZERO), pnl: Decimal::ZERO }))
}

/// `trading/liquidations`: market orders for all of the position, but only a fifth of one above 100,000 USDC, and then all of
/// it for 30 seconds; when equity is below two thirds of maintenance margin, the liquidator vault takes the position with its
/// margin, and the margin is not given back. `trading/auto-deleveraging`: if an account's value is negative, the highest
/// ranked positions of the other side are closed at the previous mark price.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::Hyperliquid,
    nets_hedges: false,
    order: Order::Market,
    amount: Amount::Share {
        above: Decimal::from_parts(100_000, 0, 0, false, 0),
        share: Decimal::from_parts(2, 0, 0, false, 1),
        cooldown_seconds: 30,
    },
    repeats: true,
    backstop: Backstop::Vault { numerator: 2, denominator: 3 },
    deleveraging: Deleveraging { rank: Rank::PriceRatioTimesLeverage, price: DeleveragingPrice::PreviousMark },
};

/// The index of `trading/auto-deleveraging`, by which positions in profit are ranked: `(mark / entry) * (notional / account
/// value)`. The document does not tell sides apart; for a short, whose profit grows as the mark falls, the price ratio is
/// taken the other way up here, so that more profit ranks higher.
///
/// # Errors
/// An entry of 0, an account without value, [`Refusal::Overflow`].
pub fn deleveraging_index(position: &Position, mark: Decimal, account_value: Decimal) -> Result<Decimal, Refusal> {
    positive(mark, Quantity::Mark)?;
    positive(position.entry, Quantity::Entry)?;
    positive(account_value, Quantity::AccountValue)?;
    let ratio = match position.side {
        Side::Long => over(mark, position.entry)?,
        Side::Short => over(position.entry, mark)?,
    };
    times(ratio, over(position.notional(mark)?, account_value)?)
}
