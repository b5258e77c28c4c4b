//! The treasury fed from datasets: what auctions recaptured, what liquidations brought and cost, and policies over real ones.

use std::collections::BTreeMap;

use serde_json::Value;

use protocol::Address;

use crate::support::{Bed, Row, parquet_files, read, table, usd8};
use crate::svr::data;

const HEADING: &str = "time,chain,market,borrower,tx_hash,liquidated_usd,bonus_usd,routed,recaptured_usd,protocol_usd,network_usd,protocol_native\n";

fn hash(digit: char) -> String {
    format!("0x{}", digit.to_string().repeat(64))
}

/// A record in which every kind of row stands once: with native tokens, with dollars alone, without its amount, without a transaction,
/// twice alike but for its amount, not auctioned.
fn record() -> String {
    format!(
        "{HEADING}2025-10-10T12:00:00Z,ethereum,cUSDCv3,0xaa,{},10000,500,true,300,165,135,0.04125\n\
         2025-10-11T12:00:00Z,base,cUSDCv3,0xbb,{},20000,1000,true,100,55.5,44.5,\n\
         2025-10-12T12:00:00Z,ethereum,cUSDCv3,0xcc,{},4000,200,true,,,,\n\
         2025-10-13T12:00:00Z,ethereum,Core,0xdd,,4000,200,true,10,6,4,0.0015\n\
         2025-10-14T12:00:00Z,ethereum,cUSDTv3,0xee,{},4000,200,true,20,12,8,0.003\n\
         2025-10-14T12:00:00Z,ethereum,cUSDTv3,0xee,{},2000,100,true,10,6,4,0.0015\n\
         2025-11-02T12:00:00Z,base,cUSDCv3,0xff,{},2000,,false,,,,\n",
        hash('1'),
        hash('2'),
        hash('3'),
        hash('4'),
        hash('4'),
        hash('5')
    )
}

fn imported(bed: &Bed, name: &str, content: &str) {
    let file = bed.file(&format!("{name}.csv"), content).display().to_string();
    bed.run(&["import", "recaptures", &file, "--dataset", name]).succeeded();
}

/// Posted, repeated, rejected and unknown of a dataset.
fn recorded(bed: &Bed, dataset: &str) -> ([u64; 4], Value) {
    let report = bed.json(&["treasury", "record", "--dataset", dataset]);
    let row = &table(&report, "recorded")[0];
    (["posted", "repeated", "rejected", "unknown_amounts"].map(|name| row[name].as_u64().expect("a count")), report)
}

/// What stands on every account of every network's asset.
fn balances(bed: &Bed) -> BTreeMap<(String, String, String), String> {
    let report = bed.json(&["treasury", "ledger", "--balances"]);
    let text = |row: &Value, name: &str| row[name].as_str().expect("text").to_owned();
    let rows = table(&report, "balances").iter();
    rows.map(|row| ((text(row, "account"), text(row, "network"), text(row, "asset")), text(row, "balance"))).collect()
}

/// The sum of a column in dollars of the rows that are wanted.
fn sum(rows: &[Value], column: &str, is_wanted: impl Fn(&Value) -> bool) -> i128 {
    rows.iter().filter(|row| is_wanted(row)).map(|row| usd8(row[column].as_str().expect("text"))).sum()
}

