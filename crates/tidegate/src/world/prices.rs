//! Prices by the hour: a common market with calm and rough weeks, a handful of shocks, and what each asset adds.

use protocol::time::{HOUR_US, TimeUs};

use super::chance::Chance;

/// The first hour: 2024-07-01.
pub(crate) const START: TimeUs = TimeUs(1_719_792_000_000_000);
/// Hours in the world: two years, to the end of 2026-06-30.
pub(crate) const HOURS: usize = 730 * 24;

/// One US dollar in the scale of prices.
const DOLLAR: u64 = 100_000_000;
/// One, in parts per million.
const PPM: i64 = 1_000_000;
/// Hours between two points that an asset's price is drawn towards.
const ANCHOR_HOURS: usize = 2_190;
/// The part of its distance from there that a price makes up in an hour.
const PULL: i64 = 500;

/// Streams of chance below a world's prices.
const MARKET: u64 = 0;
const WEEKS: u64 = 1;
const SHOCKS: u64 = 2;
const ANCHORS: u64 = 3;
const OWN: u64 = 16;

/// What a token's price follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Asset {
    Ether,
    StakedEther,
    Bitcoin,
    Chainlink,
    Aave,
    Pol,
    Avax,
    Arb,
    Op,
    Usdc,
    Usdt,
    Dai,
}

impl Asset {
    const ALL: [Self; 12] = [
        Self::Ether,
        Self::StakedEther,
        Self::Bitcoin,
        Self::Chainlink,
        Self::Aave,
        Self::Pol,
        Self::Avax,
        Self::Arb,
        Self::Op,
        Self::Usdc,
        Self::Usdt,
        Self::Dai,
    ];

    /// How its price begins and moves.
    const fn temper(self) -> Temper {
        match self {
            Self::Ether | Self::StakedEther => Temper::moves(3_400 * DOLLAR, 100, 1_200),
            Self::Bitcoin => Temper::moves(62_000 * DOLLAR, 75, 1_200),
            Self::Chainlink => Temper::moves(14 * DOLLAR, 115, 2_600),
            Self::Aave => Temper::moves(95 * DOLLAR, 120, 2_600),
            Self::Pol => Temper::moves(55_000_000, 115, 2_400),
            Self::Avax => Temper::moves(27 * DOLLAR, 115, 2_400),
            Self::Arb => Temper::moves(80_000_000, 125, 2_800),
            Self::Op => Temper::moves(170_000_000, 125, 2_800),
            Self::Usdc | Self::Usdt | Self::Dai => Temper::Pegged,
        }
    }
}

/// How a price moves.
#[derive(Debug, Clone, Copy)]
enum Temper {
    /// Around one dollar.
    Pegged,
    /// With the market, and on its own.
    Moves {
        /// The first price.
        start_usd8: u64,
        /// How much of the market's move it makes, in per cent.
        beta_percent: i64,
        /// The deviation of its own hourly move, in parts per million.
        own_ppm: i64,
    },
}

impl Temper {
    const fn moves(start_usd8: u64, beta_percent: i64, own_ppm: i64) -> Self {
        Self::Moves { start_usd8, beta_percent, own_ppm }
    }
}

/// A shock to the whole market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shock {
    /// What this world calls it.
    pub name: &'static str,
    /// Its first hour.
    pub start: usize,
    /// How many hours it lasts.
    pub hours: usize,
    /// By how much the market falls, in parts per million, before chance.
    depth_ppm: i64,
}

impl Shock {
    const NAMES: [&'static str; 6] = ["Amber", "Basalt", "Cinder", "Drift", "Ember", "Flint"];

    /// One in every sixth of the two years.
    fn all(chance: Chance) -> Vec<Self> {
        let shock = |(slot, name): (u64, &'static str)| {
            let draw = |what: u64, from, to| chance.between(4 * slot + what, from, to);
            let hours = draw(1, 8, 40);
            Self {
                name,
                start: small(slot * 2_920 + draw(0, 900, 2_600)),
                hours: small(hours),
                depth_ppm: draw(2, 150_000, 330_000).cast_signed(),
            }
        };
        (0..).zip(Self::NAMES).map(shock).collect()
    }

    /// When it begins.
    pub(crate) fn begins(&self) -> TimeUs {
        time_of(self.start)
    }

    /// Its part of the market's move in an hour: steepest at first, then easing off.
    fn move_ppm(&self, hour: usize) -> Option<i64> {
        let passed = hour.checked_sub(self.start).filter(|passed| *passed < self.hours)?;
        let hours = whole(self.hours);
        Some(-self.depth_ppm * 2 * (hours - whole(passed)) / (hours * (hours + 1)))
    }
}

/// Every asset's price in every hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prices {
    series: Vec<Vec<u64>>,
    /// What shook them.
    pub shocks: Vec<Shock>,
}

