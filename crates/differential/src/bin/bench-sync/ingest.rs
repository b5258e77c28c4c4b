//! Ours end to end, in a process of its own: what a node serves, into files, and on into a book.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use protocol::aave::Revision;
use source::archive::logs::LogReader;
use source::archive::{Archive, MarketName, Writer};
use source::decode;
use source::rpc::{Client, Endpoint, Options};
use source::sync::{Backfilled, Syncer, Watch};

use crate::life;

/// Reads everything up to a block into an archive, and folds it where that is asked for.
pub(crate) fn run(url: &str, last_block: u64, folder: &Path, is_folded: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    let market = MarketName::new("bench")?;
    let archive = Archive::at(folder)?;
    let writer = Writer::open(&archive)?;
    let read = runtime.block_on(async {
        let client = Client::connect(life::CHAIN, vec![Endpoint::parse(url)?], Options::default()).await?;
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
