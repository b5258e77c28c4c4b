//! Asked now: what they say, and what they do not.

use serde_json::{Value, json};

use super::{LEVERAGE, MAP, TOLD, VENUES, Venues, contract, has_all, notes, says};
use crate::local::Act;
use crate::local::answers::hour;
use crate::support::{Bed, Ran, table};

#[test]
fn figures_are_those_the_venues_told() {
    let venues = Venues::fair();
    for (venue, told) in VENUES.iter().zip(&TOLD) {
        let bed = Bed::new();
        let report = venues.report(&bed, &MAP, &[venue]);
        has_all(&report, told);
        assert_eq!(table(&report, "contracts").len(), 1, "{venue}");
        let rules = contract(&report, told.0).unwrap()["rules"].as_str().unwrap();
        let is_told = rules == "margin tiers as the venue states them now";
        assert_eq!(is_told, !venue.starts_with("binance"), "{venue}: {rules}");
        if !is_told {
            assert!(
                rules.contains("a flat maintenance rate of 0.5 % and a closing fee of 0.05 % stand for them"),
                "{rules}"
            );
            says(&report, &["margin tiers of BTCUSD", "to the keys of accounts alone"], venue);
        }
        // What can be liquidated is open at that venue: no more than that on a side.
        for row in table(&report, "perps").iter().filter(|row| row["leverage"] == "all") {
            assert!(super::number(&row["notional"]) <= told.3 * 1.6, "{row}");
        }
        has_all(&venues.report(&bed, &LEVERAGE, &[venue]), told);
    }
}

#[test]
fn all_venues_stand_side_by_side() {
    let venues = Venues::fair();
    let bed = Bed::new();
    let report = venues.report(&bed, &MAP, &VENUES);
    TOLD.iter().for_each(|told| has_all(&report, told));
    assert_eq!(table(&report, "contracts").len(), TOLD.len());
    let report = venues.report(&bed, &LEVERAGE, &VENUES);
    TOLD.iter().for_each(|told| has_all(&report, told));
    // 1000 + 24.98… + 42.25 + 330 + 688.11 coins.
    says(
        &report,
        &["Over the 5 contracts asked of which open interest is known: 2085 coins one-sided, 125.1"],
        "in all",
    );
}

/// A fault of one venue, and what is said of it.
struct Fault {
    venue: &'static str,
    act: fn(usize, String) -> Act,
    says: &'static [&'static str],
    is_fair_in_the_end: bool,
}

fn page(status: u16) -> Act {
    let text = "<!DOCTYPE html><html><head><title>Not here</title></head><body>You are blocked</body></html>";
    Act::Status(status, "content-type: text/html\r\n", text.to_owned())
}

