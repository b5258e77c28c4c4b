//! Where liquidations lie: what becomes liquidatable at each level of a coin's price.
//!
//! A [`Map`] is one price axis ([`Levels`]) and any number of [`Series`] over it, each with its own standing and unit: no
//! series mixes standings, and nothing here adds series of different standing together.
//!
//! * [`levels`]: the price axis;
//! * [`defi`]: lending markets, whose positions are public: who can be liquidated where is decided by the contract's own
//!   integers;
//! * [`perps`]: perpetual futures, whose positions are estimated from what venues publish, or were seen by somebody.
//!
//! Every value of a series is what is *reached*: if the price went straight from today's to the level and nothing else
//! moved, and nobody was liquidated or acted on the way. What a level adds to the one before it is
//! [`Levels::steps`].

#![allow(clippy::float_arithmetic, reason = "maps contain estimates; what is exact is decided by integers and says so")]

pub mod defi;
pub mod levels;
pub mod perps;

use std::sync::Arc;

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;

pub use levels::{Levels, LevelsError};
pub use protocol::venue::Side;

/// Decimals of every value of a series, whatever its unit.
pub const DECIMALS: u8 = 8;

/// Everything known about one coin's levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Map {
    /// The coin, as asked for.
    pub asset: Arc<str>,
    /// The price axis.
    pub levels: Levels,
    /// What lies on it.
    pub series: Vec<Series>,
    /// How much of each source was seen.
    pub coverage: Vec<Coverage>,
    /// What was supposed.
    pub assumptions: Assumptions,
}

/// One quantity of one source over the levels.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Whose it is.
    pub label: Label,
    /// What is counted.
    pub quantity: Quantity,
    /// In which unit.
    pub unit: Unit,
    /// How it is known.
    pub standing: Standing,
    /// The moment for which it is stated.
    pub at: TimeUs,
    /// What is reached at today's price, in `10^-8` of the unit.
    pub now: Option<i128>,
    /// What is reached at each level, in `10^-8` of the unit; `None` where it is not known.
    pub values: Vec<Option<i128>>,
    /// Between what is expected to be liquidated where a level is reached, as far as the past tells: what then came in past cases in
    /// which the nearest was said.
    pub band: Option<Band>,
    /// Between what the values lie by what a model supposes of leverages alone.
    pub leverage_band: Option<Band>,
}

/// Whose a series is. `None` means all together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Label {
    /// A lending market or a venue, possibly a hostile name.
    pub market: Option<Arc<str>>,
    /// The chain of a lending market.
    pub chain: Option<ChainId>,
    /// Whose positions: longs, whom a falling price liquidates, or shorts, whom a rising one does.
    pub side: Option<Side>,
    /// A class within them.
    pub class: Option<Class>,
}

/// A class of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// By what is owed today in US dollars: from this many, to below the next.
    Debt(DebtClass),
    /// By the leverage at which a position is supposed to have been opened, in hundredths (2,500 for 25x).
    Leverage(u32),
}

/// What an account owes today, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DebtClass {
    /// Below 10,000.
    Under10k,
    /// 10,000 to below 100,000.
    Under100k,
    /// 100,000 to below a million.
    Under1m,
    /// A million to below ten million.
    Under10m,
    /// Ten million and more.
    From10m,
}

impl DebtClass {
    /// All of them, ascending.
    pub const ALL: [Self; 5] = [Self::Under10k, Self::Under100k, Self::Under1m, Self::Under10m, Self::From10m];

    /// The class of a debt.
    #[must_use]
    pub fn of(debt: Usd8) -> Self {
        match debt.0 / 100_000_000 {
            ..10_000 => Self::Under10k,
            10_000..100_000 => Self::Under100k,
            100_000..1_000_000 => Self::Under1m,
            1_000_000..10_000_000 => Self::Under10m,
            10_000_000.. => Self::From10m,
        }
    }

