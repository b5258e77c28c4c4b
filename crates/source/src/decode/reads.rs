//! What is asked of contracts by call, and how their answers are read.
//!
//! An answer that is too short or holds what it cannot is a [`Reject`], as a log is. What a revision does not have must
//! not be asked of it: each question says from when to when it exists.

use alloy_primitives::{Bytes, U256, keccak256};
use protocol::aave::Revision;
use protocol::aave::config::{EMode, ReserveSet};
use protocol::aave::log::{Anchor, Indexes, Transfers};
use protocol::aave::math::{Bps, Ray, ray_div_half_up};
use protocol::aave::reserve::{StableDebt, StableTotals};
use protocol::{Address, B256};

use super::words::{Reject, Words};
use crate::log::Log;

type Read<T> = Result<T, Reject>;

/// The data of a call.
#[must_use]
pub fn call(signature: &str, arguments: &[U256]) -> Bytes {
    let mut data = keccak256(signature)[..4].to_vec();
    for argument in arguments {
        data.extend(argument.to_be_bytes::<32>());
    }
    data.into()
}

/// An address as an argument.
#[must_use]
pub fn word(address: Address) -> U256 {
    address.into_word().into()
}

/// Asks a V3 pool, or its implementation, which code it runs; see [`revision_v3`].
pub const POOL_REVISION: &str = "POOL_REVISION()";
/// Asks a V2 pool, or its implementation, which code it runs.
pub const V2_REVISION: &str = "LENDINGPOOL_REVISION()";
/// Asks a pool for its reserves in order; a dropped one is the zero address.
pub const RESERVES: &str = "getReservesList()";
/// Asks a pool for a reserve's settings as one word.
pub const CONFIGURATION: &str = "getConfiguration(address)";
/// Asks a pool for a reserve's state; see [`anchor`].
pub const RESERVE_DATA: &str = "getReserveData(address)";
/// Asks a pool for bad debt (3.3+).
pub const DEFICIT: &str = "getReserveDeficit(address)";
/// Asks a pool for the liquidity index now.
pub const INCOME: &str = "getReserveNormalizedIncome(address)";
/// Asks a pool for the variable borrow index now.
pub const DEBT: &str = "getReserveNormalizedVariableDebt(address)";
/// Asks a pool for an account's bits.
pub const USER_CONFIGURATION: &str = "getUserConfiguration(address)";
/// Asks a pool for an account's category (V3).
pub const USER_E_MODE: &str = "getUserEMode(address)";
/// Asks a pool what an account is worth; see [`account_data`].
pub const ACCOUNT_DATA: &str = "getUserAccountData(address)";
/// Asks a pool for a category's terms (V3); see [`e_mode`].
pub const E_MODE: &str = "getEModeCategoryData(uint8)";
/// Asks a pool for a category's collateral (3.2+).
pub const E_MODE_COLLATERAL: &str = "getEModeCategoryCollateralBitmap(uint8)";
/// Asks a pool for what can be borrowed in a category (3.2+).
pub const E_MODE_BORROWABLE: &str = "getEModeCategoryBorrowableBitmap(uint8)";
/// Asks a pool for a category's collateral without a loan-to-value (3.6+).
pub const E_MODE_LTV_ZERO: &str = "getEModeCategoryLtvzeroBitmap(uint8)";
/// Asks a supply or variable debt token for an account's scaled balance.
pub const SCALED_BALANCE: &str = "scaledBalanceOf(address)";
/// Asks a supply or variable debt token for everybody's scaled balance.
pub const SCALED_SUPPLY: &str = "scaledTotalSupply()";
/// Asks a stable debt token for its totals; see [`stable_totals`].
pub const STABLE_TOTALS: &str = "getSupplyData()";
/// Asks a stable debt token for an account's debt when it was last touched.
pub const STABLE_PRINCIPAL: &str = "principalBalanceOf(address)";
/// Asks a stable debt token for an account's rate.
pub const STABLE_RATE: &str = "getUserStableRate(address)";
/// Asks a stable debt token when an account's debt was last touched.
pub const STABLE_SINCE: &str = "getUserLastUpdated(address)";
/// Asks a token what it calls itself; see [`text`].
pub const SYMBOL: &str = "symbol()";
/// Asks an oracle for one price.
pub const PRICE: &str = "getAssetPrice(address)";

