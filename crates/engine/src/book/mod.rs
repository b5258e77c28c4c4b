//! One market's state, folded from what its contracts said.
//!
//! * [`Book`]: takes events one by one, and takes them back;
//! * [`gap`]: what it cannot go on without, as a value that says what to bring;
//! * [`accounts`] and [`ground`]: who holds what, and everything else, shared until written to;
//! * [`view`]: a market as readers see it, and how an account is handed to the protocol's arithmetic;
//! * [`seized`]: what liquidations took, from the events of their transactions.
//!
//! A reserve's number is in no log: it is the order of listing, and a dropped reserve's number is taken again by the next
//! one. Borrow bits are not in the logs either: they are whether there is debt. V2 may leave one behind, and so may the
//! others to 3.3 where the last wei of debt rounds to nothing; that harms no figure.
//!
//! What this room does not do: it knows no logs (see `source::decode`), asks nobody, and writes nothing down.

pub mod accounts;
pub mod gap;
pub mod ground;
mod market;
pub mod seized;
mod tokens;
pub mod view;

use std::sync::Arc;

use protocol::aave::config::ReserveId;
use protocol::aave::log::{Entry, Indexes, Statement};
use protocol::aave::reserve::{StableDebt, StableTotals};
use protocol::event::{Event, Fact};
use protocol::{Address, U256};

use accounts::{AccountId, Accounts, Side};
pub use gap::Gap;
use ground::{Contract, Ground};
pub use view::View;

/// A market, folded up to some event.
#[derive(Debug, Clone, PartialEq)]
pub struct Book {
    ground: Ground,
    accounts: Accounts,
    at: Position,
}

/// Where the fold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position {
    block: u64,
    /// Its place in the block, one more than the event's; 0 before the first.
    next: u64,
    /// The block's time in seconds.
    now: u64,
}

/// How to take an event back: what it changed, as it was.
#[derive(Debug)]
pub struct Change {
    before: Position,
    accounts: u32,
    undo: Undo,
}

#[derive(Debug)]
enum Undo {
    Nothing,
    Scaled {
        account: AccountId,
        reserve: ReserveId,
        side: Side,
        was: u128,
    },
    Transfer {
        reserve: ReserveId,
        from: AccountId,
        to: AccountId,
        from_was: u128,
        to_was: u128,
    },
    Indexes {
        reserve: ReserveId,
        indexes: Indexes,
        last_update: u64,
    },
    Collateral {
        account: AccountId,
        reserve: ReserveId,
        was: bool,
    },
    EMode {
        account: AccountId,
        was: u8,
    },
    Stable(Box<StableWas>),
    /// Anything else but accounts.
    Ground(Box<Ground>),
    /// The same and one scaled balance.
    Read {
        ground: Box<Ground>,
        account: AccountId,
        reserve: ReserveId,
        side: Side,
        was: u128,
    },
}

#[derive(Debug)]
struct StableWas {
    account: AccountId,
    reserve: ReserveId,
    debt: StableDebt,
    totals: StableTotals,
    /// Where what is to be read changed too.
    ground: Option<Ground>,
}

/// One event's surroundings.
#[derive(Debug, Clone, Copy)]
struct Here {
    block: u64,
    now: u64,
    transaction: u32,
    by: Address,
}

type Folded = Result<Undo, Gap>;

impl Book {
    /// A market of which only the addresses provider is known.
    #[must_use]
    pub fn new(provider: Address) -> Self {
        Self { ground: Ground::new(provider), accounts: Accounts::default(), at: Position::default() }
    }

    /// Takes an event. Facts of other kinds change nothing.
    ///
    /// # Errors
    /// Something is missing; the book is as it was.
    pub fn apply(&mut self, event: &Event) -> Result<Change, Gap> {
        let before = self.at;
        let accounts = self.accounts.len();
        let undo = match &event.fact {
            Fact::Market(entry) => {
                self.advance(event, &entry.statement)?;
                let here =
                    Here { block: self.at.block, now: self.at.now, transaction: entry.transaction, by: entry.by };
                match self.fold(&here, entry) {
                    Ok(undo) => undo,
                    Err(gap) => {
                        self.accounts.truncate(accounts);
                        self.at = before;
                        return Err(gap);
                    }
                }
            }
            Fact::Liquidation(_) => Undo::Nothing,
        };
        Ok(Change { before, accounts, undo })
    }

