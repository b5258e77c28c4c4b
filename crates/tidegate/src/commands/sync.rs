//! `tidegate sync`: from a chain's nodes to the archive, and on with every new block.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::Version;
use protocol::standing::Standing;
use source::archive::definition::Definition;
use source::archive::{Archive, MarketName, Writer};
use source::decode::reads;
use source::markets::auctions::Registry;
use source::markets::feeds::{self, Feeds};
use source::markets::{Finality, Markets, Network, discover};
use source::rpc::{Answer, Call, Client, Header};
use source::sync::{Backfilled, HeadChange, Step, Syncer};

use super::{Interrupted, rebuild, say};
use crate::args;
use crate::market::prices::{self, Pricing};
use crate::market::recapture;
use crate::market::taken::Updates;
use crate::market::{Folder, own_contracts};
use crate::output::{self, Destination, Format};
use crate::table::{Report, Table, Unit, Value};
use crate::{node, text};

/// How long the head of a chain is left alone between two looks, at least.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);

/// Contracts are looked for anew after so many seconds of the chain's time.
const LOOK_AGAIN: u64 = 3_600;

/// Who stands behind prices is asked anew after so many seconds of the chain's time.
const PRICES_AGAIN: u64 = 60;

/// How long the last question about prices may take when following ends.
const LAST_WORD: Duration = Duration::from_secs(5);

/// After this many looks in a row at which no node answered as it should, following ends.
const MOST_STUMBLES: u32 = 5;

/// Reads a market.
pub(crate) fn run(archive: &Path, args: &args::Sync) -> anyhow::Result<()> {
    let (report, is_cut_short) = node::run(sync(archive, args))?;
    output::write(&report, &Destination { format: Format::Text, file: None })?;
    if is_cut_short { Err(Interrupted.into()) } else { Ok(()) }
}

/// A market and how its chain is reached.
pub(super) struct Target {
    pub(super) name: MarketName,
    pub(super) chain: ChainId,
    provider: Address,
    hint: Option<u64>,
    pub(super) network: Network,
}

async fn sync(folder: &Path, args: &args::Sync) -> anyhow::Result<(Report, bool)> {
    let archive = Archive::at(folder)?;
    let known = known(&archive, args)?;
    let target = target(args, known.as_ref())?;
    let client = node::connect(target.chain, &args.nodes, Some(&target.network), folder).await?;
    let hypersync = args.hypersync.as_ref().map(|url| node::hypersync(&client, url)).transpose()?;
    let writer = Writer::open(&archive)?;
    let (latest, last) = ends(&client, &target, args).await?;
    let definition = match known {
        Some(known) => known,
        None => {
            let found = define(&client, &target, args, last.number).await?;
            found.save(&writer, &target.name)?;
            found
        }
    };
    if let Some(file) = &args.svr {
        // What somebody says himself is kept, so that the same holds without his file; what the registry says is looked up anew.
        Registry::with_file(file)?.of(target.chain).save(&writer, &target.name)?;
    }
    let stop = node::stop_on_interrupt();
    let (mut syncer, feeds) =
        open(client, &writer, &target.name, &definition, (last.number, Arc::clone(&stop))).await?;
    hypersync.into_iter().for_each(|service| syncer.read_through(service));
    let folder = Folder::new(&archive, &target.name, &definition)?;
    let pricing = Pricing::new(&definition, feeds, args.prices);
    let mut market = Market { syncer, folder, pricing, final_block: last.number };
    market.folder.remember(match args.oracle_updates {
        args::OracleUpdates::None => Updates::None,
        args::OracleUpdates::Near => Updates::Near,
        args::OracleUpdates::All => Updates::All,
    });
    market.find_auctions().await?;
    let to = args.to_block.unwrap_or(last.number).min(last.number);
    let mut logs = catch_up(&mut market, to).await?;
    market.tell_prices(to).await?;
    if args.follow && !stop.load(Ordering::Relaxed) {
        let (looked_at, priced_at) = (last.time, last.time);
        let mut head = Head { target: &target, args, definition: &definition, looked_at, priced_at };
        logs += follow(&mut market, &mut head, &stop).await?;
        if let Some(at) = market.folder.at().filter(|at| to < *at) {
            market.close_prices(at).await?;
        }
    }
    // What is not final is of use only to whoever goes on following: it is read again or exchanged by the time of a next sync.
    let tip =
        if args.follow { market.syncer.tail().blocks().last().map(|block| block.number) } else { Some(latest.number) };
    // Whoever follows ends by an interrupt, and has missed nothing.
    let is_cut_short = market.folder.at() < Some(to) || (!args.follow && stop.load(Ordering::Relaxed));
    Ok((report(&market.syncer, &market.folder, &definition, (tip, logs)), is_cut_short))
}

