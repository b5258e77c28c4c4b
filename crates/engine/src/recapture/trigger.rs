//! What made an account liquidatable: the last move of a price before which its health factor was at least 1.
//!
//! From a liquidation it is gone back over the moves of the feeds that the account depends on. Before and after each, the account is
//! valued as the pool values it, with what it held then and the prices that the pool would have seen:
//!
//! * healthy right after a move: no price made it liquidatable, but interest, a parameter or the account itself, since then;
//! * healthy right before it and not after it: this move did;
//! * not healthy before it: it was liquidatable already, and it is gone back further.
//!
//! A price is the one that feeds' logs tell ([`Prices`]). Where none does, because the source computes it, it is what the oracle
//! answered at the ends of blocks: inside a block in which it changed, only if exactly one feed below the source moved there; further
//! back, only if no feed below it moved in between and it reads nothing that moves without a log. Else the trigger is not known.
//!
//! Several feeds may move at one place only if one aggregator stands behind them; rounds that become visible with the time of a block
//! do so at its beginning, in the order of their aggregators' addresses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::aave::account::{self, account_data};
use protocol::aave::log::{Entry, Statement};
use protocol::event::{Event, Fact};
use protocol::{Address, U256};

use super::facts::{Trigger, Untold};
use crate::book::View;
use crate::prices::{By, Prices, Sight, Wiring};

/// How many blocks it is gone back from a liquidation.
pub const MOST_BLOCKS: u64 = 3_600;

/// What is known beside the logs.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Which sources hand on whose answers.
    pub wiring: Wiring,
    /// The aggregators below each source, at any depth.
    pub below: BTreeMap<Address, BTreeSet<Address>>,
    /// Sources whose price moves only where an aggregator below does.
    pub steady: BTreeSet<Address>,
    /// What the oracle answered about an asset at the end of a block.
    pub asked: BTreeMap<(Address, u64), U256>,
    /// The blocks with liquidations.
    pub blocks: BTreeSet<u64>,
}

/// Prices by asset.
type ByAsset = Arc<BTreeMap<Address, U256>>;

/// A move of what readers of an aggregator see.
#[derive(Debug, Clone)]
struct Moved {
    /// Block, and place in it; the beginning of the block is before its first log.
    at: (u64, Option<u64>),
    time: u64,
    aggregator: Address,
    /// Of a dual aggregator.
    round: Option<u32>,
    view: Arc<View>,
    before: ByAsset,
    after: ByAsset,
}

/// The market before the transaction of a liquidation, or behind the last move in it.
#[derive(Debug, Clone)]
struct Start {
    at: (u64, Option<u64>),
    time: u64,
    transaction: u32,
    view: Arc<View>,
    told: ByAsset,
}

/// A moment at which an account is valued.
struct Moment<'a> {
    at: (u64, Option<u64>),
    /// Whether it is behind whatever moved at that place.
    is_after: bool,
    time: u64,
    view: &'a View,
    told: &'a ByAsset,
}

/// Follows a market's logs to its liquidations.
#[derive(Debug)]
pub struct Triggers {
    known: Known,
    prices: Prices,
    /// What readers saw last of each dual aggregator.
    seen: BTreeMap<Address, u32>,
    sights: BTreeMap<Address, Sight>,
    moves: VecDeque<Moved>,
    at: Option<(u64, u64)>,
    start: Option<Start>,
    /// Liquidations of the block being followed: where, whose, and from where it is gone back.
    open: Vec<(u64, Address, Start)>,
    found: BTreeMap<(u64, u64), Trigger>,
    missing: BTreeSet<(Address, u64)>,
}

/// What came of following a market.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// What made each liquidation possible, by block and place of its log.
    pub triggers: BTreeMap<(u64, u64), Trigger>,
    /// Assets and blocks: what the oracle answered about these at the ends of those blocks would tell more.
    pub missing: BTreeSet<(Address, u64)>,
}

impl Triggers {
    /// Before the first log of the market of an addresses provider.
    #[must_use]
    pub fn new(provider: Address, known: Known) -> Self {
        let sights = known.wiring.sights();
        Self {
            prices: Prices::new(provider, known.wiring.clone()),
            known,
            seen: BTreeMap::new(),
            sights,
            moves: VecDeque::new(),
            at: None,
            start: None,
            open: Vec::new(),
            found: BTreeMap::new(),
            missing: BTreeSet::new(),
        }
    }

