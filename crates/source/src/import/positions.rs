//! Files of positions: who holds and owes what at a moment, one row per account and pair of assets, or one per side.
//!
//! A row names an account and a collateral, a debt, or both. Files that join the two repeat one for each of the other; what is
//! repeated is the reader's to tell (see [`Row`]). Amounts become integers of `10^-8` tokens, rounded half away from zero: such
//! files are written from floats, and their standing is that of a file.

use std::path::Path;
use std::str::FromStr;

use protocol::Address;
use protocol::amount::Usd8;

use super::cell::Cell;
use super::input::{Flow, Input};
use crate::error::{Error, Result};

/// Longest name that is read, in letters; a row with a longer one is none.
const LONGEST_NAME: usize = 64;
/// Rows that are read of one file.
pub const MOST_ROWS: u64 = 20_000_000;

/// What a file's columns are called here, and by which names they are recognised; names are compared in lower case with
/// everything but letters and digits left out.
const FIELDS: [(&str, &[&str]); 15] = [
    ("account", &["account", "user", "borrower", "useraddress", "address", "owner", "wallet"]),
    ("market", &["market", "pool", "protocol"]),
    ("side", &["side"]),
    ("symbol", &["symbol", "asset", "token"]),
    ("amount", &["amount", "balance"]),
    ("usd", &["usd", "valueusd", "amountusd"]),
    ("collateral", &["collateralsymbol", "collateral", "collateralasset"]),
    ("collateral_amount", &["collateralamount", "collateraltokens"]),
    ("collateral_usd", &["collateralusd", "collateralvalueusd"]),
    ("threshold", &["liquidationthreshold", "liquidationthresholdbps", "threshold"]),
    ("bonus", &["liquidationbonus", "liquidationbonusbps", "bonus"]),
    ("debt", &["debtsymbol", "borrowedsymbol", "debt", "debtasset"]),
    ("debt_amount", &["debtamount", "borrowbalancetokens", "borrowedtokens", "debttokens"]),
    ("debt_usd", &["debtusd", "debtvalueusd", "borrowedusd"]),
    ("standing", &["standing"]),
];

/// One side of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// The token's name, as the file has it, at most 64 letters.
    pub symbol: String,
    /// How much, in `10^-8` tokens, where the file says; it says that or the next.
    pub amount: Option<u128>,
    /// What it is worth in US dollars of eight decimals, where the file says.
    pub usd: Option<Usd8>,
    /// The liquidation threshold in basis points, where the file says; of collateral. A column whose name ends in `bps` has basis points;
    /// in any other, up to 1 is a share of one, up to 100 per cent, and above that basis points.
    pub threshold_bps: Option<u16>,
    /// The liquidation bonus in basis points above one, likewise; between 1 and 2 it is a factor, except in a column of basis
    /// points, and 10,000 basis points and more are counted from nothing.
    pub bonus_bps: Option<u16>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number, from 1.
    pub number: u64,
    /// The account.
    pub account: Address,
    /// The market, where the file says.
    pub market: Option<String>,
    /// The standing the file gives itself, where it does.
    pub standing: Option<String>,
    /// What is held.
    pub collateral: Option<Side>,
    /// What is owed.
    pub debt: Option<Side>,
}

/// How a file is read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Columns the user names, as `field`, `column`.
    pub overrides: Vec<(String, String)>,
    /// Only rows in which a column has a value, as `column`, `value`.
    pub only: Vec<(String, String)>,
}

/// What became of a file's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// The rows taken.
    pub rows: Vec<Row>,
    /// How many were left out because another value stands where one was asked for.
    pub others: u64,
    /// How many cannot be read, and why the first of them cannot.
    pub rejects: u64,
    /// Why the first cannot: its number, and the reason.
    pub first_reject: Option<(u64, String)>,
}

/// Which column each field is in.
struct Columns([Option<Column>; FIELDS.len()]);

/// A column.
#[derive(Clone, Copy)]
struct Column {
    place: usize,
    /// Its name says that it is in basis points.
    in_bps: bool,
}

