//! The settlement on real Aave, in memory: the first solver that keeps its word wins, all others leave nothing behind, and every
//! wei of the bid is somebody's.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use differential::abi::{self, Errors, Value, word, word_at};
use differential::backend::Backend;
use differential::chance::Chance;
use differential::deploy::BEGIN;
use differential::evm::{ADMIN, Evm, Reverted, Success};
use differential::svr::house::{AUCTIONEER, BUILDER, House, Operation, SPLIT_BPS, Update};
use differential::svr::key::Key;
use differential::svr::lab::{DOLLAR, ETHER, Lab, SLOT, dollar};
use differential::svr::oracle::{PRIMARY, Reader, SECONDARY, Settings, ask, deploy};
use differential::svr::report::{Transmission, Way, forward};
use differential::svr::scene::FALLEN;

use super::caller;
use crate::contracts;

/// An auction for one person's position, ready to be settled.
struct Auction {
    lab: Lab,
    errors: Errors,
    user: Address,
    report: Transmission,
    update: Update,
}

impl Auction {
    fn new() -> Option<Self> {
        let artifacts = contracts()?;
        let lab = Lab::deploy(Backend::from(Evm::new(BEGIN)), &artifacts, Settings::default()).unwrap();
        let mut errors = abi::errors(&artifacts.own_errors);
        errors.extend(abi::errors(&artifacts.errors));
        let report = Transmission { context: [B256::ZERO; 3], report: Vec::new(), signatures: Vec::new() };
        let update = Update { forwarder: Address::ZERO, call: Bytes::new() };
        let mut auction = Self { lab, errors, user: Address::ZERO, report, update };
        auction.open();
        Some(auction)
    }

    /// Somebody new who can be liquidated once a new report is in.
    fn open(&mut self) {
        self.lab.restore(ETHER).unwrap();
        self.user = self.lab.borrower(ETHER, 1_000, 15_000).unwrap();
        let now = self.lab.market.evm.now();
        self.report = self.lab.oracles[ETHER].next(now, FALLEN).unwrap();
        let oracle = &self.lab.oracles[ETHER];
        let call = self.report.forward(Way::Secondary, oracle.aggregator);
        self.update = Update { forwarder: oracle.forwarder, call };
    }

    /// The searcher's operation, which bids the first amount and pays the second, in wei.
    fn operation(&mut self, bid: u64, pays: u64) -> Operation {
        let aim = self.lab.aim(ETHER, self.user, 5_000);
        let house = self.lab.house.clone();
        let amounts = [bid, pays].map(U256::from);
        house.operation_paying(&mut self.lab.market.evm, &self.update, &[aim], amounts).unwrap()
    }

    /// The operation of somebody else's contract, which has this code.
    fn other(&mut self, number: u64, bid: u64, code: Bytes) -> Operation {
        let key = Key::new(number).unwrap();
        let solver = Address::repeat_byte(0x55).create(number);
        self.lab.market.evm.place(solver, code).unwrap();
        let operation = Operation {
            from: key.address,
            solver,
            bid: U256::from(bid),
            gas_limit: 1_000_000,
            deadline: u64::MAX,
            update_hash: self.update.hash(),
            data: Vec::new(),
            signature: Vec::new(),
        };
        self.signed(operation, &key)
    }

    fn signed(&mut self, mut operation: Operation, key: &Key) -> Operation {
        operation.sign(&mut self.lab.market.evm, self.lab.house.settlement, key).unwrap();
        operation
    }

    fn named(&self, result: Result<Success, Reverted>) -> Result<Success, String> {
        result.map_err(|Reverted(reason)| abi::reason(&reason, &self.errors))
    }

    fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Success, String> {
        let result = self.lab.market.evm.call(from, to, data).unwrap();
        self.named(result)
    }

    fn settle(&mut self, operations: &[Operation]) -> Result<Success, String> {
        let call = self.update.settle(operations);
        self.call(SECONDARY, self.lab.house.settlement, call)
    }

