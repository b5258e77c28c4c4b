//! Rules that redeploy income, and what they would have come to over a history.
//!
//! A policy says how large the buffer of each reserve is to be ([`Buffer`]) and what the rest of new income is used for ([`Use`]): first
//! the buffers, then deposits in lending markets, then incentives. Every amount is in 10^-8 US dollars, an integer.

mod decay;
mod simulate;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::aave::math::{Bps, Ray};
use protocol::aave::rates::RateModel;
use protocol::aave::revision::Revision;

pub use decay::Decaying;
pub use simulate::{Point, Run, Summary, simulate};

/// The largest amount of a history or policy: 10^20 dollars. What decays has 28 binary places besides, and its product with a
/// factor of 127 binary places must fit 256 bits.
pub const MAX_USD8: u128 = 10_u128.pow(28);

/// How large a reserve's buffer is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Buffer {
    /// As large as was set, replenished from income after losses.
    Fixed {
        /// The size of each reserve's; those not named have none.
        targets: BTreeMap<String, u128>,
    },
    /// As large as was set and larger by a share of the income that each reserve's liquidations made. A loss does not make the size
    /// smaller: what the buffer covered is replenished from income, as where the size is fixed.
    Indexed {
        /// The size that each reserve's has without any income; it does not decay. Those not named have none.
        start: BTreeMap<String, u128>,
        /// The share of income.
        factor: Bps,
        /// After how many seconds half of what income added counts no more; for ever where there is none.
        half_life_s: Option<u64>,
    },
    /// A share of the debt at risk, within bounds that hold for each reserve.
    AtRisk {
        /// The share.
        share: Bps,
        /// At least this.
        floor: u128,
        /// At most this.
        cap: u128,
    },
}

/// What new income is used for once the buffers have their size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// It is supplied to a reserve's market and earns what suppliers earn.
    Deposit {
        /// The reserve.
        reserve: String,
        /// The share of what is left after the buffers.
        share: Bps,
    },
    /// It is paid out as rewards.
    Incentive {
        /// The reserve whose users get them.
        reserve: String,
        /// The share of what is left after the buffers.
        share: Bps,
        /// At most this much in all.
        budget: u128,
        /// Not from this moment on, in seconds since 1970.
        end: u64,
    },
}

impl Use {
    /// The reserve it is about.
    #[must_use]
    pub fn reserve(&self) -> &str {
        match self {
            Self::Deposit { reserve, .. } | Self::Incentive { reserve, .. } => reserve,
        }
    }

    /// The share of what is left after the buffers.
    #[must_use]
    pub const fn share(&self) -> Bps {
        match self {
            Self::Deposit { share, .. } | Self::Incentive { share, .. } => *share,
        }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// How large buffers are to be.
    pub buffer: Buffer,
    /// What the rest is used for, in this order; what no share takes stays in cash.
    pub uses: Vec<Use>,
}

/// Why a policy cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// A reserve that the history does not have.
    UnknownReserve(String),
    /// A share above one.
    ShareAboveOne(Bps),
    /// The shares of all uses together are above one.
    SharesAboveOne(u32),
    /// The floor is above the cap.
    FloorAboveCap,
    /// A half-life of no time.
    NoHalfLife,
    /// An amount above [`MAX_USD8`].
    TooLarge(u128),
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownReserve(name) => write!(f, "the history has no reserve {name:?}; use one of its names"),
            Self::ShareAboveOne(Bps(share)) => {
                write!(f, "a share of {share} basis points is more than all; give at most 10000")
            }
            Self::SharesAboveOne(sum) => {
                write!(f, "the shares of all uses come to {sum} basis points; give at most 10000 together")
            }
            Self::FloorAboveCap => f.write_str("the floor is above the cap; swap them or make them equal"),
            Self::NoHalfLife => {
                f.write_str("a half-life of no time leaves nothing; leave it out where nothing is to decay")
            }
            Self::TooLarge(_) => f.write_str("an amount is above 10^20 dollars; check its unit"),
        }
    }
}

