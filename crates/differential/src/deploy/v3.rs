//! 3.0 and 3.6: one implementation of each token, roles in an access control manager, e-modes, a sentinel.

use alloy_primitives::{Address, Bytes, U256};
use anyhow::Result;

use super::{Asset, Base, Site, TREASURY, admin};
use crate::abi::{self, Value};
use crate::world::{EModeSpec, Rates, ReserveSpec, Version, World};

/// What all worlds share.
pub(super) fn base(site: &mut Site<'_>, version: Version) -> Result<Base> {
    let is_3_6 = version == Version::V3_6;
    let provider = site.deploy("PoolAddressesProvider", &["market".into(), admin()])?;
    site.call(provider, "setACLAdmin(address)", &[admin()])?;
    let roles = site.deploy("ACLManager", &[provider.into()])?;
    site.call(provider, "setACLManager(address)", &[roles.into()])?;
    for role in ["addPoolAdmin(address)", "addEmergencyAdmin(address)", "addRiskAdmin(address)"] {
        site.call(roles, role, &[admin()])?;
    }
    let pool = if is_3_6 {
        let strategy = site.deploy("DefaultReserveInterestRateStrategyV2", &[provider.into()])?;
        site.deploy("PoolInstance", &[provider.into(), strategy.into()])?
    } else {
        site.deploy("Pool", &[provider.into()])?
    };
    site.call(provider, "setPoolImpl(address)", &[pool.into()])?;
    let pool = site.ask(provider, "getPool()")?;
    let configurator = site.deploy(if is_3_6 { "PoolConfiguratorInstance" } else { "PoolConfigurator" }, &[])?;
    site.call(provider, "setPoolConfiguratorImpl(address)", &[configurator.into()])?;
    let configurator = site.ask(provider, "getPoolConfigurator()")?;
    let data = site.deploy("AaveProtocolDataProvider", &[provider.into()])?;
    site.call(provider, "setPoolDataProvider(address)", &[data.into()])?;
    let none = Address::ZERO;
    let tokens = if is_3_6 {
        let a_token = site.deploy("ATokenInstance", &[pool.into(), none.into(), TREASURY.into()])?;
        [a_token, none, site.deploy("VariableDebtTokenInstance", &[pool.into(), none.into()])?]
    } else {
        let mut token = |name| site.deploy(name, &[pool.into()]);
        [token("AToken")?, token("StableDebtToken")?, token("VariableDebtToken")?]
    };
    Ok(Base { version, libraries: site.libraries.clone(), provider, pool, configurator, tokens })
}

/// One world's reserves: aToken, stable and variable debt of each.
pub(super) fn reserves(site: &mut Site<'_>, base: &Base, world: &World, assets: &[Asset]) -> Result<Vec<[Address; 3]>> {
    let [of, from] = site.sources(world, assets)?;
    let none: Value = Address::ZERO.into();
    let unit = 100_000_000_u64.into();
    let oracle = site.deploy("AaveOracle", &[base.provider.into(), of, from, none.clone(), none, unit])?;
    site.call(base.provider, "setPriceOracle(address)", &[oracle.into()])?;
    let mut tokens = Vec::new();
    for (spec, asset) in world.reserves.iter().zip(assets) {
        init(site, base, spec, *asset)?;
        settings(site, base, spec, *asset)?;
        let data = crate::market::reserve_data(site.evm, base.pool, asset.token)?;
        tokens.push([8, 9, 10].map(|index| abi::address(abi::word_at(&data, index))));
    }
    for e_mode in &world.e_modes {
        set_e_mode(site, base, e_mode, assets)?;
    }
    Ok(tokens)
}

fn init(site: &mut Site<'_>, base: &Base, spec: &ReserveSpec, asset: Asset) -> Result<()> {
    let [a_token, stable, variable] = base.tokens.map(Value::from);
    let text: Value = "t".into();
    if base.version == Version::V3_6 {
        let rates = in_bps(&spec.rates);
        let names = [text.clone(), text.clone(), text.clone(), text];
        let mut input = vec![a_token, variable, asset.token.into()];
        input.extend(names);
        input.extend([Value::Bytes(Vec::new()), Value::Bytes(abi::encode(&rates))]);
        let signature = "initReserves((address,address,address,string,string,string,string,bytes,bytes)[])";
        site.call(base.configurator, signature, &[Value::Array(vec![Value::Tuple(input)])])?;
        return Ok(());
    }
    let strategy = strategy(site, base, &spec.rates)?;
    let mut input = vec![a_token, stable, variable, u64::from(spec.decimals).into(), strategy.into()];
    input.extend([asset.token.into(), TREASURY.into(), Address::ZERO.into()]);
    input.extend(vec![text; 6]);
    input.push(Value::Bytes(Vec::new()));
    let signature = "initReserves((address,address,address,uint8,address,address,address,address,\
                     string,string,string,string,string,string,bytes)[])";
    site.call(base.configurator, signature, &[Value::Array(vec![Value::Tuple(input)])])?;
    Ok(())
}

