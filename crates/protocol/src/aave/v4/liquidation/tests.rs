//! Tables, worked by hand from the formulas.

use alloy_primitives::I256;

use super::super::hub::HubAsset;
use super::*;

pub(super) const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;
pub(super) const WAD: u128 = 1_000_000_000_000_000_000;
/// One USDC.
pub(super) const USDC: u128 = 1_000_000;
pub(super) const COLLATERAL: ReserveId = ReserveId(0);
pub(super) const DEBT: ReserveId = ReserveId(1);
pub(super) const OTHER: ReserveId = ReserveId(2);

pub(super) fn number(value: u128) -> U256 {
    U256::from(value)
}

/// A number of 10^26 rays, for fractions of a unit.
fn tenth_rays(value: u128) -> Ray {
    Ray(number(value) * number(RAY / 10))
}

pub(super) fn wad(hundredths: u128) -> Wad {
    Wad(number(hundredths * WAD / 100))
}

pub(super) fn asset(liquidity: u128, drawn_index: u128) -> HubAsset {
    HubAsset {
        liquidity: number(liquidity),
        swept: U256::ZERO,
        added_shares: number(liquidity),
        drawn_shares: U256::ZERO,
        premium_shares: U256::ZERO,
        premium_offset: I256::ZERO,
        deficit: Ray::ZERO,
        realized_fees: U256::ZERO,
        liquidity_fee: Bps(0),
        drawn_index: Ray(number(drawn_index)),
        drawn_rate: Ray::ZERO,
        last_update: 0,
    }
}

pub(super) fn reserve(decimals: u8, asset: HubAsset) -> Reserve {
    let config = |factor, bonus| DynamicConfig {
        collateral_factor: Bps(factor),
        max_liquidation_bonus: Bonus(bonus),
        liquidation_fee: Bps(1_000),
    };
    Reserve {
        decimals,
        paused: false,
        frozen: false,
        receive_shares_enabled: true,
        configs: [(7, config(8_000, 10_600)), (8, config(5_000, 11_000))].into(),
        asset,
    }
}

/// Ether with a share worth one, dollars with an index of 1.2, and more ether.
pub(super) fn spoke() -> Spoke {
    let ether = reserve(18, asset(1_000 * WAD, RAY));
    Spoke {
        liquidation: LiquidationConfig {
            target_health_factor: wad(105),
            health_factor_for_max_bonus: wad(90),
            liquidation_bonus_factor: Bps(5_000),
        },
        reserves: [
            (COLLATERAL, ether.clone()),
            (DEBT, reserve(6, asset(500_000 * USDC, RAY / 10 * 12))),
            (OTHER, ether),
        ]
        .into(),
    }
}

pub(super) fn block() -> Block {
    let ether = number(1_500 * 100_000_000);
    Block { now: 0, prices: [(COLLATERAL, ether), (DEBT, number(100_000_000)), (OTHER, ether)].into() }
}

pub(super) fn supply(shares: u128) -> UserPosition {
    UserPosition {
        supplied_shares: number(shares),
        dynamic_config_key: 7,
        is_collateral: true,
        ..UserPosition::default()
    }
}

/// 10,000 shares drawn at 1.2 are 12,000; 5,000 premium shares at 1.2 less 5,500 are 500.
fn debt() -> UserPosition {
    UserPosition {
        drawn_shares: number(10_000 * USDC),
        premium_shares: number(5_000 * USDC),
        premium_offset: I256::from_raw(number(5_500 * USDC) * number(RAY)),
        is_borrowing: true,
        ..UserPosition::default()
    }
}

/// 15,000 dollars of ether at 80 % against 12,500 dollars.
fn account() -> Account {
    Account { risk_premium: RiskPremium(2_500), positions: [(COLLATERAL, supply(10 * WAD)), (DEBT, debt())].into() }
}

fn account_with(id: ReserveId, position: UserPosition) -> Account {
    let mut account = account();
    account.positions.insert(id, position);
    account
}

pub(super) fn call(debt_to_cover: u128) -> LiquidationCall {
    LiquidationCall {
        liquidator: Address::repeat_byte(1),
        borrower: Address::repeat_byte(2),
        collateral: COLLATERAL,
        debt: DEBT,
        debt_to_cover: number(debt_to_cover),
        receive_shares: false,
    }
}

