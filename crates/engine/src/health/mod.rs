//! Which of many accounts need no exact look under given prices.
//!
//! A [`Screen`] holds the scaled balances of many accounts of one market as single-precision columns, built once and
//! changed account by account. [`Factors`] are what one [`Valuation`](protocol::aave::account::Valuation) makes of them: prices, indexes and thresholds
//! folded into one number a leg. [`Screen::evaluate`] then gives each account one of two verdicts: *healthy*, where the
//! exact integer health factor of [`Valuation::account`](protocol::aave::account::Valuation::account) is certainly at least 1, or *suspect*, where the exact path must
//! decide. It errs on that side alone. A [`Watch`] gives the same verdicts tick after tick, and looks only at those whom
//! the way prices went can have reached.
//!
//! # What a verdict rests on
//!
//! Write `C` for the real-valued sum over collateral of `scaled * index * price * threshold`, `D` for that over debt of
//! `scaled * index * price`, both in the base currency's smallest unit, and `u = 2^-24` for the relative error of one
//! single-precision operation. The exact health factor is at least 1 where `X >= Y`: the integers `X`, collateral
//! weighted by its threshold, and `Y`, debt (both the half-up division of revisions to 3.4 and the floored one since
//! keep that). They lie near `C` and `D`:
//!
//! * **Balances** round to a smallest unit of the token, by at most one such unit either way: worth
//!   `price / 10^decimals`. **Values** then floor, or since 3.5 ceil for debt: one base unit more. Each leg's *slack*, by
//!   which `X` may fall short and `Y` exceed, is hence at most `price / 10^decimals + 1` (times the threshold, if that is
//!   above 1). One percent is added, for the rounding of the slack's own sum and for what underflows.
//! * **The floored average threshold** (to 3.4) takes up to one basis point of the collateral, strictly less, where
//!   several thresholds are averaged: each is lowered by one basis point there. With a single collateral leg the average
//!   is that leg's threshold exactly. The half-up product with the average loses nothing against an integer `Y`.
//! * **Floats**: a term is a rounded amount times a rounded factor (three roundings; factors are computed in double
//!   precision, whose own error is below `2^-40` in all), summed over `c` collateral legs and `d` debt legs in `c - 1` and
//!   `d - 1` roundings, scaled by the margin in one and raised by the slack in one. No term is negative but those of
//!   lowered zero thresholds, which are made a thousandth larger instead. So all relative errors together stay below
//!   `(c + d + 6) u`, plus their products, which one more `u` exceeds by far.
//!
//! An account is healthy where, in single precision, `C (1 - (c + d + 8) u) >= D + slack` and `C` is finite. That margin
//! is 7 in 10 million for an account with three legs. What cannot be represented is a suspect: sums from `2^128` base
//! units on, and everything that touches an index or price from `2^96` on, below which the exact path cannot overflow
//! where `C` is finite; a reserve or category the valuation does not know. So is whoever
//! has stable debt, an amount that grows at its own rate from moment to moment (to 3.1). Whoever owes nothing is healthy under any
//! prices: his health factor is infinite, or its calculation overflows, and nobody can liquidate him in either case.
//!
//! # How it is fast
//!
//! Accounts with the same legs (the same *shape*: reserves, sides and e-mode category) stand together, sixteen to a block
//! and a column to a leg, so that evaluating them streams through memory once and multiplies by constants. Shapes with
//! fewer than [`DENSE_FROM`] accounts share blocks by their number of legs, where each leg also names its factor. Both
//! compute the same single-precision operations in the same order, so a verdict does not depend on the company an account
//! keeps, nor on the machine: products and sums are never fused.

#![allow(
    clippy::float_arithmetic,
    reason = "screening is done in floats, and its errors are bounded by the text above"
)]

mod block;
mod factors;
mod part;
mod screen;
#[cfg(test)]
mod tests;
mod watch;

pub use factors::Factors;
pub use screen::{DENSE_FROM, Estimate, Screen, Verdicts};
pub use watch::{Tick, Watch};
