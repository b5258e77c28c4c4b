//! A made-up market with many accounts, each with two collateral legs and two debt legs.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use anyhow::{Result, anyhow};
use differential::chance::Chance;
use protocol::aave::Revision;
use protocol::aave::account::{Block, Leg, Valuation};
use protocol::aave::config::{ReserveConfig, ReserveId};
use protocol::aave::math::{Bps, Ray};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;

/// Legs of an account: collateral first.
pub(crate) const LEGS: usize = 4;
const COLLATERAL: usize = 2;
const NOW: u64 = 1_700_000_000;

/// Decimals, and whole dollars a token: six of each half of the market.
const TOKENS: [(u8, u64); 12] = [
    (18, 3_000),
    (6, 1),
    (8, 60_000),
    (6, 1),
    (18, 3_500),
    (18, 1),
    (18, 15),
    (18, 90),
    (8, 60_000),
    (18, 1),
    (18, 7),
    (2, 1),
];

/// The market and everybody in it.
pub(crate) struct People {
    pub(crate) reserves: Vec<Reserve>,
    pub(crate) valuation: Valuation,
    /// [`LEGS`] of each account.
    pub(crate) legs: Vec<Leg>,
}

impl People {
    pub(crate) fn new(count: usize) -> Result<Self> {
        let chance = &mut Chance::new(2, 2);
        let reserves: Vec<Reserve> = TOKENS.iter().map(|(decimals, _)| reserve(*decimals, chance)).collect();
        let valuation = value(Revision::V3_6, &reserves)?;
        let legs = (0..count).flat_map(|_| account(chance)).collect();
        Ok(Self { reserves, valuation, legs })
    }

    pub(crate) fn count(&self) -> usize {
        self.legs.len() / LEGS
    }

    /// Each account with its first legs: all four, or two of collateral and one of debt.
    pub(crate) fn accounts(&self, legs: usize) -> impl Iterator<Item = (u8, &[Leg])> + Clone {
        self.legs.chunks_exact(LEGS).map(move |all| (0, &all[..legs]))
    }
}

/// The same market under another revision.
pub(crate) fn value(revision: Revision, reserves: &[Reserve]) -> Result<Valuation> {
    let prices = TOKENS.iter().map(|(_, dollars)| U256::from(dollars * 100_000_000 + 12_345)).collect();
    let block = Block { now: NOW, prices, ..Block::default() };
    Valuation::new(revision, reserves, &BTreeMap::new(), &block).map_err(|error| anyhow!("no valuation: {error}"))
}

fn reserve(decimals: u8, chance: &mut Chance) -> Reserve {
    let config = ReserveConfig {
        ltv: Bps(7_000),
        liquidation_threshold: Bps(chance.bps(7_000, 8_500)),
        decimals,
        ..ReserveConfig::default()
    };
    let mut index = || Ray(Ray::ONE.0 + U256::from(u128::from(chance.bits()) << 23));
    let (liquidity_index, variable_borrow_index) = (index(), index());
    let new = Reserve::new(config, RateModel::default());
    Reserve { liquidity_index, variable_borrow_index, last_update: NOW - 60, ..new }
}

/// Few reserves hold most of the accounts, as everywhere.
fn account(chance: &mut Chance) -> [Leg; LEGS] {
    let mut taken = [TOKENS.len(); LEGS];
    let size = chance.within(1_000, 1_000_000);
    std::array::from_fn(|leg| {
        let (side, is_collateral) = (leg / COLLATERAL, leg < COLLATERAL);
        loop {
            let reserve = chance.index(TOKENS.len()).min(chance.index(TOKENS.len())).min(chance.index(TOKENS.len()));
            if taken[side * COLLATERAL..leg].contains(&reserve) {
                continue;
            }
            taken[leg] = reserve;
            let (decimals, dollars) = TOKENS[reserve];
            // Each debt is worth a seventh to four fifths of what each collateral is: a few accounts are below 1.
            let share = if is_collateral { 1_000 } else { chance.within(150, 800) };
            let units = 10_u128.pow(decimals.into()) * u128::from(size * share) / u128::from(1_000 * dollars);
            let amount = units + u128::from(chance.below(1_000));
            return Leg {
                supplied: if is_collateral { amount } else { 0 },
                borrowed: if is_collateral { 0 } else { amount },
                stable_debt: 0,
                reserve: ReserveId(u8::try_from(reserve).unwrap_or(u8::MAX)),
                is_collateral,
                is_borrowing: !is_collateral,
            };
        }
    })
}
