//! The contracts themselves, and Aave's own library: random worlds work, native pools agree with both, and old
//! differences stay gone.
#![cfg(test)]

mod agree;
mod anvil;
mod book;
mod cases;
mod math_utils;
mod proxy;
mod svr;
mod worlds;

use differential::artifacts::{self, Artifacts};

/// The contracts, or none and a word about it where they are not installed.
fn contracts() -> Option<Artifacts> {
    let artifacts = artifacts::find().unwrap();
    if artifacts.is_none() {
        println!("skipped: no contracts are installed; `cargo xtask test` installs them");
    }
    artifacts
}
