//! The published figures of real liquidations, where the recorded data is at hand; it is no part of the repository.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Bed, table, usd8};

/// The folder of recorded data; `None`, said, where there is none.
fn data() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from).join("aave_liquidations");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no real data at {}; TIDEGATE_DATA names its folder", folder.display());
    None
}

/// Both files imported, as `v2` and `btc`.
fn imported() -> Option<Bed> {
    let folder = data()?;
    let bed = Bed::new();
    let v2 = folder.join("ethereum_v2_2020-12_2022-04.parquet");
    let said = bed.import(&v2, &["--dataset", "v2"]);
    assert!(said.succeeded().out.contains("11,488 rows read, 11,488 taken"), "{said:?}");
    let btc = folder.join("ethereum_btc_collateral_2020-12_2026-02.parquet");
    let said = bed.import(
        &btc,
        &["--dataset", "btc", "--map", "collateral_amount=amount_tokens", "--map", "collateral_usd=amount_usd"],
    );
    assert!(said.succeeded().out.contains("6,269 rows read, 6,269 taken"), "{said:?}");
    Some(bed)
}

/// Millions of US dollars, rounded to a number of decimals.
fn millions(value: &Value, decimals: u32) -> String {
    let unit = 10_i128.pow(14 - decimals);
    let rounded = (usd8(value.as_str().unwrap_or_else(|| panic!("{value} is no decimal text"))) + unit / 2) / unit;
    let scale = 10_i128.pow(decimals);
    format!("{}.{:0width$}", rounded / scale, rounded % scale, width = decimals as usize)
}

/// The totals' row of a dataset over some days.
fn totals(bed: &Bed, dataset: &str, options: &[&str]) -> Value {
    let mut args = vec!["liquidations", "--dataset", dataset, "--by", "chain"];
    args.extend(options);
    table(&bed.json(&args), "totals")[0].clone()
}

#[test]
fn the_v2_file_gives_its_published_figures() {
    let Some(bed) = imported() else { return };
    for (days, events, users, debt, unpriced) in [
        ([].as_slice(), 11_488, 3_206, "740.5", 151),
        // The 69 have no value of the debt; on the collateral's side it is 1,565.
        (&["--from", "2021-05-01", "--to", "2021-05-31"], 3_522, 1_204, "320.2", 69),
        (&["--from", "2021-05-19", "--to", "2021-05-19"], 679, 416, "157.2", 1),
    ] {
        let row = totals(&bed, "v2", days);
        let seen = ["events", "users", "debt_without_usd"].map(|name| row[name].as_u64().unwrap());
        assert_eq!(
            (seen, millions(&row["debt_repaid_usd"], 1).as_str()),
            ([events, users, unpriced], debt),
            "{days:?}"
        );
    }
    let may = ["--from", "2021-05-01", "--to", "2021-05-31"];
    assert_eq!(totals(&bed, "v2", &may)["collateral_without_usd"], 1_565);
    let report = bed.json(&[["liquidations", "--dataset", "v2", "--by", "debt"].as_slice(), &may].concat());
    let notes = report["notes"].to_string();
    assert!(notes.contains("69 events without a US dollar value of the debt repaid (WETH 69)"), "{notes}");
}

