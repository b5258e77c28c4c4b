//! Recaptured bonuses: records are taken or refused with reasons, and rates are what their denominators make of them.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Bed, Ran, table, usd8};

const HEADING: &str =
    "time,chain,market,borrower,tx_hash,liquidated_usd,bonus_usd,routed,recaptured_usd,protocol_usd,network_usd\n";

/// A record of four liquidations, two of them auctioned.
fn record() -> String {
    let hash = |digit: char| format!("0x{}", digit.to_string().repeat(64));
    format!(
        "{HEADING}2025-10-10T12:00:00Z,ethereum,cUSDC,0xaa,{},10000,500,true,300,165,135\n\
         2025-10-11T12:00:00Z,ethereum,cUSDC,0xbb,{},20000,1000,false,,,\n\
         2025-11-01T12:00:00Z,base,cUSDC,0xcc,{},4000,200,true,0,0,0\n\
         2025-11-02T12:00:00Z,base,cWETH,0xdd,{},2000,,false,,,\n",
        hash('1'),
        hash('2'),
        hash('3'),
        hash('4')
    )
}

fn import(bed: &Bed, content: &str, options: &[&str]) -> Ran {
    let file = bed.file("record.csv", content);
    let mut command = bed.command(&["import", "recaptures", "--dataset", "record"]);
    command.arg(file).args(options);
    Ran::of(command)
}

fn filled() -> Bed {
    let bed = Bed::new();
    let said = import(&bed, &record(), &[]);
    assert!(said.succeeded().out.contains("4 rows read, 4 taken"), "{said:?}");
    bed
}

/// Part and whole of a rate in whole dollars, and the share.
fn rate(report: &Value, name: &str) -> (i128, i128, Option<f64>) {
    let row = table(report, "rates").iter().find(|row| row["rate"] == name).unwrap_or_else(|| panic!("no {name}"));
    let dollars = |column: &str| usd8(row[column].as_str().unwrap()) / 100_000_000;
    (dollars("part_usd"), dollars("of_usd"), row["share"].as_f64())
}

#[test]
fn every_rate_stands_beside_its_denominator() {
    let bed = filled();
    let report = bed.json(&["svr", "report"]);
    assert_eq!(report["standing"], "imported");
    assert_eq!(rate(&report, "recaptured / all bonuses"), (300, 1_700, Some(300.0 / 1_700.0)));
    assert_eq!(rate(&report, "recaptured / auctioned bonuses"), (300, 700, Some(300.0 / 700.0)));
    assert_eq!(rate(&report, "coverage: auctioned / all bonuses"), (700, 1_700, Some(700.0 / 1_700.0)));
    assert_eq!(rate(&report, "recaptured / volume"), (300, 34_000, Some(300.0 / 34_000.0)));
    assert!(table(&report, "rates").iter().all(|row| row["share_is"] == "the figure" || row["share"].is_null()));
    // What the record does not say is missing, not nothing.
    let fallback = table(&report, "rates").iter().find(|row| row["rate"].as_str().unwrap().starts_with("fallback"));
    assert_eq!(fallback.unwrap()["part_usd"], Value::Null);
    let net = table(&report, "rates").iter().find(|row| row["rate"].as_str().unwrap().contains("net of"));
    assert_eq!(net.unwrap()["share"], Value::Null);
    let routes: Vec<(&str, u64)> = table(&report, "routes")
        .iter()
        .map(|row| (row["route"].as_str().unwrap(), row["liquidations"].as_u64().unwrap()))
        .collect();
    assert_eq!(routes, [("paid", 1), ("unpaid", 1), ("not auctioned", 2), ("all", 4)]);
    assert!(report["notes"].to_string().contains("1 events without a known bonus are in no rate"));
}

#[test]
fn what_is_not_in_the_record_makes_bounds_and_is_told() {
    let bed = filled();
    let more = format!(
        "{HEADING}2025-12-01,ethereum,cUSDC,0xee,,,300,true,,,\n2025-12-02,ethereum,cUSDC,0xff,,,10,true,40,30,10\n\
         2025-12-03,ethereum,cUSDC,0xff,,100,10,true,,3,1\n"
    );
    import(&bed, &more, &[]).succeeded();
    let report = bed.json(&["svr", "report"]);
    let find = |name: &str| table(&report, "rates").iter().find(|row| row["rate"] == name).unwrap().clone();
    let all = find("recaptured / all bonuses");
    assert_eq!((&all["share_is"], &all["bonus_not_known_usd"]), (&"at least".into(), &"300.00000000".into()));
    // No auction was held for the others, so coverage is known.
    assert_eq!(find("coverage: auctioned / all bonuses")["share_is"], "the figure");
    // What was recaptured of an unknown volume stands in no rate by volume; a whole is the sum of its parts.
    assert_eq!(rate(&report, "recaptured / volume"), (304, 34_100, Some(304.0 / 34_100.0)));
    for words in [
        "auctioned bonuses of $300.00 it is not known what was paid",
        "1 events recaptured more than the record's bonus",
    ] {
        assert!(report["notes"].to_string().contains(words), "{words}: {}", report["notes"]);
    }
    let groups = bed.json(&["svr", "rates", "--by", "month"]);
    let last = table(&groups, "groups").last().unwrap();
    assert_eq!(
        (&last["volume_usd"], &last["bonus_payment_unknown_usd"]),
        (&"100.00000000".into(), &"300.00000000".into())
    );
}

