//! A synced market, folded: the archive's logs become the engine's book, and what the fold asks for is brought.

mod gaps;
pub(crate) mod prices;
pub(crate) mod recapture;
pub(crate) mod taken;
pub(crate) mod valued;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use engine::book::{Book, Change, Gap, View};
use engine::recapture::trigger::Triggers;
use protocol::aave::Revision;
use protocol::aave::account::Block;
use protocol::aave::config::ReserveId;
use protocol::event::Event;
use protocol::token::Tokens;
use protocol::{Address, B256, U256};
use source::archive::coverage::Coverage;
use source::archive::definition::Definition;
use source::archive::logs::{LogReader, end_time};
use source::archive::reads::{Answer, ReadKey, Reads};
use source::archive::{Archive, MarketName, Table};
use source::decode::{self, reads};
use source::log::Log;
use source::markets::auctions::{Auctions, Registry};
use source::rpc::Client;
use source::sync::transactions::WantedBlock;
use source::sync::{Syncer, Watch, reads as ask};

use self::gaps::{Around, Filling, Place};
use self::taken::{Collector, Taken, Updates};
use self::valued::{Assets, Values};
use crate::text;

/// The longest symbol that is read.
const LONGEST_SYMBOL: usize = 32;
/// Questions about prices whose answers go into one file.
const READS_PER_FILE: usize = 4_096;

/// A market being folded, block by block.
pub(crate) struct Folder {
    archive: Archive,
    market: MarketName,
    definition: Definition,
    source: Arc<str>,
    book: Book,
    /// Which contracts the logs that were folded name.
    watch: Watch,
    reads: Reads,
    /// Where auctions for its liquidations are settled and collected.
    auctions: Auctions,
    /// Whether auctions are held for its liquidations: behind some price stands a dual aggregator.
    has_auctions: bool,
    /// The last block of which every log was folded.
    taken: Option<u64>,
    /// The last block that was folded whole: what no log tells was brought too.
    at: Option<u64>,
    /// The log that waits for something to be brought.
    waiting: Option<Pending>,
    /// How to take the blocks back that are not final, by block, each with its hash.
    journal: BTreeMap<u64, (B256, Vec<Change>)>,
    liquidations: Collector,
    /// Who asks what made liquidations possible.
    triggers: Option<Box<Triggers>>,
    /// How many liquidations the table on file was made of, and how many blocks with updates of feeds were looked at.
    pub(crate) told: Option<(usize, usize)>,
    rejects: u64,
    foreign: u64,
}

/// A log as an event, and where it stands.
struct Pending {
    event: Event,
    place: Place,
}

/// How far a fold came.
enum Came {
    /// To its end.
    There,
    /// These questions must be answered before.
    Needs(Vec<ReadKey>),
}

impl Folder {
    /// A market of the archive, nothing folded yet.
    pub(crate) fn new(archive: &Archive, market: &MarketName, definition: &Definition) -> anyhow::Result<Self> {
        let reads = Reads::load(archive, market, 0, u64::MAX)?;
        Ok(Self {
            archive: archive.clone(),
            market: market.clone(),
            definition: definition.clone(),
            source: market.as_str().into(),
            book: Book::new(definition.addresses_provider),
            watch: own_contracts(definition),
            has_auctions: !prices::duals(&reads).is_empty(),
            reads,
            auctions: Auctions::load(archive, market)?.unwrap_or_else(|| Registry::embedded().of(definition.chain)),
            taken: None,
            at: None,
            waiting: None,
            journal: BTreeMap::new(),
            liquidations: Collector::default(),
            triggers: None,
            told: None,
            rejects: 0,
            foreign: 0,
        })
    }

    /// The market's name.
    pub(crate) fn market(&self) -> &MarketName {
        &self.market
    }

    /// The last block that was folded whole.
    pub(crate) fn at(&self) -> Option<u64> {
        self.at
    }

