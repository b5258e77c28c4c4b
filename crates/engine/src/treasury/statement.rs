//! Income statement, balance sheet and cash flow by month, from a ledger's journal.
//!
//! Amounts are in the smallest unit of each asset; nothing is netted between assets. In US dollars, income and flows of cash are at what
//! their transfer says it was worth, else at the price of its day; balances are at the last price of the month. Where there is no
//! price there is no value, and how many amounts lack one is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{Civil, DAY_US, TimeUs, civil_from_day, day_from_civil};
use protocol::{Address, U256};

use super::account::{Account, Asset, Class, Code};
use super::ledger::Journalled;
use super::transfer::Entry;

/// A month of the civil calendar in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    /// The year, as written.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
}

impl Month {
    /// The month of a moment.
    #[must_use]
    pub fn of(time: TimeUs) -> Self {
        let Civil { year, month, .. } = civil_from_day(time.day());
        Self { year, month }
    }

    /// The month after it.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.month >= 12 {
            Self { year: self.year.saturating_add(1), month: 1 }
        } else {
            Self { month: self.month.saturating_add(1), ..self }
        }
    }

    /// Its first day, counted from 1970-01-01.
    #[must_use]
    pub fn first_day(self) -> i64 {
        day_from_civil(Civil { year: self.year, month: self.month, day: 1 })
    }

    /// Its last day, counted likewise.
    #[must_use]
    pub fn last_day(self) -> i64 {
        self.next().first_day().saturating_sub(1)
    }
}

impl fmt::Display for Month {
    /// `2026-02`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)
    }
}

/// Prices by day, and how finely each asset is divided.
#[derive(Debug, Clone, Default)]
pub struct Prices {
    /// What a whole token cost on a day counted from 1970-01-01.
    days: BTreeMap<(Asset, i64), Usd8>,
    decimals: BTreeMap<Asset, u8>,
}

impl Prices {
    /// Says how many decimals an asset has; without, it has no value.
    pub fn divide(&mut self, asset: Asset, decimals: u8) {
        self.decimals.insert(asset, decimals);
    }

    /// Says what a whole token cost on the day of a moment, and returns what was said of that day before, which it replaces.
    pub fn set(&mut self, asset: Asset, time: TimeUs, price: Usd8) -> Option<Usd8> {
        self.days.insert((asset, time.0.div_euclid(DAY_US)), price)
    }

    /// What an amount was worth on a day, rounded towards zero to 10^-8 dollars: raw * price / 10^decimals.
    #[must_use]
    pub fn value(&self, asset: Asset, raw: i128, day: i64) -> Option<Usd8> {
        self.worth(asset, raw, *self.days.get(&(asset, day))?)
    }

    /// What an amount was worth at the last price of a month.
    #[must_use]
    pub fn closing_value(&self, asset: Asset, raw: i128, month: Month) -> Option<Usd8> {
        if raw == 0 {
            return Some(Usd8(0));
        }
        let days = self.days.range((asset, month.first_day())..=(asset, month.last_day()));
        self.worth(asset, raw, *days.map(|(_, price)| price).next_back()?)
    }

    fn worth(&self, asset: Asset, raw: i128, price: Usd8) -> Option<Usd8> {
        let one = U256::from(10).checked_pow(U256::from(*self.decimals.get(&asset)?))?;
        let price = U256::from(u128::try_from(price.0).ok()?);
        let worth = U256::from(raw.unsigned_abs()).checked_mul(price)?.checked_div(one)?;
        let worth: i128 = worth.try_into().ok()?;
        Some(Usd8(if raw < 0 { worth.saturating_neg() } else { worth }))
    }
}

/// By what a statement is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Per {
    /// By the reserve that an account is about.
    Reserve,
    /// By network.
    Network,
    /// Not at all.
    Consolidated,
}

/// A part of a split statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What is about a reserve; `None` what is about none.
    Reserve(ChainId, Option<Address>),
    /// What is on a network.
    Network(ChainId),
    /// Everything.
    All,
}

