//! What the user types about the treasury.

use std::path::PathBuf;

use clap::Subcommand;

use super::Output;

/// `treasury`.
#[derive(Debug, Subcommand)]
pub(crate) enum Treasury {
    /// Take transfers from a file, or the fees and deficits of a dataset's liquidations, into the ledger
    Record(TreasuryRecord),
    /// Every entry with its transaction or file, and what stands on every account
    Ledger(TreasuryLedger),
    /// Income statement, balance sheet or cash flow by month
    Statement(TreasuryStatement),
    /// What policies for the loss buffer would have come to over a history
    Policy(TreasuryPolicy),
}

/// `treasury record`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TreasuryRecord {
    /// Files of transfers: id, time, network, asset, debit, credit, amount; also group, action (post, hold, post-held, void-held),
    /// held, amount_raw, reserve, debit_reserve, credit_reserve, usd, standing, `tx_hash`, `log_index`. CSV, JSON lines or Parquet
    #[arg(value_name = "FILE", required_unless_present = "dataset")]
    pub files: Vec<PathBuf>,
    /// A record of recaptured bonuses, of which the protocol's part is income that the auction's safe owes; or a synced market: its
    /// liquidations' protocol fees are income, its deficits expenses
    #[arg(long, value_name = "NAME")]
    pub dataset: Vec<String>,
    /// More tokens: a CSV of chain_id,address,symbol,decimals
    #[arg(long, value_name = "FILE")]
    pub tokens: Option<PathBuf>,
    /// Show what would be taken and what not, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `treasury ledger`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TreasuryLedger {
    /// Only entries on these accounts, by their word in the chart (cash, svr-share, loss-buffer, …)
    #[arg(long, value_delimiter = ',', value_name = "ACCOUNT")]
    pub account: Vec<String>,
    /// Only entries about this reserve, by symbol or address
    #[arg(long, value_name = "RESERVE")]
    pub reserve: Option<String>,
    /// Only entries of this month
    #[arg(long, value_name = "2026-02")]
    pub month: Option<String>,
    /// Only entries on this network
    #[arg(long, value_name = "CHAIN")]
    pub network: Option<String>,
    /// Only what stands on accounts, without entries
    #[arg(long)]
    pub balances: bool,
    /// The last N entries; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub top: usize,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `treasury statement`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TreasuryStatement {
    /// Which statement
    #[arg(long, value_enum, default_value = "income")]
    pub kind: StatementKind,
    /// Over which periods
    #[arg(long, value_enum, default_value = "month")]
    pub by: StatementBy,
    /// How it is split
    #[arg(long, value_enum, default_value = "consolidated")]
    pub per: StatementPer,
    /// Only this month
    #[arg(long, value_name = "2026-02")]
    pub month: Option<String>,
    /// Prices of whole tokens by day: a CSV of network,asset,day,usd. Without, only what transfers say is in dollars
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// The form of the output; beancount and ledger (also for hledger) write the whole ledger with balance assertions
    #[arg(long, value_enum, default_value = "text")]
    pub format: StatementFormat,
    /// Write to a file instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Which statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StatementKind {
    /// What was earned and used up
    Income,
    /// What there is, what is owed and what is left at each month's end
    Balance,
    /// Where cash came from and went to
    Cash,
}

/// Over which periods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StatementBy {
    /// Months in UTC
    Month,
}

/// How a statement is split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StatementPer {
    /// By the reserve whose debt it is about
    Reserve,
    /// By network
    Network,
    /// Not at all
    Consolidated,
}

/// In which form a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum StatementFormat {
    /// Tables for reading
    Text,
    /// One object with every table
    Json,
    /// The table, with a heading
    Csv,
    /// The table, with types; needs --out
    Parquet,
    /// Plain-text accounting for Beancount
    Beancount,
    /// Plain-text accounting for Ledger and hledger
    Ledger,
}

/// `treasury policy`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TreasuryPolicy {
    /// The history: a row per time and reserve: time, reserve, `income_usd`, `deficit_usd`, `at_risk_usd`, and of its market
    /// `available_usd`, `debt_usd`, `reserve_factor`, `supply_rate`, `optimal_usage`, `base_rate`, `slope_1`, `slope_2`
    #[arg(long, value_name = "FILE", required_unless_present = "dataset")]
    pub history: Option<PathBuf>,
    /// Or a dataset by day: a synced market's fees and deficits, a record's recaptured amounts, or any liquidations with --recapture-rate
    #[arg(long, value_name = "NAME", conflicts_with = "history")]
    pub dataset: Option<String>,
    /// Assume that of every bonus this share came to the protocol (`tidegate svr backtest`: protocol of bonus)
    #[arg(long, value_name = "SHARE", requires = "dataset")]
    pub recapture_rate: Option<String>,
    /// The bonus where only one side of a liquidation is known, of its debt
    #[arg(long, default_value = "6.25%", value_name = "SHARE")]
    pub bonus: String,
    /// Only these reserves of the dataset
    #[arg(long, value_delimiter = ',', value_name = "NAME", requires = "dataset")]
    pub reserve: Vec<String>,
    /// Assume these deficits: a file of time, reserve, `deficit_usd`
    #[arg(long, value_name = "FILE", requires = "dataset")]
    pub deficits: Option<PathBuf>,
    /// Assume this debt at risk: a file of time, reserve, `at_risk_usd`, each until the next
    #[arg(long, value_name = "FILE", requires = "dataset")]
    pub debt_at_risk: Option<PathBuf>,
    /// Policies as TOML files; the four that come with the program where none is given
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub policy: Vec<PathBuf>,
    /// What the treasury has at the beginning, in dollars
    #[arg(long, value_name = "USD", default_value = "0")]
    pub opening: String,
    /// The share of the debt at risk against which every buffer is measured
    #[arg(long, value_name = "10%", default_value = "10%")]
    pub cover: String,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
    /// Draw what stakers bore, by policy, into a PNG file
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
    /// Draw the same chart into an SVG file
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}
