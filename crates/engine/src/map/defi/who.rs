//! Whom a level reaches, and the exact price at which it does.

use std::collections::BTreeMap;

use protocol::U256;
use protocol::aave::account::{Account, Position, account_data};
use protocol::aave::config::{ReserveId, UserFlags};
use protocol::aave::trigger::{Direction, Feed, Path, Subject, Trigger, trigger};
use protocol::amount::Usd8;

use super::edge::Certain;
use super::index::{Index, with_all_prices};
use super::{Entry, Held};

/// An account that a level reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// The caller's number for it.
    pub id: u32,
    /// What it owes today.
    pub debt: Usd8,
    /// Its collateral in the group, today; missing where that is not known.
    pub collateral: Option<Usd8>,
    /// The first price of the asset, going from today's, at which it can be liquidated, to the unit; `None` where the search
    /// was given up.
    pub from: Option<Usd8>,
    /// Whether it is a rise that reaches it. It then can be liquidated at every higher price, and else at every lower one,
    /// from `certain` on at the latest.
    pub rises: bool,
    /// From here on, in the same direction, it can be liquidated without exception: rounding can make the health factor of
    /// someone with several collaterals pass 1 more than once.
    pub certain: Usd8,
}

/// An account with balances that are what they are worth.
pub(super) fn account(e_mode: u8, legs: &[Held]) -> Account {
    let mut flags = UserFlags::default();
    let mut positions = BTreeMap::new();
    for held in legs {
        flags.set_collateral(held.reserve, held.supplied != 0);
        flags.set_borrowing(held.reserve, held.owed != 0);
        let position =
            Position { supplied: U256::from(held.supplied), borrowed: U256::from(held.owed), ..Position::default() };
        positions.insert(held.reserve, position);
    }
    Account { flags, e_mode, positions }
}

impl Index {
    /// The accounts that become liquidatable between two prices on the same side of today's: at `level` and not at `nearer`.
    /// Those who owe most today come first; of equals, the lower number. Where rounding decides, an account stands with the
    /// level at which it is certain.
    #[must_use]
    pub fn who(&self, nearer: Usd8, level: Usd8, most: usize) -> Vec<Who> {
        let [near, far] = [nearer, level].map(|price| self.factor(price));
        let falls = level < nearer;
        let mut found: Vec<(Usd8, u32)> = Vec::new();
        for cell in &self.cells {
            let among = if falls { cell.falls.among(-near, -far) } else { cell.rises.among(near, far) };
            found.extend(
                among.iter().filter(|entry| !self.gone.contains(entry)).filter_map(|entry| self.owed_by(*entry)),
            );
        }
        for entry in self.fresh.iter().filter(|entry| !self.gone.contains(entry)) {
            let is_among = match self.edge_of(*entry) {
                Some(Certain::Below(edge)) => falls && far < edge && edge <= near,
                Some(Certain::Above(edge)) => !falls && near <= edge && edge < far,
                Some(Certain::Never) | None => false,
            };
            found.extend(is_among.then(|| self.owed_by(*entry)).flatten());
        }
        found.sort_unstable_by_key(|(debt, entry)| (std::cmp::Reverse(*debt), self.entries[*entry as usize].id));
        found.truncate(most);
        found.into_iter().filter_map(|(debt, entry)| self.one(entry, debt)).collect()
    }

    fn owed_by(&self, entry: u32) -> Option<(Usd8, u32)> {
        let Entry { e_mode, .. } = self.entries[entry as usize];
        Some((self.debt_today(e_mode, self.source().legs(entry))?, entry))
    }

    fn edge_of(&self, entry: u32) -> Option<Certain> {
        Some(self.edge(self.entries[entry as usize].e_mode, self.source().legs(entry))?.certain)
    }

