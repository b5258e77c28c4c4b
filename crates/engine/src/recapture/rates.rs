//! How much of the bonus was recaptured: of all liquidations, of those an auction was held for, of the volume; in groups.
//!
//! A rate is never a bare number: it is a [`Ratio`], which holds what it is a part of. Three rates go by the same name elsewhere, so each is
//! called by its denominator: `recaptured / all bonuses = recaptured / routed bonuses * routed bonuses / all bonuses` (coverage), which
//! holds by construction, because the same sums stand in all three.
//!
//! What is not known makes rates bounds, never zeros: where a payment of an auctioned bonus is not known, what was recaptured is at least
//! what stands there ([`Sums::bonus_payment_unknown`]); where it is not known whether an auction was held, coverage is at least and at
//! most what [`Rates`] say.
//!
//! Everything added up is an integer, so neither the order of rows nor how they are divided matters.

use std::collections::BTreeMap;

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{HOUR_US, TimeUs};
use protocol::{Address, U256};

use super::row::{Route, Row};
use super::split::TooLarge;
use crate::liquidations::SizeClass;
use crate::liquidations::group::{month_start, week_start};

/// What rates are made of: one liquidation, from chain logs or somebody's record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When; the beginning of its day where the source knows no more.
    pub time: TimeUs,
    /// Its chain.
    pub chain: ChainId,
    /// The market.
    pub market: String,
    /// The aggregator whose price made it possible, where known.
    pub feed: Option<Address>,
    /// How it came about.
    pub route: Route,
    /// Who took it, where known.
    pub searcher: Option<Address>,
    /// What was seized in US dollars.
    pub volume: Option<Usd8>,
    /// What was seized beyond what was repaid, in US dollars.
    pub bonus: Option<Usd8>,
    /// What of the bonus the protocol kept as its fee, in US dollars.
    pub protocol_fee: Option<Usd8>,
    /// What came to protocol and network together; none where there was no payment or it has no value in dollars.
    pub recaptured: Option<Usd8>,
    /// The protocol's part of that.
    pub protocol: Option<Usd8>,
    /// The network's part of that.
    pub network: Option<Usd8>,
    /// How the weakest of these is known.
    pub standing: Standing,
}

impl Record {
    /// A row of the ledger of values. What was recaptured is known as its payment is, whatever the bid is estimated to have been.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        let dollars = row.dollars();
        let bonus = row.value.map(|value| value.standing);
        Self {
            time: TimeUs(i64::try_from(row.time).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
            chain: row.chain,
            market: row.market.clone(),
            feed: row.aggregator,
            route: row.route,
            searcher: Some(row.liquidator),
            volume: row.value.map(|value| value.collateral),
            bonus: row.value.map(|value| value.bonus),
            protocol_fee: row.value.map(|value| value.protocol_fee),
            recaptured: dollars.map(|dollars| dollars.recaptured),
            protocol: dollars.map(|dollars| dollars.protocol),
            network: dollars.map(|dollars| dollars.network),
            standing: bonus.unwrap_or(Standing::Exact),
        }
    }
}

/// Sums over records. Dollars have eight decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Liquidations.
    pub count: u64,
    /// Those whose bonus is not known; they are in no sum but those of counts and [`Sums::recaptured_beside`].
    pub without_bonus: u64,
    /// Those that were paid for and whose payment has no value in dollars.
    pub without_payment: u64,
    /// Those whose volume is not known.
    pub without_volume: u64,
    /// What was seized.
    pub volume: i128,
    /// What was seized in those of which the bonus is known too, the base of a rate by volume.
    pub volume_with_bonus: i128,
    /// Gross bonuses.
    pub bonus: i128,
    /// Of these, bonuses an auction was held for whose payment is not known, or has no value in dollars.
    pub bonus_payment_unknown: i128,
    /// The protocol's fees on bonuses; where the source gives none, nothing is taken off.
    pub fee: i128,
    /// Of how many the protocol's fee is not known.
    pub without_fee: u64,
    /// What was recaptured of those bonuses.
    pub recaptured: i128,
    /// Of this, what was recaptured where the volume is known too: the part of a rate by volume.
    pub recaptured_with_volume: i128,
    /// The protocol's part.
    pub protocol: i128,
    /// The network's part.
    pub network: i128,
    /// What was recaptured where the bonus is not known.
    pub recaptured_beside: i128,
    /// Counts and sums by route, in the order of [`Route::ALL`].
    pub routes: [RouteSums; Route::ALL.len()],
    /// The first and the last moment, in microseconds since 1970; none without records.
    pub span: Option<(i64, i64)>,
    /// How the weakest figure is known; none without records.
    pub standing: Option<Standing>,
}

