//! `tidegate svr backtest`: what would have been recaptured of past liquidations, and what waiting for the cutoff could have cost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow_array::Array as _;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int32Type, TimestampMicrosecondType, UInt64Type};
use engine::recapture::backtest::{Assumptions, Band, Basis, Hours, Past, Sums, WHOLE_PPM, Waiting};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::perp::{Kind, Observed};
use protocol::standing::Standing;
use protocol::time::{HOUR_US, TimeUs, civil_from_day};
use protocol::venue::Venue;
use source::archive::footer::TimeRange;
use source::archive::{Archive, DataFile, Scan};
use source::import::perps::{Closes, Settings, read};

use crate::args::SvrBacktest;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text::{count, percent, printable};

/// The cutoffs whose cost is shown, in seconds.
const CUTOFFS: [u32; 7] = [0, 10, 20, 30, 40, 50, 60];

/// A past liquidation.
pub(crate) struct Event {
    /// When.
    pub time: TimeUs,
    /// Its chain.
    pub chain: ChainId,
    /// What both sides were worth.
    pub past: Past,
    /// What was seized.
    pub collateral: Option<String>,
    /// What was repaid.
    pub debt: Option<String>,
}

/// Answers and writes.
pub(super) fn run(archive: &Path, args: &SvrBacktest) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let range = crate::commands::time_range(args.from.as_deref(), args.to.as_deref())?;
    let assumptions = assumptions(args)?;
    let (dataset, files) = crate::commands::dataset(&archive, &args.dataset, &range)?;
    let events = events(&files, &range)?;
    if events.is_empty() {
        bail!("no liquidation in {dataset} is in that time; see what there is with `tidegate datasets`");
    }
    let mut notes = said(args, &assumptions, &files);
    let mut tables = vec![bases(&events, &assumptions)?];
    if let Some(path) = &args.prices {
        let (hours, said) = hours(path)?;
        let (table, more) = waiting(&events, &hours, &assumptions, args)?;
        tables.push(table);
        notes.extend(more.into_iter().chain([said]));
    } else {
        notes.push("What waiting for the cutoff could have cost is not shown: give hourly prices with --prices FILE --collateral TOKEN.".to_owned());
    }
    tables.push(years(&dataset.to_string(), &events, &assumptions)?);
    let title = format!("What would have been recaptured of past liquidations · dataset {dataset}");
    let report = Report { title, standing: Standing::Estimated, notes, tables };
    output::write(&report, &crate::commands::destination(&args.output))
}

/// The liquidations of files in a range of time, by time.
pub(crate) fn events(files: &[DataFile], range: &TimeRange) -> anyhow::Result<Vec<Event>> {
    let mut events = Vec::new();
    let columns = ["time", "chain_id", "collateral_symbol", "collateral_usd", "debt_symbol", "debt_usd"];
    for chunk in Scan::of(&columns).within(*range).chunks(files) {
        for batch in chunk.read()? {
            take(&batch?, &mut events);
        }
    }
    events.retain(|event| range.from <= event.time && event.time < range.until);
    // One order for all additions of floats.
    events.sort_by_key(|event| event.time);
    Ok(events)
}

fn take(batch: &arrow_array::RecordBatch, events: &mut Vec<Event>) {
    let times = batch["time"].as_primitive::<TimestampMicrosecondType>();
    let chains = batch["chain_id"].as_primitive::<UInt64Type>();
    let symbols = ["collateral_symbol", "debt_symbol"].map(|name| batch[name].as_dictionary::<Int32Type>());
    let names = symbols.map(|symbols| symbols.values().as_string::<i32>());
    let [collateral, debt] = ["collateral_usd", "debt_usd"].map(|name| batch[name].as_primitive::<Decimal128Type>());
    for row in 0..batch.num_rows() {
        let usd = |column: &arrow_array::Decimal128Array| (!column.is_null(row)).then(|| Usd8(column.value(row)));
        events.push(Event {
            time: TimeUs(times.value(row)),
            chain: ChainId(chains.value(row)),
            past: Past { debt: usd(debt), collateral: usd(collateral) },
            collateral: symbols[0].key(row).map(|key| names[0].value(key).to_owned()),
            debt: symbols[1].key(row).map(|key| names[1].value(key).to_owned()),
        });
    }
}

