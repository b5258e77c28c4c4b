//! What the logs add up to, against what the contracts say: balances, totals, indexes, settings, bits, account data.
//!
//! Totals are what makes it whole: when every booked balance of a token adds up to `scaledTotalSupply`, nobody is missing
//! from the book whose balance is not zero.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};
use engine::book::View;
use engine::book::accounts::Person;
use engine::book::ground::Listed;
use protocol::aave::account::{AccountData, account_data};
use protocol::aave::config::UserFlags;
use protocol::aave::reserve::Reserve;
use protocol::aave::revision::EModeRule;
use protocol::{Address, U256};
use source::archive::proofs::Wrong;
use source::archive::reads::{Answer, ReadKey, Reads};
use source::decode::reads;
use source::proof::Level as By;
use source::sync::reads::ask;

use super::{Difference, Finding, Subject, chance};
use crate::args;
use crate::market::{Folder, Priced};
use crate::text;

/// Differences that are listed; all are counted.
const LISTED: usize = 100;

/// From which the sampled accounts are drawn.
const SEED: u64 = 1;

/// One comparison.
struct Check {
    what: &'static str,
    of: String,
    reserve: Option<Address>,
    account: Option<Address>,
    key: ReadKey,
    expected: Expected,
}

/// What the contract should answer.
enum Expected {
    /// One number.
    Number(U256),
    /// The reserves' assets in the pool's order, zero where one was dropped: a listing that was left out shows here.
    Assets(Vec<Address>),
    /// An account's bits. To 3.3 the pool may keep a borrow bit where nothing is owed any more.
    Bits { own: UserFlags, may_be_stale: bool },
    /// What an account is worth; none where it cannot be valued, and the contract must refuse too.
    Worth(Option<[U256; 6]>),
}

/// Compares the state at the subject's block.
pub(super) async fn compare(subject: &Subject, args: &args::Verify) -> anyhow::Result<Finding> {
    let at = subject.to;
    let mut folder = Folder::new(&subject.archive, &subject.market, &subject.definition)?;
    folder.advance_asking(&subject.client, at).await?;
    let header = subject.client.header(at).await?;
    let time = header.with_context(|| format!("no endpoint has block {at}"))?.time;
    let wanted = folder.reads().missing(&folder.price_keys(at));
    ask(&subject.client, &wanted, folder.reads_mut()).await?;
    let market = Priced::of(&folder, at, time)?;
    let (people, whole) = people(&market, args)?;
    let mut checks = reserves(&market)?;
    let booked = market.view.reserves();
    for person in &people {
        checks.extend(account(&market, &booked, person)?);
    }
    let mut answers = Reads::default();
    let keys: BTreeSet<ReadKey> = checks.iter().map(|check| check.key.clone()).collect();
    ask(&subject.client, &keys.into_iter().collect::<Vec<_>>(), &mut answers).await?;
    judge(subject, &market, &checks, &answers, (people.len(), whole))
}

/// Compares every answer.
fn judge(
    subject: &Subject,
    market: &Priced,
    checks: &[Check],
    answers: &Reads,
    (accounts, whole): (usize, bool),
) -> anyhow::Result<Finding> {
    let mut proof = subject.proof(By::State, subject.to, "balances, totals, indexes, settings and health factors");
    let (mut differences, mut stale, mut largest) = (Vec::new(), 0, U256::ZERO);
    for check in checks {
        let answer = answers.get(&check.key).context("an answer is missing")?;
        proof.checked += 1;
        match differs(check, answer) {
            Same::Yes => {}
            Same::ButForAStaleBit => stale += 1,
            Same::No { chain, ours, by } => {
                proof.wrong += 1;
                largest = largest.max(by);
                if differences.len() < LISTED {
                    let of = check.of.clone();
                    differences.push(Difference { what: check.what, of, chain, ours });
                }
                proof.first_wrong.get_or_insert_with(|| first(subject.to, check, differences.last()));
            }
        }
    }
    proof.whole = whole;
    let mut notes = vec![format!(
        "{} of {} accounts and {} reserves compared at block {}: {} figures, {} differ{}.",
        text::count(accounts as u64),
        text::count(u64::from(market.view.accounts.len())),
        text::count(market.view.listed().iter().filter(|listed| !listed.is_dropped).count() as u64),
        subject.to,
        text::count(proof.checked),
        text::count(proof.wrong),
        if proof.wrong > 0 { format!(", the largest by {largest} smallest units") } else { String::new() },
    )];
    if stale > 0 {
        notes.push(format!(
            "{} accounts have a borrow bit in the pool without any debt, which it may leave behind to 3.3; it changes no figure.",
            text::count(stale)
        ));
    }
    Ok(Finding { proof, differences, notes, blocks: BTreeSet::new(), is_cut_short: false })
}

