//! What a network of observers signs, and the calls that bring it to an aggregator.

use alloy_primitives::{Address, B256, Bytes, I256, U256, keccak256};
use anyhow::Result;

use super::key::{Key, Signature};
use crate::abi::{self, Value};

/// By which way a report is brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In public.
    Primary,
    /// Through an auction.
    Secondary,
}

/// What observers saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When, in seconds.
    pub observed_at: u32,
    /// What each of them saw, sorted.
    pub observations: Vec<I256>,
}

/// A report and what makes an aggregator take it; every part can be spoiled before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// The digest of the aggregator's configuration, the epoch and round, and a hash nobody looks at.
    pub context: [B256; 3],
    /// The encoded report.
    pub report: Vec<u8>,
    /// Those of enough observers.
    pub signatures: Vec<Signature>,
}

impl Report {
    /// All observers, of whom there are so many, saw the same.
    pub fn unanimous(observed_at: u32, answer: i128, observers: usize) -> Self {
        Self { observed_at, observations: vec![integer(answer); observers] }
    }

    /// As the aggregator decodes it.
    pub fn encode(&self) -> Vec<u8> {
        let observers: Vec<u8> = (0..=31_u8).collect();
        let observations = self.observations.iter().map(|answer| answer.into_raw());
        abi::encode(&[
            u64::from(self.observed_at).into(),
            U256::from_be_slice(&observers).into(),
            Value::array(observations),
            Value::Word(U256::ZERO),
        ])
    }

    /// Signed by each of these for a configuration's epoch and round.
    pub fn sign(&self, digest: B256, epoch: u64, keys: &[Key]) -> Result<Transmission> {
        let context = [digest, B256::from(U256::from(epoch)), B256::ZERO];
        let report = self.encode();
        let mut transmission = Transmission { context, report, signatures: Vec::new() };
        let hash = transmission.hash();
        transmission.signatures = keys.iter().map(|key| key.sign(hash)).collect::<Result<_>>()?;
        Ok(transmission)
    }
}

impl Transmission {
    /// What observers sign.
    pub fn hash(&self) -> B256 {
        let mut signed = keccak256(&self.report).to_vec();
        self.context.iter().for_each(|word| signed.extend(word));
        keccak256(signed)
    }

    /// The aggregator's own call.
    pub fn call(&self, way: Way) -> Bytes {
        let words =
            |of: fn(&Signature) -> B256| Value::array(self.signatures.iter().map(|s| U256::from_be_bytes(of(s).0)));
        let mut parities = [0; 32];
        for (parity, signature) in parities.iter_mut().zip(&self.signatures) {
            *parity = signature.parity;
        }
        let name = match way {
            Way::Primary => "transmit",
            Way::Secondary => "transmitSecondary",
        };
        let context = self.context.map(|word| Value::Word(word.into()));
        abi::call(
            &format!("{name}(bytes32[3],bytes,bytes32[],bytes32[],bytes32)"),
            &[
                Value::Tuple(context.to_vec()),
                Value::Bytes(self.report.clone()),
                words(|signature| signature.r),
                words(|signature| signature.s),
                U256::from_be_bytes(parities).into(),
            ],
        )
    }

    /// The call of a forwarder that makes it call the aggregator.
    pub fn forward(&self, way: Way, aggregator: Address) -> Bytes {
        forward(aggregator, &self.call(way))
    }
}

/// The call of a forwarder that makes it call somebody.
pub fn forward(to: Address, data: &[u8]) -> Bytes {
    abi::call("forward(address,bytes)", &[to.into(), Value::Bytes(data.to_vec())])
}

/// A signed number.
pub fn integer(number: i128) -> I256 {
    I256::try_from(number).unwrap_or_default()
}