/// Asks a price proxy in which phase it is: each has another aggregator behind it, and they only rise.
pub const PHASE: &str = "phaseId()";
/// Asks a price proxy for the aggregator of a phase.
pub const PHASE_AGGREGATOR: &str = "phaseAggregators(uint16)";
/// Asks a contract of Chainlink's what it is; see [`text`].
pub const TYPE: &str = "typeAndVersion()";

/// Asks an oracle for many prices; the answer is [`numbers`].
#[must_use]
pub fn prices_of(assets: &[Address]) -> Bytes {
    let mut arguments = vec![U256::from(32), U256::from(assets.len())];
    arguments.extend(assets.iter().map(|asset| word(*asset)));
    call("getAssetsPrices(address[])", &arguments)
}

/// A single number.
///
/// # Errors
/// The answer is too short.
pub fn number(answer: &[u8]) -> Read<U256> {
    Words::of_answer(answer).uint(0)
}

/// A text of at most so many bytes; some old tokens answer with 32 bytes, filled up with zeros. Hostile: anyone can deploy
/// a token.
#[must_use]
pub fn text(answer: &[u8], most: usize) -> Option<String> {
    if answer.len() != 32 {
        return crate::markets::words::text(answer, most);
    }
    let end = answer.iter().position(|byte| *byte == 0).unwrap_or(answer.len());
    (end <= most).then(|| String::from_utf8_lossy(&answer[..end]).into_owned())
}

/// An array of numbers.
///
/// # Errors
/// The answer is shorter than it says.
pub fn numbers(answer: &[u8]) -> Read<Vec<U256>> {
    let words = array(answer)?;
    words.iter().map(|word| Ok(U256::from_be_bytes(word.0))).collect()
}

/// An array of addresses.
///
/// # Errors
/// The answer is shorter than it says, or holds what is no address.
pub fn addresses(answer: &[u8]) -> Read<Vec<Address>> {
    let words = array(answer)?;
    let one = |(place, word): (usize, &B256)| {
        let fits = word[..12].iter().all(|byte| *byte == 0);
        fits.then(|| Address::from_word(*word)).ok_or(Reject::Range { place, holds: "an address" })
    };
    words.iter().enumerate().map(one).collect()
}

fn array(answer: &[u8]) -> Read<Vec<B256>> {
    let words = Words::of_answer(answer);
    let too_short = |expected| Reject::Length { found: answer.len(), expected };
    if words.long(0)? != 32 {
        return Err(Reject::Range { place: 0, holds: "the place of an array" });
    }
    let count = usize::try_from(words.long(1)?).map_err(|_| too_short(usize::MAX))?;
    let expected = count.checked_mul(32).and_then(|bytes| bytes.checked_add(64)).ok_or(too_short(usize::MAX))?;
    let bytes = answer.get(64..expected).ok_or(too_short(expected))?;
    Ok(bytes.chunks_exact(32).map(B256::from_slice).collect())
}

/// What a V3 pool's revision number means; 1 is 3.0.2 here, and may be 3.0.0 or 3.0.1. `None` where it is none of ours.
#[must_use]
pub fn revision_v3(number: U256) -> Option<Revision> {
    match u64::try_from(number).ok()? {
        1..=3 => Some(Revision::V3_0_2),
        4 => Some(Revision::V3_1),
        5 => Some(Revision::V3_2),
        6 | 7 => Some(Revision::V3_3),
        8 => Some(Revision::V3_4),
        9 => Some(Revision::V3_5),
        10 => Some(Revision::V3_6),
        11 => Some(Revision::V3_7),
        _ => None,
    }
}

/// A reserve's state from `getConfiguration` and `getReserveData`; V2 answers with both indexes before both rates.
///
/// # Errors
/// An answer is too short, or an index leaves 128 bits.
pub fn anchor(revision: Revision, asset: Address, configuration: &[u8], data: &[u8]) -> Read<Anchor> {
    let words = Words::of_answer(data);
    let is_v2 = revision == Revision::V2;
    let [rate, index] = if is_v2 { [3, 2] } else { [2, 3] };
    let indexes = Indexes {
        liquidity_index: words.wide(1)?,
        liquidity_rate: words.wide(rate)?,
        variable_index: words.wide(index)?,
        variable_rate: words.wide(4)?,
        stable_rate: words.wide(5)?,
    };
    let accrued_to_treasury = if is_v2 { None } else { Some(words.uint(12)?) };
    Ok(Anchor {
        asset,
        configuration: Some(number(configuration)?),
        indexes: Some((indexes, words.long(6)?)),
        stable: None,
        deficit: None,
        accrued_to_treasury,
    })
}

