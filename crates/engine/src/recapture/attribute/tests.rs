//! Every stated kind of block has a stated outcome, and no payment is lost or counted twice.

use super::super::testing::*;
use super::*;
use proptest::prelude::*;

use Path::{Primary, Secondary};

fn conclude(blocks: &[Block]) -> Vec<Assignments> {
    let mut attribution = Attribution::new(Rules::default());
    blocks.iter().map(|block| attribution.block(block).unwrap()).collect()
}

fn routes(assignments: &Assignments) -> Vec<Route> {
    assignments.taken.iter().map(|taken| taken.route).collect()
}

fn reasons(assignments: &Assignments) -> Vec<(u128, StrayReason)> {
    assignments.strays.iter().map(|stray| (stray.wei, stray.reason)).collect()
}

/// Checks the last block's routes, the money of its bundles with how many liquidations each holds, and its strays.
#[track_caller]
fn check(blocks: &[Block], expected: &[Route], bundles: &[(u128, usize)], strays: &[(u128, StrayReason)]) {
    let found = conclude(blocks).pop().unwrap();
    assert_eq!(routes(&found), expected);
    let paid: Vec<_> =
        found.bundles.iter().map(|bundle| (bundle.money.recaptured_wei(), bundle.liquidations.len())).collect();
    assert_eq!(paid, bundles);
    assert_eq!(reasons(&found), strays);
}

#[test]
fn a_bundle_is_an_update_a_liquidation_behind_it_and_a_payment_behind_that() {
    let told = vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment(90))];
    check(&[block(1, told)], &[Route::Paid], &[(90, 1)], &[]);
}

#[test]
fn an_update_that_the_auction_brought_to_a_round_that_stood_already_is_a_bundle_too() {
    let exposed = Happened::Exposed { aggregator: FEED, round: 1 };
    let told = vec![(0, update(1, Primary)), (3, exposed), (4, taken(1, 500)), (5, payment(90))];
    check(&[block(1, told)], &[Route::Paid], &[(90, 1)], &[]);
}

#[test]
fn several_liquidations_share_a_payment_and_several_updates_may_be_sold_together() {
    let told = vec![
        (3, update(1, Secondary)),
        (4, update_of(OTHER_FEED, 9, Secondary)),
        (5, taken(1, 500)),
        (5, taken_for(Trigger::Round { aggregator: OTHER_FEED, round: 9 }, Some(300))),
        (6, payment(90)),
    ];
    check(&[block(1, told)], &[Route::Paid, Route::Paid], &[(90, 2)], &[]);
}

#[test]
fn each_payment_is_for_the_bundle_nearest_before_it_and_several_in_a_row_for_the_same() {
    let told = vec![
        (3, update(1, Secondary)),
        (4, taken(1, 500)),
        (5, payment(90)),
        (6, payment(1)),
        (9, update_of(OTHER_FEED, 9, Secondary)),
        (10, taken_for(Trigger::Round { aggregator: OTHER_FEED, round: 9 }, Some(300))),
        (11, payment(40)),
    ];
    check(&[block(1, told)], &[Route::Paid, Route::Paid], &[(91, 1), (40, 1)], &[]);
    // The first bundle's builder kept everything.
    let told = vec![
        (3, update(1, Secondary)),
        (4, taken(1, 500)),
        (9, update_of(OTHER_FEED, 9, Secondary)),
        (10, taken_for(Trigger::Round { aggregator: OTHER_FEED, round: 9 }, Some(300))),
        (11, payment(40)),
    ];
    check(&[block(1, told)], &[Route::Unpaid, Route::Paid], &[(40, 1)], &[]);
}

#[test]
fn a_payment_without_liquidation_is_nobodys() {
    let told = vec![(3, update(1, Secondary)), (5, payment(90))];
    check(&[block(1, told)], &[], &[], &[(90, StrayReason::NoLiquidation)]);
    check(&[block(1, vec![(5, payment(90))])], &[], &[], &[(90, StrayReason::NoBundle)]);
    // A liquidation for which no auction was held does not make it somebody's.
    let told = vec![(3, update(1, Secondary)), (4, taken_for(Trigger::NoPrice, Some(5))), (5, payment(90))];
    check(&[block(1, told)], &[Route::NoPrice], &[], &[(90, StrayReason::NoLiquidation)]);
}

#[test]
fn a_payment_before_the_liquidation_is_not_for_it() {
    let told = vec![(2, payment(90)), (3, update(1, Secondary)), (4, taken(1, 500))];
    check(&[block(1, told)], &[Route::Unpaid], &[], &[(90, StrayReason::NoBundle)]);
}

