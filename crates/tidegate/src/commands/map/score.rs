//! `tidegate map score`: how near estimated maps came, beside what needs less.
//!
//! Two questions, as far as a dataset can answer them. Do levels stand where positions stood that were seen: rank correlation over
//! distance from the price, look by look. Do levels say what was then liquidated: for every candle of a
//! window (the second half of known liquidations, or from a moment that is asked for), what the map made before it says of the range
//! the candle went, with a model fitted to what was before the window alone.

use std::path::Path;

use anyhow::Context as _;
use engine::map::perps::estimated::{Banded, place};
use engine::map::perps::score::misses::{self, Held};
use engine::map::perps::score::{self, Calibration, Each, Method, Methods, Misses, Rank, Said};
use engine::map::perps::{Grid, series};
use engine::map::{Assumption, Assumptions};
use protocol::standing::Standing;
use protocol::time::SECOND_US;
use protocol::venue::Side;

use crate::args::{self, PerpOthers, PerpSources};
use crate::output;
use crate::perps::inputs::Source;
use crate::perps::seen::Look;
use crate::perps::{self, model, seen};
use crate::table::{Report, Table, Unit, Value};
use crate::text;

const SIDES: [Side; 2] = [Side::Long, Side::Short];
/// Bins of 2 % of distance on either side, to 30 %.
const BINS: (f64, usize) = (0.02, 15);
/// Shares of open interest from which on mass can be compared.
const ENOUGH: f64 = 0.5;
/// Looks that depend on each other: positions stand for days.
const BLOCK: usize = 10;
/// Samples of a bootstrap, and its seed.
const SAMPLES: (usize, u64) = (2_000, 1);
/// By what methods are compared with each other.
const COMPARED: [&str; 3] = ["rank over distance", "rank over candles", "lift of the heaviest fifth (1 by chance)"];
/// What a band of leverages, and one of past misses, held.
const HELD: [[&str; 3]; 2] = [
    [
        "within the band of leverages (0.8 if true)",
        "below the band of leverages (0.1 if true)",
        "above the band of leverages (0.1 if true)",
    ],
    [
        "within the band of past misses (0.8 if true)",
        "below the band of past misses (0.1 if true)",
        "above the band of past misses (0.1 if true)",
    ],
];

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
            ("tied_said", Unit::Share),
            ("tied_came", Unit::Share),
        ],
    );
    let (mut notes, mut assumed) = (found.notes, Vec::new());
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
        assumed.extend(scores.assumed);
    }
    let title = format!("How near estimated maps of {} came", text::printable(&args.coin));
    let report = Report { title, standing: Standing::Estimated, notes, tables: vec![table] };
    output::write_supposing(&report, &assumed, &crate::commands::destination(&args.output))
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    against: &'static str,
    side: Side,
    measure: &'static str,
    method: &'static str,
    value: Option<f64>,
    band: Option<(f64, f64)>,
    cases: usize,
    /// The shares of what was said, and of what came, that are tied with another: of a rank alone.
    tied: Option<[f64; 2]>,
}

impl Row {
    fn cells(&self, source: &Source) -> Vec<Value> {
        let number = |value: Option<f64>| value.map_or(Value::Missing, |value| Value::Text(format!("{value:.3}")));
        let tied = |at: usize| self.tied.map_or(Value::Missing, |tied| Value::Share(tied[at]));
        vec![
            Value::Text(source.name.to_string()),
            Value::Text(self.against.to_owned()),
            Value::Text(self.side.word().to_owned()),
            Value::Text(self.measure.to_owned()),
            Value::Text(self.method.to_owned()),
            number(self.value),
            number(self.band.map(|(low, _)| low)),
            number(self.band.map(|(_, high)| high)),
            Value::Count(self.cases as u64),
            tied(0),
            tied(1),
        ]
    }
}

/// A source's scores, and what cannot be said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Scores {
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
    /// What the scored maps supposed.
    pub assumed: Vec<Assumption>,
    /// How often bands of past misses held, longs and shorts; none where nothing was scored.
    pub held: Option<[Held; 2]>,
}

/// All that can be said of one source, by liquidations `since` a moment, in seconds, where one is given.
pub(super) fn of(source: &Source, coin: &str, since: Option<i64>) -> anyhow::Result<Scores> {
    let mut scores = Scores::default();
    positions(source, coin, &mut scores)?;
    liquidations(source, coin, since, &mut scores)?;
    let beaten = scores.beaten(source);
    scores.notes.extend(beaten);
    Ok(scores)
}

