//! The program on what venues of perpetual futures say: files taken in, maps with known answers, scores, leverage, and venues that
//! answer, or do not.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::perps::load::data;
use crate::support::{Bed, Ran, table};

/// Midnight of 2026-02-01.
const START: i64 = 1_769_904_000;

/// Three flat candles at 100, then what is asked for.
fn candles(rows: &[(f64, f64, f64, f64)]) -> String {
    let mut text = "time,open,high,low,close\n".to_owned();
    for (at, (open, high, low, close)) in rows.iter().enumerate() {
        text.push_str(&format!("{},{open},{high},{low},{close}\n", START + at as i64 * 3_600));
    }
    text
}

const FLAT: (f64, f64, f64, f64) = (100.0, 100.0, 100.0, 100.0);

fn import(bed: &Bed, file: &PathBuf, kind: &str, options: &[&str]) -> Ran {
    let mut command = bed.command(&["import", "perps", "--dataset", "d", "--venue", "hyperliquid", "--kind", kind]);
    command.arg(file).args(options);
    Ran::of(command)
}

/// A dataset of three candles, open interest of 0, 8 and 8 coins told in dollars and both sides, and two positions.
fn bed() -> Bed {
    let bed = Bed::new();
    let file = bed.file("candles.csv", candles(&[FLAT; 3]));
    import(&bed, &file, "candles", &["--coin", "BTC", "--interval", "1h"]).succeeded();
    let file = bed.file("oi.csv", format!("time,oi_usd\n{START},0\n{},1600\n{},1600\n", START + 3_600, START + 7_200));
    let ran = import(&bed, &file, "open-interest", &["--coin", "BTC", "--interval", "1h", "--counting", "both-sides"]);
    assert!(ran.succeeded().out.contains("3 kept"), "{ran:?}");
    let positions = format!(
        "time,address,coin,direction,size,entry_px,leverage,position_value,account_value,liquidation_px\n\
         {0},0x00000000000000000000000000000000000000a1,BTC,Long,2,100,20,200,10,95\n\
         {0},0x00000000000000000000000000000000000000a2,BTC,Short,3,100,25,300,10,103\n\
         {0},0x00000000000000000000000000000000000000a2,ETH,Long,3,10,25,30,10,\n",
        START + 3 * 3_600
    );
    let file = bed.file("positions.csv", positions);
    let ran = import(&bed, &file, "positions", &["--margin", "cross"]);
    assert!(ran.succeeded().out.contains("3 kept"), "{ran:?}");
    bed
}

/// Dollars at a price in a table of a map.
fn at(report: &Value, source: &str, side: &str, price: &str) -> f64 {
    let rows = table(report, "perps");
    let is_it = |row: &&Value| {
        row["source"] == source
            && row["side"] == side
            && row["leverage"] == "all"
            && row["price"].as_str().unwrap().starts_with(price)
    };
    let row = rows.iter().find(is_it).unwrap_or_else(|| panic!("{source} {side} {price}: {rows:?}"));
    row["notional"].as_str().unwrap().parse().unwrap()
}

