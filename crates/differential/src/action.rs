//! What can happen in a market: what users and the administrator do, and what happens to them.

#![expect(missing_docs, reason = "the steps are described; their fields say what they are by name")]

use alloy_primitives::U256;

/// One step. Users, reserves and e-modes are named by their place in the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hands tokens to the pool, for oneself or another.
    Supply { user: usize, reserve: usize, amount: U256, to: usize },
    /// Takes tokens back; `U256::MAX` is all of them.
    Withdraw { user: usize, reserve: usize, amount: U256, to: usize },
    /// Borrows for oneself.
    Borrow { user: usize, reserve: usize, amount: U256, mode: Mode },
    /// Pays one's own debt or another's back; `U256::MAX` is all of it.
    Repay { user: usize, reserve: usize, amount: U256, mode: Mode, of: usize },
    /// Pays debt back with the reserve's own aTokens (V3).
    RepayWithATokens { user: usize, reserve: usize, amount: U256, mode: Mode },
    /// Hands aTokens to another.
    Transfer { user: usize, reserve: usize, amount: U256, to: usize },
    /// Uses supply as collateral, or no longer.
    UseAsCollateral { user: usize, reserve: usize, on: bool },
    /// Enters a category; 0 leaves (V3).
    SetEMode { user: usize, category: u8 },
    /// Swaps debt of this mode for the other (to 3.1).
    SwapRate { user: usize, reserve: usize, mode: Mode },
    /// Brings another's stable rate to the current one (to 3.1).
    Rebalance { user: usize, reserve: usize, of: usize },
    /// Hands the treasury what it is owed (V3).
    MintToTreasury { reserve: usize },
    /// Covers bad debt with one's own supply; who does it is the protocol's insurance (3.6).
    CoverDeficit { user: usize, reserve: usize, amount: U256 },
    /// Pays another's debt and takes collateral for it.
    Liquidate { user: usize, of: usize, collateral: usize, debt: usize, amount: U256, receive_a_token: bool },
    /// A setting is changed.
    Admin(Admin),
    /// An asset's price moves.
    Price { reserve: usize, price: U256 },
    /// A category's own price moves (3.0).
    EModePrice { category: u8, price: U256 },
    /// Seconds pass.
    Wait { seconds: u64 },
    /// The sentinel's answers change (V3).
    Sentinel { borrow: bool, liquidation: bool },
}

/// How debt grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// At a rate fixed when it was taken.
    Stable,
    /// At the reserve's rate.
    Variable,
}

impl Mode {
    /// The contracts' number for it.
    pub fn number(self) -> U256 {
        match self {
            Self::Stable => U256::from(1),
            Self::Variable => U256::from(2),
        }
    }
}

/// A change of settings; each is one call to the configurator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admin {
    /// Loan to value, threshold and bonus.
    Collateral { reserve: usize, ltv: u16, threshold: u16, bonus: u16 },
    /// Whether it may be borrowed.
    Borrowing { reserve: usize, on: bool },
    /// Whether it may be borrowed at a stable rate (to 3.1).
    StableBorrowing { reserve: usize, on: bool },
    /// Nothing new, but existing positions may be closed.
    Freeze { reserve: usize, on: bool },
    /// Nothing at all; V2 pauses the whole market. Grace in seconds delays liquidations after it (3.6).
    Pause { reserve: usize, on: bool, grace: u64 },
    /// Whether it exists at all.
    Active { reserve: usize, on: bool },
    /// The treasury's share of interest.
    ReserveFactor { reserve: usize, bps: u16 },
    /// The treasury's share of liquidation bonuses (V3).
    ProtocolFee { reserve: usize, bps: u16 },
    /// In whole tokens (V3).
    SupplyCap { reserve: usize, cap: u64 },
    /// In whole tokens (V3).
    BorrowCap { reserve: usize, cap: u64 },
    /// In cents (V3).
    DebtCeiling { reserve: usize, cents: u64 },
    /// Whether it may only be borrowed alone (V3).
    Siloed { reserve: usize, on: bool },
    /// Whether it may be borrowed against collateral with a debt ceiling (V3).
    BorrowableInIsolation { reserve: usize, on: bool },
    /// An e-mode category changes (V3).
    Category(Category),
    /// Takes a reserve's loan to value away, or gives it back (3.6).
    LtvZero { reserve: usize, on: bool },
}

/// A change of an e-mode category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Category {
    /// Its terms.
    Terms { category: u8, ltv: u16, threshold: u16, bonus: u16, priced: bool },
    /// A reserve's one category (3.0).
    Of { reserve: usize, category: u8 },
    /// A reserve's place in one of its lists (3.6).
    Member { reserve: usize, category: u8, list: List, on: bool },
}

/// A category's lists in 3.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Collateral.
    AsCollateral,
    /// What may be borrowed.
    AsBorrowable,
    /// Collateral without a loan to value.
    WithoutLtv,
}