impl Per {
    const fn part(self, account: Account) -> Part {
        match self {
            Self::Reserve => Part::Reserve(account.asset.network, account.reserve),
            Self::Network => Part::Network(account.asset.network),
            Self::Consolidated => Part::All,
        }
    }
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// Cash at the month's beginning.
    CashBefore,
    /// An account of the chart; in a cash flow, what cash came from it or went to it.
    Account(Code),
    /// Income less expenses since the ledger began.
    Retained,
    /// In a balance sheet by reserve: what balances it, as it is held for all reserves together.
    HeldInCommon,
    /// Cash at the month's end.
    CashAfter,
}

/// A line of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// The month.
    pub month: Month,
    /// The part.
    pub part: Part,
    /// The asset.
    pub asset: Asset,
    /// What it is about.
    pub item: Item,
    /// How much, in the asset's smallest unit: above zero where the account grew on its own side, or cash came in.
    pub raw: i128,
    /// What it was worth; none where any of it has no price.
    pub usd: Option<Usd8>,
    /// How many amounts in it have no price.
    pub without_usd: u64,
    /// How the weakest amount in it is known.
    pub standing: Standing,
}

/// A sum of amounts and of their values.
#[derive(Debug, Clone, Copy)]
struct Sum {
    raw: i128,
    usd: i128,
    without_usd: u64,
    standing: Standing,
}

impl Default for Sum {
    fn default() -> Self {
        Self { raw: 0, usd: 0, without_usd: 0, standing: Standing::Exact }
    }
}

impl Sum {
    fn add(&mut self, raw: i128, usd: Option<Usd8>, standing: Standing) {
        self.standing = self.standing.max(standing);
        self.raw = self.raw.checked_add(raw).expect("a ledger keeps the amounts of an asset below 38 digits");
        match usd.and_then(|usd| self.usd.checked_add(usd.0)) {
            Some(usd) => self.usd = usd,
            None => self.without_usd = self.without_usd.saturating_add(1),
        }
    }

    const fn worth(&self) -> Option<Usd8> {
        if self.without_usd == 0 { Some(Usd8(self.usd)) } else { None }
    }
}

type Key = (Month, Part, Asset, Item);

/// What an entry moved.
struct Move {
    month: Month,
    entry: Entry,
    usd: Option<Usd8>,
    standing: Standing,
}

fn moves<'a>(journal: &'a [Journalled], prices: &'a Prices) -> impl Iterator<Item = Move> + 'a {
    journal.iter().filter_map(|journalled| {
        let entry = journalled.moved?;
        let time = journalled.transfer.time;
        let raw = entry.amount.cast_signed();
        let usd = journalled.transfer.usd.or_else(|| prices.value(entry.debit.asset, raw, time.day()));
        Some(Move { month: Month::of(time), entry, usd, standing: journalled.transfer.standing })
    })
}

/// Both sides of an entry, each with the sign by which its account grows.
fn sides(entry: &Entry) -> [(Account, bool); 2] {
    let grows = |account: Account, by_debit: bool| (account, account.code.class().grows_by_debits() == by_debit);
    [grows(entry.debit, true), grows(entry.credit, false)]
}

fn signed(amount: u128, positive: bool) -> i128 {
    if positive { amount.cast_signed() } else { amount.cast_signed().saturating_neg() }
}

fn negated(usd: Option<Usd8>, positive: bool) -> Option<Usd8> {
    usd.map(|Usd8(usd)| Usd8(if positive { usd } else { usd.saturating_neg() }))
}

fn lines(sums: BTreeMap<Key, Sum>) -> Vec<Line> {
    let line = |((month, part, asset, item), sum): (Key, Sum)| Line {
        month,
        part,
        asset,
        item,
        raw: sum.raw,
        usd: sum.worth(),
        without_usd: sum.without_usd,
        standing: sum.standing,
    };
    sums.into_iter().map(line).collect()
}

/// What was earned and used up in each month.
#[must_use]
pub fn income(journal: &[Journalled], per: Per, prices: &Prices) -> Vec<Line> {
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for Move { month, entry, usd, standing } in moves(journal, prices) {
        for (account, grows) in sides(&entry) {
            if matches!(account.code.class(), Class::Income | Class::Expense) {
                let key = (month, per.part(account), account.asset, Item::Account(account.code));
                sums.entry(key).or_default().add(signed(entry.amount, grows), negated(usd, grows), standing);
            }
        }
    }
    lines(sums)
}

