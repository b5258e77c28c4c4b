//! Whatever is wrong with an input or a place: one line that says what, where and what to do, and no row lost.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, StructArray};
use arrow_schema::{DataType, Field};

use crate::support::{Bed, Chance, Event, Ran, command, csv, every_file, parquet_files, table};

/// A file, how it is imported, and what must come of it.
struct Case {
    name: &'static str,
    file: &'static str,
    content: Vec<u8>,
    options: &'static [&'static str],
    code: i32,
    /// In the error where nothing is taken, else in the summary.
    says: &'static [&'static str],
    taken: usize,
    /// Rejected rows by reason.
    rejects: &'static [(&'static str, usize)],
}

impl Case {
    /// A file that is refused before a row of it is read.
    fn refused(
        name: &'static str,
        file: &'static str,
        content: impl Into<Vec<u8>>,
        says: &'static [&'static str],
    ) -> Self {
        let content = content.into();
        Self { name, file, content, options: &[], code: 1, says, taken: 0, rejects: &[] }
    }

    /// A file of which some rows are taken and others kept with reasons.
    fn partly(
        name: &'static str,
        content: impl Into<Vec<u8>>,
        taken: usize,
        rejects: &'static [(&'static str, usize)],
        says: &'static [&'static str],
    ) -> Self {
        let (file, content) = ("in.csv", content.into());
        Self { name, file, content, options: &[], code: i32::from(taken == 0), says, taken, rejects }
    }

    fn named(self, file: &'static str) -> Self {
        Self { file, ..self }
    }

    fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    fn check(&self) {
        let bed = Bed::new();
        let ran = bed.import(&bed.file(self.file, &self.content), self.options);
        assert_eq!(ran.code, Some(self.code), "{}: {ran:?}", self.name);
        if self.code == 0 {
            assert_eq!(ran.err, "", "{}", self.name);
            assert!(self.says.iter().all(|words| ran.out.contains(words)), "{}: {ran:?}", self.name);
        } else {
            ran.refused(self.name, self.says);
            ran.refused(self.name, &[self.file]);
        }
        assert_eq!(bed.rows("liquidations").len(), self.taken, "{}: {ran:?}", self.name);
        let mut reasons = BTreeMap::<String, usize>::new();
        for reject in bed.rows("rejects") {
            *reasons.entry(reject["reason"].clone()).or_default() += 1;
            assert!(!reject["detail"].is_empty() && reject["source_row"] != "0", "{}: {reject:?}", self.name);
            // A repeated row stands where its reason points; every other is kept as it stood.
            assert!(reject["reason"] == "repeated row" || reject.contains_key("row"), "{}: {reject:?}", self.name);
        }
        let expected = self.rejects.iter().map(|(reason, rows)| ((*reason).to_owned(), *rows));
        assert_eq!(reasons, expected.collect(), "{}: {ran:?}", self.name);
        visible(self.name, &ran);
        bed.run(&["datasets"]).succeeded();
    }
}

/// Nothing that a terminal would obey.
fn visible(name: &str, ran: &Ran) {
    let obeyed =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!ran.out.contains(obeyed) && !ran.err.contains(obeyed), "{name}: {ran:?}");
}

const HEADING: &str = "timestamp,chain,market,user,debt_symbol,debt_amount,debt_usd,note\n";

/// Rows under the short heading: one that is good, and those given.
fn short(rows: &[&str]) -> String {
    format!("{HEADING}{}\n{}\n", good(), rows.join("\n"))
}

fn good() -> &'static str {
    "1621429200,ethereum,aave_v2,0x00000000000000000000000000000000000000aa,USDC,1.5,1.5,fine"
}

