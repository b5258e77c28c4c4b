//! Which liquidations an auction was held for, and which payment is whose: a fold over blocks in order.
//!
//! On a chain with private order flow, a bundle is a round that came through the auction, the liquidations behind it, and the payments
//! to the safe behind those, which the block's fee recipient makes. On a chain with settlement contracts, a bundle is one transaction that
//! holds all of it. The rules, where more than one reading is possible:
//!
//! * A round opens a bundle unless it stands directly behind one that holds nothing but rounds: several updates can be sold together.
//! * A liquidation belongs to a bundle if it stands in the bundle's last transaction, or in the one directly behind that and is taken by
//!   whoever takes the bundle's other liquidations: a bundle has one winner. With a foreign transaction in between, taken by somebody
//!   else, or behind the payment, it leaked. So no stranger is ever given a share; where two winners truly shared a round, the second
//!   is said to have leaked.
//! * A payment is for the bundle that stands nearest before it in its block, at any distance: builders pay later in the block, and
//!   most often directly behind it. Several are for the same one.
//! * What a bundle took of a round that another bundle brought leaked from that one, unless it is paid for.
//! * Where somebody who is no known payer paid behind a bundle without a payment, it is not known whether that was for it.
//! * A payment in a block without a bundle for it is assigned to nobody, even if an earlier block has an unpaid liquidation.
//! * In a block that was not looked at whole, what is not seen to be paid is not known to be unpaid.
//! * A public round that the auction brings again once its cutoff is over was visible already, and no auction was held for it.
//!
//! Nothing but the blocks decides, so a reorganised chain is attributed by folding what replaced its blocks onto a copy from before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use protocol::{Address, B256};

use super::facts::{Block, Happened, Liquidated, Path, Place, Trigger, Untold};
use super::row::Route;
use super::view::{MOST_ROUNDS, Reading, Transmission, View};

/// What attribution goes by beside the blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Who pays refunds beside a block's fee recipient.
    pub payers: BTreeSet<Address>,
    /// For how many blocks a payment without a bundle may belong to an unpaid liquidation; it is only said to be possible.
    pub late_blocks: u64,
}

impl Default for Rules {
    /// Nobody else pays; private transactions are tried for 25 blocks.
    fn default() -> Self {
        Self { payers: BTreeSet::new(), late_blocks: 25 }
    }
}

/// What was concluded of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments {
    /// Its liquidations in order.
    pub taken: Vec<Assigned>,
    /// The bundles that were paid for and hold liquidations.
    pub bundles: Vec<Bundle>,
    /// The payments that are nobody's.
    pub strays: Vec<Stray>,
}

/// A liquidation's route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Which of the block's happenings it is.
    pub at: usize,
    /// How it came about.
    pub route: Route,
    /// Why that is not known, where it is not.
    pub why: Option<Untold>,
    /// The aggregator whose round made it possible.
    pub aggregator: Option<Address>,
    /// Which of the block's bundles it stands in, if paid.
    pub bundle: Option<usize>,
}

/// A bundle that was paid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What was paid.
    pub money: Money,
    /// Where: each payment, in order.
    pub payments: Vec<Place>,
    /// Its liquidations: which of the block's happenings.
    pub liquidations: Vec<usize>,
}

/// What was paid for a bundle, in the smallest unit of the native token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Money {
    /// Refunds to the safe, added up: what the builder left of the bid.
    Refund {
        /// How much.
        wei: u128,
    },
    /// A bid and where a settlement contract put it: `bid = kept + recaptured`.
    Settled {
        /// What the builder and the auctioneer kept.
        kept_wei: u128,
        /// What came to protocol and network.
        recaptured_wei: u128,
    },
}

/// A payment that is nobody's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Where in the block.
    pub place: Place,
    /// How much of it came to the safe, or to protocol and network, in the smallest unit of the native token.
    pub wei: u128,
    /// Why it is nobody's.
    pub reason: StrayReason,
}

