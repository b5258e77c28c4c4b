//! The price at which an account becomes liquidatable, to the last unit of its oracle price.
//!
//! A [`Path`] says which prices move, and in which steps; [`trigger`] finds the *first* step at which the health factor
//! of [`account_data`](super::account::account_data) is below 1. Prices are integers in base currency, so the answer is
//! one of them and not an approximation.
//!
//! Along a path every price moves one way, so every value of collateral moves that way and so does every debt, each
//! rounded by itself. The health factor does not: to 3.4 it contains the floored average threshold, which jumps, and if
//! collateral and debt move together, or values are small, rounding alone can make it go up and down. So the search
//! bisects the steps and drops a part only where a proof holds for all of it:
//!
//! * by its corner: the least collateral of the part (at one end) covers the most debt (at the other). Where only
//!   collateral or only debt moves and the average threshold does not change, this is as sharp as the health factor
//!   itself, and the search a plain bisection;
//! * by its chord: without rounding, values are linear in the step, so collateral that covers debt at both ends, with
//!   room for all roundings in between, covers it throughout. This is what keeps the search short where collateral and
//!   debt move together.
//!
//! To 3.4 both need the least average threshold in the part. The floored average is at least `c` exactly where
//! `sum(value * (threshold - c)) >= 0`, which is linear in the values and is bounded by its corner and its chord in the
//! same way; it is tried for the lower of the two averages at the ends, which is exact while they do not differ or only
//! one collateral moves.
//!
//! What no proof covers is looked at step by step. That can be long only if the health factor stays within rounding of
//! 1 over many steps; after 65,536 values the search says so with [`Trigger::Between`].

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};

use super::account::{Account, Block, LIQUIDATION_HEALTH_FACTOR, Quote, Sums, category_of, counts_as_collateral};
use super::config::{CollateralTerms, EMode, ReserveId};
use super::math::{
    Bps, Checked, MathError, Rounding, add, div, mul, percent_mul_half_up, reference, sub, unit, value, wad_div_half_up,
};
use super::pool::Pool;
use super::reserve::Reserve;
use super::revision::{Revision, Rules};

/// How many times an account is valued before the search gives up.
const MOST_VALUATIONS: u32 = 65_536;

/// `2 * 10^18`.
const TWO_WADS: U256 = U256::from_limbs([2_000_000_000_000_000_000, 0, 0, 0]);
/// `10^4`.
const PERCENT: U256 = U256::from_limbs([10_000, 0, 0, 0]);
/// 1.
const ONE: U256 = U256::from_limbs([1, 0, 0, 0]);

/// A price that can move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feed {
    /// The price of one reserve, in [`Block::prices`].
    Reserve(ReserveId),
    /// The price that a category brings for its reserves (3.0, 3.1), in [`Block::e_mode_prices`].
    Category(u8),
}

impl Feed {
    /// Today's price of one whole token, in base currency.
    ///
    /// # Errors
    /// There is none.
    pub fn price(self, block: &Block) -> Checked<U256> {
        match self {
            Self::Reserve(id) => block.price(id),
            Self::Category(number) => {
                let price = block.e_mode_prices.get(&number).filter(|price| !price.is_zero());
                price.copied().ok_or(MathError::DivisionByZero)
            }
        }
    }
}

/// Which way prices move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// They fall.
    Down,
    /// They rise.
    Up,
}

/// How prices move from today's, step by step. Step 0 is today. A path ends before a price would be zero: the oracle
/// has no such price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path {
    /// One price, by one smallest unit of base currency a step, to this price and including it.
    Price {
        /// Which price.
        feed: Feed,
        /// Where it ends, in base currency; zero is read as one.
        to: U256,
    },
    /// Several prices by the same factor: at step `k` each is `floor(today * (resolution -+ k) / resolution)`.
    Factor {
        /// Which prices.
        feeds: Vec<Feed>,
        /// Up or down.
        direction: Direction,
        /// How many steps make today's price, such as 10,000 for basis points; not zero.
        resolution: U256,
        /// The last step, and it is included.
        steps: U256,
    },
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number: how many units of base currency, or how many times `1 / resolution`, away from today.
    pub number: U256,
    /// The prices that move, as they are there, in base currency.
    pub prices: BTreeMap<Feed, U256>,
}

