//! The client against nodes that misbehave in every way that nodes were seen to.

use std::sync::Arc;
use std::time::Duration;

use alloy_primitives::Bytes;
use futures_util::{SinkExt, StreamExt, TryStreamExt};
use proptest::prelude::*;
use protocol::Address;
use protocol::chain::ChainId;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::testing::{CHAIN, Mind, Nature, Node, Trick, client_of, everything, options};
use super::{Answer, Answered, Call, Client, Filter, Options};
use crate::Error;
use crate::log::Logs;

/// A few logs here and there, and many in one block.
fn some_logs() -> Vec<(u64, u32, u8)> {
    let sparse = (0..60).map(|place| (u64::from(place) * 977 + 3, place % 5, (place % 8) as u8));
    sparse.chain((0..40).map(|place| (50_000, 10 + place, (place % 8) as u8))).collect()
}

async fn one(nature: Nature) -> (Node, Client) {
    let node = Node::start(nature).await;
    let client = client_of(&[&node.url], options()).await.unwrap();
    (node, client)
}

/// Every fault that passes, in one go: the logs are the logs.
#[tokio::test]
async fn what_goes_wrong_for_a_while_changes_nothing() {
    for trick in [
        Trick::Status(429, "retry-after: 0", "slow down".to_owned()),
        Trick::Status(429, "x: y", r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32005,"message":"limit"}}"#.to_owned()),
        Trick::Status(503, "x: y", "<html>busy</html>".to_owned()),
        Trick::Status(200, "x: y", "<html>busy</html>".to_owned()),
        Trick::Status(500, "x: y", String::new()),
        Trick::Drop,
        Trick::Truncate,
        Trick::Stall,
        Trick::WrongId,
        Trick::Result(json!(null)),
        Trick::Result(json!({})),
        Trick::Result(json!("0x")),
        Trick::Result(json!([{}])),
        Trick::Result(json!([null])),
        Trick::Contradicted,
        Trick::Outside,
    ] {
        let (node, client) = one(Nature { logs: some_logs(), ..Nature::default() }).await;
        // The newest block is known, so the tricks meet the two questions for logs.
        client.tip().await.unwrap();
        let is_stall = matches!(trick, Trick::Stall);
        node.will(vec![trick.clone(); if is_stall { 1 } else { 2 }]);
        let hidden = node.mind.nature.lock().unwrap().hidden();
        let found =
            client.logs(&everything(), 49_000, 51_000).await.unwrap_or_else(|error| panic!("{trick:?}: {error}"));
        assert_eq!(
            found.len(),
            hidden.iter().filter(|log| (49_000..=51_000).contains(&log.block)).count(),
            "{trick:?}"
        );
        assert!(client.meter().retries() > 0, "{trick:?}: nothing went wrong");
    }
}

#[tokio::test]
async fn a_log_that_comes_twice_is_one_log() {
    let (node, client) = one(Nature { logs: some_logs(), ..Nature::default() }).await;
    node.will([Trick::Fair, Trick::Doubled, Trick::Doubled]);
    let found = client.logs(&everything(), 49_000, 51_000).await.unwrap();
    assert_eq!(found.len(), 42);
}

