//! Feeds found, and graphs that would have no end.

use proptest::prelude::*;

use super::super::testing::{Fake, nth, wait};
use super::*;

fn walk_from(chain: &Fake, sources: &[u64]) -> Feeds {
    let feeds = wait(walk(chain, &sources.iter().map(|number| nth(*number)).collect(), 1)).unwrap();
    assert!(chain.was_asked_once());
    feeds
}

/// A proxy with its aggregators, oldest first.
fn proxy(chain: &mut Fake, address: u64, aggregators: &[u64]) {
    let last = u16::try_from(aggregators.len()).unwrap();
    chain.answers(nth(address), &abi::aggregatorCall {}, &nth(*aggregators.last().unwrap()));
    chain.answers(nth(address), &abi::phaseIdCall {}, &last);
    for (aggregator, phase) in aggregators.iter().zip(1..) {
        chain.answers(nth(address), &abi::phaseAggregatorsCall { phase }, &nth(*aggregator));
        chain.is_born(nth(*aggregator), 0);
    }
}

#[test]
fn a_proxy_leads_to_every_aggregator_it_has_had() {
    let mut chain = Fake::default();
    proxy(&mut chain, 1, &[10, 11, 12]);
    let feeds = walk_from(&chain, &[1]);
    assert_eq!(feeds.addresses(), [1, 10, 11, 12].map(nth).into());
    assert_eq!(
        feeds.feed(nth(1)).unwrap().reads,
        [
            (Getter::Aggregator, nth(12)),
            (Getter::Phase(1), nth(10)),
            (Getter::Phase(2), nth(11)),
            (Getter::Phase(3), nth(12))
        ]
    );
    assert!(!feeds.moves_without_logs(nth(1)));
}

#[test]
fn a_capped_staking_token_is_followed_down_to_the_feed_and_known_to_move_by_itself() {
    let mut chain = Fake::default();
    // A cap over (a token's rate times ETH/USD), where ETH/USD is two feeds made one.
    chain.answers(nth(1), &abi::BASE_TO_USD_AGGREGATORCall {}, &nth(2));
    chain.answers(nth(1), &abi::RATIO_PROVIDERCall {}, &nth(3));
    chain.is_born(nth(3), 0);
    chain.answers(nth(2), &abi::ASSET_TO_PEGCall {}, &nth(4)).answers(nth(2), &abi::PEG_TO_BASECall {}, &nth(5));
    proxy(&mut chain, 4, &[40]);
    proxy(&mut chain, 5, &[50]);
    // A stable token under a cap, on one of the same feeds.
    chain.answers(nth(6), &abi::ASSET_TO_USD_AGGREGATORCall {}, &nth(5));
    let feeds = walk_from(&chain, &[1, 6]);
    assert_eq!(feeds.addresses(), [1, 2, 3, 4, 5, 6, 40, 50].map(nth).into());
    let path = |to: u64| feeds.below(nth(1)).into_iter().find(|(address, _)| *address == nth(to)).unwrap().1;
    assert_eq!(path(50), [Getter::BaseToUsd, Getter::PegToBase, Getter::Aggregator]);
    assert_eq!(path(3), [Getter::RatioProvider]);
    assert!(feeds.moves_without_logs(nth(1)), "its ratio is a token's");
    assert!(!feeds.moves_without_logs(nth(6)));
}

#[test]
fn a_contract_that_gives_nothing_away_is_kept_and_read_by_call() {
    let mut chain = Fake::default();
    chain.is_born(nth(1), 0);
    chain.answers_bytes(nth(2), &abi::aggregatorCall {}, vec![0xff; 32]);
    chain.answers_bytes(nth(3), &abi::aggregatorCall {}, vec![1; 31]);
    chain.reverts(nth(4), &abi::aggregatorCall {});
    chain.answers(nth(5), &abi::aggregatorCall {}, &Address::ZERO);
    let feeds = walk_from(&chain, &[1, 2, 3, 4, 5, 6]);
    for number in 1..=6 {
        assert_eq!(feeds.feed(nth(number)), Some(&Feed::default()), "{number}");
        assert!(feeds.moves_without_logs(nth(number)), "{number}");
    }
    assert_eq!(feeds.unasked().count(), 0);
}

