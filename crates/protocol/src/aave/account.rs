//! What an account is worth to the pool: collateral, debt, averages, health factor, borrowing power.
//!
//! Sources: `GenericLogic.calculateUserAccountData` and `calculateAvailableBorrows` of each revision. Values are in the
//! market's base currency: US dollars with eight decimals in V3, ether with eighteen in most V2 markets.
//!
//! One account in a pool is valued by [`account_data`]; many accounts under the same prices by a [`Valuation`], which
//! rolls every index forward once. Both feed the same sums. What the pool passes over, a reserve it does not list or a
//! category it does not know, a valuation refuses.

use std::collections::BTreeMap;

use alloy_primitives::U256;

use super::config::{CollateralTerms, EMode, MAX_RESERVES, ReserveId, UserFlags};
use super::math::{
    Bps, Checked, MathError, RAY_DECIMALS, Ray, Rounding, Wad, add, div, mul, narrow, narrow_mul_div_pow10,
    percent_mul, percent_mul_half_up, value, wad_div_half_up,
};
use super::reserve::{Reserve, StableDebt};
use super::revision::{EModeRule, Revision, Rules};

/// Below this health factor a position can be liquidated: 1.
pub const LIQUIDATION_HEALTH_FACTOR: Wad = Wad::ONE;

/// What is the same for everyone at one block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block {
    /// Seconds since 1970.
    pub now: u64,
    /// The price of one whole token of each reserve, by its number, in base currency.
    pub prices: Vec<U256>,
    /// The price an e-mode category brings for all its reserves (3.0, 3.1).
    pub e_mode_prices: BTreeMap<u8, U256>,
    /// What the sentinel answers, if the market has one.
    pub sentinel: Option<Sentinel>,
}

/// What a price-oracle sentinel answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentinel {
    /// `isBorrowAllowed()`.
    pub borrow_allowed: bool,
    /// `isLiquidationAllowed()`.
    pub liquidation_allowed: bool,
}

impl Block {
    /// The price of one whole token.
    ///
    /// # Errors
    /// The block has no price for the reserve: the oracle would revert.
    pub fn price(&self, id: ReserveId) -> Checked<U256> {
        // A source that answers zero sends the oracle to its fallback, which no market has.
        self.prices.get(usize::from(id.0)).copied().filter(|price| !price.is_zero()).ok_or(MathError::DivisionByZero)
    }

    /// The price for an account in a category, which may bring its own.
    ///
    /// # Errors
    /// As [`price`](Self::price).
    pub fn price_in(&self, id: ReserveId, reserve: &Reserve, category: Option<(u8, EMode)>) -> Checked<U256> {
        match category {
            Some((number, category)) if category.has_price_source && reserve.config.e_mode_category == number => {
                self.e_mode_price(number, id)
            }
            _ => self.price(id),
        }
    }

    /// The price a category brings, or else the reserve's own.
    ///
    /// # Errors
    /// As [`price`](Self::price).
    pub fn e_mode_price(&self, category: u8, otherwise: ReserveId) -> Checked<U256> {
        match self.e_mode_prices.get(&category).filter(|price| !price.is_zero()) {
            Some(price) => Ok(*price),
            None => self.price(otherwise),
        }
    }
}

/// One account's holdings in one reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Scaled supply, `AToken.scaledBalanceOf`.
    pub supplied: U256,
    /// Scaled variable debt, `VariableDebtToken.scaledBalanceOf`.
    pub borrowed: U256,
    /// The variable index when the debt was last touched, `getPreviousIndex` (3.0+).
    pub borrow_index: Ray,
    /// Stable debt (to 3.1).
    pub stable: StableDebt,
}

/// One account in one pool.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Account {
    /// What it borrows and uses as collateral.
    pub flags: UserFlags,
    /// Its e-mode category, 0 for none.
    pub e_mode: u8,
    /// Its holdings.
    pub positions: BTreeMap<ReserveId, Position>,
}

impl Account {
    /// Its holdings in one reserve.
    #[must_use]
    pub fn position(&self, id: ReserveId) -> Position {
        self.positions.get(&id).copied().unwrap_or_default()
    }
}