#[test]
fn a_payment_in_a_later_block_is_said_to_be_perhaps_late_and_assigned_to_nobody() {
    let unpaid = block(1, vec![(3, update(1, Secondary)), (4, taken(1, 500))]);
    let late = |number| block(number, vec![(0, payment(90))]);
    check(&[unpaid.clone(), late(2)], &[], &[], &[(90, StrayReason::MaybeLate { block: 1 })]);
    check(&[unpaid.clone(), late(26)], &[], &[], &[(90, StrayReason::MaybeLate { block: 1 })]);
    check(&[unpaid.clone(), late(27)], &[], &[], &[(90, StrayReason::NoBundle)]);
    assert_eq!(routes(&conclude(&[unpaid, late(2)])[0]), [Route::Unpaid]);
}

#[test]
fn only_the_fee_recipient_and_known_payers_pay() {
    let stranger = Address::repeat_byte(0x99);
    let told = vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment_from(stranger, 90))];
    let blocks = [block(1, told)];
    check(&blocks, &[Route::PaymentUnknown], &[], &[(90, StrayReason::Payer(stranger))]);
    assert_eq!(conclude(&blocks)[0].taken[0].why, Some(Untold::Payer), "perhaps that was for it");
    let told = vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment_from(stranger, 90)), (6, payment(7))];
    check(&[block(1, told)], &[Route::Paid], &[(7, 1)], &[(90, StrayReason::Payer(stranger))]);
    // Before the bundle it was not for it.
    let told = vec![(2, payment_from(stranger, 90)), (3, update(1, Secondary)), (4, taken(1, 500))];
    check(&[block(1, told)], &[Route::Unpaid], &[], &[(90, StrayReason::Payer(stranger))]);
    let mut knowing = Attribution::new(Rules { payers: BTreeSet::from([stranger]), ..Rules::default() });
    assert_eq!(routes(&knowing.block(&blocks[0]).unwrap()), [Route::Paid]);
}

#[test]
fn what_was_not_looked_at_whole_is_not_known_to_be_unpaid() {
    let mut partial = block(1, vec![(3, update(1, Secondary)), (4, taken(1, 500))]);
    partial.is_whole = false;
    check(&[partial], &[Route::PaymentUnknown], &[], &[]);
    let mut seen = block(1, vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment(90))]);
    seen.is_whole = false;
    check(&[seen], &[Route::Paid], &[(90, 1)], &[]);
}

#[test]
fn what_stands_outside_of_the_bundle_leaked() {
    // Behind the payment.
    let told = vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment(90)), (6, taken(1, 20))];
    check(&[block(1, told)], &[Route::Paid, Route::Leaked], &[(90, 1)], &[]);
    // With a foreign transaction in between, and nobody paid.
    let told = vec![(3, update(1, Secondary)), (4, taken(1, 500)), (6, taken(1, 20))];
    check(&[block(1, told)], &[Route::Unpaid, Route::Leaked], &[], &[]);
    // Behind a payment, even if another payment follows: no round opened a bundle for it.
    let told =
        vec![(3, update(1, Secondary)), (4, taken(1, 500)), (5, payment(90)), (6, taken(1, 20)), (7, payment(8))];
    check(&[block(1, told)], &[Route::Paid, Route::Leaked], &[(98, 1)], &[]);
}

