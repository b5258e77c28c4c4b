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
    assert_eq!(seen, topics().len() + auction_topics().len(), "two events have one name");
    assert!(topics().is_disjoint(&auction_topics()));
}

/// Names as they stand on the chain, written down and not computed.
#[test]
fn names_are_the_chains() {
    for (name, signature) in [
        ("804c9b842b2748a22bb64b345453a3de7ca54a6ca45ce00d415894979e22897a", "ReserveDataUpdated"),
        ("e413a321e8681d831f4dbccbca790d2952b56f977908e45be37335533e005286", "LiquidationCall"),
        ("2b627736bca15cd5381dcf80b0bf11fd197d01a037c52b927a881a10fb73ba61", "Supply"),
        ("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f", "AnswerUpdated"),
        ("0109fc6f55cf40689f02fbaad7af7fe7bbac8a3d2186600afc7d3e10cac60271", "NewRound"),
        ("8d530b9ddc4b318d28fdd4c3a21fcfecece54c1a72a824f262985b99afef009b", "SecondaryRoundIdUpdated"),
        ("da2435684a37fba6f7841e49b59e6ad975e462bbebd28ec9da4ed9746a6992be", "PrimaryFeedUnlocked"),
        ("b24a681ce3399a408a89fd0c2b59dfc24bdad592b1c7ec7671cf060596c1c4d1", "CutoffTimeSet"),
        ("cba51f727ba38740aa888ce0cb33f68de587733f61d3fafa0d9fb2b29e7f829f", "MaxSyncIterationsSet"),
        ("6f09ec4f559f967c22b0ac66d9e49c4b99be9c757bfffe993ac089f4f2a84e04", "OevAllocated"),
        ("1c8af9222013876e762969f616bf76d9bd3a356e39ce598256dd515b6cb7f82b", "MetacallResult"),
        ("94e79da376f3bc5202c947c2466a329832d3e9af2f4e094a18c160868453273c", "SolverTxResult"),
        // Known from Safe's own sources.
        ("3d0ce9bfc3ed7d6862dbb28b2dea94561fe714a1b4d019aa8af39730d1ad7c3d", "SafeReceived"),
        ("442e715f626346e8c54381002da614f62bee8d27386535b2521ec8540898556e", "ExecutionSuccess"),
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

/// What is said around auctions, by hostile contracts too.
#[test]
fn what_is_said_around_auctions_fits_or_is_rejected() {
    use protocol::auction::Said;
    let words = |numbers: &[U256]| numbers.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<u8>>();
    let (small, wide) = (|number: u64| U256::from(number), U256::from(1) << 128);
    let said = |signature: &str, indexed: &[U256], data: &[U256]| {
        let indexed: Vec<B256> = indexed.iter().map(|word| B256::from(*word)).collect();
        read(keccak256(signature), &indexed, &words(data)).map(|said| match said {
            Some(Statement::Auction(said)) => *said,
            other => panic!("{signature}: {other:?}"),
        })
    };
    let address = |number: u64| alloy_primitives::Address::from_word(word(number));
    let range = |place, holds| Err(Reject::Range { place, holds });
    let secondary = "SecondaryRoundIdUpdated(uint32)";
    let most = U256::from(u32::MAX);
    assert_eq!(said(secondary, &[most], &[]), Ok(Said::SecondaryRound { round: u32::MAX }));
    assert_eq!(said(secondary, &[most + small(1)], &[]), range(0, "a number below 2^32"));
    assert_eq!(said(secondary, &[], &[small(1)]), Err(Reject::Topics { found: 0, expected: 1 }));
    assert_eq!(said(secondary, &[small(1)], &[small(1)]), Err(Reject::Length { found: 32, expected: 0 }));
    let round = "NewRound(uint256,address,uint256)";
    let begun = Said::RoundBegun { round: 7, by: address(8), observed_at: 9 };
    assert_eq!(said(round, &[small(7), small(8)], &[small(9)]), Ok(begun));
    // A proxy counts phases above its rounds, which no aggregator does.
    assert_eq!(said(round, &[U256::from(1) << 64, small(8)], &[small(9)]), range(0, "a number below 2^32"));
    let received = "SafeReceived(address,uint256)";
    let all = wide - small(1);
    assert_eq!(said(received, &[small(5)], &[all]), Ok(Said::Received { from: address(5), wei: u128::MAX }));
    assert_eq!(said(received, &[small(5)], &[wide]), range(1, "a number below 2^128"));
    assert_eq!(said(received, &[small(5), small(6)], &[small(1)]), Err(Reject::Topics { found: 2, expected: 1 }));
    // Of either release of a safe.
    let executed = Said::Executed { transaction: word(3), refund: 4 };
    let success = "ExecutionSuccess(bytes32,uint256)";
    assert_eq!(said(success, &[small(3)], &[small(4)]), Ok(executed));
    assert_eq!(said(success, &[], &[small(3), small(4)]), Ok(executed));
    assert_eq!(said(success, &[], &[small(3)]), Err(Reject::Length { found: 32, expected: 64 }));
    assert_eq!(said(success, &[small(3)], &[small(3), small(4)]), Err(Reject::Length { found: 64, expected: 32 }));
    let allocated = "OevAllocated(address,address,address,uint256,uint256,uint256,uint256)";
    let parties = [1, 2, 3].map(small);
    assert_eq!(
        said(allocated, &parties, &[10, 2, 3, 5].map(small)),
        Ok(Said::Allocated { protocol: address(3), bid: 10, auctioneer: 2, builder: 3, kept: 5 })
    );
    assert_eq!(said(allocated, &parties, &[wide, wide, wide, wide]), range(3, "a number below 2^128"));
    let solved = "SolverTxResult(address,address,address,address,uint256,bool,bool,uint256)";
    assert_eq!(
        said(solved, &parties, &[0, 9, 1, 0, 1 << 40].map(small)),
        Ok(Said::Solved {
            solver: address(2),
            control: address(3),
            token: address(0),
            bid: 9,
            executed: true,
            succeeded: false
        })
    );
    assert_eq!(said(solved, &parties, &[0, 9, 2, 0, 0].map(small)), range(5, "true or false"));
    let settled = "MetacallResult(address,address,bool,uint256,uint256)";
    assert_eq!(
        said(settled, &parties[..2], &[1, 6, 7].map(small)),
        Ok(Said::Settled { bundler: address(1), user: address(2), succeeded: true, paid: 6, surcharge: 7 })
    );
}
