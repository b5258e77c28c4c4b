//! Every scene plays on one chain, and says what the chain says.

use std::time::Instant;

use alloy_primitives::{B256, U256, keccak256};
use differential::abi::{word, word_at};
use differential::anvil::log;
use differential::svr::house::BUILDER;
use differential::svr::lab::{DOLLAR, ETHER, Lab, OTHER};
use differential::svr::oracle::Settings;
use differential::svr::report::Way;
use differential::svr::scene::{self, At, FALLEN, Kind, LIQUIDATION_CALL, OEV_ALLOCATED, Truth};
use engine::recapture::Route;
use serde_json::{Value, json};

use crate::anvil::parts;

/// All logs of the chain under a topic, as the node has them.
fn logs(lab: &mut Lab, topic: B256) -> Vec<Value> {
    let filter = json!([{"fromBlock": "0x0", "toBlock": "latest", "topics": [topic.to_string()]}]);
    lab.node().unwrap().request("eth_getLogs", filter).unwrap().as_array().unwrap().clone()
}

/// Where a log stands, without its time.
fn place(log: &Value) -> (u64, u64, String) {
    let number = |key: &str| u64::from_str_radix(log[key].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    (number("blockNumber"), number("transactionIndex"), log["transactionHash"].as_str().unwrap().to_owned())
}

fn at(at: &At) -> (u64, u64, String) {
    (at.block, at.index as u64, at.transaction.to_string())
}

/// What one scene must have led to.
fn shape(truth: &Truth) {
    let routes: Vec<Route> = truth.liquidations.iter().map(|taken| taken.route).collect();
    let (expected, paid): (&[Route], usize) = match truth.kind {
        Kind::Won | Kind::Settled => (&[Route::Paid], 1),
        Kind::Fallback => (&[Route::Fallback], 0),
        Kind::Kept | Kind::Reorganised => (&[Route::Unpaid], 0),
        Kind::OtherFeed => (&[Route::OtherFeed], 0),
        Kind::Interest => (&[Route::NoPrice], 0),
        Kind::TwoForOne => (&[Route::Paid, Route::Paid], 1),
        Kind::NothingTaken => (&[], 1),
        Kind::PaidLate => (&[Route::Unpaid], 1),
        Kind::Landed => (&[Route::Landed], 0),
        Kind::Leaked => (&[Route::Paid, Route::Leaked], 1),
    };
    assert_eq!((&routes[..], truth.payments.len()), (expected, paid), "{:?}", truth.kind);
    assert_eq!(truth.removed.len(), usize::from(truth.kind == Kind::Reorganised));
    assert_eq!(truth.allocations.len(), usize::from(truth.kind == Kind::Settled));
    let is_quiet = matches!(truth.kind, Kind::OtherFeed | Kind::Interest);
    assert_eq!(truth.rounds.len(), usize::from(!is_quiet));
    for round in &truth.rounds {
        assert_eq!(round.answer, FALLEN);
        assert_eq!(round.way == Way::Primary, truth.kind == Kind::Fallback);
    }
    let apart =
        truth.liquidations.first().zip(truth.rounds.first()).map(|(taken, round)| taken.at.block - round.at.block);
    let is_later = matches!(truth.kind, Kind::Fallback | Kind::Landed);
    assert_eq!(apart.unwrap_or(0) > 0, is_later, "{:?}", truth.kind);
    let late =
        truth.liquidations.first().zip(truth.payments.first()).map(|(taken, paid)| paid.at.block - taken.at.block);
    assert_eq!(late.unwrap_or(0), u64::from(truth.kind == Kind::PaidLate));
    for allocation in &truth.allocations {
        assert_eq!(allocation.bid, allocation.auctioneer + allocation.builder + allocation.protocol);
        assert_eq!(allocation.bid, U256::from(scene::BID));
        assert_eq!(allocation.auctioneer, allocation.bid * U256::from(500) / U256::from(10_000));
        assert_eq!(allocation.builder, allocation.bid * U256::from(350) / U256::from(10_000));
    }
}

/// What the searcher, the builder and the safe gained and lost in a scene is what the scene says.
fn play(lab: &mut Lab, kind: Kind) -> Truth {
    let searcher = lab.house.searcher;
    let safe = lab.house.safe;
    let wei = |lab: &mut Lab| [searcher, BUILDER, safe].map(|of| lab.market.evm.balance(of).unwrap());
    let tokens = |lab: &mut Lab| [ETHER, DOLLAR, OTHER].map(|reserve| lab.tokens(reserve, searcher).unwrap());
    let [wei_before, tokens_before] = [wei(lab), tokens(lab)];
    let truth = scene::play(lab, kind).unwrap();
    let [wei_after, tokens_after] = [wei(lab), tokens(lab)];
    let sum = |amounts: Vec<U256>| amounts.into_iter().fold(U256::ZERO, |sum, amount| sum + amount);
    let bids = sum(truth.bids.iter().map(|bid| bid.wei).collect());
    let settled = sum(truth.allocations.iter().map(|allocation| allocation.bid).collect());
    let to_builder = sum(truth.allocations.iter().map(|allocation| allocation.builder).collect());
    let refunds = sum(truth.payments.iter().filter(|paid| paid.from == BUILDER).map(|paid| paid.wei).collect());
    assert_eq!(wei_before[0] - wei_after[0], bids + settled, "{kind:?}: the searcher");
    assert_eq!(wei_after[1] + refunds, wei_before[1] + bids + to_builder, "{kind:?}: the builder");
    assert_eq!(wei_after[2] - wei_before[2], truth.received(), "{kind:?}: the safe");
    let own: Vec<_> = truth.liquidations.iter().filter(|taken| taken.liquidator == searcher).collect();
    assert_eq!(tokens_before[1] - tokens_after[1], sum(own.iter().map(|taken| taken.repaid).collect()), "{kind:?}");
    for (reserve, index) in [(ETHER, 0), (OTHER, 2)] {
        let asset = lab.market.reserves[reserve].asset;
        let seized: Vec<U256> =
            own.iter().filter(|taken| taken.collateral == asset).map(|taken| taken.seized).collect();
        assert_eq!(tokens_after[index] - tokens_before[index], sum(seized), "{kind:?}: collateral");
    }
    shape(&truth);
    truth
}

#[test]
fn scenes_say_what_the_chain_says() {
    let Some((artifacts, binary)) = parts() else { return };
    let begin = Instant::now();
    let mut lab = Lab::start(&binary, &artifacts, Settings::default()).unwrap();
    let deployed = begin.elapsed();
    let truths: Vec<Truth> = Kind::ALL.into_iter().map(|kind| play(&mut lab, kind)).collect();
    println!("deployed in {deployed:.1?}, played in {:.1?}", begin.elapsed() - deployed);

    let expected: Vec<_> =
        truths.iter().flat_map(|truth| truth.liquidations.iter().map(|taken| at(&taken.at))).collect();
    let found: Vec<_> = logs(&mut lab, LIQUIDATION_CALL).iter().map(place).collect();
    assert_eq!(found, expected, "liquidations");
    let expected: Vec<_> =
        truths.iter().flat_map(|truth| truth.allocations.iter().map(|split| at(&split.at))).collect();
    let found: Vec<_> = logs(&mut lab, OEV_ALLOCATED).iter().map(place).collect();
    assert_eq!(found, expected, "allocations");
    let paid = truths.iter().flat_map(|truth| &truth.payments);
    let expected: Vec<_> = paid.map(|paid| (at(&paid.at), word(paid.from), paid.wei)).collect();
    let found: Vec<_> = logs(&mut lab, keccak256("SafeReceived(address,uint256)"))
        .iter()
        .map(|json| {
            let log = log(json).unwrap();
            (place(json), U256::from_be_bytes(log.topics()[1].0), word_at(&log.data.data, 0))
        })
        .collect();
    assert_eq!(found, expected, "payments");
    // The block that stands where the removed payment was does not hold it.
    for removed in truths.iter().flat_map(|truth| &truth.removed) {
        let ask = json!([format!("{:#x}", removed.at.block), false]);
        let block = lab.node().unwrap().request("eth_getBlockByNumber", ask).unwrap();
        let hashes = block["transactions"].as_array().unwrap();
        assert_eq!(hashes.len(), 2);
        assert!(!hashes.contains(&Value::from(removed.at.transaction.to_string())), "{block}");
    }
}
