//! Markets found, and everything that only looks like one.

use alloy_sol_types::SolValue as _;
use proptest::prelude::*;

use super::super::testing::{Fake, nth, wait};
use super::*;

const AT: u64 = 20_000_000;

fn provider() -> Address {
    nth(1)
}

fn pool() -> Address {
    nth(2)
}

/// A V3 market with two reserves, of which only the first has a price source.
fn v3() -> Fake {
    let mut chain = Fake::default();
    chain
        .answers(provider(), &abi::getPoolCall {}, &pool())
        .answers(provider(), &abi::getPoolConfiguratorCall {}, &nth(3))
        .answers(provider(), &abi::getPriceOracleCall {}, &nth(4))
        .answers(provider(), &abi::getPoolDataProviderCall {}, &nth(5))
        .answers(provider(), &abi::getMarketIdCall {}, &"A \u{1b}[31mmarket".to_owned())
        .answers(pool(), &abi::ADDRESSES_PROVIDERCall {}, &provider())
        .answers(pool(), &abi::POOL_REVISIONCall {}, &U256::from(10))
        .answers(pool(), &abi::getReservesListCall {}, &vec![nth(10), Address::ZERO, nth(11)])
        .answers(nth(4), &abi::BASE_CURRENCYCall {}, &Address::ZERO)
        .answers(nth(4), &abi::BASE_CURRENCY_UNITCall {}, &U256::from(100_000_000_u64))
        .answers(nth(4), &abi::getFallbackOracleCall {}, &Address::ZERO)
        .answers(nth(4), &abi::getSourceOfAssetCall { asset: nth(10) }, &nth(20))
        .answers(nth(4), &abi::getSourceOfAssetCall { asset: nth(11) }, &Address::ZERO);
    chain
}

/// A V2 market whose oracle is of the first kind.
fn v2() -> Fake {
    let mut chain = Fake::default();
    let mut id = B256::ZERO;
    id[0] = 1;
    chain
        .answers(provider(), &abi::getLendingPoolCall {}, &pool())
        .answers(provider(), &abi::getLendingPoolConfiguratorCall {}, &nth(3))
        .answers(provider(), &abi::getPriceOracleCall {}, &nth(4))
        .answers(provider(), &abi::getAddressCall { id }, &nth(5))
        .answers(provider(), &abi::getMarketIdCall {}, &"Aave genesis market".to_owned())
        .answers(pool(), &abi::getAddressesProviderCall {}, &provider())
        .answers(pool(), &abi::LENDINGPOOL_REVISIONCall {}, &U256::from(2))
        .answers(pool(), &abi::getReservesListCall {}, &vec![nth(10)])
        .answers(nth(4), &abi::WETHCall {}, &nth(10))
        .answers(nth(4), &abi::getFallbackOracleCall {}, &nth(6))
        .answers(nth(4), &abi::getSourceOfAssetCall { asset: nth(10) }, &Address::ZERO);
    chain
}

fn find(chain: &Fake) -> Result<Found> {
    wait(market(chain, provider(), AT))
}

/// Fails, with a message that holds all of `says`, and for good.
fn refused(chain: &Fake, says: &[&str]) {
    let error = find(chain).unwrap_err();
    assert!(!error.is_transient(), "{error}");
    for words in says {
        assert!(error.to_string().contains(words), "no {words:?} in: {error}");
    }
}

#[test]
fn a_market_of_v3_is_found_whole() {
    let chain = v3();
    let found = find(&chain).unwrap();
    assert_eq!(found.version, Version::V3);
    assert_eq!((found.pool, found.configurator, found.oracle), (nth(2), nth(3), nth(4)));
    assert_eq!((found.data_provider, found.fallback_oracle), (Some(nth(5)), None));
    assert_eq!(found.code, Code::Known { number: 10, revision: Revision::V3_6 });
    assert_eq!(found.currency.base(), Some(Base::Usd8));
    assert_eq!(found.reserves, [nth(10), Address::ZERO, nth(11)], "a slot that was given up keeps its place");
    assert_eq!(found.sources, BTreeMap::from([(nth(10), Some(nth(20))), (nth(11), None)]));
    assert_eq!(found.market_id.as_deref(), Some("A \u{1b}[31mmarket"));
    assert!(chain.was_asked_once());
}

#[test]
fn a_market_of_v2_is_found_though_its_oracle_knows_only_ether() {
    let found = find(&v2()).unwrap();
    assert_eq!(found.version, Version::V2);
    assert_eq!((found.configurator, found.data_provider, found.fallback_oracle), (nth(3), Some(nth(5)), Some(nth(6))));
    assert_eq!(found.code, Code::Known { number: 2, revision: Revision::V2 });
    assert_eq!(found.currency.base(), Some(Base::Eth18));
}

