//! Random pools and what happens in them, decoded from bytes: any bytes mean some world, and fewer bytes a smaller one.
//!
//! The fuzz targets decode the same worlds, so that what they find can be repeated as a test.

use alloy_primitives::{Address, U256};
use protocol::aave::Revision;
use protocol::aave::account::{Block, Sentinel};
use protocol::aave::config::{EMode, ReserveConfig, ReserveId, ReserveSet};
use protocol::aave::liquidation::LiquidationCall;
use protocol::aave::math::{Bps, Ray, Rounding, ray_mul};
use protocol::aave::pool::{Action, Pool, RateMode};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;
use protocol::aave::revision::LiquidationOrder;

/// Who takes part.
pub(crate) const USERS: u8 = 4;

/// When worlds begin.
pub(crate) const NOW: u64 = 1_700_000_000;

/// Who gets the protocol's share.
pub(crate) const TREASURY: Address = Address::repeat_byte(0xfe);

/// Bytes to decode from; zeros when they are used up.
pub(crate) struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    fn long(&mut self) -> u128 {
        u128::from_be_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u16) -> u16 {
        self.word() % bound.max(1)
    }

    /// True once in `times`.
    fn once_in(&mut self, times: u8) -> bool {
        self.byte() % times == 1
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::from(self.byte()) % from.len()]
    }

    /// Rays of so many basis points, at most.
    fn rate(&mut self, most: u16) -> Ray {
        Ray(U256::from(self.below(most.saturating_add(1))) * Ray::ONE.0 / U256::from(10_000))
    }
}

/// How far a world strays from what governance sets and people do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taste {
    /// Amounts and prices as they occur; configurations that the contracts accept.
    Sane,
    /// Anything at all.
    Wild,
}

/// A pool and the block it is at.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) pool: Pool,
    pub(crate) block: Block,
}

/// What happens next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Somebody asks the pool for something.
    Act(Action),
    /// Time passes.
    Wait(u64),
    /// The price of a reserve changes.
    Price(ReserveId, U256),
}

pub(crate) fn everybody() -> impl Iterator<Item = Address> {
    (0..USERS).map(user).chain([TREASURY])
}

pub(crate) fn user(number: u8) -> Address {
    Address::repeat_byte(number % USERS + 1)
}

impl World {
    /// An empty pool, and then people who supply and borrow.
    pub(crate) fn decode(bytes: &mut Bytes<'_>, revision: Revision, taste: Taste) -> Self {
        let now = NOW;
        let count = 2 + bytes.byte() % 3;
        let reserves = (0..count).map(|_| decode_reserve(bytes, revision, taste, now)).collect();
        let mut pool = Pool::new(revision, reserves, TREASURY);
        for number in 1..=bytes.byte() % 3 {
            let e_mode = decode_e_mode(bytes, &mut pool, number, taste);
            pool.e_modes.insert(number, e_mode);
        }
        let prices = (0..count).map(|_| decode_price(bytes, taste)).collect();
        let e_mode_prices = [(1, decode_price(bytes, taste))].into_iter().collect();
        let sentinel = bytes
            .once_in(16)
            .then(|| Sentinel { borrow_allowed: bytes.once_in(2), liquidation_allowed: bytes.once_in(2) });
        let mut world = Self { pool, block: Block { now, prices, e_mode_prices, sentinel } };
        for number in 0..count.max(USERS) {
            let (on_behalf_of, reserve) = (user(number), ReserveId(number % count));
            let amount = world.tokens(reserve, u64::from(bytes.word()) + 1);
            world.pool.apply(&Action::Supply { user: on_behalf_of, on_behalf_of, reserve, amount }, &world.block);
        }
        for number in 0..USERS {
            let action = world.decode_borrow(bytes, user(number), taste);
            world.pool.apply(&action, &world.block);
        }
        world
    }

    /// What happens next.
    pub(crate) fn decode_step(&self, bytes: &mut Bytes<'_>, taste: Taste) -> Step {
        match bytes.byte() % 28 {
            // Half a year at most.
            0..=1 => Step::Wait(u64::from(bytes.word()) * u64::from(bytes.byte())),
            2..=6 => {
                let id = self.id(bytes, taste);
                let price = self.block.price(id).unwrap_or(U256::from(1));
                // From a quarter to five quarters of what it was.
                let moved = price.saturating_mul(U256::from(64 + u16::from(bytes.byte()))) / U256::from(255);
                Step::Price(
                    id,
                    if taste == Taste::Wild { decode_price(bytes, taste) } else { moved.max(U256::from(1)) },
                )
            }
            16.. if self.ready(0).is_some() => {
                let liquidator = user(bytes.byte());
                Step::Act(Action::Liquidate(self.decode_liquidation(bytes, liquidator, taste)))
            }
            other => Step::Act(self.decode_action(bytes, other, taste)),
        }
    }

