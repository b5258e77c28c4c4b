//! Aave V4: an asset at its hub, a position at a spoke, and what `liquidationCall` does to it.
//!
//! **Standing: checked against published tables and formulas only, not against the contracts**
//! ([`EVIDENCE`] says so to the program). No package of V4's contracts exists to run beside this restatement.
//!
//! Read the modules in the order data flows:
//!
//! * [`hub`]: the index of what is drawn, what was added, and shares of either;
//! * [`position`]: one account's debt and supply in one reserve, and what an account is worth;
//! * [`mod@liquidation`]: bonus, debt to the target health factor, dust, fee, deficit.
//!
//! Three things differ from V3 in kind. A reserve's factor and bonus are those of the *position's* configuration key,
//! so governance does not move an old position. A debt has two parts, drawn and premium, kept in rays of the asset's
//! smallest unit, so that debt rounds only where tokens move. And some products are 512 bits wide
//! (OpenZeppelin's `Math.mulDiv`), so they do not revert where V3's would.
//!
//! What this module does not do: it computes no interest rates and no risk premiums, it keeps no spoke's caps, halts or
//! shares at the hub, and it leaves a hub's totals as the call found them.

use alloy_primitives::{I256, U256, U512};

use super::math::{Checked, MathError, Ray, Rounding, add, fits, mul, ray_mul, sub, unit};
use super::revision::Evidence;

pub mod hub;
pub mod liquidation;
pub mod position;

/// How well V4 is known here.
pub const EVIDENCE: Evidence = Evidence::Tables;

/// A token of a V4 reserve has at most this many decimals; with more, valuing it reverts.
pub const MAX_DECIMALS: u8 = 18;

/// Number of a reserve at its spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReserveId(pub u32);

/// A value in US dollars with 26 decimals: eight of the price and eighteen of the amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(pub U256);

/// A value in US dollars with 53 decimals: a [`Value`] in rays, as debt is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ValueRay(pub U256);

/// What a liquidator gets for what he repays, in basis points: 10,500 is 5 % more.
///
/// The contract has 32 bits for it, for a small collateral factor leaves room for a bonus beyond 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bonus(pub u32);

impl Bonus {
    /// No bonus.
    pub const NONE: Self = Self(10_000);

    /// The same number in 256 bits.
    #[must_use]
    pub fn wide(self) -> U256 {
        U256::from(self.0)
    }
}

/// Why the spoke or its hub would refuse: the contract's revert, as data. Variants are named after its custom errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A calculation leaves its width; the contract panics or reverts without a word.
    Arithmetic(MathError),
    /// The oracle has no price for a reserve.
    InvalidPrice,
    /// No reserve has this number.
    ReserveNotListed,
    /// Nobody liquidates himself.
    SelfLiquidation,
    /// The liquidator offers nothing.
    InvalidDebtToCover,
    /// One of both reserves is paused.
    ReservePaused,
    /// The account supplied none of the collateral.
    ReserveNotSupplied,
    /// The account owes none of the debt.
    ReserveNotBorrowed,
    /// The account is healthy.
    HealthFactorNotBelowThreshold,
    /// The account does not use the reserve as collateral, or its factor is zero.
    ReserveNotEnabledAsCollateral,
    /// The collateral is frozen, or its shares cannot be received.
    CannotReceiveShares,
    /// Dust would stay, and the liquidator does not offer enough to take it along.
    MustNotLeaveDust,
    /// The hub holds less of the collateral than is to be paid out.
    InsufficientLiquidity,
    /// The hub neither pays out nor takes back an amount of zero.
    InvalidAmount,
}

/// What an operation gives where the contract does not refuse it.
pub type Allowed<T> = Result<T, Refusal>;

