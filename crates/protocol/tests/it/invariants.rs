//! What holds in every pool of every revision, whatever happens in it: one sentence a test.
//!
//! Where the contracts themselves break a sentence, the test says which revision and why, and holds the exception to its
//! exact extent.

use std::cell::RefCell;
use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestError, TestRunner};
use protocol::aave::Revision;
use protocol::aave::account::{AccountData, LIQUIDATION_HEALTH_FACTOR};
use protocol::aave::config::{CollateralTerms, EMode, ReserveConfig, ReserveId};
use protocol::aave::liquidation::{Liquidated, LiquidationCall};
use protocol::aave::math::{Bps, Ray, Rounding, Wad, ray_div, ray_mul};
use protocol::aave::pool::{Action, Executed, Outcome, RateMode};
use protocol::aave::rates::RateModel;
use protocol::aave::revision::{Compounding, EModeRule, Scaling};

use crate::recorded::number;
use crate::world::{Bytes, NOW, Step, Taste, USERS, World, everybody, user};
use protocol::aave::reserve::{Reserve, StableTotals};

/// Worlds of each revision that a sentence is tried in; each has up to fifty steps.
const WORLDS: u32 = 200;

/// One action, and the world on both sides of it.
struct Turn {
    before: World,
    action: Action,
    outcome: Outcome,
    after: World,
    /// How many actions were executed in this world so far.
    executed: u32,
    /// A liquidation in this world took collateral of the asset it repaid, where the revision books that wrongly.
    misbooked: bool,
}

impl std::fmt::Debug for Turn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { before, action, outcome, after, .. } = self;
        write!(f, "{action:?} -> {outcome:?}\nfrom {before:?}\nto {after:?}")
    }
}

impl Turn {
    fn revision(&self) -> Revision {
        self.before.pool.revision
    }

    fn count(&self, [executed, refused, liquidations]: &mut [u32; 3]) {
        *(if matches!(self.outcome, Outcome::Executed(_)) { executed } else { refused }) += 1;
        *liquidations += u32::from(self.liquidated().is_some());
    }

    fn liquidated(&self) -> Option<(&LiquidationCall, &Liquidated)> {
        match (&self.action, &self.outcome) {
            (Action::Liquidate(call), Outcome::Executed(Executed::Liquidated(done))) => Some((call, done)),
            _ => None,
        }
    }
}

/// Tries a sentence on every action in random worlds of every revision, and says how many actions were executed and
/// refused and how many liquidations there were: a sentence about nothing holds always.
fn always(holds: impl Fn(&Turn) -> TestCaseResult) {
    for revision in Revision::ALL {
        let counted = RefCell::new([0; 3]);
        let config = ProptestConfig { cases: WORLDS, failure_persistence: None, ..ProptestConfig::default() };
        let bytes = prop::collection::vec(any::<u8>(), 300..800);
        let outcome = TestRunner::new(config).run(&bytes, |bytes| live(revision, &bytes, &counted, &holds));
        if let Err(TestError::Fail(reason, bytes)) = outcome {
            panic!("{reason}\nin the world of {revision:?} and the bytes {bytes:?}");
        }
        let [executed, refused, liquidations] = counted.into_inner();
        println!("{revision:?}: {executed} executed, {refused} refused, {liquidations} liquidations");
        assert!(executed > 100 && refused > 100 && liquidations > 3, "{revision:?}: too little happened");
    }
}

/// Lives through one world, until its bytes are used up.
fn live(
    revision: Revision,
    bytes: &[u8],
    counted: &RefCell<[u32; 3]>,
    holds: impl Fn(&Turn) -> TestCaseResult,
) -> TestCaseResult {
    let mut bytes = Bytes::new(bytes);
    let mut world = World::decode(&mut bytes, revision, Taste::Sane);
    // The beginning is everybody's supply and loan.
    let (mut executed, mut misbooked) = (2 * u32::from(USERS), false);
    while !bytes.is_empty() {
        let step = world.decode_step(&mut bytes, Taste::Sane);
        let Step::Act(action) = step else {
            world.turn(&step);
            continue;
        };
        let before = world.clone();
        let outcome = world.pool.apply(&action, &world.block);
        executed += u32::from(matches!(outcome, Outcome::Executed(_)));
        let mut turn = Turn { before, action, outcome, after: world, executed, misbooked };
        misbooked |= turn.before.misbooks(&turn.action) && matches!(turn.outcome, Outcome::Executed(_));
        turn.misbooked = misbooked;
        turn.count(&mut counted.borrow_mut());
        holds(&turn)?;
        world = turn.after;
    }
    Ok(())
}

