//! What the chains are called, by us and by the files of others.

/// A chain, its name here, and the names other people's files give it.
pub(super) struct Chain {
    pub(super) id: u64,
    pub(super) name: &'static str,
    aliases: &'static [&'static str],
}

const fn chain(id: u64, name: &'static str, aliases: &'static [&'static str]) -> Chain {
    Chain { id, name, aliases }
}

/// In order of their ids. Fantom and Harmony hold no market any more, but old files still name them.
pub(super) const CHAINS: &[Chain] = &[
    chain(1, "ethereum", &["mainnet", "eth", "ethereum-mainnet"]),
    chain(10, "optimism", &["op", "op-mainnet", "optimistic-ethereum"]),
    chain(56, "bnb", &["bsc", "binance", "bnb-chain", "binance-smart-chain"]),
    chain(100, "gnosis", &["xdai", "gno", "gnosis-chain"]),
    chain(137, "polygon", &["matic", "polygon-pos"]),
    chain(143, "monad", &["monad-mainnet"]),
    chain(146, "sonic", &["sonic-mainnet"]),
    chain(196, "xlayer", &["x-layer", "okx-xlayer"]),
    chain(250, "fantom", &["ftm", "fantom-opera"]),
    chain(324, "zksync", &["zksync-era", "era"]),
    chain(1088, "metis", &["metis-andromeda", "andromeda"]),
    chain(1868, "soneium", &["soneium-mainnet"]),
    chain(4326, "megaeth", &["mega-eth", "megaeth-mainnet"]),
    chain(5000, "mantle", &["mnt", "mantle-mainnet"]),
    chain(5042, "arc", &["arc-mainnet"]),
    chain(8453, "base", &["base-mainnet"]),
    chain(9745, "plasma", &["plasma-mainnet"]),
    chain(42161, "arbitrum", &["arbitrum-one", "arb"]),
    chain(42220, "celo", &["celo-mainnet"]),
    chain(43114, "avalanche", &["avalanche_c", "avax", "avalanche-c"]),
    chain(57073, "ink", &["ink-mainnet"]),
    chain(59144, "linea", &["linea-mainnet"]),
    chain(534352, "scroll", &["scroll-mainnet"]),
    chain(1666600000, "harmony", &["one", "harmony-one"]),
];

pub(super) fn csv() -> String {
    let rows = CHAINS.iter().map(|chain| format!("{},{},{}\n", chain.id, chain.name, chain.aliases.join("|")));
    std::iter::once("chain_id,name,aliases\n".to_owned()).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_committed_chains_are_these() {
        let committed = std::fs::read_to_string(crate::shell::root().join(super::super::CHAINS_FILE));
        assert_eq!(committed.unwrap(), csv());
    }

    #[test]
    fn chains_are_in_order() {
        assert!(CHAINS.is_sorted_by(|a, b| a.id < b.id));
    }

    #[test]
    fn a_name_means_one_chain() {
        let mut seen = BTreeSet::new();
        for name in CHAINS.iter().flat_map(|chain| chain.aliases.iter().chain([&chain.name])) {
            assert!(seen.insert(name), "{name} is given twice");
            let is_plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b));
            assert!(is_plain, "{name} is not plain lower case");
        }
    }
}
