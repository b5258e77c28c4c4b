//! Perpetual positions on the axis that all series of a map share.

use std::sync::Arc;

use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::venue::Side;

use super::estimated::{Banded, Model, place};
use super::grid::Grid;
use super::measured::{Measured, Others};
use super::score::Misses;
use crate::map::{
    Assumed, Assumption, Assumptions, Band, Class, Coverage, Label, Levels, Quantity, Series, Unit, from_float,
};

/// What an estimated model says: notional in US dollars at the levels' own prices, on either side in all, with the band of what it
/// missed by in the past and that of leverages, and by leverage; see [`ahead`].
#[must_use]
pub fn estimated(model: &Model, past: &[Misses; 2], levels: &Levels, venue: &Arc<str>, at: TimeUs) -> Vec<Series> {
    let mut series = Vec::new();
    for side in [Side::Long, Side::Short] {
        let by_bucket = ahead(model, side, levels);
        let banded: Vec<Banded> = by_bucket.iter().map(|values| model.assumptions().band(values)).collect();
        let pick = |pick: fn(&Banded) -> f64| banded.iter().map(|each| from_float(pick(each))).collect();
        let mut whole = one(venue, side, None, Standing::Estimated, at, pick(|each| each.mid));
        whole.band = missed(&past[place(side)], &banded);
        whole.leverage_band = Some(Band { low: pick(|each| each.low), high: pick(|each| each.high) });
        series.push(whole);
        for (bucket, assumed) in model.assumptions().buckets.iter().enumerate() {
            let values = by_bucket.iter().map(|values| from_float(values[bucket] * assumed.share)).collect();
            series.push(one(venue, side, hundredths(assumed.leverage), Standing::Estimated, at, values));
        }
    }
    series
}

/// What came in past cases in which as much was said as is at each level; not known beyond the most that was ever said. None where
/// the past tells of no level.
fn missed(past: &Misses, said: &[Banded]) -> Option<Band> {
    let bands: Vec<Option<Banded>> = said.iter().map(|said| past.band(said.mid)).collect();
    let pick = |pick: fn(&Banded) -> f64| bands.iter().map(|band| from_float(pick(band.as_ref()?))).collect();
    bands.iter().any(Option::is_some).then(|| Band { low: pick(|band| band.low), high: pick(|band| band.high) })
}

/// What of a side a straight move from today's price to each level reaches, by level and bucket, as if all open interest were
/// in the bucket. Where the model ends at another price than today's, what lies between the two is not counted: the price has
/// passed it.
#[must_use]
pub fn ahead(model: &Model, side: Side, levels: &Levels) -> Vec<Vec<f64>> {
    let passed = reached(model, side, float(levels.today()));
    let beyond = |price: &Usd8| -> Vec<f64> {
        let all = reached(model, side, float(*price));
        all.iter().zip(&passed).map(|(all, passed)| (all - passed).max(0.0)).collect()
    };
    levels.prices().iter().map(beyond).collect()
}

/// What of a side a straight move from the model's mark to a price reaches, by bucket: nothing on its other side.
fn reached(model: &Model, side: Side, price: f64) -> Vec<f64> {
    let is_ahead = model.mark().is_some_and(|mark| match side {
        Side::Long => price < mark,
        Side::Short => price > mark,
    });
    if is_ahead { model.reached_by_bucket(side, price) } else { vec![0.0; model.assumptions().buckets.len()] }
}

/// What measured positions say, on either side. How they are known is the caller's to say: imported from a file, or observed.
#[must_use]
pub fn measured(
    measured: &Measured,
    grid: &Grid,
    levels: &Levels,
    venue: &Arc<str>,
    standing: Standing,
    at: TimeUs,
) -> Vec<Series> {
    let today = float(levels.today());
    let of_side = |side: Side| {
        let mass = &measured.mass[place(side)];
        let already = measured.already[place(side)] * today;
        let values = levels.prices().iter().map(|price| {
            let price = float(*price);
            let cells = match side {
                Side::Long => grid.below(price)..grid.below(today),
                Side::Short => grid.up_to(today)..grid.up_to(price),
            };
            from_float(already + cells.map(|cell| mass[cell] * grid.middles()[cell]).sum::<f64>())
        });
        let series = one(venue, side, None, standing, at, values.collect());
        Series { now: from_float(already), ..series }
    };
    [Side::Long, Side::Short].map(of_side).to_vec()
}

