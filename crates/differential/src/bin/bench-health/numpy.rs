//! numpy on the same accounts, in the same minute.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use protocol::aave::account::{Leg, Quote};

use crate::people::{LEGS, People};

/// What numpy does, in accounts a second of one core.
pub(crate) struct Numpy {
    /// Factors looked up by reserve.
    pub(crate) by_reserve: f64,
    /// One shape's columns, without a look-up.
    pub(crate) one_shape: f64,
    /// How many accounts it finds below 1.
    pub(crate) below: usize,
}

/// Hands the accounts over in files and runs the script.
pub(crate) fn run(people: &People, python: &Path, script: &Path, folder: &Path) -> Result<Numpy> {
    let folder = folder.join("health");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let write = |name: &str, bytes: Vec<u8>| {
        std::fs::write(folder.join(name), bytes).with_context(|| format!("cannot write {name} in {}", folder.display()))
    };
    write("amounts", people.legs.iter().flat_map(|leg| amount(leg).to_le_bytes()).collect())?;
    write("reserves", people.legs.iter().map(|leg| leg.reserve.0).collect())?;
    write("factors", factors(people).iter().flatten().flat_map(|factor| factor.to_le_bytes()).collect())?;
    let output = Command::new(python).arg(script).arg(&folder).arg(LEGS.to_string()).output();
    let output = output.with_context(|| format!("cannot start {}", python.display()))?;
    if !output.status.success() {
        bail!("numpy failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let [by_reserve, one_shape, below] = *text.split_whitespace().collect::<Vec<_>>() else {
        bail!("numpy printed {text:?}");
    };
    Ok(Numpy { by_reserve: by_reserve.parse()?, one_shape: one_shape.parse()?, below: below.parse()? })
}

/// The leg's only amount.
pub(crate) fn amount(leg: &Leg) -> f64 {
    (leg.supplied + leg.borrowed) as f64
}

/// What a collateral leg and what a debt leg of each reserve is multiplied by.
pub(crate) fn factors(people: &People) -> [Vec<f64>; 2] {
    let rows = people.valuation.categories().next();
    let quotes = rows.map(|(_, row)| row).unwrap_or_default();
    let unit = |quote: &Quote| quote.price.to::<u64>() as f64 / 10_f64.powi(quote.decimals.into()) / 1e27;
    let collateral = |quote: &Quote| f64::from(quote.terms.liquidation_threshold.0) / 1e4;
    [
        quotes.iter().map(|(quote, _)| quote.income.0.to::<u128>() as f64 * unit(quote) * collateral(quote)).collect(),
        quotes.iter().map(|(quote, _)| quote.debt.0.to::<u128>() as f64 * unit(quote)).collect(),
    ]
}
