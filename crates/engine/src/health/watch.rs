//! Who may have fallen below 1 since the last prices, found without looking at everybody.
//!
//! A [`Watch`] holds the same accounts as a [`Screen`](super::Screen), gives the same verdicts, and is told of every
//! change: of prices, indexes, thresholds and categories by [`Watch::tick`], of accounts by [`Watch::replace`]. A tick
//! costs what it must look at: the accounts that the way prices went can have reached.
//!
//! # Who is passed over
//!
//! Accounts of one shape stand in *parts*. When a part is filed, each of its accounts gets a *key*: what it owes as a
//! share of what it has, weighted by thresholds, under the factors of that moment. The part keeps these factors, and
//! sorts its accounts by key. Write `P` for what an account has and `O` for what it owes (debt, and what lowered zero
//! thresholds take), `S` for its slack, all as real-valued sums over the single-precision amounts and factors, and a
//! dash for their values now. The key is `(O + 2 S) / P`. With
//!
//! * `p`, the least of factor now / factor then over the collateral legs of the part,
//! * `o`, the greatest over its debt legs,
//! * `s`, the greatest of slack now / slack then over all its legs,
//!
//! it holds that `P' >= p P`, `O' <= o O` and `S' <= s S`, so `O' + S' <= max(o, s / 2) (O + 2 S)`. Hence whoever's key
//! is at most `p (1 - e) / max(o, s / 2)` has `P' (1 - e) >= O' + S'`. This is a box: each factor may have gone anywhere
//! within `p` and `o` at once, so it does not matter whether one price moved, or all in one direction, or interest
//! alone, nor by how many steps. Nothing is added up from tick to tick, so nothing drifts: a part compares now with the
//! moment when it was filed.
//!
//! The screen would call every such account healthy, and rests on its own proof there. For an account with `w` legs,
//! write `k = w + 8`: its sums in single precision are off by `(w + 1) u` each, its comparison by `(k + 1) u`, of
//! numbers that are none larger than `P'`; in all by less than `5 k u`. `e` is `8 k u`. What remains of it, `3 k u`,
//! covers the rounding of keys (upwards, to single precision), of ratios (in double precision) and whatever underflows,
//! since slack alone is more than one base unit. No sum overflows: whoever has or owes more than `2^100` base units is
//! never passed over, nor is anyone in a part one of whose factors became a million times greater. Neither is anyone in
//! a part one of whose factors is unknown now, changed its sign, or left zero.
//!
//! Everyone else in the part stands at its end, and is given the screen's own verdict. So the suspects are those of a
//! [`Screen`](super::Screen) with the same accounts under the same factors, no matter how they came about.
//!
//! # What it costs
//!
//! A tick compares the factors with the last ones, visits the parts that hold a leg whose factor changed, and looks at
//! those accounts whose key the move has reached, sixteen at once. Where nothing changed, verdicts stand. The further
//! prices go from where a part was filed, the more healthy accounts are looked at for nothing. The part counts them, and
//! when it has looked at [`PATIENCE`] times as many as it holds, it is due: [`Watch::refresh`] files it anew between
//! ticks, as many accounts as the caller has time for. Not calling it costs time, never a suspect.
//!
//! Interest moves every index every second. [`Factors::between`] takes it out of the ticks: with factors that cover the
//! next hour, only the moved price changes, and interest is folded in once an hour.
//!
//! Shapes with fewer than [`DENSE_FROM`] accounts share parts by their numbers of legs. There `p` and `o` are over
//! every reserve that anyone in the part has, so a crash of one has the whole part looked at until it is filed anew.

use std::collections::VecDeque;

use hashbrown::HashMap;
use protocol::aave::account::Leg;

use super::factors::{Factors, Param};
use super::part::Part;
use super::screen::{DENSE_FROM, Legs, index};

/// Accounts that a part takes before its shape gets another one: what a single filing may cost, a tenth of a
/// millisecond or two.
const FULL: usize = 2_048;

/// How often a part looks at as many healthy accounts as it holds, before it is due: filing costs about so much more
/// than looking.
const PATIENCE: usize = 64;

/// Places of those who left that a part may keep, besides one for each of those who did not.
const DEPARTED: usize = 64;

