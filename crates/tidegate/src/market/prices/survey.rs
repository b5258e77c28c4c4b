//! Which sources a market's oracles had for which assets, and when: from logs alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::aave::log::Statement;
use protocol::event::{Event, Fact};
use protocol::{Address, B256};
use source::archive::definition::Definition;
use source::archive::logs::LogReader;
use source::archive::{Archive, MarketName};
use source::decode;

/// Hands every event about prices to `take`, from a block on up to another.
pub(super) fn each_event(
    archive: &Archive,
    market: &MarketName,
    (from, to): (u64, u64),
    mut take: impl FnMut(&Event) -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let topics: BTreeSet<B256> = decode::price_topics();
    let source: Arc<str> = market.as_str().into();
    let mut logs = LogReader::open(archive, market, from, None)?;
    while let Some(log) = logs.next_log()? {
        if log.block > to {
            break;
        }
        if !log.topics.first().is_some_and(|name| topics.contains(name)) {
            continue;
        }
        // A log of another shape is no statement; the fold counts those.
        if let Ok(Some(event)) = decode::event(&source, &log)
            && !take(&event)?
        {
            break;
        }
    }
    Ok(())
}

/// An asset had a source, from a block to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) oracle: Address,
    pub(super) asset: Address,
    pub(super) source: Address,
    pub(super) since: u64,
    pub(super) until: u64,
}

/// Which sources the oracles that the provider named had for which assets, and when.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    provider: Address,
    /// The last block that was looked at.
    at: Option<u64>,
    oracle: Option<Address>,
    sources: BTreeMap<Address, BTreeMap<Address, Address>>,
    pub(super) spans: Vec<Span>,
    /// The spans that have not ended, by asset.
    open: BTreeMap<Address, usize>,
}

impl Survey {
    /// Nothing looked at yet.
    pub(super) fn new(definition: &Definition) -> Self {
        Self {
            provider: definition.addresses_provider,
            at: None,
            oracle: None,
            sources: BTreeMap::new(),
            spans: Vec::new(),
            open: BTreeMap::new(),
        }
    }

    /// Looks at the finished logs up to a block.
    pub(super) fn advance(&mut self, archive: &Archive, market: &MarketName, to: u64) -> anyhow::Result<()> {
        let from = self.at.map_or(0, |at| at.saturating_add(1));
        if from <= to {
            each_event(archive, market, (from, to), |event| {
                self.take(event);
                Ok(true)
            })?;
            self.at = Some(to);
        }
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        let Fact::Market(entry) = &event.fact else { return };
        let block = event.at.height;
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these name sources")]
        match &entry.statement {
            Statement::SourceChanged { asset, source } => {
                self.sources.entry(entry.by).or_default().insert(*asset, *source);
                if self.oracle == Some(entry.by) {
                    self.reopen(entry.by, (*asset, *source), block);
                }
            }
            Statement::OracleChanged { oracle } if entry.by == self.provider => {
                self.oracle = Some(*oracle);
                let open: Vec<Address> = self.open.keys().copied().collect();
                open.into_iter().for_each(|asset| self.close(asset, block));
                for (asset, source) in self.sources.get(oracle).cloned().unwrap_or_default() {
                    self.reopen(*oracle, (asset, source), block);
                }
            }
            _ => {}
        }
    }

    fn reopen(&mut self, oracle: Address, (asset, source): (Address, Address), block: u64) {
        let is_same = |place: &usize| self.spans[*place].source == source && self.spans[*place].oracle == oracle;
        if self.open.get(&asset).is_some_and(is_same) {
            return;
        }
        self.close(asset, block);
        if !source.is_zero() {
            self.open.insert(asset, self.spans.len());
            self.spans.push(Span { oracle, asset, source, since: block, until: u64::MAX });
        }
    }

    /// Ends a span before a block; inside the block itself two sources may have had their say.
    fn close(&mut self, asset: Address, block: u64) {
        if let Some(place) = self.open.remove(&asset) {
            let span = &mut self.spans[place];
            span.until = block.saturating_sub(1).max(span.since);
        }
    }
}
