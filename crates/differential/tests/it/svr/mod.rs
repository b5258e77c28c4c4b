//! Our own contracts of recapture, in an interpreter and on a node.

mod aggregator;
mod consequences;
mod liveness;
mod model;
mod safe;
mod scenes;
mod settlement;

use alloy_primitives::{Address, Bytes, U256};
use differential::abi::{self, Errors};
use differential::backend::Backend;
use differential::deploy::BEGIN;
use differential::evm::{Evm, Reverted, Success};
use differential::svr::oracle::{Oracle, Reader, Seen, Settings, ask};
use differential::svr::report::{Transmission, Way};

use crate::contracts;

/// An oracle on a chain of its own in memory.
struct Site {
    chain: Backend,
    oracle: Oracle,
    errors: Errors,
}

impl Site {
    /// None, and a word about it, where no contracts are installed.
    fn new(settings: Settings) -> Option<Self> {
        let artifacts = contracts()?;
        let mut chain = Backend::from(Evm::new(BEGIN));
        let oracle = Oracle::deploy(&mut chain, &artifacts, settings).unwrap();
        Some(Self { chain, oracle, errors: abi::errors(&artifacts.own_errors) })
    }

    /// With a first round, by the secondary way, that everybody has seen for long.
    fn begun(settings: Settings) -> Option<Self> {
        let mut site = Self::new(settings)?;
        site.round(100, Way::Secondary);
        site.chain.warp(1_000);
        Some(site)
    }

    /// The next round, which must be taken.
    fn round(&mut self, answer: i128, way: Way) -> Transmission {
        self.oracle.round(&mut self.chain, answer, way).unwrap()
    }

    /// Brings a report again, or by the other way.
    fn bring(&mut self, transmission: &Transmission, way: Way) -> Result<Success, String> {
        let result = self.oracle.bring(&mut self.chain, transmission, way).unwrap();
        self.named(result)
    }

    /// Any call.
    fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Success, String> {
        let result = self.chain.call(from, to, data).unwrap();
        self.named(result)
    }

    fn named(&self, result: Result<Success, Reverted>) -> Result<Success, String> {
        result.map_err(|Reverted(reason)| abi::reason(&reason, &self.errors))
    }

    /// What a reader sees; every other question must have the same answer.
    fn seen(&mut self, by: Reader) -> Seen {
        let seen = self.oracle.seen(&mut self.chain, by).unwrap();
        let proxy = match by {
            Reader::Standard => self.oracle.standard,
            Reader::Svr => self.oracle.svr,
        };
        let word = |site: &mut Self, what: &str, arguments: &[U256]| {
            abi::word_at(&ask(&mut site.chain, proxy, what, arguments).unwrap(), 0)
        };
        let phase = U256::from(1) << 64;
        assert_eq!(word(self, "latestRound()", &[]), phase | U256::from(seen.round));
        assert_eq!(word(self, "latestAnswer()", &[]), seen.answer.into_raw());
        assert_eq!(word(self, "latestTimestamp()", &[]), U256::from(seen.recorded_at));
        let same = ask(&mut self.chain, proxy, "getRoundData(uint80)", &[phase | U256::from(seen.round)]).unwrap();
        assert_eq!(same, ask(&mut self.chain, proxy, "latestRoundData()", &[]).unwrap());
        let hidden = phase | U256::from(seen.round + 1);
        let hidden = ask(&mut self.chain, proxy, "getRoundData(uint80)", &[hidden]).unwrap();
        assert!(hidden[32..4 * 32].iter().all(|byte| *byte == 0), "a round above the visible one");
        if by == Reader::Standard {
            // Whoever asks the aggregator itself has this view too, and two more questions.
            let aggregator = self.oracle.aggregator;
            let mut of = |what: &str, round: u32| {
                abi::word_at(&ask(&mut self.chain, aggregator, what, &[U256::from(round)]).unwrap(), 0)
            };
            let now = [of("getAnswer(uint256)", seen.round), of("getTimestamp(uint256)", seen.round)];
            assert_eq!(now, [seen.answer.into_raw(), U256::from(seen.recorded_at)]);
            let next = [of("getAnswer(uint256)", seen.round + 1), of("getTimestamp(uint256)", seen.round + 1)];
            assert_eq!(next, [U256::ZERO; 2]);
        }
        seen
    }

    /// The rounds that both readers see: standard, secondary.
    fn rounds(&mut self) -> [u32; 2] {
        [Reader::Standard, Reader::Svr].map(|by| self.seen(by).round)
    }
}

/// The names of the events of a transaction.
fn events(success: &Success) -> Vec<&'static str> {
    const KNOWN: [&str; 6] = [
        "SecondaryRoundIdUpdated(uint32)",
        "PrimaryFeedUnlocked(uint32)",
        "NewTransmission(uint32,int192,address,uint32,int192[],bytes,int192,bytes32,uint40)",
        "NewRound(uint256,address,uint256)",
        "AnswerUpdated(int256,uint256,uint256)",
        "CutoffTimeSet(uint32)",
    ];
    let name = |topic: &alloy_primitives::B256| {
        let known = KNOWN.iter().find(|event| alloy_primitives::keccak256(event) == *topic);
        known.map_or("?", |event| event.split('(').next().unwrap_or(event))
    };
    success.logs.iter().map(|log| name(&log.topics()[0])).collect()
}

/// A contract that, whatever it is called with, calls somebody with this, and is or is not itself refused when that is.
fn caller(target: Address, data: &[u8], bubbles: bool) -> Bytes {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    let mut code = Vec::new();
    // PUSH2 length, PUSH2 place, PUSH0, CODECOPY; then CALL(gas, target, 0, 0, length, 0, 0).
    code.extend([0x61, length[0], length[1], 0x61, 0, 0, 0x5f, 0x39]);
    code.extend([0x5f, 0x5f, 0x61, length[0], length[1], 0x5f, 0x5f, 0x73]);
    code.extend(target);
    code.extend([0x5a, 0xf1]);
    if bubbles {
        // PUSH2 place, JUMPI, PUSH0, PUSH0, REVERT, JUMPDEST
        let place = u16::try_from(code.len() + 7).unwrap().to_be_bytes();
        code.extend([0x61, place[0], place[1], 0x57, 0x5f, 0x5f, 0xfd, 0x5b]);
    }
    code.push(0x00);
    let place = u16::try_from(code.len()).unwrap().to_be_bytes();
    code[4..6].copy_from_slice(&place);
    code.extend(data);
    code.into()
}
