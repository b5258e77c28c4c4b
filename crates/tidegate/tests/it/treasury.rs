//! The treasury as an accountant meets it: files in, statements out, other people's programs as judges, and disks that refuse.

use std::process::Command;

use serde_json::Value;

use crate::support::{Bed, Ran, command, footer, parquet_files, read, row_count, table};

const TRANSFERS: &str = "\
id,group,time,network,asset,debit,credit,amount,reserve,usd,tx_hash,log_index
o1,,2026-01-01,ethereum,USDC,cash,opening-equity,1000000,,1000000,,
o2,,2026-01-01,ethereum,native,cash,opening-equity,100,,250000,,
,,2026-01-05T10:00:00Z,ethereum,native,svr-receivable,svr-share,12.5,USDC,31250,0x1111111111111111111111111111111111111111111111111111111111111111,7
,,2026-01-13,ethereum,native,cash,svr-receivable,8.125,,,0x2222222222222222222222222222222222222222222222222222222222222222,
b,,2026-01-14,ethereum,USDC,loss-buffer,cash,100000,USDC,100000,,
d,,2026-02-03,ethereum,USDC,deficit-realised,deficit-owed,30000,USDC,30000,,
c,,2026-02-04,ethereum,USDC,deficit-owed,loss-buffer,30000,USDC,30000,,
x1,swap,2026-02-10,ethereum,native,exchange,cash,10,,25000,,
x2,swap,2026-02-10,ethereum,USDC,cash,exchange,25000,,25000,,
";
const PRICES: &str = "network,asset,day,usd
ethereum,USDC,2026-01-31,1
ethereum,native,2026-01-31,2500
ethereum,USDC,2026-02-28,0.9998
ethereum,native,2026-02-28,2600
";

/// The rejects and the totals of a recording.
fn recorded(bed: &Bed, file: &str, options: &[&str]) -> (Vec<Value>, Value) {
    let path = bed.path(file).display().to_string();
    let report = bed.json(&[&["treasury", "record", &path], options].concat());
    let is_there = report["tables"].get("rejects").is_some();
    let rejects = if is_there { table(&report, "rejects").clone() } else { Vec::new() };
    (rejects, table(&report, "recorded")[0].clone())
}

fn counts(total: &Value) -> [u64; 3] {
    ["posted", "repeated", "rejected"].map(|name| total[name].as_u64().unwrap())
}

fn prepared() -> Bed {
    let bed = Bed::new();
    bed.file("t.csv", TRANSFERS);
    bed.file("p.csv", PRICES);
    assert_eq!(counts(&recorded(&bed, "t.csv", &[]).1), [9, 0, 0]);
    bed
}

