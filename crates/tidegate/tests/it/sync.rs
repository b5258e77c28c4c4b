//! A market on a node of its own: what the program makes of it must be what the contracts say.

use std::path::PathBuf;

use differential::anvil;
use differential::artifacts::{self, Artifacts};
use differential::chain::{Chain, upgradable};
use differential::world::{Version, World};

use crate::support::{Bed, Ran};

/// Contracts and a node to put them on, or none and a word about it.
fn parts() -> Option<(Artifacts, PathBuf)> {
    let (Some(artifacts), Some(binary)) = (artifacts::find().unwrap(), anvil::find()) else {
        println!(
            "skipped: no contracts or no anvil are installed; `cargo xtask test` installs them where they are offered"
        );
        return None;
    };
    Some((artifacts, binary))
}

fn sync(bed: &Bed, chain: &mut Chain, more: &[&str]) -> Ran {
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let mut args = vec!["sync", "--market", "m", "--chain", "31337", "--provider", &provider, "--rpc", &url];
    args.extend(more);
    let ran = bed.run(&args);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// Syncs a life and compares every account's health factor with the contracts'.
fn lives(version: Version, seed: u64) {
    let Some((artifacts, binary)) = parts() else { return };
    let world = if version == Version::V3_0_2 { upgradable(seed) } else { World::random(version, seed) };
    let mut chain = Chain::start(&binary, &artifacts, world, seed).unwrap();
    chain.live(200).unwrap();
    let bed = Bed::new();
    sync(&bed, &mut chain, &["--finality", "0"]);
    let url = chain.url().unwrap();
    let levels = "state,receipts,bloom,second";
    let verified = bed.run(&["verify", "--rpc", &url, "--accounts", "all", "--blocks", "all", "--level", levels]);
    assert_eq!(verified.code, Some(0), "{version:?}: {}\n{}", verified.out, verified.err);
    println!("{}", verified.out);
}

#[test]
fn a_life_on_v2() {
    lives(Version::V2, 1);
}

#[test]
fn a_life_on_v3_0_0() {
    lives(Version::V3_0_0, 1);
}

#[test]
fn a_life_on_v3_0_2() {
    lives(Version::V3_0_2, 1);
}

#[test]
fn a_life_on_v3_6() {
    lives(Version::V3_6, 1);
}