/// The first thing that is wrong, as a proof keeps it.
fn first(block: u64, check: &Check, difference: Option<&Difference>) -> Wrong {
    let apart = difference.map(|Difference { chain, ours, .. }| format!(": {chain} on the chain, {ours} here"));
    let what = format!("{} of {}{}", check.what, check.of, apart.unwrap_or_default());
    Wrong { block, reserve: check.reserve, account: check.account, what }
}

/// The accounts to compare, and whether they are all.
fn people<'a>(market: &'a Priced, args: &args::Verify) -> anyhow::Result<(Vec<&'a Person>, bool)> {
    let all: Vec<&Person> = market.view.accounts.iter().map(|(_, person)| person).collect();
    if args.accounts == "all" {
        return Ok((all, true));
    }
    let count: usize = args.accounts.parse().context("--accounts is neither a number nor `all`")?;
    if count >= all.len() {
        return Ok((all, true));
    }
    // Half of them the riskiest, where an error would matter most, the rest by lot.
    let reserves = market.view.reserves();
    let risk = |person: &Person| {
        let account = View::account(person);
        let data = account_data(market.revision, &reserves, market.view.e_modes(), &account, &market.block);
        data.map_or(U256::ZERO, |data| data.health_factor.0)
    };
    let mut by_risk: Vec<(U256, &Person)> = all.iter().map(|person| (risk(person), *person)).collect();
    by_risk.sort_by_key(|(risk, person)| (*risk, person.address));
    let mut chosen: Vec<&Person> = by_risk.iter().take(count / 2).map(|(_, person)| *person).collect();
    let mut by_lot: Vec<(u64, &Person)> = by_risk
        .iter()
        .skip(count / 2)
        .map(|(_, person)| {
            let address = person.address.into_array();
            let place = address[12..].iter().fold(0, |place, byte| place << 8 | u64::from(*byte));
            (chance(SEED, place), *person)
        })
        .collect();
    by_lot.sort_by_key(|(lot, person)| (*lot, person.address));
    chosen.extend(by_lot.into_iter().take(count - count / 2).map(|(_, person)| person));
    Ok((chosen, false))
}

fn key(block: u64, target: Address, signature: &str, arguments: &[U256]) -> ReadKey {
    ReadKey { block, target, data: reads::call(signature, arguments) }
}

/// Settings, totals and indexes of every reserve.
fn reserves(market: &Priced) -> anyhow::Result<Vec<Check>> {
    let (view, at, now) = (&market.view, market.at, market.block.now);
    let pool = view.pool().context("no log names the market's pool")?;
    let asset = |listed: &Listed| if listed.is_dropped { Address::ZERO } else { listed.contracts.asset };
    let mut checks = vec![Check {
        what: "reserves",
        of: "the pool".to_owned(),
        reserve: None,
        account: None,
        key: key(at, pool, reads::RESERVES, &[]),
        expected: Expected::Assets(view.listed().iter().map(asset).collect()),
    }];
    for (place, listed) in view.listed().iter().enumerate().filter(|(_, listed)| !listed.is_dropped) {
        let (of, contracts) = (&market.symbols[place], listed.contracts);
        let asset = [reads::word(contracts.asset)];
        let mut check = |what, target, signature: &str, arguments: &[U256], expected| {
            checks.push(Check {
                what,
                of: of.clone(),
                reserve: Some(contracts.asset),
                account: None,
                key: key(at, target, signature, arguments),
                expected: Expected::Number(expected),
            });
        };
        check("settings", pool, reads::CONFIGURATION, &asset, listed.config.to_word());
        check("scaled supply", contracts.a_token, reads::SCALED_SUPPLY, &[], listed.scaled_supply);
        check("scaled debt", contracts.variable, reads::SCALED_SUPPLY, &[], listed.scaled_debt);
        let arithmetic = |cause| anyhow::anyhow!("the indexes of {of} cannot be computed: {cause}");
        check("liquidity index", pool, reads::INCOME, &asset, listed.income(now).map_err(arithmetic)?.0);
        check("debt index", pool, reads::DEBT, &asset, listed.debt(market.revision, now).map_err(arithmetic)?.0);
    }
    Ok(checks)
}

