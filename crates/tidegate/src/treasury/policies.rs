//! Policies as TOML files, and those that come with the program.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use engine::treasury::policy::{Buffer, Policy, Use};
use toml::{Table, Value};

use super::history::{bps, dollars};
use crate::text;

/// The policies that come with the program, by file.
pub(crate) const EMBEDDED: [(&str, &str); 4] = [
    ("fixed.toml", include_str!("../../registry/policies/fixed.toml")),
    ("indexed.toml", include_str!("../../registry/policies/indexed.toml")),
    ("decaying.toml", include_str!("../../registry/policies/decaying.toml")),
    ("at-risk.toml", include_str!("../../registry/policies/at-risk.toml")),
];
/// A file of a policy is no longer than this.
const LONGEST_FILE: u64 = 1 << 20;
/// In a table of amounts: every reserve that is not named.
const OTHERS: &str = "*";
/// Seconds of a day.
const DAY_S: u64 = 86_400;

/// Reads a policy for a history's reserves.
pub(crate) fn read(path: &Path, reserves: &[String]) -> anyhow::Result<Policy> {
    let shown = path.display();
    let length = std::fs::metadata(path).with_context(|| format!("{shown}: cannot read the policy"))?.len();
    ensure!(length <= LONGEST_FILE, "{shown}: {length} bytes are no policy");
    let content = std::fs::read_to_string(path).with_context(|| format!("{shown}: cannot read the policy"))?;
    parse(&content, reserves).with_context(|| format!("{shown}: it is no policy"))
}

/// A policy out of a file's content.
pub(crate) fn parse(content: &str, reserves: &[String]) -> anyhow::Result<Policy> {
    let table: Table =
        content.parse().map_err(|why: toml::de::Error| anyhow::anyhow!("it is no TOML: {}", why.message()))?;
    only(&table, &["name", "says", "buffer", "use"], "a policy")?;
    let name = word(&table, "name", "the policy")?;
    let name_shown = text::printable(&name);
    let buffer =
        table.get("buffer").and_then(Value::as_table).context("it has no [buffer]; say how large buffers are")?;
    let buffer = buffer_of(buffer, reserves).context("in [buffer]")?;
    let uses = match table.get("use") {
        None => Vec::new(),
        Some(uses) => uses.as_array().context("write each use as [[use]]")?.clone(),
    };
    let one = |(at, item): (usize, &Value)| {
        let item = item.as_table().context("write each use as [[use]]")?;
        use_of(item).with_context(|| format!("in [[use]] number {}", at + 1))
    };
    let uses = uses.iter().enumerate().map(one).collect::<anyhow::Result<Vec<_>>>()?;
    let policy = Policy { name, buffer, uses };
    if let Err(flaws) = policy.check(reserves) {
        let flaws: Vec<String> = flaws.iter().map(|flaw| text::harmless(&flaw.to_string())).collect();
        bail!("the policy {name_shown} cannot be carried out: {}", flaws.join("; "));
    }
    Ok(policy)
}

fn buffer_of(table: &Table, reserves: &[String]) -> anyhow::Result<Buffer> {
    match word(table, "kind", "the buffer")?.as_str() {
        "fixed" => {
            only(table, &["kind", "targets"], "a fixed buffer")?;
            Ok(Buffer::Fixed { targets: amounts(table, "targets", reserves)? })
        }
        "indexed" => {
            only(table, &["kind", "start", "factor", "half_life_days"], "an indexed buffer")?;
            let half_life = table.get("half_life_days").map(|days| {
                let days = days.as_integer().and_then(|days| u64::try_from(days).ok()).filter(|days| *days > 0);
                days.and_then(|days| days.checked_mul(DAY_S))
                    .context("half_life_days is no whole number of days above 0")
            });
            Ok(Buffer::Indexed {
                start: if table.contains_key("start") { amounts(table, "start", reserves)? } else { BTreeMap::new() },
                factor: bps(&word(table, "factor", "an indexed buffer")?).context("factor")?,
                half_life_s: half_life.transpose()?,
            })
        }
        "at-risk" => {
            only(table, &["kind", "share", "floor", "cap"], "a buffer by risk")?;
            let of = "a buffer by risk";
            Ok(Buffer::AtRisk {
                share: bps(&word(table, "share", of)?).context("share")?,
                floor: dollars(&word(table, "floor", of)?).context("floor")?,
                cap: dollars(&word(table, "cap", of)?).context("cap")?,
            })
        }
        other => bail!("there is no kind \"{}\"; there are fixed, indexed, at-risk", text::printable(other)),
    }
}

