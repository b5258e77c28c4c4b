//! `tidegate map score`: how near estimated maps came, beside what needs less.
//!
//! Two questions, as far as a dataset can answer them. Do levels stand where positions stood that were seen: rank correlation over
//! distance from the price, look by look. Do levels say what was then liquidated: for every candle of a
//! window (the second half of known liquidations, or from a moment that is asked for), what the map made before it says of the range
//! the candle went, with a model fitted to what was before the window alone.

use std::path::Path;

use anyhow::Context as _;
use engine::map::perps::baseline::{self, Walk};
use engine::map::perps::calibrate::Misses;
use engine::map::perps::estimated::{Banded, Candle, Model, place};
use engine::map::perps::{Grid, score};
use protocol::standing::Standing;
use protocol::time::SECOND_US;
use protocol::venue::Side;

use crate::args::{self, PerpOthers, PerpSources};
use crate::output;
use crate::perps::inputs::Source;
use crate::perps::{self, model, seen};
use crate::table::{Report, Table, Unit, Value};
use crate::text;

const SIDES: [Side; 2] = [Side::Long, Side::Short];
/// The baseline of equal shares.
const NAIVE: [(f64, f64); 5] = [(5.0, 0.2), (10.0, 0.2), (25.0, 0.2), (50.0, 0.2), (100.0, 0.2)];
/// Bins of 2 % of distance on either side, to 30 %.
const BINS: (f64, usize) = (0.02, 15);
/// Shares of open interest from which on mass can be compared.
const ENOUGH: f64 = 0.5;
/// The methods, in the order of their figures.
const METHODS: [&str; 4] = ["map", "uniform", "naive 1/leverage", "peers' walk"];
/// Samples of a bootstrap, and its seed.
const SAMPLES: (usize, u64) = (2_000, 1);

/// Scores.
pub(super) fn run(archive: &Path, args: &args::MapScore) -> anyhow::Result<()> {
    let sources = PerpSources {
        dataset: args.dataset.clone(),
        live: false,
        venue: args.venue.clone(),
        window: args.window.clone(),
        until: args.until.clone(),
        account: Vec::new(),
        rest_url: Vec::new(),
    };
    let since = args.since.as_deref().map(|since| crate::commands::time_range(Some(since), None)).transpose();
    let since = since.context("--since")?.map(|range| range.from.0.div_euclid(SECOND_US));
    let found = perps::gather(archive, &args.coin, &sources, false)?;
    let mut table = Table::new(
        "scores",
        &[
            ("source", Unit::Text),
            ("against", Unit::Text),
            ("side", Unit::Text),
            ("measure", Unit::Text),
            ("method", Unit::Text),
            ("value", Unit::Text),
            ("low", Unit::Text),
            ("high", Unit::Text),
            ("cases", Unit::Count),
        ],
    );
    let mut notes = found.notes;
    for source in &found.sources {
        notes.extend(source.notes.iter().cloned());
        if source.candles.iter().all(|candle| candle.open_interest.is_none()) {
            notes.push(format!(
                "{}: not scored, as candles with open interest are needed for an estimate.",
                source.name
            ));
            continue;
        }
        let scores = of(source, &args.coin, since)?;
        scores.rows.iter().for_each(|row| table.push(row.cells(source)));
        notes.extend(scores.notes);
    }
    let title = format!("How near estimated maps of {} came", text::printable(&args.coin));
    let report = Report { title, standing: Standing::Estimated, notes, tables: vec![table] };
    output::write(&report, &crate::commands::destination(&args.output))
}

/// One figure.
pub(super) struct Row {
    against: &'static str,
    side: Option<Side>,
    measure: &'static str,
    method: &'static str,
    value: Option<f64>,
    band: Option<(f64, f64)>,
    cases: usize,
}

impl Row {
    fn cells(&self, source: &Source) -> Vec<Value> {
        let number = |value: Option<f64>| value.map_or(Value::Missing, |value| Value::Text(format!("{value:.3}")));
        vec![
            Value::Text(source.name.to_string()),
            Value::Text(self.against.to_owned()),
            Value::Text(self.side.map_or("both", Side::word).to_owned()),
            Value::Text(self.measure.to_owned()),
            Value::Text(self.method.to_owned()),
            number(self.value),
            number(self.band.map(|(low, _)| low)),
            number(self.band.map(|(_, high)| high)),
            Value::Count(self.cases as u64),
        ]
    }
}

