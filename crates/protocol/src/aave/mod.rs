//! Aave, to the last unit: arithmetic, reserve state, account health and liquidation of every deployed revision.
//!
//! Read the modules in the order data flows:
//!
//! * [`revision`]: which code a market runs, and the one table of everything in which revisions differ;
//! * [`math`]: rays, wads, percentages; rounding in the verb, an error wherever the contract reverts;
//! * [`interest`]: growth over time;
//! * [`config`]: the bitmaps of reserves, accounts and e-mode categories;
//! * [`rates`]: interest-rate strategies;
//! * [`reserve`]: a reserve's indexes and totals, and one account's stable debt;
//! * [`account`]: collateral, debt, health factor, borrowing power, for one account or a million;
//! * [`refusal`]: why the pool would say no;
//! * [`pool`]: a whole pool, and every action on it as an outcome;
//! * [`mod@liquidation`]: what `liquidationCall` does;
//! * [`trigger`]: the price at which an account becomes liquidatable;
//! * [`log`]: what the contracts say in their logs, decoded;
//! * [`optimal`]: which liquidation pays most, and which serves the borrower and the protocol best;
//! * [`v4`]: V4's hub and spoke, their positions and liquidations, known from published tables only.
//!
//! What this module does not do: it reads no chain (see the crate `source`), it moves no tokens between wallets (a
//! liquidator is assumed to hold what he repays), and it knows no flash loans, bridges or delegation. GHO before 3.4, whose
//! debt was discounted for some and whose liquidity nobody supplied, is not restated: ask the chain.

pub mod account;
mod borrow;
pub mod config;
pub mod interest;
pub mod liquidation;
pub mod log;
pub mod math;
pub mod optimal;
pub mod pool;
pub mod rates;
pub mod refusal;
pub mod reserve;
pub mod revision;
mod supply;
pub mod trigger;
pub mod v4;
mod wide;

pub use revision::Revision;
