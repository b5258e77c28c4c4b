//! Imports: once however often, exact to the digit, the same whatever the format, readable by anybody.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Decimal128Array, FixedSizeBinaryArray, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use proptest::prelude::*;

use crate::support::{Bed, Chance, Event, Row, csv, every_file, footer, read, usd_text};

fn drawn(count: u64) -> Vec<Event> {
    let mut chance = Chance(41);
    (0..count).map(|number| Event::draw(&mut chance, number, 60)).collect()
}

fn keys(bed: &Bed) -> Vec<String> {
    let mut keys: Vec<String> = bed.rows("liquidations").iter().map(|row| row["event_key"].clone()).collect();
    keys.sort();
    keys
}

#[test]
fn twice_is_once() {
    let bed = Bed::new();
    let events = drawn(300);
    let first = bed.file("first.csv", csv(&events[..200]));
    assert!(bed.import(&first, &[]).succeeded().out.contains("200 rows read, 200 taken"));
    let before = every_file(&bed.archive());
    assert!(bed.import(&first, &[]).succeeded().out.contains("already in dataset d, unchanged"));
    // Another name does not make it another file.
    let copy = bed.file("copy.csv", csv(&events[..200]));
    assert!(bed.import(&copy, &[]).succeeded().out.contains("already in dataset d, unchanged"));
    assert_eq!(every_file(&bed.archive()), before);
    let overlapping = bed.file("second.csv", csv(&events[120..]));
    let said = bed.import(&overlapping, &[]);
    assert!(
        said.succeeded().out.contains("180 rows read, 100 taken")
            && said.out.contains("80 rows are events the dataset already holds")
    );
    assert_eq!(bed.rows("rejects").iter().filter(|row| row["reason"] == "already held").count(), 80);
    let mut distinct = keys(&bed);
    distinct.dedup();
    assert_eq!((distinct.len(), keys(&bed).len()), (300, 300));
    // A file that brings nothing new is no failure.
    bed.import(&bed.file("third.csv", csv(&events[50..90])), &[]).succeeded();
    assert_eq!(keys(&bed), distinct);
}

#[test]
fn events_that_could_be_the_same_under_another_key_are_warned_of() {
    let bed = Bed::new();
    let events = drawn(50);
    let warns = |said: &str| said.contains("told apart otherwise");
    let with_log_index = bed.file("with.csv", csv(&events[..30]));
    assert!(!warns(&bed.import(&with_log_index, &[]).succeeded().out));
    assert!(!warns(&bed.import(&bed.file("more.csv", csv(&events[20..])), &[]).succeeded().out));
    let without = bed.import(&bed.file("without.csv", csv(&events[10..40])), &["--map", "log_index="]);
    assert!(warns(&without.succeeded().out), "{}", without.out);
    assert!(without.out.contains("log index, here all fields"), "{}", without.out);
}

#[test]
fn the_same_file_under_other_settings_is_refused() {
    let bed = Bed::new();
    let file = bed.file("in.csv", csv(&drawn(20)));
    bed.import(&file, &[]).succeeded();
    let before = every_file(&bed.archive());
    for other in [["--amounts", "raw"], ["--map", "liquidator="], ["--market", "other"]] {
        bed.import(&file, &other)
            .refused("other settings", &["in.csv", "already, read with other settings", "another --dataset", "delete"]);
    }
    assert_eq!(every_file(&bed.archive()), before);
    bed.import(&file, &["--dataset", "e", "--map", "liquidator="]).succeeded();
}

