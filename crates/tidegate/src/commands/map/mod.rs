//! `tidegate map`: what becomes liquidatable at each level of a coin's price.
//!
//! Sources are laid on one axis and kept apart by their standing: synced markets ([`markets`]), other people's files
//! ([`files`]), venues of perpetual futures ([`perps`]), which bring series of their own.

mod draw;
mod files;
mod groups;
mod markets;
mod perps;
mod score;
mod tables;
mod words;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use engine::map::defi::{By, Index, series};
use engine::map::{Assumed, Assumption, Assumptions, Coverage, Levels, Map};
use protocol::Address;
use protocol::amount::Usd8;
use protocol::standing::Standing;

use self::groups::Group;
use crate::args::{self, MapBy};
use crate::output::{self, Format};
use crate::table::Report;
use crate::text;

/// Basis points of one.
const BPS: i128 = 10_000;

/// Sources whose prices of the asset differ by more basis points than these are not added up.
const MOST_APART: u128 = 200;

/// One source on the axis.
struct Laid {
    /// What it is called.
    source: String,
    /// Its accounts, by standing.
    indexes: Vec<Index>,
    /// Who they are.
    addresses: BTreeMap<u32, Address>,
    /// What its reserves are called.
    symbols: Vec<String>,
    /// What must be known about it.
    notes: Vec<String>,
    /// Accounts that owe something and are left out because of what they hold or owe, besides those the indexes count.
    unvalued: u64,
    /// Accounts that owe something and of which nothing is known to be held.
    bare: u64,
    /// What is not in it.
    blind_spots: Vec<Arc<str>>,
}

impl Laid {
    /// Its own price of the asset.
    fn anchor(&self) -> Option<Usd8> {
        self.indexes.first().map(Index::anchor)
    }

    /// Its block's second; zero where nobody says.
    fn time(&self) -> u64 {
        self.indexes.first().map_or(0, |index| index.market().block.now)
    }

    /// Accounts that owe something and cannot be valued.
    fn left_out(&self) -> u64 {
        self.unvalued + self.indexes.iter().map(|index| index.unvalued() as u64).sum::<u64>()
    }

    /// Whether figures of both go into one total.
    fn is_added_to(&self, other: &Self) -> bool {
        let standing = |index: &Index| index.market().standing;
        self.indexes.iter().any(|one| other.indexes.iter().any(|other| standing(one) == standing(other)))
    }
}

/// A map, or what is asked about maps.
pub(crate) fn command(archive: &Path, args: &args::MapCommand) -> anyhow::Result<()> {
    match &args.what {
        Some(args::MapWhat::Score(score)) => score::run(archive, score),
        None => run(archive, &args.map),
    }
}

/// Maps an asset.
fn run(archive: &Path, args: &args::Map) -> anyhow::Result<()> {
    let group = Group::of(args.asset.as_deref().unwrap_or_default(), args.groups.as_deref(), args.alone)?;
    let range = Range::of(args)?;
    let (laid, mut notes) = lay(archive, args, &group)?;
    let mut venues = perps::lay(archive, args, &group.asset, laid.is_empty())?;
    let indexes: Vec<&Index> = laid.iter().flat_map(|laid| &laid.indexes).collect();
    let today = indexes.first().map(|index| index.anchor()).or_else(|| venues.mark());
    let today = today.with_context(|| nothing(archive, &group, &notes, &venues.notes))?;
    let levels = range.levels(today).with_context(|| format!("no axis around {}", text::usd(today)))?;
    let asked = |wanted| args.by.contains(&wanted);
    // The markets are always asked for: the summary names them.
    let by = By { market: true, chain: asked(MapBy::Chain), class: asked(MapBy::Size) };
    let mut map = Map {
        asset: group.asset.as_str().into(),
        series: series(&indexes, &levels, by),
        coverage: laid.iter().map(coverage).collect(),
        assumptions: if laid.is_empty() { Assumptions::default() } else { assumptions(&group) },
        levels,
    };
    venues.put(&mut map)?;
    notes.append(&mut venues.notes);
    let mut known = std::collections::BTreeSet::new();
    let says = map.assumptions.0.iter().map(|assumption| &assumption.says).filter(|says| !says.is_empty());
    notes.extend(says.filter(|says| known.insert(*says)).map(ToString::to_string));
    let mut said = words::summary(&map);
    said.extend(perps::say::summary(&map, &venues));
    said.extend(perps::bands::sentences(&venues));
    said.extend(notes);
    let standing = map.series.iter().map(|series| series.standing).max().unwrap_or(Standing::Exact);
    let mut tables = Vec::new();
    if args.top > 0 {
        tables.push(tables::who(&laid, &map.levels, args.top));
    }
    if !venues.is_empty() {
        tables.push(venues.contracts(&group.asset));
        tables.push(perps::say::coverage(&map));
        tables.extend(perps::bands::table(&venues));
        tables.push(perps::say::table(&map));
    }
    if !laid.is_empty() {
        tables.push(tables::levels(&map, &args.by));
    }
    // CSV and Parquet hold one table, and both halves belong into it.
    if !venues.is_empty() && !laid.is_empty() && [Format::Csv, Format::Parquet].contains(&args.output.format) {
        tables.push(perps::say::series(&map));
    }
    draw::draw(&map, &venues, args)?;
    draw::heatmap(&map, &venues, args)?;
    let title = format!("What becomes liquidatable as {} moves from {}", text::printable(&map.asset), text::usd(today));
    let report = Report { title, standing, notes: said, tables };
    output::write_supposing(&report, &map.assumptions.0, &super::destination(&args.output))
}

