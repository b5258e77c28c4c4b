//! `markets.toml`: how a registry is written, and how one is laid over another.

use std::path::Path;
use std::str::FromStr;

use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::Version;
use serde::Deserialize;

use super::{Anchor, Base, Finality, Market, Markets, Network};
use crate::{Error, Result};

/// The longest name of a market: it is part of the names of folders.
const LONGEST_NAME: usize = 64;

const ADVICE: &str = "a [[market]] needs name, chain and addresses_provider, a [[chain]] its id; correct the file";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    address_book: Option<String>,
    #[serde(default)]
    chain: Vec<ChainEntry>,
    #[serde(default)]
    market: Vec<MarketEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainEntry {
    id: u64,
    block_ms: Option<u64>,
    finalized_tag: Option<bool>,
    depth: Option<u64>,
    log_range: Option<u64>,
    anchor: Option<AnchorEntry>,
    endpoints: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnchorEntry {
    block: u64,
    time: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketEntry {
    name: String,
    aliases: Option<Vec<String>>,
    book: Option<String>,
    version: Option<String>,
    chain: Option<ChainName>,
    addresses_provider: Option<String>,
    pool: Option<String>,
    configurator: Option<String>,
    oracle: Option<String>,
    data_provider: Option<String>,
    treasury: Option<String>,
    base: Option<String>,
    first_block_hint: Option<u64>,
}

/// `chain = 1` or `chain = "ethereum"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum ChainName {
    Number(u64),
    Name(String),
}

impl Markets {
    /// Lays a file's entries over what is there.
    pub(super) fn merge(&mut self, text: &str, path: &Path) -> Result<()> {
        let bad = |what: String| Error::BadFile { path: path.to_owned(), what, advice: ADVICE };
        let file: File = toml::from_str(text).map_err(|cause| bad(told(text, &cause)))?;
        if file.address_book.is_some() {
            self.address_book = file.address_book;
        }
        for entry in file.chain {
            let id = entry.id;
            self.merge_network(entry).map_err(|what| bad(format!("chain {id}: {what}")))?;
        }
        for entry in file.market {
            let name = shown(&entry.name);
            self.merge_market(entry).map_err(|what| bad(format!("market {name:?}: {what}")))?;
        }
        self.check_names().map_err(bad)
    }

    fn merge_network(&mut self, entry: ChainEntry) -> std::result::Result<(), String> {
        let chain = ChainId::from_name(&entry.id.to_string()).ok_or("a chain's id is a whole number from 1")?;
        let network = self.networks.entry(chain).or_insert_with(|| Network::unknown(chain));
        set(&mut network.block_ms, entry.block_ms);
        set(&mut network.finality.tag, entry.finalized_tag);
        set(&mut network.finality.depth, entry.depth);
        set(&mut network.log_range, entry.log_range);
        set(&mut network.endpoints, entry.endpoints);
        if let Some(AnchorEntry { block, time }) = entry.anchor {
            network.anchor = Some(Anchor { block, time });
        }
        if network.log_range == 0 || network.block_ms == 0 {
            return Err("log_range and block_ms are at least 1".to_owned());
        }
        Ok(())
    }

    fn merge_market(&mut self, entry: MarketEntry) -> std::result::Result<(), String> {
        let place = match self.markets.iter().position(|market| market.name == entry.name) {
            Some(place) => place,
            None => {
                self.markets.push(new(&entry)?);
                self.markets.len() - 1
            }
        };
        let market = &mut self.markets[place];
        if let Some(chain) = &entry.chain {
            market.chain = chain_id(chain)?;
        }
        if let Some(provider) = address("addresses_provider", entry.addresses_provider)? {
            // Another provider is another market: what was known of the old one's contracts is of no use.
            if provider != market.addresses_provider {
                *market = Market {
                    aliases: std::mem::take(&mut market.aliases),
                    ..bare(&entry.name, market.chain, provider)
                };
            }
        }
        set_some(&mut market.pool, address("pool", entry.pool)?);
        set_some(&mut market.configurator, address("configurator", entry.configurator)?);
        set_some(&mut market.oracle, address("oracle", entry.oracle)?);
        set_some(&mut market.data_provider, address("data_provider", entry.data_provider)?);
        set_some(&mut market.treasury, address("treasury", entry.treasury)?);
        set_some(&mut market.book, entry.book);
        set_some(&mut market.first_block_hint, entry.first_block_hint);
        set(&mut market.aliases, entry.aliases);
        if let Some(word) = entry.version {
            let version = Version::parse(&word).filter(|version| matches!(version, Version::V2 | Version::V3));
            market.version = Some(version.ok_or_else(|| format!("version {:?} is neither V2 nor V3", shown(&word)))?);
        }
        if let Some(word) = entry.base {
            let base =
                Base::from_word(&word).ok_or_else(|| format!("base {:?} is neither usd8 nor eth18", shown(&word)))?;
            market.base = Some(base);
        }
        Ok(())
    }

    /// A name must lead to one market, and must do as the name of a folder.
    fn check_names(&self) -> std::result::Result<(), String> {
        let mut seen = std::collections::BTreeSet::new();
        for market in &self.markets {
            for name in market.aliases.iter().chain([&market.name]) {
                if !is_name(name) {
                    return Err(format!(
                        "{:?} is no name for a market: use at most {LONGEST_NAME} lower-case letters, digits and hyphens",
                        shown(name)
                    ));
                }
                if !seen.insert(name) {
                    return Err(format!("the name {name} stands for two markets"));
                }
            }
        }
        Ok(())
    }
}

impl Network {
    /// What is assumed of a chain that no registry describes: nothing but caution.
    #[must_use]
    pub fn unknown(chain: ChainId) -> Self {
        let finality = Finality { tag: true, depth: 1_000 };
        Self { chain, block_ms: 2_000, finality, log_range: 1_000, anchor: None, endpoints: Vec::new() }
    }
}

fn new(entry: &MarketEntry) -> std::result::Result<Market, String> {
    let needed = "a new market needs name, chain and addresses_provider";
    let chain = chain_id(entry.chain.as_ref().ok_or(needed)?)?;
    let provider = address("addresses_provider", entry.addresses_provider.clone())?.ok_or(needed)?;
    Ok(bare(&entry.name, chain, provider))
}

fn bare(name: &str, chain: ChainId, addresses_provider: Address) -> Market {
    Market {
        name: name.to_owned(),
        aliases: Vec::new(),
        book: None,
        version: None,
        chain,
        addresses_provider,
        pool: None,
        configurator: None,
        oracle: None,
        data_provider: None,
        treasury: None,
        base: None,
        first_block_hint: None,
    }
}

fn chain_id(chain: &ChainName) -> std::result::Result<ChainId, String> {
    let (text, found) = match chain {
        ChainName::Number(number) => (number.to_string(), ChainId::from_name(&number.to_string())),
        ChainName::Name(name) => (name.clone(), ChainId::from_name(name)),
    };
    found.ok_or_else(|| format!("there is no chain {:?}: give its number", shown(&text)))
}

fn address(field: &str, text: Option<String>) -> std::result::Result<Option<Address>, String> {
    let Some(text) = text else { return Ok(None) };
    let address = Address::from_str(text.trim()).ok().filter(|address| !address.is_zero());
    address.map(Some).ok_or_else(|| format!("{field} {:?} is no address of 20 bytes in hexadecimal", shown(&text)))
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn set_some<T>(place: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *place = value;
    }
}

fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
}

/// The beginning of a text that may be long.
fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

/// What is wrong and in which line, without the line and without any value: it may be an endpoint with a key.
fn told(text: &str, cause: &toml::de::Error) -> String {
    let line = cause.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let message = cause.message().lines().next().unwrap_or("it is not TOML");
    // What stands between quotation marks is a value.
    let what = shown(&message.split('"').step_by(2).collect::<Vec<_>>().join("…"));
    match line {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}
