//! When an account is liquidated: the equation that all venues share, with the coefficients in which they differ.
//!
//! For one coin at price `p`, with everything else where it is, and in the quote currency,
//!
//! ```text
//! surplus(p) = quote + coins * p + Σ pnl(p) - Σ maintenance(p) - Σ fee(p) + others' pnl - others' maintenance
//!
//!              linear, size q in coins             inverse, size n in quote currency
//! notional     q * p                               n / p coins, always worth n
//! pnl          side * q * (p - entry)              side * n * (1 / entry - 1 / p) coins = side * n * (p / entry - 1)
//! maintenance  q * p * rate - deduction            (n / p * rate - deduction) coins     = n * rate - deduction * p
//! fee          q * p * fee                         n / p * fee coins                    = n * fee
//! ```
//!
//! Between two tiers each term is a constant plus a multiple of `p`, whatever the contract. The account is liquidated at
//! the first price, counted from the mark, at which nothing is left of the surplus. A tier applies to the notional at that
//! price, not to that of today: the price picks its tier again.

use std::fmt;

use rust_decimal::Decimal;

use super::surplus::{Line, Surplus, minus, over, plus, times};
use super::{Contract, Side, Tier, Tiers, Venue};

/// What is held in one contract, one way. In hedge mode an account has two of them, one each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which way it gains.
    pub side: Side,
    /// In what it is margined.
    pub contract: Contract,
    /// Coins (linear), or contracts times their value in the quote currency (inverse). Never negative: the side says which way.
    pub size: Decimal,
    /// The average price at which it was entered, in the quote currency.
    pub entry: Decimal,
}

impl Position {
    /// Its size at a price in the unit of the venue's tiers: quote currency (linear), coins (inverse).
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn notional(&self, price: Decimal) -> Result<Decimal, Refusal> {
        match self.contract {
            Contract::Linear => times(self.size, price),
            Contract::Inverse => over(self.size, price),
        }
    }

    /// Its profit at a price, negative for a loss: quote currency (linear), coins (inverse).
    ///
    /// # Errors
    /// [`Refusal::Overflow`].
    pub fn pnl(&self, price: Decimal) -> Result<Decimal, Refusal> {
        let gain = match self.contract {
            // q * (p - entry)
            Contract::Linear => times(self.size, minus(price, self.entry)?)?,
            // n / entry - n / p
            Contract::Inverse => minus(over(self.size, self.entry)?, over(self.size, price)?)?,
        };
        times(gain, self.side.sign())
    }

    /// An amount in the unit of [`notional`](Self::notional) as a line in the price, in the quote currency.
    fn line(&self, amount: Decimal) -> Line {
        match self.contract {
            Contract::Linear => Line { constant: amount, slope: Decimal::ZERO },
            Contract::Inverse => Line { constant: Decimal::ZERO, slope: amount },
        }
    }

    /// A share of the notional at the price itself.
    fn share(&self, rate: Decimal) -> Result<Line, Refusal> {
        let share = times(self.size, rate)?;
        Ok(match self.contract {
            Contract::Linear => Line { constant: Decimal::ZERO, slope: share },
            Contract::Inverse => Line { constant: share, slope: Decimal::ZERO },
        })
    }

    fn pnl_line(&self) -> Result<Line, Refusal> {
        let signed = times(self.size, self.side.sign())?;
        Ok(match self.contract {
            // side * q * p - side * q * entry
            Contract::Linear => Line { constant: times(signed, minus(Decimal::ZERO, self.entry)?)?, slope: signed },
            // side * n * p / entry - side * n
            Contract::Inverse => Line { constant: minus(Decimal::ZERO, signed)?, slope: over(signed, self.entry)? },
        })
    }

    fn check(&self) -> Result<(), Refusal> {
        positive(self.size, Quantity::Size)?;
        positive(self.entry, Quantity::Entry)
    }
}

/// At which price maintenance margin is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Valuation {
    /// At the price in question: it moves along.
    Moving,
    /// At the entry: it stays what it was at the start.
    AtEntry,
    /// At the mark of the moment: it stays what it is now.
    AtMark,
}

