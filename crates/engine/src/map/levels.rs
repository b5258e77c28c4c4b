//! The price axis that every series of a map shares.

use protocol::amount::Usd8;

/// The most levels a map has.
pub const MOST_LEVELS: usize = 20_000;

/// A basis point of one.
const BPS: i128 = 10_000;

/// Prices of one coin in US dollars of eight decimals: ascending, each once, all above zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    today: Usd8,
    prices: Vec<Usd8>,
}

/// Why there is no such axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelsError {
    /// Today's price is not above zero, or too large to be multiplied by basis points.
    Today,
    /// No level, or more than [`MOST_LEVELS`].
    Count(usize),
    /// Levels that are not above zero, or not ascending.
    Order,
    /// The range is empty, reaches a price of zero, or its step is not above zero.
    Range,
}

impl std::fmt::Display for LevelsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Today => f.write_str("today's price is no price"),
            Self::Count(count) => write!(f, "{count} levels; a map has 1 to {MOST_LEVELS}"),
            Self::Order => f.write_str("levels are not ascending prices above zero"),
            Self::Range => f.write_str("the range of levels is empty, has no step, or reaches a price of zero"),
        }
    }
}

impl std::error::Error for LevelsError {}

impl Levels {
    /// These prices, around today's. Today's need not be among them.
    ///
    /// # Errors
    /// See [`LevelsError`].
    pub fn new(today: Usd8, prices: Vec<Usd8>) -> Result<Self, LevelsError> {
        if today.0 <= 0 || today.0 > i128::MAX / (BPS * BPS) {
            return Err(LevelsError::Today);
        }
        if prices.is_empty() || prices.len() > MOST_LEVELS {
            return Err(LevelsError::Count(prices.len()));
        }
        let is_ascending = prices.windows(2).all(|pair| pair[0] < pair[1]);
        if prices[0].0 <= 0 || !is_ascending || prices[prices.len() - 1].0 > i128::MAX / (BPS * BPS) {
            return Err(LevelsError::Order);
        }
        Ok(Self { today, prices })
    }

    /// Levels from `from` to `to` basis points away from today's price (-5,000 for half of it), both included, one each
    /// `step` basis points; today's price is a level where 0 is. Each is floored to a unit.
    ///
    /// # Errors
    /// See [`LevelsError`].
    pub fn around(today: Usd8, from: i32, to: i32, step: u32) -> Result<Self, LevelsError> {
        let (from, to, step) = (i128::from(from), i128::from(to), i128::from(step));
        if step == 0 || from > to || from <= -BPS {
            return Err(LevelsError::Range);
        }
        let count = usize::try_from((to - from) / step + 1).unwrap_or(usize::MAX);
        if count > MOST_LEVELS {
            return Err(LevelsError::Count(count));
        }
        if today.0 <= 0 || today.0 > i128::MAX / (BPS * BPS * BPS) {
            return Err(LevelsError::Today);
        }
        let mut prices = Vec::with_capacity(count);
        let mut at = from;
        while at <= to {
            prices.push(Usd8(today.0 * (BPS + at) / BPS));
            at += step;
        }
        // A price of a few units has fewer levels than steps.
        prices.dedup();
        prices.retain(|price| price.0 > 0);
        Self::new(today, prices)
    }

    /// The price the map starts from.
    #[must_use]
    pub fn today(&self) -> Usd8 {
        self.today
    }

    /// The levels, ascending.
    #[must_use]
    pub fn prices(&self) -> &[Usd8] {
        &self.prices
    }

