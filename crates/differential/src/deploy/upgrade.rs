//! From 3.0.2 to 3.6 in place, as governance would do it, in one leap instead of five.
//!
//! The five upgrades in between rewrote storage as they passed, without events: 3.1 began to book each reserve's own
//! balance, 3.2 turned e-mode categories into bitmaps, and 3.3 and 3.4 gave the places of the stable rate and of
//! unbacked supply to the deficit and to that balance. Their code is not to be had compiled, so a stand-in
//! writes what they left behind: an implementation that does nothing else when it is initialised.

use alloy_primitives::{Address, Bytes, U256, keccak256};
use anyhow::{Result, anyhow, bail};

use super::{Site, TREASURY};
use crate::abi::{self, Value, word};
use crate::anvil::Transaction;
use crate::artifacts::Artifacts;
use crate::evm::{ADMIN, Reverted};
use crate::market::Market;
use crate::world::{Version, World};

/// Where the pool keeps its reserves, and, three further, its categories: behind what its proxies' initialiser needs.
const RESERVES: u64 = 52;
const CATEGORIES: u64 = RESERVES + 3;

/// Brings a market of 3.0.2 to 3.6. It must have no stable debt and no category with a price of its own.
pub fn upgrade(market: &mut Market, artifacts: &Artifacts, world: &World) -> Result<()> {
    if market.version != Version::V3_0_2 {
        bail!("{:?} cannot be upgraded, 3.0.2 can", market.version);
    }
    let rewritten = rewritten(market)?;
    let [provider, pool] = [market.provider, market.pool].map(Value::from);
    let mut site = Site::new(&mut market.evm, artifacts, Version::V3_6);
    let strategy = site.deploy("DefaultReserveInterestRateStrategyV2", std::slice::from_ref(&provider))?;
    let next_pool = site.deploy("PoolInstance", &[provider, strategy.into()])?;
    let next_configurator = site.deploy("PoolConfiguratorInstance", &[])?;
    let none: Value = Address::ZERO.into();
    let a_token = site.deploy("ATokenInstance", &[pool.clone(), none.clone(), TREASURY.into()])?;
    let variable = site.deploy("VariableDebtTokenInstance", &[pool, none])?;
    let stand_in = Address::repeat_byte(0x3b);
    site.evm.place(stand_in, writer(&rewritten))?;
    let calls = [stand_in, next_pool].map(|pool| abi::call("setPoolImpl(address)", &[pool.into()]));
    if let Some(node) = site.evm.node() {
        // In one block, as governance does it: what stands in is never the pool's code when a block ends.
        let transaction = |data| Transaction::call(ADMIN, market.provider, data);
        for receipt in node.block(&calls.map(transaction))? {
            receipt.map_err(|Reverted(reason)| anyhow!("setPoolImpl reverted with {reason}"))?;
        }
    } else {
        calls.into_iter().try_for_each(|data| site.evm.admin(market.provider, data, "setPoolImpl"))?;
    }
    site.call(market.provider, "setPoolConfiguratorImpl(address)", &[next_configurator.into()])?;
    for (spec, reserve) in world.reserves.iter().zip(&mut market.reserves) {
        let asset: Value = reserve.asset.into();
        for (name, implementation) in [("updateAToken", a_token), ("updateVariableDebtToken", variable)] {
            let text: Value = "t".into();
            let input = vec![asset.clone(), text.clone(), text, implementation.into(), Value::Bytes(Vec::new())];
            let signature = format!("{name}((address,string,string,address,bytes))");
            site.call(market.configurator, &signature, &[Value::Tuple(input)])?;
        }
        let rates = Value::Bytes(abi::encode(&super::v3::in_bps(&spec.rates)));
        site.call(market.configurator, "setReserveInterestRateData(address,bytes)", &[asset, rates])?;
        reserve.stable = Address::ZERO;
    }
    market.version = Version::V3_6;
    Ok(())
}

/// The storage words that are another version's, and what they become.
fn rewritten(market: &mut Market) -> Result<Vec<(U256, U256)>> {
    let mut words = Vec::new();
    let mut members: Vec<(u8, U256)> = market.e_mode_feeds.iter().map(|(id, _)| (*id, U256::ZERO)).collect();
    for index in 0..market.reserves.len() {
        let state = market.reserve(index)?;
        if !state.stable_principal.is_zero() {
            bail!("reserve {index} has stable debt, which 3.6 does not know");
        }
        let category = u8::try_from((state.configuration >> 168) & U256::from(0xff)).unwrap_or(0);
        if let Some((_, set)) = members.iter_mut().find(|(id, _)| *id == category) {
            *set |= U256::from(1) << index;
        }
        let at = |slot: u64| place(word(market.reserves[index].asset), RESERVES) + U256::from(slot);
        // Books its own balance; belongs to no category by itself.
        let own_category: U256 = U256::from(0xff) << 168;
        let booked: U256 = U256::from(1) << 252;
        let configuration = (state.configuration & !own_category) | booked;
        words.push((at(0), configuration));
        // The stable rate's place, before the moment and the number, is the deficit's.
        words.push((at(3), (state.last_update << 128) | (U256::from(index) << 168)));
        // The place of unbacked supply, after what the treasury is owed, is the balance's.
        words.push((at(8), state.accrued_to_treasury | (state.liquidity << 128)));
    }
    for (id, set) in members {
        let at = place(U256::from(id), CATEGORIES);
        let [ltv, threshold, bonus] = market.e_mode_terms(id)?;
        words.push((at, ltv | (threshold << 16) | (bonus << 32) | (set << 48)));
        words.push((at + U256::from(2), set));
    }
    Ok(words)
}

/// Where a mapping keeps what belongs to a key.
fn place(key: U256, mapping: u64) -> U256 {
    let mut preimage = key.to_be_bytes_vec();
    preimage.extend(U256::from(mapping).to_be_bytes_vec());
    keccak256(preimage).into()
}

/// Code that answers 3 when it is asked without arguments, which is the revision that it takes over from, and writes words
/// into storage when it is called with any.
fn writer(words: &[(U256, U256)]) -> Bytes {
    let mut code = vec![0x36, 0x60, 0x04, 0x18, 0x60, 0x0f, 0x57, 0x60, 0x03, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3, 0x5b];
    for (slot, value) in words {
        for word in [value, slot] {
            code.push(0x7f);
            code.extend(word.to_be_bytes::<32>());
        }
        code.push(0x55);
    }
    code.push(0x00);
    code.into()
}