/// What `getUserAccountData` returns, and whether some collateral lends nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountData {
    /// Value of the collateral, in base currency.
    pub total_collateral: U256,
    /// Value of the debt, in base currency.
    pub total_debt: U256,
    /// What can still be borrowed, in base currency.
    pub available_borrows: U256,
    /// The average liquidation threshold, floored.
    pub liquidation_threshold: Bps,
    /// The average loan-to-value, floored.
    pub ltv: Bps,
    /// [`Wad::INFINITE`] without debt.
    pub health_factor: Wad,
    /// Some collateral lends nothing (3.0+).
    pub has_zero_ltv_collateral: bool,
}

impl AccountData {
    /// What the pool says of an account with no bit set.
    pub const EMPTY: Self = Self {
        total_collateral: U256::ZERO,
        total_debt: U256::ZERO,
        available_borrows: U256::ZERO,
        liquidation_threshold: Bps(0),
        ltv: Bps(0),
        health_factor: Wad::INFINITE,
        has_zero_ltv_collateral: false,
    };

    /// Whether anyone may liquidate the account.
    #[must_use]
    pub fn is_liquidatable(&self) -> bool {
        self.health_factor < LIQUIDATION_HEALTH_FACTOR
    }
}

/// One reserve as an account in one category sees it at one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// The liquidity index now.
    pub income: Ray,
    /// The variable borrow index now.
    pub debt: Ray,
    /// The price of one whole token, in base currency.
    pub price: U256,
    /// Decimals of the token.
    pub decimals: u8,
    /// Loan-to-value and threshold.
    pub terms: CollateralTerms,
}

impl Quote {
    /// Rolls one reserve forward.
    ///
    /// # Errors
    /// A product leaves 256 bits, time runs back, or there is no price.
    pub(super) fn of(
        rules: &Rules,
        id: ReserveId,
        reserve: &Reserve,
        category: Option<(u8, EMode)>,
        block: &Block,
    ) -> Checked<Self> {
        Ok(Self {
            income: reserve.normalized_income(block.now)?,
            debt: reserve.normalized_debt(rules, block.now)?,
            // Since 3.2 a category brings no price, whatever an upgrade left in the reserve's configuration.
            price: block.price_in(id, reserve, category)?,
            decimals: reserve.config.decimals,
            terms: CollateralTerms::of(rules, id, &reserve.config, category),
        })
    }

    /// The value of scaled supply.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    #[inline]
    pub fn collateral_value(&self, rules: &Rules, scaled: U256) -> Checked<U256> {
        // 8 decimals = (token decimals + 8 decimals) - token decimals
        value(rules.scaling.supply_balance(scaled, self.income)?, self.price, self.decimals, Rounding::Floor)
    }

    /// The value of scaled variable debt and of stable debt with its interest.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    #[inline]
    pub fn debt_value(&self, rules: &Rules, scaled: U256, stable: U256) -> Checked<U256> {
        let owed = add(rules.scaling.debt_balance(scaled, self.debt)?, stable)?;
        value(owed, self.price, self.decimals, rules.debt_value)
    }
}

/// The same in 128 bits, which hold what markets hold; none where they do not.
impl Quote {
    #[inline(always)]
    fn narrow_collateral_value(&self, rules: &Rules, scaled: u128) -> Option<u128> {
        let rounding = rules.scaling.either(Rounding::Floor);
        let balance = narrow_mul_div_pow10(scaled, narrow(self.income.0)?, RAY_DECIMALS, rounding)?;
        narrow_mul_div_pow10(balance, narrow(self.price)?, self.decimals, Rounding::Floor)
    }

    #[inline(always)]
    fn narrow_debt_value(&self, rules: &Rules, scaled: u128, stable: u128) -> Option<u128> {
        let rounding = rules.scaling.either(Rounding::Ceil);
        let variable = narrow_mul_div_pow10(scaled, narrow(self.debt.0)?, RAY_DECIMALS, rounding)?;
        let owed = variable.checked_add(stable)?;
        narrow_mul_div_pow10(owed, narrow(self.price)?, self.decimals, rules.debt_value)
    }
}

/// Sums over an account's reserves, in the pool's order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sums {
    pub(super) collateral: U256,
    pub(super) debt: U256,
    by_ltv: U256,
    /// Of value times threshold in basis points.
    pub(super) by_threshold: U256,
    has_zero_ltv_collateral: bool,
}

impl Sums {
    pub(super) const NONE: Self = Self {
        collateral: U256::ZERO,
        debt: U256::ZERO,
        by_ltv: U256::ZERO,
        by_threshold: U256::ZERO,
        has_zero_ltv_collateral: false,
    };