/// Everything that an estimated map supposes is an object by name, each with a value and its unit, or a sentence that is a rule.
fn assumed(report: &Value, prefix: &str) {
    let all = report["assumptions"].as_object().unwrap_or_else(|| panic!("no assumptions in {report}"));
    for (name, number) in [
        ("leverage_band", true),
        ("transfer", true),
        ("transfer_power", true),
        ("closing_hazard", true),
        ("closing_pace", true),
        ("entry", true),
        ("liquidated", true),
        ("interval", true),
        ("leverage_prior", false),
        ("liquidation_ratios", false),
        ("liquidation_ratios_of_shorts", false),
    ] {
        let one = &all.get(&format!("{prefix}{name}")).unwrap_or_else(|| panic!("no {prefix}{name} in {all:?}"));
        assert!(if number { one["value"].is_number() } else { one["value"].is_object() }, "{name}: {one}");
        assert!(one["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{name}: {one}");
    }
    for name in ["both_sides", "consumed_first", "path", "source"] {
        assert!(all[&format!("{prefix}{name}")]["says"].as_str().is_some_and(|says| says.len() > 20), "{name}");
    }
}

#[test]
fn imported_files_become_a_map_with_known_answers() {
    let bed = bed();
    let report = bed.json(&[
        "map",
        "BTC",
        "--dataset",
        "d",
        "--leverage",
        "10",
        "--step",
        "1%",
        "--from",
        "-15%",
        "--to",
        "15%",
    ]);
    // 8 coins, of which 22 of the 90 shares up to 40x are at 10x: liquidated at 100 (1 - 1/10) / (1 - 1/80) and
    // 100 (1 + 1/10) / (1 + 1/80).
    let coins = 8.0 * 22.0 / 90.0;
    for (side, price, expected) in [
        ("long", "92.", 0.0),
        ("long", "91.", coins * 90.0 / 0.9875),
        ("long", "85.", coins * 90.0 / 0.9875),
        ("short", "108.", 0.0),
        ("short", "109.", coins * 110.0 / 1.0125),
    ] {
        let found = at(&report, "d: hyperliquid", side, price);
        assert!((found - expected).abs() <= 0.003 * expected, "{side} {price}: {found} for {expected}");
    }
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--step", "1%", "--from", "-15%", "--to", "15%"]);
    let seen = "d: hyperliquid, positions seen";
    for (side, price, expected) in
        [("long", "96.", 0.0), ("long", "94.", 190.0), ("short", "102.", 0.0), ("short", "104.", 309.0)]
    {
        let found = at(&report, seen, side, price);
        assert!((found - expected).abs() <= 0.003 * expected, "{side} {price}: {found} for {expected}");
    }
    let coverage = table(&report, "coverage");
    let share = coverage.iter().find(|row| row["source"] == seen).unwrap()["seen"].as_f64().unwrap();
    assert!((share - (2.0 / 8.0 + 3.0 / 8.0) / 2.0).abs() < 1e-9, "{share}");
    let rows = table(&report, "perps");
    let standings =
        |source: &str| rows.iter().filter(|row| row["source"] == source).all(|row| row["standing"] == "estimated");
    assert!(standings("d: hyperliquid") && !standings(seen), "no series mixes standings");
    assumed(&report, "d: hyperliquid.");
    let held = &report["assumptions"]["d: hyperliquid.leverage_prior"];
    assert!((held["value"]["10x"].as_f64().unwrap() - 22.0 / 90.0).abs() < 1e-9, "{held}");
    assert_eq!(held["unit"], "share of open interest");
    assert_eq!(report["assumptions"]["d: hyperliquid.price"]["value"], "trades");
    assert!(report["assumptions"]["d: hyperliquid.stated_prices"]["says"].is_string());
    let notes = report["notes"].to_string();
    for said in [
        "A fall of BTC to $90.00 (-10.0 %) liquidates",
        "squeezes",
        "Open interest is held at",
        "halved",
        "where the venue itself",
    ] {
        assert!(notes.contains(said), "no {said:?} in {notes}");
    }
}

#[test]
fn a_map_is_of_the_moment_that_is_asked_for() {
    let bed = bed();
    let ran = bed.run(&["map", "BTC", "--dataset", "d", "--until", "2026-02-01T01:30:00Z", "--leverage", "10"]);
    // The second candle is not over, so 8 coins are not known yet, nor any position.
    assert!(!ran.out.contains("positions seen"), "{ran:?}");
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--until", "2026-02-01T01:30:00Z", "--step", "10%"]);
    assert_eq!(at(&report, "d: hyperliquid", "long", "90."), 0.0);
    bed.run(&["map", "BTC", "--dataset", "d", "--until", "soon"]).refused("until", &["soon"]);
}

#[test]
fn loans_and_perpetuals_stand_on_one_axis_and_apart() {
    let bed = bed();
    let loans = "account,collateral,collateral_amount,threshold,debt,debt_amount\n\
                 0x00000000000000000000000000000000000000b1,WBTC,1,0.8,USDC,70\n";
    let loans = bed.file("loans.csv", loans);
    let loans = loans.to_str().unwrap();
    let both = ["map", "BTC", "--dataset", "d", "--positions", loans, "--price", "WBTC=100", "--step", "5%"];
    let report = bed.json(&both);
    // Liquidatable below 70 / 0.8 = 87.5.
    let debt = |price: &str| {
        let is_it = |row: &&Value| row["price"].as_str().unwrap().starts_with(price);
        table(&report, "levels").iter().find(is_it).unwrap()["debt"].as_str().unwrap().parse::<f64>().unwrap()
    };
    assert_eq!((debt("90."), debt("85.")), (0.0, 70.0));
    assert!(at(&report, "d: hyperliquid, positions seen", "long", "90.") > 189.0);
    assert!(table(&report, "levels").iter().all(|row| row["standing"] == "imported"));
    let csv = bed.run(&[&both[..], &["--format", "csv"]].concat()).out;
    for said in ["debt", "notional", "estimated", "imported", "d: hyperliquid"] {
        assert!(csv.contains(said), "no {said:?} in {csv}");
    }
}

#[test]
fn both_halves_are_drawn() {
    let bed = bed();
    let [png, svg, heat] = ["map.png", "map.svg", "heat.png"].map(|name| bed.path(name));
    let mut command = bed.command(&["map", "BTC", "--dataset", "d"]);
    command.arg("--png").arg(&png).arg("--svg").arg(&svg).arg("--heatmap").arg(&heat);
    assert_eq!(Ran::of(command).code, Some(0));
    for path in [png, heat] {
        assert!(std::fs::read(path).unwrap().starts_with(b"\x89PNG"));
    }
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.contains("estimated") && svg.contains("imported") && svg.contains("Coverage"), "{svg}");
}

