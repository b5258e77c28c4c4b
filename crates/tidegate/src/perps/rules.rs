//! By which venues' rules liquidations of a dataset came about, where its user says it: kept in the footers of its files.

use std::path::Path;

use anyhow::{Context as _, bail};
use protocol::Decimal;
use protocol::perp::{Instrument, Observed};
use protocol::time::TimeUs;
use protocol::venue::{Contract, Tier, Tiers, Venue, hyperliquid};
use serde_json::{Value, json};
use source::archive::{Archive, DataFile};
use source::venue::{binance, bybit};

use super::kept;
use crate::args::ImportPerps;
use crate::commands::import_perps;
use crate::text;

/// The note of a footer.
pub(crate) const NOTE: &str = "rules";
/// A file of tiers is no longer than this.
const LONGEST_FILE: u64 = 64 << 20;

/// Rules of venues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Of each venue, in the order they were named.
    pub of: Vec<Of>,
}

/// A venue's rule with its tiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Of {
    pub venue: Venue,
    pub tiers: Tiers,
    /// From where the tiers are.
    pub from: String,
}

impl Rules {
    /// In words.
    pub(crate) fn words(&self) -> String {
        let one = |of: &Of| format!("the rule of {} and its margin tiers {}", of.venue, of.from);
        self.of.iter().map(one).collect::<Vec<_>>().join(" and ")
    }

    /// As a footer has them.
    pub(crate) fn to_note(&self) -> String {
        let row = |tier: &Tier| {
            let cells = [tier.floor, tier.maintenance_margin_rate, tier.deduction, tier.max_leverage];
            cells.map(|cell| cell.to_string())
        };
        let one = |of: &Of| {
            let tiers: Vec<_> = of.tiers.rows().iter().map(row).collect();
            json!({ "venue": of.venue.word(), "from": of.from, "tiers": tiers })
        };
        Value::from_iter(self.of.iter().map(one)).to_string()
    }

    fn of_note(note: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(note).ok()?;
        let tier = |row: &Value| {
            let cell = |at: usize| row.get(at)?.as_str()?.parse::<Decimal>().ok();
            Some(Tier {
                floor: cell(0)?,
                maintenance_margin_rate: cell(1)?,
                deduction: cell(2)?,
                max_leverage: cell(3)?,
            })
        };
        let one = |of: &Value| {
            let tiers: Option<Vec<Tier>> = of["tiers"].as_array()?.iter().map(tier).collect();
            Some(Of {
                venue: Venue::from_word(of["venue"].as_str()?)?,
                tiers: Tiers::new(tiers?).ok()?,
                from: of["from"].as_str()?.to_owned(),
            })
        };
        let of: Option<Vec<Of>> = value.as_array()?.iter().map(one).collect();
        of.filter(|of| !of.is_empty()).map(|of| Self { of })
    }
}

/// The rules that files state, those of the last where they differ, which is said.
pub(crate) fn of_files<'a>(
    files: impl Iterator<Item = &'a DataFile>,
    notes: &mut Vec<String>,
) -> anyhow::Result<Option<Rules>> {
    let mut found: Option<Rules> = None;
    for file in files {
        let Some(note) = file.footer.note(NOTE) else { continue };
        let rules = Rules::of_note(note).with_context(|| {
            format!("{}: its footer states rules that are none; import it anew", file.path.display())
        })?;
        if found.as_ref().is_some_and(|before| *before != rules) {
            notes.push(format!(
                "Its files state different rules of liquidation; used are {}.",
                text::harmless(&rules.words())
            ));
        }
        found = Some(rules);
    }
    Ok(found)
}

