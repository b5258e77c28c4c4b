//! One asset at its hub: the index of what is drawn, what was added, and shares of either.
//!
//! Sources: `AssetLogic` (`getDrawnIndex`, `totalAddedAssets`, `getUnrealizedFees`, `_calculateAggregatedOwedRay`,
//! `toAddedSharesDown` and its kin), `SharesMath`, `Hub.preview*`.

use alloy_primitives::{I256, U256};

use super::super::interest::linear;
use super::super::math::reference::mul_div;
use super::super::math::{Bps, Checked, Ray, Rounding, add, mul, percent_mul, ray_div, ray_mul, sub};
use super::{premium, ray_to_unit_up};

/// Assets, and as many shares, that everyone's added assets are counted with, so that a first supplier cannot move the
/// price of a share at will.
pub const VIRTUAL: U256 = U256::from_limbs([1_000_000, 0, 0, 0]);

/// An asset as its hub stores it. Amounts are in the token's smallest unit, times in seconds, rates yearly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubAsset {
    /// What the hub can pay out.
    pub liquidity: U256,
    /// What is lent elsewhere by the reinvestment controller.
    pub swept: U256,
    /// Shares of what was added.
    pub added_shares: U256,
    /// Shares of what was drawn.
    pub drawn_shares: U256,
    /// Shares that premiums accrue on.
    pub premium_shares: U256,
    /// What the premium shares count from, in rays of the smallest unit.
    pub premium_offset: I256,
    /// Debt reported as lost and not yet covered, in rays of the smallest unit.
    pub deficit: Ray,
    /// Fees kept and not yet minted as shares.
    pub realized_fees: U256,
    /// The hub's part of interest.
    pub liquidity_fee: Bps,
    /// What one drawn share was worth at the last update.
    pub drawn_index: Ray,
    /// The rate since then.
    pub drawn_rate: Ray,
    /// When the index was last brought up to date.
    pub last_update: u64,
}

impl HubAsset {
    /// What one drawn share is worth, `AssetLogic.getDrawnIndex`: linear interest since the last update, rounded up.
    ///
    /// # Errors
    /// `now` lies before the last update while anything is owed, or a product leaves 256 bits.
    pub fn drawn_index(&self, now: u64) -> Checked<Ray> {
        // Without debt the index stands still, so that the first debt starts where the last one ended.
        if self.last_update == now || (self.drawn_shares.is_zero() && self.premium_shares.is_zero()) {
            return Ok(self.drawn_index);
        }
        let growth = linear(self.drawn_rate, self.last_update, now)?;
        ray_mul(self.drawn_index.0, growth, Rounding::Ceil).map(Ray)
    }

    /// All that is owed at an index, with premiums and lost debt, exact, in rays of the smallest unit.
    ///
    /// # Errors
    /// A product or sum leaves its width, or the premium is below zero.
    pub fn owed(&self, index: Ray) -> Checked<Ray> {
        let drawn = mul(self.drawn_shares, index.0)?;
        let premium = premium(self.premium_shares, self.premium_offset, index)?;
        add(add(drawn, premium.0)?, self.deficit.0).map(Ray)
    }

    /// The hub's part of the interest between the stored index and this one, rounded down.
    ///
    /// # Errors
    /// As [`owed`](Self::owed), or the index runs back.
    pub fn unrealized_fees(&self, index: Ray) -> Checked<U256> {
        if index == self.drawn_index || self.liquidity_fee.0 == 0 {
            return Ok(U256::ZERO);
        }
        let grown = sub(ray_to_unit_up(self.owed(index)?)?, ray_to_unit_up(self.owed(self.drawn_index)?)?)?;
        percent_mul(grown, self.liquidity_fee, Rounding::Floor)
    }

    /// What belongs to those who added: liquidity, swept assets and all that is owed, less fees.
    ///
    /// # Errors
    /// As [`owed`](Self::owed), or fees exceed the rest.
    pub fn added_assets(&self, index: Ray) -> Checked<U256> {
        let all = add(add(self.liquidity, self.swept)?, ray_to_unit_up(self.owed(index)?)?)?;
        sub(sub(all, self.realized_fees)?, self.unrealized_fees(index)?)
    }

