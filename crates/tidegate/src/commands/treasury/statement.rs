//! `tidegate treasury statement`: what was earned, what there is, and where cash went, by month; or the whole ledger as plain text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use engine::treasury::statement::{self, Item, Line, Month, Part, Per, Prices};
use engine::treasury::{Class, Code};
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::token::Tokens;
use source::archive::Archive;
use source::import::fields;

use super::{moment, month, network};
use crate::args::{StatementBy, StatementFormat, StatementKind, StatementPer, TreasuryStatement};
use crate::output::{self, Destination, Format};
use crate::table::{Report, Table, Unit, Value};
use crate::text;
use crate::treasury::Books;
use crate::treasury::coins::signed;
use crate::treasury::export::{self, Dialect};

/// States.
pub(super) fn run(archive: &Path, args: &TreasuryStatement) -> anyhow::Result<()> {
    let StatementBy::Month = args.by;
    let mut books = Books::load(&Archive::at(archive)?)?;
    let format = match args.format {
        StatementFormat::Beancount => return plain(&books, Dialect::Beancount, args),
        StatementFormat::Ledger => return plain(&books, Dialect::Ledger, args),
        StatementFormat::Text => Format::Text,
        StatementFormat::Json => Format::Json,
        StatementFormat::Csv => Format::Csv,
        StatementFormat::Parquet => Format::Parquet,
    };
    let only = args.month.as_deref().map(month).transpose()?;
    let prices = prices(args.prices.as_deref(), &mut books)?;
    let per = match args.per {
        StatementPer::Reserve => Per::Reserve,
        StatementPer::Network => Per::Network,
        StatementPer::Consolidated => Per::Consolidated,
    };
    let journal = books.ledger.journal();
    let mut lines = match args.kind {
        StatementKind::Income => statement::income(journal, per, &prices),
        StatementKind::Balance => statement::balance(journal, per, &prices),
        StatementKind::Cash => statement::cash(journal, per, &prices),
    };
    lines.retain(|line| only.is_none_or(|month| line.month == month));
    let mut standing = lines.iter().map(|line| line.standing).max().unwrap_or(Standing::Exact);
    if args.prices.is_some() {
        standing = standing.max(Standing::Imported);
    }
    let tables = vec![totals(&lines, args.kind), table(&books, &lines, args.kind)];
    let title = format!("{} by month, {}", name(args.kind), words(args.per));
    let report = Report { title, standing, notes: notes(&books, &lines, args.kind), tables };
    output::write(&report, &Destination { format, file: args.out.clone() })
}

fn plain(books: &Books, dialect: Dialect, args: &TreasuryStatement) -> anyhow::Result<()> {
    let content = export::write(books, dialect);
    match &args.out {
        Some(path) => output::write_file(path, content.as_bytes()),
        None => output::print(&content),
    }
}

const fn name(kind: StatementKind) -> &'static str {
    match kind {
        StatementKind::Income => "Income statement",
        StatementKind::Balance => "Balance sheet",
        StatementKind::Cash => "Cash flow (direct method)",
    }
}

const fn words(per: StatementPer) -> &'static str {
    match per {
        StatementPer::Reserve => "by reserve",
        StatementPer::Network => "by network",
        StatementPer::Consolidated => "consolidated",
    }
}

/// Reads prices by day.
fn prices(path: Option<&Path>, books: &mut Books) -> anyhow::Result<Prices> {
    let mut prices = Prices::default();
    if let Some(path) = path {
        let mut wrong = None;
        fields::read(
            path,
            &["network", "asset", "day", "usd"],
            &["network", "asset", "day", "usd"],
            &mut |number, row| {
                let taken = row
                    .map_err(str::to_owned)
                    .and_then(|texts| price(texts, books, &mut prices).map_err(|why| format!("{why:#}")));
                if let Err(why) = taken {
                    wrong.get_or_insert((number, why));
                }
                Ok(())
            },
        )?;
        if let Some((number, why)) = wrong {
            anyhow::bail!(
                "{}: row {number}: {}; a price that cannot be read is no price",
                path.display(),
                text::harmless(&why)
            );
        }
    }
    for (asset, coin) in books.coins.iter() {
        prices.divide(*asset, coin.decimals);
    }
    Ok(prices)
}

fn price(texts: &[Option<String>], books: &mut Books, prices: &mut Prices) -> anyhow::Result<()> {
    let field = |at: usize, name: &str| texts[at].as_deref().with_context(|| format!("it has no {name}"));
    let network = network(field(0, "network")?)?;
    let name = field(1, "asset")?;
    let asset = books.coins.find(network, name, Tokens::embedded())?;
    let asset = asset.with_context(|| format!("the asset {} is not known on {network}", text::printable(name)))?;
    let day = field(2, "day")?;
    let time = moment(day).with_context(|| format!("\"{}\" is no day", text::printable(day)))?;
    let usd = Usd8::parse_rounding(field(3, "usd")?).map_err(|why| anyhow::anyhow!("usd {why}"))?;
    anyhow::ensure!(usd.0 > 0, "usd is not above zero");
    anyhow::ensure!(prices.set(asset, time, usd).is_none(), "it is the second price of its day; give one");
    Ok(())
}