impl From<MathError> for Refusal {
    fn from(error: MathError) -> Self {
        Self::Arithmetic(error)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Self::Arithmetic(error) = self {
            return write!(f, "Arithmetic: {error}");
        }
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refusal {}

/// The contract's `require`.
fn require(holds: bool, otherwise: Refusal) -> Allowed<()> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Whole units of a number of rays, rounded up, `WadRayMath.fromRayUp`.
///
/// # Errors
/// None; it is fallible because multiplication is.
pub fn ray_to_unit_up(rays: Ray) -> Checked<U256> {
    ray_mul(U256::from(1), rays, Rounding::Ceil)
}

/// A number of units in rays, `WadRayMath.toRay`.
///
/// # Errors
/// The result leaves 256 bits.
pub fn unit_to_ray(units: U256) -> Checked<Ray> {
    mul(units, Ray::ONE.0).map(Ray)
}

/// The value of an amount at a price of one whole token in US dollars with eight decimals, exact, `SpokeUtils.toValue`.
///
/// # Errors
/// The product leaves 256 bits, or the token has more than [`MAX_DECIMALS`].
pub fn value(amount: U256, price: U256, decimals: u8) -> Checked<Value> {
    // 26 decimals = token decimals + 8 decimals + (18 - token decimals)
    let scale = unit(MAX_DECIMALS.checked_sub(decimals).ok_or(MathError::Underflow)?)?;
    mul(mul(amount, price)?, scale).map(Value)
}

/// The value of an amount in rays, exact, `SpokeUtils.toValue`.
///
/// # Errors
/// As [`value`].
pub fn value_ray(amount: Ray, price: U256, decimals: u8) -> Checked<ValueRay> {
    value(amount.0, price, decimals).map(|value| ValueRay(value.0))
}

/// `a * b / divisor` through a product of 512 bits, OpenZeppelin's `Math.mulDiv`.
///
/// # Errors
/// The divisor is zero, or the *quotient* leaves 256 bits.
pub fn mul_div_wide(a: U256, b: U256, divisor: U256, rounding: Rounding) -> Checked<U256> {
    if divisor.is_zero() {
        return Err(MathError::DivisionByZero);
    }
    let product: U512 = a.widening_mul(b);
    let divisor = U512::from(divisor);
    let (quotient, remainder) = product.div_rem(divisor);
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::Ceil => !remainder.is_zero(),
        // remainder < divisor, so the difference is no wrap.
        Rounding::HalfUp => remainder >= divisor.wrapping_sub(remainder),
    };
    let quotient = U256::checked_from_limbs_slice(quotient.as_limbs()).ok_or(MathError::Overflow)?;
    quotient.checked_add(U256::from(up)).ok_or(MathError::Overflow)
}

/// `ceil(a / b)`, `MathUtils.divUp`.
fn div_up(a: U256, b: U256) -> Checked<U256> {
    super::math::reference::mul_div(a, U256::from(1), b, Rounding::Ceil)
}

/// What premium shares have come to: their worth at the index, less what they were worth when they were issued,
/// `Premium.calculatePremiumRay`. The result is in rays of the asset's smallest unit.
///
/// # Errors
/// A number leaves 255 bits, for the contract takes the difference with a sign, or the result is below zero.
pub fn premium(shares: U256, offset: I256, index: Ray) -> Checked<Ray> {
    let worth = fits(mul(shares, index.0)?, 255)?;
    let size = offset.unsigned_abs();
    let owed = if offset.is_negative() { fits(add(worth, size)?, 255)? } else { sub(worth, size)? };
    Ok(Ray(owed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn big(limbs: [u64; 4], shift: usize) -> U256 {
        U256::from_limbs(limbs) >> shift
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn a_wide_quotient_times_its_divisor_encloses_the_product(
            a in any::<[u64; 4]>(), b in any::<[u64; 4]>(), c in any::<[u64; 4]>(), shift in 0_usize..256,
        ) {
            let (a, b, c) = (big(a, shift), U256::from_limbs(b), U256::from_limbs(c).max(U256::from(1)));
            let product = U512::from(a) * U512::from(b);
            if let Ok(floor) = mul_div_wide(a, b, c, Rounding::Floor) {
                let below = U512::from(floor) * U512::from(c);
                prop_assert!(below <= product && product - below < U512::from(c));
                let rest = product - below;
                let up = U256::from(rest != U512::ZERO);
                let half = U256::from(rest * U512::from(2) >= U512::from(c));
                prop_assert_eq!(mul_div_wide(a, b, c, Rounding::Ceil).ok(), floor.checked_add(up));
                prop_assert_eq!(mul_div_wide(a, b, c, Rounding::HalfUp).ok(), floor.checked_add(half));
            } else {
                prop_assert!(product / U512::from(c) > U512::from(U256::MAX));
            }
        }
    }

    #[test]
    fn a_dollar_has_26_decimals_whatever_its_token() {
        let dollar = Value(U256::from(10).pow(U256::from(26)));
        for decimals in [0, 6, 8, 18] {
            assert_eq!(value(unit(decimals).unwrap(), U256::from(100_000_000), decimals), Ok(dollar));
        }
        assert_eq!(value(U256::from(1), U256::from(1), 19), Err(MathError::Underflow));
        assert_eq!(value(U256::MAX, U256::from(2), 18), Err(MathError::Overflow));
    }

    #[test]
    fn a_premium_counts_from_its_offset() {
        let (shares, index) = (U256::from(100), Ray(Ray::ONE.0 * U256::from(3)));
        let rays = |number: i64| I256::try_from(number).unwrap() * I256::from_raw(Ray::ONE.0);
        // 100 shares at an index of 3 are worth 300.
        assert_eq!(premium(shares, rays(120), index), unit_to_ray(U256::from(180)));
        assert_eq!(premium(shares, rays(-20), index), unit_to_ray(U256::from(320)));
        assert_eq!(premium(shares, rays(301), index), Err(MathError::Underflow));
        assert_eq!(premium(U256::from(1), I256::MIN, Ray::ONE), Err(MathError::Overflow));
    }

    #[test]
    fn rays_round_up_to_units() {
        assert_eq!(ray_to_unit_up(Ray::ZERO), Ok(U256::ZERO));
        assert_eq!(ray_to_unit_up(Ray(U256::from(1))), Ok(U256::from(1)));
        assert_eq!(ray_to_unit_up(Ray::ONE), Ok(U256::from(1)));
        assert_eq!(ray_to_unit_up(Ray(Ray::ONE.0 + U256::from(1))), Ok(U256::from(2)));
        assert_eq!(unit_to_ray(U256::MAX), Err(MathError::Overflow));
    }
}
