//! Which aggregators stood behind the sources that are proxies, which no log tells.
//!
//! A proxy's phase only rises, so that halving finds the block of each change, and between two blocks with the same phase there
//! was no change. This, and a price at either end of a source's time to compare with, is all that prices from feeds cost.

use std::collections::{BTreeMap, BTreeSet};

use engine::prices::{Sight, Stretch, Wiring};
use protocol::{Address, U256};
use source::archive::reads::{Answer, ReadKey, Reads};
use source::decode::reads;

use super::survey::Span;
use crate::market::price_key;

/// The longest name of a contract's type that is read.
const LONGEST_TYPE: usize = 64;

/// What Chainlink calls an aggregator whose answers two proxies see at different moments (SVR), and whoever writes one after it.
const DUAL: &str = "DualAggregator";

/// What was answered about proxies, by who was asked.
pub(super) struct Known<'a> {
    reads: &'a Reads,
    /// By source and block, the phase; `None` where there was none.
    phases: BTreeMap<Address, BTreeMap<u64, Option<u16>>>,
    aggregators: BTreeMap<(Address, u16), Address>,
    /// Contracts that were asked what they are, and whether they are dual.
    types: BTreeMap<Address, bool>,
}

impl<'a> Known<'a> {
    pub(super) fn of(reads: &'a Reads) -> Self {
        let (phase, of_type) = (reads::call(reads::PHASE, &[]), reads::call(reads::TYPE, &[]));
        let aggregator = reads::call(reads::PHASE_AGGREGATOR, &[]);
        let mut known = Self { reads, phases: BTreeMap::new(), aggregators: BTreeMap::new(), types: BTreeMap::new() };
        for (key, answered) in reads.iter() {
            let returned = match &answered.answer {
                Answer::Returned(bytes) => Some(bytes),
                Answer::Reverted(_) => None,
            };
            let number = || returned.and_then(|bytes| reads::number(bytes).ok());
            let small = |number: U256| u16::try_from(number).ok();
            if key.data == phase {
                let phase = number().and_then(small).filter(|phase| *phase > 0);
                known.phases.entry(key.target).or_default().insert(key.block, phase);
            } else if key.data == of_type {
                let text = returned.and_then(|bytes| reads::text(bytes, LONGEST_TYPE));
                known.types.insert(key.target, text.is_some_and(|text| text.contains(DUAL)));
            } else if let Some(argument) = key.data.strip_prefix(&aggregator[..])
                && let (Some(phase), Some(word)) = (reads::number(argument).ok().and_then(small), number())
                && !word.is_zero()
            {
                known.aggregators.insert((key.target, phase), Address::from_word(word.into()));
            }
        }
        known
    }

    /// The phases a source is known to have been in, by block, or none if it is no proxy.
    pub(super) fn of_proxy(&self, source: Address) -> Vec<(u64, u16)> {
        let phases = self.phases.get(&source).into_iter().flatten();
        phases.filter_map(|(block, phase)| Some((*block, (*phase)?))).collect()
    }

    /// Who wrote a proxy's answers in a phase, if that is known, and whether he shows them to two kinds of readers.
    pub(super) fn behind(&self, source: Address, phase: u16) -> Option<(Address, bool)> {
        let aggregator = self.aggregators.get(&(source, phase)).copied()?;
        Some((aggregator, *self.types.get(&aggregator)?))
    }

    /// The aggregators that are dual.
    pub(super) fn duals(&self) -> impl Iterator<Item = Address> {
        self.types.iter().filter(|(_, is_dual)| **is_dual).map(|(aggregator, _)| *aggregator)
    }

