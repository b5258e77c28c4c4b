//! `tidegate liquidations`: totals, groups, episodes, the largest, per dataset or added up.

mod charts;
mod tables;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use engine::liquidations::episodes::{self, Hour};
use engine::liquidations::{Dimension, Episode, Measure, Rule};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::liquidation::Version;
use protocol::standing::Standing;
use source::archive::liquidations::EventKey;
use source::archive::{Archive, DataFile, DatasetName, Span, Table, reconciliations};

use crate::analysis::{self, Answer, Filter, NameColumn, Question};
use crate::args::{By, Liquidations, MeasureName};
use crate::output::{self, Format};
use crate::table::Report;

/// Answers and writes.
pub(crate) fn run(archive: &Path, args: &Liquidations) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let filter = filter(args)?;
    if let Some(twice) = args.by.iter().enumerate().find_map(|(at, by)| args.by[..at].contains(by).then_some(by)) {
        bail!("--by names {} twice; name it once", format!("{twice:?}").to_lowercase());
    }
    let sources = sources(&archive, args, &filter)?;
    let found: Vec<Findings> =
        sources.iter().map(|source| find(source, args, &filter)).collect::<anyhow::Result<_>>()?;
    let (findings, empty): (Vec<Findings>, Vec<Findings>) =
        found.into_iter().partition(|found| found.answer.total.count > 0);
    if findings.is_empty() {
        let names: Vec<&str> = empty.iter().map(|found| found.name.as_str()).collect();
        bail!(
            "no liquidation in {} matches; loosen the filters, or see what there is with `tidegate datasets`",
            names.join(", ")
        );
    }
    charts::draw(&findings, args)?;
    let mut report = report(&findings, args);
    report.notes.extend(empty.iter().map(|found| format!("{}: no liquidation matches.", found.name)));
    output::write(&report, &super::destination(&args.output))
}

/// Files that are counted as one.
pub(crate) struct Source {
    /// What to call them.
    pub name: String,
    /// The files, each with the events in it that an earlier file's dataset has too.
    pub files: Vec<(DataFile, Arc<HashSet<EventKey>>)>,
    /// What a reader of the figures must know.
    pub notes: Vec<String>,
}

/// What was found in one source.
pub(crate) struct Findings {
    /// The source's name.
    pub name: String,
    /// How its figures are known.
    pub standing: Standing,
    /// Which side's value counts.
    pub measure: Measure,
    /// Groups, with the totals.
    pub answer: Answer,
    /// The hours with liquidations, where they were needed.
    pub hours: Vec<Hour>,
    /// The bursts, where they were asked for.
    pub episodes: Vec<Burst>,
    /// By which rule.
    pub rule: Rule,
    /// What a reader of the figures must know.
    pub notes: Vec<String>,
}

/// An episode with what a second look found.
pub(crate) struct Burst {
    /// The episode.
    pub episode: Episode,
    /// Distinct users.
    pub users: u64,
    /// Value by chain, the largest first.
    pub by_chain: Vec<(ChainId, i128)>,
}

fn sources(archive: &Archive, args: &Liquidations, filter: &Filter) -> anyhow::Result<Vec<Source>> {
    let names = names(archive, args)?;
    if names.is_empty() {
        bail!(
            "{}: this archive holds nothing yet; run `tidegate import liquidations FILE --amounts tokens`, `tidegate sync --market NAME`, or `tidegate demo`",
            archive.root().display()
        );
    }
    let mut datasets: Vec<_> =
        names.iter().map(|name| super::dataset(archive, name, &filter.range)).collect::<anyhow::Result<_>>()?;
    let mut notes: Vec<Vec<String>> =
        datasets.iter().map(|(name, _)| synced_notes(archive, name)).collect::<anyhow::Result<_>>()?;
    if args.combine && datasets.len() > 1 {
        // Of an event in several datasets the row of the first counts, so those that know more of its value come first.
        let unknown = |files: &[DataFile], side| files.iter().any(|file| file.is_empty_throughout(side));
        datasets.sort_by_key(|(_, files)| {
            ["collateral_usd", "debt_usd"].iter().filter(|side| unknown(files, side)).count()
        });
        let mut combined = combine(archive, datasets)?;
        combined.notes.extend(notes.drain(..).flatten());
        return Ok(vec![combined]);
    }
    let alone = |((name, files), notes): ((DatasetName, Vec<DataFile>), Vec<String>)| Source {
        name: name.to_string(),
        files: files.into_iter().map(|file| (file, Arc::default())).collect(),
        notes,
    };
    Ok(datasets.into_iter().zip(notes).map(alone).collect())
}