/// Many accounts of one market, numbered from 0 in the order they came, and who among them is a suspect now.
#[derive(Debug, Clone)]
pub struct Watch {
    parts: Vec<Part>,
    places: Vec<Place>,
    /// A bit for each account.
    suspects: Vec<u64>,
    shapes: HashMap<Box<[Param]>, Standing>,
    /// The part that takes accounts of any shape, by their numbers of collateral and debt legs.
    mixed: HashMap<[usize; 2], u32>,
    /// The parts that ever held a leg, by its parameter.
    holders: Vec<Vec<u32>>,
    /// Parts to which somebody came since the last tick.
    touched: Vec<u32>,
    /// Parts to be filed anew, the longest due first.
    due: VecDeque<u32>,
    /// Of the last tick.
    factors: Factors,
    ticks: u64,
    full: usize,
    patience: usize,
    scratch: Scratch,
}

/// Memory that is used again.
#[derive(Debug, Clone, Default)]
struct Scratch {
    legs: Legs,
    words: Vec<u16>,
    found: Vec<u32>,
    changed: Vec<Param>,
}

/// Where an account stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    part: u32,
    at: u32,
}

impl Place {
    /// Nowhere: the account owes nothing.
    const IDLE: Self = Self { part: u32::MAX, at: 0 };
}

/// How a shape is kept.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Accounts that have it, wherever they stand.
    accounts: usize,
    /// The part of its own that takes the next.
    open: Option<u32>,
}

/// What one tick did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tick {
    /// Parts with a leg whose factor changed, or to which an account came.
    pub parts: usize,
    /// Places whose verdict was computed: of accounts, and a few that accounts left.
    pub accounts: usize,
}

