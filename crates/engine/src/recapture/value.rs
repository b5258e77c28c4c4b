//! From a block's facts and what was concluded of it to its rows: who got what of each bonus.
//!
//! What a bundle brought is split as a whole, and each of its parts is then shared among the bundle's liquidations by gross bonus
//! ([`share`]): the sums over them are the bundle's to the unit, and each row's bid is the sum of its own parts.

use std::collections::BTreeMap;

use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::{B256, U256};

use super::attribute::{Assigned, Assignments, Attribution, Disordered, Money, Rules, Stray, StrayReason};
use super::facts::{Block, Happened, Liquidated, Value};
use super::row::{Known, Row};
use super::split::{Schedule, Split, WHOLE_BPS, share};

/// What turns facts into values where logs do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How protocol and network split what was recaptured.
    pub schedule: Schedule,
    /// How much of the bid a builder hands on, in basis points of it, where only what it handed on is seen.
    pub refund_bps: u16,
    /// What it costs a searcher to turn the collateral into the debt; none to leave it open.
    pub execution: Option<Execution>,
}

impl Terms {
    /// Aave's split, a refund of 90 % (the usual setting of private order flow), and no guess at what execution costs.
    #[must_use]
    pub const fn aave() -> Self {
        Self { schedule: Schedule::constant(Split::AAVE), refund_bps: 9_000, execution: None }
    }
}

/// What execution costs, as a scenario has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// What the collateral sold loses against the oracle's price, in basis points of the collateral received.
    pub slippage_bps: u16,
    /// What borrowing the debt for one transaction costs, in basis points of the debt.
    pub flash_loan_bps: u16,
}

impl Execution {
    /// `ceil((collateral - protocol fee) * slippage) + ceil(debt * flash loan)`: the searcher pays what division leaves over.
    /// Estimated: neither the route of the sale nor where the debt came from is looked at.
    #[must_use]
    pub fn cost(self, value: &Value) -> Option<Known<Usd8>> {
        let part = |of: i128, bps: u16| {
            let scaled = of.max(0).checked_mul(bps.into())?.checked_add(i128::from(WHOLE_BPS) - 1)?;
            Some(scaled / i128::from(WHOLE_BPS))
        };
        let received = value.collateral.checked_sub(value.protocol_fee)?;
        let cost = part(received.0, self.slippage_bps)?.checked_add(part(value.debt.0, self.flash_loan_bps)?)?;
        Some(Known { value: Usd8(cost), standing: value.standing.max(Standing::Estimated) })
    }
}

/// What a block comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Its liquidations in order.
    pub rows: Vec<Row>,
    /// Payments that are in no row.
    pub strays: Vec<Stray>,
}

/// Folds blocks into rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    attribution: Attribution,
    terms: Terms,
}

impl Ledger {
    /// Before the first block.
    ///
    /// # Panics
    /// The terms hand on more than the bid, or nothing: then no bid can be told from a refund.
    #[must_use]
    pub const fn new(rules: Rules, terms: Terms) -> Self {
        assert!(0 < terms.refund_bps && terms.refund_bps <= WHOLE_BPS, "a builder hands on a part of the bid");
        Self { attribution: Attribution::new(rules), terms }
    }

    /// What is known of which round led to what.
    #[must_use]
    pub const fn attribution(&self) -> &Attribution {
        &self.attribution
    }

    /// The rows of the next block.
    ///
    /// # Errors
    /// As of [`Attribution::block`].
    pub fn block(&mut self, block: &Block) -> Result<Found, Disordered> {
        let assignments = self.attribution.block(block)?;
        Ok(rows(block, &assignments, &self.terms))
    }
}

