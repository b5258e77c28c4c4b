//! The native pool, taking the same steps as the market.
//!
//! It is built from the world's specification, not read from the chain. Only what governance sets is taken over from the
//! chain, after the administrator's steps: configurators are not restated, what their settings do is.

use alloy_primitives::{Address, U256};
use anyhow::{Result, bail};
use protocol::aave::Revision;
use protocol::aave::account::{Block, Sentinel};
use protocol::aave::config::{EMode, ReserveConfig, ReserveId, ReserveSet};
use protocol::aave::liquidation::LiquidationCall;
use protocol::aave::math::{Bps, Ray};
use protocol::aave::pool::{self, Outcome, Pool, RateMode};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;

use crate::action::{Action, Admin, Category, Mode};
use crate::deploy::{BEGIN, TREASURY, user};
use crate::market::Market;
use crate::world::{EModeSpec, Rates, ReserveSpec, Version, World};

/// A native pool and the block it is in.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Which contracts it restates.
    pub version: Version,
    /// The pool.
    pub pool: Pool,
    /// Time, prices and the sentinel's answers.
    pub block: Block,
    /// In the order of the world.
    pub users: Vec<Address>,
}

/// A reserve's number in the native pool.
pub fn id(index: usize) -> ReserveId {
    ReserveId(u8::try_from(index).unwrap_or(u8::MAX))
}

/// The native name of a version.
pub fn revision(version: Version) -> Revision {
    match version {
        Version::V2 => Revision::V2,
        Version::V3_0_0 => Revision::V3_0_0,
        Version::V3_0_2 => Revision::V3_0_2,
        Version::V3_6 => Revision::V3_6,
    }
}

impl Mirror {
    /// The world's pool with nobody in it.
    pub fn new(world: &World) -> Self {
        let version = world.version;
        let category = |index| {
            let of = world.e_modes.iter().find(|e_mode| version.is_3_0() && e_mode.collateral.contains(&index));
            of.map_or(0, |e_mode| e_mode.id)
        };
        let reserve = |(index, spec)| Reserve::new(config(version, spec, category(index)), model(version, &spec.rates));
        let reserves = world.reserves.iter().enumerate().map(reserve).collect();
        let mut pool = Pool::new(revision(version), reserves, TREASURY);
        if version == Version::V3_6 {
            pool.reserves.iter_mut().for_each(|reserve| set_factor_first(version, reserve));
        }
        pool.e_modes = world.e_modes.iter().map(|spec| (spec.id, e_mode(version, spec))).collect();
        let allowed = Sentinel { borrow_allowed: true, liquidation_allowed: true };
        let block = Block {
            now: BEGIN,
            prices: world.reserves.iter().map(|reserve| reserve.price).collect(),
            e_mode_prices: world.e_modes.iter().filter_map(|spec| Some((spec.id, spec.price?))).collect(),
            sentinel: world.sentinel.then_some(allowed),
        };
        Self { version, pool, block, users: (0..world.users).map(user).collect() }
    }

    /// What a step comes to in the pool; none where it is no user's step.
    pub fn act(&mut self, action: &Action) -> Option<Outcome> {
        if let Some(native) = self.native(action) {
            return Some(self.pool.apply(&native, &self.block));
        }
        match action {
            Action::Price { reserve, price } => self.block.prices[*reserve] = *price,
            Action::EModePrice { category, price } => {
                if let Some(own) = self.block.e_mode_prices.get_mut(category) {
                    *own = *price;
                }
            }
            Action::Wait { seconds } => self.block.now += seconds,
            Action::Sentinel { borrow, liquidation } => {
                if let Some(sentinel) = &mut self.block.sentinel {
                    *sentinel = Sentinel { borrow_allowed: *borrow, liquidation_allowed: *liquidation };
                }
            }
            Action::Admin(_)
            | Action::Supply { .. }
            | Action::Withdraw { .. }
            | Action::Borrow { .. }
            | Action::Repay { .. }
            | Action::RepayWithATokens { .. }
            | Action::Transfer { .. }
            | Action::UseAsCollateral { .. }
            | Action::SetEMode { .. }
            | Action::SwapRate { .. }
            | Action::Rebalance { .. }
            | Action::MintToTreasury { .. }
            | Action::CoverDeficit { .. }
            | Action::Liquidate { .. } => {}
        }
        None
    }

