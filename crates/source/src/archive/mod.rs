//! The archive on disk: plain Parquet files that are the truth.
//!
//! ```text
//! <archive>/imports/dataset=<name>/liquidations/<from>-<to>-<id>.parquet   one file per imported file
//! <archive>/imports/dataset=<name>/rejects/<from>-<to>-<id>.parquet        rows that could not be taken, with reasons
//! <archive>/imports/dataset=<name>/recaptures/<from>-<to>-<id>.parquet      what somebody recorded of recaptured bonuses
//! <archive>/imports/dataset=<name>/positions/<at>-<at>.parquet            who held and owed what at a moment
//! <archive>/proofs/reconciliations/<a>~<b>.parquet                         which rows of two datasets are the same event
//! <archive>/logs/market=<name>/<from>-<to>-<filter>.parquet                every log of these blocks that a filter lets through
//! <archive>/head/market=<name>/tail.parquet                                the blocks that are not final yet, with their logs
//! <archive>/reads/market=<name>/<from>-<to>-<id>.parquet                   what nodes answered to calls
//! <archive>/transactions/market=<name>/<from>-<to>-<id>.parquet            transactions that matter, with their receipts
//! <archive>/proofs/market=<name>/<from>-<to>-<id>.parquet                  what was found when logs were checked
//! <archive>/tables/market=<name>/liquidations.parquet                      the market's liquidations, made from the above
//! <archive>/tables/market=<name>/prices.parquet                            what its oracle said, made from the same
//! <archive>/ledger/<number>.parquet                                        batches of what moved between the treasury's accounts
//! <archive>/perps/venue=<name>/<kind>/<from>-<to>-<id>.parquet             what a venue of perpetual futures said
//! <archive>/imports/dataset=<name>/perps/venue=<name>/<kind>/…             the same out of somebody's files
//! <archive>/perps/venue=<name>/rejects/empty-<id>.parquet                  what it said that could not be taken
//! ```
//!
//! Invariants:
//! * A file under its final name is whole: it was written beside, fsynced, then renamed ([`publish`]).
//! * What a file covers stands in its name and footer ([`footer`]); there is no second book-keeping to disagree.
//! * One writer at a time ([`Writer`] holds a lock that dies with its process); readers never wait.

mod cells;
pub mod coverage;
pub mod definition;
pub mod footer;
pub mod head;
pub mod ledger;
pub mod liquidations;
pub mod logs;
pub mod perps;
pub mod positions;
pub mod prices;
pub mod proofs;
pub mod publish;
pub mod reads;
pub mod recaptured;
pub mod recaptures;
pub mod reconciliations;
pub mod rejects;
pub mod scan;
pub mod synced;
pub mod transactions;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub use footer::{Complete, Footer, Span, TimeRange};
pub use logs::LogReader;
pub use publish::PendingFile;
pub use scan::{Chunk, DataFile, Scan};

use crate::error::{Error, IoContext, Result};

/// The version of every table's layout. A file of a later version is refused, not guessed at.
pub const SCHEMA_VERSION: u32 = 1;

/// A table of the archive, and the name of its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// One row per liquidation call: [`liquidations`].
    Liquidations,
    /// One row per side of an account's position at a moment: [`positions`].
    Positions,
    /// One row per row of an input that could not be taken: [`rejects`].
    Rejects,
    /// One row per pair of rows that are the same event: [`reconciliations`].
    Reconciliations,
    /// One row per log of a market: [`logs`].
    Logs,
    /// One row per block that is not final yet and one per log in it: [`head`].
    Head,
    /// One row per call and its answer: [`reads`].
    Reads,
    /// One row per transaction that matters: [`transactions`].
    Transactions,
    /// One row per check of a range: [`proofs`].
    Proofs,
    /// One row per change of a price: [`prices`].
    Prices,
    /// What venues of perpetual futures said: [`perps`].
    Perps,
    /// One row per transfer between the treasury's accounts: [`ledger`].
    Ledger,
    /// One row per liquidation and what of its bonus was recaptured: [`recaptures`].
    Recaptures,
}

impl Table {
    pub(crate) const ALL: [Self; 13] = [
        Self::Liquidations,
        Self::Positions,
        Self::Rejects,
        Self::Reconciliations,
        Self::Logs,
        Self::Head,
        Self::Reads,
        Self::Transactions,
        Self::Proofs,
        Self::Prices,
        Self::Perps,
        Self::Ledger,
        Self::Recaptures,
    ];

    /// The tables of a synced market.
    const OF_A_MARKET: [Self; 5] = [Self::Logs, Self::Head, Self::Reads, Self::Transactions, Self::Proofs];

