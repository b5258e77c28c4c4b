//! `liquidationCall`, every revision: what it would do, or why it would be refused.
//!
//! Sources: `LiquidationLogic.executeLiquidationCall`, `_calculateAvailableCollateralToLiquidate`, `_burnDebtTokens`,
//! `_burnBadDebt`, `ValidationLogic.validateLiquidationCall`; V2's `LendingPoolCollateralManager`.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use super::account::{AccountData, Block, LIQUIDATION_HEALTH_FACTOR, category_of};
use super::config::{CollateralTerms, EMode, ReserveConfig, ReserveId};
use super::math::{
    Bps, Checked, Ray, Rounding, Wad, add, div, fits, mul, percent_div, percent_mul, percent_mul_half_up, sub, unit,
    value,
};
use super::pool::Pool;
use super::refusal::{Allowed, Refusal};
use super::reserve::ReserveCache;
use super::revision::{LiquidationOrder, Revision, Scaling};
use super::supply::require;

/// Above this health factor a single call closes only half: 0.95.
pub const CLOSE_FACTOR_HEALTH_FACTOR: Wad = Wad(U256::from_limbs([950_000_000_000_000_000, 0, 0, 0]));

/// Both sides must be worth this much for the close factor to be half: 2,000 dollars with eight decimals (3.3+).
///
/// The contract's constant assumes a base currency of eight decimals; so does every V3 market.
pub const MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD: U256 = U256::from_limbs([200_000_000_000, 0, 0, 0]);

/// What is left of either side must be worth this much, 1,000 dollars with eight decimals (3.3+).
pub const MIN_LEFTOVER_BASE: U256 = U256::from_limbs([100_000_000_000, 0, 0, 0]);

/// Half.
const DEFAULT_CLOSE_FACTOR: Bps = Bps(5_000);

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
    /// Take supplied tokens instead of the asset itself.
    pub receive_a_token: bool,
}

/// What a liquidation did. Amounts are in each token's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liquidated {
    /// What the liquidator repaid, `debtToCover` in the event.
    pub debt_repaid: U256,
    /// What he received, without the protocol's fee, `liquidatedCollateralAmount` in the event.
    pub collateral_received: U256,
    /// What the treasury received of the bonus.
    pub protocol_fee: U256,
    /// The health factor before.
    pub health_factor: Wad,
    /// Debt written off because no collateral is left, by reserve (3.3+).
    pub deficits: Vec<(ReserveId, U256)>,
}

/// Both sides of a call at one block: prices and units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Price of one whole collateral token, in base currency.
    pub collateral_price: U256,
    /// Decimals of the collateral token.
    pub collateral_decimals: u8,
    /// Price of one whole debt token, in base currency.
    pub debt_price: U256,
    /// Decimals of the debt token.
    pub debt_decimals: u8,
    /// What the liquidator gets for what he repays, 10,500 for 5 % more.
    pub bonus: Bps,
    /// The treasury's share of the bonus.
    pub protocol_fee: Bps,
}

/// What of a position decides how much of one debt a call may repay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposed {
    /// The account's health factor.
    pub health_factor: Wad,
    /// All its debt, in base currency.
    pub total_debt: U256,
    /// The debt to repay, in its smallest unit.
    pub debt: U256,
    /// The collateral to take, in its smallest unit.
    pub collateral: U256,
}

/// How much changes hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Repaid, in the debt token's smallest unit.
    pub debt: U256,
    /// Received by the liquidator.
    pub collateral: U256,
    /// Received by the treasury.
    pub fee: U256,
}

impl Amounts {
    /// What leaves the borrower.
    ///
    /// # Errors
    /// The sum leaves 256 bits.
    pub fn seized(&self) -> Checked<U256> {
        add(self.collateral, self.fee)
    }
}

