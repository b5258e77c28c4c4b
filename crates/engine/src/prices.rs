//! What a market's oracle says, folded from logs: the price of each asset after each log, where logs tell it.
//!
//! `AaveOracle.getAssetPrice` hands on what the asset's source answers. Where the source is a proxy before an aggregator, or
//! the aggregator itself, that is the answer in the aggregator's last log, and nothing has to be asked. Which aggregator stands
//! behind a proxy is in no log; whoever asked the proxy says it as a [`Wiring`]. Where a source computes its price from others
//! (a cap, a ratio, a discount that shrinks), no log tells it: its prices are what calls answered, each true at the end of its
//! block and for no other.
//!
//! Behind some proxies stands a dual aggregator, which shows its rounds to two kinds of readers at different moments ([`Sight`]). What
//! its readers see changes with the time of the block too, and not only with a log: between two blocks whose times are known a price
//! is only told where it cannot have changed.
//!
//! What calls answered about a wired source is not taken but compared, so that a source that only seems to hand answers on is
//! found out: see [`Prices::checks`].
//!
//! What this room does not do: it knows no logs and asks nobody. Prices are the oracle's integers, in the market's base
//! currency.

use std::collections::{BTreeMap, BTreeSet};

use protocol::aave::log::{Entry, Statement};
use protocol::auction::Said;
use protocol::event::{Event, Fact};
use protocol::{Address, I256, U256};

use crate::book::ground::Oracle;
use crate::recapture::facts::Path;
use crate::recapture::view::{Reading, Transmission, View};

/// Behind all logs of a block.
const END: u64 = u64::MAX;

/// At the ends of these blocks, both included, a source handed on an aggregator's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first block; 0 where it did so from its beginning.
    pub from: u64,
    /// The last block.
    pub to: u64,
    /// Who wrote the answers; the source itself where it is the aggregator.
    pub aggregator: Address,
    /// What of it the source sees.
    pub sight: Sight,
}

/// What a reader of an aggregator sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// Each answer as soon as it is there: there is no other kind of reader.
    Plain,
    /// What readers of the recapturing proxy of a dual aggregator see.
    Recapturing,
    /// What all others see of a dual aggregator.
    Standard,
}

/// Which sources hand on whose answers, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wiring {
    sources: BTreeMap<Address, Vec<Stretch>>,
    /// Dual aggregators, with the cutoff that holds until one of their logs says otherwise, in seconds.
    duals: BTreeMap<Address, Option<u32>>,
}

impl Wiring {
    /// Adds a stretch of a source, which must lie behind those it has. One that goes on where the last one ended, with the
    /// same aggregator, makes it longer.
    pub fn wire(&mut self, source: Address, stretch: Stretch) {
        let stretches = self.sources.entry(source).or_default();
        match stretches.last_mut() {
            Some(last) if last.to >= stretch.from => debug_assert!(false, "stretches come in order"),
            Some(last)
                if last.to.checked_add(1) == Some(stretch.from)
                    && (last.aggregator, last.sight) == (stretch.aggregator, stretch.sight) =>
            {
                last.to = stretch.to;
            }
            _ => stretches.push(stretch),
        }
    }

    /// Names a dual aggregator, and the cutoff in seconds that holds before its logs tell one, if that is known.
    pub fn add_dual(&mut self, aggregator: Address, cutoff_seconds: Option<u32>) {
        self.duals.insert(aggregator, cutoff_seconds);
    }

    /// The dual aggregators.
    pub fn duals(&self) -> impl Iterator<Item = Address> {
        self.duals.keys().copied()
    }

    /// What is seen of each dual aggregator: what a source that hands it on sees, and else what readers of its recapturing proxy do.
    #[must_use]
    pub fn sights(&self) -> BTreeMap<Address, Sight> {
        let mut sights: BTreeMap<Address, Sight> = self.duals().map(|dual| (dual, Sight::Recapturing)).collect();
        for stretch in self.sources.values().flatten().filter(|stretch| stretch.sight == Sight::Standard) {
            sights.insert(stretch.aggregator, Sight::Standard);
        }
        sights
    }

