//! The rows of a file as transfers, and which of them belong together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use engine::treasury::posting::{LIQUIDATION_FEE, SETTLEMENT, SVR_SHARE, deficit_part};
use engine::treasury::{Account, Action, Asset, Code, Entry, Id, Origin, Transfer};
use protocol::amount::{Raw, Usd8};
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::token::Tokens;
use protocol::{Address, B256};
use source::import::fields;

use super::record::Group;
use super::{moment, reserve};
use crate::text;
use crate::treasury::coins::Coins;

/// The columns of a file.
const FIELDS: [&str; 18] = [
    "id",
    "group",
    "time",
    "action",
    "held",
    "network",
    "asset",
    "debit",
    "credit",
    "amount",
    "amount_raw",
    "reserve",
    "debit_reserve",
    "credit_reserve",
    "usd",
    "standing",
    "tx_hash",
    "log_index",
];
/// Those without which no row can be read.
const NEEDED: [&str; 1] = ["time"];
/// Reads a file into groups: rows with the same name in `group` that follow each other are one, and are taken together or not at all.
pub(super) fn read(path: &Path, coins: &mut Coins, tokens: &Tokens) -> anyhow::Result<Vec<Group>> {
    let mut gathered = Gathered::default();
    let name: Arc<str> = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into();
    fields::read(path, &FIELDS, &NEEDED, &mut |number, row| {
        match row {
            Ok(texts) => {
                let row = Texts(texts);
                let read = transfer(&row, (&name, number), coins, tokens)
                    .and_then(|transfer| gathered.told_apart(transfer, &row, number));
                gathered.put(number, row.get("group"), read);
            }
            Err(why) => gathered.put_broken(number, why),
        }
        Ok(())
    })?;
    let mut groups = gathered.groups;
    groups.iter_mut().for_each(exchanged);
    Ok(groups)
}

/// The groups of a file so far.
#[derive(Debug, Default)]
struct Gathered {
    groups: Vec<Group>,
    /// Where the group of each name stands.
    names: BTreeMap<String, usize>,
    /// The row before and its group's name.
    before: Before,
    /// The rows whose ids were made of a transaction alone.
    without_log: BTreeMap<Id, u64>,
}

/// What the row before was.
#[derive(Debug, Default)]
enum Before {
    /// One of no group, or none.
    #[default]
    Alone,
    /// One of this group.
    Of(usize),
    /// One that cannot be told into columns: nobody knows its group.
    Broken(u64),
}

impl Gathered {
    fn put(&mut self, number: u64, name: Option<&str>, read: Result<Transfer, String>) {
        let known = name.and_then(|name| self.names.get(name)).copied();
        let at = known.unwrap_or(self.groups.len());
        if known.is_none() {
            self.groups.push(Group::default());
            if let Some(name) = name {
                self.names.insert(name.to_owned(), at);
            }
        }
        let group = &mut self.groups[at];
        group.rows.push(number);
        match read {
            Ok(transfer) => group.transfers.push(transfer),
            Err(why) => reject(group, number, &why),
        }
        if let (Some(name), Before::Broken(broken)) = (name, &self.before) {
            reject(group, number, &beside(*broken, name));
        }
        if let Some(name) = name.filter(|_| known.is_some() && !matches!(self.before, Before::Of(last) if last == at)) {
            let why = format!("its group \"{name}\" comes again in row {number}; rows of a group follow each other");
            reject(group, number, &why);
        }
        self.before = if name.is_some() { Before::Of(at) } else { Before::Alone };
    }

    /// A row that cannot be told into columns may be one of the group before or after it, which then is not whole.
    fn put_broken(&mut self, number: u64, why: &str) {
        if let Before::Of(at) = self.before {
            let name = self.names.iter().find(|(_, place)| **place == at).map_or("", |(name, _)| name);
            let last = self.groups[at].rows.last().copied().unwrap_or(number);
            reject(&mut self.groups[at], last, &beside(number, name));
        }
        let mut group = Group { rows: vec![number], ..Group::default() };
        reject(&mut group, number, why);
        self.groups.push(group);
        self.before = Before::Broken(number);
    }

