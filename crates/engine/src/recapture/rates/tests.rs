//! Rates are what their denominators make of them, in groups and in all.

use super::*;
use proptest::prelude::*;

const DOLLAR: i128 = 100_000_000;

fn record(route: Route, bonus: i128, recaptured: Option<i128>) -> Record {
    let usd = |dollars: i128| Usd8(dollars * DOLLAR);
    Record {
        time: TimeUs(1_760_000_000_000_000),
        chain: ChainId::ETHEREUM,
        market: "core".to_owned(),
        feed: None,
        route,
        searcher: Some(Address::repeat_byte(1)),
        volume: Some(usd(20 * bonus)),
        bonus: Some(usd(bonus)),
        protocol_fee: Some(usd(bonus / 10)),
        recaptured: recaptured.map(usd),
        protocol: recaptured.map(|whole| usd(whole - whole * 35 / 100)),
        network: recaptured.map(|whole| usd(whole * 35 / 100)),
        standing: Standing::Exact,
    }
}

fn sums(records: &[Record]) -> Sums {
    let mut fold = Fold::new(&[]);
    records.iter().for_each(|record| fold.add(record).unwrap());
    *fold.total()
}

#[test]
fn each_rate_stands_beside_its_own_denominator() {
    let sums = sums(&[
        record(Route::Paid, 500, Some(300)),
        record(Route::Unpaid, 100, None),
        record(Route::Leaked, 50, None),
        record(Route::Fallback, 150, None),
        record(Route::OtherFeed, 200, None),
    ]);
    let rates = sums.rates();
    let usd = |ratio: Ratio| (ratio.part.0 / DOLLAR, ratio.whole.0 / DOLLAR, ratio.ppm());
    assert_eq!(usd(rates.of_all), (300, 1_000, Some(300_000)));
    assert_eq!(usd(rates.of_routed), (300, 600, Some(500_000)));
    assert_eq!(usd(rates.coverage), (600, 1_000, Some(600_000)));
    assert_eq!(usd(rates.of_volume), (300, 20_000, Some(15_000)));
    assert_eq!(usd(rates.net_of_all), (300, 900, Some(333_333)));
    assert_eq!(usd(rates.net_of_routed), (300, 540, Some(555_556)));
    assert_eq!(usd(rates.fallback), (150, 800, Some(187_500)));
    assert_eq!((sums.missed().count, sums.missed().bonus), (3, 300 * DOLLAR));
    assert_eq!((sums.protocol, sums.network), (195 * DOLLAR, 105 * DOLLAR));
}

#[test]
fn what_is_not_known_is_counted_and_in_no_rate() {
    let mut unpriced = record(Route::Paid, 500, Some(300));
    unpriced.bonus = None;
    let mut unpaid_in_dollars = record(Route::Paid, 100, None);
    unpaid_in_dollars.protocol_fee = None;
    unpaid_in_dollars.volume = None;
    let sums = sums(&[unpriced, unpaid_in_dollars, record(Route::Paid, 100, Some(80))]);
    assert_eq!((sums.count, sums.without_bonus, sums.without_payment), (3, 1, 1));
    assert_eq!((sums.without_volume, sums.without_fee), (1, 1));
    assert_eq!((sums.recaptured, sums.recaptured_beside), (80 * DOLLAR, 300 * DOLLAR));
    assert_eq!(sums.rates().of_all, Ratio { part: Usd8(80 * DOLLAR), whole: Usd8(200 * DOLLAR) });
    assert_eq!(sums.volume - sums.volume_with_bonus, 10_000 * DOLLAR);
    assert_eq!(Sums::default().rates().of_all.ppm(), None, "nothing of nothing is no rate");
}

#[test]
fn what_is_not_known_to_be_paid_or_auctioned_makes_bounds() {
    let mut paid_in_no_dollars = record(Route::Paid, 50, None);
    let mut elsewhere = record(Route::Paid, 40, Some(30));
    elsewhere.volume = None;
    paid_in_no_dollars.bonus = Some(Usd8(50 * DOLLAR));
    let sums = sums(&[
        record(Route::Paid, 500, Some(300)),
        record(Route::PaymentUnknown, 100, None),
        paid_in_no_dollars,
        elsewhere,
        record(Route::Unknown, 200, None),
        record(Route::NotAuctioned, 110, None),
    ]);
    assert_eq!(sums.bonus_payment_unknown, 150 * DOLLAR);
    let rates = sums.rates();
    let usd = |ratio: Ratio| (ratio.part.0 / DOLLAR, ratio.whole.0 / DOLLAR);
    assert_eq!((usd(rates.coverage), usd(rates.coverage_at_most)), ((690, 1_000), (890, 1_000)));
    // What was recaptured of an unknown volume is no part of a known one.
    assert_eq!((usd(rates.of_volume), usd(rates.of_all)), ((300, 20 * 960), (330, 1_000)));
    assert_eq!(sums.missed().count, 0, "what was not auctioned is not said to have been missed");
}

#[test]
fn concentration_is_that_of_bonuses() {
    let by = |searcher: u8, bonus: i128| Record {
        searcher: (searcher > 0).then(|| Address::repeat_byte(searcher)),
        ..record(Route::Paid, bonus, None)
    };
    let concentration = |records: &[Record]| {
        let mut fold = Fold::new(&[]);
        records.iter().for_each(|record| fold.add(record).unwrap());
        fold.searchers().concentration()
    };
    // (60^2 + 30^2 + 10^2) / 100^2 = 0.46.
    let found = concentration(&[by(1, 60), by(2, 20), by(3, 10), by(2, 10), by(0, 500)]).unwrap();
    assert_eq!((found.searchers, found.index, found.largest.ppm(), found.unnamed), (3, 4_600, Some(600_000), 1));
    assert_eq!(concentration(&[by(1, 7)]).unwrap().index, 10_000);
    assert_eq!(concentration(&[by(0, 7)]), None);
    assert_eq!(concentration(&[by(1, 0)]), None);
}

