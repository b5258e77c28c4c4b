//! Chance that is counted, not drawn: the same seed gives the same numbers on every machine and thread.

use alloy_primitives::U256;

/// A stream of numbers, fixed by its seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The stream of a seed and a purpose, so that streams of one seed do not repeat one another.
    pub fn new(seed: u64, purpose: u64) -> Self {
        let mut chance = Self { state: seed ^ purpose.wrapping_mul(0xd134_2543_de82_ef95) };
        chance.bits();
        chance
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero where `end` is zero.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// An index into something of this length.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// A number from `first` to `last`, both included.
    pub fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// The same for small numbers.
    pub fn bps(&mut self, first: u16, last: u16) -> u16 {
        u16::try_from(self.within(u64::from(first), u64::from(last))).unwrap_or(last)
    }

    /// True about `percent` times in a hundred.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// One of several, each as likely.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }

    /// A number up to `limit`, evenly spread.
    pub fn up_to(&mut self, limit: U256) -> U256 {
        let random = U256::from_limbs([self.bits(), self.bits(), self.bits(), self.bits()]);
        match limit.checked_add(U256::from(1)) {
            Some(end) => random % end,
            None => random,
        }
    }

    /// A number between two powers of ten, as likely to have few digits as many.
    pub fn magnitude(&mut self, low: u64, high: u64) -> U256 {
        let scale = U256::from(10).pow(U256::from(self.within(low, high.saturating_sub(1))));
        scale + self.up_to(scale * U256::from(9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_all_there_is() {
        let draw = |seed, purpose| (0..4).map(|_| Chance::new(seed, purpose).bits()).collect::<Vec<_>>();
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(2, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
    }

    #[test]
    fn magnitudes_stay_between_their_powers() {
        let mut chance = Chance::new(7, 0);
        for _ in 0..1_000 {
            let number = chance.magnitude(3, 6);
            assert!(number >= U256::from(1_000) && number <= U256::from(1_000_000), "{number}");
        }
    }
}
