//! Receipts and their roots: published vectors, blocks that anvil made, and what random changes do.

use alloy_primitives::{Bloom, hex};
use alloy_rlp::{Decodable, Header as RlpHeader};
use proptest::prelude::*;
use protocol::chain::ChainId;
use protocol::{Address, B256};
use serde_json::Value;

use crate::log::{Log, Logs};
use crate::proof::bloom::{Sketch, Verdict as BloomVerdict};
use crate::proof::compare::{Fault, differences, prove_logs};
use crate::proof::plan::{Choice, Plan, wrong_at_most};
use crate::proof::receipt::*;
use crate::rpc::{Filter, Header};

const ETHEREUM: ChainId = ChainId::ETHEREUM;

/// A block of the test data: its header's root and filter, and its receipts as a node shows them.
fn vector(name: &str) -> (B256, Option<Bloom>, Value) {
    let text = match name {
        "creation" => include_str!("../../../tests/data/receipts/anvil-creation.json"),
        "empty" => include_str!("../../../tests/data/receipts/anvil-empty.json"),
        "every-type" => include_str!("../../../tests/data/receipts/anvil-every-type.json"),
        "three-hundred" => include_str!("../../../tests/data/receipts/anvil-three-hundred.json"),
        "regolith" => include_str!("../../../tests/data/receipts/base-goerli-regolith.json"),
        other => panic!("no vector is called {other}"),
    };
    let vector: Value = serde_json::from_str(text).unwrap();
    let bytes = |field: &str| vector["header"][field].as_str().map(|text| hex::decode(text).unwrap());
    let bloom = bytes("logsBloom").map(|bytes| Bloom::from_slice(&bytes));
    (B256::from_slice(&bytes("receiptsRoot").unwrap()), bloom, vector["receipts"].clone())
}

fn read(receipts: &Value) -> BlockReceipts {
    let hash = receipts[0]["blockHash"].as_str().map_or(B256::ZERO, |hash| hash.parse().unwrap());
    parse_block(&receipts.to_string(), 1, hash).unwrap().unwrap()
}

#[test]
fn real_blocks_have_the_roots_their_headers_state() {
    for (name, count) in [("creation", 1), ("empty", 0), ("every-type", 6), ("three-hundred", 300), ("regolith", 5)] {
        let (root, bloom, receipts) = vector(name);
        let receipts = read(&receipts);
        assert_eq!(receipts.committed.len(), count, "{name}");
        assert_eq!(verify(ETHEREUM, 1, root, &receipts), Verdict::Proven, "{name}");
        let logs = receipts.committed.iter().flat_map(|receipt| &receipt.logs);
        if let Some(bloom) = bloom {
            assert_eq!(bloom_of(logs), bloom, "{name}");
        }
        for receipt in &receipts.committed {
            assert_eq!(receipt.bloom, bloom_of(&receipt.logs), "{name}");
        }
    }
}

#[test]
fn the_vectors_have_every_type_and_a_failure() {
    let receipts = read(&vector("every-type").2);
    let kinds: Vec<u8> = receipts.committed.iter().map(|receipt| receipt.kind).collect();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 2]);
    assert_eq!(receipts.committed[5].ending, Ending::Status(false));
    assert!(receipts.committed[0].logs.iter().any(|log| log.topics.is_empty()));
    assert!(receipts.committed[0].logs.iter().any(|log| log.topics.len() == 4));
}

#[test]
fn without_receipts_the_root_is_that_of_an_empty_trie() {
    assert_eq!(EMPTY_ROOT, hex!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"));
    assert_eq!(root(&[]), EMPTY_ROOT);
    assert_eq!(verify(ETHEREUM, 1, EMPTY_ROOT, &BlockReceipts::default()), Verdict::Proven);
}

/// The example of EIP-2481.
#[test]
fn a_published_legacy_receipt_is_encoded_as_published() {
    let text = format!(
        r#"{{"status":"0x0","cumulativeGasUsed":"0x1","logsBloom":"0x{}","transactionHash":"{}","logs":[{{
            "address":"0x0000000000000000000000000000000000000011","data":"0x0100ff",
            "topics":["{:#066x}","{:#066x}"]}}]}}"#,
        "0".repeat(512),
        B256::ZERO,
        0xdead,
        0xbeef,
    );
    let receipt = parse(&text, B256::ZERO).unwrap().unwrap();
    let tail = "f85ff85d940000000000000000000000000000000000000011f842a0000000000000000000000000000000000000000000000000000000000000deada0000000000000000000000000000000000000000000000000000000000000beef830100ff";
    assert_eq!(hex::encode(receipt.encoded()), format!("f901668001b90100{}{tail}", "0".repeat(512)));
    // CIP-64 puts the base fee behind the logs, and the type before everything.
    let celo = Receipt { kind: 0x7b, extra: Extra::BaseFee(4_445_555), ..receipt };
    assert_eq!(hex::encode(celo.encoded()), format!("7bf9016a8001b90100{}{tail}8343d573", "0".repeat(512)));
}

