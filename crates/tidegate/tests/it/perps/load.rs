//! The recorded data of perpetual futures, as the model takes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use engine::map::perps::estimated::Candle;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// The folder of recorded data; `None`, said, where there is none.
pub(crate) fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from);
    if folder.join("perps").is_dir() && folder.join("hyperliquid").is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data at {}; TIDEGATE_DATA names its folder", folder.display());
    None
}

/// Columns of a Parquet file by name.
pub(crate) struct Columns {
    numbers: BTreeMap<String, Vec<Option<f64>>>,
    texts: BTreeMap<String, Vec<String>>,
    pub(crate) rows: usize,
}

impl Columns {
    pub(crate) fn read(path: &Path) -> Self {
        let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let mut columns = Self { numbers: BTreeMap::new(), texts: BTreeMap::new(), rows: 0 };
        for batch in reader.map(Result::unwrap) {
            columns.rows += batch.num_rows();
            for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
                if let Some(numbers) = numbers(array) {
                    columns.numbers.entry(field.name().clone()).or_default().extend(numbers);
                } else {
                    columns.texts.entry(field.name().clone()).or_default().extend(texts(array));
                }
            }
        }
        columns
    }

    pub(crate) fn number(&self, name: &str, row: usize) -> Option<f64> {
        self.numbers.get(name).unwrap_or_else(|| panic!("no column {name}"))[row]
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> &str {
        &self.texts.get(name).unwrap_or_else(|| panic!("no column {name}"))[row]
    }

    /// A column of moments, in seconds.
    #[expect(clippy::cast_possible_truncation, reason = "a moment in seconds is a small whole number")]
    fn second(&self, name: &str, row: usize) -> i64 {
        self.number(name, row).unwrap() as i64
    }
}

/// Numbers as they are, moments in seconds; `None` for text.
#[expect(clippy::wildcard_enum_match_arm, reason = "the recorded files have no other kinds")]
fn numbers(array: &ArrayRef) -> Option<Vec<Option<f64>>> {
    Some(match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().collect(),
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().map(|n| n.map(|n| n as f64)).collect(),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().iter().map(|n| n.map(|n| (n / 1_000_000) as f64)).collect()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => array
            .as_primitive::<TimestampNanosecondType>()
            .iter()
            .map(|n| n.map(|n| (n / 1_000_000_000) as f64))
            .collect(),
        _ => return None,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the recorded files have no other kinds")]
fn texts(array: &ArrayRef) -> Vec<String> {
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(owned).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(owned).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(owned).collect(),
        _ => vec![String::new(); array.len()],
    }
}

/// A candle with what was liquidated in it: longs, shorts, in US dollars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hour {
    pub candle: Candle,
    pub liquidated: Option<[f64; 2]>,
    pub funding: Option<f64>,
}

/// Hourly candles of Binance, turnover of Binance and Bybit, open interest and funding of Hyperliquid, in coins at the close:
/// its dollars follow the price to the hour's end, so the label names the hour it closes.
pub(crate) fn hourly(folder: &Path, coin: &str) -> Vec<Hour> {
    let folder = folder.join("perps");
    let venues = folder.join("venues_hourly_2025-03_2026-03");
    let candles = Columns::read(&venues.join("candles.parquet"));
    let open_interest = by_time(&Columns::read(&venues.join("open_interest.parquet")), "hyperliquid", coin, "oi_usd");
    let funding = by_time(&Columns::read(&venues.join("funding_rates.parquet")), "hyperliquid", coin, "funding_rate");
    let bybit = by_time(&candles, "bybit", coin, "v");
    let liquidated = if coin == "BTC" { btc_liquidations(&folder) } else { BTreeMap::new() };
    let number = |name: &str, row: usize| candles.number(name, row).unwrap();
    let mut hours: Vec<Hour> = (0..candles.rows)
        .filter(|row| candles.text("venue", *row) == "binance" && candles.text("coin", *row) == coin)
        .map(|row| {
            let time = candles.second("timestamp", row);
            let close = number("c", row);
            let volume = number("v", row) + bybit.get(&time).copied().unwrap_or(0.0);
            Hour {
                candle: Candle {
                    time,
                    open: number("o", row),
                    high: number("h", row),
                    low: number("l", row),
                    close,
                    turnover: Some(volume * close),
                    taker_buy: None,
                    open_interest: open_interest.get(&time).map(|usd| usd / close),
                },
                liquidated: liquidated.get(&time).copied(),
                funding: funding.get(&time).map(|hour| hour * 24.0),
            }
        })
        .collect();
    hours.sort_by_key(|hour| hour.candle.time);
    hours.retain(|hour| hour.candle.time >= 1_765_101_600);
    hours
}

fn by_time(columns: &Columns, venue: &str, coin: &str, value: &str) -> BTreeMap<i64, f64> {
    (0..columns.rows)
        .filter(|row| columns.text("venue", *row) == venue && columns.text("coin", *row) == coin)
        .filter_map(|row| Some((columns.second("timestamp", row), columns.number(value, row)?)))
        .collect()
}

