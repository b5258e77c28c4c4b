//! Every grouping and filter against a plain loop over the same made-up events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::{Bed, Chance, Event, address, csv, read, seed, table, usd_text};

/// One group as a plain loop sums it.
#[derive(Debug, Default, Clone)]
struct Sum {
    events: u64,
    users: BTreeSet<u64>,
    debt: Option<i128>,
    collateral: Option<i128>,
    bonus: Option<i128>,
    without_debt: u64,
    without_collateral: u64,
}

impl Sum {
    fn add(&mut self, event: &Event) {
        fn plus(sum: &mut Option<i128>, value: Option<i128>) {
            if let Some(value) = value {
                *sum = Some(sum.unwrap_or(0) + value);
            }
        }
        self.events += 1;
        self.users.insert(event.user);
        plus(&mut self.debt, event.debt_usd);
        plus(&mut self.collateral, event.collateral_usd);
        let bonus = event.collateral_usd.zip(event.debt_usd).map(|(seized, repaid)| (seized - repaid, repaid));
        // A bonus below nothing or above a quarter of the debt says that one of the prices is wrong.
        plus(&mut self.bonus, bonus.filter(|(bonus, debt)| (0..=debt / 4).contains(bonus)).map(|(bonus, _)| bonus));
        self.without_debt += u64::from(event.debt_usd.is_none());
        self.without_collateral += u64::from(event.collateral_usd.is_none());
    }

    /// The columns of a report, as its JSON has them.
    fn shown(&self) -> [Value; 7] {
        let usd = |usd: Option<i128>| usd.map_or(Value::Null, |usd| json!(signed(usd)));
        [
            json!(self.events),
            json!(self.users.len()),
            usd(self.debt),
            json!(self.without_debt),
            usd(self.collateral),
            json!(self.without_collateral),
            usd(self.bonus),
        ]
    }
}

const SHOWN: [&str; 7] = [
    "events",
    "users",
    "debt_repaid_usd",
    "debt_without_usd",
    "collateral_seized_usd",
    "collateral_without_usd",
    "bonus_paid_usd",
];

fn signed(usd8: i128) -> String {
    if usd8 < 0 { format!("-{}", usd_text(-usd8)) } else { usd_text(usd8) }
}

/// What an event is called in a dimension.
fn label(event: &Event, by: &str, by_collateral: bool) -> Value {
    let date = |second: i64| jiff::Timestamp::from_second(second).unwrap().to_string();
    let day = event.second.div_euclid(86_400);
    let measured = if by_collateral { event.collateral_usd } else { event.debt_usd };
    match by {
        "chain" => json!(event.chain),
        "market" => json!(event.market),
        "version" => json!(if event.market.contains("v3") { "V3" } else { "V2" }),
        "collateral" => json!(event.collateral),
        "debt" => json!(event.debt),
        "user" => json!(address(event.user)),
        "liquidator" => event.liquidator.map_or(Value::Null, |account| json!(address(account))),
        "day" => json!(date(event.second)[..10]),
        // 1970-01-05 was a Monday.
        "week" => json!(date(((day - 4).div_euclid(7) * 7 + 4) * 86_400)[..10]),
        "month" => json!(date(event.second)[..7]),
        "size" => json!(match measured.map(|usd8| usd8 / 100_000_000) {
            None => "unpriced",
            Some(0..10_000) => "retail (< $10k)",
            Some(10_000..100_000) => "mid ($10k-100k)",
            Some(100_000..1_000_000) => "large ($100k-1M)",
            Some(_) => "whale (>= $1M)",
        }),
        other => panic!("no dimension {other}"),
    }
}

/// A value of JSON as CSV writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string().replace("null", ""), str::to_owned)
}

type Groups = BTreeMap<Vec<String>, [Value; 7]>;

fn by_loop<'a>(events: impl IntoIterator<Item = &'a Event>, by: &[&str], by_collateral: bool) -> Groups {
    let mut sums = BTreeMap::<Vec<String>, Sum>::new();
    for event in events {
        let key = by.iter().map(|by| label(event, by, by_collateral).to_string()).collect();
        sums.entry(key).or_default().add(event);
    }
    sums.into_iter().map(|(key, sum)| (key, sum.shown())).collect()
}

fn by_program(report: &Value, by: &[&str]) -> Groups {
    let group = |row: &Value| (by.iter().map(|by| row[by].to_string()).collect(), SHOWN.map(|name| row[name].clone()));
    let groups: Groups = table(report, "groups").iter().map(group).collect();
    assert_eq!(groups.len(), table(report, "groups").len(), "a group stands twice");
    groups
}

/// Made-up events of one year, imported in two files.
fn world(count: u64) -> (Bed, Vec<Event>) {
    let mut chance = Chance(seed());
    let events: Vec<Event> = (0..count).map(|number| Event::draw(&mut chance, number, count / 8)).collect();
    let bed = Bed::new();
    let (first, second) = events.split_at(events.len() / 3);
    bed.import(&bed.file("first.csv", csv(first)), &[]).succeeded();
    bed.import(&bed.file("second.csv", csv(second)), &[]).succeeded();
    (bed, events)
}

