//! Scenes on real Aave that an indexer must tell apart: each plays on a laboratory on a node and says what truly happened.
//!
//! A scene leaves prices where it found them, so any number of them can follow one another on one chain.

use alloy_primitives::{Address, B256, Log, U256, b256};
use anyhow::{Context as _, Result, anyhow, bail};
use engine::recapture::Route;

use super::house::{Aim, BUILDER, House, Update};
use super::lab::{ETHER, Lab, OTHER, SLOT, USD};
use super::oracle::{Oracle, SECONDARY};
use super::report::{Transmission, Way};
use crate::abi::{self, word, word_at, words};
use crate::action::Action;
use crate::anvil::{Receipt, Transaction};

/// `LiquidationCall`.
pub const LIQUIDATION_CALL: B256 = b256!("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286");

/// `OevAllocated`.
pub const OEV_ALLOCATED: B256 = b256!("6f09ec4f559f967c22b0ac66d9e49c4b99be9c757bfffe993ac089f4f2a84e04");

/// The price of [`ETHER`] at which people here can be liquidated, in 10^-8 dollars.
pub const FALLEN: i128 = 1_700 * USD;

/// What a searcher bids, in wei.
pub const BID: u64 = 250_000_000_000_000_003;

/// What a searcher repays, in whole dollars.
const REPAID: u64 = 5_000;

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A round through the auction, the liquidation and the builder's payment to the safe, in one block.
    Won,
    /// A public round, and a liquidation once the cutoff is over.
    Fallback,
    /// As [`Kind::Won`], but the builder keeps everything.
    Kept,
    /// A feed without an auction moves.
    OtherFeed,
    /// Interest alone.
    Interest,
    /// As [`Kind::Won`], then the block is replaced by one in which the builder keeps everything.
    Reorganised,
    /// Everything in one transaction of the settlement's.
    Settled,
    /// Two liquidations in the searcher's transaction, one payment.
    TwoForOne,
    /// A round through the auction and a payment, but no liquidation.
    NothingTaken,
    /// The payment comes a block later.
    PaidLate,
    /// A round through the auction lands alone; the liquidation comes blocks later.
    Landed,
    /// Somebody outside the bundle liquidates in the auction's block, after the payment for another.
    Leaked,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Won,
        Self::Fallback,
        Self::Kept,
        Self::OtherFeed,
        Self::Interest,
        Self::Reorganised,
        Self::Settled,
        Self::TwoForOne,
        Self::NothingTaken,
        Self::PaidLate,
        Self::Landed,
        Self::Leaked,
    ];
}

/// Where on the chain something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The block.
    pub block: u64,
    /// The block's time in seconds.
    pub time: u64,
    /// The transaction's place in the block.
    pub index: usize,
    /// The transaction.
    pub transaction: B256,
}

/// A round that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Where.
    pub at: At,
    /// The aggregator.
    pub aggregator: Address,
    /// The round.
    pub round: u32,
    /// Its answer, in 10^-8 dollars.
    pub answer: i128,
    /// By which way.
    pub way: Way,
}

/// A liquidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where.
    pub at: At,
    /// Whose position it was.
    pub user: Address,
    /// Who took it.
    pub liquidator: Address,
    /// What was seized.
    pub collateral: Address,
    /// What was repaid.
    pub debt: Address,
    /// How much the liquidator got, which is without the protocol's fee, in the token's smallest unit.
    pub seized: U256,
    /// How much was repaid, in the token's smallest unit.
    pub repaid: U256,
    /// How it came about.
    pub route: Route,
}

/// What a searcher paid the builder out of its contract, in wei: no log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bid {
    /// Where.
    pub at: At,
    /// How much.
    pub wei: U256,
}

/// What came to the safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Where.
    pub at: At,
    /// Who paid.
    pub from: Address,
    /// How much, in wei.
    pub wei: U256,
}

/// How a settlement split a bid, in wei.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// Where.
    pub at: At,
    /// The bid.
    pub bid: U256,
    /// What of it went to whoever ran the auction.
    pub auctioneer: U256,
    /// To the builder.
    pub builder: U256,
    /// To the safe.
    pub protocol: U256,
}