    /// Lets a source see of dual aggregators what the other kind of reader sees. Returns whether it reads any as one of the
    /// recapturing proxy.
    pub fn turn_to_standard(&mut self, source: Address) -> bool {
        let own = self.sources.entry(source).or_default();
        let recapturing = own.iter_mut().filter(|stretch| stretch.sight == Sight::Recapturing);
        recapturing.map(|stretch| stretch.sight = Sight::Standard).count() > 0
    }

    /// Takes a source out: what it answers is not what the logs say.
    pub fn unwire(&mut self, source: Address) {
        self.sources.remove(&source);
    }

    /// Whose answers a source hands on at a place; inside the first block of a stretch nobody knows before which log it began.
    fn stretch(&self, source: Address, (block, index): (u64, u64)) -> Option<&Stretch> {
        let stretch = self.sources.get(&source)?.iter().find(|one| one.from <= block && block <= one.to)?;
        let is_sure = index == END || stretch.from < block || stretch.from == 0;
        is_sure.then_some(stretch)
    }

    /// The places at which something about a source becomes known or is known no longer.
    fn turns(&self) -> BTreeSet<(u64, u64, Address)> {
        let of_stretch = |source: Address, stretch: &Stretch| {
            let begins = (stretch.from != 0).then_some([(stretch.from, 0, source), (stretch.from, END, source)]);
            let ends = stretch.to.checked_add(1).map(|behind| (behind, 0, source));
            begins.into_iter().flatten().chain(ends)
        };
        let all = self.sources.iter();
        all.flat_map(|(source, stretches)| stretches.iter().flat_map(move |one| of_stretch(*source, one))).collect()
    }
}

/// By what a price is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// It stands in a feed's log.
    Feed,
    /// The asset is what prices are counted in.
    BaseCurrency,
    /// The oracle was asked at the end of the block.
    Call,
}

/// What an asset costs from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The block.
    pub block: u64,
    /// Its time in seconds since 1970, where an event of the block told it.
    pub time: Option<u64>,
    /// The log after which it holds; `None` at the end of the block.
    pub log_index: Option<u64>,
    /// The asset.
    pub asset: Address,
    /// Where the oracle gets its price.
    pub source: Option<Address>,
    /// The price and by what it is known; `None` where it is not known from here on.
    pub price: Option<(U256, By)>,
}

/// How often the answers of calls about a source were those of the logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    /// They were.
    pub equal: u64,
    /// They were not.
    pub different: u64,
}

/// An oracle's prices, folded up to some event.
#[derive(Debug, Clone)]
pub struct Prices {
    provider: Address,
    wiring: Wiring,
    /// Sources by who stands behind them.
    followers: BTreeMap<Address, BTreeSet<Address>>,
    turns: BTreeSet<(u64, u64, Address)>,
    oracle: Option<Address>,
    oracles: BTreeMap<Address, Oracle>,
    answers: BTreeMap<Address, I256>,
    /// What dual aggregators have stored.
    views: BTreeMap<Address, View>,
    /// Sources behind which a dual aggregator stands or stood.
    dual_sources: Vec<Address>,
    /// A dual aggregator's last word that a round came through the auction, and in which transaction of which block: of a new round
    /// it comes before the round itself.
    through_auction: BTreeMap<Address, ((u64, u32), u32)>,
    told: BTreeMap<Address, Option<(U256, By)>>,
    checks: BTreeMap<Address, Checks>,
    /// The block of the last event and its time.
    at: (u64, u64),
}

