//! Where a lending protocol's income goes, in double entry: every amount stands on two accounts and leads back to what recorded it.
//!
//! * [`account`]: the closed chart of accounts;
//! * [`transfer`]: what moves an amount from one account to another, and where it is known from;
//! * [`ledger`]: balances, which are derived from transfers and nothing else;
//! * [`posting`]: the transfers that liquidations and the safe of an auction give rise to;
//! * [`statement`]: income statement, balance sheet and cash flow by month;
//! * [`policy`]: rules that redeploy income, and what they would have come to over a history.
//!
//! What it does not do: it guesses no price and attributes nothing that was not told. A debit stands on the left as in any ledger: it
//! makes an asset or an expense larger, and a liability, equity or income smaller.

pub mod account;
pub mod ledger;
pub mod policy;
pub mod posting;
pub mod statement;
pub mod transfer;

pub use account::{Account, Asset, Class, Code};
pub use ledger::{Balance, Ledger, Outcome, Refusal};
pub use posting::{Postings, post};
pub use transfer::{Action, Entry, Id, Origin, Transfer};
