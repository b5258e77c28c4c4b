//! Venues of perpetual futures on the axis: an estimated model of each contract, and positions that somebody saw.

pub(super) mod bands;
pub(super) mod say;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use engine::map::perps::estimated::Model;
use engine::map::perps::measured::{Measured, Others};
use engine::map::perps::score::Misses;
use engine::map::perps::score::misses::Held;
use engine::map::perps::{Grid, series};
use engine::map::{Assumed, Assumption, Band, Class, Coverage, Levels, Map, Quantity, Series, Side, from_float};
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::TimeUs;

use crate::args::{self, PerpOthers};
use crate::perps::inputs::Source;
use crate::perps::seen::{self, Look};
use crate::perps::{self, Origin, model, told};
use crate::table::Table;
use crate::text;

/// Cells between a tenth and five times the price on which positions that were seen are put.
const CELLS: usize = 2_000;

/// What venues have on the axis.
pub(super) struct Perps {
    laid: Vec<Laid>,
    /// Only these leverages, in times.
    leverage: Option<(f64, f64)>,
    by_leverage: bool,
    /// What must be known, each a sentence.
    pub notes: Vec<String>,
}

/// One source on the axis.
struct Laid {
    source: Source,
    model: Option<Model>,
    /// What came after what the model says of the past, longs and shorts.
    past: [Misses; 2],
    /// How often bands of such misses held, longs and shorts, where that was counted.
    held: Option<[Held; 2]>,
    look: Option<Look>,
    others: PerpOthers,
}

/// Lays what the user names, or the venues themselves where `is_alone`.
pub(super) fn lay(archive: &Path, args: &args::Map, coin: &str, is_alone: bool) -> anyhow::Result<Perps> {
    let leverage = args.shown.leverage.as_deref().map(range).transpose()?;
    let wanted = perps::Wanted { sources: &args.perps, keeping: &args.keeping, is_alone, usual: perps::live::WINDOW };
    let found = perps::gather_all(archive, coin, wanted)?;
    let mut laid = Vec::new();
    let mut notes = found.notes;
    for source in found.sources {
        notes.extend(source.notes.iter().cloned());
        let folded = if source.candles.is_empty() { None } else { Some(model::folded(&source, coin)?) };
        let folded = folded.filter(|folded| {
            let is_known = folded.model.open_interest().is_some();
            if !is_known {
                notes.push(format!("{}: no estimate, as no open interest is known.", source.name));
            }
            is_known
        });
        let (model, past) = folded.map_or((None, Default::default()), |folded| (Some(folded.model), folded.past));
        let look = seen::newest(&source, coin, args.shown.others);
        let mut held = None;
        if model.is_some() && source.origin != Origin::Venues {
            let scores = super::score::of(&source, coin, None)?;
            notes.extend(scores.sentences(&source));
            let is_scored = !scores.rows.is_empty();
            notes.extend((!is_scored).then_some(scores.notes).into_iter().flatten());
            held = scores.held;
        }
        if model.is_none() && look.is_none() && source.candles.is_empty() {
            notes.push(format!("{}: neither candles nor positions are known.", source.name));
        }
        laid.push(Laid { source, model, past, held, look, others: args.shown.others });
    }
    Ok(Perps { laid, leverage, by_leverage: args.shown.by_leverage, notes })
}

/// `10-50`, or one leverage.
fn range(text: &str) -> anyhow::Result<(f64, f64)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let parse =
        |text: &str| text.trim().trim_end_matches('x').parse::<f64>().ok().filter(|x| *x >= 1.0 && x.is_finite());
    match (parse(from), parse(to)) {
        (Some(from), Some(to)) if from <= to => Ok((from, to)),
        _ => bail!("--leverage \"{}\" is no range such as 10-50", text::printable(text)),
    }
}

impl Perps {
    /// Whether nothing of venues is on the axis.
    pub(super) fn is_empty(&self) -> bool {
        self.laid.iter().all(|laid| laid.model.is_none() && laid.look.is_none())
    }

