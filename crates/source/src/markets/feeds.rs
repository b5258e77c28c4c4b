//! Which contracts' logs tell that a price may have moved.
//!
//! The source that an oracle names for an asset rarely writes a log itself: it is a proxy before the aggregator that does,
//! or an adapter that computes a price from other feeds. Each kind gives away what it reads by a getter, so the walk asks
//! every contract for every getter, and goes on from what answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use alloy_sol_types::SolCall as _;
use protocol::Address;

use super::chain::Chain;
use super::discover::{Asked, ask, question};
use super::words;
use crate::Result;
use crate::rpc::Call;

/// How far from the oracle's source a feed is looked for: an adapter over an adapter over a proxy needs four.
const MOST_STEPS: usize = 8;

/// The most contracts that one walk looks at; the largest market has some two hundred.
const MOST_FEEDS: usize = 4_096;

/// The most phases of a proxy: each is a replaced aggregator, and the oldest proxies have had seven.
const MOST_PHASES: u16 = 64;

/// The getters by which feeds give away what they read.
mod abi {
    alloy_sol_types::sol! {
        function aggregator() returns (address);
        function phaseId() returns (uint16);
        function phaseAggregators(uint16 phase) returns (address);
        function BASE_TO_USD_AGGREGATOR() returns (address);
        function ASSET_TO_USD_AGGREGATOR() returns (address);
        function RATIO_PROVIDER() returns (address);
        function ASSET_TO_PEG() returns (address);
        function PEG_TO_BASE() returns (address);
        function BASE_TO_PEG() returns (address);
        function ASSET_TO_BASE() returns (address);
        function ETH_TO_BASE() returns (address);
        function STETH() returns (address);
        function RETH() returns (address);
        function RATE_PROVIDER() returns (address);
        function PENDLE_PRINCIPAL_TOKEN() returns (address);
        function source() returns (address);
    }
}

/// By which getter a feed names another contract it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Getter {
    /// A Chainlink proxy's `aggregator()`: what writes its logs now.
    Aggregator,
    /// A Chainlink proxy's `phaseAggregators(n)`: what wrote them, or writes them, in phase n.
    Phase(u16),
    /// `BASE_TO_USD_AGGREGATOR()`: the feed that a capped ratio multiplies.
    BaseToUsd,
    /// `ASSET_TO_USD_AGGREGATOR()`: the feed under a cap or a discount.
    AssetToUsd,
    /// `RATIO_PROVIDER()`: the token or feed that states the ratio.
    RatioProvider,
    /// `ASSET_TO_PEG()`: the first of two feeds made one.
    AssetToPeg,
    /// `PEG_TO_BASE()`: the second.
    PegToBase,
    /// `BASE_TO_PEG()`: the second, turned round.
    BaseToPeg,
    /// `ASSET_TO_BASE()`: the first of two feeds made one.
    AssetToBase,
    /// `ETH_TO_BASE()`: the price of Ether.
    EthToBase,
    /// `STETH()`: the token that states what a wrapped one is worth.
    StEth,
    /// `RETH()`: the token that states its own worth.
    REth,
    /// `RATE_PROVIDER()`: a contract that states a rate.
    RateProvider,
    /// `PENDLE_PRINCIPAL_TOKEN()`: the token whose price rises to par until it matures.
    PrincipalToken,
    /// `source()`: the feed whose units are changed.
    Source,
}

impl Getter {
    /// Every getter without an argument, with its selector.
    const PLAIN: [(Self, [u8; 4]); 14] = [
        (Self::Aggregator, abi::aggregatorCall::SELECTOR),
        (Self::BaseToUsd, abi::BASE_TO_USD_AGGREGATORCall::SELECTOR),
        (Self::AssetToUsd, abi::ASSET_TO_USD_AGGREGATORCall::SELECTOR),
        (Self::RatioProvider, abi::RATIO_PROVIDERCall::SELECTOR),
        (Self::AssetToPeg, abi::ASSET_TO_PEGCall::SELECTOR),
        (Self::PegToBase, abi::PEG_TO_BASECall::SELECTOR),
        (Self::BaseToPeg, abi::BASE_TO_PEGCall::SELECTOR),
        (Self::AssetToBase, abi::ASSET_TO_BASECall::SELECTOR),
        (Self::EthToBase, abi::ETH_TO_BASECall::SELECTOR),
        (Self::StEth, abi::STETHCall::SELECTOR),
        (Self::REth, abi::RETHCall::SELECTOR),
        (Self::RateProvider, abi::RATE_PROVIDERCall::SELECTOR),
        (Self::PrincipalToken, abi::PENDLE_PRINCIPAL_TOKENCall::SELECTOR),
        (Self::Source, abi::sourceCall::SELECTOR),
    ];

    /// The call that asks by it.
    #[must_use]
    pub fn call(self) -> Vec<u8> {
        if let Self::Phase(phase) = self {
            return abi::phaseAggregatorsCall { phase }.abi_encode();
        }
        let plain = Self::PLAIN.iter().find(|(getter, _)| *getter == self);
        plain.map_or_else(Vec::new, |(_, selector)| selector.to_vec())
    }

