//! Exact amounts: integers in a token's smallest unit, and US dollars with eight decimals.
//!
//! Text becomes an integer digit by digit; it never passes through a float. The largest amount is the largest that a
//! table column of 38 decimal digits holds, 10^38 - 1; anything above it is an error, not a wrapped number.

use std::fmt;

use alloy_primitives::U256;

/// The largest number of 38 decimal digits, the bound of every amount column.
pub const MAX_38_DIGITS: u128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

/// Decimals of [`Usd8`].
pub const USD_DECIMALS: u8 = 8;

/// An amount in a token's smallest unit (wei for ether), at most [`MAX_38_DIGITS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Raw(u128);

/// US dollars in units of 10^-8, at most 38 digits; negative only where a figure may be negative (a loss).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd8(pub i128);

/// Why a text is no amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountError {
    /// Nothing but white space.
    Empty,
    /// Not a plain decimal number.
    NotANumber,
    /// Below zero, where an amount cannot be.
    Negative,
    /// More than 38 digits once it is in the smallest unit.
    TooLarge,
    /// Digits beyond the token's decimals, so that it is no whole number of smallest units.
    TooFine,
    /// Written as `1.5e-7`: printed from a float, so that its last digits are not the chain's.
    Scientific,
}

impl fmt::Display for AmountError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::NotANumber => "is not a plain decimal number (no separators, no currency sign)",
            Self::Negative => "is negative",
            Self::TooLarge => "has more than 38 digits",
            Self::TooFine => "has more digits than the token has decimals",
            Self::Scientific => "is in scientific notation, so it was printed from a float",
        })
    }
}

impl Raw {
    /// The amount, if it has at most 38 digits.
    #[must_use]
    pub fn new(units: u128) -> Option<Self> {
        (units <= MAX_38_DIGITS).then_some(Self(units))
    }

    /// The number of smallest units.
    #[must_use]
    pub const fn units(self) -> u128 {
        self.0
    }

    /// Reads an integer number of smallest units, such as `1500000000000000000`.
    ///
    /// # Errors
    /// Anything that is not a whole, non-negative number of at most 38 digits.
    pub fn parse_units(text: &str) -> Result<Self, AmountError> {
        Self::parse_tokens(text, 0)
    }

    /// Reads a decimal number of tokens, such as `1.5` with 18 decimals, as `1.5 * 10^18` smallest units, exactly.
    ///
    /// # Errors
    /// Text that is no number, is negative, is too fine for the decimals, or has more than 38 digits.
    pub fn parse_tokens(text: &str, decimals: u8) -> Result<Self, AmountError> {
        let decimal = Decimal::parse(text)?;
        if decimal.negative && decimal.digits != 0 {
            return Err(AmountError::Negative);
        }
        decimal.rescale_exactly(decimals).map(Self)
    }
}

impl Usd8 {
    /// Reads a decimal number of US dollars and rounds half away from zero to eight decimals.
    ///
    /// # Errors
    /// Text that is no number or has more than 38 digits at eight decimals.
    pub fn parse_rounding(text: &str) -> Result<Self, AmountError> {
        let decimal = Decimal::parse(text)?;
        let magnitude = decimal.rescale_half_up(USD_DECIMALS)?;
        let signed = i128::try_from(magnitude).map_err(|_| AmountError::TooLarge)?;
        Ok(Self(if decimal.negative { signed.saturating_neg() } else { signed }))
    }

    /// The sum, or `None` where it leaves 128 bits.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where it leaves 128 bits.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

impl fmt::Display for Usd8 {
    /// All eight decimals, such as `16.99157993`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ONE: u128 = 100_000_000;
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{}.{:08}", magnitude / ONE, magnitude % ONE)
    }
}

/// The value of a decimal number of tokens at a decimal price in US dollars, rounded half up to eight decimals.
///
/// Both are first rounded to 18 decimals, then multiplied in 256 bits:
/// `usd8 = tokens18 * price18 / 10^28`, since 18 + 18 - 28 = 8 decimals.
///
/// # Errors
/// Text that is no number, or a number or product of more than 38 digits.
pub fn value_usd(tokens: &str, price_usd: &str) -> Result<Usd8, AmountError> {
    let wide = |text| Ok(U256::from(Decimal::parse(text)?.rescale_half_up(18)?));
    // 10^38 * 10^38 < 2^256: neither the product nor the half unit can wrap.
    let product = wide(tokens)?.saturating_mul(wide(price_usd)?);
    const UNIT: u128 = 10_u128.pow(28);
    const HALF_UNIT: u128 = UNIT / 2;
    let quotient = product.saturating_add(U256::from(HALF_UNIT)).checked_div(U256::from(UNIT)).unwrap_or_default();
    let units = u128::try_from(quotient).ok().and_then(Raw::new).ok_or(AmountError::TooLarge)?;
    i128::try_from(units.units()).map(Usd8).map_err(|_| AmountError::TooLarge)
}