    /// The first user from `first` on who can be liquidated.
    fn ready(&self, first: u8) -> Option<Address> {
        let all = (0..USERS).map(|number| user(first.wrapping_add(number)));
        let data = |user: &Address| self.pool.account_data(*user, &self.block);
        all.into_iter().find(|user| data(user).is_ok_and(|data| data.is_liquidatable()))
    }

    fn decode_action(&self, bytes: &mut Bytes<'_>, kind: u8, taste: Taste) -> Action {
        let (user, other, reserve) = (user(bytes.byte()), user(bytes.byte()), self.id(bytes, taste));
        let mode = bytes.pick(&[RateMode::Variable, RateMode::Variable, RateMode::Stable]);
        let supply = self.supply_balance(user, reserve);
        let is_v2 = self.pool.revision == Revision::V2;
        match kind {
            7 => {
                let usual = self.tokens(reserve, 1_000);
                let amount = self.amount(bytes, reserve, usual, taste);
                Action::Supply { user, on_behalf_of: other, reserve, amount }
            }
            8..=9 => Action::Withdraw { user, reserve, amount: self.amount(bytes, reserve, supply, taste) },
            10..=12 => self.decode_borrow(bytes, user, taste),
            13 => {
                let owed = self.debt_balance(other, reserve);
                let amount = self.amount(bytes, reserve, owed, taste);
                Action::Repay { user, on_behalf_of: other, reserve, amount, mode }
            }
            14 if !is_v2 => {
                let amount = self.amount(bytes, reserve, supply, taste);
                Action::RepayWithSupply { user, reserve, amount, mode }
            }
            14..=15 => {
                let amount = self.amount(bytes, reserve, supply, taste);
                Action::Transfer { from: user, to: other, reserve, amount }
            }
            16 => Action::UseAsCollateral { user, reserve, on: bytes.once_in(2) },
            17..=18 => Action::SetEMode { user, category: bytes.byte() % 4 },
            19 => Action::SwapRateMode { user, reserve, mode },
            20 => Action::RebalanceStableRate { user, reserve },
            21 if !is_v2 => Action::MintToTreasury { reserve },
            21..=22 => {
                let deficit = self.pool.reserves.get(usize::from(reserve.0)).map_or(U256::ZERO, |found| found.deficit);
                Action::CoverDeficit { user, reserve, amount: self.amount(bytes, reserve, deficit, taste) }
            }
            _ => Action::Liquidate(self.decode_liquidation(bytes, user, taste)),
        }
    }

    fn decode_borrow(&self, bytes: &mut Bytes<'_>, user: Address, taste: Taste) -> Action {
        let reserve = self.id(bytes, taste);
        let mode = bytes.pick(&[RateMode::Variable, RateMode::Variable, RateMode::Variable, RateMode::Stable]);
        let power = self.pool.account_data(user, &self.block).map_or(U256::ZERO, |data| data.available_borrows);
        let price = self.block.price(reserve).unwrap_or(U256::from(1));
        let most = power.saturating_mul(self.tokens(reserve, 1)) / price;
        Action::Borrow { user, reserve, amount: self.amount(bytes, reserve, most, taste), mode }
    }