    #[inline]
    pub(super) fn add_collateral(&mut self, terms: &CollateralTerms, value: U256) -> Checked<()> {
        self.collateral = add(self.collateral, value)?;
        if terms.lends_nothing {
            self.has_zero_ltv_collateral = true;
        } else {
            self.by_ltv = add(self.by_ltv, mul(value, terms.ltv.wide())?)?;
        }
        self.by_threshold = add(self.by_threshold, mul(value, terms.liquidation_threshold.wide())?)?;
        Ok(())
    }

    pub(super) fn finish(&self, rules: &Rules) -> Checked<AccountData> {
        let average = |sum: U256| {
            if self.collateral.is_zero() {
                return Ok(Bps(0));
            }
            // A mean of 16-bit numbers fits 16 bits.
            u16::try_from(div(sum, self.collateral)?).map(Bps).map_err(|_| MathError::Overflow)
        };
        let (ltv, liquidation_threshold) = (average(self.by_ltv)?, average(self.by_threshold)?);
        let power = percent_mul(self.collateral, ltv, rules.borrowing_power)?;
        Ok(AccountData {
            total_collateral: self.collateral,
            total_debt: self.debt,
            available_borrows: power.saturating_sub(self.debt),
            liquidation_threshold,
            ltv,
            health_factor: self.health_factor(rules, liquidation_threshold)?,
            has_zero_ltv_collateral: self.has_zero_ltv_collateral && rules.tracks_zero_ltv,
        })
    }

    fn health_factor(&self, rules: &Rules, average_threshold: Bps) -> Checked<Wad> {
        if self.debt.is_zero() {
            return Ok(Wad::INFINITE);
        }
        if rules.unaveraged_health {
            // 18 decimals = (base + 4 decimals) + 18 decimals - base - 4 decimals
            return div(wad_div_half_up(self.by_threshold, self.debt)?, U256::from(10_000_u16)).map(Wad);
        }
        wad_div_half_up(percent_mul_half_up(self.collateral, average_threshold)?, self.debt).map(Wad)
    }
}

/// Values one account, `getUserAccountData`.
///
/// # Errors
/// Where the contract reverts: a product leaves 256 bits, or a reserve it touches has no price.
pub fn account_data(
    revision: Revision,
    reserves: &[Reserve],
    e_modes: &BTreeMap<u8, EMode>,
    account: &Account,
    block: &Block,
) -> Checked<AccountData> {
    if account.flags.is_empty() {
        return Ok(AccountData::EMPTY);
    }
    let rules = revision.rules();
    let category = category_of(rules, e_modes, account.e_mode);
    let mut sums = Sums::NONE;
    for id in account.flags.reserves() {
        let Some(reserve) = reserves.get(usize::from(id.0)) else {
            continue;
        };
        let quote = Quote::of(rules, id, reserve, category, block)?;
        let position = account.position(id);
        if account.flags.is_collateral(id) && counts_as_collateral(rules, reserve) {
            sums.add_collateral(&quote.terms, quote.collateral_value(rules, position.supplied)?)?;
        }
        if account.flags.is_borrowing(id) {
            let stable = position.stable.balance(rules, block.now)?;
            sums.debt = add(sums.debt, quote.debt_value(rules, position.borrowed, stable)?)?;
        }
    }
    sums.finish(rules)
}

/// To 3.5 a reserve's own threshold decides, even inside a category.
pub(super) fn counts_as_collateral(rules: &Rules, reserve: &Reserve) -> bool {
    !rules.needs_threshold || reserve.config.liquidation_threshold.0 != 0
}

/// An account's category, where the revision has categories. An unknown one has all parameters at zero, and none has a
/// price where the revision does not ask for it.
#[must_use]
pub(crate) fn category_of(rules: &Rules, e_modes: &BTreeMap<u8, EMode>, number: u8) -> Option<(u8, EMode)> {
    if number == 0 || rules.e_mode == EModeRule::None {
        return None;
    }
    let category = e_modes.get(&number).copied().unwrap_or_default();
    let has_price_source = category.has_price_source && rules.e_mode == EModeRule::OneCategory;
    Some((number, EMode { has_price_source, ..category }))
}