/// Why a payment is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StrayReason {
    /// Its bundle holds rounds, and no liquidation that is known: something else was backrun, or liquidated in another market.
    NoLiquidation,
    /// No bundle stands before it in its block.
    NoBundle,
    /// No bundle stands before it in its block, and this earlier block has an unpaid liquidation.
    MaybeLate {
        /// The latest such block.
        block: u64,
    },
    /// Neither the block's fee recipient nor another known payer sent it.
    Payer(Address),
    /// What the settlement contract's log says does not add up, or no solver succeeded with that bid.
    Contradiction,
    /// It is for several liquidations, and the bonus of one is not known, so that it cannot be shared.
    BonusUnknown,
}

/// A block, or something in it, came out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disordered {
    /// The block.
    pub block: u64,
}

impl std::fmt::Display for Disordered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "block {}, or something in it, comes out of order", self.block)
    }
}

impl std::error::Error for Disordered {}

/// When a round came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrival {
    /// Where it became visible through the auction, if it did: block and place of the transaction.
    auctioned: Option<(u64, u32)>,
}

/// What is known of an aggregator.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Feed {
    view: View,
    arrivals: BTreeMap<u32, Arrival>,
}

impl Feed {
    fn arrive(&mut self, round: u32, auctioned: Option<(u64, u32)>) {
        let arrival = self.arrivals.entry(round).or_insert(Arrival { auctioned: None });
        arrival.auctioned = arrival.auctioned.or(auctioned);
        while self.arrivals.len() > MOST_ROUNDS {
            self.arrivals.pop_first();
        }
    }
}

/// What blocks left behind that later ones depend on: the last rounds of each aggregator, and blocks with unpaid liquidations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    rules: Rules,
    feeds: BTreeMap<Address, Feed>,
    unpaid: VecDeque<u64>,
    last: Option<u64>,
}

impl Attribution {
    /// Before the first block.
    #[must_use]
    pub const fn new(rules: Rules) -> Self {
        Self { rules, feeds: BTreeMap::new(), unpaid: VecDeque::new(), last: None }
    }

    /// What is known of what an aggregator's readers see.
    #[must_use]
    pub fn view(&self, aggregator: &Address) -> Option<&View> {
        self.feeds.get(aggregator).map(|feed| &feed.view)
    }

    /// Concludes what can be of the next block. Blocks in which nothing happened may be left out.
    ///
    /// # Errors
    /// The block does not come after the last one, or what happened in it is not ordered by place. Nothing is changed then.
    pub fn block(&mut self, block: &Block) -> Result<Assignments, Disordered> {
        let is_later = self.last.is_none_or(|last| block.number > last);
        if !is_later || !block.happened.is_sorted_by_key(|(place, _)| (place.transaction_index, place.log_index)) {
            return Err(Disordered { block: block.number });
        }
        self.last = Some(block.number);
        let oldest = block.number.saturating_sub(self.rules.late_blocks);
        while self.unpaid.front().is_some_and(|number| *number < oldest) {
            self.unpaid.pop_front();
        }
        let mut reader = Reader::new(self, block);
        for at in 0..block.happened.len() {
            reader.read(at);
        }
        let assignments = reader.conclude();
        if assignments.taken.iter().any(|taken| taken.route == Route::Unpaid) {
            self.unpaid.push_back(block.number);
        }
        Ok(assignments)
    }

    fn transmit(&mut self, time: u64, aggregator: Address, transmission: &Transmission, auctioned: Option<(u64, u32)>) {
        let feed = self
            .feeds
            .entry(aggregator)
            .or_insert_with(|| Feed { view: View::begun_late(), arrivals: BTreeMap::new() });
        let is_over = |round: u32| {
            let wait = feed.view.round(round).map(|reading| reading.recorded_at).zip(feed.view.cutoff_seconds());
            wait.is_some_and(|(recorded_at, cutoff)| recorded_at.saturating_add(cutoff.into()) < time)
        };
        // Readers saw such a round already, and the exclusive time that an auction sells was over.
        let auctioned =
            auctioned.filter(|_| !matches!(*transmission, Transmission::Exposed { round } if is_over(round)));
        feed.view.apply(transmission);
        match *transmission {
            Transmission::Round { reading, .. } => feed.arrive(reading.round, auctioned),
            Transmission::Exposed { round } => feed.arrive(round, auctioned),
            Transmission::Repeated { .. } | Transmission::Cutoff { .. } | Transmission::MaxSync { .. } => {}
        }
    }

