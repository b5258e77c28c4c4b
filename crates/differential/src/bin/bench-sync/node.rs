//! A node that serves a life's logs from memory, as cheaply as it can, so that what is measured is who asks.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use alloy_primitives::hex;
use anyhow::{Context as _, Result};
use protocol::aave::Revision;
use serde_json::{Value, json};
use source::log::{Log, Logs};

use crate::life::{self, Life};

/// Logs in one answer, as public endpoints have it.
const MOST: usize = 10_000;

/// Logs as JSON, one behind the other.
pub(crate) struct Text {
    pub(crate) json: Vec<u8>,
    /// Of each log its block, its first topic and where it ends.
    ends: Vec<(u64, String, usize)>,
    pub(crate) last_block: u64,
}

impl Text {
    pub(crate) fn of(revision: Revision, accounts: u32, count: usize) -> Result<Self> {
        let mut life = Life::new(revision, accounts, count as u64);
        let mut text = Self { json: Vec::new(), ends: Vec::new(), last_block: 0 };
        let mut logs = Logs::default();
        while text.ends.len() < count {
            logs.clear();
            life.write(&mut logs, 10_000.min(count - text.ends.len()))?;
            for log in logs.iter() {
                text.push(&log)?;
            }
        }
        text.last_block = life.last_block();
        Ok(text)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where the logs of a range of blocks stand.
    fn range(&self, from: u64, to: u64) -> (usize, usize) {
        let first = self.ends.partition_point(|(block, ..)| *block < from);
        (first, self.ends.partition_point(|(block, ..)| *block <= to))
    }

    fn log(&self, place: usize) -> &[u8] {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before].2 + 1);
        &self.json[begin..self.ends[place].2]
    }

    /// Lists of so many logs each.
    pub(crate) fn lists(&self, count: usize) -> Vec<Vec<u8>> {
        let places: Vec<usize> = (0..self.ends.len()).collect();
        let list = |places: &[usize]| {
            let logs: Vec<&[u8]> = places.iter().map(|place| self.log(*place)).collect();
            [&b"["[..], &logs.join(&b","[..]), b"]"].concat()
        };
        places.chunks(count).map(list).collect()
    }

    fn push(&mut self, log: &Log<'_>) -> Result<()> {
        let topics: Vec<String> = log.topics.iter().map(|topic| format!("\"{topic:#x}\"")).collect();
        let mut text = String::new();
        write!(
            text,
            r#"{{"address":"{:#x}","topics":[{}],"data":"0x{}","blockNumber":"{:#x}","blockHash":"{:#x}","blockTimestamp":"{:#x}","transactionHash":"{:#x}","transactionIndex":"{:#x}","logIndex":"{:#x}","removed":false}}"#,
            log.address,
            topics.join(","),
            hex::encode(log.data),
            log.block,
            log.block_hash,
            log.time,
            log.transaction,
            log.transaction_index,
            log.log_index
        )?;
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        self.json.extend_from_slice(text.as_bytes());
        self.ends.push((log.block, format!("{:#x}", log.topics[0]), self.json.len()));
        Ok(())
    }
}

/// Serves until its standard input ends. Prints the address, the first and the last block, how many logs there are, and how
/// many of them are of the commonest event, once it does.
pub(crate) fn serve(accounts: u32, count: usize) -> Result<()> {
    let text = Arc::new(Text::of(Revision::V3_0_2, accounts, count)?);
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let updated = format!("{:#x}", life::updated());
    let commonest = text.ends.iter().filter(|(_, name, _)| *name == updated).count();
    let (address, first, last) = (listener.local_addr()?, life::FIRST_BLOCK, text.last_block);
    println!("http://{address} {first} {last} {} {commonest}", text.len());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let text = Arc::clone(&text);
            std::thread::spawn(move || answer_all(&text, stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Answers one connection until it is closed.
fn answer_all(text: &Text, stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut output = stream;
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let mut answer = Vec::new();
        let question: Value = serde_json::from_slice(&body)?;
        if let Some(asked) = question.as_array() {
            answer.push(b'[');
            for (place, question) in asked.iter().enumerate() {
                if place > 0 {
                    answer.push(b',');
                }
                text.answer(question, &mut answer)?;
            }
            answer.push(b']');
        } else {
            text.answer(&question, &mut answer)?;
        }
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        output.write_all(head.as_bytes())?;
        output.write_all(&answer)?;
    }
}

impl Text {
    fn answer(&self, question: &Value, out: &mut Vec<u8>) -> Result<()> {
        write!(out, r#"{{"jsonrpc":"2.0","id":{},"#, question["id"])?;
        match question["method"].as_str().unwrap_or_default() {
            "eth_getLogs" => self.answer_logs(&question["params"][0], out)?,
            "eth_chainId" => write!(out, r#""result":"{:#x}""#, life::CHAIN.0)?,
            "eth_blockNumber" => write!(out, r#""result":"{:#x}""#, self.last_block)?,
            "eth_getBlockByNumber" => {
                let block = number(&question["params"][0]).unwrap_or(self.last_block);
                write!(out, r#""result":{}"#, header(block))?;
            }
            "eth_getCode" => write!(out, r#""result":"0x""#)?,
            _ => write!(out, r#""error":{{"code":-32601,"message":"the method does not exist"}}"#)?,
        }
        out.push(b'}');
        Ok(())
    }

    fn answer_logs(&self, filter: &Value, out: &mut Vec<u8>) -> Result<()> {
        let from = number(&filter["fromBlock"]).context("a first block")?;
        let (first, end) = self.range(from, number(&filter["toBlock"]).context("a last block")?);
        // One name, several, or none for any.
        let asked = &filter["topics"][0];
        let names = asked.as_array().map_or(std::slice::from_ref(asked), Vec::as_slice);
        let names: Vec<String> = names.iter().filter_map(Value::as_str).map(str::to_lowercase).collect();
        let is_asked = |name: &String| names.is_empty() || names.contains(name);
        let asked: Vec<usize> = (first..end).filter(|place| is_asked(&self.ends[*place].1)).collect();
        if asked.len() > MOST {
            write!(out, r#""error":{{"code":-32005,"message":"query returned more than {MOST} results"}}"#)?;
            return Ok(());
        }
        out.extend_from_slice(b"\"result\":[");
        for (count, place) in asked.into_iter().enumerate() {
            if count > 0 {
                out.push(b',');
            }
            out.extend_from_slice(self.log(place));
        }
        out.push(b']');
        Ok(())
    }
}

fn number(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

fn header(block: u64) -> Value {
    let zeros = |bytes: usize| format!("0x{}", "00".repeat(bytes));
    json!({
        "number": format!("{block:#x}"),
        "hash": format!("{:#x}", life::block_hash(block)),
        "parentHash": format!("{:#x}", life::block_hash(block - 1)),
        "timestamp": format!("{:#x}", life::time(block)),
        "miner": zeros(20),
        "receiptsRoot": zeros(32),
        "logsBloom": zeros(256),
        "baseFeePerGas": "0x1",
        "gasUsed": "0x0",
        "gasLimit": "0x1c9c380",
        "difficulty": "0x0",
        "extraData": "0x",
        "mixHash": zeros(32),
        "nonce": zeros(8),
        "sha3Uncles": zeros(32),
        "size": "0x400",
        "stateRoot": zeros(32),
        "totalDifficulty": "0x0",
        "transactions": [],
        "transactionsRoot": zeros(32),
        "uncles": [],
    })
}
