//! Estimated maps where recorded inputs meet, scored against positions and against liquidations that then happened.
//!
//! What closes and at which leverage is held is fitted to liquidations before the scored window alone.

use std::path::Path;

use engine::map::perps::Grid;
use engine::map::perps::calibrate::{self, Best, Case};
use engine::map::perps::estimated::{Assumptions, Banded, Bucket, Model, Priced, place};
use engine::map::perps::leverage::{self, Metric, Moment};
use engine::map::perps::measured::Measured;
use engine::map::perps::score::{self, Crossed, Each, Method, Methods, Misses, Said, misses};
use protocol::Decimal;
use protocol::venue::{Contract, Opening, Side, Tiers, binance};
use serde_json::Value;

use super::load::{Hour, data, four_hourly, hourly, hyperliquid_daily};
use super::measured::{snapshots, stated};

const SIDES: [Side; 2] = [Side::Long, Side::Short];

const LEVERAGES: [&str; 10] = ["1.5", "2.5", "4", "6", "10", "16", "25", "40", "60", "100"];

/// One run: inputs, and which of them are for fitting and which for scoring.
struct Run {
    name: &'static str,
    hours: Vec<Hour>,
    grid: Grid,
    interval: i64,
    fit: (i64, i64),
    scored: (i64, i64),
    buckets: Vec<Bucket>,
}

impl Run {
    fn new(folder: &Path, name: &'static str, coin: &str, is_hourly: bool) -> Self {
        let hours = if is_hourly { hourly(folder, coin) } else { four_hourly(folder, coin) };
        let low = hours.iter().map(|hour| hour.candle.low).fold(f64::INFINITY, f64::min);
        let high = hours.iter().map(|hour| hour.candle.high).fold(0.0, f64::max);
        // Hourly: two weeks to warm up, fitted to 26 January 2026, scored to 7 February. Four-hourly: the first half
        // of 2025, then to 14 November.
        let (interval, fit, scored) = if is_hourly {
            (3_600, (1_766_275_200, 1_769_385_600), (1_769_385_600, 1_770_508_800))
        } else {
            (14_400, (1_735_689_600, 1_751_328_000), (1_751_328_000, 1_763_164_800))
        };
        let buckets = buckets(folder, coin, hours[hours.len() / 2].candle.close);
        Self { name, hours, grid: Grid::new(low / 3.0, high * 2.0, 1_600).unwrap(), interval, fit, scored, buckets }
    }

    fn assumptions(&self, transfer: f64, power: f64) -> Assumptions {
        Assumptions {
            source: format!("{}: candles of Binance, Binance's tiers for positions of $50,000", self.name),
            priced: Priced::Trades,
            buckets: self.buckets.clone(),
            concentration: 20.0,
            transfer,
            transfer_power: power,
            fast_share: 0.8,
            fast_pace: 10.0,
            entry_tilt: 0.0,
            tilt_cases: 0,
            liquidated: 1.0,
            interval: self.interval,
        }
    }

    fn cases(&self) -> Vec<Case> {
        self.hours.iter().map(|hour| (hour.candle, hour.liquidated)).collect()
    }