    /// The route that a liquidation's trigger alone tells; where the auction was held in this block, the place of the round's
    /// transaction.
    fn route(&self, block: &Block, trigger: Trigger) -> Triggered {
        let (aggregator, round) = match trigger {
            Trigger::Round { aggregator, round } => (aggregator, round),
            Trigger::OtherFeed(_) => return Triggered::Elsewhere(Route::OtherFeed, None),
            Trigger::NoPrice => return Triggered::Elsewhere(Route::NoPrice, None),
            Trigger::Unknown(why) => return Triggered::Elsewhere(Route::Unknown, Some(why)),
        };
        let unknown = |why| Triggered::Elsewhere(Route::Unknown, Some(why));
        let Some(feed) = self.feeds.get(&aggregator) else { return unknown(Untold::Aggregator) };
        let Some(arrival) = feed.arrivals.get(&round) else { return unknown(Untold::Round) };
        match arrival.auctioned {
            Some((number, transaction)) if number == block.number => Triggered::Auctioned(transaction),
            Some(_) => Triggered::Elsewhere(Route::Landed, None),
            None => match (feed.view.cutoff_seconds(), feed.view.round(round)) {
                // Readers see it one second after the cutoff has ended, and not before.
                (Some(cutoff), Some(reading)) if reading.recorded_at.saturating_add(cutoff.into()) >= block.time => {
                    unknown(Untold::Unseen)
                }
                (Some(_), Some(_)) => Triggered::Elsewhere(Route::Fallback, None),
                (None, _) => unknown(Untold::Unseen),
                (Some(_), None) => unknown(Untold::Round),
            },
        }
    }
}

enum Triggered {
    /// Through the auction in this block: the place of the transaction that brought the round.
    Auctioned(u32),
    Elsewhere(Route, Option<Untold>),
}

/// A stretch of a block: rounds, then liquidations, then payments.
#[derive(Debug, Default)]
struct Stretch {
    /// The transaction that it is, where a settlement contract made it.
    settlement: Option<B256>,
    /// The place of its last transaction, payments left out.
    last: u32,
    /// Who took its first liquidation, whether or not an auction was held for that.
    taker: Option<Address>,
    liquidations: Vec<Candidate>,
    payments: Vec<(Place, Money)>,
    contradicts: bool,
    /// Whether somebody paid behind it who is no known payer.
    has_strange_payment: bool,
    solved_wei: Vec<u128>,
}

/// A liquidation that an auction was held for.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Which of the block's happenings.
    at: usize,
    /// Which of its conclusions.
    taken: usize,
    /// Whether its round stands in another stretch.
    is_of_another: bool,
}

struct Reader<'a> {
    attribution: &'a mut Attribution,
    block: &'a Block,
    /// Transactions in which a settlement contract allocated a bid.
    settlements: BTreeSet<B256>,
    /// The stretch that a transaction with a round opened or joined.
    rounds_in: BTreeMap<u32, usize>,
    stretches: Vec<Stretch>,
    found: Assignments,
}

impl<'a> Reader<'a> {
    fn new(attribution: &'a mut Attribution, block: &'a Block) -> Self {
        let allocated = block.happened.iter().filter(|(_, happened)| matches!(happened, Happened::Allocated { .. }));
        let settlements = allocated.map(|(place, _)| place.transaction).collect();
        let (rounds_in, stretches) = (BTreeMap::new(), Vec::new());
        Self { attribution, block, settlements, rounds_in, stretches, found: Assignments::default() }
    }