/// An amount, and how the weakest part of it is known.
type Stock = (i128, Standing);

fn put(to: &mut Stock, (raw, standing): Stock) {
    *to = (to.0.saturating_add(raw), to.1.max(standing));
}

/// What every account held at the end of each month, from the first that has a transfer to the last.
fn balances(journal: &[Journalled]) -> BTreeMap<Month, BTreeMap<Account, Stock>> {
    let mut changes: BTreeMap<Month, BTreeMap<Account, Stock>> = BTreeMap::new();
    for Move { month, entry, standing, .. } in moves(journal, &Prices::default()) {
        for (account, grows) in sides(&entry) {
            let sum = changes.entry(month).or_default().entry(account).or_insert((0, Standing::Exact));
            put(sum, (signed(entry.amount, grows), standing));
        }
    }
    let mut all = BTreeMap::new();
    let mut now: BTreeMap<Account, Stock> = BTreeMap::new();
    for month in months(changes.keys().copied()) {
        for (account, change) in changes.get(&month).into_iter().flatten() {
            put(now.entry(*account).or_insert((0, Standing::Exact)), *change);
        }
        all.insert(month, now.clone());
    }
    all
}

/// Every month from the first to the last.
fn months(some: impl Iterator<Item = Month> + Clone) -> Vec<Month> {
    let (first, last) = (some.clone().min(), some.max());
    let Some((first, last)) = first.zip(last) else { return Vec::new() };
    std::iter::successors(Some(first), |month| Some(month.next())).take_while(|month| *month <= last).collect()
}

/// What there is, what is owed and what is left at the end of each month. Income less expenses is one line of equity; its value is
/// what the other lines leave, so that what rounding takes of them (less than 10^-8 dollars a line) stands there.
///
/// # Panics
/// Assets are not liabilities and equity, which is a mistake of the ledger.
#[must_use]
pub fn balance(journal: &[Journalled], per: Per, prices: &Prices) -> Vec<Line> {
    let mut found = Vec::new();
    for (month, accounts) in balances(journal) {
        let mut sums: BTreeMap<(Part, Asset), Items> = BTreeMap::new();
        for (account, (raw, standing)) in accounts {
            let items = sums.entry((per.part(account), account.asset)).or_default();
            let (item, raw) = match account.code.class() {
                Class::Income => (Item::Retained, raw),
                Class::Expense => (Item::Retained, raw.saturating_neg()),
                Class::Asset | Class::Liability | Class::Equity => (Item::Account(account.code), raw),
            };
            put(items.entry(item).or_insert((0, Standing::Exact)), (raw, standing));
        }
        for ((part, asset), mut items) in sums {
            close(per, &mut items);
            found.extend(valued(month, part, asset, &items, prices));
        }
    }
    found
}

/// The lines of one asset in one part of a balance sheet.
type Items = BTreeMap<Item, Stock>;

/// Whether an item stands on the left of a balance sheet.
const fn is_left(item: Item) -> bool {
    matches!(item, Item::Account(code) if code.class().grows_by_debits())
}

/// Left less right.
fn difference(items: &Items) -> i128 {
    let side = |(item, (raw, _)): (&Item, &Stock)| if is_left(*item) { *raw } else { raw.saturating_neg() };
    items.iter().map(side).fold(0, i128::saturating_add)
}

/// Balances a sheet by reserve, and asserts that any other balances by itself.
fn close(per: Per, items: &mut Items) {
    let open = difference(items);
    let standing = items.values().map(|(_, standing)| *standing).max().unwrap_or(Standing::Exact);
    if per == Per::Reserve && open != 0 {
        items.insert(Item::HeldInCommon, (open, standing));
    }
    items.entry(Item::Retained).or_insert((0, standing));
    assert_eq!(difference(items), 0, "assets are liabilities and equity");
}