/// Decimal text of a number of smallest units.
fn tokens(raw: u128, decimals: usize) -> String {
    let digits = format!("{raw:0width$}", width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    format!("{whole}.{fraction}")
}

/// One file per way of writing the same amounts, with the unit they are in.
fn every_way(bed: &Bed, symbol: &str, decimals: usize, amounts: &[u128]) -> Vec<(PathBuf, &'static str)> {
    let user = "0x00000000000000000000000000000000000000aa";
    let text = |amount: &dyn Fn(u128) -> String| {
        let lines = amounts
            .iter()
            .enumerate()
            .map(|(row, raw)| format!("{},1,aave_v3,{user},{symbol},{}\n", 1_700_000_000 + row, amount(*raw)));
        format!("timestamp,chain,market,user,debt_symbol,debt_amount\n{}", lines.collect::<String>())
    };
    let json = |amount: &dyn Fn(u128) -> String| {
        let lines = amounts.iter().enumerate().map(|(row, raw)| {
            format!("{{\"timestamp\":{},\"chain\":1,\"market\":\"aave_v3\",\"user\":\"{user}\",\"debt_symbol\":\"{symbol}\",\"debt_amount\":{}}}\n", 1_700_000_000 + row, amount(*raw))
        });
        lines.collect::<String>()
    };
    let scale = i8::try_from(decimals).unwrap();
    vec![
        (bed.file("tokens.csv", text(&|raw| tokens(raw, decimals))), "tokens"),
        (bed.file("raw.csv", text(&|raw| raw.to_string())), "raw"),
        (bed.file("tokens.jsonl", json(&|raw| format!("\"{}\"", tokens(raw, decimals)))), "tokens"),
        (bed.file("raw.jsonl", json(&|raw| raw.to_string())), "raw"),
        (decimal_parquet(bed, "tokens.parquet", symbol, amounts, scale), "tokens"),
        (decimal_parquet(bed, "raw.parquet", symbol, amounts, 0), "raw"),
    ]
}

fn decimal_parquet(bed: &Bed, name: &str, symbol: &str, amounts: &[u128], scale: i8) -> PathBuf {
    let rows = amounts.len();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let values = amounts.iter().map(|raw| raw.cast_signed());
    let amounts = Decimal128Array::from_iter_values(values).with_precision_and_scale(38, scale).unwrap();
    let times = (0..i64::try_from(rows).unwrap()).map(|row| (1_700_000_000 + row) * 1_000_000);
    let path = bed.path(name);
    write(
        &path,
        vec![
            ("time", Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))),
            ("chain", text("ethereum")),
            ("market", text("aave_v3")),
            ("user", text("0x00000000000000000000000000000000000000AA")),
            ("debt_symbol", text(symbol)),
            ("debt_amount", Arc::new(amounts)),
        ],
    );
    path
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

const MOST: u128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