    /// A call on somebody who can be liquidated, if there is anybody, for what he holds and owes.
    fn decode_liquidation(&self, bytes: &mut Bytes<'_>, liquidator: Address, taste: Taste) -> LiquidationCall {
        let first = bytes.byte();
        let borrower = self.ready(first).unwrap_or(user(first));
        let flags = self.pool.flags(borrower);
        let collateral: Vec<_> = flags.reserves().filter(|id| flags.is_collateral(*id)).collect();
        let debts: Vec<_> = flags.reserves().filter(|id| flags.is_borrowing(*id)).collect();
        let or_any = |bytes: &mut Bytes<'_>, from: &[ReserveId]| {
            if from.is_empty() || bytes.once_in(16) { self.id(bytes, taste) } else { bytes.pick(from) }
        };
        let (collateral, debt) = (or_any(bytes, &collateral), or_any(bytes, &debts));
        let owed = self.debt_balance(borrower, debt);
        let debt_to_cover = self.amount(bytes, debt, owed, taste);
        let receive_a_token = bytes.once_in(2);
        LiquidationCall { liquidator, borrower, collateral, debt, debt_to_cover, receive_a_token }
    }

    /// Does one step. Time and prices are no business of the pool.
    pub(crate) fn turn(&mut self, step: &Step) {
        match step {
            Step::Wait(seconds) => self.block.now = self.block.now.saturating_add(*seconds),
            Step::Price(id, price) => {
                if let Some(slot) = self.block.prices.get_mut(usize::from(id.0)) {
                    *slot = *price;
                }
            }
            Step::Act(action) => drop(self.pool.apply(action, &self.block)),
        }
    }

    /// What suppliers and the treasury may claim of a reserve, and what it has and is owed, at the interest an action
    /// would book. V2 and 3.0.0 book none on variable debt while suppliers earn none, though their views show it.
    pub(crate) fn balance_sheet(&self, id: usize) -> Option<(U256, U256)> {
        let (rules, now, reserve) = (self.pool.rules(), self.block.now, &self.pool.reserves[id]);
        let number = ReserveId(u8::try_from(id).unwrap());
        let income = reserve.normalized_income(now).ok()?;
        let scaled = reserve.scaled_supply.checked_add(reserve.accrued_to_treasury)?;
        let claims = ray_mul(scaled, income, Rounding::Floor).ok()?;
        let forgets = rules.nested_accrual && reserve.rates.liquidity == Ray::ZERO;
        let shown = reserve.normalized_debt(rules, now).ok()?;
        let index = if forgets { reserve.variable_borrow_index } else { shown };
        let owed = ray_mul(reserve.scaled_variable_debt, index, Rounding::Ceil).ok()?;
        let backing = owed.checked_add(reserve.liquidity)?.checked_add(reserve.deficit)?;
        let stable = everybody().map(|user| self.pool.position(user, number).stable.balance(rules, now).ok());
        Some((claims, stable.into_iter().try_fold(backing, |sum, debt| sum.checked_add(debt?))?))
    }

    /// A liquidation of a debt with collateral in the same asset, where that is booked wrongly. In V2 and 3.0 the
    /// repayment arrives after the rates were set without it, and until the next action suppliers earn as if it were lent;
    /// 3.5 and 3.6 accrue the treasury's share twice.
    pub(crate) fn misbooks(&self, action: &Action) -> bool {
        let rules = self.pool.rules();
        let Action::Liquidate(call) = action else { return false };
        call.collateral == call.debt && (!rules.virtual_liquidity || rules.liquidation == LiquidationOrder::V3_5)
    }

    fn id(&self, bytes: &mut Bytes<'_>, taste: Taste) -> ReserveId {
        let byte = bytes.byte();
        if taste == Taste::Wild && byte > 250 {
            return ReserveId(byte);
        }
        ReserveId(byte % u8::try_from(self.pool.reserves.len()).unwrap())
    }

    /// So many whole tokens.
    fn tokens(&self, id: ReserveId, count: u64) -> U256 {
        let decimals = self.pool.reserves.get(usize::from(id.0)).map_or(18, |reserve| reserve.config.decimals);
        U256::from(count).saturating_mul(U256::from(10).pow(U256::from(decimals.min(36))))
    }

    /// An amount, mostly some part of what one would expect.
    fn amount(&self, bytes: &mut Bytes<'_>, id: ReserveId, usual: U256, taste: Taste) -> U256 {
        match bytes.byte() % 12 {
            0 => U256::from(bytes.byte()),
            1 => U256::MAX,
            2 => usual,
            3 => usual.saturating_add(U256::from(bytes.byte())),
            4 => usual.saturating_sub(U256::from(bytes.byte())),
            5 if taste == Taste::Wild => U256::from(bytes.long()) << usize::from(bytes.byte() / 2),
            6 => self.tokens(id, u64::from(bytes.word())),
            7 => usual.saturating_mul(U256::from(bytes.byte())) / U256::from(255),
            _ => usual.saturating_mul(U256::from(128 + u16::from(bytes.byte()) / 2)) / U256::from(255),
        }
    }

    pub(crate) fn supply_balance(&self, user: Address, id: ReserveId) -> U256 {
        let Some(reserve) = self.pool.reserves.get(usize::from(id.0)) else { return U256::ZERO };
        let income = reserve.normalized_income(self.block.now).unwrap_or(Ray::ONE);
        let scaled = self.pool.position(user, id).supplied;
        self.pool.rules().scaling.supply_balance(scaled, income).unwrap_or(U256::ZERO)
    }

    /// Variable and stable debt.
    pub(crate) fn debt_balance(&self, user: Address, id: ReserveId) -> U256 {
        let Some(reserve) = self.pool.reserves.get(usize::from(id.0)) else { return U256::ZERO };
        let rules = self.pool.rules();
        let position = self.pool.position(user, id);
        let index = reserve.normalized_debt(rules, self.block.now).unwrap_or(Ray::ONE);
        let variable = rules.scaling.debt_balance(position.borrowed, index).unwrap_or(U256::ZERO);
        variable.saturating_add(position.stable.balance(rules, self.block.now).unwrap_or(U256::ZERO))
    }
}

