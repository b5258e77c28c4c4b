//! By whose rules a dataset's liquidations came about.

use std::path::Path;

use serde_json::json;

use super::{MAP, Venues, contract, says};
use crate::local::Act;
use crate::support::{Bed, Ran, footer, parquet_files, table};

const START: i64 = 1_769_904_000;

/// A dataset of candles that fall and rise, with open interest, under the name of Hyperliquid, whose highest leverage is 40.
fn bed() -> Bed {
    let bed = Bed::new();
    let (mut candles, mut open) =
        ("time,open,high,low,close,turnover\n".to_owned(), "time,open_interest_coins\n".to_owned());
    for at in 0..300_i64 {
        let time = START + at * 3_600;
        candles.push_str(&format!("{time},60000,60900,59100,60000,1000000\n"));
        open.push_str(&format!("{time},{}\n", 1_000 + at % 7));
    }
    import(&bed, "c.csv", &candles, "candles", &[]).succeeded();
    import(&bed, "o.csv", &open, "open-interest", &["--counting", "one-side"]).succeeded();
    bed
}

fn import(bed: &Bed, name: &str, text: &str, kind: &str, options: &[&str]) -> Ran {
    let mut command = bed.command(&["import", "perps", "--dataset", "d", "--venue", "hyperliquid", "--kind", kind]);
    command.arg(bed.file(name, text)).args(["--coin", "BTC", "--interval", "1h"]).args(options);
    Ran::of(command)
}

fn liquidations(bed: &Bed, options: &[&str]) -> Ran {
    let mut text = "time,long_usd,short_usd\n".to_owned();
    for at in 0..300_i64 {
        text.push_str(&format!("{},{},{}\n", START + at * 3_600, 5_000 + at % 11, 4_000 + at % 5));
    }
    import(bed, "l.csv", &text, "liquidations", options)
}

/// A Binance table as its API answers it: 125x under 0.4 %, then 50x under 1 %.
fn brackets(bed: &Bed) -> String {
    let bracket = |leverage: u32, floor: u64, rate: f64, cum: f64| {
        json!({ "bracket": 1, "initialLeverage": leverage, "notionalCap": 1, "notionalFloor": floor,
                "maintMarginRatio": rate, "cum": cum })
    };
    let all = json!([{ "symbol": "ETHUSDT", "brackets": [bracket(50, 0, 0.01, 0.0)] },
        { "symbol": "BTCUSDT", "brackets": [bracket(125, 0, 0.004, 0.0), bracket(50, 300_000, 0.01, 1_800.0)] }]);
    bed.file("brackets.json", all.to_string()).to_str().unwrap().to_owned()
}

#[test]
fn liquidations_follow_the_rules_that_are_stated() {
    let bed = bed();
    let file = brackets(&bed);
    let ran = liquidations(&bed, &["--venues", "binance-usdm", "--tiers", &file]);
    let words = "the rule of binance-usdm and its margin tiers of brackets.json";
    assert!(ran.succeeded().out.contains(&format!("liquidated by {words}")), "{ran:?}");
    let files = parquet_files(&bed.archive().join("imports/dataset=d/perps/venue=hyperliquid/liquidations"));
    assert!(footer(&files[0])["rules"].contains("\"0.004\""), "{:?}", footer(&files[0]));

    let report =
        bed.json(&["map", "BTC", "--dataset", "d", "--by-leverage", "--step", "0.1%", "--from", "-2%", "--to", "2%"]);
    assert_eq!(contract(&report, "d: hyperliquid").unwrap()["rules"], words);
    says(&report, &[&format!("d: hyperliquid: liquidation prices by {words}, for positions of $50000")], "the map");
    let notes = super::notes(&report);
    assert!(!notes.contains("flat maintenance rate") && !notes.contains("of other venues too"), "{notes}");
    // 100x is allowed by Binance, not by Hyperliquid: a long at 60,000 goes at 60,000 (1 - 1/100) / (1 - 0.004) = 59,638, less fees.
    let classes: Vec<&str> = table(&report, "perps").iter().map(|row| row["leverage"].as_str().unwrap()).collect();
    assert!(classes.contains(&"100x"), "{classes:?}");
}

