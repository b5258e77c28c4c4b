//! One reserve's state: indexes, rates, totals, and how they move with time and use.
//!
//! Sources: `ReserveLogic` (`updateState`, `updateInterestRates`, `getNormalizedIncome`, `getNormalizedDebt`),
//! `ScaledBalanceTokenBase`, `StableDebtToken`.

use alloy_primitives::U256;

use super::config::ReserveConfig;
use super::interest::{compounded, linear};
use super::math::{Checked, Ray, Rounding, add, fits, percent_mul_half_up, ray_div, ray_mul, ray_mul_half_up, sub};
use super::rates::{RateModel, Rates, Usage};
use super::revision::{Revision, Rules, Scaling};

/// A reserve, as the pool, its tokens and its strategy store it. Amounts are in the token's smallest unit, times in
/// seconds, rates yearly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// What governance set.
    pub config: ReserveConfig,
    /// The strategy's parameters.
    pub rate_model: RateModel,
    /// The rates since the last update.
    pub rates: Rates,
    /// What one scaled unit of supply was worth at the last update.
    pub liquidity_index: Ray,
    /// What one scaled unit of variable debt was worth at the last update.
    pub variable_borrow_index: Ray,
    /// When indexes were last brought up to date.
    pub last_update: u64,
    /// Scaled supply of all accounts.
    pub scaled_supply: U256,
    /// Scaled variable debt of all accounts.
    pub scaled_variable_debt: U256,
    /// Stable debt of all accounts (to 3.1).
    pub stable_debt: StableTotals,
    /// What can be borrowed: the token's balance, or what the pool books (3.1+).
    pub liquidity: U256,
    /// What the treasury is owed, scaled (3.0+).
    pub accrued_to_treasury: U256,
    /// Supply minted without backing, by bridges (to 3.3).
    pub unbacked: U256,
    /// Bad debt written off and not yet covered (3.3+).
    pub deficit: U256,
    /// Debt drawn against this collateral in isolation, in cents (3.0 to 3.6).
    pub isolation_mode_total_debt: U256,
    /// Until when nobody is liquidated (3.1+).
    pub liquidation_grace_until: u64,
}

/// The stable debt token's totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StableTotals {
    /// Debt at the last update.
    pub principal: U256,
    /// The average rate.
    pub average_rate: Ray,
    /// When it was last updated.
    pub updated: u64,
}

impl StableTotals {
    /// The debt with interest, `_calcTotalSupply`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn total(&self, rules: &Rules, now: u64) -> Checked<U256> {
        if self.principal.is_zero() {
            return Ok(U256::ZERO);
        }
        ray_mul_half_up(self.principal, compounded(rules.compounding, self.average_rate, self.updated, now)?)
    }
}

/// Which way scaled amounts round, and whom that favours: since 3.5 always the protocol.
///
/// Source: `TokenMath` (3.5+); `rayDiv` and `rayMul` in the tokens before.
impl Scaling {
    /// Which way a balance goes that should favour the protocol so.
    #[inline]
    pub(crate) fn either(self, protocol: Rounding) -> Rounding {
        match self {
            Self::HalfUp => Rounding::HalfUp,
            Self::Protocol => protocol,
        }
    }

    /// What a supply mints: no more than was given.
    ///
    /// # Errors
    /// As [`ray_div`].
    pub fn supplied(self, amount: U256, index: Ray) -> Checked<U256> {
        ray_div(amount, index, self.either(Rounding::Floor))
    }

    /// What a withdrawal or a transfer burns: no less than was taken.
    ///
    /// # Errors
    /// As [`ray_div`].
    pub fn withdrawn(self, amount: U256, index: Ray) -> Checked<U256> {
        ray_div(amount, index, self.either(Rounding::Ceil))
    }

    /// What scaled supply is worth: no more than it is.
    ///
    /// # Errors
    /// As [`ray_mul`].
    #[inline]
    pub fn supply_balance(self, scaled: U256, index: Ray) -> Checked<U256> {
        ray_mul(scaled, index, self.either(Rounding::Floor))
    }

    /// What a borrow mints: no less than was taken.
    ///
    /// # Errors
    /// As [`ray_div`].
    pub fn borrowed(self, amount: U256, index: Ray) -> Checked<U256> {
        ray_div(amount, index, self.either(Rounding::Ceil))
    }

    /// What a repayment burns: no more than was given.
    ///
    /// # Errors
    /// As [`ray_div`].
    pub fn repaid(self, amount: U256, index: Ray) -> Checked<U256> {
        ray_div(amount, index, self.either(Rounding::Floor))
    }

