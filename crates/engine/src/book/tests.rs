//! Stories of small markets, and random ones taken back.

use std::sync::Arc;

use proptest::prelude::*;
use protocol::aave::Revision;
use protocol::aave::log::{Anchor, Indexes, Liquidated, Listing, Statement, TokenBegun, Transfers};
use protocol::aave::math::Ray;
use protocol::event::{Cursor, Event, Fact};
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, B256, U256};

use super::*;

const PROVIDER: Address = Address::repeat_byte(1);
const POOL: Address = Address::repeat_byte(2);
const CONFIGURATOR: Address = Address::repeat_byte(3);
const ONE: u128 = 1_000_000_000_000_000_000_000_000_000;

fn asset(number: u8) -> Address {
    Address::repeat_byte(0x40 + number)
}

fn supply_token(number: u8) -> Address {
    Address::repeat_byte(0x60 + number)
}

fn debt_token(number: u8) -> Address {
    Address::repeat_byte(0x80 + number)
}

fn code(revision: Revision) -> Address {
    let place = Revision::ALL.iter().position(|known| *known == revision).unwrap();
    Address::repeat_byte(0xc0 + u8::try_from(place).unwrap())
}

fn user(number: u8) -> Address {
    Address::with_last_byte(number)
}

/// Events in a row: each its own block, ten seconds apart.
struct Story {
    block: u64,
    index: u64,
}

impl Story {
    fn event(&mut self, by: Address, statement: Statement) -> Event {
        self.block += 1;
        self.index = 0;
        self.same_block(by, statement)
    }

    fn same_block(&mut self, by: Address, statement: Statement) -> Event {
        self.index += 1;
        self.at(self.index, by, statement)
    }

    /// An answer about the end of the block.
    fn answer(&self, by: Address, statement: Statement) -> Event {
        self.at(u64::MAX, by, statement)
    }

    fn at(&self, index: u64, by: Address, statement: Statement) -> Event {
        Event {
            at: Cursor { source: "test".into(), height: self.block, index },
            time: TimeUs(i64::try_from(self.block).unwrap() * 10 * SECOND_US),
            fact: Fact::Market(Entry { by, transaction: 0, statement }),
        }
    }
}

fn runs(revision: Revision) -> Statement {
    Statement::Runs { implementation: code(revision), revision, transfers: None }
}

fn listing(number: u8) -> Statement {
    let listing = Listing {
        asset: asset(number),
        a_token: supply_token(number),
        stable: Address::ZERO,
        variable: debt_token(number),
        strategy: Address::ZERO,
    };
    Statement::Listed(Box::new(listing))
}

/// A market of a revision with three reserves.
fn market(revision: Revision) -> (Book, Story) {
    let (mut book, mut story) = (Book::new(PROVIDER), Story { block: 0, index: 0 });
    let proxy = |name: &[u8], proxy| Statement::ProxyCreated { name: B256::right_padding_from(name), proxy };
    let first = [
        proxy(b"POOL", POOL),
        proxy(b"POOL_CONFIGURATOR", CONFIGURATOR),
        runs(revision),
        Statement::PoolImplementation { implementation: code(revision) },
    ];
    for statement in first {
        book.apply(&story.event(PROVIDER, statement)).unwrap();
    }
    for number in 0..3 {
        let begun = TokenBegun { asset: asset(number), pool: POOL, treasury: None, decimals: 6 + number };
        book.apply(&story.event(supply_token(number), Statement::TokenBegun(Box::new(begun)))).unwrap();
        book.apply(&story.event(CONFIGURATOR, listing(number))).unwrap();
    }
    (book, story)
}

fn minted(account: u8, value: u64, index: u128) -> Statement {
    Statement::Minted { account: user(account), value: U256::from(value), increase: U256::ZERO, index }
}

fn updated(number: u8, rate: u128) -> Statement {
    let indexes = Indexes {
        liquidity_rate: rate,
        stable_rate: 0,
        variable_rate: 2 * rate,
        liquidity_index: ONE + rate / 10,
        variable_index: ONE + rate / 5,
    };
    Statement::Updated { asset: asset(number), indexes }
}