impl Columns {
    fn of(input: &Input, reading: &Reading) -> Result<Self> {
        let plain = |name: &str| -> String {
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        let mut columns = [None; FIELDS.len()];
        for (found, (field, names)) in columns.iter_mut().zip(FIELDS) {
            let place = match reading.overrides.iter().find(|(named, _)| named == field) {
                Some((_, column)) if column.is_empty() => None,
                Some((_, column)) => Some(column_of(input, column)?),
                None => names.iter().find_map(|name| input.columns().iter().position(|column| plain(column) == **name)),
            };
            *found = place.map(|place| Column { place, in_bps: plain(&input.columns()[place]).ends_with("bps") });
        }
        if let Some((field, _)) =
            reading.overrides.iter().find(|(named, _)| FIELDS.iter().all(|(name, _)| name != named))
        {
            let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            return Err(Error::Unfit {
                what: format!("{}: there is no field \"{}\"", input.path().display(), field.escape_debug()),
                advice: format!("fields are {}", known.join(", ")),
            });
        }
        Ok(Self(columns))
    }

    fn at(&self, field: &str) -> Option<Column> {
        FIELDS.iter().zip(self.0).find(|((name, _), _)| *name == field).and_then(|(_, column)| column)
    }
}

fn column_of(input: &Input, name: &str) -> Result<usize> {
    input.columns().iter().position(|column| column == name).ok_or_else(|| {
        let columns: Vec<String> =
            input.columns().iter().take(40).map(|column| column.escape_debug().to_string()).collect();
        Error::Unfit {
            what: format!("{}: there is no column \"{}\"", input.path().display(), name.escape_debug()),
            advice: format!("its columns are {}", columns.join(", ")),
        }
    })
}

/// Reads a file of positions: CSV, JSON lines or Parquet.
///
/// # Errors
/// The file cannot be read, lacks a column that is needed, or has more than [`MOST_ROWS`] rows.
pub fn read(path: &Path, reading: &Reading) -> Result<Read> {
    let input = Input::open(path)?;
    let columns = Columns::of(&input, reading)?;
    let by_side = columns.at("side").is_some() && columns.at("symbol").is_some();
    let needs: &[&str] = if by_side { &["account", "side", "symbol"] } else { &["account", "collateral", "debt"] };
    if let Some(missing) = needs.iter().find(|field| columns.at(field).is_none()) {
        let names: Vec<String> =
            input.columns().iter().take(40).map(|column| column.escape_debug().to_string()).collect();
        return Err(Error::Unfit {
            what: format!(
                "{}: no column is recognised as {missing} (its columns: {})",
                path.display(),
                names.join(", ")
            ),
            advice: format!("name it with --map {missing}=COLUMN"),
        });
    }
    let mut only = Vec::new();
    for (column, value) in &reading.only {
        only.push((column_of(&input, column)?, value.as_str()));
    }
    let mut out = Read::default();
    input.visit(&mut |number, row, _| {
        if number > MOST_ROWS {
            return Err(Error::Unfit {
                what: format!("{}: more than {MOST_ROWS} rows", path.display()),
                advice: "give a part of it".to_owned(),
            });
        }
        if only.iter().any(|(column, value)| row.cell(*column).shown().as_deref() != Some(value)) {
            out.others += 1;
            return Ok(Flow::Continue);
        }
        let cell = |field: &str| columns.at(field).map_or(Cell::Null, |column| row.cell(column.place));
        let in_bps = |field: &str| columns.at(field).is_some_and(|column| column.in_bps);
        match one(number, &cell, &in_bps, by_side) {
            Ok(row) => out.rows.push(row),
            Err(why) => {
                out.rejects += 1;
                out.first_reject.get_or_insert((number, why));
            }
        }
        Ok(Flow::Continue)
    })?;
    Ok(out)
}

fn one<'a>(
    number: u64,
    cell: &impl Fn(&str) -> Cell<'a>,
    in_bps: &impl Fn(&str) -> bool,
    by_side: bool,
) -> std::result::Result<Row, String> {
    let named = cell("account");
    let account = if let Cell::Bytes(bytes) = named {
        Address::try_from(bytes).ok()
    } else {
        named.shown().and_then(|text| Address::from_str(text.trim()).ok())
    };
    let account = account.ok_or("has no account of 20 bytes")?;
    let name = |field: &str| match cell(field).shown() {
        Some(name) if name.chars().count() > LONGEST_NAME => {
            Err(format!("{field} is longer than {LONGEST_NAME} letters"))
        }
        shown => Ok(shown.map(|name| name.to_string())),
    };
    let side = |symbol: &str, amount: &str, usd: &str, is_collateral: bool| {
        let Some(symbol) = name(symbol)? else { return Ok(None) };
        let [units, worth] = [amount, usd].map(|field| match number_of(&cell(field)) {
            Ok(Some(..0)) => Err(format!("{field} is negative")),
            Ok(number) => Ok(number),
            Err(why) => Err(format!("{field} {why}")),
        });
        let (units, worth) = (units?, worth?);
        if units.or(worth).is_none() {
            return Err(format!("has neither {amount} nor {usd} of {symbol}"));
        }
        let bonus = if is_collateral { bonus_of(&cell("bonus"), in_bps("bonus"))? } else { None };
        let threshold = if is_collateral { share_of(&cell("threshold"), in_bps("threshold"))? } else { None };
        Ok::<_, String>(Some(Side {
            symbol,
            amount: units.and_then(|units| u128::try_from(units).ok()),
            usd: worth.map(Usd8),
            threshold_bps: threshold,
            bonus_bps: bonus,
        }))
    };
    let (collateral, debt) = if by_side {
        match name("side")?.as_deref() {
            Some("collateral") => (side("symbol", "amount", "usd", true)?, None),
            Some("debt") => (None, side("symbol", "amount", "usd", false)?),
            _ => return Err("side is neither collateral nor debt".to_owned()),
        }
    } else {
        (
            side("collateral", "collateral_amount", "collateral_usd", true)?,
            side("debt", "debt_amount", "debt_usd", false)?,
        )
    };
    Ok(Row { number, account, market: name("market")?, standing: name("standing")?, collateral, debt })
}

