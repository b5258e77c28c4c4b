//! Recorded accounts: where they lie, and what the tests make of their figures.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "tests read recorded files; the crate does not"
)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use protocol::aave::config::ReserveConfig;
use protocol::aave::math::{Bps, Wad};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;

use alloy_primitives::U256;

/// A folder of recorded accounts; `None`, said, where there is none.
pub(crate) fn folder(name: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from);
    let folder = root.join("aave_positions").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: no recorded accounts at {}; TIDEGATE_DATA names the folder of data", folder.display());
    None
}

/// A compressed JSON file, members in the order they are written.
pub(crate) fn json_gz(path: &Path) -> serde_json::Value {
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A number of tokens or a price in smallest units. Sixteen digits of it are known, as the files hold them.
pub(crate) fn units(value: f64, decimals: usize) -> U256 {
    format!("{value:.decimals$}").replace('.', "").parse().unwrap()
}

/// A health factor as a number.
pub(crate) fn number(health: Wad) -> f64 {
    f64::from(health.0) / 1e18
}

/// A reserve whose indexes are one: balances are what is recorded, interest and all.
pub(crate) fn reserve(decimals: u8, threshold: u16, ltv: u16) -> Reserve {
    let config = ReserveConfig {
        ltv: Bps(ltv),
        liquidation_threshold: Bps(threshold),
        decimals,
        active: true,
        borrowing: true,
        ..ReserveConfig::default()
    };
    Reserve::new(config, RateModel::default())
}
