//! Prices between syncs: at every block, what the table says is what the oracle answers.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U256};
use differential::abi;
use differential::action::Action;
use differential::chain::Chain;
use differential::evm::ADMIN;
use differential::feed;
use differential::world::Version;
use serde_json::json;
use source::archive::prices::{self, KnownBy, Row};
use source::archive::transactions;

use super::place::{Place, market, parts};
use super::start;
use crate::support::table;

/// An adapter that computes its price from reserve 0's feed.
const ADAPTER: Address = Address::repeat_byte(0xad - 1);

fn tip(chain: &mut Chain) -> u64 {
    chain.node().unwrap().latest().unwrap()
}

fn oracle(chain: &mut Chain) -> Address {
    let provider = chain.market.provider;
    let answer = chain.market.evm.view(provider, abi::words("getPriceOracle()", &[])).unwrap().unwrap();
    abi::address(abi::word_at(&answer, 0))
}

/// What the oracle answers at the end of a block; none where it reverts or there is none yet.
fn answer(chain: &mut Chain, oracle: Address, asset: Address, block: u64) -> Option<U256> {
    let data = abi::words("getAssetPrice(address)", &[abi::word(asset)]);
    let call = json!([{ "to": oracle.to_string(), "data": data.to_string() }, format!("{block:#x}")]);
    let answer = chain.node().unwrap().ask("eth_call", call).unwrap().ok()?;
    answer.as_str().unwrap().parse().ok()
}

/// Moves a reserve's feed, whatever stands behind it.
fn transmit(chain: &mut Chain, reserve: usize, price: u64) {
    chain.market.act(&Action::Price { reserve, price: U256::from(price) }).unwrap().unwrap();
}

/// Gives an asset another source.
fn appoint(chain: &mut Chain, reserve: usize, source: Address) {
    let (oracle, asset) = (oracle(chain), chain.market.reserves[reserve].asset);
    let data =
        abi::call("setAssetSources(address[],address[])", &[abi::Value::array([asset]), abi::Value::array([source])]);
    chain.market.evm.admin(oracle, data, "setAssetSources").unwrap();
}

fn rows(place: &Place) -> Vec<Row> {
    let file = prices::file(&place.archive(), &market()).unwrap().unwrap();
    let mut rows = Vec::new();
    prices::each(&file, |row| rows.push(row)).unwrap();
    assert!(rows.windows(2).all(|pair| pair[0].place() <= pair[1].place()));
    rows
}

/// What was compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) by_feed: usize,
    by_call: usize,
    /// Between two calls, or without any price.
    unknown: usize,
}

/// Compares every asset at every block. What a feed tells is never unknown; what an adapter computes is between two calls.
pub(super) fn compare(chain: &mut Chain, place: &Place, to: u64) -> Tally {
    let rows = rows(place);
    let oracle = oracle(chain);
    let assets: Vec<Address> = chain.market.reserves.iter().map(|reserve| reserve.asset).collect();
    let mut tally = Tally::default();
    for asset in assets {
        let own: Vec<&Row> = rows.iter().filter(|row| row.asset == asset).collect();
        let first = own.first().unwrap().block;
        for block in first..=to {
            let last = own.iter().rev().find(|row| row.block <= block).unwrap();
            let expected = answer(chain, oracle, asset, block);
            match last.price {
                Some((price, KnownBy::Feed | KnownBy::BaseCurrency)) => {
                    assert_eq!(Some(U256::from(price)), expected, "{asset} at block {block}: {last:?}");
                    tally.by_feed += 1;
                }
                Some((price, KnownBy::Call)) if last.block == block => {
                    assert_eq!(Some(U256::from(price)), expected, "{asset} at block {block}: {last:?}");
                    tally.by_call += 1;
                }
                Some((_, KnownBy::Call)) => tally.unknown += 1,
                None => {
                    let is_none =
                        expected.is_none_or(|price| price.is_zero() || price >= U256::from(10).pow(U256::from(38)));
                    assert!(is_none, "{asset} at block {block}: {last:?}, {expected:?}");
                    tally.unknown += 1;
                }
            }
        }
    }
    tally
}

