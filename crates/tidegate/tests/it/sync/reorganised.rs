//! A chain that changes its mind while the program follows it.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use differential::chain::Chain;
use differential::world::Version;

use super::figures::Figures;
use super::place::{Place, parts};
use super::{stage, start};

/// Blocks below the tip that count as final: no reorganisation here reaches as deep.
const FINALITY: &str = "24";

/// How long a program may take until it has got to a block.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program following a chain.
pub(super) struct Following {
    child: Child,
    says: std::sync::mpsc::Receiver<String>,
}

impl Following {
    pub(super) fn start(place: &Place) -> Self {
        Self::with(place, &[])
    }

    pub(super) fn with(place: &Place, more: &[&str]) -> Self {
        let args: Vec<&str> = ["--finality", FINALITY, "--follow"].into_iter().chain(more.iter().copied()).collect();
        let mut command = place.command(&args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut err = child.stderr.take().unwrap();
        let (sender, says) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let (mut text, mut buffer) = (String::new(), [0; 4_096]);
            while let Ok(read @ 1..) = err.read(&mut buffer) {
                text += &String::from_utf8_lossy(&buffer[..read]);
                while let Some((line, rest)) = text.split_once('\n') {
                    let _ = sender.send(line.to_owned());
                    text = rest.to_owned();
                }
            }
        });
        Self { child, says }
    }

    /// Waits until it has taken a block; returns how many lines spoke of a reorganisation.
    pub(super) fn until(&mut self, block: u64) -> usize {
        let (begin, mut undone, mut said) = (Instant::now(), 0, Vec::new());
        let wanted = format!("block {block}: ");
        while begin.elapsed() < PATIENCE {
            let Ok(line) = self.says.recv_timeout(Duration::from_secs(1)) else {
                let status = self.child.try_wait().unwrap();
                assert!(status.is_none(), "it ended before block {block}: {status:?}, {said:?}");
                continue;
            };
            undone += usize::from(line.starts_with("reorganised: "));
            if line.starts_with(&wanted) {
                return undone;
            }
            said.push(line);
        }
        panic!("block {block} was never taken: {said:?}");
    }

    /// Ends it as Ctrl-C does; it must end well.
    pub(super) fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        let status = self.child.wait().unwrap();
        let said: Vec<String> = self.says.try_iter().collect();
        assert_eq!(status.code(), Some(0), "{said:?}");
    }
}

/// After everything, the archive must be as if the chain had never changed its mind.
fn settles(place: &Place, chain: &mut Chain, figures: &Figures) {
    let block = figures.block.to_string();
    place.sync(&["--finality", "0", "--to-block", &block]);
    let fresh = Place::new(chain);
    fresh.sync(&["--finality", "0", "--to-block", &block]);
    figures.compare(place);
    let tally = super::prices::compare(chain, place, figures.block);
    assert!(tally.by_feed > 0, "{tally:?}");
    // A price feed is watched from where it was first found, which is later for whoever was there before it; from there on
    // nothing of it may be missing.
    let answer = alloy_primitives::keccak256("AnswerUpdated(int256,uint256,uint256)");
    let asked = place.coverage();
    let is_asked = |log: &source::log::Log<'_>| {
        log.topics.first() != Some(&answer) || asked.first_of(&log.address).is_some_and(|from| from <= log.block)
    };
    let upto = |place: &Place| {
        let logs = place.logs();
        let mut kept = source::log::Logs::default();
        logs.iter().filter(|log| log.block <= figures.block && is_asked(log)).for_each(|log| kept.push(&log));
        kept
    };
    let (own, right) = (upto(place), upto(&fresh));
    let apart =
        own.iter().map(Some).chain([None]).zip(right.iter().map(Some).chain([None])).find(|(own, right)| own != right);
    assert!(apart.is_none(), "the logs are those of another history, of {} and {}: {apart:?}", own.len(), right.len());
    assert_eq!(
        place.positions(figures.block, &figures.addresses()),
        fresh.positions(figures.block, &figures.addresses())
    );
    place.verify();
}

