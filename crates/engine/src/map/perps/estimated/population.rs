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
    /// The cells that can hold something: no long is at or above `reach.1`, no short below `reach.0`.
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

/// What a candle does to open positions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow<'a> {
    /// Open interest at the candle's end, in coins.
    pub(super) open_interest: f64,
    /// Coins that change hands.
    pub(super) transfer: f64,
    /// Logarithms of entry prices, with the weight of each.
    pub(super) entries: &'a [(f64, f64)],
    /// The first cell whose middle is not below the close.
    pub(super) below: usize,
    /// The first cell whose middle is above the close.
    pub(super) above: usize,
    pub(super) fast_share: f64,
    pub(super) fast_pace: f64,
}

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

    /// The two parts, each to be multiplied by its scale.
    pub(super) fn parts(&self) -> [&Stack; 2] {
        [&self.fast, &self.slow]
    }

    /// The levels that a candle crossed, taken away.
    pub(super) fn sweep(&mut self, low: f64, high: f64, grid: &Grid) -> Swept {
        let cells = match self.side {
            Side::Long => grid.below(low)..self.reach.1,
            Side::Short => self.reach.0..grid.up_to(high),
        };
        if cells.is_empty() {
            return Swept::default();
        }
        match self.side {
            Side::Long => self.reach.1 = cells.start,
            Side::Short => self.reach.0 = cells.end,
        }
        let fast = self.fast.drain(cells.clone(), grid.middles());
        let slow = self.slow.drain(cells, grid.middles());
        Swept { coins: fast.0 + slow.0, usd: fast.1 + slow.1 }
    }

    /// Closes and opens until the side sums to the open interest.
    pub(super) fn settle(&mut self, flow: &Flow<'_>, grid: &Grid) {
        let short_of = flow.open_interest - self.total();
        let transfer = flow.transfer.min(self.total());
        self.close(transfer + (-short_of).max(0.0), flow.fast_pace);
        let opened = flow.open_interest - self.total();
        if opened > 0.0 {
            self.open(opened, flow, grid);
        }
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

    fn open(&mut self, coins: f64, flow: &Flow<'_>, grid: &Grid) {
        let (side, log_ratio) = (self.side, self.log_ratio);
        let place = |log_entry: f64| -> Option<usize> { grid.cell_of_log(log_entry + log_ratio) };
        // A position whose level the close has crossed already did not live to the candle's end.
        let is_alive = |log_entry: f64, cell: Option<usize>| match (cell, side) {
            (Some(cell), Side::Long) => cell < flow.below,
            (Some(cell), Side::Short) => cell >= flow.above,
            // Beyond the grid: a long below its foot, a short above its head.
            (None, Side::Long) => grid.is_below(log_entry + log_ratio),
            (None, Side::Short) => !grid.is_below(log_entry + log_ratio),
        };
        let alive = |&&(log_entry, _): &&(f64, f64)| is_alive(log_entry, place(log_entry));
        let weights: f64 = flow.entries.iter().filter(alive).map(|(_, weight)| weight).sum();
        if weights > 0.0 {
            for (log_entry, weight) in flow.entries.iter().filter(alive) {
                self.put(place(*log_entry), coins * weight / weights, flow.fast_share);
            }
            return;
        }
        // The whole candle lies beyond the close by more than the level's distance: they entered at the close.
        let nearest = match self.side {
            Side::Long => flow.below.checked_sub(1),
            Side::Short => (flow.above < grid.len()).then_some(flow.above),
        };
        self.put(nearest, coins, flow.fast_share);
    }

    fn put(&mut self, cell: Option<usize>, coins: f64, fast_share: f64) {
        if let Some(cell) = cell {
            self.reach = (self.reach.0.min(cell), self.reach.1.max(cell + 1));
        }
        self.fast.add(cell, coins * fast_share);
        self.slow.add(cell, coins * (1.0 - fast_share));
    }
}