/// What must be known of a dataset that is a synced market.
fn synced_notes(archive: &Archive, name: &DatasetName) -> anyhow::Result<Vec<String>> {
    archive.synced_market(name).map_or(Ok(Vec::new()), |market| super::rebuild::notes(archive, &market))
}

/// The datasets asked for, each once; where none is named, all that hold liquidations.
fn names(archive: &Archive, args: &Liquidations) -> anyhow::Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in &args.dataset {
        if names.contains(name) {
            bail!("--dataset names {} twice; name it once", crate::text::printable(name));
        }
        names.push(name.clone());
    }
    if args.dataset.is_empty() {
        for dataset in archive.datasets()? {
            if !archive.files(&dataset, Table::Liquidations)?.is_empty() {
                names.push(dataset.to_string());
            }
        }
    }
    Ok(names)
}

/// Adds datasets up: events that two of them hold count once, and where nobody looked which those are, it is refused.
fn combine(archive: &Archive, datasets: Vec<(DatasetName, Vec<DataFile>)>) -> anyhow::Result<Source> {
    let mut combined = Source {
        name: datasets.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>().join(" + "),
        files: Vec::new(),
        notes: Vec::new(),
    };
    let mut earlier: Vec<(DatasetName, Vec<DataFile>)> = Vec::new();
    for (name, files) in datasets {
        let mut held = HashSet::new();
        for (other, other_files) in &earlier {
            match reconciliations::on_record(archive, other, &name)? {
                Some(pairs) => {
                    let shared = crate::text::events(pairs.len() as u64);
                    combined
                        .notes
                        .push(format!("{shared} of {name} also in {other} (reconciled), counted as {other} has them"));
                    held.extend(pairs.into_iter().map(|(_, key)| key));
                }
                None if overlap(other_files, &files)? => bail!(
                    "datasets {other} and {name} overlap in time and chain, so adding them would count events twice; run `tidegate reconcile {other} {name}` first, or leave out --combine"
                ),
                None => {}
            }
        }
        let held = Arc::new(held);
        combined.files.extend(files.iter().map(|file| (file.clone(), held.clone())));
        earlier.push((name, files));
    }
    Ok(combined)
}

fn overlap(a: &[DataFile], b: &[DataFile]) -> anyhow::Result<bool> {
    let meet = |a: &DataFile, b: &DataFile| match (&a.footer.span, &b.footer.span) {
        // By whole days: a file may know no more of a moment than its day.
        (Span::Times { from, to }, Span::Times { from: other_from, to: other_to }) => {
            from.day() <= other_to.day() && other_from.day() <= to.day()
        }
        (Span::Empty, _) | (_, Span::Empty) => false,
        // Blocks do not tell times.
        (Span::Blocks { .. }, _) | (_, Span::Blocks { .. }) => true,
    };
    if !a.iter().any(|a| b.iter().any(|b| meet(a, b))) {
        return Ok(false);
    }
    Ok(!chains(a)?.is_disjoint(&chains(b)?))
}

fn chains(files: &[DataFile]) -> anyhow::Result<BTreeSet<u64>> {
    let none = HashSet::new();
    let files: Vec<_> = files.iter().map(|file| (file.clone(), &none)).collect();
    let filter = Filter::default();
    let answer =
        analysis::ask(&Question { by: &[Dimension::Chain], ..question(&files, &filter, Measure::DebtRepaid) })?;
    Ok(answer.groups.iter().map(|(group, _)| group.key[0]).collect())
}

pub(crate) fn question<'a>(
    files: &'a [(DataFile, &'a HashSet<EventKey>)],
    filter: &'a Filter,
    measure: Measure,
) -> Question<'a> {
    Question { files, by: &[], measure, filter, episodes: Vec::new(), with_transactions: false, top: None }
}

