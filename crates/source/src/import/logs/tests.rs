//! Files that cryo 0.3.2 wrote from a node, beside what the node itself says; and files that nobody should write.

use serde_json::Value;

use super::*;

const ANVIL: ChainId = ChainId(31_337);

/// The files' folder: `binary` or `hex`, as cryo was told to write bytes.
fn cryo(form: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cryo").join(form);
    ["00000005_to_00000007", "00000008_to_00000010"]
        .map(|range| folder.join(format!("network_31337__logs__{range}.parquet")))
        .to_vec()
}

/// The logs of the same blocks as the node returned them to `eth_getLogs`, and the headers of their blocks.
fn node() -> (Logs, Vec<Header>) {
    let written: Vec<Value> = serde_json::from_str(include_str!("../../../tests/data/cryo/node.json")).unwrap();
    let (mut logs, mut headers) = (Logs::default(), BTreeMap::new());
    for log in &written {
        let text = |field: &str| log[field].as_str().unwrap();
        let number = |field: &str| u64::from_str_radix(&text(field)[2..], 16).unwrap();
        let topics: Vec<B256> =
            log["topics"].as_array().unwrap().iter().map(|topic| topic.as_str().unwrap().parse().unwrap()).collect();
        let hash: B256 = text("blockHash").parse().unwrap();
        logs.push(&Log {
            block: number("blockNumber"),
            block_hash: hash,
            time: number("blockTimestamp"),
            transaction: text("transactionHash").parse().unwrap(),
            transaction_index: u32::try_from(number("transactionIndex")).unwrap(),
            log_index: u32::try_from(number("logIndex")).unwrap(),
            address: text("address").parse().unwrap(),
            topics: &topics,
            data: &hex::decode(text("data")).unwrap(),
        });
        headers.insert(number("blockNumber"), header(number("blockNumber"), hash, number("blockTimestamp")));
    }
    (logs, headers.into_values().collect())
}

fn header(number: u64, hash: B256, time: u64) -> Header {
    Header {
        number,
        hash,
        parent_hash: B256::ZERO,
        time,
        fee_recipient: Address::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: Default::default(),
        base_fee_per_gas: None,
        gas_used: 0,
    }
}

fn read(file: &LogFile, filter: &Filter) -> Result<(Unstamped, Vec<Reject>, Summary)> {
    let (mut all, mut rejects) = (Unstamped::default(), Vec::new());
    let summary = file.read(ANVIL, filter, &mut |batch| {
        all.logs.append(&batch.logs.logs);
        rejects.extend(batch.rejects);
        Ok(())
    })?;
    Ok((all, rejects, summary))
}

#[test]
fn cryo_s_files_hold_what_the_node_said() {
    let (expected, headers) = node();
    for form in ["binary", "hex"] {
        let mut stamped = Logs::default();
        for path in cryo(form) {
            let file = open(&path, None).unwrap();
            assert_eq!((file.claim().chain, file.claim().basis), (Some(ANVIL), Basis::FileName));
            let (logs, rejects, summary) = read(&file, &Filter::default()).unwrap();
            assert!(rejects.is_empty(), "{rejects:?}");
            assert_eq!((summary.rows, summary.taken), (logs.len() as u64, logs.len() as u64));
            assert!(logs.blocks().iter().all(|block| file.claim().blocks.contains(block)));
            stamped.append(&logs.stamp(&headers).unwrap());
        }
        assert_eq!(stamped, expected, "{form}");
    }
    assert!(expected.iter().any(|log| log.topics.is_empty() && log.data.is_empty()), "an event without anything");
}

#[test]
fn a_filter_takes_what_it_takes() {
    let (all, headers) = node();
    let one = |byte: u8| B256::with_last_byte(byte);
    let address = all.get(0).unwrap().address;
    let filters = [
        Filter { topics: [one(1)].into(), ..Filter::default() },
        Filter { addresses: [address].into(), topics: [one(2), one(4)].into() },
        Filter { addresses: [Address::ZERO].into(), ..Filter::default() },
        Filter { topics: [B256::ZERO].into(), ..Filter::default() },
    ];
    for filter in filters {
        let (mut expected, mut taken) = (Logs::default(), Logs::default());
        all.iter().filter(|log| filter.takes(log)).for_each(|log| expected.push(&log));
        for path in cryo("binary") {
            let (logs, _, summary) = read(&open(&path, None).unwrap(), &filter).unwrap();
            assert_eq!(summary.taken + summary.passed_over, summary.rows);
            taken.append(&logs.stamp(&headers).unwrap());
        }
        assert_eq!(taken, expected);
    }
}

