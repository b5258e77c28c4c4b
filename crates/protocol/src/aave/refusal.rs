//! Why the pool would refuse an action: the contract's revert, as data.

use std::fmt;

use super::math::MathError;

/// A revert. Variants are named after the custom errors of 3.4 to 3.6 where there is one; [`codes`](Self::codes) gives the
/// older numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A calculation leaves its width; the contract panics or reverts without a word.
    Arithmetic(MathError),
    /// The revision has no such action.
    UnknownAction,
    /// The reserve holds less than is taken.
    NotEnoughLiquidity,
    /// The amount is zero.
    InvalidAmount,
    /// The amount is too small to mint one scaled unit.
    InvalidMintAmount,
    /// The amount is too small to burn one scaled unit.
    InvalidBurnAmount,
    /// No reserve has this number.
    AssetNotListed,
    /// The reserve is not active.
    ReserveInactive,
    /// The reserve is frozen.
    ReserveFrozen,
    /// The reserve is paused (V2: the pool).
    ReservePaused,
    /// The account holds less.
    NotEnoughAvailableUserBalance,
    /// V2: taking this out would bring the health factor below 1.
    TransferNotAllowed,
    /// V2: switching this collateral off would bring the health factor below 1.
    DepositAlreadyInUse,
    /// The reserve cannot be borrowed.
    BorrowingNotEnabled,
    /// The reserve cannot be borrowed at a stable rate.
    StableBorrowingNotEnabled,
    /// There is no such rate mode.
    InvalidInterestRateModeSelected,
    /// The account has no collateral of value.
    CollateralBalanceIsZero,
    /// The health factor is, or would be, below 1.
    HealthFactorLowerThanLiquidationThreshold,
    /// The borrowing power does not cover the new debt.
    CollateralCannotCoverNewBorrow,
    /// A stable loan must exceed the account's own supply of the same asset.
    CollateralSameAsBorrowingCurrency,
    /// A stable loan takes at most a share of the liquidity.
    AmountBiggerThanMaxLoanSizeStable,
    /// There is no debt of this rate mode.
    NoDebtOfSelectedType,
    /// "All" can be said only of one's own debt.
    NoExplicitAmountToRepayOnBehalf,
    /// There is no stable debt to swap.
    NoOutstandingStableDebt,
    /// There is no variable debt to swap.
    NoOutstandingVariableDebt,
    /// The account has no supply to use as collateral.
    UnderlyingBalanceZero,
    /// The stable rate is not far enough from the market to be rebalanced.
    InterestRateRebalanceConditionsNotMet,
    /// 3.0.0: drawn in this very block.
    SameBlockBorrowRepay,
    /// The account is healthy.
    HealthFactorNotBelowThreshold,
    /// The asset is no collateral of the account.
    CollateralCannotBeLiquidated,
    /// The account does not owe the asset.
    SpecifiedCurrencyNotBorrowedByUser,
    /// The borrow cap is exceeded.
    BorrowCapExceeded,
    /// The supply cap is exceeded.
    SupplyCapExceeded,
    /// The isolated collateral's debt ceiling is exceeded.
    DebtCeilingExceeded,
    /// A collateral without loan-to-value must be withdrawn first, or nothing lends.
    LtvValidationFailed,
    /// The category does not exist, or a debt is not in it (to 3.1).
    InconsistentEModeCategory,
    /// The asset cannot be borrowed in the account's category (3.2+).
    NotBorrowableInEMode,
    /// A debt cannot be borrowed in the category (3.6+).
    InvalidDebtInEmode,
    /// A collateral has no loan-to-value in the category (3.6+).
    InvalidCollateralInEmode,
    /// The sequencer is down, or was until a moment ago.
    PriceOracleSentinelCheckFailed,
    /// The asset cannot be borrowed against an isolated collateral.
    AssetNotBorrowableInIsolation,
    /// The collateral cannot be switched on: another is isolated, or it lends nothing.
    UserInIsolationModeOrLtvZero,
    /// A siloed asset is borrowed alone.
    SiloedBorrowingViolation,
    /// A grace period protects the reserve.
    LiquidationGraceSentinelCheckFailed,
    /// There is no deficit to cover.
    ReserveNotInDeficit,
    /// Who covers a deficit must owe nothing.
    UserCannotHaveDebt,
    /// The liquidation would leave dust.
    MustNotLeaveDust,
    /// Nobody liquidates himself.
    SelfLiquidation,
}

