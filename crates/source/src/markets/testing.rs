//! A chain that is a map, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use alloy_primitives::{Bytes, U256};
use alloy_sol_types::{SolCall, SolValue};
use protocol::{Address, B256};

use super::chain::Chain;
use crate::rpc::{Answer, Call};
use crate::{Error, Result};

/// An address that is easy to tell from others.
pub(super) fn nth(number: u64) -> Address {
    let mut bytes = [0x11; 20];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Address::from(bytes)
}

/// Everything that can be asked, and what comes back.
#[derive(Default)]
pub(super) struct Fake {
    answers: BTreeMap<(Address, Vec<u8>), Answer>,
    /// From which block on there is code.
    born: BTreeMap<Address, u64>,
    /// Blocks of logs, by address and first two topics.
    logs: BTreeMap<(Address, [B256; 2]), u64>,
    /// State below this block is gone.
    pub(super) pruned_below: u64,
    /// Logs are refused for good.
    pub(super) refuses_logs: bool,
    /// Every log is said to be in this block, whatever was asked.
    pub(super) lies_about_logs: Option<u64>,
    /// What was asked, in order.
    pub(super) asked: Mutex<Vec<Call>>,
}

impl Fake {
    /// The contract answers a call with a value.
    pub(super) fn answers<C: SolCall>(&mut self, to: Address, call: &C, value: &impl SolValue) -> &mut Self {
        self.answers_bytes(to, call, value.abi_encode())
    }

    /// The contract answers a call with bytes that need mean nothing.
    pub(super) fn answers_bytes<C: SolCall>(&mut self, to: Address, call: &C, bytes: Vec<u8>) -> &mut Self {
        self.answers.insert((to, call.abi_encode()), Answer::Returned(bytes.into()));
        self.born.entry(to).or_insert(0);
        self
    }

    pub(super) fn reverts<C: SolCall>(&mut self, to: Address, call: &C) -> &mut Self {
        self.answers.insert((to, call.abi_encode()), Answer::Reverted(Bytes::from_static(&[8, 0xc3])));
        self
    }

    /// There is code from a block on.
    pub(super) fn is_born(&mut self, address: Address, block: u64) -> &mut Self {
        self.born.insert(address, block);
        self
    }

    pub(super) fn logs(&mut self, address: Address, topics: [B256; 2], block: u64) -> &mut Self {
        self.logs.insert((address, topics), block);
        self
    }

    /// Puts nonsense in the place of about every fourth answer.
    pub(super) fn spoil(&mut self, seed: u64) {
        for ((to, data), answer) in &mut self.answers {
            let hash = alloy_primitives::keccak256([&seed.to_be_bytes()[..], to.as_slice(), data].concat());
            let nonsense = match hash[0] {
                0..8 => Bytes::copy_from_slice(&hash[..usize::from(hash[1] % 32)]),
                8..16 => Bytes::copy_from_slice(&[[0xff; 32], hash.0].concat()),
                16..24 => vec![nth(u64::from(hash[1])); usize::from(hash[2])].abi_encode().into(),
                24..32 => "\u{202e}".repeat(usize::from(hash[1])).abi_encode().into(),
                32..48 => U256::from(hash[1]).abi_encode().into(),
                48..64 => Bytes::new(),
                _ => continue,
            };
            *answer = if hash[3] < 64 { Answer::Reverted(nonsense) } else { Answer::Returned(nonsense) };
        }
    }

    /// No question was put twice.
    pub(super) fn was_asked_once(&self) -> bool {
        let asked = self.asked.lock().unwrap();
        asked.iter().collect::<BTreeSet<_>>().len() == asked.len()
    }
}

impl Chain for Fake {
    async fn calls(&self, _: u64, calls: &[Call]) -> Result<Vec<Answer>> {
        self.asked.lock().unwrap().extend_from_slice(calls);
        let answer = |call: &Call| match self.answers.get(&(call.to, call.data.to_vec())) {
            Some(answer) => answer.clone(),
            // Code without the function reverts; an address without code returns nothing.
            None if self.born.contains_key(&call.to) => Answer::Reverted(Bytes::new()),
            None => Answer::Returned(Bytes::new()),
        };
        Ok(calls.iter().map(answer).collect())
    }

    async fn code(&self, block: u64, address: Address) -> Result<Bytes> {
        if block < self.pruned_below {
            return Err(Error::Pruned { host: "fake".to_owned(), block, advice: "name an archive node" });
        }
        let is_there = self.born.get(&address).is_some_and(|born| *born <= block);
        Ok(if is_there { Bytes::from_static(&[0x60]) } else { Bytes::new() })
    }

    async fn first_log(&self, address: Address, topics: [B256; 2], from: u64, to: u64) -> Result<Option<u64>> {
        assert!(from <= to, "a range of nothing: {from} to {to}");
        if self.refuses_logs {
            return Err(Error::Node {
                host: "fake".to_owned(),
                method: "eth_getLogs".to_owned(),
                what: "no".to_owned(),
            });
        }
        if self.lies_about_logs.is_some() {
            return Ok(self.lies_about_logs);
        }
        Ok(self.logs.get(&(address, topics)).copied().filter(|block| (from..=to).contains(block)))
    }
}

/// Runs a future to its end.
pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}