/// How much of the open interest stands on an estimated map: see [`super::estimated::Coverage`].
#[must_use]
pub fn estimated_coverage(model: &Model, venue: &Arc<str>) -> Coverage {
    let coverage = model.coverage();
    let mut blind_spots = vec![Arc::from(
        "Margin added later, cross margin, hedges on other venues and the way within a candle are not seen.",
    )];
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    if coverage.beyond.iter().any(|share| *share > 0.0) {
        let [long, short] = coverage.beyond.map(percent);
        blind_spots
            .push(format!("Liquidation prices of {long} of longs and {short} of shorts are beyond the grid.").into());
    }
    let seen = coverage.seen;
    for (refused, number) in super::estimated::Refused::ALL.iter().zip(seen.refused) {
        if number > 0 {
            blind_spots.push(format!("{number} candles were not taken: {}.", refused.words()).into());
        }
    }
    for (number, what) in [
        (seen.open_interest_missing, "had no open interest; the last was carried on"),
        (seen.turnover_missing, "had no turnover; nothing was passed on in them"),
        (seen.gaps, "came after a gap; what happened in it is seen by its end alone"),
    ] {
        if number > 0 {
            blind_spots.push(format!("{number} of {} candles {what}.", seen.taken).into());
        }
    }
    let share = f64::midpoint(coverage.placed[0], coverage.placed[1]);
    Coverage {
        of: venue.clone(),
        share: model.open_interest().map(|_| share),
        whole: "open interest whose opening was seen".into(),
        blind_spots,
    }
}

/// What share of one-sided open interest was measured, over both sides, and what it cannot say.
#[must_use]
pub fn measured_coverage(measured: &Measured, open_interest: Option<f64>, venue: &Arc<str>) -> Coverage {
    let shares = open_interest.and_then(|open_interest| measured.coverage(open_interest));
    let mut blind_spots = Vec::new();
    if let Some([long, short]) = shares {
        blind_spots
            .push(format!("Seen were {:.1} % of longs and {:.1} % of shorts.", long * 100.0, short * 100.0).into());
    }
    for (counts, what) in [
        (measured.never_positions, "are liquidated at no price"),
        (measured.refused_positions, "have no known liquidation price"),
    ] {
        if counts != [0, 0] {
            blind_spots.push(format!("{} longs and {} shorts {what}.", counts[0], counts[1]).into());
        }
    }
    if measured.beyond != [0.0; 2] {
        let [long, short] = measured.beyond;
        let says = format!("Coins too far from the price to be on the map: {long:.4} of longs, {short:.4} of shorts.");
        blind_spots.push(says.into());
    }
    Coverage {
        of: venue.clone(),
        share: shares.map(|[long, short]| f64::midpoint(long, short)),
        whole: "one-sided open interest, the mean of both sides".into(),
        blind_spots,
    }
}

/// What an estimated model supposes, as a map states it.
#[must_use]
pub fn estimated_assumptions(model: &Model) -> Assumptions {
    Assumptions(model.assumptions().stated())
}

/// What measured positions suppose.
#[must_use]
pub fn measured_assumptions(others: Others) -> Assumptions {
    Assumptions(vec![Assumption::new("other_positions", others.sentence().to_owned(), Assumed::Rule, "")])
}