/// By what a venue ranks a position into its tiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TieredBy {
    /// By notional: floors in quote currency (linear) or coins (inverse), with deductions.
    Notional,
    /// By size, in the unit of [`Position::size`]: no price moves a position to another tier, and a rate applies to all of
    /// it, so there are no deductions.
    Size,
}

/// The coefficients in which venues differ. Each venue's module has its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Whose it is.
    pub venue: Venue,
    /// At which price maintenance margin is counted.
    pub valuation: Valuation,
    /// By what positions are ranked into tiers.
    pub tiered_by: TieredBy,
    /// The share of the notional, at the price in question, that is kept for closing the position.
    pub closing_fee: Decimal,
    /// Whether an account whose equity is just its requirement is liquidated, or only one with less.
    pub at_equality: bool,
}

/// A position with the rules that apply to it.
#[derive(Debug, Clone, Copy)]
pub struct Leg<'a> {
    /// What is held.
    pub position: Position,
    /// The venue's coefficients.
    pub rule: Rule,
    /// The contract's tiers. `None` where they are not known: then there is no exact price, and the answer is a refusal.
    pub tiers: Option<&'a Tiers>,
}

impl<'a> Leg<'a> {
    fn tiers(&self) -> Result<&'a Tiers, Refusal> {
        self.tiers.ok_or(Refusal::NoTiers)
    }

    /// What must be kept for the position at a price, without the fee: quote currency (linear), coins (inverse).
    ///
    /// # Errors
    /// [`Refusal::NoTiers`], a price that is not positive, [`Refusal::Overflow`].
    pub fn maintenance_margin(&self, price: Decimal) -> Result<Decimal, Refusal> {
        positive(price, Quantity::Price)?;
        let tiers = self.tiers()?;
        let notional = self.position.notional(price)?;
        match self.rule.tiered_by {
            TieredBy::Notional => tiers.maintenance_margin(notional),
            TieredBy::Size => self.tier_by_size()?.maintenance_margin(notional),
        }
    }

    fn tier_by_size(&self) -> Result<&'a Tier, Refusal> {
        let tier = self.tiers()?.at(self.position.size);
        if tier.deduction.is_zero() { Ok(tier) } else { Err(Refusal::DeductionBySize) }
    }

    /// The requirement as lines in the price: what applies from 0 on, and how it changes at each tier's price.
    fn requirement(&self, mark: Decimal) -> Result<(Line, Vec<(Decimal, Line)>), Refusal> {
        let position = &self.position;
        let fee = position.share(self.rule.closing_fee)?;
        let still = |price| Ok((position.line(self.maintenance_margin(price)?).add(fee)?, Vec::new()));
        let moving = |tier: &Tier| position.share(tier.maintenance_margin_rate)?.sub(position.line(tier.deduction));
        let tiers = self.tiers()?;
        match (self.rule.valuation, self.rule.tiered_by) {
            (Valuation::AtEntry, _) => still(position.entry),
            (Valuation::AtMark, _) => still(mark),
            (Valuation::Moving, TieredBy::Size) => Ok((moving(self.tier_by_size()?)?.add(fee)?, Vec::new())),
            (Valuation::Moving, TieredBy::Notional) => {
                // Rising in the price, with the price at which each tier begins; an inverse contract's notional falls as
                // the price rises, so its highest tier comes first.
                let lines: Vec<Line> = tiers.rows().iter().map(moving).collect::<Result<_, _>>()?;
                let floors = tiers.rows().iter().skip(1).map(|tier| tier.floor);
                let (mut changes, first) = (
                    Vec::with_capacity(lines.len()),
                    match position.contract {
                        Contract::Linear => lines.first(),
                        Contract::Inverse => lines.last(),
                    },
                );
                for (pair, floor) in lines.windows(2).zip(floors) {
                    changes.push(match position.contract {
                        Contract::Linear => (over(floor, position.size)?, pair[1].sub(pair[0])?),
                        Contract::Inverse => (over(position.size, floor)?, pair[0].sub(pair[1])?),
                    });
                }
                Ok((first.copied().unwrap_or(Line::ZERO).add(fee)?, changes))
            }
        }
    }
}

