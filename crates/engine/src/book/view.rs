//! A market as readers see it: everything at one event, shared, and how it is handed to the protocol's arithmetic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use protocol::aave::Revision;
use protocol::aave::account::{Account, Leg, Position as Held};
use protocol::aave::config::{EMode, ReserveId, UserFlags};
use protocol::aave::math::{Checked, MathError};
use protocol::aave::reserve::Reserve;
use protocol::standing::Standing;
use protocol::{Address, I256, U256};

use super::accounts::{Accounts, Person};
use super::ground::{Ground, Listed, Oracle};
use super::{Book, Position};

/// A market at one event. It never changes.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    ground: Ground,
    /// Everybody who ever held something.
    pub accounts: Accounts,
    at: Position,
}

/// What no log tells and valuing needs: to be read by call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// `getConfiguration` of an asset.
    Configuration(Address),
    /// `scaledBalanceOf` an account, of a token.
    Balance {
        /// The token.
        token: Address,
        /// Whose.
        account: Address,
    },
}

impl Book {
    pub(super) fn view(&self) -> View {
        View { ground: self.ground.clone(), accounts: self.accounts.clone(), at: self.at }
    }
}

impl View {
    /// The block of the last event, 0 before the first.
    #[must_use]
    pub fn block(&self) -> u64 {
        self.at.block
    }

    /// Its time in seconds since 1970.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.at.now
    }

    /// What the pool runs, once that is known.
    #[must_use]
    pub fn revision(&self) -> Option<Revision> {
        self.ground.revision
    }

    /// The pool's proxy.
    #[must_use]
    pub fn pool(&self) -> Option<Address> {
        self.ground.pool
    }

    /// The configurator's proxy.
    #[must_use]
    pub fn configurator(&self) -> Option<Address> {
        self.ground.configurator
    }

    /// Whether V2's pool is paused as a whole.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.ground.is_paused
    }

    /// The reserves in the pool's order; a dropped one keeps its place.
    #[must_use]
    pub fn listed(&self) -> &[Listed] {
        &self.ground.reserves
    }

    /// An asset's number.
    #[must_use]
    pub fn id(&self, asset: &Address) -> Option<ReserveId> {
        self.ground.assets.get(asset).copied()
    }

    /// The e-mode categories.
    #[must_use]
    pub fn e_modes(&self) -> &BTreeMap<u8, EMode> {
        &self.ground.e_modes
    }

    /// Where a category's own price comes from (3.0, 3.1).
    #[must_use]
    pub fn e_mode_sources(&self) -> &BTreeMap<u8, Address> {
        &self.ground.e_mode_sources
    }

    /// The oracle the provider names.
    #[must_use]
    pub fn oracle(&self) -> Option<(Address, &Oracle)> {
        let address = self.ground.oracle?;
        self.ground.oracles.get(&address).map(|oracle| (address, oracle))
    }

    /// Feeds' last answers, by feed.
    #[must_use]
    pub fn answers(&self) -> &BTreeMap<Address, I256> {
        &self.ground.answers
    }

    /// The oracle's prices where they were last read, by asset.
    #[must_use]
    pub fn prices(&self) -> &BTreeMap<Address, U256> {
        &self.ground.prices
    }

    /// How an account's figures are known: debt that is not in the logs is observed.
    #[must_use]
    pub fn standing(&self, person: &Person) -> Standing {
        let observed = |reserve: ReserveId| self.ground.listed(reserve).is_debt_observed;
        let is_observed = person.holdings.iter().any(|held| held.borrowed != 0 && observed(held.reserve));
        if is_observed { Standing::Observed } else { Standing::Exact }
    }

    /// What should be read before anything is valued.
    #[must_use]
    pub fn wants(&self) -> Vec<Want> {
        let unknown = self.listed().iter().filter(|listed| !listed.is_dropped && !listed.is_config_known);
        let configurations = unknown.map(|listed| Want::Configuration(listed.contracts.asset));
        let stale: &BTreeSet<(ReserveId, Address)> = &self.ground.stale;
        let balances = stale.iter().map(|(reserve, account)| Want::Balance {
            token: self.ground.listed(*reserve).contracts.variable,
            account: *account,
        });
        configurations.chain(balances).collect()
    }

    /// The reserves for [`account_data`](protocol::aave::account::account_data) and
    /// [`Valuation`](protocol::aave::account::Valuation), in the pool's order.
    #[must_use]
    pub fn reserves(&self) -> Vec<Reserve> {
        self.listed().iter().map(Listed::reserve).collect()
    }

    /// An account for [`account_data`](protocol::aave::account::account_data).
    #[must_use]
    pub fn account(person: &Person) -> Account {
        let mut flags = UserFlags::default();
        let mut positions: BTreeMap<ReserveId, Held> = BTreeMap::new();
        for held in &person.holdings {
            let position = positions.entry(held.reserve).or_default();
            position.supplied = U256::from(held.supplied);
            position.borrowed = U256::from(held.borrowed);
            flags.set_borrowing(held.reserve, held.borrowed != 0);
        }
        for (reserve, debt) in person.stable.iter().flat_map(|debts| debts.iter()) {
            positions.entry(*reserve).or_default().stable = *debt;
            if !debt.principal.is_zero() {
                flags.set_borrowing(*reserve, true);
            }
        }
        for reserve in (0..protocol::aave::config::MAX_RESERVES).map(ReserveId) {
            if person.is_collateral(reserve) {
                flags.set_collateral(reserve, true);
            }
        }
        Account { flags, e_mode: person.e_mode, positions }
    }

    /// An account's legs for [`Valuation::account`](protocol::aave::account::Valuation::account), with stable interest to
    /// `now` in seconds, in the pool's order.
    ///
    /// # Errors
    /// Stable debt leaves 128 bits.
    pub fn legs(&self, person: &Person, now: u64) -> Checked<Vec<Leg>> {
        let mut legs: BTreeMap<ReserveId, Leg> = BTreeMap::new();
        let empty = |reserve: ReserveId| Leg {
            supplied: 0,
            borrowed: 0,
            stable_debt: 0,
            reserve,
            is_collateral: person.is_collateral(reserve),
            is_borrowing: false,
        };
        for held in &person.holdings {
            let leg = legs.entry(held.reserve).or_insert_with(|| empty(held.reserve));
            (leg.supplied, leg.borrowed, leg.is_borrowing) = (held.supplied, held.borrowed, held.borrowed != 0);
        }
        for (reserve, debt) in person.stable.iter().flat_map(|debts| debts.iter()) {
            let rules = self.ground.listed(*reserve).debt_runs.rules();
            let owed = u128::try_from(debt.balance(rules, now)?).map_err(|_| MathError::Overflow)?;
            let leg = legs.entry(*reserve).or_insert_with(|| empty(*reserve));
            (leg.stable_debt, leg.is_borrowing) = (owed, leg.is_borrowing || owed != 0);
        }
        Ok(legs.into_values().collect())
    }
}

/// Views are shared among threads.
const _: fn() = || {
    fn shared<T: Send + Sync>() {}
    shared::<Arc<View>>();
};
