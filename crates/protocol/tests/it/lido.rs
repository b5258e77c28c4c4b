//! Every borrower against staked ether on Aave in June 2023: what the pools said of him, from his totals.

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::U256;
use protocol::aave::Revision;
use protocol::aave::account::{Account, AccountData, Block, Position, account_data};
use protocol::aave::config::{ReserveId, UserFlags};

use crate::recorded::{folder, number, reserve, units};

const COLLATERAL: ReserveId = ReserveId(0);
const DEBT: ReserveId = ReserveId(1);

/// A file of accounts, and the pool it was read from.
struct File {
    name: &'static str,
    revision: Revision,
    /// Decimals of the base currency: ether, or dollars.
    base: u8,
    rows: usize,
}

const FILES: [File; 2] = [
    File { name: "steth_aave.csv", revision: Revision::V2, base: 18, rows: 1_309 },
    File { name: "steth_aave_v3.csv", revision: Revision::V3_0_2, base: 8, rows: 502 },
];

/// What the pool recorded of one account.
struct Recorded {
    collateral: f64,
    debt: f64,
    threshold: u16,
    ltv: u16,
    health: f64,
    available: U256,
}

fn read(path: &Path) -> Vec<Recorded> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let names = reader.headers().unwrap().clone();
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        let text = |name| &row[names.iter().position(|known| known == name).unwrap()];
        Recorded {
            collateral: text("collateral").parse().unwrap(),
            debt: text("debt").parse().unwrap(),
            threshold: text("threshold").parse().unwrap(),
            ltv: text("ltv").parse().unwrap(),
            health: text("healthf").parse().unwrap(),
            available: text("available_borrow").parse().unwrap(),
        }
    });
    rows.collect()
}

/// The totals as one supply and one debt, each of a token worth one unit of the base currency.
fn valued(file: &File, row: &Recorded) -> AccountData {
    let reserves = [reserve(file.base, row.threshold, row.ltv), reserve(file.base, 0, 0)];
    let decimals = usize::from(file.base);
    let unit = units(1.0, decimals);
    let supplied = Position { supplied: units(row.collateral, decimals), ..Position::default() };
    let borrowed = Position { borrowed: units(row.debt, decimals), ..Position::default() };
    let mut flags = UserFlags::default();
    flags.set_collateral(COLLATERAL, true);
    flags.set_borrowing(DEBT, true);
    let positions = BTreeMap::from([(COLLATERAL, supplied), (DEBT, borrowed)]);
    let account = Account { flags, e_mode: 0, positions };
    let block = Block { prices: vec![unit; 2], ..Block::default() };
    account_data(file.revision, &reserves, &BTreeMap::new(), &account, &block).unwrap()
}

/// The averages are recorded floored, as the pool multiplies with them, so that nothing but the sixteen digits of the
/// files stands between the two.
#[test]
fn every_recorded_health_factor_is_reproduced() {
    let Some(folder) = folder("lido_steth_2023-06") else { return };
    for file in FILES {
        let rows = read(&folder.join(file.name));
        assert_eq!(rows.len(), file.rows, "{}", file.name);
        let (mut largest, mut exact) = (0.0_f64, 0);
        for row in &rows {
            let data = valued(&file, row);
            let error = (number(data.health_factor) / row.health - 1.0).abs();
            assert!(error < 1e-12, "{}: {} for {}", file.name, number(data.health_factor), row.health);
            largest = largest.max(error);
            assert_eq!((data.liquidation_threshold.0, data.ltv.0), (row.threshold, row.ltv));
            // What can still be borrowed is recorded to the last unit.
            let apart = f64::from(data.available_borrows.abs_diff(row.available));
            let known = 1.0_f64.max(row.collateral * 1e-15 * 10_f64.powi(i32::from(file.base)));
            assert!(apart <= known, "{}: {} for {}", file.name, data.available_borrows, row.available);
            exact += usize::from(apart == 0.0);
        }
        println!(
            "{}: {} health factors, largest relative error {largest:.1e}; {exact} borrowing powers to the last unit",
            file.name,
            rows.len()
        );
    }
}
