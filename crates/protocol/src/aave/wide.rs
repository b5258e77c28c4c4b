//! Products of 128-bit numbers and their division by powers of ten or by 128-bit numbers, without a 256-bit division.
//!
//! `10^k = 2^k * 5^k`, and `5^27 < 2^63`: a division by up to `10^27` is a shift and a division by one 64-bit word,
//! which a precomputed reciprocal turns into two multiplications a word (Möller and Granlund, "Improved division by
//! invariant integers", 2011, algorithm 4). A division by two words takes its reciprocal from one division of the
//! machine (algorithm 6), and then three multiplications a word (algorithm 5).

/// The largest power of ten that [`Product::div_pow10`] divides by; also a ray.
pub(crate) const MAX_POW10: u8 = 27;

/// `10^0 ..= 10^27`.
pub(crate) const POW10: [u128; 28] = {
    let mut table = [1_u128; 28];
    let mut k = 1_usize;
    while k < 28 {
        table[k] = table[k.wrapping_sub(1)].wrapping_mul(10);
        k = k.wrapping_add(1);
    }
    table
};

/// `5^k` shifted up to fill a word, by how far, and its reciprocal.
#[derive(Clone, Copy)]
struct Divisor {
    normalized: u64,
    shift: u32,
    reciprocal: u64,
}

const DIVISORS: [Divisor; 28] = {
    let mut table = [Divisor::of(1); 28];
    let mut power = 1_u64;
    let mut k = 1_usize;
    while k < 28 {
        power = power.wrapping_mul(5);
        table[k] = Divisor::of(power);
        k = k.wrapping_add(1);
    }
    table
};

impl Divisor {
    const fn of(value: u64) -> Self {
        let shift = value.leading_zeros();
        let normalized = value << shift;
        // floor((2^128 - 1) / d) - 2^64 = the low word, since 2^63 <= d < 2^64 makes the quotient lie in [2^64, 2^65).
        let reciprocal = low(u128::MAX.wrapping_div(widen(normalized)));
        Self { normalized, shift, reciprocal }
    }

    /// Quotient and remainder of `high * 2^64 + low` by the normalized divisor, for `high` below it.
    #[inline]
    fn divide(self, high_word: u64, low_word: u64) -> (u64, u64) {
        let estimate = widen(self.reciprocal)
            .wrapping_mul(widen(high_word))
            .wrapping_add((widen(high_word) << 64) | widen(low_word));
        let mut quotient = high(estimate).wrapping_add(1);
        let mut remainder = low_word.wrapping_sub(quotient.wrapping_mul(self.normalized));
        if remainder > low(estimate) {
            quotient = quotient.wrapping_sub(1);
            remainder = remainder.wrapping_add(self.normalized);
        }
        if remainder >= self.normalized {
            quotient = quotient.wrapping_add(1);
            remainder = remainder.wrapping_sub(self.normalized);
        }
        (quotient, remainder)
    }
}

/// A divisor of two words, shifted up to fill them, and its reciprocal.
#[derive(Clone, Copy)]
struct Wide {
    normalized: u128,
    reciprocal: u64,
}

impl Wide {
    /// For a divisor of which the highest bit is set.
    #[inline]
    fn of(normalized: u128) -> Self {
        let (d1, d0) = (high(normalized), low(normalized));
        // floor((2^128 - 1) / d1) - 2^64, as a dividend whose quotient has one word. The highest word is not zero.
        let dividend = (widen(!d1) << 64) | widen(u64::MAX);
        let mut reciprocal = low(dividend.checked_div(widen(d1)).unwrap_or(0));
        let mut rest = d1.wrapping_mul(reciprocal).wrapping_add(d0);
        if rest < d0 {
            reciprocal = reciprocal.wrapping_sub(1);
            if rest >= d1 {
                reciprocal = reciprocal.wrapping_sub(1);
                rest = rest.wrapping_sub(d1);
            }
            rest = rest.wrapping_sub(d1);
        }
        let product = widen(reciprocal).wrapping_mul(widen(d0));
        rest = rest.wrapping_add(high(product));
        if rest < high(product) {
            reciprocal = reciprocal.wrapping_sub(1);
            if (widen(rest) << 64) | widen(low(product)) >= normalized {
                reciprocal = reciprocal.wrapping_sub(1);
            }
        }
        Self { normalized, reciprocal }
    }

