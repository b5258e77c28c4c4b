//! `cargo xtask bench [--rows N]`: our speed as ratios against DuckDB on the same rows in the same run, with the floor of
//! merely decoding the columns beside it. DuckDB and its Python live in a virtual environment under `target/bench`.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// What the bench compares with, by exact version, so that two runs mean the same.
const PEERS: [&str; 3] = ["duckdb==2.0.0", "pyarrow==26.0.1", "pytz"];
const ROWS: u64 = 10_000_000;

/// Builds the program, makes the peers ready, and measures.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let rows = match args {
        [] => ROWS,
        [option, rows] if option == "--rows" => rows.parse().context("--rows takes a whole number")?,
        _ => bail!("`bench` takes `--rows N` or nothing"),
    };
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "tidegate"]))?;
    let folder = shell::root().join("target/bench");
    let python = peers(&folder)?;
    shell::run(
        shell::program(python)
            .arg(shell::root().join("xtask/src/bench/liquidations.py"))
            .arg(shell::root().join("target/release/tidegate"))
            .arg(&folder)
            .arg(rows.to_string()),
    )
}

/// The Python that has the peers.
fn peers(folder: &Path) -> Result<std::path::PathBuf> {
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
