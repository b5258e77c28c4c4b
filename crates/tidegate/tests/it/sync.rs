//! A market on a node of its own: what the program makes of it must be what the contracts say.

mod faults;
mod figures;
mod hypersync;
mod killed;
mod omissions;
mod place;
mod prices;
mod recapture;
mod reorganised;

use differential::artifacts::Artifacts;
use differential::chain::{Chain, upgradable};
use differential::world::{Version, World};

use self::figures::Figures;
use self::place::{Place, parts};

/// How often people are let loose, and looked at.
const STAGES: usize = 4;

fn start((artifacts, binary): &(Artifacts, std::path::PathBuf), version: Version, seed: u64) -> Chain {
    let world = if version == Version::V3_0_2 { upgradable(seed) } else { World::random(version, seed) };
    Chain::start(binary, artifacts, world, seed).unwrap()
}

/// Lives on, and what the contracts then say.
fn stage(chain: &mut Chain, steps: usize) -> Figures {
    chain.live(steps).unwrap();
    Figures::now(chain)
}

/// Lives some, syncs and looks, and lives on; then all of it at once in another archive.
fn lives(version: Version, seed: u64, steps: usize) {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, version, seed);
    let place = Place::new(&mut chain);
    let mut seen = Vec::new();
    for stage_number in 0..STAGES {
        let figures = stage(&mut chain, steps / STAGES);
        place.sync(&["--finality", "0"]);
        figures.compare(&place);
        seen.push(figures);
        if stage_number == 1 {
            // A new aggregator whose logs nobody watched until it was appointed.
            let price = chain.mirror.block.prices[0].max(alloy_primitives::U256::from(1));
            chain.next_phase(0, price).unwrap();
        }
    }
    place.verify();
    let at_once = Place::new(&mut chain);
    // The node calls a block final that is two below its newest.
    chain.node().unwrap().mine(2).unwrap();
    at_once.sync(&[]);
    seen.last().unwrap().compare(&at_once);
    at_once.verify();
    assert!(at_once.logs() == place.logs(), "{version:?}, seed {seed}: read at once it is another history");
    // Each stage again, with nothing but what later blocks left behind.
    let stages = Place::new(&mut chain);
    for figures in &seen {
        stages.sync(&["--finality", "0", "--to-block", &figures.block.to_string()]);
        figures.compare(&stages);
    }
    let holdings: usize = seen.iter().map(Figures::holdings).sum();
    println!(
        "{version:?}, seed {seed}: {} blocks compared, {holdings} holdings, {} logs",
        seen.len(),
        place.logs().len()
    );
}

#[test]
fn lives_on_v2() {
    (1..=2).for_each(|seed| lives(Version::V2, seed, 240));
}

#[test]
fn lives_on_v3_0_0() {
    (1..=2).for_each(|seed| lives(Version::V3_0_0, seed, 240));
}

#[test]
fn lives_on_v3_0_2() {
    (1..=2).for_each(|seed| lives(Version::V3_0_2, seed, 240));
}

#[test]
fn lives_on_v3_6() {
    (1..=2).for_each(|seed| lives(Version::V3_6, seed, 240));
}

/// A market that is upgraded under its people: right before and after, and the archive alone tells all of it again.
#[test]
fn a_life_through_an_upgrade() {
    let Some(parts) = parts() else { return };
    for seed in 1..=2 {
        let mut chain = start(&parts, Version::V3_0_2, seed);
        let place = Place::new(&mut chain);
        let mut seen = vec![stage(&mut chain, 60), stage(&mut chain, 60)];
        chain.upgrade(&parts.0).unwrap();
        seen.push(Figures::now(&mut chain));
        seen.extend([stage(&mut chain, 60), stage(&mut chain, 60)]);
        for figures in &seen {
            place.sync(&["--finality", "0", "--to-block", &figures.block.to_string()]);
            figures.compare(&place);
        }
        place.verify();
        let at_once = Place::new(&mut chain);
        at_once.sync(&["--finality", "0"]);
        at_once.verify();
        assert!(at_once.logs() == place.logs());
        // No node any more.
        drop(chain);
        seen.iter().for_each(|figures| figures.compare(&place));
        seen.last().unwrap().compare(&at_once);
    }
}
