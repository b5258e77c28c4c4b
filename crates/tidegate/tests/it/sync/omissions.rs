//! Logs that a node leaves out, and which check notices.

use alloy_primitives::{B256, keccak256};
use differential::action::Action;
use differential::chain::Chain;
use differential::proxy::{Fault, Proxy, When, Which};
use differential::world::Version;
use source::log::{Log, Logs};
use source::proof::{Catch, Level, Omission, expected};

use super::place::{Place, parts};
use super::start;
use crate::support::table;

/// What is left out.
struct Case {
    name: &'static str,
    omission: Omission,
    which: Which,
    /// From receipts too.
    also_receipts: bool,
}

/// What a level made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Caught,
    Missed,
    /// The fold could not go on without it, before anything was compared.
    AtTheFold,
}

fn topic(signature: &str) -> B256 {
    keccak256(signature)
}

/// The last log that is as wanted: a late one is least likely to be made good by what comes after it.
fn last<'a>(logs: &'a Logs, wanted: impl Fn(&Log<'a>, &[Log<'a>]) -> bool) -> Option<Which> {
    let all: Vec<Log<'a>> = logs.iter().collect();
    let found = all.iter().rev().find(|log| {
        let block: Vec<Log<'a>> = all.iter().filter(|other| other.block == log.block).copied().collect();
        wanted(log, &block)
    });
    found.map(|log| Which::At(log.block, log.log_index.into()))
}