    /// Takes an event back: the last one that was applied and not yet taken back.
    pub fn undo(&mut self, change: Change) {
        match change.undo {
            Undo::Nothing => {}
            Undo::Scaled { account, reserve, side, was } => self.put_scaled(account, reserve, side, was),
            Undo::Transfer { reserve, from, to, from_was, to_was } => {
                self.accounts.set_scaled(from, reserve, Side::Supply, from_was);
                self.accounts.set_scaled(to, reserve, Side::Supply, to_was);
            }
            Undo::Indexes { reserve, indexes, last_update } => {
                let listed = self.ground.listed_mut(reserve);
                (listed.indexes, listed.last_update) = (indexes, last_update);
            }
            Undo::Collateral { account, reserve, was } => {
                self.accounts.set_collateral(account, reserve, was);
            }
            Undo::EMode { account, was } => {
                self.accounts.set_e_mode(account, was);
            }
            Undo::Stable(was) => {
                self.accounts.set_stable(was.account, was.reserve, was.debt);
                match was.ground {
                    Some(ground) => self.ground = ground,
                    None => self.ground.listed_mut(was.reserve).stable = was.totals,
                }
            }
            Undo::Ground(ground) => self.ground = *ground,
            Undo::Read { ground, account, reserve, side, was } => {
                self.accounts.set_scaled(account, reserve, side, was);
                self.ground = *ground;
            }
        }
        self.accounts.truncate(change.accounts);
        self.at = change.before;
    }

    /// The market as it is now; later events do not reach it. Costs a pointer for each page of accounts.
    #[must_use]
    pub fn snapshot(&self) -> Arc<View> {
        Arc::new(self.view())
    }

    /// Moves on to an event's block, if nothing must be read before.
    fn advance(&mut self, event: &Event, statement: &Statement) -> Result<(), Gap> {
        if matches!(statement, Statement::Runs { .. } | Statement::Writes { .. }) {
            // What code is and does was so before anybody looked.
            return Ok(());
        }
        let (block, index) = (event.at.height, event.at.index);
        // Answers stand at the end of their block, any number of them in one place.
        let next = index.saturating_add(1);
        let is_answer = index == u64::MAX;
        let is_behind = (block, next) < (self.at.block, self.at.next);
        let is_repeated = !is_answer && (block, next) == (self.at.block, self.at.next);
        if is_behind || is_repeated {
            let last = (self.at.block, self.at.next.saturating_sub(1));
            return Err(Gap::OutOfOrder { event: (block, index), last });
        }
        if let Some(gap) = self.unread(block) {
            return Err(gap);
        }
        let now = u64::try_from(event.time.second()).unwrap_or(0);
        self.at = Position { block, next, now };
        Ok(())
    }

    /// What must still be read of the block of an upgrade before the book is whole.
    #[must_use]
    pub fn unsettled(&self) -> Option<Gap> {
        self.unread(u64::MAX)
    }

