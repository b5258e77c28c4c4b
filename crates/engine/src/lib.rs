//! Everything derived: deterministic folds over the ordered log, pure in (state, event).
//!
//! Modules stand in the order data flows:
//!
//! * [`book`]: who holds and owes what in a lending market;
//! * [`health`]: which of many accounts need no exact look under given prices;
//! * [`prices`]: what each asset cost after each log, where logs tell it;
//! * [`map`]: what becomes liquidatable at each level of a coin's price;
//! * [`liquidations`]: who was liquidated for how much, in groups, in bursts, and how concentrated it was;
//! * [`recapture`]: what a liquidation paid beyond the debt, and who caught it;
//! * [`treasury`]: where the protocol's part of it goes, in double entry.
//!
//! What this crate does not do: it reads no file and no clock, it draws no random numbers, and its results depend neither
//! on the order in which threads finish nor on the order of a hash table.

#![cfg_attr(not(test), deny(clippy::float_arithmetic))]

pub mod book;
pub mod health;
pub mod liquidations;
pub mod map;
pub mod prices;
pub mod recapture;
pub mod treasury;
