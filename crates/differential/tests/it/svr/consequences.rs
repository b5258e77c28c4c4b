//! What follows from the rules of a dual aggregator, wanted or not: each sentence is tried.

use alloy_primitives::{Address, B256, I256, U256};
use differential::abi::{self, Value, word};
use differential::evm::ADMIN;
use differential::svr::key::Key;
use differential::svr::oracle::{MOST, Oracle, PRIMARY, Reader, SECONDARY, Settings, ask, deploy};
use differential::svr::report::{Report, Way, forward, integer};

use super::{Site, events};
use crate::contracts;
use Way::{Primary, Secondary};

/// A secondary report of a public round makes no new round and needs no signature; the other order unlocks in the same block.
#[test]
fn the_second_way_makes_no_second_round() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let report = site.round(200, Primary);
    assert_eq!(site.rounds(), [2, 1]);
    assert_eq!(events(&site.bring(&report, Secondary).unwrap()), ["SecondaryRoundIdUpdated"]);
    assert_eq!(site.rounds(), [2, 2]);
    site.chain.warp(12);
    let report = site.round(300, Secondary);
    assert_eq!(site.rounds(), [2, 3]);
    assert_eq!(events(&site.bring(&report, Primary).unwrap()), ["PrimaryFeedUnlocked"]);
    assert_eq!(site.rounds(), [3, 3]);
}

/// An exact repetition of what came through the auction is refused, by that way always, in public the second time.
#[test]
fn a_replay_is_stale_and_changes_nothing() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let report = site.round(200, Secondary);
    let seen = site.rounds();
    assert_eq!(site.bring(&report, Secondary).unwrap_err(), "StaleReport");
    assert_eq!(site.rounds(), seen);
    site.bring(&report, Primary).unwrap();
    assert_eq!(site.bring(&report, Primary).unwrap_err(), "StaleReport");
    assert_eq!(site.bring(&report, Secondary).unwrap_err(), "StaleReport");
    assert_eq!(site.rounds(), [2, 2]);
    site.chain.warp(1_000);
    for way in [Primary, Secondary] {
        assert_eq!(site.bring(&report, way).unwrap_err(), "StaleReport");
    }
}

/// Who transmits can, without a single observer, show a public round early and unlock a hidden one, but can bring no price
/// that was not signed for.
#[test]
fn without_signatures_a_transmitter_moves_views_and_never_prices() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let nobody = Key::new(99).unwrap();
    let observed_at = u32::try_from(site.chain.now()).unwrap();
    site.round(200, Primary);
    assert_eq!(site.rounds(), [2, 1]);
    // The middle one is what was signed for; the rest is made up.
    let observations = [-7, 0, 200, MOST].map(integer).to_vec();
    let junk = Report { observed_at, observations }.sign(site.oracle.digest, 77, &[nobody.clone(), nobody.clone()]);
    assert_eq!(events(&site.bring(&junk.unwrap(), Secondary).unwrap()), ["SecondaryRoundIdUpdated"]);
    assert_eq!(site.rounds(), [2, 2]);
    assert_eq!(site.seen(Reader::Svr).answer, integer(200));
    site.chain.warp(12);
    site.round(300, Secondary);
    let epoch = site.oracle.epoch;
    let sign = |site: &Site, answer, epoch, keys: &[Key]| {
        Report::unanimous(u32::try_from(site.chain.now()).unwrap(), answer, 4).sign(site.oracle.digest, epoch, keys)
    };
    let junk = sign(&site, 1, epoch, &[nobody.clone(), nobody.clone()]).unwrap();
    assert_eq!(site.rounds(), [2, 3]);
    // The event is written by a secondary call too, again and again, which unlocks nothing.
    for _ in 0..3 {
        assert_eq!(events(&site.bring(&junk, Secondary).unwrap()), ["PrimaryFeedUnlocked"]);
        assert_eq!(site.rounds(), [2, 3]);
    }
    assert_eq!(events(&site.bring(&junk, Primary).unwrap()), ["PrimaryFeedUnlocked"]);
    assert_eq!(site.rounds(), [3, 3]);
    assert_eq!(site.seen(Reader::Standard).answer, integer(300));
    let junk = sign(&site, 1, epoch + 1, &[nobody.clone(), nobody]).unwrap();
    for way in [Primary, Secondary] {
        assert_eq!(site.bring(&junk, way).unwrap_err(), "SignatureError");
    }
}

