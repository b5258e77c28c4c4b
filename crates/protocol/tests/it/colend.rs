//! Colend, a market on V3 code, twice in July 2025: every borrower's health factor from balances read up to 51 seconds
//! before it.
//!
//! What the files do not say is recovered from them, and each recovery is a claim that the rest then tests:
//!
//! * **Prices.** Those beside the balances are a website's. The oracle's are what the largest holders of a single asset
//!   make them: recorded dollars over balance, where at least two accounts agree. One oracle update falls into each
//!   reading of the health factors, which were read in the order of the file: prices before and after it differ by a
//!   factor common to all who hold the asset.
//! * **Collateral bits.** Balances do not say which supply is switched on. The recorded dollars of collateral do: all
//!   supply, or else the one selection of it that adds up to them.
//! * **Holdings in no list.** The lists of holders are not whole (they have a third of CORE's supply). An account whose
//!   recorded dollars exceed what is listed holds something else, and says nothing about arithmetic.
//!
//! Health factors are recorded with four decimals and dollars with two: near 1 the record itself is good for 5e-5.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use alloy_primitives::U256;
use protocol::aave::Revision;
use protocol::aave::account::{Account, AccountData, Block, Leg, Position, Valuation, account_data};
use protocol::aave::config::{ReserveId, UserFlags};
use protocol::aave::reserve::Reserve;
use serde_json::Value;

use crate::recorded::{folder, json_gz, number, reserve, units};

/// Balances and the health factors that follow them, named by the second in which each file was finished.
const SNAPSHOTS: [(u64, u64); 2] = [(1_752_823_866, 1_752_823_902), (1_753_033_331, 1_753_033_365)];

/// From the first balance to the last health factor, in both snapshots.
const GAP_SECONDS: f64 = 51.0;

/// The market's thresholds, as accounts with one collateral show them. No borrower shows SOLVBTCM's.
fn threshold(symbol: &str) -> u16 {
    match symbol {
        "USDT" | "USDC" => 8_000,
        "CORE" | "stCORE" | "WBTC" | "BTCB" => 7_500,
        "SOLVBTCB" | "CLND" => 4_500,
        "SOLVBTCM" => 0,
        other => panic!("{other} is no reserve of this market"),
    }
}

/// The asset whose price the oracle gives: three wrapped bitcoins share one.
fn feed(symbol: &str) -> &str {
    match symbol {
        "SOLVBTCB" | "SOLVBTCM" => "BTCB",
        other => other,
    }
}

/// One reserve as listed.
struct Listed {
    symbol: String,
    decimals: u8,
    /// What the website said one token was worth.
    price: f64,
}

/// One account: listed balances by reserve, and what the pool recorded.
#[derive(Default)]
struct Person {
    supplied: BTreeMap<usize, u128>,
    borrowed: BTreeMap<usize, u128>,
    health: f64,
    collateral: f64,
    debt: f64,
}

struct Snapshot {
    listed: Vec<Listed>,
    /// In the order in which the health factors were read.
    people: Vec<(String, Person)>,
}

impl Snapshot {
    fn read(folder: &Path, (balances, health): (u64, u64)) -> Self {
        let mut listed = Vec::new();
        let mut held: BTreeMap<String, Person> = BTreeMap::new();
        for (id, reserve) in
            json_gz(&folder.join(format!("asset_stats.{balances}.json.gz"))).as_array().unwrap().iter().enumerate()
        {
            listed.push(Listed {
                symbol: reserve["symbol"].as_str().unwrap().to_owned(),
                decimals: u8::try_from(reserve["decimals"].as_u64().unwrap()).unwrap(),
                price: reserve["price"].as_f64().unwrap(),
            });
            for (list, is_debt) in [("aHolders", false), ("aDebtHolders", true)] {
                for (user, balance) in reserve[list].as_object().into_iter().flatten() {
                    let raw: u128 = balance["raw"].as_str().unwrap().parse().unwrap();
                    let person = held.entry(user.to_lowercase()).or_default();
                    let side = if is_debt { &mut person.borrowed } else { &mut person.supplied };
                    if raw != 0 {
                        side.insert(id, raw);
                    }
                }
            }
        }
        let recorded = json_gz(&folder.join(format!("user_health.{health}.json.gz")));
        let people = recorded.as_object().unwrap().iter().map(|(user, says)| {
            let figure = |name| Value::as_str(&says[name]).unwrap().parse::<f64>().unwrap();
            let person = held.remove(user).unwrap_or_default();
            let [health, collateral, debt] = ["healthFactor", "collateralUSD", "debtUSD"].map(figure);
            (user.clone(), Person { health, collateral, debt, ..person })
        });
        Self { people: people.collect(), listed }
    }

