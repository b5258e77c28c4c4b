//! Reading what nodes write: a scanner that goes over a reply once, and numbers and bytes as hex in strings.

use std::borrow::Cow;
use std::ops::Range;

use alloy_primitives::{Bytes, hex};

/// A reply is not what the question asks for: cut off, of another shape, or with a value that cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    what: Cow<'static, str>,
    cut: bool,
}

impl Malformed {
    pub(super) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), cut: false }
    }

    fn cut() -> Self {
        Self { what: Cow::Borrowed("ends before it is whole"), cut: true }
    }

    /// Whether the reply merely ends too early, as one does whose connection broke.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "what it answers {}", self.what)
    }
}

impl std::error::Error for Malformed {}

/// How deep a value that is passed over may be nested. Nothing a node means to say comes near it.
const MAX_DEPTH: usize = 256;

/// A place in a JSON text. It takes what is there, and fails where something else is: it is exact about structure and strings,
/// and lenient about what values it passes over look like inside.
#[derive(Debug, Clone)]
pub(super) struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The next byte that is not white space.
    pub(super) fn peek(&mut self) -> Result<u8, Malformed> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Ok(*byte);
            }
            self.at += 1;
        }
        Err(Malformed::cut())
    }

    pub(super) fn take(&mut self, expected: u8) -> Result<(), Malformed> {
        if self.peek()? == expected {
            self.at += 1;
            return Ok(());
        }
        Err(Malformed::new("is not of the right shape"))
    }

    /// Takes a byte if it is the next one.
    pub(super) fn takes(&mut self, expected: u8) -> Result<bool, Malformed> {
        let is_next = self.peek()? == expected;
        self.at += usize::from(is_next);
        Ok(is_next)
    }

    /// Only white space is left.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Ok(_) => Err(Malformed::new("goes on behind its end")),
            Err(_) => Ok(()),
        }
    }

    /// What stands between the quotes of a string, escapes left as they are: no name and no hex that is waited for has any.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Malformed> {
        self.take(b'"')?;
        let begin = self.at;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(stop) = quote_or_backslash(rest) else { return Err(Malformed::cut()) };
            self.at += stop + 1;
            if rest[stop] == b'"' {
                return Ok(&self.text[begin..self.at - 1]);
            }
            self.at += 1;
        }
    }

    /// A string that is `0x` and exactly `N` bytes, read without looking for its end first.
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(b'"')?;
        let bad = || Malformed::new("has an address, a hash or a topic that is none");
        let rest = &self.text[self.at..];
        let mut bytes = [0; N];
        let Some((value, _)) = rest.split_at_checked(2 * N + 3) else {
            return Err(if quote_or_backslash(rest).is_none() { Malformed::cut() } else { bad() });
        };
        let is_framed = value.starts_with(b"0x") && value.ends_with(b"\"") && !value[2..].starts_with(b"0x");
        if !is_framed || hex::decode_to_slice(&value[2..2 * N + 2], &mut bytes).is_err() {
            return Err(bad());
        }
        self.at += value.len();
        Ok(bytes)
    }

    /// A string that is `0x` and a number of at most 64 bits.
    pub(super) fn quantity(&mut self) -> Result<u64, Malformed> {
        quantity_of(self.string()?).ok_or_else(|| Malformed::new("has a number that is none"))
    }

    /// A string that is `0x` and any number of whole bytes, which take the place of what `into` held.
    pub(super) fn bytes(&mut self, into: &mut Vec<u8>) -> Result<(), Malformed> {
        let bad = || Malformed::new("has bytes that are none");
        let digits = self.string()?.strip_prefix(b"0x").ok_or_else(bad)?;
        if digits.starts_with(b"0x") || !digits.len().is_multiple_of(2) {
            return Err(bad());
        }
        into.resize(digits.len() / 2, 0);
        hex::decode_to_slice(digits, into).map_err(|_| bad())
    }

    /// Passes over a value, and says where it stood.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, Malformed> {
        self.peek()?;
        let begin = self.at;
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek()? {
                b'"' => {
                    self.string()?;
                }
                bracket @ (b'{' | b'[') => {
                    if open.len() == MAX_DEPTH {
                        return Err(Malformed::new("is nested too deeply"));
                    }
                    open.push(if bracket == b'{' { b'}' } else { b']' });
                    self.at += 1;
                    continue;
                }
                bracket @ (b'}' | b']') => {
                    if open.pop() != Some(bracket) {
                        return Err(Malformed::new("has brackets that do not match"));
                    }
                    self.at += 1;
                }
                b',' | b':' if !open.is_empty() => {
                    self.at += 1;
                    continue;
                }
                _ => self.word()?,
            }
            if open.is_empty() {
                return Ok(begin..self.at);
            }
        }
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self) -> Result<(), Malformed> {
        let begin = self.at;
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
        while self.text.get(self.at).is_some_and(is_part) {
            self.at += 1;
        }
        if self.at == begin { Err(Malformed::new("is not JSON")) } else { Ok(()) }
    }

    /// Goes through an object: `each` is given every key and must take the value.
    pub(super) fn object(
        &mut self,
        mut each: impl FnMut(&mut Self, &'a [u8]) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        self.take(b'{')?;
        if self.takes(b'}')? {
            return Ok(());
        }
        loop {
            self.peek()?;
            let key = self.string()?;
            self.take(b':')?;
            each(self, key)?;
            if !self.takes(b',')? {
                return self.take(b'}');
            }
        }
    }

    /// Goes through a list: `each` must take the value it stands before.
    pub(super) fn list(&mut self, mut each: impl FnMut(&mut Self) -> Result<(), Malformed>) -> Result<(), Malformed> {
        self.take(b'[')?;
        if self.takes(b']')? {
            return Ok(());
        }
        loop {
            each(self)?;
            if !self.takes(b',')? {
                return self.take(b']');
            }
        }
    }
}

/// Where the first quote or backslash stands, eight bytes at a time.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    // A byte that becomes zero borrows into its highest bit; the lowest such bit is always a true one.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return Some(8 * place + found.trailing_zeros() as usize / 8);
        }
    }
    let place = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(8 * words.len() + place)
}

