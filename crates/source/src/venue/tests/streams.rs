//! Listening to a venue that streams, breaks off, falls silent, and says too much.

use std::time::Duration;

use protocol::perp::{Gap, GapCause, Instrument, Kind, Observation, Observed};
use protocol::venue::{Contract, Side, Venue};
use tokio::net::TcpListener;

use super::local::streamed::{Act, Server};
use super::samples::{ALL, bybit_inverse, bybit_linear, coinm, hype, instrument, okx_linear, usdm};
use crate::venue::client::now;
use crate::venue::stream::{Heard, Options, Report, Streams, listen};
use crate::venue::{Places, hyperliquid};

impl Server {
    fn places(&self) -> Places {
        let url = || self.url.clone();
        Places {
            binance_usdm_stream: url(),
            binance_coinm_stream: url(),
            bybit_linear_stream: url(),
            bybit_inverse_stream: url(),
            okx_stream: url(),
            hyperliquid_stream: url(),
            ..Places::default()
        }
    }

    fn listen(&self, instruments: &[Instrument], options: &Options) -> Streams {
        listen(&self.places(), instruments, &KINDS, options).unwrap()
    }
}

const KINDS: [Kind; 4] = [Kind::Liquidations, Kind::Prices, Kind::Funding, Kind::OpenInterest];

/// Quick to give up and quick to try again.
fn options() -> Options {
    Options {
        connect: Duration::from_secs(5),
        silence: Duration::from_millis(1_500),
        backoff: Duration::from_millis(20),
        ..Options::default()
    }
}

async fn next(streams: &mut Streams) -> Heard {
    tokio::time::timeout(Duration::from_secs(20), streams.next()).await.expect("something is heard in time").unwrap()
}

async fn said(streams: &mut Streams) -> Observation {
    match next(streams).await {
        Heard::Said(row) => row,
        Heard::Rejected(venue, reject) => panic!("{venue}: {reject:?}"),
    }
}

fn liquidation(number: u32) -> String {
    format!(
        r#"{{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":1739502303204,"data":[{{"T":{},"s":"BTCUSDT","S":"Buy","v":"0.{number:03}1","p":"60000"}}]}}"#,
        1_739_502_302_000_u64 + u64::from(number)
    )
}

fn number_of(row: &Observation) -> i64 {
    row.time.0 / 1_000 - 1_739_502_302_000
}

fn gap(row: &Observation) -> Option<&Gap> {
    if let Observed::Gap(gap) = &row.fact { Some(gap) } else { None }
}

