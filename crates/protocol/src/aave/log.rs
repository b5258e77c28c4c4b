//! What the contracts of a market say in their logs, decoded, and what a reader of the chain adds to it.
//!
//! A [`Statement`] is one log or one answer of a node, without context: whether an address is a supply or a debt token,
//! and by which revision's rules an amount is meant, is for whoever folds them to know. Amounts are in the token's
//! smallest unit, rates are yearly rays, moments are seconds since 1970.
//!
//! Sources: `IPool`, `IPoolConfigurator`, `IPoolAddressesProvider`, `IAaveOracle`, `IScaledBalanceToken`, `IAToken`,
//! `IStableDebtToken` of each revision; protocol-v2's namesakes; gho-core's `IGhoVariableDebtToken`.

use alloy_primitives::{Address, B256, I256, U256};

use super::config::EMode;
use super::reserve::{StableDebt, StableTotals};
use super::revision::Revision;

/// One statement, who made it and in which transaction of its block.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The contract that wrote the log; of an answer, the contract that was asked.
    pub by: Address,
    /// The place of its transaction in the block; `u32::MAX` for an answer, which is about the end of the block.
    pub transaction: u32,
    /// What is said.
    pub statement: Statement,
}

/// A reserve's yearly rates and its indexes, as 128-bit rays, which is how the pool stores them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Indexes {
    /// What suppliers earn.
    pub liquidity_rate: u128,
    /// What new stable debt pays (to 3.1).
    pub stable_rate: u128,
    /// What variable debt pays.
    pub variable_rate: u128,
    /// What one scaled unit of supply is worth.
    pub liquidity_index: u128,
    /// What one scaled unit of variable debt is worth.
    pub variable_index: u128,
}

/// How a `BalanceTransfer` counts, which cannot be told from the log alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transfers {
    /// In units of the token as holders see it (V2, 3.0.0).
    Unscaled,
    /// In scaled units (3.0.1+).
    Scaled,
}

/// A change of one reserve's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Whether it can be borrowed.
    Borrowing(bool),
    /// It can be borrowed, and whether also at a stable rate (V2).
    BorrowingAndStable(bool),
    /// Whether it can be borrowed at a stable rate (to 3.1).
    StableBorrowing(bool),
    /// Whether it is usable at all.
    Active(bool),
    /// Whether it takes nothing new.
    Frozen(bool),
    /// Whether nothing is possible (V3).
    Paused(bool),
    /// The treasury's share of interest, in basis points.
    ReserveFactor(u16),
    /// The treasury's share of liquidation bonuses, in basis points (V3).
    ProtocolFee(u16),
    /// In whole tokens, 0 for none (V3).
    BorrowCap(u64),
    /// In whole tokens, 0 for none (V3).
    SupplyCap(u64),
    /// In cents, 0 where it is not isolated (3.0 to 3.6).
    DebtCeiling(u64),
    /// In whole tokens (to 3.3).
    UnbackedMintCap(u64),
    /// Whether it can only be borrowed alone (3.0 to 3.6).
    Siloed(bool),
    /// Whether it can be borrowed against an isolated collateral (3.0 to 3.6).
    BorrowableInIsolation(bool),
    /// Whether flash loans are possible (3.0.1+).
    FlashLoans(bool),
    /// Its only e-mode category, 0 for none (3.0, 3.1).
    EModeCategory(u8),
    /// Until when nobody is liquidated, in seconds since 1970 (3.1+).
    GraceUntil(u64),
    /// The loan-to-value it gets back when it thaws, in basis points (3.1+).
    PendingLtv(u16),
}

/// A list of reserves that an e-mode category keeps (3.2+).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EModeList {
    /// What takes the category's parameters as collateral.
    Collateral,
    /// What can be borrowed in it.
    Borrowable,
    /// Collateral without a loan-to-value in it (3.6+).
    LtvZero,
}

/// A repayment of somebody's debt out of his collateral, as the pool reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liquidated {
    /// What was seized.
    pub collateral: Address,
    /// What was repaid.
    pub debt: Address,
    /// Whose.
    pub user: Address,
    /// How much was repaid.
    pub repaid: U256,
    /// How much the liquidator got; the treasury's fee comes on top.
    pub received: U256,
    /// Who did it.
    pub liquidator: Address,
    /// Whether he took supply tokens instead of the asset.
    pub takes_supply: bool,
}

