//! Chains by number and by the names people use for them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

/// A chain's number as EIP-155 counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainId(pub u64);

impl ChainId {
    /// Ethereum mainnet.
    pub const ETHEREUM: Self = Self(1);

    /// The chain that a name (`ethereum`, `BSC`, `polygon-pos`) or a number (`137`) means, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Ok(number) = name.parse() {
            return (number > 0).then_some(Self(number));
        }
        CHAINS.by_name.get(name.to_ascii_lowercase().as_str()).copied()
    }

    /// The canonical name, if the registry knows the chain.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        CHAINS.by_id.get(&self).copied()
    }
}

impl fmt::Display for ChainId {
    /// The canonical name, or `chain 12345` where the registry has none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "chain {}", self.0),
        }
    }
}

struct Chains {
    by_id: BTreeMap<ChainId, &'static str>,
    by_name: BTreeMap<&'static str, ChainId>,
}

/// `registry/chains.csv`: `chain_id,name,aliases` with aliases separated by `|`.
static CHAINS: LazyLock<Chains> = LazyLock::new(|| {
    let mut chains = Chains { by_id: BTreeMap::new(), by_name: BTreeMap::new() };
    for line in include_str!("../registry/chains.csv").lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(id), Some(name), aliases) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Ok(id) = id.parse().map(ChainId) else { continue };
        chains.by_id.insert(id, name);
        chains.by_name.insert(name, id);
        for alias in aliases.unwrap_or("").split('|').filter(|alias| !alias.is_empty()) {
            chains.by_name.insert(alias, id);
        }
    }
    chains
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_mean_chains() {
        for (name, id) in
            [("ethereum", 1), ("Mainnet", 1), ("bsc", 56), (" 137 ", 137), ("POLYGON", 137), ("31337", 31_337)]
        {
            assert_eq!(ChainId::from_name(name), Some(ChainId(id)), "{name}");
        }
        for name in ["", "0", "-1", "ethereum2", "1.0"] {
            assert_eq!(ChainId::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_line_of_the_registry_is_read_and_no_name_means_two_chains() {
        let lines = include_str!("../registry/chains.csv").lines().skip(1).filter(|line| !line.is_empty());
        let names: Vec<_> =
            lines.clone().flat_map(|line| line.split([',', '|']).skip(1)).filter(|name| !name.is_empty()).collect();
        assert_eq!(CHAINS.by_id.len(), lines.count());
        assert_eq!(CHAINS.by_name.len(), names.len(), "a name stands twice");
        for name in names {
            assert_eq!(name, name.to_ascii_lowercase(), "names are looked up in lower case");
        }
    }
}
