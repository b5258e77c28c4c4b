//! The liquidations of a synced market: what its table says is what the contracts say, and it is made from the archive alone.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use differential::abi;
use differential::anvil;
use differential::artifacts::{self, Artifacts};
use differential::chain::{Chain, upgradable};
use differential::deploy::TREASURY;
use differential::mirror::revision;
use differential::world::{Version, World};
use protocol::aave::liquidation::Pair;
use protocol::aave::math::Bps;
use protocol::{Address, B256, U256};
use serde_json::{Value, json};

use crate::support::{Bed, Ran, Row, every_file, read, table};

/// Contracts and a node to put them on, or none and a word about it.
fn parts() -> Option<(Artifacts, PathBuf)> {
    let (Some(artifacts), Some(binary)) = (artifacts::find().unwrap(), anvil::find()) else {
        println!(
            "skipped: no contracts or no anvil are installed; `cargo xtask test` installs them where they are offered"
        );
        return None;
    };
    Some((artifacts, binary))
}

/// A market that lived.
fn life(world: World, seed: u64, steps: usize) -> Option<Chain> {
    let (artifacts, binary) = parts()?;
    let mut chain = Chain::start(&binary, &artifacts, world, seed).unwrap();
    let lived = chain.live(steps).unwrap();
    assert!(lived.liquidations > 0, "{lived:?}");
    Some(chain)
}

fn try_sync(bed: &Bed, chain: &mut Chain, more: &[&str]) -> Ran {
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let mut args = vec!["sync", "--market", "m", "--chain", "31337", "--provider", &provider, "--rpc", &url];
    args.extend(["--finality", "0"]);
    args.extend(more);
    bed.run(&args)
}

