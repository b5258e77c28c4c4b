//! The safe: everything that came is handed out, to the wei, once a week, and what was handed out stays on record.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use differential::abi::{self, Errors, Value, word, word_at};
use differential::backend::Backend;
use differential::chance::Chance;
use differential::deploy::BEGIN;
use differential::evm::{Evm, Success};
use differential::svr::house::{BUILDER, COLLECTOR, NETWORK, NETWORK_BPS, WEEK};
use differential::svr::oracle::{ask, deploy};

use super::caller;
use crate::contracts;

struct Site {
    chain: Backend,
    safe: Address,
    errors: Errors,
}

impl Site {
    fn new(protocol: Address, network: Address, bps: u64) -> Option<Self> {
        let artifacts = contracts()?;
        let mut chain = Backend::from(Evm::new(BEGIN));
        chain.set_balance(BUILDER, U256::MAX >> 1).unwrap();
        let arguments = [Value::from(protocol), network.into(), bps.into()];
        let safe = deploy(&mut chain, &artifacts, "SvrSafe", &arguments).unwrap();
        Some(Self { chain, safe, errors: abi::errors(&artifacts.own_errors) })
    }

    fn usual() -> Option<Self> {
        Self::new(COLLECTOR, NETWORK, NETWORK_BPS)
    }

    fn pay(&mut self, wei: U256) -> Success {
        self.chain.pay(BUILDER, self.safe, wei, Bytes::new()).unwrap().unwrap()
    }

    fn call(&mut self, data: Bytes) -> Result<Success, String> {
        let result = self.chain.call(Address::repeat_byte(9), self.safe, data).unwrap();
        result.map_err(|reason| abi::reason(&reason.0, &self.errors))
    }

    fn distribute(&mut self) -> Result<Success, String> {
        self.call(abi::words("distribute()", &[]))
    }

    fn balances<const N: usize>(&mut self, of: [Address; N]) -> [U256; N] {
        of.map(|of| self.chain.balance(of).unwrap())
    }

    /// When, to the protocol, to the network.
    fn week(&mut self, index: u64) -> [U256; 3] {
        let week = ask(&mut self.chain, self.safe, "week(uint256)", &[U256::from(index)]).unwrap();
        [0, 1, 2].map(|index| word_at(&week, index))
    }

    fn word(&mut self, what: &str, arguments: &[U256]) -> U256 {
        word_at(&ask(&mut self.chain, self.safe, what, arguments).unwrap(), 0)
    }
}

#[test]
fn every_wei_is_handed_out_and_the_remainder_is_the_protocols() {
    let mut distributed = 0;
    for seed in 0..20 {
        let mut chance = Chance::new(seed, 50);
        let bps = if seed == 0 { NETWORK_BPS } else { chance.within(0, 10_000) };
        let Some(mut site) = Site::new(COLLECTOR, NETWORK, bps) else { return };
        let (mut received, mut accrued, mut weeks) = (U256::ZERO, U256::ZERO, Vec::new());
        let mut next = BEGIN + WEEK;
        for _ in 0..200 {
            if chance.percent(60) {
                let wei = if chance.percent(30) { U256::from(chance.below(5)) } else { chance.magnitude(0, 21) };
                let logs = site.pay(wei).logs;
                assert_eq!(logs[0].topics(), [keccak256("SafeReceived(address,uint256)"), BUILDER.into_word()]);
                assert_eq!(word_at(&logs[0].data.data, 0), wei);
                (received, accrued) = (received + wei, accrued + wei);
            } else {
                site.chain.warp(chance.pick(&[1, 3_600, WEEK - 1, WEEK, WEEK + 1, 3 * WEEK]));
            }
            let now = site.chain.now();
            let before = site.balances([COLLECTOR, NETWORK]);
            match site.distribute() {
                Err(error) => {
                    assert_eq!(error, if now < next { "TooEarly" } else { "NothingToDistribute" });
                    assert!(now < next || accrued.is_zero());
                    assert_eq!(site.balances([COLLECTOR, NETWORK]), before);
                }
                Ok(success) => {
                    assert!(now >= next && !accrued.is_zero());
                    let to_network = accrued * U256::from(bps) / U256::from(10_000);
                    let to_protocol = accrued - to_network;
                    let after = site.balances([COLLECTOR, NETWORK]);
                    assert_eq!([after[0] - before[0], after[1] - before[1]], [to_protocol, to_network]);
                    let log = &success.logs[0];
                    assert_eq!(log.topics()[1], alloy_primitives::B256::from(U256::from(weeks.len())));
                    let told: Vec<U256> = (0..3).map(|index| word_at(&log.data.data, index)).collect();
                    assert_eq!(told, [accrued, to_protocol, to_network]);
                    weeks.push([U256::from(now), to_protocol, to_network]);
                    (accrued, next) = (U256::ZERO, now + WEEK);
                }
            }
            // Nothing is lost, and no past week changes.
            let [kept, collector, network] = site.balances([site.safe, COLLECTOR, NETWORK]);
            assert_eq!(kept, accrued);
            assert_eq!(kept + collector + network, received);
        }
        assert_eq!(site.word("weekCount()", &[]), U256::from(weeks.len()));
        for (index, week) in (0..).zip(&weeks) {
            assert_eq!(site.week(index), *week);
        }
        distributed += weeks.len();
    }
    assert!(distributed > 200, "{distributed}");
}

