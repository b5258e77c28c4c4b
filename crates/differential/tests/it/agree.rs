//! Contracts and native pools take the same random steps and agree on every one.
//!
//! `cargo xtask prove --steps 1000000` runs longer.

use std::time::Instant;

use differential::deploy::Deployer;
use differential::mirror;
use differential::prove::{LIFE, Tally, live, seed};
use differential::shrink;
use differential::world::Version;
use protocol::aave::Revision;
use protocol::aave::revision::Evidence;

use crate::contracts;

/// Steps of every version.
const STEPS: u64 = 20_000;

/// Random worlds of a version until there were enough steps; a difference comes out as a test to put below.
fn agree(version: Version) {
    let Some(artifacts) = contracts() else { return };
    let deployer = Deployer::new(&artifacts, version).unwrap();
    let begin = Instant::now();
    let mut tally = Tally::default();
    let mut worlds = 0;
    while tally.steps() < STEPS {
        if let Some(found) = live(&deployer, seed(7, worlds), LIFE, &mut tally).unwrap() {
            let short = shrink::shrink(&deployer, found).unwrap();
            panic!("world {worlds}: {}\n\n{}", short.difference, shrink::source(&short));
        }
        worlds += 1;
    }
    let (asked, done) = tally.success();
    println!(
        "{version:?}: {} steps in {worlds} worlds, {:.1} s\n{tally}",
        tally.steps(),
        begin.elapsed().as_secs_f64()
    );
    assert!(2 * done > asked, "{version:?}: only {done} of {asked} steps of users were done");
    let liquidations = tally.done("liquidate");
    assert!(40 * liquidations > STEPS, "{version:?}: only {liquidations} liquidations");
}

#[test]
fn the_table_says_which_revisions_are_compared_here() {
    for revision in Revision::ALL {
        let is_compared = Version::ALL.iter().any(|version| mirror::revision(*version) == revision);
        assert_eq!(is_compared, revision.rules().evidence == Evidence::Contracts, "{revision:?}");
    }
}

#[test]
fn v2_agrees() {
    agree(Version::V2);
}

#[test]
fn v3_0_0_agrees() {
    agree(Version::V3_0_0);
}

#[test]
fn v3_0_2_agrees() {
    agree(Version::V3_0_2);
}

#[test]
fn v3_6_agrees() {
    agree(Version::V3_6);
}
