//! Scaled balances and stable debt from the tokens' own logs.

use protocol::aave::Revision;
use protocol::aave::config::ReserveId;
use protocol::aave::log::{StableChange, Transfers};
use protocol::aave::math::{Checked, MathError, Ray, Rounding, add, ray_div, ray_div_half_up, ray_mul, sub};
use protocol::aave::reserve::{StableDebt, StableTotals};
use protocol::aave::revision::Scaling;
use protocol::{Address, U256};

use super::accounts::{AccountId, Side};
use super::ground::{Contract, ray};
use super::{Book, Folded, Gap, Here, StableWas, Undo};

/// A balance and by how much a token says it changed: up, then down.
struct Step {
    held: u128,
    up: U256,
    down: U256,
    index: Ray,
}

impl Step {
    /// The scaled balance after it; `None` where the token's figures do not follow from the one before.
    fn half_up(&self) -> Checked<Option<U256>> {
        let held = U256::from(self.held);
        // To 3.4 every amount is divided by the index on its own: `rayDiv(value - increase, index)`.
        if self.up >= self.down {
            return add(held, ray_div_half_up(sub(self.up, self.down)?, self.index)?).map(Some);
        }
        sub(held, ray_div_half_up(sub(self.down, self.up)?, self.index)?).map(Some)
    }

    /// From 3.5 on a token tells the difference of two rounded balances, `balance(after) - balance(before)` at the same
    /// index. The index is at least 1, so exactly one scaled balance has a given balance: for supply, which is floored,
    /// the smallest that reaches it, `ceil(b * RAY / index)`; for debt, whose balance is a ceiling, the largest that
    /// stays within it.
    fn directed(&self, side: Side) -> Checked<Option<U256>> {
        let (balance, scaled) = match side {
            Side::Supply => (Rounding::Floor, Rounding::Ceil),
            Side::Debt => (Rounding::Ceil, Rounding::Floor),
        };
        let before = ray_mul(U256::from(self.held), self.index, balance)?;
        let after = sub(add(before, self.up)?, self.down)?;
        let found = ray_div(after, self.index, scaled)?;
        Ok((ray_mul(found, self.index, balance)? == after).then_some(found))
    }
}

impl Book {
    pub(super) fn minted(&mut self, here: &Here, account: Address, amounts: (U256, U256), index: u128) -> Folded {
        let (value, increase) = amounts;
        self.step(here, account, (value, increase), index)
    }

    pub(super) fn burned(&mut self, here: &Here, account: Address, amounts: (U256, U256), index: u128) -> Folded {
        let (value, increase) = amounts;
        let both = add(value, increase).map_err(|cause| self.arithmetic(here, cause))?;
        self.step(here, account, (U256::ZERO, both), index)
    }

    /// A balance changed by `up - down`, interest not counted.
    fn step(&mut self, here: &Here, address: Address, (up, down): (U256, U256), index: u128) -> Folded {
        let (reserve, side) = self.token(here)?;
        let listed = self.ground.listed(reserve);
        if side == Side::Debt && listed.is_debt_observed {
            return self.outdated(reserve, address);
        }
        if up == down {
            // Interest alone: what is scaled stays.
            return Ok(Undo::Nothing);
        }
        let runs = if side == Side::Supply { listed.supply_runs } else { listed.debt_runs };
        let account = self.accounts.intern(&address);
        let was = self.accounts.scaled(account, reserve, side);
        let step = Step { held: was, up, down, index: ray(index) };
        let next = match runs.rules().scaling {
            Scaling::HalfUp => step.half_up(),
            Scaling::Protocol => step.directed(side),
        };
        let scaled = self.settled(here, (reserve, address, side), next)?;
        self.move_scaled(account, (reserve, side), was, scaled);
        Ok(Undo::Scaled { account, reserve, side, was })
    }