    /// The price of the newest source.
    pub(super) fn mark(&self) -> Option<Usd8> {
        let newest = self.laid.iter().filter_map(|laid| Some((laid.at()?, laid.mark()?)));
        let (_, mark) = newest.max_by_key(|(at, _)| *at)?;
        from_float(mark).filter(|units| *units > 0).map(Usd8)
    }

    /// Puts series, coverage and assumptions into a map.
    pub(super) fn put(&mut self, map: &mut Map) -> anyhow::Result<()> {
        for laid in &self.laid {
            laid.put(map, self.leverage)?;
            let today = float(map.levels.today());
            let of_model = laid.model.as_ref().and_then(Model::mark).map(|mark| ("estimate", mark));
            let of_look = laid.look.as_ref().map(|look| ("look at positions", look.mark));
            for (what, mark) in of_model.into_iter().chain(of_look) {
                if (mark / today - 1.0).abs() > 0.02 {
                    self.notes.push(format!(
                        "{}: its {what} is of a moment when the price was ${mark:.2}, and the axis is around {}: what lies between \
                         the two is not on the map.",
                        laid.source.name,
                        text::usd(map.levels.today())
                    ));
                }
            }
        }
        if !self.by_leverage {
            map.series.retain(|one| !matches!(one.label.class, Some(Class::Leverage(_))));
        }
        Ok(())
    }

    /// The sources whose levels a heatmap shows.
    fn estimated(&self) -> impl Iterator<Item = (&Source, &Model)> {
        self.laid.iter().filter_map(|laid| Some((&laid.source, laid.model.as_ref()?)))
    }

    /// What was told of every source last.
    pub(super) fn contracts(&self, coin: &str) -> Table {
        told::table(&self.laid.iter().map(|laid| &laid.source).collect::<Vec<_>>(), coin)
    }

    /// The origin of a series by its name.
    fn origin(&self, name: &str) -> Option<&Origin> {
        self.laid.iter().find(|laid| &*laid.source.name == name).map(|laid| &laid.source.origin)
    }

    /// Whether positions opened at a leverage are shown.
    fn shows(&self, leverage: f64) -> bool {
        self.leverage.is_none_or(|(from, to)| (from..=to).contains(&leverage))
    }

    /// The range of leverages that is shown, in words.
    fn leverages(&self) -> Option<String> {
        self.leverage.map(|(from, to)| format!("positions opened at {from}x to {to}x alone"))
    }
}

impl Laid {
    /// The moment of its newest figure, in seconds.
    fn at(&self) -> Option<i64> {
        let candle = self.source.candles.last().map(|candle| candle.time + self.source.interval);
        candle.filter(|_| self.model.is_some()).max(self.look.as_ref().map(|look| look.time))
    }

    fn mark(&self) -> Option<f64> {
        let of_model = self.model.as_ref().and_then(Model::mark);
        of_model.or_else(|| self.look.as_ref().map(|look| look.mark))
    }

    fn put(&self, map: &mut Map, leverage: Option<(f64, f64)>) -> anyhow::Result<()> {
        let name = &self.source.name;
        let mut assume = |of: engine::map::Assumptions| {
            let named = |one: Assumption| Assumption { name: format!("{name}.{}", one.name).into(), ..one };
            map.assumptions.0.extend(of.0.into_iter().map(named));
        };
        if let Some(model) = &self.model {
            assume(series::estimated_assumptions(model));
            let ends = self.source.candles.last().map_or(0, |candle| candle.time + self.source.interval);
            let all = series::estimated(model, &self.past, &map.levels, name, perps::moment(ends));
            map.series.extend(all.into_iter().filter_map(|one| kept(one, model, &map.levels, leverage)));
            map.coverage.push(series::estimated_coverage(model, name));
        }
        if let Some(look) = &self.look {
            assume(self.measured_assumptions(look));
            let name: Arc<str> = format!("{name}, positions seen").into();
            let (measured, grid) = measured(look, leverage)?;
            let at = perps::moment(look.time);
            map.series.extend(series::measured(&measured, &grid, &map.levels, &name, self.source.standing, at));
            map.coverage.push(self.measured_coverage(&measured, look, &name));
        }
        Ok(())
    }