/// A source's scores, and what cannot be said.
pub(super) struct Scores {
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

/// All that can be said of one source, by liquidations `since` a moment, in seconds, where one is given.
pub(super) fn of(source: &Source, coin: &str, since: Option<i64>) -> anyhow::Result<Scores> {
    let mut scores = Scores { rows: Vec::new(), notes: Vec::new() };
    positions(source, coin, &mut scores)?;
    liquidations(source, coin, since, &mut scores)?;
    Ok(scores)
}

/// The state of every method between two candles.
struct Methods {
    model: Model,
    walk: Walk,
}

impl Methods {
    fn new(source: &Source, coin: &str, grid: &Grid, until: i64) -> anyhow::Result<Self> {
        let assumptions = model::assumptions(source, coin, grid, until)?;
        Ok(Self { model: Model::new(grid.clone(), assumptions)?, walk: Walk::new(grid.clone()) })
    }

    fn apply(&mut self, candle: &Candle) {
        if self.model.apply(candle).is_ok() {
            self.walk.apply(candle);
        }
    }

    /// Mass by cell of every method, as [`METHODS`] has them.
    fn masses(&self, mark: f64, side: Side) -> [Vec<f64>; 4] {
        let grid = self.model.grid();
        [
            self.model.mass(side),
            baseline::uniform(grid, mark, side),
            baseline::naive(grid, mark, side, &NAIVE),
            self.walk.mass(side).to_vec(),
        ]
    }
}

/// Rank correlation with positions that were seen, look by look; mass where enough was seen.
fn positions(source: &Source, coin: &str, scores: &mut Scores) -> anyhow::Result<()> {
    let looks = seen::looks(source, coin, PerpOthers::Stated);
    if looks.is_empty() {
        scores.notes.push(format!("{}: not scored against positions, as none were seen.", source.name));
        return Ok(());
    }
    // Nothing later than the first look may be fitted to.
    let first = looks.first().map_or(i64::MAX, |look| look.time);
    let grid = model::grid(source, first)?;
    let mut methods = Methods::new(source, coin, &grid, first)?;
    let mut rhos: [[Vec<f64>; 4]; 2] = Default::default();
    let mut errors: [[Vec<f64>; 2]; 2] = Default::default();
    let mut shares: [Vec<f64>; 2] = Default::default();
    let mut next = source.candles.iter().peekable();
    for look in &looks {
        while let Some(candle) = next.next_if(|candle| candle.time + source.interval <= look.time) {
            methods.apply(candle);
        }
        let recent = methods.model.mark().filter(|mark| (mark / look.mark - 1.0).abs() < 0.2);
        let (Some(_), Some(open_interest)) = (recent, methods.model.open_interest()) else { continue };
        let (measured, seen_on) = super::perps::measured(look, None)?;
        for side in SIDES {
            let at = place(side);
            let bins = |grid: &Grid, mass: &[f64]| {
                let all = score::by_distance(grid, mass, look.mark, BINS.0, BINS.1);
                if side == Side::Long { all[..BINS.1].to_vec() } else { all[BINS.1..].to_vec() }
            };
            let truth = bins(&seen_on, &measured.mass[at]);
            let masses = methods.masses(look.mark, side);
            for (rhos, mass) in rhos[at].iter_mut().zip(&masses) {
                rhos.extend(score::rank(&bins(&grid, mass), &truth).rho);
            }
            let share = measured.coverage(open_interest).map_or(0.0, |shares| shares[at]);
            shares[at].push(share);
            let map = bins(&grid, &masses[0]);
            for (errors, within) in errors[at].iter_mut().zip([3, 5]) {
                let near = |bins: &[f64]| -> f64 {
                    if side == Side::Long {
                        bins.iter().rev().take(within).sum()
                    } else {
                        bins.iter().take(within).sum()
                    }
                };
                errors.extend(score::mass_error(near(&map) * share, near(&truth)));
            }
        }
    }
    for side in SIDES {
        let at = place(side);
        for (method, rhos) in METHODS.iter().zip(&rhos[at]) {
            scores.row("positions seen", side, "rank over distance", method, rhos);
        }
        let share = shares[at].iter().sum::<f64>() / shares[at].len().max(1) as f64;
        if share < ENOUGH {
            scores.notes.push(format!(
                "{}: {} of {} open interest were seen on average, too little for a mass error: it is not stated.",
                source.name,
                text::percent(share),
                side.word()
            ));
            continue;
        }
        for (measure, errors) in ["mass error within 6 %", "mass error within 10 %"].into_iter().zip(&errors[at]) {
            scores.row("positions seen", side, measure, METHODS[0], errors);
        }
    }
    Ok(())
}

/// What every method said before each candle of one side.
#[derive(Default)]
struct Said {
    methods: [Vec<f64>; 4],
    bands: Vec<Banded>,
    realised: Vec<f64>,
    hits: [(f64, f64); 4],
}

/// What was said of the range of each candle before it, beside what was liquidated in it.
fn liquidations(source: &Source, coin: &str, since: Option<i64>, scores: &mut Scores) -> anyhow::Result<()> {
    // Before open interest is known, nothing can be said.
    let times: Vec<i64> = source.liquidated.range(model::starts(source)..).map(|(time, _)| *time).collect();
    let middle = times.get(times.len() / 2).copied().unwrap_or(i64::MAX);
    let since = since.unwrap_or(middle);
    let fitted = times.partition_point(|time| *time < since);
    let scored = times.len() - fitted;
    if fitted.min(scored) < model::LEAST_FITTED {
        scores.notes.push(format!(
            "{}: not scored against liquidations: with open interest they are known for {} candles to fit to and {} to score by, and \
             {} are needed of either.",
            source.name,
            text::count(fitted as u64),
            text::count(scored as u64),
            text::count(model::LEAST_FITTED as u64)
        ));
        return Ok(());
    }
    let grid = model::grid(source, since)?;
    let mut methods = Methods::new(source, coin, &grid, since)?;
    let fitting = model::fitting(source, since);
    let mut before: [Vec<(f64, f64)>; 2] = Default::default();
    let mut said: [Said; 2] = Default::default();
    for candle in &source.candles {
        let known = source.liquidated.get(&candle.time).zip(methods.model.mark());
        if let Some((liquidated, mark)) = known {
            for side in SIDES {
                let at = place(side);
                if candle.time >= since {
                    said[at].one(&methods, candle, mark, side, liquidated[at]);
                } else if fitting.contains(&candle.time) {
                    let reach = if side == Side::Long { candle.low } else { candle.high };
                    before[at].push((methods.model.reached(side, reach).mid, liquidated[at]));
                }
            }
        }
        methods.apply(candle);
    }
    scores.notes.push(format!(
        "{}: scored by {} candles from {}, each told how far the price went in it; nothing else of them or after was known to its \
         map. {}",
        source.name,
        text::count(scored as u64),
        perps::moment(since),
        methods.model.assumptions().source
    ));
    for side in SIDES {
        said[place(side)].rows(side, &before[place(side)], scores);
    }
    scores.notes.push(format!(
        "{}: the band of leverages is of them alone; the band of past misses is what came in the tenth of the fitted candles before which \
         the map said the nearest, 10th to 90th percentile.",
        source.name
    ));
    scores.notes.extend(scores.beaten(source));
    Ok(())
}

impl Said {
    fn one(&mut self, methods: &Methods, candle: &Candle, mark: f64, side: Side, liquidated: f64) {
        let grid = methods.model.grid();
        let (reach, cells, near) = match side {
            Side::Long => {
                (candle.low, grid.below(candle.low)..grid.below(mark), grid.below(mark * 0.9)..grid.below(mark))
            }
            Side::Short => {
                (candle.high, grid.up_to(mark)..grid.up_to(candle.high), grid.up_to(mark)..grid.up_to(mark / 0.9))
            }
        };
        let cells = cells.start.min(cells.end)..cells.end;
        let masses = methods.masses(mark, side);
        for (said, mass) in self.methods.iter_mut().zip(&masses) {
            said.push(cells.clone().map(|cell| mass[cell] * grid.middles()[cell]).sum());
        }
        self.bands.push(methods.model.reached(side, reach));
        self.realised.push(liquidated);
        if liquidated > 0.0 && !cells.is_empty() {
            // Where in its range a candle's liquidations lay is not told: evenly.
            let mut realised = vec![0.0; grid.len()];
            realised[cells.clone()].fill(liquidated / cells.len() as f64);
            for (sums, mass) in self.hits.iter_mut().zip(&masses) {
                let hits = score::hits(grid, mass, &realised, near.clone(), 0.2, 0.005);
                sums.0 += hits.share.unwrap_or(0.0) * liquidated;
                sums.1 += hits.by_chance * liquidated;
            }
        }
    }

