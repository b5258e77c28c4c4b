//! Which logs the files of a market hold, and which are still to be read. It follows from the files' footers alone.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{Address, B256};

use super::logs::{complete_of, filter_of};
use super::{DataFile, Span};
use crate::error::Result;
use crate::log::Filter;

/// What a set of files says it holds.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// Files that were read with the same filter.
    readings: Vec<Reading>,
    boundaries: BTreeSet<(u64, B256)>,
}

/// Everything that was read with one filter.
#[derive(Debug, Clone)]
struct Reading {
    filter: Filter,
    blocks: Ranges,
}

/// Logs to be read: all those that the filter lets through, of these blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which contracts and events.
    pub filter: Filter,
    /// The first block.
    pub from: u64,
    /// The last block, included.
    pub to: u64,
}

impl Coverage {
    /// What files of the table `logs` hold together.
    ///
    /// # Errors
    /// A file does not say which filter it was read with.
    pub fn of(files: &[DataFile]) -> Result<Self> {
        let mut coverage = Self::default();
        for file in files {
            if let (Span::Blocks { from, to, .. }, Some(complete)) = (&file.footer.span, complete_of(file)) {
                coverage.add(&filter_of(file)?, *from, *to, complete.end_hash);
            }
        }
        Ok(coverage)
    }

    /// Adds what one file holds: the logs of blocks `from` to `to`, of which the last has this hash.
    pub fn add(&mut self, filter: &Filter, from: u64, to: u64, end_hash: B256) {
        self.boundaries.insert((to, end_hash));
        match self.readings.iter_mut().find(|reading| reading.filter == *filter) {
            Some(reading) => reading.blocks.add(from, to),
            None => {
                let mut blocks = Ranges::default();
                blocks.add(from, to);
                self.readings.push(Reading { filter: filter.clone(), blocks });
            }
        }
    }

    /// The first block for which a contract was asked for by name in any of the files.
    #[must_use]
    pub fn first_of(&self, address: &Address) -> Option<u64> {
        let own = self.readings.iter().filter(|reading| reading.filter.addresses.contains(address));
        own.filter_map(|reading| reading.blocks.iter().next().map(|(from, _)| from)).min()
    }

    /// The first block for which logs of this name were asked for, of a contract by its name or of any.
    #[must_use]
    pub fn first_asked(&self, address: Option<&Address>, topic: &B256) -> Option<u64> {
        let is_meant = |reading: &&Reading| {
            reading.filter.topics.contains(topic)
                && address.is_none_or(|address| reading.filter.addresses.contains(address))
        };
        let own = self.readings.iter().filter(is_meant);
        own.filter_map(|reading| reading.blocks.iter().next().map(|(from, _)| from)).min()
    }

    /// The last block of each file and its hash, by which to check that all of it is of one history. A block that stands
    /// here twice has two hashes: the files are of two histories.
    #[must_use]
    pub fn boundaries(&self) -> &BTreeSet<(u64, B256)> {
        &self.boundaries
    }

    /// The last block up to which every log is held that these contracts wrote with these topics, each contract from its
    /// own first block on; `None` where not even the first is.
    #[must_use]
    pub fn complete_to(&self, wanted: &[(Address, u64)], topics: &BTreeSet<B256>, to: u64) -> Option<u64> {
        let first = wanted.iter().map(|(_, from)| *from).min()?;
        let missing = self.missing(wanted, topics, to).into_iter().map(|job| job.from).min();
        let last = missing.map_or(Some(to), |missing| missing.checked_sub(1))?;
        (first <= last).then_some(last)
    }

    /// What is still to be read, up to a block, in order. Every contract, topic and block that is wanted and not held is in
    /// exactly one job, and nothing else is in any: the blocks are cut where what is missing changes, so that a walk
    /// through the jobs passes each block once however many contracts there are.
    #[must_use]
    pub fn missing(&self, wanted: &[(Address, u64)], topics: &BTreeSet<B256>, to: u64) -> Vec<Job> {
        let classes = self.classes(topics);
        let mut edges: BTreeMap<u64, Vec<(bool, Address, usize)>> = BTreeMap::new();
        let mut since: BTreeMap<Address, u64> = BTreeMap::new();
        for (address, from) in wanted {
            since.entry(*address).and_modify(|known| *known = (*known).min(*from)).or_insert(*from);
        }
        for (address, from) in since {
            let of_address: Vec<bool> =
                self.readings.iter().map(|reading| reading.filter.takes_from(&address)).collect();
            for (class, (readings, _)) in classes.iter().enumerate() {
                let mut held = Ranges::default();
                for place in readings.iter().filter(|place| of_address[**place]) {
                    self.readings[*place].blocks.iter().for_each(|(from, to)| held.add(from, to));
                }
                for (begin, end) in held.holes(from, to) {
                    edges.entry(begin).or_default().push((true, address, class));
                    // Behind the last number there is no block at which anything could end.
                    if let Some(behind) = end.checked_add(1) {
                        edges.entry(behind).or_default().push((false, address, class));
                    }
                }
            }
        }
        sweep(edges, &classes, to)
    }