    fn native(&self, action: &Action) -> Option<pool::Action> {
        let of = |user: usize| self.users[user];
        Some(match *action {
            Action::Supply { user, reserve, amount, to } => {
                pool::Action::Supply { user: of(user), on_behalf_of: of(to), reserve: id(reserve), amount }
            }
            Action::Withdraw { user, reserve, amount, .. } => {
                pool::Action::Withdraw { user: of(user), reserve: id(reserve), amount }
            }
            Action::Borrow { user, reserve, amount, mode } => {
                pool::Action::Borrow { user: of(user), reserve: id(reserve), amount, mode: rate_mode(mode) }
            }
            Action::Repay { user, reserve, amount, mode, of: debtor } => {
                let (user, on_behalf_of, mode) = (of(user), of(debtor), rate_mode(mode));
                pool::Action::Repay { user, on_behalf_of, reserve: id(reserve), amount, mode }
            }
            Action::RepayWithATokens { user, reserve, amount, mode } => {
                pool::Action::RepayWithSupply { user: of(user), reserve: id(reserve), amount, mode: rate_mode(mode) }
            }
            Action::Transfer { user, reserve, amount, to } => {
                pool::Action::Transfer { from: of(user), to: of(to), reserve: id(reserve), amount }
            }
            Action::UseAsCollateral { user, reserve, on } => {
                pool::Action::UseAsCollateral { user: of(user), reserve: id(reserve), on }
            }
            Action::SetEMode { user, category } => pool::Action::SetEMode { user: of(user), category },
            Action::SwapRate { user, reserve, mode } => {
                pool::Action::SwapRateMode { user: of(user), reserve: id(reserve), mode: rate_mode(mode) }
            }
            Action::Rebalance { reserve, of: debtor, .. } => {
                pool::Action::RebalanceStableRate { user: of(debtor), reserve: id(reserve) }
            }
            Action::CoverDeficit { user, reserve, amount } => {
                pool::Action::CoverDeficit { user: of(user), reserve: id(reserve), amount }
            }
            Action::MintToTreasury { reserve } => pool::Action::MintToTreasury { reserve: id(reserve) },
            Action::Liquidate { user, of: borrower, collateral, debt, amount, receive_a_token } => {
                pool::Action::Liquidate(LiquidationCall {
                    liquidator: of(user),
                    borrower: of(borrower),
                    collateral: id(collateral),
                    debt: id(debt),
                    debt_to_cover: amount,
                    receive_a_token,
                })
            }
            Action::Admin(_)
            | Action::Price { .. }
            | Action::EModePrice { .. }
            | Action::Wait { .. }
            | Action::Sentinel { .. } => return None,
        })
    }

    /// Takes over what an administrator's step, which succeeded on the chain, has set.
    pub fn follow(&mut self, admin: &Admin, market: &mut Market) -> Result<()> {
        if let Admin::Pause { on, .. } = admin
            && self.version == Version::V2
        {
            self.pool.is_paused = *on;
            return Ok(());
        }
        if let Admin::ReserveFactor { reserve, .. } = admin
            && self.version == Version::V3_6
        {
            return self.change_factor(*reserve, market);
        }
        if let Admin::DebtCeiling { reserve, cents: 0 } = admin {
            self.pool.reserves[*reserve].isolation_mode_total_debt = U256::ZERO;
        }
        for index in 0..self.pool.reserves.len() {
            let state = market.settings(index)?;
            self.pool.reserves[index].config = ReserveConfig::from_word(state.configuration);
            self.pool.reserves[index].liquidation_grace_until = state.grace_until.saturating_to();
        }
        for category in market.e_mode_feeds.clone().iter().map(|(category, _)| *category) {
            self.follow_category(category, Some(admin), market)?;
        }
        Ok(())
    }

    /// Takes a market's version and the figures of its reserves over, after it was upgraded; who holds what stays.
    pub fn anchor(&mut self, market: &mut Market) -> Result<()> {
        self.version = market.version;
        self.pool.revision = revision(market.version);
        for (index, reserve) in self.pool.reserves.iter_mut().enumerate() {
            let state = market.reserve(index)?;
            let spent = reserve.rate_model;
            *reserve = Reserve::new(ReserveConfig::from_word(state.configuration), spent);
            [reserve.rates.liquidity, reserve.rates.stable, reserve.rates.variable] =
                [state.liquidity_rate, state.stable_rate, state.variable_rate].map(Ray);
            [reserve.liquidity_index, reserve.variable_borrow_index] =
                [state.liquidity_index, state.variable_index].map(Ray);
            reserve.last_update = state.last_update.saturating_to();
            reserve.liquidation_grace_until = state.grace_until.saturating_to();
            [reserve.scaled_supply, reserve.scaled_variable_debt] = [state.scaled_supply, state.scaled_variable_debt];
            [reserve.liquidity, reserve.accrued_to_treasury] = [state.liquidity, state.accrued_to_treasury];
            [reserve.deficit, reserve.isolation_mode_total_debt] = [state.deficit, state.isolation_debt];
        }
        for (category, _) in market.e_mode_feeds.clone() {
            self.follow_category(category, None, market)?;
        }
        Ok(())
    }

