//! What must hold in every made-up world.

use std::collections::{BTreeMap, BTreeSet};

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::event::Fact;
use protocol::liquidation::{Amount, Liquidation, Version};

use super::accounts::{self, Account, Call};
use super::prices::HOURS;
use super::rules::{self, WAD};
use super::{Claim, World};

fn calls(world: &World) -> impl Iterator<Item = (&Account, &Call)> {
    let accounts = world.accounts.iter().flatten();
    accounts.flat_map(|account| account.calls.iter().map(move |call| (account, call)))
}

fn liquidations(world: &World) -> Vec<Liquidation> {
    world
        .lived()
        .events()
        .into_iter()
        .filter_map(|event| match event.fact {
            Fact::Liquidation(liquidation) => Some(*liquidation),
            Fact::Market(_) => None,
        })
        .collect()
}

#[test]
fn a_seed_is_a_world() {
    let (one, again, other) = (World::of(1), World::of(1), World::of(2));
    assert_eq!(one.prices, again.prices);
    assert_eq!(one.accounts, again.accounts);
    assert_eq!(one.lived().events(), again.lived().events());
    assert_ne!(one.prices, other.prices);
    assert_ne!(one.lived().events(), other.lived().events());
}

#[test]
fn there_is_enough_of_everything() {
    let world = World::of(1);
    let chains: BTreeSet<_> = world.markets.iter().map(|market| market.chain).collect();
    let count = calls(&world).count();
    assert!(chains.len() >= 4);
    assert!(world.positions() >= 4_000, "{}", world.positions());
    assert!((3_000..20_000).contains(&count), "{count}");
}

#[test]
fn ethereum_leads_by_value_and_polygon_by_count() {
    for seed in [1, 2, 3] {
        let mut by_chain = BTreeMap::<ChainId, (i128, u64)>::new();
        for liquidation in liquidations(&World::of(seed)) {
            let Usd8(value) = liquidation.debt.unwrap().usd.unwrap();
            let sums = by_chain.entry(liquidation.chain).or_default();
            *sums = (sums.0 + value, sums.1 + 1);
        }
        let lead = |key: fn(&(i128, u64)) -> i128| *by_chain.iter().max_by_key(|(_, sums)| key(sums)).unwrap().0;
        assert_eq!(lead(|sums| sums.0), ChainId::ETHEREUM, "by value, seed {seed}");
        assert_eq!(lead(|sums| sums.1.into()), ChainId(137), "by count, seed {seed}");
    }
}

/// The rules once more, written the short way round in floats, to within what the rules round.
fn check_by_hand(call: &Call) {
    #[expect(clippy::cast_precision_loss, reason = "compared to within a millionth")]
    let float = |number: u128| number as f64;
    let terms = &call.terms;
    let collateral = |amount| float(amount) * float(terms.collateral.usd8) / float(terms.collateral.unit) / 1e8;
    let debt = |amount| float(amount) * float(terms.debt.usd8) / float(terms.debt.unit) / 1e8;
    let grain = collateral(3) + debt(3);
    let near = |a: f64, b: f64| (a - b).abs() < grain + b * 1e-6;
    let health = collateral(call.before.collateral) * float(terms.threshold_bps) / 1e4 / debt(call.before.debt);
    let repaid = debt(call.seizure.repaid);
    let taken = call.seizure.collateral + call.seizure.fee;
    let bonus = float(terms.bonus_bps) / 1e4;
    let is_v3 = terms.version == Version::V3;
    let part = if is_v3 && health <= 0.95 { 1.0 } else { 0.5 };
    let everything_taken = taken == call.before.collateral;
    assert!(health < 1.0 + 1e-9, "{call:?}");
    assert!(near(collateral(taken), repaid * bonus), "{call:?}");
    assert!(everything_taken || near(repaid, debt(call.before.debt) * part), "{call:?}");
    let fee = collateral(taken) * (1.0 - 1.0 / bonus) * if is_v3 { 0.1 } else { 0.0 };
    assert!(near(collateral(call.seizure.fee), fee), "{call:?}");
}

