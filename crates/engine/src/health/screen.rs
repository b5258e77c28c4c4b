//! Many accounts of one market, and their verdicts.

use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use protocol::aave::account::Leg;

use super::block::{Blocks, LANES};
use super::factors::{Factors, Param, param};

/// A shape with at least this many accounts gets blocks of its own: one block, from which on setting out costs less than
/// looking up every leg's factor.
pub const DENSE_FROM: usize = 16;

/// Many accounts of one market, numbered from 0 in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    blocks: Vec<Blocks>,
    places: Vec<Place>,
    shapes: HashMap<Box<[Param]>, Standing>,
    /// Blocks of accounts with their own factors, by their numbers of collateral and debt legs.
    mixed: HashMap<[usize; 2], u32>,
    /// A number that no other screen has, and not this one before its last change; 0 while it has no account.
    stamp: u64,
    scratch: Legs,
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// Which [`Blocks`].
    blocks: u32,
    at: u32,
}

impl Place {
    /// Nowhere: the account owes nothing.
    const IDLE: Self = Self { blocks: u32::MAX, at: 0 };
}

/// How a shape is kept.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Accounts that have it, wherever they stand.
    accounts: usize,
    /// Its own blocks, once there are enough.
    own: Option<u32>,
}

/// One account's legs in the order of their parameters, collateral first.
#[derive(Debug, Clone, Default)]
pub(super) struct Legs {
    pub(super) collateral: Vec<(Param, f32)>,
    pub(super) debt: Vec<(Param, f32)>,
    /// The number of collateral legs, and every parameter.
    pub(super) shape: Vec<Param>,
    pub(super) amounts: Vec<f32>,
}

impl Legs {
    /// Reads an account; says whether it can owe anything.
    pub(super) fn read(&mut self, e_mode: u8, legs: &[Leg]) -> bool {
        self.collateral.clear();
        self.debt.clear();
        for leg in legs {
            if leg.is_collateral {
                self.collateral.push(entry(param(e_mode, leg.reserve), leg.supplied));
            }
            if leg.is_borrowing {
                // Stable debt is an amount at one moment, and grows at the account's own rate: the exact path decides.
                let known = param(e_mode, leg.reserve).filter(|_| leg.stable_debt == 0);
                self.debt.push(entry(known, leg.borrowed));
            }
        }
        // By amount too, so that the order in which legs were given does not decide how a sum rounds.
        let order = |a: &(Param, f32), b: &(Param, f32)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1));
        self.collateral.sort_unstable_by(order);
        self.debt.sort_unstable_by(order);
        let count = u16::try_from(self.collateral.len()).unwrap_or(u16::MAX);
        let all = || self.collateral.iter().chain(&self.debt);
        self.shape.clear();
        self.shape.push(count);
        self.shape.extend(all().map(|(param, _)| *param));
        self.amounts.clear();
        self.amounts.extend(all().map(|(_, amount)| *amount));
        !self.debt.is_empty()
    }

    pub(super) fn params(&self) -> &[Param] {
        &self.shape[1..]
    }
}

/// Numbers screens apart. It reaches no result: only whether verdicts belong to a screen.
fn next_stamp() -> u64 {
    static STAMPS: AtomicU64 = AtomicU64::new(1);
    STAMPS.fetch_add(1, Ordering::Relaxed)
}

/// An amount, or no number where it cannot be screened: the account is a suspect then.
#[allow(clippy::cast_precision_loss, reason = "rounding to single precision is among the bounded errors")]
fn entry(param: Option<Param>, amount: u128) -> (Param, f32) {
    match param {
        Some(param) => (param, amount as f32),
        None => (0, f32::NAN),
    }
}

/// What an evaluation found, until the screen it is of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// A bit for each account that is certainly healthy, block by block.
    healthy: Vec<u16>,
    /// Where the words of each [`Blocks`] begin.
    starts: Vec<usize>,
    /// Which screen was evaluated, as it was; 0 for none.
    stamp: u64,
}

/// One account's health factor, approximately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The approximation, as [`Screen::health_factors`] gives it.
    pub value: f32,
    /// The exact health factor is no lower.
    pub low: f64,
    /// The exact health factor is no higher.
    pub high: f64,
}

impl Estimate {
    const INFINITE: Self = Self { value: f32::INFINITY, low: f64::INFINITY, high: f64::INFINITY };
}

