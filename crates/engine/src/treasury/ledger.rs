//! Balances and the journal they follow from. One ledger is kept per asset; in each, debits and credits are equal after every entry.

use std::collections::BTreeMap;

use protocol::Address;
use protocol::amount::MAX_38_DIGITS;

use super::account::{Account, Asset, Code, Limit};
use super::transfer::{Action, Entry, Id, Transfer};

/// What stands on an account, in the smallest unit of its asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// Posted on the left.
    pub debits: u128,
    /// Posted on the right.
    pub credits: u128,
    /// Held on the left.
    pub debits_held: u128,
    /// Held on the right.
    pub credits_held: u128,
}

impl Balance {
    /// Debits less credits, posted. A ledger keeps both below 38 digits, so that the difference fits.
    #[must_use]
    pub fn signed(&self) -> i128 {
        self.debits.cast_signed().saturating_sub(self.credits.cast_signed())
    }
}

/// What became of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It stands in the journal now.
    Posted,
    /// It stood there before and says the same.
    Repeated,
    /// It changed nothing.
    Refused(Refusal),
}

/// Why a transfer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another transfer has its id.
    IdTaken,
    /// An account was never opened.
    UnknownAccount(Account),
    /// The two accounts are kept in different assets.
    OtherAsset,
    /// Both sides are one account.
    SameAccount,
    /// It moves nothing.
    ZeroAmount,
    /// The asset's books would leave 38 digits.
    Overflow,
    /// Nothing was ever held under that id.
    HeldNotFound,
    /// What was held was posted or voided already.
    HeldSettled,
    /// More than was held.
    HeldExceeded {
        /// What was held.
        held: u128,
    },
    /// An account would fall below zero.
    Insufficient {
        /// The account.
        account: Account,
        /// By how much.
        short_by: u128,
    },
    /// Another transfer of its group was refused.
    Linked,
    /// Part of its group stands in the journal already, and part does not: it is not the group that was posted.
    GroupKnownInPart,
}

/// What became of an amount that was held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// It still is.
    Open(Entry),
    /// So much of it was posted.
    Posted(u128),
    /// It was let go.
    Voided,
}

/// A transfer in the journal with what it moved for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journalled {
    /// The transfer.
    pub transfer: Transfer,
    /// What it moved between which accounts; none for a hold and for one that was let go.
    pub moved: Option<Entry>,
    /// The number of its group, the first being 0.
    pub group: u64,
}

/// Accounts, their balances and the journal.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    balances: BTreeMap<Account, Balance>,
    places: BTreeMap<Id, usize>,
    held: BTreeMap<Id, Held>,
    journal: Vec<Journalled>,
    groups: u64,
}

/// What a group changed so far, to be undone in reverse.
#[derive(Debug, Default)]
struct Changes {
    balances: Vec<(Account, Balance)>,
    held: Vec<(Id, Option<Held>)>,
    journalled: usize,
}

impl Ledger {
    /// Opens an account; one that is open stays as it is.
    pub fn open(&mut self, account: Account) {
        self.balances.entry(account).or_default();
    }

    /// Opens every account that a transfer names.
    pub fn open_for(&mut self, transfer: &Transfer) {
        if let Action::Post(entry) | Action::Hold(entry) = transfer.action {
            self.open(entry.debit);
            self.open(entry.credit);
        }
    }

    /// Posts one transfer, or says why not.
    pub fn apply(&mut self, transfer: &Transfer) -> Outcome {
        self.apply_group(std::slice::from_ref(transfer)).pop().unwrap_or(Outcome::Refused(Refusal::Linked))
    }

    /// Posts all transfers of a group in their order, or none of them: one outcome for each.
    ///
    /// # Panics
    /// Debits and credits of an asset differ, which is a mistake of this module.
    pub fn apply_group(&mut self, group: &[Transfer]) -> Vec<Outcome> {
        let known = group.iter().filter(|transfer| self.places.contains_key(&transfer.id)).count();
        if known == group.len() {
            return self.repeated(group);
        }
        let mut changes = Changes::default();
        for (at, transfer) in group.iter().enumerate() {
            let result = if self.is_known_before(transfer, changes.journalled) {
                Err(Refusal::GroupKnownInPart)
            } else {
                self.post(transfer, &mut changes)
            };
            if let Err(why) = result {
                self.undo(changes);
                let mut outcomes = vec![Outcome::Refused(Refusal::Linked); group.len()];
                outcomes[at] = Outcome::Refused(why);
                return outcomes;
            }
        }
        self.groups = self.groups.saturating_add(1);
        vec![Outcome::Posted; group.len()]
    }

