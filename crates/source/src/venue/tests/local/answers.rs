//! What venues answer over REST, in the formats they document, of the last thousand hours of BTC.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// What every question is answered with that the venues document. A question is a path and, behind a space, what was posted.
pub(crate) fn answer(question: &str) -> Value {
    let path = question.split(['?', ' ']).next().unwrap();
    let known = [binance_usdm, binance_coinm, bybit, okx, hyperliquid].iter().find_map(|answer| answer(path, question));
    known.unwrap_or_else(|| panic!("nobody documents {question}"))
}

/// Milliseconds since 1970.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// The moment some hours before this one began, in milliseconds; the same for as long as the tests run.
pub(crate) fn hour(number: i64) -> i64 {
    static THIS: LazyLock<i64> = LazyLock::new(|| now() / 3_600_000);
    (*THIS - number) * 3_600_000
}

/// The first and last millisecond that a question is about.
pub(crate) fn asked_about(question: &str) -> Option<(i64, i64)> {
    let number = |name: &str| {
        let at = question.find(name)? + name.len();
        let digits: String = question[at..].chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<i64>().ok()
    };
    let either = |names: &[&str]| names.iter().find_map(|name| number(name));
    if let (Some(before), Some(after)) = (number("before="), number("after=")) {
        // OKX leaves both ends out.
        return Some((before + 1, after - 1));
    }
    let from = either(&["startTime=", "start=", "begin=", "\"startTime\":"])?;
    Some((from, either(&["endTime=", "end=", "\"endTime\":"])?))
}

/// The hours a question is about, the oldest first.
fn hours(question: &str) -> Vec<i64> {
    let (from, to) = asked_about(question).unwrap();
    (0..1_000).rev().map(hour).filter(|time| (from..=to).contains(time)).collect()
}

fn rows(question: &str, row: impl Fn(i64) -> Value) -> Value {
    hours(question).into_iter().map(row).collect()
}

fn binance_usdm(path: &str, question: &str) -> Option<Value> {
    Some(match path {
        "/fapi/v1/exchangeInfo" => {
            json!({ "symbols": [{ "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
            "baseAsset": "BTC", "quoteAsset": "USDT" }] })
        }
        "/fapi/v1/fundingInfo" => json!([{ "symbol": "BTCUSDT", "fundingIntervalHours": 4 }]),
        "/fapi/v1/premiumIndex" => json!({ "symbol": "BTCUSDT", "markPrice": "60000", "indexPrice": "60001",
            "lastFundingRate": "0.0001", "nextFundingTime": hour(-1), "time": now() + 90_000 }),
        "/fapi/v1/openInterest" => json!({ "symbol": "BTCUSDT", "openInterest": "1000", "time": now() }),
        "/fapi/v1/depth" => json!({ "E": hour(0), "bids": [["59999", "1"]], "asks": [["60001", "1"]] }),
        "/fapi/v1/klines" | "/fapi/v1/markPriceKlines" => rows(question, |time| {
            json!([time, "60000", "60300", "59700", "60000", "10", time + 3_599_999, "600000", 3, "4", "240000", "0"])
        }),
        "/futures/data/openInterestHist" if !question.contains("pair=") => rows(
            question,
            |time| json!({ "symbol": "BTCUSDT", "sumOpenInterest": "990", "sumOpenInterestValue": "59400000", "timestamp": time }),
        ),
        "/fapi/v1/fundingRate" => {
            rows(question, |time| json!({ "symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": time }))
        }
        _ => return None,
    })
}

