//! The lender's side of a pool: supply, withdrawal, transfer, collateral, e-mode, the treasury's share.
//!
//! Sources: `SupplyLogic`, `EModeLogic`, `PoolLogic.executeMintToTreasury`, `ValidationLogic`; V2's `LendingPool` and
//! `GenericLogic.balanceDecreaseAllowed`.

use alloy_primitives::{Address, U256};

use super::account::{Block, LIQUIDATION_HEALTH_FACTOR, account_data};
use super::config::{ReserveConfig, ReserveId};
use super::math::{
    Bps, Ray, Rounding, Wad, add, div, fits, mul, percent_mul_half_up, ray_mul_half_up, sub, unit, value,
    wad_div_half_up,
};
use super::pool::{Executed, Pool};
use super::refusal::{Allowed, Refusal};
use super::revision::{Checks, EModeRule, Scaling};

impl Pool {
    pub(super) fn supply(&mut self, user: Address, id: ReserveId, amount: U256, block: &Block) -> Allowed<Executed> {
        let rules = self.rules();
        let cache = self.accrue(id, block)?;
        let config = self.reserve(id)?.config;
        // Since 3.5 what rounds to nothing is as invalid as nothing.
        let given = match rules.scaling {
            Scaling::HalfUp => amount,
            Scaling::Protocol => rules.scaling.supplied(amount, cache.liquidity_index)?,
        };
        require(!given.is_zero(), Refusal::InvalidAmount)?;
        require_usable(&config)?;
        require(!config.frozen, Refusal::ReserveFrozen)?;
        self.require_below_supply_cap(id, given, &config, cache.liquidity_index)?;
        self.update_rates(id, &cache, amount, U256::ZERO, block)?;
        self.reserve_mut(id)?.receive(rules, amount)?;
        let scaled = rules.scaling.supplied(amount, cache.liquidity_index)?;
        if self.mint_supply(user, id, scaled)? && self.becomes_collateral(user, id)? {
            self.account_mut(user).flags.set_collateral(id, true);
        }
        Ok(Executed::Supplied(amount))
    }

    /// `given` is the amount to 3.4, and scaled since.
    fn require_below_supply_cap(&self, id: ReserveId, given: U256, config: &ReserveConfig, index: Ray) -> Allowed<()> {
        if config.supply_cap == 0 {
            return Ok(());
        }
        let rules = self.rules();
        let reserve = self.reserve(id)?;
        let owed = if rules.cap_counts_treasury { reserve.accrued_to_treasury } else { U256::ZERO };
        let counted = add(reserve.scaled_supply, owed)?;
        let supply = match rules.scaling {
            Scaling::HalfUp => add(ray_mul_half_up(counted, index)?, given)?,
            Scaling::Protocol => rules.scaling.supply_balance(add(counted, given)?, index)?,
        };
        let cap = mul(U256::from(config.supply_cap), unit(config.decimals)?)?;
        require(supply <= cap, Refusal::SupplyCapExceeded)
    }

    /// Whether a first supply, or a first receipt to 3.5, is switched on as collateral by itself.
    pub(super) fn becomes_collateral(&self, user: Address, id: ReserveId) -> Allowed<bool> {
        let rules = self.rules();
        if rules.supply_is_collateral {
            return Ok(true);
        }
        let is_isolated = rules.isolation && self.reserve(id)?.config.debt_ceiling != 0;
        Ok(!(rules.collateral_needs_ltv && is_isolated) && self.can_be_collateral(user, id)?)
    }

    /// `validateUseAsCollateral`: nothing else is isolated, and it lends something.
    fn can_be_collateral(&self, user: Address, id: ReserveId) -> Allowed<bool> {
        let rules = self.rules();
        if rules.collateral_needs_ltv && self.lends_nothing(user, id)? {
            return Ok(false);
        }
        if !self.flags(user).is_collateral_any() {
            return Ok(true);
        }
        let is_isolated = rules.isolation && self.reserve(id)?.config.debt_ceiling != 0;
        Ok(self.isolation(user)?.is_none() && !is_isolated)
    }

    pub(super) fn withdraw(&mut self, user: Address, id: ReserveId, amount: U256, block: &Block) -> Allowed<Executed> {
        match self.rules().scaling {
            Scaling::HalfUp => self.withdraw_half_up(user, id, amount, block),
            Scaling::Protocol => self.withdraw_scaled(user, id, amount, block),
        }
    }

