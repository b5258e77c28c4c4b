//! The borrower's side of a pool: borrowing, repaying, changing the kind of rate.
//!
//! Sources: `BorrowLogic`, `IsolationModeLogic`, `ValidationLogic`, `VariableDebtToken`; V2's `LendingPool`.

use alloy_primitives::{Address, U256};

use super::account::{Block, LIQUIDATION_HEALTH_FACTOR};
use super::config::{DEBT_CEILING_DECIMALS, ReserveConfig, ReserveId};
use super::math::{
    Bps, Checked, MathError, Ray, Rounding, add, div, fits, mul, percent_div, percent_div_half_up, percent_mul_half_up,
    ray_div_half_up, sub, unit, value, wad_to_ray,
};
use super::pool::{Executed, Pool, RateMode};
use super::rates::Usage;
use super::refusal::{Allowed, Refusal};
use super::reserve::ReserveCache;
use super::revision::{Checks, EModeRule, Scaling};
use super::supply::{require, require_usable};

/// A stable loan takes at most this share of the liquidity, `MAX_STABLE_RATE_BORROW_SIZE_PERCENT`.
const MAX_STABLE_LOAN: Bps = Bps(2_500);

/// 3.0: a stable rate can be rebalanced while suppliers earn at most this share of what they would without stable debt.
const REBALANCE_LIQUIDITY_RATE_SHARE: Bps = Bps(9_000);

/// V2: a stable rate can be rebalanced while suppliers earn at most this share of the largest variable rate.
const REBALANCE_LIQUIDITY_RATE_SHARE_V2: Bps = Bps(4_000);

