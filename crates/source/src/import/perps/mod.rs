//! Other people's files of what venues of perpetual futures said: candles, open interest, liquidations, positions, funding.
//!
//! A row becomes one [`Observation`] (a row of sums of liquidations up to two), or a reject with its reason. Units are in the names of
//! fields (`volume_coins`, `open_interest_usd`), and what no name tells the user must: how long a stretch is, which sides open
//! interest counts, which margin stands behind positions. A column whose name leaves the unit open is not read unless the user
//! names its field. Numbers are kept to 18 digits behind the point, rounded half to even.

pub(super) mod cells;
mod rows;
mod state;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use protocol::perp::{Candle, Counting, Key, Kind, Observation, Observed};
use protocol::time::TimeUs;
use protocol::venue::Venue;
use protocol::{Address, Decimal};

use super::input::{Flow, Input, Row};
use crate::error::{Error, Result};
use crate::venue::Reject;

/// Rows that are read of one file; all of them are held at once.
pub const MOST_ROWS: u64 = 1_000_000;

/// What the user says of a file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What its rows are.
    pub kind: Kind,
    /// Which venue they are of, and by whose rules they are read.
    pub venue: Venue,
    /// Which coin they are of; none for all coins of a file of positions.
    pub coin: Option<Arc<str>>,
    /// Columns the user names, as `field`, `column`; an empty column for none.
    pub overrides: Vec<(String, String)>,
    /// Only rows in which a column has a value, as `column`, `value`.
    pub only: Vec<(String, String)>,
    /// How long the stretch is that a row is about, in microseconds; its time is when that begins.
    pub interval: Option<i64>,
    /// Which sides open interest counts.
    pub counting: Option<Counting>,
    /// What stands behind positions of a file that does not say.
    pub margin: Option<Mode>,
    /// Whose account it is, where the file does not say.
    pub account: Option<Address>,
    /// When the file is read.
    pub received: TimeUs,
    /// Prices at which dollars become coins where a row has no price.
    pub closes: Closes,
}

/// What stands behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The account.
    Cross,
    /// Its own margin.
    Isolated,
}

/// Last prices of stretches, by coin and when they end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closes(BTreeMap<(Arc<str>, TimeUs), (Decimal, i64)>);

impl Closes {
    /// Those of candles.
    #[must_use]
    pub fn of(candles: &[Observation]) -> Self {
        let close = |row: &Observation| {
            let Observed::Candle(Candle { interval, close, .. }) = &row.fact else { return None };
            let ends = TimeUs(row.time.0.checked_add(*interval)?);
            Some(((row.symbol.clone(), ends), (*close, *interval)))
        };
        Self(candles.iter().filter_map(close).collect())
    }

    /// The last price at a moment: of the stretch that ends there, or less than its own length before.
    #[must_use]
    pub fn at(&self, coin: &Arc<str>, time: TimeUs) -> Option<Decimal> {
        let ((of, ends), (close, interval)) = self.0.range(..=(coin.clone(), time)).next_back()?;
        (of == coin && time.0.checked_sub(ends.0)? < *interval).then_some(*close)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What became of a file.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// What was taken, in the file's order.
    pub observations: Vec<Observation>,
    /// What was not, with the reason; each says its row.
    pub rejects: Vec<Reject>,
    /// Rows looked at.
    pub rows: u64,
    /// Rows about other coins, or in which another value stands than was asked for.
    pub others: u64,
    /// Rows that say what an earlier row says.
    pub repeats: u64,
    /// Which field was read from which column.
    pub columns: Vec<(&'static str, String)>,
    /// Columns that were not read.
    pub unread: Vec<String>,
}

/// Reads a file until so much of it is taken or rejected: CSV, JSON lines, Parquet, or states of Hyperliquid's accounts as that venue answers them.
///
/// # Errors
/// It cannot be read, lacks a column that is needed, or something that it does not tell was not said; or it has more
/// than [`MOST_ROWS`] rows. Each error says which option helps.
pub fn read(path: &Path, settings: &Settings, most: usize) -> Result<Read> {
    if settings.kind == Kind::Positions
        && settings.venue == Venue::Hyperliquid
        && let Some(read) = state::read(path, settings)?
    {
        return Ok(read);
    }
    let input = Input::open(path)?;
    let reader = rows::Reader::new(&input, settings)?;
    let only = only(&input, settings)?;
    let mut read = Read { columns: reader.columns(), unread: reader.unread(), ..Read::default() };
    let mut seen: BTreeMap<Key, (u64, usize)> = BTreeMap::new();
    input.visit(&mut |number, row, _| {
        if number > MOST_ROWS {
            let what = format!("{}: more than {MOST_ROWS} rows", path.display());
            return Err(Error::Unfit { what, advice: "give it in parts".to_owned() });
        }
        read.rows = number;
        if only.iter().any(|(column, value)| row.cell(*column).shown().as_deref() != Some(*value)) {
            read.others += 1;
        } else {
            match reader.row(row) {
                Ok(None) => read.others += 1,
                Ok(Some(taken)) => {
                    taken.into_iter().for_each(|one| read.take(&mut seen, number, one, &|| shown(&input, row)))
                }
                Err(why) => read.reject(number, why.0, &why.1, shown(&input, row)),
            }
        }
        let found = read.observations.len() + read.rejects.len();
        Ok(if found >= most { Flow::Stop } else { Flow::Continue })
    })?;
    Ok(read)
}

impl Read {
    /// Takes an observation unless an earlier row is about the same.
    fn take(
        &mut self,
        seen: &mut BTreeMap<Key, (u64, usize)>,
        number: u64,
        mut one: Observation,
        row: &dyn Fn() -> String,
    ) {
        if let Observed::Liquidation(_) = one.fact
            && !one.distortions.has(protocol::perp::Distortion::Summed)
        {
            // Two equal rows of a list of events are two events.
            while seen.contains_key(&one.key()) {
                let Observed::Liquidation(of) = &mut one.fact else { return };
                of.ordinal = of.ordinal.saturating_add(1);
            }
        }
        let (first, at) = *seen.entry(one.key()).or_insert((number, self.observations.len()));
        match self.observations.get(at) {
            None => self.observations.push(one),
            Some(before) if before.fact == one.fact => self.repeats += 1,
            Some(_) => {
                self.reject(number, "contradiction", &format!("row {first} says another thing of the same"), row());
            }
        }
    }

    fn reject(&mut self, number: u64, reason: &'static str, detail: &str, row: String) {
        self.rejects.push(Reject { reason, detail: format!("row {number}: {detail}"), row });
    }
}

fn shown(input: &Input, row: &Row<'_>) -> String {
    crate::venue::shown(&row.text(input.columns()))
}

/// The columns in which a value is asked for.
fn only<'a>(input: &Input, settings: &'a Settings) -> Result<Vec<(usize, &'a str)>> {
    let one = |(column, value): &'a (String, String)| Ok((column_of(input, column)?, value.as_str()));
    settings.only.iter().map(one).collect()
}

/// The place of a column that the user names.
pub(super) fn column_of(input: &Input, name: &str) -> Result<usize> {
    input.columns().iter().position(|column| column == name).ok_or_else(|| Error::Unfit {
        what: format!("{}: there is no column \"{}\"", input.path().display(), printable(name)),
        advice: format!("its columns are {}", listed(input)),
    })
}

pub(super) fn listed(input: &Input) -> String {
    input.columns().iter().take(40).map(|column| printable(column)).collect::<Vec<_>>().join(", ")
}

pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}
