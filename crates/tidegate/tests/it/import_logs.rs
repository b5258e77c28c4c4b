//! `tidegate import logs`: half of a chain from files as cryo writes them, the rest from the node, and the same in the end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::{DataType, Field, Schema};
use differential::anvil::number;
use differential::chain::Chain;
use differential::proxy::Proxy;
use differential::world::{Version, World};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::nodes::{parts, positions};
use crate::support::{Bed, Ran, command, every_file, footer, parquet_files, read};

const TOPICS: [&str; 4] = ["topic0", "topic1", "topic2", "topic3"];

/// The logs of some blocks as the node has them, of some contracts or of all.
fn logs(chain: &mut Chain, from: u64, to: u64, contract: Option<&str>) -> Vec<Value> {
    let mut filter = json!({"fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}")});
    if let Some(contract) = contract {
        filter["address"] = contract.into();
    }
    let logs = chain.node().unwrap().request("eth_getLogs", json!([filter])).unwrap();
    logs.as_array().unwrap().clone()
}

fn text<'a>(log: &'a Value, name: &str) -> Option<&'a str> {
    let names = [("transaction_hash", "transactionHash"), ("address", "address"), ("data", "data")];
    match names.iter().find(|(own, _)| *own == name) {
        Some((_, theirs)) => log[*theirs].as_str(),
        None => log["topics"][TOPICS.iter().position(|topic| *topic == name).unwrap()].as_str(),
    }
}

fn count(log: &Value, name: &str) -> u64 {
    number(&log[name]).unwrap()
}

