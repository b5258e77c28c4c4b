//! Where the chain has got to, as the endpoints agree.

use futures_util::future::join_all;

use super::fault::{Attempt, Fault};
use super::header::Header;
use super::json::Malformed;
use super::lane::{Lane, now};
use super::round::Round;
use super::wire::Question;
use super::{Inner, Tip};
use crate::{Error, Result};

/// A newest block this many seconds ahead of the clock is a wrong clock, here or there.
const AHEAD: i64 = 30;

/// A newest block this many seconds behind the clock is a wrong clock, or a chain or node that stands still.
const BEHIND: i64 = 600;

/// How often an endpoint is asked for its newest block while there are others: nobody waits for its rest to be over.
const TRIES: u32 = 1;

/// What one endpoint says.
#[derive(Debug)]
struct Head {
    lane: usize,
    latest: Header,
    finalized: Option<Header>,
}

pub(super) async fn tip(client: &Inner) -> Result<Tip> {
    let mut heads = heads(client).await?;
    let clock = now();
    // Whose blocks come from the future is believed only where all do: then the clock here is wrong.
    let ahead = |head: &Head| seconds_ahead(&head.latest, clock) > AHEAD;
    if !heads.iter().all(ahead) {
        heads.sort_by_key(ahead);
    }
    let plausible = heads.iter().filter(|head| ahead(head) == ahead(&heads[0]));
    let Some(best) = plausible.max_by_key(|head| head.latest.number).map(|head| head.latest.clone()) else {
        return Err(client.node("eth_getBlockByNumber", "has no newest block"));
    };
    let lags = |head: &Head| head.latest.number.saturating_add(client.options.max_lag) < best.number;
    let skewed = heads.iter().map(|head| (client.lanes[head.lane].host(), seconds_ahead(&head.latest, clock)));
    let clock = skewed.filter(|(_, seconds)| *seconds > AHEAD || *seconds < -BEHIND).collect();
    let behind = heads.iter().filter(|head| lags(head));
    let behind = behind.map(|head| (client.lanes[head.lane].host(), head.latest.number)).collect();
    let keeping_up: Vec<&Head> = heads.iter().filter(|head| !lags(head)).collect();
    let finalized = agreed(client, &keeping_up, &heads).await?;
    Ok(Tip { latest: best, finalized, behind, clock })
}

fn seconds_ahead(header: &Header, clock: u64) -> i64 {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    signed(header.time).saturating_sub(signed(clock))
}

/// What every endpoint says that answers.
async fn heads(client: &Inner) -> Result<Vec<Head>> {
    let is_alone = client.lanes.len() == 1;
    let resting: Vec<bool> = (0..client.lanes.len()).map(|lane| client.pool.rests(lane)).collect();
    // Nobody waits for one that is down while there are others.
    let is_asked = |lane: &usize| is_alone || !resting[*lane] || resting.iter().all(|rests| *rests);
    let tries = if is_alone { client.options.attempts } else { TRIES.min(client.options.attempts) };
    let mut worst = None;
    for _ in 0..client.options.attempts.div_ceil(tries.max(1)).max(1) {
        let asked = (0..client.lanes.len()).filter(is_asked).map(|lane| head(client, lane, tries));
        let mut heads = Vec::new();
        for outcome in join_all(asked).await {
            match outcome {
                Ok(head) => heads.push(head),
                Err(error) => worst = Some(error),
            }
        }
        if !heads.is_empty() {
            heads.iter().for_each(|head| client.lanes[head.lane].note_tip(head.latest.number));
            return Ok(heads);
        }
        if worst.as_ref().is_some_and(|error| !error.is_transient()) {
            break;
        }
    }
    Err(worst.unwrap_or_else(|| client.node("eth_getBlockByNumber", "has no newest block")))
}

