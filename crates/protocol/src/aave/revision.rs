//! Which code a market runs, and everything in which the revisions differ.
//!
//! [`Revision::rules`] is the one place where differences live: every other module asks a [`Rules`] field and never a
//! revision. Read the table's rows side by side to see what an upgrade changed.

use super::math::Rounding;

/// The code a pool runs. It is selected per market and block, from the chain's upgrade events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// Aave V2 (`LENDINGPOOL_REVISION` 2; npm protocol-v2 1.0.1).
    V2,
    /// V3.0.0 (`POOL_REVISION` 1; npm core-v3 1.16.2).
    V3_0_0,
    /// V3.0.1 and 3.0.2 (`POOL_REVISION` still 1; npm core-v3 1.17 to 1.19.3).
    V3_0_2,
    /// V3.1 (revision 4): virtual accounting, liquidation grace period.
    V3_1,
    /// V3.2 (revision 5): e-modes as bitmaps, no stable debt.
    V3_2,
    /// V3.3 (revision 7): bad debt becomes a deficit, no dust may be left, close factor on the whole position.
    V3_3,
    /// V3.4 (revision 8): GHO is an ordinary reserve, nobody liquidates himself.
    V3_4,
    /// V3.5 (revision 9): every rounding favours the protocol.
    V3_5,
    /// V3.6 (revision 10): thresholds may be zero outside an e-mode, no automatic collateral on receipt.
    V3_6,
    /// V3.7 (revision 11): no sentinel, no isolation debt ceilings; e-modes may be isolated.
    V3_7,
}

/// How much is known of a revision's restatement here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// Compared step by step with the contracts themselves.
    Contracts,
    /// Checked against the published tables and the neighbouring revisions only.
    Tables,
}

/// Compound interest, `MathUtils.calculateCompoundedInterest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compounding {
    /// Three binomial terms of the rate per second, floored first (V2).
    RatePerSecond,
    /// Three binomial terms of the yearly rate (3.0 to 3.3).
    YearlyRate,
    /// Three Taylor terms of `rate * time` (3.4+).
    Taylor,
}

/// How balances become scaled balances and back: `rayDiv` and `rayMul` to 3.4, `TokenMath` since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scaling {
    /// Half up in every direction (to 3.4).
    HalfUp,
    /// Against the account in every direction (3.5+).
    Protocol,
}

/// When an action's conditions are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// Before anything accrues, from the tokens' views, which accrue where the update may not; whether a withdrawal leaves
    /// the account healthy is foretold from its averages (V2).
    Foretold,
    /// After accrual, and a borrow's cover before its debt is there (3.0 to 3.4).
    BeforeDebt,
    /// After accrual, in scaled amounts, and a borrow's cover once its debt is there (3.5+).
    AfterDebt,
}

/// The interest-rate strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// The stable rate starts at a market rate and divides before it multiplies (V2).
    MarketRate,
    /// The stable rate starts at the variable slope and rises with the share of stable debt (3.0).
    StableShare,
    /// Variable rates only; nothing is earned where nothing is owed (3.1+).
    VariableOnly,
}

/// How e-mode categories name their assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EModeRule {
    /// There are none (V2).
    None,
    /// A reserve belongs to at most one category, which may bring its own price (3.0, 3.1).
    OneCategory,
    /// A category lists collateral and borrowable reserves in bitmaps (3.2 to 3.5).
    Bitmaps,
    /// Bitmaps, a reserve may have no loan-to-value in the category, and thresholds may be zero outside (3.6).
    LtvZero,
    /// As before, and a category may be isolated: what is not its collateral has no loan-to-value (3.7).
    Isolated,
}

/// `liquidationCall` as a procedure: the share of a debt one call may repay, and what else it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiquidationOrder {
    /// Half of the reserve's debt, always. It is read before accrual, the bonus is applied before the division, there is
    /// no fee, and the borrow bit stays (V2).
    V2,
    /// Half of the reserve's debt while the health factor is above 0.95, else all of it. The collateral bit ignores the
    /// fee, which is not capped by what is left (3.0.0).
    V3_0_0,
    /// The fee is capped by what is left; the collateral bit counts it (3.0.1 to 3.2).
    V3_0_2,
    /// Half of the *whole* position's debt while the health factor is above 0.95 and both sides are worth at least 2,000
    /// dollars, else all of the reserve's debt; no dust below 1,000 dollars may be left. Debt that no collateral is left
    /// for becomes a deficit (3.3, 3.4).
    V3_3,
    /// The collateral reserve accrues in every call (3.5, 3.6).
    V3_5,
    /// What is left is decided by scaled balances; the collateral reserve is read after the debt's update (3.7).
    V3_7,
}