fn assumptions(args: &SvrBacktest) -> anyhow::Result<Assumptions> {
    let band = |option: &str, text: &str| -> anyhow::Result<Band<u32>> {
        let parts: Vec<&str> = text.split(',').collect();
        let [low, mid, high] = parts.as_slice() else {
            bail!("--{option} \"{}\" is not three shares such as 40%,70%,95%", printable(text));
        };
        Ok(Band { low: super::share(option, low)?, mid: super::share(option, mid)?, high: super::share(option, high)? })
    };
    let found = Assumptions {
        coverage: band("coverage", &args.coverage)?,
        competition: band("competition", &args.competition)?,
        lost: band("lost", &args.lost)?,
        bonus: band("bonus", &args.bonus)?,
        split: super::split(&args.split)?,
    };
    let rising = [("coverage", found.coverage), ("competition", found.competition), ("bonus", found.bonus)];
    for (option, band) in rising {
        if !(band.low <= band.mid && band.mid <= band.high) {
            bail!("--{option} does not rise from low to high");
        }
    }
    if !(found.lost.low >= found.lost.mid && found.lost.mid >= found.lost.high) {
        bail!("--lost does not fall from the most to the least");
    }
    Ok(found)
}

/// The assumptions, which travel with the figures.
fn said(args: &SvrBacktest, assumptions: &Assumptions, files: &[DataFile]) -> Vec<String> {
    let standing = files.iter().map(|file| file.footer.standing).max().unwrap_or(Standing::Assumed);
    vec![
        "recaptured = bonus × coverage × competition × (1 − lost); low takes every low value at once, high every high one.".to_owned(),
        format!(
            "Assumed, low to high: coverage {}; competition {}; lost to waiting {}; bonus where one side alone is known {} of the debt; {} basis \
             points of what is recaptured to the protocol.",
            args.coverage, args.competition, args.lost, args.bonus, assumptions.split.protocol_bps()
        ),
        "Unless others are given, coverage and competition are framed by Compound's record on Ethereum (coverage 42 %, recaptured of auctioned 68 % \
         in all and 37 % of 18 auctioned from 2026-06-01 to 2026-06-09) and by what was projected before (90 %). Whether an auction was held for any of these is not looked at; on Aave none could be before 2025-03-29."
            .to_owned(),
        format!(
            "The bonus is what the source counts as seized beyond what was repaid: without the protocol's fee where that is what liquidators got, as in synced \
             markets, and with it elsewhere; at the source's prices (standing {standing}); the day's configuration is not looked up."
        ),
    ]
}

fn fold<'a, K: Ord>(
    events: &'a [Event],
    assumptions: &Assumptions,
    key: impl Fn(&'a Event) -> K,
) -> anyhow::Result<BTreeMap<K, Sums>> {
    let mut groups = BTreeMap::<K, Sums>::new();
    for event in events {
        let sums = groups.entry(key(event)).or_default();
        sums.add(event.past, assumptions)
            .map_err(|_| anyhow::anyhow!("a sum leaves 128 bits: some event holds an absurd value"))?;
    }
    Ok(groups)
}

fn usd(units: u128) -> Value {
    i128::try_from(units).map_or(Value::Missing, |units| Value::Usd(Usd8(units)))
}

fn signed(units: u128) -> i128 {
    i128::try_from(units).unwrap_or(i128::MAX)
}

/// On what the bonuses rest.
fn bases(events: &[Event], assumptions: &Assumptions) -> anyhow::Result<Table> {
    let mut table = Table::new(
        "bases",
        &[
            ("bonus_rests_on", Unit::Text),
            ("liquidations", Unit::Count),
            ("bonus_low_usd", Unit::Usd),
            ("bonus_mid_usd", Unit::Usd),
            ("bonus_high_usd", Unit::Usd),
        ],
    );
    for (basis, sums) in fold(events, assumptions, |event| event.past.bonus(assumptions.bonus).0)? {
        let mut row = vec![Value::Text(basis.words().to_owned()), Value::Count(sums.count())];
        let is_known = basis != Basis::Nothing;
        row.extend(sums.bonus.list().map(|units| if is_known { usd(units) } else { Value::Missing }));
        table.push(row);
    }
    Ok(table)
}