#[test]
fn the_protocols_part_of_a_record_is_owed_by_the_safe_and_the_rest_is_nobodys() {
    let bed = Bed::new();
    imported(&bed, "record", &record());
    let dry = bed.json(&["treasury", "record", "--dataset", "record", "--dry-run"]);
    assert_eq!(table(&dry, "recorded")[0]["posted"], 5);
    assert!(balances(&bed).is_empty());
    let (counts, report) = recorded(&bed, "record");
    assert_eq!(counts, [5, 0, 0, 1], "{report}");
    assert!(table(&report, "rejects")[0]["why"].as_str().unwrap().contains("what it paid is not in the record"));
    let notes = report["notes"].to_string();
    for words in
        ["4 amounts are in native tokens", "at most 5 decimals", "1 amounts are in the asset USD", "nobody's income"]
    {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let of = |account: &str, network: &str, asset: &str, balance: &str| {
        ((account.to_owned(), network.to_owned(), asset.to_owned()), balance.to_owned())
    };
    let expected: BTreeMap<_, _> = [
        of("svr-receivable", "ethereum", "ETH", "0.04725"),
        of("svr-receivable", "base", "USD", "55.5"),
        of("svr-share of USDC", "ethereum", "ETH", "0.04125"),
        of("svr-share of USDT", "ethereum", "ETH", "0.0045"),
        of("svr-share", "ethereum", "ETH", "0.0015"),
        of("svr-share of USDC", "base", "USD", "55.5"),
    ]
    .into();
    assert_eq!(balances(&bed), expected);
    // One amount leads to its transaction.
    let ledger = bed.json(&["treasury", "ledger", "--reserve", "USDC", "--network", "ethereum"]);
    let [entry] = &table(&ledger, "entries")[..] else { panic!("{ledger}") };
    let said = ["from", "amount", "usd", "standing"].map(|name| entry[name].as_str().unwrap().to_owned());
    assert_eq!(said, [hash('1'), "0.04125".to_owned(), "165.00000000".to_owned(), "imported".to_owned()]);
    assert_eq!(recorded(&bed, "record").0, [0, 5, 0, 1]);
    // The same liquidations out of a longer record are the same; one that now says another amount is not taken silently.
    let more = "2025-12-01T12:00:00Z,ethereum,cUSDCv3,0xaa,,100,5,true,2,1,1,0.0005\n";
    imported(&bed, "longer", &(record() + more));
    assert_eq!(recorded(&bed, "longer").0, [1, 5, 0, 1]);
    imported(&bed, "changed", &record().replace("300,165,135,0.04125", "400,220,180,0.055"));
    let (counts, report) = recorded(&bed, "changed");
    assert_eq!(counts, [0, 4, 1, 1]);
    assert!(report["tables"]["rejects"].to_string().contains("stands in the ledger with another content"), "{report}");
    bed.run(&["treasury", "record", "--dataset", "nothing"]).refused("no dataset", &["no dataset nothing"]);
}

#[test]
fn the_open_record_of_compound_becomes_its_protocols_income() {
    let Some(file) = data("svr/compound_svr_2025-09_2026-06.json") else { return };
    let bed = Bed::new();
    bed.run(&["import", "recaptures", file.to_str().unwrap(), "--dataset", "compound"]).succeeded();
    assert_eq!(recorded(&bed, "compound").0, [196, 0, 0, 0]);
    let report = bed.json(&["svr", "report"]);
    let rate = table(&report, "rates").iter().find(|row| row["rate"] == "protocol / recaptured").unwrap();
    let expected = usd8(rate["part_usd"].as_str().unwrap());
    assert_eq!(expected, 106_189_175_000_000);
    let ledger = bed.json(&["treasury", "ledger", "--account", "svr-share", "--top", "0"]);
    assert_eq!(sum(table(&ledger, "entries"), "usd", |_| true), expected);
    let income = bed.json(&["treasury", "statement", "--per", "reserve"]);
    assert_eq!(sum(table(&income, "statement"), "usd", |row| row["item"] == "svr-share"), expected);
    // In every month, network and asset, what there is is what is left.
    let sheet = bed.json(&["treasury", "statement", "--kind", "balance", "--per", "network"]);
    let mut sides = BTreeMap::<String, [i128; 2]>::new();
    for row in table(&sheet, "statement") {
        let key = ["month", "part", "asset"].map(|name| row[name].as_str().unwrap()).join(" ");
        let (whole, fraction) =
            row["amount"].as_str().unwrap().split_once('.').unwrap_or((row["amount"].as_str().unwrap(), ""));
        let amount: i128 = format!("{whole}{fraction:0<18}").parse().unwrap();
        sides.entry(key).or_default()[usize::from(row["section"] != "assets")] += amount;
    }
    assert!(sides.len() > 10 && sides.values().all(|[there, left]| there == left && *there > 0), "{sides:?}");
    let before = bed.run(&["treasury", "ledger", "--top", "0"]).out;
    assert_eq!(recorded(&bed, "compound").0, [0, 196, 0, 0]);
    assert_eq!(bed.run(&["treasury", "ledger", "--top", "0"]).out, before);
    // Policies see the same income.
    let policies = bed.json(&["treasury", "policy", "--dataset", "compound"]);
    assert!(policies["notes"].to_string().contains("income of $1,061,892"), "{}", policies["notes"]);
}

/// Liquidations of two reserves, and what is assumed of them.
fn past(bed: &Bed) {
    let address = |digit: char| format!("0x{}", digit.to_string().repeat(40));
    let events = format!(
        "time,chain,market,user,collateral_symbol,collateral_usd,debt_symbol,debt_usd\n\
         2021-05-19T12:30:00Z,ethereum,aave-v2,{},WBTC,1050000,USDC,1000000\n\
         2021-05-20T12:30:00Z,ethereum,aave-v2,{},WBTC,,DAI,1600000\n\
         2021-05-22T12:30:00Z,ethereum,aave-v2,{},WETH,,USDC,\n",
        address('1'),
        address('2'),
        address('3')
    );
    bed.import(&bed.file("past.csv", events), &["--dataset", "past"]).succeeded();
    bed.file("deficits.csv", "time,reserve,deficit_usd\n2021-05-20,USDC,150000\n2021-05-20,DAI,20000\n");
    bed.file(
        "risk.csv",
        "time,reserve,at_risk_usd\n2021-05-19,USDC,2000000\n2021-05-20,USDC,400000\n2021-05-19,DAI,100000\n",
    );
}

#[test]
fn policies_are_tried_on_past_liquidations_under_what_is_assumed() {
    let bed = Bed::new();
    past(&bed);
    let (deficits, risk) = (bed.path("deficits.csv").display().to_string(), bed.path("risk.csv").display().to_string());
    let base = ["treasury", "policy", "--dataset", "past", "--opening", "1000000"];
    let whole = [&base[..], &["--recapture-rate", "40%", "--deficits", &deficits, "--debt-at-risk", &risk]].concat();
    let report = bed.json(&whole);
    let notes = report["notes"].to_string();
    // Of bonuses of 50,000 and of a sixteenth of 1,600,000, two fifths.
    for words in [
        "income of $60,000 and deficits of $170,000",
        "1 amounts have no value",
        "40% came to the protocol",
        "2 deficits of",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let row = |policy: &str| table(&report, "policies").iter().find(|row| row["policy"] == policy).unwrap().clone();
    let stakers = |policy: &str| row(policy)["borne_by_stakers"].as_str().unwrap().to_owned();
    // USDC's buffer at the deficit: 100,000; with half of 20,000 more; a tenth of 2,000,000.
    assert_eq!(stakers("fixed"), "50000.00000000");
    assert_eq!(stakers("indexed"), "40000.00000000");
    assert_eq!(stakers("at risk"), "0.00000000");
    // On the first day a cover of 200,000 was wanted of USDC.
    let days = |policy: &str| row(policy)["under_covered_reserve_days"].as_str().unwrap().to_owned();
    assert_eq!((days("fixed").as_str(), days("at risk").as_str()), ("1", "0"), "{report}");
    assert_eq!(row("fixed")["cover_unknown_reserve_days"], "0");
    let without = bed.json(&[&base[..], &["--recapture-rate", "40%", "--reserve", "DAI"]].concat());
    assert!(without["notes"].to_string().contains("income of $40,000 and deficits of $0.00"), "{}", without["notes"]);
    let with = |name: &str, content: &str| bed.file(name, content).display().to_string();
    bed.run(&base).refused("nothing assumed", &["neither fees nor what was recaptured", "--recapture-rate 30.8%"]);
    bed.run(&[&base[..], &["--recapture-rate", "140%"]].concat()).refused("a rate", &["--recapture-rate \"140%\""]);
    bed.run(&[&base[..], &["--recapture-rate", "1%", "--reserve", "WBTC"]].concat())
        .refused("a reserve", &["WBTC", "there are DAI, USDC"]);
    for (content, says) in [
        ("time,reserve,deficit_usd\n2021-05-20,NOPE,1\n", "no such reserve"),
        ("time,reserve,deficit_usd\n2021-05-20,DAI,-1\n", "negative"),
        ("time,reserve,deficit_usd\n2021-05-20,DAI,1\n2021-05-20T10:00:00Z,DAI,1\n", "stands twice"),
        ("time,reserve,deficit_usd\n2022-05-20,DAI,1\n", "not within the history's days"),
        ("time,reserve,deficit_usd\nsoon,DAI,1\n", "no moment"),
        ("time,reserve\n", "deficit_usd"),
    ] {
        let file = with("bad.csv", content);
        bed.run(&[&base[..], &["--recapture-rate", "1%", "--deficits", &file]].concat())
            .refused(content, &["bad.csv", says]);
    }
    imported(&bed, "record", &record());
    bed.run(&["treasury", "policy", "--dataset", "record", "--recapture-rate", "1%"])
        .refused("twice", &["says what was recaptured", "leave out --recapture-rate"]);
}

/// What a synced market's liquidations brought and cost stands in the ledger, by the reserve of the debt; entries once, however often recorded.
pub(crate) fn fees_and_deficits_are_booked(bed: &Bed, rows: &[Row]) {
    let address = |text: &str| text.parse::<Address>().expect("an address");
    let mut expected = BTreeMap::<(&str, Address, Address), u128>::new();
    let mut dollars = 0;
    for row in rows {
        let debt = address(&row["debt_address"]);
        let fee: u128 = row["collateral_fee_raw"].parse().expect("a count");
        if fee > 0 {
            *expected.entry(("liquidation-fees", address(&row["collateral_address"]), debt)).or_default() += fee;
            dollars += row.get("protocol_fee_usd").map_or(0, |usd| usd8(usd));
        }
        let deficits: Vec<Value> =
            serde_json::from_str(row.get("deficits").map_or("[]", String::as_str)).expect("JSON");
        for one in deficits {
            let asset = address(one["asset"].as_str().expect("text"));
            let raw: u128 = one["raw"].as_str().expect("text").parse().expect("a count");
            *expected.entry(("deficit-owed", asset, asset)).or_default() += raw;
        }
    }
    let (counts, report) = recorded(bed, "m");
    assert_eq!(counts[1..], [0, 0, 0], "{report}");
    let files = parquet_files(&bed.archive().join("ledger"));
    let entries: Vec<Row> = files.iter().flat_map(|file| read(file).1).collect();
    let mut found = BTreeMap::<(&str, Address, Address), u128>::new();
    for entry in &entries {
        let key = (entry["credit"].as_str(), address(&entry["token"]), address(&entry["credit_reserve"]));
        *found.entry(key).or_default() += entry["amount_raw"].parse::<u128>().expect("a count");
        assert!(rows.iter().any(|row| row["tx_hash"] == entry["tx_hash"] && row["log_index"] == entry["log_index"]));
    }
    assert_eq!(found, expected);
    assert_eq!(recorded(bed, "m").0, [0, counts[0], 0, 0]);
    if dollars > 0 {
        let policies = bed.json(&["treasury", "policy", "--dataset", "m"]);
        assert_eq!(table(&policies, "policies").len(), 3);
    }
}