/// Digits and where the point stands: `-12.50` is `digits` 1250, `scale` 2, negative.
struct Decimal {
    digits: u128,
    scale: u8,
    negative: bool,
    /// The first digit that no longer fitted a scale of 255 or 38 digits, for rounding; only fractional digits go there.
    dropped: Option<u8>,
}

impl Decimal {
    fn parse(text: &str) -> Result<Self, AmountError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AmountError::Empty);
        }
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..).unwrap_or("")),
            Some(b'+') => (false, text.get(1..).unwrap_or("")),
            _ => (false, text),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(AmountError::NotANumber);
        }
        let mut decimal = Self { digits: 0, scale: 0, negative, dropped: None };
        for &byte in whole.as_bytes() {
            decimal.digits = push_digit(decimal.digits, digit(byte, unsigned)?).ok_or(AmountError::TooLarge)?;
        }
        // Zeros at the end of a fraction say nothing; without them `1.500000` is as exact as `1.5`.
        for &byte in fraction.trim_end_matches('0').as_bytes() {
            decimal.push_fraction(digit(byte, unsigned)?);
        }
        Ok(decimal)
    }

    fn push_fraction(&mut self, digit: u8) {
        let room = self.dropped.is_none() && self.scale < u8::MAX;
        match push_digit(self.digits, digit).filter(|_| room) {
            Some(digits) => {
                self.digits = digits;
                self.scale = self.scale.saturating_add(1);
            }
            None => self.dropped = self.dropped.or(Some(digit)),
        }
    }

    fn rescale_exactly(&self, decimals: u8) -> Result<u128, AmountError> {
        let missing =
            decimals.checked_sub(self.scale).filter(|_| self.dropped.is_none()).ok_or(AmountError::TooFine)?;
        scale_up(self.digits, missing)
    }

    fn rescale_half_up(&self, decimals: u8) -> Result<u128, AmountError> {
        if let Some(missing) = decimals.checked_sub(self.scale) {
            // Digits are dropped only past the 38th, so the one dropped first stands at the place after `scale`.
            let rounds_up = missing == 0 && self.dropped.is_some_and(|digit| digit >= 5);
            if missing > 0 && self.dropped.is_some() {
                return Err(AmountError::TooLarge);
            }
            return bounded(scale_up(self.digits, missing)?.saturating_add(u128::from(rounds_up)));
        }
        let surplus = u32::from(self.scale.saturating_sub(decimals));
        let Some(unit) = 10_u128.checked_pow(surplus) else {
            return Ok(0);
        };
        // q = floor(d / u); it rounds up where the remainder is at least half a unit: 2 r >= u.
        let quotient = self.digits.checked_div(unit).unwrap_or(0);
        let remainder = self.digits.checked_rem(unit).unwrap_or(0);
        bounded(quotient.saturating_add(u128::from(remainder >= unit.div_ceil(2))))
    }
}

fn digit(byte: u8, number: &str) -> Result<u8, AmountError> {
    match byte {
        b'0'..=b'9' => Ok(byte.wrapping_sub(b'0')),
        b'e' | b'E' if is_scientific(number) => Err(AmountError::Scientific),
        _ => Err(AmountError::NotANumber),
    }
}

/// Whether an unsigned number reads `digits[.digits]e[+-]digits`.
fn is_scientific(number: &str) -> bool {
    let Some((mantissa, exponent)) = number.split_once(['e', 'E']) else {
        return false;
    };
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    all_digits(whole) && all_digits(fraction) && all_digits(exponent.trim_start_matches(['+', '-']))
}

fn push_digit(digits: u128, digit: u8) -> Option<u128> {
    let pushed = digits.checked_mul(10)?.checked_add(u128::from(digit))?;
    (pushed <= MAX_38_DIGITS).then_some(pushed)
}

fn scale_up(digits: u128, places: u8) -> Result<u128, AmountError> {
    if digits == 0 {
        return Ok(0);
    }
    let factor = 10_u128.checked_pow(u32::from(places)).ok_or(AmountError::TooLarge)?;
    bounded(digits.checked_mul(factor).ok_or(AmountError::TooLarge)?)
}