fn any_raw() -> impl Strategy<Value = u128> {
    prop_oneof![0..=MOST, 0..=u128::from(u64::MAX), 0..1_000_u128, Just(0), Just(MOST), Just(10_u128.pow(37))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 9, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn amounts_read_back_to_the_digit_whatever_the_format(amounts in prop::collection::vec(any_raw(), 1..40), token in 0_usize..3) {
        let (symbol, decimals) = [("USDC", 6), ("WBTC", 8), ("DAI", 18)][token];
        let mut first: Option<Vec<Row>> = None;
        let written = Bed::new();
        for (file, unit) in every_way(&written, symbol, decimals, &amounts) {
            let bed = Bed::new();
            bed.import(&file, &["--amounts", unit]).succeeded();
            let rows = bed.rows("liquidations");
            let raws: Vec<String> = rows.iter().map(|row| row["debt_raw"].clone()).collect();
            prop_assert_eq!(raws, amounts.iter().map(u128::to_string).collect::<Vec<_>>(), "{}", file.display());
            prop_assert!(rows.iter().all(|row| row["debt_basis"] == "exact" && row["debt_decimals"] == decimals.to_string()));
            // Key, symbol, address and all else are the same too.
            prop_assert_eq!(first.get_or_insert_with(|| rows.clone()), &rows, "{}", file.display());
        }
    }
}

#[test]
fn what_is_not_exact_leaves_the_raw_column_empty_and_says_why() {
    let row = |second: u32, symbol: &str, amount: &str| {
        format!(
            "{{\"timestamp\":{second},\"chain\":1,\"market\":\"aave_v3\",\"user\":\"0x{:040x}\",\"debt_symbol\":\"{symbol}\",\"debt_amount\":{amount}}}\n",
            1
        )
    };
    let cases = [
        ("USDC", "1.5", None, "1.5", "float"),
        ("USDC", "1e3", None, "1000", "float"),
        ("USDC", "\"1.5e-3\"", None, "0.0015", "float"),
        ("USDC", "\"0.1234567\"", None, "0.1234567", "too fine"),
        ("USDC", "\"0.1234560000\"", Some("123456"), "0.123456", "exact"),
        ("USDC", "7", Some("7000000"), "7", "exact"),
        ("NOSUCH", "\"2.5\"", None, "2.5", "decimals unknown"),
    ];
    let lines: String =
        (1_700_000_000..).zip(&cases).map(|(second, (symbol, amount, ..))| row(second, symbol, amount)).collect();
    let bed = Bed::new();
    let file = bed.file("in.jsonl", lines);
    let said = bed.import(&file, &[]);
    for words in [
        "3 amounts: the file holds floats",
        "1 amounts: the file gives more digits",
        "1 amounts: the token's decimals are not known",
        "--tokens FILE",
    ] {
        assert!(said.succeeded().out.contains(words), "{words}: {said:?}");
    }
    for (found, (_, amount, raw, tokens, basis)) in bed.rows("liquidations").iter().zip(&cases) {
        let seen =
            (found.get("debt_raw").map(String::as_str), found["debt_amount"].as_str(), found["debt_basis"].as_str());
        assert_eq!(seen, (*raw, *tokens, *basis), "{amount}");
    }
    let list = bed.file(
        "tokens.csv",
        "chain_id,address,symbol,decimals\n1,0x00000000000000000000000000000000000000cc,NOSUCH,3\n",
    );
    bed.import(&file, &["--dataset", "listed", "--tokens", list.to_str().unwrap()]).succeeded();
    let listed = read(&bed.files("listed", "liquidations")[0]).1;
    assert_eq!((listed[6]["debt_raw"].as_str(), listed[6]["debt_decimals"].as_str()), ("2500", "3"));
    assert_eq!(listed[6]["debt_address"], "0x00000000000000000000000000000000000000cc");
}

#[test]
fn floats_of_parquet_are_floats() {
    let bed = Bed::new();
    let file = bed.path("in.parquet");
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; 2])) };
    write(
        &file,
        vec![
            ("timestamp", Arc::new(Float64Array::from(vec![1_621_429_200.0, 1_621_429_201.0]))),
            ("chain", text("ethereum")),
            ("market", text("aave_v2")),
            ("user", text("0x00000000000000000000000000000000000000aa")),
            ("debt_symbol", text("WETH")),
            ("debt_amount", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
            ("debt_price_usd", Arc::new(Float64Array::from(vec![Some(2_500.5), Some(f64::NAN)]))),
        ],
    );
    bed.import(&file, &[]).succeeded();
    let rows = bed.rows("liquidations");
    let column = |name: &str| rows.iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(column("debt_raw"), ["", ""]);
    assert_eq!(column("debt_basis"), ["float", ""]);
    assert_eq!(column("debt_usd"), ["250.05000000", ""], "a value follows from the price, and none from none");
}

#[test]
fn columns_and_gaps_are_as_the_user_says_and_a_dry_run_writes_nothing() {
    let bed = Bed::new();
    let file = bed
        .file("in.csv", "when,who,user,what,much\n1700000000,0x00000000000000000000000000000000000000aa,bob,DAI,2\n");
    let options = [
        "--map",
        "time=when",
        "--map",
        "user=who",
        "--map",
        "debt_symbol=what",
        "--map",
        "debt_amount=much",
        "--chain",
        "polygon",
        "--version",
        "v3",
    ];
    let mut dry = options.to_vec();
    dry.push("--dry-run");
    let said = bed.import(&file, &dry);
    for words in
        ["← who", "not read: user", "Nothing was written", "2000000000000000000 smallest units", "polygon aave_v3 (V3)"]
    {
        assert!(said.succeeded().out.contains(words), "{words}: {said:?}");
    }
    assert!(!bed.archive().exists());
    bed.import(&file, &options).succeeded();
    let rows = bed.rows("liquidations");
    let shown = ["chain_id", "market", "version", "user", "debt_raw"].map(|name| rows[0][name].as_str());
    assert_eq!(shown, ["137", "aave_v3", "V3", "0x00000000000000000000000000000000000000aa", "2000000000000000000"]);
}

