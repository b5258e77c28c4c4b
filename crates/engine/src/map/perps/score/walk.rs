//! What every method said of each candle before it, beside what came.

use std::collections::VecDeque;
use std::ops::Range;

use protocol::venue::Side;

use super::{Crossed, Lift, Rank, lift, rank};
use crate::map::perps::baseline::{self, Walk};
use crate::map::perps::calibrate::Case;
use crate::map::perps::estimated::{Assumptions, AssumptionsError, Banded, Candle, Model, Refused, place};
use crate::map::perps::grid::{Grid, count};

/// The part of all that was said which the heaviest levels hold, by whose lift methods are compared.
pub const HEAVIEST: f64 = 0.2;

/// Over how long before a candle, in its intervals, the usual range is taken.
const USUAL: i64 = 24;

/// A way to say where positions are liquidated: the map, and what needs less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The estimated map.
    Map,
    /// [`baseline::uniform`].
    Uniform,
    /// [`baseline::nearest`].
    Nearest,
    /// [`baseline::naive`], of all open interest at [`baseline::EQUAL`] shares.
    Naive,
    /// [`baseline::Walk`].
    Peers,
}

impl Method {
    /// Every one, in the order of figures.
    pub const ALL: [Self; 5] = [Self::Map, Self::Uniform, Self::Nearest, Self::Naive, Self::Peers];

    /// Its name in outputs.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Map => "map",
            Self::Uniform => "uniform",
            Self::Nearest => "nearest levels",
            Self::Naive => "naive 1/leverage",
            Self::Peers => "peers' walk",
        }
    }

    /// Its place among all.
    #[must_use]
    pub const fn place(self) -> usize {
        match self {
            Self::Map => 0,
            Self::Uniform => 1,
            Self::Nearest => 2,
            Self::Naive => 3,
            Self::Peers => 4,
        }
    }
}

/// A figure of every method, as [`Method::ALL`] has them.
pub type Each<T> = [T; Method::ALL.len()];

/// The state of every method between two candles.
#[derive(Debug, Clone)]
pub struct Methods {
    model: Model,
    walk: Walk,
}

impl Methods {
    /// Nothing seen yet.
    ///
    /// # Errors
    /// The assumptions cannot be.
    pub fn new(grid: Grid, assumptions: Assumptions) -> Result<Self, AssumptionsError> {
        Ok(Self { walk: Walk::new(grid.clone()), model: Model::new(grid, assumptions)? })
    }

    /// The map.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The map alone.
    #[must_use]
    pub fn into_model(self) -> Model {
        self.model
    }

    /// Takes one candle.
    ///
    /// # Errors
    /// The map did not take it, and no other method did.
    pub fn apply(&mut self, candle: &Candle) -> Result<(), Refused> {
        self.model.apply(candle)?;
        self.walk.apply(candle);
        Ok(())
    }

    /// What every method says stands on some cells of a side, in coins by cell, around a mark. Those of the map and of the naive way
    /// are coins; of the others only the shape means something.
    ///
    /// # Panics
    /// The cells are not all of the grid.
    #[must_use]
    pub fn masses(&self, mark: f64, side: Side, cells: Range<usize>) -> Each<Vec<f64>> {
        let grid = self.model.grid();
        let open_interest = self.model.open_interest().unwrap_or(0.0);
        let naive =
            || baseline::naive(grid, mark, side, &baseline::EQUAL).into_iter().map(|share| share * open_interest);
        Method::ALL.map(|method| match method {
            Method::Map => self.model.mass_within(side, cells.clone()),
            Method::Uniform => baseline::uniform(grid, mark, side)[cells.clone()].to_vec(),
            Method::Nearest => baseline::nearest(grid, mark, side)[cells.clone()].to_vec(),
            Method::Naive => naive().skip(cells.start).take(cells.len()).collect(),
            Method::Peers => self.walk.mass(side)[cells.clone()].to_vec(),
        })
    }

    /// What is said of one side of a candle that is not yet taken, told how far the price went in it, and nothing else of it.
    fn say(&self, candle: &Candle, side: Side, usual: Option<f64>) -> Option<Said> {
        let (grid, mark) = (self.model.grid(), self.model.mark()?);
        let (reach, usual, cells) = match side {
            Side::Long => {
                (candle.low, usual.map(|usual| mark * (-usual).exp()), grid.below(candle.low)..grid.below(mark))
            }
            Side::Short => {
                (candle.high, usual.map(|usual| mark * usual.exp()), grid.up_to(mark)..grid.up_to(candle.high))
            }
        };
        let cells = cells.start.min(cells.end)..cells.end;
        let masses = self.masses(mark, side, cells.clone());
        let prices = &grid.middles()[cells.clone()];
        let band = self.model.reached(side, reach);
        let mut usd = masses.each_ref().map(|mass| mass.iter().zip(prices).map(|(coins, price)| coins * price).sum());
        usd[Method::Map.place()] = band.mid;
        Some(Said {
            time: candle.time,
            usd,
            coins: masses.map(|mass| mass.iter().sum()),
            levels: cells.len(),
            band,
            unconditional: usual.map(|price| self.model.reached(side, price).mid),
            during: Banded::default(),
            came: 0.0,
        })
    }
}

