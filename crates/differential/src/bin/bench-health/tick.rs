//! What one move of prices costs a watch of everybody, beside a screen of everybody.

use std::collections::BTreeMap;
use std::time::Instant;

use alloy_primitives::U256;
use anyhow::{Result, anyhow, ensure};
use differential::chance::Chance;
use engine::health::{Factors, Screen, Verdicts, Watch};
use protocol::aave::Revision;
use protocol::aave::account::{Block, LIQUIDATION_HEALTH_FACTOR, Valuation};
use protocol::aave::config::ReserveId;
use protocol::aave::math::{Bps, Ray, Rounding, percent_mul};
use protocol::aave::reserve::Reserve;

use crate::people::{LEGS, People};
use crate::{RUNS, best, heading, line};

const TICKS: usize = 1_000;

/// The same ticks again, so that other programs seldom interrupt the best run of one.
const REPEATS: usize = 5;

/// Between two ticks: a block of Ethereum.
const SECONDS: u64 = 12;

/// How often interest is folded in, in ticks, and for how many seconds each time: an hour.
const SPAN: usize = 300;

/// Accounts filed anew between two ticks.
const REFRESHED: usize = 4_096;

/// How prices go.
#[derive(Clone, Copy)]
enum Move {
    /// Half a per cent of one reserve, chance says which.
    Any,
    /// Half a per cent of this one.
    Of(usize),
    /// Half a per cent of all, in the same direction.
    All,
    /// Ten per cent of this one, down and up again.
    Crash(usize),
}

/// How interest goes.
#[derive(Clone, Copy)]
enum Interest {
    /// Factors are those of each block.
    Now,
    /// Factors hold for the hour.
    Spanned,
}

/// The best time of each tick and of each filing, in seconds, and what all of them looked at.
struct Sample {
    times: Vec<f64>,
    filing: Vec<f64>,
    parts: usize,
    looked: usize,
    suspects: usize,
}

impl Sample {
    fn new() -> Self {
        let never = vec![f64::INFINITY; TICKS];
        Self { times: never.clone(), filing: never, parts: 0, looked: 0, suspects: 0 }
    }
}

/// A market that moves.
#[derive(Clone)]
struct Moving<'a> {
    people: &'a People,
    reserves: Vec<Reserve>,
    usual: Vec<U256>,
    /// How far each price is from its usual, in half per cents.
    steps: Vec<i8>,
    crashed: Option<usize>,
    now: u64,
    /// When the span began.
    since: u64,
    chance: Chance,
}

pub(crate) fn report(people: &People) -> Result<()> {
    heading(&format!(
        "\na watch of {} accounts with {LEGS} legs ({TICKS} ticks, {SECONDS} seconds apart; each the best of {REPEATS})",
        people.count()
    ));
    let mut moving = Moving::new(people)?;
    let factors = moving.factors(Interest::Now)?;
    let begin = Instant::now();
    let mut watch = Watch::new(people.accounts(LEGS), &factors);
    let built = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    let screen = Screen::new(people.accounts(LEGS));
    let beside = format!("a screen takes {:.2} s", begin.elapsed().as_secs_f64());
    line("built and filed", built, "s", &beside);
    let count = people.count() as f64;
    let beside = format!("{:.1} in a screen", screen.bytes() as f64 / count);
    line("memory an account", watch.bytes() as f64 / count, "bytes", &beside);
    let mut verdicts = Verdicts::default();
    let scan = best(RUNS, || {
        screen.evaluate(&factors, &mut verdicts);
        std::hint::black_box(screen.suspects(&verdicts));
    });
    line("a full rescan by the screen, and its list", 1e6 * scan, "us", "");
    let seconds = best(RUNS, || {
        let _ = std::hint::black_box(moving.factors(Interest::Spanned));
    });
    line("of each tick, the factors of both ends of an hour", 1e6 * seconds, "us", "");
    let most = moving.most_held();
    for (what, step, interest) in [
        ("half a per cent of one asset, interest spanned", Move::Any, Interest::Spanned),
        ("half a per cent of one asset, interest every block", Move::Any, Interest::Now),
        ("half a per cent of the most widely held, spanned", Move::Of(most), Interest::Spanned),
        ("half a per cent of all at once", Move::All, Interest::Now),
        ("a crash of the most widely held by 10 %, and back", Move::Crash(most), Interest::Spanned),
    ] {
        moving.follow(what, step, interest, &mut watch, scan)?;
        moving.check(&watch, &screen, interest)?;
    }
    Ok(())
}

impl<'a> Moving<'a> {
    fn new(people: &'a People) -> Result<Self> {
        let mut reserves = people.reserves.clone();
        for reserve in &mut reserves {
            let per_cent = |count: u64| Ray(Ray::ONE.0 / U256::from(100) * U256::from(count));
            (reserve.rates.liquidity, reserve.rates.variable) = (per_cent(3), per_cent(5));
        }
        let now = reserves.iter().map(|reserve| reserve.last_update).max().unwrap_or(0);
        let quote = |id| people.valuation.quote(0, ReserveId(id)).map(|quote| quote.price);
        let usual: Vec<U256> = (0..).map_while(quote).collect();
        ensure!(usual.len() == reserves.len(), "every reserve has a price");
        let steps = vec![0; usual.len()];
        Ok(Self { people, reserves, usual, steps, crashed: None, now, since: now, chance: Chance::new(4, 4) })
    }

