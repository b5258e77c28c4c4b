//! Calls and answers as the contracts' ABI lays them out.
//!
//! Only what this crate calls: words, byte strings, tuples and arrays; no types are checked.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};

/// One argument.
#[derive(Clone, Debug)]
pub enum Value {
    /// An integer, an address, a flag: anything of 32 bytes.
    Word(U256),
    /// A `bytes` or a `string`.
    Bytes(Vec<u8>),
    /// A struct.
    Tuple(Vec<Self>),
    /// An array of any length.
    Array(Vec<Self>),
}

impl From<U256> for Value {
    fn from(word: U256) -> Self {
        Self::Word(word)
    }
}

impl From<Address> for Value {
    fn from(address: Address) -> Self {
        Self::Word(address.into_word().into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Word(U256::from(flag))
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Word(U256::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Bytes(text.as_bytes().to_vec())
    }
}

impl Value {
    /// An array of what converts to a value.
    pub fn array<T: Into<Self>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }

    fn is_dynamic(&self) -> bool {
        match self {
            Self::Word(_) => false,
            Self::Bytes(_) | Self::Array(_) => true,
            Self::Tuple(items) => items.iter().any(Self::is_dynamic),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Word(word) => word.to_be_bytes_vec(),
            Self::Bytes(bytes) => {
                let mut out = length(bytes.len());
                out.extend_from_slice(bytes);
                out.resize(out.len().next_multiple_of(32), 0);
                out
            }
            Self::Tuple(items) => encode(items),
            Self::Array(items) => {
                let mut out = length(items.len());
                out.extend(encode(items));
                out
            }
        }
    }
}

/// Arguments in a row: what has a fixed length stands in place, the rest behind, and its place in front.
pub fn encode(values: &[Value]) -> Vec<u8> {
    let encoded: Vec<(bool, Vec<u8>)> = values.iter().map(|value| (value.is_dynamic(), value.encode())).collect();
    let head: usize = encoded.iter().map(|(dynamic, bytes)| if *dynamic { 32 } else { bytes.len() }).sum();
    let mut out = Vec::new();
    let mut tail = Vec::new();
    for (dynamic, bytes) in encoded {
        if dynamic {
            out.extend(length(head + tail.len()));
            tail.extend(bytes);
        } else {
            out.extend(bytes);
        }
    }
    out.extend(tail);
    out
}

fn length(length: usize) -> Vec<u8> {
    U256::from(length).to_be_bytes_vec()
}

/// The first four bytes of a call: which function is meant.
pub fn selector(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// A call with any arguments.
pub fn call(signature: &str, values: &[Value]) -> Bytes {
    let mut data = selector(signature).to_vec();
    data.extend(encode(values));
    data.into()
}

/// A call whose arguments are all words.
pub fn words(signature: &str, words: &[U256]) -> Bytes {
    let mut data = Vec::with_capacity(4 + 32 * words.len());
    data.extend(selector(signature));
    for word in words {
        data.extend(word.to_be_bytes::<32>());
    }
    data.into()
}

/// An address as a word.
pub fn word(address: Address) -> U256 {
    address.into_word().into()
}

/// A word as an address.
pub fn address(word: U256) -> Address {
    Address::from_word(B256::from(word))
}

/// The `index`th word of an answer; zero beyond its end.
pub fn word_at(bytes: &[u8], index: usize) -> U256 {
    bytes.get(32 * index..32 * index + 32).map_or(U256::ZERO, U256::from_be_slice)
}

/// Custom errors by selector.
pub type Errors = BTreeMap<[u8; 4], String>;

/// The names of errors by their selectors.
pub fn errors(signatures: &[String]) -> Errors {
    let name = |signature: &str| signature.split('(').next().unwrap_or(signature).to_owned();
    signatures.iter().map(|signature| (selector(signature), name(signature))).collect()
}

/// A revert's reason in words: the text of an error, the name of a custom one, the number of a panic.
pub fn reason(data: &[u8], errors: &Errors) -> String {
    let Some(found) = data.first_chunk::<4>() else {
        return String::new();
    };
    let rest = &data[4..];
    if *found == selector("Error(string)") {
        let length = usize::try_from(word_at(rest, 1)).unwrap_or(0);
        let text = rest.get(64..64 + length).unwrap_or_default();
        return String::from_utf8_lossy(text).into_owned();
    }
    if *found == selector("Panic(uint256)") {
        return format!("Panic({:#x})", word_at(rest, 0));
    }
    if *found == selector("SafeCastOverflowedUintDowncast(uint8,uint256)") {
        return "SafeCastOverflowedUintDowncast".to_owned();
    }
    errors.get(found).cloned().unwrap_or_else(|| hex::encode_prefixed(data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standards_own_example() {
        // From the ABI specification: f(uint256,uint32[],bytes10,bytes) with (0x123, [0x456, 0x789], "..", "Hello, world!").
        let values = [
            Value::from(0x123_u64),
            Value::array([0x456_u64, 0x789]),
            Value::Word(U256::from_be_slice(b"1234567890") << 176),
            Value::from("Hello, world!"),
        ];
        let data = call("f(uint256,uint32[],bytes10,bytes)", &values);
        assert_eq!(&data[..4], [0x8b, 0xe6, 0x52, 0x46]);
        let words: Vec<U256> = (0..9).map(|index| word_at(&data[4..], index)).collect();
        assert_eq!(words[1], U256::from(0x80));
        assert_eq!(words[3], U256::from(0xe0));
        assert_eq!(words[4..7], [2_u64, 0x456, 0x789].map(U256::from));
        assert_eq!(words[7], U256::from(13));
        assert_eq!(data.len(), 4 + 9 * 32);
    }
}
