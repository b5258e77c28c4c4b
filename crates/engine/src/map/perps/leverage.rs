//! How much leverage there is, beside the past, and whether it was reset.
//!
//! A figure that an input is missing for is missing, never zero. Nothing here is interpolated.

use std::fmt;

use super::grid::count;
use super::score::quantile;

/// What is known of one coin at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Moment {
    /// Seconds since 1970 UTC.
    pub time: i64,
    /// Seconds of the candle at whose end it is; 0 where there is none.
    pub length: i64,
    /// Price in US dollars.
    pub price: f64,
    /// One-sided, in coins.
    pub open_interest: Option<f64>,
    /// Coins in circulation.
    pub supply: Option<f64>,
    /// Turnover of the last 24 hours, in US dollars.
    pub turnover: Option<f64>,
    /// Resting bids and asks within 1 % of the price, in US dollars.
    pub depth: Option<f64>,
    /// Funding for a day, as a share of notional, weighted by open interest where it is of several venues: see [`funding`].
    pub funding: Option<f64>,
    /// Liquidations of the last 24 hours: longs and shorts, in US dollars.
    pub liquidations: Option<[f64; 2]>,
    /// What a map says would be liquidated by a fall and a rise of [`REACH`], in US dollars.
    pub reached: Option<[f64; 2]>,
    /// What a map made before said the last 24 hours' range would liquidate, both sides, in US dollars.
    pub predicted: Option<f64>,
}

/// How far on either side of the price a map's area is taken.
pub const REACH: f64 = 0.05;

/// Funding for a day over venues, weighted by their open interest: `(open interest, rate, hours of the rate)`. None without any.
#[must_use]
pub fn funding(venues: &[(f64, f64, f64)]) -> Option<f64> {
    let weight: f64 = venues.iter().map(|(open_interest, ..)| open_interest).sum();
    let sum: f64 = venues.iter().map(|(open_interest, rate, hours)| open_interest * rate * 24.0 / hours).sum();
    (weight > 0.0).then(|| sum / weight)
}

/// A figure about leverage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// Open interest in coins.
    OpenInterestCoins,
    /// Open interest in US dollars.
    OpenInterestUsd,
    /// Open interest over all coins in circulation.
    OverSupply,
    /// Open interest over a day's turnover.
    OverTurnover,
    /// Open interest over depth within 1 %.
    OverDepth,
    /// Funding for a day.
    Funding,
    /// What a move of [`REACH`] either way would liquidate, over open interest.
    Area,
    /// The same in US dollars for each percent of the move.
    UsdPerPercent,
    /// Shorts less longs over both, within [`REACH`]: above 0 more shorts are near.
    Imbalance,
    /// A day's liquidations over open interest.
    Liquidated,
    /// A day's liquidations over what a map made before said.
    OverPredicted,
}

impl Metric {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::OpenInterestCoins,
        Self::OpenInterestUsd,
        Self::OverSupply,
        Self::OverTurnover,
        Self::OverDepth,
        Self::Funding,
        Self::Area,
        Self::UsdPerPercent,
        Self::Imbalance,
        Self::Liquidated,
        Self::OverPredicted,
    ];

    /// Its name in outputs, with its unit.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::OpenInterestCoins => "open interest (coins)",
            Self::OpenInterestUsd => "open interest (USD)",
            Self::OverSupply => "open interest / supply",
            Self::OverTurnover => "open interest / 24 h turnover",
            Self::OverDepth => "open interest / depth within 1 %",
            Self::Funding => "funding per day, weighted by open interest",
            Self::Area => "liquidated by 5 % either way / open interest",
            Self::UsdPerPercent => "USD liquidated per 1 % move, within 5 %",
            Self::Imbalance => "(shorts - longs) / both, within 5 %",
            Self::Liquidated => "24 h liquidations / open interest",
            Self::OverPredicted => "24 h liquidations / predicted",
        }
    }

    /// It at a moment, if its inputs are known.
    #[must_use]
    pub fn of(self, moment: &Moment) -> Option<f64> {
        let coins = moment.open_interest?;
        let usd = coins * moment.price;
        let near = moment.reached.map(|[longs, shorts]| longs + shorts);
        let over = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        match self {
            Self::OpenInterestCoins => Some(coins),
            Self::OpenInterestUsd => Some(usd),
            Self::OverSupply => over(coins, moment.supply?),
            Self::OverTurnover => over(usd, moment.turnover?),
            Self::OverDepth => over(usd, moment.depth?),
            Self::Funding => moment.funding,
            Self::Area => over(near?, usd),
            Self::UsdPerPercent => Some(near? / (2.0 * REACH * 100.0)),
            Self::Imbalance => {
                let [longs, shorts] = moment.reached?;
                over(shorts - longs, longs + shorts)
            }
            Self::Liquidated => over(moment.liquidations?.iter().sum(), usd),
            Self::OverPredicted => over(moment.liquidations?.iter().sum(), moment.predicted?),
        }
    }
}

