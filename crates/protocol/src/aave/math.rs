//! Fixed-point arithmetic of the protocol: rays (27 decimals), wads (18), percentages (4), over 256-bit integers.
//!
//! Rounding is in the verb and no type has operators. Every function fails exactly where the contract reverts: the
//! bounds are on the *intermediate* product, which must fit 256 bits (with the half unit where rounding is half up).
//!
//! Sources: `WadRayMath`, `PercentageMath`, `MathUtils.mulDivCeil` (3.5+) and their namesakes in protocol-v2. Each
//! function is first a [`mod@reference`], what the contract computes step by step, and then a faster
//! path for operands below 2^128, which property tests hold equal to it.

use alloy_primitives::U256;

use super::wide::{MAX_POW10, POW10, Product};

/// Decimals of a ray.
pub const RAY_DECIMALS: u8 = 27;
/// Decimals of a wad.
pub const WAD_DECIMALS: u8 = 18;
/// Decimals of a percentage: 10,000 basis points are one.
pub const PERCENT_DECIMALS: u8 = 4;

/// A number with 27 decimals: indexes and yearly rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Ray(pub U256);

/// A number with 18 decimals: health factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Wad(pub U256);

/// Basis points: loan-to-value, thresholds, bonuses (10,500 is a bonus of 5 %), factors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bps(pub u16);

impl Ray {
    /// 1.
    pub const ONE: Self = Self(U256::from_limbs([0x9fd0_803c_e800_0000, 0x033b_2e3c, 0, 0]));
    /// 0.
    pub const ZERO: Self = Self(U256::ZERO);
}

impl Wad {
    /// 1.
    pub const ONE: Self = Self(U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]));
    /// What the contracts report where there is no debt: 2^256 - 1.
    pub const INFINITE: Self = Self(U256::MAX);
}

impl Bps {
    /// 100 %.
    pub const ONE: Self = Self(10_000);

    /// The same number in 256 bits.
    #[must_use]
    pub fn wide(self) -> U256 {
        U256::from(self.0)
    }
}

/// Which way a quotient that is no integer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, halves up.
    HalfUp,
    /// Down.
    Floor,
    /// Up.
    Ceil,
}

/// Why a calculation has no result; the contract reverts there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MathError {
    /// A product, a sum or a cast leaves its width.
    Overflow,
    /// A difference is below zero.
    Underflow,
    /// A divisor is zero.
    DivisionByZero,
}

impl std::fmt::Display for MathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Overflow => "a product, a sum or a cast leaves its width",
            Self::Underflow => "a difference is below zero",
            Self::DivisionByZero => "a divisor is zero",
        })
    }
}

impl std::error::Error for MathError {}

/// What a calculation gives where the contract does not revert.
pub type Checked<T> = Result<T, MathError>;

/// `a + b`.
///
/// # Errors
/// The sum leaves 256 bits.
pub fn add(a: U256, b: U256) -> Checked<U256> {
    a.checked_add(b).ok_or(MathError::Overflow)
}

/// `a - b`.
///
/// # Errors
/// `b` is larger.
pub fn sub(a: U256, b: U256) -> Checked<U256> {
    a.checked_sub(b).ok_or(MathError::Underflow)
}

/// `a * b`.
///
/// # Errors
/// The product leaves 256 bits.
pub fn mul(a: U256, b: U256) -> Checked<U256> {
    if let (Some(a), Some(b)) = (narrow(a), narrow(b))
        && let Some(product) = a.checked_mul(b)
    {
        return Ok(U256::from(product));
    }
    a.checked_mul(b).ok_or(MathError::Overflow)
}

/// `floor(a / b)`.
///
/// # Errors
/// `b` is zero.
pub fn div(a: U256, b: U256) -> Checked<U256> {
    if let (Some(a), Some(b)) = (narrow(a), narrow(b)) {
        return a.checked_div(b).map(U256::from).ok_or(MathError::DivisionByZero);
    }
    a.checked_div(b).ok_or(MathError::DivisionByZero)
}

