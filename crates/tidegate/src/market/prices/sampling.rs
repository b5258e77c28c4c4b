//! When computed prices are asked for: where a feed below one moved.

use std::collections::{BTreeMap, BTreeSet};

use protocol::aave::log::Statement;
use protocol::event::{Event, Fact};
use protocol::{Address, I256, U256};
use source::archive::reads::ReadKey;
use source::markets::feeds::Feeds;

use super::Looked;
use super::phases::Known;
use super::survey::{Span, each_event};
use crate::market::price_key;

/// When computed prices are asked for, between the blocks where that happens anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// Never.
    Liquidations,
    /// Where a feed below one moved by so many basis points since it was asked for last.
    Moves(u16),
    /// Wherever a feed below one has a new answer.
    All,
}

impl Sampling {
    /// What `--prices` means.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let bps = |digits: &str| digits.parse().ok().filter(|bps| (1..=10_000).contains(bps));
        match text {
            "liquidations" => Ok(Self::Liquidations),
            "all" => Ok(Self::All),
            "moves" => Ok(Self::Moves(50)),
            other => other
                .strip_prefix("moves=")
                .and_then(bps)
                .map(Self::Moves)
                .ok_or_else(|| "give liquidations, all, moves, or moves=50 for moves of 50 basis points".to_owned()),
        }
    }

    /// Whether a feed's move is far enough from where it stood.
    fn is_move(self, from: Option<I256>, to: I256) -> bool {
        let bps = match self {
            Self::Liquidations => return false,
            Self::All => return true,
            Self::Moves(bps) => bps,
        };
        let Some(from) = from else { return true };
        let (whole, other) = (from.unsigned_abs(), to.unsigned_abs());
        let is_same_side = from.is_negative() == to.is_negative();
        let distance = if is_same_side { whole.abs_diff(other) } else { whole.saturating_add(other) };
        let scaled = (distance.checked_mul(U256::from(10_000)), whole.checked_mul(U256::from(bps)));
        match scaled {
            (Some(distance), Some(whole)) => distance >= whole && !distance.is_zero(),
            // So large a number is far from any other.
            _ => distance > whole >> 4,
        }
    }
}

/// Says at which blocks computed prices are to be asked for, block by block.
#[derive(Debug, Clone)]
pub(super) struct Sampler {
    pub(super) sampling: Sampling,
    /// The last block that was looked at.
    pub(super) at: Option<u64>,
    /// Feeds' last answers.
    answers: BTreeMap<Address, I256>,
    /// The answers of the feeds below an asset's source when its price was asked for last.
    seen: BTreeMap<(Address, Address), I256>,
}

impl Sampler {
    pub(super) fn new(sampling: Sampling) -> Self {
        Self { sampling, at: None, answers: BTreeMap::new(), seen: BTreeMap::new() }
    }

    /// Looks at the logs up to a block, or until there are so many questions, which are returned; none where it is through.
    pub(super) fn advance(
        &mut self,
        looked: &Looked<'_>,
        feeds: &Feeds,
        to: u64,
        most: usize,
    ) -> anyhow::Result<Vec<ReadKey>> {
        let from = self.at.map_or(0, |at| at.saturating_add(1));
        if self.sampling == Sampling::Liquidations || from > to {
            return Ok(Vec::new());
        }
        let above = Above::of(looked, feeds);
        let (mut keys, mut block) = (BTreeSet::new(), from);
        each_event(looked.archive, looked.market, (from, to), |event| {
            if event.at.height > block && keys.len() >= most {
                return Ok(false);
            }
            block = event.at.height;
            self.take(event, &above, &mut keys);
            Ok(true)
        })?;
        self.at = Some(if keys.len() >= most { block } else { to });
        Ok(keys.into_iter().collect())
    }

    fn take(&mut self, event: &Event, above: &Above, keys: &mut BTreeSet<ReadKey>) {
        let Fact::Market(entry) = &event.fact else { return };
        let Statement::Answer { answer, .. } = &entry.statement else { return };
        let Some(spans) = above.spans.get(&entry.by) else { return };
        self.answers.insert(entry.by, *answer);
        let block = event.at.height;
        for span in spans.iter().filter(|span| (span.since..=span.until).contains(&block)) {
            if !self.sampling.is_move(self.seen.get(&(span.asset, entry.by)).copied(), *answer) {
                continue;
            }
            keys.insert(price_key(span.oracle, span.asset, block));
            for feed in above.below.get(&span.source).into_iter().flatten() {
                if let Some(answer) = self.answers.get(feed) {
                    self.seen.insert((span.asset, *feed), *answer);
                }
            }
        }
    }
}

/// Which computed prices each feed is below of.
struct Above {
    spans: BTreeMap<Address, Vec<Span>>,
    below: BTreeMap<Address, Vec<Address>>,
}

impl Above {
    /// A source computes its prices where no stretch of it is wired to another contract; those that stand alone and write answers
    /// themselves read nothing.
    fn of(looked: &Looked<'_>, feeds: &Feeds) -> Self {
        let known = Known::of(looked.reads);
        let mut above = Self { spans: BTreeMap::new(), below: BTreeMap::new() };
        for span in &looked.survey.spans {
            let phases = known.of_proxy(span.source);
            let is_told = !phases.is_empty()
                && phases
                    .iter()
                    .all(|(_, phase)| known.behind(span.source, *phase).is_some_and(|(_, is_dual)| !is_dual));
            let below: Vec<Address> = feeds.below(span.source).into_iter().map(|(feed, _)| feed).collect();
            if is_told || below.len() < 2 {
                continue;
            }
            for feed in &below {
                above.spans.entry(*feed).or_default().push(*span);
            }
            above.below.insert(span.source, below);
        }
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_measured_from_where_the_feed_stood_when_it_was_asked() {
        let number = |number: i64| I256::try_from(number).unwrap();
        for (sampling, from, to, expected) in [
            (Sampling::Moves(50), Some(10_000), 10_049, false),
            (Sampling::Moves(50), Some(10_000), 10_050, true),
            (Sampling::Moves(50), Some(10_000), 9_950, true),
            (Sampling::Moves(50), Some(10_000), 10_000, false),
            (Sampling::Moves(50), Some(0), 0, false),
            (Sampling::Moves(50), Some(0), 1, true),
            (Sampling::Moves(10_000), Some(-5), 5, true),
            (Sampling::Moves(50), None, 1, true),
            (Sampling::All, Some(7), 7, true),
            (Sampling::Liquidations, None, 7, false),
        ] {
            assert_eq!(sampling.is_move(from.map(number), number(to)), expected, "{sampling:?} {from:?} {to}");
        }
        assert!(Sampling::Moves(50).is_move(Some(I256::MAX), I256::MIN));
        assert!(!Sampling::Moves(50).is_move(Some(I256::MAX), I256::MAX));
    }

    #[test]
    fn words_of_the_command_line_are_understood_or_refused() {
        assert_eq!(Sampling::parse("moves=25"), Ok(Sampling::Moves(25)));
        assert_eq!(Sampling::parse("all"), Ok(Sampling::All));
        for bad in ["", "moves=", "moves=0", "moves=10001", "moves=-1", "some"] {
            assert!(Sampling::parse(bad).is_err(), "{bad}");
        }
    }
}