    fn rows(&self, side: Side, before: &[(f64, f64)], scores: &mut Scores) {
        let against = "liquidations after";
        let cases = self.realised.len();
        let mut one = |measure, method, value: Option<f64>| {
            scores.rows.push(Row { against, side: Some(side), measure, method, value, band: None, cases });
        };
        for (method, said) in METHODS.into_iter().zip(&self.methods) {
            one("rank over candles", method, score::rank(said, &self.realised).rho);
        }
        let sum = |values: &[f64]| values.iter().sum::<f64>();
        let whole = sum(&self.realised);
        let share = |part: f64| (whole > 0.0).then(|| part / whole);
        // The uniform map has no heaviest levels.
        let ranked = METHODS.into_iter().zip(self.hits).filter(|(method, _)| *method != METHODS[1]);
        for (method, (hit, chance)) in ranked {
            one("share within 0.5 % of the heaviest fifth", method, share(hit));
            one("the same by chance", method, share(chance));
        }
        // What levels fell short by before the window, and by how much that varied, is carried over, and nothing else.
        let (foretold, came) = before.iter().fold((0.0, 0.0), |(a, b), (said, came)| (a + said, b + came));
        let factor = if foretold > 0.0 { came / foretold } else { 1.0 };
        one("mass error", METHODS[0], score::mass_error(factor * sum(&self.methods[0]), whole));
        let mut calibrated = |measures: [&'static str; 3], bands: Vec<Banded>| {
            let pairs: Vec<_> = bands.into_iter().zip(self.realised.iter().copied()).collect();
            let found = score::calibration(&pairs);
            for (measure, share) in measures.into_iter().zip([found.within, found.below, found.above]) {
                one(measure, METHODS[0], Some(share));
            }
        };
        calibrated(
            [
                "within the band of leverages (0.8 if true)",
                "below the band of leverages (0.1 if true)",
                "above the band of leverages (0.1 if true)",
            ],
            self.bands.iter().map(|band| band.times(factor)).collect(),
        );
        let misses = Misses::of(before.to_vec());
        calibrated(
            [
                "within the band of past misses (0.8 if true)",
                "below the band of past misses (0.1 if true)",
                "above the band of past misses (0.1 if true)",
            ],
            self.bands.iter().filter_map(|band| misses.band(band.mid)).collect(),
        );
    }
}

impl Scores {
    /// A mean with its spread.
    fn row(&mut self, against: &'static str, side: Side, measure: &'static str, method: &'static str, values: &[f64]) {
        let sure = score::bootstrap(values, 3, SAMPLES.0, SAMPLES.1);
        self.rows.push(Row {
            against,
            side: Some(side),
            measure,
            method,
            value: sure.map(|sure| sure.mean),
            band: sure.map(|sure| (sure.low, sure.high)),
            cases: values.len(),
        });
    }