    /// Accounts that ever held something.
    pub(crate) fn accounts(&self) -> u64 {
        u64::from(self.book.snapshot().accounts.len())
    }

    /// Reserves listed.
    pub(crate) fn reserves(&self) -> u64 {
        self.book.snapshot().listed().iter().filter(|listed| !listed.is_dropped).count() as u64
    }

    /// What contracts answered, as far as the archive holds it.
    pub(crate) fn reads(&self) -> &Reads {
        &self.reads
    }

    /// The same, to add answers that are not kept.
    pub(crate) fn reads_mut(&mut self) -> &mut Reads {
        &mut self.reads
    }

    /// The market as it is folded.
    pub(crate) fn view(&self) -> Arc<View> {
        self.book.snapshot()
    }

    /// What must be known about the fold.
    pub(crate) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.foreign > 0 {
            notes.push(format!(
                "{} logs are of contracts that no log names as the market's own, and are not folded; `tidegate verify` says \
                 whether a listing was left out.",
                text::count(self.foreign)
            ));
        }
        if self.rejects > 0 {
            notes.push(format!(
                "{} logs have the name of a known event and another shape; they are kept, and not folded.",
                text::count(self.rejects)
            ));
        }
        notes
    }

    /// Folds finished logs up to a block that is final, and reads and keeps what the fold asks for.
    pub(crate) async fn advance(&mut self, syncer: &Syncer<'_>, to: u64) -> anyhow::Result<()> {
        if self.taken.is_none_or(|taken| taken < to) {
            // What was folded ahead of it from the tail comes from the files now.
            self.undo_where(|_, _| true);
        }
        loop {
            match self.fold(to)? {
                Came::There => break,
                // What was read so far is kept, and the next run goes on from there.
                Came::Needs(_) if syncer.is_stopped() => return Ok(()),
                Came::Needs(wanted) => self.bring(syncer, &wanted).await?,
            }
        }
        let mut wanted = self.price_keys(to);
        wanted.extend(self.symbol_keys(to));
        Ok(syncer.read(&wanted, &mut self.reads).await?)
    }

    /// The questions what tokens call themselves that are in no registry, where nobody asked yet.
    fn symbol_keys(&self, block: u64) -> Vec<ReadKey> {
        let asked = symbols(&self.reads);
        let view = self.book.snapshot();
        let assets = view.listed().iter().map(|listed| listed.contracts.asset);
        let unknown = assets.filter(|asset| {
            Tokens::embedded().by_address(self.definition.chain, *asset).is_none() && !asked.contains_key(asset)
        });
        unknown.map(|asset| ReadKey { block, target: asset, data: reads::call(reads::SYMBOL, &[]) }).collect()
    }

    /// Calls and receipts, kept.
    async fn bring(&mut self, syncer: &Syncer<'_>, wanted: &[ReadKey]) -> anyhow::Result<()> {
        let Split { receipts, calls } = split(wanted);
        syncer.read(&calls, &mut self.reads).await?;
        Ok(syncer.read_receipts(&receipts, gaps::receipt_of, &mut self.reads).await?)
    }

    /// Which updates of feeds are remembered, with their transactions.
    pub(crate) fn remember(&mut self, updates: Updates) {
        self.liquidations.remember(updates);
    }

    /// Who collects what is bid for liquidations: payments to them are kept.
    pub(crate) fn collect(&mut self, safes: BTreeSet<Address>) {
        self.liquidations.collect(safes);
    }

    /// The blocks with transactions that matter, up to one that was folded whole.
    pub(crate) fn wanted_blocks(&mut self, to: u64) -> Vec<WantedBlock> {
        self.liquidations.wanted_blocks(to)
    }

    /// The liquidations up to a block that was folded whole, and what values them.
    pub(crate) fn liquidations(&mut self, to: u64) -> (&[Taken], Values<'_>) {
        let view = self.book.snapshot();
        let listed =
            view.listed().iter().map(|listed| (listed.contracts.asset, &listed.config, listed.is_config_known));
        let mut assets = Assets::of(&self.definition, listed, &self.reads);
        let is_listed = |asset: &Address| view.id(asset).is_some();
        assets.native = self.auctions.native.filter(|native| is_listed(native) && self.has_auctions());
        (self.liquidations.up_to(to), Values { definition: &self.definition, reads: &self.reads, assets })
    }

    /// Whether auctions are held for its liquidations: behind some price stands a dual aggregator.
    pub(crate) fn has_auctions(&self) -> bool {
        self.has_auctions
    }

    /// Where auctions are settled and collected.
    pub(crate) fn auctions(&self) -> &Auctions {
        &self.auctions
    }

    /// Reads what values the liquidations up to a final block, and keeps it.
    pub(crate) async fn read_prices(&mut self, syncer: &Syncer<'_>, to: u64) -> source::Result<()> {
        let (taken, values) = self.liquidations(to);
        let prices = valued::price_keys(taken, &values.assets);
        self.read_some(syncer, &prices).await?;
        let (taken, values) = self.liquidations(to);
        let feeds = valued::feed_keys(taken, values.reads);
        self.read_some(syncer, &feeds).await
    }

    /// Reads in portions, so that little is lost when the program is killed.
    async fn read_some(&mut self, syncer: &Syncer<'_>, wanted: &[ReadKey]) -> source::Result<()> {
        for some in self.reads.missing(wanted).chunks(READS_PER_FILE) {
            syncer.read(some, &mut self.reads).await?;
        }
        Ok(())
    }

    /// Folds logs up to a block without a node, as far as liquidations need it: what only valuing accounts needs may be missing.
    pub(crate) fn advance_for_liquidations(&mut self, to: u64) -> anyhow::Result<()> {
        if let Came::Needs(wanted) = self.fold(to)? {
            let is_left_out = self.waiting.is_none();
            if !is_left_out {
                return Err(self.never_read(&wanted));
            }
        }
        Ok(())
    }

    fn never_read(&self, wanted: &[ReadKey]) -> anyhow::Error {
        let first = wanted.first().map_or(0, |key| key.block);
        anyhow::anyhow!(
            "{}: what contracts answered at block {first} was never read; run `tidegate sync --market {}` again",
            self.market,
            self.market
        )
    }

    /// Folds finished logs up to a block, and asks a node what the archive does not hold; nothing of it is kept.
    pub(crate) async fn advance_asking(&mut self, client: &Client, to: u64) -> anyhow::Result<()> {
        while let Came::Needs(wanted) = self.fold(to)? {
            ask_all(client, &wanted, &mut self.reads).await?;
        }
        Ok(())
    }

    /// Folds what the archive holds up to a block, and says what of that which values accounts there was never read.
    fn lacking(&mut self, at: u64) -> anyhow::Result<Vec<String>> {
        let came = self.fold(at);
        // A history with a hole may be one that cannot be, so this is looked at before the fold's own words.
        let coverage = Coverage::of(&self.archive.market_files(&self.market, Table::Logs)?)?;
        let complete = coverage.complete_to(&self.watch.wanted(), &decode::topics(), at);
        if complete != Some(at) {
            let first = complete.map_or(self.definition.first_block, |last| last.saturating_add(1));
            return Ok(vec![format!("all logs from block {first} on")]);
        }
        if let Came::Needs(wanted) = came? {
            if self.waiting.is_some() {
                return Err(self.never_read(&wanted));
            }
            return Ok(vec!["settings or balances that no log tells".to_owned()]);
        }
        let view = self.book.snapshot();
        let own = symbols(&self.reads);
        let oracle = view.oracle().map_or(self.definition.oracle, |(oracle, _)| oracle);
        let is_unread = |asset: &Address| self.reads.get(&price_key(oracle, *asset, at)).is_none();
        let unread = priced_assets(&view).filter(is_unread);
        Ok(unread.map(|asset| format!("the price of {}", symbol(&self.definition, &own, asset))).collect())
    }

    fn fold(&mut self, to: u64) -> anyhow::Result<Came> {
        let from =
            self.waiting.as_ref().map(|pending| pending.place.block).or(self.taken.map(|at| at + 1)).unwrap_or(0);
        // A final block below what is folded already is another endpoint's, which is behind.
        if self.at.is_some_and(|at| at >= to) || self.taken.is_some_and(|taken| taken > to) {
            return Ok(Came::There);
        }
        // Behind the log that waits, everything of its block is still to come.
        let behind = self.waiting.as_ref().map(|pending| pending.event.at.index);
        let mut logs = LogReader::open(&self.archive, &self.market, from, None)?;
        if let Some(pending) = self.waiting.take()
            && let Some(wanted) = self.take(pending)?
        {
            return Ok(Came::Needs(wanted));
        }
        while let Some(log) = logs.next_log()? {
            if log.block > to {
                break;
            }
            if log.block == from && behind.is_some_and(|behind| u64::from(log.log_index) <= behind) {
                continue;
            }
            self.watch.observe(&log);
            let Some(pending) = self.read(&log) else { continue };
            if let Some(triggers) = &mut self.triggers {
                triggers.take(&pending.event, || self.book.snapshot());
            }
            if let Some(wanted) = self.take(pending)? {
                return Ok(Came::Needs(wanted));
            }
        }
        self.taken = Some(to);
        if let Some(wanted) = self.settle(to)? {
            return Ok(Came::Needs(wanted));
        }
        self.at = Some(to);
        Ok(Came::There)
    }

    /// A log as an event; none where it is none of ours, or is not what its name says.
    fn read(&mut self, log: &Log<'_>) -> Option<Pending> {
        match decode::event(&self.source, log) {
            Ok(event) => event.map(|event| Pending { event, place: Place::of(log) }),
            Err(_) => {
                self.rejects += 1;
                None
            }
        }
    }

    /// Folds one event. Returns what must be answered first, and keeps it waiting.
    fn take(&mut self, pending: Pending) -> anyhow::Result<Option<Vec<ReadKey>>> {
        loop {
            let gap = match self.book.apply(&pending.event) {
                Ok(_) => {
                    self.observe(&pending);
                    return Ok(None);
                }
                Err(gap) => gap,
            };
            if let Gap::UnknownContract { .. } = gap {
                // A feed or an oracle of another market writes what only the market's own contracts are believed.
                self.foreign += 1;
                return Ok(None);
            }
            let view = self.book.snapshot();
            match self.around(&view, &self.reads, pending.place).fill(&gap)? {
                Filling::Events(events) => self.apply_all(&events)?,
                Filling::Ask(wanted) => {
                    self.waiting = Some(pending);
                    return Ok(Some(wanted));
                }
            }
        }
    }

    fn observe(&mut self, pending: &Pending) {
        let (book, oracle) = (&self.book, self.definition.oracle);
        self.liquidations.observe(&pending.event, &pending.place, oracle, || book.snapshot());
    }

    fn apply_all(&mut self, events: &[Event]) -> anyhow::Result<()> {
        for event in events {
            self.book.apply(event).map_err(|gap| anyhow::anyhow!("{}: {gap}", self.market))?;
        }
        Ok(())
    }

    fn around<'a>(&'a self, view: &'a View, known: &'a Reads, place: Place) -> Around<'a> {
        Around { source: &self.source, version: self.definition.version, view, known, place }
    }

    /// What is wanted at the end of a block before anything is valued.
    fn settle(&mut self, block: u64) -> anyhow::Result<Option<Vec<ReadKey>>> {
        let place = Place::end_of(block, self.book.snapshot().time());
        while let Some(gap) = self.book.unsettled() {
            let view = self.book.snapshot();
            match self.around(&view, &self.reads, place).fill(&gap)? {
                Filling::Events(events) => self.apply_all(&events)?,
                Filling::Ask(keys) => return Ok(Some(keys)),
            }
        }
        let view = self.book.snapshot();
        let mut wanted = Vec::new();
        for want in view.wants() {
            match self.around(&view, &self.reads, place).wanted(want, block)? {
                Filling::Events(events) => self.apply_all(&events)?,
                Filling::Ask(keys) => wanted.extend(keys),
            }
        }
        Ok((!wanted.is_empty()).then_some(wanted))
    }

    /// The questions whose answers are the prices at the end of a block: one for each asset and category, so that an
    /// asset without a price hides no other.
    pub(crate) fn price_keys(&self, block: u64) -> Vec<ReadKey> {
        price_keys(&self.book.snapshot(), &self.definition, block)
    }

    /// Folds what is final by now from the files, and the blocks of the tail as they are; takes back those that are no more.
    pub(crate) async fn follow(&mut self, syncer: &Syncer<'_>, final_block: u64) -> anyhow::Result<()> {
        if self.taken.is_none_or(|taken| taken < final_block) && syncer.complete_to(final_block) == Some(final_block) {
            self.undo_where(|_, _| true);
            self.advance(syncer, final_block).await?;
        }
        if self.at.is_none_or(|at| at < final_block) {
            // It was told to stop on the way: nothing is folded on top of a hole.
            return Ok(());
        }
        let tail = syncer.tail();
        self.undo_where(|block, hash| tail.block(block).is_none_or(|there| there.hash != hash));
        let known = self.journal.keys().next_back().copied().or(self.taken).unwrap_or(0);
        // Answers about blocks that are not final are not kept.
        let mut answers = Reads::default();
        // These logs are looked at again once they are final, and counted then.
        let rejects = self.rejects;
        for log in tail.logs().iter().filter(|log| log.block > known) {
            let Some(pending) = self.read(&log) else { continue };
            if let Err(error) = self.take_at_head(syncer, &pending, &mut answers).await {
                // A block is folded whole or not at all, so that it can be tried again.
                self.undo_where(|block, _| block == pending.place.block);
                return Err(error);
            }
        }
        self.rejects = rejects;
        Ok(())
    }

    /// Whether every log was understood and none was of a stranger.
    pub(crate) fn is_whole(&self) -> bool {
        self.rejects == 0 && self.foreign == 0
    }

    /// Takes back blocks that are not final, the last first, as long as they are such.
    fn undo_where(&mut self, is_gone: impl Fn(u64, B256) -> bool) {
        while let Some(entry) = self.journal.last_entry() {
            if !is_gone(*entry.key(), entry.get().0) {
                break;
            }
            let (_, changes) = entry.remove();
            changes.into_iter().rev().for_each(|change| self.book.undo(change));
        }
    }

    fn note(&mut self, place: Place, change: Change) {
        self.journal.entry(place.block).or_insert_with(|| (place.block_hash, Vec::new())).1.push(change);
    }

    async fn take_at_head(&mut self, syncer: &Syncer<'_>, pending: &Pending, known: &mut Reads) -> anyhow::Result<()> {
        loop {
            let gap = match self.book.apply(&pending.event) {
                Ok(change) => {
                    self.note(pending.place, change);
                    return Ok(());
                }
                Err(Gap::UnknownContract { .. }) => return Ok(()),
                Err(gap) => gap,
            };
            let view = self.book.snapshot();
            match self.around(&view, known, pending.place).fill(&gap)? {
                Filling::Events(events) => {
                    for event in &events {
                        let change = self.book.apply(event).map_err(|gap| anyhow::anyhow!("{}: {gap}", self.market))?;
                        self.note(pending.place, change);
                    }
                }
                Filling::Ask(keys) => ask_all(syncer.client(), &keys, known).await?,
            }
        }
    }
}

