//! A synced market's prices: what logs tell of them, what the oracle must be asked for the rest, and the table of both.
//!
//! * [`survey`]: which sources the market's oracles had for which assets, and when;
//! * [`phases`]: which aggregators stood behind the sources that are proxies;
//! * [`sampling`]: when a computed price is asked for;
//! * [`Pricing`]: what is to be read, while a market is;
//! * [`make`]: the table.

mod phases;
mod sampling;
mod survey;

use std::collections::{BTreeMap, BTreeSet};

use engine::prices::{By, Checks, Prices, Tick, Wiring};
use protocol::Address;
use protocol::time::{SECOND_US, TimeUs};
use source::archive::definition::Definition;
use source::archive::prices::{self, KnownBy, Label, Making, Row};
use source::archive::reads::{Answer, ReadKey, Reads};
use source::archive::{Archive, MarketName, Writer, synced};
use source::decode::reads;
use source::markets::auctions::Auctions;
use source::markets::feeds::{self, Feeds};
use source::sync::Syncer;

use self::phases::{Known, questions};
use self::sampling::Sampler;
pub(crate) use self::sampling::Sampling;
use self::survey::{Survey, each_event};
use super::{Folder, READS_PER_FILE};
use crate::commands::say;
use crate::text;

/// The largest number that a column of the table holds, and one.
const TOO_MUCH: u128 = 10_u128.pow(38);

/// A market's archive, and what was found in it.
struct Looked<'a> {
    archive: &'a Archive,
    market: &'a MarketName,
    definition: &'a Definition,
    survey: &'a Survey,
    reads: &'a Reads,
    auctions: &'a Auctions,
}

/// What became of a table.
pub(crate) struct Made {
    /// Rows with a price, by how it is known.
    pub(crate) rows: BTreeMap<KnownBy, u64>,
    /// What must be known about it.
    pub(crate) notes: Vec<String>,
}

impl Looked<'_> {
    /// Folds logs and answers up to a block.
    fn fold(&self, wiring: Wiring, to: u64, sink: &mut impl FnMut(Tick)) -> anyhow::Result<Prices> {
        let selector = reads::call(reads::PRICE, &[]);
        let is_price = |key: &&ReadKey| key.block <= to && key.data.len() == 36 && key.data.starts_with(&selector);
        let mut asked = self.reads.iter().map(|(key, _)| key).filter(is_price).peekable();
        let mut prices = Prices::new(self.definition.addresses_provider, wiring);
        let tell = |prices: &mut Prices, key: &ReadKey, sink: &mut _| {
            let asset = Address::from_slice(&key.data[16..]);
            let answer = match self.reads.get(key) {
                Some(Answer::Returned(bytes)) => reads::number(bytes).ok().filter(|price| !price.is_zero()),
                Some(Answer::Reverted(_)) | None => None,
            };
            prices.read((key.block, key.target), asset, answer, sink);
        };
        each_event(self.archive, self.market, (0, to), |event| {
            while let Some(key) = asked.next_if(|key| key.block < event.at.height) {
                tell(&mut prices, key, sink);
            }
            prices.take(event, sink);
            Ok(true)
        })?;
        asked.for_each(|key| tell(&mut prices, key, sink));
        prices.end(to, sink);
        Ok(prices)
    }

    /// The wiring that answers tell, less the sources whose prices calls contradict or never confirmed.
    fn confirmed(&self, to: u64, notes: &mut Vec<String>) -> anyhow::Result<Wiring> {
        let known = Known::of(self.reads);
        let mut wiring = known.wiring(&self.survey.spans);
        known.duals().for_each(|dual| wiring.add_dual(dual, self.auctions.cutoff_seconds(dual)));
        let mut checked = self.checked(&wiring, to)?;
        let contradicted = checked.iter().filter(|(_, checks)| checks.different > 0);
        let turned: Vec<Address> =
            contradicted.map(|(source, _)| *source).filter(|source| wiring.turn_to_standard(*source)).collect();
        if !turned.is_empty() {
            checked = self.checked(&wiring, to)?;
        }
        for (source, checks) in checked {
            if checks.different > 0 {
                notes.push(format!(
                    "{source} seems to hand on a feed's answers and answered otherwise in {} of {} calls: its prices are those of calls alone.",
                    checks.different,
                    checks.different + checks.equal
                ));
            } else if checks.equal == 0 {
                notes.push(format!(
                    "no call confirms that {source} hands on a feed's answers: its prices are those of calls alone."
                ));
            }
            if checks.different > 0 || checks.equal == 0 {
                wiring.unwire(source);
            }
        }
        Ok(wiring)
    }

    /// The sources whose prices logs tell so, and how often calls said the same.
    fn checked(&self, wiring: &Wiring, to: u64) -> anyhow::Result<BTreeMap<Address, Checks>> {
        let mut told: BTreeSet<Address> = BTreeSet::new();
        let prices = self.fold(wiring.clone(), to, &mut |tick| {
            let by_feed = tick.price.is_some_and(|(_, by)| by == By::Feed);
            told.extend(tick.source.filter(|_| by_feed));
        })?;
        let checks = |source: Address| (source, prices.checks().get(&source).copied().unwrap_or_default());
        Ok(told.into_iter().map(checks).collect())
    }
}

