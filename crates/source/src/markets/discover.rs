//! A market from its addresses provider alone: what it is, where its parts are, which code it runs, when it began.

use std::collections::BTreeMap;
use std::fmt;

use alloy_primitives::{B256, Bytes, U256, b256};
use alloy_sol_types::SolCall as _;
use protocol::Address;
use protocol::aave::revision::Revision;
use protocol::liquidation::Version;

use super::chain::Chain;
use super::{Base, words};
use crate::rpc::{Answer, Call};
use crate::{Error, Result};

/// The most reserves a pool can list: an account's bitmap has two bits for each in 256.
const MOST_RESERVES: usize = 128;

/// The longest market id that is kept, in bytes.
const LONGEST_ID: usize = 256;

/// `OwnershipTransferred(address,address)`: an addresses provider writes it from zero when it is made, and never again.
const OWNERSHIP_TRANSFERRED: B256 = b256!("8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0");

/// How many blocks from a hint on are searched for a market's beginning, and how many at a time.
const SEARCH_BLOCKS: u64 = 1_000_000;
const SEARCH_STEP: u64 = 50_000;

/// The getters of V2 and V3, by the contract that has them.
mod abi {
    alloy_sol_types::sol! {
        // The addresses provider.
        function getPool() returns (address);
        function getLendingPool() returns (address);
        function getPoolConfigurator() returns (address);
        function getLendingPoolConfigurator() returns (address);
        function getPriceOracle() returns (address);
        function getPoolDataProvider() returns (address);
        function getAddress(bytes32 id) returns (address);
        function getMarketId() returns (string);
        // The pool.
        function ADDRESSES_PROVIDER() returns (address);
        function getAddressesProvider() returns (address);
        function POOL_REVISION() returns (uint256);
        function LENDINGPOOL_REVISION() returns (uint256);
        function getReservesList() returns (address[]);
        // A supplied token or a debt token.
        function POOL() returns (address);
        // The oracle.
        function BASE_CURRENCY() returns (address);
        function BASE_CURRENCY_UNIT() returns (uint256);
        function WETH() returns (address);
        function getFallbackOracle() returns (address);
        function getSourceOfAsset(address asset) returns (address);
    }
}

/// A market as the chain describes it at a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The block of which all this is true.
    pub at: u64,
    /// V2 or V3, by what the addresses provider answers to.
    pub version: Version,
    /// Where it all began.
    pub addresses_provider: Address,
    /// What the market calls itself. Hostile text: anyone can deploy a market.
    pub market_id: Option<String>,
    /// The pool.
    pub pool: Address,
    /// The pool's configurator.
    pub configurator: Address,
    /// Where the pool asks for prices.
    pub oracle: Address,
    /// Asked where the oracle has no price.
    pub fallback_oracle: Option<Address>,
    /// Answers questions about reserves.
    pub data_provider: Option<Address>,
    /// What prices are counted in.
    pub currency: Currency,
    /// Which code the pool runs.
    pub code: Code,
    /// The reserves' tokens by their ids; a slot that was given up is zero.
    pub reserves: Vec<Address>,
    /// Where the oracle gets the price of each token of `reserves`; none where it has no source of its own.
    pub sources: BTreeMap<Address, Option<Address>>,
}

/// What prices are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency {
    /// The token; zero stands for US dollars, and so does whatever else the oracle's deployer chose to mean by it.
    pub token: Address,
    /// One of it, in its smallest units.
    pub unit: U256,
}

impl Currency {
    /// The currency, if it is one of the two that are understood: US dollars of eight decimals (no token), or a token
    /// of eighteen (wrapped Ether, in every V2 market of Aave's that has one).
    #[must_use]
    pub fn base(&self) -> Option<Base> {
        if self.token.is_zero() && self.unit == U256::from(100_000_000_u64) {
            return Some(Base::Usd8);
        }
        let is_ether = !self.token.is_zero() && self.unit == U256::from(1_000_000_000_000_000_000_u64);
        is_ether.then_some(Base::Eth18)
    }
}

/// Which code a pool runs, by the revision number it states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The number stands for one revision.
    Known {
        /// What the pool states.
        number: u64,
        /// What that is.
        revision: Revision,
    },
    /// The number stands for several; the first transfer of a supplied token tells which.
    OneOf {
        /// What the pool states.
        number: u64,
        /// What it can be, oldest first.
        revisions: &'static [Revision],
    },
    /// No published table has the number; it lies between two that compute alike, so it is taken for this until a
    /// comparison with the chain says otherwise.
    Presumed {
        /// What the pool states.
        number: u64,
        /// What it is taken for.
        revision: Revision,
    },
    /// Nothing is known of code with this number, or the pool states none.
    Unknown {
        /// What the pool states, if anything.
        number: Option<U256>,
    },
}