/// Questions by how they are put.
struct Split {
    receipts: Vec<ReadKey>,
    calls: Vec<ReadKey>,
}

fn split(wanted: &[ReadKey]) -> Split {
    let (receipts, calls) = wanted.iter().cloned().partition(|key| gaps::receipt_of(key).is_some());
    Split { receipts, calls }
}

/// Asks for calls and receipts; nothing of it is kept but in memory.
async fn ask_all(client: &Client, wanted: &[ReadKey], into: &mut Reads) -> source::Result<()> {
    let Split { receipts, calls } = split(wanted);
    ask::ask(client, &calls, into).await?;
    ask::ask_receipts(client, &receipts, gaps::receipt_of, into).await
}

fn price_keys(view: &View, definition: &Definition, block: u64) -> Vec<ReadKey> {
    let oracle = view.oracle().map_or(definition.oracle, |(oracle, _)| oracle);
    priced_assets(view).map(|asset| price_key(oracle, asset, block)).collect()
}

/// What has a price of its own: the assets that are listed, and categories.
fn priced_assets(view: &View) -> impl Iterator<Item = Address> {
    let assets = view.listed().iter().filter(|listed| !listed.is_dropped).map(|listed| listed.contracts.asset);
    assets.chain(view.e_mode_sources().values().copied())
}

