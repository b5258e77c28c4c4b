//! `tidegate treasury record`: transfers from files, and what liquidations of a dataset brought and cost, into the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use engine::treasury::{Account, Action, Asset, Code, Entry, Id, Origin, Outcome, Refusal, Transfer};
use protocol::amount::{Raw, Usd8};
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::token::Tokens;
use protocol::{Address, B256};
use source::archive::{Archive, DatasetName, Writer, recaptures};
use source::import::fields;

use super::{account, liquidations, moment, reserve};
use crate::args::TreasuryRecord;
use crate::commands::import;
use crate::output::{self, Format};
use crate::table::{Report, Table, Unit, Value};
use crate::text;
use crate::treasury::coins::Coins;
use crate::treasury::{BATCH_TRANSFERS, Books};

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
/// Rejects that are shown one by one.
const SHOWN: usize = 100;

/// What is to be recorded together, and the rows it stands in.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Its transfers.
    pub transfers: Vec<Transfer>,
    /// Their rows.
    pub rows: Vec<u64>,
    /// The name by which rows belong together; none for a row by itself.
    name: Option<String>,
    /// Why it cannot be read, where it cannot: the row, and the reason.
    reject: Option<(u64, String)>,
}

impl Group {
    /// A transfer by itself.
    pub(super) fn of(transfer: Transfer, row: u64) -> Self {
        Self { transfers: vec![transfer], rows: vec![row], ..Self::default() }
    }

    /// A row beside it that cannot be read may be one of its own.
    fn lacks(&mut self, row: u64) {
        let why = format!("row {row} beside its group cannot be read and may belong to it");
        self.reject.get_or_insert((row, why));
    }
}

/// What a dataset was found to have brought and cost.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The transfers of each liquidation.
    pub groups: Vec<Group>,
    /// Rows of which an amount is not known, and why.
    pub unknown: Vec<(u64, String)>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

/// Gathers what a dataset's liquidations brought and cost: a record's recaptured amounts, or a synced market's fees and deficits.
pub(super) fn gather(archive: &Archive, name: &str, coins: &mut Coins, tokens: &Tokens) -> anyhow::Result<Found> {
    let dataset = DatasetName::new(name)?;
    if archive.synced_market(&dataset).is_none() && !recaptures::files(archive, &dataset)?.is_empty() {
        super::recaptures::gather(archive, &dataset, coins, tokens)
    } else {
        liquidations::gather(archive, name, coins, tokens)
    }
}

/// Takes everything that was named.
pub(super) fn run(archive: &Path, args: &TreasuryRecord) -> anyhow::Result<()> {
    let tokens = import::tokens(args.tokens.as_deref())?;
    let archive = Archive::at(archive)?;
    // A dry run looks at what is there, and waits for nobody.
    let writer = if args.dry_run { None } else { Some(Writer::open(&archive)?) };
    let mut taken = Taken { books: Books::load(&archive)?, writer: writer.as_ref(), tables: tables(), standing: None };
    let mut notes = Vec::new();
    for name in &args.dataset {
        let found = gather(&archive, name, &mut taken.books.coins, &tokens)?;
        notes.extend(found.notes.into_iter().map(|note| format!("{}: {note}", text::printable(name))));
        taken.all(name, found.groups, found.unknown)?;
    }
    for path in &args.files {
        let groups = read(path, &mut taken.books.coins, &tokens)?;
        taken.all(&path.display().to_string(), groups, Vec::new())?;
    }
    if args.dry_run {
        notes.push("A dry run: nothing was written.".to_owned());
    }
    let [rejects, totals] = taken.tables;
    let all = rejects.rows.len();
    let mut rejects = rejects;
    if args.output.format == Format::Text && all > SHOWN {
        rejects.rows.truncate(SHOWN);
        notes.push(format!("{} more rejects are not shown.", all - SHOWN));
    }
    let tables = if rejects.rows.is_empty() { vec![totals] } else { vec![rejects, totals] };
    let title = "Recorded in the treasury's ledger".to_owned();
    let report = Report { title, standing: taken.standing.unwrap_or(Standing::Imported), notes, tables };
    output::write(&report, &super::super::destination(&args.output))
}