    fn balances(&mut self) -> [U256; 5] {
        let house = &self.lab.house;
        [AUCTIONEER, BUILDER, house.safe, house.searcher, house.settlement]
            .map(|of| self.lab.market.evm.balance(of).unwrap())
    }

    fn debt(&mut self) -> U256 {
        self.lab.market.account_data(self.user).unwrap().unwrap()[1]
    }

    /// The round that Aave's prices come from.
    fn round(&mut self) -> u32 {
        let oracle = self.lab.oracles[ETHER].clone();
        oracle.seen(&mut self.lab.market.evm, Reader::Svr).unwrap().round
    }
}

/// What became of each operation: executed, succeeded, why not.
fn results(success: &Success) -> Vec<(bool, bool, u64)> {
    let topic = keccak256("SolverTxResult(address,address,address,address,uint256,bool,bool,uint256)");
    let told = success.logs.iter().filter(|log| log.topics()[0] == topic);
    let flag = |log: &alloy_primitives::Log, index| word_at(&log.data.data, index);
    told.map(|log| (!flag(log, 2).is_zero(), !flag(log, 3).is_zero(), flag(log, 4).to::<u64>())).collect()
}

const WON: (bool, bool, u64) = (true, true, 0);
const REVERTED: (bool, bool, u64) = (true, false, 1 << 17);
const NOT_PAID: (bool, bool, u64) = (true, false, 1 << 19);

#[test]
fn the_winner_pays_and_every_wei_is_somebodys() {
    let Some(mut auction) = Auction::new() else { return };
    let mut chance = Chance::new(1, 60);
    for index in 0..15 {
        let bid = if index < 4 { index } else { chance.magnitude(1, 18).to::<u64>() };
        let operation = auction.operation(bid, bid);
        let (before, debt) = (auction.balances(), auction.debt());
        let success = auction.settle(&[operation]).unwrap();
        assert_eq!(results(&success), [WON]);
        let after = auction.balances();
        let share = |bps| U256::from(bid) * U256::from(bps) / U256::from(10_000);
        let [auctioneer, builder] = SPLIT_BPS.map(share);
        let protocol = U256::from(bid) - auctioneer - builder;
        assert_eq!([0, 1, 2].map(|index| after[index] - before[index]), [auctioneer, builder, protocol]);
        assert_eq!(before[3] - after[3], U256::from(bid));
        assert_eq!(after[4], U256::ZERO);
        assert!(auction.debt() < debt);
        let allocated = keccak256("OevAllocated(address,address,address,uint256,uint256,uint256,uint256)");
        let log = success.logs.iter().find(|log| log.topics()[0] == allocated).unwrap();
        let told: Vec<U256> = (0..4).map(|index| word_at(&log.data.data, index)).collect();
        assert_eq!(told, [U256::from(bid), auctioneer, builder, protocol]);
        assert_eq!(log.topics()[1..], [AUCTIONEER, BUILDER, auction.lab.house.safe].map(|to| to.into_word()));
        let last = success.logs.last().unwrap();
        let metacall = keccak256("MetacallResult(address,address,bool,uint256,uint256)");
        let forwarder = auction.update.forwarder;
        assert_eq!(last.topics(), [metacall, SECONDARY.into_word(), forwarder.into_word()]);
        auction.lab.market.evm.warp(SLOT);
        auction.open();
    }
}

