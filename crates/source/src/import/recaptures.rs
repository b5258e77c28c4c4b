//! Other people's records of recaptured bonuses, one row per liquidation: CSV, JSON lines, Parquet, or a JSON document whose `rows` they
//! are, as a public tracker publishes them.
//!
//! Amounts are US dollars, kept to eight decimals and rounded half away from zero. What a row says twice must agree: a row that no auction
//! was held for and that recaptured something, or whose parts are not the whole, is a reject. Where an auction was held and both parts are
//! given without the whole, that is their sum.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read as _;
use std::path::Path;
use std::str::FromStr as _;

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::{B256, Decimal};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::cell::Cell;
use super::input::{Flow, Input, Row as Line};
use super::moment::{self, Form};
use super::perps::cells::{Why, account, not_negative, time};
use super::perps::{column_of, listed, printable};
use super::run::sha256_of;
use crate::archive::recaptures::{NATIVE_DECIMALS, Row};
use crate::error::{Error, IoContext as _, Result};
use crate::venue::Reject;

/// Rows that are read of one file; all of them are held at once.
pub const MOST_ROWS: u64 = 1_000_000;
/// Bytes of a JSON document that are read.
const MOST_BYTES: u64 = 256 << 20;
/// Longest name that is kept, in letters; a row with a longer one is a reject.
const LONGEST_NAME: usize = 80;
/// The parts of a whole may miss it by this much, in 10^-8 US dollars: each is rounded to the cent.
const PARTS_MAY_MISS: i128 = 2_000_000;

/// Fields, and the names by which their columns are recognised, in lower case with everything but letters and digits left out.
const FIELDS: [(&str, &[&str]); 13] = [
    ("time", &["time", "timestamp", "blocktime", "blocktimestamp", "date", "day", "d"]),
    ("chain", &["chain", "chainid", "network", "blockchain", "ch"]),
    ("market", &["market", "comet", "pool", "co"]),
    ("borrower", &["borrower", "user", "account", "b"]),
    ("searcher", &["searcher", "liquidator", "absorber"]),
    ("tx_hash", &["txhash", "transactionhash", "tx", "hash"]),
    ("liquidated_usd", &["liquidatedusd", "volumeusd", "collateralusd", "vl"]),
    ("bonus_usd", &["bonususd", "availableusd", "oevusd", "av"]),
    ("routed", &["routed", "svr", "issvr"]),
    ("recaptured_usd", &["recapturedusd", "recu"]),
    ("protocol_usd", &["protocolusd", "daousd", "daou"]),
    ("network_usd", &["networkusd", "chainlinkusd", "clu"]),
    ("protocol_native", &["protocolnative", "daoeth", "daoe"]),
];

/// What the user says of a file.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Columns the user names, as `field`, `column`; an empty column for none.
    pub overrides: Vec<(String, String)>,
    /// The chain of rows that name none.
    pub chain: Option<ChainId>,
    /// The market of rows that name none.
    pub market: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, Default)]
pub struct Read {
    /// What was taken, each with its number, from 1.
    pub rows: Vec<(u64, Row)>,
    /// What was not, with the reason; each says its row.
    pub rejects: Vec<Reject>,
    /// Rows looked at.
    pub looked_at: u64,
    /// Rows that say what an earlier row says.
    pub repeats: u64,
    /// Which field was read from which column.
    pub columns: Vec<(&'static str, String)>,
    /// Columns that were not read.
    pub unread: Vec<String>,
    /// What tells the file apart: its SHA-256.
    pub sha256: String,
}

/// A JSON document with rows in it.
#[derive(Debug, Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    rows: Vec<HashMap<Cow<'a, str>, &'a RawValue>>,
}

