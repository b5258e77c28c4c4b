//! What the three layers promise: that they add up to the unit, and that the chart shows the table's numbers.

use engine::recapture::Place;
use engine::recapture::row::Known;
use proptest::prelude::*;
use protocol::chain::ChainId;
use protocol::{Address, B256};

use super::*;
use crate::chart::Chart;
use crate::world::World;

/// A row with a bonus, a fee and perhaps a bid and what of it came in, all of one price.
fn row(route: Route, bonus: Option<(i128, i128)>, bid: Option<[u128; 3]>) -> Row {
    let place = Place { transaction_index: 1, log_index: Some(1), transaction: B256::ZERO };
    let value = bonus.map(|(bonus, fee)| engine::recapture::facts::Value {
        collateral: Usd8(1_000_000_000_000 + bonus),
        debt: Usd8(1_000_000_000_000),
        bonus: Usd8(bonus),
        protocol_fee: Usd8(fee),
        standing: Standing::Observed,
    });
    let known = |value| Known { value, standing: Standing::Estimated };
    Row {
        chain: ChainId::ETHEREUM,
        block: 1,
        time: 1_700_000_000,
        place,
        market: "core".to_owned(),
        user: Address::ZERO,
        liquidator: Address::ZERO,
        collateral: Address::ZERO,
        debt: Address::ZERO,
        aggregator: None,
        route,
        why: None,
        shared_by: bid.map(|_| 1),
        value,
        native_usd: Some(Usd8(333_333_333_333)),
        gas_wei: None,
        bid_wei: bid.map(|parts| known(parts.iter().sum())),
        builder_wei: bid.map(|[builder, ..]| known(builder)),
        recaptured_wei: bid.map(|[_, protocol, network]| protocol + network),
        protocol_wei: bid.map(|[_, protocol, _]| protocol),
        network_wei: bid.map(|[.., network]| network),
        payment: bid.map(|_| place),
        execution_usd: None,
    }
}

fn line(layers: &Layers, label: &str) -> Option<i128> {
    let found = layers.steps().iter().find(|(step, _)| step.label.starts_with(label));
    found.map(|(step, _)| step.usd.unwrap().0)
}

proptest! {
    #[test]
    fn the_bonus_is_the_sum_of_all_that_became_of_it(
        rows in prop::collection::vec(
            (0..Route::ALL.len(), -1_000_i128..1 << 60, 0_i128..1 << 56, any::<bool>(),
             [0_u128..1 << 80, 0..1 << 80, 0..1 << 80]),
            0..30,
        ),
        uses in [0_u16..4_000, 0..3_000, 0..3_000],
    ) {
        let rows: Vec<Row> = rows.into_iter().map(|(route, bonus, fee, known, bid)| {
            let route = Route::ALL[route];
            row(route, known.then_some((bonus, fee)), (route == Route::Paid).then_some(bid))
        }).collect();
        let known = |of: fn(&Row) -> i128| rows.iter().filter(|row| row.value.is_some()).map(of).sum::<i128>();
        let protocol: i128 = rows.iter().filter_map(Row::dollars).map(|dollars| dollars.protocol.0).sum();
        let income = protocol + known(|row| row.value.unwrap().protocol_fee.0);
        let part = |bps: u16| u128::try_from(income).unwrap() * u128::from(bps) / 10_000;
        let [buffers, deposits, incentives] = uses.map(part);
        let idle = u128::try_from(income).unwrap() - buffers - deposits - incentives;
        let put = Put { buffers, deposits, incentives, idle, earned: 7, covered: 7 };
        let layers = Layers::of(rows.iter().map(Part::from), Some(Split::AAVE), Some(&put), Standing::Exact).unwrap();
        let get = |label: &str| line(&layers, label).unwrap_or(0);
        prop_assert_eq!(get("Gross bonus"), known(|row| row.value.unwrap().bonus.0));
        prop_assert_eq!(get("Treasury's income"), income);
        // Gross bonus = fee + not routed + not caught + kept + builders + network + protocol.
        let elsewhere = [
            "Protocol's liquidation fee", "No auction", "Missed", "Outside", "Not auctioned", "Nobody paid", "Payment or",
            "Kept by searchers", "Kept by builders", "Network's share",
        ];
        let gone: i128 = elsewhere.map(get).iter().sum();
        prop_assert_eq!(get("Gross bonus") + gone, get("Protocol's share"));
        // One unit more or less anywhere is refused.
        for wrong in [Put { idle: idle + 1, ..put }, Put { earned: put.earned + 1, ..put }] {
            prop_assert!(Layers::of(rows.iter().map(Part::from), None, Some(&wrong), Standing::Exact).is_err());
        }
        // The table's numbers are the chart's.
        let table = layers.table();
        let chart = layers.waterfall(Caption::default());
        prop_assert_eq!(table.rows.len(), chart.steps.iter().len());
        for (cells, (step, place)) in table.rows.iter().zip(chart.steps.iter()) {
            prop_assert_eq!(&cells[1], &Value::Text(step.label.clone()));
            let usd = if step.kind == Kind::Total { &cells[4] } else { &cells[3] };
            prop_assert_eq!(usd, &step.usd.map_or(Value::Missing, Value::Usd));
            prop_assert_eq!(&cells[4], &place.map_or(Value::Missing, |place| Value::Usd(Usd8(place.to))));
        }
        Chart::Waterfall(chart).svg();
    }
}