#[test]
fn groups_are_told_apart_by_every_dimension() {
    let first = record(Route::Paid, 500, Some(300));
    let later = Record { time: TimeUs(first.time.0 + 40 * 86_400_000_000), ..first.clone() };
    let small = Record { volume: Some(Usd8(5)), ..first.clone() };
    let base = Record { chain: ChainId(8_453), ..first.clone() };
    let fed = Record { feed: Some(Address::repeat_byte(9)), ..first.clone() };
    let other = Record { market: "prime".to_owned(), ..first.clone() };
    let missed = record(Route::Fallback, 5, None);
    let elsewhere = Record { searcher: None, ..first.clone() };
    let records = [first, later, small, base, fed, other, missed, elsewhere];
    for (by, groups) in [
        (By::Month, 2),
        (By::Week, 2),
        (By::Hour, 2),
        (By::Size, 2),
        (By::Chain, 2),
        (By::Feed, 2),
        (By::Market, 2),
        (By::Route, 2),
        (By::Searcher, 2),
    ] {
        let mut fold = Fold::new(&[by]);
        records.iter().for_each(|record| fold.add(record).unwrap());
        assert_eq!(fold.groups().len(), groups, "{by:?}");
    }
}

#[test]
fn absurd_values_stop_the_fold() {
    let mut fold = Fold::new(&[]);
    let absurd = Record { bonus: Some(Usd8(i128::MAX)), ..record(Route::Paid, 1, None) };
    fold.add(&absurd).unwrap();
    assert_eq!(fold.add(&absurd), Err(Stopped::TooLarge));
}

#[test]
fn every_route_has_its_place_and_word() {
    for (place, route) in Route::ALL.into_iter().enumerate() {
        assert_eq!((route.place(), Route::from_word(route.word())), (place, Some(route)));
    }
}

prop_compose! {
    fn records()(route in 0_usize..10, bonus in prop::option::of(-10_i128..1_000_000), of in 0_u8..=100, month in 0_i64..5, chain in 1_u64..4) -> Record {
        let route = Route::ALL[route];
        let bonus_value = bonus.unwrap_or(50);
        let recaptured = (route == Route::Paid).then(|| bonus_value.max(0) * i128::from(of) / 100);
        Record {
            time: TimeUs(1_760_000_000_000_000 + month * 31 * 86_400_000_000),
            chain: ChainId(chain),
            bonus: bonus.map(|bonus| Usd8(bonus * DOLLAR)),
            ..record(route, bonus_value, recaptured)
        }
    }
}

proptest! {
    #[test]
    fn rates_of_any_records_agree_and_groups_add_up_to_the_total(records in prop::collection::vec(records(), 0..60)) {
        let mut fold = Fold::new(&[By::Chain, By::Month]);
        for record in &records {
            fold.add(record).unwrap();
        }
        let mut joined = Sums::default();
        for sums in fold.groups().values() {
            prop_assert!(sums.rates().is_consistent());
            joined.merge(sums).unwrap();
        }
        prop_assert_eq!(&joined, fold.total());
        // Each rate again, straight from the records.
        let known: Vec<(&Record, i128)> = records.iter().filter_map(|record| Some((record, record.bonus?.0))).collect();
        let sum = |of: &dyn Fn(&Record, i128) -> i128| known.iter().map(|(record, bonus)| of(record, *bonus)).sum::<i128>();
        let is_routed = |record: &Record| matches!(record.route, Route::Paid | Route::Unpaid | Route::PaymentUnknown);
        let came = sum(&|record, _| record.recaptured.map_or(0, |usd| usd.0));
        let (all, fees) = (sum(&|_, bonus| bonus), sum(&|record, _| record.protocol_fee.unwrap().0));
        let routed = sum(&|record, bonus| if is_routed(record) { bonus } else { 0 });
        let routed_fees = sum(&|record, _| if is_routed(record) { record.protocol_fee.unwrap().0 } else { 0 });
        let of = |routes: &[Route]| sum(&|record, bonus| if routes.contains(&record.route) { bonus } else { 0 });
        let lost = of(&[Route::Leaked, Route::Landed, Route::Fallback]);
        let ratio = |part, whole| Ratio { part: Usd8(part), whole: Usd8(whole) };
        prop_assert_eq!(joined.rates(), Rates {
            of_all: ratio(came, all),
            of_routed: ratio(came, routed),
            coverage: ratio(routed, all),
            coverage_at_most: ratio(routed + of(&[Route::Unknown]), all),
            of_volume: ratio(came, sum(&|record, _| record.volume.unwrap().0)),
            net_of_all: ratio(came, all - fees),
            net_of_routed: ratio(came, routed - routed_fees),
            fallback: ratio(of(&[Route::Fallback]), routed + lost),
        });
        prop_assert_eq!(joined.bonus_payment_unknown, of(&[Route::PaymentUnknown]));
        let protocol_and_network = joined.protocol + joined.network;
        prop_assert_eq!(protocol_and_network, joined.recaptured);
    }
}
