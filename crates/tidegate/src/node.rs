//! Endpoints of chains: which are asked, and how the program waits for them.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use protocol::chain::ChainId;
use source::markets::{Finality, Network};
use source::rpc::{Client, Endpoint, Header, Options};

use crate::args::Nodes;

/// Runs what waits for nodes.
pub(crate) fn run<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the program cannot start its threads; free some memory")?.block_on(work)
}

/// Connects to the endpoints named, or else to the registry's public ones.
pub(crate) async fn connect(
    chain: ChainId,
    nodes: &Nodes,
    network: Option<&Network>,
    archive: &Path,
) -> anyhow::Result<Client> {
    let public = network.map(|network| network.endpoints.as_slice()).unwrap_or_default();
    let named = if nodes.rpc.is_empty() { public } else { nodes.rpc.as_slice() };
    if named.is_empty() {
        bail!("no endpoint is known for {chain}; name one with --rpc URL (several may be given)");
    }
    let endpoints = named.iter().map(|text| Endpoint::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let options = Options {
        max_requests: nodes.max_requests,
        limits: Some(archive.join("endpoints")),
        // Public endpoints are shared by everyone.
        concurrency: if nodes.rpc.is_empty() { 4 } else { Options::default().concurrency },
        ..Options::default()
    };
    Ok(Client::connect(chain, endpoints, options).await?)
}

/// The newest block that is final: by the chain's own tag, or else as many blocks below the tip as the registry says.
pub(crate) async fn final_block(
    client: &Client,
    latest: &Header,
    tagged: Option<Header>,
    finality: Finality,
) -> anyhow::Result<Header> {
    if let Some(tagged) = tagged {
        return Ok(tagged);
    }
    let number = latest.number.saturating_sub(finality.depth);
    let header = client.header(number).await?;
    header.with_context(|| format!("block {number} is gone from the chain; run the same command again"))
}

/// A flag that Ctrl-C raises; a second one ends the program at once.
pub(crate) fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if raised.swap(true, Ordering::Relaxed) {
                // What is not finished has no name yet, and the next run sweeps it.
                std::process::exit(130);
            }
            crate::commands::say("stopping: what is being read is finished first; Ctrl-C again stops at once");
        }
    });
    stop
}
