//! Listened to: what they stream is kept, and what was not heard is a gap.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{VENUES, Venues, contract, number, says};
use crate::local::answers::now;
use crate::local::messages::{liquidation, price};
use crate::local::streamed::{Act, Server};
use crate::support::{Bed, Ran, Row, footer, parquet_files, read};

/// A stream beside the venues that are asked.
struct Streamed {
    asked: Venues,
    streams: Vec<(&'static str, Server)>,
}

impl Streamed {
    fn start(scripts: Vec<(&'static str, Vec<Vec<Act>>)>) -> Self {
        let asked = Venues::fair();
        let start = |(venue, script)| (venue, asked.runtime.block_on(Server::start(script)));
        let streams = scripts.into_iter().map(start).collect();
        Self { asked, streams }
    }

    fn args(&self, length: Option<&str>) -> Vec<String> {
        let venues: Vec<&str> = self.streams.iter().map(|(venue, _)| *venue).collect();
        let mut args = ["sync", "perps", "btc", "--venue", &venues.join(",")].map(str::to_owned).to_vec();
        args.extend(length.into_iter().flat_map(|length| ["--for".to_owned(), length.to_owned()]));
        for (venue, stream) in &self.streams {
            args.extend(["--rest-url".to_owned(), format!("{venue}={}", self.asked.server.url)]);
            args.extend(["--stream-url".to_owned(), format!("{venue}={}", stream.url)]);
        }
        args
    }

    fn run(&self, bed: &Bed, length: &str) -> Ran {
        bed.run(&self.args(Some(length)).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn spawn(&self, bed: &Bed, length: Option<&str>) -> Child {
        let args = self.args(length);
        let mut command = bed.command(&args.iter().map(String::as_str).collect::<Vec<_>>());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

/// Rows that were heard on streams.
fn heard(bed: &Bed, venue: &str, kind: &str) -> Vec<Row> {
    let folder = bed.archive().join("perps").join(format!("venue={venue}")).join(kind);
    let streamed = parquet_files(&folder).into_iter().filter(|file| footer(file)["came"] == "streamed");
    let mut rows: Vec<Row> = streamed.flat_map(|file| read(&file).1).collect();
    rows.sort();
    rows
}

fn float(row: &Row, column: &str) -> f64 {
    row[column].parse().unwrap()
}

fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what} does not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn what_each_venue_streams_is_kept() {
    let time = now() - 5_000;
    let script = |venue: &'static str| {
        let all = liquidation(venue, time).into_iter().chain([price(venue, time)]).map(Act::Say);
        (venue, vec![all.chain([Act::Stay]).collect()])
    };
    let streamed = Streamed::start(VENUES.map(script).to_vec());
    let bed = Bed::new();
    let ran = streamed.run(&bed, "4s");
    for (venue, (_, stream)) in VENUES.iter().zip(&streamed.streams) {
        assert!(!stream.sent().is_empty(), "{venue} is subscribed to");
        let liquidated = heard(&bed, venue, "liquidations");
        assert_eq!(liquidated.len(), usize::from(*venue != "hyperliquid"), "{venue}: {ran:?}");
        for row in liquidated {
            assert_eq!(
                (row["side"].as_str(), float(&row, "coins"), float(&row, "price")),
                ("long", 0.5, 59_000.0),
                "{venue}"
            );
            assert_eq!(row["time"], (time * 1_000).to_string(), "{venue}");
        }
        let prices = heard(&bed, venue, "prices");
        assert_eq!(prices.len(), 1, "{venue}");
        assert_eq!(float(&prices[0], "mark"), 61_000.0, "{venue}");
        assert_eq!(heard(&bed, venue, "gaps"), Vec::<Row>::new(), "{venue}: nobody listened before, and nothing broke");
        assert!(ran.out.contains(venue), "{ran:?}");
    }
    for said in [
        "streams no open interest",
        "hyperliquid streams no liquidations",
        "on 5 connections",
        "0 that could not be taken",
    ] {
        assert!(ran.succeeded().out.contains(said), "no {said:?} in {}", ran.out);
    }
    assert_eq!(float(&heard(&bed, "bybit", "open_interest")[0], "coins"), 43.0);
    assert_eq!(float(&heard(&bed, "hyperliquid", "open_interest")[0], "coins"), 700.0);
    // It stands on a map beside what was asked for.
    let report = bed.json(&["map", "BTC", "--kept", "--step", "5%"]);
    let row = contract(&report, "kept: bybit BTCUSDT").unwrap();
    assert_eq!(number(&row["mark"]), 60_010.0, "what was asked for is of a later moment by the venue's clock: {row}");
    says(&bed.json(&["datasets"]), &["1 rows of liquidations of bybit", "heard on a stream"], "datasets");
}

#[test]
fn a_break_is_a_gap_and_what_comes_twice_or_late_is_kept_once() {
    let time = now() - 60_000;
    let closed = |number: i64| Act::Say(liquidation("bybit", time + number).unwrap());
    let first = vec![closed(1), closed(3), closed(2), closed(1), Act::Drop];
    let second = vec![closed(3), closed(4), Act::Say("{\"topic\":".to_owned()), Act::Stay];
    let streamed = Streamed::start(vec![("bybit", vec![first, second.clone()])]);
    let bed = Bed::new();
    let ran = streamed.run(&bed, "5s");
    let times = |bed: &Bed| -> Vec<i64> {
        let rows = heard(bed, "bybit", "liquidations");
        let mut times: Vec<i64> = rows.iter().map(|row| row["time"].parse::<i64>().unwrap() / 1_000 - time).collect();
        times.sort_unstable();
        times
    };
    assert_eq!(times(&bed), [1, 2, 3, 4]);
    let gaps = heard(&bed, "bybit", "gaps");
    assert_eq!(gaps.iter().map(|gap| gap["cause"].as_str()).collect::<Vec<_>>(), ["disconnected"], "{gaps:?}");
    for said in
        ["on 2 connections", "2 heard before", "1 after a later one", "1 that could not be taken", "kept as gaps"]
    {
        assert!(ran.succeeded().out.contains(said), "no {said:?} in {}", ran.out);
    }
    // Listening again: what is kept is not kept twice, and the time between is a gap.
    let again = Streamed::start(vec![("bybit", vec![second])]);
    again.run(&bed, "2s").succeeded();
    assert_eq!(times(&bed), [1, 2, 3, 4]);
    let mut causes: Vec<String> = heard(&bed, "bybit", "gaps").iter().map(|gap| gap["cause"].clone()).collect();
    causes.sort();
    assert_eq!(causes, ["disconnected", "unwatched"]);
}

#[test]
fn a_stream_that_is_not_there_is_said() {
    let bed = Bed::new();
    let asked = Venues::fair();
    let here = format!("okx={}", asked.server.url);
    let common = ["sync", "perps", "BTC", "--venue", "okx", "--rest-url", &here, "--for", "2s", "--stream-url"];
    let ran = bed.run(&[&common[..], &["okx=ws://127.0.0.1:1"]].concat());
    assert!(ran.succeeded().out.contains("connections broke or were not made; the last: 127.0.0.1"), "{ran:?}");
    bed.run(&[&common[..], &["okx=http://127.0.0.1:1"]].concat()).refused("no stream's address", &["ws://"]);
    bed.run(&[&common[..], &["okx"]].concat()).refused("no address", &["--stream-url \"okx\" is not VENUE=URL"]);
    bed.run(&["sync", "perps", "NOSUCH", "--venue", "okx", "--rest-url", &here])
        .refused("no coin", &["nothing can be listened to of NOSUCH"]);
    let ran = bed.run(&["sync"]);
    assert!(ran.code != Some(0) && ran.err.contains("--market"), "{ran:?}");
}

#[test]
fn nothing_is_lost_while_another_program_writes() {
    let time = now() - 60_000;
    let all = (1..=500).map(|number| Act::Say(liquidation("bybit", time + number).unwrap()));
    let streamed = Streamed::start(vec![("bybit", vec![all.chain([Act::Stay]).collect()])]);
    let bed = Bed::new();
    let child = streamed.spawn(&bed, Some("2s"));
    wait_for("the subscription", || !streamed.streams[0].1.sent().is_empty());
    let archive = source::archive::Archive::at(bed.archive()).unwrap();
    let writer = source::archive::Writer::open(&archive).unwrap();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(heard(&bed, "bybit", "liquidations").len(), 0, "the archive is another's");
    drop(writer);
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(heard(&bed, "bybit", "liquidations").len(), 500);
}

#[test]
fn an_interrupt_ends_listening_and_keeps_what_was_heard() {
    for (length, code) in [(None, 0), (Some("1h"), 130)] {
        let time = now() - 60_000;
        let script = vec![Act::Say(liquidation("bybit", time).unwrap()), Act::Stay];
        let streamed = Streamed::start(vec![("bybit", vec![script])]);
        let bed = Bed::new();
        let child = streamed.spawn(&bed, length);
        wait_for("the subscription", || !streamed.streams[0].1.sent().is_empty());
        std::thread::sleep(Duration::from_secs(1));
        assert!(std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        assert_eq!(heard(&bed, "bybit", "liquidations").len(), 1, "{ended:?}");
    }
}
