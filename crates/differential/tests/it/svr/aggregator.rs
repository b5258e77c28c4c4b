//! What a dual aggregator takes, what it refuses and in which order, and who sees what when.

use alloy_primitives::{Address, B256, Bytes, U256, b256};
use differential::abi::{self, Value};
use differential::evm::ADMIN;
use differential::svr::key::Key;
use differential::svr::oracle::{MOST, Reader, Settings};
use differential::svr::report::{Report, Transmission, Way, integer};

use super::Site;
use Way::{Primary, Secondary};

/// By which ways a round comes, and how many seconds after its beginning; then when it is looked at, and which round
/// standard and secondary readers see. Round 1 is old, the round is 2, and the cutoff is 10.
type Row = (&'static [(u64, Way)], u64, [u32; 2]);

const TABLE: &[Row] = &[
    // In public only: hidden from secondary readers through the very second in which the cutoff ends.
    (&[(0, Primary)], 0, [2, 1]),
    (&[(0, Primary)], 1, [2, 1]),
    (&[(0, Primary)], 10, [2, 1]),
    (&[(0, Primary)], 11, [2, 2]),
    (&[(0, Primary)], 12, [2, 2]),
    // Through the auction only: hidden from standard readers in its own block.
    (&[(0, Secondary)], 0, [1, 2]),
    (&[(0, Secondary)], 1, [2, 2]),
    (&[(0, Secondary)], 10, [2, 2]),
    (&[(0, Secondary)], 11, [2, 2]),
    // Both, in the same block and later, the second one fresh and stale.
    (&[(0, Primary), (0, Secondary)], 0, [2, 2]),
    (&[(0, Primary), (0, Secondary)], 1, [2, 2]),
    (&[(0, Primary), (0, Secondary)], 11, [2, 2]),
    (&[(0, Secondary), (0, Primary)], 0, [2, 2]),
    (&[(0, Secondary), (0, Primary)], 1, [2, 2]),
    (&[(0, Secondary), (0, Primary)], 11, [2, 2]),
    (&[(0, Primary), (5, Secondary)], 5, [2, 2]),
    (&[(0, Primary), (5, Secondary)], 6, [2, 2]),
    (&[(0, Primary), (11, Secondary)], 11, [2, 2]),
    (&[(0, Primary), (11, Secondary)], 12, [2, 2]),
    (&[(0, Secondary), (5, Primary)], 5, [2, 2]),
    (&[(0, Secondary), (11, Primary)], 11, [2, 2]),
    (&[(0, Secondary), (11, Primary)], 12, [2, 2]),
];

#[test]
fn who_sees_what_when() {
    for (ways, at, expected) in TABLE {
        let Some(mut site) = Site::begun(Settings::default()) else { return };
        let begin = site.chain.now();
        let report = site.oracle.next(begin, 200).unwrap();
        for (after, way) in *ways {
            site.chain.warp(begin + after - site.chain.now());
            site.bring(&report, *way).unwrap();
        }
        site.chain.warp(begin + at - site.chain.now());
        assert_eq!(site.rounds(), *expected, "{ways:?} seen at {at}");
    }
}

/// With 12 s between blocks a cutoff of 10 s is one block and one of 12 s two, since the moment itself belongs to it.
#[test]
fn the_exclusive_window_in_blocks() {
    for (cutoff, blocks) in [(0, 1), (10, 1), (11, 1), (12, 2), (23, 2), (24, 3)] {
        let Some(mut site) = Site::begun(Settings { cutoff, ..Settings::default() }) else { return };
        site.round(200, Primary);
        let mut waited = 0;
        while site.seen(Reader::Svr).round == 1 {
            site.chain.warp(12);
            waited += 1;
        }
        assert_eq!(waited, blocks, "cutoff {cutoff}");
    }
}

#[test]
fn a_new_round_writes_its_events_under_the_known_topics() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let report = site.oracle.next(site.chain.now(), 200).unwrap();
    let now = site.chain.now();
    let logs = site.bring(&report, Secondary).unwrap().logs;
    let topics: Vec<B256> = logs.iter().map(|log| log.topics()[0]).collect();
    assert_eq!(
        topics,
        [
            b256!("8d530b9ddc4b318d28fdd4c3a21fcfecece54c1a72a824f262985b99afef009b"),
            b256!("c797025feeeaf2cd924c99e9205acb8ec04d5cad21c41ce637a38fb6dee6016a"),
            b256!("0109fc6f55cf40689f02fbaad7af7fe7bbac8a3d2186600afc7d3e10cac60271"),
            b256!("0559884fd3a460db3073b7fc896cc77986f16e378210ded43186175bf646fc5f"),
        ]
    );
    assert!(logs.iter().all(|log| log.address == site.oracle.aggregator));
    let two = B256::with_last_byte(2);
    assert_eq!(logs[0].topics()[1..], [two]);
    assert_eq!(logs[1].topics()[1..], [two]);
    let told: Vec<U256> = [0, 1, 2, 5, 6, 7].map(|index| abi::word_at(&logs[1].data.data, index)).to_vec();
    let digest = site.oracle.digest.into();
    let sender = abi::word(site.oracle.forwarder);
    assert_eq!(told, [U256::from(200), sender, U256::from(now), U256::ZERO, digest, U256::from(2)]);
    assert_eq!(logs[2].topics()[1..], [two, B256::ZERO]);
    assert_eq!(logs[3].topics()[1..], [B256::from(U256::from(200)), two]);
    assert_eq!(abi::word_at(&logs[3].data.data, 0), U256::from(now));
    let unlocked = site.bring(&report, Primary).unwrap().logs;
    let primary_feed_unlocked = b256!("da2435684a37fba6f7841e49b59e6ad975e462bbebd28ec9da4ed9746a6992be");
    assert_eq!((unlocked.len(), unlocked[0].topics()), (1, &[primary_feed_unlocked, two][..]));
    for (call, topic) in [
        ("setCutoffTime(uint32)", b256!("b24a681ce3399a408a89fd0c2b59dfc24bdad592b1c7ec7671cf060596c1c4d1")),
        ("setMaxSyncIterations(uint32)", b256!("cba51f727ba38740aa888ce0cb33f68de587733f61d3fafa0d9fb2b29e7f829f")),
    ] {
        let aggregator = site.oracle.aggregator;
        let set = abi::words(call, &[U256::from(33)]);
        assert_eq!(site.call(Address::repeat_byte(9), aggregator, set.clone()).unwrap_err(), "OnlyOwner");
        let logs = site.call(ADMIN, aggregator, set).unwrap().logs;
        assert_eq!(logs[0].topics(), [topic]);
        assert_eq!(abi::word_at(&logs[0].data.data, 0), U256::from(33));
    }
}