fn tables() -> [Table; 2] {
    let rejects = [("source", Unit::Text), ("row", Unit::Count), ("why", Unit::Text)];
    let totals = [
        ("source", Unit::Text),
        ("posted", Unit::Count),
        ("repeated", Unit::Count),
        ("rejected", Unit::Count),
        ("unknown_amounts", Unit::Count),
    ];
    [Table::new("rejects", &rejects), Table::new("recorded", &totals)]
}

struct Taken<'a> {
    books: Books,
    writer: Option<&'a Writer>,
    /// Rejects, and totals by source.
    tables: [Table; 2],
    standing: Option<Standing>,
}

impl Taken<'_> {
    /// Posts the groups of one source, a batch at a time.
    fn all(&mut self, source: &str, groups: Vec<Group>, unknown: Vec<(u64, String)>) -> anyhow::Result<()> {
        let [mut posted, mut repeated, mut rejected] = [0_u64; 3];
        let unknowns = unknown.len() as u64;
        for (row, why) in unknown {
            self.reject(source, row, why);
        }
        for group in groups {
            if let Some((row, why)) = group.reject {
                rejected += group.rows.len() as u64;
                self.reject(source, row, why);
                continue;
            }
            let outcomes = self.books.post(&group.transfers);
            for ((outcome, row), transfer) in outcomes.iter().zip(&group.rows).zip(&group.transfers) {
                self.standing = self.standing.max(Some(transfer.standing));
                match outcome {
                    Outcome::Posted => posted += 1,
                    Outcome::Repeated => repeated += 1,
                    Outcome::Refused(why) => {
                        rejected += 1;
                        let why = refusal(why, &self.books.coins);
                        self.reject(source, *row, why);
                    }
                }
            }
            if self.books.waiting() >= BATCH_TRANSFERS {
                self.commit(source)?;
            }
        }
        self.commit(source)?;
        let counts = [posted, repeated, rejected, unknowns].map(Value::Count);
        self.tables[1].push([vec![Value::Text(source.to_owned())], counts.to_vec()].concat());
        Ok(())
    }

    fn commit(&mut self, source: &str) -> anyhow::Result<()> {
        match self.writer {
            Some(writer) => Ok(self.books.commit(writer, &text::harmless(source))?),
            None => Ok(()),
        }
    }

    fn reject(&mut self, source: &str, row: u64, why: String) {
        self.tables[0].push(vec![Value::Text(source.to_owned()), Value::Count(row), Value::Text(why)]);
    }
}

/// Why a transfer was refused, in words.
fn refusal(why: &Refusal, coins: &Coins) -> String {
    match why {
        Refusal::IdTaken => "its id stands in the ledger with another content; give it an id of its own".to_owned(),
        Refusal::UnknownAccount(of) => format!("the account {} is not open", account(*of, coins)),
        Refusal::OtherAsset => "its two accounts are in different assets; use two rows through exchange".to_owned(),
        Refusal::SameAccount => "debit and credit are one account".to_owned(),
        Refusal::ZeroAmount => "its amount is zero".to_owned(),
        Refusal::Overflow => "the asset's books would have more than 38 digits; check the amount's unit".to_owned(),
        Refusal::HeldNotFound => "nothing was held under the id in held".to_owned(),
        Refusal::HeldSettled => "what was held under that id is posted or voided already".to_owned(),
        Refusal::HeldExceeded { held } => format!("more than was held, which is {held} in the smallest unit"),
        Refusal::Insufficient { account: of, short_by } => {
            let coin = coins.of(of.asset);
            let short = text::exact_decimal(protocol::U256::from(*short_by), coin.decimals);
            format!(
                "{} on {} is short by {short} {}; record what it began with or what came in before",
                account(*of, coins),
                of.asset.network,
                coin.symbol
            )
        }
        Refusal::Linked => "another row of its group was refused".to_owned(),
        Refusal::GroupKnownInPart => "a part of its group stands in the ledger without the rest".to_owned(),
    }
}