/// Everything in which revisions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How well this row is known.
    pub evidence: Evidence,
    /// The compound interest formula.
    pub compounding: Compounding,
    /// The variable index accrues only while the liquidity rate is not zero (V2, 3.0.0), though views always accrue.
    pub nested_accrual: bool,
    /// Scaled balances.
    pub scaling: Scaling,
    /// Bits of a scaled balance: `uint256`, `uint128`, `uint120`.
    pub balance_bits: usize,
    /// What a debt's value in base currency rounds to.
    pub debt_value: Rounding,
    /// The health factor uses the sum of `value * threshold` (3.5+), not the floored average threshold.
    pub unaveraged_health: bool,
    /// What the borrowing power rounds to.
    pub borrowing_power: Rounding,
    /// A reserve with no threshold of its own does not count as collateral (to 3.5).
    pub needs_threshold: bool,
    /// A reserve with no loan-to-value of its own marks the account (3.0+).
    pub tracks_zero_ltv: bool,
    /// E-mode categories.
    pub e_mode: EModeRule,
    /// Stable debt exists (to 3.1).
    pub stable_debt: bool,
    /// When conditions are checked.
    pub checks: Checks,
    /// The interest-rate strategy.
    pub strategy: Strategy,
    /// The treasury's share is minted as it accrues (V2), not collected in `accruedToTreasury`.
    pub mints_treasury_at_once: bool,
    /// Pool-wide liquidity is booked, not read from the token's balance (3.1+).
    pub virtual_liquidity: bool,
    /// A sentinel may forbid borrowing and liquidating (3.0 to 3.6).
    pub sentinel: bool,
    /// Isolation mode with debt ceilings, and siloed borrowing (3.0 to 3.6).
    pub isolation: bool,
    /// Reserves can grant a grace period in which nobody is liquidated (3.1+).
    pub grace_period: bool,
    /// Nobody liquidates himself (3.4+).
    pub forbids_self_liquidation: bool,
    /// A full withdrawal's collateral bit goes only after the health factor was checked, with all prices asked (3.0.0).
    pub bit_outlives_withdrawal: bool,
    /// A debt cannot be repaid in the block it was drawn in (3.0.0).
    pub repay_waits_a_block: bool,
    /// The supply cap counts what the treasury is owed (3.0.1+).
    pub cap_counts_treasury: bool,
    /// Only a reserve with a loan-to-value can be switched on as collateral, and an isolated one only by hand (3.0.1+).
    pub collateral_needs_ltv: bool,
    /// A first supply is collateral, whatever it lends (V2).
    pub supply_is_collateral: bool,
    /// Entering a category is checked against the health factor also from none (3.2+).
    pub checks_e_mode_entry: bool,
    /// Entering the category one is in does nothing (3.4+).
    pub same_e_mode_is_nothing: bool,
    /// The borrowing bit goes with the last scaled debt (3.4+), not where what was repaid equals the balance.
    pub bit_follows_scaled_debt: bool,
    /// Receiving supplied tokens by transfer or liquidation switches them on as collateral (to 3.5).
    pub collateral_on_receipt: bool,
    /// The procedure of `liquidationCall`.
    pub liquidation: LiquidationOrder,
}

impl Rules {
    /// Debt that no collateral is left for becomes a deficit (3.3+).
    #[must_use]
    pub const fn writes_off_bad_debt(&self) -> bool {
        match self.liquidation {
            LiquidationOrder::V2 | LiquidationOrder::V3_0_0 | LiquidationOrder::V3_0_2 => false,
            LiquidationOrder::V3_3 | LiquidationOrder::V3_5 | LiquidationOrder::V3_7 => true,
        }
    }
}

impl Revision {
    /// Every revision, oldest first.
    pub const ALL: [Self; 10] = [
        Self::V2,
        Self::V3_0_0,
        Self::V3_0_2,
        Self::V3_1,
        Self::V3_2,
        Self::V3_3,
        Self::V3_4,
        Self::V3_5,
        Self::V3_6,
        Self::V3_7,
    ];