/// With nothing to look back on the secondary view could never go on, so that cannot be set.
#[test]
fn no_aggregator_looks_back_on_nothing() {
    let Some(mut site) = Site::new(Settings::default()) else { return };
    let set = abi::words("setMaxSyncIterations(uint32)", &[U256::ZERO]);
    let aggregator = site.oracle.aggregator;
    assert_eq!(site.call(ADMIN, aggregator, set).unwrap_err(), "NoSyncIterations");
    let artifacts = contracts().unwrap();
    let settings = Settings { max_sync: 0, ..Settings::default() };
    let refused = Oracle::deploy(&mut site.chain, &artifacts, settings).unwrap_err().to_string();
    let selector = alloy_primitives::hex::encode(abi::selector("NoSyncIterations()"));
    assert!(refused.contains(&selector), "{refused}");
    let bounds = [2_u64, 1].map(Value::from);
    let more = [8_u64.into(), "X".into(), Address::ZERO.into(), 10_u64.into(), 1_u64.into()];
    let arguments: Vec<Value> = bounds.into_iter().chain(more).collect();
    let refused = deploy(&mut site.chain, &artifacts, "DualAggregator", &arguments).unwrap_err().to_string();
    let selector = alloy_primitives::hex::encode(abi::selector("MinAboveMax()"));
    assert!(refused.contains(&selector), "{refused}");
}

/// More public rounds within the cutoff than are looked back over: the secondary view stays at the old round although younger
/// ones are overdue, and secondary reports of older rounds are refused, until the rounds come slowly again.
#[test]
fn rounds_that_come_too_fast_hold_the_secondary_view_back() {
    let Some(mut site) = Site::begun(Settings { cutoff: 10, max_sync: 3, f: 1 }) else { return };
    let first = site.round(200, Primary);
    for answer in 201..=204 {
        site.chain.warp(4);
        site.round(answer, Primary);
    }
    // Rounds 2 to 6 at 0, 4, 8, 12, 16. At 16 round 3 is overdue, at four places behind the youngest.
    assert_eq!(site.rounds(), [6, 1]);
    assert_eq!(site.bring(&first, Secondary).unwrap_err(), "MaxSyncIterations");
    // At 18 still; at 19 round 4 is overdue, in the last place that is looked at.
    site.chain.warp(2);
    assert_eq!(site.rounds(), [6, 1]);
    site.chain.warp(1);
    assert_eq!(site.rounds(), [6, 4]);
    site.chain.warp(100);
    assert_eq!(site.rounds(), [6, 6]);
}

/// Rounds observed in the same second are told apart by their answers.
#[test]
fn rounds_of_one_second_are_told_apart() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let reports = [200, 201, 202].map(|answer| site.round(answer, Primary));
    assert_eq!(site.rounds(), [4, 1]);
    site.bring(&reports[1], Secondary).unwrap();
    assert_eq!(site.rounds(), [4, 3]);
    assert_eq!(site.bring(&reports[0], Secondary).unwrap_err(), "StaleReport");
    site.bring(&reports[2], Secondary).unwrap();
    assert_eq!(site.rounds(), [4, 4]);
    // One that was never recorded is new.
    let now = site.chain.now();
    let other = site.oracle.next(now, 203).unwrap();
    site.bring(&other, Secondary).unwrap();
    assert_eq!(site.rounds(), [4, 5]);
}

/// A first round in public leaves secondary readers with nothing until the cutoff is over.
#[test]
fn a_first_round_in_public_is_nothing_to_secondary_readers() {
    let Some(mut site) = Site::new(Settings::default()) else { return };
    assert_eq!(site.rounds(), [0, 0]);
    site.round(200, Primary);
    for (after, round) in [(0, 0), (10, 0), (1, 1)] {
        site.chain.warp(after);
        assert_eq!(site.rounds(), [1, round]);
        assert_eq!(site.seen(Reader::Svr).answer, integer(200 * i128::from(round)));
    }
}

