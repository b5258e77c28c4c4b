//! The auctions of a world: how each round that made liquidations possible came in, who won, and what he paid.
//!
//! What is decided here is the truth of the world; what its chains tell of it is put into blocks by [`blocks`](super::blocks), and
//! whoever reads those is told nothing else. All liquidations that one round of one feed made possible share its fate:
//!
//! * on Ethereum, a builder lands the round with the winner's liquidations behind it and hands on nine tenths of the bid to the safe;
//! * where a contract settles, all of that is one transaction, or nothing at all;
//! * an auction that is missed leaves the public round, which the market sees once the cutoff is over.

use std::collections::BTreeMap;

use protocol::chain::ChainId;

use super::causes::{self, Cause};
use super::chance::Chance;
use super::log::Placed;
use super::markets;
use super::prices::Asset;
use super::rules::mul_div;

/// The most liquidations that fit into a bundle.
const MOST_IN_BUNDLE: usize = 8;
/// What a builder hands on of a bid, in per cent.
const REFUND_PERCENT: u128 = 90;
/// What the auctioneer and the builder keep where a contract settles, in hundredths of a per cent.
const SETTLED_BPS: [u128; 2] = [500, 350];
/// A whole native token in its smallest unit.
const WHOLE: u128 = 1_000_000_000_000_000_000;

/// What became of a liquidation: the truth, whether or not the chain tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// In the winner's bundle, and paid.
    Won,
    /// The same, but nobody looked at the whole of the block, so that the payment is not known.
    Unseen,
    /// In a bundle that nobody paid for.
    Unpaid,
    /// In the block of the round, outside the bundle.
    Outside,
    /// After the round had landed.
    Late,
    /// By a public round, after the cutoff.
    Missed,
    /// By a feed without an auction.
    OtherFeed,
    /// By no price.
    NoPrice,
}

/// What a bid came to, in the smallest unit of the native token: `bid = builder + auctioneer + gas + recaptured`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Money {
    /// What the winner paid.
    pub bid: u128,
    /// What the builder kept.
    pub builder: u128,
    /// What the auctioneer kept, where there is one.
    pub auctioneer: u128,
    /// What handing on cost.
    pub gas: u128,
    /// What protocol and network got.
    pub recaptured: u128,
}

/// A feed's round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Round {
    /// The chain.
    pub chain: ChainId,
    /// The feed's asset.
    pub feed: Asset,
    /// The hour, which numbers it.
    pub hour: usize,
}

/// How a round came in, and what was taken with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Auction {
    /// The round.
    pub round: Round,
    /// Its block: of the auction's transaction or, where that was missed, of the public one.
    pub block: u64,
    /// How it went.
    pub course: Course,
    /// Which liquidations stand in the bundle, in order.
    pub inside: Vec<usize>,
    /// Which one somebody else takes in the same block.
    pub outside: Option<usize>,
    /// What was paid; nothing where nobody did.
    pub money: Money,
}

/// How an auction went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// Won and paid.
    Won {
        /// Whether the round had come in publicly a block before, so that the auction only exposed it.
        exposes: bool,
        /// Whether the refund comes in two payments.
        twice: bool,
        /// Whether the block is looked at whole.
        seen: bool,
    },
    /// The round landed and its liquidations with it, and nobody paid.
    Unpaid,
    /// The round landed alone.
    Alone,
    /// Nothing came of it.
    Missed,
}

/// All auctions of a world, and what became of each liquidation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Auctions {
    /// By round.
    pub held: Vec<Auction>,
    /// The fate of each liquidation.
    pub fates: Vec<Fate>,
    /// The block of each liquidation.
    pub blocks: Vec<u64>,
}