    /// The folder's name, also written in the footer.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Liquidations => "liquidations",
            Self::Positions => "positions",
            Self::Rejects => "rejects",
            Self::Reconciliations => "reconciliations",
            Self::Logs => "logs",
            Self::Head => "head",
            Self::Reads => "reads",
            Self::Transactions => "transactions",
            Self::Proofs => "proofs",
            Self::Prices => "prices",
            Self::Perps => "perps",
            Self::Ledger => "ledger",
            Self::Recaptures => "recaptures",
        }
    }
}

/// An archive, for reading.
#[derive(Debug, Clone)]
pub struct Archive {
    root: PathBuf,
}

impl Archive {
    /// An archive in a folder; the folder need not exist yet, an absent archive is an empty one.
    ///
    /// # Errors
    /// The path is a file.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if root.is_file() {
            let what = "is a file, and an archive is a folder".to_owned();
            return Err(Error::BadFile { path: root, what, advice: "give --archive a folder, existing or new" });
        }
        Ok(Self { root })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The names of all datasets, sorted: what was imported, and synced markets whose tables were made.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn datasets(&self) -> Result<Vec<DatasetName>> {
        let mut datasets = BTreeSet::new();
        let names = entries(&self.root.join("imports"))?;
        datasets.extend(names.iter().filter_map(|name| DatasetName::new(name.strip_prefix("dataset=")?).ok()));
        let tables = self.root.join("tables");
        let made = entries(&tables)?.into_iter().filter(|name| synced::is_in(&tables.join(name)));
        datasets.extend(made.filter_map(|name| DatasetName::new(name.strip_prefix("market=")?).ok()));
        Ok(datasets.into_iter().collect())
    }

    /// The synced market that a dataset is, if it is one; what it is made of is in [`synced`].
    #[must_use]
    pub fn synced_market(&self, dataset: &DatasetName) -> Option<MarketName> {
        let market = MarketName(dataset.0.clone());
        synced::is_in(&self.synced_folder(&market)).then_some(market)
    }

    /// The finished files of one table of a dataset, sorted by name, with their footers.
    ///
    /// # Errors
    /// A file is unreadable or of a later layout; or both a synced market and what was imported have the name.
    pub fn files(&self, dataset: &DatasetName, table: Table) -> Result<Vec<DataFile>> {
        self.files_within(dataset, table, &TimeRange::ALL)
    }

    /// The same, less the files whose names tell that they hold no row of the range; those are not even opened.
    ///
    /// # Errors
    /// A file is unreadable or of a later layout.
    pub fn files_within(&self, dataset: &DatasetName, table: Table, range: &TimeRange) -> Result<Vec<DataFile>> {
        let imported = self.files_in(&self.folder(dataset, table), range)?;
        let market = self.synced_market(dataset).filter(|_| table == Table::Liquidations);
        let Some(market) = market else {
            return Ok(imported);
        };
        if self.folder(dataset, table).exists() {
            return Err(Error::Unfit {
                what: format!("both a synced market and an imported dataset are called {dataset}"),
                advice: format!("rename the folder imports/dataset={dataset}: its files name no dataset that counts"),
            });
        }
        Ok(synced::file(self, &market)?.into_iter().collect())
    }

    /// The reconciliations on record.
    ///
    /// # Errors
    /// A file is unreadable or of a later layout.
    pub fn reconciliations(&self) -> Result<Vec<DataFile>> {
        self.files_in(&self.reconciliations_folder(), &TimeRange::ALL)
    }

    /// Where one table of a dataset lies.
    #[must_use]
    pub fn folder(&self, dataset: &DatasetName, table: Table) -> PathBuf {
        self.root.join("imports").join(format!("dataset={dataset}")).join(table.word())
    }

    /// The names of all markets of which anything is held, sorted.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub fn markets(&self) -> Result<Vec<MarketName>> {
        let mut markets = BTreeSet::new();
        for table in Table::OF_A_MARKET {
            let names = entries(&self.root.join(table.word()))?;
            markets.extend(names.iter().filter_map(|name| MarketName::new(name.strip_prefix("market=")?).ok()));
        }
        Ok(markets.into_iter().collect())
    }

    /// The finished files of one table of a market, sorted by name, with their footers.
    ///
    /// # Errors
    /// A file is unreadable, of a later layout, or belongs elsewhere by what it says about itself.
    pub fn market_files(&self, market: &MarketName, table: Table) -> Result<Vec<DataFile>> {
        self.market_files_from(market, table, 0)
    }

    /// The same, less the files whose names tell that they end before a block; those are not even opened.
    ///
    /// # Errors
    /// A file is unreadable, of a later layout, or belongs elsewhere by what it says about itself.
    pub fn market_files_from(&self, market: &MarketName, table: Table, from: u64) -> Result<Vec<DataFile>> {
        let folder = self.market_folder(market, table);
        let names = entries(&folder)?;
        let may_hold = |name: &str| Span::blocks_of_file_name(name).is_none_or(|(_, to)| from <= to);
        let wanted = names.iter().filter(|name| is_finished(name) && may_hold(name));
        wanted
            .map(|name| {
                let file = DataFile::open(folder.join(name))?;
                file.expect_to_be(market, table, name)?;
                Ok(file)
            })
            .collect()
    }

    /// Where one table of a market lies.
    #[must_use]
    pub fn market_folder(&self, market: &MarketName, table: Table) -> PathBuf {
        self.root.join(table.word()).join(format!("market={market}"))
    }

    /// Where what is made from a market's logs lies.
    #[must_use]
    pub fn synced_folder(&self, market: &MarketName) -> PathBuf {
        self.root.join("tables").join(format!("market={market}"))
    }

    pub(crate) fn reconciliations_folder(&self) -> PathBuf {
        self.root.join("proofs").join(Table::Reconciliations.word())
    }

    fn files_in(&self, folder: &Path, range: &TimeRange) -> Result<Vec<DataFile>> {
        let names = entries(folder)?;
        let may_hold = |name: &str| Span::of_file_name(name).is_none_or(|span| span.may_hold(range));
        let wanted = names.iter().filter(|name| is_finished(name) && may_hold(name));
        wanted.map(|name| DataFile::open(folder.join(name))).collect()
    }
}