/// Looks, by what was compared in them.
#[derive(Default)]
struct Looked {
    ranks: Each<Vec<Rank>>,
    errors: [Vec<f64>; 2],
    shares: Vec<f64>,
}

/// Rank correlation with positions that were seen, look by look; mass where enough was seen.
fn positions(source: &Source, coin: &str, scores: &mut Scores) -> anyhow::Result<()> {
    let starts = model::starts(source).saturating_add(source.interval);
    let mut looks = seen::looks(source, coin, PerpOthers::Stated);
    let all = looks.len();
    looks.retain(|look| look.time >= starts);
    // Nothing later than the first look may be fitted to.
    let Some(first) = looks.first().map(|look| look.time) else {
        let why = if all == 0 { "none were seen" } else { "open interest is known after all of them alone" };
        scores.notes.push(format!("{}: not scored against positions, as {why}.", source.name));
        return Ok(());
    };
    let grid = model::grid(source, first)?;
    let mut methods = Methods::new(grid.clone(), model::assumptions(source, coin, &grid, first)?)?;
    scores.suppose(source, "against positions", methods.model());
    let mut looked: [Looked; 2] = Default::default();
    let mut next = source.candles.iter().peekable();
    for look in &looks {
        while let Some(candle) = next.next_if(|candle| candle.time + source.interval <= look.time) {
            let _ = methods.apply(candle);
        }
        if is_right_before(&methods, look, source.interval) {
            for (side, looked) in SIDES.into_iter().zip(&mut looked) {
                looked.one(&methods, look, side)?;
            }
        }
    }
    let compared = looked[0].shares.len();
    if compared < all {
        scores.notes.push(format!(
            "{}: {} of {} looks at positions are compared; of the others no candle ended right before, or at another price.",
            source.name,
            text::count(compared as u64),
            text::count(all as u64)
        ));
    }
    for (side, looked) in SIDES.into_iter().zip(&looked) {
        looked.rows(source, side, scores);
    }
    Ok(())
}

/// Whether the map is of the candle right before a look, and of its price.
fn is_right_before(methods: &Methods, look: &Look, interval: i64) -> bool {
    let model = methods.model();
    let is_near = |mark: f64| (mark / look.mark - 1.0).abs() < 0.2;
    model.ended().is_some_and(|ended| look.time - ended < interval) && model.mark().is_some_and(is_near)
}

impl Looked {
    fn one(&mut self, methods: &Methods, look: &Look, side: Side) -> anyhow::Result<()> {
        let (measured, seen_on) = super::perps::measured(look, None)?;
        let bins = |grid: &Grid, mass: &[f64]| {
            let all = score::by_distance(grid, mass, look.mark, BINS.0, BINS.1);
            if side == Side::Long { all[..BINS.1].to_vec() } else { all[BINS.1..].to_vec() }
        };
        let truth = bins(&seen_on, &measured.mass[place(side)]);
        let grid = methods.model().grid();
        let masses = methods.masses(look.mark, side, 0..grid.len());
        for (ranks, mass) in self.ranks.iter_mut().zip(&masses) {
            ranks.push(score::rank(&bins(grid, mass), &truth));
        }
        let open_interest = methods.model().open_interest().unwrap_or(0.0);
        let share = measured.coverage(open_interest).map_or(0.0, |shares| shares[place(side)]);
        self.shares.push(share);
        let map = bins(grid, &masses[Method::Map.place()]);
        for (errors, within) in self.errors.iter_mut().zip([3, 5]) {
            let near = |bins: &[f64]| -> f64 {
                if side == Side::Long { bins.iter().rev().take(within).sum() } else { bins.iter().take(within).sum() }
            };
            errors.extend(score::mass_error(near(&map) * share, near(&truth)));
        }
        Ok(())
    }

