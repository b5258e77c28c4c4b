//! Perpetual futures: where their positions are liquidated, estimated from what venues publish or measured from positions.
//!
//! * [`grid`]: a fine axis of prices in equal ratios, on which masses stand;
//! * [`estimated`]: a fold over candles, turnover and open interest; its [`estimated::Assumptions`] travel with it;
//! * [`calibrate`]: what of those assumptions liquidations that happened can tell;
//! * [`measured`]: positions that somebody saw, each at its liquidation price;
//! * [`baseline`]: what an estimate must beat;
//! * [`score`]: how near a map came;
//! * [`series`]: all of it on the axis that a map shares;
//! * [`leverage`]: how much of it there is, beside the past.
//!
//! Sizes are in coins, one-sided (a long and the short against it count once); prices in US dollars; all of them double
//! precision, for nothing here moves money. The same inputs give the same bits on one machine; logarithms are the platform's, so
//! last digits may differ between platforms.

pub mod baseline;
pub mod calibrate;
pub mod estimated;
pub mod grid;
pub mod leverage;
pub mod measured;
pub mod score;
pub mod series;

pub use grid::{Grid, GridError};
