//! Every fault of the proxy happens when it should, and only then.

use std::time::{Duration, Instant};

use alloy_primitives::{Address, B256, Bloom, Bytes, U256, hex, keccak256};
use differential::anvil::{Anvil, Options, Transaction, log, number};
use differential::deploy::BEGIN;
use differential::evm::ADMIN;
use differential::feed;
use differential::http::Connection;
use differential::proxy::{Fault, Proxy, RANGE_TEXTS, RESULT_TEXTS, When, Which};
use serde_json::{Value, json};

use crate::anvil::parts;

/// How many blocks there are, and how many logs in each but the first.
const BLOCKS: u64 = 8;
const PER_BLOCK: usize = 3;
const LOGS: usize = 7 * PER_BLOCK;

/// A node with one feed that moves three times a block, and a proxy in front of it.
struct Scene {
    node: Anvil,
    proxy: Proxy,
    connection: Connection,
}

fn scene() -> Option<Scene> {
    let (_, binary) = parts()?;
    let mut node = Anvil::start(&binary, Options::beginning(BEGIN)).unwrap();
    let at = Address::repeat_byte(0xfe);
    node.place(at, &feed::aggregator()).unwrap();
    node.mine(1).unwrap();
    for block in 1..BLOCKS {
        node.warp(12);
        let moved = |index| feed::transmit(U256::from(100 * block + index));
        let transactions: Vec<Transaction> = (0..3).map(|index| Transaction::call(ADMIN, at, moved(index))).collect();
        assert!(node.block(&transactions).unwrap().iter().all(Result::is_ok));
    }
    let proxy = Proxy::start(node.address()).unwrap();
    let connection = Connection::new(proxy.address());
    Some(Scene { node, proxy, connection })
}

impl Scene {
    fn post(&mut self, body: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_slice(&self.connection.post(body.to_string().as_bytes())?)?)
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).unwrap()
    }

    #[expect(clippy::needless_pass_by_value, reason = "callers build the parameters in place")]
    fn try_ask(&mut self, method: &str, params: Value) -> anyhow::Result<Value> {
        let reply = self.post(&json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}))?;
        assert_eq!(reply["id"], 7);
        Ok(reply)
    }

    fn logs(&mut self) -> Vec<Value> {
        let reply = self.ask("eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": "latest"}]));
        reply["result"].as_array().unwrap().clone()
    }

    fn refusal(&mut self, method: &str, params: Value) -> String {
        self.ask(method, params)["error"]["message"].as_str().unwrap_or_default().to_owned()
    }
}

#[test]
fn without_faults_it_is_the_node() {
    let Some(mut scene) = scene() else { return };
    for (method, params) in [
        ("eth_chainId", json!([])),
        ("eth_blockNumber", json!([])),
        ("eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": "0x8"}])),
        ("eth_getBlockByNumber", json!(["0x3", false])),
        ("eth_getBlockReceipts", json!(["0x3"])),
    ] {
        let own = scene.node.request(method, params.clone()).unwrap();
        assert_eq!(scene.ask(method, params)["result"], own, "{method}");
    }
    assert_eq!(scene.logs().len(), LOGS);
    assert_eq!(scene.proxy.requests(), 6);
}

#[test]
fn messages_break() {
    let Some(mut scene) = scene() else { return };
    let ask = |scene: &mut Scene| scene.try_ask("eth_blockNumber", json!([]));
    let faults = [
        (Fault::Drop, "hung up"),
        (Fault::Truncate, "EOF"),
        (Fault::TooMany(Some(1)), "429"),
        (Fault::Unavailable, "503"),
    ];
    for (fault, says) in faults {
        // A lost connection is opened again at once, so the first two are one answer.
        let rule = scene.proxy.add(fault.clone(), When::First(2));
        let said = (0..2).filter_map(|_| ask(&mut scene).err()).map(|error| format!("{error:#}")).next();
        assert!(said.as_ref().is_some_and(|said| said.contains(says)), "{fault:?}: {said:?}");
        while scene.proxy.fired(rule) < 2 {
            assert!(ask(&mut scene).is_err());
        }
        assert_eq!(ask(&mut scene).unwrap()["result"], "0x8");
        scene.proxy.clear();
    }
    let rule = scene.proxy.add_to(Fault::Stall(Duration::from_millis(50)), When::Nth(2), Some("eth_chainId"));
    ask(&mut scene).unwrap();
    for (fired, least) in [(0, 0), (1, 50), (1, 0)] {
        let begin = Instant::now();
        scene.ask("eth_chainId", json!([]));
        assert_eq!(scene.proxy.fired(rule), fired);
        assert!(begin.elapsed() >= Duration::from_millis(least));
    }
}

