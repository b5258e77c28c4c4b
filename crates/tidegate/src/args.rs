//! What the user types.

mod perps;
mod svr;
mod treasury;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub(crate) use self::perps::{
    ImportPerps, Leverage, MapCommand, MapScore, MapWhat, PerpKeeping, PerpKind, PerpMargin, PerpOthers, PerpShown,
    PerpSides, PerpSources, SyncCommand, SyncPerps, SyncWhat,
};
pub(crate) use self::svr::{
    ImportRecaptures, Svr, SvrBacktest, SvrBy, SvrClaims, SvrEvents, SvrRates, SvrReport, SvrSource, SvrWaterfall,
};
pub(crate) use self::treasury::{
    StatementBy, StatementFormat, StatementKind, StatementPer, Treasury, TreasuryLedger, TreasuryPolicy,
    TreasuryRecord, TreasuryStatement,
};
use crate::market::prices::Sampling;
use crate::output::Format;

/// Follows a market shock from liquidations to where their value ends. Every figure says how it is known.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, arg_required_else_help = true)]
pub(crate) struct Args {
    /// The archive's folder
    #[arg(long, global = true, env = "TIDEGATE_ARCHIVE", default_value = "tidegate-archive", value_name = "FOLDER")]
    pub archive: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make up a world from a seed and show what the program says of it: no network, no files needed
    Demo(Demo),
    /// Take other people's files into the archive
    Import {
        /// What the files hold.
        #[command(subcommand)]
        what: Import,
    },
    /// List the archive's datasets: origin, standing, period, rows, rejects
    Datasets(Output),
    /// List the markets that are known by name, and what a first sync of each would cost
    Markets(Markets),
    /// Read a market from a chain's nodes into the archive, go on from what is there, and follow the chain; or listen to venues
    Sync(Box<SyncCommand>),
    /// Who holds and owes what in a synced market, how near liquidation, and what if prices move
    Positions(Positions),
    /// What a synced market's oracle said, and when: from feeds' logs, exact, or as it answered when asked
    Prices(Prices),
    /// What becomes liquidatable at each level of a coin's price: how much, where, whose, and what it pays
    Map(Box<MapCommand>),
    /// How much leverage there is, beside past stretches, and whether it was reset
    Leverage(Leverage),
    /// Prove a synced market against its chain: accounts, reserves, logs
    Verify(Verify),
    /// Make the tables of a synced market anew from its logs, without a node
    Rebuild(Rebuild),
    /// Who was liquidated for how much: totals, groups, episodes, concentration
    Liquidations(Box<Liquidations>),
    /// The treasury in double entry: record, follow and state what came in and where it went, and try policies on it
    Treasury {
        /// What to do.
        #[command(subcommand)]
        what: Treasury,
    },
    /// Compare two datasets of the same events, row by row
    Reconcile(Reconcile),
    /// How much of the bonuses was recaptured, and who got it
    Svr {
        /// What is asked.
        #[command(subcommand)]
        what: Box<Svr>,
    },
}

/// What files hold.
#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// One row per liquidation: Parquet, CSV or JSON lines
    Liquidations(ImportLiquidations),
    /// One row per log of a chain, as cryo writes them: what they hold of a market is not read from nodes again
    Logs(ImportLogs),
    /// What venues of perpetual futures said: candles, open interest, liquidations, positions, funding
    Perps(ImportPerps),
    /// Somebody's record of recaptured bonuses, one row per liquidation: Parquet, CSV, JSON lines, or a tracker's JSON document
    Recaptures(ImportRecaptures),
}

/// `import liquidations`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportLiquidations {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The dataset they go to; named after the file where not given
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Where they come from, kept with the data
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<String>,
    /// The unit of the amounts
    #[arg(long, value_enum)]
    pub amounts: Option<Amounts>,
    /// The chain of rows that name none, by name or number
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<String>,
    /// The market of rows that name none
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// The protocol version of rows that name none
    #[arg(long, value_name = "V3")]
    pub version: Option<String>,
    /// Read a field from a column of another name (`--map user=liquidatee`); `--map user=` reads it from none
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<String>,
    /// More tokens: a CSV of chain_id,address,symbol,decimals
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Show how the columns are understood and the first rows, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `import logs`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ImportLogs {
    /// The files; each name says which blocks it covers (ethereum__logs__18000000_to_18000999.parquet)
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The market: a name that `tidegate markets` lists, or a new name together with --provider and --chain
    #[arg(long, value_name = "NAME")]
    pub market: String,
    /// The addresses provider of a market that is in no list
    #[arg(long, value_name = "ADDRESS")]
    pub provider: Option<String>,
    /// Its chain, by name or number
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<String>,
    /// The market's first block, where no node can tell it
    #[arg(long, value_name = "BLOCK")]
    pub from_block: Option<u64>,
    /// The blocks that the file covers, both ends included, where its name does not say it
    #[arg(long, value_name = "FROM-TO")]
    pub blocks: Option<String>,
    /// Take your word that the files hold every log of the market in their blocks, although they show no sign of it
    #[arg(long)]
    pub complete: bool,
    /// The files were written for these contracts alone; what others wrote is read from nodes
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub contract: Vec<String>,
    /// Blocks below the tip that count as final, where the chain does not say it
    #[arg(long, value_name = "BLOCKS")]
    pub finality: Option<u64>,
    /// More markets and chains, or other endpoints: a file like the embedded registry
    #[arg(long, value_name = "FILE")]
    pub markets: Option<PathBuf>,
    /// Who is asked for the hashes and times of blocks.
    #[command(flatten)]
    pub nodes: Nodes,
}