    /// How sources are wired, as far as answers tell. Whoever is no proxy may be the aggregator itself; if he is not, he writes no
    /// answers.
    pub(super) fn wiring(&self, spans: &[Span]) -> Wiring {
        let mut wiring = Wiring::default();
        for source in spans.iter().map(|span| span.source).collect::<BTreeSet<_>>() {
            let phases = self.of_proxy(source);
            if phases.is_empty() {
                if self.phases.contains_key(&source) {
                    wiring.wire(source, Stretch { from: 0, to: u64::MAX, aggregator: source, sight: Sight::Plain });
                }
                continue;
            }
            for same in phases.chunk_by(|one, next| one.1 == next.1) {
                let ((first, phase), (to, _)) = (same[0], same[same.len() - 1]);
                if let Some((aggregator, is_dual)) = self.behind(source, phase) {
                    // Phases begin with the first.
                    let from = if phase == 1 { 0 } else { first };
                    // Which proxy is the recapturing one, a dual aggregator does not say: a market reads that one, or calls show otherwise.
                    let sight = if is_dual { Sight::Recapturing } else { Sight::Plain };
                    wiring.wire(source, Stretch { from, to, aggregator, sight });
                }
            }
        }
        wiring
    }
}

/// What is still to be asked to know who stood behind each source up to a block, and what confirms it up to another that is not before
/// it. Once these are answered, there may be more to ask.
pub(super) fn questions(spans: &[Span], reads: &Reads, (asked, to): (u64, u64)) -> Vec<ReadKey> {
    let known = Known::of(reads);
    let mut keys = Vec::new();
    let mut lives: BTreeMap<Address, (u64, u64)> = BTreeMap::new();
    for span in spans.iter().filter(|span| span.since <= to) {
        let life = lives.entry(span.source).or_insert((span.since, 0));
        // A source that still stands is asked about where all of them are, or where it begins.
        let until = if span.until < to { span.until } else { asked.max(span.since) };
        *life = (life.0.min(span.since), life.1.max(until));
        // Where a source begins, its feed may not have spoken yet; where one ends, what logs tell of it is compared.
        keys.push(price_key(span.oracle, span.asset, span.since));
        if span.until < to {
            keys.push(price_key(span.oracle, span.asset, span.until));
        }
    }
    for (source, (since, until)) in lives {
        keys.extend(questions_about(&known, source, since, until));
    }
    known.reads.missing(&keys)
}

fn questions_about(known: &Known<'_>, source: Address, since: u64, until: u64) -> Vec<ReadKey> {
    let ask = |block: u64, target: Address, signature: &str, arguments: &[U256]| ReadKey {
        block,
        target,
        data: reads::call(signature, arguments),
    };
    let phases = known.of_proxy(source);
    let is_no_proxy = phases.is_empty() && known.phases.contains_key(&source);
    if is_no_proxy {
        return Vec::new();
    }
    let mut keys = vec![ask(until, source, reads::PHASE, &[])];
    let Some((_, last)) = phases.last().copied() else { return keys };
    for phase in phases.iter().map(|(_, phase)| *phase).collect::<BTreeSet<u16>>() {
        match known.aggregators.get(&(source, phase)) {
            None => keys.push(ask(until, source, reads::PHASE_AGGREGATOR, &[U256::from(phase)])),
            Some(aggregator) if !known.types.contains_key(aggregator) => {
                keys.push(ask(until, *aggregator, reads::TYPE, &[]));
            }
            Some(_) => {}
        }
    }
    if last > 1 {
        keys.push(ask(since, source, reads::PHASE, &[]));
        keys.extend(since.checked_sub(1).map(|before| ask(before, source, reads::PHASE, &[])));
    }
    let halves = phases.windows(2).filter(|pair| pair[0].1 != pair[1].1 && pair[1].0 - pair[0].0 > 1);
    keys.extend(halves.map(|pair| ask(pair[0].0 + (pair[1].0 - pair[0].0) / 2, source, reads::PHASE, &[])));
    keys
}

#[cfg(test)]
mod tests {
    use protocol::time::TimeUs;
    use source::archive::reads::Answered;

    use super::*;

