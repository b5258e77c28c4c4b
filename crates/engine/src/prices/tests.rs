//! Small oracles, and random ones beside a plain reading of what an oracle would have answered.

use std::sync::Arc;

use proptest::prelude::*;
use protocol::aave::log::Entry;
use protocol::event::Cursor;
use protocol::time::{SECOND_US, TimeUs};

use super::*;

const PROVIDER: Address = Address::repeat_byte(1);
const ORACLE: Address = Address::repeat_byte(2);
const OTHER_ORACLE: Address = Address::repeat_byte(3);
const ASSET: Address = Address::repeat_byte(0x40);
const PROXY: Address = Address::repeat_byte(0x50);
const ADAPTER: Address = Address::repeat_byte(0x51);

fn aggregator(phase: u8) -> Address {
    Address::repeat_byte(0x60 + phase)
}

fn event(block: u64, index: u64, by: Address, statement: Statement) -> Event {
    Event {
        at: Cursor { source: Arc::from("m"), height: block, index },
        time: TimeUs(i64::try_from(block * 10).unwrap() * SECOND_US),
        fact: Fact::Market(Entry { by, transaction: 0, statement }),
    }
}

fn answer(block: u64, index: u64, by: Address, answer: i64) -> Event {
    let [round, updated] = [U256::ZERO; 2];
    event(block, index, by, Statement::Answer { answer: I256::try_from(answer).unwrap(), round, updated })
}

fn source(block: u64, index: u64, asset: Address, source: Address) -> Event {
    event(block, index, ORACLE, Statement::SourceChanged { asset, source })
}

fn oracle(block: u64, index: u64, oracle: Address) -> Event {
    event(block, index, PROVIDER, Statement::OracleChanged { oracle })
}

fn wired(stretches: &[(u64, u64, u8)]) -> Wiring {
    let mut wiring = Wiring::default();
    for (from, to, phase) in stretches {
        wiring.wire(PROXY, Stretch { from: *from, to: *to, aggregator: aggregator(*phase), sight: Sight::Plain });
    }
    wiring
}

/// Block, place, price and by what it is known.
type Short = (u64, Option<u64>, Option<(u64, By)>);

fn short(tick: &Tick) -> Short {
    (tick.block, tick.log_index, tick.price.map(|(price, by)| (price.to(), by)))
}

fn told(wiring: Wiring, events: &[Event], end: u64) -> Vec<Short> {
    let (mut prices, mut ticks) = (Prices::new(PROVIDER, wiring), Vec::new());
    for event in events {
        prices.take(event, &mut |tick| ticks.push(short(&tick)));
    }
    prices.end(end, &mut |tick| ticks.push(short(&tick)));
    ticks
}

#[test]
fn a_price_is_told_from_its_log_on_and_told_once() {
    let events = [
        source(1, 0, ASSET, PROXY),
        oracle(1, 1, ORACLE),
        answer(2, 4, aggregator(1), 100),
        // Off-chain reporting says everything twice.
        answer(2, 5, aggregator(1), 100),
        answer(3, 0, aggregator(2), 7),
        answer(3, 1, ADAPTER, 8),
        answer(4, 0, aggregator(1), 0),
        answer(5, 9, aggregator(1), 101),
    ];
    let expected: Vec<Short> =
        vec![(2, Some(4), Some((100, By::Feed))), (4, Some(0), None), (5, Some(9), Some((101, By::Feed)))];
    assert_eq!(told(wired(&[(0, 9, 1)]), &events, 9), expected);
    assert_eq!(told(Wiring::default(), &events, 9), [], "what is not wired is not told");
}

#[test]
fn another_phase_is_told_at_the_end_of_its_first_block_and_a_hole_from_its_beginning() {
    let events = [
        source(1, 0, ASSET, PROXY),
        oracle(1, 1, ORACLE),
        answer(2, 0, aggregator(1), 100),
        answer(3, 0, aggregator(2), 200),
        answer(5, 1, aggregator(1), 101),
        answer(5, 2, aggregator(2), 201),
        answer(6, 0, aggregator(1), 102),
        answer(7, 0, aggregator(2), 202),
        answer(9, 0, aggregator(2), 203),
        answer(12, 0, aggregator(2), 204),
    ];
    let expected: Vec<Short> = vec![
        (2, Some(0), Some((100, By::Feed))),
        (5, Some(0), None),
        (5, None, Some((201, By::Feed))),
        (7, Some(0), Some((202, By::Feed))),
        (8, Some(0), None),
        (11, None, Some((203, By::Feed))),
        (12, Some(0), Some((204, By::Feed))),
    ];
    assert_eq!(told(wired(&[(0, 4, 1), (5, 7, 2), (11, 12, 2)]), &events, 12), expected);
}

