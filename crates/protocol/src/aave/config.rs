//! A reserve's configuration, an account's flags and the e-mode categories, as the pool stores them.
//!
//! Sources: `ReserveConfiguration`, `UserConfiguration`, `EModeConfiguration`, `DataTypes`.

use alloy_primitives::U256;

use super::math::Bps;
use super::revision::{EModeRule, Rules};

/// Index of a reserve in the pool's list; the bit position in every bitmap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReserveId(pub u8);

/// A pool lists at most this many reserves: two bits each fill 256.
pub const MAX_RESERVES: u8 = 128;

/// Decimals of a debt ceiling: whole dollars and cents.
pub const DEBT_CEILING_DECIMALS: u8 = 2;

/// What governance set for one reserve. Fields a revision does not have are at their default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReserveConfig {
    /// Loan-to-value: how much of the value can be borrowed.
    pub ltv: Bps,
    /// Liquidation threshold: how much of the value counts against debt.
    pub liquidation_threshold: Bps,
    /// Liquidation bonus, 10,500 for 5 %.
    pub liquidation_bonus: Bps,
    /// Decimals of the token.
    pub decimals: u8,
    /// Listed and usable at all.
    pub active: bool,
    /// No new supply and no new debt.
    pub frozen: bool,
    /// Can be borrowed.
    pub borrowing: bool,
    /// Can be borrowed at a stable rate (to 3.1).
    pub stable_borrowing: bool,
    /// Nothing is possible (3.0+; V2 pauses the whole pool).
    pub paused: bool,
    /// Can be borrowed against an isolated collateral (3.0 to 3.6).
    pub borrowable_in_isolation: bool,
    /// Can only be borrowed alone (3.0 to 3.6).
    pub siloed: bool,
    /// Flash loans are enabled (3.0.1+).
    pub flash_loans: bool,
    /// The treasury's share of interest.
    pub reserve_factor: Bps,
    /// Largest debt in whole tokens, 0 for none.
    pub borrow_cap: u64,
    /// Largest supply in whole tokens, 0 for none.
    pub supply_cap: u64,
    /// The treasury's share of the liquidation bonus.
    pub liquidation_protocol_fee: Bps,
    /// The only e-mode category of the reserve (3.0, 3.1), 0 for none.
    pub e_mode_category: u8,
    /// Largest bridged amount in whole tokens (to 3.3).
    pub unbacked_mint_cap: u64,
    /// Largest debt against this collateral alone in cents, 0 where it is not isolated (3.0 to 3.6).
    pub debt_ceiling: u64,
    /// Liquidity is booked, not read from the token's balance (3.1+).
    pub virtual_accounting: bool,
}

/// Where a field lies in the 256-bit word, least significant bit first.
#[derive(Clone, Copy)]
struct Field {
    at: usize,
    bits: usize,
}

const LTV: Field = Field { at: 0, bits: 16 };
const LIQUIDATION_THRESHOLD: Field = Field { at: 16, bits: 16 };
const LIQUIDATION_BONUS: Field = Field { at: 32, bits: 16 };
const DECIMALS: Field = Field { at: 48, bits: 8 };
const ACTIVE: Field = Field { at: 56, bits: 1 };
const FROZEN: Field = Field { at: 57, bits: 1 };
const BORROWING: Field = Field { at: 58, bits: 1 };
const STABLE_BORROWING: Field = Field { at: 59, bits: 1 };
const PAUSED: Field = Field { at: 60, bits: 1 };
const BORROWABLE_IN_ISOLATION: Field = Field { at: 61, bits: 1 };
const SILOED: Field = Field { at: 62, bits: 1 };
const FLASH_LOANS: Field = Field { at: 63, bits: 1 };
const RESERVE_FACTOR: Field = Field { at: 64, bits: 16 };
const BORROW_CAP: Field = Field { at: 80, bits: 36 };
const SUPPLY_CAP: Field = Field { at: 116, bits: 36 };
const LIQUIDATION_PROTOCOL_FEE: Field = Field { at: 152, bits: 16 };
const E_MODE_CATEGORY: Field = Field { at: 168, bits: 8 };
const UNBACKED_MINT_CAP: Field = Field { at: 176, bits: 36 };
const DEBT_CEILING: Field = Field { at: 212, bits: 40 };
const VIRTUAL_ACCOUNTING: Field = Field { at: 252, bits: 1 };

impl Field {
    fn read(self, word: U256) -> u64 {
        let mask = u64::MAX >> (64_usize.saturating_sub(self.bits));
        let [low, ..] = *word.wrapping_shr(self.at).as_limbs();
        low & mask
    }