/// A market while it is read.
struct Market<'a> {
    syncer: Syncer<'a>,
    folder: Folder,
    pricing: Pricing,
    /// The last final block that is known: what is there now is asked of it, since every node has its state.
    final_block: u64,
}

impl Market<'_> {
    /// Has everything around auctions read that stands behind the prices known by now.
    async fn find_auctions(&mut self) -> source::Result<()> {
        recapture::find(&mut self.syncer, &mut self.folder, &self.pricing.feeds, self.final_block).await
    }

    /// Brings what prices up to a block that was folded whole need, and makes their table.
    async fn tell_prices(&mut self, to: u64) -> anyhow::Result<()> {
        if self.folder.at().is_some_and(|at| to <= at) {
            self.pricing.read(&self.syncer, &mut self.folder, (to, to)).await?;
            match recapture::bring(&self.syncer, &mut self.folder, to).await {
                Err(error) if error.downcast_ref().is_some_and(is_of_a_node) => {
                    say(&format!("note: what made some liquidations possible stays unknown: {error}"));
                }
                other => other?,
            }
            self.keep_tables(to)?;
        }
        Ok(())
    }

    /// Makes the tables that prices are needed for.
    fn keep_tables(&mut self, to: u64) -> anyhow::Result<()> {
        self.pricing.keep(self.syncer.writer(), &self.folder, to)?;
        rebuild::keep_recaptures(self.syncer.writer(), &mut self.folder, to)
    }

    /// The same at the end of following, when it was told to stop: a node that does not answer is not waited for.
    async fn close_prices(&mut self, to: u64) -> anyhow::Result<()> {
        self.pricing.is_closing = true;
        match tokio::time::timeout(LAST_WORD, self.tell_prices(to)).await {
            Ok(told) => told,
            Err(_) => self.keep_tables(to),
        }
    }
}

/// Whether a node does not have or does not say what it was asked.
fn is_of_a_node(error: &source::Error) -> bool {
    matches!(error, source::Error::Node { .. } | source::Error::Pruned { .. })
}

/// What the archive knows of the market that was named, by whichever of its names.
pub(super) fn known(archive: &Archive, args: &args::Sync) -> anyhow::Result<Option<Definition>> {
    let listed = Markets::embedded().by_name(args.market()).filter(|_| args.provider.is_none());
    let name = listed.map_or(args.market(), |market| &market.name);
    Ok(Definition::load(archive, &MarketName::new(name)?)?)
}

/// What was typed, what the archive knows, and what the registry knows, in this order.
pub(super) fn target(args: &args::Sync, known: Option<&Definition>) -> anyhow::Result<Target> {
    let owned;
    let markets = match &args.markets {
        Some(file) => {
            owned = Markets::with_file(file)?;
            &owned
        }
        None => Markets::embedded(),
    };
    let given = args.provider.as_deref().map(super::account).transpose()?.map(Address::from);
    let chain = args.chain.as_deref().map(|name| {
        ChainId::from_name(name).with_context(|| format!("\"{}\" is no chain; give its number", text::printable(name)))
    });
    let chain = chain.transpose()?;
    let listed = markets.by_name(args.market());
    let provider = given
        .or(known.map(|known| known.addresses_provider))
        .or(listed.map(|market| market.addresses_provider))
        .with_context(|| unknown(markets, args.market()))?;
    let chain = chain
        .or(known.map(|known| known.chain))
        .or(listed.map(|market| market.chain))
        .context("say with --chain which chain the market is on")?;
    if known.is_some_and(|known| known.addresses_provider != provider || known.chain != chain) {
        bail!("the archive holds another market under the name {}; choose another name", args.market());
    }
    let listed = listed.filter(|market| market.addresses_provider == provider && market.chain == chain);
    let name = listed.map_or(args.market(), |market| &market.name);
    let mut network = markets.network(chain).cloned().unwrap_or_else(|| Network::unknown(chain));
    if let Some(depth) = args.finality {
        network.finality = Finality { tag: false, depth };
    }
    Ok(Target {
        name: MarketName::new(name)?,
        chain,
        provider,
        hint: listed.and_then(|market| market.first_block_hint),
        network,
    })
}

