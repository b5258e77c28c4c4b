//! What is kept comes back exactly, once, and only where it was.

use proptest::prelude::*;
use protocol::perp::{
    Candle, Counting, Depth, Distortion, Distortions, Funding, Gap, GapCause, Kind, Level, Liquidation, Margin,
    Measure, Observation, Observed, OpenInterest, Position, Price, PricedAt, Series, TierTable,
};
use protocol::time::{SECOND_US, TimeUs};
use protocol::venue::{Side, Tiers, Venue};
use protocol::{Address, Decimal};

use super::{append, load};
use crate::archive::{Archive, Table, TimeRange, Writer};
use crate::venue::Reject;

const START: i64 = 1_700_000_000 * SECOND_US;

/// Numbers as venues state them, the largest and the finest that are kept among them.
fn number() -> impl Strategy<Value = Decimal> {
    prop_oneof![
        (any::<i64>(), 0_u32..19).prop_map(|(mantissa, scale)| Decimal::new(mantissa, scale)),
        Just(Decimal::ZERO),
        Just(Decimal::new(1, 18)),
        Just("99999999999999999999".parse().unwrap()),
        Just("-99999999999999999999".parse().unwrap()),
        Just("9999999999.999999999999999999".parse().unwrap()),
    ]
}

fn maybe() -> impl Strategy<Value = Option<Decimal>> {
    prop::option::of(number())
}

fn one_of<T: Copy + std::fmt::Debug + 'static>(all: &'static [T]) -> impl Strategy<Value = T> {
    prop::sample::select(all)
}

fn levels() -> impl Strategy<Value = Vec<Level>> {
    prop::collection::vec((number(), number()).prop_map(|(price, coins)| Level { price, coins }), 1..4)
}

/// Boxed, as all of them in one value would be too large for a stack.
fn fact() -> impl Strategy<Value = Observed> {
    let side = || one_of(&[Side::Long, Side::Short]);
    let candle = (one_of(&Series::ALL), prop::array::uniform4(number()), prop::array::uniform3(maybe()), any::<bool>());
    let candle = candle.prop_map(|(series, [open, high, low, close], [volume, turnover, taker_buy], finished)| {
        Observed::Candle(Candle { series, interval: 60, open, high, low, close, volume, turnover, taker_buy, finished })
    });
    let open = (number(), maybe(), number(), one_of(&Counting::ALL), one_of(&Measure::ALL));
    let open = open.prop_map(|(coins, usd, reported, counting, unit)| {
        Observed::OpenInterest(OpenInterest { coins, usd, reported, counting, unit })
    });
    let price = (maybe(), maybe()).prop_map(|(mark, index)| Observed::Price(Price { mark, index }));
    let funding = (number(), prop::option::of(1..i64::MAX), any::<bool>(), prop::option::of(any::<i64>()));
    let funding = funding.prop_map(|(rate, interval, settled, pays_at)| {
        Observed::Funding(Funding { rate, interval, settled, pays_at: pays_at.map(TimeUs) })
    });
    let liquidation = (side(), number(), number(), one_of(&PricedAt::ALL), maybe(), any::<u32>());
    let liquidation = liquidation.prop_map(|(side, coins, price, priced_at, usd, ordinal)| {
        Observed::Liquidation(Liquidation { side, coins, price, priced_at, usd, ordinal })
    });
    let depth = (levels(), levels()).prop_map(|(bids, asks)| Observed::Depth(Depth { bids, asks }));
    let tiers = one_of(&Measure::ALL).prop_map(|floors| {
        let row = |floor, rate, leverage| (Decimal::from(floor), Decimal::new(rate, 3), Decimal::from(leverage));
        let tiers = Tiers::continuous(&[row(0, 4, 125), row(50_000, 5, 100), row(600_000, 10, 75)]).unwrap();
        Observed::Tiers(TierTable { tiers, floors })
    });
    let margin = prop_oneof![
        (number(), maybe()).prop_map(|(account_value, maintenance)| Margin::Cross { account_value, maintenance }),
        (number(), number()).prop_map(|(equity, cash)| Margin::Isolated { equity, cash }),
    ];
    let position = (any::<u8>(), side(), prop::array::uniform4(number()), prop::array::uniform3(maybe()), margin);
    let position =
        position.prop_map(|(account, side, [coins, value, leverage, account_value], [entry, max, price], margin)| {
            Observed::Position(Position {
                account: Address::repeat_byte(account),
                side,
                coins,
                entry,
                value,
                leverage,
                max_leverage: max,
                margin,
                account_value,
                liquidation_price: price,
            })
        });
    let gap = (any::<i64>(), one_of(&GapCause::ALL), prop::sample::subsequence(Kind::ALL.to_vec(), 0..4));
    let gap = gap.prop_map(|(until, cause, kinds)| Observed::Gap(Gap { until: TimeUs(until), cause, kinds }));
    prop_oneof![
        candle.boxed(),
        open.boxed(),
        price.boxed(),
        funding.boxed(),
        liquidation.boxed(),
        depth.boxed(),
        tiers.boxed(),
        position.boxed(),
        gap.boxed()
    ]
    .boxed()
}

fn observation() -> impl Strategy<Value = Observation> {
    let distortions = prop::sample::subsequence(Distortion::ALL.to_vec(), 0..3);
    let venue = one_of(&[Venue::Bybit, Venue::BinanceCoinm]);
    // Few instruments and moments, so that some are the same one.
    let place = (one_of(&["BTCUSDT", "", "ÄÖ x\"'"]), 0_i64..6, 0_i64..3);
    (venue, place, distortions, fact()).prop_map(|(venue, (symbol, time, heard), distortions, fact)| Observation {
        venue,
        symbol: symbol.into(),
        time: TimeUs(START + time * SECOND_US + time),
        received: TimeUs(START + heard),
        distortions: distortions.into_iter().collect(),
        fact,
    })
}

