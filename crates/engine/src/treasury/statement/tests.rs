//! Statements of random ledgers against sums made straight from the entries.

use super::*;
use crate::treasury::{Action, Id, Ledger, Origin, Outcome, Transfer};
use proptest::prelude::*;
use protocol::standing::Standing;

const DECIMALS: u8 = 2;

fn asset(number: u8) -> Asset {
    Asset { network: ChainId(u64::from(number % 2) + 1), token: Address::repeat_byte(number) }
}

/// From 2025-11-30 on, so that a month and a year end early.
fn time(day: i64) -> TimeUs {
    TimeUs::from_day(20_422 + day)
}

fn transfers() -> impl Strategy<Value = Vec<Transfer>> {
    let code = || prop::sample::select(Code::ALL.to_vec());
    let reserve = || prop::option::of(1_u8..3);
    let one = (code(), code(), reserve(), reserve(), 0_u8..3, 1_u128..1_000, 0_i64..100, prop::option::of(0_i128..500));
    prop::collection::vec(one, 1..80).prop_map(|rows| {
        let transfer = |(at, row): (usize, _)| {
            let (debit, credit, debit_reserve, credit_reserve, number, amount, day, usd): (
                _,
                _,
                _,
                _,
                _,
                _,
                _,
                Option<i128>,
            ) = row;
            let account = |code, reserve: Option<u8>| Account {
                reserve: reserve.map(Address::repeat_byte),
                ..Account::new(code, asset(number))
            };
            let entry = Entry { debit: account(debit, debit_reserve), credit: account(credit, credit_reserve), amount };
            Transfer {
                id: Id::of_text(&at.to_string()),
                action: Action::Post(entry),
                time: time(day),
                usd: usd.map(Usd8),
                standing: Standing::Assumed,
                origin: Origin::File { name: "f".into(), row: 1 },
            }
        };
        rows.into_iter().enumerate().map(transfer).collect()
    })
}

fn ledger(transfers: &[Transfer]) -> Ledger {
    let mut ledger = Ledger::default();
    for transfer in transfers {
        ledger.open_for(transfer);
        let _: Outcome = ledger.apply(transfer);
    }
    ledger
}

/// Prices of the first two assets, on every third day.
fn prices() -> Prices {
    let mut prices = Prices::default();
    for number in 0..3 {
        prices.divide(asset(number), DECIMALS);
    }
    for day in (0..100).step_by(3) {
        prices.set(asset(0), time(day), Usd8(i128::from(700 + day)));
        prices.set(asset(1), time(day), Usd8(i128::from(130 + day)));
    }
    prices
}