fn data(world: &World, user: Address) -> Option<AccountData> {
    world.pool.account_data(user, &world.block).ok()
}

/// What one smallest unit of a token is worth, in smallest units of the base currency, rounded up.
fn unit_value(world: &World, id: ReserveId) -> f64 {
    let decimals = world.pool.reserves[usize::from(id.0)].config.decimals;
    let e_mode = world.block.e_mode_prices.values().map(|price| f64::from(*price)).fold(0.0, f64::max);
    let price = f64::from(world.block.price(id).unwrap()).max(e_mode);
    price / 10_f64.powi(i32::from(decimals)) + 1.0
}

/// The terms on which a borrower's collateral is liquidated.
fn terms(world: &World, call: &LiquidationCall) -> CollateralTerms {
    let account = &world.pool.accounts[&call.borrower];
    let category = world.pool.e_modes.get(&account.e_mode).filter(|_| account.e_mode != 0);
    let config = &world.pool.reserves[usize::from(call.collateral.0)].config;
    let category = category.map(|category| (account.e_mode, *category));
    CollateralTerms::of(world.pool.rules(), call.collateral, config, category)
}

/// A liquidation repays `r` and takes `r * bonus`, so it takes `r * bonus * threshold` from what backs the debt: the
/// health factor rises exactly if it was above `bonus * threshold`. Below that the position is beyond repair, and each
/// call makes it worse. Rounding adds a smallest unit of either token for each amount and, to 3.4, a basis point for the
/// floored average threshold.
///
/// To 3.3 a borrower may liquidate himself and take the collateral as supply: that is a repayment, and no collateral goes.
#[test]
fn after_any_liquidation_the_health_factor_rises_unless_the_position_is_beyond_repair() {
    let seen = RefCell::new([0_u32; 3]);
    always(|turn| {
        let Some((call, done)) = turn.liquidated().filter(|(call, _)| call.borrower != call.liquidator) else {
            return Ok(());
        };
        let (Some(before), Some(after)) = (data(&turn.before, call.borrower), data(&turn.after, call.borrower)) else {
            return Ok(());
        };
        // 3.0.0 looks after it accrued, and may then owe less than its views had shown.
        prop_assert!(done.health_factor == before.health_factor || turn.revision() == Revision::V3_0_0, "{turn:?}");
        prop_assert!(done.health_factor < LIQUIDATION_HEALTH_FACTOR);
        let (h0, h1) = (number(done.health_factor), number(after.health_factor));
        let terms = terms(&turn.before, call);
        let beyond = f64::from(terms.liquidation_bonus.0) * f64::from(terms.liquidation_threshold.0) / 1e8;
        let is_averaged = !turn.before.pool.rules().unaveraged_health;
        let threshold = before.liquidation_threshold.min(after.liquidation_threshold).0;
        let basis_point = if is_averaged { 1.0 / (f64::from(threshold) - 1.0).max(1.0) } else { 0.0 };
        let units = 4.0 * (unit_value(&turn.before, call.collateral) + unit_value(&turn.before, call.debt)) + 4.0;
        let slack = h0 * basis_point + units * (1.0 + h0) / f64::from(after.total_debt).max(1.0) + 1e-15;
        let mut seen = seen.borrow_mut();
        seen[0] += u32::from(h1 > h0);
        seen[1] += u32::from(h1 < h0 && h0 > beyond);
        seen[2] += u32::from(h1 < h0 && h0 <= beyond);
        prop_assert!(
            h1 >= h0 - slack || h0 <= beyond + slack,
            "{h0} fell to {h1}; bonus * threshold {beyond}: {turn:?}"
        );
        // V2 and 3.0.0 may forget interest their views had shown, which no arithmetic of a liquidation undoes.
        let is_exact = !turn.before.pool.rules().nested_accrual && done.deficits.is_empty();
        let falls = is_exact && h0 < beyond - slack && after.health_factor != Wad::INFINITE;
        prop_assert!(!falls || h1 <= h0 + slack, "{h0} rose to {h1} below bonus * threshold {beyond}: {turn:?}");
        Ok(())
    });
    let [rose, fell_by_rounding, fell_beyond_repair] = seen.into_inner();
    println!("rose {rose}, fell by rounding {fell_by_rounding}, fell beyond repair {fell_beyond_repair}");
    assert!(rose > 20 && fell_beyond_repair > 10);
}

