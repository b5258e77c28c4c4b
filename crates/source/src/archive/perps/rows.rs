//! Observations as rows of their kind's columns, and back. A book is a row for each order's price, a table of tiers one for each tier.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use protocol::perp::{
    Candle, Counting, Depth, Distortion, Distortions, Funding, Gap, GapCause, Kind, Level, Liquidation, Margin,
    Measure, Observation, Observed, OpenInterest, Position, Price, PricedAt, Series, TierTable,
};
use protocol::venue::{Side, Tier, Tiers, Venue};

use super::cells::{self, Cell, Sort, Take, units};
use super::senseless;
use crate::error::Result;

/// The columns that every kind has.
const COMMON: [(&str, Sort); 4] =
    [("symbol", Sort::Text), ("time", Sort::Moment), ("received", Sort::Moment), ("distortions", Sort::Text)];

/// The columns of a kind, in order.
fn own(kind: Kind) -> &'static [(&'static str, Sort)] {
    use Sort::{Account, Flag, Integer, Moment, Number, Text};
    match kind {
        Kind::Candles => &[
            ("series", Text),
            ("interval_us", Integer),
            ("open", Number),
            ("high", Number),
            ("low", Number),
            ("close", Number),
            ("volume", Number),
            ("turnover", Number),
            ("taker_buy", Number),
            ("finished", Flag),
        ],
        Kind::OpenInterest => {
            &[("coins", Number), ("usd", Number), ("reported", Number), ("counting", Text), ("unit", Text)]
        }
        Kind::Prices => &[("mark", Number), ("index", Number)],
        Kind::Funding => &[("rate", Number), ("interval_us", Integer), ("settled", Flag), ("pays_at", Moment)],
        Kind::Liquidations => &[
            ("side", Text),
            ("coins", Number),
            ("price", Number),
            ("priced_at", Text),
            ("usd", Number),
            ("ordinal", Integer),
        ],
        Kind::Depth => &[("side", Text), ("price", Number), ("coins", Number)],
        Kind::Tiers => &[
            ("floors", Text),
            ("floor", Number),
            ("maintenance_margin_rate", Number),
            ("deduction", Number),
            ("max_leverage", Number),
        ],
        Kind::Positions => &[
            ("account", Account),
            ("side", Text),
            ("coins", Number),
            ("entry", Number),
            ("value", Number),
            ("leverage", Number),
            ("max_leverage", Number),
            ("margin", Text),
            ("cross_account_value", Number),
            ("cross_maintenance", Number),
            ("isolated_equity", Number),
            ("isolated_cash", Number),
            ("account_value", Number),
            ("liquidation_price", Number),
        ],
        Kind::Gaps => &[("until", Moment), ("cause", Text), ("kinds", Text)],
    }
}

fn columns(kind: Kind) -> impl Iterator<Item = &'static (&'static str, Sort)> {
    COMMON.iter().chain(own(kind))
}

pub(super) fn schema(kind: Kind) -> SchemaRef {
    Arc::new(Schema::new(columns(kind).flat_map(|(name, sort)| cells::fields(name, *sort)).collect::<Vec<_>>()))
}

fn text(word: &str) -> Cell {
    Cell::Text(Some(word.to_owned()))
}

