//! How the chains that hold markets are reached, in which nobody's address book helps: endpoints, finality, pace.

/// What `markets.toml` says of a chain. Endpoints were not tried when this was written, and figures of pace are
/// averages of a year or so: a sync asks the node and learns its limits anew.
pub(super) struct Network {
    pub(super) chain: u64,
    /// Milliseconds between blocks.
    block_ms: u64,
    /// Whether nodes answer the block tag `finalized`.
    finalized_tag: bool,
    /// How many blocks below the tip count as final where they do not.
    depth: u64,
    /// How many blocks one request for logs may span on most of the endpoints.
    log_range: u64,
    /// A block and about when it was made, in seconds since 1970: enough to tell today's tip to a few per cent.
    anchor: Option<(u64, u64)>,
    endpoints: &'static [&'static str],
}

/// 2026-05-08 12:10 UTC: one set of public fork tests names a block of that minute on nearly every chain.
const MAY_2026: u64 = 1_778_242_217;

/// In order of their ids.
pub(super) const NETWORKS: &[Network] = &[
    Network {
        chain: 1,
        block_ms: 12_050,
        finalized_tag: true,
        depth: 96,
        log_range: 10_000,
        anchor: Some((25_050_251, MAY_2026)),
        endpoints: &["https://ethereum-rpc.publicnode.com", "https://eth.drpc.org", "https://eth.llamarpc.com"],
    },
    Network {
        chain: 10,
        block_ms: 2_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((151_321_719, MAY_2026)),
        endpoints: &["https://optimism-rpc.publicnode.com", "https://optimism.drpc.org", "https://mainnet.optimism.io"],
    },
    Network {
        chain: 56,
        block_ms: 450,
        finalized_tag: true,
        depth: 64,
        log_range: 10_000,
        anchor: Some((97_085_675, MAY_2026)),
        endpoints: &["https://bsc-rpc.publicnode.com", "https://bsc.drpc.org", "https://binance.llamarpc.com"],
    },
    Network {
        chain: 100,
        block_ms: 5_160,
        finalized_tag: true,
        depth: 64,
        log_range: 10_000,
        anchor: Some((46_068_873, MAY_2026)),
        endpoints: &["https://gnosis-rpc.publicnode.com", "https://gnosis.drpc.org", "https://rpc.gnosischain.com"],
    },
    Network {
        chain: 137,
        block_ms: 2_000,
        finalized_tag: true,
        depth: 512,
        log_range: 10_000,
        anchor: Some((86_572_862, MAY_2026)),
        endpoints: &["https://polygon-bor-rpc.publicnode.com", "https://polygon.drpc.org", "https://1rpc.io/matic"],
    },
    Network {
        chain: 143,
        block_ms: 300,
        finalized_tag: true,
        depth: 16,
        log_range: 100,
        anchor: Some((107_787_000, 1_788_739_200)),
        endpoints: &["https://rpc.monad.xyz", "https://rpc1.monad.xyz", "https://monad-mainnet.drpc.org"],
    },
    Network {
        chain: 146,
        block_ms: 650,
        finalized_tag: true,
        depth: 64,
        log_range: 10_000,
        anchor: Some((69_924_685, MAY_2026)),
        endpoints: &["https://rpc.soniclabs.com", "https://sonic-rpc.publicnode.com", "https://sonic.drpc.org"],
    },
    Network {
        chain: 196,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 100,
        anchor: Some((59_473_190, MAY_2026)),
        endpoints: &["https://rpc.xlayer.tech", "https://xlayerrpc.okx.com", "https://xlayer.drpc.org"],
    },
    Network {
        chain: 324,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 10_000,
        log_range: 10_000,
        anchor: None,
        endpoints: &["https://mainnet.era.zksync.io", "https://zksync.drpc.org"],
    },
    Network {
        chain: 1_088,
        block_ms: 5_600,
        finalized_tag: false,
        depth: 1_000,
        log_range: 10_000,
        anchor: Some((22_644_020, MAY_2026)),
        endpoints: &[
            "https://andromeda.metis.io/?owner=1088",
            "https://metis.drpc.org",
            "https://metis-pokt.nodies.app",
        ],
    },
    Network {
        chain: 1_868,
        block_ms: 2_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((22_553_736, MAY_2026)),
        endpoints: &["https://rpc.soneium.org", "https://soneium-rpc.publicnode.com", "https://soneium.drpc.org"],
    },
    Network {
        chain: 4_326,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((15_445_601, MAY_2026)),
        endpoints: &["https://mainnet.megaeth.com/rpc"],
    },
    Network {
        chain: 5_000,
        block_ms: 2_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((95_055_955, MAY_2026)),
        endpoints: &["https://rpc.mantle.xyz", "https://mantle-rpc.publicnode.com", "https://mantle.drpc.org"],
    },
    Network {
        chain: 8_453,
        block_ms: 2_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((45_726_435, MAY_2026)),
        endpoints: &["https://base-rpc.publicnode.com", "https://base.drpc.org", "https://mainnet.base.org"],
    },
    Network {
        chain: 9_745,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 64,
        log_range: 10_000,
        anchor: Some((21_310_362, MAY_2026)),
        endpoints: &["https://rpc.plasma.to", "https://plasma.drpc.org"],
    },
    Network {
        chain: 42_161,
        block_ms: 250,
        finalized_tag: true,
        depth: 7_200,
        log_range: 10_000,
        anchor: Some((460_666_005, MAY_2026)),
        endpoints: &[
            "https://arbitrum-one-rpc.publicnode.com",
            "https://arbitrum.drpc.org",
            "https://arb1.arbitrum.io/rpc",
        ],
    },
    Network {
        chain: 42_220,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((66_341_463, MAY_2026)),
        endpoints: &["https://forno.celo.org", "https://celo-rpc.publicnode.com", "https://celo.drpc.org"],
    },
    Network {
        chain: 43_114,
        block_ms: 1_200,
        finalized_tag: true,
        depth: 32,
        log_range: 2_048,
        anchor: Some((84_907_128, MAY_2026)),
        endpoints: &[
            "https://avalanche-c-chain-rpc.publicnode.com",
            "https://avalanche.drpc.org",
            "https://api.avax.network/ext/bc/C/rpc",
        ],
    },
    Network {
        chain: 57_073,
        block_ms: 1_000,
        finalized_tag: true,
        depth: 1_800,
        log_range: 10_000,
        anchor: Some((44_743_810, MAY_2026)),
        endpoints: &["https://rpc-gel.inkonchain.com", "https://rpc-qnd.inkonchain.com", "https://ink.drpc.org"],
    },
    Network {
        chain: 59_144,
        block_ms: 2_660,
        finalized_tag: true,
        depth: 7_200,
        log_range: 10_000,
        anchor: Some((30_558_597, MAY_2026)),
        endpoints: &["https://rpc.linea.build", "https://linea-rpc.publicnode.com", "https://linea.drpc.org"],
    },
    Network {
        chain: 534_352,
        block_ms: 1_830,
        finalized_tag: true,
        depth: 3_600,
        log_range: 10_000,
        anchor: Some((33_629_153, MAY_2026)),
        endpoints: &["https://rpc.scroll.io", "https://scroll-rpc.publicnode.com", "https://scroll.drpc.org"],
    },
];