fn find(source: &Source, args: &Liquidations, filter: &Filter) -> anyhow::Result<Findings> {
    let files: Vec<(DataFile, &HashSet<EventKey>)> =
        source.files.iter().map(|(file, held)| (file.clone(), &**held)).collect();
    let measure = measure(&source.files, args);
    let by: Vec<Dimension> = args.by.iter().map(|by| dimension(*by)).collect();
    let asked = Question {
        by: &by,
        with_transactions: args.largest.is_some(),
        top: top(args),
        ..question(&files, filter, measure)
    };
    let answer = analysis::ask(&asked)?;
    let wants_series = args.episodes || args.by.is_empty();
    let hours = if wants_series {
        hours(&Question { by: &[Dimension::Hour], ..question(&files, filter, measure) })?
    } else {
        Vec::new()
    };
    let rule = Rule { factor: args.episode_factor, ..Rule::default() };
    let episodes = bursts(&episodes::find(&hours, &rule), &question(&files, filter, measure))?;
    let standing = source.files.iter().map(|(file, _)| file.footer.standing).max().unwrap_or(Standing::Assumed);
    Ok(Findings {
        name: source.name.clone(),
        standing,
        measure,
        answer,
        hours,
        episodes,
        rule,
        notes: source.notes.clone(),
    })
}

fn hours(question: &Question<'_>) -> anyhow::Result<Vec<Hour>> {
    let answer = analysis::ask(question)?;
    let hour = |(group, _): &(engine::liquidations::Group, u64)| Hour {
        start_us: group.key[0].cast_signed(),
        value_usd8: group.sums.value_usd8(question.measure),
        count: group.sums.count,
    };
    Ok(answer.groups.iter().map(hour).collect())
}

/// Looks at the rows of each episode again for its users and chains.
fn bursts(episodes: &[Episode], question: &Question<'_>) -> anyhow::Result<Vec<Burst>> {
    if episodes.is_empty() {
        return Ok(Vec::new());
    }
    let bounds: Vec<(i64, i64)> = episodes.iter().map(|episode| (episode.from_us, episode.to_us)).collect();
    let ask = |by| {
        analysis::ask(&Question {
            by,
            episodes: bounds.clone(),
            files: question.files,
            filter: question.filter,
            measure: question.measure,
            with_transactions: false,
            top: None,
        })
    };
    let users: BTreeMap<u64, u64> =
        ask(&[Dimension::Episode])?.groups.iter().map(|(group, users)| (group.key[0], *users)).collect();
    let mut chains = BTreeMap::<u64, Vec<(ChainId, i128)>>::new();
    for (group, _) in ask(&[Dimension::Episode, Dimension::Chain])?.groups {
        chains.entry(group.key[0]).or_default().push((ChainId(group.key[1]), group.sums.value_usd8(question.measure)));
    }
    let burst = |(index, episode): (u64, &Episode)| {
        let mut by_chain = chains.get(&index).cloned().unwrap_or_default();
        by_chain.sort_by_key(|(chain, value)| (std::cmp::Reverse(*value), *chain));
        Burst { episode: *episode, users: users.get(&index).copied().unwrap_or(0), by_chain }
    };
    Ok((0..).zip(episodes).map(burst).collect())
}

fn measure(files: &[(DataFile, Arc<HashSet<EventKey>>)], args: &Liquidations) -> Measure {
    match args.measure {
        Some(MeasureName::Debt) => Measure::DebtRepaid,
        Some(MeasureName::Collateral) => Measure::CollateralSeized,
        // A dataset without a debt side can only be measured by its collateral, and sums of both sides would mix them.
        None if files.iter().any(|(file, _)| file.is_empty_throughout("debt_usd")) => Measure::CollateralSeized,
        None => Measure::DebtRepaid,
    }
}