    /// The best of a few ways of passing on, with its fit, from the fitting window alone.
    fn fitted(&self, scale: f64) -> Assumptions {
        let tries = [(0.1, 1.0), (1.0, 0.5), (10.0, 0.5), (30.0, 1.0)];
        let tries = tries.map(|(transfer, power)| self.assumptions(transfer, power));
        let window = self.fit.0..self.fit.1;
        let best = calibrate::best(&self.grid, &tries, 0.02, &self.cases(), &window, Some(scale)).unwrap().unwrap();
        let Best { assumptions, fit, held, .. } = best;
        let Assumptions { transfer, transfer_power, .. } = assumptions;
        let tilted = [0.0, 0.5, 1.0].map(|entry_tilt| {
            let tried = Assumptions { entry_tilt, ..self.assumptions(transfer, transfer_power) };
            let best =
                calibrate::best(&self.grid, &[tried], 0.02, &self.cases(), &window, Some(scale)).unwrap().unwrap();
            format!("{entry_tilt}: {:.4}", best.fit.divergence)
        });
        let bought = self.hours.iter().filter(|hour| hour.candle.taker_buy.is_some() && hour.liquidated.is_some());
        println!("{}: divergence by tilt {}; taker buying of {} candles", self.name, tilted.join(", "), bought.count());
        println!("{}: a scale supposed from the fit would be {:.2}, and {scale:.2} is taken", self.name, fit.scale());
        println!(
            "{}: concentration {}, which holds {:.0} % of the fitting window's cases, {:.0} % below, {:.0} % above",
            self.name,
            assumptions.concentration,
            held.within * 100.0,
            held.below * 100.0,
            held.above * 100.0
        );
        let shares: Vec<String> = assumptions
            .buckets
            .iter()
            .map(|bucket| format!("{}x {:.3} %", bucket.leverage, bucket.share * 100.0))
            .collect();
        println!(
            "{}: transfer {}, its power {}, divergence {:.3}; shares {}",
            self.name,
            assumptions.transfer,
            assumptions.transfer_power,
            fit.divergence,
            shares.join(", ")
        );
        assumptions
    }
}