fn bounded(value: u128) -> Result<u128, AmountError> {
    if value <= MAX_38_DIGITS { Ok(value) } else { Err(AmountError::TooLarge) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tokens(text: &str, decimals: u8) -> Result<u128, AmountError> {
        Raw::parse_tokens(text, decimals).map(Raw::units)
    }

    #[test]
    fn amounts_are_read_exactly_or_refused() {
        let eighty = "9".repeat(80);
        for (text, decimals, expected) in [
            ("1.5", 18, Ok(1_500_000_000_000_000_000)),
            ("0.00074305", 8, Ok(74_305)),
            ("0.000743050000000", 8, Ok(74_305)),
            ("+3", 6, Ok(3_000_000)),
            (".5", 1, Ok(5)),
            ("5.", 1, Ok(50)),
            ("-0.0", 6, Ok(0)),
            (" 7 ", 0, Ok(7)),
            ("99999999999999999999999999999999999999", 0, Ok(MAX_38_DIGITS)),
            ("100000000000000000000000000000000000000", 0, Err(AmountError::TooLarge)),
            ("0", 255, Ok(0)),
            ("1", 38, Err(AmountError::TooLarge)),
            (&eighty, 0, Err(AmountError::TooLarge)),
            ("0.000743051", 8, Err(AmountError::TooFine)),
            ("-1", 6, Err(AmountError::Negative)),
            ("", 6, Err(AmountError::Empty)),
            ("  ", 6, Err(AmountError::Empty)),
            (".", 6, Err(AmountError::NotANumber)),
            ("-", 6, Err(AmountError::NotANumber)),
            ("1,234.5", 6, Err(AmountError::NotANumber)),
            ("0x10", 0, Err(AmountError::NotANumber)),
            ("NaN", 6, Err(AmountError::NotANumber)),
            ("1e", 6, Err(AmountError::NotANumber)),
            ("e5", 6, Err(AmountError::NotANumber)),
            ("١", 6, Err(AmountError::NotANumber)),
            ("6.0306e-14", 18, Err(AmountError::Scientific)),
        ] {
            assert_eq!(tokens(text, decimals), expected, "{text} with {decimals} decimals");
        }
    }

    #[test]
    fn dollars_round_half_away_from_zero() {
        for (text, expected) in [
            ("16.991579933937597", Ok(1_699_157_993)),
            ("0.000000005", Ok(1)),
            ("0.0000000049999", Ok(0)),
            ("-0.000000005", Ok(-1)),
            ("740543400", Ok(74_054_340_000_000_000)),
            ("0.99999999999999999999999999999999999999999999", Ok(100_000_000)),
            (&"9".repeat(31), Err(AmountError::TooLarge)),
        ] {
            assert_eq!(Usd8::parse_rounding(text).map(|usd| usd.0), expected, "{text}");
        }
    }

    #[test]
    fn a_value_is_amount_times_price() {
        for (tokens, price, expected) in [
            ("1.5", "2000", Ok(300_000_000_000)),
            ("0.00074305", "22867.343966001747", Ok(1_699_157_993)),
            ("0.00000001", "0.5", Ok(1)),
            ("1", "0", Ok(0)),
            ("99999999999999999999", "99999999999999999999", Err(AmountError::TooLarge)),
        ] {
            assert_eq!(value_usd(tokens, price).map(|usd| usd.0), expected, "{tokens} at {price}");
        }
    }

    proptest! {
        #[test]
        fn units_written_as_tokens_read_back(units in 0..=MAX_38_DIGITS, decimals in 0_u8..=38) {
            let unit = 10_u128.pow(u32::from(decimals));
            let text = format!("{}.{:0width$}", units / unit, units % unit, width = usize::from(decimals));
            prop_assert_eq!(tokens(&text, decimals), Ok(units));
        }

        #[test]
        fn dollars_written_read_back(usd in -(MAX_38_DIGITS.cast_signed())..=MAX_38_DIGITS.cast_signed()) {
            prop_assert_eq!(Usd8::parse_rounding(&Usd8(usd).to_string()), Ok(Usd8(usd)));
        }

        #[test]
        fn rounding_moves_dollars_by_at_most_half_a_unit(whole in 0_u64.., fraction in "[0-9]{1,27}") {
            let text = format!("{whole}.{fraction}");
            if let Ok(rounded) = Usd8::parse_rounding(&text) {
                // Compare at 27 decimals in wide integers: |rounded * 10^19 - digits| <= 10^19 / 2.
                let digits = alloy_primitives::I256::try_from(
                    alloy_primitives::U256::from_str_radix(&format!("{whole}{fraction:0<27}"), 10).unwrap()).unwrap();
                let unit = alloy_primitives::I256::try_from(10_i128.pow(19)).unwrap();
                let difference = alloy_primitives::I256::try_from(rounded.0).unwrap() * unit - digits;
                prop_assert!(difference.abs() * alloy_primitives::I256::try_from(2_i8).unwrap() <= unit);
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC*", decimals: u8) {
            let _ = tokens(&text, decimals);
            let _ = Usd8::parse_rounding(&text);
        }
    }
}
