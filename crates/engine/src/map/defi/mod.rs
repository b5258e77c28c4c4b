//! Lending markets on the price axis: who can be liquidated at each level, and what that moves.
//!
//! A [`Market`] is one market at one block, and which of its reserves move with the asset: the [`Group`]. At a level `L`
//! the price of each member is `floor(today * L / anchor)`, where the anchor is what the market's own oracle says of the
//! asset today, and all other prices stay; that is the path of [`protocol::aave::trigger::Path::Factor`]. An account *can
//! be liquidated at a level* where the contract's health factor, valued at those prices and at the block's time, is below
//! 1. Interest is not carried on to when a price might be reached.
//!
//! An [`Index`] makes one pass over the accounts. It finds for each an interval of factors outside which double precision
//! decides with proof (`edge`), ranks accounts by its end, and keeps sums of tokens along the ranks. A level's answer is
//! then a search and a few additions, plus the exact integer evaluation of those whose interval holds the level. So
//! membership is that of the integers, always, and sums of tokens are exact; the values are those of the sums, floored once
//! a reserve, class and market.
//!
//! The money of liquidations is that of *one* call an account, the first: on the pair that pays the liquidator most, as
//! large as the close factor allows, at the price at which the account becomes liquidatable for certain (today's for those
//! who are so today). Amounts are those of [`protocol::aave::liquidation::Pair`], to the unit; what they leave out is
//! that since 3.3 a call that would leave less than 1,000 dollars on one side must be smaller or larger, and that liquidity
//! to pay the collateral out may be missing. What an auction of the price update can recapture at most is bonus less the
//! protocol's fee, of those only whom the move makes liquidatable.

mod call;
mod edge;
mod index;
mod ranked;
mod series;
#[cfg(test)]
mod tests;
mod who;

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::aave::Revision;
use protocol::aave::account::{Block, Leg};
use protocol::aave::config::{EMode, ReserveId, ReserveSet};
use protocol::aave::math::Ray;
use protocol::aave::rates::Rates;
use protocol::aave::reserve::Reserve;
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::{U256, aave::trigger::Feed};

pub use index::{At, Index};
pub use ranked::Tally;
pub use series::{By, series};
pub use who::Who;

use call::Money;

/// One market at one block.
#[derive(Debug, Clone)]
pub struct Market {
    /// Its name.
    pub name: Arc<str>,
    /// Its chain, where that is known.
    pub chain: Option<ChainId>,
    /// The code it runs.
    pub revision: Revision,
    /// Its reserves, by number.
    pub reserves: Vec<Reserve>,
    /// Its e-mode categories.
    pub e_modes: BTreeMap<u8, EMode>,
    /// Time and prices; a price of zero is not known.
    pub block: Block,
    /// What a US dollar costs today, in the units of prices.
    pub dollar: U256,
    /// What moves.
    pub group: Group,
    /// The asset's price in this market today; above zero.
    pub anchor: Usd8,
    /// How its figures are known, at best.
    pub standing: Standing,
    /// Which terms of liquidation are known; a figure that rests on others is missing.
    pub knows: Knows,
}

/// Which terms of liquidation are known of a market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knows {
    /// The bonus.
    pub bonus: bool,
    /// The protocol's share of it.
    pub fee: bool,
}

impl Knows {
    /// Both, as of every market whose configuration is known.
    pub const ALL: Self = Self { bonus: true, fee: true };
}

/// Which prices move with the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Group {
    /// Reserves whose price keeps its ratio to the asset.
    pub members: ReserveSet,
    /// Base currency itself is in the group, as ether is in a market that counts in ether: then the members' prices stay,
    /// and all others move the other way.
    pub base_moves: bool,
}

/// One account's balances in one reserve, in the token's smallest unit, with interest to the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// What counts as collateral.
    supplied: u128,
    owed: u128,
    reserve: ReserveId,
}

/// One account that owes something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    id: u32,
    /// Where its legs begin, and how many there are.
    first: u32,
    count: u8,
    e_mode: u8,
    class: u8,
    has_money: bool,
    call: Money,
}

impl Entry {
    fn money(&self) -> Option<Money> {
        self.has_money.then_some(self.call)
    }
}

