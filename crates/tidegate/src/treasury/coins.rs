//! What assets are called, and how finely they are divided.

use std::collections::BTreeMap;
use std::fmt;

use engine::treasury::Asset;
use protocol::Address;
use protocol::chain::ChainId;
use protocol::token::Tokens;
use source::archive::ledger::Row;

use crate::text;

/// Decimals of a native token of which nothing is known.
const NATIVE_DECIMALS: u8 = 18;
/// Decimals of dollars in which no token is known.
const DOLLAR_DECIMALS: u8 = 8;
/// Their name.
const DOLLARS: &str = "USD";

/// A coin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coin {
    /// Its name: the registry's, or one with an address in it, so that it cannot pass for another.
    pub symbol: String,
    /// Its decimals.
    pub decimals: u8,
}

/// Coins by asset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Coins(BTreeMap<Asset, Coin>);

/// Networks by number, their native token and its decimals. A network that is not here has a native token of which nothing is known.
const NATIVES: [(u64, &str, u8); 33] = [
    (1, "ETH", 18),
    (10, "ETH", 18),
    (56, "BNB", 18),
    (100, "xDAI", 18),
    (130, "ETH", 18),
    (137, "POL", 18),
    (143, "MON", 18),
    (146, "S", 18),
    (196, "OKB", 18),
    (250, "FTM", 18),
    (324, "ETH", 18),
    (1_088, "METIS", 18),
    (1_135, "ETH", 18),
    (1_868, "ETH", 18),
    (4_326, "ETH", 18),
    (5_000, "MNT", 18),
    (8_453, "ETH", 18),
    (9_745, "XPL", 18),
    (17_000, "ETH", 18),
    (31_337, "ETH", 18),
    (34_443, "ETH", 18),
    (42_161, "ETH", 18),
    (42_170, "ETH", 18),
    (42_220, "CELO", 18),
    (43_114, "AVAX", 18),
    (57_073, "ETH", 18),
    (59_144, "ETH", 18),
    (81_457, "ETH", 18),
    (84_532, "ETH", 18),
    (421_614, "ETH", 18),
    (534_352, "ETH", 18),
    (11_155_111, "ETH", 18),
    (1_666_600_000, "ONE", 18),
];

/// A network's native token: what its list says, or a name that is no other's and the decimals that nearly all have.
pub(crate) fn native(network: ChainId) -> Coin {
    let listed = NATIVES.iter().find(|(number, ..)| *number == network.0);
    match listed {
        Some((_, symbol, decimals)) => Coin { symbol: (*symbol).to_owned(), decimals: *decimals },
        None => Coin { symbol: format!("NATIVE-{}", network.0), decimals: NATIVE_DECIMALS },
    }
}

/// Whether it is known what a network's native token is.
pub(crate) fn is_native_known(network: ChainId) -> bool {
    NATIVES.iter().any(|(number, ..)| *number == network.0)
}

/// An asset is divided otherwise than was known of it, so that an amount of it would be another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Divided {
    network: ChainId,
    name: String,
    known: u8,
    given: u8,
}

impl fmt::Display for Divided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { network, name, known, given } = self;
        write!(
            f,
            "{name} on {network} has {known} decimals in the books or the registry and {given} here; find out which is right before you record it"
        )
    }
}

impl std::error::Error for Divided {}

/// What an asset is called: the registry's name, or what somebody says, with its address where that would pass for another's name.
fn called(asset: Asset, symbol: &str) -> String {
    let registry = Tokens::embedded();
    if let Some(listed) = registry.by_address(asset.network, asset.token) {
        return listed.symbol.to_string();
    }
    let symbol = text::printable(symbol);
    if [Asset::NATIVE, Asset::DOLLARS].contains(&asset.token) {
        return symbol;
    }
    let alike = |other: &str| spelling(other) == spelling(&symbol);
    let of_network = || registry.iter().filter(|listed| listed.chain == asset.network);
    let passes =
        alike(&native(asset.network).symbol) || alike(DOLLARS) || of_network().any(|listed| alike(&listed.symbol));
    if passes { format!("{symbol} {:#x}", asset.token) } else { symbol }
}