/// What stands behind the positions in question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Margin {
    /// Quote currency: the margin set aside (isolated), or the balance without any open position's profit (cross).
    pub quote: Decimal,
    /// Coins, at the venue's collateral value: the margin of an inverse contract, or coins that stand in for money. What
    /// they are worth moves with the price.
    pub coins: Decimal,
    /// What the account's other positions add and ask for. `None` for isolated margin, or where there are no others.
    pub others: Option<Others>,
}

/// The account's positions in other coins, at the marks of the moment, in the quote currency. A price computed with them
/// assumes that they stay there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Others {
    /// The sum of their maintenance margins.
    pub maintenance: Decimal,
    /// The sum of their profits, negative for a loss. 0 where `quote` has them already.
    pub pnl: Decimal,
}

impl Margin {
    /// Isolated, in quote currency.
    #[must_use]
    pub const fn isolated(quote: Decimal) -> Self {
        Self { quote, coins: Decimal::ZERO, others: None }
    }

    /// In coins: isolated, or the whole balance of a coin-margined account. Other positions that are margined in the same
    /// coin depend on the same price and are legs of their own.
    #[must_use]
    pub const fn in_coins(coins: Decimal) -> Self {
        Self { quote: Decimal::ZERO, coins, others: None }
    }

    /// Cross, in quote currency.
    #[must_use]
    pub const fn cross(balance: Decimal, others: Others) -> Self {
        Self { quote: balance, coins: Decimal::ZERO, others: Some(others) }
    }
}

/// When a threshold is reached as one coin's price moves away from the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// It is reached at the mark.
    Already,
    /// No price reaches it: the position is fully covered.
    Never,
    /// At this price, when the price falls.
    Below(Decimal),
    /// At this price, when the price rises.
    Above(Decimal),
    /// At either: a hedged account can lose both ways.
    Either {
        /// When the price falls.
        below: Decimal,
        /// When the price rises.
        above: Decimal,
    },
}

impl Reach {
    /// The price at which it is reached when the price falls.
    #[must_use]
    pub const fn below(self) -> Option<Decimal> {
        match self {
            Self::Below(below) | Self::Either { below, .. } => Some(below),
            Self::Already | Self::Never | Self::Above(_) => None,
        }
    }

    /// The price at which it is reached when the price rises.
    #[must_use]
    pub const fn above(self) -> Option<Decimal> {
        match self {
            Self::Above(above) | Self::Either { above, .. } => Some(above),
            Self::Already | Self::Never | Self::Below(_) => None,
        }
    }

    /// The price, where there is one: whichever side it is on, and the lower of two.
    #[must_use]
    pub const fn price(self) -> Option<Decimal> {
        match self {
            Self::Below(price) | Self::Above(price) | Self::Either { below: price, .. } => Some(price),
            Self::Already | Self::Never => None,
        }
    }

    pub(super) fn of(surplus: &Surplus, mark: Decimal, at_equality: bool) -> Result<Self, Refusal> {
        let now = surplus.at(mark)?;
        if now < Decimal::ZERO || (at_equality && now.is_zero()) {
            return Ok(Self::Already);
        }
        let zeros = surplus.zeros(mark, at_equality)?;
        Ok(match (zeros.below, zeros.above) {
            (None, None) => Self::Never,
            (Some(below), None) => Self::Below(below),
            (None, Some(above)) => Self::Above(above),
            (Some(below), Some(above)) => Self::Either { below, above },
        })
    }
}

/// What a price was computed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assumes {
    /// The coin's price alone decides.
    Nothing,
    /// The account's positions in other coins stay at the marks they were counted at.
    OthersStay,
}

/// When an account is liquidated, and what that assumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liquidation {
    /// The price or prices.
    pub reach: Reach,
    /// Under which assumption.
    pub assumes: Assumes,
}

/// A quantity that an input got wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantity {
    /// A position's size.
    Size,
    /// A position's entry price.
    Entry,
    /// The mark price.
    Mark,
    /// A price to compute at.
    Price,
    /// A notional.
    Notional,
    /// A leverage.
    Leverage,
    /// A maintenance margin.
    Maintenance,
    /// Fees.
    Fees,
    /// What an account is worth.
    AccountValue,
}

