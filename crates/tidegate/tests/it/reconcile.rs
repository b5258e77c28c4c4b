//! Two datasets of the same events: what is matched, what is not, and what may be added up.

use serde_json::Value;

use crate::support::{Bed, table};

const HEADING: &str = "time,chain,market,tx_hash,log_index,user,debt_symbol,debt_usd,collateral_symbol,collateral_usd";
const USER: &str = "0x00000000000000000000000000000000000000aa";

/// A row: the second after 13:00, transaction, log index, whether the debt and the collateral side are given.
fn row(second: u32, transaction: &str, log_index: &str, debt: bool, collateral: bool) -> String {
    let hash = if transaction.is_empty() { String::new() } else { format!("0x{}", transaction.repeat(32)) };
    let side = |given: bool, token: &str| if given { format!("{token},100") } else { ",".to_owned() };
    let (debt, collateral) = (side(debt, "USDC"), side(collateral, "WETH"));
    format!(
        "2021-05-19T13:{:02}:{:02}Z,ethereum,m,{hash},{log_index},{USER},{debt},{collateral}",
        second / 60,
        second % 60
    )
}

fn two(a: &[String], b: &[String]) -> Bed {
    let bed = Bed::new();
    for (name, rows) in [("a", a), ("b", b)] {
        let file = bed.file(&format!("{name}.csv"), format!("{HEADING}\n{}\n", rows.join("\n")));
        bed.import(&file, &["--dataset", name]).succeeded();
    }
    bed
}

/// Matched, other amount, only in A, only in B.
fn outcome(bed: &Bed) -> [u64; 4] {
    let report = bed.json(&["reconcile", "a", "b"]);
    let events: Vec<u64> = table(&report, "outcome").iter().map(|row| row["events"].as_u64().unwrap()).collect();
    events.try_into().unwrap()
}

fn combined(bed: &Bed) -> Option<Value> {
    let ran = bed.run(&["liquidations", "--combine", "--by", "chain", "--format", "json"]);
    (ran.code == Some(0))
        .then(|| serde_json::from_str::<Value>(&ran.out).unwrap()["tables"]["totals"]["rows"][0]["events"].clone())
}

#[test]
fn the_same_log_is_the_same_event_at_whatever_second() {
    let bed = two(
        &[row(0, "aa", "5", true, true), row(13, "ab", "6", true, true)],
        &[row(12, "aa", "5", true, true), row(13, "ac", "7", true, true)],
    );
    assert_eq!(outcome(&bed), [1, 0, 1, 1]);
    assert_eq!(combined(&bed), Some(3.into()));
}

#[test]
fn logs_and_transactions_that_differ_are_never_paired() {
    for (a, b) in [
        (row(0, "aa", "5", true, true), row(0, "bb", "17", true, true)),
        (row(0, "aa", "5", true, true), row(0, "aa", "6", true, true)),
        (row(0, "aa", "", true, true), row(0, "bb", "", true, true)),
    ] {
        let bed = two(&[a], &[b]);
        assert_eq!(outcome(&bed), [0, 0, 1, 1]);
        assert_eq!(combined(&bed), Some(2.into()));
    }
}

#[test]
fn rows_with_one_side_are_compared_by_it_or_left_open() {
    let bed = two(&[row(0, "aa", "5", true, false)], &[row(0, "aa", "5", false, true)]);
    assert_eq!((outcome(&bed), combined(&bed)), ([1, 0, 0, 0], Some(1.into())), "the log decides");
    let bed = two(
        &[row(0, "", "", true, true), row(9, "", "", true, false)],
        &[row(0, "", "", true, true), row(9, "", "", true, false)],
    );
    assert_eq!((outcome(&bed), combined(&bed)), ([0, 2, 0, 0], Some(2.into())), "without amounts they cannot agree");
    let bed = two(&[row(0, "", "", true, false)], &[row(0, "", "", false, true)]);
    assert_eq!(outcome(&bed), [0, 0, 1, 1]);
    assert!(bed.run(&["reconcile", "a", "b"]).out.contains("nothing is on record"));
    assert_eq!(combined(&bed), None, "what could not be compared is not added up");
}

#[test]
fn a_record_ends_with_the_next_import() {
    let bed = two(&[row(0, "aa", "5", true, true)], &[row(0, "aa", "5", true, true)]);
    assert_eq!(combined(&bed), None);
    outcome(&bed);
    assert_eq!(combined(&bed), Some(1.into()));
    let more = bed.file("more.csv", format!("{HEADING}\n{}\n", row(7, "cc", "1", true, true)));
    bed.import(&more, &["--dataset", "b"]).succeeded();
    assert_eq!(combined(&bed), None, "b is not what was compared");
}

#[test]
fn days_alone_overlap_with_moments_of_that_day() {
    let bed = Bed::new();
    let day = row(0, "aa", "5", true, true).replace("T13:00:00Z", "");
    for (name, row) in [("a", day), ("b", row(0, "aa", "5", true, true))] {
        let file = bed.file(&format!("{name}.csv"), format!("{HEADING}\n{row}\n"));
        bed.import(&file, &["--dataset", name]).succeeded();
    }
    assert_eq!(combined(&bed), None);
    assert_eq!((outcome(&bed), combined(&bed)), ([1, 0, 0, 0], Some(1.into())));
}

#[test]
fn ties_are_broken_by_names_and_not_by_chance() {
    let bed = Bed::new();
    for number in 0..24 {
        let row = row(number, "aa", &number.to_string(), true, true).replace("WETH", &format!("TOK{number:02}"));
        let file = bed.file(&format!("{number}.csv"), format!("{HEADING}\n{row}\n"));
        bed.import(&file, &["--dataset", "d"]).succeeded();
    }
    let args = ["liquidations", "--by", "collateral", "--top", "3", "--format", "csv"];
    let first = bed.run(&args).succeeded().out.clone();
    assert!(first.contains("TOK00") && first.contains("TOK01") && first.contains("TOK02"), "{first}");
    assert!((0..20).all(|_| bed.run(&args).out == first));
}

#[test]
fn only_our_own_leftovers_are_swept() {
    let bed = two(&[row(0, "aa", "5", true, true)], &[row(0, "aa", "5", true, true)]);
    let folder = bed.archive().join("imports/dataset=a/liquidations");
    let theirs = [bed.archive().join(".movie.part"), folder.join(".movie.part"), folder.join("1-2.part")];
    let ours = folder.join(".123-4.part");
    for path in theirs.iter().chain([&ours]) {
        std::fs::write(path, "x").unwrap();
    }
    let more = bed.file("more.csv", format!("{HEADING}\n{}\n", row(7, "cc", "1", true, true)));
    bed.import(&more, &["--dataset", "b"]).succeeded();
    assert!(theirs.iter().all(|path| path.exists()) && !ours.exists());
}

#[test]
fn of_an_event_in_both_the_row_that_knows_its_value_counts() {
    let bed = two(&[row(0, "aa", "5", true, false)], &[row(0, "aa", "5", true, true)]);
    assert_eq!(outcome(&bed), [1, 0, 0, 0]);
    let report = bed.json(&["liquidations", "--combine", "--measure", "collateral"]);
    assert_eq!(table(&report, "totals")[0]["collateral_seized_usd"], "100.00000000");
}
