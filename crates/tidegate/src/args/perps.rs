//! What the user types about venues of perpetual futures.

use std::path::PathBuf;

use super::Output;

/// `import perps`.
#[derive(Debug, clap::Args)]
pub(crate) struct ImportPerps {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The dataset they go to
    #[arg(long, value_name = "NAME")]
    pub dataset: String,
    /// What their rows are
    #[arg(long, value_enum)]
    pub kind: PerpKind,
    /// The venue whose they are, and by whose rules positions are liquidated
    #[arg(long, value_name = "VENUE")]
    pub venue: String,
    /// The coin; files of positions may hold several, of which each row names its own
    #[arg(long, value_name = "COIN")]
    pub coin: Option<String>,
    /// Where they come from, kept with the data
    #[arg(long, value_name = "TEXT")]
    pub origin: Option<String>,
    /// Read a field from a column of another name; the name of a field says its unit (`--map open_interest_usd=close`)
    #[arg(long, value_name = "FIELD=COLUMN")]
    pub map: Vec<String>,
    /// Only rows in which a column has this value
    #[arg(long, value_name = "COLUMN=VALUE")]
    pub only: Vec<String>,
    /// How long the stretch is that a row is about; its time is when that begins, and open interest is that of its end
    #[arg(long, value_name = "1h")]
    pub interval: Option<String>,
    /// Which sides the file's open interest counts
    #[arg(long, value_enum)]
    pub counting: Option<PerpSides>,
    /// What stands behind positions, where rows do not say
    #[arg(long, value_enum)]
    pub margin: Option<PerpMargin>,
    /// Whose account a `clearinghouseState` is, where the file does not say
    #[arg(long, value_name = "ADDRESS")]
    pub account: Option<String>,
    /// By which venues' rules its liquidations came about, where that is not --venue's: margin tiers of each as Hyperliquid's documents
    /// state them, as the archive keeps them since the venue was asked, or of --tiers
    #[arg(long, value_delimiter = ',', value_name = "VENUE")]
    pub venues: Vec<String>,
    /// A venue's margin tiers in a file of its own format (Binance's brackets, Bybit's risk limits); the venue need not be named where
    /// there is one only
    #[arg(long, value_name = "[VENUE=]FILE")]
    pub tiers: Vec<String>,
    /// Show how the columns are understood and the first rows, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What rows about a venue are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PerpKind {
    /// Prices and volume over a stretch
    Candles,
    /// What is open at a moment
    OpenInterest,
    /// Positions that were closed by the venue, or their sums over a stretch
    Liquidations,
    /// Positions of accounts, also as Hyperliquid's `clearinghouseState`
    Positions,
    /// Funding rates
    Funding,
}

/// Which sides a number of open interest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PerpSides {
    /// Every contract once
    OneSide,
    /// Longs and shorts added up
    BothSides,
    /// Nobody says; taken as one side's, and said so
    Unstated,
}

/// What stands behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PerpMargin {
    /// The account
    Cross,
    /// Its own margin
    Isolated,
}

/// Which venues' contracts are looked at, and from where.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PerpSources {
    /// Imported datasets of what venues said
    #[arg(long, value_name = "NAME")]
    pub dataset: Vec<String>,
    /// Ask the venues' public endpoints now, beside everything else; done without asking where there is nothing else
    #[arg(long)]
    pub live: bool,
    /// Only these venues
    #[arg(long, value_delimiter = ',', value_name = "VENUE")]
    pub venue: Vec<String>,
    /// How far back candles and open interest are taken
    #[arg(long, value_name = "30d")]
    pub window: Option<String>,
    /// Only what was known by this day or moment, of datasets
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// See the positions of these accounts on Hyperliquid, where venues are asked
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    pub account: Vec<String>,
    /// Ask a venue at another place (`hyperliquid=http://localhost:3001`)
    #[arg(long, value_name = "VENUE=URL")]
    pub rest_url: Vec<String>,
}

