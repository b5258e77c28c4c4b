//! What always holds of policies, over random histories.

use super::*;
use crate::treasury::{Action, Code};
use proptest::prelude::*;
use protocol::U256;

const DOLLAR: u128 = 100_000_000;

fn model() -> RateModel {
    let percent = |percent: u64| Ray(Ray::ONE.0 * U256::from(percent) / U256::from(100));
    RateModel {
        optimal_usage: percent(90),
        base: percent(0),
        slope_1: percent(5),
        slope_2: percent(60),
        ..RateModel::default()
    }
}

fn history(reserves: usize, cover: u16, opening: u128, steps: Vec<Step>) -> History {
    let reserve =
        |at: usize| Reserve { name: format!("R{at}"), strategy: (at == 0).then(|| (model(), Revision::V3_3)) };
    History { reserves: (0..reserves).map(reserve).collect(), opening, cover: Bps(cover), steps }
}

fn observed() -> impl Strategy<Value = Observed> {
    let market = (0..1_000_000 * DOLLAR, 0..1_000_000 * DOLLAR, 0_u16..10_000).prop_map(|(available, debt, factor)| {
        Market { available, debt, reserve_factor: Bps(factor), supply_rate: Ray(Ray::ONE.0 / U256::from(20)) }
    });
    let deficit = prop_oneof![3 => Just(0), 1 => 0..50_000 * DOLLAR];
    let at_risk = prop::option::of(0..1_000_000 * DOLLAR);
    (0..20_000 * DOLLAR, deficit, at_risk, prop::option::of(market))
        .prop_map(|(income, deficit, at_risk, market)| Observed { income, deficit, at_risk, market })
}

fn histories() -> impl Strategy<Value = History> {
    let step = (1_u64..2_000_000, prop::collection::vec(observed(), 2));
    (prop::collection::vec(step, 1..25), 0..100_000 * DOLLAR).prop_map(|(steps, opening)| {
        let mut time = 1_700_000_000;
        let steps: Vec<Step> = steps
            .into_iter()
            .map(|(passed, mut reserves): (u64, Vec<Observed>)| {
                // Something is known of the risk, or no buffer could follow it.
                reserves[0].at_risk.get_or_insert(passed.into());
                time += passed;
                Step { time, reserves }
            })
            .collect();
        history(2, 1_000, opening, steps)
    })
}

fn amounts() -> impl Strategy<Value = BTreeMap<String, u128>> {
    (0..80_000 * DOLLAR, 0..80_000 * DOLLAR).prop_map(|(a, b)| [("R0".to_owned(), a), ("R1".to_owned(), b)].into())
}

fn buffers() -> impl Strategy<Value = Buffer> {
    let half_life = prop::option::of(1_u64..10_000_000);
    prop_oneof![
        amounts().prop_map(|targets| Buffer::Fixed { targets }),
        (amounts(), 0_u16..=10_000, half_life).prop_map(|(start, factor, half_life_s)| Buffer::Indexed {
            start,
            factor: Bps(factor),
            half_life_s,
        }),
        (0_u16..=10_000, 0..50_000 * DOLLAR, 0..50_000 * DOLLAR).prop_map(|(share, floor, more)| Buffer::AtRisk {
            share: Bps(share),
            floor,
            cap: floor + more,
        }),
    ]
}

fn policies() -> impl Strategy<Value = Policy> {
    let uses = (0_u16..=5_000, 0_u16..=5_000, 0..100_000 * DOLLAR, 1_700_000_000_u64..1_730_000_000);
    (buffers(), uses).prop_map(|(buffer, (deposit, incentive, budget, end))| Policy {
        name: "p".to_owned(),
        buffer,
        uses: vec![
            Use::Deposit { reserve: "R0".to_owned(), share: Bps(deposit) },
            Use::Incentive { reserve: "R1".to_owned(), share: Bps(incentive), budget, end },
        ],
    })
}

