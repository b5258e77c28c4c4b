//! The way a price is supposed to have gone within a candle.

use super::{Candle, known};
use crate::map::perps::grid::{count, floor};

/// A piece is at most this long, in logarithms: a quarter of a percent, less than any leverage's distance to its liquidation.
const LONGEST: f64 = 0.0025;

/// A leg is cut into at most so many pieces; those of wilder candles are longer.
const MOST: usize = 32;

/// A straight piece of the way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Piece {
    /// Its lower end.
    pub(super) low: f64,
    /// Its upper end.
    pub(super) high: f64,
    /// Where it ends.
    pub(super) to: f64,
    /// The logarithm of its middle.
    pub(super) log_entry: f64,
    /// Its part in what the candle did; all sum to 1.
    pub(super) weight: f64,
}

/// Up to four legs: from the last close to the open, and the three of the candle.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    points: [f64; 5],
    /// The weight of each unit of length of a leg that falls, and of one that rises.
    falling: f64,
    rising: f64,
    /// A candle that stands still is one piece.
    is_still: bool,
}

impl Path {
    /// The way from `before`, the last close, through a candle.
    pub(super) fn of(candle: &Candle, tilt: f64, before: Option<f64>) -> Self {
        let buying = match (known(candle.taker_buy), known(candle.turnover)) {
            (Some(bought), Some(turnover)) if turnover > 0.0 => (2.0 * bought / turnover - 1.0).clamp(-1.0, 1.0),
            _ => 0.0,
        };
        let (first, second) =
            if candle.close >= candle.open { (candle.low, candle.high) } else { (candle.high, candle.low) };
        let points = [before.unwrap_or(candle.open), candle.open, first, second, candle.close];
        let (mut falls, mut rises) = (0.0, 0.0);
        for pair in points.windows(2) {
            let length = (pair[1] / pair[0]).ln();
            if length < 0.0 { falls -= length } else { rises += length }
        }
        let (falling, rising) = (1.0 - tilt * buying, 1.0 + tilt * buying);
        let whole = falls * falling + rises * rising;
        let is_still = whole <= 0.0;
        Self { points, falling: falling / whole, rising: rising / whole, is_still }
    }

    pub(super) fn pieces(self) -> impl Iterator<Item = Piece> {
        let still = self.is_still.then(|| {
            let to = self.points[4];
            Piece { low: to, high: to, to, log_entry: to.ln(), weight: 1.0 }
        });
        let legs = if self.is_still { 0 } else { 4 };
        still.into_iter().chain((0..legs).flat_map(move |leg| self.leg(self.points[leg], self.points[leg + 1])))
    }

    fn leg(self, from: f64, to: f64) -> impl Iterator<Item = Piece> {
        let (log_from, length) = (from.ln(), (to / from).ln());
        let wanted = (length.abs() / LONGEST).ceil().min(count(MOST));
        let pieces = floor(wanted);
        let step = length / wanted;
        let weight = step.abs() * if length < 0.0 { self.falling } else { self.rising };
        let mut here = from;
        (0..pieces).map(move |piece| {
            let there = if piece + 1 == pieces { to } else { (log_from + step * count(piece + 1)).exp() };
            let (low, high) = if here < there { (here, there) } else { (there, here) };
            here = there;
            Piece { low, high, to: there, log_entry: log_from + step * (count(piece) + 0.5), weight }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_goes_through_all_its_points_and_weighs_one() {
        let rose = Candle {
            time: 0,
            open: 100.0,
            high: 104.0,
            low: 97.0,
            close: 103.0,
            turnover: Some(10.0),
            taker_buy: Some(8.0),
            open_interest: None,
        };
        let fell = Candle { open: 103.0, close: 98.0, ..rose };
        let still = Candle { open: 100.0, high: 100.0, low: 100.0, close: 100.0, ..rose };
        let wild = Candle { open: 100.0, high: 1e9, low: 1e-9, close: 100.0, ..rose };
        for (candle, before, turns) in [
            (rose, 101.0, vec![101.0, 97.0, 104.0, 103.0]),
            (fell, 103.0, vec![103.0, 104.0, 97.0, 98.0]),
            (still, 100.0, vec![100.0]),
            (still, 90.0, vec![90.0, 100.0]),
            (wild, 100.0, vec![100.0, 1e-9, 1e9, 100.0]),
        ] {
            for tilt in [0.0, 0.5, 1.0] {
                let pieces: Vec<Piece> = Path::of(&candle, tilt, Some(before)).pieces().collect();
                assert!((pieces.iter().map(|piece| piece.weight).sum::<f64>() - 1.0).abs() < 1e-9);
                let mut went = vec![before];
                for piece in &pieces {
                    let from = *went.last().unwrap();
                    assert!(
                        (piece.low.min(piece.high), piece.low.max(piece.high))
                            == (from.min(piece.to), from.max(piece.to))
                    );
                    went.push(piece.to);
                }
                assert!(turns.iter().all(|turn| went.contains(turn)), "{went:?}");
            }
        }
    }
}
