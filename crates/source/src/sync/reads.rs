//! What contracts are asked at a block, kept beside the logs.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::{StreamExt as _, stream};
use protocol::B256;
use protocol::time::TimeUs;

use super::Syncer;
use crate::archive::reads::{Answer, Answered, ReadKey, Reads};
use crate::rpc::{Call, Client};
use crate::{Error, Result};

/// Blocks that are asked about at a time: their answers do not depend on one another.
const BLOCKS_AT_ONCE: usize = 8;

impl Syncer<'_> {
    /// Asks what `known` has no answer to, about blocks that are final; keeps the answers in the archive and adds them to
    /// `known`. A block that is not final may yet be another one, and nothing about it may be kept: [`ask`] for it.
    ///
    /// # Errors
    /// No node has the state of a block, or answers as it should; or the disk refuses. What was answered before is kept.
    pub async fn read(&self, wanted: &[ReadKey], known: &mut Reads) -> Result<()> {
        let missing = known.missing(wanted);
        let mut fresh = Reads::default();
        let answered = ask(&self.client, &missing, &mut fresh).await;
        fresh.append_to(self.writer, &self.market, self.client.chain())?;
        for (key, answer) in fresh.iter() {
            known.insert(key.clone(), answer.clone())?;
        }
        answered
    }

    /// The same for receipts, which are no calls: a key names its transaction by `hash`, and the node's own words are kept.
    ///
    /// # Errors
    /// No node has a receipt, or answers as it should; or the disk refuses.
    pub async fn read_receipts(
        &self,
        wanted: &[ReadKey],
        hash: impl Fn(&ReadKey) -> Option<B256>,
        known: &mut Reads,
    ) -> Result<()> {
        let mut fresh = Reads::default();
        let answered = ask_receipts(&self.client, &known.missing(wanted), hash, &mut fresh).await;
        fresh.append_to(self.writer, &self.market, self.client.chain())?;
        for (key, answer) in fresh.iter() {
            known.insert(key.clone(), answer.clone())?;
        }
        answered
    }
}

/// Asks for receipts, and adds the node's words to `into`.
///
/// # Errors
/// No node has a receipt, or answers as it should. The answers before it are there.
pub async fn ask_receipts(
    client: &Client,
    wanted: &[ReadKey],
    hash: impl Fn(&ReadKey) -> Option<B256>,
    into: &mut Reads,
) -> Result<()> {
    for key in wanted {
        let Some(hash) = hash(key) else { continue };
        let reply = client.request("eth_getTransactionReceipt", serde_json::json!([hash.to_string()])).await?;
        let json = reply.json;
        if json.get() == "null" {
            // A node that forgot the transaction is no witness; another one may know it.
            return Err(Error::Pruned {
                host: reply.host.to_string(),
                block: key.block,
                advice: "it has no receipt of a transaction there any more: name an endpoint that keeps them all",
            });
        }
        let answer = Answer::Returned(json.get().as_bytes().to_vec().into());
        into.insert(key.clone(), Answered { answer, host: reply.host, read_at: now() })?;
    }
    Ok(())
}

/// Asks, block by block, and adds the answers to `into`.
///
/// # Errors
/// No node has the state of a block, or answers as it should. The answers before it are there.
pub async fn ask(client: &Client, wanted: &[ReadKey], into: &mut Reads) -> Result<()> {
    let mut by_block: BTreeMap<u64, Vec<ReadKey>> = BTreeMap::new();
    for key in wanted {
        by_block.entry(key.block).or_default().push(key.clone());
    }
    let of_block = |(block, keys): (u64, Vec<ReadKey>)| async move {
        let calls: Vec<Call> = keys.iter().map(|key| Call { to: key.target, data: key.data.clone() }).collect();
        let answers = client.calls(block, &calls).await?;
        Ok::<_, crate::Error>((keys, answers))
    };
    let mut answered = pin!(stream::iter(by_block).map(of_block).buffered(BLOCKS_AT_ONCE));
    while let Some(answer) = answered.next().await {
        let (keys, answers) = answer?;
        for (key, told) in keys.into_iter().zip(answers) {
            let answered = Answered { answer: told.answer, host: told.host, read_at: now() };
            into.insert(key, answered)?;
        }
    }
    Ok(())
}

/// The moment of an answer, by this machine's clock.
fn now() -> TimeUs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TimeUs(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