/// Reads a file until so many rows of it are taken or rejected.
///
/// # Errors
/// It cannot be read, lacks a column that is needed, or has more than [`MOST_ROWS`] rows.
pub fn read(path: &Path, settings: &Settings, most: usize) -> Result<Read> {
    let mut out = Read::default();
    let mut seen = BTreeSet::new();
    if let Some(text) = document(path)? {
        let Document { rows } = serde_json::from_str(&text).map_err(|cause| Error::BadFile {
            path: path.to_owned(),
            what: format!("is no JSON document with rows ({cause})"),
            advice: "give the tracker's file as it is, or one object per line",
        })?;
        let names: BTreeSet<&str> = rows.iter().flat_map(HashMap::keys).map(AsRef::as_ref).collect();
        let names: Vec<String> = names.into_iter().map(ToOwned::to_owned).collect();
        let columns = Columns::of(&names, settings, |name| {
            names.iter().position(|column| column == name).ok_or_else(|| unknown_column(path, name, &names))
        })?;
        columns.check(path, settings, &names.join(", "))?;
        (out.columns, out.unread) = columns.said(&names);
        for (number, row) in (1..).zip(&rows) {
            if number > MOST_ROWS || out.rows.len() + out.rejects.len() >= most {
                break;
            }
            let values: Vec<Option<&RawValue>> = names.iter().map(|name| row.get(name.as_str()).copied()).collect();
            out.take(&mut seen, number, &Line::Json(&values), (&columns, settings, &names));
        }
        if rows.len() as u64 > MOST_ROWS {
            return Err(too_many(path));
        }
    } else {
        let input = Input::open(path)?;
        let columns = Columns::of(input.columns(), settings, |name| column_of(&input, name))?;
        columns.check(path, settings, &listed(&input))?;
        (out.columns, out.unread) = columns.said(input.columns());
        input.visit(&mut |number, row, _| {
            if number > MOST_ROWS {
                return Err(too_many(path));
            }
            out.take(&mut seen, number, row, (&columns, settings, input.columns()));
            let found = out.rows.len() + out.rejects.len();
            Ok(if found >= most { Flow::Stop } else { Flow::Continue })
        })?;
    }
    out.sha256 = sha256_of(path)?;
    Ok(out)
}

/// The text of a file that is one JSON document with rows.
fn document(path: &Path) -> Result<Option<String>> {
    let file = std::fs::File::open(path).while_trying_to("read the file", path)?;
    if !file.metadata().while_trying_to("read the file", path)?.is_file() {
        return Ok(None);
    }
    let mut head = Vec::new();
    file.take(4_096).read_to_end(&mut head).while_trying_to("read the file", path)?;
    let head = String::from_utf8_lossy(&head);
    let first: String = head.chars().filter(|c| !c.is_whitespace()).take(64).collect();
    if !first.starts_with("{\"rows\":[") {
        return Ok(None);
    }
    let length = std::fs::metadata(path).while_trying_to("read the file", path)?.len();
    if length > MOST_BYTES {
        let what = format!("{}: a JSON document of {length} bytes", path.display());
        return Err(Error::Unfit { what, advice: "write one object per line (jq -c '.rows[]' does it)".to_owned() });
    }
    std::fs::read_to_string(path).while_trying_to("read the file", path).map(Some)
}

impl Read {
    fn take(
        &mut self,
        seen: &mut BTreeSet<Row>,
        number: u64,
        line: &Line<'_>,
        (columns, settings, names): (&Columns, &Settings, &[String]),
    ) {
        self.looked_at = number;
        match columns.row(line, settings) {
            Ok(row) if seen.contains(&row) => self.repeats += 1,
            Ok(row) => {
                seen.insert(row.clone());
                self.rows.push((number, row));
            }
            Err((reason, why)) => self.rejects.push(Reject {
                reason,
                detail: format!("row {number}: {why}"),
                row: crate::venue::shown(&line.text(names)),
            }),
        }
    }
}

/// Which column each field is in.
struct Columns([Option<usize>; FIELDS.len()]);

impl Columns {
    fn of(names: &[String], settings: &Settings, find: impl Fn(&str) -> Result<usize>) -> Result<Self> {
        let plain = |name: &str| -> String {
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
        };
        if let Some((field, _)) =
            settings.overrides.iter().find(|(named, _)| FIELDS.iter().all(|(name, _)| name != named))
        {
            let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
            return Err(Error::Unfit {
                what: format!("--map names a field \"{}\" that does not exist", printable(field)),
                advice: format!("there are: {}", known.join(", ")),
            });
        }
        let mut columns = [None; FIELDS.len()];
        for (found, (field, known)) in columns.iter_mut().zip(FIELDS) {
            *found = match settings.overrides.iter().find(|(named, _)| named == field) {
                Some((_, column)) if column.is_empty() => None,
                Some((_, column)) => Some(find(column)?),
                None => known.iter().find_map(|known| names.iter().position(|name| plain(name) == **known)),
            };
        }
        Ok(Self(columns))
    }

