//! The ledger against a model that keeps only lists, and what it refuses.

use super::*;
use crate::treasury::transfer::{Origin, Rate, exchange};
use proptest::prelude::*;
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;

fn asset(number: u8) -> Asset {
    Asset { network: ChainId(1), token: Address::repeat_byte(number) }
}

fn account(code: Code) -> Account {
    Account::new(code, asset(1))
}

fn transfer(id: u64, action: Action) -> Transfer {
    Transfer {
        id: Id::of_text(&id.to_string()),
        action,
        time: TimeUs(1),
        usd: None,
        standing: Standing::Assumed,
        origin: Origin::File { name: "a.csv".into(), row: id },
    }
}

fn entry(debit: Code, credit: Code, amount: u128) -> Entry {
    Entry { debit: account(debit), credit: account(credit), amount }
}

fn opened() -> Ledger {
    let mut ledger = Ledger::default();
    for code in Code::ALL {
        ledger.open(account(code));
        ledger.open(Account::new(code, asset(2)));
    }
    ledger
}

/// What the model knows: posted and held entries by id, and nothing derived.
#[derive(Debug, Default, Clone)]
struct Model {
    said: Vec<Transfer>,
    posted: Vec<(Id, Entry)>,
    held: Vec<(Id, Entry)>,
    settled: Vec<Id>,
}

impl Model {
    fn on(entries: &[(Id, Entry)], account: Account) -> [u128; 2] {
        let sum = |side: fn(&Entry) -> Account| {
            entries.iter().filter(|(_, entry)| side(entry) == account).map(|(_, entry)| entry.amount).sum()
        };
        [sum(|entry| entry.debit), sum(|entry| entry.credit)]
    }

    /// Whether the transfer may be posted, and the model after it.
    fn one(&mut self, transfer: &Transfer) -> bool {
        if self.said.iter().any(|said| said.id == transfer.id) {
            return false;
        }
        let mut after = self.clone();
        match transfer.action {
            Action::Post(entry) => after.posted.push((transfer.id, entry)),
            Action::Hold(entry) => after.held.push((transfer.id, entry)),
            Action::PostHeld { held, amount } => {
                let Some((_, entry)) = self.held.iter().find(|(id, _)| *id == held) else { return false };
                let amount = amount.unwrap_or(entry.amount);
                if amount > entry.amount {
                    return false;
                }
                after.held.retain(|(id, _)| *id != held);
                after.settled.push(held);
                after.posted.push((transfer.id, Entry { amount, ..*entry }));
            }
            Action::VoidHeld { held } => {
                if !self.held.iter().any(|(id, _)| *id == held) {
                    return false;
                }
                after.held.retain(|(id, _)| *id != held);
                after.settled.push(held);
            }
        }
        let touched = after.posted.iter().chain(&after.held);
        if touched.clone().any(|(_, entry)| {
            entry.amount == 0 || entry.debit.asset != entry.credit.asset || entry.debit == entry.credit
        }) {
            return false;
        }
        for account in touched.flat_map(|(_, entry)| [entry.debit, entry.credit]) {
            let ([debits, credits], [debits_held, credits_held]) =
                (Self::on(&after.posted, account), Self::on(&after.held, account));
            let is_below = if account.code == Code::DeficitOwed {
                debits + debits_held > credits
            } else {
                let spent = [Code::Cash, Code::LossBuffer, Code::Deposits].contains(&account.code);
                spent && credits + credits_held > debits
            };
            if is_below {
                return false;
            }
        }
        after.said.push(transfer.clone());
        *self = after;
        true
    }

    fn group(&mut self, group: &[Transfer]) -> bool {
        let before = self.clone();
        let posted = group.iter().all(|transfer| self.one(transfer));
        if !posted {
            *self = before;
        }
        posted
    }
}

fn codes() -> impl Strategy<Value = Code> {
    prop::sample::select(vec![
        Code::Cash,
        Code::LossBuffer,
        Code::Deposits,
        Code::DeficitOwed,
        Code::DeficitRealised,
        Code::SvrShare,
        Code::OpeningEquity,
    ])
}

fn entries() -> impl Strategy<Value = Entry> {
    (codes(), codes(), 0_u128..50, 1_u8..3, prop::bool::weighted(0.05)).prop_map(
        |(debit, credit, amount, number, is_other)| Entry {
            debit: Account::new(debit, asset(number)),
            credit: Account::new(credit, asset(if is_other { 3 - number } else { number })),
            amount,
        },
    )
}

