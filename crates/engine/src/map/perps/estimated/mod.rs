//! Where positions are liquidated, estimated from candles, turnover and open interest alone.
//!
//! # The model
//!
//! Each supposed leverage is a population of its own, which holds its share of the open interest on both sides at all
//! times: longs and shorts both sum to it. A candle is walked in straight pieces: from its open to its low, its high and its
//! close where it rose, to its high, its low and its close where it fell; open interest and turnover are spread along the
//! way. For each piece, in this order:
//!
//! 1. **Swept.** The levels that the piece crosses are emptied, once. What stood there was liquidated, or closed on the way.
//! 2. **Closed and passed on.** The change of open interest includes what was swept. So the sweep counts first
//!    towards its fall; what else it fell is closed. On the side that lost less, more is closed, which is the taking of
//!    profits against which the other side was liquidated. If more was swept than it fell, new positions took that over.
//!    Of the turnover `V` that did not change open interest, a share passes positions to new holders: as many coins are
//!    closed and opened as `(V - |change|) / 2` times that share, saturating at the open interest.
//!    Closings take from fast coins at a multiple of the rate of slow ones, so the hazard falls with age.
//! 3. **Opened.** What is missing to the open interest is opened at the middle of the piece, at the liquidation price of the
//!    leverage, on either side.
//!
//! Nothing after a candle enters its state: it is a fold, and a map is what the fold holds.
//!
//! # What it cannot know
//!
//! The entries of what was open before the first candle: those coins stand on no level, and [`Coverage`] says how many are
//! left. Margin added later, cross margin, hedges on other venues, the way within a candle.
//! Swept levels are emptied whole, by the middle of their cell.
//!
//! Because the populations are apart, every figure is `sum(share * figure of the bucket)`. With Dirichlet-distributed shares
//! its mean and variance are then exact (mean at the shares themselves, variance
//! `(sum(share * u^2) - mean^2) / (concentration + 1)`), and [`Banded`] is their 10th to 90th percentile as of a lognormal.

mod assumptions;
mod heat;
mod path;
mod population;
mod stack;
#[cfg(test)]
mod tests;

pub use assumptions::{Assumptions, AssumptionsError, Bucket, Priced};
pub use heat::{Heat, heat};
pub use population::Swept;

use path::{Path, Piece};
use population::{Flow, Population};
use protocol::venue::Side;

use super::grid::Grid;

/// What is larger, or smaller than one part in so much and not zero, is no price, turnover or open interest, so that no product
/// of them overflows or vanishes.
const LARGEST: f64 = 1e30;

/// A normal variable is below this in nine cases of ten.
const NINE_TENTHS: f64 = 1.281_551_565_544_6;

/// What happened in one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candle {
    /// When it began, in seconds since 1970 UTC.
    pub time: i64,
    /// First price.
    pub open: f64,
    /// Highest price.
    pub high: f64,
    /// Lowest price.
    pub low: f64,
    /// Last price.
    pub close: f64,
    /// Turnover in US dollars, each trade once.
    pub turnover: Option<f64>,
    /// Of it, what takers bought.
    pub taker_buy: Option<f64>,
    /// Open interest at its end, in coins, one-sided.
    pub open_interest: Option<f64>,
}

/// Why a candle was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// A price is zero, negative, no number, or one that nothing has: not within `10^-30` and `10^30`.
    NoPrice,
    /// Its high is below its low, or its open or close is outside them.
    Crossed,
    /// It does not begin after the one before it.
    OutOfOrder,
    /// No open interest has been seen yet.
    NotStarted,
}

impl Refused {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::NoPrice, Self::Crossed, Self::OutOfOrder, Self::NotStarted];

    /// The words used in outputs.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoPrice => "no price",
            Self::Crossed => "crossed prices",
            Self::OutOfOrder => "out of order",
            Self::NotStarted => "before the first open interest",
        }
    }
}

/// What was taken and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Candles that were taken.
    pub taken: u64,
    /// Candles that were not, by [`Refused::ALL`].
    pub refused: [u64; 4],
    /// Candles without open interest: the last one was carried on, nothing was opened but what was swept or passed on.
    pub open_interest_missing: u64,
    /// Of them, those whose open interest was negative, no number or one that nothing has: neither 0 nor within `10^-30` and `10^30`.
    pub open_interest_refused: u64,
    /// Candles without turnover: nothing was passed on.
    pub turnover_missing: u64,
    /// Of them, those whose turnover was negative, no number or one that nothing has, as with open interest.
    pub turnover_refused: u64,
    /// Times at which candles were missing: what happened there is seen by its end alone.
    pub gaps: u64,
}

