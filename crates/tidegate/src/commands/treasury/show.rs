//! `tidegate treasury ledger`: every entry with where it is known from, and what stands on every account.

use std::path::Path;

use anyhow::{Context as _, bail};
use engine::treasury::ledger::Journalled;
use engine::treasury::statement::Month;
use engine::treasury::{Account, Action, Balance, Class, Code, Entry};
use protocol::chain::ChainId;
use protocol::token::Tokens;
use source::archive::Archive;

use super::{account, month, network, origin, reserve};
use crate::args::TreasuryLedger;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;
use crate::treasury::Books;
use crate::treasury::coins::signed;

/// What is shown.
struct Filter<'a> {
    codes: Vec<Code>,
    reserve: Option<&'a str>,
    month: Option<Month>,
    network: Option<ChainId>,
}

impl Filter<'_> {
    fn takes(&self, of: &Account) -> bool {
        let about =
            |name: &str| of.reserve.is_some() && of.reserve == reserve(of.asset.network, name, Tokens::embedded());
        (self.codes.is_empty() || self.codes.contains(&of.code))
            && self.network.is_none_or(|network| of.asset.network == network)
            && self.reserve.is_none_or(about)
    }
}

/// Shows the books.
pub(super) fn run(archive: &Path, args: &TreasuryLedger) -> anyhow::Result<()> {
    let books = Books::load(&Archive::at(archive)?)?;
    let code = |word: &String| {
        let known: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        Code::from_word(word.trim())
            .with_context(|| format!("there is no account {}; there are {}", text::printable(word), known.join(", ")))
    };
    let filter = Filter {
        codes: args.account.iter().map(code).collect::<anyhow::Result<_>>()?,
        reserve: args.reserve.as_deref(),
        month: args.month.as_deref().map(month).transpose()?,
        network: args.network.as_deref().map(network).transpose()?,
    };
    if args.balances && filter.month.is_some() {
        bail!("--balances are those of now; `treasury statement --kind balance` has those of a month's end");
    }
    let mut tables = vec![balances(&books, &filter)];
    let mut notes = Vec::new();
    if args.balances {
        notes.push("Held amounts are reserved and not moved yet; they count against what may be spent.".to_owned());
    } else {
        let (entries, left_out) = entries(&books, &filter, args.top);
        tables.push(entries);
        if left_out > 0 {
            notes.push(format!("{left_out} earlier entries are not shown; --top 0 shows all."));
        }
    }
    let receivable = books.ledger.accounts().filter(|(account, _)| account.code == Code::SvrReceivable);
    notes.extend(
        receivable.filter(|(account, _)| filter.takes(account)).map(|(of, balance)| compared(&books, of, balance)),
    );
    notes.extend(books.income_twice());
    let title = "The treasury's ledger".to_owned();
    let report = Report { title, standing: books.standing(), notes, tables };
    output::write(&report, &super::super::destination(&args.output))
}

/// What an auction's safe owed and what it transferred.
fn compared(books: &Books, of: &Account, balance: &Balance) -> String {
    let coin = books.coins.of(of.asset);
    let [accrued, transferred] = [balance.debits, balance.credits].map(|raw| signed(raw.cast_signed(), coin.decimals));
    let open = balance.signed();
    let rest = signed(open.saturating_abs(), coin.decimals);
    let says = if open < 0 { "transferred beyond what is known to have accrued" } else { "not transferred yet" };
    format!("SVR on {}: {accrued} {} accrued, {transferred} transferred, {rest} {says}.", of.asset.network, coin.symbol)
}

