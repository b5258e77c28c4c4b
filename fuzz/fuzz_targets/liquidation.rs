//! Arbitrary pools and what happens in them: nothing panics, and what always holds of a pool holds.
//!
//! The worlds are those of the crate's own tests, so a find is repeated there with the same bytes. Run it with
//! `cargo install cargo-fuzz --locked` and `cargo +nightly fuzz run liquidation -- -max_total_time=180 -max_len=1024`.

#![no_main]

#[path = "../../crates/protocol/tests/it/world.rs"]
mod world;

use alloy_primitives::U256;
use libfuzzer_sys::fuzz_target;
use protocol::aave::Revision;
use protocol::aave::account::{Leg, Valuation};
use protocol::aave::config::ReserveId;
use protocol::aave::pool::{Action, Outcome};
use protocol::aave::revision::Scaling;

use world::{Bytes, Step, Taste, World, everybody};

fuzz_target!(|input: &[u8]| {
    let mut bytes = Bytes::new(input);
    let revision = Revision::ALL[usize::from(bytes.byte()) % Revision::ALL.len()];
    let taste = if bytes.byte().is_multiple_of(2) { Taste::Sane } else { Taste::Wild };
    let mut world = World::decode(&mut bytes, revision, taste);
    let mut misbooked = false;
    while !bytes.is_empty() {
        let step = world.decode_step(&mut bytes, taste);
        let before = world.clone();
        if let Step::Act(action) = &step {
            let outcome = world.pool.apply(action, &world.block);
            misbooked |= before.misbooks(action) && matches!(outcome, Outcome::Executed(_));
            after_an_action(&before, action, &outcome, &world, taste);
        } else {
            world.turn(&step);
        }
        if taste == Taste::Sane && !misbooked {
            claims_are_backed(&world);
        }
        a_batch_says_the_same(&world);
    }
});

fn after_an_action(before: &World, action: &Action, outcome: &Outcome, after: &World, taste: Taste) {
    if matches!(outcome, Outcome::Refused(_)) {
        assert_eq!(before.pool, after.pool, "{action:?} was refused and changed something");
    }
    for (id, (old, new)) in before.pool.reserves.iter().zip(&after.pool.reserves).enumerate() {
        assert!(new.liquidity_index >= old.liquidity_index && new.variable_borrow_index >= old.variable_borrow_index);
        let id = ReserveId(u8::try_from(id).unwrap());
        let positions = || after.pool.accounts.values().map(|account| account.position(id));
        let supplied: U256 = positions().map(|position| position.supplied).sum();
        let borrowed: U256 = positions().map(|position| position.borrowed).sum();
        assert_eq!((supplied, borrowed), (new.scaled_supply, new.scaled_variable_debt));
    }
    // To 3.4 rounding may push an account over the edge, to 3.5 entering a category is not checked.
    if taste == Taste::Sane && before.pool.revision >= Revision::V3_6 {
        for user in everybody() {
            let data = |world: &World| world.pool.account_data(user, &world.block);
            if let (Ok(old), Ok(new)) = (data(before), data(after)) {
                assert!(old.is_liquidatable() || !new.is_liquidatable(), "{user} {action:?} {old:?} {new:?}");
            }
        }
    }
}

/// Since 3.5, to the last unit.
fn claims_are_backed(world: &World) {
    if world.pool.rules().scaling != Scaling::Protocol {
        return;
    }
    for id in 0..world.pool.reserves.len() {
        if let Some((claims, backing)) = world.balance_sheet(id) {
            assert!(claims <= backing, "{claims} claimed of {backing}");
        }
    }
}

/// A batch values every account as the pool does, where balances fit 128 bits.
fn a_batch_says_the_same(world: &World) {
    let pool = &world.pool;
    let Ok(valuation) = Valuation::new(pool.revision, &pool.reserves, &pool.e_modes, &world.block) else { return };
    for (user, account) in &pool.accounts {
        let legs = account.positions.iter().map(|(reserve, position)| {
            let stable_debt = position.stable.balance(pool.rules(), world.block.now).ok()?;
            Some(Leg {
                supplied: u128::try_from(position.supplied).ok()?,
                borrowed: u128::try_from(position.borrowed).ok()?,
                stable_debt: u128::try_from(stable_debt).ok()?,
                reserve: *reserve,
                is_collateral: account.flags.is_collateral(*reserve),
                is_borrowing: account.flags.is_borrowing(*reserve),
            })
        });
        let Some(legs) = legs.collect::<Option<Vec<Leg>>>() else { continue };
        if account.flags.is_empty() || valuation.quote(account.e_mode, ReserveId(0)).is_none() {
            continue;
        }
        assert_eq!(valuation.account(account.e_mode, &legs).ok(), pool.account_data(*user, &world.block).ok());
    }
}
