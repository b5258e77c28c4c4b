//! Rows add up to what came, to the unit.

use super::super::attribute::tests::story;
use super::super::facts::{Path, Trigger};
use super::super::row::{Broken, Loss, Route, usd_of};
use super::super::testing::*;
use super::*;
use proptest::prelude::*;

fn found(block: &Block, terms: &Terms) -> Found {
    Ledger::new(Rules::default(), terms.clone()).block(block).unwrap()
}

#[test]
fn a_refund_tells_the_bid_by_the_share_that_is_handed_on() {
    let told =
        vec![(3, update(1, Path::Secondary)), (4, taken(1, 500_000_000_000)), (5, payment(900_000_000_000_000_001))];
    let row = &found(&block(1, told), &Terms::aave()).rows[0];
    // ceil(900_000_000_000_000_001 / 0.9) = 1_000_000_000_000_000_002, of which floor(90 %) is what came.
    assert_eq!(row.bid_wei, Some(Known { value: 1_000_000_000_000_000_002, standing: Standing::Estimated }));
    assert_eq!(row.builder_wei, Some(Known { value: 100_000_000_000_000_001, standing: Standing::Estimated }));
    assert_eq!(row.recaptured_wei, Some(900_000_000_000_000_001));
    assert_eq!((row.network_wei, row.protocol_wei), (Some(315_000_000_000_000_000), Some(585_000_000_000_000_001)));
    let usd = row.dollars().unwrap();
    assert_eq!((usd.bid, usd.builder), (Usd8(200_000_000_000), Usd8(20_000_000_000)));
    assert_eq!(
        (usd.recaptured, usd.network, usd.protocol),
        (Usd8(180_000_000_000), Usd8(63_000_000_000), Usd8(117_000_000_000))
    );
    assert_eq!(usd.standing, Standing::Estimated);
}

#[test]
fn a_settlement_tells_everything_exactly() {
    let told = vec![
        (3, update(1, Path::Secondary)),
        (3, taken(1, 500_000_000_000)),
        (3, solved(1_001, true)),
        (3, allocated(1_001, 50, 35, 916)),
    ];
    let row = &found(&block(1, told), &Terms::aave()).rows[0];
    assert_eq!(row.bid_wei, Some(Known { value: 1_001, standing: Standing::Exact }));
    assert_eq!(row.builder_wei, Some(Known { value: 85, standing: Standing::Exact }));
    assert_eq!((row.recaptured_wei, row.protocol_wei, row.network_wei), (Some(916), Some(596), Some(320)));
}

#[test]
fn liquidations_share_by_gross_bonus_and_the_largest_owns_what_is_left_over() {
    let told = vec![
        (3, update(1, Path::Secondary)),
        (4, taken(1, 100)),
        (4, taken(1, 200)),
        (4, taken(1, -7)),
        (5, payment(1_000)),
    ];
    let rows = found(&block(1, told), &Terms::aave()).rows;
    let of = |wei: fn(&Row) -> Option<u128>| rows.iter().map(|row| wei(row).unwrap()).collect::<Vec<_>>();
    // 1000 = 650 + 350; 650 in thirds is 216 and 433, and one over.
    assert_eq!(of(|row| row.protocol_wei), [216, 434, 0]);
    assert_eq!(of(|row| row.network_wei), [116, 234, 0]);
    assert_eq!(of(|row| row.recaptured_wei), [332, 668, 0]);
    assert_eq!(of(|row| row.gas_wei), [333_334, 333_333, 333_333]);
    assert!(rows.iter().all(|row| row.shared_by == Some(3)));
}

#[test]
fn what_cannot_be_shared_is_in_no_row_and_is_not_lost() {
    let unpriced = |bonus| taken_for(Trigger::Round { aggregator: FEED, round: 1 }, bonus);
    let told = vec![(3, update(1, Path::Secondary)), (4, unpriced(Some(5))), (4, unpriced(None)), (5, payment(1_000))];
    let shared = found(&block(1, told), &Terms::aave());
    assert!(shared.rows.iter().all(|row| row.route == Route::Paid && row.bid_wei.is_none() && row.payment.is_some()));
    assert_eq!(
        shared.strays.iter().map(|stray| (stray.wei, stray.reason)).collect::<Vec<_>>(),
        [(1_000, StrayReason::BonusUnknown)]
    );
    // Alone it takes all, whatever it was worth.
    let told = vec![(3, update(1, Path::Secondary)), (4, unpriced(None)), (5, payment(1_000))];
    assert_eq!(found(&block(1, told), &Terms::aave()).rows[0].recaptured_wei, Some(1_000));
}

#[test]
fn without_a_price_at_its_block_there_are_no_dollars_and_wei_stay_exact() {
    let mut unpriced = block(1, vec![(3, update(1, Path::Secondary)), (4, taken(1, 500)), (5, payment(1_000))]);
    unpriced.native_usd = None;
    let row = &found(&unpriced, &Terms::aave()).rows[0];
    assert_eq!((row.dollars(), row.gas_usd(), row.remainder(), row.recaptured_wei), (None, None, None, Some(1_000)));
    unpriced.native_usd = Some(Usd8(-1));
    assert_eq!(found(&unpriced, &Terms::aave()).rows[0].dollars(), None, "a price below nothing is no price");
}