/// Where an account becomes liquidatable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trigger {
    /// At today's prices.
    Already,
    /// Here, and nowhere on the path before.
    At(Step),
    /// Nowhere on the path.
    Never,
    /// The health factor stays within rounding of 1 for so long that the search was given up.
    Between {
        /// Nowhere on the path up to here, and including it.
        after: Step,
        /// The account is liquidatable here, though perhaps not for the first time.
        by: Option<Step>,
    },
}

/// One account in its pool, at one block.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The code the pool runs.
    pub revision: Revision,
    /// The pool's reserves, by number.
    pub reserves: &'a [Reserve],
    /// The pool's e-mode categories, by number.
    pub e_modes: &'a BTreeMap<u8, EMode>,
    /// The account.
    pub account: &'a Account,
    /// Time and prices today.
    pub block: &'a Block,
}

impl<'a> Subject<'a> {
    /// An account of a pool, if the pool knows it.
    #[must_use]
    pub fn of(pool: &'a Pool, user: Address, block: &'a Block) -> Option<Self> {
        let account = pool.accounts.get(&user)?;
        Some(Self { revision: pool.revision, reserves: &pool.reserves, e_modes: &pool.e_modes, account, block })
    }

    /// What prices a reserve for this account: its own price, or that of the account's category.
    #[must_use]
    pub fn feed(&self, id: ReserveId) -> Feed {
        let category = category_of(self.revision.rules(), self.e_modes, self.account.e_mode);
        let config = self.reserves.get(usize::from(id.0)).map(|reserve| reserve.config);
        match (category, config) {
            (Some((number, category)), Some(config))
                if category.has_price_source
                    && config.e_mode_category == number
                    && Feed::Category(number).price(self.block).is_ok() =>
            {
                Feed::Category(number)
            }
            _ => Feed::Reserve(id),
        }
    }
}

impl Path {
    /// The block with the prices of one step.
    ///
    /// # Errors
    /// A price of the path is missing today, or leaves its range at this step.
    pub fn block(&self, block: &Block, step: U256) -> Checked<Block> {
        let mut moved = block.clone();
        for (feed, price) in self.prices(block, step)? {
            match feed {
                Feed::Reserve(id) => {
                    let slot = moved.prices.get_mut(usize::from(id.0)).ok_or(MathError::DivisionByZero)?;
                    *slot = price;
                }
                Feed::Category(number) => drop(moved.e_mode_prices.insert(number, price)),
            }
        }
        Ok(moved)
    }

    fn feeds(&self) -> &[Feed] {
        match self {
            Self::Price { feed, .. } => std::slice::from_ref(feed),
            Self::Factor { feeds, .. } => feeds,
        }
    }

    fn prices(&self, block: &Block, step: U256) -> Checked<BTreeMap<Feed, U256>> {
        let moving = |feed: &Feed| {
            let today = feed.price(block)?;
            Ok((*feed, self.track(today).price(today, step)?))
        };
        self.feeds().iter().map(moving).collect()
    }

    /// How a price of the path moves that is `today` now.
    fn track(&self, today: U256) -> Track {
        match self {
            Self::Price { to, .. } if *to < today => Track { direction: Direction::Down, resolution: None },
            Self::Price { .. } => Track { direction: Direction::Up, resolution: None },
            Self::Factor { direction, resolution, .. } => {
                Track { direction: *direction, resolution: Some(*resolution) }
            }
        }
    }