#[test]
fn pictures_add_up_the_sources_of_one_origin_alone() {
    let bed = bed();
    let mut command =
        bed.command(&["import", "perps", "--dataset", "e", "--venue", "hyperliquid", "--kind", "candles"]);
    command.arg(bed.file("c.csv", candles(&[FLAT; 3]))).args(["--coin", "BTC", "--interval", "1h"]);
    Ran::of(command).succeeded();
    let open = bed.file("o.csv", format!("time,open_interest_coins\n{START},0\n{},8\n", START + 3_600));
    let mut open_interest = bed.command(&["import", "perps", "--dataset", "e", "--venue", "hyperliquid"]);
    open_interest
        .args(["--kind", "open-interest", "--coin", "BTC", "--interval", "1h", "--counting", "one-side"])
        .arg(open);
    Ran::of(open_interest).succeeded();
    let [svg, heat] = ["map.svg", "heat.svg"].map(|name| bed.path(name));
    let mut command = bed.command(&["map", "BTC", "--dataset", "d", "--dataset", "e"]);
    command.arg("--svg").arg(&svg).arg("--heatmap").arg(&heat);
    Ran::of(command).succeeded();
    let [svg, heat] = [svg, heat].map(|path| std::fs::read_to_string(path).unwrap());
    for title in ["by a model, dataset d,", "by a model, dataset e,", "in positions seen, dataset d,"] {
        assert_eq!(svg.matches(title).count(), 1, "{title}: {svg}");
    }
    assert!(heat.contains("Sources: d: hyperliquid.") && heat.contains("Not in the picture"), "{heat}");
}

