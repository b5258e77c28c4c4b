//! Histories that policies are tried on, from files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, bail};
use engine::treasury::policy::{History, Market, Observed, Reserve, Step};
use protocol::U256;
use protocol::aave::math::{Bps, Ray};
use protocol::aave::rates::RateModel;
use protocol::aave::revision::Revision;
use protocol::amount::{Raw, Usd8};
use protocol::time::TimeUs;
use source::import::fields;

use crate::text;

/// Decimals of what is read as a share before it becomes rays.
const SHARE_DECIMALS: u8 = 27;

const FIELDS: [&str; 13] = [
    "time",
    "reserve",
    "income_usd",
    "deficit_usd",
    "at_risk_usd",
    "available_usd",
    "debt_usd",
    "reserve_factor",
    "supply_rate",
    "optimal_usage",
    "base_rate",
    "slope_1",
    "slope_2",
];

/// The revision whose interest-rate strategy is used: the variable rate alone, as since 3.2.
const REVISION: Revision = Revision::V3_3;

/// A share such as `9.5%` or `0.095` in rays, exact. From 1 up it needs its `%`: a bare 10 may be meant as 10 % or as ten times all.
pub(crate) fn ray(share: &str) -> anyhow::Result<Ray> {
    let share = share.trim();
    let (digits, decimals) = match share.strip_suffix('%') {
        Some(digits) => (digits.trim(), SHARE_DECIMALS - 2),
        None => (share, SHARE_DECIMALS),
    };
    let raw = Raw::parse_tokens(digits, decimals);
    let raw = raw.map_err(|why| anyhow::anyhow!("\"{}\" {why}; give a share such as 9.5%", text::printable(share)))?;
    let ray = Ray(U256::from(raw.units()));
    if decimals == SHARE_DECIMALS && ray >= Ray::ONE {
        let shown = text::printable(share);
        bail!("\"{shown}\" may be meant in per cent or as a multiple of all; write it with %, such as {shown}%");
    }
    Ok(ray)
}

/// A share in whole basis points, not above all.
pub(crate) fn bps(share: &str) -> anyhow::Result<Bps> {
    let Ray(ray) = ray(share)?;
    let one = Ray::ONE.0 / U256::from(10_000);
    let whole = u16::try_from(ray / one).ok().filter(|bps| *bps <= Bps::ONE.0);
    let shown = text::printable(share);
    let whole = whole.with_context(|| format!("\"{shown}\" is more than all; give at most 100%"))?;
    if ray % one != U256::ZERO {
        bail!("\"{shown}\" is finer than a hundredth of a per cent; round it");
    }
    Ok(Bps(whole))
}

/// Dollars, not below zero, in 10^-8.
pub(crate) fn dollars(amount: &str) -> anyhow::Result<u128> {
    let usd = Usd8::parse_rounding(amount);
    let usd = usd.map_err(|why| anyhow::anyhow!("\"{}\" {why}; give dollars", text::printable(amount)))?;
    u128::try_from(usd.0)
        .ok()
        .with_context(|| format!("\"{}\" is negative; give dollars from 0 up", text::printable(amount)))
}

/// A history of what happened to reserves on some days: each day from the first to the last is a step, whatever happened on it, and what
/// happened on a day is known at its end. None where nothing happened.
pub(crate) fn by_day(days: &BTreeMap<(i64, String), Observed>, opening: u128, cover: Bps) -> Option<History> {
    let names: BTreeSet<&String> = days.keys().map(|(_, reserve)| reserve).collect();
    let (first, last) = (days.keys().next()?.0, days.keys().next_back()?.0);
    let step = |day: i64| Step {
        time: u64::try_from(TimeUs::from_day(day + 1).second()).unwrap_or(0),
        reserves: names.iter().map(|name| days.get(&(day, (*name).clone())).copied().unwrap_or_default()).collect(),
    };
    let reserves = names.iter().map(|name| Reserve { name: (*name).clone(), strategy: None }).collect();
    Some(History { reserves, opening, cover, steps: (first..=last).map(step).collect() })
}

/// One row.
struct Seen {
    time: u64,
    reserve: String,
    observed: Observed,
    strategy: Option<RateModel>,
}

