//! The next step of a random run.
//!
//! It looks at the native pool, which equals the chain up to here, so that most steps can succeed: people withdraw what
//! they have, borrow what they may, and whoever falls below a health factor of 1 is soon liquidated. The rest is there
//! to be refused, for every reason there is.

use alloy_primitives::U256;
use protocol::aave::account::{AccountData, LIQUIDATION_HEALTH_FACTOR};
use protocol::aave::config::ReserveId;

use crate::action::{Action, Admin, Category, List, Mode};
use crate::chance::Chance;
use crate::mirror::{Mirror, id};
use crate::world::{self, Version, World};

/// Draws steps.
#[derive(Debug)]
pub struct Generator<'a> {
    world: &'a World,
    chance: Chance,
}

const DAY: u64 = 86_400;

impl<'a> Generator<'a> {
    /// The steps of a seed in a world.
    pub fn new(world: &'a World, seed: u64) -> Self {
        Self { world, chance: Chance::new(seed, 2) }
    }

    /// What happens next.
    pub fn step(&mut self, mirror: &Mirror) -> Action {
        // What was stopped goes on soon, so that runs do not end in a market where nothing is possible.
        if self.chance.percent(25)
            && let Some(action) = self.resume(mirror)
        {
            return action;
        }
        match self.chance.below(100) {
            0..=13 => self.supply(mirror),
            14..=21 => self.withdraw(mirror),
            22..=39 => self.borrow(mirror),
            40..=47 => self.repay(mirror),
            48..=51 => self.transfer(mirror),
            52..=55 => self.use_as_collateral(mirror),
            56..=58 => self.e_mode(mirror),
            59..=62 => self.rates(mirror),
            63..=64 if self.world.version != Version::V2 => Action::MintToTreasury { reserve: self.reserve() },
            63..=82 => self.liquidate(mirror),
            83..=89 => self.price(),
            90..=95 => Action::Wait { seconds: self.seconds() },
            96 => self.sentinel(),
            _ => Action::Admin(self.admin(mirror)),
        }
    }

    fn user(&mut self) -> usize {
        self.chance.index(self.world.users)
    }

    fn reserve(&mut self) -> usize {
        self.chance.index(self.world.reserves.len())
    }

    /// Oneself, mostly.
    fn other(&mut self, user: usize, percent: u64) -> usize {
        if self.chance.percent(percent) { self.user() } else { user }
    }

    fn mode(&mut self) -> Mode {
        let stable = self.world.version.has_stable_debt() && self.chance.percent(30);
        // Where there is no stable debt any more, asking for it is refused.
        let odd = self.chance.percent(1);
        if stable || odd { Mode::Stable } else { Mode::Variable }
    }

    /// An amount that is wrong or nearly so.
    fn odd_amount(&mut self) -> U256 {
        match self.chance.below(6) {
            0 => U256::ZERO,
            1 => U256::from(1),
            2 => U256::MAX,
            3 => U256::from(1) << 128,
            4 => U256::from(self.chance.within(2, 20)),
            _ => self.chance.magnitude(1, 40),
        }
    }

    /// A part of something: all, nearly all, or any share.
    fn part(&mut self, whole: U256) -> U256 {
        match self.chance.below(10) {
            0 | 1 => whole,
            2 => whole.saturating_sub(U256::from(self.chance.within(1, 3))),
            3 => whole.saturating_add(U256::from(self.chance.within(1, 3))),
            4 => whole / U256::from(2),
            5 => self.chance.up_to(whole / U256::from(1_000)),
            _ => self.chance.up_to(whole),
        }
    }

    /// As many units of a reserve as have a value in the base currency.
    fn worth(&self, mirror: &Mirror, index: usize, value: U256) -> U256 {
        let unit = U256::from(10).pow(U256::from(self.world.reserves[index].decimals));
        let price = mirror.block.prices[index].max(U256::from(1));
        value.saturating_mul(unit) / price
    }

    fn supply(&mut self, mirror: &Mirror) -> Action {
        let (user, reserve) = (self.user(), self.reserve());
        let value = match (self.world.version, self.chance.below(20)) {
            (Version::V2, 0) => self.chance.magnitude(1, 14),
            (Version::V2, _) => self.chance.magnitude(17, 22),
            (_, 0) => self.chance.magnitude(1, 9),
            (_, _) => self.chance.magnitude(10, 15),
        };
        let amount = if self.chance.percent(3) { self.odd_amount() } else { self.worth(mirror, reserve, value) };
        Action::Supply { user, reserve, amount, to: self.other(user, 10) }
    }