impl Code {
    /// What a revision number means.
    #[must_use]
    pub fn of(version: Version, number: Option<U256>) -> Self {
        let unknown = Self::Unknown { number };
        let Some(number) = number.and_then(|number| u64::try_from(number).ok()) else { return unknown };
        let known = |revision| Self::Known { number, revision };
        let presumed = |revision| Self::Presumed { number, revision };
        match (version, number) {
            (Version::V2, 2) => known(Revision::V2),
            (Version::V2, 1 | 3 | 4) => presumed(Revision::V2),
            (Version::V3, 1) => Self::OneOf { number, revisions: &[Revision::V3_0_0, Revision::V3_0_2] },
            (Version::V3, 2 | 3) => presumed(Revision::V3_0_2),
            (Version::V3, 4) => known(Revision::V3_1),
            (Version::V3, 5) => known(Revision::V3_2),
            (Version::V3, 6) => presumed(Revision::V3_3),
            (Version::V3, 7) => known(Revision::V3_3),
            (Version::V3, 8) => known(Revision::V3_4),
            (Version::V3, 9) => known(Revision::V3_5),
            (Version::V3, 10) => known(Revision::V3_6),
            (Version::V3, 11) => known(Revision::V3_7),
            _ => unknown,
        }
    }

    /// The revisions it can be, oldest first; none where positions cannot be told exactly.
    #[must_use]
    pub fn revisions(&self) -> Vec<Revision> {
        match self {
            Self::Known { revision, .. } | Self::Presumed { revision, .. } => vec![*revision],
            Self::OneOf { revisions, .. } => revisions.to_vec(),
            Self::Unknown { .. } => Vec::new(),
        }
    }
}

impl fmt::Display for Code {
    /// What is known, and what that leaves possible.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known { number, revision } => write!(f, "{} (revision {number})", revision.name()),
            Self::OneOf { number, revisions } => {
                let names: Vec<&str> = revisions.iter().map(|revision| revision.name()).collect();
                write!(f, "{} (revision {number}); the first transfers tell which", names.join(" or "))
            }
            Self::Presumed { number, revision } => write!(
                f,
                "taken for {} (revision {number} is in no table); `tidegate verify` says whether that holds",
                revision.name()
            ),
            Self::Unknown { number } => {
                match number {
                    Some(number) => write!(f, "unknown (revision {number})")?,
                    None => write!(f, "unknown (the pool states no revision)")?,
                }
                f.write_str("; logs, liquidations and their values can be kept, positions cannot be computed exactly")
            }
        }
    }
}

/// When a market began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstBlock {
    /// The block in which its addresses provider was made.
    pub block: u64,
    /// How that is known.
    pub evidence: FirstBlockEvidence,
}

/// How a first block is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstBlockEvidence {
    /// The log that an addresses provider writes when it is made stands in it.
    CreationLog,
    /// There is no code at the address one block before, and there is in it.
    CodeAppears,
}

/// Everything about a market but its first block, as of a block that the nodes have the state of.
///
/// # Errors
/// The address is no addresses provider (the message says what it seems to be), the market is only half set up, an
/// answer makes no sense, or the chain cannot be asked.
pub async fn market<C: Chain + Sync>(chain: &C, provider: Address, at: u64) -> Result<Found> {
    let asked = ask(chain, at, &provider_questions(provider)).await?;
    let (version, pool) = match (asked.address(0), asked.address(1)) {
        (Some(pool), _) => (Version::V3, pool),
        (None, Some(pool)) => (Version::V2, pool),
        (None, None) => return Err(no_provider(chain, provider, at).await?),
    };
    let needed = |place: usize, what: &str| {
        asked.address(place).ok_or_else(|| half_set_up(provider, &format!("names no {what}")))
    };
    let (configurator, data_provider) = match version {
        Version::V2 => (needed(3, "configurator")?, asked.address(6)),
        Version::V1 | Version::V3 | Version::V4 => (needed(2, "configurator")?, asked.address(5)),
    };
    let oracle = needed(4, "price oracle")?;
    let market_id = asked.returned(7).and_then(|bytes| words::text(bytes, LONGEST_ID));

    let asked = ask(chain, at, &pool_questions(pool, oracle)).await?;
    let back = asked.address(0).or_else(|| asked.address(1));
    if back != Some(provider) {
        let what = format!("names the pool {pool}, and that pool names {}", named(back));
        return Err(half_set_up(provider, &what));
    }
    let number = asked.returned(if version == Version::V2 { 3 } else { 2 }).and_then(words::uint);
    let reserves = asked.returned(4).and_then(|bytes| words::addresses(bytes, MOST_RESERVES)).ok_or_else(|| {
        half_set_up(
            provider,
            &format!("names the pool {pool}, which gives no list of at most {MOST_RESERVES} reserves"),
        )
    })?;
    let currency = currency(&asked).ok_or_else(|| {
        half_set_up(provider, &format!("names the price oracle {oracle}, which does not say in what it counts"))
    })?;
    let fallback_oracle = asked.address(8);
    let sources = sources(chain, oracle, &reserves, at).await?;
    Ok(Found {
        at,
        version,
        addresses_provider: provider,
        market_id,
        pool,
        configurator,
        oracle,
        fallback_oracle,
        data_provider,
        currency,
        code: Code::of(version, number),
        reserves,
        sources,
    })
}

