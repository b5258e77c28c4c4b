//! `tidegate map`: levels, accounts and pictures of files of positions; the recorded book where it is at hand.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Bed, table, usd8};

/// Three loans on bitcoin: liquidatable at 50,000, at 40,000, and already; and one on ether.
const BOOK: &str = "account,collateral,collateral_amount,threshold,bonus,debt,debt_amount\n\
    0x00000000000000000000000000000000000000a1,WBTC,1,0.80,0.05,USDC,40000\n\
    0x00000000000000000000000000000000000000a2,cbBTC,2,8000,500,USDC,64000\n\
    0x00000000000000000000000000000000000000a3,WBTC,1,0.8,0.05,USDC,60000\n\
    0x00000000000000000000000000000000000000a3,WBTC,1,0.8,0.05,USDC,60000\n\
    0x00000000000000000000000000000000000000a4,WETH,1,0.8,0.05,WBTC,0.02\n\
    0x00000000000000000000000000000000000000a5,WBTC,1,0.8,0.05,=cmd|evil,1\n";

fn book(bed: &Bed) -> String {
    bed.file("book.csv", BOOK).to_string_lossy().into_owned()
}

fn row<'a>(rows: &'a [Value], price: &str) -> &'a Value {
    rows.iter().find(|row| row["price"] == price).unwrap_or_else(|| panic!("{price} in {rows:?}"))
}

#[test]
fn a_file_of_loans_is_mapped() {
    let bed = Bed::new();
    let file = book(&bed);
    let png = bed.path("map.png");
    let args = [
        "map",
        "BTC",
        "--positions",
        &file,
        "--price",
        "BTC=60000,WETH=3000",
        "--step",
        "5%",
        "--top",
        "2",
        "--png",
        png.to_str().unwrap(),
    ];
    let report = bed.json(&args);
    assert_eq!(report["standing"], "imported");
    let rows = table(&report, "levels");
    // At today's price only the third is liquidatable; a fall to 48,000 brings the first, one to 39,000 the second.
    for (price, accounts, debt) in [
        ("60000.00000000", 1, "60000.00000000"),
        ("51000.00000000", 1, "60000.00000000"),
        ("48000.00000000", 2, "100000.00000000"),
        ("39000.00000000", 3, "164000.00000000"),
    ] {
        let row = row(rows, price);
        assert_eq!((&row["accounts"], row["debt"].as_str().unwrap()), (&Value::from(accounts), debt), "{row}");
    }
    // A rise of bitcoin makes the third safe, and brings the one who owes it: 3,000 * 0.8 against 0.02 of it.
    assert_eq!(row(rows, "81000.00000000")["accounts"], 0);
    let bought = bed.json(&["map", "BTC", "--positions", &file, "--price", "BTC=60000,WETH=3000", "--to", "+150%"]);
    assert_eq!(row(table(&bought, "levels"), "121500.00000000")["accounts"], 1);
    let who = table(&report, "accounts");
    let first = who.iter().find(|row| row["reached_at"] == "48000.00000000").unwrap();
    assert_eq!(first["account"], "0x00000000000000000000000000000000000000a1");
    // 40,000 against 0.8 of it: at 50,000 the health factor is 1, one unit lower it is below.
    assert_eq!(first["liquidatable_from"], "49999.99999999");
    // The protocol's fee is not in the file, and so is what rests on it.
    assert_eq!(row(rows, "48000.00000000")["protocol_fee"], Value::Null);
    let notes = report["notes"].to_string();
    assert!(notes.contains("1 accounts of book.csv owe something and are left out"), "{notes}");
    assert!(std::fs::read(png).unwrap().starts_with(b"\x89PNG"));
}

/// Values in dollars alone, of tokens that are the asset and of one that nobody prices.
#[test]
fn a_file_of_values_alone_becomes_amounts_or_is_left_out() {
    let bed = Bed::new();
    let values = bed.file(
        "values.csv",
        "account,collateral,collateral_usd,threshold,debt,debt_usd\n\
         0x00000000000000000000000000000000000000a1,WBTC,60000,0.80,USDC,40000\n\
         0x00000000000000000000000000000000000000a2,WBTC,60000,0.80,ODD,40000\n\
         0x00000000000000000000000000000000000000a3,ODD,60000,,USDC,40000\n\
         0x00000000000000000000000000000000000000a4,WBTC,0,0.80,USDC,40000\n\
         0x00000000000000000000000000000000000000a5,ODD,60000,,USDC,0\n",
    );
    let values = values.to_string_lossy().into_owned();
    let report = bed.json(&["map", "BTC", "--positions", &values, "--price", "BTC=60000", "--step", "5%"]);
    let rows = table(&report, "levels");
    for (price, accounts, collateral) in [("60000.00000000", 0, "0.00000000"), ("48000.00000000", 1, "48000.00000000")]
    {
        let row = row(rows, price);
        assert_eq!(
            (&row["accounts"], row["collateral"].as_str().unwrap()),
            (&Value::from(accounts), collateral),
            "{row}"
        );
    }
    let notes = report["notes"].to_string();
    // The second owes and the third holds what nobody prices; the fourth holds nothing; the fifth owes nothing.
    for said in [
        "2 accounts of values.csv owe something and are left out",
        "1 accounts owe something and hold nothing",
        "2 rows hold ODD and say no liquidation threshold",
        "--threshold ODD=78%",
    ] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
}

