//! One side of one leverage: who is in, where they are liquidated, who leaves.

use super::stack::Stack;
use crate::map::perps::grid::Grid;
use protocol::venue::Side;

/// The coins of one side at one leverage, all of which sum to the open interest.
#[derive(Debug, Clone)]
pub(super) struct Population {
    side: Side,
    log_ratio: f64,
    /// Opened before the first candle, at prices nobody saw.
    unplaced: f64,
    fast: Stack,
    slow: Stack,
    /// The cells that can hold something, from the first to before the second.
    reach: (usize, usize),
}

/// What was swept away by a move of the price.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Swept {
    /// In coins.
    pub coins: f64,
    /// In US dollars at the levels' prices.
    pub usd: f64,
}

/// What a piece of a candle does to open positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    /// Open interest at its end, in coins.
    pub(super) open_interest: f64,
    /// Coins that change hands.
    pub(super) transfer: f64,
    /// The logarithm of the entry price.
    pub(super) log_entry: f64,
    /// The first cell whose middle is not below the price at its end.
    pub(super) below: usize,
    /// The first cell whose middle is above the price at its end.
    pub(super) above: usize,
    pub(super) fast_share: f64,
    pub(super) fast_pace: f64,
}

/// Where less than this share of a side stays open, where it stood is not told from roundings of what has closed.
const LEAST_LEFT: f64 = 1e-6;

/// By how much of the open interest a side's sum may be off: roundings alone.
const TOLERANCE: f64 = 1e-9;

impl Population {
    pub(super) fn new(side: Side, ratio: f64, cells: usize) -> Self {
        Self {
            side,
            log_ratio: ratio.ln(),
            unplaced: 0.0,
            fast: Stack::new(cells),
            slow: Stack::new(cells),
            reach: (cells, 0),
        }
    }

    pub(super) fn start(&mut self, open_interest: f64) {
        self.unplaced = open_interest;
    }

    pub(super) fn total(&self) -> f64 {
        self.unplaced + self.fast.total() + self.slow.total()
    }

    pub(super) fn unplaced(&self) -> f64 {
        self.unplaced
    }

    pub(super) fn beyond(&self) -> f64 {
        self.fast.beyond() + self.slow.beyond()
    }

    /// The cells that can hold something.
    pub(super) fn reach(&self) -> (usize, usize) {
        self.reach
    }

    /// The two parts, each to be multiplied by its scale.
    pub(super) fn parts(&self) -> [&Stack; 2] {
        [&self.fast, &self.slow]
    }

    /// The levels that were crossed, taken away: those of longs from the first of `crossed` on, of shorts below the second.
    pub(super) fn sweep(&mut self, crossed: (usize, usize), grid: &Grid) -> Swept {
        let cells = match self.side {
            Side::Long => crossed.0..self.reach.1,
            Side::Short => self.reach.0..crossed.1,
        };
        if cells.is_empty() {
            return Swept::default();
        }
        match self.side {
            Side::Long => self.reach.1 = cells.start,
            Side::Short => self.reach.0 = cells.end,
        }
        let left = self.reach.0..self.reach.1.max(self.reach.0);
        let fast = self.fast.drain(cells.clone(), left.clone(), grid.middles());
        let slow = self.slow.drain(cells, left, grid.middles());
        Swept { coins: fast.0 + slow.0, usd: fast.1 + slow.1 }
    }

    /// Closes and opens until the side sums to the open interest.
    pub(super) fn settle(&mut self, flow: &Flow, grid: &Grid) {
        let total = self.total();
        if total > 0.0 && flow.open_interest <= total * LEAST_LEFT {
            self.fast.empty();
            self.slow.empty();
            self.unplaced = flow.open_interest;
            return;
        }
        let short_of = flow.open_interest - total;
        let transfer = flow.transfer.min(total);
        self.close(transfer + (-short_of).max(0.0), flow.fast_pace);
        let opened = flow.open_interest - self.total();
        if opened > 0.0 {
            self.open(opened, flow, grid);
        }
    }

    /// Holds the side to its open interest where figures are so far apart that roundings leave none of it told: all of it then counts
    /// as never seen opening.
    pub(super) fn put_right(&mut self, open_interest: f64) {
        if (self.total() - open_interest).abs() <= TOLERANCE * open_interest {
            return;
        }
        self.fast.empty();
        self.slow.empty();
        self.unplaced = open_interest;
    }

    /// Fast coins leave at `pace` times the rate of the others, and never more than there are.
    fn close(&mut self, coins: f64, pace: f64) {
        let (fast, slow) = (self.fast.total(), self.slow.total() + self.unplaced);
        let weight = fast * pace + slow;
        if coins <= 0.0 || weight <= 0.0 {
            return;
        }
        let from_fast = (coins * fast * pace / weight).min(fast).max(coins - slow);
        let from_slow = (coins - from_fast).clamp(0.0, slow);
        self.fast.shrink_by(from_fast);
        if slow > 0.0 {
            let from_unplaced = from_slow * self.unplaced / slow;
            self.unplaced = (self.unplaced - from_unplaced).max(0.0);
            self.slow.shrink_by(from_slow - from_unplaced);
        }
    }

    fn open(&mut self, coins: f64, flow: &Flow, grid: &Grid) {
        let log_level = flow.log_entry + self.log_ratio;
        let cell = grid.cell_of_log(log_level);
        // A level that the piece's end has crossed already is that of nobody alive: the nearest one that is not.
        let alive = match (cell, self.side) {
            (Some(cell), Side::Long) => flow.below.checked_sub(1).map(|nearest| cell.min(nearest)),
            (Some(cell), Side::Short) => Some(cell.max(flow.above)).filter(|cell| *cell < grid.len()),
            // Beyond the grid: a long below its foot, a short above its head.
            (None, _) => None,
        };
        self.put(alive, coins, flow.fast_share);
    }

    fn put(&mut self, cell: Option<usize>, coins: f64, fast_share: f64) {
        if let Some(cell) = cell {
            self.reach = (self.reach.0.min(cell), self.reach.1.max(cell + 1));
        }
        self.fast.add(cell, coins * fast_share);
        self.slow.add(cell, coins * (1.0 - fast_share));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_whose_sum_is_lost_is_put_right_and_one_that_is_not_stays() {
        for (open_interest, placed) in [(5.0, 2.0), (5.0 * (1.0 + 1e-12), 2.0), (5.1, 0.0), (0.0, 0.0), (1e20, 0.0)] {
            let mut population = Population::new(Side::Long, 0.9, 10);
            population.start(3.0);
            population.put(Some(4), 2.0, 0.5);
            population.put_right(open_interest);
            assert!((population.total() - open_interest).abs() <= 1e-9 * open_interest, "{open_interest}");
            let held = population.parts().map(|part| part.raw().iter().sum::<f64>() * part.scale());
            assert_eq!(held.iter().sum::<f64>(), placed, "{open_interest}");
        }
    }
}