fn price_key(oracle: Address, asset: Address, block: u64) -> ReadKey {
    ReadKey { block, target: oracle, data: reads::call(reads::PRICE, &[reads::word(asset)]) }
}

/// A market at a block, with prices.
pub(crate) struct Priced {
    /// Its name.
    pub name: MarketName,
    /// What it is.
    pub definition: Definition,
    /// Who holds what.
    pub view: Arc<View>,
    /// The pool's code.
    pub revision: Revision,
    /// The block.
    pub at: u64,
    /// Time and prices; a price that is not known is zero.
    pub block: Block,
    /// What reserves are called, by number.
    pub symbols: Vec<String>,
    /// Every log was understood, and none was of a stranger.
    pub is_whole: bool,
    notes: Vec<String>,
}

impl Priced {
    /// A market of the archive at the last block with all logs and prices, or at the one named.
    pub(crate) fn open(archive: &Path, name: Option<&str>, block: Option<u64>) -> anyhow::Result<Self> {
        let archive = Archive::at(archive)?;
        let name = one_market(&archive, name)?;
        let definition = definition(&archive, &name)?;
        let mut passed_over = Vec::new();
        let mut folder = Folder::new(&archive, &name, &definition)?;
        for (place, (at, time)) in priced(&archive, &folder, block)?.into_iter().enumerate() {
            if place > 0 {
                // There is no way back but from the beginning.
                folder = Folder::new(&archive, &name, &definition)?;
            }
            let lacking = folder.lacking(at)?;
            if lacking.is_empty() {
                let mut priced = Self::of(&folder, at, time)?;
                priced.notes.append(&mut passed_over);
                return Ok(priced);
            }
            let what = said_briefly(&lacking);
            if block.is_some() {
                bail!(
                    "{name}: at block {at} {what} were never read, and not everybody can be valued; \
                     `tidegate sync --market {name} --to-block {at}` reads them"
                );
            }
            passed_over.push(format!(
                "At block {at}, which is newer, {what} were never read: `tidegate sync --market {name} --to-block {at}` reads them."
            ));
        }
        bail!(
            "{name}: there is no block at which all logs and prices were read; run `tidegate sync --market {name}` to its end"
        )
    }