/// What is claimed of a reserve is there or owed: to the last unit since 3.5, and before but for half a scaled unit an
/// action and, in V2, what the rate per second loses when it is floored. Nor does an action make what backs the claims
/// out of nothing: a deficit is no more than the debt it replaces.
///
/// False after a liquidation that takes collateral of the asset it repays, except in 3.1 to 3.4 and in 3.7: see
/// [`World::misbooks`], and [`a_liquidation_in_one_asset_pays_the_treasury_twice_in_3_5_and_3_6`] for how much.
///
/// False to 3.1 where there was stable debt: the total that sets the rates grows by the average rate and is not the sum of
/// what the accounts owe.
#[test]
fn no_operation_creates_value() {
    let largest = RefCell::new(BTreeMap::<Revision, U256>::new());
    always(|turn| {
        if turn.misbooked {
            return Ok(());
        }
        let rules = turn.after.pool.rules();
        let without_stable = |(_, reserve): &(usize, &Reserve)| reserve.stable_debt == StableTotals::default();
        for (id, reserve) in turn.after.pool.reserves.iter().enumerate().filter(without_stable) {
            let (Some(before), Some(after)) = (turn.before.balance_sheet(id), turn.after.balance_sheet(id)) else {
                continue;
            };
            let (claims, backing) = after;
            let missing = claims.saturating_sub(backing);
            let gained = (backing + before.0).saturating_sub(claims + before.1);
            let mut largest = largest.borrow_mut();
            let slot = largest.entry(turn.revision()).or_default();
            *slot = (*slot).max(missing);
            let scaled_unit =
                reserve.liquidity_index.0.max(reserve.variable_borrow_index.0) / Ray::ONE.0 + U256::from(2);
            let floored = match rules.compounding {
                Compounding::RatePerSecond => backing * U256::from(turn.after.block.now - NOW) / Ray::ONE.0,
                Compounding::YearlyRate | Compounding::Taylor => U256::ZERO,
            };
            let rounding = match rules.scaling {
                Scaling::HalfUp => U256::from(turn.executed) * scaled_unit + floored,
                Scaling::Protocol => U256::ZERO,
            };
            prop_assert!(missing <= rounding, "{missing} of {claims} missing in reserve {id}: {turn:?}");
            let gain = scaled_unit * U256::from(4);
            prop_assert!(gained <= gain, "{gained} out of nothing in reserve {id}: {turn:?}");
        }
        Ok(())
    });
    println!("largest amounts missing, in smallest units: {:?}", largest.borrow());
}

#[test]
fn a_refused_action_changes_nothing() {
    always(|turn| {
        if matches!(turn.outcome, Outcome::Refused(_)) {
            prop_assert!(turn.before.pool == turn.after.pool, "{turn:?}");
        }
        Ok(())
    });
}

/// The indexes a reserve stores. What it *reports* for debt may fall, as views compound always: at an update while nobody
/// owes anything and, in V2 and 3.0.0, while suppliers earn nothing, where the interest shown so far is forgotten.
#[test]
fn indexes_never_fall() {
    let forgotten = RefCell::new(BTreeMap::<Revision, u32>::new());
    always(|turn| {
        let (now, rules) = (turn.before.block.now, turn.before.pool.rules());
        for (before, after) in turn.before.pool.reserves.iter().zip(&turn.after.pool.reserves) {
            prop_assert!(after.liquidity_index >= before.liquidity_index, "{turn:?}");
            prop_assert!(after.variable_borrow_index >= before.variable_borrow_index, "{turn:?}");
            prop_assert!(after.last_update >= before.last_update && after.last_update <= now, "{turn:?}");
            let reported = (before.normalized_debt(rules, now), after.normalized_debt(rules, now));
            if let (Ok(before_report), Ok(after_report)) = reported
                && after_report < before_report
            {
                let owes = !before.scaled_variable_debt.is_zero();
                prop_assert!(!owes || (rules.nested_accrual && before.rates.liquidity == Ray::ZERO), "{turn:?}");
                *forgotten.borrow_mut().entry(turn.revision()).or_default() += u32::from(owes);
            }
            let (Ok(income), Ok(income_after)) = (before.normalized_income(now), after.normalized_income(now)) else {
                continue;
            };
            prop_assert_eq!(income, income_after);
        }
        Ok(())
    });
    println!("updates that forgot interest on debt: {:?}", forgotten.borrow());
}

