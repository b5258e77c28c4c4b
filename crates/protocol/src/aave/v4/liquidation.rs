//! `liquidationCall` at a spoke: what it would do, or why it would be refused.
//!
//! Sources: `LiquidationLogic` (`calculateLiquidationBonus`, `_calculateDebtToTargetHealthFactor`,
//! `_calculateDebtToLiquidate`, `_calculateCollateralToLiquidate`, `_calculateLiquidationAmounts`,
//! `_validateLiquidationCall`, `_evaluateDeficit`, `notifyReportDeficit`), `Hub.remove` and `Hub.restore`.
//!
//! There is no close factor. A call repays what the liquidator offers, at most to the target health factor; what would
//! be left as dust goes along, beyond the target and beyond the offer, and then an offer too small is refused.

use alloy_primitives::{Address, U256};

use super::super::account::LIQUIDATION_HEALTH_FACTOR;
use super::super::math::reference::mul_div;
use super::super::math::{Bps, Checked, MathError, Ray, Rounding, Wad, add, mul, percent_mul, sub, unit};
use super::hub::HubView;
use super::position::{
    Account, AccountData, BPS_AS_WAD, Block, DynamicConfig, LiquidationConfig, Repayment, Reserve, RiskPremium, Spoke,
    UserPosition,
};
use super::{
    Allowed, Bonus, Refusal, ReserveId, Value, ValueRay, div_up, mul_div_wide, ray_to_unit_up, require, unit_to_ray,
    value, value_ray,
};

/// Less than this is dust, on either side: 1,000 dollars with 26 decimals.
pub const DUST_LIQUIDATION_THRESHOLD: Value = Value(U256::from_limbs([0x6d72_17ca_a000_0000, 0x1_431e_0fae, 0, 0]));

/// What a liquidator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidationCall {
    /// Who repays and receives.
    pub liquidator: Address,
    /// Whose position it is.
    pub borrower: Address,
    /// What is taken.
    pub collateral: ReserveId,
    /// What is repaid.
    pub debt: ReserveId,
    /// How much at most, in the debt token's smallest unit; [`U256::MAX`] for all that is allowed.
    pub debt_to_cover: U256,
    /// Take shares of the supply instead of the asset itself.
    pub receive_shares: bool,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Executed(Box<Liquidated>),
    /// The spoke or the hub reverted, and nothing changed.
    Refused(Refusal),
}

/// What a liquidation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liquidated {
    /// The health factor before.
    pub health_factor: Wad,
    /// What the liquidator got for what he repaid.
    pub bonus: Bonus,
    /// Which shares changed hands.
    pub amounts: Amounts,
    /// What the liquidator repaid, `debtAmountRestored` in the event, in the debt token's smallest unit.
    pub debt_repaid: U256,
    /// What left the borrower, `collateralAmountRemoved` in the event, in the collateral token's smallest unit.
    pub collateral_removed: U256,
    /// What the hub paid out to the liquidator, in the same unit; nothing where he took shares.
    pub paid_out: U256,
    /// Debt written off because no collateral is left, by reserve, in rays of its smallest unit.
    pub deficits: Vec<(ReserveId, Ray)>,
    /// The borrower's account. Without a deficit the spoke now sets his risk premium anew, which shifts premium shares
    /// and their offset, but no debt; that step is not in here.
    pub borrower: Account,
}

/// Shares that change hands, and premium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Added shares that leave the borrower.
    pub collateral_shares: U256,
    /// Those of them that the liquidator receives, in shares or in assets; the fee receiver gets the rest.
    pub to_liquidator: U256,
    /// Debt that is repaid.
    pub repaid: Repayment,
}

impl Amounts {
    /// The protocol's part of the bonus, in added shares.
    ///
    /// # Errors
    /// The liquidator receives more than leaves the borrower.
    pub fn fee_shares(&self) -> Checked<U256> {
        sub(self.collateral_shares, self.to_liquidator)
    }
}

