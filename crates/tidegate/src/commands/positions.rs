//! `tidegate positions`: who holds and owes what, how near liquidation, and what if prices move.

use std::path::Path;

use anyhow::{Context as _, bail};
use engine::book::accounts::Person;
use engine::book::view::View;
use protocol::aave::account::{Account, AccountData, Valuation, account_data};
use protocol::aave::config::{CollateralTerms, ReserveId};
use protocol::aave::math::{Rounding, Wad, value};
use protocol::aave::reserve::Reserve;
use protocol::aave::trigger::{Direction, Path as PricePath, Subject, Trigger, trigger};
use protocol::standing::Standing;
use protocol::{Address, U256};

use crate::args;
use crate::market::Priced;
use crate::output;
use crate::table::{Report, Table, Unit, Value};
use crate::text;

/// Decimals of a health factor.
const WAD_DECIMALS: u8 = 18;

/// A liquidation price is looked for up to this many times today's.
const FARTHEST_RISE: u64 = 1_000;

/// Shows the riskiest accounts, or one.
pub(crate) fn run(archive: &Path, args: &args::Positions) -> anyhow::Result<()> {
    let mut market = Priced::open(archive, args.market.as_deref(), args.block)?;
    let changes = args.price.iter().map(|text| Change::parse(text, &market)).collect::<anyhow::Result<Vec<_>>>()?;
    for change in &changes {
        market.block.prices[usize::from(change.reserve.0)] = change.to;
    }
    let mut report = match &args.account {
        Some(account) => one(&market, super::account(account)?.into())?,
        None => many(&market, args)?,
    };
    if !changes.is_empty() {
        report.standing = Standing::Assumed;
        report.notes.extend(changes.iter().map(|change| change.said(&market)));
    }
    output::write(&report, &super::destination(&args.output))
}

/// A price that is supposed.
struct Change {
    reserve: ReserveId,
    from: U256,
    to: U256,
}

impl Change {
    /// Reads `WETH=-20%`, `WETH=+5%` or `WETH=1800`.
    fn parse(text: &str, market: &Priced) -> anyhow::Result<Self> {
        let shown = text::printable(text);
        let (asset, change) =
            text.split_once('=').with_context(|| format!("--price \"{shown}\" is not ASSET=CHANGE"))?;
        let reserve = market.reserve(asset)?;
        let from = market.block.prices[usize::from(reserve.0)];
        let to = match change.trim().strip_suffix('%') {
            Some(percent) => moved(from, percent),
            None => parse_decimal(change, market.decimals()),
        };
        let to = to.filter(|to| !to.is_zero()).with_context(|| {
            format!("--price \"{shown}\": give a price above zero (1800) or a change in per cent above -100 (-20%)")
        })?;
        Ok(Self { reserve, from, to })
    }

    fn said(&self, market: &Priced) -> String {
        let decimals = market.decimals();
        format!(
            "Assumed: {} at {} and not at {}.",
            market.symbols[usize::from(self.reserve.0)],
            text::decimal(self.to, decimals),
            text::decimal(self.from, decimals)
        )
    }
}

/// A price moved by a decimal number of per cent, floored.
fn moved(price: U256, percent: &str) -> Option<U256> {
    let percent = percent.trim();
    let (falls, digits) = match percent.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, percent.strip_prefix('+').unwrap_or(percent)),
    };
    // Per cent with six decimals: 10^8 of them are the whole.
    let whole = U256::from(100_000_000_u64);
    let change = parse_decimal(digits, 6)?;
    let factor = if falls { whole.checked_sub(change)? } else { whole.checked_add(change)? };
    price.checked_mul(factor)?.checked_div(whole)
}

/// A plain decimal number with at most so many decimals.
fn parse_decimal(text: &str, decimals: u8) -> Option<U256> {
    let (whole, part) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let places = usize::from(decimals);
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || part.len() > places || !plain(whole) || !plain(part) {
        return None;
    }
    format!("{whole}{part}{}", "0".repeat(places - part.len())).parse().ok()
}

/// An account and what it is worth.
struct Valued<'a> {
    person: &'a Person,
    data: AccountData,
}