/// Balances, bits, category and worth of one account.
fn account(market: &Priced, reserves: &[Reserve], person: &Person) -> anyhow::Result<Vec<Check>> {
    let (view, at, rules) = (&market.view, market.at, market.revision.rules());
    let pool = view.pool().context("no log names the market's pool")?;
    let who = [reads::word(person.address)];
    let of = person.address.to_string();
    let account = View::account(person);
    let mut checks = Vec::new();
    let mut check = |what, (reserve, of): (Option<Address>, String), target, signature: &str, expected| {
        let key = key(at, target, signature, &who);
        checks.push(Check { what, of, reserve, account: Some(person.address), key, expected });
    };
    let all = (None, of.clone());
    let may_be_stale = !rules.bit_follows_scaled_debt;
    check("bits", all.clone(), pool, reads::USER_CONFIGURATION, Expected::Bits { own: account.flags, may_be_stale });
    if rules.e_mode != EModeRule::None {
        check("e-mode", all.clone(), pool, reads::USER_E_MODE, Expected::Number(U256::from(account.e_mode)));
    }
    let worth = account_data(market.revision, reserves, view.e_modes(), &account, &market.block);
    check("worth", all, pool, reads::ACCOUNT_DATA, Expected::Worth(worth.ok().map(words)));
    for (id, position) in &account.positions {
        let Some(listed) = view.listed().get(usize::from(id.0)) else { bail!("{of} holds what was never listed") };
        let contracts = listed.contracts;
        let name = (Some(contracts.asset), format!("{of} in {}", market.symbols[usize::from(id.0)]));
        if listed.is_dropped {
            continue;
        }
        let supplied = Expected::Number(position.supplied);
        check("scaled supply", name.clone(), contracts.a_token, reads::SCALED_BALANCE, supplied);
        let borrowed = Expected::Number(position.borrowed);
        check("scaled debt", name.clone(), contracts.variable, reads::SCALED_BALANCE, borrowed);
        if rules.stable_debt && !contracts.stable.is_zero() {
            let principal = Expected::Number(position.stable.principal);
            check("stable debt", name.clone(), contracts.stable, reads::STABLE_PRINCIPAL, principal);
            let rate = Expected::Number(position.stable.rate.0);
            check("stable rate", name, contracts.stable, reads::STABLE_RATE, rate);
        }
    }
    Ok(checks)
}

/// As `getUserAccountData` orders them.
fn words(data: AccountData) -> [U256; 6] {
    let [threshold, ltv] = [data.liquidation_threshold, data.ltv].map(|bps| U256::from(bps.0));
    [data.total_collateral, data.total_debt, data.available_borrows, threshold, ltv, data.health_factor.0]
}

/// Whether an answer is what was expected.
enum Same {
    Yes,
    ButForAStaleBit,
    No { chain: String, ours: String, by: U256 },
}

fn differs(check: &Check, answer: &Answer) -> Same {
    let Answer::Returned(bytes) = answer else {
        return match &check.expected {
            Expected::Worth(None) => Same::Yes,
            Expected::Worth(Some(_)) | Expected::Number(_) | Expected::Assets(_) | Expected::Bits { .. } => {
                Same::No { chain: "refused".to_owned(), ours: "an answer".to_owned(), by: U256::ZERO }
            }
        };
    };
    match &check.expected {
        Expected::Number(own) => match reads::number(bytes) {
            Ok(chain) if chain == *own => Same::Yes,
            Ok(chain) => Same::No { chain: chain.to_string(), ours: own.to_string(), by: chain.abs_diff(*own) },
            Err(reject) => unreadable(&reject.to_string()),
        },
        Expected::Assets(own) => match reads::addresses(bytes) {
            Ok(chain) if trimmed(&chain) == trimmed(own) => Same::Yes,
            Ok(chain) => Same::No { chain: format!("{chain:?}"), ours: format!("{own:?}"), by: U256::ZERO },
            Err(reject) => unreadable(&reject.to_string()),
        },
        Expected::Bits { own, may_be_stale } => match reads::number(bytes) {
            Ok(chain) => bits(UserFlags(chain), *own, *may_be_stale),
            Err(reject) => unreadable(&reject.to_string()),
        },
        Expected::Worth(own) => match (reads::account_data(bytes), own) {
            (Ok(chain), Some(own)) if chain == *own => Same::Yes,
            (Ok(chain), Some(own)) => {
                let apart = chain.iter().zip(own).map(|(chain, own)| chain.abs_diff(*own)).max();
                Same::No { chain: format!("{chain:?}"), ours: format!("{own:?}"), by: apart.unwrap_or_default() }
            }
            (Ok(chain), None) => {
                Same::No { chain: format!("{chain:?}"), ours: "cannot be valued".to_owned(), by: U256::ZERO }
            }
            (Err(reject), _) => unreadable(&reject.to_string()),
        },
    }
}

/// Without the places that were dropped: the pool of some revisions leaves them out at the end, of others everywhere.
fn trimmed(assets: &[Address]) -> Vec<Address> {
    assets.iter().copied().filter(|asset| !asset.is_zero()).collect()
}

fn unreadable(why: &str) -> Same {
    Same::No { chain: format!("unreadable: {why}"), ours: "a figure".to_owned(), by: U256::ZERO }
}

/// Collateral bits must be the same; a borrow bit without debt may have been left behind.
fn bits(chain: UserFlags, own: UserFlags, may_be_stale: bool) -> Same {
    if chain == own {
        return Same::Yes;
    }
    let mut without = chain;
    for id in chain.reserves() {
        if chain.is_borrowing(id) && !own.is_borrowing(id) {
            without.set_borrowing(id, false);
        }
    }
    if may_be_stale && without == own {
        return Same::ButForAStaleBit;
    }
    Same::No { chain: format!("{:#x}", chain.0), ours: format!("{:#x}", own.0), by: U256::ZERO }
}
