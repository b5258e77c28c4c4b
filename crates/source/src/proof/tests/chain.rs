//! A node in miniature, on a free port of this machine, that tells the truth about a made-up chain or lies as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use alloy_primitives::{Bloom, hex, keccak256};
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::receipts::written;
use crate::log::{Log, Logs};
use crate::proof::receipt::{Ending, Extra, Receipt, ReceiptLog, bloom_of, root};
use crate::rpc::{Client, Endpoint, Options};

pub(super) const CHAIN: ChainId = ChainId(31_337);

/// A made-up chain, and what a node does with it.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    /// The receipts of each block, from block 0.
    pub(super) blocks: Vec<Vec<Receipt>>,
    /// Logs that the node leaves out of its answers to `eth_getLogs`, by block and place.
    pub(super) omitted: BTreeSet<(u64, u32)>,
    /// Whether it fills the headers' bloom filters.
    pub(super) no_bloom: bool,
    /// Whether it knows `eth_getBlockReceipts`.
    pub(super) no_block_receipts: bool,
    /// Whether it answers `eth_getBlockReceipts` with `null`.
    pub(super) null_receipts: bool,
    /// Logs that it also leaves out of receipts, headers staying as they are.
    pub(super) out_of_receipts: BTreeSet<(u64, u32)>,
    /// Blocks whose receipts it does not hand out.
    pub(super) mute: BTreeSet<u64>,
}

impl World {
    /// A chain of blocks with these logs, one transaction each: address and topics as single bytes.
    pub(super) fn of(blocks: &[&[(u8, &[u8])]]) -> Self {
        let receipt = |block: usize, index: usize, (address, topics): &(u8, &[u8])| {
            let logs = vec![ReceiptLog {
                address: Address::repeat_byte(*address),
                topics: topics.iter().copied().map(B256::repeat_byte).collect(),
                data: vec![*address].into(),
            }];
            Receipt {
                kind: 2,
                ending: Ending::Status(true),
                cumulative_gas_used: 21_000 * (index as u64 + 1),
                bloom: bloom_of(&logs),
                logs,
                extra: Extra::None,
                transaction: keccak256([block, index].map(|n| u8::try_from(n).unwrap())),
            }
        };
        let blocks = blocks
            .iter()
            .enumerate()
            .map(|(block, logs)| logs.iter().enumerate().map(|(index, log)| receipt(block, index, log)).collect());
        Self { blocks: blocks.collect(), ..Self::default() }
    }

    fn hash(&self, block: usize) -> B256 {
        let root = self.blocks.get(block).map_or(B256::ZERO, |receipts| root(receipts));
        keccak256([&(block as u64).to_be_bytes()[..], root.as_slice()].concat())
    }

    /// All logs that the chain has, as `eth_getLogs` returns them, less those left out.
    pub(super) fn logs(&self) -> Logs {
        let mut logs = Logs::default();
        for (number, receipts) in self.blocks.iter().enumerate() {
            let mut log_index = 0;
            for (place, receipt) in (0..).zip(receipts) {
                for log in &receipt.logs {
                    if !self.omitted.contains(&(number as u64, log_index)) {
                        logs.push(&Log {
                            block: number as u64,
                            block_hash: self.hash(number),
                            time: 1_000 + number as u64,
                            transaction: receipt.transaction,
                            transaction_index: place,
                            log_index,
                            address: log.address,
                            topics: &log.topics,
                            data: &log.data,
                        });
                    }
                    log_index += 1;
                }
            }
        }
        logs
    }

    fn header(&self, number: usize) -> Value {
        let Some(receipts) = self.blocks.get(number) else { return Value::Null };
        let logs = receipts.iter().flat_map(|receipt| &receipt.logs);
        let bloom = if self.no_bloom { Bloom::ZERO } else { bloom_of(logs) };
        let parent = number.checked_sub(1).map_or(B256::ZERO, |parent| self.hash(parent));
        json!({
            "number": format!("{number:#x}"), "hash": self.hash(number).to_string(), "parentHash": parent.to_string(),
            "timestamp": format!("{:#x}", 1_000 + number), "miner": format!("{:?}", Address::ZERO),
            "receiptsRoot": root(receipts).to_string(), "logsBloom": hex::encode_prefixed(bloom), "gasUsed": "0x5208",
            "baseFeePerGas": "0x7", "gasLimit": "0x1c9c380",
            "transactions": receipts.iter().map(|receipt| receipt.transaction.to_string()).collect::<Vec<_>>(),
        })
    }

    fn shown_receipts(&self, number: usize) -> Vec<Value> {
        let mut log_index = 0;
        let receipts = self.blocks[number].iter().map(|receipt| {
            let mut shown = receipt.clone();
            shown.logs.retain(|_| {
                log_index += 1;
                !self.out_of_receipts.contains(&(number as u64, log_index - 1))
            });
            let mut value = written(&shown);
            value["blockHash"] = self.hash(number).to_string().into();
            value["blockNumber"] = format!("{number:#x}").into();
            value
        });
        receipts.collect()
    }

