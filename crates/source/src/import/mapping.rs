//! Which column means what: by the names people's exports commonly use, or as the user says.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// What an import can take from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is the table's column of the same name")]
pub enum Field {
    Time,
    Chain,
    Market,
    Version,
    BlockNumber,
    TxHash,
    LogIndex,
    User,
    Liquidator,
    CollateralAsset,
    CollateralSymbol,
    CollateralAmount,
    CollateralPriceUsd,
    CollateralUsd,
    DebtAsset,
    DebtSymbol,
    DebtAmount,
    DebtPriceUsd,
    DebtUsd,
    ProtocolFeeUsd,
}

use Field as F;

/// Every field: its name for `--map`, and the column names by which it is recognised, the most telling first. Names are
/// compared in lower case with everything but letters and digits left out.
const FIELDS: [(Field, &str, &[&str]); 20] = [
    (
        F::Time,
        "time",
        &[
            "blocktime",
            "blocktimestamp",
            "evtblocktime",
            "timeutc",
            "timestamp",
            "time",
            "datetime",
            "blockdate",
            "date",
        ],
    ),
    (F::Chain, "chain", &["chain", "blockchain", "network", "chainid"]),
    (F::Market, "market", &["market", "marketid", "pool", "poolname", "protocol", "project"]),
    (F::Version, "version", &["version", "protocolversion"]),
    (F::BlockNumber, "block_number", &["blocknumber", "evtblocknumber", "block", "blocknum"]),
    (F::TxHash, "tx_hash", &["txhash", "transactionhash", "evttxhash", "tx", "hash", "txid"]),
    (F::LogIndex, "log_index", &["logindex", "evtindex", "eventindex"]),
    (F::User, "user", &["user", "liquidatee", "borrower", "liquidateduser", "useraddress", "violator", "account"]),
    (F::Liquidator, "liquidator", &["liquidator", "liquidatoraddress", "keeper"]),
    (
        F::CollateralAsset,
        "collateral_asset",
        &[
            "collateralasset",
            "collateraltoken",
            "collateraladdress",
            "collateraltokenaddress",
            "collateralassetaddress",
            "collateral",
        ],
    ),
    (F::CollateralSymbol, "collateral_symbol", &["collateralsymbol", "collateralassetsymbol", "collateraltokensymbol"]),
    (
        F::CollateralAmount,
        "collateral_amount",
        &[
            "collateralamount",
            "liquidatedcollateralamount",
            "collateralseized",
            "seizedamount",
            "collateralliquidated",
            "collateralraw",
        ],
    ),
    (F::CollateralPriceUsd, "collateral_price_usd", &["collateralpriceusd", "collateralprice"]),
    (
        F::CollateralUsd,
        "collateral_usd",
        &[
            "collateralusd",
            "collateralamountusd",
            "collateralseizedusd",
            "liquidatedcollateralusd",
            "collateralvalueusd",
        ],
    ),
    (
        F::DebtAsset,
        "debt_asset",
        &["debtasset", "debttoken", "debtaddress", "debttokenaddress", "debtassetaddress", "principal", "debt"],
    ),
    (F::DebtSymbol, "debt_symbol", &["debtsymbol", "debtassetsymbol", "debttokensymbol", "principalsymbol"]),
    (
        F::DebtAmount,
        "debt_amount",
        &[
            "debtamount",
            "debttocover",
            "debtrepaid",
            "repaidamount",
            "amountrepaid",
            "repayamount",
            "principalamount",
            "debtraw",
        ],
    ),
    (F::DebtPriceUsd, "debt_price_usd", &["debtpriceusd", "debtprice"]),
    (
        F::DebtUsd,
        "debt_usd",
        &["debtusd", "debtamountusd", "debtrepaidusd", "repaidusd", "debttocoverusd", "debtvalueusd"],
    ),
    (F::ProtocolFeeUsd, "protocol_fee_usd", &["protocolfeeusd", "liquidationprotocolfeeusd"]),
];

impl Field {
    /// The name by which `--map` knows it.
    #[must_use]
    pub fn name(self) -> &'static str {
        FIELDS.iter().find(|(field, ..)| *field == self).map_or("", |(_, name, _)| name)
    }
}