/// Optimal use, base rate and both slopes, in the basis points that 3.6 keeps.
pub(super) fn in_bps(rates: &Rates) -> [Value; 4] {
    [rates.optimal, rates.base, rates.slope1, rates.slope2].map(|rate| (rate / crate::world::ray(1)).into())
}

fn strategy(site: &mut Site<'_>, base: &Base, rates: &Rates) -> Result<Address> {
    let numbers = [
        rates.optimal,
        rates.base,
        rates.slope1,
        rates.slope2,
        rates.stable_slope1,
        rates.stable_slope2,
        rates.stable_base,
        rates.stable_excess,
        rates.stable_optimal,
    ];
    let mut arguments = vec![base.provider.into()];
    arguments.extend(numbers.map(Value::from));
    site.deploy("DefaultReserveInterestRateStrategy", &arguments)
}

fn settings(site: &mut Site<'_>, base: &Base, spec: &ReserveSpec, asset: Asset) -> Result<()> {
    let token: Value = asset.token.into();
    let mut set = |signature: &str, values: &[Value]| {
        let mut arguments = vec![token.clone()];
        arguments.extend_from_slice(values);
        site.call(base.configurator, signature, &arguments).map(|_| ())
    };
    if spec.liquidation_threshold != 0 {
        let numbers = [spec.ltv, spec.liquidation_threshold, spec.liquidation_bonus].map(|bps| u64::from(bps).into());
        set("configureReserveAsCollateral(address,uint256,uint256,uint256)", &numbers)?;
    }
    set("setReserveBorrowing(address,bool)", &[spec.borrowing.into()])?;
    if spec.stable_borrowing {
        set("setReserveStableRateBorrowing(address,bool)", &[true.into()])?;
    }
    set("setReserveFactor(address,uint256)", &[u64::from(spec.reserve_factor).into()])?;
    let fee = u64::from(spec.liquidation_protocol_fee);
    set("setLiquidationProtocolFee(address,uint256)", &[fee.into()])?;
    set("setSupplyCap(address,uint256)", &[spec.supply_cap.into()])?;
    set("setBorrowCap(address,uint256)", &[spec.borrow_cap.into()])?;
    set("setDebtCeiling(address,uint256)", &[spec.debt_ceiling.into()])?;
    set("setSiloedBorrowing(address,bool)", &[spec.siloed.into()])?;
    set("setBorrowableInIsolation(address,bool)", &[spec.borrowable_in_isolation.into()])
}

fn set_e_mode(site: &mut Site<'_>, base: &Base, spec: &EModeSpec, assets: &[Asset]) -> Result<()> {
    let id: Value = u64::from(spec.id).into();
    let mut arguments = vec![id.clone()];
    arguments.extend([spec.ltv, spec.liquidation_threshold, spec.liquidation_bonus].map(|bps| u64::from(bps).into()));
    if base.version.is_3_0() {
        let source = spec.price.map_or(Address::ZERO, |_| super::e_mode_feed(spec.id));
        arguments.extend([source.into(), "e".into()]);
        site.call(base.configurator, "setEModeCategory(uint8,uint16,uint16,uint16,address,string)", &arguments)?;
        for &index in &spec.collateral {
            let arguments = [assets[index].token.into(), id.clone()];
            site.call(base.configurator, "setAssetEModeCategory(address,uint8)", &arguments)?;
        }
        return Ok(());
    }
    arguments.push("e".into());
    site.call(base.configurator, "setEModeCategory(uint8,uint16,uint16,uint16,string)", &arguments)?;
    let lists = [
        ("setAssetCollateralInEMode(address,uint8,bool)", &spec.collateral),
        ("setAssetBorrowableInEMode(address,uint8,bool)", &spec.borrowable),
        ("setAssetLtvzeroInEMode(address,uint8,bool)", &spec.ltv_zero),
    ];
    for (signature, members) in lists {
        for &index in members {
            site.call(base.configurator, signature, &[assets[index].token.into(), id.clone(), true.into()])?;
        }
    }
    Ok(())
}

/// A sentinel whose two answers are its first two storage words: whether borrowing is allowed, whether liquidating is.
pub(super) fn sentinel(site: &mut Site<'_>, base: &Base) -> Result<Address> {
    let at = Address::repeat_byte(0x5e);
    // The comparison with the second function's selector is the number of the word: 0 or 1.
    let mut code = vec![0x5f, 0x35, 0x60, 0xe0, 0x1c, 0x63];
    code.extend(abi::selector("isLiquidationAllowed()"));
    code.extend([0x14, 0x54, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]);
    site.evm.place(at, Bytes::from(code))?;
    for slot in [U256::ZERO, U256::from(1)] {
        site.evm.set_storage(at, slot, U256::from(1))?;
    }
    site.call(base.provider, "setPriceOracleSentinel(address)", &[at.into()])?;
    Ok(at)
}
