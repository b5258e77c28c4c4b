//! `cargo xtask contracts`: installs the contracts that tests run beside the native pool, and compiles what is source.
//!
//! They are other people's work under their own licences, so nothing of them is in the repository: npm installs them by
//! the lock file's hashes into `target/contracts`, and they stay there until the lock file or the script changes.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::shell;

/// Tells tests where `contracts.json` is; `differential::artifacts` reads it.
pub(crate) const VARIABLE: &str = "TIDEGATE_CONTRACTS";

/// What is installed and how it is compiled; a change of any of them installs again.
const INPUTS: [&str; 4] = ["package.json", "package-lock.json", ".npmrc", "compile.mjs"];

/// A copy of every input, written last: its presence says that the folder is whole.
const STAMP: &str = "installed";

pub(crate) fn run() -> Result<()> {
    install().map(|_| ())
}

/// The folder with the contracts, installed if it is not, with one line on what was done.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = shell::root().join("target").join("contracts");
    let stamp = folder.join(STAMP);
    let inputs = inputs()?;
    if std::fs::read(&stamp).is_ok_and(|written| written == inputs) && folder.join("contracts.json").is_file() {
        eprintln!("contracts: installed in target/contracts");
        return Ok(folder);
    }
    let begin = Instant::now();
    eprintln!("contracts: installing into target/contracts and compiling, about a minute, once");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    if stamp.exists() {
        std::fs::remove_file(&stamp).with_context(|| format!("{}: cannot be removed", stamp.display()))?;
    }
    for name in INPUTS {
        let copied = std::fs::copy(source().join(name), folder.join(name));
        copied.with_context(|| format!("{name}: cannot be copied into {}", folder.display()))?;
    }
    let mut npm = shell::program(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(&folder).args(["ci", "--ignore-scripts", "--legacy-peer-deps", "--silent"]);
    shell::run(&mut npm).context(
        "the contracts cannot be installed: the first run needs Node.js with npm and a package registry; \
         delete target/contracts and run again",
    )?;
    let mut node = shell::program("node");
    node.current_dir(&folder).args(["compile.mjs", "."]);
    shell::run(&mut node).context("the contracts cannot be compiled: delete target/contracts and run again")?;
    std::fs::write(&stamp, inputs).with_context(|| format!("{}: cannot be written", stamp.display()))?;
    eprintln!("contracts: installed and compiled in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(folder)
}

fn source() -> PathBuf {
    shell::root().join("crates").join("differential").join("npm")
}

fn inputs() -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for name in INPUTS {
        let path = source().join(name);
        all.extend(std::fs::read(&path).with_context(|| format!("{}: cannot be read", path.display()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_has_a_hash_for_every_package_and_no_address() {
        let lock = std::fs::read_to_string(source().join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert_eq!(package["integrity"].is_string(), !name.is_empty(), "{name}");
            assert!(package[concat!("resol", "ved")].is_null(), "{name}");
        }
    }
}
