//! What each contract's source says of it last, as it was told: mark, open interest, funding, and which rules are known.

use protocol::amount::Usd8;
use protocol::perp::{Counting, Funding, Observation, Observed, OpenInterest};
use protocol::time::{HOUR_US, TimeUs};
use protocol::{Decimal, U256};

use super::inputs::Source;
use super::model;
use crate::table::{Table, Unit, Value};

/// A price or amount of a moment that is this much older than the asking is no longer of now, in microseconds.
const STALE: i64 = HOUR_US / 4;

/// The last of every kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    mark: Option<(TimeUs, Decimal)>,
    open_interest: Option<(TimeUs, OpenInterest)>,
    funding: Option<(TimeUs, Funding)>,
}

impl Told {
    /// Out of the observations of one contract.
    pub(crate) fn of(own: &[&Observation]) -> Self {
        let mut told = Self::default();
        for row in own {
            let is_newer = |before: Option<TimeUs>| before.is_none_or(|before| before <= row.time);
            match &row.fact {
                Observed::Price(of) if is_newer(told.mark.map(|(time, _)| time)) => {
                    told.mark = of.mark.map(|mark| (row.time, mark)).or(told.mark);
                }
                Observed::OpenInterest(of) if is_newer(told.open_interest.as_ref().map(|(time, _)| *time)) => {
                    told.open_interest = Some((row.time, of.clone()));
                }
                // What is to be paid next stands before what was paid.
                Observed::Funding(of)
                    if !of.settled || told.funding.as_ref().is_none_or(|(_, before)| before.settled) =>
                {
                    told.funding = Some((row.time, of.clone()));
                }
                Observed::Price(_)
                | Observed::OpenInterest(_)
                | Observed::Funding(_)
                | Observed::Candle(_)
                | Observed::Liquidation(_)
                | Observed::Depth(_)
                | Observed::Tiers(_)
                | Observed::Position(_)
                | Observed::Gap(_) => {}
            }
        }
        told
    }

    /// What a source told as if it were of now although it is of a moment well before `asked`, as a sentence.
    pub(crate) fn stale(&self, name: &str, asked: TimeUs) -> Option<String> {
        let marked = self.mark.map(|(time, _)| ("mark price", time));
        let open = self.open_interest.as_ref().map(|(time, _)| ("open interest", *time));
        let old = marked.into_iter().chain(open).filter(|(_, time)| asked.0.saturating_sub(time.0) > STALE);
        let old: Vec<String> = old
            .map(|(what, time)| {
                format!("its {what} is of {time}, {} min before", (asked.0 - time.0) / (60 * 1_000_000))
            })
            .collect();
        (!old.is_empty()).then(|| format!("{name}: asked at {asked}, {}.", old.join(", ")))
    }
}

/// A number as it is.
fn exact(value: Decimal) -> Value {
    let value = value.normalize();
    let decimals = u8::try_from(value.scale()).unwrap_or(u8::MAX);
    if value < Decimal::ZERO {
        return Value::Text(value.to_string());
    }
    Value::Decimal { digits: U256::from(value.mantissa().unsigned_abs()), decimals }
}

fn usd(value: Option<Decimal>) -> Value {
    value.and_then(|value| Usd8::parse_rounding(&value.to_string()).ok()).map_or(Value::Missing, Value::Usd)
}

/// Which sides a venue's number counts, in words.
fn counted(counting: Counting) -> &'static str {
    match counting {
        Counting::OneSide => "one side",
        Counting::BothSides => "both sides, halved",
        Counting::Unstated => "not stated, taken for one side",
    }
}

/// Every contract with what was told of it; one-sided coins, and dollars as told or at the mark.
pub(crate) fn table(sources: &[&Source], coin: &str) -> Table {
    let mut table = Table::new(
        "contracts",
        &[
            ("source", Unit::Text),
            ("at", Unit::Time),
            ("mark", Unit::Usd),
            ("open_interest_coins", Unit::Decimal),
            ("open_interest_usd", Unit::Usd),
            ("as_told", Unit::Text),
            ("counts", Unit::Text),
            ("funding", Unit::Share),
            ("funding_hours", Unit::Count),
            ("rules", Unit::Text),
            ("standing", Unit::Text),
        ],
    );
    for source in sources {
        let Told { mark, open_interest, funding } = &source.told;
        let at = open_interest.as_ref().map(|(time, _)| *time).max(mark.map(|(time, _)| time));
        let open = open_interest.as_ref().map(|(_, open)| open);
        let worth = open.and_then(|open| open.usd.or_else(|| open.coins.checked_mul(mark.map(|(_, mark)| mark)?)));
        let text = |text: Option<String>| text.map_or(Value::Missing, Value::Text);
        let rate = funding.as_ref().and_then(|(_, of)| super::inputs::float(of.rate));
        let hours = funding.as_ref().and_then(|(_, of)| u64::try_from(of.interval? / HOUR_US).ok());
        table.push(vec![
            Value::Text(source.name.to_string()),
            at.map_or(Value::Missing, Value::Time),
            usd(mark.map(|(_, mark)| mark)),
            open.map_or(Value::Missing, |open| exact(open.coins)),
            usd(worth),
            text(open.map(|open| format!("{} {}", open.reported.normalize(), open.unit.word()))),
            text(open.map(|open| counted(open.counting).to_owned())),
            rate.map_or(Value::Missing, Value::Share),
            hours.map_or(Value::Missing, Value::Count),
            Value::Text(model::rules(source, coin)),
            Value::Text(source.standing.to_string()),
        ]);
    }
    table
}
