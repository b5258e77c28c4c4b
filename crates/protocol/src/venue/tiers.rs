//! Margin tiers: the larger a position, the more margin it must keep.

use std::fmt;

use rust_decimal::Decimal;

use super::Refusal;
use super::surplus::{minus, over, plus, times};

/// One step of a venue's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tier {
    /// The notional from which on it applies, in the unit the venue measures positions in (quote currency; the coin for
    /// inverse contracts).
    pub floor: Decimal,
    /// Maintenance margin as a share of the notional.
    pub maintenance_margin_rate: Decimal,
    /// What is taken off `notional * rate`, so that the margin has no jump at the floor: the venue's "cum", "maintenance
    /// amount" or "deduction".
    pub deduction: Decimal,
    /// The highest leverage at which a position of this size may be opened.
    pub max_leverage: Decimal,
}

impl Tier {
    /// `notional * rate - deduction`, in the unit of the notional.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn maintenance_margin(&self, notional: Decimal) -> Result<Decimal, Refusal> {
        minus(times(notional, self.maintenance_margin_rate)?, self.deduction)
    }
}

/// A venue's table for one contract: at least one tier, from notional 0 on, rising.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tiers(Vec<Tier>);

/// Why rows are no table of tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TiersError {
    /// There is no tier.
    Empty,
    /// The first tier does not begin at 0.
    NoFirst,
    /// A tier does not begin above the one before it.
    Unordered {
        /// Its place, from 0.
        tier: usize,
    },
    /// A rate is not in (0, 1), or a leverage is below 1.
    OutOfRange {
        /// Its place, from 0.
        tier: usize,
    },
    /// A number is too large to compute with.
    Overflow,
}

impl fmt::Display for TiersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no tier"),
            Self::NoFirst => f.write_str("the first tier does not begin at a notional of 0"),
            Self::Unordered { tier } => write!(f, "tier {tier} does not begin above the one before it"),
            Self::OutOfRange { tier } => write!(f, "tier {tier} has a rate outside (0, 1) or a leverage below 1"),
            Self::Overflow => f.write_str("a tier is too large to compute with"),
        }
    }
}

impl std::error::Error for TiersError {}

impl Tiers {
    /// A table as the venue states it.
    ///
    /// # Errors
    /// The rows are no table.
    pub fn new(tiers: Vec<Tier>) -> Result<Self, TiersError> {
        let first = tiers.first().ok_or(TiersError::Empty)?;
        if !first.floor.is_zero() {
            return Err(TiersError::NoFirst);
        }
        for (tier, row) in tiers.iter().enumerate() {
            let before = tier.checked_sub(1).and_then(|before| tiers.get(before));
            if before.is_some_and(|before| before.floor >= row.floor) {
                return Err(TiersError::Unordered { tier });
            }
            let rate = row.maintenance_margin_rate;
            if rate <= Decimal::ZERO || rate >= Decimal::ONE || row.max_leverage < Decimal::ONE {
                return Err(TiersError::OutOfRange { tier });
            }
        }
        Ok(Self(tiers))
    }

    /// The same from (floor, rate, leverage) alone: deductions are those that leave no jump,
    /// `deduction[n] = deduction[n-1] + floor[n] * (rate[n] - rate[n-1])`.
    ///
    /// # Errors
    /// The rows are no table.
    pub fn continuous(rows: &[(Decimal, Decimal, Decimal)]) -> Result<Self, TiersError> {
        let mut tiers: Vec<Tier> = Vec::with_capacity(rows.len());
        for (floor, rate, max_leverage) in rows {
            let deduction = match tiers.last() {
                None => Some(Decimal::ZERO),
                Some(before) => rate
                    .checked_sub(before.maintenance_margin_rate)
                    .and_then(|step| step.checked_mul(*floor))
                    .and_then(|step| step.checked_add(before.deduction)),
            };
            let deduction = deduction.ok_or(TiersError::Overflow)?;
            tiers.push(Tier { floor: *floor, maintenance_margin_rate: *rate, deduction, max_leverage: *max_leverage });
        }
        Self::new(tiers)
    }

    /// The same where a tier's rate applies to all of a position: without deductions, from (floor, rate, leverage).
    ///
    /// # Errors
    /// The rows are no table.
    pub fn stepped(rows: &[(Decimal, Decimal, Decimal)]) -> Result<Self, TiersError> {
        let tier = |(floor, maintenance_margin_rate, max_leverage): &(Decimal, Decimal, Decimal)| Tier {
            floor: *floor,
            maintenance_margin_rate: *maintenance_margin_rate,
            deduction: Decimal::ZERO,
            max_leverage: *max_leverage,
        };
        Self::new(rows.iter().map(tier).collect())
    }

    /// The tiers, rising.
    #[must_use]
    pub fn rows(&self) -> &[Tier] {
        &self.0
    }

    /// The tier of a position of this notional: the last whose floor is not above it.
    #[must_use]
    pub fn at(&self, notional: Decimal) -> &Tier {
        let above = self.0.partition_point(|tier| tier.floor <= notional);
        &self.0[above.saturating_sub(1)]
    }

    /// Maintenance margin of a position of this notional, in the same unit.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn maintenance_margin(&self, notional: Decimal) -> Result<Decimal, Refusal> {
        self.at(notional).maintenance_margin(notional)
    }

    /// The largest notional whose maintenance margin, in the same unit, is not above `margin`; 0 where there is no margin.
    /// With deductions that leave no jump, maintenance margin rises with the notional, so this is its inverse.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn covered_by(&self, margin: Decimal) -> Result<Decimal, Refusal> {
        let mut covered = Decimal::ZERO;
        let mut next = self.0.iter().skip(1).map(|tier| tier.floor);
        for tier in &self.0 {
            let end = next.next();
            if tier.maintenance_margin(tier.floor)? <= margin {
                // notional * rate - deduction = margin
                let most = over(plus(margin, tier.deduction)?, tier.maintenance_margin_rate)?;
                covered = end.map_or(most, |end| most.min(end));
            }
        }
        Ok(covered.max(Decimal::ZERO))
    }
}
