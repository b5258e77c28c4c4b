//! Cases in which chain and native pool once differed, as `cargo xtask prove` prints them.

use alloy_primitives::uint;
use differential::action::Action::*;
use differential::action::Admin::*;
use differential::action::Mode::*;
use differential::deploy::Deployer;
use differential::prove::{Case, replay};
use differential::world::Version::*;
use differential::world::{EModeSpec, ReserveSpec, World};

use crate::contracts;

/// Takes the steps on both sides; every figure must agree.
fn check(case: &Case) {
    let Some(artifacts) = contracts() else { return };
    let deployer = Deployer::new(&artifacts, case.world.version).unwrap();
    if let Some((steps, difference)) = replay(&deployer, case).unwrap() {
        panic!("after {steps} steps: {difference}");
    }
}

/// V2's aToken works out balances before it asks the pool, which may be paused.
#[test]
fn v2_counts_before_it_asks_whether_it_is_paused() {
    check(&uint! { Case {
        world: World {
            version: V2,
            reserves: vec![ReserveSpec::plain()],
            e_modes: vec![],
            users: 2,
            sentinel: false,
        },
        steps: vec![
            Admin(Pause { reserve: 0, on: true, grace: 0 }),
            Transfer {
                user: 1,
                reserve: 0,
                amount: 100000000000000000000000000000000000000000000000000000000000000000000000000000_U256,
                to: 0,
            },
        ],
    } });
}

/// The collateral leaves before the debt comes in, so the same asset cannot pay for itself.
#[test]
fn v3_6_pays_collateral_out_before_debt_comes_in() {
    check(&uint! { Case {
        world: World {
            version: V3_6,
            reserves: vec![ReserveSpec::plain(), ReserveSpec::plain()],
            e_modes: vec![],
            users: 5,
            sentinel: false,
        },
        steps: vec![
            Supply { user: 1, reserve: 0, amount: 900000000000000000000000_U256, to: 1 },
            Supply { user: 4, reserve: 0, amount: 500000000000000000000000_U256, to: 4 },
            Withdraw { user: 1, reserve: 0, amount: 400000000000000000000000_U256, to: 1 },
            Supply { user: 4, reserve: 1, amount: 40000000000000000000000000000_U256, to: 4 },
            Borrow { user: 4, reserve: 0, amount: 540000000000000000000000_U256, mode: Variable },
            Price { reserve: 1, price: 1_U256 },
            Liquidate {
                user: 2,
                of: 4,
                collateral: 0,
                debt: 0,
                amount: 100000000000000000000000000000000000000000000000000000000000000000000000000000_U256,
                receive_a_token: false,
            },
        ],
    } });
}

/// What is too large to be valued is refused for what is checked before.
#[test]
fn v3_0_2_asks_the_sentinel_before_it_values_the_amount() {
    check(&uint! { Case {
        world: World {
            version: V3_0_2,
            reserves: vec![ReserveSpec::plain(), ReserveSpec::plain()],
            e_modes: vec![],
            users: 1,
            sentinel: true,
        },
        steps: vec![
            Sentinel { borrow: false, liquidation: true },
            Borrow {
                user: 0,
                reserve: 1,
                amount: 100000000000000000000000000000000000000000000000000000000000000000000000000000_U256,
                mode: Variable,
            },
        ],
    } });
}

/// A category's price stands for the debt's own, which is then not asked for, so it may be absent.
#[test]
fn v3_0_0_liquidates_at_the_category_s_price_a_debt_that_has_none_of_its_own() {
    check(&uint! { Case {
        world: World {
            version: V3_0_0,
            reserves: vec![ReserveSpec::plain(), ReserveSpec::plain()],
            e_modes: vec![EModeSpec {
                id: 1,
                ltv: 8613,
                liquidation_threshold: 9215,
                liquidation_bonus: 10104,
                price: Some(648049305_U256),
                collateral: vec![1],
                borrowable: vec![1],
                ltv_zero: vec![],
            }],
            users: 3,
            sentinel: false,
        },
        steps: vec![
            Supply { user: 0, reserve: 1, amount: 700000000000000000000_U256, to: 0 },
            Supply { user: 2, reserve: 0, amount: 3000000000000000000000000_U256, to: 2 },
            Borrow { user: 2, reserve: 1, amount: 900000000000000000_U256, mode: Variable },
            SetEMode { user: 2, category: 1 },
            EModePrice { category: 1, price: 50000000000000000000000_U256 },
            Price { reserve: 1, price: 0_U256 },
            Liquidate {
                user: 1,
                of: 2,
                collateral: 0,
                debt: 1,
                amount: 100000000000000000000000000000000000000000000000000000000000000000000000000000_U256,
                receive_a_token: true,
            },
        ],
    } });
}
