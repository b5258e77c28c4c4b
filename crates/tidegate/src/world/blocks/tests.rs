//! What attribution finds in what a world's chains tell, against what was true in it.

use std::collections::{BTreeMap, BTreeSet};

use engine::recapture::{Happened, Place, Route, Row};
use protocol::standing::Standing;

use crate::world::auctions::{Course, Fate};
use crate::world::{Lived, World, found};
use protocol::chain::ChainId;

fn key(chain: ChainId, block: u64, place: &Place) -> (ChainId, u64, Place) {
    (chain, block, *place)
}

/// The row of each liquidation of the world.
fn rows_of(lived: &Lived<'_>, rows: Vec<Row>) -> Vec<Row> {
    assert_eq!(rows.len(), lived.calls.len(), "a liquidation is a row");
    let mut by_place: BTreeMap<_, Row> =
        rows.into_iter().map(|row| (key(row.chain, row.block, &row.place), row)).collect();
    let seats = lived.calls.iter().zip(&lived.told.seats);
    seats.map(|(call, seat)| by_place.remove(&key(call.market.chain, seat.block, &seat.place)).unwrap()).collect()
}

#[test]
fn attribution_finds_what_the_world_did() {
    for seed in 1..=4 {
        let world = World::of(seed);
        let lived = world.lived();
        let (rows, strays) = found::rows(&lived.told.blocks).unwrap();
        let rows = rows_of(&lived, rows);
        let mut seen = BTreeMap::<Fate, u64>::new();
        for ((row, fate), call) in rows.iter().zip(&lived.auctions.fates).zip(&lived.calls) {
            let route = match fate {
                Fate::Won => Route::Paid,
                Fate::Unseen => Route::PaymentUnknown,
                Fate::Unpaid => Route::Unpaid,
                Fate::Outside => Route::Leaked,
                Fate::Late => Route::Landed,
                Fate::Missed => Route::Fallback,
                Fate::OtherFeed => Route::OtherFeed,
                Fate::NoPrice => Route::NoPrice,
            };
            assert_eq!(row.route, route, "{call:?}: {row:?}");
            let value = row.value.unwrap();
            let told = [value.collateral, value.debt, value.protocol_fee].map(|usd| u128::try_from(usd.0).unwrap());
            assert_eq!(told, [call.seized_usd8(), call.repaid_usd8(), call.fee_usd8()]);
            assert_eq!(row.bid_wei.is_some(), *fate == Fate::Won);
            *seen.entry(*fate).or_default() += 1;
        }
        assert_eq!(seen.len(), 8, "everything happens: {seen:?}");
        for auction in
            lived.auctions.held.iter().filter(|auction| matches!(auction.course, Course::Won { seen: true, .. }))
        {
            let sum = |of: fn(&Row) -> u128| auction.inside.iter().map(|at| of(&rows[*at])).sum::<u128>();
            let money = auction.money;
            assert_eq!(money.bid, money.builder + money.auctioneer + money.gas + money.recaptured);
            assert_eq!(sum(|row| row.recaptured_wei.unwrap()), money.recaptured, "to the unit");
            let (bid, builder) = (sum(|row| row.bid_wei.unwrap().value), sum(|row| row.builder_wei.unwrap().value));
            let standing = rows[auction.inside[0]].bid_wei.unwrap().standing;
            if money.gas == 0 {
                assert_eq!((bid, builder, standing), (money.bid, money.builder + money.auctioneer, Standing::Exact));
            } else {
                // Of a refund only what is left of it after its own gas is seen, so that the bid is estimated low by that, and a unit.
                let low = money.bid - bid;
                assert!(low <= money.gas * 10 / 9 + 2 && standing == Standing::Estimated, "{low} of {money:?}");
            }
        }
        let strays: Vec<u128> = strays.iter().map(|stray| stray.wei).collect();
        let told: Vec<u128> = lived.told.strays.iter().map(|(_, _, wei)| *wei).collect();
        assert_eq!(strays, told, "payments for nothing here stay with nobody");
        assert!(strays.len() > 5);
    }
}

#[test]
fn blocks_tell_what_their_chain_knows_and_no_more() {
    let world = World::of(1);
    let lived = world.lived();
    let again = world.lived();
    assert_eq!((&lived.told.blocks, &lived.told.seats), (&again.told.blocks, &again.told.seats));
    let mut transactions = BTreeSet::new();
    for (chain, blocks) in &lived.told.blocks {
        assert!(blocks.windows(2).all(|two| two[0].number < two[1].number && two[0].time <= two[1].time));
        for block in blocks {
            let logs: Vec<u64> = block.happened.iter().filter_map(|(place, _)| place.log_index).collect();
            assert!(logs.windows(2).all(|two| two[0] < two[1]), "{block:?}");
            let own: BTreeSet<_> = block.happened.iter().map(|(place, _)| place.transaction).collect();
            assert!(own.iter().all(|hash| transactions.insert(*hash)), "a transaction is in one block");
            for (place, happened) in &block.happened {
                let is_payment = matches!(happened, Happened::Payment { .. });
                assert_eq!(place.log_index.is_none(), is_payment);
                assert!(!is_payment || (block.is_whole && *chain == ChainId::ETHEREUM));
            }
        }
    }
    // What is told of liquidations is told alike by events.
    let events = lived.events();
    assert_eq!(events.len(), lived.calls.len());
    for event in events {
        let protocol::event::Fact::Liquidation(liquidation) = event.fact else { panic!() };
        let block = lived.told.blocks[&liquidation.chain].iter().find(|block| Some(block.number) == liquidation.block);
        let told = block.unwrap().happened.iter().find(|(place, _)| {
            Some(place.transaction) == liquidation.transaction
                && place.log_index == liquidation.log_index.map(u64::from)
        });
        let Some((_, Happened::Liquidated(told))) = told else { panic!("{liquidation:?}") };
        assert_eq!((told.user, Some(told.liquidator)), (liquidation.user, liquidation.liquidator));
    }
}
