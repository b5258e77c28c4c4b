//! When a position is liquidated and what it costs, in integers of the protocol's scales.
//!
//! A simplification for a made-up world: one collateral and one debt per position, prices in US dollars, no interest, no
//! e-mode. What is kept are the rules of Aave V2 and of Aave V3 up to 3.2 for how much may be repaid and seized, with
//! their rounding.

use alloy_primitives::U256;
use protocol::liquidation::Version;

/// One, in the health factor's scale of 18 decimals.
pub(crate) const WAD: u128 = 1_000_000_000_000_000_000;
/// One, in hundredths of a per cent.
pub(crate) const BPS: u128 = 10_000;
/// Below this health factor V3 lets the whole debt be repaid at once.
const FULL_CLOSE_WAD: u128 = 950_000_000_000_000_000;
/// The part of the debt that may be repaid above it, in hundredths of a per cent.
const HALF_BPS: u128 = 5_000;

/// What somebody has put in and owes, in the tokens' smallest units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The collateral.
    pub collateral: u128,
    /// The debt.
    pub debt: u128,
}

/// A token as a price and the number of smallest units in one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quote {
    /// The price in US dollars of eight decimals.
    pub usd8: u128,
    /// Ten to the power of the token's decimals.
    pub unit: u128,
}

/// Everything besides the position that decides a liquidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Terms {
    /// The market's version.
    pub version: Version,
    /// The collateral's token.
    pub collateral: Quote,
    /// The debt's token.
    pub debt: Quote,
    /// The liquidation threshold, in hundredths of a per cent.
    pub threshold_bps: u128,
    /// One hundred per cent and the bonus, in hundredths of a per cent.
    pub bonus_bps: u128,
    /// The protocol's share of the bonus, in hundredths of a per cent.
    pub fee_bps: u128,
}

/// What a liquidation takes from a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seizure {
    /// The debt repaid.
    pub repaid: u128,
    /// The collateral the liquidator gets.
    pub collateral: u128,
    /// The collateral the protocol keeps as its fee.
    pub fee: u128,
}

impl Quote {
    /// What an amount is worth, in US dollars of eight decimals, rounded down: `amount * price / 10^decimals`.
    pub(crate) fn value(self, amount: u128) -> u128 {
        mul_div(&[amount, self.usd8], &[self.unit])
    }

    /// The amount that is worth so many US dollars of eight decimals, rounded down.
    pub(crate) fn amount(self, usd8: u128) -> u128 {
        mul_div(&[usd8, self.unit], &[self.usd8])
    }
}

/// The health factor with 18 decimals: `wadDiv(percentMul(collateral value, threshold), debt value)`, both half up.
/// `None` where there is no debt to measure.
pub(crate) fn health_factor_wad(position: Position, terms: &Terms) -> Option<u128> {
    let debt = terms.debt.value(position.debt);
    if debt == 0 {
        return None;
    }
    let weighted = percent_mul(terms.collateral.value(position.collateral), terms.threshold_bps);
    Some(half_up(&[weighted, WAD], debt))
}

/// What may be repaid and what is seized for it; `None` where the position is healthy or has nothing to seize.
pub(crate) fn liquidate(position: Position, terms: &Terms) -> Option<Seizure> {
    let health = health_factor_wad(position, terms).filter(|health| *health < WAD)?;
    let is_v2 = terms.version == Version::V2;
    let close_bps = if is_v2 || health > FULL_CLOSE_WAD { HALF_BPS } else { BPS };
    let (collateral, debt) = (terms.collateral, terms.debt);
    let most_repaid = percent_mul(position.debt, close_bps);
    // Collateral units = debt units * (USD / debt token) * 10^collateral decimals / ((USD / collateral token) * 10^debt decimals).
    let most_seized = if is_v2 {
        // V2 takes the bonus before it divides.
        let with_bonus = half_up_wide(&[most_repaid, debt.usd8, collateral.unit, terms.bonus_bps], BPS);
        narrow(with_bonus / wide(&[collateral.usd8, debt.unit]))
    } else {
        let base = mul_div(&[most_repaid, debt.usd8, collateral.unit], &[collateral.usd8, debt.unit]);
        percent_mul(base, terms.bonus_bps)
    };
    let (taken, repaid) = if most_seized > position.collateral {
        let base = mul_div(&[position.collateral, collateral.usd8, debt.unit], &[debt.usd8, collateral.unit]);
        (position.collateral, percent_div(base, terms.bonus_bps))
    } else {
        (most_seized, most_repaid)
    };
    let bonus = taken - percent_div(taken, terms.bonus_bps);
    let fee = if is_v2 { 0 } else { percent_mul(bonus, terms.fee_bps) };
    (taken > 0 && repaid > 0).then_some(Seizure { repaid, collateral: taken - fee, fee })
}