    /// Asks until nothing is left to ask, of a proxy whose phases begin at given blocks, and counts.
    fn found(begins: &[u64], since: u64, to: u64, kind: &str) -> (usize, Wiring) {
        let (proxy, oracle) = (Address::repeat_byte(5), Address::repeat_byte(2));
        let span = Span { oracle, asset: Address::repeat_byte(9), source: proxy, since, until: u64::MAX };
        let spans = [span];
        let word = |number: U256| Answer::Returned(number.to_be_bytes::<32>().to_vec().into());
        let (mut reads, mut calls) = (Reads::default(), 0);
        loop {
            let keys = questions(&spans, &reads, (to, to));
            if keys.is_empty() {
                return (calls, Known::of(&reads).wiring(&spans));
            }
            calls += keys.len();
            for key in keys {
                let phase = begins.iter().filter(|begin| **begin <= key.block).count();
                let answer = if key.data == reads::call(reads::PHASE, &[]) {
                    word(U256::from(phase))
                } else if key.data.starts_with(&reads::call(reads::PHASE_AGGREGATOR, &[])) {
                    word(U256::from(1000) + reads::number(&key.data[4..]).unwrap())
                } else if key.target == oracle {
                    word(U256::from(7))
                } else if kind.is_empty() {
                    Answer::Reverted(Default::default())
                } else {
                    // A text, as it is encoded: where it begins, how long it is, and itself.
                    let mut bytes =
                        [U256::from(32), U256::from(kind.len())].map(|word| word.to_be_bytes::<32>()).concat();
                    bytes.extend(kind.bytes());
                    bytes.resize(96, 0);
                    Answer::Returned(bytes.into())
                };
                let answered = Answered { answer, host: "x".into(), read_at: TimeUs(0) };
                reads.insert(key, answered).unwrap();
            }
        }
    }

    #[test]
    fn new_blocks_ask_nothing_anew_before_it_is_time() {
        let [oracle, asset] = [2, 9].map(Address::repeat_byte);
        let span = |source, since, until| Span { oracle, asset, source: Address::repeat_byte(source), since, until };
        let spans = [span(5, 100, 899), span(6, 900, u64::MAX)];
        let mut reads = Reads::default();
        for key in questions(&spans, &reads, (1_000, 1_000)) {
            let answered =
                Answered { answer: Answer::Reverted(Default::default()), host: "x".into(), read_at: TimeUs(0) };
            reads.insert(key, answered).unwrap();
        }
        assert_eq!(questions(&spans, &reads, (1_000, 1_050)), []);
        // A source that comes in between is asked about where it begins, and what ends there where it ends.
        let spans = [span(5, 100, 899), span(6, 900, 1_019), span(7, 1_020, u64::MAX)];
        let blocks: BTreeSet<u64> = questions(&spans, &reads, (1_000, 1_050)).iter().map(|key| key.block).collect();
        assert_eq!(blocks, BTreeSet::from([1_019, 1_020]));
    }

    #[test]
    fn each_change_of_phase_is_found_to_the_block() {
        let stretch = |from, to, phase: u64| Stretch {
            from,
            to,
            aggregator: Address::from_word(U256::from(1000 + phase).into()),
            sight: Sight::Plain,
        };
        let wiring = |stretches: &[Stretch]| {
            let mut wiring = Wiring::default();
            stretches.iter().for_each(|one| wiring.wire(Address::repeat_byte(5), *one));
            wiring
        };
        let to = 20_000_000;
        assert_eq!(
            found(&[0], 16_000_000, to, "AccessControlledOCR2Aggregator 1.0.0"),
            (4, wiring(&[stretch(0, to, 1)]))
        );
        let (calls, told) = found(&[0, 17_123_456, 19_000_001, 19_000_002], 16_000_000, to, "");
        let expected = [
            stretch(0, 17_123_455, 1),
            stretch(17_123_456, 19_000_000, 2),
            stretch(19_000_001, 19_000_001, 3),
            stretch(19_000_002, to, 4),
        ];
        assert_eq!(told, wiring(&expected));
        assert!(calls < 80, "{calls}");
        // A proxy that was in its third phase before anybody asked.
        let (_, told) = found(&[0, 1, 2], 16_000_000, to, "");
        assert_eq!(told, wiring(&[stretch(15_999_999, to, 3)]));
        // What two proxies see at different moments.
        let dual = Stretch { sight: Sight::Recapturing, ..stretch(0, to, 1) };
        assert_eq!(found(&[0], 16_000_000, to, "DualAggregator 1.0.0").1, wiring(&[dual]));
    }
}