    /// The getter that a call asks by; none where it asks something else.
    fn of_call(data: &[u8]) -> Option<Self> {
        if let Ok(selector) = <[u8; 4]>::try_from(data) {
            return Self::PLAIN.iter().find(|(_, known)| *known == selector).map(|(getter, _)| *getter);
        }
        let phase = abi::phaseAggregatorsCall::abi_decode(data).ok()?.phase;
        Some(Self::Phase(phase))
    }

    /// Whether what it names is read for a rate, not for a price: such a rate can move with no log at all.
    const fn reads_a_rate(self) -> bool {
        match self {
            Self::RatioProvider | Self::StEth | Self::REth | Self::RateProvider | Self::PrincipalToken => true,
            Self::Aggregator
            | Self::Phase(_)
            | Self::BaseToUsd
            | Self::AssetToUsd
            | Self::AssetToPeg
            | Self::PegToBase
            | Self::BaseToPeg
            | Self::AssetToBase
            | Self::EthToBase
            | Self::Source => false,
        }
    }
}

impl fmt::Display for Getter {
    /// The call, such as `aggregator()` or `phaseAggregators(3)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aggregator => "aggregator()",
            Self::Phase(phase) => return write!(f, "phaseAggregators({phase})"),
            Self::BaseToUsd => "BASE_TO_USD_AGGREGATOR()",
            Self::AssetToUsd => "ASSET_TO_USD_AGGREGATOR()",
            Self::RatioProvider => "RATIO_PROVIDER()",
            Self::AssetToPeg => "ASSET_TO_PEG()",
            Self::PegToBase => "PEG_TO_BASE()",
            Self::BaseToPeg => "BASE_TO_PEG()",
            Self::AssetToBase => "ASSET_TO_BASE()",
            Self::EthToBase => "ETH_TO_BASE()",
            Self::StEth => "STETH()",
            Self::REth => "RETH()",
            Self::RateProvider => "RATE_PROVIDER()",
            Self::PrincipalToken => "PENDLE_PRINCIPAL_TOKEN()",
            Self::Source => "source()",
        })
    }
}

/// What a feed gives away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feed {
    /// What it reads, and by which getter that was found; empty where no getter answered.
    pub reads: Vec<(Getter, Address)>,
    /// It was not asked, because the walk had gone as far as it goes.
    pub is_unasked: bool,
}

/// The feeds below some sources: who reads whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feeds {
    feeds: BTreeMap<Address, Feed>,
}

impl Feeds {
    /// Every contract whose logs matter: the sources (an adapter writes when its cap is changed), what they read, and
    /// every aggregator a proxy has had.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Address> {
        self.feeds.keys().copied().collect()
    }

    /// Adds what another walk found.
    pub fn extend(&mut self, other: Self) {
        self.feeds.extend(other.feeds);
    }

    /// Who reads whom, and by which getter that was found.
    pub fn edges(&self) -> impl Iterator<Item = (Address, Getter, Address)> {
        let of = |(address, feed): (&Address, &Feed)| {
            let address = *address;
            feed.reads.clone().into_iter().map(move |(getter, read)| (address, getter, read))
        };
        self.feeds.iter().flat_map(of)
    }

    /// The same from answers to such calls: who was asked, what, and what he answered, the last word coming last.
    #[must_use]
    pub fn of_answers<'a>(answers: impl Iterator<Item = (Address, &'a [u8], &'a [u8])>) -> Self {
        let mut found: BTreeMap<Address, BTreeMap<Getter, Address>> = BTreeMap::new();
        for (asked, call, answer) in answers {
            let Some(getter) = Getter::of_call(call) else { continue };
            let Some(read) = words::address(answer).filter(|read| !read.is_zero() && *read != asked) else { continue };
            found.entry(read).or_default();
            found.entry(asked).or_default().insert(getter, read);
        }
        let feed = |reads: BTreeMap<Getter, Address>| Feed { reads: reads.into_iter().collect(), is_unasked: false };
        Self { feeds: found.into_iter().map(|(address, reads)| (address, feed(reads))).collect() }
    }

    /// The contracts that proxies name as their aggregators.
    #[must_use]
    pub fn aggregators(&self) -> BTreeSet<Address> {
        let is_one = |getter: Getter| matches!(getter, Getter::Aggregator | Getter::Phase(_));
        self.edges().filter(|(_, getter, _)| is_one(*getter)).map(|(.., read)| read).collect()
    }

    /// What a contract gave away, if the walk came to it.
    #[must_use]
    pub fn feed(&self, address: Address) -> Option<&Feed> {
        self.feeds.get(&address)
    }

    /// Every contract below a source, the source first, each once with the getters that lead to it.
    #[must_use]
    pub fn below(&self, source: Address) -> Vec<(Address, Vec<Getter>)> {
        let mut found = vec![(source, Vec::new())];
        let mut seen = BTreeSet::from([source]);
        let mut next = 0;
        while let Some((address, path)) = found.get(next).cloned() {
            for (getter, read) in self.feeds.get(&address).into_iter().flat_map(|feed| &feed.reads) {
                if seen.insert(*read) {
                    found.push((*read, path.iter().copied().chain([*getter]).collect()));
                }
            }
            next += 1;
        }
        found
    }

    /// Whether logs alone cannot tell when a source's price moves: something below it reads a rate (which a token computes,
    /// or a cap bounds that grows with time), or nothing that writes logs was found. Such a price is read by call.
    #[must_use]
    pub fn moves_without_logs(&self, source: Address) -> bool {
        let below = self.below(source);
        let mut found_by = below.iter().filter_map(|(_, path)| path.last());
        let has_aggregator = found_by.clone().any(|getter| matches!(getter, Getter::Aggregator | Getter::Phase(_)));
        let reads_a_rate = found_by.any(|getter| getter.reads_a_rate());
        !has_aggregator || reads_a_rate || below.iter().any(|(address, _)| self.is_unasked(*address))
    }

    /// Contracts at which the walk ended because it goes no further, not because they gave away nothing.
    pub fn unasked(&self) -> impl Iterator<Item = Address> {
        self.feeds.iter().filter(|(_, feed)| feed.is_unasked).map(|(address, _)| *address)
    }

    fn is_unasked(&self, address: Address) -> bool {
        self.feeds.get(&address).is_none_or(|feed| feed.is_unasked)
    }
}