/// Sums over the records of one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteSums {
    /// Liquidations.
    pub count: u64,
    /// Gross bonuses, where known.
    pub bonus: i128,
    /// The protocol's fees on them.
    pub fee: i128,
}

/// A part, and the whole it is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ratio {
    /// The part in US dollars.
    pub part: Usd8,
    /// The whole in US dollars.
    pub whole: Usd8,
}

impl Ratio {
    /// The ratio in parts per million, rounded half up; none where the whole is not above nothing, or it does not fit.
    #[must_use]
    pub fn ppm(self) -> Option<i64> {
        if self.whole.0 <= 0 {
            return None;
        }
        let scaled = self.part.0.checked_mul(2_000_000)?.checked_add(self.whole.0)?;
        i64::try_from(scaled.div_euclid(self.whole.0.checked_mul(2)?)).ok()
    }
}

/// Rates, each with its denominator; `net` ones are of bonuses without the protocol's fee, what a searcher could take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Recaptured of all bonuses.
    pub of_all: Ratio,
    /// Recaptured of the bonuses an auction was held for.
    pub of_routed: Ratio,
    /// Bonuses an auction was held for, of all bonuses: the least where it is not known of some.
    pub coverage: Ratio,
    /// The same with those of which it is not known: the most.
    pub coverage_at_most: Ratio,
    /// Recaptured of what was seized.
    pub of_volume: Ratio,
    /// Recaptured of all bonuses without the protocol's fee.
    pub net_of_all: Ratio,
    /// Recaptured of the bonuses an auction was held for without the protocol's fee.
    pub net_of_routed: Ratio,
    /// Bonuses taken after the cutoff, of all bonuses for which an auction could have been held.
    pub fallback: Ratio,
}