    /// A user and a reserve for which something holds, if there are any; any otherwise.
    fn pair(&mut self, mirror: &Mirror, holds: impl Fn(usize, usize) -> bool) -> (usize, usize) {
        let users = 0..mirror.users.len();
        let pairs = users.flat_map(|user| (0..mirror.pool.reserves.len()).map(move |reserve| (user, reserve)));
        let pairs: Vec<(usize, usize)> = pairs.filter(|(user, reserve)| holds(*user, *reserve)).collect();
        if pairs.is_empty() || self.chance.percent(4) {
            (self.user(), self.reserve())
        } else {
            self.chance.pick(&pairs)
        }
    }

    /// A user's supply with interest.
    fn supplied(&self, mirror: &Mirror, user: usize, reserve: usize) -> U256 {
        let scaled = mirror.pool.position(mirror.users[user], id(reserve)).supplied;
        let income = mirror.pool.reserves[reserve].normalized_income(mirror.block.now).unwrap_or_default();
        mirror.pool.rules().scaling.supply_balance(scaled, income).unwrap_or(scaled)
    }

    /// A user's stable and variable debt with interest.
    fn debts(&self, mirror: &Mirror, user: usize, reserve: usize) -> (U256, U256) {
        let rules = mirror.pool.rules();
        let position = mirror.pool.position(mirror.users[user], id(reserve));
        let index = mirror.pool.reserves[reserve].normalized_debt(rules, mirror.block.now).unwrap_or_default();
        let variable = rules.scaling.debt_balance(position.borrowed, index).unwrap_or(position.borrowed);
        (position.stable.balance(rules, mirror.block.now).unwrap_or_default(), variable)
    }

    fn withdraw(&mut self, mirror: &Mirror) -> Action {
        let (user, reserve) = self
            .pair(mirror, |user, reserve| !mirror.pool.position(mirror.users[user], id(reserve)).supplied.is_zero());
        let balance = self.supplied(mirror, user, reserve);
        let most = balance.min(mirror.pool.reserves[reserve].liquidity);
        let amount = match self.chance.below(20) {
            0 => self.odd_amount(),
            1..=4 => U256::MAX,
            5..=6 => self.part(balance),
            _ => self.part(most),
        };
        Action::Withdraw { user, reserve, amount, to: self.other(user, 10) }
    }

    fn data(&self, mirror: &Mirror, user: usize) -> AccountData {
        mirror.pool.account_data(mirror.users[user], &mirror.block).unwrap_or(AccountData::EMPTY)
    }

    fn borrow(&mut self, mirror: &Mirror) -> Action {
        let able: Vec<usize> =
            (0..mirror.users.len()).filter(|user| !self.data(mirror, *user).available_borrows.is_zero()).collect();
        let user = if able.is_empty() || self.chance.percent(5) { self.user() } else { self.chance.pick(&able) };
        let lendable: Vec<usize> = (0..mirror.pool.reserves.len())
            .filter(|index| {
                let reserve = &mirror.pool.reserves[*index];
                reserve.config.borrowing && !reserve.liquidity.is_zero()
            })
            .collect();
        let any = lendable.is_empty() || self.chance.percent(6);
        let reserve = if any { self.reserve() } else { self.chance.pick(&lendable) };
        let power = self.worth(mirror, reserve, self.data(mirror, user).available_borrows);
        let most = power.min(mirror.pool.reserves[reserve].liquidity).max(U256::from(1));
        let amount = match self.chance.below(20) {
            0 => self.odd_amount(),
            // Close to what is allowed, so that little is needed to be liquidated.
            1..=7 => most - most / U256::from(self.chance.within(20, 1_000)),
            8 => most.saturating_add(U256::from(self.chance.within(0, 2))),
            9 => self.chance.up_to(U256::from(1_000)),
            _ => self.part(most),
        };
        Action::Borrow { user, reserve, amount, mode: self.mode() }
    }

    /// Somebody who owes, and what.
    fn debtor(&mut self, mirror: &Mirror) -> (usize, usize, Mode, U256) {
        let (user, reserve) = self.pair(mirror, |user, reserve| {
            let position = mirror.pool.position(mirror.users[user], id(reserve));
            !position.borrowed.is_zero() || !position.stable.principal.is_zero()
        });
        let (stable, variable) = self.debts(mirror, user, reserve);
        let is_stable = (!stable.is_zero() && (variable.is_zero() || self.chance.percent(50))) ^ self.chance.percent(3);
        if is_stable { (user, reserve, Mode::Stable, stable) } else { (user, reserve, Mode::Variable, variable) }
    }

