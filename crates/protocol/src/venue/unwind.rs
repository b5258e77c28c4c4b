//! What a venue does with a position once it is liquidated: which order, how much of it, who takes what the market does
//! not, and whose gains pay when nobody can. Data for simulating a cascade; each venue's module has its own [`Procedure`].

use rust_decimal::Decimal;

use super::surplus::{minus, times};
use super::{Refusal, Tiers, Venue, binance, bybit, dydx, gmx, hyperliquid, okx};

/// A venue's procedure, in the order in which its parts come into play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Procedure {
    /// Whose it is.
    pub venue: Venue,
    /// Whether an account's long and short in one contract are closed against each other before the rest is sold.
    pub nets_hedges: bool,
    /// How the position is offered to the market.
    pub order: Order,
    /// How much of it at once.
    pub amount: Amount,
    /// Whether it is offered again while the account does not meet its requirement. If not, the backstop is next.
    pub repeats: bool,
    /// Who stands behind the market.
    pub backstop: Backstop,
    /// What happens when the backstop cannot pay.
    pub deleveraging: Deleveraging,
}

/// How a liquidated position is offered to the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At the market's prices, with no limit stated.
    Market,
    /// What fills at once fills, the rest is cancelled.
    ImmediateOrCancel,
    /// All of it at once, or nothing.
    FillOrKill,
    /// Immediate or cancel, at the [fillable price](dydx::Subaccount::fillable_price) or better.
    FillablePrice,
    /// Against the venue's pool, at the oracle's price.
    Pool,
}

/// How much of a position is closed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// All of it.
    Whole,
    /// As much as leaves a rest that the account's equity covers.
    UntilCovered,
    /// Down to the end of the tier that lies `down` below, where the position is in tier `from` or above, counted from 1;
    /// else all of it.
    TiersDown {
        /// How many tiers.
        down: usize,
        /// The lowest tier that is closed in part.
        from: usize,
    },
    /// A share of a position above a notional; all of a smaller one, and all for a while after the account was closed in
    /// part.
    Share {
        /// In the quote currency.
        above: Decimal,
        /// Of the position.
        share: Decimal,
        /// For how long the next is whole.
        cooldown_seconds: u32,
    },
    /// Limits of a block.
    PerBlock {
        /// Of a position.
        share: Decimal,
        /// But at least this notional of it, in the quote currency.
        minimum: Decimal,
        /// And at most this notional of one account.
        account: Decimal,
    },
}

/// Who stands behind the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backstop {
    /// An insurance fund takes the position over at its bankruptcy price; what it fetches beyond stays in the fund.
    InsuranceFund,
    /// An insurance fund pays what a fill falls short of the bankruptcy price.
    InsurancePays {
        /// The most it pays for one account in a block, in the quote currency.
        per_block: Decimal,
    },
    /// A vault takes the position with its margin.
    Vault {
        /// When equity is below this share of maintenance margin: `equity * denominator < maintenance * numerator`.
        numerator: u32,
        /// Its other part.
        denominator: u32,
    },
    /// The pool that the position was opened against bears the loss.
    Pool,
}

/// Whose positions are closed when the backstop cannot pay, and at which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deleveraging {
    /// In which order.
    pub rank: Rank,
    /// At which price.
    pub price: DeleveragingPrice,
}

/// In which order positions on the other side are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// Highest first, [`binance::deleveraging_rank`].
    ProfitTimesMarginRatio,
    /// Highest first, [`hyperliquid::deleveraging_index`].
    PriceRatioTimesLeverage,
    /// By profit and by leverage, the highest first; the venue's pages at hand do not give the formula.
    ProfitAndLeverage,
    /// Not ranked: the chain begins at an account that chance picks.
    Chance,
    /// Not ranked: a keeper chooses among profitable positions.
    Keeper,
}

/// At which price positions are closed for another's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleveragingPrice {
    /// The bankruptcy price of the liquidated position.
    Bankruptcy,
    /// The mark price.
    Mark,
    /// The mark price before the one that made the account negative.
    PreviousMark,
    /// The oracle's price.
    Oracle,
}

/// A liquidated position, as far as the amount to close depends on it.
#[derive(Debug, Clone, Copy)]
pub struct Unwinding<'a> {
    /// In the unit of its tiers.
    pub notional: Decimal,
    /// What is left of its margin, in the same unit.
    pub equity: Decimal,
    /// The contract's tiers, where the venue's rule asks for them.
    pub tiers: Option<&'a Tiers>,
    /// Seconds since the account was last closed in part, if it was.
    pub since_partial: Option<u32>,
}

impl Amount {
    /// How much of a position is closed next, in the unit of its notional; never more than it is. Where the amount is to
    /// restore the margin, it is what would do so if it were sold at the mark without a fee.
    ///
    /// # Errors
    /// Tiers are needed and not known, or a number is too large.
    pub fn next(&self, of: &Unwinding<'_>) -> Result<Decimal, Refusal> {
        let whole = of.notional;
        match *self {
            Self::Whole => Ok(whole),
            Self::UntilCovered => {
                let kept = of.tiers.ok_or(Refusal::NoTiers)?.covered_by(of.equity)?;
                minus(whole, kept.min(whole))
            }
            Self::TiersDown { down, from } => {
                let rows = of.tiers.ok_or(Refusal::NoTiers)?.rows();
                // A position right at a floor is counted into the tier below, which closing nothing would not leave.
                let tier = rows.partition_point(|tier| tier.floor < whole);
                let end = tier.checked_sub(down).and_then(|end| rows.get(end));
                match end {
                    Some(end) if tier >= from => minus(whole, end.floor),
                    _ => Ok(whole),
                }
            }
            Self::Share { above, share, cooldown_seconds } => {
                let cooling = of.since_partial.is_some_and(|seconds| seconds < cooldown_seconds);
                if whole > above && !cooling { times(whole, share) } else { Ok(whole) }
            }
            Self::PerBlock { share, minimum, account } => Ok(whole.min(times(whole, share)?.max(minimum).min(account))),
        }
    }
}

impl Venue {
    /// What the venue does with a liquidated position.
    #[must_use]
    pub const fn procedure(self) -> Procedure {
        match self {
            Self::BinanceUsdm => binance::PROCEDURE,
            Self::BinanceCoinm => Procedure { venue: Self::BinanceCoinm, ..binance::PROCEDURE },
            Self::Bybit => bybit::PROCEDURE,
            Self::Okx => okx::PROCEDURE,
            Self::Hyperliquid => hyperliquid::PROCEDURE,
            Self::DydxV4 => dydx::PROCEDURE,
            Self::GmxV2 => gmx::PROCEDURE,
        }
    }
}
