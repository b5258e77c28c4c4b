//! The model holds its invariants on any input, and worked examples come out.

use proptest::prelude::*;
use protocol::venue::Side;

use super::*;

fn assumptions() -> Assumptions {
    let flat = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0005);
    Assumptions {
        source: "test".to_owned(),
        priced: Priced::Mark,
        buckets: vec![flat(5.0, 0.4), flat(10.0, 0.3), flat(25.0, 0.2), flat(100.0, 0.1)],
        concentration: 20.0,
        transfer: 0.1,
        transfer_power: 0.5,
        fast_share: 0.6,
        fast_pace: 10.0,
        entry_tilt: 0.5,
        tilt_cases: 0,
        liquidated: 0.5,
        interval: 3_600,
    }
}

fn model() -> Model {
    Model::new(Grid::new(25.0, 400.0, 600).unwrap(), assumptions()).unwrap()
}

/// On a grid fine enough to reckon by hand.
fn fine_model() -> Model {
    Model::new(Grid::new(25.0, 400.0, 60_000).unwrap(), assumptions()).unwrap()
}

fn flat_candle(time: i64, price: f64, open_interest: f64) -> Candle {
    Candle {
        time,
        open: price,
        high: price,
        low: price,
        close: price,
        turnover: None,
        taker_buy: None,
        open_interest: Some(open_interest),
    }
}

/// Candles as a hostile file may hold them, most of them sound.
fn candles() -> impl Strategy<Value = Vec<Candle>> {
    let move_ = prop_oneof![8 => -0.05_f64..0.05, 1 => -0.6_f64..0.6];
    let open_interest = prop_oneof![
        16 => (0.0_f64..2_000.0).prop_map(Some),
        1 => Just(Some(0.0)),
        1 => Just(None),
        1 => Just(Some(-5.0)),
        1 => Just(Some(f64::NAN))
    ];
    let turnover = prop_oneof![8 => (0.0_f64..1e7).prop_map(Some), 1 => Just(None), 1 => Just(Some(-1.0))];
    let fault = prop_oneof![12 => Just(0_u8), 1 => 1_u8..6];
    let row = (move_, 0.0_f64..0.03, 0.0_f64..0.03, open_interest, turnover, 0.0_f64..1.2, fault);
    proptest::collection::vec(row, 1..80).prop_map(|rows| {
        let mut price = 100.0_f64;
        let mut time = 0;
        rows.into_iter()
            .map(|(change, up, down, open_interest, turnover, bought, fault)| {
                let open = price;
                price = (price * (1.0 + change)).clamp(1.0, 1e4);
                time += if fault == 5 { 7_200 } else { 3_600 };
                let mut candle = Candle {
                    time,
                    open,
                    high: open.max(price) * (1.0 + up),
                    low: open.min(price) * (1.0 - down),
                    close: price,
                    turnover,
                    taker_buy: turnover.map(|turnover| turnover * bought),
                    open_interest,
                };
                match fault {
                    1 => candle.low = 0.0,
                    2 => candle.high = candle.low / 2.0,
                    3 => candle.close = f64::NAN,
                    4 => candle.time -= 7_200,
                    _ => {}
                }
                candle
            })
            .collect()
    })
}