#[test]
fn what_is_not_known_is_a_gap_and_in_no_amount() {
    let rows = [row(Route::Fallback, Some((500, 50)), None), row(Route::Unknown, None, None)];
    let layers = Layers::of(rows.iter().map(Part::from), None, None, Standing::Exact).unwrap();
    let first = layers.steps().iter().next().unwrap();
    assert_eq!((first.0.usd, first.1), (None, None));
    assert_eq!(line_count(&layers, "Bonus not known"), Some(1));
    assert_eq!(line(&layers, "Gross bonus"), Some(500));
    assert_eq!(line_count(&layers, "Gross bonus"), Some(1));
    assert_eq!(line(&layers, "Not auctioned"), None, "what has no bonus stands in no line of a route");
    assert_eq!(layers.notes(), ["The bonus of 1 liquidation is not known: it stands in no amount."]);
    // A payment that has no price is no zero either: what it left is named as such.
    let mut paid = row(Route::Paid, Some((500, 50)), Some([10, 70, 20]));
    paid.native_usd = None;
    let layers = Layers::of([Part::from(&paid)], None, None, Standing::Exact).unwrap();
    assert_eq!((line(&layers, "Payment or its price"), line(&layers, "Recaptured")), (Some(-450), Some(0)));
}

fn line_count(layers: &Layers, label: &str) -> Option<u64> {
    let at = layers.steps().iter().position(|(step, _)| step.label == label)?;
    layers.counts[at]
}

#[test]
fn standings_are_no_better_than_what_a_line_comes_from() {
    let rows = [row(Route::Paid, Some((500_000_000_000, 50)), Some([10 << 40, 70 << 40, 20 << 40]))];
    let standing = |floor, label: &str| {
        let layers = Layers::of(rows.iter().map(Part::from), None, None, floor).unwrap();
        let found = layers.steps().iter().find(|(step, _)| step.label.starts_with(label)).unwrap();
        found.0.standing
    };
    for (label, expected) in [
        ("Gross bonus", Standing::Observed),
        ("Kept by searchers", Standing::Estimated),
        ("Kept by builders", Standing::Estimated),
        ("Recaptured", Standing::Exact),
        ("Treasury's income", Standing::Observed),
    ] {
        assert_eq!(standing(Standing::Exact, label), expected, "{label}");
        assert_eq!(standing(Standing::Assumed, label), Standing::Assumed);
    }
}

