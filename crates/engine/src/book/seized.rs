//! What liquidations took, from the events of their transactions.
//!
//! The pool's own event leaves out the treasury's fee, which is a transfer of supply from the borrower to the treasury
//! in the same transaction, and what was written off, which has events of its own.

use protocol::aave::config::ReserveId;
use protocol::aave::log::Transfers;
use protocol::aave::log::{Entry, Liquidated, Statement};
use protocol::aave::math::{Ray, ray_div_half_up};
use protocol::event::{Event, Fact};
use protocol::{Address, U256};

use super::View;
use super::ground::ray;

/// One liquidation with everything its transaction says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seizure {
    /// The pool's own words.
    pub call: Liquidated,
    /// The collateral's number.
    pub collateral: ReserveId,
    /// The debt's number.
    pub debt: ReserveId,
    /// The treasury's fee in scaled supply of the collateral, and the index it was taken at (V3). `None` where the transfer to
    /// the treasury names numbers that the contracts cannot have come to: there was a fee, and nobody knows how much.
    pub fee_scaled: Option<U256>,
    /// That index; 1 where there was no fee.
    pub fee_index: Ray,
    /// Debt that was written off, by asset (3.3+).
    pub written_off: Vec<(Address, U256)>,
}

/// The liquidations among the events of one transaction, in order. `view` is the market at or after them.
#[must_use]
pub fn seizures(view: &View, transaction: &[Event]) -> Vec<Seizure> {
    let entries = || {
        transaction.iter().filter_map(|event| match &event.fact {
            Fact::Market(entry) => Some(entry),
            Fact::Liquidation(_) => None,
        })
    };
    let mut begin = 0;
    let mut found = Vec::new();
    for (place, entry) in entries().enumerate() {
        let Statement::Liquidated(call) = &entry.statement else {
            continue;
        };
        // Everything of a liquidation stands before its event, and behind the one of the liquidation before.
        let own: Vec<&Entry> = entries().take(place).skip(begin).collect();
        begin = place + 1;
        let (Some(collateral), Some(debt)) = (view.id(&call.collateral), view.id(&call.debt)) else {
            continue;
        };
        let (fee_scaled, fee_index) = fee(view, collateral, call, &own);
        let written_off = own.iter().filter_map(|entry| {
            let Statement::DeficitCreated { user, asset, amount } = &entry.statement else {
                return None;
            };
            (*user == call.user).then_some((*asset, *amount))
        });
        let written_off = written_off.collect();
        found.push(Seizure { call: **call, collateral, debt, fee_scaled, fee_index, written_off });
    }
    found
}

/// The last transfer of the collateral's supply from the borrower that does not go to the liquidator, or that does
/// where he was handed supply before.
fn fee(view: &View, collateral: ReserveId, call: &Liquidated, own: &[&Entry]) -> (Option<U256>, Ray) {
    let none = (Some(U256::ZERO), Ray::ONE);
    let listed = &view.listed()[usize::from(collateral.0)];
    let mut transfers = own.iter().filter_map(|entry| {
        let Statement::BalanceTransfer { from, to, value, index } = &entry.statement else {
            return None;
        };
        let is_own = entry.by == listed.contracts.a_token && *from == call.user;
        is_own.then_some((*to, *value, *index))
    });
    if call.takes_supply {
        transfers.next();
    }
    let Some((to, value, index)) = transfers.next_back() else {
        return none;
    };
    if listed.treasury.is_some_and(|treasury| treasury != to) {
        return none;
    }
    let scaled = match listed.transfers {
        Some(Transfers::Unscaled) => ray_div_half_up(value, ray(index)).ok(),
        Some(Transfers::Scaled) | None => Some(value),
    };
    (scaled, ray(index))
}