impl Pair {
    /// The collateral that a repayment buys, at most `balance`, and the repayment that this takes,
    /// `_calculateAvailableCollateralToLiquidate`.
    ///
    /// # Errors
    /// A product leaves 256 bits, or a price is zero.
    pub fn amounts(&self, revision: Revision, debt_to_cover: U256, balance: U256) -> Checked<Amounts> {
        let rounding = revision.rules().liquidation.rounding();
        let (collateral_unit, debt_unit) = (unit(self.collateral_decimals)?, unit(self.debt_decimals)?);
        let paid = mul(mul(self.debt_price, debt_to_cover)?, collateral_unit)?;
        let per_collateral = mul(self.collateral_price, debt_unit)?;
        let is_v2 = revision.rules().liquidation == LiquidationOrder::V2;
        let most = if is_v2 {
            // V2 applies the bonus before it divides.
            div(percent_mul_half_up(paid, self.bonus)?, per_collateral)?
        } else {
            percent_mul(div(paid, per_collateral)?, self.bonus, rounding.with_bonus)?
        };
        let (collateral, debt) = if most > balance {
            let worth = mul(mul(self.collateral_price, balance)?, debt_unit)?;
            let repaid = div(worth, mul(self.debt_price, collateral_unit)?)?;
            (balance, percent_div(repaid, self.bonus, rounding.debt_needed)?)
        } else {
            (most, debt_to_cover)
        };
        let fee = if is_v2 || self.protocol_fee.0 == 0 {
            U256::ZERO
        } else {
            let bonus = sub(collateral, percent_div(collateral, self.bonus, rounding.without_bonus)?)?;
            percent_mul(bonus, self.protocol_fee, rounding.fee)?
        };
        Ok(Amounts { debt, collateral: sub(collateral, fee)?, fee })
    }

    /// The most that one call may repay of a debt, in its smallest unit: the close factor.
    ///
    /// Half of the debt in V2; to 3.2 all of it at a health factor of at most 0.95, else half; since 3.3 half of the whole
    /// position's debt while both sides are worth 2,000 dollars and the health factor is above 0.95.
    ///
    /// # Errors
    /// A product leaves 256 bits, or the debt's price is zero.
    pub fn most_repaid(&self, revision: Revision, position: &Exposed) -> Checked<U256> {
        let Exposed { health_factor, total_debt, debt, collateral } = *position;
        match revision.rules().liquidation {
            LiquidationOrder::V2 => return percent_mul_half_up(debt, DEFAULT_CLOSE_FACTOR),
            LiquidationOrder::V3_0_0 | LiquidationOrder::V3_0_2 => {
                let is_near = health_factor > CLOSE_FACTOR_HEALTH_FACTOR;
                return percent_mul_half_up(debt, if is_near { DEFAULT_CLOSE_FACTOR } else { Bps::ONE });
            }
            LiquidationOrder::V3_3 | LiquidationOrder::V3_5 | LiquidationOrder::V3_7 => {}
        }
        let debt_value = self.debt_value(debt, revision.rules().debt_value)?;
        let is_large = self.collateral_value(collateral)? >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD
            && debt_value >= MIN_BASE_MAX_CLOSE_FACTOR_THRESHOLD;
        if !is_large || health_factor <= CLOSE_FACTOR_HEALTH_FACTOR {
            return Ok(debt);
        }
        let half = percent_mul_half_up(total_debt, DEFAULT_CLOSE_FACTOR)?;
        if debt_value <= half {
            return Ok(debt);
        }
        div(mul(half, unit(self.debt_decimals)?)?, self.debt_price)
    }

    fn collateral_value(&self, amount: U256) -> Checked<U256> {
        value(amount, self.collateral_price, self.collateral_decimals, Rounding::Floor)
    }

    fn debt_value(&self, amount: U256, rounding: Rounding) -> Checked<U256> {
        value(amount, self.debt_price, self.debt_decimals, rounding)
    }
}

/// By which terms one borrower's collateral is liquidated, as his category and the reserve have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiquidationTerms {
    /// What the liquidator gets for what he repays, 10,500 for 5 % more.
    pub bonus: Bps,
    /// The treasury's share of the bonus.
    pub protocol_fee: Bps,
    /// The category whose own price the collateral takes, if that price is not zero (3.0, 3.1).
    pub collateral_category: Option<u8>,
    /// The same for the debt, which takes it even if it is not in the category.
    pub debt_category: Option<u8>,
}

