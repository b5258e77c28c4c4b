//! `cargo xtask prove`: contracts and native pools side by side, for as many steps as asked.

use anyhow::Result;

use crate::{contracts, shell};

pub(crate) fn run(args: &[String]) -> Result<()> {
    let folder = contracts::install()?;
    let mut command = shell::cargo();
    command.args(["run", "--release", "--quiet", "--locked", "--package", "differential", "--bin", "prove", "--"]);
    shell::run(command.args(args).env(contracts::VARIABLE, folder))
}