async fn head(client: &Inner, place: usize, tries: u32) -> Result<Head> {
    let mut round = Round::only(client, "eth_getBlockByNumber", place, tries.max(1));
    loop {
        let (permit, lane) = round.lane().await?;
        match ask_head(lane, place).await {
            Ok(head) => {
                permit.answered();
                return Ok(head);
            }
            Err(fault) => round.failed(permit, fault),
        }
    }
}

/// The newest and the final block. That the final one is there under its number, too, is checked: a node that made up its
/// number alone would have everything after its end called empty.
async fn ask_head(lane: &Lane, place: usize) -> Attempt<Head> {
    let latest = lane.ask_text(&block("latest")).await?;
    let latest = Header::read(&latest)?;
    let finalized = match lane.ask_text(&block("finalized")).await {
        Ok(text) if text == "null" => None,
        Ok(text) => Some(Header::read(&text)?),
        // A chain without finality does not know the word.
        Err(Fault::Refused(_) | Fault::Missing(_)) => None,
        Err(fault) => return Err(fault),
    };
    if let Some(finalized) = &finalized {
        if finalized.number > latest.number {
            return Err(Malformed::new("has a final block above its newest").into());
        }
        let text = lane.ask_text(&block(&format!("{:#x}", finalized.number))).await?;
        if text == "null" || Header::read(&text)?.hash != finalized.hash {
            return Err(Malformed::new("lacks the block that it calls final").into());
        }
    }
    Ok(Head { lane: place, latest, finalized })
}

pub(super) fn block(tag: &str) -> Question {
    Question::new("eth_getBlockByNumber", format!(r#"["{tag}",false]"#))
}

/// The newest block that is final at all of these, and that all who have it tell the same of.
async fn agreed(client: &Inner, keeping_up: &[&Head], heads: &[Head]) -> Result<Option<Header>> {
    let finalized = keeping_up.iter().filter_map(|head| head.finalized.as_ref().map(|header| (head.lane, header)));
    let lowest = finalized.min_by_key(|(_, header)| header.number);
    // Where there is no such thing as final, a block far down is compared.
    let (owner, number, hash) = match lowest {
        Some((lane, header)) => (lane, header.number, Some(header.hash)),
        None => {
            let lowest = keeping_up.iter().map(|head| head.latest.number).min().unwrap_or(0);
            match lowest.checked_sub(client.options.depth) {
                Some(number) => (keeping_up[0].lane, number, None),
                None => return Ok(None),
            }
        }
    };
    if client.lanes.len() > 1 {
        let others = heads.iter().filter(|head| head.latest.number >= number);
        let others = others.filter(|head| hash.is_none() || head.lane != owner);
        let found = join_all(others.map(|head| version(client, head, number))).await;
        compare(client, number, hash.map(|hash| (owner, hash)), found.into_iter().flatten())?;
    }
    Ok(lowest.map(|(_, header)| header.clone()))
}

/// The hash an endpoint has for a block; none where it does not answer now.
async fn version(client: &Inner, head: &Head, number: u64) -> Option<(usize, protocol::B256)> {
    if let Some(finalized) = head.finalized.as_ref().filter(|header| header.number == number) {
        return Some((head.lane, finalized.hash));
    }
    let text = client.lanes[head.lane].ask_text(&block(&format!("{number:#x}"))).await.ok()?;
    let header = Header::read(&text).ok().filter(|header| header.number == number)?;
    Some((head.lane, header.hash))
}

fn compare(
    client: &Inner,
    block: u64,
    first: Option<(usize, protocol::B256)>,
    found: impl Iterator<Item = (usize, protocol::B256)>,
) -> Result<()> {
    let mut first = first;
    for (lane, hash) in found {
        let (first_lane, first_hash) = *first.get_or_insert((lane, hash));
        if first_hash != hash {
            return Err(Error::Disagreement {
                block,
                first: client.lanes[first_lane].host(),
                first_hash,
                second: client.lanes[lane].host(),
                second_hash: hash,
            });
        }
    }
    Ok(())
}