    fn check(&self, path: &Path, settings: &Settings, names: &str) -> Result<()> {
        let lacks = |field: &str| self.place(field).is_none();
        let missing = [
            ("time", lacks("time"), "--map time=COLUMN"),
            ("chain", lacks("chain") && settings.chain.is_none(), "--chain NAME or --map chain=COLUMN"),
            ("market", lacks("market") && settings.market.is_none(), "--market NAME or --map market=COLUMN"),
            ("bonus that could be taken", lacks("bonus_usd"), "--map bonus_usd=COLUMN"),
            ("mark of an auction", lacks("routed"), "--map routed=COLUMN"),
            ("value recaptured", lacks("recaptured_usd"), "--map recaptured_usd=COLUMN"),
        ];
        match missing.into_iter().find(|(_, is_missing, _)| *is_missing) {
            None => Ok(()),
            Some((what, _, option)) => Err(Error::Unfit {
                what: format!("{}: no column is recognised as the {what} (its columns: {names})", path.display()),
                advice: format!("name it with {option}"),
            }),
        }
    }

    fn place(&self, field: &str) -> Option<usize> {
        FIELDS.iter().zip(self.0).find(|((name, _), _)| *name == field).and_then(|(_, place)| place)
    }

    fn said(&self, names: &[String]) -> (Vec<(&'static str, String)>, Vec<String>) {
        let read = FIELDS.iter().zip(self.0).filter_map(|((field, _), place)| Some((*field, names[place?].clone())));
        let unread = (0..names.len()).filter(|place| !self.0.contains(&Some(*place)));
        (read.collect(), unread.map(|place| names[place].clone()).collect())
    }

    fn row(&self, line: &Line<'_>, settings: &Settings) -> std::result::Result<Row, Why> {
        if let Line::Broken(why, _) = line {
            return Err(("malformed row", (*why).to_owned()));
        }
        let cell = |field: &str| self.place(field).map_or(Cell::Null, |place| line.cell(place));
        let usd = |field: &str| -> std::result::Result<Option<Usd8>, Why> {
            not_negative(&cell(field), field)?.map(|value| dollars(value, field)).transpose()
        };
        let named = cell("chain").shown();
        let chain = match named.as_deref() {
            Some(name) => ChainId::from_name(name)
                .ok_or_else(|| ("unknown chain", format!("no chain is called \"{}\"", printable(name)))),
            None => settings.chain.ok_or_else(|| ("missing", "the chain is missing".to_owned())),
        };
        let market = name(&cell("market"), "the market")?.or_else(|| settings.market.clone());
        let native = not_negative(&cell("protocol_native"), "protocol_native")?;
        let stated = cell("time");
        let mut row = Row {
            time: time(&stated)?,
            time_is_day: is_day(&stated),
            chain: chain?,
            market: market.ok_or_else(|| ("missing", "the market is missing".to_owned()))?,
            borrower: name(&cell("borrower"), "the borrower")?,
            searcher: account(&cell("searcher"))?,
            transaction: hash(&cell("tx_hash"))?,
            liquidated: usd("liquidated_usd")?,
            bonus: usd("bonus_usd")?,
            routed: flag(&cell("routed"))?,
            recaptured: usd("recaptured_usd")?,
            protocol: usd("protocol_usd")?,
            network: usd("network_usd")?,
            protocol_native: native.map(native_units).transpose()?,
        };
        agrees(&row)?;
        if let (true, None, Some(protocol), Some(network)) = (row.routed, row.recaptured, row.protocol, row.network) {
            let whole = protocol.checked_add(network);
            row.recaptured =
                Some(whole.ok_or_else(|| ("no number", "the parts together leave their range".to_owned()))?);
        }
        Ok(row)
    }
}

/// Whether what a row says twice agrees.
fn agrees(row: &Row) -> std::result::Result<(), Why> {
    let is_something = |usd: Option<Usd8>| usd.is_some_and(|usd| usd.0 > 0);
    if !row.routed && [row.recaptured, row.protocol, row.network].into_iter().any(is_something) {
        return Err(("contradiction", "something was recaptured, and no auction was held".to_owned()));
    }
    if let (Some(whole), Some(protocol), Some(network)) = (row.recaptured, row.protocol, row.network) {
        let missed = protocol.0.checked_add(network.0).and_then(|sum| sum.checked_sub(whole.0));
        if missed.is_none_or(|missed| missed.abs() > PARTS_MAY_MISS) {
            let detail = format!("{protocol} and {network} are not {whole}");
            return Err(("contradiction", detail));
        }
    }
    Ok(())
}

fn dollars(value: Decimal, field: &str) -> std::result::Result<Usd8, Why> {
    Usd8::parse_rounding(&value.to_string()).map_err(|why| ("no number", format!("{field} {why}")))
}

fn native_units(value: Decimal) -> std::result::Result<i128, Why> {
    let units = protocol::amount::Raw::parse_tokens(&value.to_string(), NATIVE_DECIMALS).ok();
    let units = units.and_then(|units| i128::try_from(units.units()).ok());
    units.ok_or_else(|| ("no number", "protocol_native has too many digits".to_owned()))
}

fn name(cell: &Cell<'_>, what: &str) -> std::result::Result<Option<String>, Why> {
    match cell.shown() {
        Some(name) if name.chars().count() > LONGEST_NAME => {
            Err(("name too long", format!("{what} is longer than {LONGEST_NAME} letters")))
        }
        shown => Ok(shown),
    }
}

fn hash(cell: &Cell<'_>) -> std::result::Result<Option<B256>, Why> {
    let found = match cell {
        Cell::Null => return Ok(None),
        Cell::Bytes(bytes) => B256::try_from(*bytes).ok(),
        Cell::Text(text) => B256::from_str(text.trim()).ok(),
        Cell::Integer(_) | Cell::Float(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => None,
    };
    found.map(Some).ok_or_else(|| ("no transaction", "the transaction is no hash of 32 bytes".to_owned()))
}

fn flag(cell: &Cell<'_>) -> std::result::Result<bool, Why> {
    let word = match cell {
        Cell::Flag(flag) => return Ok(*flag),
        Cell::Text(text) => text.trim().to_ascii_lowercase(),
        Cell::Integer(number) => number.to_string(),
        Cell::Null | Cell::Float(_) | Cell::Bytes(_) | Cell::Moment(..) | Cell::Unfit(_) => String::new(),
    };
    match word.as_str() {
        "true" | "yes" | "1" | "y" | "t" => Ok(true),
        "false" | "no" | "0" | "n" | "f" => Ok(false),
        _ => Err(("no yes or no", "whether an auction was held is neither true nor false".to_owned())),
    }
}

fn is_day(cell: &Cell<'_>) -> bool {
    let form = match cell {
        Cell::Moment(_, form) => Some(*form),
        Cell::Text(text) => moment::from_text(text).map(|(_, form)| form),
        Cell::Null | Cell::Integer(_) | Cell::Float(_) | Cell::Bytes(_) | Cell::Flag(_) | Cell::Unfit(_) => None,
    };
    form == Some(Form::DateOnly)
}

fn unknown_column(path: &Path, name: &str, names: &[String]) -> Error {
    Error::Unfit {
        what: format!("{}: there is no column \"{}\"", path.display(), printable(name)),
        advice: format!("its columns are {}", names.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", ")),
    }
}

fn too_many(path: &Path) -> Error {
    let what = format!("{}: more than {MOST_ROWS} rows", path.display());
    Error::Unfit { what, advice: "give it in parts".to_owned() }
}

/// What the notes of the files say that rows of a file become.
#[must_use]
pub fn notes(path: &Path, origin: Option<&str>, read: &Read) -> BTreeMap<String, String> {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let origin = origin.map_or_else(|| format!("file {file}"), ToOwned::to_owned);
    [("source_file", file), ("origin", origin), ("source_sha256", read.sha256.clone())]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
