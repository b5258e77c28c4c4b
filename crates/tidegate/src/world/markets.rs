//! The markets of a made-up world: real chains and tokens, with parameters and sizes that are assumed.

use std::sync::Arc;

use protocol::chain::ChainId;
use protocol::liquidation::Version;
use protocol::token::{Listed, Token, Tokens};

use super::prices::Asset;

/// A market.
#[derive(Debug, Clone)]
pub(crate) struct Market {
    /// Its chain.
    pub chain: ChainId,
    /// Its name.
    pub name: Arc<str>,
    /// Its version.
    pub version: Version,
    /// How many accounts use it.
    pub accounts: u64,
    /// The smallest collateral of an account, in whole US dollars; larger ones are the rarer the larger.
    pub smallest_usd: u64,
    /// The largest.
    pub largest_usd: u64,
    /// The least debt worth a liquidator's while, in whole US dollars.
    pub least_usd: u64,
    /// What is put in, and how often in a hundred.
    pub collaterals: Vec<(Reserve, u64)>,
    /// What is borrowed, and how often in a hundred.
    pub debts: Vec<(Reserve, u64)>,
}

/// A token of a market.
#[derive(Debug, Clone)]
pub(crate) struct Reserve {
    /// The token, as the registry knows it.
    pub token: Token,
    /// What its price follows.
    pub asset: Asset,
    /// Ten to the power of its decimals.
    pub unit: u128,
    /// The liquidation threshold, in hundredths of a per cent.
    pub threshold_bps: u128,
    /// One hundred per cent and the liquidation bonus, in hundredths of a per cent.
    pub bonus_bps: u128,
}

/// A chain's clock: its block at the world's beginning and its blocks' distance, both assumed.
pub(crate) const fn clock(chain: ChainId) -> (u64, u64) {
    match chain.0 {
        1 => (20_200_000, 12_000),
        137 => (58_800_000, 2_000),
        42_161 => (227_500_000, 250),
        43_114 => (47_400_000, 2_000),
        8_453 => (16_500_000, 2_000),
        _ => (122_100_000, 2_000),
    }
}

/// A market as it is written down below.
struct Plan {
    name: &'static str,
    version: Version,
    accounts: u64,
    /// Smallest and largest collateral, and the least debt worth liquidating, in whole US dollars.
    usd: [u64; 3],
    collaterals: &'static [(&'static str, Asset, u64)],
    debts: &'static [(&'static str, Asset, u64)],
}

/// The chains and their markets.
const PLANS: [(u64, &[Plan]); 6] =
    [(1, ETHEREUM), (137, POLYGON), (42_161, ARBITRUM), (8_453, BASE), (43_114, AVALANCHE), (10, OPTIMISM)];

const ETHEREUM: &[Plan] = &[
    Plan {
        name: "aave_v3_ethereum",
        version: Version::V3,
        accounts: 620,
        usd: [50_000, 40_000_000, 400],
        collaterals: &[
            ("WETH", Asset::Ether, 40),
            ("wstETH", Asset::StakedEther, 28),
            ("WBTC", Asset::Bitcoin, 20),
            ("AAVE", Asset::Aave, 6),
            ("LINK", Asset::Chainlink, 6),
        ],
        debts: &[
            ("USDC", Asset::Usdc, 42),
            ("USDT", Asset::Usdt, 40),
            ("DAI", Asset::Dai, 10),
            ("WETH", Asset::Ether, 8),
        ],
    },
    Plan {
        name: "aave_v2_ethereum",
        version: Version::V2,
        accounts: 180,
        usd: [15_000, 8_000_000, 400],
        collaterals: &[("WETH", Asset::Ether, 60), ("WBTC", Asset::Bitcoin, 25), ("LINK", Asset::Chainlink, 15)],
        debts: &[("USDC", Asset::Usdc, 45), ("USDT", Asset::Usdt, 35), ("DAI", Asset::Dai, 20)],
    },
];

const POLYGON: &[Plan] = &[
    Plan {
        name: "aave_v3_polygon",
        version: Version::V3,
        accounts: 2_100,
        usd: [300, 500_000, 10],
        collaterals: &[
            ("WPOL", Asset::Pol, 42),
            ("WETH", Asset::Ether, 28),
            ("WBTC", Asset::Bitcoin, 14),
            ("LINK", Asset::Chainlink, 10),
            ("AAVE", Asset::Aave, 6),
        ],
        debts: &[
            ("USDCn", Asset::Usdc, 35),
            ("USDC", Asset::Usdc, 25),
            ("USDT0", Asset::Usdt, 25),
            ("DAI", Asset::Dai, 15),
        ],
    },
    Plan {
        name: "aave_v2_polygon",
        version: Version::V2,
        accounts: 500,
        usd: [150, 150_000, 10],
        collaterals: &[("WPOL", Asset::Pol, 45), ("WETH", Asset::Ether, 35), ("WBTC", Asset::Bitcoin, 20)],
        debts: &[("USDC", Asset::Usdc, 60), ("DAI", Asset::Dai, 40)],
    },
];

