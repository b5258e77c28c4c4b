//! `tidegate demo`: one command, no network, no files.

use std::path::Path;
use std::process::{Command, Output};

fn demo(folder: &Path, seed: &str) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["demo", "--folder", "world", "--seed", seed])
        .current_dir(folder)
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("the program prints UTF-8")
}

#[test]
fn the_demo_shows_a_world_and_leaves_its_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shown = text(&demo(folder.path(), "1"));

    let commands = shown.lines().filter(|line| line.starts_with("$ tidegate ")).count();
    let standings: Vec<&str> = shown.lines().filter(|line| line.starts_with("standing: ")).collect();
    assert!(commands >= 6, "{shown}");
    assert!(standings.len() >= 4 && standings.iter().all(|line| *line == "standing: assumed"), "{shown}");

    let positions =
        crate::support::parquet_files(&folder.path().join("world/archive/imports/dataset=demo-seed-1/positions"));
    let rows: Vec<_> = positions.iter().flat_map(|path| crate::support::read(path).1).collect();
    assert!(positions.len() == 1 && rows.len() >= 8_000, "{} positions", rows.len() / 2);
    assert!(rows.iter().all(|row| row["standing"] == "assumed" && row["basis"] == "exact" && row.contains_key("raw")));
    let mut written = 0;
    let listed = shown.lines().skip_while(|line| !line.starts_with("Files written")).skip(1);
    for path in listed.map_while(|line| line.strip_prefix("  ")).filter(|path| !path.contains(' ')) {
        let bytes = std::fs::read(folder.path().join(path)).expect(path);
        match path.rsplit_once('.').expect("a file has an ending").1 {
            "png" => assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5_000, "{path}"),
            "parquet" => assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{path}"),
            "csv" => {
                let text = String::from_utf8(bytes).expect("CSV is UTF-8");
                assert!(text.lines().count() > 12, "{text}");
                assert!(text.lines().skip(1).all(|line| line.starts_with("demo-seed-1,assumed,")), "{text}");
            }
            "svg" => assert!(bytes.starts_with(b"<svg ") && bytes.ends_with(b"</svg>\n"), "{path}"),
            "toml" | "txt" => assert!(String::from_utf8(bytes).expect("UTF-8").lines().count() > 5, "{path}"),
            other => panic!("an unexpected kind of file: {other}"),
        }
        written += 1;
    }
    assert!(written >= 5, "{shown}");
}

/// What the books of a demo hold in dollars adds up to what its table of the three layers says, and is posted once however often the
/// demo is run.
#[test]
fn the_books_hold_what_the_layers_say() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    demo(folder.path(), "3");
    demo(folder.path(), "3");
    let run = |archive: &str, words: &[&str]| -> serde_json::Value {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["--archive", archive])
            .args(words)
            .args(["--format", "json"])
            .current_dir(folder.path())
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let units = |usd: &serde_json::Value| -> i128 {
        let text = usd.as_str().expect("dollars are text");
        assert_eq!(text.rsplit_once('.').expect("a point").1.len(), 8, "{text}");
        text.replace('.', "").parse().expect("a number")
    };
    let layers = run(
        "world/archive",
        &["svr", "waterfall", "--dataset", "demo-seed-3", "--policy", "world/demo-seed-3-policy.toml"],
    );
    let lines = layers["tables"]["layers"]["rows"].as_array().expect("lines");
    let stands = |name: &str| {
        let line = lines.iter().find(|line| line["line"].as_str().expect("a name").starts_with(name));
        units(&line.expect(name)["stands_at_usd"])
    };
    // The changes between two totals are the difference of the totals, to the unit.
    let mut sum = None;
    for line in lines {
        let stands = units(&line["stands_at_usd"]);
        let change = &line["change_usd"];
        let expected =
            if change.is_null() { sum.unwrap_or(stands) } else { sum.expect("a total first") + units(change) };
        assert_eq!(expected, stands, "{line}");
        sum = Some(stands);
    }
    assert_eq!(sum, Some(0), "all of the income was put somewhere");

    let ledger = run(
        "world/demo-seed-3-books",
        &["treasury", "ledger", "--account", "svr-share,liquidation-fees", "--top", "0"],
    );
    let entries = ledger["tables"]["entries"]["rows"].as_array().expect("entries");
    assert!(entries.len() > 3_000, "{}", entries.len());
    let booked = |account: &str| -> i128 {
        let of = entries.iter().filter(|entry| entry["credit"].as_str().expect("an account").starts_with(account));
        of.map(|entry| units(&entry["usd"])).sum()
    };
    let fees = stands("Treasury's income") - stands("Protocol's share");
    assert_eq!(booked("liquidation-fees"), fees);
    // In dollars each share is rounded down by itself in the books, and in the layers it is what the other parts leave.
    let off = stands("Protocol's share") - booked("svr-share");
    let shares = i128::try_from(
        entries.iter().filter(|entry| entry["credit"].as_str().is_some_and(|name| name.starts_with("svr"))).count(),
    );
    assert!((0..=2 * shares.expect("a count")).contains(&off), "{off}");
}

#[test]
fn the_same_seed_shows_the_same_and_another_seed_stands_beside_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let other = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("world")).expect("a folder");
    std::fs::write(folder.path().join("world/mine.txt"), "mine").expect("a file");

    let first = text(&demo(folder.path(), "1"));
    let again = text(&demo(folder.path(), "1"));
    assert_eq!(again, first.replace(", written.", ", already there, unchanged."));
    assert_eq!(first, text(&demo(other.path(), "1")));
    assert_ne!(first, text(&demo(folder.path(), "2")));

    let datasets = |seed: &str| {
        let rows = folder.path().join(format!("world/archive/imports/dataset=demo-seed-{seed}/liquidations"));
        std::fs::read_dir(rows).expect("the dataset is there").count()
    };
    assert_eq!((datasets("1"), datasets("2")), (1, 1));
    assert_eq!(std::fs::read_to_string(folder.path().join("world/mine.txt")).expect("kept"), "mine");
}
