//! The accounts of one market, ranked along the axis.

use std::collections::{BTreeMap, BTreeSet};

use protocol::aave::account::{Block, Leg, Valuation};
use protocol::aave::config::{MAX_RESERVES, ReserveId};
use protocol::aave::math::{Rounding, Wad, value};
use protocol::aave::reserve::Reserve;
use protocol::amount::Usd8;
use protocol::{U256, aave::revision::Rules};

use super::call::Money;
use super::edge::{Certain, Edge, Rate, Sums};
use super::ranked::{Ranked, Source, Tally};
use super::{Entry, Held, Holder, Market, as_legs};
use crate::map::DebtClass;

/// So many changed accounts are looked at one by one before the ranks are made anew.
const MOST_CHANGED: usize = 4_096;

/// Classes of debt.
pub(super) const CLASSES: usize = DebtClass::ALL.len();

/// One market's accounts along the axis.
#[derive(Debug)]
pub struct Index {
    pub(super) market: Market,
    /// The market with indexes of one.
    pub(super) settled: Vec<Reserve>,
    /// What every reserve is to every category, today.
    rates: BTreeMap<u8, Vec<Option<Rate>>>,
    /// Today's indexes.
    today: Option<Valuation>,
    pub(super) entries: Vec<Entry>,
    pub(super) legs: Vec<Held>,
    pub(super) cells: Vec<Cell>,
    /// Those whom the integers must decide about somewhere, by where that begins.
    doubts: Vec<(f64, f64, u32)>,
    /// Each account's entry, by the caller's number.
    places: Vec<u32>,
    /// Entries that came after the ranks were made.
    pub(super) fresh: Vec<u32>,
    /// Entries that are no more.
    pub(super) gone: BTreeSet<u32>,
    /// Who owes something and cannot be valued.
    unvalued: BTreeSet<u32>,
}

/// Accounts of one class.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// Whom a fall of the price reaches; distances are the negatives of their edges.
    pub(super) falls: Ranked,
    /// Whom a rise reaches.
    pub(super) rises: Ranked,
}

/// Who can be liquidated at one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The asset's price.
    pub level: Usd8,
    /// Sums by [`DebtClass`], in its order.
    pub by_class: Vec<Tally>,
    /// How many accounts the integers decided about.
    pub asked: u64,
}

/// No entry.
const NOWHERE: u32 = u32::MAX;