    /// A folded market at its block, with the prices the archive holds of it.
    pub(crate) fn of(folder: &Folder, at: u64, time: u64) -> anyhow::Result<Self> {
        let view = folder.view();
        let definition = folder.definition.clone();
        let revision = view.revision().context("no log says which code the market's pool runs")?;
        let oracle = view.oracle().map_or(definition.oracle, |(oracle, _)| oracle);
        let price = |asset: Address| match folder.reads.get(&price_key(oracle, asset, at)) {
            Some(Answer::Returned(bytes)) => reads::number(bytes).unwrap_or_default(),
            Some(Answer::Reverted(_)) | None => U256::ZERO,
        };
        let prices: Vec<U256> = view.listed().iter().map(|listed| price(listed.contracts.asset)).collect();
        let e_mode_prices = view.e_mode_sources().iter().map(|(id, source)| (*id, price(*source))).collect();
        let own = symbols(&folder.reads);
        let symbols = view.listed().iter().map(|listed| symbol(&definition, &own, listed.contracts.asset)).collect();
        let block = Block { now: time, prices, e_mode_prices, sentinel: None };
        let (name, notes, is_whole) = (folder.market.clone(), folder.notes(), folder.is_whole());
        Ok(Self { name, definition, view, revision, at, block, symbols, is_whole, notes })
    }