/// The section a line stands in, for programs as for people.
fn section(item: Item, kind: StatementKind) -> &'static str {
    match item {
        Item::CashBefore => "before",
        Item::CashAfter => "after",
        Item::Retained => "equity",
        Item::HeldInCommon => "held in common",
        Item::Account(code) if kind == StatementKind::Cash => activity(code),
        Item::Account(code) => code.class().word(),
    }
}

/// Of which kind of activity a flow of cash is, by its other side.
const fn activity(code: Code) -> &'static str {
    match code.class() {
        Class::Income | Class::Expense | Class::Liability => "operating",
        // What one asset was exchanged for is neither raised nor paid out.
        Class::Equity if matches!(code, Code::Exchange) => "exchange",
        Class::Equity => "financing",
        Class::Asset => {
            if matches!(code, Code::SvrReceivable) {
                "operating"
            } else {
                "investing"
            }
        }
    }
}

fn item(item: Item) -> &'static str {
    match item {
        Item::CashBefore => "cash before",
        Item::CashAfter => "cash after",
        Item::Retained => "retained earnings",
        Item::HeldInCommon => "held for all reserves",
        Item::Account(code) => code.word(),
    }
}

fn part(books: &Books, part: Part) -> String {
    match part {
        Part::All => "all".to_owned(),
        Part::Network(network) => network.to_string(),
        Part::Reserve(network, None) => format!("{network}, no reserve"),
        Part::Reserve(network, Some(reserve)) => format!("{network}, {}", books.coins.reserve(network, reserve)),
    }
}

fn table(books: &Books, lines: &[Line], kind: StatementKind) -> Table {
    let mut table = Table::new(
        "statement",
        &[
            ("month", Unit::Text),
            ("part", Unit::Text),
            ("section", Unit::Text),
            ("item", Unit::Text),
            ("network", Unit::Text),
            ("asset", Unit::Text),
            ("amount", Unit::Text),
            ("usd", Unit::Usd),
            ("amounts_without_usd", Unit::Count),
            ("standing", Unit::Text),
        ],
    );
    for line in lines {
        let coin = books.coins.of(line.asset);
        table.push(vec![
            Value::Text(line.month.to_string()),
            Value::Text(part(books, line.part)),
            Value::Text(section(line.item, kind).to_owned()),
            Value::Text(item(line.item).to_owned()),
            Value::Text(line.asset.network.to_string()),
            Value::Text(coin.symbol),
            Value::Text(signed(line.raw, coin.decimals)),
            line.usd.map_or(Value::Missing, Value::Usd),
            Value::Count(line.without_usd),
            Value::Text(line.standing.to_string()),
        ]);
    }
    table
}

/// What the sections come to in dollars, month by month; missing where any line has no value.
fn totals(lines: &[Line], kind: StatementKind) -> Table {
    let columns =
        [("month", Unit::Text), ("section", Unit::Text), ("usd", Unit::Usd), ("lines_without_usd", Unit::Count)];
    let mut sums: BTreeMap<(Month, &str), (i128, u64)> = BTreeMap::new();
    for line in lines {
        let sum = sums.entry((line.month, section(line.item, kind))).or_default();
        match line.usd {
            Some(usd) => sum.0 = sum.0.saturating_add(usd.0),
            None => sum.1 += 1,
        }
    }
    let mut table = Table::new("totals", &columns);
    for ((month, section), (usd, without)) in sums {
        table.push(vec![
            Value::Text(month.to_string()),
            Value::Text(section.to_owned()),
            Value::usd_if(without == 0, usd),
            Value::Count(without),
        ]);
    }
    table
}

fn notes(books: &Books, lines: &[Line], kind: StatementKind) -> Vec<String> {
    let missing: BTreeSet<String> = lines
        .iter()
        .filter(|line| line.without_usd > 0)
        .map(|line| format!("{} on {} in {}", books.coins.of(line.asset).symbol, line.asset.network, line.month))
        .collect();
    let mut notes = Vec::new();
    if !missing.is_empty() {
        let shown: Vec<String> = missing.iter().take(20).cloned().collect();
        let more = missing.len().saturating_sub(20);
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        notes.push(format!("No price is given for {}{more}: those values are missing, not zero.", shown.join("; ")));
    }
    notes.push(match kind {
        StatementKind::Income => {
            "Values are what each transfer says it was worth, else at the price of its day.".to_owned()
        }
        StatementKind::Balance => {
            "Values are at the month's last price; assets are liabilities and equity in every asset, to the \
            smallest unit."
                .to_owned()
        }
        StatementKind::Cash => {
            "Flows are valued as income is, stocks at the last price of their month; in every asset, flows come to \
            the change of the balance sheet's cash, to the smallest unit. What prices did in between is in no flow."
                .to_owned()
        }
    });
    if books.ledger.journal().is_empty() {
        notes.push("The ledger is empty: `tidegate treasury record FILE`.".to_owned());
    }
    notes
}
