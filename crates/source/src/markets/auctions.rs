//! `svr.toml`: where auctions for liquidations are settled, and where what they bring is collected.
//!
//! As the registry of markets, it is a convenience: that an aggregator is dual is asked of it, whether it is listed or not. What no
//! contract can be asked is which safe collects, which contract settles, and which token stands for a chain's native one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use protocol::Address;
use protocol::chain::ChainId;
use serde::{Deserialize, Serialize};

use crate::archive::{Archive, MarketName, Writer, publish};
use crate::error::{Error, IoContext as _, Result};

/// The file that this program carries.
const EMBEDDED: &str = include_str!("../../registry/svr.toml");

const ADVICE: &str = "a [[chain]] needs its id; a safe, a settlement and a feed need what the embedded registry's have; correct the file";

/// An address as it stands in the file.
mod written {
    use protocol::Address;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(address: &Address, into: S) -> Result<S::Ok, S::Error> {
        into.collect_str(address)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Address, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("an address is 0x and forty digits"))
    }

    /// One that need not be there.
    pub(super) mod or_none {
        use super::{Address, Deserializer, Serializer};

        pub(in super::super) fn serialize<S: Serializer>(
            address: &Option<Address>,
            into: S,
        ) -> Result<S::Ok, S::Error> {
            match address {
                Some(address) => super::serialize(address, into),
                None => into.serialize_none(),
            }
        }

        pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Address>, D::Error> {
            super::deserialize(from).map(Some)
        }
    }
}

/// Who says that an entry is so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// The operator's own documentation, or a proposal that was carried out on chain.
    #[serde(rename = "docs")]
    Docs,
    /// Anybody else.
    #[serde(rename = "third party")]
    ThirdParty,
    /// The user's own file.
    #[serde(rename = "own")]
    Own,
}

/// A safe that collects what was bid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Safe {
    /// The safe.
    #[serde(with = "written")]
    pub address: Address,
    /// Where it passes the protocol's part on to.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub collector: Option<Address>,
    /// Where it passes the network's part on to.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub network: Option<Address>,
    /// Who says so.
    pub evidence: Evidence,
}

/// A contract that settles auctions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// The contract that writes what became of bidders' operations.
    #[serde(with = "written")]
    pub address: Address,
    /// The contract that controls the auction, where it is another one.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub control: Option<Address>,
    /// Who says so.
    pub evidence: Evidence,
}

/// A feed that auctions are held for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Its pair.
    pub name: String,
    /// Whom it is for.
    pub protocol: Option<String>,
    /// The recapturing proxy.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Address>,
    /// The proxy of everybody else.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Address>,
    /// The dual aggregator behind both.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub aggregator: Option<Address>,
    /// How long the recapturing proxy's readers wait for public rounds until a log of the aggregator says otherwise, in seconds.
    pub cutoff_seconds: Option<u32>,
    /// Who says so.
    pub evidence: Evidence,
}

/// What is known of a chain's auctions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auctions {
    id: u64,
    /// The token that stands for the native one.
    #[serde(default, with = "written::or_none", skip_serializing_if = "Option::is_none")]
    pub native: Option<Address>,
    /// The protocols for which auctions are held.
    #[serde(default)]
    pub protocols: Vec<String>,
    /// Where bids are collected.
    #[serde(default, rename = "safe")]
    pub safes: Vec<Safe>,
    /// Where auctions are settled.
    #[serde(default, rename = "settlement")]
    pub settlements: Vec<Settlement>,
    /// For which feeds.
    #[serde(default, rename = "feed")]
    pub feeds: Vec<Feed>,
}

impl Auctions {
    /// Of a chain of which nothing is known.
    #[must_use]
    pub fn unknown(chain: ChainId) -> Self {
        Self { id: chain.0, ..Self::default() }
    }

    /// The contracts whose logs tell of bids and payments: safes, and who settles.
    pub fn contracts(&self) -> impl Iterator<Item = Address> {
        let control = self.settlements.iter().filter_map(|one| one.control);
        self.safes.iter().map(|safe| safe.address).chain(self.settlements.iter().map(|one| one.address)).chain(control)
    }

    /// What an aggregator's cutoff is before any log of its own says it, in seconds.
    #[must_use]
    pub fn cutoff_seconds(&self, aggregator: Address) -> Option<u32> {
        self.feeds.iter().find(|feed| feed.aggregator == Some(aggregator))?.cutoff_seconds
    }

    /// Lays what somebody says of the same chain over this: a list that he has takes the place of the one here.
    fn lay_over(&mut self, other: Self) {
        self.native = other.native.or(self.native);
        let is_there = |empty: bool| !empty;
        if is_there(other.protocols.is_empty()) {
            self.protocols = other.protocols;
        }
        if is_there(other.safes.is_empty()) {
            self.safes = other.safes;
        }
        if is_there(other.settlements.is_empty()) {
            self.settlements = other.settlements;
        }
        if is_there(other.feeds.is_empty()) {
            self.feeds = other.feeds;
        }
    }

