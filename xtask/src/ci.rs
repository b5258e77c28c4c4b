//! `cargo xtask ci`: what CI runs, step by step; the first failure ends it.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::{deny, shell, test, tidy};

type Step = (&'static str, fn() -> Result<()>);

/// Cheap steps come first, so that most mistakes show within a minute.
const STEPS: [Step; 6] = [
    ("cargo fmt --all --check", fmt),
    ("cargo clippy --workspace --all-targets --locked -- -D warnings", clippy),
    ("cargo xtask tidy", tidy::run),
    ("cargo xtask deny", deny::run),
    ("cargo doc --workspace --no-deps --document-private-items --locked", doc),
    ("cargo xtask test", test::run_all),
];

pub(crate) fn run() -> Result<()> {
    let begin = Instant::now();
    for (name, step) in STEPS {
        timed(name, step)?;
    }
    eprintln!("ci: all {} steps passed in {:.1} s", STEPS.len(), begin.elapsed().as_secs_f64());
    Ok(())
}

/// Reports on stderr, so that stdout stays what the step itself printed.
fn timed(name: &str, step: fn() -> Result<()>) -> Result<()> {
    eprintln!("ci: {name}");
    let begin = Instant::now();
    let result = step();
    let outcome = if result.is_ok() { "passed" } else { "failed" };
    eprintln!("ci: {name}: {outcome} in {:.1} s", begin.elapsed().as_secs_f64());
    result.with_context(|| format!("CI stopped at `{name}`"))
}

fn fmt() -> Result<()> {
    shell::run(shell::cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    shell::run(shell::cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]))
}

fn doc() -> Result<()> {
    let mut command = shell::cargo();
    command.args(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"]);
    shell::run(command.env("RUSTDOCFLAGS", "-D warnings"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named() {
        let error = timed("step", || anyhow::bail!("broken")).unwrap_err();
        assert_eq!(format!("{error:#}"), "CI stopped at `step`: broken");
    }
}