impl Index {
    /// Ranks a market's accounts.
    ///
    /// Accounts that owe nothing are left out: nobody can liquidate them. Those that hold or owe what has no known price or
    /// category, or more than 128 bits, are counted by [`unvalued`](Self::unvalued).
    #[must_use]
    pub fn new<'a>(market: Market, holders: impl Iterator<Item = Holder<'a>>) -> Self {
        let settled = market.settled();
        let known = with_all_prices(&market.block, market.reserves.len());
        let today = Valuation::new(market.revision, &market.reserves, &market.e_modes, &known).ok();
        let rates = rates(&market, &settled, &known);
        let mut index = Self {
            market,
            settled,
            rates,
            today,
            entries: Vec::new(),
            legs: Vec::new(),
            cells: Vec::new(),
            doubts: Vec::new(),
            places: Vec::new(),
            fresh: Vec::new(),
            gone: BTreeSet::new(),
            unvalued: BTreeSet::new(),
        };
        let mut room = Vec::new();
        for holder in holders {
            index.put(&holder, &mut room);
        }
        index.rank();
        index
    }

    /// The market.
    #[must_use]
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// How many accounts owe something and can be valued.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len() - self.gone.len()
    }

    /// Whether nobody owes anything that can be valued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many accounts owe something and are left out.
    #[must_use]
    pub fn unvalued(&self) -> usize {
        self.unvalued.len()
    }

    /// Memory in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let ranked: usize = self.cells.iter().map(|cell| cell.falls.bytes() + cell.rises.bytes()).sum();
        let entries = self.entries.len() * size_of::<Entry>() + self.legs.len() * size_of::<Held>();
        ranked + entries + self.doubts.len() * 24 + self.places.len() * 4
    }

    /// Replaces what one account holds, or adds it. A few thousand such changes are looked at one by one at every level;
    /// then the ranks are made anew. After prices or interest moved, make a new index.
    pub fn update(&mut self, holder: &Holder<'_>) {
        if let Some(old) = self.places.get(holder.id as usize).copied().filter(|old| *old != NOWHERE) {
            self.gone.insert(old);
            self.places[holder.id as usize] = NOWHERE;
        }
        self.unvalued.remove(&holder.id);
        let before = self.entries.len();
        self.put(holder, &mut Vec::new());
        if self.entries.len() > before {
            self.fresh.push(place(before));
        }
        if self.fresh.len() + self.gone.len() > MOST_CHANGED.max(self.entries.len() / 64) {
            self.rank();
        }
    }

    /// Takes an account in, unranked.
    fn put(&mut self, holder: &Holder<'_>, room: &mut Vec<Held>) {
        room.clear();
        let rules = self.market.revision.rules();
        let settled = settle(self.today.as_ref(), rules, holder, room);
        if settled && room.iter().all(|held| held.owed == 0) {
            return;
        }
        let edge = settled.then(|| self.edge(holder.e_mode, room)).flatten();
        let Some((edge, class)) = edge.zip(self.class(holder.e_mode, room)) else {
            if !settled || room.iter().any(|held| held.owed != 0) {
                self.unvalued.insert(holder.id);
            }
            return;
        };
        let money = self.call(holder.e_mode, room, edge);
        let id = holder.id as usize;
        if self.places.len() <= id {
            self.places.resize(id + 1, NOWHERE);
        }
        self.places[id] = place(self.entries.len());
        self.entries.push(Entry {
            id: holder.id,
            first: place(self.legs.len()),
            count: u8::try_from(room.len()).unwrap_or(u8::MAX),
            e_mode: holder.e_mode,
            class,
            has_money: money.is_some(),
            call: money.unwrap_or_default(),
        });
        self.legs.extend_from_slice(room);
    }

    /// Its class by debt today; none where a price it needs is not known.
    fn class(&self, e_mode: u8, legs: &[Held]) -> Option<u8> {
        let debt = self.debt_today(e_mode, legs)?;
        u8::try_from(DebtClass::ALL.iter().position(|class| *class == DebtClass::of(debt))?).ok()
    }

    /// What an account owes today.
    pub(super) fn debt_today(&self, e_mode: u8, legs: &[Held]) -> Option<Usd8> {
        let market = &self.market;
        let mut debt = U256::ZERO;
        for held in legs.iter().filter(|held| held.owed != 0) {
            let decimals = self.settled[usize::from(held.reserve.0)].config.decimals;
            let price = market.feed(e_mode, held.reserve).price(&market.block).ok()?;
            let rounding = market.revision.rules().debt_value;
            debt = debt.checked_add(value(U256::from(held.owed), price, decimals, rounding).ok()?)?;
        }
        market.usd(debt, market.anchor)
    }

    /// Where an account stands; none where a price or its category is not known.
    pub(super) fn edge(&self, e_mode: u8, legs: &[Held]) -> Option<Edge> {
        let row = self.rates.get(&e_mode)?;
        let base_moves = self.market.group.base_moves;
        let mut sums = Sums::new(base_moves);
        for held in legs {
            let rate = row.get(usize::from(held.reserve.0))?.as_ref()?;
            sums.add(rate, held.supplied as f64, held.owed as f64, base_moves);
        }
        Some(sums.edge(!self.market.revision.rules().unaveraged_health))
    }

    /// The first call: today's where it is possible today, else that at the edge.
    fn call(&self, e_mode: u8, legs: &[Held], edge: Edge) -> Option<Money> {
        let anchor = self.market.anchor;
        let at = |factor: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "a float that is too large becomes the largest")]
            Usd8((anchor.0 as f64 * factor) as i128)
        };
        let level = match edge.certain {
            Certain::Below(factor) if factor <= 1.0 => at(factor),
            Certain::Above(factor) if factor >= 1.0 => at(factor * (1.0 + 1e-12)),
            Certain::Below(_) | Certain::Above(_) | Certain::Never => anchor,
        };
        let is_today = level == anchor;
        let health = if is_today { self.health_today(e_mode, legs) } else { None };
        self.market.first_call(e_mode, legs, level, health.filter(|health| *health < Wad::ONE))
    }

    fn health_today(&self, e_mode: u8, legs: &[Held]) -> Option<Wad> {
        let block = with_all_prices(&self.market.block, self.settled.len());
        let account = super::who::account(e_mode, legs);
        let (revision, e_modes) = (self.market.revision, &self.market.e_modes);
        protocol::aave::account::account_data(revision, &self.settled, e_modes, &account, &block)
            .ok()
            .map(|data| data.health_factor)
    }

    /// Makes the ranks anew, of those who are there.
    fn rank(&mut self) {
        let gone = std::mem::take(&mut self.gone);
        self.fresh.clear();
        let mut ranks: Vec<[Vec<(f64, u32)>; 2]> = (0..CLASSES).map(|_| [Vec::new(), Vec::new()]).collect();
        let mut doubts = Vec::new();
        if !gone.is_empty() {
            self.drop_entries(&gone);
        }
        for (place, entry) in (0_u32..).zip(&self.entries) {
            let Some(edge) = self.edge(entry.e_mode, self.source().legs(place)) else { continue };
            let [falls, rises] = &mut ranks[usize::from(entry.class)];
            match edge.certain {
                Certain::Below(factor) => falls.push((-factor, place)),
                Certain::Above(factor) => rises.push((factor, place)),
                Certain::Never => {}
            }
            doubts.extend(edge.doubt.map(|(from, to)| (from, to, place)));
        }
        doubts.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.2.cmp(&other.2)));
        self.doubts = doubts;
        let source = self.source();
        let cells = ranks
            .into_iter()
            .map(|[falls, rises]| Cell { falls: Ranked::new(falls, source), rises: Ranked::new(rises, source) })
            .collect();
        self.cells = cells;
    }

    fn drop_entries(&mut self, gone: &BTreeSet<u32>) {
        let (entries, legs) = (std::mem::take(&mut self.entries), std::mem::take(&mut self.legs));
        for (old, entry) in (0_u32..).zip(entries) {
            if gone.contains(&old) {
                continue;
            }
            let from = entry.first as usize;
            self.places[entry.id as usize] = place(self.entries.len());
            self.entries.push(Entry { first: place(self.legs.len()), ..entry });
            self.legs.extend_from_slice(&legs[from..from + usize::from(entry.count)]);
        }
    }

    pub(super) fn source(&self) -> Source<'_> {
        Source { entries: &self.entries, legs: &self.legs, reserves: self.settled.len() }
    }

    /// The factor of a level.
    pub(super) fn factor(&self, level: Usd8) -> f64 {
        level.0 as f64 / self.market.anchor.0 as f64
    }

    /// Who can be liquidated at each level; none where a price would be zero, or the arithmetic leaves its range.
    #[must_use]
    pub fn at(&self, levels: &[Usd8]) -> Vec<Option<At>> {
        let asked = self.doubtful(levels);
        levels.iter().zip(asked).map(|(level, asked)| self.level(*level, &asked)).collect()
    }

    /// Whom the integers must decide about, level by level. Levels ascend.
    fn doubtful(&self, levels: &[Usd8]) -> Vec<Vec<u32>> {
        let factors: Vec<f64> = levels.iter().map(|level| self.factor(*level)).collect();
        let mut asked = vec![Vec::new(); levels.len()];
        let mut next = 0;
        for (from, to, entry) in &self.doubts {
            while factors.get(next).is_some_and(|factor| factor < from) {
                next += 1;
            }
            let hit = factors[next..].iter().take_while(|factor| *factor <= to);
            for (at, _) in (next..).zip(hit) {
                asked[at].push(*entry);
            }
        }
        for entry in &self.fresh {
            // Whoever came later is not ranked: the integers decide everywhere.
            asked.iter_mut().for_each(|asked| asked.push(*entry));
        }
        asked
    }

    fn level(&self, level: Usd8, asked: &[u32]) -> Option<At> {
        let block = self.market.block_at(level)?;
        let factor = self.factor(level);
        let source = self.source();
        let mut by_class: Vec<Tally> = Vec::with_capacity(CLASSES);
        for cell in &self.cells {
            let mut tally = cell.falls.up_to(-factor, source);
            tally.merge(&cell.rises.up_to(factor, source));
            by_class.push(tally);
        }
        for entry in &self.gone {
            let known = self.entries[*entry as usize];
            let is_ranked = !self.fresh.contains(entry);
            if is_ranked && self.is_certain(*entry, factor) {
                by_class[usize::from(known.class)].take(source.legs(*entry), known.money());
            }
        }
        let mut decided = 0;
        if !asked.is_empty() {
            let block = with_all_prices(&block, self.settled.len());
            let (revision, e_modes) = (self.market.revision, &self.market.e_modes);
            let valuation = Valuation::new(revision, &self.settled, e_modes, &block).ok()?;
            for entry in asked.iter().filter(|entry| !self.gone.contains(entry)) {
                let (known, legs) = (self.entries[*entry as usize], source.legs(*entry));
                decided += 1;
                if valuation.account(known.e_mode, &as_legs(legs)).ok()?.is_liquidatable() {
                    by_class[usize::from(known.class)].add(legs, known.money());
                }
            }
        }
        Some(At { level, by_class, asked: decided })
    }

    /// Whether the ranks hold an account at a factor.
    fn is_certain(&self, entry: u32, factor: f64) -> bool {
        let known = self.entries[entry as usize];
        match self.edge(known.e_mode, self.source().legs(entry)).map(|edge| edge.certain) {
            Some(Certain::Below(edge)) => factor < edge,
            Some(Certain::Above(edge)) => factor > edge,
            Some(Certain::Never) | None => false,
        }
    }
}