/// What was said of one side of one candle, beside what came.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// When the candle began, in seconds since 1970 UTC.
    pub time: i64,
    /// What stood in the range that the candle then went, in US dollars, by method.
    pub usd: Each<f64>,
    /// The same in coins.
    pub coins: Each<f64>,
    /// Levels of the range.
    pub levels: usize,
    /// The map's, with the band of its leverages, in US dollars.
    pub band: Banded,
    /// The map's, told no range but the mean one of the 24 intervals before, in US dollars; none where no candle is known of them.
    pub unconditional: Option<f64>,
    /// What the map swept in the candle, its own openings included: known only after it.
    pub during: Banded,
    /// What was then liquidated, in US dollars.
    pub came: f64,
}

/// What a walk said, and the methods after it.
#[derive(Debug, Clone)]
pub struct Walked {
    /// What was said of longs and of shorts, in time's order.
    pub said: [Vec<Said>; 2],
    /// Every method after the last candle of the window.
    pub methods: Methods,
}

/// Goes through candles once and keeps what is said of each of a window whose liquidations are known, longs and shorts apart. Candles
/// after the window are not looked at. What is said of a candle rests on those before it and on the assumptions alone, and on the range it goes, which is told.
///
/// # Errors
/// The assumptions cannot be.
pub fn walk(
    grid: &Grid,
    assumptions: &Assumptions,
    cases: &[Case],
    window: &Range<i64>,
) -> Result<Walked, AssumptionsError> {
    let mut methods = Methods::new(grid.clone(), assumptions.clone())?;
    let mut said: [Vec<Said>; 2] = Default::default();
    let mut ranges = Ranges::default();
    for (candle, liquidated) in cases.iter().take_while(|(candle, _)| candle.time < window.end) {
        let usual = ranges.usual(candle.time, assumptions.interval);
        let known = liquidated.filter(|_| window.contains(&candle.time));
        let say = |came: [f64; 2]| {
            [Side::Long, Side::Short]
                .map(|side| Some(Said { came: came[place(side)], ..methods.say(candle, side, usual)? }))
        };
        let of_candle = known.map(say);
        if methods.apply(candle).is_err() {
            continue;
        }
        ranges.0.push_back((candle.time, (candle.high / candle.low).ln()));
        for (side, one) in [Side::Long, Side::Short].into_iter().zip(of_candle.into_iter().flatten()) {
            let during = methods.model.liquidations(side);
            said[place(side)].extend(one.map(|one| Said { during, ..one }));
        }
    }
    Ok(Walked { said, methods })
}

/// When candles of late began, and their ranges in logarithms.
#[derive(Debug, Default)]
struct Ranges(VecDeque<(i64, f64)>);

impl Ranges {
    /// Half the mean range of the candles of the intervals before a moment, by the clock: a gap makes them fewer, not older.
    fn usual(&mut self, time: i64, interval: i64) -> Option<f64> {
        let from = time.saturating_sub(interval.saturating_mul(USUAL));
        while self.0.front().is_some_and(|(began, _)| *began < from) {
            self.0.pop_front();
        }
        let sum: f64 = self.0.iter().map(|(_, range)| range).sum();
        (!self.0.is_empty()).then(|| sum / count(self.0.len()) / 2.0)
    }
}

/// How a method ranked candles: what it said of each, against what came.
#[must_use]
pub fn ranked(said: &[Said], method: Method) -> Rank {
    let [foretold, came]: [Vec<f64>; 2] = [|one: &Said, at: usize| one.usd[at], |one: &Said, _| one.came]
        .map(|pick| said.iter().map(|one| pick(one, method.place())).collect());
    rank(&foretold, &came)
}

