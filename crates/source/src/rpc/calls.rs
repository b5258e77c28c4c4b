//! Calls of contracts at one block, as many in one question as the chain allows.

use std::sync::{Arc, Mutex, PoisonError};

use alloy_primitives::{Bytes, address};
use alloy_sol_types::{SolCall, sol};
use futures_util::{StreamExt, TryStreamExt, stream};
use protocol::Address;

use super::fault::Fault;
use super::json;
use super::round::{Outcome, Round, Told, ask_many};
use super::wire::Question;
use super::{Answer, Answered, Call, Inner};
use crate::{Error, Result};

sol! {
    struct Single {
        address target;
        bool allowFailure;
        bytes callData;
    }
    struct Returned {
        bool success;
        bytes returnData;
    }
    function aggregate3(Single[] calls) external payable returns (Returned[] returnData);
}

/// Multicall3, which stands at this address on nearly every chain.
const MULTICALL: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

/// Calls in one call of Multicall3: all of them share one call's gas.
const TOGETHER: usize = 100;

/// Bytes of call data in one call of Multicall3.
const TOGETHER_BYTES: usize = 100_000;

/// Fewer calls than this are asked for one by one.
const WORTHWHILE: usize = 4;

/// Questions in one round.
const GROUP: usize = 100;

/// Rounds at a time.
const AT_ONCE: usize = 8;

/// Where on the chain Multicall3 is known to be, and known not to be: code that is there stays.
#[derive(Debug, Default)]
pub(super) struct Multicall {
    known: Mutex<(Option<u64>, Option<u64>)>,
}

impl Multicall {
    /// Whether it has code at a block.
    async fn is_at(&self, client: &Inner, block: u64) -> Result<bool> {
        let (present, absent) = *self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if present.is_some_and(|from| block >= from) {
            return Ok(true);
        }
        if absent.is_some_and(|to| block <= to) {
            return Ok(false);
        }
        let is_there = !client.code(block, MULTICALL).await?.is_empty();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if is_there {
            known.0 = Some(known.0.map_or(block, |from| from.min(block)));
        } else {
            known.1 = known.1.max(Some(block));
        }
        Ok(is_there)
    }
}

pub(super) async fn calls(client: &Inner, block: u64, calls: &[Call]) -> Result<Vec<Answered>> {
    if calls.len() < WORTHWHILE || !client.multicall.is_at(client, block).await? {
        return one_by_one(client, block, calls.iter().collect()).await;
    }
    let groups: Vec<_> = groups(calls).into_iter().map(|group| together(client, block, group)).collect();
    let answers: Vec<Vec<Answered>> = stream::iter(groups).buffered(AT_ONCE).try_collect().await?;
    Ok(answers.into_iter().flatten().collect())
}

/// Parts of calls that fit into one.
fn groups(mut calls: &[Call]) -> Vec<&[Call]> {
    let mut groups = Vec::new();
    while !calls.is_empty() {
        let mut bytes = 0;
        let fits = |call: &&Call| {
            bytes += call.data.len();
            bytes <= TOGETHER_BYTES
        };
        let count = calls.iter().take(TOGETHER).take_while(fits).count().max(1);
        let (group, rest) = calls.split_at(count);
        groups.push(group);
        calls = rest;
    }
    groups
}

/// Calls through Multicall3. Whatever it does not settle is asked for one by one.
async fn together(client: &Inner, block: u64, calls: &[Call]) -> Result<Vec<Answered>> {
    let singles = calls.iter().map(|call| Single { target: call.to, allowFailure: true, callData: call.data.clone() });
    let data: Bytes = aggregate3Call { calls: singles.collect() }.abi_encode().into();
    let call = Call { to: MULTICALL, data };
    let returned = match read_one(client, block, &call).await {
        Ok(Answered { answer: Answer::Returned(bytes), host }) => {
            aggregate3Call::abi_decode_returns_validate(&bytes).ok().map(|returned| (returned, host))
        }
        // All of them may be too much where each is not.
        Ok(Answered { answer: Answer::Reverted(_), .. }) | Err(Error::Node { .. }) => None,
        Err(other) => return Err(other),
    };
    let Some((returned, host)) = returned.filter(|(returned, _)| returned.len() == calls.len()) else {
        return one_by_one(client, block, calls.iter().collect()).await;
    };
    let told = |answer: Answer| Answered { answer, host: Arc::clone(&host) };
    let mut answers: Vec<Option<Answered>> = returned.into_iter().map(|one| settled(one).map(told)).collect();
    let open: Vec<usize> = (0..answers.len()).filter(|place| answers[*place].is_none()).collect();
    let again = one_by_one(client, block, open.iter().map(|place| &calls[*place]).collect()).await?;
    for (place, answer) in open.into_iter().zip(again) {
        answers[place] = Some(answer);
    }
    Ok(answers.into_iter().flatten().collect())
}