    /// The last step at which every price that moves is at least one unit.
    fn last_step(&self, block: &Block) -> Checked<U256> {
        match self {
            Self::Price { feed, to } => Ok(feed.price(block)?.abs_diff((*to).max(ONE))),
            Self::Factor { direction: Direction::Up, steps, .. } => Ok(*steps),
            Self::Factor { feeds, direction: Direction::Down, resolution, steps } => {
                feeds.iter().try_fold(*steps, |steps, feed| {
                    // floor(price * (n - k) / n) >= 1 as long as k <= n - ceil(n / price).
                    let least = reference::mul_div(*resolution, ONE, feed.price(block)?, Rounding::Ceil)?;
                    Ok(steps.min(sub(*resolution, least)?))
                })
            }
        }
    }
}

/// How one price moves.
#[derive(Debug, Clone, Copy)]
struct Track {
    direction: Direction,
    /// Steps to today's price; without it a step is one unit.
    resolution: Option<U256>,
}

impl Track {
    fn price(self, today: U256, step: U256) -> Checked<U256> {
        let from = self.resolution.unwrap_or(today);
        let there = match self.direction {
            Direction::Down => sub(from, step)?,
            Direction::Up => add(from, step)?,
        };
        match self.resolution {
            None => Ok(there),
            Some(resolution) => div(mul(today, there)?, resolution),
        }
    }
}

/// An amount at a price that moves.
struct Moving {
    /// In the token's smallest unit.
    amount: U256,
    decimals: u8,
    /// Today's price.
    today: U256,
    /// By how much its rounded value can lie below, or above, the line that it follows: what flooring the price takes
    /// away and what rounding the value does, in base currency.
    slack: U256,
}

impl Moving {
    fn new(amount: U256, quote: &Quote, track: Track) -> Checked<Self> {
        let floored_price = match track.resolution {
            None => U256::ZERO,
            Some(_) => reference::mul_div(amount, ONE, unit(quote.decimals)?, Rounding::Ceil)?,
        };
        let slack = add(floored_price, ONE)?;
        Ok(Self { amount, decimals: quote.decimals, today: quote.price, slack })
    }

    fn value(&self, track: Track, step: U256, rounding: Rounding) -> Checked<U256> {
        value(self.amount, track.price(self.today, step)?, self.decimals, rounding)
    }
}

/// An account with some of its prices on the move.
struct Motion {
    rules: &'static Rules,
    track: Track,
    /// What does not move.
    still: Sums,
    collateral: Vec<(Moving, CollateralTerms)>,
    debt: Vec<Moving>,
    /// By how much the moving collateral can lie below its chord, in base currency.
    collateral_slack: U256,
    /// The same times threshold in basis points.
    threshold_slack: U256,
    /// By how much the moving debt can lie above its chord.
    debt_slack: U256,
}

/// The account at one step.
struct Point {
    step: U256,
    /// Of each moving collateral.
    values: Vec<U256>,
    sums: Sums,
    average: U256,
    liquidatable: bool,
}

/// Finds the first step of a path at which an account is liquidatable, whatever the sentinel and grace periods say.
///
/// # Errors
/// The contract reverts at a step that is looked at: a product leaves 256 bits, which a path that ends at a sensible
/// price does not reach, or a price is missing.
pub fn trigger(subject: &Subject<'_>, path: &Path) -> Checked<Trigger> {
    let last = path.last_step(subject.block)?;
    let motion = Motion::new(subject, path)?;
    let step = |number: U256| Ok(Step { number, prices: path.prices(subject.block, number)? });
    let mut budget = MOST_VALUATIONS;
    let mut left = motion.point(U256::ZERO)?;
    if left.liquidatable {
        return Ok(Trigger::Already);
    }
    if last.is_zero() || (motion.collateral.is_empty() && motion.debt.is_empty()) {
        return Ok(Trigger::Never);
    }
    // Everything up to `left` is healthy; what is to be searched are the parts up to each of these, nearest last.
    let mut ahead = vec![motion.point(last)?];
    while let Some(right) = ahead.last() {
        let width = sub(right.step, left.step)?;
        if right.liquidatable && width == ONE {
            return step(right.step).map(Trigger::At);
        }
        if !right.liquidatable && (width <= ONE || motion.stays_healthy(&left, right)) {
            left = ahead.pop().unwrap_or(left);
            continue;
        }
        if budget == 0 {
            let by = ahead.iter().rev().find(|point| point.liquidatable).map(|point| step(point.step)).transpose()?;
            return Ok(Trigger::Between { after: step(left.step)?, by });
        }
        budget = budget.saturating_sub(1);
        ahead.push(motion.point(add(left.step, width.wrapping_shr(1))?)?);
    }
    Ok(Trigger::Never)
}

