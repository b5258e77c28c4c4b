//! How fast a heatmap of perpetual futures is made, beside the best open peer and what the memory allows.
//!
//! One thread; each figure is the best of several runs.

use std::hint::black_box;
use std::time::Instant;

use engine::map::perps::Grid;
use engine::map::perps::estimated::{Assumptions, Bucket, Candle, Heat, Model, Priced, heat};

/// How often each measurement runs.
const RUNS: usize = 9;

const CANDLES: u32 = 5_000;

const LEVELS: usize = 1_100;

/// Cells a second of `liqmap`'s engine (node 20, two cores), measured at the same size: 5,000 candles, 1,100 levels, 4 leverages
/// in 489 ms.
const PEER: f64 = 4.5e7;

/// Measures and prints.
pub(crate) fn report() {
    let grid = Grid::new(25_000.0, 250_000.0, LEVELS).expect("the grid is one");
    let bucket = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0005);
    let buckets = vec![bucket(10.0, 0.4), bucket(25.0, 0.3), bucket(50.0, 0.2), bucket(100.0, 0.1)];
    let cells = f64::from(CANDLES) * LEVELS as f64 * buckets.len() as f64;
    let assumptions = Assumptions {
        source: "made up".to_owned(),
        priced: Priced::Mark,
        buckets,
        concentration: 20.0,
        transfer: 0.3,
        transfer_power: 0.5,
        fast_share: 0.5,
        fast_pace: 10.0,
        entry_tilt: 0.5,
        tilt_cases: 0,
        liquidated: 1.0,
        interval: 3_600,
    };
    let model = Model::new(grid, assumptions).expect("the assumptions can be");
    let candles = candles();
    let mut picture = Heat::default();
    let whole = best(|| heat(&mut model.clone(), &candles, &mut picture));
    let fold = best(|| {
        let mut model = model.clone();
        for candle in &candles {
            black_box(model.apply(candle)).expect("the candle is sound");
        }
    });
    let mut room = vec![0.0_f32; picture.coins.len()];
    let mut value = 0.0;
    let floor = best(|| {
        value += 1.0;
        black_box(&mut room).fill(value);
    });
    let bytes = picture.coins.len() as f64 * 4.0;
    println!("heatmap of {CANDLES} candles x {LEVELS} levels x 4 leverages, one thread, best of {RUNS}");
    println!("  in all             {:8.2} ms   {:.2e} cells/s", whole * 1e3, cells / whole);
    println!("  the fold alone     {:8.2} ms   {:.2} us a candle", fold * 1e3, fold / f64::from(CANDLES) * 1e6);
    println!(
        "  floor of memory    {:8.2} ms   {:.1} GB/s written, {:.0} MB",
        floor * 1e3,
        bytes / floor / 1e9,
        bytes / 1e6
    );
    println!("  against the floor  {:8.2} x", whole / floor);
    println!("  against the peer   {:8.1} x   ({PEER:.1e} cells/s)", cells / whole / PEER);
}

/// The least time of the runs, in seconds.
fn best(mut work: impl FnMut()) -> f64 {
    let times = (0..RUNS).map(|_| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

/// Hourly candles of a wandering price that turns back at the ends of its range, with open interest and turnover to match.
fn candles() -> Vec<Candle> {
    let mut price = 80_000.0_f64;
    let mut state = 1_u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap_or(0)) / f64::from(1_u32 << 31) - 0.5
    };
    (0..CANDLES)
        .map(|hour| {
            let open = price;
            let pull = (80_000.0 / open).ln() * 0.002;
            let close = open * (1.0 + 0.02 * draw() + pull);
            price = close;
            let (up, down) = (draw() + 0.5, draw() + 0.5);
            Candle {
                time: i64::from(hour) * 3_600,
                open,
                high: open.max(close) * (1.0 + 0.004 * up),
                low: open.min(close) * (1.0 - 0.004 * down),
                close,
                turnover: Some(5e8 * (1.0 + up)),
                taker_buy: Some(5e8 * (0.4 + 0.2 * down) * (1.0 + up)),
                open_interest: Some(100_000.0 * (1.0 + 0.1 * draw())),
            }
        })
        .collect()
}