    /// What a step came to, or what is wrong with it.
    fn settled(
        &self,
        here: &Here,
        whose: (ReserveId, Address, Side),
        next: Checked<Option<U256>>,
    ) -> Result<u128, Gap> {
        let (reserve, account, side) = whose;
        let (asset, block) = (self.ground.listed(reserve).contracts.asset, here.block);
        match next {
            Ok(Some(scaled)) => u128::try_from(scaled).map_err(|_| Gap::TooLarge { asset, account, block }),
            Ok(None) => Err(Gap::Contradiction { asset, account, what: "the balance", block }),
            Err(MathError::Underflow) => Err(Gap::Negative { asset, account, side, block }),
            Err(cause) => Err(Gap::Arithmetic { asset, cause, block }),
        }
    }

    pub(super) fn transferred(&mut self, here: &Here, ends: [Address; 2], value: U256, index: u128) -> Folded {
        let (reserve, Side::Supply) = self.token(here)? else {
            return Err(Gap::UnknownContract { address: here.by, block: here.block });
        };
        let [from, to] = ends;
        if value.is_zero() || from == to {
            return Ok(Undo::Nothing);
        }
        let scaled = match self.ground.listed(reserve).transfers {
            Some(Transfers::Scaled) => Ok(value),
            Some(Transfers::Unscaled) => ray_div_half_up(value, ray(index)),
            // Where both come to the same, nothing need be known.
            None if ray_div_half_up(value, ray(index)) == Ok(value) => Ok(value),
            None => {
                let (token, block, transaction) = (here.by, here.block, here.transaction);
                return Err(Gap::UnknownTransfers { token, block, transaction });
            }
        };
        let scaled = scaled.map_err(|cause| self.arithmetic(here, cause))?;
        let (giver, taker) = (self.accounts.intern(&from), self.accounts.intern(&to));
        let from_was = self.accounts.scaled(giver, reserve, Side::Supply);
        let to_was = self.accounts.scaled(taker, reserve, Side::Supply);
        let left = sub(U256::from(from_was), scaled).map(Some);
        let left = self.settled(here, (reserve, from, Side::Supply), left)?;
        let got = add(U256::from(to_was), scaled).map(Some);
        let got = self.settled(here, (reserve, to, Side::Supply), got)?;
        self.accounts.set_scaled(giver, reserve, Side::Supply, left);
        self.accounts.set_scaled(taker, reserve, Side::Supply, got);
        Ok(Undo::Transfer { reserve, from: giver, to: taker, from_was, to_was })
    }

    /// Which balances the contract keeps that wrote the log.
    #[inline]
    fn token(&self, here: &Here) -> Result<(ReserveId, Side), Gap> {
        match self.ground.contracts.get(&here.by) {
            Some(Contract::Supply(reserve)) => Ok((*reserve, Side::Supply)),
            Some(Contract::Variable(reserve)) => Ok((*reserve, Side::Debt)),
            Some(Contract::Stable(_) | Contract::Pool | Contract::Configurator) | None => {
                Err(Gap::UnknownContract { address: here.by, block: here.block })
            }
        }
    }

    pub(super) fn arithmetic(&self, here: &Here, cause: MathError) -> Gap {
        let reserve = match self.ground.contracts.get(&here.by) {
            Some(Contract::Supply(reserve) | Contract::Variable(reserve) | Contract::Stable(reserve)) => Some(*reserve),
            Some(Contract::Pool | Contract::Configurator) | None => None,
        };
        let asset = reserve.map_or(here.by, |reserve| self.ground.listed(reserve).contracts.asset);
        Gap::Arithmetic { asset, cause, block: here.block }
    }
}

/// Stable debt (to 3.1).
impl Book {
    fn stable_token(&self, here: &Here) -> Result<ReserveId, Gap> {
        match self.ground.contracts.get(&here.by) {
            Some(Contract::Stable(reserve)) => Ok(*reserve),
            Some(Contract::Supply(_) | Contract::Variable(_) | Contract::Pool | Contract::Configurator) | None => {
                Err(Gap::UnknownContract { address: here.by, block: here.block })
            }
        }
    }

