//! What readers make of documented replies, and of everything else.

use proptest::prelude::*;
use protocol::Decimal;
use protocol::perp::{
    Candle, Counting, Distortion, Liquidation, Margin, Observation, Observed, OpenInterest, PricedAt, TierTable,
};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::{Contract, Side, Tiers, Venue};
use serde_json::{Value, json};

use super::{Parsed, Unread, binance, bybit, hyperliquid, okx};

mod asking;
mod local;
mod samples;
mod server;
mod streams;

use samples::{ALL, META, NOW, Sample, bybit_inverse, bybit_linear, coinm, hype, instrument, okx_linear, price, usdm};

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn some(text: &str) -> Option<Decimal> {
    Some(decimal(text))
}

fn sample(name: &str) -> &'static Sample {
    ALL.iter().find(|sample| sample.name == name).unwrap_or_else(|| panic!("no sample {name}"))
}

/// What a sample says, where all of it can be taken.
fn said(name: &str) -> Vec<Observation> {
    let sample = sample(name);
    let parsed = (sample.read)(sample.body.as_bytes()).unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(parsed.rejects.is_empty(), "{name}: {:?}", parsed.rejects);
    parsed.rows
}

/// Picks one kind of fact.
macro_rules! only {
    ($rows:expr, $kind:ident) => {
        $rows
            .iter()
            .filter_map(|row| if let Observed::$kind(fact) = &row.fact { Some((row, fact)) } else { None })
            .collect::<Vec<_>>()
    };
}

#[test]
fn every_documented_reply_is_taken_whole() {
    for sample in ALL {
        let rows = said(sample.name);
        assert_eq!(rows.len(), sample.rows, "{}", sample.name);
        for row in rows {
            assert!(row.time.plausible().is_some() && row.received == NOW && !row.symbol.is_empty(), "{}", sample.name);
        }
    }
}

#[test]
fn fields_that_are_not_known_change_nothing() {
    fn enrich(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.values_mut().for_each(enrich);
                fields.insert("somethingNew".to_owned(), json!({ "a": [1, null, "x"] }));
            }
            Value::Array(rows) => rows.iter_mut().for_each(enrich),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    for sample in ALL {
        let mut value: Value = serde_json::from_str(sample.body).unwrap();
        enrich(&mut value);
        let rich = (sample.read)(value.to_string().as_bytes());
        assert_eq!(rich, (sample.read)(sample.body.as_bytes()), "{}", sample.name);
    }
}

#[test]
fn a_reply_that_is_cut_off_is_cut_off_wherever_it_is() {
    for sample in ALL {
        for length in 0..sample.body.len() {
            let found = (sample.read)(&sample.body.as_bytes()[..length]);
            assert_eq!(found, Err(Unread::Cut), "{} at {length}", sample.name);
        }
    }
}

#[test]
fn what_is_no_reply_at_all_says_so() {
    for sample in ALL {
        for page in ["<!DOCTYPE html><html><head><title>403 Forbidden</title>", "error code: 1015", "\u{0}\u{1}"] {
            assert!(matches!((sample.read)(page.as_bytes()), Err(Unread::NotJson(_))), "{}: {page}", sample.name);
        }
    }
}

/// Every place in a value, by the keys that lead there.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| places(value, &format!("{here}/{key}"), all)),
        Value::Array(rows) => {
            rows.iter().enumerate().for_each(|(at, value)| places(value, &format!("{here}/{at}"), all))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn oddities() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!(-1)),
        Just(json!("-1")),
        Just(json!("0")),
        Just(json!(0)),
        Just(json!("NaN")),
        Just(json!("1e999")),
        Just(json!("79228162514264337593543950335")),
        Just(json!("0.0000000000000000000000000001")),
        Just(json!(9_223_372_036_854_775_807_i64)),
        Just(json!(1e300)),
        Just(json!([])),
        Just(json!({})),
        Just(json!([[]])),
        Just(json!(true)),
        Just(json!("BTCUSDT")),
        Just(json!("x".repeat(5_000))),
        "[ -~]{0,20}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
    ]
}