/// `a * b / 10^27`, such as a balance from a scaled balance and an index.
///
/// # Errors
/// `a * b` (half up: plus half a ray) leaves 256 bits.
#[inline]
pub fn ray_mul(a: U256, b: Ray, rounding: Rounding) -> Checked<U256> {
    mul_div_pow10(a, b.0, RAY_DECIMALS, rounding)
}

/// `a * b / 10^27`, to the nearest, halves up.
///
/// # Errors
/// `a * b + 10^27 / 2` leaves 256 bits.
pub fn ray_mul_half_up(a: U256, b: Ray) -> Checked<U256> {
    ray_mul(a, b, Rounding::HalfUp)
}

/// `a * 10^27 / b`, such as a scaled balance from a balance and an index.
///
/// # Errors
/// `b` is zero, or `a * 10^27` (half up: plus `b / 2`) leaves 256 bits.
pub fn ray_div(a: U256, b: Ray, rounding: Rounding) -> Checked<U256> {
    pow10_mul_div(a, RAY_DECIMALS, b.0, rounding)
}

/// `a * 10^27 / b`, to the nearest, halves up.
///
/// # Errors
/// `b` is zero, or `a * 10^27 + b / 2` leaves 256 bits.
pub fn ray_div_half_up(a: U256, b: Ray) -> Checked<U256> {
    ray_div(a, b, Rounding::HalfUp)
}

/// `a * 10^18 / b`, to the nearest, halves up.
///
/// # Errors
/// `b` is zero, or `a * 10^18 + b / 2` leaves 256 bits.
pub fn wad_div_half_up(a: U256, b: U256) -> Checked<U256> {
    pow10_mul_div(a, WAD_DECIMALS, b, Rounding::HalfUp)
}

/// `value * bps / 10^4`.
///
/// # Errors
/// `value * bps` (half up: plus 5,000) leaves 256 bits.
pub fn percent_mul(value: U256, bps: Bps, rounding: Rounding) -> Checked<U256> {
    mul_div_pow10(value, bps.wide(), PERCENT_DECIMALS, rounding)
}

/// `value * bps / 10^4`, to the nearest, halves up.
///
/// # Errors
/// `value * bps + 5,000` leaves 256 bits.
pub fn percent_mul_half_up(value: U256, bps: Bps) -> Checked<U256> {
    percent_mul(value, bps, Rounding::HalfUp)
}

/// `value * 10^4 / bps`.
///
/// # Errors
/// `bps` is zero, or `value * 10^4` (half up: plus `bps / 2`) leaves 256 bits.
pub fn percent_div(value: U256, bps: Bps, rounding: Rounding) -> Checked<U256> {
    pow10_mul_div(value, PERCENT_DECIMALS, bps.wide(), rounding)
}

/// `value * 10^4 / bps`, to the nearest, halves up.
///
/// # Errors
/// `bps` is zero, or `value * 10^4 + bps / 2` leaves 256 bits.
pub fn percent_div_half_up(value: U256, bps: Bps) -> Checked<U256> {
    percent_div(value, bps, Rounding::HalfUp)
}

/// A wad as a ray, nine decimals more.
///
/// # Errors
/// The result leaves 256 bits.
pub fn wad_to_ray(wads: U256) -> Checked<Ray> {
    const WAD_RAY_RATIO: U256 = U256::from_limbs([1_000_000_000, 0, 0, 0]);
    mul(wads, WAD_RAY_RATIO).map(Ray)
}

/// `amount * price / 10^decimals`: the value of an amount in smallest units at a price of one whole token.
///
/// # Errors
/// The product leaves 256 bits, or `decimals` is above 77, where the contract's unit would wrap.
#[inline]
pub fn value(amount: U256, price: U256, decimals: u8, rounding: Rounding) -> Checked<U256> {
    mul_div_pow10(amount, price, decimals, rounding)
}

/// `10^decimals`, one whole token in smallest units.
///
/// # Errors
/// `decimals` is above 77.
pub fn unit(decimals: u8) -> Checked<U256> {
    match POW10.get(usize::from(decimals)) {
        Some(power) => Ok(U256::from(*power)),
        None => U256::from(10_u8).checked_pow(U256::from(decimals)).ok_or(MathError::Overflow),
    }
}