    /// Tokens of a reserve at the website's price.
    fn website(&self, id: usize, raw: u128) -> f64 {
        let listed = &self.listed[id];
        raw as f64 / 10_f64.powi(i32::from(listed.decimals)) * listed.price
    }
}

/// What one account with a single supply or a single debt says of a price: the oracle's over the website's.
#[derive(Clone, Copy)]
struct Witness {
    place: usize,
    factor: f64,
    /// Half a cent of what it holds.
    precision: f64,
}

/// The most witnesses whose figures allow what one of them says, the most precise first. Interest moves each by up to 1e-6.
fn majority(witnesses: &[Witness]) -> Vec<Witness> {
    let allows = |one: &Witness, other: &Witness| (one.factor / other.factor - 1.0).abs() <= other.precision + 1e-6;
    let with = |one: &Witness| witnesses.iter().filter(|other| allows(one, other)).copied().collect::<Vec<_>>();
    let mut best = witnesses.iter().map(with).max_by_key(Vec::len).unwrap_or_default();
    best.sort_by(|a, b| a.precision.total_cmp(&b.precision));
    best
}

/// The oracle as the accounts show it, before and after its update.
struct Oracle {
    /// The first account in the file that was read after the update.
    update: usize,
    /// Factors on the website's prices, by feed, and how well each is known.
    factors: [BTreeMap<String, (f64, f64)>; 2],
    /// Whose figures the factors come from.
    witnesses: BTreeSet<usize>,
}

fn witnesses(snapshot: &Snapshot) -> BTreeMap<&str, Vec<Witness>> {
    let mut found: BTreeMap<&str, Vec<Witness>> = BTreeMap::new();
    for (place, (_, person)) in snapshot.people.iter().enumerate() {
        for (side, dollars) in [(&person.supplied, person.collateral), (&person.borrowed, person.debt)] {
            if let (1, Some((id, raw))) = (side.len(), side.first_key_value())
                && dollars > 20.0
            {
                let witness =
                    Witness { place, factor: dollars / snapshot.website(*id, *raw), precision: 0.005 / dollars };
                found.entry(feed(&snapshot.listed[*id].symbol)).or_default().push(witness);
            }
        }
    }
    found
}

impl Oracle {
    fn recover(snapshot: &Snapshot) -> Self {
        let found = witnesses(snapshot);
        // The two prices most witnesses of a feed agree on are those before and after the update.
        let mut sides = Vec::new();
        for of_feed in found.values() {
            let of_feed: Vec<_> = of_feed.iter().filter(|one| one.precision < 1e-5).copied().collect();
            let first = majority(&of_feed);
            let rest: Vec<_> =
                of_feed.iter().filter(|one| !first.iter().any(|other| other.place == one.place)).copied().collect();
            let second = majority(&rest);
            if second.len() >= 5 {
                let middle = |side: &[Witness]| side.iter().map(|witness| witness.place).sum::<usize>() / side.len();
                let is_later = middle(&first) > middle(&second);
                sides.extend(first.iter().map(|witness| (witness.place, is_later)));
                sides.extend(second.iter().map(|witness| (witness.place, !is_later)));
            }
        }
        let misplaced =
            |update: usize| sides.iter().filter(|(place, is_later)| (*place >= update) != *is_later).count();
        let update = sides.iter().map(|(place, _)| *place).min_by_key(|place| misplaced(*place)).unwrap();
        let mut oracle = Self { update, factors: [BTreeMap::new(), BTreeMap::new()], witnesses: BTreeSet::new() };
        for (feed, of_feed) in found {
            for is_later in [false, true] {
                let then: Vec<_> = of_feed.iter().filter(|one| (one.place >= update) == is_later).copied().collect();
                let agreed = majority(&then);
                if agreed.len() >= 2 {
                    let heard = &agreed[..agreed.len().min(8)];
                    let weight = |witness: &Witness| 1.0 / (witness.precision * witness.precision);
                    let sum: f64 = heard.iter().map(|witness| witness.factor * weight(witness)).sum();
                    let weights: f64 = heard.iter().map(weight).sum();
                    let factor = (sum / weights, 1.0 / weights.sqrt());
                    oracle.factors[usize::from(is_later)].insert(feed.to_owned(), factor);
                    oracle.witnesses.extend(heard.iter().map(|witness| witness.place));
                }
            }
        }
        oracle
    }
}

/// The market at one oracle price each; a reserve without a known one is `None`.
struct Market {
    reserves: Vec<Reserve>,
    block: Block,
    /// How well each price is known, relative to it.
    known: Vec<Option<f64>>,
    /// What interest between the two readings can move a balance by.
    interest: f64,
    valuation: Valuation,
    revision: Revision,
}

