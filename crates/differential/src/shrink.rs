//! From a run that found a difference to the shortest one that still does.

use std::time::{Duration, Instant};

use alloy_primitives::U256;
use anyhow::Result;

use crate::action::Action;
use crate::deploy::Deployer;
use crate::prove::{Case, Found, kind, replay};
use crate::world::{Rates, ReserveSpec, World};

/// Some differences hang on the last unit of everything before them; those stay long rather than take forever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Drops steps and simplifies worlds and amounts as long as a difference of the same kind stays.
pub fn shrink(deployer: &Deployer<'_>, found: Found) -> Result<Found> {
    let begin = Instant::now();
    let mut best = found;
    loop {
        let before = best.case.clone();
        drop_steps(deployer, &mut best)?;
        drop_world(deployer, &mut best)?;
        simplify_amounts(deployer, &mut best)?;
        if best.case == before || begin.elapsed() > PATIENCE {
            return Ok(best);
        }
    }
}

/// Takes a simpler case over if it still shows a difference.
fn accept(deployer: &Deployer<'_>, best: &mut Found, mut case: Case) -> Result<bool> {
    // A world may be simplified into one that the configurator refuses; that is no difference.
    let Ok(outcome) = replay(deployer, &case) else {
        return Ok(false);
    };
    let Some((length, difference)) = outcome else {
        return Ok(false);
    };
    case.steps.truncate(length);
    // The first difference of a shorter case may be another one: the case is held to the kind it is to show.
    if class(case.steps.last(), &difference) != class(best.case.steps.last(), &best.difference) {
        return Ok(false);
    }
    *best = Found { case, difference };
    Ok(true)
}

/// What kind of difference it is: the kind of step, and the words without numbers.
fn class(step: Option<&Action>, difference: &str) -> (Option<&'static str>, String) {
    let words =
        if difference.starts_with("both refuse") { difference } else { difference.lines().next().unwrap_or("") };
    let words = words.split(['{', '(']).next().unwrap_or(words);
    let hex = |word: &&str| !word.starts_with("0x") && !word.chars().all(|letter| letter.is_ascii_digit());
    (step.map(kind), words.split_whitespace().filter(hex).collect::<Vec<_>>().join(" "))
}

/// Tries without ever smaller runs of steps.
fn drop_steps(deployer: &Deployer<'_>, best: &mut Found) -> Result<()> {
    let mut size = best.case.steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < best.case.steps.len() {
            let mut case = best.case.clone();
            case.steps.drain(at..(at + size).min(case.steps.len()));
            if !accept(deployer, best, case)? {
                at += size;
            }
        }
        size /= 2;
    }
    Ok(())
}

/// Tries without e-modes, sentinel, and the last users and reserves that no step names.
fn drop_world(deployer: &Deployer<'_>, best: &mut Found) -> Result<()> {
    for index in (0..best.case.world.e_modes.len()).rev() {
        let mut case = best.case.clone();
        case.world.e_modes.remove(index);
        accept(deployer, best, case)?;
    }
    if best.case.world.sentinel {
        let mut case = best.case.clone();
        case.world.sentinel = false;
        accept(deployer, best, case)?;
    }
    while best.case.world.users > 1 && best.case.steps.iter().all(|step| highest(step).0 + 1 < best.case.world.users) {
        let mut case = best.case.clone();
        case.world.users -= 1;
        if !accept(deployer, best, case)? {
            break;
        }
    }
    while best.case.steps.iter().all(|step| highest(step).1 + 1 < best.case.world.reserves.len()) {
        let mut case = best.case.clone();
        case.world.reserves.pop();
        let count = case.world.reserves.len();
        for e_mode in &mut case.world.e_modes {
            for list in [&mut e_mode.collateral, &mut e_mode.borrowable, &mut e_mode.ltv_zero] {
                list.retain(|index| *index < count);
            }
        }
        if count == 0 || !accept(deployer, best, case)? {
            break;
        }
    }
    plain_reserves(deployer, best)
}

/// Tries with reserves, or at least interest rates, that have nothing special about them.
fn plain_reserves(deployer: &Deployer<'_>, best: &mut Found) -> Result<()> {
    for index in 0..best.case.world.reserves.len() {
        for spec in
            [ReserveSpec::plain(), ReserveSpec { rates: Rates::plain(), ..best.case.world.reserves[index].clone() }]
        {
            let mut case = best.case.clone();
            case.world.reserves[index] = spec;
            if case != best.case && accept(deployer, best, case)? {
                break;
            }
        }
    }
    Ok(())
}

/// The highest user and reserve that a step names.
fn highest(step: &Action) -> (usize, usize) {
    let text = format!("{step:?}");
    let most = |names: &[&str]| names.iter().filter_map(|name| number(&text, name)).max().unwrap_or(0);
    (most(&[" user: ", " to: ", " of: "]), most(&[" reserve: ", " collateral: ", " debt: "]))
}

fn number(text: &str, name: &str) -> Option<usize> {
    let (_, rest) = text.split_once(name)?;
    rest.split(|digit: char| !digit.is_ascii_digit()).next()?.parse().ok()
}