#[test]
fn groups_and_filters_leave_out_what_is_not_asked_for() {
    let bed = filled();
    let by = |options: &[&str]| -> Vec<(String, String, u64)> {
        let report = bed.json(&[["svr", "rates", "--by", "month,chain"].as_slice(), options].concat());
        let key = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        let groups = table(&report, "groups").iter();
        groups.map(|row| (key(row, "month"), key(row, "chain"), row["liquidations"].as_u64().unwrap())).collect()
    };
    let october = ("2025-10".to_owned(), "ethereum".to_owned(), 2);
    let november = ("2025-11".to_owned(), "base".to_owned(), 2);
    assert_eq!(by(&[]), [october.clone(), november.clone()]);
    assert_eq!(by(&["--chain", "ethereum"]), std::slice::from_ref(&october));
    assert_eq!(by(&["--to", "2025-10-31"]), [october]);
    assert_eq!(by(&["--market", "cweth"]), [(november.0, november.1, 1)]);
    bed.run(&["svr", "rates", "--from", "2026-01-01"]).refused("nothing there", &["no liquidation in record matches"]);
    bed.run(&["svr", "rates", "--by", "month,month"]).refused("twice", &["month", "twice"]);
    bed.run(&["svr", "report", "--chain", "nowhere"]).refused("no chain", &["--chain \"nowhere\""]);
    bed.run(&["svr", "report", "--dataset", "other"]).refused("no dataset", &["no dataset other", "record"]);
}

#[test]
fn events_are_listed_with_what_is_known_of_each() {
    let bed = filled();
    let report = bed.json(&["svr", "events"]);
    let events = table(&report, "events");
    assert_eq!(events.len(), 4);
    assert_eq!((&events[0]["route"], &events[0]["recaptured_usd"]), (&"paid".into(), &"300.00000000".into()));
    assert_eq!((&events[1]["recaptured_usd"], &events[3]["bonus_usd"]), (&Value::Null, &Value::Null));
    assert_eq!(events[2]["tx_hash"].as_str().unwrap().len(), 66);
    let top = bed.json(&["svr", "events", "--top", "1"]);
    assert_eq!(table(&top, "events")[0]["bonus_usd"], "1000.00000000");
    let said = bed.run(&["svr", "events", "--format", "csv"]);
    assert_eq!(said.succeeded().out.lines().count(), 5);
    let parquet = bed.path("events.parquet");
    bed.run(&["svr", "events", "--format", "parquet", "--out", parquet.to_str().unwrap()]).succeeded();
    assert_eq!(crate::support::read(&parquet).1.len(), 4);
}

#[test]
fn the_same_file_and_the_same_rows_are_taken_once() {
    let bed = filled();
    assert!(import(&bed, &record(), &[]).succeeded().out.contains("unchanged; nothing to do"));
    let longer = record() + "2025-12-01,ethereum,cUSDC,,,100,5,false,,,\n2025-12-01,ethereum,cUSDC,,,100,5,false,,,\n";
    let said = import(&bed, &longer, &[]);
    for words in ["6 rows read, 1 taken", "4 are held already", "1 repeat an earlier row", "1 say the day alone"] {
        assert!(said.succeeded().out.contains(words), "{words}: {said:?}");
    }
    assert_eq!(table(&bed.json(&["svr", "events"]), "events").len(), 5);
}