    fn one(&self, entry: u32, debt: Usd8) -> Option<Who> {
        let Entry { id, e_mode, .. } = self.entries[entry as usize];
        let legs = self.source().legs(entry);
        let anchor = self.market.anchor;
        let (rises, edge) = match self.edge_of(entry)? {
            Certain::Below(edge) => (false, edge),
            Certain::Above(edge) => (true, edge),
            Certain::Never => return None,
        };
        #[expect(clippy::cast_possible_truncation, reason = "a float that is too large becomes the largest")]
        let certain = Usd8((anchor.0 as f64 * edge) as i128 + i128::from(rises));
        let members = legs.iter().filter(|held| self.market.group.members.contains(held.reserve));
        let collateral = members
            .map(|held| self.market.worth(held.reserve, held.supplied, anchor))
            .try_fold(Usd8(0), |sum, usd| sum.checked_add(usd?));
        Some(Who { id, debt, collateral, from: self.first_price(e_mode, legs, rises, certain), rises, certain })
    }

    /// The first price at which an account can be liquidated, going from today's.
    fn first_price(&self, e_mode: u8, legs: &[Held], rises: bool, certain: Usd8) -> Option<Usd8> {
        let (market, account) = (&self.market, account(e_mode, legs));
        let block = with_all_prices(&market.block, self.settled.len());
        if market.group.base_moves {
            return self.crossing(&account, rises, certain);
        }
        let subject = Subject {
            revision: market.revision,
            reserves: &self.settled,
            e_modes: &market.e_modes,
            account: &account,
            block: &block,
        };
        let feeds: Vec<Feed> = legs
            .iter()
            .map(|held| subject.feed(held.reserve))
            .filter(|feed| market.is_member(*feed))
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        let anchor = U256::from(u128::try_from(market.anchor.0).ok()?);
        let steps = U256::from(certain.0.abs_diff(market.anchor.0));
        let direction = if rises { Direction::Up } else { Direction::Down };
        let path = Path::Factor { feeds, direction, resolution: anchor, steps };
        match trigger(&subject, &path).ok()? {
            Trigger::Already => Some(market.anchor),
            Trigger::At(step) => {
                let steps = i128::try_from(u128::try_from(step.number).ok()?).ok()?;
                Some(Usd8(if rises { market.anchor.0 + steps } else { market.anchor.0 - steps }))
            }
            Trigger::Never | Trigger::Between { .. } => None,
        }
    }

    /// Where base currency moves: a price at which it can be liquidated, and one unit nearer to today's cannot.
    fn crossing(&self, account: &Account, rises: bool, certain: Usd8) -> Option<Usd8> {
        let market = &self.market;
        let is_liquidatable = |level: i128| {
            let block = with_all_prices(&market.block_at(Usd8(level))?, self.settled.len());
            let data = account_data(market.revision, &self.settled, &market.e_modes, account, &block).ok()?;
            Some(data.is_liquidatable())
        };
        let (mut healthy, mut reached) = (market.anchor.0, certain.0);
        if is_liquidatable(healthy)? {
            return Some(market.anchor);
        }
        while healthy.abs_diff(reached) > 1 {
            let middle = (healthy + reached) / 2;
            *(if is_liquidatable(middle)? { &mut reached } else { &mut healthy }) = middle;
        }
        let _ = rises;
        Some(Usd8(reached))
    }

    /// What so many smallest units of a reserve are worth today.
    #[must_use]
    pub fn worth(&self, id: ReserveId, amount: u128) -> Option<Usd8> {
        self.market.worth(id, amount, self.market.anchor)
    }

    /// What an account holds, for a caller who wants its legs: reserve, collateral, debt, in smallest units.
    #[must_use]
    pub fn holdings(&self, id: u32) -> Vec<(ReserveId, u128, u128)> {
        let entry = (0_u32..).zip(&self.entries).find(|(place, entry)| entry.id == id && !self.gone.contains(place));
        entry.map_or_else(Vec::new, |(place, _)| {
            self.source().legs(place).iter().map(|held| (held.reserve, held.supplied, held.owed)).collect()
        })
    }
}
