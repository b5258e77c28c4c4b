//! Properties of any liquidation.

use alloy_primitives::{I256, U512};
use proptest::prelude::*;

use super::super::hub::HubAsset;
use super::tests::{COLLATERAL, DEBT, OTHER, RAY, WAD, asset, block, call, number, reserve, spoke, supply, wad};
use super::*;

/// A position under water, drawn from shares of everything.
#[derive(Debug, Clone)]
struct Case {
    spoke: Spoke,
    account: Account,
    block: Block,
    call: LiquidationCall,
}

#[derive(Debug, Clone)]
struct Draw {
    decimals: (u8, u8),
    prices: (u128, u128),
    dollars: u128,
    /// Health factor, target and bound of the largest bonus, in hundredths of a percent.
    health: (u128, u128, u128),
    factor: u16,
    /// Largest bonus within what the factor allows, fee, bonus factor, premium's part of the debt.
    parts: (u16, u16, u16, u16),
    /// Drawn index and worth of an added share, in thousandths.
    worths: (u128, u128),
    risk_premium: u32,
    /// What is offered, in hundredths of a percent of the debt; all, if more than that.
    offer: u128,
    other: Option<u128>,
}

fn draw() -> impl Strategy<Value = Draw> {
    let decimals = || prop_oneof![Just(6_u8), Just(8), Just(18)];
    let price = || (0_u32..9, 1_u128..10).prop_map(|(exponent, digit)| digit * 10_u128.pow(exponent + 4));
    let part = || 0_u16..=10_000;
    let worth = 1_000_u128..3_000;
    (
        (decimals(), decimals()),
        (price(), price()),
        prop_oneof![500_u128..5_000, 5_000_u128..5_000_000],
        (4_000_u128..10_000, 10_000_u128..20_000, 0_u128..10_000),
        500_u16..9_500,
        (part(), part(), part(), 0_u16..9_000),
        (worth.clone(), worth),
        0_u32..50_000,
        prop_oneof![1_u128..10_000, Just(20_000)],
        prop::option::of(0_u128..2),
    )
        .prop_map(|(decimals, prices, dollars, health, factor, parts, worths, risk_premium, offer, other)| Draw {
            decimals,
            prices,
            dollars,
            health,
            factor,
            parts,
            worths,
            risk_premium,
            offer,
            other,
        })
}

impl Draw {
    fn case(&self) -> Case {
        let amount = |dollars: U256, decimals: u8, price: u128| {
            dollars * number(100_000_000) * unit(decimals).unwrap() / number(price) + number(2)
        };
        let supplied = amount(number(self.dollars), self.decimals.0, self.prices.0);
        let index = Ray(number(RAY / 1_000 * self.worths.0) + number(7));
        let covers = number(self.dollars) * number(u128::from(self.factor)) / number(self.health.0);
        let owed = amount(covers, self.decimals.1, self.prices.1);
        let premium = Ray(owed * number(RAY) / number(10_000) * number(u128::from(self.parts.3)));
        let drawn_shares = (owed * number(RAY) - premium.0) / index.0 + number(1);
        let premium_shares = drawn_shares * number(u128::from(self.risk_premium)) / number(10_000);
        // `max * factor` must stay below 1; what else the factor allows is cut at 50 %.
        let room = (99_999_999 / u32::from(self.factor) - 10_000).min(5_000);
        let config = DynamicConfig {
            collateral_factor: Bps(self.factor),
            max_liquidation_bonus: Bonus(10_000 + room * u32::from(self.parts.0) / 10_000),
            liquidation_fee: Bps(self.parts.1),
        };
        let hub = |worth: u128| {
            let added_shares = number(10).pow(number(33));
            let liquidity = added_shares * number(worth) / number(1_000);
            HubAsset { liquidity, added_shares, drawn_index: index, ..asset(0, 0) }
        };
        let reserve = |decimals, asset| Reserve { configs: [(7, config)].into(), ..reserve(decimals, asset) };
        let mut spoke = spoke();
        spoke.liquidation = LiquidationConfig {
            target_health_factor: wad(self.health.1 / 100),
            health_factor_for_max_bonus: Wad(number(self.health.2 * WAD / 10_000)),
            liquidation_bonus_factor: Bps(self.parts.2),
        };
        spoke.reserves.insert(COLLATERAL, reserve(self.decimals.0, hub(self.worths.1)));
        spoke.reserves.insert(DEBT, reserve(self.decimals.1, hub(1_000)));
        let position = UserPosition {
            drawn_shares,
            premium_shares,
            premium_offset: I256::from_raw(premium_shares * index.0) - I256::from_raw(premium.0),
            is_borrowing: true,
            ..UserPosition::default()
        };
        let supplied = supply(u128::try_from(supplied * number(1_000) / number(self.worths.1)).unwrap());
        let mut account = Account {
            risk_premium: RiskPremium(self.risk_premium),
            positions: [(COLLATERAL, supplied), (DEBT, position)].into(),
        };
        // A tenth of a dollar besides, supplied or owed.
        let small = self.other.map(|side| match side {
            0 => supply(WAD / 15_000),
            _ => UserPosition { is_borrowing: true, drawn_shares: number(WAD / 15_000), ..UserPosition::default() },
        });
        account.positions.extend(small.map(|position| (OTHER, position)));
        let mut block = block();
        block.prices.insert(COLLATERAL, number(self.prices.0));
        block.prices.insert(DEBT, number(self.prices.1));
        let mut call = call(0);
        call.debt_to_cover =
            if self.offer > 10_000 { U256::MAX } else { owed * number(self.offer) / number(10_000) + number(1) };
        Case { spoke, account, block, call }
    }
}