/// A Parquet file with the columns that cryo gives it.
fn parquet_file(path: &Path, logs: &[Value]) {
    let bytes = |name: &str| -> ArrayRef {
        let cells = logs.iter().map(|log| text(log, name).map(|text| alloy_primitives::hex::decode(text).unwrap()));
        Arc::new(cells.map(|cell| cell.map(Vec::into_boxed_slice)).collect::<BinaryArray>())
    };
    let numbers = |name: &str| -> ArrayRef {
        Arc::new(logs.iter().map(|log| u32::try_from(count(log, name)).unwrap()).collect::<UInt32Array>())
    };
    let lengths = logs.iter().map(|log| u32::try_from(text(log, "data").unwrap().len() / 2 - 1).unwrap());
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("block_number", numbers("blockNumber")),
        ("transaction_index", numbers("transactionIndex")),
        ("log_index", numbers("logIndex")),
        ("transaction_hash", bytes("transaction_hash")),
        ("address", bytes("address")),
    ];
    columns.extend(TOPICS.map(|topic| (topic, bytes(topic))));
    columns.push(("data", bytes("data")));
    columns.push(("n_data_bytes", Arc::new(lengths.collect::<UInt32Array>())));
    columns.push(("chain_id", Arc::new(logs.iter().map(|_| 31_337).collect::<UInt64Array>())));
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), *column.data_type() == DataType::Binary))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(schema.clone(), columns.into_iter().map(|(_, column)| column).collect()).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The same as text.
fn csv_file(path: &Path, logs: &[Value]) {
    let mut lines = vec![
        "block_number,transaction_index,log_index,transaction_hash,address,topic0,topic1,topic2,topic3,data,chain_id"
            .to_owned(),
    ];
    for log in logs {
        let mut cells =
            ["blockNumber", "transactionIndex", "logIndex"].map(|name| count(log, name).to_string()).to_vec();
        for name in ["transaction_hash", "address"].iter().chain(&TOPICS).chain(&["data"]) {
            cells.push(text(log, name).unwrap_or_default().to_owned());
        }
        cells.push("31337".to_owned());
        lines.push(cells.join(","));
    }
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

fn name(from: u64, to: u64, form: &str) -> String {
    format!("network_31337__logs__{from:08}_to_{to:08}.{form}")
}

/// A chain's life, and how to ask for it.
struct Life {
    chain: Chain,
    provider: String,
    url: String,
    last: u64,
}

impl Life {
    fn new(version: Version) -> Option<Self> {
        let (artifacts, binary) = parts()?;
        let mut chain = Chain::start(&binary, &artifacts, World::random(version, 1), 1).unwrap();
        chain.live(150).unwrap();
        let (provider, url) = (chain.market.provider.to_string(), chain.url().unwrap());
        let last = chain.node().unwrap().latest().unwrap();
        Some(Self { chain, provider, url, last })
    }

    fn run(&self, archive: &Path, verb: &[&str], url: &str, more: &[&str]) -> Ran {
        let market =
            ["--market", "m", "--chain", "31337", "--provider", &self.provider, "--finality", "0", "--rpc", url];
        Ran::of(command(archive, &[verb, &market, more].concat()))
    }

    fn import(&self, archive: &Path, files: &[PathBuf], more: &[&str]) -> Ran {
        let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();
        self.run(archive, &[&["import", "logs"], &files[..]].concat(), &self.url, more)
    }

    fn sync(&self, archive: &Path, url: &str) -> Ran {
        let ran = self.run(archive, &["sync"], url, &[]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    }

    /// Unfiltered files of the blocks from 0 to the middle, in pieces of some blocks, every other as text; out of order.
    fn files(&mut self, bed: &Bed, middle: u64, blocks: u64) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for from in (0..=middle).step_by(usize::try_from(blocks).unwrap()) {
            let to = (from + blocks - 1).min(middle);
            let logs = logs(&mut self.chain, from, to, None);
            let is_csv = (from / blocks) % 2 == 1;
            let path = bed.path(&name(from, to, if is_csv { "csv" } else { "parquet" }));
            if is_csv {
                csv_file(&path, &logs)
            } else {
                parquet_file(&path, &logs)
            }
            files.insert(0, path);
        }
        files
    }
}

fn ok(ran: &Ran) -> &Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// The error's line; what comes before it are notes.
fn refused(ran: &Ran, says: &[&str]) {
    let line = ran.err.lines().last().unwrap_or_default();
    assert!(ran.code == Some(1) && line.starts_with("error: "), "{ran:?}");
    assert!(says.iter().all(|words| line.contains(words)), "{says:?}: {line}");
}

/// All logs held, each once, in order.
fn held(archive: &Path) -> Vec<String> {
    let key =
        |row: &crate::support::Row| (row["block"].parse::<u64>().unwrap(), row["log_index"].parse::<u64>().unwrap());
    let mut rows: Vec<_> = parquet_files(&archive.join("logs")).iter().flat_map(|file| read(file).1).collect();
    rows.sort_by_key(key);
    rows.dedup();
    rows.iter().map(|row| format!("{row:?}")).collect()
}

/// The same logs; where not, the first that only one has.
fn same(one: &[String], other: &[String]) {
    let lacks = |one: &[String], other: &[String]| one.iter().find(|log| !other.contains(log)).cloned();
    assert_eq!((lacks(one, other), lacks(other, one)), (None, None));
    assert_eq!(one.len(), other.len());
}

fn half_and_half(version: Version) {
    let Some(mut life) = Life::new(version) else { return };
    let bed = Bed::new();
    let middle = life.last / 2;
    // The middle half lies behind blocks that nobody exported, so its tokens are known from the contracts alone.
    let (files, archive) = (life.files(&bed, middle, 16), bed.archive());
    let gap = files.len() / 2;
    let imported: Vec<PathBuf> =
        files.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, file)| file.clone()).collect();
    // Where nothing but the market happens, a file without a filter looks as if it had one.
    let ran = life.import(&archive, &imported, &["--complete"]);
    assert!(ok(&ran).out.contains("hearsay") && ran.out.contains("imported"), "{ran:?}");
    let brought = parquet_files(&archive.join("logs"));
    assert_eq!(brought.len(), 2, "files that follow one another become one: {brought:?}");
    for file in &brought {
        assert!(footer(file)["coverage"].starts_with("hearsay"), "{:?}", footer(file));
    }
    // The same again changes nothing.
    assert!(ok(&life.import(&archive, &imported, &["--complete"])).out.contains("held before"));
    assert_eq!(parquet_files(&archive.join("logs")), brought);
    // The sync asks for no block that was imported.
    let proxy = Proxy::start(life.chain.node().unwrap().address()).unwrap();
    let url = proxy.url();
    let mixed = life.sync(&archive, &url);
    let pure = bed.path("pure");
    let alone = life.sync(&pure, &life.url);
    assert_eq!(positions(&archive), positions(&pure));
    same(&held(&archive), &held(&pure));
    let read = |ran: &Ran| {
        let line = ran.out.lines().find(|line| line.trim_start().starts_with("m ")).unwrap_or_default().to_owned();
        line.split_whitespace().nth(4).unwrap().replace(',', "").parse::<u64>().unwrap()
    };
    assert!(read(&mixed) < read(&alone), "{} {}", mixed.out, alone.out);
    let levels = ["verify", "--level", "state,receipts,bloom", "--accounts", "all", "--blocks", "all", "--rpc", &url];
    ok(&Ran::of(command(&archive, &levels)));
}

#[test]
fn half_a_chain_from_files_and_the_rest_from_a_node_are_the_chain() {
    half_and_half(Version::V3_6);
}

#[test]
fn half_a_chain_of_v2_from_files_too() {
    half_and_half(Version::V2);
}

