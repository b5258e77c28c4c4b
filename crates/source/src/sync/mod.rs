//! From a chain's nodes to the archive: what is missing is read, and nothing else.
//!
//! ```text
//! coverage of the files, and what the logs name ──► jobs ──► logs, range by range ──► files, one finished range at a time
//! blocks that are not final yet ──► the tail, rewritten as the chain changes its mind ──► files, once they are final
//! ```
//!
//! * [`Watch`]: which contracts write a market's logs;
//! * [`Syncer::backfill`]: everything up to a block that is final;
//! * [`Syncer::follow`]: the blocks after it, reorganisations undone;
//! * [`reads`]: what contracts are asked at a block, kept beside the logs;
//! * [`transactions`]: those that liquidate or update price feeds, and what stands around them in their blocks.
//!
//! What this module does not do: it folds nothing. What the fold finds missing, it is told as a [`ReadKey`](crate::archive::reads::ReadKey).

mod backfill;
mod follow;
pub mod reads;
pub mod transactions;
mod watch;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::Address;
use protocol::chain::ChainId;

pub use backfill::{Backfilled, Step};
pub use follow::HeadChange;
pub use watch::Watch;

use crate::archive::coverage::Coverage;
use crate::archive::head::Tail;
use crate::archive::logs::{COVERAGE_NOTE, LogReader};
use crate::archive::{MarketName, Table, Writer};
use crate::rpc::{Client, HyperSync, Meter};
use crate::{Error, Result};

/// Ends of files that are compared with the chain before anything is added: what lies before them was compared by earlier
/// runs, when it was new.
const ENDS_CHECKED: usize = 16;

/// Notes in a file of logs: whatever contract the chain named as of this block was found, and is read up to it.
const FOUND_NOTE: &str = "found_at";

/// One market being read into an archive.
#[derive(Debug)]
pub struct Syncer<'a> {
    client: Client,
    /// Who is asked in place of the client for the logs of finished blocks.
    hypersync: Option<HyperSync>,
    writer: &'a Writer,
    market: MarketName,
    watch: Watch,
    coverage: Coverage,
    tail: Tail,
    /// The block as of which contracts were looked for on the chain whose logs were all read since.
    found_to: Option<u64>,
    /// The block as of which they were looked for last.
    found_at: Option<u64>,
    /// Price sources whose feeds were looked for; `None` where nobody looks for any.
    walked: Option<BTreeSet<Address>>,
    stop: Arc<AtomicBool>,
}

impl<'a> Syncer<'a> {
    /// Goes on from what the archive holds of a market, having checked that it is of the chain's history: the last block
    /// of the newest file must have the hash on the chain that it has in the file.
    ///
    /// `stop` ends any of its work at the next point at which everything read is kept.
    ///
    /// # Errors
    /// A file is damaged, or of another history than the endpoint's.
    pub async fn open(
        client: Client,
        writer: &'a Writer,
        market: MarketName,
        watch: Watch,
        stop: Arc<AtomicBool>,
    ) -> Result<Self> {
        let files = writer.archive().market_files(&market, Table::Logs)?;
        let coverage = Coverage::of(&files)?;
        let synced = files.iter().filter(|file| file.footer.note(COVERAGE_NOTE).is_none());
        let noted = synced.clone().filter_map(|file| file.footer.note(FOUND_NOTE)?.parse().ok()).max();
        let found_to = noted.or_else(|| synced.filter_map(|file| Some(file.blocks()?.1)).max());
        let mut logs = LogReader::of_files(files, 0)?;
        let mut learnt = watch;
        while let Some(log) = logs.next_log()? {
            learnt.observe(&log);
        }
        let tail = Tail::load(writer.archive(), &market)?;
        let chain = client.chain();
        let tail = tail.filter(|tail| tail.chain() == chain);
        tail.iter().flat_map(|tail| tail.logs().iter()).for_each(|log| {
            learnt.observe(&log);
        });
        let tail = tail.unwrap_or_else(|| Tail::new(chain, learnt.filter()));
        let syncer = Self {
            client,
            hypersync: None,
            writer,
            market,
            watch: learnt,
            coverage,
            tail,
            found_to,
            found_at: None,
            walked: None,
            stop,
        };
        syncer.check_history().await?;
        Ok(syncer)
    }

