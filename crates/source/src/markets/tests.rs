//! The registry as it is embedded, and files laid over it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::Error;

/// The embedded registry with a text laid over it.
fn with(text: &str) -> Result<Markets> {
    let mut markets = Markets::embedded().clone();
    markets.merge(text, Path::new("mine.toml"))?;
    Ok(markets)
}

/// Fails, with a message that holds all of `says`.
fn refused(text: &str, says: &[&str]) -> String {
    let error = with(text).unwrap_err();
    assert!(matches!(error, Error::BadFile { .. }) && !error.is_transient(), "{error}");
    let said = error.to_string();
    for words in ["mine.toml"].iter().chain(says) {
        assert!(said.contains(words), "no {words:?} in: {said}");
    }
    said
}

#[test]
fn the_embedded_registry_reads_whole() {
    let markets = Markets::embedded();
    assert_eq!(markets.iter().count(), EMBEDDED.matches("[[market]]").count());
    assert_eq!(markets.networks.len(), EMBEDDED.matches("[[chain]]").count());
    assert!(markets.iter().count() >= 29, "markets are lost");
    assert!(markets.address_book().is_some());
    let places: BTreeSet<_> = markets.iter().map(|market| (market.chain, market.addresses_provider)).collect();
    assert_eq!(places.len(), markets.iter().count(), "a market stands twice");
}

#[test]
fn every_embedded_market_is_whole_and_can_be_reached() {
    for market in Markets::embedded().iter() {
        let Market { name, version, base, .. } = market;
        assert!(market.chain.name().is_some_and(|chain| name.starts_with(chain)), "{name}");
        assert_eq!(Version::named_in(name), *version, "{name}");
        assert!(base.is_some(), "{name}");
        let parts = [market.pool, market.configurator, market.oracle, market.data_provider, market.treasury];
        let different: BTreeSet<_> = parts.iter().flatten().chain([&market.addresses_provider]).collect();
        assert_eq!(different.len(), parts.len() + 1, "{name}");
        let network = Markets::embedded().network(market.chain).unwrap();
        assert!(!network.endpoints.is_empty(), "{name}");
        for endpoint in &network.endpoints {
            crate::rpc::Endpoint::parse(endpoint).unwrap();
        }
        if let (Some(hint), Some(anchor)) = (market.first_block_hint, network.anchor) {
            assert!(hint < anchor.block, "{name}");
        }
    }
}

#[test]
fn markets_answer_to_their_names() {
    let named = |name| Markets::embedded().by_name(name).map(|market| market.name.as_str());
    for (name, expected) in [
        ("ethereum-v3-core", Some("ethereum-v3-core")),
        (" Ethereum-V3 ", Some("ethereum-v3-core")),
        ("AaveV3Ethereum", Some("ethereum-v3-core")),
        ("aavev3ethereumlido", Some("ethereum-v3-prime")),
        ("ethereum-v2", Some("ethereum-v2-main")),
        ("base-v3", Some("base-v3")),
        ("base-v2", None),
        ("", None),
    ] {
        assert_eq!(named(name), expected, "{name}");
    }
    let core = Markets::embedded().by_name("ethereum-v3").unwrap();
    assert_eq!(Markets::embedded().by_provider(ChainId::ETHEREUM, core.addresses_provider), Some(core));
    assert_eq!(Markets::embedded().by_provider(ChainId(8453), core.addresses_provider), None);
    assert_eq!(Markets::embedded().near("polygon-v4"), ["polygon-v3", "polygon-v2"]);
    assert!(Markets::embedded().near("").is_empty());
}

#[test]
fn a_fork_is_added_by_its_addresses_provider_alone() {
    let spark = "[[market]]\nname = \"spark\"\nchain = \"ethereum\"\n\
                 addresses_provider = \"0x02C3eA4e34C0cBd694D2adFa2c690EECbC1793eE\"\n";
    let markets = with(spark).unwrap();
    let market = markets.by_name("Spark").unwrap();
    assert_eq!((market.chain, market.pool, market.version), (ChainId::ETHEREUM, None, None));
    assert_eq!(markets.iter().count(), Markets::embedded().iter().count() + 1);
}