impl Pool {
    pub(super) fn borrow(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<Executed> {
        let rules = self.rules();
        // V2 checks before it brings the reserve up to date: its views accrue where the update may not.
        if rules.checks == Checks::Foretold {
            self.validate_borrow_v2(user, id, amount, mode, block)?;
        }
        let mut cache = self.accrue(id, block)?;
        match rules.checks {
            Checks::Foretold => {}
            Checks::BeforeDebt => self.validate_borrow(user, id, amount, mode, &cache, block)?,
            Checks::AfterDebt => {
                let scaled = rules.scaling.borrowed(amount, cache.variable_borrow_index)?;
                self.validate_borrow_scaled(user, id, scaled, mode, &cache, block)?;
            }
        }
        // To 3.4 isolation is what it was before the debt; nothing between changes it.
        let isolation = self.isolation(user)?;
        let is_first = match mode {
            RateMode::Stable => self.draw_stable(user, id, amount, &mut cache, block)?,
            RateMode::Variable => {
                let scaled = rules.scaling.borrowed(amount, cache.variable_borrow_index)?;
                self.mint_debt(user, id, scaled, &mut cache)?
            }
        };
        if is_first {
            self.account_mut(user).flags.set_borrowing(id, true);
        }
        if let Some((collateral, ceiling)) = isolation {
            self.increase_isolated_debt(collateral, ceiling, id, amount)?;
        }
        self.update_rates(id, &cache, U256::ZERO, amount, block)?;
        self.release(id, amount)?;
        if rules.checks == Checks::AfterDebt {
            self.require_covered(user, block)?;
        }
        Ok(Executed::Borrowed(amount))
    }

    fn validate_borrow_v2(
        &self,
        user: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<()> {
        let config = self.reserve(id)?.config;
        // The contract values the amount before it checks anything.
        value(amount, block.price(id)?, config.decimals, Rounding::Floor)?;
        require(config.active, Refusal::ReserveInactive)?;
        require(!config.frozen, Refusal::ReserveFrozen)?;
        require(!amount.is_zero(), Refusal::InvalidAmount)?;
        require(config.borrowing, Refusal::BorrowingNotEnabled)?;
        self.require_power_for(user, id, amount, &config, block)?;
        if mode == RateMode::Stable {
            self.require_stable_allowed(user, id, amount, &config, block)?;
        }
        Ok(())
    }

    /// From 3.0 to 3.4 everything is checked before the debt is there.
    fn validate_borrow(
        &self,
        user: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        cache: &ReserveCache,
        block: &Block,
    ) -> Allowed<()> {
        let config = self.reserve(id)?.config;
        require(!amount.is_zero(), Refusal::InvalidAmount)?;
        require_usable(&config)?;
        require(!config.frozen, Refusal::ReserveFrozen)?;
        require(config.borrowing, Refusal::BorrowingNotEnabled)?;
        if self.rules().virtual_liquidity {
            let supply = self.reserve(id)?.total_supply(self.rules(), block.now)?;
            require(supply >= amount, Refusal::InvalidAmount)?;
        }
        self.require_sentinel_allows(block)?;
        let has_mode = self.rules().stable_debt || mode == RateMode::Variable;
        require(has_mode, Refusal::InvalidInterestRateModeSelected)?;
        require_below_borrow_cap(&config, || {
            let found = cache.found_scaled_variable_debt();
            let owed = self.rules().scaling.debt_balance(found, cache.variable_borrow_index)?;
            add(add(cache.found_total_stable_debt(), owed)?, amount)
        })?;
        self.require_isolation_allows(user, id, amount)?;
        self.require_e_mode_allows(user, id, &config)?;
        self.require_power_for(user, id, amount, &config, block)?;
        if mode == RateMode::Stable {
            self.require_stable_allowed(user, id, amount, &config, block)?;
        }
        self.require_siloed_allows(user, id, &config)
    }

    /// Since 3.5 amounts are checked scaled, and the account's cover after the debt is there.
    fn validate_borrow_scaled(
        &self,
        user: Address,
        id: ReserveId,
        scaled: U256,
        mode: RateMode,
        cache: &ReserveCache,
        block: &Block,
    ) -> Allowed<()> {
        let scaling = self.rules().scaling;
        let config = self.reserve(id)?.config;
        require(!scaled.is_zero(), Refusal::InvalidAmount)?;
        let owed = scaling.debt_balance(scaled, cache.variable_borrow_index)?;
        require_usable(&config)?;
        require(!config.frozen, Refusal::ReserveFrozen)?;
        // In 3.5 the reserve's own switch counts for everyone, and the category is asked last.
        let category_alone = matches!(self.rules().e_mode, EModeRule::LtvZero | EModeRule::Isolated);
        if category_alone {
            self.require_e_mode_allows(user, id, &config)?;
        } else {
            require(config.borrowing, Refusal::BorrowingNotEnabled)?;
        }
        let supply = self.reserve(id)?.total_supply(self.rules(), block.now)?;
        require(supply >= owed, Refusal::InvalidAmount)?;
        self.require_sentinel_allows(block)?;
        require(mode == RateMode::Variable, Refusal::InvalidInterestRateModeSelected)?;
        require_below_borrow_cap(&config, || {
            scaling.debt_balance(add(cache.found_scaled_variable_debt(), scaled)?, cache.variable_borrow_index)
        })?;
        if !category_alone {
            self.require_e_mode_allows(user, id, &config)?;
        }
        self.require_siloed_allows(user, id, &config)
    }

    fn require_sentinel_allows(&self, block: &Block) -> Allowed<()> {
        let allowed = block.sentinel.is_none_or(|sentinel| sentinel.borrow_allowed);
        require(allowed || !self.rules().sentinel, Refusal::PriceOracleSentinelCheckFailed)
    }

    fn require_e_mode_allows(&self, user: Address, id: ReserveId, config: &ReserveConfig) -> Allowed<()> {
        let category = self.accounts.get(&user).map_or(0, |account| account.e_mode);
        let borrowable = self.e_modes.get(&category).is_some_and(|e_mode| e_mode.borrowable.contains(id));
        match self.rules().e_mode {
            EModeRule::None => Ok(()),
            EModeRule::OneCategory => {
                let inside = category == 0 || config.e_mode_category == category;
                require(inside, Refusal::InconsistentEModeCategory)
            }
            EModeRule::Bitmaps => require(category == 0 || borrowable, Refusal::NotBorrowableInEMode),
            // Since 3.6 the category alone decides for those who are in one.
            EModeRule::LtvZero | EModeRule::Isolated if category != 0 => {
                require(borrowable, Refusal::NotBorrowableInEMode)
            }
            EModeRule::LtvZero | EModeRule::Isolated => require(config.borrowing, Refusal::BorrowingNotEnabled),
        }
    }

    /// Whether what is owed and what is asked for stay within the borrowing power.
    fn require_power_for(
        &self,
        user: Address,
        id: ReserveId,
        amount: U256,
        config: &ReserveConfig,
        block: &Block,
    ) -> Allowed<()> {
        let data = self.account_data(user, block)?;
        require(!data.total_collateral.is_zero(), Refusal::CollateralBalanceIsZero)?;
        let lends = data.ltv.0 != 0 || self.rules().checks == Checks::Foretold;
        require(lends, Refusal::LtvValidationFailed)?;
        let is_healthy = data.health_factor > LIQUIDATION_HEALTH_FACTOR;
        require(is_healthy, Refusal::HealthFactorLowerThanLiquidationThreshold)?;
        // In a category with a price of its own, debt is valued at it.
        let price = match self.category(user) {
            Some((number, e_mode)) if e_mode.has_price_source => block.e_mode_price(number, id)?,
            _ => block.price(id)?,
        };
        let asked = value(amount, price, config.decimals, Rounding::Floor)?;
        let needed = percent_div_half_up(add(data.total_debt, asked)?, data.ltv)?;
        require(needed <= data.total_collateral, Refusal::CollateralCannotCoverNewBorrow)
    }

    /// Since 3.5, after the debt is there.
    fn require_covered(&self, user: Address, block: &Block) -> Allowed<()> {
        let data = self.account_data(user, block)?;
        require(data.ltv.0 != 0, Refusal::LtvValidationFailed)?;
        let is_healthy = data.health_factor >= LIQUIDATION_HEALTH_FACTOR;
        require(is_healthy, Refusal::HealthFactorLowerThanLiquidationThreshold)?;
        let needed = percent_div(data.total_debt, data.ltv, Rounding::Ceil)?;
        require(data.total_collateral >= needed, Refusal::CollateralCannotCoverNewBorrow)
    }

    fn require_stable_allowed(
        &self,
        user: Address,
        id: ReserveId,
        amount: U256,
        config: &ReserveConfig,
        block: &Block,
    ) -> Allowed<()> {
        require(config.stable_borrowing, Refusal::StableBorrowingNotEnabled)?;
        self.require_not_own_collateral(user, id, amount, config, block)?;
        let largest = percent_mul_half_up(self.reserve(id)?.liquidity, MAX_STABLE_LOAN)?;
        require(amount <= largest, Refusal::AmountBiggerThanMaxLoanSizeStable)
    }

    /// A stable loan of an asset that is the account's own collateral must exceed that collateral.
    fn require_not_own_collateral(
        &self,
        user: Address,
        id: ReserveId,
        debt: U256,
        config: &ReserveConfig,
        block: &Block,
    ) -> Allowed<()> {
        let exempt = !self.flags(user).is_collateral(id) || config.ltv.0 == 0;
        let exceeds = exempt || debt > self.supply_balance(user, id, block)?;
        require(exceeds, Refusal::CollateralSameAsBorrowingCurrency)
    }

    fn require_siloed_allows(&self, user: Address, id: ReserveId, config: &ReserveConfig) -> Allowed<()> {
        let flags = self.flags(user);
        if !self.rules().isolation || !flags.is_borrowing_any() {
            return Ok(());
        }
        let only_siloed = match flags.only_borrowing() {
            Some(only) => self.reserve(only)?.config.siloed.then_some(only),
            None => None,
        };
        let allowed = match only_siloed {
            Some(siloed) => siloed == id,
            None => !config.siloed,
        };
        require(allowed, Refusal::SiloedBorrowingViolation)
    }

    fn require_isolation_allows(&self, user: Address, id: ReserveId, amount: U256) -> Allowed<()> {
        let Some((collateral, ceiling)) = self.isolation(user)? else {
            return Ok(());
        };
        self.isolated_debt_after(collateral, ceiling, id, amount).map(|_| ())
    }

    fn isolated_debt_after(&self, collateral: ReserveId, ceiling: u64, id: ReserveId, amount: U256) -> Allowed<U256> {
        let config = self.reserve(id)?.config;
        require(config.borrowable_in_isolation, Refusal::AssetNotBorrowableInIsolation)?;
        let drawn = in_cents(amount, config.decimals)?;
        let total = fits(add(self.reserve(collateral)?.isolation_mode_total_debt, drawn)?, 128)?;
        require(total <= U256::from(ceiling), Refusal::DebtCeilingExceeded)?;
        Ok(total)
    }

    fn increase_isolated_debt(
        &mut self,
        collateral: ReserveId,
        ceiling: u64,
        id: ReserveId,
        amount: U256,
    ) -> Allowed<()> {
        let total = self.isolated_debt_after(collateral, ceiling, id, amount)?;
        self.reserve_mut(collateral)?.isolation_mode_total_debt = total;
        Ok(())
    }

    /// Lowers what was drawn against an isolated collateral, never below zero.
    pub(super) fn reduce_isolated_debt(&mut self, collateral: ReserveId, id: ReserveId, amount: U256) -> Allowed<()> {
        let repaid = in_cents(amount, self.reserve(id)?.config.decimals)?;
        let reserve = self.reserve_mut(collateral)?;
        reserve.isolation_mode_total_debt = reserve.isolation_mode_total_debt.saturating_sub(repaid);
        Ok(())
    }

    pub(super) fn draw_stable(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        cache: &mut ReserveCache,
        block: &Block,
    ) -> Allowed<bool> {
        let rules = self.rules();
        let rate = self.reserve(id)?.rates.stable;
        let mut debt = self.position(user, id).stable;
        let is_first = debt.balance(rules, block.now)?.is_zero();
        let totals = &mut self.reserve_mut(id)?.stable_debt;
        (cache.total_stable_debt, cache.average_stable_rate) = debt.draw(totals, rules, amount, rate, block.now)?;
        self.position_mut(user, id).stable = debt;
        Ok(is_first)
    }

    pub(super) fn repay_stable(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        cache: &mut ReserveCache,
        block: &Block,
    ) -> Allowed<()> {
        let rules = self.rules();
        let mut debt = self.position(user, id).stable;
        let totals = &mut self.reserve_mut(id)?.stable_debt;
        (cache.total_stable_debt, cache.average_stable_rate) = debt.repay(totals, rules, amount, block.now)?;
        self.position_mut(user, id).stable = debt;
        Ok(())
    }

    /// Mints scaled variable debt. Says whether it is the account's first.
    fn mint_debt(&mut self, user: Address, id: ReserveId, scaled: U256, cache: &mut ReserveCache) -> Allowed<bool> {
        require(!scaled.is_zero(), Refusal::InvalidMintAmount)?;
        let bits = self.rules().balance_bits;
        let position = self.position_mut(user, id);
        let is_first = position.borrowed.is_zero();
        position.borrowed = fits(add(position.borrowed, scaled)?, bits)?;
        position.borrow_index = cache.variable_borrow_index;
        let reserve = self.reserve_mut(id)?;
        reserve.scaled_variable_debt = add(reserve.scaled_variable_debt, scaled)?;
        cache.scaled_variable_debt = reserve.scaled_variable_debt;
        Ok(is_first)
    }

    /// Burns variable debt worth `amount`. Says whether none is left.
    pub(super) fn burn_debt(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        cache: &mut ReserveCache,
    ) -> Allowed<bool> {
        let scaled = self.rules().scaling.repaid(amount, cache.variable_borrow_index)?;
        require(!scaled.is_zero(), Refusal::InvalidBurnAmount)?;
        let position = self.position_mut(user, id);
        position.borrowed = sub(position.borrowed, scaled)?;
        position.borrow_index = cache.variable_borrow_index;
        let is_gone = position.borrowed.is_zero();
        let reserve = self.reserve_mut(id)?;
        reserve.scaled_variable_debt = sub(reserve.scaled_variable_debt, scaled)?;
        cache.scaled_variable_debt = reserve.scaled_variable_debt;
        Ok(is_gone)
    }

    pub(super) fn repay(
        &mut self,
        user: Address,
        on_behalf_of: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<Executed> {
        let mut repayment = self.begin_repayment(user, on_behalf_of, id, amount, mode, block)?;
        let paid = repayment.largest.min(amount);
        self.finish_debt(on_behalf_of, paid, paid, &mut repayment, block)?;
        let rules = self.rules();
        self.reserve_mut(id)?.receive(rules, paid)?;
        Ok(Executed::Repaid(paid))
    }

    pub(super) fn repay_with_supply(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<Executed> {
        let rules = self.rules();
        let mut repayment = self.begin_repayment(user, user, id, amount, mode, block)?;
        let given = if amount == U256::MAX { self.supply_balance(user, id, block)? } else { amount };
        let paid = repayment.largest.min(given);
        self.finish_debt(user, paid, U256::ZERO, &mut repayment, block)?;
        let scaled = rules.scaling.withdrawn(paid, repayment.cache.liquidity_index)?;
        self.burn_supply(user, id, scaled)?;
        // Since 3.5 the bit goes with the last supply, and what is owed elsewhere must stay covered.
        if rules.scaling == Scaling::Protocol && self.flags(user).is_collateral(id) {
            if self.position(user, id).supplied.is_zero() {
                self.account_mut(user).flags.set_collateral(id, false);
            }
            if self.flags(user).is_borrowing_any() {
                self.require_healthy(user, block)?;
            }
        }
        Ok(Executed::Repaid(paid))
    }

    /// Checks a repayment, in the revision's order, and says how much can be repaid.
    fn begin_repayment(
        &mut self,
        user: Address,
        on_behalf_of: Address,
        id: ReserveId,
        amount: U256,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<Repayment> {
        let is_v2 = self.rules().checks == Checks::Foretold;
        // V2 reads the debt before it brings the reserve up to date: its views accrue where the update may not.
        let early = if is_v2 { Some(self.debts(on_behalf_of, id, block)?) } else { None };
        let config = self.reserve(id)?.config;
        if is_v2 {
            require(config.active, Refusal::ReserveInactive)?;
        }
        let cache = self.accrue(id, block)?;
        let (stable, variable) = match early {
            Some(debts) => debts,
            None => self.debts(on_behalf_of, id, block)?,
        };
        require(!amount.is_zero(), Refusal::InvalidAmount)?;
        require(self.rules().stable_debt || mode == RateMode::Variable, Refusal::InvalidInterestRateModeSelected)?;
        let owed = match mode {
            RateMode::Stable => stable,
            RateMode::Variable => variable,
        };
        let explicit = require(amount != U256::MAX || user == on_behalf_of, Refusal::NoExplicitAmountToRepayOnBehalf);
        let has_debt = require(!owed.is_zero(), Refusal::NoDebtOfSelectedType);
        if is_v2 {
            has_debt.and(explicit)?;
        } else {
            explicit?;
            require_usable(&config)?;
            self.require_other_block(on_behalf_of, id, mode, &cache, block)?;
            has_debt?;
        }
        Ok(Repayment { id, mode, cache, largest: owed, all: add(stable, variable)? })
    }

    /// 3.0.0 refuses to repay in the block of the borrow.
    fn require_other_block(
        &self,
        user: Address,
        id: ReserveId,
        mode: RateMode,
        cache: &ReserveCache,
        block: &Block,
    ) -> Allowed<()> {
        if !self.rules().repay_waits_a_block {
            return Ok(());
        }
        let position = self.position(user, id);
        let is_other = match mode {
            RateMode::Stable => position.stable.since < block.now,
            RateMode::Variable => position.borrow_index < cache.variable_borrow_index,
        };
        require(is_other, Refusal::SameBlockBorrowRepay)
    }

    /// Burns what was repaid, sets the rates, and clears what follows from it.
    fn finish_debt(
        &mut self,
        user: Address,
        paid: U256,
        added: U256,
        repayment: &mut Repayment,
        block: &Block,
    ) -> Allowed<()> {
        let id = repayment.id;
        let cache = &mut repayment.cache;
        let is_gone = match repayment.mode {
            RateMode::Stable => {
                self.repay_stable(user, id, paid, cache, block)?;
                paid == repayment.all
            }
            RateMode::Variable => {
                let burnt = self.burn_debt(user, id, paid, cache)?;
                if self.rules().bit_follows_scaled_debt { burnt } else { paid == repayment.all }
            }
        };
        self.update_rates(id, &repayment.cache, added, U256::ZERO, block)?;
        if is_gone {
            self.account_mut(user).flags.set_borrowing(id, false);
        }
        if let Some((collateral, _)) = self.isolation(user)? {
            self.reduce_isolated_debt(collateral, id, paid)?;
        }
        Ok(())
    }

    pub(super) fn swap_rate_mode(
        &mut self,
        user: Address,
        id: ReserveId,
        mode: RateMode,
        block: &Block,
    ) -> Allowed<Executed> {
        let early = self.debts(user, id, block)?;
        let mut cache = self.accrue(id, block)?;
        let is_v2 = self.rules().checks == Checks::Foretold;
        let (stable, variable) = if is_v2 { early } else { self.debts(user, id, block)? };
        let config = self.reserve(id)?.config;
        require_usable(&config)?;
        require(!config.frozen, Refusal::ReserveFrozen)?;
        match mode {
            RateMode::Stable => {
                require(!stable.is_zero(), Refusal::NoOutstandingStableDebt)?;
                self.repay_stable(user, id, stable, &mut cache, block)?;
                let scaled = self.rules().scaling.borrowed(stable, cache.variable_borrow_index)?;
                self.mint_debt(user, id, scaled, &mut cache)?;
            }
            RateMode::Variable => {
                require(!variable.is_zero(), Refusal::NoOutstandingVariableDebt)?;
                require(config.stable_borrowing, Refusal::StableBorrowingNotEnabled)?;
                self.require_not_own_collateral(user, id, add(stable, variable)?, &config, block)?;
                self.burn_debt(user, id, variable, &mut cache)?;
                self.draw_stable(user, id, variable, &mut cache, block)?;
            }
        }
        self.update_rates(id, &cache, U256::ZERO, U256::ZERO, block)?;
        Ok(Executed::Done)
    }

    pub(super) fn rebalance_stable_rate(&mut self, user: Address, id: ReserveId, block: &Block) -> Allowed<Executed> {
        let owed_before = self.position(user, id).stable.balance(self.rules(), block.now)?;
        let is_v2 = self.rules().checks == Checks::Foretold;
        if is_v2 {
            self.require_rebalance_v2(id, block)?;
        }
        let mut cache = self.accrue(id, block)?;
        if !is_v2 {
            self.require_rebalance(id, &cache, block)?;
        }
        self.repay_stable(user, id, owed_before, &mut cache, block)?;
        self.draw_stable(user, id, owed_before, &mut cache, block)?;
        self.update_rates(id, &cache, U256::ZERO, U256::ZERO, block)?;
        Ok(Executed::Done)
    }

    fn require_rebalance_v2(&self, id: ReserveId, block: &Block) -> Allowed<()> {
        let rules = self.rules();
        let reserve = self.reserve(id)?;
        require(reserve.config.active, Refusal::ReserveInactive)?;
        let variable =
            rules.scaling.debt_balance(reserve.scaled_variable_debt, reserve.normalized_debt(rules, block.now)?)?;
        let debt = wad_to_ray(add(reserve.stable_debt.total(rules, block.now)?, variable)?)?.0;
        let liquidity = wad_to_ray(reserve.liquidity)?.0;
        let usage = if debt.is_zero() { U256::ZERO } else { ray_div_half_up(debt, Ray(add(liquidity, debt)?))? };
        // 95 %, in rays.
        let high = percent_mul_half_up(Ray::ONE.0, Bps(9_500))?;
        let largest = percent_mul_half_up(reserve.rate_model.max_variable()?.0, REBALANCE_LIQUIDITY_RATE_SHARE_V2)?;
        let met = usage >= high && reserve.rates.liquidity.0 <= largest;
        require(met, Refusal::InterestRateRebalanceConditionsNotMet)
    }

    fn require_rebalance(&self, id: ReserveId, cache: &ReserveCache, block: &Block) -> Allowed<()> {
        let rules = self.rules();
        let reserve = self.reserve(id)?;
        require_usable(&reserve.config)?;
        let variable =
            rules.scaling.debt_balance(reserve.scaled_variable_debt, reserve.normalized_debt(rules, block.now)?)?;
        let usage = Usage {
            available: reserve.liquidity,
            unbacked: reserve.unbacked,
            variable_debt: add(reserve.stable_debt.total(rules, block.now)?, variable)?,
            reserve_factor: reserve.config.reserve_factor,
            ..Usage::default()
        };
        let without_stable = reserve.rate_model.rates(self.revision, &usage)?.liquidity;
        let share = percent_mul_half_up(without_stable.0, REBALANCE_LIQUIDITY_RATE_SHARE)?;
        let met = cache.found_liquidity_rate().0 <= share;
        require(met, Refusal::InterestRateRebalanceConditionsNotMet)
    }
}

/// A repayment that was checked.
struct Repayment {
    id: ReserveId,
    mode: RateMode,
    cache: ReserveCache,
    /// The debt of the kind that is repaid.
    largest: U256,
    /// The debt of both kinds.
    all: U256,
}

/// The total is asked for only where there is a cap: an absurd amount is refused for another reason where there is none.
fn require_below_borrow_cap(config: &ReserveConfig, total: impl FnOnce() -> Checked<U256>) -> Allowed<()> {
    if config.borrow_cap == 0 {
        return Ok(());
    }
    // Unchecked in the contract; a cap of 36 bits and the decimals of any listed token do not wrap.
    let cap = mul(U256::from(config.borrow_cap), unit(config.decimals)?)?;
    require(total()? <= cap, Refusal::BorrowCapExceeded)
}

/// An amount in the cents that debt ceilings are stated in, as if the token were a dollar: `amount / 10^(decimals - 2)`.
fn in_cents(amount: U256, decimals: u8) -> Allowed<U256> {
    let places = decimals.checked_sub(DEBT_CEILING_DECIMALS).ok_or(MathError::Underflow)?;
    Ok(fits(div(amount, unit(places)?)?, 128)?)
}