#[test]
fn what_a_file_does_not_tell_must_be_said() {
    let bed = Bed::new();
    let file = |text: &str| bed.file("in.csv", text);
    let ohlc = candles(&[FLAT]);
    let coin: &[&str] = &["--coin", "BTC"];
    let hour: &[&str] = &["--coin", "BTC", "--interval", "1h"];
    for (kind, text, options, says) in [
        ("candles", ohlc.as_str(), coin, "--interval"),
        ("candles", ohlc.as_str(), &["--interval", "1h"], "--coin"),
        ("candles", ohlc.as_str(), &["--coin", "BTC", "--interval", "soon"], "no length of time"),
        ("candles", "time,open,high,low\n1,1,1,1\n", hour, "--map close=COLUMN"),
        ("candles", "time,exchange,open,high,low,close\n1,a,1,1,1,1\n", hour, "--only"),
        ("candles", ohlc.as_str(), &["--coin", "BTC", "--interval", "1h", "--map", "colour=open"], "colour"),
        ("candles", ohlc.as_str(), &["--coin", "BTC", "--interval", "1h", "--only", "shade=1"], "shade"),
        ("open-interest", "time,open_interest_coins\n1,1\n", coin, "--counting"),
        (
            "open-interest",
            "time,open_interest\n1,1\n",
            &["--coin", "BTC", "--counting", "one-side"],
            "open_interest_usd",
        ),
        ("open-interest", "time,oi_usd\n1,1\n", &["--coin", "BTC", "--counting", "one-side"], "candles"),
        ("liquidations", "time,side,usd\n1,long,1\n", coin, "candles"),
        ("positions", "time,account,coin,size,leverage,value,account_value\n1,a,BTC,1,1,1,1\n", &[], "--margin"),
        ("funding", "time,rate\n1,0.1\n", coin, "--interval"),
        ("candles", "", hour, "is empty"),
    ] {
        import(&bed, &file(text), kind, options).refused(&format!("{kind} {text:?} {options:?}"), &[says]);
    }
    let mut command = bed.command(&["import", "perps", "--dataset", "d", "--kind", "candles", "--venue", "mtgox"]);
    command.arg(file(&ohlc)).args(hour);
    Ran::of(command).refused("an unknown venue", &["mtgox", "hyperliquid"]);
    bed.run(&["map", "BTC", "--dataset", "nothing"]).refused("no dataset", &["nothing", "import perps"]);
    bed.run(&["map", "score", "BTC", "--dataset", "nothing"]).refused("no dataset", &["nothing"]);
    bed.run(&["leverage", "BTC", "--dataset", "nothing"]).refused("no dataset", &["nothing"]);
}

#[test]
fn rows_that_cannot_be_taken_are_kept_with_their_reasons() {
    let bed = Bed::new();
    let text = format!(
        "time,open,high,low,close,volume_usd\n{START},100,100,100,100,5\n{START},100,100,100,100,5\n{START},100,101,100,100,5\n\
         {0},0,100,100,100,5\n{0},100,90,110,100,5\n{0},100,100,100,100,-5\nsoon,100,100,100,100,5\n{0},x,100,100,100,5\n{0},1\n",
        START + 3_600
    );
    let ran = import(&bed, &bed.file("c.csv", text), "candles", &["--coin", "BTC", "--interval", "1h"]);
    for said in [
        "1 kept",
        "1 say what is kept already",
        "7 rejected",
        "contradiction",
        "not above zero",
        "crossed prices",
        "negative",
        "no time",
        "no number",
        "malformed row",
    ] {
        assert!(ran.succeeded().out.contains(said), "no {said:?} in {}", ran.out);
    }
    let again = bed.file("c.csv", candles(&[FLAT]));
    let rejects = bed.archive().join("imports/dataset=d/perps/venue=hyperliquid/rejects");
    assert_eq!(crate::support::parquet_files(&rejects).len(), 1);
    let ran = import(&bed, &again, "candles", &["--coin", "BTC", "--interval", "1h", "--dry-run"]);
    assert!(ran.succeeded().out.contains("Nothing was written"), "{ran:?}");
}