/// What must hold of everything that is taken, whatever it was read from.
fn check(row: &Observation) {
    let positive = |value: Decimal| assert!(value > Decimal::ZERO, "{row:?}");
    assert!(row.time.plausible().is_some(), "{row:?}");
    match &row.fact {
        Observed::Candle(Candle { open, high, low, close, volume, turnover, taker_buy, .. }) => {
            positive(*low);
            assert!(low <= open && open <= high && low <= close && close <= high, "{row:?}");
            assert!(
                [volume, turnover, taker_buy].into_iter().flatten().all(|value| *value >= Decimal::ZERO),
                "{row:?}"
            );
        }
        Observed::OpenInterest(open) => assert!(open.coins >= Decimal::ZERO, "{row:?}"),
        Observed::Price(price) => {
            assert!(price.mark.is_some() || price.index.is_some(), "{row:?}");
            price.mark.into_iter().chain(price.index).for_each(positive);
        }
        Observed::Liquidation(liquidation) => [liquidation.coins, liquidation.price].into_iter().for_each(positive),
        Observed::Depth(depth) => {
            let sorted = depth.bids.windows(2).all(|pair| pair[0].price >= pair[1].price)
                && depth.asks.windows(2).all(|pair| pair[0].price <= pair[1].price);
            let open = depth.bids.first().zip(depth.asks.first()).is_none_or(|(bid, ask)| bid.price < ask.price);
            assert!(sorted && open, "{row:?}");
        }
        Observed::Position(position) => [position.coins, position.leverage].into_iter().for_each(positive),
        Observed::Funding(_) | Observed::Tiers(_) | Observed::Gap(_) => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn one_odd_value_anywhere_never_panics_and_nothing_impossible_is_taken(
        sample in 0..ALL.len(),
        place in any::<prop::sample::Index>(),
        odd in oddities(),
    ) {
        let sample = &ALL[sample];
        let mut value: Value = serde_json::from_str(sample.body).unwrap();
        let mut all = Vec::new();
        places(&value, "", &mut all);
        let place = &all[place.index(all.len())];
        *value.pointer_mut(place).unwrap() = odd;
        if let Ok(parsed) = (sample.read)(value.to_string().as_bytes()) {
            parsed.rows.iter().for_each(check);
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "retCode", "retMsg", "result", "list", "code", "msg", "data", "topic", "e", "o", "s", "S", "arg", "channel",
        "details", "instId", "universe", "levels", "time", "symbol", "event", "success", "stream",
    ]);
    oddities().prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..6).prop_map(|fields| Value::Object(
                fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_json_panics(value in any_json()) {
        let text = value.to_string();
        for sample in ALL {
            if let Ok(parsed) = (sample.read)(text.as_bytes()) {
                parsed.rows.iter().for_each(check);
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for sample in ALL {
            let _ = (sample.read)(&bytes);
        }
    }
}

#[test]
fn a_bad_row_leaves_the_rows_beside_it() {
    let text = r#"[[1499040000000,"1","3","1","2","10",1499644799999,"20",308,"4","8","0"],
        [1499040000001,"1","0.5","1","2","10",1499644799999,"20",308,"4","8","0"],
        [1499040000002,"1","3","-1","2","10",1499644799999,"20",308,"4","8","0"],
        [1499040000003,"1","3","1","2","10",1499644799999,"20",308,"11","8","0"],
        [1499040000004,"1","3","1"],
        "nothing",
        [1499040000005,"1","3","1","2","10",1499644799999,"20",308,"4","8","0"]]"#;
    let parsed = binance::candles(&usdm(), protocol::perp::Series::Trade, HOUR_US, text.as_bytes(), NOW).unwrap();
    assert_eq!(parsed.rows.iter().map(|row| row.time.0 % 1_000_000 / 1_000).collect::<Vec<_>>(), [0, 5]);
    let reasons: Vec<_> = parsed.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!(reasons, ["implausible", "implausible", "implausible", "malformed", "malformed"]);
    assert!(parsed.rejects[1].row.starts_with("[1499040000002,"), "the row is kept: {:?}", parsed.rejects[1]);
    assert!(parsed.rejects[2].detail.contains("buyers took 11 of 10"), "{:?}", parsed.rejects[2]);
}

#[test]
fn the_side_is_the_positions_whatever_the_venue_calls_it() {
    for (name, side, coins, price, priced_at, usd) in [
        ("binance liquidation", Side::Long, "0.014", "9910", PricedAt::Average, "138.74"),
        ("bybit liquidations", Side::Short, "20000", "0.04499", PricedAt::Bankruptcy, "899.8"),
        ("okx liquidations", Side::Short, "13000", "0.007831", PricedAt::Bankruptcy, "101.803"),
        ("okx liquidations of a stream", Side::Short, "13000", "0.007831", PricedAt::Bankruptcy, "101.803"),
        ("hyperliquid fills", Side::Long, "0.5", "60000", PricedAt::Average, "30000"),
    ] {
        let rows = said(name);
        let liquidations = only!(rows, Liquidation);
        let expected =
            Liquidation { side, coins: decimal(coins), price: decimal(price), priced_at, usd: some(usd), ordinal: 0 };
        assert_eq!(liquidations[0].1, &expected, "{name}");
    }
    // A contract is 100 dollars, so at 9,496.5 it is 0.0105… coins; the buy closes a short.
    let rows = said("binance coin-m liquidation in a combined stream");
    let (row, liquidation) = only!(rows, Liquidation)[0];
    assert_eq!((row.venue, liquidation.side, liquidation.usd), (Venue::BinanceCoinm, Side::Short, some("100")));
    assert_eq!(liquidation.coins.round_dp(8), decimal("0.01053020"));
    assert!(row.distortions.has(Distortion::FromContracts) && row.distortions.has(Distortion::LatestOfSecond));
}

#[test]
fn two_equal_liquidations_of_one_message_are_two() {
    let rows = said("bybit liquidations");
    let ordinals: Vec<u32> = only!(rows, Liquidation).iter().map(|(_, liquidation)| liquidation.ordinal).collect();
    assert_eq!(ordinals, [0, 1]);
}

#[test]
fn an_order_that_was_not_filled_yet_has_its_own_price() {
    let text = sample("binance liquidation").body.replace(r#""ap":"9910""#, r#""ap":"0""#).replace("FILLED", "NEW");
    let parsed = binance::message(&[usdm()], text.as_bytes(), NOW).unwrap();
    let (row, liquidation) = only!(parsed.rows, Liquidation)[0];
    assert_eq!((liquidation.price, liquidation.priced_at), (decimal("9910"), PricedAt::Order));
    assert!(row.distortions.has(Distortion::NotTraded));
}

#[test]
fn open_interest_is_one_sides_in_coins() {
    let found = |name: &str| {
        let rows = said(name);
        let (row, open) = only!(rows, OpenInterest)[0];
        (open.clone(), row.distortions.iter().collect::<Vec<_>>())
    };
    let is = |open: &OpenInterest, coins: &str, usd: Option<&str>, reported: &str, counting| {
        let expected = (decimal(coins), usd.map(decimal), decimal(reported), counting);
        assert_eq!((open.coins, open.usd, open.reported, open.counting), expected);
    };
    let (open, distortions) = found("binance open interest");
    is(&open, "10659.509", Some("532975450"), "10659.509", Counting::Unstated);
    assert_eq!(distortions, [Distortion::SidesUnstated]);
    let (open, distortions) = found("binance coin-m open interest");
    is(&open, "30.008", Some("1500400"), "15004", Counting::Unstated);
    assert_eq!(distortions, [Distortion::FromContracts, Distortion::SidesUnstated]);
    let (open, _) = found("binance open interest history");
    is(&open, "20403.637", Some("150570784.07809979"), "20403.637", Counting::Unstated);
    let (open, _) = found("binance coin-m open interest history");
    is(&open, "176196512.234", Some("2040300"), "20403", Counting::Unstated);
    // 373,504,107 contracts of a dollar on both sides, at a mark of 16,596.
    let (open, distortions) = found("bybit ticker");
    assert_eq!((open.coins.round_dp(4), open.usd), (decimal("11252.8352"), some("186752053.5")));
    assert_eq!(distortions, [Distortion::FromContracts, Distortion::Halved]);
    let (open, _) = found("okx open interest");
    is(&open, "21254.198", Some("1854113230.1"), "2125419.8", Counting::Unstated);
    let rows = said("bybit open interest");
    let both: Vec<_> = only!(rows, OpenInterest).into_iter().map(|(_, open)| (open.coins, open.counting)).collect();
    let expected = [(decimal("26332.321"), Counting::OneSide), (decimal("26332"), Counting::BothSides)];
    assert_eq!(both, expected, "one side's number is taken where it is given, else half of both sides'");
}

#[test]
fn a_size_too_small_for_coins_is_no_liquidation_of_nothing() {
    let text = sample("binance coin-m liquidation in a combined stream").body;
    let text = text.replace(r#""q":"1""#, r#""q":"0.0000000000000000000000000001""#);
    let parsed = binance::message(&[coinm()], text.as_bytes(), NOW).unwrap();
    let reasons: Vec<_> = parsed.rejects.iter().map(|reject| reject.reason).collect();
    assert_eq!((parsed.rows.len(), reasons), (0, vec!["cannot be turned into coins"]));
}

#[test]
fn open_interest_that_cannot_be_is_rejected() {
    for (from, to, reason) in [
        ("10659.509", "-1", "implausible"),
        ("BTCUSDT", "ETHUSDT", "another instrument"),
        ("10659.509", "", "malformed"),
        ("1589437530011", "1589437530", "malformed"),
    ] {
        let text = sample("binance open interest").body.replace(from, to);
        let parsed = binance::open_interest(&usdm(), price(), text.as_bytes(), NOW).unwrap();
        assert_eq!((parsed.rows.len(), parsed.rejects[0].reason), (0, reason), "{text}");
    }
    let body = sample("binance coin-m open interest").body.as_bytes();
    let parsed = binance::open_interest(&coinm(), None, body, NOW).unwrap();
    assert_eq!(parsed.rejects[0].reason, "cannot be turned into coins");
    let text = sample("bybit open interest").body.replace("26332.321", "52664.643");
    let parsed = bybit::open_interest_history(&bybit_linear(), &|_| None, text.as_bytes(), NOW).unwrap();
    assert_eq!((parsed.rows.len(), parsed.rejects[0].reason), (1, "implausible"), "one side is no more than both");
}

#[test]
fn candles_are_in_coins_and_quote() {
    let candle = |name: &str| {
        let rows = said(name);
        only!(rows, Candle)[0].1.clone()
    };
    let linear = candle("binance klines");
    assert_eq!(
        (linear.volume, linear.turnover, linear.taker_buy, linear.finished),
        (some("148976.11427815"), some("2434.19055334"), some("1756.87402397"), true)
    );
    let inverse = candle("binance coin-m klines");
    assert_eq!(
        (inverse.volume, inverse.turnover, inverse.taker_buy),
        (some("2.13660389"), some("20600"), some("1.23424865")),
        "206 contracts of 100 dollars"
    );
    let inverse = candle("bybit kline");
    assert_eq!((inverse.volume, inverse.turnover, inverse.taker_buy), (some("15.74462667"), some("268611"), None));
    let okx = candle("okx candles");
    assert_eq!((okx.volume, okx.turnover, okx.finished), (some("22698348.04828491"), some("12698348.04828491"), false));
    assert_eq!(candle("hyperliquid candles").turnover, None, "what is not told is missing, not zero");
    assert_eq!(candle("binance mark klines").volume, None);
    let early = TimeUs(1_499_644_799_998_000);
    let body = sample("binance klines").body.as_bytes();
    let parsed = binance::candles(&usdm(), protocol::perp::Series::Trade, HOUR_US, body, early).unwrap();
    assert!(!only!(parsed.rows, Candle)[0].1.finished, "it was not over yet");
}

#[test]
fn a_price_a_side_of_which_is_not_told_is_missing() {
    let text = sample("binance premium index").body.replace("11781.80495970", "0").replace("0.00038246", "");
    let parsed = binance::price(&usdm(), text.as_bytes(), NOW).unwrap();
    assert_eq!(parsed.rows.len(), 1, "and funding that is empty is none");
    assert_eq!(only!(parsed.rows, Price)[0].1.index, None);
    let text = r#"{"topic":"tickers.BTCUSD","type":"delta","data":{"symbol":"BTCUSD","openInterest":"5"},"cs":1,"ts":1673272861686}"#;
    let parsed = bybit::message(&[bybit_inverse()], text.as_bytes(), NOW).unwrap();
    assert_eq!(
        (parsed.rows.len(), parsed.rejects.len()),
        (0, 0),
        "a change that cannot be turned into coins waits for the next"
    );
    let text = r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","indexPrice":"5"},"cs":1,"ts":1673272861686}"#;
    let parsed = bybit::message(&[bybit_linear()], text.as_bytes(), NOW).unwrap();
    assert_eq!(only!(parsed.rows, Price)[0].1.mark, None);
}

#[test]
fn a_crossed_book_is_no_book() {
    let text = sample("binance depth").body.replace("4.00000200", "3.9");
    let parsed = binance::depth(&usdm(), text.as_bytes(), NOW).unwrap();
    assert_eq!((parsed.rows.len(), parsed.rejects[0].reason), (0, "implausible"));
    let text = r#"{"lastUpdateId":1,"E":1589436922972,"bids":[["3","1"],["4","0"],["3.5","2"]],"asks":[]}"#;
    let parsed = binance::depth(&usdm(), text.as_bytes(), NOW).unwrap();
    let prices: Vec<_> = only!(parsed.rows, Depth)[0].1.bids.iter().map(|level| level.price).collect();
    assert_eq!(prices, [decimal("3.5"), decimal("3")], "best first, and a size of 0 is no order");
}

#[test]
fn funding_is_paid_every_so_often_by_its_own_history() {
    let rows = said("okx funding history");
    let paid: Vec<_> =
        only!(rows, Funding).iter().map(|(row, fact)| (row.time.0 / 1_000, fact.rate, fact.interval)).collect();
    let hours = Some(8 * HOUR_US);
    let expected = [
        (1_703_030_400_000, decimal("0.0002279755647389"), hours),
        (1_703_059_200_000, decimal("0.0000746572360545"), hours),
    ];
    assert_eq!(paid, expected, "in order, and what was paid rather than what was expected");
    let at = |hours: i64| 1_700_000_000_000 + hours * 3_600_000;
    let rows: Vec<Value> = [0, 1, 2, 6, 30]
        .map(|hours| json!({ "symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": at(hours) + hours % 7 }))
        .to_vec();
    let parsed = binance::funding_history(&usdm(), Value::from(rows).to_string().as_bytes(), NOW).unwrap();
    let intervals: Vec<_> =
        only!(parsed.rows, Funding).iter().map(|(_, fact)| fact.interval.unwrap() / HOUR_US).collect();
    assert_eq!(intervals, [8, 1, 1, 4, 8], "the first and one after a hole are as they are at present");
    let rows = said("okx funding");
    assert_eq!(only!(rows, Funding)[0].1.interval, hours);
}

fn tiers(name: &str) -> TierTable {
    let rows = said(name);
    only!(rows, Tiers)[0].1.clone()
}

#[test]
fn tiers_are_as_the_venue_states_them() {
    let row = |table: &TierTable, place: usize| {
        let tier = table.tiers.rows()[place];
        [tier.floor, tier.maintenance_margin_rate, tier.deduction, tier.max_leverage]
    };
    let row_of = |texts: [&str; 4]| texts.map(decimal);
    assert_eq!(row(&tiers("binance brackets"), 1), row_of(["10000", "0.01", "35", "50"]));
    assert_eq!(row(&tiers("bybit risk limits"), 0), row_of(["0", "0.005", "0", "100"]));
    assert_eq!(row(&tiers("bybit risk limits"), 1), row_of(["2000000", "0.01", "10000", "50"]));
    assert_eq!(row(&tiers("okx tiers"), 1), row_of(["2001", "0.015", "0", "50"]));
    // 1/40 - 1/80 = 1.25 % of 150 million more.
    assert_eq!(row(&tiers("hyperliquid tiers"), 1), row_of(["150000000", "0.025", "1875000", "20"]));
    let okx = tiers("okx tiers").at(&okx_linear(), decimal("50000")).unwrap();
    assert_eq!(okx.rows()[1].floor, decimal("20.01"), "2,001 contracts of 0.01 coins");
    let eth = instrument(Venue::Hyperliquid, "ETH", Contract::Linear, "1");
    let parsed = hyperliquid::tiers(&eth, META.as_bytes(), NOW).unwrap();
    assert_eq!(
        only!(parsed.rows, Tiers)[0].1.tiers,
        Tiers::continuous(&[(Decimal::ZERO, decimal("0.02"), decimal("25"))]).unwrap(),
        "a table that is not listed is the highest leverage alone"
    );
}

#[test]
fn bybits_margins_are_shares_or_percentages_by_their_leverage() {
    let in_percent = sample("bybit risk limits")
        .body
        .replace(r#""0.005""#, r#""0.5""#)
        .replace(r#""0.01","initial"#, r#""1","initial"#)
        .replace(r#"Margin":"0.01","is"#, r#"Margin":"1","is"#)
        .replace("0.02", "2");
    let parsed = bybit::tiers(&bybit_linear(), in_percent.as_bytes(), NOW).unwrap();
    assert_eq!(only!(parsed.rows, Tiers)[0].1.tiers, tiers("bybit risk limits").tiers, "{:?}", parsed.rejects);
    let neither = sample("bybit risk limits").body.replace("0.02", "0.2");
    let parsed = bybit::tiers(&bybit_linear(), neither.as_bytes(), NOW).unwrap();
    assert_eq!((parsed.rows.len(), parsed.rejects[0].reason), (0, "implausible"));
}

#[test]
fn tiers_with_a_hole_are_no_tiers() {
    for (from, to) in [(r#""minSz":"2001""#, r#""minSz":"x""#), (r#""minSz":"0""#, r#""minSz":"5""#), ("0.015", "1.5")]
    {
        let text = sample("okx tiers").body.replace(from, to);
        let parsed = okx::tiers(&okx_linear(), text.as_bytes(), NOW).unwrap();
        assert_eq!((parsed.rows.len(), parsed.rejects.len()), (0, 1), "{to}");
    }
}

#[test]
fn an_accounts_positions_are_as_the_venue_computes_them() {
    let rows = said("hyperliquid account");
    let positions = only!(rows, Position);
    let (row, isolated) = positions[0];
    assert_eq!((&*row.symbol, row.time), ("ETH", TimeUs(1_708_622_398_623_000)));
    assert_eq!((isolated.side, isolated.coins, isolated.entry), (Side::Long, decimal("0.0335"), some("2986.3")));
    assert_eq!(isolated.margin, Margin::Isolated { equity: decimal("4.967826"), cash: decimal("-95.059824") });
    assert_eq!((isolated.account_value, isolated.liquidation_price), (decimal("13109.482328"), some("2866.26936529")));
    let (_, cross) = positions[1];
    let margin = Margin::Cross { account_value: decimal("13104.514502"), maintenance: Some(Decimal::ZERO) };
    assert_eq!((cross.side, cross.coins, cross.margin), (Side::Short, decimal("0.001"), margin));
    assert_eq!((cross.entry, cross.liquidation_price, cross.max_leverage), (None, None, some("40")));
    let (row, _) = positions[0];
    assert!(row.distortions.has(Distortion::PartOfAccounts));
}

#[test]
fn a_state_that_does_not_match_its_contracts_is_refused() {
    let mut value: Value = serde_json::from_str(META).unwrap();
    value[1].as_array_mut().unwrap().pop();
    let found = hyperliquid::state(&hype(), value.to_string().as_bytes(), NOW);
    assert!(matches!(found, Err(Unread::OtherForm(_))), "they belong together by place alone");
}

#[test]
fn instruments_of_a_coin_are_its_perpetual_contracts_that_are_traded() {
    let usdm = r#"{"timezone":"UTC","symbols":[
        {"symbol":"BTCUSDT","pair":"BTCUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","marginAsset":"USDT"},
        {"symbol":"BTCUSDT_260626","contractType":"CURRENT_QUARTER","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT"},
        {"symbol":"ETHUSDT","contractType":"PERPETUAL","status":"TRADING","baseAsset":"ETH","quoteAsset":"USDT"},
        {"symbol":"BTCBUSD","contractType":"PERPETUAL","status":"SETTLING","baseAsset":"BTC","quoteAsset":"BUSD"},
        {"symbol":7}]}"#;
    let coinm = r#"{"symbols":[{"symbol":"BTCUSD_PERP","pair":"BTCUSD","contractType":"PERPETUAL","contractStatus":"TRADING","contractSize":100,"baseAsset":"BTC","quoteAsset":"USD"},
        {"symbol":"BTCUSD_X","contractType":"PERPETUAL","contractStatus":"TRADING","contractSize":0,"baseAsset":"BTC","quoteAsset":"USD"}]}"#;
    let bybit = r#"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[
        {"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT","fundingInterval":480,"settleCoin":"USDT"},
        {"symbol":"BTC-26JUN26","contractType":"LinearFutures","status":"Trading","baseCoin":"BTC","quoteCoin":"USDC","fundingInterval":0}],"nextPageCursor":""},"time":1735809771618}"#;
    let okx = r#"{"code":"0","msg":"","data":[
        {"instType":"SWAP","instId":"BTC-USDT-SWAP","uly":"BTC-USDT","ctVal":"0.01","ctMult":"1","ctValCcy":"BTC","ctType":"linear","state":"live"},
        {"instType":"SWAP","instId":"BTC-USD-SWAP","uly":"BTC-USD","ctVal":"100","ctMult":"1","ctValCcy":"USD","ctType":"inverse","state":"live"},
        {"instType":"SWAP","instId":"BTC-EUR-SWAP","uly":"BTC-EUR","ctVal":"100","ctMult":"1","ctValCcy":"EUR","ctType":"linear","state":"live"},
        {"instType":"SWAP","instId":"BTC-USDC-SWAP","uly":"BTC-USDC","ctVal":"0.001","ctMult":"1","ctValCcy":"BTC","ctType":"linear","state":"suspend"}]}"#;
    type Found = Parsed<protocol::perp::Instrument>;
    let found: [(&str, Found, &[&str], u64, usize); 5] = [
        ("usdm", binance::instruments(Venue::BinanceUsdm, "BTC", usdm.as_bytes()).unwrap(), &["BTCUSDT 1"], 3, 1),
        (
            "coinm",
            binance::instruments(Venue::BinanceCoinm, "BTC", coinm.as_bytes()).unwrap(),
            &["BTCUSD_PERP 100"],
            0,
            1,
        ),
        ("bybit", bybit::instruments("BTC", bybit.as_bytes()).unwrap(), &["BTCUSDT 1"], 1, 0),
        ("okx", okx::instruments("BTC", okx.as_bytes()).unwrap(), &["BTC-USDT-SWAP 0.01", "BTC-USD-SWAP 100"], 1, 1),
        ("hyperliquid", hyperliquid::instruments("BTC", META.as_bytes()).unwrap(), &["BTC 1"], 3, 0),
    ];
    for (name, parsed, expected, foreign, rejects) in found {
        let names: Vec<_> = parsed.rows.iter().map(|one| format!("{} {}", one.symbol, one.contract_size)).collect();
        assert_eq!(names, expected, "{name}");
        assert_eq!((parsed.foreign, parsed.rejects.len()), (foreign, rejects), "{name}: {:?}", parsed.rejects);
    }
    let intervals = r#"[{"symbol":"BTCUSDT","adjustedFundingRateCap":"0.025","fundingIntervalHours":4,"disclaimer":false},{"symbol":"X","fundingIntervalHours":0}]"#;
    let parsed = binance::funding_intervals(intervals.as_bytes()).unwrap();
    assert_eq!(parsed.rows, [(samples::coin("BTCUSDT"), 4 * HOUR_US)]);
    assert_eq!(parsed.rejects.len(), 1);
}

#[test]
fn a_refusal_is_told_with_its_number() {
    for (outcome, code) in [
        (binance::depth(&usdm(), br#"{"code":-1121,"msg":"Invalid symbol."}"#, NOW), -1121),
        (
            bybit::ticker(
                &bybit_linear(),
                br#"{"retCode":10006,"retMsg":"Too many visits!","result":{},"time":1}"#,
                NOW,
            ),
            10_006,
        ),
        (okx::funding(&okx_linear(), br#"{"code":"50011","msg":"Too Many Requests","data":[]}"#, NOW), 50_011),
        (
            okx::message(&[], br#"{"event":"error","code":"60012","msg":"Invalid request","connId":"a4d3ae55"}"#, NOW),
            60_012,
        ),
        (bybit::message(&[], br#"{"success":false,"ret_msg":"error:handler not found","op":"subscribe"}"#, NOW), 0),
        (hyperliquid::message(&[], br#"{"channel":"error","data":"Already subscribed"}"#, NOW), 0),
        (binance::message(&[], br#"{"error":{"code":2,"msg":"Invalid request"}}"#, NOW), 0),
    ] {
        assert!(matches!(&outcome, Err(Unread::Refused { code: found, .. }) if *found == code), "{outcome:?}");
    }
}

#[test]
fn what_answers_a_subscription_or_a_ping_says_nothing() {
    let quiet = [
        binance::message(&[], br#"{"result":null,"id":1}"#, NOW),
        bybit::message(&[], br#"{"success":true,"ret_msg":"pong","conn_id":"0970e817","req_id":"","op":"ping"}"#, NOW),
        bybit::message(&[], br#"{"success":true,"ret_msg":"","conn_id":"2324d924","op":"subscribe"}"#, NOW),
        okx::message(&[], b"pong", NOW),
        okx::message(
            &[],
            br#"{"event":"subscribe","arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"connId":"a4"}"#,
            NOW,
        ),
        hyperliquid::message(&[], br#"{"channel":"pong"}"#, NOW),
        hyperliquid::message(&[], br#"{"channel":"subscriptionResponse","data":{"method":"subscribe"}}"#, NOW),
    ];
    for outcome in quiet {
        assert_eq!(outcome, Ok(Parsed::default()));
    }
    let foreign = bybit::message(&[bybit_linear()], sample("bybit liquidations").body.as_bytes(), NOW).unwrap();
    assert_eq!((foreign.rows.len(), foreign.foreign), (0, 2), "what was not asked about is counted");
}

/// The margin tiers of every contract of Binance, where the recorded data is at hand; it is no part of the repository.
#[test]
fn every_recorded_table_of_tiers_is_one_without_jumps() {
    let beside = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("TIDEGATE_DATA").map_or(beside, std::path::PathBuf::from);
    let Ok(text) = std::fs::read(folder.join("margin_tiers/binance_usdm_2026-09.json")) else {
        println!("skipped: no real data at {}; TIDEGATE_DATA names its folder", folder.display());
        return;
    };
    let recorded: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
    let (mut read, mut continuous) = (0, 0);
    for tiers in recorded.values() {
        let brackets: Vec<&Value> = tiers.as_array().unwrap().iter().map(|tier| &tier["info"]).collect();
        let reply = json!([{ "symbol": "BTCUSDT", "brackets": brackets }]).to_string();
        let parsed = binance::tiers(&usdm(), reply.as_bytes(), NOW).unwrap();
        assert_eq!(parsed.rejects, [], "{reply}");
        let (_, table) = only!(parsed.rows, Tiers)[0];
        let rows = table.tiers.rows();
        assert_eq!(rows.len(), brackets.len());
        let bare: Vec<_> =
            rows.iter().map(|tier| (tier.floor, tier.maintenance_margin_rate, tier.max_leverage)).collect();
        read += 1;
        continuous += usize::from(Tiers::continuous(&bare).unwrap() == table.tiers);
    }
    println!("{read} tables of tiers read, {continuous} of them without a jump");
    assert!(read > 900 && continuous * 100 >= read * 99, "{continuous} of {read}");
}