    fn rows(&self, source: &Source, side: Side, scores: &mut Scores) {
        // What is the same everywhere ranks nothing.
        let ranked = Method::ALL.into_iter().zip(&self.ranks).filter(|(method, _)| *method != Method::Uniform);
        for (method, ranks) in ranked {
            let rhos: Vec<f64> = ranks.iter().filter_map(|rank| rank.rho).collect();
            let known = || ranks.iter().filter(|rank| rank.rho.is_some());
            let mean = |at: usize| known().map(|rank| rank.tied[at]).sum::<f64>() / rhos.len().max(1) as f64;
            let tied = (!rhos.is_empty()).then(|| [mean(0), mean(1)]);
            scores.mean(source, side, (COMPARED[0], method.words()), &rhos, tied);
        }
        let share = self.shares.iter().sum::<f64>() / self.shares.len().max(1) as f64;
        if share < ENOUGH {
            scores.notes.push(format!(
                "{}: {} of {} open interest were seen on average, too little for a mass error: it is not stated.",
                source.name,
                text::percent(share),
                side.word()
            ));
            return;
        }
        for (measure, errors) in ["mass error within 6 %", "mass error within 10 %"].into_iter().zip(&self.errors) {
            scores.mean(source, side, (measure, Method::Map.words()), errors, None);
        }
    }
}

/// What was said of the range of each candle before it, beside what was liquidated in it.
fn liquidations(source: &Source, coin: &str, since: Option<i64>, scores: &mut Scores) -> anyhow::Result<()> {
    // Before open interest is known, nothing can be said.
    let times: Vec<i64> = source.liquidated.range(model::starts(source)..).map(|(time, _)| *time).collect();
    let middle = times.get(times.len() / 2).copied().unwrap_or(i64::MAX);
    let since = since.unwrap_or(middle);
    let window = model::fitting(source, since);
    let fitted = times.iter().filter(|time| window.contains(time)).count();
    let known = times.len() - times.partition_point(|time| *time < since);
    if fitted.min(known) < model::LEAST_FITTED {
        scores.notes.push(too_few(source, fitted, known));
        return Ok(());
    }
    let grid = model::grid(source, since)?;
    let assumptions = model::assumptions(source, coin, &grid, since)?;
    let walked = score::walk(&grid, &assumptions, &model::cases(source), &(window.start..i64::MAX))?;
    let scored = walked.said.each_ref().map(|said| &said[said.partition_point(|one| one.time < since)..]);
    // A candle that the map did not take is no case.
    if scored[0].len() < model::LEAST_FITTED {
        scores.notes.push(too_few(source, fitted, scored[0].len()));
        return Ok(());
    }
    scores.notes.push(format!(
        "{}: scored by {} candles from {}, each told how far the price went in it; nothing else of them or after was known to its \
         map. {}",
        source.name,
        text::count(scored[0].len() as u64),
        perps::moment(since),
        assumptions.source
    ));
    scores.notes.push(format!("{}: {}", source.name, assumptions.tilt_says()));
    scores.suppose(source, "against liquidations", walked.methods.model());
    let mut held = [Held::default(); 2];
    for ((side, said), scored) in SIDES.into_iter().zip(&walked.said).zip(scored) {
        let before = &said[..said.partition_point(|one| one.time < window.end)];
        held[place(side)] = scores.side(side, before, scored);
    }
    scores.notes.extend(explained(source, &held));
    scores.held = Some(held);
    Ok(())
}

/// That there is too little to score by.
fn too_few(source: &Source, fitted: usize, scored: usize) -> String {
    format!(
        "{}: not scored against liquidations: with open interest they are known for {} candles to fit to and {} to score by, and {} \
         are needed of either.",
        source.name,
        text::count(fitted as u64),
        text::count(scored as u64),
        text::count(model::LEAST_FITTED as u64)
    )
}

/// What figures mean, and what stands on none.
fn explained(source: &Source, held: &[Held; 2]) -> Vec<String> {
    let without: usize = held.iter().map(|held| held.without).sum();
    let mut notes = vec![
        format!(
            "{}: the band of leverages is of them alone; the band of past misses is what came in the tenth of the earlier candles before \
             which the map said the nearest, 10th to 90th percentile, for each candle of those before it.",
            source.name
        ),
        format!(
            "{}: the lift is the share of what was liquidated that lay on the heaviest of the crossed levels, those with {} of what a \
             method said of them, over the share of the crossed levels that these are; 1 is chance, and what a map that is the same \
             everywhere has. Where within its range a candle's liquidations lay is not told, so its levels are heavy or light together.",
            source.name,
            text::percent(score::walk::HEAVIEST)
        ),
    ];
    if without > 0 {
        notes.push(format!(
            "{}: {} cases have no band of past misses: fewer than {} were before, or less was said in all of them.",
            source.name,
            text::count(without as u64),
            misses::LEAST
        ));
    }
    notes
}