    fn read(&mut self, at: usize) {
        let block = self.block;
        let (place, happened) = &block.happened[at];
        match happened {
            Happened::Round { aggregator, round, answer, observed_at, path } => {
                let reading =
                    Reading { round: *round, answer: *answer, observed_at: *observed_at, recorded_at: block.time };
                self.transmit(*place, *aggregator, Transmission::Round { reading, path: *path });
            }
            Happened::Exposed { aggregator, round } => {
                self.transmit(*place, *aggregator, Transmission::Exposed { round: *round });
            }
            Happened::Repeated { aggregator, path } => {
                self.transmit(*place, *aggregator, Transmission::Repeated { path: *path });
            }
            Happened::CutoffSet { aggregator, seconds } => {
                self.transmit(*place, *aggregator, Transmission::Cutoff { seconds: *seconds });
            }
            Happened::MaxSyncSet { aggregator, rounds } => {
                self.transmit(*place, *aggregator, Transmission::MaxSync { rounds: *rounds });
            }
            Happened::Liquidated(liquidated) => self.liquidated(at, *place, liquidated),
            Happened::Payment { from, wei, .. } => self.paid(*place, *from, *wei),
            Happened::Solved { bid_wei, succeeded, .. } => {
                let last = self.stretches.last_mut().filter(|last| last.settlement == Some(place.transaction));
                if *succeeded && let Some(last) = last {
                    last.solved_wei.push(*bid_wei);
                }
            }
            Happened::Allocated { bid_wei, auctioneer_wei, builder_wei, protocol_wei, .. } => {
                let kept = auctioneer_wei.checked_add(*builder_wei);
                let adds_up = kept.and_then(|kept| kept.checked_add(*protocol_wei)) == Some(*bid_wei);
                self.allocated(*place, kept.filter(|_| adds_up), *bid_wei, *protocol_wei);
            }
        }
    }

    fn transmit(&mut self, place: Place, aggregator: Address, transmission: Transmission) {
        let is_auctioned = match transmission {
            Transmission::Round { path, .. } => path == Path::Secondary,
            Transmission::Exposed { .. } => true,
            Transmission::Repeated { .. } | Transmission::Cutoff { .. } | Transmission::MaxSync { .. } => false,
        };
        let auctioned = is_auctioned.then_some((self.block.number, place.transaction_index));
        self.attribution.transmit(self.block.time, aggregator, &transmission, auctioned);
        if is_auctioned {
            let holds_rounds = |last: &Stretch| last.taker.is_none() && last.payments.is_empty();
            let stretch = self.joined(place, holds_rounds).unwrap_or_else(|| self.opened(place));
            self.stretches[stretch].last = place.transaction_index;
            self.rounds_in.insert(place.transaction_index, stretch);
        }
    }

    fn liquidated(&mut self, at: usize, place: Place, liquidated: &Liquidated) {
        let aggregator = match liquidated.trigger {
            Trigger::Round { aggregator, .. } => Some(aggregator),
            Trigger::OtherFeed(_) | Trigger::NoPrice | Trigger::Unknown(_) => None,
        };
        let is_one_winners = |last: &Stretch| {
            let is_his = last.taker.is_none_or(|taker| taker == liquidated.liquidator);
            last.payments.is_empty() && (is_his || last.last == place.transaction_index)
        };
        let mut stretch = self.joined(place, is_one_winners);
        let (route, why) = match self.attribution.route(self.block, liquidated.trigger) {
            Triggered::Elsewhere(route, why) => (route, why),
            Triggered::Auctioned(round_at) => {
                if self.settlements.contains(&place.transaction) {
                    stretch = stretch.or_else(|| Some(self.opened(place)));
                }
                let taken = self.found.taken.len();
                stretch.map_or((Route::Leaked, None), |stretch| {
                    let is_of_another = self.rounds_in.get(&round_at).is_some_and(|other| *other != stretch);
                    self.stretches[stretch].liquidations.push(Candidate { at, taken, is_of_another });
                    // What it is, the end of the block tells.
                    (Route::PaymentUnknown, None)
                })
            }
        };
        if let Some(stretch) = stretch {
            let joined = &mut self.stretches[stretch];
            (joined.last, joined.taker) = (place.transaction_index, joined.taker.or(Some(liquidated.liquidator)));
        }
        self.found.taken.push(Assigned { at, route, why, aggregator, bundle: None });
    }

    /// The last stretch, if something in this transaction stands in it or directly behind it and may join it.
    fn joined(&self, place: Place, may_join: impl Fn(&Stretch) -> bool) -> Option<usize> {
        let settlement = self.settlements.get(&place.transaction);
        let last = self.stretches.last().filter(|last| last.settlement.as_ref() == settlement)?;
        let is_adjacent = place.transaction_index.checked_sub(last.last).is_some_and(|apart| apart <= 1);
        (is_adjacent && may_join(last)).then(|| self.stretches.len().saturating_sub(1))
    }

    /// A new stretch, which begins with this transaction.
    fn opened(&mut self, place: Place) -> usize {
        let settlement = self.settlements.get(&place.transaction).copied();
        self.stretches.push(Stretch { settlement, last: place.transaction_index, ..Stretch::default() });
        self.stretches.len().saturating_sub(1)
    }