#[test]
fn no_stranger_shares_a_payment() {
    let stranger = Address::repeat_byte(0x99);
    let by_stranger = || taken_by(stranger, Trigger::Round { aggregator: FEED, round: 1 }, Some(20));
    let opening = || vec![(3, update(1, Secondary)), (4, taken(1, 500))];
    let with = |more: Vec<(u32, Happened)>| block(1, [opening(), more].concat());
    for (name, more, expected) in [
        ("directly behind the winner", vec![(5, by_stranger()), (6, payment(90))], vec![Route::Leaked]),
        ("between the bundle and its late payment", vec![(9, by_stranger()), (12, payment(90))], vec![Route::Leaked]),
        ("the winner himself, further away", vec![(9, taken(1, 20)), (12, payment(90))], vec![Route::Leaked]),
        (
            "the winner, behind a stranger",
            vec![(5, by_stranger()), (6, taken(1, 5)), (7, payment(90))],
            vec![Route::Leaked; 2],
        ),
    ] {
        let found = conclude(&[with(more)]).pop().unwrap();
        assert_eq!(routes(&found), [vec![Route::Paid], expected].concat(), "{name}");
        assert_eq!((found.bundles.len(), &found.bundles[0].liquidations), (1, &vec![1]), "{name}");
    }
    // In the winner's own transaction, or directly behind it by himself, it is the winner's.
    for at in [4, 5] {
        check(&[with(vec![(at, taken(1, 20)), (12, payment(90))])], &[Route::Paid, Route::Paid], &[(90, 2)], &[]);
    }
    check(&[with(vec![(4, by_stranger()), (12, payment(90))])], &[Route::Paid, Route::Paid], &[(90, 2)], &[]);
    // What the winner took beside, for which no auction was held, does not part his bundle; a stranger's does.
    for (between, routes, bundles) in [
        (taken_for(Trigger::NoPrice, Some(3)), [Route::Paid, Route::NoPrice, Route::Paid], [(90, 2)]),
        (taken_by(stranger, Trigger::NoPrice, Some(3)), [Route::Paid, Route::NoPrice, Route::Leaked], [(90, 1)]),
    ] {
        check(&[with(vec![(5, between), (6, taken(1, 20)), (7, payment(90))])], &routes, &bundles, &[]);
    }
    // A foreign transaction behind the round: whoever liquidates then did not win the auction, and the payment is for something else.
    let told = vec![(3, update(1, Secondary)), (5, taken(1, 500)), (6, payment(90))];
    check(&[block(1, told)], &[Route::Leaked], &[], &[(90, StrayReason::NoLiquidation)]);
    // Updates further apart were not sold together.
    let told = vec![
        (3, update(1, Secondary)),
        (9, update_of(OTHER_FEED, 9, Secondary)),
        (10, taken(1, 500)),
        (11, taken_for(Trigger::Round { aggregator: OTHER_FEED, round: 9 }, Some(300))),
    ];
    check(&[block(1, told)], &[Route::Leaked, Route::Unpaid], &[], &[]);
}

#[test]
fn a_round_that_was_visible_already_is_not_auctioned_by_coming_again() {
    let told = |seconds, number| {
        let set = Happened::CutoffSet { aggregator: FEED, seconds };
        let first = block(1, vec![(0, set), (1, update(1, Primary))]);
        let exposed = Happened::Exposed { aggregator: FEED, round: 1 };
        [first, block(number, vec![(3, exposed), (4, taken(1, 500)), (5, payment(90))])]
    };
    // Blocks are 12 seconds apart, and a cutoff ends one second after its last.
    check(&told(12, 2), &[Route::Paid], &[(90, 1)], &[]);
    check(&told(11, 2), &[Route::Fallback], &[], &[(90, StrayReason::NoLiquidation)]);
    let [first, exposed] = told(11, 2);
    check(&[first, exposed, block(3, vec![(0, taken(1, 5))])], &[Route::Fallback], &[], &[]);
}

#[test]
fn without_a_known_cutoff_no_public_round_is_known_to_have_been_visible() {
    let found = conclude(&[block(1, vec![(0, update(1, Primary))]), block(9, vec![(0, taken(1, 5))])]).pop().unwrap();
    assert_eq!((found.taken[0].route, found.taken[0].why), (Route::Unknown, Some(Untold::Unseen)));
}

#[test]
fn rounds_of_the_past_are_told_apart_by_how_they_came_in() {
    let cutoff = Happened::CutoffSet { aggregator: FEED, seconds: 10 };
    let first = block(1, vec![(0, cutoff), (1, update(1, Secondary)), (2, update(2, Primary))]);
    for (name, trigger, number, route, why) in [
        ("landed unwon before", Trigger::Round { aggregator: FEED, round: 1 }, 2, Route::Landed, None),
        ("after the cutoff", Trigger::Round { aggregator: FEED, round: 2 }, 2, Route::Fallback, None),
        ("never seen", Trigger::Round { aggregator: FEED, round: 7 }, 2, Route::Unknown, Some(Untold::Round)),
        ("no feed", Trigger::Round { aggregator: OTHER_FEED, round: 1 }, 2, Route::Unknown, Some(Untold::Aggregator)),
        ("another feed", Trigger::OtherFeed(OTHER_FEED), 2, Route::OtherFeed, None),
        ("no price", Trigger::NoPrice, 2, Route::NoPrice, None),
        ("not told", Trigger::Unknown(Untold::Since), 2, Route::Unknown, Some(Untold::Since)),
    ] {
        let found = conclude(&[first.clone(), block(number, vec![(0, taken_for(trigger, Some(5)))])]).pop().unwrap();
        assert_eq!((found.taken[0].route, found.taken[0].why), (route, why), "{name}");
    }
    // Twelve seconds later a cutoff of ten is over, one of twelve is not: the reader waits for the second after it.
    for (seconds, route, why) in [(11, Route::Fallback, None), (12, Route::Unknown, Some(Untold::Unseen))] {
        let set = block(1, vec![(0, Happened::CutoffSet { aggregator: FEED, seconds }), (1, update(2, Primary))]);
        let found = conclude(&[set, block(2, vec![(0, taken(2, 5))])]).pop().unwrap();
        assert_eq!((found.taken[0].route, found.taken[0].why), (route, why), "{seconds}");
    }
}