/// Goes back by many depths under a program that follows, which is stopped and started in between.
fn changes_its_mind(version: Version, seed: u64, depths: impl Iterator<Item = u64>) {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, version, seed);
    chain.live(40).unwrap();
    let place = Place::new(&mut chain);
    let mut following = Following::start(&place);
    let tip = |chain: &mut Chain| chain.node().unwrap().latest().unwrap();
    following.until(tip(&mut chain));
    let mut told = 0;
    for (round, depth) in depths.enumerate() {
        let past = chain.snapshot().unwrap();
        let from = tip(&mut chain);
        while tip(&mut chain) < from + depth {
            chain.live(1).unwrap();
            if round % 3 == 1 {
                chain.node().unwrap().mine(1).unwrap();
            }
        }
        following.until(tip(&mut chain));
        if round % 4 == 3 {
            // It looks away while the chain changes.
            following.stop();
            chain.revert(past).unwrap();
            chain.live(4).unwrap();
            chain.node().unwrap().mine(1 + depth / 2).unwrap();
            following = Following::start(&place);
        } else {
            chain.revert(past).unwrap();
            chain.live(4).unwrap();
            chain.node().unwrap().mine(1).unwrap();
        }
        told += following.until(tip(&mut chain));
    }
    let figures = stage(&mut chain, 20);
    chain.node().unwrap().mine(30).unwrap();
    following.until(tip(&mut chain));
    following.stop();
    println!("{version:?}, seed {seed}: {told} reorganisations were noticed");
    assert!(told > 0, "nothing was noticed");
    settles(&place, &mut chain, &figures);
}

#[test]
fn a_chain_of_v3_6_that_changes_its_mind() {
    changes_its_mind(Version::V3_6, 1, 1..=20);
}

#[test]
fn a_chain_of_v2_that_changes_its_mind() {
    changes_its_mind(Version::V2, 2, [1, 2, 5, 9, 14, 20].into_iter());
}

/// A feed that takes another one's place while the program follows writes no log that the market's own contracts would: it is
/// found all the same, and nothing that it wrote since is missing.
#[test]
fn a_feed_that_is_exchanged_while_the_program_follows_is_found() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    chain.live(30).unwrap();
    let place = Place::new(&mut chain);
    let tip = |chain: &mut Chain| chain.node().unwrap().latest().unwrap();
    let mut following = Following::start(&place);
    following.until(tip(&mut chain));
    let since = tip(&mut chain) + 1;
    let price = chain.mirror.block.prices[0].max(alloy_primitives::U256::from(2));
    for price in [price, price + alloy_primitives::U256::from(1)] {
        chain.next_phase(0, price).unwrap();
    }
    chain.live(10).unwrap();
    chain.node().unwrap().request("evm_increaseTime", serde_json::json!([4_000])).unwrap();
    chain.node().unwrap().mine(60).unwrap();
    following.until(tip(&mut chain));
    chain.node().unwrap().mine(1).unwrap();
    following.until(tip(&mut chain));
    following.stop();
    let fresh = Place::new(&mut chain);
    fresh.sync(&["--finality", FINALITY]);
    let answer = alloy_primitives::keccak256("AnswerUpdated(int256,uint256,uint256)");
    let answers = |place: &Place| -> Vec<(u64, u32, alloy_primitives::Address)> {
        let logs = place.logs();
        let since = logs.iter().filter(|log| log.block >= since && log.topics.first() == Some(&answer));
        since.map(|log| (log.block, log.log_index, log.address)).collect()
    };
    let right = answers(&fresh);
    assert!(right.iter().any(|(block, ..)| *block < since + 10), "nothing was exchanged: {right:?}");
    let first = right.first().unwrap().2;
    let own = answers(&place);
    assert!(own.iter().any(|(.., by)| *by == first), "the new one was not found: {own:?}");
    assert_eq!(own, right);
}