fn use_of(table: &Table) -> anyhow::Result<Use> {
    let kind = word(table, "kind", "a use")?;
    let reserve = word(table, "reserve", "a use")?;
    let share = bps(&word(table, "share", "a use")?).context("share")?;
    match kind.as_str() {
        "deposit" => {
            only(table, &["kind", "reserve", "share"], "a deposit")?;
            Ok(Use::Deposit { reserve, share })
        }
        "incentive" => {
            only(table, &["kind", "reserve", "share", "budget", "end"], "an incentive")?;
            let budget = dollars(&word(table, "budget", "an incentive")?).context("budget")?;
            let end = word(table, "end", "an incentive").context("say when it ends, such as end = \"2027-01-01\"")?;
            let moment = crate::commands::treasury::moment(&end).and_then(|end| u64::try_from(end.second()).ok());
            let end = moment.with_context(|| format!("the end \"{}\" is no day", text::printable(&end)))?;
            Ok(Use::Incentive { reserve, share, budget, end })
        }
        other => bail!("there is no kind \"{}\"; there are deposit, incentive", text::printable(other)),
    }
}

/// Amounts by reserve; `*` stands for every reserve that is not named.
fn amounts(table: &Table, key: &str, reserves: &[String]) -> anyhow::Result<BTreeMap<String, u128>> {
    let named = table.get(key).and_then(Value::as_table);
    let named = named.with_context(|| format!("it has no {key}; give dollars by reserve"))?;
    let mut found = BTreeMap::new();
    for name in named.keys().filter(|name| *name != OTHERS) {
        found.insert(name.clone(), dollars(&word(named, name, key)?).with_context(|| text::printable(name))?);
    }
    if named.contains_key(OTHERS) {
        let others = dollars(&word(named, OTHERS, key)?).context("*")?;
        reserves.iter().for_each(|name| {
            found.entry(name.clone()).or_insert(others);
        });
    }
    Ok(found)
}

/// A text. Numbers are written as text, so that none goes through a float.
fn word(table: &Table, key: &str, of: &str) -> anyhow::Result<String> {
    match table.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Integer(number)) => Ok(number.to_string()),
        Some(_) => bail!("{} of {of} is no text; write it in quotes", text::printable(key)),
        None => bail!("{of} has no {}", text::printable(key)),
    }
}