    /// What scaled debt amounts to: no less than it is.
    ///
    /// # Errors
    /// As [`ray_mul`].
    #[inline]
    pub fn debt_balance(self, scaled: U256, index: Ray) -> Checked<U256> {
        ray_mul(scaled, index, self.either(Rounding::Ceil))
    }
}

/// A reserve as one transaction sees it: read once, brought up to date, and carried along.
///
/// The contracts keep the same (`DataTypes.ReserveCache`), and some of their results hang on it being *stale*: a
/// liquidation of a debt with collateral in the same asset accrues the treasury's share twice in 3.5 and 3.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveCache {
    rates: Rates,
    last_update: u64,
    current_liquidity_index: Ray,
    current_variable_index: Ray,
    current_scaled_variable_debt: U256,
    current_stable: StableTotals,
    current_total_stable_debt: U256,
    /// The liquidity index after accrual.
    pub liquidity_index: Ray,
    /// The variable borrow index after accrual.
    pub variable_borrow_index: Ray,
    /// Scaled variable debt after what the action did.
    pub scaled_variable_debt: U256,
    /// Stable debt after what the action did.
    pub total_stable_debt: U256,
    /// Its average rate.
    pub average_stable_rate: Ray,
}

impl ReserveCache {
    /// Variable debt as the action found it, at the accrued index: what a borrow cap looks at.
    #[must_use]
    pub fn found_scaled_variable_debt(&self) -> U256 {
        self.current_scaled_variable_debt
    }

    /// Stable debt as the action found it.
    #[must_use]
    pub fn found_total_stable_debt(&self) -> U256 {
        self.current_total_stable_debt
    }

    /// The liquidity rate as the action found it.
    #[must_use]
    pub fn found_liquidity_rate(&self) -> Ray {
        self.rates.liquidity
    }
}

/// What an update of the indexes minted for the treasury.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Accrued {
    /// Scaled supply to credit to the treasury's account now (V2); later revisions collect it in the reserve.
    pub minted_scaled: U256,
}

impl Reserve {
    /// A reserve nobody has used yet.
    #[must_use]
    pub fn new(config: ReserveConfig, rate_model: RateModel) -> Self {
        Self {
            config,
            rate_model,
            rates: Rates::default(),
            liquidity_index: Ray::ONE,
            variable_borrow_index: Ray::ONE,
            last_update: 0,
            scaled_supply: U256::ZERO,
            scaled_variable_debt: U256::ZERO,
            stable_debt: StableTotals::default(),
            liquidity: U256::ZERO,
            accrued_to_treasury: U256::ZERO,
            unbacked: U256::ZERO,
            deficit: U256::ZERO,
            isolation_mode_total_debt: U256::ZERO,
            liquidation_grace_until: 0,
        }
    }

    /// The liquidity index at `now`, `getNormalizedIncome`.
    ///
    /// # Errors
    /// A product leaves 256 bits, or time runs back.
    pub fn normalized_income(&self, now: u64) -> Checked<Ray> {
        if now == self.last_update {
            return Ok(self.liquidity_index);
        }
        let grown = linear(self.rates.liquidity, self.last_update, now)?;
        ray_mul_half_up(grown.0, self.liquidity_index).map(Ray)
    }

    /// The variable borrow index at `now`, `getNormalizedDebt`.
    ///
    /// # Errors
    /// A product leaves 256 bits, or time runs back.
    pub fn normalized_debt(&self, rules: &Rules, now: u64) -> Checked<Ray> {
        if now == self.last_update {
            return Ok(self.variable_borrow_index);
        }
        let grown = compounded(rules.compounding, self.rates.variable, self.last_update, now)?;
        ray_mul_half_up(grown.0, self.variable_borrow_index).map(Ray)
    }

    /// Supply of all accounts with interest.
    ///
    /// # Errors
    /// A product leaves 256 bits, or time runs back.
    pub fn total_supply(&self, rules: &Rules, now: u64) -> Checked<U256> {
        rules.scaling.supply_balance(self.scaled_supply, self.normalized_income(now)?)
    }

    /// Reads the reserve for one action.
    ///
    /// # Errors
    /// Stable interest leaves 256 bits.
    pub fn cache(&self, rules: &Rules, now: u64) -> Checked<ReserveCache> {
        let total_stable_debt = self.stable_debt.total(rules, now)?;
        Ok(ReserveCache {
            rates: self.rates,
            last_update: self.last_update,
            current_liquidity_index: self.liquidity_index,
            current_variable_index: self.variable_borrow_index,
            current_scaled_variable_debt: self.scaled_variable_debt,
            current_stable: self.stable_debt,
            current_total_stable_debt: total_stable_debt,
            liquidity_index: self.liquidity_index,
            variable_borrow_index: self.variable_borrow_index,
            scaled_variable_debt: self.scaled_variable_debt,
            total_stable_debt,
            average_stable_rate: self.stable_debt.average_rate,
        })
    }

