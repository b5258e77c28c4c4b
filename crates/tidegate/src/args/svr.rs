//! What the user types about recaptured bonuses.

use std::path::PathBuf;

use clap::Subcommand;

use super::Output;

/// `import recaptures`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ImportRecaptures {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The dataset they go to; named after the file where not given
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Where they come from, kept with the data
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<String>,
    /// The chain of rows that name none, by name or number
    #[arg(long, value_name = "CHAIN")]
    pub chain: Option<String>,
    /// The market of rows that name none
    #[arg(long, value_name = "NAME")]
    pub market: Option<String>,
    /// Read a field from a column of another name (`--map bonus_usd=oev`); amounts are US dollars
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<String>,
    /// Show how the columns are understood and the first rows, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What is asked of recaptured bonuses.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Svr {
    /// How much of the bonuses was recaptured, every rate with its denominator, and where it went
    Report(SvrReport),
    /// Each liquidation: how it came about, what it paid, and who got it
    Events(SvrEvents),
    /// Rates in groups
    Rates(SvrRates),
    /// The three layers in one table: from gross bonuses to what searchers, builders and the network kept, to the treasury's income
    Waterfall(SvrWaterfall),
    /// What would have been recaptured of past liquidations, and what waiting for the cutoff could have cost, under stated assumptions
    Backtest(SvrBacktest),
    /// Published figures worked out again: what each implies, under every reading of it
    Claims(SvrClaims),
}

/// Whose liquidations, and when.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrSource {
    /// The dataset; not needed where the archive has one with recaptured bonuses only
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
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
}

/// `svr report`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrReport {
    /// Whose.
    #[command(flatten)]
    pub source: SvrSource,
    /// Draw recaptured against routed and all bonuses by month, with coverage, into a PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// The same into an SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `svr waterfall`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrWaterfall {
    /// Whose.
    #[command(flatten)]
    pub source: SvrSource,
    /// A policy as a TOML file (see `tidegate treasury policy`): the last lines say where it would have put the treasury's income
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Draw the table's lines as a waterfall into a PNG
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// The same into an SVG
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `svr events`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrEvents {
    /// Whose.
    #[command(flatten)]
    pub source: SvrSource,
    /// Show the N with the largest bonuses; 0 shows all, by time [default: 20 in text, else all]
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `svr rates`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrRates {
    /// Whose.
    #[command(flatten)]
    pub source: SvrSource,
    /// Group by these, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_value = "month", value_name = "DIMENSION")]
    pub by: Vec<SvrBy>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// By what rates are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SvrBy {
    /// The aggregator whose price made it possible
    Feed,
    /// Market
    Market,
    /// Chain
    Chain,
    /// Hour
    Hour,
    /// Week from Monday
    Week,
    /// Month
    Month,
    /// Class of what was seized
    Size,
    /// How it came about
    Route,
    /// Who took it
    Searcher,
}

/// `svr backtest`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrBacktest {
    /// The dataset of liquidations
    #[arg(long, value_name = "NAME")]
    pub dataset: String,
    /// From this day or moment (UTC), included
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// To this day (included whole) or moment (not included), UTC
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// How much of the bonuses an auction would have been held for: low, middle, high
    #[arg(long, default_value = "42%,70%,95%", value_name = "LOW,MID,HIGH")]
    pub coverage: String,
    /// How much of those the winners would have handed on: low, middle, high
    #[arg(long, default_value = "37%,68%,90%", value_name = "LOW,MID,HIGH")]
    pub competition: String,
    /// How much of the bonuses would have been lost to waiting: most, middle, least
    #[arg(long, default_value = "2%,0.5%,0%", value_name = "MOST,MID,LEAST")]
    pub lost: String,
    /// The bonus where only one side of a liquidation is known: low, middle, high
    #[arg(long, default_value = "5%,6.25%,10%", value_name = "LOW,MID,HIGH")]
    pub bonus: String,
    /// The protocol's part of what is recaptured
    #[arg(long, default_value = "65%", value_name = "SHARE")]
    pub split: String,
    /// Hourly prices (time, high, low) of the collateral, for what waiting for the cutoff could have cost: Parquet, CSV or JSON lines
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// The collateral whose prices they are; liquidations of others are left out of that part
    #[arg(long, value_delimiter = ',', value_name = "TOKEN")]
    pub collateral: Vec<String>,
    /// The liquidation threshold of that collateral
    #[arg(long, default_value = "78%", value_name = "SHARE")]
    pub threshold: String,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `svr claims`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SvrClaims {
    /// The protocol's part of what is recaptured
    #[arg(long, default_value = "65%", value_name = "SHARE")]
    pub split: String,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}
