//! `cargo xtask test`: everything a newcomer needs to run to know that the checkout works.

use anyhow::Result;

use crate::shell;

/// Contract tests run on Node.js; this is the oldest release they are meant for.
const NODE_MIN: u32 = 20;

/// Names the folder of recorded data; nothing of it is in the repository.
const DATA_VARIABLE: &str = "TIDEGATE_DATA";

pub(crate) fn run(args: &[String]) -> Result<()> {
    warn_about_node();
    let mut command = shell::cargo();
    command.args(["test", "--locked"]);
    if !names_packages(args) {
        command.arg("--workspace");
    }
    shell::run(command.args(args))?;
    eprintln!("{}", about_data(std::env::var_os(DATA_VARIABLE).is_some()));
    Ok(())
}

/// Cargo ignores `-p` beside `--workspace`, without a word.
fn names_packages(args: &[String]) -> bool {
    let mut for_cargo = args.iter().take_while(|arg| *arg != "--");
    for_cargo.any(|arg| arg.starts_with("-p") || arg == "--package" || arg.starts_with("--package="))
}

/// Only a warning: everything in Rust is tested without Node.js.
fn warn_about_node() {
    let version = shell::program("node").arg("--version").output();
    let version = version.ok().map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    if version.as_deref().and_then(node_major).is_none_or(|major| major < NODE_MIN) {
        let found = version.as_deref().map_or("none", str::trim);
        eprintln!(
            "warning: Node.js {NODE_MIN} or newer is needed for contract tests, found {found}: install it to run them"
        );
    }
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
    fn the_note_says_how_to_see_skips() {
        assert!(about_data(false).contains("--nocapture"));
        assert!(about_data(true).contains(DATA_VARIABLE));
    }
}
