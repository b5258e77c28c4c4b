//! What a price, an amount, a token, a liquidation *are*, to the last unit.
//!
//! Everything here is a plain value or a pure function: no clock, no files, no network, no serialization, and no
//! arithmetic on floats. Read the modules in this order:
//!
//! * [`amount`]: integers in a token's smallest unit, US dollars with eight decimals, and how text becomes either;
//! * [`time`]: moments in microseconds and the civil calendar in UTC;
//! * [`chain`] and [`token`]: names and decimals, from the embedded registry;
//! * [`venue`]: positions in perpetual futures, and when each venue liquidates them;
//! * [`perp`]: what those venues say of their contracts, and how far it can be believed;
//! * [`liquidation`]: one liquidation call, as far as its source knew it;
//! * [`auction`]: what contracts say around an auction for liquidations;
//! * [`event`]: the ordered log everything else is derived from;
//! * [`standing`]: how a figure is known.
//!
//! What this crate does not do: it reads nothing from outside, and it aggregates nothing.

#![cfg_attr(not(test), deny(clippy::float_arithmetic, clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod aave;
pub mod amount;
pub mod auction;
pub mod chain;
pub mod event;
pub mod liquidation;
pub mod perp;
pub mod standing;
pub mod time;
pub mod token;
pub mod venue;

pub use alloy_primitives::{Address, B256, I256, U256, keccak256};
pub use rust_decimal::Decimal;