    fn measured_assumptions(&self, look: &Look) -> engine::map::Assumptions {
        if look.is_stated {
            let says = "Positions are liquidated where the venue itself states it, at the moment they were seen; it supposes \
                        that an account's other positions stay at their marks.";
            return engine::map::Assumptions(vec![Assumption::new(
                "stated_prices",
                says.to_owned(),
                Assumed::Rule,
                "",
            )]);
        }
        let moves = self.others == PerpOthers::MoveAlong;
        series::measured_assumptions(if moves { Others::MoveAlong } else { Others::AtTheirMarks })
    }

    fn measured_coverage(&self, measured: &Measured, look: &Look, name: &Arc<str>) -> Coverage {
        // What was open when the positions were seen: the last that was stated before, no older than a day.
        let known = self.source.open_interest.range(look.time.saturating_sub(86_400)..=look.time).next_back();
        let mut coverage = series::measured_coverage(measured, known.map(|(_, coins)| *coins), name);
        coverage.blind_spots.extend(look.span().map(Into::into));
        if known.is_none() {
            coverage.blind_spots.push(
                format!(
                    "{name}: open interest at that moment is not known, so neither is the share of it that was seen."
                )
                .into(),
            );
        }
        coverage
    }
}

/// Positions of a look on a grid around its price.
pub(super) fn measured(look: &Look, leverage: Option<(f64, f64)>) -> anyhow::Result<(Measured, Grid)> {
    let grid = Grid::new(look.mark / 10.0, look.mark * 5.0, CELLS).context("positions have no price")?;
    let is_asked = |held: f64| leverage.is_none_or(|(from, to)| (from..=to).contains(&held));
    let positions = look.seen.iter().filter(|seen| is_asked(seen.leverage));
    let measured = Measured::new(&grid, positions.map(|seen| (seen.side, seen.size, seen.liquidation)));
    Ok((measured, grid))
}

/// A series of the model as it is shown: by leverage those asked for, the whole summed over them.
fn kept(one: Series, model: &Model, levels: &Levels, leverage: Option<(f64, f64)>) -> Option<Series> {
    let Some((from, to)) = leverage else { return Some(one) };
    if let Some(Class::Leverage(hundredths)) = one.label.class {
        return (from..=to).contains(&(f64::from(hundredths) / 100.0)).then_some(one);
    }
    let banded = series::ahead(model, one.label.side?, levels).into_iter().map(|mut by_bucket| {
        for (value, bucket) in by_bucket.iter_mut().zip(&model.assumptions().buckets) {
            if !(from..=to).contains(&bucket.leverage) {
                *value = 0.0;
            }
        }
        model.assumptions().band(&by_bucket)
    });
    let banded: Vec<_> = banded.collect();
    let pick =
        |pick: fn(&engine::map::perps::estimated::Banded) -> f64| banded.iter().map(|b| from_float(pick(b))).collect();
    Some(Series {
        values: pick(|band| band.mid),
        // Misses are of all leverages together.
        band: None,
        leverage_band: Some(Band { low: pick(|band| band.low), high: pick(|band| band.high) }),
        ..one
    })
}

/// Whether a series is of venues.
pub(super) fn is_of_venues(series: &Series) -> bool {
    series.quantity == Quantity::Notional
}

/// Every series of venues over all leverages, of a standing and side.
fn whole(map: &Map, standing: Standing, side: Side) -> Vec<&Series> {
    let is_it = |one: &&Series| {
        is_of_venues(one) && one.standing == standing && one.label.side == Some(side) && one.label.class.is_none()
    };
    map.series.iter().filter(is_it).collect()
}

/// A price in dollars.
#[expect(clippy::cast_precision_loss, reason = "a level is shown, not paid")]
fn float(Usd8(price): Usd8) -> f64 {
    price as f64 / 1e8
}

/// The oldest and the newest moment of series.
fn moments<'a>(series: impl Iterator<Item = &'a Series> + Clone) -> Option<(TimeUs, TimeUs)> {
    series.clone().map(|one| one.at).min().zip(series.map(|one| one.at).max())
}
