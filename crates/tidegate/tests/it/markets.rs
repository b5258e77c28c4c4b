//! `tidegate markets`: the list, a file laid over it, and what it never shows.

use crate::support::Bed;

#[test]
fn the_list_reaches_programs_whole() {
    let bed = Bed::new();
    let report = bed.json(&["markets"]);
    let rows = report["tables"]["markets"]["rows"].as_array().unwrap();
    assert!(rows.len() >= 29, "{report}");
    assert_eq!(report["standing"], "imported");
    let csv = bed.run(&["markets", "--chain", "base", "--format", "csv"]);
    assert_eq!(csv.succeeded().out.lines().count(), 2, "{csv:?}");
}

#[test]
fn a_key_in_a_file_of_markets_is_never_shown() {
    let bed = Bed::new();
    let file = bed.file(
        "mine.toml",
        "[[chain]]\nid = 8453\nendpoints = [\"https://user:s3cr3t@node.example/s3cr3t?key=s3cr3t\", \"s3cr3t\"]\n",
    );
    let file = file.to_str().unwrap();
    for format in ["text", "json", "csv"] {
        for more in [&["base-v3"][..], &["--estimate"], &[]] {
            let ran = bed.run(&[&["markets", "--markets", file, "--format", format], more].concat());
            assert!(!ran.succeeded().out.contains("s3cr3t"), "{ran:?}");
        }
    }
    let shown = bed.run(&["markets", "--markets", file, "base-v3"]);
    assert!(shown.out.contains("node.example"), "{shown:?}");
}

#[test]
fn what_is_no_market_or_no_list_is_refused() {
    let bed = Bed::new();
    bed.run(&["markets", "polygon-v9"]).refused("a name", &["polygon-v9", "known: polygon-v3, polygon-v2"]);
    bed.run(&["markets", "--markets", "nowhere.toml"]).refused("a list", &["nowhere.toml", "no such file"]);
    let bad = bed.file("bad.toml", "[[market]]\nname = \"x\"\n");
    bed.run(&["markets", "--markets", bad.to_str().unwrap()]).refused("an entry", &["bad.toml", "addresses_provider"]);
}