fn close(a: f64, b: f64, scale: f64) -> bool {
    (a - b).abs() <= 1e-9 * scale.max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn longs_and_shorts_each_sum_to_open_interest(candles in candles()) {
        let mut model = model();
        let mut most = 1.0_f64;
        for candle in &candles {
            let _ = model.apply(candle);
            let Some(whole) = model.open_interest() else { continue };
            most = most.max(whole);
            let mark = model.mark().unwrap();
            for (bucket, pair) in model.populations.iter().enumerate() {
                for side in [Side::Long, Side::Short] {
                    let population = &pair[place(side)];
                    let cells = model.cells(bucket, side);
                    let sum = cells.iter().sum::<f64>() + population.unplaced() + population.beyond();
                    prop_assert!(close(sum, whole, most), "{side:?} {sum} of {whole}");
                    prop_assert!(cells.iter().all(|coins| *coins >= 0.0));
                    // Nobody is past his own liquidation.
                    let past = cells.iter().zip(model.grid.middles()).filter(|(coins, middle)| {
                        **coins > 0.0 && match side { Side::Long => **middle >= mark, Side::Short => **middle <= mark }
                    });
                    prop_assert_eq!(past.count(), 0);
                }
            }
        }
        let seen = model.coverage().seen;
        prop_assert_eq!(seen.taken + seen.refused.iter().sum::<u64>(), candles.len() as u64);
    }

    #[test]
    fn nothing_later_enters_an_earlier_map(candles in candles(), cut in 0_usize..80) {
        let cut = cut.min(candles.len());
        let (mut whole, mut part) = (Heat::default(), Heat::default());
        heat(&mut model(), &candles, &mut whole);
        let mut cut_model = model();
        heat(&mut cut_model, &candles[..cut], &mut part);
        prop_assert_eq!(&whole.coins[..part.coins.len()], &part.coins[..]);
        // And a model that goes on from the cut comes to the same end, bit for bit.
        let mut rest = Heat::default();
        heat(&mut cut_model, &candles[cut..], &mut rest);
        prop_assert_eq!(&whole.coins[part.coins.len()..], &rest.coins[..]);
    }

    #[test]
    fn a_row_of_the_heat_is_the_map(candles in candles()) {
        let mut model = model();
        let mut picture = Heat::default();
        heat(&mut model, &candles, &mut picture);
        let Some(last) = picture.times.len().checked_sub(1) else { return Ok(()) };
        let row = model.grid.len() * model.assumptions.buckets.len();
        let row = &picture.coins[last * row..(last + 1) * row];
        for cell in 0..model.grid.len() {
            let sum: f64 = row.iter().skip(cell).step_by(model.grid.len()).map(|coins| f64::from(*coins)).sum();
            let truth = model.mass(Side::Long)[cell] + model.mass(Side::Short)[cell];
            prop_assert!((sum - truth).abs() <= 1e-6 * truth.max(1e-3), "{cell}: {sum} {truth}");
        }
    }

    #[test]
    fn a_band_holds_its_middle_and_narrows_with_surety(candles in candles()) {
        let mut model = model();
        for candle in &candles {
            let _ = model.apply(candle);
        }
        let Some(mark) = model.mark() else { return Ok(()) };
        let mut sure = model.clone();
        sure.assumptions.concentration = 1e9;
        for (side, price) in [(Side::Long, mark * 0.93), (Side::Short, mark * 1.07)] {
            let band = model.reached(side, price);
            prop_assert!(0.0 <= band.low && band.low <= band.mid && band.mid <= band.high * (1.0 + 1e-12));
            let narrow = sure.reached(side, price);
            prop_assert!(close(narrow.mid, band.mid, band.mid));
            prop_assert!(narrow.high - narrow.low <= 1e-3 * band.mid.max(1e-9));
        }
    }
}

/// A figure as a broken file may hold it: of any size, zero, negative or no number.
fn extreme() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => (-300.0_f64..300.0).prop_map(|power| 10.0_f64.powf(power)),
        4 => (-3.0_f64..3.0).prop_map(|power| 100.0 * 10.0_f64.powf(power)),
        1 => Just(0.0),
        1 => Just(5e-324),
        1 => Just(f64::MAX),
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(-1.0),
        1 => Just(2.873e28),
        2 => Just(8.097_469_043_108_891)
    ]
}