#[test]
fn an_account_as_the_venue_states_it_is_a_position() {
    let bed = Bed::new();
    let state = json!({
        "assetPositions": [{ "type": "oneWay", "position": {
            "coin": "BTC", "szi": "-0.5", "entryPx": "100", "leverage": { "type": "cross", "value": 20 },
            "liquidationPx": "120", "marginUsed": "2.5", "maxLeverage": 40, "positionValue": "50", "returnOnEquity": "0",
            "unrealizedPnl": "0" } }],
        "crossMaintenanceMarginUsed": "0.625",
        "crossMarginSummary": { "accountValue": "10", "totalMarginUsed": "2.5", "totalNtlPos": "50", "totalRawUsd": "60" },
        "marginSummary": { "accountValue": "10", "totalMarginUsed": "2.5", "totalNtlPos": "50", "totalRawUsd": "60" },
        "time": START * 1_000, "withdrawable": "1",
    });
    let file = bed.file("state.json", state.to_string());
    import(&bed, &file, "positions", &[]).refused("whose account", &["--account"]);
    let ran = import(&bed, &file, "positions", &["--account", "0x00000000000000000000000000000000000000a1"]);
    assert!(ran.succeeded().out.contains("1 kept"), "{ran:?}");
    // 0.5 coins at 100 with 10 of equity under a fortieth: (50 + 10) / (0.5 (1 + 1/80)) is 118.5, the venue says 120.
    for (others, price, expected) in
        [("stated", "119.", 0.0), ("stated", "121.", 60.0), ("stay", "119.", 59.26), ("stay", "118.", 0.0)]
    {
        let report = bed.json(&[
            "map",
            "BTC",
            "--dataset",
            "d",
            "--others",
            others,
            "--step",
            "1%",
            "--from",
            "-1%",
            "--to",
            "30%",
        ]);
        let found = at(&report, "d: hyperliquid, positions seen", "short", price);
        assert!((found - expected).abs() < 0.2, "{others} {price}: {found}");
    }
}

