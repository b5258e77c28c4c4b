//! How prices stand to each other, so that a position need not be valued in every hour.
//!
//! With one collateral and one debt, health falls with one number alone: the collateral's price over the debt's. A
//! position is valued by the rules only in hours where that number is below a limit that errs on the safe side.

use std::collections::BTreeMap;
use std::ops::Range;

use super::markets::Market;
use super::prices::{Asset, HOURS, Prices};
use super::rules::{self, BPS, Position, Terms};

/// The scale of a ratio: 40 binary digits after the point.
const SCALE: u128 = 1 << 40;
/// Hours whose lowest ratio is kept, so that they are passed over at once.
const STRETCH: usize = 24;

/// Ratios of every two assets that a market lets meet.
#[derive(Debug, Clone)]
pub(crate) struct Ratios(BTreeMap<(Asset, Asset), Series>);

/// One price over another, hour by hour.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    ratios: Vec<u64>,
    lowest: Vec<u64>,
}

impl Ratios {
    /// The ratios that some markets need.
    pub(crate) fn of_markets(markets: &[Market], prices: &Prices) -> Self {
        let mut ratios = BTreeMap::new();
        for market in markets {
            for (collateral, _) in &market.collaterals {
                for (debt, _) in &market.debts {
                    ratios
                        .entry((collateral.asset, debt.asset))
                        .or_insert_with(|| Series::of(prices.path(collateral.asset), prices.path(debt.asset)));
                }
            }
        }
        Self(ratios)
    }

    /// The ratio of a collateral's price to a debt's.
    pub(crate) fn of(&self, collateral: Asset, debt: Asset) -> &Series {
        &self.0[&(collateral, debt)]
    }

    /// A ratio at and above which a position is healthy:
    /// health < 1 needs `collateral * price * threshold / unit < debt * price * 10000 / unit`, and a millionth more covers
    /// what the rules and the scale round.
    pub(crate) fn limit(position: Position, terms: &Terms) -> u64 {
        let exact = rules::mul_div(
            &[position.debt, BPS, terms.collateral.unit, SCALE],
            &[position.collateral, terms.threshold_bps, terms.debt.unit],
        );
        u64::try_from(exact + exact / 1_000_000 + 2).unwrap_or(u64::MAX)
    }
}

impl Series {
    fn of(over: &[u64], under: &[u64]) -> Self {
        let ratio = |(over, under): (&u64, &u64)| {
            u64::try_from(u128::from(*over) * SCALE / u128::from(*under)).unwrap_or(u64::MAX)
        };
        let ratios: Vec<u64> = over.iter().zip(under).map(ratio).collect();
        let lowest = ratios.chunks(STRETCH).map(|some| some.iter().copied().min().unwrap_or(u64::MAX)).collect();
        Self { ratios, lowest }
    }

    /// The first of some hours with a ratio below a limit.
    pub(crate) fn next_below(&self, limit: u64, hours: Range<usize>) -> Option<usize> {
        let end = hours.end.min(HOURS);
        let mut hour = hours.start;
        while hour < end {
            let stretch = hour / STRETCH;
            let stretch_end = ((stretch + 1) * STRETCH).min(end);
            if self.lowest[stretch] < limit {
                let found = self.ratios[hour..stretch_end].iter().position(|ratio| *ratio < limit);
                if let Some(offset) = found {
                    return Some(hour + offset);
                }
            }
            hour = stretch_end;
        }
        None
    }
}