impl Policy {
    /// Whether the policy can be carried out over reserves of these names.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn check(&self, reserves: &[String]) -> Result<(), Vec<Flaw>> {
        let mut flaws = Vec::new();
        let mut names: BTreeSet<&str> = self.uses.iter().map(Use::reserve).collect();
        let mut amounts = Vec::new();
        let mut shares: Vec<Bps> = self.uses.iter().map(Use::share).collect();
        match &self.buffer {
            Buffer::Fixed { targets } => {
                names.extend(targets.keys().map(String::as_str));
                amounts.extend(targets.values());
            }
            Buffer::Indexed { start, factor, half_life_s } => {
                names.extend(start.keys().map(String::as_str));
                amounts.extend(start.values());
                shares.push(*factor);
                flaws.extend((*half_life_s == Some(0)).then_some(Flaw::NoHalfLife));
            }
            Buffer::AtRisk { share, floor, cap } => {
                shares.push(*share);
                amounts.extend([floor, cap]);
                flaws.extend((floor > cap).then_some(Flaw::FloorAboveCap));
            }
        }
        for one in &self.uses {
            if let Use::Incentive { budget, .. } = one {
                amounts.push(budget);
            }
        }
        let unknown = names.into_iter().filter(|name| !reserves.iter().any(|reserve| reserve == name));
        flaws.extend(unknown.map(|name| Flaw::UnknownReserve(name.to_owned())));
        flaws.extend(shares.into_iter().filter(|share| *share > Bps::ONE).map(Flaw::ShareAboveOne));
        let together = self.uses.iter().map(|one| u32::from(one.share().0)).fold(0, u32::saturating_add);
        flaws.extend((together > u32::from(Bps::ONE.0)).then_some(Flaw::SharesAboveOne(together)));
        flaws.extend(amounts.into_iter().filter(|amount| **amount > MAX_USD8).map(|amount| Flaw::TooLarge(*amount)));
        if flaws.is_empty() { Ok(()) } else { Err(flaws) }
    }
}

/// A reserve of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    /// Its name.
    pub name: String,
    /// Its interest-rate strategy and the revision that computes it; without, what a deposit does to rates is not known.
    pub strategy: Option<(RateModel, Revision)>,
}

/// What a reserve's market looked like, without the treasury's deposit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Market {
    /// What can be borrowed.
    pub available: u128,
    /// What is borrowed.
    pub debt: u128,
    /// The treasury's part of interest.
    pub reserve_factor: Bps,
    /// What suppliers earned, yearly; used where the reserve has no strategy.
    pub supply_rate: Ray,
}

/// What happened to a reserve since the step before, and how it stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Observed {
    /// What liquidations of its debt brought the protocol: fees and recaptured value.
    pub income: u128,
    /// The deficit that was realised.
    pub deficit: u128,
    /// The debt at risk now; none where nobody knows.
    pub at_risk: Option<u128>,
    /// Its market now; none where nobody knows, and then a deposit earns nothing until it is known again.
    pub market: Option<Market>,
}

/// A moment of a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// In seconds since 1970.
    pub time: u64,
    /// One for each reserve, in the history's order.
    pub reserves: Vec<Observed>,
}

/// What policies are tried on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The reserves.
    pub reserves: Vec<Reserve>,
    /// What the treasury had at the first step, for every policy alike.
    pub opening: u128,
    /// The share of the debt at risk against which every policy's cover is measured, whatever it aims at itself.
    pub cover: Bps,
    /// The steps, by time.
    pub steps: Vec<Step>,
}

/// Why a history cannot be gone through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The policy cannot be carried out.
    Policy(Vec<Flaw>),
    /// A step (the first being 1) is not later than the one before it.
    NotLater(usize),
    /// A step does not have one observation for each reserve.
    OtherReserves(usize),
    /// An amount of a step is above [`MAX_USD8`], or all of them together are.
    TooLarge(usize),
    /// A buffer is to follow the debt at risk, of which the history says nothing.
    RiskUnknown,
    /// A rate of a step leaves its range: its strategy divides by zero or overflows.
    Rate(usize),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(flaws) => {
                let flaws: Vec<String> = flaws.iter().map(ToString::to_string).collect();
                f.write_str(&flaws.join("; "))
            }
            Self::NotLater(step) => write!(f, "step {step} is not later than the one before it; sort them by time"),
            Self::OtherReserves(step) => write!(f, "step {step} does not tell of every reserve once"),
            Self::TooLarge(step) => {
                write!(f, "the amounts up to step {step} are above 10^20 dollars; check their unit")
            }
            Self::RiskUnknown => f.write_str(
                "its buffers follow the debt at risk, of which the history says nothing; add at_risk_usd to it",
            ),
            Self::Rate(step) => write!(f, "the interest rates of step {step} cannot be computed; check its strategy"),
        }
    }
}

#[cfg(test)]
mod tests;