impl Prices {
    /// The prices of a world.
    pub(crate) fn of(chance: Chance) -> Self {
        let shocks = Shock::all(chance.stream(SHOCKS));
        let market = Market::of(chance, &shocks);
        let mut series: Vec<Vec<u64>> = Asset::ALL.map(|asset| market.path(asset, chance)).into();
        // A staked ether is worth an ether and what it has earned: 1.17 ether at first, 1.23 at the end.
        series[Asset::StakedEther as usize] = (0_u64..)
            .zip(&series[Asset::Ether as usize])
            .map(|(hour, ether)| ether * (1_170_000 + hour * 60_000 / HOURS as u64) / 1_000_000)
            .collect();
        Self { series, shocks }
    }

    /// A price, in US dollars of eight decimals.
    pub(crate) fn usd8(&self, asset: Asset, hour: usize) -> u64 {
        self.series[asset as usize][hour]
    }

    /// All prices of an asset.
    pub(crate) fn path(&self, asset: Asset) -> &[u64] {
        &self.series[asset as usize]
    }

    /// By how much ether fell in a shock, from the hour before it to its lowest, in parts per million.
    pub(crate) fn fall_ppm(&self, shock: &Shock) -> u64 {
        let path = self.path(Asset::Ether);
        let before = path[shock.start - 1];
        let lowest = path[shock.start..shock.start + shock.hours].iter().min();
        lowest.map_or(0, |lowest| before.saturating_sub(*lowest) * 1_000_000 / before)
    }
}

/// The beginning of an hour.
pub(crate) fn time_of(hour: usize) -> TimeUs {
    TimeUs(START.0 + whole(hour) * HOUR_US)
}

/// The move that all assets share, hour by hour.
struct Market {
    /// In parts per million, and whether the hour belongs to a shock.
    moves: Vec<(i64, bool)>,
}

impl Market {
    fn of(chance: Chance, shocks: &[Shock]) -> Self {
        let (hours, weeks) = (chance.stream(MARKET), chance.stream(WEEKS));
        let hour_move = |hour: usize| {
            // Calm and rough weeks: the hourly deviation is 0.15 % to 0.45 %, and more in a shock.
            let deviation = weeks.between(hour as u64 / 168, 1_500, 4_500).cast_signed();
            let shock = shocks.iter().find_map(|shock| shock.move_ppm(hour));
            let rough = if shock.is_some() { 2 } else { 1 };
            let noise = hours.normal_milli(hour as u64) * deviation * rough / 1_000;
            (noise + shock.unwrap_or(0), shock.is_some())
        };
        Self { moves: (0..HOURS).map(hour_move).collect() }
    }

    fn path(&self, asset: Asset, chance: Chance) -> Vec<u64> {
        let own = chance.stream(OWN + asset as u64);
        let Temper::Moves { start_usd8, beta_percent, own_ppm } = asset.temper() else {
            // Within five hundredths of a per cent of a dollar.
            return (0..HOURS as u64).map(|hour| DOLLAR - 50_000 + own.below(hour, 100_000)).collect();
        };
        let start = start_usd8.cast_signed();
        let anchors = chance.stream(ANCHORS).stream(asset as u64);
        let mut price = start;
        let mut path = Vec::with_capacity(HOURS);
        for (hour, (market, shocked)) in self.moves.iter().enumerate() {
            let anchor = anchor(anchors, start, hour);
            let pull = if *shocked { 0 } else { ((anchor - price) * PPM / price / PULL).clamp(-1_500, 1_500) };
            let change = market * beta_percent / 100 + own.normal_milli(hour as u64) * own_ppm / 1_000 + pull;
            price = price * (PPM + change.clamp(-300_000, 300_000)) / PPM;
            path.push(price.cast_unsigned());
        }
        path
    }
}

/// Where a price is drawn to in an hour: on a line between points, one a quarter, 70 % to 140 % of the first price.
fn anchor(chance: Chance, start: i64, hour: usize) -> i64 {
    let point = |quarter: usize| match quarter {
        0 => 100,
        _ => chance.between(quarter as u64, 70, 140).cast_signed(),
    };
    let (quarter, into) = (hour / ANCHOR_HOURS, whole(hour % ANCHOR_HOURS));
    let (from, to) = (point(quarter), point(quarter + 1));
    start / 100 * (from * whole(ANCHOR_HOURS) + (to - from) * into) / whole(ANCHOR_HOURS)
}

fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_stay_within_reason_and_every_shock_is_one() {
        for seed in 1..=5 {
            let prices = Prices::of(Chance::new(seed));
            for asset in Asset::ALL {
                let path = prices.path(asset);
                let (low, high) = (path.iter().min().unwrap(), path.iter().max().unwrap());
                assert_eq!(path.len(), HOURS);
                assert!(*low > 0 && high / low < 8, "{asset:?}: {low} to {high}");
            }
            assert!(prices.shocks.iter().all(|shock| prices.fall_ppm(shock) > 80_000));
            assert!(prices.shocks.windows(2).all(|two| two[0].start + 72 < two[1].start));
        }
    }

    #[test]
    fn the_world_is_two_years_of_hours() {
        assert_eq!(time_of(0).to_string(), "2024-07-01T00:00:00Z");
        assert_eq!(time_of(HOURS).to_string(), "2026-07-01T00:00:00Z");
    }
}
