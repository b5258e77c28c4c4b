//! What an estimated map supposes. It is a part of every result.

use std::fmt;

use protocol::Decimal;
use protocol::venue::{Opening, Reach, Refusal, Side};

use crate::map::perps::grid::count;
use crate::map::{Assumed, Assumption};

/// What no leverage is above: powers of it stay figures.
const MOST_LEVERAGE: f64 = 1e6;

/// One leverage, and one size of position where sizes differ in margin, at which positions are supposed to be held.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// Notional over margin when the position was opened.
    pub leverage: f64,
    /// The share of open interest, on either side, held at it; shares sum to 1.
    pub share: f64,
    /// Liquidation price over entry price of a long, below 1.
    pub long_ratio: f64,
    /// Liquidation price over entry price of a short, above 1.
    pub short_ratio: f64,
}

impl Bucket {
    /// By a venue's exact rules, for positions opened like this one (its side is of no matter): both sides' exact liquidation
    /// prices over the entry. A position's ratio depends on its tier, so a bucket is of one notional.
    ///
    /// # Errors
    /// The venue refuses such a position, or would liquidate it at its entry.
    pub fn exact(opening: &Opening<'_>, share: f64) -> Result<Self, Refusal> {
        let ratio = |side: Side| -> Result<f64, Refusal> {
            let price = match (Opening { side, ..*opening }.liquidation_price()?, side) {
                (Reach::Below(price) | Reach::Either { below: price, .. }, Side::Long)
                | (Reach::Above(price) | Reach::Either { above: price, .. }, Side::Short) => price,
                // A long without debt has no price; nor has what could only lose the other way.
                (Reach::Never | Reach::Above(_), Side::Long) => Decimal::ZERO,
                (Reach::Never | Reach::Below(_), Side::Short) => return Err(Refusal::Overflow),
                (Reach::Already, _) => return Err(Refusal::LeverageTooHigh { allowed: opening.leverage }),
            };
            let ratio = price.checked_div(opening.entry).ok_or(Refusal::Overflow)?;
            f64::try_from(ratio).map_err(|_| Refusal::Overflow)
        };
        let leverage = f64::try_from(opening.leverage).map_err(|_| Refusal::Overflow)?;
        Ok(Self { leverage, share, long_ratio: ratio(Side::Long)?, short_ratio: ratio(Side::Short)? })
    }

    /// An isolated position under one flat maintenance rate, its closing fee included: the margin is `entry / leverage`, and
    /// liquidation comes where what is left of it is `(rate + fee) * price`, so
    /// `long = (1 - 1/L) / (1 - rate - fee)` and `short = (1 + 1/L) / (1 + rate + fee)`.
    ///
    /// A venue's tiers give the ratios themselves; this is for venues whose table is missing, and is then said to be so.
    #[must_use]
    pub fn flat(leverage: f64, share: f64, rate: f64, fee: f64) -> Self {
        let kept = rate + fee;
        Self {
            leverage,
            share,
            long_ratio: (1.0 - 1.0 / leverage) / (1.0 - kept),
            short_ratio: (1.0 + 1.0 / leverage) / (1.0 + kept),
        }
    }
}

/// Which price the candles are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priced {
    /// The price by which the venue liquidates.
    Mark,
    /// Trades: their wicks go beyond the mark's, so that levels are taken for crossed that were not.
    Trades,
}

/// Every parameter of the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Assumptions {
    /// Whose contract it is, and from where the inputs are: free text.
    pub source: String,
    /// Which price the candles are of.
    pub priced: Priced,
    /// Leverages, ascending. Each is a population of its own that holds its share of the open interest on both sides at all
    /// times, so every figure of the map is a sum over buckets, linear in the shares.
    pub buckets: Vec<Bucket>,
    /// How sure the shares are: the concentration of a Dirichlet distribution around them. The band is made of it.
    pub concentration: f64,
    /// Of the turnover that did not change open interest, the share that passes positions on to new holders, who enter at
    /// the price of the moment. The rest is opened and closed at once. It is above 1 where the turnover is of fewer venues
    /// than the open interest.
    pub transfer: f64,
    /// How much faster positions of higher leverage pass on: as `(leverage / 10)` to this power (0: all alike).
    pub transfer_power: f64,
    /// The share of openings that is made to be closed soon.
    pub fast_share: f64,
    /// How many times as likely a coin of those is to be closed as one of the others. Closing hazard so falls with age: it is a
    /// mixture of two exponentials in the closings that went by.
    pub fast_pace: f64,
    /// How far a surplus of taker buying moves entries from the candle's falling pieces to its rising ones (0: not at all, 1:
    /// to the full).
    pub entry_tilt: f64,
    /// Candles of known liquidations and taker buying to which the tilt was fitted; 0 where it is supposed.
    pub tilt_cases: usize,
    /// Of the coins whose level was crossed, the share that a venue liquidated; the others were closed or had margin added
    /// on the way. It scales predicted liquidations alone, not the map.
    pub liquidated: f64,
    /// Seconds from one candle to the next; what is longer is counted as a gap.
    pub interval: i64,
}