    /// To 3.4 the balance decides what can be withdrawn.
    fn withdraw_half_up(&mut self, user: Address, id: ReserveId, amount: U256, block: &Block) -> Allowed<Executed> {
        let rules = self.rules();
        let is_foretold = rules.checks == Checks::Foretold;
        // The balance is the same before and after accrual; what differs is which refusal comes first.
        let early = if is_foretold { None } else { Some(self.accrue(id, block)?) };
        let balance = self.supply_balance(user, id, block)?;
        let amount = if amount == U256::MAX { balance } else { amount };
        require(!amount.is_zero(), Refusal::InvalidAmount)?;
        require(amount <= balance, Refusal::NotEnoughAvailableUserBalance)?;
        require_usable(&self.reserve(id)?.config)?;
        if is_foretold && !self.decrease_allowed(user, id, amount, block)? {
            return Err(Refusal::TransferNotAllowed);
        }
        let cache = match early {
            Some(cache) => cache,
            None => self.accrue(id, block)?,
        };
        self.update_rates(id, &cache, U256::ZERO, amount, block)?;
        let was_collateral = self.flags(user).is_collateral(id);
        if amount == balance && !rules.bit_outlives_withdrawal {
            self.account_mut(user).flags.set_collateral(id, false);
        }
        self.burn_supply(user, id, rules.scaling.withdrawn(amount, cache.liquidity_index)?)?;
        self.release(id, amount)?;
        if rules.checks != Checks::Foretold && was_collateral && self.flags(user).is_borrowing_any() {
            self.require_healthy_without(user, id, block)?;
        }
        if amount == balance {
            self.account_mut(user).flags.set_collateral(id, false);
        }
        Ok(Executed::Withdrawn(amount))
    }

    /// Since 3.5 the scaled balance decides.
    fn withdraw_scaled(&mut self, user: Address, id: ReserveId, amount: U256, block: &Block) -> Allowed<Executed> {
        let rules = self.rules();
        let cache = self.accrue(id, block)?;
        let held = self.position(user, id).supplied;
        let (scaled, amount) = if amount == U256::MAX {
            (held, rules.scaling.supply_balance(held, cache.liquidity_index)?)
        } else {
            (rules.scaling.withdrawn(amount, cache.liquidity_index)?, amount)
        };
        require(!scaled.is_zero(), Refusal::InvalidAmount)?;
        require(scaled <= held, Refusal::NotEnoughAvailableUserBalance)?;
        require_usable(&self.reserve(id)?.config)?;
        self.update_rates(id, &cache, U256::ZERO, amount, block)?;
        self.burn_supply(user, id, scaled)?;
        self.release(id, amount)?;
        self.settle_collateral(user, id, scaled == held, block)?;
        Ok(Executed::Withdrawn(amount))
    }

    /// Since 3.5, after supply left an account: its bit goes with the last of it, and debt must stay covered.
    fn settle_collateral(&mut self, user: Address, id: ReserveId, is_empty: bool, block: &Block) -> Allowed<()> {
        if !self.flags(user).is_collateral(id) {
            return Ok(());
        }
        if is_empty {
            self.account_mut(user).flags.set_collateral(id, false);
        }
        if self.flags(user).is_borrowing_any() {
            self.require_healthy_without(user, id, block)?;
        }
        Ok(())
    }

    /// V2: whether the health factor stays at 1 when `amount` of collateral goes, `balanceDecreaseAllowed`.
    fn decrease_allowed(&self, user: Address, id: ReserveId, amount: U256, block: &Block) -> Allowed<bool> {
        let flags = self.flags(user);
        let config = self.reserve(id)?.config;
        let counts = flags.is_collateral(id) && config.liquidation_threshold.0 != 0;
        if !flags.is_borrowing_any() || !counts {
            return Ok(true);
        }
        let data = self.account_data(user, block)?;
        if data.total_debt.is_zero() {
            return Ok(true);
        }
        let gone = value(amount, block.price(id)?, config.decimals, Rounding::Floor)?;
        let left = sub(data.total_collateral, gone)?;
        if left.is_zero() {
            return Ok(false);
        }
        let weighted = mul(data.total_collateral, data.liquidation_threshold.wide())?;
        let average = div(sub(weighted, mul(gone, config.liquidation_threshold.wide())?)?, left)?;
        // The difference of floored averages can exceed every threshold when almost nothing is left.
        let backed = percent_mul_wide(left, average)?;
        Ok(Wad(wad_div_half_up(backed, data.total_debt)?) >= LIQUIDATION_HEALTH_FACTOR)
    }