#[test]
fn what_is_no_addresses_provider_is_told_apart() {
    refused(&Fake::default(), &["there is no contract at", "as of block 20000000", "of the chain"]);
    let mut other = Fake::default();
    other.is_born(provider(), 5);
    refused(&other, &["is no addresses provider", "PoolAddressesProvider (V3)"]);
    let mut is_pool = Fake::default();
    is_pool.answers(provider(), &abi::ADDRESSES_PROVIDERCall {}, &nth(77));
    refused(&is_pool, &["is no addresses provider", &nth(77).to_string()]);
    let mut is_v2_pool = Fake::default();
    is_v2_pool.answers(provider(), &abi::getAddressesProviderCall {}, &nth(78));
    refused(&is_v2_pool, &[&nth(78).to_string()]);
    let mut is_token = Fake::default();
    is_token.answers(provider(), &abi::POOLCall {}, &nth(79));
    refused(&is_token, &["token of the pool", &nth(79).to_string()]);
}

#[test]
fn a_market_that_is_half_set_up_is_refused_by_what_is_missing() {
    let mut no_oracle = v3();
    no_oracle.answers(provider(), &abi::getPriceOracleCall {}, &Address::ZERO);
    refused(&no_oracle, &["names no price oracle"]);
    let mut no_configurator = v3();
    no_configurator.reverts(provider(), &abi::getPoolConfiguratorCall {});
    refused(&no_configurator, &["names no configurator"]);
    let mut other_pool = v3();
    other_pool.answers(pool(), &abi::ADDRESSES_PROVIDERCall {}, &nth(99));
    refused(&other_pool, &[&pool().to_string(), &nth(99).to_string()]);
    let mut no_unit = v3();
    no_unit.answers(nth(4), &abi::BASE_CURRENCY_UNITCall {}, &U256::ZERO);
    refused(&no_unit, &["does not say in what it counts"]);
}

#[test]
fn lists_that_cannot_be_are_refused() {
    let mut head = vec![0_u8; 64];
    head[31] = 32;
    let mut huge = head.clone();
    huge[32..].fill(0xff);
    let long = vec![nth(10); MOST_RESERVES + 1].abi_encode();
    let mut cut = vec![nth(10); 3].abi_encode();
    cut.truncate(cut.len() - 1);
    let mut dirty = vec![nth(10); 3].abi_encode();
    dirty[64] = 1;
    for bytes in [Vec::new(), vec![1], head[..32].to_vec(), huge, long, cut, dirty] {
        let mut chain = v3();
        chain.answers_bytes(pool(), &abi::getReservesListCall {}, bytes);
        refused(&chain, &["gives no list of at most 128 reserves"]);
    }
    let mut none = v3();
    none.answers(pool(), &abi::getReservesListCall {}, &Vec::<Address>::new());
    assert!(find(&none).unwrap().reserves.is_empty(), "a market with nothing in it yet is one");
}

#[test]
fn a_market_id_is_bounded_and_none_is_no_failure() {
    let mut chain = v3();
    chain.answers(provider(), &abi::getMarketIdCall {}, &"x".repeat(LONGEST_ID + 1));
    assert_eq!(find(&chain).unwrap().market_id, None);
    chain.reverts(provider(), &abi::getMarketIdCall {});
    assert_eq!(find(&chain).unwrap().market_id, None);
}

#[test]
fn an_unknown_revision_is_an_answer_that_says_what_still_works() {
    for (number, shown) in [(U256::from(99), "revision 99"), (U256::MAX, "revision 1157920892373161954235709850086879")]
    {
        let mut chain = v3();
        chain.answers(pool(), &abi::POOL_REVISIONCall {}, &number);
        let code = find(&chain).unwrap().code;
        assert_eq!(code, Code::Unknown { number: Some(number) });
        assert_eq!(code.revisions(), []);
        let said = code.to_string();
        assert!(said.contains(shown) && said.contains("liquidations") && said.contains("cannot be computed exactly"));
    }
    let mut silent = v3();
    silent.reverts(pool(), &abi::POOL_REVISIONCall {});
    assert_eq!(find(&silent).unwrap().code, Code::Unknown { number: None });
}