/// Candles of such figures, in order in themselves, for most would be refused otherwise.
fn extremes() -> impl Strategy<Value = Vec<Candle>> {
    let price = || prop_oneof![3 => 20.0_f64..500.0, 1 => extreme()];
    let row = ([price(), price(), price(), price()], proptest::option::weighted(0.9, extreme()), extreme(), extreme());
    proptest::collection::vec(row, 1..40).prop_map(|rows| {
        let candle =
            |(time, (prices, open_interest, turnover, bought)): (i64, ([f64; 4], Option<f64>, f64, f64))| Candle {
                time: time * 3_600,
                open: prices[0],
                close: prices[1],
                high: prices.into_iter().fold(0.0, f64::max),
                low: prices.into_iter().fold(f64::MAX, f64::min),
                turnover: Some(turnover),
                taker_buy: Some(bought),
                open_interest,
            };
        (0..).zip(rows).map(candle).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn figures_of_any_size_are_taken_or_refused_and_sums_hold(candles in extremes()) {
        let mut model = Model::new(Grid::new(25.0, 400.0, 60).unwrap(), assumptions()).unwrap();
        let mut refused = 0;
        for candle in &candles {
            refused += u64::from(model.apply(candle).is_err());
            let Some(whole) = model.open_interest() else { continue };
            let mark = model.mark().unwrap();
            prop_assert!((0.0..=LARGEST).contains(&whole));
            for (bucket, pair) in model.populations.iter().enumerate() {
                for side in [Side::Long, Side::Short] {
                    let population = &pair[place(side)];
                    let sum = model.cells(bucket, side).iter().sum::<f64>() + population.unplaced() + population.beyond();
                    prop_assert!((sum - whole).abs() <= 1e-6 * whole, "{side:?} {sum} of {whole}");
                }
            }
            for (side, price) in [(Side::Long, mark * 0.9), (Side::Short, mark * 1.1)] {
                for band in [model.reached(side, price), model.liquidations(side)] {
                    prop_assert!(band.low >= 0.0 && band.low <= band.mid * (1.0 + 1e-9), "{band:?}");
                    prop_assert!(band.mid <= band.high * (1.0 + 1e-9) && band.high.is_finite(), "{band:?}");
                }
            }
            let coverage = model.coverage();
            for share in coverage.placed.into_iter().chain(coverage.beyond) {
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&share), "{coverage:?}");
            }
        }
        let seen = model.coverage().seen;
        prop_assert_eq!((seen.refused.iter().sum::<u64>(), seen.taken), (refused, candles.len() as u64 - refused));
    }
}

#[test]
fn an_opening_stands_on_both_sides_and_is_swept_once() {
    let mut model = fine_model();
    model.apply(&flat_candle(0, 100.0, 50.0)).unwrap();
    assert_eq!(model.coverage().placed, [0.0, 0.0]);
    model.apply(&flat_candle(3_600, 100.0, 150.0)).unwrap();
    // 100 of 150 coins were seen opening.
    assert!(model.coverage().placed.iter().all(|placed| (placed - 2.0 / 3.0).abs() < 1e-9));
    // The 100x long stands at 100 * 0.99 / 0.9945 = 99.548, the short at 101 / 1.0055 = 100.448.
    let at = |model: &Model, side, price| model.cells(3, side)[model.grid.cell(price).unwrap()];
    assert!((at(&model, Side::Long, 99.548) - 100.0).abs() < 1e-9);
    assert!((at(&model, Side::Short, 100.448) - 100.0).abs() < 1e-9);
    let fall = Candle { low: 99.3, ..flat_candle(7_200, 100.0, 150.0) };
    model.apply(&fall).unwrap();
    assert!((model.swept()[3][0].coins - 100.0).abs() < 1e-9 && model.swept()[3][1].coins == 0.0);
    assert_eq!(model.swept()[2][0].coins, 0.0);
    // Open interest stayed, so new longs took over, entering between 99.3 and 100; shorts stay where they were.
    assert!((at(&model, Side::Short, 100.448) - 100.0).abs() < 1e-9);
    let again = Candle { low: 98.9, ..flat_candle(10_800, 98.9, 150.0) };
    let again = Candle { high: 100.0, open: 100.0, ..again };
    model.apply(&again).unwrap();
    // Those new longs, and not the old ones again; the unplaced 50 are never swept.
    assert!((model.swept()[3][0].coins - 100.0).abs() < 1e-9, "{:?}", model.swept()[3]);
}