/// Sums of three venues.
fn btc_liquidations(perps: &Path) -> BTreeMap<i64, [f64; 2]> {
    let text = std::fs::read_to_string(perps.join("btc_liquidations_hourly_2025-11_2026-05/liquidations.csv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |at: usize| cells[at].parse::<f64>().unwrap();
        (cells[0].parse::<i64>().unwrap() / 1_000, [number(2), number(3)])
    });
    rows.collect()
}

/// What Hyperliquid liquidated of a coin, by day: all of it.
pub(crate) fn hyperliquid_daily(folder: &Path, coin: &str) -> BTreeMap<i64, f64> {
    let path = folder.join("perps/venues_hourly_2025-03_2026-03/liquidation_volume.parquet");
    let columns = Columns::read(&path);
    (0..columns.rows)
        .filter(|row| columns.text("coin", *row) == coin)
        .map(|row| (columns.second("timestamp", row), columns.number("total_usd", row).unwrap()))
        .collect()
}

/// Four-hourly candles, open interest and liquidations over all venues. The vendor's taker columns are in coins whatever their
/// name says, and stop being four-hourly in May 2025: only their ratio is used. Turnover is of one venue for BTC; for ETH
/// it is that of the hourly price file.
pub(crate) fn four_hourly(folder: &Path, coin: &str) -> Vec<Hour> {
    let vendor = folder.join("perps/market_4h_2024-11_2025-11");
    let read = |name: &str| Columns::read(&vendor.join(format!("api_futures_{name}_{coin}.parquet")));
    let series = |columns: &Columns, name: &str| -> BTreeMap<i64, f64> {
        let rows = 0..columns.rows;
        rows.filter_map(|row| Some((columns.second("time", row) / 1_000, columns.number(name, row)?))).collect()
    };
    let open_interest = series(&read("openInterest_ohlc_aggregated_history"), "close");
    let taker = read("taker_buy_sell_volume_history");
    let (bought, sold) = (series(&taker, "taker_buy_volume_usd"), series(&taker, "taker_sell_volume_usd"));
    let liquidated = read("liquidation_aggregated_coin_history");
    let longs = series(&liquidated, "aggregated_long_liquidation_usd");
    let shorts = series(&liquidated, "aggregated_short_liquidation_usd");
    let bars = if coin == "BTC" { btc_bars(&vendor) } else { eth_bars(folder) };
    let rows = bars.into_iter().filter(|bar| bar.time >= 1_732_147_200).map(|mut bar| {
        bar.open_interest = open_interest.get(&bar.time).map(|usd| usd / bar.close);
        let share = bought.get(&bar.time).zip(sold.get(&bar.time)).map(|(bought, sold)| bought / (bought + sold));
        bar.taker_buy = bar.turnover.zip(share).map(|(turnover, share)| turnover * share);
        let liquidated = longs.get(&bar.time).zip(shorts.get(&bar.time)).map(|(long, short)| [*long, *short]);
        Hour { candle: bar, liquidated, funding: None }
    });
    rows.filter(|hour| hour.candle.open_interest.is_some() || hour.candle.time < 1_763_164_800).collect()
}

fn btc_bars(vendor: &Path) -> Vec<Candle> {
    let columns = Columns::read(&vendor.join("api_price_ohlc_history.parquet"));
    let number = |name: &str, row: usize| columns.number(name, row).unwrap();
    let mut bars: Vec<Candle> = (0..columns.rows)
        .map(|row| Candle {
            time: columns.second("time", row) / 1_000,
            open: number("open", row),
            high: number("high", row),
            low: number("low", row),
            close: number("close", row),
            turnover: columns.number("volume_usd", row),
            taker_buy: None,
            open_interest: None,
        })
        .collect();
    bars.sort_by_key(|bar| bar.time);
    bars
}

fn eth_bars(folder: &Path) -> Vec<Candle> {
    let columns = Columns::read(&folder.join("prices/eth_usdt_1h_2019-04_2026-03.parquet"));
    let mut bars: BTreeMap<i64, Candle> = BTreeMap::new();
    let mut rows: Vec<usize> = (0..columns.rows).collect();
    rows.sort_by_key(|row| columns.second("date", *row));
    for row in rows {
        let number = |name: &str| columns.number(name, row).unwrap();
        let time = columns.second("date", row) / 14_400 * 14_400;
        let turnover = number("volume") * number("close");
        let bar = bars.entry(time).or_insert(Candle {
            time,
            open: number("open"),
            high: 0.0,
            low: f64::INFINITY,
            close: 0.0,
            turnover: Some(0.0),
            taker_buy: None,
            open_interest: None,
        });
        bar.high = bar.high.max(number("high"));
        bar.low = bar.low.min(number("low"));
        bar.close = number("close");
        bar.turnover = bar.turnover.map(|sum| sum + turnover);
    }
    bars.into_values().collect()
}