impl LiquidationTerms {
    /// The terms of a borrower in category `e_mode` (0 for none) whose collateral is the reserve `id`.
    #[must_use]
    pub fn of(
        revision: Revision,
        e_modes: &BTreeMap<u8, EMode>,
        e_mode: u8,
        id: ReserveId,
        collateral: &ReserveConfig,
    ) -> Self {
        let rules = revision.rules();
        let category = category_of(rules, e_modes, e_mode);
        let priced = category.filter(|(_, category)| category.has_price_source).map(|(number, _)| number);
        let takes_fee = rules.liquidation != LiquidationOrder::V2;
        Self {
            bonus: CollateralTerms::of(rules, id, collateral, category).liquidation_bonus,
            protocol_fee: if takes_fee { collateral.liquidation_protocol_fee } else { Bps(0) },
            collateral_category: priced.filter(|number| collateral.e_mode_category == *number),
            debt_category: priced,
        }
    }

    /// How much of seized collateral, the treasury's fee included, is bonus.
    ///
    /// # Errors
    /// A product leaves 256 bits, or there is no bonus to divide by.
    pub fn bonus_in(&self, revision: Revision, seized: U256) -> Checked<U256> {
        let rounding = revision.rules().liquidation.rounding();
        sub(seized, percent_div(seized, self.bonus, rounding.without_bonus)?)
    }

    /// The treasury's fee, given what the liquidator received, the scaled supply that moved to the treasury at `index`,
    /// and how the supply token scales. A scaled amount stands for several amounts that round to it; of these the fee is
    /// the one that the pool computes from the collateral it makes together with what was received. Where it is none of
    /// them, there was not enough left for it, and all that was left moved.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn fee_paid(
        &self,
        revision: Revision,
        scaling: Scaling,
        received: U256,
        (scaled, index): (U256, Ray),
    ) -> Checked<U256> {
        if scaled.is_zero() {
            return Ok(U256::ZERO);
        }
        let rounding = revision.rules().liquidation.rounding();
        let worth = scaling.supply_balance(scaled, index)?;
        // Nearest first. An index of a few units leaves this many amounts to choose from.
        for distance in 0..=MOST_AMOUNTS_OF_ONE_SCALED {
            let distance = U256::from(distance);
            for fee in [worth.checked_sub(distance), worth.checked_add(distance)].into_iter().flatten() {
                let computed =
                    percent_mul(self.bonus_in(revision, add(received, fee)?)?, self.protocol_fee, rounding.fee)?;
                if computed == fee && scaling.withdrawn(fee, index)? == scaled {
                    return Ok(fee);
                }
            }
        }
        Ok(worth)
    }
}

/// How far from a scaled amount's worth the amounts can be that round to it.
const MOST_AMOUNTS_OF_ONE_SCALED: u32 = 8;

/// Which way the amounts of a liquidation round.
struct LiquidationRounding {
    with_bonus: Rounding,
    debt_needed: Rounding,
    without_bonus: Rounding,
    fee: Rounding,
}

impl LiquidationOrder {
    const fn rounding(self) -> LiquidationRounding {
        let (with_bonus, debt_needed, without_bonus, fee) = match self {
            Self::V2 | Self::V3_0_0 | Self::V3_0_2 | Self::V3_3 => {
                (Rounding::HalfUp, Rounding::HalfUp, Rounding::HalfUp, Rounding::HalfUp)
            }
            Self::V3_5 => (Rounding::HalfUp, Rounding::Ceil, Rounding::HalfUp, Rounding::HalfUp),
            Self::V3_7 => (Rounding::Floor, Rounding::Ceil, Rounding::Floor, Rounding::Ceil),
        };
        LiquidationRounding { with_bonus, debt_needed, without_bonus, fee }
    }
}

/// What the borrower has and owes, as the call finds it.
struct Found {
    data: AccountData,
    /// Supply of the collateral reserve, with interest.
    collateral: U256,
    stable_debt: U256,
    variable_debt: U256,
    pair: Pair,
}

impl Found {
    fn debt(&self) -> Checked<U256> {
        add(self.stable_debt, self.variable_debt)
    }