fn number(value: protocol::Decimal) -> Cell {
    Cell::Number(Some(value))
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> Cell {
    Cell::Text(Some(words.collect::<Vec<_>>().join(" ")))
}

/// The rows of an observation, without the columns that all have.
fn own_rows(fact: &Observed) -> Vec<Vec<Cell>> {
    match fact {
        Observed::Candle(of) => vec![vec![
            text(of.series.word()),
            Cell::Integer(Some(of.interval)),
            number(of.open),
            number(of.high),
            number(of.low),
            number(of.close),
            Cell::Number(of.volume),
            Cell::Number(of.turnover),
            Cell::Number(of.taker_buy),
            Cell::Flag(Some(of.finished)),
        ]],
        Observed::OpenInterest(of) => vec![vec![
            number(of.coins),
            Cell::Number(of.usd),
            number(of.reported),
            text(of.counting.word()),
            text(of.unit.word()),
        ]],
        Observed::Price(of) => vec![vec![Cell::Number(of.mark), Cell::Number(of.index)]],
        Observed::Funding(of) => vec![vec![
            number(of.rate),
            Cell::Integer(of.interval),
            Cell::Flag(Some(of.settled)),
            Cell::Moment(of.pays_at),
        ]],
        Observed::Liquidation(of) => vec![vec![
            text(of.side.word()),
            number(of.coins),
            number(of.price),
            text(of.priced_at.word()),
            Cell::Number(of.usd),
            Cell::Integer(Some(i64::from(of.ordinal))),
        ]],
        Observed::Depth(of) => {
            let level = |side: &str, level: &Level| vec![text(side), number(level.price), number(level.coins)];
            let bids = of.bids.iter().map(|bid| level("bid", bid));
            bids.chain(of.asks.iter().map(|ask| level("ask", ask))).collect()
        }
        Observed::Tiers(of) => {
            let tier = |tier: &Tier| {
                vec![
                    text(of.floors.word()),
                    number(tier.floor),
                    number(tier.maintenance_margin_rate),
                    number(tier.deduction),
                    number(tier.max_leverage),
                ]
            };
            of.tiers.rows().iter().map(tier).collect()
        }
        Observed::Position(of) => vec![position_row(of)],
        Observed::Gap(of) => vec![vec![
            Cell::Moment(Some(of.until)),
            text(of.cause.word()),
            words(of.kinds.iter().map(|kind| kind.word())),
        ]],
    }
}

fn position_row(of: &Position) -> Vec<Cell> {
    let (word, margin) = match of.margin {
        Margin::Cross { account_value, maintenance } => ("cross", [Some(account_value), maintenance, None, None]),
        Margin::Isolated { equity, cash } => ("isolated", [None, None, Some(equity), Some(cash)]),
    };
    let mut row = vec![
        Cell::Account(Some(of.account)),
        text(of.side.word()),
        number(of.coins),
        Cell::Number(of.entry),
        number(of.value),
        number(of.leverage),
        Cell::Number(of.max_leverage),
        text(word),
    ];
    row.extend(margin.map(Cell::Number));
    row.extend([number(of.account_value), Cell::Number(of.liquidation_price)]);
    row
}

/// Whether every number of an observation can be kept exactly, and it has a row at all; else why not.
pub(super) fn fits(observation: &Observation) -> std::result::Result<(), String> {
    let rows = own_rows(&observation.fact);
    if rows.is_empty() {
        return Err("nothing is in it".to_owned());
    }
    for cell in rows.iter().flatten() {
        if let Cell::Number(Some(value)) = cell
            && units(*value).is_none()
        {
            return Err(format!("{value} does not fit 20 digits before the point and 18 behind it"));
        }
    }
    Ok(())
}

/// Observations of one kind as columns.
pub(super) fn batch(kind: Kind, observations: &[Observation]) -> std::result::Result<RecordBatch, ArrowError> {
    let rows = observations.iter().flat_map(|row| {
        let common = [
            text(&row.symbol),
            Cell::Moment(Some(row.time)),
            Cell::Moment(Some(row.received)),
            words(row.distortions.iter().map(Distortion::word)),
        ];
        own_rows(&row.fact).into_iter().map(move |own| common.iter().cloned().chain(own).collect::<Vec<_>>())
    });
    let rows: Vec<Vec<Cell>> = rows.collect();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (place, (_, sort)) in columns(kind).enumerate() {
        arrays.extend(cells::arrays(*sort, rows.iter().map(|row| &row[place])));
    }
    RecordBatch::try_new(schema(kind), arrays)
}

/// Makes observations of the rows of a file.
#[derive(Debug)]
pub(super) struct Reader {
    venue: Venue,
    kind: Kind,
    path: PathBuf,
    read: Vec<Observation>,
    /// The rows of an observation that is not complete yet, the columns that all have included.
    open: Vec<Vec<Cell>>,
}

impl Reader {
    pub(super) fn new(venue: Venue, kind: Kind, path: &Path) -> Self {
        Self { venue, kind, path: path.to_owned(), read: Vec::new(), open: Vec::new() }
    }

    pub(super) fn read(&mut self, batch: &RecordBatch) -> Result<()> {
        let columns = columns(self.kind).map(|(name, sort)| cells::column(&self.path, batch, name, *sort));
        let mut columns: Vec<_> = columns.map(|cells| cells.map(Vec::into_iter)).collect::<Result<_>>()?;
        for _ in 0..batch.num_rows() {
            let row: Vec<Cell> = columns.iter_mut().filter_map(Iterator::next).collect();
            let several = matches!(self.kind, Kind::Depth | Kind::Tiers);
            let same = self.open.first().is_some_and(|open| several && open[..COMMON.len()] == row[..COMMON.len()]);
            if !same {
                self.close()?;
            }
            self.open.push(row);
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<Observation>> {
        self.close()?;
        Ok(self.read)
    }

    fn close(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.open);
        let Some(first) = rows.first() else { return Ok(()) };
        let mut common = Take(first.iter());
        let own: Vec<Take<'_>> = rows.iter().map(|row| Take(row[COMMON.len()..].iter())).collect();
        let observation = || {
            Some(Observation {
                venue: self.venue,
                symbol: common.word(|text| Some(text.into()))?,
                time: common.moment()?,
                received: common.moment()?,
                distortions: common.word(distortions)?,
                fact: fact(self.kind, own)?,
            })
        };
        let row = observation().ok_or_else(|| senseless(&self.path, "a cell that is empty or of no meaning"))?;
        self.read.push(row);
        Ok(())
    }
}

fn distortions(text: &str) -> Option<Distortions> {
    text.split(' ').filter(|word| !word.is_empty()).map(Distortion::from_word).collect()
}

fn side(word: &str) -> Option<Side> {
    [Side::Long, Side::Short].into_iter().find(|side| side.word() == word)
}

/// What rows of a kind say; none where they say nothing that can be.
fn fact(kind: Kind, mut rows: Vec<Take<'_>>) -> Option<Observed> {
    if kind == Kind::Depth {
        return depth(rows);
    }
    if kind == Kind::Tiers {
        return tiers(rows);
    }
    let row = &mut rows.first_mut()?;
    Some(match kind {
        Kind::Candles => Observed::Candle(Candle {
            series: row.word(Series::from_word)?,
            interval: row.integer()?,
            open: row.number()?,
            high: row.number()?,
            low: row.number()?,
            close: row.number()?,
            volume: row.maybe_number()?,
            turnover: row.maybe_number()?,
            taker_buy: row.maybe_number()?,
            finished: row.flag()?,
        }),
        Kind::OpenInterest => Observed::OpenInterest(OpenInterest {
            coins: row.number()?,
            usd: row.maybe_number()?,
            reported: row.number()?,
            counting: row.word(Counting::from_word)?,
            unit: row.word(Measure::from_word)?,
        }),
        Kind::Prices => Observed::Price(Price { mark: row.maybe_number()?, index: row.maybe_number()? }),
        Kind::Funding => Observed::Funding(Funding {
            rate: row.number()?,
            interval: row.maybe_integer()?,
            settled: row.flag()?,
            pays_at: row.maybe_moment()?,
        }),
        Kind::Liquidations => Observed::Liquidation(Liquidation {
            side: row.word(side)?,
            coins: row.number()?,
            price: row.number()?,
            priced_at: row.word(PricedAt::from_word)?,
            usd: row.maybe_number()?,
            ordinal: u32::try_from(row.integer()?).ok()?,
        }),
        Kind::Positions => Observed::Position(position(row)?),
        Kind::Gaps => Observed::Gap(Gap {
            until: row.moment()?,
            cause: row.word(GapCause::from_word)?,
            kinds: row.word(|text| text.split(' ').filter(|word| !word.is_empty()).map(Kind::from_word).collect())?,
        }),
        Kind::Depth | Kind::Tiers => return None,
    })
}

fn depth(rows: Vec<Take<'_>>) -> Option<Observed> {
    let mut depth = Depth::default();
    for mut row in rows {
        let of = row.word(|word| Some(word.to_owned()))?;
        let level = Level { price: row.number()?, coins: row.number()? };
        match of.as_str() {
            "bid" => depth.bids.push(level),
            "ask" => depth.asks.push(level),
            _ => return None,
        }
    }
    Some(Observed::Depth(depth))
}

fn tiers(rows: Vec<Take<'_>>) -> Option<Observed> {
    let (mut tiers, mut floors) = (Vec::with_capacity(rows.len()), None);
    for mut row in rows {
        floors = Some(row.word(Measure::from_word)?);
        tiers.push(Tier {
            floor: row.number()?,
            maintenance_margin_rate: row.number()?,
            deduction: row.number()?,
            max_leverage: row.number()?,
        });
    }
    Some(Observed::Tiers(TierTable { tiers: Tiers::new(tiers).ok()?, floors: floors? }))
}

fn position(row: &mut Take<'_>) -> Option<Position> {
    let (account, side, coins) = (row.account()?, row.word(side)?, row.number()?);
    let (entry, value, leverage, max_leverage) =
        (row.maybe_number()?, row.number()?, row.number()?, row.maybe_number()?);
    let isolated = row.word(|word| match word {
        "isolated" => Some(true),
        "cross" => Some(false),
        _ => None,
    })?;
    let [cross_value, cross_maintenance, equity, cash] =
        [row.maybe_number()?, row.maybe_number()?, row.maybe_number()?, row.maybe_number()?];
    let margin = if isolated {
        Margin::Isolated { equity: equity?, cash: cash? }
    } else {
        Margin::Cross { account_value: cross_value?, maintenance: cross_maintenance }
    };
    let (account_value, liquidation_price) = (row.number()?, row.maybe_number()?);
    Some(Position {
        account,
        side,
        coins,
        entry,
        value,
        leverage,
        max_leverage,
        margin,
        account_value,
        liquidation_price,
    })
}
