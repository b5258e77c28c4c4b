//! Hyperliquid's positions of February 2026, liquidated by the exchange's own equation, beside its own prices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use engine::map::perps::measured::{Coin, Liquidation, Margin, Measured, Others, Position, liquidations};
use engine::map::perps::{Grid, score};
use protocol::Decimal;
use protocol::venue::{Reach, Refusal, Side, Tiers, hyperliquid};
use serde_json::Value;

use super::load::{Columns, data, hourly};

/// One recorded position.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub coin: String,
    pub side: Side,
    pub size: f64,
    pub mark: f64,
    pub address: String,
    equity: f64,
    /// It is its account's only one.
    is_alone: bool,
    pub stated: Option<f64>,
    pub found: Liquidation,
    pub along: Liquidation,
}

/// Snapshots by their second, each with its positions and where they are liquidated; worked out once.
pub(crate) fn snapshots(folder: &Path) -> &'static BTreeMap<i64, Vec<Seen>> {
    static SNAPSHOTS: OnceLock<BTreeMap<i64, Vec<Seen>>> = OnceLock::new();
    SNAPSHOTS.get_or_init(|| read(folder))
}

fn read(folder: &Path) -> BTreeMap<i64, Vec<Seen>> {
    let columns = Columns::read(&folder.join("hyperliquid/positions_2026-02/positions.parquet"));
    let mut snapshots: BTreeMap<i64, Vec<Seen>> = BTreeMap::new();
    let mut most: BTreeMap<String, f64> = BTreeMap::new();
    for row in 0..columns.rows {
        let number = |name: &str| columns.number(name, row);
        let time: jiff::Timestamp = columns.text("snapshot", row).parse().unwrap();
        let coin = columns.text("coin", row).to_owned();
        let leverage = most.entry(coin.clone()).or_insert(1.0);
        *leverage = leverage.max(number("leverage").unwrap());
        let size = number("size").unwrap();
        snapshots.entry(time.as_second()).or_default().push(Seen {
            side: if columns.text("direction", row) == "Long" { Side::Long } else { Side::Short },
            mark: number("position_value").unwrap() / size,
            address: columns.text("address", row).to_owned(),
            equity: number("account_value").unwrap(),
            is_alone: false,
            stated: number("liquidation_px"),
            found: Err(Refusal::NoTiers),
            along: Err(Refusal::NoTiers),
            coin,
            size,
        });
    }
    // A coin's highest leverage is what the exchange states, or else the highest that anybody uses in any snapshot.
    let tiers: BTreeMap<String, Tiers> = most
        .into_iter()
        .map(|(coin, leverage)| {
            let flat = || hyperliquid::flat(Decimal::try_from(leverage).unwrap()).unwrap();
            let tiers = hyperliquid::stated(&coin).unwrap_or_else(flat);
            (coin, tiers)
        })
        .collect();
    snapshots.values_mut().for_each(|seen| liquidate(seen, &tiers));
    snapshots
}

/// All as cross margin, which the file does not tell from isolated.
fn liquidate(seen: &mut [Seen], tiers: &BTreeMap<String, Tiers>) {
    let decimal = |number: f64| Decimal::try_from(number).unwrap();
    let mut coins: Vec<Coin> = Vec::new();
    let mut coin_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut equities: Vec<Decimal> = Vec::new();
    let mut account_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut positions: Vec<Position> = Vec::new();
    for each in &*seen {
        let coin = *coin_of.entry(&each.coin).or_insert_with(|| {
            let tiers = tiers.get(&each.coin).cloned();
            coins.push(Coin { mark: decimal(each.mark), rule: hyperliquid::RULE, tiers });
            coins.len() - 1
        });
        let account = *account_of.entry(&each.address).or_insert_with(|| {
            equities.push(decimal(each.equity));
            equities.len() - 1
        });
        positions.push(Position { account, coin, side: each.side, size: decimal(each.size), margin: Margin::Cross });
    }
    let found = liquidations(&equities, &coins, &positions, Others::AtTheirMarks);
    let along = liquidations(&equities, &coins, &positions, Others::MoveAlong);
    let mut held = vec![0; equities.len()];
    positions.iter().for_each(|position| held[position.account] += 1);
    for (at, each) in seen.iter_mut().enumerate() {
        (each.found, each.along) = (found[at], along[at]);
        each.is_alone = held[positions[at].account] == 1;
    }
}