    /// The reserve that a symbol or an address means.
    pub(crate) fn reserve(&self, asset: &str) -> anyhow::Result<ReserveId> {
        let asset = asset.trim();
        let address = asset.parse::<Address>().ok();
        let is_meant = |place: &usize| match address {
            Some(address) => self.view.listed()[*place].contracts.asset == address,
            None => self.symbols[*place].eq_ignore_ascii_case(asset),
        };
        let place = (0..self.symbols.len()).find(is_meant).with_context(|| {
            let known: Vec<&str> = self.symbols.iter().map(String::as_str).collect();
            format!("{} has no asset \"{}\"; it has {}", self.name, text::printable(asset), known.join(", "))
        })?;
        Ok(ReserveId(u8::try_from(place)?))
    }

    /// Decimals of the base currency.
    pub(crate) fn decimals(&self) -> u8 {
        u8::try_from(self.definition.base_unit.checked_ilog10().unwrap_or(0)).unwrap_or(0)
    }

    /// A title that says which market, block and time.
    pub(crate) fn title(&self, what: &str) -> String {
        let time = protocol::time::TimeUs(i64::try_from(self.block.now).unwrap_or(0).saturating_mul(1_000_000));
        format!("{what} in {} at block {} ({time})", self.name, self.at)
    }

