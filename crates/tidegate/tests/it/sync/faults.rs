//! Nodes that break down, refuse and lie: a sync ends right or says what to do, and what it keeps is never wrong.

use std::time::Duration;

use differential::chain::Chain;
use differential::proxy::{Fault, Proxy, RANGE_TEXTS, RESULT_TEXTS, When, Which};
use differential::world::Version;
use source::log::Logs;

use super::figures::Figures;
use super::place::{Place, parts};
use super::{stage, start};

/// How a sync through a fault must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Complete, as if there had been no fault.
    Right,
    /// With an error that holds these words.
    Says(&'static str),
}

/// What goes wrong, when, and how it must end.
fn cases() -> Vec<(&'static str, Fault, When, Ends)> {
    let pause = Duration::from_millis(300);
    vec![
        ("every seventh answer is hung up on", Fault::Drop, When::Every(7), Ends::Right),
        ("every ninth answer ends in its middle", Fault::Truncate, When::Every(9), Ends::Right),
        ("429 three times", Fault::TooMany(None), When::First(3), Ends::Right),
        ("429 now and then, come again in a second", Fault::TooMany(Some(1)), When::Nth(5), Ends::Right),
        ("503 every eleventh time", Fault::Unavailable, When::Every(11), Ends::Right),
        ("every tenth answer is late", Fault::Stall(pause), When::Every(10), Ends::Right),
        ("another chain from the start", Fault::Chain(1), When::Always, Ends::Says("chain")),
        ("a tip that is nowhere, twice", Fault::Ahead(9), When::First(2), Ends::Right),
        ("five blocks behind", Fault::Behind(5), When::Always, Ends::Right),
        ("no batches", Fault::NoBatches, When::Always, Ends::Right),
        ("ranges of 7 blocks", Fault::Range(7, RANGE_TEXTS[0]), When::Always, Ends::Right),
        ("ranges of 100 blocks", Fault::Range(100, RANGE_TEXTS[3]), When::Always, Ends::Right),
        ("40 logs an answer", Fault::Results(40, RESULT_TEXTS[0]), When::Always, Ends::Right),
        ("40 logs an answer, other words", Fault::Results(40, RESULT_TEXTS[1]), When::Always, Ends::Right),
        ("no state before the last block", Fault::Pruned(u64::MAX), When::Always, Ends::Says("archive")),
        ("logs twice", Fault::Repeat(Which::All), When::Always, Ends::Right),
        ("one log twice", Fault::Repeat(Which::Nth(3)), When::Always, Ends::Right),
    ]
}

/// Whether every log is one of the others, in their order.
fn is_among(some: &Logs, all: &Logs) -> bool {
    let mut all = all.iter();
    some.iter().all(|log| all.any(|other| other == log))
}

fn breaks(chain: &mut Chain, right: &Place, figures: &Figures, (name, fault, when, ends): (&str, Fault, When, Ends)) {
    let proxy = Proxy::start(chain.node().unwrap().address()).unwrap();
    let rule = proxy.add(fault.clone(), when);
    let place = Place::at(proxy.url(), chain.market.provider);
    let block = figures.block.to_string();
    let args = ["--finality", "0", "--max-requests", "20000"];
    let ran = place.try_sync(&args);
    let fired = proxy.fired(rule);
    assert!(fired > 0, "{name}: it never happened");
    let is_right = ran.code == Some(0);
    let kept = place.logs();
    assert!(is_among(&kept, &right.logs()), "{name}: a log is kept that the chain does not have");
    let said = ran.err.lines().last().unwrap_or_default().to_owned();
    println!("{name:45} {fired:4} times: {}", if is_right { "right".to_owned() } else { said.clone() });
    match ends {
        Ends::Right => assert!(is_right, "{name}: {ran:?}"),
        Ends::Says(words) => {
            assert!(!is_right && said.starts_with("error: ") && said.contains(words), "{name}: {ran:?}");
        }
    }
    if !matches!(fault, Fault::Behind(_)) && is_right {
        assert!(kept == right.logs(), "{name}: it ended well with {} of {} logs", kept.len(), right.logs().len());
    }
    // Afterwards nothing keeps it from the end.
    proxy.clear();
    place.sync(&["--finality", "0", "--to-block", &block]);
    assert!(place.logs() == right.logs(), "{name}: afterwards it has other logs");
    figures.compare(&place);
}

#[test]
fn faults() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    let figures = stage(&mut chain, 60);
    let right = Place::new(&mut chain);
    right.sync(&["--finality", "0"]);
    for case in cases() {
        breaks(&mut chain, &right, &figures, case);
    }
}