    /// Quotient and remainder of `upper * 2^64 + low_word`, for an `upper` below the normalized divisor.
    #[inline]
    fn divide(self, upper: u128, low_word: u64) -> (u64, u128) {
        let (d1, d0) = (high(self.normalized), low(self.normalized));
        let estimate = widen(self.reciprocal).wrapping_mul(widen(high(upper))).wrapping_add(upper);
        let mut quotient = high(estimate);
        let top = low(upper).wrapping_sub(quotient.wrapping_mul(d1));
        let mut remainder = ((widen(top) << 64) | widen(low_word))
            .wrapping_sub(widen(d0).wrapping_mul(widen(quotient)))
            .wrapping_sub(self.normalized);
        quotient = quotient.wrapping_add(1);
        if high(remainder) >= low(estimate) {
            quotient = quotient.wrapping_sub(1);
            remainder = remainder.wrapping_add(self.normalized);
        }
        if remainder >= self.normalized {
            quotient = quotient.wrapping_add(1);
            remainder = remainder.wrapping_sub(self.normalized);
        }
        (quotient, remainder)
    }
}

/// A product of two 128-bit numbers, least significant word first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Product([u64; 4]);

impl Product {
    /// `a * b`, at most `2^256 - 2^129 + 1`.
    #[inline]
    pub(crate) fn of(a: u128, b: u128) -> Self {
        let (a1, a0) = (widen(high(a)), widen(low(a)));
        let (b1, b0) = (widen(high(b)), widen(low(b)));
        // Schoolbook: each partial product is at most (2^64 - 1)^2, so a partial and two words fit 128 bits.
        let low_low = a0.wrapping_mul(b0);
        let cross = a1.wrapping_mul(b0).wrapping_add(widen(high(low_low)));
        let cross_two = a0.wrapping_mul(b1).wrapping_add(widen(low(cross)));
        let top = a1.wrapping_mul(b1).wrapping_add(widen(high(cross))).wrapping_add(widen(high(cross_two)));
        Self([low(low_low), low(cross_two), low(top), high(top)])
    }

    /// The sum, for an addend below `2^129 - 1`, which the largest product leaves room for.
    #[inline]
    pub(crate) fn plus(self, addend: u128) -> Self {
        let [w0, w1, w2, w3] = self.0;
        let (sum, carry) = ((widen(w1) << 64) | widen(w0)).overflowing_add(addend);
        let upper = ((widen(w3) << 64) | widen(w2)).wrapping_add(u128::from(carry));
        Self([low(sum), high(sum), low(upper), high(upper)])
    }

    /// `floor(self / 10^exponent)`, for an exponent of at most [`MAX_POW10`].
    #[inline]
    pub(crate) fn div_pow10(self, exponent: u8) -> [u64; 4] {
        let divisor = DIVISORS[usize::from(exponent.min(MAX_POW10))];
        let [n0, n1, n2, n3] = shift_right(self.0, u32::from(exponent));
        // The dividend is shifted up with the divisor; what leaves the top word starts as the remainder.
        let up = divisor.shift;
        let carry = |lower: u64| if up == 0 { 0 } else { lower >> (64_u32.wrapping_sub(up)) };
        let mut remainder = carry(n3);
        let mut quotient = [0_u64; 4];
        // Most products are far below 2^256: words above the first that counts stay zero.
        if n3 | n2 != 0 {
            (quotient[3], remainder) = divisor.divide(remainder, (n3 << up) | carry(n2));
            (quotient[2], remainder) = divisor.divide(remainder, (n2 << up) | carry(n1));
        } else {
            remainder = carry(n1);
        }
        (quotient[1], remainder) = divisor.divide(remainder, (n1 << up) | carry(n0));
        (quotient[0], _) = divisor.divide(remainder, n0 << up);
        quotient
    }

    /// The same where the quotient fits 128 bits, in two steps of the division; `None` where it does not.
    #[inline(always)]
    pub(crate) fn div_pow10_narrow(self, exponent: u8) -> Option<u128> {
        let divisor = DIVISORS[usize::from(exponent.min(MAX_POW10))];
        let [n0, n1, n2, n3] = shift_right(self.0, u32::from(exponent));
        // 5^27 < 2^63: every divisor is shifted up, by at most 63 bits, since 5^0 fills a bit.
        let up = divisor.shift;
        let carry = |lower: u64| lower >> (64_u32.wrapping_sub(up) & 63);
        let remainder = (n2 << up) | carry(n1);
        // What is above two words of the dividend must be a remainder, or the quotient has more than two words.
        if n3 | carry(n2) != 0 || remainder >= divisor.normalized {
            return None;
        }
        let (high_word, remainder) = divisor.divide(remainder, (n1 << up) | carry(n0));
        let (low_word, _) = divisor.divide(remainder, n0 << up);
        Some((widen(high_word) << 64) | widen(low_word))
    }

