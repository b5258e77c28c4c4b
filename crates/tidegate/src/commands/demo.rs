//! `tidegate demo`: a made-up world through the same archive and the same commands as a real one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use protocol::standing::Standing;
use protocol::time::civil_from_day;
use source::archive::{Archive, DatasetName, Table, Writer, positions};
use source::import::{Label, record};

use crate::args::{Args, Demo};
use crate::output;
use crate::text::{count, percent};
use crate::world::World;

/// Makes a world, writes it, and shows what the program says of it.
pub(crate) fn run(args: &Demo) -> anyhow::Result<()> {
    let world = World::made(args.seed);
    let tour = Tour::of(args, &world)?;
    output::print(&introduction(&world))?;
    output::print(&tour.write(&world)?)?;
    for stop in stops() {
        tour.visit(&stop)?;
    }
    output::print(&tour.farewell())
}

/// Something to show: why, and the command that shows it.
struct Stop {
    /// What a reader is about to see.
    says: &'static str,
    /// The command's words, without the archive and the dataset.
    command: &'static [&'static str],
    /// The options that name a file, with the file's name in the demo's folder.
    files: &'static [(&'static str, &'static str)],
    /// What it is about.
    of: Of,
}

/// What a command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// The dataset of liquidations.
    Liquidations,
    /// The positions that stand at the end.
    Positions,
    /// The dataset of liquidations, in the archive with the treasury's books.
    Recorded,
    /// The treasury's books.
    Books,
    /// The same, of the month of the last shock.
    Month,
}

/// From the whole to its parts. What follows from liquidations has its place after them.
fn stops() -> Vec<Stop> {
    liquidations().into_iter().chain(layers()).chain(others()).collect()
}

/// What happened.
fn liquidations() -> [Stop; 5] {
    [
        Stop {
            says: "All of it: totals, how much the largest make up, and the bursts. Most of the value falls in the shocks named above.",
            command: &["liquidations"],
            files: &[("--png", "time-series.png")],
            of: Of::Liquidations,
        },
        Stop {
            says: "By chain: one leads by value, another by count.",
            command: &["liquidations", "--by", "chain"],
            files: &[("--png", "by-chain.png")],
            of: Of::Liquidations,
        },
        Stop {
            says: "By size: most liquidations are small, most of the value is not.",
            command: &["liquidations", "--by", "size"],
            files: &[],
            of: Of::Liquidations,
        },
        Stop {
            says: "Who liquidates: a few accounts win most of it.",
            command: &["liquidations", "--by", "liquidator", "--top", "5"],
            files: &[],
            of: Of::Liquidations,
        },
        Stop {
            says: "By what was seized.",
            command: &["liquidations", "--by", "collateral", "--top", "5"],
            files: &[],
            of: Of::Liquidations,
        },
    ]
}

/// Where the bonuses went.
fn layers() -> [Stop; 4] {
    [
        Stop {
            says: "The three layers in one table: what liquidations paid beyond the debt, what of it auctions gave back, and where a policy puts \
                   the treasury's income. Rounds, bids and payments are told in blocks, and concluded from nothing else.",
            command: &["svr", "waterfall"],
            files: &[("--policy", POLICY_FILE), ("--png", "three-layers.png"), ("--svg", "three-layers.svg")],
            of: Of::Liquidations,
        },
        Stop {
            says: "Into the treasury's books, in double entry: every fee, every share of a bid, and what the safes handed on.",
            command: &["treasury", "record"],
            files: &[("--out", "recorded.txt")],
            of: Of::Recorded,
        },
        Stop {
            says: "What the treasury earned in the month of the last shock: an auction's share is income when it is paid in.",
            command: &["treasury", "statement"],
            files: &[],
            of: Of::Month,
        },
        Stop {
            says: "And back: each amount names the transaction that brought it.",
            command: &["treasury", "ledger", "--account", "svr-share", "--top", "3"],
            files: &[],
            of: Of::Books,
        },
    ]
}

/// What would follow, and the same for other programs.
fn others() -> [Stop; 3] {
    [
        Stop {
            says: "What would follow: which loans become liquidatable where, if ether moves with all that is pegged to it.",
            command: &["map", "ETH", "--step", "10%"],
            files: &[("--png", "map-of-ether.png")],
            of: Of::Positions,
        },
        Stop {
            says: "By month, for a spreadsheet, with a chart.",
            command: &["liquidations", "--by", "month", "--format", "csv"],
            files: &[("--out", "by-month.csv"), ("--png", "by-month.png")],
            of: Of::Liquidations,
        },
        Stop {
            says: "By day and chain, for a database: Parquet, with types.",
            command: &["liquidations", "--by", "day,chain", "--format", "parquet"],
            files: &[("--out", "by-day.parquet")],
            of: Of::Liquidations,
        },
    ]
}

/// The file of the demo's policy.
const POLICY_FILE: &str = "policy.toml";

/// The demo's policy.
const POLICY: &str = r#"# A loss buffer that grows by half of what each reserve's own liquidations brought, of which half counts no more after a
# year; of what is left, most is supplied to a lending market and some is paid to its users.
name = "buffer, deposits, incentives"

[buffer]
kind = "indexed"
factor = "50%"
half_life_days = 365

[[use]]
kind = "deposit"
reserve = "USDC"
share = "50%"

[[use]]
kind = "incentive"
reserve = "USDC"
share = "20%"
budget = "250000"
end = "2026-07-01"
"#;

/// Where the demo's things lie and what they are called.
struct Tour {
    folder: PathBuf,
    archive: Archive,
    /// An archive has one set of books, and those of two worlds are no sum: each world's lie in an archive of their own.
    books: Archive,
    dataset: DatasetName,
    /// The month of the world's last shock.
    month: String,
}