#[test]
fn a_week_is_seven_days_to_the_second() {
    let Some(mut site) = Site::usual() else { return };
    site.pay(U256::from(100));
    site.chain.warp(WEEK - 1);
    assert_eq!(site.distribute().unwrap_err(), "TooEarly");
    site.chain.warp(1);
    site.distribute().unwrap();
    assert_eq!(site.balances([COLLECTOR, NETWORK]), [65, 35].map(U256::from));
    site.pay(U256::from(1));
    assert_eq!(site.distribute().unwrap_err(), "TooEarly");
    site.chain.warp(WEEK);
    site.distribute().unwrap();
    assert_eq!(site.balances([COLLECTOR, NETWORK]), [66, 35].map(U256::from));
    site.chain.warp(WEEK);
    assert_eq!(site.distribute().unwrap_err(), "NothingToDistribute");
}

#[test]
fn a_destination_that_takes_nothing_keeps_its_claim_and_nobody_waiting() {
    // A contract that only reverts.
    let closed = Address::repeat_byte(0x77);
    let Some(mut site) = Site::new(COLLECTOR, closed, NETWORK_BPS) else { return };
    site.chain.place(closed, Bytes::from_static(&[0x5f, 0x5f, 0xfd])).unwrap();
    let claim = abi::words("claim(address)", &[word(closed)]);
    assert_eq!(site.call(claim.clone()).unwrap_err(), "NothingOwed");
    for round in 1..=2_u64 {
        site.pay(U256::from(1_000));
        site.chain.warp(WEEK);
        site.distribute().unwrap();
        assert_eq!(site.balances([COLLECTOR, closed]), [U256::from(650 * round), U256::ZERO]);
        let owed = U256::from(350 * round);
        assert_eq!(site.word("owed(address)", &[word(closed)]), owed);
        assert_eq!(site.word("totalOwed()", &[]), owed);
        assert_eq!(site.call(claim.clone()).unwrap_err(), "StillRefused");
    }
    // What is owed is not distributed a second time.
    site.chain.warp(WEEK);
    assert_eq!(site.distribute().unwrap_err(), "NothingToDistribute");
    site.chain.place(closed, Bytes::new()).unwrap();
    site.call(claim.clone()).unwrap();
    assert_eq!(site.balances([COLLECTOR, closed, site.safe]), [1_300, 700, 0].map(U256::from));
    assert_eq!(site.call(claim).unwrap_err(), "NothingOwed");
}

#[test]
fn a_destination_that_calls_back_gets_nothing_more() {
    let greedy = Address::repeat_byte(0x78);
    for call in [
        abi::words("distribute()", &[]),
        abi::words("claim(address)", &[word(greedy)]),
        abi::words("claim(address)", &[word(NETWORK)]),
    ] {
        let Some(mut site) = Site::new(greedy, NETWORK, NETWORK_BPS) else { return };
        let code = caller(site.safe, &call, false);
        site.chain.place(greedy, code).unwrap();
        site.pay(U256::from(1_000));
        site.chain.warp(WEEK);
        site.distribute().unwrap();
        assert_eq!(site.balances([greedy, NETWORK, site.safe]), [650, 350, 0].map(U256::from));
        assert_eq!(site.word("weekCount()", &[]), U256::from(1));
        assert_eq!(site.word("totalOwed()", &[]), U256::ZERO);
    }
}

#[test]
fn no_safe_is_built_for_nobody_or_with_more_than_all() {
    let Some(mut site) = Site::usual() else { return };
    let artifacts = contracts().unwrap();
    let none = Address::ZERO;
    for (protocol, network, bps, error) in [
        (none, NETWORK, 3_500_u64, "ZeroDestination()"),
        (COLLECTOR, none, 3_500, "ZeroDestination()"),
        (COLLECTOR, NETWORK, 10_001, "ShareAboveWhole()"),
    ] {
        let arguments = [Value::from(protocol), network.into(), bps.into()];
        let refused = deploy(&mut site.chain, &artifacts, "SvrSafe", &arguments).unwrap_err().to_string();
        assert!(refused.contains(&alloy_primitives::hex::encode(abi::selector(error))), "{error}: {refused}");
    }
}
