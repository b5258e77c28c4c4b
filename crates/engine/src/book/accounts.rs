//! Who holds what: interned accounts in pages that are shared until somebody writes to them.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use hashbrown::HashTable;
use protocol::Address;
use protocol::aave::config::ReserveId;
use protocol::aave::reserve::StableDebt;

/// An account's number: the order in which accounts were first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// Accounts of one page: what the first write after a snapshot copies.
const PAGE: usize = 64;
/// Tables of the index; a new account after a snapshot copies one of them.
const SHARDS: usize = 256;

/// Supply or variable debt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The supply token.
    Supply,
    /// The variable debt token.
    Debt,
}

/// Scaled balances in one reserve; never both zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holding {
    /// Which reserve.
    pub reserve: ReserveId,
    /// Scaled supply.
    pub supplied: u128,
    /// Scaled variable debt.
    pub borrowed: u128,
}

/// Holdings that stand with their account: most accounts have no more.
const FEW: usize = 2;

/// An account's holdings, in the pool's order. As long as they are few they stand with the account itself, and finding
/// them costs no look elsewhere in memory.
#[derive(Debug, Clone)]
pub struct Holdings(Held);

#[derive(Debug, Clone)]
enum Held {
    Few {
        count: usize,
        held: [Holding; FEW],
    },
    /// More than [`FEW`].
    Many(Vec<Holding>),
}

impl Holdings {
    const NONE: Self =
        Self(Held::Few { count: 0, held: [Holding { reserve: ReserveId(0), supplied: 0, borrowed: 0 }; FEW] });

    fn insert(&mut self, place: usize, holding: Holding) {
        match &mut self.0 {
            Held::Few { count, held } if *count < FEW => {
                held.copy_within(place..*count, place + 1);
                held[place] = holding;
                *count += 1;
            }
            Held::Few { held, .. } => {
                // Room for more than there are would be much of the memory of many accounts.
                let mut many = Vec::with_capacity(FEW + 1);
                many.extend_from_slice(held);
                many.insert(place, holding);
                self.0 = Held::Many(many);
            }
            Held::Many(many) => {
                many.reserve_exact(1);
                many.insert(place, holding);
            }
        }
    }

    fn remove(&mut self, place: usize) {
        match &mut self.0 {
            Held::Few { count, held } => {
                held.copy_within(place + 1..*count, place);
                *count -= 1;
            }
            Held::Many(many) => {
                many.remove(place);
                if let Ok(held) = <[Holding; FEW]>::try_from(&**many) {
                    self.0 = Held::Few { count: FEW, held };
                }
            }
        }
    }
}

impl Default for Holdings {
    fn default() -> Self {
        Self::NONE
    }
}

impl Deref for Holdings {
    type Target = [Holding];

    #[inline]
    fn deref(&self) -> &[Holding] {
        match &self.0 {
            Held::Few { count, held } => &held[..*count],
            Held::Many(many) => many,
        }
    }
}

impl DerefMut for Holdings {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Holding] {
        match &mut self.0 {
            Held::Few { count, held } => &mut held[..*count],
            Held::Many(many) => many,
        }
    }
}

impl<'a> IntoIterator for &'a Holdings {
    type Item = &'a Holding;
    type IntoIter = std::slice::Iter<'a, Holding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Holdings {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Holdings {}

/// One account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Its address.
    pub address: Address,
    /// Its e-mode category, 0 for none.
    pub e_mode: u8,
    /// A bit for each reserve that is switched on as collateral.
    pub collateral: u128,
    /// In the pool's order.
    pub holdings: Holdings,
    /// Stable debt, which few ever had (to 3.1).
    pub stable: Option<Box<BTreeMap<ReserveId, StableDebt>>>,
}

impl Person {
    /// A scaled balance.
    #[must_use]
    #[inline]
    pub fn scaled(&self, reserve: ReserveId, side: Side) -> u128 {
        let holding = self.holdings.iter().find(|holding| holding.reserve == reserve);
        holding.map_or(0, |holding| match side {
            Side::Supply => holding.supplied,
            Side::Debt => holding.borrowed,
        })
    }

    /// Sets a scaled balance. What becomes empty goes, so that equal accounts are equal values.
    fn set_scaled(&mut self, reserve: ReserveId, side: Side, scaled: u128) {
        let place = match self.holdings.binary_search_by_key(&reserve, |holding| holding.reserve) {
            Ok(place) => place,
            Err(_) if scaled == 0 => return,
            Err(place) => {
                self.holdings.insert(place, Holding { reserve, supplied: 0, borrowed: 0 });
                place
            }
        };
        let holding = &mut self.holdings[place];
        match side {
            Side::Supply => holding.supplied = scaled,
            Side::Debt => holding.borrowed = scaled,
        }
        if holding.supplied == 0 && holding.borrowed == 0 {
            self.holdings.remove(place);
        }
    }

