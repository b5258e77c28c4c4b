//! What an estimate must beat: methods that need less, or that others publish, restated.
//!
//! * [`uniform`]: the same mass at every level.
//! * [`nearest`]: most on the levels nearest to the price, falling as one over the distance.
//! * [`naive`]: everything open was opened at today's price, and is liquidated `1 / leverage` away from it.
//! * [`Walk`]: the method of the open peers. It seeds each candle's turnover at three anchors of the candle and four leverages,
//!   lets it fade, and clears what the price crosses. It knows open interest as a multiplier alone, no maintenance margin,
//!   and no closings but the fading.

use protocol::venue::Side;

use super::estimated::{Candle, place};
use super::grid::Grid;

/// The leverages of the naive method, with equal shares.
pub const EQUAL: [(f64, f64); 5] = [(5.0, 0.2), (10.0, 0.2), (25.0, 0.2), (50.0, 0.2), (100.0, 0.2)];

/// The leverages of open peers, with the split of each candle's turnover over them.
pub const PEERS: [(f64, f64); 4] = [(10.0, 0.35), (25.0, 0.30), (50.0, 0.20), (100.0, 0.15)];

/// The anchors: close, high and low, with their weights.
const ANCHORS: [f64; 3] = [0.45, 0.275, 0.275];

/// What a wick leaves of a level that it crossed and the body did not.
const AFTER_WICK: f64 = 0.5;

/// What one candle leaves of the levels before it. Peers differ in it and state none; this is a half-life of 139 candles.
const FADE: f64 = 0.995;

/// One on every cell of a side.
#[must_use]
pub fn uniform(grid: &Grid, mark: f64, side: Side) -> Vec<f64> {
    let below = grid.below(mark);
    (0..grid.len()).map(|cell| if (cell < below) == (side == Side::Long) { 1.0 } else { 0.0 }).collect()
}

/// One over the distance from the mark, in logarithms and a cell more, on every cell of a side: without the one more, what a range holds
/// would be how near the middle of its first cell happens to be.
#[must_use]
pub fn nearest(grid: &Grid, mark: f64, side: Side) -> Vec<f64> {
    let log_mark = mark.ln();
    let weight = |cell: usize| 1.0 / ((grid.log_middle(cell) - log_mark).abs() + grid.step());
    let on_side = uniform(grid, mark, side).into_iter().enumerate();
    on_side.map(|(cell, is_on)| if is_on > 0.0 { weight(cell) } else { 0.0 }).collect()
}

/// Shares of leverages at `mark * (1 -+ 1 / leverage)`.
#[must_use]
pub fn naive(grid: &Grid, mark: f64, side: Side, leverages: &[(f64, f64)]) -> Vec<f64> {
    let mut mass = vec![0.0; grid.len()];
    for (leverage, share) in leverages {
        if let Some(cell) = grid.cell(mark * ratio(side, *leverage)) {
            mass[cell] += share;
        }
    }
    mass
}

fn ratio(side: Side, leverage: f64) -> f64 {
    match side {
        Side::Long => 1.0 - 1.0 / leverage,
        Side::Short => 1.0 + 1.0 / leverage,
    }
}

/// The walk of open peers over candles.
#[derive(Debug, Clone)]
pub struct Walk {
    grid: Grid,
    mass: [Vec<f64>; 2],
    open_interest: Option<f64>,
}

impl Walk {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(grid: Grid) -> Self {
        let none = vec![0.0; grid.len()];
        Self { grid, mass: [none.clone(), none], open_interest: None }
    }

    /// Fades, clears and seeds. Prices are taken to be prices: a [`Model`](super::estimated::Model) that took the candle saw to it.
    pub fn apply(&mut self, candle: &Candle) {
        self.mass.iter_mut().flatten().for_each(|mass| *mass *= FADE);
        self.clear(candle);
        let before = self.open_interest.or(candle.open_interest);
        let growth = match (before, candle.open_interest) {
            (Some(before), Some(now)) if before > 0.0 => ((now - before) / before).max(0.0),
            _ => 0.0,
        };
        self.open_interest = candle.open_interest.or(before);
        let Some(turnover) = candle.turnover else { return };
        let seeded = turnover / candle.close * (1.0 + 8.0 * growth).clamp(1.0, 3.0);
        for side in [Side::Long, Side::Short] {
            for (anchor, weight) in [candle.close, candle.high, candle.low].into_iter().zip(ANCHORS) {
                for (leverage, share) in PEERS {
                    if let Some(cell) = self.grid.cell(anchor * ratio(side, leverage)) {
                        self.mass[place(side)][cell] += seeded * weight * share;
                    }
                }
            }
        }
    }

