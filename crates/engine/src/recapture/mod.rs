//! What a liquidation's bonus was, who caught it, and where it went: which liquidations an auction was held for
//! ([`facts`]), and a row for each that adds up to the unit ([`row`]).
//!
//! Facts come in blocks of one chain, in the order of their transactions and logs. What logs cannot tell is absent and says so: it
//! is never taken for nothing.

pub mod attribute;
pub mod backtest;
pub mod claims;
pub mod facts;
pub mod rates;
pub mod row;
pub mod split;
pub mod trigger;
pub mod value;
pub mod view;

pub use attribute::{Attribution, Rules, Stray, StrayReason};
pub use facts::{Block, Happened, Liquidated, Place};
pub use row::{Dollars, Known, Remainder, Route, Row};
pub use split::{Schedule, Split};
pub use value::{Found, Ledger, Terms};

#[cfg(test)]
mod testing;
