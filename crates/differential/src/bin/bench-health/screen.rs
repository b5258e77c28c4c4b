//! The screen of accounts, beside numpy, a plain loop over floats, and the machine's memory.

use std::hint::black_box;

use anyhow::{Result, ensure};
use engine::health::{Factors, Screen, Verdicts};
use protocol::aave::account::{LIQUIDATION_HEALTH_FACTOR, Leg};

use crate::numpy::{self, Numpy};
use crate::people::{LEGS, People};
use crate::{RUNS, best, heading, line};

/// Enough that no cache holds them.
const MANY: usize = 8;

pub(crate) fn report(people: &People, numpy: &Numpy) -> Result<()> {
    heading("\nthe same accounts in floats");
    let naive = naive(people);
    line("a plain loop, factors looked up by reserve", 1e-6 * naive, "M accounts/s", "");
    line("numpy, factors looked up by reserve", 1e-6 * numpy.by_reserve, "M accounts/s", "");
    line("numpy, the columns of one shape", 1e-6 * numpy.one_shape, "M accounts/s", "");
    let screen = Screen::new(people.accounts(LEGS));
    let rate = evaluate("screened, 2 collateral and 2 debt legs", &screen, people);
    let beside =
        format!("{:.0} times numpy, {:.0} times its one shape", rate / numpy.by_reserve, rate / numpy.one_shape);
    line("", rate / naive, "x plain loop", &beside);
    suspects(&screen, people, numpy)?;
    change(screen, people);
    evaluate("screened, 2 collateral legs and 1 of debt", &Screen::new(people.accounts(LEGS - 1)), people);
    let many = (0..MANY).flat_map(|_| people.accounts(LEGS - 1)).collect::<Vec<_>>();
    evaluate(&format!("the same, {MANY} times as many accounts"), &Screen::new(many.iter().copied()), people);
    Ok(())
}

/// Accounts a second, with what is read, beside a sum over as many bytes.
fn evaluate(what: &str, screen: &Screen, people: &People) -> f64 {
    let (factors, mut verdicts) = (Factors::of(&people.valuation), Verdicts::default());
    let bandwidth = bandwidth(screen.read_bytes());
    let seconds = best(RUNS, || screen.evaluate(black_box(&factors), black_box(&mut verdicts)));
    let (count, bytes) = (screen.len() as f64, screen.read_bytes() as f64);
    let [kept, read] = [screen.bytes() as f64 / count, bytes / count];
    let kept = format!("{kept:.0} bytes an account, {read:.1} read");
    line(what, 1e-6 * count / seconds, "M accounts/s", &kept);
    let speed = bytes / seconds;
    let share = format!(
        "{:.0} % of a sum over {:.0} MB: {:.1} GB/s",
        100.0 * speed / bandwidth,
        1e-6 * bytes,
        1e-9 * bandwidth
    );
    line("", 1e-9 * speed, "GB/s", &share);
    count / seconds
}

/// Bytes a second of a sum over so many bytes.
fn bandwidth(bytes: usize) -> f64 {
    let words = vec![1_u64; bytes / size_of::<u64>()];
    let seconds = best(RUNS, || {
        black_box(black_box(&words).iter().fold(0_u64, |sum, word| sum.wrapping_add(*word)));
    });
    bytes as f64 / seconds
}

/// Nobody whom the exact path finds below 1 may be missing among the suspects.
fn suspects(screen: &Screen, people: &People, numpy: &Numpy) -> Result<()> {
    let mut verdicts = Verdicts::default();
    screen.evaluate(&Factors::of(&people.valuation), &mut verdicts);
    let suspects = screen.suspects(&verdicts);
    let mut below = 0;
    for ((e_mode, legs), account) in people.accounts(LEGS).zip(0..) {
        let health = people.valuation.account(e_mode, legs).map(|data| data.health_factor);
        if !health.is_ok_and(|health| health >= LIQUIDATION_HEALTH_FACTOR) {
            below += 1;
            ensure!(suspects.binary_search(&account).is_ok(), "account {account} was called healthy: {legs:?}");
        }
    }
    let mut found = Vec::new();
    let seconds = best(RUNS, || found = screen.suspects(black_box(&verdicts)));
    let beside = format!("{below} are below 1 (numpy: {}); listed in {:.2} ms", numpy.below, 1e3 * seconds);
    line("suspects", suspects.len() as f64, "accounts", &beside);
    Ok(())
}

/// What one changed account costs.
fn change(mut screen: Screen, people: &People) {
    const COUNT: usize = 100_000;
    let accounts: Vec<(u8, &[Leg])> = people.accounts(LEGS).take(COUNT).collect();
    let seconds = best(3, || {
        for (account, (e_mode, legs)) in (0..).zip(&accounts) {
            screen.replace(account, *e_mode, black_box(legs));
        }
    });
    line("an account's legs replaced", 1e9 * seconds / COUNT as f64, "ns", "");
    let begin = best(RUNS, || {
        black_box(Factors::of(black_box(&people.valuation)));
    });
    line("the factors of a price vector", 1e6 * begin, "us", "");
}

/// Accounts a second of the loop anybody would write first.
fn naive(people: &People) -> f64 {
    struct Plain {
        amount: f64,
        reserve: u8,
        is_debt: bool,
    }
    let read = |leg: &Leg| Plain { amount: numpy::amount(leg), reserve: leg.reserve.0, is_debt: leg.is_borrowing };
    let legs: Vec<Plain> = people.legs.iter().map(read).collect();
    let factors = numpy::factors(people);
    let mut below = vec![false; people.count()];
    let seconds = best(RUNS, || {
        for (legs, below) in black_box(&legs).chunks_exact(LEGS).zip(&mut below) {
            let (mut collateral, mut debt) = (0.0, 0.0);
            for leg in legs {
                let side = if leg.is_debt { &mut debt } else { &mut collateral };
                *side += leg.amount * factors[usize::from(leg.is_debt)][usize::from(leg.reserve)];
            }
            *below = collateral / debt < 1.0;
        }
        black_box(&below);
    });
    people.count() as f64 / seconds
}
