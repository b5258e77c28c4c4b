//! The pool's events that say what a step did.

use std::sync::LazyLock;

use alloy_primitives::{B256, Log, U256, keccak256};

use crate::abi::word_at;

/// An event: its name, and its arguments in the order in which the log has them, indexed ones first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Without types.
    pub name: &'static str,
    /// Indexed arguments, then the others.
    pub words: Vec<U256>,
}

/// Every event that is looked at, in all versions.
const SIGNATURES: [&str; 24] = [
    "Deposit(address,address,address,uint256,uint16)",
    "Supply(address,address,address,uint256,uint16)",
    "Withdraw(address,address,address,uint256)",
    "Borrow(address,address,address,uint256,uint256,uint256,uint16)",
    "Borrow(address,address,address,uint256,uint8,uint256,uint16)",
    "Repay(address,address,address,uint256)",
    "Repay(address,address,address,uint256,bool)",
    "Swap(address,address,uint256)",
    "SwapBorrowRateMode(address,address,uint8)",
    "RebalanceStableBorrowRate(address,address)",
    "ReserveUsedAsCollateralEnabled(address,address)",
    "ReserveUsedAsCollateralDisabled(address,address)",
    "LiquidationCall(address,address,address,uint256,uint256,address,bool)",
    "ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)",
    "UserEModeSet(address,uint8)",
    "MintedToTreasury(address,uint256)",
    "IsolationModeTotalDebtUpdated(address,uint256)",
    "DeficitCreated(address,address,uint256)",
    "DeficitCovered(address,address,uint256)",
    "MintUnbacked(address,address,address,uint256,uint16)",
    "BackUnbacked(address,address,uint256,uint256)",
    "FlashLoan(address,address,address,uint256,uint8,uint256,uint16)",
    "Paused()",
    "Unpaused()",
];

static TOPICS: LazyLock<Vec<(B256, &str)>> = LazyLock::new(|| {
    let name = |signature: &'static str| signature.split('(').next().unwrap_or(signature);
    SIGNATURES.into_iter().map(|signature| (keccak256(signature), name(signature))).collect()
});

/// The event of a log, if it is one of those looked at.
pub fn read(log: &Log) -> Option<Event> {
    let (topic, indexed) = log.topics().split_first()?;
    let (_, name) = TOPICS.iter().find(|(hash, _)| hash == topic)?;
    let data = &log.data.data;
    let mut words: Vec<U256> = indexed.iter().map(|topic| U256::from_be_bytes(topic.0)).collect();
    words.extend((0..data.len() / 32).map(|index| word_at(data, index)));
    Some(Event { name, words })
}