impl Sums {
    /// Adds a record.
    ///
    /// # Errors
    /// A sum leaves 128 bits; what was added up is then not to be used.
    pub fn add(&mut self, record: &Record) -> Result<(), TooLarge> {
        let dollars = |usd: Option<Usd8>| usd.map_or(0, |usd| usd.0);
        self.count += 1;
        let time = record.time.0;
        self.span = Some(self.span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        self.standing = self.standing.max(Some(record.standing));
        self.without_volume += u64::from(record.volume.is_none());
        self.without_payment += u64::from(record.route == Route::Paid && record.recaptured.is_none());
        plus(&mut self.volume, dollars(record.volume))?;
        let route = &mut self.routes[record.route.place()];
        route.count += 1;
        let Some(bonus) = record.bonus else {
            self.without_bonus += 1;
            return plus(&mut self.recaptured_beside, dollars(record.recaptured));
        };
        let fee = dollars(record.protocol_fee);
        self.without_fee += u64::from(record.protocol_fee.is_none());
        plus(&mut route.bonus, bonus.0)?;
        plus(&mut route.fee, fee)?;
        let is_payment_unknown = match record.route {
            Route::PaymentUnknown => true,
            Route::Paid => record.recaptured.is_none(),
            Route::Unpaid
            | Route::Leaked
            | Route::Landed
            | Route::Fallback
            | Route::OtherFeed
            | Route::NoPrice
            | Route::NotAuctioned
            | Route::Unknown => false,
        };
        let recaptured = dollars(record.recaptured);
        for (sum, term) in [
            (&mut self.bonus, bonus.0),
            (&mut self.bonus_payment_unknown, if is_payment_unknown { bonus.0 } else { 0 }),
            (&mut self.fee, fee),
            (&mut self.volume_with_bonus, dollars(record.volume)),
            (&mut self.recaptured, recaptured),
            (&mut self.recaptured_with_volume, if record.volume.is_some() { recaptured } else { 0 }),
            (&mut self.protocol, dollars(record.protocol)),
            (&mut self.network, dollars(record.network)),
        ] {
            plus(sum, term)?;
        }
        Ok(())
    }

    /// Adds another's sums.
    ///
    /// # Errors
    /// A sum leaves 128 bits.
    pub fn merge(&mut self, other: &Self) -> Result<(), TooLarge> {
        self.count += other.count;
        self.without_bonus += other.without_bonus;
        self.without_payment += other.without_payment;
        self.without_volume += other.without_volume;
        self.without_fee += other.without_fee;
        for (sum, term) in [
            (&mut self.volume, other.volume),
            (&mut self.volume_with_bonus, other.volume_with_bonus),
            (&mut self.bonus, other.bonus),
            (&mut self.bonus_payment_unknown, other.bonus_payment_unknown),
            (&mut self.fee, other.fee),
            (&mut self.recaptured, other.recaptured),
            (&mut self.recaptured_with_volume, other.recaptured_with_volume),
            (&mut self.protocol, other.protocol),
            (&mut self.network, other.network),
            (&mut self.recaptured_beside, other.recaptured_beside),
        ] {
            plus(sum, term)?;
        }
        for (route, more) in self.routes.iter_mut().zip(&other.routes) {
            route.count += more.count;
            plus(&mut route.bonus, more.bonus)?;
            plus(&mut route.fee, more.fee)?;
        }
        self.standing = self.standing.max(other.standing);
        self.span = match (self.span, other.span) {
            (Some((from, to)), Some((other_from, other_to))) => Some((from.min(other_from), to.max(other_to))),
            (span, other) => span.or(other),
        };
        Ok(())
    }

    /// The sums of some routes.
    #[must_use]
    pub fn of(&self, routes: &[Route]) -> RouteSums {
        let sums = routes.iter().map(|route| self.routes[route.place()]);
        sums.fold(RouteSums::default(), |sum, route| RouteSums {
            count: sum.count + route.count,
            bonus: sum.bonus.saturating_add(route.bonus),
            fee: sum.fee.saturating_add(route.fee),
        })
    }

    /// Whether of every auctioned liquidation it is known, in dollars, what was paid.
    #[must_use]
    pub fn is_payment_known(&self) -> bool {
        self.of(&[Route::PaymentUnknown]).count == 0 && self.without_payment == 0
    }

    /// What an auction could have been held for, and nobody paid: gross bonuses that were unpaid, leaked, landed before or fell back.
    #[must_use]
    pub fn missed(&self) -> RouteSums {
        self.of(&[Route::Unpaid, Route::Leaked, Route::Landed, Route::Fallback])
    }

    /// The rates.
    #[must_use]
    pub fn rates(&self) -> Rates {
        let ratio = |part: i128, whole: i128| Ratio { part: Usd8(part), whole: Usd8(whole) };
        let routed = self.of(&Route::ROUTED);
        let possible = self.of(&[Route::ROUTED.as_slice(), &[Route::Leaked, Route::Landed, Route::Fallback]].concat());
        let unknown = self.of(&[Route::Unknown]);
        let rates = Rates {
            of_all: ratio(self.recaptured, self.bonus),
            of_routed: ratio(self.recaptured, routed.bonus),
            coverage: ratio(routed.bonus, self.bonus),
            coverage_at_most: ratio(routed.bonus.saturating_add(unknown.bonus), self.bonus),
            of_volume: ratio(self.recaptured_with_volume, self.volume_with_bonus),
            net_of_all: ratio(self.recaptured, self.bonus.saturating_sub(self.fee)),
            net_of_routed: ratio(self.recaptured, routed.bonus.saturating_sub(routed.fee)),
            fallback: ratio(self.of(&[Route::Fallback]).bonus, possible.bonus),
        };
        assert!(rates.is_consistent(), "the rates are made of the same sums");
        rates
    }
}

impl Rates {
    /// `recaptured / all = recaptured / routed * routed / all`, as fractions: numerators and denominators cancel.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.of_all.part == self.of_routed.part
            && self.of_routed.whole == self.coverage.part
            && self.coverage.whole == self.of_all.whole
    }
}

fn plus(sum: &mut i128, term: i128) -> Result<(), TooLarge> {
    *sum = sum.checked_add(term).ok_or(TooLarge)?;
    Ok(())
}

/// By what records are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum By {
    /// The aggregator.
    Feed,
    /// The market.
    Market,
    /// The chain.
    Chain,
    /// The hour, in UTC.
    Hour,
    /// The week beginning on Monday, in UTC.
    Week,
    /// The month, in UTC.
    Month,
    /// The class of what was seized.
    Size,
    /// How it came about.
    Route,
    /// Who took it.
    Searcher,
}

/// One of the things that tell a group apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A chain.
    Chain(ChainId),
    /// The beginning of a stretch of time.
    Time(TimeUs),
    /// A class of sizes.
    Size(SizeClass),
    /// A route.
    Route(Route),
    /// A market.
    Market(String),
    /// An aggregator or a searcher; none where not known.
    Account(Option<Address>),
}

