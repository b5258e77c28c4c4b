//! What assets are called, and how finely they are divided.

use std::borrow::Cow;
use std::collections::BTreeMap;

use engine::treasury::Asset;
use protocol::Address;
use protocol::chain::ChainId;
use protocol::token::Tokens;
use source::archive::ledger::Row;

use crate::text;

/// Decimals of every network's native token.
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

/// The name of a network's native token; one that is not known names its network, so that it cannot pass for another's.
pub(crate) fn native(network: ChainId) -> Cow<'static, str> {
    Cow::Borrowed(match network.0 {
        1 | 10 | 324 | 1_868 | 4_326 | 8_453 | 42_161 | 57_073 | 59_144 | 534_352 => "ETH",
        56 => "BNB",
        100 => "xDAI",
        137 => "POL",
        143 => "MON",
        146 => "S",
        196 => "OKB",
        250 => "FTM",
        1_088 => "METIS",
        5_000 => "MNT",
        9_745 => "XPL",
        42_220 => "CELO",
        43_114 => "AVAX",
        1_666_600_000 => "ONE",
        _ => return Cow::Owned(format!("NATIVE-{}", network.0)),
    })
}

impl Coins {
    /// Learns what a row says of its asset.
    pub(crate) fn learn(&mut self, row: &Row) {
        if let Some(entry) = &row.entry {
            let asset = Asset { network: entry.token.network, token: entry.token.address };
            let coin = Coin { symbol: entry.token.symbol.clone(), decimals: entry.token.decimals };
            self.0.entry(asset).or_insert(coin);
        }
    }

    /// Puts an asset on record under a name from outside.
    pub(crate) fn put(&mut self, asset: Asset, symbol: &str, decimals: u8) {
        self.0.entry(asset).or_insert_with(|| Coin { symbol: text::printable(symbol), decimals });
    }

    /// An asset by its symbol or address on a network, put on record; `native` is the network's own, `USD` dollars in no token.
    ///
    /// # Errors
    /// It stands on record with other decimals than it is now said to have: amounts would be off by powers of ten.
    pub(crate) fn find(&mut self, network: ChainId, name: &str, tokens: &Tokens) -> Result<Option<Asset>, String> {
        let Some(asset) = Self::named(network, name, tokens) else { return Ok(None) };
        if asset.token == Asset::NATIVE {
            self.put(asset, &native(network), NATIVE_DECIMALS);
        } else if asset.token == Asset::DOLLARS {
            self.put(asset, DOLLARS, DOLLAR_DECIMALS);
        } else if let Some(listed) = tokens.by_address(network, asset.token) {
            if let Some(known) = self.0.get(&asset).filter(|known| known.decimals != listed.decimals) {
                return Err(format!(
                    "{} on {network} stands in the ledger with {} decimals, and is now said to have {}",
                    text::printable(&listed.symbol),
                    known.decimals,
                    listed.decimals
                ));
            }
            self.put(asset, &listed.symbol, listed.decimals);
        }
        Ok(self.0.contains_key(&asset).then_some(asset))
    }

    /// The asset that a name means on a network, whether or not it is known how it is divided.
    pub(crate) fn named(network: ChainId, name: &str, tokens: &Tokens) -> Option<Asset> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("native") || name.eq_ignore_ascii_case(&native(network)) {
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

/// An amount in tokens, exact, with its sign.
pub(crate) fn signed(raw: i128, decimals: u8) -> String {
    let sign = if raw < 0 { "-" } else { "" };
    format!("{sign}{}", text::exact_decimal(protocol::U256::from(raw.unsigned_abs()), decimals))
}
