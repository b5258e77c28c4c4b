//! From a venue's sizes to coins and value.

use rust_decimal::Decimal;

use super::{Instrument, TierTable};
use crate::venue::{Contract, Tier, Tiers};

/// In what a number of a venue is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Measure {
    /// The coin.
    Coins,
    /// The currency prices are in.
    Quote,
    /// Contracts.
    Contracts,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 3] = [Self::Coins, Self::Quote, Self::Contracts];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Coins => "coins",
            Self::Quote => "quote",
            Self::Contracts => "contracts",
        }
    }

    /// The measure a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.word() == word)
    }
}

impl Instrument {
    /// Whether the venue's size is in units other than the coin.
    #[must_use]
    pub fn counts_contracts(&self) -> bool {
        match self.contract {
            Contract::Linear => self.contract_size != Decimal::ONE,
            Contract::Inverse => true,
        }
    }

    /// How the venue counts sizes.
    #[must_use]
    pub fn measure(&self) -> Measure {
        if self.counts_contracts() { Measure::Contracts } else { Measure::Coins }
    }

    /// A size of the venue's in coins: `size * contract_size` of a linear contract, `size * contract_size / price` of an inverse
    /// one, rounded half to even at the 28th digit. None where it is too large, or an inverse contract has no price above 0.
    #[must_use]
    pub fn coins(&self, size: Decimal, price: Option<Decimal>) -> Option<Decimal> {
        let units = size.checked_mul(self.contract_size)?;
        match self.contract {
            Contract::Linear => Some(units),
            Contract::Inverse => units.checked_div(price.filter(|price| *price > Decimal::ZERO)?),
        }
    }

    /// A size of the venue's in the quote currency: `size * contract_size * price` of a linear contract, `size * contract_size` of an
    /// inverse one, whatever the price. None where it is too large, or a linear contract has no price.
    #[must_use]
    pub fn value(&self, size: Decimal, price: Option<Decimal>) -> Option<Decimal> {
        let units = size.checked_mul(self.contract_size)?;
        match self.contract {
            Contract::Linear => units.checked_mul(price?),
            Contract::Inverse => Some(units),
        }
    }

    /// Whether a value in the quote currency is one in US dollars: the currency is the dollar or a coin meant to be worth one.
    #[must_use]
    pub fn is_in_dollars(&self) -> bool {
        matches!(&*self.quote, "USD" | "USDT" | "USDC" | "FDUSD" | "BUSD" | "TUSD" | "USDE" | "USD1")
    }
}