    /// What became of a group whose ids are all known.
    fn repeated(&self, group: &[Transfer]) -> Vec<Outcome> {
        let stands =
            |transfer: &Transfer| self.transfer(transfer.id).is_some_and(|known| known.says_the_same(transfer));
        if group.iter().all(stands) {
            return vec![Outcome::Repeated; group.len()];
        }
        let why = |transfer| if stands(transfer) { Refusal::Linked } else { Refusal::IdTaken };
        group.iter().map(|transfer| Outcome::Refused(why(transfer))).collect()
    }

    /// Whether an id stood in the journal before the group that is being posted, and says the same: that one is its group's, and the
    /// rest of this group is not.
    fn is_known_before(&self, transfer: &Transfer, journalled: usize) -> bool {
        let before = self.journal.len().saturating_sub(journalled);
        let place = self.places.get(&transfer.id).filter(|place| **place < before);
        place.is_some_and(|place| self.journal[*place].transfer.says_the_same(transfer))
    }

    fn post(&mut self, transfer: &Transfer, changes: &mut Changes) -> Result<(), Refusal> {
        if self.places.contains_key(&transfer.id) {
            return Err(Refusal::IdTaken);
        }
        let moved = match transfer.action {
            Action::Post(entry) => {
                self.check(&entry)?;
                self.change(&entry, changes, |debit, credit| {
                    debit.debits = debit.debits.saturating_add(entry.amount);
                    credit.credits = credit.credits.saturating_add(entry.amount);
                });
                Some(entry)
            }
            Action::Hold(entry) => {
                self.check(&entry)?;
                self.change(&entry, changes, |debit, credit| {
                    debit.debits_held = debit.debits_held.saturating_add(entry.amount);
                    credit.credits_held = credit.credits_held.saturating_add(entry.amount);
                });
                self.settle(transfer.id, Held::Open(entry), changes);
                None
            }
            Action::PostHeld { held, amount } => {
                let entry = self.open_hold(held)?;
                let amount = amount.unwrap_or(entry.amount);
                if amount == 0 {
                    return Err(Refusal::ZeroAmount);
                }
                if amount > entry.amount {
                    return Err(Refusal::HeldExceeded { held: entry.amount });
                }
                self.release(&entry, amount, changes);
                self.settle(held, Held::Posted(amount), changes);
                Some(Entry { amount, ..entry })
            }
            Action::VoidHeld { held } => {
                let entry = self.open_hold(held)?;
                self.release(&entry, 0, changes);
                self.settle(held, Held::Voided, changes);
                None
            }
        };
        self.places.insert(transfer.id, self.journal.len());
        self.journal.push(Journalled { transfer: transfer.clone(), moved, group: self.groups });
        changes.journalled = changes.journalled.saturating_add(1);
        Ok(())
    }

    fn open_hold(&self, id: Id) -> Result<Entry, Refusal> {
        match self.held.get(&id) {
            Some(Held::Open(entry)) => Ok(*entry),
            Some(Held::Posted(_) | Held::Voided) => Err(Refusal::HeldSettled),
            None => Err(Refusal::HeldNotFound),
        }
    }

    /// Whether the entry can stand on its accounts.
    fn check(&self, entry: &Entry) -> Result<(), Refusal> {
        let Entry { debit, credit, amount } = *entry;
        if amount == 0 {
            return Err(Refusal::ZeroAmount);
        }
        if debit.asset != credit.asset {
            return Err(Refusal::OtherAsset);
        }
        if debit == credit {
            return Err(Refusal::SameAccount);
        }
        let balance = |account: Account| self.balances.get(&account).ok_or(Refusal::UnknownAccount(account));
        let (left, right) = (balance(debit)?, balance(credit)?);
        // All debits of an asset, posted and held, stay below 38 digits; so does every balance.
        let all = self
            .of_asset(debit.asset)
            .try_fold(amount, |sum, (_, balance)| sum.checked_add(balance.debits)?.checked_add(balance.debits_held));
        if all.is_none_or(|all| all > MAX_38_DIGITS) {
            return Err(Refusal::Overflow);
        }
        let within = |account: Account, taken: [u128; 2], given: u128| {
            let taken = taken[0].saturating_add(taken[1]).saturating_add(amount);
            match taken.checked_sub(given) {
                Some(short_by) if short_by > 0 => Err(Refusal::Insufficient { account, short_by }),
                _ => Ok(()),
            }
        };
        if debit.code.limit() == Limit::DebitsWithinCredits {
            within(debit, [left.debits, left.debits_held], left.credits)?;
        }
        if credit.code.limit() == Limit::CreditsWithinDebits {
            within(credit, [right.credits, right.credits_held], right.debits)?;
        }
        Ok(())
    }

