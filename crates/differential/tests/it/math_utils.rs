//! Aave's own JavaScript library as a second opinion on accounts and on interest.
//!
//! It works in decimals that round elsewhere than the contracts do, so it cannot decide the last unit: amounts here have
//! ten digits and more, so that a unit is less than the tolerance, and spans of time are at most ten days, because it
//! compounds as V2 does, and the cube of a rate per second is only a few of a ray's last digits. Its opinion on what
//! counts, and with which threshold, is independent.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use alloy_primitives::U256;
use differential::artifacts::VARIABLE;
use differential::chance::Chance;
use protocol::aave::Revision;
use protocol::aave::account::{Account, AccountData, Block, Position, account_data};
use protocol::aave::config::{EMode, MAX_RESERVES, ReserveConfig, ReserveId, ReserveSet};
use protocol::aave::interest::{compounded, linear};
use protocol::aave::math::{Bps, Ray, Wad};
use protocol::aave::rates::{RateModel, Rates};
use protocol::aave::reserve::Reserve;
use protocol::aave::revision::{Compounding, EModeRule};
use serde_json::{Value, json};

/// How far the two may be apart, relative to what is compared.
const TOLERANCE: f64 = 1e-9;

const ACCOUNTS: u64 = 600;
const SPANS: u64 = 300;
const NOW: u64 = 1_780_000_000;
const TEN_DAYS: u64 = 864_000;

/// The folder with the packages; `None`, said, where nobody installed them.
fn packages() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/contracts");
    let must_be_there = named.is_some();
    let folder = named.unwrap_or(usual);
    let is_there = ["@aave/math-utils", "tslib"].iter().all(|name| folder.join("node_modules").join(name).is_dir());
    assert!(is_there || !must_be_there, "{}: no @aave/math-utils with its tslib", folder.display());
    if !is_there {
        println!("skipped: @aave/math-utils is not installed; `cargo xtask test` installs it");
    }
    is_there.then_some(folder)
}

/// What the library says, one answer a question.
fn ask(packages: &Path, questions: &[Value]) -> Vec<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("npm/math-utils.mjs");
    let mut node = Command::new("node");
    let mut child =
        node.arg(script).arg(packages).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("node runs");
    let mut input = child.stdin.take().unwrap();
    let lines: String = questions.iter().map(|question| format!("{question}\n")).collect();
    // Written beside the reading, so that neither waits for a full pipe.
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "math-utils.mjs failed");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), questions.len());
    answers
}

/// A market and one account in it.
struct Case {
    revision: Revision,
    reserves: Vec<Reserve>,
    e_modes: BTreeMap<u8, EMode>,
    account: Account,
    block: Block,
}

impl Case {
    fn random(seed: u64) -> Self {
        let mut chance = Chance::new(seed, 0x6d61_7468);
        let revision = chance.pick(&[Revision::V3_0_2, Revision::V3_6]);
        let count = u8::try_from(chance.within(1, 6)).unwrap();
        let mut reserves: Vec<Reserve> = (0..count).map(|_| reserve(&mut chance)).collect();
        let mut e_modes = BTreeMap::new();
        for number in 1..=2 {
            e_modes.insert(number, e_mode(&mut chance, revision, number, &mut reserves));
        }
        let prices = (0..count).map(|_| chance.magnitude(6, 13)).collect();
        let block = Block { now: NOW, prices, ..Block::default() };
        let e_mode = u8::try_from(chance.below(3)).unwrap();
        let account = account(&mut chance, e_mode, &reserves, &e_modes);
        Self { revision, reserves, e_modes, account, block }
    }

    fn valued(&self) -> AccountData {
        account_data(self.revision, &self.reserves, &self.e_modes, &self.account, &self.block).unwrap()
    }