/// The rows of a block of which this was concluded.
#[must_use]
pub fn rows(block: &Block, assignments: &Assignments, terms: &Terms) -> Found {
    let mut found = Found { rows: Vec::new(), strays: assignments.strays.clone() };
    let gas = gas(block);
    let mut place_of = BTreeMap::new();
    for taken in &assignments.taken {
        let (place, Happened::Liquidated(liquidated)) = &block.happened[taken.at] else { continue };
        place_of.insert(taken.at, found.rows.len());
        let row = bare(block, taken, liquidated, terms);
        found.rows.push(Row { place: *place, gas_wei: gas.get(&taken.at).copied(), ..row });
    }
    for bundle in &assignments.bundles {
        let rows: Vec<usize> = bundle.liquidations.iter().filter_map(|at| place_of.get(at).copied()).collect();
        let Some(weights) = weights(&rows, &found.rows) else {
            let first = bundle.payments[0];
            let wei = bundle.money.recaptured_wei();
            found.strays.push(Stray { place: first, wei, reason: StrayReason::BonusUnknown });
            rows.iter().for_each(|row| {
                found.rows[*row].payment = Some(first);
                found.rows[*row].shared_by = u32::try_from(rows.len()).ok();
            });
            continue;
        };
        let parts = BidParts::of(bundle.money, terms, block.time);
        let shares = [parts.builder, parts.protocol, parts.network].map(|whole| share(whole, &weights));
        for (number, row) in rows.iter().enumerate() {
            let row = &mut found.rows[*row];
            let [builder, protocol, network] = [0, 1, 2].map(|part| shares[part][number]);
            let recaptured = protocol.saturating_add(network);
            let known = |value| Known { value, standing: parts.standing };
            row.builder_wei = Some(known(builder));
            (row.protocol_wei, row.network_wei, row.recaptured_wei) = (Some(protocol), Some(network), Some(recaptured));
            row.bid_wei = Some(known(builder.saturating_add(recaptured)));
            row.payment = bundle.payments.first().copied();
            row.shared_by = u32::try_from(rows.len()).ok();
        }
    }
    for row in &found.rows {
        row.check().expect("what a row's parts add up to follows from how they are made");
    }
    found
}

/// A bid in its parts.
struct BidParts {
    builder: u128,
    protocol: u128,
    network: u128,
    /// How bid and builder's part are known; the others are seen.
    standing: Standing,
}

impl BidParts {
    fn of(money: Money, terms: &Terms, time: u64) -> Self {
        let recaptured = money.recaptured_wei();
        let split = terms.schedule.at(time).of(recaptured);
        let (builder, standing) = match money {
            Money::Settled { kept_wei, .. } => (kept_wei, Standing::Exact),
            // The least bid of which the refund is at least what came: bid = ceil(refund / share). The refund has already paid the gas of
            // its own transaction, so that the bid was a little more.
            Money::Refund { wei } => {
                let scaled = U256::from(wei).saturating_mul(U256::from(WHOLE_BPS));
                let bid = scaled.div_ceil(U256::from(terms.refund_bps));
                let bid = u128::try_from(bid).unwrap_or(u128::MAX);
                (bid.saturating_sub(wei), Standing::Estimated)
            }
        };
        Self { builder, protocol: split.protocol, network: split.network, standing }
    }
}

/// The gross bonuses of a bundle's rows; one alone takes all, whatever its bonus. None where one of several is not known.
fn weights(of: &[usize], rows: &[Row]) -> Option<Vec<u128>> {
    if of.len() == 1 {
        return Some(vec![1]);
    }
    of.iter().map(|row| rows[*row].value.map(|value| u128::try_from(value.bonus.0).unwrap_or(0))).collect()
}

fn bare(block: &Block, taken: &Assigned, liquidated: &Liquidated, terms: &Terms) -> Row {
    let value = liquidated.value.filter(Value::is_one);
    let execution = terms.execution.zip(value.as_ref());
    Row {
        chain: block.chain,
        block: block.number,
        time: block.time,
        place: block.happened[taken.at].0,
        market: liquidated.market.clone(),
        user: liquidated.user,
        liquidator: liquidated.liquidator,
        collateral: liquidated.collateral,
        debt: liquidated.debt,
        aggregator: taken.aggregator,
        route: taken.route,
        why: taken.why,
        shared_by: None,
        value,
        native_usd: block.native_usd,
        gas_wei: None,
        bid_wei: None,
        builder_wei: None,
        recaptured_wei: None,
        protocol_wei: None,
        network_wei: None,
        payment: None,
        execution_usd: execution.and_then(|(execution, value)| execution.cost(value)),
    }
}

/// What each liquidation bears of its transaction's fees: equal parts, what division leaves over to the first.
fn gas(block: &Block) -> BTreeMap<usize, u128> {
    let mut by_transaction = BTreeMap::<B256, (u128, Vec<usize>)>::new();
    for (at, (place, happened)) in block.happened.iter().enumerate() {
        if let Happened::Liquidated(liquidated) = happened
            && let Some(gas_wei) = liquidated.gas_wei
        {
            by_transaction.entry(place.transaction).or_insert((gas_wei, Vec::new())).1.push(at);
        }
    }
    let shared = by_transaction.into_values().flat_map(|(gas_wei, of)| {
        let parts = share(gas_wei, &vec![0; of.len()]);
        of.into_iter().zip(parts)
    });
    shared.collect()
}

#[cfg(test)]
mod tests;