fn unknown(markets: &Markets, name: &str) -> String {
    let near = markets.near(name);
    let near = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    format!(
        "no market is called \"{}\"{near} `tidegate markets` lists them; any other is given by --provider and --chain",
        text::printable(name)
    )
}

/// The newest block and the newest final one.
pub(super) async fn ends(client: &Client, target: &Target, args: &args::Sync) -> anyhow::Result<(Header, Header)> {
    let tip = client.tip().await?;
    for (host, block) in &tip.behind {
        say(&format!("note: {host} is behind: it has got to block {block}, others to {}", tip.latest.number));
    }
    for (host, seconds) in &tip.clock {
        say(&format!(
            "note: the newest block of {host} is {} s {} this machine's clock; one of the two is wrong, or the chain stands still",
            seconds.unsigned_abs(),
            if *seconds > 0 { "ahead of" } else { "behind" }
        ));
    }
    let tagged = tip.finalized.filter(|_| args.finality.is_none() && target.network.finality.tag);
    let last = node::final_block(client, &tip.latest, tagged, target.network.finality).await?;
    Ok((tip.latest, last))
}

/// Finds everything about a market by its provider.
pub(super) async fn define(client: &Client, target: &Target, args: &args::Sync, at: u64) -> anyhow::Result<Definition> {
    let found = discover::market(client, target.provider, at).await?;
    let first_block = match args.from_block {
        Some(block) => block,
        None => discover::first_block(client, target.provider, target.hint, at).await?.block,
    };
    if found.code.revisions().is_empty() {
        say(&format!("note: the pool's code is {}", found.code));
    }
    Ok(Definition {
        chain: target.chain,
        version: found.version,
        addresses_provider: target.provider,
        pool: found.pool,
        configurator: found.configurator,
        oracle: found.oracle,
        first_block,
        base_unit: found.currency.unit.saturating_to(),
        base_is_usd: found.currency.token.is_zero(),
    })
}

/// A market ready to be read on, knowing every contract that its logs and, at a block, the chain name.
pub(super) async fn open<'a>(
    client: Client,
    writer: &'a Writer,
    name: &MarketName,
    definition: &Definition,
    (at, stop): (u64, Arc<AtomicBool>),
) -> anyhow::Result<(Syncer<'a>, Feeds)> {
    let Found { contracts, sources, mut feeds } = find(&client, definition, at).await?;
    let mut syncer = Syncer::open(client, writer, name.clone(), own_contracts(definition), stop).await?;
    syncer.add_found(contracts, at);
    syncer.walked(sources);
    prices::walk(&mut syncer, &mut feeds, at).await?;
    Ok((syncer, feeds))
}

/// What the chain names as a market's contracts at a block.
struct Found {
    contracts: BTreeSet<Address>,
    sources: BTreeSet<Address>,
    /// Who stands behind the sources.
    feeds: Feeds,
}

async fn find(client: &Client, definition: &Definition, at: u64) -> anyhow::Result<Found> {
    let found = discover::market(client, definition.addresses_provider, at).await?;
    let sources: BTreeSet<Address> = found.sources.values().flatten().copied().collect();
    let feeds = feeds::walk(client, &sources, at).await?;
    let mut contracts = tokens(client, definition, &found).await?;
    contracts.extend(feeds.addresses());
    contracts.insert(found.oracle);
    Ok(Found { contracts, sources, feeds })
}