    /// A transaction can pay twice. Where neither an id nor a log tells two rows of a file apart, the later one is not taken for the
    /// earlier one again.
    fn told_apart(&mut self, transfer: Transfer, row: &Texts<'_>, number: u64) -> Result<Transfer, String> {
        let is_of_transaction = matches!(transfer.origin, Origin::Transaction { log_index: None, .. });
        if row.get("id").is_none() && is_of_transaction {
            let first = *self.without_log.entry(transfer.id).or_insert(number);
            if first != number {
                return Err(format!(
                    "row {first} is of the same transaction, accounts and asset, and nothing tells the two apart; give this one its log_index, or an id of its own"
                ));
            }
        }
        Ok(transfer)
    }
}

/// The first reason stands.
fn reject(group: &mut Group, number: u64, why: &str) {
    group.reject.get_or_insert_with(|| (number, text::harmless(why)));
}

fn beside(broken: u64, name: &str) -> String {
    format!(
        "row {broken} beside its group \"{name}\" cannot be told into columns and may belong to it; mend that row first"
    )
}

/// What goes through the exchange account of one asset must come from that of another in the same group: one leg alone would be a gain
/// or a loss that no statement shows.
fn exchanged(group: &mut Group) {
    let entries = || {
        group.transfers.iter().zip(&group.rows).filter_map(|(transfer, row)| match transfer.action {
            Action::Post(entry) | Action::Hold(entry) => Some((entry, *row)),
            Action::PostHeld { .. } | Action::VoidHeld { .. } => None,
        })
    };
    let is_exchange = |account: Account| account.code == Code::Exchange;
    let alone = entries().find(|(entry, _)| {
        let (gives, takes) = (is_exchange(entry.debit), is_exchange(entry.credit));
        let is_other_leg = |other: Entry| {
            other.debit.asset != entry.debit.asset
                && ((gives && is_exchange(other.credit)) || (takes && is_exchange(other.debit)))
        };
        (gives || takes) && !entries().any(|(other, _)| is_other_leg(other))
    });
    if let Some((_, row)) = alone {
        reject(group, row, "one leg of an exchange alone; what was sold and what was bought are two rows of one group");
    }
}

/// A row's fields.
#[derive(Clone, Copy)]
struct Texts<'a>(&'a [Option<String>]);

impl<'a> Texts<'a> {
    fn get(self, field: &str) -> Option<&'a str> {
        let place = FIELDS.iter().position(|name| *name == field)?;
        self.0.get(place)?.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }

    fn need(self, field: &str) -> Result<&'a str, String> {
        self.get(field).ok_or_else(|| format!("has no {field}"))
    }
}