/// The same for a whole world: what the truth of the world adds up to is what the table says.
#[test]
fn a_worlds_layers_are_its_truth() {
    let world = World::of(1);
    let lived = world.lived();
    let (rows, _) = crate::world::found::rows(&lived.told.blocks).unwrap();
    let layers = Layers::of(rows.iter().map(Part::from), Some(Split::AAVE), None, Standing::Assumed).unwrap();
    let sum = |of: &dyn Fn(&crate::world::log::Placed<'_>) -> i128| lived.calls.iter().map(of).sum::<i128>();
    let signed = |usd8: u128| i128::try_from(usd8).unwrap();
    let bonus = sum(&|call| signed(call.seized_usd8()) - signed(call.repaid_usd8()));
    assert_eq!(line(&layers, "Gross bonus"), Some(bonus));
    assert_eq!(line(&layers, "Protocol's liquidation fee"), Some(-sum(&|call| signed(call.fee_usd8()))));
    // Every kind of line but those of unknown causes and prices.
    let labels: Vec<String> = layers.steps().iter().map(|(step, _)| step.label.clone()).collect();
    assert_eq!(labels.len(), 15, "{labels:?}");
}

#[test]
fn somebodys_record_has_its_lines_too() {
    let usd = |dollars: i128| Usd8(dollars * 100_000_000);
    let record = |route, recaptured: Option<i128>, split: Option<[i128; 2]>| Record {
        time: protocol::time::TimeUs(0),
        chain: ChainId::ETHEREUM,
        market: "m".to_owned(),
        feed: None,
        route,
        searcher: None,
        volume: None,
        bonus: Some(usd(100)),
        protocol_fee: None,
        recaptured: recaptured.map(usd),
        protocol: split.map(|split| usd(split[0])),
        network: split.map(|split| usd(split[1])),
        standing: Standing::Imported,
    };
    let routed = record(Route::Paid, Some(60), Some([33, 27]));
    let records = [routed.clone(), record(Route::Unknown, None, None)];
    let layers = Layers::of(records.iter().map(Part::from), None, None, Standing::Imported).unwrap();
    let dollars = |label: &str| line(&layers, label).map(|usd8| usd8 / 100_000_000);
    assert_eq!(
        (dollars("Gross bonus"), dollars("Not auctioned"), dollars("Routed")),
        (Some(200), Some(-100), Some(100))
    );
    assert_eq!((dollars("Kept by searchers and builders"), dollars("Kept by builders")), (Some(-40), None));
    assert_eq!((dollars("Network's"), dollars("Treasury's income")), (Some(-27), Some(33)));
    assert_eq!(layers.standing(), Standing::Imported);
    // Parts that somebody rounded are not made to fit: what they are off is a line of its own.
    let rounded = record(Route::Paid, Some(60), Some([34, 27]));
    let layers = Layers::of([Part::from(&rounded)], None, None, Standing::Imported).unwrap();
    let off = line(&layers, "Off in the record").map(|usd8| usd8 / 100_000_000);
    assert_eq!((off, layers.notes().len()), (Some(1), 2), "{:?}", layers.notes());
    // Without a split the treasury's lines stay open, whatever its rules are.
    let records = [routed, record(Route::Paid, Some(10), None)];
    let put = Put { idle: 1, ..Put::default() };
    let layers = Layers::of(records.iter().map(Part::from), None, Some(&put), Standing::Imported).unwrap();
    let open: Vec<&str> =
        layers.steps().iter().filter(|(step, _)| step.usd.is_none()).map(|(step, _)| &*step.label).collect();
    assert_eq!(open, ["Network's share", "Treasury's income"]);
}

/// Every line there can be at once has room for its name, whole, and for its amount.
#[test]
fn the_longest_table_has_room_in_its_picture() {
    let mut rows: Vec<Row> =
        Route::ALL.iter().map(|route| row(*route, Some((99_999_900_000_000, 1_000_000_000_000)), None)).collect();
    let bid = Some([1 << 80, 1 << 82, 1 << 81]);
    rows.push(row(Route::Paid, Some((900_000_000_000_000, 500_000_000_000)), bid));
    rows.push(row(Route::Paid, None, bid));
    let mut parts: Vec<Part> = rows.iter().map(Part::from).collect();
    let both = parts[rows.len() - 2].clone();
    parts.push(Part { paid: both.paid.map(|paid| Paid { builder: None, ..paid }), ..both });
    let income = line(&Layers::of(parts.clone(), None, None, Standing::Exact).unwrap(), "Treasury's income").unwrap();
    let idle = u128::try_from(income).unwrap() + 9_999_900_000_000 - 8_888_800_000_000 - 3 * 7_777_700_000_000;
    let put = Put {
        earned: 9_999_900_000_000,
        covered: 8_888_800_000_000,
        buffers: 7_777_700_000_000,
        deposits: 7_777_700_000_000,
        incentives: 7_777_700_000_000,
        idle,
    };
    let layers = Layers::of(parts, Some(Split::AAVE), Some(&put), Standing::Exact).unwrap();
    assert_eq!(layers.steps().iter().len(), 25);
    let svg = Chart::Waterfall(layers.waterfall(Caption::default())).svg();
    crate::chart::assert_texts_stand_apart(&svg);
    let cut: Vec<&str> = svg.lines().filter(|line| line.contains('…') || line.contains("Only the first")).collect();
    assert!(cut.is_empty(), "{cut:?}");
}