#[test]
fn another_source_or_oracle_ends_what_was_told() {
    let mut events = vec![
        source(1, 0, ASSET, PROXY),
        event(1, 1, OTHER_ORACLE, Statement::BaseCurrency { currency: ASSET, unit: U256::from(5) }),
        answer(2, 0, aggregator(1), 100),
        oracle(3, 2, ORACLE),
        source(4, 0, ASSET, PROXY),
        source(5, 0, ASSET, ADAPTER),
        source(6, 0, ASSET, PROXY),
        oracle(7, 0, OTHER_ORACLE),
        // Nobody names an oracle but the provider.
        event(8, 0, ORACLE, Statement::OracleChanged { oracle: ORACLE }),
        source(9, 0, ASSET, ADAPTER),
        oracle(10, 0, ORACLE),
    ];
    let expected: Vec<Short> = vec![
        (3, Some(2), Some((100, By::Feed))),
        (5, Some(0), None),
        (6, Some(0), Some((100, By::Feed))),
        (7, Some(0), Some((5, By::BaseCurrency))),
        (10, Some(0), None),
    ];
    assert_eq!(told(wired(&[(0, 99, 1)]), &events, 99), expected);
    events.push(source(11, 0, ASSET, Address::ZERO));
    assert_eq!(told(wired(&[(0, 99, 1)]), &events, 99), expected);
}

#[test]
fn calls_fill_what_logs_do_not_tell_and_check_what_they_do() {
    let (mut prices, mut ticks) = (Prices::new(PROVIDER, wired(&[(0, 99, 1)])), Vec::new());
    let mut sink = |tick: Tick| ticks.push(short(&tick));
    prices.take(&source(1, 0, ASSET, PROXY), &mut sink);
    prices.take(&oracle(1, 1, ORACLE), &mut sink);
    prices.read((2, ORACLE), ASSET, Some(U256::from(9)), &mut sink);
    prices.read((2, OTHER_ORACLE), ASSET, Some(U256::from(10)), &mut sink);
    prices.take(&answer(3, 0, aggregator(1), 100), &mut sink);
    prices.read((3, ORACLE), ASSET, Some(U256::from(100)), &mut sink);
    assert_eq!(prices.checks()[&PROXY], Checks { equal: 1, different: 0 });
    prices.read((4, ORACLE), ASSET, Some(U256::from(99)), &mut sink);
    prices.read((5, ORACLE), ASSET, None, &mut sink);
    assert_eq!(prices.checks()[&PROXY], Checks { equal: 1, different: 2 });
    prices.take(&source(6, 0, ASSET, ADAPTER), &mut sink);
    prices.read((6, ORACLE), ASSET, Some(U256::from(50)), &mut sink);
    prices.read((7, ORACLE), ASSET, Some(U256::from(50)), &mut sink);
    prices.read((8, ORACLE), ASSET, None, &mut sink);
    prices.read((9, ORACLE), ASSET, None, &mut sink);
    let expected: Vec<Short> = vec![
        (2, None, Some((9, By::Call))),
        (3, Some(0), Some((100, By::Feed))),
        (6, Some(0), None),
        (6, None, Some((50, By::Call))),
        (7, None, Some((50, By::Call))),
        (8, None, None),
    ];
    assert_eq!(ticks, expected);
}

/// What can happen in a random world: an answer of one of three aggregators, or another source.
#[derive(Debug, Clone, Copy)]
enum Step {
    Answer(u8, i64),
    Source(bool),
}

fn steps() -> impl Strategy<Value = Vec<(u64, Step)>> {
    let step = prop_oneof![
        6 => (1_u8..4, -1_i64..4).prop_map(|(phase, answer)| Step::Answer(phase, answer)),
        1 => any::<bool>().prop_map(Step::Source),
    ];
    prop::collection::vec((0_u64..3, step), 0..60)
}