/// Every source that can be laid; one that was not named is passed over, and said, where it has nothing of the asset.
fn lay(archive: &Path, args: &args::Map, group: &Group) -> anyhow::Result<(Vec<Laid>, Vec<String>)> {
    let (mut laid, mut notes) = (Vec::new(), Vec::new());
    if args.positions.is_empty() || !args.market.is_empty() {
        for name in markets::names(archive, &args.market)? {
            match markets::lay(archive, &name, args.at, group) {
                Ok(market) => laid.push(market),
                Err(why) if args.market.is_empty() => notes.push(format!("Not on the map: {why:#}.")),
                Err(why) => return Err(why),
            }
        }
    }
    for path in &args.positions {
        laid.push(files::lay(path, args, group)?);
    }
    let is_named = !args.market.is_empty() || !args.positions.is_empty();
    let laid = around_one_price(laid, is_named, group, &mut notes)?;
    for laid in &laid {
        notes.extend(laid.notes.iter().cloned());
        let left_out = laid.left_out();
        if left_out > 0 {
            notes.push(format!(
                "{} accounts of {} owe something and are left out: they hold or owe what has no known price, or more than can be.",
                text::count(left_out),
                text::printable(&laid.source)
            ));
        }
    }
    notes.sort_by_key(|note| !note.starts_with("Not on the map"));
    let mut seen = std::collections::BTreeSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Ok((laid, notes))
}

/// The sources with the newest first, around whose price of the asset the axis is. One with another price is of another moment
/// or oracle, and its figures are not added to those of the first: it is passed over, or refused where the user named it.
fn around_one_price(
    mut laid: Vec<Laid>,
    is_named: bool,
    group: &Group,
    notes: &mut Vec<String>,
) -> anyhow::Result<Vec<Laid>> {
    laid.sort_by_key(|laid| std::cmp::Reverse(laid.time()));
    let asset = text::printable(&group.asset);
    let has = |laid: &Laid, anchor| format!("{} has {asset} at {}", text::printable(&laid.source), text::usd(anchor));
    let mut kept: Vec<Laid> = Vec::new();
    for one in laid {
        let apart = kept.iter().find_map(|other| {
            let (own, others) = (one.anchor()?, other.anchor()?);
            let says = || format!("{}, and {}", has(&one, own), has(other, others));
            is_apart(own, others).then(|| (says(), one.is_added_to(other)))
        });
        match apart {
            Some((says, _)) if !is_named => {
                notes.push(format!("Not on the map: {says}; map it by itself with --market {}.", one.source));
                continue;
            }
            Some((says, true)) => {
                bail!(
                    "{says}: more than 2 % apart they are not of one moment, and no total of them is one; map them apart"
                )
            }
            Some((says, false)) => {
                notes.push(format!(
                    "{says}: the axis is around the newest price, and what a move adds is against each own."
                ));
            }
            None => {}
        }
        kept.push(one);
    }
    Ok(kept)
}

/// Whether two prices of one asset are more than [`MOST_APART`] from each other.
fn is_apart(Usd8(one): Usd8, Usd8(other): Usd8) -> bool {
    one.abs_diff(other).saturating_mul(BPS.unsigned_abs()) > one.min(other).unsigned_abs().saturating_mul(MOST_APART)
}

/// That nothing is on the axis, and why.
fn nothing(archive: &Path, group: &Group, notes: &[String], venues: &[String]) -> String {
    let notes: String = notes.iter().chain(venues).map(|note| format!(" {note}")).collect();
    format!(
        "{}: nothing can be mapped for {}; `tidegate sync --market base-v3` reads a lending market, --positions FILE takes \
         somebody's list, `tidegate import perps` files of venues, and without any of them venues are asked.{notes}",
        archive.display(),
        text::printable(&group.asset),
    )
}