    /// Changes both balances of an entry and asserts that its asset's books balance.
    fn change(&mut self, entry: &Entry, changes: &mut Changes, with: impl Fn(&mut Balance, &mut Balance)) {
        let [mut debit, mut credit] = [entry.debit, entry.credit].map(|account| self.balance(account));
        changes.balances.extend([(entry.debit, debit), (entry.credit, credit)]);
        with(&mut debit, &mut credit);
        self.balances.insert(entry.debit, debit);
        self.balances.insert(entry.credit, credit);
        self.assert_balanced(entry.debit.asset);
    }

    /// Lets go of what an entry held and posts a part of it.
    fn release(&mut self, entry: &Entry, posted: u128, changes: &mut Changes) {
        self.change(entry, changes, |debit, credit| {
            debit.debits_held = debit.debits_held.checked_sub(entry.amount).expect("what is released was held");
            credit.credits_held = credit.credits_held.checked_sub(entry.amount).expect("what is released was held");
            debit.debits = debit.debits.saturating_add(posted);
            credit.credits = credit.credits.saturating_add(posted);
        });
    }

    fn settle(&mut self, id: Id, state: Held, changes: &mut Changes) {
        let before = self.held.insert(id, state);
        changes.held.push((id, before));
    }

    fn undo(&mut self, changes: Changes) {
        for (account, before) in changes.balances.into_iter().rev() {
            self.balances.insert(account, before);
        }
        for (id, before) in changes.held.into_iter().rev() {
            match before {
                Some(state) => self.held.insert(id, state),
                None => self.held.remove(&id),
            };
        }
        for _ in 0..changes.journalled {
            if let Some(gone) = self.journal.pop() {
                self.places.remove(&gone.transfer.id);
            }
        }
    }

    fn assert_balanced(&self, asset: Asset) {
        let sum = |side: fn(&Balance) -> u128| {
            self.of_asset(asset).try_fold(0_u128, |sum, (_, balance)| sum.checked_add(side(balance)))
        };
        let equal = |debits: Option<u128>, credits: Option<u128>| debits.is_some() && debits == credits;
        assert!(equal(sum(|b| b.debits), sum(|b| b.credits)), "posted debits and credits of an asset are equal");
        assert!(equal(sum(|b| b.debits_held), sum(|b| b.credits_held)), "held debits and credits are equal");
    }

    /// The accounts of an asset.
    fn of_asset(&self, asset: Asset) -> impl Iterator<Item = (&Account, &Balance)> {
        // Accounts are ordered by asset first, and cash about no reserve is the first account of each.
        let first = Account { asset, code: Code::Cash, reserve: None };
        let last = Account { asset, code: Code::ServiceProviders, reserve: Some(Address::repeat_byte(0xff)) };
        self.balances.range(first..=last)
    }

    /// What stands on an account; nothing where it was never opened.
    #[must_use]
    pub fn balance(&self, account: Account) -> Balance {
        self.balances.get(&account).copied().unwrap_or_default()
    }

    /// All open accounts, ordered.
    pub fn accounts(&self) -> impl Iterator<Item = (&Account, &Balance)> {
        self.balances.iter()
    }

    /// The transfer of an id.
    #[must_use]
    pub fn transfer(&self, id: Id) -> Option<&Transfer> {
        self.places.get(&id).map(|place| &self.journal[*place].transfer)
    }

    /// What became of what was held under an id.
    #[must_use]
    pub fn held(&self, id: Id) -> Option<Held> {
        self.held.get(&id).copied()
    }

    /// Every transfer that was posted, in the order in which they came.
    #[must_use]
    pub fn journal(&self) -> &[Journalled] {
        &self.journal
    }
}

#[cfg(test)]
mod tests;