    fn flag(self, word: U256) -> bool {
        self.read(word) != 0
    }

    fn bps(self, word: U256) -> Bps {
        Bps(u16::try_from(self.read(word)).unwrap_or(u16::MAX))
    }

    fn byte(self, word: U256) -> u8 {
        u8::try_from(self.read(word)).unwrap_or(u8::MAX)
    }

    fn write(self, value: impl Into<u64>) -> U256 {
        let mask = u64::MAX >> (64_usize.saturating_sub(self.bits));
        U256::from(value.into() & mask).wrapping_shl(self.at)
    }
}

impl ReserveConfig {
    /// Reads the word `getConfiguration` returns. Fields that a revision does not use are read all the same: their
    /// bits are zero there, or were left behind by an upgrade and are ignored by its rules.
    #[must_use]
    pub fn from_word(word: U256) -> Self {
        Self {
            ltv: LTV.bps(word),
            liquidation_threshold: LIQUIDATION_THRESHOLD.bps(word),
            liquidation_bonus: LIQUIDATION_BONUS.bps(word),
            decimals: DECIMALS.byte(word),
            active: ACTIVE.flag(word),
            frozen: FROZEN.flag(word),
            borrowing: BORROWING.flag(word),
            stable_borrowing: STABLE_BORROWING.flag(word),
            paused: PAUSED.flag(word),
            borrowable_in_isolation: BORROWABLE_IN_ISOLATION.flag(word),
            siloed: SILOED.flag(word),
            flash_loans: FLASH_LOANS.flag(word),
            reserve_factor: RESERVE_FACTOR.bps(word),
            borrow_cap: BORROW_CAP.read(word),
            supply_cap: SUPPLY_CAP.read(word),
            liquidation_protocol_fee: LIQUIDATION_PROTOCOL_FEE.bps(word),
            e_mode_category: E_MODE_CATEGORY.byte(word),
            unbacked_mint_cap: UNBACKED_MINT_CAP.read(word),
            debt_ceiling: DEBT_CEILING.read(word),
            virtual_accounting: VIRTUAL_ACCOUNTING.flag(word),
        }
    }

    /// The word that [`from_word`](Self::from_word) reads. Caps and ceilings keep the bits their fields have.
    #[must_use]
    pub fn to_word(&self) -> U256 {
        [
            LTV.write(self.ltv.0),
            LIQUIDATION_THRESHOLD.write(self.liquidation_threshold.0),
            LIQUIDATION_BONUS.write(self.liquidation_bonus.0),
            DECIMALS.write(self.decimals),
            ACTIVE.write(self.active),
            FROZEN.write(self.frozen),
            BORROWING.write(self.borrowing),
            STABLE_BORROWING.write(self.stable_borrowing),
            PAUSED.write(self.paused),
            BORROWABLE_IN_ISOLATION.write(self.borrowable_in_isolation),
            SILOED.write(self.siloed),
            FLASH_LOANS.write(self.flash_loans),
            RESERVE_FACTOR.write(self.reserve_factor.0),
            BORROW_CAP.write(self.borrow_cap),
            SUPPLY_CAP.write(self.supply_cap),
            LIQUIDATION_PROTOCOL_FEE.write(self.liquidation_protocol_fee.0),
            E_MODE_CATEGORY.write(self.e_mode_category),
            UNBACKED_MINT_CAP.write(self.unbacked_mint_cap),
            DEBT_CEILING.write(self.debt_ceiling),
            VIRTUAL_ACCOUNTING.write(self.virtual_accounting),
        ]
        .into_iter()
        .fold(U256::ZERO, |word, field| word | field)
    }
}

/// An account's two bits for each reserve: borrowing, and used as collateral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UserFlags(pub U256);

/// `0101…`: every borrowing bit.
const BORROWING_MASK: U256 = U256::from_limbs([0x5555_5555_5555_5555; 4]);

impl UserFlags {
    fn bit(id: ReserveId, which: usize) -> usize {
        usize::from(id.0).saturating_mul(2).saturating_add(which)
    }

    /// Whether the borrowing bit of a reserve is set.
    #[must_use]
    pub fn is_borrowing(self, id: ReserveId) -> bool {
        self.0.bit(Self::bit(id, 0))
    }

    /// Whether a reserve is switched on as collateral.
    #[must_use]
    pub fn is_collateral(self, id: ReserveId) -> bool {
        self.0.bit(Self::bit(id, 1))
    }

    /// Sets or clears the borrowing bit.
    pub fn set_borrowing(&mut self, id: ReserveId, on: bool) {
        self.0.set_bit(Self::bit(id, 0), on);
    }