/// The riskiest accounts.
fn many(market: &Priced, args: &args::Positions) -> anyhow::Result<Report> {
    let decimals = market.decimals();
    let below = args.below.as_deref().map(|text| parse_decimal(text, WAD_DECIMALS).context("--below is no number"));
    let below = below.transpose()?.map(Wad);
    let least = args.min_debt.as_deref().map(|text| parse_decimal(text, decimals).context("--min-debt is no number"));
    let least = least.transpose()?.unwrap_or_default();
    let collateral = args.collateral.as_deref().map(|asset| market.reserve(asset)).transpose()?;
    let debt = args.debt.as_deref().map(|asset| market.reserve(asset)).transpose()?;
    let holds = |person: &Person| {
        collateral.is_none_or(|id| {
            person.is_collateral(id) && person.holdings.iter().any(|held| held.reserve == id && held.supplied != 0)
        }) && debt.is_none_or(|id| person.holdings.iter().any(|held| held.reserve == id && held.borrowed != 0))
    };
    let all = value_all(market)?;
    let owing = all.valued.iter().filter(|valued| !valued.data.total_debt.is_zero());
    let mut chosen: Vec<&Valued<'_>> = owing
        .filter(|valued| valued.data.total_debt >= least && holds(valued.person))
        .filter(|valued| below.is_none_or(|below| valued.data.health_factor < below))
        .collect();
    chosen.sort_by_key(|valued| {
        (valued.data.health_factor, std::cmp::Reverse(valued.data.total_debt), valued.person.address)
    });
    let liquidatable = all.valued.iter().filter(|valued| valued.data.is_liquidatable()).count();
    let mut notes = market.notes();
    notes.push(format!(
        "{} accounts, {} of them owe something, {} can be liquidated; {} fit what was asked.",
        text::count(all.valued.len() as u64),
        text::count(all.valued.iter().filter(|valued| !valued.data.total_debt.is_zero()).count() as u64),
        text::count(liquidatable as u64),
        text::count(chosen.len() as u64),
    ));
    if all.unvalued > 0 {
        notes.push(format!(
            "{} accounts hold an asset whose price or settings are not known at this block, and are left out.",
            text::count(all.unvalued)
        ));
    }
    let kept = if args.top == 0 { chosen.len() } else { args.top };
    let mut table = Table::new(
        "positions",
        &[
            ("account", Unit::Text),
            ("health_factor", Unit::Decimal),
            ("collateral", Unit::Decimal),
            ("debt", Unit::Decimal),
            ("liquidation_threshold", Unit::Share),
            ("e_mode", Unit::Count),
            ("largest_collateral", Unit::Text),
            ("largest_debt", Unit::Text),
            ("standing", Unit::Text),
        ],
    );
    let shown: Vec<&Valued<'_>> = chosen.into_iter().take(kept).collect();
    for valued in &shown {
        let [collateral, debt] = largest(market, valued.person);
        table.push(vec![
            Value::Text(text::address(&valued.person.address.into_array())),
            health(&valued.data),
            Value::Decimal { digits: valued.data.total_collateral, decimals },
            Value::Decimal { digits: valued.data.total_debt, decimals },
            Value::share(i128::from(valued.data.liquidation_threshold.0), 10_000),
            Value::Count(u64::from(valued.person.e_mode)),
            collateral,
            debt,
            Value::Text(market.view.standing(valued.person).to_string()),
        ]);
    }
    let standing = standing(market, shown.iter().map(|valued| market.view.standing(valued.person)));
    Ok(Report { title: market.title("Positions"), standing, notes, tables: vec![table] })
}

/// The weakest standing among accounts; a log that was not understood, or of a stranger, leaves none of them exact.
fn standing(market: &Priced, shown: impl Iterator<Item = Standing>) -> Standing {
    let least = if market.is_whole { Standing::Exact } else { Standing::Observed };
    shown.fold(least, Ord::max)
}

/// Everybody's value, and how many could not be valued.
struct All<'a> {
    valued: Vec<Valued<'a>>,
    unvalued: u64,
}

fn value_all(market: &Priced) -> anyhow::Result<All<'_>> {
    let (view, block) = (&market.view, &market.block);
    let reserves = view.reserves();
    // One price that is missing makes no valuation for all; then each account is valued by itself.
    let fast = Valuation::new(market.revision, &reserves, view.e_modes(), block).ok();
    let mut all = All { valued: Vec::new(), unvalued: 0 };
    for (_, person) in view.accounts.iter() {
        let quick =
            fast.as_ref().and_then(|fast| fast.account(person.e_mode, &view.legs(person, block.now).ok()?).ok());
        let data = match quick {
            Some(data) => Some(data),
            None => account_data(market.revision, &reserves, view.e_modes(), &View::account(person), block).ok(),
        };
        match data {
            Some(data) => all.valued.push(Valued { person, data }),
            None => all.unvalued += 1,
        }
    }
    Ok(all)
}