    /// Stable debt in a reserve, as it was last touched.
    #[must_use]
    pub fn stable(&self, reserve: ReserveId) -> StableDebt {
        self.stable.as_ref().and_then(|debts| debts.get(&reserve)).copied().unwrap_or_default()
    }

    fn set_stable(&mut self, reserve: ReserveId, debt: StableDebt) {
        let debts = self.stable.get_or_insert_default();
        if debt == StableDebt::default() {
            debts.remove(&reserve);
        } else {
            debts.insert(reserve, debt);
        }
        if debts.is_empty() {
            self.stable = None;
        }
    }

    /// Whether a reserve is switched on as collateral.
    #[must_use]
    pub fn is_collateral(&self, reserve: ReserveId) -> bool {
        bit(reserve) & self.collateral != 0
    }
}

fn bit(reserve: ReserveId) -> u128 {
    1_u128.checked_shl(u32::from(reserve.0)).unwrap_or(0)
}

/// Accounts side by side; behind the last there are empty ones.
type Page = [Person; PAGE];

/// All accounts. A clone shares everything and costs a pointer for each page.
#[derive(Debug, Clone)]
pub struct Accounts {
    pages: Vec<Arc<Page>>,
    count: u32,
    /// Numbers of accounts by the hash of their address; the addresses are in the pages.
    index: Vec<Arc<HashTable<u32>>>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { pages: Vec::new(), count: 0, index: vec![Arc::default(); SHARDS] }
    }
}

/// The index follows from the pages.
impl PartialEq for Accounts {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count && self.pages == other.pages
    }
}

/// A fixed mixture of an address's bits: no result depends on it, only how fast an account is found.
#[inline]
fn hash(address: &Address) -> u64 {
    let (first, rest) = address.0.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let (second, rest) = rest.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    let third = rest.first_chunk::<4>().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        let [low, high] = [product & u128::from(u64::MAX), product >> 64].map(|half| u64::try_from(half).unwrap_or(0));
        low ^ high
    };
    let first = u64::from_le_bytes(*first) ^ 0x9e37_79b9_7f4a_7c15;
    let second = u64::from_le_bytes(*second) ^ 0xd134_2543_de82_ef95;
    fold(fold(first, second) ^ u64::from(third), 0xa076_1d64_78bd_642f)
}

fn shard(hash: u64) -> usize {
    // The table itself looks at the lowest and the highest bits.
    usize::from(hash.to_le_bytes()[4]) % SHARDS
}

fn place(id: u32) -> (usize, usize) {
    let id = usize::try_from(id).unwrap_or(usize::MAX);
    (id / PAGE, id % PAGE)
}

#[inline]
fn person(pages: &[Arc<Page>], id: u32) -> &Person {
    let (page, slot) = place(id);
    &pages[page][slot]
}

impl Accounts {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of an address.
    #[must_use]
    #[inline]
    pub fn find(&self, address: &Address) -> Option<AccountId> {
        let hash = hash(address);
        let found = self.index[shard(hash)].find(hash, |id| person(&self.pages, *id).address == *address);
        found.copied().map(AccountId)
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: AccountId) -> Option<&Person> {
        (id.0 < self.count).then(|| person(&self.pages, id.0))
    }