impl Prices {
    /// A market of which only the addresses provider is known, and how sources are wired.
    #[must_use]
    pub fn new(provider: Address, wiring: Wiring) -> Self {
        let mut followers: BTreeMap<Address, BTreeSet<Address>> = BTreeMap::new();
        for (source, stretches) in &wiring.sources {
            for stretch in stretches {
                followers.entry(stretch.aggregator).or_default().insert(*source);
            }
        }
        let view = |cutoff: &Option<u32>| {
            let mut view = View::begun_late();
            let told = cutoff.map(|seconds| Transmission::Cutoff { seconds });
            told.iter().for_each(|cutoff| view.apply(cutoff));
            view
        };
        let is_dual = |stretches: &[Stretch]| stretches.iter().any(|stretch| stretch.sight != Sight::Plain);
        let dual = wiring.sources.iter().filter(|(_, stretches)| is_dual(stretches));
        Self {
            provider,
            turns: wiring.turns(),
            views: wiring.duals.iter().map(|(dual, cutoff)| (*dual, view(cutoff))).collect(),
            dual_sources: dual.map(|(source, _)| *source).collect(),
            through_auction: BTreeMap::new(),
            wiring,
            followers,
            oracle: None,
            oracles: BTreeMap::new(),
            answers: BTreeMap::new(),
            told: BTreeMap::new(),
            checks: BTreeMap::new(),
            at: (0, 0),
        }
    }

    /// Takes an event; events come in order. What it changes is handed to `sink`, in order.
    pub fn take(&mut self, event: &Event, sink: &mut impl FnMut(Tick)) {
        let Fact::Market(entry) = &event.fact else { return };
        let place = (event.at.height, event.at.index);
        self.pass(place, u64::try_from(event.time.second()).unwrap_or(0), sink);
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these are about prices")]
        match &entry.statement {
            Statement::Answer { answer, round, .. } => {
                self.answers.insert(entry.by, *answer);
                self.begin_round(entry, *answer, *round);
                self.retell_followers(entry.by, place, sink);
            }
            Statement::Auction(said) if self.views.contains_key(&entry.by) => self.hear(entry, **said, place, sink),
            Statement::SourceChanged { asset, source } => {
                let oracle = self.oracles.entry(entry.by).or_default();
                let before = oracle.sources.insert(*asset, *source);
                if self.oracle == Some(entry.by) && before != Some(*source) {
                    self.retell(*asset, place, true, sink);
                }
            }
            Statement::BaseCurrency { currency, unit } => {
                self.oracles.entry(entry.by).or_default().base = Some((*currency, *unit));
                if self.oracle == Some(entry.by) {
                    self.retell(*currency, place, true, sink);
                }
            }
            Statement::OracleChanged { oracle } if entry.by == self.provider => {
                self.oracle = Some(*oracle);
                let new = self.oracles.entry(*oracle).or_default();
                let own = new.sources.keys().copied().chain(new.base.map(|(currency, _)| currency));
                let all: BTreeSet<Address> = own.chain(self.told.keys().copied()).collect();
                all.into_iter().for_each(|asset| self.retell(asset, place, true, sink));
            }
            _ => {}
        }
    }

    /// Begins a block: what becomes visible to readers of dual aggregators with its time is told before anything in it.
    pub fn begin(&mut self, block: u64, time: u64, sink: &mut impl FnMut(Tick)) {
        self.pass((block, 0), time, sink);
    }

    /// Moves on to a place in a block of which the time is known. What readers of dual aggregators see may change with the time alone.
    fn pass(&mut self, place: (u64, u64), time: u64, sink: &mut impl FnMut(Tick)) {
        let behind = self.at.0.checked_add(1).filter(|behind| *behind < place.0);
        if let Some(behind) = behind {
            self.turn((self.at.0, END), sink);
            // Nobody knows in which of the blocks in between it did.
            self.retell_duals((behind, 0), sink);
        }
        if let Some(before) = place.0.checked_sub(1) {
            self.turn((before, END), sink);
        }
        let is_new = self.at.0 != place.0;
        self.at = (place.0, time);
        if is_new {
            self.retell_duals((place.0, 0), sink);
        }
        self.turn(place, sink);
    }

