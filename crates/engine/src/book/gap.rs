//! What the fold cannot go on without.

use std::fmt;

use protocol::Address;
use protocol::aave::math::MathError;

use super::accounts::Side;

/// Something is missing, or does not fit what went before. The book is as it was; what to bring is in the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The event stands before one that was already folded.
    OutOfOrder {
        /// Its block and its place in it.
        event: (u64, u64),
        /// What was folded last.
        last: (u64, u64),
    },
    /// A contract that is no part of the market, as far as is known, said something about it: logs before it are
    /// missing, or it is not to be believed.
    UnknownContract {
        /// The contract.
        address: Address,
        /// The block.
        block: u64,
    },
    /// The asset was never listed.
    UnknownAsset {
        /// The asset.
        asset: Address,
        /// The block.
        block: u64,
    },
    /// A contract runs code of which nobody said what revision it is. Bring: `POOL_REVISION()`, `LENDINGPOOL_REVISION()`
    /// or the token's revision at the block, as [`Runs`](protocol::aave::log::Statement::Runs).
    UnknownRevision {
        /// The proxy.
        contract: Address,
        /// The code; zero where the pool's is not known at all.
        implementation: Address,
        /// The block.
        block: u64,
    },
    /// A supply token's way of writing transfers is not known. Bring: the ERC-20 `Transfer` beside the `BalanceTransfer`
    /// in the transaction's receipt, as [`Writes`](protocol::aave::log::Statement::Writes).
    UnknownTransfers {
        /// The token.
        token: Address,
        /// The block.
        block: u64,
        /// The transaction's place in it.
        transaction: u32,
    },
    /// An upgrade may have changed storage without a log. Bring: the reserve's state at the end of the block, as
    /// [`Anchored`](protocol::aave::log::Statement::Anchored).
    Unanchored {
        /// The reserve's asset.
        asset: Address,
        /// The block of the upgrade.
        block: u64,
    },
    /// The same for an e-mode category. Bring: [`EModeRead`](protocol::aave::log::Statement::EModeRead).
    UnanchoredEMode {
        /// The category.
        category: u8,
        /// The block of the upgrade.
        block: u64,
    },
    /// Stable debt is no more, and somebody still had some. Bring:
    /// [`StableRead`](protocol::aave::log::Statement::StableRead), and his variable debt before it as
    /// [`BalanceRead`](protocol::aave::log::Statement::BalanceRead).
    StrandedStableDebt {
        /// The reserve's asset.
        asset: Address,
        /// Whose.
        account: Address,
        /// The block of the upgrade.
        block: u64,
    },
    /// More was taken from an account than it had: a log before this one is missing.
    Negative {
        /// The reserve's asset.
        asset: Address,
        /// Whose balance.
        account: Address,
        /// Of supply or debt.
        side: Side,
        /// The block.
        block: u64,
    },
    /// A token's own figures do not follow from what is booked: a log before this one is missing.
    Contradiction {
        /// The reserve's asset.
        asset: Address,
        /// Whose balance.
        account: Address,
        /// What does not follow.
        what: &'static str,
        /// The block.
        block: u64,
    },
    /// A scaled balance above 2^128 - 1, which no revision after V2 can hold.
    TooLarge {
        /// The reserve's asset.
        asset: Address,
        /// Whose balance.
        account: Address,
        /// The block.
        block: u64,
    },
    /// The event's figures lead out of the contracts' arithmetic.
    Arithmetic {
        /// The reserve's asset.
        asset: Address,
        /// How.
        cause: MathError,
        /// The block.
        block: u64,
    },
    /// The pool would list more reserves than its bitmaps have bits for.
    TooManyReserves {
        /// The block.
        block: u64,
    },
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrder { event, last } => {
                write!(f, "block {}, log {} comes after block {}, log {}", event.0, event.1, last.0, last.1)
            }
            Self::UnknownContract { address, block } => {
                write!(
                    f,
                    "block {block}: {address} is not known as a part of the market; read its logs from the first block"
                )
            }
            Self::UnknownAsset { asset, block } => {
                write!(f, "block {block}: {asset} was never listed; read the configurator's logs from the first block")
            }
            Self::UnknownRevision { contract, implementation, block } => {
                write!(f, "block {block}: ask {contract} which revision it runs ({implementation})")
            }
            Self::UnknownTransfers { token, block, transaction } => {
                write!(f, "block {block}: see in the receipt of transaction {transaction} how {token} writes transfers")
            }
            Self::Unanchored { asset, block } => {
                write!(f, "block {block}: the pool was upgraded; read the state of the reserve {asset} after it")
            }
            Self::UnanchoredEMode { category, block } => {
                write!(f, "block {block}: the pool was upgraded; read e-mode category {category} after it")
            }
            Self::StrandedStableDebt { asset, account, block } => {
                write!(f, "block {block}: stable debt is no more; read what {account} owes of {asset} after it")
            }
            Self::Negative { asset, account, side, block } => {
                let side = if *side == Side::Supply { "supply" } else { "debt" };
                write!(
                    f,
                    "block {block}: the {side} of {account} in {asset} would be negative; a log before it is missing"
                )
            }
            Self::Contradiction { asset, account, what, block } => {
                write!(f, "block {block}: {what} of {account} in {asset} does not follow; a log before it is missing")
            }
            Self::TooLarge { asset, account, block } => {
                write!(f, "block {block}: the balance of {account} in {asset} is above 2^128")
            }
            Self::Arithmetic { asset, cause, block } => write!(f, "block {block}: {asset}: {cause}"),
            Self::TooManyReserves { block } => write!(f, "block {block}: more than 128 reserves"),
        }
    }
}

impl std::error::Error for Gap {}