/// A high bid that is not paid, paid in part or more than in full, or whose contract fails, costs the others nothing.
#[test]
fn who_breaks_its_word_loses_to_the_next() {
    let Some(mut auction) = Auction::new() else { return };
    let endless = Bytes::from_static(&[0x5b, 0x5f, 0x56]);
    let reverting = Bytes::from_static(&[0x5f, 0x5f, 0xfd]);
    let idle = Bytes::from_static(&[0x00]);
    let winner = auction.operation(1_000, 1_000);
    let operations = [
        auction.other(2_001, 9_000, endless),
        auction.other(2_002, 8_000, reverting),
        auction.other(2_003, 7_000, idle),
        winner,
        auction.other(2_004, 500, Bytes::from_static(&[0x00])),
    ];
    let before = auction.balances();
    let success = auction.settle(&operations).unwrap();
    // Whoever comes after the winner is not even asked.
    assert_eq!(results(&success), [REVERTED, REVERTED, NOT_PAID, WON]);
    assert_eq!(before[3] - auction.balances()[3], U256::from(1_000));

    for pays in [0, 1, 999, 1_001] {
        auction.lab.market.evm.warp(SLOT);
        auction.open();
        let (before, debt, round) = (auction.balances(), auction.debt(), auction.round());
        let spoof = auction.operation(1_000, pays);
        let honest = auction.other(2_005 + pays, 0, Bytes::from_static(&[0x00]));
        let success = auction.settle(&[spoof.clone(), honest]).unwrap();
        assert_eq!(results(&success), [NOT_PAID, WON], "{pays} paid");
        // What the searcher did is undone: nobody liquidated, nobody paid. The update stays, since somebody won.
        assert_eq!(auction.balances(), before);
        assert_eq!(auction.debt(), debt);
        assert_eq!(auction.round(), round + 1);
    }
}

/// Without a winner the update is undone too, solvers keep what they signed for another try, and secondary readers follow the
/// public round once the cutoff is over.
#[test]
fn without_a_winner_nothing_happened() {
    let Some(mut auction) = Auction::new() else { return };
    let round = auction.round();
    let before = auction.balances();
    let spoof = auction.operation(1_000, 0);
    assert_eq!(auction.settle(&[]).unwrap_err(), "UserNotFulfilled");
    assert_eq!(auction.settle(std::slice::from_ref(&spoof)).unwrap_err(), "UserNotFulfilled");
    assert_eq!((auction.round(), auction.balances()), (round, before));
    // The same operation, and the same update, are still good.
    let honest = auction.operation(1_000, 1_000);
    let report = auction.report.clone();
    let oracle = auction.lab.oracles[ETHER].clone();
    let chain = &mut auction.lab.market.evm;
    oracle.bring(chain, &report, Way::Primary).unwrap().unwrap();
    assert_eq!(auction.round(), round);
    assert!(auction.lab.health(auction.user).unwrap() > U256::from(10).pow(U256::from(18)));
    auction.lab.market.evm.warp(11);
    assert_eq!(auction.round(), round + 1);
    assert_eq!(auction.settle(&[honest]).map(|success| results(&success)), Ok(vec![WON]));
}

