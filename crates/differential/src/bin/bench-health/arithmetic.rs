//! What one multiplication of rays costs.

use std::hint::black_box;

use alloy_primitives::U256;
use differential::chance::Chance;
use protocol::aave::math::{Ray, Rounding, ray_mul, reference};

use crate::{RUNS, best, heading, line};

const COUNT: usize = 4_096;

/// Prints both; says what the fast one takes, in seconds.
pub(crate) fn report() -> f64 {
    heading("a balance from a scaled balance and an index (rayMul, half up)");
    let chance = &mut Chance::new(1, 1);
    let operands: Vec<(U256, Ray)> = (0..COUNT)
        .map(|_| (U256::from(u128::from(chance.bits()) << 20), Ray(Ray::ONE.0 + U256::from(chance.bits()))))
        .collect();
    let each = |work: &dyn Fn(U256, Ray) -> U256| {
        let all = best(RUNS * 10, || {
            for (amount, index) in black_box(&operands) {
                black_box(work(*amount, *index));
            }
        });
        all / COUNT as f64
    };
    let slow =
        each(&|amount, index| reference::mul_div(amount, index.0, Ray::ONE.0, Rounding::HalfUp).unwrap_or_default());
    let fast = each(&|amount, index| ray_mul(amount, index, Rounding::HalfUp).unwrap_or_default());
    line("in 256-bit integers throughout", slow * 1e9, "ns", "");
    line("below 2^128", fast * 1e9, "ns", &format!("{:.1} times as fast", slow / fast));
    fast
}