/// A call that may be spoiled in several places at once.
#[derive(Clone)]
struct Attempt {
    from: Address,
    way: Way,
    context: [B256; 3],
    report: Report,
    /// Words behind the report's own end.
    excess: usize,
    keys: Vec<Key>,
    /// How many halves of signatures are left out.
    missing: usize,
    /// Behind the call's own end.
    tail: Vec<u8>,
}

impl Attempt {
    fn call(&self) -> Bytes {
        let mut encoded = self.report.encode();
        encoded.extend(vec![0; 32 * self.excess]);
        let mut transmission = Transmission { context: self.context, report: encoded, signatures: Vec::new() };
        let hash = transmission.hash();
        transmission.signatures = self.keys.iter().map(|key| key.sign(hash).unwrap()).collect();
        let mut data =
            if self.missing == 0 { transmission.call(self.way) } else { self.uneven(&transmission) }.to_vec();
        data.extend(&self.tail);
        data.into()
    }

    /// The call with fewer second halves than first ones.
    fn uneven(&self, transmission: &Transmission) -> Bytes {
        let firsts = transmission.signatures.iter().map(|signature| U256::from_be_bytes(signature.r.0));
        let count = transmission.signatures.len() - self.missing;
        let seconds = transmission.signatures.iter().take(count).map(|signature| U256::from_be_bytes(signature.s.0));
        abi::call(
            "transmit(bytes32[3],bytes,bytes32[],bytes32[],bytes32)",
            &[
                Value::Tuple(self.context.map(|word| Value::Word(word.into())).to_vec()),
                Value::Bytes(transmission.report.clone()),
                Value::array(firsts),
                Value::array(seconds),
                Value::Word(U256::ZERO),
            ],
        )
    }
}