/// A stretch of the past that people remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its name.
    pub name: &'static str,
    /// From this second on.
    pub from: i64,
    /// To before this one.
    pub to: i64,
}

/// The stretches with which today is compared.
pub const WINDOWS: [Window; 5] = [
    Window { name: "May 2021", from: 1_620_604_800, to: 1_622_505_600 },
    Window { name: "June 2022", from: 1_654_560_000, to: 1_656_633_600 },
    Window { name: "August 2024", from: 1_722_470_400, to: 1_723_420_800 },
    Window { name: "October 2025", from: 1_760_054_400, to: 1_760_659_200 },
    Window { name: "February 2026", from: 1_769_731_200, to: 1_770_768_000 },
];

/// A metric now and in one stretch of the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Compared {
    /// Lowest, median and highest of the stretch.
    pub then: [f64; 3],
    /// The share of the stretch's values that are below today's.
    pub rank: f64,
    /// How many values the stretch has.
    pub values: usize,
}

/// A metric's value now against a window; none where either is not known.
#[must_use]
pub fn compare(now: &Moment, past: &[Moment], window: Window, metric: Metric) -> Option<Compared> {
    let now = metric.of(now)?;
    let within = past.iter().filter(|moment| moment.time >= window.from && moment.time < window.to);
    let mut values: Vec<f64> = within.filter_map(|moment| metric.of(moment)).collect();
    values.sort_by(f64::total_cmp);
    let below = values.partition_point(|value| *value < now);
    let then = [quantile(&values, 0.0)?, quantile(&values, 0.5)?, quantile(&values, 1.0)?];
    Some(Compared { then, rank: count(below) / count(values.len()), values: values.len() })
}

/// What the rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Much leverage is gone and nobody pays for more.
    Reset,
    /// It comes back after a reset.
    Rebuilding,
    /// There is as much as there ever was of late, and it is paid for.
    Stretched,
    /// None of these.
    Between,
    /// The inputs do not suffice.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reset => "reset",
            Self::Rebuilding => "rebuilding",
            Self::Stretched => "stretched",
            Self::Between => "between",
            Self::Unknown => "unknown",
        })
    }
}

/// How far back the rule looks, in seconds: 90 days.
pub const LOOK_BACK: i64 = 90 * 86_400;

/// A reset is this much off the highest open interest, in coins.
pub const RESET: f64 = 0.20;

/// Leverage is stretched within this much of the highest.
pub const STRETCHED: f64 = 0.05;

/// It rebuilds from this much above the lowest since the highest.
pub const REBUILT: f64 = 0.05;

/// The verdict, with what it rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// What the rule says.
    pub state: State,
    /// Open interest in coins against the highest of the look-back: 0.25 for a quarter off it.
    pub drawdown: Option<f64>,
    /// Open interest in coins against the lowest since that highest: 0.1 for a tenth above it.
    pub recovery: Option<f64>,
    /// The share of funding values of the look-back that are below today's.
    pub funding_rank: Option<f64>,
    /// Days of the look-back that the data cover, from the beginning of the first moment's candle to the last moment.
    pub days: f64,
    /// What cannot be said, and why, each a sentence.
    pub missing: Vec<String>,
}

