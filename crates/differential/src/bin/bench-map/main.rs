//! How fast maps are made and asked.
//!
//! `cargo xtask bench map` builds and starts it. One thread, in processor time, so that a busy machine says the same; ratios are of this one process. Nothing here decides a test.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person who runs it")]

mod defi;
mod heatmap;

use std::process::ExitCode;

fn main() -> ExitCode {
    heatmap::report();
    match defi::report() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The least processor time of `runs`, in seconds, and what the last run gave.
fn best<T>(runs: usize, mut work: impl FnMut() -> T) -> (f64, Option<T>) {
    let (mut least, mut last) = (f64::INFINITY, None);
    for _ in 0..runs {
        let begin = cpu_seconds();
        last = Some(work());
        least = least.min(cpu_seconds() - begin);
    }
    (least, last)
}

/// A line: what, how much of which unit, and what that is beside something else.
fn line(what: &str, figure: f64, unit: &str, beside: &str) {
    let digits = if figure < 100.0 { 2 } else { 0 };
    println!("  {what:<58} {figure:>9.digits$} {unit:<10} {beside}");
}

/// Processor seconds of this thread so far, which Linux tells to the nanosecond.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or(f64::NAN) / 1e9
}