/// Infinite without debt, which is no number.
fn health(data: &AccountData) -> Value {
    if data.health_factor == Wad::INFINITE {
        return Value::Missing;
    }
    Value::Decimal { digits: data.health_factor.0, decimals: WAD_DECIMALS }
}

/// The names of the collateral and the debt worth most.
fn largest(market: &Priced, person: &Person) -> [Value; 2] {
    let (mut collateral, mut debt) = ((U256::ZERO, None), (U256::ZERO, None));
    for leg in legs(market, person) {
        let Some(worth) = leg.worth else { continue };
        if leg.is_collateral && worth.supplied > collateral.0 {
            collateral = (worth.supplied, Some(leg.reserve));
        }
        if worth.owed > debt.0 {
            debt = (worth.owed, Some(leg.reserve));
        }
    }
    let name =
        |id: Option<ReserveId>| id.map_or(Value::Missing, |id| Value::Text(market.symbols[usize::from(id.0)].clone()));
    [name(collateral.1), name(debt.1)]
}

/// One reserve of one account.
struct Leg {
    reserve: ReserveId,
    is_collateral: bool,
    supplied: U256,
    variable_debt: U256,
    stable_debt: U256,
    terms: CollateralTerms,
    /// None where the asset has no price, which is no matter while it is neither collateral nor debt.
    worth: Option<Worth>,
}

/// What a leg is worth in the market's base currency.
#[derive(Clone, Copy)]
struct Worth {
    price: U256,
    supplied: U256,
    owed: U256,
}

/// An account's reserves with amounts and values; a leg whose amounts cannot be computed is left out, as its account is.
fn legs(market: &Priced, person: &Person) -> Vec<Leg> {
    let (rules, reserves) = (market.revision.rules(), market.view.reserves());
    let account = View::account(person);
    let category = (person.e_mode != 0)
        .then(|| market.view.e_modes().get(&person.e_mode).map(|e_mode| (person.e_mode, *e_mode)))
        .flatten();
    let leg = |id: ReserveId| {
        let reserve = reserves.get(usize::from(id.0))?;
        let (position, now) = (account.position(id), market.block.now);
        let decimals = reserve.config.decimals;
        let supplied = rules.scaling.supply_balance(position.supplied, reserve.normalized_income(now).ok()?).ok()?;
        let variable_debt =
            rules.scaling.debt_balance(position.borrowed, reserve.normalized_debt(rules, now).ok()?).ok()?;
        let stable_debt = position.stable.balance(rules, now).ok()?;
        let owed = variable_debt.checked_add(stable_debt)?;
        let worth = |price: U256| {
            let supplied = value(supplied, price, decimals, Rounding::Floor).ok()?;
            Some(Worth { price, supplied, owed: value(owed, price, decimals, rules.debt_value).ok()? })
        };
        Some(Leg {
            reserve: id,
            is_collateral: account.flags.is_collateral(id),
            supplied,
            variable_debt,
            stable_debt,
            terms: CollateralTerms::of(rules, id, &reserve.config, category),
            worth: market.block.price_in(id, reserve, category).ok().and_then(worth),
        })
    };
    account.positions.keys().copied().filter_map(leg).collect()
}

/// One account with every leg.
fn one(market: &Priced, address: Address) -> anyhow::Result<Report> {
    let person = market.view.accounts.find(&address).and_then(|id| market.view.accounts.get(id));
    let Some(person) = person else {
        bail!("{}: {address} never held or owed anything", market.name);
    };
    let decimals = market.decimals();
    let reserves = market.view.reserves();
    let account = View::account(person);
    let data = account_data(market.revision, &reserves, market.view.e_modes(), &account, &market.block)
        .map_err(|cause| anyhow::anyhow!("{address} cannot be valued at this block: {cause}"))?;
    let base = |digits: U256| Value::Decimal { digits, decimals };
    let mut summary = Table::new(
        "account",
        &[
            ("account", Unit::Text),
            ("health_factor", Unit::Decimal),
            ("collateral", Unit::Decimal),
            ("debt", Unit::Decimal),
            ("available_borrows", Unit::Decimal),
            ("liquidation_threshold", Unit::Share),
            ("ltv", Unit::Share),
            ("e_mode", Unit::Count),
        ],
    );
    summary.push(vec![
        Value::Text(text::address(&address.into_array())),
        health(&data),
        base(data.total_collateral),
        base(data.total_debt),
        base(data.available_borrows),
        Value::share(i128::from(data.liquidation_threshold.0), 10_000),
        Value::share(i128::from(data.ltv.0), 10_000),
        Value::Count(u64::from(person.e_mode)),
    ]);
    let table = legs_table(market, &reserves, person, &account);
    let mut notes = market.notes();
    notes.push(
        "A liquidation price is the first at which the account can be liquidated if that price alone moves: down for \
         collateral, up for debt; none where it never can."
            .to_owned(),
    );
    let standing = standing(market, std::iter::once(market.view.standing(person)));
    Ok(Report { title: market.title(&format!("Account {address}")), standing, notes, tables: vec![summary, table] })
}