impl Market {
    fn new(snapshot: &Snapshot, factors: &BTreeMap<String, (f64, f64)>, interest: f64, revision: Revision) -> Self {
        let reserves: Vec<Reserve> =
            snapshot.listed.iter().map(|listed| reserve(listed.decimals, threshold(&listed.symbol), 1)).collect();
        let factor = |listed: &Listed| factors.get(feed(&listed.symbol)).copied();
        let price = |listed: &Listed| units(listed.price * factor(listed).map_or(1.0, |(factor, _)| factor), 8);
        let block = Block { prices: snapshot.listed.iter().map(price).collect(), ..Block::default() };
        let valuation = Valuation::new(revision, &reserves, &BTreeMap::new(), &block).unwrap();
        let known = snapshot.listed.iter().map(|listed| factor(listed).map(|(_, precision)| precision)).collect();
        Self { reserves, block, known, interest, valuation, revision }
    }

    /// The account with these supplies switched on.
    fn value(&self, person: &Person, on: &BTreeSet<usize>) -> AccountData {
        let ids: BTreeSet<usize> = person.supplied.keys().chain(person.borrowed.keys()).copied().collect();
        let mut account = Account::default();
        let mut legs = Vec::new();
        for id in ids {
            let reserve = ReserveId(u8::try_from(id).unwrap());
            let (supplied, borrowed) =
                (person.supplied.get(&id).copied().unwrap_or(0), person.borrowed.get(&id).copied().unwrap_or(0));
            let (is_collateral, is_borrowing) = (on.contains(&id), borrowed != 0);
            legs.push(Leg { supplied, borrowed, stable_debt: 0, reserve, is_collateral, is_borrowing });
            account.flags.set_collateral(reserve, is_collateral);
            account.flags.set_borrowing(reserve, is_borrowing);
            let position =
                Position { supplied: U256::from(supplied), borrowed: U256::from(borrowed), ..Position::default() };
            account.positions.insert(reserve, position);
        }
        let data = self.valuation.account(0, &legs).unwrap();
        let alone = account_data(self.revision, &self.reserves, &BTreeMap::new(), &account, &self.block).unwrap();
        assert!(data == alone || account.flags == UserFlags::default(), "{data:?} in a batch, {alone:?} alone");
        data
    }
}

impl Market {
    /// How far a value may move between the readings, relative to it; `None` where a price is unknown.
    fn drift(&self, person: &Person) -> Option<f64> {
        let counts = |id: &&usize| self.reserves[**id].config.liquidation_threshold.0 != 0;
        let held = person.supplied.keys().filter(counts).chain(person.borrowed.keys());
        let known: Option<Vec<f64>> = held.map(|id| self.known[*id]).collect();
        // Twice what the cents of the witnesses leave open.
        Some(known?.into_iter().fold(0.0, f64::max) * 2.0 + self.interest)
    }
}

/// Why an account does or does not test the arithmetic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Class {
    /// All its debt is in no list.
    DebtUnlisted,
    /// It holds an asset whose price at that moment no two accounts show.
    NoPrice,
    /// It owes more than is listed.
    MoreDebt,
    /// It owed more a minute before: it repaid in between, or the lists are later.
    LessDebt,
    /// It has more collateral than is listed.
    MoreCollateral,
    /// No selection of what is listed adds up to its collateral: it changed in between.
    OtherCollateral,
    /// All its supply is switched on.
    AllOn,
    /// A selection of its supply is switched on.
    SomeOn,
}

/// Dollars are recorded in cents.
const HALF_A_CENT: f64 = 0.005_000_01;

/// Health factors are recorded with four decimals.
const HALF_A_DIGIT: f64 = 0.000_050_000_01;

/// A value in base currency as a number.
fn dollars(value: U256) -> f64 {
    f64::from(value) / 1e8
}