    pub(super) fn transfer(
        &mut self,
        from: Address,
        to: Address,
        id: ReserveId,
        amount: U256,
        block: &Block,
    ) -> Allowed<Executed> {
        let rules = self.rules();
        fits(amount, rules.balance_bits)?;
        let index = self.reserve(id)?.normalized_income(block.now)?;
        let (held, taken_before) = (self.position(from, id).supplied, self.position(to, id).supplied);
        let scaled = rules.scaling.withdrawn(amount, index)?;
        let balance = rules.scaling.supply_balance(held, index)?;
        let balance_to = rules.scaling.supply_balance(taken_before, index)?;
        self.move_supply(from, to, id, scaled)?;
        let is_paused = self.is_paused || self.reserve(id)?.config.paused;
        require(!is_paused, Refusal::ReservePaused)?;
        match rules.scaling {
            Scaling::Protocol if from != to && !scaled.is_zero() => {
                self.settle_collateral(from, id, scaled == held, block)?;
            }
            Scaling::HalfUp if rules.checks == Checks::Foretold => {
                let account = self.accounts.get(&from).cloned().unwrap_or_default();
                let data = account_data(self.revision, &self.reserves, &self.e_modes, &account, block)?;
                require(!data.is_liquidatable(), Refusal::TransferNotAllowed)?;
                if from != to && sub(balance, amount)?.is_zero() {
                    self.account_mut(from).flags.set_collateral(id, false);
                }
            }
            Scaling::HalfUp if from != to && !amount.is_zero() && self.flags(from).is_collateral(id) => {
                if self.flags(from).is_borrowing_any() {
                    self.require_healthy_without(from, id, block)?;
                }
                if balance == amount {
                    self.account_mut(from).flags.set_collateral(id, false);
                }
            }
            Scaling::HalfUp | Scaling::Protocol => {}
        }
        let received = from != to && !amount.is_zero() && balance_to.is_zero();
        if rules.collateral_on_receipt && received && self.becomes_collateral(to, id)? {
            self.account_mut(to).flags.set_collateral(id, true);
        }
        Ok(Executed::Done)
    }

    pub(super) fn use_as_collateral(
        &mut self,
        user: Address,
        id: ReserveId,
        on: bool,
        block: &Block,
    ) -> Allowed<Executed> {
        let is_on = self.flags(user).is_collateral(id);
        let config = self.reserve(id)?.config;
        if self.rules().checks == Checks::Foretold {
            let balance = self.supply_balance(user, id, block)?;
            require(!balance.is_zero(), Refusal::UnderlyingBalanceZero)?;
            let allowed = on || self.decrease_allowed(user, id, balance, block)?;
            require(allowed, Refusal::DepositAlreadyInUse)?;
            self.account_mut(user).flags.set_collateral(id, on);
            return Ok(Executed::Done);
        }
        match self.rules().scaling {
            Scaling::HalfUp => {
                let balance = self.supply_balance(user, id, block)?;
                require(!balance.is_zero(), Refusal::UnderlyingBalanceZero)?;
                require_usable(&config)?;
            }
            Scaling::Protocol => {
                require_usable(&config)?;
                let holds = !self.position(user, id).supplied.is_zero();
                require(is_on == on || !on || holds, Refusal::UnderlyingBalanceZero)?;
            }
        }
        if is_on == on {
            return Ok(Executed::Unchanged);
        }
        if on {
            require(self.can_be_collateral(user, id)?, Refusal::UserInIsolationModeOrLtvZero)?;
            self.account_mut(user).flags.set_collateral(id, true);
        } else {
            self.account_mut(user).flags.set_collateral(id, false);
            self.require_healthy_without(user, id, block)?;
        }
        Ok(Executed::Done)
    }