#[test]
fn whole_numbers_that_pandas_printed_as_floats_are_whole() {
    let bed = Bed::new();
    let rows = "timestamp,chain,market,user,debt_symbol,debt_amount,block_number,log_index\n\
        1621429200.0,1,aave_v2,0x00000000000000000000000000000000000000aa,DAI,2,12463000.0,7.0\n\
        1621429201.0,1,aave_v2,0x00000000000000000000000000000000000000aa,DAI,2,,\n";
    bed.import(&bed.file("in.csv", rows), &[]).succeeded();
    let row = &bed.rows("liquidations")[0];
    let seen = ["time", "block_number", "log_index"].map(|name| row[name].as_str());
    assert_eq!(seen, ["1621429200000000", "12463000", "7"]);
}

/// The same events as other programs would write them: other names of columns, other types.
fn json_lines(events: &[Event]) -> String {
    let line = |event: &Event| {
        let time = jiff::Timestamp::from_second(event.second).unwrap();
        let mut object = serde_json::json!({
            "block_time": time.to_string(), "blockchain": event.chain, "pool": event.market,
            "evt_tx_hash": format!("0x{:064x}", event.number / 4), "evt_index": event.number % 4,
            "borrower": crate::support::address(event.user).to_uppercase().replace("0X", "0x"),
            "debtAsset": event.debt, "debtToCover": event.debt_amount,
            "collateralAsset": event.collateral, "liquidatedCollateralAmount": event.collateral_amount,
        });
        let optional = [
            ("liquidator", event.liquidator.map(crate::support::address)),
            ("debt_usd", event.debt_usd.map(usd_text)),
            ("collateral_usd", event.collateral_usd.map(usd_text)),
        ];
        for (name, value) in optional {
            object[name] = serde_json::json!(value);
        }
        format!("{object}\n")
    };
    events.iter().map(line).collect()
}

fn typed_parquet(path: &Path, events: &[Event]) {
    fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }
    fn account(number: u64) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[12..].copy_from_slice(&number.to_be_bytes());
        bytes
    }
    let hash = |event: &Event| -> [u8; 32] {
        std::array::from_fn(|place| if place < 24 { 0 } else { (event.number / 4).to_be_bytes()[place - 24] })
    };
    let usd = |values: Vec<Option<i128>>| -> ArrayRef {
        Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 8).unwrap())
    };
    let times = TimestampMicrosecondArray::from_iter_values(events.iter().map(|event| event.second * 1_000_000));
    let liquidators = events.iter().map(|event| event.liquidator.map(account));
    let indexes = events.iter().map(|event| u32::try_from(event.number % 4).unwrap());
    write(
        path,
        vec![
            ("time", Arc::new(times.with_timezone("UTC"))),
            ("chain", text(events.iter().map(|event| event.chain))),
            ("market", text(events.iter().map(|event| event.market))),
            ("tx_hash", Arc::new(FixedSizeBinaryArray::try_from_iter(events.iter().map(hash)).unwrap())),
            ("log_index", Arc::new(UInt32Array::from_iter_values(indexes))),
            (
                "user",
                Arc::new(FixedSizeBinaryArray::try_from_iter(events.iter().map(|event| account(event.user))).unwrap()),
            ),
            ("liquidator", Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(liquidators, 20).unwrap())),
            ("debt_symbol", text(events.iter().map(|event| event.debt))),
            ("debt_amount", text(events.iter().map(|event| event.debt_amount.as_str()))),
            ("debt_usd", usd(events.iter().map(|event| event.debt_usd).collect())),
            ("collateral_symbol", text(events.iter().map(|event| event.collateral))),
            ("collateral_amount", text(events.iter().map(|event| event.collateral_amount.as_str()))),
            ("collateral_usd", usd(events.iter().map(|event| event.collateral_usd).collect())),
        ],
    );
}

