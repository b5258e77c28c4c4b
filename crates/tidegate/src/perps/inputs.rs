//! Observations of one contract as the engine's inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::map::perps::estimated::{Candle, Priced};
use protocol::Decimal;
use protocol::perp::{self, Distortion, Distortions, Instrument, Kind, Level, Observation, Observed, Series};
use protocol::standing::Standing;
use protocol::time::{HOUR_US, SECOND_US, TimeUs};
use protocol::venue::{Contract, Tiers, Venue};

use super::Origin;
use super::rules::Rules;
use super::told::Told;

/// Between single events farther apart than this, in seconds, it is not known whether anybody watched.
const UNWATCHED: i64 = 86_400;
/// How near a price orders must be to count as depth.
const NEAR: f64 = 0.01;

/// One contract, or what a dataset has of one coin under one venue.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// What it is called in series and sentences.
    pub name: Arc<str>,
    pub origin: Origin,
    /// By whose rules it liquidates.
    pub venue: Venue,
    pub contract: Contract,
    /// How its inputs are known.
    pub standing: Standing,
    /// Seconds of a candle; 0 where there is none.
    pub interval: i64,
    pub priced: Priced,
    /// In time's order, with open interest and turnover.
    pub candles: Vec<Candle>,
    /// What was liquidated in a candle, by its beginning: longs and shorts, in US dollars.
    pub liquidated: BTreeMap<i64, [f64; 2]>,
    /// Funding by moment: the rate, and the hours it is for.
    pub funding: BTreeMap<i64, (f64, f64)>,
    /// Open interest in coins by moment, one-sided.
    pub open_interest: BTreeMap<i64, f64>,
    /// Whether candles have the open interest of the present alone, supposed for all times.
    pub is_open_interest_supposed: bool,
    /// Bids and asks within 1 % of the price, in US dollars, as far as the book was shown.
    pub depth: Option<f64>,
    /// The last price at which positions are valued.
    pub mark: Option<f64>,
    /// The contract's margin tiers, where known.
    pub tiers: Option<Tiers>,
    /// By which rules its liquidations came about, where somebody says other ones than its venue's.
    pub rules: Option<Rules>,
    /// What was told of it last.
    pub told: Told,
    /// Positions of all coins that the venue's accounts were seen with.
    pub positions: Vec<Observation>,
    /// What must be known about it, each a sentence.
    pub notes: Vec<String>,
}

/// A decimal as a float; none where it is too large for one.
pub(crate) fn float(value: Decimal) -> Option<f64> {
    f64::try_from(value).ok()
}

fn second(time: TimeUs) -> i64 {
    time.0.div_euclid(SECOND_US)
}

