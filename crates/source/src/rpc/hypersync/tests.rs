//! HyperSync beside nodes of the same chain: the same logs, and nothing believed that cannot be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde_json::Value;

use super::super::testing::{Nature, Node, Trick, client_of, everything, options, topic};
use super::*;
use crate::archive::coverage::Coverage;
use crate::archive::logs::{LogReader, ORIGIN_NOTE, end_time};
use crate::archive::{Archive, DataFile, MarketName, Table, Writer};
use crate::decode;
use crate::sync::{Backfilled, Syncer, Watch};

const SECRET: &str = "0123abcd-token-4567";

/// A few logs here and there, and many in one block.
fn some_logs() -> Vec<(u64, u32, u8)> {
    let sparse = (0..60_u32).map(|place| (u64::from(place) * 977 + 3, place % 5, u8::try_from(place % 8).unwrap()));
    sparse.chain((0..40).map(|place| (50_000, 10 + place, u8::try_from(place % 8).unwrap()))).collect()
}

fn chain() -> Nature {
    Nature { logs: some_logs(), page: 7, ..Nature::default() }
}

/// A service and a client of a node of the same chain.
async fn pair(nature: Nature, options: Options) -> (Node, Client, HyperSync) {
    let node = Node::start(nature).await;
    let client = client_of(&[&node.url], options).await.unwrap();
    let service = HyperSync::new(&client, &node.url, Some(SECRET)).unwrap();
    (node, client, service)
}

async fn read(service: &HyperSync, filter: &Filter, from: u64, to: u64) -> Result<Logs> {
    let mut ranges = std::pin::pin!(service.log_ranges(filter.clone(), from, to));
    let (mut all, mut next) = (Logs::default(), from);
    while let Some(range) = ranges.try_next().await? {
        assert_eq!(range.from, next, "ranges follow one another");
        next = range.to + 1;
        all.append(&range.logs);
    }
    assert_eq!(next, to + 1, "all was read");
    Ok(all)
}