#[test]
fn rows_that_cannot_be_are_rejected_with_their_reasons() {
    let row = |text: &str| format!("{HEADING}2025-10-10,ethereum,cUSDC,,,10,1,true,0.5,0.3,0.2\n{text}\n");
    for (text, reason) in [
        ("2025-10-10,ethereum,cUSDC,,,10,1,false,0.5,,", "no auction was held"),
        ("2025-10-10,ethereum,cUSDC,,,10,1,true,0.5,0.4,0.2", "are not 0.50000000"),
        ("2025-10-10,ethereum,cUSDC,,,-10,1,true,0.5,,", "liquidated_usd is -10"),
        ("2025-10-10,ethereum,cUSDC,,,x,1,true,0.5,,", "liquidated_usd is no number"),
        ("2025-10-10,nowhere,cUSDC,,,10,1,true,0.5,,", "no chain is called"),
        ("2025-10-10,ethereum,,,,10,1,true,0.5,,", "the market is missing"),
        ("2025-10-10,ethereum,cUSDC,,0x12,10,1,true,0.5,,", "no hash of 32 bytes"),
        ("2025-10-10,ethereum,cUSDC,,,10,1,perhaps,0.5,,", "neither true nor false"),
        ("yesterday,ethereum,cUSDC,,,10,1,true,0.5,,", "the time is no moment"),
        ("2025-10-10,ethereum", "fields where the heading has"),
    ] {
        let bed = Bed::new();
        let said = import(&bed, &row(text), &[]);
        assert!(said.succeeded().out.contains("1 rejected, kept with their reasons"), "{text}: {said:?}");
        assert!(said.out.contains(reason), "{text}: {said:?}");
        let rejects: Vec<_> =
            bed.files("record", "rejects").iter().flat_map(|file| crate::support::read(file).1).collect();
        assert_eq!(rejects.len(), 1, "{text}");
    }
}

#[test]
fn files_that_are_no_record_are_refused_with_a_way_out() {
    let bed = Bed::new();
    for (content, says) in [
        ("time,chain\n2025-10-10,ethereum\n", "--market"),
        ("time,chain,market,bonus_usd,recaptured_usd\n2025-10-10,ethereum,c,1,1\n", "--map routed=COLUMN"),
        ("chain,market,bonus_usd,routed,recaptured_usd\n", "--map time=COLUMN"),
        ("{\"rows\": [{\"d\": \"2025-10-10\"", "no JSON document with rows"),
        ("{\"rows\": [{\"d\": \"2025-10-10\"}]}", "--chain NAME"),
        ("", "empty"),
    ] {
        let said = import(&bed, content, &[]);
        said.refused(content, &[says]);
    }
    import(&bed, &record(), &["--map", "oev=bonus_usd"]).refused("no field", &["oev", "bonus_usd"]);
    import(&bed, &record(), &["--map", "bonus_usd=oev"]).refused("no column", &["oev"]);
    let dry = import(&bed, &record(), &["--dry-run"]);
    assert!(dry.succeeded().out.contains("Nothing was written") && dry.out.contains("recaptured $300.00"), "{dry:?}");
    assert!(!bed.archive().exists());
    bed.run(&["svr", "report"]).refused("nothing", &["tidegate import recaptures FILE"]);
}