#[test]
fn what_an_entry_gives_replaces_and_the_rest_stays() {
    let markets = with(
        "[[market]]\nname = \"base-v3\"\nfirst_block_hint = 7\naliases = [\"home\"]\n\
         [[chain]]\nid = 8453\nendpoints = [\"http://localhost:8545\"]\n\
         [[chain]]\nid = 31337\nblock_ms = 1\n",
    )
    .unwrap();
    let (before, after) = (Markets::embedded().by_name("base-v3").unwrap(), markets.by_name("home").unwrap());
    assert_eq!(after, &Market { first_block_hint: Some(7), aliases: vec!["home".to_owned()], ..before.clone() });
    let (before, after) =
        (Markets::embedded().network(ChainId(8453)).unwrap(), markets.network(ChainId(8453)).unwrap());
    assert_eq!(after, &Network { endpoints: vec!["http://localhost:8545".to_owned()], ..before.clone() });
    assert_eq!(markets.network(ChainId(31_337)).unwrap().block_ms, 1);
}

#[test]
fn another_provider_makes_it_another_market() {
    let markets =
        with(&format!("[[market]]\nname = \"base-v3\"\naddresses_provider = \"0x{}\"\n", "12".repeat(20))).unwrap();
    let market = markets.by_name("base-v3").unwrap();
    assert_eq!((market.pool, market.oracle, market.first_block_hint, market.base), (None, None, None, None));
}

#[test]
fn files_that_make_no_sense_are_refused_by_line_or_name() {
    refused("[[market]\n", &["line 1"]);
    refused("\n\nmarkets = 1\n", &["line 3", "unknown field `markets`"]);
    refused("[[market]]\nname = \"x\"\nprovider = \"0x\"\n", &["unknown field `provider`"]);
    refused("[[market]]\nname = \"x\"\n", &["market \"x\"", "needs name, chain and addresses_provider"]);
    let entry = |more: &str| format!("[[market]]\nname = \"base-v3\"\n{more}\n");
    refused(&entry("pool = \"0x12\""), &["base-v3", "pool", "no address"]);
    refused(&entry(&format!("pool = \"0x{}\"", "0".repeat(40))), &["no address"]);
    refused(&entry("version = \"V4\""), &["neither V2 nor V3"]);
    refused(&entry("base = \"eur\""), &["neither usd8 nor eth18"]);
    refused(&entry("chain = \"moon\""), &["there is no chain \"moon\""]);
    refused(&entry("aliases = [\"celo-v3\"]"), &["celo-v3 stands for two markets"]);
    refused(&entry("aliases = [\"../../etc\"]"), &["no name for a market"]);
    refused(&entry("aliases = [\"Base\"]"), &["lower-case"]);
    refused("[[chain]]\nid = 0\n", &["chain 0"]);
    refused("[[chain]]\nid = 1\nlog_range = 0\n", &["at least 1"]);
}

#[test]
fn a_key_in_a_list_of_endpoints_is_never_shown() {
    for text in [
        "[[chain]]\nid = 1\nendpoints = \"https://host/v2/s3cr3t\"\n",
        "[[chain]]\nid = 1\nendpoints = [\"https://host/v2/s3cr3t]\n",
        "[[chain]]\nid = \"https://host/v2/s3cr3t\"\n",
        "[[market]]\nname = \"x\"\nchain = 1\npool = 1 \"https://host/v2/s3cr3t\"\n",
    ] {
        let said = refused(text, &["line "]);
        assert!(!said.contains("s3cr3t"), "{said}");
    }
}

#[test]
fn a_list_that_is_not_there_says_so() {
    let error = Markets::with_file(Path::new("no-such-list.toml")).unwrap_err().to_string();
    assert!(error.contains("no-such-list.toml: cannot read the list of markets"), "{error}");
}

#[test]
fn the_tip_is_told_from_a_block_and_the_pace() {
    let chain = ChainId(7);
    let network =
        Network { anchor: Some(Anchor { block: 1_000, time: 500 }), block_ms: 2_000, ..Network::unknown(chain) };
    for (time, expected) in [(500, 1_000), (510, 1_005), (511, 1_005), (490, 995), (0, 750)] {
        assert_eq!(network.tip_about(time), Some(expected), "{time}");
    }
    assert_eq!(Network::unknown(chain).tip_about(500), None);
}

proptest! {
    #[test]
    fn no_file_panics(text in "(\\[\\[(market|chain)\\]\\]\n|name = \"[a-z]{0,3}\"\n|id = [0-9]{1,20}\n|[a-z_]{1,8} = .{0,9}\n){0,6}") {
        let _ = with(&text);
    }

    #[test]
    fn the_tip_never_overflows(block in any::<u64>(), time in any::<u64>(), now in any::<u64>(), block_ms in 1..u64::MAX) {
        let network = Network { anchor: Some(Anchor { block, time }), block_ms, ..Network::unknown(ChainId(7)) };
        let tip = network.tip_about(now).unwrap();
        prop_assert_eq!(tip.cmp(&block).is_lt() && now >= time, false);
        prop_assert!(now >= time || tip <= block);
    }
}