fn transfer(row: &Texts<'_>, from: (&Arc<str>, u64), coins: &mut Coins, tokens: &Tokens) -> Result<Transfer, String> {
    let time = row.need("time")?;
    let time = moment(time).ok_or_else(|| format!("time \"{time}\" is neither a day nor a moment of 2015 to 2099"))?;
    let held = row.get("held").map(id);
    let action = match row.get("action").unwrap_or("post") {
        "post" => Action::Post(entry(row, coins, tokens)?),
        "hold" => Action::Hold(entry(row, coins, tokens)?),
        "post-held" => {
            let amount = row.get("amount_raw").map(|text| Raw::parse_units(text).map(Raw::units));
            let amount = amount.transpose().map_err(|why| format!("amount_raw {why}"))?;
            if row.get("amount").is_some() {
                return Err("of what was held, a part is given in amount_raw".to_owned());
            }
            Action::PostHeld { held: held.ok_or("has no held")?, amount }
        }
        "void-held" => Action::VoidHeld { held: held.ok_or("has no held")? },
        other => return Err(format!("there is no action \"{other}\"; there are post, hold, post-held, void-held")),
    };
    let usd = row.get("usd").map(Usd8::parse_rounding).transpose().map_err(|why| format!("usd {why}"))?;
    if usd.is_some_and(|usd| usd.0 < 0) {
        return Err("usd is negative".to_owned());
    }
    let standing = match row.get("standing") {
        Some(word) => Standing::from_word(word).ok_or_else(|| format!("there is no standing \"{word}\""))?,
        None => Standing::Imported,
    };
    let origin = origin(row, from)?;
    let id = match (row.get("id"), &origin) {
        (Some(text), _) => id(text),
        (None, Origin::Transaction { log_index: None, .. }) if part(&action) != SETTLEMENT => {
            let why = "has neither id nor log_index, and one transaction can pay several times; give it one of both";
            return Err(why.to_owned());
        }
        (None, Origin::Transaction { network, transaction, log_index }) => {
            Id::of_log(*network, *transaction, *log_index, &part(&action))
        }
        (None, _) => return Err("has neither id nor tx_hash, so that it could be taken twice".to_owned()),
    };
    Ok(Transfer { id, action, time, usd, standing, origin })
}

/// What of a log a transfer is: the same whatever its accounts and its asset are called in the file, and for what the program itself
/// finds in logs the same as there. Reserves are no part of it, so that the same log with another one is noticed and not taken twice.
fn part(action: &Action) -> String {
    let (entry, what) = match action {
        Action::Post(entry) => (entry, ""),
        Action::Hold(entry) => (entry, "hold "),
        Action::PostHeld { held, .. } => return format!("post-held {}", held.0),
        Action::VoidHeld { held } => return format!("void-held {}", held.0),
    };
    let asset = entry.debit.asset;
    match (entry.debit.code, entry.credit.code) {
        (Code::Cash, Code::SvrReceivable) if asset == Asset::native(asset.network) => format!("{what}{SETTLEMENT}"),
        (Code::SvrReceivable, Code::SvrShare) if asset == Asset::native(asset.network) => format!("{what}{SVR_SHARE}"),
        (Code::Cash, Code::LiquidationFees) => format!("{what}{LIQUIDATION_FEE}"),
        (Code::DeficitRealised, Code::DeficitOwed) => format!("{what}{}", deficit_part(asset.token)),
        (debit, credit) => format!("{what}{} {} {}", debit.word(), credit.word(), asset.token),
    }
}

/// An id as 32 bytes in hexadecimal, or any text.
fn id(text: &str) -> Id {
    text.parse::<B256>().ok().filter(|_| text.starts_with("0x")).map_or_else(|| Id::of_text(text), Id)
}

fn chain(row: &Texts<'_>) -> Result<ChainId, String> {
    let name = row.need("network")?;
    ChainId::from_name(name).ok_or_else(|| format!("network \"{name}\" is no chain"))
}

fn origin(row: &Texts<'_>, (name, number): (&Arc<str>, u64)) -> Result<Origin, String> {
    let Some(hash) = row.get("tx_hash") else {
        return Ok(Origin::File { name: name.clone(), row: number });
    };
    let transaction = hash.parse().map_err(|_| format!("tx_hash \"{hash}\" is no hash of 32 bytes"))?;
    let log_index =
        row.get("log_index").map(str::parse).transpose().map_err(|_| "log_index is no number".to_owned())?;
    Ok(Origin::Transaction { network: chain(row)?, transaction, log_index })
}