/// Where an oracle gets the price of each token at a block; none where it has no source of its own (the base currency).
///
/// # Errors
/// The chain cannot be asked.
pub async fn sources<C: Chain + Sync>(
    chain: &C,
    oracle: Address,
    tokens: &[Address],
    at: u64,
) -> Result<BTreeMap<Address, Option<Address>>> {
    let tokens: Vec<Address> = tokens.iter().copied().filter(|token| !token.is_zero()).collect();
    let questions: Vec<Call> =
        tokens.iter().map(|token| question(oracle, abi::getSourceOfAssetCall { asset: *token }.abi_encode())).collect();
    let asked = ask(chain, at, &questions).await?;
    Ok(tokens.iter().enumerate().map(|(place, token)| (*token, asked.address(place))).collect())
}

/// When a market began, that is, when its addresses provider was made: by the log it wrote then, looked for from the hint
/// on, else by where its code appears, which takes nodes that still have the state of old blocks.
///
/// # Errors
/// There is nothing at the address, or no node has what it takes; the message says what to give instead.
pub async fn first_block<C: Chain + Sync>(
    chain: &C,
    provider: Address,
    hint: Option<u64>,
    at: u64,
) -> Result<FirstBlock> {
    if let Some(hint) = hint.filter(|hint| *hint <= at)
        && let Some(block) = creation_log(chain, provider, hint, at).await?
    {
        return Ok(FirstBlock { block, evidence: FirstBlockEvidence::CreationLog });
    }
    if chain.code(at, provider).await?.is_empty() {
        return Err(nothing_there(provider, at));
    }
    let block = code_appears(chain, provider, at).await?;
    Ok(FirstBlock { block, evidence: FirstBlockEvidence::CodeAppears })
}

/// The log that a contract with an owner writes when it is made. A node that refuses is no reason to give up: the code
/// may still tell.
async fn creation_log<C: Chain + Sync>(chain: &C, provider: Address, from: u64, to: u64) -> Result<Option<u64>> {
    let end = to.min(from.saturating_add(SEARCH_BLOCKS - 1));
    let mut begin = from;
    while begin <= end {
        let piece_end = end.min(begin.saturating_add(SEARCH_STEP - 1));
        match chain.first_log(provider, [OWNERSHIP_TRANSFERRED, B256::ZERO], begin, piece_end).await {
            // A log outside of what was asked for is a node's mistake, and no block to build on.
            Ok(Some(block)) if (begin..=piece_end).contains(&block) => return Ok(Some(block)),
            Ok(_) => begin = piece_end.saturating_add(1),
            Err(error) if error.is_transient() => return Err(error),
            Err(_) => return Ok(None),
        }
    }
    Ok(None)
}

/// Halves the blocks before `at`, at which there is code.
async fn code_appears<C: Chain + Sync>(chain: &C, provider: Address, at: u64) -> Result<u64> {
    // There is code at `with`, and none before `without`.
    let (mut without, mut with) = (0, at);
    while without < with {
        let middle = without + (with - without) / 2;
        let code = chain.code(middle, provider).await.map_err(|cause| no_state(provider, middle, cause))?;
        if code.is_empty() {
            without = middle + 1;
        } else {
            with = middle;
        }
    }
    Ok(with)
}

fn no_state(provider: Address, block: u64, cause: Error) -> Error {
    if cause.is_transient() {
        return cause;
    }
    Error::Unfit {
        what: format!("the first block of the market at {provider} cannot be found: no node says what was there at block {block} ({cause})"),
        advice: "add an archive node with --rpc, or say with --from-block where to begin; an earlier block than the market's \
                 first does no harm"
            .to_owned(),
    }
}

fn nothing_there(address: Address, at: u64) -> Error {
    Error::Unfit {
        what: format!("there is no contract at {address} as of block {at}"),
        advice: "check the address, and that the endpoint is of the chain the market is on".to_owned(),
    }
}

