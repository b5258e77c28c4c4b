//! Histories that policies are tried on, out of a dataset's liquidations: what they brought by day and reserve, and what is assumed besides.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use engine::recapture::backtest::{Band, WHOLE_PPM};
use engine::treasury::policy::{History, Observed, Reserve, Step};
use engine::treasury::{Action, Code};
use protocol::aave::math::Bps;
use protocol::chain::ChainId;
use protocol::token::Tokens;
use source::archive::footer::TimeRange;
use source::archive::{Archive, DatasetName, recaptures};
use source::import::fields;

use super::{moment, record};
use crate::args::TreasuryPolicy;
use crate::commands::svr::{backtest, share};
use crate::text;
use crate::treasury::coins::Coins;
use crate::treasury::history::dollars;
use crate::world::Claim;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// What happened by day, network and reserve.
#[derive(Debug, Default)]
struct Days {
    seen: BTreeMap<(i64, ChainId, String), Observed>,
    /// Amounts without a value in dollars.
    without: u64,
    notes: Vec<String>,
}

/// The history of a dataset, each day of its period a step, and what a reader must know of it.
pub(super) fn history(
    archive: &Archive,
    name: &str,
    (opening, cover): (u128, Bps),
    args: &TreasuryPolicy,
) -> anyhow::Result<(History, Vec<String>)> {
    let dataset = DatasetName::new(name)?;
    let mut days = Days::default();
    let is_synced = archive.synced_market(&dataset).is_some();
    let is_record = !is_synced && !recaptures::files(archive, &dataset)?.is_empty();
    let is_made_up = !is_synced && !is_record && {
        let (_, files) = super::super::dataset(archive, name, &TimeRange::ALL)?;
        Claim::of(&files).is_some()
    };
    let is_told = is_synced || is_record || is_made_up;
    if is_told {
        days.posted(archive, name)?;
    }
    match (is_record || is_made_up, &args.recapture_rate) {
        (true, Some(_)) => {
            bail!("{dataset} says what was recaptured; leave out --recapture-rate, or name liquidations that do not")
        }
        (false, Some(rate)) => days.assumed(archive, name, rate, args)?,
        (false, None) if !is_told => bail!(
            "{dataset} was imported and tells neither fees nor what was recaptured; assume it with --recapture-rate 30.8%, as `tidegate svr backtest` estimates"
        ),
        (_, None) => {}
    }
    if days.without > 0 {
        days.notes.push(format!("{} amounts have no value in dollars and are in no step.", text::count(days.without)));
    }
    let mut named = days.named();
    if !args.reserve.is_empty() {
        let names: BTreeSet<String> = named.keys().map(|(_, name)| name.clone()).collect();
        if let Some(unknown) = args.reserve.iter().find(|name| !names.contains(name.trim())) {
            bail!("--reserve {}: {}", text::printable(unknown), there_are(&names));
        }
        named.retain(|(_, name), _| args.reserve.iter().any(|wanted| wanted.trim() == name));
        days.notes.push(format!("Only {}: what was earned elsewhere is not there for them.", args.reserve.join(", ")));
    }
    let (Some(first), Some(last)) = (named.keys().next(), named.keys().next_back()) else {
        bail!("{} has no income and no deficit that could be tried", text::printable(name));
    };
    let (first, last) = (first.0, last.0);
    let names: BTreeSet<String> = named.keys().map(|(_, name)| name.clone()).collect();
    let mut scenario = Scenario { days: (first, last), names: &names, named: &mut named, notes: &mut days.notes };
    if let Some(path) = &args.deficits {
        scenario.deficits(path)?;
    }
    let risk = args.debt_at_risk.as_deref().map(|path| scenario.at_risk(path)).transpose()?.unwrap_or_default();
    let step = |day: i64| Step {
        // What happened on a day is known at its end.
        time: u64::try_from((day + 1).saturating_mul(DAY_S)).unwrap_or(0),
        reserves: names
            .iter()
            .map(|name| Observed {
                // What was said last stands until something else is said.
                at_risk: risk.get(name).and_then(|said| said.range(..=day).next_back()).map(|(_, amount)| *amount),
                ..named.get(&(day, name.clone())).copied().unwrap_or_default()
            })
            .collect(),
    };
    let steps: Vec<Step> = (first..=last).map(step).collect();
    let sum =
        |of: fn(&Observed) -> u128| steps.iter().flat_map(|step| &step.reserves).map(of).fold(0, u128::saturating_add);
    let (income, deficits) = (sum(|seen| seen.income), sum(|seen| seen.deficit));
    days.notes.push(format!(
        "In all, income of {} and deficits of {}.",
        super::policy::usd(income),
        super::policy::usd(deficits)
    ));
    let reserves = names.iter().map(|name| Reserve { name: name.clone(), strategy: None }).collect();
    Ok((History { reserves, opening, cover, steps }, days.notes))
}

fn there_are(names: &BTreeSet<String>) -> String {
    let names: Vec<String> = names.iter().map(|name| text::printable(name)).collect();
    format!("the history has no such reserve; there are {}", names.join(", "))
}

