//! Venues of perpetual futures: what they publish without a key, read and turned into [`protocol::perp`]'s terms.
//!
//! * [`binance`], [`bybit`], [`okx`], [`hyperliquid`]: each venue's replies and messages as text, and what they say. Pure functions of the
//!   text: a row that cannot be taken is a [`Reject`] beside the rest, a reply that cannot be read is an [`Unread`], and nothing panics.
//!
//! What this module does not do: it computes nothing from what is said, beyond turning sizes into coins.

pub mod binance;
pub mod bybit;
pub mod hyperliquid;
pub mod okx;
#[cfg(test)]
mod tests;
mod wire;

pub use wire::{Parsed, Reject, Unread};