/// In what amounts are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Amounts {
    /// Tokens: 1.5
    Tokens,
    /// The smallest unit: 1500000000000000000
    Raw,
}

/// How results are written.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Output {
    /// The form of the output; CSV and Parquet write the last table alone
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Write to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `markets`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Markets {
    /// Only these markets, by name; one alone is shown with its contracts and endpoints
    #[arg(value_name = "MARKET")]
    pub market: Vec<String>,
    /// Only these chains
    #[arg(long, value_delimiter = ',')]
    pub chain: Vec<String>,
    /// Only these protocol versions
    #[arg(long, value_delimiter = ',')]
    pub version: Vec<String>,
    /// More markets, or changes to known ones: a TOML file
    #[arg(long, value_name = "FILE")]
    pub markets: Option<PathBuf>,
    /// What a first sync costs: blocks, requests, time
    #[arg(long)]
    pub estimate: bool,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// Who is asked about a chain.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Nodes {
    /// An endpoint: http(s)://, ws(s):// or the path of a socket; several may be given, `URL#weight=3` is asked more often.
    /// The registry's public ones where none is given
    #[arg(long, value_delimiter = ',', env = "TIDEGATE_RPC", hide_env_values = true, value_name = "URL")]
    pub rpc: Vec<String>,
    /// Stop after this many requests
    #[arg(long, value_name = "N")]
    pub max_requests: Option<u64>,
}

/// `sync`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Sync {
    /// The market: a name that `tidegate markets` lists, or a new name together with --provider and --chain
    #[arg(long, value_name = "NAME", required = true)]
    pub market: Option<String>,
    /// The addresses provider of a market that is in no list; everything else is found on the chain
    #[arg(long, value_name = "ADDRESS")]
    pub provider: Option<String>,
    /// Its chain, by name or number
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<String>,
    /// The market's first block, where no node can tell it
    #[arg(long, value_name = "BLOCK")]
    pub from_block: Option<u64>,
    /// Read to this block and not to the chain's last final one
    #[arg(long, value_name = "BLOCK", conflicts_with = "follow")]
    pub to_block: Option<u64>,
    /// Go on with every new block until stopped
    #[arg(long)]
    pub follow: bool,
    /// Blocks below the tip that count as final, where the chain does not say it
    #[arg(long, value_name = "BLOCKS")]
    pub finality: Option<u64>,
    /// Read logs of finished blocks from a HyperSync service, which is the chain's public one where no URL is given, and
    /// everything else from the nodes. Its token is what the environment variable TIDEGATE_HYPERSYNC_TOKEN holds
    #[arg(long, num_args = 0..=1, default_missing_value = "", value_name = "URL")]
    pub hypersync: Option<String>,
    /// More markets and chains, or other endpoints: a file like the embedded registry
    #[arg(long, value_name = "FILE")]
    pub markets: Option<PathBuf>,
    /// Where auctions for liquidations are settled and what they bring is collected: a file like the embedded registry of them
    #[arg(long, value_name = "FILE")]
    pub svr: Option<PathBuf>,
    /// Where the oracle is asked for prices that no log tells (caps, ratios, discounts): around `liquidations`; also where a feed
    /// below one moved by 50 basis points (`moves=50`) since it was asked for last; or at `all` answers of such a feed. Prices that
    /// feeds' logs tell are never asked for
    #[arg(long, value_name = "WHERE", default_value = "liquidations", value_parser = Sampling::parse)]
    pub prices: Sampling,
    /// Of which updates of price feeds the transactions and receipts are kept
    #[arg(long, value_enum, default_value = "near")]
    pub oracle_updates: OracleUpdates,
    /// Who is asked.
    #[command(flatten)]
    pub nodes: Nodes,
}