    /// How the figures come about.
    pub(crate) fn notes(&self) -> Vec<String> {
        let currency = if self.definition.base_is_usd { "US dollars" } else { "the market's base currency (ether)" };
        let code = self.revision.name();
        let mut notes = vec![format!(
            "Values in {currency}, as the market's own oracle priced them at the end of the block; the pool runs {code}."
        )];
        if self.revision.rules().evidence == protocol::aave::revision::Evidence::Tables {
            notes.push(format!(
                "The arithmetic of {code} is checked against published tables only: `tidegate verify` compares it with the chain."
            ));
        }
        notes.extend(self.notes.iter().cloned());
        notes
    }
}

/// The market named, or the only one.
pub(crate) fn one_market(archive: &Archive, name: Option<&str>) -> anyhow::Result<MarketName> {
    if let Some(name) = name {
        return Ok(MarketName::new(name)?);
    }
    let markets = archive.markets()?;
    match markets.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!("{}: no market was synced; `tidegate sync --market base-v3` does it", archive.root().display()),
        several => {
            let names: Vec<&str> = several.iter().map(MarketName::as_str).collect();
            bail!("say with --market which one is meant: {}", names.join(", "))
        }
    }
}

/// What a market is, as its first sync found it.
pub(crate) fn definition(archive: &Archive, name: &MarketName) -> anyhow::Result<Definition> {
    Definition::load(archive, name)?.with_context(|| {
        format!("{}: {name} was never synced; `tidegate sync --market {name}` does it", archive.root().display())
    })
}

