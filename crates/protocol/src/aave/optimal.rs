//! Which liquidation of one account, at one block, pays the liquidator most, and which serves the account best.
//!
//! Every plan here is *executed* on a copy of what a liquidation touches, by the pool itself: close factor, dust rule,
//! fee, caps, isolation and every rounding are those of [`Pool::apply`], and a plan's amounts are what the pool does.
//!
//! Why few amounts have to be tried: for one pair of collateral and debt, what the liquidator receives is the repayment
//! times prices and bonus, less a share of the bonus, until the collateral is exhausted; from there both are constant.
//! So profit is piecewise linear in the amount asked for, and the amounts that the pool accepts are at most two
//! stretches: everything up to where dust would be left (3.3+) or liquidity ends, and, beyond that, what closes one side
//! completely. A linear function is largest at an end of a stretch. The ends are:
//!
//! * all that is allowed, [`U256::MAX`]: the close factor, all of the debt or all of the collateral, whichever is least;
//! * if that is refused, the largest amount that is not too much: it leaves 1,000 dollars on one side, or takes the last
//!   of the liquidity (then supplied tokens, which need none, are tried as well);
//! * the smallest amount that burns anything, where a repayment pays less than it costs.
//!
//! Rounding adds steps to the lines: a repayment buys whole units of collateral, so at last the amount is reduced for as
//! long as it buys the same. No other amount is better by more than the value of four smallest units of collateral and
//! two of debt and two units of base currency, which is what the roundings of one call add up to.
//!
//! The health factor after a call is a quotient of two such functions, so that it rises or falls over a whole stretch,
//! and a bisection finds where it passes 1. Two things disturb that. Within a few units of there rounding can make it
//! pass 1 several times; the amount found is one such place: it is on one side, and one more unit on the other. And to
//! 3.4, with several collaterals, the floored average threshold falls a basis point at a time as collateral above the
//! average leaves; between two jumps the health factor is as stated, so an amount at which it passes 1 is searched in each
//! stretch between them by itself. [`Aim::Health`] does not look past jumps: to 3.4 another amount may do a little better.

use std::collections::BTreeMap;

use alloy_primitives::{Address, I256, U256};

use super::account::{Account, Block, LIQUIDATION_HEALTH_FACTOR};
use super::config::ReserveId;
use super::liquidation::{CLOSE_FACTOR_HEALTH_FACTOR, Liquidated, LiquidationCall};
use super::math::{Bps, Checked, MathError, Rounding, Wad, add, div, sub, unit, value};
use super::pool::{Action, Executed, Outcome, Pool};
use super::refusal::{Allowed, Refusal};
use super::revision::LiquidationOrder;

/// 1.
const ONE: U256 = U256::from_limbs([1, 0, 0, 0]);

/// How many jumps of the average threshold are looked past; each costs two bisections.
const MOST_JUMPS: u16 = 256;

/// Who liquidates whom, and what a call costs him.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// Whose position it is.
    pub borrower: Address,
    /// Who repays and receives.
    pub liquidator: Address,
    /// What one call costs whatever its amount, such as gas, in base currency.
    pub cost: U256,
}

/// What a liquidation should be best at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// The liquidator's profit.
    Profit,
    /// The least debt written off, and then the highest health factor afterwards.
    Health,
    /// A health factor of at least 1 and nothing written off, for the least value repaid.
    LeastRepaid,
    /// A health factor of at least 1 and nothing written off, for the least value taken from the borrower.
    LeastTaken,
}

/// One liquidation, as the pool would execute it now. Values are in base currency, at the block's price of each reserve
/// (not at that of an e-mode category).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to ask for.
    pub call: LiquidationCall,
    /// What it does, in each token's smallest unit.
    pub done: Liquidated,
    /// Value of what was repaid, rounded up.
    pub repaid: U256,
    /// Value of the collateral received, rounded down, less that of the debt repaid, rounded up, less the call's cost.
    pub profit: I256,
    /// Value of all that leaves the borrower, the treasury's fee included, less that of the debt repaid for him.
    pub taken: I256,
    /// Value of the debt written off, rounded up (3.3+).
    pub written_off: U256,
    /// The borrower's health factor afterwards.
    pub health_factor: Wad,
    /// The borrower's average liquidation threshold afterwards, floored.
    pub threshold: Bps,
}

/// Two calls, one after the other in the same block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TwoSteps {
    /// As much as leaves the position liquidatable, or liquidatable as a whole.
    pub first: Plan,
    /// The most profitable call after that, on any pair.
    pub second: Plan,
    /// Of both together, each with its cost.
    pub profit: I256,
}

/// What a liquidator can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The best single call, `None` if the pool refuses every one.
    pub one: Option<Plan>,
    /// The best two calls, `None` if no first call leaves the position liquidatable.
    pub two: Option<TwoSteps>,
}

impl Choice {
    /// The larger profit of the two, two calls only if they pay more than one.
    #[must_use]
    pub fn profit(&self) -> Option<I256> {
        let one = self.one.as_ref().map(|plan| plan.profit);
        let two = self.two.as_ref().map(|steps| steps.profit);
        one.max(two)
    }
}