    /// The asset at a moment.
    ///
    /// # Errors
    /// As [`drawn_index`](Self::drawn_index) and [`added_assets`](Self::added_assets).
    pub fn at(&self, now: u64) -> Checked<HubView> {
        let drawn_index = self.drawn_index(now)?;
        Ok(HubView {
            drawn_index,
            added_assets: self.added_assets(drawn_index)?,
            added_shares: self.added_shares,
            liquidity: self.liquidity,
        })
    }
}

/// An asset at one moment: what a share is worth. Each conversion rounds against whoever asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubView {
    /// What one drawn share is worth.
    pub drawn_index: Ray,
    /// What belongs to those who added, in the smallest unit.
    pub added_assets: U256,
    /// Their shares.
    pub added_shares: U256,
    /// What the hub can pay out, in the smallest unit.
    pub liquidity: U256,
}

impl HubView {
    fn to_shares(self, assets: U256, rounding: Rounding) -> Checked<U256> {
        mul_div(assets, add(self.added_shares, VIRTUAL)?, add(self.added_assets, VIRTUAL)?, rounding)
    }

    fn to_assets(self, shares: U256, rounding: Rounding) -> Checked<U256> {
        mul_div(shares, add(self.added_assets, VIRTUAL)?, add(self.added_shares, VIRTUAL)?, rounding)
    }

