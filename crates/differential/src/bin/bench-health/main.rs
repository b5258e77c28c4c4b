//! How fast accounts are valued, exactly and approximately, beside the contracts, numpy and what the machine can do.
//!
//! `cargo xtask bench health` builds and starts it, and `cargo xtask bench tick` the last part alone, which needs no
//! peers. Everything is measured in this one process or right beside it, so that ratios hold on any machine; each figure
//! is the best of several runs, but for ticks, which are counted one by one. Nothing here decides a test.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person who runs it")]

mod arithmetic;
mod contracts;
mod exact;
mod numpy;
mod people;
mod screen;
mod tick;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

/// How often the short measurements run.
const RUNS: usize = 15;

const ACCOUNTS: usize = 1_000_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    if let [only] = &*arguments
        && only.as_os_str() == "tick"
    {
        return tick::report(&people::People::new(ACCOUNTS)?);
    }
    let [python, script, folder] = &*arguments else {
        bail!("usage: bench-health PYTHON SCRIPT FOLDER, or bench-health tick");
    };
    println!("one thread; each figure is the best of {RUNS} runs unless it says otherwise\n");
    let ray_mul = arithmetic::report();
    let people = people::People::new(ACCOUNTS)?;
    let exact = exact::report(&people, ray_mul)?;
    contracts::report(exact)?;
    let numpy = numpy::run(&people, python, script, folder)?;
    screen::report(&people, &numpy)?;
    tick::report(&people)
}

/// The least time of `runs`, in seconds.
fn best(runs: usize, mut work: impl FnMut()) -> f64 {
    let times = (0..runs).map(|_| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn heading(text: &str) {
    println!("{text}");
}

/// A line: what, how much of which unit, and what that is beside something else.
fn line(what: &str, figure: f64, unit: &str, beside: &str) {
    let digits = if figure < 100.0 { 1 } else { 0 };
    println!("  {what:<54} {figure:>9.digits$} {unit:<14} {beside}");
}