#[test]
fn the_same_events_are_the_same_in_every_format() {
    let bed = Bed::new();
    let events = drawn(400);
    let parquet = bed.path("events.parquet");
    typed_parquet(&parquet, &events);
    let files = [bed.file("events.csv", csv(&events)), bed.file("events.jsonl", json_lines(&events)), parquet];
    let mut seen = Vec::new();
    for file in &files {
        let own = Bed::new();
        own.import(file, &[]).succeeded();
        let report = own.json(&["liquidations", "--by", "chain,debt"])["tables"].clone();
        seen.push((own.rows("liquidations"), report));
    }
    assert!(seen[0] == seen[1] && seen[0] == seen[2], "the three formats differ");
    // In one dataset they are one.
    for file in &files {
        bed.import(file, &[]).succeeded();
    }
    assert_eq!(bed.rows("liquidations").len(), 400);
}

/// Names and types in order; `?` where a value can be missing.
fn documented_columns() -> Vec<String> {
    let word = "Dictionary(Int32, Utf8)";
    let mut expected: Vec<String> = vec![
        "time Timestamp(µs, \"UTC\")".into(),
        "chain_id UInt64".into(),
        format!("market {word}"),
        format!("version {word}?"),
    ];
    expected.extend(
        [
            "block_number UInt64?",
            "tx_hash FixedSizeBinary(32)?",
            "log_index UInt32?",
            "user FixedSizeBinary(20)",
            "liquidator FixedSizeBinary(20)?",
        ]
        .map(String::from),
    );
    for side in ["collateral", "debt"] {
        let of_side = [
            format!("symbol {word}?"),
            "address FixedSizeBinary(20)?".into(),
            "decimals UInt8?".into(),
            "raw Decimal128(38, 0)?".into(),
            "amount Float64?".into(),
            format!("basis {word}?"),
            "usd Decimal128(38, 8)?".into(),
        ];
        expected.extend(of_side.map(|column| format!("{side}_{column}")));
    }
    expected.extend([
        "protocol_fee_usd Decimal128(38, 8)?".into(),
        format!("standing {word}"),
        "source_row UInt64".into(),
        "event_key FixedSizeBinary(16)".into(),
        format!("event_key_kind {word}"),
    ]);
    expected
}

#[test]
fn the_archive_has_the_documented_columns_and_footer() {
    let bed = Bed::new();
    let events = drawn(40);
    bed.import(&bed.file("events.csv", csv(&events) + "bad row\n"), &["--origin", "a test"]).succeeded();
    let path = &bed.files("d", "liquidations")[0];
    let (schema, _) = read(path);
    let columns: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| format!("{} {}{}", field.name(), field.data_type(), if field.is_nullable() { "?" } else { "" }))
        .collect();
    assert_eq!(columns, documented_columns());
    let pairs = footer(path);
    let seconds = || events.iter().map(|event| event.second);
    let moment = |second: Option<i64>| jiff::Timestamp::from_second(second.unwrap()).unwrap().to_string();
    let known: BTreeMap<&str, String> = BTreeMap::from([
        ("schema_version", "1".to_owned()),
        ("table", "liquidations".to_owned()),
        ("standing", "imported".to_owned()),
        ("time_from", moment(seconds().min())),
        ("time_to", moment(seconds().max())),
        ("dataset", "d".to_owned()),
        ("origin", "a test".to_owned()),
        ("source_file", "events.csv".to_owned()),
        ("event_key_weakness", "none".to_owned()),
    ]);
    for (key, value) in known {
        assert_eq!(pairs.get(key), Some(&value), "{key}");
    }
    assert!(pairs["source_sha256"].len() == 64 && pairs["settings"].contains("amounts[tokens]"), "{pairs:?}");
    let rejects = &bed.files("d", "rejects")[0];
    assert_eq!((rejects.file_name(), footer(rejects)["table"].as_str()), (path.file_name(), "rejects"));
}