/// Published with op-reth: one receipt of type 1, one log without topics of the zero address.
#[test]
fn a_published_root_of_one_typed_receipt() {
    let log = ReceiptLog { address: Address::ZERO, topics: Vec::new(), data: Default::default() };
    let mut bloom = Bloom::ZERO;
    bloom[255] = 1;
    // The published vector has a bloom filter of its own making, which its log does not have.
    let receipt = Receipt {
        kind: 1,
        ending: Ending::Status(true),
        cumulative_gas_used: 102_068,
        bloom,
        logs: vec![log],
        extra: Extra::None,
        transaction: B256::ZERO,
    };
    assert_eq!(root(&[receipt]), hex!("fe70ae4a136d98944951b2123859698d59ad251a381abc9960fa81cae3d0d4a0"));
}

#[test]
fn a_deposit_s_nonce_counts_once_it_has_a_version() {
    let (stated, _, mut receipts) = vector("regolith");
    assert_eq!(verify(ChainId(84_531), 1, stated, &read(&receipts)), Verdict::Proven);
    receipts[0]["depositReceiptVersion"] = "0x1".into();
    let canyon = read(&receipts);
    assert_eq!(canyon.committed[0].extra, Extra::Deposit { nonce: 4_012_991, version: 1 });
    assert!(hex::encode(canyon.committed[0].encoded()).ends_with("c0833d3bbf01"));
    assert!(matches!(verify(ChainId(84_531), 1, stated, &canyon), Verdict::Differs { .. }));
}

#[test]
fn what_is_not_in_a_root_is_set_aside_or_said() {
    let (stated, _, mut receipts) = vector("every-type");
    let hash: B256 = receipts[0]["blockHash"].as_str().unwrap().parse().unwrap();
    let mut sync = receipts[0].clone();
    sync["transactionHash"] = state_sync_hash(2, hash).to_string().into();
    receipts.as_array_mut().unwrap().push(sync);
    let read = |block| parse_block(&receipts.to_string(), block, hash).unwrap().unwrap();
    assert_eq!(verify(ChainId(137), 2, stated, &read(2)), Verdict::Proven);
    assert_eq!(read(2).aside.len(), 1);
    // In another block the same hash is a transaction like any other.
    assert!(matches!(verify(ChainId(137), 3, stated, &read(3)), Verdict::Differs { .. }));

    let receipts = read(2);
    assert_eq!(verify(ETHEREUM, 2, B256::ZERO, &receipts), Verdict::NotProvable(Why::NoRoot));
    let other = B256::repeat_byte(1);
    assert!(matches!(verify(ETHEREUM, 2, other, &receipts), Verdict::Differs { .. }));
    for (chain, last) in [(42_161, 22_207_817), (42_220, 31_056_499)] {
        assert!(matches!(verify(ChainId(chain), last, other, &receipts), Verdict::NotProvable(Why::Chain(_))));
        assert!(matches!(verify(ChainId(chain), last + 1, other, &receipts), Verdict::Differs { .. }));
        assert_eq!(verify(ChainId(chain), last, stated, &receipts), Verdict::Proven, "equal roots need no excuse");
    }
    for kind in [0x71, 0x7b, 0x7f, 0x78, 0xff] {
        let mut strange = receipts.clone();
        strange.committed[1].kind = kind;
        assert_eq!(verify(ETHEREUM, 2, stated, &strange), Verdict::NotProvable(Why::UnknownKind(kind)));
        let own = root(&strange.committed);
        assert_eq!(verify(ETHEREUM, 2, own, &strange), Verdict::Proven, "equal roots need no knowledge");
    }
    let mut celo = receipts.clone();
    celo.committed[1] = Receipt { kind: 0x7b, extra: Extra::BaseFee(7), ..celo.committed[1].clone() };
    assert!(matches!(verify(ETHEREUM, 2, stated, &celo), Verdict::Differs { .. }));
}

