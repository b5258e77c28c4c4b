//! Other people's files of liquidations, re-expressed as rows of the archive.
//!
//! A file is opened and its columns recognised ([`plan`]); then every row is converted, written with its
//! key, or kept among the rejects with a reason. Keys that occur twice, in the file or in what the dataset already holds,
//! are found on disk-backed partitions, so that memory stays bounded; then the file is published whole or not at all.
//!
//! Files of raw logs are another thing: [`logs`].

mod cell;
mod convert;
mod events;
pub mod fields;
mod input;
pub(crate) mod key;
pub mod logs;
mod mapping;
mod moment;
pub mod perps;
pub mod positions;
pub mod recaptures;
mod run;

use std::path::Path;

use protocol::chain::ChainId;
use protocol::liquidation::{Liquidation, Version};
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::token::Tokens;

pub use convert::{Noticed, Rejection};
pub use events::{Label, Recorded, digest, record};
pub use input::Extent;
pub use mapping::{Field, Mapping};
pub use moment::Form;
pub use run::{Outcome, Progress, run};

use crate::archive::DatasetName;
use crate::error::{Error, Result};
use convert::Converter;
use input::{Flow, Input};

/// In what an input gives its amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmountUnit {
    /// Tokens, such as `1.5`.
    Tokens,
    /// The token's smallest unit, such as `1500000000000000000`.
    Raw,
}

/// What the user says about an input.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The dataset it goes to.
    pub dataset: DatasetName,
    /// Where it comes from, in the user's words.
    pub origin: String,
    /// How its figures are known: imported, or assumed for a world that was made up.
    pub standing: Standing,
    /// The chain of rows that name none.
    pub chain: Option<ChainId>,
    /// The market of rows that name none.
    pub market: Option<String>,
    /// The version of rows that name none.
    pub version: Option<Version>,
    /// The unit of its amounts.
    pub amounts: Option<AmountUnit>,
    /// Columns the user names, as `field`, `column`.
    pub overrides: Vec<(String, String)>,
}

/// An input that can be imported: opened, its columns understood.
#[derive(Debug)]
pub struct Plan {
    input: Input,
    mapping: Mapping,
    settings: Settings,
}

/// Opens a file and works out how it would be imported.
///
/// # Errors
/// The file cannot be read, or what it lacks was not given: each error says which option supplies it.
pub fn plan(path: &Path, settings: Settings) -> Result<Plan> {
    let input = Input::open(path)?;
    let mapping = Mapping::recognise(input.columns(), &settings.overrides).map_err(|error| error.about(path))?;
    let plan = Plan { input, mapping, settings };
    match plan.missing() {
        None => Ok(plan),
        Some((what, advice)) => {
            let columns: Vec<String> = plan.input.columns().iter().take(40).map(|column| printable(column)).collect();
            let what = format!("{}: {what} (its columns: {})", path.display(), columns.join(", "));
            Err(Error::Unfit { what, advice: advice.to_owned() })
        }
    }
}

impl Plan {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.input.path()
    }

    /// Its format, in words.
    #[must_use]
    pub fn format(&self) -> &'static str {
        self.input.format()
    }

    /// How much there is.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.input.extent()
    }

    /// What the user said.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Every field that is read, with its column's name; and every column that is not read.
    #[must_use]
    pub fn columns(&self) -> (Vec<(Field, &str)>, Vec<&str>) {
        let columns = self.input.columns();
        let read = self.mapping.iter().map(|(field, column)| (field, columns[column].as_str())).collect();
        let is_read = |index: usize| self.mapping.iter().any(|(_, column)| column == index);
        let unread =
            columns.iter().enumerate().filter(|(index, _)| !is_read(*index)).map(|(_, name)| name.as_str()).collect();
        (read, unread)
    }

    /// The first rows as they would be taken.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn preview(
        &self,
        rows: u64,
        tokens: &Tokens,
    ) -> Result<Vec<std::result::Result<(TimeUs, Liquidation), Rejection>>> {
        let mut converter = Converter::new(&self.mapping, &self.settings, tokens);
        let mut shown = Vec::new();
        self.input.visit(&mut |number, row, _| {
            shown.push(converter.convert(row));
            Ok(if number >= rows { Flow::Stop } else { Flow::Continue })
        })?;
        Ok(shown)
    }

    /// What keeps the file from being imported, and the option that would help.
    fn missing(&self) -> Option<(&'static str, &'static str)> {
        let has = |field| self.mapping.column(field).is_some();
        let has_any = |fields: &[Field]| fields.iter().any(|field| has(*field));
        let given = &self.settings;
        let lacks = [
            (!has(Field::Time), "no column is recognised as the time", "name it with --map time=COLUMN"),
            (!has(Field::User), "no column is recognised as the liquidated user", "name it with --map user=COLUMN"),
            (
                !has_any(&[Field::CollateralAsset, Field::CollateralSymbol, Field::DebtAsset, Field::DebtSymbol]),
                "no column is recognised as the collateral or debt token",
                "name one with --map collateral_symbol=COLUMN or --map debt_symbol=COLUMN (or …_asset for addresses)",
            ),
            (
                has_any(&[Field::CollateralAmount, Field::CollateralPriceUsd, Field::CollateralUsd])
                    && !has_any(&[Field::CollateralAsset, Field::CollateralSymbol]),
                "it has amounts or values of collateral, and no column is recognised as the collateral token",
                "name it with --map collateral_symbol=COLUMN, or leave the values out with --map collateral_usd= and the like",
            ),
            (
                has_any(&[Field::DebtAmount, Field::DebtPriceUsd, Field::DebtUsd])
                    && !has_any(&[Field::DebtAsset, Field::DebtSymbol]),
                "it has amounts or values of debt, and no column is recognised as the debt token",
                "name it with --map debt_symbol=COLUMN, or leave the values out with --map debt_usd= and the like",
            ),
            (
                !has(Field::Chain) && given.chain.is_none(),
                "no column is recognised as the chain",
                "give it for the whole file with --chain NAME, or --map chain=COLUMN",
            ),
            (
                !has_any(&[Field::Market, Field::Version]) && given.market.is_none() && given.version.is_none(),
                "no column is recognised as the market or version",
                "give one for the whole file with --market NAME or --version V3, or --map market=COLUMN",
            ),
            (
                has_any(&[Field::CollateralAmount, Field::DebtAmount]) && given.amounts.is_none(),
                "it has amounts, and nothing says in which unit",
                "add --amounts tokens (1.5) or --amounts raw (1500000000000000000)",
            ),
        ];
        lacks.into_iter().find(|(lacking, ..)| *lacking).map(|(_, what, advice)| (what, advice))
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