    /// Sets or clears the collateral bit.
    pub fn set_collateral(&mut self, id: ReserveId, on: bool) {
        self.0.set_bit(Self::bit(id, 1), on);
    }

    /// No bit at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_zero()
    }

    /// Any borrowing bit.
    #[must_use]
    pub fn is_borrowing_any(self) -> bool {
        !(self.0 & BORROWING_MASK).is_zero()
    }

    /// Any collateral bit.
    #[must_use]
    pub fn is_collateral_any(self) -> bool {
        !(self.0 & !BORROWING_MASK).is_zero()
    }

    /// The only reserve used as collateral, if there is exactly one.
    #[must_use]
    pub fn only_collateral(self) -> Option<ReserveId> {
        only(self.0 & !BORROWING_MASK)
    }

    /// The only reserve borrowed, if there is exactly one.
    #[must_use]
    pub fn only_borrowing(self) -> Option<ReserveId> {
        only(self.0 & BORROWING_MASK)
    }

    /// Every reserve with a bit, in the pool's order.
    pub fn reserves(self) -> impl Iterator<Item = ReserveId> {
        (0..MAX_RESERVES).map(ReserveId).filter(move |id| self.is_borrowing(*id) || self.is_collateral(*id))
    }
}

fn only(bits: U256) -> Option<ReserveId> {
    (bits.count_ones() == 1).then(|| ReserveId(u8::try_from(bits.trailing_zeros() >> 1).unwrap_or(MAX_RESERVES)))
}

/// Reserves as one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReserveSet(pub u128);

impl ReserveSet {
    /// Whether a reserve is in the set.
    #[must_use]
    pub const fn contains(self, id: ReserveId) -> bool {
        id.0 < MAX_RESERVES && (self.0 >> id.0) & 1 == 1
    }
}

impl FromIterator<ReserveId> for ReserveSet {
    fn from_iter<I: IntoIterator<Item = ReserveId>>(ids: I) -> Self {
        let valid = ids.into_iter().filter(|id| id.0 < MAX_RESERVES);
        Self(valid.fold(0, |bits, id| bits | (1 << id.0)))
    }
}

/// One e-mode category: assets that move together, with parameters of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EMode {
    /// Loan-to-value of the category's collateral.
    pub ltv: Bps,
    /// Liquidation threshold of the category's collateral; zero where the category is not configured.
    pub liquidation_threshold: Bps,
    /// Liquidation bonus of the category's collateral.
    pub liquidation_bonus: Bps,
    /// The category has a price source of its own (3.0, 3.1).
    pub has_price_source: bool,
    /// Reserves that take the category's parameters as collateral (3.2+).
    pub collateral: ReserveSet,
    /// Reserves that can be borrowed in the category (3.2+).
    pub borrowable: ReserveSet,
    /// Collateral without a loan-to-value in the category (3.6+).
    pub ltv_zero: ReserveSet,
    /// What is not the category's collateral has no loan-to-value in it (3.7).
    pub isolated: bool,
}

/// The parameters of one reserve as collateral of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollateralTerms {
    /// Loan-to-value; zero also marks the account (3.0+).
    pub ltv: Bps,
    /// The reserve lends nothing (its loan-to-value, or the account's in it, is zero), which marks the account.
    pub lends_nothing: bool,
    /// Liquidation threshold.
    pub liquidation_threshold: Bps,
    /// Liquidation bonus.
    pub liquidation_bonus: Bps,
}