    /// As the library's `formatReserves` and `formatUserSummary` want it.
    fn question(&self) -> Value {
        let ids = || (0..).map(ReserveId).zip(&self.reserves);
        let reserves: Vec<Value> =
            ids().map(|(id, reserve)| listed(id, reserve, self.block.price(id).unwrap())).collect();
        let user_reserves: Vec<Value> = ids()
            .map(|(id, _)| {
                let position = self.account.position(id);
                json!({
                    "underlyingAsset": asset(id),
                    "scaledATokenBalance": position.supplied.to_string(),
                    "usageAsCollateralEnabledOnUser": self.account.flags.is_collateral(id),
                    "scaledVariableDebt": position.borrowed.to_string(),
                })
            })
            .collect();
        let e_modes: Vec<Value> = self.e_modes.iter().map(|(number, e_mode)| category(*number, e_mode)).collect();
        json!({
            "ask": "account",
            "reserves": reserves,
            "eModes": e_modes,
            "userReserves": user_reserves,
            "category": self.account.e_mode,
            "now": self.block.now,
        })
    }
}

fn ray(chance: &mut Chance, least_bps: u64, most_bps: u64) -> Ray {
    let whole = Ray::ONE.0 * U256::from(chance.within(least_bps, most_bps)) / U256::from(10_000);
    Ray(whole + U256::from(chance.bits()))
}

fn reserve(chance: &mut Chance) -> Reserve {
    let threshold = chance.bps(1_000, 9_000);
    let config = ReserveConfig {
        ltv: Bps(chance.bps(1, threshold)),
        liquidation_threshold: Bps(threshold),
        liquidation_bonus: Bps(10_500),
        decimals: chance.pick(&[6, 8, 18]),
        active: true,
        borrowing: true,
        ..ReserveConfig::default()
    };
    let mut reserve = Reserve::new(config, RateModel::default());
    reserve.rates = Rates { liquidity: ray(chance, 1, 3_000), variable: ray(chance, 1, 5_000), ..Rates::default() };
    reserve.liquidity_index = ray(chance, 10_000, 20_000);
    reserve.variable_borrow_index = ray(chance, 10_000, 20_000);
    reserve.last_update = NOW - chance.below(TEN_DAYS);
    reserve
}

/// A category with some of the reserves. To 3.1 a reserve is in one category at most, which the library, made for bitmaps,
/// is told as a bitmap. In 3.6 a reserve may have a threshold in categories alone.
fn e_mode(chance: &mut Chance, revision: Revision, number: u8, reserves: &mut [Reserve]) -> EMode {
    let has_bitmaps = revision.rules().e_mode != EModeRule::OneCategory;
    let mut members = Vec::new();
    for (id, reserve) in (0..).map(ReserveId).zip(reserves) {
        let is_free = has_bitmaps || reserve.config.e_mode_category == 0;
        if is_free && chance.percent(50) {
            reserve.config.e_mode_category = number;
            members.push(id);
            if has_bitmaps && chance.percent(20) {
                (reserve.config.ltv, reserve.config.liquidation_threshold) = (Bps(0), Bps(0));
            }
        }
    }
    let some = |chance: &mut Chance, percent: u64| -> ReserveSet {
        members.iter().copied().filter(|_| chance.percent(percent)).collect()
    };
    EMode {
        ltv: Bps(chance.bps(9_000, 9_300)),
        liquidation_threshold: Bps(chance.bps(9_300, 9_700)),
        liquidation_bonus: Bps(10_100),
        collateral: if has_bitmaps { some(chance, 90) } else { members.iter().copied().collect() },
        borrowable: members.iter().copied().collect(),
        ltv_zero: if has_bitmaps { some(chance, 20) } else { ReserveSet::default() },
        ..EMode::default()
    }
}