#[test]
fn arbitrum_s_name_for_legacy_is_encoded_as_legacy() {
    let receipt = read(&vector("every-type").2).committed[0].clone();
    assert_eq!(Receipt { kind: 0x78, ..receipt.clone() }.encoded(), receipt.encoded());
    assert_eq!(Receipt { kind: 0x6a, ..receipt.clone() }.encoded()[1..], receipt.encoded()[..]);
}

#[test]
fn answers_that_are_no_receipts_are_refused() {
    let good = vector("every-type").2;
    let hash: B256 = good[0]["blockHash"].as_str().unwrap().parse().unwrap();
    assert_eq!(parse_block("null", 2, hash), Ok(None));
    assert_eq!(parse("null", hash), Ok(None));
    for bad in ["", "{}", "[null]", "[{}]", "7", "\"x\"", "[[]]", "[", "true"] {
        assert!(parse_block(bad, 2, hash).is_err(), "{bad}");
    }
    let changes: [(&str, Value); 14] = [
        ("status", "0x2".into()),
        ("status", "yes".into()),
        ("status", 1.into()),
        ("type", "0x100".into()),
        ("type", "0x".into()),
        ("cumulativeGasUsed", "0x10000000000000000".into()),
        ("cumulativeGasUsed", Value::Null),
        ("cumulativeGasUsed", "0x+1".into()),
        ("logsBloom", "0x00".into()),
        ("logs", Value::Null),
        ("blockHash", B256::ZERO.to_string().into()),
        ("transactionHash", "0x12".into()),
        ("logs", serde_json::json!([{ "address": "0x00", "topics": [], "data": "0x" }])),
        (
            "logs",
            serde_json::json!([{ "address": format!("{:?}", Address::ZERO), "topics": vec![B256::ZERO.to_string(); 5], "data": "0x" }]),
        ),
    ];
    for (field, value) in changes {
        let mut receipts = good.clone();
        receipts[0][field] = value.clone();
        let read = parse_block(&receipts.to_string(), 2, hash);
        let message = read.expect_err(&format!("{field} = {value}")).to_string();
        assert!(message.len() < 300, "{message}");
    }
    let mut receipts = good.clone();
    receipts[0]["status"] = "\u{1b}[31m".repeat(100_000).into();
    let message = parse_block(&receipts.to_string(), 2, hash).unwrap_err().to_string();
    assert!(message.len() < 300 && !message.contains('\u{1b}'));
}

/// Undoes the encoding, written from the specification and not from the encoder.
fn decode(mut bytes: &[u8]) -> (u8, Vec<u8>, u64, Vec<u8>, Vec<ReceiptLog>, Vec<u128>) {
    let kind = if bytes[0] < 0xc0 { bytes[0] } else { 0 };
    if kind != 0 {
        bytes = &bytes[1..];
    }
    let mut fields = RlpHeader::decode_bytes(&mut bytes, true).unwrap();
    assert!(bytes.is_empty());
    let ending = RlpHeader::decode_bytes(&mut fields, false).unwrap().to_vec();
    let gas = u64::decode(&mut fields).unwrap();
    let bloom = RlpHeader::decode_bytes(&mut fields, false).unwrap().to_vec();
    let (mut list, mut logs) = (RlpHeader::decode_bytes(&mut fields, true).unwrap(), Vec::new());
    while !list.is_empty() {
        let mut log = RlpHeader::decode_bytes(&mut list, true).unwrap();
        let address = Address::from_slice(RlpHeader::decode_bytes(&mut log, false).unwrap());
        let (mut inner, mut topics) = (RlpHeader::decode_bytes(&mut log, true).unwrap(), Vec::new());
        while !inner.is_empty() {
            topics.push(B256::from_slice(RlpHeader::decode_bytes(&mut inner, false).unwrap()));
        }
        let data = RlpHeader::decode_bytes(&mut log, false).unwrap().to_vec().into();
        assert!(log.is_empty());
        logs.push(ReceiptLog { address, topics, data });
    }
    let mut extra = Vec::new();
    while !fields.is_empty() {
        extra.push(u128::decode(&mut fields).unwrap());
    }
    (kind, ending, gas, bloom, logs, extra)
}