/// What truly happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// What was played.
    pub kind: Kind,
    /// The rounds that moved a price against somebody, in order.
    pub rounds: Vec<Round>,
    /// In order.
    pub liquidations: Vec<Taken>,
    /// In order.
    pub bids: Vec<Bid>,
    /// In order, those that a settlement made included.
    pub payments: Vec<Payment>,
    /// In order.
    pub allocations: Vec<Allocation>,
    /// What stood in a block that is not part of the chain any more.
    pub removed: Vec<Payment>,
}

/// What a transaction of a scene is, beside what its logs say.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// Brings a round of the first oracle by a way.
    Round(Way, i128),
    /// Liquidates by a route and pays the builder so many wei.
    Take(Route, U256),
    /// Pays the safe so many wei.
    Pay(U256),
    /// Settles an auction of a round.
    Settle(i128),
}

type Step = (Role, Transaction);

impl Truth {
    fn of(kind: Kind) -> Self {
        Self {
            kind,
            rounds: Vec::new(),
            liquidations: Vec::new(),
            bids: Vec::new(),
            payments: Vec::new(),
            allocations: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// Everything that came to the safe, in wei.
    pub fn received(&self) -> U256 {
        self.payments.iter().fold(U256::ZERO, |sum, payment| sum + payment.wei)
    }
}

/// Plays a scene.
pub fn play(lab: &mut Lab, kind: Kind) -> Result<Truth> {
    let mut truth = Truth::of(kind);
    match kind {
        Kind::Won => won(lab, &mut truth, 1, refund(BID))?,
        Kind::Kept => won(lab, &mut truth, 1, U256::ZERO)?,
        Kind::TwoForOne => won(lab, &mut truth, 2, refund(BID))?,
        Kind::Fallback => fallback(lab, &mut truth)?,
        Kind::OtherFeed => other_feed(lab, &mut truth)?,
        Kind::Interest => interest(lab, &mut truth)?,
        Kind::Reorganised => reorganised(lab, &mut truth)?,
        Kind::Settled => settled(lab, &mut truth)?,
        Kind::NothingTaken => nothing_taken(lab, &mut truth)?,
        Kind::PaidLate => paid_late(lab, &mut truth)?,
        Kind::Landed => landed(lab, &mut truth)?,
        Kind::Leaked => leaked(lab, &mut truth)?,
    }
    lab.market.evm.warp(SLOT);
    lab.restore(if kind == Kind::OtherFeed { OTHER } else { ETHER })?;
    Ok(truth)
}

/// What the builder hands on of a bid: 90 %, rounded down, in wei.
pub fn refund(bid: u64) -> U256 {
    U256::from(bid) * U256::from(90) / U256::from(100)
}

fn won(lab: &mut Lab, truth: &mut Truth, count: usize, refund: U256) -> Result<()> {
    let users: Vec<Address> = (0..count).map(|_| lab.borrower(ETHER, 1_000, 15_000)).collect::<Result<_>>()?;
    let round = lab.next_round(FALLEN)?;
    let mut steps = vec![lab.bring(&round, Way::Secondary), lab.take(ETHER, &users, taken(refund), U256::from(BID))];
    if !refund.is_zero() {
        steps.push(lab.pay(refund));
    }
    truth.block(lab, &steps)
}

fn taken(refund: U256) -> Route {
    if refund.is_zero() { Route::Unpaid } else { Route::Paid }
}

fn fallback(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_000)?;
    let round = lab.next_round(FALLEN)?;
    truth.block(lab, &[lab.bring(&round, Way::Primary)])?;
    while lab.health(user)? > wad() {
        lab.market.evm.warp(SLOT);
    }
    truth.block(lab, &[lab.take(ETHER, &[user], Route::Fallback, U256::ZERO)])
}

fn other_feed(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(OTHER, 100, 22_000)?;
    lab.act(&Action::Price { reserve: OTHER, price: U256::from((25_000 * USD).unsigned_abs()) })?;
    lab.market.evm.warp(SLOT);
    truth.block(lab, &[lab.take(OTHER, &[user], Route::OtherFeed, U256::ZERO)])
}

fn interest(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_900)?;
    while lab.health(user)? >= wad() {
        lab.market.evm.warp(7 * 24 * 60 * 60);
    }
    truth.block(lab, &[lab.take(ETHER, &[user], Route::NoPrice, U256::ZERO)])
}