/// The blocks of which any price was read, or the one named, the last first, each with its time. Around a liquidation only
/// the prices that it saw are read.
fn priced(archive: &Archive, folder: &Folder, wanted: Option<u64>) -> anyhow::Result<Vec<(u64, u64)>> {
    let times = end_times(archive, &folder.market)?;
    let selector = &reads::call(reads::PRICE, &[])[..];
    let is_price = |key: &&ReadKey| key.data.starts_with(selector);
    let blocks = folder.reads.iter().map(|(key, _)| key).filter(is_price).map(|key| key.block);
    let blocks: BTreeSet<u64> = blocks.filter(|block| wanted.is_none_or(|wanted| *block == wanted)).collect();
    let priced: Vec<(u64, u64)> = blocks.iter().rev().filter_map(|block| Some((*block, *times.get(block)?))).collect();
    match wanted {
        _ if !priced.is_empty() => Ok(priced),
        Some(block) => bail!(
            "no prices were read at block {block}; `tidegate sync --market {} --to-block {block}` reads them",
            folder.market
        ),
        None => bail!("no prices were read; run `tidegate sync --market {}` to its end", folder.market),
    }
}

/// Some names in a few words.
fn said_briefly(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{shown} and {more} more"),
        None => shown,
    }
}

/// The last block up to which every log of every contract of a market is in a finished file, as the files and the logs
/// themselves say; none where not even its first block is.
pub(crate) fn complete_to(archive: &Archive, market: &MarketName) -> anyhow::Result<Option<u64>> {
    let (watch, coverage) = held(archive, market)?;
    let end = coverage.boundaries().last().map_or(0, |(block, _)| *block);
    Ok(coverage.complete_to(&watch.wanted(), &decode::topics(), end))
}

/// The contracts of a market that its definition names.
pub(crate) fn own_contracts(definition: &Definition) -> Watch {
    let Definition { addresses_provider, pool, configurator, oracle, first_block, .. } = *definition;
    Watch::new(addresses_provider, pool, configurator, &[oracle], first_block)
}

/// Which contracts the logs held of a market name, and what the files cover.
pub(crate) fn held(archive: &Archive, market: &MarketName) -> anyhow::Result<(Watch, Coverage)> {
    let mut watch = own_contracts(&definition(archive, market)?);
    let files = archive.market_files(market, Table::Logs)?;
    let coverage = Coverage::of(&files)?;
    let mut logs = LogReader::of_files(files, 0)?;
    while let Some(log) = logs.next_log()? {
        watch.observe(&log);
    }
    Ok((watch, coverage))
}

/// The times of the blocks at which finished files end.
pub(crate) fn end_times(archive: &Archive, market: &MarketName) -> anyhow::Result<BTreeMap<u64, u64>> {
    let files = archive.market_files(market, Table::Logs)?;
    let time = |file: &source::archive::DataFile| {
        let (_, to) = file.blocks()?;
        Some((to, end_time(file)?))
    };
    Ok(files.iter().filter_map(time).collect())
}

/// What tokens call themselves, as far as they were asked.
pub(crate) fn symbols(known: &Reads) -> BTreeMap<Address, String> {
    let call = reads::call(reads::SYMBOL, &[]);
    let symbol = |key: &ReadKey| match known.get(key) {
        Some(Answer::Returned(bytes)) => reads::text(bytes, LONGEST_SYMBOL).unwrap_or_default(),
        Some(Answer::Reverted(_)) | None => String::new(),
    };
    let asked = known.iter().map(|(key, _)| key).filter(|key| key.data == call);
    asked.map(|key| (key.target, symbol(key))).collect()
}

/// What to call a token: by the registry's symbol where it lists the token, else by its own with its address, so that it
/// cannot pass for another.
pub(crate) fn symbol(definition: &Definition, own: &BTreeMap<Address, String>, asset: Address) -> String {
    if let Some(listed) = Tokens::embedded().by_address(definition.chain, asset) {
        return listed.symbol.to_string();
    }
    match own.get(&asset).map(|symbol| text::printable(symbol)).filter(|symbol| !symbol.is_empty()) {
        Some(symbol) => format!("{symbol}@{asset}"),
        None => asset.to_string(),
    }
}
