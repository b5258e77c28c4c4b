//! A whole pool, and every action on it as an outcome.
//!
//! An action either happens entirely or is refused and changes nothing, as on the chain. What it reads of the world,
//! time, prices and the sentinel, is a [`Block`].

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use super::account::{Account, AccountData, Block, LIQUIDATION_HEALTH_FACTOR, Position, account_data, category_of};
use super::config::{CollateralTerms, EMode, ReserveId};
use super::liquidation::{Liquidated, LiquidationCall};
use super::math::{Checked, add, fits, sub};
use super::refusal::{Allowed, Refusal};
use super::reserve::{Reserve, ReserveCache};
use super::revision::{Checks, EModeRule, Revision, Rules};

/// One market's pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// The code it runs.
    pub revision: Revision,
    /// Its reserves, by number.
    pub reserves: Vec<Reserve>,
    /// Its e-mode categories, by number.
    pub e_modes: BTreeMap<u8, EMode>,
    /// Its accounts.
    pub accounts: BTreeMap<Address, Account>,
    /// Where the treasury's share goes.
    pub treasury: Address,
    /// The whole pool is paused (V2).
    pub is_paused: bool,
}

/// A borrower's choice of rate; stable until 3.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateMode {
    /// Fixed when drawn, until rebalanced.
    Stable,
    /// Follows the market.
    Variable,
}

/// What an account asks of the pool. Amounts are in the token's smallest unit; [`U256::MAX`] means all of it where the
/// pool knows such a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Supplies tokens, for oneself or another.
    Supply {
        /// Who pays.
        user: Address,
        /// Who is credited.
        on_behalf_of: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much.
        amount: U256,
    },
    /// Takes supply back.
    Withdraw {
        /// Whose supply.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much, or all.
        amount: U256,
    },
    /// Draws debt.
    Borrow {
        /// Who owes it.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much.
        amount: U256,
        /// At which rate.
        mode: RateMode,
    },
    /// Pays debt back.
    Repay {
        /// Who pays.
        user: Address,
        /// Whose debt.
        on_behalf_of: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much, or all.
        amount: U256,
        /// Which kind of debt.
        mode: RateMode,
    },
    /// Pays one's own debt back with supply of the same asset (3.0+).
    RepayWithSupply {
        /// Who pays.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much, or all the supply.
        amount: U256,
        /// Which kind of debt.
        mode: RateMode,
    },
    /// Hands supply to another account, as its token.
    Transfer {
        /// Whose supply.
        from: Address,
        /// To whom.
        to: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much.
        amount: U256,
    },
    /// Switches a supply on or off as collateral.
    UseAsCollateral {
        /// Whose supply.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// On or off.
        on: bool,
    },
    /// Enters or leaves an e-mode category (3.0+).
    SetEMode {
        /// Whose account.
        user: Address,
        /// The category, 0 for none.
        category: u8,
    },
    /// Turns debt of one rate into debt of the other (to 3.1).
    SwapRateMode {
        /// Whose debt.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// The rate it has now.
        mode: RateMode,
    },
    /// Brings somebody's stable rate to the market's (to 3.1).
    RebalanceStableRate {
        /// Whose debt.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
    },
    /// Pays the treasury what it is owed (3.0+).
    MintToTreasury {
        /// Which reserve.
        reserve: ReserveId,
    },
    /// Covers bad debt with one's own supply; the protocol's insurance does (3.3+).
    CoverDeficit {
        /// Whose supply.
        user: Address,
        /// Which reserve.
        reserve: ReserveId,
        /// How much at most.
        amount: U256,
    },
    /// Liquidates somebody.
    Liquidate(LiquidationCall),
}

/// What an action did. Amounts are in the token's smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Executed {
    /// Supplied this much.
    Supplied(U256),
    /// Withdrew this much.
    Withdrawn(U256),
    /// Borrowed this much.
    Borrowed(U256),
    /// Repaid this much.
    Repaid(U256),
    /// Transferred, switched, entered, swapped or rebalanced.
    Done,
    /// Everything was so already.
    Unchanged,
    /// Minted this much for the treasury.
    Minted(U256),
    /// Covered this much of a deficit.
    Covered(U256),
    /// Liquidated.
    Liquidated(Liquidated),
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Executed(Executed),
    /// The pool reverted, and nothing changed.
    Refused(Refusal),
}

/// What an action changed, as it was before.
#[derive(Debug)]
struct Before {
    reserves: Vec<(ReserveId, Reserve)>,
    accounts: Vec<(Address, Option<Account>)>,
}