    /// The topics, put together where they were read by the same readings.
    fn classes(&self, topics: &BTreeSet<B256>) -> Vec<(Vec<usize>, BTreeSet<B256>)> {
        let mut classes: BTreeMap<Vec<usize>, BTreeSet<B256>> = BTreeMap::new();
        for topic in topics {
            let has = |place: &usize| self.readings[*place].filter.takes_topic(topic);
            let readings = (0..self.readings.len()).filter(has).collect();
            classes.entry(readings).or_default().insert(*topic);
        }
        classes.into_iter().collect()
    }
}

/// Turns the places where something begins or ends to be missing into jobs.
fn sweep(
    edges: BTreeMap<u64, Vec<(bool, Address, usize)>>,
    classes: &[(Vec<usize>, BTreeSet<B256>)],
    to: u64,
) -> Vec<Job> {
    let mut jobs: Vec<Job> = Vec::new();
    let mut missing: BTreeMap<Address, BTreeSet<usize>> = BTreeMap::new();
    let mut edges = edges.into_iter().peekable();
    while let Some((from, changes)) = edges.next() {
        for (begins, address, class) in changes {
            let of_address = missing.entry(address).or_default();
            if begins {
                of_address.insert(class);
            } else {
                of_address.remove(&class);
            }
        }
        missing.retain(|_, of_address| !of_address.is_empty());
        let until = edges.peek().map_or(to, |(next, _)| next - 1).min(to);
        let mut alike: BTreeMap<&BTreeSet<usize>, BTreeSet<Address>> = BTreeMap::new();
        for (address, of_address) in &missing {
            alike.entry(of_address).or_default().insert(*address);
        }
        for (of_them, addresses) in alike {
            let topics = of_them.iter().flat_map(|class| classes[*class].1.iter().copied()).collect();
            jobs.push(Job { filter: Filter { addresses, topics }, from, to: until });
        }
    }
    jobs
}