#[test]
fn reserves_are_numbered_as_listed_and_a_dropped_ones_number_is_taken_again() {
    let (mut book, mut story) = market(Revision::V3_0_2);
    book.apply(&story.event(CONFIGURATOR, Statement::Dropped { asset: asset(1) })).unwrap();
    let late = story.event(supply_token(1), minted(1, 5, ONE));
    assert!(matches!(book.apply(&late), Err(Gap::UnknownContract { .. })));
    for number in [7, 8] {
        book.apply(&story.event(CONFIGURATOR, listing(number))).unwrap();
    }
    let view = book.snapshot();
    let assets: Vec<Address> = view.listed().iter().map(|listed| listed.contracts.asset).collect();
    assert_eq!(assets, [0, 7, 2, 8].map(asset));
    assert_eq!(view.listed()[2].config.decimals, 8);
    // Nobody said how many decimals the new ones have.
    assert_eq!(view.wants(), [7, 8].map(|number| view::Want::Configuration(asset(number))));
}

/// From 3.5 on a liquidation paid out in supply brings the collateral up to date and says nothing.
#[test]
fn a_silent_update_is_rolled_since_3_5_and_only_there() {
    for (revision, rolls) in [(Revision::V3_4, false), (Revision::V3_5, true), (Revision::V3_6, true)] {
        let (mut book, mut story) = market(revision);
        book.apply(&story.event(POOL, updated(0, ONE / 10))).unwrap();
        let before = book.snapshot().listed()[0].clone();
        let call = |takes_supply| {
            Statement::Liquidated(Box::new(Liquidated {
                collateral: asset(0),
                debt: asset(1),
                user: user(1),
                repaid: U256::from(1),
                received: U256::from(1),
                liquidator: user(2),
                takes_supply,
            }))
        };
        book.apply(&story.event(POOL, call(false))).unwrap();
        assert_eq!(book.snapshot().listed()[0], before);
        let change = book.apply(&story.event(POOL, call(true))).unwrap();
        let after = book.snapshot();
        let now = after.time();
        assert_eq!(after.listed()[0].last_update, if rolls { now } else { before.last_update });
        // Nobody owes anything, so that the debt's index stays where it is.
        assert_eq!(after.listed()[0].indexes.variable_index, before.indexes.variable_index);
        assert_eq!(Ok(after.listed()[0].income(now)), Ok::<_, Gap>(before.income(now)));
        book.undo(change);
        assert_eq!(book.snapshot().listed()[0], before);
    }
}

#[test]
fn an_upgrade_waits_for_every_reserve_to_be_read() {
    let (mut book, mut story) = market(Revision::V3_0_2);
    let unknown = story.event(POOL, Statement::Upgraded { implementation: code(Revision::V3_6) });
    let before = book.clone();
    assert!(matches!(book.apply(&unknown), Err(Gap::UnknownRevision { .. })));
    assert!(book == before);
    book.apply(&story.answer(POOL, runs(Revision::V3_6))).unwrap();
    book.apply(&unknown).unwrap();
    // The rest of the block is still folded.
    book.apply(&story.same_block(POOL, updated(0, ONE / 20))).unwrap();
    let anchor = |number, word| {
        let anchor = Anchor {
            asset: asset(number),
            configuration: Some(U256::from(word)),
            indexes: Some((Indexes { liquidity_index: 2 * ONE, variable_index: 3 * ONE, ..Indexes::default() }, 70)),
            stable: None,
            deficit: None,
            accrued_to_treasury: None,
        };
        Statement::Anchored(Box::new(anchor))
    };
    let mut next = Story { block: story.block, index: 0 };
    let later = next.event(POOL, updated(2, 1));
    for number in 0..3 {
        let gap = Gap::Unanchored { asset: asset(number), block: story.block };
        assert_eq!(book.apply(&later).unwrap_err(), gap);
        book.apply(&story.answer(POOL, anchor(number, 77_u64))).unwrap();
    }
    book.apply(&later).unwrap();
    let view = book.snapshot();
    assert_eq!(view.revision(), Some(Revision::V3_6));
    assert_eq!((view.listed()[1].indexes.liquidity_index, view.listed()[1].config.ltv.0), (2 * ONE, 77));
    // Tokens are upgraded on their own; until then they count as before.
    assert_eq!(view.listed()[1].supply_runs, Revision::V3_0_2);
}

