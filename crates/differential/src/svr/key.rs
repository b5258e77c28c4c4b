//! Keys that sign what contracts verify.

use alloy_primitives::{Address, B256, keccak256};
use anyhow::{Result, anyhow};
use k256::ecdsa::SigningKey;

/// A key that is known to everybody: it is the hash of a number.
#[derive(Clone, Debug)]
pub struct Key {
    secret: SigningKey,
    /// Who signs with it.
    pub address: Address,
}

/// A signature over a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The first half.
    pub r: B256,
    /// The second half, the smaller of the two that fit.
    pub s: B256,
    /// Which of two points it is: 0 or 1.
    pub parity: u8,
}

impl Key {
    /// The key of a number.
    pub fn new(number: u64) -> Result<Self> {
        let bytes = keccak256(number.to_be_bytes());
        let secret = SigningKey::from_slice(bytes.as_slice()).map_err(|error| anyhow!("no key: {error}"))?;
        let point = secret.verifying_key().to_encoded_point(false);
        let hash = keccak256(&point.as_bytes()[1..]);
        Ok(Self { secret, address: Address::from_slice(&hash[12..]) })
    }

    /// Signs a hash as it is.
    pub fn sign(&self, hash: B256) -> Result<Signature> {
        let (signature, id) =
            self.secret.sign_prehash_recoverable(hash.as_slice()).map_err(|error| anyhow!("not signed: {error}"))?;
        let [r, s] = [signature.r().to_bytes(), signature.s().to_bytes()].map(|half| B256::from_slice(&half));
        Ok(Signature { r, s, parity: id.to_byte() & 1 })
    }
}

impl Signature {
    /// As contracts take it in one piece: both halves, and 27 or 28.
    pub fn to_bytes(self) -> [u8; 65] {
        let mut bytes = [0; 65];
        bytes[..32].copy_from_slice(self.r.as_slice());
        bytes[32..64].copy_from_slice(self.s.as_slice());
        bytes[64] = 27 + self.parity;
        bytes
    }
}