#[test]
fn what_was_swept_is_part_of_a_fall_of_open_interest() {
    let mut model = fine_model();
    model.apply(&flat_candle(0, 100.0, 0.0)).unwrap();
    model.apply(&flat_candle(3_600, 100.0, 100.0)).unwrap();
    let fall = Candle { low: 99.3, ..flat_candle(7_200, 100.0, 30.0) };
    model.apply(&fall).unwrap();
    // Three pieces down and three up, each with a sixth of the fall. At 100x, 70/6 longs were closed before the second piece
    // swept the rest, and new ones opened; the shorts closed 70 in all; at 25x both did.
    for (bucket, side, expected) in [(3, Side::Long, 30.0), (3, Side::Short, 30.0), (2, Side::Long, 30.0)] {
        assert!((model.cells(bucket, side).iter().sum::<f64>() - expected).abs() < 1e-9, "{bucket} {side:?}");
    }
    let expected = 100.0 - 70.0 / 6.0;
    assert!((model.swept()[3][0].coins - expected).abs() < 1e-9);
    // In dollars of the level, at the bucket's share, of which half is liquidated.
    let usd = model.liquidations(Side::Long).mid;
    assert!((usd / (0.5 * 0.1 * expected * 99.548) - 1.0).abs() < 1e-4, "{usd}");
}

#[test]
fn bad_input_is_counted_and_changes_nothing() {
    let mut model = model();
    assert_eq!(model.apply(&Candle { open_interest: None, ..flat_candle(0, 100.0, 1.0) }), Err(Refused::NotStarted));
    assert_eq!(model.apply(&flat_candle(0, 100.0, -3.0)), Err(Refused::NotStarted));
    model.apply(&flat_candle(3_600, 100.0, 10.0)).unwrap();
    let sound = flat_candle(7_200, 100.0, 20.0);
    for (candle, expected) in [
        (Candle { low: 0.0, ..sound }, Refused::NoPrice),
        (Candle { open: f64::NAN, ..sound }, Refused::NoPrice),
        (Candle { high: f64::INFINITY, ..sound }, Refused::NoPrice),
        (Candle { close: -1.0, ..sound }, Refused::NoPrice),
        (Candle { high: 99.0, low: 101.0, ..sound }, Refused::Crossed),
        (Candle { close: 100.5, ..sound }, Refused::Crossed),
        (Candle { time: 3_600, ..sound }, Refused::OutOfOrder),
        (Candle { time: 0, ..sound }, Refused::OutOfOrder),
    ] {
        let before = format!("{:?}", model.populations);
        assert_eq!(model.apply(&candle), Err(expected));
        assert_eq!(format!("{:?}", model.populations), before);
    }
    // Open interest that is missing or impossible is carried on, and its change is seen when it is next known.
    for bad in [None, Some(-1.0), Some(f64::NAN)] {
        let time = model.last.unwrap().time + 3_600;
        model.apply(&Candle { open_interest: bad, ..flat_candle(time, 100.0, 0.0) }).unwrap();
        assert_eq!(model.open_interest(), Some(10.0));
    }
    let time = model.last.unwrap().time + 10_000;
    model.apply(&Candle { turnover: Some(-1.0), ..flat_candle(time, 100.0, 25.0) }).unwrap();
    assert_eq!(model.open_interest(), Some(25.0));
    let seen = model.coverage().seen;
    assert_eq!(seen.taken, 5);
    assert_eq!(seen.refused, [4, 2, 2, 2]);
    assert_eq!((seen.open_interest_missing, seen.open_interest_refused), (3, 2));
    assert_eq!((seen.turnover_missing, seen.turnover_refused), (5, 1));
    assert_eq!(seen.gaps, 1);
}

#[test]
fn absurd_figures_do_no_harm() {
    let figures = [0.0, 5e-324, 1e-30, 1.0, 1e30, f64::MAX, f64::INFINITY, f64::NAN, -1.0];
    let mut model = model();
    let mut time = 0;
    for open_interest in figures.into_iter().chain(figures.into_iter().rev()) {
        for price in figures {
            for turnover in figures {
                time += 3_600;
                let candle = Candle {
                    high: price.max(100.0),
                    low: price.min(100.0),
                    turnover: Some(turnover),
                    taker_buy: Some(turnover),
                    ..flat_candle(time, price, open_interest)
                };
                let _ = model.apply(&candle);
                let masses = model.mass(Side::Long).into_iter().chain(model.mass(Side::Short));
                assert!(masses.into_iter().all(|coins| coins >= 0.0 && coins.is_finite()), "{candle:?}");
            }
        }
    }
    assert!(model.coverage().seen.taken > 100);
}

