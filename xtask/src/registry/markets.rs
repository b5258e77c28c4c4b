//! The markets: addresses from the address book; names, base currencies and where to begin looking are ours.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::networks::NETWORKS;
use super::{PACKAGE, is_address};

/// Prints the book's markets, one line each.
pub(super) const SCRIPT: &str = include_str!("markets.mjs");

/// What the prices of a market are counted in.
#[derive(Clone, Copy)]
enum Base {
    /// US dollars with eight decimals.
    Usd8,
    /// Ether with eighteen decimals: Version 2 on Ethereum and Polygon, whose books give WETH no price feed.
    Eth18,
}

/// What we add to a market of the book.
struct Listing {
    /// Its name in the book.
    book: &'static str,
    name: &'static str,
    /// Other names it answers to.
    aliases: &'static [&'static str],
    base: Base,
    /// A block before the market's first. Whoever uses it checks it: what is wrong here costs a few requests.
    hint: Option<u64>,
}

const fn usd(book: &'static str, name: &'static str, aliases: &'static [&'static str], hint: Option<u64>) -> Listing {
    Listing { book, name, aliases, base: Base::Usd8, hint }
}

const fn eth(book: &'static str, name: &'static str, aliases: &'static [&'static str], hint: Option<u64>) -> Listing {
    Listing { book, name, aliases, base: Base::Eth18, hint }
}

/// The main market of a chain comes first; the order is that of the file.
const LISTINGS: &[Listing] = &[
    usd("AaveV3Ethereum", "ethereum-v3-core", &["ethereum-v3"], Some(16_290_000)),
    usd("AaveV3EthereumLido", "ethereum-v3-prime", &["ethereum-v3-lido"], Some(20_261_000)),
    usd("AaveV3EthereumEtherFi", "ethereum-v3-etherfi", &[], Some(20_624_000)),
    usd("AaveV3EthereumHorizon", "ethereum-v3-horizon", &[], Some(22_900_000)),
    eth("AaveV2Ethereum", "ethereum-v2-main", &["ethereum-v2"], Some(11_359_000)),
    eth("AaveV2EthereumAMM", "ethereum-v2-amm", &[], Some(11_900_000)),
    eth("AaveV2EthereumArc", "ethereum-v2-arc", &[], Some(13_430_000)),
    usd("AaveV3Optimism", "optimism-v3", &[], Some(4_363_000)),
    usd("AaveV3BNB", "bnb-v3", &["bsc-v3"], Some(33_570_000)),
    usd("AaveV3Gnosis", "gnosis-v3", &[], Some(30_292_000)),
    usd("AaveV3Polygon", "polygon-v3", &[], Some(25_823_000)),
    eth("AaveV2Polygon", "polygon-v2", &[], Some(12_488_000)),
    usd("AaveV3Monad", "monad-v3", &[], Some(81_908_000)),
    usd("AaveV3Sonic", "sonic-v3", &[], Some(7_985_000)),
    usd("AaveV3XLayer", "xlayer-v3", &[], Some(54_022_000)),
    usd("AaveV3ZkSync", "zksync-v3", &[], Some(41_578_000)),
    usd("AaveV3Metis", "metis-v3", &[], Some(5_444_000)),
    usd("AaveV3Soneium", "soneium-v3", &[], Some(7_003_000)),
    usd("AaveV3MegaEth", "megaeth-v3", &[], Some(6_656_000)),
    usd("AaveV3Mantle", "mantle-v3", &[], None),
    usd("AaveV3Base", "base-v3", &[], Some(2_356_000)),
    usd("AaveV3Plasma", "plasma-v3", &[], Some(1)),
    usd("AaveV3Arbitrum", "arbitrum-v3", &[], Some(7_735_000)),
    usd("AaveV3Celo", "celo-v3", &[], Some(30_389_000)),
    usd("AaveV3Avalanche", "avalanche-v3", &[], Some(11_969_000)),
    usd("AaveV2Avalanche", "avalanche-v2", &[], Some(4_605_000)),
    usd("AaveV3InkWhitelabel", "ink-v3", &["ink-v3-tydro"], Some(19_953_000)),
    usd("AaveV3Linea", "linea-v3", &[], Some(12_429_000)),
    usd("AaveV3Scroll", "scroll-v3", &[], Some(2_617_000)),
];

/// The contracts of a market, in the order in which the script prints them.
const CONTRACTS: [&str; 6] = ["addresses_provider", "pool", "configurator", "oracle", "data_provider", "treasury"];

/// What the book says of a market.
struct Listed {
    chain: u64,
    contracts: Vec<String>,
}

/// `markets.toml`, from the lines `book,chain_id,…` that the script printed.
pub(super) fn toml(lines: &str) -> Result<String> {
    let mut book = BTreeMap::new();
    for line in lines.lines() {
        let (name, listed) = read(line).with_context(|| format!("the address book gave the line `{line}`"))?;
        ensure!(book.insert(name, listed).is_none(), "the address book holds {name} twice");
    }
    if let Some(new) = book.keys().find(|name| !LISTINGS.iter().any(|listing| listing.book == **name)) {
        bail!("{new} has no name here: add it to LISTINGS, xtask/src/registry/markets.rs");
    }
    let mut text = heading();
    for network in NETWORKS {
        text.push_str(&format!("\n{}", network.toml()));
    }
    for listing in LISTINGS {
        let listed = book.get(listing.book).with_context(|| {
            format!(
                "the address book holds no {} any more: remove it from LISTINGS, or keep the older book",
                listing.book
            )
        })?;
        text.push_str(&format!("\n{}", entry(listing, listed)));
    }
    Ok(text)
}