/// A stable debt token's own account of a change; rates in rays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StableChange {
    /// Whose debt.
    pub user: Address,
    /// By how much the token reports it to have changed. What it counts differs: see [`Statement::StableMinted`].
    pub amount: U256,
    /// The debt before, with interest.
    pub balance: U256,
    /// The interest in it.
    pub increase: U256,
    /// The account's rate after it; zero in a burn, which does not report it.
    pub rate: U256,
    /// The reserve's average rate after it.
    pub average_rate: U256,
    /// All debt after it.
    pub total: U256,
}

/// What a reserve is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// The asset.
    pub asset: Address,
    /// Its supply token.
    pub a_token: Address,
    /// Its stable debt token; zero from 3.2 on.
    pub stable: Address,
    /// Its variable debt token.
    pub variable: Address,
    /// Its interest-rate strategy.
    pub strategy: Address,
}

/// What a token says of itself when it begins (not the tokens of V2's first release).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenBegun {
    /// The asset it stands for.
    pub asset: Address,
    /// Its pool.
    pub pool: Address,
    /// Where the protocol's share goes; a supply token's alone.
    pub treasury: Option<Address>,
    /// Its decimals, which are the asset's.
    pub decimals: u8,
}

/// One reserve's state at the end of a block, as calls answered it. What is `None` was not asked or does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Which reserve.
    pub asset: Address,
    /// `getConfiguration`.
    pub configuration: Option<U256>,
    /// From `getReserveData`, with the moment of the last update in seconds.
    pub indexes: Option<(Indexes, u64)>,
    /// The stable debt token's `getSupplyData`.
    pub stable: Option<StableTotals>,
    /// `getReserveDeficit` (3.3+).
    pub deficit: Option<U256>,
    /// The treasury's claim in scaled units, `accruedToTreasury` (V3).
    pub accrued_to_treasury: Option<U256>,
}

/// What can be said of a market.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the statements are described; their fields say what they are by name")]
pub enum Statement {
    // Tokens.
    /// V3's `Mint` of a supply or variable debt token. To 3.4 the value is what was minted and the interest since the
    /// last change, less what a burn took; from 3.5 on the difference of two rounded balances.
    Minted { account: Address, value: U256, increase: U256, index: u128 },
    /// V3's `Burn`, the same with the other sign.
    Burned { account: Address, value: U256, increase: U256, index: u128 },
    /// V2's `Mint` of a supply or variable debt token: the value is what was minted.
    MintedV2 { account: Address, value: U256, index: u128 },
    /// V2's `Burn`.
    BurnedV2 { account: Address, value: U256, index: u128 },
    /// Supply changed hands; see [`Transfers`].
    BalanceTransfer { from: Address, to: Address, value: U256, index: u128 },
    /// A stable debt token's `Mint`. Of a borrow V2 reports the amount drawn, V3 the amount and the interest. Of a
    /// repayment smaller than the interest, which is a `Mint` too, both report the interest less the repayment.
    StableMinted(Box<StableChange>),
    /// A stable debt token's `Burn`: the amount is what was repaid less the interest.
    StableBurned(Box<StableChange>),
    /// A token begins.
    TokenBegun(Box<TokenBegun>),
    /// GHO's debt token gives discounts, which its logs do not account for (to 3.3).
    Discounted,

    // Pool.
    /// `Supply`, V2's `Deposit`.
    Supplied { asset: Address, user: Address, on_behalf_of: Address, amount: U256 },
    /// `Withdraw`.
    Withdrawn { asset: Address, user: Address, to: Address, amount: U256 },
    /// `Borrow`.
    Borrowed { asset: Address, user: Address, on_behalf_of: Address, amount: U256, is_stable: bool },
    /// `Repay`.
    Repaid { asset: Address, user: Address, repayer: Address, amount: U256, with_supply: bool },
    /// `LiquidationCall`.
    Liquidated(Box<Liquidated>),
    /// `ReserveDataUpdated`: the reserve was brought up to date and has new rates.
    Updated { asset: Address, indexes: Indexes },
    /// `ReserveUsedAsCollateralEnabled` and its opposite.
    Collateral { asset: Address, user: Address, on: bool },
    /// `UserEModeSet`; 0 is none.
    EModeSet { user: Address, category: u8 },
    /// `MintedToTreasury`.
    MintedToTreasury { asset: Address, amount: U256 },
    /// `IsolationModeTotalDebtUpdated`, in cents.
    IsolationDebt { asset: Address, total: U256 },
    /// Debt that no collateral is left for was written off (3.3+).
    DeficitCreated { user: Address, asset: Address, amount: U256 },
    /// Some of it was covered (3.3+).
    DeficitCovered { asset: Address, caller: Address, amount: U256 },
    /// A bridge minted supply without backing (to 3.3).
    UnbackedMinted { asset: Address, user: Address, on_behalf_of: Address, amount: U256 },
    /// A bridge backed it (to 3.3).
    UnbackedBacked { asset: Address, backer: Address, amount: U256, fee: U256 },
    /// Somebody's debt changed its mode (to 3.1).
    RateSwapped { asset: Address, user: Address },
    /// Somebody's stable rate was brought to the current one (to 3.1).
    Rebalanced { asset: Address, user: Address },
    /// Somebody may act for another, or no longer (3.4+).
    PositionManager { user: Address, manager: Address, on: bool },
    /// `FlashLoan`.
    FlashLoan { asset: Address, target: Address, amount: U256, premium: U256 },
    /// V2 pauses the whole pool, or goes on.
    PoolPaused(bool),