    fn most_repaid(&self, revision: Revision) -> Checked<U256> {
        let exposed = Exposed {
            health_factor: self.data.health_factor,
            total_debt: self.data.total_debt,
            debt: self.debt()?,
            collateral: self.collateral,
        };
        self.pair.most_repaid(revision, &exposed)
    }
}

impl Pool {
    /// Liquidates, or says why not. Use [`apply`](Pool::apply) for an outcome that leaves no trace when refused.
    pub(super) fn liquidate(&mut self, call: &LiquidationCall, block: &Block) -> Allowed<Liquidated> {
        self.reserve(call.collateral)?;
        match self.rules().liquidation {
            LiquidationOrder::V2 => self.liquidate_v2(call, block),
            LiquidationOrder::V3_0_0 | LiquidationOrder::V3_0_2 => self.liquidate_v3_0(call, block),
            LiquidationOrder::V3_3 | LiquidationOrder::V3_5 | LiquidationOrder::V3_7 => {
                self.liquidate_v3_3(call, block)
            }
        }
    }

    fn found(&self, call: &LiquidationCall, data: AccountData, debts: (U256, U256), block: &Block) -> Allowed<Found> {
        Ok(Found {
            data,
            collateral: self.supply_balance(call.borrower, call.collateral, block)?,
            stable_debt: debts.0,
            variable_debt: debts.1,
            pair: self.pair(call, block)?,
        })
    }

    /// Prices and bonus as the borrower's category has them.
    fn pair(&self, call: &LiquidationCall, block: &Block) -> Allowed<Pair> {
        let (collateral, debt) = (self.reserve(call.collateral)?.config, self.reserve(call.debt)?.config);
        let terms: CollateralTerms = self.terms(call.borrower, call.collateral)?;
        // The debt takes the category's price even if it is not in the category, and its own is then not asked for.
        let category = self.category(call.borrower).filter(|(_, category)| category.has_price_source);
        let price = |id: ReserveId, is_in_category: bool| match category {
            Some((number, _)) if is_in_category => block.e_mode_price(number, id),
            _ => block.price(id),
        };
        let in_category = category.is_some_and(|(number, _)| collateral.e_mode_category == number);
        let (collateral_price, debt_price) = (price(call.collateral, in_category)?, price(call.debt, true)?);
        Ok(Pair {
            collateral_price,
            collateral_decimals: collateral.decimals,
            debt_price,
            debt_decimals: debt.decimals,
            bonus: terms.liquidation_bonus,
            protocol_fee: collateral.liquidation_protocol_fee,
        })
    }

    /// `validateLiquidationCall`, in the contract's order.
    fn validate_liquidation(&self, call: &LiquidationCall, health: Wad, debt: U256, block: &Block) -> Allowed<()> {
        let rules = self.rules();
        let (collateral, owed) = (self.reserve(call.collateral)?, self.reserve(call.debt)?);
        let is_self = call.borrower == call.liquidator;
        require(!(rules.forbids_self_liquidation && is_self), Refusal::SelfLiquidation)?;
        require(collateral.config.active && owed.config.active, Refusal::ReserveInactive)?;
        require(!collateral.config.paused && !owed.config.paused, Refusal::ReservePaused)?;
        let sentinel = block.sentinel.filter(|_| rules.sentinel);
        let allowed = health < CLOSE_FACTOR_HEALTH_FACTOR || sentinel.is_none_or(|answer| answer.liquidation_allowed);
        require(allowed, Refusal::PriceOracleSentinelCheckFailed)?;
        let graceless = collateral.liquidation_grace_until < block.now && owed.liquidation_grace_until < block.now;
        require(graceless || !rules.grace_period, Refusal::LiquidationGraceSentinelCheckFailed)?;
        require(health < LIQUIDATION_HEALTH_FACTOR, Refusal::HealthFactorNotBelowThreshold)?;
        let counts = !rules.needs_threshold || collateral.config.liquidation_threshold.0 != 0;
        let is_collateral = counts && self.flags(call.borrower).is_collateral(call.collateral);
        require(is_collateral, Refusal::CollateralCannotBeLiquidated)?;
        require(!debt.is_zero(), Refusal::SpecifiedCurrencyNotBorrowedByUser)
    }

