//! Interest over time: linear for suppliers, compounded for borrowers.
//!
//! Sources: `MathUtils.calculateLinearInterest` and `calculateCompoundedInterest` of each revision. Rates are yearly
//! rays, times are seconds, results are growth factors in rays.

use alloy_primitives::U256;

use super::math::{Checked, Ray, add, div, mul, ray_mul_half_up, sub};
use super::revision::Compounding;

/// 365 days.
pub const SECONDS_PER_YEAR: u32 = 31_536_000;

fn year() -> U256 {
    U256::from(SECONDS_PER_YEAR)
}

/// Seconds between two moments.
///
/// # Errors
/// `until` lies before `since`.
fn elapsed(since: u64, until: u64) -> Checked<U256> {
    sub(U256::from(until), U256::from(since))
}

/// `1 + floor(rate * t / year)`.
///
/// # Errors
/// `until` lies before `since`, or a product leaves 256 bits.
pub fn linear(rate: Ray, since: u64, until: u64) -> Checked<Ray> {
    let grown = div(mul(rate.0, elapsed(since, until)?)?, year())?;
    add(Ray::ONE.0, grown).map(Ray)
}

/// The approximation of `(1 + rate / year)^t` that a revision uses.
///
/// # Errors
/// `until` lies before `since`, or a product leaves 256 bits.
pub fn compounded(formula: Compounding, rate: Ray, since: u64, until: u64) -> Checked<Ray> {
    let time = elapsed(since, until)?;
    if time.is_zero() {
        return Ok(Ray::ONE);
    }
    match formula {
        Compounding::RatePerSecond => {
            // p = floor(rate / year); 1 + p t + t (t-1) p^2 / 2 + t (t-1) (t-2) p^3 / 6
            let per_second = Ray(div(rate.0, year())?);
            let squared = ray_mul_half_up(per_second.0, per_second)?;
            let cubed = ray_mul_half_up(squared, per_second)?;
            binomial(mul(per_second.0, time)?, squared, cubed, time)
        }
        Compounding::YearlyRate => {
            // The same terms of the yearly rate, each divided by a power of the year: p^2 = rate^2 / year^2.
            let squared = div(ray_mul_half_up(rate.0, rate)?, mul(year(), year())?)?;
            let cubed = div(ray_mul_half_up(squared, rate)?, year())?;
            binomial(div(mul(rate.0, time)?, year())?, squared, cubed, time)
        }
        Compounding::Taylor => {
            // x = rate t / year; 1 + x + x (x / 2 + x (x / 6)) = 1 + x + x^2 / 2 + x^3 / 6
            let x = div(mul(rate.0, time)?, year())?;
            let sixth = ray_mul_half_up(x, Ray(div(x, U256::from(6_u8))?))?;
            let half = add(div(x, U256::from(2_u8))?, sixth)?;
            add(add(Ray::ONE.0, x)?, ray_mul_half_up(x, Ray(half))?).map(Ray)
        }
    }
}

/// `1 + first + t (t-1) p2 / 2 + t (t-1) (t-2) p3 / 6`, where `t - 2` is zero for `t` up to 2.
fn binomial(first: U256, squared: U256, cubed: U256, time: U256) -> Checked<Ray> {
    let one_less = time.saturating_sub(U256::from(1_u8));
    let two_less = time.saturating_sub(U256::from(2_u8));
    let pairs = mul(time, one_less)?;
    let second = div(mul(pairs, squared)?, U256::from(2_u8))?;
    let third = div(mul(mul(pairs, two_less)?, cubed)?, U256::from(6_u8))?;
    add(add(add(Ray::ONE.0, first)?, second)?, third).map(Ray)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ray(percent: u64) -> Ray {
        Ray(U256::from(percent) * U256::from(10).pow(U256::from(25)))
    }

    #[test]
    fn all_formulas_agree_to_first_order_and_stay_below_the_exponential() {
        for percent in [1, 5, 20, 100] {
            for days in [1_u64, 30, 365] {
                let time = days * 86_400;
                let exact = (percent as f64 / 100.0 * days as f64 / 365.0).exp();
                let linear = u128::try_from(linear(ray(percent), 0, time).unwrap().0).unwrap() as f64 / 1e27;
                for formula in [Compounding::RatePerSecond, Compounding::YearlyRate, Compounding::Taylor] {
                    let grown = compounded(formula, ray(percent), 0, time).unwrap();
                    let grown = u128::try_from(grown.0).unwrap() as f64 / 1e27;
                    // To 3.3 the cube of a rate per second is a few of a ray's last digits: rounding it to whole ones moves
                    // the third term by up to one and a half digits times t^3 / 6.
                    let seconds = time as f64;
                    let rounding = if formula == Compounding::Taylor { 0.0 } else { 1.5e-27 * seconds.powi(3) / 6.0 };
                    assert!(grown >= linear - rounding - 1e-9, "{formula:?} {percent} % {days} d");
                    assert!(grown <= exact + rounding + 1e-12, "{formula:?} {percent} % {days} d");
                    // What the fourth and later terms of the series would add.
                    let missing = (percent as f64 / 100.0).powi(4) / 10.0;
                    assert!(exact - grown <= missing + rounding + 1e-9, "{formula:?} {grown} {exact}");
                }
            }
        }
    }

    #[test]
    fn no_time_no_interest_and_time_does_not_run_back() {
        for formula in [Compounding::RatePerSecond, Compounding::YearlyRate, Compounding::Taylor] {
            assert_eq!(compounded(formula, ray(5), 7, 7), Ok(Ray::ONE));
            assert!(compounded(formula, ray(5), 8, 7).is_err());
        }
    }

    /// Products that the contracts cannot hold are errors, not wrapped numbers.
    #[test]
    fn absurd_rates_revert() {
        let rate = Ray(U256::MAX >> 8_usize);
        for formula in [Compounding::RatePerSecond, Compounding::YearlyRate, Compounding::Taylor] {
            assert!(compounded(formula, rate, 0, u64::from(u32::MAX)).is_err(), "{formula:?}");
        }
    }
}
