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
            other => panic!("an unexpected kind of file: {other}"),
        }
        written += 1;
    }
    assert!(written >= 5, "{shown}");
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