    /// V2: everything is read before anything accrues.
    fn liquidate_v2(&mut self, call: &LiquidationCall, block: &Block) -> Allowed<Liquidated> {
        let data = self.account_data(call.borrower, block)?;
        let debts = self.debts(call.borrower, call.debt, block)?;
        self.validate_liquidation(call, data.health_factor, add(debts.0, debts.1)?, block)?;
        let found = self.found(call, data, debts, block)?;
        let asked = call.debt_to_cover.min(found.most_repaid(self.revision)?);
        let amounts = found.pair.amounts(self.revision, asked, found.collateral)?;
        // V2 repays what the collateral is worth only where that is less.
        let repaid = amounts.debt.min(asked);
        if !call.receive_a_token {
            let holds = self.reserve(call.collateral)?.liquidity >= amounts.collateral;
            require(holds, Refusal::NotEnoughLiquidity)?;
        }
        let mut cache = self.accrue(call.debt, block)?;
        self.burn_both_debts(call, repaid, found.variable_debt, &mut cache, block)?;
        self.update_rates(call.debt, &cache, repaid, U256::ZERO, block)?;
        self.hand_over(call, amounts.collateral, block)?;
        if amounts.collateral == found.collateral {
            self.account_mut(call.borrower).flags.set_collateral(call.collateral, false);
        }
        self.receive_repayment(call, repaid)?;
        Ok(found.liquidated(repaid, amounts.collateral, U256::ZERO))
    }

    /// 3.0 to 3.2.
    fn liquidate_v3_0(&mut self, call: &LiquidationCall, block: &Block) -> Allowed<Liquidated> {
        let held = self.reserve(call.collateral)?.liquidity;
        let mut cache = self.accrue(call.debt, block)?;
        let data = self.account_data(call.borrower, block)?;
        let debts = self.debts(call.borrower, call.debt, block)?;
        let debt = add(debts.0, debts.1)?;
        self.validate_liquidation(call, data.health_factor, debt, block)?;
        let found = self.found(call, data, debts, block)?;
        let asked = call.debt_to_cover.min(found.most_repaid(self.revision)?);
        let amounts = found.pair.amounts(self.revision, asked, found.collateral)?;
        if amounts.debt == debt {
            self.account_mut(call.borrower).flags.set_borrowing(call.debt, false);
        }
        let counts_fee = self.rules().liquidation == LiquidationOrder::V3_0_2;
        if counts_fee && amounts.seized()? == found.collateral {
            self.account_mut(call.borrower).flags.set_collateral(call.collateral, false);
        }
        self.burn_both_debts(call, amounts.debt, found.variable_debt, &mut cache, block)?;
        self.update_rates(call.debt, &cache, amounts.debt, U256::ZERO, block)?;
        if let Some((isolated, _)) = self.isolation(call.borrower)? {
            self.reduce_isolated_debt(isolated, call.debt, amounts.debt)?;
        }
        self.hand_over(call, amounts.collateral, block)?;
        require_held(call, amounts.collateral, held)?;
        let index = self.reserve(call.collateral)?.normalized_income(block.now)?;
        let fee = self.pay_fee(call, amounts.fee, index, counts_fee)?;
        if !counts_fee && amounts.collateral == found.collateral {
            self.account_mut(call.borrower).flags.set_collateral(call.collateral, false);
        }
        self.receive_repayment(call, amounts.debt)?;
        Ok(found.liquidated(amounts.debt, amounts.collateral, fee))
    }

