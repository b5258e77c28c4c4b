//! The same life in memory and on a node: the same logs and the same figures.

use std::path::PathBuf;
use std::time::Instant;

use alloy_primitives::{Log, U256};
use differential::anvil::{self, Anvil, Options, log};
use differential::artifacts::Artifacts;
use differential::chain::{Chain, upgradable};
use differential::compare::{Touched, figures};
use differential::deploy::{self, BEGIN, Deployer};
use differential::evm::Reverted;
use differential::generate::Generator;
use differential::market::Market;
use differential::mirror::Mirror;
use differential::world::{Version, World};
use serde_json::json;

use crate::contracts;

/// Steps of each life.
const STEPS: usize = 300;

/// Contracts and a node to put them on, or none and a word about it.
pub(crate) fn parts() -> Option<(Artifacts, PathBuf)> {
    let artifacts = contracts()?;
    let Some(binary) = anvil::find() else {
        println!("skipped: no anvil is installed; `cargo xtask test` installs it where it is offered");
        return None;
    };
    Some((artifacts, binary))
}

/// Every figure of a market.
fn everything(market: &mut Market) -> Vec<String> {
    let mut all = Vec::new();
    for index in 0..market.reserves.len() {
        let state = market.reserve(index).unwrap();
        all.push(format!("{:?} {state:?}", market.reserves[index]));
    }
    for user in market.holders() {
        let [flags, e_mode] = [market.flags(user).unwrap(), market.e_mode(user).unwrap()];
        all.push(format!("{user} {flags} {e_mode} {:?}", market.account_data(user).unwrap()));
        for index in 0..market.reserves.len() {
            all.push(format!("{user} {index} {:?}", market.holding(user, index).unwrap()));
        }
    }
    all
}

/// Takes the same random steps on both; every outcome, log and figure must be the same.
fn same(version: Version, seed: u64) {
    let Some((artifacts, binary)) = parts() else { return };
    let world = World::random(version, seed);
    let deployer = Deployer::new(&artifacts, version).unwrap();
    let mut memory = deployer.market(&world).unwrap();
    let begin = Instant::now();
    let node = Anvil::start(&binary, Options::beginning(BEGIN)).unwrap();
    let mut node = deploy::on(node.into(), &artifacts, &world).unwrap();
    let deployed = begin.elapsed();
    assert_eq!(everything(&mut memory), everything(&mut node), "after deployment");
    let first = node.evm.node().unwrap().latest().unwrap() + 1;

    let mut mirror = Mirror::new(&world);
    let mut generator = Generator::new(&world, seed);
    let mut logs: Vec<Log> = Vec::new();
    let begin = Instant::now();
    for _ in 0..STEPS {
        let action = generator.step(&mirror);
        let transactions = memory.transactions(&action);
        assert_eq!(transactions, node.transactions(&action));
        mirror.act(&action);
        if transactions.is_empty() {
            memory.act(&action).unwrap().unwrap();
            node.act(&action).unwrap().unwrap();
            continue;
        }
        for transaction in transactions {
            let (from, to) = (transaction.from, transaction.to.unwrap());
            let here = memory.evm.call(from, to, transaction.data.clone()).unwrap();
            let there = node.evm.call(from, to, transaction.data).unwrap();
            let come = |result: &Result<_, Reverted>| result.as_ref().err().cloned();
            assert_eq!(come(&here), come(&there), "{action:?}");
            if let (Ok(here), Ok(there)) = (here, there) {
                assert_eq!(here.logs, there.logs, "{action:?}");
                logs.extend(here.logs);
                if let differential::action::Action::Admin(admin) = &action {
                    mirror.follow(admin, &mut memory).unwrap();
                }
            }
        }
    }
    println!("{version:?}: deployed in {deployed:.1?}, {STEPS} steps on both in {:.1?}", begin.elapsed());
    assert_eq!(everything(&mut memory), everything(&mut node));
    let filter = json!([{"fromBlock": format!("{first:#x}"), "toBlock": "latest"}]);
    let found = node.evm.node().unwrap().request("eth_getLogs", filter).unwrap();
    let found: Vec<Log> = found.as_array().unwrap().iter().map(|json| log(json).unwrap()).collect();
    assert!(logs.len() > STEPS, "{}", logs.len());
    assert_eq!(logs, found);
}