#[tokio::test]
async fn what_stays_wrong_is_an_error_that_says_so() {
    for (trick, is_transient) in [
        (Trick::Status(429, "x: y", String::new()), true),
        (Trick::Drop, true),
        (Trick::Truncate, true),
        (Trick::WrongId, false),
        (Trick::Outside, false),
        (Trick::Contradicted, false),
        (Trick::Result(json!(null)), false),
    ] {
        let node = Node::start(Nature { logs: some_logs(), ..Nature::default() }).await;
        let client = client_of(&[&node.url], Options { attempts: 6, ..options() }).await.unwrap();
        client.tip().await.unwrap();
        node.will(vec![trick.clone(); 1_000]);
        let error = client.logs(&everything(), 50_000, 50_000).await.unwrap_err();
        assert_eq!(error.is_transient(), is_transient, "{trick:?}: {error}");
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn limits_are_learned_kept_and_respected() {
    let folder = tempfile::tempdir().unwrap();
    let nature = Nature { logs: some_logs(), max_blocks: Some(700), max_addresses: Some(3), ..Nature::default() };
    let node = Node::start(nature).await;
    let options = Options { limits: Some(folder.path().to_owned()), ..options() };
    let client = client_of(&[&node.url], options.clone()).await.unwrap();
    let found = client.logs(&everything(), 0, 99_000).await.unwrap();
    assert_eq!(found, node.mind.nature.lock().unwrap().hidden());
    let limits = client.limits()[0].1;
    assert_eq!(limits.blocks, Some(700));
    assert!(limits.addresses.is_some_and(|most| (2..=3).contains(&most)), "{limits:?}");
    // The next client knows before it asks.
    let next = client_of(&[&node.url], options).await.unwrap();
    assert_eq!(next.limits()[0].1, limits);
    let before = node.mind.asked("eth_getLogs");
    next.logs(&everything(), 1_000, 1_699).await.unwrap();
    assert!(node.mind.asked("eth_getLogs") - before <= 4);
}

#[tokio::test]
async fn a_block_that_is_too_full_is_split_by_address_and_then_said() {
    let (_node, client) = one(Nature { logs: some_logs(), max_results: Some(5), ..Nature::default() }).await;
    assert_eq!(client.logs(&everything(), 49_999, 50_001).await.unwrap().len(), 40);
    let (_node, client) = one(Nature { logs: some_logs(), max_results: Some(4), ..Nature::default() }).await;
    let error = client.logs(&everything(), 49_999, 50_001).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { block: 50_000, .. }), "{error}");
}

#[tokio::test]
async fn a_reply_without_end_is_cut_and_less_is_asked_for() {
    let node = Node::start(Nature { logs: some_logs(), ..Nature::default() }).await;
    let options = Options { max_reply_bytes: 8_000, ..options() };
    let client = client_of(&[&node.url], options).await.unwrap();
    let found = client.logs(&everything(), 49_000, 51_000).await.unwrap();
    assert_eq!(found.len(), 42, "the fullest block alone is longer, but not each of its addresses");
}

/// What came of reading a range in pieces: all of it, and how much memory the longest piece took.
async fn in_pieces(client: &Client, from: u64, to: u64) -> (Logs, usize) {
    let (mut all, mut most, mut next) = (Logs::default(), 0, from);
    let mut ranges = std::pin::pin!(client.log_ranges(everything(), from, to));
    while let Some(range) = ranges.try_next().await.unwrap() {
        assert_eq!(range.from, next, "pieces follow one another");
        assert!(range.logs.iter().all(|log| (range.from..=range.to).contains(&log.block)));
        next = range.to + 1;
        most = most.max(range.logs.bytes());
        all.append(&range.logs);
    }
    assert_eq!(next, to + 1, "and come to the end");
    (all, most)
}

/// Many logs in every block, by contracts that may be asked about together or not: pieces stay small.
#[tokio::test(flavor = "multi_thread")]
async fn a_dense_range_is_handed_on_in_small_pieces() {
    let dense = (0..30_u64).flat_map(|block| (0..160).map(move |place| (1_000 + block, place, (place % 8) as u8)));
    let dense: Vec<_> = dense.collect();
    for max_addresses in [None, Some(1)] {
        let node = Node::start(Nature { logs: dense.clone(), max_addresses, ..Nature::default() }).await;
        let options = Options { max_bytes_at_once: 2 << 20, concurrency: 8, ..options() };
        let client = client_of(&[&node.url], options).await.unwrap();
        let (found, longest) = in_pieces(&client, 0, 3_000).await;
        assert!(found == node.mind.nature.lock().unwrap().hidden(), "{max_addresses:?}: other logs");
        assert!(found.bytes() > 1 << 20 && longest < 200 << 10, "{longest} of {} bytes", found.bytes());
        let meter = client.meter();
        assert!(meter.peak_bytes > 0 && meter.peak_bytes <= meter.most_bytes, "{meter:?}");
    }
}