    // Configurator.
    /// A reserve was listed.
    Listed(Box<Listing>),
    /// A reserve was dropped (to 3.6).
    Dropped { asset: Address },
    /// Loan-to-value, threshold and bonus, in basis points.
    Terms { asset: Address, ltv: u16, liquidation_threshold: u16, liquidation_bonus: u16 },
    /// Any other setting.
    Set { asset: Address, setting: Setting },
    /// A category's terms, in basis points, and its price source (3.0, 3.1) or zero.
    EModeTerms { category: u8, ltv: u16, liquidation_threshold: u16, liquidation_bonus: u16, source: Address },
    /// A reserve enters or leaves a category's list (3.2+).
    EModeMember { asset: Address, category: u8, list: EModeList, on: bool },
    /// Whether what is not a category's collateral has no loan-to-value in it (3.7).
    EModeIsolated { category: u8, on: bool },
    /// A token of a reserve got another implementation; its proxy says so too.
    TokenUpgraded { asset: Address, proxy: Address, implementation: Address },
    /// The interest-rate strategy or its parameters changed.
    StrategyChanged { asset: Address, strategy: Address },

    // Addresses provider.
    /// The provider made a proxy under a name.
    ProxyCreated { name: B256, proxy: Address },
    /// The provider gave the pool's proxy an implementation.
    PoolImplementation { implementation: Address },
    /// The provider names another oracle.
    OracleChanged { oracle: Address },

    // Oracle and feeds.
    /// An asset's price comes from elsewhere.
    SourceChanged { asset: Address, source: Address },
    /// Who is asked where a source answers nothing.
    FallbackChanged { fallback: Address },
    /// What prices are in, and its unit.
    BaseCurrency { currency: Address, unit: U256 },
    /// A feed's new answer.
    Answer { answer: I256, round: U256, updated: U256 },

    // Around auctions.
    /// A contract around an auction for liquidations said something; no book of a market is kept by it.
    Auction(Box<crate::auction::Said>),

    // Proxies.
    /// A proxy got another implementation.
    Upgraded { implementation: Address },

    // What a reader of the chain found out.
    /// An implementation of a pool or a token runs a revision. How it writes transfers is `None` where nobody looked and
    /// the revision number does not tell (1 is 3.0.0 to 3.0.2).
    Runs { implementation: Address, revision: Revision, transfers: Option<Transfers> },
    /// How the supply token that was asked writes transfers.
    Writes { transfers: Transfers },
    /// A reserve's state at the end of the block.
    Anchored(Box<Anchor>),
    /// A category's state at the end of the block; `None` where it does not exist.
    EModeRead { category: u8, e_mode: Option<Box<EMode>> },
    /// An account's stable debt at the end of the block; who was asked is the stable debt token.
    StableRead { account: Address, debt: Box<StableDebt> },
    /// An account's scaled balance at the end of the block; who was asked is the token.
    BalanceRead { account: Address, scaled: U256 },
    /// The oracle's prices at the end of the block, in base currency.
    Priced(Box<[(Address, U256)]>),
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Millions of them are made and folded in a second.
    #[test]
    fn entries_stay_small() {
        assert!(size_of::<Entry>() <= 160, "{}", size_of::<Entry>());
        assert!(size_of::<crate::event::Event>() <= 208, "{}", size_of::<crate::event::Event>());
    }
}
