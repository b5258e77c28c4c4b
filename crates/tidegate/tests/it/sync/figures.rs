//! What the contracts say at the end of a block, asked without any of the program's code, beside what the program says.

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256, hex, keccak256};
use differential::chain::Chain;
use differential::market::AccountData;
use serde_json::Value;

use super::place::Place;
use crate::support::table;

/// Decimals of a health factor.
const WAD: u32 = 18;

/// A market at a block.
pub(super) struct Figures {
    pub(super) block: u64,
    /// Decimals of prices.
    decimals: u32,
    accounts: Vec<Account>,
}

/// Somebody, as the contracts know him.
struct Account {
    address: Address,
    data: AccountData,
    e_mode: U256,
    flags: U256,
    /// By asset, those that are not zero.
    holdings: BTreeMap<Address, Holding>,
}

/// What somebody has and owes of an asset, interest included, in its smallest unit.
struct Holding {
    /// The reserve's number.
    number: usize,
    decimals: u32,
    supplied: U256,
    variable_debt: U256,
    stable_debt: U256,
}

impl Figures {
    /// Ends a block at the present moment and asks everything.
    pub(super) fn now(chain: &mut Chain) -> Self {
        chain.node().unwrap().mine(1).unwrap();
        let block = chain.node().unwrap().latest().unwrap();
        let is_v2 = chain.world.version == differential::world::Version::V2;
        let holders = chain.market.holders();
        let accounts = holders.into_iter().map(|address| Account::of(chain, address)).collect();
        Self { block, decimals: if is_v2 { 18 } else { 8 }, accounts }
    }

    pub(super) fn holdings(&self) -> usize {
        self.accounts.iter().map(|account| account.holdings.len()).sum()
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        self.accounts.iter().map(|account| account.address).collect()
    }

    /// Compares with what the program says, to the last unit.
    pub(super) fn compare(&self, place: &Place) {
        let block = self.block.to_string();
        let all = place.bed.json(&["positions", "--top", "0", "--block", &block]);
        let rows = table(&all, "positions");
        let owing = |account: &&Account| account.data.as_ref().is_ok_and(|data| !data[1].is_zero());
        let expected: Vec<&Account> = self.accounts.iter().filter(owing).collect();
        assert_eq!(rows.len(), expected.len(), "block {block}: who owes");
        for account in &expected {
            let address = hex::encode_prefixed(account.address);
            let row = rows.iter().find(|row| row["account"] == address.as_str());
            self.worth(row.unwrap_or_else(|| panic!("block {block}: {address} is not there")), account);
        }
        for account in &self.accounts {
            self.one(place, account);
        }
        self.mapped(place);
    }

    /// At today's price a map holds whoever the contracts let be liquidated, whichever asset it is of.
    fn mapped(&self, place: &Place) {
        let is_v2 = self.decimals == 18;
        let known = self.accounts.iter().filter(|account| account.data.is_ok());
        let Some(asset) = known.clone().find_map(|account| account.holdings.keys().next()) else { return };
        let (asset, block) = (asset.to_string(), self.block.to_string());
        let args = ["map", &asset, "--at", &block, "--from", "0%", "--to", "0%", "--levels", "1"];
        if is_v2 {
            // This market lists no dollar that the registry knows.
            place.bed.run(&args).refused("a map without a dollar", &["does not count in dollars"]);
            return;
        }
        let report = place.bed.json(&args);
        let rows = table(&report, "levels");
        let mapped: u64 = rows.iter().map(|row| row["accounts"].as_u64().unwrap()).sum();
        let one = U256::from(10).pow(U256::from(WAD));
        let expected = known.filter(|account| account.data.as_ref().is_ok_and(|data| data[5] < one)).count();
        assert_eq!(mapped, expected as u64, "block {block}: {rows:?}");
    }