/// Which column each field is read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mapping {
    columns: BTreeMap<Field, usize>,
}

impl Mapping {
    /// Recognises columns by name, then lets `field=column` pairs of the user overrule; `field=` means no column.
    ///
    /// # Errors
    /// A pair names no field or no column.
    pub fn recognise(columns: &[String], overrides: &[(String, String)]) -> Result<Self> {
        let normal: Vec<String> = columns.iter().map(|column| normalised(column)).collect();
        let mut mapping = Self::default();
        for (field, _, names) in FIELDS {
            if let Some(column) = names.iter().find_map(|name| normal.iter().position(|column| column == name)) {
                mapping.columns.insert(field, column);
            }
        }
        for (name, column) in overrides {
            let field = FIELDS.iter().find(|(_, known, _)| known == name).map(|(field, ..)| *field);
            let field = field.ok_or_else(|| unknown("field", name, &FIELDS.map(|(_, name, _)| name.to_owned())))?;
            if column.is_empty() {
                mapping.columns.remove(&field);
                continue;
            }
            let place =
                columns.iter().position(|known| known == column).ok_or_else(|| unknown("column", column, columns))?;
            mapping.columns.insert(field, place);
        }
        Ok(mapping)
    }

    /// The column a field is read from.
    #[must_use]
    pub fn column(&self, field: Field) -> Option<usize> {
        self.columns.get(&field).copied()
    }

    /// Every field that has a column, with it.
    pub fn iter(&self) -> impl Iterator<Item = (Field, usize)> {
        self.columns.iter().map(|(field, column)| (*field, *column))
    }
}

/// Whether a column of this name is read without the user naming it.
pub(super) fn is_recognised(column: &str) -> bool {
    let column = normalised(column);
    FIELDS.iter().any(|(.., names)| names.contains(&column.as_str()))
}

fn normalised(column: &str) -> String {
    column.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn unknown(kind: &str, name: &str, known: &[String]) -> Error {
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
    let known: Vec<String> = known.iter().take(40).map(|name| shown(name)).collect();
    Error::Unfit {
        what: format!("--map names a {kind} \"{}\" that does not exist", shown(name)),
        advice: format!("there are: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(columns: &[&str], overrides: &[(&str, &str)], expected: &[(Field, &str)]) {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        let overrides: Vec<_> =
            overrides.iter().map(|&(field, column)| (field.to_owned(), column.to_owned())).collect();
        let mapping = Mapping::recognise(&columns, &overrides).unwrap();
        let found: Vec<_> = mapping.iter().map(|(field, column)| (field, columns[column].as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn columns_are_recognised_by_the_names_exports_use() {
        check(
            &[
                "evt_block_time",
                "evt_tx_hash",
                "evt_index",
                "collateralAsset",
                "debtAsset",
                "user",
                "debtToCover",
                "liquidatedCollateralAmount",
                "liquidator",
            ],
            &[],
            &[
                (F::Time, "evt_block_time"),
                (F::TxHash, "evt_tx_hash"),
                (F::LogIndex, "evt_index"),
                (F::User, "user"),
                (F::Liquidator, "liquidator"),
                (F::CollateralAsset, "collateralAsset"),
                (F::CollateralAmount, "liquidatedCollateralAmount"),
                (F::DebtAsset, "debtAsset"),
                (F::DebtAmount, "debtToCover"),
            ],
        );
        check(&["date", "Timestamp", "Liquidatee"], &[], &[(F::Time, "Timestamp"), (F::User, "Liquidatee")]);
    }

    #[test]
    fn the_user_overrules() {
        check(
            &["timestamp", "user", "who", "amount"],
            &[("user", "who"), ("debt_amount", "amount")],
            &[(F::Time, "timestamp"), (F::User, "who"), (F::DebtAmount, "amount")],
        );
        check(&["timestamp", "user"], &[("user", "")], &[(F::Time, "timestamp")]);
    }

    #[test]
    fn what_does_not_exist_is_named_with_what_does() {
        let columns = vec!["a".to_owned()];
        for (field, column, expected) in [("users", "a", "field \"users\""), ("user", "b", "column \"b\"")] {
            let error = Mapping::recognise(&columns, &[(field.to_owned(), column.to_owned())]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