    /// 3.3 and later.
    fn liquidate_v3_3(&mut self, call: &LiquidationCall, block: &Block) -> Allowed<Liquidated> {
        let order = self.rules().liquidation;
        let rules = self.rules();
        let mut debt_cache = self.reserve(call.debt)?.cache(rules, block.now)?;
        let held = self.reserve(call.collateral)?.liquidity;
        // Before 3.7 the collateral is read here, so that in the same asset it does not see the debt's update.
        let mut collateral_cache = self.reserve(call.collateral)?.cache(rules, block.now)?;
        self.accrue_cached(call.debt, &mut debt_cache, block)?;
        match order {
            LiquidationOrder::V3_5 => self.accrue_cached(call.collateral, &mut collateral_cache, block)?,
            LiquidationOrder::V3_7 => collateral_cache = self.accrue(call.collateral, block)?,
            LiquidationOrder::V2 | LiquidationOrder::V3_0_0 | LiquidationOrder::V3_0_2 | LiquidationOrder::V3_3 => {}
        }
        let data = self.account_data(call.borrower, block)?;
        let owed = self.position(call.borrower, call.debt).borrowed;
        let debt = rules.scaling.debt_balance(owed, debt_cache.variable_borrow_index)?;
        self.validate_liquidation(call, data.health_factor, debt, block)?;
        let found = self.found(call, data, (U256::ZERO, debt), block)?;
        let asked = call.debt_to_cover.min(found.most_repaid(self.revision)?);
        let amounts = found.pair.amounts(self.revision, asked, found.collateral)?;
        self.require_no_dust(&found, debt, &amounts)?;
        let index = self.reserve(call.collateral)?.normalized_income(block.now)?;
        let leaves = self.leaves(call, &found, &amounts, index)?;
        if leaves.no_collateral_of_this {
            self.account_mut(call.borrower).flags.set_collateral(call.collateral, false);
        }
        let mut deficits = Vec::new();
        let ceiling = self.reserve(call.collateral)?.config.debt_ceiling;
        let step = DebtStep { id: call.debt, owed: debt, repaid: amounts.debt, write_off: leaves.nothing };
        deficits.extend(self.burn_or_write_off(call.borrower, step, &mut debt_cache, block)?);
        // The collateral itself is asked, since the borrower's bit for it may be gone by now.
        if rules.isolation && ceiling != 0 {
            self.reduce_isolated_debt(call.collateral, call.debt, amounts.debt)?;
        }
        if call.collateral == call.debt {
            collateral_cache.scaled_variable_debt = debt_cache.scaled_variable_debt;
        }
        if order == LiquidationOrder::V3_3 || call.receive_a_token {
            self.hand_over(call, amounts.collateral, block)?;
        } else {
            self.update_rates(call.collateral, &collateral_cache, U256::ZERO, amounts.collateral, block)?;
            let scaled = rules.scaling.withdrawn(amounts.collateral, collateral_cache.liquidity_index)?;
            self.burn_supply(call.borrower, call.collateral, scaled)?;
        }
        require_held(call, amounts.collateral, held)?;
        if leaves.no_collateral_of_this {
            self.restore_own_collateral(call)?;
        }
        let fee = self.pay_fee(call, amounts.fee, index, true)?;
        if leaves.nothing {
            deficits.extend(self.write_off_all(call.borrower, block)?);
        }
        Ok(Liquidated { deficits, ..found.liquidated(amounts.debt, amounts.collateral, fee) })
    }

    /// 3.3+: what is left of either side, if anything is left of both, must be worth at least 1,000 dollars.
    fn require_no_dust(&self, found: &Found, debt: U256, amounts: &Amounts) -> Allowed<()> {
        let seized = amounts.seized()?;
        if amounts.debt >= debt || seized >= found.collateral {
            return Ok(());
        }
        let debt_left = found.pair.debt_value(sub(debt, amounts.debt)?, self.rules().debt_value)?;
        let collateral_left = found.pair.collateral_value(sub(found.collateral, seized)?)?;
        let enough = debt_left >= MIN_LEFTOVER_BASE && collateral_left >= MIN_LEFTOVER_BASE;
        require(enough, Refusal::MustNotLeaveDust)
    }

    /// Whether this collateral, and any at all, is left to the borrower.
    fn leaves(
        &self,
        call: &LiquidationCall,
        found: &Found,
        amounts: &Amounts,
        index: super::math::Ray,
    ) -> Allowed<Leaves> {
        let total = found.data.total_collateral;
        let seized = amounts.seized()?;
        if self.rules().liquidation != LiquidationOrder::V3_7 {
            return Ok(Leaves {
                no_collateral_of_this: seized == found.collateral,
                nothing: found.pair.collateral_value(seized)? == total,
            });
        }
        let scaling = self.rules().scaling;
        let held = self.position(call.borrower, call.collateral).supplied;
        let burnt = add(scaling.withdrawn(amounts.collateral, index)?, scaling.withdrawn(amounts.fee, index)?)?;
        let consumed = burnt.min(held);
        let nothing = found.pair.collateral_value(scaling.supply_balance(consumed, index)?)? == total;
        Ok(Leaves { no_collateral_of_this: consumed == held || nothing, nothing })
    }