impl By {
    fn key(self, record: &Record) -> Key {
        let hour = |time: TimeUs| TimeUs(time.0.div_euclid(HOUR_US).saturating_mul(HOUR_US));
        match self {
            Self::Feed => Key::Account(record.feed),
            Self::Market => Key::Market(record.market.clone()),
            Self::Chain => Key::Chain(record.chain),
            Self::Hour => Key::Time(hour(record.time)),
            Self::Week => Key::Time(week_start(record.time)),
            Self::Month => Key::Time(month_start(record.time)),
            Self::Size => Key::Size(SizeClass::of(record.volume.map(|usd| usd.0))),
            Self::Route => Key::Route(record.route),
            Self::Searcher => Key::Account(record.searcher),
        }
    }
}

/// Records in groups.
#[derive(Debug, Clone)]
pub struct Fold {
    by: Vec<By>,
    groups: BTreeMap<Vec<Key>, Sums>,
    total: Sums,
    searchers: Searchers,
}

/// The most groups that are held; more means grouping by something nearly unique.
pub const MOST_GROUPS: usize = 1_000_000;

/// Why a fold stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// A sum left 128 bits: some record holds an absurd value.
    TooLarge,
    /// More than [`MOST_GROUPS`] groups or searchers.
    TooManyGroups,
}

impl From<TooLarge> for Stopped {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl Fold {
    /// No records yet.
    #[must_use]
    pub fn new(by: &[By]) -> Self {
        Self { by: by.to_vec(), groups: BTreeMap::new(), total: Sums::default(), searchers: Searchers::default() }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// A sum or the number of groups is beyond its bound; what was folded is then not to be used.
    pub fn add(&mut self, record: &Record) -> Result<(), Stopped> {
        let key: Vec<Key> = self.by.iter().map(|by| by.key(record)).collect();
        if self.groups.len() >= MOST_GROUPS && !self.groups.contains_key(&key) {
            return Err(Stopped::TooManyGroups);
        }
        self.groups.entry(key).or_default().add(record)?;
        self.total.add(record)?;
        self.searchers.add(record)
    }

    /// The groups, sorted by what tells them apart.
    #[must_use]
    pub const fn groups(&self) -> &BTreeMap<Vec<Key>, Sums> {
        &self.groups
    }

    /// The sums over everything.
    #[must_use]
    pub const fn total(&self) -> &Sums {
        &self.total
    }

    /// Who took the bonuses.
    #[must_use]
    pub const fn searchers(&self) -> &Searchers {
        &self.searchers
    }
}

/// Who took how much of the bonuses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Searchers {
    bonuses: BTreeMap<Address, u128>,
    unnamed: u64,
}

/// How concentrated searchers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concentration {
    /// How many took something.
    pub searchers: u64,
    /// The Herfindahl-Hirschman index `10^4 * sum(b_i^2) / sum(b_i)^2`, rounded down: 10,000 is one searcher alone.
    pub index: u32,
    /// The largest searcher's bonuses of all.
    pub largest: Ratio,
    /// Liquidations whose searcher is not known; they are left out.
    pub unnamed: u64,
}

impl Searchers {
    fn add(&mut self, record: &Record) -> Result<(), Stopped> {
        let Some(searcher) = record.searcher else {
            self.unnamed += 1;
            return Ok(());
        };
        if self.bonuses.len() >= MOST_GROUPS && !self.bonuses.contains_key(&searcher) {
            return Err(Stopped::TooManyGroups);
        }
        let bonus = record.bonus.and_then(|usd| u128::try_from(usd.0).ok()).unwrap_or(0);
        let sum = self.bonuses.entry(searcher).or_default();
        *sum = sum.checked_add(bonus).ok_or(Stopped::TooLarge)?;
        Ok(())
    }

    /// The index over bonuses; none where no named searcher took a known bonus, or the sum is beyond 2^120.
    #[must_use]
    pub fn concentration(&self) -> Option<Concentration> {
        let sum = self.bonuses.values().try_fold(0_u128, |sum, bonus| sum.checked_add(*bonus))?;
        if sum == 0 || sum >= 1 << 120 {
            return None;
        }
        // At most 2^240, and times 10^4 below 2^254.
        let square = |value: u128| U256::from(value).saturating_mul(U256::from(value));
        let squares = self.bonuses.values().fold(U256::ZERO, |all, bonus| all.saturating_add(square(*bonus)));
        let index = squares.saturating_mul(U256::from(10_000_u32)).checked_div(square(sum))?;
        let usd = |value: u128| i128::try_from(value).ok().map(Usd8);
        Some(Concentration {
            searchers: u64::try_from(self.bonuses.len()).ok()?,
            index: u32::try_from(index).ok()?,
            largest: Ratio { part: usd(self.bonuses.values().copied().max()?)?, whole: usd(sum)? },
            unnamed: self.unnamed,
        })
    }
}

#[cfg(test)]
mod tests;
