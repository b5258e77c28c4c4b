//! The ledger as plain-text accounting, for Beancount and for Ledger and hledger, with the balance of every account asserted at the end of
//! every month.
//!
//! Names from outside become commodities and accounts of letters and digits alone; two assets never share one unless the registry
//! gives both the same name. What is held and not posted is left out: those programs know no such thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use engine::treasury::statement::Month;
use engine::treasury::{Account, Asset, Class, Entry, Origin, Transfer};
use protocol::time::{Civil, civil_from_day};
use protocol::token::Tokens;

use super::Books;
use super::coins::{Coins, is_native_known, signed};
use crate::text;

/// For which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Beancount.
    Beancount,
    /// Ledger and hledger.
    Ledger,
}

/// Longest part of a name that is kept.
const LONGEST: usize = 10;
/// Longest name of a native token of which nothing is known.
const LONGEST_NATIVE: usize = 20;

/// The names of assets.
struct Names<'a> {
    coins: &'a Coins,
    commodities: BTreeMap<Asset, String>,
}

impl<'a> Names<'a> {
    fn of(books: &'a Books) -> Self {
        let mut assets = BTreeSet::new();
        for (account, _) in books.ledger.accounts() {
            let network = account.asset.network;
            assets.insert((account.asset, books.coins.of(account.asset).symbol));
            if let Some(token) = account.reserve {
                assets.insert((Asset { network, token }, books.coins.reserve(network, token)));
            }
        }
        let mut commodities: BTreeMap<Asset, String> = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (asset, symbol) in &assets {
            let (name, is_vouched_for) = commodity(*asset, symbol);
            let mut unique = name.clone();
            // Somebody may have looked for an address that begins as another does.
            for number in 2_u32.. {
                if is_vouched_for || taken.insert(unique.clone()) {
                    break;
                }
                unique = format!("{name}-{number}");
            }
            commodities.entry(*asset).or_insert(unique);
        }
        Self { coins: &books.coins, commodities }
    }

    fn commodity(&self, asset: Asset) -> &str {
        self.commodities.get(&asset).map_or("UNKNOWN", String::as_str)
    }

    /// The account's name: class, place in the chart, network, reserve, asset.
    fn account(&self, account: &Account) -> String {
        let class = match account.code.class() {
            Class::Asset => "Assets",
            Class::Liability => "Liabilities",
            Class::Equity => "Equity",
            Class::Income => "Income",
            Class::Expense => "Expenses",
        };
        let network = account.asset.network;
        let mut name = format!("{class}:{}:{}", component(account.code.word()), component(&network.to_string()));
        if let Some(reserve) = account.reserve {
            let _ = write!(name, ":{}", self.commodity(Asset { network, token: reserve }));
        }
        let _ = write!(name, ":{}", self.commodity(account.asset));
        name
    }

    fn amount(&self, asset: Asset, raw: i128, dialect: Dialect) -> String {
        let digits = signed(raw, self.coins.of(asset).decimals);
        match dialect {
            Dialect::Beancount => format!("{digits} {}", self.commodity(asset)),
            Dialect::Ledger => format!("{digits} \"{}\"", self.commodity(asset)),
        }
    }
}

/// Letters and digits of a name in upper case, beginning with a letter, and how the token's address begins unless the registry vouches
/// for the name; and whether it does.
fn commodity(asset: Asset, symbol: &str) -> (String, bool) {
    if asset.token == Asset::NATIVE && !is_native_known(asset.network) {
        // As long as a commodity may be.
        return (format!("NATIVE-{}", asset.network.0).chars().take(LONGEST_NATIVE).collect(), false);
    }
    let mut name: String =
        symbol.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).take(LONGEST).collect();
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        name.insert(0, 'T');
    }
    let listed = Tokens::embedded().by_address(asset.network, asset.token);
    // A name that was cut or changed may be another's.
    let is_vouched_for = asset.token == Asset::NATIVE
        || listed.is_some_and(|listed| {
            *listed.symbol == *symbol && listed.symbol.len() == name.len() && listed.symbol.to_ascii_uppercase() == name
        });
    if !is_vouched_for {
        let _ = write!(name, "-{}", text::hex(&asset.token[..4]).trim_start_matches("0x").to_ascii_uppercase());
    }
    // One letter alone is no commodity of Beancount's.
    let name = if name.len() == 1 { format!("{name}{name}") } else { name };
    (name, is_vouched_for)
}