/// What the journal of a run says of a code up to and with a step: debits and credits.
fn booked(run: &Run, code: Code) -> [u128; 2] {
    let mut sums = [0; 2];
    for journalled in run.ledger.journal() {
        let Action::Post(entry) = journalled.transfer.action else { unreachable!() };
        sums[0] += if entry.debit.code == code { entry.amount } else { 0 };
        sums[1] += if entry.credit.code == code { entry.amount } else { 0 };
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_is_lost_or_made_up(history in histories(), policy in policies()) {
        let run = simulate(&policy, &history).unwrap();
        let income: u128 = history.steps.iter().flat_map(|step| &step.reserves).map(|seen| seen.income).sum();
        let deficits: u128 = history.steps.iter().flat_map(|step| &step.reserves).map(|seen| seen.deficit).sum();
        let Summary { covered, borne_by_stakers, earned, incentives, left, .. } = run.summary;
        prop_assert_eq!(covered + borne_by_stakers, deficits);
        prop_assert_eq!(history.opening + income + earned, left + covered + incentives);
        let [owed, realised] = booked(&run, Code::DeficitOwed);
        prop_assert_eq!((owed, realised), (deficits, deficits));
        prop_assert_eq!(booked(&run, Code::DepositInterest), [0, earned]);
        prop_assert_eq!(booked(&run, Code::Incentives), [incentives, 0]);
        let last = run.points.last().unwrap();
        prop_assert_eq!(last.buffers + last.deposits + last.cash, left);
        if let Use::Incentive { budget, .. } = &policy.uses[1] {
            prop_assert!(incentives <= *budget);
        }
    }

    #[test]
    fn an_indexed_size_is_its_start_and_a_share_of_income_whatever_it_covered(
        mut history in histories(), start in amounts(), factor in 0_u16..=10_000,
    ) {
        // With money for everything, buffers are at their size after each step, and before the first.
        history.opening = 10_000_000 * DOLLAR;
        let buffer = Buffer::Indexed { start: start.clone(), factor: Bps(factor), half_life_s: None };
        let run = simulate(&Policy { name: "b".to_owned(), buffer, uses: Vec::new() }, &history).unwrap();
        prop_assert_eq!(run.summary.released, 0);
        let mut size = [start["R0"], start["R1"]];
        let mut borne = 0;
        for (at, step) in history.steps.iter().enumerate() {
            for (size, seen) in size.iter_mut().zip(&step.reserves) {
                borne += seen.deficit.saturating_sub(*size);
                *size += seen.income * u128::from(factor) / 10_000;
            }
            prop_assert_eq!(run.points[at].buffers, size[0] + size[1]);
            prop_assert_eq!(run.points[at].borne_by_stakers, borne);
        }
    }

    #[test]
    fn what_an_indexed_buffer_begins_with_does_not_decay(
        mut history in histories(), start in amounts(), factor in 0_u16..=10_000, half_life in 1_u64..10_000_000,
    ) {
        history.opening = 10_000_000 * DOLLAR;
        let policy = |start: BTreeMap<String, u128>| Policy {
            name: "c".to_owned(),
            buffer: Buffer::Indexed { start, factor: Bps(factor), half_life_s: Some(half_life) },
            uses: Vec::new(),
        };
        let base: u128 = start.values().sum();
        let with = simulate(&policy(start), &history).unwrap();
        let without = simulate(&policy(BTreeMap::new()), &history).unwrap();
        for (with, without) in with.points.iter().zip(&without.points) {
            prop_assert_eq!(with.buffers, base + without.buffers);
        }
    }

    #[test]
    fn a_fixed_buffer_is_never_above_its_target_and_full_where_there_is_money(
        history in histories(), targets in amounts(),
    ) {
        let buffer = Buffer::Fixed { targets: targets.clone() };
        let run = simulate(&Policy { name: "a".to_owned(), buffer, uses: Vec::new() }, &history).unwrap();
        let target: u128 = targets.values().sum();
        for point in &run.points {
            prop_assert!(point.buffers <= target);
            prop_assert!(point.buffers == target || point.cash == 0);
        }
        prop_assert_eq!(run.summary.released, 0);
    }

    #[test]
    fn a_buffer_by_risk_stays_within_its_bounds(history in histories(), share in 0_u16..=10_000, floor in 0..9 * DOLLAR) {
        let cap = floor + 30_000 * DOLLAR;
        let buffer = Buffer::AtRisk { share: Bps(share), floor, cap };
        let run = simulate(&Policy { name: "d".to_owned(), buffer, uses: Vec::new() }, &history).unwrap();
        for (at, point) in run.points.iter().enumerate() {
            let wanted: u128 = (0..2).map(|reserve| {
                let known = history.steps[..=at].iter().rev().find_map(|step| step.reserves[reserve].at_risk);
                known.map_or(floor, |risk| (risk * u128::from(share) / 10_000).clamp(floor, cap))
            }).sum();
            prop_assert!(point.buffers <= wanted);
            prop_assert!(point.buffers == wanted || point.cash == 0, "{} of {wanted}", point.buffers);
        }
    }

    #[test]
    fn without_income_and_losses_everything_stays_as_it_was(
        mut history in histories(), mut policy in policies(),
    ) {
        for seen in history.steps.iter_mut().flat_map(|step| &mut step.reserves) {
            (seen.income, seen.deficit, seen.at_risk) = (0, 0, Some(7 * DOLLAR));
        }
        if let Buffer::Indexed { half_life_s, .. } = &mut policy.buffer {
            *half_life_s = None;
        }
        let run = simulate(&policy, &history).unwrap();
        let first = run.points[0];
        for point in &run.points {
            prop_assert_eq!(Point { time: first.time, ..*point }, first);
        }
        prop_assert_eq!(run.summary.left, history.opening);
    }

    #[test]
    fn more_opening_cash_never_leaves_more_to_stakers(mut history in histories(), policy in policies()) {
        let before = simulate(&policy, &history).unwrap().summary.borne_by_stakers;
        history.opening += 200_000 * DOLLAR;
        prop_assert!(simulate(&policy, &history).unwrap().summary.borne_by_stakers <= before);
    }
}

fn step(time: u64, income: u128, deficit: u128) -> Step {
    let market =
        Market { available: 100 * DOLLAR, debt: 900 * DOLLAR, reserve_factor: Bps(1_000), supply_rate: Ray::ZERO };
    let at_risk = Some(1_000 * DOLLAR);
    Step { time, reserves: vec![Observed { income, deficit, at_risk, market: Some(market) }] }
}

#[test]
fn a_year_in_numbers_that_can_be_followed_by_hand() {
    let year = 31_536_000;
    let history = history(
        1,
        1_000,
        100 * DOLLAR,
        vec![step(0, 0, 0), step(year, 100 * DOLLAR, 130 * DOLLAR), step(2 * year, 0, 0)],
    );
    let policy = Policy {
        name: "fixed".to_owned(),
        buffer: Buffer::Fixed { targets: [("R0".to_owned(), 80 * DOLLAR)].into() },
        uses: vec![
            Use::Deposit { reserve: "R0".to_owned(), share: Bps(5_000) },
            Use::Incentive { reserve: "R0".to_owned(), share: Bps(5_000), budget: 7 * DOLLAR, end: 2 * year },
        ],
    };
    let run = simulate(&policy, &history).unwrap();
    // Of 100 at the start 80 go to the buffer before anything happens. A year on it covers 80 of 130 and is filled again from 20 in cash and 100 of income:
    // 100 less 80 are new, half of it is supplied, and of the other half the budget's 7 are paid.
    let summary = run.summary;
    assert_eq!((summary.covered, summary.borne_by_stakers), (80 * DOLLAR, 50 * DOLLAR));
    assert_eq!((summary.filled, summary.replenished, summary.replenishments), (160 * DOLLAR, 80 * DOLLAR, 1));
    assert_eq!(summary.incentives, 7 * DOLLAR);
    assert_eq!((run.points[1].deposits, run.points[1].cash), (10 * DOLLAR, 23 * DOLLAR));
    // 900 of 1,010 are borrowed, which is below 90 %: 5 % * 0.8911 / 0.9 = 4.9505 %, of which suppliers get 0.8911 * 90 %: 3.970199 %.
    assert_eq!(summary.earned, 39_701_990);
    assert_eq!(summary.average_deposits, 5 * DOLLAR);
    // At exactly 90 % borrowers pay 5 %: the deposit took 0.0495 % off that, and 0.8911 % off the usage, over the year it was there.
    let ray = |digits: &str| Ray(U256::from_str_radix(digits, 10).unwrap());
    assert_eq!(summary.usage_lowered, ray("8910891089108910891089109"));
    assert_eq!(summary.borrow_rate_lowered, Some(ray("495049504950495049504950")));
    // 80 are never the 10 % of 1,000 that are asked for.
    assert_eq!(summary.under_covered_reserve_s, 2 * year);
    // Cash of 20 and then 23 lay there.
    assert_eq!(summary.average_idle, Some(21 * DOLLAR + DOLLAR / 2));
}

#[test]
fn what_cannot_be_carried_out_says_what_is_wrong() {
    let reserves = ["R0".to_owned()];
    let policy = |buffer, uses| Policy { name: "p".to_owned(), buffer, uses };
    let deposit = |reserve: &str, share| Use::Deposit { reserve: reserve.to_owned(), share: Bps(share) };
    let at_risk = |share, floor, cap| Buffer::AtRisk { share: Bps(share), floor, cap };
    let indexed = |factor, half_life_s| Buffer::Indexed { start: BTreeMap::new(), factor: Bps(factor), half_life_s };
    for (policy, flaw) in [
        (policy(at_risk(1, 0, 1), vec![deposit("R9", 1)]), Flaw::UnknownReserve("R9".to_owned())),
        (policy(at_risk(10_001, 0, 1), Vec::new()), Flaw::ShareAboveOne(Bps(10_001))),
        (policy(at_risk(1, 2, 1), Vec::new()), Flaw::FloorAboveCap),
        (policy(at_risk(1, 0, MAX_USD8 + 1), Vec::new()), Flaw::TooLarge(MAX_USD8 + 1)),
        (policy(indexed(1, Some(0)), Vec::new()), Flaw::NoHalfLife),
        (policy(indexed(10_001, None), Vec::new()), Flaw::ShareAboveOne(Bps(10_001))),
        (policy(indexed(1, None), vec![deposit("R0", 6_000), deposit("R0", 4_001)]), Flaw::SharesAboveOne(10_001)),
        (
            policy(Buffer::Fixed { targets: [("X".to_owned(), 1)].into() }, Vec::new()),
            Flaw::UnknownReserve("X".to_owned()),
        ),
    ] {
        assert_eq!(policy.check(&reserves), Err(vec![flaw]));
    }
    let fine = policy(at_risk(1, 0, 1), vec![deposit("R0", 10_000)]);
    for (steps, expected) in [
        (vec![step(5, 0, 0), step(5, 0, 0)], Unfit::NotLater(2)),
        (vec![Step { time: 5, reserves: Vec::new() }], Unfit::OtherReserves(1)),
        (vec![step(5, MAX_USD8, 0), step(6, 1, 0)], Unfit::TooLarge(2)),
    ] {
        assert_eq!(simulate(&fine, &history(1, 0, 0, steps)).err(), Some(expected));
    }
    assert!(matches!(simulate(&fine, &history(1, 10_001, 0, Vec::new())).err(), Some(Unfit::Policy(_))));
    assert!(simulate(&fine, &history(1, 0, 0, Vec::new())).unwrap().points.is_empty());
}

#[test]
fn deficits_of_the_first_step_find_the_buffers_filled() {
    let targets: BTreeMap<String, u128> = [("R0".to_owned(), 80 * DOLLAR)].into();
    let half_life_s = None;
    for (buffer, covered) in [
        (Buffer::Fixed { targets: targets.clone() }, 80),
        (Buffer::Indexed { start: targets, factor: Bps(5_000), half_life_s }, 80),
        (Buffer::AtRisk { share: Bps(1_000), floor: 30 * DOLLAR, cap: 500 * DOLLAR }, 30),
    ] {
        let policy = Policy { name: "p".to_owned(), buffer, uses: Vec::new() };
        let found = simulate(&policy, &history(1, 1_000, 100 * DOLLAR, vec![step(9, 0, 90 * DOLLAR)])).unwrap().summary;
        assert_eq!((found.covered, found.borne_by_stakers), (covered * DOLLAR, (90 - covered) * DOLLAR));
    }
}

#[test]
fn a_market_pays_back_what_borrowers_left() {
    // 100 are supplied at the second step; at the third a loss of 80 is to be refilled out of them.
    let policy = Policy {
        name: "p".to_owned(),
        buffer: Buffer::Fixed { targets: [("R0".to_owned(), 80 * DOLLAR)].into() },
        uses: vec![Use::Deposit { reserve: "R0".to_owned(), share: Bps(10_000) }],
    };
    for (available, debt, paid) in
        [(0, 900, 0), (10, 30, 35), (3, 0, 80), (0, 0, 80), (80, 7_000, 80), (1, 1_000_000, 1)]
    {
        let market = Market {
            available: available * DOLLAR,
            debt: debt * DOLLAR,
            reserve_factor: Bps(1_000),
            supply_rate: Ray::ZERO,
        };
        let at = |time, income, deficit| {
            let mut step = step(time, income * DOLLAR, deficit * DOLLAR);
            step.reserves[0].market = Some(market);
            step
        };
        let mut history = history(1, 1_000, 80 * DOLLAR, vec![at(1, 0, 0), at(2, 100, 0), at(3, 0, 80)]);
        history.reserves[0].strategy = None;
        let run = simulate(&policy, &history).unwrap();
        assert_eq!(run.points[1].deposits, 100 * DOLLAR);
        let last = run.points[2];
        // Of the last row's deposit less than a ten-thousandth is left over besides.
        assert_eq!(last.buffers / DOLLAR, paid, "{available} and {debt}: {last:?}");
        assert_eq!(last.buffers + last.deposits, 100 * DOLLAR);
    }
}

#[test]
fn only_refills_after_losses_are_replenishments() {
    let policy = |buffer| Policy { name: "p".to_owned(), buffer, uses: Vec::new() };
    let fixed = policy(Buffer::Fixed { targets: [("R0".to_owned(), 80 * DOLLAR)].into() });
    let steps = vec![step(1, 30 * DOLLAR, 0), step(2, 60 * DOLLAR, 50 * DOLLAR), step(3, 90 * DOLLAR, 0)];
    let found = simulate(&fixed, &history(1, 0, 0, steps.clone())).unwrap().summary;
    // 30, then 60, of which 30 are again what was lost; 20 more are filled in for the first time at the third step.
    assert_eq!((found.filled, found.replenished, found.replenishments), (110 * DOLLAR, 30 * DOLLAR, 1));
    // Growth is none: 80 at first, 30 and 60 for income of which 50 are again what was lost, and 90.
    let start = [("R0".to_owned(), 80 * DOLLAR)].into();
    let indexed = policy(Buffer::Indexed { start, factor: Bps(10_000), half_life_s: None });
    let found = simulate(&indexed, &history(1, 0, 80 * DOLLAR, steps)).unwrap().summary;
    assert_eq!((found.filled, found.replenished, found.replenishments), (260 * DOLLAR, 50 * DOLLAR, 1));
}

#[test]
fn idle_capital_is_missing_where_the_risk_is_not_known() {
    let fixed = Policy {
        name: "p".to_owned(),
        buffer: Buffer::Fixed { targets: [("R0".to_owned(), 80 * DOLLAR)].into() },
        uses: Vec::new(),
    };
    let steps = |unknown: &[usize]| {
        let mut steps = vec![step(10, 0, 0), step(20, 0, 0), step(30, 0, 0)];
        unknown.iter().for_each(|at| steps[*at].reserves[0].at_risk = None);
        steps
    };
    let idle = |unknown: &[usize]| simulate(&fixed, &history(1, 1_000, 200 * DOLLAR, steps(unknown))).unwrap().summary;
    assert_eq!((idle(&[]).average_idle, idle(&[]).cover_unknown_reserve_s), (Some(120 * DOLLAR), 0));
    assert_eq!((idle(&[1]).average_idle, idle(&[1]).cover_unknown_reserve_s), (None, 10));
    // What is known at the very end counts for no time.
    assert_eq!(idle(&[2]).average_idle, Some(120 * DOLLAR));
    let buffer = Buffer::AtRisk { share: Bps(1_000), floor: 0, cap: DOLLAR };
    let policy = Policy { name: "d".to_owned(), buffer, uses: Vec::new() };
    let all = simulate(&policy, &history(1, 1_000, 0, steps(&[0, 1, 2])));
    assert_eq!(all.err(), Some(Unfit::RiskUnknown));
    assert!(simulate(&policy, &history(1, 1_000, 0, steps(&[0, 1]))).is_ok());
}