impl Sync {
    /// The market's name.
    ///
    /// # Panics
    /// No market was named, which is possible only beside a subcommand.
    pub(crate) fn market(&self) -> &String {
        self.market.as_ref().expect("whoever syncs a market has named it")
    }
}

/// Which updates of price feeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum OracleUpdates {
    /// None
    None,
    /// Those in blocks with a liquidation of the market, and in the blocks right before and after
    Near,
    /// Every one: a block and a receipt are asked for each
    All,
}

/// `prices`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Prices {
    /// The synced market; not needed where the archive has one only
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// Only these assets, by symbol or address, with every change
    #[arg(long, value_delimiter = ',', value_name = "ASSET")]
    pub asset: Vec<String>,
    /// What was known at the end of this block, or at this moment (2025-10-10T21:15:00Z)
    #[arg(long, value_name = "BLOCK|TIME")]
    pub at: Option<String>,
    /// Show the last N changes of an asset; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `positions`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Positions {
    /// The synced market; not needed where the archive has one only
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// One account, with every leg and the prices at which it becomes liquidatable
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<String>,
    /// What if: `WETH=-20%`, `WETH=1800`; several may be given. The standing of what follows is assumed
    #[arg(long, value_delimiter = ',', allow_hyphen_values = true, value_name = "ASSET=CHANGE")]
    pub price: Vec<String>,
    /// The riskiest N accounts; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// Only accounts with a health factor below this
    #[arg(long, value_name = "HF")]
    pub below: Option<String>,
    /// Only accounts that owe at least this much, in the market's base currency
    #[arg(long, value_name = "AMOUNT")]
    pub min_debt: Option<String>,
    /// Only accounts that hold this collateral
    #[arg(long, value_name = "ASSET")]
    pub collateral: Option<String>,
    /// Only accounts that owe this asset
    #[arg(long, value_name = "ASSET")]
    pub debt: Option<String>,
    /// As of this block and not the last one synced
    #[arg(long, value_name = "BLOCK")]
    pub block: Option<u64>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `map`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Map {
    /// The asset: BTC or ETH with all that moves with it, or one token by its symbol
    #[arg(value_name = "ASSET", required = true)]
    pub asset: Option<String>,
    /// The synced markets; all of the archive where none is named
    #[arg(long, value_name = "NAME")]
    pub market: Vec<String>,
    /// Files of positions: account, collateral, collateral_amount, threshold, debt, debt_amount. Parquet, CSV or JSON lines
    #[arg(long, value_name = "FILE")]
    pub positions: Vec<PathBuf>,
    /// Read a field of the files from a column of another name
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<String>,
    /// Only rows of the files in which a column has this value
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub only: Vec<String>,
    /// Prices of the files' tokens in dollars, where they do not say
    #[arg(long, value_delimiter = ',', value_name = "TOKEN=USD")]
    pub price: Vec<String>,
    /// Liquidation thresholds of the files' collateral, before what they say
    #[arg(long, value_delimiter = ',', value_name = "TOKEN=78%")]
    pub threshold: Vec<String>,
    /// Liquidation bonuses of the files' collateral, likewise
    #[arg(long, value_delimiter = ',', value_name = "TOKEN=5%")]
    pub bonus: Vec<String>,
    /// The day of the files' positions
    #[arg(long, value_name = "DAY")]
    pub as_of: Option<String>,
    /// As of this block of a synced market and not the last one with prices
    #[arg(long, value_name = "BLOCK")]
    pub at: Option<u64>,
    /// How far down
    #[arg(long, default_value = "-50%", allow_hyphen_values = true, value_name = "CHANGE")]
    pub from: String,
    /// How far up
    #[arg(long, default_value = "+50%", allow_hyphen_values = true, value_name = "CHANGE")]
    pub to: String,
    /// How far apart levels are, of today's price
    #[arg(long, default_value = "2.5%", value_name = "CHANGE", conflicts_with = "levels")]
    pub step: String,
    /// How many levels instead, evenly apart
    #[arg(long, value_name = "N")]
    pub levels: Option<u32>,
    /// Split by these
    #[arg(long, value_enum, value_delimiter = ',')]
    pub by: Vec<MapBy>,
    /// The N accounts that owe most of those that each level reaches
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub top: usize,
    /// Groups of tokens that move together, as TOML, instead of those that are known
    #[arg(long, value_name = "FILE")]
    pub groups: Option<PathBuf>,
    /// The asset alone, without what moves with it
    #[arg(long)]
    pub alone: bool,
    /// Venues of perpetual futures.
    #[command(flatten)]
    pub perps: PerpSources,
    /// What is kept of what they say.
    #[command(flatten)]
    pub keeping: PerpKeeping,
    /// How their positions are shown.
    #[command(flatten)]
    pub shown: PerpShown,
    /// Draw the map into a PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Draw the map into an SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// By what a map is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MapBy {
    /// Market
    Market,
    /// Chain
    Chain,
    /// Class of what an account owes
    Size,
}