/// By Binance's rule and brackets, for positions of 50,000 dollars.
fn buckets(folder: &Path, coin: &str, entry: f64) -> Vec<Bucket> {
    let text = std::fs::read_to_string(folder.join("margin_tiers/binance_usdm_2026-09.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let decimal = |value: &Value| value.to_string().parse::<Decimal>().unwrap();
    let rows: Vec<(Decimal, Decimal, Decimal)> = all[format!("{coin}/USDT:USDT")]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (decimal(&row["minNotional"]), decimal(&row["maintenanceMarginRate"]), decimal(&row["maxLeverage"])))
        .collect();
    let tiers = Tiers::continuous(&rows).unwrap();
    let share = 1.0 / LEVERAGES.len() as f64;
    let bucket = |leverage: &str| {
        let opening = Opening {
            side: Side::Long,
            contract: Contract::Linear,
            entry: Decimal::try_from(entry).unwrap(),
            notional: Decimal::from(50_000),
            leverage: leverage.parse().unwrap(),
            rule: binance::USDM,
            tiers: Some(&tiers),
        };
        Bucket::exact(&opening, share).unwrap()
    };
    LEVERAGES.map(bucket).to_vec()
}

/// Rank correlation over candles, and the divergence for each dollar after the best single factor.
fn against(said: &[f64], realised: &[f64]) -> String {
    let factor = realised.iter().sum::<f64>() / said.iter().sum::<f64>();
    let floor = 1e-3 * realised.iter().sum::<f64>() / realised.len() as f64;
    let divergence: f64 = said
        .iter()
        .zip(realised)
        .map(|(said, realised)| {
            let said = (said * factor).max(floor);
            said - realised + if *realised > 0.0 { realised * (realised / said).ln() } else { 0.0 }
        })
        .sum();
    let rho = score::rank(said, realised).rho.map_or("none".to_owned(), |rho| format!("{rho:.3}"));
    format!("{rho}/{:.2}", divergence / realised.iter().sum::<f64>())
}

/// Daily rank correlations, for their spread.
fn daily(said: &[f64], realised: &[f64], a_day: usize) -> score::Sure {
    let days = said.chunks(a_day).zip(realised.chunks(a_day));
    let rhos: Vec<f64> = days.filter_map(|(said, realised)| score::rank(said, realised).rho).collect();
    score::bootstrap(&rhos, 3, 2_000, 1).unwrap()
}

/// A figure of every case.
fn all(said: &[Said], pick: impl Fn(&Said) -> f64) -> Vec<f64> {
    said.iter().map(pick).collect()
}

fn came(said: &[Said]) -> Vec<f64> {
    all(said, |one| one.came)
}

fn rho(said: &[Said], values: &[f64]) -> f64 {
    score::rank(values, &came(said)).rho.unwrap()
}

fn before(said: &[Said], method: Method) -> Vec<f64> {
    all(said, |one| one.usd[method.place()])
}

fn report(run: &Run, assumptions: &Assumptions) -> [Vec<Said>; 2] {
    let go = |(from, to)| score::walk(&run.grid, assumptions, &run.cases(), &(from..to)).unwrap().said;
    let [fitted, scored] = [run.fit, run.scored].map(go);
    for (window, said) in [("fitting window", &fitted), ("scored window", &scored)] {
        println!("{}, {window}: rank over candles / divergence for each dollar; lift of the heaviest fifth", run.name);
        for ((side, said), fitted) in ["longs", "shorts"].into_iter().zip(said).zip(&fitted) {
            let of = |values: Vec<f64>| against(&values, &came(said));
            let methods: Vec<String> = Method::ALL
                .into_iter()
                .map(|method| {
                    let lift = score::walk::lifted(said, method).map_or(f64::NAN, score::Lift::times);
                    format!("{} {}; {lift:.2}", method.words(), of(before(said, method)))
                })
                .collect();
            println!(
                "  {side:>6} n {}: {}, map with range unknown {}; with the candle's own openings {}",
                said.len(),
                methods.join(", "),
                of(all(said, |one| one.unconditional.unwrap_or(0.0))),
                of(all(said, |one| one.during.mid))
            );
            quality(run, said, fitted);
        }
    }
    scored
}

fn shown(held: &score::Calibration) -> String {
    format!("{:.0} % ({:.0} % below, {:.0} % above)", held.within * 100.0, held.below * 100.0, held.above * 100.0)
}

/// How stable the rank is, how far the mass is off, what the bands hold. What the fitting window lacked, by what is opened and
/// liquidated within a candle, is all that is carried over.
fn quality(run: &Run, said: &[Said], fitted: &[Said]) {
    let sum = |values: &[f64]| values.iter().sum::<f64>();
    let band = |pick: fn(&Said) -> Banded, factor: f64| {
        let cases: Vec<_> = said.iter().map(|one| (pick(one).times(factor), one.came)).collect();
        shown(&score::calibration(&cases))
    };
    let pairs = |said: &[Said]| said.iter().map(|one| (one.band.mid, one.came)).collect::<Vec<_>>();
    let is_later = said.first().map(|one| one.time) > fitted.last().map(|one| one.time);
    let mut past = if is_later { Misses::of(pairs(fitted)) } else { Misses::default() };
    let held = misses::walk_forward(&mut past, pairs(said));
    let own = |said: &[Said]| all(said, |one| one.during.mid);
    let mids = |said: &[Said]| all(said, |one| one.band.mid);
    let [factor, factor_own] = [mids(fitted), own(fitted)].map(|values| sum(&came(fitted)) / sum(&values));
    let a_day = usize::try_from(86_400 / run.interval).unwrap();
    println!(
        "         daily rank {} (uniform {}); mass before off by {:+.0} %, with own openings {:+.0} %; within the band before {}, with \
         own openings {}; within the past's misses {} ({} cases, {} without)",
        daily(&mids(said), &came(said), a_day),
        daily(&before(said, Method::Uniform), &came(said), a_day),
        score::mass_error(factor * sum(&mids(said)), sum(&came(said))).unwrap() * 100.0,
        score::mass_error(factor_own * sum(&own(said)), sum(&came(said))).unwrap() * 100.0,
        band(|one| one.band, factor),
        band(|one| one.during, factor_own),
        shown(&held.calibration),
        held.calibration.cases,
        held.without,
    );
}

#[test]
fn four_hourly_maps_are_scored_by_liquidations() {
    let Some(folder) = data() else { return };
    for (name, coin) in [("BTC 4-hourly", "BTC"), ("ETH 4-hourly", "ETH")] {
        let run = Run::new(&folder, name, coin, false);
        let assumptions = run.fitted(1.0);
        let scored = report(&run, &assumptions);
        if coin == "BTC" {
            for said in &scored {
                let of = |method| rho(said, &before(said, method));
                let during = rho(said, &all(said, |one| one.during.mid));
                assert!(during > of(Method::Uniform), "with the candle's own openings it beats its range");
                assert!(of(Method::Map) > of(Method::Peers) && of(Method::Map) > of(Method::Naive));
            }
        }
    }
}

/// Dollars that the three venues of the hourly record liquidated for one of Hyperliquid, on the days that both cover before the
/// scored window.
fn scale(folder: &Path, run: &Run) -> f64 {
    let daily = hyperliquid_daily(folder, "BTC");
    let of_day = |day: i64| -> f64 {
        let within = run.hours.iter().filter(|hour| (day..day + 86_400).contains(&hour.candle.time));
        within.filter_map(|hour| hour.liquidated).flatten().sum()
    };
    let days: Vec<_> = daily.iter().filter(|(day, _)| (run.fit.0..run.fit.1).contains(day)).collect();
    days.iter().map(|(day, _)| of_day(**day)).sum::<f64>() / days.iter().map(|(_, usd)| **usd).sum::<f64>()
}

#[test]
fn hourly_maps_are_scored_by_liquidations_and_by_positions() {
    let Some(folder) = data() else { return };
    let run = Run::new(&folder, "BTC hourly", "BTC", true);
    let scale = scale(&folder, &run);
    println!("the three venues liquidated {scale:.2} dollars for one of Hyperliquid's");
    let assumptions = run.fitted(scale);
    let scored = report(&run, &assumptions);
    println!(
        "hour (UTC): longs said before / liquidated, shorts said before / liquidated, in $M, of the twelve largest"
    );
    let sum = |values: Vec<f64>| values.iter().sum::<f64>();
    let factor = scored.each_ref().map(|said| sum(came(said)) / sum(before(said, Method::Map)));
    let mut order: Vec<usize> = (0..scored[0].len()).collect();
    order.sort_by(|a, b| scored[0][*b].came.total_cmp(&scored[0][*a].came));
    for at in order.into_iter().take(12) {
        let [(a, b), (c, d)] = scored.each_ref().map(|said| (said[at].band.mid / 1e6, said[at].came / 1e6));
        println!("  {} {a:.1} / {b:.1}, {c:.1} / {d:.1}", jiff::Timestamp::from_second(scored[0][at].time).unwrap());
    }
    println!("  (in all, liquidated over said before: longs {:.2}, shorts {:.2})", factor[0], factor[1]);
    near_the_levels(&run, &assumptions);
    positions(&folder, &run, &assumptions, "BTC");
    let eth = Run::new(&folder, "ETH hourly", "ETH", true);
    // There are no liquidations of ETH by the hour: it takes the shares that BTC's gave.
    let mut of_eth = eth.assumptions(assumptions.transfer, assumptions.transfer_power);
    for (bucket, btc) in of_eth.buckets.iter_mut().zip(&assumptions.buckets) {
        bucket.share = btc.share;
    }
    positions(&folder, &eth, &of_eth, "ETH");
    for said in &scored {
        let of = |method| rho(said, &before(said, method));
        assert!(of(Method::Map) > 0.65 && of(Method::Map) > of(Method::Naive), "{}", of(Method::Map));
    }
}

/// What the map of Hyperliquid's open interest said about 58,000, 64,000 and 70,000, in its dollars, with the band of leverages.
fn near_the_levels(run: &Run, assumptions: &Assumptions) {
    let mut model = Model::new(run.grid.clone(), assumptions.clone()).unwrap();
    let mut wanted = ["2026-02-05T19:00:00Z", "2026-02-05T23:00:00Z", "2026-02-06T08:00:00Z", "2026-02-07T05:00:00Z"]
        .map(|text| text.parse::<jiff::Timestamp>().unwrap().as_second())
        .into_iter()
        .peekable();
    for hour in &run.hours {
        let _ = model.apply(&hour.candle);
        if wanted.next_if_eq(&hour.candle.time).is_none() {
            continue;
        }
        let mark = model.mark().unwrap();
        let say = |side: Side, price: f64| {
            let band = model.reached(side, price);
            format!("{:.0} [{:.0}, {:.0}]", band.mid / 1e6, band.low / 1e6, band.high / 1e6)
        };
        println!(
            "  {} mark {mark:.0}, open interest ${:.0}M: longs within 5 % ${}M, shorts ${}M; longs down to 58k ${}M; shorts up to \
             70k ${}M, to 80k ${}M, at any price ${}M",
            jiff::Timestamp::from_second(hour.candle.time + 3_600).unwrap(),
            model.open_interest().unwrap() * mark / 1e6,
            say(Side::Long, mark * 0.95),
            say(Side::Short, mark * 1.05),
            say(Side::Long, 58_000.0_f64.min(mark)),
            say(Side::Short, 70_000.0_f64.max(mark)),
            say(Side::Short, 80_000.0),
            say(Side::Short, 1e6),
        );
    }
}

/// Against Hyperliquid's measured positions: rank of levels and lift on either side within 30 %, in levels of 2 %.
fn positions(folder: &Path, run: &Run, assumptions: &Assumptions, coin: &str) {
    let snapshots = snapshots(folder);
    let mut methods = Methods::new(run.grid.clone(), assumptions.clone()).unwrap();
    let mut hours = run.hours.iter().peekable();
    let mut rhos: [Each<Vec<f64>>; 2] = Default::default();
    let mut lifts: [Each<Vec<f64>>; 2] = Default::default();
    let mut shares: [Vec<[f64; 4]>; 2] = Default::default();
    for (time, all) in snapshots {
        while let Some(hour) = hours.next_if(|hour| hour.candle.time + run.interval <= *time) {
            let _ = methods.apply(&hour.candle);
        }
        let of_coin: Vec<_> = all.iter().filter(|each| each.coin == coin).collect();
        let mark = of_coin[0].mark;
        let whole = methods.model().open_interest().unwrap();
        let measured = Measured::new(&run.grid, of_coin.iter().map(|each| (each.side, each.size, stated(each))));
        for side in SIDES {
            let at = place(side);
            let half = |mass: &[f64]| {
                let bins = score::by_distance(&run.grid, mass, mark, 0.02, 15);
                if at == 0 { bins[..15].to_vec() } else { bins[15..].to_vec() }
            };
            let truth = half(&measured.mass[at]);
            let maps = methods.masses(mark, side, 0..run.grid.len());
            for (map, (rhos, lifts)) in maps.iter().zip(rhos[at].iter_mut().zip(&mut lifts[at])) {
                rhos.extend(score::rank(&half(map), &truth).rho);
                let levels = half(map).into_iter().zip(&truth);
                let crossed = levels.map(|(said, came)| Crossed { levels: 1.0, said, came: *came });
                lifts.extend(score::lift(&crossed.collect::<Vec<_>>(), 0.2).map(score::Lift::times));
            }
            let within = |mass: &[f64], by: f64| -> f64 {
                let cells = match side {
                    Side::Long => run.grid.below(mark * (1.0 - by))..run.grid.below(mark),
                    Side::Short => run.grid.up_to(mark)..run.grid.up_to(mark * (1.0 + by)),
                };
                cells.map(|cell| mass[cell]).sum()
            };
            let seen = measured.seen[at];
            shares[at].push([
                within(&maps[0], 0.05) / whole,
                within(&measured.mass[at], 0.05) / seen,
                within(&maps[0], 0.10) / whole,
                within(&measured.mass[at], 0.10) / seen,
            ]);
        }
    }
    println!("{} against {} snapshots of positions, 15 levels of 2 % on either side", run.name, snapshots.len());
    for at in 0..2 {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let methods: Vec<String> = Method::ALL
            .into_iter()
            .map(|method| {
                // What is the same everywhere ranks nothing.
                let rho = Some(&rhos[at][method.place()]).filter(|_| method != Method::Uniform);
                let rho = rho.and_then(|rhos| score::bootstrap(rhos, 10, 2_000, 1));
                let rho = rho.map_or_else(|| "none".to_owned(), |rho| rho.to_string());
                format!("{} {rho}, lift {:.2}", method.words(), mean(&lifts[at][method.place()]))
            })
            .collect();
        let share =
            |pick: usize| shares[at].iter().map(|each| each[pick]).sum::<f64>() / shares[at].len() as f64 * 100.0;
        println!(
            "  {}: {}. Share of the side within 5 %: map {:.2} %, seen {:.2} %; within 10 %: {:.2} %, {:.2} %",
            ["longs", "shorts"][at],
            methods.join("; "),
            share(0),
            share(1),
            share(2),
            share(3)
        );
    }
    println!("  {:?}", methods.model().coverage());
}

#[test]
fn leverage_beside_the_past() {
    let Some(folder) = data() else { return };
    let moments = |hours: &[Hour], interval: i64| -> Vec<Moment> {
        let a_day = usize::try_from(86_400 / interval).unwrap();
        let whole = hours.windows(a_day).map(|day| {
            let last = &day[a_day - 1];
            let sum = |pick: &dyn Fn(&Hour) -> Option<f64>| day.iter().map(pick).sum::<Option<f64>>();
            let side = |side: usize| sum(&|hour: &Hour| hour.liquidated.map(|usd| usd[side]));
            Moment {
                time: last.candle.time,
                price: last.candle.close,
                open_interest: last.candle.open_interest,
                turnover: sum(&|hour| hour.candle.turnover),
                funding: sum(&|hour| hour.funding).map(|sum| sum / a_day as f64),
                liquidations: side(0).zip(side(1)).map(|(long, short)| [long, short]),
                ..Moment::default()
            }
        });
        whole.collect()
    };
    for (name, hours, interval, dates) in [
        (
            "all venues",
            four_hourly(&folder, "BTC"),
            14_400,
            ["2025-10-10T16:00:00Z", "2025-10-12T00:00:00Z", "2025-11-14T12:00:00Z"],
        ),
        (
            "Hyperliquid",
            hourly(&folder, "BTC"),
            3_600,
            ["2026-01-28T00:00:00Z", "2026-02-07T00:00:00Z", "2026-03-05T10:00:00Z"],
        ),
    ] {
        let all = moments(&hours, interval);
        for date in dates {
            let time = date.parse::<jiff::Timestamp>().unwrap().as_second();
            let until: Vec<Moment> = all.iter().filter(|moment| moment.time <= time).copied().collect();
            let verdict = leverage::verdict(&until);
            println!("BTC, {name}, {date}: {} {verdict:?}", verdict.state);
            let now = until.last().unwrap();
            for window in leverage::WINDOWS {
                let known: Vec<String> = Metric::ALL
                    .into_iter()
                    .filter_map(|metric| {
                        let found = leverage::compare(now, &all, window, metric)?;
                        Some(format!("{} {:.4e} (rank {:.2})", metric.words(), metric.of(now)?, found.rank))
                    })
                    .collect();
                println!(
                    "   against {}: {}",
                    window.name,
                    if known.is_empty() { "no data".to_owned() } else { known.join("; ") }
                );
            }
        }
    }
}