/// What is misspelt must not be left out silently.
fn only(table: &Table, keys: &[&str], of: &str) -> anyhow::Result<()> {
    match table.keys().find(|key| !keys.contains(&key.as_str())) {
        None => Ok(()),
        Some(key) => bail!("{of} has no \"{}\"; it has {}", text::printable(key), keys.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::aave::math::Bps;

    fn reserves() -> Vec<String> {
        vec!["USDC".to_owned(), "WETH".to_owned()]
    }

    #[test]
    fn the_policies_that_come_with_the_program_can_be_carried_out() {
        let names: Vec<String> =
            EMBEDDED.iter().map(|(_, content)| parse(content, &reserves()).unwrap().name).collect();
        assert_eq!(names, ["fixed", "indexed", "decaying", "at risk"]);
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let content = "name = \"x\"\n[buffer]\nkind = \"indexed\"\nfactor = \"12.5%\"\nhalf_life_days = 2\nstart = { USDC = \"1.5\", \"*\" = 7 }\n\
            [[use]]\nkind = \"incentive\"\nreserve = \"WETH\"\nshare = \"100%\"\nbudget = \"3\"\nend = \"2027-01-01\"\n";
        let policy = parse(content, &reserves()).unwrap();
        let start = [("USDC".to_owned(), 150_000_000), ("WETH".to_owned(), 700_000_000)].into();
        assert_eq!(policy.buffer, Buffer::Indexed { start, factor: Bps(1_250), half_life_s: Some(172_800) });
        let end = 1_798_761_600;
        let reserve = "WETH".to_owned();
        assert_eq!(policy.uses, [Use::Incentive { reserve, share: Bps(10_000), budget: 300_000_000, end }]);
    }

    #[test]
    fn a_wrong_policy_is_refused_with_what_where_and_what_to_do() {
        let with = |buffer: &str, uses: &str| format!("name = \"x\"\n[buffer]\n{buffer}\n{uses}");
        let fixed = "kind = \"fixed\"\ntargets = { \"*\" = \"1\" }";
        let deposit = |reserve: &str, share: &str| {
            format!("[[use]]\nkind = \"deposit\"\nreserve = \"{reserve}\"\nshare = \"{share}\"\n")
        };
        let incentive = "[[use]]\nkind = \"incentive\"\nreserve = \"USDC\"\nshare = \"1%\"\n";
        for (content, says) in [
            ("name = ".to_owned(), vec!["no TOML"]),
            ("name = \"x\"".to_owned(), vec!["no [buffer]"]),
            (with("kind = \"gold\"", ""), vec!["[buffer]", "fixed, indexed, at-risk"]),
            (with("kind = \"fixed\"\ntargets = { DOGE = \"1\" }", ""), vec!["DOGE", "one of its names"]),
            (with("kind = \"fixed\"\ntargets = { USDC = \"-1\" }", ""), vec!["[buffer]", "USDC", "negative"]),
            (with("kind = \"fixed\"\ntargets = { USDC = 1.5 }", ""), vec!["in quotes"]),
            (with("kind = \"indexed\"\nfactor = \"101%\"", ""), vec!["factor", "at most 100%"]),
            (with("kind = \"indexed\"\nfactor = \"-1%\"", ""), vec!["factor", "negative"]),
            (with("kind = \"indexed\"\nfactor = \"1%\"\nhalf_life_days = 0", ""), vec!["half_life_days"]),
            (
                with("kind = \"at-risk\"\nshare = \"1%\"\nfloor = \"2\"\ncap = \"1\"", ""),
                vec!["floor is above the cap"],
            ),
            (with("kind = \"at-risk\"\nshare = \"1%\"\nfloor = \"2\"", ""), vec!["has no cap"]),
            (
                with(fixed, &(deposit("USDC", "60%") + &deposit("WETH", "41%"))),
                vec!["10100 basis points", "at most 10000"],
            ),
            (with(fixed, &deposit("DOGE", "1%")), vec!["DOGE", "one of its names"]),
            (with(fixed, &deposit("USDC", "0.001%")), vec!["[[use]] number 1", "finer"]),
            (with(fixed, &format!("{incentive}budget = \"1\"")), vec!["[[use]] number 1", "has no end", "2027-01-01"]),
            (with(fixed, &format!("{incentive}end = \"2027-01-01\"")), vec!["has no budget"]),
            (with(fixed, &format!("{incentive}budget = \"1\"\nend = \"soon\"")), vec!["\"soon\" is no day"]),
            (
                with(fixed, "[[use]]\nkind = \"deposit\"\nreserve = \"USDC\"\nshare = \"1%\"\nshar = \"1%\""),
                vec!["\"shar\""],
            ),
        ] {
            let told = format!("{:#}", parse(&content, &reserves()).unwrap_err());
            assert!(says.iter().all(|words| told.contains(words)), "{content}: {told}");
        }
    }
}