fn one(
    venue: &Arc<str>,
    side: Side,
    leverage: Option<u32>,
    standing: Standing,
    at: TimeUs,
    values: Vec<Option<i128>>,
) -> Series {
    Series {
        label: Label {
            market: Some(venue.clone()),
            chain: None,
            side: Some(side),
            class: leverage.map(Class::Leverage),
        },
        quantity: Quantity::Notional,
        unit: Unit::Usd,
        standing,
        at,
        now: Some(0),
        values,
        band: None,
        leverage_band: None,
    }
}

/// A leverage in hundredths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a leverage is small and positive")]
fn hundredths(leverage: f64) -> Option<u32> {
    (leverage < 1e6).then_some((leverage * 100.0).round() as u32)
}

/// A price in US dollars.
#[expect(clippy::cast_precision_loss, reason = "a level is shown, not paid")]
fn float(price: Usd8) -> f64 {
    price.0 as f64 / 1e8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::perps::estimated::{Bucket, Candle, Priced};
    use protocol::venue::Reach;

    fn levels() -> Levels {
        Levels::around(Usd8(100 * 100_000_000), -1_000, 1_000, 100).unwrap()
    }

    fn usd(value: Option<i128>) -> f64 {
        value.unwrap() as f64 / 1e8
    }

    /// Eight coins opened at 100, a quarter of them at 50x.
    fn opened() -> Model {
        let bucket = |leverage, share| Bucket::flat(leverage, share, 0.005, 0.0);
        let assumptions = super::super::estimated::Assumptions {
            source: "test".to_owned(),
            priced: Priced::Mark,
            buckets: vec![bucket(10.0, 0.75), bucket(50.0, 0.25)],
            concentration: 10.0,
            transfer: 0.0,
            transfer_power: 0.0,
            fast_share: 0.5,
            fast_pace: 10.0,
            entry_tilt: 0.0,
            tilt_cases: 0,
            liquidated: 1.0,
            interval: 60,
        };
        let mut model = Model::new(Grid::new(50.0, 200.0, 4_000).unwrap(), assumptions).unwrap();
        for (time, open_interest) in [(0, 0.0), (60, 8.0)] {
            let candle = Candle {
                time,
                open: 100.0,
                high: 100.0,
                low: 100.0,
                close: 100.0,
                turnover: None,
                taker_buy: None,
                open_interest: Some(open_interest),
            };
            model.apply(&candle).unwrap();
        }
        model
    }

    #[test]
    fn series_are_what_is_reached_and_sum_over_leverages() {
        let model = opened();
        let levels = levels();
        let series = estimated(&model, &Default::default(), &levels, &"venue".into(), TimeUs(0));
        assert_eq!(series.len(), 6);
        // 50x longs go at 100 * 0.98 / 0.995 = 98.49, 10x at 90.45: at 98 a quarter of 8 coins, at 90 all of them.
        let at = |of: usize, price: i128| {
            usd(series[of].values[levels.prices().iter().position(|level| level.0 == price * 100_000_000).unwrap()])
        };
        assert!((at(0, 98) - 2.0 * 98.49).abs() < 0.1 && at(0, 99) == 0.0 && at(0, 105) == 0.0);
        assert!((at(0, 90) - 2.0 * 98.49 - 6.0 * 90.45).abs() < 0.5);
        for price in 90..=110 {
            assert!((at(0, price) - at(1, price) - at(2, price)).abs() < 1e-6);
            assert!((at(3, price) - at(4, price) - at(5, price)).abs() < 1e-6);
        }
        assert_eq!(series[0].band, None, "nothing is past");
        let band = series[0].leverage_band.as_ref().unwrap();
        assert!(
            band.low.iter().zip(&series[0].values).zip(&band.high).all(|((low, mid), high)| low <= mid && mid <= high)
        );
        assert_eq!(estimated_coverage(&model, &"venue".into()).share, Some(1.0));
        assert!(estimated_assumptions(&model).0.len() > 8);
    }

    #[test]
    fn what_the_price_has_passed_is_not_to_come() {
        let model = opened();
        // The model ends at 100. Its 50x longs stand at 98.49 and its 10x ones at 90.45; shorts at 101.49 and 109.45.
        for (today, side, long, expected) in [
            (100, Side::Long, 90, 2.0 * 98.49 + 6.0 * 90.45),
            (97, Side::Long, 90, 6.0 * 90.45),
            (97, Side::Long, 96, 0.0),
            // Above today's price and below the mark.
            (97, Side::Long, 98, 0.0),
            (97, Side::Short, 110, 2.0 * 101.49 + 6.0 * 109.45),
            (104, Side::Short, 110, 6.0 * 109.45),
            (104, Side::Short, 103, 0.0),
            (104, Side::Long, 98, 2.0 * 98.49),
            (89, Side::Long, 80, 0.0),
        ] {
            let at = Levels::new(Usd8(today * 100_000_000), vec![Usd8(long * 100_000_000)]).unwrap();
            let found = estimated(&model, &Default::default(), &at, &"venue".into(), TimeUs(0));
            let whole = found.iter().find(|one| one.label.side == Some(side) && one.leverage_band.is_some()).unwrap();
            assert!((usd(whole.values[0]) - expected).abs() < 0.5, "{today} {side:?} {long}: {whole:?}");
            assert_eq!(whole.now, Some(0));
        }
    }

    #[test]
    fn past_misses_make_a_band_as_far_as_they_tell() {
        let model = opened();
        // Of what was said, up to $300, a half to the whole then came; longs at 50x are $197, all are $740.
        let case = |at: u32| (f64::from(at % 301), f64::from(at % 301) * f64::from(10 + at % 11) / 20.0);
        let past = [Misses::of((0..6_000).map(case).collect()), Misses::default()];
        let series = estimated(&model, &past, &levels(), &"venue".into(), TimeUs(0));
        let band = series[0].band.as_ref().unwrap();
        let place = |price: i128| levels().prices().iter().position(|level| level.0 == price * 100_000_000).unwrap();
        let at = |price| (usd(band.low[place(price)]), usd(band.high[place(price)]));
        // Nothing stands down to there, and what came then was little.
        assert!(at(99).1 < 30.0);
        let (low, high) = at(95);
        assert!((low / 197.0 - 0.55).abs() < 0.06 && (high / 197.0 - 0.95).abs() < 0.06, "{low} {high}");
        assert_eq!((band.low[place(90)], band.high[place(90)]), (None, None), "so much was never said");
        assert!(series[3].band.is_none() && series[3].leverage_band.is_some());
    }

    #[test]
    fn measured_positions_stand_on_the_same_axis() {
        let grid = Grid::new(50.0, 200.0, 4_000).unwrap();
        let reaches = [Ok(Reach::Below(protocol::Decimal::from(95))), Ok(Reach::Above(protocol::Decimal::from(103)))];
        let seen = Measured::new(&grid, [(Side::Long, 2.0, reaches[0]), (Side::Short, 3.0, reaches[1])]);
        let levels = levels();
        let series = measured(&seen, &grid, &levels, &"venue".into(), Standing::Imported, TimeUs(0));
        let at = |of: usize, price: i128| {
            usd(series[of].values[levels.prices().iter().position(|level| level.0 == price * 100_000_000).unwrap()])
        };
        assert!((at(0, 94) - 190.0).abs() < 0.2 && at(0, 96) == 0.0);
        assert!((at(1, 104) - 309.0).abs() < 0.2 && at(1, 102) == 0.0);
        assert_eq!(measured_coverage(&seen, Some(10.0), &"venue".into()).share, Some(0.25));
        assert_eq!(measured_coverage(&seen, None, &"venue".into()).share, None);
        let far = [(Side::Long, 1.5, Ok(Reach::Below(protocol::Decimal::from(7))))];
        let said = measured_coverage(&Measured::new(&grid, far), None, &"venue".into()).blind_spots;
        assert_eq!(*said[0], *"Coins too far from the price to be on the map: 1.5000 of longs, 0.0000 of shorts.");
    }
}
