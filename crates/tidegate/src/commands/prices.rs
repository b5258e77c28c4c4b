//! `tidegate prices`: what a synced market's oracle said of its assets, and how that is known.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::str::FromStr as _;

use anyhow::{Context as _, bail};
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, U256};
use source::archive::definition::Definition;
use source::archive::prices::{self, Row};
use source::archive::reads::Reads;
use source::archive::{Archive, MarketName, synced};

use crate::args;
use crate::market::{definition, end_times, one_market, symbol, symbols};
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// Up to which moment prices are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Last,
    Block(u64),
    Time(TimeUs),
}

impl At {
    fn parse(text: &str) -> anyhow::Result<Self> {
        let shown = text::printable(text);
        if let Ok(block) = text.trim().parse::<u64>() {
            return Ok(Self::Block(block));
        }
        let moment = text.trim().parse::<jiff::Timestamp>().ok();
        let moment = moment.with_context(|| {
            format!("--at \"{shown}\" is neither a block's number nor a moment (2025-10-10T21:15:00Z)")
        })?;
        Ok(Self::Time(TimeUs(moment.as_microsecond())))
    }
}

/// Rows up to a moment. Those without a time lie between their neighbours: they are in where one behind them is.
struct Seen {
    at: At,
    waiting: Vec<Row>,
    /// By asset, the last of them, as many as are kept.
    rows: BTreeMap<Address, VecDeque<Row>>,
    kept: usize,
}

impl Seen {
    fn take(&mut self, row: Row) {
        let is_in = match self.at {
            At::Last => Some(true),
            At::Block(block) => Some(row.block <= block),
            At::Time(moment) => row.time.map(|time| time <= moment),
        };
        match is_in {
            None => self.waiting.push(row),
            Some(false) => self.waiting.clear(),
            Some(true) => {
                self.flush();
                self.keep(row);
            }
        }
    }

    fn flush(&mut self) {
        std::mem::take(&mut self.waiting).into_iter().for_each(|row| self.keep(row));
    }

    fn keep(&mut self, row: Row) {
        let own = self.rows.entry(row.asset).or_default();
        if own.len() == self.kept {
            own.pop_front();
        }
        own.push_back(row);
    }
}

/// Shows each asset's price, or the changes of some.
pub(crate) fn run(archive: &Path, args: &args::Prices) -> anyhow::Result<()> {
    let archive = Archive::at(archive)?;
    let market = one_market(&archive, args.market.as_deref())?;
    let at = args.at.as_deref().map(At::parse).transpose()?.unwrap_or(At::Last);
    let file = prices::file(&archive, &market)?;
    let file = file.with_context(|| {
        format!(
            "{market}: its prices were never told; `tidegate rebuild --market {market}` or the end of a sync does it"
        )
    })?;
    let (to, state) = prices::made_from(&file).context("the table of prices does not say what it was made from")?;
    if let At::Block(block) = at
        && block > to
    {
        bail!("{market}: prices are told to block {to}; sync it further for block {block}");
    }
    let names = Names::of(&archive, &market)?;
    let wanted = args.asset.iter().map(|asset| names.find(asset)).collect::<anyhow::Result<BTreeSet<Address>>>()?;
    let kept = match (wanted.is_empty(), args.top) {
        (true, _) => 1,
        (false, 0) => usize::MAX,
        (false, top) => top,
    };
    let mut seen = Seen { at, waiting: Vec::new(), rows: BTreeMap::new(), kept };
    prices::each(&file, |row| {
        if wanted.is_empty() || wanted.contains(&row.asset) {
            seen.take(row);
        }
    })?;
    if let At::Time(moment) = at
        && end_times(&archive, &market)?.get(&to).is_some_and(|end| seconds(*end) <= moment)
    {
        seen.flush();
    }
    let mut notes = vec![names.base_note()];
    if synced::state_of(&archive, &market, to)? != state {
        notes.push(format!(
            "the logs up to block {to} are others now than those these prices were told from; `tidegate rebuild --market {market}` tells them anew"
        ));
    }
    let mut shown: Vec<Row> = seen.rows.into_values().flatten().collect();
    shown.sort_by_key(|row| (row.place(), row.asset));
    if wanted.is_empty() {
        shown.sort_by_key(|row| names.name(row.asset));
    }
    let until = match at {
        At::Last => format!("to block {to}"),
        At::Block(block) => format!("at block {block}"),
        At::Time(moment) => format!("at {moment}"),
    };
    output::write(
        &report(&format!("Prices of {market} {until}"), &names, &shown, notes),
        &super::destination(&args.output),
    )
}

fn seconds(seconds: u64) -> TimeUs {
    TimeUs(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(SECOND_US))
}

