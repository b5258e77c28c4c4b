//! The map of every moment: time by price.

use super::{Candle, Model};

/// Coins by candle, bucket and cell, at the buckets' shares, for each candle that was taken. Cells below a candle's close hold longs, the others shorts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Heat {
    /// When each taken candle began.
    pub times: Vec<i64>,
    /// Its close.
    pub closes: Vec<f64>,
    /// `coins[(candle * buckets + bucket) * cells + cell]`.
    pub coins: Vec<f32>,
}

/// Folds candles and keeps the map after each into `into`, whose room is used again.
pub fn heat(model: &mut Model, candles: &[Candle], into: &mut Heat) {
    let row = model.assumptions.buckets.len() * model.grid.len();
    into.times.clear();
    into.closes.clear();
    into.coins.resize(row * candles.len(), 0.0);
    for candle in candles {
        if model.apply(candle).is_ok() {
            let at = into.times.len() * row;
            model.row(&mut into.coins[at..at + row]);
            into.times.push(candle.time);
            into.closes.push(candle.close);
        }
    }
    into.coins.truncate(row * into.times.len());
}

impl Model {
    /// The map as it is now, by bucket and cell.
    fn row(&self, into: &mut [f32]) {
        let Some(last) = self.last else { return into.fill(0.0) };
        let split = self.grid.below(last.close);
        let cells = self.grid.len();
        for ((into, pair), bucket) in into.chunks_exact_mut(cells).zip(&self.populations).zip(&self.assumptions.buckets)
        {
            into.fill(0.0);
            for (population, side) in pair.iter().zip([0..split, split..cells]) {
                let (first, last) = population.reach();
                let held = first.max(side.start)..last.min(side.end);
                if held.is_empty() {
                    continue;
                }
                let [fast, slow] = population.parts();
                let scales = [fast.scale() * bucket.share, slow.scale() * bucket.share];
                blend(&mut into[held.clone()], [&fast.raw()[held.clone()], &slow.raw()[held]], scales);
            }
        }
    }
}

/// `into = a * scales.0 + b * scales.1`, in single precision.
#[expect(clippy::cast_possible_truncation, reason = "a picture needs no more than single precision")]
fn blend(into: &mut [f32], [a, b]: [&[f64]; 2], scales: [f64; 2]) {
    let (into, into_rest) = into.as_chunks_mut::<4>();
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<4>(), b.as_chunks::<4>());
    for ((into, a), b) in into.iter_mut().zip(a).zip(b) {
        *into = std::array::from_fn(|at| (a[at] * scales[0] + b[at] * scales[1]) as f32);
    }
    for ((into, a), b) in into_rest.iter_mut().zip(a_rest).zip(b_rest) {
        *into = (a * scales[0] + b * scales[1]) as f32;
    }
}
