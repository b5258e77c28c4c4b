//! Observations of one contract as the engine's inputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::map::perps::estimated::{Candle, Priced};
use protocol::Decimal;
use protocol::perp::{self, Distortion, Distortions, Instrument, Kind, Level, Observation, Observed, Series};
use protocol::standing::Standing;
use protocol::time::{HOUR_US, SECOND_US};
use protocol::venue::{Contract, Tiers, Venue};

use super::Origin;

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
    /// Bids and asks within 1 % of the price, in US dollars, as far as the book was shown.
    pub depth: Option<f64>,
    /// The last price at which positions are valued.
    pub mark: Option<f64>,
    /// The contract's margin tiers, where known.
    pub tiers: Option<Tiers>,
    /// Positions of all coins that the venue's accounts were seen with.
    pub positions: Vec<Observation>,
    /// What must be known about it, each a sentence.
    pub notes: Vec<String>,
}

/// A decimal as a float; none where it is too large for one.
pub(crate) fn float(value: Decimal) -> Option<f64> {
    f64::try_from(value).ok()
}

fn second(time: protocol::time::TimeUs) -> i64 {
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
            depth: None,
            mark: None,
            tiers: None,
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
        let mut events: Vec<(i64, usize, f64)> = Vec::new();
        let mut is_summed = false;
        for row in own {
            let Observed::Liquidation(of) = &row.fact else { continue };
            is_summed |= row.distortions.has(Distortion::Summed);
            let usd = of.usd.and_then(float).or_else(|| Some(float(of.coins)? * float(of.price)?));
            let side = engine::map::perps::estimated::place(of.side);
            events.extend(usd.map(|usd| (second(row.time), side, usd)));
        }
        let (Some(first), Some(last)) =
            (events.iter().map(|(time, ..)| *time).min(), events.iter().map(|(time, ..)| *time).max())
        else {
            return;
        };
        if self.interval == 0 {
            return;
        }
        if !is_summed {
            // Where single events are told, a candle between them without one had none.
            let covered =
                self.candles.iter().filter(|candle| candle.time >= first && candle.time + self.interval <= last);
            self.liquidated = covered.map(|candle| (candle.time, [0.0; 2])).collect();
        }
        let starts: Vec<i64> = self.candles.iter().map(|candle| candle.time).collect();
        for (time, side, usd) in events {
            let at = starts.partition_point(|start| *start <= time);
            let Some(start) = at.checked_sub(1).and_then(|at| starts.get(at)) else { continue };
            if time < start + self.interval {
                self.liquidated.entry(*start).or_default()[side] += usd;
            }
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

/// What rests within 1 % of the middle, in US dollars.
fn near(bids: &[Level], asks: &[Level]) -> Option<f64> {
    let middle = f64::midpoint(float(bids.first()?.price)?, float(asks.first()?.price)?);
    let usd = |level: &Level| {
        let price = float(level.price)?;
        ((price / middle - 1.0).abs() <= NEAR).then_some(price * float(level.coins)?)
    };
    Some(bids.iter().chain(asks).filter_map(usd).sum())
}