    /// Which baselines ranked candles better than the map, in a sentence.
    fn beaten(&self, source: &Source) -> Option<String> {
        let ranks = |side: Side| {
            let own = self.rows.iter().filter(move |row| row.measure == "rank over candles" && row.side == Some(side));
            own.filter_map(|row| Some((row.method, row.value?)))
        };
        let mut better = Vec::new();
        for side in SIDES {
            let map = ranks(side).find(|(method, _)| *method == METHODS[0])?.1;
            let others = ranks(side).filter(|(method, rho)| *method != METHODS[0] && *rho >= map);
            better.extend(others.map(|(method, _)| format!("{method} ({}s)", side.word())));
        }
        (!better.is_empty()).then(|| {
            format!("{}: the map ranked candles no better than what needs less: {}.", source.name, better.join(", "))
        })
    }

    /// The scores in a sentence or two, for a map.
    pub(super) fn sentences(&self, source: &Source) -> Vec<String> {
        let of = |measure: &str, side: Side| {
            let own: Vec<&Row> =
                self.rows.iter().filter(|row| row.measure == measure && row.side == Some(side)).collect();
            let shown = own.iter().filter_map(|row| Some(format!("{} {:.2}", row.method, row.value?)));
            let shown: Vec<String> = shown.collect();
            let cases = own.first().map_or(0, |row| row.cases);
            (!shown.is_empty())
                .then(|| format!("{}: {measure}, {}s: {} ({cases} cases).", source.name, side.word(), shown.join(", ")))
        };
        let measures = ["rank over distance", "rank over candles"];
        measures.into_iter().flat_map(|measure| SIDES.map(|side| of(measure, side))).flatten().collect()
    }
}