#[test]
fn of_several_venues_each_leverage_is_by_those_that_allow_it() {
    let bed = bed();
    let file = brackets(&bed);
    liquidations(&bed, &["--venues", "hyperliquid,binance-usdm", "--tiers", &format!("binance-usdm={file}")])
        .succeeded();
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--by-leverage", "--step", "1%"]);
    says(
        &report,
        &[
            "the rule of hyperliquid and its margin tiers as the venue's documents stated them and the rule of binance-usdm",
            "at the mean of those that allow a leverage",
        ],
        "both are named",
    );
}

#[test]
fn tiers_that_a_venue_told_before_are_taken_from_the_archive() {
    let bed = bed();
    liquidations(&bed, &["--venues", "bybit"]).refused(
        "not known yet",
        &["the margin tiers of bybit for BTC are not known here", "--tiers bybit=FILE", "--live --venue bybit"],
    );
    let venues = Venues::start(|question, _| Act::Say(crate::local::answers::answer(question).to_string()));
    venues.report(&bed, &MAP, &["bybit"]);
    let ran = liquidations(&bed, &["--venues", "bybit"]);
    assert!(
        ran.succeeded()
            .out
            .contains("the rule of bybit and its margin tiers as the venue stated them when it was asked"),
        "{ran:?}"
    );
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--step", "1%"]);
    says(&report, &["by the rule of bybit and its margin tiers"], "the map");
}

#[test]
fn files_of_tiers_that_are_none_are_refused() {
    let bed = bed();
    let file = |name: &str, text: &str| bed.file(name, text).to_str().unwrap().to_owned();
    let good = brackets(&bed);
    let overlap = r#"[{"symbol":"BTCUSDT","brackets":[{"initialLeverage":50,"notionalFloor":5,"maintMarginRatio":0.01,"cum":0}]}]"#;
    for (tiers, says) in [
        (file("no.json", "not json"), "not JSON"),
        (file("cut.json", &std::fs::read_to_string(&good).unwrap()[..80]), "ends before it is complete"),
        (file("none.json", "[]"), "has no tiers of BTCUSDT"),
        (file("floor.json", overlap), "does not begin at a notional of 0"),
        (file("gathered.json", r#"{"BTC/USDT:USDT":[{"tier":1}]}"#), "cannot be taken"),
        ("/no/such/file.json".to_owned(), "cannot be read"),
    ] {
        liquidations(&bed, &["--venues", "binance-usdm", "--tiers", &tiers]).refused(&tiers, &[says]);
    }
    liquidations(&bed, &["--venues", "mtgox"]).refused("no venue", &["mtgox"]);
    liquidations(&bed, &["--venues", "binance-usdm"]).refused("no file", &["--tiers binance-usdm=FILE"]);
    liquidations(&bed, &["--venues", "bybit,binance-usdm", "--tiers", &good]).refused("whose", &["VENUE=FILE"]);
    assert!(!Path::new(&bed.archive().join("imports/dataset=d/perps/venue=hyperliquid/liquidations")).exists());
}

#[test]
fn recorded_brackets_are_read() {
    let Some(folder) = crate::perps::load::data() else { return };
    let bed = bed();
    let file = folder.join("margin_tiers/binance_usdm_2026-09.json");
    let ran = liquidations(&bed, &["--venues", "binance-usdm", "--tiers", file.to_str().unwrap()]);
    assert!(ran.succeeded().out.contains("its margin tiers of binance_usdm_2026-09.json"), "{ran:?}");
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--step", "1%"]);
    says(&report, &["by the rule of binance-usdm and its margin tiers of binance_usdm_2026-09.json"], "the map");
}
