//! `tidegate verify`: a synced market against its chain, and what came of it, kept as a proof.

mod logs;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{Address, B256};
use source::archive::definition::Definition;
use source::archive::logs::{filter_of, set_aside};
use source::archive::proofs::{self, Proof};
use source::archive::{Archive, MarketName, Table as ArchiveTable, Writer};
use source::decode;
use source::log::Filter;
use source::markets::Markets;
use source::proof::Level as By;
use source::rpc::Client;

use crate::args::{self, Level};
use crate::market;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::{node, text};

/// What is compared with what.
pub(crate) struct Subject {
    archive: Archive,
    market: MarketName,
    definition: Definition,
    /// The contracts and events that the logs were read with, all files together.
    filter: Filter,
    /// The last block.
    to: u64,
    client: Client,
}

/// What came of one level.
pub(crate) struct Finding {
    proof: Proof,
    /// What differs, the first of it.
    differences: Vec<Difference>,
    notes: Vec<String>,
    /// Blocks whose logs are not held as they are, the first of them.
    blocks: BTreeSet<u64>,
    /// It did not get to its end.
    is_cut_short: bool,
}

/// One thing that is not as the chain has it.
pub(crate) struct Difference {
    /// What it is, such as `health factor`.
    what: &'static str,
    /// Of whom or where.
    of: String,
    chain: String,
    ours: String,
}

/// Compares, reports, keeps the proof; fails where anything differs.
pub(crate) fn run(archive: &Path, args: &args::Verify) -> anyhow::Result<()> {
    let (report, wrong) = node::run(verify(archive, args))?;
    output::write(&report, &super::destination(&args.output))?;
    if wrong.is_some_and(|wrong| wrong > 0) {
        bail!("{} comparisons failed: what is above differs from the chain", text::count(wrong.unwrap_or(0)));
    }
    if wrong.is_none() {
        bail!("nothing was found wrong, and not everything that was asked for was checked: see the notes above");
    }
    Ok(())
}

/// The report, and how many comparisons failed; none where some could not be made.
async fn verify(folder: &Path, args: &args::Verify) -> anyhow::Result<(Report, Option<u64>)> {
    let archive = Archive::at(folder)?;
    let market = market::one_market(&archive, args.market.as_deref())?;
    let definition = market::definition(&archive, &market)?;
    let last = market::complete_to(&archive, &market)?
        .with_context(|| format!("{market}: its logs are not complete from its first block on; sync it again"))?;
    let to = args.block.unwrap_or(last);
    if !(definition.first_block..=last).contains(&to) {
        bail!("{market}: blocks {} to {last} are held whole, and {to} is none of them", definition.first_block);
    }
    let filter = filter(&archive, &market, definition.first_block, to)?;
    let network = Markets::embedded().network(definition.chain);
    let client = node::connect(definition.chain, &args.nodes, network, folder).await?;
    let subject = Subject { archive, market, definition, filter, to, client };
    if args.dry_run {
        return Ok((logs::estimate(&subject, args)?, Some(0)));
    }
    let mut findings = Vec::new();
    for level in &args.level {
        findings.push(match level {
            Level::State => state::compare(&subject, args).await?,
            Level::Receipts => logs::receipts(&subject, args).await?,
            Level::Bloom => logs::bloom(&subject, args).await?,
            Level::Second => logs::second(&subject).await?,
        });
    }
    let proofs: Vec<Proof> = findings.iter().map(|finding| finding.proof.clone()).collect();
    let writer = Writer::open(&subject.archive)?;
    proofs::record(&writer, &subject.market, subject.definition.chain, &proofs)?;
    let wrong: u64 = proofs.iter().map(|proof| proof.wrong).sum();
    let is_done = findings.iter().all(|finding| !finding.is_cut_short && finding.proof.checked > 0);
    let mut report = report(&subject, &findings);
    if args.repair && wrong > 0 {
        report.notes.push(repair(&subject, &writer, &findings)?);
    }
    Ok((report, (wrong > 0 || is_done).then_some(wrong)))
}