    fn repay(&mut self, mirror: &Mirror) -> Action {
        let (debtor, reserve, mode, debt) = self.debtor(mirror);
        let amount = match self.chance.below(10) {
            0 => self.odd_amount(),
            1..=3 => U256::MAX,
            _ => self.part(debt),
        };
        if self.world.version != Version::V2 && self.chance.percent(25) {
            return Action::RepayWithATokens { user: debtor, reserve, amount, mode };
        }
        Action::Repay { user: self.other(debtor, 15), reserve, amount, mode, of: debtor }
    }

    fn transfer(&mut self, mirror: &Mirror) -> Action {
        let (user, reserve) = self
            .pair(mirror, |user, reserve| !mirror.pool.position(mirror.users[user], id(reserve)).supplied.is_zero());
        let balance = self.supplied(mirror, user, reserve);
        let amount = if self.chance.percent(8) { self.odd_amount() } else { self.part(balance) };
        Action::Transfer { user, reserve, amount, to: self.other(user, 95) }
    }

    fn use_as_collateral(&mut self, mirror: &Mirror) -> Action {
        let (user, reserve) = self
            .pair(mirror, |user, reserve| !mirror.pool.position(mirror.users[user], id(reserve)).supplied.is_zero());
        let is_on = mirror.pool.flags(mirror.users[user]).is_collateral(id(reserve));
        // Switching on is worth more: markets fill up with supply that is no collateral.
        let on = if is_on { self.chance.percent(30) } else { self.chance.percent(95) };
        Action::UseAsCollateral { user, reserve, on }
    }

    fn e_mode(&mut self, mirror: &Mirror) -> Action {
        if self.world.e_modes.is_empty() {
            return if self.world.version == Version::V2 {
                self.use_as_collateral(mirror)
            } else {
                self.borrow(mirror)
            };
        }
        let categories: Vec<u8> = self.world.e_modes.iter().map(|e_mode| e_mode.id).collect();
        let category = match self.chance.below(10) {
            0..=1 => 0,
            2 => self.chance.pick(&[1, 2, 3, 4, 200]),
            _ => self.chance.pick(&categories),
        };
        Action::SetEMode { user: self.user(), category }
    }

    fn rates(&mut self, mirror: &Mirror) -> Action {
        if !self.world.version.has_stable_debt() {
            return self.cover_deficit(mirror);
        }
        if self.chance.percent(60) {
            let (user, reserve, mode, _) = self.debtor(mirror);
            return Action::SwapRate { user, reserve, mode };
        }
        let (of, reserve) = self.pair(mirror, |user, reserve| {
            !mirror.pool.position(mirror.users[user], id(reserve)).stable.principal.is_zero()
        });
        Action::Rebalance { user: self.user(), reserve, of }
    }

    fn cover_deficit(&mut self, mirror: &Mirror) -> Action {
        let (user, reserve) = self.pair(mirror, |user, reserve| {
            let account = mirror.users[user];
            let is_free = !mirror.pool.flags(account).is_borrowing_any();
            let has = !mirror.pool.position(account, id(reserve)).supplied.is_zero();
            is_free && has && !mirror.pool.reserves[reserve].deficit.is_zero()
        });
        let deficit = mirror.pool.reserves[reserve].deficit;
        if deficit.is_zero() && self.chance.percent(80) {
            return self.borrow(mirror);
        }
        let most = deficit.min(self.supplied(mirror, user, reserve));
        let amount = if self.chance.percent(8) { self.odd_amount() } else { self.part(most) };
        Action::CoverDeficit { user, reserve, amount }
    }