/// A call that fails without a word may merely have run out of the gas that all of them share.
fn settled(returned: Returned) -> Option<Answer> {
    match (returned.success, returned.returnData) {
        (true, bytes) => Some(Answer::Returned(bytes)),
        (false, bytes) if bytes.is_empty() => None,
        (false, bytes) => Some(Answer::Reverted(bytes)),
    }
}

async fn one_by_one(client: &Inner, block: u64, calls: Vec<&Call>) -> Result<Vec<Answered>> {
    let questions: Vec<Question> = calls.into_iter().map(|call| question(block, call)).collect();
    let groups: Vec<_> = questions.chunks(GROUP).map(|group| ask_many(client, group, Some(block))).collect();
    let told: Vec<Vec<Told<'_>>> = stream::iter(groups).buffered(AT_ONCE).try_collect().await?;
    told.into_iter().flatten().map(read).collect()
}

async fn read_one(client: &Inner, block: u64, call: &Call) -> Result<Answered> {
    let question = question(block, call);
    let mut round = Round::new(client, "eth_call", Some(block));
    loop {
        let (permit, lane) = round.lane().await?;
        let fault = match lane.ask_text(&question).await {
            Ok(text) => match read(Told { outcome: Outcome::Value(text), lane }) {
                Ok(answer) => {
                    permit.answered();
                    return Ok(answer);
                }
                Err(_) => Fault::Malformed("what it answers is not bytes".to_owned()),
            },
            Err(Fault::Reverted(bytes)) => {
                permit.answered();
                return Ok(Answered { answer: Answer::Reverted(bytes), host: lane.name() });
            }
            Err(fault) => fault,
        };
        round.failed(permit, fault);
    }
}

fn question(block: u64, call: &Call) -> Question {
    let params = format!(r#"[{{"to":"{:#x}","data":"{:#x}"}},"{block:#x}"]"#, call.to, call.data);
    Question::new("eth_call", params)
}

fn read(Told { outcome, lane }: Told<'_>) -> Result<Answered> {
    let bad = |what: &str| lane.node("eth_call", what);
    let answer = match outcome {
        Outcome::Value(text) => {
            let bytes = serde_json::from_str(&text).ok().and_then(json::bytes);
            bytes.map(Answer::Returned).ok_or_else(|| bad("what it answers is not bytes"))?
        }
        Outcome::Reverted(bytes) => Answer::Reverted(bytes),
        Outcome::Null => return Err(bad("what it answers is null")),
    };
    Ok(Answered { answer, host: lane.name() })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What Multicall3 returns where every contract returns what it is called with, and address 1 reverts without a word.
    pub(in crate::rpc) fn multicall(data: &str) -> serde_json::Value {
        let calls = aggregate3Call::abi_decode_validate(&json::bytes(data).unwrap()).unwrap().calls;
        let returned: Vec<Returned> = calls
            .into_iter()
            .map(|call| match call.target == Address::with_last_byte(1) {
                true => Returned { success: false, returnData: Bytes::new() },
                false => Returned { success: true, returnData: call.callData },
            })
            .collect();
        serde_json::json!(format!("{:#x}", Bytes::from(aggregate3Call::abi_encode_returns(&returned))))
    }

    #[test]
    fn groups_hold_every_call_once_and_no_more_than_fits() {
        let calls: Vec<Call> = (0..450_u32)
            .map(|place| Call { to: MULTICALL, data: vec![0; 1_000 * (place as usize % 7)].into() })
            .chain([Call { to: MULTICALL, data: vec![0; 2 * TOGETHER_BYTES].into() }])
            .collect();
        let groups = groups(&calls);
        assert_eq!(groups.concat(), calls);
        for group in groups {
            let bytes: usize = group.iter().map(|call| call.data.len()).sum();
            assert!(group.len() <= TOGETHER && (bytes <= TOGETHER_BYTES || group.len() == 1));
        }
    }
}
