//! What moves an amount from one account to another, and where it is known from.

use std::sync::Arc;

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{B256, U256, keccak256};

use super::account::{Account, Asset, Code};

/// A transfer's name, given by whoever makes it: a transfer that comes again under it is not posted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub B256);

impl Id {
    /// The name of what a log gives rise to. `part` tells several apart.
    #[must_use]
    pub fn of_log(network: ChainId, transaction: B256, log_index: Option<u64>, part: &str) -> Self {
        let mut text = b"log:".to_vec();
        text.extend(network.0.to_be_bytes());
        text.extend(transaction);
        text.extend(log_index.map_or([0xff; 16], |index| u128::from(index).to_be_bytes()));
        text.extend(part.as_bytes());
        Self(keccak256(text))
    }

    /// The name that a text stands for.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        Self(keccak256([b"text:", text.as_bytes()].concat()))
    }
}

/// Where a transfer is known from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A transaction.
    Transaction {
        /// Its network.
        network: ChainId,
        /// Its hash.
        transaction: B256,
        /// The log in its block; none where the transaction itself moved the amount.
        log_index: Option<u64>,
    },
    /// A row of a file.
    File {
        /// The file's name.
        name: Arc<str>,
        /// The row, the first being 1.
        row: u64,
    },
    /// A rule of a simulation.
    Rule {
        /// The rule.
        name: Arc<str>,
        /// The step, the first being 1.
        step: u64,
    },
}

/// Two accounts and what goes from one to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Entry {
    /// The account on the left.
    pub debit: Account,
    /// The account on the right.
    pub credit: Account,
    /// How much, in the smallest unit of the accounts' asset.
    pub amount: u128,
}

/// What a transfer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Moves the amount for good.
    Post(Entry),
    /// Holds the amount until it is posted or voided.
    Hold(Entry),
    /// Posts what was held, whole or in part; what is left of it is let go.
    PostHeld {
        /// What was held.
        held: Id,
        /// How much of it; all where none is given.
        amount: Option<u128>,
    },
    /// Lets go of what was held.
    VoidHeld {
        /// What was held.
        held: Id,
    },
}

/// Something that moves an amount from one account to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// Its name.
    pub id: Id,
    /// What it does.
    pub action: Action,
    /// When.
    pub time: TimeUs,
    /// What its amount was worth then, in 10^-8 US dollars; none where nobody said.
    pub usd: Option<Usd8>,
    /// How the amount is known.
    pub standing: Standing,
    /// Where it is known from.
    pub origin: Origin,
}

impl Transfer {
    /// Whether another says the same: action and moment. Where each is known from does not matter, nor what each says that the amount
    /// was worth: prices are looked up again and come out otherwise.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        (self.action, self.time) == (other.action, other.time)
    }
}

/// A price as a fraction: so many smallest units of one asset for so many of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units bought.
    pub bought: u128,
    /// Units sold for them.
    pub sold: u128,
}

impl Rate {
    /// What an amount buys, rounded down; none where the rate is zero or the result leaves 128 bits.
    #[must_use]
    pub fn buys_floor(self, sold: u128) -> Option<u128> {
        // The product of two numbers of 128 bits fits 256.
        let product = U256::from(sold).checked_mul(U256::from(self.bought))?;
        product.checked_div(U256::from(self.sold))?.try_into().ok()
    }
}

/// An exchange of one asset for another out of and into the collector, to be applied as one group: what is sold goes to the exchange
/// account of its asset, what is bought comes from that of the other, rounded down. `None` where the rate gives nothing.
///
/// The model says when, from where and how sure; its action and its id are replaced.
#[must_use]
pub fn exchange(model: &Transfer, from: Asset, to: Asset, sold: u128, rate: Rate) -> Option<[Transfer; 2]> {
    let bought = rate.buys_floor(sold).filter(|bought| *bought > 0)?;
    let leg = |part: &str, debit: Account, credit: Account, amount: u128| Transfer {
        id: Id(keccak256([model.id.0.as_slice(), part.as_bytes()].concat())),
        action: Action::Post(Entry { debit, credit, amount }),
        ..model.clone()
    };
    let (cash, between) = (|asset| Account::new(Code::Cash, asset), |asset| Account::new(Code::Exchange, asset));
    Some([leg("sold", between(from), cash(from), sold), leg("bought", cash(to), between(to), bought)])
}