#[test]
fn every_dimension_and_pairs_of_them_give_what_a_plain_loop_gives() {
    let (bed, events) = world(4_000);
    let dimensions =
        ["chain", "market", "version", "collateral", "debt", "liquidator", "user", "size", "day", "week", "month"];
    let mut asked: Vec<Vec<&str>> = dimensions.iter().map(|by| vec![*by]).collect();
    asked.extend([
        vec!["chain", "debt"],
        vec!["user", "collateral"],
        vec!["month", "size"],
        vec!["liquidator", "version"],
        vec!["week", "market", "debt"],
    ]);
    for by in asked {
        for measure in ["debt", "collateral"] {
            let report = bed.json(&["liquidations", "--by", &by.join(","), "--top", "0", "--measure", measure]);
            let by_collateral = measure == "collateral";
            assert_eq!(by_program(&report, &by), by_loop(&events, &by, by_collateral), "{by:?} by {measure}");
            let total = SHOWN.map(|name| table(&report, "totals")[0][name].clone());
            assert_eq!(&total, &by_loop(&events, &[], by_collateral)[&vec![]], "{by:?} by {measure}");
        }
    }
}

/// The options of a filter, and the same as a plain condition.
type Filter<'a> = (&'a [&'a str], fn(&Event) -> bool);

#[test]
fn filters_let_through_what_a_plain_condition_does() {
    let (bed, events) = world(3_000);
    let (three, one) = ([address(3), address(4)].join(","), address(7));
    let filters: [Filter<'_>; 10] = [
        (&["--chain", "polygon,eth"], |event| event.chain != "arbitrum"),
        (&["--market", "AAVE_v2"], |event| event.market == "aave_v2"),
        (&["--version", "v2"], |event| event.market != "aave_v3"),
        (&["--collateral", "wbtc", "--debt", "DAI,usdc"], |event| event.collateral == "WBTC" && event.debt != "GUSD_"),
        (&["--user", &three], |event| [3, 4].contains(&event.user)),
        (&["--liquidator", &one], |event| event.liquidator == Some(7)),
        (&["--from", "2021-03-01", "--to", "2021-03-31"], |event| {
            (1_614_556_800..1_617_235_200).contains(&event.second)
        }),
        (&["--from", "2021-06-01T12:00:00Z", "--to", "2021-06-03T00:00:00Z"], |event| {
            (1_622_548_800..1_622_678_400).contains(&event.second)
        }),
        (&["--min-usd", "10000"], |event| event.debt_usd.is_some_and(|usd| usd >= 1_000_000_000_000)),
        (&["--min-usd", "0", "--measure", "collateral"], |event| event.collateral_usd.is_some()),
    ];
    for (options, passes) in filters {
        let by = ["chain", "collateral"];
        let args = [["liquidations", "--by", "chain,collateral"].as_slice(), options].concat();
        let expected = by_loop(events.iter().filter(|event| passes(event)), &by, options.contains(&"collateral"));
        assert!(!expected.is_empty(), "{options:?} lets nothing through, so it would test nothing");
        assert_eq!(by_program(&bed.json(&args), &by), expected, "{options:?}");
    }
    bed.run(&["liquidations", "--from", "2030-01-01"])
        .refused("nothing", &["no liquidation in d matches", "loosen the filters"]);
}

#[test]
fn the_groups_of_the_most_value_are_kept() {
    let (bed, events) = world(2_000);
    let usd = |row: &[Value; 7]| row[2].as_str().map_or(0, crate::support::usd8);
    let mut ranked: Vec<_> = by_loop(&events, &["user"], false).into_iter().collect();
    ranked.sort_by_key(|(_, row)| std::cmp::Reverse(usd(row)));
    for top in [1, 7, 100] {
        let report = bed.json(&["liquidations", "--by", "user", "--top", &top.to_string()]);
        assert_eq!(by_program(&report, &["user"]), ranked[..top].iter().cloned().collect(), "top {top}");
        let note = format!("the {top} groups with the most value are shown, of {}", ranked.len());
        assert!(report["notes"].to_string().contains(&note), "{report}");
    }
}

#[test]
fn what_has_no_price_is_missing_and_not_zero() {
    let bed = Bed::new();
    let mut event = Event::draw(&mut Chance(1), 1, 5);
    (event.debt_usd, event.collateral_usd) = (None, None);
    bed.import(&bed.file("in.csv", csv([&event])), &[]).succeeded();
    let report = bed.json(&["liquidations", "--by", "size"]);
    for name in ["totals", "groups"] {
        let row = &table(&report, name)[0];
        assert_eq!(
            (&row["debt_repaid_usd"], &row["collateral_seized_usd"], &row["bonus_paid_usd"]),
            (&Value::Null, &Value::Null, &Value::Null)
        );
        let counts = ["events", "debt_without_usd", "collateral_without_usd"].map(|name| row[name].as_u64());
        assert_eq!(counts, [Some(1); 3]);
    }
    assert_eq!(table(&report, "groups")[0]["size"], "unpriced");
    let text = bed.run(&["liquidations", "--by", "debt"]).out;
    assert!(!text.contains("$0") && text.contains('–'), "{text}");
}

#[test]
fn every_format_says_the_same() {
    let (bed, _) = world(600);
    for by in ["user", "month,debt", "liquidator", "size"] {
        let args = ["liquidations", "--by", by, "--top", "0"];
        let json = bed.json(&args);
        let names: Vec<String> = json["tables"]["groups"]["units"].as_object().unwrap().keys().cloned().collect();
        let units = &json["tables"]["groups"]["units"];
        // Readers differ in the last bit of a float, and writers in how they write a very small one.
        let normal = |name: &String, text: String| match text.parse::<f64>() {
            Ok(share) if units[name] == "share of one" => format!("{share:.9e}"),
            _ => text,
        };
        let text = |row: &Value, name: &String| normal(name, plain(&row[name]));
        let rows = table(&json, "groups").iter();
        let expected: Vec<Vec<String>> = rows.map(|row| names.iter().map(|name| text(row, name)).collect()).collect();
        let csv_text = bed.run(&[args.as_slice(), &["--format", "csv"]].concat()).out;
        let mut reader = csv::Reader::from_reader(csv_text.as_bytes());
        assert_eq!(reader.headers().unwrap().iter().collect::<Vec<_>>(), names);
        // A loss begins with a minus sign, and is no formula to be made harmless.
        let cells = |record: csv::StringRecord| -> Vec<String> {
            let cells = names.iter().zip(&record);
            cells.map(|(name, cell)| normal(name, cell.to_owned())).collect()
        };
        let from_csv: Vec<Vec<String>> = reader.records().map(|record| cells(record.unwrap())).collect();
        assert_eq!(from_csv, expected, "CSV by {by}");
        let out = bed.path("out.parquet");
        bed.run(&[args.as_slice(), &["--format", "parquet", "--out", out.to_str().unwrap()]].concat()).succeeded();
        let from_parquet: Vec<Vec<String>> = read(&out)
            .1
            .iter()
            .map(|row| names.iter().map(|name| normal(name, row.get(name).cloned().unwrap_or_default())).collect())
            .collect();
        assert_eq!(from_parquet, expected, "Parquet by {by}");
    }
}

/// More users than one thread holds before it writes groups down, in two files so that two threads have work.
#[test]
fn many_users_give_the_same_on_one_thread_and_on_two_as_in_a_plain_loop() {
    let mut chance = Chance(seed());
    let mut draw = |number: u64, user: u64| Event { user, ..Event::draw(&mut chance, number, 1) };
    let first: Vec<Event> = (0..62_000).map(|number| draw(number, number + 1)).collect();
    let second: Vec<Event> = (62_000..126_000).map(|number| draw(number, number - 30_000)).collect();
    let bed = Bed::new();
    bed.import(&bed.file("first.csv", csv(&first)), &[]).succeeded();
    bed.import(&bed.file("second.csv", csv(&second)), &[]).succeeded();
    let args = ["liquidations", "--by", "user", "--top", "0", "--format", "csv"];
    let all = bed.run(&args);
    let mut expected: BTreeMap<String, String> = BTreeMap::new();
    for (key, row) in by_loop(first.iter().chain(&second), &["user"], false) {
        let cells = row.iter().map(plain);
        expected.insert(key[0].replace('"', ""), cells.collect::<Vec<_>>().join(","));
    }
    let mut reader = csv::Reader::from_reader(all.succeeded().out.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let place = |name| headers.iter().position(|column| column == name).unwrap();
    let (user, places) = (place("user"), SHOWN.map(place));
    let found: BTreeMap<String, String> = reader
        .records()
        .map(|record| {
            let record = record.unwrap();
            (record[user].to_owned(), places.map(|place| record[place].to_owned()).join(","))
        })
        .collect();
    assert_eq!(found.len(), 96_000 - 1);
    assert!(found == expected, "groups by user differ from the plain loop's");
    let one_core = |program: &str| {
        let mut command = std::process::Command::new("taskset");
        command.args(["-c", "0", program]);
        command
    };
    if !one_core("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: one thread against two, since taskset cannot bind to one core here");
        return;
    }
    let mut one = one_core(env!("CARGO_BIN_EXE_tidegate"));
    one.arg("--archive").arg(bed.archive()).args(args);
    assert!(one.output().unwrap().stdout == all.out.as_bytes(), "one thread gives another answer");
}

#[test]
fn the_table_asked_for_is_the_one_a_file_gets() {
    let (bed, _) = world(200);
    for (options, column) in [
        (["--largest", "5"].as_slice(), "transaction"),
        (&["--episodes"], "peak_hour"),
        (&["--by", "chain", "--largest", "5"], "share_of_value"),
        (&[], "peak_hour"),
    ] {
        let out = bed.run(&[["liquidations", "--format", "csv"].as_slice(), options].concat()).succeeded().out.clone();
        assert!(out.lines().next().unwrap().split(',').any(|name| name == column), "{options:?}: {out}");
    }
}