/// The tokens of a market's reserves as the chain tells them now, so that one pass reads them all.
async fn tokens(
    client: &Client,
    definition: &Definition,
    found: &discover::Found,
) -> anyhow::Result<BTreeSet<Address>> {
    let reserves = found.reserves.iter().filter(|asset| !asset.is_zero());
    let call =
        |asset: &Address| Call { to: found.pool, data: reads::call(reads::RESERVE_DATA, &[reads::word(*asset)]) };
    let answers = client.calls(found.at, &reserves.map(call).collect::<Vec<_>>()).await?;
    let mut all = BTreeSet::new();
    for answered in answers {
        if let Answer::Returned(bytes) = answered.answer {
            all.extend(reads::tokens(definition.version == Version::V2, &bytes).into_iter().flatten());
        }
    }
    Ok(all)
}

/// Reads what is missing up to a final block, folds it, and reads what the fold asks for. Returns the logs read.
async fn catch_up(market: &mut Market<'_>, to: u64) -> anyhow::Result<u64> {
    let bar = progress();
    let (mut before, mut read) = (0, 0);
    let is_complete = loop {
        let mut report = |step: Step| {
            let logs = before + step.logs;
            bar.set_length(step.to - step.from + 1);
            bar.set_position(step.at - step.from + 1);
            bar.set_message(format!("block {}, {logs} logs, {} requests", step.at, step.requests));
        };
        let done = market.syncer.backfill(to, &mut report).await;
        let done = done.inspect_err(|_| bar.finish_and_clear())?;
        let (Backfilled::Complete { logs } | Backfilled::Sources { logs } | Backfilled::Stopped { logs }) = done;
        read += logs;
        before = read;
        match done {
            Backfilled::Complete { .. } => break true,
            Backfilled::Stopped { .. } => break false,
            Backfilled::Sources { .. } => {
                prices::walk(&mut market.syncer, &mut market.pricing.feeds, market.final_block).await?;
                market.find_auctions().await?;
            }
        }
    };
    bar.finish_and_clear();
    let Market { syncer, folder, .. } = market;
    if is_complete {
        syncer.end_at(to).await?;
        folder.advance(syncer, to).await?;
        // Told to stop, it may not have arrived; a table is made of what was folded whole.
        if folder.at() >= Some(to) {
            rebuild::keep(syncer, folder, to).await?;
        }
    }
    Ok(read)
}