/// Many answers at once, each as long as it may be and longer: what is held stays within what was allowed, and only what no
/// share of it can hold is an error.
#[tokio::test(flavor = "multi_thread")]
async fn answers_that_come_all_at_once_are_held_within_bounds() {
    let sparse = (0..200_u64).flat_map(|block| (0..40).map(move |place| (block * 20, place, (place % 8) as u8)));
    let sparse: Vec<_> = sparse.collect();
    let full = |count: u32| (0..count).map(|place| (1_000 + 20 * u64::from(place % 3) + 1, place, 3));
    let (most, concurrency) = (1 << 20, 8);
    let options = Options { max_bytes_at_once: most, concurrency, ..options() };
    for (count, fits) in [(900, true), (3_000, false)] {
        let logs = sparse.iter().copied().chain(full(count)).collect();
        let node = Node::start(Nature { logs, ..Nature::default() }).await;
        let client = client_of(&[&node.url], options.clone()).await.unwrap();
        if fits {
            let (found, _) = in_pieces(&client, 0, 6_000).await;
            assert!(found == node.mind.nature.lock().unwrap().hidden(), "other logs");
        } else {
            let error = client.logs(&everything(), 0, 6_000).await.unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        }
        let meter = client.meter();
        assert!(meter.peak_bytes <= meter.most_bytes, "{meter:?}");
        assert_eq!(meter.most_bytes, most as u64);
    }
}

#[tokio::test]
async fn times_come_from_headers_where_logs_have_none() {
    for max_batch in [1_000, 3, 1] {
        let nature = Nature { logs: some_logs(), timed: false, max_batch, ..Nature::default() };
        let (node, client) = one(nature).await;
        let found = client.logs(&everything(), 0, 99_000).await.unwrap();
        assert_eq!(found, node.mind.nature.lock().unwrap().hidden(), "batches of {max_batch}");
    }
}

#[tokio::test]
async fn an_endpoint_of_another_chain_is_refused() {
    let wrong = Node::start(Nature { chain: 137, ..Nature::default() }).await;
    let error = client_of(&[&wrong.url], options()).await.unwrap_err();
    let (host, message) = (wrong.url.trim_start_matches("http://"), error.to_string());
    assert!(matches!(error, Error::WrongChain { found: ChainId(137), expected: CHAIN, .. }));
    assert!(message.contains(host) && message.contains("137") && message.contains(" 1;"), "{message}");
    let right = Node::start(Nature { logs: some_logs(), ..Nature::default() }).await;
    let client = client_of(&[&wrong.url, &right.url], options()).await.unwrap();
    assert_eq!(client.refused(), [(host.to_owned(), ChainId(137))]);
    assert_eq!(client.logs(&everything(), 0, 99_000).await.unwrap().len(), 100);
    assert_eq!(wrong.mind.asked("eth_getLogs"), 0);
}

#[tokio::test]
async fn a_dead_endpoint_is_no_obstacle_beside_a_living_one() {
    let node = Node::start(Nature { logs: some_logs(), ..Nature::default() }).await;
    let client = client_of(&["http://127.0.0.1:9", &node.url], options()).await.unwrap();
    assert_eq!(client.logs(&everything(), 0, 99_000).await.unwrap().len(), 100);
    assert_eq!(client.tip().await.unwrap().latest.number, 100_000);
    let error = client_of(&["http://127.0.0.1:9"], Options { attempts: 2, ..options() }).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_lagging_endpoint_is_passed_over_and_named() {
    let slow = Node::start(Nature { latest: 40_000, finalized: Some(39_900), ..Nature::default() }).await;
    let quick = Node::start(Nature { logs: some_logs(), ..Nature::default() }).await;
    let client = client_of(&[&slow.url, &quick.url], options()).await.unwrap();
    let tip = client.tip().await.unwrap();
    assert_eq!((tip.latest.number, tip.finalized.unwrap().number), (100_000, 99_900));
    assert_eq!(tip.behind, [(slow.url.trim_start_matches("http://").to_owned(), 40_000)]);
    assert_eq!(client.logs(&everything(), 45_000, 99_000).await.unwrap().len(), 53);
    assert_eq!(slow.mind.asked("eth_getLogs"), 0, "it would have said that there are none");
    let error = client.logs(&everything(), 99_000, 100_001).await.unwrap_err();
    assert!(matches!(error, Error::Behind { block: 100_001, tip: 100_000, .. }), "{error}");
}

#[tokio::test]
async fn endpoints_that_tell_of_different_chains_are_found_out() {
    let one = Node::start(Nature::default()).await;
    let other = Node::start(Nature { fork: 1, finalized: Some(99_905), ..Nature::default() }).await;
    let client = client_of(&[&one.url, &other.url], options()).await.unwrap();
    let error = client.tip().await.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, Error::Disagreement { block: 99_900, .. }), "{message}");
    for node in [&one, &other] {
        assert!(message.contains(node.url.trim_start_matches("http://")), "{message}");
    }
}