#[test]
fn a_settlement_is_one_transaction() {
    let told =
        vec![(3, update(1, Secondary)), (3, taken(1, 500)), (3, solved(100, true)), (3, allocated(100, 5, 3, 92))];
    check(&[block(1, told.clone())], &[Route::Paid], &[(92, 1)], &[]);
    let money = conclude(&[block(1, told.clone())])[0].bundles[0].money;
    assert_eq!(money, Money::Settled { kept_wei: 8, recaptured_wei: 92 });
    // What others take of its round in the same block leaked, whether or not the block was looked at whole.
    let mut more = told;
    more.push((4, taken(1, 20)));
    let mut leaked = block(1, more);
    leaked.is_whole = false;
    check(&[leaked], &[Route::Paid, Route::Leaked], &[(92, 1)], &[]);
    // A losing solver before the winner changes nothing.
    let told = vec![
        (3, update(1, Secondary)),
        (3, solved(120, false)),
        (3, taken(1, 500)),
        (3, solved(100, true)),
        (3, allocated(100, 5, 3, 92)),
    ];
    check(&[block(1, told)], &[Route::Paid], &[(92, 1)], &[]);
}

#[test]
fn a_settlement_that_contradicts_itself_pays_nobody() {
    for (name, solver, split) in [
        ("parts beyond the bid", solved(100, true), allocated(100, 5, 3, 93)),
        ("a solver that failed", solved(100, false), allocated(100, 5, 3, 92)),
        ("another bid than the solver's", solved(99, true), allocated(100, 5, 3, 92)),
        ("parts beyond 128 bits", solved(100, true), allocated(100, u128::MAX, 3, 92)),
    ] {
        let found = conclude(&[block(1, vec![(3, update(1, Secondary)), (3, taken(1, 500)), (3, solver), (3, split)])]);
        assert_eq!(found[0].taken[0].why, Some(Untold::Contradiction), "{name}");
        assert_eq!(routes(&found[0]), [Route::PaymentUnknown], "{name}");
        assert_eq!(found[0].strays[0].reason, StrayReason::Contradiction, "{name}");
    }
}

#[test]
fn blocks_and_what_happens_in_them_come_in_order() {
    let mut attribution = Attribution::new(Rules::default());
    attribution.block(&block(5, vec![])).unwrap();
    let before = attribution.clone();
    assert_eq!(attribution.block(&block(5, vec![])), Err(Disordered { block: 5 }));
    assert_eq!(attribution.block(&block(4, vec![])), Err(Disordered { block: 4 }));
    let mut shuffled = block(6, vec![(3, update(1, Secondary)), (4, taken(1, 500))]);
    shuffled.happened.reverse();
    assert_eq!(attribution.block(&shuffled), Err(Disordered { block: 6 }));
    assert_eq!(attribution, before, "what is refused leaves nothing behind");
}

#[test]
fn memory_does_not_grow_with_the_length_of_the_chain() {
    let mut attribution = Attribution::new(Rules::default());
    for number in 1..5_000_u32 {
        let told = vec![(0, update(number, if number % 3 == 0 { Secondary } else { Primary })), (1, taken(number, 5))];
        attribution.block(&block(number.into(), told)).unwrap();
    }
    assert!(attribution.feeds[&FEED].arrivals.len() <= MOST_ROUNDS);
    assert!(attribution.unpaid.len() <= 26);
}