    fn liquidate(&mut self, mirror: &Mirror) -> Action {
        let data = |user: &usize| self.data(mirror, *user);
        let owing: Vec<usize> = (0..mirror.users.len()).filter(|user| !data(user).total_debt.is_zero()).collect();
        let fallen: Vec<usize> =
            owing.iter().copied().filter(|user| data(user).health_factor < LIQUIDATION_HEALTH_FACTOR).collect();
        if fallen.is_empty() && !owing.is_empty() && self.chance.percent(85) {
            let user = self.chance.pick(&owing);
            return self.crash(mirror, user);
        }
        let seizable = |user: usize| self.seizable(mirror, user);
        let better: Vec<usize> = fallen.iter().copied().filter(|user| !seizable(*user).is_empty()).collect();
        let fallen = if better.is_empty() || self.chance.percent(3) { fallen } else { better };
        let of = if fallen.is_empty() || self.chance.percent(3) { self.user() } else { self.chance.pick(&fallen) };
        let flags = mirror.pool.flags(mirror.users[of]);
        let collateral = self.one_of(self.seizable(mirror, of));
        let debts = flags.reserves().filter(|id| flags.is_borrowing(*id)).collect();
        let debt = self.one_of(debts);
        let (stable, variable) = self.debts(mirror, of, debt);
        let owed = stable.saturating_add(variable);
        let amount = match self.chance.below(10) {
            0..=3 => U256::MAX,
            4 => self.dust_leaving(mirror, debt, owed),
            5 if self.chance.percent(40) => self.odd_amount(),
            _ => self.part(owed),
        };
        let others = self.world.users - 1;
        let another = (of + 1 + self.chance.index(others)) % self.world.users;
        let user = if others == 0 || self.chance.percent(6) { of } else { another };
        Action::Liquidate { user, of, collateral, debt, amount, receive_a_token: self.chance.percent(40) }
    }

    /// Collateral that a liquidator may take.
    fn seizable(&self, mirror: &Mirror, user: usize) -> Vec<ReserveId> {
        let address = mirror.users[user];
        let flags = mirror.pool.flags(address);
        let can = |id: &ReserveId| {
            let config = &mirror.pool.reserves[usize::from(id.0)].config;
            let counts = self.world.version == Version::V3_6 || config.liquidation_threshold.0 != 0;
            counts && flags.is_collateral(*id) && !mirror.pool.position(address, *id).supplied.is_zero()
        };
        flags.reserves().filter(can).collect()
    }

    /// A repayment that leaves about a thousand dollars, where 3.3 and later draw a line.
    fn dust_leaving(&mut self, mirror: &Mirror, debt: usize, owed: U256) -> U256 {
        let about = U256::from(self.chance.within(90_000_000_000, 110_000_000_000));
        owed.saturating_sub(self.worth(mirror, debt, about))
    }

    fn one_of(&mut self, ids: Vec<ReserveId>) -> usize {
        if ids.is_empty() || self.chance.percent(4) { self.reserve() } else { usize::from(self.chance.pick(&ids).0) }
    }

    /// A price that brings somebody below a health factor of 1: a little, or by far.
    fn crash(&mut self, mirror: &Mirror, user: usize) -> Action {
        let flags = mirror.pool.flags(mirror.users[user]);
        let health = self.data(mirror, user).health_factor.0;
        let wanted = match self.chance.below(10) {
            0..=4 => self.chance.within(950, 999),
            5..=7 => self.chance.within(700, 950),
            _ => self.chance.within(1, 700),
        };
        let wanted = U256::from(wanted) * U256::from(10).pow(U256::from(15));
        let by_debt = self.chance.percent(30);
        let chosen =
            flags.reserves().filter(|id| if by_debt { flags.is_borrowing(*id) } else { flags.is_collateral(*id) });
        let reserve = self.one_of(chosen.collect());
        let price = mirror.block.prices[reserve];
        let moved = if by_debt {
            price.checked_mul(health).map(|product| product / wanted)
        } else {
            price.checked_mul(wanted).map(|product| product / health.max(U256::from(1)))
        };
        let price = moved.unwrap_or(price).clamp(U256::from(1), U256::from(1) << 100);
        Action::Price { reserve, price }
    }

    fn price(&mut self) -> Action {
        let priced: Vec<u8> =
            self.world.e_modes.iter().filter(|e_mode| e_mode.price.is_some()).map(|e_mode| e_mode.id).collect();
        if !priced.is_empty() && self.chance.percent(20) {
            let category = self.chance.pick(&priced);
            return Action::EModePrice { category, price: world::price(self.world.version, &mut self.chance) };
        }
        let reserve = self.reserve();
        let usual = self.world.reserves[reserve].price;
        let price = match self.chance.below(20) {
            0 => world::price(self.world.version, &mut self.chance),
            1..=3 => usual * U256::from(self.chance.within(30, 300)) / U256::from(100),
            _ => usual * U256::from(self.chance.within(900, 1_100)) / U256::from(1_000),
        };
        // A source that answers nothing sends the oracle to its fallback, and there is none.
        let fails = self.chance.below(100) == 0;
        Action::Price { reserve, price: if fails { U256::ZERO } else { price.max(U256::from(1)) } }
    }