fn sync(bed: &Bed, chain: &mut Chain) {
    let ran = try_sync(bed, chain, &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

fn table_file(bed: &Bed) -> PathBuf {
    bed.archive().join("tables/market=m/liquidations.parquet")
}

fn rows(bed: &Bed) -> Vec<Row> {
    read(&table_file(bed)).1
}

fn transactions(bed: &Bed) -> BTreeMap<String, Row> {
    let files = every_file(&bed.archive().join("transactions/market=m"));
    let rows = files.iter().flat_map(|file| read(file).1);
    rows.map(|row| (row["transaction"].clone(), row)).collect()
}

fn number(row: &Row, column: &str) -> U256 {
    row.get(column).unwrap_or_else(|| panic!("no {column} in {row:?}")).parse().unwrap()
}

fn ask(chain: &mut Chain, to: Address, signature: &str, arguments: &[U256], block: u64) -> U256 {
    let call = json!({ "to": to.to_string(), "data": abi::words(signature, arguments).to_string() });
    let answer = chain.node().unwrap().request("eth_call", json!([call, format!("{block:#x}")])).unwrap();
    answer.as_str().unwrap().parse().unwrap()
}

/// A log of a receipt.
struct Written {
    by: Address,
    name: B256,
    topics: Vec<U256>,
    data: Vec<u8>,
    index: U256,
}

fn receipt(chain: &mut Chain, transaction: &str) -> (Value, Vec<Written>) {
    let receipt = chain.node().unwrap().request("eth_getTransactionReceipt", json!([transaction])).unwrap();
    let written = |log: &Value| {
        let topics = log["topics"].as_array().unwrap();
        Written {
            by: log["address"].as_str().unwrap().parse().unwrap(),
            name: topics[0].as_str().unwrap().parse().unwrap(),
            topics: topics[1..].iter().map(|topic| topic.as_str().unwrap().parse().unwrap()).collect(),
            data: alloy_primitives::hex::decode(log["data"].as_str().unwrap()).unwrap(),
            index: log["logIndex"].as_str().unwrap().parse().unwrap(),
        }
    };
    let logs = receipt["logs"].as_array().unwrap().iter().map(written).collect();
    (receipt, logs)
}

fn name(signature: &str) -> B256 {
    alloy_primitives::keccak256(signature)
}

/// What was seen in all rows together.
#[derive(Debug, Default)]
struct Tally {
    rows: usize,
    fees: usize,
    deficits: usize,
    supply: usize,
    valued: usize,
    prices: BTreeMap<String, usize>,
    updates: usize,
}

/// Compares a row with its transaction's receipt. Each liquidation has a transaction of its own here.
fn compare_amounts(chain: &mut Chain, row: &Row, tally: &mut Tally) {
    let (_, logs) = receipt(chain, &row["tx_hash"]);
    let pool = chain.market.pool;
    let call = name("LiquidationCall(address,address,address,uint256,uint256,address,bool)");
    let call = logs.iter().find(|log| log.name == call && log.by == pool).unwrap();
    assert_eq!(number(row, "log_index"), call.index);
    let word = |index| abi::word_at(&call.data, index);
    for (column, address) in [
        ("collateral_address", abi::address(call.topics[0])),
        ("debt_address", abi::address(call.topics[1])),
        ("user", abi::address(call.topics[2])),
        ("liquidator", abi::address(word(2))),
    ] {
        assert_eq!(row[column].parse::<Address>().unwrap(), address, "{column}");
    }
    assert_eq!((number(row, "debt_raw"), number(row, "collateral_raw")), (word(0), word(1)));
    assert_eq!(row["receives_supply"] == "true", word(3) == U256::from(1));
    tally.supply += usize::from(word(3) == U256::from(1));
    // What the treasury got, in the words of the supply token.
    let collateral = abi::address(call.topics[0]);
    let a_token = chain.market.reserves.iter().find(|reserve| reserve.asset == collateral).unwrap().a_token;
    let transfer = name("Transfer(address,address,uint256)");
    let to_treasury = logs.iter().filter(|log| {
        let ends = [call.topics[2], abi::word(TREASURY)];
        log.name == transfer && log.by == a_token && log.topics == ends && log.index < call.index
    });
    let fee = to_treasury.fold(U256::ZERO, |sum, log| sum + abi::word_at(&log.data, 0));
    assert_eq!(number(row, "collateral_fee_raw"), fee, "{row:?}");
    assert_eq!(number(row, "collateral_seized_raw"), fee + word(1));
    tally.fees += usize::from(!fee.is_zero());
    let created = name("DeficitCreated(address,address,uint256)");
    let deficits: Vec<(Address, U256)> = logs
        .iter()
        .filter(|log| log.name == created && log.by == pool)
        .map(|log| (abi::address(log.topics[1]), abi::word_at(&log.data, 0)))
        .collect();
    let of_debt = deficits.iter().filter(|(asset, _)| abi::word(*asset) == call.topics[1]);
    assert_eq!(number(row, "deficit_raw"), of_debt.fold(U256::ZERO, |sum, (_, amount)| sum + amount));
    let mut told: Vec<(Address, U256)> =
        serde_json::from_str::<Vec<Value>>(row.get("deficits").map_or("[]", String::as_str))
            .unwrap()
            .iter()
            .map(|one| (one["asset"].as_str().unwrap().parse().unwrap(), one["raw"].as_str().unwrap().parse().unwrap()))
            .collect();
    tally.deficits += usize::from(!told.is_empty());
    let mut deficits = deficits;
    deficits.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, deficits);
}

/// Compares a row's prices and values with what the oracle answers, and, where the prices are said to be those the pool saw, the
/// amounts with what the pool makes of them.
fn compare_prices(chain: &mut Chain, row: &Row, tally: &mut Tally) {
    let block: u64 = row["block_number"].parse().unwrap();
    let provider = chain.market.provider;
    let oracle = abi::address(ask(chain, provider, "getPriceOracle()", &[], block));
    let is_v2 = chain.market.version == Version::V2;
    for side in ["collateral", "debt"] {
        let asset: Address = row[&format!("{side}_address")].parse().unwrap();
        let from = row[&format!("{side}_price_from")].clone();
        let [before, at] =
            [block - 1, block].map(|at| ask(chain, oracle, "getAssetPrice(address)", &[abi::word(asset)], at));
        let price = number(row, &format!("{side}_price_raw"));
        let has_own = chain.market.e_mode_feeds.is_empty();
        match from.as_str() {
            "unchanged" => assert!(!has_own || (price == at && at == before)),
            "before update" => assert!(price == before && at != before),
            "after update" | "end of block" => assert!(!has_own || (price == at && at != before)),
            other => panic!("{other}"),
        }
        *tally.prices.entry(from).or_default() += 1;
        let decimals: u64 = row[&format!("{side}_decimals")].parse().unwrap();
        let unit = U256::from(10).pow(U256::from(decimals));
        let told = row.get(&format!("{side}_usd"));
        assert_eq!(told.is_none(), is_v2, "a market of ether without a dollar has no values in dollars");
        if let Some(told) = told {
            // Prices have eight decimals, and so have values.
            let worth = (number(row, &format!("{side}_raw")) * price + (unit >> 1)) / unit;
            assert_eq!(told.replace('.', "").parse::<U256>().unwrap(), worth, "{row:?}");
            tally.valued += 1;
        }
    }
    // The feeds here are handed out as they are, so that what their logs tell is sure.
    let from = ["collateral", "debt"].map(|side| row[&format!("{side}_price_from")].as_str());
    if chain.market.e_mode_feeds.is_empty() && !from.contains(&"end of block") {
        assert_eq!(row["price_standing"], "exact", "{row:?}");
    }
    let pair = Pair {
        collateral_price: number(row, "collateral_price_raw"),
        collateral_decimals: row["collateral_decimals"].parse().unwrap(),
        debt_price: number(row, "debt_price_raw"),
        debt_decimals: row["debt_decimals"].parse().unwrap(),
        bonus: Bps(row["bonus_bps"].parse().unwrap()),
        protocol_fee: Bps(row["protocol_fee_bps"].parse().unwrap()),
    };
    if row["price_standing"] != "exact" {
        return;
    }
    let revision = revision(chain.market.version);
    let column = |name| number(row, name);
    let (repaid, received) = (column("debt_raw"), column("collateral_raw"));
    let (seized, fee) = (column("collateral_seized_raw"), column("collateral_fee_raw"));
    assert!(column("collateral_bonus_raw") <= seized && received + fee == seized);
    // Either the repayment decided what was seized, or what there was decided the repayment. Where less was left than the fee,
    // the treasury got what was left: a rounding less.
    let is_paid = |computed: U256| computed >= fee && computed - fee <= U256::from(3);
    let bought = pair.amounts(revision, repaid, U256::MAX >> 160).unwrap();
    let by_repayment = bought.collateral == received && is_paid(bought.fee);
    let by_balance = (0..4).any(|more| {
        let balance = seized + U256::from(more);
        let sold = pair.amounts(revision, repaid * U256::from(4) + U256::from(1_000_000), balance).unwrap();
        sold.collateral == received && is_paid(sold.fee) && (sold.debt == repaid || is_v2)
    });
    assert!(by_repayment || by_balance, "{row:?}, {pair:?}, {bought:?}");
}

/// Compares the transactions kept with the node's.
fn compare_transactions(chain: &mut Chain, bed: &Bed, rows: &[Row], tally: &mut Tally) {
    let kept = transactions(bed);
    for row in rows {
        let (receipt, _) = receipt(chain, &row["tx_hash"]);
        let own = &kept[&row["tx_hash"]];
        assert!(own["why"].contains("liquidation"), "{own:?}");
        let used: U256 = receipt["gasUsed"].as_str().unwrap().parse().unwrap();
        assert_eq!((number(own, "gas_used"), number(own, "block")), (used, number(row, "block_number")));
        assert_eq!(serde_json::from_str::<Value>(&own["receipt"]).unwrap(), receipt);
    }
    let answer = name("AnswerUpdated(int256,uint256,uint256)");
    for row in kept.values().filter(|row| row["why"].contains("oracle_update")) {
        let (_, logs) = receipt(chain, &row["transaction"]);
        assert!(logs.iter().any(|log| log.name == answer));
        let blocks = rows.iter().map(|other| number(other, "block_number"));
        let is_near = blocks.map(|block| block.abs_diff(number(row, "block"))).any(|apart| apart <= U256::from(1));
        assert!(is_near, "an update far from every liquidation matters to none");
        tally.updates += 1;
    }
}

fn is_what_the_contracts_say(world: World, seed: u64, steps: usize) {
    let version = world.version;
    let Some(mut chain) = life(world, seed, steps) else { return };
    let bed = Bed::new();
    sync(&bed, &mut chain);
    let (rows, mut tally) = (rows(&bed), Tally::default());
    let topic = name("LiquidationCall(address,address,address,uint256,uint256,address,bool)");
    let filter = json!([{ "fromBlock": "0x0", "toBlock": "latest", "address": chain.market.pool.to_string(), "topics": [topic.to_string()] }]);
    let logs = chain.node().unwrap().request("eth_getLogs", filter).unwrap();
    assert_eq!(rows.len(), logs.as_array().unwrap().len(), "every liquidation, and each once");
    for row in &rows {
        tally.rows += 1;
        assert_eq!((row["standing"].as_str(), row["event_key_kind"].as_str()), ("exact", "log"));
        compare_amounts(&mut chain, row, &mut tally);
        compare_prices(&mut chain, row, &mut tally);
    }
    compare_transactions(&mut chain, &bed, &rows, &mut tally);
    println!("{version:?}, seed {seed}: {tally:?}");
    let held = std::fs::read(table_file(&bed)).unwrap();
    // There is no node any more.
    drop(chain);
    for market in [&["rebuild"][..], &["rebuild", "--market", "m"]] {
        std::fs::remove_file(table_file(&bed)).unwrap();
        assert_eq!(bed.run(market).code, Some(0));
        assert!(std::fs::read(table_file(&bed)).unwrap() == held, "made anew, it is the same to the byte");
    }
    let report = bed.json(&["liquidations", "--dataset", "m"]);
    assert_eq!(table(&report, "totals")[0]["events"], json!(rows.len()), "{report}");
    crate::treasury_data::fees_and_deficits_are_booked(&bed, &rows);
    let listed = bed.json(&["datasets"]);
    assert_eq!(table(&listed, "datasets")[0]["liquidations"], json!(rows.len()), "{listed}");
}

#[test]
fn liquidations_of_v2_are_what_the_contracts_say() {
    is_what_the_contracts_say(World::random(Version::V2, 3), 3, 300);
}

#[test]
fn liquidations_of_v3_0_2_are_what_the_contracts_say() {
    is_what_the_contracts_say(upgradable(2), 2, 300);
}

#[test]
fn liquidations_of_v3_6_are_what_the_contracts_say() {
    is_what_the_contracts_say(World::random(Version::V3_6, 4), 4, 300);
}

/// Categories bring prices of their own, and debt can be stable.
#[test]
fn liquidations_in_categories_with_prices_are_what_the_contracts_say() {
    is_what_the_contracts_say(World::random(Version::V3_0_2, 6), 6, 300);
}

/// A synced market stands beside imports as one of them: compared by logs, added up once, never mixed.
#[test]
fn a_synced_market_is_a_dataset_among_others() {
    let Some(mut chain) = life(World::random(Version::V3_6, 4), 4, 150) else { return };
    let bed = Bed::new();
    sync(&bed, &mut chain);
    let rows = rows(&bed);
    let mut csv =
        "timestamp,chain,market,tx_hash,log_index,user,collateral_symbol,collateral_amount,collateral_usd\n".to_owned();
    for row in &rows {
        let seconds = row["time"].parse::<i64>().unwrap() / 1_000_000;
        let fields = ["tx_hash", "log_index", "user", "collateral_symbol", "collateral_amount", "collateral_usd"];
        let fields: Vec<&str> = fields.iter().map(|column| row[*column].as_str()).collect();
        csv += &format!("{seconds},31337,m,{}\n", fields.join(","));
    }
    let file = bed.file("same.csv", csv);
    let ran = bed.import(&file, &["--dataset", "m"]);
    assert!(ran.code == Some(1) && ran.err.contains("is a synced market"), "{ran:?}");
    let ran = bed.import(&file, &["--dataset", "import"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = bed.run(&["liquidations", "--combine"]);
    assert!(ran.code == Some(1) && ran.err.contains("tidegate reconcile"), "{ran:?}");
    let side_by_side = bed.json(&["liquidations"]);
    let events = |report: &Value| -> Vec<u64> {
        table(report, "totals").iter().map(|row| row["events"].as_u64().unwrap()).collect()
    };
    let count = rows.len() as u64;
    assert_eq!(events(&side_by_side), [count, count]);
    assert_eq!(bed.run(&["reconcile", "m", "import"]).code, Some(0));
    let combined = bed.json(&["liquidations", "--combine"]);
    assert_eq!(events(&combined), [count], "{combined}");
    // More logs than the table was made of are noticed, and taken in.
    let before = std::fs::read(table_file(&bed)).unwrap();
    chain.live(60).unwrap();
    sync(&bed, &mut chain);
    let after = std::fs::read(table_file(&bed)).unwrap();
    assert!(before != after);
    std::fs::write(table_file(&bed), before).unwrap();
    let stale = bed.run(&["liquidations", "--dataset", "m"]);
    assert!(stale.out.contains("tidegate rebuild --market m"), "{stale:?}");
    assert_eq!(bed.run(&["rebuild"]).code, Some(0));
    assert!(std::fs::read(table_file(&bed)).unwrap() == after);
}

/// A sync that follows the chain takes liquidations in as their blocks become final.
#[test]
fn liquidations_are_taken_in_as_they_become_final() {
    let Some(mut chain) = life(World::random(Version::V3_6, 4), 4, 60) else { return };
    let (followed, fresh) = (Bed::new(), Bed::new());
    let (url, provider) = (chain.url().unwrap(), chain.market.provider.to_string());
    let args = [
        "sync",
        "--market",
        "m",
        "--chain",
        "31337",
        "--provider",
        &provider,
        "--rpc",
        &url,
        "--follow",
        "--finality",
        "3",
    ];
    let mut child = followed.command(&args).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut wait_for = |block: u64| {
        let (line, mut last) = (format!("block {block}:"), String::new());
        let mut is_said = |said: std::io::Result<String>| {
            last = said.unwrap();
            last.starts_with(&line)
        };
        assert!(said.any(&mut is_said), "it ended before {line} {last}");
    };
    let latest = chain.node().unwrap().latest().unwrap();
    wait_for(latest);
    let before = rows(&followed).len();
    chain.live(120).unwrap();
    chain.node().unwrap().mine(4).unwrap();
    let latest = chain.node().unwrap().latest().unwrap();
    wait_for(latest);
    // Its last words on this block come before it looks at what is final, and the next block's after.
    chain.node().unwrap().mine(1).unwrap();
    wait_for(latest + 1);
    chain.node().unwrap().mine(1).unwrap();
    wait_for(latest + 2);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    sync(&fresh, &mut chain);
    let told = rows(&followed);
    println!("{before} liquidations, then {}", told.len());
    assert!(told.len() > before);
    assert_eq!(told, rows(&fresh));
    assert_eq!(transactions(&followed), transactions(&fresh));
}

/// However often a sync is cut off, and wherever, in the end there is what one makes that is not.
#[test]
fn a_sync_cut_off_anywhere_ends_with_the_same_tables() {
    let Some(mut chain) = life(World::random(Version::V3_6, 5), 5, 200) else { return };
    let (whole, cut) = (Bed::new(), Bed::new());
    sync(&whole, &mut chain);
    let (mut tries, mut budget) = (0, 20_u64);
    loop {
        let ran = try_sync(&cut, &mut chain, &["--max-requests", &budget.to_string()]);
        if ran.code == Some(0) {
            break;
        }
        assert!(ran.err.contains("requests were made"), "{ran:?}");
        tries += 1;
        budget += 17;
    }
    println!("{tries} syncs were cut off");
    assert!(tries > 3);
    assert!(std::fs::read(table_file(&whole)).unwrap() == std::fs::read(table_file(&cut)).unwrap());
    assert_eq!(transactions(&whole), transactions(&cut));
    let files = |bed: &Bed| every_file(&bed.archive().join("transactions"));
    let before = files(&cut);
    sync(&cut, &mut chain);
    assert_eq!(files(&cut), before, "what is there is not asked for again");
    // What was lost is, and only that.
    std::fs::remove_file(&before[0]).unwrap();
    std::fs::write(cut.archive().join("tables/market=m/.123-0.part"), b"cut off").unwrap();
    sync(&cut, &mut chain);
    assert_eq!(transactions(&whole), transactions(&cut));
    assert!(!cut.archive().join("tables/market=m/.123-0.part").exists());
}

/// Around a liquidation only its own prices are read. Whoever asks for that block is not shown the few accounts that can be valued
/// with them as if they were all.
#[test]
fn a_block_of_which_few_prices_were_read_ranks_nobody() {
    let Some(mut chain) = life(World::random(Version::V3_6, 4), 4, 200) else { return };
    let (whole, bed) = (Bed::new(), Bed::new());
    sync(&whole, &mut chain);
    let head = chain.node().unwrap().latest().unwrap();
    let taken = rows(&whole).into_iter().map(|row| row["block_number"].parse::<u64>().unwrap());
    let block = taken.filter(|block| *block < head).max().unwrap();
    let [earlier, at] = [block - 4, block].map(|to| {
        let to = to.to_string();
        assert_eq!(try_sync(&bed, &mut chain, &["--to-block", &to]).code, Some(0));
        to
    });
    // What the sync that went on read around the liquidation, in place of all prices.
    let folder = bed.archive().join("reads/market=m");
    for file in every_file(&folder) {
        if read(&file).1.iter().all(|row| row["block"] == at) {
            std::fs::remove_file(file).unwrap();
        }
    }
    for file in every_file(&whole.archive().join("reads/market=m")) {
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let ran = bed.run(&["positions", "--block", &at]);
    ran.refused("few prices", &["the price of", "were never read", &format!("--to-block {at}` reads them")]);
    let ran = bed.run(&["positions"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains(&format!("at block {earlier} ")), "{}", ran.out);
    assert!(ran.out.contains(&format!("At block {at}, which is newer, the price of")), "{}", ran.out);
    assert_eq!(try_sync(&bed, &mut chain, &["--to-block", &at]).code, Some(0));
    for block in [&["--block", &at][..], &[]] {
        let ran = bed.run(&[&["positions"], block].concat());
        assert!(ran.code == Some(0) && ran.out.contains(&format!("at block {at} ")), "{ran:?}");
    }
}

/// Where a file of logs is gone, accounts are told as of a block before it, and not with a hole in their history.
#[test]
fn a_hole_in_the_logs_is_not_folded_over() {
    let Some(mut chain) = life(World::random(Version::V3_6, 4), 4, 60) else { return };
    let bed = Bed::new();
    let mut ends = Vec::new();
    for _ in 0..3 {
        sync(&bed, &mut chain);
        ends.push(chain.node().unwrap().latest().unwrap());
        chain.live(20).unwrap();
    }
    let files = every_file(&bed.archive().join("logs/market=m"));
    let middle = files.iter().find(|file| file.to_string_lossy().contains(&format!("-{:012}-", ends[1])));
    let middle = middle.unwrap_or_else(|| panic!("no file ends at {}: {files:?}", ends[1])).clone();
    std::fs::remove_file(middle).unwrap();
    let last = ends[2].to_string();
    let hole = format!("all logs from block {} on", ends[0] + 1);
    bed.run(&["positions", "--block", &last]).refused("a hole", &[&hole, "were never read"]);
    let ran = bed.run(&["positions"]);
    assert!(ran.code == Some(0) && ran.out.contains(&format!("at block {} ", ends[0])), "{ran:?}");
    assert!(ran.out.contains(&hole), "{}", ran.out);
    assert_eq!(try_sync(&bed, &mut chain, &["--to-block", &last]).code, Some(0));
    let ran = bed.run(&["positions", "--block", &last]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}
