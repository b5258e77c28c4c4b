//! Ours end to end, in a process of its own: what a node serves, into files, and on into statements or a book.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use protocol::aave::Revision;
use source::archive::logs::{LogReader, LogsFile, end_note};
use source::archive::{Archive, MarketName, Writer};
use source::decode;
use source::log::Filter;
use source::rpc::{Client, Endpoint, Options};
use source::sync::{Backfilled, Syncer, Watch};

use crate::life;

/// Blocks whose logs are held at once where one event alone is read.
const WINDOW: u64 = 8_000;

/// Reads everything up to a block into an archive, and folds it where that is asked for.
pub(crate) fn run(url: &str, last_block: u64, folder: &Path, is_folded: bool) -> Result<()> {
    let runtime = runtime()?;
    let market = MarketName::new("bench")?;
    let archive = Archive::at(folder)?;
    let writer = Writer::open(&archive)?;
    let read = runtime.block_on(async {
        let client = connect(url).await?;
        let watch = Watch::new(life::PROVIDER, life::POOL, life::CONFIGURATOR, &life::writers(), life::FIRST_BLOCK);
        let mut syncer = Syncer::open(client, &writer, market.clone(), watch, Arc::default()).await?;
        match syncer.backfill(last_block, &mut |_| {}).await? {
            Backfilled::Complete { logs } => Ok(logs),
            Backfilled::Sources { .. } | Backfilled::Stopped { .. } => Err(anyhow!("nobody told it to stop")),
        }
    })?;
    if !is_folded {
        println!("{read}");
        return Ok(());
    }
    let mut book = life::book(Revision::V3_0_2)?;
    let mut logs = LogReader::open(&archive, &market, 0, None)?;
    let source = Arc::from("bench");
    let mut folded = 0;
    while let Some(log) = logs.next_log()? {
        let Some(event) = decode::event(&source, &log)? else { bail!("a log of the life that is no event") };
        book.apply(&event).map_err(|gap| anyhow!("{gap}"))?;
        folded += 1;
    }
    ensure!(folded == read, "{read} logs were read and {folded} folded");
    println!("{folded}");
    Ok(())
}

/// Reads the logs of the commonest event alone into a file, and decodes each: what one pass of a reader does that decodes
/// one event at a time.
pub(crate) fn commonest(url: &str, last_block: u64, folder: &Path) -> Result<()> {
    let archive = Archive::at(folder)?;
    let writer = Writer::open(&archive)?;
    let filter = Filter { topics: [life::updated()].into(), ..Filter::default() };
    let mut file = LogsFile::create(&writer, &MarketName::new("bench")?, life::CHAIN, &filter, life::FIRST_BLOCK)?;
    runtime()?.block_on(async {
        let client = connect(url).await?;
        let mut from = life::FIRST_BLOCK;
        while from <= last_block {
            let to = last_block.min(from + WINDOW - 1);
            let logs = client.logs(&filter, from, to).await?;
            for log in logs.iter() {
                black_box(decode::statement(&log)?.context("it is the event that was asked for")?);
            }
            file.append(&logs)?;
            from = to + 1;
        }
        anyhow::Ok(())
    })?;
    println!("{}", file.rows());
    file.publish(last_block, life::block_hash(last_block), end_note(life::time(last_block)))?;
    Ok(())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")
}

async fn connect(url: &str) -> Result<Client> {
    Ok(Client::connect(life::CHAIN, vec![Endpoint::parse(url)?], Options::default()).await?)
}