fn valued(month: Month, part: Part, asset: Asset, items: &Items, prices: &Prices) -> Vec<Line> {
    let mut left = Some(0_i128);
    let mut lines = Vec::new();
    for (item, stock) in items.iter().filter(|(item, _)| **item != Item::Retained) {
        let usd = prices.closing_value(asset, stock.0, month);
        let signed = usd.map(|usd| if is_left(*item) { usd.0 } else { usd.0.saturating_neg() });
        left = left.zip(signed).and_then(|(left, usd)| left.checked_add(usd));
        lines.push((*item, *stock, usd));
    }
    let retained = items.get(&Item::Retained).copied().unwrap_or((0, Standing::Exact));
    lines.push((Item::Retained, retained, left.map(Usd8)));
    let line = |(item, (raw, standing), usd): (Item, Stock, Option<Usd8>)| Line {
        month,
        part,
        asset,
        item,
        raw,
        usd,
        without_usd: u64::from(usd.is_none()),
        standing,
    };
    lines.into_iter().map(line).collect()
}

/// Where cash came from and went to in each month (the direct method), between what was there before and after it. Transfers from cash
/// to cash are none. By reserve, a flow belongs to the reserve that its other side is about, and there is nothing before and after it:
/// cash is held for all reserves together.
///
/// # Panics
/// The flows do not come to the change of the balance sheet's cash, which is a mistake of this module.
#[must_use]
pub fn cash(journal: &[Journalled], per: Per, prices: &Prices) -> Vec<Line> {
    let mut flows: BTreeMap<Key, Sum> = BTreeMap::new();
    for Move { month, entry, usd, standing } in moves(journal, prices) {
        let [debit, credit] = [entry.debit, entry.credit].map(|account| account.code == Code::Cash);
        if debit == credit {
            continue;
        }
        let other = if debit { entry.credit } else { entry.debit };
        let key = (month, per.part(other), other.asset, Item::Account(other.code));
        flows.entry(key).or_default().add(signed(entry.amount, debit), negated(usd, debit), standing);
    }
    let parts: BTreeSet<(Part, Asset)> = flows.keys().map(|(_, part, asset, _)| (*part, *asset)).collect();
    let sheets = balances(journal);
    let mut found = Vec::new();
    let mut held: BTreeMap<(Part, Asset), Stock> = BTreeMap::new();
    for (month, accounts) in &sheets {
        for (part, asset) in &parts {
            let before = held.get(&(*part, *asset)).copied().unwrap_or((0, Standing::Exact));
            let within = (*month, *part, *asset, Item::CashBefore)..=(*month, *part, *asset, Item::CashAfter);
            let some: BTreeMap<Key, Sum> = flows.range(within).map(|(key, sum)| (*key, *sum)).collect();
            let mut after = before;
            some.values().for_each(|flow| put(&mut after, (flow.raw, flow.standing)));
            held.insert((*part, *asset), after);
            if per == Per::Reserve {
                found.extend(lines(some));
                continue;
            }
            found.push(stock(*month, *part, *asset, (Item::CashBefore, before), prices));
            found.extend(lines(some));
            found.push(stock(*month, *part, *asset, (Item::CashAfter, after), prices));
        }
        reconcile(accounts, &held);
    }
    found
}

/// A line of what is there, at the last price of its month; what was there before has the last price of the month before.
fn stock(month: Month, part: Part, asset: Asset, (item, (raw, standing)): (Item, Stock), prices: &Prices) -> Line {
    let before = Month::of(TimeUs::from_day(month.first_day().saturating_sub(1)));
    let usd = prices.closing_value(asset, raw, if item == Item::CashBefore { before } else { month });
    Line { month, part, asset, item, raw, usd, without_usd: u64::from(usd.is_none()), standing }
}

/// Asserts that what flowed came to what cash accounts hold.
fn reconcile(accounts: &BTreeMap<Account, Stock>, held: &BTreeMap<(Part, Asset), Stock>) {
    let mut open: BTreeMap<Asset, i128> = BTreeMap::new();
    for (account, (raw, _)) in accounts.iter().filter(|(account, _)| account.code == Code::Cash) {
        let sum = open.entry(account.asset).or_default();
        *sum = sum.saturating_add(*raw);
    }
    for ((_, asset), (raw, _)) in held {
        let sum = open.entry(*asset).or_default();
        *sum = sum.saturating_sub(*raw);
    }
    assert!(open.values().all(|raw| *raw == 0), "flows come to the change of cash");
}

#[cfg(test)]
mod tests;
