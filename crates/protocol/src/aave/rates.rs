//! Interest-rate strategies: two slopes over the usage ratio.
//!
//! Needed to ask what would happen; replay reads the rates from the chain's events. Sources:
//! `DefaultReserveInterestRateStrategy.calculateInterestRates` (V2, 3.0) and `DefaultReserveInterestRateStrategyV2`
//! (3.1+).

use alloy_primitives::U256;

use super::math::{Bps, Checked, Ray, add, percent_mul_half_up, ray_div_half_up, ray_mul_half_up, sub, wad_to_ray};
use super::revision::{Revision, Rules, Strategy};

/// The parameters of a reserve's strategy; yearly rates and ratios in rays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RateModel {
    /// The usage ratio at which the second slope begins.
    pub optimal_usage: Ray,
    /// The variable rate at no usage.
    pub base: Ray,
    /// What the variable rate gains up to the optimal usage.
    pub slope_1: Ray,
    /// What it gains from there to full usage.
    pub slope_2: Ray,
    /// The stable rate at no usage: the market rate of the lending-rate oracle (V2), or the variable slope 1 and an
    /// offset (3.0).
    pub stable_base: Ray,
    /// What the stable rate gains up to the optimal usage.
    pub stable_slope_1: Ray,
    /// What it gains from there to full usage.
    pub stable_slope_2: Ray,
    /// What the stable rate gains when all debt is stable (3.0).
    pub stable_excess_offset: Ray,
    /// The share of stable debt at which that begins (3.0).
    pub optimal_stable_share: Ray,
}

/// Yearly rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rates {
    /// What suppliers earn.
    pub liquidity: Ray,
    /// What new stable debt pays.
    pub stable: Ray,
    /// What variable debt pays.
    pub variable: Ray,
}

/// What the strategy looks at; amounts in the token's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// What can be borrowed after the action.
    pub available: U256,
    /// What was lent without backing, or is a deficit: it dilutes suppliers.
    pub unbacked: U256,
    /// Stable debt.
    pub stable_debt: U256,
    /// The average rate of the stable debt.
    pub average_stable_rate: Ray,
    /// Variable debt.
    pub variable_debt: U256,
    /// The treasury's share.
    pub reserve_factor: Bps,
}

impl RateModel {
    /// The variable rate at full usage, `getMaxVariableBorrowRate`.
    ///
    /// # Errors
    /// The sum leaves 256 bits.
    pub fn max_variable(&self) -> Checked<Ray> {
        add(add(self.base.0, self.slope_1.0)?, self.slope_2.0).map(Ray)
    }

    /// The rates after an action.
    ///
    /// # Errors
    /// A product leaves 256 bits, or the optimal usage is zero.
    pub fn rates(&self, revision: Revision, usage: &Usage) -> Checked<Rates> {
        let rules = revision.rules();
        let total = add(usage.stable_debt, usage.variable_debt)?;
        if total.is_zero() && rules.strategy == Strategy::VariableOnly {
            return Ok(Rates { variable: self.base, ..Rates::default() });
        }
        let (borrow_usage, supply_usage) = if total.is_zero() {
            (Ray::ZERO, Ray::ZERO)
        } else {
            let all = add(usage.available, total)?;
            let borrow = Ray(ray_div_half_up(total, Ray(all))?);
            // V2 knows no unbacked supply.
            (borrow, Ray(ray_div_half_up(total, Ray(add(all, usage.unbacked)?))?))
        };
        let (stable, variable) = self.borrow_rates(rules, borrow_usage)?;
        let stable = self.stable_rate(rules, stable, usage.stable_debt, total)?;
        let earned = ray_mul_half_up(overall_borrow_rate(rules, usage, total, variable)?.0, supply_usage)?;
        let supplier_share = Bps(Bps::ONE.0.saturating_sub(usage.reserve_factor.0));
        Ok(Rates { liquidity: Ray(percent_mul_half_up(earned, supplier_share)?), stable, variable })
    }

    /// Stable and variable rate at a usage ratio.
    fn borrow_rates(&self, rules: &Rules, usage: Ray) -> Checked<(Ray, Ray)> {
        let optimal = self.optimal_usage;
        if usage > optimal {
            let span = Ray(sub(Ray::ONE.0, optimal.0)?);
            let excess = Ray(ray_div_half_up(sub(usage.0, optimal.0)?, span)?);
            let above = |base: Ray, slope_1: Ray, slope_2: Ray| {
                add(add(base.0, slope_1.0)?, ray_mul_half_up(slope_2.0, excess)?).map(Ray)
            };
            return Ok((
                above(self.stable_base, self.stable_slope_1, self.stable_slope_2)?,
                above(self.base, self.slope_1, self.slope_2)?,
            ));
        }
        let scaled = |slope: Ray| ray_div_half_up(ray_mul_half_up(slope.0, usage)?, optimal);
        // V2 divides before it multiplies, for the stable rate alone.
        let stable_gain = if rules.strategy == Strategy::MarketRate {
            ray_mul_half_up(self.stable_slope_1.0, Ray(ray_div_half_up(usage.0, optimal)?))?
        } else {
            scaled(self.stable_slope_1)?
        };
        Ok((Ray(add(self.stable_base.0, stable_gain)?), Ray(add(self.base.0, scaled(self.slope_1)?)?)))
    }

    /// The stable rate with what an excess of stable debt adds; zero where there is no stable debt.
    fn stable_rate(&self, rules: &Rules, rate: Ray, stable_debt: U256, total: U256) -> Checked<Ray> {
        match rules.strategy {
            Strategy::VariableOnly => return Ok(Ray::ZERO),
            Strategy::MarketRate => return Ok(rate),
            Strategy::StableShare if total.is_zero() => return Ok(rate),
            Strategy::StableShare => {}
        }
        let share = Ray(ray_div_half_up(stable_debt, Ray(total))?);
        if share <= self.optimal_stable_share {
            return Ok(rate);
        }
        let span = Ray(sub(Ray::ONE.0, self.optimal_stable_share.0)?);
        let excess = Ray(ray_div_half_up(sub(share.0, self.optimal_stable_share.0)?, span)?);
        add(rate.0, ray_mul_half_up(self.stable_excess_offset.0, excess)?).map(Ray)
    }
}

/// The average rate of all debt, weighted; the variable rate where there is no stable debt (3.2+).
fn overall_borrow_rate(rules: &Rules, usage: &Usage, total: U256, variable: Ray) -> Checked<Ray> {
    if !rules.stable_debt {
        return Ok(variable);
    }
    if total.is_zero() {
        return Ok(Ray::ZERO);
    }
    let variable_part = ray_mul_half_up(wad_to_ray(usage.variable_debt)?.0, variable)?;
    let stable_part = ray_mul_half_up(wad_to_ray(usage.stable_debt)?.0, usage.average_stable_rate)?;
    ray_div_half_up(add(variable_part, stable_part)?, wad_to_ray(total)?).map(Ray)
}