    /// Shares that adding these assets gives, rounded down, `previewAddByAssets`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn shares_added(&self, assets: U256) -> Checked<U256> {
        self.to_shares(assets, Rounding::Floor)
    }

    /// Assets that adding these shares takes, rounded up, `previewAddByShares`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn assets_added(&self, shares: U256) -> Checked<U256> {
        self.to_assets(shares, Rounding::Ceil)
    }

    /// Shares that removing these assets takes, rounded up, `previewRemoveByAssets`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn shares_removed(&self, assets: U256) -> Checked<U256> {
        self.to_shares(assets, Rounding::Ceil)
    }

    /// Assets that removing these shares gives, rounded down, `previewRemoveByShares`: what a supply is worth.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn assets_removed(&self, shares: U256) -> Checked<U256> {
        self.to_assets(shares, Rounding::Floor)
    }

    /// Drawn shares that drawing these assets costs, rounded up, `previewDrawByAssets`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn shares_drawn(&self, assets: U256) -> Checked<U256> {
        ray_div(assets, self.drawn_index, Rounding::Ceil)
    }

    /// Assets that drawing these shares gives, rounded down, `previewDrawByShares`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn assets_drawn(&self, shares: U256) -> Checked<U256> {
        ray_mul(shares, self.drawn_index, Rounding::Floor)
    }

    /// Drawn shares that restoring these assets clears, rounded down, `previewRestoreByAssets`.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn shares_restored(&self, assets: U256) -> Checked<U256> {
        ray_div(assets, self.drawn_index, Rounding::Floor)
    }

    /// Assets that restoring these drawn shares takes, rounded up, `previewRestoreByShares`: what a drawn debt is.
    ///
    /// # Errors
    /// A product leaves 256 bits.
    pub fn assets_restored(&self, shares: U256) -> Checked<U256> {
        ray_mul(shares, self.drawn_index, Rounding::Ceil)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::math::MathError;
    use super::*;

    fn number(value: u128) -> U256 {
        U256::from(value)
    }

    const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;

    /// 400 liquid, 100 swept, 500 drawn at an index of 1.25 by 400 shares, 10 % a year, a fee of 20 %.
    fn asset() -> HubAsset {
        HubAsset {
            liquidity: number(400),
            swept: number(100),
            added_shares: number(900),
            drawn_shares: number(400),
            premium_shares: number(40),
            premium_offset: I256::from_raw(number(40 * RAY)),
            deficit: Ray(number(7 * RAY)),
            realized_fees: number(3),
            liquidity_fee: Bps(2_000),
            drawn_index: Ray(number(RAY / 4 * 5)),
            drawn_rate: Ray(number(RAY / 10)),
            last_update: 1_000,
        }
    }

    #[test]
    fn the_index_grows_by_linear_interest_rounded_up() {
        // Half a year at 10 %: 1.25 * 1.05 = 1.3125.
        let year = 31_536_000;
        assert_eq!(asset().drawn_index(1_000 + year / 2), Ok(Ray(number(1_312_500_000_000_000_000_000_000_000))));
        // One second: floor(10^26 / 31,536,000) = 3,170,979,198,376,458,650 over a ray, times 1.25 is
        // 3,963,723,997,970,573,312.5, rounded up.
        let after = RAY / 4 * 5 + 3_963_723_997_970_573_313;
        assert_eq!(asset().drawn_index(1_001), Ok(Ray(number(after))));
        assert_eq!(asset().drawn_index(999), Err(MathError::Underflow));
        assert_eq!(asset().drawn_index(1_000), Ok(asset().drawn_index));
    }

    #[test]
    fn without_debt_the_index_stands_still_even_if_time_ran_back() {
        let idle = HubAsset { drawn_shares: U256::ZERO, premium_shares: U256::ZERO, ..asset() };
        assert_eq!(idle.drawn_index(0), Ok(idle.drawn_index));
        assert_eq!(idle.drawn_index(99_999_999), Ok(idle.drawn_index));
        let premium_only = HubAsset { drawn_shares: U256::ZERO, ..asset() };
        assert_ne!(premium_only.drawn_index(99_999_999), Ok(idle.drawn_index));
    }

    #[test]
    fn added_assets_count_debt_and_deficit_less_fees() {
        // At 1.25: 400 + 100 + (500 + (50 - 40) + 7) - 3.
        assert_eq!(asset().at(1_000).unwrap().added_assets, number(1_014));
        // At 1.3125: owed 525 + 12.5 + 7 = 544.5, up to 545; grown 545 - 517 = 28, of which floor(5.6) are fees.
        let later = asset().at(1_000 + 31_536_000 / 2).unwrap();
        assert_eq!(later.added_assets, number(400 + 100 + 545 - 3 - 5));
    }

    #[test]
    fn shares_count_a_million_of_each_with_them() {
        let view = HubView {
            drawn_index: Ray(number(RAY / 2 * 3)),
            added_assets: number(3_000_000),
            added_shares: number(1_000_000),
            liquidity: U256::ZERO,
        };
        // A share is worth (3 + 1) / (1 + 1) = 2 assets.
        assert_eq!(view.shares_added(number(7)), Ok(number(3)));
        assert_eq!(view.shares_removed(number(7)), Ok(number(4)));
        assert_eq!(view.assets_removed(number(3)), Ok(number(6)));
        // Drawn shares are worth 1.5 each and know no virtual ones.
        assert_eq!(view.assets_restored(number(3)), Ok(number(5)));
        assert_eq!(view.assets_drawn(number(3)), Ok(number(4)));
        assert_eq!(view.shares_drawn(number(4)), Ok(number(3)));
        assert_eq!(view.shares_restored(number(4)), Ok(number(2)));
        let dear = HubView { added_assets: number(2_000_000), ..view };
        // 3 / 2 assets a share.
        assert_eq!(dear.assets_added(number(3)), Ok(number(5)));
        assert_eq!(dear.assets_removed(number(3)), Ok(number(4)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn shares_to_assets_to_shares_never_gains(
            assets in 0_u128..1 << 100, shares in 0_u128..1 << 100, amount in 0_u128..1 << 100, index in 1_u128..1 << 95,
        ) {
            let view = HubView {
                drawn_index: Ray(number(index)),
                added_assets: number(assets),
                added_shares: number(shares),
                liquidity: U256::ZERO,
            };
            let amount = number(amount);
            let removed = view.assets_removed(amount).unwrap();
            prop_assert!(view.shares_added(removed).unwrap() <= amount);
            prop_assert!(view.shares_removed(removed).unwrap() <= amount);
            prop_assert!(view.assets_removed(view.shares_added(amount).unwrap()).unwrap() <= amount);
            prop_assert!(view.assets_added(view.shares_removed(amount).unwrap()).unwrap() >= amount);
            let owed = view.assets_restored(view.shares_drawn(amount).unwrap()).unwrap();
            prop_assert!(owed >= amount);
            prop_assert!(view.shares_restored(view.assets_drawn(amount).unwrap()).unwrap() <= amount);
        }

        #[test]
        fn restoring_what_drawn_shares_owe_clears_exactly_them(shares in 0_u128..1 << 100, more in 0_u128..1 << 95) {
            let index = Ray(Ray::ONE.0 + number(more));
            let view = HubView { drawn_index: index, added_assets: U256::ZERO, added_shares: U256::ZERO, liquidity: U256::ZERO };
            let owed = view.assets_restored(number(shares)).unwrap();
            prop_assert_eq!(view.shares_restored(owed), Ok(number(shares)));
        }
    }
}