    /// A dual aggregator takes a round in.
    fn begin_round(&mut self, entry: &Entry, answer: I256, round: U256) {
        let (Some(view), Ok(round)) = (self.views.get_mut(&entry.by), u32::try_from(round)) else { return };
        let named = self.through_auction.get(&entry.by);
        let is_through = named == Some(&((self.at.0, entry.transaction), round));
        let path = if is_through { Path::Secondary } else { Path::Primary };
        // Nobody here asks when it was observed.
        let reading = Reading { round, answer, observed_at: 0, recorded_at: self.at.1 };
        view.apply(&Transmission::Round { reading, path });
    }

    /// A dual aggregator says something else.
    fn hear(&mut self, entry: &Entry, said: Said, place: (u64, u64), sink: &mut impl FnMut(Tick)) {
        let Some(view) = self.views.get_mut(&entry.by) else { return };
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these change what is seen")]
        match said {
            Said::SecondaryRound { round } => {
                self.through_auction.insert(entry.by, ((self.at.0, entry.transaction), round));
                let is_there = view.round(round).is_some();
                view.apply(&Transmission::Exposed { round });
                if !is_there {
                    // A new one follows in the same transaction, which sees none of it in between.
                    return;
                }
            }
            Said::Unlocked { .. } => view.apply(&Transmission::Repeated { path: Path::Primary }),
            Said::CutoffSet { seconds } => view.apply(&Transmission::Cutoff { seconds }),
            Said::ReachSet { rounds } => view.apply(&Transmission::MaxSync { rounds }),
            _ => return,
        }
        self.retell_followers(entry.by, place, sink);
    }

    /// Which round of a dual aggregator a kind of reader sees in the block of the last event; none where that is not known.
    #[must_use]
    pub fn seen(&self, aggregator: Address, sight: Sight) -> Option<Reading> {
        seen_at(self.views.get(&aggregator)?, sight, self.at.1)
    }

    /// What each asset costs as far as it is told by now, and by what it is known. What a call answered was true at the end of its
    /// block.
    pub fn all_told(&self) -> impl Iterator<Item = (Address, U256, By)> {
        self.told.iter().filter_map(|(asset, told)| told.map(|(price, by)| (*asset, price, by)))
    }

    /// Takes what an oracle answered about the end of a block, behind all events of the block; `None` where it had no price.
    /// It is a price where logs tell none, and a check where they do.
    pub fn read(
        &mut self,
        (block, oracle): (u64, Address),
        asset: Address,
        answer: Option<U256>,
        sink: &mut impl FnMut(Tick),
    ) {
        self.turn((block, END), sink);
        if self.oracle != Some(oracle) {
            return;
        }
        if let Some((told, _)) = self.current(asset, (block, END)) {
            if let Some(source) = self.source(asset) {
                let checks = self.checks.entry(source).or_default();
                let is_equal = answer == Some(told);
                checks.equal = checks.equal.saturating_add(u64::from(is_equal));
                checks.different = checks.different.saturating_add(u64::from(!is_equal));
            }
            return;
        }
        let price = answer.map(|answer| (answer, By::Call));
        // Every answer is an observation of its own; that there is still none is not.
        if self.told.insert(asset, price).flatten().is_none() && price.is_none() {
            return;
        }
        sink(self.tick((block, END), asset, price));
    }

    /// Ends a block: what became known or unknown up to there is told.
    pub fn end(&mut self, block: u64, sink: &mut impl FnMut(Tick)) {
        self.turn((block, END), sink);
    }

    /// By source: how often calls were compared with it.
    #[must_use]
    pub fn checks(&self) -> &BTreeMap<Address, Checks> {
        &self.checks
    }

    /// The oracle the provider names, and where each asset's price comes from.
    #[must_use]
    pub fn oracle(&self) -> Option<(Address, &Oracle)> {
        let address = self.oracle?;
        self.oracles.get(&address).map(|oracle| (address, oracle))
    }

    /// Passes the turns up to a place.
    fn turn(&mut self, to: (u64, u64), sink: &mut impl FnMut(Tick)) {
        while let Some((block, index, source)) = self.turns.first().copied().filter(|turn| (turn.0, turn.1) <= to) {
            self.turns.pop_first();
            self.retell_source(source, (block, index), sink);
        }
    }