/// Ranges of blocks, both ends included, in order, with at least a block between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds the blocks `from` to `to`.
    pub fn add(&mut self, from: u64, to: u64) {
        if from > to {
            return;
        }
        // Those that overlap or touch become one with it.
        let begin = self.0.partition_point(|(_, end)| end.saturating_add(1) < from);
        let end = self.0.partition_point(|(first, _)| *first <= to.saturating_add(1)).max(begin);
        let touched = &self.0[begin..end];
        let first = touched.first().map_or(from, |(first, _)| from.min(*first));
        let last = touched.last().map_or(to, |(_, last)| to.max(*last));
        self.0.splice(begin..end, [(first, last)]);
    }

    /// Takes the blocks `from` to `to` out.
    pub fn remove(&mut self, from: u64, to: u64) {
        let mut left = Self::default();
        for (first, last) in self.iter() {
            if let Some(before) = from.checked_sub(1) {
                left.add(first, last.min(before));
            }
            if let Some(after) = to.checked_add(1) {
                left.add(first.max(after), last);
            }
        }
        *self = left;
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// Whether all blocks `from` to `to` are in it.
    #[must_use]
    pub fn holds(&self, from: u64, to: u64) -> bool {
        self.holes(from, to).is_empty()
    }

    /// What of the blocks `from` to `to` is not in it.
    #[must_use]
    pub fn holes(&self, from: u64, to: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut next = Some(from);
        for (first, last) in self.iter() {
            let Some(begin) = next.filter(|begin| *begin <= to && first <= to) else { break };
            if begin < first {
                holes.push((begin, first - 1));
            }
            next = if last < begin { next } else { last.checked_add(1) };
        }
        holes.extend(next.filter(|begin| *begin <= to).map(|begin| (begin, to)));
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLOCKS: u64 = 24;

    fn address(number: u8) -> Address {
        Address::repeat_byte(number)
    }

    fn topic(number: u8) -> B256 {
        B256::repeat_byte(number)
    }

    fn filter(addresses: &[u8], topics: &[u8]) -> Filter {
        Filter {
            addresses: addresses.iter().copied().map(address).collect(),
            topics: topics.iter().copied().map(topic).collect(),
        }
    }

    fn some(of: u8) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(0..of, 0..5)
    }

    fn range() -> impl Strategy<Value = (u64, u64)> {
        (0..BLOCKS, 0..8_u64).prop_map(|(from, length)| (from, (from + length).min(BLOCKS - 1)))
    }

    proptest! {
        #[test]
        fn every_log_that_is_wanted_and_not_held_is_in_one_job_and_no_other_is_in_any(
            files in prop::collection::vec((some(5), some(4), range()), 0..8),
            wanted in prop::collection::vec((0..5_u8, 0..BLOCKS), 0..6),
            topics in some(4),
            to in 0..BLOCKS,
        ) {
            let mut coverage = Coverage::default();
            for (addresses, topics, (from, to)) in &files {
                coverage.add(&filter(addresses, topics), *from, *to, B256::ZERO);
            }
            let pairs: Vec<_> = wanted.iter().map(|(who, from)| (address(*who), *from)).collect();
            let jobs = coverage.missing(&pairs, &filter(&[], &topics).topics, to);
            for (who, what, block) in
                (0..5_u8).flat_map(|who| (0..4_u8).flat_map(move |what| (0..BLOCKS).map(move |block| (who, what, block))))
            {
                let is_wanted = block <= to
                    && topics.contains(&what)
                    && wanted.iter().any(|(address, from)| *address == who && *from <= block);
                let is_held = files.iter().any(|(addresses, topics, (from, to))| {
                    let takes = |asked: &[u8], one| asked.is_empty() || asked.contains(&one);
                    takes(addresses, who) && takes(topics, what) && (*from..=*to).contains(&block)
                });
                let asked = jobs.iter().filter(|job| {
                    job.filter.addresses.contains(&address(who))
                        && job.filter.topics.contains(&topic(what))
                        && (job.from..=job.to).contains(&block)
                });
                prop_assert_eq!(asked.count(), usize::from(is_wanted && !is_held), "{} {} {}", who, what, block);
            }
            prop_assert!(jobs.is_sorted_by_key(|job| job.from), "{:?}", jobs);
            let complete = coverage.complete_to(&pairs, &filter(&[], &topics).topics, to);
            let first = wanted.iter().map(|(_, from)| *from).min();
            let end = jobs.iter().map(|job| job.from).min().unwrap_or(to + 1);
            prop_assert_eq!(complete, first.filter(|first| *first < end).map(|_| end - 1));
        }

        #[test]
        fn ranges_are_sets_of_blocks(
            steps in prop::collection::vec((any::<bool>(), range()), 0..12),
            (from, to) in range(),
        ) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (adds, (from, to)) in steps {
                if adds {
                    ranges.add(from, to);
                    model.extend(from..=to);
                } else {
                    ranges.remove(from, to);
                    model.retain(|block| !(from..=to).contains(block));
                }
            }
            prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", ranges);
            prop_assert_eq!(ranges.iter().flat_map(|(from, to)| from..=to).collect::<BTreeSet<_>>(), model.clone());
            let holes: BTreeSet<u64> = ranges.holes(from, to).into_iter().flat_map(|(from, to)| from..=to).collect();
            let expected: BTreeSet<u64> = (from..=to).filter(|block| !model.contains(block)).collect();
            prop_assert_eq!(ranges.holds(from, to), expected.is_empty());
            prop_assert_eq!(holes, expected);
        }
    }

    #[test]
    fn the_last_block_there_can_be_ends_a_range() {
        let mut ranges = Ranges::default();
        ranges.add(5, u64::MAX);
        ranges.add(3, 4);
        assert_eq!(ranges.holes(0, u64::MAX), [(0, 2)]);
        ranges.remove(7, u64::MAX);
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [(3, 6)]);
        let jobs = Coverage::default().missing(&[(address(1), 9)], &filter(&[], &[2]).topics, u64::MAX);
        assert_eq!(jobs, [Job { filter: filter(&[1], &[2]), from: 9, to: u64::MAX }]);
    }

    #[test]
    fn new_topics_are_read_without_the_old_ones_and_new_tokens_on_the_same_walk() {
        let mut coverage = Coverage::default();
        coverage.add(&filter(&[1, 2], &[1]), 0, 99, B256::repeat_byte(9));
        let wanted = [(address(1), 0), (address(2), 0), (address(3), 50)];
        let jobs = coverage.missing(&wanted, &filter(&[], &[1, 2]).topics, 120);
        let job = |addresses: &[u8], topics: &[u8], from, to| Job { filter: filter(addresses, topics), from, to };
        let mut expected = [
            job(&[1, 2], &[2], 0, 49),
            job(&[1, 2], &[2], 50, 99),
            job(&[3], &[1, 2], 50, 99),
            job(&[1, 2, 3], &[1, 2], 100, 120),
        ];
        expected.sort_by_key(|job| (job.from, job.filter.addresses.first().copied()));
        let mut jobs = jobs;
        jobs.sort_by_key(|job| (job.from, job.filter.addresses.first().copied()));
        assert_eq!(jobs, expected);
        assert_eq!(coverage.boundaries().iter().copied().collect::<Vec<_>>(), [(99, B256::repeat_byte(9))]);
    }
}