/// A longer cutoff takes secondary readers back to an older round, a shorter one forward.
#[test]
fn a_changed_cutoff_moves_the_secondary_view_at_once() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    site.round(200, Primary);
    site.chain.warp(30);
    assert_eq!(site.rounds(), [2, 2]);
    for (cutoff, round) in [(30, 1), (29, 2), (60, 1), (u32::MAX, 1), (0, 2)] {
        site.oracle.set_cutoff(&mut site.chain, cutoff).unwrap();
        assert_eq!(site.rounds(), [2, round], "cutoff {cutoff}");
    }
}

/// An empty report that is not newer than the last round panics on its middle observation; a newer one meets the usual rules.
#[test]
fn a_report_without_observations() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    site.round(200, Primary);
    let observed_at = u32::try_from(site.chain.now()).unwrap();
    let keys = site.oracle.keys[..2].to_vec();
    let digest = site.oracle.digest;
    let empty =
        |observed_at, epoch| Report { observed_at, observations: Vec::new() }.sign(digest, epoch, &keys).unwrap();
    for behind in [0, 1, 500] {
        let report = empty(observed_at - behind, 50);
        assert_eq!(site.bring(&report, Secondary).unwrap_err(), "Panic(0x32)", "{behind} s older");
        assert_eq!(site.bring(&report, Primary).unwrap_err(), "TooFewValuesToTrustMedian");
    }
    assert_eq!(site.bring(&empty(observed_at + 1, 50), Secondary).unwrap_err(), "TooFewValuesToTrustMedian");
    assert_eq!(site.bring(&empty(observed_at + 1, 2), Secondary).unwrap_err(), "StaleReport");
}

/// What the auction sold and the public overtook is refused, and the whole transaction with it.
#[test]
fn an_overtaken_report_is_stale() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let begin = site.chain.now();
    let sold = site.oracle.next(begin, 200).unwrap();
    site.chain.warp(2);
    site.round(201, Primary);
    assert_eq!(site.bring(&sold, Secondary).unwrap_err(), "StaleReport");
    assert_eq!(site.rounds(), [2, 1]);
}

/// A new configuration ends what was signed for the old one; the public way goes on, and secondary readers follow it.
#[test]
fn a_new_configuration_ends_what_is_under_way() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let now = site.chain.now();
    let sold = site.oracle.next(now, 200).unwrap();
    site.oracle.configure(&mut site.chain).unwrap();
    for way in [Primary, Secondary] {
        assert_eq!(site.bring(&sold, way).unwrap_err(), "ConfigDigestMismatch");
    }
    site.round(200, Primary);
    assert_eq!(site.rounds(), [2, 1]);
    site.chain.warp(11);
    assert_eq!(site.rounds(), [2, 2]);
}

/// Two rounds through the auction in one block: only the youngest is hidden, so standard readers see the other in its own
/// block. The rule looks one round back and no further.
#[test]
fn of_two_auctioned_rounds_in_a_block_one_is_not_hidden() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    site.round(200, Secondary);
    assert_eq!(site.rounds(), [1, 2]);
    site.round(201, Secondary);
    assert_eq!(site.rounds(), [2, 3]);
    site.chain.warp(1);
    assert_eq!(site.rounds(), [3, 3]);
}

/// What decides is who asks the aggregator: a contract between it and the secondary proxy has the standard view.
#[test]
fn the_view_belongs_to_who_asks_the_aggregator() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    site.round(200, Secondary);
    let aggregator = site.oracle.aggregator;
    let direct = ask(&mut site.chain, aggregator, "latestRoundData()", &[]).unwrap();
    assert_eq!(abi::word_at(&direct, 0), U256::from(1));
    assert_eq!(site.rounds(), [1, 2]);
    // A second proxy in front of the first is asked by the first.
    let artifacts = contracts().unwrap();
    let outer = deploy(&mut site.chain, &artifacts, "AggregatorProxy", &[]).unwrap();
    let confirm = |to| abi::words("confirmAggregator(address)", &[word(to)]);
    site.call(ADMIN, outer, confirm(site.oracle.svr)).unwrap();
    let answer = ask(&mut site.chain, outer, "latestAnswer()", &[]).unwrap();
    assert_eq!(I256::from_raw(abi::word_at(&answer, 0)), integer(200));
    // People may ask for what is hidden; contracts may not.
    let details = ask(&mut site.chain, aggregator, "latestTransmissionDetails()", &[]).unwrap();
    assert_eq!(abi::word_at(&details, 3), U256::from(200));
    let through = forward(aggregator, &abi::words("latestTransmissionDetails()", &[]));
    let forwarder = site.oracle.forwarder;
    assert_eq!(site.call(PRIMARY, forwarder, through).unwrap_err(), "OnlyCallableByEOA");
}

