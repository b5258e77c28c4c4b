//! GMX v2.
//!
//! `PositionUtils.isPositionLiquidatable`: a position is liquidated when what remains of its collateral, with its profit, is
//! not above 0, is less than the market's minimum in US dollars, or less than a share of its size. Sizes in dollars and in
//! tokens are fixed when it is opened.
//!
//! ```text
//! remaining = collateral + side * (tokens * p - usd) + impact - fees
//! required  = max(usd * factor, minimum)
//! ```
//!
//! `sdk/src/utils/positions/utils.ts` solves `remaining = required` for the price; with collateral in the index token,
//! `collateral * p` moves along. Prices of the oracle are a pair (min, max); one price stands for both here.

use rust_decimal::Decimal;

use super::margin::positive;
use super::surplus::{Line, Surplus, minus, plus, times};
use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
use super::{Assumes, Liquidation, Quantity, Reach, Refusal, Side, Venue};

/// What backs a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collateral {
    /// US dollars' worth of a token that is not the index: its price is assumed to stay.
    Usd(Decimal),
    /// Tokens of the index itself.
    Index(Decimal),
}

/// A position, with what the market asks of it. Amounts in US dollars unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which way.
    pub side: Side,
    /// `sizeInUsd`.
    pub size_usd: Decimal,
    /// `sizeInTokens`, in whole tokens.
    pub size_tokens: Decimal,
    /// What backs it.
    pub collateral: Collateral,
    /// Pending borrowing and funding fees, and the fees for closing and for liquidation.
    pub fees: Decimal,
    /// The impact that closing it would have on the price: negative is a loss. A gain is not counted.
    pub price_impact: Decimal,
    /// `maxPositionImpactFactorForLiquidations`: the share of its size beyond which a loss is not counted.
    pub max_impact_factor: Decimal,
    /// `minCollateralFactorForLiquidation`, a share of the size.
    pub min_collateral_factor: Decimal,
    /// `minCollateralUsd`.
    pub min_collateral: Decimal,
}

impl Position {
    /// What must remain: `max(usd * factor, minimum)`.
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn required(&self) -> Result<Decimal, Refusal> {
        Ok(times(self.size_usd, self.min_collateral_factor)?.max(self.min_collateral))
    }

    /// The price of the index token at which it is liquidated, counted from the oracle's price.
    ///
    /// # Errors
    /// A size or a price that is not positive, fees below 0, [`Refusal::Overflow`].
    pub fn liquidation_price(&self, mark: Decimal) -> Result<Liquidation, Refusal> {
        let line = self.remaining()?.sub(Line { constant: self.required()?, slope: Decimal::ZERO })?;
        self.reach(line, mark, self.required()?.is_zero())
    }

    /// The price at which nothing remains of its collateral.
    ///
    /// # Errors
    /// As for [`liquidation_price`](Self::liquidation_price).
    pub fn bankruptcy_price(&self, mark: Decimal) -> Result<Liquidation, Refusal> {
        self.reach(self.remaining()?, mark, true)
    }

    fn reach(&self, line: Line, mark: Decimal, at_equality: bool) -> Result<Liquidation, Refusal> {
        positive(mark, Quantity::Mark)?;
        let assumes = match self.collateral {
            Collateral::Usd(_) => Assumes::OthersStay,
            Collateral::Index(_) => Assumes::Nothing,
        };
        Ok(Liquidation { reach: Reach::of(&Surplus::new(line, Vec::new())?, mark, at_equality)?, assumes })
    }

    fn remaining(&self) -> Result<Line, Refusal> {
        positive(self.size_usd, Quantity::Size)?;
        positive(self.size_tokens, Quantity::Size)?;
        if self.fees < Decimal::ZERO {
            return Err(Refusal::Negative(Quantity::Fees));
        }
        let worst = minus(Decimal::ZERO, times(self.size_usd, self.max_impact_factor)?)?;
        let impact = self.price_impact.min(Decimal::ZERO).max(worst);
        // side * tokens * p - side * usd + impact - fees
        let profit = Line {
            constant: minus(minus(impact, self.fees)?, times(self.side.sign(), self.size_usd)?)?,
            slope: times(self.side.sign(), self.size_tokens)?,
        };
        Ok(match self.collateral {
            Collateral::Usd(usd) => Line { constant: plus(profit.constant, usd)?, ..profit },
            Collateral::Index(tokens) => Line { slope: plus(profit.slope, tokens)?, ..profit },
        })
    }
}

/// A liquidation closes the whole position against the pool at the oracle's price, and the pool bears what the collateral
/// does not cover. Where traders' profits exceed a share of the pool, a keeper closes profitable positions, at the oracle's
/// price, too.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::GmxV2,
    nets_hedges: false,
    order: Order::Pool,
    amount: Amount::Whole,
    repeats: false,
    backstop: Backstop::Pool,
    deleveraging: Deleveraging { rank: Rank::Keeper, price: DeleveragingPrice::Oracle },
};
