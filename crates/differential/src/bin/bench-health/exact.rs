//! Many accounts valued to the last unit, under one price vector.

use std::hint::black_box;

use anyhow::Result;
use protocol::aave::Revision;
use protocol::aave::account::{Leg, Valuation};

use crate::people::{LEGS, People, value};
use crate::{best, heading, line};

const RUNS: usize = 7;

/// Legs of 5,000 accounts: about a millisecond.
const PART: usize = 5_000 * LEGS;

/// Prints what each formula costs; says what an account takes in 3.6, in seconds.
pub(crate) fn report(people: &People, ray_mul: f64) -> Result<f64> {
    let bytes = size_of::<Leg>() * LEGS;
    heading(&format!(
        "\n{} accounts with {LEGS} legs, {bytes} bytes each, to the last unit (best of {RUNS})",
        people.count()
    ));
    let mut latest = 0.0;
    for revision in [Revision::V2, Revision::V3_0_2, Revision::V3_6] {
        let valuation = value(revision, &people.reserves)?;
        let each = all(people, &valuation) / people.count() as f64;
        line(&format!("revision {}", revision.name()), 1e-6 / each, "M accounts/s", "");
        latest = each;
    }
    let leg = latest / LEGS as f64;
    line("of it, a leg", leg * 1e9, "ns", &format!("{:.1} times one rayMul, of which it needs one", leg / ray_mul));
    Ok(latest)
}

/// The sum of each part's best time, in seconds: parts so short that other programs seldom interrupt them, and so many
/// that none is in the caches when its turn comes again.
fn all(people: &People, valuation: &Valuation) -> f64 {
    let mut parts = vec![f64::INFINITY; people.legs.len().div_ceil(PART)];
    for _ in 0..RUNS {
        for (legs, least) in people.legs.chunks(PART).zip(&mut parts) {
            let seconds = best(1, || {
                for legs in legs.chunks_exact(LEGS) {
                    let _ = black_box(valuation.account(0, black_box(legs)));
                }
            });
            *least = least.min(seconds);
        }
    }
    parts.iter().sum()
}