impl Screen {
    /// The accounts in order, each with its e-mode category and its legs, which may stand in any order.
    ///
    /// # Panics
    /// There are 2^32 accounts or more.
    pub fn new<'a>(accounts: impl Iterator<Item = (u8, &'a [Leg])> + Clone) -> Self {
        let mut screen = Self { stamp: next_stamp(), ..Self::default() };
        let mut legs = Legs::default();
        // Counted first, so that everyone comes to stand in the right blocks at once.
        for (e_mode, given) in accounts.clone() {
            if legs.read(e_mode, given) {
                screen.count(&legs.shape);
            }
        }
        for (e_mode, given) in accounts {
            let place = if legs.read(e_mode, given) { screen.enter(screen.next(), &legs) } else { Place::IDLE };
            screen.places.push(place);
        }
        screen
    }

    /// How many accounts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What the accounts take in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let shape = |shape: &[Param]| size_of_val(shape) + size_of::<(Box<[Param]>, Standing)>();
        let shapes = self.shapes.keys().map(|key| shape(key)).fold(0, usize::saturating_add);
        let blocks =
            self.blocks.iter().map(|blocks| size_of::<Blocks>() + blocks.bytes()).fold(0, usize::saturating_add);
        shapes + blocks + self.places.capacity() * size_of::<Place>()
    }

    /// What one evaluation reads of the accounts, in bytes.
    #[must_use]
    pub fn read_bytes(&self) -> usize {
        self.blocks.iter().map(Blocks::read_bytes).fold(0, usize::saturating_add)
    }

    /// Adds an account and says its number.
    ///
    /// # Panics
    /// There are 2^32 - 1 accounts already.
    pub fn push(&mut self, e_mode: u8, legs: &[Leg]) -> u32 {
        let account = self.next();
        self.places.push(Place::IDLE);
        self.replace(account, e_mode, legs);
        account
    }

    /// Gives an account new legs; none for an account that is gone, since numbers are not used again.
    ///
    /// Costs a sort of the legs and a look-up of the shape. Accounts that came before their shape had blocks of its own
    /// move there only when replaced; fewer than [`DENSE_FROM`] of a shape stand elsewhere.
    ///
    /// # Panics
    /// There is no such account.
    pub fn replace(&mut self, account: u32, e_mode: u8, legs: &[Leg]) {
        self.stamp = next_stamp();
        let mut read = std::mem::take(&mut self.scratch);
        let owes = read.read(e_mode, legs);
        self.leave(account);
        if owes {
            self.count(&read.shape);
            self.places[index(account)] = self.enter(account, &read);
        }
        self.scratch = read;
    }

    fn next(&self) -> u32 {
        u32::try_from(self.places.len()).unwrap_or(u32::MAX)
    }

    fn count(&mut self, shape: &[Param]) {
        match self.shapes.get_mut(shape) {
            Some(standing) => standing.accounts += 1,
            None => {
                self.shapes.insert(shape.into(), Standing { accounts: 1, own: None });
            }
        }
    }

    /// Puts legs whose shape was counted where they belong.
    fn enter(&mut self, account: u32, legs: &Legs) -> Place {
        let (collateral, debt) = (legs.collateral.len(), legs.debt.len());
        let next = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        let standing = self.shapes.get_mut(&*legs.shape).filter(|standing| standing.accounts >= DENSE_FROM);
        let which = match standing {
            Some(standing) => *standing.own.get_or_insert(next),
            None => *self.mixed.entry([collateral, debt]).or_insert(next),
        };
        if which == next {
            let is_own = self.shapes.get(&*legs.shape).is_some_and(|standing| standing.own == Some(next));
            self.blocks.push(if is_own {
                Blocks::same(collateral, legs.params())
            } else {
                Blocks::own(collateral, debt)
            });
        }
        let at = self.blocks[index(which)].push(account, legs.params(), &legs.amounts);
        Place { blocks: which, at: u32::try_from(at).unwrap_or(u32::MAX) }
    }

    /// Takes an account out of its place, and its shape out of the count.
    fn leave(&mut self, account: u32) {
        let place = std::mem::replace(&mut self.places[index(account)], Place::IDLE);
        if place == Place::IDLE {
            return;
        }
        let blocks = &mut self.blocks[index(place.blocks)];
        let shape = blocks.shape(index(place.at));
        if let Some(moved) = blocks.swap_remove(index(place.at)) {
            self.places[index(moved)] = place;
        }
        if let Some(standing) = self.shapes.get_mut(&*shape) {
            standing.accounts -= 1;
            if standing.accounts == 0 && standing.own.is_none() {
                self.shapes.remove(&*shape);
            }
        }
    }

    /// Gives every account its verdict; `out` is overwritten and its memory used again.
    pub fn evaluate(&self, factors: &Factors, out: &mut Verdicts) {
        out.stamp = self.stamp;
        out.healthy.clear();
        out.starts.clear();
        for blocks in &self.blocks {
            out.starts.push(out.healthy.len());
            blocks.evaluate(factors, &mut out.healthy);
        }
    }

    /// Whom the exact path must decide, by number, in order.
    ///
    /// # Panics
    /// The verdicts are another screen's, or of this one before it changed.
    #[must_use]
    pub fn suspects(&self, verdicts: &Verdicts) -> Vec<u32> {
        self.assert_evaluated(verdicts);
        let mut suspects = Vec::new();
        for (blocks, start) in self.blocks.iter().zip(&verdicts.starts) {
            for (accounts, word) in blocks.accounts().chunks(LANES).zip(&verdicts.healthy[*start..]) {
                if *word != u16::MAX {
                    let is_suspect = |lane: usize| word >> lane & 1 == 0;
                    suspects
                        .extend(accounts.iter().enumerate().filter(|(lane, _)| is_suspect(*lane)).map(|(_, id)| id));
                }
            }
        }
        suspects.sort_unstable();
        suspects
    }

    /// Verdicts read against other accounts would clear whom nobody looked at.
    fn assert_evaluated(&self, verdicts: &Verdicts) {
        assert!(verdicts.stamp == self.stamp, "verdicts are read against the screen they are of, before it changes");
    }

    /// Whether the exact path must decide an account.
    ///
    /// # Panics
    /// The verdicts are another screen's, or of this one before it changed, or there is no such account.
    #[must_use]
    pub fn is_suspect(&self, verdicts: &Verdicts, account: u32) -> bool {
        self.assert_evaluated(verdicts);
        let place = self.places[index(account)];
        if place == Place::IDLE {
            return false;
        }
        let (word, lane) = (index(place.at) / LANES, index(place.at) % LANES);
        verdicts.healthy[verdicts.starts[index(place.blocks)] + word] >> lane & 1 == 0
    }

    /// Every account's approximate health factor by its number, for maps and for ordering: infinite without debt, no
    /// number where a leg is unknown to the valuation. [`estimate`](Self::estimate) bounds the error of each.
    pub fn health_factors(&self, factors: &Factors, out: &mut Vec<f32>) {
        out.clear();
        out.resize(self.len(), f32::INFINITY);
        for blocks in &self.blocks {
            let mut accounts = blocks.accounts().chunks(LANES);
            blocks.each(factors, |sums| {
                for (lane, account) in accounts.next().unwrap_or_default().iter().enumerate() {
                    let [collateral, debt, _] = sums.of(lane);
                    out[index(*account)] = ratio(collateral, debt);
                }
            });
        }
    }

    /// One account's health factor between bounds that the exact one keeps, where it has one.
    ///
    /// # Panics
    /// There is no such account.
    #[must_use]
    pub fn estimate(&self, factors: &Factors, account: u32) -> Estimate {
        let place = self.places[index(account)];
        if place == Place::IDLE {
            return Estimate::INFINITE;
        }
        let (blocks, at) = (&self.blocks[index(place.blocks)], index(place.at));
        let [collateral, debt, slack] = blocks.one(factors, at, false);
        let value = ratio(collateral, debt);
        // Without the basis point that averaging may take.
        let [at_most, ..] = blocks.one(factors, at, true);
        let [collateral, at_most, debt, slack] = [collateral, at_most, debt, slack].map(f64::from);
        if ![collateral, at_most, debt, slack].iter().all(|number| number.is_finite()) {
            return Estimate { value, low: 0.0, high: f64::INFINITY };
        }
        let error = blocks.relative_error();
        let low = (collateral * (1.0 - error) - slack) / (debt * (1.0 + error) + slack);
        let least_debt = debt * (1.0 - error) - slack;
        let high =
            if least_debt > 0.0 { (at_most * (1.0 + error) + slack) / least_debt + WAD_UNIT } else { f64::INFINITY };
        Estimate { value, low: (low - WAD_UNIT).max(0.0), high }
    }
}

/// The smallest difference of exact health factors.
const WAD_UNIT: f64 = 1e-18;

fn ratio(collateral: f32, debt: f32) -> f32 {
    if collateral.is_nan() {
        return f32::NAN;
    }
    // What averaging takes from thresholds of zero is more than nothing, but no health factor is negative.
    if debt == 0.0 { f32::INFINITY } else { collateral.max(0.0) / debt }
}

/// A number of 32 bits as an index; this code runs where an address has no fewer.
pub(super) fn index(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