/// An account to be laid on the axis: its number, its category, and its legs at the market's block.
#[derive(Debug, Clone, Copy)]
pub struct Holder<'a> {
    /// The caller's number for it, such as [`AccountId`](crate::book::accounts::AccountId).
    pub id: u32,
    /// Its e-mode category, 0 for none.
    pub e_mode: u8,
    /// Its scaled balances.
    pub legs: &'a [Leg],
}

impl Market {
    /// The feed that prices a reserve for accounts of a category, as
    /// [`Subject::feed`](protocol::aave::trigger::Subject::feed) says.
    fn feed(&self, e_mode: u8, id: ReserveId) -> Feed {
        let config = self.reserves.get(usize::from(id.0)).map(|reserve| reserve.config);
        let category = self.e_modes.get(&e_mode).filter(|category| e_mode != 0 && category.has_price_source);
        let brings = self.revision.rules().e_mode == protocol::aave::revision::EModeRule::OneCategory
            && category.is_some()
            && config.is_some_and(|config| config.e_mode_category == e_mode)
            && Feed::Category(e_mode).price(&self.block).is_ok();
        if brings { Feed::Category(e_mode) } else { Feed::Reserve(id) }
    }

    /// Whether a feed is of the group. A category's own price is where one of its reserves is.
    fn is_member(&self, feed: Feed) -> bool {
        match feed {
            Feed::Reserve(id) => self.group.members.contains(id),
            Feed::Category(number) => (0..)
                .map(ReserveId)
                .zip(&self.reserves)
                .any(|(id, reserve)| reserve.config.e_mode_category == number && self.group.members.contains(id)),
        }
    }

    /// Whether a feed's number in base currency changes along the axis.
    fn changes(&self, feed: Feed) -> bool {
        self.is_member(feed) != self.group.base_moves
    }

    /// A price, or what a dollar costs, where the asset's is `level`; none where that is zero.
    fn moved(&self, today: U256, changes: bool, level: Usd8) -> Option<U256> {
        if !changes {
            return Some(today);
        }
        let [level, anchor] = [level, self.anchor].map(|price| u128::try_from(price.0).ok().map(U256::from));
        let (up, down) = if self.group.base_moves { (anchor?, level?) } else { (level?, anchor?) };
        today.checked_mul(up)?.checked_div(down).filter(|price| !price.is_zero())
    }

    /// The price of a reserve for accounts of a category where the asset's price is `level`, in base currency.
    fn price(&self, e_mode: u8, id: ReserveId, level: Usd8) -> Option<U256> {
        let feed = self.feed(e_mode, id);
        self.moved(feed.price(&self.block).ok()?, self.changes(feed), level)
    }

    /// The block with the prices of a level; none where a price would be zero there. What has no price today has none there.
    #[must_use]
    pub fn block_at(&self, level: Usd8) -> Option<Block> {
        let mut block = self.block.clone();
        for (id, price) in (0..=u8::MAX).map(ReserveId).zip(block.prices.iter_mut()) {
            if !price.is_zero() {
                *price = self.moved(*price, self.changes(Feed::Reserve(id)), level)?;
            }
        }
        for (number, price) in &mut block.e_mode_prices {
            if !price.is_zero() {
                *price = self.moved(*price, self.changes(Feed::Category(*number)), level)?;
            }
        }
        Some(block)
    }

    /// The reserves with indexes of one: balances are what they are worth, and nothing grows.
    fn settled(&self) -> Vec<Reserve> {
        let settle = |reserve: &Reserve| Reserve {
            rates: Rates::default(),
            liquidity_index: Ray::ONE,
            variable_borrow_index: Ray::ONE,
            last_update: self.block.now,
            ..reserve.clone()
        };
        self.reserves.iter().map(settle).collect()
    }
}

/// Legs as the protocol's arithmetic takes them, given [`Market::settled`].
fn as_legs(held: &[Held]) -> Vec<Leg> {
    let leg = |held: &Held| Leg {
        supplied: held.supplied,
        borrowed: held.owed,
        stable_debt: 0,
        reserve: held.reserve,
        is_collateral: held.supplied != 0,
        is_borrowing: held.owed != 0,
    };
    held.iter().map(leg).collect()
}