    /// The reserve in which most accounts have a leg.
    fn most_held(&self) -> usize {
        let mut legs = vec![0_usize; self.usual.len()];
        for leg in &self.people.legs {
            legs[usize::from(leg.reserve.0)] += 1;
        }
        (0..legs.len()).max_by_key(|reserve| legs[*reserve]).unwrap_or(0)
    }

    fn step(&mut self, step: Move) {
        self.now += SECONDS;
        let up = self.chance.percent(50);
        let one = self.chance.index(self.steps.len());
        let mut go = |reserve: usize| {
            let level = &mut self.steps[reserve];
            // It returns from 5 per cent, or the book would empty itself.
            *level += if (up || *level <= -10) && *level < 10 { 1 } else { -1 };
        };
        match step {
            Move::Any => go(one),
            Move::Of(one) => go(one),
            Move::All => (0..self.usual.len()).for_each(go),
            Move::Crash(one) => self.crashed = if self.crashed.is_some() { None } else { Some(one) },
        }
    }

    fn valuation(&self, now: u64) -> Result<Valuation> {
        let prices = self.usual.iter().zip(&self.steps).enumerate().map(|(reserve, (usual, level))| {
            let crash = if self.crashed == Some(reserve) { 1_000 } else { 0 };
            let bps = u16::try_from(10_000 + 50 * i32::from(*level) - crash).unwrap_or(10_000);
            percent_mul(*usual, Bps(bps), Rounding::HalfUp)
        });
        let prices = prices.collect::<Result<_, _>>().map_err(|error| anyhow!("no price: {error}"))?;
        let block = Block { now, prices, ..Block::default() };
        Valuation::new(Revision::V3_6, &self.reserves, &BTreeMap::new(), &block)
            .map_err(|error| anyhow!("no valuation: {error}"))
    }

    fn factors(&self, interest: Interest) -> Result<Factors> {
        let of = |now| self.valuation(now).map(|valuation| Factors::of(&valuation));
        match interest {
            Interest::Now => of(self.now),
            Interest::Spanned => Ok(Factors::between(&of(self.since)?, &of(self.since + SPAN as u64 * SECONDS)?)),
        }
    }

    /// Prints how long ticks take, from prices to the list of suspects.
    fn follow(&mut self, what: &str, step: Move, interest: Interest, watch: &mut Watch, scan: f64) -> Result<()> {
        let mut sample = Sample::new();
        let (begin, state) = (watch.clone(), self.clone());
        for _ in 0..REPEATS {
            (*watch, *self) = (begin.clone(), state.clone());
            self.run(step, interest, watch, &mut sample)?;
        }
        sample.times.sort_unstable_by(f64::total_cmp);
        let [median, late, worst] = [TICKS / 2, TICKS - 1 - TICKS / 100, TICKS - 1].map(|at| 1e6 * sample.times[at]);
        let beside = format!("p99 {late:.0}, max {worst:.0}; a full rescan: {:.1} times that", 1e6 * scan / median);
        line(what, median, "us (median)", &beside);
        let each = |count: usize| count as f64 / (TICKS * REPEATS) as f64;
        let [mean, worst] =
            [sample.filing.iter().sum::<f64>() / TICKS as f64, sample.filing.iter().copied().fold(0.0, f64::max)];
        let beside = format!(
            "{:.0} suspects, {:.0} parts; filing between ticks: {:.0} us in the mean, max {:.0}",
            each(sample.suspects),
            each(sample.parts),
            1e6 * mean,
            1e6 * worst
        );
        line("  looked at", each(sample.looked), "accounts", &beside);
        Ok(())
    }

    fn run(&mut self, step: Move, interest: Interest, watch: &mut Watch, sample: &mut Sample) -> Result<()> {
        for number in 0..TICKS {
            if number % SPAN == 0 {
                self.since = self.now + SECONDS;
            }
            self.step(step);
            let begin = Instant::now();
            let tick = watch.tick(self.factors(interest)?);
            let found = watch.suspects();
            sample.times[number] = sample.times[number].min(begin.elapsed().as_secs_f64());
            sample.parts += tick.parts;
            sample.looked += tick.accounts;
            sample.suspects += found.len();
            let begin = Instant::now();
            watch.refresh(REFRESHED);
            sample.filing[number] = sample.filing[number].min(begin.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// The suspects are the screen's, and nobody whom the exact path finds below 1 is missing.
    fn check(&self, watch: &Watch, screen: &Screen, interest: Interest) -> Result<()> {
        let mut verdicts = Verdicts::default();
        screen.evaluate(&self.factors(interest)?, &mut verdicts);
        ensure!(watch.suspects() == screen.suspects(&verdicts), "the screen has other suspects");
        let valuation = self.valuation(self.now)?;
        let mut below = 0;
        for ((e_mode, legs), account) in self.people.accounts(LEGS).zip(0..) {
            let health = valuation.account(e_mode, legs).map(|data| data.health_factor);
            if !health.is_ok_and(|health| health >= LIQUIDATION_HEALTH_FACTOR) {
                below += 1;
                ensure!(watch.is_suspect(account), "account {account} was missed: {legs:?}");
            }
        }
        let healthy = watch.suspects().len() - below;
        line(
            "  below 1 in the end, all found",
            below as f64,
            "accounts",
            &format!("{healthy} suspects are not below 1"),
        );
        Ok(())
    }
}