/// Writes the table of prices up to a block. The same logs and answers give the same bytes.
fn make(writer: &Writer, looked: &Looked<'_>, to: u64) -> anyhow::Result<Made> {
    let Looked { archive, market, definition, .. } = *looked;
    let mut notes = Vec::new();
    let wiring = looked.confirmed(to, &mut notes)?;
    let label = Label {
        chain: definition.chain,
        from: definition.first_block.min(to),
        to,
        made_from: synced::state_of(archive, market, to)?,
        decimals: u8::try_from(definition.base_unit.checked_ilog10().unwrap_or(0)).unwrap_or(0),
        base: if definition.base_is_usd { "usd" } else { "ether" },
    };
    let mut making = Making::begin(writer, market, label)?;
    let (mut rows, mut beyond, mut failed) = (BTreeMap::new(), 0_u64, None);
    looked.fold(wiring, to, &mut |tick| {
        let row = row(&tick);
        beyond += u64::from(row.price.is_none() && tick.price.is_some());
        if let Some((_, by)) = row.price {
            *rows.entry(by).or_default() += 1;
        }
        if failed.is_none() {
            failed = making.push(row).err();
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if beyond > 0 {
        notes.push(format!("{} prices have more than 38 digits and are left out.", text::count(beyond)));
    }
    making.publish()?;
    Ok(Made { rows, notes })
}

/// A tick as a row.
fn row(tick: &Tick) -> Row {
    let time = tick.time.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(SECOND_US)).map(TimeUs);
    let price = tick.price.and_then(|(price, by)| {
        let price = u128::try_from(price).ok().filter(|price| *price < TOO_MUCH)?;
        Some((price, known_by(by)))
    });
    Row {
        block: tick.block,
        time,
        log_index: tick.log_index.and_then(|index| u32::try_from(index).ok()),
        asset: tick.asset,
        source: tick.source,
        price,
    }
}

fn known_by(by: By) -> KnownBy {
    match by {
        By::Feed => KnownBy::Feed,
        By::BaseCurrency => KnownBy::BaseCurrency,
        By::Call => KnownBy::Call,
    }
}

/// Looks for the feeds behind the sources that logs up to a block name, as of that block, and has them watched from where they
/// are named.
pub(crate) async fn walk(syncer: &mut Syncer<'_>, feeds: &mut Feeds, at: u64) -> source::Result<()> {
    let named = syncer.unwalked(at);
    if named.is_empty() {
        return Ok(());
    }
    let sources: BTreeSet<Address> = named.iter().map(|(source, _)| *source).collect();
    let found = feeds::walk(syncer.client(), &sources, at).await?;
    for (source, since) in named {
        found.below(source).into_iter().for_each(|(feed, _)| syncer.add_feed(feed, since));
    }
    syncer.walked(sources);
    feeds.extend(found);
    Ok(())
}

/// A market's prices while it is read.
pub(crate) struct Pricing {
    /// Who reads whom.
    pub(crate) feeds: Feeds,
    survey: Survey,
    sampler: Sampler,
    /// What is asked at blocks before this one, no node has: it is not asked again while this runs.
    past: u64,
    /// What is left is asked although it was told to stop.
    pub(crate) is_closing: bool,
}

impl Pricing {
    /// Of a market whose feeds are known.
    pub(crate) fn new(definition: &Definition, feeds: Feeds, sampling: Sampling) -> Self {
        Self { feeds, survey: Survey::new(definition), sampler: Sampler::new(sampling), past: 0, is_closing: false }
    }

    /// Reads what prices up to a final block need, the last of `blocks`, and keeps it; who stands behind their sources is asked as of
    /// the first. What no node has is said, and stays unknown.
    pub(crate) async fn read(
        &mut self,
        syncer: &Syncer<'_>,
        folder: &mut Folder,
        blocks: (u64, u64),
    ) -> anyhow::Result<()> {
        let (_, to) = blocks;
        self.survey.advance(syncer.writer().archive(), &folder.market, to)?;
        while let Err(error) = self.read_what_is_left(syncer, folder, blocks).await {
            let is_lost = match error.downcast_ref() {
                Some(source::Error::Pruned { .. }) => true,
                Some(source::Error::Node { .. }) => false,
                _ => return Err(error),
            };
            say(&format!("note: some prices stay unknown: {error}"));
            // What can still be asked does not go the same way for what cannot.
            if !is_lost || self.past >= to {
                break;
            }
            self.past = to;
        }
        Ok(())
    }

    async fn read_what_is_left(
        &mut self,
        syncer: &Syncer<'_>,
        folder: &mut Folder,
        (asked, to): (u64, u64),
    ) -> anyhow::Result<()> {
        // What every node can tell comes first.
        self.ask(syncer, folder, (asked, to), |key| key.block == to).await?;
        self.ask(syncer, folder, (asked, to), |key| self.past <= key.block).await?;
        self.sample(syncer, folder, to).await
    }

    /// Asks who stood behind the sources, until there is nothing more to ask.
    async fn ask(
        &self,
        syncer: &Syncer<'_>,
        folder: &mut Folder,
        blocks: (u64, u64),
        is_meant: impl Fn(&ReadKey) -> bool,
    ) -> anyhow::Result<()> {
        while self.is_closing || !syncer.is_stopped() {
            let keys = questions(&self.survey.spans, &folder.reads, blocks);
            let keys: Vec<ReadKey> = keys.into_iter().filter(&is_meant).collect();
            if keys.is_empty() {
                break;
            }
            syncer.read(&keys, &mut folder.reads).await?;
        }
        Ok(())
    }

    /// Asks for computed prices where feeds below them moved, having said how many that are.
    async fn sample(&mut self, syncer: &Syncer<'_>, folder: &mut Folder, to: u64) -> anyhow::Result<()> {
        let archive = syncer.writer().archive();
        let past = self.past;
        if self.sampler.sampling == Sampling::Liquidations {
            return Ok(());
        }
        let (mut wanted, mut counting) = (0, self.sampler.clone());
        while counting.at.is_none_or(|at| at < to) {
            let mut keys = counting.advance(&self.looked(archive, folder), &self.feeds, to, READS_PER_FILE)?;
            keys.retain(|key| past <= key.block);
            wanted += folder.reads.missing(&keys).len() as u64;
        }
        if wanted > 0 {
            say(&format!("{} computed prices are asked for, where feeds below them moved", text::count(wanted)));
        }
        while self.sampler.at.is_none_or(|at| at < to) && !syncer.is_stopped() {
            let mut next = self.sampler.clone();
            let mut keys = next.advance(&self.looked(archive, folder), &self.feeds, to, READS_PER_FILE)?;
            keys.retain(|key| past <= key.block);
            syncer.read(&keys, &mut folder.reads).await?;
            self.sampler = next;
        }
        Ok(())
    }

    fn looked<'a>(&'a self, archive: &'a Archive, folder: &'a Folder) -> Looked<'a> {
        let Folder { market, definition, reads, auctions, .. } = folder;
        Looked { archive, market, definition, survey: &self.survey, reads, auctions }
    }

    /// Makes the table up to a block, unless the one on file reaches further.
    pub(crate) fn keep(&self, writer: &Writer, folder: &Folder, to: u64) -> anyhow::Result<()> {
        let held = prices::file(writer.archive(), &folder.market)?;
        if held.as_ref().and_then(prices::made_from).is_some_and(|(held, _)| to < held) {
            return Ok(());
        }
        for note in make(writer, &self.looked(writer.archive(), folder), to)?.notes {
            say(&format!("note: {note}"));
        }
        Ok(())
    }
}

/// Makes a market's table from what the archive holds of it.
pub(crate) fn rebuilt(writer: &Writer, folder: &Folder, to: u64) -> anyhow::Result<Made> {
    let (archive, Folder { market, definition, reads, auctions, .. }) = (writer.archive(), folder);
    let mut survey = Survey::new(definition);
    survey.advance(archive, market, to)?;
    make(writer, &Looked { archive, market, definition, survey: &survey, reads, auctions }, to)
}

/// The dual aggregators, as they said themselves when they were asked.
pub(crate) fn duals(reads: &Reads) -> BTreeSet<Address> {
    Known::of(reads).duals().collect()
}

/// How a folded market's sources are wired as far as calls confirm it, and the sources its oracles had.
pub(crate) fn wiring(folder: &Folder, to: u64) -> anyhow::Result<(Wiring, BTreeSet<Address>)> {
    let Folder { archive, market, definition, reads, auctions, .. } = folder;
    let mut survey = Survey::new(definition);
    survey.advance(archive, market, to)?;
    let wiring =
        Looked { archive, market, definition, survey: &survey, reads, auctions }.confirmed(to, &mut Vec::new())?;
    Ok((wiring, survey.spans.iter().map(|span| span.source).collect()))
}
