//! What the liquidations of a made-up world brought the treasury: the protocol's fees, and its share of what auctions recaptured.

use std::collections::BTreeMap;

use engine::recapture::Row;
use engine::treasury::posting::{Missing, settle};
use engine::treasury::{Asset, Transfer, post};
use protocol::standing::Standing;
use protocol::token::Token;

use super::record::{Found, Group};
use crate::treasury::coins::Coins;
use crate::world::{Claim, World, found};

/// Gathers it, by time.
pub(super) fn gather(claim: &Claim, coins: &mut Coins) -> anyhow::Result<Found> {
    let world = World::made(claim.seed);
    let lived = world.lived();
    claim.check(&lived)?;
    let (rows, _) = found::rows(&lived.told.blocks)?;
    for market in &world.markets {
        for (reserve, _) in market.collaterals.iter().chain(&market.debts) {
            let Token { address: Some(token), symbol, decimals: Some(decimals) } = &reserve.token else { continue };
            coins.put(Asset { network: market.chain, token: *token }, symbol, *decimals)?;
        }
        coins.put_native(market.chain)?;
    }
    let calls = lived.calls.iter().zip(&lived.told.seats);
    let fees: BTreeMap<_, u128> =
        calls.map(|(call, seat)| ((call.market.chain, seat.block, seat.place), call.call.seizure.fee)).collect();
    let fee_of = |row: &Row| fees.get(&(row.chain, row.block, row.place)).copied();
    let postings = post(&rows, Standing::Assumed, fee_of);
    let settled = lived.told.settlements.iter().map(|settlement| settle(settlement, Standing::Assumed));
    let mut transfers: Vec<Transfer> = postings.transfers.into_iter().chain(settled).collect();
    transfers.sort_by_key(|transfer| transfer.time);
    let unknown = postings.missing.into_iter().map(|(at, missing)| {
        let why = match missing {
            Missing::SvrShare => "whether a bid was paid is not known",
            Missing::LiquidationFee => "the fee is not known",
        };
        (at as u64 + 1, format!("{why}: transaction {}", rows[at].place.transaction))
    });
    Ok(Found {
        groups: transfers.into_iter().zip(1..).map(|(transfer, number)| Group::of(transfer, number)).collect(),
        unknown: unknown.collect(),
        notes: Vec::new(),
    })
}