/// The class, and the supplies that are switched on.
fn classify(market: &Market, person: &Person) -> (Class, BTreeSet<usize>) {
    let counts = |id: &&usize| market.reserves[**id].config.liquidation_threshold.0 != 0;
    let on: BTreeSet<usize> = person.supplied.keys().filter(counts).copied().collect();
    if person.borrowed.is_empty() {
        return (Class::DebtUnlisted, on);
    }
    let Some(drift) = market.drift(person) else { return (Class::NoPrice, on) };
    // Half a cent, and what a minute's interest and the price's own uncertainty move.
    let is_recorded = |value: U256, says: f64| (dollars(value) - says).abs() <= HALF_A_CENT + says * drift;
    let data = market.value(person, &on);
    if !is_recorded(data.total_debt, person.debt) {
        return (if dollars(data.total_debt) < person.debt { Class::MoreDebt } else { Class::LessDebt }, on);
    }
    if is_recorded(data.total_collateral, person.collateral) {
        return (Class::AllOn, on);
    }
    if dollars(data.total_collateral) < person.collateral {
        return (Class::MoreCollateral, on);
    }
    let all: Vec<usize> = on.iter().copied().collect();
    let mut selections: Vec<BTreeSet<usize>> = (0..1_usize << all.len())
        .map(|bits| all.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, id)| *id).collect())
        .collect();
    // Largest selections first, so that a speck counts as on where its cents cannot tell.
    selections.sort_by_key(|selection| std::cmp::Reverse(selection.len()));
    let adds_up =
        |selection: &BTreeSet<usize>| is_recorded(market.value(person, selection).total_collateral, person.collateral);
    match selections.into_iter().find(adds_up) {
        Some(selection) => (Class::SomeOn, selection),
        None => (Class::OtherCollateral, on),
    }
}

/// What interest moves a health factor by between the two readings, at most: the largest rates of supply and debt, as
/// the middle holder's balance grew from one snapshot to the next.
fn interest_over_the_gap(snapshots: &[Snapshot; 2]) -> f64 {
    let years = (SNAPSHOTS[1].0 - SNAPSHOTS[0].0) as f64;
    let later: BTreeMap<&String, &Person> = snapshots[1].people.iter().map(|(user, person)| (user, person)).collect();
    let side = |person: &Person, is_debt: bool| {
        if is_debt { person.borrowed.clone() } else { person.supplied.clone() }
    };
    let mut rates = [0.0_f64; 2];
    for is_debt in [false, true] {
        for id in 0..snapshots[0].listed.len() {
            let mut grown: Vec<f64> = snapshots[0]
                .people
                .iter()
                .filter_map(|(user, person)| {
                    let (before, after) = (side(person, is_debt), side(later.get(user)?, is_debt));
                    Some(*after.get(&id)? as f64 / *before.get(&id)? as f64 - 1.0)
                })
                .collect();
            grown.sort_by(f64::total_cmp);
            if let Some(middle) = grown.get(grown.len() / 2) {
                rates[usize::from(is_debt)] = rates[usize::from(is_debt)].max(middle / years);
            }
        }
    }
    (rates[0] + rates[1]) * GAP_SECONDS
}

/// How near a computed health factor is to the recorded one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Match {
    /// Equal in every recorded digit, but for a minute's interest.
    ToTheLastDigit,
    /// Equal with an average threshold one basis point lower: the average is floored, and a speck of collateral that is
    /// in no list and worth less than a cent is enough to take the last basis point.
    ABasisPointOff,
    /// Apart by less than what half a cent of unlisted collateral or debt would do.
    LostInCents,
    /// Nothing of this.
    Unexplained,
}

fn compare(market: &Market, person: &Person, on: &BTreeSet<usize>) -> Match {
    let data = market.value(person, on);
    let (health, drift) = (number(data.health_factor), market.drift(person).unwrap());
    let agrees = |health: f64| (health - person.health).abs() <= HALF_A_DIGIT + person.health * 2.0 * drift;
    let threshold = f64::from(data.liquidation_threshold.0);
    let cents = HALF_A_CENT / person.debt + HALF_A_CENT / person.collateral;
    if agrees(health) {
        Match::ToTheLastDigit
    } else if agrees(health * (threshold - 1.0) / threshold) {
        Match::ABasisPointOff
    } else if (health - person.health).abs() <= HALF_A_DIGIT + person.health * (2.0 * drift + cents * 1.01) {
        Match::LostInCents
    } else {
        Match::Unexplained
    }
}

/// What came of one snapshot under one revision's rules.
#[derive(Default)]
struct Tally {
    classes: BTreeMap<Class, usize>,
    matches: BTreeMap<Match, usize>,
    /// Of those whose figures no price was taken from.
    held_out: BTreeMap<Match, usize>,
    /// Of those who owe at least ten dollars, so that half a cent is little.
    large: BTreeMap<Match, usize>,
    /// Relative errors of those who are accounted for and owe at least a dollar.
    errors: Vec<f64>,
}

fn has_debt(person: &Person) -> bool {
    person.health < 1e50
}

