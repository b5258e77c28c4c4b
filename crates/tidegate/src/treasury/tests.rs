//! The books on disk against a model of their own, over many operations, crashes and restarts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::treasury::{Account, Action, Asset, Code, Entry, Id, Origin, Outcome, Transfer};
use protocol::Address;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use source::archive::{Archive, Writer, ledger};

use super::Books;

const OPERATIONS: usize = 100_000;

/// Numbers from a seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn is(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }
}

/// An account as the model knows it: asset, place in the chart, reserve.
type Key = (u8, u8, u8);

/// What is held: from where, to where and how much.
type Holding = (Key, Key, i128);

/// What the model was told and took, in its own arithmetic: signed numbers on accounts, and nothing of the ledger's.
#[derive(Debug, Default, Clone)]
struct Model {
    /// Posted, and held on either side.
    accounts: BTreeMap<Key, (i128, i128, i128)>,
    said: BTreeMap<u64, Operation>,
    held: BTreeMap<u64, Holding>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    Post(Key, Key, i128),
    Hold(Key, Key, i128),
    PostHeld(u64, Option<i128>),
    VoidHeld(u64),
}

const CODES: [Code; 6] =
    [Code::Cash, Code::LossBuffer, Code::DeficitOwed, Code::SvrShare, Code::OpeningEquity, Code::Grants];

impl Model {
    /// Whether an operation is taken; a refused one leaves no trace.
    fn take(&mut self, id: u64, operation: &Operation) -> bool {
        let mut after = self.clone_balances();
        let moved = match *operation {
            Operation::Post(debit, credit, amount) | Operation::Hold(debit, credit, amount) => {
                if amount == 0 || debit == credit || debit.0 != credit.0 {
                    return false;
                }
                let holds = matches!(operation, Operation::Hold(..));
                let (left, right) = (after.entry(debit).or_default(), amount);
                if holds {
                    left.1 += right
                } else {
                    left.0 += right
                }
                let left = after.entry(credit).or_default();
                if holds {
                    left.2 += amount
                } else {
                    left.0 -= amount
                }
                [debit, credit]
            }
            Operation::PostHeld(held, some) => {
                let Some((debit, credit, amount)) = self.held.get(&held).copied() else { return false };
                let posted = some.unwrap_or(amount);
                if posted == 0 || posted > amount {
                    return false;
                }
                release(&mut after, debit, credit, amount, posted);
                self.held.remove(&held);
                [debit, credit]
            }
            Operation::VoidHeld(held) => {
                let Some((debit, credit, amount)) = self.held.remove(&held) else { return false };
                release(&mut after, debit, credit, amount, 0);
                [debit, credit]
            }
        };
        for key in moved {
            let (posted, held_left, held_right) = after[&key];
            let is_short = match key.1 {
                0 | 1 => posted - held_right < 0,
                2 => posted + held_left > 0,
                _ => false,
            };
            if is_short {
                return false;
            }
        }
        self.accounts.extend(after);
        if let Operation::Hold(debit, credit, amount) = *operation {
            self.held.insert(id, (debit, credit, amount));
        }
        self.said.insert(id, operation.clone());
        true
    }

    /// Whether a group is taken: all of it or nothing.
    fn take_group(&mut self, group: &[(u64, Operation)]) -> bool {
        let before = self.clone_balances();
        let mut taken: Vec<(u64, Option<(u64, Holding)>)> = Vec::new();
        for (id, operation) in group {
            let of_held = match operation {
                Operation::PostHeld(held, _) | Operation::VoidHeld(held) => self.held.get(held).map(|of| (*held, *of)),
                Operation::Post(..) | Operation::Hold(..) => None,
            };
            if self.said.contains_key(id) || !self.take(*id, operation) {
                self.accounts = before;
                for (id, of_held) in taken.into_iter().rev() {
                    self.said.remove(&id);
                    self.held.remove(&id);
                    self.held.extend(of_held);
                }
                return false;
            }
            taken.push((*id, of_held));
        }
        true
    }

    fn clone_balances(&self) -> BTreeMap<Key, (i128, i128, i128)> {
        self.accounts.clone()
    }
}

fn release(after: &mut BTreeMap<Key, (i128, i128, i128)>, debit: Key, credit: Key, amount: i128, posted: i128) {
    let left = after.entry(debit).or_default();
    (left.0, left.1) = (left.0 + posted, left.1 - amount);
    let right = after.entry(credit).or_default();
    (right.0, right.2) = (right.0 - posted, right.2 - amount);
}

