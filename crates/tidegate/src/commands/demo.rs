//! `tidegate demo`: a made-up world through the same archive and the same commands as a real one.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use protocol::standing::Standing;
use source::archive::{Archive, DatasetName, Table, Writer, positions};
use source::import::{Label, record};

use crate::args::{Args, Demo};
use crate::output;
use crate::text::{count, percent};
use crate::world::World;

/// Makes a world, writes it, and shows what the program says of it.
pub(crate) fn run(args: &Demo) -> anyhow::Result<()> {
    let tour = Tour::of(args)?;
    let world = World::of(args.seed);
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
}

/// From the whole to its parts. What follows from liquidations has its place after them.
fn stops() -> [Stop; 8] {
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

/// Where the demo's things lie and what they are called.
struct Tour {
    folder: PathBuf,
    archive: Archive,
    dataset: DatasetName,
}

impl Tour {
    fn of(args: &Demo) -> anyhow::Result<Self> {
        Ok(Self {
            folder: args.folder.clone(),
            archive: Archive::at(args.folder.join("archive"))?,
            dataset: DatasetName::new(&format!("demo-seed-{}", args.seed))?,
        })
    }

    /// Writes the world's liquidations into the archive, unless they are there.
    fn write(&self, world: &World) -> anyhow::Result<String> {
        let writer = Writer::open(&self.archive)?;
        let label = Label {
            dataset: self.dataset.clone(),
            origin: format!("made up by tidegate from seed {}", world.seed),
            standing: Standing::Assumed,
        };
        let events = world.events();
        let recorded = record(&writer, &label, &events)?;
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
        let mut words = vec!["tidegate".to_owned(), "--archive".to_owned(), text(self.archive.root())];
        words.extend(stop.command.iter().map(|word| (*word).to_owned()));
        match stop.of {
            Of::Liquidations => words.extend(["--dataset".to_owned(), self.dataset.to_string()]),
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
        let archive = quoted(&self.archive.root().to_string_lossy());
        let dataset = &self.dataset;
        text.push_str(&format!(
            "\nNext\n  tidegate --archive {archive} liquidations --dataset {dataset} --by market,debt --chain ethereum\n  \
             tidegate --archive {archive} liquidations --dataset {dataset} --largest 5 --min-usd 100000\n  \
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