#[test]
fn the_btc_file_gives_its_published_figures() {
    let Some(bed) = imported() else { return };
    let all = totals(&bed, "btc", &[]);
    assert_eq!((millions(&all["collateral_seized_usd"], 1).as_str(), &all["debt_repaid_usd"]), ("702.7", &Value::Null));
    let report = bed.json(&["liquidations", "--dataset", "btc", "--by", "collateral,version"]);
    let parts: Vec<String> = table(&report, "groups")
        .iter()
        .map(|row| {
            format!(
                "{} {} {} {}",
                row["collateral"].as_str().unwrap(),
                row["version"].as_str().unwrap(),
                row["events"],
                millions(&row["collateral_seized_usd"], 1)
            )
        })
        .collect();
    assert_eq!(parts, ["WBTC V3 2832 422.7", "WBTC V2 3197 242.1", "cbBTC V3 240 37.9"]);
    for (options, events, millions_usd, decimals) in [
        (["--from", "2024-08-05", "--to", "2024-08-05"].as_slice(), None, "23.72", 2),
        // What was seized; with the protocol's fee on it, which the file gives apart, it is 26.4.
        (&["--from", "2025-02-02", "--to", "2025-02-03", "--collateral", "WBTC"], None, "26.3", 1),
        (&["--from", "2025-10-10", "--to", "2025-10-10"], Some(72), "43.0", 1),
        (&["--from", "2026-01-31", "--to", "2026-02-05"], Some(1_034), "141.2", 1),
    ] {
        let row = totals(&bed, "btc", options);
        assert_eq!(millions(&row["collateral_seized_usd"], decimals), millions_usd, "{options:?}");
        assert!(events.is_none_or(|events| row["events"] == events), "{options:?}: {row}");
    }
}

#[test]
fn the_two_files_reconcile_and_are_added_up_only_then() {
    let Some(bed) = imported() else { return };
    let combine = ["liquidations", "--dataset", "v2,btc", "--combine", "--by", "chain"];
    bed.run(&combine).refused("not reconciled", &["v2 and btc overlap", "tidegate reconcile v2 btc"]);
    let outcomes = |report: &Value| {
        let rows = table(report, "outcome").iter();
        rows.map(|row| (row["outcome"].as_str().unwrap().to_owned(), row["events"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    let report = bed.json(&["reconcile", "v2", "btc", "--collateral", "WBTC"]);
    let expected =
        [("matched", 1_164), ("same event, amount other or missing", 0), ("only in A", 4), ("only in B", 21)];
    assert_eq!(outcomes(&report), expected.map(|(name, events)| (name.to_owned(), events)));
    let matched = &table(&report, "outcome")[0];
    assert_eq!((&matched["of_a"], &matched["of_b"]), (&1_168.into(), &1_185.into()));
    bed.run(&combine).refused("a part is not the whole", &["tidegate reconcile v2 btc"]);
    let whole = bed.json(&["reconcile", "v2", "btc"]);
    assert_eq!(outcomes(&whole)[0].1, 1_164);
    let sum = table(&bed.json(&combine), "totals")[0].clone();
    assert_eq!(sum["events"], 11_488 + 6_269 - 1_164);
    let usd = |row: &Value, name: &str| usd8(row[name].as_str().unwrap());
    let (v2, btc) = (totals(&bed, "v2", &[]), totals(&bed, "btc", &[]));
    let name = "collateral_seized_usd";
    // A matched event counts with the first dataset's value; the second's is left out.
    let left_out = usd(&table(&whole, "outcome")[0], "usd_in_b");
    assert_eq!(usd(&sum, name), usd(&v2, name) + usd(&btc, name) - left_out);
    assert_eq!(sum["debt_repaid_usd"], v2["debt_repaid_usd"]);
}

#[test]
fn the_known_crashes_are_found_as_episodes() {
    let Some(bed) = imported() else { return };
    let report = bed.json(&["liquidations", "--episodes"]);
    let episodes = table(&report, "episodes");
    for (dataset, day) in [
        ("v2", "2021-05-19"),
        ("btc", "2021-05-19"),
        ("btc", "2022-06-14"),
        ("btc", "2025-10-10"),
        ("btc", "2026-01-31"),
        ("btc", "2026-02-05"),
    ] {
        let holds = |row: &&Value| {
            let [start, end] = ["start", "end"].map(|name| row[name].as_str().unwrap());
            row["dataset"] == dataset && start < format!("{day}T23:59:59Z").as_str() && end > day
        };
        assert!(episodes.iter().any(|row| holds(&row)), "{dataset} {day}");
    }
}