/// The good row with one field other, and an amount that makes it an event of its own.
fn row_with(place: usize, value: &str) -> String {
    let mut fields: Vec<&str> = good().split(',').collect();
    fields[5] = "2.5";
    fields[place] = value;
    fields.join(",")
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// A Parquet file of events whose amounts are as given.
fn parquet_of(amounts: ArrayRef) -> Vec<u8> {
    let rows = amounts.len();
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let times: Int64Array = (0..i64::try_from(rows).unwrap()).map(|row| 1_621_429_200 + row).collect();
    parquet(vec![
        ("timestamp", Arc::new(times)),
        ("chain", text("ethereum")),
        ("market", text("aave_v2")),
        ("user", text("0x00000000000000000000000000000000000000aa")),
        ("debt_symbol", text("USDC")),
        ("debt_amount", amounts),
    ])
}

fn whole_parquet() -> Vec<u8> {
    parquet_of(Arc::new(StringArray::from_iter_values((0..3_000).map(|row| format!("{row}.25")))))
}

#[test]
fn files_that_are_not_what_they_seem_are_refused_in_one_line() {
    let mut truncated = whole_parquet();
    truncated.truncate(truncated.len() / 2);
    let unclosed = format!("{HEADING}{}\n1621429200,\"{}", good(), "x,y\n".repeat(3 << 20));
    for case in [
        Case::refused("truncated", "cut.parquet", truncated, &["not readable as Parquet", "cut off"]),
        Case::refused("text", "text.parquet", good(), &["does not begin like a Parquet file", "rename it"]),
        Case::refused("empty", "empty.csv", "", &["is empty", "check that the export finished"]),
        Case::refused("blank", "blank.csv", " \n\n", &["is empty"]),
        Case::refused("heading", "heading.csv", HEADING, &["has no rows", "check that the export finished"]),
        Case::refused(
            "no rows",
            "none.parquet",
            parquet_of(Arc::new(StringArray::from(Vec::<&str>::new()))),
            &["has no rows"],
        ),
        Case::refused("array", "array.json", "[{\"user\": 1}]", &["is one JSON array", "one object per line"]),
        Case::refused("no object", "a.jsonl", "hello\nworld\n", &["no JSON object", "one object per line"]),
        Case::refused("binary", "a.gz", b"\x1f\x8b\x08\0\0\0".as_slice(), &["is binary", "unpack it"]),
        Case::refused("unclosed", "quote.csv", unclosed, &["longer than 4 MiB", "quote", "export it again"]),
        Case::refused(
            "long line",
            "long.jsonl",
            format!("{{\"a\": \"{}\"}}", "x".repeat(5 << 20)),
            &["line of over 4 MiB"],
        ),
    ] {
        case.check();
    }
}

#[test]
fn what_the_user_has_to_add_is_named() {
    for case in [
        Case::refused("no chain", "in.csv", short(&[]).replace("chain", "where"), &["chain", "--chain NAME"]),
        Case::refused("no user", "in.csv", short(&[]).replace("user", "who"), &["user", "--map user=COLUMN"]),
        Case::refused("no time", "in.csv", short(&[]).replace("timestamp", "when"), &["time", "--map time=COLUMN"]),
        Case::refused("map field", "in.csv", short(&[]), &["field \"users\"", "there are"])
            .with(&["--map", "users=note"]),
        Case::refused("map column", "in.csv", short(&[]), &["column \"x\"", "debt_amount"]).with(&["--map", "user=x"]),
    ] {
        case.check();
    }
    let bed = Bed::new();
    let file = bed.file("in.csv", short(&[]));
    let ran = bed.run(&["import", "liquidations", file.to_str().unwrap()]);
    ran.refused("no unit", &["in.csv", "in which unit", "--amounts tokens"]);
    assert!(!bed.archive().exists(), "a file that cannot be planned leaves no archive");
}

#[test]
fn amounts_that_are_none_reject_their_rows() {
    let eighty = "9".repeat(80);
    for case in [
        Case::partly(
            "negative",
            short(&[&row_with(5, "-1")]),
            1,
            &[("bad amount", 1)],
            &["is negative", "1 rows rejected"],
        ),
        Case::partly(
            "words",
            short(&[&row_with(5, "lots"), &row_with(5, "1,5")]),
            1,
            &[("bad amount", 1), ("malformed row", 1)],
            &["not a plain decimal number"],
        ),
        Case::partly("80 digits", short(&[&row_with(5, &eighty)]), 1, &[("bad amount", 1)], &["more than 38 digits"]),
        Case::partly("infinite", short(&[&row_with(5, "inf"), &row_with(5, "1e999")]), 1, &[("bad amount", 2)], &[]),
        Case::partly("bad dollars", short(&[&row_with(6, "true"), &row_with(6, "-3")]), 1, &[("bad dollars", 2)], &[]),
    ] {
        case.check();
    }
}

#[test]
fn rows_without_identity_are_kept_with_reasons() {
    for case in [
        Case::partly(
            "bad times",
            short(&[&row_with(0, "yesterday"), &row_with(0, "05/19/2021"), &row_with(0, "12")]),
            1,
            &[("bad time", 3)],
            &["no moment from 2015 to 2100"],
        ),
        Case::partly("no time", short(&[&row_with(0, "")]), 1, &[("no time", 1)], &[]),
        Case::partly(
            "chain",
            short(&[&row_with(1, "atlantis")]),
            1,
            &[("unknown chain", 1)],
            &["atlantis", "a chain's number works always"],
        ),
        Case::partly(
            "address",
            short(&[&row_with(3, "0x12"), &row_with(3, "vitalik.eth"), &row_with(3, "")]),
            1,
            &[("bad address or hash", 2), ("no user", 1)],
            &["20 bytes in hexadecimal"],
        ),
        Case::partly(
            "no asset",
            short(&[&row_with(4, "")]),
            1,
            &[("no asset", 1)],
            &["an amount or a value but no token"],
        ),
        Case::partly(
            "long name",
            short(&[&row_with(4, &"x".repeat(10_240))]),
            1,
            &[("name too long", 1)],
            &["10240 bytes"],
        ),
        Case::partly(
            "not UTF-8",
            latin(short(&[&row_with(3, "\u{7f}")])),
            1,
            &[("bad address or hash", 1)],
            &["not UTF-8"],
        ),
    ] {
        case.check();
    }
}

#[test]
fn rows_that_are_not_of_the_table_are_kept_with_reasons() {
    let many = (0..500).map(|row| format!("{},x", row_with(7, &row.to_string()))).collect::<Vec<_>>().join("\n");
    for case in [
        Case::partly(
            "repeats",
            short(&[good(), good(), &row_with(5, "3")]),
            2,
            &[("repeated row", 2)],
            &["2 rows repeat an earlier row"],
        ),
        Case::partly(
            "fields",
            short(&["1,2,3", &row_with(7, "a,b")]),
            1,
            &[("malformed row", 2)],
            &["has 3 fields where the heading has 8"],
        ),
        Case::partly(
            "none fits",
            format!("{HEADING}1,2,3\n"),
            0,
            &[("malformed row", 1)],
            &["no row could be taken", "--dry-run"],
        ),
        Case::partly(
            "all malformed",
            format!("{HEADING}{many}\n"),
            0,
            &[("malformed row", 500)],
            &["no row could be taken"],
        ),
        Case::partly(
            "quote in the last field",
            short(&[&row_with(7, "\"open"), &row_with(5, "7"), &row_with(5, "8")]),
            1,
            &[("malformed row", 1)],
            &["other rows inside a quoted field", "quote"],
        ),
        Case::partly("line breaks in a quoted field", short(&[&row_with(7, "\"two\nlines, well\"")]), 2, &[], &[]),
        Case::partly(
            "quote in the middle",
            short(&[&row_with(2, "\"aave"), &row_with(5, "7")]),
            1,
            &[("malformed row", 1)],
            &["lines", "quote"],
        ),
    ] {
        case.check();
    }
}

/// The text with every DEL turned into a byte that no UTF-8 has there.
fn latin(text: String) -> Vec<u8> {
    text.into_bytes().into_iter().map(|byte| if byte == 0x7f { 0xe9 } else { byte }).collect()
}

#[test]
fn json_lines_that_are_none_are_kept_as_they_stood() {
    let object = |amount: &str| {
        format!(
            "{{\"timestamp\": 1621429200, \"chain\": 1, \"market\": \"aave_v2\", \"user\": \"0x00000000000000000000000000000000000000aa\", \"debt_symbol\": \"USDC\", \"debt_amount\": {amount}}}"
        )
    };
    let lines = |rest: &[String]| latin(format!("{}\n\n{}\n", object("\"1.5\""), rest.join("\n")));
    for case in [
        Case::partly(
            "not JSON",
            lines(&["nonsense".to_owned(), "{\"a\":".to_owned(), "[1]".to_owned()]),
            1,
            &[("malformed row", 3)],
            &["is not a JSON object"],
        ),
        Case::partly("not UTF-8", lines(&[object("\"\u{7f}\"")]), 1, &[("malformed row", 1)], &["is not UTF-8"]),
        Case::partly(
            "types",
            lines(&[object("true"), object("[1]"), object("{}"), object("-1"), object("\"x\"")]),
            1,
            &[("bad amount", 5)],
            &["is not a number"],
        ),
        Case::partly(
            "digits",
            lines(&[object(&"9".repeat(80)), object(&"9".repeat(39))]),
            1,
            &[("bad amount", 2)],
            &["more than 38 digits"],
        ),
    ] {
        case.named("in.jsonl").check();
    }
    // A column that first appears late would be dropped without a word.
    let late = format!("{}\n", object("\"1.5\"")).repeat(300) + &object("\"2\", \"note\": 1") + "\n";
    Case::partly("late note", late.clone(), 2, &[("repeated row", 299)], &[]).named("in.jsonl").check();
    let late = late.replace("\"note\"", "\"debt_usd\"");
    let says = &["column \"debt_usd\" first in row 301", "name every column in the first row"];
    Case::refused("late value", "in.jsonl", late, says).check();
    let bed = Bed::new();
    bed.import(&bed.file("in.jsonl", lines(&["caf\u{7f} 17".to_owned()])), &[]).succeeded();
    assert_eq!(bed.rows("rejects")[0]["row"], "caf\u{fffd} 17");
}

#[test]
fn parquet_columns_of_unfit_types_reject_their_rows() {
    let nested = StructArray::from(vec![(
        Arc::new(Field::new("x", DataType::Int64, false)),
        Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef,
    )]);
    for (name, amounts) in
        [("bool", Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef), ("nested", Arc::new(nested))]
    {
        Case::partly(name, parquet_of(amounts), 0, &[("bad amount", 2)], &["no row could be taken"])
            .named("in.parquet")
            .check();
    }
}

#[test]
fn a_damaged_parquet_file_is_refused_or_read_and_never_brings_the_program_down() {
    let whole = whole_parquet();
    let mut chance = Chance(7);
    for _ in 0..60 {
        let mut damaged = whole.clone();
        for _ in 0..4 {
            let place = usize::try_from(chance.below(damaged.len() as u64)).unwrap();
            damaged[place] ^= 1 << chance.below(8);
        }
        let bed = Bed::new();
        let ran = bed.import(&bed.file("in.parquet", damaged), &[]);
        if ran.code == Some(0) {
            assert_eq!(ran.err, "");
        } else {
            ran.refused("damaged", &["in.parquet"]);
        }
    }
}

/// Bytes changed, doubled and cut out at random: whatever is read is either taken or kept with a reason.
#[test]
fn of_a_damaged_text_file_no_row_is_lost() {
    let mut chance = Chance(11);
    let events: Vec<Event> = (0..60).map(|number| Event::draw(&mut chance, number, 9)).collect();
    let object = |event: &Event| {
        let fields =
            crate::support::HEADING.split(',').zip(event.csv().split(',').map(str::to_owned).collect::<Vec<_>>());
        let object: serde_json::Map<_, _> = fields.map(|(name, value)| (name.to_owned(), value.into())).collect();
        serde_json::Value::from(object).to_string() + "\n"
    };
    let texts = [("in.csv", csv(&events)), ("in.jsonl", events.iter().map(object).collect())];
    let (mut read, mut refused) = (0, 0);
    for (name, text) in texts.iter().cycle().take(120) {
        let mut bytes = text.clone().into_bytes();
        let heading = text.find('\n').unwrap();
        for _ in 0..8 {
            let place = heading + usize::try_from(chance.below((bytes.len() - heading) as u64)).unwrap();
            match chance.below(4) {
                0 => bytes[place] ^= 1 << chance.below(8),
                1 => bytes.insert(place, chance.pick(b"\",\n\0{}\xff")),
                2 => drop(bytes.remove(place)),
                _ => bytes.truncate(place.max(bytes.len() - 40)),
            }
        }
        let bed = Bed::new();
        let ran = bed.import(&bed.file(name, &bytes), &[]);
        if ran.code != Some(0) {
            ran.refused("damaged", &[name]);
            refused += 1;
            continue;
        }
        let kept = bed.rows("liquidations").len() + bed.rows("rejects").len();
        assert!(ran.out.contains(&format!(": {kept} rows read, ")), "{kept} kept: {ran:?}");
        visible("damaged", &ran);
        read += 1;
    }
    assert!(read > 60, "{read} read, {refused} refused");
}

#[test]
fn one_instant_is_one_instant_however_it_is_written() {
    let forms = [
        "1621429200",
        "1621429200000",
        "1621429200000000",
        "1621429200000000000",
        "2021-05-19T13:00:00Z",
        "2021-05-19 13:00:00.000 UTC",
        "2021-05-19 15:00:00+02:00",
        "2021-05-19T08:00:00-05:00",
        "2021-05-19 18:30:00+05:30",
        "2021-05-19 13:00:00",
        "2021-05-19T13:00",
    ];
    let rows: Vec<String> = forms
        .iter()
        .enumerate()
        .map(|(row, form)| row_with(0, form).replace("2.5", &format!("{}.5", row + 2)))
        .collect();
    let bed = Bed::new();
    let ran = bed.import(&bed.file("in.csv", format!("{HEADING}{}\n", rows.join("\n"))), &[]);
    let said = "times: 1 epoch seconds; 1 epoch milliseconds; 1 epoch microseconds; 1 epoch nanoseconds; \
        5 date and time with zone; 2 date and time without zone, read as UTC";
    assert!(ran.succeeded().out.contains(said), "{ran:?}");
    let times: Vec<String> = bed.rows("liquidations").iter().map(|row| row["time"].clone()).collect();
    assert_eq!(times, vec!["1621429200000000"; forms.len()]);
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let names = ["\u{1b}[31mRED\u{7}", "\u{202e}CDSU", "=cmd|' /C calc'!A0", "@SUM(1)", "a\u{9b}2Jb", "\u{2066}x"];
    let rows: Vec<String> =
        names.iter().map(|name| row_with(4, name)).chain([row_with(5, "\u{202e}5\u{1b}")]).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let bed = Bed::new();
    let file = bed.file("\u{1b}[2J\u{202e}name.csv", short(&rows));
    let origin = ["--origin", "a\u{1b}[31m\u{202e}b"];
    for options in [["--origin", "x", "--dry-run"].as_slice(), &origin] {
        let ran = bed.import(&file, options);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        visible("import", &ran);
    }
    assert_eq!(bed.rows("liquidations").len(), names.len() + 1);
    for args in [
        ["datasets"].as_slice(),
        &["liquidations", "--by", "debt"],
        &["liquidations", "--largest"],
        &["liquidations", "--by", "debt", "--market", "\u{1b}[2J"],
        &["liquidations", "--dataset", "\u{1b}[2J"],
        &["import", "liquidations", "\u{1b}[2J\nno file"],
    ] {
        visible("report", &bed.run(args));
    }
    let ran = bed.run(&["liquidations", "--by", "debt", "--format", "csv"]);
    assert!(ran.out.contains("'=cmd") && ran.out.contains("'@SUM"), "a spreadsheet runs no formula: {ran:?}");
}

#[test]
fn names_of_datasets_stay_in_their_folder() {
    let bed = Bed::new();
    let file = bed.file("in.csv", short(&[]));
    for name in ["../out", "..", "a/b", "/tmp/x", "", "A", ".hidden", "a b", &"x".repeat(65)] {
        bed.import(&file, &["--dataset", name]).refused(name, &["is no name for a dataset", "lower-case letters"]);
        bed.run(&["liquidations", "--dataset", name]).refused(name, &[]);
    }
    assert!(!bed.archive().exists() && !bed.path("out").exists());
    let nameless = bed.file("漢.csv", short(&[]));
    let nameless = nameless.to_str().unwrap();
    bed.run(&["import", "liquidations", "--amounts", "tokens", nameless]).refused("漢", &["漢.csv", "--dataset NAME"]);
}

#[test]
fn what_is_not_there_or_not_a_file_is_named() {
    let bed = Bed::new();
    bed.import(&bed.path("absent.csv"), &[]).refused("missing", &["absent.csv", "no such file", "check the path"]);
    std::fs::create_dir(bed.path("folder.csv")).unwrap();
    bed.import(&bed.path("folder.csv"), &[]).refused("folder", &["folder.csv", "is a folder", "name the files"]);
    let file = bed.file("in.csv", short(&[]));
    bed.import(&file, &["--tokens", "absent-tokens.csv"]).refused("tokens", &["absent-tokens.csv", "check the path"]);
    let tokens = bed.file("tokens.csv", "chain_id,address,symbol,decimals\n1,0x1,A,6\n");
    bed.import(&file, &["--tokens", tokens.to_str().unwrap()]).refused("tokens", &["tokens.csv", "line 2"]);
    bed.import(&file, &["--chain", "atlantis"]).refused("chain", &["atlantis", "give its number"]);
    Ran::of(command(&file, &["datasets"])).refused("archive", &["in.csv", "is a file", "folder"]);
    // One bad file among good ones stops the command before anything is written.
    let ran = bed.run(&["import", "liquidations", "--amounts", "tokens", file.to_str().unwrap(), "absent.csv"]);
    ran.refused("one of two", &["absent.csv"]);
    assert!(!bed.archive().exists());
    bed.run(&["liquidations"]).refused("no archive", &["archive", "holds nothing yet", "tidegate import"]);
    bed.import(&file, &[]).succeeded();
    bed.run(&["liquidations", "--dataset", "other"]).refused("dataset", &["no dataset other", "it has d"]);
    bed.run(&["liquidations", "--by", "debt", "--format", "parquet"]).refused("parquet", &["--out FILE"]);
    bed.run(&["liquidations", "--out", "no/such/folder/x"]).refused("out", &["no/such/folder/x", "cannot write"]);
}

#[test]
fn a_file_of_which_nothing_was_taken_is_listed_with_its_rejects() {
    let bed = Bed::new();
    bed.import(&bed.file("in.csv", format!("{HEADING}1,2,3\n4,5\n")), &[]).refused("fruitless", &["in.csv"]);
    let report = bed.json(&["datasets"]);
    let rows = table(&report, "datasets");
    assert_eq!(
        (rows.len(), &rows[0]["liquidations"], &rows[0]["rejected_rows"]),
        (1, &0.into(), &2.into()),
        "{report}"
    );
}

/// The program as an unprivileged user; `None`, said, where this system lets nobody change users.
fn as_nobody(what: &str, bed: &Bed, args: &[&str]) -> Option<Ran> {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    if !Command::new("setpriv").args(nobody).arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: {what}, since setpriv cannot change users here");
        return None;
    }
    // The built program may lie where only its owner can look; a copy beside the data does not.
    let program = bed.path("program");
    std::fs::copy(env!("CARGO_BIN_EXE_tidegate"), &program).unwrap();
    open_to_all(&bed.path(""), 0o755);
    let mut command = Command::new("setpriv");
    command.args(nobody).arg(program).arg("--archive").arg(bed.archive()).args(args);
    Some(Ran::of(command))
}