/// One to six legs. What has no threshold at all is no collateral here: since 3.6 the pool counts its value all the same,
/// at nothing, and the library leaves it out.
fn account(chance: &mut Chance, e_mode: u8, reserves: &[Reserve], e_modes: &BTreeMap<u8, EMode>) -> Account {
    let mut account = Account { e_mode, ..Account::default() };
    for (id, reserve) in (0..).map(ReserveId).zip(reserves) {
        let in_category = e_modes.get(&e_mode).is_some_and(|category| category.collateral.contains(id));
        let stands = reserve.config.liquidation_threshold.0 != 0 || in_category;
        // A hundred thousand tokens, of a cent and more: eleven digits of any token, and of dollars with eight decimals.
        let least = u64::from(reserve.config.decimals) + 5;
        let mut position = Position::default();
        if chance.percent(75) {
            position.supplied = chance.magnitude(least, least + 5);
            account.flags.set_collateral(id, stands && chance.percent(80));
        }
        if chance.percent(50) {
            position.borrowed = chance.magnitude(least, least + 5);
            account.flags.set_borrowing(id, true);
        }
        account.positions.insert(id, position);
    }
    account
}

fn asset(id: ReserveId) -> String {
    format!("0x{:040x}", u16::from(id.0) + 1)
}

fn listed(id: ReserveId, reserve: &Reserve, price: U256) -> Value {
    let config = &reserve.config;
    json!({
        "id": asset(id),
        "originalId": id.0,
        "symbol": asset(id),
        "name": asset(id),
        "decimals": config.decimals,
        "underlyingAsset": asset(id),
        "usageAsCollateralEnabled": true,
        "reserveFactor": "0",
        "baseLTVasCollateral": config.ltv.0.to_string(),
        "reserveLiquidationThreshold": config.liquidation_threshold.0.to_string(),
        "reserveLiquidationBonus": config.liquidation_bonus.0.to_string(),
        "liquidityIndex": reserve.liquidity_index.0.to_string(),
        "variableBorrowIndex": reserve.variable_borrow_index.0.to_string(),
        "liquidityRate": reserve.rates.liquidity.0.to_string(),
        "variableBorrowRate": reserve.rates.variable.0.to_string(),
        "lastUpdateTimestamp": reserve.last_update,
        "availableLiquidity": "0",
        "totalScaledVariableDebt": "0",
        "borrowCap": "0",
        "supplyCap": "0",
        "debtCeiling": "0",
        "debtCeilingDecimals": 2,
        "isolationModeTotalDebt": "0",
        "virtualUnderlyingBalance": "0",
        "deficit": "0",
        "priceInMarketReferenceCurrency": price.to_string(),
    })
}

fn category(number: u8, e_mode: &EMode) -> Value {
    let bitmap = |set: ReserveSet| -> String {
        (0..MAX_RESERVES).rev().map(|id| if set.contains(ReserveId(id)) { '1' } else { '0' }).collect()
    };
    json!({
        "id": number,
        "eMode": {
            "ltv": e_mode.ltv.0.to_string(),
            "liquidationThreshold": e_mode.liquidation_threshold.0.to_string(),
            "liquidationBonus": e_mode.liquidation_bonus.0.to_string(),
            "label": "",
            "collateralBitmap": bitmap(e_mode.collateral),
            "borrowableBitmap": bitmap(e_mode.borrowable),
            "ltvzeroBitmap": bitmap(e_mode.ltv_zero),
        },
    })
}

/// A figure of an answer.
fn figure(answer: &Value, name: &str) -> f64 {
    answer[name].as_str().unwrap_or_else(|| panic!("no {name} in {answer}")).parse().unwrap()
}

/// How far apart two figures are, relative to the larger.
fn apart(ours: f64, theirs: f64) -> f64 {
    if ours == theirs { 0.0 } else { (ours - theirs).abs() / ours.abs().max(theirs.abs()) }
}

/// The library's average, floored as the pool floors it. Where it is a whole number it may come out a hair below.
fn floored(average: f64) -> f64 {
    (average * 1e4 + 1e-9).floor()
}

