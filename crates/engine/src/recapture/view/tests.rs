//! Both kinds of readers see what the contract reads.

use super::*;
use proptest::prelude::*;

const CUTOFF: u32 = 10;

fn round(round: u32, recorded_at: u64, path: Path) -> Transmission {
    let answer = I256::unchecked_from(1_000 + round);
    let observed_at = u32::try_from(recorded_at).unwrap() - 1;
    Transmission::Round { reading: Reading { round, answer, observed_at, recorded_at }, path }
}

fn after(transmissions: &[Transmission]) -> View {
    let mut view = View::new(CUTOFF, 20);
    view.replay(transmissions);
    view
}

/// (round of the recapturing reader, round of all others) at these times.
fn rounds(view: &View, times: &[u64]) -> Vec<(u32, u32)> {
    times.iter().map(|now| (view.secondary(*now).unwrap().round, view.standard(*now).unwrap().round)).collect()
}

#[test]
fn what_each_reader_sees_by_the_way_a_round_came_in_and_its_age() {
    use Path::{Primary, Secondary};
    let before = round(1, 100, Secondary);
    for (name, then, times, expected) in [
        ("public only", vec![round(2, 200, Primary)], [200, 210, 211], [(1, 2), (1, 2), (2, 2)]),
        ("auction only", vec![round(2, 200, Secondary)], [200, 201, 211], [(2, 1), (2, 2), (2, 2)]),
        (
            "public after auction",
            vec![round(2, 200, Secondary), Transmission::Repeated { path: Primary }],
            [200, 210, 211],
            [(2, 2), (2, 2), (2, 2)],
        ),
        (
            "auction after public",
            vec![round(2, 200, Primary), Transmission::Exposed { round: 2 }],
            [200, 210, 211],
            [(2, 2), (2, 2), (2, 2)],
        ),
        (
            "a repetition through the auction hides nothing but the newest in its own second",
            vec![round(2, 200, Secondary), Transmission::Repeated { path: Secondary }],
            [200, 201, 211],
            [(2, 1), (2, 2), (2, 2)],
        ),
        (
            "two public rounds, the cutoff of the first over",
            vec![round(2, 200, Primary), round(3, 205, Primary)],
            [211, 215, 216],
            [(2, 3), (2, 3), (3, 3)],
        ),
        (
            "a public round after one of the auction that is still fresh",
            vec![round(2, 200, Secondary), round(3, 205, Primary)],
            [205, 210, 211],
            [(2, 3), (2, 3), (2, 3)],
        ),
    ] {
        let mut told = vec![before];
        told.extend(then);
        assert_eq!(rounds(&after(&told), &times), expected, "{name}");
    }
}

#[test]
fn before_its_first_round_an_aggregator_answers_nothing_and_a_first_public_round_waits() {
    assert_eq!(View::new(CUTOFF, 20).secondary(5), Some(Reading::NOTHING));
    assert_eq!(View::new(CUTOFF, 20).standard(5), Some(Reading::NOTHING));
    let view = after(&[round(1, 100, Path::Primary)]);
    // Nothing was recorded at 0, so its cutoff is long over; the first round's is not.
    assert_eq!(rounds(&view, &[100, 110, 111]), [(0, 1), (0, 1), (1, 1)]);
}

#[test]
fn without_looking_back_the_recapturing_reader_is_stuck() {
    let mut view = View::new(CUTOFF, 0);
    view.replay(&[round(1, 100, Path::Secondary), round(2, 200, Path::Primary)]);
    assert_eq!(view.secondary(9_999).unwrap().round, 1);
    view.apply(&Transmission::MaxSync { rounds: 1 });
    assert_eq!(view.secondary(9_999).unwrap().round, 2);
}

#[test]
fn more_public_rounds_than_are_looked_back_over_leave_the_old_one() {
    let mut told = vec![round(1, 100, Path::Secondary)];
    told.extend((2..8).map(|number| round(number, 200, Path::Primary)));
    let mut view = View::new(CUTOFF, 3);
    view.replay(&told);
    assert_eq!(rounds(&view, &[210, 211]), [(1, 7), (7, 7)]);
    let fresh: Vec<_> = (8..12).map(|number| round(number, 215, Path::Primary)).collect();
    view.replay(&fresh);
    assert_eq!(view.secondary(216).unwrap().round, 1, "round 7 is over its cutoff but lies too far back");
}

#[test]
fn a_longer_cutoff_takes_the_reader_back() {
    let mut view = after(&[round(1, 100, Path::Secondary), round(2, 200, Path::Primary)]);
    assert_eq!(view.secondary(220).unwrap().round, 2);
    view.apply(&Transmission::Cutoff { seconds: 30 });
    assert_eq!(view.secondary(220).unwrap().round, 1);
}

#[test]
fn what_was_not_told_is_not_answered() {
    let mut view = View::begun_late();
    view.apply(&round(7, 200, Path::Primary));
    assert_eq!(view.standard(300).unwrap().round, 7);
    assert_eq!(view.secondary(300), None, "the cutoff is not known");
    view.apply(&Transmission::Cutoff { seconds: 10 });
    assert_eq!(view.secondary(300), None, "what came through the auction before is not known");
    view.apply(&round(8, 300, Path::Secondary));
    assert_eq!(view.secondary(300).unwrap().round, 8);
    let mut gone = View::begun_late();
    gone.replay(&[Transmission::Cutoff { seconds: 10 }, Transmission::Exposed { round: 3 }]);
    assert_eq!(gone.secondary(300), None, "the round itself was not told");
}