    /// All of them, in the order in which they were first seen.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &Person)> {
        (0..self.count).map(AccountId).zip(self.pages.iter().flat_map(|page| page.iter()))
    }

    /// The number of an address, a new one where it was never seen.
    pub(super) fn intern(&mut self, address: &Address) -> AccountId {
        let hash = hash(address);
        let table = &self.index[shard(hash)];
        if let Some(id) = table.find(hash, |id| person(&self.pages, *id).address == *address) {
            return AccountId(*id);
        }
        let id = self.count;
        if place(id).1 == 0 {
            self.pages.push(Arc::new(std::array::from_fn(|_| Person::default())));
        }
        self.count += 1;
        self.person_mut(AccountId(id)).address = *address;
        let pages = &self.pages;
        let rehash = |id: &u32| self::hash(&person(pages, *id).address);
        Arc::make_mut(&mut self.index[shard(hash)]).insert_unique(hash, id, rehash);
        AccountId(id)
    }

    /// Forgets the accounts that were seen last, as if they had never been.
    pub(super) fn truncate(&mut self, count: u32) {
        while self.count > count {
            let id = self.count - 1;
            let hash = hash(&person(&self.pages, id).address);
            if let Ok(entry) = Arc::make_mut(&mut self.index[shard(hash)]).find_entry(hash, |known| *known == id) {
                entry.remove();
            }
            *self.person_mut(AccountId(id)) = Person::default();
            if place(id).1 == 0 {
                self.pages.pop();
            }
            self.count = id;
        }
    }

    #[inline]
    fn person_mut(&mut self, id: AccountId) -> &mut Person {
        let (page, slot) = place(id.0);
        &mut Arc::make_mut(&mut self.pages[page])[slot]
    }

    #[inline]
    pub(super) fn scaled(&self, id: AccountId, reserve: ReserveId, side: Side) -> u128 {
        person(&self.pages, id.0).scaled(reserve, side)
    }

    #[inline]
    pub(super) fn set_scaled(&mut self, id: AccountId, reserve: ReserveId, side: Side, scaled: u128) {
        self.person_mut(id).set_scaled(reserve, side, scaled);
    }

    pub(super) fn set_stable(&mut self, id: AccountId, reserve: ReserveId, debt: StableDebt) {
        self.person_mut(id).set_stable(reserve, debt);
    }

    /// Sets or clears a collateral bit; says what it was.
    pub(super) fn set_collateral(&mut self, id: AccountId, reserve: ReserveId, on: bool) -> bool {
        let person = self.person_mut(id);
        let was = person.is_collateral(reserve);
        if on {
            person.collateral |= bit(reserve);
        } else {
            person.collateral &= !bit(reserve);
        }
        was
    }

    /// Sets a category; says what it was.
    pub(super) fn set_e_mode(&mut self, id: AccountId, category: u8) -> u8 {
        std::mem::replace(&mut self.person_mut(id).e_mode, category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seen_are_forgotten_without_a_trace() {
        let address = |number: u32| Address::left_padding_from(&number.to_be_bytes());
        let mut accounts = Accounts::default();
        for number in 0..200 {
            assert_eq!(accounts.intern(&address(number)), AccountId(number));
            assert_eq!(accounts.intern(&address(number / 2)), AccountId(number / 2));
        }
        let whole = accounts.clone();
        accounts.truncate(63);
        assert_eq!((accounts.len(), accounts.find(&address(63))), (63, None));
        assert_eq!(accounts.iter().count(), 63);
        for number in 63..200 {
            accounts.intern(&address(number));
        }
        assert!(accounts == whole);
        assert!((0..200).all(|number| accounts.find(&address(number)) == Some(AccountId(number))));
    }

    /// Whatever is set in whatever order, an account holds what a map would, and equal accounts are equal values.
    #[test]
    fn holdings_are_those_of_a_map() {
        let mut chance = 1_u64;
        let mut draw = |below: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % below
        };
        let (mut person, mut map) = (Person::default(), BTreeMap::new());
        let mut largest = 0;
        for _ in 0..20_000 {
            let reserve = ReserveId(u8::try_from(draw(5)).unwrap());
            let (side, scaled) = (if draw(2) == 0 { Side::Supply } else { Side::Debt }, u128::from(draw(3)));
            person.set_scaled(reserve, side, scaled);
            let (supplied, borrowed) = map.entry(reserve).or_insert((0, 0));
            *(if side == Side::Supply { supplied } else { borrowed }) = scaled;
            map.retain(|_, held| *held != (0, 0));
            let expected = map.iter().map(|(reserve, held)| (*reserve, held.0, held.1));
            assert!(person.holdings.iter().map(|held| (held.reserve, held.supplied, held.borrowed)).eq(expected));
            let mut anew = Person::default();
            for held in &person.holdings {
                anew.set_scaled(held.reserve, Side::Debt, held.borrowed);
                anew.set_scaled(held.reserve, Side::Supply, held.supplied);
            }
            assert_eq!(anew, person);
            largest = largest.max(map.len());
        }
        assert!(largest > FEW + 1, "both ways to keep them were taken");
    }

    #[test]
    fn a_snapshot_does_not_see_what_is_written_after_it() {
        let mut accounts = Accounts::default();
        let id = accounts.intern(&Address::ZERO);
        let before = accounts.clone();
        accounts.set_scaled(id, ReserveId(3), Side::Debt, 5);
        assert_eq!(
            (before.scaled(id, ReserveId(3), Side::Debt), accounts.scaled(id, ReserveId(3), Side::Debt)),
            (0, 5)
        );
        accounts.set_scaled(id, ReserveId(3), Side::Debt, 0);
        assert!(accounts == before);
    }
}