#[test]
fn every_liquidation_follows_from_the_rules_and_takes_no_more_than_there_is() {
    for (_, call) in calls(&World::of(1)) {
        let health = rules::health_factor_wad(call.before, &call.terms).unwrap();
        assert!(health < WAD);
        assert!(call.seizure.collateral + call.seizure.fee <= call.before.collateral);
        assert!(call.seizure.repaid <= call.before.debt);
        assert!(call.seizure.repaid > 0 && call.seizure.collateral > 0);
        check_by_hand(call);
    }
}

#[test]
fn an_account_is_what_its_last_liquidation_left_or_its_owner_made_since() {
    for account in World::of(1).accounts.iter().flatten() {
        for two in account.calls.windows(2) {
            assert!(two[0].hour < two[1].hour && two[1].hour < HOURS);
        }
        if let Some((last, position)) = account.calls.last().zip(account.position)
            && position != last.after()
        {
            assert!(position.collateral > 0 && position.debt > 0, "an owner reopens it whole");
        }
    }
}

/// What passes over calm hours must not pass over a liquidation: here every hour is valued.
#[test]
fn no_hour_is_missed() {
    let world = World::of(1);
    for (market, accounts) in world.markets.iter().zip(&world.accounts) {
        for account in accounts.iter().step_by(97) {
            let (collateral, debt) = (&market.collaterals[account.collateral].0, &market.debts[account.debt].0);
            for two in account.calls.windows(2) {
                let (first, second) = (&two[0], &two[1]);
                if second.before != first.after() {
                    continue;
                }
                for hour in first.hour + 1..second.hour {
                    let terms = accounts::terms(market.version, collateral, debt, &world.prices, hour);
                    assert_eq!(rules::liquidate(first.after(), &terms), None, "hour {hour}");
                }
            }
            let Some(position) = account.position else { continue };
            let terms = accounts::terms(market.version, collateral, debt, &world.prices, HOURS - 1);
            let dust = terms.debt.value(position.debt) < u128::from(market.least_usd) * 100_000_000;
            assert!(dust || rules::liquidate(position, &terms).is_none(), "{position:?}");
        }
    }
}

#[test]
fn every_event_is_exact_and_has_a_key_of_its_own() {
    let world = World::of(1);
    let events = world.lived().events();
    assert!(events.is_sorted_by(|a, b| a.order() <= b.order()));
    let liquidations = liquidations(&world);
    assert_eq!(liquidations.len(), calls(&world).count());
    let mut logs = BTreeSet::new();
    let mut blocks = BTreeMap::new();
    for liquidation in &liquidations {
        for leg in [&liquidation.collateral, &liquidation.debt] {
            let leg = leg.as_ref().unwrap();
            assert!(matches!(leg.amount, Amount::Exact(_)));
            assert!(leg.usd.unwrap().0 > 0);
            assert!(leg.token.decimals.is_some() && leg.token.address.is_some());
        }
        assert!(logs.insert((liquidation.chain, liquidation.block, liquidation.log_index.unwrap())));
        let block = (liquidation.chain, liquidation.block);
        assert_eq!(
            *blocks.entry(liquidation.transaction.unwrap()).or_insert(block),
            block,
            "a transaction is in one block"
        );
    }
    let liquidators: BTreeSet<_> = liquidations.iter().map(|one| one.liquidator.unwrap()).collect();
    assert!((24..=36).contains(&liquidators.len()), "{}", liquidators.len());
}

/// Rounds and bids are never told of liquidations other than those that a file holds.
#[test]
fn a_file_of_other_liquidations_is_not_taken_for_the_world_of_its_seed() {
    let world = World::made(1);
    let lived = world.lived();
    let claim = |digest| Claim { seed: 1, digest, file: "file.parquet".into() };
    claim(source::import::digest(&lived.events())).check(&lived).unwrap();
    let mut others = lived.events();
    others.pop();
    let refused = claim(source::import::digest(&others)).check(&lived).unwrap_err();
    assert!(refused.to_string().contains("tidegate demo --seed 1"), "{refused}");
}