#[test]
fn a_value_that_cannot_be_is_none() {
    let terms = Terms { execution: Some(Execution { slippage_bps: 30, flash_loan_bps: 5 }), ..Terms::aave() };
    let changes: [fn(&mut Value); 4] = [
        |value| value.protocol_fee = Usd8(-1_000_000_000_000),
        |value| value.collateral = Usd8(-1),
        |value| value.debt = Usd8(-1),
        |value| value.bonus = Usd8(i128::MIN),
    ];
    for change in changes {
        let mut told = vec![(3, update(1, Path::Secondary)), (4, taken(1, -500)), (5, payment(1_000))];
        let Happened::Liquidated(liquidated) = &mut told[1].1 else { panic!() };
        change(liquidated.value.as_mut().unwrap());
        let row = &found(&block(1, told), &terms).rows[0];
        assert_eq!((row.value, row.execution_usd, row.recaptured_wei), (None, None, Some(1_000)));
    }
}

#[test]
fn what_is_left_to_the_searcher_says_why_it_is_a_loss() {
    let terms = Terms { execution: Some(Execution { slippage_bps: 30, flash_loan_bps: 5 }), ..Terms::aave() };
    let ether = 1_000_000_000_000_000_000_u128;
    for (bonus, wei, left, loss) in [
        // Execution: 0.3 % of 104,500 + 0.05 % of 100,000 = 363.50; fees of 10^6 wei cost one unit, rounded up.
        (500_000_000_000, ether, 500_000_000_000 - 50_000_000_000 - 222_222_222_222 - 1 - 36_350_000_000, None),
        (
            500_000_000_000,
            2 * ether,
            500_000_000_000 - 50_000_000_000 - 444_444_444_444 - 1 - 36_350_000_000,
            Some(Loss::Execution),
        ),
        (
            500_000_000_000,
            3 * ether,
            500_000_000_000 - 50_000_000_000 - 666_666_666_666 - 1 - 36_350_000_000,
            Some(Loss::Bid),
        ),
        (-10_000_000_000, 0, -10_000_000_000 - 1 - 34_970_000_000, Some(Loss::Bonus)),
    ] {
        let told = vec![(3, update(1, Path::Secondary)), (4, taken(1, bonus)), (5, payment(wei))];
        let row = &found(&block(1, told), &terms).rows[0];
        let remainder = row.remainder().unwrap();
        assert_eq!((remainder.usd.value, remainder.loss), (Usd8(left), loss), "{bonus} {wei}");
        assert_eq!(remainder.usd.standing, Standing::Estimated);
    }
    let missed = block(1, vec![(3, update(1, Path::Secondary)), (4, taken(1, 500))]);
    let unread = Block { is_whole: false, ..missed.clone() };
    assert!(found(&missed, &terms).rows[0].remainder().is_some(), "nobody paid");
    assert_eq!(found(&unread, &terms).rows[0].remainder(), None, "perhaps somebody paid");
}

#[test]
fn a_row_that_does_not_add_up_says_where() {
    let told = vec![(3, update(1, Path::Secondary)), (4, taken(1, 500_000_000_000)), (5, payment(1_000))];
    let good = found(&block(1, told), &Terms::aave()).rows.remove(0);
    assert_eq!(good.check(), Ok(()));
    let broken = |change: fn(&mut Row)| {
        let mut row = good.clone();
        change(&mut row);
        row.check()
    };
    assert_eq!(broken(|row| row.protocol_wei = Some(1)), Err(Broken::Recaptured));
    assert_eq!(broken(|row| row.network_wei = None), Err(Broken::Recaptured));
    assert_eq!(broken(|row| row.bid_wei = row.builder_wei), Err(Broken::Bid));
    assert_eq!(broken(|row| row.route = Route::Unpaid), Err(Broken::Route));
    assert_eq!(broken(|row| row.payment = None), Err(Broken::Route));
}

#[test]
fn native_amounts_are_worth_their_price_rounded_down() {
    for (wei, price, expected) in [
        (1_500_000_000_000_000_000, 200_000_000_000, Some(300_000_000_000)),
        (4_999_999, 200_000_000_000, Some(0)),
        (5_000_000, 200_000_000_000, Some(1)),
        (u128::MAX, i128::MAX, None),
        (1, -1, None),
    ] {
        assert_eq!(usd_of(wei, Usd8(price)), expected.map(Usd8), "{wei} at {price}");
    }
}

proptest! {
    #[test]
    fn rows_and_strays_hold_every_wei_that_came(
        drawn in prop::collection::vec(prop::collection::vec((0_u8..9, 0_u8..3, 0_u8..6), 0..9), 0..8),
        protocol_bps in 0_u16..=10_000,
        refund_bps in 1_u16..=10_000,
    ) {
        let schedule = Schedule::constant(Split::to_protocol(protocol_bps).unwrap());
        let terms = Terms { schedule, refund_bps, execution: Some(Execution { slippage_bps: 30, flash_loan_bps: 5 }) };
        let mut ledger = Ledger::new(Rules::default(), terms);
        for block in &story(1, &drawn) {
            let found = ledger.block(block).unwrap();
let came: u128 = block.happened.iter().map(|(_, happened)| came(happened)).sum();
            let rows: u128 = found.rows.iter().filter_map(|row| row.recaptured_wei).sum();
            let strays: u128 = found.strays.iter().map(|stray| stray.wei).sum();
            prop_assert_eq!(came, rows + strays);
            for row in &found.rows {
                prop_assert_eq!(row.check(), Ok(()));
            }
        }
    }

    #[test]
    fn a_refund_of_the_estimated_bid_is_what_came(wei in 0_u128..1 << 100, refund_bps in 1_u16..=10_000) {
        let parts = BidParts::of(Money::Refund { wei }, &Terms { refund_bps, ..Terms::aave() }, 0);
        let bid = parts.builder + parts.protocol + parts.network;
        prop_assert_eq!(parts.protocol + parts.network, wei);
        let back = |bid: u128| bid * u128::from(refund_bps) / u128::from(WHOLE_BPS);
        prop_assert!(back(bid) >= wei && (bid == 0 || back(bid - 1) < wei));
    }
}