fn file(place: &Place) -> std::path::PathBuf {
    place.bed.archive().join("tables/market=m/prices.parquet")
}

/// Blocks in which feeds wrote something, with the transactions.
fn updates(place: &Place) -> BTreeMap<u64, BTreeSet<B256>> {
    let name = alloy_primitives::keccak256("AnswerUpdated(int256,uint256,uint256)");
    let mut updates: BTreeMap<u64, BTreeSet<B256>> = BTreeMap::new();
    for log in place.logs().iter().filter(|log| log.topics[0] == name) {
        updates.entry(log.block).or_default().insert(log.transaction);
    }
    updates
}

/// A market whose feeds do everything feeds do: blocks to look at, and those in which an adapter stood behind reserve 0.
fn life(chain: &mut Chain) -> (Vec<u64>, std::ops::Range<u64>) {
    let mut stages = Vec::new();
    chain.live(40).unwrap();
    // Phases, some of them right behind one another.
    chain.next_phase(0, U256::from(110_000_000)).unwrap();
    stages.push(tip(chain));
    chain.next_phase(0, U256::from(111_000_000)).unwrap();
    chain.next_phase(1, U256::from(220_000_000)).unwrap();
    transmit(chain, 1, 221_000_000);
    // A computed price.
    let base = chain.market.reserves[0].feed;
    chain.market.evm.place(ADAPTER, feed::adapter()).unwrap();
    chain.market.evm.set_storage(ADAPTER, U256::ZERO, abi::word(base)).unwrap();
    chain.market.evm.admin(ADAPTER, feed::set_ratio(150), "setRatio").unwrap();
    chain.node().unwrap().mine(1).unwrap();
    appoint(chain, 0, ADAPTER);
    stages.push(tip(chain));
    for price in [112_000_000, 112_100_000, 113_000_000, 113_000_000] {
        transmit(chain, 0, price);
        chain.node().unwrap().mine(1).unwrap();
    }
    chain.market.evm.admin(ADAPTER, feed::set_ratio(151), "setRatio").unwrap();
    transmit(chain, 0, 114_000_000);
    // Back to a feed of its own, which was never looked for while the adapter stood there.
    appoint(chain, 0, base);
    let adapted = stages[1]..tip(chain);
    transmit(chain, 0, 115_000_000);
    chain.live(40).unwrap();
    stages.push(tip(chain));
    (stages, adapted)
}

/// Synced in stages and at once, from any source: what a feed's log tells is the oracle's answer at every block.
fn is_what_the_oracle_answers(version: Version, seed: u64) {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, version, seed);
    let place = Place::new(&mut chain);
    let (stages, adapted) = life(&mut chain);
    let to = *stages.last().unwrap();
    let staged = Place::new(&mut chain);
    for stage in &stages {
        staged.sync(&["--finality", "0", "--to-block", &stage.to_string()]);
        let tally = compare(&mut chain, &staged, *stage);
        println!("{version:?}, seed {seed}, to block {stage}: {tally:?}");
        assert!(tally.by_feed > 0);
    }
    let ran = place.sync(&["--finality", "0", "--to-block", &to.to_string(), "--prices", "all"]);
    println!("{}", ran.out);
    let tally = compare(&mut chain, &place, to);
    println!("{version:?}, seed {seed}, at once with all: {tally:?}");
    let reserves: Vec<Address> = chain.market.reserves.iter().map(|reserve| reserve.asset).collect();
    let is_computed = |row: &Row| row.price.is_some_and(|(_, by)| by == KnownBy::Call) && reserves.contains(&row.asset);
    assert!(rows(&place).iter().filter(|row| is_computed(row)).all(|row| row.source == Some(ADAPTER)));
    let exact = |place: &Place| -> Vec<Row> {
        rows(place).into_iter().filter(|row| row.price.is_some_and(|(_, by)| by == KnownBy::Feed)).collect()
    };
    // Where a source begins without an answer of its feed on record, the oracle was asked in either case.
    assert_eq!(exact(&staged), exact(&place));
    // Every answer of the feed below the adapter has a price that was asked for.
    let asset = chain.market.reserves[0].asset;
    let asked: BTreeSet<u64> = rows(&place)
        .iter()
        .filter(|row| row.asset == asset && row.source == Some(ADAPTER))
        .map(|row| row.block)
        .collect();
    let moved: Vec<u64> = updates(&place).into_keys().filter(|block| adapted.contains(block)).collect();
    assert!(moved.len() == 5 && moved.iter().all(|block| asked.contains(block)), "{moved:?} {asked:?}");
    // Moves of half a per cent are fewer than answers, and more than none.
    let bounded = Place::new(&mut chain);
    bounded.sync(&["--finality", "0", "--to-block", &to.to_string(), "--prices", "moves=50"]);
    compare(&mut chain, &bounded, to);
    let computed =
        |place: &Place| rows(place).iter().filter(|row| row.source == Some(ADAPTER) && row.price.is_some()).count();
    assert_eq!([&bounded, &place].map(computed), [4, 6]);
    // No node any more, and the same to the byte.
    drop(chain);
    for place in [&staged, &place, &bounded] {
        let before = std::fs::read(file(place)).unwrap();
        std::fs::remove_file(file(place)).unwrap();
        assert_eq!(place.bed.run(&["rebuild"]).code, Some(0));
        assert!(std::fs::read(file(place)).unwrap() == before);
    }
}