#[test]
fn scores_name_their_baselines_and_what_cannot_be_scored() {
    let bed = Bed::new();
    let (mut ohlc, mut open, mut liquidated) = (
        "time,open,high,low,close,turnover\n".to_owned(),
        "time,open_interest_coins\n".to_owned(),
        "time,long_usd,short_usd\n".to_owned(),
    );
    let mut price = 100.0_f64;
    for at in 0..400_i64 {
        let step = 1.0 + 0.02 * ((at * 7 % 13) as f64 - 6.0) / 6.0;
        let close = price * step;
        let (low, high) = (price.min(close) * 0.995, price.max(close) * 1.005);
        let time = START + at * 3_600;
        ohlc.push_str(&format!("{time},{price},{high},{low},{close},{}\n", 5_000.0));
        open.push_str(&format!("{time},{}\n", 100.0 + (at % 17) as f64));
        let fall = (price / low - 1.0) * 1_000.0;
        liquidated.push_str(&format!("{time},{},{}\n", fall * fall, (high / price - 1.0) * 500.0));
        price = close;
    }
    let options = ["--coin", "BTC", "--interval", "1h"];
    import(&bed, &bed.file("c.csv", ohlc), "candles", &options).succeeded();
    let counted = ["--coin", "BTC", "--interval", "1h", "--counting", "one-side"];
    import(&bed, &bed.file("o.csv", open), "open-interest", &counted).succeeded();
    let few = bed.json(&["map", "score", "BTC", "--dataset", "d"]);
    assert!(few["notes"].to_string().contains("not scored against liquidations"), "{few}");
    import(&bed, &bed.file("l.csv", liquidated), "liquidations", &options).succeeded();
    let report = bed.json(&["map", "score", "BTC", "--dataset", "d"]);
    let rows = table(&report, "scores");
    for side in ["long", "short"] {
        for method in ["map", "uniform", "nearest levels", "naive 1/leverage", "peers' walk"] {
            let is_it =
                |row: &&Value| row["method"] == method && row["side"] == side && row["measure"] == "rank over candles";
            let row = rows.iter().find(is_it).unwrap();
            assert_eq!(row["cases"], 200, "half is for fitting");
            // Liquidations here grow with the range alone, which the uniform map is told.
            let rho: f64 = row["value"].as_str().map_or(0.0, |rho| rho.parse().unwrap());
            assert!(method != "uniform" || rho > 0.8, "{row}");
            assert!(row["tied_said"].is_number() && row["tied_came"].is_number(), "{row}");
            let is_it = |row: &&Value| {
                row["method"] == method
                    && row["side"] == side
                    && row["measure"] == "lift of the heaviest fifth (1 by chance)"
            };
            let row = rows.iter().find(is_it).unwrap();
            assert!(
                method != "uniform" || row["value"] == "1.000",
                "a map that is the same everywhere is chance: {row}"
            );
        }
    }
    assumed(&report, "d: hyperliquid, against liquidations.");
    assert!(report["notes"].to_string().contains("not scored against positions"), "{report}");
    assert!(
        report["notes"].to_string().contains("moves nothing: nothing was fitted to it"),
        "no taker buying: {report}"
    );
    let map = bed.json(&["map", "BTC", "--dataset", "d", "--step", "0.5%", "--from", "-10%", "--to", "10%"]);
    bands(&map);
    let part = bed.json(&["map", "BTC", "--dataset", "d", "--leverage", "10-50"]);
    assert!(
        part["notes"].to_string().contains("no band of past misses, which are of all leverages together"),
        "{part}"
    );
    assert!(table(&part, "perps").iter().all(|row| row["low"].is_null() && !row["leverage_low"].is_null()));
}

/// An estimate's main band is of what came in the past, goes as far as that tells, and says how often it held.
fn bands(map: &Value) {
    let number = |row: &Value, name: &str| row[name].as_str().map(|text| text.parse::<f64>().unwrap());
    for row in table(map, "bands") {
        assert_eq!((&row["band"], row["past_cases"].as_u64()), (&json!("past misses"), Some(300)), "{row}");
        // A half of 400 is judged by those before it.
        assert!(row["judged_cases"].as_u64().unwrap() > 150, "{row}");
        let [held, below, above] = ["held", "below", "above"].map(|name| row[name].as_f64().unwrap());
        assert!(held > 0.6 && (held + below + above - 1.0).abs() < 1e-9, "{row}");
        let most = number(row, "goes_to").unwrap();
        let own = table(map, "perps").iter().filter(|one| one["side"] == row["side"] && one["leverage"] == "all");
        let mut known = 0;
        for one in own {
            let is_told = number(one, "notional").unwrap() <= most;
            assert_eq!(is_told, number(one, "low").is_some(), "{one} {most}");
            assert!(
                number(one, "low") <= number(one, "high")
                    && number(one, "leverage_low") <= number(one, "leverage_high")
            );
            known += u32::from(is_told);
        }
        assert!(known > 0, "{row}");
    }
    assert!(map["notes"].to_string().contains("Judged by candles after those it was made of, it held"), "{map}");
}

