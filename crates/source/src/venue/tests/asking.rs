//! Asking a venue that behaves, and one that does not.

use std::sync::LazyLock;
use std::time::Duration;

use protocol::Address;
use protocol::perp::{Kind, Observed, Series};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Venue;
use serde_json::{Value, json};

use super::decimal;
use super::samples::{ALL, META, okx_linear};
use super::server::{Act, Server};
use crate::venue::client::{self, Ask};
use crate::venue::{Client, Failure, Interval, Missing, Options, Places, Snapshot, Unread, Window, accounts, snapshot};

fn ask(path: &str, keep: Option<Duration>) -> Ask {
    Ask { path: path.to_owned(), body: None, weight: 1, keep }
}

const DAY: Option<Duration> = Some(Duration::from_secs(86_400));

/// What comes of a question that is answered by these acts, one after the other, the last for ever.
async fn outcome(venue: Venue, acts: Vec<Act>, options: Options) -> (Result<String, Failure>, usize) {
    let server = Server::start(move |_, before| acts[before.min(acts.len() - 1)].clone()).await;
    let reply = server.client_with(options).ask(venue, &ask("/x", None)).await;
    (reply.map(|reply| String::from_utf8(reply.body).unwrap()), server.asked().len())
}

fn good() -> Act {
    Act::Say("[1]".to_owned())
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let page = "<html>Bad Gateway</html>".to_owned();
    for (name, acts, expected, asked) in [
        ("fair", vec![good()], true, 1),
        ("drop, then fair", vec![Act::Drop, good()], true, 2),
        ("cut, then fair", vec![Act::Cut("[12345678]".to_owned()), good()], true, 2),
        ("stall, then fair", vec![Act::Stall("[12345678]".to_owned()), good()], true, 2),
        ("502, then fair", vec![Act::Status(502, "", page.clone()), good()], true, 2),
        ("always 503", vec![Act::Status(503, "", page.clone())], false, 3),
        ("always cut", vec![Act::Cut("[12345678]".to_owned())], false, 3),
        ("a page in place of a reply", vec![Act::Say(page.clone()), good()], false, 1),
        ("400", vec![Act::Status(400, "", r#"{"code":-1121,"msg":"Invalid symbol."}"#.to_owned()), good()], false, 1),
        ("451", vec![Act::Status(451, "", "Eligibility".to_owned()), good()], false, 1),
        ("a redirect", vec![Act::Status(302, "location: /y\r\n", String::new()), good()], false, 1),
    ] {
        let (found, count) = outcome(Venue::BinanceUsdm, acts, Options::default()).await;
        assert_eq!((found.is_ok(), count), (expected, asked), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn a_reply_without_end_is_not_read() {
    let options = Options { max_reply_bytes: 1 << 20, ..Options::default() };
    let (found, asked) = outcome(Venue::Okx, vec![Act::Flood(100 << 20)], options).await;
    assert!(matches!(&found, Err(Failure::Unread(Unread::OtherForm(what))) if what.contains("1048576")), "{found:?}");
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn a_venue_that_asks_to_be_left_alone_is() {
    let busy = || Act::Status(429, "retry-after: 1\r\n", r#"{"code":-1003,"msg":"Too many requests"}"#.to_owned());
    let start = std::time::Instant::now();
    let (found, asked) = outcome(Venue::BinanceUsdm, vec![busy(), good()], Options::default()).await;
    assert_eq!((found, asked), (Ok("[1]".to_owned()), 2));
    assert!(start.elapsed() >= Duration::from_secs(1), "it waits as long as it is told to");

    for (venue, act, wait) in [
        (Venue::BinanceUsdm, Act::Status(429, "retry-after: 60\r\n", String::new()), 60),
        (Venue::BinanceUsdm, Act::Status(418, "retry-after: 7200\r\n", String::new()), 7_200),
        (Venue::BinanceCoinm, Act::Status(418, "", String::new()), 120),
        (Venue::Bybit, Act::Status(403, "", "access too frequent. Please try again in 5 minutes.".to_owned()), 600),
        (Venue::Okx, Act::Say(r#"{"code":"50011","msg":"Too Many Requests","data":[]}"#.to_owned()), 5),
        (Venue::Bybit, Act::Say(r#"{"retCode":10006,"retMsg":"Too many visits!","result":{},"time":1}"#.to_owned()), 5),
        (Venue::Hyperliquid, Act::Status(429, "retry-after: 9\r\n", String::new()), 9),
    ] {
        let server = Server::start(move |_, _| act.clone()).await;
        let client = server.client();
        for attempt in 0..3 {
            let found = client.ask(venue, &ask("/x", None)).await;
            let Err(Failure::Busy { wait: left, .. }) = &found else { panic!("{venue}: {found:?}") };
            assert!(left.as_secs() <= wait && left.as_secs() + 5 > wait, "{venue}: {left:?}");
            assert!(found.unwrap_err().is_transient(), "{attempt}");
        }
        assert_eq!(server.asked().len(), 1, "{venue} is not asked again");
    }
}

#[tokio::test]
async fn an_address_whose_weight_is_used_up_is_left_alone_until_the_next_minute() {
    let used = "x-mbx-used-weight-1m: 2300\r\n";
    let server = Server::start(move |_, _| Act::Status(200, used, "[1]".to_owned())).await;
    let client = server.client_with(Options { patience: Duration::ZERO, ..Options::default() });
    assert!(client.ask(Venue::BinanceUsdm, &ask("/x", None)).await.is_ok());
    // Unless the minute ends just now.
    if client::now().second().rem_euclid(60) < 56 {
        let found = client.ask(Venue::BinanceUsdm, &ask("/x", None)).await;
        assert!(matches!(found, Err(Failure::Busy { .. })), "{found:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_rarely_changes_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { cache: Some(folder.path().to_owned()), ..Options::default() };
    let server = Server::start(|_, before| if before == 0 { good() } else { Act::Drop }).await;
    for _ in 0..3 {
        let reply = server.client_with(options()).ask(Venue::Bybit, &ask("/tiers", DAY)).await.unwrap();
        assert_eq!((reply.body.as_slice(), reply.instead_of), (b"[1]".as_slice(), None));
    }
    assert_eq!(server.times("/tiers"), 1, "by one client after the other");
    let reply = server.client_with(options()).ask(Venue::Bybit, &ask("/tiers", Some(Duration::ZERO))).await.unwrap();
    assert!(matches!(reply.instead_of, Some(Failure::Unreachable(_))), "an older one is better than none, and says so");
    assert_eq!(server.times("/tiers"), 4);
    let found = server.client_with(options()).ask(Venue::Bybit, &ask("/tiers", None)).await;
    assert!(found.is_err(), "what is of a moment is never taken from there: {found:?}");
}

#[test]
fn a_place_that_is_none_is_refused() {
    for place in ["ftp://x", "wss://x", "fapi.binance.com", ""] {
        let places = Places { okx: place.to_owned(), ..Places::default() };
        assert!(Client::new(&places, Options::default()).is_err(), "{place}");
    }
    assert!(Client::new(&Places::default(), Options::default()).is_ok());
}

/// The moment some hours before this one began, in milliseconds; the same for as long as the tests run.
fn hour(number: i64) -> i64 {
    static THIS: LazyLock<i64> = LazyLock::new(|| client::now().0 / HOUR_US);
    (*THIS - number) * HOUR_US / 1_000
}

fn numbers(question: &str) -> Option<(i64, i64)> {
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
    let (from, to) = numbers(question).unwrap();
    (0..200).rev().map(hour).filter(|time| (from..=to).contains(time)).collect()
}

fn rows(question: &str, row: impl Fn(i64) -> Value) -> Value {
    hours(question).into_iter().map(row).collect()
}

/// A venue that has everything it documents, of the last two hundred hours.
fn venue(question: &str) -> Value {
    let path = question.split(['?', ' ']).next().unwrap();
    let answer = [binance, bybit, okx, hyperliquid].iter().find_map(|answer| answer(path, question));
    answer.unwrap_or_else(|| panic!("nobody documents {question}"))
}

fn binance(path: &str, question: &str) -> Option<Value> {
    Some(match path {
        "/fapi/v1/exchangeInfo" => {
            json!({ "symbols": [{ "symbol": "BTCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
            "baseAsset": "BTC", "quoteAsset": "USDT" }] })
        }
        "/fapi/v1/fundingInfo" => json!([{ "symbol": "BTCUSDT", "fundingIntervalHours": 4 }]),
        "/fapi/v1/premiumIndex" => json!({ "symbol": "BTCUSDT", "markPrice": "60000", "indexPrice": "60001",
            "lastFundingRate": "0.0001", "nextFundingTime": hour(-1), "time": client::now().0 / 1_000 + 90_000 }),
        "/fapi/v1/openInterest" => json!({ "symbol": "BTCUSDT", "openInterest": "1000", "time": hour(0) }),
        "/fapi/v1/depth" => json!({ "E": hour(0), "bids": [["59999", "1"]], "asks": [["60001", "1"]] }),
        "/fapi/v1/klines" | "/fapi/v1/markPriceKlines" => {
            rows(question, |time| json!([time, "1", "3", "1", "2", "10", time + 3_599_999, "20", 3, "4", "8", "0"]))
        }
        "/futures/data/openInterestHist" => rows(
            question,
            |time| json!({ "symbol": "BTCUSDT", "sumOpenInterest": "10", "sumOpenInterestValue": "600000", "timestamp": time }),
        ),
        "/fapi/v1/fundingRate" => {
            rows(question, |time| json!({ "symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingTime": time }))
        }
        _ => return None,
    })
}

fn bybit(path: &str, question: &str) -> Option<Value> {
    let text = |time: i64| time.to_string();
    let bybit =
        |result: Value| json!({ "retCode": 0, "retMsg": "OK", "result": result, "time": client::now().0 / 1_000 });
    let listed = |list: Value| bybit(json!({ "category": "linear", "symbol": "BTCUSDT", "list": list }));
    Some(match path {
        "/v5/market/instruments-info" => {
            listed(json!([{ "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading",
            "baseCoin": "BTC", "quoteCoin": "USDT", "fundingInterval": 480 }]))
        }
        "/v5/market/tickers" => {
            listed(json!([{ "symbol": "BTCUSDT", "markPrice": "60000", "indexPrice": "60001", "openInterest": "10",
            "fundingRate": "0.0001", "nextFundingTime": text(hour(-1)) }]))
        }
        "/v5/market/orderbook" => {
            bybit(json!({ "s": "BTCUSDT", "a": [["60001", "1"]], "b": [["59999", "1"]], "ts": hour(0) }))
        }
        "/v5/market/risk-limit" => {
            listed(json!([{ "symbol": "BTCUSDT", "riskLimitValue": "2000000", "maintenanceMargin": "0.005",
            "initialMargin": "0.01", "maxLeverage": "100.00", "mmDeduction": "" }]))
        }
        "/v5/market/kline" => listed(rows(question, |time| json!([text(time), "1", "3", "1", "2", "10", "20"]))),
        "/v5/market/mark-price-kline" => listed(rows(question, |time| json!([text(time), "1", "3", "1", "2"]))),
        "/v5/market/open-interest" => {
            listed(rows(question, |time| json!({ "openInterest": "10", "timestamp": text(time) })))
        }
        "/v5/market/funding/history" => listed(rows(
            question,
            |time| json!({ "symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": text(time) }),
        )),
        _ => return None,
    })
}

fn okx(path: &str, question: &str) -> Option<Value> {
    let text = |time: i64| time.to_string();
    let okx = |data: Value| json!({ "code": "0", "msg": "", "data": data });
    Some(match path {
        "/api/v5/public/instruments" => {
            okx(json!([{ "instType": "SWAP", "instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "ctVal": "0.01",
            "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "state": "live" }]))
        }
        "/api/v5/public/mark-price" => {
            okx(json!([{ "instId": "BTC-USDT-SWAP", "markPx": "60000", "ts": text(hour(0)) }]))
        }
        "/api/v5/market/index-tickers" => okx(json!([{ "instId": "BTC-USDT", "idxPx": "60000", "ts": text(hour(0)) }])),
        "/api/v5/public/open-interest" => okx(
            json!([{ "instId": "BTC-USDT-SWAP", "oi": "1000", "oiCcy": "10", "oiUsd": "600000", "ts": text(hour(0)) }]),
        ),
        "/api/v5/public/funding-rate" => {
            okx(json!([{ "instId": "BTC-USDT-SWAP", "fundingRate": "0.0001", "ts": text(hour(0)),
            "fundingTime": text(hour(-1)), "nextFundingTime": text(hour(-9)) }]))
        }
        "/api/v5/market/books" => okx(json!([{ "asks": [["60001", "1", "0", "1"]], "bids": [["59999", "1", "0", "1"]],
            "ts": text(hour(0)) }])),
        "/api/v5/public/position-tiers" => {
            okx(json!([{ "minSz": "0", "maxSz": "500", "mmr": "0.004", "maxLever": "100", "tier": "1" }]))
        }
        "/api/v5/public/liquidation-orders" => okx(json!([{ "instId": "BTC-USDT-SWAP", "details": [
            { "bkPx": "59000", "posSide": "long", "side": "sell", "sz": "100", "ts": text(hour(3)) }] }])),
        "/api/v5/market/history-candles" => {
            okx(rows(question, |time| json!([text(time), "1", "3", "1", "2", "1000", "10", "20", "1"])))
        }
        "/api/v5/market/history-mark-price-candles" => {
            okx(rows(question, |time| json!([text(time), "1", "3", "1", "2", "1"])))
        }
        "/api/v5/rubik/stat/contracts/open-interest-history" => {
            okx(rows(question, |time| json!([text(time), "1000", "10", "600000"])))
        }
        "/api/v5/rubik/stat/taker-volume-contract" => okx(rows(question, |time| json!([text(time), "6", "4"]))),
        "/api/v5/public/funding-rate-history" => okx(rows(
            question,
            |time| json!({ "instId": "BTC-USDT-SWAP", "fundingRate": "0.0001", "realizedRate": "0.0001", "fundingTime": text(time) }),
        )),
        _ => return None,
    })
}

fn hyperliquid(path: &str, question: &str) -> Option<Value> {
    Some(match path {
        "/info" if question.contains("metaAndAssetCtxs") => serde_json::from_str(META).unwrap(),
        "/info" if question.contains("l2Book") => {
            json!({ "coin": "BTC", "time": hour(0), "levels": [[{ "px": "94", "sz": "1", "n": 1 }], [{ "px": "95", "sz": "1", "n": 1 }]] })
        }
        "/info" if question.contains("candleSnapshot") => rows(
            question,
            |time| json!({ "t": time, "T": time + 3_599_999, "s": "BTC", "i": "1h", "o": "1", "h": "3", "l": "1", "c": "2", "v": "10", "n": 1 }),
        ),
        "/info" if question.contains("fundingHistory") => {
            rows(question, |time| json!({ "coin": "BTC", "fundingRate": "0.0000125", "premium": "0", "time": time }))
        }
        _ => return None,
    })
}

fn window(hours: i64) -> Window {
    let until = TimeUs(hour(0) * 1_000);
    Window { from: TimeUs(until.0 - hours * HOUR_US), until, interval: Interval::H1 }
}

async fn of(name: Venue, server: &Server, hours: i64) -> Snapshot {
    snapshot(&server.client(), name, "BTC", window(hours)).await
}

fn count(snapshot: &Snapshot, kind: Kind) -> usize {
    snapshot.observations.iter().filter(|row| row.fact.kind() == kind).count()
}

const REPORTED: [(Venue, [usize; 7]); 4] = [
    // Candles, open interest, prices, funding, liquidations, depth, tiers; of 150 hours.
    (Venue::BinanceUsdm, [300, 151, 1, 151, 0, 1, 0]),
    (Venue::Bybit, [300, 151, 1, 151, 0, 1, 1]),
    (Venue::Okx, [300, 151, 2, 151, 1, 1, 1]),
    (Venue::Hyperliquid, [150, 1, 1, 151, 0, 1, 1]),
];

#[tokio::test]
async fn a_snapshot_is_all_that_a_venue_tells() {
    for (name, expected) in REPORTED {
        let server = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
        let snapshot = of(name, &server, 150).await;
        let kinds = [
            Kind::Candles,
            Kind::OpenInterest,
            Kind::Prices,
            Kind::Funding,
            Kind::Liquidations,
            Kind::Depth,
            Kind::Tiers,
        ];
        assert_eq!(snapshot.rejects, [], "{name}");
        assert_eq!(kinds.map(|kind| count(&snapshot, kind)), expected, "{name}: {:?}", snapshot.missing);
        assert!(
            snapshot.missing.iter().all(|missing| matches!(missing.why, Failure::NotPublic(_) | Failure::NotTold(_)))
        );
        assert!(snapshot.observations.is_sorted_by_key(protocol::perp::Observation::key), "{name}");
        assert_eq!(snapshot.instruments.len(), 1, "{name}");
        let lacks = |what: &str| snapshot.missing.iter().any(|missing| missing.what == what);
        assert_eq!(lacks("margin tiers"), name == Venue::BinanceUsdm, "{name}");
        assert_eq!(lacks("what buyers took"), matches!(name, Venue::Bybit | Venue::Hyperliquid), "{name}");
        let taken = snapshot.observations.iter().filter_map(|row| {
            let Observed::Candle(candle) = &row.fact else { return None };
            (candle.series == Series::Trade).then_some(candle.taker_buy)
        });
        let told = !lacks("what buyers took");
        assert!(taken.into_iter().all(|taken| taken == told.then(|| decimal("4"))), "{name}");
    }
}

#[tokio::test]
async fn one_question_that_fails_costs_its_own_answer_alone() {
    let page = || Act::Status(500, "", "<html>".to_owned());
    for (name, part, kind, what) in [
        (Venue::BinanceUsdm, "openInterestHist", Kind::OpenInterest, "open interest of the past"),
        (Venue::BinanceUsdm, "/klines", Kind::Candles, "candles"),
        (Venue::Bybit, "tickers", Kind::Prices, "prices and open interest"),
        (Venue::Okx, "position-tiers", Kind::Tiers, "margin tiers"),
        (Venue::Hyperliquid, "l2Book", Kind::Depth, "order book"),
    ] {
        let server =
            Server::start(
                move |question, _| {
                    if question.contains(part) { page() } else { Act::Say(venue(question).to_string()) }
                },
            )
            .await;
        let whole = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
        let (found, whole) = (of(name, &server, 20).await, of(name, &whole, 20).await);
        let lacking: Vec<&Missing> = found.missing.iter().filter(|missing| missing.why.is_transient()).collect();
        assert_eq!(lacking.iter().map(|missing| missing.what).collect::<Vec<_>>(), [what], "{name}");
        assert!(count(&found, kind) < count(&whole, kind), "{name}: {part}");
        let others = [Kind::Candles, Kind::Prices, Kind::OpenInterest, Kind::Funding, Kind::Depth, Kind::Tiers];
        for other in others.into_iter().filter(|other| *other != kind && part != "tickers") {
            assert_eq!(count(&found, other), count(&whole, other), "{name}: {part} has no part in {other}");
        }
    }
}

#[tokio::test]
async fn a_venue_that_cannot_be_reached_is_a_reason_and_no_panic() {
    for name in Venue::ALL {
        let server = Server::start(|_, _| Act::Drop).await;
        let snapshot = of(name, &server, 20).await;
        assert!(
            snapshot.instruments.is_empty() && snapshot.observations.is_empty() && !snapshot.missing.is_empty(),
            "{name}"
        );
    }
    let server = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
    let none = snapshot(&server.client(), Venue::Okx, "NOSUCH&coin", window(20)).await;
    assert!(
        matches!(&none.missing[..], [Missing { what: "contracts", why: Failure::NotTold(_), .. }]),
        "{:?}",
        none.missing
    );
}

#[tokio::test]
async fn candles_that_are_lacking_are_counted_and_doubled_ones_are_one() {
    let server = Server::start(|question, _| {
        let mut value = venue(question);
        if question.contains("/klines") {
            let rows = value.as_array_mut().unwrap();
            rows.drain(3..5);
            rows.push(rows[0].clone());
            rows.reverse();
        }
        Act::Say(value.to_string())
    })
    .await;
    let snapshot = of(Venue::BinanceUsdm, &server, 20).await;
    assert_eq!(count(&snapshot, Kind::Candles), 18 + 20);
    let lacking: Vec<_> = snapshot.missing.iter().filter(|missing| missing.what == "candles").collect();
    assert_eq!(lacking.len(), 1);
    assert!(lacking[0].why.to_string().contains("2 of 20"), "{:?}", lacking[0]);
}

#[tokio::test]
async fn a_clock_that_differs_is_said() {
    let server = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
    let skew = of(Venue::BinanceUsdm, &server, 20).await.clock.unwrap();
    assert!((85_000_000..91_000_000).contains(&skew), "the venue is a minute and a half ahead: {skew}");
    let server = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
    assert_eq!(of(Venue::Hyperliquid, &server, 20).await.clock, None, "it states no time");
}

#[tokio::test]
async fn a_past_longer_than_the_venue_keeps_is_said() {
    let server = Server::start(|question, _| Act::Say(venue(question).to_string())).await;
    let snapshot = of(Venue::BinanceUsdm, &server, 40 * 24).await;
    let said = snapshot.missing.iter().find(|missing| missing.what == "open interest of the past").unwrap();
    assert!(said.why.to_string().contains("30 days"), "{said:?}");
    let asked = server.asked();
    let earliest =
        asked.iter().filter(|question| question.contains("openInterestHist")).map(|q| numbers(q).unwrap().0).min();
    assert!(earliest.unwrap() > hour(30 * 24), "and no more is asked for");
    assert_eq!(okx_linear().base, snapshot.coin);
}

#[tokio::test]
async fn an_account_that_cannot_be_read_leaves_the_others() {
    let state = ALL.iter().find(|sample| sample.name == "hyperliquid account").unwrap().body;
    let bad = Address::repeat_byte(2);
    let server = Server::start(move |question, _| {
        if question.contains(&format!("{bad:#x}")) { Act::Say("null".to_owned()) } else { Act::Say(state.to_owned()) }
    })
    .await;
    let asked = [1, 2, 3].map(Address::repeat_byte);
    let told = accounts(&server.client(), &asked).await;
    let whose: Vec<Address> = told
        .positions
        .iter()
        .filter_map(|row| {
            let Observed::Position(position) = &row.fact else { return None };
            Some(position.account)
        })
        .collect();
    assert_eq!(whose, [asked[0], asked[0], asked[2], asked[2]]);
    assert!(matches!(&told.missing[..], [(account, Failure::Unread(_))] if *account == bad), "{:?}", told.missing);
}