fn half_set_up(provider: Address, what: &str) -> Error {
    Error::Unfit {
        what: format!("the addresses provider {provider} {what}"),
        advice: "this is no market of Aave V2 or V3, or one that is not set up yet; check the address".to_owned(),
    }
}

fn named(address: Option<Address>) -> String {
    address.map_or_else(|| "no addresses provider".to_owned(), |address| format!("the addresses provider {address}"))
}

/// Says what an address is that answers to none of what an addresses provider answers to.
async fn no_provider<C: Chain + Sync>(chain: &C, address: Address, at: u64) -> Result<Error> {
    if chain.code(at, address).await?.is_empty() {
        return Ok(nothing_there(address, at));
    }
    let questions = [
        question(address, abi::ADDRESSES_PROVIDERCall {}.abi_encode()),
        question(address, abi::getAddressesProviderCall {}.abi_encode()),
        question(address, abi::POOLCall {}.abi_encode()),
    ];
    let asked = ask(chain, at, &questions).await?;
    let advice = match (asked.address(0).or_else(|| asked.address(1)), asked.address(2)) {
        (Some(provider), _) => {
            format!("it belongs to the market of the addresses provider {provider}; give that address")
        }
        (None, Some(pool)) => format!("it seems to be a token of the pool {pool}; give that pool's addresses provider"),
        (None, None) => {
            "give the address of a PoolAddressesProvider (V3) or LendingPoolAddressesProvider (V2)".to_owned()
        }
    };
    Ok(Error::Unfit { what: format!("{address} is no addresses provider of Aave V2 or V3"), advice })
}

fn provider_questions(provider: Address) -> Vec<Call> {
    // Under this id V2 registers its data provider.
    let mut data_provider = B256::ZERO;
    data_provider[0] = 1;
    let data = [
        abi::getPoolCall {}.abi_encode(),
        abi::getLendingPoolCall {}.abi_encode(),
        abi::getPoolConfiguratorCall {}.abi_encode(),
        abi::getLendingPoolConfiguratorCall {}.abi_encode(),
        abi::getPriceOracleCall {}.abi_encode(),
        abi::getPoolDataProviderCall {}.abi_encode(),
        abi::getAddressCall { id: data_provider }.abi_encode(),
        abi::getMarketIdCall {}.abi_encode(),
    ];
    data.into_iter().map(|data| question(provider, data)).collect()
}

fn pool_questions(pool: Address, oracle: Address) -> Vec<Call> {
    vec![
        question(pool, abi::ADDRESSES_PROVIDERCall {}.abi_encode()),
        question(pool, abi::getAddressesProviderCall {}.abi_encode()),
        question(pool, abi::POOL_REVISIONCall {}.abi_encode()),
        question(pool, abi::LENDINGPOOL_REVISIONCall {}.abi_encode()),
        question(pool, abi::getReservesListCall {}.abi_encode()),
        question(oracle, abi::BASE_CURRENCYCall {}.abi_encode()),
        question(oracle, abi::BASE_CURRENCY_UNITCall {}.abi_encode()),
        question(oracle, abi::WETHCall {}.abi_encode()),
        question(oracle, abi::getFallbackOracleCall {}.abi_encode()),
    ]
}

/// From the answers to [`pool_questions`]. The first oracle of V2 knows nothing but wrapped Ether of eighteen decimals.
fn currency(asked: &Asked) -> Option<Currency> {
    if let Some(unit) = asked.returned(6).and_then(words::uint).filter(|unit| !unit.is_zero()) {
        // Zero is an answer here: US dollars.
        let word = asked.returned(5).and_then(words::uint)?;
        let token = Address::from_word(B256::from(word));
        return (U256::from_be_slice(token.as_slice()) == word).then_some(Currency { token, unit });
    }
    Some(Currency { token: asked.address(7)?, unit: U256::from(1_000_000_000_000_000_000_u64) })
}

/// Questions with their answers.
pub(super) struct Asked(Vec<Answer>);

impl Asked {
    pub(super) fn returned(&self, place: usize) -> Option<&[u8]> {
        match self.0.get(place)? {
            Answer::Returned(bytes) => Some(bytes),
            Answer::Reverted(_) => None,
        }
    }

    /// The address that answers a question; none where the contract does not know it, or says zero.
    pub(super) fn address(&self, place: usize) -> Option<Address> {
        self.returned(place).and_then(words::address)
    }
}

pub(super) async fn ask<C: Chain + Sync>(chain: &C, at: u64, questions: &[Call]) -> Result<Asked> {
    if questions.is_empty() {
        return Ok(Asked(Vec::new()));
    }
    Ok(Asked(chain.calls(at, questions).await?))
}

pub(super) fn question(to: Address, data: Vec<u8>) -> Call {
    Call { to, data: Bytes::from(data) }
}

#[cfg(test)]
mod tests;
