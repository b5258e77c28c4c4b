//! One account at a spoke: debt and supply by reserve, and what the account is worth.
//!
//! Sources: `UserPositionUtils` (`getDebt`, `getDebtComponents`, `calculatePremiumDelta`, `applyPremiumDelta`),
//! `Spoke._processUserAccountData`.

use std::collections::BTreeMap;

use alloy_primitives::{I256, U256};

use super::super::math::reference::mul_div;
use super::super::math::{Bps, Checked, MathError, Ray, Rounding, Wad, add, div, fits, mul, ray_mul, sub};
use super::hub::HubAsset;
use super::{
    Allowed, Bonus, Refusal, ReserveId, Value, ValueRay, mul_div_wide, premium, ray_to_unit_up, value, value_ray,
};

/// A basis point as a wad, `bpsToWad`.
pub(super) const BPS_AS_WAD: U256 = U256::from_limbs([100_000_000_000_000, 0, 0, 0]);

/// What governance set for a reserve under one key (`DynamicReserveConfig`). A position keeps its key, and with it these
/// numbers, until an action of its owner refreshes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DynamicConfig {
    /// The part of a supply's value that covers debt.
    pub collateral_factor: Bps,
    /// The most a liquidator gets for what he repays.
    pub max_liquidation_bonus: Bonus,
    /// The protocol's part of that bonus.
    pub liquidation_fee: Bps,
}

/// What governance set for all liquidations at a spoke (`LiquidationConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidationConfig {
    /// Where a liquidation brings an account, at least 1.
    pub target_health_factor: Wad,
    /// At or below this health factor the bonus is the largest, below 1.
    pub health_factor_for_max_bonus: Wad,
    /// The part of the largest bonus that is paid at a health factor of 1, at most 1.
    pub liquidation_bonus_factor: Bps,
}

/// A reserve of a spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Decimals of the token, at most [`MAX_DECIMALS`](super::MAX_DECIMALS).
    pub decimals: u8,
    /// Nothing can be done.
    pub paused: bool,
    /// Nothing new can be done.
    pub frozen: bool,
    /// Liquidators may take shares.
    pub receive_shares_enabled: bool,
    /// Configurations by key.
    pub configs: BTreeMap<u32, DynamicConfig>,
    /// The asset at its hub.
    pub asset: HubAsset,
}

impl Reserve {
    /// The configuration of a key. An unknown one has all parameters at zero, as unwritten storage does.
    #[must_use]
    pub fn config(&self, key: u32) -> DynamicConfig {
        self.configs.get(&key).copied().unwrap_or_default()
    }
}

/// A spoke: its reserves and its rules of liquidation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoke {
    /// The rules.
    pub liquidation: LiquidationConfig,
    /// The reserves.
    pub reserves: BTreeMap<ReserveId, Reserve>,
}

/// What is the same for everyone at one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Seconds since 1970.
    pub now: u64,
    /// The price of one whole token of each reserve, in US dollars with eight decimals.
    pub prices: BTreeMap<ReserveId, U256>,
}

impl Block {
    /// The price of one whole token.
    ///
    /// # Errors
    /// There is none, or it is zero.
    pub fn price(&self, id: ReserveId) -> Allowed<U256> {
        self.prices.get(&id).copied().filter(|price| !price.is_zero()).ok_or(Refusal::InvalidPrice)
    }
}

/// How much of a debt is repaid or written off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repayment {
    /// Drawn shares.
    pub drawn_shares: U256,
    /// Premium, in rays of the smallest unit.
    pub premium: Ray,
}

impl Repayment {
    /// What it takes in the asset's smallest unit: either part rounded up by itself.
    ///
    /// # Errors
    /// A product or the sum leaves 256 bits.
    pub fn assets(&self, index: Ray) -> Checked<U256> {
        add(ray_mul(self.drawn_shares, index, Rounding::Ceil)?, ray_to_unit_up(self.premium)?)
    }

    /// What it is exactly, in rays of the smallest unit.
    ///
    /// # Errors
    /// A product or the sum leaves 256 bits.
    pub fn rays(&self, index: Ray) -> Checked<Ray> {
        add(mul(self.drawn_shares, index.0)?, self.premium.0).map(Ray)
    }
}

/// One account's holdings in one reserve (`UserPosition`, with its two bits of `PositionStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserPosition {
    /// Shares of what is drawn at the hub.
    pub drawn_shares: U256,
    /// Shares that the premium accrues on.
    pub premium_shares: U256,
    /// What the premium shares count from, in rays of the smallest unit; below zero where premium is carried over.
    pub premium_offset: I256,
    /// Shares of what is added at the hub.
    pub supplied_shares: U256,
    /// Which of the reserve's configurations holds for this position.
    pub dynamic_config_key: u32,
    /// The supply covers debt.
    pub is_collateral: bool,
    /// The reserve is owed.
    pub is_borrowing: bool,
}