/// What of a name a reader may take for another's.
fn spelling(symbol: &str) -> String {
    symbol.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl Coins {
    /// Learns what a row says of its asset.
    ///
    /// # Errors
    /// Another row says that it is divided otherwise.
    pub(crate) fn learn(&mut self, row: &Row) -> Result<(), Divided> {
        let Some(entry) = &row.entry else { return Ok(()) };
        let asset = Asset { network: entry.token.network, token: entry.token.address };
        let coin = Coin { symbol: entry.token.symbol.clone(), decimals: entry.token.decimals };
        let known = self.0.entry(asset).or_insert(coin);
        same_decimals(asset, known, entry.token.decimals)
    }

    /// Puts an asset on record under a name from outside.
    ///
    /// # Errors
    /// The books or the registry say that it is divided otherwise.
    pub(crate) fn put(&mut self, asset: Asset, symbol: &str, decimals: u8) -> Result<(), Divided> {
        if let Some(listed) = Tokens::embedded().by_address(asset.network, asset.token) {
            let known = Coin { symbol: listed.symbol.to_string(), decimals: listed.decimals };
            same_decimals(asset, &known, decimals)?;
        }
        let known = self.0.entry(asset).or_insert_with(|| Coin { symbol: called(asset, symbol), decimals });
        same_decimals(asset, known, decimals)
    }

    /// Puts a network's native token on record.
    ///
    /// # Errors
    /// The books say that it is divided otherwise.
    pub(crate) fn put_native(&mut self, network: ChainId) -> Result<(), Divided> {
        let Coin { symbol, decimals } = native(network);
        self.put(Asset::native(network), &symbol, decimals)
    }

    /// An asset by its symbol or address on a network, put on record; `native` is the network's own, `USD` dollars in no token. None
    /// where it is not known how it is divided.
    ///
    /// # Errors
    /// The books say that it is divided otherwise than the tokens or the registry do.
    pub(crate) fn find(&mut self, network: ChainId, name: &str, tokens: &Tokens) -> Result<Option<Asset>, Divided> {
        let Some(asset) = Self::named(network, name, tokens) else { return Ok(None) };
        if asset.token == Asset::NATIVE {
            self.put_native(network)?;
        } else if asset.token == Asset::DOLLARS {
            self.put(asset, DOLLARS, DOLLAR_DECIMALS)?;
        } else if let Some(listed) = tokens.by_address(network, asset.token) {
            self.put(asset, &listed.symbol, listed.decimals)?;
        }
        Ok(self.0.contains_key(&asset).then_some(asset))
    }

    /// The asset that a name means on a network, whether or not it is known how it is divided.
    pub(crate) fn named(network: ChainId, name: &str, tokens: &Tokens) -> Option<Asset> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("native") || name.eq_ignore_ascii_case(&native(network).symbol) {
            return Some(Asset::native(network));
        }
        if name.eq_ignore_ascii_case(DOLLARS) {
            return Some(Asset::dollars(network));
        }
        let listed = || tokens.by_symbol(network, name).map(|listed| listed.address);
        let token = name.parse::<Address>().ok().or_else(listed)?;
        Some(Asset { network, token })
    }

    /// A coin; of an asset that is not on record its address, in whole units.
    pub(crate) fn of(&self, asset: Asset) -> Coin {
        self.0.get(&asset).cloned().unwrap_or_else(|| Coin { symbol: format!("{:#x}", asset.token), decimals: 0 })
    }

    /// Every asset that is known and its coin.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Asset, &Coin)> {
        self.0.iter()
    }

    /// A reserve's name: its token's symbol where the token is known.
    pub(crate) fn reserve(&self, network: ChainId, reserve: Address) -> String {
        let asset = Asset { network, token: reserve };
        let listed = Tokens::embedded().by_address(network, reserve).map(|listed| listed.symbol.to_string());
        let known = self.0.get(&asset).map(|coin| coin.symbol.clone());
        known.or(listed).unwrap_or_else(|| format!("{reserve:#x}"))
    }
}