#[test]
fn loops_end() {
    let mut chain = Fake::default();
    chain.answers(nth(1), &abi::sourceCall {}, &nth(2));
    chain.answers(nth(2), &abi::sourceCall {}, &nth(1)).answers(nth(2), &abi::aggregatorCall {}, &nth(2));
    let feeds = walk_from(&chain, &[1, 2]);
    assert_eq!(feeds.addresses(), [1, 2].map(nth).into());
    assert_eq!(feeds.below(nth(1)).len(), 2);
}

#[test]
fn a_chain_of_adapters_without_end_is_left_and_says_so() {
    let mut chain = Fake::default();
    for number in 0..100 {
        chain.answers(nth(number), &abi::sourceCall {}, &nth(number + 1));
    }
    proxy(&mut chain, 100, &[200]);
    let feeds = walk_from(&chain, &[0]);
    assert_eq!(feeds.addresses().len(), MOST_STEPS + 1);
    assert_eq!(feeds.unasked().collect::<Vec<_>>(), [nth(MOST_STEPS as u64)]);
    assert!(feeds.moves_without_logs(nth(0)));
}

#[test]
fn a_proxy_that_claims_every_phase_is_asked_for_few() {
    let mut chain = Fake::default();
    chain.answers(nth(1), &abi::aggregatorCall {}, &nth(2)).answers(nth(1), &abi::phaseIdCall {}, &u16::MAX);
    for phase in 1..=u16::MAX {
        chain.answers(nth(1), &abi::phaseAggregatorsCall { phase }, &nth(1_000 + u64::from(phase)));
    }
    assert_eq!(walk_from(&chain, &[1]).addresses().len(), 2 + usize::from(MOST_PHASES));
}

#[test]
fn more_feeds_than_there_can_be_are_kept_unasked() {
    let sources: Vec<u64> = (0..MOST_FEEDS as u64 + 10).collect();
    let feeds = walk_from(&Fake::default(), &sources);
    assert_eq!(feeds.addresses().len(), MOST_FEEDS + 10);
    assert_eq!(feeds.unasked().count(), 10);
}

#[test]
fn nothing_is_below_nothing() {
    let feeds = wait(walk(&Fake::default(), &BTreeSet::from([Address::ZERO]), 1)).unwrap();
    assert_eq!(feeds, Feeds::default());
}

#[test]
fn getters_are_shown_as_what_is_called() {
    for (getter, selector) in Getter::PLAIN {
        assert_eq!(alloy_primitives::keccak256(getter.to_string())[..4], selector, "{getter}");
    }
    assert_eq!(Getter::Phase(3).to_string(), "phaseAggregators(3)");
}

proptest! {
    /// Whoever reads whom, the walk finds what a plain search finds, asks everyone once, and ends.
    #[test]
    fn a_walk_finds_what_can_be_reached(
        edges in prop::collection::vec((0..12_u64, 0..12_u64, any::<bool>()), 0..30),
        sources in prop::collection::vec(0..12_u64, 0..4),
    ) {
        let mut chain = Fake::default();
        // A getter names one contract, so the last edge of a kind is the one that stands.
        let mut reads = BTreeMap::new();
        for (from, to, is_source) in edges {
            reads.insert((from, is_source), to);
            if is_source {
                chain.answers(nth(from), &abi::sourceCall {}, &nth(to));
            } else {
                chain.answers(nth(from), &abi::ETH_TO_BASECall {}, &nth(to));
            }
        }
        let mut steps: BTreeMap<u64, usize> = sources.iter().map(|source| (*source, 0)).collect();
        for step in 0..MOST_STEPS {
            let level: Vec<u64> = steps.iter().filter(|(_, at)| **at == step).map(|(number, _)| *number).collect();
            for to in level.iter().flat_map(|from| [reads.get(&(*from, true)), reads.get(&(*from, false))]).flatten() {
                steps.entry(*to).or_insert(step + 1);
            }
        }
        let feeds = walk_from(&chain, &sources);
        prop_assert_eq!(feeds.addresses(), steps.keys().map(|number| nth(*number)).collect());
        let far = steps.iter().filter(|(_, step)| **step == MOST_STEPS).map(|(number, _)| nth(*number));
        prop_assert_eq!(feeds.unasked().collect::<Vec<_>>(), far.collect::<Vec<_>>());
    }
}