/// A proxy's rounds carry their phase, old phases stay readable, and an aggregator is a contract.
#[test]
fn a_proxy_goes_on_to_the_next_aggregator() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let artifacts = contracts().unwrap();
    let mut next = Oracle::deploy(&mut site.chain, &artifacts, Settings::default()).unwrap();
    next.round(&mut site.chain, 900, Secondary).unwrap();
    site.chain.warp(12);
    let proxy = site.oracle.standard;
    let confirm = |to| abi::words("confirmAggregator(address)", &[word(to)]);
    assert_eq!(site.call(PRIMARY, proxy, confirm(next.aggregator)).unwrap_err(), "OnlyOwner");
    assert_eq!(site.call(ADMIN, proxy, confirm(PRIMARY)).unwrap_err(), "NoAggregator");
    site.call(ADMIN, proxy, confirm(next.aggregator)).unwrap();
    let mut word_of = |what: &str, arguments: &[U256], index| {
        abi::word_at(&ask(&mut site.chain, proxy, what, arguments).unwrap(), index)
    };
    let phase = |number: u64| U256::from(number) << 64;
    assert_eq!(word_of("phaseId()", &[], 0), U256::from(2));
    assert_eq!(word_of("aggregator()", &[], 0), word(next.aggregator));
    assert_eq!(word_of("phaseAggregators(uint16)", &[U256::from(1)], 0), word(site.oracle.aggregator));
    assert_eq!(word_of("latestRoundData()", &[], 0), phase(2) | U256::from(1));
    assert_eq!(word_of("latestRoundData()", &[], 4), phase(2) | U256::from(1));
    assert_eq!(word_of("latestAnswer()", &[], 0), U256::from(900));
    let old = phase(1) | U256::from(1);
    assert_eq!(word_of("getRoundData(uint80)", &[old], 0), old);
    assert_eq!(word_of("getRoundData(uint80)", &[old], 1), U256::from(100));
    assert_eq!([word_of("decimals()", &[], 0), word_of("version()", &[], 0)], [8, 6].map(U256::from));
    let unknown = abi::words("getRoundData(uint80)", &[phase(9)]);
    let refused = site.chain.view(proxy, unknown).unwrap().unwrap_err();
    assert_eq!(refused.0[..], abi::selector("NoAggregator()"));
}

/// Every false configuration has its error.
#[test]
fn false_configurations_are_refused() {
    let Some(mut site) = Site::new(Settings::default()) else { return };
    let aggregator = site.oracle.aggregator;
    let with = |change: &dyn Fn(&mut Oracle, &mut Vec<Address>)| {
        let mut oracle = site.oracle.clone();
        let mut transmitters = oracle.transmitters();
        change(&mut oracle, &mut transmitters);
        oracle.configuration(&transmitters)
    };
    let more = |oracle: &mut Oracle, transmitters: &mut Vec<Address>, count: u64| {
        oracle.keys = (0..count).map(|number| Key::new(number).unwrap()).collect();
        *transmitters = oracle.transmitters();
    };
    let calls = [
        ("TooManyOracles", with(&|oracle, transmitters| more(oracle, transmitters, 32))),
        ("OracleLengthMismatch", with(&|_, transmitters| transmitters.truncate(3))),
        ("FaultyOracleFTooHigh", with(&|oracle, transmitters| more(oracle, transmitters, 3))),
        ("FMustBePositive", with(&|oracle, _| oracle.f = 0)),
        ("RepeatedSignerAddress", with(&|oracle, _| oracle.keys[3] = oracle.keys[1].clone())),
        ("RepeatedSignerAddress", with(&|oracle, _| oracle.keys[3].address = Address::ZERO)),
        ("RepeatedTransmitterAddress", with(&|_, transmitters| transmitters[3] = transmitters[1])),
    ];
    let good = site.oracle.configuration(&site.oracle.transmitters());
    assert_eq!(site.call(SECONDARY, aggregator, good.clone()).unwrap_err(), "OnlyOwner");
    for (error, call) in calls {
        assert_eq!(site.call(ADMIN, aggregator, call).unwrap_err(), error);
    }
    // The bounds in the configuration, a version and two numbers of 24 bytes, must be the contract's own.
    let begin = [&[1][..], &[0; 23], &[1]].concat();
    let place = good.windows(25).position(|window| window == begin).unwrap();
    for at in [place, place + 24, place + 48] {
        let mut other = good.to_vec();
        other[at] ^= 2;
        assert_eq!(site.call(ADMIN, aggregator, other.into()).unwrap_err(), "InvalidOnChainConfig");
    }
    site.call(ADMIN, aggregator, good).unwrap();
}