impl Quantity {
    const fn word(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Entry => "entry price",
            Self::Mark => "mark price",
            Self::Price => "price",
            Self::Notional => "notional",
            Self::Leverage => "leverage",
            Self::Maintenance => "maintenance margin",
            Self::Fees => "sum of fees",
            Self::AccountValue => "value of the account",
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The contract's margin tiers are not known.
    NoTiers,
    /// The tiers have deductions, but the venue ranks by size and takes nothing off.
    DeductionBySize,
    /// There is no position to liquidate.
    NoPosition,
    /// Positions are at two venues, which share no margin.
    TwoVenues {
        /// The first position's.
        first: Venue,
        /// Another's.
        other: Venue,
    },
    /// It must be above 0.
    NotPositive(Quantity),
    /// It must not be below 0.
    Negative(Quantity),
    /// The venue opens no position of this size at this leverage.
    LeverageTooHigh {
        /// The highest it allows.
        allowed: Decimal,
    },
    /// A number is too large to compute with.
    Overflow,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTiers => {
                f.write_str("the margin tiers of this contract are not known, so no exact price can be given")
            }
            Self::DeductionBySize => f.write_str("the tiers have deductions, but the venue ranks by size and has none"),
            Self::NoPosition => f.write_str("there is no position"),
            Self::TwoVenues { first, other } => write!(f, "positions at {first} and at {other} share no margin"),
            Self::NotPositive(quantity) => write!(f, "the {} is not above 0", quantity.word()),
            Self::Negative(quantity) => write!(f, "the {} is below 0", quantity.word()),
            Self::LeverageTooHigh { allowed } => write!(f, "the venue allows a leverage of {allowed} at this size"),
            Self::Overflow => f.write_str("a number is too large to compute with"),
        }
    }
}

impl std::error::Error for Refusal {}

pub(super) fn positive(value: Decimal, quantity: Quantity) -> Result<(), Refusal> {
    if value > Decimal::ZERO { Ok(()) } else { Err(Refusal::NotPositive(quantity)) }
}