fn any_log() -> impl Strategy<Value = ReceiptLog> {
    // Few addresses and topics, so that logs are alike.
    (0..4_u8, prop::collection::vec(0..4_u8, 0..=4), prop::collection::vec(any::<u8>(), 0..70)).prop_map(
        |(address, topics, data)| ReceiptLog {
            address: Address::repeat_byte(address),
            topics: topics.into_iter().map(B256::repeat_byte).collect(),
            data: data.into(),
        },
    )
}

fn any_receipt() -> impl Strategy<Value = Receipt> {
    let kind = prop::sample::select(vec![0_u8, 1, 2, 3, 4, 0x64, 0x6a, 0x7b, 0x7c, 0x7e, 0x7f]);
    let ending = prop_oneof![
        any::<bool>().prop_map(Ending::Status),
        any::<[u8; 32]>().prop_map(|root| Ending::StateRoot(root.into())),
    ];
    let extra = (any::<u64>(), 0..3_u64, any::<u128>(), any::<bool>());
    (kind, ending, any::<u64>(), prop::collection::vec(any_log(), 0..6), extra, any::<[u8; 32]>()).prop_map(
        |(kind, ending, gas, logs, (nonce, version, fee, has_extra), transaction)| Receipt {
            kind,
            ending,
            cumulative_gas_used: gas,
            bloom: bloom_of(&logs),
            logs,
            extra: match kind {
                0x7e if has_extra => Extra::Deposit { nonce, version },
                0x7b if has_extra => Extra::BaseFee(fee),
                _ => Extra::None,
            },
            transaction: transaction.into(),
        },
    )
}

/// A receipt as a node would write it.
pub(super) fn written(receipt: &Receipt) -> Value {
    let logs: Vec<Value> = receipt
        .logs
        .iter()
        .map(|log| serde_json::json!({ "address": format!("{:?}", log.address), "topics": log.topics.iter().map(B256::to_string).collect::<Vec<_>>(), "data": log.data.to_string() }))
        .collect();
    let mut value = serde_json::json!({
        "type": format!("{:#x}", receipt.kind),
        "cumulativeGasUsed": format!("{:#x}", receipt.cumulative_gas_used),
        "logsBloom": hex::encode_prefixed(receipt.bloom),
        "logs": logs,
        "transactionHash": receipt.transaction.to_string(),
    });
    match receipt.ending {
        Ending::Status(succeeded) => value["status"] = format!("{:#x}", u8::from(succeeded)).into(),
        Ending::StateRoot(root) => value["root"] = root.to_string().into(),
    }
    match receipt.extra {
        Extra::None => {}
        Extra::Deposit { nonce, version } => {
            value["depositNonce"] = format!("{nonce:#x}").into();
            value["depositReceiptVersion"] = format!("{version:#x}").into();
        }
        Extra::BaseFee(fee) => value["baseFee"] = format!("{fee:#x}").into(),
    }
    value
}

fn logs_of(receipts: &[Receipt]) -> Vec<(u32, u32, &ReceiptLog, B256)> {
    let flat = (0..)
        .zip(receipts)
        .flat_map(|(place, receipt)| receipt.logs.iter().map(move |log| (place, log, receipt.transaction)));
    (0..).zip(flat).map(|(index, (place, log, transaction))| (index, place, log, transaction)).collect()
}

fn held<'a>((log_index, transaction_index, log, transaction): (u32, u32, &'a ReceiptLog, B256)) -> Log<'a> {
    Log {
        block: 7,
        block_hash: B256::ZERO,
        time: 0,
        transaction,
        transaction_index,
        log_index,
        address: log.address,
        topics: &log.topics,
        data: &log.data,
    }
}

fn filter(addresses: &[u8], topics: &[u8]) -> Filter {
    Filter {
        addresses: addresses.iter().copied().map(Address::repeat_byte).collect(),
        topics: topics.iter().copied().map(B256::repeat_byte).collect(),
    }
}