/// Few ids, so that they collide.
fn transfers() -> impl Strategy<Value = Transfer> {
    let ids = 0_u64..40;
    let held = (0_u64..40).prop_map(|id| Id::of_text(&id.to_string()));
    let action = prop_oneof![
        6 => entries().prop_map(Action::Post),
        3 => entries().prop_map(Action::Hold),
        2 => (held.clone(), prop::option::of(1_u128..60)).prop_map(|(held, amount)| Action::PostHeld { held, amount }),
        1 => held.prop_map(|held| Action::VoidHeld { held }),
    ];
    (ids, action).prop_map(|(id, action)| transfer(id, action))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn balances_are_those_of_a_list_of_what_was_posted(
        groups in prop::collection::vec(prop::collection::vec(transfers(), 1..4), 1..60),
    ) {
        let (mut ledger, mut model) = (opened(), Model::default());
        for group in &groups {
            let known = group.iter().all(|one| model.said.iter().any(|said| said.id == one.id));
            let outcomes = ledger.apply_group(group);
            if known {
                let same = group.iter().all(|one| model.said.iter().any(|said| said.says_the_same(one) && said.id == one.id));
                prop_assert_eq!(outcomes.iter().all(|outcome| *outcome == Outcome::Repeated), same);
            } else {
                let posted = model.group(group);
                let expected = if posted { Outcome::Posted } else { Outcome::Refused(Refusal::Linked) };
                let as_expected = |outcome: &Outcome| matches!((outcome, posted), (Outcome::Posted, true) | (Outcome::Refused(_), false));
                prop_assert!(outcomes.iter().all(as_expected), "{outcomes:?}, expected {expected:?} for {group:?}");
            }
            for (account, balance) in ledger.accounts() {
                prop_assert_eq!([balance.debits, balance.credits], Model::on(&model.posted, *account));
                prop_assert_eq!([balance.debits_held, balance.credits_held], Model::on(&model.held, *account));
            }
        }
        prop_assert_eq!(ledger.journal().len(), model.said.len());
        // The journal alone makes the same ledger again, group by group.
        let mut again = opened();
        for group in ledger.journal().chunk_by(|a, b| a.group == b.group) {
            let group: Vec<Transfer> = group.iter().map(|journalled| journalled.transfer.clone()).collect();
            prop_assert!(again.apply_group(&group).iter().all(|outcome| *outcome == Outcome::Posted));
        }
        prop_assert_eq!(again.journal(), ledger.journal());
        prop_assert!(again.accounts().eq(ledger.accounts()));
    }
}

#[test]
fn every_refusal_has_its_reason() {
    let mut ledger = opened();
    let post = |debit, credit, amount| Action::Post(entry(debit, credit, amount));
    let id = |number: u64| Id::of_text(&number.to_string());
    let unknown = Account::new(Code::Cash, asset(9));
    let refused = |why| Outcome::Refused(why);
    for (number, action, expected) in [
        (1, post(Code::Cash, Code::OpeningEquity, 100), Outcome::Posted),
        (1, post(Code::Cash, Code::OpeningEquity, 100), Outcome::Repeated),
        (1, post(Code::Cash, Code::OpeningEquity, 99), refused(Refusal::IdTaken)),
        (1, post(Code::Cash, Code::SvrShare, 100), refused(Refusal::IdTaken)),
        (2, post(Code::Cash, Code::Cash, 1), refused(Refusal::SameAccount)),
        (2, post(Code::Grants, Code::Cash, 0), refused(Refusal::ZeroAmount)),
        (
            2,
            Action::Post(Entry { debit: unknown, credit: Account::new(Code::SvrShare, asset(9)), amount: 1 }),
            refused(Refusal::UnknownAccount(unknown)),
        ),
        (
            2,
            Action::Post(Entry { debit: account(Code::Grants), credit: Account::new(Code::Cash, asset(2)), amount: 1 }),
            refused(Refusal::OtherAsset),
        ),
        (
            2,
            post(Code::Grants, Code::Cash, 101),
            refused(Refusal::Insufficient { account: account(Code::Cash), short_by: 1 }),
        ),
        (2, post(Code::Cash, Code::SvrShare, MAX_38_DIGITS - 99), refused(Refusal::Overflow)),
        (2, post(Code::Cash, Code::SvrShare, u128::MAX), refused(Refusal::Overflow)),
        (2, Action::VoidHeld { held: id(7) }, refused(Refusal::HeldNotFound)),
        // What was posted at once was never held.
        (2, Action::PostHeld { held: id(1), amount: None }, refused(Refusal::HeldNotFound)),
        (3, Action::Hold(entry(Code::Grants, Code::Cash, 60)), Outcome::Posted),
        (
            4,
            post(Code::Buybacks, Code::Cash, 41),
            refused(Refusal::Insufficient { account: account(Code::Cash), short_by: 1 }),
        ),
        (4, Action::PostHeld { held: id(3), amount: Some(61) }, refused(Refusal::HeldExceeded { held: 60 })),
        (4, Action::PostHeld { held: id(3), amount: Some(0) }, refused(Refusal::ZeroAmount)),
        (4, Action::PostHeld { held: id(3), amount: Some(20) }, Outcome::Posted),
        (4, Action::PostHeld { held: id(3), amount: Some(20) }, Outcome::Repeated),
        (5, Action::PostHeld { held: id(3), amount: None }, refused(Refusal::HeldSettled)),
        (5, Action::VoidHeld { held: id(3) }, refused(Refusal::HeldSettled)),
        (
            6,
            post(Code::DeficitOwed, Code::Cash, 1),
            refused(Refusal::Insufficient { account: account(Code::DeficitOwed), short_by: 1 }),
        ),
    ] {
        assert_eq!(ledger.apply(&transfer(number, action)), expected, "{number} {action:?}");
    }
    assert_eq!(ledger.balance(account(Code::Cash)), Balance { debits: 100, credits: 20, ..Balance::default() });
    assert_eq!(ledger.held(id(3)), Some(Held::Posted(20)));
    assert_eq!(ledger.journal().len(), 3);
}