    fn worth(&self, row: &Value, account: &Account) {
        let data = account.data.as_ref().unwrap();
        let health = if data[5] == U256::MAX { Value::Null } else { plain(data[5], WAD).into() };
        let what = format!("block {}: {}", self.block, account.address);
        assert_eq!(row["health_factor"], health, "{what}");
        assert_eq!(row["collateral"], plain(data[0], self.decimals), "{what}");
        assert_eq!(row["debt"], plain(data[1], self.decimals), "{what}");
        assert_eq!(row["e_mode"], account.e_mode.to::<u64>(), "{what}");
        let threshold = f64::from(data[3].to::<u32>()) / 10_000.0;
        assert!((row["liquidation_threshold"].as_f64().unwrap() - threshold).abs() < 1e-9, "{what}");
    }

    fn one(&self, place: &Place, account: &Account) {
        let (address, block) = (account.address.to_string(), self.block.to_string());
        let args = ["positions", "--account", &address, "--block", &block];
        let what = format!("block {block}: {address}");
        if account.data.is_err() {
            place.bed.run(&args).refused(&what, &[]);
            return;
        }
        let ran = place.bed.run(&args);
        if ran.err.contains("never held or owed anything") {
            assert!(account.holdings.is_empty(), "{what}");
            return;
        }
        let report = place.bed.json(&args);
        let summary = &table(&report, "account")[0];
        self.worth(summary, account);
        let data = account.data.as_ref().unwrap();
        assert_eq!(summary["available_borrows"], plain(data[2], self.decimals), "{what}");
        let mut left = account.holdings.keys().collect::<Vec<_>>();
        for leg in table(&report, "legs") {
            let asset: Address = address_of(leg["asset"].as_str().unwrap());
            let what = format!("{what}, {asset}");
            let Some(held) = account.holdings.get(&asset) else {
                assert!(
                    leg["supplied"] == "0" && leg["variable_debt"] == "0" && leg["stable_debt"] == "0",
                    "{what}: {leg}"
                );
                continue;
            };
            left.retain(|held| **held != asset);
            assert_eq!(leg["supplied"], plain(held.supplied, held.decimals), "{what}");
            assert_eq!(leg["variable_debt"], plain(held.variable_debt, held.decimals), "{what}");
            assert_eq!(leg["stable_debt"], plain(held.stable_debt, held.decimals), "{what}");
            let is_collateral = account.flags.bit(2 * held.number + 1);
            assert_eq!(leg["is_collateral"], if is_collateral { "yes" } else { "no" }, "{what}");
        }
        assert!(left.is_empty(), "{what}: without {left:?}");
    }
}

impl Account {
    fn of(chain: &mut Chain, address: Address) -> Self {
        let market = &mut chain.market;
        let mut holdings = BTreeMap::new();
        for number in 0..market.reserves.len() {
            let reserve = market.reserves[number];
            let mut balance =
                |token: Address| if token.is_zero() { U256::ZERO } else { balance(market, token, address) };
            let [supplied, variable_debt, stable_debt] =
                [reserve.a_token, reserve.variable, reserve.stable].map(&mut balance);
            let decimals = u32::from(chain.world.reserves[number].decimals);
            if [supplied, variable_debt, stable_debt].iter().any(|amount| !amount.is_zero()) {
                holdings.insert(reserve.asset, Holding { number, decimals, supplied, variable_debt, stable_debt });
            }
        }
        let market = &mut chain.market;
        Self {
            address,
            data: market.account_data(address).unwrap(),
            e_mode: market.e_mode(address).unwrap(),
            flags: market.flags(address).unwrap(),
            holdings,
        }
    }
}

fn balance(market: &mut differential::market::Market, token: Address, of: Address) -> U256 {
    let mut call = keccak256("balanceOf(address)")[..4].to_vec();
    call.extend(of.into_word());
    let answer = market.evm.view(token, call.into()).unwrap().unwrap();
    U256::from_be_slice(&answer)
}

/// Smallest units as decimal text, without zeros at its end.
fn plain(amount: U256, decimals: u32) -> String {
    let unit = U256::from(10).pow(U256::from(decimals));
    let (whole, part) = amount.div_rem(unit);
    let part = format!("{part:0>width$}", width = decimals as usize);
    format!("{whole}.{part}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The address that a token's name ends in.
fn address_of(name: &str) -> Address {
    name.rsplit('@').next().unwrap().parse().unwrap()
}
