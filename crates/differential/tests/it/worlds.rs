//! Random worlds of every version, on the contracts themselves.

use alloy_primitives::U256;
use differential::action::{Action, Mode};
use differential::deploy::Deployer;
use differential::world::{Version, World};

use crate::contracts;

/// Deploying is right when what was deployed works: people supply, and somebody borrows or is told why not.
#[test]
fn worlds_deploy_and_work() {
    let Some(artifacts) = contracts() else { return };
    for version in Version::ALL {
        let deployer = Deployer::new(&artifacts, version).unwrap();
        let mut borrowed = 0;
        for seed in 0..20 {
            let world = World::random(version, seed);
            let mut market = deployer.market(&world).unwrap();
            for (index, spec) in world.reserves.iter().enumerate() {
                let state = market.reserve(index).unwrap();
                assert_eq!(state.liquidity_index, U256::from(10).pow(U256::from(27)));
                assert_eq!(state.configuration & U256::from(0xffff), U256::from(spec.ltv));
            }
            let amount = U256::from(10).pow(U256::from(20));
            for user in [0, 1] {
                market.act(&Action::Supply { user, reserve: user, amount, to: user }).unwrap().unwrap();
            }
            let amount = U256::from(1_000);
            let borrow = Action::Borrow { user: 0, reserve: 1, amount, mode: Mode::Variable };
            borrowed += u32::from(market.act(&borrow).unwrap().is_ok());
        }
        assert!(borrowed > 10, "{version:?}: {borrowed} of 20 worlds let somebody borrow");
    }
}