/// Reads a history: every reserve at every time.
pub(crate) fn read(path: &Path, opening: u128, cover: Bps) -> anyhow::Result<History> {
    let mut steps: BTreeMap<u64, BTreeMap<String, Observed>> = BTreeMap::new();
    let mut strategies: BTreeMap<String, Option<RateModel>> = BTreeMap::new();
    let mut wrong = None;
    fields::read(path, &FIELDS, &FIELDS[..4], &mut |number, row| {
        let taken = row.map_err(|why| anyhow::anyhow!("{why}")).and_then(|texts| {
            let seen = one(texts)?;
            put(seen, &mut steps, &mut strategies)
        });
        if let Err(why) = taken {
            wrong.get_or_insert((number, why));
        }
        Ok(())
    })?;
    if let Some((number, why)) = wrong {
        return Err(why.context(format!("{}: row {number}", path.display())));
    }
    let reserves: Vec<Reserve> = strategies
        .into_iter()
        .map(|(name, strategy)| Reserve { name, strategy: strategy.map(|model| (model, REVISION)) })
        .collect();
    let mut found = Vec::new();
    for (time, mut seen) in steps {
        let each = reserves.iter().map(|reserve| {
            seen.remove(&reserve.name).with_context(|| {
                let when = protocol::time::TimeUs(i64::try_from(time).unwrap_or(0).saturating_mul(1_000_000));
                format!("{}: nothing is said of {} at {when}; give a row of every reserve at every time, with 0 where nothing happened",
                    path.display(), text::printable(&reserve.name))
            })
        });
        found.push(Step { time, reserves: each.collect::<anyhow::Result<_>>()? });
    }
    Ok(History { reserves, opening, cover, steps: found })
}

fn put(
    seen: Seen,
    steps: &mut BTreeMap<u64, BTreeMap<String, Observed>>,
    strategies: &mut BTreeMap<String, Option<RateModel>>,
) -> anyhow::Result<()> {
    let known = strategies.entry(seen.reserve.clone()).or_insert(seen.strategy);
    if *known != seen.strategy {
        bail!("the strategy of {} is another than in its row before; give one", text::printable(&seen.reserve));
    }
    if steps.entry(seen.time).or_default().insert(seen.reserve.clone(), seen.observed).is_some() {
        bail!("{} stands twice at its time", text::printable(&seen.reserve));
    }
    Ok(())
}

fn one(texts: &[Option<String>]) -> anyhow::Result<Seen> {
    let get = |field: &str| FIELDS.iter().position(|name| *name == field).and_then(|at| texts[at].as_deref());
    let need = |field: &str| get(field).with_context(|| format!("it has no {field}; write 0 where there was none"));
    let time = need("time")?;
    let time = crate::commands::treasury::moment(time)
        .and_then(|time| u64::try_from(time.second()).ok())
        .with_context(|| format!("\"{}\" is no moment", text::printable(time)))?;
    let amount = |field: &str| get(field).map(dollars).transpose().with_context(|| field.to_owned());
    let share = |field: &str| get(field).map(ray).transpose().with_context(|| field.to_owned());
    let market = match (amount("available_usd")?, amount("debt_usd")?) {
        (Some(available), Some(debt)) => {
            let factor = get("reserve_factor").map(bps).transpose().context("reserve_factor")?;
            if factor.is_none() && get("optimal_usage").is_some() {
                bail!("a market with a strategy has a reserve_factor; write 0% where there is none");
            }
            let supply_rate = share("supply_rate")?.unwrap_or(Ray::ZERO);
            // Without a strategy suppliers earn the rate that is told, and no factor is asked for.
            Some(Market { available, debt, reserve_factor: factor.unwrap_or(Bps(0)), supply_rate })
        }
        (None, None) => None,
        _ => bail!("a market has both available_usd and debt_usd"),
    };
    let strategy = match [share("optimal_usage")?, share("base_rate")?, share("slope_1")?, share("slope_2")?] {
        [Some(optimal_usage), Some(base), Some(slope_1), Some(slope_2)] => {
            if optimal_usage == Ray::ZERO || optimal_usage >= Ray::ONE {
                bail!("optimal_usage is not between 0 and 100%");
            }
            Some(RateModel { optimal_usage, base, slope_1, slope_2, ..RateModel::default() })
        }
        [None, None, None, None] => None,
        _ => bail!("a strategy has optimal_usage, base_rate, slope_1 and slope_2"),
    };
    if market.is_some() && strategy.is_none() && get("supply_rate").is_none() {
        bail!("a market has a supply_rate or a strategy");
    }
    let observed = Observed {
        income: dollars(need("income_usd")?).context("income_usd")?,
        deficit: dollars(need("deficit_usd")?).context("deficit_usd")?,
        at_risk: amount("at_risk_usd")?,
        market,
    };
    Ok(Seen { time, reserve: need("reserve")?.to_owned(), observed, strategy })
}
