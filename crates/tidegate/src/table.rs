//! What commands compute before anything is printed: tables whose columns have units, with the standing of their figures.

use protocol::U256;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::TimeUs;

/// Everything a command has to say.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    /// What was asked, in a line.
    pub title: String,
    /// How its figures are known.
    pub standing: Standing,
    /// Rules, assumptions and gaps, each a sentence.
    pub notes: Vec<String>,
    /// The tables, the most asked for last.
    pub tables: Vec<Table>,
}

/// Rows under columns with units.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Its name, also in exports.
    pub name: &'static str,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The rows; each has a value per column.
    pub rows: Vec<Vec<Value>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name, with the unit where it is not plain from it.
    pub name: String,
    /// What its values are.
    pub unit: Unit,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Words.
    Text,
    /// Whole numbers.
    Count,
    /// US dollars with eight decimals.
    Usd,
    /// A share of one; a person reads it in per cent.
    Share,
    /// Moments in UTC.
    Time,
    /// Exact decimal numbers of any length, such as amounts of tokens.
    Decimal,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Not known or not applicable; never to be read as zero.
    Missing,
    /// Words, possibly hostile.
    Text(String),
    /// A whole number.
    Count(u64),
    /// US dollars.
    Usd(Usd8),
    /// A share of one.
    Share(f64),
    /// A moment.
    Time(TimeUs),
    /// An exact decimal number.
    Decimal {
        /// The number without its point.
        digits: U256,
        /// How many digits stand behind the point.
        decimals: u8,
    },
}

impl Table {
    /// An empty table.
    pub(crate) fn new(name: &'static str, columns: &[(&str, Unit)]) -> Self {
        let columns = columns.iter().map(|(name, unit)| Column { name: (*name).to_owned(), unit: *unit }).collect();
        Self { name, columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, row: Vec<Value>) {
        assert_eq!(row.len(), self.columns.len(), "a row has a value per column");
        self.rows.push(row);
    }
}

impl Value {
    /// The share of a part in a whole; missing where the whole is not above nothing.
    pub(crate) fn share(part: i128, whole: i128) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "a share is read to a few digits")]
        if whole <= 0 { Self::Missing } else { Self::Share(part as f64 / whole as f64) }
    }

    /// US dollars of eight decimals, missing where `known` is false.
    pub(crate) fn usd_if(known: bool, usd8: i128) -> Self {
        if known { Self::Usd(Usd8(usd8)) } else { Self::Missing }
    }
}