fn report(title: &str, names: &Names, rows: &[Row], mut notes: Vec<String>) -> Report {
    let mut table = Table::new(
        "prices",
        &[
            ("asset", Unit::Text),
            ("price", Unit::Decimal),
            ("block", Unit::Count),
            ("log_index", Unit::Count),
            ("time", Unit::Time),
            ("known_by", Unit::Text),
            ("standing", Unit::Text),
            ("source", Unit::Text),
        ],
    );
    let mut standing = Standing::Exact;
    for row in rows {
        let by = row.price.map(|(_, by)| by);
        standing = by.map_or(standing, |by| standing.max(by.standing()));
        let price = |(price, _)| Value::Decimal { digits: U256::from(price), decimals: names.decimals };
        table.push(vec![
            Value::Text(names.name(row.asset)),
            row.price.map_or(Value::Missing, price),
            Value::Count(row.block),
            row.log_index.map_or(Value::Missing, |index| Value::Count(index.into())),
            row.time.map_or(Value::Missing, Value::Time),
            by.map_or(Value::Missing, |by| Value::Text(by.word().to_owned())),
            by.map_or(Value::Missing, |by| Value::Text(by.standing().word().to_owned())),
            row.source.map_or(Value::Missing, |source| Value::Text(text::address(&source.into_array()))),
        ]);
    }
    notes.push(
        "A price of a feed holds from its log on until the next row of its asset. What the oracle answered to a call holds at the \
         end of its block; what it would have answered between two calls is not known, least of all where a price grows or decays \
         with time. A row without a log holds at the end of its block, one without a price says that it is not known from there on."
            .to_owned(),
    );
    Report { title: title.to_owned(), standing, notes, tables: vec![table] }
}

/// What assets are called.
struct Names {
    definition: Definition,
    decimals: u8,
    own: BTreeMap<Address, String>,
    known: BTreeSet<Address>,
}

impl Names {
    fn of(archive: &Archive, market: &MarketName) -> anyhow::Result<Self> {
        let definition = definition(archive, market)?;
        let own = symbols(&Reads::load(archive, market, 0, u64::MAX)?);
        let mut known = BTreeSet::new();
        if let Some(file) = prices::file(archive, market)? {
            prices::each(&file, |row| _ = known.insert(row.asset))?;
        }
        let decimals = u8::try_from(definition.base_unit.checked_ilog10().unwrap_or(0)).unwrap_or(0);
        Ok(Self { definition, decimals, own, known })
    }

    fn name(&self, asset: Address) -> String {
        symbol(&self.definition, &self.own, asset)
    }

    fn find(&self, asset: &str) -> anyhow::Result<Address> {
        let asset = asset.trim();
        let address = Address::from_str(asset).ok();
        let is_meant = |known: &&Address| match address {
            Some(address) => **known == address,
            None => self.name(**known).eq_ignore_ascii_case(asset),
        };
        self.known.iter().find(is_meant).copied().with_context(|| {
            let all: Vec<String> = self.known.iter().map(|known| self.name(*known)).collect();
            format!("there are no prices of \"{}\"; there are of {}", text::printable(asset), all.join(", "))
        })
    }

    fn base_note(&self) -> String {
        let currency = if self.definition.base_is_usd { "US dollars" } else { "the market's base currency (ether)" };
        format!("Prices of one whole token in {currency}, as the market's own oracle says them.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_and_a_moment_are_told_apart() {
        assert_eq!(At::parse("123").unwrap(), At::Block(123));
        assert_eq!(At::parse("1970-01-01T00:00:02Z").unwrap(), At::Time(TimeUs(2_000_000)));
        assert!(At::parse("yesterday").is_err());
    }

    #[test]
    fn a_row_without_a_time_is_in_where_one_behind_it_is() {
        let row = |block: u64, time: Option<i64>, asset: u8| Row {
            block,
            time: time.map(TimeUs),
            log_index: None,
            asset: Address::repeat_byte(asset),
            source: None,
            price: None,
        };
        let rows = [row(1, Some(10), 1), row(2, None, 2), row(3, Some(30), 1), row(4, None, 1), row(5, Some(50), 2)];
        let shown = |at: At, kept: usize| {
            let mut seen = Seen { at, waiting: Vec::new(), rows: BTreeMap::new(), kept };
            rows.iter().for_each(|row| seen.take(*row));
            let mut blocks: Vec<u64> = seen.rows.values().flatten().map(|row| row.block).collect();
            blocks.sort_unstable();
            blocks
        };
        assert_eq!(shown(At::Time(TimeUs(29)), 9), [1]);
        assert_eq!(shown(At::Time(TimeUs(30)), 9), [1, 2, 3]);
        assert_eq!(shown(At::Time(TimeUs(49)), 9), [1, 2, 3]);
        assert_eq!(shown(At::Time(TimeUs(50)), 9), [1, 2, 3, 4, 5]);
        assert_eq!(shown(At::Time(TimeUs(50)), 1), [4, 5]);
        assert_eq!(shown(At::Block(2), 1), [1, 2]);
        assert_eq!(shown(At::Last, 1), [4, 5]);
    }
}