fn decode_price(bytes: &mut Bytes<'_>, taste: Taste) -> U256 {
    if taste == Taste::Wild && bytes.once_in(8) {
        return U256::from(bytes.long()) << usize::from(bytes.byte() / 2);
    }
    // A hundredth of a cent to 65 million dollars, with eight decimals.
    U256::from(u64::from(bytes.word()) + 1) * U256::from(10).pow(U256::from(4 + bytes.byte() % 8))
}

fn decode_reserve(bytes: &mut Bytes<'_>, revision: Revision, taste: Taste, now: u64) -> Reserve {
    let rules = revision.rules();
    let liquidation_threshold = bytes.pick(&[0, 4_500, 7_500, 8_000, 8_300, 9_500]);
    // What is seized for a debt may not be worth more than the collateral that stood for it.
    let most = 100_000_000_u32.checked_div(u32::from(liquidation_threshold)).unwrap_or(10_000).min(12_000);
    let bonus = 10_000 + bytes.below(u16::try_from(most - 10_000).unwrap() + 1);
    let isolated = rules.isolation && bytes.once_in(10);
    let mut config = ReserveConfig {
        ltv: Bps(if bytes.once_in(4) { liquidation_threshold } else { bytes.below(liquidation_threshold + 1) }),
        liquidation_threshold: Bps(liquidation_threshold),
        liquidation_bonus: Bps(bonus),
        decimals: bytes.pick(&[18, 6, 8, 18]),
        active: !bytes.once_in(64),
        frozen: bytes.once_in(64),
        paused: bytes.once_in(64),
        borrowing: !bytes.once_in(16),
        stable_borrowing: rules.stable_debt && bytes.once_in(2),
        borrowable_in_isolation: bytes.once_in(2),
        siloed: rules.isolation && bytes.once_in(16),
        flash_loans: false,
        reserve_factor: Bps(bytes.pick(&[0, 1_000, 2_000, 10_000])),
        borrow_cap: u64::from(bytes.once_in(16)) * 500,
        supply_cap: u64::from(bytes.once_in(16)) * 50_000,
        liquidation_protocol_fee: Bps(bytes.pick(&[0, 1_000, 5_000, 10_000])),
        e_mode_category: 0,
        unbacked_mint_cap: 0,
        debt_ceiling: u64::from(isolated) * u64::from(bytes.word()) * 1_000,
        virtual_accounting: rules.virtual_liquidity,
    };
    if taste == Taste::Wild {
        config.liquidation_bonus = Bps(bytes.word());
        config.ltv = Bps(bytes.word());
        config.decimals = bytes.byte();
        config.reserve_factor = Bps(bytes.word());
        config.liquidation_protocol_fee = Bps(bytes.word());
    }
    let rate_model = RateModel {
        // Nowhere zero: the strategy divides by it.
        optimal_usage: Ray(bytes.rate(8_900).0 + Ray::ONE.0 / U256::from(100)),
        base: bytes.rate(500),
        slope_1: bytes.rate(2_000),
        slope_2: bytes.rate(30_000),
        stable_base: bytes.rate(500),
        stable_slope_1: bytes.rate(1_000),
        stable_slope_2: bytes.rate(30_000),
        stable_excess_offset: bytes.rate(1_000),
        optimal_stable_share: bytes.rate(5_000),
    };
    let mut reserve = Reserve::new(config, rate_model);
    reserve.last_update = now;
    // An index of 1 rounds nothing.
    reserve.liquidity_index.0 += bytes.rate(9_999).0 + U256::from(bytes.word());
    reserve.variable_borrow_index.0 += bytes.rate(9_999).0 + U256::from(bytes.word());
    reserve
}

fn decode_e_mode(bytes: &mut Bytes<'_>, pool: &mut Pool, number: u8, taste: Taste) -> EMode {
    let members = bytes.byte();
    let set = |bits: u8| (0..8).filter(|bit| bits >> bit & 1 == 1).map(ReserveId).collect::<ReserveSet>();
    for (bit, reserve) in pool.reserves.iter_mut().enumerate() {
        if members >> bit & 1 == 1 {
            reserve.config.e_mode_category = number;
        }
    }
    let threshold = bytes.pick(&[9_500, 9_700]);
    EMode {
        ltv: Bps(threshold - bytes.below(1_000)),
        liquidation_threshold: Bps(if taste == Taste::Wild { bytes.word() } else { threshold }),
        liquidation_bonus: Bps(10_000 + bytes.below(300)),
        has_price_source: number == 1 && bytes.once_in(4),
        collateral: set(members),
        borrowable: set(bytes.byte() | members),
        ltv_zero: set(bytes.byte() & bytes.byte() & bytes.byte()),
        isolated: bytes.once_in(4),
    }
}