fn progress() -> ProgressBar {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{wide_bar} {percent}% of blocks · {msg} · {elapsed} · {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// What whoever follows a chain knows of it.
struct Head<'a> {
    target: &'a Target,
    args: &'a args::Sync,
    definition: &'a Definition,
    /// The time of the final block as of which contracts were last looked for, in seconds since 1970.
    looked_at: u64,
    /// The time of the final block as of which was last asked who stands behind prices, likewise.
    priced_at: u64,
}

/// Takes every new block until stopped.
async fn follow(market: &mut Market<'_>, head: &mut Head<'_>, stop: &AtomicBool) -> anyhow::Result<u64> {
    let wait = Duration::from_millis(head.target.network.block_ms / 2).max(SHORTEST_WAIT);
    let (mut logs, mut stumbles) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        match look(market, head).await {
            Ok(change) => {
                (logs, stumbles) = (logs + change.logs, 0);
                tell(&change);
                if change.is_nothing() {
                    tokio::time::sleep(wait).await;
                }
            }
            Err(error) if may_pass(&error, &mut stumbles) => {
                say(&format!("note: {error:#}; trying again"));
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(logs)
}

/// Whether another look may go well. While a chain changes its mind, a node's answers do not fit each other: that is no
/// verdict on the node unless it goes on.
fn may_pass(error: &anyhow::Error, stumbles: &mut u32) -> bool {
    let Some(error) = error.downcast_ref::<source::Error>() else { return false };
    if matches!(error, source::Error::Node { .. }) {
        *stumbles += 1;
        return *stumbles <= MOST_STUMBLES;
    }
    error.is_transient()
}

/// One look at the head of the chain.
async fn look(market: &mut Market<'_>, head: &mut Head<'_>) -> anyhow::Result<HeadChange> {
    let client = market.syncer.client().clone();
    let (latest, last) = ends(&client, head.target, head.args).await?;
    market.final_block = market.final_block.max(last.number);
    // A feed behind a price can be exchanged without a log of the market's own.
    if last.time.saturating_sub(head.looked_at) >= LOOK_AGAIN {
        let found = find(&client, head.definition, last.number).await?;
        market.syncer.add_found(found.contracts, last.number);
        market.syncer.walked(found.sources);
        market.pricing.feeds.extend(found.feeds);
        market.find_auctions().await?;
        head.looked_at = last.time;
    }
    if !market.syncer.unwalked(market.final_block).is_empty() {
        prices::walk(&mut market.syncer, &mut market.pricing.feeds, market.final_block).await?;
        market.find_auctions().await?;
    }
    // Where the tail holds the final block, it becomes files; else files are read.
    let leads = market.syncer.tail().block(last.number).is_some_and(|block| block.hash == last.hash);
    if !leads && market.folder.at().is_none_or(|at| at < last.number) {
        catch_up(market, last.number).await?;
    }
    let change = market.syncer.follow(latest.number, &last).await?;
    // What left the tail and became no file is read anew, before anything is folded on top of it.
    if market.syncer.complete_to(last.number) != Some(last.number) {
        catch_up(market, last.number).await?;
    }
    let Market { syncer, folder, pricing, .. } = market;
    folder.follow(syncer, last.number).await?;
    if folder.at() >= Some(last.number) {
        rebuild::keep(syncer, folder, last.number).await?;
        // A node forgets the state of blocks, so what is to be asked is asked in time; asked at every block, it would be a file each.
        if last.time.saturating_sub(head.priced_at) >= PRICES_AGAIN {
            pricing.read(syncer, folder, (last.number, last.number)).await?;
            head.priced_at = last.time;
        }
    }
    Ok(change)
}

/// What a step changed, in a line.
fn tell(change: &HeadChange) {
    if let Some(to) = change.undone_to.filter(|_| change.undone > 0) {
        say(&format!("reorganised: {} blocks undone, down to block {to}", change.undone));
    }
    if let Some((from, to)) = change.doubted {
        say(&format!(
            "note: the logs of blocks {from} to {to} were given otherwise the second time; they are read again"
        ));
    }
    if let Some(last) = change.added.last() {
        say(&format!("block {}: {} new, {} logs", last.number, change.added.len(), change.logs));
    }
}

fn report(syncer: &Syncer<'_>, folder: &Folder, definition: &Definition, (tip, logs): (Option<u64>, u64)) -> Report {
    let meter = syncer.meter();
    let mut table = Table::new(
        "sync",
        &[
            ("market", Unit::Text),
            ("first_block", Unit::Count),
            ("final_block", Unit::Count),
            ("tip", Unit::Count),
            ("logs_read", Unit::Count),
            ("accounts", Unit::Count),
            ("reserves", Unit::Count),
            ("requests", Unit::Count),
            ("retries", Unit::Count),
            ("megabytes", Unit::Count),
        ],
    );
    table.push(vec![
        Value::Text(folder.market().to_string()),
        Value::Count(definition.first_block),
        folder.at().map_or(Value::Missing, Value::Count),
        tip.map_or(Value::Missing, Value::Count),
        Value::Count(logs),
        Value::Count(folder.accounts()),
        Value::Count(folder.reserves()),
        Value::Count(meter.requests()),
        Value::Count(meter.retries()),
        Value::Count(meter.bytes() >> 20),
    ]);
    let mut notes = folder.notes();
    notes.push(format!(
        "At most {:.1} MiB of answers were held at once, of {} MiB that may be.",
        meter.peak_bytes as f64 / f64::from(1 << 20),
        meter.most_bytes >> 20
    ));
    Report { title: format!("Synced {}", folder.market()), standing: Standing::Observed, notes, tables: vec![table] }
}
