//! Tokens: ground state that says how many decimals an amount has and what its address is called.
//!
//! A symbol is hostile text wherever it does not come from the embedded registry: anyone can deploy a token named
//! `USDC`. So an address decides where there is one, and a symbol alone only where it means one token on its chain.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use alloy_primitives::Address;

use crate::chain::ChainId;

/// A token as a record names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its contract, where the source says.
    pub address: Option<Address>,
    /// What to call it: the registry's spelling where the registry knows the token, else the source's own text.
    pub symbol: Arc<str>,
    /// Decimals of its smallest unit, where the registry or the source says.
    pub decimals: Option<u8>,
}

/// What the registry holds of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The chain the token lives on.
    pub chain: ChainId,
    /// Its contract.
    pub address: Address,
    /// Its symbol in the registry's spelling.
    pub symbol: Arc<str>,
    /// Decimals of its smallest unit.
    pub decimals: u8,
}

/// Tokens by chain and address or symbol.
#[derive(Debug, Default, Clone)]
pub struct Tokens {
    by_address: BTreeMap<(ChainId, Address), Listed>,
    /// Symbol, as [`spelling`] reduces it, to every address that bears it.
    by_symbol: BTreeMap<(ChainId, String), Vec<Address>>,
}

/// A line of a token list that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, counted from 1.
    pub line: usize,
    /// The line itself.
    pub text: String,
}

impl Tokens {
    /// The registry this program carries: the assets of Aave's markets.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static EMBEDDED: LazyLock<Tokens> =
            LazyLock::new(|| Tokens::from_csv(include_str!("../registry/tokens.csv")).unwrap_or_default());
        &EMBEDDED
    }

    /// Reads `chain_id,address,symbol,decimals` with a heading line.
    ///
    /// # Errors
    /// The first line that is not of that form.
    pub fn from_csv(text: &str) -> Result<Self, BadLine> {
        let mut tokens = Self::default();
        for (index, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
            let listed =
                parse_line(line).ok_or_else(|| BadLine { line: index.saturating_add(1), text: line.to_owned() })?;
            tokens.insert(listed);
        }
        Ok(tokens)
    }

    /// Adds another list's tokens; of two entries for one address the other list's stands.
    pub fn extend(&mut self, other: Self) {
        for listed in other.by_address.into_values() {
            self.insert(listed);
        }
    }

    /// Every token, by chain and address.
    pub fn iter(&self) -> impl Iterator<Item = &Listed> {
        self.by_address.values()
    }

    /// The token at an address.
    #[must_use]
    pub fn by_address(&self, chain: ChainId, address: Address) -> Option<&Listed> {
        self.by_address.get(&(chain, address))
    }

    /// The token a symbol means on a chain, in any case and with or without dots (`WETH.e`); `None` where it means none or
    /// several.
    #[must_use]
    pub fn by_symbol(&self, chain: ChainId, symbol: &str) -> Option<&Listed> {
        match self.by_symbol.get(&(chain, spelling(symbol)))?.as_slice() {
            [address] => self.by_address(chain, *address),
            _ => None,
        }
    }

    fn insert(&mut self, listed: Listed) {
        if let Some(renamed) =
            self.by_address.get(&(listed.chain, listed.address)).filter(|known| known.symbol != listed.symbol)
        {
            let former = (renamed.chain, spelling(&renamed.symbol));
            self.by_symbol.entry(former).or_default().retain(|address| *address != listed.address);
        }
        let symbol = (listed.chain, spelling(&listed.symbol));
        let bearers = self.by_symbol.entry(symbol).or_default();
        if !bearers.contains(&listed.address) {
            bearers.push(listed.address);
        }
        self.by_address.insert((listed.chain, listed.address), listed);
    }
}

/// What stays of a symbol when case and dots are left out: people and registries write `WETH.e` and `WETHe`.
fn spelling(symbol: &str) -> String {
    symbol.trim().chars().filter(|c| *c != '.').flat_map(char::to_lowercase).collect()
}

fn parse_line(line: &str) -> Option<Listed> {
    let mut fields = line.split(',');
    let listed = Listed {
        chain: ChainId(fields.next()?.parse().ok()?),
        address: Address::from_str(fields.next()?).ok()?,
        symbol: fields.next().filter(|symbol| !symbol.is_empty())?.into(),
        decimals: fields.next()?.parse().ok()?,
    };
    fields.next().is_none().then_some(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_registry_reads_whole() {
        let tokens = Tokens::from_csv(include_str!("../registry/tokens.csv")).unwrap();
        assert_eq!(tokens.iter().count(), include_str!("../registry/tokens.csv").lines().skip(1).count());
        let wbtc = tokens.by_symbol(ChainId::ETHEREUM, "wBTC").unwrap();
        assert_eq!((&*wbtc.symbol, wbtc.decimals), ("WBTC", 8));
        assert_eq!(tokens.by_address(ChainId::ETHEREUM, wbtc.address), Some(wbtc));
        assert_eq!(tokens.by_symbol(ChainId(56), "USDC").unwrap().decimals, 18, "decimals differ by chain");
    }

    #[test]
    fn a_symbol_that_two_tokens_bear_means_neither() {
        let list = "chain_id,address,symbol,decimals\n\
            1,0x0000000000000000000000000000000000000001,USDC,6\n1,0x0000000000000000000000000000000000000002,usdc,18\n";
        assert_eq!(Tokens::from_csv(list).unwrap().by_symbol(ChainId(1), "USDC"), None);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for line in [
            "1,0x1,A,6",
            "1,0x0000000000000000000000000000000000000001,,6",
            "x",
            "1,0x0000000000000000000000000000000000000001,A,600",
            "1,0x0000000000000000000000000000000000000001,A,6,more",
        ] {
            assert_eq!(
                Tokens::from_csv(&format!("heading\n{line}")).unwrap_err(),
                BadLine { line: 2, text: line.to_owned() }
            );
        }
    }
}