impl CollateralTerms {
    /// The terms of a reserve for an account in an e-mode category (`None` for category 0).
    ///
    /// `GenericLogic.calculateUserAccountData` and, since 3.6, `ValidationLogic.getUserReserveLtv`.
    #[must_use]
    pub fn of(rules: &Rules, id: ReserveId, config: &ReserveConfig, category: Option<(u8, EMode)>) -> Self {
        let own = Self {
            ltv: config.ltv,
            lends_nothing: config.ltv.0 == 0,
            liquidation_threshold: config.liquidation_threshold,
            liquidation_bonus: config.liquidation_bonus,
        };
        let Some((number, category)) = category else {
            return own;
        };
        let belongs = match rules.e_mode {
            EModeRule::None => false,
            EModeRule::OneCategory => number == config.e_mode_category,
            EModeRule::Bitmaps | EModeRule::LtvZero | EModeRule::Isolated => category.collateral.contains(id),
        };
        if !belongs {
            // An isolated category (3.7) lends nothing on anything else.
            let barred = rules.e_mode == EModeRule::Isolated && category.isolated;
            return if barred { Self { ltv: Bps(0), lends_nothing: true, ..own } } else { own };
        }
        // Before 3.6 a reserve without a loan-to-value of its own lends nothing in the category either.
        let lends_nothing = match rules.e_mode {
            EModeRule::None | EModeRule::OneCategory | EModeRule::Bitmaps => config.ltv.0 == 0,
            EModeRule::LtvZero | EModeRule::Isolated => category.ltv_zero.contains(id) || category.ltv.0 == 0,
        };
        Self {
            ltv: if lends_nothing { Bps(0) } else { category.ltv },
            lends_nothing,
            liquidation_threshold: category.liquidation_threshold,
            liquidation_bonus: category.liquidation_bonus,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aave::Revision;

    proptest! {
        /// Only the three bits above `VIRTUAL_ACCOUNTING` mean nothing.
        #[test]
        fn a_configuration_word_survives_reading_and_writing(limbs in any::<[u64; 4]>()) {
            let word = U256::from_limbs(limbs) & (U256::MAX >> 3);
            prop_assert_eq!(ReserveConfig::from_word(word).to_word(), word);
        }

        #[test]
        fn flags_are_two_bits_a_reserve(ids in prop::collection::btree_set(0_u8..128, 0..6)) {
            let mut flags = UserFlags::default();
            for id in &ids {
                flags.set_collateral(ReserveId(*id), true);
            }
            prop_assert_eq!(flags.reserves().map(|id| id.0).collect::<Vec<_>>(), ids.iter().copied().collect::<Vec<_>>());
            let alone = (ids.len() == 1).then(|| ReserveId(*ids.first().unwrap()));
            prop_assert_eq!(flags.only_collateral(), alone);
            prop_assert!(!flags.is_borrowing_any() && flags.only_borrowing().is_none());
        }
    }

    /// WETH on Ethereum V3 after its 3.2 migration, a word read from the chain's own format.
    #[test]
    fn fields_lie_where_the_contract_puts_them() {
        let config = ReserveConfig {
            ltv: Bps(8050),
            liquidation_threshold: Bps(8300),
            liquidation_bonus: Bps(10500),
            decimals: 18,
            active: true,
            borrowing: true,
            flash_loans: true,
            reserve_factor: Bps(1500),
            borrow_cap: 1_400_000,
            supply_cap: 1_800_000,
            liquidation_protocol_fee: Bps(1000),
            virtual_accounting: true,
            ..ReserveConfig::default()
        };
        let word = config.to_word();
        assert_eq!(word & U256::from(0xffff_u32), U256::from(8050));
        assert_eq!((word >> 48_usize) & U256::from(0xff), U256::from(18));
        assert!(word.bit(56) && word.bit(58) && word.bit(63) && word.bit(252) && !word.bit(57));
        assert_eq!((word >> 116_usize) & U256::from((1_u64 << 36) - 1), U256::from(1_800_000));
    }

    /// One row a rule: own and category loan-to-value, membership, and what comes out.
    #[test]
    fn terms_in_and_out_of_a_category() {
        let id = ReserveId(3);
        let inside: ReserveSet = [id].into_iter().collect();
        let config = |ltv| ReserveConfig {
            ltv: Bps(ltv),
            liquidation_threshold: Bps(8000),
            e_mode_category: 1,
            ..ReserveConfig::default()
        };
        let category =
            EMode { ltv: Bps(9300), liquidation_threshold: Bps(9500), collateral: inside, ..EMode::default() };
        let terms = |revision: Revision, ltv, category: Option<(u8, EMode)>| {
            let terms = CollateralTerms::of(revision.rules(), id, &config(ltv), category);
            (terms.ltv.0, terms.lends_nothing, terms.liquidation_threshold.0)
        };
        let other = EMode { collateral: ReserveSet::default(), isolated: true, ..category };
        let barred = EMode { ltv_zero: inside, ..category };
        for (revision, ltv, given, expected) in [
            (Revision::V2, 7500, None, (7500, false, 8000)),
            (Revision::V3_0_2, 7500, Some((1, category)), (9300, false, 9500)),
            (Revision::V3_0_2, 7500, Some((2, category)), (7500, false, 8000)),
            (Revision::V3_0_2, 0, Some((1, category)), (0, true, 9500)),
            (Revision::V3_3, 0, Some((1, category)), (0, true, 9500)),
            (Revision::V3_6, 0, Some((1, category)), (9300, false, 9500)),
            (Revision::V3_6, 7500, Some((1, barred)), (0, true, 9500)),
            (Revision::V3_6, 7500, Some((1, other)), (7500, false, 8000)),
            (Revision::V3_7, 7500, Some((1, other)), (0, true, 8000)),
        ] {
            assert_eq!(terms(revision, ltv, given), expected, "{revision:?} {ltv} {given:?}");
        }
    }
}