/// The value, if it fits `bits`; `SafeCast.toUint120` and its like.
///
/// # Errors
/// It does not fit.
pub fn fits(value: U256, bits: usize) -> Checked<U256> {
    if value.bit_len() <= bits { Ok(value) } else { Err(MathError::Overflow) }
}

/// `a * b / 10^exponent`.
#[inline]
fn mul_div_pow10(a: U256, b: U256, exponent: u8, rounding: Rounding) -> Checked<U256> {
    if exponent <= MAX_POW10
        && let (Some(a), Some(b)) = (narrow(a), narrow(b))
    {
        return Ok(U256::from_limbs(Product::of(a, b).plus(addend(exponent, rounding)).div_pow10(exponent)));
    }
    reference::mul_div(a, b, unit(exponent)?, rounding)
}

/// `a * b / 10^exponent` if it fits 128 bits; what does not, and exponents above [`MAX_POW10`], are left to the others.
#[inline(always)]
pub(crate) fn narrow_mul_div_pow10(a: u128, b: u128, exponent: u8, rounding: Rounding) -> Option<u128> {
    if exponent > MAX_POW10 {
        return None;
    }
    Product::of(a, b).plus(addend(exponent, rounding)).div_pow10_narrow(exponent)
}

/// What makes a floored division by a power of ten round so: `ceil(n / d) = floor((n + d - 1) / d)`. No product of 128-bit
/// numbers is so large that it leaves 256 bits with this.
#[inline(always)]
fn addend(exponent: u8, rounding: Rounding) -> u128 {
    let power = POW10[usize::from(exponent)];
    match rounding {
        Rounding::HalfUp => power >> 1,
        Rounding::Floor => 0,
        Rounding::Ceil => power.wrapping_sub(1),
    }
}

/// `a * 10^exponent / b`, for an exponent of at most [`MAX_POW10`].
fn pow10_mul_div(a: U256, exponent: u8, b: U256, rounding: Rounding) -> Checked<U256> {
    let power = POW10[usize::from(exponent)];
    if let (Some(a), Some(b)) = (narrow(a), narrow(b))
        && let Some((quotient, remainder)) = Product::of(a, power).div_rem(b)
    {
        // Half up: q + 1 where the remainder reaches what half a divisor, rounded down, lacks to a whole one.
        let up = match rounding {
            Rounding::HalfUp => remainder >= b.wrapping_sub(b >> 1),
            Rounding::Floor => false,
            Rounding::Ceil => remainder != 0,
        };
        return Ok(U256::from(quotient).wrapping_add(U256::from(up)));
    }
    reference::mul_div(a, U256::from(power), b, rounding)
}

/// The number in 128 bits, if it fits.
#[inline]
pub(crate) fn narrow(value: U256) -> Option<u128> {
    let [w0, w1, w2, w3] = *value.as_limbs();
    (w2 | w3 == 0).then_some((u128::from(w1) << 64) | u128::from(w0))
}

/// What the contracts compute, in 256-bit integers throughout.
pub mod reference {
    use alloy_primitives::U256;

    use super::{Checked, MathError, Rounding};

