//! What venues said is kept, once, and used again.

use serde_json::Value;

use super::{LEVERAGE, MAP, TOLD, VENUES, Venues, contract, number, says};
use crate::local::answers::hour;
use crate::support::{Bed, every_file, footer, parquet_files, row_count, table};

/// Rows that are kept of a kind.
fn kept(bed: &Bed, venue: &str, kind: &str) -> usize {
    let folder = bed.archive().join("perps").join(format!("venue={venue}")).join(kind);
    parquet_files(&folder).iter().map(|file| row_count(file)).sum()
}

#[test]
fn what_was_said_is_kept_once_and_stands_for_the_venues_later() {
    let venues = Venues::fair();
    let bed = Bed::new();
    let live = venues.report(&bed, &MAP, &VENUES);
    says(&live, &["Kept in the archive: ", "beside 0 that were kept already"], "the first time");
    for (venue, tiers, liquidations) in
        [("binance-usdm", 0, 0), ("binance-coinm", 0, 0), ("bybit", 1, 0), ("okx", 1, 1), ("hyperliquid", 2, 0)]
    {
        let found = ["tiers", "liquidations", "rejects"].map(|kind| kept(&bed, venue, kind));
        assert_eq!(found, [tiers, liquidations, 0], "{venue}");
        for kind in ["candles", "open_interest", "prices", "funding", "depth"] {
            assert!(kept(&bed, venue, kind) > 0, "{venue} {kind}");
        }
    }
    let file = &parquet_files(&bed.archive().join("perps/venue=bybit/prices"))[0];
    let said = footer(file);
    assert_eq!((said["came"].as_str(), said["standing"].as_str()), ("asked", "observed"));
    assert!(said["asked_at"].starts_with("127.0.0.1:"), "{said:?}");

    let candles = VENUES.map(|venue| kept(&bed, venue, "candles"));
    let again = venues.report(&bed, &LEVERAGE, &VENUES);
    says(&again, &["Kept in the archive: "], "the second time");
    assert_eq!(VENUES.map(|venue| kept(&bed, venue, "candles")), candles, "a candle is kept once");
    assert_eq!(kept(&bed, "okx", "liquidations"), 1);
    assert_eq!(kept(&bed, "okx", "gaps"), 0, "the second list begins where the first did");

    // No venue is there any more.
    drop(venues);
    let report = bed.json(&["map", "btc", "--kept", "--step", "5%"]);
    for (source, mark, coins, usd, ..) in &TOLD {
        let row = contract(&report, &format!("kept: {source}")).unwrap_or_else(|| panic!("{source}: {report}"));
        assert_eq!((number(&row["mark"]), number(&row["open_interest_usd"])), (*mark, *usd), "{row}");
        assert_eq!((row["open_interest_coins"].as_str(), row["standing"].as_str()), (Some(*coins), Some("observed")));
        says(&report, &[&format!("kept: {source}: what the venue said of "), "heard last at", "at 127.0.0.1"], source);
    }
    says(&report, &["(estimated, what is kept of venues)"], "of which origin");
    let map = |report: &Value, prefix: &str| -> Vec<(String, String, String)> {
        let cell = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let mut rows: Vec<_> = table(report, "perps")
            .iter()
            .map(|row| (cell(row, "source").replace(prefix, ""), cell(row, "price"), cell(row, "notional")))
            .collect();
        rows.sort();
        rows
    };
    assert_eq!(map(&report, "kept: "), map(&live, "kept: "), "the same words make the same map");

    let ran = bed.run(&["map", "BTC", "--live", "--venue", "bybit", "--rest-url", "bybit=http://127.0.0.1:1"]);
    ran.refused("nobody answers", &["The archive keeps what bybit said before: --kept takes it"]);
    let datasets = bed.json(&["datasets"]);
    for venue in VENUES {
        says(&datasets, &[&format!("rows of candles of {venue}"), "(observed)"], "datasets");
    }
}

#[test]
fn what_is_kept_is_as_of_the_moment_that_is_asked_for() {
    let bed = Bed::new();
    Venues::fair().report(&bed, &MAP, &["binance-usdm"]);
    let until = jiff_moment(hour(10));
    let report = bed.json(&["leverage", "BTC", "--kept", "--until", &until]);
    let row = contract(&report, "kept: binance-usdm BTCUSDT").unwrap();
    assert_eq!(row["open_interest_coins"], "990", "of the past, not of now");
    assert!(row["mark"].is_null(), "no mark price was known by then: {row}");
    let none = bed.run(&["leverage", "ETH", "--kept"]);
    none.refused("nothing of it", &["The archive keeps nothing that venues said of ETH", "--live", "sync perps"]);
}

/// A moment in milliseconds as the program takes it.
fn jiff_moment(millis: i64) -> String {
    protocol::time::TimeUs(millis * 1_000).to_string()
}

#[test]
fn nothing_is_kept_where_it_is_not_wanted_or_cannot_be() {
    let venues = Venues::fair();
    let bed = Bed::new();
    let report = venues.report(&bed, &[&MAP[..], &["--no-keep"]].concat(), &["bybit"]);
    assert!(!super::notes(&report).contains("Kept in the archive"), "{report}");
    assert_eq!(every_file(&bed.archive()), Vec::<std::path::PathBuf>::new());

    let archive = source::archive::Archive::at(bed.archive()).unwrap();
    let writer = source::archive::Writer::open(&archive).unwrap();
    let report = venues.report(&bed, &MAP, &["bybit"]);
    says(&report, &["What venues said is not kept:", "another program is writing to this archive"], "locked");
    super::has_all(&report, &TOLD[2]);
    drop(writer);
    assert!(!bed.archive().join("perps").exists());
}

#[test]
fn a_damaged_file_of_what_is_kept_is_named() {
    let bed = Bed::new();
    Venues::fair().report(&bed, &MAP, &["bybit"]);
    let file = parquet_files(&bed.archive().join("perps/venue=bybit/candles"))[0].clone();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    bed.run(&["map", "BTC", "--kept"]).refused("cut off", &[file.file_name().unwrap().to_str().unwrap()]);
}