/// Sets the files aside that hold what was found wrong, and says what to do then.
fn repair(subject: &Subject, writer: &Writer, findings: &[Finding]) -> anyhow::Result<String> {
    let blocks: BTreeSet<u64> = findings.iter().flat_map(|finding| finding.blocks.iter().copied()).collect();
    let (mut count, market) = (0, &subject.market);
    for file in subject.archive.market_files(market, ArchiveTable::Logs)? {
        if file.blocks().is_some_and(|(from, to)| blocks.range(from..=to).next().is_some()) {
            set_aside(writer, &file)?;
            count += 1;
        }
    }
    if count == 0 {
        return Ok("No file is known to be wrong: `--level receipts` or `--level second` find out which.".to_owned());
    }
    Ok(format!(
        "{} files were set aside; `tidegate sync --market {market} --rpc URL` reads their blocks anew, from another endpoint \
         if the one before is not to be believed. Then verify again.",
        text::count(count)
    ))
}

/// The contracts of which everything is held. What the logs name is held from where they name it, before which it is silent;
/// a price feed that was found later is held from then on alone, and what it wrote before is not missing.
fn filter(archive: &Archive, market: &MarketName, from: u64, to: u64) -> anyhow::Result<Filter> {
    let (watch, coverage) = market::held(archive, market)?;
    let mut since: BTreeMap<Address, u64> = watch.wanted().into_iter().collect();
    for file in &archive.market_files(market, ArchiveTable::Logs)? {
        for address in filter_of(file)?.addresses {
            since.entry(address).or_insert(from);
        }
    }
    let topics = decode::topics();
    since.retain(|address, from| coverage.missing(&[(*address, *from)], &topics, to).is_empty());
    Ok(Filter { addresses: since.into_keys().collect(), topics })
}

impl Subject {
    /// A proof of nothing yet.
    fn proof(&self, level: By, from: u64, what: &str) -> Proof {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Proof {
            level,
            from,
            to: self.to,
            filter_hash: self.filter.hash(),
            what: what.to_owned(),
            whole: false,
            checked: 0,
            wrong: 0,
            not_provable: 0,
            first_wrong: None,
            hosts: self.client.hosts().split(", ").map(str::to_owned).collect(),
            made_at: TimeUs(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

fn report(subject: &Subject, findings: &[Finding]) -> Report {
    let mut differences = Table::new(
        "differences",
        &[("level", Unit::Text), ("what", Unit::Text), ("of", Unit::Text), ("chain", Unit::Text), ("ours", Unit::Text)],
    );
    let mut proofs = Table::new(
        "proof",
        &[
            ("level", Unit::Text),
            ("compared", Unit::Text),
            ("from_block", Unit::Count),
            ("to_block", Unit::Count),
            ("whole", Unit::Text),
            ("checked", Unit::Count),
            ("wrong", Unit::Count),
            ("not_provable", Unit::Count),
            ("first_wrong", Unit::Text),
        ],
    );
    for Finding { proof, differences: found, .. } in findings {
        for difference in found {
            differences.push(vec![
                Value::Text(proof.level.word().to_owned()),
                Value::Text(difference.what.to_owned()),
                Value::Text(difference.of.clone()),
                Value::Text(difference.chain.clone()),
                Value::Text(difference.ours.clone()),
            ]);
        }
        proofs.push(vec![
            Value::Text(proof.level.word().to_owned()),
            Value::Text(proof.what.clone()),
            Value::Count(proof.from),
            Value::Count(proof.to),
            Value::Text(if proof.whole { "yes" } else { "a sample" }.to_owned()),
            Value::Count(proof.checked),
            Value::Count(proof.wrong),
            Value::Count(proof.not_provable),
            proof
                .first_wrong
                .as_ref()
                .map_or(Value::Missing, |wrong| Value::Text(format!("block {}: {}", wrong.block, wrong.what))),
        ]);
    }
    let mut notes: Vec<String> = findings.iter().flat_map(|finding| finding.notes.iter().cloned()).collect();
    notes.push(format!(
        "Asked: {}; {} requests.",
        subject.client.hosts(),
        text::count(subject.client.meter().requests())
    ));
    notes.push("The proof is kept in the archive, under proofs/.".to_owned());
    let tables = if differences.rows.is_empty() { vec![proofs] } else { vec![differences, proofs] };
    Report {
        title: format!(
            "{} against its chain, chain {}, up to block {}",
            subject.market, subject.definition.chain.0, subject.to
        ),
        standing: Standing::Observed,
        notes,
        tables,
    }
}

/// A hash as a source of chance that anyone can repeat.
fn chance(seed: u64, place: u64) -> u64 {
    let hash = alloy_primitives::keccak256([seed.to_be_bytes(), place.to_be_bytes()].concat());
    B256::from(hash).0[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
