//! The table of events: one row for each, with its shape and how it is read.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use alloy_primitives::keccak256;
use protocol::aave::log::{
    EModeList, Indexes, Liquidated, Listing, Setting, StableChange, Statement as Say, TokenBegun,
};
use protocol::auction::Said;
use protocol::{Address, B256};

use super::words::{Reject, Words};

type Read = fn(&Words<'_>) -> Result<Say, Reject>;

/// One event.
pub(super) struct Row {
    signature: &'static str,
    /// How many arguments are indexed, the name not counted.
    indexed: usize,
    /// How many words the others fill; a string or bytes fills one with its place and any number behind.
    words: usize,
    /// Whether one of them has any length.
    is_open: bool,
    /// Whether those that are indexed need not be: releases of the contract differ.
    is_loose: bool,
    read: Read,
}

const fn row(signature: &'static str, indexed: usize, words: usize, read: Read) -> Row {
    Row { signature, indexed, words, is_open: false, is_loose: false, read }
}

const fn open(signature: &'static str, indexed: usize, words: usize, read: Read) -> Row {
    Row { signature, indexed, words, is_open: true, is_loose: false, read }
}

const fn loose(signature: &'static str, indexed: usize, words: usize, read: Read) -> Row {
    Row { signature, indexed, words, is_open: false, is_loose: true, read }
}

/// A change of a setting whose asset is the first argument.
macro_rules! set {
    ($signature:literal, $indexed:literal, $words:literal, |$arguments:ident| $setting:expr) => {
        row($signature, $indexed, $words, |$arguments| {
            Ok(Say::Set { asset: $arguments.address(0)?, setting: $setting })
        })
    };
}

const TOKENS: [Row; 16] = [
    row("Mint(address,address,uint256,uint256,uint256)", 2, 3, |w| {
        Ok(Say::Minted { account: w.address(1)?, value: w.uint(2)?, increase: w.uint(3)?, index: w.wide(4)? })
    }),
    row("Burn(address,address,uint256,uint256,uint256)", 2, 3, |w| {
        Ok(Say::Burned { account: w.address(0)?, value: w.uint(2)?, increase: w.uint(3)?, index: w.wide(4)? })
    }),
    row("BalanceTransfer(address,address,uint256,uint256)", 2, 2, |w| {
        Ok(Say::BalanceTransfer { from: w.address(0)?, to: w.address(1)?, value: w.uint(2)?, index: w.wide(3)? })
    }),
    row("Mint(address,uint256,uint256)", 1, 2, |w| {
        Ok(Say::MintedV2 { account: w.address(0)?, value: w.uint(1)?, index: w.wide(2)? })
    }),
    row("Mint(address,address,uint256,uint256)", 2, 2, |w| {
        Ok(Say::MintedV2 { account: w.address(1)?, value: w.uint(2)?, index: w.wide(3)? })
    }),
    row("Burn(address,address,uint256,uint256)", 2, 2, |w| {
        Ok(Say::BurnedV2 { account: w.address(0)?, value: w.uint(2)?, index: w.wide(3)? })
    }),
    row("Burn(address,uint256,uint256)", 1, 2, |w| {
        Ok(Say::BurnedV2 { account: w.address(0)?, value: w.uint(1)?, index: w.wide(2)? })
    }),
    row("Mint(address,address,uint256,uint256,uint256,uint256,uint256,uint256)", 2, 6, |w| {
        Ok(Say::StableMinted(Box::new(StableChange {
            user: w.address(1)?,
            amount: w.uint(2)?,
            balance: w.uint(3)?,
            increase: w.uint(4)?,
            rate: w.uint(5)?,
            average_rate: w.uint(6)?,
            total: w.uint(7)?,
        })))
    }),
    row("Burn(address,uint256,uint256,uint256,uint256,uint256)", 1, 5, |w| {
        Ok(Say::StableBurned(Box::new(StableChange {
            user: w.address(0)?,
            amount: w.uint(1)?,
            balance: w.uint(2)?,
            increase: w.uint(3)?,
            rate: Default::default(),
            average_rate: w.uint(4)?,
            total: w.uint(5)?,
        })))
    }),
    open("Initialized(address,address,address,address,uint8,string,string,bytes)", 2, 6, |w| {
        let treasury = Some(w.address(2)?);
        Ok(begun(TokenBegun { asset: w.address(0)?, pool: w.address(1)?, treasury, decimals: w.byte(4)? }))
    }),
    open("Initialized(address,address,address,uint8,string,string,bytes)", 2, 5, |w| {
        Ok(begun(TokenBegun { asset: w.address(0)?, pool: w.address(1)?, treasury: None, decimals: w.byte(3)? }))
    }),
    row("Upgraded(address)", 1, 0, |w| Ok(Say::Upgraded { implementation: w.address(0)? })),
    row("DiscountPercentUpdated(address,uint256,uint256)", 2, 1, |_| Ok(Say::Discounted)),
    row("DiscountTokenUpdated(address,address)", 2, 0, |_| Ok(Say::Discounted)),
    row("DiscountRateStrategyUpdated(address,address)", 2, 0, |_| Ok(Say::Discounted)),
    row("AnswerUpdated(int256,uint256,uint256)", 2, 1, |w| {
        Ok(Say::Answer { answer: w.int(0)?, round: w.uint(1)?, updated: w.uint(2)? })
    }),
];

fn begun(token: TokenBegun) -> Say {
    Say::TokenBegun(Box::new(token))
}

const POOL: [Row; 29] = [
    row("Deposit(address,address,address,uint256,uint16)", 3, 2, supplied),
    row("Supply(address,address,address,uint256,uint16)", 3, 2, supplied),
    row("Withdraw(address,address,address,uint256)", 3, 1, |w| {
        Ok(Say::Withdrawn { asset: w.address(0)?, user: w.address(1)?, to: w.address(2)?, amount: w.uint(3)? })
    }),
    row("Borrow(address,address,address,uint256,uint256,uint256,uint16)", 3, 4, borrowed),
    row("Borrow(address,address,address,uint256,uint8,uint256,uint16)", 3, 4, borrowed),
    row("Repay(address,address,address,uint256)", 3, 1, |w| repaid(w, false)),
    row("Repay(address,address,address,uint256,bool)", 3, 2, |w| repaid(w, w.flag(4)?)),
    row("LiquidationCall(address,address,address,uint256,uint256,address,bool)", 3, 4, |w| {
        Ok(Say::Liquidated(Box::new(Liquidated {
            collateral: w.address(0)?,
            debt: w.address(1)?,
            user: w.address(2)?,
            repaid: w.uint(3)?,
            received: w.uint(4)?,
            liquidator: w.address(5)?,
            takes_supply: w.flag(6)?,
        })))
    }),
    row("ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)", 1, 5, |w| {
        let indexes = Indexes {
            liquidity_rate: w.wide(1)?,
            stable_rate: w.wide(2)?,
            variable_rate: w.wide(3)?,
            liquidity_index: w.wide(4)?,
            variable_index: w.wide(5)?,
        };
        Ok(Say::Updated { asset: w.address(0)?, indexes })
    }),
    row("ReserveUsedAsCollateralEnabled(address,address)", 2, 0, |w| {
        Ok(Say::Collateral { asset: w.address(0)?, user: w.address(1)?, on: true })
    }),
    row("ReserveUsedAsCollateralDisabled(address,address)", 2, 0, |w| {
        Ok(Say::Collateral { asset: w.address(0)?, user: w.address(1)?, on: false })
    }),
    row("UserEModeSet(address,uint8)", 1, 1, |w| Ok(Say::EModeSet { user: w.address(0)?, category: w.byte(1)? })),
    row("MintedToTreasury(address,uint256)", 1, 1, |w| {
        Ok(Say::MintedToTreasury { asset: w.address(0)?, amount: w.uint(1)? })
    }),
    row("IsolationModeTotalDebtUpdated(address,uint256)", 1, 1, |w| {
        Ok(Say::IsolationDebt { asset: w.address(0)?, total: w.uint(1)? })
    }),
    row("DeficitCreated(address,address,uint256)", 2, 1, |w| {
        Ok(Say::DeficitCreated { user: w.address(0)?, asset: w.address(1)?, amount: w.uint(2)? })
    }),
    row("DeficitCovered(address,address,uint256)", 1, 2, |w| {
        Ok(Say::DeficitCovered { asset: w.address(0)?, caller: w.address(1)?, amount: w.uint(2)? })
    }),
    row("MintUnbacked(address,address,address,uint256,uint16)", 3, 2, |w| {
        let (asset, on_behalf_of) = (w.address(0)?, w.address(1)?);
        Ok(Say::UnbackedMinted { asset, user: w.address(3)?, on_behalf_of, amount: w.uint(4)? })
    }),
    row("BackUnbacked(address,address,uint256,uint256)", 2, 2, |w| {
        let (asset, backer) = (w.address(0)?, w.address(1)?);
        Ok(Say::UnbackedBacked { asset, backer, amount: w.uint(2)?, fee: w.uint(3)? })
    }),
    row("Swap(address,address,uint256)", 2, 1, swapped),
    row("SwapBorrowRateMode(address,address,uint8)", 2, 1, swapped),
    row("RebalanceStableBorrowRate(address,address)", 2, 0, |w| {
        Ok(Say::Rebalanced { asset: w.address(0)?, user: w.address(1)? })
    }),
    row("PositionManagerApproved(address,address)", 2, 0, |w| {
        Ok(Say::PositionManager { user: w.address(0)?, manager: w.address(1)?, on: true })
    }),
    row("PositionManagerRevoked(address,address)", 2, 0, |w| {
        Ok(Say::PositionManager { user: w.address(0)?, manager: w.address(1)?, on: false })
    }),
    row("FlashLoan(address,address,address,uint256,uint256,uint16)", 3, 3, |w| {
        Ok(Say::FlashLoan { target: w.address(0)?, asset: w.address(2)?, amount: w.uint(3)?, premium: w.uint(4)? })
    }),
    row("FlashLoan(address,address,address,uint256,uint8,uint256,uint16)", 3, 4, |w| {
        Ok(Say::FlashLoan { target: w.address(0)?, asset: w.address(1)?, amount: w.uint(4)?, premium: w.uint(6)? })
    }),
    row("Paused()", 0, 0, |_| Ok(Say::PoolPaused(true))),
    row("Unpaused()", 0, 0, |_| Ok(Say::PoolPaused(false))),
    row("ProxyCreated(bytes32,address)", 1, 1, |w| Ok(Say::ProxyCreated { name: w.hash(1)?, proxy: w.address(0)? })),
    row("ProxyCreated(bytes32,address,address)", 3, 0, |w| {
        Ok(Say::ProxyCreated { name: w.hash(0)?, proxy: w.address(1)? })
    }),
];

fn supplied(w: &Words<'_>) -> Result<Say, Reject> {
    let (asset, on_behalf_of) = (w.address(0)?, w.address(1)?);
    Ok(Say::Supplied { asset, user: w.address(3)?, on_behalf_of, amount: w.uint(4)? })
}

fn borrowed(w: &Words<'_>) -> Result<Say, Reject> {
    let (asset, on_behalf_of) = (w.address(0)?, w.address(1)?);
    let is_stable = w.byte(5)? == 1;
    Ok(Say::Borrowed { asset, user: w.address(3)?, on_behalf_of, amount: w.uint(4)?, is_stable })
}

fn repaid(w: &Words<'_>, with_supply: bool) -> Result<Say, Reject> {
    let (asset, user, repayer) = (w.address(0)?, w.address(1)?, w.address(2)?);
    Ok(Say::Repaid { asset, user, repayer, amount: w.uint(3)?, with_supply })
}

fn swapped(w: &Words<'_>) -> Result<Say, Reject> {
    Ok(Say::RateSwapped { asset: w.address(0)?, user: w.address(1)? })
}

const SETTINGS: [Row; 28] = [
    set!("BorrowingEnabledOnReserve(address,bool)", 1, 1, |w| Setting::BorrowingAndStable(w.flag(1)?)),
    set!("BorrowingDisabledOnReserve(address)", 1, 0, |w| Setting::Borrowing(false)),
    set!("ReserveBorrowing(address,bool)", 1, 1, |w| Setting::Borrowing(w.flag(1)?)),
    set!("StableRateEnabledOnReserve(address)", 1, 0, |w| Setting::StableBorrowing(true)),
    set!("StableRateDisabledOnReserve(address)", 1, 0, |w| Setting::StableBorrowing(false)),
    set!("ReserveStableRateBorrowing(address,bool)", 1, 1, |w| Setting::StableBorrowing(w.flag(1)?)),
    set!("ReserveActivated(address)", 1, 0, |w| Setting::Active(true)),
    set!("ReserveDeactivated(address)", 1, 0, |w| Setting::Active(false)),
    set!("ReserveActive(address,bool)", 1, 1, |w| Setting::Active(w.flag(1)?)),
    set!("ReserveFrozen(address)", 1, 0, |w| Setting::Frozen(true)),
    set!("ReserveUnfrozen(address)", 1, 0, |w| Setting::Frozen(false)),
    set!("ReserveFrozen(address,bool)", 1, 1, |w| Setting::Frozen(w.flag(1)?)),
    set!("ReservePaused(address,bool)", 1, 1, |w| Setting::Paused(w.flag(1)?)),
    set!("ReserveFactorChanged(address,uint256)", 1, 1, |w| Setting::ReserveFactor(w.short(1)?)),
    set!("ReserveFactorChanged(address,uint256,uint256)", 1, 2, |w| Setting::ReserveFactor(w.short(2)?)),
    set!("LiquidationProtocolFeeChanged(address,uint256,uint256)", 1, 2, |w| Setting::ProtocolFee(w.short(2)?)),
    set!("BorrowCapChanged(address,uint256,uint256)", 1, 2, |w| Setting::BorrowCap(w.long(2)?)),
    set!("SupplyCapChanged(address,uint256,uint256)", 1, 2, |w| Setting::SupplyCap(w.long(2)?)),
    set!("DebtCeilingChanged(address,uint256,uint256)", 1, 2, |w| Setting::DebtCeiling(w.long(2)?)),
    set!("UnbackedMintCapChanged(address,uint256,uint256)", 1, 2, |w| Setting::UnbackedMintCap(w.long(2)?)),
    set!("SiloedBorrowingChanged(address,bool,bool)", 1, 2, |w| Setting::Siloed(w.flag(2)?)),
    set!("BorrowableInIsolationChanged(address,bool)", 0, 2, |w| Setting::BorrowableInIsolation(w.flag(1)?)),
    set!("ReserveFlashLoaning(address,bool)", 1, 1, |w| Setting::FlashLoans(w.flag(1)?)),
    set!("EModeAssetCategoryChanged(address,uint8,uint8)", 1, 2, |w| Setting::EModeCategory(w.byte(2)?)),
    set!("LiquidationGracePeriodChanged(address,uint40)", 1, 1, |w| Setting::GraceUntil(w.long(1)?)),
    set!("LiquidationGracePeriodDisabled(address)", 1, 0, |w| Setting::GraceUntil(0)),
    set!("PendingLtvChanged(address,uint256)", 1, 1, |w| Setting::PendingLtv(w.short(1)?)),
    row("CollateralConfigurationChanged(address,uint256,uint256,uint256)", 1, 3, |w| {
        let [ltv, liquidation_threshold, liquidation_bonus] = [w.short(1)?, w.short(2)?, w.short(3)?];
        Ok(Say::Terms { asset: w.address(0)?, ltv, liquidation_threshold, liquidation_bonus })
    }),
];

const MARKET: [Row; 20] = [
    row("ReserveInitialized(address,address,address,address,address)", 2, 3, |w| {
        Ok(Say::Listed(Box::new(Listing {
            asset: w.address(0)?,
            a_token: w.address(1)?,
            stable: w.address(2)?,
            variable: w.address(3)?,
            strategy: w.address(4)?,
        })))
    }),
    row("ReserveDropped(address)", 1, 0, |w| Ok(Say::Dropped { asset: w.address(0)? })),
    open("EModeCategoryAdded(uint8,uint256,uint256,uint256,address,string)", 1, 5, |w| {
        let [ltv, liquidation_threshold, liquidation_bonus] = [w.short(1)?, w.short(2)?, w.short(3)?];
        let (category, source) = (w.byte(0)?, w.address(4)?);
        Ok(Say::EModeTerms { category, ltv, liquidation_threshold, liquidation_bonus, source })
    }),
    row("AssetCollateralInEModeChanged(address,uint8,bool)", 1, 2, |w| member(w, EModeList::Collateral)),
    row("AssetBorrowableInEModeChanged(address,uint8,bool)", 1, 2, |w| member(w, EModeList::Borrowable)),
    row("AssetLtvzeroInEModeChanged(address,uint8,bool)", 1, 2, |w| member(w, EModeList::LtvZero)),
    row("EModeCategoryIsolationChanged(uint8,bool)", 1, 1, |w| {
        Ok(Say::EModeIsolated { category: w.byte(0)?, on: w.flag(1)? })
    }),
    row("ATokenUpgraded(address,address,address)", 3, 0, token_upgraded),
    row("StableDebtTokenUpgraded(address,address,address)", 3, 0, token_upgraded),
    row("VariableDebtTokenUpgraded(address,address,address)", 3, 0, token_upgraded),
    row("ReserveInterestRateStrategyChanged(address,address)", 1, 1, |w| strategy(w, 1)),
    row("ReserveInterestRateStrategyChanged(address,address,address)", 1, 2, |w| strategy(w, 2)),
    open("ReserveInterestRateDataChanged(address,address,bytes)", 2, 2, |w| strategy(w, 1)),
    row("LendingPoolUpdated(address)", 1, 0, |w| Ok(Say::PoolImplementation { implementation: w.address(0)? })),
    row("PoolUpdated(address,address)", 2, 0, |w| Ok(Say::PoolImplementation { implementation: w.address(1)? })),
    row("PriceOracleUpdated(address)", 1, 0, |w| Ok(Say::OracleChanged { oracle: w.address(0)? })),
    row("PriceOracleUpdated(address,address)", 2, 0, |w| Ok(Say::OracleChanged { oracle: w.address(1)? })),
    row("AssetSourceUpdated(address,address)", 2, 0, |w| {
        Ok(Say::SourceChanged { asset: w.address(0)?, source: w.address(1)? })
    }),
    row("FallbackOracleUpdated(address)", 1, 0, |w| Ok(Say::FallbackChanged { fallback: w.address(0)? })),
    row("BaseCurrencySet(address,uint256)", 1, 1, |w| {
        Ok(Say::BaseCurrency { currency: w.address(0)?, unit: w.uint(1)? })
    }),
];

/// What is said around auctions. Of old, safes did not index the hash of what they carried out.
const AUCTION: [Row; 10] = [
    row("SecondaryRoundIdUpdated(uint32)", 1, 0, |w| said(Said::SecondaryRound { round: w.medium(0)? })),
    row("PrimaryFeedUnlocked(uint32)", 1, 0, |w| said(Said::Unlocked { round: w.medium(0)? })),
    row("NewRound(uint256,address,uint256)", 2, 1, |w| {
        said(Said::RoundBegun { round: w.medium(0)?, by: w.address(1)?, observed_at: w.medium(2)? })
    }),
    row("CutoffTimeSet(uint32)", 0, 1, |w| said(Said::CutoffSet { seconds: w.medium(0)? })),
    row("MaxSyncIterationsSet(uint32)", 0, 1, |w| said(Said::ReachSet { rounds: w.medium(0)? })),
    row("SafeReceived(address,uint256)", 1, 1, |w| said(Said::Received { from: w.address(0)?, wei: w.wide(1)? })),
    loose("ExecutionSuccess(bytes32,uint256)", 1, 1, |w| {
        said(Said::Executed { transaction: w.hash(0)?, refund: w.wide(1)? })
    }),
    row("OevAllocated(address,address,address,uint256,uint256,uint256,uint256)", 3, 4, |w| {
        let [bid, auctioneer, builder, kept] = [w.wide(3)?, w.wide(4)?, w.wide(5)?, w.wide(6)?];
        // Both others get their parts.
        let (_, _, protocol) = (w.address(0)?, w.address(1)?, w.address(2)?);
        said(Said::Allocated { protocol, bid, auctioneer, builder, kept })
    }),
    row("SolverTxResult(address,address,address,address,uint256,bool,bool,uint256)", 3, 5, |w| {
        // Who is called to solve comes first, and who signed for it second.
        let (_, solver, control, token) = (w.address(0)?, w.address(1)?, w.address(2)?, w.address(3)?);
        let (bid, executed, succeeded, _) = (w.wide(4)?, w.flag(5)?, w.flag(6)?, w.uint(7)?);
        said(Said::Solved { solver, control, token, bid, executed, succeeded })
    }),
    row("MetacallResult(address,address,bool,uint256,uint256)", 2, 3, |w| {
        let (bundler, user, succeeded) = (w.address(0)?, w.address(1)?, w.flag(2)?);
        said(Said::Settled { bundler, user, succeeded, paid: w.wide(3)?, surcharge: w.wide(4)? })
    }),
];

fn said(said: Said) -> Result<Say, Reject> {
    Ok(Say::Auction(Box::new(said)))
}

fn member(w: &Words<'_>, list: EModeList) -> Result<Say, Reject> {
    Ok(Say::EModeMember { asset: w.address(0)?, category: w.byte(1)?, list, on: w.flag(2)? })
}

fn token_upgraded(w: &Words<'_>) -> Result<Say, Reject> {
    Ok(Say::TokenUpgraded { asset: w.address(0)?, proxy: w.address(1)?, implementation: w.address(2)? })
}

fn strategy(w: &Words<'_>, place: usize) -> Result<Say, Reject> {
    let strategy: Address = w.address(place)?;
    Ok(Say::StrategyChanged { asset: w.address(0)?, strategy })
}

/// How many slots the table has; a quarter of them is taken, so that what is not ours is soon known not to be.
const SLOTS: usize = 512;

/// The rows by the hash of their signature.
pub(super) struct Table {
    /// A hash begins to look where its first bytes say, and goes on.
    slots: Vec<Option<(B256, &'static Row)>>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut slots = vec![None; SLOTS];
    for row in TOKENS.iter().chain(&POOL).chain(&SETTINGS).chain(&MARKET).chain(&AUCTION) {
        let name = keccak256(row.signature);
        let mut slot = first_slot(&name);
        while slots[slot].is_some() {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = Some((name, row));
    }
    Table { slots }
});

fn first_slot(name: &B256) -> usize {
    (usize::from(name[0]) << 1 | usize::from(name[1] & 1)) % SLOTS
}

pub(super) fn table() -> &'static Table {
    &TABLE
}

impl Table {
    /// The names of what a market's own contracts and feeds say.
    pub(super) fn topics(&self) -> BTreeSet<B256> {
        self.slots.iter().flatten().filter(|(_, row)| !row.is_around_auctions()).map(|(name, _)| *name).collect()
    }

    /// The names of what is said around auctions.
    pub(super) fn auction_topics(&self) -> BTreeSet<B256> {
        self.slots.iter().flatten().filter(|(_, row)| row.is_around_auctions()).map(|(name, _)| *name).collect()
    }

    /// The names of those whose signature begins so.
    pub(super) fn named(&self, beginnings: &[&str]) -> BTreeSet<B256> {
        let is_meant = |row: &Row| beginnings.iter().any(|beginning| row.signature.starts_with(beginning));
        self.slots.iter().flatten().filter(|(_, row)| is_meant(row)).map(|(name, _)| *name).collect()
    }

    /// Whether a name is that of one whose signature begins so.
    pub(super) fn is_named(&self, name: &B256, beginning: &str) -> bool {
        self.find(name).is_some_and(|row| row.signature.starts_with(beginning))
    }

    #[inline]
    pub(super) fn find(&self, name: &B256) -> Option<&'static Row> {
        let mut slot = first_slot(name);
        while let Some((known, row)) = &self.slots[slot] {
            if known == name {
                return Some(*row);
            }
            slot = (slot + 1) % SLOTS;
        }
        None
    }
}

impl Row {
    fn is_around_auctions(&self) -> bool {
        AUCTION.iter().any(|row| row.signature == self.signature)
    }

    /// The arguments of a log of this event, if it has its shape.
    #[inline]
    pub(super) fn arguments<'a>(&self, indexed: &'a [B256], data: &'a [u8]) -> Result<Words<'a>, Reject> {
        let plain = self.indexed.checked_sub(indexed.len()).filter(|plain| *plain == 0 || self.is_loose);
        let plain = plain.ok_or(Reject::Topics { found: indexed.len(), expected: self.indexed })?;
        let expected = 32 * (self.words + plain);
        let fits = if self.is_open { data.len() >= expected } else { data.len() == expected };
        if !fits {
            return Err(Reject::Length { found: data.len(), expected });
        }
        Ok(Words::of_log(indexed, data))
    }

    /// What a log with these arguments says.
    #[inline]
    pub(super) fn read(&self, words: &Words<'_>) -> Result<Say, Reject> {
        (self.read)(words)
    }
}

#[cfg(test)]
pub(super) fn shapes() -> impl Iterator<Item = (B256, usize, usize, &'static str)> {
    TABLE.slots.iter().flatten().map(|(name, row)| (*name, row.indexed, row.words, row.signature))
}