/// One reserve of one account, as a batch holds it: scaled balances below 2^128, 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Scaled supply.
    pub supplied: u128,
    /// Scaled variable debt.
    pub borrowed: u128,
    /// Stable debt with interest to the valuation's block, [`StableDebt::balance`] (to 3.1).
    pub stable_debt: u128,
    /// Which reserve.
    pub reserve: ReserveId,
    /// The collateral bit.
    pub is_collateral: bool,
    /// The borrowing bit.
    pub is_borrowing: bool,
}

/// All reserves at one block, for valuing many accounts under the same prices.
#[derive(Debug, Clone)]
pub struct Valuation {
    rules: &'static Rules,
    /// Category 0, and then each category by number; each has every reserve, and whether it can be collateral.
    categories: Vec<Option<Vec<(Quote, bool)>>>,
}

impl Valuation {
    /// Rolls every reserve forward once.
    ///
    /// # Errors
    /// A product leaves 256 bits, time runs back, a reserve has no price, or there are more reserves than a pool lists.
    pub fn new(
        revision: Revision,
        reserves: &[Reserve],
        e_modes: &BTreeMap<u8, EMode>,
        block: &Block,
    ) -> Checked<Self> {
        let rules = revision.rules();
        if reserves.len() > usize::from(MAX_RESERVES) {
            return Err(MathError::Overflow);
        }
        let row = |number: u8| -> Checked<Vec<(Quote, bool)>> {
            let category = category_of(rules, e_modes, number);
            (0..MAX_RESERVES)
                .map(ReserveId)
                .zip(reserves)
                .map(|(id, reserve)| {
                    Ok((Quote::of(rules, id, reserve, category, block)?, counts_as_collateral(rules, reserve)))
                })
                .collect()
        };
        let largest = e_modes.keys().next_back().copied().unwrap_or(0);
        let categories = (0..=largest)
            .map(|number| (number == 0 || e_modes.contains_key(&number)).then(|| row(number)).transpose())
            .collect::<Checked<Vec<_>>>()?;
        Ok(Self { rules, categories })
    }

    /// One reserve for accounts in a category; `None` if it is not listed or the category unknown.
    #[must_use]
    pub fn quote(&self, e_mode: u8, id: ReserveId) -> Option<&Quote> {
        self.row(e_mode)?.get(usize::from(id.0)).map(|(quote, _)| quote)
    }