/// The price of one coin at which an account is liquidated, counted from the mark.
///
/// `legs` are the account's positions in that coin: one for isolated margin or one-way mode; both ways in hedge mode; a
/// perpetual, dated futures and an inverse contract together where they share the margin (their marks taken as one). They are at
/// one venue: the wallets of Binance's USD-M and COIN-M futures are two.
///
/// # Errors
/// Tiers are not known, positions are at two venues, an input is not a price or a size, or a number is too large. A position that no price can liquidate
/// is no error.
pub fn liquidation_price(margin: &Margin, legs: &[Leg<'_>], mark: Decimal) -> Result<Liquidation, Refusal> {
    let surplus = surplus(margin, legs, mark)?;
    let at_equality = legs.iter().all(|leg| leg.rule.at_equality);
    let assumes = if margin.others.is_some() { Assumes::OthersStay } else { Assumes::Nothing };
    Ok(Liquidation { reach: Reach::of(&surplus, mark, at_equality)?, assumes })
}

/// What an account has beyond what it must keep when the coin is at `price`, in the quote currency. `mark` is where it is
/// now: some rules count maintenance margin there.
///
/// # Errors
/// As for [`liquidation_price`].
pub fn surplus_at(margin: &Margin, legs: &[Leg<'_>], mark: Decimal, price: Decimal) -> Result<Decimal, Refusal> {
    positive(price, Quantity::Price)?;
    surplus(margin, legs, mark)?.at(price)
}

/// The price at which nothing is left of the account but the fee for closing: at which a venue takes a position over.
///
/// # Errors
/// As for [`liquidation_price`]; tiers are not needed.
pub fn bankruptcy_price(margin: &Margin, legs: &[Leg<'_>], mark: Decimal) -> Result<Reach, Refusal> {
    positive(mark, Quantity::Mark)?;
    let mut line = equity(margin, legs)?;
    for leg in legs {
        line = line.sub(leg.position.share(leg.rule.closing_fee)?)?;
    }
    Reach::of(&Surplus::new(line, Vec::new())?, mark, true)
}

/// Balance, coins and profits, as a line in the price.
fn equity(margin: &Margin, legs: &[Leg<'_>]) -> Result<Line, Refusal> {
    if legs.is_empty() {
        return Err(Refusal::NoPosition);
    }
    let others = margin.others.unwrap_or_default();
    let mut line = Line { constant: plus(margin.quote, others.pnl)?, slope: margin.coins };
    for leg in legs {
        if let Some(other) = legs.iter().map(|leg| leg.rule.venue).find(|venue| *venue != leg.rule.venue) {
            return Err(Refusal::TwoVenues { first: leg.rule.venue, other });
        }
        leg.position.check()?;
        line = line.add(leg.position.pnl_line()?)?;
    }
    Ok(line)
}

fn surplus(margin: &Margin, legs: &[Leg<'_>], mark: Decimal) -> Result<Surplus, Refusal> {
    positive(mark, Quantity::Mark)?;
    let mut line = equity(margin, legs)?;
    if let Some(others) = margin.others {
        if others.maintenance < Decimal::ZERO {
            return Err(Refusal::Negative(Quantity::Maintenance));
        }
        line.constant = minus(line.constant, others.maintenance)?;
    }
    let mut changes = Vec::new();
    for leg in legs {
        let (first, rest) = leg.requirement(mark)?;
        line = line.sub(first)?;
        for (from, change) in rest {
            changes.push((from, Line::ZERO.sub(change)?));
        }
    }
    Surplus::new(line, changes)
}

/// A position as it is opened with isolated margin: what an estimate knows of positions that nobody publishes.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Which way.
    pub side: Side,
    /// In what it is margined.
    pub contract: Contract,
    /// The price of entry, in the quote currency.
    pub entry: Decimal,
    /// Its value at the entry, in the quote currency, for inverse contracts too.
    pub notional: Decimal,
    /// Notional over margin. Fees for opening are paid from the balance, not from the margin.
    pub leverage: Decimal,
    /// The venue's coefficients.
    pub rule: Rule,
    /// The contract's tiers.
    pub tiers: Option<&'a Tiers>,
}

impl<'a> Opening<'a> {
    /// The leg and its margin, `notional / leverage`.
    ///
    /// # Errors
    /// An input is not positive, tiers are not known, or the venue allows no such leverage at this size.
    pub fn leg(&self) -> Result<(Leg<'a>, Margin), Refusal> {
        positive(self.entry, Quantity::Entry)?;
        positive(self.notional, Quantity::Notional)?;
        positive(self.leverage, Quantity::Leverage)?;
        // The size has a last digit, so what it is worth at the entry is counted again: at a leverage of 1 a position must
        // be paid in full, not in all but that digit.
        let in_coins = over(self.notional, self.entry)?;
        let (size, valued) = match self.contract {
            Contract::Linear => (in_coins, times(in_coins, self.entry)?),
            Contract::Inverse => (self.notional, in_coins),
        };
        let position = Position { side: self.side, contract: self.contract, size, entry: self.entry };
        let leg = Leg { position, rule: self.rule, tiers: self.tiers };
        let ranked = match self.rule.tiered_by {
            TieredBy::Notional => valued,
            TieredBy::Size => size,
        };
        let allowed = leg.tiers()?.at(ranked).max_leverage;
        if self.leverage > allowed {
            return Err(Refusal::LeverageTooHigh { allowed });
        }
        let margin = over(valued, self.leverage)?;
        Ok((
            leg,
            match self.contract {
                Contract::Linear => Margin::isolated(margin),
                Contract::Inverse => Margin::in_coins(margin),
            },
        ))
    }

    /// Where it is liquidated. `Already` where the margin at this leverage is not more than the maintenance margin.
    ///
    /// # Errors
    /// As for [`leg`](Self::leg).
    pub fn liquidation_price(&self) -> Result<Reach, Refusal> {
        let (leg, margin) = self.leg()?;
        Ok(liquidation_price(&margin, &[leg], self.entry)?.reach)
    }
}