#[test]
fn an_exchange_stands_whole_or_not_at_all() {
    let mut ledger = opened();
    assert_eq!(ledger.apply(&transfer(1, Action::Post(entry(Code::Cash, Code::OpeningEquity, 10)))), Outcome::Posted);
    let rate = Rate { bought: 7, sold: 2 };
    let model = transfer(2, Action::VoidHeld { held: Id::of_text("none") });
    let mut legs = exchange(&model, asset(1), asset(2), 11, rate).unwrap();
    // The second leg is fine by itself; the first sells more than there is.
    legs.swap(0, 1);
    let short = Refusal::Insufficient { account: account(Code::Cash), short_by: 1 };
    assert_eq!(ledger.apply_group(&legs), [Outcome::Refused(Refusal::Linked), Outcome::Refused(short)]);
    assert_eq!(ledger.balance(Account::new(Code::Cash, asset(2))), Balance::default());
    let legs = exchange(&model, asset(1), asset(2), 9, rate).unwrap();
    assert_eq!(ledger.apply_group(&legs), [Outcome::Posted; 2]);
    assert_eq!(ledger.balance(Account::new(Code::Cash, asset(2))).signed(), 31);
    assert_eq!(ledger.apply_group(&legs), [Outcome::Repeated; 2]);
    // A part of a group that was posted is not the group.
    let mixed = [legs[0].clone(), transfer(9, Action::Post(entry(Code::Cash, Code::OpeningEquity, 1)))];
    assert_eq!(
        ledger.apply_group(&mixed),
        [Outcome::Refused(Refusal::GroupKnownInPart), Outcome::Refused(Refusal::Linked)]
    );
    assert_eq!(exchange(&model, asset(1), asset(2), 1, Rate { bought: 1, sold: 2 }), None);
    assert_eq!(exchange(&model, asset(1), asset(2), 1, Rate { bought: 1, sold: 0 }), None);
}

#[test]
fn what_an_amount_was_worth_is_no_part_of_what_a_transfer_says() {
    let mut ledger = opened();
    let first = transfer(1, Action::Post(entry(Code::Cash, Code::OpeningEquity, 10)));
    assert_eq!(ledger.apply(&first), Outcome::Posted);
    for usd in [Some(Usd8(5)), Some(Usd8(6)), None] {
        assert_eq!(ledger.apply(&Transfer { usd, ..first.clone() }), Outcome::Repeated);
    }
    assert_eq!(ledger.apply(&Transfer { time: TimeUs(2), ..first.clone() }), Outcome::Refused(Refusal::IdTaken));
    // The first to say it stays.
    assert_eq!(ledger.transfer(first.id), Some(&first));
}