/// Walks from an oracle's sources to everything below them, as of a block. The walk ends: it looks at each contract
/// once, takes few steps, and leaves what is beyond its bounds marked as unasked.
///
/// # Errors
/// The chain cannot be asked.
pub async fn walk<C: Chain + Sync>(chain: &C, sources: &BTreeSet<Address>, at: u64) -> Result<Feeds> {
    let mut feeds = BTreeMap::new();
    let mut level: BTreeSet<Address> = sources.iter().copied().filter(|source| !source.is_zero()).collect();
    for step in 0..=MOST_STEPS {
        let room = if step == MOST_STEPS { 0 } else { MOST_FEEDS.saturating_sub(feeds.len()) };
        let (asked, left): (Vec<_>, Vec<_>) = level.iter().enumerate().partition(|(place, _)| *place < room);
        let asked: Vec<Address> = asked.into_iter().map(|(_, address)| *address).collect();
        feeds.extend(left.into_iter().map(|(_, address)| (*address, Feed { reads: Vec::new(), is_unasked: true })));
        for (address, reads) in asked.iter().zip(reads(chain, &asked, at).await?) {
            feeds.insert(*address, Feed { reads, is_unasked: false });
        }
        let read = asked.iter().filter_map(|address| feeds.get(address)).flat_map(|feed| &feed.reads);
        level = read.map(|(_, address)| *address).filter(|address| !feeds.contains_key(address)).collect();
        if level.is_empty() {
            break;
        }
    }
    Ok(Feeds { feeds })
}

/// What each contract reads.
async fn reads<C: Chain + Sync>(chain: &C, contracts: &[Address], at: u64) -> Result<Vec<Vec<(Getter, Address)>>> {
    let per_contract = Getter::PLAIN.len() + 1;
    let questions = |contract: &Address| -> Vec<Call> {
        let plain = Getter::PLAIN.iter().map(|(_, selector)| selector.to_vec());
        plain.chain([abi::phaseIdCall {}.abi_encode()]).map(|data| question(*contract, data)).collect()
    };
    let all: Vec<Call> = contracts.iter().flat_map(questions).collect();
    let asked = ask(chain, at, &all).await?;
    let mut reads = Vec::with_capacity(contracts.len());
    let mut phases = Vec::new();
    for (place, contract) in contracts.iter().enumerate() {
        let first = place * per_contract;
        let plain = Getter::PLAIN.iter().enumerate().filter_map(|(nth, (getter, _))| {
            let read = asked.address(first + nth).filter(|read| read != contract)?;
            Some((*getter, read))
        });
        let found: Vec<_> = plain.collect();
        // Only a proxy has phases.
        if found.iter().any(|(getter, _)| *getter == Getter::Aggregator) {
            let last = phase_count(&asked, first + Getter::PLAIN.len());
            phases.extend((1..=last).map(|phase| (place, phase)));
        }
        reads.push(found);
    }
    let questions: Vec<Call> = phases
        .iter()
        .map(|(place, phase)| question(contracts[*place], abi::phaseAggregatorsCall { phase: *phase }.abi_encode()))
        .collect();
    let asked = ask(chain, at, &questions).await?;
    for (nth, (place, phase)) in phases.iter().enumerate() {
        if let Some(aggregator) = asked.address(nth).filter(|read| *read != contracts[*place]) {
            reads[*place].push((Getter::Phase(*phase), aggregator));
        }
    }
    Ok(reads)
}

/// How many phases to ask a proxy for.
fn phase_count(asked: &Asked, place: usize) -> u16 {
    let last = asked.returned(place).and_then(words::uint).and_then(|phase| u16::try_from(phase).ok());
    last.map_or(0, |phase| phase.min(MOST_PHASES))
}

#[cfg(test)]
mod tests;