#[test]
fn v2_lives_the_same_on_a_node() {
    same(Version::V2, 3);
}

#[test]
fn v3_0_0_lives_the_same_on_a_node() {
    same(Version::V3_0_0, 4);
}

#[test]
fn v3_0_2_lives_the_same_on_a_node() {
    same(Version::V3_0_2, 5);
}

#[test]
fn v3_6_lives_the_same_on_a_node() {
    same(Version::V3_6, 6);
}

/// People live in common blocks, and the native pool still knows every figure.
#[test]
fn a_chain_is_lived_on_in_blocks() {
    let Some((artifacts, binary)) = parts() else { return };
    for version in Version::ALL {
        let begin = Instant::now();
        let mut chain = Chain::start(&binary, &artifacts, World::random(version, 8), 8).unwrap();
        let deployed = chain.node().unwrap().latest().unwrap();
        let lived = chain.live(500).unwrap();
        let blocks = chain.node().unwrap().latest().unwrap() - deployed;
        println!("{version:?}: {lived:?} in {blocks} blocks, {:.1?}", begin.elapsed());
        let transactions = u64::try_from(lived.done + lived.refused).unwrap();
        assert!(lived.done > 100 && lived.liquidations > 5 && blocks < transactions, "{version:?}: {lived:?}");
        let touched = Touched::everything(&chain.market);
        assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None, "{version:?}");
    }
}

/// A market goes on with what it had, by the new rules, and the native pool still knows every figure.
#[test]
fn a_chain_is_upgraded_in_place() {
    let Some((artifacts, binary)) = parts() else { return };
    for seed in [0, 2] {
        let begin = Instant::now();
        let mut chain = Chain::start(&binary, &artifacts, upgradable(seed), seed).unwrap();
        let before = chain.live(200).unwrap();
        let touched = Touched::everything(&chain.market);
        assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None, "seed {seed}, before");
        chain.upgrade(&artifacts).unwrap();
        assert_eq!(chain.market.version, Version::V3_6);
        assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None, "seed {seed}, upgraded");
        let after = chain.live(300).unwrap();
        println!("seed {seed}: {before:?}, then {after:?}, {:.1?}", begin.elapsed());
        assert!(before.done > 50 && after.done > 50, "seed {seed}");
        assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None, "seed {seed}, after");
    }
}

/// Going back and living on differently is a reorganisation, across an upgrade too, and across a feed's new phase.
#[test]
fn a_chain_goes_back_and_lives_on_differently() {
    let Some((artifacts, binary)) = parts() else { return };
    let mut chain = Chain::start(&binary, &artifacts, upgradable(1), 1).unwrap();
    chain.live(50).unwrap();
    let touched = Touched::everything(&chain.market);
    let past = chain.snapshot().unwrap();
    let fork = chain.node().unwrap().latest().unwrap();
    let hashes = |chain: &mut Chain| [0, 1].map(|above| chain.node().unwrap().block_hash(fork + above).unwrap());
    chain.upgrade(&artifacts).unwrap();
    chain.live(20).unwrap();
    let [at, above] = hashes(&mut chain);
    chain.revert(past).unwrap();
    assert_eq!(chain.market.version, Version::V3_0_2);
    assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None);
    let price = chain.mirror.block.prices[0] * U256::from(2);
    chain.next_phase(0, price).unwrap();
    chain.live(50).unwrap();
    assert_eq!(figures(&chain.mirror, &mut chain.market, &touched).unwrap(), None);
    let [at_again, above_again] = hashes(&mut chain);
    assert_eq!(at, at_again);
    assert_ne!(above, above_again);
    assert_eq!(chain.market.phases.len(), 1);
}