    /// The words used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Under10k => "below $10k",
            Self::Under100k => "$10k to $100k",
            Self::Under1m => "$100k to $1M",
            Self::Under10m => "$1M to $10M",
            Self::From10m => "$10M and more",
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Accounts or positions that can be liquidated.
    Accounts,
    /// All debt of accounts that can be liquidated, at the level's prices.
    Debt,
    /// Their collateral in the coin, at the level's prices.
    Collateral,
    /// All their collateral, at the level's prices.
    AllCollateral,
    /// What liquidators could repay in one call an account.
    Repayable,
    /// What those calls take from accounts, the protocol's fee included.
    Seized,
    /// By how much that is worth more than what is repaid.
    Bonus,
    /// The protocol's share of the bonus.
    ProtocolFee,
    /// What an auction of the price update could recapture at most: bonus less the protocol's share.
    Recapturable,
    /// Notional of perpetual positions.
    Notional,
}

impl Quantity {
    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Debt => "debt",
            Self::Collateral => "collateral",
            Self::AllCollateral => "all_collateral",
            Self::Repayable => "repayable",
            Self::Seized => "seized",
            Self::Bonus => "bonus",
            Self::ProtocolFee => "protocol_fee",
            Self::Recapturable => "recapturable",
            Self::Notional => "notional",
        }
    }
}

/// In what a series is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// US dollars.
    Usd,
    /// Coins.
    Coin,
    /// Things.
    Count,
}

impl Unit {
    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Usd => "USD",
            Self::Coin => "coin",
            Self::Count => "count",
        }
    }
}

/// Between what a model's values lie, level by level, in `10^-8` of the series' unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Band {
    /// The lower ends.
    pub low: Vec<Option<i128>>,
    /// The upper ends.
    pub high: Vec<Option<i128>>,
}

/// How much of a source was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The market or venue.
    pub of: Arc<str>,
    /// The part of the whole that was seen, of one; `None` where the whole is not known.
    pub share: Option<f64>,
    /// What that is a share of ("open interest in coins").
    pub whole: Arc<str>,
    /// What is not in it, each a sentence.
    pub blind_spots: Vec<Arc<str>>,
}

/// What was supposed, in the order in which it matters.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Assumptions(pub Vec<Assumption>);

/// One thing that was supposed.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumption {
    /// A short name for programs, such as `leverage_prior`.
    pub name: Arc<str>,
    /// What was supposed, and why, as a sentence; empty where one before it says it.
    pub says: Arc<str>,
    /// Its value.
    pub value: Assumed,
    /// The unit of the value; empty where it has none.
    pub unit: Arc<str>,
}

impl Assumption {
    /// A value with its name, its unit, and the sentence that says what it means.
    #[must_use]
    pub fn new(name: &str, says: String, value: Assumed, unit: &str) -> Self {
        Self { name: name.into(), says: says.into(), value, unit: unit.into() }
    }
}

/// The value of what was supposed.
#[derive(Debug, Clone, PartialEq)]
pub enum Assumed {
    /// None: it is a rule, and its sentence says which.
    Rule,
    /// A number.
    Number(f64),
    /// A word.
    Words(Arc<str>),
    /// Numbers by what they are of, in order.
    Numbers(Vec<(Arc<str>, f64)>),
}

/// A figure that a model computed, in units of `10^-8`, rounded to the nearest; `None` where it is no number or too large.
#[must_use]
pub fn from_float(value: f64) -> Option<i128> {
    let scaled = (value * 1e8).round();
    #[expect(clippy::cast_possible_truncation, reason = "its size was looked at")]
    (scaled.abs() < 1e36).then_some(scaled as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debt_has_a_class() {
        let classes = [0, 9_999, 10_000, 100_000, 1_000_000, 10_000_000, 99_000_000_000];
        let found = classes.map(|usd| DebtClass::of(Usd8(usd * 100_000_000)));
        let [a, b, c, d, e] = DebtClass::ALL;
        assert_eq!(found, [a, a, b, c, d, e, e]);
        assert_eq!(DebtClass::of(Usd8(1_000_000_000_000 - 1)), a);
    }

    #[test]
    fn a_float_that_is_no_figure_is_none() {
        assert_eq!(from_float(1.5), Some(150_000_000));
        assert_eq!(from_float(f64::NAN), None);
        assert_eq!(from_float(f64::INFINITY), None);
        assert_eq!(from_float(1e30), None);
    }
}