impl LiquidationConfig {
    /// The bonus at a health factor: the largest at or below one bound, falling in a line to the smallest at 1; every
    /// step rounds down to a basis point, `calculateLiquidationBonus`.
    ///
    /// # Errors
    /// The health factor is above 1, or the largest bonus takes from the liquidator.
    pub fn bonus(&self, health_factor: Wad, max: Bonus) -> Checked<Bonus> {
        if health_factor <= self.health_factor_for_max_bonus {
            return Ok(max);
        }
        let over = sub(max.wide(), Bonus::NONE.wide())?;
        let min = add(percent_mul(over, self.liquidation_bonus_factor, Rounding::Floor)?, Bonus::NONE.wide())?;
        let below_one = sub(LIQUIDATION_HEALTH_FACTOR.0, health_factor.0)?;
        let range = sub(LIQUIDATION_HEALTH_FACTOR.0, self.health_factor_for_max_bonus.0)?;
        let bonus = add(min, mul_div(sub(max.wide(), min)?, below_one, range, Rounding::Floor)?)?;
        u32::try_from(bonus).map(Bonus).map_err(|_| MathError::Overflow)
    }
}

/// The collateral side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollateralSide {
    /// The asset at its hub now.
    pub hub: HubView,
    /// Added shares of the borrower.
    pub supplied_shares: U256,
    /// The configuration that holds for his position.
    pub config: DynamicConfig,
    /// The price of one whole token, in US dollars with eight decimals.
    pub price: U256,
    /// Decimals of the token.
    pub decimals: u8,
}

/// The debt side of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebtSide {
    /// What one drawn share is worth now.
    pub drawn_index: Ray,
    /// All that the borrower owes of this reserve.
    pub owed: Repayment,
    /// The price of one whole token, in US dollars with eight decimals.
    pub price: U256,
    /// Decimals of the token.
    pub decimals: u8,
}

/// All that the amounts of a liquidation depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The spoke's rules.
    pub rules: LiquidationConfig,
    /// The account's health factor, below 1.
    pub health_factor: Wad,
    /// Value of all the account's debts.
    pub total_debt: ValueRay,
    /// The collateral that is taken.
    pub collateral: CollateralSide,
    /// The debt that is repaid.
    pub debt: DebtSide,
}

impl Terms {
    /// What the liquidator gets for what he repays.
    ///
    /// # Errors
    /// As [`LiquidationConfig::bonus`].
    pub fn bonus(&self) -> Checked<Bonus> {
        self.rules.bonus(self.health_factor, self.collateral.config.max_liquidation_bonus)
    }

    /// How much of this debt brings the account to the target, rounded up, in rays of the debt token's smallest unit,
    /// `_calculateDebtToTargetHealthFactor`.
    ///
    /// Each unit repaid takes `bonus * factor` from the weighted collateral, so that
    /// `repaid = debt * (target - health) / (target - bonus * factor)`.
    ///
    /// # Errors
    /// The bonus outweighs the target, the target lies below the health factor, or a number leaves its width.
    pub fn debt_to_target(&self, bonus: Bonus) -> Checked<Ray> {
        let factor = self.collateral.config.collateral_factor;
        let lost = mul_div(mul(bonus.wide(), BPS_AS_WAD)?, factor.wide(), Bps::ONE.wide(), Rounding::Ceil)?;
        let missing = sub(self.rules.target_health_factor.0, self.health_factor.0)?;
        let gained = sub(self.rules.target_health_factor.0, lost)?;
        // A value has eighteen decimals more than a price has, hence the wad in the divisor.
        let divisor = mul(gained, mul(self.debt.price, Wad::ONE.0)?)?;
        let wanted = mul(unit(self.debt.decimals)?, missing)?;
        mul_div_wide(self.total_debt.0, wanted, divisor, Rounding::Ceil).map(Ray)
    }