/// What is said of a moment is the same whatever came after it.
#[test]
fn a_map_of_the_past_knows_nothing_of_what_came_after() {
    let until = START + 150 * 3_600 + 1_800;
    let said = |later: Option<f64>| {
        let bed = Bed::new();
        let mut files =
            ["time,open,high,low,close,turnover\n", "time,open_interest_coins\n", "time,long_usd,short_usd\n"]
                .map(str::to_owned);
        let mut price = 100.0_f64;
        for at in 0..190_i64 {
            let time = START + at * 3_600;
            // The hour that holds the moment has not ended.
            let by = if at < 150 { 1.0 } else { later.unwrap_or(1.0) };
            if at >= 150 && later.is_none() {
                break;
            }
            let close = price * (1.0 + 0.02 * ((at * 7 % 13) as f64 - 6.0) / 6.0) * by;
            let (low, high) = (price.min(close) * 0.995, price.max(close) * 1.005);
            files[0].push_str(&format!("{time},{price},{high},{low},{close},{}\n", 5_000.0 * by));
            files[1].push_str(&format!("{time},{}\n", (100.0 + (at % 17) as f64) * by));
            files[2].push_str(&format!("{time},{},{}\n", (price / low - 1.0) * 1e5 * by, (high / price - 1.0) * 1e4));
            price = close;
        }
        let options = ["--coin", "BTC", "--interval", "1h"];
        let counted = ["--coin", "BTC", "--interval", "1h", "--counting", "one-side"];
        let kinds = [("candles", &options[..]), ("open-interest", &counted), ("liquidations", &options)];
        for (text, (kind, options)) in files.into_iter().zip(kinds) {
            import(&bed, &bed.file(&format!("{kind}.csv"), text), kind, options).succeeded();
        }
        let until = jiff::Timestamp::from_second(until).unwrap().to_string();
        let map = bed.json(&["map", "BTC", "--dataset", "d", "--until", &until, "--step", "1%"]);
        let score = bed.json(&["map", "score", "BTC", "--dataset", "d", "--until", &until]);
        let leverage = bed.json(&["leverage", "BTC", "--dataset", "d", "--until", &until]);
        assumed(&leverage, "d: hyperliquid.");
        (map, score, leverage)
    };
    let alone = said(None);
    assert_eq!(table(&alone.0, "bands")[0]["band"], "past misses", "{}", alone.0["notes"]);
    for by in [1.03, 0.97] {
        let with_later = said(Some(by));
        assert!(alone.0 == with_later.0, "{} {}", alone.0["notes"], with_later.0["notes"]);
        assert!(alone.1 == with_later.1 && alone.2 == with_later.2, "{} {}", alone.1, with_later.1);
    }
}

#[test]
fn leverage_is_reset_by_the_stated_rule() {
    let bed = Bed::new();
    let (mut ohlc, mut open) = ("time,open,high,low,close\n".to_owned(), "time,open_interest_coins\n".to_owned());
    for day in 0..51_i64 {
        let time = START + day * 86_400;
        ohlc.push_str(&format!("{time},100,101,99,100\n"));
        open.push_str(&format!("{time},{}\n", if day == 50 { 75 } else { 100 }));
    }
    import(&bed, &bed.file("c.csv", ohlc), "candles", &["--coin", "BTC", "--interval", "1d"]).succeeded();
    let counted = ["--coin", "BTC", "--interval", "1d", "--counting", "one-side"];
    import(&bed, &bed.file("o.csv", open), "open-interest", &counted).succeeded();
    let report = bed.json(&["leverage", "BTC", "--dataset", "d", "--supply", "20000"]);
    let notes = report["notes"].to_string();
    for said in
        ["reset at", "25.0 % off its highest", "Funding is not known", "The rule", "the data do not reach May 2021"]
    {
        assert!(notes.contains(said), "no {said:?} in {notes}");
    }
    let rows = table(&report, "leverage");
    let now = |metric: &str| rows.iter().find(|row| row["metric"] == metric).unwrap()["now"].clone();
    assert_eq!((now("open interest (coins)"), now("open interest (USD)")), ("75.0000".into(), "7500".into()));
    let in_window =
        rows.iter().find(|row| row["window"] == "February 2026" && row["metric"] == "open interest (coins)").unwrap();
    assert_eq!((in_window["then_median"].as_str(), in_window["rank"].as_f64()), (Some("100.0000"), Some(0.0)));
}