impl UserPosition {
    /// Both parts of the debt, exact.
    ///
    /// # Errors
    /// A product leaves its width, or the premium is below zero.
    pub fn debt(&self, index: Ray) -> Checked<Repayment> {
        Ok(Repayment {
            drawn_shares: self.drawn_shares,
            premium: premium(self.premium_shares, self.premium_offset, index)?,
        })
    }

    /// The position after a part of its debt is gone. The premium is issued anew: so many premium shares as the account's
    /// risk premium asks of what stays drawn, and an offset that leaves exactly the premium not yet repaid.
    ///
    /// # Errors
    /// More is repaid than owed, or a number leaves its width.
    pub fn restored(&self, repayment: Repayment, index: Ray, risk_premium: RiskPremium) -> Checked<Self> {
        let owed = premium(self.premium_shares, self.premium_offset, index)?;
        let left = fits(sub(owed.0, repayment.premium.0)?, 255)?;
        let drawn_shares = sub(self.drawn_shares, repayment.drawn_shares)?;
        let premium_shares =
            fits(mul_div(drawn_shares, U256::from(risk_premium.0), Bps::ONE.wide(), Rounding::Ceil)?, 120)?;
        let worth = fits(mul(premium_shares, index.0)?, 255)?;
        let premium_offset = I256::from_raw(worth).checked_sub(I256::from_raw(left)).ok_or(MathError::Overflow)?;
        // `toInt200`: a number below zero may reach one further.
        let size = premium_offset.unsigned_abs();
        fits(if premium_offset.is_negative() { sub(size, U256::from(1))? } else { size }, 199)?;
        Ok(Self { drawn_shares, premium_shares, premium_offset, ..*self })
    }
}

/// What an account pays over the drawn rate, in basis points of it; the contract has 24 bits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RiskPremium(pub u32);

/// One account at one spoke.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// The risk premium as the spoke last set it.
    pub risk_premium: RiskPremium,
    /// Its holdings.
    pub positions: BTreeMap<ReserveId, UserPosition>,
}

impl Account {
    /// Its holdings in one reserve.
    #[must_use]
    pub fn position(&self, id: ReserveId) -> UserPosition {
        self.positions.get(&id).copied().unwrap_or_default()
    }
}

/// What `getUserAccountData` returns, without the risk premium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountData {
    /// Value of the collateral, each supply rounded down to units of its token.
    pub total_collateral: Value,
    /// Value of the debt, exact.
    pub total_debt: ValueRay,
    /// The collateral factors' average by value, floored.
    pub average_collateral_factor: Wad,
    /// [`Wad::INFINITE`] without debt.
    pub health_factor: Wad,
    /// Reserves that cover debt: collateral with a supply and a factor.
    pub active_collaterals: usize,
    /// Reserves that are owed.
    pub borrows: usize,
}

impl Spoke {
    /// A reserve by its number.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve(&self, id: ReserveId) -> Allowed<&Reserve> {
        self.reserves.get(&id).ok_or(Refusal::ReserveNotListed)
    }

    /// Values one account, `_processUserAccountData` without refreshing its keys.
    ///
    /// The health factor is `floor(sum(factor * value) * ray / debt)` in one step: neither the average factor nor the
    /// rounded debt is in it.
    ///
    /// # Errors
    /// A reserve the account uses is unknown or has no price, or a number leaves its width.
    pub fn account_data(&self, account: &Account, block: &Block) -> Allowed<AccountData> {
        let (mut collateral, mut weighted, mut debt) = (U256::ZERO, U256::ZERO, U256::ZERO);
        let (mut active_collaterals, mut borrows) = (0_usize, 0_usize);
        for (id, position) in &account.positions {
            if !position.is_collateral && !position.is_borrowing {
                continue;
            }
            let (reserve, price) = (self.reserve(*id)?, block.price(*id)?);
            let factor = reserve.config(position.dynamic_config_key).collateral_factor;
            if position.is_collateral && factor.0 != 0 && !position.supplied_shares.is_zero() {
                let supplied = reserve.asset.at(block.now)?.assets_removed(position.supplied_shares)?;
                let worth = value(supplied, price, reserve.decimals)?.0;
                collateral = add(collateral, worth)?;
                weighted = add(weighted, mul(factor.wide(), worth)?)?;
                active_collaterals = active_collaterals.saturating_add(1);
            }
            if position.is_borrowing {
                let index = reserve.asset.drawn_index(block.now)?;
                let owed = position.debt(index)?.rays(index)?;
                debt = add(debt, value_ray(owed, price, reserve.decimals)?.0)?;
                borrows = borrows.saturating_add(1);
            }
        }
        let weighted = mul(weighted, BPS_AS_WAD)?;
        let health_factor =
            if debt.is_zero() { U256::MAX } else { mul_div_wide(weighted, Ray::ONE.0, debt, Rounding::Floor)? };
        let average = if collateral.is_zero() { U256::ZERO } else { div(weighted, collateral)? };
        Ok(AccountData {
            total_collateral: Value(collateral),
            total_debt: ValueRay(debt),
            average_collateral_factor: Wad(average),
            health_factor: Wad(health_factor),
            active_collaterals,
            borrows,
        })
    }
}