fn reorganised(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_000)?;
    let round = lab.next_round(FALLEN)?;
    let before = lab.node()?.snapshot()?;
    let take = |route| lab.take(ETHER, &[user], route, U256::from(BID));
    let paid = [lab.bring(&round, Way::Secondary), take(Route::Paid), lab.pay(refund(BID))];
    let kept = [lab.bring(&round, Way::Secondary), take(Route::Unpaid)];
    let mut gone = Truth::of(Kind::Won);
    gone.block(lab, &paid)?;
    lab.node()?.revert(before)?;
    truth.removed = gone.payments;
    truth.block(lab, &kept)
}

fn settled(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_000)?;
    let round = lab.next_round(FALLEN)?;
    let oracle = &lab.oracles[ETHER];
    let update = Update { forwarder: oracle.forwarder, call: round.forward(Way::Secondary, oracle.aggregator) };
    let aim = lab.aim(ETHER, user, REPAID);
    let house = lab.house.clone();
    let operation = house.operation(&mut lab.market.evm, &update, &[aim], U256::from(BID))?;
    let settle = Transaction::call(SECONDARY, house.settlement, update.settle(&[operation]));
    truth.block(lab, &[(Role::Settle(FALLEN), settle)])
}

fn nothing_taken(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let round = lab.next_round(FALLEN)?;
    truth.block(lab, &[lab.bring(&round, Way::Secondary), lab.pay(refund(BID))])
}

fn paid_late(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_000)?;
    let round = lab.next_round(FALLEN)?;
    let take = lab.take(ETHER, &[user], Route::Unpaid, U256::from(BID));
    truth.block(lab, &[lab.bring(&round, Way::Secondary), take])?;
    lab.market.evm.warp(SLOT);
    truth.block(lab, &[lab.pay(refund(BID))])
}

fn landed(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let user = lab.borrower(ETHER, 1_000, 15_000)?;
    let round = lab.next_round(FALLEN)?;
    truth.block(lab, &[lab.bring(&round, Way::Secondary)])?;
    lab.market.evm.warp(3 * SLOT);
    truth.block(lab, &[lab.take(ETHER, &[user], Route::Landed, U256::ZERO)])
}

fn leaked(lab: &mut Lab, truth: &mut Truth) -> Result<()> {
    let [first, second] = [lab.borrower(ETHER, 1_000, 15_000)?, lab.borrower(ETHER, 1_000, 15_000)?];
    let round = lab.next_round(FALLEN)?;
    let stranger = lab.market.users[0];
    let Aim { pool, collateral, debt, user, amount } = lab.aim(ETHER, second, REPAID);
    let arguments = [word(collateral), word(debt), word(user), amount, U256::ZERO];
    let call = words("liquidationCall(address,address,address,uint256,bool)", &arguments);
    let outside = Transaction::call(stranger, pool, call);
    let steps = [
        lab.bring(&round, Way::Secondary),
        lab.take(ETHER, &[first], Route::Paid, U256::from(BID)),
        lab.pay(refund(BID)),
        (Role::Take(Route::Leaked, U256::ZERO), outside),
    ];
    truth.block(lab, &steps)
}

fn wad() -> U256 {
    U256::from(10).pow(U256::from(18))
}

impl Lab {
    /// The next report of [`ETHER`]'s price.
    fn next_round(&mut self, answer: i128) -> Result<Transmission> {
        let now = self.market.evm.now();
        self.oracles[ETHER].next(now, answer)
    }

    fn bring(&self, round: &Transmission, way: Way) -> Step {
        (Role::Round(way, FALLEN), self.oracles[ETHER].transaction(round, way))
    }

