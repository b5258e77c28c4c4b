//! Positions that somebody saw, each at the price that liquidates it.
//!
//! An isolated position has its own margin and one exact price. Under cross margin the account's equity answers for all its
//! positions, so the price of one coin that liquidates it depends on what the others do meanwhile; [`Others`] says what is supposed of them.
//! An account is liquidated where `equity <= maintenance margin` (Hyperliquid documents, "Liquidations"), equity moving by
//! `side * size` for each dollar of the coin's price, and each position's maintenance by its tier:
//! `notional * rate - deduction`.

use std::fmt;

use protocol::venue::{Side, Tiers};

use super::estimated::place;
use super::grid::Grid;

/// A step of a venue's margin table, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The notional it begins at.
    pub floor: f64,
    /// Maintenance margin for each dollar of notional.
    pub rate: f64,
    /// What is taken off that product.
    pub deduction: f64,
}

/// A coin, as far as its positions' margins go.
#[derive(Debug, Clone, PartialEq)]
pub struct Coin {
    /// Mark price in US dollars.
    pub mark: f64,
    /// Margin steps, from notional 0 on, rising.
    pub steps: Vec<Step>,
}

/// Why a coin is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoinError {
    /// Its mark is no price.
    Mark,
    /// A number of its tiers is out of range.
    Tiers,
}

impl fmt::Display for CoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mark => f.write_str("the mark price is no price"),
            Self::Tiers => f.write_str("a margin tier is out of range"),
        }
    }
}

impl std::error::Error for CoinError {}

impl Coin {
    /// A coin at a mark price under a venue's tiers.
    ///
    /// # Errors
    /// See [`CoinError`].
    pub fn new(mark: f64, tiers: &Tiers) -> Result<Self, CoinError> {
        if !(mark > 0.0 && mark.is_finite()) {
            return Err(CoinError::Mark);
        }
        let steps = tiers
            .rows()
            .iter()
            .map(|tier| {
                Some(Step {
                    floor: f64::try_from(tier.floor).ok()?,
                    rate: f64::try_from(tier.maintenance_margin_rate).ok()?,
                    deduction: f64::try_from(tier.deduction).ok()?,
                })
            })
            .collect::<Option<Vec<_>>>();
        Ok(Self { mark, steps: steps.ok_or(CoinError::Tiers)? })
    }

    /// The step of a notional.
    fn step(&self, notional: f64) -> Step {
        let above = self.steps.partition_point(|step| step.floor <= notional);
        self.steps[above.saturating_sub(1)]
    }

    fn maintenance(&self, notional: f64) -> f64 {
        let step = self.step(notional);
        notional * step.rate - step.deduction
    }
}

/// What secures a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// The account's equity.
    Cross,
    /// So many US dollars of its own, profit and loss at the mark included.
    Isolated(f64),
}

/// A position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Whose: an index into the accounts.
    pub account: usize,
    /// Of what: an index into the coins.
    pub coin: usize,
    /// Which way it gains.
    pub side: Side,
    /// How many coins.
    pub size: f64,
    /// What secures it.
    pub margin: Margin,
}

/// What an account's other positions do while the price of one coin moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay at their marks, as exchanges suppose in the liquidation prices they show.
    AtTheirMarks,
    /// All coins move by the same share.
    MoveAlong,
}

impl Others {
    /// The assumption as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AtTheirMarks => "Under cross margin, an account's other positions stay at their marks.",
            Self::MoveAlong => "Under cross margin, all coins of an account move by the same share.",
        }
    }
}

/// Where a position is liquidated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Liquidation {
    /// At this price of its coin.
    At(f64),
    /// At the mark already.
    Now,
    /// At no price.
    Never,
}

/// The liquidation price of every position, in their order. `equities` are accounts' equities for cross margin in US dollars,
/// at the marks.
///
/// # Panics
/// A position names an account or a coin that is not there.
#[must_use]
pub fn liquidations(equities: &[f64], coins: &[Coin], positions: &[Position], others: Others) -> Vec<Liquidation> {
    let mut crossed: Vec<Vec<usize>> = vec![Vec::new(); equities.len()];
    for (at, position) in positions.iter().enumerate() {
        if position.margin == Margin::Cross {
            crossed[position.account].push(at);
        }
    }
    let maintenance: Vec<f64> = crossed
        .iter()
        .map(|held| {
            held.iter().map(|at| coins[positions[*at].coin].maintenance(notional(coins, &positions[*at]))).sum()
        })
        .collect();
    positions
        .iter()
        .map(|position| {
            let coin = &coins[position.coin];
            match (position.margin, others) {
                (Margin::Isolated(margin), _) => alone(coin, position, margin),
                (Margin::Cross, Others::AtTheirMarks) => {
                    let own = coin.maintenance(notional(coins, position));
                    alone(coin, position, equities[position.account] - (maintenance[position.account] - own))
                }
                (Margin::Cross, Others::MoveAlong) => {
                    let held = crossed[position.account].iter().map(|at| &positions[*at]);
                    together(coins, held, position, equities[position.account])
                }
            }
        })
        .collect()
}

fn notional(coins: &[Coin], position: &Position) -> f64 {
    position.size * coins[position.coin].mark
}

