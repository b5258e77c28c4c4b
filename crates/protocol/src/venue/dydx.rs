//! dYdX v4: `protocol/x/clob/keeper/liquidations.go`.

use rust_decimal::Decimal;

use super::margin::positive;
use super::surplus::{minus, over, times};
use super::unwind::{Amount, Backstop, Deleveraging, DeleveragingPrice, Order, Procedure, Rank};
use super::{Position, Quantity, Refusal, Rule, TieredBy, Valuation, Venue};

/// A subaccount is liquidated when its net collateral is below its maintenance requirement, both at oracle prices. A
/// market's rate does not depend on the position's size: its [`Tiers`](super::Tiers) are one tier.
pub const RULE: Rule = Rule {
    venue: Venue::DydxV4,
    valuation: Valuation::Moving,
    tiered_by: TieredBy::Notional,
    closing_fee: Decimal::ZERO,
    at_equality: false,
};

/// A subaccount at one moment, in the quote currency, as the prices at which its positions may be closed depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subaccount {
    /// `TNC`: quote balance plus every position's signed notional.
    pub net_collateral: Decimal,
    /// `TMMR`: the sum of maintenance requirements.
    pub maintenance: Decimal,
}

/// How far from the oracle's price liquidation orders may fill. In v4-chain these are parts per million.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillablePrice {
    /// `BA`: how fast the spread opens as collateral falls below the requirement.
    pub bankruptcy_adjustment: Decimal,
    /// `SMMR`: the widest spread, as a share of the position's maintenance requirement.
    pub spread_to_maintenance: Decimal,
}

/// The values at genesis: 1 and 1.5.
pub const GENESIS_FILLABLE_PRICE: FillablePrice = FillablePrice {
    bankruptcy_adjustment: Decimal::ONE,
    spread_to_maintenance: Decimal::from_parts(15, 0, 0, false, 1),
};

impl Subaccount {
    /// `GetFillablePrice`: the worst price, in quote currency, at which a liquidation order of this position fills. The
    /// chain keeps it as an exact fraction.
    ///
    /// ```text
    /// (PNNV - ABR * SMMR * PMMR) / PS    ABR = clamp(BA * (1 - TNC / TMMR), 0, 1)
    /// ```
    ///
    /// `PNNV` and `PS` are signed, so this is below the oracle's price for a long and above it for a short.
    ///
    /// # Errors
    /// A size, price or requirement that is not positive; [`Refusal::Overflow`].
    pub fn fillable_price(
        &self,
        position: &Position,
        position_maintenance: Decimal,
        oracle: Decimal,
        config: FillablePrice,
    ) -> Result<Decimal, Refusal> {
        positive(oracle, Quantity::Mark)?;
        positive(position.size, Quantity::Size)?;
        positive(self.maintenance, Quantity::Maintenance)?;
        let short_of = minus(Decimal::ONE, over(self.net_collateral, self.maintenance)?)?;
        let rating = times(config.bankruptcy_adjustment, short_of)?.clamp(Decimal::ZERO, Decimal::ONE);
        let spread = times(times(rating, config.spread_to_maintenance)?, position_maintenance)?;
        let notional = times(times(position.size, position.side.sign())?, oracle)?;
        over(minus(notional, spread)?, times(position.size, position.side.sign())?)
    }

    /// `GetBankruptcyPriceInQuoteQuantums` over the whole position, as a price: what the position must fetch so that the
    /// account loses no more than the position's share of its collateral. For a part of a position it is the same price.
    ///
    /// ```text
    /// -DNNV - TNC * |DMMR| / TMMR, with DNNV = -PNNV and DMMR = -PMMR:    (PNNV - TNC * PMMR / TMMR) / PS
    /// ```
    ///
    /// # Errors
    /// As for [`fillable_price`](Self::fillable_price).
    pub fn bankruptcy_price(
        &self,
        position: &Position,
        position_maintenance: Decimal,
        oracle: Decimal,
    ) -> Result<Decimal, Refusal> {
        positive(oracle, Quantity::Mark)?;
        positive(position.size, Quantity::Size)?;
        positive(self.maintenance, Quantity::Maintenance)?;
        let signed = times(position.size, position.side.sign())?;
        let share = over(times(self.net_collateral, position_maintenance)?, self.maintenance)?;
        over(minus(times(signed, oracle)?, share)?, signed)
    }
}

/// Values at genesis: a block liquidates at most a tenth of a position, but at least 1,000 USDC of it, and at most 100,000
/// USDC of a subaccount; the insurance fund pays at most 1,000,000 USDC for one. The fee, up to 1.5 %, goes to the fund.
/// `deleveraging.go`: without insurance, positions of the other side are closed at the bankruptcy price, from an account
/// that chance picks, skipping those whose own bankruptcy price would be passed.
pub const PROCEDURE: Procedure = Procedure {
    venue: Venue::DydxV4,
    nets_hedges: false,
    order: Order::FillablePrice,
    amount: Amount::PerBlock {
        share: Decimal::from_parts(1, 0, 0, false, 1),
        minimum: Decimal::from_parts(1_000, 0, 0, false, 0),
        account: Decimal::from_parts(100_000, 0, 0, false, 0),
    },
    repeats: true,
    backstop: Backstop::InsurancePays { per_block: Decimal::from_parts(1_000_000, 0, 0, false, 0) },
    deleveraging: Deleveraging { rank: Rank::Chance, price: DeleveragingPrice::Bankruptcy },
};