impl TierTable {
    /// The tiers with floors and deductions in the unit in which the venue's rule ranks a position of the instrument. A venue that states
    /// them in contracts ranks by size ([`TieredBy::Size`](crate::venue::TieredBy::Size)), whatever the price: they become
    /// contracts times their size, the coins of a linear contract and the quote currency of an inverse one, as
    /// [`Position::size`](crate::venue::Position::size) is. All others rank by notional: the quote currency of a linear contract, the
    /// coin of an inverse one. None where a price is needed that is not above 0, or a number is too large.
    #[must_use]
    pub fn at(&self, instrument: &Instrument, price: Decimal) -> Option<Tiers> {
        let turned = |amount: Decimal| match (self.floors, instrument.contract) {
            (Measure::Quote, Contract::Linear) | (Measure::Coins, Contract::Inverse) => Some(amount),
            (Measure::Coins, Contract::Linear) => amount.checked_mul(price).filter(|_| price > Decimal::ZERO),
            (Measure::Quote, Contract::Inverse) => amount.checked_div(Some(price).filter(|p| *p > Decimal::ZERO)?),
            (Measure::Contracts, Contract::Linear | Contract::Inverse) => amount.checked_mul(instrument.contract_size),
        };
        let rows = self
            .tiers
            .rows()
            .iter()
            .map(|row| Some(Tier { floor: turned(row.floor)?, deduction: turned(row.deduction)?, ..*row }));
        Tiers::new(rows.collect::<Option<Vec<_>>>()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venue::{Opening, Refusal, Side, Venue, okx};

    fn instrument(contract: Contract, size: i64, scale: u32) -> Instrument {
        Instrument {
            venue: Venue::Okx,
            symbol: "X".into(),
            base: "BTC".into(),
            quote: "USD".into(),
            contract,
            contract_size: Decimal::new(size, scale),
            funding_interval: None,
        }
    }

    #[test]
    fn sizes_become_coins_and_value() {
        let price = Some(Decimal::from(50_000));
        let (ten, half) = (Decimal::TEN, Decimal::new(5, 1));
        // OKX's BTC-USDT-SWAP has 0.01 BTC a contract; its BTC-USD-SWAP and Binance's BTCUSD_PERP 100 USD.
        for (contract, size, scale, coins, value) in [
            (Contract::Linear, 1, 2, Some(Decimal::new(1, 1)), Some(Decimal::from(5_000))),
            (Contract::Linear, 1, 0, Some(ten), Some(Decimal::from(500_000))),
            (Contract::Inverse, 100, 0, Some(Decimal::new(2, 2)), Some(Decimal::from(1_000))),
        ] {
            let instrument = instrument(contract, size, scale);
            assert_eq!(
                (instrument.coins(ten, price), instrument.value(ten, price)),
                (coins, value),
                "{contract:?} {size}"
            );
        }
        let inverse = instrument(Contract::Inverse, 100, 0);
        assert_eq!(inverse.coins(half, None), None);
        assert_eq!(inverse.coins(half, Some(Decimal::ZERO)), None);
        assert_eq!(instrument(Contract::Linear, 1, 0).value(half, None), None);
        assert_eq!(inverse.coins(Decimal::MAX, price), None, "too large");
    }

    #[test]
    fn tiers_follow_the_unit_of_the_contract() {
        let tiers = Tiers::continuous(&[
            (Decimal::ZERO, Decimal::new(4, 3), Decimal::from(100)),
            (Decimal::from(1_000), Decimal::new(1, 2), Decimal::from(50)),
        ])
        .unwrap();
        let price = Decimal::from(20_000);
        let floor = |contract, size, scale, floors| {
            let table = TierTable { tiers: tiers.clone(), floors };
            let tiers = table.at(&instrument(contract, size, scale), price)?;
            Some((tiers.rows()[1].floor, tiers.rows()[1].deduction))
        };
        let deduction = tiers.rows()[1].deduction;
        let times = |factor: Decimal| Some((Decimal::from(1_000) * factor, deduction * factor));
        assert_eq!(floor(Contract::Linear, 1, 0, Measure::Quote), times(Decimal::ONE));
        assert_eq!(floor(Contract::Inverse, 1, 0, Measure::Coins), times(Decimal::ONE));
        assert_eq!(floor(Contract::Linear, 1, 0, Measure::Coins), times(price));
        // A thousand contracts of 0.01 BTC are 10 BTC, and of 100 USD 100,000 USD, at whatever price.
        assert_eq!(floor(Contract::Linear, 1, 2, Measure::Contracts), times(Decimal::new(1, 2)));
        assert_eq!(floor(Contract::Inverse, 100, 0, Measure::Contracts), times(Decimal::ONE_HUNDRED));
        let table = TierTable { tiers: tiers.clone(), floors: Measure::Coins };
        assert_eq!(table.at(&instrument(Contract::Linear, 1, 0), Decimal::ZERO), None);
    }

    #[test]
    fn a_position_is_ranked_by_contracts_where_its_venue_does() {
        // Up to 1,000 contracts a leverage of 100, from there on one of 50.
        let tiers = Tiers::stepped(&[
            (Decimal::ZERO, Decimal::new(4, 3), Decimal::ONE_HUNDRED),
            (Decimal::from(1_000), Decimal::new(1, 2), Decimal::from(50)),
        ])
        .unwrap();
        let table = TierTable { tiers, floors: Measure::Contracts };
        // At 20,000 USD, 1,000 contracts of 0.01 BTC are worth 200,000 USD, and of 100 USD 100,000.
        let entry = Decimal::from(20_000);
        for (contract, size, scale, notional, leverage, allowed) in [
            (Contract::Linear, 1, 2, 199_980, 100, Ok(())),
            (Contract::Linear, 1, 2, 200_000, 100, Err(50)),
            (Contract::Linear, 1, 2, 200_000, 50, Ok(())),
            (Contract::Inverse, 100, 0, 99_900, 100, Ok(())),
            (Contract::Inverse, 100, 0, 100_000, 100, Err(50)),
            (Contract::Inverse, 100, 0, 100_000, 50, Ok(())),
        ] {
            let tiers = table.at(&instrument(contract, size, scale), entry).unwrap();
            let opening = Opening {
                side: Side::Long,
                contract,
                entry,
                notional: Decimal::from(notional),
                leverage: Decimal::from(leverage),
                rule: okx::rule(Decimal::new(5, 4)),
                tiers: Some(&tiers),
            };
            let allowed = allowed.map_err(|allowed| Refusal::LeverageTooHigh { allowed: Decimal::from(allowed) });
            assert_eq!(opening.leg().map(drop), allowed, "{contract:?} of {notional} at {leverage}");
        }
    }
}