/// What the levels held that a method called heaviest, of those that prices crossed: see [`lift`], with [`HEAVIEST`] of what it said in
/// coins, and what came in US dollars.
#[must_use]
pub fn lifted(said: &[Said], method: Method) -> Option<Lift> {
    let crossed = |one: &Said| Crossed { levels: count(one.levels), said: one.coins[method.place()], came: one.came };
    lift(&said.iter().map(crossed).collect::<Vec<_>>(), HEAVIEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::map::perps::calibrate;
    use crate::map::perps::estimated::{Bucket, Priced};
    use crate::map::perps::score::{Misses, misses};

    fn assumptions() -> Assumptions {
        let bucket = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0);
        Assumptions {
            source: "test".to_owned(),
            priced: Priced::Mark,
            buckets: vec![bucket(10.0, 0.5), bucket(50.0, 0.5)],
            concentration: 10.0,
            transfer: 0.1,
            transfer_power: 0.5,
            fast_share: 0.5,
            fast_pace: 10.0,
            entry_tilt: 0.0,
            tilt_cases: 0,
            liquidated: 1.0,
            interval: 60,
        }
    }

    fn grid() -> Grid {
        Grid::new(40.0, 250.0, 400).unwrap()
    }

    /// Candles a minute apart, of figures that move about, every third liquidation unknown.
    fn cases() -> impl Strategy<Value = Vec<Case>> {
        let row = (
            -0.03_f64..0.03,
            0.0_f64..0.02,
            0.0_f64..0.02,
            1.0_f64..50.0,
            0.0_f64..5e3,
            0.0_f64..1e3,
            0_u8..3,
            1_i64..4,
        );
        proptest::collection::vec(row, 130..170).prop_map(|rows| {
            let (mut price, mut time) = (100.0_f64, 0);
            let case = |(change, up, down, open_interest, turnover, came, known, wait): (
                f64,
                f64,
                f64,
                f64,
                f64,
                f64,
                u8,
                i64,
            )| {
                let open = price;
                price = (price * (1.0 + change)).clamp(60.0, 160.0);
                time += 60 * (wait / 3 + 1);
                let candle = Candle {
                    time,
                    open,
                    high: open.max(price) * (1.0 + up),
                    low: open.min(price) * (1.0 - down),
                    close: price,
                    turnover: Some(turnover),
                    taker_buy: Some(turnover * 0.7),
                    open_interest: Some(open_interest),
                };
                (candle, (known > 0).then_some([came, came / 2.0]))
            };
            rows.into_iter().map(case).collect()
        })
    }

    /// Everything that is said up to a moment, and of a map there: scores of cases, the fit, the band.
    fn told(cases: &[Case], until: i64) -> impl PartialEq + std::fmt::Debug + use<> {
        let ended: Vec<Case> = cases.iter().filter(|(candle, _)| candle.time + 60 <= until).copied().collect();
        let fitted = calibrate::best(&grid(), &[assumptions()], 0.02, cases, &(0..until - 59), None).unwrap();
        let said = walk(&grid(), &assumptions(), cases, &(0..i64::MAX)).unwrap().said;
        let said = said.map(|said| said.into_iter().filter(|one| one.time + 60 <= until).collect::<Vec<_>>());
        let bands = said.each_ref().map(|said| {
            let mut past = Misses::default();
            let held = misses::walk_forward(&mut past, said.iter().map(|one| (one.band.mid, one.came)));
            (held, past.band(1_000.0), past)
        });
        let scores = said.each_ref().map(|said| Method::ALL.map(|method| (ranked(said, method), lifted(said, method))));
        let mut model = Model::new(grid(), assumptions()).unwrap();
        ended.iter().for_each(|(candle, _)| model.apply(candle).unwrap());
        (fitted, said, bands, scores, model.mass(Side::Long), model.mass(Side::Short))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn nothing_that_comes_later_changes_what_was_said(
            cases in cases(), cut in 110_usize..130, at in 0_usize..60, price in 60.0_f64..160.0, figure in 0.0_f64..90.0
        ) {
            let until = cases[cut].0.time;
            let before = told(&cases, until);
            // A later candle changes in all it says, and so do its open interest and what was liquidated in it.
            let mut other = cases.clone();
            let at = cut + at % (cases.len() - cut);
            let (candle, liquidated) = &mut other[at];
            (candle.open, candle.high, candle.low, candle.close) = (price, price * 1.1, price * 0.9, price * 1.05);
            (candle.turnover, candle.open_interest) = (Some(figure * 100.0), Some(figure));
            *liquidated = Some([figure * 7.0, figure]);
            prop_assert_eq!(&before, &told(&other, until));
            // As does whether there is anything later.
            prop_assert_eq!(&before, &told(&cases[..cut], until));
            // And an earlier one does change it.
            let mut earlier = cases.clone();
            earlier[50].1 = Some([figure * 7.0 + 1e6, figure]);
            prop_assert!(before != told(&earlier, until));
        }

        #[test]
        fn a_case_knows_its_range_and_nothing_else_of_its_candle(cases in cases(), figure in 1.0_f64..90.0) {
            let window = 0..i64::MAX;
            let said = walk(&grid(), &assumptions(), &cases, &window).unwrap().said;
            let mut other = cases.clone();
            let (candle, _) = other.last_mut().unwrap();
            (candle.open, candle.close) = (candle.low, candle.high);
            (candle.turnover, candle.open_interest) = (Some(figure * 100.0), Some(figure));
            let again = walk(&grid(), &assumptions(), &other, &window).unwrap().said;
            for (said, again) in said.into_iter().zip(again) {
                for (one, other) in said.into_iter().zip(again) {
                    let during = one.during;
                    prop_assert_eq!(one, Said { during, ..other });
                }
            }
        }
    }

    fn candle(minute: i64, low: f64, close: f64, high: f64, open_interest: f64) -> Candle {
        let time = minute * 60;
        Candle {
            time,
            open: 100.0,
            high,
            low,
            close,
            turnover: None,
            taker_buy: None,
            open_interest: Some(open_interest),
        }
    }

    #[test]
    fn a_walk_says_what_stood_in_the_range() {
        // Eight coins open at 100: a half at 50x, whose longs go at 98.49 and shorts at 101.49, the others far away.
        let opened =
            [(candle(0, 100.0, 100.0, 100.0, 0.0), None), (candle(1, 100.0, 100.0, 100.0, 8.0), Some([0.0; 2]))];
        let fall = (candle(2, 98.0, 99.0, 100.0, 8.0), Some([300.0, 5.0]));
        let cases = [opened[0], opened[1], fall];
        let [longs, shorts] = walk(&grid(), &assumptions(), &cases, &(0..i64::MAX)).unwrap().said;
        assert_eq!((longs.len(), shorts.len()), (2, 2), "the first candle has no mark before it");
        let (one, other) = (&longs[1], &shorts[1]);
        assert!((one.coins[0] - 4.0).abs() < 1e-9 && (one.usd[0] / (4.0 * 98.49) - 1.0).abs() < 3e-3, "{one:?}");
        assert_eq!((one.time, one.came, other.came, other.levels), (120, 300.0, 5.0, 0));
        assert_eq!((other.usd, other.unconditional), ([0.0; 5], Some(0.0)));
        // From 98 to 100 are 2.02 % in cells of 0.46 %.
        assert!((4..=5).contains(&one.levels), "{}", one.levels);
        assert_eq!(one.coins[Method::Uniform.place()], count(one.levels));
        // A fifth of eight coins at 100x is liquidated at 99, as the naive way has it; the nearest levels have most.
        assert!((one.coins[Method::Naive.place()] - 1.6).abs() < 1e-9 && one.coins[Method::Nearest.place()] > 100.0);
        assert!(one.during.mid > 0.0 && one.during.mid <= one.usd[0] * (1.0 + 1e-9), "{one:?}");
        let window = walk(&grid(), &assumptions(), &cases, &(120..180)).unwrap().said;
        assert_eq!(window.each_ref().map(Vec::len), [1, 1]);
        assert_eq!(window[0][0], *one);
    }

    #[test]
    fn a_candle_that_is_refused_is_no_case() {
        let cases = [
            (candle(0, 100.0, 100.0, 100.0, 5.0), Some([1.0, 1.0])),
            (candle(1, 100.0, f64::NAN, 100.0, 5.0), Some([1.0, 1.0])),
            (candle(2, 101.0, 100.0, 99.0, 5.0), Some([1.0, 1.0])),
            (candle(0, 100.0, 100.0, 100.0, 5.0), Some([1.0, 1.0])),
            (candle(3, 99.0, 100.0, 101.0, 5.0), Some([1.0, 1.0])),
            (candle(4, 99.0, 100.0, 101.0, 5.0), None),
        ];
        let found = walk(&grid(), &assumptions(), &cases, &(0..i64::MAX)).unwrap().said;
        assert!(found.iter().all(|said| said.len() == 1 && said[0].time == 180), "{found:?}");
    }

    #[test]
    fn a_usual_range_is_of_the_time_before_and_not_of_a_number_of_candles() {
        let mut ranges = Ranges::default();
        assert_eq!(ranges.usual(0, 60), None);
        for (minute, range) in [(0, 0.5), (1, 0.1), (30, 0.2)] {
            ranges.0.push_back((minute * 60, range));
        }
        // The first two began more than 24 minutes before.
        assert_eq!(ranges.usual(31 * 60, 60), Some(0.1));
        assert_eq!(ranges.usual(60 * 60, 60), None);
    }
}
