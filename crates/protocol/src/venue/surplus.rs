//! What an account has beyond what it must keep, as a function of one coin's price; and where that runs out.
//!
//! Every venue here asks for margin that is linear in the price between two tiers, so equity less requirement is a chain of
//! straight lines. Its zeros are found line by line, outward from the mark: no iteration, one division for each zero.

use rust_decimal::Decimal;

use super::Refusal;

/// `constant + slope * price`, in the quote currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Line {
    /// Quote currency.
    pub(super) constant: Decimal,
    /// Quote currency per unit of price: coins.
    pub(super) slope: Decimal,
}

impl Line {
    pub(super) const ZERO: Self = Self { constant: Decimal::ZERO, slope: Decimal::ZERO };

    pub(super) fn add(self, other: Self) -> Result<Self, Refusal> {
        Ok(Self { constant: plus(self.constant, other.constant)?, slope: plus(self.slope, other.slope)? })
    }

    pub(super) fn sub(self, other: Self) -> Result<Self, Refusal> {
        Ok(Self { constant: minus(self.constant, other.constant)?, slope: minus(self.slope, other.slope)? })
    }

    fn at(self, price: Decimal) -> Result<Decimal, Refusal> {
        plus(self.constant, times(self.slope, price)?)
    }
}

/// A chain of lines: each applies from its price to that of the next. Right at a price where two meet, an inverse contract's
/// tier is still the one below; that shows only in tables with jumps, and only there.
#[derive(Debug, Clone)]
pub(super) struct Surplus {
    /// The first begins at 0.
    pieces: Vec<(Decimal, Line)>,
}

/// Where a surplus that is positive at the mark runs out, on either side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Zeros {
    pub(super) below: Option<Decimal>,
    pub(super) above: Option<Decimal>,
}

impl Surplus {
    /// The chain that begins as `base` and changes by each line from its price on.
    pub(super) fn new(base: Line, mut changes: Vec<(Decimal, Line)>) -> Result<Self, Refusal> {
        changes.sort_by_key(|(from, _)| *from);
        let mut pieces = Vec::with_capacity(changes.len().saturating_add(1));
        let mut line = base;
        pieces.push((Decimal::ZERO, line));
        for (from, change) in changes {
            line = line.add(change)?;
            match pieces.last_mut() {
                Some(last) if last.0 == from => last.1 = line,
                _ => pieces.push((from, line)),
            }
        }
        Ok(Self { pieces })
    }

    /// Its value at a price.
    pub(super) fn at(&self, price: Decimal) -> Result<Decimal, Refusal> {
        self.pieces[self.piece(price)].1.at(price)
    }

    /// The first price on either side of the mark at which it is spent: at 0 if `at_equality`, else below 0, and then the
    /// zero that comes right before. It is not spent at the mark. Where it jumps between two lines, the price of the jump is
    /// the answer if it is spent right beyond.
    pub(super) fn zeros(&self, mark: Decimal, at_equality: bool) -> Result<Zeros, Refusal> {
        Ok(Zeros { below: self.below(mark, at_equality)?, above: self.above(mark, at_equality)? })
    }

    fn piece(&self, price: Decimal) -> usize {
        self.pieces.partition_point(|(from, _)| *from <= price).saturating_sub(1)
    }

    fn below(&self, mark: Decimal, at_equality: bool) -> Result<Option<Decimal>, Refusal> {
        let mut to = mark;
        for &(from, line) in self.pieces[..=self.piece(mark)].iter().rev() {
            let falls = line.slope > Decimal::ZERO;
            let value = line.at(to)?;
            if value < Decimal::ZERO || (value.is_zero() && (falls || at_equality)) {
                return Ok(Some(to));
            }
            // The zero is above a price of 0 only where the constant is below 0.
            if falls && line.constant < Decimal::ZERO {
                let zero = over(minus(Decimal::ZERO, line.constant)?, line.slope)?;
                if zero > from || (zero == from && at_equality) {
                    return Ok(Some(zero.min(to)));
                }
            }
            to = from;
        }
        Ok(None)
    }

    fn above(&self, mark: Decimal, at_equality: bool) -> Result<Option<Decimal>, Refusal> {
        let mut from = mark;
        let here = self.piece(mark);
        let ends = self.pieces.iter().skip(here).skip(1).map(|(to, _)| Some(*to)).chain([None]);
        for (&(_, line), to) in self.pieces[here..].iter().zip(ends) {
            let falls = line.slope < Decimal::ZERO;
            let value = line.at(from)?;
            if value < Decimal::ZERO || (value.is_zero() && (falls || at_equality)) {
                return Ok(Some(from));
            }
            if falls {
                let zero = over(line.constant, minus(Decimal::ZERO, line.slope)?)?;
                // A zero right at the end is the next line's to judge.
                if to.is_none_or(|to| zero < to) {
                    return Ok(Some(zero.max(from)));
                }
            }
            from = to.unwrap_or(from);
        }
        Ok(None)
    }
}

pub(super) fn plus(a: Decimal, b: Decimal) -> Result<Decimal, Refusal> {
    a.checked_add(b).ok_or(Refusal::Overflow)
}

pub(super) fn minus(a: Decimal, b: Decimal) -> Result<Decimal, Refusal> {
    a.checked_sub(b).ok_or(Refusal::Overflow)
}

pub(super) fn times(a: Decimal, b: Decimal) -> Result<Decimal, Refusal> {
    a.checked_mul(b).ok_or(Refusal::Overflow)
}

/// Refused where `b` is 0, too: no caller divides by what may be.
pub(super) fn over(a: Decimal, b: Decimal) -> Result<Decimal, Refusal> {
    a.checked_div(b).ok_or(Refusal::Overflow)
}