/// Which assumption cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssumptionsError {
    /// There is no bucket.
    NoBucket,
    /// A bucket's leverage is below the one before it, or not above 1, or above a million.
    Leverage,
    /// A bucket's ratios are not `0 <= long < 1 < short`.
    Ratio,
    /// Shares are negative or do not sum to 1.
    Shares,
    /// This parameter is out of its range.
    Parameter(&'static str),
}

impl fmt::Display for AssumptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBucket => f.write_str("there is no leverage to suppose"),
            Self::Leverage => f.write_str("leverages must not descend, and each be above 1 and no more than a million"),
            Self::Ratio => f.write_str("a long is liquidated below its entry and a short above it"),
            Self::Shares => f.write_str("shares of leverages must be 0 or more and sum to 1"),
            Self::Parameter(name) => write!(f, "`{name}` is out of its range"),
        }
    }
}

impl std::error::Error for AssumptionsError {}

impl Assumptions {
    /// Whether they can be.
    ///
    /// # Errors
    /// See [`AssumptionsError`].
    pub fn check(&self) -> Result<(), AssumptionsError> {
        if self.buckets.is_empty() {
            return Err(AssumptionsError::NoBucket);
        }
        let mut before = 1.0;
        for bucket in &self.buckets {
            if !(bucket.leverage > 1.0 && bucket.leverage >= before && bucket.leverage <= MOST_LEVERAGE) {
                return Err(AssumptionsError::Leverage);
            }
            before = bucket.leverage;
            let is_long = bucket.long_ratio >= 0.0 && bucket.long_ratio < 1.0;
            if !(is_long && bucket.short_ratio > 1.0 && bucket.short_ratio.is_finite()) {
                return Err(AssumptionsError::Ratio);
            }
        }
        let shares: f64 = self.buckets.iter().map(|bucket| bucket.share).sum();
        if shares.is_nan() || self.buckets.iter().any(|bucket| bucket.share < 0.0) || (shares - 1.0).abs() > 1e-6 {
            return Err(AssumptionsError::Shares);
        }
        for (name, value, from, to) in [
            ("concentration", self.concentration, 1e-9, 1e12),
            ("transfer", self.transfer, 0.0, 1e3),
            ("transfer_power", self.transfer_power, 0.0, 3.0),
            ("fast_share", self.fast_share, 0.0, 1.0),
            ("fast_pace", self.fast_pace, 1.0, 1e6),
            ("entry_tilt", self.entry_tilt, 0.0, 1.0),
            ("liquidated", self.liquidated, 0.0, 1e6),
        ] {
            if !(value >= from && value <= to) {
                return Err(AssumptionsError::Parameter(name));
            }
        }
        if self.interval <= 0 {
            return Err(AssumptionsError::Parameter("interval"));
        }
        Ok(())
    }

