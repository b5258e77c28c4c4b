//! Who holds what: interned accounts in pages that are shared until somebody writes to them.

use std::collections::BTreeMap;
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

/// One account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Its address.
    pub address: Address,
    /// Its e-mode category, 0 for none.
    pub e_mode: u8,
    /// A bit for each reserve that is switched on as collateral.
    pub collateral: u128,
    /// In the pool's order.
    pub holdings: Vec<Holding>,
    /// Stable debt, which few ever had (to 3.1).
    pub stable: Option<Box<BTreeMap<ReserveId, StableDebt>>>,
}

impl Person {
    fn new(address: Address) -> Self {
        Self { address, e_mode: 0, collateral: 0, holdings: Vec::new(), stable: None }
    }

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
                // Most have one holding or two, and of many accounts room for more would be most of the memory.
                self.holdings.reserve_exact(1);
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

/// All accounts. A clone shares everything and costs a pointer for each page.
#[derive(Debug, Clone)]
pub struct Accounts {
    pages: Vec<Arc<Vec<Person>>>,
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
        self.pages == other.pages
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

fn person(pages: &[Arc<Vec<Person>>], id: u32) -> &Person {
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
        let (page, slot) = place(id.0);
        self.pages.get(page)?.get(slot)
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
            self.pages.push(Arc::new(Vec::with_capacity(PAGE)));
        }
        if let Some(page) = self.pages.last_mut() {
            Arc::make_mut(page).push(Person::new(*address));
        }
        self.count += 1;
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
            if let Some(page) = self.pages.last_mut() {
                Arc::make_mut(page).pop();
            }
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