    fn seconds(&mut self) -> u64 {
        match self.chance.below(40) {
            0..=9 => self.chance.within(1, 60),
            10..=21 => self.chance.within(60, DAY),
            22..=33 => self.chance.within(DAY, 30 * DAY),
            34..=37 => self.chance.within(30 * DAY, 200 * DAY),
            38 => self.chance.within(200 * DAY, 3 * 365 * DAY),
            _ => self.chance.within(1, 10 * 365 * DAY),
        }
    }

    fn sentinel(&mut self) -> Action {
        if !self.world.sentinel {
            return self.price();
        }
        Action::Sentinel { borrow: self.chance.percent(70), liquidation: self.chance.percent(50) }
    }

    /// Undoes what keeps the market from working, if anything does.
    fn resume(&mut self, mirror: &Mirror) -> Option<Action> {
        let grace = if self.chance.percent(30) { self.chance.within(1, 4 * 3_600) } else { 0 };
        if mirror.pool.is_paused {
            return Some(Action::Admin(Admin::Pause { reserve: 0, on: false, grace }));
        }
        let stopped = mirror
            .pool
            .reserves
            .iter()
            .position(|reserve| reserve.config.paused || reserve.config.frozen || !reserve.config.active)?;
        let config = &mirror.pool.reserves[stopped].config;
        Some(Action::Admin(if config.paused {
            Admin::Pause { reserve: stopped, on: false, grace }
        } else if config.frozen {
            Admin::Freeze { reserve: stopped, on: false }
        } else {
            Admin::Active { reserve: stopped, on: true }
        }))
    }

    fn admin(&mut self, mirror: &Mirror) -> Admin {
        let reserve = self.reserve();
        let is_v2 = self.world.version == Version::V2;
        let on = self.chance.percent(70);
        match self.chance.below(if is_v2 { 8 } else { 16 }) {
            0 | 1 => {
                let (ltv, threshold, bonus) = world::collateral(&mut self.chance);
                Admin::Collateral { reserve, ltv, threshold, bonus }
            }
            2 => Admin::Borrowing { reserve, on },
            3 if self.world.version.has_stable_debt() => Admin::StableBorrowing { reserve, on },
            3 => Admin::LtvZero { reserve, on },
            4 => Admin::Freeze { reserve, on: true },
            5 => Admin::Pause { reserve, on: true, grace: 0 },
            6 => Admin::ReserveFactor { reserve, bps: world::fee(&mut self.chance) },
            7 => Admin::Active { reserve, on: false },
            8 => Admin::ProtocolFee { reserve, bps: world::fee(&mut self.chance) },
            9 => Admin::SupplyCap { reserve, cap: self.cap() },
            10 => Admin::BorrowCap { reserve, cap: self.cap() },
            11 => Admin::DebtCeiling { reserve, cents: self.cap() },
            12 => Admin::Siloed { reserve, on: self.chance.percent(40) },
            13 => Admin::BorrowableInIsolation { reserve, on },
            _ => self.category(reserve, mirror),
        }
    }

    fn cap(&mut self) -> u64 {
        if self.chance.percent(50) { 0 } else { self.chance.within(1, 100_000_000) }
    }

    fn category(&mut self, reserve: usize, mirror: &Mirror) -> Admin {
        let categories: Vec<u8> = mirror.pool.e_modes.keys().copied().collect();
        if categories.is_empty() {
            return Admin::ReserveFactor { reserve, bps: world::fee(&mut self.chance) };
        }
        let category = self.chance.pick(&categories);
        if self.chance.percent(40) {
            let threshold = self.chance.bps(8_500, 9_800);
            let (ltv, bonus) = (self.chance.bps(8_000, threshold), self.chance.bps(10_001, 10_200));
            return Admin::Category(Category::Terms {
                category,
                ltv,
                threshold,
                bonus,
                priced: self.chance.percent(30),
            });
        }
        if self.world.version.is_3_0() {
            let category = if self.chance.percent(20) { 0 } else { category };
            return Admin::Category(Category::Of { reserve, category });
        }
        let list = self.chance.pick(&[List::AsCollateral, List::AsBorrowable, List::WithoutLtv]);
        Admin::Category(Category::Member { reserve, category, list, on: self.chance.percent(60) })
    }
}