/// A reserve's supply, stable debt and variable debt token, from `getReserveData`; V2 has them one word earlier.
///
/// # Errors
/// The answer is too short, or holds what is no address.
pub fn tokens(is_v2: bool, data: &[u8]) -> Read<[Address; 3]> {
    let words = Words::of_answer(data);
    let first = if is_v2 { 7 } else { 8 };
    Ok([words.address(first)?, words.address(first + 1)?, words.address(first + 2)?])
}

/// A stable debt token's totals, from `getSupplyData`.
///
/// # Errors
/// The answer is too short.
pub fn stable_totals(answer: &[u8]) -> Read<StableTotals> {
    let words = Words::of_answer(answer);
    Ok(StableTotals { principal: words.uint(0)?, average_rate: Ray(words.uint(2)?), updated: words.long(3)? })
}

/// An account's stable debt, from its three answers.
///
/// # Errors
/// An answer is too short.
pub fn stable_debt(principal: &[u8], rate: &[u8], since: &[u8]) -> Read<StableDebt> {
    let since = Words::of_answer(since).long(0)?;
    Ok(StableDebt { principal: number(principal)?, rate: Ray(number(rate)?), since })
}

/// A category's terms, from `getEModeCategoryData`. Since 3.2 its lists are asked for one by one, see
/// [`e_mode_list`]; to 3.1 a price source other than zero stands behind the terms.
///
/// # Errors
/// The answer is too short, or holds what is no share.
pub fn e_mode(answer: &[u8]) -> Read<EMode> {
    // The struct ends in a string, so that the answer begins with the place where it stands.
    let words = Words::of_answer(answer);
    Ok(EMode {
        ltv: Bps(words.short(1)?),
        liquidation_threshold: Bps(words.short(2)?),
        liquidation_bonus: Bps(words.short(3)?),
        has_price_source: !words.uint(4)?.is_zero(),
        ..EMode::default()
    })
}

/// A category's list of reserves.
///
/// # Errors
/// The answer is too short.
pub fn e_mode_list(answer: &[u8]) -> Read<ReserveSet> {
    Words::of_answer(answer).wide(0).map(ReserveSet)
}

/// What `getUserAccountData` answers: collateral, debt, what may be borrowed, threshold, loan-to-value, health factor.
///
/// # Errors
/// The answer is too short.
pub fn account_data(answer: &[u8]) -> Read<[U256; 6]> {
    let words = Words::of_answer(answer);
    let mut data = [U256::ZERO; 6];
    for (place, number) in data.iter_mut().enumerate() {
        *number = words.uint(place)?;
    }
    Ok(data)
}

/// How a supply token writes transfers, from the logs of a receipt in which it wrote a `BalanceTransfer`. Right before it
/// stands an ERC-20 `Transfer` between the same two: 3.0.1 and later write there the amount as holders see it, and behind
/// it the scaled one; 3.0.0 has the two the wrong way round. `None` where nothing can be told, because both are the same.
#[must_use]
pub fn transfers<'a>(token: Address, receipt: impl IntoIterator<Item = Log<'a>>) -> Option<Transfers> {
    let transfer = keccak256("Transfer(address,address,uint256)");
    let balance = keccak256("BalanceTransfer(address,address,uint256,uint256)");
    let mut before: Option<Log<'a>> = None;
    for log in receipt.into_iter().filter(|log| log.address == token) {
        let is_balance = log.topics.first() == Some(&balance);
        if let Some(before) = before.replace(log)
            && is_balance
            && before.topics.first() == Some(&transfer)
            && before.topics.get(1..) == log.topics.get(1..)
        {
            let words = Words::of_answer(log.data);
            let (value, index) = (words.uint(0).ok()?, Ray(words.uint(1).ok()?));
            let other = number(before.data).ok()?;
            let is_scaled_of = |scaled: U256, amount: U256| ray_div_half_up(amount, index) == Ok(scaled);
            match (is_scaled_of(value, other), is_scaled_of(other, value)) {
                (true, false) => return Some(Transfers::Scaled),
                (false, true) => return Some(Transfers::Unscaled),
                (true, true) | (false, false) => {}
            }
        }
    }
    None
}