impl Scores {
    /// What was said of one side, in the fitted candles and in the scored ones; and how often the band of past misses held.
    fn side(&mut self, side: Side, before: &[Said], said: &[Said]) -> Held {
        let cases = said.len();
        let mut one = |measure, method: Method, value, cases, tied| {
            let (against, method) = ("liquidations after", method.words());
            self.rows.push(Row { against, side, measure, method, value, band: None, cases, tied });
        };
        for method in Method::ALL {
            let Rank { rho, tied, .. } = score::walk::ranked(said, method);
            one(COMPARED[1], method, rho, cases, Some(tied));
        }
        let lifts = Method::ALL.map(|method| (method, score::walk::lifted(said, method)));
        for (method, lift) in lifts {
            one(COMPARED[2], method, lift.map(score::Lift::times), cases, None);
        }
        for (method, lift) in lifts {
            one("share of liquidations on the heaviest fifth", method, lift.map(|lift| lift.share), cases, None);
            one("share of crossed levels that it is", method, lift.map(|lift| lift.chance), cases, None);
        }
        // What levels fell short by before the window, and by how much that varied, is carried over, and nothing else.
        let sum = |said: &[Said]| said.iter().fold((0.0, 0.0), |(a, b), one| (a + one.band.mid, b + one.came));
        let (foretold, came) = sum(before);
        let factor = if foretold > 0.0 { came / foretold } else { 1.0 };
        let (foretold, came) = sum(said);
        one("mass error", Method::Map, score::mass_error(factor * foretold, came), cases, None);
        let leverages: Vec<(Banded, f64)> = said.iter().map(|one| (one.band.times(factor), one.came)).collect();
        let mut past = Misses::of(before.iter().map(|one| (one.band.mid, one.came)).collect());
        let held = misses::walk_forward(&mut past, said.iter().map(|one| (one.band.mid, one.came)));
        for (measures, found) in HELD.into_iter().zip([score::calibration(&leverages), held.calibration]) {
            let Calibration { within, below, above, cases } = found;
            for (measure, share) in measures.into_iter().zip([within, below, above]) {
                one(measure, Method::Map, (cases > 0).then_some(share), cases, None);
            }
        }
        held
    }

    /// A mean of looks with where it lies by chance, or why that is not said.
    fn mean(
        &mut self,
        source: &Source,
        side: Side,
        (measure, method): (&'static str, &'static str),
        values: &[f64],
        tied: Option<[f64; 2]>,
    ) {
        let sure = score::bootstrap(values, BLOCK, SAMPLES.0, SAMPLES.1);
        let interval = sure.map(|sure| sure.interval);
        if let Some(Err(why)) = interval {
            let note = format!("{}: {measure}, {}s: {why}.", source.name, side.word());
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.rows.push(Row {
            against: "positions seen",
            side,
            measure,
            method,
            value: sure.map(|sure| sure.mean),
            band: interval.and_then(Result::ok),
            cases: values.len(),
            tied,
        });
    }

    /// Keeps what a scored map supposed.
    fn suppose(&mut self, source: &Source, what: &str, model: &engine::map::perps::estimated::Model) {
        let Assumptions(all) = series::estimated_assumptions(model);
        let named =
            |one: Assumption| Assumption { name: format!("{}, {what}.{}", source.name, one.name).into(), ..one };
        self.assumed.extend(all.into_iter().map(named));
    }

    /// What baselines did no worse than the map at, in a sentence for each measure.
    fn beaten(&self, source: &Source) -> Vec<String> {
        let sentence = |measure: &&str| {
            let of = |side: Side| {
                let own = self.rows.iter().filter(move |row| row.measure == *measure && row.side == side);
                own.filter_map(|row| Some((row.method, row.value?)))
            };
            let mut better = Vec::new();
            for side in SIDES {
                let Some((_, map)) = of(side).find(|(method, _)| *method == Method::Map.words()) else { continue };
                let others = of(side).filter(|(method, value)| *method != Method::Map.words() && *value >= map);
                better.extend(
                    others.map(|(method, value)| format!("{method} ({}s, {value:.2} to {map:.2})", side.word())),
                );
            }
            (!better.is_empty()).then(|| {
                format!(
                    "{}: by {measure} the map is no better than what needs less: {}.",
                    source.name,
                    better.join(", ")
                )
            })
        };
        COMPARED.iter().filter_map(sentence).collect()
    }

    /// The scores in a few sentences, for a map.
    pub(super) fn sentences(&self, source: &Source) -> Vec<String> {
        let of = |measure: &str, side: Side| {
            let own: Vec<&Row> = self.rows.iter().filter(|row| row.measure == measure && row.side == side).collect();
            let shown = own.iter().filter_map(|row| Some(format!("{} {:.2}", row.method, row.value?)));
            let shown: Vec<String> = shown.collect();
            let cases = own.first().map_or(0, |row| row.cases);
            (!shown.is_empty())
                .then(|| format!("{}: {measure}, {}s: {} ({cases} cases).", source.name, side.word(), shown.join(", ")))
        };
        let mut sentences: Vec<String> =
            COMPARED.iter().flat_map(|measure| SIDES.map(|side| of(measure, side))).flatten().collect();
        sentences.extend(self.beaten(source));
        sentences
    }
}

#[cfg(test)]
mod tests {
    use engine::map::perps::estimated::Candle;
    use proptest::prelude::*;
    use protocol::perp::{self, Distortions, Observation, Observed};
    use protocol::time::TimeUs;
    use protocol::venue::Venue;
    use protocol::{Address, Decimal};