fn same_decimals(asset: Asset, known: &Coin, given: u8) -> Result<(), Divided> {
    if known.decimals == given {
        return Ok(());
    }
    let name = format!("{} at {:#x}", known.symbol, asset.token);
    Err(Divided { network: asset.network, name, known: known.decimals, given })
}

/// An amount in tokens, exact, with its sign.
pub(crate) fn signed(raw: i128, decimals: u8) -> String {
    let sign = if raw < 0 { "-" } else { "" };
    format!("{sign}{}", text::exact_decimal(protocol::U256::from(raw.unsigned_abs()), decimals))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(1);

    fn tokens(lines: &str) -> Tokens {
        Tokens::from_csv(&format!("chain_id,address,symbol,decimals\n{lines}")).unwrap()
    }

    #[test]
    fn a_native_token_of_which_nothing_is_known_is_nobodys_ether() {
        assert_eq!(native(ChainId(8_453)).symbol, "ETH");
        assert_eq!(native(ChainId(9_745)).symbol, "XPL");
        assert_eq!(native(ChainId(424_242)).symbol, "NATIVE-424242");
        let mut coins = Coins::default();
        assert_eq!(coins.find(ChainId(424_242), "ETH", Tokens::embedded()), Ok(None));
        let found = coins.find(ChainId(424_242), "native", Tokens::embedded()).unwrap().unwrap();
        assert_eq!(coins.of(found).symbol, "NATIVE-424242");
        let numbers: std::collections::BTreeSet<u64> = NATIVES.iter().map(|(number, ..)| *number).collect();
        assert_eq!(numbers.len(), NATIVES.len());
    }

    #[test]
    fn a_token_that_is_divided_otherwise_is_refused_with_both_numbers() {
        let unlisted = "0x00000000000000000000000000000000000000aa";
        let mut coins = Coins::default();
        let first = tokens(&format!("1,{unlisted},AA,6\n"));
        let asset = coins.find(CHAIN, unlisted, &first).unwrap().unwrap();
        let told = coins.find(CHAIN, unlisted, &tokens(&format!("1,{unlisted},AA,18\n"))).unwrap_err().to_string();
        assert!(told.contains("6 decimals") && told.contains("18 here") && told.contains(unlisted), "{told}");
        assert_eq!(coins.of(asset).decimals, 6);
        // The registry is known before anything is.
        let usdc = Tokens::embedded().by_symbol(CHAIN, "USDC").unwrap();
        let asset = Asset { network: CHAIN, token: usdc.address };
        let told = Coins::default().put(asset, "USDC", 18).unwrap_err().to_string();
        assert!(told.contains("6 decimals") && told.contains("18 here"), "{told}");
    }

    #[test]
    fn no_name_from_a_file_passes_for_one_of_the_registry() {
        let at = "0x00000000000000000000000000000000000000aa";
        for name in ["USDC", "usdc", "US.DC", "ETH", "USD"] {
            let mut coins = Coins::default();
            let asset = coins.find(CHAIN, at, &tokens(&format!("1,{at},{name},6\n"))).unwrap().unwrap();
            assert_eq!(coins.of(asset).symbol, format!("{name} {at}"));
        }
        let mut coins = Coins::default();
        let usdc = Tokens::embedded().by_symbol(CHAIN, "USDC").unwrap();
        let renamed = tokens(&format!("1,{:#x},WBTC,6\n", usdc.address));
        let asset = coins.find(CHAIN, &usdc.address.to_string(), &renamed).unwrap().unwrap();
        assert_eq!(coins.of(asset).symbol, "USDC");
    }
}
