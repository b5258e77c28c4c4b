//! Endpoints of chains: which are asked, and how the program waits for them.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use protocol::chain::ChainId;
use source::markets::{Finality, Network};
use source::rpc::{Client, Endpoint, HYPERSYNC_TOKEN, Header, HyperSync, Options};

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
    let (endpoints, mut options) = choose(chain, nodes, network)?;
    options.limits = Some(archive.join("endpoints"));
    if nodes.rpc.is_empty() {
        let hosts: Vec<&str> = endpoints.iter().map(Endpoint::host).collect();
        crate::commands::say(&format!(
            "note: no --rpc was given, so public endpoints are asked, each at most {POLITE} things at a time: {}",
            hosts.join(", ")
        ));
    }
    let client = Client::connect(chain, endpoints, options).await?;
    for (host, found) in client.refused() {
        crate::commands::say(&format!("note: {host} serves {found} and is left out"));
    }
    Ok(client)
}

/// The HyperSync service at a URL, or the public one of a client's chain where it is empty, with the token of the environment.
pub(crate) fn hypersync(client: &Client, url: &str) -> anyhow::Result<HyperSync> {
    let token = match std::env::var(HYPERSYNC_TOKEN) {
        Ok(token) => Some(token.trim().to_owned()).filter(|token| !token.is_empty()),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => bail!("what {HYPERSYNC_TOKEN} holds is no text; copy the token anew"),
    };
    let public = HyperSync::url(client.chain());
    if url.is_empty() && token.is_none() {
        bail!("{public} wants a token; put one into {HYPERSYNC_TOKEN}, or name another service: --hypersync URL");
    }
    let service = HyperSync::new(client, if url.is_empty() { &public } else { url }, token.as_deref())?;
    crate::commands::say(&format!("note: logs of finished blocks are read from HyperSync at {}", service.host()));
    Ok(service)
}

/// Questions that are open at a public endpoint, which is everyone's.
const POLITE: u32 = 4;

/// Who is asked, and how.
fn choose(chain: ChainId, nodes: &Nodes, network: Option<&Network>) -> anyhow::Result<(Vec<Endpoint>, Options)> {
    let public = network.map(|network| network.endpoints.as_slice()).unwrap_or_default();
    let named = if nodes.rpc.is_empty() { public } else { nodes.rpc.as_slice() };
    if named.is_empty() {
        bail!("no endpoint is known for {chain}; name one with --rpc URL (several may be given)");
    }
    let endpoints = named.iter().map(|text| Endpoint::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let concurrency = if nodes.rpc.is_empty() { POLITE } else { Options::default().concurrency };
    Ok((endpoints, Options { max_requests: nodes.max_requests, concurrency, ..Options::default() }))
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

#[cfg(test)]
mod tests {
    use source::markets::Markets;

    use super::*;

    fn nodes(rpc: &[&str]) -> Nodes {
        Nodes { rpc: rpc.iter().map(|url| (*url).to_owned()).collect(), max_requests: Some(7) }
    }

    #[test]
    fn public_endpoints_are_asked_where_none_is_named_and_politely() {
        for market in Markets::embedded().iter() {
            let network = Markets::embedded().network(market.chain).unwrap();
            let (endpoints, options) = choose(market.chain, &nodes(&[]), Some(network)).unwrap();
            let shown = endpoints.iter().map(ToString::to_string);
            let hosts = shown.zip(&network.endpoints).all(|(host, url)| url.starts_with(&host));
            assert!(hosts && endpoints.len() == network.endpoints.len(), "{}", market.name);
            assert_eq!((options.concurrency, options.max_requests), (POLITE, Some(7)));
        }
    }

    #[test]
    fn whoever_is_named_is_asked_alone_and_nobody_known_is_an_error() {
        let network = Markets::embedded().network(ChainId(1)).unwrap();
        let named = nodes(&["http://127.0.0.1:1", "ws://127.0.0.1:2#weight=3"]);
        let (endpoints, options) = choose(ChainId(1), &named, Some(network)).unwrap();
        let hosts: Vec<&str> = endpoints.iter().map(Endpoint::host).collect();
        assert_eq!((hosts, options.concurrency), (vec!["127.0.0.1:1", "127.0.0.1:2"], Options::default().concurrency));
        for network in [None, Some(&Network::unknown(ChainId(31_337)))] {
            let error = choose(ChainId(31_337), &nodes(&[]), network).err().unwrap().to_string();
            assert!(error.contains("31337") && error.contains("--rpc URL"), "{error}");
        }
    }
}