#[test]
fn the_picture_is_drawn_and_months_without_events_have_their_place() {
    let bed = filled();
    let more = format!("{HEADING}2026-02-01,base,cUSDC,,,10,1,true,0.5,0.3,0.2\n");
    import(&bed, &more, &[]).succeeded();
    let (svg, png) = (bed.path("svr.svg"), bed.path("svr.png"));
    bed.run(&["svr", "report", "--svg", svg.to_str().unwrap(), "--png", png.to_str().unwrap()]).succeeded();
    let drawn = std::fs::read_to_string(svg).unwrap();
    for words in ["2025-10", "2025-12", "2026-01", "2026-02", "Recaptured", "Coverage", "imported · dataset record"] {
        assert!(drawn.contains(words), "{words}");
    }
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn claims_are_worked_out_under_every_reading() {
    let report = Bed::new().json(&["svr", "claims"]);
    let rows = table(&report, "claims");
    let week: Vec<(String, String)> = rows
        .iter()
        .filter(|row| row["claim"].as_str().unwrap().contains("2026-02-02"))
        .map(|row| {
            (
                row["read_as"].as_str().unwrap().to_owned(),
                format!("{:.3}", row["recaptured_of_bonuses"].as_f64().unwrap()),
            )
        })
        .collect();
    assert_eq!(
        week,
        [
            ("the protocol's part".to_owned(), "0.305".to_owned()),
            ("all that was recaptured".to_owned(), "0.198".to_owned())
        ]
    );
    Bed::new().run(&["svr", "claims", "--split", "150%"]).refused("more than all", &["--split \"150%\""]);
}

#[test]
fn past_liquidations_are_worked_out_under_what_is_assumed_and_says_so() {
    let bed = Bed::new();
    let address = |digit: char| format!("0x{}", digit.to_string().repeat(40));
    let events = format!(
        "time,chain,market,user,collateral_symbol,collateral_usd,debt_symbol,debt_usd\n\
         2025-10-10T12:30:00Z,ethereum,aave-v3,{},WBTC,1050,USDC,1000\n\
         2025-10-11T12:30:00Z,ethereum,aave-v3,{},WBTC,2100,USDC,\n\
         2026-01-11T12:30:00Z,ethereum,aave-v3,{},WETH,,USDC,\n",
        address('1'),
        address('2'),
        address('3')
    );
    bed.import(&bed.file("past.csv", events), &["--dataset", "past"]).succeeded();
    let fixed =
        ["--coverage", "50%,50%,50%", "--competition", "40%,50%,60%", "--lost", "0%,0%,0%", "--bonus", "5%,5%,5%"];
    let ask = |more: &[&str]| bed.json(&[["svr", "backtest", "--dataset", "past"].as_slice(), &fixed, more].concat());
    let report = ask(&[]);
    assert_eq!(report["standing"], "estimated");
    let all = table(&report, "backtest").last().unwrap();
    // Bonuses 50 and 2100 * 5 / 105 = 100; half of them auctioned; 40, 50 and 60 % handed on.
    let figures = ["recaptured_low_usd", "recaptured_mid_usd", "recaptured_high_usd", "protocol_mid_usd"];
    let figures = figures.map(|name| usd8(all[name].as_str().unwrap()) / 1_000_000);
    assert_eq!(figures, [3_000, 3_750, 4_500, 2_437]);
    assert_eq!((&all["liquidations"], &all["without_usd"]), (&3.into(), &1.into()));
    assert!(report["notes"].to_string().contains("coverage 50%,50%,50%"));
    // In the hour of the first, the price fell by 40 %: at k = 4 by 4 * sqrt(60 / 3600) of that.
    let prices = bed.file("prices.csv", "time,open,high,low,close\n2025-10-10T12:00:00Z,100,100,60,70\n");
    let report = ask(&["--prices", prices.to_str().unwrap(), "--collateral", "WBTC", "--threshold", "90%"]);
    let waiting = table(&report, "waiting");
    let last = waiting.last().unwrap();
    assert_eq!(
        (&last["cutoff_seconds"], &last["liquidations"], &last["without_prices"]),
        (&60.into(), &1.into(), &1.into())
    );
    let fall = 4.0 * (60.0_f64 / 3_600.0).sqrt() * 0.4;
    assert!((last["worst_fall_high"].as_f64().unwrap() - fall).abs() < 1e-12);
    let expected = 1_000.0 * (1.0 - (1.0 - fall) / 0.9 / 1.05);
    let found = last["bad_debt_high_of_repaid_usd"].as_str().unwrap().parse::<f64>().unwrap();
    assert!((found - expected).abs() < 0.01, "{found} {expected}");
    assert_eq!(
        (&waiting[0]["bad_debt_high_of_repaid_usd"], &last["bad_debt_low_of_repaid_usd"]),
        (&"0.00000000".into(), &"0.00000000".into())
    );
    // Prices of other hours tell nothing, and rows that are no hour are counted.
    let other = bed.file("other.csv", "time,open,high,low,close\n2025-10-09T12:00:00Z,100,100,60,70\n2025-10-09T13:30:00Z,100,100,60,70\nnever,1,1,1,1\n");
    let report = ask(&["--prices", other.to_str().unwrap(), "--collateral", "WBTC", "--threshold", "90%"]);
    for row in table(&report, "waiting") {
        assert_eq!((&row["liquidations"], &row["bad_debt_high_of_repaid_usd"]), (&0.into(), &Value::Null));
        assert_eq!((&row["debt_repaid_usd"], &row["worst_fall_high"]), (&Value::Null, &Value::Null));
    }
    assert!(report["notes"].to_string().contains("1 rows were rejected, and 1 hours refused"), "{}", report["notes"]);
    for (options, says) in [
        (["--coverage", "50%"], "three shares"),
        (["--coverage", "50%,40%,60%"], "does not rise"),
        (["--lost", "0%,1%,2%"], "does not fall"),
        (["--split", "101%"], "--split"),
        (["--prices", prices.to_str().unwrap()], "--collateral"),
    ] {
        let args = [["svr", "backtest", "--dataset", "past"].as_slice(), &options].concat();
        bed.run(&args).refused(options[1], &[says]);
    }
}

/// A file of the recorded data; `None`, said, where there is none.
pub(crate) fn data(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let file = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from).join(name);
    if file.is_file() {
        return Some(file);
    }
    println!("skipped: no real data at {}; TIDEGATE_DATA names its folder", file.display());
    None
}