/// What an operation gives where the pool does not refuse it.
pub type Allowed<T> = Result<T, Refusal>;

impl From<MathError> for Refusal {
    fn from(error: MathError) -> Self {
        Self::Arithmetic(error)
    }
}

impl Refusal {
    /// The number the contract reverts with, in V2's table and in that of 3.0 to 3.3; `None` where it has none.
    #[must_use]
    pub const fn codes(self) -> (Option<u8>, Option<u8>) {
        match self {
            Self::Arithmetic(_)
            | Self::UnknownAction
            | Self::AssetNotListed
            | Self::NotBorrowableInEMode
            | Self::InvalidDebtInEmode
            | Self::InvalidCollateralInEmode
            | Self::LiquidationGraceSentinelCheckFailed
            | Self::ReserveNotInDeficit
            | Self::UserCannotHaveDebt
            | Self::MustNotLeaveDust
            | Self::SelfLiquidation => (None, None),
            Self::NotEnoughLiquidity => (Some(45), None),
            Self::InvalidAmount => (Some(1), Some(26)),
            Self::InvalidMintAmount => (Some(56), Some(24)),
            Self::InvalidBurnAmount => (Some(58), Some(25)),
            Self::ReserveInactive => (Some(2), Some(27)),
            Self::ReserveFrozen => (Some(3), Some(28)),
            Self::ReservePaused => (Some(64), Some(29)),
            Self::NotEnoughAvailableUserBalance => (Some(5), Some(32)),
            Self::TransferNotAllowed => (Some(6), None),
            Self::DepositAlreadyInUse => (Some(20), None),
            Self::BorrowingNotEnabled => (Some(7), Some(30)),
            Self::StableBorrowingNotEnabled => (Some(12), Some(31)),
            Self::InvalidInterestRateModeSelected => (Some(8), Some(33)),
            Self::CollateralBalanceIsZero => (Some(9), Some(34)),
            Self::HealthFactorLowerThanLiquidationThreshold => (Some(10), Some(35)),
            Self::CollateralCannotCoverNewBorrow => (Some(11), Some(36)),
            Self::CollateralSameAsBorrowingCurrency => (Some(13), Some(37)),
            Self::AmountBiggerThanMaxLoanSizeStable => (Some(14), Some(38)),
            Self::NoDebtOfSelectedType => (Some(15), Some(39)),
            Self::NoExplicitAmountToRepayOnBehalf => (Some(16), Some(40)),
            Self::NoOutstandingStableDebt => (Some(17), Some(41)),
            Self::NoOutstandingVariableDebt => (Some(18), Some(42)),
            Self::UnderlyingBalanceZero => (Some(19), Some(43)),
            Self::InterestRateRebalanceConditionsNotMet => (Some(22), Some(44)),
            Self::HealthFactorNotBelowThreshold => (Some(42), Some(45)),
            Self::CollateralCannotBeLiquidated => (Some(43), Some(46)),
            Self::SpecifiedCurrencyNotBorrowedByUser => (Some(44), Some(47)),
            Self::SameBlockBorrowRepay => (None, Some(48)),
            Self::BorrowCapExceeded => (None, Some(50)),
            Self::SupplyCapExceeded => (None, Some(51)),
            Self::DebtCeilingExceeded => (None, Some(53)),
            Self::LtvValidationFailed => (None, Some(57)),
            Self::InconsistentEModeCategory => (None, Some(58)),
            Self::PriceOracleSentinelCheckFailed => (None, Some(59)),
            Self::AssetNotBorrowableInIsolation => (None, Some(60)),
            Self::UserInIsolationModeOrLtvZero => (None, Some(62)),
            Self::SiloedBorrowingViolation => (None, Some(89)),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Arithmetic(error) = self {
            return write!(f, "Arithmetic: {error}");
        }
        write!(f, "{self:?}")
    }
}