    /// What of the debt is repaid, before the collateral has its say, `_calculateDebtToLiquidate`: premium first, drawn
    /// shares only once no premium is left; all of it where dust would stay.
    ///
    /// # Errors
    /// As [`debt_to_target`](Self::debt_to_target), or a number leaves its width.
    pub fn debt_to_liquidate(&self, bonus: Bonus, debt_to_cover: U256) -> Checked<Repayment> {
        let (owed, index) = (self.debt.owed, self.debt.drawn_index);
        let target = self.debt_to_target(bonus)?;
        let mut premium = whole_units_up(target)?.min(owed.premium);
        if debt_to_cover < ray_to_unit_up(premium)? {
            premium = unit_to_ray(debt_to_cover)?;
        }
        let mut drawn_shares = U256::ZERO;
        if premium == owed.premium && premium < target {
            let to_target = div_up(sub(target.0, premium.0)?, index.0)?;
            let offered = sub(debt_to_cover, ray_to_unit_up(premium)?)?;
            let to_cover = mul_div_wide(offered, Ray::ONE.0, index.0, Rounding::Floor)?;
            drawn_shares = to_target.min(to_cover).min(owed.drawn_shares);
        }
        let repaid = Repayment { drawn_shares, premium };
        let left = sub(owed.rays(index)?.0, repaid.rays(index)?.0)?;
        let dust = ValueRay(mul(DUST_LIQUIDATION_THRESHOLD.0, Ray::ONE.0)?);
        let is_dust = value_ray(Ray(left), self.debt.price, self.debt.decimals)? < dust;
        Ok(if drawn_shares < owed.drawn_shares && is_dust { owed } else { repaid })
    }

    /// Collateral shares that a repayment buys, rounded down in assets and again in shares,
    /// `_calculateCollateralToLiquidate`.
    ///
    /// # Errors
    /// A number leaves its width.
    pub fn collateral_for(&self, bonus: Bonus, repaid: &Repayment) -> Checked<U256> {
        let (numerator, denominator) = self.exchange(bonus)?;
        let rays = repaid.rays(self.debt.drawn_index)?;
        self.collateral.hub.shares_added(mul_div_wide(rays.0, numerator, denominator, Rounding::Floor)?)
    }

    /// The repayment that all the borrower's shares of this collateral are worth, rounded up, and those shares: fewer
    /// only if the whole debt is repaid by less.
    ///
    /// # Errors
    /// A number leaves its width.
    fn for_all_collateral(&self, bonus: Bonus) -> Checked<(U256, Repayment)> {
        let (supplied, owed) = (self.collateral.supplied_shares, self.debt.owed);
        let (numerator, denominator) = self.exchange(bonus)?;
        let assets = self.collateral.hub.assets_added(supplied)?;
        let rays = Ray(mul_div_wide(assets, denominator, numerator, Rounding::Ceil)?);
        if rays <= owed.premium {
            let premium = whole_units_up(rays)?.min(owed.premium);
            return Ok((supplied, Repayment { drawn_shares: U256::ZERO, premium }));
        }
        let drawn_shares = div_up(sub(rays.0, owed.premium.0)?, self.debt.drawn_index.0)?;
        if drawn_shares <= owed.drawn_shares {
            return Ok((supplied, Repayment { drawn_shares, premium: owed.premium }));
        }
        Ok((self.collateral_for(bonus, &owed)?.min(supplied), owed))
    }

    /// Collateral assets for a debt in rays, as a fraction.
    fn exchange(&self, bonus: Bonus) -> Checked<(U256, U256)> {
        let numerator = mul(mul(self.debt.price, unit(self.collateral.decimals)?)?, bonus.wide())?;
        let worth = mul(mul(unit(self.debt.decimals)?, self.collateral.price)?, Bps::ONE.wide())?;
        Ok((numerator, mul(worth, Ray::ONE.0)?))
    }