impl Motion {
    fn new(subject: &Subject<'_>, path: &Path) -> Checked<Self> {
        let Subject { revision, reserves, e_modes, account, block } = *subject;
        let rules = revision.rules();
        let category = category_of(rules, e_modes, account.e_mode);
        let mut motion = Self {
            rules,
            track: Track { direction: Direction::Up, resolution: None },
            still: Sums::NONE,
            collateral: Vec::new(),
            debt: Vec::new(),
            collateral_slack: U256::ZERO,
            threshold_slack: U256::ZERO,
            debt_slack: U256::ZERO,
        };
        for id in account.flags.reserves() {
            let Some(reserve) = reserves.get(usize::from(id.0)) else {
                continue;
            };
            let quote = Quote::of(rules, id, reserve, category, block)?;
            let moves = path.feeds().contains(&subject.feed(id));
            if moves {
                motion.track = path.track(quote.price);
            }
            let position = account.position(id);
            if account.flags.is_collateral(id) && counts_as_collateral(rules, reserve) {
                motion.add_collateral(&quote, position.supplied, moves)?;
            }
            if account.flags.is_borrowing(id) {
                let stable = position.stable.balance(rules, block.now)?;
                motion.add_debt(&quote, position.borrowed, stable, moves)?;
            }
        }
        Ok(motion)
    }

    fn add_collateral(&mut self, quote: &Quote, scaled: U256, moves: bool) -> Checked<()> {
        if !moves {
            return self.still.add_collateral(&quote.terms, quote.collateral_value(self.rules, scaled)?);
        }
        let amount = self.rules.scaling.supply_balance(scaled, quote.income)?;
        let moving = Moving::new(amount, quote, self.track)?;
        self.collateral_slack = add(self.collateral_slack, moving.slack)?;
        let weighed = mul(moving.slack, quote.terms.liquidation_threshold.wide())?;
        self.threshold_slack = add(self.threshold_slack, weighed)?;
        self.collateral.push((moving, quote.terms));
        Ok(())
    }

    fn add_debt(&mut self, quote: &Quote, scaled: U256, stable: U256, moves: bool) -> Checked<()> {
        if !moves {
            self.still.debt = add(self.still.debt, quote.debt_value(self.rules, scaled, stable)?)?;
            return Ok(());
        }
        let amount = add(self.rules.scaling.debt_balance(scaled, quote.debt)?, stable)?;
        let moving = Moving::new(amount, quote, self.track)?;
        self.debt_slack = add(self.debt_slack, moving.slack)?;
        self.debt.push(moving);
        Ok(())
    }

    /// Values the account at one step, as the contract does.
    fn point(&self, step: U256) -> Checked<Point> {
        let mut sums = self.still;
        let mut values = Vec::with_capacity(self.collateral.len());
        for (moving, terms) in &self.collateral {
            let value = moving.value(self.track, step, Rounding::Floor)?;
            sums.add_collateral(terms, value)?;
            values.push(value);
        }
        for moving in &self.debt {
            sums.debt = add(sums.debt, moving.value(self.track, step, self.rules.debt_value)?)?;
        }
        let data = sums.finish(self.rules)?;
        let average = data.liquidation_threshold.wide();
        Ok(Point { step, values, sums, average, liquidatable: data.is_liquidatable() })
    }