    fn assets_of(&self, source: Address) -> Vec<Address> {
        let Some((_, oracle)) = self.oracle() else { return Vec::new() };
        let own = oracle.sources.iter().filter(|(_, of)| **of == source);
        own.map(|(asset, _)| *asset).collect()
    }

    fn source(&self, asset: Address) -> Option<Address> {
        self.oracle()?.1.sources.get(&asset).copied().filter(|source| !source.is_zero())
    }

    /// What logs tell of a price at a place (`AaveOracle.getAssetPrice`): the unit for the base currency, else the source's
    /// answer if it is above zero; what a fallback would answer is in no log.
    fn current(&self, asset: Address, place: (u64, u64)) -> Option<(U256, By)> {
        let (_, oracle) = self.oracle()?;
        if let Some((currency, unit)) = oracle.base
            && currency == asset
            && !currency.is_zero()
        {
            return Some((unit, By::BaseCurrency));
        }
        let Stretch { aggregator, sight, .. } = *self.wiring.stretch(self.source(asset)?, place)?;
        let answer = match sight {
            Sight::Plain => self.answers.get(&aggregator).copied()?,
            Sight::Recapturing | Sight::Standard => self.seen_in(place.0, aggregator, sight)?.answer,
        };
        answer.is_positive().then_some((answer.into_raw(), By::Feed))
    }

    /// What a kind of reader of a dual aggregator sees in a block that is not before the last event's; in a later one only where it
    /// is the same at whatever time that is.
    fn seen_in(&self, block: u64, aggregator: Address, sight: Sight) -> Option<Reading> {
        let view = self.views.get(&aggregator)?;
        let now = seen_at(view, sight, self.at.1)?;
        let is_sure = block == self.at.0 || seen_at(view, sight, u64::MAX) == Some(now);
        is_sure.then_some(now)
    }

    fn retell_duals(&mut self, place: (u64, u64), sink: &mut impl FnMut(Tick)) {
        self.dual_sources.clone().into_iter().for_each(|source| self.retell_source(source, place, sink));
    }

    fn retell_followers(&mut self, aggregator: Address, place: (u64, u64), sink: &mut impl FnMut(Tick)) {
        let Some(sources) = self.followers.get(&aggregator).cloned() else { return };
        sources.into_iter().for_each(|source| self.retell_source(source, place, sink));
    }

    fn retell_source(&mut self, source: Address, place: (u64, u64), sink: &mut impl FnMut(Tick)) {
        for asset in self.assets_of(source) {
            self.retell(asset, place, false, sink);
        }
    }

    /// Tells an asset's price where it changed. What a call answered stays what was last observed until logs tell the price, or
    /// another source (`is_new`) stands behind it.
    fn retell(&mut self, asset: Address, place: (u64, u64), is_new: bool, sink: &mut impl FnMut(Tick)) {
        let now = self.current(asset, place);
        let before = self.told.get(&asset).copied();
        let is_observed = matches!(before, Some(Some((_, By::Call))));
        let stays = match now {
            Some(_) => before == Some(now),
            None => before.is_none_or(|before| before.is_none()) || (is_observed && !is_new),
        };
        if stays {
            return;
        }
        self.told.insert(asset, now);
        sink(self.tick(place, asset, now));
    }

    fn tick(&self, (block, index): (u64, u64), asset: Address, price: Option<(U256, By)>) -> Tick {
        let time = (block == self.at.0).then_some(self.at.1);
        Tick { block, time, log_index: (index != END).then_some(index), asset, source: self.source(asset), price }
    }
}

fn seen_at(view: &View, sight: Sight, now: u64) -> Option<Reading> {
    match sight {
        Sight::Recapturing => view.secondary(now),
        Sight::Plain | Sight::Standard => view.standard(now),
    }
}

#[cfg(test)]
mod tests;