    pub(super) fn set_e_mode(&mut self, user: Address, category: u8, block: &Block) -> Allowed<Executed> {
        let rules = self.rules();
        let rule = rules.e_mode;
        let previous = self.accounts.get(&user).map_or(0, |account| account.e_mode);
        if rules.same_e_mode_is_nothing && previous == category {
            return Ok(Executed::Unchanged);
        }
        let terms = self.e_modes.get(&category).copied().unwrap_or_default();
        let exists = category == 0 || terms.liquidation_threshold.0 != 0;
        require(exists && rule != EModeRule::None, Refusal::InconsistentEModeCategory)?;
        let flags = self.flags(user);
        self.account_mut(user).e_mode = category;
        for id in flags.reserves() {
            let config = self.reserve(id)?.config;
            let (allowed, refusal) = match rule {
                EModeRule::None | EModeRule::OneCategory => {
                    (category == 0 || config.e_mode_category == category, Refusal::InconsistentEModeCategory)
                }
                EModeRule::Bitmaps => (category == 0 || terms.borrowable.contains(id), Refusal::NotBorrowableInEMode),
                EModeRule::LtvZero | EModeRule::Isolated => {
                    let borrowable = if category == 0 { config.borrowing } else { terms.borrowable.contains(id) };
                    (borrowable, Refusal::InvalidDebtInEmode)
                }
            };
            require(allowed || !flags.is_borrowing(id), refusal)?;
            let must_lend = matches!(rule, EModeRule::LtvZero | EModeRule::Isolated) && flags.is_collateral(id);
            require(!must_lend || !self.lends_nothing(user, id)?, Refusal::InvalidCollateralInEmode)?;
        }
        if rules.checks_e_mode_entry || previous != 0 {
            self.require_healthy(user, block)?;
        }
        Ok(Executed::Done)
    }

    /// `LiquidationLogic.executeEliminateDeficit` (3.3+); who may call it is not this module's business.
    pub(super) fn cover_deficit(
        &mut self,
        user: Address,
        id: ReserveId,
        amount: U256,
        block: &Block,
    ) -> Allowed<Executed> {
        let rules = self.rules();
        let deficit = self.reserve(id)?.deficit;
        require(!amount.is_zero(), Refusal::InvalidAmount)?;
        require(!deficit.is_zero(), Refusal::ReserveNotInDeficit)?;
        require(!self.flags(user).is_borrowing_any(), Refusal::UserCannotHaveDebt)?;
        let cache = self.accrue(id, block)?;
        require(self.reserve(id)?.config.active, Refusal::ReserveInactive)?;
        let covered = amount.min(deficit);
        let scaled = rules.scaling.withdrawn(covered, cache.liquidity_index)?;
        let held = self.position(user, id).supplied;
        let balance = rules.scaling.supply_balance(held, cache.liquidity_index)?;
        let (is_enough, is_all) = match rules.scaling {
            Scaling::HalfUp => (covered <= balance, covered == balance),
            Scaling::Protocol => (scaled <= held, scaled == held),
        };
        require(is_enough, Refusal::NotEnoughAvailableUserBalance)?;
        if is_all {
            self.account_mut(user).flags.set_collateral(id, false);
        }
        self.burn_supply(user, id, scaled)?;
        self.reserve_mut(id)?.deficit = sub(deficit, covered)?;
        self.update_rates(id, &cache, U256::ZERO, U256::ZERO, block)?;
        Ok(Executed::Covered(covered))
    }

    pub(super) fn mint_to_treasury(&mut self, id: ReserveId, block: &Block) -> Allowed<Executed> {
        let rules = self.rules();
        let reserve = self.reserve_mut(id)?;
        let owed = reserve.accrued_to_treasury;
        if !reserve.config.active || owed.is_zero() {
            return Ok(Executed::Unchanged);
        }
        reserve.accrued_to_treasury = U256::ZERO;
        let income = reserve.normalized_income(block.now)?;
        let amount = rules.scaling.supply_balance(owed, income)?;
        // To 3.4 the scaled amount goes through the balance and back, and may lose a unit on the way.
        let scaled = match rules.scaling {
            Scaling::HalfUp => rules.scaling.supplied(amount, income)?,
            Scaling::Protocol => owed,
        };
        if rules.scaling == Scaling::HalfUp && amount.is_zero() {
            return Ok(Executed::Minted(amount));
        }
        let treasury = self.treasury;
        self.mint_supply(treasury, id, scaled)?;
        Ok(Executed::Minted(amount))
    }
}

/// `percentMul` of a percentage that no longer fits 16 bits.
fn percent_mul_wide(amount: U256, percentage: U256) -> Allowed<U256> {
    match u16::try_from(percentage) {
        Ok(bps) => Ok(percent_mul_half_up(amount, Bps(bps))?),
        Err(_) => Ok(div(add(mul(amount, percentage)?, U256::from(5_000_u16))?, U256::from(10_000_u16))?),
    }
}

/// The contract's `require`.
pub(super) fn require(holds: bool, otherwise: Refusal) -> Allowed<()> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Active, and not paused.
pub(super) fn require_usable(config: &ReserveConfig) -> Allowed<()> {
    require(config.active, Refusal::ReserveInactive)?;
    require(!config.paused, Refusal::ReservePaused)
}
