//! Without a house Aave's liquidations wait for the cutoff and no longer, and at no price nobody is liquidated.

use alloy_primitives::{Address, U256};
use differential::abi;
use differential::backend::Backend;
use differential::deploy::BEGIN;
use differential::evm::{Evm, Reverted};
use differential::svr::house::{Aim, House};
use differential::svr::lab::{ETHER, Lab, PRICES};
use differential::svr::oracle::{Oracle, Settings};
use differential::svr::report::Way;
use differential::svr::scene::FALLEN;

use crate::contracts;

fn lab(settings: Settings) -> Option<Lab> {
    let artifacts = contracts()?;
    Some(Lab::deploy(Backend::from(Evm::new(BEGIN)), &artifacts, settings).unwrap())
}

/// Whether the searcher can liquidate somebody now.
fn liquidate(lab: &mut Lab, user: Address) -> Result<(), String> {
    let aims: [Aim; 1] = [lab.aim(ETHER, user, 1_000)];
    let (owner, searcher) = (lab.house.key.address, lab.house.searcher);
    let result = lab.market.evm.call(owner, searcher, House::liquidate_and_pay(&aims, U256::ZERO)).unwrap();
    result.map(|_| ()).map_err(|Reverted(reason)| abi::reason(&reason, &lab.market.errors))
}

#[test]
fn a_dead_house_delays_a_liquidation_by_the_cutoff_and_no_more() {
    for cutoff in [0, 1, 10, 60] {
        let Some(mut lab) = lab(Settings { cutoff, ..Settings::default() }) else { return };
        let user = lab.borrower(ETHER, 1_000, 15_000).unwrap();
        lab.oracles[ETHER].round(&mut lab.market.evm, FALLEN, Way::Primary).unwrap();
        lab.market.evm.warp(u64::from(cutoff));
        assert_eq!(liquidate(&mut lab, user).unwrap_err(), "HealthFactorNotBelowThreshold", "cutoff {cutoff}");
        lab.market.evm.warp(1);
        liquidate(&mut lab, user).unwrap();
    }
}

/// The auction's round opens the liquidation in its own block, for whoever stands behind it there.
#[test]
fn an_auctioned_round_opens_liquidations_in_its_own_block() {
    let Some(mut lab) = lab(Settings::default()) else { return };
    let user = lab.borrower(ETHER, 1_000, 15_000).unwrap();
    assert_eq!(liquidate(&mut lab, user).unwrap_err(), "HealthFactorNotBelowThreshold");
    lab.oracles[ETHER].round(&mut lab.market.evm, FALLEN, Way::Secondary).unwrap();
    liquidate(&mut lab, user).unwrap();
}

/// An update whose first round came in public says nothing for a while: Aave has no price then, and refuses to liquidate.
#[test]
fn nobody_is_liquidated_at_nothing() {
    let Some(mut lab) = lab(Settings::default()) else { return };
    let user = lab.borrower(ETHER, 1_000, 15_000).unwrap();
    let artifacts = contracts().unwrap();
    lab.oracles[ETHER] = Oracle::deploy(&mut lab.market.evm, &artifacts, Settings::default()).unwrap();
    lab.take_prices().unwrap();
    assert_eq!(lab.price(ETHER).unwrap(), None);
    lab.oracles[ETHER].round(&mut lab.market.evm, FALLEN, Way::Primary).unwrap();
    for _ in 0..10 {
        assert_eq!(lab.price(ETHER).unwrap(), None);
        assert!(liquidate(&mut lab, user).is_err());
        lab.market.evm.warp(1);
    }
    lab.market.evm.warp(1);
    assert_eq!(lab.price(ETHER).unwrap(), Some(U256::from(FALLEN.unsigned_abs())));
    liquidate(&mut lab, user).unwrap();
}

/// A longer cutoff takes Aave's price back, and with it a liquidation that was open.
#[test]
fn a_raised_cutoff_takes_a_price_back() {
    let Some(mut lab) = lab(Settings::default()) else { return };
    let user = lab.borrower(ETHER, 1_000, 15_000).unwrap();
    lab.oracles[ETHER].round(&mut lab.market.evm, FALLEN, Way::Primary).unwrap();
    lab.market.evm.warp(11);
    assert_eq!(lab.price(ETHER).unwrap(), Some(U256::from(FALLEN.unsigned_abs())));
    let oracle = lab.oracles[ETHER].clone();
    oracle.set_cutoff(&mut lab.market.evm, 3_600).unwrap();
    assert_eq!(lab.price(ETHER).unwrap(), Some(U256::from(PRICES[ETHER].unsigned_abs())));
    assert_eq!(liquidate(&mut lab, user).unwrap_err(), "HealthFactorNotBelowThreshold");
}