    /// The searcher's transaction.
    fn take(&self, reserve: usize, users: &[Address], route: Route, to_builder: U256) -> Step {
        let aims: Vec<Aim> = users.iter().map(|user| self.aim(reserve, *user, REPAID)).collect();
        let data = House::liquidate_and_pay(&aims, to_builder);
        (Role::Take(route, to_builder), Transaction::call(self.house.key.address, self.house.searcher, data))
    }

    /// The builder's payment.
    fn pay(&self, wei: U256) -> Step {
        (Role::Pay(wei), Transaction::payment(BUILDER, self.house.safe, wei))
    }
}

impl Truth {
    /// Puts transactions into one block, all of which must succeed, and writes down what happened.
    fn block(&mut self, lab: &mut Lab, steps: &[Step]) -> Result<()> {
        let time = lab.market.evm.now();
        let safe = lab.house.safe;
        let before = lab.market.evm.balance(safe)?;
        let received = self.received();
        let transactions: Vec<Transaction> = steps.iter().map(|(_, transaction)| transaction.clone()).collect();
        let receipts = lab.node()?.block(&transactions)?;
        let block = lab.node()?.latest()?;
        for (index, (receipt, (role, _))) in receipts.into_iter().zip(steps).enumerate() {
            let receipt = receipt.map_err(|reason| anyhow!("{:?}, transaction {index}: {reason:?}", self.kind))?;
            let at = At { block, time, index, transaction: receipt.hash };
            self.note(*role, at, &receipt, &lab.oracles[ETHER])?;
        }
        // What is written down is what the safe has.
        let balance = lab.market.evm.balance(safe)?;
        if balance.checked_sub(before) != self.received().checked_sub(received) {
            bail!("{:?}: the safe went from {before} to {balance} wei", self.kind);
        }
        Ok(())
    }

    fn note(&mut self, role: Role, at: At, receipt: &Receipt, oracle: &Oracle) -> Result<()> {
        let aggregator = oracle.aggregator;
        let round =
            |way, answer| -> Result<Round> { Ok(Round { at, aggregator, round: new_round(receipt)?, answer, way }) };
        match role {
            Role::Round(way, answer) => self.rounds.push(round(way, answer)?),
            Role::Take(route, wei) => {
                self.note_liquidations(at, receipt, route)?;
                if !wei.is_zero() {
                    self.bids.push(Bid { at, wei });
                }
            }
            Role::Pay(wei) => self.payments.push(Payment { at, from: BUILDER, wei }),
            Role::Settle(answer) => {
                self.rounds.push(round(Way::Secondary, answer)?);
                self.note_liquidations(at, receipt, Route::Paid)?;
                let log = find(receipt, OEV_ALLOCATED).next().context("a settlement without an allocation")?;
                let [bid, auctioneer, builder, protocol] = [0, 1, 2, 3].map(|index| word_at(&log.data.data, index));
                self.allocations.push(Allocation { at, bid, auctioneer, builder, protocol });
                self.payments.push(Payment { at, from: log.address, wei: protocol });
            }
        }
        Ok(())
    }

    fn note_liquidations(&mut self, at: At, receipt: &Receipt, route: Route) -> Result<()> {
        for log in find(receipt, LIQUIDATION_CALL) {
            let [collateral, debt, user] = [1, 2, 3].map(|index| Address::from_word(log.topics()[index]));
            let [repaid, seized, liquidator] = [0, 1, 2].map(|index| word_at(&log.data.data, index));
            let liquidator = abi::address(liquidator);
            self.liquidations.push(Taken { at, user, liquidator, collateral, debt, seized, repaid, route });
        }
        if self.liquidations.is_empty() { bail!("{:?}: nobody was liquidated", self.kind) } else { Ok(()) }
    }
}

/// The number of the round that a transaction made.
fn new_round(receipt: &Receipt) -> Result<u32> {
    const ANSWER_UPDATED: B256 = b256!("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f");
    let log = find(receipt, ANSWER_UPDATED).next().context("a transmission without a new round")?;
    u32::try_from(U256::from_be_bytes(log.topics()[2].0)).context("a round beyond 32 bits")
}

fn find(receipt: &Receipt, topic: B256) -> impl Iterator<Item = &Log> {
    receipt.logs.iter().filter(move |log| log.topics().first() == Some(&topic))
}