/// A word as a part of an account's name: letters and digits, beginning with a capital.
fn component(word: &str) -> String {
    let plain: String = word.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut letters = plain.trim_matches('-').chars();
    letters.next().map_or_else(|| "X".to_owned(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

/// A day, counted from 1970-01-01, as it is written.
fn date(day: i64) -> String {
    let Civil { year, month, day } = civil_from_day(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Where a transfer is known from, in a line without anything that could end it.
fn origin(transfer: &Transfer) -> String {
    let from = match &transfer.origin {
        Origin::Transaction { network, transaction, log_index } => {
            let log = log_index.map_or_else(String::new, |log| format!(" log {log}"));
            format!("{network} {transaction}{log}")
        }
        Origin::File { name, row } => format!("{name} row {row}"),
        Origin::Rule { name, step } => format!("{name} step {step}"),
    };
    text::harmless(&from).replace(['"', '\\', '|', ';'], "'")
}

/// The whole ledger.
pub(crate) fn write(books: &Books, dialect: Dialect) -> String {
    let names = Names::of(books);
    let mut moved: Vec<(i64, usize, &Transfer, Entry)> = Vec::new();
    for (place, journalled) in books.ledger.journal().iter().enumerate() {
        if let Some(entry) = journalled.moved {
            moved.push((journalled.transfer.time.day(), place, &journalled.transfer, entry));
        }
    }
    moved.sort_by_key(|(day, place, ..)| (*day, *place));
    let mut out = String::new();
    let Some((first, ..)) = moved.first() else { return out };
    opened(&names, &moved, *first, dialect, &mut out);
    let mut balances: BTreeMap<Account, i128> = BTreeMap::new();
    for (at, (day, _, transfer, entry)) in moved.iter().enumerate() {
        for (account, raw) in [(entry.debit, entry.amount.cast_signed()), (entry.credit, -entry.amount.cast_signed())] {
            *balances.entry(account).or_default() += raw;
        }
        transaction(&names, *day, transfer, entry, dialect, &mut out);
        let month = Month::of(transfer.time);
        let is_last = moved.get(at + 1).is_none_or(|(_, _, next, _)| Month::of(next.time) != month);
        if is_last {
            asserted(&names, month.last_day() + 1, &balances, dialect, &mut out);
        }
    }
    out
}

fn opened(names: &Names<'_>, moved: &[(i64, usize, &Transfer, Entry)], day: i64, dialect: Dialect, out: &mut String) {
    let accounts: BTreeSet<Account> = moved.iter().flat_map(|(_, _, _, entry)| [entry.debit, entry.credit]).collect();
    let mut named: BTreeMap<String, &str> = BTreeMap::new();
    for account in &accounts {
        named.insert(names.account(account), names.commodity(account.asset));
    }
    for (account, commodity) in named {
        let _ = match dialect {
            Dialect::Beancount => writeln!(out, "{} open {account} {commodity}", date(day)),
            Dialect::Ledger => writeln!(out, "account {account}"),
        };
    }
}

fn transaction(names: &Names<'_>, day: i64, transfer: &Transfer, entry: &Entry, dialect: Dialect, out: &mut String) {
    let (id, origin) = (transfer.id.0, origin(transfer));
    let _ = match dialect {
        Dialect::Beancount => writeln!(
            out,
            "\n{} * \"{origin}\"\n  id: \"{id}\"\n  standing: \"{}\"\n  time: \"{}\"",
            date(day),
            transfer.standing,
            transfer.time
        ),
        Dialect::Ledger => writeln!(
            out,
            "\n{} * {origin}\n    ; id: {id}\n    ; standing: {}\n    ; time: {}",
            date(day),
            transfer.standing,
            transfer.time
        ),
    };
    let raw = entry.amount.cast_signed();
    for (account, raw) in [(&entry.debit, raw), (&entry.credit, -raw)] {
        let _ = writeln!(out, "    {}  {}", names.account(account), names.amount(account.asset, raw, dialect));
    }
}

/// What stands on every account before a day begins.
fn asserted(names: &Names<'_>, day: i64, balances: &BTreeMap<Account, i128>, dialect: Dialect, out: &mut String) {
    out.push('\n');
    // Accounts of two assets with one name are one account there.
    let mut sums: BTreeMap<String, (Asset, i128)> = BTreeMap::new();
    for (account, raw) in balances {
        sums.entry(names.account(account)).or_insert((account.asset, 0)).1 += *raw;
    }
    if dialect == Dialect::Ledger {
        let _ = writeln!(out, "{} * balances", date(day));
    }
    for (account, (asset, raw)) in sums {
        let amount = names.amount(asset, raw, dialect);
        let _ = match dialect {
            Dialect::Beancount => {
                let (digits, commodity) = amount.split_once(' ').unwrap_or((&amount, ""));
                writeln!(out, "{} balance {account}  {digits} ~ 0 {commodity}", date(day))
            }
            Dialect::Ledger => writeln!(out, "    {account}  {} = {amount}", names.amount(asset, 0, dialect)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Address;
    use protocol::chain::ChainId;

    #[test]
    fn hostile_names_become_letters_and_digits_and_pass_for_no_other() {
        let asset = |byte| Asset { network: ChainId(1), token: Address::repeat_byte(byte) };
        for (symbol, expected) in [
            ("USDC", "USDC-0A0A0A0A"),
            ("us\ndc\" ; x", "USDCX-0A0A0A0A"),
            ("1INCH", "T1INCH-0A0A0A0A"),
            ("\u{202e}", "T-0A0A0A0A"),
            ("Assets:Cash 5 USD", "ASSETSCASH-0A0A0A0A"),
        ] {
            assert_eq!(commodity(asset(10), symbol), (expected.to_owned(), false));
        }
        let usdc = Tokens::embedded().by_symbol(ChainId(1), "USDC").unwrap();
        let usdc = Asset { network: ChainId(1), token: usdc.address };
        assert_eq!(commodity(usdc, "USDC"), ("USDC".to_owned(), true));
        assert_eq!(commodity(Asset::native(ChainId(1)), "ETH"), ("ETH".to_owned(), true));
        let unknown = commodity(Asset::native(ChainId(u64::MAX)), "ETH");
        assert_eq!(unknown, ("NATIVE-1844674407370".to_owned(), false));
        assert_ne!(commodity(asset(1), "WETH"), commodity(asset(2), "WETH"));
        assert_eq!(
            (component("svr-share"), component("chain 12345")),
            ("Svr-share".to_owned(), "Chain-12345".to_owned())
        );
    }
}