    /// Brings the indexes up to `now`, `updateState`.
    ///
    /// # Errors
    /// An index leaves 128 bits, a product 256, or time runs back.
    pub fn accrue(&mut self, cache: &mut ReserveCache, rules: &Rules, now: u64) -> Checked<Accrued> {
        if cache.last_update == now {
            return Ok(Accrued::default());
        }
        let earns = !cache.rates.liquidity.0.is_zero();
        if earns {
            let grown = linear(cache.rates.liquidity, cache.last_update, now)?;
            cache.liquidity_index = Ray(fits(ray_mul_half_up(grown.0, cache.current_liquidity_index)?, 128)?);
            self.liquidity_index = cache.liquidity_index;
        }
        let owes = !cache.current_scaled_variable_debt.is_zero();
        if owes && (earns || !rules.nested_accrual) {
            let grown = compounded(rules.compounding, cache.rates.variable, cache.last_update, now)?;
            cache.variable_borrow_index = Ray(fits(ray_mul_half_up(grown.0, cache.current_variable_index)?, 128)?);
            self.variable_borrow_index = cache.variable_borrow_index;
        }
        let accrued = self.accrue_treasury(cache, rules)?;
        self.last_update = now;
        cache.last_update = now;
        Ok(accrued)
    }

    /// The treasury's share of the interest since the last update, `_accrueToTreasury` and V2's `_mintToTreasury`.
    fn accrue_treasury(&mut self, cache: &ReserveCache, rules: &Rules) -> Checked<Accrued> {
        if self.config.reserve_factor.0 == 0 {
            return Ok(Accrued::default());
        }
        let interest = match rules.scaling {
            Scaling::HalfUp => interest_half_up(cache, rules)?,
            Scaling::Protocol => {
                let growth = sub(cache.variable_borrow_index.0, cache.current_variable_index.0)?;
                ray_mul(cache.current_scaled_variable_debt, Ray(growth), Rounding::Floor)?
            }
        };
        let share = percent_mul_half_up(interest, self.config.reserve_factor)?;
        if share.is_zero() {
            return Ok(Accrued::default());
        }
        let scaled = rules.scaling.supplied(share, cache.liquidity_index)?;
        if rules.mints_treasury_at_once {
            self.scaled_supply = add(self.scaled_supply, scaled)?;
            return Ok(Accrued { minted_scaled: scaled });
        }
        self.accrued_to_treasury = fits(add(self.accrued_to_treasury, fits(scaled, 128)?)?, 128)?;
        Ok(Accrued::default())
    }

    /// Sets the rates for what the action leaves, `updateInterestRates`; from 3.1 it also books the liquidity.
    ///
    /// # Errors
    /// More is taken than is there , a rate leaves 128 bits, or a product 256.
    pub fn update_rates(&mut self, revision: Revision, cache: &ReserveCache, added: U256, taken: U256) -> Checked<()> {
        let rules = revision.rules();
        let variable_debt = rules.scaling.debt_balance(cache.scaled_variable_debt, cache.variable_borrow_index)?;
        let available = sub(add(self.liquidity, added)?, taken)?;
        let usage = Usage {
            available,
            // A deficit dilutes suppliers just as bridged supply does.
            unbacked: add(self.unbacked, self.deficit)?,
            stable_debt: cache.total_stable_debt,
            average_stable_rate: cache.average_stable_rate,
            variable_debt,
            reserve_factor: self.config.reserve_factor,
        };
        let rates = self.rate_model.rates(revision, &usage)?;
        for rate in [rates.liquidity, rates.stable, rates.variable] {
            fits(rate.0, 128)?;
        }
        self.rates = rates;
        if rules.virtual_liquidity {
            self.liquidity = fits(available, 128)?;
        }
        Ok(())
    }

    /// Tokens that came in, where liquidity is the token's balance (to 3.0.2).
    ///
    /// # Errors
    /// The sum leaves 256 bits.
    pub fn receive(&mut self, rules: &Rules, amount: U256) -> Checked<()> {
        if !rules.virtual_liquidity {
            self.liquidity = add(self.liquidity, amount)?;
        }
        Ok(())
    }

    /// Tokens that went out, where liquidity is the token's balance (to 3.0.2).
    ///
    /// # Errors
    /// There are not so many.
    pub fn release(&mut self, rules: &Rules, amount: U256) -> Checked<()> {
        if !rules.virtual_liquidity {
            self.liquidity = sub(self.liquidity, amount)?;
        }
        Ok(())
    }
}