/// Each reason for which an operation is not even tried.
#[test]
fn operations_that_are_not_good_are_not_tried() {
    let Some(mut auction) = Auction::new() else { return };
    let good = auction.operation(1_000, 1_000);
    let own = auction.lab.house.key.clone();
    let stranger = Key::new(3_000).unwrap();
    let block = auction.lab.market.evm.memory().unwrap().block();
    let mut cases: Vec<(u64, Operation)> = Vec::new();
    let mut signature = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut operation = good.clone();
        change(&mut operation.signature);
        cases.push((1 << 0, operation));
    };
    signature(&|bytes| bytes.truncate(64));
    signature(&|bytes| bytes.push(0));
    signature(&|bytes| bytes.clear());
    signature(&|bytes| bytes[64] = 26);
    signature(&|bytes| bytes[3] ^= 1);
    // The other of the two signatures that are as good to the curve.
    signature(&|bytes| {
        let order = U256::from_be_slice(&alloy_primitives::hex!(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
        ));
        let other = order - U256::from_be_slice(&bytes[32..64]);
        bytes[32..64].copy_from_slice(&other.to_be_bytes::<32>());
        bytes[64] = 27 + 28 - bytes[64];
    });
    // Whatever is changed after signing.
    let changes: [fn(&mut Operation); 6] = [
        |operation| operation.bid += U256::from(1),
        |operation| operation.gas_limit += 1,
        |operation| operation.deadline -= 1,
        |operation| operation.solver.0[0] ^= 1,
        |operation| operation.data.push(0),
        |operation| operation.update_hash.0[0] ^= 1,
    ];
    for change in changes {
        let mut operation = good.clone();
        change(&mut operation);
        cases.push((1 << 0, operation));
    }
    cases.push((1 << 0, auction.signed(good.clone(), &stranger)));
    // Who is recovered from a signature that is none is nobody, and nobody signs.
    cases.push((1 << 0, Operation { from: Address::ZERO, signature: [&[0; 64][..], &[29]].concat(), ..good.clone() }));
    let mut signed = |bit: u64, change: &dyn Fn(&mut Operation)| {
        let mut operation = good.clone();
        change(&mut operation);
        cases.push((bit, auction.signed(operation, &own)));
    };
    signed(1 << 1, &|operation| operation.update_hash = B256::repeat_byte(3));
    signed(1 << 8, &|operation| operation.deadline = block - 1);
    signed(1 << 10, &|operation| operation.solver = PRIMARY);
    signed(1 << 10, &|operation| operation.gas_limit = 6_000_001);
    let settlement = auction.lab.house.settlement;
    let mut itself = good.clone();
    itself.solver = settlement;
    cases.push((1 << 10, auction.signed(itself, &own)));
    // All of them in one settlement, with bids as they are, before one that is good: one signer tries once a block.
    for (bit, operation) in cases {
        let snapshot = auction.lab.market.evm.memory().unwrap().snapshot();
        let mut last = good.clone();
        last.bid = last.bid.min(operation.bid);
        last.data = auction.operation(last.bid.to(), last.bid.to()).data;
        let last = auction.signed(last, &own);
        let success = auction.settle(&[operation.clone(), last]).unwrap();
        assert_eq!(results(&success), [(false, false, bit), WON], "{operation:?}");
        *auction.lab.market.evm.memory().unwrap() = Evm::restore(snapshot);
        auction.lab.market.evm.set_builder(BUILDER).unwrap();
    }
    let mut exactly = good.clone();
    exactly.deadline = block;
    let exactly = auction.signed(exactly, &own);
    assert_eq!(results(&auction.settle(&[exactly]).unwrap()), [WON]);
}

/// One signer is tried once a block, and what he signed once at all.
#[test]
fn a_signer_is_tried_once_a_block_and_an_operation_once() {
    let Some(mut auction) = Auction::new() else { return };
    let spoof = auction.operation(2_000, 0);
    let good = auction.operation(1_000, 1_000);
    let other = auction.other(2_001, 0, Bytes::from_static(&[0x00]));
    let limit = (false, false, 1 << 12);
    let success = auction.settle(&[spoof.clone(), good.clone(), other.clone()]).unwrap();
    assert_eq!(results(&success), [NOT_PAID, limit, WON]);
    // In the next block the same update, in public now, may be settled; what was tried is spent, what was not is good.
    auction.lab.market.evm.warp(SLOT);
    let call = auction.report.forward(Way::Primary, auction.lab.oracles[ETHER].aggregator);
    let primary = Update { call, ..auction.update.clone() };
    let renamed = |operation: &Operation| Operation { update_hash: primary.hash(), ..operation.clone() };
    auction.update = primary.clone();
    let own = auction.lab.house.key.clone();
    let renewed = auction.signed(renamed(&good), &own);
    assert_eq!(auction.settle(std::slice::from_ref(&renewed)).map(|success| results(&success)), Ok(vec![WON]));
    auction.lab.market.evm.warp(SLOT);
    assert_eq!(auction.settle(&[renewed]).unwrap_err(), "StaleReport");
    // A call that can be repeated for ever: the operation cannot.
    let again = forward(auction.lab.oracles[ETHER].aggregator, &abi::words("version()", &[]));
    auction.update.call = again;
    let idle = auction.other(2_002, 0, Bytes::from_static(&[0x00]));
    assert_eq!(results(&auction.settle(std::slice::from_ref(&idle)).unwrap()), [WON]);
    auction.lab.market.evm.warp(SLOT);
    assert_eq!(auction.settle(&[idle]).unwrap_err(), "UserNotFulfilled");
}