    /// Less collateral than counts would stay.
    fn leaves_collateral_dust(&self, taken: U256) -> Checked<bool> {
        let side = &self.collateral;
        if taken >= side.supplied_shares {
            return Ok(false);
        }
        let left = side.hub.assets_removed(sub(side.supplied_shares, taken)?)?;
        Ok(value(left, side.price, side.decimals)? < DUST_LIQUIDATION_THRESHOLD)
    }

    /// What changes hands, `_calculateLiquidationAmounts`.
    ///
    /// # Errors
    /// Dust would stay and the offer does not cover it, or a number leaves its width.
    pub fn amounts(&self, debt_to_cover: U256) -> Allowed<Amounts> {
        let bonus = self.bonus()?;
        let mut repaid = self.debt_to_liquidate(bonus, debt_to_cover)?;
        let mut taken = self.collateral_for(bonus, &repaid)?;
        // All debt is repaid if and only if all drawn shares are, for premium goes first.
        let leaves_debt = repaid.drawn_shares < self.debt.owed.drawn_shares;
        if taken > self.collateral.supplied_shares || (leaves_debt && self.leaves_collateral_dust(taken)?) {
            (taken, repaid) = self.for_all_collateral(bonus)?;
        }
        require(debt_to_cover >= repaid.assets(self.debt.drawn_index)?, Refusal::MustNotLeaveDust)?;
        // The fee is a part of what exceeds 100 % of the bonus, rounded up.
        let over = sub(bonus.wide(), Bonus::NONE.wide())?;
        let part = mul(self.collateral.config.liquidation_fee.wide(), over)?;
        let fee = mul_div(taken, part, mul(bonus.wide(), Bps::ONE.wide())?, Rounding::Ceil)?;
        Ok(Amounts { collateral_shares: taken, to_liquidator: sub(taken, fee)?, repaid })
    }
}

/// The number of rays in whole units, rounded up, `WadRayMath.roundRayUp`.
fn whole_units_up(rays: Ray) -> Checked<Ray> {
    unit_to_ray(ray_to_unit_up(rays)?)
}

/// `_validateLiquidationCall`, in the contract's order.
fn validate(
    call: &LiquidationCall,
    data: &AccountData,
    collateral: (&Reserve, &UserPosition),
    debt: (&Reserve, &UserPosition),
) -> Allowed<()> {
    let config = collateral.0.config(collateral.1.dynamic_config_key);
    require(call.borrower != call.liquidator, Refusal::SelfLiquidation)?;
    require(!call.debt_to_cover.is_zero(), Refusal::InvalidDebtToCover)?;
    require(!collateral.0.paused && !debt.0.paused, Refusal::ReservePaused)?;
    require(!collateral.1.supplied_shares.is_zero(), Refusal::ReserveNotSupplied)?;
    require(!debt.1.drawn_shares.is_zero(), Refusal::ReserveNotBorrowed)?;
    require(data.health_factor < LIQUIDATION_HEALTH_FACTOR, Refusal::HealthFactorNotBelowThreshold)?;
    let covers = config.collateral_factor.0 != 0 && collateral.1.is_collateral;
    require(covers, Refusal::ReserveNotEnabledAsCollateral)?;
    let gives_shares = !collateral.0.frozen && collateral.0.receive_shares_enabled;
    require(!call.receive_shares || gives_shares, Refusal::CannotReceiveShares)
}