/// Sizes in contracts of 100 dollars.
fn binance_coinm(path: &str, question: &str) -> Option<Value> {
    Some(match path {
        "/dapi/v1/exchangeInfo" => {
            json!({ "symbols": [{ "symbol": "BTCUSD_PERP", "pair": "BTCUSD", "contractType": "PERPETUAL",
            "contractStatus": "TRADING", "baseAsset": "BTC", "quoteAsset": "USD", "contractSize": 100 }] })
        }
        "/dapi/v1/fundingInfo" => json!([]),
        "/dapi/v1/premiumIndex" => json!([{ "symbol": "BTCUSD_PERP", "pair": "BTCUSD", "markPrice": "60050",
            "indexPrice": "60001", "lastFundingRate": "0.0002", "nextFundingTime": hour(-1), "time": now() }]),
        "/dapi/v1/openInterest" => json!({ "symbol": "BTCUSD_PERP", "pair": "BTCUSD", "openInterest": "15004",
            "contractType": "PERPETUAL", "time": now() }),
        "/dapi/v1/depth" => json!({ "E": hour(0), "bids": [["60049", "10"]], "asks": [["60051", "10"]] }),
        "/dapi/v1/klines" | "/dapi/v1/markPriceKlines" => rows(question, |time| {
            json!([time, "60050", "60350", "59750", "60050", "6005", time + 3_599_999, "10", 3, "2402", "4", "0"])
        }),
        "/futures/data/openInterestHist" => rows(
            question,
            |time| json!({ "pair": "BTCUSD", "contractType": "PERPETUAL", "sumOpenInterest": "15000", "sumOpenInterestValue": "24.9", "timestamp": time }),
        ),
        "/dapi/v1/fundingRate" => {
            rows(question, |time| json!({ "symbol": "BTCUSD_PERP", "fundingRate": "0.0002", "fundingTime": time }))
        }
        _ => return None,
    })
}

/// Open interest adds both sides up; there is no inverse contract.
fn bybit(path: &str, question: &str) -> Option<Value> {
    let text = |time: i64| time.to_string();
    let bybit = |result: Value| json!({ "retCode": 0, "retMsg": "OK", "result": result, "time": now() });
    let listed = |list: Value| bybit(json!({ "category": "linear", "symbol": "BTCUSDT", "list": list }));
    Some(match path {
        "/v5/market/instruments-info" if question.contains("category=inverse") => {
            bybit(json!({ "category": "inverse", "list": [] }))
        }
        "/v5/market/instruments-info" => {
            listed(json!([{ "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading",
            "baseCoin": "BTC", "quoteCoin": "USDT", "fundingInterval": 480 }]))
        }
        "/v5/market/tickers" => {
            listed(json!([{ "symbol": "BTCUSDT", "markPrice": "60010", "indexPrice": "60001", "openInterest": "84.5",
            "fundingRate": "0.00011", "nextFundingTime": text(hour(-1)) }]))
        }
        "/v5/market/orderbook" => {
            bybit(json!({ "s": "BTCUSDT", "a": [["60011", "1"]], "b": [["60009", "1"]], "ts": hour(0) }))
        }
        "/v5/market/risk-limit" => {
            listed(json!([{ "symbol": "BTCUSDT", "riskLimitValue": "2000000", "maintenanceMargin": "0.005",
            "initialMargin": "0.01", "maxLeverage": "100.00", "mmDeduction": "" }]))
        }
        "/v5/market/kline" => {
            listed(rows(question, |time| json!([text(time), "60010", "60310", "59710", "60010", "10", "600100"])))
        }
        "/v5/market/mark-price-kline" => {
            listed(rows(question, |time| json!([text(time), "60010", "60310", "59710", "60010"])))
        }
        "/v5/market/open-interest" => {
            listed(rows(question, |time| json!({ "openInterest": "80", "timestamp": text(time) })))
        }
        "/v5/market/funding/history" => listed(rows(
            question,
            |time| json!({ "symbol": "BTCUSDT", "fundingRate": "0.00011", "fundingRateTimestamp": text(time) }),
        )),
        _ => return None,
    })
}