#[tokio::test]
async fn a_final_block_that_is_not_there_is_not_believed() {
    let (node, client) = one(Nature::default()).await;
    let header = client.header(99_900).await.unwrap().unwrap();
    assert_eq!(header.base_fee_per_gas, Some(7));
    node.mind.nature.lock().unwrap().finalized = Some(200_000);
    let tip = client.tip().await.unwrap();
    assert_eq!(tip.finalized, None, "a block that is not there is none");
    assert_eq!(client.header(100_001).await.unwrap(), None);
    assert!(client.headers(&[5, 100_001]).await.is_err());
    assert_eq!(client.headers(&[5, 4]).await.unwrap()[1].number, 4);
}

#[tokio::test]
async fn clocks_that_differ_are_said() {
    let ahead = Node::start(Nature { skew: 1_000, ..Nature::default() }).await;
    let client = client_of(&[&ahead.url], options()).await.unwrap();
    let clock = client.tip().await.unwrap().clock;
    assert!(matches!(&clock[..], [(_, seconds)] if (900..1_100).contains(seconds)), "{clock:?}");
}

#[tokio::test]
async fn state_that_is_gone_is_asked_for_elsewhere_and_then_said() {
    let error = json!({ "code": -32000, "message": "missing trie node 01 (path ) state 0x02 is not available" });
    let pruned =
        Nature { fixed: vec![("eth_call", Err(error.clone())), ("eth_getCode", Err(error))], ..Nature::default() };
    let call = Call { to: Address::repeat_byte(9), data: Bytes::from_static(&[1, 2]) };
    let old = Node::start(pruned).await;
    let archive = Node::start(Nature::default()).await;
    let client = client_of(&[&old.url, &archive.url], options()).await.unwrap();
    // Whoever gave an answer is named with it, and nobody else.
    let host: Arc<str> = archive.url.trim_start_matches("http://").into();
    for count in [3, 9] {
        let answers = client.calls(10, &vec![call.clone(); count]).await.unwrap();
        let expected = Answered { answer: Answer::Returned(call.data.clone()), host: Arc::clone(&host) };
        assert_eq!(answers, vec![expected; count]);
    }
    let client = client_of(&[&old.url], options()).await.unwrap();
    for error in [client.calls(10, &[call]).await.unwrap_err(), client.code(10, Address::ZERO).await.unwrap_err()] {
        assert!(matches!(&error, Error::Pruned { block: 10, .. }) && !error.is_transient(), "{error}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_of_whoever_said_it() {
    let null = Nature { fixed: vec![("eth_z", Ok(json!(null)))], ..Nature::default() };
    let (one, other) = (Node::start(null.clone()).await, Node::start(null.clone()).await);
    let wrong = Nature { fixed: vec![("eth_call", Ok(json!("0xz"))), ("eth_z", Ok(json!(1)))], ..Nature::default() };
    let liar = Node::start(wrong).await;
    let host = |node: &Node| node.url.trim_start_matches("http://").to_owned();
    let client = client_of(&[&one.url, &liar.url, &other.url], options()).await.unwrap();
    let reply = client.request("eth_z", json!([])).await.unwrap();
    assert_eq!((reply.json.get(), &*reply.host), ("1", &*host(&liar)), "it alone has such a thing");
    let all = client_of(&[&one.url, &other.url], options()).await.unwrap();
    let reply = all.request("eth_z", json!([])).await.unwrap();
    assert_eq!((reply.json.get(), &*reply.host), ("null", &*format!("{}, {}", host(&one), host(&other))));
    let client = client_of(&[&one.url, &liar.url], options()).await.unwrap();
    let call = Call { to: Address::repeat_byte(9), data: Bytes::from_static(&[1]) };
    let mut seen = false;
    for _ in 0..8 {
        match client.calls(10, std::slice::from_ref(&call)).await {
            Ok(answers) => assert_eq!(&*answers[0].host, &*host(&one)),
            Err(Error::Node { host: said, .. }) => {
                assert_eq!(said, host(&liar));
                seen = true;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(seen, "nobody met the one that answers nonsense");
}

#[tokio::test]
async fn calls_are_answered_in_order_with_multicall_or_without() {
    for (multicall, max_batch) in [(true, 1_000), (true, 1), (false, 1_000), (false, 7), (false, 1)] {
        let (node, client) = one(Nature { multicall, max_batch, ..Nature::default() }).await;
        let calls: Vec<Call> = (0..250_u32)
            .map(|place| Call {
                to: if place % 9 == 0 { Address::with_last_byte(1) } else { Address::repeat_byte(9) },
                data: place.to_be_bytes().to_vec().into(),
            })
            .collect();
        let answers = client.calls(10, &calls).await.unwrap();
        assert_eq!(answers.len(), calls.len());
        for (call, answer) in calls.iter().zip(answers) {
            let expected = match call.to == Address::with_last_byte(1) {
                true => Answer::Reverted(Bytes::from_static(&[0x0b, 0xad])),
                false => Answer::Returned(call.data.clone()),
            };
            assert_eq!(answer.answer, expected);
        }
        if multicall {
            assert!(node.mind.asked("eth_call") < 40, "{} calls", node.mind.asked("eth_call"));
        }
    }
}

#[tokio::test]
async fn the_budget_is_the_end() {
    let node = Node::start(Nature { max_blocks: Some(100), ..Nature::default() }).await;
    let client = client_of(&[&node.url], Options { max_requests: Some(20), ..options() }).await.unwrap();
    let error = client.logs(&everything(), 0, 99_000).await.unwrap_err();
    assert!(matches!(error, Error::Budget { spent: 20 }) && !error.is_transient(), "{error}");
    assert_eq!(client.meter().requests(), 20);
    // Some may have been on their way when the end was met.
    assert!(node.mind.asked.lock().unwrap().len() <= 20);
}

#[tokio::test]
async fn other_questions_pass_through() {
    let receipt = ("eth_getTransactionReceipt", Ok(json!({ "status": "0x1" })));
    let (_node, client) = one(Nature { fixed: vec![receipt, ("eth_x", Ok(json!(null)))], ..Nature::default() }).await;
    let raw = client.request("eth_getTransactionReceipt", json!(["0x00"])).await.unwrap();
    assert_eq!(raw.json.get(), r#"{"status":"0x1"}"#);
    assert_eq!(client.request("eth_x", json!([])).await.unwrap().json.get(), "null");
    let error = client.request("eth_y", json!([])).await.unwrap_err();
    assert!(error.to_string().contains("eth_y does not exist"), "{error}");
}

#[tokio::test]
async fn no_error_shows_a_key() {
    let node = Node::start(Nature::default()).await;
    let host = node.url.trim_start_matches("http://");
    let url = format!("http://us3rname:passw0rd@{host}/v2/pathkey0123?token=querykey0123");
    let client = client_of(&[&url], Options { attempts: 2, ..options() }).await.unwrap();
    let echo = |text: &str| Trick::Status(403, "x: y", format!("{text}: {url} token querykey0123 for pathkey0123"));
    let complaint = json!({ "error": { "code": -1, "message": format!("bad key pathkey0123 in {url}") } }).to_string();
    let tricks = [
        echo("no"),
        Trick::Status(200, "x: y", complaint),
        Trick::Drop,
        Trick::Status(302, "location: /pathkey0123", String::new()),
    ];
    let mut shown = format!("{client:?} {:?}", client.meter());
    for trick in tricks {
        node.mind.tricks.lock().unwrap().clear();
        node.will(vec![trick; 6]);
        let error = client.request("eth_chainId", json!([])).await.unwrap_err();
        shown += &format!("{error} {error:?}");
    }
    let dead = "http://us3rname:passw0rd@127.0.0.1:9/pathkey0123?token=querykey0123";
    let error = client_of(&[dead], Options { attempts: 2, ..options() }).await.unwrap_err();
    shown += &format!("{error} {error:?}");
    for secret in ["us3rname", "passw0rd", "pathkey0123", "querykey0123"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains(host), "the host is what may be shown");
}

/// Speaks WebSocket with a mind behind it; closes after so many answers.
async fn web(mind: Arc<Mind>, close_after: usize) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let mut answered = 0;
            while let Some(Ok(message)) = socket.next().await {
                let Message::Text(text) = message else { continue };
                let request = serde_json::from_str(text.as_str()).unwrap();
                // What nobody asked for is passed over.
                let news = json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": {} }).to_string();
                let reply = mind.reply(&request, &Trick::Fair).to_string();
                if answered == close_after || socket.send(Message::text(reply)).await.is_err() {
                    break;
                }
                answered += 1;
                if answered % 3 == 0 && close_after > 3 {
                    let _ = socket.send(Message::text(news)).await;
                }
            }
        }
    });
    url
}

#[tokio::test]
async fn a_web_socket_serves_as_well_even_if_it_breaks() {
    for close_after in [usize::MAX, 5] {
        let mind = Mind::new(Nature { logs: some_logs(), timed: false, ..Nature::default() });
        let url = web(Arc::clone(&mind), close_after).await;
        let client = client_of(&[&url], Options { timeout: Duration::from_secs(5), ..options() }).await.unwrap();
        let found = client.logs(&everything(), 0, 99_000).await.unwrap();
        assert_eq!(found, mind.nature.lock().unwrap().hidden());
        assert_eq!(client.meter().retries() > 0, close_after == 5);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_of_this_machine_serves_as_well() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.ipc");
    let mind = Mind::new(Nature { logs: some_logs(), timed: false, ..Nature::default() });
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let behind = Arc::clone(&mind);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                let reply = behind.reply(&serde_json::from_str(&line).unwrap(), &Trick::Fair).to_string();
                line.clear();
                // In two halves and without an end of line.
                let (one, two) = reply.as_bytes().split_at(reply.len() / 2);
                stream.get_mut().write_all(one).await.unwrap();
                stream.get_mut().write_all(two).await.unwrap();
            }
        }
    });
    let client = client_of(&[path.to_str().unwrap()], options()).await.unwrap();
    let found = client.logs(&everything(), 0, 99_000).await.unwrap();
    assert_eq!(found, mind.nature.lock().unwrap().hidden());
}

