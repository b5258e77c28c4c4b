//! Shapes, names, and whatever a node may send.

use alloy_primitives::{U256, keccak256};
use proptest::prelude::*;
use protocol::aave::log::Setting;

use super::*;

fn word(number: u64) -> B256 {
    B256::from(U256::from(number))
}

fn read(name: B256, indexed: &[B256], data: &[u8]) -> Result<Option<Statement>, Reject> {
    let topics = [&[name], indexed].concat();
    let log = Log {
        block: 1,
        block_hash: B256::ZERO,
        time: 1,
        transaction: B256::ZERO,
        transaction_index: 0,
        log_index: 0,
        address: Default::default(),
        topics: &topics,
        data,
    };
    statement(&log)
}

/// Every event of the table with the right shape: arguments of 1 are an address, a flag, a share, anything.
#[test]
fn every_event_is_read_and_no_shape_but_its_own() {
    let mut seen = 0;
    for (name, indexed, words, signature) in events::shapes() {
        let indexed: Vec<B256> = vec![word(1); indexed];
        let data = word(1).repeat(words);
        assert!(matches!(read(name, &indexed, &data), Ok(Some(_))), "{signature}");
        let more: Vec<B256> = vec![word(1); indexed.len() + 1];
        assert!(matches!(read(name, &more, &data), Err(Reject::Topics { .. })), "{signature}");
        if let Some(short) = data.get(1..) {
            assert!(matches!(read(name, &indexed, short), Err(Reject::Length { .. })), "{signature}");
        }
        seen += 1;
    }
    assert_eq!(seen, topics().len(), "two events have one name");
}

/// Names as they stand on the chain, written down and not computed.
#[test]
fn names_are_the_chains() {
    for (name, signature) in [
        ("804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a", "ReserveDataUpdated"),
        ("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286", "LiquidationCall"),
        ("2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61", "Supply"),
        ("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f", "AnswerUpdated"),
    ] {
        let found = events::shapes().find(|(hash, ..)| hash.to_string().contains(name));
        assert!(found.is_some_and(|(.., known)| known.starts_with(signature)), "{signature}");
    }
}

#[test]
fn what_does_not_fit_is_rejected_by_its_place() {
    let read = |signature: &str, indexed: &[B256], data: &[u8]| read(keccak256(signature), indexed, data);
    let cap = "BorrowCapChanged(address,uint256,uint256)";
    let words = |numbers: &[U256]| numbers.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<u8>>();
    let set = |said: Option<Statement>| match said {
        Some(Statement::Set { setting, .. }) => Some(setting),
        _ => None,
    };
    let good = read(cap, &[word(7)], &words(&[U256::from(1), U256::from(2)])).unwrap();
    assert_eq!(set(good), Some(Setting::BorrowCap(2)));
    let wide = read(cap, &[word(7)], &words(&[U256::from(1), U256::from(1) << 64]));
    assert_eq!(wide, Err(Reject::Range { place: 2, holds: "a number below 2^64" }));
    let no_address = read(cap, &[B256::repeat_byte(1)], &words(&[U256::from(1), U256::from(2)]));
    assert_eq!(no_address, Err(Reject::Range { place: 0, holds: "an address" }));
    assert_eq!(read("Transfer(address,address,uint256)", &[word(1), word(2)], &words(&[U256::from(1)])), Ok(None));
}

#[test]
fn arrays_that_lie_about_their_length_are_rejected() {
    let mut answer = [word(32), word(2), word(5), word(6)].concat();
    assert_eq!(reads::numbers(&answer), Ok(vec![U256::from(5), U256::from(6)]));
    answer.truncate(100);
    assert!(reads::numbers(&answer).is_err() && reads::addresses(&answer).is_err());
    let endless = [word(32), B256::repeat_byte(0xff)].concat();
    assert!(reads::numbers(&endless).is_err());
    let many = [word(32), word(u64::MAX)].concat();
    assert!(reads::numbers(&many).is_err());
}

proptest! {
    /// Whatever a node sends as topics and data, it is read, passed over or rejected.
    #[test]
    fn nothing_panics(
        which in 0_usize..200,
        indexed in prop::collection::vec(any::<[u8; 32]>(), 0..4),
        data in prop::collection::vec(any::<u8>(), 0..400),
        cut in 0_usize..8,
    ) {
        let names: Vec<_> = events::shapes().collect();
        let (name, count, words, _) = names[which % names.len()];
        let indexed: Vec<B256> = indexed.into_iter().map(B256::from).collect();
        let _ = read(name, &indexed, &data);
        // With the right shape and any values.
        let mut right = data;
        right.resize(32 * words, 0xff);
        let mut topics = indexed;
        topics.resize(count, B256::repeat_byte(0xff));
        let read = read(name, &topics, &right);
        prop_assert!(matches!(read, Ok(Some(_)) | Err(Reject::Range { .. })), "{read:?}");
        right.truncate(cut * 32 + 7);
        let _ = (reads::numbers(&right), reads::addresses(&right), reads::e_mode(&right), reads::account_data(&right));
        let _ = (reads::stable_totals(&right), reads::e_mode_list(&right));
        let _ = reads::anchor(protocol::aave::Revision::V2, Default::default(), &right, &right);
    }
}
