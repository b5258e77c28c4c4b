//! What a market is, kept beside its logs so that what is derived from them needs no node: `<archive>/markets/<name>.toml`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::Version;
use serde::{Deserialize, Serialize};

use super::{Archive, MarketName, Writer, publish};
use crate::error::{Error, IoContext as _, Result};

/// A market's contracts and where it begins, as they were found on its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// The chain it lives on.
    pub chain: ChainId,
    /// V2 or V3.
    pub version: Version,
    /// The contract that names all others.
    pub addresses_provider: Address,
    /// The pool.
    pub pool: Address,
    /// The pool's configurator.
    pub configurator: Address,
    /// Where the pool asked for prices when this was written.
    pub oracle: Address,
    /// The first block that can hold a log of it.
    pub first_block: u64,
    /// One unit of what prices are counted in: 10^8 for US dollars, 10^18 for ether.
    pub base_unit: u64,
    /// Whether prices are counted in US dollars.
    pub base_is_usd: bool,
}

/// The same as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    chain: u64,
    version: String,
    addresses_provider: String,
    pool: String,
    configurator: String,
    oracle: String,
    first_block: u64,
    base_unit: u64,
    base_is_usd: bool,
}

impl Definition {
    /// What the archive holds of a market; none where it was never synced.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn load(archive: &Archive, market: &MarketName) -> Result<Option<Self>> {
        let path = path(archive, market);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(cause).while_trying_to("read the market's definition", &path),
        };
        let stored = toml::from_str::<Stored>(&text).ok().and_then(Stored::understood);
        stored.map(Some).ok_or_else(|| Error::BadFile {
            path,
            what: "is no definition of a market".to_owned(),
            advice: "delete it and sync the market again: its logs are kept and not read twice",
        })
    }

    /// Keeps it, whole or not at all.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn save(&self, writer: &Writer, market: &MarketName) -> Result<()> {
        let path = path(writer.archive(), market);
        let folder = writer.archive().root().join("markets");
        publish::create_folder(&folder)?;
        let text = toml::to_string(&self.stored()).map_err(|_| Error::BadFile {
            path: path.clone(),
            what: "cannot be written as TOML".to_owned(),
            advice: "report this, it is a mistake of the program",
        })?;
        let mut file =
            tempfile::NamedTempFile::new_in(&folder).while_trying_to("write the market's definition", &path)?;
        file.write_all(text.as_bytes()).while_trying_to("write the market's definition", &path)?;
        file.as_file().sync_all().while_trying_to("flush to the disk", &path)?;
        file.persist(&path).map_err(|refused| refused.error).while_trying_to("write the market's definition", &path)?;
        Ok(())
    }

    fn stored(&self) -> Stored {
        Stored {
            chain: self.chain.0,
            version: self.version.word().to_owned(),
            addresses_provider: self.addresses_provider.to_string(),
            pool: self.pool.to_string(),
            configurator: self.configurator.to_string(),
            oracle: self.oracle.to_string(),
            first_block: self.first_block,
            base_unit: self.base_unit,
            base_is_usd: self.base_is_usd,
        }
    }
}

impl Stored {
    fn understood(self) -> Option<Definition> {
        Some(Definition {
            chain: ChainId(self.chain),
            version: Version::parse(&self.version)?,
            addresses_provider: self.addresses_provider.parse().ok()?,
            pool: self.pool.parse().ok()?,
            configurator: self.configurator.parse().ok()?,
            oracle: self.oracle.parse().ok()?,
            first_block: self.first_block,
            base_unit: self.base_unit,
            base_is_usd: self.base_is_usd,
        })
    }
}

fn path(archive: &Archive, market: &MarketName) -> PathBuf {
    archive.root().join("markets").join(format!("{market}.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_what_is_damaged_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let market = MarketName::new("base-v3").unwrap();
        assert_eq!(Definition::load(&archive, &market).unwrap(), None);
        let definition = Definition {
            chain: ChainId(8_453),
            version: Version::V3,
            addresses_provider: Address::repeat_byte(1),
            pool: Address::repeat_byte(2),
            configurator: Address::repeat_byte(3),
            oracle: Address::repeat_byte(4),
            first_block: 2_357_134,
            base_unit: 100_000_000,
            base_is_usd: true,
        };
        let writer = Writer::open(&archive).unwrap();
        definition.save(&writer, &market).unwrap();
        assert_eq!(Definition::load(&archive, &market).unwrap(), Some(definition));
        let path = path(&archive, &market);
        let text = fs::read_to_string(&path).unwrap();
        for broken in [text.replace("V3", "V9"), text.replace("0x01", "0x"), text[..40].to_owned(), String::new()] {
            fs::write(&path, broken).unwrap();
            let error = Definition::load(&archive, &market).unwrap_err().to_string();
            assert!(error.contains("base-v3.toml"), "{error}");
        }
    }
}