    /// From 3.4 on the treasury's share changes only after what it has earned is booked, and the rates follow.
    fn change_factor(&mut self, index: usize, market: &mut Market) -> Result<()> {
        let (rules, now, revision) = (self.pool.rules(), self.block.now, self.pool.revision);
        let reserve = &mut self.pool.reserves[index];
        let accrued = reserve.cache(rules, now).and_then(|mut cache| reserve.accrue(&mut cache, rules, now));
        if accrued.is_err() {
            bail!("the chain could accrue a reserve, the native pool cannot");
        }
        reserve.config = ReserveConfig::from_word(market.settings(index)?.configuration);
        let fresh =
            reserve.cache(rules, now).and_then(|cache| reserve.update_rates(revision, &cache, U256::ZERO, U256::ZERO));
        if fresh.is_err() {
            bail!("the chain could set a reserve's rates, the native pool cannot");
        }
        Ok(())
    }

    fn follow_category(&mut self, category: u8, admin: Option<&Admin>, market: &mut Market) -> Result<()> {
        let [ltv, threshold, bonus] = market.e_mode_terms(category)?.map(|bps| Bps(bps.saturating_to()));
        let e_mode = self.pool.e_modes.entry(category).or_default();
        (e_mode.ltv, e_mode.liquidation_threshold, e_mode.liquidation_bonus) = (ltv, threshold, bonus);
        if self.version == Version::V3_6 {
            let [collateral, borrowable, ltv_zero] =
                market.e_mode_lists(category)?.map(|set| ReserveSet(set.saturating_to()));
            (e_mode.collateral, e_mode.borrowable, e_mode.ltv_zero) = (collateral, borrowable, ltv_zero);
        }
        if let Some(Admin::Category(Category::Terms { category: changed, priced, .. })) = admin
            && *changed == category
        {
            e_mode.has_price_source = *priced && self.version.is_3_0();
            // A category that never had a price has a feed all the same, which answers 1.
            self.block.e_mode_prices.entry(category).or_insert(U256::from(1));
        }
        Ok(())
    }
}

/// A listing ends in setting the treasury's share, and in 3.6 that sets the rates too.
fn set_factor_first(version: Version, reserve: &mut Reserve) {
    let rules = revision(version).rules();
    let cache = reserve.cache(rules, BEGIN).and_then(|mut cache| {
        reserve.accrue(&mut cache, rules, BEGIN)?;
        Ok(cache)
    });
    let set = cache.and_then(|cache| reserve.update_rates(revision(version), &cache, U256::ZERO, U256::ZERO));
    assert!(set.is_ok(), "an empty reserve has rates");
}

fn rate_mode(mode: Mode) -> RateMode {
    match mode {
        Mode::Stable => RateMode::Stable,
        Mode::Variable => RateMode::Variable,
    }
}

fn config(version: Version, spec: &ReserveSpec, category: u8) -> ReserveConfig {
    ReserveConfig {
        ltv: Bps(spec.ltv),
        liquidation_threshold: Bps(spec.liquidation_threshold),
        liquidation_bonus: Bps(spec.liquidation_bonus),
        decimals: spec.decimals,
        active: true,
        borrowing: spec.borrowing,
        stable_borrowing: spec.stable_borrowing,
        borrowable_in_isolation: spec.borrowable_in_isolation,
        siloed: spec.siloed,
        reserve_factor: Bps(spec.reserve_factor),
        borrow_cap: spec.borrow_cap,
        supply_cap: spec.supply_cap,
        liquidation_protocol_fee: Bps(spec.liquidation_protocol_fee),
        e_mode_category: category,
        debt_ceiling: spec.debt_ceiling,
        virtual_accounting: version == Version::V3_6,
        ..ReserveConfig::default()
    }
}

fn model(version: Version, rates: &Rates) -> RateModel {
    RateModel {
        optimal_usage: Ray(rates.optimal),
        base: Ray(rates.base),
        slope_1: Ray(rates.slope1),
        slope_2: Ray(rates.slope2),
        stable_base: Ray(if version == Version::V2 { rates.stable_base } else { rates.slope1 + rates.stable_base }),
        stable_slope_1: Ray(rates.stable_slope1),
        stable_slope_2: Ray(rates.stable_slope2),
        stable_excess_offset: Ray(rates.stable_excess),
        optimal_stable_share: Ray(rates.stable_optimal),
    }
}

fn e_mode(version: Version, spec: &EModeSpec) -> EMode {
    let set = |members: &[usize]| -> ReserveSet {
        if version.is_3_0() { ReserveSet::default() } else { members.iter().map(|index| id(*index)).collect() }
    };
    EMode {
        ltv: Bps(spec.ltv),
        liquidation_threshold: Bps(spec.liquidation_threshold),
        liquidation_bonus: Bps(spec.liquidation_bonus),
        has_price_source: spec.price.is_some(),
        collateral: set(&spec.collateral),
        borrowable: set(&spec.borrowable),
        ltv_zero: set(&spec.ltv_zero),
        isolated: false,
    }
}
