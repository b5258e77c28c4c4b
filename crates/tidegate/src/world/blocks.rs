//! What the chains of a world tell: its liquidations and rounds and the payments to the safe, in blocks, each at its place.
//!
//! Nothing of what is true and not told gets in here: not who won, not what was bid where only a refund is seen, not the
//! payment of a block that nobody looked at whole.

use std::collections::BTreeMap;

use engine::recapture::facts::{Liquidated, Path, Trigger, Value};
use engine::recapture::split::Weekly;
use engine::recapture::{Block, Happened, Place, Split};
use engine::treasury::posting::Settlement;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{HOUR_US, TimeUs};
use protocol::{Address, B256, I256};

use super::World;
use super::auctions::{Auction, Auctions, Course, Money, Round};
use super::causes::{self, Cause};
use super::chance::Chance;
use super::log::{self, Placed, Seat, block_time, usd};
use super::markets;
use super::prices::{Asset, HOURS, START};

#[cfg(test)]
mod tests;

/// How many builders there are.
const BUILDERS: u64 = 5;

/// Streams of chance below the blocks'.
const PLACES: u64 = 0;
const HASHES: u64 = 1;
const MAKERS: u64 = 2;
const CONTRACTS: u64 = 3;
const WINNERS: u64 = 4;
const GAS: u64 = 5;
const STRAYS: u64 = 6;

/// What a world's chains tell, and where each liquidation stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// By chain, in order.
    pub blocks: BTreeMap<ChainId, Vec<Block>>,
    /// The seat of each liquidation.
    pub seats: Vec<Seat>,
    /// Payments to the safe that are for no liquidation: chain, block and amount.
    pub strays: Vec<(ChainId, u64, u128)>,
    /// What the safes handed to the treasury, by chain and time.
    pub settlements: Vec<Settlement>,
}

/// A transaction of a block.
struct Transaction {
    /// Whether others' transactions stand before it.
    apart: bool,
    holds: Vec<Item>,
}

enum Item {
    /// Something told as it is.
    Told(Happened),
    /// A payment: no log.
    Paid(Happened),
    /// A liquidation.
    Call(usize),
}

/// A block that is being filled.
#[derive(Default)]
struct Draft {
    transactions: Vec<Transaction>,
    not_whole: bool,
}

/// Who takes part beside accounts and liquidators: contracts and builders.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cast(Chance);

impl Cast {
    /// Those of a world.
    pub(super) const fn of(chance: Chance) -> Self {
        Self(chance)
    }

    /// The aggregator of a feed.
    pub(crate) fn aggregator(self, chain: ChainId, feed: Asset) -> Address {
        Address::from(self.0.stream(CONTRACTS).stream(chain.0).bytes(16 + feed as u64))
    }

    /// The safe that collects.
    pub(crate) fn safe(self, chain: ChainId) -> Address {
        Address::from(self.0.stream(CONTRACTS).stream(chain.0).bytes(0))
    }

    /// The contract that controls auctions.
    fn control(self, chain: ChainId) -> Address {
        Address::from(self.0.stream(CONTRACTS).stream(chain.0).bytes(1))
    }

    /// Who gets a block's fees.
    fn builder(self, chain: ChainId, block: u64) -> Address {
        let who = self.0.stream(MAKERS).stream(chain.0).below(block, BUILDERS);
        Address::from(self.0.stream(CONTRACTS).bytes(who))
    }
}

struct Scene<'a> {
    world: &'a World,
    calls: &'a [Placed<'a>],
    cast: Cast,
    chance: Chance,
    drafts: BTreeMap<(ChainId, u64), Draft>,
    winners: BTreeMap<usize, Address>,
    strays: Vec<(ChainId, u64, u128)>,
    /// What came to the safe of each chain, by the beginning of its week in seconds since 1970: the protocol's part of each payment.
    accrued: BTreeMap<(ChainId, i64), u128>,
}

