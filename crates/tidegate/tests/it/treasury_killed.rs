//! A recording killed at any instant: every batch is there whole or not at all, and the same command run again loses and invents nothing.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Bed, Chance, Row, every_file, number_from, parquet_files, read, seed};

/// Each file makes a batch.
const FILES: u64 = 5;
const ROWS: u64 = 15_000;

fn prepared(contents: &[String]) -> Bed {
    let bed = Bed::new();
    for (number, content) in contents.iter().enumerate() {
        bed.file(&format!("{number}.csv"), content);
    }
    bed
}

fn record(bed: &Bed) -> Command {
    let mut command = bed.command(&["treasury", "record"]);
    command
        .args((0..FILES).map(|number| bed.path(&format!("{number}.csv"))))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Pairs of rows that stand or fall together, in several accounts and assets.
fn content(chance: &mut Chance, file: u64) -> String {
    let mut text = "id,group,time,network,asset,debit,credit,amount_raw,reserve\n".to_owned();
    for number in file * ROWS / FILES..(file + 1) * ROWS / FILES {
        let asset = chance.pick(&["USDC", "USDT", "native"]);
        let amount = chance.below(1_000_000_000) + 1;
        let sides = if number % 2 == 0 { "cash,reserve-factor" } else { "svr-receivable,svr-share" };
        text.push_str(&format!("n{number},g{},2026-03-01,ethereum,{asset},{sides},{amount},USDC\n", number / 2));
    }
    text
}

/// The entries of each batch in order.
fn batches(bed: &Bed) -> Vec<Vec<Row>> {
    parquet_files(&bed.archive().join("ledger")).iter().map(|file| read(file).1).collect()
}

fn balances(bed: &Bed) -> serde_json::Value {
    bed.json(&["treasury", "ledger", "--balances"])["tables"].clone()
}

#[test]
fn a_recording_killed_at_any_instant_loses_and_invents_nothing() {
    let mut chance = Chance(seed());
    let kills = number_from("TIDEGATE_KILLS").map_or(24, |kills| kills.min(60));
    let text: Vec<String> = (0..FILES).map(|file| content(&mut chance, file)).collect();
    let whole = prepared(&text);
    let start = Instant::now();
    assert_eq!(record(&whole).status().unwrap().code(), Some(0));
    let duration = start.elapsed();
    let (expected, accounts) = (batches(&whole), balances(&whole));
    assert_eq!(expected.iter().map(|batch| batch.len() as u64).sum::<u64>(), ROWS);
    assert!(expected.len() > 2, "one batch could not be half there");
    let (mut bed, mut between, mut nothing, mut parts) = (prepared(&text), 0, 0, 0);
    for kill in 1..=kills {
        let share = f64::from(u32::try_from(chance.below(1_000)).unwrap()) / 1_000.0;
        let mut child = record(&bed).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(duration.as_secs_f64() * share));
        let _ = child.kill();
        child.wait().unwrap();
        let found = batches(&bed);
        let is_hidden = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "part");
        parts += u64::from(every_file(&bed.archive()).iter().any(is_hidden));
        nothing += u64::from(found.is_empty());
        between += u64::from(!found.is_empty() && found.len() < expected.len());
        assert!(
            found.len() <= expected.len() && found[..] == expected[..found.len()],
            "a batch is not what it is whole"
        );
        if kill % 3 == 0 || kill == kills || found.len() == expected.len() {
            assert_eq!(record(&bed).status().unwrap().code(), Some(0));
            assert!(batches(&bed) == expected, "entries differ after kill {kill}");
            assert_eq!(balances(&bed), accounts);
            bed = prepared(&text);
        }
    }
    println!(
        "{kills} kills over {duration:?}: {nothing} before any batch, {between} between batches, {parts} within one"
    );
    if kills >= 20 {
        assert!(between * 2 > kills, "{nothing} {between} {parts}");
    }
}