/// Interest on variable and stable debt since the last update, from rounded totals (to 3.4).
fn interest_half_up(cache: &ReserveCache, rules: &Rules) -> Checked<U256> {
    let scaled = cache.current_scaled_variable_debt;
    let before = ray_mul_half_up(scaled, cache.current_variable_index)?;
    let after = ray_mul_half_up(scaled, cache.variable_borrow_index)?;
    let stable = &cache.current_stable;
    let grown = compounded(rules.compounding, stable.average_rate, stable.updated, cache.last_update)?;
    let stable_before = ray_mul_half_up(stable.principal, grown)?;
    sub(sub(add(after, cache.current_total_stable_debt)?, before)?, stable_before)
}

/// One account's stable debt in one reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StableDebt {
    /// Debt when it was last touched.
    pub principal: U256,
    /// The account's own rate.
    pub rate: Ray,
    /// When it was last touched.
    pub since: u64,
}

impl StableDebt {
    /// The debt with interest, `StableDebtToken.balanceOf`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn balance(&self, rules: &Rules, now: u64) -> Checked<U256> {
        if self.principal.is_zero() {
            return Ok(U256::ZERO);
        }
        ray_mul_half_up(self.principal, compounded(rules.compounding, self.rate, self.since, now)?)
    }

    /// Draws `amount` more at `rate`, `StableDebtToken.mint`. Says the reserve's debt and average rate after it.
    ///
    /// # Errors
    /// A rate leaves 128 bits, a product 256, or nothing is drawn on nothing.
    pub fn draw(
        &mut self,
        totals: &mut StableTotals,
        rules: &Rules,
        amount: U256,
        rate: Ray,
        now: u64,
    ) -> Checked<(U256, Ray)> {
        let owed = self.balance(rules, now)?;
        let supply = totals.total(rules, now)?;
        let next_supply = add(supply, amount)?;
        let user_rate = weighted_rate((self.rate, owed), (rate, amount), add(owed, amount)?)?;
        let average = weighted_rate((totals.average_rate, supply), (rate, amount), next_supply)?;
        fits(user_rate.0, 128)?;
        fits(average.0, rules.balance_bits.max(128))?;
        let principal = fits(add(owed, amount)?, rules.balance_bits)?;
        *self = Self { principal, rate: user_rate, since: now };
        *totals = StableTotals { principal: next_supply, average_rate: average, updated: now };
        Ok((next_supply, average))
    }

    /// Repays `amount`, `StableDebtToken.burn`. Says the reserve's debt and average rate as the token reports them:
    /// where the average would fall below zero, the token forgets its debt but reports it.
    ///
    /// # Errors
    /// More is repaid than owed, or a product leaves 256 bits.
    pub fn repay(&mut self, totals: &mut StableTotals, rules: &Rules, amount: U256, now: u64) -> Checked<(U256, Ray)> {
        let owed = self.balance(rules, now)?;
        let supply = totals.total(rules, now)?;
        let mut next = (U256::ZERO, Ray::ZERO);
        let mut principal = U256::ZERO;
        if supply > amount {
            next.0 = sub(supply, amount)?;
            let all = ray_mul_half_up(totals.average_rate.0, wad_ray(supply)?)?;
            let gone = ray_mul_half_up(self.rate.0, wad_ray(amount)?)?;
            if all > gone {
                principal = next.0;
                next.1 = Ray(ray_div(sub(all, gone)?, wad_ray(next.0)?, Rounding::HalfUp)?);
                fits(next.1.0, rules.balance_bits.max(128))?;
            }
        }
        *totals = StableTotals { principal, average_rate: next.1, updated: now };
        if amount == owed {
            *self = Self::default();
        } else {
            let principal = fits(sub(owed, amount)?, rules.balance_bits)?;
            *self = Self { principal, since: now, ..*self };
        }
        Ok(next)
    }
}

fn wad_ray(amount: U256) -> Checked<Ray> {
    super::math::wad_to_ray(amount)
}

/// `(rate_a * a + rate_b * b) / total`, all in rays, each product half up.
fn weighted_rate(a: (Ray, U256), b: (Ray, U256), total: U256) -> Checked<Ray> {
    let sum = add(ray_mul_half_up(a.0.0, wad_ray(a.1)?)?, ray_mul_half_up(b.0.0, wad_ray(b.1)?)?)?;
    ray_div(sum, wad_ray(total)?, Rounding::HalfUp).map(Ray)
}