fn run(snapshot: &Snapshot, oracle: &Oracle, interest: f64, revision: Revision) -> Tally {
    let markets = oracle.factors.each_ref().map(|factors| Market::new(snapshot, factors, interest, revision));
    let mut tally = Tally::default();
    for (place, (_, person)) in snapshot.people.iter().enumerate().filter(|(_, (_, person))| has_debt(person)) {
        let market = &markets[usize::from(place >= oracle.update)];
        let (class, on) = classify(market, person);
        *tally.classes.entry(class).or_default() += 1;
        if class < Class::AllOn {
            continue;
        }
        let matched = compare(market, person, &on);
        *tally.matches.entry(matched).or_default() += 1;
        if !oracle.witnesses.contains(&place) {
            *tally.held_out.entry(matched).or_default() += 1;
        }
        if person.debt >= 10.0 {
            *tally.large.entry(matched).or_default() += 1;
        }
        if person.debt >= 1.0 && person.health > 0.0 {
            tally.errors.push((number(market.value(person, &on).health_factor) / person.health - 1.0).abs());
        }
    }
    tally
}

/// Relative errors at the website's prices with every listed supply switched on: what is known before any recovery.
fn before_any_recovery(snapshot: &Snapshot) -> Vec<f64> {
    let market = Market::new(snapshot, &BTreeMap::new(), 0.0, Revision::V3_0_2);
    let listed = snapshot.people.iter().map(|(_, person)| person).filter(|person| has_debt(person));
    let listed = listed.filter(|person| !person.borrowed.is_empty() && person.health > 0.0);
    let error = |person: &Person| {
        let on = person.supplied.keys().copied().collect();
        (number(market.value(person, &on).health_factor) / person.health - 1.0).abs()
    };
    listed.map(error).collect()
}

fn describe(errors: &mut [f64]) -> String {
    let near = [1e-6, 1e-4, 1e-3].map(|bound| errors.iter().filter(|error| **error <= bound).count());
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    format!("{} accounts, median error {median:.1e}; {near:?} within 1e-6, 1e-4, 1e-3", errors.len())
}

/// By how much the oracle's update moved a price, and how well that is known.
fn moved(oracle: &Oracle, feed: &str) -> (f64, f64) {
    let [before, after] = oracle.factors.each_ref().map(|factors| factors[feed]);
    (after.0 / before.0, 2.0 * (before.1 + after.1))
}

/// The share that agrees to the last digit, after saying all there is to say.
fn share(what: &str, matches: &BTreeMap<Match, usize>) -> f64 {
    let agree = matches[&Match::ToTheLastDigit];
    let all: usize = matches.values().sum();
    println!("  {what}: {agree} of {all} to the last digit; {matches:?}");
    agree as f64 / all as f64
}

#[test]
fn every_health_factor_the_lists_account_for_is_reproduced_to_its_last_digit() {
    let Some(folder) = folder("colend_2025-07") else { return };
    let snapshots = SNAPSHOTS.map(|names| Snapshot::read(&folder, names));
    let interest = interest_over_the_gap(&snapshots);
    assert!((5e-7..1e-6).contains(&interest), "{interest}");
    println!("interest over the gap moves a health factor by at most {interest:.1e}");
    for (snapshot, borrowers) in snapshots.iter().zip([1_880, 1_883]) {
        let oracle = Oracle::recover(snapshot);
        let mut tally = run(snapshot, &oracle, interest, Revision::V3_0_2);
        assert_eq!(tally.classes.values().sum::<usize>(), borrowers);
        println!("{borrowers} borrowers: {:?}", tally.classes);
        println!("  at the website's prices: {}", describe(&mut before_any_recovery(snapshot)));
        println!("  at the oracle's, accounted for, at least a dollar of debt: {}", describe(&mut tally.errors));
        // The update is one factor for all who hold an asset, and one for an asset and its staked form.
        let (core, staked) = (moved(&oracle, "CORE"), moved(&oracle, "stCORE"));
        println!("  updated before account {}: CORE by {:.7}, stCORE by {:.7}", oracle.update, core.0, staked.0);
        assert!((core.0 / staked.0 - 1.0).abs() <= core.1 + staked.1 + interest && core.0 > 1.0 + 1e-5);
        assert!(share("all", &tally.matches) > 0.98);
        assert!(share("no price was learned from them", &tally.held_out) > 0.98);
        assert!(share("at least ten dollars of debt", &tally.large) > 0.99);
        assert!(tally.matches.values().sum::<usize>() > 850 && !tally.matches.contains_key(&Match::Unexplained));
        // The market's code floors the average threshold. Rules that do not, since 3.5, fail here: the digits can tell.
        let unaveraged = run(snapshot, &oracle, interest, Revision::V3_6);
        share("by the rules since 3.5", &unaveraged.matches);
        assert!(unaveraged.matches[&Match::Unexplained] > 10);
    }
}