#[test]
fn logs_get_the_stamp_of_their_blocks_or_none() {
    let (_, mut headers) = node();
    let logs = || read(&open(&cryo("hex")[0], None).unwrap(), &Filter::default()).unwrap().0;
    assert_eq!(logs().blocks(), [5, 7]);
    headers.remove(0);
    let message = logs().stamp(&headers).unwrap_err().to_string();
    assert!(message.contains("block 5") && message.contains("no header"), "{message}");
}

#[test]
fn names_say_which_blocks() {
    let cases = [
        ("ethereum__logs__18000000_to_18000999.parquet", Some((18_000_000, 18_000_999, Some(1)))),
        ("network_31337__logs__00000005_to_00000007.parquet", Some((5, 7, Some(31_337)))),
        ("polygon__logs__aave__00000005_to_00000007.parquet", Some((5, 7, Some(137)))),
        ("my_chain__logs__1_to_1.csv", Some((1, 1, None))),
        ("ethereum__blocks__18000000_to_18000999.parquet", None),
        ("logs.parquet", None),
        ("ethereum__logs__x_to_9.parquet", None),
        ("ethereum__logs__18446744073709551616_to_18446744073709551617.parquet", None),
        ("__logs__", None),
    ];
    for (name, expected) in cases {
        let claim = Claim::of_name(Path::new(name));
        let found = claim.map(|claim| (*claim.blocks.start(), *claim.blocks.end(), claim.chain.map(|chain| chain.0)));
        assert_eq!(found, expected, "{name}");
    }
}

const HEADING: &str = "block_number,transaction_index,log_index,transaction_hash,address,topic0,topic1,topic2,topic3,data,chain_id,block_hash";

/// A row of text, some of whose fields are others.
fn row(changes: &[(&str, &str)]) -> String {
    let hash = format!("0x{}", "11".repeat(32));
    let address = format!("0x{}", "22".repeat(20));
    let usual = ["5", "0", "0", &hash, &address, &hash, "", "", "", "0x0102", "31337", ""];
    let field = |name: &str, usual: &str| {
        changes.iter().find(|(changed, _)| *changed == name).map_or(usual, |(_, value)| value).to_owned()
    };
    let fields: Vec<String> = HEADING.split(',').zip(usual).map(|(name, usual)| field(name, usual)).collect();
    fields.join(",")
}

fn file(folder: &Path, name: &str, rows: &[String]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("{HEADING}\n{}\n", rows.join("\n"))).unwrap();
    path
}

#[test]
fn rows_that_are_no_logs_are_kept_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let other = format!("0x{}", "33".repeat(32));
    let cases: [(&str, &str, &str); 18] = [
        ("block_number", "", "block_number is not there"),
        ("block_number", "4", "outside 5 to 9"),
        ("block_number", "10", "outside 5 to 9"),
        ("block_number", "-1", "block_number cannot be"),
        ("block_number", "1.5", "block_number cannot be"),
        ("transaction_index", "4294967296", "transaction_index cannot be"),
        ("log_index", "x", "log_index cannot be"),
        ("transaction_hash", "", "transaction_hash is not there"),
        ("transaction_hash", "0x11", "transaction_hash cannot be"),
        ("address", "", "address is not there"),
        ("address", &other, "address cannot be"),
        ("topic0", "", "a topic follows one that is not there"),
        ("topic0", "0xzz", "topic cannot be"),
        ("data", "", "data is not there"),
        ("data", "0x123", "data cannot be"),
        ("data", "1234", "data cannot be"),
        ("chain_id", "1", "chain_id is 1, not 31337"),
        ("block_hash", "0x", "block_hash cannot be"),
    ];
    for (field, value, reason) in cases {
        let changes = [(field, value), ("topic1", if reason.starts_with("a topic") { other.as_str() } else { "" })];
        let rows = [row(&changes), row(&[("log_index", "1")])];
        let path = file(folder.path(), "network_31337__logs__5_to_9.csv", &rows);
        let (logs, rejects, summary) = read(&open(&path, None).unwrap(), &Filter::default()).unwrap();
        assert_eq!((logs.len(), summary.rejected, summary.taken, summary.rows), (1, 1, 1, 2), "{field}={value}");
        assert!(rejects[0].detail.contains(reason) && rejects[0].row == 1, "{field}={value}: {:?}", rejects[0]);
    }
}