/// How a call is spoiled, and what it is refused with, in the order in which the contract looks.
type Spoiled = (&'static str, fn(&mut Attempt));

const SPOILED: &[Spoiled] = &[
    ("UnauthorizedTransmitter", |attempt| attempt.from = Address::repeat_byte(0x66)),
    ("ConfigDigestMismatch", |attempt| attempt.context[0] = B256::repeat_byte(1)),
    ("CalldataLengthMismatch", |attempt| attempt.tail.push(0)),
    ("WrongNumberOfSignatures", |attempt| attempt.keys.truncate(1)),
    ("SignaturesOutOfRegistration", |attempt| attempt.missing = 1),
    ("ReportLengthMismatch", |attempt| attempt.excess = 1),
    ("StaleReport", |attempt| attempt.context[1] = B256::ZERO),
    ("SignatureError", |attempt| attempt.keys[0] = Key::new(99).unwrap()),
    ("DuplicateSigner", |attempt| attempt.keys[1] = attempt.keys[0].clone()),
    ("NumObservationsOutOfBounds", |attempt| attempt.report.observations.resize(32, integer(1))),
    ("TooFewValuesToTrustMedian", |attempt| attempt.report.observations.truncate(1)),
    ("MedianIsOutOfMinMaxRange", |attempt| attempt.report.observations.fill(integer(0))),
    ("MedianIsOutOfMinMaxRange", |attempt| attempt.report.observations.fill(integer(MOST + 1))),
];

fn attempt(site: &Site) -> Attempt {
    let now = u32::try_from(site.chain.now()).unwrap();
    Attempt {
        from: site.oracle.transmitters()[1],
        way: Primary,
        context: [site.oracle.digest, B256::from(U256::from(site.oracle.epoch + 1)), B256::ZERO],
        report: Report::unanimous(now, 200, site.oracle.keys.len()),
        excess: 0,
        keys: site.oracle.keys[..2].to_vec(),
        missing: 0,
        tail: Vec::new(),
    }
}

/// Each fault has its error, of two the one that is looked at first, and nothing of a refused call remains.
#[test]
fn every_refusal_has_its_error_and_its_turn() {
    let Some(mut site) = Site::begun(Settings::default()) else { return };
    let aggregator = site.oracle.aggregator;
    let before = site.rounds();
    let mut tried = 0;
    for (place, (first, spoil)) in SPOILED.iter().enumerate() {
        for (_, spoil_too) in &SPOILED[place..] {
            for way in [Primary, Secondary] {
                let mut attempt = Attempt { way, ..attempt(&site) };
                // Later faults first: what an earlier one cuts off must not be missed by them.
                spoil_too(&mut attempt);
                spoil(&mut attempt);
                let refused = site.call(attempt.from, aggregator, attempt.call()).unwrap_err();
                assert_eq!(refused, *first, "{way:?}");
                tried += 1;
            }
        }
    }
    assert!(tried > 120, "{tried}");
    let good = attempt(&site);
    site.chain.warp(1_000);
    assert_eq!(site.rounds(), before);
    site.call(good.from, aggregator, good.call()).unwrap();
    assert_eq!(site.rounds()[0], before[0] + 1);
}