/// A place in a list; an index holds fewer than 2^32 of anything.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}

/// The block with a price for every reserve, so that one that is missing hides no other; who needs it is unvalued.
pub(super) fn with_all_prices(block: &Block, reserves: usize) -> Block {
    let mut block = block.clone();
    block.prices.resize(reserves, U256::ZERO);
    block.prices.iter_mut().filter(|price| price.is_zero()).for_each(|price| *price = U256::from(1));
    block
}

/// Balances with interest to the block; false where something is unknown or leaves 128 bits.
fn settle(today: Option<&Valuation>, rules: &Rules, holder: &Holder<'_>, out: &mut Vec<Held>) -> bool {
    let owes = holder.legs.iter().any(|leg| leg.is_borrowing && (leg.borrowed != 0 || leg.stable_debt != 0));
    if !owes {
        return true;
    }
    let amount = |leg: &Leg| -> Option<Held> {
        let quote = today?.quote(holder.e_mode, leg.reserve)?;
        let scaling = rules.scaling;
        let supplied = scaling.supply_balance(U256::from(leg.supplied), quote.income).ok()?;
        let owed = scaling.debt_balance(U256::from(leg.borrowed), quote.debt).ok()?;
        let owed = owed.checked_add(U256::from(leg.stable_debt))?;
        Some(Held { supplied: u128::try_from(supplied).ok()?, owed: u128::try_from(owed).ok()?, reserve: leg.reserve })
    };
    for leg in holder.legs {
        let counts = today
            .and_then(|today| today.categories().find(|(number, _)| *number == holder.e_mode))
            .and_then(|(_, row)| row.get(usize::from(leg.reserve.0)))
            .is_some_and(|(_, counts)| *counts);
        let leg = Leg {
            supplied: if leg.is_collateral && counts { leg.supplied } else { 0 },
            borrowed: if leg.is_borrowing { leg.borrowed } else { 0 },
            stable_debt: if leg.is_borrowing { leg.stable_debt } else { 0 },
            ..*leg
        };
        if leg.supplied == 0 && leg.borrowed == 0 && leg.stable_debt == 0 {
            continue;
        }
        match amount(&leg) {
            Some(held) => out.push(held),
            None => return false,
        }
    }
    true
}

