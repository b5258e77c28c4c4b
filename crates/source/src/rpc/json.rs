//! The values that nodes write: numbers and bytes as hex in strings.

use std::borrow::Cow;

use alloy_primitives::{Bytes, hex};

/// A reply is not what the question asks for: cut off, of another shape, or with a value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    what: Cow<'static, str>,
}

impl Malformed {
    pub(super) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into() }
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "what it answers {}", self.what)
    }
}

impl std::error::Error for Malformed {}

/// `0x1b4`: at most 64 bits, with leading zeros or not.
pub(super) fn quantity(text: &str) -> Option<u64> {
    quantity_u128(text).and_then(|number| u64::try_from(number).ok())
}

/// `0x1b4`: at most 128 bits, with leading zeros or not.
pub(super) fn quantity_u128(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    // The standard library would take a sign.
    let is_hex = digits.len() <= 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u128::from_str_radix(digits, 16).ok() } else { None }
}

/// `0x` and exactly `N` bytes.
pub(super) fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    let mut bytes = [0; N];
    // The decoder would take a second prefix; the length leaves no room for one.
    (digits.len() == 2 * N && !digits.starts_with("0x")).then_some(())?;
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// `0x` and any number of whole bytes.
pub(super) fn bytes(text: &str) -> Option<Bytes> {
    let digits = text.strip_prefix("0x")?;
    if digits.starts_with("0x") {
        return None;
    }
    hex::decode(digits).ok().map(Bytes::from)
}