/// The liquidation that is best at one thing; of equals the first in the pool's order. `None` if the pool refuses every
/// one, or, for the last two aims, none makes the position healthy. A profit may be negative: then it is best to do
/// nothing.
#[must_use]
pub fn best(pool: &Pool, block: &Block, target: Target, aim: Aim) -> Option<Plan> {
    let mut trial = Trial::new(pool, block, target);
    match aim {
        Aim::Profit => trial.most_profitable(),
        Aim::Health => {
            let plans = trial.pairs().into_iter().flat_map(|pair| trial.extremes(pair)).collect::<Vec<_>>();
            first_best(plans, |a, b| {
                (b.written_off, a.health_factor).cmp(&(a.written_off, b.health_factor)) == std::cmp::Ordering::Greater
            })
        }
        Aim::LeastRepaid => first_best(trial.healing(), |a, b| a.repaid < b.repaid),
        Aim::LeastTaken => first_best(trial.healing(), |a, b| a.taken < b.taken),
    }
}

/// The best single call and the best two.
///
/// A liquidator whom the close factor holds to a part of the debt gets more in two calls: the first repays as much as
/// leaves the position liquidatable, the second again as much as is allowed. With collateral `C`, debt `D`, threshold
/// `t` and bonus `s`, a repayment `r` leaves `D - r` against `t * (C - (1 + s) * r)`, so the first is
/// `(D - t * C) / (1 - t * (1 + s))`, or all that is allowed if that is less or `t * (1 + s) >= 1`, where liquidating
/// never heals. With close factor `f` the two repay `r + f * (D - r)`, which is `(1 - f) * r` more than one call does.
/// That grows with `r`, so the first is as large as it can be. Where the health factor is at most 0.95 and one call may
/// close all the debt (3.0+), a first call above that would bring the close factor back; so the largest amount that keeps
/// it there is tried as well, which pays where another pair follows. Source: Qin, Zhou, Gamito, Jovanovic, Gervais, "An Empirical Study of `DeFi` Liquidations: Incentives, Risks,
/// and Instabilities" (IMC 2021), the optimal fixed-spread liquidation strategy. Here the integers decide, not the
/// formula: the first amount is found by bisection on the pool's own health factor after the call.
#[must_use]
pub fn one_or_two(pool: &Pool, block: &Block, target: Target) -> Choice {
    let mut trial = Trial::new(pool, block, target);
    let one = trial.most_profitable();
    let mut two: Option<TwoSteps> = None;
    for first in trial.pairs().into_iter().flat_map(|pair| trial.first_steps(pair)).collect::<Vec<_>>() {
        let Some(second) = trial.after(&first.call).and_then(|mut after| after.most_profitable()) else {
            continue;
        };
        let Some(profit) = first.profit.checked_add(second.profit) else {
            continue;
        };
        if two.as_ref().is_none_or(|best| profit > best.profit) {
            two = Some(TwoSteps { first, second, profit });
        }
    }
    Choice { one, two }
}

fn first_best(plans: Vec<Plan>, is_better: impl Fn(&Plan, &Plan) -> bool) -> Option<Plan> {
    plans.into_iter().reduce(|best, plan| if is_better(&plan, &best) { plan } else { best })
}

/// A collateral and a debt of the borrower, and what the liquidator takes of it.
#[derive(Debug, Clone, Copy)]
struct Pair {
    collateral: ReserveId,
    debt: ReserveId,
    receive_a_token: bool,
}

impl Pair {
    fn of(call: &LiquidationCall) -> Self {
        Self { collateral: call.collateral, debt: call.debt, receive_a_token: call.receive_a_token }
    }
}

/// A refusal that a smaller amount can escape.
fn is_too_much(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::MustNotLeaveDust | Refusal::NotEnoughLiquidity | Refusal::Arithmetic(_))
}

/// A copy of what a liquidation of one account touches, to try calls on.
struct Trial<'a> {
    block: &'a Block,
    target: Target,
    /// As it is.
    origin: Pool,
    /// The same but for the reserves listed, which the last call may have changed.
    scratch: Pool,
    touched: Vec<ReserveId>,
}

impl<'a> Trial<'a> {
    fn new(pool: &Pool, block: &'a Block, target: Target) -> Self {
        let flags = pool.flags(target.borrower);
        let touched: Vec<ReserveId> = flags.reserves().collect();
        // What others than the borrower hold matters only where the call may add to it.
        let trimmed = |user: &Address, account: &Account| {
            let mut account = account.clone();
            if *user != target.borrower {
                account.positions.retain(|id, _| touched.contains(id));
            }
            account
        };
        let users = [target.borrower, target.liquidator, pool.treasury];
        let accounts: BTreeMap<Address, Account> = users
            .into_iter()
            .filter_map(|user| pool.accounts.get(&user).map(|account| (user, trimmed(&user, account))))
            .collect();
        let origin = Pool {
            revision: pool.revision,
            reserves: pool.reserves.clone(),
            e_modes: pool.e_modes.clone(),
            accounts,
            treasury: pool.treasury,
            is_paused: pool.is_paused,
        };
        Self { block, target, scratch: origin.clone(), origin, touched }
    }

