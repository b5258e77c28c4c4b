//! `cargo xtask test`: everything a newcomer needs to run to know that the checkout works.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::{contracts, shell};

/// Contract tests run on Node.js; this is the oldest release they are meant for.
const NODE_MIN: u32 = 20;

/// Names the folder of recorded data; nothing of it is in the repository.
const DATA_VARIABLE: &str = "TIDEGATE_DATA";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let mut contracts = None;
    if needs_contracts(args) {
        match node_problem() {
            None => contracts = Some(contracts::install()?),
            Some(problem) => eprintln!("warning: tests that run contracts are skipped: {problem}"),
        }
    }
    test(args, contracts)
}

/// Every test, none skipped for want of Node.js.
pub(crate) fn run_all() -> Result<()> {
    if let Some(problem) = node_problem() {
        bail!("{problem}");
    }
    test(&[], Some(contracts::install()?))
}

fn test(args: &[String], contracts: Option<PathBuf>) -> Result<()> {
    let mut command = shell::cargo();
    command.args(["test", "--locked"]);
    if !names_packages(args) {
        command.arg("--workspace");
    }
    if let Some(folder) = contracts {
        command.env(contracts::VARIABLE, folder);
    }
    shell::run(command.args(args))?;
    eprintln!("{}", about_data(std::env::var_os(DATA_VARIABLE).is_some()));
    Ok(())
}

/// Whether the crate that runs contracts is among those tested.
fn needs_contracts(args: &[String]) -> bool {
    !names_packages(args) || args.iter().any(|arg| arg.contains("differential"))
}

/// Cargo ignores `-p` beside `--workspace`, without a word.
fn names_packages(args: &[String]) -> bool {
    let mut for_cargo = args.iter().take_while(|arg| *arg != "--");
    for_cargo.any(|arg| arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package="))
}

/// What is wrong with the Node.js on this machine, if anything.
fn node_problem() -> Option<String> {
    let version = shell::program("node").arg("--version").output();
    let version = version.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if version.as_deref().and_then(node_major).is_some_and(|major| major >= NODE_MIN) {
        return None;
    }
    let found = version.as_deref().map_or("none", str::trim);
    Some(format!("Node.js {NODE_MIN} or newer is needed to install contracts, found {found}: install it"))
}

/// `v20.20.2` is 20.
fn node_major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn about_data(is_named: bool) -> String {
    let state = if is_named {
        format!("{DATA_VARIABLE} names a folder")
    } else {
        format!("{DATA_VARIABLE} is not set, so they skip unless their data lies where they look by default")
    };
    format!(
        "note: tests on recorded data skip where the data is absent; {state}. \
         `cargo xtask test -- --nocapture` shows each skip."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions() {
        assert_eq!(node_major("v20.20.2\n"), Some(20));
        assert_eq!(node_major("v8.0.0"), Some(8));
        assert_eq!(node_major("not a version"), None);
    }

    #[test]
    fn a_named_package_is_tested_alone() {
        let args = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(names_packages(&args("-p engine")));
        assert!(names_packages(&args("--package=engine fold")));
        assert!(!names_packages(&args("fold -- --nocapture -p")));
        assert!(!names_packages(&args("--profile release")));
    }

    #[test]
    fn contracts_are_installed_for_the_tests_that_run_them() {
        let args = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert!(needs_contracts(&[]));
        assert!(needs_contracts(&args("-p differential")));
        assert!(!needs_contracts(&args("-p engine")));
    }

    #[test]
    fn the_note_says_how_to_see_skips() {
        assert!(about_data(false).contains("--nocapture"));
        assert!(about_data(true).contains(DATA_VARIABLE));
    }
}