    /// Burns variable debt first, then stable.
    fn burn_both_debts(
        &mut self,
        call: &LiquidationCall,
        amount: U256,
        variable: U256,
        cache: &mut ReserveCache,
        block: &Block,
    ) -> Allowed<()> {
        if variable >= amount {
            self.burn_debt(call.borrower, call.debt, amount, cache)?;
            return Ok(());
        }
        if !variable.is_zero() {
            self.burn_debt(call.borrower, call.debt, variable, cache)?;
        }
        self.repay_stable(call.borrower, call.debt, sub(amount, variable)?, cache, block)
    }

    /// 3.3+: burns what was repaid, or everything where no collateral is left; what nobody repaid is a deficit.
    fn burn_or_write_off(
        &mut self,
        borrower: Address,
        step: DebtStep,
        cache: &mut ReserveCache,
        block: &Block,
    ) -> Allowed<Option<(ReserveId, U256)>> {
        let DebtStep { id, owed, repaid, write_off } = step;
        let burnt = if write_off { owed } else { repaid };
        let is_burnt = owed.is_zero() || self.burn_debt(borrower, id, burnt, cache)?;
        let outstanding = sub(owed, repaid)?;
        let is_paid = write_off || outstanding.is_zero();
        let is_gone = if self.rules().bit_follows_scaled_debt { is_burnt } else { is_paid };
        let deficit = (write_off && !outstanding.is_zero()).then_some((id, outstanding));
        if deficit.is_some() {
            let reserve = self.reserve_mut(id)?;
            reserve.deficit = fits(add(reserve.deficit, fits(outstanding, 128)?)?, 128)?;
        }
        if is_gone {
            self.account_mut(borrower).flags.set_borrowing(id, false);
        }
        self.update_rates(id, cache, repaid, U256::ZERO, block)?;
        Ok(deficit)
    }

    /// 3.3+: without collateral, what is owed in every other active reserve becomes a deficit.
    fn write_off_all(&mut self, borrower: Address, block: &Block) -> Allowed<Vec<(ReserveId, U256)>> {
        let mut deficits = Vec::new();
        let rules = self.rules();
        let flags = self.flags(borrower);
        for id in flags.reserves().filter(|id| flags.is_borrowing(*id)) {
            if !self.reserve(id)?.config.active {
                continue;
            }
            let mut cache = self.accrue(id, block)?;
            let owed = self.position(borrower, id).borrowed;
            let debt = rules.scaling.debt_balance(owed, cache.variable_borrow_index)?;
            let step = DebtStep { id, owed: debt, repaid: U256::ZERO, write_off: true };
            deficits.extend(self.burn_or_write_off(borrower, step, &mut cache, block)?);
        }
        Ok(deficits)
    }

    /// Gives the liquidator his collateral: supplied tokens, or the asset itself.
    fn hand_over(&mut self, call: &LiquidationCall, amount: U256, block: &Block) -> Allowed<()> {
        let rules = self.rules();
        if !call.receive_a_token {
            let cache = self.accrue(call.collateral, block)?;
            self.update_rates(call.collateral, &cache, U256::ZERO, amount, block)?;
            let scaled = rules.scaling.withdrawn(amount, cache.liquidity_index)?;
            self.burn_supply(call.borrower, call.collateral, scaled)?;
            return self.release(call.collateral, amount);
        }
        let index = self.reserve(call.collateral)?.normalized_income(block.now)?;
        let held_before = self.supply_balance(call.liquidator, call.collateral, block)?;
        let scaled = rules.scaling.withdrawn(amount, index)?;
        self.move_supply(call.borrower, call.liquidator, call.collateral, scaled)?;
        let is_first = held_before.is_zero() && rules.collateral_on_receipt;
        if is_first && self.becomes_collateral(call.liquidator, call.collateral)? {
            self.account_mut(call.liquidator).flags.set_collateral(call.collateral, true);
        }
        Ok(())
    }