fn cases(logs: &Logs) -> Vec<Case> {
    let is = |log: &Log<'_>, topics: &[B256]| log.topics.first().is_some_and(|own| topics.contains(own));
    let bits = ["ReserveUsedAsCollateralEnabled(address,address)", "ReserveUsedAsCollateralDisabled(address,address)"];
    let alone = [bits[0], bits[1], "UserEModeSet(address,uint8)"].map(topic);
    let moves = ["Mint", "Burn"].map(|name| topic(&format!("{name}(address,address,uint256,uint256,uint256)")));
    let liquidation = [topic("LiquidationCall(address,address,address,uint256,uint256,address,bool)")];
    let like = |log: &Log<'_>, other: &Log<'_>| (log.address, log.topics[0]) == (other.address, other.topics[0]);
    let only = last(logs, |log, block| block.len() == 1 && is(log, &alone)).unwrap();
    let beside =
        last(logs, |log, block| is(log, &moves) && block.iter().filter(|other| like(log, other)).count() == 1).unwrap();
    let its_like =
        last(logs, |log, block| is(log, &moves) && block.iter().filter(|other| like(log, other)).count() > 1).unwrap();
    let calls = |block: &[Log<'_>]| block.iter().filter(|log| is(log, &liquidation)).count();
    let second = last(logs, |log, block| is(log, &liquidation) && calls(block) > 1);
    let liquidated = last(logs, |log, _| is(log, &liquidation)).unwrap();
    let Which::At(block, _) = beside else { unreachable!("it is one log") };
    let case =
        |name, omission, which: &Which, also_receipts| Case { name, omission, which: which.clone(), also_receipts };
    let mut cases = vec![
        case("the only log of its block", Omission::OnlyOfItsBlock, &only, false),
        case("one beside others", Omission::BesideOthers, &beside, false),
        case("one beside its like", Omission::BesideItsLike, &its_like, false),
        case("a LiquidationCall, which moves nothing", Omission::MovesNothing, &liquidated, false),
        case("one beside others, from receipts too", Omission::BesideOthers, &beside, true),
        case("the only one, from receipts too", Omission::OnlyOfItsBlock, &only, true),
        case("a whole block's", Omission::OnlyOfItsBlock, &Which::Blocks(block, block), false),
        case("one beside others, by every endpoint", Omission::ByAll, &beside, false),
    ];
    if let Some(second) = second {
        cases.push(case("a second LiquidationCall of a block", Omission::MovesNothing, &second, false));
    }
    cases
}

/// Blocks that the bloom level calls suspect, and what it calls wrong.
fn doubts(ran: &crate::support::Ran) -> u64 {
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"));
    let rows = table(&report, "proof");
    rows.iter().map(|row| row["wrong"].as_u64().unwrap() + row["not_provable"].as_u64().unwrap()).sum()
}

fn check(place: &Place, level: Level, url: &str) -> crate::support::Ran {
    let level = match level {
        Level::SecondEndpoint => "second",
        Level::Bloom => "bloom",
        Level::Receipts => "receipts",
        Level::State => "state",
    };
    place.verified(level, url)
}

/// What every level makes of an omission, and that re-reading what was found wrong mends it.
fn goes_through(chain: &mut Chain, right: &Place, by_chance: u64, case: &Case) -> [Seen; 4] {
    let proxy = Proxy::start(chain.node().unwrap().address()).unwrap();
    let rule = proxy.add(Fault::Omit(case.which.clone(), case.also_receipts), When::Always);
    let place = Place::at(proxy.url(), chain.market.provider);
    let synced = place.try_sync(&["--finality", "0"]);
    assert!(proxy.fired(rule) > 0, "{}: nothing was left out", case.name);
    assert!(place.logs().len() < right.logs().len(), "{}", case.name);
    let honest = chain.url().unwrap();
    let seen = Level::ALL.map(|level| {
        if level == Level::State && synced.code != Some(0) {
            return Seen::AtTheFold;
        }
        let by_all = case.omission == Omission::ByAll;
        let url =
            if level == Level::State || (level == Level::SecondEndpoint && !by_all) { &honest } else { &place.url };
        let ran = check(&place, level, url);
        let caught = if level == Level::Bloom { doubts(&ran) > by_chance } else { ran.code != Some(0) };
        if caught { Seen::Caught } else { Seen::Missed }
    });
    mends(&place, right, &honest);
    seen
}

/// What was found wrong is set aside, read anew from an honest node, and right; what was good stays what it was.
pub(super) fn mends(place: &Place, right: &Place, honest: &str) {
    let args = ["verify", "--rpc", honest, "--level", "second", "--repair"];
    let ran = place.bed.run(&args);
    assert!(ran.code == Some(1) && ran.out.contains("set aside"), "{ran:?}");
    let again = place.bed.run(&["sync", "--market", "m", "--rpc", honest, "--finality", "0"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(place.logs() == right.logs(), "mended it has other logs");
    let ran = place.verified("state,receipts,second", honest);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// Somebody switches collateral on or off in a block of his own, which writes one log and nothing else.
fn switches(chain: &mut Chain) {
    for user in 0..chain.market.users.len() {
        for reserve in 0..chain.market.reserves.len() {
            for on in [true, false] {
                let before = chain.market.flags(chain.market.users[user]).unwrap();
                let done = chain.market.act(&Action::UseAsCollateral { user, reserve, on }).unwrap();
                if done.is_ok() && chain.market.flags(chain.market.users[user]).unwrap() != before {
                    return;
                }
            }
        }
    }
    panic!("nobody can switch anything");
}

#[test]
fn which_check_notices_what_a_node_leaves_out() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    chain.live(250).unwrap();
    switches(&mut chain);
    let right = Place::new(&mut chain);
    right.sync(&["--finality", "0"]);
    let by_chance = doubts(&check(&right, Level::Bloom, &right.url));
    let logs = right.logs();
    println!("{:40} {:>16} {:>16} {:>16} {:>16}", "left out", "second endpoint", "bloom", "receipts", "state");
    let mut wrong = Vec::new();
    for case in cases(&logs) {
        let seen = goes_through(&mut chain, &right, by_chance, &case);
        let words = seen.map(|seen| format!("{seen:?}"));
        println!("{:40} {:>16} {:>16} {:>16} {:>16}", case.name, words[0], words[1], words[2], words[3]);
        for (level, seen) in Level::ALL.into_iter().zip(seen) {
            let is_as_expected = match expected(case.omission, level) {
                Catch::Yes => seen == Seen::Caught,
                Catch::No => seen == Seen::Missed,
                // The only one of its block is left out by every endpoint in no case here.
                Catch::If(_) if case.omission == Omission::ByAll && level == Level::Bloom => seen == Seen::Missed,
                Catch::If(_) => seen != Seen::Missed,
            };
            if !is_as_expected {
                wrong.push((case.name, level, seen));
            }
        }
    }
    assert!(wrong.is_empty(), "not as the table of proofs says: {wrong:?}");
}