/// An archive, for writing. Only one can exist per archive at a time, on this machine.
#[derive(Debug)]
pub struct Writer {
    archive: Archive,
    /// Held, never read: the lock goes with the file.
    _lock: fs::File,
}

impl Writer {
    /// Takes the archive's write lock, makes the folder where needed, and sweeps away what an interrupted writer left.
    ///
    /// # Errors
    /// [`Error::Locked`] where another program is writing; or the folder cannot be written.
    pub fn open(archive: &Archive) -> Result<Self> {
        publish::create_folder(&archive.root)?;
        let path = archive.root.join(".lock");
        let lock = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .while_trying_to("open the lock", &path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: archive.root.clone() });
            }
            Err(fs::TryLockError::Error(cause)) => return Err(cause).while_trying_to("lock the archive", &path),
        }
        // Only where this program writes: the folder given may hold other people's things.
        for dataset in archive.datasets()? {
            for table in [Table::Liquidations, Table::Positions, Table::Recaptures, Table::Rejects] {
                publish::sweep(&archive.folder(&dataset, table))?;
            }
            for folder in perps::Shelf::Imported(&dataset).folders(archive) {
                publish::sweep(&folder)?;
            }
        }
        publish::sweep(&archive.reconciliations_folder())?;
        publish::sweep(&ledger::folder(archive))?;
        for folder in perps::Shelf::Observed.folders(archive) {
            publish::sweep(&folder)?;
        }
        for market in archive.markets()? {
            for table in Table::OF_A_MARKET {
                publish::sweep(&archive.market_folder(&market, table))?;
            }
            publish::sweep(&archive.synced_folder(&market))?;
        }
        Ok(Self { archive: archive.clone(), _lock: lock })
    }

    /// The archive being written.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }
}

/// A dataset's name: lower-case letters, digits, `-` and `_`, at most 64, beginning with a letter or digit, so that it is
/// a safe folder name on every system.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetName(String);

impl DatasetName {
    /// Checks a name.
    ///
    /// # Errors
    /// The name is empty, too long or has other characters.
    pub fn new(name: &str) -> Result<Self> {
        checked_name(name, "dataset").map(Self)
    }

    /// The name a file suggests: its stem, with every other character turned into `-`.
    ///
    /// # Errors
    /// Nothing of the stem is left.
    pub fn suggested_by(path: &Path) -> Result<Self> {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name: String =
            stem.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).take(64).collect();
        Self::new(name.trim_matches(['-', '_']))
    }
}

impl std::fmt::Display for DatasetName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A market's name, such as `ethereum-v3-core`; a safe folder name as a [`DatasetName`] is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarketName(String);

impl MarketName {
    /// Checks a name.
    ///
    /// # Errors
    /// The name is empty, too long or has other characters than a [`DatasetName`] may have.
    pub fn new(name: &str) -> Result<Self> {
        checked_name(name, "market").map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for MarketName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn checked_name(name: &str, of_what: &str) -> Result<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts_well && name.len() <= 64 && name.chars().all(allowed) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().filter(|c| !c.is_control()).take(80).collect();
    Err(Error::Unfit {
        what: format!("\"{shown}\" is no name for a {of_what}"),
        advice: "use up to 64 lower-case letters, digits, '-' and '_'".to_owned(),
    })
}

/// Whether a file name is that of a finished data file.
fn is_finished(name: &str) -> bool {
    !name.starts_with('.') && name.ends_with(".parquet")
}

/// The names in a folder, sorted; none where there is no such folder.
fn entries(folder: &Path) -> Result<Vec<String>> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(cause).while_trying_to("list the folder", folder),
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.while_trying_to("list the folder", folder)?;
        // The archive writes only names in UTF-8; what is not was put there by somebody else.
        names.extend(entry.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}