/// Sizes in contracts of a hundredth of a coin.
fn okx(path: &str, question: &str) -> Option<Value> {
    let text = |time: i64| time.to_string();
    let okx = |data: Value| json!({ "code": "0", "msg": "", "data": data });
    Some(match path {
        "/api/v5/public/instruments" => {
            okx(json!([{ "instType": "SWAP", "instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "ctVal": "0.01",
            "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "state": "live" }]))
        }
        "/api/v5/public/mark-price" => {
            okx(json!([{ "instId": "BTC-USDT-SWAP", "markPx": "59990", "ts": text(now()) }]))
        }
        "/api/v5/market/index-tickers" => okx(json!([{ "instId": "BTC-USDT", "idxPx": "60001", "ts": text(now()) }])),
        "/api/v5/public/open-interest" => okx(
            json!([{ "instId": "BTC-USDT-SWAP", "oi": "33000", "oiCcy": "330", "oiUsd": "19796700", "ts": text(now()) }]),
        ),
        "/api/v5/public/funding-rate" => {
            okx(json!([{ "instId": "BTC-USDT-SWAP", "fundingRate": "0.00012", "ts": text(now()),
            "fundingTime": text(hour(-1)), "nextFundingTime": text(hour(-9)) }]))
        }
        "/api/v5/market/books" => okx(json!([{ "asks": [["59991", "1", "0", "1"]], "bids": [["59989", "1", "0", "1"]],
            "ts": text(hour(0)) }])),
        "/api/v5/public/position-tiers" => {
            okx(json!([{ "minSz": "0", "maxSz": "500", "mmr": "0.004", "maxLever": "100", "tier": "1" }]))
        }
        "/api/v5/public/liquidation-orders" => okx(json!([{ "instId": "BTC-USDT-SWAP", "details": [
            { "bkPx": "59000", "posSide": "long", "side": "sell", "sz": "100", "ts": text(hour(3)) }] }])),
        "/api/v5/market/history-candles" => okx(rows(question, |time| {
            json!([text(time), "59990", "60290", "59690", "59990", "1000", "10", "599900", "1"])
        })),
        "/api/v5/market/history-mark-price-candles" => {
            okx(rows(question, |time| json!([text(time), "59990", "60290", "59690", "59990", "1"])))
        }
        "/api/v5/rubik/stat/contracts/open-interest-history" => {
            okx(rows(question, |time| json!([text(time), "32000", "320", "19196800"])))
        }
        "/api/v5/rubik/stat/taker-volume-contract" => okx(rows(question, |time| json!([text(time), "6", "4"]))),
        "/api/v5/public/funding-rate-history" => okx(rows(
            question,
            |time| json!({ "instId": "BTC-USDT-SWAP", "fundingRate": "0.00012", "realizedRate": "0.00012", "fundingTime": text(time) }),
        )),
        _ => return None,
    })
}

fn hyperliquid(path: &str, question: &str) -> Option<Value> {
    Some(match path {
        "/info" if question.contains("metaAndAssetCtxs") => json!([
            { "universe": [{ "name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56 }],
              "marginTables": [[56, { "description": "tiered 40x", "marginTiers": [
                  { "lowerBound": "0.0", "maxLeverage": 40 }, { "lowerBound": "150000000.0", "maxLeverage": 20 }] }]],
              "collateralToken": 0 },
            [{ "dayNtlVlm": "1", "funding": "0.0000125", "impactPxs": null, "markPx": "60020", "midPx": "60020",
               "openInterest": "688.11", "oraclePx": "60001", "premium": null, "prevDayPx": "60000" }]
        ]),
        "/info" if question.contains("l2Book") => {
            json!({ "coin": "BTC", "time": hour(0), "levels": [[{ "px": "60019", "sz": "1", "n": 1 }], [{ "px": "60021", "sz": "1", "n": 1 }]] })
        }
        "/info" if question.contains("candleSnapshot") => rows(
            question,
            |time| json!({ "t": time, "T": time + 3_599_999, "s": "BTC", "i": "1h", "o": "60020", "h": "60320", "l": "59720", "c": "60020", "v": "10", "n": 1 }),
        ),
        "/info" if question.contains("fundingHistory") => {
            rows(question, |time| json!({ "coin": "BTC", "fundingRate": "0.0000125", "premium": "0", "time": time }))
        }
        _ => return None,
    })
}
