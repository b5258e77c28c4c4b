//! A market read through HyperSync: the same market, and what the service leaves out shows as with a node.

use std::collections::BTreeSet;
use std::io::{BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use alloy_primitives::keccak256;
use differential::anvil;
use differential::http::{self, Connection};
use differential::proxy::{Fault, Proxy, When, Which};
use differential::world::Version;
use serde_json::{Value, json};

use super::figures::Figures;
use super::omissions::mends;
use super::place::{Place, parts};
use super::start;
use crate::support::{Ran, footer, parquet_files};

/// Blocks that one answer covers.
const PAGE: u64 = 40;

/// A service that has its logs from a node, until the test ends. Returns its URL.
fn service(node: SocketAddr) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(stream, node));
        }
    });
    url
}

fn serve(stream: TcpStream, node: SocketAddr) {
    let mut node = Connection::new(node);
    let mut stream = BufReader::new(stream);
    // Whoever is asked in the middle of a test's end hangs up.
    while let Ok(Some(message)) = http::read(&mut stream) {
        assert!(message.first.starts_with("POST /query "), "{}", message.first);
        let reply = answer(&mut node, &serde_json::from_slice(&message.body).unwrap()).to_string();
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{reply}", reply.len());
        if stream.get_mut().write_all(whole.as_bytes()).is_err() {
            return;
        }
    }
}

fn ask(node: &mut Connection, method: &str, params: &Value) -> Value {
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let reply: Value = serde_json::from_slice(&node.post(question.as_bytes()).unwrap()).unwrap();
    reply["result"].clone()
}

fn answer(node: &mut Connection, question: &Value) -> Value {
    let height = anvil::number(&ask(node, "eth_blockNumber", &json!([]))).unwrap();
    let (from, to) = (question["from_block"].as_u64().unwrap(), question["to_block"].as_u64().unwrap());
    let end = to.min(from + PAGE).min(height + 1).max(from);
    let (mut logs, mut blocks) = (Vec::new(), BTreeSet::new());
    if question["include_all_blocks"] == json!(true) {
        blocks.extend(from..end);
    } else {
        let selection = &question["logs"][0];
        let filter = json!([{
            "fromBlock": format!("{from:#x}"), "toBlock": format!("{:#x}", end - 1),
            "address": selection["address"], "topics": selection["topics"],
        }]);
        for log in ask(node, "eth_getLogs", &filter).as_array().unwrap() {
            let number = |name: &str| anvil::number(&log[name]).unwrap();
            let mut columns = json!({
                "block_number": number("blockNumber"), "log_index": number("logIndex"),
                "transaction_index": number("transactionIndex"), "transaction_hash": log["transactionHash"],
                "block_hash": log["blockHash"], "address": log["address"], "data": log["data"],
            });
            for (place, topic) in log["topics"].as_array().unwrap().iter().enumerate() {
                columns[format!("topic{place}")] = topic.clone();
            }
            blocks.insert(number("blockNumber"));
            logs.push(columns);
        }
    }
    let blocks = blocks.into_iter().map(|block| {
        let header = ask(node, "eth_getBlockByNumber", &json!([format!("{block:#x}"), false]));
        json!({ "number": block, "hash": header["hash"], "timestamp": header["timestamp"] })
    });
    json!({ "data": [{ "logs": logs, "blocks": blocks.collect::<Vec<_>>() }], "archive_height": height, "next_block": end })
}

/// Where each log file says that it is from.
fn origins(place: &Place) -> BTreeSet<Option<String>> {
    let files = parquet_files(&place.bed.archive().join("logs"));
    files.iter().map(|path| footer(path).remove("origin")).collect()
}

fn sync_through(place: &Place, url: &str) -> Ran {
    place.try_sync(&["--finality", "0", "--hypersync", url])
}

#[test]
fn a_market_read_through_hypersync_is_the_same_and_proven_the_same() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    chain.live(250).unwrap();
    let figures = Figures::now(&mut chain);
    let node = chain.node().unwrap().address();
    let right = Place::new(&mut chain);
    right.sync(&["--finality", "0"]);
    let url = service(node);
    let place = Place::new(&mut chain);
    let ran = sync_through(&place, &url);
    assert!(ran.code == Some(0) && ran.err.contains("HyperSync at 127.0.0.1"), "{ran:?}");
    figures.compare(&place);
    place.verify();
    // Where files end may differ: a page of the service is shorter than a node's range, and a new source ends one.
    assert!(place.logs().iter().eq(right.logs().iter()), "the files hold something else");
    assert_eq!(origins(&right), BTreeSet::from([None]));
    let origins = origins(&place);
    assert!(origins.iter().flatten().all(|origin| origin.starts_with("HyperSync at 127.0.0.1:")));
    assert!(!origins.contains(&None), "{origins:?}");

    // It leaves out a liquidation, which moves nothing: the fold is right without it, and the proofs miss it.
    let proxy = Proxy::start(node).unwrap();
    let topic = keccak256("LiquidationCall(address,address,address,uint256,uint256,address,bool)");
    let rule = proxy.add(Fault::Omit(Which::Topic(topic), false), When::Always);
    let lied = Place::new(&mut chain);
    let ran = sync_through(&lied, &service(proxy.address()));
    assert!(ran.code == Some(0) && proxy.fired(rule) > 0, "{ran:?}");
    assert!(lied.logs().len() < right.logs().len());
    for level in ["receipts", "second"] {
        let ran = lied.verified(level, &lied.url);
        assert_eq!(ran.code, Some(1), "{level}: {ran:?}");
    }
    mends(&lied, &right, &lied.url);

    // A service of another chain.
    let mut other = start(&parts, Version::V3_6, 2);
    other.live(10).unwrap();
    other.node().unwrap().mine(2_000).unwrap();
    let strange = Place::new(&mut chain);
    let ran = sync_through(&strange, &service(other.node().unwrap().address()));
    assert!(ran.code == Some(1) && ran.err.contains("disagree about block"), "{ran:?}");
    assert!(strange.logs().is_empty());
}

#[test]
fn a_service_that_cannot_be_asked_is_said_in_one_line() {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    let place = Place::new(&mut chain);
    let run = |url: &str, token: Option<&str>| {
        let mut command = place.command(&["--finality", "0"]);
        command.arg("--hypersync").args(Some(url).filter(|url| !url.is_empty()));
        command.env_remove("TIDEGATE_HYPERSYNC_TOKEN").envs(token.map(|token| ("TIDEGATE_HYPERSYNC_TOKEN", token)));
        Ran::of(command)
    };
    for (url, token, says) in [
        ("", None, "https://31337.hypersync.xyz wants a token"),
        ("ftp://node.example/s3cret", None, "scheme"),
        ("wss://node.example/s3cret", None, "over HTTP"),
        ("https://node.example/s3cret", Some("s3cret token"), "token for node.example"),
    ] {
        let ran = run(url, token);
        let last = ran.err.lines().last().unwrap_or_default();
        assert!(ran.code == Some(1) && last.starts_with("error: ") && last.contains(says), "{url}: {ran:?}");
        assert!(!ran.err.contains("s3cret"), "{}", ran.err);
    }
    assert!(place.logs().is_empty());
}