    /// 3.3: who liquidates himself of all his collateral and takes supplied tokens keeps using them as collateral.
    fn restore_own_collateral(&mut self, call: &LiquidationCall) -> Allowed<()> {
        let is_own = call.receive_a_token && call.borrower == call.liquidator;
        if is_own && self.becomes_collateral(call.liquidator, call.collateral)? {
            self.account_mut(call.liquidator).flags.set_collateral(call.collateral, true);
        }
        Ok(())
    }

    /// Gives the treasury its share of the bonus, in supplied tokens; since 3.0.1 no more than is left.
    fn pay_fee(
        &mut self,
        call: &LiquidationCall,
        fee: U256,
        index: super::math::Ray,
        is_capped: bool,
    ) -> Allowed<U256> {
        if fee.is_zero() {
            return Ok(fee);
        }
        let scaling = self.rules().scaling;
        let left = self.position(call.borrower, call.collateral).supplied;
        let mut scaled = scaling.withdrawn(fee, index)?;
        let mut paid = fee;
        if is_capped && scaled > left {
            paid = scaling.supply_balance(left, index)?;
            scaled = match scaling {
                Scaling::HalfUp => scaling.withdrawn(paid, index)?,
                Scaling::Protocol => left,
            };
        }
        let treasury = self.treasury;
        self.move_supply(call.borrower, treasury, call.collateral, scaled)?;
        Ok(paid)
    }

    /// The repayment reaches the pool last; since 3.1 it was booked with the rates.
    fn receive_repayment(&mut self, call: &LiquidationCall, amount: U256) -> Allowed<()> {
        let rules = self.rules();
        Ok(self.reserve_mut(call.debt)?.receive(rules, amount)?)
    }
}

/// In the same asset the repayment may be booked before the collateral leaves, but its tokens arrive after.
fn require_held(call: &LiquidationCall, collateral: U256, held: U256) -> Allowed<()> {
    require(call.receive_a_token || collateral <= held, Refusal::NotEnoughLiquidity)
}

/// One debt of a borrower, and what becomes of it.
#[derive(Clone, Copy)]
struct DebtStep {
    id: ReserveId,
    owed: U256,
    repaid: U256,
    /// What is not repaid becomes a deficit.
    write_off: bool,
}

/// What a liquidation leaves the borrower without.
struct Leaves {
    no_collateral_of_this: bool,
    nothing: bool,
}

impl Found {
    fn liquidated(&self, debt_repaid: U256, collateral_received: U256, protocol_fee: U256) -> Liquidated {
        Liquidated {
            debt_repaid,
            collateral_received,
            protocol_fee,
            health_factor: self.data.health_factor,
            deficits: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One in ray.
    const ONE: u128 = 1_000_000_000_000_000_000_000_000_000;

    proptest! {
        /// The fee is found again from what the liquidator received and what moved to the treasury, as the pool computed it.
        /// Two amounts can only both be possible where they differ by one.
        #[test]
        fn a_fee_is_found_again(
            revision in prop::sample::select(&Revision::ALL[1..]),
            seized in 1_000..(1_u128 << 100),
            bonus in 10_001..13_000_u16,
            share in 1..5_000_u16,
            index in ONE..4 * ONE,
        ) {
            let terms = LiquidationTerms {
                bonus: Bps(bonus),
                protocol_fee: Bps(share),
                collateral_category: None,
                debt_category: None,
            };
            let (rules, seized, index) = (revision.rules(), U256::from(seized), Ray(U256::from(index)));
            let rounding = rules.liquidation.rounding();
            let fee = percent_mul(terms.bonus_in(revision, seized).unwrap(), terms.protocol_fee, rounding.fee).unwrap();
            let scaled = rules.scaling.withdrawn(fee, index).unwrap();
            let found = terms.fee_paid(revision, rules.scaling, seized - fee, (scaled, index)).unwrap();
            prop_assert!(found.abs_diff(fee) <= U256::from(u8::from(!fee.is_zero() && !scaled.is_zero())), "{} for {}", found, fee);
        }
    }
}
