//! `tidegate treasury record`: transfers from files, and what liquidations of a dataset brought and cost, into the ledger.

use std::path::Path;

use anyhow::bail;
use engine::treasury::{Outcome, Refusal, Transfer};
use protocol::standing::Standing;
use protocol::token::Tokens;
use source::archive::{Archive, DatasetName, Writer, recaptures};

use super::{account, file, liquidations};
use crate::args::TreasuryRecord;
use crate::commands::import;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;
use crate::treasury::coins::Coins;
use crate::treasury::{BATCH_TRANSFERS, Books};

/// Rejects that are shown one by one.
const SHOWN: usize = 100;

/// What is to be recorded together, and the rows it stands in.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Its transfers.
    pub transfers: Vec<Transfer>,
    /// Their rows.
    pub rows: Vec<u64>,
    /// Why it cannot be taken, where it cannot: the row, and the reason.
    pub reject: Option<(u64, String)>,
}

impl Group {
    /// A transfer by itself.
    pub(super) fn of(transfer: Transfer, row: u64) -> Self {
        Self { transfers: vec![transfer], rows: vec![row], ..Self::default() }
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
    let mut taken = Taken {
        books: Books::load(&archive)?,
        writer: writer.as_ref(),
        tables: tables(),
        standing: None,
        has_taken: false,
    };
    let mut notes = Vec::new();
    for name in &args.dataset {
        let found = gather(&archive, name, &mut taken.books.coins, &tokens)?;
        notes.extend(found.notes.into_iter().map(|note| format!("{}: {note}", text::printable(name))));
        taken.all(name, found.groups, found.unknown)?;
    }
    for path in &args.files {
        let groups = file::read(path, &mut taken.books.coins, &tokens)?;
        taken.all(&path.display().to_string(), groups, Vec::new())?;
    }
    if args.dry_run {
        notes.push("A dry run: nothing was written.".to_owned());
    }
    notes.extend(taken.books.income_twice());
    let is_nothing_taken = !taken.has_taken;
    let [mut rejects, totals] = taken.tables;
    let all = rejects.rows.len();
    // Programs get all of them.
    if args.output.format == output::Format::Text && all > SHOWN {
        rejects.rows.truncate(SHOWN);
        notes.push(format!("{} more rejects are not shown; --format json has them all.", all - SHOWN));
    }
    let tables = if rejects.rows.is_empty() { vec![totals] } else { vec![rejects, totals] };
    let title = "Recorded in the treasury's ledger".to_owned();
    let report = Report { title, standing: taken.standing.unwrap_or(Standing::Imported), notes, tables };
    output::write(&report, &super::super::destination(&args.output))?;
    if is_nothing_taken && all > 0 {
        bail!("nothing was taken; the reasons stand in the report");
    }
    Ok(())
}

fn tables() -> [Table; 2] {
    let rejects = [("source", Unit::Text), ("row", Unit::Count), ("why", Unit::Text)];
    let totals = [
        ("source", Unit::Text),
        ("posted", Unit::Count),
        ("repeated", Unit::Count),
        ("rejected", Unit::Count),
        ("unknown_amounts", Unit::Count),
        ("other_values", Unit::Count),
    ];
    [Table::new("rejects", &rejects), Table::new("recorded", &totals)]
}

struct Taken<'a> {
    books: Books,
    writer: Option<&'a Writer>,
    /// Rejects, and totals by source.
    tables: [Table; 2],
    standing: Option<Standing>,
    /// Whether anything was posted, or stood there already.
    has_taken: bool,
}

impl Taken<'_> {
    /// Posts the groups of one source, a batch at a time.
    fn all(&mut self, source: &str, groups: Vec<Group>, unknown: Vec<(u64, String)>) -> anyhow::Result<()> {
        let [mut posted, mut repeated, mut rejected, mut other_values] = [0_u64; 4];
        let unknowns = unknown.len() as u64;
        for (row, why) in unknown {
            self.reject(source, row, why);
        }
        for group in groups {
            if let Some((row, why)) = group.reject {
                rejected += group.rows.len() as u64;
                for of in group.rows {
                    let why = if of == row {
                        why.clone()
                    } else {
                        format!("another row of its group was refused: row {row}")
                    };
                    self.reject(source, of, why);
                }
                continue;
            }
            let outcomes = self.books.post(&group.transfers);
            for ((outcome, row), transfer) in outcomes.iter().zip(&group.rows).zip(&group.transfers) {
                self.standing = self.standing.max(Some(transfer.standing));
                match outcome {
                    Outcome::Posted => posted += 1,
                    Outcome::Repeated => {
                        repeated += 1;
                        if let Some(why) = self.other_value(transfer) {
                            other_values += 1;
                            self.reject(source, *row, why);
                        }
                    }
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
        self.has_taken |= posted + repeated > 0;
        let counts = [posted, repeated, rejected, unknowns, other_values].map(Value::Count);
        self.tables[1].push([vec![Value::Text(source.to_owned())], counts.to_vec()].concat());
        Ok(())
    }

    /// What a transfer that stands in the ledger is said to have been worth, where that is something else than the ledger says.
    fn other_value(&self, transfer: &Transfer) -> Option<String> {
        let known = self.books.ledger.transfer(transfer.id)?.usd;
        let said = transfer.usd.filter(|said| Some(*said) != known)?;
        let known = known.map_or_else(|| "has no value for it".to_owned(), |known| format!("has {}", text::usd(known)));
        Some(format!(
            "repeated, with a value of {} where the ledger {known}; the ledger stays as it is",
            text::usd(said)
        ))
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