impl Tour {
    fn of(args: &Demo, world: &World) -> anyhow::Result<Self> {
        let last = world.prices.shocks.last().map(|shock| civil_from_day(shock.begins().day()));
        let dataset = DatasetName::new(&format!("demo-seed-{}", args.seed))?;
        Ok(Self {
            folder: args.folder.clone(),
            archive: Archive::at(args.folder.join("archive"))?,
            books: Archive::at(args.folder.join(format!("{dataset}-books")))?,
            dataset,
            month: last.map_or_else(String::new, |day| format!("{}-{:02}", day.year, day.month)),
        })
    }

    /// Writes the world's liquidations into the archive, unless they are there.
    fn write(&self, world: &World) -> anyhow::Result<String> {
        let writer = Writer::open(&self.archive)?;
        let label =
            Label { dataset: self.dataset.clone(), origin: World::origin(world.seed), standing: Standing::Assumed };
        let events = world.lived().events();
        let recorded = record(&writer, &label, &events)?;
        record(&Writer::open(&self.books)?, &label, &events)?;
        output::write_file(&self.file(POLICY_FILE), POLICY.as_bytes())?;
        let positions = world.standing_positions();
        positions::record(&writer, &self.dataset, (&label.origin, label.standing), World::ends(), &positions)?;
        let done = if recorded.already_there { "already there, unchanged" } else { "written" };
        Ok(format!(
            "\n{} liquidations follow from them: dataset {}, {done}. {} positions stand at the end, beside them.\n",
            count(events.len() as u64),
            self.dataset,
            count(positions.len() as u64 / 2)
        ))
    }

    /// Shows the command as a user would type it, and runs exactly that.
    fn visit(&self, stop: &Stop) -> anyhow::Result<()> {
        let words = self.words(stop)?;
        let shown: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        // What goes to a file alone leaves nothing to set apart.
        let gap = if stop.command.contains(&"--format") { "" } else { "\n" };
        output::print(&format!("\n── {}\n$ {}\n{gap}", stop.says, shown.join(" ")))?;
        let args = Args::try_parse_from(&words).with_context(|| format!("cannot run {}", shown.join(" ")))?;
        super::run(&args)
    }

    fn words(&self, stop: &Stop) -> anyhow::Result<Vec<String>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let archive = if matches!(stop.of, Of::Recorded | Of::Books | Of::Month) { &self.books } else { &self.archive };
        let mut words = vec!["tidegate".to_owned(), "--archive".to_owned(), text(archive.root())];
        words.extend(stop.command.iter().map(|word| (*word).to_owned()));
        match stop.of {
            Of::Liquidations | Of::Recorded => words.extend(["--dataset".to_owned(), self.dataset.to_string()]),
            Of::Books => {}
            Of::Month => words.extend(["--month".to_owned(), self.month.clone()]),
            Of::Positions => {
                for file in self.archive.files(&self.dataset, Table::Positions)? {
                    words.extend(["--positions".to_owned(), text(&file.path)]);
                }
                words.extend(["--as-of".to_owned(), World::ends().to_string()]);
            }
        }
        for (option, name) in stop.files {
            words.extend([(*option).to_owned(), text(&self.file(name))]);
        }
        Ok(words)
    }

    /// A file of this world, apart from those of other seeds in the same folder.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}-{name}", self.dataset))
    }

    fn farewell(&self) -> String {
        let mut text = "\nFiles written (everything in them is assumed: made up)\n".to_owned();
        for (_, name) in stops().iter().flat_map(|stop| stop.files) {
            text.push_str(&format!("  {}\n", self.file(name).display()));
        }
        text.push_str(&format!("  {} (the archive: Parquet that any tool reads)\n", self.archive.root().display()));
        text.push_str(&format!("  {} (the treasury's books)\n", self.books.root().display()));
        let [archive, books] = [&self.archive, &self.books].map(|archive| quoted(&archive.root().to_string_lossy()));
        let dataset = &self.dataset;
        text.push_str(&format!(
            "\nNext\n  tidegate --archive {archive} liquidations --dataset {dataset} --by market,debt --chain ethereum\n  \
             tidegate --archive {archive} liquidations --dataset {dataset} --largest 5 --min-usd 100000\n  \
             tidegate --archive {archive} svr events --dataset {dataset} --top 10   # who won what, and what was paid for it\n  \
             tidegate --archive {archive} svr rates --dataset {dataset} --by chain,month\n  \
             tidegate --archive {books} treasury ledger --reserve USDC --network ethereum   # each amount with its transaction\n  \
             tidegate import liquidations FILE --amounts tokens --dry-run   # your own data: Parquet, CSV or JSON lines\n"
        ));
        text
    }
}

/// What was made up.
fn introduction(world: &World) -> String {
    let chains: std::collections::BTreeSet<_> = world.markets.iter().map(|market| market.chain).collect();
    let mut text = format!(
        "A world made up from seed {}: two years of hourly prices, {} markets on {} chains, {} accounts that borrow, and\n\
         {} shocks. Chains and tokens bear real names; nothing else is real, so every figure's standing is \"assumed\".\n\n",
        world.seed,
        world.markets.len(),
        chains.len(),
        count(world.positions() as u64),
        world.prices.shocks.len(),
    );
    for shock in &world.prices.shocks {
        #[expect(clippy::cast_precision_loss, reason = "a share for eyes")]
        let fall = world.prices.fall_ppm(shock) as f64 / 1e6;
        text.push_str(&format!(
            "  {:<8} {}   ether falls {:>6} within {} hours\n",
            shock.name,
            shock.begins(),
            percent(fall),
            shock.hours
        ));
    }
    text
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