impl Source {
    /// Nothing yet.
    pub(crate) fn new(name: Arc<str>, origin: Origin, venue: Venue, standing: Standing) -> Self {
        Self {
            name,
            origin,
            venue,
            contract: if venue == Venue::BinanceCoinm { Contract::Inverse } else { Contract::Linear },
            standing,
            interval: 0,
            priced: Priced::Trades,
            candles: Vec::new(),
            liquidated: BTreeMap::new(),
            funding: BTreeMap::new(),
            open_interest: BTreeMap::new(),
            is_open_interest_supposed: false,
            depth: None,
            mark: None,
            tiers: None,
            rules: None,
            told: Told::default(),
            positions: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes observations, of which `is_it` are of the contract, no older than `window` before the newest candle.
    pub(crate) fn take(&mut self, rows: &[Observation], is_it: &dyn Fn(&Observation) -> bool, window: Option<i64>) {
        let own: Vec<&Observation> = rows.iter().filter(|row| is_it(row)).collect();
        self.positions = rows.iter().filter(|row| row.fact.kind() == Kind::Positions).cloned().collect();
        let mut distortions = Distortions::NONE;
        for row in &own {
            let bends = [Kind::OpenInterest, Kind::Liquidations].contains(&row.fact.kind());
            row.distortions.iter().filter(|_| bends).for_each(|one| distortions = distortions.with(one));
        }
        self.told = Told::of(&own);
        self.take_open_interest(&own);
        self.take_candles(&own, window);
        self.take_liquidations(&own);
        self.take_rest(&own);
        for distortion in distortions.iter() {
            self.notes.push(format!("{}: {}.", self.name, distortion.meaning()));
        }
    }

    /// The tiers as venues state them, for a contract.
    pub(crate) fn take_tiers(&mut self, rows: &[Observation], instrument: &Instrument) {
        let price = self.mark.and_then(|mark| Decimal::try_from(mark).ok());
        let table = |row: &Observation| {
            let Observed::Tiers(table) = &row.fact else { return None };
            if row.symbol == instrument.symbol { table.at(instrument, price?) } else { None }
        };
        self.tiers = rows.iter().rev().find_map(table);
        self.contract = instrument.contract;
    }

    fn take_open_interest(&mut self, own: &[&Observation]) {
        for row in own {
            if let Observed::OpenInterest(of) = &row.fact
                && let Some(coins) = float(of.coins)
            {
                self.open_interest.insert(second(row.time), coins);
            }
        }
    }

    fn take_candles(&mut self, own: &[&Observation], window: Option<i64>) {
        let candles = |series: Series| {
            own.iter().filter_map(move |row| {
                let Observed::Candle(of) = &row.fact else { return None };
                (of.series == series && of.finished).then_some((row.time, of))
            })
        };
        let mut lengths: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, candle) in candles(Series::Trade) {
            *lengths.entry(candle.interval).or_default() += 1;
        }
        let Some((length, _)) = lengths.iter().max_by_key(|(length, count)| (**count, -**length)) else { return };
        let length = *length;
        if lengths.len() > 1 {
            self.notes.push(format!(
                "{}: candles of other lengths than {} s are not used.",
                self.name,
                length / SECOND_US
            ));
        }
        let of_length = |series| candles(series).filter(move |(_, of)| of.interval == length);
        let trades: BTreeMap<i64, &perp::Candle> =
            of_length(Series::Trade).map(|(time, of)| (second(time), of)).collect();
        let marks: BTreeMap<i64, &perp::Candle> =
            of_length(Series::Mark).map(|(time, of)| (second(time), of)).collect();
        let is_marked = !trades.is_empty() && trades.keys().all(|time| marks.contains_key(time));
        self.priced = if is_marked { Priced::Mark } else { Priced::Trades };
        self.interval = length / SECOND_US;
        let newest = trades.keys().next_back().copied().unwrap_or(0);
        let oldest = window.map_or(i64::MIN, |window| newest.saturating_sub(window / SECOND_US));
        for (time, trade) in trades.range(oldest..) {
            let priced = marks.get(time).filter(|_| is_marked).unwrap_or(trade);
            self.candles.extend(self.candle(*time, priced, trade));
        }
        self.mark = self.candles.last().map(|candle| candle.close);
    }

    fn candle(&self, time: i64, priced: &perp::Candle, trade: &perp::Candle) -> Option<Candle> {
        let close = float(trade.close)?;
        let volume = trade.volume.and_then(float);
        let turnover = trade.turnover.and_then(float).or(volume.map(|volume| volume * close));
        let taker = trade.taker_buy.and_then(float);
        let taker_buy = match (taker, volume, turnover) {
            (Some(taker), Some(volume), Some(turnover)) if volume > 0.0 => Some(turnover * (taker / volume).min(1.0)),
            (Some(taker), ..) => Some(taker * close),
            (None, ..) => None,
        };
        // Open interest at the candle's end: the last that was stated in it.
        let within = self.open_interest.range(time.saturating_add(1)..=time.saturating_add(self.interval));
        Some(Candle {
            time,
            open: float(priced.open)?,
            high: float(priced.high)?,
            low: float(priced.low)?,
            close: float(priced.close)?,
            turnover,
            taker_buy,
            open_interest: within.last().map(|(_, coins)| *coins),
        })
    }

    fn take_liquidations(&mut self, own: &[&Observation]) {
        let Heard { events, mut unwatched, is_summed } = heard(own);
        let mut times: Vec<i64> = events.iter().map(|(time, ..)| *time).collect();
        times.sort_unstable();
        times.dedup();
        let (Some(first), Some(last)) = (times.first().copied(), times.last().copied()) else { return };
        if self.interval == 0 {
            return;
        }
        let apart = || times.windows(2).map(|pair| (pair[0], pair[1]));
        if is_summed {
            if let Some(length) = commonest(apart().map(|(a, b)| b.saturating_sub(a)), self.interval)
                && length != self.interval
            {
                self.notes.push(format!(
                    "{}: its liquidations are sums of {length} s and its candles are of {} s, so what was liquidated in a candle is \
                     not known; candles of {length} s would fit.",
                    self.name, self.interval
                ));
                return;
            }
        } else {
            // A candle between single events without one had none, as far as somebody watched.
            let covered =
                self.candles.iter().filter(|candle| candle.time >= first && candle.time + self.interval <= last);
            self.liquidated = covered.map(|candle| (candle.time, [0.0; 2])).collect();
            unwatched.extend(apart().filter(|(a, b)| b.saturating_sub(*a) > UNWATCHED));
        }
        let starts: Vec<i64> = self.candles.iter().map(|candle| candle.time).collect();
        for (time, side, usd) in events {
            let at = starts.partition_point(|start| *start <= time);
            let Some(start) = at.checked_sub(1).and_then(|at| starts.get(at)) else { continue };
            if time >= start + self.interval {
                continue;
            }
            if is_summed {
                self.liquidated.entry(*start).or_default()[side] += usd;
            } else if let Some(sums) = self.liquidated.get_mut(start) {
                sums[side] += usd;
            }
        }
        self.forget(&unwatched);
    }

    /// Leaves out candles that lie wholly or partly in stretches that nobody is known to have watched.
    fn forget(&mut self, unwatched: &[(i64, i64)]) {
        let before = self.liquidated.len();
        for (from, until) in unwatched.iter().filter(|(from, until)| from < until) {
            let touched = self.liquidated.range(from.saturating_sub(self.interval).saturating_add(1)..*until);
            let touched: Vec<i64> = touched.map(|(start, _)| *start).collect();
            for start in touched {
                self.liquidated.remove(&start);
            }
        }
        let unknown = before - self.liquidated.len();
        if unknown > 0 {
            self.notes.push(format!(
                "{}: what was liquidated in {unknown} candles is not known: nobody is known to have watched all of each.",
                self.name
            ));
        }
    }

    fn take_rest(&mut self, own: &[&Observation]) {
        for row in own {
            match &row.fact {
                Observed::Funding(of) if of.settled => {
                    #[expect(clippy::cast_precision_loss, reason = "hours of a rate are few")]
                    let hours = of.interval.map(|interval| interval as f64 / HOUR_US as f64);
                    if let (Some(rate), Some(hours)) = (float(of.rate), hours.filter(|hours| *hours > 0.0)) {
                        self.funding.insert(second(row.time), (rate, hours));
                    }
                }
                Observed::Price(of) => self.mark = of.mark.and_then(float).or(self.mark),
                Observed::Depth(of) => self.depth = near(&of.bids, &of.asks),
                Observed::Funding(_)
                | Observed::Candle(_)
                | Observed::OpenInterest(_)
                | Observed::Liquidation(_)
                | Observed::Tiers(_)
                | Observed::Position(_)
                | Observed::Gap(_) => {}
            }
        }
    }
}

/// What was heard of liquidations.
struct Heard {
    /// When, on which side, and US dollars.
    events: Vec<(i64, usize, f64)>,
    /// Stretches in which some may not have been heard.
    unwatched: Vec<(i64, i64)>,
    /// Whether they are sums of stretches of time.
    is_summed: bool,
}

fn heard(own: &[&Observation]) -> Heard {
    let mut heard = Heard { events: Vec::new(), unwatched: Vec::new(), is_summed: false };
    for row in own {
        if let Observed::Liquidation(of) = &row.fact {
            heard.is_summed |= row.distortions.has(Distortion::Summed);
            let usd = of.usd.and_then(float).or_else(|| Some(float(of.coins)? * float(of.price)?));
            let side = engine::map::perps::estimated::place(of.side);
            heard.events.extend(usd.map(|usd| (second(row.time), side, usd)));
        }
        if let Observed::Gap(of) = &row.fact
            && of.kinds.contains(&Kind::Liquidations)
        {
            // Whole seconds, so that none of it is taken for watched.
            let until = second(TimeUs(of.until.0.saturating_add(SECOND_US - 1)));
            heard.unwatched.push((second(row.time), until));
        }
    }
    heard
}

/// The commonest of lengths, and among equals the one that is expected, then the shortest.
fn commonest(lengths: impl Iterator<Item = i64>, expected: i64) -> Option<i64> {
    let mut counts: BTreeMap<i64, usize> = BTreeMap::new();
    lengths.for_each(|length| *counts.entry(length).or_default() += 1);
    let best = counts.into_iter().max_by_key(|(length, count)| (*count, *length == expected, -length));
    best.map(|(length, _)| length)
}

/// What rests within 1 % of the middle, in US dollars.
fn near(bids: &[Level], asks: &[Level]) -> Option<f64> {
    let middle = f64::midpoint(float(bids.first()?.price)?, float(asks.first()?.price)?);
    let usd = |level: &Level| {
        let price = float(level.price)?;
        ((price / middle - 1.0).abs() <= NEAR).then_some(price * float(level.coins)?)
    };
    Some(bids.iter().chain(asks).filter_map(usd).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::perp::{Gap, GapCause, PricedAt};
    use protocol::venue::Side;

    const HOUR: i64 = 3_600;

    fn row(second: i64, distortions: Distortions, fact: Observed) -> Observation {
        let time = TimeUs(second * SECOND_US);
        Observation { venue: Venue::Bybit, symbol: "BTC".into(), time, received: time, distortions, fact }
    }

    /// What is known of candles of an hour when liquidations of 100 dollars are told at these seconds, and these gaps.
    fn known(events: &[i64], distortions: Distortions, gaps: &[(i64, i64)]) -> Source {
        let mut source = Source::new("test".into(), Origin::Venues, Venue::Bybit, Standing::Observed);
        source.interval = HOUR;
        let candle = |at: i64| Candle {
            time: at * HOUR,
            open: 100.0,
            high: 100.0,
            low: 100.0,
            close: 100.0,
            turnover: None,
            taker_buy: None,
            open_interest: None,
        };
        source.candles = (0..100).map(candle).collect();
        let mut rows: Vec<_> = events.iter().map(|at| row(*at, distortions, liquidation())).collect();
        rows.extend(gaps.iter().map(|(from, until)| {
            let (until, kinds) = (TimeUs(until * SECOND_US), vec![Kind::Liquidations]);
            row(*from, Distortions::NONE, Observed::Gap(Gap { until, cause: GapCause::Silent, kinds }))
        }));
        source.take_liquidations(&rows.iter().collect::<Vec<_>>());
        source
    }

    fn liquidation() -> Observed {
        Observed::Liquidation(perp::Liquidation {
            side: Side::Long,
            coins: Decimal::ONE,
            price: Decimal::from(100),
            priced_at: PricedAt::Average,
            usd: None,
            ordinal: 0,
        })
    }

    #[test]
    fn hours_that_nobody_watched_are_unknown_and_not_zero() {
        let half = HOUR / 2;
        let hours = |source: &Source| source.liquidated.keys().map(|start| start / HOUR).collect::<Vec<_>>();
        // Watched from the first to the last event: whole hours between them, of which one had an event.
        let source = known(&[half, 3 * HOUR + half, 6 * HOUR + half], Distortions::NONE, &[]);
        assert_eq!(hours(&source), [1, 2, 3, 4, 5]);
        assert_eq!((source.liquidated[&(2 * HOUR)], source.liquidated[&(3 * HOUR)]), ([0.0; 2], [100.0, 0.0]));
        // More than a day without an event.
        let source = known(&[half, 3 * HOUR + half, 30 * HOUR + half, 32 * HOUR], Distortions::NONE, &[]);
        assert_eq!(hours(&source), [1, 2, 31]);
        assert!(source.notes[0].contains("28 candles"), "{:?}", source.notes);
        // A gap, even of a second, and one that ends before it begins.
        let gaps = [(2 * HOUR, 2 * HOUR + 1), (4 * HOUR + half, 5 * HOUR), (9 * HOUR, 0)];
        let source = known(&[half, 6 * HOUR + half], Distortions::NONE, &gaps);
        assert_eq!(hours(&source), [1, 3, 5]);
    }

    #[test]
    fn sums_are_used_where_they_are_of_a_candles_length() {
        let summed = Distortions::NONE.with(Distortion::Summed);
        for (apart, is_used) in [(HOUR, true), (8 * HOUR, false), (HOUR / 60, false)] {
            let times: Vec<i64> = (0..10).map(|at| at * apart).collect();
            let source = known(&times, summed, &[]);
            assert_eq!(
                (source.liquidated.len(), source.notes.len()),
                if is_used { (10, 0) } else { (0, 1) },
                "{apart}"
            );
        }
        // Hours without a sum are not told of.
        assert_eq!(known(&[0, HOUR, 2 * HOUR, 9 * HOUR], summed, &[]).liquidated.len(), 4);
    }
}