fn account((asset, code, reserve): Key) -> Account {
    let asset = Asset { network: ChainId(1), token: Address::repeat_byte(asset + 1) };
    let account = Account::new(CODES[usize::from(code)], asset);
    if reserve == 0 { account } else { account.of_reserve(Address::repeat_byte(reserve)) }
}

fn id(number: u64) -> Id {
    Id::of_text(&number.to_string())
}

fn transfer(number: u64, operation: &Operation) -> Transfer {
    let entry = |debit: Key, credit: Key, amount: i128| Entry {
        debit: account(debit),
        credit: account(credit),
        amount: u128::try_from(amount).unwrap(),
    };
    let action = match *operation {
        Operation::Post(debit, credit, amount) => Action::Post(entry(debit, credit, amount)),
        Operation::Hold(debit, credit, amount) => Action::Hold(entry(debit, credit, amount)),
        Operation::PostHeld(held, amount) => {
            Action::PostHeld { held: id(held), amount: amount.map(|amount| u128::try_from(amount).unwrap()) }
        }
        Operation::VoidHeld(held) => Action::VoidHeld { held: id(held) },
    };
    Transfer {
        id: id(number),
        action,
        time: TimeUs(1_700_000_000_000_000 + i64::try_from(number).unwrap()),
        usd: None,
        standing: Standing::Imported,
        origin: Origin::File { name: "random".into(), row: number },
    }
}

fn draw(chance: &mut Chance, next: u64) -> Operation {
    let key = |chance: &mut Chance, asset: u8| {
        let small = |number: u64| u8::try_from(number).unwrap();
        (asset, small(chance.below(6)), small(chance.below(2)))
    };
    let asset = u8::try_from(chance.below(3)).unwrap();
    let other = if chance.is(40) { (asset + 1) % 3 } else { asset };
    let (debit, credit) = (key(chance, asset), key(chance, other));
    let amount = if chance.is(50) { 0 } else { i128::from(chance.below(1 << 40)) << chance.below(40) };
    let earlier = next.saturating_sub(1 + chance.below(60));
    match chance.below(10) {
        0..6 => Operation::Post(debit, credit, amount),
        6..8 => Operation::Hold(debit, credit, amount),
        8 => Operation::PostHeld(earlier, (!chance.is(3)).then(|| i128::from(chance.below(1 << 40)))),
        _ => Operation::VoidHeld(earlier),
    }
}

/// Operations that stand or fall together.
type Group = Vec<(u64, Operation)>;

/// One to three operations, some of them asked for before, as they were or otherwise; sometimes a group as it was.
fn draw_group(chance: &mut Chance, next: &mut u64, model: &Model) -> Group {
    let size = 1 + chance.below(3);
    let is_replay = *next > 10 && chance.is(10);
    let first = chance.below((*next).max(1));
    let mut one = |at: u64| {
        let again = is_replay || (*next > 0 && chance.is(30));
        let number = if is_replay { first + at } else { chance.below((*next).max(1)) };
        if again && number < *next {
            let same = model.said.get(&number).filter(|_| !chance.is(6)).cloned();
            return (number, same.unwrap_or_else(|| draw(chance, *next)));
        }
        *next += 1;
        (*next - 1, draw(chance, *next))
    };
    (0..size).map(&mut one).collect()
}

/// How a batch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// It was written, and the program went on.
    Written,
    /// It was written, and the program died before it could say so.
    DiedAfter,
    /// The program died before it wrote anything.
    DiedBefore,
    /// The disk refused.
    Refused,
    /// The program died in the middle of the file.
    DiedWithin,
}

/// Commits as the end has it; whether the batch is on the disk afterwards.
fn commit(books: &mut Books, writer: &Writer, folder: &Path, batch: u64, end: End) -> bool {
    let name = folder.join(format!("{batch:012}.parquet"));
    match end {
        End::Written | End::DiedAfter => {
            books.commit(writer, "random").unwrap();
            true
        }
        End::DiedBefore => false,
        End::Refused => {
            let aside = folder.with_extension("aside");
            fs::rename(folder, &aside).unwrap();
            fs::write(folder, "in the way").unwrap();
            books.commit(writer, "random").unwrap_err();
            fs::remove_file(folder).unwrap();
            fs::rename(&aside, folder).unwrap();
            false
        }
        End::DiedWithin => {
            let head = folder.join("head");
            let before = fs::read(&head).ok();
            books.commit(writer, "random").unwrap();
            let whole = fs::read(&name).unwrap();
            let cut = whole.len() * usize::try_from(batch % 7 + 1).unwrap() / 9;
            fs::write(folder.join(format!(".4242-{batch}.part")), &whole[..cut]).unwrap();
            fs::remove_file(&name).unwrap();
            match before {
                Some(before) => fs::write(&head, before).unwrap(),
                None => fs::remove_file(&head).unwrap(),
            }
            false
        }
    }
}

