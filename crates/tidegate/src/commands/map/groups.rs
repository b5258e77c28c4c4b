//! Which tokens move with an asset: the groups the program knows, or the user's.

use std::path::Path;

use anyhow::{Context as _, bail};

use crate::text;

/// The groups that are known without a file.
const EMBEDDED: &str = include_str!("../../../registry/groups.toml");
/// A file of groups is no longer than this.
const LONGEST_FILE: u64 = 1 << 20;

/// An asset and what moves with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    /// The asset's name.
    pub asset: String,
    /// Tokens whose price is the asset's own, the most telling first.
    pub price: Vec<String>,
    /// All tokens whose price moves with it, those above among them.
    pub members: Vec<String>,
    /// It is ether, in which some markets count.
    pub is_ether: bool,
}

impl Group {
    /// The group of an asset, by its name or by one of the tokens that are it; else the token alone.
    pub(super) fn of(asset: &str, file: Option<&Path>, is_alone: bool) -> anyhow::Result<Self> {
        let asset = asset.trim();
        let alone = || Self {
            asset: asset.to_owned(),
            price: vec![asset.to_owned()],
            members: vec![asset.to_owned()],
            is_ether: false,
        };
        if asset.is_empty() {
            bail!("name an asset, such as BTC, ETH or a token's symbol");
        }
        let groups = match file {
            Some(path) => {
                let length = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
                if length > LONGEST_FILE {
                    bail!("{}: {length} bytes are no list of groups", path.display());
                }
                let content =
                    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                parse(&content).with_context(|| format!("{} is no list of groups", path.display()))?
            }
            None => parse(EMBEDDED).context("the embedded list of groups is broken")?,
        };
        let is_it = |group: &&Self| {
            group.asset.eq_ignore_ascii_case(asset) || group.price.iter().any(|name| name.eq_ignore_ascii_case(asset))
        };
        if is_alone {
            // Ether by itself is still what some markets count in.
            let known = groups.iter().find(is_it);
            let price = known.map_or_else(|| vec![asset.to_owned()], |group| group.price.clone());
            let is_ether = known.is_some_and(|group| group.is_ether);
            return Ok(Self { members: price.clone(), price, is_ether, ..alone() });
        }
        Ok(groups.iter().find(is_it).cloned().unwrap_or_else(alone))
    }

    /// Whether a token is of the group.
    pub(super) fn holds(&self, symbol: &str) -> bool {
        self.members.iter().any(|name| name.eq_ignore_ascii_case(symbol))
    }
}

fn parse(content: &str) -> anyhow::Result<Vec<Group>> {
    let table: toml::Table = content.parse().context("it is no TOML")?;
    let groups = table.get("group").and_then(toml::Value::as_array).context("it has no [[group]]")?;
    let one = |group: &toml::Value| {
        let asset = group.get("asset").and_then(toml::Value::as_str).context("a group has no asset")?;
        let names = |key: &str| -> anyhow::Result<Vec<String>> {
            let list = group.get(key).and_then(toml::Value::as_array);
            let list = list.with_context(|| format!("the group of {} has no {key}", text::printable(asset)))?;
            let name = |name: &toml::Value| name.as_str().map(str::to_owned).context("a name is no text");
            list.iter().map(name).collect()
        };
        let (price, mut members) = (names("price")?, names("members")?);
        members.splice(0..0, price.iter().cloned());
        let is_ether = group.get("is_ether").and_then(toml::Value::as_bool).unwrap_or(false);
        Ok(Group { asset: asset.to_owned(), price, members, is_ether })
    };
    groups.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_brings_its_group_and_a_stranger_stands_alone() {
        let bitcoin = Group::of("btc", None, false).unwrap();
        assert!(bitcoin.holds("cbBTC") && bitcoin.holds("wbtc") && !bitcoin.holds("WETH") && !bitcoin.is_ether);
        assert_eq!(Group::of("WBTC", None, false).unwrap(), bitcoin);
        let ether = Group::of("ETH", None, true).unwrap();
        assert!(ether.holds("WETH") && !ether.holds("wstETH") && ether.is_ether);
        assert!(Group::of("ETH", None, false).unwrap().holds("wstETH"));
        assert_eq!(Group::of("AAVE", None, false).unwrap().members, ["AAVE"]);
        assert!(Group::of(" ", None, false).is_err());
    }

    #[test]
    fn a_list_that_is_none_says_so() {
        for (content, why) in [
            ("group = 1", "no [[group]]"),
            ("[[group]]\nprice = []", "no asset"),
            ("[[group]]\nasset = \"X\"\nprice = [1]\nmembers = []", "no text"),
            ("[[", "no TOML"),
        ] {
            assert!(format!("{:#}", parse(content).unwrap_err()).contains(why), "{content}");
        }
    }
}