    /// `a * b / divisor`.
    ///
    /// # Errors
    /// The divisor is zero, or `a * b` (half up: plus half the divisor, rounded down) leaves 256 bits.
    pub fn mul_div(a: U256, b: U256, divisor: U256, rounding: Rounding) -> Checked<U256> {
        if divisor.is_zero() {
            return Err(MathError::DivisionByZero);
        }
        let product = a.checked_mul(b).ok_or(MathError::Overflow)?;
        match rounding {
            Rounding::HalfUp => {
                let sum = product.checked_add(divisor.wrapping_shr(1)).ok_or(MathError::Overflow)?;
                Ok(sum.wrapping_div(divisor))
            }
            Rounding::Floor => Ok(product.wrapping_div(divisor)),
            Rounding::Ceil => {
                let (quotient, remainder) = product.div_rem(divisor);
                Ok(quotient.wrapping_add(U256::from(!remainder.is_zero())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUNDINGS: [Rounding; 3] = [Rounding::HalfUp, Rounding::Floor, Rounding::Ceil];

    /// Numbers of every length, with what lies around powers of two and ten likely.
    fn any_length() -> impl Strategy<Value = U256> {
        let edge = (0_u32..256, 0_u8..3).prop_map(|(bit, which)| {
            let power = U256::from(1) << usize::try_from(bit).unwrap();
            [power, power - U256::from(1), power.wrapping_add(U256::from(1))][usize::from(which)]
        });
        let near_ten = (0_u8..=77, 0_u8..3).prop_map(|(exponent, which)| {
            unit(exponent).unwrap().wrapping_add(U256::from(which)).wrapping_sub(U256::from(1))
        });
        prop_oneof![
            6 => (any::<[u64; 4]>(), 0_usize..256).prop_map(|(limbs, shift)| U256::from_limbs(limbs) >> shift),
            1 => edge,
            1 => near_ten,
            1 => Just(U256::MAX),
            1 => Just(U256::ZERO),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn the_fast_path_is_the_reference(a in any_length(), b in any_length(), exponent in 0_u8..=77) {
            for rounding in ROUNDINGS {
                let power = unit(exponent).unwrap();
                prop_assert_eq!(
                    mul_div_pow10(a, b, exponent, rounding),
                    reference::mul_div(a, b, power, rounding)
                );
                if let (Some(a), Some(b)) = (narrow(a), narrow(b)) {
                    let general = mul_div_pow10(U256::from(a), U256::from(b), exponent, rounding).ok().and_then(narrow);
                    let expected = general.filter(|_| exponent <= MAX_POW10);
                    prop_assert_eq!(narrow_mul_div_pow10(a, b, exponent, rounding), expected);
                }
                let small = exponent.min(MAX_POW10);
                prop_assert_eq!(
                    pow10_mul_div(a, small, b, rounding),
                    reference::mul_div(a, unit(small).unwrap(), b, rounding)
                );
            }
            prop_assert_eq!(mul(a, b).ok(), a.checked_mul(b));
            prop_assert_eq!(div(a, b).ok(), a.checked_div(b));
        }

        /// `require(a <= (type(uint256).max - HALF) / b)` and its floor and ceil kin, as the contracts state them.
        #[test]
        fn overflow_is_where_the_contracts_say(a in any_length(), b in any_length(), bps in any::<u16>()) {
            let half_ray = U256::from(POW10[27] / 2);
            let (ray, factor) = (U256::from(POW10[27]), U256::from(10_000));
            let fits = b.is_zero() || a <= (U256::MAX - half_ray) / b;
            prop_assert_eq!(ray_mul_half_up(a, Ray(b)).is_ok(), fits);
            for rounding in [Rounding::Floor, Rounding::Ceil] {
                prop_assert_eq!(ray_mul(a, Ray(b), rounding).is_ok(), b.is_zero() || a <= U256::MAX / b);
                prop_assert_eq!(ray_div(a, Ray(b), rounding).is_ok(), !b.is_zero() && a <= U256::MAX / ray);
            }
            prop_assert_eq!(ray_div_half_up(a, Ray(b)).is_ok(), !b.is_zero() && a <= (U256::MAX - b / U256::from(2)) / ray);
            let wide = U256::from(bps);
            let fits = bps == 0 || a <= (U256::MAX - U256::from(5_000)) / wide;
            prop_assert_eq!(percent_mul_half_up(a, Bps(bps)).is_ok(), fits);
            let fits = bps != 0 && a <= (U256::MAX - wide / U256::from(2)) / factor;
            prop_assert_eq!(percent_div_half_up(a, Bps(bps)).is_ok(), fits);
        }

        #[test]
        fn floor_half_up_and_ceil_stand_in_order(a in any_length(), b in any_length()) {
            let [half_up, floor, ceil] = ROUNDINGS.map(|rounding| ray_mul(a, Ray(b), rounding));
            if let (Ok(half_up), Ok(floor), Ok(ceil)) = (half_up, floor, ceil) {
                prop_assert!(floor <= half_up && half_up <= ceil && ceil - floor <= U256::from(1));
            }
        }
    }

    #[test]
    fn constants() {
        assert_eq!(Ray::ONE.0, U256::from(10).pow(U256::from(27)));
        assert_eq!(Wad::ONE.0, U256::from(10).pow(U256::from(18)));
        assert_eq!(unit(78), Err(MathError::Overflow));
    }
}