impl Watch {
    /// The accounts in order, each with its e-mode category and its legs, which may stand in any order, under the first
    /// factors.
    ///
    /// # Panics
    /// There are 2^32 - 1 accounts or more.
    pub fn new<'a>(accounts: impl Iterator<Item = (u8, &'a [Leg])> + Clone, factors: &Factors) -> Self {
        Self::with_parts(accounts, factors, [FULL, PATIENCE])
    }

    /// The same with parts of so many accounts, and so much patience.
    pub(super) fn with_parts<'a>(
        accounts: impl Iterator<Item = (u8, &'a [Leg])> + Clone,
        factors: &Factors,
        [full, patience]: [usize; 2],
    ) -> Self {
        let mut watch = Self {
            parts: Vec::new(),
            places: Vec::new(),
            suspects: Vec::new(),
            shapes: HashMap::new(),
            mixed: HashMap::new(),
            holders: Vec::new(),
            touched: Vec::new(),
            due: VecDeque::new(),
            factors: factors.clone(),
            ticks: 0,
            full,
            patience,
            scratch: Scratch::default(),
        };
        let mut legs = Legs::default();
        // Counted first, so that everyone comes to stand in the right parts at once.
        for (e_mode, given) in accounts.clone() {
            if legs.read(e_mode, given) {
                watch.count(&legs.shape);
            }
        }
        for (e_mode, given) in accounts {
            let account = watch.next();
            watch.places.push(Place::IDLE);
            if legs.read(e_mode, given) {
                watch.enter(account, &legs);
            }
        }
        watch.suspects.resize(watch.len().div_ceil(64), 0);
        for part in 0..watch.parts.len() {
            watch.file(part);
            watch.look(part);
        }
        watch
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

    /// What it takes in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let shape = |shape: &[Param]| size_of_val(shape) + size_of::<(Box<[Param]>, Standing)>();
        let shapes = self.shapes.keys().map(|key| shape(key)).fold(0, usize::saturating_add);
        let parts = self.parts.iter().map(Part::bytes).fold(0, usize::saturating_add);
        let holders =
            self.holders.iter().map(|parts| parts.capacity() * size_of::<u32>()).fold(0, usize::saturating_add);
        shapes
            + parts
            + holders
            + self.places.capacity() * size_of::<Place>()
            + self.suspects.capacity() * size_of::<u64>()
    }

    /// Brings everyone's verdict up to these factors.
    pub fn tick(&mut self, factors: Factors) -> Tick {
        self.ticks += 1;
        let mut changed = std::mem::take(&mut self.scratch.changed);
        self.factors.changed(&factors, &mut changed);
        self.factors = factors;
        let mut tick = Tick::default();
        for param in &changed {
            let holders = self.holders.get(usize::from(*param)).map_or(0, Vec::len);
            for holder in 0..holders {
                let part = self.holders[usize::from(*param)][holder];
                self.visit(part, &mut tick);
            }
        }
        while let Some(part) = self.touched.pop() {
            self.visit(part, &mut tick);
        }
        self.scratch.changed = changed;
        tick
    }

    /// Looks at a part once in a tick.
    fn visit(&mut self, part: u32, tick: &mut Tick) {
        if self.parts[index(part)].seen == self.ticks {
            return;
        }
        self.parts[index(part)].seen = self.ticks;
        self.parts[index(part)].is_touched = false;
        tick.parts += 1;
        tick.accounts += self.look(index(part));
        let visited = &mut self.parts[index(part)];
        if visited.wasted > self.patience * visited.live() && !visited.is_due {
            visited.is_due = true;
            self.due.push_back(part);
        }
    }

    /// Looks at whom the factors can have reached in a part, and takes down the verdicts; says at how many places.
    fn look(&mut self, which: usize) -> usize {
        let Self { parts, places, suspects, factors, scratch, .. } = self;
        let part = &mut parts[which];
        let looked = part.look(factors, &mut scratch.words, &mut scratch.found);
        let is_left = std::mem::take(&mut part.is_left);
        // Mostly it finds whom it found before.
        if part.suspects != scratch.found {
            for account in &part.suspects {
                // Who went elsewhere is that part's to judge. Places are spread over memory: nobody asks without need.
                if !is_left || index(places[index(*account)].part) == which {
                    clear(suspects, *account);
                }
            }
            part.suspects.clone_from(&scratch.found);
            for account in &part.suspects {
                set(suspects, *account);
            }
        }
        looked
    }

    /// Files anew what is due under the factors of the last tick, a part at a time, until at least so many accounts
    /// were filed; says how many. It changes no verdict, only what ticks cost.
    pub fn refresh(&mut self, accounts: usize) -> usize {
        let mut filed = 0;
        while filed < accounts {
            let Some(part) = self.due.pop_front() else { break };
            filed += self.parts[index(part)].places();
            self.file(index(part));
        }
        filed
    }

    fn file(&mut self, which: usize) {
        let Self { parts, places, factors, .. } = self;
        parts[which].file(factors, |account, at| places[index(account)].at = narrow(at));
    }

    /// Whom the exact path must decide, by number, in order: as of the last tick, and whoever was replaced since.
    #[must_use]
    pub fn suspects(&self) -> Vec<u32> {
        let mut suspects = Vec::new();
        for (word, first) in self.suspects.iter().zip((0_u32..).step_by(64)) {
            let mut word = *word;
            while word != 0 {
                suspects.push(first + word.trailing_zeros());
                word &= word - 1;
            }
        }
        suspects
    }

    /// Whether the exact path must decide an account.
    ///
    /// # Panics
    /// There is no such account.
    #[must_use]
    pub fn is_suspect(&self, account: u32) -> bool {
        assert!(index(account) < self.len(), "account {account} is one of {}", self.len());
        self.suspects[index(account) / 64] >> (account % 64) & 1 == 1
    }

    /// Adds an account and says its number. It is a suspect until the next tick, unless it owes nothing.
    ///
    /// # Panics
    /// There are 2^32 - 1 accounts already.
    pub fn push(&mut self, e_mode: u8, legs: &[Leg]) -> u32 {
        let account = self.next();
        self.places.push(Place::IDLE);
        self.suspects.resize(self.len().div_ceil(64), 0);
        self.replace(account, e_mode, legs);
        account
    }

    /// Gives an account new legs; none for an account that is gone, since numbers are not used again. It is a suspect
    /// until the next tick, unless it owes nothing.
    ///
    /// # Panics
    /// There is no such account.
    pub fn replace(&mut self, account: u32, e_mode: u8, legs: &[Leg]) {
        let mut read = std::mem::take(&mut self.scratch.legs);
        let owes = read.read(e_mode, legs);
        self.leave(account);
        clear(&mut self.suspects, account);
        if owes {
            self.count(&read.shape);
            self.enter(account, &read);
            set(&mut self.suspects, account);
            self.suspect(account);
        }
        self.scratch.legs = read;
    }

    /// Makes a suspect of an account that came to its part, until the next tick.
    fn suspect(&mut self, account: u32) {
        let Self { parts, places, suspects, touched, .. } = self;
        set(suspects, account);
        let which = places[index(account)].part;
        let part = &mut parts[index(which)];
        part.suspects.push(account);
        if !std::mem::replace(&mut part.is_touched, true) {
            touched.push(which);
        }
        // Accounts may come and go many times before anybody asks.
        if part.suspects.len() >= 2 * part.live() + DEPARTED {
            part.suspects.retain(|account| places[index(*account)].part == which);
            part.suspects.sort_unstable();
            part.suspects.dedup();
        }
    }

    fn next(&self) -> u32 {
        u32::try_from(self.places.len()).ok().filter(|next| *next != u32::MAX).expect("fewer than 2^32 - 1 accounts")
    }

    fn count(&mut self, shape: &[Param]) {
        match self.shapes.get_mut(shape) {
            Some(standing) => standing.accounts += 1,
            None => {
                self.shapes.insert(shape.into(), Standing { accounts: 1, open: None });
            }
        }
    }

    /// Puts legs whose shape was counted where they belong.
    fn enter(&mut self, account: u32, legs: &Legs) {
        let which = self.part_for(legs);
        let part = &mut self.parts[index(which)];
        let at = part.push(account, legs.params(), &legs.amounts);
        self.places[index(account)] = Place { part: which, at: narrow(at) };
        for param in legs.params() {
            if let Err(at) = part.named.binary_search(param) {
                part.named.insert(at, *param);
                let size = self.holders.len().max(usize::from(*param) + 1);
                self.holders.resize_with(size, Vec::new);
                self.holders[usize::from(*param)].push(which);
            }
        }
    }

    /// The part that takes an account with such legs.
    fn part_for(&mut self, legs: &Legs) -> u32 {
        let sides = [legs.collateral.len(), legs.debt.len()];
        let standing = self.shapes.get(&*legs.shape).copied().unwrap_or_default();
        let is_own = standing.accounts >= DENSE_FROM;
        let open = if is_own { standing.open } else { self.mixed.get(&sides).copied() };
        if let Some(open) = open.filter(|open| self.has_room(*open)) {
            // Whoever left still takes a place.
            let part = &self.parts[index(open)];
            if part.places() >= 2 * part.live() + DEPARTED {
                self.file(index(open));
            }
            return open;
        }
        let new = narrow(self.parts.len());
        let shape = &*legs.shape;
        self.parts.push(if is_own { Part::of_shape(shape, sides[0]) } else { Part::mixed(sides[0], sides[1]) });
        self.reopen(new, shape, sides);
        new
    }

    fn has_room(&self, part: u32) -> bool {
        self.parts[index(part)].live() < self.full
    }

    /// Makes a part the one that takes the next account of its kind.
    fn reopen(&mut self, which: u32, shape: &[Param], sides: [usize; 2]) {
        if self.parts[index(which)].shape.is_none() {
            self.mixed.insert(sides, which);
        } else if let Some(standing) = self.shapes.get_mut(shape) {
            standing.open = Some(which);
        }
    }

    /// Takes an account out of its place, and its shape out of the count.
    fn leave(&mut self, account: u32) {
        let place = std::mem::replace(&mut self.places[index(account)], Place::IDLE);
        if place == Place::IDLE {
            return;
        }
        let part = &mut self.parts[index(place.part)];
        let shape = part.shape_at(index(place.at));
        let is_own = part.shape.is_some();
        part.vacate(index(place.at));
        let Some(standing) = self.shapes.get_mut(&*shape) else { return };
        standing.accounts -= 1;
        let (accounts, own) = (standing.accounts, standing.open);
        if accounts == 0 && own.is_none() {
            self.shapes.remove(&*shape);
        }
        // Parts that shrink are filled before new ones are made.
        let sides = [usize::from(shape[0]), shape.len() - 1 - usize::from(shape[0])];
        let open = if is_own { own } else { self.mixed.get(&sides).copied() };
        if open.is_none_or(|open| !self.has_room(open)) {
            self.reopen(place.part, &shape, sides);
        }
    }
}

fn set(bits: &mut [u64], account: u32) {
    bits[index(account) / 64] |= 1 << (account % 64);
}

fn clear(bits: &mut [u64], account: u32) {
    bits[index(account) / 64] &= !(1 << (account % 64));
}

/// An index as a number of 32 bits, which all accounts are numbered by.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
