//! What is heard is kept once, in few files, and what was not heard is a gap.

use proptest::prelude::*;
use protocol::perp::{
    Distortions, Gap, GapCause, Instrument, Kind, Liquidation, Observation, Observed, Price, PricedAt,
};
use protocol::time::{SECOND_US, TimeUs};
use protocol::venue::{Contract, Side, Venue};
use protocol::{Decimal, perp};

use super::kept::{Came, Hearing, MOST_SMALL, keep, kept, watched_until};
use super::load;
use crate::archive::{Archive, DataFile, TimeRange, Writer};
use crate::venue::Reject;

const START: i64 = 1_700_000_000;

fn instrument(symbol: &str) -> Instrument {
    Instrument {
        venue: Venue::Okx,
        symbol: symbol.into(),
        base: "BTC".into(),
        quote: "U\"SD\n".into(),
        contract: Contract::Inverse,
        contract_size: "0.01".parse().unwrap(),
        funding_interval: None,
    }
}

fn row(symbol: &str, second: i64, fact: Observed) -> Observation {
    let time = TimeUs((START + second) * SECOND_US);
    Observation { venue: Venue::Okx, symbol: symbol.into(), time, received: time, distortions: Distortions::NONE, fact }
}

fn liquidation(symbol: &str, second: i64) -> Observation {
    let (coins, price) = (Decimal::ONE, Decimal::from(60_000));
    let of = Liquidation { side: Side::Long, coins, price, priced_at: PricedAt::Bankruptcy, usd: None, ordinal: 0 };
    row(symbol, second, Observed::Liquidation(of))
}

fn price(symbol: &str, second: i64, mark: i64) -> Observation {
    row(symbol, second, Observed::Price(Price { mark: Some(Decimal::from(mark)), index: None }))
}

fn hearing<'a>(came: Came, instruments: &'a [Instrument]) -> Hearing<'a> {
    Hearing { venue: Venue::Okx, came, place: "here", instruments }
}

fn files(archive: &Archive, kind: Kind) -> Vec<DataFile> {
    archive.files_in(&archive.perps_folder(Venue::Okx, kind), &TimeRange::ALL).unwrap()
}

fn gaps(archive: &Archive) -> Vec<(i64, i64, GapCause)> {
    let second = |time: TimeUs| time.0 / SECOND_US - START;
    let rows = load(archive, Venue::Okx, Kind::Gaps, &TimeRange::ALL).unwrap();
    let gap = |row: &Observation| {
        let Observed::Gap(Gap { until, cause, .. }) = &row.fact else { panic!("{row:?}") };
        (second(row.time), second(*until), *cause)
    };
    rows.iter().map(gap).collect()
}

#[test]
fn small_files_are_put_together_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let instruments = [instrument("A")];
    let asks = i64::try_from(MOST_SMALL).unwrap() * 3 + 5;
    for ask in 0..asks {
        // Each time a new moment, and anew what was said of the first.
        let rows = [price("A", ask, ask + 1), price("A", 0, ask + 1)];
        let reject = Reject { reason: "malformed", detail: format!("row {ask}"), row: "x".to_owned() };
        keep(&writer, &hearing(Came::Asked, &instruments), &rows, &[reject]).unwrap();
        assert!(files(&archive, Kind::Prices).len() < MOST_SMALL, "after {ask}");
    }
    let found = load(&archive, Venue::Okx, Kind::Prices, &TimeRange::ALL).unwrap();
    assert_eq!(found.len(), usize::try_from(asks).unwrap());
    let all: u64 = files(&archive, Kind::Prices).iter().map(DataFile::rows).sum();
    assert!(all >= u64::try_from(asks).unwrap(), "also what was said anew");
    let rejects = archive.files_in(&archive.perps_rejects_folder(Venue::Okx), &TimeRange::ALL).unwrap();
    let rejected: u64 = rejects.iter().map(DataFile::rows).sum();
    assert!(rejects.len() < MOST_SMALL && rejected == u64::try_from(asks).unwrap(), "{} {rejected}", rejects.len());
    let kept = kept(&archive).unwrap();
    assert_eq!(kept.instruments, instruments);
    assert!(kept.places[&Venue::Okx].contains("here"));
}

#[test]
fn files_that_came_otherwise_are_not_put_together() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let (one, other) = ([instrument("A")], [instrument("A"), instrument("B")]);
    for ask in 0..40 {
        let instruments = if ask % 2 == 0 { &one[..] } else { &other[..] };
        keep(&writer, &hearing(Came::Streamed, instruments), &[price("A", ask, 1)], &[]).unwrap();
    }
    assert_eq!(files(&archive, Kind::Prices).len(), 40, "twenty of either");
}

#[test]
fn between_lists_that_do_not_meet_is_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let instruments = [instrument("A"), instrument("B")];
    let ask = |seconds: &[i64]| {
        let rows: Vec<_> = seconds.iter().map(|second| liquidation("A", *second)).collect();
        keep(&writer, &hearing(Came::Asked, &instruments), &rows, &[]).unwrap()
    };
    assert_eq!(watched_until(&archive, &instruments[0]).unwrap(), None);
    ask(&[10, 20]);
    ask(&[20, 30]);
    assert_eq!(gaps(&archive), [], "the second begins within the first");
    assert_eq!(ask(&[20, 30]).kept, 0);
    ask(&[50, 60]);
    assert_eq!(gaps(&archive), [(30, 50, GapCause::Unwatched)]);
    assert_eq!(watched_until(&archive, &instruments[1]).unwrap(), None, "of another contract nothing is known");
    // A stream that was listened to until 90, without a liquidation: a list that begins before then leaves no gap.
    keep(&writer, &hearing(Came::Streamed, &instruments[..1]), &[price("A", 90, 1)], &[]).unwrap();
    ask(&[85, 95]);
    ask(&[100]);
    assert_eq!(gaps(&archive), [(30, 50, GapCause::Unwatched), (95, 100, GapCause::Unwatched)]);
}

#[test]
fn a_footer_whose_contracts_are_nonsense_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let notes = std::collections::BTreeMap::from([("instruments".to_owned(), "[{}]".to_owned())]);
    super::append_to(&writer, super::Shelf::Observed, &notes, &[price("A", 1, 1)], &[]).unwrap();
    let why = kept(&archive).unwrap_err().to_string();
    assert!(why.contains(".parquet"), "{why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn however_it_is_kept_the_same_is_read(asks in prop::collection::vec(prop::collection::vec((0_i64..20, 1_i64..4), 1..4), 1..70)) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        let instruments = [instrument("A")];
        let mut last = std::collections::BTreeMap::new();
        for (number, ask) in asks.iter().enumerate() {
            let heard = TimeUs((START + 1_000 + i64::try_from(number).unwrap()) * SECOND_US);
            let rows: Vec<_> = ask.iter().map(|(second, mark)| Observation { received: heard, ..price("A", *second, *mark) }).collect();
            keep(&writer, &hearing(Came::Asked, &instruments), &rows, &[]).unwrap();
            for row in rows {
                last.insert(row.time, row.fact);
            }
        }
        let found = load(&archive, Venue::Okx, Kind::Prices, &TimeRange::ALL).unwrap();
        let found: Vec<(TimeUs, perp::Observed)> = found.into_iter().map(|row| (row.time, row.fact)).collect();
        prop_assert_eq!(found, last.into_iter().collect::<Vec<_>>());
    }
}
