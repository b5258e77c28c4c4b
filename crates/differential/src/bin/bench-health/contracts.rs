//! The pool's own view of an account, in an interpreter.

use std::hint::black_box;

use alloy_primitives::U256;
use anyhow::{Context, Result, ensure};
use differential::action::{Action, Mode};
use differential::artifacts;
use differential::deploy::Deployer;
use differential::market::Market;
use differential::mirror::Mirror;
use differential::world::{Rates, ReserveSpec, Version, World, ray};

use crate::{best, heading, line};

/// A run is a millisecond or so, which other programs seldom interrupt.
const CALLS: usize = 5;
const RUNS: usize = 200;

/// Prints a call's cost in each version beside the exact batch's, which takes `exact` seconds an account.
pub(crate) fn report(exact: f64) -> Result<()> {
    heading(&format!("\ngetUserAccountData of the contracts in revm, an account with the same legs (best of {RUNS})"));
    let artifacts = artifacts::find()?.context("no contracts are installed: run `cargo xtask contracts`")?;
    for version in [Version::V2, Version::V3_0_2, Version::V3_6] {
        let deployer = Deployer::new(&artifacts, version)?;
        let world = world(version);
        let (mut market, mut mirror) = (deployer.market(&world)?, Mirror::new(&world));
        populate(&mut market, &mut mirror)?;
        let user = market.users[0];
        let chain = market.account_data(user)?.map(|data| data[5]);
        let native = mirror.pool.account_data(user, &mirror.block).map(|data| data.health_factor.0);
        ensure!(chain.clone().ok() == native.ok(), "{version:?}: the contracts answer {chain:?}, we {native:?}");
        let seconds = best(RUNS, || {
            for _ in 0..CALLS {
                let _ = black_box(market.account_data(user));
            }
        }) / CALLS as f64;
        let batch = format!("the exact batch is {:.0} times as fast", seconds / exact);
        line(version.family(), 1e6 * seconds, "us", &batch);
        let one = best(RUNS, || {
            for _ in 0..CALLS {
                let _ = black_box(mirror.pool.account_data(user, black_box(&mirror.block)));
            }
        }) / CALLS as f64;
        line("  natively, one account, indexes rolled for it alone", 1e6 * one, "us", "");
    }
    Ok(())
}

/// Four ordinary reserves.
fn world(version: Version) -> World {
    let price = U256::from(if version == Version::V2 { 1_000_000_000_000_000_000_u64 } else { 100_000_000 });
    let rates = Rates {
        optimal: ray(8_000),
        base: U256::ZERO,
        slope1: ray(400),
        slope2: ray(6_000),
        stable_slope1: ray(400),
        stable_slope2: ray(6_000),
        stable_base: ray(100),
        stable_excess: ray(500),
        stable_optimal: ray(2_000),
    };
    let reserve = |decimals| ReserveSpec {
        decimals,
        price,
        ltv: 7_500,
        liquidation_threshold: 8_000,
        liquidation_bonus: 10_500,
        reserve_factor: 1_000,
        liquidation_protocol_fee: 0,
        borrowing: true,
        stable_borrowing: false,
        supply_cap: 0,
        borrow_cap: 0,
        debt_ceiling: 0,
        siloed: false,
        borrowable_in_isolation: false,
        rates: rates.clone(),
    };
    World { version, reserves: [18, 6, 8, 18].map(reserve).into(), e_modes: Vec::new(), users: 2, sentinel: false }
}

/// One user has the first two reserves and owes the last two; then a day passes.
fn populate(market: &mut Market, mirror: &mut Mirror) -> Result<()> {
    let tokens =
        |reserve: usize, count: u64| U256::from(count) * U256::from(10).pow(U256::from([18, 6, 8, 18][reserve]));
    let mut steps: Vec<Action> = Vec::new();
    for (user, reserve) in [(0, 0), (0, 1), (1, 2), (1, 3)] {
        steps.push(Action::Supply { user, reserve, amount: tokens(reserve, 1_000), to: user });
    }
    for reserve in [2, 3] {
        steps.push(Action::Borrow { user: 0, reserve, amount: tokens(reserve, 400), mode: Mode::Variable });
    }
    steps.push(Action::Wait { seconds: 86_400 });
    for step in steps {
        let outcome = market.act(&step)?;
        ensure!(outcome.is_ok(), "the contracts refuse {step:?}: {outcome:?}");
        mirror.act(&step);
    }
    Ok(())
}