    /// The newest finished files must end in blocks of the chain as it is.
    async fn check_history(&self) -> Result<()> {
        for (block, held) in self.coverage.boundaries().iter().rev().take(ENDS_CHECKED).copied() {
            // An endpoint that is behind what is held says nothing about it.
            if let Some(header) = self.client.header(block).await?
                && header.hash != held
            {
                return Err(Error::OtherHistory { market: self.market.to_string(), block, held, found: header.hash });
            }
        }
        Ok(())
    }

    /// From now on, the logs of finished blocks are read through a service, and everything else from the nodes as before.
    pub fn read_through(&mut self, hypersync: HyperSync) {
        self.hypersync = Some(hypersync);
    }

    /// What was spent so far, on nodes and on the service beside them.
    #[must_use]
    pub fn meter(&self) -> Meter {
        let mut meter = self.client.meter();
        if let Some(service) = &self.hypersync {
            meter.endpoints.push(service.spent());
            // The two peaks may have been at different times: together they are no less than what was held at once.
            let (peak, most) = service.room();
            (meter.peak_bytes, meter.most_bytes) = (meter.peak_bytes + peak, meter.most_bytes + most);
        }
        meter
    }

    /// The chain.
    #[must_use]
    pub fn chain(&self) -> ChainId {
        self.client.chain()
    }

    /// Who is asked.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where what is read goes.
    #[must_use]
    pub fn writer(&self) -> &'a Writer {
        self.writer
    }

    /// Which contracts are watched, as far as is known by now.
    #[must_use]
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Adds contracts that were found by asking the chain as it is at a block, such as price feeds. On a first sync they are watched
    /// from the market's first block. Later ones cannot have mattered before the block at which all that there were had been
    /// found: they are watched from there.
    pub fn add_found(&mut self, contracts: impl IntoIterator<Item = Address>, at: u64) {
        if let Some(before) = self.found_at.replace(at)
            && self.complete_to(before) == Some(before)
        {
            self.found_to = Some(before);
        }
        for address in contracts {
            let since = self.coverage.first_of(&address).or(self.found_to);
            let from = since.unwrap_or(0).max(self.watch.first_block());
            // What a log named is wanted from that log on, and not from earlier.
            if !self.watch.watches(&address) {
                self.watch.add(address, from);
            }
        }
    }

    /// Notes that the feeds behind price sources were looked for: from here on a [backfill](Self::backfill) stops where a log names
    /// one of which that is not so, lest the blocks behind it be passed twice.
    pub fn walked(&mut self, sources: impl IntoIterator<Item = Address>) {
        self.walked.get_or_insert_default().extend(sources);
    }

    /// Price sources that logs up to a block name and whose feeds nobody looked for, each with the block that names it. One that
    /// is named later may not have been made yet.
    #[must_use]
    pub fn unwalked(&self, to: u64) -> Vec<(Address, u64)> {
        let Some(walked) = &self.walked else { return Vec::new() };
        let named = self.watch.sources().into_iter();
        named.filter(|(source, block)| *block <= to && !walked.contains(source)).collect()
    }

    /// Adds a feed that matters from a block on.
    pub fn add_feed(&mut self, feed: Address, from: u64) {
        if !self.watch.watches(&feed) {
            self.watch.add(feed, from.max(self.watch.first_block()));
        }
    }

    /// Adds contracts that somebody named, such as safes, of which is read what they say around auctions, from the market's first
    /// block on.
    pub fn add_auctions(&mut self, contracts: impl IntoIterator<Item = Address>) {
        let first = self.watch.first_block();
        for address in contracts.into_iter().filter(|address| !address.is_zero()) {
            self.watch.add_auction(address, first);
        }
    }

    /// The same for dual aggregators that were found on the chain: from the market's first block where none was ever read, else from
    /// where everything that there was had been found.
    pub fn add_duals(&mut self, aggregators: impl IntoIterator<Item = Address>) {
        let topics = crate::decode::auction_topics();
        let first = self.watch.first_block();
        let is_first = topics.first().is_none_or(|topic| self.coverage.first_asked(None, topic).is_none());
        for address in aggregators {
            let asked = topics.first().and_then(|topic| self.coverage.first_asked(Some(&address), topic));
            let since = if is_first { None } else { asked.or(self.found_to) };
            self.watch.add_auction(address, since.unwrap_or(first).max(first));
        }
    }

    /// The blocks that are not final yet.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The last block up to which every log of every watched contract is in a finished file.
    #[must_use]
    pub fn complete_to(&self, to: u64) -> Option<u64> {
        self.watch.complete_to(&self.coverage, to)
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
