//! The fast arithmetic against 256-bit integers, and its bounds against the contracts' own conditions.
//!
//! Run it with `cargo install cargo-fuzz --locked` and `cargo +nightly fuzz run arithmetic -- -max_total_time=180`.

#![no_main]

use alloy_primitives::U256;
use libfuzzer_sys::fuzz_target;
use protocol::aave::interest::{compounded, linear};
use protocol::aave::math::reference::mul_div;
use protocol::aave::math::{
    Bps, Ray, Rounding, percent_div, percent_mul, ray_div, ray_mul, unit, value, wad_div_half_up,
};
use protocol::aave::revision::Compounding;

const ROUNDINGS: [Rounding; 3] = [Rounding::HalfUp, Rounding::Floor, Rounding::Ceil];

fuzz_target!(|input: ([u64; 4], [u64; 4], u8, u8, u8, u16, u32)| {
    let (a, b, shift_a, shift_b, decimals, bps, seconds) = input;
    let a = U256::from_limbs(a) >> usize::from(shift_a);
    let b = U256::from_limbs(b) >> usize::from(shift_b);
    products(a, b, decimals, bps);
    interest(a, seconds);
});

/// Every product and quotient is the reference's, and fails where a `require` of the contracts would.
fn products(a: U256, b: U256, decimals: u8, bps: u16) {
    let (ray, wad, whole) = (Ray::ONE.0, U256::from(10).pow(U256::from(18)), U256::from(10_000));
    let percentage = Bps(bps);
    for rounding in ROUNDINGS {
        assert_eq!(ray_mul(a, Ray(b), rounding), mul_div(a, b, ray, rounding));
        assert_eq!(ray_div(a, Ray(b), rounding), mul_div(a, ray, b, rounding));
        assert_eq!(percent_mul(a, percentage, rounding), mul_div(a, percentage.wide(), whole, rounding));
        assert_eq!(percent_div(a, percentage, rounding), mul_div(a, whole, percentage.wide(), rounding));
        match unit(decimals) {
            Ok(unit) => assert_eq!(value(a, b, decimals, rounding), mul_div(a, b, unit, rounding)),
            Err(_) => assert!(value(a, b, decimals, rounding).is_err() && decimals > 77),
        }
        let half = if rounding == Rounding::HalfUp { U256::from(2) } else { U256::MAX };
        let fits = b.is_zero() || a <= (U256::MAX - ray / half) / b;
        assert_eq!(ray_mul(a, Ray(b), rounding).is_ok(), fits);
        let fits = !b.is_zero() && a <= (U256::MAX - b / half) / ray;
        assert_eq!(ray_div(a, Ray(b), rounding).is_ok(), fits);
    }
    assert_eq!(wad_div_half_up(a, b), mul_div(a, wad, b, Rounding::HalfUp));
    // There and back loses at most half a unit's worth, where both ways fit.
    if let Ok(scaled) = ray_div(a, Ray(b), Rounding::Floor)
        && let Ok(back) = ray_mul(scaled, Ray(b), Rounding::Floor)
    {
        assert!(back <= a && a - back <= b / ray + U256::from(1));
    }
}

/// Interest is at least one, grows with time, and compounds to no less than it adds up to, but for V2's floored rate.
fn interest(rate: U256, seconds: u32) {
    let (rate, until) = (Ray(rate), u64::from(seconds));
    let simple = linear(rate, 0, until);
    for formula in [Compounding::RatePerSecond, Compounding::YearlyRate, Compounding::Taylor] {
        let Ok(grown) = compounded(formula, rate, 0, until) else { continue };
        assert!(grown >= Ray::ONE);
        if let Ok(earlier) = compounded(formula, rate, 0, until / 2) {
            assert!(earlier <= grown);
        }
        let floored = match formula {
            Compounding::RatePerSecond => U256::from(until),
            Compounding::YearlyRate | Compounding::Taylor => U256::ZERO,
        };
        if let Ok(simple) = simple {
            assert!(grown.0 + floored >= simple.0, "{formula:?} {grown:?} {simple:?}");
        }
    }
    assert_eq!(simple.is_ok(), seconds == 0 || rate.0 <= largest(seconds));
}

/// The largest rate whose product with a time fits 256 bits.
fn largest(seconds: u32) -> U256 {
    U256::MAX / U256::from(seconds)
}