    /// How many there are; never none.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.prices.len()
    }

    /// How many levels lie below today's price: the index of the first that does not.
    #[must_use]
    pub fn below(&self) -> usize {
        self.prices.partition_point(|price| *price < self.today)
    }

    /// How far each level is from today's price, in basis points, rounded towards today's.
    #[must_use]
    pub fn distance(&self, level: Usd8) -> i128 {
        (level.0 - self.today.0) * BPS / self.today.0
    }

    /// The level nearest to a change of today's price in basis points, the lower of two as near; none where even that is more than a
    /// tenth of the change away from it.
    #[must_use]
    pub fn nearest(&self, change: i128) -> Option<usize> {
        let away = |at: &usize| self.distance(self.prices[*at]).abs_diff(change);
        (0..self.len()).min_by_key(away).filter(|at| away(at) <= change.unsigned_abs() / 10)
    }

    /// What each level adds to its neighbour nearer to today's price, given what is reached at each. At the nearest level on
    /// either side that is what is reached there beyond `now`, what is reached at today's price.
    ///
    /// Missing where either is missing.
    #[must_use]
    pub fn steps(&self, reached: &[Option<i128>], now: Option<i128>) -> Vec<Option<i128>> {
        let below = self.below();
        (0..self.len())
            .map(|at| {
                let nearer = if at < below {
                    if at + 1 == below { now } else { reached.get(at + 1).copied().flatten() }
                } else if at == below {
                    now
                } else {
                    reached.get(at - 1).copied().flatten()
                };
                reached.get(at).copied().flatten()?.checked_sub(nearer?)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_is_around_today() {
        let levels = Levels::around(Usd8(1_000), -5_000, 5_000, 2_500).unwrap();
        assert_eq!(levels.prices(), [500, 750, 1_000, 1_250, 1_500].map(Usd8));
        assert_eq!(levels.below(), 2);
        assert_eq!(levels.distance(Usd8(750)), -2_500);
        // Reached: 500 → 9, 750 → 4, today 1 already, 1,000 → 1, 1,250 → 3, 1,500 → nothing known.
        let reached = [Some(9), Some(4), Some(1), Some(3), None];
        assert_eq!(levels.steps(&reached, Some(1)), [Some(5), Some(3), Some(0), Some(2), None]);
    }

    #[test]
    fn the_nearest_level_is_near_or_none() {
        let levels = Levels::around(Usd8(10_000), -5_000, 5_000, 400).unwrap();
        // Levels are at -5,000, -4,600, … -200, 200, …: a tenth of a change is how far they may be off.
        for (change, expected) in [
            (-5_000, Some(-5_000)),
            (-4_700, Some(-4_600)),
            (-4_400, Some(-4_600)),
            (1_000, Some(1_000)),
            (900, None),
            (1_100, Some(1_000)),
            (1_200, None),
            (0, None),
            (5_400, Some(5_000)),
            (5_600, None),
            (i128::MIN, None),
        ] {
            let found = levels.nearest(change).map(|at| levels.distance(levels.prices()[at]));
            assert_eq!(found, expected, "{change}");
        }
    }

    #[test]
    fn what_is_no_axis_is_refused() {
        let around = |today, from, to, step| Levels::around(Usd8(today), from, to, step).map(|levels| levels.len());
        for (today, from, to, step, expected) in [
            (0, -1, 1, 1, LevelsError::Today),
            (-5, -1, 1, 1, LevelsError::Today),
            (i128::MAX, -1, 1, 1, LevelsError::Today),
            (5, -1, 1, 0, LevelsError::Range),
            (5, 1, -1, 1, LevelsError::Range),
            (5, -10_000, 0, 1, LevelsError::Range),
            (5, -9_999, i32::MAX, 1, LevelsError::Count(2_147_493_647)),
        ] {
            assert_eq!(around(today, from, to, step), Err(expected));
        }
        // A price of one unit has no half.
        assert_eq!(around(1, -5_000, 0, 2_500), Ok(1));
        assert_eq!(Levels::new(Usd8(1), vec![Usd8(2), Usd8(2)]), Err(LevelsError::Order));
        assert_eq!(Levels::new(Usd8(1), vec![]), Err(LevelsError::Count(0)));
    }
}
