//! An import killed at any instant: what is visible is whole, and the same command run again ends as if nothing had been.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{Bed, Chance, Event, Row, csv, every_file, number_from, parquet_files, read, row_count, seed};

const FILES: usize = 4;
const ROWS_PER_FILE: usize = 500;
/// After how many kills an import is let run to its end and compared.
const KILLS_PER_ROUND: u64 = 4;

/// What a kill met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// No file of the dataset was visible.
    NoFile,
    /// Some files were visible.
    SomeFiles,
    /// All files were visible and the program had not ended.
    AllFiles,
    /// The program had ended before the kill.
    Ended,
}

#[test]
fn an_import_killed_at_any_instant_loses_nothing_and_shows_nothing_half() {
    let mut chance = Chance(seed());
    let kills = number_from("TIDEGATE_KILLS").unwrap_or(200);
    let files = contents(&mut chance);
    let (expected, duration) = uninterrupted(&files);
    let (mut stages, mut with_parts, mut between) = (BTreeMap::<Stage, u64>::new(), 0, 0);
    let mut bed = prepared(&files);
    for kill in 1..=kills {
        // What is in the archive already is not done again, so a kill has to come the sooner.
        let left = FILES - bed.files("d", "liquidations").len();
        let delay = duration.mul_f64(fraction(&mut chance) * share(left));
        let stage = killed_after(&bed, delay);
        *stages.entry(stage).or_default() += 1;
        with_parts += u64::from(hidden_parts(&bed) > 0);
        between += u64::from(bed.files("d", "rejects").len() > bed.files("d", "liquidations").len());
        visible_files_are_whole(&bed);
        bed.run(&["datasets"]).succeeded();
        let is_done = matches!(stage, Stage::AllFiles | Stage::Ended);
        if is_done || kill % KILLS_PER_ROUND == 0 || kill == kills {
            assert_eq!(import(&bed).status().unwrap().code(), Some(0));
            assert_eq!(state(&bed), expected, "kill {kill} after {delay:?} at {stage:?}");
            bed = prepared(&files);
        }
    }
    println!(
        "{kills} kills over {duration:?}: {stages:?}; {with_parts} left hidden files behind, {between} fell between a file's rejects and its rows"
    );
    // Where every kill met the same stage, or none met a file being written, this test would test nothing.
    let per_cent = |stage| stages.get(&stage).copied().unwrap_or(0) * 100 / kills.max(1);
    if kills >= 50 {
        assert!(per_cent(Stage::SomeFiles) >= 20, "{stages:?}");
        assert!(per_cent(Stage::NoFile) >= 1, "{stages:?}");
        assert!(per_cent(Stage::Ended) <= 60, "{stages:?}");
        assert!(with_parts * 100 / kills >= 20, "{with_parts} of {kills}");
    }
}

/// Several files of one dataset; each repeats rows of itself and of the file before, so that files are written twice.
fn contents(chance: &mut Chance) -> Vec<String> {
    let mut events: Vec<Event> = Vec::new();
    let mut contents = Vec::new();
    for _ in 0..FILES {
        let from = events.len().saturating_sub(ROWS_PER_FILE / 20);
        for _ in 0..ROWS_PER_FILE {
            events.push(Event::draw(chance, events.len() as u64, 400));
        }
        let own = &events[from..];
        contents.push(csv(own.iter().chain(&own[own.len() - 50..])) + "a row,too short\n");
    }
    contents
}

fn share(files: usize) -> f64 {
    f64::from(u32::try_from(files).unwrap()) / f64::from(u32::try_from(FILES).unwrap())
}

/// From nothing to a little more than the whole.
fn fraction(chance: &mut Chance) -> f64 {
    f64::from(u32::try_from(chance.below(1_050)).unwrap()) / 1_000.0
}

fn prepared(files: &[String]) -> Bed {
    let bed = Bed::new();
    for (number, content) in files.iter().enumerate() {
        bed.file(&format!("{number}.csv"), content);
    }
    bed
}

fn import(bed: &Bed) -> std::process::Command {
    let mut command = bed.command(&["import", "liquidations", "--dataset", "d", "--amounts", "tokens"]);
    command.args((0..FILES).map(|number| bed.path(&format!("{number}.csv"))));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// What a reader sees: the rows by file of origin and row, the rejects, the program's own totals.
#[derive(Debug, PartialEq)]
struct State {
    files: Vec<String>,
    rows: Vec<(String, Vec<Row>)>,
    totals: serde_json::Value,
}

fn state(bed: &Bed) -> State {
    assert_eq!(hidden_parts(bed), 0, "an import that ended leaves no hidden files");
    let files = parquet_files(&bed.archive());
    let rows = files.iter().map(|path| {
        let mut rows = read(path).1;
        rows.sort_by_key(|row| row["source_row"].parse::<u64>().unwrap());
        (crate::support::footer(path)["source_file"].clone(), rows)
    });
    State {
        rows: rows.collect(),
        totals: bed.json(&["liquidations", "--by", "collateral,month"])["tables"].clone(),
        files: files.iter().map(|path| path.strip_prefix(bed.archive()).unwrap().display().to_string()).collect(),
    }
}

/// The state without any kill, and how long the import takes.
fn uninterrupted(files: &[String]) -> (State, Duration) {
    let mut runs = Vec::new();
    for _ in 0..3 {
        let bed = prepared(files);
        let start = Instant::now();
        assert_eq!(import(&bed).status().unwrap().code(), Some(0));
        runs.push((start.elapsed(), state(&bed)));
    }
    let taken: usize = runs[0].1.rows.iter().map(|(_, rows)| rows.len()).sum();
    assert!(taken > FILES * ROWS_PER_FILE, "rows and rejects: {taken}");
    runs.sort_by_key(|(duration, _)| *duration);
    assert_eq!(runs[0].1, runs[1].1, "two imports of the same files differ");
    let middle = runs.remove(1);
    (middle.1, middle.0)
}

fn killed_after(bed: &Bed, delay: Duration) -> Stage {
    let mut child = import(bed).spawn().unwrap();
    std::thread::sleep(delay);
    let ended = child.try_wait().unwrap().is_some();
    // A child that has just ended by itself cannot be killed any more, which is as good.
    let _ = child.kill();
    child.wait().unwrap();
    match bed.files("d", "liquidations").len() {
        _ if ended => Stage::Ended,
        0 => Stage::NoFile,
        FILES => Stage::AllFiles,
        _ => Stage::SomeFiles,
    }
}

fn hidden_parts(bed: &Bed) -> usize {
    let is_part = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "part");
    every_file(&bed.archive()).iter().filter(|path| is_part(path)).count()
}

fn visible_files_are_whole(bed: &Bed) {
    for path in parquet_files(&bed.archive()) {
        let footer = crate::support::footer(&path);
        assert_eq!(footer["schema_version"], "1", "{}", path.display());
        assert!(row_count(&path) > 0, "{} has no rows", path.display());
    }
}