/// A number in `10^-8`; none where there is nothing.
fn number_of(cell: &Cell<'_>) -> std::result::Result<Option<i128>, String> {
    match cell.shown() {
        None => Ok(None),
        Some(text) => Usd8::parse_rounding(&text).map(|Usd8(units)| Some(units)).map_err(|why| why.to_string()),
    }
}

/// One, in `10^-8`.
const ONE: i128 = 100_000_000;

/// A share in basis points. Where the column does not say that it is in these, up to 1 it is of one, up to 100 in per cent, above that
/// in basis points.
fn share_of(cell: &Cell<'_>, in_bps: bool) -> std::result::Result<Option<u16>, String> {
    let Some(units) = number_of(cell)? else { return Ok(None) };
    let bps = match units {
        0.. if in_bps => units / ONE,
        0..=ONE => units * 10_000 / ONE,
        ..0 => return Err("a threshold or bonus is negative".to_owned()),
        _ if units <= 100 * ONE => units * 100 / ONE,
        _ => units / ONE,
    };
    u16::try_from(bps).map(Some).map_err(|_| "a threshold or bonus is too large".to_owned())
}

/// A bonus above one, in basis points: a share, or what is multiplied with.
fn bonus_of(cell: &Cell<'_>, in_bps: bool) -> std::result::Result<Option<u16>, String> {
    if let Some(units) = number_of(cell)?
        && !in_bps
        && (ONE + 1..2 * ONE).contains(&units)
    {
        return Ok(u16::try_from((units - ONE) * 10_000 / ONE).ok());
    }
    Ok(share_of(cell, in_bps)?.map(|bps| if bps >= 10_000 { bps - 10_000 } else { bps }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn joined_rows_and_rows_by_side_are_read() {
        let joined = file(
            "account,collateral_symbol,btc,threshold,borrowed_symbol,borrow_balance_tokens,version\n\
             0x00000000000000000000000000000000000000a1,wBTC,1.5,0.78,USDC,1000.123456789,V3\n\
             0x00000000000000000000000000000000000000a2,wBTC,2,78,USDT,5,V2\n\
             0x00000000000000000000000000000000000000a2,wBTC,-2,7800,USDT,5,V3\n\
             nobody,wBTC,2,7800,USDT,5,V3\n",
        );
        let reading = Reading {
            overrides: vec![("collateral_amount".to_owned(), "btc".to_owned())],
            only: vec![("version".to_owned(), "V3".to_owned())],
        };
        let read = read(joined.path(), &reading).unwrap();
        assert_eq!((read.rows.len(), read.others, read.rejects), (1, 1, 2));
        assert_eq!(read.first_reject, Some((3, "collateral_amount is negative".to_owned())));
        let row = &read.rows[0];
        let collateral = row.collateral.clone().unwrap();
        assert_eq!((collateral.amount, collateral.threshold_bps), (Some(150_000_000), Some(7_800)));
        assert_eq!(row.debt.clone().unwrap().amount, Some(100_012_345_679));
    }

    #[test]
    fn a_row_may_be_one_side() {
        let by_side = file(
            "user,side,symbol,amount,usd,liquidation_threshold_bps,liquidation_bonus_bps\n\
             0x00000000000000000000000000000000000000a1,collateral,WETH,2,5000,8000,10500\n\
             0x00000000000000000000000000000000000000a1,debt,USDC,1000,1000,,\n\
             0x00000000000000000000000000000000000000a1,other,USDC,1000,1000,,\n",
        );
        let read = read(by_side.path(), &Reading::default()).unwrap();
        assert_eq!((read.rows.len(), read.rejects), (2, 1));
        let collateral = read.rows[0].collateral.clone().unwrap();
        assert_eq!((collateral.threshold_bps, collateral.bonus_bps), (Some(8_000), Some(500)));
        assert_eq!(read.rows[1].debt.clone().unwrap().usd, Some(Usd8(100_000_000_000)));
    }

    #[test]
    fn units_are_what_the_column_says_and_else_what_the_number_says() {
        for (columns, values, expected) in [
            ("liquidation_threshold_bps,liquidation_bonus_bps", "100,100", (100, 100)),
            ("liquidation_threshold_bps,liquidation_bonus_bps", "8000,10500", (8_000, 500)),
            ("liquidation_threshold_bps,liquidation_bonus_bps", "1,1", (1, 1)),
            ("liquidation_threshold,liquidation_bonus", "0.8,1.05", (8_000, 500)),
            ("liquidation_threshold,liquidation_bonus", "80,5", (8_000, 500)),
            ("liquidation_threshold,liquidation_bonus", "8000,0.05", (8_000, 500)),
            ("threshold,bonus", "8000,10500", (8_000, 500)),
        ] {
            let file = file(&format!(
                "account,side,symbol,amount,{columns}\n\
                 0x00000000000000000000000000000000000000a1,collateral,WETH,2,{values}\n"
            ));
            let read = read(file.path(), &Reading::default()).unwrap();
            let side = read.rows[0].collateral.clone().unwrap();
            assert_eq!((side.threshold_bps.unwrap(), side.bonus_bps.unwrap()), expected, "{columns} {values}");
        }
        // A column that the user names says it too.
        let file = file(
            "account,side,symbol,amount,lt_bps\n0x00000000000000000000000000000000000000a1,collateral,WETH,2,90\n",
        );
        let overrides = vec![("threshold".to_owned(), "lt_bps".to_owned())];
        let read = read(file.path(), &Reading { overrides, ..Reading::default() }).unwrap();
        assert_eq!(read.rows[0].collateral.clone().unwrap().threshold_bps, Some(90));
    }

    #[test]
    fn a_name_that_is_too_long_is_no_other_name() {
        let row = |length| format!("0x00000000000000000000000000000000000000a1,debt,{},1\n", "X".repeat(length));
        let file = file(&format!("account,side,symbol,amount\n{}{}", row(64), row(65)));
        let read = read(file.path(), &Reading::default()).unwrap();
        assert_eq!((read.rows.len(), read.rejects), (1, 1));
        assert_eq!(read.first_reject, Some((2, "symbol is longer than 64 letters".to_owned())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let bare = file("who,what\n1,2\n");
        assert!(read(bare.path(), &Reading::default()).unwrap_err().to_string().contains("account"));
        let reading = Reading { overrides: vec![("nothing".into(), "who".into())], ..Reading::default() };
        assert!(read(bare.path(), &reading).unwrap_err().to_string().contains("nothing"));
    }
}