    fn paid(&mut self, place: Place, from: Address, wei: u128) {
        let bundle = self.stretches.last_mut().filter(|last| last.settlement.is_none());
        if from != self.block.fee_recipient && !self.attribution.rules.payers.contains(&from) {
            if let Some(bundle) = bundle {
                bundle.has_strange_payment = true;
            }
            return self.stray(place, wei, StrayReason::Payer(from));
        }
        match bundle {
            Some(bundle) => bundle.payments.push((place, Money::Refund { wei })),
            None => {
                let unpaid = self.attribution.unpaid.back().copied();
                let reason = unpaid.map_or(StrayReason::NoBundle, |block| StrayReason::MaybeLate { block });
                self.stray(place, wei, reason);
            }
        }
    }

    fn allocated(&mut self, place: Place, kept_wei: Option<u128>, bid_wei: u128, recaptured_wei: u128) {
        let last = self.stretches.last_mut().filter(|last| last.settlement == Some(place.transaction));
        let Some(last) = last else {
            return self.stray(place, recaptured_wei, StrayReason::NoBundle);
        };
        let is_solved = last.solved_wei.contains(&bid_wei);
        match kept_wei.filter(|_| is_solved && last.payments.is_empty()) {
            Some(kept_wei) => last.payments.push((place, Money::Settled { kept_wei, recaptured_wei })),
            None => {
                last.contradicts = true;
                self.stray(place, recaptured_wei, StrayReason::Contradiction);
            }
        }
    }

    fn stray(&mut self, place: Place, wei: u128, reason: StrayReason) {
        self.found.strays.push(Stray { place, wei, reason });
    }

    fn conclude(mut self) -> Assignments {
        let stretches = std::mem::take(&mut self.stretches);
        for stretch in &stretches {
            let sum = stretch.payments.iter().map(|(_, money)| *money).reduce(Money::add);
            if let Some(money) = sum.filter(|_| !stretch.liquidations.is_empty()) {
                let bundle = Some(self.found.bundles.len());
                self.found.bundles.push(Bundle {
                    money,
                    payments: stretch.payments.iter().map(|(place, _)| *place).collect(),
                    liquidations: stretch.liquidations.iter().map(|candidate| candidate.at).collect(),
                });
                for candidate in &stretch.liquidations {
                    let taken = &mut self.found.taken[candidate.taken];
                    (taken.route, taken.bundle) = (Route::Paid, bundle);
                }
                continue;
            }
            for (place, money) in &stretch.payments {
                self.stray(*place, money.recaptured_wei(), StrayReason::NoLiquidation);
            }
            for candidate in &stretch.liquidations {
                let (route, why) = self.unpaid(stretch, candidate);
                let taken = &mut self.found.taken[candidate.taken];
                (taken.route, taken.why) = (route, why);
            }
        }
        self.found.strays.sort_by_key(|stray| (stray.place.transaction_index, stray.place.log_index));
        self.found
    }

    /// What a liquidation is for which its own stretch holds no payment.
    fn unpaid(&self, own: &Stretch, candidate: &Candidate) -> (Route, Option<Untold>) {
        if own.contradicts {
            return (Route::PaymentUnknown, Some(Untold::Contradiction));
        }
        if candidate.is_of_another {
            return (Route::Leaked, None);
        }
        if own.has_strange_payment {
            return (Route::PaymentUnknown, Some(Untold::Payer));
        }
        (if self.block.is_whole { Route::Unpaid } else { Route::PaymentUnknown }, None)
    }
}

impl Money {
    /// What came to protocol and network, in the smallest unit.
    #[must_use]
    pub const fn recaptured_wei(self) -> u128 {
        match self {
            Self::Refund { wei } => wei,
            Self::Settled { recaptured_wei, .. } => recaptured_wei,
        }
    }

    /// Several refunds for one bundle; a settlement stands alone in its stretch. No chain holds 2^128 wei.
    fn add(self, other: Self) -> Self {
        match (self, other) {
            (Self::Refund { wei }, Self::Refund { wei: more }) => Self::Refund { wei: wei.saturating_add(more) },
            (settled @ Self::Settled { .. }, _) | (_, settled @ Self::Settled { .. }) => settled,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