    /// Takes a log's event that is about to be folded; `view` is the market before it, asked for only where it matters.
    pub fn take(&mut self, event: &Event, view: impl Fn() -> Arc<View>) {
        let Fact::Market(entry) = &event.fact else { return };
        let block = event.at.height;
        let time = u64::try_from(event.time.second()).unwrap_or(0);
        if self.at.is_none_or(|(at, _)| at != block) {
            self.close();
            self.at = Some((block, time));
            let before = self.told();
            self.prices.begin(block, time, &mut |_| {});
            self.note((block, None), time, &before, None, &view);
        }
        let is_wanted = self.known.blocks.contains(&block);
        if is_wanted && self.start.as_ref().is_none_or(|start| start.transaction != entry.transaction) {
            let at = (block, event.at.index.checked_sub(1));
            self.start = Some(Start { at, time, transaction: entry.transaction, view: view(), told: self.told() });
        }
        let before = self.told();
        self.prices.take(event, &mut |_| {});
        let at = (block, Some(event.at.index));
        let has_moved = self.note(at, time, &before, Some(entry), &view);
        if is_wanted && has_moved {
            self.start = Some(Start { at, time, transaction: entry.transaction, view: view(), told: self.told() });
        }
        if is_wanted
            && let Statement::Liquidated(call) = &entry.statement
            && let Some(start) = &self.start
        {
            self.open.push((event.at.index, call.user, start.clone()));
        }
    }

    /// What came of it.
    #[must_use]
    pub fn finish(mut self) -> Told {
        self.close();
        Told { triggers: self.found, missing: self.missing }
    }

    /// The prices that logs tell by now.
    fn told(&self) -> ByAsset {
        Arc::new(
            self.prices
                .all_told()
                .filter(|(_, _, by)| *by != By::Call)
                .map(|(asset, price, _)| (asset, price))
                .collect(),
        )
    }

    /// Notes what moved at a place. Returns whether anything did.
    fn note(
        &mut self,
        at: (u64, Option<u64>),
        time: u64,
        before: &ByAsset,
        entry: Option<&Entry>,
        view: &impl Fn() -> Arc<View>,
    ) -> bool {
        let mut moved: Vec<(Address, Option<u32>)> = Vec::new();
        for (dual, sight) in &self.sights {
            // Between the two logs by which a new round comes through the auction, nothing is seen of either.
            let Some(reading) = self.prices.seen(*dual, *sight) else { continue };
            if self.seen.insert(*dual, reading.round) != Some(reading.round) {
                moved.push((*dual, Some(reading.round)));
            }
        }
        if let Some(Entry { by, statement: Statement::Answer { .. }, .. }) = entry
            && !self.sights.contains_key(by)
        {
            moved.push((*by, None));
        }
        let is_near =
            self.known.blocks.range(at.0..).next().is_some_and(|next| next.saturating_sub(at.0) <= MOST_BLOCKS);
        if moved.is_empty() || !is_near {
            return !moved.is_empty();
        }
        let oldest = at.0.saturating_sub(MOST_BLOCKS);
        while self.moves.front().is_some_and(|moved| moved.at.0 < oldest) {
            self.moves.pop_front();
        }
        let (view, after) = (view(), self.told());
        for (aggregator, round) in moved {
            let (view, before, after) = (Arc::clone(&view), Arc::clone(before), Arc::clone(&after));
            self.moves.push_back(Moved { at, time, aggregator, round, view, before, after });
        }
        true
    }

    /// The block is whole.
    fn close(&mut self) {
        self.start = None;
        let Some((block, _)) = self.at else { return };
        for (index, user, start) in std::mem::take(&mut self.open) {
            let (trigger, missing) = self.trigger(user, &start);
            self.found.insert((block, index), trigger);
            self.missing.extend(missing);
        }
    }

    fn trigger(&self, user: Address, start: &Start) -> (Trigger, Vec<(Address, u64)>) {
        let unknown = |at: &Moment<'_>| (Trigger::Unknown(Untold::Price), self.unknown(user, at));
        let at = Moment { at: start.at, is_after: true, time: start.time, view: &start.view, told: &start.told };
        // One that is healthy by these prices and was liquidated saw other ones.
        if self.is_healthy(user, &at) != Some(false) {
            return unknown(&at);
        }
        let up_to = self.moves.iter().rev().skip_while(|moved| moved.at > start.at);
        for moved in up_to.filter(|moved| self.is_of(user, &start.view, moved) || self.is_of(user, &moved.view, moved))
        {
            let moment = |is_after: bool| {
                let told = if is_after { &moved.after } else { &moved.before };
                Moment { at: moved.at, is_after, time: moved.time, view: &moved.view, told }
            };
            let [after, before] = [moment(true), moment(false)];
            match (self.is_healthy(user, &after), self.is_healthy(user, &before)) {
                (Some(true), _) => return (Trigger::NoPrice, Vec::new()),
                (Some(false), Some(true)) => {
                    let aggregator = moved.aggregator;
                    let round = moved.round.map(|round| Trigger::Round { aggregator, round });
                    return (round.unwrap_or(Trigger::OtherFeed(aggregator)), Vec::new());
                }
                (Some(false), Some(false)) => {}
                (Some(false), None) => return unknown(&before),
                (None, _) => return unknown(&after),
            }
        }
        (Trigger::Unknown(Untold::Since), Vec::new())
    }