/// Any blocks at all: rounds count up within each feed, everything else is arbitrary.
fn chains(blocks: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Vec<(u8, u8, u8)>>> {
    prop::collection::vec(prop::collection::vec((0_u8..9, 0_u8..3, 0_u8..6), 0..9), blocks)
}

/// Makes blocks of what was drawn, from a number on.
pub(in crate::recapture) fn story(from: u64, drawn: &[Vec<(u8, u8, u8)>]) -> Vec<Block> {
    let mut rounds = BTreeMap::from([(FEED, 0_u32), (OTHER_FEED, 0)]);
    let mut blocks = Vec::new();
    for (number, drawn) in (from..).zip(drawn) {
        let (mut place, mut told) = (0, Vec::new());
        for &(kind, gap, pick) in drawn {
            place += u32::from(gap);
            let feed = if pick % 2 == 0 { FEED } else { OTHER_FEED };
            let newest = rounds[&feed];
            let mut next = || {
                rounds.insert(feed, newest + 1);
                newest + 1
            };
            let round = newest.saturating_sub(u32::from(pick / 2));
            told.push((
                place,
                match kind {
                    0 => update_of(feed, next(), Primary),
                    1 | 2 => update_of(feed, next(), Secondary),
                    3 => Happened::Exposed { aggregator: feed, round: newest },
                    4 | 5 => taken_by(
                        Address::repeat_byte(kind),
                        Trigger::Round { aggregator: feed, round },
                        (pick != 5).then_some(100 * i128::from(pick)),
                    ),
                    6 => payment(u128::from(pick) * 1_000_003),
                    7 => solved(u128::from(pick) * 1_000_003, gap != 1),
                    _ => {
                        let bid = u128::from(pick) * 1_000_003;
                        allocated(bid, bid / 10, bid / 20, bid - bid / 10 - bid / 20)
                    }
                },
            ));
        }
        // A payment comes before the logs of its own transaction.
        let mut made = block(number, told);
        made.happened.sort_by_key(|(place, _)| (place.transaction_index, place.log_index));
        made.is_whole = drawn.len() % 4 != 3;
        blocks.push(made);
    }
    blocks
}

proptest! {
    #[test]
    fn attributing_after_blocks_were_replaced_is_attributing_afresh(stay in chains(0..6), gone in chains(0..6), come in chains(0..6)) {
        let held = story(1, &stay);
        let at = 1 + held.len() as u64;
        let (gone, come) = (story(at, &gone), story(at, &come));
        let mut attribution = Attribution::new(Rules::default());
        for block in &held {
            attribution.block(block).unwrap();
        }
        let copy = attribution.clone();
        for block in &gone {
            attribution.block(block).unwrap();
        }
        let mut attribution = copy;
        let after: Vec<_> = come.iter().map(|block| attribution.block(block).unwrap()).collect();
        let afresh = conclude(&held.iter().chain(&come).cloned().collect::<Vec<_>>());
        prop_assert_eq!(&after[..], &afresh[held.len()..]);
    }

    #[test]
    fn every_payment_is_somebodys_or_nobodys_and_every_liquidation_has_one_route(drawn in chains(0..8)) {
        for block in &story(1, &drawn) {
            let found = conclude(std::slice::from_ref(block)).pop().unwrap();
            let all = block.happened.iter().map(|(_, happened)| came(happened));
            let paid: u128 = found.bundles.iter().map(|bundle| bundle.money.recaptured_wei()).sum();
            let stray: u128 = found.strays.iter().map(|stray| stray.wei).sum();
            prop_assert_eq!(all.sum::<u128>(), paid + stray);
            let liquidations = block.happened.iter().filter(|(_, happened)| matches!(happened, Happened::Liquidated(_)));
            prop_assert_eq!(liquidations.count(), found.taken.len());
            for taken in &found.taken {
                prop_assert_eq!(taken.route == Route::Paid, taken.bundle.is_some());
                prop_assert!(block.is_whole || taken.route != Route::Unpaid);
            }
            for (number, bundle) in found.bundles.iter().enumerate() {
                prop_assert!(!bundle.liquidations.is_empty() && !bundle.payments.is_empty());
                let members: Vec<_> = found.taken.iter().filter(|taken| taken.bundle == Some(number)).map(|taken| taken.at).collect();
                prop_assert_eq!(&members, &bundle.liquidations);
                let last = bundle.liquidations.last().map(|at| block.happened[*at].0.transaction_index);
                prop_assert!(bundle.payments.iter().all(|place| Some(place.transaction_index) >= last));
                let takers: BTreeSet<_> = bundle.liquidations.iter().filter_map(|at| match &block.happened[*at] {
                    (place, Happened::Liquidated(liquidated)) => Some((place.transaction_index, liquidated.liquidator)),
                    _ => None,
                }).collect();
                let transactions: BTreeSet<u32> = takers.iter().map(|(transaction, _)| *transaction).collect();
                let names: BTreeSet<Address> = takers.iter().map(|(_, taker)| *taker).collect();
                prop_assert!(transactions.len() == 1 || takers.len() > transactions.len() || names.len() == 1);
            }
        }
    }
}