#[test]
fn repetition_is_counted_and_contradiction_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [row(&[]), row(&[]), row(&[("data", "0x03")]), row(&[("log_index", "1")])];
    let path = file(folder.path(), "network_31337__logs__5_to_9.csv", &rows);
    let (logs, rejects, summary) = read(&open(&path, None).unwrap(), &Filter::default()).unwrap();
    assert_eq!((logs.len(), summary.repeated, summary.rejected), (2, 1, 1));
    assert_eq!(rejects[0].reason, "contradicts another row");
}

#[test]
fn files_that_cannot_be_trusted_as_a_whole_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, stated, rows: &[String], word: &str| {
        let path = file(folder.path(), name, rows);
        let outcome = open(&path, stated).and_then(|file| read(&file, &Filter::default()));
        let message = outcome.map(|_| ()).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    };
    let backwards = [row(&[("block_number", "6")]), row(&[])];
    refused("network_31337__logs__5_to_9.csv", None, &backwards, "row 2 belongs before");
    refused("network_1__logs__5_to_9.csv", None, &[row(&[])], "not of chain 31337");
    refused("network_31337__logs__9_to_5.csv", None, &[row(&[])], "are none");
    refused("logs.csv", None, &[row(&[])], "does not say which blocks");
    #[expect(clippy::reversed_empty_ranges, reason = "what is tried")]
    let none = Some(9..=5);
    refused("logs.csv", none, &[row(&[])], "are none");
    let path = folder.path().join("ethereum__logs__1_to_2.csv");
    std::fs::write(&path, "block_number,address\n1,0x\n").unwrap();
    assert!(open(&path, None).unwrap_err().to_string().contains("no column transaction_index"));
    // What the user says goes before what the name says.
    let path = file(folder.path(), "network_31337__logs__6_to_9.csv", &[row(&[])]);
    let stated = open(&path, Some(5..=5)).unwrap();
    assert_eq!((stated.claim().basis, read(&stated, &Filter::default()).unwrap().2.taken), (Basis::Stated, 1));
}

#[test]
fn a_hash_in_the_file_must_be_the_chain_s() {
    let folder = tempfile::tempdir().unwrap();
    let hash = B256::repeat_byte(0x44);
    let path = file(folder.path(), "network_31337__logs__5_to_9.csv", &[row(&[("block_hash", &hash.to_string())])]);
    let logs = || read(&open(&path, None).unwrap(), &Filter::default()).unwrap().0;
    assert_eq!(logs().stamp(&[header(5, hash, 9)]).unwrap().get(0).unwrap().time, 9);
    let message = logs().stamp(&[header(5, B256::ZERO, 9)]).unwrap_err().to_string();
    assert!(message.contains("reorg"), "{message}");
}

#[test]
fn damage_is_refused_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(&cryo("hex")[0]).unwrap();
    let path = folder.path().join("network_31337__logs__5_to_7.parquet");
    let good = read(&open(&cryo("hex")[0], None).unwrap(), &Filter::default()).unwrap().0;
    for at in (0..whole.len()).step_by(61) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x55;
        for bytes in [&damaged[..], &whole[..at]] {
            std::fs::write(&path, bytes).unwrap();
            let outcome = open(&path, None).and_then(|file| read(&file, &Filter::default()));
            if bytes.len() < whole.len() {
                assert!(outcome.is_err(), "cut off at {at}");
            } else if let Ok((logs, ..)) = outcome {
                // Parquet has no checksums here: what was altered may pass. Nothing is made up beside it.
                assert!(logs.len() <= good.len());
            }
        }
    }
}