fn entry(row: &Texts<'_>, coins: &mut Coins, tokens: &Tokens) -> Result<Entry, String> {
    let (network, name) = (chain(row)?, row.need("asset")?);
    let asset = coins.find(network, name, tokens).map_err(|why| why.to_string())?.ok_or_else(|| {
        format!("asset \"{name}\" is not known on {network}; add it with --tokens, or give another name")
    })?;
    let amount = match (row.get("amount"), row.get("amount_raw")) {
        (Some(text), None) => Raw::parse_tokens(text, coins.of(asset).decimals),
        (None, Some(text)) => Raw::parse_units(text),
        (Some(_), Some(_)) => return Err("has both amount and amount_raw".to_owned()),
        (None, None) => return Err("has neither amount nor amount_raw".to_owned()),
    };
    let amount = amount.map_err(|why| format!("amount {why}"))?.units();
    let side = |field: &str| side(row, field, asset, tokens);
    Ok(Entry { debit: side("debit")?, credit: side("credit")?, amount })
}

/// An account; `reserve` is that of every side that can be about one, `debit_reserve` and `credit_reserve` of theirs.
fn side(row: &Texts<'_>, field: &str, asset: Asset, tokens: &Tokens) -> Result<Account, String> {
    let word = row.need(field)?;
    let code = Code::from_word(word).ok_or_else(|| {
        let known: Vec<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        format!("{field} \"{word}\" is no account; there are {}", known.join(", "))
    })?;
    let named = row.get(&format!("{field}_reserve"));
    if named.is_some() && !code.is_by_reserve() {
        return Err(format!("{word} is about no reserve"));
    }
    let found = named.or_else(|| row.get("reserve").filter(|_| code.is_by_reserve()));
    let about: Option<Address> = match found {
        None => None,
        Some(name) => {
            let known = reserve(asset.network, name, tokens);
            let known = known.ok_or_else(|| format!("reserve \"{name}\" is not known on {}", asset.network))?;
            if known == Asset::NATIVE {
                return Err(format!(
                    "reserve \"{name}\" is the network's native token, of which there is no reserve; name the token that wraps it, as WETH does ETH"
                ));
            }
            Some(known)
        }
    };
    Ok(Account { reserve: about, ..Account::new(code, asset) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::treasury::posting::{Log, Settlement, deficit, liquidation_fee, settle};
    use protocol::time::TimeUs;

    #[test]
    fn a_file_and_the_program_give_one_log_one_id() {
        let network = ChainId::ETHEREUM;
        let (transaction, log_index, time) = (B256::repeat_byte(7), Some(3), TimeUs(1_760_000_000_000_000));
        let log = Log { network, transaction, log_index, time, usd: None, standing: Standing::Exact };
        let token = Tokens::embedded().by_symbol(network, "WETH").unwrap().address;
        let settlement = Settlement { network, transaction, log_index, time, wei: 1, native_usd: None };
        for (found, row) in [
            (liquidation_fee(&log, token, token, 1), ["WETH", "cash", "liquidation-fees"]),
            (deficit(&log, token, 1), ["WETH", "deficit-realised", "deficit-owed"]),
            (settle(&settlement, Standing::Exact), ["native", "cash", "svr-receivable"]),
        ] {
            let texts: Vec<Option<String>> = FIELDS
                .iter()
                .map(|field| match *field {
                    "time" => Some(time.to_string()),
                    "network" => Some("ethereum".to_owned()),
                    "asset" => Some(row[0].to_owned()),
                    "debit" => Some(row[1].to_owned()),
                    "credit" => Some(row[2].to_owned()),
                    "amount_raw" => Some("1".to_owned()),
                    "reserve" if row[0] != "native" => Some("WETH".to_owned()),
                    "tx_hash" => Some(transaction.to_string()),
                    "log_index" => Some("3".to_owned()),
                    _ => None,
                })
                .collect();
            let from: Arc<str> = "a.csv".into();
            let read = transfer(&Texts(&texts), (&from, 1), &mut Coins::default(), Tokens::embedded()).unwrap();
            assert_eq!(read.id, found.id, "{row:?}");
            assert!(read.says_the_same(&found), "{read:?} {found:?}");
        }
    }
}
