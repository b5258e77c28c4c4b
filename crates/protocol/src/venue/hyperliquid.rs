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
//! The division lets the maintenance margin follow the price. Until 2023 the exchange left it out.

use rust_decimal::Decimal;

use super::surplus::times;
use super::{Contract, Position, Refusal, Rule, Side, TieredBy, Tiers, TiersError, Valuation, Venue};

/// The formula of today.
pub const RULE: Rule = Rule {
    venue: Venue::Hyperliquid,
    valuation: Valuation::Moving,
    tiered_by: TieredBy::Notional,
    closing_fee: Decimal::ZERO,
    at_equality: false,
};

/// The formula that answers recorded in 2023 follow, `liq = price - side * margin_available / size`: maintenance margin
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

/// The tiers that `trading/margin-tiers` states for mainnet assets. `None` for all others: theirs are in the exchange's own
/// `meta` answer.
#[must_use]
pub fn stated(coin: &str) -> Option<Tiers> {
    let (floor, low, high) = match coin {
        "BTC" => (150_000_000, 40, 20),
        "ETH" => (100_000_000, 25, 15),
        "SOL" => (70_000_000, 20, 10),
        "XRP" => (40_000_000, 20, 10),
        _ => return None,
    };
    tiered(&[(Decimal::ZERO, Decimal::from(low)), (Decimal::from(floor), Decimal::from(high))]).ok()
}

/// A position and its margin from what the exchange states about an account: the signed size `szi`, its mark, and the value
/// behind it. That is `raw USDC + szi * mark` for isolated margin, and the account value for cross margin, with the other
/// positions' maintenance margin beside it. The entry is not needed: profit is in the value, so the mark takes its place.
///
/// # Errors
/// [`Refusal::Overflow`], and [`Refusal::NotPositive`] for a size of 0.
pub fn stated_position(szi: Decimal, mark: Decimal) -> Result<Position, Refusal> {
    let side = if szi < Decimal::ZERO { Side::Short } else { Side::Long };
    Ok(Position { side, contract: Contract::Linear, size: times(szi, side.sign())?, entry: mark })
}