#[test]
fn what_a_file_may_leave_out_is_not_taken_for_nothing() {
    let Some(mut life) = Life::new(Version::V3_0_2) else { return };
    let bed = Bed::new();
    let (archive, last, pool) = (bed.archive(), life.last, life.chain.market.pool.to_string());
    let file = |bed: &Bed, name: &str, logs: &[Value]| {
        let path = bed.path(name);
        parquet_file(&path, logs);
        path
    };
    let of_pool = logs(&mut life.chain, 0, last, Some(&pool));
    let narrow = file(&bed, &name(0, last, "parquet"), &of_pool);
    refused(
        &life.import(&archive, std::slice::from_ref(&narrow), &[]),
        &["written with a filter", "--complete", "--contract"],
    );
    let late = file(&bed, &name(0, last + 1, "parquet"), &of_pool);
    refused(&life.import(&archive, &[late], &["--complete"]), &["the last final one", "once they are final"]);
    let other = file(&bed, &format!("ethereum__logs__0_to_{last}.parquet"), &of_pool);
    refused(&life.import(&archive, &[other], &["--complete"]), &["ethereum", "name the market of its chain"]);
    let nameless = file(&bed, "logs.parquet", &of_pool);
    refused(&life.import(&archive, std::slice::from_ref(&nameless), &[]), &["which blocks it covers", "say it"]);
    refused(&life.import(&archive, std::slice::from_ref(&nameless), &["--blocks", "5"]), &["--blocks", "FROM-TO"]);
    refused(
        &life.import(&archive, std::slice::from_ref(&nameless), &["--complete", "--blocks", "0-1"]),
        &["row", "outside 0 to 1"],
    );
    let stranger = "0x00000000000000000000000000000000000000aa";
    refused(
        &life.import(&archive, std::slice::from_ref(&narrow), &["--contract", stranger]),
        &["--contract", "none of"],
    );
    let mut twice = of_pool.clone();
    twice.push(of_pool[0].clone());
    let unsorted = file(&bed, "unsorted.parquet", &twice);
    let blocks = format!("0-{last}");
    refused(&life.import(&archive, &[unsorted], &["--complete", "--blocks", &blocks]), &["not in the chain's order"]);
    assert!(parquet_files(&archive).is_empty(), "{:?}", every_file(&archive));
    // Written for the pool alone, it spares what the pool wrote and nothing else.
    ok(&life.import(&archive, &[narrow], &["--contract", &pool]));
    life.sync(&archive, &life.url);
    life.sync(&bed.path("pure"), &life.url);
    assert_eq!(positions(&archive), positions(&bed.path("pure")));
    same(&held(&archive), &held(&bed.path("pure")));
}

#[test]
fn a_file_that_contradicts_what_is_held_is_set_aside() {
    let Some(mut life) = Life::new(Version::V3_6) else { return };
    let bed = Bed::new();
    let archive = bed.archive();
    // A part of the chain is held; a wider file tells another amount of one of its logs.
    let ran = life.run(&archive, &["sync"], &life.url, &["--to-block", &(life.last - 20).to_string()]);
    let before = positions(&archive);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let (last, pool) = (life.last, life.chain.market.pool.to_string());
    let mut all = logs(&mut life.chain, 0, last, None);
    let wrong = all.iter_mut().find(|log| {
        let is_data = log["data"].as_str().is_some_and(|data| data.len() > 2);
        log["address"].as_str().is_some_and(|own| own.eq_ignore_ascii_case(&pool)) && is_data
    });
    let wrong = wrong.unwrap();
    let data = wrong["data"].as_str().unwrap().to_owned();
    let digit = if data.ends_with('0') { "1" } else { "0" };
    wrong["data"] = format!("{}{digit}", &data[..data.len() - 1]).into();
    let path = bed.path(&name(0, last, "parquet"));
    parquet_file(&path, &all);
    refused(&life.import(&archive, &[path], &[]), &["holds another log", "set aside"]);
    assert_eq!(positions(&archive), before);
    life.sync(&archive, &life.url);
    life.sync(&bed.path("pure"), &life.url);
    assert_eq!(positions(&archive), positions(&bed.path("pure")));
}

#[test]
fn an_import_that_ends_at_any_request_leaves_nothing_of_itself() {
    let Some(mut life) = Life::new(Version::V3_6) else { return };
    let bed = Bed::new();
    let middle = life.last / 2;
    let files = life.files(&bed, middle, middle + 1);
    let path = files[0].to_str().unwrap();
    let mut refusals = 0;
    for most in (5..).step_by(20).map(|most: u64| most.to_string()) {
        let ran = life.run(&bed.archive(), &["import", "logs", path], &life.url, &["--max-requests", &most]);
        if ran.code == Some(0) {
            break;
        }
        refused(&ran, &["which is all that was allowed", "allow more"]);
        assert!(parquet_files(&bed.archive()).is_empty());
        refusals += 1;
    }
    assert!(refusals > 2, "{refusals}");
    assert_eq!(parquet_files(&bed.archive().join("logs")).len(), 1);
}