#[test]
fn nothing_at_all_is_an_error_that_says_why() {
    let bed = Bed::new();
    let ran = bed.run(&["map", "BTC", "--venue", "bybit", "--rest-url", "bybit=http://127.0.0.1:1"]);
    ran.refused("no venue", &["nothing can be mapped for BTC", "Not got from bybit", "import perps"]);
    let ran = bed.run(&["leverage", "BTC", "--venue", "bybit", "--rest-url", "bybit=http://127.0.0.1:1"]);
    ran.refused("no venue", &["Not got from bybit"]);
    bed.run(&["map", "BTC", "--rest-url", "bybit"]).refused("no place", &["VENUE=URL"]);
    bed.run(&["map", "BTC", "--venue", "mtgox"]).refused("no venue", &["mtgox"]);
}

#[test]
fn recorded_files_go_through_from_import_to_score() {
    let Some(folder) = data() else { return };
    let bed = Bed::new();
    let venues = folder.join("perps/venues_hourly_2025-03_2026-03");
    let mine = ["--coin", "BTC", "--interval", "1h"];
    let only = |venue| [&mine[..], &["--only", venue]].concat();
    let candles = [&only("venue=binance")[..], &["--map", "open=o", "--map", "volume_coins=v"]].concat();
    import(&bed, &venues.join("candles.parquet"), "candles", &candles).succeeded();
    let open = [&only("venue=hyperliquid")[..], &["--counting", "one-side"]].concat();
    let ran = import(&bed, &venues.join("open_interest.parquet"), "open-interest", &open);
    assert!(ran.succeeded().out.contains("48 rejected"), "where no candle tells a price: {ran:?}");
    import(&bed, &venues.join("funding_rates.parquet"), "funding", &only("venue=hyperliquid")).succeeded();
    let liquidations = folder.join("perps/btc_liquidations_hourly_2025-11_2026-05/liquidations.csv");
    import(&bed, &liquidations, "liquidations", &mine).succeeded();
    let positions = folder.join("hyperliquid/positions_2026-02/positions.parquet");
    let ran = import(&bed, &positions, "positions", &["--margin", "cross"]);
    assert!(ran.succeeded().out.contains("163,987 kept"), "{ran:?}");
    let report = bed.json(&["map", "BTC", "--dataset", "d", "--until", "2026-02-05"]);
    let coverage = table(&report, "coverage");
    let seen = coverage.iter().find(|row| row["source"] == "d: hyperliquid, positions seen").unwrap();
    assert!((0.1..0.4).contains(&seen["seen"].as_f64().unwrap()), "{seen}");
    let window = ["--since", "2026-01-26", "--until", "2026-02-07"];
    let report = bed.json(&[&["map", "score", "BTC", "--dataset", "d"][..], &window].concat());
    let rows = table(&report, "scores");
    for row in rows {
        println!("{} {} {} {}", row["side"], row["measure"], row["method"], row["value"]);
    }
    println!("{}", report["notes"]);
    assert!(rows.iter().any(|row| row["against"] == "positions seen"));
    for said in ["too little for a mass error", "supposed to be of other venues too", "band of past misses"] {
        assert!(report["notes"].to_string().contains(said), "no {said:?} in {report}");
    }
    for side in ["long", "short"] {
        let rho = |method: &str| -> f64 {
            let is_it =
                |row: &&Value| row["method"] == method && row["side"] == side && row["measure"] == "rank over candles";
            rows.iter().find(is_it).unwrap()["value"].as_str().unwrap().parse().unwrap()
        };
        let [map, naive] = ["map", "naive 1/leverage"].map(rho);
        assert!(map > 0.65 && map > naive, "{side}: {map} beside {naive}, as where the engine is driven alone");
    }
    let report = bed.json(&["leverage", "BTC", "--dataset", "d"]);
    assert!(table(&report, "leverage").iter().any(|row| row["window"] == "February 2026"));
}