    /// What to ask for the prices that an account depends on and that are not known at a moment.
    fn unknown(&self, user: Address, at: &Moment<'_>) -> Vec<(Address, u64)> {
        let Some(person) = at.view.accounts.find(&user).and_then(|id| at.view.accounts.get(id)) else {
            return Vec::new();
        };
        let flags = View::account(person).flags;
        let assets = flags.reserves().filter_map(|id| Some(at.view.listed().get(usize::from(id.0))?.contracts.asset));
        let unknown = assets.filter(|asset| self.price(at, *asset).is_none());
        let around = |asset: Address| {
            [at.at.0.checked_sub(1), Some(at.at.0)].into_iter().flatten().map(move |block| (asset, block))
        };
        unknown.flat_map(around).filter(|key| !self.known.asked.contains_key(key)).collect()
    }

    /// Whether a move is of a feed that an account depends on.
    fn is_of(&self, user: Address, view: &View, moved: &Moved) -> bool {
        let Some(person) = view.accounts.find(&user).and_then(|id| view.accounts.get(id)) else { return false };
        let flags = View::account(person).flags;
        let of = |source: Address| self.known.below.get(&source).is_some_and(|below| below.contains(&moved.aggregator));
        flags
            .reserves()
            .filter_map(|id| self.source(view, view.listed().get(usize::from(id.0))?.contracts.asset))
            .any(of)
    }

    fn source(&self, view: &View, asset: Address) -> Option<Address> {
        view.oracle()?.1.sources.get(&asset).copied()
    }

    /// Whether an account cannot be liquidated at a moment; none where a price is not known, or it cannot be valued.
    fn is_healthy(&self, user: Address, at: &Moment<'_>) -> Option<bool> {
        let view = at.view;
        let Some(person) = view.accounts.find(&user).and_then(|id| view.accounts.get(id)) else { return Some(true) };
        // What a category's own source answers is in no log.
        if view.e_mode_sources().contains_key(&person.e_mode) {
            return None;
        }
        let account = View::account(person);
        let mut prices = vec![U256::ZERO; view.listed().len()];
        for id in account.flags.reserves() {
            let place = usize::from(id.0);
            let Some(listed) = view.listed().get(place) else { continue };
            prices[place] = self.price(at, listed.contracts.asset)?;
        }
        let block = account::Block { now: at.time, prices, ..account::Block::default() };
        let data = account_data(view.revision()?, &view.reserves(), view.e_modes(), &account, &block).ok()?;
        Some(!data.is_liquidatable())
    }

    fn price(&self, at: &Moment<'_>, asset: Address) -> Option<U256> {
        if let Some(price) = at.told.get(&asset) {
            return Some(*price);
        }
        let source = self.source(at.view, asset)?;
        let asked = |block: u64| self.known.asked.get(&(asset, block)).copied();
        let below = self.known.below.get(&source);
        let is_below = |moved: &&Moved| below.is_some_and(|below| below.contains(&moved.aggregator));
        let (block, _) = at.at;
        if let (Some(before), Some(end)) = (block.checked_sub(1).and_then(asked), asked(block)) {
            if before == end {
                return Some(end);
            }
            let mut own = self.moves.iter().filter(|moved| moved.at.0 == block).filter(is_below);
            let (one, None) = (own.next()?, own.next()) else { return None };
            let is_before = at.at < one.at || (at.at == one.at && !at.is_after);
            return Some(if is_before { before } else { end });
        }
        // The next answer holds as far back as nothing moved.
        let next = self.known.asked.range((asset, block)..).map(|((of, block), price)| (*of, *block, *price)).next();
        let (_, answered, price) = next.filter(|(of, ..)| *of == asset && self.known.steady.contains(&source))?;
        let is_since = |moved: &Moved| at.at < moved.at || (at.at == moved.at && !at.is_after);
        let has_moved = self.moves.iter().filter(is_below).any(|moved| is_since(moved) && moved.at.0 <= answered);
        (!has_moved).then_some(price)
    }
}
