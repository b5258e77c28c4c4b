//! Whether the market and the native pool agree: what a step came to, and every figure it touched.

use std::fmt::Debug;

use alloy_primitives::{Address, U256};
use anyhow::Result;
use protocol::aave::liquidation::Liquidated;
use protocol::aave::pool::{Executed, Outcome as Native};
use protocol::aave::refusal::Refusal;

use crate::abi;
use crate::action::Action;
use crate::event::Event;
use crate::market::{AccountData, Holding, Market, Outcome, ReserveState};
use crate::mirror::{Mirror, id};
use crate::world::Version;

/// Where the two differ, in words.
pub type Difference = String;

fn differ<T: PartialEq + Debug>(what: impl FnOnce() -> String, chain: &T, native: &T) -> Option<Difference> {
    if chain == native {
        return None;
    }
    let mut text = what();
    let (chain, native) = (format!("{chain:#?}"), format!("{native:#?}"));
    if chain.lines().count() != native.lines().count() {
        return Some(format!("{text}\n  chain:  {chain}\n  native: {native}"));
    }
    // Of two structs only the fields that differ.
    for (chain, native) in chain.lines().zip(native.lines()).filter(|(chain, native)| chain != native) {
        text += &format!("\n  chain:  {}\n  native: {}", chain.trim(), native.trim());
    }
    Some(text)
}

/// Compares what a step came to.
pub fn outcomes(
    mirror: &Mirror,
    market: &Market,
    action: &Action,
    chain: &Outcome,
    native: &Native,
) -> Option<Difference> {
    match (chain, native) {
        (Ok(events), Native::Executed(executed)) => amounts(mirror, market, action, events, executed),
        (Err(reason), Native::Refused(refusal)) if is_same_reason(mirror.version, *refusal, reason) => None,
        // V2 liquidates in a delegated call; whatever reverts inside it comes out as the same failure.
        (Err(reason), Native::Refused(refusal))
            if reason == "23" && matches!(action, Action::Liquidate { .. }) && !is_checked_first(*refusal) =>
        {
            None
        }
        (Err(reason), Native::Refused(refusal)) => {
            Some(format!("both refuse, for other reasons\n  chain:  {reason:?}\n  native: {refusal:?}"))
        }
        (Ok(_), Native::Refused(refusal)) => Some(format!("the chain does it, the native pool refuses: {refusal:?}")),
        (Err(reason), Native::Executed(executed)) => {
            Some(format!("the chain refuses with {reason:?}, the native pool does it: {executed:?}"))
        }
    }
}

/// Whether a native refusal is the contract's revert.
fn is_same_reason(version: Version, refusal: Refusal, reason: &str) -> bool {
    let named = match version {
        Version::V2 => refusal.codes().0.map(|code| code.to_string()),
        Version::V3_0_0 | Version::V3_0_2 => refusal.codes().1.map(|code| code.to_string()),
        Version::V3_6 => Some(format!("{refusal:?}")),
    };
    if named.is_some_and(|name| name == reason) {
        return true;
    }
    // Panics, SafeMath, casts, the libraries' own codes for overflow, the token's own words, and reverts without a word.
    matches!(refusal, Refusal::Arithmetic(_) | Refusal::NotEnoughLiquidity) && is_arithmetic(version, reason)
}

/// What V2 reports of a liquidation before it does anything.
fn is_checked_first(refusal: Refusal) -> bool {
    matches!(
        refusal,
        Refusal::HealthFactorNotBelowThreshold
            | Refusal::CollateralCannotBeLiquidated
            | Refusal::SpecifiedCurrencyNotBorrowedByUser
            | Refusal::ReserveInactive
    )
}

fn is_arithmetic(version: Version, reason: &str) -> bool {
    let codes: &[&str] = match version {
        Version::V2 => &["48", "49", "50", "51", "52", "53", "54", "55"],
        Version::V3_0_0 | Version::V3_0_2 | Version::V3_6 => &[],
    };
    reason.is_empty()
        || reason.contains("Panic")
        || reason.contains("Safe")
        || reason.contains("ERC20")
        || codes.contains(&reason)
}