#[test]
fn prices_of_v3_6_are_what_the_oracle_answers() {
    is_what_the_oracle_answers(Version::V3_6, 1);
}

#[test]
fn prices_of_v2_are_what_the_oracle_answers() {
    is_what_the_oracle_answers(Version::V2, 2);
}

#[test]
fn prices_are_shown_as_of_a_block_and_a_moment() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 3);
    let place = Place::new(&mut chain);
    transmit(&mut chain, 0, 100_000_000);
    let first = tip(&mut chain);
    chain.node().unwrap().warp(60);
    let moment = chain.node().unwrap().now();
    transmit(&mut chain, 0, 200_000_000);
    chain.node().unwrap().mine(1).unwrap();
    assert!(place.bed.run(&["prices"]).err.contains("no market was synced"));
    place.sync(&["--finality", "0"]);
    let asset = chain.market.reserves[0].asset.to_string();
    let said = |more: &[&str]| {
        let mut args = vec!["prices", "--asset", &asset];
        args.extend(more);
        let report = place.bed.json(&args);
        let rows = table(&report, "prices");
        rows.iter().map(|row| row["price"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(said(&["--top", "1"]), ["2"]);
    assert_eq!(said(&["--top", "2"]), ["1", "2"]);
    assert_eq!(said(&["--top", "1", "--at", &first.to_string()]), ["1"]);
    let at = |second: u64| protocol::time::TimeUs(i64::try_from(second).unwrap() * 1_000_000).to_string();
    assert_eq!(said(&["--top", "1", "--at", &at(moment - 1)]), ["1"]);
    assert_eq!(said(&["--top", "1", "--at", &at(moment)]), ["2"]);
    let all = place.bed.json(&["prices"]);
    assert_eq!(table(&all, "prices").len(), chain.market.reserves.len());
    assert!(table(&all, "prices").iter().all(|row| row["standing"] == "exact"));
    for (args, says) in [
        (vec!["prices", "--asset", "NONE"], "there are no prices of"),
        (vec!["prices", "--at", "noon"], "neither a block"),
        (vec!["prices", "--at", "99999999"], "sync it further"),
    ] {
        place.bed.run(&args).refused(&args.join(" "), &[says]);
    }
}

/// A source that has what a proxy has, and answers otherwise than its aggregator.
#[test]
fn a_source_that_only_seems_to_hand_answers_on_is_found_out() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 5);
    let place = Place::new(&mut chain);
    let base = chain.market.reserves[0].feed;
    let behind = chain.market.aggregator(base);
    let evm = &mut chain.market.evm;
    evm.place(ADAPTER, feed::adapter()).unwrap();
    for (slot, word) in [abi::word(base), U256::from(150), U256::from(1), abi::word(behind)].into_iter().enumerate() {
        evm.set_storage(ADAPTER, U256::from(slot), word).unwrap();
    }
    chain.node().unwrap().mine(1).unwrap();
    appoint(&mut chain, 0, ADAPTER);
    let since = tip(&mut chain);
    for price in [200_000_000, 300_000_000] {
        transmit(&mut chain, 0, price);
    }
    let ran = place.sync(&["--finality", "0"]);
    assert!(ran.err.contains("seems to hand on a feed's answers and answered otherwise"), "{ran:?}");
    let to = tip(&mut chain);
    compare(&mut chain, &place, to);
    let asset = chain.market.reserves[0].asset;
    let told = rows(&place);
    let own: Vec<_> = told.iter().filter(|row| row.asset == asset && row.block >= since).map(|row| row.price).collect();
    assert!(own.contains(&Some((450_000_000, KnownBy::Call))), "{own:?}");
    assert!(own.iter().all(|price| price.is_none_or(|(_, by)| by == KnownBy::Call)), "{own:?}");
}