#[test]
fn files_of_two_moments_are_not_added_up() {
    let bed = Bed::new();
    let file = |name: &str, usd: u32| {
        let row = format!("0x00000000000000000000000000000000000000a1,WBTC,1,{usd},0.80,USDC,40000\n");
        let content = format!("account,collateral,collateral_amount,collateral_usd,threshold,debt,debt_amount\n{row}");
        bed.file(name, content).to_string_lossy().into_owned()
    };
    let (then, near, now) = (file("then.csv", 50_000), file("near.csv", 60_900), file("now.csv", 60_000));
    let report = bed.json(&["map", "BTC", "--positions", &now, "--positions", &near, "--step", "5%"]);
    assert_eq!(row(table(&report, "levels"), "48000.00000000")["accounts"], 2);
    let ran = bed.run(&["map", "BTC", "--positions", &now, "--positions", &then]);
    let expected = "then.csv has BTC at $50,000, and now.csv has BTC at $60,000: more than 2 % apart";
    assert!(ran.code == Some(1) && ran.err.contains(expected), "{ran:?}");
}

#[test]
fn what_is_not_understood_says_what_to_do() {
    let bed = Bed::new();
    let file = book(&bed);
    let bare = bed.file("bare.csv", "account,collateral,collateral_amount,debt,debt_amount\n0x00000000000000000000000000000000000000a1,WBTC,1,USDC,1\n");
    let bare = bare.to_string_lossy().into_owned();
    for (args, expected) in [
        (vec!["map", "BTC"], "tidegate sync"),
        (vec!["map", "BTC", "--positions", &file], "--price BTC=DOLLARS"),
        (vec!["map", "BTC", "--positions", &bare, "--price", "BTC=60000"], "--threshold WBTC=78%"),
        (vec!["map", "BTC", "--positions", &file, "--price", "BTC=0"], "--price takes"),
        (vec!["map", "BTC", "--positions", &file, "--price", "BTC=60000", "--from", "-100%"], "--from must be above"),
        (vec!["map", "BTC", "--positions", &file, "--price", "BTC=60000", "--step", "0%"], "--step takes"),
        (vec!["map", "BTC", "--positions", &file, "--price", "BTC=60000", "--levels", "0"], "--levels"),
        (vec!["map", "BTC", "--positions", &file, "--map", "nothing=x"], "there is no field"),
        (vec!["map", "BTC", "--market", "nowhere"], "nowhere"),
    ] {
        let ran = bed.run(&args);
        assert!(ran.code == Some(1) && ran.err.contains(expected), "{args:?}: {ran:?}");
    }
}

/// Loans on bitcoin in Aave V3 on Ethereum, about 2026-02-24: bitcoin then cost 64,000; thresholds and bonuses of that day.
#[test]
fn the_recorded_book_of_loans_on_bitcoin_gives_its_figures() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from);
    let file = folder.join("aave_positions/ethereum_btc_collateral_2026-02/collateral_open_positions.parquet");
    if !file.is_file() {
        println!("skipped: no real data at {}; TIDEGATE_DATA names its folder", file.display());
        return;
    }
    let bed = Bed::new();
    let file = file.to_string_lossy().into_owned();
    let args = [
        "map",
        "BTC",
        "--positions",
        &file,
        "--map",
        "collateral_amount=btc_collateral_tokens",
        "--only",
        "version=V3",
        "--price",
        "BTC=64000",
        "--threshold",
        "wBTC=78%,cbBTC=78%,tBTC=78%",
        "--bonus",
        "wBTC=5%,cbBTC=7.5%,tBTC=7.5%",
        "--as-of",
        "2026-02-24",
        "--from",
        "-60%",
        "--to",
        "0%",
        "--levels",
        "61",
    ];
    let report = bed.json(&args);
    assert_eq!(report["standing"], "imported");
    let rows = table(&report, "levels");
    let figures = |price: &str| {
        let row = row(rows, price);
        let millions = |name: &str| usd8(row[name].as_str().unwrap()) / 100_000_000_000_000;
        (row["accounts"].as_u64().unwrap(), millions("debt"), millions("collateral"))
    };
    // The same from columns alone: the largest of each account's amounts, 0.78 of the collateral against the debt.
    for (price, expected) in [
        ("64000.00000000", (590, 558, 353)),
        ("60160.00000000", (638, 611, 398)),
        ("58240.00000000", (693, 658, 444)),
        ("55040.00000000", (792, 725, 503)),
        ("48000.00000000", (1_083, 970, 732)),
        ("39680.00000000", (1_385, 1_534, 1_258)),
        ("25600.00000000", (1_779, 1_870, 1_163)),
    ] {
        assert_eq!(figures(price), expected, "{price}");
    }
    let debts: Vec<i128> = rows.iter().map(|row| usd8(row["debt"].as_str().unwrap())).collect();
    assert!(debts.is_sorted_by(|lower, higher| lower >= higher), "no fall makes a loan on bitcoin safer");
    let notes = report["notes"].to_string();
    assert!(notes.contains("776 accounts owe something and hold nothing that the file names"), "{notes}");
    // They owe something that nobody prices; what rounds to nothing is not owed.
    assert!(notes.contains("243 accounts of"), "{notes}");
    assert!(notes.contains("Other collateral and other debt of these accounts"), "{notes}");
}