/// Where the exchange itself says that a position is liquidated.
pub(crate) fn stated(each: &Seen) -> Liquidation {
    Ok(match (each.stated.and_then(|price| Decimal::try_from(price).ok()), each.side) {
        (None, _) => Reach::Never,
        (Some(price), Side::Long) => Reach::Below(price),
        (Some(price), Side::Short) => Reach::Above(price),
    })
}

pub(crate) fn price(liquidation: Liquidation, side: Side) -> Option<f64> {
    let reach = liquidation.ok()?;
    let price = match side {
        Side::Long => reach.below(),
        Side::Short => reach.above(),
    };
    price.and_then(|price| f64::try_from(price).ok())
}

#[test]
fn recomputed_prices_are_those_of_the_exchange_but_for_the_noise_of_the_record() {
    let Some(folder) = data() else { return };
    let snapshots = snapshots(&folder);
    assert_eq!((snapshots.len(), snapshots.values().map(Vec::len).sum::<usize>()), (60, 163_987));
    let named = ["BTC", "ETH", "SOL", "HYPE", "XRP"];
    for coin in ["BTC", "ETH", "SOL", "HYPE", "XRP", "all others"] {
        let is_it = |each: &&Seen| each.coin == coin || (coin == "all others" && !named.contains(&each.coin.as_str()));
        let of_coin: Vec<&Seen> = snapshots.values().flatten().filter(is_it).collect();
        let alone = errors(of_coin.iter().copied().filter(|each| each.is_alone));
        let is_near = |each: &&Seen| each.stated.is_some_and(|stated| (stated / each.mark - 1.0).abs() < 0.3);
        let count = |is_so: fn(&Seen) -> bool| of_coin.iter().filter(|each| is_so(each)).count();
        println!(
            "{coin}: {} positions, no price by ours {}, by theirs {}, by either {}; liquidated at the mark by ours {}",
            of_coin.len(),
            count(|each| price(each.found, each.side).is_none()),
            count(|each| each.stated.is_none()),
            count(|each| each.stated.is_none() && price(each.found, each.side).is_none()),
            count(|each| each.found == Ok(Reach::Already)),
        );
        println!("   error of all: {}", spread(&errors(of_coin.iter().copied())));
        println!("   of accounts with one position: {}", spread(&alone));
        println!("   of prices within 30 % of the mark: {}", spread(&errors(of_coin.iter().copied().filter(is_near))));
        let moved = of_coin
            .iter()
            .filter_map(|each| Some((price(each.along, each.side)? / price(each.found, each.side)? - 1.0).abs()));
        let mut moved: Vec<f64> = moved.collect();
        moved.sort_by(f64::total_cmp);
        println!("   by how much it moves if all coins move alike: {}", spread(&moved));
        if ["BTC", "ETH"].contains(&coin) {
            let median = score::quantile(&alone, 0.5).unwrap();
            assert!(median < 0.01, "{coin}: {median}; the moment between equity and positions explains no more");
        }
    }
}

/// Relative errors of our prices against the exchange's, ascending.
fn errors<'a>(seen: impl Iterator<Item = &'a Seen>) -> Vec<f64> {
    let both = seen.filter_map(|each| Some((price(each.found, each.side)? / each.stated? - 1.0).abs()));
    let mut errors: Vec<f64> = both.collect();
    errors.sort_by(f64::total_cmp);
    errors
}

fn spread(sorted: &[f64]) -> String {
    let at = |part: f64| score::quantile(sorted, part).unwrap_or(f64::NAN) * 100.0;
    let [a, b, c, d] = [0.25, 0.5, 0.75, 0.9].map(at);
    format!("p25 {a:.2} %, p50 {b:.2} %, p75 {c:.1} %, p90 {d:.0} % (n {})", sorted.len())
}