/// By year and in all.
fn years(dataset: &str, events: &[Event], assumptions: &Assumptions) -> anyhow::Result<Table> {
    let mut table = Table::new(
        "backtest",
        &[
            ("dataset", Unit::Text),
            ("year", Unit::Text),
            ("liquidations", Unit::Count),
            ("without_usd", Unit::Count),
            ("volume_usd", Unit::Usd),
            ("bonus_mid_usd", Unit::Usd),
            ("bonus_known", Unit::Share),
            ("recaptured_low_usd", Unit::Usd),
            ("recaptured_mid_usd", Unit::Usd),
            ("recaptured_high_usd", Unit::Usd),
            ("protocol_low_usd", Unit::Usd),
            ("protocol_mid_usd", Unit::Usd),
            ("protocol_high_usd", Unit::Usd),
            ("recaptured_mid_of_bonus", Unit::Share),
            ("recaptured_mid_of_volume", Unit::Share),
        ],
    );
    let by_year = fold(events, assumptions, |event| civil_from_day(event.time.day()).year.to_string())?;
    let all = fold(events, assumptions, |_| "all".to_owned())?;
    for (year, sums) in by_year.into_iter().chain(all) {
        let recaptured = sums.recaptured(assumptions);
        let mut row = vec![
            Value::Text(dataset.to_owned()),
            Value::Text(year),
            Value::Count(sums.count()),
            Value::Count(sums.counts[Basis::Nothing as usize]),
            usd(sums.volume),
            usd(sums.bonus.mid),
            Value::share(signed(sums.bonus_known), signed(sums.bonus.mid)),
        ];
        row.extend(recaptured.list().map(usd));
        row.extend(sums.parts(assumptions).list().map(|parts| usd(parts.protocol)));
        row.push(Value::share(signed(recaptured.mid), signed(sums.bonus.mid)));
        row.push(Value::share(signed(recaptured.mid), signed(sums.volume)));
        table.push(row);
    }
    Ok(table)
}

/// Hourly prices of a file.
fn hours(path: &Path) -> anyhow::Result<(Hours, String)> {
    let settings = Settings {
        kind: Kind::Candles,
        // A venue has to be named; a candle's prices are read in the same way for all of them.
        venue: Venue::BinanceCoinm,
        coin: Some(Arc::from("PRICE")),
        overrides: Vec::new(),
        only: Vec::new(),
        interval: Some(HOUR_US),
        counting: None,
        margin: None,
        account: None,
        received: TimeUs(jiff::Timestamp::now().as_microsecond()),
        closes: Closes::default(),
    };
    let found = read(path, &settings, usize::MAX)?;
    let mut hours = Hours::default();
    let mut refused = 0_u64;
    for one in &found.observations {
        if let Observed::Candle(candle) = &one.fact {
            let number = |price: protocol::Decimal| price.to_string().parse::<f64>().unwrap_or(f64::NAN);
            refused += u64::from(!hours.add(one.time.second(), number(candle.high), number(candle.low)));
        }
    }
    if let (true, Some(reject)) = (found.observations.is_empty(), found.rejects.first()) {
        bail!("{}: no hour could be read; {}", path.display(), crate::text::harmless(&reject.detail));
    }
    let said = format!(
        "Prices: {} rows were rejected, and {} hours refused because they begin on no full hour or their prices are none.",
        count(found.rejects.len() as u64),
        count(refused)
    );
    Ok((hours, said))
}

fn part_of_one(ppm: u32) -> f64 {
    f64::from(ppm) / f64::from(WHOLE_PPM)
}