/// Debits less credits of what a test picks, straight from the journal.
fn net(ledger: &Ledger, until: Month, pick: impl Fn(&Account) -> bool) -> BTreeMap<Asset, i128> {
    let mut sums = BTreeMap::new();
    for journalled in ledger.journal() {
        let Action::Post(Entry { debit, credit, amount }) = journalled.transfer.action else { unreachable!() };
        let civil = civil_from_day(journalled.transfer.time.0.div_euclid(86_400_000_000));
        if (civil.year, civil.month) > (until.year, until.month) {
            continue;
        }
        let amount = i128::try_from(amount).unwrap();
        let sum: &mut i128 = sums.entry(debit.asset).or_default();
        *sum += if pick(&debit) { amount } else { 0 } - if pick(&credit) { amount } else { 0 };
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn raw(lines: &[Line], pick: impl Fn(&Line) -> Option<bool>) -> BTreeMap<Asset, i128> {
    let mut sums = BTreeMap::new();
    for line in lines {
        if let Some(positive) = pick(line) {
            *sums.entry(line.asset).or_default() += if positive { line.raw } else { -line.raw };
        }
    }
    sums.retain(|_, sum: &mut i128| *sum != 0);
    sums
}

proptest! {
    #[test]
    fn assets_are_liabilities_and_equity_in_every_unit(transfers in transfers()) {
        let (ledger, prices) = (ledger(&transfers), prices());
        for per in [Per::Reserve, Per::Network, Per::Consolidated] {
            let lines = balance(ledger.journal(), per, &prices);
            let months: BTreeSet<Month> = lines.iter().map(|line| line.month).collect();
            for month in months {
                let is_asset = |line: &Line| matches!(line.item, Item::Account(code) if code.class() == Class::Asset);
                let left = raw(&lines, |line| (line.month == month && is_asset(line)).then_some(true));
                let right = raw(&lines, |line| (line.month == month && !is_asset(line)).then_some(true));
                prop_assert_eq!(&left, &right);
                prop_assert_eq!(left, net(&ledger, month, |account| account.code.class() == Class::Asset));
                // What is held in common is nobody's in particular: over all parts it is nothing.
                let common = raw(&lines, |line| (line.month == month && line.item == Item::HeldInCommon).then_some(true));
                prop_assert!(common.is_empty(), "{common:?}");
                for part in lines.iter().filter(|line| line.month == month).map(|line| line.part).collect::<BTreeSet<_>>() {
                    let of: Vec<&Line> = lines.iter().filter(|line| line.month == month && line.part == part).collect();
                    let usd: Option<i128> = of.iter()
                        .map(|line| line.usd.map(|usd| if is_asset(line) { usd.0 } else { -usd.0 })).sum();
                    if let Some(usd) = usd {
                        prop_assert_eq!(usd, 0);
                    }
                }
            }
        }
    }

    #[test]
    fn income_is_what_retained_earnings_gain(transfers in transfers()) {
        let (ledger, prices) = (ledger(&transfers), prices());
        for per in [Per::Reserve, Per::Network, Per::Consolidated] {
            let earned = income(ledger.journal(), per, &prices);
            let sheet = balance(ledger.journal(), per, &prices);
            for month in sheet.iter().map(|line| line.month).collect::<BTreeSet<_>>() {
                let so_far = raw(&earned, |line| {
                    let Item::Account(code) = line.item else { unreachable!() };
                    (line.month <= month).then_some(code.class() == Class::Income)
                });
                let retained = raw(&sheet, |line| (line.month == month && line.item == Item::Retained).then_some(true));
                prop_assert_eq!(&so_far, &retained);
                let of_entries = net(&ledger, month, |account| matches!(account.code.class(), Class::Income | Class::Expense));
                prop_assert_eq!(so_far, of_entries.into_iter().map(|(asset, sum)| (asset, -sum)).collect());
            }
        }
    }

    #[test]
    fn cash_flows_come_to_the_change_of_the_sheets_cash(transfers in transfers()) {
        let (ledger, prices) = (ledger(&transfers), prices());
        for per in [Per::Reserve, Per::Network, Per::Consolidated] {
            let flows = cash(ledger.journal(), per, &prices);
            for month in flows.iter().map(|line| line.month).collect::<BTreeSet<_>>() {
                let of = |item: fn(Item) -> bool| raw(&flows, |line| (line.month == month && item(line.item)).then_some(true));
                if per == Per::Reserve {
                    prop_assert!(of(|item| matches!(item, Item::CashBefore | Item::CashAfter)).is_empty());
                    let so_far = raw(&flows, |line| (line.month <= month).then_some(true));
                    prop_assert_eq!(so_far, net(&ledger, month, |account| account.code == Code::Cash));
                    continue;
                }
                let after = of(|item| item == Item::CashAfter);
                prop_assert_eq!(&after, &net(&ledger, month, |account| account.code == Code::Cash));
                prop_assert_eq!(after, of(|item| item != Item::CashAfter));
                prop_assert!(flows.iter().all(|line| line.item != Item::Account(Code::Cash)));
            }
        }
    }

    #[test]
    fn a_value_without_a_price_is_missing_and_counted(transfers in transfers()) {
        let (ledger, prices) = (ledger(&transfers), prices());
        let lines = income(ledger.journal(), Per::Consolidated, &prices);
        for line in &lines {
            prop_assert_eq!(line.usd.is_none(), line.without_usd > 0);
            let Item::Account(code) = line.item else { unreachable!() };
            let (mut sum, mut without) = (0_i128, 0);
            for journalled in ledger.journal().iter().filter(|one| Month::of(one.transfer.time) == line.month) {
                let Action::Post(entry) = journalled.transfer.action else { unreachable!() };
                for (account, positive) in [(entry.debit, false), (entry.credit, true)] {
                    if (account.code, account.asset) != (code, line.asset) {
                        continue;
                    }
                    let day = journalled.transfer.time.day() - time(0).day();
                    let price = match account.asset {
                        found if found == asset(0) && day % 3 == 0 => Some(700 + day),
                        found if found == asset(1) && day % 3 == 0 => Some(130 + day),
                        _ => None,
                    };
                    let amount = i128::try_from(entry.amount).unwrap();
                    let usd = journalled.transfer.usd.map(|usd| usd.0)
                        .or(price.map(|price| amount * i128::from(price) / 100));
                    let grows = (code.class() == Class::Income) == positive;
                    match usd {
                        Some(usd) => sum += if grows { usd } else { -usd },
                        None => without += 1,
                    }
                }
            }
            prop_assert_eq!(line.without_usd, without);
            if without == 0 {
                prop_assert_eq!(line.usd, Some(Usd8(sum)));
            }
        }
    }
}

#[test]
fn months_follow_each_other_and_a_month_without_transfers_stands_too() {
    let january = Month { year: 2026, month: 1 };
    assert_eq!(Month { year: 2025, month: 12 }.next(), january);
    assert_eq!(january.to_string(), "2026-01");
    assert_eq!((january.first_day(), january.last_day()), (20_454, 20_484));
    let post = |id: &str, day, amount| Transfer {
        id: Id::of_text(id),
        action: Action::Post(Entry {
            debit: Account::new(Code::Cash, asset(1)),
            credit: Account::new(Code::SvrShare, asset(1)),
            amount,
        }),
        time: time(day),
        usd: None,
        standing: Standing::Exact,
        origin: Origin::File { name: "f".into(), row: 1 },
    };
    let ledger = ledger(&[post("a", 0, 5), post("b", 65, 7)]);
    let sheet = balance(ledger.journal(), Per::Consolidated, &Prices::default());
    let cash: Vec<(String, i128)> = sheet
        .iter()
        .filter(|line| line.item == Item::Account(Code::Cash))
        .map(|line| (line.month.to_string(), line.raw))
        .collect();
    let expected = [("2025-11", 5), ("2025-12", 5), ("2026-01", 5), ("2026-02", 12)];
    assert_eq!(cash, expected.map(|(month, raw)| (month.to_owned(), raw)));
}