impl Auctions {
    /// Holds them.
    pub(super) fn hold(calls: &[Placed<'_>], chance: Chance) -> Self {
        let mut groups = BTreeMap::<Round, Vec<usize>>::new();
        let mut all = Self::default();
        for (at, call) in calls.iter().enumerate() {
            all.blocks.push(call.moment);
            all.fates.push(if call.cause == Cause::Interest { Fate::NoPrice } else { Fate::OtherFeed });
            if let Some(round) = call.round() {
                groups.entry(round).or_default().push(at);
            }
        }
        for (round, group) in groups {
            let draws = chance.stream(round.chain.0).stream(round.feed as u64).stream(round.hour as u64);
            // Some were liquidatable since a round of an earlier hour, and are taken at their own moment.
            let (now, since): (Vec<usize>, Vec<usize>) =
                group.into_iter().partition(|at| calls[*at].call.hour == round.hour);
            let auction = Auction::hold(round, &now, calls, draws);
            all.note(&auction, &now);
            let fate = auction.fate_of_others();
            since.into_iter().for_each(|at| all.fates[at] = fate);
            all.held.push(auction);
        }
        all
    }

    /// Notes what became of an auction's liquidations, and when.
    fn note(&mut self, auction: &Auction, calls: &[usize]) {
        let mut behind = 0;
        for at in calls {
            (self.fates[*at], self.blocks[*at]) = if auction.inside.contains(at) {
                (auction.fate(), auction.block)
            } else if auction.outside == Some(*at) {
                (Fate::Outside, auction.block)
            } else {
                // In a hurry, and still one behind the other.
                behind += 1;
                (auction.fate_of_others(), auction.block + auction.wait() + behind / 3)
            };
        }
    }
}

impl Auction {
    fn hold(round: Round, calls: &[usize], all: &[Placed<'_>], draws: Chance) -> Self {
        let settled = causes::is_settled_on_chain(round.chain);
        let (first_block, block_ms) = markets::clock(round.chain);
        let moment_ms = round.hour as u64 * 3_600_000 + draws.between(0, 120_000, 3_000_000);
        let mut auction = Self {
            round,
            block: first_block + moment_ms / block_ms,
            course: Course::of(settled, draws),
            inside: calls.iter().copied().take(MOST_IN_BUNDLE).collect(),
            outside: None,
            money: Money::default(),
        };
        if matches!(auction.course, Course::Won { .. }) {
            auction.money = Money::of(&auction.inside, all, settled, draws);
            if auction.money.recaptured == 0 {
                auction.course = if settled { Course::Missed } else { Course::Unpaid };
            } else if !settled && auction.inside.len() > 2 && draws.below(5, 8) == 0 {
                auction.leave_one(all, draws);
            }
        }
        if matches!(auction.course, Course::Alone | Course::Missed) {
            auction.inside.clear();
        }
        auction
    }

    /// The winner leaves his last liquidation to somebody who comes behind the payment, if the others still pay.
    fn leave_one(&mut self, all: &[Placed<'_>], draws: Chance) {
        let Some((last, others)) = self.inside.split_last() else { return };
        let money = Money::of(others, all, false, draws);
        let is_seen = matches!(self.course, Course::Won { seen: true, .. });
        if is_seen && money.recaptured > 0 {
            (self.outside, self.inside, self.money) = (Some(*last), others.to_vec(), money);
        }
    }

    /// What became of the liquidations in the bundle.
    const fn fate(&self) -> Fate {
        match self.course {
            Course::Won { seen: true, .. } => Fate::Won,
            Course::Won { seen: false, .. } => Fate::Unseen,
            Course::Unpaid => Fate::Unpaid,
            Course::Alone => Fate::Late,
            Course::Missed => Fate::Missed,
        }
    }

    /// What became of those that its round made possible and that came later.
    const fn fate_of_others(&self) -> Fate {
        if matches!(self.course, Course::Missed) { Fate::Missed } else { Fate::Late }
    }

    /// After how many blocks others come.
    const fn wait(&self) -> u64 {
        if !matches!(self.course, Course::Missed) {
            return 1;
        }
        // The market sees a public round when the cutoff is over, not in its last second; block times are cut to seconds.
        let (_, block_ms) = markets::clock(self.round.chain);
        (1_000 * (causes::cutoff_seconds(self.round.chain) as u64 + 1)).div_ceil(block_ms)
    }
}

impl Course {
    /// Draws one. Where a contract settles, a round without a winner does not land at all.
    fn of(settled: bool, draws: Chance) -> Self {
        match draws.below(1, 100) {
            0..66 => Self::Won {
                exposes: draws.below(2, 6) == 0,
                twice: !settled && draws.below(4, 9) == 0,
                seen: settled || draws.below(3, 20) > 0,
            },
            66..74 if !settled => Self::Unpaid,
            74..80 if !settled => Self::Alone,
            66..80 => Self::Won { exposes: false, twice: false, seen: true },
            _ => Self::Missed,
        }
    }
}

impl Money {
    /// What a winner pays for these: half to nearly all of what the bonuses leave him.
    fn of(inside: &[usize], all: &[Placed<'_>], settled: bool, draws: Chance) -> Self {
        let Some(first) = inside.first().map(|at| &all[*at]) else { return Self::default() };
        let left_usd8: u128 = inside.iter().map(|at| all[*at].bonus_usd8() - all[*at].fee_usd8()).sum();
        let paid_usd8 = left_usd8 * u128::from(draws.between(6, 5_000, 9_600)) / 10_000;
        let bid = mul_div(&[paid_usd8, WHOLE], &[first.native_usd8]);
        if settled {
            let [auctioneer, builder] = SETTLED_BPS.map(|bps| bid * bps / 10_000);
            return Self { bid, builder, auctioneer, gas: 0, recaptured: bid - auctioneer - builder };
        }
        let refund = bid * REFUND_PERCENT / 100;
        // A plain transfer of 21,000 gas at 3 to 60 gwei.
        let gas = 21_000 * u128::from(draws.between(7, 3_000_000_000, 60_000_000_000));
        match refund.checked_sub(gas) {
            Some(recaptured) => Self { bid, builder: bid - refund, auctioneer: 0, gas, recaptured },
            None => Self::default(),
        }
    }
}