/// Compares the amounts of an executed step with its events.
fn amounts(
    mirror: &Mirror,
    market: &Market,
    action: &Action,
    events: &[Event],
    executed: &Executed,
) -> Option<Difference> {
    let last = |name: &str, at: usize| {
        events.iter().rev().find(|event| event.name == name).and_then(|event| event.words.get(at).copied())
    };
    let deposited = if mirror.version == Version::V2 { "Deposit" } else { "Supply" };
    let (name, chain, native) = match executed {
        // Indexed arguments come first: reserve, receiver and referral, then payer and amount.
        Executed::Supplied(amount) => ("supplied", last(deposited, 4), Some(*amount)),
        Executed::Withdrawn(amount) => ("withdrawn", last("Withdraw", 3), Some(*amount)),
        Executed::Borrowed(amount) => ("borrowed", last("Borrow", 4), Some(*amount)),
        Executed::Repaid(amount) => ("repaid", last("Repay", 3), Some(*amount)),
        Executed::Minted(amount) => ("minted", last("MintedToTreasury", 1).or(Some(U256::ZERO)), Some(*amount)),
        Executed::Liquidated(liquidated) => return liquidation(market, action, events, liquidated),
        Executed::Covered(amount) => ("covered", last("DeficitCovered", 2), Some(*amount)),
        Executed::Done | Executed::Unchanged => return None,
    };
    differ(|| format!("{name} another amount"), &chain, &native)
}

fn liquidation(market: &Market, action: &Action, events: &[Event], native: &Liquidated) -> Option<Difference> {
    let call = events.iter().find(|event| event.name == "LiquidationCall");
    let chain = call.map(|event| [event.words[3], event.words[4]]);
    let own = Some([native.debt_repaid, native.collateral_received]);
    if let Some(difference) = differ(|| "the liquidation's amounts".to_owned(), &chain, &own) {
        return Some(difference);
    }
    let deficits = events.iter().filter(|event| event.name == "DeficitCreated");
    let mut chain: Vec<(Address, U256)> =
        deficits.map(|event| (abi::address(event.words[1]), event.words[2])).collect();
    let mut own: Vec<(Address, U256)> =
        native.deficits.iter().map(|(id, amount)| (market.reserves[usize::from(id.0)].asset, *amount)).collect();
    chain.sort_unstable();
    own.sort_unstable();
    differ(|| format!("deficits of {action:?}"), &chain, &own)
}

/// What a step may have changed.
#[derive(Clone, Debug, Default)]
pub struct Touched {
    reserves: Vec<usize>,
    users: Vec<Address>,
}

impl Touched {
    /// Everything there is.
    pub fn everything(market: &Market) -> Self {
        Self { reserves: (0..market.reserves.len()).collect(), users: market.holders() }
    }

    /// What a step names, and what hangs on it: an isolated collateral, all debts of who is liquidated, the treasury.
    pub fn by(mirror: &Mirror, action: &Action) -> Self {
        let (users, reserves) = match action {
            Action::Supply { user, reserve, to, .. }
            | Action::Withdraw { user, reserve, to, .. }
            | Action::Transfer { user, reserve, to, .. } => (vec![*user, *to], vec![*reserve]),
            Action::Borrow { user, reserve, .. }
            | Action::RepayWithATokens { user, reserve, .. }
            | Action::UseAsCollateral { user, reserve, .. }
            | Action::CoverDeficit { user, reserve, .. }
            | Action::SwapRate { user, reserve, .. } => (vec![*user], vec![*reserve]),
            Action::Repay { user, reserve, of, .. } | Action::Rebalance { user, reserve, of } => {
                (vec![*user, *of], vec![*reserve])
            }
            Action::SetEMode { user, .. } => (vec![*user], vec![]),
            Action::MintToTreasury { reserve } => (vec![], vec![*reserve]),
            Action::Liquidate { user, of, collateral, debt, .. } => (vec![*of, *user], vec![*collateral, *debt]),
            Action::Admin(_)
            | Action::Price { .. }
            | Action::EModePrice { .. }
            | Action::Wait { .. }
            | Action::Sentinel { .. } => (vec![], vec![]),
        };
        let mut touched = Self { reserves, users: users.into_iter().map(|user| mirror.users[user]).collect() };
        for user in &touched.users {
            let flags = mirror.pool.flags(*user);
            if matches!(action, Action::Liquidate { .. }) {
                touched.reserves.extend(flags.reserves().map(|id| usize::from(id.0)));
            } else {
                touched.reserves.extend(flags.only_collateral().map(|id| usize::from(id.0)));
            }
        }
        touched.reserves.sort_unstable();
        touched.reserves.dedup();
        touched.users.dedup();
        touched
    }