    /// What the archive holds of the chain of a market, as it was when the market was synced last; none where nothing was noted.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn load(archive: &Archive, market: &MarketName) -> Result<Option<Self>> {
        let path = path(archive, market);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause).while_trying_to("read what is known of auctions", &path),
        };
        toml::from_str(&text).map(Some).map_err(|_| Error::BadFile {
            path,
            what: "does not say where auctions are held".to_owned(),
            advice: "delete it and sync the market again: its logs are kept and not read twice",
        })
    }

    /// Notes it beside a market, whole or not at all.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn save(&self, writer: &Writer, market: &MarketName) -> Result<()> {
        const WHAT: &str = "write what is known of auctions";
        let path = path(writer.archive(), market);
        let folder = writer.archive().root().join("auctions");
        publish::create_folder(&folder)?;
        let text = toml::to_string(self).map_err(|_| Error::BadFile {
            path: path.clone(),
            what: "cannot be written as TOML".to_owned(),
            advice: "report this, it is a mistake of the program",
        })?;
        let mut file = tempfile::NamedTempFile::new_in(&folder).while_trying_to(WHAT, &path)?;
        file.write_all(text.as_bytes()).while_trying_to(WHAT, &path)?;
        file.as_file().sync_all().while_trying_to("flush to the disk", &path)?;
        file.persist(&path).map_err(|refused| refused.error).while_trying_to(WHAT, &path)?;
        Ok(())
    }
}

fn path(archive: &Archive, market: &MarketName) -> PathBuf {
    archive.root().join("auctions").join(format!("{market}.toml"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    chain: Vec<Auctions>,
}

/// The auctions of every chain that is known.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    chains: BTreeMap<u64, Auctions>,
}

impl Registry {
    /// The registry this program carries.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
            // The tests read this very text; where it cannot be read there is nothing to list.
            Registry::default().merged(EMBEDDED, Path::new("registry/svr.toml")).unwrap_or_default()
        });
        &REGISTRY
    }

    /// The embedded registry with a file of the user's over it: what it says of a chain takes the place of the same list there.
    ///
    /// # Errors
    /// The file cannot be read, or an entry makes no sense.
    pub fn with_file(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).while_trying_to("read where auctions are held", path)?;
        Self::embedded().clone().merged(&text, path)
    }

    /// What is known of a chain.
    #[must_use]
    pub fn of(&self, chain: ChainId) -> Auctions {
        self.chains.get(&chain.0).cloned().unwrap_or_else(|| Auctions::unknown(chain))
    }

    fn merged(mut self, text: &str, path: &Path) -> Result<Self> {
        let bad = |what: String| Error::BadFile { path: path.to_owned(), what, advice: ADVICE };
        let file: File = toml::from_str(text).map_err(|cause| bad(cause.message().to_owned()))?;
        for chain in file.chain {
            let id = ChainId::from_name(&chain.id.to_string());
            let id = id.ok_or_else(|| bad("a chain's id is a whole number from 1".to_owned()))?;
            if let Some(zero) = chain.contracts().find(|address| address.is_zero()) {
                return Err(bad(format!("chain {}: {zero} is nobody's address", id.0)));
            }
            self.chains.entry(id.0).or_insert_with(|| Auctions::unknown(id)).lay_over(chain);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_registry_is_read_and_a_file_is_laid_over_it() {
        let embedded = Registry::default().merged(EMBEDDED, Path::new("svr.toml")).unwrap();
        let main = embedded.of(ChainId(1));
        assert_eq!((main.safes.len(), main.settlements.len(), main.feeds.len()), (1, 0, 4));
        assert_eq!(main.safes[0].evidence, Evidence::ThirdParty);
        for chain in [56, 143, 8_453, 42_161] {
            assert_eq!(embedded.of(ChainId(chain)).settlements.len(), 1, "{chain}");
        }
        assert_eq!(embedded.of(ChainId(10)), Auctions::unknown(ChainId(10)));
        let own = "[[chain]]\nid = 1\n[[chain.safe]]\naddress = '0x00000000000000000000000000000000000000aa'\nevidence = 'own'\n";
        let laid = embedded.merged(own, Path::new("own.toml")).unwrap().of(ChainId(1));
        assert_eq!(laid.safes.iter().map(|safe| safe.address.0[19]).collect::<Vec<_>>(), [0xaa]);
        assert_eq!((laid.feeds.len(), laid.native), (4, main.native));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let safe = |address: &str, evidence: &str| {
            format!("[[chain]]\nid = 1\n[[chain.safe]]\naddress = '{address}'\nevidence = '{evidence}'\n")
        };
        let address = "0x00000000000000000000000000000000000000aa";
        assert!(Registry::default().merged(&safe(address, "own"), Path::new("x")).is_ok());
        let zero = "0x0000000000000000000000000000000000000000";
        for bad in [
            safe("0x12", "own"),
            safe(zero, "own"),
            safe(address, "hearsay"),
            "[[chain]]\nid = 0\n".to_owned(),
            "[[chain]]\nname = 'x'\n".to_owned(),
            "[[market]]\n".to_owned(),
            "not toml".to_owned(),
        ] {
            let refused = Registry::default().merged(&bad, Path::new("x"));
            assert!(matches!(refused, Err(Error::BadFile { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_noted_beside_a_market_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let market = MarketName::new("m").unwrap();
        assert_eq!(Auctions::load(&archive, &market).unwrap(), None);
        let known = Registry::embedded().of(ChainId(1));
        known.save(&Writer::open(&archive).unwrap(), &market).unwrap();
        assert_eq!(Auctions::load(&archive, &market).unwrap(), Some(known));
        std::fs::write(path(&archive, &market), "id = 1\nother = 2\n").unwrap();
        assert!(matches!(Auctions::load(&archive, &market), Err(Error::BadFile { .. })));
    }
}