fn balance(bed: &Bed, account: &str, asset: &str) -> String {
    let report = bed.json(&["treasury", "ledger", "--balances"]);
    let rows = table(&report, "balances");
    let row = rows.iter().find(|row| row["account"] == account && row["asset"] == asset);
    row.unwrap_or_else(|| panic!("no {account} in {rows:?}"))["balance"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_recorded_can_be_followed_to_its_transaction_and_is_taken_once() {
    let bed = prepared();
    assert_eq!(counts(&recorded(&bed, "t.csv", &[]).1), [0, 9, 0]);
    let report = bed.json(&["treasury", "ledger", "--account", "svr-share", "--reserve", "USDC", "--month", "2026-01"]);
    let [entry] = &table(&report, "entries")[..] else { panic!("{report}") };
    assert_eq!(entry["from"], "0x1111111111111111111111111111111111111111111111111111111111111111");
    assert_eq!(
        (&entry["place"], &entry["amount"], &entry["standing"]),
        (&7.into(), &"12.5".into(), &"imported".into())
    );
    assert_eq!(balance(&bed, "svr-receivable", "ETH"), "4.375");
    let words = bed.run(&["treasury", "ledger"]).out;
    assert!(words.contains("12.5 ETH accrued, 8.125 transferred, 4.375 not transferred yet"), "{words}");
    let report = bed.json(&["treasury", "ledger", "--network", "base"]);
    assert!(table(&report, "entries").is_empty());
    // The rows lie in the archive as any program reads them.
    let files = parquet_files(&bed.archive().join("ledger"));
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(row_count(file), 9);
    assert_eq!(footer(file)["standing"], "imported");
    assert_eq!(read(file).1[0]["amount_raw"], "1000000000000");
}

#[test]
fn a_group_whose_rows_are_not_all_known_is_not_recorded_at_all() {
    let heading = "id,group,time,network,asset,debit,credit,amount";
    let sold = "s1,sale,2026-02-11,ethereum,native,exchange,cash,10";
    let got = "s2,sale,2026-02-11,ethereum,USDC,cash,exchange,25000";
    let other = "o9,,2026-02-11,ethereum,USDC,grants,cash,1";
    let cut = "s2,sale,2026-02-11,ethereum";
    let all = [
        ([sold, cut, other], "may belong to it", 1),
        ([cut, got, other], "may belong to it", 1),
        ([sold, other, got], "comes again in row 3", 1),
    ];
    for (rows, why, posted) in all {
        let bed = prepared();
        bed.file("bad.csv", format!("{heading}\n{}\n", rows.join("\n")));
        let (rejects, total) = recorded(&bed, "bad.csv", &[]);
        assert_eq!(counts(&total)[0], posted, "{rows:?}: {rejects:?}");
        assert!(rejects.iter().any(|row| row["why"].as_str().unwrap().contains(why)), "{rows:?}: {rejects:?}");
        assert_eq!(balance(&bed, "cash", "ETH"), "98.125");
        // Mended, it is recorded.
        bed.file("good.csv", format!("{heading}\n{sold}\n{got}\n"));
        assert_eq!(counts(&recorded(&bed, "good.csv", &[]).1), [2, 0, 0]);
        assert_eq!(balance(&bed, "cash", "ETH"), "88.125");
    }
}

#[test]
fn an_asset_under_another_name_is_not_booked_again() {
    let bed = prepared();
    let hash = "0x1111111111111111111111111111111111111111111111111111111111111111";
    for asset in ["ETH", "eth", "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"] {
        let row = format!("2026-01-05T10:00:00Z,ethereum,{asset},svr-receivable,svr-share,12.5,USDC,31250,{hash},7");
        bed.file("again.csv", format!("time,network,asset,debit,credit,amount,reserve,usd,tx_hash,log_index\n{row}\n"));
        assert_eq!(counts(&recorded(&bed, "again.csv", &[]).1), [0, 1, 0], "{asset}");
    }
    // One transaction can pay twice: without a place for each they cannot be told apart.
    let row = format!("2026-02-11,ethereum,USDC,service-providers,cash,50,{hash}");
    bed.file("twice.csv", format!("time,network,asset,debit,credit,amount,tx_hash\n{row}\n{row}\n"));
    let twice = std::fs::read_to_string(bed.path("twice.csv")).unwrap();
    let (code, rejects, totals) = tried(&bed, &twice);
    assert_eq!((code, totals), (Some(1), [0, 0, 2]));
    assert!(rejects[0].1.contains("neither id nor log_index"), "{rejects:?}");
}

#[test]
fn a_row_that_cannot_stand_is_shown_with_its_reason_and_the_rest_is_taken() {
    let bed = prepared();
    bed.file(
        "tokens.csv",
        "chain_id,address,symbol,decimals\n1,0x00000000000000000000000000000000000000aa,=EVIL\u{202e}\u{1b}[31m,3\n",
    );
    let heading = "id,group,time,network,asset,debit,credit,amount,reserve,held,action,amount_raw,tx_hash,usd";
    let rows = [
        (
            "o1,,2026-01-01,ethereum,USDC,cash,opening-equity,999999,,,,,,",
            "its id stands in the ledger with another content",
        ),
        ("g,,2026-02-11,ethereum,USDC,grants,cash,2000000,,,,,,", "short by 1075000 USDC"),
        ("n,,2026-02-11,ethereum,NOPE,grants,cash,1,,,,,,", "\"NOPE\" is not known on ethereum"),
        ("n,,2026-02-11,atlantis,USDC,grants,cash,1,,,,,,", "\"atlantis\" is no chain"),
        ("n,,2026-02-11,ethereum,USDC,gold,cash,1,,,,,,", "\"gold\" is no account"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,-1,,,,,,", "is negative"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,0,,,,,,", "amount is zero"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,0.0000001,,,,,,", "more digits than the token has decimals"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,1,,,,1,,", "both amount and amount_raw"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,,,,,,,", "neither amount nor amount_raw"),
        ("n,,2026-02-11,ethereum,USDC,grants,grants,1,,,,,,", "debit and credit are one account"),
        ("n,,soon,ethereum,USDC,grants,cash,1,,,,,,", "\"soon\" is neither a day nor a moment"),
        ("n,,1970-01-01,ethereum,USDC,grants,cash,1,,,,,,", "of 2015 to 2099"),
        (",,2026-02-11,ethereum,USDC,grants,cash,1,,,,,,", "neither id nor tx_hash"),
        (",,2026-02-11,ethereum,USDC,grants,cash,1,,,,,0x12,", "no hash of 32 bytes"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,1,,,,,,-5", "usd is negative"),
        ("n,,2026-02-11,ethereum,USDC,grants,cash,1,,,burn,,,", "there is no action \"burn\""),
        ("n,,2026-02-11,ethereum,USDC,grants", ""),
        ("n,,2026-02-11,,,,,,,nothing,void-held,,,", "nothing was held"),
        ("m1,two,2026-02-11,ethereum,USDC,grants,cash,1,,,,,,", "another row of its group was refused"),
        ("m2,two,2026-02-11,ethereum,USDC,cash,loss-buffer,1,,,,,,", "loss-buffer on ethereum is short by 1 USDC"),
    ];
    let lines: Vec<&str> = rows.iter().map(|(row, _)| *row).collect();
    let good = "h,,2026-02-12,ethereum,USDC,grants,cash,60,,,hold,,,\np,,2026-02-13,,,,,,,h,post-held,20000000,,\n\
        e,,2026-02-14,ethereum,0x00000000000000000000000000000000000000aa,cash,opening-equity,1.5,,,,,,\n";
    bed.file("u.csv", format!("{heading}\n{}\n{good}", lines.join("\n")));
    let tokens = bed.path("tokens.csv").display().to_string();
    let (dry, _) = recorded(&bed, "u.csv", &["--tokens", &tokens, "--dry-run"]);
    let (rejects, total) = recorded(&bed, "u.csv", &["--tokens", &tokens]);
    assert_eq!(dry, rejects, "a dry run says what comes of it");
    assert_eq!(counts(&total), [3, 0, rows.len() as u64], "{rejects:?}");
    for ((row, says), reject) in rows.iter().zip(&rejects) {
        assert!(reject["why"].as_str().unwrap().contains(says), "{row}: {reject}");
    }
    let numbers: Vec<u64> = rejects.iter().map(|reject| reject["row"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=rows.len() as u64).collect::<Vec<_>>());
    assert_eq!(balance(&bed, "grants", "USDC"), "20");
    let shown = bed.run(&["treasury", "ledger"]).out;
    assert!(shown.contains("EVIL") && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    let misspelt = bed.file("v.csv", "id,time,amuont\n1,2026-01-01,5\n").display().to_string();
    bed.run(&["treasury", "record", &misspelt]).refused("a misspelt column", &["amuont", "fields are id, group"]);
    let absent = bed.path("none.csv").display().to_string();
    bed.run(&["treasury", "record", &absent]).refused("no file", &["none.csv", "cannot read"]);
    bed.run(&["treasury", "ledger", "--month", "2026-13"]).refused("a month", &["2026-13", "no month such as 2026-02"]);
    bed.run(&["treasury", "ledger", "--account", "gold"]).refused("an account", &["gold", "there are cash"]);
}

/// The exit code, the rejects by row, and the totals of a recording of which nothing may be taken.
fn tried(bed: &Bed, content: &str) -> (Option<i32>, Vec<(u64, String)>, [u64; 3]) {
    let path = bed.file("tried.csv", content).display().to_string();
    let ran = bed.run(&["treasury", "record", &path, "--format", "json"]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let rejects = report["tables"].get("rejects").map(|_| table(&report, "rejects").clone()).unwrap_or_default();
    let rejects = rejects.iter().map(|row| (row["row"].as_u64().unwrap(), row["why"].as_str().unwrap().to_owned()));
    (ran.code, rejects.collect(), counts(&table(&report, "recorded")[0]))
}

#[test]
fn nothing_of_a_group_is_taken_where_a_part_of_it_may_be_missing() {
    let heading = "id,group,time,network,asset,debit,credit,amount\n";
    let row = |id: &str, group: &str| format!("{id},{group},2026-01-01,ethereum,USDC,cash,opening-equity,1\n");
    let broken = "b,g,2026-01-01,ethereum\n".to_owned();
    for (rows, refused, says) in [
        // A row that cannot be told into columns, after, before and within a group.
        (vec![row("a", "g"), row("c", "g"), broken.clone()], vec![1, 2, 3], "row 3 beside its group"),
        (vec![broken.clone(), row("a", "g"), row("c", "g")], vec![1, 2, 3], "row 1 beside its group"),
        (vec![row("a", "g"), broken.clone(), row("c", "g")], vec![1, 2, 3], "row 2 beside its group"),
        // Rows of one name with others between them.
        (vec![row("a", "g"), row("x", ""), row("c", "g")], vec![1, 3], "rows of a group follow each other"),
        (
            vec![row("a", "g"), row("x", "h"), row("c", "g"), row("d", "g")],
            vec![1, 3, 4],
            "rows of a group follow each other",
        ),
        (vec![row("a", "g"), row("c", "g"), row("x", ""), broken, row("y", "")], vec![4], ""),
    ] {
        let bed = Bed::new();
        let (_, rejects, totals) = tried(&bed, &format!("{heading}{}", rows.concat()));
        let numbers: Vec<u64> = rejects.iter().map(|(row, _)| *row).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, refused, "{rows:?}: {rejects:?}");
        assert!(rejects.iter().any(|(_, why)| why.contains(says)), "{rejects:?}");
        assert_eq!(totals, [rows.len() as u64 - refused.len() as u64, 0, refused.len() as u64], "{rows:?}");
    }
}

const TX: &str = "0x3333333333333333333333333333333333333333333333333333333333333333";

#[test]
fn a_log_is_taken_once_whatever_its_asset_is_called_and_two_payments_are_two() {
    let heading = "id,time,network,asset,debit,credit,amount,reserve,tx_hash,log_index\n";
    let native = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    for (debit, credit, reserve) in [
        ("svr-receivable", "svr-share", "USDC"),
        ("cash", "svr-receivable", ""),
        ("cash", "liquidation-fees", "WETH"),
        ("cash", "reserve-factor", "USDC"),
    ] {
        let bed = Bed::new();
        for (asset, network, expected) in
            [("native", "ethereum", [1, 0, 0]), ("ETH", "1", [0, 1, 0]), (native, "mainnet", [0, 1, 0])]
        {
            let row = format!(",2026-01-05,{network},{asset},{debit},{credit},1,{reserve},{TX},4\n");
            let (code, rejects, totals) = tried(&bed, &format!("{heading}{row}"));
            assert_eq!((code, totals), (Some(0), expected), "{asset} {debit} {credit}: {rejects:?}");
        }
        // Another log of the transaction is another payment.
        let row = format!(",2026-01-05,ethereum,native,{debit},{credit},1,{reserve},{TX},5\n");
        assert_eq!(tried(&bed, &format!("{heading}{row}")).2, [1, 0, 0]);
    }
    let bed = Bed::new();
    let twice = format!(",2026-01-05,ethereum,native,cash,svr-receivable,1,,{TX},\n").repeat(2);
    let (_, rejects, totals) = tried(&bed, &format!("{heading}{twice}"));
    assert_eq!(totals, [1, 0, 1]);
    assert!(
        rejects[0].1.contains("row 1 is of the same transaction") && rejects[0].1.contains("log_index"),
        "{rejects:?}"
    );
    let named = twice.replacen(",2026", "mine,2026", 2).replacen("mine,", ",", 1);
    assert_eq!(tried(&bed, &format!("{heading}{named}")).2, [1, 1, 0]);
}

#[test]
fn what_no_statement_could_show_is_refused_or_warned_of() {
    let heading = "id,group,time,network,asset,debit,credit,amount,reserve,usd\n";
    let bed = Bed::new();
    for (row, says) in [
        ("x,,2026-01-01,ethereum,USDC,cash,exchange,1,,\n", "one leg of an exchange alone"),
        ("x,g,2026-01-01,ethereum,USDC,cash,exchange,1,,\ny,g,2026-01-01,ethereum,WETH,cash,exchange,1,,\n", "one leg"),
        ("x,g,2026-01-01,ethereum,USDC,cash,exchange,2,,\ny,g,2026-01-01,ethereum,USDC,exchange,cash,1,,\n", "one leg"),
        ("x,,2026-01-01,ethereum,native,svr-receivable,svr-share,1,native,\n", "as WETH does ETH"),
        ("x,,2026-01-01,ethereum,native,svr-receivable,svr-share,1,ETH,\n", "as WETH does ETH"),
        ("x,,2026-01-01,plasma,ETH,cash,opening-equity,1,,\n", "not known on plasma"),
    ] {
        let (code, rejects, totals) = tried(&bed, &format!("{heading}{row}"));
        // A recording of which nothing was taken has failed.
        assert_eq!((code, totals[0]), (Some(1), 0), "{row}: {rejects:?}");
        assert!(rejects.iter().any(|(_, why)| why.contains(says)), "{row}: {rejects:?}");
    }
    let good = "o,,2026-01-01,ethereum,USDC,cash,opening-equity,5,,5\n\
        a,,2026-01-01,ethereum,native,svr-receivable,svr-share,1,WETH,2500\n\
        b,,2026-01-02,ethereum,native,cash,svr-share,1,WETH,\n\
        x,g,2026-01-03,ethereum,native,exchange,cash,1,,\ny,g,2026-01-03,ethereum,USDC,cash,exchange,2,,\n";
    let file = bed.file("good.csv", format!("{heading}{good}")).display().to_string();
    let words = bed.run(&["treasury", "record", &file]).out;
    assert!(
        words.contains("1 ETH were recorded from svr-share straight into cash") && words.contains("income twice"),
        "{words}"
    );
    assert!(bed.run(&["treasury", "ledger"]).out.contains("income twice"));
    let cash = bed.run(&["treasury", "statement", "--kind", "cash", "--format", "csv"]).out;
    assert!(cash.contains(",exchange,exchange,ethereum,USDC,2,"), "{cash}");
    // Another value of what stands there is no other transfer, and is told.
    let valued = good.replace("5,,5\n", "5,,6\n").replace("cash,svr-share,1,WETH,\n", "cash,svr-share,1,WETH,2400\n");
    let (code, rejects, totals) = tried(&bed, &format!("{heading}{valued}"));
    assert_eq!((code, totals), (Some(0), [0, 5, 0]), "{rejects:?}");
    assert!(rejects[0].1.contains("a value of $6") && rejects[0].1.contains("has $5"), "{rejects:?}");
    assert!(rejects[1].1.contains("has no value for it"), "{rejects:?}");
}

#[test]
fn programs_get_every_reject_and_people_the_first_hundred() {
    let bed = Bed::new();
    let mut rows =
        "id,time,network,asset,debit,credit,amount\nok,2026-01-01,ethereum,USDC,cash,opening-equity,1\n".to_owned();
    (0..150).for_each(|number| rows.push_str(&format!("n{number},2026-01-01,ethereum,NOPE,cash,opening-equity,1\n")));
    let (code, rejects, totals) = tried(&bed, &rows);
    assert_eq!((code, rejects.len(), totals), (Some(0), 150, [1, 0, 150]));
    let path = bed.path("tried.csv").display().to_string();
    let words = bed.run(&["treasury", "record", &path]).out;
    assert!(words.contains("50 more rejects are not shown") && words.matches("NOPE").count() == 100, "{words}");
}

#[test]
fn statements_balance_in_every_form_and_what_has_no_price_is_missing() {
    let bed = prepared();
    let prices = bed.path("p.csv").display().to_string();
    let statement = |kind: &str, more: &[&str]| bed.json(&[&["treasury", "statement", "--kind", kind], more].concat());
    let of = |report: &Value, month: &str, section: &str| -> Value {
        let rows = table(report, "totals");
        rows.iter()
            .find(|row| row["month"] == month && row["section"] == section)
            .map_or(Value::Null, |row| row["usd"].clone())
    };
    let sheet = statement("balance", &["--prices", &prices]);
    for month in ["2026-01", "2026-02"] {
        assert_eq!(of(&sheet, month, "assets"), of(&sheet, month, "equity"), "nothing is owed at a month's end");
    }
    // 900,000 and 100,000 USDC at 1; 112.5 ETH at 2,500.
    assert_eq!(of(&sheet, "2026-01", "assets"), "1281250.00000000");
    let income = statement("income", &["--per", "reserve"]);
    let row = &table(&income, "statement")[0];
    assert_eq!(
        (&row["part"], &row["item"], &row["usd"]),
        (&"ethereum, USDC".into(), &"svr-share".into(), &"31250.00000000".into())
    );
    // The safe's transfer carries no value and no price is given for its day.
    let cash = statement("cash", &["--month", "2026-01"]);
    assert_eq!(of(&cash, "2026-01", "operating"), Value::Null);
    let notes = bed.run(&["treasury", "statement", "--kind", "cash"]).out;
    assert!(
        notes.contains("No price is given for ETH on ethereum in 2026-01") && notes.contains("missing, not zero"),
        "{notes}"
    );
    for per in ["network", "consolidated"] {
        let csv = bed.run(&["treasury", "statement", "--kind", "balance", "--per", per, "--format", "csv"]).out;
        assert!(csv.starts_with("month,part,section,item,network,asset,amount,usd"), "{csv}");
    }
    let out = bed.path("s.parquet").display().to_string();
    bed.run(&["treasury", "statement", "--format", "parquet", "--out", &out]).succeeded();
    assert_eq!(row_count(&bed.path("s.parquet")), 2);
    for (content, says) in [
        ("network,asset,day,usd\nethereum,USDC,soon,1\n", "\"soon\" is no day"),
        ("network,asset,day,usd\nethereum,USDC,2026-01-31,-1\n", "not above zero"),
        ("network,asset,day,usd\nethereum,NOPE,2026-01-31,1\n", "NOPE"),
    ] {
        let bad = bed.file("bad.csv", content).display().to_string();
        bed.run(&["treasury", "statement", "--prices", &bad]).refused(content, &["bad.csv", "row 1", says]);
    }
    let twice = "network,asset,day,usd\nethereum,USDC,2026-01-31,1\nethereum,USDC,2026-01-31T12:00:00Z,2\n";
    let twice = bed.file("twice.csv", twice).display().to_string();
    bed.run(&["treasury", "statement", "--prices", &twice])
        .refused("two prices", &["row 2", "second price of its day"]);
}

/// A program of somebody else's; none where it is not installed, and that is said.
fn judge(name: &str) -> Option<Command> {
    let is_there = Command::new(name).arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !is_there {
        println!("skipped: {name} is not installed");
    }
    is_there.then(|| Command::new(name))
}

#[test]
fn other_peoples_programs_find_the_exported_books_in_order() {
    let bed = prepared();
    let hostile = "id,time,network,asset,debit,credit,amount\n\
        e,2026-03-01,ethereum,0x00000000000000000000000000000000000000aa,cash,opening-equity,1.5\n\
        f,2026-03-01,ethereum,0x00000000000000000000000000000000000000bb,cash,opening-equity,0.000000000000000001\n";
    let tokens = "chain_id,address,symbol,decimals\n1,0x00000000000000000000000000000000000000aa,US DC;\"|,3\n\
        1,0x00000000000000000000000000000000000000bb,usdc,18\n";
    let tokens = bed.file("tokens.csv", tokens).display().to_string();
    bed.file("row \"1\" ; | x.csv", hostile);
    assert_eq!(counts(&recorded(&bed, "row \"1\" ; | x.csv", &["--tokens", &tokens]).1), [2, 0, 0]);
    let exported = |format: &str| {
        let out = bed.path(&format!("o.{format}"));
        bed.run(&["treasury", "statement", "--format", format, "--out", &out.display().to_string()]).succeeded();
        out
    };
    let (beancount, ledger) = (exported("beancount"), exported("ledger"));
    type Judge<'a> = (&'a str, &'a [&'a str], &'a std::path::Path, &'a str, &'a str);
    let judges: [Judge<'_>; 3] = [
        (
            "bean-check",
            &[],
            &beancount,
            "balance Assets:Cash:Ethereum:ETH  108.125",
            "balance Assets:Cash:Ethereum:ETH  108.1250000001",
        ),
        ("hledger", &["check", "-f"], &ledger, "= 108.125 ", "= 108.1250000001 "),
        ("ledger", &["bal", "-f"], &ledger, "= 108.125 ", "= 108.1250000001 "),
    ];
    for (name, args, file, right, wrong) in judges {
        let Some(mut program) = judge(name) else { continue };
        let ran = Ran::of({
            program.args(args).arg(file);
            program
        });
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        // A judge that finds nothing wrong with anything is none.
        let content = std::fs::read_to_string(file).unwrap();
        assert!(content.contains(right), "{content}");
        let spoilt =
            bed.file(&format!("spoilt.{}", file.extension().unwrap().display()), content.replace(right, wrong));
        let mut program = Command::new(name);
        program.args(args).arg(spoilt);
        assert_ne!(Ran::of(program).code, Some(0), "{name} takes wrong balances");
    }
}

#[cfg(unix)]
#[test]
fn a_disk_that_refuses_in_the_middle_of_a_batch_costs_that_batch_alone() {
    let bed = prepared();
    let mut many = "id,time,network,asset,debit,credit,amount\n".to_owned();
    for number in 0..20_000_u32 {
        many.push_str(&format!(
            "n{number},2026-03-01,ethereum,USDC,cash,reserve-factor,{}.{number:06}\n",
            number % 97 + 1
        ));
    }
    let file = bed.file("many.csv", many).display().to_string();
    let before = balance(&bed, "cash", "USDC");
    let (mut blocks, mut refusals) = (1_u32, 0);
    loop {
        let program = command(&bed.archive(), &["treasury", "record", &file]);
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\""]).arg(blocks.to_string());
        shell.arg(program.get_program()).args(program.get_args());
        let ran = Ran::of(shell);
        if ran.code == Some(0) {
            break;
        }
        ran.refused("a limit", &["/ledger", "beyond the allowed size"]);
        refusals += 1;
        assert_eq!(balance(&bed, "cash", "USDC"), before);
        blocks *= 4;
    }
    assert!(refusals > 2, "nothing was refused");
    let whole: u64 = (0..20_000_u64).map(|number| (number % 97 + 1) * 1_000_000 + number).sum();
    assert_eq!(
        balance(&bed, "reserve-factor", "USDC"),
        format!("{}.{:06}", whole / 1_000_000, whole % 1_000_000).trim_end_matches('0')
    );
    assert_eq!(counts(&recorded(&bed, "many.csv", &[]).1), [0, 20_000, 0]);
    assert_eq!(parquet_files(&bed.archive().join("ledger")).len(), 2);
}

#[test]
fn a_batch_that_is_gone_is_missed() {
    let bed = prepared();
    bed.file("more.csv", "id,time,network,asset,debit,credit,amount\nz,2026-03-01,ethereum,USDC,grants,cash,1\n");
    recorded(&bed, "more.csv", &[]);
    std::fs::remove_file(bed.archive().join("ledger/000000000001.parquet")).unwrap();
    bed.run(&["treasury", "ledger"]).refused("a gap", &["000000000001.parquet: is missing", "backup"]);
    let bed = prepared();
    recorded(&bed, "t.csv", &[]);
    std::fs::remove_file(bed.archive().join("ledger/000000000001.parquet")).unwrap();
    let says = ["says that there are 1 batches, and only 0 are there", "backup"];
    bed.run(&["treasury", "ledger"]).refused("the last one", &says);
}

const HISTORY: &str = "time,reserve,income_usd,deficit_usd,at_risk_usd,available_usd,debt_usd,reserve_factor,optimal_usage,base_rate,slope_1,slope_2
2026-01-01,USDC,10000,0,5000000,1000000,9000000,10%,90%,0%,5%,60%
2026-01-01,WETH,0,0,1000000,,,,,,,
2026-02-01,USDC,400000,150000,8000000,1000000,9000000,10%,90%,0%,5%,60%
2026-02-01,WETH,20000,0,2000000,,,,,,,
2026-07-31,USDC,0,120000,3000000,1000000,9000000,10%,90%,0%,5%,60%
2026-07-31,WETH,0,0,500000,,,,,,,
";

#[test]
fn four_policies_stand_side_by_side_over_one_history() {
    let bed = Bed::new();
    let history = bed.file("h.csv", HISTORY).display().to_string();
    let svg = bed.path("c.svg").display().to_string();
    let args = ["treasury", "policy", "--history", &history, "--opening", "1000000", "--svg", &svg];
    let report = bed.json(&args);
    assert_eq!(report["standing"], "assumed");
    let rows = table(&report, "policies");
    let of = |policy: &str, column: &str| {
        let row = rows.iter().find(|row| row["policy"] == policy).unwrap();
        row[column].as_str().unwrap().to_owned()
    };
    // At the first deficit of 150,000 the buffer is 100,000, or grown by half of 10,000, or a tenth of 5,000,000.
    let stakers = |policy| of(policy, "borne_by_stakers");
    assert_eq!(stakers("fixed"), "70000.00000000");
    assert_eq!(stakers("indexed"), "45000.00000000");
    assert_eq!(stakers("at risk"), "0.00000000");
    // What it began with does not decay; of the 5,000 that the first income added, 31 days on 4,437.37 are left.
    assert_eq!(stakers("decaying"), "45562.62686690");
    for policy in ["fixed", "indexed", "decaying", "at risk"] {
        let dollars = |column: &str| of(policy, column).parse::<f64>().unwrap();
        assert_eq!(dollars("covered") + dollars("borne_by_stakers"), 270_000.0);
        assert_eq!(dollars("left") + dollars("covered"), 1_430_000.0);
    }
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("fixed: stakers") && drawn.contains("fixed: idle"));
    // Without the debt at risk nobody knows what lies idle, and no buffer can follow it.
    let unknown =
        HISTORY.replace(",5000000,1000000,", ",,1000000,").replace(",8000000,", ",,").replace(",3000000,", ",,");
    let unknown =
        unknown.replace("0,1000000,,,,,,,", "0,,,,,,,,").replace("0,2000000,", "0,,").replace("0,500000,", "0,,");
    let unknown = bed.file("unknown.csv", unknown).display().to_string();
    let report = bed.json(&["treasury", "policy", "--history", &unknown, "--svg", &svg]);
    let rows = table(&report, "policies");
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["average_idle"].is_null()), "{rows:?}");
    assert!(report["notes"].to_string().contains("The policy at risk is left out"), "{report}");
    let drawn = std::fs::read_to_string(&svg).unwrap();
    assert!(drawn.contains("fixed: stakers") && !drawn.contains("idle</"));
    let named = "name = \"named\"\n[buffer]\nkind = \"at-risk\"\nshare = \"10%\"\nfloor = \"1\"\ncap = \"2\"\n";
    let named = bed.file("named.toml", named).display().to_string();
    bed.run(&["treasury", "policy", "--history", &unknown, "--policy", &named])
        .refused("no risk", &["named", "add at_risk_usd"]);
    let policy = "name = \"mine\"\n[buffer]\nkind = \"fixed\"\ntargets = { USDC = \"100000\" }\n[[use]]\nkind = \"deposit\"\nreserve = \"USDC\"\nshare = \"50%\"\n";
    let mine = bed.file("mine.toml", policy).display().to_string();
    let report = bed.json(&["treasury", "policy", "--history", &history, "--opening", "1000000", "--policy", &mine]);
    let row = &table(&report, "policies")[0];
    assert!(row["earned"].as_str().unwrap().parse::<f64>().unwrap() > 1_000.0, "{row}");
    assert_eq!(table(&report, "policies").len(), 1);
    let wrong = bed.file("wrong.toml", policy.replace("50%", "150%")).display().to_string();
    bed.run(&["treasury", "policy", "--history", &history, "--policy", &wrong])
        .refused("a share", &["wrong.toml", "[[use]] number 1", "share", "at most 100%"]);
    for (from, to, says) in [
        ("2026-07-31,WETH,0,0,500000,,,,,,,\n", "", "nothing is said of WETH"),
        ("2026-01-01,WETH,0,0", "2026-01-01,WETH,,0", "it has no income_usd"),
        ("2026-01-01,WETH,0,0", "2026-01-01,WETH,-1,0", "negative"),
        ("2026-02-01,WETH", "2026-01-01,WETH", "WETH stands twice"),
        (
            "2026-01-01,USDC,10000,0,5000000,1000000,9000000,10%,90%",
            "2026-01-01,USDC,10000,0,5000000,1000000,9000000,10%,100%",
            "optimal_usage",
        ),
        ("9000000,10%,90%", "9000000,,90%", "reserve_factor; write 0%"),
        ("9000000,10%,90%", "9000000,10,90%", "write it with %, such as 10%"),
        ("9000000,10%,90%,0%,5%,60%", "9000000,10%,90%,0%,5%,60", "write it with %, such as 60%"),
    ] {
        let bad = bed.file("bad.csv", HISTORY.replacen(from, to, 1)).display().to_string();
        bed.run(&["treasury", "policy", "--history", &bad]).refused(says, &["bad.csv", says]);
    }
}