proptest! {
    /// At the end of each block, the last tick is what an oracle would answer that knows which aggregator stands behind the
    /// proxy; and nothing is told where that is not known.
    #[test]
    fn the_last_tick_is_what_the_oracle_answers(
        steps in steps(),
        mut ends in prop::collection::btree_set(2_u64..60, 0..3),
        hole in (0_u64..80, 0_u64..10),
    ) {
        // Phases follow one another at the blocks `ends`; within `hole` nobody asked.
        ends.insert(u64::MAX);
        let phase_at = |block: u64| u8::try_from(ends.iter().filter(|end| **end <= block).count()).unwrap() + 1;
        let is_known = |block: u64| block < hole.0 || block > hole.0 + hole.1;
        let mut wiring = Wiring::default();
        for block in (0..200).filter(|block| is_known(*block)) {
            wiring.wire(PROXY, Stretch { from: block, to: block, aggregator: aggregator(phase_at(block)), sight: Sight::Plain });
        }
        let mut prices = Prices::new(PROVIDER, wiring);
        let mut ticks: Vec<Tick> = Vec::new();
        let (mut block, mut index) = (1, 2);
        prices.take(&source(1, 0, ASSET, PROXY), &mut |tick| ticks.push(tick));
        prices.take(&oracle(1, 1, ORACLE), &mut |tick| ticks.push(tick));
        let (mut answers, mut is_proxy): (BTreeMap<u8, i64>, bool) = (BTreeMap::new(), true);
        for (wait, step) in steps {
            if wait > 0 {
                for ended in block..block + wait {
                    prices.end(ended, &mut |tick| ticks.push(tick));
                    let answer = answers.get(&phase_at(ended)).copied().filter(|answer| *answer > 0 && is_proxy);
                    let answer = answer.filter(|_| is_known(ended)).map(|answer| (answer.unsigned_abs(), By::Feed));
                    let last = ticks.last().and_then(|tick| short(tick).2);
                    prop_assert_eq!(last, answer, "block {}: {:?}", ended, ticks);
                }
                (block, index) = (block + wait, 0);
            }
            let event = match step {
                Step::Answer(phase, new) => {
                    answers.insert(phase, new);
                    answer(block, index, aggregator(phase), new)
                }
                Step::Source(on) => {
                    is_proxy = on;
                    source(block, index, ASSET, if on { PROXY } else { ADAPTER })
                }
            };
            prices.take(&event, &mut |tick| ticks.push(tick));
            index += 1;
        }
        let place = |tick: &Tick| (tick.block, tick.log_index.unwrap_or(u64::MAX));
        prop_assert!(ticks.windows(2).all(|pair| place(&pair[0]) <= place(&pair[1])), "{:?}", ticks);
    }
}

/// A dual aggregator's round.
fn round(block: u64, index: u64, round: u64, answer: i64) -> Event {
    let (answer, round) = (I256::try_from(answer).unwrap(), U256::from(round));
    event(block, index, aggregator(1), Statement::Answer { answer, round, updated: U256::ZERO })
}

fn said(block: u64, index: u64, said: Said) -> Event {
    event(block, index, aggregator(1), Statement::Auction(Box::new(said)))
}

/// What a source that sees a dual aggregator so is told to answer.
fn dual(sight: Sight, cutoff: Option<u32>, events: &[Event]) -> Vec<Short> {
    let mut wiring = Wiring::default();
    wiring.wire(PROXY, Stretch { from: 0, to: u64::MAX, aggregator: aggregator(1), sight });
    wiring.add_dual(aggregator(1), cutoff);
    let begin = [source(1, 0, ASSET, PROXY), oracle(1, 1, ORACLE)];
    told(wiring, &[&begin[..], events].concat(), 20)
}

#[test]
fn what_is_behind_a_dual_aggregator_is_told_as_its_readers_see_it() {
    // Blocks are ten seconds apart. A round through the auction, then a public one, then other people's events.
    let events = [
        said(1, 2, Said::CutoffSet { seconds: 12 }),
        said(2, 0, Said::SecondaryRound { round: 1 }),
        round(2, 1, 1, 100),
        round(5, 0, 2, 110),
        answer(6, 0, aggregator(2), 7),
        answer(9, 0, aggregator(2), 8),
    ];
    let feed = |price| Some((price, By::Feed));
    // In which of the blocks in between the cutoff ended, nobody knows.
    let waiting = vec![(2, Some(1), feed(100)), (7, Some(0), None), (9, Some(0), feed(110))];
    assert_eq!(dual(Sight::Recapturing, None, &events), waiting);
    assert_eq!(dual(Sight::Recapturing, Some(12), &events[1..]), waiting, "the cutoff need not be in a log");
    assert_eq!(dual(Sight::Recapturing, None, &events[1..]), [], "without a cutoff nothing is known");
    // In the second in which only the auction brought it, other readers do not see it.
    let others = vec![(5, Some(0), feed(100)), (5, Some(0), feed(110))];
    assert_eq!(dual(Sight::Standard, None, &events), others);
    let mut unlocked = events.to_vec();
    unlocked.insert(3, said(2, 2, Said::Unlocked { round: 1 }));
    assert_eq!(dual(Sight::Standard, None, &unlocked), [(2, Some(2), feed(100)), (5, Some(0), feed(110))]);
    // The public round through the auction after all, in a transaction of its own, and a longer cutoff that goes back.
    let mut exposed = events.to_vec();
    exposed.insert(5, said(6, 1, Said::SecondaryRound { round: 2 }));
    assert_eq!(dual(Sight::Recapturing, None, &exposed), [(2, Some(1), feed(100)), (6, Some(1), feed(110))]);
    let back = [&events[..], &[said(9, 1, Said::CutoffSet { seconds: 60 })]].concat();
    let told = dual(Sight::Recapturing, None, &back);
    assert_eq!(told[..4], [&waiting[..], &[(9, Some(1), feed(100))]].concat());
}