#[tokio::test]
async fn it_has_the_logs_that_nodes_have() {
    for page in [1, 7, 1_000] {
        let (node, client, service) = pair(Nature { page, ..chain() }, options()).await;
        let own = client.logs(&everything(), 0, 99_000).await.unwrap();
        assert_eq!(read(&service, &everything(), 0, 99_000).await.unwrap(), own, "pages of {page}");
        assert_eq!(own.len(), 100);
        assert!(node.mind.asked("hypersync") > 1);
        assert_eq!(service.spent().logs, 100);
        let head = node.mind.head.lock().unwrap().clone();
        assert!(
            head.starts_with("post /query ") && head.contains(&format!("authorization: bearer {SECRET}")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_for_a_while_changes_nothing() {
    for trick in [
        Trick::Status(429, "retry-after: 0", "slow down".to_owned()),
        Trick::Status(429, "x-ratelimit-reset: 0\r\nx-ratelimit-cost: 0", String::new()),
        Trick::Status(502, "x: y", "<html>busy</html>".to_owned()),
        Trick::Status(200, "x: y", "<html>busy</html>".to_owned()),
        Trick::Drop,
        Trick::Truncate,
        Trick::Stall,
        Trick::Doubled,
        Trick::Contradicted,
        Trick::Outside,
        Trick::Unasked,
        Trick::Result(json!(null)),
        Trick::Result(json!({ "data": [] })),
        Trick::Result(json!({ "next_block": 50_001 })),
        Trick::Result(json!({ "data": [{ "logs": [{}] }], "next_block": 50_001 })),
    ] {
        let (node, client, service) = pair(chain(), options()).await;
        let own = client.logs(&everything(), 49_000, 51_000).await.unwrap();
        node.will([trick.clone()]);
        assert_eq!(read(&service, &everything(), 49_000, 51_000).await.unwrap(), own, "{trick:?}");
        assert_eq!(service.spent().retries > 0, !matches!(trick, Trick::Doubled), "{trick:?}");
    }
}

#[tokio::test]
async fn what_stays_wrong_is_an_error_that_shows_the_host_alone() {
    let echo = |status| Trick::Status(status, "x: y", format!("no such token: {SECRET}"));
    for (trick, is_transient, says) in [
        (Trick::Status(429, "x: y", String::new()), true, "429"),
        (Trick::Drop, true, "asked 3 times"),
        (Trick::Truncate, true, "before it is whole"),
        (Trick::Outside, false, "outside the range"),
        (Trick::Unasked, false, "not asked for"),
        (Trick::Contradicted, false, "two logs in one place"),
        (Trick::Result(json!([])), false, "shape"),
        (echo(401), false, TOKEN),
        (echo(403), false, TOKEN),
        (echo(400), false, "no such token: …"),
        (echo(302), false, "name the address it leads to"),
        (echo(413), false, "block 50000 alone"),
    ] {
        let (node, _, service) = pair(chain(), Options { attempts: 3, ..options() }).await;
        node.will(vec![trick.clone(); 1_000]);
        let error = read(&service, &everything(), 50_000, 50_000).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert_eq!(error.is_transient(), is_transient, "{trick:?}: {text}");
        assert!(text.contains(says) && text.contains("127.0.0.1") && !text.contains(SECRET), "{trick:?}: {text}");
    }
}

#[tokio::test]
async fn no_form_of_it_shows_the_token() {
    let (_node, client, service) = pair(chain(), options()).await;
    let shown = format!("{service:?} {:?} {}", service.spent(), service.host());
    assert!(shown.contains("127.0.0.1") && !shown.contains(SECRET), "{shown}");
    for (url, token) in [("ws://127.0.0.1:1", SECRET), ("http://127.0.0.1:1", "with s3cret space"), ("s3cret", SECRET)]
    {
        let message = HyperSync::new(&client, url, Some(token)).unwrap_err().to_string();
        assert!(!message.contains("s3cret") && !message.contains(SECRET), "{message}");
    }
    assert_eq!(HyperSync::url(ChainId(8453)), "https://8453.hypersync.xyz");
}

#[tokio::test]
async fn a_reply_that_is_too_long_is_asked_for_in_parts() {
    let (_node, client, _) = pair(chain(), options()).await;
    let own = client.logs(&everything(), 49_000, 51_000).await.unwrap();
    let (node, _, service) = pair(Nature { page: 1_000, ..chain() }, options()).await;
    node.will([Trick::Status(413, "x: y", "too much".to_owned()), Trick::Status(413, "x: y", String::new())]);
    let found = read(&service, &everything(), 49_000, 51_000).await.unwrap();
    assert_eq!(found.len(), own.len());
    assert_eq!(service.spent().retries, 0, "it is no failure");
    // Longer than is read: it is not read to its end, and the fullest block is too full.
    let short = Options { max_reply_bytes: 8_000, ..options() };
    let (_node, _, service) = pair(Nature { page: 1_000, ..chain() }, short).await;
    let error = read(&service, &everything(), 49_000, 51_000).await.unwrap_err().to_string();
    assert!(error.contains("block 50000 alone") && error.contains("8000 bytes"), "{error}");
}

#[tokio::test]
async fn requests_are_of_one_budget_with_those_of_nodes() {
    let options = Options { max_requests: Some(20), ..options() };
    let (node, client, service) = pair(Nature { page: 1, ..chain() }, options).await;
    let error = read(&service, &everything(), 0, 99_000).await.unwrap_err();
    assert!(matches!(error, Error::Budget { spent: 20 }), "{error}");
    assert_eq!(client.meter().requests() + service.spent().requests, 20);
    // Who was being asked when the budget was spent may have been left alone.
    assert!((15..=20).contains(&(node.mind.asked("hypersync") + node.mind.asked("eth_chainId"))));
}

#[tokio::test]
async fn blocks_it_does_not_have_yet_are_not_taken_for_empty() {
    let (node, _, service) = pair(chain(), options()).await;
    node.mind.nature.lock().unwrap().archived = Some(60_000);
    let error = read(&service, &everything(), 49_000, 99_000).await.unwrap_err();
    assert!(matches!(error, Error::Behind { block: 60_001, tip: 60_000, .. }) && error.is_transient(), "{error}");
    let header = |block: u64| Header { number: block, ..header_of(&node, block) };
    assert!(matches!(service.confirm(&header(60_001)).await, Err(Error::Behind { .. })));
    service.confirm(&header(60_000)).await.unwrap();
}

/// A node's header of a block.
fn header_of(node: &Node, block: u64) -> Header {
    let nature = node.mind.nature.lock().unwrap();
    Header {
        number: block,
        hash: nature.hash(block),
        parent_hash: B256::ZERO,
        time: nature.time(block),
        fee_recipient: Address::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: alloy_primitives::Bloom::ZERO,
        base_fee_per_gas: None,
        gas_used: 0,
    }
}

#[tokio::test]
async fn another_block_of_that_number_or_another_time_is_an_error() {
    let (node, _, service) = pair(chain(), Options { attempts: 2, ..options() }).await;
    let right = header_of(&node, 70_000);
    service.confirm(&right).await.unwrap();
    let error = service.confirm(&Header { hash: B256::ZERO, ..right.clone() }).await.unwrap_err();
    assert!(matches!(error, Error::Disagreement { block: 70_000, .. }), "{error}");
    let error = service.confirm(&Header { time: right.time + 1, ..right.clone() }).await.unwrap_err().to_string();
    assert!(error.contains("70000") && error.contains(&right.time.to_string()), "{error}");
    node.will(vec![Trick::Result(json!({ "data": [], "next_block": 70_001 })); 2]);
    let error = service.confirm(&right).await.unwrap_err().to_string();
    assert!(error.contains("does not have block 70000"), "{error}");
}

/// A reply that is right: two logs of block 16, and one block.
fn whole() -> Value {
    let word = |byte: u8| format!("0x{}", format!("{byte:02x}").repeat(32));
    let log = |index: u32| {
        json!({
            "block_number": 16, "block_hash": word(3), "transaction_hash": word(4), "transaction_index": 6,
            "log_index": index, "address": format!("0x{}", "01".repeat(20)), "data": "0x0102ff",
            "topic0": word(1), "topic1": word(9), "topic2": null, "other": [{ "a": "]" }],
        })
    };
    json!({
        "data": [
            { "logs": [log(7)], "blocks": [{ "number": 16, "hash": word(3), "timestamp": "0x5" }] },
            { "transactions": [{}], "logs": [log(8)] },
        ],
        "archive_height": 100, "next_block": 21, "total_execution_time": 1, "rollback_guard": { "hash": word(3) },
    })
}

fn range_of(reply: &Value) -> std::result::Result<LogRange, Malformed> {
    let filter =
        Filter { addresses: BTreeSet::from([Address::repeat_byte(1)]), topics: BTreeSet::from([B256::repeat_byte(1)]) };
    Reply::read(reply.to_string().as_bytes())?.range(&filter, 10, 20)
}

#[test]
fn a_reply_is_read_whole() {
    let range = range_of(&whole()).unwrap();
    assert_eq!((range.from, range.to, range.logs.len()), (10, 20, 2));
    let log = range.logs.get(1).unwrap();
    let topics = [B256::repeat_byte(1), B256::repeat_byte(9)];
    assert_eq!((log.block, log.block_hash, log.time), (16, B256::repeat_byte(3), 5));
    assert_eq!((log.transaction, log.transaction_index, log.log_index), (B256::repeat_byte(4), 6, 8));
    assert_eq!((log.address, log.topics, log.data), (Address::repeat_byte(1), &topics[..], &[1, 2, 255][..]));
    // Shorter than asked for, and of a service that does not say how far it has got.
    let mut reply = whole();
    (reply["next_block"], reply["archive_height"]) = (json!(17), json!(null));
    assert_eq!(range_of(&reply).unwrap().to, 16);
}

#[test]
fn a_reply_that_cannot_be_is_none() {
    let changes: &[(&str, Value)] = &[
        ("/next_block", json!(22)),
        ("/next_block", json!(10)),
        ("/next_block", json!(0)),
        ("/next_block", json!(16)),
        ("/next_block", json!(-1)),
        ("/next_block", json!(21.5)),
        ("/next_block", json!(null)),
        ("/archive_height", json!(19)),
        ("/archive_height", json!("much")),
        ("/data", json!({})),
        ("/data", json!(null)),
        ("/data/0/logs", json!(null)),
        ("/data/0/logs/0", json!({})),
        ("/data/0/blocks", json!([])),
        ("/data/0/blocks/0/timestamp", json!(null)),
        ("/data/0/blocks/0/hash", json!(format!("0x{}", "aa".repeat(32)))),
        ("/data/0/blocks/0/number", json!(17)),
        ("/data/0/logs/0/block_number", json!(9)),
        ("/data/0/logs/0/block_number", json!(21)),
        ("/data/0/logs/0/block_hash", json!(format!("0x{}", "aa".repeat(32)))),
        ("/data/0/logs/0/log_index", json!(1_u64 << 32)),
        ("/data/0/logs/0/transaction_index", json!("6")),
        ("/data/0/logs/0/address", json!(format!("0x{}", "02".repeat(20)))),
        ("/data/0/logs/0/data", json!("0x0")),
        ("/data/0/logs/0/topic0", json!(format!("0x{}", "02".repeat(32)))),
        ("/data/0/logs/0/topic0", json!(null)),
        ("/data/0/logs/0/topic1", json!(null)),
        ("/data/0/logs/0/removed", json!(true)),
    ];
    for (place, value) in changes {
        let mut reply = whole();
        match reply.pointer_mut(place) {
            Some(old) => *old = value.clone(),
            None => reply["data"][0]["logs"][0]["removed"] = value.clone(),
        }
        // A second topic that is not there is a shorter log, which contradicts nobody.
        let is_bad = range_of(&reply).is_err();
        assert_eq!(is_bad, *place != "/data/0/logs/0/topic1", "{place}: {value}");
    }
    let mut reply = whole();
    reply["data"][0]["logs"][0]["topic3"] = json!(format!("0x{}", "02".repeat(32)));
    assert!(range_of(&reply).is_err(), "a topic behind one that is not there");
    reply["data"][1]["blocks"] =
        json!([{ "number": 16, "hash": format!("0x{}", "aa".repeat(32)), "timestamp": "0x5" }]);
    assert!(range_of(&reply).is_err(), "two versions of a block");
    for key in ["next_block", "data", "log_index", "block_hash"] {
        let text = whole().to_string();
        let again = text.replacen(&format!("\"{key}\":"), &format!("\"{key}\":7,\"{key}\":"), 1);
        assert!(again != text && Reply::read(again.as_bytes()).is_err(), "{key} twice");
    }
}

proptest! {
    #[test]
    fn a_reply_that_is_cut_is_asked_for_again(cut in 1_usize..900) {
        let text = whole().to_string();
        let end = text.len().saturating_sub(cut);
        prop_assert!(Reply::read(&text.as_bytes()[..end]).is_err_and(|cause| cause.is_cut()));
    }

    #[test]
    fn no_change_of_a_byte_makes_it_panic(place in 0_usize..1_200, byte: u8) {
        let mut text = whole().to_string().into_bytes();
        let place = place % text.len();
        text[place] = byte;
        let _ = Reply::read(&text).map(|reply| reply.range(&everything(), 10, 20));
    }

    /// Whatever is where, and however much comes at once.
    #[test]
    fn every_chain_is_the_same_through_both(
        logs in proptest::collection::btree_set((0_u64..3_000, 0_u32..6), 0..60),
        page in 1_usize..12,
        ends in (0_u64..3_000, 0_u64..3_000),
        writers in proptest::collection::btree_set(0_u8..8, 1..8),
    ) {
        let logs = logs.into_iter().map(|(block, index)| (block, index, (block % 8) as u8)).collect();
        let filter = Filter {
            addresses: writers.iter().map(|writer| Address::repeat_byte(*writer)).collect(),
            topics: writers.iter().map(|writer| topic(*writer)).collect(),
        };
        let (from, to) = (ends.0.min(ends.1), ends.0.max(ends.1));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (own, found) = runtime.block_on(async {
            let (_node, client, service) = pair(Nature { logs, page, ..Nature::default() }, options()).await;
            (client.logs(&filter, from, to).await.unwrap(), read(&service, &filter, from, to).await.unwrap())
        });
        prop_assert_eq!(own, found);
    }
}

/// An archive in a folder of its own, and what a sync of the blocks to 60,000 through a service, or none, makes of it.
async fn synced(node: &Node, service: Option<&Node>) -> (tempfile::TempDir, Result<Backfilled>) {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::open(&Archive::at(folder.path()).unwrap()).unwrap();
    let client = client_of(&[&node.url], Options { attempts: 3, ..options() }).await.unwrap();
    let through = service.map(|service| HyperSync::new(&client, &service.url, Some(SECRET)).unwrap());
    let [provider, pool, configurator] = [1, 2, 3].map(Address::repeat_byte);
    let others: Vec<Address> = (4..8).map(Address::repeat_byte).collect();
    let watch = Watch::new(provider, pool, configurator, &others, 1_000);
    let name = MarketName::new("m").unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut syncer = Syncer::open(client, &writer, name, watch, stop).await.unwrap();
    if let Some(through) = through {
        syncer.read_through(through);
    }
    let outcome = syncer.backfill(60_000, &mut |_| {}).await;
    drop(syncer);
    drop(writer);
    (folder, outcome)
}

fn files(folder: &tempfile::TempDir) -> Vec<DataFile> {
    let archive = Archive::at(folder.path()).unwrap();
    archive.market_files(&MarketName::new("m").unwrap(), Table::Logs).unwrap()
}

fn logs_of(files: &[DataFile]) -> Logs {
    let mut reader = LogReader::of_files(files.to_vec(), 0).unwrap();
    let mut logs = Logs::default();
    while let Some(log) = reader.next_log().unwrap() {
        logs.push(&log);
    }
    logs
}

/// Logs of events that a market is read for.
fn market() -> Nature {
    let events: Vec<B256> = decode::topics().into_iter().collect();
    Nature { events: events[..3].to_vec(), ..chain() }
}

#[tokio::test]
async fn an_archive_is_the_same_through_both_but_for_the_word_where_it_is_from() {
    let node = Node::start(market()).await;
    let (by_nodes, outcome) = synced(&node, None).await;
    assert!(matches!(outcome, Ok(Backfilled::Complete { logs }) if logs > 50), "{outcome:?}");
    let (through, again) = synced(&node, Some(&node)).await;
    assert_eq!(outcome.unwrap(), again.unwrap());
    assert!(node.mind.asked("hypersync") > 2);
    let (by_nodes, through) = (files(&by_nodes), files(&through));
    assert!(logs_of(&by_nodes) == logs_of(&through) && by_nodes.len() == through.len());
    for (one, other) in by_nodes.iter().zip(&through) {
        assert_eq!((one.path.file_name(), one.blocks()), (other.path.file_name(), other.blocks()));
        assert_eq!((&one.footer.span, end_time(one)), (&other.footer.span, end_time(other)));
        let mut notes = other.footer.notes.clone();
        let origin = notes.remove(ORIGIN_NOTE).unwrap();
        assert!(origin.starts_with("HyperSync at 127.0.0.1:") && notes == one.footer.notes, "{origin}");
    }
}

#[tokio::test]
async fn a_service_of_another_chain_leaves_nothing_behind() {
    let node = Node::start(market()).await;
    // On which our contracts never wrote anything, and one on which they did.
    for logs in [Vec::new(), some_logs()] {
        let other = Node::start(Nature { fork: 1, logs, ..market() }).await;
        let (folder, outcome) = synced(&node, Some(&other)).await;
        assert!(matches!(outcome, Err(Error::Disagreement { .. })), "{outcome:?}");
        assert!(files(&folder).is_empty());
    }
}

#[tokio::test]
async fn what_was_read_before_a_service_broke_down_is_kept_where_a_node_says_the_same() {
    let node = Node::start(market()).await;
    for (fork, is_kept) in [(0, true), (1, false)] {
        let service = Node::start(Nature { archived: Some(45_000), fork, ..market() }).await;
        let (folder, outcome) = synced(&node, Some(&service)).await;
        assert!(matches!(outcome, Err(Error::Behind { .. })), "{outcome:?}");
        let kept = files(&folder);
        assert_eq!(!kept.is_empty(), is_kept);
        let coverage = Coverage::of(&kept).unwrap();
        let end = coverage.boundaries().iter().map(|(end, _)| *end).max();
        assert!(end.is_none_or(|end| (30_000..=45_000).contains(&end)), "{end:?}");
        let all = node.mind.nature.lock().unwrap().hidden();
        assert!(logs_of(&kept).iter().all(|log| all.iter().any(|other| other == log)));
    }
}

#[tokio::test]
async fn a_log_it_leaves_out_is_missing_and_no_error() {
    let node = Node::start(market()).await;
    let service = Node::start(market()).await;
    service.will([Trick::Omitted]);
    let (folder, outcome) = synced(&node, Some(&service)).await;
    let (whole, right) = synced(&node, None).await;
    let (Ok(Backfilled::Complete { logs }), Ok(Backfilled::Complete { logs: all })) = (outcome, right) else {
        panic!()
    };
    assert_eq!((logs + 1, logs_of(&files(&folder)).len() + 1), (all, logs_of(&files(&whole)).len()));
}
