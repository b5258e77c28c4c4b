//! An axis of prices in equal ratios, in cells.

use std::fmt;

/// The most cells a grid has.
pub const MOST_CELLS: usize = 100_000;

/// Cells of equal ratio from one price to another. A cell holds its lower edge and not its upper one; what stands in a cell
/// stands at its middle, the geometric mean of its edges.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    low: f64,
    log_low: f64,
    step: f64,
    middles: Vec<f64>,
}

/// Why there is no such grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum GridError {
    /// The ends are not `0 < low < high`, both finite.
    Ends(f64, f64),
    /// No cell, or more than [`MOST_CELLS`].
    Count(usize),
}

impl fmt::Display for GridError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(low, high) => {
                write!(f, "a grid from {low} to {high}: both must be prices, the second the higher")
            }
            Self::Count(count) => write!(f, "{count} cells; a grid has 1 to {MOST_CELLS}"),
        }
    }
}

impl std::error::Error for GridError {}

impl Grid {
    /// `cells` cells between two prices.
    ///
    /// # Errors
    /// See [`GridError`].
    pub fn new(low: f64, high: f64, cells: usize) -> Result<Self, GridError> {
        if !(low > 0.0 && high > low && high.is_finite()) {
            return Err(GridError::Ends(low, high));
        }
        if cells == 0 || cells > MOST_CELLS {
            return Err(GridError::Count(cells));
        }
        let step = (high / low).ln() / count(cells);
        let log_low = low.ln();
        let mut grid = Self { low, log_low, step, middles: Vec::new() };
        grid.middles = (0..cells).map(|cell| grid.log_middle(cell).exp()).collect();
        Ok(grid)
    }

    /// The natural logarithm of the middle of a cell.
    #[must_use]
    pub fn log_middle(&self, cell: usize) -> f64 {
        self.log_low + self.step * (count(cell) + 0.5)
    }

    /// How many cells there are; never none.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.middles.len()
    }

    /// The middles of the cells, ascending, in US dollars.
    #[must_use]
    pub fn middles(&self) -> &[f64] {
        &self.middles
    }

    /// The lower edge of a cell; for the number of cells, the upper edge of the last.
    #[must_use]
    pub fn edge(&self, cell: usize) -> f64 {
        if cell == 0 { self.low } else { (self.log_low + self.step * count(cell)).exp() }
    }

    /// The natural logarithm of the ratio between neighbouring edges.
    #[must_use]
    pub fn step(&self) -> f64 {
        self.step
    }

    /// The cell of a price, given the logarithm of the price; none outside the grid.
    #[must_use]
    pub fn cell_of_log(&self, log_price: f64) -> Option<usize> {
        let place = (log_price - self.log_low) / self.step;
        if !(place >= 0.0 && place < count(self.len())) {
            return None;
        }
        Some(floor(place))
    }

    /// The cell of a price; none outside the grid or where it is no price.
    #[must_use]
    pub fn cell(&self, price: f64) -> Option<usize> {
        if price > 0.0 { self.cell_of_log(price.ln()) } else { None }
    }

    /// How many cells have their middle below a price.
    #[must_use]
    pub fn below(&self, price: f64) -> usize {
        self.count_while(price, |middle| middle < price)
    }

    /// How many cells have their middle at or below a price.
    #[must_use]
    pub fn up_to(&self, price: f64) -> usize {
        self.count_while(price, |middle| middle <= price)
    }

    /// How many cells, from the lowest, have a middle on this side of a price: guessed by its logarithm, decided by comparison.
    fn count_while(&self, price: f64, is_before: impl Fn(f64) -> bool) -> usize {
        let place = ((price.ln() - self.log_low) / self.step).clamp(0.0, count(self.len()));
        let mut cells = floor(place);
        while cells < self.len() && is_before(self.middles[cells]) {
            cells += 1;
        }
        while cells > 0 && !is_before(self.middles[cells - 1]) {
            cells -= 1;
        }
        cells
    }
}

/// A count as a float.
#[expect(clippy::cast_precision_loss, reason = "nothing is counted beyond 2^53")]
pub(crate) fn count(number: usize) -> f64 {
    number as f64
}

/// The whole part of a float that is a small index.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "callers saw that it is an index")]
pub(crate) fn floor(place: f64) -> usize {
    place as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_finds_its_own_middle_and_edge() {
        let grid = Grid::new(20_000.0, 200_000.0, 1_100).unwrap();
        for cell in 0..grid.len() {
            assert_eq!(grid.cell(grid.middles()[cell]), Some(cell));
            assert!(grid.edge(cell) < grid.middles()[cell] && grid.middles()[cell] < grid.edge(cell + 1));
            assert_eq!(grid.below(grid.middles()[cell]), cell);
            assert_eq!(grid.up_to(grid.middles()[cell]), cell + 1);
        }
        for (price, expected) in [(1.0, 0), (1e9, 1_100), (0.0, 0)] {
            assert_eq!((grid.below(price), grid.up_to(price)), (expected, expected));
        }
        for outside in [0.0, -1.0, f64::NAN, f64::INFINITY, 19_999.0, 200_001.0] {
            assert_eq!(grid.cell(outside), None, "{outside}");
        }
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        for (low, high) in [(0.0, 1.0), (-1.0, 1.0), (2.0, 2.0), (3.0, 2.0), (1.0, f64::INFINITY), (f64::NAN, 1.0)] {
            assert!(matches!(Grid::new(low, high, 10), Err(GridError::Ends(..))));
        }
        assert_eq!(Grid::new(1.0, 2.0, 0), Err(GridError::Count(0)));
        assert_eq!(Grid::new(1.0, 2.0, MOST_CELLS + 1), Err(GridError::Count(MOST_CELLS + 1)));
    }
}