impl Case {
    fn data(&self, account: &Account) -> AccountData {
        self.spoke.account_data(account, &self.block).unwrap()
    }

    fn run(&self) -> Option<Liquidated> {
        match self.spoke.liquidation_call(&self.account, &self.call, &self.block) {
            Outcome::Executed(liquidated) => Some(*liquidated),
            Outcome::Refused(refusal) => {
                let expected =
                    [Refusal::MustNotLeaveDust, Refusal::HealthFactorNotBelowThreshold, Refusal::InvalidAmount];
                assert!(expected.contains(&refusal), "{refusal}");
                None
            }
        }
    }

    fn index(&self) -> Ray {
        self.spoke.reserves[&DEBT].asset.drawn_index
    }

    fn owed(&self, account: &Account) -> Repayment {
        account.position(DEBT).debt(self.index()).unwrap()
    }

    /// Value of an amount of the collateral token.
    fn collateral_value(&self, amount: U256) -> U256 {
        value(amount, self.block.prices[&COLLATERAL], self.spoke.reserves[&COLLATERAL].decimals).unwrap().0
    }

    fn debt_value(&self, amount: U256) -> U256 {
        value(amount, self.block.prices[&DEBT], self.spoke.reserves[&DEBT].decimals).unwrap().0
    }

    /// How far rounding may push `health * debt left` above and below `target * debt left`.
    ///
    /// Debt rounds up by a unit or a share, and by what the floored health factor lacks; collateral rounds down by two
    /// units and a share.
    fn slack(&self, done: &Liquidated) -> (U512, U512) {
        let config = self.spoke.reserves[&COLLATERAL].config(7);
        let target = self.spoke.liquidation.target_health_factor.0;
        let lost =
            number(u128::from(done.bonus.0) * u128::from(config.collateral_factor.0)) * number(WAD / 100_000_000);
        let floored = self.data(&self.account).total_debt.0 / (target - lost) + number(1);
        let step = self.debt_value(self.index().0.max(Ray::ONE.0) + number(1)) + floored;
        // No share is worth more than three units here.
        let units = self.collateral_value(number(6)) * number(RAY);
        let covered = U512::from(units) * U512::from(config.collateral_factor.wide() * BPS_AS_WAD);
        (U512::from(target) * U512::from(step) + covered, covered)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn liquidating_to_the_target_never_leaves_the_health_factor_above_it_by_more_than_rounding(draw in draw()) {
        let case = draw.case();
        let Some(done) = case.run() else { return Ok(()) };
        let emptied = done.borrower.position(COLLATERAL).supplied_shares.is_zero()
            || done.borrower.position(DEBT).drawn_shares.is_zero();
        if emptied {
            // Dust, or all there was: the target does not bind.
            return Ok(());
        }
        let (target, after) = (case.spoke.liquidation.target_health_factor.0, case.data(&done.borrower));
        let (above, below) = case.slack(&done);
        let left = U512::from(after.total_debt.0);
        let over = U512::from(after.health_factor.0.saturating_sub(target));
        prop_assert!(over * left <= above, "{:?}", after.health_factor);
        if case.call.debt_to_cover == U256::MAX {
            let under = U512::from(target.saturating_sub(after.health_factor.0));
            prop_assert!(under * left <= below + left, "{:?}", after.health_factor);
        }
    }

    #[test]
    fn premium_is_repaid_before_any_drawn_share(draw in draw()) {
        let case = draw.case();
        let Some(done) = case.run() else { return Ok(()) };
        let (owed, repaid) = (case.owed(&case.account), done.amounts.repaid);
        prop_assert!(repaid.premium <= owed.premium && repaid.drawn_shares <= owed.drawn_shares);
        prop_assert!(repaid.drawn_shares.is_zero() || repaid.premium == owed.premium);
        if done.deficits.is_empty() {
            // Issuing the premium anew loses nothing of it.
            prop_assert_eq!(case.owed(&done.borrower).premium.0, owed.premium.0 - repaid.premium.0);
        }
    }

    #[test]
    fn debt_is_written_off_if_and_only_if_it_is_left_without_collateral(draw in draw()) {
        let case = draw.case();
        let Some(done) = case.run() else { return Ok(()) };
        let after = case.data(&done.borrower);
        if done.deficits.is_empty() {
            prop_assert!(after.active_collaterals > 0 || after.borrows == 0);
        } else {
            prop_assert_eq!((after.active_collaterals, after.borrows, after.total_debt.0), (0, 0, U256::ZERO));
            // Together with what was repaid it is what was owed.
            let rays = done.deficits.iter().find(|(id, _)| *id == DEBT).map_or(U256::ZERO, |(_, rays)| rays.0);
            let owed = case.owed(&case.account).rays(case.index()).unwrap().0;
            prop_assert_eq!(rays + done.amounts.repaid.rays(case.index()).unwrap().0, owed);
        }
    }

    #[test]
    fn what_stays_on_both_sides_is_no_dust(draw in draw()) {
        let case = draw.case();
        let Some(done) = case.run() else { return Ok(()) };
        let supply = done.borrower.position(COLLATERAL).supplied_shares;
        let owed = case.owed(&done.borrower);
        if !supply.is_zero() && !owed.drawn_shares.is_zero() {
            let view = case.spoke.reserves[&COLLATERAL].asset.at(0).unwrap();
            let left = case.collateral_value(view.assets_removed(supply).unwrap());
            prop_assert!(left >= DUST_LIQUIDATION_THRESHOLD.0);
            let left = case.debt_value(owed.rays(case.index()).unwrap().0);
            prop_assert!(left >= DUST_LIQUIDATION_THRESHOLD.0 * number(RAY));
        }
    }

    #[test]
    fn nobody_pays_more_than_offered_or_gets_more_than_the_bonus(draw in draw()) {
        let case = draw.case();
        let Some(done) = case.run() else { return Ok(()) };
        prop_assert!(done.debt_repaid <= case.call.debt_to_cover);
        let paid = case.debt_value(done.debt_repaid) * done.bonus.wide();
        prop_assert!(case.collateral_value(done.collateral_removed) * Bonus::NONE.wide() <= paid);
        prop_assert!(done.paid_out <= done.collateral_removed);
        prop_assert!(done.amounts.to_liquidator <= done.amounts.collateral_shares);
    }

    #[test]
    fn the_bonus_falls_with_the_health_factor_and_stays_between_its_bounds(
        max in 10_000_u32..100_000, factor in 0_u16..=10_000, bound in 0..WAD, first in 0..=WAD, second in 0..=WAD,
    ) {
        let rules = LiquidationConfig {
            target_health_factor: Wad::ONE,
            health_factor_for_max_bonus: Wad(number(bound)),
            liquidation_bonus_factor: Bps(factor),
        };
        let bonus = |health: u128| rules.bonus(Wad(number(health)), Bonus(max)).unwrap();
        let smallest = 10_000 + (max - 10_000) * u32::from(factor) / 10_000;
        let (low, high) = (first.min(second), first.max(second));
        prop_assert!(bonus(low) >= bonus(high));
        prop_assert!(bonus(low).0 <= max && bonus(high).0 >= smallest);
        prop_assert_eq!(bonus(WAD), Bonus(smallest));
        prop_assert_eq!(bonus(bound), Bonus(max));
    }
}

/// The properties speak of what is executed; few of the cases drawn may be anything else.
#[test]
fn most_cases_drawn_are_executed_and_every_end_occurs() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut executed, mut to_target, mut written_off, mut only_premium) = (0, 0, 0, 0);
    for _ in 0..1_000 {
        let case = draw().new_tree(&mut runner).unwrap().current().case();
        let Some(done) = case.run() else { continue };
        executed += 1;
        let left = done.borrower.position(COLLATERAL).supplied_shares;
        let owed = done.borrower.position(DEBT).drawn_shares;
        to_target += u32::from(!left.is_zero() && !owed.is_zero() && case.call.debt_to_cover == U256::MAX);
        written_off += u32::from(!done.deficits.is_empty());
        only_premium += u32::from(done.amounts.repaid.drawn_shares.is_zero());
    }
    assert!(
        executed > 500 && to_target > 50 && written_off > 50 && only_premium > 50,
        "{executed} {to_target} {written_off} {only_premium}"
    );
}