/// Who may settle what, and in which order.
#[test]
fn only_the_forwarders_senders_settle_and_only_updates() {
    let Some(mut auction) = Auction::new() else { return };
    let settlement = auction.lab.house.settlement;
    let good = auction.operation(1_000, 1_000);
    let low = auction.other(2_001, 999, Bytes::from_static(&[0x00]));
    let call = auction.update.settle(std::slice::from_ref(&good));
    let stranger = auction.lab.house.key.address;
    assert_eq!(auction.call(stranger, settlement, call.clone()).unwrap_err(), "BundlerIsNotAuthorizedSender");
    let unknown = Update { forwarder: auction.lab.house.searcher, ..auction.update.clone() };
    assert_eq!(auction.call(SECONDARY, settlement, unknown.settle(&[])).unwrap_err(), "UnknownForwarder");
    let many = Value::Array(Vec::new());
    let other = abi::call("multiForward(address[],bytes[])", &[many.clone(), many]);
    for call in [other, Bytes::new()] {
        let update = Update { call, ..auction.update.clone() };
        assert_eq!(auction.call(SECONDARY, settlement, update.settle(&[])).unwrap_err(), "InvalidSelector");
    }
    assert_eq!(auction.settle(&[low, good.clone()]).unwrap_err(), "BidsOutOfOrder");
    let forbid = abi::words("setForwarder(address,bool)", &[word(auction.update.forwarder), U256::ZERO]);
    assert_eq!(auction.call(SECONDARY, settlement, forbid.clone()).unwrap_err(), "OnlyOwner");
    let attempt = abi::call("attempt((address,address,uint256,uint256,uint256,bytes32,bytes,bytes))", &[good.value()]);
    assert_eq!(auction.call(SECONDARY, settlement, attempt).unwrap_err(), "OnlySelf");
    refuses_money(&mut auction);
    let snapshot = auction.lab.market.evm.memory().unwrap().snapshot();
    auction.settle(std::slice::from_ref(&good)).unwrap();
    refuses_money(&mut auction);
    *auction.lab.market.evm.memory().unwrap() = Evm::restore(snapshot);
    auction.call(ADMIN, settlement, forbid).unwrap();
    assert_eq!(auction.settle(&[good]).unwrap_err(), "UnknownForwarder");
}

/// Money from anybody but the solver that is running is sent back.
fn refuses_money(auction: &mut Auction) {
    let settlement = auction.lab.house.settlement;
    let paid = auction.lab.market.evm.pay(BUILDER, settlement, U256::from(1), Bytes::new()).unwrap();
    assert_eq!(auction.named(paid).unwrap_err(), "OnlySolver");
}

/// Too little gas is the sender's fault and never a solver's.
#[test]
fn who_settles_cannot_starve_a_solver() {
    let Some(mut auction) = Auction::new() else { return };
    let settlement = auction.lab.house.settlement;
    let good = auction.operation(1_000, 1_000);
    let data = auction.update.settle(std::slice::from_ref(&good));
    // A sender that passes on what it is called with, and this much gas.
    let relay = Address::repeat_byte(0x44);
    let oracle = auction.lab.oracles[ETHER].clone();
    oracle.authorize(&mut auction.lab.market.evm, &[relay, settlement]).unwrap();
    let mut tried = [0, 0];
    for gas in (2_000_000_u32..4_200_000).step_by(100_000) {
        let snapshot = auction.lab.market.evm.memory().unwrap().snapshot();
        let mut code = vec![0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f, 0x5f, 0x73];
        code.extend(settlement);
        code.push(0x63);
        code.extend(gas.to_be_bytes());
        code.extend([0xf1, 0x3d, 0x5f, 0x5f, 0x3e]);
        let place = u8::try_from(code.len() + 6).unwrap();
        code.extend([0x60, place, 0x57, 0x3d, 0x5f, 0xfd, 0x5b, 0x00]);
        auction.lab.market.evm.place(relay, code.into()).unwrap();
        match auction.call(PRIMARY, relay, data.clone()) {
            Ok(success) => {
                assert_eq!(results(&success), [WON], "{gas}");
                tried[0] += 1;
            }
            Err(error) => {
                assert_eq!(error, "NotEnoughGas", "{gas}");
                tried[1] += 1;
            }
        }
        *auction.lab.market.evm.memory().unwrap() = Evm::restore(snapshot);
        auction.lab.market.evm.set_builder(BUILDER).unwrap();
    }
    assert!(tried.iter().all(|count| *count > 3), "{tried:?}");
}