/// What is left of a huge open interest is less than the roundings of it.
#[test]
fn a_fall_of_open_interest_to_next_to_nothing_leaves_that() {
    for huge in [2.87e28, 1e20, 1e12, 1e9] {
        for rest in [8.09, huge * 1e-13, huge * 3e-12, huge * 1.1e-6, huge * 0.9e-6, 5e-324] {
            // The fall comes in pieces whose weights sum to one but for roundings; then the price stands still.
            for low in (0..40).map(|step| 100.0 - f64::from(step) * 0.173) {
                let mut model = model();
                for (time, open_interest) in (0..).zip([huge, rest, rest, rest * 1.5, rest]) {
                    let candle = flat_candle(time * 3_600, 100.0, open_interest);
                    let low = if time == 1 { low } else { 100.0 };
                    model.apply(&Candle { low, ..candle }).unwrap();
                }
                let sum = model.mass(Side::Long).iter().sum::<f64>() + (1.0 - model.coverage().placed[0]) * rest;
                assert!((sum / rest - 1.0).abs() < 1e-6 || rest < 1e-300, "{huge} {rest}: {sum}");
            }
        }
    }
}

#[test]
fn assumptions_that_cannot_be_are_refused() {
    let change = |how: fn(&mut Assumptions)| {
        let mut assumptions = assumptions();
        how(&mut assumptions);
        Model::new(Grid::new(1.0, 2.0, 10).unwrap(), assumptions).map(|_| ()).unwrap_err()
    };
    assert_eq!(change(|a| a.buckets.clear()), AssumptionsError::NoBucket);
    assert_eq!(change(|a| a.buckets[0].share = 0.5), AssumptionsError::Shares);
    assert_eq!(change(|a| a.buckets[0].share = f64::NAN), AssumptionsError::Shares);
    assert_eq!(change(|a| a.buckets.swap(0, 1)), AssumptionsError::Leverage);
    assert_eq!(change(|a| a.buckets[3].leverage = 1e7), AssumptionsError::Leverage);
    assert_eq!(change(|a| a.buckets[3].leverage = f64::NAN), AssumptionsError::Leverage);
    assert_eq!(change(|a| a.buckets[0].long_ratio = 1.0), AssumptionsError::Ratio);
    assert_eq!(change(|a| a.buckets[0].short_ratio = 1.0), AssumptionsError::Ratio);
    assert_eq!(change(|a| a.transfer = -0.5), AssumptionsError::Parameter("transfer"));
    assert_eq!(change(|a| a.concentration = 0.0), AssumptionsError::Parameter("concentration"));
    assert_eq!(change(|a| a.interval = 0), AssumptionsError::Parameter("interval"));
    assert!(
        assumptions()
            .stated()
            .iter()
            .all(|one| !one.name.is_empty() && (one.says.is_empty() || one.says.ends_with(['.', 't'])))
    );
}

#[test]
fn taker_buying_that_moves_nothing_says_so() {
    let said = |entry_tilt, tilt_cases| {
        let stated = Assumptions { entry_tilt, tilt_cases, ..assumptions() }.stated();
        let entry = stated.into_iter().find(|one| &*one.name == "entry").unwrap();
        assert_eq!(entry.value, crate::map::Assumed::Number(entry_tilt));
        entry.says.to_string()
    };
    assert!(said(0.0, 0).contains("moves nothing: nothing was fitted to it"));
    assert!(said(0.0, 250).contains("moves nothing: fitted to 0 on the liquidations of 250 candles"));
    assert!(said(0.5, 0).contains("is supposed to move entries"));
    assert!(said(0.5, 250).contains("at 0.5, fitted to the liquidations of 250 candles"));
}

#[test]
fn exact_distances_are_those_of_the_formula() {
    // derived by hand: 1 - (1 - 1/L) / (1 - 0.004) for a maintenance rate of 0.4 %.
    for (leverage, distance) in [(125.0, 0.00402), (100.0, 0.00602), (50.0, 0.01606), (25.0, 0.03614), (10.0, 0.09639)]
    {
        let bucket = Bucket::flat(leverage, 1.0, 0.004, 0.0);
        assert!((1.0 - bucket.long_ratio - distance).abs() < 6e-6, "{leverage}");
    }
}