#[test]
fn totals_coverage_and_what_no_price_liquidates() {
    let Some(folder) = data() else { return };
    let snapshots = snapshots(&folder);
    for coin in ["BTC", "ETH"] {
        let hours = hourly(&folder, coin);
        let mut covered: [Vec<f64>; 2] = Default::default();
        let mut usd: [Vec<f64>; 2] = Default::default();
        let mut never: [f64; 2] = [0.0; 2];
        let mut seen: [f64; 2] = [0.0; 2];
        let mut never_positions = [0; 2];
        for (time, all) in snapshots {
            let of_coin: Vec<&Seen> = all.iter().filter(|each| each.coin == coin).collect();
            let grid = Grid::new(1_000.0, 400_000.0, 1_000).unwrap();
            let measured = Measured::new(&grid, of_coin.iter().map(|each| (each.side, each.size, stated(each))));
            let before = hours.iter().rfind(|hour| hour.candle.time + 3_600 <= *time).unwrap();
            let shares = measured.coverage(before.candle.open_interest.unwrap()).unwrap();
            for side in 0..2 {
                covered[side].push(shares[side]);
                usd[side].push(measured.seen[side] * of_coin[0].mark);
                never[side] += measured.never[side];
                seen[side] += measured.seen[side];
                never_positions[side] += measured.never_positions[side];
            }
        }
        for (side, name) in ["long", "short"].into_iter().enumerate() {
            covered[side].sort_by(f64::total_cmp);
            usd[side].sort_by(f64::total_cmp);
            let at = |values: &[f64], part: f64| score::quantile(values, part).unwrap();
            println!(
                "{coin} {name}: ${:.0}M at the median (${:.0}M to ${:.0}M); {:.1} % of one-sided open interest at the median \
                 ({:.1} to {:.1}); no price liquidates {:.1} % of the coins seen ({} position rows)",
                at(&usd[side], 0.5) / 1e6,
                at(&usd[side], 0.0) / 1e6,
                at(&usd[side], 1.0) / 1e6,
                at(&covered[side], 0.5) * 100.0,
                at(&covered[side], 0.0) * 100.0,
                at(&covered[side], 1.0) * 100.0,
                never[side] / seen[side] * 100.0,
                never_positions[side]
            );
        }
        if coin == "BTC" {
            let median = |side: usize| score::quantile(&covered[side], 0.5).unwrap();
            assert!((0.08..0.16).contains(&median(0)) && (0.22..0.34).contains(&median(1)), "{covered:?}");
        }
    }
}

/// A recorded map: its moment, and levels with their side, price and mass in US dollars.
type Recorded = (i64, Vec<(Side, f64, f64)>);

fn recorded(folder: &Path, coin: &str) -> Vec<Recorded> {
    let path = folder.join("hyperliquid/maps_2026-01_2026-02/heatmap_snapshots.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    let mut maps = Vec::new();
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let time: jiff::Timestamp = record["commit_time"].as_str().unwrap().parse().unwrap();
        let map = &record["data"]["data"][coin];
        // The first record is a sample, with a price of 105,234.
        if record["data"]["data"]["BTC"]["currentPrice"] == 105_234 {
            continue;
        }
        let mut levels = Vec::new();
        for (side, name) in [(Side::Long, "longLiquidations"), (Side::Short, "shortLiquidations")] {
            for level in map[name].as_array().unwrap() {
                levels.push((side, level["price"].as_f64().unwrap(), level["value"].as_f64().unwrap()));
            }
        }
        maps.push((time.as_second(), levels));
    }
    maps
}