    /// The same after a call, if the pool accepts it.
    fn after(&mut self, call: &LiquidationCall) -> Option<Self> {
        let outcome = self.scratch.apply(&Action::Liquidate(*call), self.block);
        let after = matches!(outcome, Outcome::Executed(_)).then(|| Self::new(&self.scratch, self.block, self.target));
        self.reset();
        after
    }

    fn reset(&mut self) {
        for id in &self.touched {
            let index = usize::from(id.0);
            if let (Some(slot), Some(reserve)) = (self.scratch.reserves.get_mut(index), self.origin.reserves.get(index))
            {
                slot.clone_from(reserve);
            }
        }
        self.scratch.accounts.clone_from(&self.origin.accounts);
    }

    fn pairs(&self) -> Vec<Pair> {
        let flags = self.origin.flags(self.target.borrower);
        let collateral = self.touched.iter().filter(|id| flags.is_collateral(**id));
        let debts: Vec<ReserveId> = self.touched.iter().copied().filter(|id| flags.is_borrowing(*id)).collect();
        collateral
            .flat_map(|collateral| {
                debts.iter().map(|debt| Pair { collateral: *collateral, debt: *debt, receive_a_token: false })
            })
            .collect()
    }

    /// What the pool would do.
    fn run(&mut self, pair: Pair, amount: U256) -> Allowed<Plan> {
        let call = LiquidationCall {
            liquidator: self.target.liquidator,
            borrower: self.target.borrower,
            collateral: pair.collateral,
            debt: pair.debt,
            debt_to_cover: amount,
            receive_a_token: pair.receive_a_token,
        };
        let plan = match self.scratch.apply(&Action::Liquidate(call), self.block) {
            Outcome::Executed(Executed::Liquidated(done)) => self.plan(call, done),
            // A liquidation executes as nothing else.
            Outcome::Executed(_) => Err(Refusal::InvalidAmount),
            // The pool has put everything back.
            Outcome::Refused(refusal) => return Err(refusal),
        };
        self.reset();
        plan
    }

    /// Values what was done to the scratch pool.
    fn plan(&self, call: LiquidationCall, done: Liquidated) -> Allowed<Plan> {
        let repaid = self.value(call.debt, done.debt_repaid, Rounding::Ceil)?;
        let received = self.value(call.collateral, done.collateral_received, Rounding::Floor)?;
        let seized = add(done.collateral_received, done.protocol_fee)?;
        let left = self.value(call.collateral, seized, Rounding::Ceil)?;
        let paid_for_him = self.value(call.debt, done.debt_repaid, Rounding::Floor)?;
        let mut written_off = U256::ZERO;
        for (id, amount) in &done.deficits {
            written_off = add(written_off, self.value(*id, *amount, Rounding::Ceil)?)?;
        }
        let after = self.scratch.account_data(call.borrower, self.block)?;
        Ok(Plan {
            profit: difference(received, add(repaid, self.target.cost)?)?,
            taken: difference(left, paid_for_him)?,
            health_factor: after.health_factor,
            threshold: after.liquidation_threshold,
            call,
            done,
            repaid,
            written_off,
        })
    }

    fn value(&self, id: ReserveId, amount: U256, rounding: Rounding) -> Allowed<U256> {
        let decimals = self.origin.reserve(id)?.config.decimals;
        Ok(value(amount, self.block.price(id)?, decimals, rounding)?)
    }

    /// What is owed in a reserve, and so an amount that is no less than all that is allowed.
    fn owed(&self, id: ReserveId) -> Option<U256> {
        let (stable, variable) = self.origin.debts(self.target.borrower, id, self.block).ok()?;
        add(stable, variable).ok()
    }