fn sign(side: Side) -> f64 {
    match side {
        Side::Long => 1.0,
        Side::Short => -1.0,
    }
}

/// Where `margin + sign * size * (price - mark) = size * price * rate - deduction`. The left side less the right one runs one
/// way only, so one step's solution at most lies within its own step.
fn alone(coin: &Coin, position: &Position, margin: f64) -> Liquidation {
    let (size, side) = (position.size, sign(position.side));
    if !(size > 0.0) {
        return Liquidation::Never;
    }
    if margin <= coin.maintenance(size * coin.mark) {
        return Liquidation::Now;
    }
    for (at, step) in coin.steps.iter().enumerate() {
        let price = (side * size * coin.mark - margin - step.deduction) / (size * (side - step.rate));
        let next = coin.steps.get(at + 1).map_or(f64::INFINITY, |next| next.floor);
        // A long's equity at a price of zero may still be above its maintenance, which is nothing there.
        if price > 0.0 && size * price >= step.floor && size * price < next {
            return Liquidation::At(price);
        }
    }
    Liquidation::Never
}

/// Where the account is liquidated if all its coins move by the same share, as the price of this position's coin. Of a fall and
/// a rise that would do it, the smaller.
fn together<'a>(
    coins: &[Coin],
    held: impl Iterator<Item = &'a Position>,
    position: &Position,
    equity: f64,
) -> Liquidation {
    let held: Vec<(f64, f64, &Coin)> =
        held.map(|each| (notional(coins, each), sign(each.side), &coins[each.coin])).collect();
    let needed = |by: f64| held.iter().map(|(notional, _, coin)| coin.maintenance(notional * by)).sum::<f64>();
    if equity <= needed(1.0) {
        return Liquidation::Now;
    }
    let delta: f64 = held.iter().map(|(notional, sign, _)| notional * sign).sum();
    // Between the moves at which a position changes its step all is linear.
    let mut edges: Vec<f64> = held
        .iter()
        .flat_map(|(notional, _, coin)| coin.steps.iter().map(move |step| step.floor / notional))
        .chain([0.0])
        .filter(|by| by.is_finite())
        .collect();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let mut nearest: Option<f64> = None;
    for (at, from) in edges.iter().enumerate() {
        let to = edges.get(at + 1).copied();
        // The steps in force are those of a move inside.
        let inside = to.map_or(from + 1.0, |to| from.midpoint(to));
        let (mut slope, mut fixed) = (delta, equity - delta);
        for (notional, _, coin) in &held {
            let step = coin.step(notional * inside);
            slope -= notional * step.rate;
            fixed += step.deduction;
        }
        let by = -fixed / slope;
        let is_inside = by > 0.0 && by >= *from && to.is_none_or(|to| by < to);
        if is_inside && nearest.is_none_or(|nearest| (by - 1.0).abs() < (nearest - 1.0_f64).abs()) {
            nearest = Some(by);
        }
    }
    nearest.map_or(Liquidation::Never, |by| Liquidation::At(by * coins[position.coin].mark))
}

/// One coin's positions by the price that liquidates them. In each pair longs come first.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Coins by cell: those that a fall liquidates, and those that a rise does.
    pub mass: [Vec<f64>; 2],
    /// Coins seen, by side.
    pub seen: [f64; 2],
    /// Of them, with a liquidation price beyond the grid.
    pub beyond: [f64; 2],
    /// Of them, liquidated at the mark already.
    pub now: [f64; 2],
    /// Of them, that no price liquidates.
    pub never: [f64; 2],
    /// Positions seen, by side.
    pub positions: [usize; 2],
    /// Positions that no price liquidates, by side.
    pub never_positions: [usize; 2],
}

impl Measured {
    /// The positions of one coin, each with where it is liquidated.
    pub fn new<'a>(
        grid: &Grid,
        mark: f64,
        positions: impl IntoIterator<Item = (&'a Position, Liquidation)>,
    ) -> Self {
        let none = vec![0.0; grid.len()];
        let mut measured = Self {
            mass: [none.clone(), none],
            seen: [0.0; 2],
            beyond: [0.0; 2],
            now: [0.0; 2],
            never: [0.0; 2],
            positions: [0; 2],
            never_positions: [0; 2],
        };
        for (position, liquidation) in positions {
            let side = place(position.side);
            measured.seen[side] += position.size;
            measured.positions[side] += 1;
            match liquidation {
                Liquidation::At(price) => match grid.cell(price) {
                    // Moving along, a long may be liquidated by a rise, through the account's shorts.
                    Some(cell) => measured.mass[usize::from(price > mark)][cell] += position.size,
                    None => measured.beyond[side] += position.size,
                },
                Liquidation::Now => measured.now[side] += position.size,
                Liquidation::Never => {
                    measured.never[side] += position.size;
                    measured.never_positions[side] += 1;
                }
            }
        }
        measured
    }

    /// The share of one-sided open interest that was seen, by side; none where that is not known.
    #[must_use]
    pub fn coverage(&self, open_interest: f64) -> Option<[f64; 2]> {
        (open_interest > 0.0).then(|| self.seen.map(|seen| seen / open_interest))
    }
}