#[expect(clippy::cast_precision_loss, reason = "a share for eyes")]
fn coverage(laid: &Laid) -> Coverage {
    let seen: usize = laid.indexes.iter().map(Index::len).sum();
    let all = seen as u64 + laid.left_out() + laid.bare;
    Coverage {
        of: laid.source.as_str().into(),
        share: (all > 0).then(|| seen as f64 / all as f64),
        whole: "accounts that owe something".into(),
        blind_spots: laid.blind_spots.clone(),
    }
}

fn assumptions(group: &Group) -> Assumptions {
    let asset = text::printable(&group.asset);
    let assumption = |name: &str, says: String| Assumption::new(name, says, Assumed::Rule, "");
    Assumptions(vec![
        assumption(
            "straight_move",
            "At each level: everything that could be liquidated if the price went there from today's at once, all other prices \
             and the block's time stayed, and nobody acted on the way."
                .to_owned(),
        ),
        Assumption::new(
            "beta",
            format!("Whatever moves with {asset} keeps its ratio to it."),
            Assumed::Number(1.0),
            "change of what moves along / change of the asset",
        ),
        assumption(
            "first_call",
            "Repayable, seized and bonus are those of one call an account, on the pair that pays most, at the price where the \
             account becomes liquidatable; what could be recaptured is at most the bonus less the protocol's fee, of those \
             whom the move makes liquidatable."
                .to_owned(),
        ),
    ])
}

/// How far the axis goes, in basis points of today's price.
struct Range {
    from: i32,
    to: i32,
    step: Step,
}

enum Step {
    Bps(u32),
    Count(u32),
}

impl Range {
    fn of(args: &args::Map) -> anyhow::Result<Self> {
        let from = change(&args.from).context("--from takes a change such as -50%")?;
        let to = change(&args.to).context("--to takes a change such as +50%")?;
        let step = match args.levels {
            Some(0) => bail!("--levels must be one at least"),
            Some(count) => Step::Count(count),
            None => {
                let step = change(&args.step).and_then(|step| u32::try_from(step).ok()).filter(|step| *step > 0);
                Step::Bps(step.context("--step takes a change such as 2.5%")?)
            }
        };
        if from > to || from <= -10_000 {
            bail!("--from must be above -100% and no higher than --to");
        }
        Ok(Self { from, to, step })
    }

    fn levels(&self, today: Usd8) -> anyhow::Result<Levels> {
        let count = match self.step {
            Step::Bps(step) => return Ok(Levels::around(today, self.from, self.to, step)?),
            Step::Count(count) => i128::from(count),
        };
        let (from, to) = (i128::from(self.from), i128::from(self.to));
        let apart = (count - 1).max(1);
        if count > engine::map::levels::MOST_LEVELS as i128 {
            bail!("--levels {count} are more than the {} a map has", engine::map::levels::MOST_LEVELS);
        }
        let price = |at: i128| {
            let ppm = (BPS + from) * apart + (to - from) * at;
            Some(Usd8(today.0.checked_mul(ppm)? / (BPS * apart)))
        };
        let mut prices = (0..count).map(price).collect::<Option<Vec<_>>>().context("today's price is too large")?;
        prices.dedup();
        prices.retain(|price| price.0 > 0);
        Ok(Levels::new(today, prices)?)
    }
}

/// A change in per cent, in basis points: `-50%`, `+12.5%`.
fn change(text: &str) -> Option<i32> {
    let Usd8(units) = Usd8::parse_rounding(text.trim().strip_suffix('%')?).ok()?;
    i32::try_from(units / 1_000_000).ok().filter(|bps| i128::from(*bps) * 1_000_000 == units)
}

impl args::Map {
    /// The moment of the files' positions, in seconds since 1970; zero where nobody says.
    fn moment(&self) -> anyhow::Result<u64> {
        let Some(day) = &self.as_of else { return Ok(0) };
        let range = super::time_range(Some(day), None).context("--as-of takes a day or a moment")?;
        Ok(u64::try_from(range.from.second()).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_of_two_moments_are_apart() {
        for (one, other, expected) in [(100, 100, false), (100, 102, false), (100, 103, true), (103, 100, true)] {
            assert_eq!(is_apart(Usd8(one), Usd8(other)), expected, "{one} {other}");
        }
        assert!(!is_apart(Usd8(i128::MAX), Usd8(i128::MAX)) && is_apart(Usd8(1), Usd8(i128::MAX)));
    }

    #[test]
    fn changes_are_basis_points_or_nothing() {
        for (text, expected) in [
            ("-50%", Some(-5_000)),
            ("+12.5%", Some(1_250)),
            ("0.01%", Some(1)),
            ("0.001%", None),
            ("50", None),
            ("%", None),
            ("99999999999999%", None),
        ] {
            assert_eq!(change(text), expected, "{text}");
        }
    }
}