    /// The largest amount up to `most` of which `fits` says so, if it says so of everything smaller; zero fits.
    fn largest(&mut self, most: U256, mut fits: impl FnMut(&mut Self, U256) -> bool) -> Option<U256> {
        let (mut low, mut high) = (U256::ZERO, add(most, ONE).ok()?);
        loop {
            let width = sub(high, low).ok()?;
            if width <= ONE {
                return Some(low);
            }
            let middle = add(low, width.wrapping_shr(1)).ok()?;
            if fits(self, middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
    }

    /// The largest amount that the pool accepts: all that is allowed, or else as much as is not too much.
    fn largest_accepted(&mut self, pair: Pair) -> Allowed<Plan> {
        match self.run(pair, U256::MAX) {
            Err(refusal) if is_too_much(refusal) => {
                let most = self.owed(pair.debt).ok_or(refusal)?;
                let amount = self.largest(most, |trial, amount| !trial.run(pair, amount).is_err_and(is_too_much));
                self.run(pair, amount.ok_or(refusal)?)
            }
            plan => plan,
        }
    }

    /// Both modes, where the asset itself is short.
    fn largest_in_any_mode(&mut self, pair: Pair) -> Vec<Plan> {
        let asset = self.run(pair, U256::MAX);
        if let Ok(plan) = asset {
            return vec![plan];
        }
        let supplied = Pair { receive_a_token: true, ..pair };
        [self.largest_accepted(pair), self.largest_accepted(supplied)].into_iter().flatten().collect()
    }

    /// The smallest amount, up to that of a larger call, that burns scaled debt and buys scaled collateral.
    fn smallest_accepted(&mut self, larger: &Plan) -> Option<Plan> {
        let pair = Pair::of(&larger.call);
        let amount = self.largest(larger.done.debt_repaid, |trial, amount| {
            trial.run(pair, amount).is_err_and(|refusal| refusal == Refusal::InvalidBurnAmount)
        })?;
        self.run(pair, add(amount, ONE).ok()?).ok()
    }

    /// The call with the highest profit.
    fn most_profitable(&mut self) -> Option<Plan> {
        let mut plans = Vec::new();
        for pair in self.pairs() {
            let largest = self.largest_in_any_mode(pair);
            let cost = I256::try_from(self.target.cost).ok()?;
            let loses = largest.iter().all(|plan| plan.profit.saturating_add(cost).is_negative());
            let smallest = largest.first().filter(|_| loses).and_then(|plan| self.smallest_accepted(plan));
            plans.extend(largest.into_iter().chain(smallest));
        }
        let best = first_best(plans, |a, b| a.profit > b.profit)?;
        let trimmed = self.trimmed(&best);
        Some(trimmed.filter(|plan| plan.profit > best.profit).unwrap_or(best))
    }

    /// The same collateral for less debt: one unit of collateral may be worth many of debt.
    fn trimmed(&mut self, plan: &Plan) -> Option<Plan> {
        let pair = Pair::of(&plan.call);
        let repaid = plan.done.debt_repaid;
        let window = self.debt_units(pair)?.min(repaid);
        let buys_the_same = |trial: &mut Self, less: U256| {
            let cheaper = sub(repaid, less).ok().and_then(|amount| trial.run(pair, amount).ok());
            cheaper.is_some_and(|cheaper| cheaper.done.collateral_received == plan.done.collateral_received)
        };
        let less = self.largest(window, buys_the_same)?;
        self.run(pair, sub(repaid, less).ok()?).ok()
    }

    /// More units of debt than the rounding of a call can cost: what three units of collateral are worth, and one.
    fn debt_units(&self, pair: Pair) -> Option<U256> {
        let (collateral, debt) = (self.origin.reserve(pair.collateral).ok()?, self.origin.reserve(pair.debt).ok()?);
        let price = self.block.price(pair.collateral).ok()?.checked_mul(U256::from(3_u8))?;
        let worth = price.checked_mul(unit(debt.config.decimals).ok()?)?;
        let per_unit = self.block.price(pair.debt).ok()?.checked_mul(unit(collateral.config.decimals).ok()?)?;
        add(div(worth, per_unit).ok()?, ONE).ok()
    }

    /// The ends of the stretches on which the health factor afterwards rises or falls throughout.
    fn extremes(&mut self, pair: Pair) -> Vec<Plan> {
        let mut plans = self.largest_in_any_mode(pair);
        if plans.iter().any(|plan| !plan.written_off.is_zero()) {
            plans.extend(self.largest_without_deficit(pair));
        }
        let smallest = plans.first().cloned().and_then(|plan| self.smallest_accepted(&plan));
        plans.extend(smallest);
        plans
    }

    fn largest_without_deficit(&mut self, pair: Pair) -> Option<Plan> {
        let most = self.owed(pair.debt)?;
        let amount = self.largest(most, |trial, amount| match trial.run(pair, amount) {
            Ok(plan) => plan.done.deficits.is_empty(),
            Err(refusal) => !is_too_much(refusal),
        })?;
        self.run(pair, amount).ok()
    }

    /// For each pair the smallest call after which the position is healthy and nothing is written off.
    fn healing(&mut self) -> Vec<Plan> {
        let heals = |plan: &Plan| plan.health_factor >= LIQUIDATION_HEALTH_FACTOR && plan.done.deficits.is_empty();
        let mut plans = Vec::new();
        for pair in self.pairs() {
            for largest in self.largest_in_any_mode(pair) {
                let mode = Pair::of(&largest.call);
                // What leaves dust counts as enough, so that the bisection ends below it, where amounts are accepted.
                let amount = self.largest(largest.done.debt_repaid, |trial, amount| match trial.run(mode, amount) {
                    Ok(plan) => plan.health_factor < LIQUIDATION_HEALTH_FACTOR && plan.done.deficits.is_empty(),
                    Err(refusal) => !is_too_much(refusal),
                });
                let smallest = amount.and_then(|amount| self.run(mode, add(amount, ONE).ok()?).ok());
                let smallest = smallest.filter(heals).map(|plan| self.before_jumps(plan));
                plans.extend(smallest.or_else(|| Some(largest).filter(heals)));
            }
        }
        plans
    }

    /// The largest call after which the position can be liquidated again, and the largest after which one call may
    /// still close all of it, where that is so now.
    fn first_steps(&mut self, pair: Pair) -> Vec<Plan> {
        let Some(largest) = first_best(self.largest_in_any_mode(pair), |a, b| a.repaid > b.repaid) else {
            return Vec::new();
        };
        // As the pool compares: below 1, and not above 0.95.
        let halves_above = Wad(CLOSE_FACTOR_HEALTH_FACTOR.0.saturating_add(ONE));
        let may_close_all = self.origin.rules().liquidation != LiquidationOrder::V2
            && largest.done.health_factor < halves_above
            && largest.health_factor >= halves_above;
        let limits = [Some(LIQUIDATION_HEALTH_FACTOR), may_close_all.then_some(halves_above)];
        limits.into_iter().flatten().filter_map(|limit| self.largest_below(&largest, limit)).collect()
    }

    /// The largest call, up to a given one, that leaves a health factor below a limit.
    fn largest_below(&mut self, largest: &Plan, limit: Wad) -> Option<Plan> {
        if largest.health_factor < limit {
            return Some(largest.clone());
        }
        let pair = Pair::of(&largest.call);
        let amount = self.largest(largest.done.debt_repaid, |trial, amount| match trial.run(pair, amount) {
            Ok(plan) => plan.health_factor < limit,
            Err(refusal) => !is_too_much(refusal),
        })?;
        let plan = self.run(pair, amount).ok();
        let plan = plan.filter(|plan| plan.health_factor < limit)?;
        Some(self.beyond_jumps(plan, largest.done.debt_repaid, limit))
    }

    /// Whether the floored average threshold can change with an amount, and with it the health factor.
    fn jumps(&self) -> bool {
        !self.origin.rules().unaveraged_health && self.origin.flags(self.target.borrower).only_collateral().is_none()
    }

    /// To 3.4, where a call takes what has more than the average threshold, the average falls, a basis point at a time,
    /// and each time the health factor falls below where it was. Looks past the next of these jumps for a larger amount
    /// that leaves it below the limit, until it has risen by more than a jump can take away.
    fn beyond_jumps(&mut self, plan: Plan, most: U256, limit: Wad) -> Plan {
        let pair = Pair::of(&plan.call);
        let (mut best, mut at, mut average) = (plan.clone(), plan.call.debt_to_cover, plan.threshold);
        for _ in 0..if self.jumps() { MOST_JUMPS } else { 0 } {
            let before_jump = self.largest(most, |trial, amount| {
                amount <= at || trial.run(pair, amount).is_ok_and(|plan| plan.threshold >= average)
            });
            let Some(start) = before_jump.and_then(|amount| amount.checked_add(ONE)).filter(|start| *start <= most)
            else {
                break;
            };
            let Ok(jumped) = self.run(pair, start) else {
                break;
            };
            (at, average) = (start, jumped.threshold);
            if jumped.health_factor < limit {
                let amount = self.largest(most, |trial, amount| {
                    let stays = |plan: Plan| plan.threshold == average && plan.health_factor < limit;
                    amount <= start || trial.run(pair, amount).is_ok_and(stays)
                });
                at = amount.unwrap_or(start);
                best = self.run(pair, at).unwrap_or(jumped);
            } else if jumped.health_factor.0 > limit.0.saturating_add(jump(average)) {
                break;
            }
        }
        best
    }

    /// To 3.4, the same for healing: the end of the stretch before a jump may be healthy although its next amounts are
    /// not.
    fn before_jumps(&mut self, plan: Plan) -> Plan {
        let pair = Pair::of(&plan.call);
        let heals = |plan: &Plan| plan.health_factor >= LIQUIDATION_HEALTH_FACTOR && plan.done.deficits.is_empty();
        let (mut best, mut at, mut average) = (plan.clone(), plan.done.debt_repaid, plan.threshold);
        for _ in 0..if self.jumps() { MOST_JUMPS } else { 0 } {
            let end = self.largest(at.saturating_sub(ONE), |trial, amount| match trial.run(pair, amount) {
                Ok(plan) => plan.threshold > average,
                Err(refusal) => !is_too_much(refusal),
            });
            let Some(Ok(earlier)) = end.map(|end| self.run(pair, end)) else {
                break;
            };
            (at, average) = (earlier.call.debt_to_cover, earlier.threshold);
            if heals(&earlier) {
                let before = self.largest(at.saturating_sub(ONE), |trial, amount| match trial.run(pair, amount) {
                    Ok(plan) => plan.threshold != average || !heals(&plan),
                    Err(refusal) => !is_too_much(refusal),
                });
                at = before.map_or(at, |before| before.saturating_add(ONE));
                best = self.run(pair, at).unwrap_or(earlier);
            } else if earlier.health_factor.0 < LIQUIDATION_HEALTH_FACTOR.0.saturating_sub(jump(average)) {
                break;
            }
        }
        best
    }
}

/// More than the health factor can move by at 1 when the average threshold moves by a basis point: twice that share.
fn jump(average: Bps) -> U256 {
    Wad::ONE.0.saturating_mul(U256::from(2_u8)).checked_div(average.wide()).unwrap_or(U256::MAX)
}

fn difference(a: U256, b: U256) -> Checked<I256> {
    let signed = |value: U256| I256::try_from(value).map_err(|_| MathError::Overflow);
    signed(a)?.checked_sub(signed(b)?).ok_or(MathError::Overflow)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config::{EMode, ReserveConfig};
    use super::super::math::Ray;
    use super::super::rates::RateModel;
    use super::super::reserve::Reserve;
    use super::super::revision::Revision;
    use super::*;

    const BORROWER: Address = Address::repeat_byte(1);
    const LIQUIDATOR: Address = Address::repeat_byte(2);
    const TREASURY: Address = Address::repeat_byte(3);

    fn wide(value: u64) -> U256 {
        U256::from(value)
    }

    /// What the borrower holds and owes in one reserve, in hundredths of whole tokens of 10 to the `decimals` units.
    #[derive(Debug, Clone)]
    struct Row {
        threshold: u16,
        bonus: u16,
        fee: u16,
        decimals: u8,
        price: u64,
        supplied: u64,
        borrowed: u64,
        /// The pool holds only this percentage of the borrower's supply.
        liquidity: u64,
        index: u64,
    }

    fn pool_of(revision: Revision, rows: &[Row]) -> (Pool, Block) {
        let mut account = Account::default();
        let mut block = Block { now: 1_000, ..Block::default() };
        let mut reserves = Vec::new();
        for (id, row) in (0_u8..).map(ReserveId).zip(rows) {
            let config = ReserveConfig {
                ltv: Bps(row.threshold / 2),
                liquidation_threshold: Bps(row.threshold),
                liquidation_bonus: Bps(row.bonus),
                liquidation_protocol_fee: Bps(row.fee),
                decimals: row.decimals,
                active: true,
                ..ReserveConfig::default()
            };
            let index = Ray(Ray::ONE.0 + Ray::ONE.0 * wide(row.index) / wide(1_000));
            let one = U256::from(10).pow(U256::from(row.decimals));
            let (supplied, borrowed) = if row.decimals < 2 {
                (wide(row.supplied), wide(row.borrowed))
            } else {
                (wide(row.supplied) * one / wide(100), wide(row.borrowed) * one / wide(100))
            };
            reserves.push(Reserve {
                last_update: 1_000,
                liquidity_index: index,
                variable_borrow_index: index,
                scaled_supply: supplied * wide(3),
                scaled_variable_debt: borrowed * wide(2),
                liquidity: supplied * wide(2) * wide(row.liquidity) / wide(100),
                ..Reserve::new(config, RateModel { optimal_usage: Ray(Ray::ONE.0 / wide(2)), ..RateModel::default() })
            });
            block.prices.push(wide(row.price));
            account.flags.set_collateral(id, !supplied.is_zero());
            account.flags.set_borrowing(id, !borrowed.is_zero());
            let position = super::super::account::Position { supplied, borrowed, ..Default::default() };
            account.positions.insert(id, position);
        }
        let mut pool = Pool::new(revision, reserves, TREASURY);
        pool.e_modes.insert(1, EMode::default());
        pool.accounts.insert(BORROWER, account);
        (pool, block)
    }

    /// Scales debts so that the health factor starts near `percent`.
    fn near(revision: Revision, mut rows: Vec<Row>, percent: u64) -> (Pool, Block) {
        let (pool, block) = pool_of(revision, &rows);
        let health = pool.account_data(BORROWER, &block).unwrap().health_factor;
        if health.0 < U256::MAX / wide(1_000_000_000_000) {
            for row in rows.iter_mut().filter(|row| row.borrowed > 0) {
                let scaled = wide(row.borrowed) * health.0 * wide(1_000) / (Wad::ONE.0 * wide(percent));
                row.borrowed = u64::try_from(scaled).unwrap_or(row.borrowed).clamp(1, 1 << 40);
            }
        }
        pool_of(revision, &rows)
    }

    fn row(decimals: Vec<u8>, price: std::ops::Range<u64>, most: u64) -> impl Strategy<Value = Row> {
        let terms = (1_000_u16..9_500, 10_100_u16..11_500, prop_oneof![Just(0_u16), Just(1_000), 0_u16..5_000]);
        let amounts = (prop_oneof![1 => Just(0), 2 => 1..most], prop_oneof![1 => Just(0), 1 => 1..most]);
        let liquidity = prop_oneof![4 => Just(100_u64), 1 => 0_u64..60];
        (terms, prop::sample::select(decimals), price, amounts, liquidity, 0_u64..900).prop_map(
            |((threshold, bonus, fee), decimals, price, (supplied, borrowed), liquidity, index)| Row {
                threshold,
                bonus,
                fee,
                decimals,
                price,
                supplied,
                borrowed,
                liquidity,
                index,
            },
        )
    }

    fn market(rows: impl Strategy<Value = Vec<Row>>) -> impl Strategy<Value = (Pool, Block)> {
        (prop::sample::select(Revision::ALL.to_vec()), rows, 850_u64..1_005)
            .prop_map(|(revision, rows, percent)| near(revision, rows, percent))
    }

    /// Amounts and prices as they are: prices with eight decimals, positions of dollars to millions.
    fn real() -> impl Strategy<Value = (Pool, Block)> {
        let large = row(vec![6, 8, 18], 50_000_000..500_000_000_000, 100_000);
        let small = row(vec![6, 8, 18], 50_000_000..500_000_000, 500_000);
        market(prop::collection::vec(prop_oneof![large, small], 1..4))
    }

    /// Amounts so small that every one can be tried.
    fn small() -> impl Strategy<Value = (Pool, Block)> {
        market(prop::collection::vec(row(vec![0, 1], 1..60, 120), 1..4))
    }

    fn target(cost: u64) -> Target {
        Target { borrower: BORROWER, liquidator: LIQUIDATOR, cost: wide(cost) }
    }

    /// What the roundings of one call add up to, as the module states it.
    fn rounding(pool: &Pool, block: &Block) -> I256 {
        let units = pool.reserves.iter().zip(&block.prices).map(|(reserve, price)| {
            let unit = U256::from(10).pow(U256::from(reserve.config.decimals));
            price.div_ceil(unit)
        });
        I256::try_from(units.max().unwrap() * wide(6) + wide(2)).unwrap()
    }

    fn modes(pair: Pair) -> [Pair; 2] {
        [pair, Pair { receive_a_token: true, ..pair }]
    }

    /// A plan against the pool itself.
    fn check_executes(pool: &Pool, block: &Block, plan: &Plan) -> Result<Pool, TestCaseError> {
        let mut pool = pool.clone();
        let outcome = pool.apply(&Action::Liquidate(plan.call), block);
        prop_assert_eq!(outcome, Outcome::Executed(Executed::Liquidated(plan.done.clone())));
        prop_assert_eq!(pool.account_data(BORROWER, block).unwrap().health_factor, plan.health_factor);
        Ok(pool)
    }

    fn fraction(amount: U256, part: u64) -> U256 {
        amount * wide(part) / wide(u64::MAX) + wide(part % 7)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Every amount there is, of every pair, in both modes.
        #[test]
        fn no_amount_of_a_small_world_pays_more((pool, block) in small(), cost in 0_u64..20) {
            let plan = best(&pool, &block, target(cost), Aim::Profit);
            let mut trial = Trial::new(&pool, &block, target(cost));
            let bound = rounding(&pool, &block);
            for pair in trial.pairs() {
                let most = u64::try_from(trial.owed(pair.debt).unwrap()).unwrap();
                for (mode, amount) in modes(pair).into_iter().flat_map(|mode| (1..=most).map(move |a| (mode, a))) {
                    let Ok(other) = trial.run(mode, wide(amount)) else { continue };
                    let Some(plan) = &plan else {
                        return Err(TestCaseError::fail(format!("no plan, but {other:?}")));
                    };
                    prop_assert!(other.profit <= plan.profit + bound, "{:?} beats {:?}", other, plan);
                }
            }
        }

        /// Some hundred amounts of every pair, and the pool does what the plans say.
        #[test]
        fn no_amount_pays_more_and_plans_execute_as_planned(
            (pool, block) in real(), parts in prop::collection::vec(any::<u64>(), 60),
        ) {
            let Some(plan) = best(&pool, &block, target(100), Aim::Profit) else { return Ok(()) };
            check_executes(&pool, &block, &plan)?;
            let healthiest = best(&pool, &block, target(100), Aim::Health).unwrap();
            check_executes(&pool, &block, &healthiest)?;
            let bound = rounding(&pool, &block);
            let mut trial = Trial::new(&pool, &block, target(100));
            for (pair, part) in trial.pairs().into_iter().flat_map(|pair| parts.iter().map(move |part| (pair, part))) {
                let amount = fraction(trial.owed(pair.debt).unwrap(), *part);
                let Ok(other) = trial.run(pair, amount) else { continue };
                prop_assert!(other.profit <= plan.profit + bound, "{:?} beats {:?}", other, plan);
                prop_assert!(other.written_off >= healthiest.written_off);
                if other.written_off == healthiest.written_off && healthiest.health_factor != Wad::INFINITE {
                    // The average threshold jumps by less than a thousandth where it is above a tenth.
                    let most = healthiest.health_factor.0 + healthiest.health_factor.0 / wide(500) + wide(1_000_000);
                    prop_assert!(other.health_factor.0 <= most, "{:?} beats {:?}", other, healthiest);
                }
            }
        }

        /// The smallest healing amount is one below which the position stays liquidatable.
        #[test]
        fn the_smallest_healing_amount_heals_and_one_unit_less_does_not(
            (pool, block) in real(), parts in prop::collection::vec(any::<u64>(), 40),
        ) {
            let mut trial = Trial::new(&pool, &block, target(0));
            let plans = trial.healing();
            for plan in &plans {
                check_executes(&pool, &block, plan)?;
                prop_assert!(plan.health_factor >= Wad::ONE && plan.done.deficits.is_empty());
                let (pair, debt_to_cover) = (Pair::of(&plan.call), plan.call.debt_to_cover);
                if debt_to_cover != U256::MAX && debt_to_cover > ONE {
                    let less = trial.run(pair, debt_to_cover - ONE);
                    prop_assert!(less.is_err() || less.is_ok_and(|less| less.health_factor < Wad::ONE));
                }
                for part in &parts {
                    let Ok(other) = trial.run(pair, fraction(plan.done.debt_repaid, *part)) else { continue };
                    let heals = other.health_factor >= Wad::ONE && other.done.deficits.is_empty();
                    let share = other.repaid * wide(1_000) / plan.repaid.max(ONE);
                    prop_assert!(!heals || share >= wide(999) || other.repaid + wide(1_000_000) >= plan.repaid, "{:?} heals for less than {:?}", other, plan);
                }
            }
            for (aim, key) in [(Aim::LeastRepaid, true), (Aim::LeastTaken, false)] {
                let least = best(&pool, &block, target(0), aim);
                prop_assert_eq!(least.is_some(), !plans.is_empty());
                let Some(least) = least else { continue };
                let is_least = plans.iter().all(|p| if key { p.repaid >= least.repaid } else { p.taken >= least.taken });
                prop_assert!(is_least);
            }
        }

        /// Two calls against one, against the pool, and against other pairs of amounts.
        #[test]
        fn two_steps_pay_at_least_as_much_as_one(
            (pool, block) in real(), parts in prop::collection::vec(any::<(u64, u64)>(), 40),
        ) {
            let choice = one_or_two(&pool, &block, target(0));
            let (Some(one), Some(two)) = (&choice.one, &choice.two) else { return Ok(()) };
            let after = check_executes(&pool, &block, &two.first)?;
            prop_assert!(two.first.health_factor < Wad::ONE);
            check_executes(&after, &block, &two.second)?;
            prop_assert_eq!(two.profit, two.first.profit + two.second.profit);
            let bound = rounding(&pool, &block);
            let bound = bound + bound;
            let mut trial = Trial::new(&pool, &block, target(0));
            let pair = Pair::of(&one.call);
            let first_steps = trial.first_steps(pair);
            let Some(first) = first_steps.first() else { return Ok(()) };
            // Only where the position cannot be kept at 0.95 may the first call cost the second its close factor.
            let keeps = one.done.health_factor > CLOSE_FACTOR_HEALTH_FACTOR
                || first_steps.iter().any(|plan| plan.health_factor <= CLOSE_FACTOR_HEALTH_FACTOR);
            if keeps || pool.revision == Revision::V2 {
                prop_assert!(two.profit + bound >= one.profit, "{:?} beats {:?}", one, two);
            }
            let owed = trial.owed(pair.debt).unwrap();
            for (part, other_part) in parts {
                let Ok(other) = trial.run(pair, fraction(owed, part)) else { continue };
                if other.health_factor >= Wad::ONE || !other.done.deficits.is_empty() {
                    continue;
                }
                let near = first.repaid + first.repaid / wide(1_000) + wide(1_000_000);
                prop_assert!(other.repaid <= near, "{:?} leaves it liquidatable after {:?}", other, first);
                let Some(mut then) = trial.after(&other.call) else { continue };
                let Ok(second) = then.run(pair, fraction(owed, other_part)) else { continue };
                if other.repaid <= first.repaid {
                    prop_assert!(other.profit + second.profit <= two.profit + bound, "{:?} {:?} {:?}", other, second, two);
                }
            }
        }
    }

    /// The paper's position: collateral worth 100,000 dollars at a threshold of 80 % and a bonus of 10 %, and a debt of
    /// 82,000. The formula's first call repays `(82,000 - 80,000) / (1 - 0.8 * 1.1)`, and the second half of the rest.
    #[test]
    fn the_first_step_is_that_of_the_formula() {
        let row = |supplied, borrowed| Row {
            threshold: 8_000,
            bonus: 11_000,
            fee: 0,
            decimals: 8,
            price: 100_000_000,
            supplied,
            borrowed,
            liquidity: 100,
            index: 0,
        };
        let rows = [row(10_000_000, 0), row(0, 8_200_000)];
        for revision in Revision::ALL {
            let (pool, block) = pool_of(revision, &rows);
            let choice = one_or_two(&pool, &block, target(0));
            let (one, two) = (choice.one.unwrap(), choice.two.unwrap());
            let usd = |cents: u64| wide(cents) * wide(1_000_000);
            assert_eq!(one.repaid, usd(4_100_000), "{revision:?}");
            let first = usd(1_666_666);
            assert!(two.first.repaid >= first && two.first.repaid < first + usd(1), "{revision:?} {two:?}");
            let rest = (usd(8_200_000) - two.first.repaid) / wide(2);
            assert!(two.second.repaid.abs_diff(rest) <= wide(1), "{revision:?} {two:?}");
            // Half of the first call's bonus more.
            let more = I256::try_from(two.first.repaid / wide(20)).unwrap();
            assert!((two.profit - one.profit - more).abs() <= I256::try_from(4).unwrap(), "{revision:?} {two:?}");
        }
    }
}