#[test]
fn batches_are_answered_or_refused_as_one() {
    let Some(mut scene) = scene() else { return };
    let one = |id, method| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": []});
    let batch = json!([one(1, "eth_chainId"), one(2, "eth_blockNumber")]);
    let reply = scene.post(&batch).unwrap();
    assert_eq!((&reply[0]["result"], &reply[1]["result"]), (&json!("0x7a69"), &json!("0x8")));
    let rule = scene.proxy.add(Fault::NoBatches, When::Always);
    assert!(scene.post(&batch).unwrap()["error"].is_object());
    assert_eq!(scene.ask("eth_blockNumber", json!([]))["result"], "0x8");
    assert_eq!(scene.proxy.fired(rule), 1);
}

#[test]
fn what_a_node_says_of_itself_is_wrong() {
    let Some(mut scene) = scene() else { return };
    let rule = scene.proxy.add(Fault::Chain(56), When::Always);
    assert_eq!(scene.ask("eth_chainId", json!([]))["result"], "0x38");
    assert_eq!(scene.proxy.fired(rule), 1);
    scene.proxy.clear();

    let rule = scene.proxy.add(Fault::Ahead(100), When::Always);
    assert_eq!(scene.ask("eth_blockNumber", json!([]))["result"], "0x6c");
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["latest", false]))["result"]["number"], "0x6c");
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["0x8", false]))["result"]["number"], "0x8");
    assert_eq!(scene.proxy.fired(rule), 2);
    scene.proxy.clear();

    let rule = scene.proxy.add(Fault::Behind(3), When::Always);
    assert_eq!(scene.ask("eth_blockNumber", json!([]))["result"], "0x5");
    assert_eq!(scene.ask("eth_getBlockByNumber", json!(["latest", false]))["result"]["number"], "0x5");
    assert!(scene.ask("eth_getBlockByNumber", json!(["0x6", false]))["result"].is_null());
    assert_eq!(scene.logs().len(), 4 * PER_BLOCK);
    let reply = scene.ask("eth_getLogs", json!([{"fromBlock": "0x2", "toBlock": "0x8"}]));
    assert_eq!(reply["result"].as_array().unwrap().len(), 4 * PER_BLOCK);
    assert_eq!(scene.proxy.fired(rule), 5);
    scene.proxy.clear();

    let rule = scene.proxy.add(Fault::NoBloom, When::Always);
    let block = scene.ask("eth_getBlockByNumber", json!(["0x3", false]));
    assert_eq!(block["result"]["logsBloom"], Bloom::ZERO.to_string());
    assert_eq!(scene.proxy.fired(rule), 1);
}