/// What reserves are to accounts of each category, today; none where a price is not known.
fn rates(market: &Market, settled: &[Reserve], known: &Block) -> BTreeMap<u8, Vec<Option<Rate>>> {
    let Ok(valuation) = Valuation::new(market.revision, settled, &market.e_modes, known) else {
        return BTreeMap::new();
    };
    let mut rates = BTreeMap::new();
    for (e_mode, row) in valuation.categories() {
        let rate = |(id, (quote, counts)): (ReserveId, &(protocol::aave::account::Quote, bool))| {
            let feed = market.feed(e_mode, id);
            feed.price(&market.block).ok()?;
            let whole = 1.0 / (0..quote.decimals).fold(1.0, |power, _| power * 10.0);
            Some(Rate {
                unit: f64::from(quote.price) * whole,
                whole,
                threshold: counts.then(|| f64::from(quote.terms.liquidation_threshold.0) / 1e4),
                moves: market.is_member(feed),
            })
        };
        rates.insert(e_mode, (0..MAX_RESERVES).map(ReserveId).zip(row).map(rate).collect());
    }
    rates
}

impl Tally {
    /// Takes an account out again.
    fn take(&mut self, legs: &[Held], money: Option<Money>) {
        self.accounts -= 1;
        for held in legs {
            let at = usize::from(held.reserve.0);
            let less = |sum: &mut Option<u128>, amount: u128| *sum = sum.and_then(|sum| sum.checked_sub(amount));
            less(&mut self.supplied[at], held.supplied);
            less(&mut self.owed[at], held.owed);
        }
        match money {
            Some(money) => {
                let parts = [money.repaid, money.seized, money.bonus, money.fee, money.recapturable];
                self.money.iter_mut().zip(parts).for_each(|(sum, part)| *sum -= u128::from(part));
            }
            None => self.without_call -= 1,
        }
    }
}

impl Market {
    /// The value of a sum of tokens at a level, in US dollars; floored in base currency and again in dollars.
    pub(super) fn worth(&self, id: ReserveId, amount: u128, level: Usd8) -> Option<Usd8> {
        if amount == 0 {
            return Some(Usd8(0));
        }
        let price = self.price(0, id, level)?;
        let decimals = self.reserves.get(usize::from(id.0))?.config.decimals;
        self.usd(value(U256::from(amount), price, decimals, Rounding::Floor).ok()?, level)
    }
}