impl Network {
    /// The chain's entry in `markets.toml`.
    pub(super) fn toml(&self) -> String {
        let endpoints: Vec<String> = self.endpoints.iter().map(|url| format!("    \"{url}\",\n")).collect();
        let anchor = self
            .anchor
            .map(|(block, time)| format!("anchor = {{ block = {block}, time = {time} }}\n"))
            .unwrap_or_default();
        format!(
            "[[chain]]\nid = {}\nblock_ms = {}\nfinalized_tag = {}\ndepth = {}\nlog_range = {}\n{anchor}endpoints = [\n{}]\n",
            self.chain,
            self.block_ms,
            self.finalized_tag,
            self.depth,
            self.log_range,
            endpoints.concat()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::chains;
    use super::*;

    #[test]
    fn networks_are_in_order_and_have_names() {
        assert!(NETWORKS.is_sorted_by(|a, b| a.chain < b.chain));
        for network in NETWORKS {
            assert!(chains::CHAINS.iter().any(|chain| chain.id == network.chain), "chain {}", network.chain);
        }
    }

    #[test]
    fn endpoints_are_public_and_of_one_form() {
        for network in NETWORKS {
            assert!(!network.endpoints.is_empty(), "chain {}", network.chain);
            for url in network.endpoints {
                assert!(url.starts_with("https://"), "{url}");
                // A long run of letters and digits in a path or query is somebody's key.
                let longest = url.split(['/', '?', '=', '.']).map(str::len).max();
                assert!(longest < Some(24), "{url}");
            }
        }
    }
}