    /// The reserves, in order.
    pub fn reserves(&self) -> &[usize] {
        &self.reserves
    }

    /// The users.
    pub fn users(&self) -> &[Address] {
        &self.users
    }

    /// Also what the same step names now that it has happened.
    pub fn and(mut self, other: Self) -> Self {
        self.reserves.extend(other.reserves);
        self.reserves.sort_unstable();
        self.reserves.dedup();
        self
    }
}

/// Compares the figures of reserves and users.
pub fn figures(mirror: &Mirror, market: &mut Market, touched: &Touched) -> Result<Option<Difference>> {
    for &index in &touched.reserves {
        let (chain, native) = (market.reserve(index)?, reserve(mirror, index));
        if let Some(difference) = differ(|| format!("reserve {index}"), &chain, &native) {
            return Ok(Some(difference));
        }
        for &user in touched.users.iter().chain([&mirror.pool.treasury]) {
            let (chain, native) = (market.holding(user, index)?, holding(mirror, user, index));
            if let Some(difference) = differ(|| format!("{user} in reserve {index}"), &chain, &native) {
                return Ok(Some(difference));
            }
        }
    }
    for &user in &touched.users {
        let chain = (market.flags(user)?, market.e_mode(user)?);
        let category = mirror.pool.accounts.get(&user).map_or(0, |account| account.e_mode);
        let native = (mirror.pool.flags(user).0, U256::from(category));
        if let Some(difference) = differ(|| format!("flags and e-mode of {user}"), &chain, &native) {
            return Ok(Some(difference));
        }
        if let Some(difference) = account(mirror, market, user)? {
            return Ok(Some(difference));
        }
    }
    Ok(None)
}

fn account(mirror: &Mirror, market: &mut Market, user: Address) -> Result<Option<Difference>> {
    let chain: AccountData = market.account_data(user)?;
    let native = mirror.pool.account_data(user, &mirror.block).map(|data| {
        let [ltv, threshold] = [data.ltv, data.liquidation_threshold].map(|bps| U256::from(bps.0));
        [data.total_collateral, data.total_debt, data.available_borrows, threshold, ltv, data.health_factor.0]
    });
    Ok(match (&chain, &native) {
        (Ok(chain), Ok(native)) => differ(|| format!("account of {user}"), chain, native),
        (Err(_), Err(_)) => None,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => {
            Some(format!("account of {user}\n  chain:  {chain:?}\n  native: {native:?}"))
        }
    })
}

/// A reserve of the native pool as the market reports one.
fn reserve(mirror: &Mirror, index: usize) -> ReserveState {
    let reserve = &mirror.pool.reserves[index];
    ReserveState {
        configuration: reserve.config.to_word(),
        liquidity_index: reserve.liquidity_index.0,
        liquidity_rate: reserve.rates.liquidity.0,
        variable_index: reserve.variable_borrow_index.0,
        variable_rate: reserve.rates.variable.0,
        stable_rate: reserve.rates.stable.0,
        last_update: U256::from(reserve.last_update),
        accrued_to_treasury: reserve.accrued_to_treasury,
        unbacked: reserve.unbacked,
        isolation_debt: reserve.isolation_mode_total_debt,
        deficit: reserve.deficit,
        grace_until: U256::from(reserve.liquidation_grace_until),
        liquidity: reserve.liquidity,
        scaled_supply: reserve.scaled_supply,
        scaled_variable_debt: reserve.scaled_variable_debt,
        stable_principal: reserve.stable_debt.principal,
        stable_average_rate: reserve.stable_debt.average_rate.0,
        stable_updated: U256::from(reserve.stable_debt.updated),
    }
}

fn holding(mirror: &Mirror, user: Address, index: usize) -> Holding {
    let position = mirror.pool.position(user, id(index));
    Holding {
        scaled_supply: position.supplied,
        scaled_variable_debt: position.borrowed,
        stable_principal: position.stable.principal,
        stable_rate: position.stable.rate.0,
        stable_updated: U256::from(position.stable.since),
    }
}