/// How much of the whole stands on the map.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coverage {
    /// The share of the open interest whose opening was seen, by side: long, short.
    pub placed: [f64; 2],
    /// Of the open interest, the share whose level is beyond the grid, by side.
    pub beyond: [f64; 2],
    /// What was taken.
    pub seen: Seen,
}

/// A figure of a model, between its 10th and 90th percentile under the band of leverages.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Banded {
    /// 10th percentile.
    pub low: f64,
    /// At the shares themselves: the mean.
    pub mid: f64,
    /// 90th percentile.
    pub high: f64,
}

impl Banded {
    /// The same, so many times as large.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self { low: self.low * factor, mid: self.mid * factor, high: self.high * factor }
    }
}

/// The last candle that was taken.
#[derive(Debug, Clone, Copy)]
struct Last {
    time: i64,
    close: f64,
    open_interest: f64,
}

/// The fold.
#[derive(Debug, Clone)]
pub struct Model {
    grid: Grid,
    assumptions: Assumptions,
    /// A long and a short for each bucket.
    populations: Vec<[Population; 2]>,
    /// How fast each bucket's positions pass on, against those of 10x.
    paces: Vec<f64>,
    swept: Vec<[Swept; 2]>,
    last: Option<Last>,
    seen: Seen,
}

/// The place of a side in pairs.
#[must_use]
pub const fn place(side: Side) -> usize {
    match side {
        Side::Long => 0,
        Side::Short => 1,
    }
}

impl Model {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// The assumptions cannot be.
    pub fn new(grid: Grid, assumptions: Assumptions) -> Result<Self, AssumptionsError> {
        assumptions.check()?;
        let populations = assumptions
            .buckets
            .iter()
            .map(|bucket| {
                [
                    Population::new(Side::Long, bucket.long_ratio, grid.len()),
                    Population::new(Side::Short, bucket.short_ratio, grid.len()),
                ]
            })
            .collect();
        let swept = vec![[Swept::default(); 2]; assumptions.buckets.len()];
        let power = assumptions.transfer_power;
        let paces = assumptions.buckets.iter().map(|bucket| (bucket.leverage / 10.0).powf(power)).collect();
        Ok(Self { grid, assumptions, populations, paces, swept, last: None, seen: Seen::default() })
    }

    /// The grid on which it stands.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What it supposes.
    #[must_use]
    pub fn assumptions(&self) -> &Assumptions {
        &self.assumptions
    }

    /// The last close; none before the first candle.
    #[must_use]
    pub fn mark(&self) -> Option<f64> {
        self.last.map(|last| last.close)
    }

    /// When the last candle that was taken ended, by its interval, in seconds since 1970 UTC; none before the first.
    #[must_use]
    pub fn ended(&self) -> Option<i64> {
        self.last.map(|last| last.time.saturating_add(self.assumptions.interval))
    }

    /// Open interest, in coins; none before the first candle that has it.
    #[must_use]
    pub fn open_interest(&self) -> Option<f64> {
        self.last.map(|last| last.open_interest)
    }

    /// What the last candle swept, by bucket and side, as if all open interest were in the bucket.
    #[must_use]
    pub fn swept(&self) -> &[[Swept; 2]] {
        &self.swept
    }

    /// Takes one candle.
    ///
    /// # Errors
    /// It was not taken, and nothing has changed but the count of such candles.
    pub fn apply(&mut self, candle: &Candle) -> Result<(), Refused> {
        let result = self.look_at(candle);
        match result {
            Ok(last) => {
                self.take(candle, last);
                self.seen.taken += 1;
            }
            Err(refused) => self.seen.refused[Refused::ALL.iter().position(|each| *each == refused).unwrap_or(0)] += 1,
        }
        result.map(|_| ())
    }