fn quantity_of(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x")?;
    let significant = &digits[digits.iter().take_while(|digit| **digit == b'0').count()..];
    if digits.is_empty() || significant.len() > 16 {
        return None;
    }
    let mut number = 0;
    for digit in significant {
        number = number << 4 | u64::from(char::from(*digit).to_digit(16)?);
    }
    Some(number)
}

/// `0x1b4`: at most 64 bits, with leading zeros or not.
pub(crate) fn quantity(text: &str) -> Option<u64> {
    quantity_of(text.as_bytes())
}

/// `0x1b4`: at most 128 bits, with leading zeros or not.
pub(crate) fn quantity_u128(text: &str) -> Option<u128> {
    let digits = text.strip_prefix("0x")?;
    // The standard library would take a sign.
    let is_hex = digits.len() <= 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u128::from_str_radix(digits, 16).ok() } else { None }
}

/// `0x` and exactly `N` bytes.
pub(crate) fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.strip_prefix("0x")?;
    let mut bytes = [0; N];
    // The decoder would take a second prefix.
    (digits.len() == 2 * N && !digits.starts_with("0x")).then_some(())?;
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

/// `0x` and any number of whole bytes.
pub(crate) fn bytes(text: &str) -> Option<Bytes> {
    let digits = text.strip_prefix("0x")?;
    if digits.starts_with("0x") {
        return None;
    }
    hex::decode(digits).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_hex_and_fit() {
        for (text, expected) in [
            ("0x0", Some(0)),
            ("0x1b4", Some(0x1b4)),
            ("0xFFFFFFFFFFFFFFFF", Some(u64::MAX)),
            ("0x0000000000000000000001", Some(1)),
            ("0x10000000000000000", None),
            ("0x", None),
            ("1b4", None),
            ("0x+1", None),
            ("0xg", None),
            ("", None),
        ] {
            assert_eq!(quantity(text), expected, "{text}");
        }
        assert_eq!(quantity_u128("0xffffffffffffffffffffffffffffffff"), Some(u128::MAX));
        assert_eq!(quantity_u128("0x+f"), None);
        assert_eq!(quantity_u128("0x"), None);
    }

    #[test]
    fn bytes_have_one_prefix_and_are_whole() {
        assert_eq!(fixed::<2>("0xaBcD"), Some([0xab, 0xcd]));
        for text in ["0xabc", "abcd", "0x0xab", "0xabcg", "0xabcdef", ""] {
            assert_eq!(fixed::<2>(text), None, "{text}");
        }
        assert_eq!(bytes("0x").map(|bytes| bytes.len()), Some(0));
        assert_eq!(bytes("0x0x"), None);
        assert_eq!(bytes("0xa"), None);
    }

    fn skip(text: &str) -> Result<&str, Malformed> {
        Scan::new(text.as_bytes()).skip().map(|range| &text[range])
    }

    #[test]
    fn values_are_passed_over_whole() {
        for text in [r#""a\"]}""#, "{}", "[[],{\"a\":[1,2]}]", "-1.5e+3", "null", r#"{"a":"}","b":"\\"}"#] {
            let longer = format!("  {text} ,");
            assert_eq!(skip(&longer), Ok(text));
        }
        for text in ["", "[", "\"abc", "{\"a\":", r#""\""#] {
            assert!(skip(text).unwrap_err().is_cut(), "{text}");
        }
        for text in ["]", "[}", ",", "#"] {
            assert!(!skip(text).unwrap_err().is_cut(), "{text}");
        }
        assert!(skip(&"[".repeat(100_000)).is_err());
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
            "[\"\\\\a]{0,12}".prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The scanner ends a value where the real parser ends it, and calls every beginning of it cut off.
        #[test]
        fn a_value_ends_where_it_ends(value in any_json(), pretty: bool) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let longer = format!("{text} ,1");
            prop_assert_eq!(skip(&longer), Ok(text.as_str()));
            let is_bracketed = text.starts_with(['"', '[', '{']);
            for end in (0..text.len()).filter(|end| is_bracketed && text.is_char_boundary(*end)) {
                prop_assert!(skip(&text[..end]).is_err_and(|cause| cause.is_cut()));
            }
        }

        #[test]
        fn no_text_makes_the_scanner_panic(text in "[\\[\\]{}\",:\\\\0-9a-fx ]{0,40}") {
            let _ = skip(&text);
            let _ = Scan::new(text.as_bytes()).fixed::<2>();
            let _ = Scan::new(text.as_bytes()).bytes(&mut Vec::new());
        }

        #[test]
        fn a_quote_is_found_where_it_stands(before in "[a-z\u{80}-\u{ff}!#]{0,40}", after in "[a-z\"\\\\]{0,20}") {
            let text = format!("{before}\"{after}");
            prop_assert_eq!(quote_or_backslash(text.as_bytes()), Some(before.len()));
            prop_assert_eq!(quote_or_backslash(before.as_bytes()), None);
        }
    }
}
