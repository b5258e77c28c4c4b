//! How fast logs become files, events and a book.
//!
//! `cargo xtask bench sync` builds and starts it, beside cryo; `cargo xtask bench fold` the fold alone. Times are CPU
//! seconds of this process, which hold still when the machine is busy. Nothing here decides a test.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person who runs it")]

mod fold;
mod ingest;
mod life;
mod node;
mod stages;

use std::path::Path;
use std::process::ExitCode;

use alloy_primitives::{B256, keccak256};
use anyhow::{Result, bail};

/// Who acts in the lives that are served.
const ACCOUNTS: u32 = 20_000;

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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["node", logs] => node::serve(ACCOUNTS, logs.parse()?)?,
        ["raw", url, last_block, folder] => ingest::run(url, last_block.parse()?, Path::new(folder), false)?,
        ["folded", url, last_block, folder] => ingest::run(url, last_block.parse()?, Path::new(folder), true)?,
        ["commonest", url, last_block, folder] => ingest::commonest(url, last_block.parse()?, Path::new(folder))?,
        ["stages", folder, logs, raw] => stages::report(Path::new(folder), ACCOUNTS, logs.parse()?, raw.parse()?)?,
        ["topics", ref events @ ..] => events.iter().for_each(|event| println!("{:#x}", topic(event))),
        ["fold", folder] => fold::report(Path::new(folder))?,
        _ => bail!(
            "usage: bench-sync node LOGS | raw|folded|commonest URL BLOCK FOLDER | stages FOLDER LOGS RATE | fold FOLDER \
             | topics EVENT.."
        ),
    }
    Ok(())
}

/// The first topic of an event that is written with the names of its arguments.
fn topic(event: &str) -> B256 {
    let (name, arguments) = event.trim_end_matches(')').split_once('(').unwrap_or((event, ""));
    let types: Vec<&str> = arguments.split(',').filter_map(|argument| argument.split_whitespace().next()).collect();
    keccak256(format!("{name}({})", types.join(",")))
}

/// CPU seconds of this process so far, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may hold anything, a space or a bracket too.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    // The kernel tells this in hundredths of a second, whatever its own clock is.
    ticks.sum::<f64>() / 100.0
}

/// CPU seconds of this thread so far, to the nanosecond where the kernel tells them so.
fn thread_seconds() -> f64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanoseconds.map_or_else(cpu_seconds, |nanoseconds| nanoseconds / 1e9)
}

/// Bytes of memory this process has now.
fn resident() -> u64 {
    status("VmRSS:")
}

/// The most it had since it began, or since that was forgotten.
fn peak() -> u64 {
    status("VmHWM:")
}

/// Begins to look for the most memory anew; says whether the kernel lets it.
fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// A line of what the kernel tells of this process, in bytes.
fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    1_024 * kilobytes.unwrap_or(0)
}

fn heading(text: &str) {
    println!("{text}");
}

/// A line: what, how much of which unit, and what that is beside something else.
fn line(what: &str, figure: f64, unit: &str, beside: &str) {
    let digits = if figure < 100.0 { 2 } else { 0 };
    println!("  {what:<54} {figure:>9.digits$} {unit:<6} {beside}");
}
