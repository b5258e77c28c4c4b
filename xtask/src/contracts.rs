//! `cargo xtask contracts`: installs the contracts that tests run beside the native pool, compiles what is source, and
//! compiles our own.
//!
//! The installed ones are other people's work under their own licences, so nothing of them is in the repository: npm
//! installs them by the lock file's hashes into `target/contracts`, and they stay there until the lock file or a script
//! changes. Our own, in `contracts/`, are compiled by the compiler that came with them, whenever one of them changes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::shell;

/// Tells tests where `contracts.json` is; `differential::artifacts` reads it.
pub(crate) const VARIABLE: &str = "TIDEGATE_CONTRACTS";

/// What is installed and how it is compiled; a change of any of them installs again.
const INPUTS: [&str; 5] = ["package.json", "package-lock.json", ".npmrc", "solc.mjs", "compile.mjs"];

/// Compiles our own.
const OWN_SCRIPT: &str = "own.mjs";

/// A copy of every input, written last: its presence says that the folder is whole.
const STAMP: &str = "installed";

/// The same for our own contracts.
const OWN_STAMP: &str = "compiled";

pub(crate) fn run() -> Result<()> {
    install().map(|_| ())
}

/// The folder with the contracts, installed and compiled if they are not, with one line each on what was done.
pub(crate) fn install() -> Result<PathBuf> {
    let folder = shell::root().join("target").join("contracts");
    install_foreign(&folder)?;
    compile_own(&folder)?;
    Ok(folder)
}

fn install_foreign(folder: &Path) -> Result<()> {
    let inputs = contents(&INPUTS.map(|name| scripts().join(name)))?;
    if is_made(folder, STAMP, &inputs, "contracts.json") {
        eprintln!("contracts: installed in target/contracts");
        return Ok(());
    }
    let begin = Instant::now();
    eprintln!("contracts: installing into target/contracts and compiling, about a minute, once");
    std::fs::create_dir_all(folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    unmake(folder, STAMP)?;
    INPUTS.iter().try_for_each(|name| copy(name, folder))?;
    let mut npm = shell::program(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(folder).args(["ci", "--ignore-scripts", "--legacy-peer-deps", "--silent"]);
    shell::run(&mut npm).context(
        "the contracts cannot be installed: the first run needs Node.js with npm and a package registry; \
         delete target/contracts and run again",
    )?;
    shell::run(node(folder).args(["compile.mjs", "."]))
        .context("the contracts cannot be compiled: delete target/contracts and run again")?;
    made(folder, STAMP, &inputs)?;
    eprintln!("contracts: installed and compiled in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

fn compile_own(folder: &Path) -> Result<()> {
    let mut inputs = own_sources()?;
    // The compiler's own version is in the lock file.
    inputs.extend([OWN_SCRIPT, "solc.mjs", "package-lock.json"].map(|name| scripts().join(name)));
    let inputs = contents(&inputs)?;
    if is_made(folder, OWN_STAMP, &inputs, "own.json") {
        return Ok(());
    }
    let begin = Instant::now();
    unmake(folder, OWN_STAMP)?;
    copy(OWN_SCRIPT, folder)?;
    shell::run(node(folder).args([OWN_SCRIPT, "."]).arg(own())).context("contracts/ cannot be compiled")?;
    made(folder, OWN_STAMP, &inputs)?;
    eprintln!("contracts: our own compiled in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Where our own contracts are.
fn own() -> PathBuf {
    shell::root().join("contracts")
}

/// The sources of our own contracts, by name.
fn own_sources() -> Result<Vec<PathBuf>> {
    let of = own();
    let entries = std::fs::read_dir(&of).with_context(|| format!("{}: cannot be read", of.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{}: cannot be read", of.display()))?.path();
        if path.extension().is_some_and(|end| end == "sol") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn scripts() -> PathBuf {
    shell::root().join("crates").join("differential").join("npm")
}

fn node(folder: &Path) -> Command {
    let mut node = shell::program("node");
    node.current_dir(folder);
    node
}

fn copy(name: &str, folder: &Path) -> Result<()> {
    let copied = std::fs::copy(scripts().join(name), folder.join(name));
    copied.map(|_| ()).with_context(|| format!("{name}: cannot be copied into {}", folder.display()))
}

/// Whether something was made from these inputs, and is still there.
fn is_made(folder: &Path, stamp: &str, inputs: &[u8], product: &str) -> bool {
    std::fs::read(folder.join(stamp)).is_ok_and(|written| written == inputs) && folder.join(product).is_file()
}

fn unmake(folder: &Path, stamp: &str) -> Result<()> {
    let stamp = folder.join(stamp);
    if stamp.exists() {
        std::fs::remove_file(&stamp).with_context(|| format!("{}: cannot be removed", stamp.display()))?;
    }
    Ok(())
}

fn made(folder: &Path, stamp: &str, inputs: &[u8]) -> Result<()> {
    let stamp = folder.join(stamp);
    std::fs::write(&stamp, inputs).with_context(|| format!("{}: cannot be written", stamp.display()))
}

/// Names and contents of files, one after another.
fn contents(paths: &[PathBuf]) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(path.file_name().unwrap_or_default().as_encoded_bytes());
        all.push(b'\n');
        all.extend(std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_has_a_hash_for_every_package_and_no_address() {
        let lock = std::fs::read_to_string(scripts().join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert_eq!(package["integrity"].is_string(), !name.is_empty(), "{name}");
            assert!(package[concat!("resol", "ved")].is_null(), "{name}");
        }
    }

    #[test]
    fn what_is_made_is_made_again_when_an_input_changes_or_it_is_gone() {
        let folder = std::env::temp_dir().join(format!("tidegate-contracts-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let source = folder.join("a.sol");
        let inputs = |text: &str| {
            std::fs::write(&source, text).unwrap();
            contents(std::slice::from_ref(&source)).unwrap()
        };
        let first = inputs("contract A {}");
        assert!(!is_made(&folder, OWN_STAMP, &first, "own.json"), "nothing was made yet");
        std::fs::write(folder.join("own.json"), "{}").unwrap();
        made(&folder, OWN_STAMP, &first).unwrap();
        assert!(is_made(&folder, OWN_STAMP, &first, "own.json"));
        assert!(!is_made(&folder, OWN_STAMP, &inputs("contract B {}"), "own.json"), "another source");
        std::fs::remove_file(folder.join("own.json")).unwrap();
        assert!(!is_made(&folder, OWN_STAMP, &first, "own.json"), "the product is gone");
        unmake(&folder, OWN_STAMP).unwrap();
        assert!(!folder.join(OWN_STAMP).exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_contract_of_ours_is_among_the_inputs_and_says_its_licence() {
        let sources = own_sources().unwrap();
        assert!(sources.iter().any(|path| path.ends_with("DualAggregator.sol")), "{sources:?}");
        for path in sources {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("// SPDX-License-Identifier: MIT OR Apache-2.0\n"), "{}", path.display());
        }
    }
}