    /// What must be read of an earlier block before the fold goes on in this one.
    fn unread(&self, block: u64) -> Option<Gap> {
        let pending = self.ground.pending.as_ref().filter(|pending| pending.block < block)?;
        if let Some(id) = pending.reserves.first() {
            return Some(Gap::Unanchored { asset: self.ground.listed(*id).contracts.asset, block: pending.block });
        }
        if let Some(category) = pending.e_modes.first() {
            return Some(Gap::UnanchoredEMode { category: *category, block: pending.block });
        }
        let (id, account) = *pending.stable.first()?;
        let asset = self.ground.listed(id).contracts.asset;
        Some(Gap::StrandedStableDebt { asset, account, block: pending.block })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what happens often stands here, the rest in `rare`")]
    fn fold(&mut self, here: &Here, entry: &Entry) -> Folded {
        match &entry.statement {
            Statement::Minted { account, value, increase, index } => {
                self.minted(here, *account, (*value, *increase), *index)
            }
            Statement::Burned { account, value, increase, index } => {
                self.burned(here, *account, (*value, *increase), *index)
            }
            Statement::MintedV2 { account, value, index } => self.minted(here, *account, (*value, U256::ZERO), *index),
            Statement::BurnedV2 { account, value, index } => self.burned(here, *account, (*value, U256::ZERO), *index),
            Statement::BalanceTransfer { from, to, value, index } => {
                self.transferred(here, [*from, *to], *value, *index)
            }
            Statement::StableMinted(change) => self.stable_minted(here, change),
            Statement::StableBurned(change) => self.stable_burned(here, change),
            Statement::Updated { asset, indexes } => {
                self.from(here, Contract::Pool)?;
                let reserve = self.asset(here, *asset)?;
                Ok(self.put_indexes(reserve, *indexes, here.now))
            }
            Statement::Collateral { asset, user, on } => {
                self.from(here, Contract::Pool)?;
                let reserve = self.asset(here, *asset)?;
                let account = self.accounts.intern(user);
                let was = self.accounts.set_collateral(account, reserve, *on);
                Ok(Undo::Collateral { account, reserve, was })
            }
            Statement::EModeSet { user, category } => {
                self.from(here, Contract::Pool)?;
                let account = self.accounts.intern(user);
                let was = self.accounts.set_e_mode(account, *category);
                Ok(Undo::EMode { account, was })
            }
            Statement::Liquidated(call) => self.liquidated(here, call),
            // What the tokens' own logs already account for.
            Statement::Supplied { .. }
            | Statement::Withdrawn { .. }
            | Statement::Borrowed { .. }
            | Statement::Repaid { .. }
            | Statement::MintedToTreasury { .. }
            | Statement::UnbackedMinted { .. }
            | Statement::UnbackedBacked { .. }
            | Statement::RateSwapped { .. }
            | Statement::Rebalanced { .. }
            | Statement::PositionManager { .. }
            | Statement::FlashLoan { .. }
            | Statement::StrategyChanged { .. }
            | Statement::Auction(_) => Ok(Undo::Nothing),
            Statement::BalanceRead { account, scaled } => self.balance_read(here, *account, *scaled),
            Statement::StableRead { account, debt } => self.stable_read(here, *account, **debt),
            rare => self.rare(here, rare),
        }
    }

    /// What happens seldom keeps the whole ground to go back to, which costs a few pointers.
    fn rare(&mut self, here: &Here, statement: &Statement) -> Folded {
        let before = self.ground.clone();
        match self.change_ground(here, statement) {
            Ok(()) => Ok(Undo::Ground(Box::new(before))),
            Err(gap) => {
                self.ground = before;
                Err(gap)
            }
        }
    }

    /// The event must be this contract's.
    fn from(&self, here: &Here, expected: Contract) -> Result<(), Gap> {
        match self.ground.contracts.get(&here.by) {
            Some(contract) if *contract == expected => Ok(()),
            _ => Err(Gap::UnknownContract { address: here.by, block: here.block }),
        }
    }

    fn asset(&self, here: &Here, asset: Address) -> Result<ReserveId, Gap> {
        self.ground.assets.get(&asset).copied().ok_or(Gap::UnknownAsset { asset, block: here.block })
    }

    fn put_indexes(&mut self, reserve: ReserveId, indexes: Indexes, now: u64) -> Undo {
        let listed = self.ground.listed_mut(reserve);
        let undo = Undo::Indexes { reserve, indexes: listed.indexes, last_update: listed.last_update };
        (listed.indexes, listed.last_update) = (indexes, now);
        undo
    }

    /// Sets a scaled balance and moves the reserve's total along.
    fn put_scaled(&mut self, account: AccountId, reserve: ReserveId, side: Side, scaled: u128) {
        let was = self.accounts.scaled(account, reserve, side);
        self.move_scaled(account, (reserve, side), was, scaled);
    }

    /// The same where it is known what the balance was.
    fn move_scaled(&mut self, account: AccountId, (reserve, side): (ReserveId, Side), was: u128, scaled: u128) {
        self.accounts.set_scaled(account, reserve, side, scaled);
        let listed = self.ground.listed_mut(reserve);
        let total = match side {
            Side::Supply => &mut listed.scaled_supply,
            Side::Debt => &mut listed.scaled_debt,
        };
        // A total is the sum of what is booked, so neither step can leave its width.
        *total = total.saturating_sub(U256::from(was)).saturating_add(U256::from(scaled));
    }
}

#[cfg(test)]
mod tests;