#[tokio::test]
async fn each_venue_is_told_what_it_documents_and_heard() {
    let rose = instrument(Venue::Bybit, "ROSEUSDT", Contract::Linear, "1");
    let iost = instrument(Venue::Okx, "IOST-USDT-SWAP", Contract::Linear, "1000");
    for (instruments, sample, asked) in [
        (
            vec![usdm()],
            "binance liquidation",
            r#"{"method":"SUBSCRIBE","params":["btcusdt@forceOrder","btcusdt@markPrice"],"id":1}"#,
        ),
        (
            vec![coinm()],
            "binance coin-m liquidation in a combined stream",
            r#"{"method":"SUBSCRIBE","params":["btcusd_perp@forceOrder","btcusd_perp@markPrice"],"id":1}"#,
        ),
        (
            vec![rose],
            "bybit liquidations",
            r#"{"req_id":"1","op":"subscribe","args":["allLiquidation.ROSEUSDT","tickers.ROSEUSDT"]}"#,
        ),
        (
            vec![iost],
            "okx liquidations of a stream",
            r#"{"op":"subscribe","args":[{"channel":"liquidation-orders","instType":"SWAP"},{"channel":"mark-price","instId":"IOST-USDT-SWAP"},{"channel":"open-interest","instId":"IOST-USDT-SWAP"},{"channel":"funding-rate","instId":"IOST-USDT-SWAP"}]}"#,
        ),
        (
            vec![hype()],
            "hyperliquid state of a stream",
            r#"{"method":"subscribe","subscription":{"type":"activeAssetCtx","coin":"BTC"}}"#,
        ),
    ] {
        let sample = ALL.iter().find(|one| one.name == sample).unwrap();
        let server = Server::start(vec![vec![Act::Say(sample.body.to_owned()), Act::Stay]]).await;
        let mut streams = server.listen(&instruments, &Options::default());
        for _ in 0..sample.rows {
            let row = said(&mut streams).await;
            assert_eq!(row.symbol, instruments[0].symbol, "{}", sample.name);
        }
        assert_eq!(server.sent(), [asked], "{}", sample.name);
        assert!(serde_json::from_str::<serde_json::Value>(asked).is_ok(), "{asked}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_is_mended_and_leaves_a_gap() {
    for (end, cause) in [
        (Act::Drop, GapCause::Disconnected),
        (Act::Close, GapCause::Disconnected),
        (Act::Sleep, GapCause::Silent),
        (Act::Flood(100 << 20), GapCause::Oversized),
    ] {
        let first = vec![Act::Say(liquidation(1)), end.clone()];
        // What was said before the break comes again after it, and is not told twice.
        let second = vec![Act::Say(liquidation(1)), Act::Say(liquidation(2)), Act::Stay];
        let server = Server::start(vec![first, second]).await;
        // Pings that nobody answers must not hide the silence.
        let options = Options { ping: Some(Duration::from_millis(50)), ..options() };
        let mut streams = server.listen(&[bybit_linear()], &options);
        let before = said(&mut streams).await;
        assert_eq!(number_of(&before), 1, "{end:?}");
        let row = said(&mut streams).await;
        let hole = gap(&row).unwrap_or_else(|| panic!("{end:?}: {row:?}"));
        assert_eq!((hole.cause, hole.kinds.as_slice()), (cause, KINDS.as_slice()), "{end:?}");
        assert!(before.received <= row.time && row.time < hole.until, "{end:?}: it begins with what was heard last");
        let after = said(&mut streams).await;
        assert_eq!(number_of(&after), 2, "{end:?}");
        assert!(hole.until <= after.received, "{end:?}");
        let report = streams.report();
        assert_eq!((report.connections, report.repeats), (2, 1), "{end:?}: {report:?}");
    }
}

#[tokio::test]
async fn every_instrument_of_a_connection_has_the_gap() {
    let server =
        Server::start(vec![vec![Act::Say(liquidation(1)), Act::Drop], vec![Act::Say(liquidation(2)), Act::Stay]]).await;
    let other = instrument(Venue::Bybit, "ETHUSDT", Contract::Linear, "1");
    let mut streams = server.listen(&[bybit_linear(), other], &options());
    let mut names = Vec::new();
    for _ in 0..4 {
        let row = said(&mut streams).await;
        names.extend(gap(&row).map(|_| row.symbol.to_string()));
    }
    assert_eq!(names, ["BTCUSDT", "ETHUSDT"]);
}

#[tokio::test]
async fn a_venue_that_is_not_there_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    drop(listener);
    let places = Places { bybit_linear_stream: url, ..Places::default() };
    let mut streams = listen(&places, &[bybit_linear()], &KINDS, &options()).unwrap();
    let waited = tokio::time::timeout(Duration::from_secs(2), streams.next()).await;
    assert!(waited.is_err(), "nothing is heard, and no gap before anything was: {waited:?}");
    let Report { connections, broken, last_break, .. } = streams.report();
    assert_eq!(connections, 0);
    assert!((2..20).contains(&broken), "it is tried again, more and more rarely: {broken}");
    assert!(last_break.is_some_and(|what| what.starts_with("127.0.0.1:")));
}

#[tokio::test]
async fn a_quiet_feed_that_answers_pings_is_no_gap() {
    let server = Server::start(vec![vec![Act::Stay]]).await;
    let options = Options { ping: Some(Duration::from_millis(50)), ..options() };
    let mut streams = server.listen(&[okx_linear()], &options);
    assert!(tokio::time::timeout(Duration::from_secs(4), streams.next()).await.is_err(), "nothing is said");
    assert_eq!(streams.report().connections, 1, "{:?}", streams.report());
    assert!(server.sent().iter().filter(|text| *text == "ping").count() >= 3);
}

#[tokio::test]
async fn whoever_reads_slowly_loses_nothing_and_is_told() {
    let said_at_once: Vec<Act> = (1..=500).map(|number| Act::Say(liquidation(number))).chain([Act::Stay]).collect();
    let server = Server::start(vec![said_at_once]).await;
    let options =
        Options { queue: 4, silence: Duration::from_secs(5), ping: Some(Duration::from_millis(20)), ..options() };
    let mut streams = server.listen(&[bybit_linear()], &options);
    tokio::time::sleep(Duration::from_millis(700)).await;
    let stopped = streams.report();
    assert!(stopped.observations <= 5, "it is read no faster than it is taken: {stopped:?}");
    assert!(server.sent().iter().any(|text| text.contains("ping")), "and the venue is still sent its pings");
    for number in 1..=500 {
        assert_eq!(number_of(&said(&mut streams).await), number);
    }
    let report = streams.report();
    assert!(report.slowed >= Duration::from_millis(300) && report.connections == 1, "{report:?}");
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_and_what_follows_is_heard() {
    let wrong_side = liquidation(7).replace("Buy", "Long");
    let negative = liquidation(7).replace("0.0071", "-1");
    let script = ["not json", "{", "[]", &wrong_side, &negative];
    let foreign = liquidation(7).replace("BTCUSDT", "DOGEUSDT");
    let late = liquidation(3);
    let rest = [foreign, liquidation(9), late, liquidation(9)];
    let acts = script.iter().map(ToString::to_string).chain(rest).map(Act::Say).chain([Act::Stay]).collect();
    let server = Server::start(vec![acts]).await;
    let mut streams = server.listen(&[bybit_linear(), bybit_inverse()][..1], &options());
    let mut reasons = Vec::new();
    for _ in 0..script.len() {
        match next(&mut streams).await {
            Heard::Rejected(Venue::Bybit, reject) => reasons.push(reject.reason),
            other @ (Heard::Said(_) | Heard::Rejected(..)) => panic!("{other:?}"),
        }
    }
    assert_eq!(reasons, ["malformed", "malformed", "malformed", "malformed", "implausible"]);
    let rows = [said(&mut streams).await, said(&mut streams).await];
    assert_eq!(rows.each_ref().map(number_of), [9, 3], "also what comes late");
    assert!(matches!(&rows[0].fact, Observed::Liquidation(liquidation) if liquidation.side == Side::Long));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let Report { late, repeats, foreign, rejects, .. } = streams.report();
    assert_eq!((late, repeats, foreign, rejects), (1, 1, 1, 5));
}

#[tokio::test]
async fn what_was_not_heard_before_the_first_word_is_a_gap() {
    let server = Server::start(vec![vec![Act::Drop], vec![Act::Say(liquidation(1)), Act::Stay]]).await;
    let begun = now();
    let mut streams = server.listen(&[bybit_linear()], &options());
    let row = said(&mut streams).await;
    let hole = gap(&row).unwrap_or_else(|| panic!("{row:?}"));
    let first = said(&mut streams).await;
    assert_eq!((hole.cause, number_of(&first)), (GapCause::Disconnected, 1));
    assert!(begun <= row.time && row.time < hole.until && hole.until <= first.received, "{row:?}");
}

#[tokio::test]
async fn a_refused_subscription_is_no_quiet_feed() {
    let refusal = r#"{"success":false,"ret_msg":"no","op":"subscribe"}"#.to_owned();
    let server =
        Server::start(vec![vec![Act::Say(refusal), Act::Stay], vec![Act::Say(liquidation(1)), Act::Stay]]).await;
    let options = Options { ping: Some(Duration::from_millis(50)), ..options() };
    let mut streams = server.listen(&[bybit_linear()], &options);
    let heard = next(&mut streams).await;
    assert!(matches!(&heard, Heard::Rejected(Venue::Bybit, reject) if reject.reason == "refused"), "{heard:?}");
    let row = said(&mut streams).await;
    assert_eq!(gap(&row).map(|gap| gap.cause), Some(GapCause::Disconnected), "{row:?}");
    assert_eq!(number_of(&said(&mut streams).await), 1);
    let Report { connections, last_break, .. } = streams.report();
    assert!(connections == 2 && last_break.is_some_and(|what| what.contains("no")));
}

#[tokio::test]
async fn streams_end_when_nobody_listens() {
    let server = Server::start(vec![vec![Act::Say(liquidation(1)), Act::Stay]]).await;
    let mut streams = server.listen(&[bybit_linear()], &options());
    said(&mut streams).await;
    drop(streams);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(server.sent().iter().filter(|text| text.contains("subscribe")).count(), 1, "no new connection is made");
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_refused_at_once() {
    let places = Places { okx_stream: "https://www.okx.com".to_owned(), ..Places::default() };
    assert!(listen(&places, &[okx_linear()], &KINDS, &options()).is_err(), "no stream there");
    let dydx = Instrument { venue: Venue::DydxV4, ..usdm() };
    for (instruments, kinds) in [(vec![], &KINDS[..]), (vec![dydx], &KINDS), (vec![usdm()], &[Kind::Depth])] {
        assert!(listen(&Places::default(), &instruments, kinds, &options()).is_err(), "{kinds:?}");
    }
    assert_eq!(
        hyperliquid::subscriptions(&hype(), &[Kind::Liquidations]),
        Vec::<String>::new(),
        "there is no such feed"
    );
}