fn agree(books: &Books, model: &Model) {
    let mut sums: BTreeMap<Asset, i128> = BTreeMap::new();
    for (of, balance) in books.ledger.accounts() {
        *sums.entry(of.asset).or_default() += balance.signed();
    }
    assert!(sums.values().all(|sum| *sum == 0), "nothing is lost or made up");
    for (key, (posted, left, right)) in &model.accounts {
        let balance = books.ledger.balance(account(*key));
        let found = (balance.signed(), balance.debits_held.cast_signed(), balance.credits_held.cast_signed());
        assert_eq!(found, (*posted, *left, *right), "{key:?}");
    }
    assert_eq!(books.ledger.journal().len(), model.said.len());
}

#[test]
fn a_hundred_thousand_operations_with_crashes_lose_nothing_and_make_nothing_up() {
    let home = tempfile::tempdir().unwrap();
    let archive = Archive::at(home.path()).unwrap();
    let folder = ledger::folder(&archive);
    let mut chance = Chance(20_261_128);
    // What is on the disk, and what the program believes.
    let (mut durable, mut model) = (Model::default(), Model::default());
    let mut books = Books::load(&archive).unwrap();
    let (mut next, mut batch, mut done) = (0_u64, 1, 0);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    let mut sizes: BTreeMap<(usize, &str), u64> = BTreeMap::new();
    let mut again: Vec<Group> = Vec::new();
    while done < OPERATIONS {
        let writer = Writer::open(&archive).unwrap();
        let mut asked: Vec<Group> = Vec::new();
        let mut has_new = false;
        for _ in 0..=chance.below(1_000) {
            // After a crash everything that was asked for is asked for again, then new things.
            let group = again.pop().unwrap_or_else(|| draw_group(&mut chance, &mut next, &model));
            done += group.len();
            asked.push(group.clone());
            let transfers: Vec<Transfer> = group.iter().map(|(number, of)| transfer(*number, of)).collect();
            let outcomes = books.post(&transfers);
            let known = group.iter().filter(|(number, _)| model.said.contains_key(number)).count();
            let is_same = group.iter().all(|(number, of)| model.said.get(number) == Some(of));
            let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused(_));
            let (expected, what) = if known == group.len() && is_same {
                (outcomes.iter().all(|outcome| *outcome == Outcome::Repeated), "repeated")
            } else if known > 0 {
                (outcomes.iter().all(refused), "id taken")
            } else if model.take_group(&group) {
                (outcomes.iter().all(|outcome| *outcome == Outcome::Posted), "posted")
            } else {
                (outcomes.iter().all(refused), "refused")
            };
            assert!(expected, "{group:?}: {outcomes:?}, expected {what}");
            *counts.entry(what).or_default() += group.len() as u64;
            *sizes.entry((group.len(), what)).or_default() += 1;
            has_new |= what == "posted";
        }
        let end = match chance.below(14) {
            0 => End::DiedAfter,
            1 => End::DiedBefore,
            2 if has_new && batch > 1 => End::Refused,
            3 if has_new => End::DiedWithin,
            _ => End::Written,
        };
        *ends.entry(end).or_default() += 1;
        if commit(&mut books, &writer, &folder, batch, end) {
            durable = model.clone();
            batch += u64::from(has_new);
        }
        drop(writer);
        if end != End::Written || done >= OPERATIONS {
            // A new program, which knows what the disk knows.
            model = durable.clone();
            // The next writer sweeps before anything is read.
            drop(Writer::open(&archive).unwrap());
            books = Books::load(&archive).unwrap();
            agree(&books, &model);
            asked.reverse();
            again = asked;
        }
    }
    println!("{done} operations: {counts:?}; {} batches, {ends:?}", batch - 1);
    assert!(counts.len() == 4 && counts.values().all(|count| *count > 1_000), "{counts:?}");
    assert!(ends.len() == 5, "{ends:?}");
    assert!(sizes.len() == 12 && sizes.values().all(|count| *count > 20), "{sizes:?}");
    let parts = fs::read_dir(&folder)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0, "nothing half done is left");
}