#[test]
fn discounted_debt_is_read_and_not_folded() {
    let (mut book, mut story) = market(Revision::V3_3);
    book.apply(&story.event(debt_token(1), Statement::Discounted)).unwrap();
    book.apply(&story.event(debt_token(1), minted(4, 100, ONE))).unwrap();
    let want = view::Want::Balance { token: debt_token(1), account: user(4) };
    // Whether a listing's liquidity is booked could be chosen in 3.3, so that configurations are wanted as well.
    let mut wants = book.snapshot().wants();
    assert_eq!(wants.pop(), Some(want));
    let configurations: Vec<view::Want> = (0..3).map(|number| view::Want::Configuration(asset(number))).collect();
    assert_eq!(wants, configurations);
    let before = book.clone();
    let read = Statement::BalanceRead { account: user(4), scaled: U256::from(99) };
    let change = book.apply(&story.answer(debt_token(1), read)).unwrap();
    let view = book.snapshot();
    assert_eq!(view.wants(), configurations);
    let person = view.accounts.get(view.accounts.find(&user(4)).unwrap()).unwrap();
    assert_eq!(person.scaled(ReserveId(1), Side::Debt), 99);
    assert_eq!(view.standing(person), protocol::standing::Standing::Observed);
    book.undo(change);
    assert!(book == before);
}

#[test]
fn how_transfers_are_written_is_asked_for_where_it_matters() {
    let (mut book, mut story) = market(Revision::V3_0_2);
    book.apply(&story.event(supply_token(0), minted(1, 1_000, ONE))).unwrap();
    let transfer =
        |value: u64, index| Statement::BalanceTransfer { from: user(1), to: user(2), value: U256::from(value), index };
    book.apply(&story.event(supply_token(0), transfer(100, ONE))).unwrap();
    let doubtful = story.event(supply_token(0), transfer(100, 2 * ONE));
    assert!(matches!(book.apply(&doubtful), Err(Gap::UnknownTransfers { .. })));
    let mut other = book.clone();
    for (book, transfers, left) in [(&mut book, Transfers::Scaled, 800), (&mut other, Transfers::Unscaled, 850)] {
        book.apply(&story.answer(supply_token(0), Statement::Writes { transfers })).unwrap();
        book.apply(&doubtful).unwrap();
        let id = book.accounts.find(&user(1)).unwrap();
        assert_eq!(book.accounts.scaled(id, ReserveId(0), Side::Supply), left);
        let too_much = story.event(supply_token(0), transfer(5_000, ONE));
        assert!(matches!(book.apply(&too_much), Err(Gap::Negative { side: Side::Supply, .. })));
    }
}

/// What random events of a small market may be.
fn any_statement() -> impl Strategy<Value = (Address, Statement)> {
    let index = (ONE..3 * ONE).boxed();
    let token = (0_u8..3, any::<bool>()).prop_map(|(n, supply)| if supply { supply_token(n) } else { debt_token(n) });
    let amounts = (0_u64..10_000, 0_u64..100);
    let account = 0_u8..9;
    prop_oneof![
        4 => (token.clone(), account.clone(), amounts.clone(), index.clone()).prop_map(|(by, who, (value, more), index)| {
            let (value, increase) = (U256::from(value), U256::from(more));
            (by, Statement::Minted { account: user(who), value, increase, index })
        }),
        3 => (token, account.clone(), amounts, index.clone()).prop_map(|(by, who, (value, more), index)| {
            let (value, increase) = (U256::from(value), U256::from(more));
            (by, Statement::Burned { account: user(who), value, increase, index })
        }),
        3 => (0_u8..3, account.clone(), account.clone(), 0_u64..5_000, index).prop_map(|(n, from, to, value, index)| {
            (supply_token(n), Statement::BalanceTransfer { from: user(from), to: user(to), value: U256::from(value), index })
        }),
        2 => (0_u8..4, 0..ONE).prop_map(|(n, rate)| (POOL, updated(n, rate))),
        2 => (0_u8..3, account.clone(), any::<bool>())
            .prop_map(|(n, who, on)| (POOL, Statement::Collateral { asset: asset(n), user: user(who), on })),
        1 => (account, 0_u8..4).prop_map(|(who, category)| (POOL, Statement::EModeSet { user: user(who), category })),
        1 => (0_u8..3).prop_map(|n| (CONFIGURATOR, Statement::Dropped { asset: asset(n) })),
        1 => (0_u8..5).prop_map(|n| (CONFIGURATOR, listing(n))),
        1 => (0_u8..3, 0_u64..100).prop_map(|(n, amount)| {
            (POOL, Statement::DeficitCreated { user: user(1), asset: asset(n), amount: U256::from(amount) })
        }),
    ]
}

