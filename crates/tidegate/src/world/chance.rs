//! Chance that can be recomputed: the same (seed, stream, index) gives the same bits, in any order and on any machine.

/// The odd constant of SplitMix64, 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers, read by index rather than in turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The stream from which all others of a seed branch off.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own under this one.
    pub(crate) const fn stream(self, label: u64) -> Self {
        Self(mix(self.0 ^ mix(label.wrapping_add(GOLDEN))))
    }

    /// The 64 bits at an index: the output of SplitMix64 (S. Vigna, `splitmix64.c`) after that many steps.
    pub(crate) const fn bits(self, index: u64) -> u64 {
        mix(self.0.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
    }

    /// A number below a bound.
    pub(crate) fn below(self, index: u64, bound: u64) -> u64 {
        // The high half of the product; what it is off an even spread is less than bound / 2^64.
        let product = u128::from(self.bits(index)) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }

    /// A number from `from` up to and without `to`.
    pub(crate) fn between(self, index: u64, from: u64, to: u64) -> u64 {
        from + self.below(index, to - from)
    }

    /// Nearly a normal deviate, in thousandths: the sum of eight uniform 16-bit numbers, at most 4.9 either way.
    pub(crate) fn normal_milli(self, index: u64) -> i64 {
        let words = [self.bits(2 * index), self.bits(2 * index + 1)];
        let sum: i64 = words
            .iter()
            .flat_map(|word| [word & 0xFFFF, (word >> 16) & 0xFFFF, (word >> 32) & 0xFFFF, word >> 48])
            .map(u64::cast_signed)
            .sum();
        // Mean 8 * 65535 / 2 = 262140; deviation 65536 * sqrt(8 / 12) = 53510.
        (sum - 262_140) * 1_000 / 53_510
    }

    /// Random bytes, such as an address or a hash.
    pub(crate) fn bytes<const N: usize>(self, index: u64) -> [u8; N] {
        let stream = self.stream(index);
        let mut bytes = [0; N];
        for (word, part) in (0..).zip(bytes.chunks_mut(8)) {
            part.copy_from_slice(&stream.bits(word).to_be_bytes()[..part.len()]);
        }
        bytes
    }
}

const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let chance = Chance::new(1_234_567);
        let expected = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([0, 1, 2].map(|index| chance.bits(index)), expected);
    }

    #[test]
    fn numbers_stay_within_their_bounds_and_spread() {
        let chance = Chance::new(7).stream(1);
        let draws: Vec<u64> = (0..10_000).map(|index| chance.below(index, 10)).collect();
        for digit in 0..10 {
            let count = draws.iter().filter(|draw| **draw == digit).count();
            assert!((900..1_100).contains(&count), "{digit}: {count}");
        }
        let normal: Vec<i64> = (0..10_000).map(|index| chance.normal_milli(index)).collect();
        let variance = normal.iter().map(|z| z * z).sum::<i64>() / 10_000;
        assert!((950_000..1_050_000).contains(&variance), "{variance}");
        assert!((normal.iter().sum::<i64>() / 10_000).abs() < 40);
    }

    #[test]
    fn streams_differ() {
        let chance = Chance::new(1);
        assert_ne!(chance.stream(0).bits(0), chance.stream(1).bits(0));
        assert_ne!(chance.bytes::<20>(0), chance.bytes::<20>(1));
    }
}