fn everything(archive: &Archive, range: &TimeRange) -> Vec<Observation> {
    let tables = [Venue::BinanceCoinm, Venue::Bybit].into_iter().flat_map(|venue| Kind::ALL.map(|kind| (venue, kind)));
    tables.flat_map(|(venue, kind)| load(archive, venue, kind, range).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_kept_in_any_number_of_parts_comes_back_once_as_heard_last(
        parts in prop::collection::vec(prop::collection::vec(observation(), 0..12), 1..4),
        (from, until) in (0_i64..7, 0_i64..7),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        let mut expected: std::collections::BTreeMap<_, Observation> = std::collections::BTreeMap::new();
        let mut counts = (0, 0);
        for (at, part) in parts.iter().enumerate() {
            // Later parts are heard later.
            let heard = |row: &Observation| Observation { received: TimeUs(row.received.0 + 10 * at as i64), ..row.clone() };
            let part: Vec<Observation> = part.iter().map(heard).collect();
            let appended = append(&writer, &part, &[]).unwrap();
            prop_assert_eq!(appended.rejects, 0);
            counts = (counts.0 + appended.kept, counts.1 + appended.repeats);
            let mut latest: std::collections::BTreeMap<_, Observation> = std::collections::BTreeMap::new();
            for row in part {
                match latest.get(&row.key()) {
                    Some(before) if before.received > row.received => {}
                    Some(before) if before.fact == row.fact && before.distortions == row.distortions => {}
                    _ => { latest.insert(row.key(), row); }
                }
            }
            for (key, row) in latest {
                let same = expected.get(&key).is_some_and(|before| before.fact == row.fact && before.distortions == row.distortions);
                if !same {
                    expected.insert(key, row);
                }
            }
        }
        let expected: Vec<Observation> = expected.into_values().collect();
        prop_assert_eq!(&everything(&archive, &TimeRange::ALL), &expected);
        prop_assert!(counts.0 >= expected.len() as u64);
        let range = TimeRange { from: TimeUs(START + from * SECOND_US), until: TimeUs(START + until * SECOND_US) };
        let inside: Vec<Observation> = expected.into_iter().filter(|row| range.from <= row.time && row.time < range.until).collect();
        prop_assert_eq!(everything(&archive, &range), inside);
    }
}

fn price(symbol: &str, mark: &str, heard: i64) -> Observation {
    Observation {
        venue: Venue::Okx,
        symbol: symbol.into(),
        time: TimeUs(START),
        received: TimeUs(START + heard),
        distortions: Distortions::NONE,
        fact: Observed::Price(Price { mark: Some(mark.parse().unwrap()), index: None }),
    }
}

#[test]
fn what_is_said_again_is_not_kept_again_and_what_is_said_anew_counts() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let all = || load(&archive, Venue::Okx, Kind::Prices, &TimeRange::ALL).unwrap();
    let first = append(&writer, &[price("A", "1.50", 0), price("A", "1.5", 1), price("B", "2", 0)], &[]).unwrap();
    assert_eq!(
        (first.kept, first.repeats, first.files.len()),
        (2, 1, 1),
        "one number written in two ways is one number"
    );
    let again = append(&writer, &[price("A", "1.5", 5)], &[]).unwrap();
    assert_eq!((again.kept, again.repeats, again.files.len()), (0, 1, 0));
    append(&writer, &[price("A", "1.6", 9)], &[]).unwrap();
    assert_eq!(all(), [price("A", "1.6", 9), price("B", "2", 0)]);
    append(&writer, &[price("A", "1.4", 2)], &[]).unwrap();
    assert_eq!(all()[0], price("A", "1.6", 9), "what was heard before does not count, whenever it is kept");
}

#[test]
fn what_does_not_fit_and_what_was_rejected_is_kept_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let rows = [price("A", "0.0000000000000000001", 0), price("B", "100000000000000000000", 0), price("C", "1", 0)];
    let empty = Observation { fact: Observed::Depth(Depth::default()), ..price("D", "1", 0) };
    let reject = Reject { reason: "malformed", detail: "no number".to_owned(), row: "{}".to_owned() };
    let appended = append(&writer, &[&rows[..], &[empty]].concat(), &[(Venue::Okx, reject)]).unwrap();
    assert_eq!((appended.kept, appended.rejects, appended.files.len()), (1, 3, 2));
    let folder = archive.perps_rejects_folder(Venue::Okx);
    let names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let file = crate::archive::DataFile::open(names[0].clone()).unwrap();
    assert_eq!((file.footer.table, file.rows()), (Table::Rejects, 4));
}

#[test]
fn a_file_in_another_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Archive::at(folder.path()).unwrap();
    let writer = Writer::open(&archive).unwrap();
    let file = append(&writer, &[price("A", "1", 0)], &[]).unwrap().files.remove(0);
    for (venue, kind) in [(Venue::Okx, Kind::Funding), (Venue::Bybit, Kind::Prices)] {
        let other = archive.perps_folder(venue, kind);
        std::fs::create_dir_all(&other).unwrap();
        std::fs::copy(&file, other.join(file.file_name().unwrap())).unwrap();
        assert!(load(&archive, venue, kind, &TimeRange::ALL).is_err(), "{venue} {kind}");
    }
    let hidden = archive.perps_folder(Venue::Okx, Kind::Prices).join(".1-0.part");
    std::fs::write(&hidden, "half").unwrap();
    drop(writer);
    let _writer = Writer::open(&archive).unwrap();
    assert!(!hidden.exists(), "the next writer sweeps");
}