fn balances(books: &Books, filter: &Filter<'_>) -> Table {
    let mut table = Table::new(
        "balances",
        &[
            ("class", Unit::Text),
            ("account", Unit::Text),
            ("network", Unit::Text),
            ("asset", Unit::Text),
            ("debits", Unit::Text),
            ("credits", Unit::Text),
            ("held", Unit::Text),
            ("balance", Unit::Text),
            ("standing", Unit::Text),
        ],
    );
    let mut found: Vec<(Class, &Account, &Balance)> =
        books.ledger.accounts().map(|(account, balance)| (account.code.class(), account, balance)).collect();
    found.sort_by_key(|(class, of, _)| (*class, of.code, of.asset, of.reserve));
    for (class, of, balance) in found.into_iter().filter(|(_, of, _)| filter.takes(of)) {
        if *balance == Balance::default() {
            continue;
        }
        let coin = books.coins.of(of.asset);
        let amount = |raw: i128| Value::Text(signed(raw, coin.decimals));
        let grown = if class.grows_by_debits() { balance.signed() } else { -balance.signed() };
        let touches = |one: &&Journalled| one.moved.is_some_and(|entry| [entry.debit, entry.credit].contains(of));
        let standing = books.ledger.journal().iter().filter(touches).map(|one| one.transfer.standing).max();
        table.push(vec![
            Value::Text(class.word().to_owned()),
            Value::Text(account(*of, &books.coins)),
            Value::Text(of.asset.network.to_string()),
            Value::Text(coin.symbol.clone()),
            amount(balance.debits.cast_signed()),
            amount(balance.credits.cast_signed()),
            amount(balance.debits_held.cast_signed() - balance.credits_held.cast_signed()),
            amount(grown),
            standing.map_or(Value::Missing, |standing| Value::Text(standing.to_string())),
        ]);
    }
    table
}

/// The last entries, and how many before them are left out.
fn entries(books: &Books, filter: &Filter<'_>, top: usize) -> (Table, usize) {
    let mut table = Table::new(
        "entries",
        &[
            ("time", Unit::Time),
            ("action", Unit::Text),
            ("debit", Unit::Text),
            ("credit", Unit::Text),
            ("network", Unit::Text),
            ("asset", Unit::Text),
            ("amount", Unit::Text),
            ("usd", Unit::Usd),
            ("standing", Unit::Text),
            ("from", Unit::Text),
            ("place", Unit::Count),
            ("id", Unit::Text),
        ],
    );
    let wanted = |one: &&Journalled| {
        let accounts = entry(one, books).map(|entry| [entry.debit, entry.credit]);
        filter.month.is_none_or(|month| Month::of(one.transfer.time) == month)
            && accounts.is_some_and(|accounts| accounts.iter().any(|account| filter.takes(account)))
    };
    let mut found: Vec<&Journalled> = books.ledger.journal().iter().filter(wanted).collect();
    // The journal is in the order of recording; a reader looks for moments.
    found.sort_by_key(|one| one.transfer.time);
    let left_out = if top == 0 { 0 } else { found.len().saturating_sub(top) };
    for one in &found[left_out..] {
        let Some(entry) = entry(one, books) else { continue };
        let coin = books.coins.of(entry.debit.asset);
        let (from, place) = origin(&one.transfer.origin);
        table.push(vec![
            Value::Time(one.transfer.time),
            Value::Text(crate::treasury::word(&one.transfer.action).to_owned()),
            Value::Text(account(entry.debit, &books.coins)),
            Value::Text(account(entry.credit, &books.coins)),
            Value::Text(entry.debit.asset.network.to_string()),
            Value::Text(coin.symbol),
            Value::Text(signed(entry.amount.cast_signed(), coin.decimals)),
            one.transfer.usd.map_or(Value::Missing, Value::Usd),
            Value::Text(one.transfer.standing.to_string()),
            Value::Text(from),
            place.map_or(Value::Missing, Value::Count),
            Value::Text(one.transfer.id.0.to_string()),
        ]);
    }
    (table, left_out)
}

/// What an entry is about: what it moved, or what was held where it moved nothing.
fn entry(one: &Journalled, books: &Books) -> Option<Entry> {
    one.moved.or_else(|| match one.transfer.action {
        Action::Post(entry) | Action::Hold(entry) => Some(entry),
        Action::PostHeld { held, .. } | Action::VoidHeld { held } => match books.ledger.transfer(held)?.action {
            Action::Post(entry) | Action::Hold(entry) => Some(entry),
            Action::PostHeld { .. } | Action::VoidHeld { .. } => None,
        },
    })
}