    /// What they say, as names, values and units for programs and sentences for people, in the order in which they matter.
    #[must_use]
    pub fn stated(&self) -> Vec<Assumption> {
        let each = |pick: fn(&Bucket) -> f64| {
            Assumed::Numbers(self.buckets.iter().map(|b| (format!("{}x", b.leverage).into(), pick(b))).collect())
        };
        let shares: Vec<String> =
            self.buckets.iter().map(|b| format!("{}x {:.1} %", b.leverage, b.share * 100.0)).collect();
        let levels: Vec<String> =
            self.buckets.iter().map(|b| format!("{}x {:.3}/{:.3}", b.leverage, b.long_ratio, b.short_ratio)).collect();
        let rule = |name, says: &str| Assumption::new(name, says.to_owned(), Assumed::Rule, "");
        let ratios = format!("Liquidation price over entry, long/short: {}.", levels.join(", "));
        let mut stated = vec![
            Assumption::new("source", self.source.clone(), Assumed::Rule, ""),
            rule(
                "both_sides",
                "Every rise of open interest opens as many coins long as short, every fall closes as many; longs and \
                 shorts each sum to the open interest, in coins, counted one-sided.",
            ),
            Assumption::new(
                "leverage_prior",
                format!("Open interest is held at {} at all times.", shares.join(", ")),
                each(|bucket| bucket.share),
                "share of open interest",
            ),
            Assumption::new(
                "leverage_band",
                format!(
                    "Those shares are as sure as {} observations. The band of leverages is of them alone: what else the model \
                     does not know is not in it.",
                    self.concentration
                ),
                Assumed::Number(self.concentration),
                "observations",
            ),
            Assumption::new(
                "liquidation_ratios",
                ratios,
                each(|bucket| bucket.long_ratio),
                "long's liquidation price / entry",
            ),
            Assumption::new(
                "liquidation_ratios_of_shorts",
                String::new(),
                each(|bucket| bucket.short_ratio),
                "short's liquidation price / entry",
            ),
        ];
        stated.extend(self.flows_stated());
        stated
    }

    /// What is supposed of the way of the price and of how positions open, pass on and close.
    fn flows_stated(&self) -> Vec<Assumption> {
        let number = |name, value: f64, unit, says: String| Assumption::new(name, says, Assumed::Number(value), unit);
        let (priced, price) = match self.priced {
            Priced::Mark => ("mark", "Levels are consumed once, when the mark price crosses them."),
            Priced::Trades => (
                "trades",
                "Levels are consumed once, when trades cross them; wicks of trades go beyond the mark price, so more is \
                 consumed than was.",
            ),
        };
        let consumed = "What is liquidated counts first towards a fall of open interest; the rest of the fall is closed, and what \
                        exceeds it was taken over by new positions.";
        let path = "Within a candle the price went straight from the open to the low, the high and the close where it rose, to the \
                    high, the low and the close where it fell; open interest and turnover are spread evenly along.";
        let transfer = format!(
            "{} % of turnover that leaves open interest as it was passes positions to new holders at the price of the moment; at \
             other leverages than 10x, (leverage / 10)^{} times as much.",
            self.transfer * 100.0,
            self.transfer_power
        );
        let fast = self.fast_share * 100.0;
        let hazard = format!("{fast} % of openings are {} times as likely to be closed as the others.", self.fast_pace);
        let liquidated = format!("{} of a crossed coin is liquidated by the venue.", self.liquidated);
        vec![
            Assumption::new("price", price.to_owned(), Assumed::Words(priced.into()), "series of prices"),
            Assumption::new("consumed_first", consumed.to_owned(), Assumed::Rule, ""),
            number("transfer", self.transfer, "share of turnover", transfer),
            number("transfer_power", self.transfer_power, "power of leverage / 10", String::new()),
            number("closing_hazard", self.fast_share, "share of openings", hazard),
            number("closing_pace", self.fast_pace, "times the others' rate", String::new()),
            Assumption::new("path", path.to_owned(), Assumed::Rule, ""),
            number("entry", self.entry_tilt, "of one, the full surplus", self.tilt_says()),
            number("liquidated", self.liquidated, "of a crossed coin", liquidated),
            number(
                "interval",
                count(usize::try_from(self.interval).unwrap_or(0)),
                "seconds of a candle",
                String::new(),
            ),
        ]
    }

    /// What taker buying does, and by what that is known, as a sentence.
    #[must_use]
    pub fn tilt_says(&self) -> String {
        match (self.tilt_cases, self.entry_tilt > 0.0) {
            (0, false) => {
                "What takers bought moves nothing: nothing was fitted to it, and it is no part of the map.".to_owned()
            }
            (0, true) => {
                format!(
                    "Taker buying is supposed to move entries to the rising pieces of that way at {}.",
                    self.entry_tilt
                )
            }
            (cases, false) => format!(
                "What takers bought moves nothing: fitted to 0 on the liquidations of {cases} candles, so it is no part of the map."
            ),
            (cases, true) => format!(
                "Taker buying moves entries to the rising pieces of that way at {}, fitted to the liquidations of {cases} candles.",
                self.entry_tilt
            ),
        }
    }
}