/// Reads a file into groups: rows with the same name in `group` that follow each other are one.
///
/// Nothing of a group is posted whose rows are not all known. A row that cannot be split into columns may belong to the group on either
/// side of it, and a name that comes again later may be the rest of the first.
fn read(path: &Path, coins: &mut Coins, tokens: &Tokens) -> anyhow::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut broken = None;
    let mut again: BTreeMap<String, u64> = BTreeMap::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let name: Arc<str> = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into();
    fields::read(path, &FIELDS, &NEEDED, &mut |number, row| {
        let one = |texts: &[Option<String>]| transfer(&Texts(texts), (&name, number), coins, tokens);
        let of = row.ok().and_then(|texts| Texts(texts).get("group").map(str::to_owned));
        let belongs = of.is_some() && groups.last().is_some_and(|last| last.name == of);
        if !belongs {
            if row.is_err() {
                broken = Some(number);
                if let Some(last) = groups.last_mut().filter(|last| last.name.is_some()) {
                    last.lacks(number);
                }
            }
            if let Some(of) = &of
                && !named.insert(of.clone())
            {
                again.entry(of.clone()).or_insert(number);
            }
            groups.push(Group { name: of, ..Group::default() });
        }
        if let Some(group) = groups.last_mut() {
            group.rows.push(number);
            match row.map_err(str::to_owned).and_then(one) {
                Ok(transfer) => group.transfers.push(transfer),
                Err(why) => {
                    group.reject.get_or_insert((number, text::harmless(&why)));
                }
            }
            if let Some(row) = broken.filter(|row| number.checked_sub(1) == Some(*row))
                && group.name.is_some()
            {
                group.lacks(row);
            }
        }
        Ok(())
    })?;
    for group in &mut groups {
        if let Some(row) = group.name.as_ref().and_then(|name| again.get(name)) {
            let why = format!("its group comes again in row {row}; rows of a group follow each other");
            group.reject.get_or_insert((group.rows.first().copied().unwrap_or(*row), why));
        }
    }
    Ok(groups)
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
        (None, Origin::Transaction { log_index: None, .. }) if !is_settlement(&action) => {
            return Err("has neither id nor log_index, and one transaction can pay several times; give it one of both"
                .to_owned());
        }
        (None, Origin::Transaction { network, transaction, log_index }) => {
            Id::of_log(*network, *transaction, *log_index, &part(&action))
        }
        (None, _) => return Err("has neither id nor tx_hash, so that it could be taken twice".to_owned()),
    };
    Ok(Transfer { id, action, time, usd, standing, origin })
}

/// Whether it is the safe's transfer to the treasury.
fn is_settlement(action: &Action) -> bool {
    part(action) == "settlement"
}

/// Which of what a transaction gives rise to an action is, whoever tells of it and however it calls the asset.
fn part(action: &Action) -> String {
    let (Action::Post(entry) | Action::Hold(entry)) = action else { return String::new() };
    match (entry.debit.code, entry.credit.code) {
        (Code::Cash, Code::SvrReceivable) => "settlement".to_owned(),
        (Code::SvrReceivable, Code::SvrShare) => "svr share".to_owned(),
        (Code::Cash, Code::LiquidationFees) => "liquidation fee".to_owned(),
        (debit, credit) => format!("{} {} {:#x}", debit.word(), credit.word(), entry.credit.asset.token),
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
    let asset = coins.find(network, name, tokens)?.ok_or_else(|| {
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
            Some(known.ok_or_else(|| format!("reserve \"{name}\" is not known on {}", asset.network))?)
        }
    };
    Ok(Account { reserve: about, ..Account::new(code, asset) })
}