    /// Whether there is a proof that the account is healthy at every step between two at which it is. Bounds that leave
    /// 256 bits prove nothing.
    fn stays_healthy(&self, left: &Point, right: &Point) -> bool {
        // All values move one way: at one end everything is at its least, at the other at its most.
        let (low, high) = match self.track.direction {
            Direction::Down => (right, left),
            Direction::Up => (left, right),
        };
        if high.sums.debt.is_zero() {
            return true;
        }
        if self.rules.unaveraged_health {
            return self.sum_covers_corner(low, high).unwrap_or(false)
                || self.sum_covers_chord(low, high).unwrap_or(false);
        }
        let Some(average) = self.least_average(low, high) else {
            return false;
        };
        corner_covers(low, high, average).unwrap_or(false)
            || self.chord_covers(low, high, average).unwrap_or(false)
            || self.chord_covers_any_average(low, high).unwrap_or(false)
    }

    /// 3.5+: the least collateral against the most debt.
    fn sum_covers_corner(&self, low: &Point, high: &Point) -> Checked<bool> {
        let mut corner = low.sums;
        corner.debt = high.sums.debt;
        Ok(!corner.finish(self.rules)?.is_liquidatable())
    }

    /// 3.5+: `floor((T * 10^18 + floor(D / 2)) / D) >= 10^22` follows from `2 * 10^18 * T >= (2 * 10^22 - 1) * D + 1`,
    /// which is linear, so that it holds on the chord if it holds at both ends.
    fn sum_covers_chord(&self, low: &Point, high: &Point) -> Checked<bool> {
        let per_debt = sub(mul(TWO_WADS, PERCENT)?, ONE)?;
        for end in [low, high] {
            let Some(least) = end.sums.by_threshold.checked_sub(self.threshold_slack) else {
                return Ok(false);
            };
            let needed = add(mul(add(end.sums.debt, self.debt_slack)?, per_debt)?, ONE)?;
            if mul(TWO_WADS, least)? < needed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// To 3.4: a floored average threshold that no step between two falls below, in basis points.
    fn least_average(&self, low: &Point, high: &Point) -> Option<U256> {
        let lower = low.average.min(high.average);
        for candidate in [lower, lower.saturating_sub(ONE)] {
            if self.average_corner(low, high, candidate).unwrap_or(false)
                || self.average_chord(low, high, candidate).unwrap_or(false)
            {
                return Some(candidate);
            }
        }
        // No collateral at all has an average of zero.
        Some(low.sums.by_threshold.checked_div(high.sums.collateral).unwrap_or(U256::ZERO))
    }

    /// Whether what lies above the average, at its least, outweighs what lies below it, at its most.
    fn average_corner(&self, low: &Point, high: &Point, average: U256) -> Checked<bool> {
        if low.sums.collateral.is_zero() {
            return Ok(average.is_zero());
        }
        let mut above = self.still.by_threshold;
        let mut below = mul(self.still.collateral, average)?;
        for ((_, terms), (least, most)) in self.collateral.iter().zip(low.values.iter().zip(&high.values)) {
            let threshold = terms.liquidation_threshold.wide();
            match threshold.checked_sub(average) {
                Some(excess) => above = add(above, mul(*least, excess)?)?,
                None => below = add(below, mul(*most, sub(average, threshold)?)?)?,
            }
        }
        Ok(above >= below)
    }

    /// Whether the average is exceeded at both ends with room for all roundings in between.
    fn average_chord(&self, low: &Point, high: &Point, average: U256) -> Checked<bool> {
        let mut room = U256::ZERO;
        for (moving, terms) in &self.collateral {
            let away = terms.liquidation_threshold.wide().abs_diff(average);
            room = add(room, mul(moving.slack, away)?)?;
        }
        for end in [low, high] {
            if end.sums.collateral.is_zero() || end.sums.by_threshold < add(mul(end.sums.collateral, average)?, room)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// To 3.4, for an average threshold of at least `average`: the chord of the collateral covers that of the debt.
    fn chord_covers(&self, low: &Point, high: &Point, average: U256) -> Checked<bool> {
        for end in [low, high] {
            let Some(least) = end.sums.collateral.checked_sub(self.collateral_slack) else {
                return Ok(false);
            };
            if !self.weighed_covers(mul(least, average)?, end.sums.debt)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// To 3.4, where the average threshold changes on the way: `C * floor(T / C) >= T - C`, which is linear.
    fn chord_covers_any_average(&self, low: &Point, high: &Point) -> Checked<bool> {
        let slack = add(self.threshold_slack, self.collateral_slack)?;
        for end in [low, high] {
            let Some(least) = end.sums.by_threshold.checked_sub(add(end.sums.collateral, slack)?) else {
                return Ok(false);
            };
            if !self.weighed_covers(least, end.sums.debt)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// With `P >= W / 10^4 - 1 / 2`, `floor((P * 10^18 + floor(D / 2)) / D) >= 10^18` follows from
    /// `2 * 10^18 * W >= 10^4 * ((2 * 10^18 - 1) * D + 1 + 10^18)`, with the most that the debt can be.
    fn weighed_covers(&self, weighed: U256, debt: U256) -> Checked<bool> {
        let per_debt = sub(TWO_WADS, ONE)?;
        let most = mul(add(debt, self.debt_slack)?, per_debt)?;
        let needed = mul(PERCENT, add(most, add(ONE, LIQUIDATION_HEALTH_FACTOR.0)?)?)?;
        Ok(mul(TWO_WADS, weighed)? >= needed)
    }
}

/// To 3.4: the least collateral at the least average threshold against the most debt.
fn corner_covers(low: &Point, high: &Point, average: U256) -> Checked<bool> {
    let average = u16::try_from(average).map(Bps).map_err(|_| MathError::Overflow)?;
    let weighed = percent_mul_half_up(low.sums.collateral, average)?;
    Ok(wad_div_half_up(weighed, high.sums.debt)? >= LIQUIDATION_HEALTH_FACTOR.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::account::{Position, account_data};
    use super::super::config::{ReserveConfig, ReserveSet};
    use super::super::math::{Ray, Wad};
    use super::super::rates::RateModel;
    use super::super::reserve::StableDebt;
    use super::*;

    fn wide(value: u64) -> U256 {
        U256::from(value)
    }

    /// A reserve, its price, and the account's supply and debt in it.
    #[derive(Debug, Clone)]
    struct Row {
        threshold: u16,
        decimals: u8,
        price: u64,
        supplied: u64,
        borrowed: u64,
        stable: u64,
        in_category: bool,
        index: u64,
    }

    #[derive(Debug)]
    struct World {
        revision: Revision,
        reserves: Vec<Reserve>,
        e_modes: BTreeMap<u8, EMode>,
        account: Account,
        block: Block,
    }

    impl World {
        fn subject(&self) -> Subject<'_> {
            Subject {
                revision: self.revision,
                reserves: &self.reserves,
                e_modes: &self.e_modes,
                account: &self.account,
                block: &self.block,
            }
        }

        fn is_liquidatable(&self, path: &Path, step: u64) -> Checked<bool> {
            let block = path.block(&self.block, wide(step))?;
            account_data(self.revision, &self.reserves, &self.e_modes, &self.account, &block)
                .map(|data| data.is_liquidatable())
        }
    }

    fn world(revision: Revision, rows: &[Row], e_mode: u8, category: (u16, Option<u64>)) -> World {
        let mut account = Account { e_mode, ..Account::default() };
        let mut block = Block { now: 1_000, ..Block::default() };
        let mut reserves = Vec::new();
        for (id, row) in (0_u8..).map(ReserveId).zip(rows) {
            let config = ReserveConfig {
                ltv: Bps(row.threshold / 2),
                liquidation_threshold: Bps(row.threshold),
                liquidation_bonus: Bps(10_500),
                decimals: row.decimals,
                active: true,
                e_mode_category: u8::from(row.in_category),
                ..ReserveConfig::default()
            };
            let index = Ray(Ray::ONE.0 + Ray::ONE.0 * wide(row.index) / wide(1_000));
            reserves.push(Reserve {
                last_update: 1_000,
                liquidity_index: index,
                variable_borrow_index: index,
                ..Reserve::new(config, RateModel::default())
            });
            block.prices.push(wide(row.price));
            let stable = StableDebt {
                principal: wide(if revision.rules().stable_debt { row.stable } else { 0 }),
                rate: Ray::ZERO,
                since: 1_000,
            };
            account.flags.set_collateral(id, row.supplied > 0);
            account.flags.set_borrowing(id, row.borrowed > 0);
            let position =
                Position { supplied: wide(row.supplied), borrowed: wide(row.borrowed), stable, ..Position::default() };
            account.positions.insert(id, position);
        }
        let members: ReserveSet =
            (0_u8..).map(ReserveId).zip(rows).filter(|(_, row)| row.in_category).map(|(id, _)| id).collect();
        let emode = EMode {
            ltv: Bps(category.0 / 2),
            liquidation_threshold: Bps(category.0),
            liquidation_bonus: Bps(10_100),
            has_price_source: category.1.is_some(),
            collateral: members,
            ..EMode::default()
        };
        block.e_mode_prices.extend(category.1.map(|price| (1, wide(price))));
        World { revision, reserves, e_modes: [(1, emode)].into(), account, block }
    }

    fn row() -> impl Strategy<Value = Row> {
        (
            prop_oneof![1 => Just(0_u16), 9 => 1_u16..10_000],
            0_u8..4,
            1_u64..700,
            prop_oneof![1 => Just(0_u64), 2 => 1_u64..50_000, 1 => 1_u64..200],
            prop_oneof![2 => Just(0_u64), 1 => 1_u64..20_000, 1 => 1_u64..100],
            prop_oneof![3 => Just(0_u64), 1 => 1_u64..100],
            any::<bool>(),
            0_u64..2_000,
        )
            .prop_map(|(threshold, decimals, price, supplied, borrowed, stable, in_category, index)| Row {
                threshold,
                decimals,
                price,
                supplied,
                borrowed,
                stable,
                in_category,
                index,
            })
    }

    fn small_world() -> impl Strategy<Value = World> {
        let revision = prop::sample::select(Revision::ALL.to_vec());
        let rows = prop::collection::vec(row(), 1..5);
        let category = (1_u16..10_000, prop::option::of(0_u64..700));
        // How far above its threshold the account starts, so that most paths cross it.
        (revision, rows, 0_u8..2, category, 100_u64..180).prop_map(|(revision, mut rows, e_mode, category, percent)| {
            let near = world(revision, &rows, e_mode, category);
            let data = near.subject();
            let health = account_data(data.revision, data.reserves, data.e_modes, data.account, data.block)
                .unwrap()
                .health_factor;
            if health.0 < U256::MAX / wide(1_000_000) {
                for row in rows.iter_mut().filter(|row| row.borrowed > 0) {
                    let scaled = wide(row.borrowed) * health.0 * wide(100) / (Wad::ONE.0 * wide(percent));
                    row.borrowed = u64::try_from(scaled).unwrap_or(row.borrowed).clamp(1, 1 << 40);
                }
            }
            world(revision, &rows, e_mode, category)
        })
    }

    /// Looks at every step.
    fn by_brute_force(world: &World, path: &Path) -> Option<u64> {
        let last = u64::try_from(path.last_step(&world.block).unwrap()).unwrap();
        (0..=last).find(|step| world.is_liquidatable(path, *step).unwrap())
    }

    fn check(world: &World, path: &Path) -> Result<Option<u64>, TestCaseError> {
        let expected = by_brute_force(world, path);
        let found = trigger(&world.subject(), path).unwrap();
        match (&found, expected) {
            (Trigger::Already, Some(0)) | (Trigger::Never, None) => {}
            (Trigger::At(step), Some(expected)) => {
                prop_assert_eq!(step.number, wide(expected));
                for (feed, price) in &step.prices {
                    prop_assert_eq!(feed.price(&path.block(&world.block, step.number).unwrap()), Ok(*price));
                }
            }
            _ => prop_assert!(false, "{:?} instead of {:?}", found, expected),
        }
        Ok(expected)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        /// Every price, every direction: the first step is the one that looking at every step finds.
        #[test]
        fn one_price_triggers_where_every_price_was_looked_at(world in small_world()) {
            let subject = world.subject();
            for id in (0..4).map(ReserveId).take(world.reserves.len()) {
                let feed = subject.feed(id);
                for to in [0_u64, 900] {
                    check(&world, &Path::Price { feed, to: wide(to) })?;
                }
            }
        }

        /// Several prices by one factor, with collateral and debt among them.
        #[test]
        fn a_group_triggers_where_every_step_was_looked_at(
            world in small_world(), resolution in 1_u64..3_000, which in 1_u8..16, up in any::<bool>(),
        ) {
            let subject = world.subject();
            let ids = (0..4).map(ReserveId).take(world.reserves.len()).filter(|id| which >> id.0 & 1 == 1);
            let feeds: Vec<Feed> = ids.map(|id| subject.feed(id)).collect();
            let (direction, steps) = if up { (Direction::Up, 2_000) } else { (Direction::Down, resolution) };
            check(&world, &Path::Factor { feeds, direction, resolution: wide(resolution), steps: wide(steps) })?;
        }
    }

    fn ether(amount: u64) -> U256 {
        wide(amount) * U256::from(10).pow(U256::from(15))
    }

    /// Prices with 18 decimals: 10^17 steps to zero, found in a few thousand valuations at most, and exactly: the step
    /// before is healthy, and so is every one of the thousand before it.
    #[test]
    fn prices_of_eighteen_decimals_are_no_harder() {
        for revision in Revision::ALL {
            for (thresholds, debt) in [((8_000, 8_000), 70_000), ((8_250, 7_700), 65_000), ((9_300, 4_100), 44_321)] {
                let row = |threshold, supplied, borrowed| Row {
                    threshold,
                    decimals: 18,
                    price: 0,
                    supplied,
                    borrowed,
                    stable: 0,
                    in_category: false,
                    index: 77,
                };
                let rows = [row(thresholds.0, 1, 0), row(thresholds.1, 1, 0), row(0, 0, 1)];
                let mut world = world(revision, &rows, 0, (1, None));
                let amounts = [ether(100_003), ether(700), ether(debt)];
                world.block.prices = vec![ether(489) + wide(12_345), ether(61_234) + wide(7), ether(999) + wide(1)];
                for (id, amount) in (0..).map(ReserveId).zip(amounts) {
                    let position = world.account.positions.get_mut(&id).unwrap();
                    if id.0 == 2 { position.borrowed = amount } else { position.supplied = amount }
                }
                for (id, to) in [(0, U256::ZERO), (1, U256::ZERO), (2, ether(5_000_000))] {
                    let path = Path::Price { feed: Feed::Reserve(ReserveId(id)), to };
                    let found = trigger(&world.subject(), &path).unwrap();
                    match found {
                        Trigger::At(Step { number, .. }) => {
                            for back in 0..1_000_u64 {
                                let block = path.block(&world.block, number - wide(back)).unwrap();
                                let data =
                                    account_data(revision, &world.reserves, &world.e_modes, &world.account, &block)
                                        .unwrap();
                                assert_eq!(data.is_liquidatable(), back == 0, "{revision:?} {id} {back}");
                            }
                        }
                        Trigger::Already | Trigger::Never => {}
                        Trigger::Between { .. } => panic!("{revision:?} {id} was given up"),
                    }
                }
            }
        }
    }
}
