//! Accounts in the order in which a moving price reaches them, with sums along the way.

use super::call::Money;
use super::{Entry, Held};

/// How many accounts lie between two kept sums.
const STRIDE: usize = 256;

/// Sums over accounts that can be liquidated: tokens by reserve, exactly, and the money of their first calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// How many accounts.
    pub accounts: u64,
    /// Collateral by reserve, in each token's smallest unit; `None` where a sum leaves 128 bits.
    pub supplied: Vec<Option<u128>>,
    /// Debt by reserve, likewise.
    pub owed: Vec<Option<u128>>,
    /// Of the first calls, in US dollars of eight decimals: repaid, seized, bonus, fee, recapturable.
    pub money: [u128; 5],
    /// Accounts whose first call could not be valued.
    pub without_call: u64,
}

impl Tally {
    pub(super) fn none(reserves: usize) -> Self {
        Self {
            accounts: 0,
            supplied: vec![Some(0); reserves],
            owed: vec![Some(0); reserves],
            money: [0; 5],
            without_call: 0,
        }
    }

    pub(super) fn add(&mut self, legs: &[Held], money: Option<Money>) {
        self.accounts += 1;
        for leg in legs {
            let at = usize::from(leg.reserve.0);
            let more = |sum: &mut Option<u128>, amount: u128| *sum = sum.and_then(|sum| sum.checked_add(amount));
            more(&mut self.supplied[at], leg.supplied);
            more(&mut self.owed[at], leg.owed);
        }
        match money {
            Some(money) => {
                let parts = [money.repaid, money.seized, money.bonus, money.fee, money.recapturable];
                self.money.iter_mut().zip(parts).for_each(|(sum, part)| *sum += u128::from(part));
            }
            None => self.without_call += 1,
        }
    }

    /// Adds what another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.accounts += other.accounts;
        self.without_call += other.without_call;
        for (sums, more) in [(&mut self.supplied, &other.supplied), (&mut self.owed, &other.owed)] {
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum = sum.zip(*more).and_then(|(sum, more)| sum.checked_add(more));
            }
        }
        self.money.iter_mut().zip(other.money).for_each(|(sum, more)| *sum += more);
    }
}

/// Accounts by the factor at which they become liquidatable for certain, nearest to where nobody is first.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranked {
    /// Ascending distance: for falling prices the edge's negative, for rising ones the edge.
    distance: Vec<f64>,
    entries: Vec<u32>,
    /// Sums before every [`STRIDE`]th account.
    sums: Vec<Tally>,
}

/// What sums are made of.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) legs: &'a [Held],
    pub(super) reserves: usize,
}

impl<'a> Source<'a> {
    pub(super) fn legs(&self, entry: u32) -> &'a [Held] {
        let entry = &self.entries[entry as usize];
        &self.legs[entry.first as usize..entry.first as usize + usize::from(entry.count)]
    }

    fn add(&self, tally: &mut Tally, entry: u32) {
        tally.add(self.legs(entry), self.entries[entry as usize].money());
    }
}

impl Ranked {
    /// Ranks accounts, given the distance of each.
    pub(super) fn new(mut ranked: Vec<(f64, u32)>, source: Source<'_>) -> Self {
        ranked.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut sum = Tally::none(source.reserves);
        let mut sums = Vec::with_capacity(ranked.len() / STRIDE + 1);
        for (place, (_, entry)) in ranked.iter().enumerate() {
            if place % STRIDE == 0 {
                sums.push(sum.clone());
            }
            source.add(&mut sum, *entry);
        }
        let (distance, entries) = ranked.into_iter().unzip();
        Self { distance, entries, sums }
    }

    /// The sums over all accounts nearer than a distance.
    pub(super) fn up_to(&self, distance: f64, source: Source<'_>) -> Tally {
        let count = self.distance.partition_point(|other| *other < distance);
        let stride = count / STRIDE;
        let mut tally = match self.sums.get(stride) {
            Some(sum) => sum.clone(),
            None => {
                let Some(last) = self.sums.last() else { return Tally::none(source.reserves) };
                let mut tally = last.clone();
                self.entries[(self.sums.len() - 1) * STRIDE..count]
                    .iter()
                    .for_each(|entry| source.add(&mut tally, *entry));
                return tally;
            }
        };
        self.entries[stride * STRIDE..count].iter().for_each(|entry| source.add(&mut tally, *entry));
        tally
    }

    /// Who is nearer than `to` and not nearer than `from`.
    pub(super) fn among(&self, from: f64, to: f64) -> &[u32] {
        let place = |distance: f64| self.distance.partition_point(|other| *other < distance);
        let (from, to) = (place(from), place(to));
        self.entries.get(from..to).unwrap_or_default()
    }

    pub(super) fn bytes(&self) -> usize {
        let tally = self.sums.first().map_or(0, |sum| (sum.supplied.len() + sum.owed.len()) * 32 + 128);
        self.distance.len() * 8 + self.entries.len() * 4 + self.sums.len() * tally
    }
}