#[test]
fn accounts_are_worth_what_the_library_says() {
    let Some(packages) = packages() else { return };
    let cases: Vec<Case> = (0..ACCOUNTS).map(Case::random).collect();
    let answers = ask(&packages, &cases.iter().map(Case::question).collect::<Vec<_>>());
    let mut largest = BTreeMap::<&str, f64>::new();
    let (mut with_debt, mut in_category, mut several) = (0, 0, 0);
    for (seed, (case, answer)) in cases.iter().zip(&answers).enumerate() {
        let data = case.valued();
        let mut compare = |what: &'static str, ours: f64, theirs: f64| {
            let error = apart(ours, theirs);
            assert!(error < TOLERANCE, "account {seed}, {:?}: {what} {ours}, not {theirs}", case.revision);
            let slot = largest.entry(what).or_default();
            *slot = slot.max(error);
        };
        let (collateral, debt) = (figure(answer, "collateral") * 1e8, figure(answer, "debt") * 1e8);
        compare("collateral", f64::from(data.total_collateral), collateral);
        compare("debt", f64::from(data.total_debt), debt);
        let (threshold, ltv) = (floored(figure(answer, "threshold")), floored(figure(answer, "ltv")));
        compare("average threshold", f64::from(data.liquidation_threshold.0), threshold);
        compare("average loan-to-value", f64::from(data.ltv.0), ltv);
        // What can be borrowed is a difference: it is compared on the scale of what it is taken from.
        let power = collateral * ltv / 1e4;
        compare("borrowing power", f64::from(data.available_borrows) + power, (power - debt).max(0.0) + power);
        if data.total_debt.is_zero() {
            assert_eq!((data.health_factor, figure(answer, "health")), (Wad::INFINITE, -1.0));
        } else {
            // To 3.4 the pool takes the floored average, the library never.
            let unaveraged = case.revision.rules().unaveraged_health;
            let theirs = if unaveraged { figure(answer, "health") } else { collateral * threshold / 1e4 / debt };
            compare("health factor", f64::from(data.health_factor.0) / 1e18, theirs);
            with_debt += u32::from(!data.total_collateral.is_zero());
        }
        in_category += u32::from(case.account.e_mode != 0);
        several += u32::from(case.account.positions.len() > 2);
    }
    println!("{ACCOUNTS} accounts, {with_debt} with collateral and debt, {in_category} in a category: {largest:?}");
    assert!(with_debt > 200 && in_category > 200 && several > 200);
}

#[test]
fn interest_grows_as_the_library_says() {
    let Some(packages) = packages() else { return };
    let mut chance = Chance::new(0, 0x7261_7465);
    let spans: Vec<(Ray, u64)> = (0..SPANS).map(|_| (ray(&mut chance, 0, 10_000), chance.below(TEN_DAYS))).collect();
    let question = |(rate, seconds): &(Ray, u64)| json!({"ask": "interest", "rate": rate.0.to_string(), "last": NOW - seconds, "now": NOW});
    let answers = ask(&packages, &spans.iter().map(question).collect::<Vec<_>>());
    let mut largest = [0.0_f64; 2];
    for ((rate, seconds), answer) in spans.into_iter().zip(&answers) {
        let growth = f64::from(linear(rate, NOW - seconds, NOW).unwrap().0);
        let error = apart(growth, figure(answer, "linear"));
        largest[0] = largest[0].max(error);
        for formula in [Compounding::RatePerSecond, Compounding::YearlyRate, Compounding::Taylor] {
            let growth = f64::from(compounded(formula, rate, NOW - seconds, NOW).unwrap().0);
            let error = apart(growth, figure(answer, "compounded"));
            assert!(error < TOLERANCE, "{formula:?} {rate:?} {seconds}");
            largest[1] = largest[1].max(error);
        }
        assert!(error < TOLERANCE, "linear {rate:?} {seconds}");
    }
    println!("{SPANS} spans: linear within {:.1e}, all three compound formulas within {:.1e}", largest[0], largest[1]);
}