/// Every leg, and the price at which it brings the account down.
fn legs_table(market: &Priced, reserves: &[Reserve], person: &Person, account: &Account) -> Table {
    let decimals = market.decimals();
    let base = |digits: U256| Value::Decimal { digits, decimals };
    let mut table = Table::new(
        "legs",
        &[
            ("asset", Unit::Text),
            ("price", Unit::Decimal),
            ("supplied", Unit::Decimal),
            ("supply_value", Unit::Decimal),
            ("is_collateral", Unit::Text),
            ("liquidation_threshold", Unit::Share),
            ("variable_debt", Unit::Decimal),
            ("stable_debt", Unit::Decimal),
            ("debt_value", Unit::Decimal),
            ("liquidation_price", Unit::Decimal),
            ("liquidation_price_change", Unit::Share),
        ],
    );
    let subject =
        Subject { revision: market.revision, reserves, e_modes: market.view.e_modes(), account, block: &market.block };
    for leg in legs(market, person) {
        let token = reserves[usize::from(leg.reserve.0)].config.decimals;
        let amount = |digits: U256| Value::Decimal { digits, decimals: token };
        let worth = |part: fn(&Worth) -> U256| leg.worth.as_ref().map_or(Value::Missing, |worth| base(part(worth)));
        let [at, change] = liquidation_price(&subject, &leg, decimals);
        table.push(vec![
            Value::Text(market.symbols[usize::from(leg.reserve.0)].clone()),
            worth(|worth| worth.price),
            amount(leg.supplied),
            worth(|worth| worth.supplied),
            Value::Text(if leg.is_collateral { "yes" } else { "no" }.to_owned()),
            Value::share(i128::from(leg.terms.liquidation_threshold.0), 10_000),
            amount(leg.variable_debt),
            amount(leg.stable_debt),
            worth(|worth| worth.owed),
            at,
            change,
        ]);
    }
    table
}

/// The price of a leg's asset at which the account becomes liquidatable, and how far that is from today's.
fn liquidation_price(subject: &Subject<'_>, leg: &Leg, decimals: u8) -> [Value; 2] {
    let none = [Value::Missing, Value::Missing];
    let Some(worth) = leg.worth else { return none };
    let direction = if leg.is_collateral && worth.supplied >= worth.owed { Direction::Down } else { Direction::Up };
    let to = match direction {
        Direction::Down => U256::from(1),
        Direction::Up => worth.price.saturating_mul(U256::from(FARTHEST_RISE)),
    };
    let feed = subject.feed(leg.reserve);
    let price = match trigger(subject, &PricePath::Price { feed, to }) {
        Ok(Trigger::Already) => worth.price,
        Ok(Trigger::At(step)) => match step.prices.get(&feed) {
            Some(price) => *price,
            None => return none,
        },
        Ok(Trigger::Never | Trigger::Between { .. }) | Err(_) => return none,
    };
    let signed = |price: U256| i128::try_from(price).ok();
    let change = match (signed(price), signed(worth.price)) {
        (Some(at), Some(today)) => Value::share(at - today, today),
        _ => Value::Missing,
    };
    [Value::Decimal { digits: price, decimals }, change]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_a_price_are_exact() {
        let price = U256::from(300_000_000_000_u64);
        for (text, expected) in [
            ("-20", Some(240_000_000_000_u64)),
            ("+5", Some(315_000_000_000)),
            ("0.5", Some(301_500_000_000)),
            ("-99.999999", Some(3_000)),
            ("-100", Some(0)),
            ("-101", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(moved(price, text), expected.map(U256::from), "{text}");
        }
        assert_eq!(parse_decimal("1800", 8), Some(U256::from(180_000_000_000_u64)));
        assert_eq!(parse_decimal("0.00000001", 8), Some(U256::from(1)));
        assert_eq!(parse_decimal("0.000000001", 8), None, "finer than a price can be");
    }
}
