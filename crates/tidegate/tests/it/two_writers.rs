//! One writer at a time, readers always, and a lock that dies with its holder.

use std::fs::File;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Bed, Chance, Event, csv, parquet_files};

fn events(count: u64, from: u64) -> String {
    let mut chance = Chance(from + 1);
    let events: Vec<Event> = (from..from + count).map(|number| Event::draw(&mut chance, number, 500)).collect();
    csv(&events)
}

#[test]
fn a_second_writer_is_refused_while_readers_work() {
    let bed = Bed::new();
    bed.import(&bed.file("first.csv", events(100, 0)), &[]).succeeded();
    let second = bed.file("second.csv", events(100, 1_000));
    let lock = File::options().write(true).open(bed.archive().join(".lock")).unwrap();
    lock.try_lock().unwrap();
    bed.import(&second, &[])
        .refused("second writer", &["archive", "another program is writing", "wait until it has finished"]);
    bed.run(&["datasets"]).succeeded();
    bed.run(&["liquidations", "--by", "debt"]).succeeded();
    bed.import(&second, &["--dry-run"]).succeeded();
    drop(lock);
    bed.import(&second, &[]).succeeded();
}

#[test]
fn a_long_import_keeps_others_out_until_it_is_killed() {
    let bed = Bed::new();
    bed.import(&bed.file("first.csv", events(100, 0)), &[]).succeeded();
    // Rows enough to be at work for long; that they repeat does not matter, for it never ends.
    let long = bed.file("long.csv", events(20_000, 10_000).repeat(10));
    let second = bed.file("second.csv", events(100, 1_000));
    let mut command = bed.command(&["import", "liquidations", "--dataset", "d", "--amounts", "tokens"]);
    let mut child = command.arg(&long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let at_work = || {
        let lock = File::options().write(true).open(bed.archive().join(".lock")).unwrap();
        lock.try_lock().is_err()
    };
    let start = Instant::now();
    while !at_work() {
        assert!(
            start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none(),
            "it never took the lock"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    let refused = bed.import(&second, &[]);
    bed.run(&["liquidations", "--by", "debt"]).succeeded();
    assert!(child.try_wait().unwrap().is_none(), "the long import has to outlast what is tried meanwhile");
    refused.refused("second writer", &["another program is writing"]);
    child.kill().unwrap();
    child.wait().unwrap();
    bed.import(&second, &[]).succeeded();
    assert_eq!(parquet_files(&bed.archive()).len(), 2, "the killed import left no file");
}