/// An update that a reorganisation takes back is in no table.
#[test]
fn an_update_that_is_no_more_leaves_nothing() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 4);
    let place = Place::new(&mut chain);
    transmit(&mut chain, 0, 100_000_000);
    chain.node().unwrap().mine(3).unwrap();
    let past = chain.snapshot().unwrap();
    transmit(&mut chain, 0, 300_000_000);
    place.sync(&["--finality", "3"]);
    chain.revert(past).unwrap();
    transmit(&mut chain, 0, 200_000_000);
    chain.next_phase(0, U256::from(210_000_000)).unwrap();
    chain.node().unwrap().mine(3).unwrap();
    place.sync(&["--finality", "0"]);
    let to = tip(&mut chain);
    compare(&mut chain, &place, to);
    let asset = chain.market.reserves[0].asset;
    let told: Vec<u128> =
        rows(&place).iter().filter(|row| row.asset == asset).filter_map(|row| Some(row.price?.0)).collect();
    assert!(!told.contains(&300_000_000) && told.contains(&200_000_000) && told.contains(&210_000_000), "{told:?}");
}

#[test]
fn transactions_of_updates_are_kept_as_asked_for() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 4);
    let places = ["none", "near", "all"].map(|which| (which, Place::new(&mut chain)));
    let lived = chain.live(150).unwrap();
    chain.next_phase(1, U256::from(220_000_000)).unwrap();
    assert!(lived.liquidations > 0);
    for (which, place) in &places {
        place.sync(&["--finality", "0", "--oracle-updates", which]);
        let updates = updates(place);
        let call = alloy_primitives::keccak256("LiquidationCall(address,address,address,uint256,uint256,address,bool)");
        let logs = place.logs();
        let liquidated: BTreeSet<u64> = logs.iter().filter(|log| log.topics[0] == call).map(|log| log.block).collect();
        let is_near = |block: &u64| liquidated.iter().any(|other| other.abs_diff(*block) <= 1);
        let expected: BTreeSet<B256> = match *which {
            "none" => BTreeSet::new(),
            "near" => updates.iter().filter(|(block, _)| is_near(block)).flat_map(|(_, all)| all.clone()).collect(),
            _ => updates.values().flatten().copied().collect(),
        };
        let held = transactions::load(&place.archive(), &market(), 0, u64::MAX).unwrap();
        let kept: BTreeSet<B256> = held.iter().filter(|one| one.why.oracle_update).map(|one| one.hash).collect();
        println!("{which}: {} of {} updates, {} transactions", kept.len(), updates.len(), held.len());
        assert_eq!(kept, expected, "{which}");
        assert!(held.iter().all(|one| !one.receipt.is_empty() && one.gas_used > 0));
        assert!(held.iter().filter(|one| one.why.oracle_update).all(|one| one.from == ADMIN));
    }
}