proptest! {
    #[test]
    fn an_encoded_receipt_says_all_of_it(receipt in any_receipt()) {
        let (kind, ending, gas, bloom, logs, extra) = decode(&receipt.encoded());
        prop_assert_eq!(kind, receipt.kind);
        let stated = match receipt.ending {
            Ending::Status(true) => vec![1],
            Ending::Status(false) => vec![],
            Ending::StateRoot(root) => root.to_vec(),
        };
        prop_assert_eq!(ending, stated);
        prop_assert_eq!(gas, receipt.cumulative_gas_used);
        prop_assert_eq!(bloom, receipt.bloom.to_vec());
        prop_assert_eq!(logs, receipt.logs);
        let stated = match receipt.extra {
            Extra::None => vec![],
            Extra::Deposit { nonce, version } => vec![nonce.into(), version.into()],
            Extra::BaseFee(fee) => vec![fee],
        };
        prop_assert_eq!(extra, stated);
    }

    #[test]
    fn what_a_node_writes_is_what_is_read(receipts in prop::collection::vec(any_receipt(), 0..5)) {
        let text = Value::from(receipts.iter().map(written).collect::<Vec<_>>()).to_string();
        let read = parse_block(&text, 7, B256::ZERO).unwrap().unwrap();
        prop_assert_eq!(read.committed, receipts);
    }

    #[test]
    fn any_change_changes_the_verdict(
        receipts in prop::collection::vec(any_receipt(), 1..140),
        at in any::<prop::sample::Index>(),
        other in any_receipt(),
        log in any_log(),
        change in 0..9_u8,
    ) {
        let stated = root(&receipts);
        let mut changed = receipts.clone();
        let place = at.index(changed.len());
        match change {
            0 => { changed.remove(place); }
            1 => changed.insert(place, other),
            2 => changed[place] = other,
            3 => changed.swap(0, place),
            4 => changed[place].logs.push(log),
            5 => { changed[place].logs.pop(); }
            6 => changed[place].logs.reverse(),
            7 => changed[place].ending = match changed[place].ending {
                Ending::Status(succeeded) => Ending::Status(!succeeded),
                Ending::StateRoot(_) => Ending::Status(true),
            },
            _ => if let Some(first) = changed[place].logs.first_mut() { *first = log; },
        }
        let block = BlockReceipts { committed: changed.clone(), aside: Vec::new() };
        let encoded = |receipts: &[Receipt]| receipts.iter().map(Receipt::encoded).collect::<Vec<_>>();
        let is_same = encoded(&receipts) == encoded(&changed);
        prop_assert_eq!(verify(ETHEREUM, 7, stated, &block) == Verdict::Proven, is_same);
    }

    #[test]
    fn damaged_answers_are_refused_or_read_and_never_panic(
        at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let mut text = vector("creation").2.to_string().into_bytes();
        let at = at.index(text.len());
        if cut { text.truncate(at) } else { text[at] = byte }
        if let Ok(text) = String::from_utf8(text) {
            let _ = parse_block(&text, 1, B256::ZERO);
        }
    }

    /// Beside the definition: every held log must be there, every log the filter takes must be held.
    #[test]
    fn comparing_finds_what_sets_find(
        receipts in prop::collection::vec(any_receipt(), 0..8),
        keep in prop::collection::vec(0..6_u8, 48),
        wanted in (prop::collection::vec(0..4_u8, 0..3), prop::collection::vec(0..4_u8, 0..3)),
    ) {
        let filter = filter(&wanted.0, &wanted.1);
        let there = logs_of(&receipts);
        let other = ReceiptLog { address: Address::repeat_byte(9), topics: Vec::new(), data: Default::default() };
        let (mut mine, mut expected) = (Vec::new(), Vec::new());
        for (log, fate) in there.iter().zip(&keep) {
            match fate {
                0 if filter.takes(&held(*log)) => expected.push((log.0, Fault::Omitted)),
                0 => {}
                1 => {
                    mine.push(held((log.0, log.1, &other, log.3)));
                    expected.push((log.0, Fault::Altered("address")));
                }
                2 => {
                    mine.extend([held(*log), held(*log)]);
                    expected.push((log.0, Fault::Repeated));
                }
                3 => {
                    mine.push(Log { transaction_index: log.1 + 1, ..held(*log) });
                    expected.push((log.0, Fault::Altered("transaction index")));
                }
                _ => mine.push(held(*log)),
            }
        }
        let beyond = u32::try_from(there.len()).unwrap() + 3;
        mine.push(held((beyond, 0, &other, B256::ZERO)));
        expected.push((beyond, Fault::Foreign));
        mine.reverse();
        let block = BlockReceipts { committed: receipts.clone(), aside: Vec::new() };
        let compared = prove_logs(&block, 7, &filter, &mine);
        let found: Vec<_> = compared.wrong.iter().map(|wrong| (wrong.log_index, wrong.fault)).collect();
        prop_assert_eq!(found, expected);
        let wrong = compared.wrong.iter().filter(|wrong| wrong.fault != Fault::Omitted).count() as u64;
        prop_assert_eq!(compared.right + wrong, mine.len() as u64);
    }

    #[test]
    fn another_s_logs_differ_where_they_differ(
        logs in prop::collection::vec((0..5_u64, any_log()), 0..20), fates in prop::collection::vec(0..5_u8, 20),
    ) {
        let (mut ours, mut theirs, mut expected) = (Logs::default(), Logs::default(), Vec::new());
        for (index, ((block, log), fate)) in (0_u32..).zip(logs.iter().zip(&fates)) {
            let log = Log { block: *block * 100 + u64::from(index), ..held((index, 0, log, B256::ZERO)) };
            let fault = match fate {
                0 => Some(Fault::Omitted),
                1 => Some(Fault::Foreign),
                2 => Some(Fault::Altered("time")),
                _ => None,
            };
            if fault != Some(Fault::Omitted) { ours.push(&log); }
            let time = u64::from(fault == Some(Fault::Altered("time")));
            if fault != Some(Fault::Foreign) { theirs.push(&Log { time, ..log }); }
            expected.extend(fault.map(|fault| (log.block, fault)));
        }
        expected.sort_unstable();
        let found: Vec<_> =
            differences(&ours.sorted(), &theirs.sorted()).iter().map(|one| (one.block, one.fault)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_filter_never_refutes_what_is_there(
        logs in prop::collection::vec(any_log(), 1..8), at in any::<prop::sample::Index>(),
        wanted in (prop::collection::vec(0..6_u8, 0..4), prop::collection::vec(0..6_u8, 0..4)),
    ) {
        let header = header(bloom_of(&logs), B256::repeat_byte(1));
        let one = held((0, 0, &logs[at.index(logs.len())], B256::ZERO));
        let sketch = Sketch::new(&filter(&wanted.0, &wanted.1));
        prop_assert_eq!(sketch.check(&header, &[one]), BloomVerdict::Agrees);
        if filter(&wanted.0, &wanted.1).takes(&one) {
            let is_suspect = matches!(sketch.check(&header, &[]), BloomVerdict::Suspect { .. });
            prop_assert!(is_suspect);
        }
        let chance = sketch.chance(&header.logs_bloom);
        prop_assert!((0.0..=1.0).contains(&chance));
        let foreign = ReceiptLog { address: Address::repeat_byte(0xee), topics: Vec::new(), data: Default::default() };
        let alone = header.logs_bloom.contains_raw_log(foreign.address, &[]);
        let is_refuted = matches!(
            sketch.check(&header, &[held((0, 0, &foreign, B256::ZERO))]), BloomVerdict::Contradicted(_));
        prop_assert_eq!(is_refuted, !alone);
    }

    #[test]
    fn a_draw_is_as_large_as_asked_and_the_same_every_time(
        from in 0..u64::MAX / 2, span in 1..2_000_u64, count in 0..2_500_u64, seed in any::<u64>(),
    ) {
        let plan = Plan { from, to: from + span - 1, choice: Choice::Sample { seed, count } };
        let drawn: Vec<u64> = plan.blocks().collect();
        prop_assert_eq!(drawn.len() as u64, plan.count());
        prop_assert_eq!(plan.count(), count.min(span));
        prop_assert!(drawn.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(drawn.iter().all(|block| (plan.from..=plan.to).contains(block)));
        prop_assert_eq!(plan.blocks().collect::<Vec<_>>(), drawn);
        prop_assert_eq!(plan.receipts_cost().requests(), 2 * plan.count());
        prop_assert_eq!(plan.bloom_cost().requests(), plan.count());
    }
}

pub(super) fn header(logs_bloom: Bloom, receipts_root: B256) -> Header {
    Header {
        number: 7,
        hash: B256::repeat_byte(7),
        parent_hash: B256::repeat_byte(6),
        time: 0,
        fee_recipient: Address::ZERO,
        receipts_root,
        logs_bloom,
        base_fee_per_gas: None,
        gas_used: 0,
    }
}

#[test]
fn filters_that_are_not_filled_prove_nothing() {
    let sketch = Sketch::new(&filter(&[1], &[2]));
    let log =
        ReceiptLog { address: Address::repeat_byte(1), topics: vec![B256::repeat_byte(2)], data: Default::default() };
    let one = [held((0, 0, &log, B256::ZERO))];
    let (root, full) = (B256::repeat_byte(1), Bloom::repeat_byte(0xff));
    assert!(matches!(sketch.check(&header(Bloom::ZERO, root), &one), BloomVerdict::NotProvable(_)));
    assert_eq!(sketch.check(&header(Bloom::ZERO, root), &[]), BloomVerdict::Empty);
    assert_eq!(sketch.check(&header(Bloom::ZERO, EMPTY_ROOT), &[]), BloomVerdict::Agrees);
    assert!(matches!(sketch.check(&header(Bloom::ZERO, B256::ZERO), &[]), BloomVerdict::NotProvable(_)));
    assert!(matches!(sketch.check(&header(full, root), &one), BloomVerdict::NotProvable(_)));
    // Polygon's state sync is in no filter.
    let mut other = Bloom::ZERO;
    other.m3_2048(b"something else");
    let header = header(other, root);
    let sync = Log { transaction: state_sync_hash(7, header.hash), ..one[0] };
    assert_eq!(sketch.check(&header, &[sync]), BloomVerdict::Agrees);
    assert!(matches!(sketch.check(&header, &one), BloomVerdict::Contradicted(_)));
}

#[test]
fn the_stated_chance_is_about_what_chance_does() {
    let sketch = Sketch::new(&filter(&[1, 2, 3], &[4, 5]));
    let (mut suspect, mut stated) = (0.0, 0.0);
    for block in 0..2_000_u32 {
        let mut bloom = Bloom::ZERO;
        for item in 0..400_u32 {
            bloom.m3_2048(&[block.to_be_bytes(), item.to_be_bytes()].concat());
        }
        suspect += f64::from(u8::from(sketch.allowed_by(&bloom).is_some()));
        stated += sketch.chance(&bloom);
    }
    assert!(suspect > 50.0 && (suspect - stated).abs() < 3.5 * f64::sqrt(stated), "{suspect} {stated}");
}

#[test]
fn a_draw_favours_no_part_of_the_range() {
    let plan = Plan { from: 1_000, to: 1_000_999, choice: Choice::Sample { seed: 7, count: 10_000 } };
    let mut parts = [0_i32; 10];
    for block in plan.blocks() {
        parts[usize::try_from((block - 1_000) / 100_000).unwrap()] += 1;
    }
    assert!(parts.iter().all(|part| (part - 1_000).abs() < 130), "{parts:?}");
    let other = Plan { choice: Choice::Sample { seed: 8, count: 10_000 }, ..plan.clone() };
    assert!(plan.blocks().zip(other.blocks()).filter(|(one, another)| one == another).count() < 100);
}

#[test]
fn what_a_sample_shows_and_what_a_plan_costs() {
    assert_eq!(wrong_at_most(0), 1.0);
    assert!((wrong_at_most(1) - 0.95).abs() < 1e-12);
    assert!((wrong_at_most(300) - 0.009_936).abs() < 1e-5, "{}", wrong_at_most(300));
    let these = Plan { from: 10, to: 19, choice: Choice::These([9, 10, 15, 19, 20].into()) };
    assert_eq!((these.count(), these.blocks().collect::<Vec<_>>()), (3, vec![10, 15, 19]));
    let all = Plan { from: 10, to: 19, choice: Choice::All };
    assert_eq!((all.count(), all.receipts_cost().requests()), (10, 20));
}
