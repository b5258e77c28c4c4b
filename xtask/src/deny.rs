//! `cargo xtask deny`: licences, bans and sources of every dependency, by deny.toml.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::shell;

/// Pinned: the file format and the checks change between releases.
const VERSION: &str = "0.20.2";

pub(crate) fn run() -> Result<()> {
    let tool = match installed() {
        Some(tool) => tool,
        None => install()?,
    };
    shell::run(shell::program(tool).args(["--all-features", "--locked", "check", "bans", "licenses", "sources"]))
}

/// The pinned version in the workspace's own tools, else on PATH.
fn installed() -> Option<OsString> {
    let own = tools().join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    [own.into_os_string(), OsString::from("cargo-deny")].into_iter().find(is_pinned)
}

fn is_pinned(tool: &OsString) -> bool {
    let output = shell::program(tool).arg("--version").output();
    output.is_ok_and(|output| is_pinned_version(&String::from_utf8_lossy(&output.stdout)))
}

fn is_pinned_version(printed: &str) -> bool {
    printed.trim() == format!("cargo-deny {VERSION}")
}

/// Under `target`, so that a checkout never changes the user's home.
fn install() -> Result<OsString> {
    eprintln!("cargo-deny {VERSION} is not installed: building it into target/tools, about three minutes, once");
    let mut command = shell::cargo();
    command.args(["install", "cargo-deny", "--locked", "--version", VERSION, "--root"]);
    shell::run(command.arg(tools()))?;
    match installed() {
        Some(tool) => Ok(tool),
        None => bail!(
            "cargo-deny {VERSION} was installed into target/tools but does not start: delete target/tools and run again"
        ),
    }
}

fn tools() -> PathBuf {
    shell::root().join("target").join("tools")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pinned_version_is_used() {
        assert!(is_pinned_version("cargo-deny 0.20.2\n"));
        assert!(!is_pinned_version("cargo-deny 0.20.20\n"));
        assert!(!is_pinned_version("cargo-deny 0.19.0\n"));
        assert!(!is_pinned_version(""));
    }
}