/// Who is not configured any more neither transmits nor signs.
#[test]
fn who_is_not_named_again_is_out() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let (old_keys, old) = (site.oracle.keys.clone(), site.oracle.transmitters()[1]);
    site.oracle.keys = (50..54).map(|number| Key::new(number).unwrap()).collect();
    let transmitters: Vec<Address> =
        site.oracle.transmitters().into_iter().map(|one| if one == old { PRIMARY } else { one }).collect();
    let call = site.oracle.configuration(&transmitters);
    let aggregator = site.oracle.aggregator;
    site.call(ADMIN, aggregator, call).unwrap();
    let details = ask(&mut site.chain, aggregator, "latestConfigDetails()", &[]).unwrap();
    site.oracle.digest = B256::from(abi::word_at(&details, 2));
    site.oracle.epoch = 0;
    let report = Report::unanimous(u32::try_from(site.chain.now()).unwrap(), 200, 4);
    let by_old = report.sign(site.oracle.digest, 1, &old_keys[..2]).unwrap();
    assert_eq!(site.bring(&by_old, Primary).unwrap_err(), "SignatureError");
    let by_new = site.oracle.sign(&report).unwrap();
    assert_eq!(site.call(old, aggregator, by_new.call(Primary)).unwrap_err(), "UnauthorizedTransmitter");
    site.call(PRIMARY, aggregator, by_new.call(Primary)).unwrap();
}

/// Only who is authorised sends through a forwarder, to contracts alone, and what they refuse is handed on.
#[test]
fn a_forwarder_forwards_for_its_senders() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let (forwarder, aggregator) = (site.oracle.forwarder, site.oracle.aggregator);
    let stranger = Address::repeat_byte(0x66);
    let now = site.chain.now();
    let report = site.oracle.next(now, 200).unwrap();
    let call = report.forward(Primary, aggregator);
    assert_eq!(site.call(stranger, forwarder, call.clone()).unwrap_err(), "NotAuthorizedSender");
    assert_eq!(site.call(PRIMARY, forwarder, forward(stranger, &[])).unwrap_err(), "NoContract");
    let one = |to: Address, data: &[u8]| (Value::array([to]), Value::Array(vec![Value::Bytes(data.to_vec())]));
    let (to, data) = one(aggregator, &report.call(Primary));
    let multi = abi::call("multiForward(address[],bytes[])", &[to, data.clone()]);
    assert_eq!(site.call(stranger, forwarder, multi.clone()).unwrap_err(), "NotAuthorizedSender");
    let uneven = abi::call("multiForward(address[],bytes[])", &[Value::Array(Vec::new()), data]);
    assert_eq!(site.call(PRIMARY, forwarder, uneven).unwrap_err(), "LengthMismatch");
    site.call(PRIMARY, forwarder, multi).unwrap();
    assert_eq!(site.call(PRIMARY, forwarder, call).unwrap_err(), "StaleReport");
    let owners = abi::call("ownerForward(address,bytes)", &[aggregator.into(), Value::Bytes(vec![1, 2, 3, 4])]);
    assert_eq!(site.call(PRIMARY, forwarder, owners).unwrap_err(), "OnlyOwner");
    let senders = |list: Vec<Address>| abi::call("setAuthorizedSenders(address[])", &[Value::array(list)]);
    assert_eq!(site.call(stranger, forwarder, senders(vec![stranger])).unwrap_err(), "OnlyOwner");
    assert_eq!(site.call(ADMIN, forwarder, senders(vec![])).unwrap_err(), "NoSenders");
    site.call(ADMIN, forwarder, senders(vec![stranger])).unwrap();
    let call = report.forward(Primary, aggregator);
    assert_eq!(site.call(PRIMARY, forwarder, call).unwrap_err(), "NotAuthorizedSender");
}