    /// Quotient and remainder by any divisor; `None` where that is zero or the quotient does not fit 128 bits.
    #[inline]
    pub(crate) fn div_rem(self, divisor: u128) -> Option<(u128, u128)> {
        let [n0, n1, n2, n3] = self.0;
        let (lower, upper) = ((widen(n1) << 64) | widen(n0), (widen(n3) << 64) | widen(n2));
        if upper >= divisor {
            return None;
        }
        let up = divisor.leading_zeros();
        let carried = if up == 0 { 0 } else { lower >> 128_u32.wrapping_sub(up) };
        let (upper, lower) = ((upper << up) | carried, lower << up);
        let divisor = Wide::of(divisor << up);
        let (high_word, remainder) = divisor.divide(upper, high(lower));
        let (low_word, remainder) = divisor.divide(remainder, low(lower));
        Some(((widen(high_word) << 64) | widen(low_word), remainder >> up))
    }
}

/// Shifts four words right by fewer than 64 bits.
#[inline]
fn shift_right(words: [u64; 4], bits: u32) -> [u64; 4] {
    if bits == 0 {
        return words;
    }
    let up = 64_u32.wrapping_sub(bits);
    let [w0, w1, w2, w3] = words;
    [(w0 >> bits) | (w1 << up), (w1 >> bits) | (w2 << up), (w2 >> bits) | (w3 << up), w3 >> bits]
}

#[allow(clippy::as_conversions, clippy::cast_lossless, reason = "`u128::from` is not const; the value is kept")]
const fn widen(word: u64) -> u128 {
    word as u128
}

#[allow(clippy::as_conversions, clippy::cast_possible_truncation, reason = "the low word is what is asked for")]
const fn low(value: u128) -> u64 {
    value as u64
}

const fn high(value: u128) -> u64 {
    low(value >> 64)
}

#[cfg(test)]
mod tests {
    use alloy_primitives::U256;
    use proptest::prelude::*;

    use super::*;

    /// Numbers of every length, with the edges of words likely.
    fn any_length() -> impl Strategy<Value = u128> {
        let edges = [0, 1, u64::MAX.into(), 1 << 64, (1 << 64) + 1, u128::MAX - 1, u128::MAX, POW10[18], POW10[27]];
        prop_oneof![
            3 => (any::<u128>(), 0_u32..128).prop_map(|(value, shift)| value >> shift),
            1 => prop::sample::select(edges.to_vec()),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn division_by_powers_of_ten_is_that_of_256_bits(a in any_length(), b in any_length(), k in 0_u8..=27) {
            let product = U256::from(a) * U256::from(b);
            for addend in [0, POW10[usize::from(k)] / 2, POW10[usize::from(k)] - 1] {
                let fast = U256::from_limbs(Product::of(a, b).plus(addend).div_pow10(k));
                let slow = (product + U256::from(addend)) / U256::from(POW10[usize::from(k)]);
                prop_assert_eq!(fast, slow, "({} * {} + {}) / 10^{}", a, b, addend, k);
                let narrow = Product::of(a, b).plus(addend).div_pow10_narrow(k);
                prop_assert_eq!(narrow, u128::try_from(slow).ok(), "({} * {} + {}) / 10^{}", a, b, addend, k);
            }
        }

        /// The corrections of a quotient's estimate are rare where numbers are drawn at random, and sure where the divisor
        /// or a product is a little off a power of two, or the dividend a little off a multiple of the divisor.
        #[test]
        fn division_by_128_bits_is_that_of_256_bits(
            a in any_length(),
            b in any_length(),
            divisor in any_length(),
            quotient in any_length(),
            near in 0_u64..4,
        ) {
            for (a, b, divisor) in [
                (a, b, divisor),
                (a, b, a),
                (a, b, b.wrapping_add(1)),
                (quotient, divisor, divisor),
                (quotient.wrapping_sub(u128::from(near)), divisor, divisor.wrapping_sub(u128::from(near))),
                (a, divisor, (u128::MAX << 64) | u128::from(low(b))),
                (a, divisor, (1 << 127) | u128::from(low(b))),
            ] {
                let product = U256::from(a) * U256::from(b);
                let expected = (divisor != 0).then(|| product.div_rem(U256::from(divisor)));
                let expected = expected.and_then(|(quotient, remainder)| {
                    Some((u128::try_from(quotient).ok()?, u128::try_from(remainder).ok()?))
                });
                prop_assert_eq!(Product::of(a, b).div_rem(divisor), expected, "{} * {} / {}", a, b, divisor);
            }
        }
    }
}