#[test]
fn the_shape_is_that_of_maps_recorded_by_others_on_the_same_days() {
    let Some(folder) = data() else { return };
    let snapshots = snapshots(&folder);
    for coin in ["BTC", "ETH"] {
        let maps = recorded(&folder, coin);
        let mut rhos: [Vec<f64>; 2] = Default::default();
        let mut shares: [Vec<f64>; 2] = Default::default();
        let mut compared = BTreeSet::new();
        for (time, all) in snapshots {
            // The nearest record within six hours.
            let Some((at, levels)) = maps.iter().min_by_key(|(at, ..)| (at - time).abs()) else { continue };
            if (at - time).abs() > 6 * 3_600 {
                continue;
            }
            compared.insert(*at);
            let of_coin: Vec<&Seen> = all.iter().filter(|each| each.coin == coin).collect();
            let mark = of_coin[0].mark;
            let grid = Grid::new(mark / 4.0, mark * 4.0, 4_000).unwrap();
            let measured = Measured::new(&grid, of_coin.iter().map(|each| (each.side, each.size, stated(each))));
            let mut theirs = vec![vec![0.0; grid.len()]; 2];
            for (side, price, usd) in levels {
                if let Some(cell) = grid.cell(*price) {
                    theirs[usize::from(*side == Side::Short)][cell] += usd / price;
                }
            }
            for side in 0..2 {
                // Their maps reach 16 % either way, in levels of 1.2 % of the price.
                let half = |mass: &[f64]| {
                    let bins = score::by_distance(&grid, mass, mark, 0.02, 8);
                    if side == 0 { bins[..8].to_vec() } else { bins[8..].to_vec() }
                };
                let (ours, theirs) = (half(&measured.mass[side]), half(&theirs[side]));
                if let Some(rho) = score::rank(&ours, &theirs).rho {
                    rhos[side].push(rho);
                }
                let sum = |bins: &[f64]| bins.iter().sum::<f64>();
                shares[side].push(sum(&ours) / sum(&theirs).max(1e-9));
            }
        }
        for (side, name) in ["long", "short"].into_iter().enumerate() {
            shares[side].sort_by(f64::total_cmp);
            println!(
                "{coin} {name}: rank over 8 levels of 2 % {} against {} records; our mass over theirs at the median {:.2}",
                score::bootstrap(&rhos[side], 6, 2_000, 1).unwrap(),
                compared.len(),
                score::quantile(&shares[side], 0.5).unwrap()
            );
        }
    }
}

#[test]
fn what_was_there_near_64k_below_58k_and_above_70k() {
    let Some(folder) = data() else { return };
    let snapshots = snapshots(&folder);
    println!(
        "BTC, Hyperliquid, top traders (see coverage), US dollars at the liquidation prices, by the exchange's own prices"
    );
    for (time, all) in snapshots.iter().filter(|(time, _)| **time < 1_770_500_000) {
        let of_coin: Vec<&Seen> = all.iter().filter(|each| each.coin == "BTC").collect();
        let mark = of_coin[0].mark;
        let sum = |side: Side, from: f64, to: f64| -> f64 {
            let within = of_coin.iter().filter(|each| each.side == side);
            let within = within.filter_map(|each| Some((each.stated?, each.size)));
            within.filter(|(price, _)| (from..to).contains(price)).map(|(price, size)| price * size / 1e6).sum()
        };
        let within = |by: f64| (sum(Side::Long, mark * (1.0 - by), mark), sum(Side::Short, mark, mark * (1.0 + by)));
        let ((l5, s5), (l10, s10)) = (within(0.05), within(0.10));
        println!(
            "{} mark {mark:.0}: within 5 % longs {l5:.0}M shorts {s5:.0}M, 10 % {l10:.0}M {s10:.0}M; longs from the mark down to \
             58k {:.0}M, below 58k {:.0}M; shorts from the mark up to 70k {:.0}M, above 70k {:.0}M",
            jiff::Timestamp::from_second(*time).unwrap(),
            sum(Side::Long, 58_000.0, mark),
            sum(Side::Long, 0.0, 58_000.0),
            sum(Side::Short, mark, 70_000.0),
            sum(Side::Short, 70_000.0_f64.max(mark), f64::INFINITY)
        );
    }
}