    use super::*;
    use crate::perps::Origin;

    const HOUR: i64 = 3_600;
    const CANDLES: i64 = 240;

    /// Ten days of hours in which the price turns about, with what was liquidated in each, and a look half an hour into the 201st.
    fn source() -> Source {
        let mut source =
            Source::new("test".into(), Origin::Dataset("d".into()), Venue::Hyperliquid, Standing::Imported);
        source.interval = HOUR;
        let mut price = 100.0_f64;
        for at in 0..CANDLES {
            let turn = |by: i64| (at * by % 13) as f64 / 13.0 - 0.5;
            let close = (price * (1.0 + 0.04 * turn(7))).clamp(70.0, 140.0);
            let (low, high) = (price.min(close) * 0.99, price.max(close) * 1.01);
            source.candles.push(Candle {
                time: at * HOUR,
                open: price,
                high,
                low,
                close,
                turnover: Some(2_000.0 + 500.0 * turn(5)),
                taker_buy: Some(1_000.0 + 400.0 * turn(3)),
                open_interest: Some(100.0 + 40.0 * turn(11)),
            });
            source.liquidated.insert(at * HOUR, [(price / low - 1.0) * 1e4, (high / price - 1.0) * 5e3]);
            price = close;
        }
        let mark = source.candles[199].close;
        let decimal = |value: f64| Decimal::try_from(value).unwrap();
        let position = |account: u8| {
            let (side, beyond) = if account.is_multiple_of(2) { (Side::Long, 0.97) } else { (Side::Short, 1.03) };
            let reach = (0..account / 2).fold(mark, |reach, _| reach * beyond);
            perp::Position {
                account: Address::repeat_byte(account),
                side,
                coins: Decimal::from(account) / Decimal::TEN,
                entry: None,
                value: decimal(mark) * Decimal::from(account) / Decimal::TEN,
                leverage: Decimal::TEN,
                max_leverage: None,
                margin: perp::Margin::Cross { account_value: Decimal::TEN, maintenance: None },
                account_value: Decimal::TEN,
                liquidation_price: Some(decimal(reach)),
            }
        };
        let row = |account: u8| Observation {
            venue: Venue::Hyperliquid,
            symbol: "BTC".into(),
            time: TimeUs((200 * HOUR + 1_800) * SECOND_US),
            received: TimeUs(0),
            distortions: Distortions::NONE,
            fact: Observed::Position(position(account)),
        };
        source.positions = (2..16).map(row).collect();
        source
    }

