//! Venues of perpetual futures: what they publish without a key, read and turned into [`protocol::perp`]'s terms.
//!
//! * [`binance`], [`bybit`], [`okx`], [`hyperliquid`]: each venue's replies and messages as text, and what they say. Pure functions of the
//!   text: a row that cannot be taken is a [`Reject`] beside the rest, a reply that cannot be read is an [`Unread`], and nothing panics;
//! * [`Client`]: asking over HTTP, politely, with what rarely changes kept on disk;
//! * [`snapshot()`]: all that a venue tells of a coin, and what could not be had; [`accounts`]: the positions of accounts that are public;
//! * [`stream`]: what venues say as it happens, with the times in which nothing was heard.
//!
//! What this module does not do: it computes nothing from what is said, beyond turning sizes into coins.

pub mod binance;
pub mod bybit;
mod cache;
mod client;
pub mod hyperliquid;
pub mod okx;
mod pace;
mod places;
mod snapshot;
pub mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use client::{Client, Failure, Options};
pub use places::Places;
pub use snapshot::{Accounts, Interval, Missing, Snapshot, Window, accounts, snapshot};
pub(crate) use wire::shortened as shown;
pub use wire::{Parsed, Reject, Unread};