#[test]
fn scaled_totals_are_the_sum_of_scaled_balances() {
    always(|turn| {
        for (id, reserve) in turn.after.pool.reserves.iter().enumerate() {
            let id = ReserveId(u8::try_from(id).unwrap());
            let positions = || turn.after.pool.accounts.values().map(|account| account.position(id));
            let supplied: U256 = positions().map(|position| position.supplied).sum();
            let borrowed: U256 = positions().map(|position| position.borrowed).sum();
            prop_assert_eq!((supplied, borrowed), (reserve.scaled_supply, reserve.scaled_variable_debt));
        }
        Ok(())
    });
}

/// Exact since 3.5, for every account and every action of anybody. Entering a category from none is not checked before 3.2.
///
/// To 3.4 an account at the threshold to a basis point may fall below it: collateral it gains or switches on lowers the
/// floored average threshold of all it has, and rounding may add a unit to its debt. Nothing checks that.
#[test]
fn no_healthy_account_becomes_liquidatable_except_by_price_time_or_configuration() {
    let edges = RefCell::new(BTreeMap::<Revision, u32>::new());
    always(|turn| {
        for user in everybody() {
            let (Some(before), Some(after)) = (data(&turn.before, user), data(&turn.after, user)) else { continue };
            let enters = matches!(turn.action, Action::SetEMode { user: who, .. } if who == user);
            let unchecked = enters && turn.revision() <= Revision::V3_1;
            if before.is_liquidatable() || !after.is_liquidatable() || unchecked {
                continue;
            }
            *edges.borrow_mut().entry(turn.revision()).or_default() += 1;
            prop_assert!(turn.revision() <= Revision::V3_4, "{user}: {before:?} to {after:?} {turn:?}");
            let basis_point = 1.0 / f64::from(after.liquidation_threshold.0.max(1));
            let units: f64 = (0..turn.before.pool.reserves.len())
                .map(|id| unit_value(&turn.before, ReserveId(u8::try_from(id).unwrap())))
                .sum();
            let slack = basis_point + 2.0 * units / f64::from(after.total_debt);
            prop_assert!(number(after.health_factor) >= 1.0 - slack, "{user}: {before:?} to {after:?} {turn:?}");
        }
        Ok(())
    });
    println!("accounts pushed over the edge by rounding: {:?}", edges.borrow());
}

/// A world whose reserve 0 anybody may supply, borrow and use as collateral, at random indexes.
fn at_indexes(revision: Revision, income: u64, debt: u64) -> World {
    let mut world = World::decode(&mut Bytes::new(&[]), revision, Taste::Sane);
    world.pool.accounts.clear();
    for reserve in &mut world.pool.reserves {
        reserve.rate_model = RateModel { optimal_usage: Ray(Ray::ONE.0 / U256::from(2)), ..RateModel::default() };
        reserve.config = ReserveConfig {
            ltv: Bps(7_500),
            liquidation_threshold: Bps(8_000),
            liquidation_bonus: Bps(10_500),
            decimals: 18,
            active: true,
            borrowing: true,
            ..ReserveConfig::default()
        };
        reserve.liquidity_index = Ray(Ray::ONE.0 + U256::from(income) * U256::from(1_000_000_007_u64));
        reserve.variable_borrow_index = Ray(Ray::ONE.0 + U256::from(debt) * U256::from(1_000_000_007_u64));
        (reserve.scaled_supply, reserve.scaled_variable_debt) = (U256::ZERO, U256::ZERO);
        reserve.liquidity = U256::from(10).pow(U256::from(30));
    }
    world.block.prices = vec![U256::from(100_000_000); world.pool.reserves.len()];
    world
}