    /// The state before the candle, if it can be taken.
    fn look_at(&self, candle: &Candle) -> Result<Option<Last>, Refused> {
        let prices = [candle.open, candle.high, candle.low, candle.close];
        if !prices.iter().all(|price| (1.0 / LARGEST..=LARGEST).contains(price)) {
            return Err(Refused::NoPrice);
        }
        if prices.iter().any(|price| *price > candle.high || *price < candle.low) {
            return Err(Refused::Crossed);
        }
        match self.last {
            Some(last) if candle.time <= last.time => Err(Refused::OutOfOrder),
            None if known(candle.open_interest).is_none() => Err(Refused::NotStarted),
            last => Ok(last),
        }
    }

    fn take(&mut self, candle: &Candle, last: Option<Last>) {
        let observed = known(candle.open_interest);
        let before = last.map_or(observed.unwrap_or(0.0), |last| last.open_interest);
        let open_interest = observed.unwrap_or(before);
        self.count(candle, last);
        self.swept.fill([Swept::default(); 2]);
        if last.is_none() {
            self.populations.iter_mut().flatten().for_each(|population| population.start(open_interest));
        } else {
            let churned = self.churned(candle, before, open_interest);
            let path = Path::of(candle, self.assumptions.entry_tilt, last.map(|last| last.close));
            let mut seen = 0.0;
            let mut pieces = path.pieces().peekable();
            while let Some(piece) = pieces.next() {
                seen = f64::min(seen + piece.weight, 1.0);
                // The weights sum to one but for roundings, and a small figure is lost in the difference from a large one.
                let is_last = pieces.peek().is_none();
                let here = if is_last { open_interest } else { before * (1.0 - seen) + open_interest * seen };
                self.walk(&piece, here, churned * piece.weight);
            }
            self.populations.iter_mut().flatten().for_each(|population| population.put_right(open_interest));
        }
        self.last = Some(Last { time: candle.time, close: candle.close, open_interest });
    }

    /// One straight piece of a candle's way.
    fn walk(&mut self, piece: &Piece, open_interest: f64, churned: f64) {
        let mut flow = Flow {
            open_interest,
            transfer: 0.0,
            log_entry: piece.log_entry,
            below: self.grid.below(piece.to),
            above: self.grid.up_to(piece.to),
            fast_share: self.assumptions.fast_share,
            fast_pace: self.assumptions.fast_pace,
        };
        let swept = (self.grid.below(piece.low), self.grid.up_to(piece.high));
        for ((pair, sum), pace) in self.populations.iter_mut().zip(&mut self.swept).zip(&self.paces) {
            // Churn saturates: nobody passes on twice at once.
            let churned = churned * pace;
            flow.transfer = if open_interest > 0.0 { open_interest / (open_interest / churned + 1.0) } else { 0.0 };
            for (population, sum) in pair.iter_mut().zip(sum) {
                let found = population.sweep(swept, &self.grid);
                sum.coins += found.coins;
                sum.usd += found.usd;
                population.settle(&flow, &self.grid);
            }
        }
    }

    fn count(&mut self, candle: &Candle, last: Option<Last>) {
        let seen = &mut self.seen;
        if known(candle.open_interest).is_none() {
            seen.open_interest_missing += 1;
            seen.open_interest_refused += u64::from(candle.open_interest.is_some());
        }
        if known(candle.turnover).is_none() {
            seen.turnover_missing += 1;
            seen.turnover_refused += u64::from(candle.turnover.is_some());
        }
        if last.is_some_and(|last| candle.time.saturating_sub(last.time) > self.assumptions.interval) {
            seen.gaps += 1;
        }
    }

    /// Coins that change hands in a candle and leave open interest as it is, on either side.
    fn churned(&self, candle: &Candle, before: f64, after: f64) -> f64 {
        let Some(turnover) = known(candle.turnover) else { return 0.0 };
        let typical = (candle.high + candle.low + candle.close) / 3.0;
        (turnover / typical - (after - before).abs()).max(0.0) / 2.0 * self.assumptions.transfer
    }