#[test]
fn revision_numbers_mean_what_the_versions_state() {
    let named = |version, number: u64| {
        let revisions = Code::of(version, Some(U256::from(number))).revisions();
        revisions.iter().map(|revision| revision.name()).collect::<Vec<_>>().join(" ")
    };
    let v3: Vec<String> = (0..=12).map(|number| named(Version::V3, number)).collect();
    let expected = ["", "3.0.0 3.0.2", "3.0.2", "3.0.2", "3.1", "3.2", "3.3", "3.3", "3.4", "3.5", "3.6", "3.7", ""];
    assert_eq!(v3, expected);
    assert_eq!(named(Version::V2, 2), Revision::V2.name());
    for presumed in [2, 3, 6] {
        let code = Code::of(Version::V3, Some(U256::from(presumed)));
        assert!(matches!(code, Code::Presumed { .. }) && code.to_string().contains("tidegate verify"), "{code}");
    }
    assert_eq!(Code::of(Version::V4, Some(U256::from(1))).revisions(), []);
}

#[test]
fn what_prices_are_counted_in_is_recognised_or_left_open() {
    let currency = |token, unit: u64| Currency { token, unit: U256::from(unit) }.base();
    assert_eq!(currency(Address::ZERO, 100_000_000), Some(Base::Usd8));
    assert_eq!(currency(nth(1), 1_000_000_000_000_000_000), Some(Base::Eth18));
    assert_eq!(currency(Address::ZERO, 1_000_000_000_000_000_000), None, "dollars of eighteen decimals");
    assert_eq!(currency(nth(1), 100_000_000), None);
}

proptest! {
    /// What is found in spite of nonsense is what a pool can hold, and the parts that are named are parts.
    #[test]
    fn nothing_that_is_answered_panics_or_outgrows_its_bounds(seed in any::<u64>(), is_v2 in any::<bool>()) {
        let mut chain = if is_v2 { v2() } else { v3() };
        chain.spoil(seed);
        if let Ok(found) = find(&chain) {
            prop_assert!(found.reserves.len() <= MOST_RESERVES);
            prop_assert!(found.market_id.is_none_or(|id| id.len() <= LONGEST_ID));
            prop_assert!(!found.pool.is_zero() && !found.configurator.is_zero() && !found.oracle.is_zero());
            prop_assert!(!found.currency.unit.is_zero());
        }
    }

    /// Whatever the hint and whatever the nodes have forgotten, the answer is the block of birth or an error that helps.
    #[test]
    fn a_first_block_is_right_or_refused(
        born in 0..AT,
        hint in prop::option::of(0..AT + 10),
        pruned_below in 0..AT,
        writes_log in any::<bool>(),
        refuses_logs in any::<bool>(),
    ) {
        let mut chain = Fake::default();
        chain.is_born(provider(), born);
        if writes_log {
            chain.logs(provider(), [OWNERSHIP_TRANSFERRED, B256::ZERO], born);
        }
        chain.pruned_below = pruned_below;
        chain.refuses_logs = refuses_logs;
        match wait(first_block(&chain, provider(), hint, AT)) {
            Ok(found) => prop_assert_eq!(found.block, born),
            Err(error) => {
                prop_assert!(pruned_below > 0);
                let said = error.to_string();
                prop_assert!(said.contains("--from-block") && said.contains("archive node"), "{}", said);
            }
        }
    }
}

#[test]
fn a_log_near_the_hint_is_enough_where_old_state_is_gone() {
    let born = 16_291_000;
    let mut chain = Fake::default();
    chain.is_born(provider(), born).logs(provider(), [OWNERSHIP_TRANSFERRED, B256::ZERO], born);
    chain.pruned_below = AT;
    let found = wait(first_block(&chain, provider(), Some(born - 900_000), AT)).unwrap();
    assert_eq!(found, FirstBlock { block: born, evidence: FirstBlockEvidence::CreationLog });
    for hint in [None, Some(born + 1), Some(born - 1_100_000)] {
        assert!(wait(first_block(&chain, provider(), hint, AT)).is_err(), "{hint:?}");
    }
}

#[test]
fn a_log_from_another_range_is_not_believed() {
    let mut chain = Fake::default();
    chain.is_born(provider(), 12_345);
    chain.lies_about_logs = Some(7);
    let found = wait(first_block(&chain, provider(), Some(10_000), AT)).unwrap();
    assert_eq!(found, FirstBlock { block: 12_345, evidence: FirstBlockEvidence::CodeAppears });
}

#[test]
fn a_contract_that_is_not_there_has_no_first_block() {
    let error = wait(first_block(&Fake::default(), provider(), None, AT)).unwrap_err().to_string();
    assert!(error.contains("there is no contract at"), "{error}");
}

#[test]
fn the_topic_is_the_event() {
    assert_eq!(OWNERSHIP_TRANSFERRED, alloy_primitives::keccak256("OwnershipTransferred(address,address)"));
}