fn heading() -> String {
    format!(
        "# Aave's markets and how their chains are reached. Written by `cargo xtask registry`: do not edit.\n\
         # Addresses: {PACKAGE} (MIT). The rest, from public sources, is checked against the chain by whoever uses it.\n\
         \naddress_book = \"{PACKAGE}\"\n"
    )
}

fn read(line: &str) -> Result<(&str, Listed)> {
    let fields: Vec<&str> = line.split(',').collect();
    ensure!(fields.len() == CONTRACTS.len() + 2, "expected {} fields", CONTRACTS.len() + 2);
    let chain = fields[1].parse().context("its chain id is no number")?;
    ensure!(NETWORKS.iter().any(|network| network.chain == chain), "chain {chain} has no network: add it to NETWORKS");
    let contracts: Vec<String> = fields[2..].iter().map(|address| address.to_ascii_lowercase()).collect();
    for (address, contract) in contracts.iter().zip(CONTRACTS) {
        ensure!(is_address(address), "its {contract} is no address");
    }
    let different: BTreeSet<&String> = contracts.iter().collect();
    ensure!(different.len() == contracts.len(), "two of its contracts have one address");
    Ok((fields[0], Listed { chain, contracts }))
}

fn entry(listing: &Listing, listed: &Listed) -> String {
    let version = if listing.book.starts_with("AaveV2") { "V2" } else { "V3" };
    let aliases: Vec<String> = listing.aliases.iter().map(|alias| format!("\"{alias}\"")).collect();
    let base = match listing.base {
        Base::Usd8 => "usd8",
        Base::Eth18 => "eth18",
    };
    let mut text = format!(
        "[[market]]\nname = \"{}\"\naliases = [{}]\nbook = \"{}\"\nversion = \"{version}\"\nchain = {}\n",
        listing.name,
        aliases.join(", "),
        listing.book,
        listed.chain
    );
    for (contract, address) in CONTRACTS.iter().zip(&listed.contracts) {
        text.push_str(&format!("{contract} = \"{address}\"\n"));
    }
    text.push_str(&format!("base = \"{base}\"\n"));
    if let Some(hint) = listing.hint {
        text.push_str(&format!("first_block_hint = {hint}\n"));
    }
    text
}

/// How many markets there are, and on how many chains.
pub(super) fn summary() -> String {
    format!("{} markets on {} chains", LISTINGS.len(), NETWORKS.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed() -> String {
        std::fs::read_to_string(crate::shell::root().join(super::super::MARKETS_FILE)).unwrap()
    }

    /// The committed file's facts, as the script would print them.
    fn facts(toml: &str) -> String {
        let mut lines = String::new();
        for entry in toml.split("[[market]]\n").skip(1) {
            let value = |key: &str| {
                let line = entry.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
                line.unwrap().trim_matches('"').to_owned()
            };
            let contracts = CONTRACTS.map(value);
            lines.push_str(&format!("{},{},{}\n", value("book"), value("chain"), contracts.join(",")));
        }
        lines
    }

    #[test]
    fn the_committed_markets_are_what_their_own_facts_make() {
        assert_eq!(toml(&facts(&committed())).unwrap(), committed());
    }

    #[test]
    fn the_committed_markets_are_of_the_book_that_is_pinned() {
        assert!(committed().contains(&format!("\naddress_book = \"{PACKAGE}\"\n")));
    }

    #[test]
    fn every_network_holds_a_market() {
        let committed = committed();
        for network in NETWORKS {
            assert!(committed.contains(&format!("\nchain = {}\n", network.chain)), "chain {}", network.chain);
        }
    }

    #[test]
    fn a_name_means_one_market() {
        let mut seen = BTreeSet::new();
        for name in LISTINGS.iter().flat_map(|listing| listing.aliases.iter().chain([&listing.name])) {
            assert!(seen.insert(name), "{name} is given twice");
            let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            assert!(is_plain, "{name} is not plain lower case");
        }
    }

    #[test]
    fn books_that_cannot_be_right_are_refused() {
        let good = facts(&committed());
        let first = good.lines().next().unwrap();
        let bad = [
            (good.lines().skip(1).collect::<Vec<_>>().join("\n"), "a market is gone"),
            (format!("{good}{}", first.replace("AaveV3Ethereum", "AaveV3Moon")), "a market has no name"),
            (format!("{good}{first}"), "a market stands twice"),
            (good.replacen("0x", "1x", 1), "an address is none"),
            (good.replacen(",1,", ",7,", 1), "a chain has no network"),
            (good.replacen(",1,", ",one,", 1), "a chain is no number"),
            (good.replacen(&first[first.len() - 42..], "undefined", 1), "a contract is missing"),
        ];
        for (lines, what) in bad {
            assert!(toml(&lines).is_err(), "{what}");
        }
    }
}