#[test]
fn too_much_and_too_old_is_refused() {
    let Some(mut scene) = scene() else { return };
    for text in RANGE_TEXTS {
        let rule = scene.proxy.add(Fault::Range(4, text), When::Always);
        let said = scene.refusal("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "latest"}]));
        assert_eq!(said, text.replace("{}", "4"));
        assert_eq!(scene.refusal("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "0x4"}])), "");
        assert_eq!(scene.proxy.fired(rule), 1);
        scene.proxy.clear();
    }
    for text in RESULT_TEXTS {
        let rule = scene.proxy.add(Fault::Results(PER_BLOCK, text), When::Always);
        let said = scene.refusal("eth_getLogs", json!([{"fromBlock": "0x1", "toBlock": "latest"}]));
        assert_eq!(said, text.replace("{}", "3"));
        assert_eq!(scene.refusal("eth_getLogs", json!([{"fromBlock": "0x4", "toBlock": "0x4"}])), "");
        assert_eq!(scene.proxy.fired(rule), 1);
        scene.proxy.clear();
    }
    let rule = scene.proxy.add(Fault::Pruned(6), When::Always);
    let call = |block: &str| json!([{"to": format!("{:?}", ADMIN), "data": "0x"}, block]);
    assert!(scene.refusal("eth_call", call("0x5")).contains("missing trie node"));
    assert_eq!(scene.refusal("eth_call", call("0x6")), "");
    assert_eq!(scene.refusal("eth_call", call("latest")), "");
    assert_eq!(scene.proxy.fired(rule), 1);
}

#[test]
fn logs_are_left_out_repeated_and_altered() {
    let Some(mut scene) = scene() else { return };
    let whole = scene.logs();
    let updated = keccak256("AnswerUpdated(int256,uint256,uint256)");
    let cases = [
        (Which::All, LOGS),
        (Which::At(3, 1), 1),
        (Which::Nth(4), 1),
        (Which::Topic(updated), LOGS),
        (Which::Topic(B256::ZERO), 0),
        (Which::Blocks(3, 3), PER_BLOCK),
        (Which::Blocks(3, 5), 3 * PER_BLOCK),
    ];
    for (which, hits) in cases {
        for (fault, left) in [
            (Fault::Omit(which.clone(), false), LOGS - hits),
            (Fault::Repeat(which.clone()), LOGS + hits),
            (Fault::Alter(which.clone(), false), LOGS),
        ] {
            let rule = scene.proxy.add(fault.clone(), When::First(1));
            let logs = scene.logs();
            assert_eq!(logs.len(), left, "{fault:?}");
            assert_eq!(logs == whole, hits == 0, "{fault:?}");
            assert_eq!(scene.proxy.fired(rule), u64::from(hits > 0));
            assert!(hits == 0 || scene.logs() == whole, "{fault:?}");
            scene.proxy.clear();
        }
    }
}

/// Receipts tell the truth or the same lie, and a lie's own filter fits it.
#[test]
fn receipts_lie_where_they_are_told_to() {
    let Some(mut scene) = scene() else { return };
    let receipts = |scene: &mut Scene| scene.ask("eth_getBlockReceipts", json!(["0x3"]))["result"].clone();
    let whole = receipts(&mut scene);
    for (which, is_consistent) in [(Which::At(3, 1), false), (Which::At(3, 1), true), (Which::At(4, 1), true)] {
        let hits = is_consistent && which == Which::At(3, 1);
        for fault in [Fault::Omit(which.clone(), is_consistent), Fault::Alter(which.clone(), is_consistent)] {
            let rule = scene.proxy.add(fault.clone(), When::Always);
            let told = receipts(&mut scene);
            assert_eq!(told != whole, hits, "{fault:?}");
            for receipt in told.as_array().unwrap() {
                let mut bloom = Bloom::ZERO;
                for json in receipt["logs"].as_array().unwrap() {
                    bloom.accrue_log(&log(json).unwrap());
                }
                assert_eq!(receipt["logsBloom"], bloom.to_string());
            }
            assert_eq!(scene.proxy.fired(rule), u64::from(hits));
            scene.proxy.clear();
        }
    }
}

/// A node can be made to forget: blocks are replaced, and finality follows the last block.
#[test]
fn a_node_reorganises_and_goes_back() {
    let Some(Scene { mut node, .. }) = scene() else { return };
    let tag = |node: &mut Anvil, tag: &str| {
        number(&node.request("eth_getBlockByNumber", json!([tag, false])).unwrap()["number"]).unwrap()
    };
    assert_eq!((tag(&mut node, "latest"), tag(&mut node, "safe"), tag(&mut node, "finalized")), (8, 7, 6));
    let [sixth, seventh] = [6, 7].map(|block| node.block_hash(block).unwrap());
    let at = Address::repeat_byte(0xfe);
    let other = Transaction::call(ADMIN, at, feed::transmit(U256::from(5)));
    node.reorg(2, &[(other, 1)]).unwrap();
    assert_eq!(node.latest().unwrap(), 8);
    assert_eq!(node.block_hash(6).unwrap(), sixth);
    assert_ne!(node.block_hash(7).unwrap(), seventh);
    let logs = node.request("eth_getLogs", json!([{"fromBlock": "0x7", "toBlock": "0x8"}])).unwrap();
    let logs = logs.as_array().unwrap();
    assert_eq!((logs.len(), &logs[0]["blockNumber"]), (1, &json!("0x8")));

    let snapshot = node.snapshot().unwrap();
    node.warp(60);
    node.mine(3).unwrap();
    assert_eq!(node.latest().unwrap(), 11);
    node.revert(snapshot).unwrap();
    assert_eq!(node.latest().unwrap(), 8);
    let data = Bytes::from(hex!("50d25bcd"));
    assert_eq!(node.view(at, &data).unwrap().unwrap()[31], 5);
}