    /// All that is said at a moment: the grid, the fit, the window, and how near the map came to positions seen up to then.
    fn told(source: &Source, until: i64) -> (Grid, engine::map::perps::estimated::Assumptions, (i64, i64), Scores) {
        let grid = model::grid(source, until).unwrap();
        let assumptions = model::assumptions(source, "BTC", &grid, until).unwrap();
        let window = model::fitting(source, until);
        let mut scores = Scores::default();
        positions(source, "BTC", &mut scores).unwrap();
        (grid, assumptions, (window.start, window.end), scores)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3))]

        #[test]
        fn nothing_later_than_a_moment_is_known_at_it(
            at in 200_usize..240, price in 20.0_f64..400.0, figure in 1.0_f64..900.0, second in 1_i64..HOUR
        ) {
            // A moment at or within the 201st hour, and the look half an hour into it: the hour itself has not ended.
            let until = 200 * HOUR + second;
            let sound = source();
            let before = told(&sound, until);
            prop_assert!(before.3.rows.iter().any(|row| row.value.is_some()), "the look is compared");
            let mut other = sound.clone();
            // The hour that has not ended, and one after it.
            for at in [200, at] {
                let candle = &mut other.candles[at];
                (candle.open, candle.high, candle.low, candle.close) = (price, price * 1.2, price * 0.8, price);
                (candle.turnover, candle.taker_buy, candle.open_interest) = (Some(figure * 1e3), Some(figure), Some(figure));
                other.liquidated.insert(candle.time, [figure * 1e5, figure]);
            }
            prop_assert_eq!(&before, &told(&other, until));
            // The hour before has ended, and is known.
            let mut earlier = sound;
            earlier.liquidated.insert(199 * HOUR, [figure * 1e7, figure]);
            prop_assert!(before != told(&earlier, until));
        }
    }

    #[test]
    fn notes_count_the_cases_that_were_compared() {
        let mut source = source();
        // A candle whose low is above its high is not taken, and one whose liquidations are unknown is no case.
        (source.candles[150].low, source.candles[150].high) = (200.0, 50.0);
        source.liquidated.remove(&(160 * HOUR));
        let scores = of(&source, "BTC", Some(135 * HOUR)).unwrap();
        let rows: Vec<&Row> = scores.rows.iter().filter(|row| row.measure == COMPARED[1]).collect();
        assert!(rows.len() == 10 && rows.iter().all(|row| row.cases == 103), "{rows:?}");
        assert!(scores.notes.iter().any(|note| note.contains("scored by 103 candles")), "{:?}", scores.notes);
        // Of 135 hours before, a quarter warms up.
        let few = of(&source, "BTC", Some(130 * HOUR)).unwrap();
        let said = "known for 97 candles to fit to and 109 to score by";
        assert!(few.notes.iter().any(|note| note.contains(said)), "{:?}", few.notes);
    }

    #[test]
    fn ranks_say_their_ties_and_a_mean_of_one_look_has_no_interval() {
        let scores = of(&source(), "BTC", Some(137 * HOUR)).unwrap();
        for row in &scores.rows {
            let is_rank = row.measure == COMPARED[0] || row.measure == COMPARED[1];
            assert_eq!(row.tied.is_some(), is_rank && row.value.is_some(), "{row:?}");
            assert_eq!(row.band, None, "{row:?}");
        }
        // Seven of fifteen levels hold a position: the eight others are tied.
        let of_map = scores.rows.iter().find(|row| row.measure == COMPARED[0]).unwrap();
        assert!((of_map.tied.unwrap()[1] - 8.0 / 15.0).abs() < 0.07, "{of_map:?}");
        assert!(
            scores.notes.iter().any(|note| note.contains("blocks of 10 need 20 values and there are 1")),
            "{:?}",
            scores.notes
        );
    }

    #[test]
    fn a_look_long_after_the_last_candle_is_not_compared() {
        let mut source = source();
        source.candles.truncate(199);
        let scores = of(&source, "BTC", None).unwrap();
        assert!(
            scores.notes.iter().any(|note| note.contains("0 of 1 looks at positions are compared")),
            "{:?}",
            scores.notes
        );
        assert!(scores.rows.iter().all(|row| row.measure != COMPARED[0] || row.value.is_none()));
    }

    #[test]
    fn what_needs_less_and_does_better_is_named() {
        let row = |method: Method, value| Row {
            against: "liquidations after",
            side: Side::Long,
            measure: COMPARED[1],
            method: method.words(),
            value,
            band: None,
            cases: 200,
            tied: None,
        };
        let rows = vec![row(Method::Map, Some(0.5)), row(Method::Uniform, Some(0.5)), row(Method::Peers, Some(0.4))];
        let mut scores = Scores { rows, ..Scores::default() };
        let said = scores.beaten(&source());
        assert_eq!(said.len(), 1);
        assert!(said[0].ends_with("no better than what needs less: uniform (longs, 0.50 to 0.50)."), "{said:?}");
        scores.rows[1].value = Some(0.49);
        assert_eq!(scores.beaten(&source()), Vec::<String>::new());
    }
}