fn any_trick() -> impl Strategy<Value = Trick> {
    prop_oneof![
        4 => Just(Trick::Fair),
        1 => Just(Trick::Status(429, "retry-after: 0", "no".to_owned())),
        1 => Just(Trick::Status(503, "x: y", "<html>".to_owned())),
        1 => Just(Trick::Drop),
        1 => Just(Trick::Truncate),
        1 => Just(Trick::WrongId),
        1 => Just(Trick::Doubled),
        1 => Just(Trick::Contradicted),
        1 => Just(Trick::Outside),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// For any hidden logs, any hidden limits and any faults that end, exactly the hidden logs are found, in pieces without holes.
    #[test]
    fn the_hidden_logs_are_found(
        logs in prop::collection::btree_map((0_u64..3_000, 0_u32..12), 0_u8..8, 0..150),
        max_blocks in prop::option::of(1_u64..4_000),
        max_results in prop::option::of(12_usize..100),
        max_addresses in prop::option::of(1_usize..9),
        timed: bool,
        tricks in prop::collection::vec(any_trick(), 0..12),
        wanted in prop::collection::btree_set(0_u8..8, 1..8),
        from in 0_u64..3_000,
        length in 0_u64..3_000,
    ) {
        let max_blocks = max_blocks.map(|most| most.max(20));
        let logs = logs.into_iter().map(|((block, index), writer)| (block, index, writer)).collect();
        let nature = Nature { logs, max_blocks, max_results, max_addresses, timed, ..Nature::default() };
        let filter = Filter { addresses: wanted.into_iter().map(Address::repeat_byte).collect(), topics: everything().topics };
        let to = from + length;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let node = Node::start(nature.clone()).await;
            // One answer after another, so that the faults of one question end.
            let client = client_of(&[&node.url], Options { concurrency: 1, attempts: 64, ..options() }).await.unwrap();
            node.will(tricks);
            let ranges: Vec<_> = client.log_ranges(filter.clone(), from, to).try_collect().await.unwrap();
            let mut next = from;
            let mut found = crate::log::Logs::default();
            for range in &ranges {
                assert!(range.from == next && range.to >= range.from);
                next = range.to + 1;
                found.append(&range.logs);
            }
            assert_eq!(next, to + 1);
            let mut expected = crate::log::Logs::default();
            for log in nature.hidden().iter().filter(|log| (from..=to).contains(&log.block) && filter.takes(log)) {
                expected.push(&log);
            }
            assert_eq!(found, expected);
        });
    }
}