    /// A `Mint` is a borrow, or a repayment smaller than the interest.
    pub(super) fn stable_minted(&mut self, here: &Here, change: &StableChange) -> Folded {
        let reserve = self.stable_token(here)?;
        let listed = self.ground.listed(reserve);
        let (runs, totals) = (listed.debt_runs, listed.stable);
        let total = totals.total(runs.rules(), here.now).map_err(|cause| self.arithmetic(here, cause))?;
        // V3 reports what was drawn and the interest, so that less than the interest is a repayment. V2 reports what
        // was drawn alone; but only a borrow leaves more debt than there was.
        let (is_draw, drawn) = if runs == Revision::V2 {
            (change.total > total, change.amount)
        } else {
            (change.amount > change.increase, change.amount.saturating_sub(change.increase))
        };
        if !is_draw {
            let repaid = sub(change.increase, change.amount).map_err(|cause| self.arithmetic(here, cause))?;
            return self.stable_repaid(here, reserve, repaid, change);
        }
        let principal = add(change.balance, drawn).map_err(|cause| self.arithmetic(here, cause))?;
        if add(total, drawn).ok() != Some(change.total) {
            return Err(self.stable_contradiction(here, reserve, change.user));
        }
        let debt = StableDebt { principal, rate: Ray(change.rate), since: here.now };
        let totals =
            StableTotals { principal: change.total, average_rate: Ray(change.average_rate), updated: here.now };
        Ok(self.put_stable(reserve, change.user, debt, totals))
    }

    /// A `Burn` is a repayment of at least the interest.
    pub(super) fn stable_burned(&mut self, here: &Here, change: &StableChange) -> Folded {
        let reserve = self.stable_token(here)?;
        let repaid = add(change.amount, change.increase).map_err(|cause| self.arithmetic(here, cause))?;
        self.stable_repaid(here, reserve, repaid, change)
    }

    /// The token's own procedure gives what it stores, which is not always what it reports: where the average rate would
    /// fall below zero it forgets the total and reports it.
    fn stable_repaid(&mut self, here: &Here, reserve: ReserveId, repaid: U256, change: &StableChange) -> Folded {
        let listed = self.ground.listed(reserve);
        let (rules, mut totals) = (listed.debt_runs.rules(), listed.stable);
        let person = self.accounts.find(&change.user).and_then(|id| self.accounts.get(id));
        let mut debt = person.map(|person| person.stable(reserve)).unwrap_or_default();
        let balance = debt.balance(rules, here.now).map_err(|cause| self.arithmetic(here, cause))?;
        let reported = debt.repay(&mut totals, rules, repaid, here.now);
        let reported = reported.map_err(|cause| self.arithmetic(here, cause))?;
        if balance != change.balance || reported != (change.total, Ray(change.average_rate)) {
            return Err(self.stable_contradiction(here, reserve, change.user));
        }
        Ok(self.put_stable(reserve, change.user, debt, totals))
    }

    fn stable_contradiction(&self, here: &Here, reserve: ReserveId, account: Address) -> Gap {
        let asset = self.ground.listed(reserve).contracts.asset;
        Gap::Contradiction { asset, account, what: "the stable debt", block: here.block }
    }

    fn put_stable(&mut self, reserve: ReserveId, address: Address, debt: StableDebt, totals: StableTotals) -> Undo {
        let account = self.accounts.intern(&address);
        let was = self.stable_of(account, reserve);
        self.accounts.set_stable(account, reserve, debt);
        let before = std::mem::replace(&mut self.ground.listed_mut(reserve).stable, totals);
        Undo::Stable(Box::new(StableWas { account, reserve, debt: was, totals: before, ground: None }))
    }

    pub(super) fn stable_of(&self, account: AccountId, reserve: ReserveId) -> StableDebt {
        self.accounts.get(account).map(|person| person.stable(reserve)).unwrap_or_default()
    }
}