    /// What differs between revisions, in the one that is valued.
    #[must_use]
    pub fn rules(&self) -> &'static Rules {
        self.rules
    }

    /// Every known category by its number, 0 first: each reserve in order, and whether it can be collateral.
    pub fn categories(&self) -> impl Iterator<Item = (u8, &[(Quote, bool)])> {
        (0..=u8::MAX).zip(&self.categories).filter_map(|(number, row)| Some((number, row.as_deref()?)))
    }

    fn row(&self, e_mode: u8) -> Option<&[(Quote, bool)]> {
        self.categories.get(usize::from(e_mode))?.as_deref()
    }

    /// An account's sums in 128 bits, if all of it fits and is known.
    #[inline]
    fn narrow_sums(&self, row: &[(Quote, bool)], legs: &[Leg]) -> Option<Sums> {
        let [mut collateral, mut debt, mut by_ltv, mut by_threshold] = [0_u128; 4];
        let mut has_zero_ltv_collateral = false;
        for leg in legs {
            let (quote, counts) = row.get(usize::from(leg.reserve.0))?;
            if leg.is_collateral && *counts {
                let value = quote.narrow_collateral_value(self.rules, leg.supplied)?;
                // A product with a 16-bit number fits.
                let value = (value >> 112 == 0).then_some(value)?;
                let weighted = |bps: Bps| value.wrapping_mul(u128::from(bps.0));
                collateral = collateral.checked_add(value)?;
                if quote.terms.lends_nothing {
                    has_zero_ltv_collateral = true;
                } else {
                    by_ltv = by_ltv.checked_add(weighted(quote.terms.ltv))?;
                }
                by_threshold = by_threshold.checked_add(weighted(quote.terms.liquidation_threshold))?;
            }
            if leg.is_borrowing {
                debt = debt.checked_add(quote.narrow_debt_value(self.rules, leg.borrowed, leg.stable_debt)?)?;
            }
        }
        let [collateral, debt, by_ltv, by_threshold] = [collateral, debt, by_ltv, by_threshold].map(U256::from);
        Some(Sums { collateral, debt, by_ltv, by_threshold, has_zero_ltv_collateral })
    }

    /// Values one account. Legs stand in the pool's order, or any other: the sums are the same.
    ///
    /// # Errors
    /// A product leaves 256 bits, or a reserve or the category is unknown ([`MathError::DivisionByZero`]: no price).
    pub fn account(&self, e_mode: u8, legs: &[Leg]) -> Checked<AccountData> {
        let row = self.row(e_mode).ok_or(MathError::DivisionByZero)?;
        match self.narrow_sums(row, legs) {
            Some(sums) => sums,
            None => self.wide_sums(row, legs)?,
        }
        .finish(self.rules)
    }

    /// An account's sums, whatever it has.
    fn wide_sums(&self, row: &[(Quote, bool)], legs: &[Leg]) -> Checked<Sums> {
        let mut sums = Sums::NONE;
        for leg in legs {
            let (quote, counts) = row.get(usize::from(leg.reserve.0)).ok_or(MathError::DivisionByZero)?;
            if leg.is_collateral && *counts {
                sums.add_collateral(&quote.terms, quote.collateral_value(self.rules, U256::from(leg.supplied))?)?;
            }
            if leg.is_borrowing {
                let (variable, stable) = (U256::from(leg.borrowed), U256::from(leg.stable_debt));
                sums.debt = add(sums.debt, quote.debt_value(self.rules, variable, stable)?)?;
            }
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers of every length up to so many bits.
    fn any_length(bits: u32) -> impl Strategy<Value = u128> {
        (any::<u128>(), 0..=bits).prop_map(|(number, length)| number.checked_shr(128 - length).unwrap_or(0))
    }

    fn any_quote() -> impl Strategy<Value = (Quote, bool)> {
        let numbers = (any_length(100), any_length(100), any_length(80), 0_u8..30);
        (numbers, any::<[u16; 2]>(), any::<bool>(), prop::bool::weighted(0.9)).prop_map(
            |((income, debt, price, decimals), [ltv, threshold], lends_nothing, counts)| {
                let terms = CollateralTerms {
                    ltv: Bps(ltv),
                    lends_nothing,
                    liquidation_threshold: Bps(threshold),
                    liquidation_bonus: Bps(0),
                };
                let [income, debt] = [income, debt].map(|index| Ray(U256::from(index)));
                (Quote { income, debt, price: U256::from(price), decimals, terms }, counts)
            },
        )
    }

    fn any_leg() -> impl Strategy<Value = Leg> {
        (any_length(128), any_length(128), any_length(128), 0_u8..5, any::<[bool; 2]>()).prop_map(
            |(supplied, borrowed, stable_debt, reserve, [is_collateral, is_borrowing])| Leg {
                supplied,
                borrowed,
                stable_debt,
                reserve: ReserveId(reserve),
                is_collateral,
                is_borrowing,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever leaves 128 bits, or does not.
        #[test]
        fn sums_in_128_bits_are_those_in_256(
            row in prop::collection::vec(any_quote(), 4..5),
            legs in prop::collection::vec(any_leg(), 0..5),
            revision in prop::sample::select(Revision::ALL.to_vec()),
        ) {
            let rules = revision.rules();
            let valuation = Valuation { rules, categories: vec![Some(row.clone())] };
            let wide = valuation.wide_sums(&row, &legs).and_then(|sums| sums.finish(rules));
            prop_assert_eq!(valuation.account(0, &legs), wide);
        }
    }

    /// Or the property above would compare one path with itself.
    #[test]
    fn an_ordinary_account_fits_128_bits() {
        let terms = CollateralTerms {
            ltv: Bps(8_000),
            lends_nothing: false,
            liquidation_threshold: Bps(8_300),
            liquidation_bonus: Bps(10_500),
        };
        let quote =
            Quote { income: Ray::ONE, debt: Ray::ONE, price: U256::from(300_000_000_000_u64), decimals: 18, terms };
        let row = [(quote, true)];
        // A million ether on either side.
        let amount = 10_u128.pow(24);
        let leg = Leg {
            supplied: amount,
            borrowed: amount,
            stable_debt: 0,
            reserve: ReserveId(0),
            is_collateral: true,
            is_borrowing: true,
        };
        for revision in Revision::ALL {
            let valuation = Valuation { rules: revision.rules(), categories: vec![Some(row.to_vec())] };
            assert!(valuation.narrow_sums(&row, &[leg]).is_some(), "{revision:?}");
        }
    }
}