#[test]
fn stretches_of_disagreement_say_how_long_how_far_and_who_was_ahead() {
    let view = after(&[round(1, 100, Path::Secondary), round(2, 200, Path::Primary)]);
    let mut gaps = Gaps::default();
    let mut ended = Vec::new();
    for time in [188_u64, 200, 205, 211, 223] {
        let mut at = after(&[round(1, 100, Path::Secondary)]);
        if time >= 200 {
            at = view.clone();
        }
        let seen = Seen { time, secondary: at.secondary(time).unwrap(), standard: at.standard(time).unwrap() };
        ended.extend(gaps.add(&seen));
    }
    // 1001 against 1002: 1 / 1002.
    let expected = Gap { from: 200, to: Some(211), blocks: 2, worst_ppm: Some(998), is_secondary_ahead: false };
    assert_eq!((ended, gaps.open(), gaps.blocks, gaps.differing), (vec![expected], None, 5, 2));
}

/// The contract's own reading, as its loop is written, over everything ever stored.
fn by_the_letter(told: &[Transmission], cutoff: u64, max_sync: u32, now: u64) -> (u32, u32) {
    let (mut times, mut latest_secondary, mut is_secondary) = (vec![0_u64], 0_u32, false);
    for transmission in told {
        match *transmission {
            Transmission::Round { reading, path } => {
                times.push(reading.recorded_at);
                is_secondary = path == Path::Secondary;
                if is_secondary {
                    latest_secondary = reading.round;
                }
            }
            Transmission::Exposed { round } => latest_secondary = round,
            Transmission::Repeated { path } => is_secondary = path == Path::Secondary,
            Transmission::Cutoff { .. } | Transmission::MaxSync { .. } => {}
        }
    }
    let latest = u32::try_from(times.len()).unwrap() - 1;
    let at = |round: u32| times[usize::try_from(round).unwrap()];
    let mut secondary = latest_secondary;
    if at(latest_secondary) + cutoff < now {
        let mut round = latest;
        while round >= 1 && latest - round != max_sync {
            if round == latest_secondary || at(round) + cutoff < now {
                secondary = round;
                break;
            }
            round -= 1;
        }
    }
    let is_hidden = latest == latest_secondary && is_secondary && at(latest) == now;
    (secondary, if is_hidden { latest.saturating_sub(1) } else { latest })
}

prop_compose! {
    /// Accepted transmissions with the seconds between them.
    fn stories()(steps in prop::collection::vec((0_u8..6, 0_u64..8), 0..60)) -> (Vec<Transmission>, u64) {
        let (mut told, mut now, mut latest, mut secondary) = (Vec::new(), 1_000_u64, 0_u32, 0_u32);
        for (kind, later) in steps {
            now += later;
            match kind {
                0..=2 => {
                    latest += 1;
                    told.push(round(latest, now, Path::Primary));
                }
                3 => {
                    latest += 1;
                    secondary = latest;
                    told.push(round(latest, now, Path::Secondary));
                }
                4 if latest > secondary => {
                    secondary = latest - (latest - secondary) / 2;
                    told.push(Transmission::Exposed { round: secondary });
                }
                _ => told.push(Transmission::Repeated { path: if later % 2 == 0 { Path::Primary } else { Path::Secondary } }),
            }
        }
        (told, now)
    }
}

proptest! {
    #[test]
    fn readers_see_what_the_contract_reads((told, end) in stories(), cutoff in 0_u32..40, max_sync in 0_u32..8, later in 0_u64..60) {
        let mut view = View::new(cutoff, max_sync);
        view.replay(&told);
        let now = end + later;
        let seen = (view.secondary(now).unwrap().round, view.standard(now).unwrap().round);
        prop_assert_eq!(seen, by_the_letter(&told, cutoff.into(), max_sync, now));
    }

    #[test]
    fn the_recapturing_reader_never_goes_back_and_waits_no_longer_than_the_cutoff((told, _) in stories(), cutoff in 0_u32..40) {
        let mut view = View::new(cutoff, 100);
        let mut last = (0, 0);
        let mut recorded = Vec::new();
        for transmission in &told {
            view.apply(transmission);
            if let Transmission::Round { reading, .. } = transmission {
                recorded.push(*reading);
            }
            let Some(now) = recorded.last().map(|reading| reading.recorded_at) else { continue };
            for later in 0..3 {
                let now = now + later * u64::from(cutoff);
                if now < last.1 {
                    continue;
                }
                let seen = view.secondary(now).unwrap().round;
                prop_assert!(seen >= last.0, "{} after {}", seen, last.0);
                if later == 0 {
                    last = (seen, now);
                }
                let waited = recorded.iter().filter(|reading| reading.recorded_at + u64::from(cutoff) < now);
                prop_assert!(waited.map(|reading| reading.round).max().unwrap_or(0) <= seen);
            }
        }
    }
}