fn liquidated(spoke: &Spoke, account: &Account, call: &LiquidationCall) -> Liquidated {
    match spoke.liquidation_call(account, call, &block()) {
        Outcome::Executed(liquidated) => *liquidated,
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

fn refusal(spoke: &Spoke, account: &Account, call: &LiquidationCall) -> Option<Refusal> {
    match spoke.liquidation_call(account, call, &block()) {
        Outcome::Executed(_) => None,
        Outcome::Refused(refusal) => Some(refusal),
    }
}

#[test]
fn the_dust_threshold_is_a_thousand_dollars() {
    assert_eq!(DUST_LIQUIDATION_THRESHOLD.0, number(1_000) * number(10).pow(number(26)));
}

#[test]
fn an_account_is_worth_its_collateral_and_owes_its_premium() {
    let data = spoke().account_data(&account(), &block()).unwrap();
    assert_eq!(data.total_collateral, Value(number(15_000) * number(10).pow(number(26))));
    assert_eq!(data.total_debt, ValueRay(number(12_500) * number(10).pow(number(53))));
    // 15,000 * 0.8 / 12,500
    assert_eq!(data.health_factor, wad(96));
    assert_eq!(data.average_collateral_factor, wad(80));
    assert_eq!((data.active_collaterals, data.borrows), (1, 1));
}

#[test]
fn a_position_keeps_the_terms_of_its_key() {
    let health = |key, shares| {
        let position = UserPosition { dynamic_config_key: key, ..supply(shares) };
        spoke().account_data(&account_with(COLLATERAL, position), &block()).unwrap()
    };
    assert_eq!(health(7, 10 * WAD).health_factor, wad(96));
    assert_eq!(health(8, 10 * WAD).health_factor, wad(60));
    // What was never configured covers nothing, and does not even count as collateral.
    let unknown = health(9, 10 * WAD);
    assert_eq!((unknown.total_collateral, unknown.active_collaterals), (Value::default(), 0));
    assert_eq!(health(7, 0).active_collaterals, 0);
}

#[test]
fn health_uses_the_sum_of_factors_and_not_their_average() {
    // 10 ether at 80 % and 5 at 50 %: 15,000 * 0.8 + 7,500 * 0.5 = 15,750 of 22,500, an average of 0.7.
    let other = UserPosition { dynamic_config_key: 8, ..supply(5 * WAD) };
    let data = spoke().account_data(&account_with(OTHER, other), &block()).unwrap();
    assert_eq!((data.average_collateral_factor, data.health_factor), (wad(70), wad(126)));
    // One wei more at 50 %: the average floors, the sum does not: 12,000 + (3,750 + 7.5e-16) over 12,500.
    let other = UserPosition { dynamic_config_key: 8, ..supply(5 * WAD + 1) };
    let data = spoke().account_data(&account_with(OTHER, other), &block()).unwrap();
    // 0.7 - 0.2 * 1,500e-18 / 22,500 is less than 0.7 by 1.3e-20.
    assert_eq!(data.average_collateral_factor, Wad(number(WAD / 10 * 7 - 1)));
    assert_eq!(data.health_factor, wad(126));
}

#[test]
fn without_debt_health_is_infinite_and_unused_reserves_need_no_price() {
    let idle = UserPosition { is_collateral: false, ..supply(WAD) };
    let account = Account { positions: [(ReserveId(99), idle)].into(), ..Account::default() };
    let data = spoke().account_data(&account, &Block::default()).unwrap();
    assert_eq!((data.health_factor, data.total_collateral), (Wad::INFINITE, Value::default()));
}

#[test]
fn the_bonus_falls_in_a_line_from_the_largest_to_the_smallest() {
    let rules = spoke().liquidation;
    let bonus = |health| rules.bonus(Wad(number(health)), Bonus(10_600));
    for (health, expected) in [
        (0, 10_600),
        (WAD / 100 * 90, 10_600),
        // 300 * (0.1 - 1e-18) / 0.1 rounds down.
        (WAD / 100 * 90 + 1, 10_599),
        (WAD / 100 * 95, 10_450),
        (WAD / 100 * 96, 10_420),
        // 300 * 0.0001 / 0.1 = 0.3
        (WAD / 10_000 * 9_999, 10_300),
        (WAD, 10_300),
    ] {
        assert_eq!(bonus(health), Ok(Bonus(expected)), "{health}");
    }
    assert_eq!(bonus(WAD + 1), Err(MathError::Underflow));
    // A smallest bonus of 33.33 % of 101 basis points is 33.
    let third = LiquidationConfig { liquidation_bonus_factor: Bps(3_333), ..rules };
    assert_eq!(third.bonus(Wad::ONE, Bonus(10_101)), Ok(Bonus(10_033)));
    assert_eq!(third.bonus(Wad::ONE, Bonus(9_999)), Err(MathError::Underflow));
}

/// Bonus 1.042; debt to target 12,500 * (1.05 - 0.96) / (1.05 - 1.042 * 0.8) = 1,125 / 0.2164 = 5,198.70609981515711...
#[test]
fn a_liquidation_repays_up_to_the_target() {
    let done = liquidated(&spoke(), &account(), &call(u128::MAX));
    assert_eq!((done.health_factor, done.bonus), (wad(96), Bonus(10_420)));
    // All 500 of premium, and ceil(4,698.706099815157 / 1.2) drawn shares.
    let repaid = Repayment { drawn_shares: number(3_915_588_417), premium: tenth_rays(500 * USDC * 10) };
    assert_eq!(done.amounts.repaid, repaid);
    // 3,915.588417 * 1.2 = 4,698.7061004, up, and 500.
    assert_eq!(done.debt_repaid, number(5_198_706_101));
    // 5,198.7061004 * 1.042 / 1,500 = 3.6113678377445333..., down.
    assert_eq!(done.amounts.collateral_shares, number(3_611_367_837_744_533_333));
    assert_eq!(done.collateral_removed, number(3_611_367_837_744_533_333));
    // A tenth of 420 / 10,420 of it is 0.01455637708111999..., up.
    assert_eq!(done.amounts.fee_shares(), Ok(number(14_556_377_081_120_000)));
    assert_eq!(done.paid_out, number(3_596_811_460_663_413_333));
    assert!(done.deficits.is_empty());
    let data = spoke().account_data(&done.borrower, &block()).unwrap();
    // (15,000 - 5,417.0517566168) * 0.8 / (12,500 - 5,198.7061004): above the target, for debt rounds up.
    assert_eq!(data.health_factor, Wad(number(1_050_000_000_017_333_913)));
}

#[test]
fn what_stays_drawn_carries_the_stored_risk_premium() {
    let done = liquidated(&spoke(), &account(), &call(u128::MAX));
    let position = done.borrower.position(DEBT);
    assert_eq!(position.drawn_shares, number(10_000_000_000 - 3_915_588_417));
    // A quarter of 6,084,411,583 is 1,521,102,895.75, up; with no premium left they count from their own worth.
    assert_eq!(position.premium_shares, number(1_521_102_896));
    let index = Ray(number(RAY / 10 * 12));
    assert_eq!(position.premium_offset, I256::from_raw(number(1_521_102_896) * index.0));
    assert_eq!(position.debt(index).unwrap().premium, Ray::ZERO);
    assert!(position.is_borrowing);
}

#[test]
fn the_debt_to_target_is_exact_to_the_ray() {
    // The product on the way has 266 bits.
    let target = terms().debt_to_target(Bonus(10_420)).unwrap();
    assert_eq!(target, Ray(number(5_198_706_099_815_157_116_451_016_635_859_519_409)));
}

fn terms() -> Terms {
    let data = spoke().account_data(&account(), &block()).unwrap();
    spoke().terms(&account(), &call(1), &data, &block()).unwrap()
}

#[test]
fn premium_is_repaid_in_whole_units_even_beyond_the_target() {
    let mut terms = terms();
    terms.debt.owed.premium = tenth_rays(6_000 * USDC * 10);
    // Of 5,198.706099815 the last unit is paid in full, so that no part of it is lost to the liquidator.
    let expected = Repayment { drawn_shares: U256::ZERO, premium: tenth_rays(51_987_061_000) };
    assert_eq!(terms.debt_to_liquidate(Bonus(10_420), U256::MAX), Ok(expected));
}

/// Three shares at 1.5 of a token without decimals, at 1,000 dollars: they take 5 tokens to add, and give 4.
#[test]
fn all_collateral_is_priced_as_it_would_be_added() {
    let mut terms = terms();
    let (added_assets, added_shares) = (number(2_000_000), number(1_000_000));
    terms.collateral.hub = HubView { added_assets, added_shares, ..terms.collateral.hub };
    (terms.collateral.supplied_shares, terms.collateral.decimals) = (number(3), 0);
    terms.collateral.price = number(1_000 * 100_000_000);
    let repaid = |drawn_shares, tenths| Repayment { drawn_shares: number(drawn_shares), premium: tenth_rays(tenths) };
    // 5,000 less 500 of premium, at 1.2.
    let all = terms.for_all_collateral(Bonus::NONE);
    assert_eq!(all, Ok((number(3), repaid(3_750 * USDC, 5_000 * USDC))));
    // 5,000 / 1.1 = 4,545.454545454..., up, where all of it is premium.
    terms.debt.owed.premium = tenth_rays(4_600 * USDC * 10);
    assert_eq!(terms.for_all_collateral(Bonus(11_000)), Ok((number(3), repaid(0, 45_454_545_460))));
}

#[test]
fn an_offer_below_the_premium_touches_no_drawn_shares() {
    let done = liquidated(&spoke(), &account(), &call(300 * USDC));
    let repaid = Repayment { drawn_shares: U256::ZERO, premium: tenth_rays(300 * USDC * 10) };
    assert_eq!((done.amounts.repaid, done.debt_repaid), (repaid, number(300 * USDC)));
    // 300 * 1.042 / 1,500
    assert_eq!(done.collateral_removed, number(208_400_000_000_000_000));
    let index = Ray(number(RAY / 10 * 12));
    let left = done.borrower.position(DEBT);
    // 200 of premium stay, by an offset: 2,500 premium shares at 1.2 less 2,800.
    assert_eq!(left.debt(index).unwrap().premium, tenth_rays(200 * USDC * 10));
    assert_eq!(left.premium_shares, number(2_500 * USDC));
    assert_eq!(left.premium_offset, I256::from_raw(tenth_rays(2_800 * USDC * 10).0));
}

#[test]
fn an_offer_between_premium_and_target_is_used_up_in_whole_shares() {
    let done = liquidated(&spoke(), &account(), &call(501 * USDC));
    // floor(1 / 1.2) of a dollar is 833,333 shares, which cost 0.9999996, up to 1.000000.
    assert_eq!(done.amounts.repaid.drawn_shares, number(833_333));
    assert_eq!(done.debt_repaid, number(501 * USDC));
}

#[test]
fn debt_dust_goes_along_if_the_offer_covers_it() {
    // 12,500 * 9.04 / (10 - 0.8336) = 12,327.6: less than 1,000 dollars would stay.
    let mut spoke = spoke();
    spoke.liquidation.target_health_factor = wad(1_000);
    let done = liquidated(&spoke, &account(), &call(12_500 * USDC));
    assert_eq!(done.debt_repaid, number(12_500 * USDC));
    assert!(!done.borrower.position(DEBT).is_borrowing && done.deficits.is_empty());
    // 12,500 * 1.042 / 1,500 = 8.68333...
    assert_eq!(done.collateral_removed, number(8_683_333_333_333_333_333));
    assert_eq!(refusal(&spoke, &account(), &call(12_500 * USDC - 1)), Some(Refusal::MustNotLeaveDust));
    // 11,500 leaves 1,000: 11,000 / 1.2 = 9,166.666666 shares leave 833.333334, a millionth above the threshold.
    let done = liquidated(&spoke, &account(), &call(11_500 * USDC));
    assert_eq!(done.amounts.repaid.drawn_shares, number(9_166_666_666));
    // One share more leaves 833.333333 * 1.2 = 999.9999996.
    assert_eq!(refusal(&spoke, &account(), &call(11_500 * USDC + 1)), Some(Refusal::MustNotLeaveDust));
}

/// 8.5 ether are 12,750 dollars: health 0.816, bonus 1.06, and 12,750 / 1.06 = 12,028.3018867924... of the debt.
#[test]
fn what_no_collateral_is_left_for_becomes_a_deficit() {
    let poor = account_with(COLLATERAL, supply(8 * WAD + WAD / 2));
    let done = liquidated(&spoke(), &poor, &call(12_028_301_887));
    assert_eq!((done.health_factor, done.bonus), (Wad(number(WAD / 1_000 * 816)), Bonus(10_600)));
    // ceil(11,528.3018867924... / 1.2)
    assert_eq!(done.amounts.repaid.drawn_shares, number(9_606_918_239));
    assert_eq!(done.debt_repaid, number(12_028_301_887));
    assert_eq!(done.amounts.collateral_shares, number(8 * WAD + WAD / 2));
    // 393.081761 shares stay, at 1.2.
    assert_eq!(done.deficits, [(DEBT, tenth_rays(4_716_981_132))]);
    assert_eq!(done.borrower.position(DEBT), UserPosition::default());
    assert_eq!(done.borrower.risk_premium, RiskPremium(0));
    assert_eq!(refusal(&spoke(), &poor, &call(12_028_301_886)), Some(Refusal::MustNotLeaveDust));
}

#[test]
fn collateral_dust_goes_along_too() {
    // 11,300 leave 1,200 of debt, but of 12,750 only 772 dollars: nothing less than all collateral is for sale.
    let poor = account_with(COLLATERAL, supply(8 * WAD + WAD / 2));
    assert_eq!(refusal(&spoke(), &poor, &call(11_300 * USDC)), Some(Refusal::MustNotLeaveDust));
    // 11,000 leave 1,090 dollars of collateral.
    assert!(liquidated(&spoke(), &poor, &call(11_000 * USDC)).deficits.is_empty());
}

#[test]
fn other_collateral_prevents_a_deficit_and_other_debt_shares_it() {
    let mut poor = account_with(COLLATERAL, supply(8 * WAD));
    poor.positions.insert(OTHER, supply(WAD / 100));
    let done = liquidated(&spoke(), &poor, &call(u128::MAX));
    assert!(done.borrower.position(COLLATERAL).supplied_shares.is_zero() && done.deficits.is_empty());
    // A supply that covers nothing prevents nothing.
    let idle = UserPosition { is_collateral: false, is_borrowing: true, drawn_shares: number(5), ..supply(WAD) };
    poor.positions.insert(OTHER, idle);
    let done = liquidated(&spoke(), &poor, &call(u128::MAX));
    assert_eq!(done.deficits.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [DEBT, OTHER]);
    assert_eq!(done.deficits[1].1, Ray(number(5 * RAY)));
    assert_eq!(done.borrower.position(OTHER).supplied_shares, number(WAD));
    // 0.4 ether are 600 dollars.
    let small = UserPosition { drawn_shares: number(470 * USDC), premium_shares: U256::ZERO, ..debt() };
    let small = UserPosition { premium_offset: I256::ZERO, ..small };
    let large = UserPosition { is_borrowing: true, drawn_shares: number(WAD), ..UserPosition::default() };
    let positions = [(COLLATERAL, supply(WAD * 2 / 5)), (DEBT, small), (OTHER, large)].into();
    let owing = Account { positions, ..Account::default() };
    let done = liquidated(&spoke(), &owing, &call(u128::MAX));
    // 470 * 1.2 = 564 dollars of debt need 597.84 of collateral.
    assert_eq!(done.debt_repaid, number(564 * USDC));
    assert!(!done.borrower.position(COLLATERAL).supplied_shares.is_zero() && done.deficits.is_empty());
    // Exactly those 597.84 repay this debt in full, and the other one is lost with the last collateral.
    let mut exact = owing;
    exact.positions.insert(COLLATERAL, supply(WAD / 100_000 * 39_856));
    let done = liquidated(&spoke(), &exact, &call(u128::MAX));
    assert_eq!(done.debt_repaid, number(564 * USDC));
    assert_eq!(done.deficits, [(OTHER, Ray(number(WAD) * number(RAY)))]);
}

#[test]
fn shares_can_be_received_where_the_hub_is_empty() {
    let mut spoke = spoke();
    let asset = &mut spoke.reserves.get_mut(&COLLATERAL).unwrap().asset;
    // All is swept: the shares' worth is the same, but nothing can be paid out.
    asset.swept = std::mem::take(&mut asset.liquidity);
    assert_eq!(refusal(&spoke, &account(), &call(u128::MAX)), Some(Refusal::InsufficientLiquidity));
    let taking_shares = LiquidationCall { receive_shares: true, ..call(u128::MAX) };
    let done = liquidated(&spoke, &account(), &taking_shares);
    assert_eq!((done.paid_out, done.amounts.to_liquidator), (U256::ZERO, number(3_596_811_460_663_413_333)));
    for (frozen, receive_shares_enabled) in [(true, true), (false, false)] {
        let mut spoke = self::spoke();
        let reserve = spoke.reserves[&COLLATERAL].clone();
        spoke.reserves.insert(COLLATERAL, Reserve { frozen, receive_shares_enabled, ..reserve });
        assert_eq!(refusal(&spoke, &account(), &taking_shares), Some(Refusal::CannotReceiveShares));
        assert_eq!(refusal(&spoke, &account(), &call(u128::MAX)), None);
    }
}

#[test]
fn one_reserve_can_be_both_sides() {
    let both = UserPosition { supplied_shares: number(8_000 * USDC), ..debt() };
    let both = UserPosition { dynamic_config_key: 7, is_collateral: true, ..both };
    let account = Account { positions: [(DEBT, both)].into(), ..Account::default() };
    // 8,000 * 0.8 / 12,500 = 0.512: all 8,000 for ceil(8,000 / 1.06), and the rest is lost.
    let done = liquidated(&spoke(), &account, &LiquidationCall { collateral: DEBT, ..call(u128::MAX) });
    assert_eq!(done.collateral_removed, number(8_000 * USDC));
    assert_eq!(done.debt_repaid, number(7_547_169_812));
    assert_eq!(done.deficits.len(), 1);
    let after = done.borrower.position(DEBT);
    assert_eq!((after.supplied_shares, after.drawn_shares), (U256::ZERO, U256::ZERO));
}

#[test]
fn refusals_come_in_the_contracts_order() {
    // Each step mends the first fault and leaves the others.
    let mut spoke = spoke();
    let mut account = account_with(COLLATERAL, UserPosition { is_collateral: false, ..supply(0) });
    account.positions.insert(DEBT, UserPosition { is_borrowing: false, ..UserPosition::default() });
    let mut call = LiquidationCall { borrower: Address::repeat_byte(1), receive_shares: true, ..call(0) };
    spoke.reserves.get_mut(&DEBT).unwrap().paused = true;
    spoke.reserves.get_mut(&COLLATERAL).unwrap().frozen = true;
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::SelfLiquidation));
    call.borrower = Address::repeat_byte(2);
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::InvalidDebtToCover));
    call.debt_to_cover = number(1);
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::ReservePaused));
    spoke.reserves.get_mut(&DEBT).unwrap().paused = false;
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::ReserveNotSupplied));
    account.positions.insert(COLLATERAL, UserPosition { is_collateral: false, ..supply(10 * WAD) });
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::ReserveNotBorrowed));
    account.positions.insert(DEBT, UserPosition { is_borrowing: false, ..debt() });
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::HealthFactorNotBelowThreshold));
    account.positions.insert(DEBT, debt());
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::ReserveNotEnabledAsCollateral));
    account.positions.insert(COLLATERAL, supply(10 * WAD));
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::CannotReceiveShares));
    call.collateral = ReserveId(9);
    assert_eq!(refusal(&spoke, &account, &call), Some(Refusal::ReserveNotListed));
    let unpriced = spoke.liquidation_call(&account, &call, &Block::default());
    assert_eq!(unpriced, Outcome::Refused(Refusal::InvalidPrice));
}

#[test]
fn an_offer_that_buys_no_share_is_refused() {
    // Without premium, one unit buys floor(1 / 1.2) = 0 shares.
    let plain = UserPosition { premium_shares: U256::ZERO, premium_offset: I256::ZERO, ..debt() };
    let account = Account { positions: [(COLLATERAL, supply(9 * WAD)), (DEBT, plain)].into(), ..Account::default() };
    assert_eq!(refusal(&spoke(), &account, &call(1)), Some(Refusal::InvalidAmount));
    assert_eq!(refusal(&spoke(), &account, &call(2)), None);
}