/// Lays everything into blocks.
pub(super) fn lay(world: &World, calls: &[Placed<'_>], auctions: &Auctions, chance: Chance) -> Told {
    let mut scene = Scene {
        world,
        calls,
        cast: Cast::of(chance),
        chance,
        drafts: BTreeMap::new(),
        winners: BTreeMap::new(),
        strays: Vec::new(),
        accrued: BTreeMap::new(),
    };
    scene.set_cutoffs(auctions);
    for auction in &auctions.held {
        scene.auction(auction);
    }
    scene.strays(auctions);
    let in_auctions = auctions.held.iter().flat_map(|auction| auction.inside.iter().chain(&auction.outside));
    let mut is_laid = vec![false; calls.len()];
    in_auctions.for_each(|at| is_laid[*at] = true);
    for (at, call) in calls.iter().enumerate().filter(|(at, _)| !is_laid[*at]) {
        scene.add(call.market.chain, auctions.blocks[at], true, vec![Item::Call(at)]);
    }
    scene.finish()
}

impl Scene<'_> {
    fn add(&mut self, chain: ChainId, block: u64, apart: bool, holds: Vec<Item>) {
        self.drafts.entry((chain, block)).or_default().transactions.push(Transaction { apart, holds });
    }

    /// Each aggregator says in its first block how long readers wait for public rounds.
    fn set_cutoffs(&mut self, auctions: &Auctions) {
        let feeds: std::collections::BTreeSet<(ChainId, Asset)> =
            auctions.held.iter().map(|auction| (auction.round.chain, auction.round.feed)).collect();
        for (chain, feed) in feeds {
            let seconds = causes::cutoff_seconds(chain);
            let set = Happened::CutoffSet { aggregator: self.cast.aggregator(chain, feed), seconds };
            self.add(chain, markets::clock(chain).0, true, vec![Item::Told(set)]);
        }
    }

    fn round(&self, round: Round, block: u64, path: Path) -> Item {
        let observed_at = u32::try_from(block_time(round.chain, block).0 / 1_000_000 - 3).unwrap_or(0);
        Item::Told(Happened::Round {
            aggregator: self.cast.aggregator(round.chain, round.feed),
            round: round_number(round.hour),
            answer: I256::unchecked_from(self.world.prices.usd8(round.feed, round.hour)),
            observed_at,
            path,
        })
    }

    fn auction(&mut self, auction: &Auction) {
        let Auction { round, block, .. } = *auction;
        let aggregator = self.cast.aggregator(round.chain, round.feed);
        let exposes = matches!(auction.course, Course::Won { exposes: true, .. });
        let update = match auction.course {
            Course::Missed => self.round(round, block, Path::Primary),
            Course::Won { .. } if exposes => {
                let public = self.round(round, block - 1, Path::Primary);
                self.add(round.chain, block - 1, true, vec![public]);
                Item::Told(Happened::Exposed { aggregator, round: round_number(round.hour) })
            }
            Course::Won { .. } | Course::Unpaid | Course::Alone => self.round(round, block, Path::Secondary),
        };
        self.crown(auction);
        self.accrue(round.chain, block, auction.money.recaptured);
        if causes::is_settled_on_chain(round.chain) && !auction.inside.is_empty() {
            self.settle(auction, update);
        } else {
            self.add(round.chain, block, true, vec![update]);
            for at in &auction.inside {
                self.add(round.chain, block, false, vec![Item::Call(*at)]);
            }
            self.refund(auction);
            if let Some(at) = auction.outside {
                self.add(round.chain, block, true, vec![Item::Call(at)]);
            }
        }
        // The public report of the same round comes a block later and only ends the hiding.
        if auction.course != Course::Missed && !exposes {
            let repeated = Happened::Repeated { aggregator, path: Path::Primary };
            self.add(round.chain, block + 1, true, vec![Item::Told(repeated)]);
        }
    }

    /// One winner takes all of a bundle.
    fn crown(&mut self, auction: &Auction) {
        let Round { chain, feed, hour } = auction.round;
        let choice = self.chance.stream(WINNERS).stream(chain.0).stream(feed as u64).stream(hour as u64);
        let Some(first) = auction.inside.first() else { return };
        // Winners are the same people who take everything else.
        let people = Chance::new(self.world.seed).stream(super::LOG);
        let winner = log::liquidator(choice, self.calls[*first].place[0], people);
        self.winners.extend(auction.inside.iter().map(|at| (*at, winner)));
    }

    /// One transaction: the round, the liquidations, sometimes a solver that failed, and where the bid went.
    fn settle(&mut self, auction: &Auction, update: Item) {
        let Auction { round: Round { chain, hour, .. }, block, money, .. } = *auction;
        let solver = self.winners.get(&auction.inside[0]).copied().unwrap_or_default();
        let solved = |bid_wei, succeeded| Item::Told(Happened::Solved { solver, bid_wei, succeeded });
        let mut holds = vec![update];
        if hour.is_multiple_of(3) {
            holds.push(solved(money.bid * 2, false));
        }
        holds.extend(auction.inside.iter().map(|at| Item::Call(*at)));
        holds.push(solved(money.bid, true));
        holds.push(Item::Told(Happened::Allocated {
            control: self.cast.control(chain),
            bid_wei: money.bid,
            auctioneer_wei: money.auctioneer,
            builder_wei: money.builder,
            protocol_wei: money.recaptured,
        }));
        self.add(chain, block, true, holds);
    }

    /// The builder pays the safe, if he was paid himself, right behind the bundle.
    fn refund(&mut self, auction: &Auction) {
        let (Course::Won { twice, seen, .. }, Round { chain, .. }) = (auction.course, auction.round) else { return };
        let Auction { block, money: Money { recaptured, .. }, .. } = *auction;
        if !seen {
            self.drafts.entry((chain, block)).or_default().not_whole = true;
            return;
        }
        let first = if twice { recaptured / 3 } else { recaptured };
        for wei in [first, recaptured - first].into_iter().filter(|wei| *wei > 0) {
            self.pay(chain, block, self.cast.builder(chain, block), wei);
        }
    }

    fn pay(&mut self, chain: ChainId, block: u64, from: Address, wei: u128) {
        let payment = Happened::Payment { safe: self.cast.safe(chain), from, wei };
        self.add(chain, block, false, vec![Item::Paid(payment)]);
    }

    /// A safe knows all that comes to it, whoever looks at it, and owes the protocol its part.
    fn accrue(&mut self, chain: ChainId, block: u64, wei: u128) {
        let time = u64::try_from(block_time(chain, block).0 / 1_000_000).unwrap_or(0);
        *self.accrued.entry((chain, Weekly::TUESDAYS.week_of(time))).or_default() += Split::AAVE.of(wei).protocol;
    }

    /// On the Tuesday that ends a week, what accrued in it is handed on; what has no Tuesday any more is not.
    fn settlements(&self) -> Vec<Settlement> {
        let mut settlements = Vec::new();
        for ((chain, week), wei) in self.accrued.iter().filter(|(_, wei)| **wei > 0) {
            let time = TimeUs((week + 7 * 86_400) * 1_000_000);
            let hour = usize::try_from((time.0 - START.0) / HOUR_US).unwrap_or(0);
            if hour >= HOURS {
                continue;
            }
            let hashes = self.chance.stream(HASHES).stream(chain.0).stream(u64::MAX);
            settlements.push(Settlement {
                network: *chain,
                transaction: B256::from(hashes.bytes(hour as u64)),
                log_index: None,
                time,
                wei: *wei,
                native_usd: Some(usd(self.world.prices.usd8(log::native(*chain), hour).into())),
            });
        }
        settlements
    }

    /// Payments that have nothing to do with the markets: for another protocol's liquidation behind a round, and a gift. They come
    /// in hours without an auction, so that they meet none.
    fn strays(&mut self, auctions: &Auctions) {
        let chain = ChainId::ETHEREUM;
        let draws = self.chance.stream(STRAYS);
        let (first_block, block_ms) = markets::clock(chain);
        for stray in 0..24_u64 {
            let hour = usize::try_from(draws.between(stray, 24, HOURS as u64)).unwrap_or(24);
            let round = Round { chain, feed: Asset::Ether, hour };
            let is_near = |auction: &Auction| auction.round.chain == chain && auction.round.hour.abs_diff(hour) < 2;
            let block = first_block + (hour as u64 * 3_600_000 + 600_000) / block_ms;
            if auctions.held.iter().any(is_near) || self.drafts.contains_key(&(chain, block)) {
                continue;
            }
            let wei = u128::from(draws.between(100 + stray, 1_000_000_000_000_000, 90_000_000_000_000_000));
            let from = if stray.is_multiple_of(3) {
                Address::from(draws.bytes(200 + stray))
            } else {
                let update = self.round(round, block, Path::Secondary);
                self.add(chain, block, true, vec![update]);
                self.cast.builder(chain, block)
            };
            self.pay(chain, block, from, wei);
            self.accrue(chain, block, wei);
            self.strays.push((chain, block, wei));
        }
    }

    fn finish(self) -> Told {
        let nowhere = Seat { block: 0, place: place(0, None, B256::ZERO), liquidator: Address::ZERO };
        let mut told = Told { seats: vec![nowhere; self.calls.len()], strays: self.strays.clone(), ..Told::default() };
        told.strays.sort_unstable();
        told.settlements = self.settlements();
        for ((chain, number), draft) in &self.drafts {
            let block = self.block(*chain, *number, draft, &mut told.seats);
            told.blocks.entry(*chain).or_default().push(block);
        }
        told
    }

    fn block(&self, chain: ChainId, number: u64, draft: &Draft, seats: &mut [Seat]) -> Block {
        let draws = self.chance.stream(PLACES).stream(chain.0).stream(number);
        let hashes = self.chance.stream(HASHES).stream(chain.0).stream(number);
        let mut index = u32::try_from(draws.between(0, 1, 60)).unwrap_or(1);
        // The first log of a block comes after other people's; a liquidation writes about a dozen.
        let mut log_index = draws.between(1, 3, 240);
        let mut happened = Vec::new();
        for (at, transaction) in (0_u64..).zip(&draft.transactions) {
            index += if transaction.apart && at > 0 { 4 } else { 1 };
            let hash = B256::from(hashes.bytes(at));
            for item in &transaction.holds {
                let (log, what) = match item {
                    Item::Told(what) => (Some(log_index), what.clone()),
                    Item::Paid(what) => (None, what.clone()),
                    Item::Call(call) => {
                        let own = place(index, Some(log_index), hash);
                        let liquidator = self.winners.get(call).copied().unwrap_or(self.calls[*call].liquidator);
                        seats[*call] = Seat { block: number, place: own, liquidator };
                        (Some(log_index), self.liquidated(*call, liquidator, index.into()))
                    }
                };
                happened.push((place(index, log, hash), what));
                log_index += 13;
            }
        }
        let hour =
            usize::try_from((number - markets::clock(chain).0) * markets::clock(chain).1 / 3_600_000).unwrap_or(0);
        let native = self.world.prices.usd8(log::native(chain), hour.min(HOURS - 1));
        Block {
            chain,
            number,
            time: u64::try_from(block_time(chain, number).0 / 1_000_000).unwrap_or(0),
            fee_recipient: self.cast.builder(chain, number),
            native_usd: Some(usd(native.into())),
            is_whole: !draft.not_whole,
            happened,
        }
    }

    fn liquidated(&self, at: usize, liquidator: Address, draw: u64) -> Happened {
        let call = &self.calls[at];
        let chain = call.market.chain;
        let (collateral, debt) = call.reserves();
        let trigger = match (call.round(), call.cause) {
            (Some(Round { feed, hour, .. }), _) => {
                Trigger::Round { aggregator: self.cast.aggregator(chain, feed), round: round_number(hour) }
            }
            (None, Cause::Price { feed, .. }) => Trigger::OtherFeed(self.cast.aggregator(chain, feed)),
            (None, Cause::Interest) => Trigger::NoPrice,
        };
        // 400,000 to 600,000 gas; at 3 to 60 gwei on Ethereum, and a hundredth of it elsewhere.
        let draws = call.place.into_iter().fold(self.chance.stream(GAS), Chance::stream);
        let scale = if chain == ChainId::ETHEREUM { 1 } else { 100 };
        let price = draws.between(draw, 3_000_000_000, 60_000_000_000) / scale;
        let gas_wei = u128::from(draws.between(draw + 1, 400_000, 600_000)) * u128::from(price);
        let (seized, repaid) = (usd(call.seized_usd8()), usd(call.repaid_usd8()));
        Happened::Liquidated(Box::new(Liquidated {
            market: call.market.name.to_string(),
            user: call.account.user,
            liquidator,
            collateral: collateral.token.address.unwrap_or_default(),
            debt: debt.token.address.unwrap_or_default(),
            trigger,
            value: Some(Value {
                collateral: seized,
                debt: repaid,
                bonus: protocol::amount::Usd8(seized.0 - repaid.0),
                protocol_fee: usd(call.fee_usd8()),
                standing: Standing::Assumed,
            }),
            gas_wei: Some(gas_wei),
        }))
    }
}

/// The round of an hour: the first of a world is round 1.
fn round_number(hour: usize) -> u32 {
    u32::try_from(hour + 1).unwrap_or(u32::MAX)
}

const fn place(transaction_index: u32, log_index: Option<u64>, transaction: B256) -> Place {
    Place { transaction_index, log_index, transaction }
}