const ARBITRUM: &[Plan] = &[Plan {
    name: "aave_v3_arbitrum",
    version: Version::V3,
    accounts: 800,
    usd: [2_000, 4_000_000, 30],
    collaterals: &[
        ("WETH", Asset::Ether, 46),
        ("wstETH", Asset::StakedEther, 14),
        ("WBTC", Asset::Bitcoin, 20),
        ("ARB", Asset::Arb, 14),
        ("LINK", Asset::Chainlink, 6),
    ],
    debts: &[
        ("USDCn", Asset::Usdc, 50),
        ("USDT", Asset::Usdt, 30),
        ("DAI", Asset::Dai, 10),
        ("WETH", Asset::Ether, 10),
    ],
}];

const BASE: &[Plan] = &[Plan {
    name: "aave_v3_base",
    version: Version::V3,
    accounts: 620,
    usd: [1_500, 3_000_000, 20],
    collaterals: &[("WETH", Asset::Ether, 48), ("cbBTC", Asset::Bitcoin, 30), ("wstETH", Asset::StakedEther, 22)],
    debts: &[("USDC", Asset::Usdc, 88), ("WETH", Asset::Ether, 12)],
}];

const AVALANCHE: &[Plan] = &[Plan {
    name: "aave_v3_avalanche",
    version: Version::V3,
    accounts: 520,
    usd: [1_000, 2_000_000, 20],
    collaterals: &[
        ("WAVAX", Asset::Avax, 45),
        ("BTCb", Asset::Bitcoin, 28),
        ("WETHe", Asset::Ether, 20),
        ("LINKe", Asset::Chainlink, 7),
    ],
    debts: &[("USDC", Asset::Usdc, 60), ("USDt", Asset::Usdt, 40)],
}];

const OPTIMISM: &[Plan] = &[Plan {
    name: "aave_v3_optimism",
    version: Version::V3,
    accounts: 560,
    usd: [900, 1_500_000, 20],
    collaterals: &[
        ("WETH", Asset::Ether, 46),
        ("OP", Asset::Op, 24),
        ("wstETH", Asset::StakedEther, 16),
        ("WBTC", Asset::Bitcoin, 14),
    ],
    debts: &[("USDCn", Asset::Usdc, 55), ("USDT", Asset::Usdt, 30), ("DAI", Asset::Dai, 15)],
}];

/// Every market, with its tokens' true addresses and decimals.
pub(crate) fn all() -> Vec<Market> {
    let of_chain = |(chain, plans): (u64, &'static [Plan])| {
        let market = move |plan: &Plan| plan.market(ChainId(chain));
        plans.iter().map(market)
    };
    PLANS.into_iter().flat_map(of_chain).collect()
}

impl Plan {
    fn market(&self, chain: ChainId) -> Market {
        let reserves = |tokens: &[(&str, Asset, u64)]| {
            let reserve = |(symbol, asset, weight): &(&str, Asset, u64)| (Reserve::of(chain, symbol, *asset), *weight);
            tokens.iter().map(reserve).collect()
        };
        let [smallest_usd, largest_usd, least_usd] = self.usd;
        Market {
            chain,
            name: self.name.into(),
            version: self.version,
            accounts: self.accounts,
            smallest_usd,
            largest_usd,
            least_usd,
            collaterals: reserves(self.collaterals),
            debts: reserves(self.debts),
        }
    }
}

impl Reserve {
    fn of(chain: ChainId, symbol: &str, asset: Asset) -> Self {
        let Listed { address, symbol, decimals, .. } =
            Tokens::embedded().by_symbol(chain, symbol).expect("every token of the plans is in the registry").clone();
        let (threshold_bps, bonus_bps) = risk(asset);
        Self {
            token: Token { address: Some(address), symbol, decimals: Some(decimals) },
            asset,
            unit: 10_u128.pow(u32::from(decimals)),
            threshold_bps,
            bonus_bps,
        }
    }
}

/// The liquidation threshold, and one hundred per cent with the bonus: of the size that markets use, alike on all of them.
const fn risk(asset: Asset) -> (u128, u128) {
    match asset {
        Asset::Ether => (8_300, 10_500),
        Asset::StakedEther => (8_100, 10_600),
        Asset::Bitcoin => (7_800, 10_500),
        Asset::Chainlink => (7_300, 10_700),
        Asset::Aave => (7_200, 10_750),
        Asset::Pol => (6_800, 11_000),
        Asset::Avax => (7_300, 10_900),
        Asset::Arb | Asset::Op => (6_300, 11_000),
        Asset::Usdc | Asset::Usdt | Asset::Dai => (7_800, 10_450),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_market_is_whole() {
        for market in all() {
            assert_eq!(Version::named_in(&market.name), Some(market.version), "{}", market.name);
            assert!(market.name.ends_with(market.chain.name().unwrap()), "{}", market.name);
            for choices in [&market.collaterals, &market.debts] {
                assert_eq!(choices.iter().map(|(_, weight)| weight).sum::<u64>(), 100, "{}", market.name);
            }
        }
    }
}