/// The rules that the user states of files.
pub(crate) fn stated(archive: &Archive, args: &ImportPerps) -> anyhow::Result<Option<Rules>> {
    let mut venues: Vec<Venue> =
        args.venues.iter().map(|word| import_perps::venue(word)).collect::<anyhow::Result<_>>()?;
    let mut files: Vec<(Venue, &Path)> = Vec::new();
    for text in &args.tiers {
        let named =
            text.split_once('=').and_then(|(word, file)| Some((Venue::from_word(word.trim())?, Path::new(file))));
        let file = match (named, venues.as_slice()) {
            (Some(named), _) => named,
            (None, []) => (import_perps::venue(&args.venue)?, Path::new(text)),
            (None, [only]) => (*only, Path::new(text)),
            (None, _) => bail!("--tiers \"{}\": say whose it is: VENUE=FILE", text::printable(text)),
        };
        files.push(file);
    }
    venues.extend(files.iter().map(|(venue, _)| *venue));
    let mut seen = std::collections::BTreeSet::new();
    venues.retain(|venue| seen.insert(*venue));
    if venues.is_empty() {
        return Ok(None);
    }
    let coin = args
        .coin
        .as_deref()
        .context("whose rules liquidations follow is said of one --coin")?
        .trim()
        .to_ascii_uppercase();
    let one = |venue: Venue| match files.iter().rev().find(|(of, _)| *of == venue) {
        Some((_, path)) => of_file(venue, &coin, path),
        None => known(archive, venue, &coin),
    };
    Ok(Some(Rules { of: venues.into_iter().map(one).collect::<anyhow::Result<_>>()? }))
}

/// The tiers of a venue as its documents or the archive have them.
fn known(archive: &Archive, venue: Venue, coin: &str) -> anyhow::Result<Of> {
    if venue == Venue::Hyperliquid
        && let Some(tiers) = hyperliquid::stated(coin)
    {
        return Ok(Of { venue, tiers, from: "as the venue's documents stated them".to_owned() });
    }
    let found = kept::load(archive, coin, &[venue], (None, TimeUs(i64::MAX)))?;
    let tiers = found.sources.into_iter().find_map(|source| source.tiers);
    let tiers = tiers.with_context(|| {
        format!(
            "the margin tiers of {venue} for {} are not known here: give them with --tiers {venue}=FILE{}",
            text::printable(coin),
            match venue {
                Venue::Bybit | Venue::Okx | Venue::Hyperliquid =>
                    format!(", or ask the venue once: `tidegate map {} --live --venue {venue}`", text::printable(coin)),
                Venue::BinanceUsdm | Venue::BinanceCoinm | Venue::DydxV4 | Venue::GmxV2 => String::new(),
            }
        )
    })?;
    Ok(Of { venue, tiers, from: "as the venue stated them when it was asked".to_owned() })
}

/// The tiers of a venue out of a file of its own format.
fn of_file(venue: Venue, coin: &str, path: &Path) -> anyhow::Result<Of> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("{shown}: cannot be read"))?.len();
    if length > LONGEST_FILE {
        bail!("{shown}: is longer than the {} MiB that a file of tiers has at most", LONGEST_FILE >> 20);
    }
    let body = std::fs::read(path).with_context(|| format!("{shown}: cannot be read"))?;
    let parse = match venue {
        Venue::BinanceUsdm => binance::tiers_of_file,
        Venue::Bybit => bybit::tiers,
        Venue::BinanceCoinm | Venue::Okx | Venue::Hyperliquid | Venue::DydxV4 | Venue::GmxV2 => {
            bail!("--tiers: files of {venue} are not read; of binance-usdm and bybit they are")
        }
    };
    let instrument = Instrument {
        venue,
        symbol: format!("{coin}USDT").into(),
        base: coin.into(),
        quote: "USDT".into(),
        contract: Contract::Linear,
        contract_size: Decimal::ONE,
        funding_interval: None,
    };
    let parsed = parse(&instrument, &body, TimeUs(0)).map_err(|why| anyhow::anyhow!("{shown}: {why}"))?;
    if let Some(reject) = parsed.rejects.first() {
        bail!("{shown}: its tiers of {} cannot be taken: {}", instrument.symbol, text::harmless(&reject.detail));
    }
    let tiers = parsed
        .rows
        .into_iter()
        .find_map(|row| if let Observed::Tiers(table) = row.fact { Some(table.tiers) } else { None });
    let tiers = tiers.with_context(|| format!("{shown}: has no tiers of {}", instrument.symbol))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Of { venue, tiers, from: format!("of {name}") })
}