    fn clear(&mut self, candle: &Candle) {
        let (body_low, body_high) = (candle.open.min(candle.close), candle.open.max(candle.close));
        let [longs, shorts] = &mut self.mass;
        let (wick, body) = (self.grid.below(candle.low), self.grid.below(body_low));
        longs[body..].fill(0.0);
        longs[wick..body].iter_mut().for_each(|mass| *mass *= AFTER_WICK);
        let (body, wick) = (self.grid.up_to(body_high), self.grid.up_to(candle.high));
        shorts[..body].fill(0.0);
        shorts[body..wick].iter_mut().for_each(|mass| *mass *= AFTER_WICK);
    }

    /// Mass by cell on a side. Its unit is turnover: only its shape means something until it is scaled.
    #[must_use]
    pub fn mass(&self, side: Side) -> &[f64] {
        &self.mass[place(side)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candle(low: f64, open: f64, close: f64, high: f64, open_interest: f64) -> Candle {
        let turnover = Some(100.0 * close);
        Candle { time: 0, open, high, low, close, turnover, taker_buy: None, open_interest: Some(open_interest) }
    }

    #[test]
    fn the_walk_seeds_clears_and_keeps_half_of_what_a_wick_crossed() {
        let grid = Grid::new(50.0, 200.0, 2_000).unwrap();
        let mut walk = Walk::new(grid.clone());
        walk.apply(&candle(100.0, 100.0, 100.0, 100.0, 10.0));
        // 100 coins, once, on each side.
        for side in [Side::Long, Side::Short] {
            assert!((walk.mass(side).iter().sum::<f64>() - 100.0).abs() < 1e-9);
        }
        let at = |walk: &Walk, price: f64| walk.mass(Side::Long)[grid.cell(price).unwrap()];
        assert!((at(&walk, 90.0) - 35.0).abs() < 1e-9 && (at(&walk, 99.0) - 15.0).abs() < 1e-9);
        // A body to 97.5 clears 98 and 99; a wick to 95 halves 96. Open interest doubled: the multiplier is capped at 3.
        let mut next = candle(95.0, 100.0, 97.5, 100.0, 20.0);
        next.turnover = None;
        walk.apply(&next);
        assert_eq!((at(&walk, 99.0), at(&walk, 98.0)), (0.0, 0.0));
        assert!((at(&walk, 96.0) - 30.0 * FADE * 0.5).abs() < 1e-9 && (at(&walk, 90.0) - 35.0 * FADE).abs() < 1e-9);
    }

    #[test]
    fn the_nearest_levels_have_most() {
        let grid = Grid::new(50.0, 200.0, 1_000).unwrap();
        for mark in [100.0, 99.93, 60.0, 199.0] {
            let split = grid.below(mark);
            let longs = nearest(&grid, mark, Side::Long);
            let shorts = nearest(&grid, mark, Side::Short);
            assert!(longs[split..].iter().chain(&shorts[..split]).all(|mass| *mass == 0.0));
            assert!(longs[..split].is_sorted() && shorts[split..].is_sorted_by(|a, b| a >= b));
            assert!(longs.iter().chain(&shorts).all(|mass| mass.is_finite() && *mass <= 1.000_001 / grid.step()));
        }
        let shorts = nearest(&grid, 100.0, Side::Short);
        let ratio = shorts[grid.cell(110.0).unwrap()] / shorts[grid.cell(121.0).unwrap()];
        assert!((ratio - 2.0).abs() < 0.03, "twice as far has half as much: {ratio}");
    }

    #[test]
    fn uniform_and_naive_stand_on_their_side() {
        let grid = Grid::new(50.0, 200.0, 100).unwrap();
        let below: f64 = uniform(&grid, 100.0, Side::Long).iter().sum();
        let above: f64 = uniform(&grid, 100.0, Side::Short).iter().sum();
        assert!((below - 50.0).abs() < 1.5 && (above + below - 100.0).abs() < 1e-9);
        let naive = naive(&grid, 100.0, Side::Short, &[(2.0, 0.4), (10.0, 0.6)]);
        assert!((naive[grid.cell(150.0).unwrap()] - 0.4).abs() < 1e-12);
        assert!((naive[grid.cell(110.0).unwrap()] - 0.6).abs() < 1e-12);
    }
}