/// A solver that settles from within is refused, although it may settle, and could a moment later.
#[test]
fn nobody_settles_from_within() {
    let Some(mut auction) = Auction::new() else { return };
    let settlement = auction.lab.house.settlement;
    let oracle = auction.lab.oracles[ETHER].clone();
    let outer = auction.update.clone();
    let call = forward(oracle.aggregator, &abi::words("version()", &[]));
    auction.update = Update { call, ..outer.clone() };
    let mut idle = auction.other(2_002, 0, Bytes::from_static(&[0x00]));
    // Little enough for what the outer solver may use.
    idle.gas_limit = 100_000;
    let idle = auction.signed(idle, &Key::new(2_002).unwrap());
    let inner = auction.update.settle(&[idle]);
    auction.update = outer;
    let within = auction.other(2_001, 0, caller(settlement, &inner, true));
    let senders = [SECONDARY, settlement, within.solver];
    oracle.authorize(&mut auction.lab.market.evm, &senders).unwrap();
    assert_eq!(auction.settle(std::slice::from_ref(&within)).unwrap_err(), "UserNotFulfilled");
    let from_outside = auction.call(PRIMARY, within.solver, Bytes::new()).unwrap();
    assert_eq!(results(&from_outside), [WON]);
}

/// A builder who takes no money leaves it to the protocol; the auctioneer and the protocol must take theirs.
#[test]
fn a_builder_that_takes_nothing_leaves_it_to_the_protocol() {
    let Some(mut auction) = Auction::new() else { return };
    let closed = auction.lab.oracles[ETHER].aggregator;
    auction.lab.market.evm.set_builder(closed).unwrap();
    let before = auction.balances();
    let operation = auction.operation(10_000, 10_000);
    auction.settle(&[operation]).unwrap();
    let after = auction.balances();
    assert_eq!([0, 1, 2].map(|index| after[index] - before[index]), [500, 0, 9_500].map(U256::from));
    auction.lab.market.evm.warp(SLOT);
    auction.open();
    auction.lab.market.evm.place(AUCTIONEER, Bytes::from_static(&[0x5f, 0x5f, 0xfd])).unwrap();
    let operation = auction.operation(10_000, 10_000);
    assert_eq!(auction.settle(&[operation]).unwrap_err(), "NotPaidOut");
}

#[test]
fn splits_of_more_than_all_or_to_nobody_are_refused() {
    let Some(mut auction) = Auction::new() else { return };
    let artifacts = contracts().unwrap();
    let none = Address::ZERO;
    let split = |auctioneer: Address, protocol: Address, bps: [u64; 2]| {
        Value::Tuple(vec![auctioneer.into(), protocol.into(), bps[0].into(), bps[1].into()])
    };
    let safe = auction.lab.house.safe;
    let settlement = auction.lab.house.settlement;
    for (value, error) in [
        (split(none, safe, [1, 1]), "ZeroDestination"),
        (split(AUCTIONEER, none, [1, 1]), "ZeroDestination"),
        (split(AUCTIONEER, safe, [5_001, 5_000]), "SharesAboveWhole"),
        (split(AUCTIONEER, safe, [65_535, 65_535]), "SharesAboveWhole"),
    ] {
        let refused =
            deploy(&mut auction.lab.market.evm, &artifacts, "Settlement", std::slice::from_ref(&value)).unwrap_err();
        let selector = alloy_primitives::hex::encode(abi::selector(&format!("{error}()")));
        assert!(refused.to_string().contains(&selector), "{error}: {refused}");
        let set = abi::call("setSplit((address,address,uint16,uint16))", &[value]);
        assert_eq!(auction.call(SECONDARY, settlement, set.clone()).unwrap_err(), "OnlyOwner");
        assert_eq!(auction.call(ADMIN, settlement, set).unwrap_err(), error);
    }
    // All of it may go to auctioneer and builder.
    let all = abi::call("setSplit((address,address,uint16,uint16))", &[split(AUCTIONEER, safe, [9_000, 1_000])]);
    auction.call(ADMIN, settlement, all).unwrap();
    let before = auction.balances();
    let operation = auction.operation(10, 10);
    auction.settle(&[operation]).unwrap();
    let after = auction.balances();
    assert_eq!([0, 1, 2].map(|index| after[index] - before[index]), [9, 1, 0].map(U256::from));
}