/// What is kept of what venues say.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PerpKeeping {
    /// Take what venues said when they were asked or listened to before, which the archive keeps
    #[arg(long)]
    pub kept: bool,
    /// Do not keep in the archive what venues say now
    #[arg(long)]
    pub no_keep: bool,
}

/// How positions of venues are put on a map.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PerpShown {
    /// Only positions opened at a leverage in this range, such as 10-50
    #[arg(long, value_name = "FROM-TO")]
    pub leverage: Option<String>,
    /// Also by the leverage at which positions are supposed to be held
    #[arg(long)]
    pub by_leverage: bool,
    /// Where positions are liquidated: as the venue states it, or computed from the account with its other positions staying
    /// where they are or moving along
    #[arg(long, value_enum, default_value = "stated")]
    pub others: PerpOthers,
    /// Draw how estimated levels came and went, time by price, into a PNG or SVG
    #[arg(long, value_name = "FILE")]
    pub heatmap: Option<PathBuf>,
}

/// From where a position's liquidation price is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PerpOthers {
    /// The venue states it; computed as under `stay` where a source states none at all
    Stated,
    /// Computed; other positions of the account stay at their marks
    Stay,
    /// Computed; all coins of the account move by the same share
    MoveAlong,
}

/// `map`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct MapCommand {
    /// Something else than a map.
    #[command(subcommand)]
    pub what: Option<MapWhat>,
    /// The map.
    #[command(flatten)]
    pub map: super::Map,
}

/// What is asked about maps.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum MapWhat {
    /// How near estimated maps of a dataset came: to positions that were seen, and to liquidations that then happened
    Score(MapScore),
}

/// `map score`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct MapScore {
    /// The coin
    #[arg(value_name = "COIN", default_value = "BTC")]
    pub coin: String,
    /// The datasets
    #[arg(long, required = true, value_name = "NAME")]
    pub dataset: Vec<String>,
    /// Only these venues
    #[arg(long, value_delimiter = ',', value_name = "VENUE")]
    pub venue: Vec<String>,
    /// How far back candles and open interest are taken
    #[arg(long, value_name = "30d")]
    pub window: Option<String>,
    /// Only what was known by this day or moment
    #[arg(long, value_name = "MOMENT")]
    pub until: Option<String>,
    /// Score by liquidations from this day or moment on, with a model fitted to those before; from the middle of what is known where
    /// not given
    #[arg(long, value_name = "MOMENT")]
    pub since: Option<String>,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}

/// `sync`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct SyncCommand {
    /// Something else than a market.
    #[command(subcommand)]
    pub what: Option<SyncWhat>,
    /// A market.
    #[command(flatten)]
    pub sync: super::Sync,
}

/// What else is brought into the archive.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum SyncWhat {
    /// Listen to what venues of perpetual futures stream of a coin, and keep it: liquidations, mark prices, open interest, funding
    Perps(SyncPerps),
}

/// `sync perps`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct SyncPerps {
    /// The coin
    #[arg(value_name = "COIN")]
    pub coin: String,
    /// Only these venues
    #[arg(long, value_delimiter = ',', value_name = "VENUE")]
    pub venue: Vec<String>,
    /// For how long; until Ctrl-C where not given
    #[arg(long = "for", value_name = "10m")]
    pub length: Option<String>,
    /// Ask a venue at another place
    #[arg(long, value_name = "VENUE=URL")]
    pub rest_url: Vec<String>,
    /// Listen to a venue at another place (`okx=ws://localhost:3001`)
    #[arg(long, value_name = "VENUE=URL")]
    pub stream_url: Vec<String>,
}

/// `leverage`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Leverage {
    /// The coin
    #[arg(value_name = "COIN")]
    pub coin: String,
    /// Coins in circulation, for open interest over market value
    #[arg(long, value_name = "COINS")]
    pub supply: Option<f64>,
    /// From where.
    #[command(flatten)]
    pub sources: PerpSources,
    /// What is kept.
    #[command(flatten)]
    pub keeping: PerpKeeping,
    /// How results are written.
    #[command(flatten)]
    pub output: Output,
}
