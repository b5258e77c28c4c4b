//! Amounts of which half is left after each half-life, in integers.

use protocol::U256;

/// Binary places of a factor.
const FACTOR_PLACES: usize = 127;
/// Binary places of a fraction of a half-life.
const PART_PLACES: usize = 96;
/// Binary places that an amount has besides its whole units.
const PLACES: usize = 28;

/// An amount that decays. It is kept to 2^-28 of a unit and rounded down at each step, so that many short steps come within one unit
/// of one long step: each loses less than 2^-28 of a unit, and the factor's own error of 2^-95 is nothing to amounts below 2^64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decaying {
    /// In units of 2^-28.
    scaled: U256,
    half_life_s: Option<u64>,
    /// The length of the last step and its factor: steps mostly are alike.
    last: (u64, U256),
}

impl Decaying {
    /// An amount (at most [`super::MAX_USD8`]) and its half-life; without one it stays.
    #[must_use]
    pub fn new(amount: u128, half_life_s: Option<u64>) -> Self {
        Self { scaled: scaled(amount), half_life_s: half_life_s.filter(|seconds| *seconds > 0), last: (0, one()) }
    }

    /// The amount, rounded down.
    #[must_use]
    pub fn amount_floor(&self) -> u128 {
        u128::try_from(self.scaled.wrapping_shr(PLACES)).unwrap_or(u128::MAX)
    }

    /// Lets time pass: `amount * 2^(-seconds / half life)`, rounded down.
    pub fn pass(&mut self, seconds: u64) {
        let Some(half_life) = self.half_life_s else { return };
        let (halvings, rest) = (seconds / half_life, seconds % half_life);
        if self.last.0 != rest {
            self.last = (rest, factor(rest, half_life));
        }
        let halved = self.scaled.wrapping_shr(usize::try_from(halvings.min(256)).unwrap_or(256));
        // Both are bounded so that the product fits: see MAX_USD8.
        self.scaled = halved.saturating_mul(self.last.1).wrapping_shr(FACTOR_PLACES);
    }

    /// Makes it larger.
    pub fn add(&mut self, amount: u128) {
        self.scaled = self.scaled.saturating_add(scaled(amount)).min(scaled(super::MAX_USD8));
    }
}

fn scaled(amount: u128) -> U256 {
    U256::from(amount.min(super::MAX_USD8)).wrapping_shl(PLACES)
}

fn one() -> U256 {
    U256::from(1_u8).wrapping_shl(FACTOR_PLACES)
}

/// 2^(-rest / whole) for a rest below the whole, rounded down, with 127 binary places: the product of the roots 2^(-2^-k) over the
/// binary digits of the fraction.
fn factor(rest: u64, whole: u64) -> U256 {
    let part = U256::from(rest).wrapping_shl(PART_PLACES).checked_div(U256::from(whole)).unwrap_or_default();
    let mut factor = one();
    let mut root = one().wrapping_shr(1);
    for digit in (0..PART_PLACES).rev() {
        root = square_root_floor(root.wrapping_shl(FACTOR_PLACES));
        if part.bit(digit) {
            factor = factor.saturating_mul(root).wrapping_shr(FACTOR_PLACES);
        }
    }
    factor
}

/// The square root, rounded down, by Newton's steps from above.
fn square_root_floor(square: U256) -> U256 {
    if square.is_zero() {
        return square;
    }
    let mut root = U256::from(1_u8).wrapping_shl(square.bit_len().div_ceil(2));
    loop {
        let next = square.checked_div(root).unwrap_or_default().saturating_add(root).wrapping_shr(1);
        if next >= root {
            return root;
        }
        root = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn half_is_left_after_a_half_life_however_it_passed(
            amount in 0_u128..1 << 64,
            half_life in 1_u64..1 << 40,
            cuts in prop::collection::vec(0_u64..1 << 40, 0..200),
            lives in 1_u32..5,
        ) {
            let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| cut % half_life).collect();
            cuts.sort_unstable();
            cuts.push(half_life);
            let mut decaying = Decaying::new(amount, Some(half_life));
            for _ in 0..lives {
                let mut now = 0;
                for cut in &cuts {
                    decaying.pass(cut - now);
                    now = *cut;
                }
            }
            let exact = amount >> lives;
            let found = decaying.amount_floor();
            prop_assert!(found <= exact && exact <= found + 1, "{found} and {exact}");
        }

        #[test]
        fn a_part_of_a_half_life_is_what_floats_say(amount in 1_u128..1 << 50, rest in 0_u64..1_000_000) {
            let mut decaying = Decaying::new(amount, Some(1_000_000));
            decaying.pass(rest);
            let float = amount as f64 * (-(rest as f64) / 1e6).exp2();
            prop_assert!((decaying.amount_floor() as f64 - float).abs() < 1.5, "{float}");
        }

        #[test]
        fn a_root_is_the_largest_whose_square_fits(square: [u64; 4]) {
            let square = U256::from_limbs(square);
            let root = square_root_floor(square);
            prop_assert!(root.checked_mul(root).is_some_and(|found| found <= square));
            let above = root + U256::from(1_u8);
            prop_assert!(above.checked_mul(above).is_none_or(|found| found > square));
        }
    }

    #[test]
    fn the_largest_amount_decays_without_wrapping() {
        let mut decaying = Decaying::new(super::super::MAX_USD8, Some(7));
        decaying.pass(0);
        assert_eq!(decaying.amount_floor(), super::super::MAX_USD8);
        decaying.pass(7);
        assert_eq!(decaying.amount_floor(), super::super::MAX_USD8 / 2);
        decaying.pass(u64::MAX);
        assert_eq!(decaying.amount_floor(), 0);
        let mut constant = Decaying::new(5, None);
        constant.pass(u64::MAX);
        assert_eq!(constant.amount_floor(), 5);
    }
}
