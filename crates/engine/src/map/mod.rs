//! Where liquidations lie: what becomes liquidatable at each level of a coin's price.

#![allow(clippy::float_arithmetic, reason = "maps contain estimates; what is exact is decided by integers and says so")]

pub mod perps;
