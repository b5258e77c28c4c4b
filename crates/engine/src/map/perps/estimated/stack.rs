//! Coins on the cells of a grid that shrink together.

use std::ops::Range;

/// Masses by cell. All of them shrink by one factor at a time without being touched: what a cell holds is `raw * scale`.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    raw: Vec<f64>,
    scale: f64,
    /// The sum over the cells and what lies beyond the grid, kept along.
    total: f64,
    /// What is liquidated at no price of the grid, as `raw * scale` too.
    beyond: f64,
}

/// Where less than this share of a sum is left, the difference tells it no more.
const LEAST_LEFT: f64 = 1e-6;

/// Below this the scale is put back to one, long before it is too small to divide by.
const LEAST_SCALE: f64 = 1e-100;

impl Stack {
    pub(super) fn new(cells: usize) -> Self {
        Self { raw: vec![0.0; cells], scale: 1.0, total: 0.0, beyond: 0.0 }
    }

    pub(super) fn total(&self) -> f64 {
        self.total
    }

    pub(super) fn beyond(&self) -> f64 {
        self.beyond * self.scale
    }

    /// What the cells hold, to be multiplied by [`Self::scale`].
    pub(super) fn raw(&self) -> &[f64] {
        &self.raw
    }

    pub(super) fn scale(&self) -> f64 {
        self.scale
    }

    pub(super) fn add(&mut self, cell: Option<usize>, coins: f64) {
        let raw = coins / self.scale;
        match cell {
            Some(cell) => self.raw[cell] += raw,
            None => self.beyond += raw,
        }
        self.total += coins;
    }

    /// Takes all coins away.
    pub(super) fn empty(&mut self) {
        self.raw.fill(0.0);
        (self.scale, self.total, self.beyond) = (1.0, 0.0, 0.0);
    }

    /// Takes so many coins away, from every cell the same share. More than there are is all of them.
    pub(super) fn shrink_by(&mut self, coins: f64) {
        if coins <= 0.0 {
            return;
        }
        let left = self.total - coins;
        if left <= self.total * 1e-12 {
            self.empty();
            return;
        }
        self.scale *= left / self.total;
        self.total = left;
        if self.scale < LEAST_SCALE {
            self.raw.iter_mut().for_each(|raw| *raw *= self.scale);
            self.beyond *= self.scale;
            self.scale = 1.0;
        }
    }

    /// Empties cells: what they held, in coins and in dollars at their prices. `left` are the cells that can still hold something.
    pub(super) fn drain(&mut self, cells: Range<usize>, left: Range<usize>, prices: &[f64]) -> (f64, f64) {
        let (mut coins, mut usd) = (0.0, 0.0);
        for cell in cells {
            let held = std::mem::take(&mut self.raw[cell]);
            coins += held;
            usd += held * prices[cell];
        }
        let coins = coins * self.scale;
        // The sum kept along and the sum of the cells differ by roundings of the whole: where little of it is left, it is summed anew.
        let before = self.total;
        self.total -= coins;
        if self.total <= before * LEAST_LEFT {
            self.total = (self.raw.get(left).unwrap_or_default().iter().sum::<f64>() + self.beyond) * self.scale;
        }
        (coins, usd * self.scale)
    }
}