/// `verify`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Verify {
    /// The synced market; not needed where the archive has one only
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// What is compared: accounts and reserves with the chain's state, or logs with receipts, blooms or a second endpoint
    #[arg(long, value_enum, value_delimiter = ',', default_value = "state")]
    pub level: Vec<Level>,
    /// How many accounts are compared, the riskiest and a random sample; `all` for every one
    #[arg(long, default_value = "200", value_name = "N")]
    pub accounts: String,
    /// How many blocks are compared beyond those with liquidations; `all` for every one
    #[arg(long, default_value = "100", value_name = "N")]
    pub blocks: String,
    /// As of this block and not the last final one synced
    #[arg(long, value_name = "BLOCK")]
    pub block: Option<u64>,
    /// Say what it would cost and ask nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Set files aside whose logs were found wrong, so that the next sync reads their blocks anew; nothing is deleted
    #[arg(long)]
    pub repair: bool,
    /// Who is asked.
    #[command(flatten)]
    pub nodes: Nodes,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// How something is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Level {
    /// Balances, indexes, flags and health factors equal those of the contracts
    State,
    /// The logs held are those of the receipts, whose root stands in the block's header
    Receipts,
    /// No block whose bloom filter speaks of the market is without logs
    Bloom,
    /// Another endpoint hands out the same logs
    Second,
}

/// `rebuild`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Rebuild {
    /// The synced market; every one where not given
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
}

/// `liquidations`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Liquidations {
    /// A dataset, or several (repeat or separate by commas); all where not given. Several are shown side by side
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub dataset: Vec<String>,
    /// Add several datasets up; refused where they overlap and were not reconciled
    #[arg(long)]
    pub combine: bool,
    /// Group by these, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', value_name = "DIMENSION")]
    pub by: Vec<By>,
    /// From this day or moment (UTC), included
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// To this day (included whole) or moment (not included), UTC
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only these chains
    #[arg(long, value_delimiter = ',')]
    pub chain: Vec<String>,
    /// Only these markets
    #[arg(long, value_delimiter = ',')]
    pub market: Vec<String>,
    /// Only these protocol versions
    #[arg(long, value_delimiter = ',')]
    pub version: Vec<String>,
    /// Only these collateral tokens
    #[arg(long, value_delimiter = ',')]
    pub collateral: Vec<String>,
    /// Only these debt tokens
    #[arg(long, value_delimiter = ',')]
    pub debt: Vec<String>,
    /// Only these liquidated accounts
    #[arg(long, value_delimiter = ',')]
    pub user: Vec<String>,
    /// Only these liquidators
    #[arg(long, value_delimiter = ',')]
    pub liquidator: Vec<String>,
    /// Only liquidations worth at least this many US dollars
    #[arg(long, value_name = "USD")]
    pub min_usd: Option<String>,
    /// Which side's value ranks, classes and finds bursts; where not given, the debt, or the collateral where a dataset has no debt side
    #[arg(long, value_enum)]
    pub measure: Option<MeasureName>,
    /// Show the N groups with the most value; 0 shows all [default: 20 in text, else all; 100 by user]
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// Find bursts of liquidation
    #[arg(long)]
    pub episodes: bool,
    /// An episode's hour: 24 hours with this many times the median day's value
    #[arg(long, value_name = "TIMES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub episode_factor: u32,
    /// List the N largest liquidations (at most 100)
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "20", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub largest: Option<u8>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
    /// Draw a chart into a PNG file: bars by group, or a time series with its episodes
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Draw the same chart into an SVG file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

/// By what to group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum By {
    Chain,
    Market,
    Version,
    Collateral,
    Debt,
    Liquidator,
    User,
    Size,
    Day,
    Week,
    Month,
}

/// Which side's value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum MeasureName {
    /// The debt repaid
    Debt,
    /// The collateral seized
    Collateral,
}

/// `reconcile`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Reconcile {
    /// The first dataset
    pub a: String,
    /// The second dataset
    pub b: String,
    /// Compare only rows with these collateral tokens
    #[arg(long, value_delimiter = ',')]
    pub collateral: Vec<String>,
    /// Compare only rows from this day or moment (UTC), included; the datasets' common period where not given
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Compare only rows to this day (included whole) or moment (not included), UTC
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Show up to N rows of each kind that do not match
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub examples: usize,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `demo`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Demo {
    /// Where to put the made-up world: its archive (--archive is not used) and its pictures
    #[arg(long, default_value = "tidegate-demo", value_name = "FOLDER")]
    pub folder: PathBuf,
    /// From which the world is made: the same seed makes the same world
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}