/// What waiting for each cutoff could have cost.
fn waiting(
    events: &[Event],
    hours: &Hours,
    assumptions: &Assumptions,
    args: &SvrBacktest,
) -> anyhow::Result<(Table, Vec<String>)> {
    if args.collateral.is_empty() {
        bail!("--prices are of one collateral; name it, and what is worth the same, with --collateral WBTC,cbBTC");
    }
    let wanted: BTreeSet<String> = args.collateral.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    let threshold = part_of_one(super::share("threshold", &args.threshold)?);
    if threshold <= 0.0 {
        bail!("--threshold is nothing; give the collateral's liquidation threshold, such as 78%");
    }
    let bonus = part_of_one(assumptions.bonus.mid);
    let is_wanted =
        |event: &&Event| event.collateral.as_ref().is_some_and(|name| wanted.contains(&name.to_ascii_lowercase()));
    let dollars = |usd: Usd8| usd.0 as f64 / 1e8;
    // What was repaid, or what was seized without its bonus.
    let debt = |event: &Event| {
        event.past.debt.map(dollars).or_else(|| event.past.collateral.map(|seized| dollars(seized) / (1.0 + bonus)))
    };
    let known: Vec<(i64, f64)> =
        events.iter().filter(is_wanted).filter_map(|event| Some((event.time.second(), debt(event)?))).collect();
    if known.is_empty() {
        let names: Vec<String> = args.collateral.iter().map(|name| printable(name)).collect();
        bail!("no liquidation with a known value has {} as collateral", names.join(" or "));
    }
    let mut table = Table::new(
        "waiting",
        &[
            ("cutoff_seconds", Unit::Count),
            ("liquidations", Unit::Count),
            ("without_prices", Unit::Count),
            ("debt_repaid_usd", Unit::Usd),
            ("average_fall_mid", Unit::Share),
            ("worst_fall_low", Unit::Share),
            ("worst_fall_mid", Unit::Share),
            ("worst_fall_high", Unit::Share),
            ("bad_debt_low_of_repaid_usd", Unit::Usd),
            ("bad_debt_mid_of_repaid_usd", Unit::Usd),
            ("bad_debt_high_of_repaid_usd", Unit::Usd),
        ],
    );
    for cutoff in CUTOFFS {
        let mut sums = Waiting::default();
        known.iter().for_each(|event| sums.add(hours, *event, cutoff, (threshold, bonus)));
        let average = if sums.debt > 0.0 { Value::Share(sums.fall_debt.mid / sums.debt) } else { Value::Missing };
        let mut row = vec![
            Value::Count(cutoff.into()),
            Value::Count(sums.count),
            Value::Count(sums.without_prices),
            if sums.count > 0 { dollars_of(sums.debt)? } else { Value::Missing },
            average,
        ];
        // Where no hour has prices, nothing is known, which is not that nothing was lost.
        row.extend(sums.worst_fall.list().map(|fall| if sums.count > 0 { Value::Share(fall) } else { Value::Missing }));
        for deficit in sums.deficit.list() {
            row.push(if sums.count > 0 { dollars_of(deficit)? } else { Value::Missing });
        }
        table.push(row);
    }
    let notes = vec![
        "Waiting: while the cutoff runs, the price falls by k × √(cutoff / 3600 s) of its hour's range, of the worse of two that it touches, at most all of it; k = 1/2, 1 and 4 for low, \
         middle and high. Every position is at a health factor of one, owes what keeps its price, and holds what falls. Estimated: prices are hourly, \
         and what happened within hours is not known."
            .to_owned(),
        format!(
            "With a threshold of {} and a bonus of {}, debt is left over only where the price falls by more than {} while the cutoff runs.",
            args.threshold.trim(),
            percent(bonus),
            percent((1.0 - threshold * (1.0 + bonus)).max(0.0))
        ),
        format!("Looked at: {} liquidations of that collateral with a known value.", count(known.len() as u64)),
    ];
    Ok((table, notes))
}

/// An estimate in dollars, to the cent.
fn dollars_of(amount: f64) -> anyhow::Result<Value> {
    let text = format!("{amount:.2}");
    let usd = Usd8::parse_rounding(&text).map_err(|why| anyhow::anyhow!("an estimate of {amount} US dollars {why}"));
    Ok(Value::Usd(usd.context("give a smaller dataset")?))
}