/// The rule, over the 90 days up to the last of `moments` (ascending in time), in coins, so that a fall of the price alone is no
/// reset:
///
/// * *reset*: open interest is 20 % or more off its highest, less than 5 % above its lowest since, and funding is not above
///   its median, or not known;
/// * *rebuilding*: it was 20 % or more off, and is 5 % or more above its lowest since;
/// * *stretched*: it is within 5 % of its highest and funding is in its upper quarter, or not known;
/// * *between*: none of these.
///
/// With less than 30 days of open interest it is *unknown*.
#[must_use]
pub fn verdict(moments: &[Moment]) -> Verdict {
    let mut verdict = Verdict {
        state: State::Unknown,
        drawdown: None,
        recovery: None,
        funding_rank: None,
        days: 0.0,
        missing: Vec::new(),
    };
    let Some(last) = moments.last() else {
        verdict.missing.push("There are no data.".to_owned());
        return verdict;
    };
    let recent: Vec<&Moment> = moments.iter().filter(|moment| moment.time > last.time - LOOK_BACK).collect();
    let series: Vec<(i64, f64)> = recent
        .iter()
        .filter_map(|moment| {
            Some((moment.time - moment.length, moment.open_interest.filter(|coins| coins.is_finite())?))
        })
        .collect();
    let (Some((first, _)), Some((_, now))) = (series.first(), series.last()) else {
        verdict.missing.push("Open interest is not known.".to_owned());
        return verdict;
    };
    verdict.days = f64::from(u32::try_from(last.time - first).unwrap_or(u32::MAX)) / 86_400.0;
    if verdict.days < 30.0 {
        verdict.missing.push(format!("Open interest is known for {:.0} days; the rule asks for 30.", verdict.days));
    } else if verdict.days < 89.0 {
        verdict.missing.push(format!("The look-back of 90 days is covered for {:.0}.", verdict.days));
    }
    if series.len() < 2 {
        verdict.missing.push("Open interest is known for one moment, which is no evidence of a change.".to_owned());
        return verdict;
    }
    let highest = (0..series.len()).max_by(|a, b| series[*a].1.total_cmp(&series[*b].1).then(b.cmp(a))).unwrap_or(0);
    let most = series[highest].1;
    let least = series[highest..].iter().map(|(_, coins)| *coins).fold(f64::INFINITY, f64::min);
    if least <= 0.0 {
        verdict.missing.push("Open interest was zero in the look-back.".to_owned());
        return verdict;
    }
    let (drawdown, deepest, recovery) = (1.0 - now / most, 1.0 - least / most, now / least - 1.0);
    let mut fundings: Vec<f64> = recent.iter().filter_map(|moment| moment.funding).collect();
    fundings.sort_by(f64::total_cmp);
    let rank = last.funding.map(|now| count(fundings.partition_point(|each| *each < now)) / count(fundings.len()));
    if rank.is_none() {
        verdict.missing.push("Funding is not known today, so the verdict rests on open interest alone.".to_owned());
    }
    (verdict.drawdown, verdict.recovery, verdict.funding_rank) = (Some(drawdown), Some(recovery), rank);
    if verdict.days >= 30.0 {
        verdict.state = if deepest >= RESET && recovery >= REBUILT {
            State::Rebuilding
        } else if drawdown >= RESET && rank.is_none_or(|rank| rank <= 0.5) {
            State::Reset
        } else if drawdown <= STRETCHED && rank.is_none_or(|rank| rank >= 0.75) {
            State::Stretched
        } else {
            State::Between
        };
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sixty days of open interest, with funding, a day apart.
    fn history(points: &[(i64, f64, Option<f64>)]) -> Vec<Moment> {
        points
            .iter()
            .map(|(day, coins, funding)| Moment {
                time: day * 86_400,
                price: 100.0,
                open_interest: Some(*coins),
                funding: *funding,
                ..Moment::default()
            })
            .collect()
    }

    #[test]
    fn the_rule_says_what_it_says() {
        let low = Some(-0.001);
        let flat = Some(0.0001);
        let high = Some(0.001);
        for (points, expected) in [
            (vec![(0, 100.0, flat), (50, 75.0, low)], State::Reset),
            (vec![(0, 100.0, flat), (50, 75.0, None)], State::Reset),
            (vec![(0, 100.0, flat), (1, 100.0, flat), (50, 75.0, high)], State::Between),
            (vec![(0, 100.0, flat), (40, 75.0, low), (50, 80.0, flat)], State::Rebuilding),
            (vec![(0, 90.0, flat), (1, 90.0, flat), (2, 90.0, flat), (50, 100.0, high)], State::Stretched),
            (vec![(0, 90.0, high), (50, 100.0, flat)], State::Between),
            (vec![(0, 100.0, flat), (50, 90.0, flat)], State::Between),
            (vec![(0, 100.0, flat), (20, 50.0, low)], State::Unknown),
            // The highest lies before the look-back.
            (vec![(0, 500.0, flat), (100, 100.0, flat), (150, 75.0, low)], State::Reset),
            (vec![(0, 500.0, flat), (100, 100.0, low), (150, 90.0, flat)], State::Between),
        ] {
            let found = verdict(&history(&points));
            assert_eq!(found.state, expected, "{points:?} {found:?}");
        }
        assert_eq!(verdict(&[]).state, State::Unknown);
        // One moment alone is neither near a highest nor off it.
        let single = verdict(&history(&[(50, 100.0, flat)]));
        assert_eq!((single.state, single.drawdown, single.recovery), (State::Unknown, None, None));
        // Thirty candles of a day are thirty days.
        let mut days: Vec<_> = history(&(1..=30).map(|day| (day, 100.0, high)).collect::<Vec<_>>());
        assert_eq!(verdict(&days).state, State::Unknown);
        days.iter_mut().for_each(|moment| moment.length = 86_400);
        assert!((verdict(&days).days - 30.0).abs() < 1e-9 && verdict(&days).state != State::Unknown);
        let nothing_open = history(&[(0, 10.0, None), (50, 0.0, None)]);
        assert_eq!(verdict(&nothing_open).state, State::Unknown);
    }

    #[test]
    fn metrics_want_their_inputs_and_compare_with_the_past() {
        let mut now = history(&[(100, 10.0, Some(0.001))])[0];
        now.reached = Some([10.0, 30.0]);
        now.liquidations = Some([5.0, 5.0]);
        for (metric, expected) in [
            (Metric::OpenInterestUsd, Some(1_000.0)),
            (Metric::OverSupply, None),
            (Metric::OverDepth, None),
            (Metric::Area, Some(0.04)),
            (Metric::UsdPerPercent, Some(4.0)),
            (Metric::Imbalance, Some(0.5)),
            (Metric::Liquidated, Some(0.01)),
            (Metric::OverPredicted, None),
        ] {
            assert_eq!(metric.of(&now), expected, "{metric:?}");
        }
        let past = history(&[(1, 4.0, None), (2, 8.0, None), (3, 12.0, None), (4, 99.0, None)]);
        let window = Window { name: "then", from: 86_400, to: 4 * 86_400 };
        let found = compare(&now, &past, window, Metric::OpenInterestCoins).unwrap();
        assert_eq!((found.then, found.values), ([4.0, 8.0, 12.0], 3));
        assert!((found.rank - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(compare(&now, &past, window, Metric::Funding), None);
        // 1 with a rate of 0.0001 for 8 hours, 3 with 0.0002 for an hour.
        let weighted = funding(&[(1.0, 0.0001, 8.0), (3.0, 0.0002, 1.0)]).unwrap();
        assert!((weighted - (0.0003 + 3.0 * 0.0048) / 4.0).abs() < 1e-15);
        assert_eq!(funding(&[]), None);
    }
}
