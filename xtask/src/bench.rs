//! `cargo xtask bench <what>`: our speed as ratios against others in one run. They live in a virtual environment under
//! `target/bench`.
//!
//! * `liquidations [--rows N]`: import and group-by beside DuckDB on the same rows, with the floor of merely decoding the
//!   columns;
//! * `health`: accounts valued exactly and approximately, beside the contracts, numpy and the machine's memory;
//! * `tick`: what one move of prices costs where everybody is watched, beside a full rescan;
//! * `sync [--logs N]`: logs read from a node on this machine, into files and on into a book, beside cryo, with the floor of
//!   merely going over the node's answers;
//! * `fold`: from files to a book, stage by stage, with the floor of merely decoding the columns, and the book's memory;
//! * `map`: maps built cold, asked warm, and beside looking at everybody.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{contracts, shell};

/// What the bench compares with, by exact version, so that two runs mean the same.
const PEERS: [&str; 4] = ["duckdb==2.0.0", "pyarrow==26.0.1", "pytz", "numpy==2.4.6"];
const ROWS: u64 = 10_000_000;

/// Who else reads logs into Parquet.
const CRYO: &str = "cryo==0.3.2";
const LOGS: u64 = 500_000;

/// Measures what the first argument names; without one liquidations, as with options alone.
pub(crate) fn run(args: &[String]) -> Result<()> {
    match args {
        [what] if what == "health" => health(),
        [what] if what == "tick" => tick(),
        [what] if what == "fold" => fold(),
        [what] if what == "map" => map(),
        [what, options @ ..] if what == "sync" => sync(options),
        [what, options @ ..] if what == "liquidations" => liquidations(options),
        options => liquidations(options),
    }
}

/// Builds the program, makes the peers ready, and measures.
fn liquidations(options: &[String]) -> Result<()> {
    let rows = match options {
        [] => ROWS,
        [option, rows] if option == "--rows" => rows.parse().context("--rows takes a whole number")?,
        _ => bail!(
            "`bench` takes `health`, `tick`, `fold`, `map`, `sync` with `--logs N` or nothing, or `liquidations` with `--rows N` or nothing"
        ),
    };
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "tidegate"]))?;
    let folder = folder();
    let python = peers(&folder)?;
    shell::run(
        shell::program(python)
            .arg(script("liquidations.py"))
            .arg(shell::target().join("release/tidegate"))
            .arg(&folder)
            .arg(rows.to_string()),
    )
}

/// Builds the bench, which starts numpy itself so that both run in the same minute.
fn health() -> Result<()> {
    let contracts = contracts::install()?;
    build_health()?;
    let folder = folder();
    let python = peers(&folder)?;
    shell::run(
        shell::program(shell::target().join("release/bench-health"))
            .env(contracts::VARIABLE, contracts)
            .arg(python)
            .arg(script("health.py"))
            .arg(folder),
    )
}

/// The part of it that stands alone.
fn tick() -> Result<()> {
    build_health()?;
    shell::run(shell::program(shell::target().join("release/bench-health")).arg("tick"))
}

fn build_health() -> Result<()> {
    let build = ["build", "--release", "--locked", "--package", "differential", "--bin", "bench-health"];
    shell::run(shell::cargo().args(build))
}

/// Starts a node and whoever reads from it as processes of their own, so that each is charged what it uses.
fn sync(options: &[String]) -> Result<()> {
    let logs = match options {
        [] => LOGS,
        [option, logs] if option == "--logs" => logs.parse().context("--logs takes a whole number")?,
        _ => bail!("`bench sync` takes `--logs N` or nothing"),
    };
    build_sync()?;
    let folder = folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    shell::run(
        shell::program("python3").arg(script("sync.py")).arg(bench_sync()).arg(folder).arg(logs.to_string()).arg(CRYO),
    )
}

fn fold() -> Result<()> {
    build_sync()?;
    shell::run(shell::program(bench_sync()).arg("fold").arg(folder()))
}

/// Maps need no peers.
fn map() -> Result<()> {
    shell::run(shell::cargo().args([
        "build",
        "--release",
        "--locked",
        "--package",
        "differential",
        "--bin",
        "bench-map",
    ]))?;
    shell::run(&mut shell::program(shell::target().join("release/bench-map")))
}

fn build_sync() -> Result<()> {
    let build = ["build", "--release", "--locked", "--package", "differential", "--bin", "bench-sync"];
    shell::run(shell::cargo().args(build))
}

fn bench_sync() -> PathBuf {
    shell::target().join("release/bench-sync")
}

fn folder() -> PathBuf {
    shell::target().join("bench")
}

fn script(name: &str) -> PathBuf {
    shell::root().join("xtask/src/bench").join(name)
}

/// The Python that has the peers.
fn peers(folder: &Path) -> Result<PathBuf> {
    let environment = folder.join("python");
    let python = environment.join("bin/python");
    if !python.is_file() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        shell::run(shell::program("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    shell::run(
        shell::program(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PEERS),
    )?;
    Ok(python)
}
