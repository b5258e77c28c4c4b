//! Liquidations in aggregate: exact sums by group ([`group`]), matching of two sources ([`matching`]), and bursts
//! ([`episodes`]).
//!
//! Rows come in columns ([`Batch`]) so that a fold reads only what it needs. Everything additive is an integer, so any split of the rows
//! over any number of [`Fold`]s gives the same result.

pub mod episodes;
pub mod group;
pub mod matching;

pub use episodes::{Episode, Rule};
pub use group::{Fold, Group, KeyWords, Shared, Sums};

/// A column some of whose values are absent.
#[derive(Debug, Clone, Copy)]
pub struct Nullable<'a, T> {
    /// One value per row; meaningless where absent.
    pub values: &'a [T],
    /// Whether each is there; `None` where all are.
    pub present: Option<&'a [bool]>,
}

impl<T: Copy> Nullable<'_, T> {
    /// The value of a row.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<T> {
        self.present.is_none_or(|present| present[row]).then(|| self.values[row])
    }
}

/// Rows in columns of equal length. Names are codes into dictionaries the caller keeps; [`NO_NAME`] stands for none.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Microseconds since 1970.
    pub time_us: &'a [i64],
    /// Chain ids.
    pub chain: &'a [u64],
    /// Market names.
    pub market: &'a [u32],
    /// Protocol versions.
    pub version: &'a [u32],
    /// Collateral token names.
    pub collateral: &'a [u32],
    /// Debt token names.
    pub debt: &'a [u32],
    /// The liquidated accounts.
    pub user: &'a [[u8; 20]],
    /// The liquidating accounts.
    pub liquidator: Nullable<'a, [u8; 20]>,
    /// US dollars in units of 10^-8.
    pub debt_usd: Nullable<'a, i128>,
    /// US dollars in units of 10^-8.
    pub collateral_usd: Nullable<'a, i128>,
    /// Transaction hashes; empty where they were not asked for.
    pub transaction: Nullable<'a, [u8; 32]>,
}

/// The code of an absent name.
pub const NO_NAME: u32 = u32::MAX;

/// By what rows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The chain.
    Chain,
    /// The market.
    Market,
    /// The protocol's version.
    Version,
    /// The collateral token.
    Collateral,
    /// The debt token.
    Debt,
    /// The liquidating account.
    Liquidator,
    /// The liquidated account.
    User,
    /// The size class of the row's value: see [`SizeClass`].
    Size,
    /// The hour, in UTC.
    Hour,
    /// The day, in UTC.
    Day,
    /// The week beginning on Monday, in UTC.
    Week,
    /// The month, in UTC.
    Month,
    /// The episode of a list the row falls in; rows outside all of them are left out.
    Episode,
}

impl Dimension {
    /// Whether its word in a key is the code of a name.
    #[must_use]
    pub const fn is_name(self) -> bool {
        matches!(self, Self::Market | Self::Version | Self::Collateral | Self::Debt)
    }

    /// How many words it takes in a key.
    #[must_use]
    pub const fn words(self) -> usize {
        if matches!(self, Self::Liquidator | Self::User) { 3 } else { 1 }
    }
}

/// Which side of a liquidation its value is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// The debt repaid.
    DebtRepaid,
    /// The collateral seized.
    CollateralSeized,
}

/// How large one liquidation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SizeClass {
    /// Its value is not known.
    Unpriced,
    /// Below 10,000 US dollars.
    Retail,
    /// From 10,000 to below 100,000 US dollars.
    Mid,
    /// From 100,000 to below 1,000,000 US dollars.
    Large,
    /// From 1,000,000 US dollars.
    Whale,
}

impl SizeClass {
    /// Every class, the smallest first.
    pub const ALL: [Self; 5] = [Self::Unpriced, Self::Retail, Self::Mid, Self::Large, Self::Whale];

    /// The class of a value in US dollars of eight decimals.
    #[must_use]
    pub const fn of(value_usd8: Option<i128>) -> Self {
        const DOLLAR: i128 = 100_000_000;
        match value_usd8 {
            None => Self::Unpriced,
            Some(value) if value < 10_000 * DOLLAR => Self::Retail,
            Some(value) if value < 100_000 * DOLLAR => Self::Mid,
            Some(value) if value < 1_000_000 * DOLLAR => Self::Large,
            Some(_) => Self::Whale,
        }
    }

    /// The class with its thresholds.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Unpriced => "unpriced",
            Self::Retail => "retail (< $10k)",
            Self::Mid => "mid ($10k-100k)",
            Self::Large => "large ($100k-1M)",
            Self::Whale => "whale (>= $1M)",
        }
    }
}