#[cfg(unix)]
fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(unix)]
#[test]
fn without_permission_nothing_is_written_and_the_place_is_named() {
    let bed = Bed::new();
    let file = bed.file("in.csv", short(&[]));
    let import = ["import", "liquidations", "--dataset", "e", "--amounts", "tokens", file.to_str().unwrap()];
    bed.import(&file, &[]).succeeded();
    let before = every_file(&bed.archive());
    let Some(ran) = as_nobody("no permission", &bed, &import) else {
        return;
    };
    ran.refused("archive", &["archive", "permission denied", "run as a user who may"]);
    assert_eq!(every_file(&bed.archive()), before);
    let ran = as_nobody("no permission", &bed, &["liquidations", "--by", "debt"]).unwrap();
    ran.succeeded();
    open_to_all(&file, 0o600);
    let ran = as_nobody("no permission", &bed, &import).unwrap();
    ran.refused("input", &["in.csv", "permission denied"]);
}

/// A small file system of its own; `None`, said, where this system lets nobody mount one.
pub(crate) struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    pub(crate) fn at(what: &str, folder: &'a Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(folder).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        println!("skipped: {what}, since nothing can be mounted here");
        None
    }

    pub(crate) fn remount(&self, options: &str) {
        let mut mount = Command::new("mount");
        assert!(mount.args(["-o", &format!("remount,{options}")]).arg(self.0).status().unwrap().success());
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_full_disk_leaves_the_archive_readable_and_the_import_can_be_repeated() {
    let bed = Bed::new();
    let disk = bed.path("disk");
    let Some(_mounted) = Mounted::at("a full disk", &disk, "size=256k") else {
        return;
    };
    let archive = disk.join("archive");
    let mut chance = Chance(3);
    let mut events = |count: u64, from: u64| -> Vec<Event> {
        (from..from + count).map(|number| Event::draw(&mut chance, number, 900)).collect()
    };
    let (small, large) = (bed.file("small.csv", csv(&events(50, 0))), bed.file("large.csv", csv(&events(1_500, 100))));
    let import = |file: &Path| {
        Ran::of(command(
            &archive,
            &["import", "liquidations", "--dataset", "d", "--amounts", "tokens", file.to_str().unwrap()],
        ))
    };
    import(&small).succeeded();
    let ballast = disk.join("ballast");
    std::fs::write(&ballast, vec![1; 150 << 10]).unwrap();
    let before = every_file(&archive);
    let out = disk.join("out.csv");
    let ballast_of_out = "x".repeat(1 << 20);
    std::fs::write(disk.join("rest"), ballast_of_out).unwrap_err();
    let by_user = ["liquidations", "--by", "user", "--format", "csv", "--out", out.to_str().unwrap()];
    Ran::of(command(&archive, &by_user)).refused("full disk", &["out.csv", "cannot write", "with room for it"]);
    assert!(!out.exists(), "a table cut off would be taken for the whole");
    std::fs::remove_file(disk.join("rest")).unwrap();
    let ran = import(&large);
    ran.refused("full disk", &["archive", "the disk is full", "free some space and run the same command again"]);
    assert_eq!(every_file(&archive), before, "nothing half-written is left");
    assert_eq!(parquet_files(&archive).len(), 1);
    Ran::of(command(&archive, &["liquidations", "--by", "debt"])).succeeded();
    std::fs::remove_file(&ballast).unwrap();
    assert!(import(&large).succeeded().out.contains("1,500 taken"));
}

#[test]
fn a_read_only_archive_is_read_and_not_written() {
    let bed = Bed::new();
    let disk = bed.path("disk");
    let Some(mounted) = Mounted::at("a read-only archive", &disk, "size=1m") else {
        return;
    };
    let archive = disk.join("archive");
    let file = bed.file("in.csv", short(&[]));
    let import = |dataset| {
        Ran::of(command(
            &archive,
            &["import", "liquidations", "--dataset", dataset, "--amounts", "tokens", file.to_str().unwrap()],
        ))
    };
    import("d").succeeded();
    mounted.remount("ro");
    import("e").refused("read-only", &["archive", "read-only", "choose another place"]);
    Ran::of(command(&archive, &["liquidations", "--by", "debt"])).succeeded();
    let out = disk.join("x.csv");
    Ran::of(command(&archive, &["liquidations", "--format", "csv", "--out", out.to_str().unwrap()]))
        .refused("out", &["x.csv", "cannot write"]);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let bed = Bed::new();
    bed.import(&bed.file("in.csv", short(&[])), &[]).succeeded();
    for format in ["text", "json", "csv"] {
        let mut command = bed.command(&["liquidations", "--format", format]);
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let done = command.stdout(full).output().unwrap();
        let err = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(1), "{format}");
        assert!(err.starts_with("error: cannot write to standard output") && err.lines().count() == 1, "{err}");
    }
    for format in ["csv", "parquet"] {
        bed.run(&["liquidations", "--format", format, "--out", "/dev/full"])
            .refused(format, &["/dev/full", "cannot write"]);
    }
}