impl Spoke {
    /// What a call would do to a borrower, or why it would be refused. Neither the spoke nor the account is changed.
    #[must_use]
    pub fn liquidation_call(&self, borrower: &Account, call: &LiquidationCall, block: &Block) -> Outcome {
        match self.liquidate(borrower, call, block) {
            Ok(liquidated) => Outcome::Executed(Box::new(liquidated)),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn liquidate(&self, borrower: &Account, call: &LiquidationCall, block: &Block) -> Allowed<Liquidated> {
        let data = self.account_data(borrower, block)?;
        let terms = self.terms(borrower, call, &data, block)?;
        let (bonus, amounts) = (terms.bonus()?, terms.amounts(call.debt_to_cover)?);
        let (removed, paid_out) = remove(&terms.collateral.hub, &amounts, call.receive_shares)?;
        let index = terms.debt.drawn_index;
        // The hub takes back no amount of zero.
        let repays_nothing = amounts.repaid == Repayment::default();
        require(!repays_nothing, Refusal::InvalidAmount)?;

        let mut after = borrower.clone();
        let mut position = after.position(call.collateral);
        position.supplied_shares = sub(position.supplied_shares, amounts.collateral_shares)?;
        let collateral_is_empty = position.supplied_shares.is_zero();
        after.positions.insert(call.collateral, position);
        // Read again: both sides may be one reserve.
        let mut position = after.position(call.debt).restored(amounts.repaid, index, borrower.risk_premium)?;
        let debt_is_empty = position.drawn_shares.is_zero();
        position.is_borrowing &= !debt_is_empty;
        after.positions.insert(call.debt, position);

        let no_collateral = collateral_is_empty && data.active_collaterals <= 1;
        let deficits = if no_collateral && (!debt_is_empty || data.borrows > 1) {
            self.write_off(&mut after, block)?
        } else {
            Vec::new()
        };
        Ok(Liquidated {
            health_factor: data.health_factor,
            bonus,
            amounts,
            debt_repaid: amounts.repaid.assets(index)?,
            collateral_removed: removed,
            paid_out,
            deficits,
            borrower: after,
        })
    }

    /// Reads both sides of a call that the spoke does not refuse.
    fn terms(&self, borrower: &Account, call: &LiquidationCall, data: &AccountData, block: &Block) -> Allowed<Terms> {
        let (collateral, debt) = (self.reserve(call.collateral)?, self.reserve(call.debt)?);
        let (supply, debt_position) = (borrower.position(call.collateral), borrower.position(call.debt));
        let drawn_index = debt.asset.drawn_index(block.now)?;
        let owed = debt_position.debt(drawn_index)?;
        validate(call, data, (collateral, &supply), (debt, &debt_position))?;
        Ok(Terms {
            rules: self.liquidation,
            health_factor: data.health_factor,
            total_debt: data.total_debt,
            collateral: CollateralSide {
                hub: collateral.asset.at(block.now)?,
                supplied_shares: supply.supplied_shares,
                config: collateral.config(supply.dynamic_config_key),
                price: block.price(call.collateral)?,
                decimals: collateral.decimals,
            },
            debt: DebtSide { drawn_index, owed, price: block.price(call.debt)?, decimals: debt.decimals },
        })
    }

    /// Writes off every debt of an account, `notifyReportDeficit`; the list is in the order of reserves, which the
    /// contract goes through backwards.
    fn write_off(&self, account: &mut Account, block: &Block) -> Allowed<Vec<(ReserveId, Ray)>> {
        let mut deficits = Vec::new();
        account.risk_premium = RiskPremium::default();
        for (id, position) in account.positions.iter_mut().filter(|(_, position)| position.is_borrowing) {
            let index = self.reserve(*id)?.asset.drawn_index(block.now)?;
            let owed = position.debt(index)?;
            deficits.push((*id, owed.rays(index)?));
            *position = UserPosition { is_borrowing: false, ..position.restored(owed, index, RiskPremium::default())? };
        }
        Ok(deficits)
    }
}

/// What leaves the borrower in assets, and what the hub pays out, `_liquidateCollateral`.
fn remove(hub: &HubView, amounts: &Amounts, receive_shares: bool) -> Allowed<(U256, U256)> {
    let removed = hub.assets_removed(amounts.collateral_shares)?;
    if receive_shares || amounts.to_liquidator.is_zero() {
        return Ok((removed, U256::ZERO));
    }
    let paid_out = hub.assets_removed(amounts.to_liquidator)?;
    require(!paid_out.is_zero(), Refusal::InvalidAmount)?;
    require(paid_out <= hub.liquidity, Refusal::InsufficientLiquidity)?;
    Ok((removed, paid_out))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