impl Pool {
    /// A pool with nobody in it.
    #[must_use]
    pub fn new(revision: Revision, reserves: Vec<Reserve>, treasury: Address) -> Self {
        Self { revision, reserves, e_modes: BTreeMap::new(), accounts: BTreeMap::new(), treasury, is_paused: false }
    }

    /// What this pool's revision does.
    #[must_use]
    pub const fn rules(&self) -> &'static Rules {
        self.revision.rules()
    }

    /// Values an account, `getUserAccountData`. An unknown account is an empty one.
    ///
    /// # Errors
    /// Where the contract reverts: a product leaves 256 bits, or a reserve it touches has no price.
    pub fn account_data(&self, user: Address, block: &Block) -> Checked<AccountData> {
        match self.accounts.get(&user) {
            Some(account) => account_data(self.revision, &self.reserves, &self.e_modes, account, block),
            None => Ok(AccountData::EMPTY),
        }
    }

    /// Does what is asked, or nothing at all.
    pub fn apply(&mut self, action: &Action, block: &Block) -> Outcome {
        let before = self.remember(action);
        match self.perform(action, block) {
            Ok(executed) => Outcome::Executed(executed),
            Err(refusal) => {
                self.restore(before);
                Outcome::Refused(refusal)
            }
        }
    }

    fn perform(&mut self, action: &Action, block: &Block) -> Allowed<Executed> {
        // The token moves before it asks the pool about a transfer.
        if self.is_paused && !matches!(action, Action::Transfer { .. }) {
            return Err(Refusal::ReservePaused);
        }
        self.require_known(action)?;
        match *action {
            Action::Supply { on_behalf_of, reserve, amount, .. } => self.supply(on_behalf_of, reserve, amount, block),
            Action::Withdraw { user, reserve, amount } => self.withdraw(user, reserve, amount, block),
            Action::Borrow { user, reserve, amount, mode } => self.borrow(user, reserve, amount, mode, block),
            Action::Repay { user, on_behalf_of, reserve, amount, mode } => {
                self.repay(user, on_behalf_of, reserve, amount, mode, block)
            }
            Action::RepayWithSupply { user, reserve, amount, mode } => {
                self.repay_with_supply(user, reserve, amount, mode, block)
            }
            Action::Transfer { from, to, reserve, amount } => self.transfer(from, to, reserve, amount, block),
            Action::UseAsCollateral { user, reserve, on } => self.use_as_collateral(user, reserve, on, block),
            Action::SetEMode { user, category } => self.set_e_mode(user, category, block),
            Action::SwapRateMode { user, reserve, mode } => self.swap_rate_mode(user, reserve, mode, block),
            Action::RebalanceStableRate { user, reserve } => self.rebalance_stable_rate(user, reserve, block),
            Action::MintToTreasury { reserve } => self.mint_to_treasury(reserve, block),
            Action::CoverDeficit { user, reserve, amount } => self.cover_deficit(user, reserve, amount, block),
            Action::Liquidate(call) => self.liquidate(&call, block).map(Executed::Liquidated),
        }
    }

    /// Whether the revision has such an action at all.
    fn require_known(&self, action: &Action) -> Allowed<()> {
        let rules = self.rules();
        let is_known = match action {
            Action::SwapRateMode { .. } | Action::RebalanceStableRate { .. } => rules.stable_debt,
            Action::SetEMode { .. } => rules.e_mode != EModeRule::None,
            Action::RepayWithSupply { .. } | Action::MintToTreasury { .. } => !rules.mints_treasury_at_once,
            Action::CoverDeficit { .. } => rules.writes_off_bad_debt(),
            Action::Supply { .. }
            | Action::Withdraw { .. }
            | Action::Borrow { .. }
            | Action::Repay { .. }
            | Action::Transfer { .. }
            | Action::UseAsCollateral { .. }
            | Action::Liquidate(_) => true,
        };
        if is_known { Ok(()) } else { Err(Refusal::UnknownAction) }
    }

    /// Copies what an action may change: the reserves and accounts it names, and what follows from them.
    fn remember(&self, action: &Action) -> Before {
        let (accounts, mut reserves) = match *action {
            Action::Supply { on_behalf_of, reserve, .. } => (vec![on_behalf_of], vec![reserve]),
            Action::Withdraw { user, reserve, .. }
            | Action::Borrow { user, reserve, .. }
            | Action::RepayWithSupply { user, reserve, .. }
            | Action::UseAsCollateral { user, reserve, .. }
            | Action::SwapRateMode { user, reserve, .. }
            | Action::CoverDeficit { user, reserve, .. }
            | Action::RebalanceStableRate { user, reserve } => (vec![user], vec![reserve]),
            Action::Repay { on_behalf_of, reserve, .. } => (vec![on_behalf_of], vec![reserve]),
            Action::Transfer { from, to, reserve, .. } => (vec![from, to], vec![reserve]),
            Action::SetEMode { user, .. } => (vec![user], vec![]),
            Action::MintToTreasury { reserve } => (vec![], vec![reserve]),
            Action::Liquidate(call) => (vec![call.borrower, call.liquidator], vec![call.collateral, call.debt]),
        };
        // An isolated collateral's debt moves with its borrowings, and bad debt with all the borrower owes.
        for user in &accounts {
            reserves.extend(self.accounts.get(user).into_iter().flat_map(|account| account.flags.reserves()));
        }
        reserves.sort_unstable();
        reserves.dedup();
        let touched = reserves.into_iter().filter_map(|id| Some((id, self.reserves.get(usize::from(id.0))?.clone())));
        let accounts = accounts.into_iter().chain([self.treasury]);
        Before {
            reserves: touched.collect(),
            accounts: accounts.map(|user| (user, self.accounts.get(&user).cloned())).collect(),
        }
    }

    fn restore(&mut self, before: Before) {
        for (id, reserve) in before.reserves {
            if let Some(slot) = self.reserves.get_mut(usize::from(id.0)) {
                *slot = reserve;
            }
        }
        for (user, account) in before.accounts {
            match account {
                Some(account) => drop(self.accounts.insert(user, account)),
                None => drop(self.accounts.remove(&user)),
            }
        }
    }

    pub(super) fn reserve(&self, id: ReserveId) -> Allowed<&Reserve> {
        self.reserves.get(usize::from(id.0)).ok_or(Refusal::AssetNotListed)
    }

    pub(super) fn reserve_mut(&mut self, id: ReserveId) -> Allowed<&mut Reserve> {
        self.reserves.get_mut(usize::from(id.0)).ok_or(Refusal::AssetNotListed)
    }

    /// The account, made if it is new.
    pub(super) fn account_mut(&mut self, user: Address) -> &mut Account {
        self.accounts.entry(user).or_default()
    }

    pub(super) fn position_mut(&mut self, user: Address, id: ReserveId) -> &mut Position {
        self.account_mut(user).positions.entry(id).or_default()
    }

    /// An account's holdings in one reserve.
    #[must_use]
    pub fn position(&self, user: Address, id: ReserveId) -> Position {
        self.accounts.get(&user).map(|account| account.position(id)).unwrap_or_default()
    }

    /// An account's bits.
    #[must_use]
    pub fn flags(&self, user: Address) -> super::config::UserFlags {
        self.accounts.get(&user).map(|account| account.flags).unwrap_or_default()
    }

    /// An account's supply with interest.
    pub(super) fn supply_balance(&self, user: Address, id: ReserveId, block: &Block) -> Allowed<U256> {
        let income = self.reserve(id)?.normalized_income(block.now)?;
        Ok(self.rules().scaling.supply_balance(self.position(user, id).supplied, income)?)
    }

    /// An account's stable and variable debt with interest, as the tokens report them now.
    pub(super) fn debts(&self, user: Address, id: ReserveId, block: &Block) -> Allowed<(U256, U256)> {
        let rules = self.rules();
        let position = self.position(user, id);
        let index = self.reserve(id)?.normalized_debt(rules, block.now)?;
        Ok((position.stable.balance(rules, block.now)?, rules.scaling.debt_balance(position.borrowed, index)?))
    }

    /// Reads a reserve and brings it up to date; V2 mints the treasury's share on the way.
    pub(super) fn accrue(&mut self, id: ReserveId, block: &Block) -> Allowed<ReserveCache> {
        let mut cache = self.reserve(id)?.cache(self.rules(), block.now)?;
        self.accrue_cached(id, &mut cache, block)?;
        Ok(cache)
    }

    /// Brings a reserve up to date as an earlier reading of it saw it.
    pub(super) fn accrue_cached(&mut self, id: ReserveId, cache: &mut ReserveCache, block: &Block) -> Allowed<()> {
        let rules = self.rules();
        let accrued = self.reserve_mut(id)?.accrue(cache, rules, block.now)?;
        if !accrued.minted_scaled.is_zero() {
            let treasury = self.treasury;
            let position = self.position_mut(treasury, id);
            position.supplied = add(position.supplied, accrued.minted_scaled)?;
        }
        Ok(())
    }

    /// Sets a reserve's rates. V2 reads its totals from the tokens, later revisions from the cache.
    pub(super) fn update_rates(
        &mut self,
        id: ReserveId,
        cache: &ReserveCache,
        added: U256,
        taken: U256,
        block: &Block,
    ) -> Allowed<()> {
        let revision = self.revision;
        let reserve = self.reserve_mut(id)?;
        if reserve.liquidity.saturating_add(added) < taken {
            return Err(Refusal::NotEnoughLiquidity);
        }
        let fresh = if revision.rules().checks == Checks::Foretold {
            Some(reserve.cache(revision.rules(), block.now)?)
        } else {
            None
        };
        Ok(reserve.update_rates(revision, fresh.as_ref().unwrap_or(cache), added, taken)?)
    }

    /// Tokens leave the pool.
    pub(super) fn release(&mut self, id: ReserveId, amount: U256) -> Allowed<()> {
        let rules = self.rules();
        self.reserve_mut(id)?.release(rules, amount).map_err(|_| Refusal::NotEnoughLiquidity)
    }

    /// Mints scaled supply. Says whether it is the account's first.
    pub(super) fn mint_supply(&mut self, user: Address, id: ReserveId, scaled: U256) -> Allowed<bool> {
        if scaled.is_zero() {
            return Err(Refusal::InvalidMintAmount);
        }
        let bits = self.rules().balance_bits;
        let position = self.position_mut(user, id);
        let is_first = position.supplied.is_zero();
        position.supplied = fits(add(position.supplied, scaled)?, bits)?;
        let reserve = self.reserve_mut(id)?;
        reserve.scaled_supply = add(reserve.scaled_supply, scaled)?;
        Ok(is_first)
    }

    /// Burns scaled supply.
    pub(super) fn burn_supply(&mut self, user: Address, id: ReserveId, scaled: U256) -> Allowed<()> {
        if scaled.is_zero() {
            return Err(Refusal::InvalidBurnAmount);
        }
        let position = self.position_mut(user, id);
        position.supplied = sub(position.supplied, scaled)?;
        let reserve = self.reserve_mut(id)?;
        reserve.scaled_supply = sub(reserve.scaled_supply, scaled)?;
        Ok(())
    }

    /// Moves scaled supply between accounts.
    pub(super) fn move_supply(&mut self, from: Address, to: Address, id: ReserveId, scaled: U256) -> Allowed<()> {
        let bits = self.rules().balance_bits;
        fits(scaled, bits)?;
        let giver = self.position_mut(from, id);
        giver.supplied = sub(giver.supplied, scaled)?;
        let taker = self.position_mut(to, id);
        taker.supplied = fits(add(taker.supplied, scaled)?, bits)?;
        Ok(())
    }

    /// An account's category, as its revision reads it.
    pub(super) fn category(&self, user: Address) -> Option<(u8, EMode)> {
        let number = self.accounts.get(&user).map_or(0, |account| account.e_mode);
        category_of(self.rules(), &self.e_modes, number)
    }

    /// The terms of a reserve as collateral of an account.
    pub(super) fn terms(&self, user: Address, id: ReserveId) -> Allowed<CollateralTerms> {
        Ok(CollateralTerms::of(self.rules(), id, &self.reserve(id)?.config, self.category(user)))
    }

    /// Whether a reserve lends an account nothing: by its own configuration to 3.5, in the account's category since.
    pub(super) fn lends_nothing(&self, user: Address, id: ReserveId) -> Allowed<bool> {
        match self.rules().e_mode {
            EModeRule::LtvZero | EModeRule::Isolated => Ok(self.terms(user, id)?.lends_nothing),
            EModeRule::None | EModeRule::OneCategory | EModeRule::Bitmaps => Ok(self.reserve(id)?.config.ltv.0 == 0),
        }
    }

    /// The isolated collateral an account borrows against, with its ceiling in cents.
    pub(super) fn isolation(&self, user: Address) -> Allowed<Option<(ReserveId, u64)>> {
        if !self.rules().isolation {
            return Ok(None);
        }
        let Some(id) = self.flags(user).only_collateral() else {
            return Ok(None);
        };
        let ceiling = self.reserve(id)?.config.debt_ceiling;
        Ok((ceiling != 0).then_some((id, ceiling)))
    }

    /// The account's data; the health factor must be at least 1.
    pub(super) fn require_healthy(&self, user: Address, block: &Block) -> Allowed<AccountData> {
        let data = self.account_data(user, block)?;
        if data.health_factor < LIQUIDATION_HEALTH_FACTOR {
            return Err(Refusal::HealthFactorLowerThanLiquidationThreshold);
        }
        Ok(data)
    }

    /// After taking supply out: the account must be healthy, and collateral that lends nothing must go first.
    pub(super) fn require_healthy_without(&self, user: Address, id: ReserveId, block: &Block) -> Allowed<()> {
        let data = self.require_healthy(user, block)?;
        if data.has_zero_ltv_collateral && !self.lends_nothing(user, id)? {
            return Err(Refusal::LtvValidationFailed);
        }
        Ok(())
    }
}