fn filter(args: &Liquidations) -> anyhow::Result<Filter> {
    let lower = |names: &[String]| names.iter().map(|name| name.trim().to_lowercase()).collect::<BTreeSet<_>>();
    let chain = |name: &String| {
        ChainId::from_name(name).map(|chain| chain.0).with_context(|| {
            format!(
                "--chain \"{}\" is no chain this program knows by name; give its number",
                crate::text::printable(name)
            )
        })
    };
    let versions = args.version.iter().map(|version| {
        Version::parse(version)
            .map(|version| version.word().to_lowercase())
            .with_context(|| format!("--version \"{}\" is none of V1 to V4", crate::text::printable(version)))
    });
    let names = BTreeMap::from([
        (NameColumn::Market, lower(&args.market)),
        (NameColumn::Version, versions.collect::<anyhow::Result<_>>()?),
        (NameColumn::Collateral, lower(&args.collateral)),
        (NameColumn::Debt, lower(&args.debt)),
    ]);
    let least = args.min_usd.as_deref().map(|text| {
        Usd8::parse_rounding(text)
            .map(|usd| usd.0)
            .map_err(|cause| anyhow::anyhow!("--min-usd \"{}\" {cause}", crate::text::printable(text)))
    });
    Ok(Filter {
        range: super::time_range(args.from.as_deref(), args.to.as_deref())?,
        chains: args.chain.iter().map(chain).collect::<anyhow::Result<_>>()?,
        names,
        users: args.user.iter().map(|user| super::account(user)).collect::<anyhow::Result<_>>()?,
        liquidators: args.liquidator.iter().map(|account| super::account(account)).collect::<anyhow::Result<_>>()?,
        least_usd8: least.transpose()?,
    })
}

fn dimension(by: By) -> Dimension {
    match by {
        By::Chain => Dimension::Chain,
        By::Market => Dimension::Market,
        By::Version => Dimension::Version,
        By::Collateral => Dimension::Collateral,
        By::Debt => Dimension::Debt,
        By::Liquidator => Dimension::Liquidator,
        By::User => Dimension::User,
        By::Size => Dimension::Size,
        By::Day => Dimension::Day,
        By::Week => Dimension::Week,
        By::Month => Dimension::Month,
    }
}

/// How many groups are kept. Periods are a series, so none of them is cut off unless asked.
fn top(args: &Liquidations) -> Option<usize> {
    let is_series = args.by.iter().any(|by| matches!(by, By::Day | By::Week | By::Month));
    match args.top {
        Some(0) => None,
        Some(top) => Some(top),
        None if args.by.contains(&By::User) => Some(100),
        None if args.output.format == Format::Text && !is_series => Some(20),
        None => None,
    }
}

fn report(findings: &[Findings], args: &Liquidations) -> Report {
    let mut tables = vec![tables::totals(findings)];
    if args.by.is_empty() {
        tables.push(tables::concentration(findings));
    }
    // The most asked for comes last: it is what CSV and Parquet write.
    if args.episodes || (args.by.is_empty() && args.largest.is_none()) {
        tables.push(tables::episodes(findings));
    }
    if let Some(rows) = args.largest {
        tables.push(tables::largest(findings, rows.into()));
    }
    if !args.by.is_empty() {
        tables.push(tables::groups(findings, &args.by));
    }
    let standing = findings.iter().map(|found| found.standing).max().unwrap_or(Standing::Assumed);
    Report { title: title(args), standing, notes: tables::notes(findings, args), tables }
}

/// What is shown, with its filters, in a line.
fn title(args: &Liquidations) -> String {
    let mut parts = vec!["Liquidations".to_owned()];
    if !args.by.is_empty() {
        let by: Vec<String> = args.by.iter().map(|by| format!("{by:?}").to_lowercase()).collect();
        parts.push(format!("by {}", by.join(" and ")));
    }
    let listed = [
        ("chain", &args.chain),
        ("market", &args.market),
        ("version", &args.version),
        ("collateral", &args.collateral),
        ("debt", &args.debt),
        ("user", &args.user),
        ("liquidator", &args.liquidator),
    ];
    for (name, values) in listed.into_iter().filter(|(_, values)| !values.is_empty()) {
        let values: Vec<String> = values.iter().map(|value| crate::text::printable(value)).collect();
        parts.push(format!("{name} {}", values.join(", ")));
    }
    for (name, value) in [("from", &args.from), ("to", &args.to), ("of at least US dollars", &args.min_usd)] {
        parts.extend(value.as_ref().map(|value| format!("{name} {}", crate::text::printable(value))));
    }
    parts.join(" · ")
}