    /// What this revision does.
    #[must_use]
    pub const fn rules(self) -> &'static Rules {
        match self {
            Self::V2 => &V2,
            Self::V3_0_0 => &V3_0_0,
            Self::V3_0_2 => &V3_0_2,
            Self::V3_1 => &V3_1,
            Self::V3_2 => &V3_2,
            Self::V3_3 => &V3_3,
            Self::V3_4 => &V3_4,
            Self::V3_5 => &V3_5,
            Self::V3_6 => &V3_6,
            Self::V3_7 => &V3_7,
        }
    }

    /// The name people use, such as `3.0.2`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "2",
            Self::V3_0_0 => "3.0.0",
            Self::V3_0_2 => "3.0.2",
            Self::V3_1 => "3.1",
            Self::V3_2 => "3.2",
            Self::V3_3 => "3.3",
            Self::V3_4 => "3.4",
            Self::V3_5 => "3.5",
            Self::V3_6 => "3.6",
            Self::V3_7 => "3.7",
        }
    }
}

// Each row states what it changes against the one before it.

const V2: Rules = Rules {
    evidence: Evidence::Contracts,
    compounding: Compounding::RatePerSecond,
    nested_accrual: true,
    scaling: Scaling::HalfUp,
    balance_bits: 256,
    debt_value: Rounding::Floor,
    unaveraged_health: false,
    borrowing_power: Rounding::HalfUp,
    needs_threshold: true,
    tracks_zero_ltv: false,
    e_mode: EModeRule::None,
    stable_debt: true,
    checks: Checks::Foretold,
    strategy: Strategy::MarketRate,
    mints_treasury_at_once: true,
    virtual_liquidity: false,
    sentinel: false,
    isolation: false,
    grace_period: false,
    forbids_self_liquidation: false,
    bit_outlives_withdrawal: false,
    repay_waits_a_block: false,
    cap_counts_treasury: false,
    collateral_needs_ltv: false,
    supply_is_collateral: true,
    checks_e_mode_entry: false,
    same_e_mode_is_nothing: false,
    bit_follows_scaled_debt: false,
    collateral_on_receipt: true,
    liquidation: LiquidationOrder::V2,
};

const V3_0_0: Rules = Rules {
    compounding: Compounding::YearlyRate,
    balance_bits: 128,
    tracks_zero_ltv: true,
    e_mode: EModeRule::OneCategory,
    checks: Checks::BeforeDebt,
    strategy: Strategy::StableShare,
    mints_treasury_at_once: false,
    sentinel: true,
    isolation: true,
    bit_outlives_withdrawal: true,
    repay_waits_a_block: true,
    supply_is_collateral: false,
    liquidation: LiquidationOrder::V3_0_0,
    ..V2
};

const V3_0_2: Rules = Rules {
    nested_accrual: false,
    bit_outlives_withdrawal: false,
    repay_waits_a_block: false,
    cap_counts_treasury: true,
    collateral_needs_ltv: true,
    liquidation: LiquidationOrder::V3_0_2,
    ..V3_0_0
};

const V3_1: Rules = Rules {
    evidence: Evidence::Tables,
    strategy: Strategy::VariableOnly,
    virtual_liquidity: true,
    grace_period: true,
    ..V3_0_2
};

const V3_2: Rules = Rules { e_mode: EModeRule::Bitmaps, checks_e_mode_entry: true, stable_debt: false, ..V3_1 };

const V3_3: Rules = Rules { liquidation: LiquidationOrder::V3_3, ..V3_2 };

const V3_4: Rules = Rules {
    compounding: Compounding::Taylor,
    balance_bits: 120,
    forbids_self_liquidation: true,
    same_e_mode_is_nothing: true,
    bit_follows_scaled_debt: true,
    ..V3_3
};

const V3_5: Rules = Rules {
    scaling: Scaling::Protocol,
    checks: Checks::AfterDebt,
    debt_value: Rounding::Ceil,
    unaveraged_health: true,
    borrowing_power: Rounding::Floor,
    liquidation: LiquidationOrder::V3_5,
    ..V3_4
};

const V3_6: Rules = Rules {
    evidence: Evidence::Contracts,
    needs_threshold: false,
    e_mode: EModeRule::LtvZero,
    collateral_on_receipt: false,
    ..V3_5
};

const V3_7: Rules = Rules {
    evidence: Evidence::Tables,
    e_mode: EModeRule::Isolated,
    sentinel: false,
    isolation: false,
    liquidation: LiquidationOrder::V3_7,
    ..V3_6
};