/// `(value * percentage + 5000) / 10000`.
fn percent_mul(value: u128, bps: u128) -> u128 {
    half_up(&[value, bps], BPS)
}

/// `(value * 10000 + percentage / 2) / percentage`.
fn percent_div(value: u128, bps: u128) -> u128 {
    half_up(&[value, BPS], bps)
}

fn half_up(factors: &[u128], divisor: u128) -> u128 {
    narrow(half_up_wide(factors, divisor))
}

fn half_up_wide(factors: &[u128], divisor: u128) -> U256 {
    let rounded = wide(factors).checked_add(U256::from(divisor / 2));
    rounded.expect("a made-up world's amounts stay far below 256 bits") / U256::from(divisor)
}

/// The product of the factors divided by the product of the divisors, rounded down.
pub(crate) fn mul_div(factors: &[u128], divisors: &[u128]) -> u128 {
    narrow(wide(factors) / wide(divisors))
}

fn wide(factors: &[u128]) -> U256 {
    factors.iter().fold(U256::ONE, |product, factor| {
        product.checked_mul(U256::from(*factor)).expect("a made-up world's products stay below 256 bits")
    })
}

fn narrow(value: U256) -> u128 {
    u128::try_from(value).expect("a made-up world's amounts fit 128 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETHER: u128 = 1_000_000_000_000_000_000;
    const DOLLAR: u128 = 1_000_000;

    fn terms(version: Version, ether_usd: u128) -> Terms {
        Terms {
            version,
            collateral: Quote { usd8: ether_usd * 100_000_000, unit: ETHER },
            debt: Quote { usd8: 100_000_000, unit: DOLLAR },
            threshold_bps: 8_000,
            bonus_bps: 10_500,
            fee_bps: 1_000,
        }
    }

    #[test]
    fn a_liquidation_takes_what_the_rules_say() {
        let position = Position { collateral: ETHER, debt: 1_600 * DOLLAR };
        // (version, price of ether, health factor in per mille, repaid, taken by the liquidator, fee)
        for (version, price, health, expected) in [
            (Version::V3, 2_000, 1_000, None),
            // 800 dollars at 5 %: 840 / 1980 ether, of which a tenth of the 5 % is the protocol's.
            (Version::V3, 1_980, 990, Some((800, 422_222_222_222_222_222, 2_020_202_020_202_020))),
            (Version::V2, 1_980, 990, Some((800, 424_242_424_242_424_242, 0))),
            (Version::V2, 1_800, 900, Some((800, 466_666_666_666_666_666, 0))),
            (Version::V3, 1_800, 900, Some((1_600, 928_888_888_888_888_888, 4_444_444_444_444_444))),
        ] {
            let terms = terms(version, price);
            assert_eq!(health_factor_wad(position, &terms), Some(health * WAD / 1_000));
            let seized = liquidate(position, &terms).map(|seizure| (seizure.repaid, seizure.collateral, seizure.fee));
            let expected = expected.map(|(repaid, collateral, fee)| (repaid * DOLLAR, collateral, fee));
            assert_eq!(seized, expected, "{version:?} at {price}");
        }
    }

    #[test]
    fn no_more_is_seized_than_there_is() {
        let position = Position { collateral: ETHER, debt: 1_600 * DOLLAR };
        let seizure = liquidate(position, &terms(Version::V3, 1_050)).unwrap();
        assert_eq!(seizure.collateral + seizure.fee, ETHER);
        assert_eq!(seizure.repaid, 1_000 * DOLLAR, "1050 dollars less the bonus of 5 %");
    }
}
