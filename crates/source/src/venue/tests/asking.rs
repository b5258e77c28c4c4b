//! Asking a venue that behaves, and one that does not.

use std::time::Duration;

use protocol::Address;
use protocol::perp::{Kind, Observed, Series};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Venue;

use super::decimal;
use super::local::answers::{answer, asked_about, hour};
use super::local::{Act, Server};
use super::samples::{ALL, okx_linear};
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
        let server = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
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
                    if question.contains(part) { page() } else { Act::Say(answer(question).to_string()) }
                },
            )
            .await;
        let whole = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
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
    let server = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
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
        let mut value = answer(question);
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
    let server = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
    let skew = of(Venue::BinanceUsdm, &server, 20).await.clock.unwrap();
    assert!((85_000_000..91_000_000).contains(&skew), "the venue is a minute and a half ahead: {skew}");
    let server = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
    assert_eq!(of(Venue::Hyperliquid, &server, 20).await.clock, None, "it states no time");
}

#[tokio::test]
async fn a_past_longer_than_the_venue_keeps_is_said() {
    let server = Server::start(|question, _| Act::Say(answer(question).to_string())).await;
    let snapshot = of(Venue::BinanceUsdm, &server, 40 * 24).await;
    let said = snapshot.missing.iter().find(|missing| missing.what == "open interest of the past").unwrap();
    assert!(said.why.to_string().contains("30 days"), "{said:?}");
    let asked = server.asked();
    let earliest =
        asked.iter().filter(|question| question.contains("openInterestHist")).map(|q| asked_about(q).unwrap().0).min();
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