proptest! {
    /// Any events, possible or not: a refused one leaves no trace, and taken back in turn they lead through the same
    /// books again. Snapshots that were taken on the way stay as they were.
    #[test]
    fn taken_back_everything_is_as_it_was(
        statements in prop::collection::vec(any_statement(), 1..60),
        new in any::<bool>(),
    ) {
        let (mut book, mut story) = market(if new { Revision::V3_6 } else { Revision::V3_4 });
        let mut journal = Vec::new();
        for (by, statement) in statements {
            let event = story.event(by, statement);
            let (before, view) = (book.clone(), book.snapshot());
            match book.apply(&event) {
                Ok(change) => journal.push((change, before, view)),
                Err(_) => prop_assert!(book == before),
            }
            let sum = |side| {
                let all = book.accounts.iter().map(|(_, person)| U256::from(person.scaled(ReserveId(0), side)));
                all.fold(U256::ZERO, |sum, scaled| sum + scaled)
            };
            if !book.ground.listed(ReserveId(0)).is_dropped && book.ground.listed(ReserveId(0)).contracts.asset == asset(0) {
                prop_assert_eq!(sum(Side::Supply), book.ground.listed(ReserveId(0)).scaled_supply);
                prop_assert_eq!(sum(Side::Debt), book.ground.listed(ReserveId(0)).scaled_debt);
            }
        }
        while let Some((change, before, view)) = journal.pop() {
            book.undo(change);
            prop_assert!(book == before);
            prop_assert_eq!(&*book.snapshot(), &*view);
        }
    }

    /// Since 3.5 tokens report rounded balances alone; the scaled one is found all the same.
    #[test]
    fn scaled_balances_follow_from_rounded_ones(
        held in 0_u128..1 << 100,
        change in 1_u128..1 << 90,
        index in ONE..50 * ONE,
        is_mint in any::<bool>(),
        is_supply in any::<bool>(),
    ) {
        prop_assume!(is_mint || change <= held);
        let revision = Revision::V3_6;
        let scaling = revision.rules().scaling;
        let balance = |scaled: u128| {
            let scaled = U256::from(scaled);
            if is_supply { scaling.supply_balance(scaled, Ray(U256::from(index))) } else { scaling.debt_balance(scaled, Ray(U256::from(index))) }.unwrap()
        };
        let next = if is_mint { held + change } else { held - change };
        let (mut book, mut story) = market(revision);
        let token = if is_supply { supply_token(0) } else { debt_token(0) };
        let read = Statement::BalanceRead { account: user(1), scaled: U256::from(held) };
        book.apply(&story.answer(token, read)).unwrap();
        // `Mint` and `Burn` both take the interest out of the value again; here there was none.
        let (value, account) = (balance(next).abs_diff(balance(held)), user(1));
        let statement = if is_mint {
            Statement::Minted { account, value, increase: U256::ZERO, index }
        } else {
            Statement::Burned { account, value, increase: U256::ZERO, index }
        };
        book.apply(&story.event(token, statement)).unwrap();
        let side = if is_supply { Side::Supply } else { Side::Debt };
        let id = book.accounts.find(&user(1)).unwrap();
        prop_assert_eq!(book.accounts.scaled(id, ReserveId(0), side), next);
    }
}

#[test]
fn events_come_in_order() {
    let (mut book, mut story) = market(Revision::V3_6);
    let first = story.event(POOL, updated(0, 1));
    let second = story.event(POOL, updated(0, 2));
    book.apply(&second).unwrap();
    let before = book.clone();
    for event in [&first, &second] {
        assert!(matches!(book.apply(event), Err(Gap::OutOfOrder { .. })));
    }
    assert!(book == before);
    assert_eq!(Arc::strong_count(&book.snapshot()), 1);
}