#[test]
fn the_open_record_of_compound_gives_its_published_figures() {
    let Some(file) = data("svr/compound_svr_2025-09_2026-06.json") else { return };
    let bed = Bed::new();
    let said = bed.run(&["import", "recaptures", file.to_str().unwrap(), "--dataset", "compound"]);
    assert!(said.succeeded().out.contains("661 rows read, 661 taken"), "{said:?}");
    let report = bed.json(&["svr", "report"]);
    let rounded = |row: &Value, name: &str| (usd8(row[name].as_str().unwrap()) + 50_000_000) / 100_000_000;
    let find = |name: &str| table(&report, "rates").iter().find(|row| row["rate"] == name).unwrap().clone();
    assert_eq!(rounded(&find("recaptured / volume"), "of_usd"), 108_024_648);
    assert_eq!(rounded(&find("recaptured / volume"), "part_usd"), 1_930_712);
    assert_eq!(rounded(&find("protocol / recaptured"), "part_usd"), 1_061_892);
    assert_eq!(rounded(&find("network / recaptured"), "part_usd"), 868_820);
    let ethereum = bed.json(&["svr", "rates", "--by", "month", "--chain", "ethereum"]);
    let thousands = |row: &Value, name: &str| usd8(row[name].as_str().unwrap()) as f64 / 1e11;
    let months: Vec<String> = table(&ethereum, "groups")
        .iter()
        .map(|row| {
            let percent = |name: &str| row[name].as_f64().unwrap() * 100.0;
            format!(
                "{} {} {} {:.2} {:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
                row["month"].as_str().unwrap(),
                row["liquidations"],
                row["auctioned"],
                thousands(row, "volume_usd") / 1e3,
                thousands(row, "bonus_usd"),
                thousands(row, "auctioned_bonus_usd"),
                thousands(row, "recaptured_usd"),
                percent("recaptured_of_all"),
                percent("recaptured_of_auctioned"),
                percent("coverage")
            )
        })
        .collect();
    assert_eq!(
        months,
        [
            "2025-09 5 2 0.58 34.3 30.8 29.3 85.6 95.3 89.9",
            "2025-10 39 12 17.50 2011.0 766.2 672.1 33.4 87.7 38.1",
            "2025-11 93 35 52.92 2410.1 1190.3 855.3 35.5 71.9 49.4",
            "2025-12 18 4 0.04 5.1 2.6 1.8 34.9 67.8 51.4",
            "2026-01 68 18 14.33 803.6 124.5 70.7 8.8 56.8 15.5",
            "2026-02 145 66 13.80 934.6 579.4 248.9 26.6 43.0 62.0",
            "2026-03 5 1 0.04 1.7 0.4 0.2 11.5 45.5 25.2",
            "2026-05 11 4 0.01 0.5 0.3 0.2 32.6 47.3 68.8",
            "2026-06 45 18 7.87 470.9 125.5 46.3 9.8 36.9 26.7",
        ]
    );
    let whole = bed.json(&["svr", "report", "--chain", "ethereum"]);
    let share = |name: &str| format!("{:.1}", rate(&whole, name).2.unwrap() * 100.0);
    assert_eq!(
        ["recaptured / all bonuses", "recaptured / auctioned bonuses", "coverage: auctioned / all bonuses"].map(share),
        ["28.8", "68.3", "42.3"]
    );
}

#[test]
fn past_liquidations_of_aave_are_worked_out_within_a_band() {
    let Some(v2) = data("aave_liquidations/ethereum_v2_2020-12_2022-04.parquet") else { return };
    let bed = Bed::new();
    bed.import(&v2, &["--dataset", "v2"]).succeeded();
    let report = bed.json(&["svr", "backtest", "--dataset", "v2"]);
    let all = table(&report, "backtest").last().unwrap();
    assert_eq!(all["liquidations"], 11_488);
    let figure = |name: &str| usd8(all[name].as_str().unwrap());
    let band = ["recaptured_low_usd", "recaptured_mid_usd", "recaptured_high_usd"].map(figure);
    assert_eq!(band, [768_283_096_995_672, 2_528_579_395_009_197, 5_318_019_212_810_049]);
    assert!(band[0] < band[1] && band[1] < band[2] && band[2] < figure("bonus_mid_usd") * 2, "{band:?}");
    let rows: u64 = table(&report, "bases").iter().map(|row| row["liquidations"].as_u64().unwrap()).sum();
    assert_eq!(rows, 11_488);
}