/// A searcher's contract works for its owner and its settlement alone.
#[test]
fn a_searcher_works_for_its_owner() {
    let Some(mut auction) = Auction::new() else { return };
    let (searcher, owner) = (auction.lab.house.searcher, auction.lab.house.key.address);
    let solve =
        |from: Address| abi::call("solve(address,uint256,bytes)", &[from.into(), 0_u64.into(), Value::Bytes(vec![])]);
    assert_eq!(auction.call(owner, searcher, solve(owner)).unwrap_err(), "OnlySettlement");
    let liquidate = House::liquidate_and_pay(&[], U256::from(7));
    assert_eq!(auction.call(SECONDARY, searcher, liquidate).unwrap_err(), "OnlyOwner");
    let hand_over = abi::words("transferOwnership(address)", &[word(PRIMARY)]);
    let accept = abi::words("acceptOwnership()", &[]);
    assert_eq!(auction.call(PRIMARY, searcher, hand_over.clone()).unwrap_err(), "OnlyOwner");
    auction.call(owner, searcher, hand_over).unwrap();
    assert_eq!(auction.call(SECONDARY, searcher, accept.clone()).unwrap_err(), "OnlyPendingOwner");
    auction.call(PRIMARY, searcher, accept.clone()).unwrap();
    assert_eq!(auction.call(PRIMARY, searcher, accept.clone()).unwrap_err(), "OnlyPendingOwner");
    auction.call(PRIMARY, searcher, abi::words("transferOwnership(address)", &[word(owner)])).unwrap();
    auction.call(owner, searcher, accept).unwrap();
    let settlement = auction.lab.house.settlement;
    // Somebody else's operation that names this searcher's contract.
    let mut stolen = auction.operation(0, 0);
    let thief = Key::new(4_000).unwrap();
    stolen.from = thief.address;
    let stolen = auction.signed(stolen, &thief);
    assert_eq!(auction.settle(&[stolen]).unwrap_err(), "UserNotFulfilled");
    let dollars = auction.lab.market.reserves[DOLLAR].asset;
    for (token, amount) in [(Address::ZERO, U256::from(7)), (dollars, dollar(3))] {
        let withdraw = abi::words("withdraw(address,uint256)", &[word(token), amount]);
        assert_eq!(auction.call(SECONDARY, searcher, withdraw.clone()).unwrap_err(), "OnlyOwner");
        auction.call(owner, searcher, withdraw).unwrap();
    }
    assert_eq!(auction.lab.tokens(DOLLAR, owner).unwrap(), dollar(3));
    assert!(auction.lab.market.evm.balance(settlement).unwrap().is_zero());
}

/// The hash that wallets sign is the one the contract names.
#[test]
fn the_contract_names_the_hash_that_is_signed() {
    let Some(mut auction) = Auction::new() else { return };
    let settlement = auction.lab.house.settlement;
    let update = auction.update.clone();
    let call = abi::call("updateHash(address,bytes)", &[update.forwarder.into(), Value::Bytes(update.call.to_vec())]);
    let answer = auction.lab.market.evm.view(settlement, call).unwrap().unwrap();
    assert_eq!(B256::from_slice(&answer), update.hash());
    let domain = ask(&mut auction.lab.market.evm, settlement, "domainSeparator()", &[]).unwrap();
    let kind = keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    let expected = keccak256(abi::encode(&[
        Value::Word(kind.into()),
        Value::Word(keccak256("Tidegate Settlement").into()),
        Value::Word(keccak256("1").into()),
        1_u64.into(),
        settlement.into(),
    ]));
    assert_eq!(B256::from_slice(&domain), expected);
}