    /// How much of the whole is on the map now.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let whole = self.open_interest().unwrap_or(0.0);
        let share = |side: usize, part: fn(&Population) -> f64| {
            let sum: f64 =
                self.assumptions.buckets.iter().zip(&self.populations).map(|(b, p)| b.share * part(&p[side])).sum();
            if whole > 0.0 { sum / whole } else { 0.0 }
        };
        Coverage {
            placed: [0, 1].map(|side| 1.0 - share(side, Population::unplaced)),
            beyond: [0, 1].map(|side| share(side, Population::beyond)),
            seen: self.seen,
        }
    }

    /// Coins by cell on one side at one bucket, as if all open interest were in the bucket.
    #[must_use]
    pub fn cells(&self, bucket: usize, side: Side) -> Vec<f64> {
        let [fast, slow] = self.populations[bucket][place(side)].parts();
        let scales = (fast.scale(), slow.scale());
        fast.raw().iter().zip(slow.raw()).map(|(fast, slow)| fast * scales.0 + slow * scales.1).collect()
    }

    /// Coins by cell on one side over all buckets, at their shares.
    #[must_use]
    pub fn mass(&self, side: Side) -> Vec<f64> {
        self.mass_within(side, 0..self.grid.len())
    }

    /// The same of some cells, in their order.
    ///
    /// # Panics
    /// The cells are not all of the grid.
    #[must_use]
    pub fn mass_within(&self, side: Side, cells: std::ops::Range<usize>) -> Vec<f64> {
        let mut sum = vec![0.0; cells.len()];
        for (bucket, pair) in self.assumptions.buckets.iter().zip(&self.populations) {
            let [fast, slow] = pair[place(side)].parts();
            let coins = fast.raw()[cells.clone()].iter().zip(&slow.raw()[cells.clone()]);
            for (sum, (in_fast, in_slow)) in sum.iter_mut().zip(coins) {
                *sum += (in_fast * fast.scale() + in_slow * slow.scale()) * bucket.share;
            }
        }
        sum
    }

    /// What a straight move of the price to `price` would sweep on a side, in US dollars at the levels' prices.
    #[must_use]
    pub fn reached(&self, side: Side, price: f64) -> Banded {
        self.assumptions.band(&self.reached_by_bucket(side, price))
    }

    /// The same by bucket, as if all open interest were in the bucket.
    #[must_use]
    pub fn reached_by_bucket(&self, side: Side, price: f64) -> Vec<f64> {
        let cells = match side {
            Side::Long => self.grid.below(price)..self.grid.len(),
            Side::Short => 0..self.grid.up_to(price),
        };
        let middles = self.grid.middles();
        (0..self.populations.len())
            .map(|bucket| {
                let population = &self.populations[bucket][place(side)];
                let (first, last) = population.reach();
                let held = first.max(cells.start)..last.min(cells.end);
                let [fast, slow] = population.parts();
                let sum = |part: &stack::Stack| {
                    part.scale() * held.clone().map(|cell| part.raw()[cell] * middles[cell]).sum::<f64>()
                };
                sum(fast) + sum(slow)
            })
            .collect()
    }

    /// What the last candle liquidated on a side, in US dollars at the levels' prices, its own openings included: what it
    /// swept, times the share of it that venues liquidate.
    #[must_use]
    pub fn liquidations(&self, side: Side) -> Banded {
        let share = self.assumptions.liquidated;
        let by_bucket: Vec<f64> = self.swept.iter().map(|pair| pair[place(side)].usd * share).collect();
        self.assumptions.band(&by_bucket)
    }
}

impl Assumptions {
    /// A figure over all buckets, given what it is at each as if all open interest were in it.
    #[must_use]
    pub fn band(&self, by_bucket: &[f64]) -> Banded {
        let held = || self.buckets.iter().zip(by_bucket).filter(|(bucket, _)| bucket.share > 0.0);
        let mid: f64 = held().map(|(bucket, value)| bucket.share * value).sum();
        if mid <= 0.0 {
            return Banded::default();
        }
        // Against the mean, so that no square of a small figure vanishes.
        let squares: f64 = held().map(|(bucket, value)| bucket.share * (value / mid).powi(2)).sum();
        let log_variance = ((squares - 1.0) / (self.concentration + 1.0)).max(0.0).ln_1p();
        let (middle, reach) = (mid * (-log_variance / 2.0).exp(), (NINE_TENTHS * log_variance.sqrt()).exp());
        let most = by_bucket.iter().copied().fold(0.0, f64::max);
        Banded { low: (middle / reach).min(mid), mid, high: (middle * reach).max(mid).min(most) }
    }
}

/// A figure that is there, not negative and not absurd.
fn known(figure: Option<f64>) -> Option<f64> {
    figure.filter(|figure| *figure == 0.0 || (1.0 / LARGEST..=LARGEST).contains(figure))
}
