//! Between which prices it is certain that an account can, or cannot, be liquidated.
//!
//! Prices of the group are today's times a factor `f`, all others stay. With `C` the collateral weighted by its threshold
//! and `D` the debt, each split into what moves and what stays, an account can be liquidated where
//! `f C1 + C0 < f D1 + D0`: in real numbers that is a half-line of factors, also where collateral and debt move together.
//! The contract's integers differ from real numbers by little: a value is floored (or ceiled) to a unit of base currency,
//! a price at a level to a unit (which takes up to one base unit from each whole token), the health factor by less than
//! one part in 10^18; to 3.4 the average of several thresholds is floored, which takes less than a basis point of the
//! collateral. Add these to one side and there are two lines: below the upper one the account is certainly healthy where
//! it is not below zero, and certainly liquidatable where the other is below zero. Between the two, an interval, the
//! integers decide. The error of double precision is put at 10^-12 of everything that is summed, thousands of times what
//! a dozen operations can lose.
//!
//! Where base currency itself is in the group (ether in a market that counts in ether), the members' prices stay and all
//! others move by `1 / f`. Multiplied by `f` that is the same inequality, and its errors in base currency count `f` times.

/// What double precision may lose, as a part of all that is summed.
const FLOAT: f64 = 1e-12;

/// A basis point.
const BPS: f64 = 1e-4;

/// One reserve, as an account of one category sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// Value of the token's smallest unit in base currency, today.
    pub(super) unit: f64,
    /// The same of a price of one.
    pub(super) whole: f64,
    /// The liquidation threshold, of one; `None` where the reserve is no collateral.
    pub(super) threshold: Option<f64>,
    /// Whether it is of the group.
    pub(super) moves: bool,
}

/// Where an account stands along the axis, in factors of today's price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// Where it can certainly be liquidated.
    pub(super) certain: Certain,
    /// Between these the integers decide; `None` where they need not be asked anywhere.
    pub(super) doubt: Option<(f64, f64)>,
}

/// Where an account can certainly be liquidated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Certain {
    /// Nowhere.
    Never,
    /// Below this factor; infinity for everywhere.
    Below(f64),
    /// Above this factor.
    Above(f64),
}

/// A line over the factor: what stays, and what moves with it.
#[derive(Debug, Clone, Copy, Default)]
struct Line {
    stays: f64,
    moves: f64,
}

impl Line {
    fn add(&mut self, value: f64, moves: bool) {
        if moves { self.moves += value } else { self.stays += value }
    }
}

/// Sums of one account's legs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    weighted: Line,
    collateral: Line,
    debt: Line,
    slack: Line,
    collaterals: u32,
}

impl Sums {
    /// Starts with what the health factor itself rounds.
    pub(super) fn new(base_moves: bool) -> Self {
        let mut sums = Self::default();
        sums.slack.add(2.0, base_moves);
        sums
    }

    /// Adds a leg of so many smallest units; `base_moves` where base currency is in the group.
    pub(super) fn add(&mut self, rate: &Rate, supplied: f64, owed: f64, base_moves: bool) {
        let mut slack = |amount: f64, weight: f64| {
            let floored_price = if rate.moves == base_moves { 0.0 } else { amount * rate.whole };
            let slack = (1.0 + floored_price) * weight;
            // In base currency, whatever the factor.
            self.slack.add(slack, base_moves);
        };
        if supplied > 0.0 {
            let threshold = rate.threshold.unwrap_or(0.0);
            slack(supplied, threshold.max(1.0));
            self.weighted.add(supplied * rate.unit * threshold, rate.moves);
            self.collateral.add(supplied * rate.unit, rate.moves);
            self.collaterals += 1;
        }
        if owed > 0.0 {
            slack(owed, 1.0);
            self.debt.add(owed * rate.unit, rate.moves);
        }
    }

    /// Where the account stands; `averaged` to 3.4.
    pub(super) fn edge(&self, averaged: bool) -> Edge {
        let floored = if averaged && self.collaterals > 1 { BPS } else { 0.0 };
        let part = |weighted: f64, collateral: f64, debt: f64, slack: f64| {
            let room = slack + FLOAT * (weighted + collateral + debt + slack);
            let middle = weighted - debt;
            (middle - room - floored * collateral * (1.0 + BPS), middle + room)
        };
        let stays = part(self.weighted.stays, self.collateral.stays, self.debt.stays, self.slack.stays);
        let moves = part(self.weighted.moves, self.collateral.moves, self.debt.moves, self.slack.moves);
        let healthy = Line { stays: stays.0, moves: moves.0 };
        let liquidatable = Line { stays: stays.1, moves: moves.1 };
        if !(healthy.stays + healthy.moves + liquidatable.stays + liquidatable.moves).is_finite() {
            return Edge { certain: Certain::Never, doubt: Some((0.0, f64::INFINITY)) };
        }
        between(healthy, liquidatable)
    }
}

/// Which factors a line is below zero for: below a factor (infinity: all), above one (infinity: none).
fn below_zero(line: Line) -> Certain {
    match (line.stays < 0.0, line.moves < 0.0) {
        (true, true) => Certain::Below(f64::INFINITY),
        (false, false) => Certain::Never,
        // stays + f * moves < 0, whose root is where it changes.
        (true, false) if line.moves == 0.0 => Certain::Below(f64::INFINITY),
        (true, false) => Certain::Below(-line.stays / line.moves),
        (false, true) => Certain::Above(line.stays / -line.moves),
    }
}

fn between(healthy: Line, liquidatable: Line) -> Edge {
    let certain = match below_zero(liquidatable) {
        Certain::Below(factor) => Certain::Below(factor * (1.0 - FLOAT)),
        Certain::Above(factor) => Certain::Above(factor * (1.0 + FLOAT)),
        Certain::Never => Certain::Never,
    };
    // Where the upper line is below zero, so is the lower one.
    let perhaps = match below_zero(healthy) {
        Certain::Below(factor) => (0.0, factor * (1.0 + FLOAT)),
        Certain::Above(factor) => (factor * (1.0 - FLOAT), f64::INFINITY),
        Certain::Never => return Edge { certain, doubt: None },
    };
    let doubt = match certain {
        Certain::Never => Some(perhaps),
        Certain::Below(factor) if factor == f64::INFINITY => None,
        Certain::Below(factor) => Some((factor, perhaps.1)),
        Certain::Above(factor) => Some((perhaps.0, factor)),
    };
    Edge { certain, doubt }
}
