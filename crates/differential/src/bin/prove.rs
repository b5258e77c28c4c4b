//! Runs contracts and native pools side by side for as many steps as asked.
//!
//! `cargo xtask prove` builds and starts it. It prints what was done and why the rest was refused; a difference is
//! printed as a test, as short as it can be made, and ends the run with an error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports to the person who runs it")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use differential::artifacts::{self, Artifacts};
use differential::deploy::Deployer;
use differential::prove::{Found, LIFE, Tally, live, seed};
use differential::shrink;
use differential::world::Version;

const USAGE: &str =
    "usage: prove [--steps N] [--version v2|v3_0_0|v3_0_2|v3_6] [--seed S] [--threads N] [--differences N]";

/// What was asked for.
#[derive(Clone, Debug)]
struct Args {
    steps: u64,
    versions: Vec<Version>,
    seed: u64,
    threads: usize,
    differences: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let args = parse(std::env::args().skip(1))?;
    let artifacts = artifacts::find()?.context("no contracts are installed: run `cargo xtask contracts`")?;
    let mut agree = true;
    for version in &args.versions {
        agree &= prove(&artifacts, *version, &args)?;
    }
    Ok(agree)
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut args = Args { steps: 20_000, versions: Version::ALL.to_vec(), seed: 1, threads, differences: 1 };
    while let Some(word) = words.next() {
        if word == "--help" {
            bail!("{USAGE}");
        }
        let value = words.next().with_context(|| format!("`{word}` needs a value\n\n{USAGE}"))?;
        match word.as_str() {
            "--steps" => args.steps = value.parse().context(USAGE)?,
            "--seed" => args.seed = value.parse().context(USAGE)?,
            "--threads" => args.threads = value.parse().context(USAGE)?,
            "--differences" => args.differences = value.parse().context(USAGE)?,
            "--version" => args.versions = vec![Version::parse(&value).context(USAGE)?],
            _ => bail!("there is no `{word}`\n\n{USAGE}"),
        }
    }
    Ok(args)
}

/// What the threads share.
#[derive(Debug, Default)]
struct Shared {
    worlds: AtomicU64,
    steps: AtomicU64,
    found: Mutex<Vec<Found>>,
    tally: Mutex<Tally>,
}

fn prove(artifacts: &Artifacts, version: Version, args: &Args) -> Result<bool> {
    let deployer = Deployer::new(artifacts, version)?;
    let begin = Instant::now();
    let shared = Shared::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..args.threads).map(|_| scope.spawn(|| work(&deployer, args, &shared))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(_) => bail!("a thread panicked: its message is above"),
        })
    })?;
    let tally = shared.tally.into_inner().unwrap_or_default();
    let found = shared.found.into_inner().unwrap_or_default();
    report(version, args, &tally, shared.worlds.into_inner(), begin);
    for found in found.iter().take(args.differences) {
        let short = shrink::shrink(&deployer, found.clone())?;
        println!("\n{}\n\n{}\n", short.difference, shrink::source(&short));
    }
    Ok(found.is_empty())
}

/// Lives worlds until there are enough steps or differences.
fn work(deployer: &Deployer<'_>, args: &Args, shared: &Shared) -> Result<()> {
    while shared.steps.load(Ordering::Relaxed) < args.steps {
        let number = shared.worlds.fetch_add(1, Ordering::Relaxed);
        let mut tally = Tally::default();
        let found = live(deployer, seed(args.seed, number), LIFE, &mut tally)?;
        shared.steps.fetch_add(tally.steps(), Ordering::Relaxed);
        if let Ok(mut all) = shared.tally.lock() {
            all.merge(tally);
        }
        let Some(found) = found else { continue };
        eprintln!(
            "{}: world {number}: {:?}: {}",
            deployer.version().family(),
            found.case.steps.last(),
            found.difference
        );
        let Ok(mut all) = shared.found.lock() else { break };
        all.push(found);
        if all.len() >= args.differences {
            break;
        }
    }
    Ok(())
}

fn report(version: Version, args: &Args, tally: &Tally, worlds: u64, begin: Instant) {
    let seconds = begin.elapsed().as_secs_f64();
    let (asked, done) = tally.success();
    println!(
        "{}: {} steps in {worlds} worlds of seed {}, {seconds:.1} s; users' steps done: {done} of {asked}\n{tally}",
        version.family(),
        tally.steps(),
        args.seed,
    );
}
