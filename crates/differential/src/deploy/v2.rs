//! V2: every reserve has its own token implementations, and stable rates start from a rate oracle.

use alloy_primitives::Address;
use anyhow::Result;

use super::{Asset, Base, Site, TREASURY, admin};
use crate::world::{ReserveSpec, Version, World};

/// What all worlds share.
pub(super) fn base(site: &mut Site<'_>) -> Result<Base> {
    let provider = site.deploy("LendingPoolAddressesProvider", &["market".into()])?;
    site.call(provider, "setPoolAdmin(address)", &[admin()])?;
    site.call(provider, "setEmergencyAdmin(address)", &[admin()])?;
    let pool = site.deploy("LendingPool", &[])?;
    site.call(provider, "setLendingPoolImpl(address)", &[pool.into()])?;
    let pool = site.ask(provider, "getLendingPool()")?;
    let configurator = site.deploy("LendingPoolConfigurator", &[])?;
    site.call(provider, "setLendingPoolConfiguratorImpl(address)", &[configurator.into()])?;
    let configurator = site.ask(provider, "getLendingPoolConfigurator()")?;
    let manager = site.deploy("LendingPoolCollateralManager", &[])?;
    site.call(provider, "setLendingPoolCollateralManager(address)", &[manager.into()])?;
    Ok(Base {
        version: Version::V2,
        libraries: site.libraries.clone(),
        provider,
        pool,
        configurator,
        tokens: [Address::ZERO; 3],
    })
}

/// One world's reserves: aToken, stable and variable debt of each.
pub(super) fn reserves(site: &mut Site<'_>, base: &Base, world: &World, assets: &[Asset]) -> Result<Vec<[Address; 3]>> {
    let [of, from] = site.sources(world, assets)?;
    // The last argument is the one asset whose price is always 1: none of ours.
    let oracle = site.deploy("AaveOracle", &[of, from, Address::ZERO.into(), Address::repeat_byte(0xee).into()])?;
    site.call(base.provider, "setPriceOracle(address)", &[oracle.into()])?;
    let rates = site.deploy("LendingRateOracle", &[])?;
    site.call(base.provider, "setLendingRateOracle(address)", &[rates.into()])?;
    let mut tokens = Vec::new();
    for (spec, asset) in world.reserves.iter().zip(assets) {
        let rate = [asset.token.into(), spec.rates.stable_base.into()];
        site.call(rates, "setMarketBorrowRate(address,uint256)", &rate)?;
        tokens.push(reserve(site, base, spec, *asset)?);
    }
    Ok(tokens)
}

fn reserve(site: &mut Site<'_>, base: &Base, spec: &ReserveSpec, asset: Asset) -> Result<[Address; 3]> {
    let token = asset.token;
    let rates = &spec.rates;
    let numbers = [rates.optimal, rates.base, rates.slope1, rates.slope2, rates.stable_slope1, rates.stable_slope2];
    let mut arguments = vec![base.provider.into()];
    arguments.extend(numbers.map(Into::into));
    let strategy = site.deploy("DefaultReserveInterestRateStrategy", &arguments)?;
    let none = Address::ZERO;
    let arguments = [base.pool.into(), token.into(), TREASURY.into(), "a".into(), "a".into(), none.into()];
    let a_token = site.deploy("AToken", &arguments)?;
    let arguments = [base.pool.into(), token.into(), "d".into(), "d".into(), none.into()];
    let stable = site.deploy("StableDebtToken", &arguments)?;
    let variable = site.deploy("VariableDebtToken", &arguments)?;
    let arguments = [a_token.into(), stable.into(), variable.into(), u64::from(spec.decimals).into(), strategy.into()];
    site.call(base.configurator, "initReserve(address,address,address,uint8,address)", &arguments)?;
    if spec.borrowing {
        let arguments = [token.into(), spec.stable_borrowing.into()];
        site.call(base.configurator, "enableBorrowingOnReserve(address,bool)", &arguments)?;
    }
    if spec.liquidation_threshold != 0 {
        let numbers =
            [spec.ltv, spec.liquidation_threshold, spec.liquidation_bonus].map(|number| u64::from(number).into());
        let [ltv, threshold, bonus] = numbers;
        let signature = "configureReserveAsCollateral(address,uint256,uint256,uint256)";
        site.call(base.configurator, signature, &[token.into(), ltv, threshold, bonus])?;
    }
    let factor = u64::from(spec.reserve_factor);
    site.call(base.configurator, "setReserveFactor(address,uint256)", &[token.into(), factor.into()])?;
    let data = crate::market::reserve_data(site.evm, base.pool, token)?;
    Ok([7, 8, 9].map(|index| crate::abi::address(crate::abi::word_at(&data, index))))
}