/// Tries rounder amounts.
fn simplify_amounts(deployer: &Deployer<'_>, best: &mut Found) -> Result<()> {
    for index in 0..best.case.steps.len() {
        let Some(amount) = best.case.steps.get_mut(index).and_then(|step| amount(step).copied()) else {
            continue;
        };
        for simpler in rounder(amount) {
            let mut case = best.case.clone();
            if let Some(slot) = amount_of(&mut case, index) {
                *slot = simpler;
            }
            if accept(deployer, best, case)? {
                break;
            }
        }
    }
    Ok(())
}

fn amount_of(case: &mut Case, index: usize) -> Option<&mut U256> {
    amount(case.steps.get_mut(index)?)
}

/// Fewer digits, down to one.
fn rounder(amount: U256) -> Vec<U256> {
    let digits = amount.to_string().len();
    let ten = |exponent: usize| U256::from(10).pow(U256::from(exponent));
    let rounded = |keep: usize| amount / ten(digits.saturating_sub(keep)) * ten(digits.saturating_sub(keep));
    [1, 2, 4, 8].into_iter().map(rounded).filter(|simpler| *simpler != amount).collect()
}

fn amount(step: &mut Action) -> Option<&mut U256> {
    match step {
        Action::Supply { amount, .. }
        | Action::Withdraw { amount, .. }
        | Action::Borrow { amount, .. }
        | Action::Repay { amount, .. }
        | Action::RepayWithATokens { amount, .. }
        | Action::Transfer { amount, .. }
        | Action::CoverDeficit { amount, .. }
        | Action::Liquidate { amount, .. }
        | Action::Price { price: amount, .. }
        | Action::EModePrice { price: amount, .. } => Some(amount),
        Action::UseAsCollateral { .. }
        | Action::SetEMode { .. }
        | Action::SwapRate { .. }
        | Action::Rebalance { .. }
        | Action::MintToTreasury { .. }
        | Action::Admin(_)
        | Action::Wait { .. }
        | Action::Sentinel { .. } => None,
    }
}

/// Fields that hold big integers, so that a case can be printed as source.
const BIG: [&str; 11] = [
    "amount",
    "price",
    "optimal",
    "base",
    "slope1",
    "slope2",
    "stable_slope1",
    "stable_slope2",
    "stable_base",
    "stable_excess",
    "stable_optimal",
];

/// The case as a test for `tests/cases.rs`.
pub fn source(found: &Found) -> String {
    let World { version, reserves, e_modes, users, sentinel } = &found.case.world;
    let reserves = lines(reserves.iter().map(|spec| format!("{spec:?}")));
    let reserves = reserves.replace(&format!("{:?}", ReserveSpec::plain()), "ReserveSpec::plain()");
    let reserves = reserves.replace(&format!("{:?}", Rates::plain()), "Rates::plain()");
    let e_modes = lines(e_modes.iter().map(|spec| format!("{spec:?}")));
    let steps = lines(found.case.steps.iter().map(|step| format!("{step:?}")));
    let case = format!(
        "Case {{ world: World {{ version: {version:?}, reserves: [{reserves}], e_modes: [{e_modes}], \
         users: {users}, sentinel: {sentinel} }}, steps: [{steps}] }}"
    );
    let case = suffixed(&case.replace('[', "vec!["));
    format!("#[test]\nfn what_it_shows() {{\n    check(&uint! {{ {case} }});\n}}")
}

fn lines(items: impl Iterator<Item = String>) -> String {
    items.fold(String::new(), |text, item| text + "\n        " + &item + ",")
}

/// Adds the suffix by which `uint!` knows big integers.
fn suffixed(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    let starts = |rest: &str| {
        let name = BIG.iter().find(|name| rest.strip_prefix(**name).is_some_and(|after| after.starts_with(": ")))?;
        let after = &rest[name.len() + 2..];
        let number = after.strip_prefix("Some(").unwrap_or(after);
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0).then_some(rest.len() - number.len() + digits)
    };
    while let Some(next) = rest.chars().next() {
        let is_start = out.ends_with([' ', '{']);
        if let Some(length) = starts(rest).filter(|_| is_start) {
            out += &rest[..length];
            out += "_U256";
            rest = &rest[length..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_integers_get_their_suffix() {
        let cases = [
            ("Supply { user: 1, amount: 5, to: 2 }", "Supply { user: 1, amount: 5_U256, to: 2 }"),
            ("{ category: 3, price: 7 }", "{ category: 3, price: 7_U256 }"),
            (
                "EModeSpec { id: 1, price: Some(12), collateral: [] }",
                "EModeSpec { id: 1, price: Some(12_U256), collateral: [] }",
            ),
            ("    stable_slope1: 12,", "    stable_slope1: 12_U256,"),
        ];
        for (plain, expected) in cases {
            assert_eq!(suffixed(plain), expected);
        }
    }

    #[test]
    fn the_highest_names_of_a_step() {
        let amount = U256::from(9);
        assert_eq!(highest(&Action::Supply { user: 1, reserve: 7, amount, to: 4 }), (4, 7));
        let call = Action::Liquidate { user: 2, of: 0, collateral: 5, debt: 3, amount, receive_a_token: true };
        assert_eq!(highest(&call), (2, 5));
    }
}