impl Days {
    /// What the ledger would be told: recaptured amounts, or fees and deficits.
    fn posted(&mut self, archive: &Archive, name: &str) -> anyhow::Result<()> {
        let mut coins = Coins::default();
        let found = record::gather(archive, name, &mut coins, Tokens::embedded())?;
        self.without += found.unknown.len() as u64;
        for transfer in found.groups.iter().flat_map(|group| &group.transfers) {
            let Action::Post(entry) = transfer.action else { continue };
            // What the safe hands on was income when it accrued.
            if entry.credit.code == Code::SvrReceivable {
                continue;
            }
            let network = entry.credit.asset.network;
            let reserve =
                entry.credit.reserve.map_or_else(|| "no reserve".to_owned(), |about| coins.reserve(network, about));
            let seen = self.seen.entry((transfer.time.day(), network, reserve)).or_default();
            match transfer.usd.and_then(|usd| u128::try_from(usd.0).ok()) {
                Some(usd) if entry.credit.code == Code::DeficitOwed => seen.deficit = seen.deficit.saturating_add(usd),
                Some(usd) => seen.income = seen.income.saturating_add(usd),
                None => self.without += 1,
            }
        }
        self.notes.push(
            "Income is what the dataset tells: fees of liquidations or recaptured amounts. Interest is not in it."
                .to_owned(),
        );
        Ok(())
    }

    /// What auctions would have brought the protocol: a share of every bonus.
    fn assumed(&mut self, archive: &Archive, name: &str, rate: &str, args: &TreasuryPolicy) -> anyhow::Result<()> {
        let (_, files) = super::super::dataset(archive, name, &TimeRange::ALL)?;
        let ppm = share("recapture-rate", rate)?;
        let bonus = share("bonus", &args.bonus)?;
        let assumed = Band { low: bonus, mid: bonus, high: bonus };
        for event in backtest::events(&files, &TimeRange::ALL)? {
            if event.past.debt.is_none() && event.past.collateral.is_none() {
                self.without += 1;
                continue;
            }
            let reserve = event.debt.unwrap_or_else(|| "no reserve".to_owned());
            let income = event.past.bonus(assumed).1.mid.saturating_mul(ppm.into()) / u128::from(WHOLE_PPM);
            let seen = self.seen.entry((event.time.day(), event.chain, reserve)).or_default();
            seen.income = seen.income.saturating_add(income);
        }
        self.notes.push(format!(
            "Assumed: of every bonus, {} came to the protocol, as if an auction had been held for it. Where one side of a liquidation has no price, or both \
            contradict each other, the bonus is {} of the debt.",
            text::printable(rate.trim()),
            text::printable(args.bonus.trim())
        ));
        Ok(())
    }

    /// Reserves by name; with their network where there are several.
    fn named(&mut self) -> BTreeMap<(i64, String), Observed> {
        let networks: BTreeSet<ChainId> = self.seen.keys().map(|(_, network, _)| *network).collect();
        let name =
            |network: ChainId, name: String| if networks.len() > 1 { format!("{name} on {network}") } else { name };
        std::mem::take(&mut self.seen)
            .into_iter()
            .map(|((day, network, reserve), seen)| ((day, name(network, reserve)), seen))
            .collect()
    }
}

/// What is assumed to have happened besides.
struct Scenario<'a> {
    days: (i64, i64),
    names: &'a BTreeSet<String>,
    named: &'a mut BTreeMap<(i64, String), Observed>,
    notes: &'a mut Vec<String>,
}

impl Scenario<'_> {
    /// Adds the deficits of a file.
    fn deficits(&mut self, path: &Path) -> anyhow::Result<()> {
        let rows = self.rows(path, "deficit_usd")?;
        let (first, last) = self.days;
        for ((day, name), amount) in &rows {
            if !(first..=last).contains(day) {
                bail!("{}: a deficit of {} is not within the history's days", path.display(), text::printable(name));
            }
            let seen = self.named.entry((*day, name.clone())).or_default();
            seen.deficit = seen.deficit.saturating_add(*amount);
        }
        self.notes.push(format!(
            "Assumed: the {} deficits of {}.",
            rows.len(),
            text::harmless(&path.to_string_lossy())
        ));
        Ok(())
    }

    /// The debt at risk by reserve and day.
    fn at_risk(&mut self, path: &Path) -> anyhow::Result<BTreeMap<String, BTreeMap<i64, u128>>> {
        let mut found: BTreeMap<String, BTreeMap<i64, u128>> = BTreeMap::new();
        for ((day, name), amount) in self.rows(path, "at_risk_usd")? {
            found.entry(name).or_default().insert(day, amount);
        }
        self.notes.push(format!(
            "Assumed: the debt at risk of {}; what it said last stands until it says something else.",
            text::harmless(&path.to_string_lossy())
        ));
        Ok(found)
    }

    /// Amounts by day and reserve.
    fn rows(&self, path: &Path, field: &str) -> anyhow::Result<BTreeMap<(i64, String), u128>> {
        let fields = ["time", "reserve", field];
        let mut rows = BTreeMap::new();
        let mut wrong = None;
        fields::read(path, &fields, &fields, &mut |number, row| {
            let taken = row.map_err(|why| anyhow::anyhow!("{why}")).and_then(|texts| {
                let (at, amount) = self.row(texts, field)?;
                let name = text::printable(&at.1);
                anyhow::ensure!(rows.insert(at, amount).is_none(), "{name} stands twice on its day");
                Ok(())
            });
            if let Err(why) = taken {
                wrong.get_or_insert((number, why));
            }
            Ok(())
        })?;
        match wrong {
            Some((number, why)) => Err(why.context(format!("{}: row {number}", path.display()))),
            None => Ok(rows),
        }
    }

    fn row(&self, texts: &[Option<String>], field: &str) -> anyhow::Result<((i64, String), u128)> {
        let get = |at: usize, name: &str| texts[at].as_deref().with_context(|| format!("it has no {name}"));
        let time = get(0, "time")?;
        let day = moment(time).with_context(|| format!("\"{}\" is no moment", text::printable(time)))?.day();
        let name = get(1, "reserve")?.trim().to_owned();
        if !self.names.contains(&name) {
            bail!("\"{}\": {}", text::printable(&name), there_are(self.names));
        }
        Ok(((day, name), dollars(get(2, field)?).with_context(|| field.to_owned())?))
    }
}