/// What comes back when all of a supply is taken out at once, and what a borrower pays who repays at once.
fn there_and_back(world: &World, amount: U256) -> (U256, U256) {
    let (who, lender) = (user(0), user(1));
    let mut pool = world.pool.clone();
    let supply = |user, reserve, amount| Action::Supply { user, on_behalf_of: user, reserve, amount };
    let (first, second, mode) = (ReserveId(0), ReserveId(1), RateMode::Variable);
    let collateral = amount * U256::from(10) + U256::from(10).pow(U256::from(20));
    let mut done = Vec::new();
    for action in [
        supply(who, first, amount),
        Action::Withdraw { user: who, reserve: first, amount: U256::MAX },
        supply(lender, first, collateral),
        supply(who, second, collateral),
        Action::UseAsCollateral { user: who, reserve: second, on: true },
        Action::Borrow { user: who, reserve: first, amount, mode },
        Action::Repay { user: who, on_behalf_of: who, reserve: first, amount: U256::MAX, mode },
    ] {
        match pool.apply(&action, &world.block) {
            Outcome::Executed(executed) => done.push(executed),
            refused @ Outcome::Refused(_) => panic!("{action:?} is refused: {refused:?}"),
        }
    }
    match (&done[1], &done[6]) {
        (Executed::Withdrawn(back), Executed::Repaid(paid)) => (*back, *paid),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// Exact to the unit: what comes back is the supply through two floors, what is paid is the debt through two ceilings.
    #[test]
    fn rounding_always_favours_the_protocol_since_3_5(
        revision in prop::sample::select(vec![Revision::V3_5, Revision::V3_6, Revision::V3_7]),
        income in any::<u64>(),
        debt in any::<u64>(),
        amount in 1_000_000_u64..,
    ) {
        let world = at_indexes(revision, income, debt);
        let (amount, reserve) = (U256::from(amount), &world.pool.reserves[0]);
        let (back, paid) = there_and_back(&world, amount);
        prop_assert!(back <= amount && amount <= paid);
        let through = |index, rounding| ray_mul(ray_div(amount, index, rounding).unwrap(), index, rounding).unwrap();
        prop_assert_eq!(back, through(reserve.liquidity_index, Rounding::Floor));
        prop_assert_eq!(paid, through(reserve.variable_borrow_index, Rounding::Ceil));
    }

    /// To 3.4 both ways round half up: the account may gain as well as lose, at most half a scaled unit's worth each way.
    #[test]
    fn rounding_favours_either_side_to_3_4(income in any::<u64>(), debt in any::<u64>(), amount in 1_000_000_u64..) {
        for revision in Revision::ALL.into_iter().filter(|revision| *revision != Revision::V3_0_0) {
            let world = at_indexes(revision, income, debt);
            if world.pool.rules().scaling == Scaling::Protocol {
                continue;
            }
            let (amount, reserve) = (U256::from(amount), &world.pool.reserves[0]);
            let (back, paid) = there_and_back(&world, amount);
            let most = |index: Ray| index.0 / Ray::ONE.0 / U256::from(2) + U256::from(1);
            prop_assert!(back.abs_diff(amount) <= most(reserve.liquidity_index));
            prop_assert!(paid.abs_diff(amount) <= most(reserve.variable_borrow_index));
        }
    }
}

/// One amount at one index with which the account comes out ahead to 3.4, so that the sentence for 3.5 says something.
#[test]
fn to_3_4_an_account_can_gain_a_unit_by_rounding() {
    // An index of about 19.4: 1,000,010 units are 51,547.9 scaled, rounded up to 51,548.
    let world = at_indexes(Revision::V3_4, u64::MAX, u64::MAX);
    let gains =
        (1_000_000..1_000_040_u64).filter(|amount| there_and_back(&world, U256::from(*amount)).0 > U256::from(*amount));
    assert!(gains.count() > 10);
}

/// Half of a debt liquidated with collateral in the same asset, after time has passed.
fn liquidated_in_one_asset(revision: Revision) -> (U256, U256) {
    let mut world = at_indexes(revision, 0, 0);
    let who = user(0);
    let amount = U256::from(10).pow(U256::from(22));
    for reserve in &mut world.pool.reserves {
        reserve.config.reserve_factor = Bps(1_000);
        reserve.liquidity = U256::ZERO;
        reserve.rate_model.base = Ray::ONE;
    }
    let (id, mode) = (ReserveId(0), RateMode::Variable);
    let debt = amount * U256::from(7) / U256::from(10);
    for action in [
        Action::Supply { user: who, on_behalf_of: who, reserve: id, amount },
        Action::Borrow { user: who, reserve: id, amount: debt, mode },
    ] {
        let outcome = world.pool.apply(&action, &world.block);
        assert!(matches!(outcome, Outcome::Executed(_)), "{outcome:?}");
    }
    world.block.now += 40_000_000;
    let reserve = &world.pool.reserves[0];
    let grown =
        reserve.normalized_debt(world.pool.rules(), world.block.now).unwrap().0 - reserve.variable_borrow_index.0;
    let interest = ray_mul(reserve.scaled_variable_debt, Ray(grown), Rounding::Floor).unwrap();
    let income = reserve.normalized_income(world.block.now).unwrap();
    let call = LiquidationCall {
        liquidator: user(1),
        borrower: who,
        collateral: id,
        debt: id,
        debt_to_cover: debt / U256::from(2),
        receive_a_token: true,
    };
    let outcome = world.pool.apply(&Action::Liquidate(call), &world.block);
    assert!(matches!(outcome, Outcome::Executed(_)), "{revision:?} {outcome:?}");
    let share = ray_div(interest / U256::from(10), income, Rounding::Floor).unwrap();
    (share, world.pool.reserves[0].accrued_to_treasury)
}

/// The contracts' own double accrual, mended in 3.7: exactly one share too much.
#[test]
fn a_liquidation_in_one_asset_pays_the_treasury_twice_in_3_5_and_3_6() {
    for (revision, times) in [(Revision::V3_4, 1), (Revision::V3_5, 2), (Revision::V3_6, 2), (Revision::V3_7, 1)] {
        let (share, accrued) = liquidated_in_one_asset(revision);
        assert!(accrued.abs_diff(share * U256::from(times)) <= U256::from(2), "{revision:?}: {accrued} of {share}");
    }
}

/// A price source left in a category by 3.1 means nothing after the upgrade, to no part of the pool.
#[test]
fn only_3_0_and_3_1_ask_a_category_for_its_price() {
    for revision in Revision::ALL {
        let mut world = at_indexes(revision, 0, 0);
        let who = user(0);
        let (amount, mode) = (U256::from(10).pow(U256::from(20)), RateMode::Variable);
        let all = (0..2).map(ReserveId).collect();
        let category = EMode {
            ltv: Bps(9_000),
            liquidation_threshold: Bps(9_500),
            has_price_source: true,
            collateral: all,
            borrowable: all,
            ..EMode::default()
        };
        world.pool.e_modes.insert(1, category);
        for reserve in &mut world.pool.reserves {
            reserve.config.e_mode_category = 1;
        }
        // A tenth of each reserve's own price.
        world.block.e_mode_prices.insert(1, U256::from(10_000_000));
        for action in [
            Action::SetEMode { user: who, category: 1 },
            Action::Supply { user: user(1), on_behalf_of: user(1), reserve: ReserveId(1), amount },
            Action::Supply { user: who, on_behalf_of: who, reserve: ReserveId(0), amount },
            Action::Borrow { user: who, reserve: ReserveId(1), amount: amount / U256::from(2), mode },
        ] {
            let outcome = world.pool.apply(&action, &world.block);
            let has_none = revision == Revision::V2 && matches!(action, Action::SetEMode { .. });
            assert!(matches!(outcome, Outcome::Executed(_)) || has_none, "{revision:?} {outcome:?}");
        }
        let asks = world.pool.rules().e_mode == EModeRule::OneCategory;
        let dollars = U256::from(if asks { 10_u64 } else { 100 } * 100_000_000);
        assert_eq!(data(&world, who).unwrap().total_collateral, dollars, "{revision:?}");
        // The power is what is left of nine tenths, or of three quarters without categories.
        let ltv = if revision == Revision::V2 { 75 } else { 90 };
        let left = amount * U256::from(ltv) / U256::from(100) - amount / U256::from(2);
        let borrow = |amount| Action::Borrow { user: who, reserve: ReserveId(1), amount, mode };
        let more = world.pool.apply(&borrow(left + amount / U256::from(100)), &world.block);
        assert!(matches!(more, Outcome::Refused(_)), "{revision:?} {more:?}");
        let all = world.pool.apply(&borrow(left), &world.block);
        assert!(matches!(all, Outcome::Executed(_)), "{revision:?} {all:?}");
    }
}