    fn get_logs(&self, filter: &Value) -> Value {
        let (from, to) = (self.number(&filter["fromBlock"]), self.number(&filter["toBlock"]));
        let any_of = |list: &Value, text: String| match list {
            Value::Array(list) if !list.is_empty() => list.contains(&Value::from(text)),
            Value::String(one) => *one == text,
            Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
        };
        let logs = self.logs();
        let taken = logs.iter().filter(|log| (from as u64..=to as u64).contains(&log.block)).filter(|log| {
            let topic = log.topics.first().map(B256::to_string).unwrap_or_default();
            any_of(&filter["address"], format!("{:?}", log.address)) && any_of(&filter["topics"][0], topic)
        });
        let shown = taken.map(|log| {
            json!({
                "address": format!("{:?}", log.address), "topics": log.topics.iter().map(B256::to_string).collect::<Vec<_>>(),
                "data": hex::encode_prefixed(log.data), "blockNumber": format!("{:#x}", log.block),
                "blockHash": log.block_hash.to_string(), "blockTimestamp": format!("{:#x}", log.time),
                "transactionHash": log.transaction.to_string(), "removed": false,
                "transactionIndex": format!("{:#x}", log.transaction_index), "logIndex": format!("{:#x}", log.log_index),
            })
        });
        Value::Array(shown.collect())
    }

    fn number(&self, tag: &Value) -> usize {
        match tag.as_str() {
            Some("earliest") => 0,
            Some(text) if text.starts_with("0x") && text.len() < 18 => usize::from_str_radix(&text[2..], 16).unwrap(),
            _ => self.blocks.len() - 1,
        }
    }

    fn answer(&self, request: &Value) -> Value {
        let params = &request["params"];
        let number = self.number(&params[0]);
        let missing = json!({ "code": -32601, "message": "the method does not exist/is not available" });
        let result = match request["method"].as_str().unwrap_or_default() {
            "eth_chainId" => Ok(format!("{:#x}", CHAIN.0).into()),
            "eth_blockNumber" => Ok(format!("{:#x}", self.blocks.len() - 1).into()),
            "eth_getBlockByNumber" => Ok(self.header(number)),
            "eth_getLogs" => Ok(self.get_logs(&params[0])),
            "eth_getBlockReceipts" if self.no_block_receipts => Err(missing),
            "eth_getBlockReceipts" if self.null_receipts => Ok(Value::Null),
            "eth_getBlockReceipts" if self.mute.contains(&(number as u64)) => Ok("nothing".into()),
            "eth_getBlockReceipts" => Ok(self.shown_receipts(number).into()),
            "eth_getTransactionReceipt" => {
                let all = (0..self.blocks.len()).flat_map(|block| self.shown_receipts(block));
                Ok(all.into_iter().find(|receipt| receipt["transactionHash"] == params[0]).unwrap_or_default())
            }
            _ => Err(missing),
        };
        match result {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }),
        }
    }
}

/// A node that serves a world until the test's runtime ends, how often it was asked what, and a client of it.
pub(super) async fn serve(world: World) -> (Client, Arc<Mutex<BTreeMap<String, u64>>>) {
    let asked = Arc::new(Mutex::new(BTreeMap::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (world, counts) = (Arc::new(world), asked.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(converse(stream, world.clone(), counts.clone()));
        }
    });
    let endpoints = vec![Endpoint::parse(&url).unwrap()];
    (Client::connect(CHAIN, endpoints, Options::default()).await.unwrap(), asked)
}

/// Answers one connection's requests, as far as HTTP goes that a client sends here.
async fn converse(mut stream: TcpStream, world: Arc<World>, asked: Arc<Mutex<BTreeMap<String, u64>>>) {
    let (mut buffer, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    loop {
        let body = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&buffer[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
                if buffer.len() >= end + 4 + length {
                    let body = buffer[end + 4..end + 4 + length].to_vec();
                    buffer.drain(..end + 4 + length);
                    break body;
                }
            }
            match stream.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(read) => buffer.extend_from_slice(&piece[..read]),
            }
        };
        let request: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut one = |request: &Value| {
            let method = request["method"].as_str().unwrap_or_default().to_owned();
            *asked.lock().unwrap().entry(method).or_default() += 1;
            world.answer(request)
        };
        let reply = match request.as_array() {
            Some(batch) => Value::Array(batch.iter().map(&mut one).collect()),
            None => one(&request),
        };
        let reply = reply.to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", reply.len());
        if stream.write_all(format!("{head}{reply}").as_bytes()).await.is_err() {
            return;
        }
    }
}
