//! What a liquidator's first call on an account moves.

use protocol::U256;
use protocol::aave::config::ReserveId;
use protocol::aave::liquidation::{Exposed, LiquidationTerms, Pair};
use protocol::aave::math::{Bps, Checked, MathError, Rounding, Wad, add, mul, sub, value};

use super::{Held, Market};
use protocol::amount::Usd8;

/// What one call moves, in US dollars of eight decimals, each floored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Money {
    /// Repaid.
    pub(super) repaid: u64,
    /// Taken from the account, the protocol's fee included.
    pub(super) seized: u64,
    /// By how much that is more.
    pub(super) bonus: u64,
    /// The protocol's share of it.
    pub(super) fee: u64,
    /// The rest of it where a move of the group's prices makes the call possible; else zero.
    pub(super) recapturable: u64,
}

/// Just below 1.
const NEAR: Wad = Wad(U256::from_limbs([999_999_999_999_999_999, 0, 0, 0]));

/// One leg at the prices of the call.
struct Priced {
    reserve: ReserveId,
    supplied: U256,
    owed: U256,
    price: U256,
    decimals: u8,
    /// Rough values, to choose by.
    about: (f64, f64),
}

impl Market {
    /// The call that pays the liquidator most, where the asset's price is `level`. `health` is the account's health factor
    /// if it was liquidatable before any price moved; else it is taken to be just below 1.
    pub(super) fn first_call(&self, e_mode: u8, legs: &[Held], level: Usd8, health: Option<Wad>) -> Option<Money> {
        self.checked_call(e_mode, legs, level, health).ok().flatten()
    }

    fn checked_call(&self, e_mode: u8, legs: &[Held], level: Usd8, health: Option<Wad>) -> Checked<Option<Money>> {
        let rules = self.revision.rules();
        let mut total_debt = U256::ZERO;
        let mut priced = Vec::with_capacity(legs.len());
        for leg in legs {
            let decimals = self.reserves[usize::from(leg.reserve.0)].config.decimals;
            let price = self.price(e_mode, leg.reserve, level).ok_or(MathError::DivisionByZero)?;
            let (supplied, owed) = (U256::from(leg.supplied), U256::from(leg.owed));
            total_debt = add(total_debt, value(owed, price, decimals, rules.debt_value)?)?;
            let unit = f64::from(price) / (0..decimals).fold(1.0, |power, _| power * 10.0);
            let about = (leg.supplied as f64 * unit, leg.owed as f64 * unit);
            priced.push(Priced { reserve: leg.reserve, supplied, owed, price, decimals, about });
        }
        // Without collateral that pays a bonus there is nothing to take: a call moves nothing.
        let Some((pair, collateral, debt)) = self.best_pair(e_mode, &priced) else { return Ok(Some(Money::default())) };
        let exposed = Exposed {
            health_factor: health.unwrap_or(NEAR),
            total_debt,
            debt: debt.owed,
            collateral: collateral.supplied,
        };
        let asked = pair.most_repaid(self.revision, &exposed)?;
        let amounts = pair.amounts(self.revision, asked, collateral.supplied)?;
        let seized = amounts.seized()?;
        let of_collateral = |amount| value(amount, collateral.price, collateral.decimals, Rounding::Floor);
        let repaid = value(amounts.debt.min(asked), debt.price, debt.decimals, Rounding::Floor)?;
        let (seized, fee) = (of_collateral(seized)?, of_collateral(amounts.fee)?);
        let bonus = seized.saturating_sub(repaid);
        let usd = |base: U256| self.usd(base, level).and_then(|usd| u64::try_from(usd.0).ok());
        let money = || {
            Some(Money {
                repaid: usd(repaid)?,
                seized: usd(seized)?,
                bonus: usd(bonus)?,
                fee: usd(fee.min(bonus))?,
                recapturable: if health.is_none() { usd(sub(bonus, fee.min(bonus)).ok()?)? } else { 0 },
            })
        };
        Ok(money())
    }

    /// The collateral and the debt that leave the liquidator most: the lesser of what may be repaid and what the collateral
    /// pays for, times the bonus that the protocol leaves. Of equals the first.
    fn best_pair<'a>(&self, e_mode: u8, legs: &'a [Priced]) -> Option<(Pair, &'a Priced, &'a Priced)> {
        let mut best: Option<(f64, Pair, &Priced, &Priced)> = None;
        for collateral in legs.iter().filter(|leg| !leg.supplied.is_zero()) {
            let config = &self.reserves[usize::from(collateral.reserve.0)].config;
            let terms = LiquidationTerms::of(self.revision, &self.e_modes, e_mode, collateral.reserve, config);
            if terms.bonus < Bps::ONE {
                continue;
            }
            let bonus = f64::from(terms.bonus.0) / 1e4 - 1.0;
            let kept = bonus * (1.0 - f64::from(terms.protocol_fee.0) / 1e4);
            for debt in legs.iter().filter(|leg| !leg.owed.is_zero()) {
                let pays = debt.about.1.min(collateral.about.0 / (1.0 + bonus)) * kept;
                if best.as_ref().is_none_or(|(most, ..)| pays > *most) {
                    let pair = Pair {
                        collateral_price: collateral.price,
                        collateral_decimals: collateral.decimals,
                        debt_price: debt.price,
                        debt_decimals: debt.decimals,
                        bonus: terms.bonus,
                        protocol_fee: terms.protocol_fee,
                    };
                    best = Some((pays, pair, collateral, debt));
                }
            }
        }
        best.map(|(_, pair, collateral, debt)| (pair, collateral, debt))
    }

    /// A value in base currency as US dollars of eight decimals where the asset's price is `level`, floored.
    pub(super) fn usd(&self, base: U256, level: Usd8) -> Option<Usd8> {
        let dollar = if self.group.base_moves { self.moved(self.dollar, true, level)? } else { self.dollar };
        let usd = mul(base, U256::from(100_000_000_u64)).ok()?.checked_div(dollar)?;
        i128::try_from(u128::try_from(usd).ok()?).ok().map(Usd8)
    }
}