fn faults() -> Vec<Fault> {
    let lost = |venue, act, says| Fault { venue, act, says, is_fair_in_the_end: false };
    let fair = |venue, act| Fault { venue, act, says: &[], is_fair_in_the_end: true };
    vec![
        lost("binance-usdm", |_, _| Act::Status(429, "", String::new()), &["asked too often (429)"]),
        lost(
            "okx",
            |_, _| Act::Status(429, "retry-after: 3600\r\n", String::new()),
            &["asked too often (429); it asks to be left alone for 3600 s"],
        ),
        fair(
            "bybit",
            |before, fair| {
                if before == 0 { Act::Status(429, "retry-after: 1\r\n", String::new()) } else { Act::Say(fair) }
            },
        ),
        lost("binance-coinm", |_, _| Act::Status(418, "", String::new()), &["this address is barred (418)"]),
        lost("bybit", |_, _| page(403), &["refused with status 403", "web page", "country or address is not served"]),
        lost("binance-usdm", |_, _| Act::Status(451, "", String::new()), &["does not serve the country"]),
        lost("okx", |_, _| page(503), &["no reply (status 503", "web page"]),
        lost("okx", |_, _| page(200), &["the reply is not JSON"]),
        fair("okx", |before, fair| if before == 0 { page(502) } else { Act::Say(fair) }),
        lost("bybit", |_, fair| Act::Cut(fair), &["ends before it is complete"]),
        lost(
            "bybit",
            |_, _| Act::Say(r#"{"retCode":10001,"retMsg":"params error","result":{},"time":1}"#.to_owned()),
            &["params error", "10001"],
        ),
        lost(
            "okx",
            |_, _| Act::Say(r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#.to_owned()),
            &["Too Many Requests"],
        ),
        lost(
            "binance-usdm",
            |_, _| Act::Say(r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned()),
            &["Invalid symbol.", "-1121"],
        ),
        lost(
            "binance-coinm",
            |_, _| Act::Status(400, "", r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned()),
            &["refused with status 400", "Invalid symbol.", "-1121"],
        ),
        lost("hyperliquid", |_, _| Act::Say("null".to_owned()), &["another form than documented"]),
        lost("hyperliquid", |_, _| Act::Drop, &["no reply"]),
        fair("hyperliquid", |_, fair| Act::Late(700, fair)),
    ]
}

#[test]
fn a_venue_that_fails_is_named_with_its_reason_and_the_others_stand() {
    for (number, fault) in faults().into_iter().enumerate() {
        let Fault { venue, act, says: said, is_fair_in_the_end } = fault;
        let what = format!("fault {number} of {venue}");
        let part = match venue {
            "binance-usdm" | "binance-coinm" => "exchangeInfo",
            "bybit" => "instruments-info",
            "okx" => "public/instruments",
            _ => "/info",
        };
        let venues = Venues::but(venue, part, act);
        // OKX is the slowest to ask.
        let other = if venue == "bybit" { 4 } else { 2 };
        let asked = [venue, VENUES[other]];
        let told = &TOLD[VENUES.iter().position(|one| *one == venue).unwrap()];
        for command in [&MAP[..], &LEVERAGE] {
            let report = venues.report(&Bed::new(), command, &asked);
            has_all(&report, &TOLD[other]);
            if is_fair_in_the_end {
                has_all(&report, told);
                assert!(!notes(&report).contains(&format!("Not got from {venue}: contracts")), "{what}: {report}");
            } else {
                let named = format!("Not got from {venue}: contracts");
                says(&report, &[&[named.as_str()], said].concat(), &what);
                assert_eq!(table(&report, "contracts").len(), 1, "{what}");
            }
        }
    }
}

#[test]
fn one_answer_that_fails_costs_its_own_figure_alone() {
    for (venue, part, missing, kept) in [
        ("binance-usdm", "fapi/v1/openInterest?", "open interest of BTCUSDT", "mark"),
        ("binance-usdm", "premiumIndex", "prices of BTCUSDT", "open_interest_coins"),
        ("bybit", "risk-limit", "margin tiers of BTCUSDT", "open_interest_coins"),
        ("okx", "public/mark-price", "mark price of BTC-USDT-SWAP", "open_interest_coins"),
        ("okx", "public/funding-rate?", "funding to come of BTC-USDT-SWAP", "mark"),
        ("hyperliquid", "candleSnapshot", "candles of BTC", "mark"),
    ] {
        let venues = Venues::but(venue, part, |_, _| page(500));
        let told = &TOLD[VENUES.iter().position(|one| *one == venue).unwrap()];
        // Without candles there is no map; the other venue's stands.
        let other = if venue == "bybit" { "hyperliquid" } else { "bybit" };
        let report = venues.report(&Bed::new(), &MAP, &[venue, other]);
        says(&report, &[&format!("Not got from {venue}: {missing}: no reply (status 500")], venue);
        let row = contract(&report, told.0).unwrap();
        assert!(!row[kept].is_null(), "{row}");
        let told_open = &row["open_interest_coins"];
        assert_eq!(
            told_open == told.2,
            part != "fapi/v1/openInterest?",
            "the past's stands in where there is one: {row}"
        );
    }
}

/// Where the list of a reply is.
fn list(value: &mut Value) -> &mut Vec<Value> {
    let place =
        ["/result/list", "/data", ""].into_iter().find(|place| value.pointer(place).is_some_and(Value::is_array));
    value.pointer_mut(place.unwrap()).unwrap().as_array_mut().unwrap()
}

/// Who is asked what, what is changed in the reply, what is said of it, and which figure is not shown then.
type Case = (&'static str, &'static str, fn(&mut Value), &'static [&'static str], &'static str);

fn impossible() -> [Case; 9] {
    [
        (
            "binance-usdm",
            "premiumIndex",
            |v| v["markPrice"] = json!("0"),
            &["1 implausible", "the mark price is 0, not above 0"],
            "mark",
        ),
        (
            "okx",
            "mark-price?",
            |v| v["data"][0]["markPx"] = json!("-1"),
            &["the mark price is -1, not above 0"],
            "mark",
        ),
        (
            "bybit",
            "tickers",
            |v| v["result"]["list"][0]["openInterest"] = json!("-5"),
            &["open interest is -2.50, below 0"],
            "mark",
        ),
        (
            "hyperliquid",
            "metaAndAssetCtxs",
            |v| v[1][0]["openInterest"] = json!("-688"),
            &["open interest is -688, below 0"],
            "open_interest_coins",
        ),
        (
            "bybit",
            "orderbook",
            |v| v["result"]["b"] = json!([["60012", "1"]]),
            &["the book is crossed: a bid of 60012 and an ask of 60011"],
            "",
        ),
        (
            "binance-usdm",
            "/klines",
            |v| v[5][2] = json!("1"),
            &["1 implausible", "cross: open, high, low, close", "candles of BTCUSDT: 1 of 7"],
            "",
        ),
        (
            "binance-usdm",
            "openInterestHist",
            |v| drop(list(v).drain(10..20)),
            &["open interest of the past of BTCUSDT: 10 of "],
            "",
        ),
        ("bybit", "risk-limit", |v| v["result"]["list"] = json!([]), &["there is no tier"], ""),
        (
            "bybit",
            "tickers",
            |v| {
                v["time"] = json!(hour(30));
            },
            &["its mark price is of", "min before", "its clock is", "behind this machine's"],
            "",
        ),
    ]
}

#[test]
fn what_cannot_be_is_told_and_not_shown() {
    for (venue, part, change, said, gone) in impossible() {
        let venues = Venues::changed(venue, part, change);
        let told = &TOLD[VENUES.iter().position(|one| *one == venue).unwrap()];
        let other = if venue == "hyperliquid" { "bybit" } else { "hyperliquid" };
        let report = venues.report(&Bed::new(), &MAP, &[venue, other]);
        says(&report, said, &format!("{venue} {part}"));
        let row = contract(&report, told.0);
        if gone.is_empty() {
            assert!(row.is_some_and(|row| !row["mark"].is_null()), "{venue} {part}: {report}");
        } else {
            assert!(row.is_none_or(|row| row[gone].is_null()), "{venue} {part}: {row:?}");
        }
    }
}

#[test]
fn the_order_of_candles_is_of_no_matter() {
    let rest = |report: &Value| (table(report, "perps").to_vec(), table(report, "coverage").to_vec());
    for (venue, part) in
        [("bybit", "kline"), ("okx", "candles"), ("binance-usdm", "lines"), ("hyperliquid", "candleSnapshot")]
    {
        let fair = Venues::fair().report(&Bed::new(), &MAP, &[venue]);
        let shuffled = Venues::changed(venue, part, |value| {
            let rows = list(value);
            rows.reverse();
            rows.swap(3, 40);
            // And one of them twice.
            rows.push(rows[7].clone());
        });
        let found = shuffled.report(&Bed::new(), &MAP, &[venue]);
        assert_eq!(rest(&found), rest(&fair), "{venue}");
    }
}

#[test]
fn what_is_not_there_is_refused_with_what_helps() {
    let venues = Venues::fair();
    let bed = Bed::new();
    let run = |command: &[&str], asked: &[&str]| {
        let args = venues.args(command, asked);
        bed.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let ran: Ran = run(&["map", "NOSUCH"], &VENUES);
    let each: Vec<String> =
        VENUES.iter().map(|venue| format!("Not got from {venue}: contracts: {venue} has no perpetual")).collect();
    let mut all: Vec<&str> = each.iter().map(String::as_str).collect();
    all.extend(["nothing can be mapped for NOSUCH", "1000PEPE"]);
    ran.refused("no such coin", &all);
    run(&["leverage", "NOSUCH"], &["bybit"])
        .refused("no such coin", &["nothing is known of the leverage in NOSUCH", "1000PEPE"]);
    run(&MAP, &["mtgox"]).refused("no such venue", &["\"mtgox\" is no venue", "binance-usdm", "hyperliquid"]);
    // What is typed in small letters is the same coin.
    let report = venues.report(&bed, &["leverage", "btc"], &["hyperliquid"]);
    has_all(&report, &TOLD[4]);
    let empty = Venues::changed("okx", "public/instruments", |value| value["data"] = json!([]));
    let args = empty.args(&MAP, &["okx"]);
    bed.run(&args.iter().map(String::as_str).collect::<Vec<_>>())
        .refused("an empty list", &["okx has no perpetual contract of it"]);
}

#[test]
fn open_interest_of_the_present_alone_is_said() {
    let report = Venues::fair().report(&Bed::new(), &MAP, &["hyperliquid"]);
    says(&report, &["supposed to have been the same", "(estimated, the venues asked)"], "hyperliquid tells no past");
    let reached = table(&report, "perps").iter().find(|row| {
        row["side"] == "long" && row["leverage"] == "all" && row["price"].as_str().unwrap().starts_with("54018")
    });
    let found = super::number(&reached.unwrap()["notional"]);
    assert!(found > 0.0 && found < 41_300_362.2, "{found}");
}
