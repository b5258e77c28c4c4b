//! `cargo xtask registry`: writes the tables of tokens and chains that `protocol` carries, and `source`'s markets.
//!
//! The tokens and the markets' addresses are facts taken from a published address book (MIT); the names of chains and
//! markets are ours. The package itself is fetched into `target` and nothing else of it is kept.

mod chains;
mod markets;
mod networks;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::shell;

/// Pinned with its checksum, so that the tables can be made again to the byte.
const PACKAGE: &str = "@aave-dao/aave-address-book@4.68.1";
const INTEGRITY: &str =
    "sha512-Tw1j/0OGN90m6cpaiNwpizxkBq4XzVgJqhz/fWdq9wF7yc2MAghVrsRWrCICBUiG+P7GKYd84mwULH0XVW3QTA==";

/// Prints the book's assets, one line each.
const SCRIPT: &str = include_str!("registry/assets.mjs");

const TOKENS_FILE: &str = "crates/protocol/registry/tokens.csv";
const CHAINS_FILE: &str = "crates/protocol/registry/chains.csv";
const MARKETS_FILE: &str = "crates/source/registry/markets.toml";
const HEADER: &str = "chain_id,address,symbol,decimals\n";

pub(crate) fn run(args: &[String]) -> Result<()> {
    let is_check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("`registry` takes only `--check`, got `{}`", args.join(" ")),
    };
    let package = fetch()?;
    let tokens = tokens(&printed(&package, "assets.mjs", SCRIPT)?)?;
    let markets = markets::toml(&printed(&package, "markets.mjs", markets::SCRIPT)?)?;
    let files = [(TOKENS_FILE, tokens_csv(&tokens)), (CHAINS_FILE, chains::csv()), (MARKETS_FILE, markets)];
    for (path, content) in &files {
        if is_check { compare(path, content)? } else { write(path, content)? }
    }
    report(&tokens);
    Ok(())
}

/// Fetches and unpacks the package; returns its folder.
fn fetch() -> Result<PathBuf> {
    let folder = shell::root().join("target").join("registry");
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be created", folder.display()))?;
    let mut pack = shell::program("npm");
    let json = shell::output(pack.args(["pack", PACKAGE, "--json", "--ignore-scripts"]).current_dir(&folder))?;
    let name = archive_name(&json)?;
    shell::run(shell::program("tar").args(["-xzf", &name]).current_dir(&folder))?;
    Ok(folder.join("package"))
}

/// The archive `npm pack` says it wrote, if it is the one we mean.
fn archive_name(json: &str) -> Result<String> {
    let packed: serde_json::Value =
        serde_json::from_str(json).context("`npm pack --json` printed no JSON: is npm too old?")?;
    let name = packed[0]["filename"].as_str().context("`npm pack --json` names no file: is npm too old?")?;
    let integrity = packed[0]["integrity"].as_str().unwrap_or("none");
    ensure!(
        integrity == INTEGRITY,
        "{PACKAGE} has checksum {integrity}, expected {INTEGRITY}: do not use it, find out who changed it"
    );
    Ok(name.to_owned())
}

/// What a script prints of the book.
fn printed(package: &Path, name: &str, content: &str) -> Result<String> {
    let script = package.with_file_name(name);
    std::fs::write(&script, content).with_context(|| format!("{}: cannot be written", script.display()))?;
    let book = package.join("dist").join("AaveAddressBook.mjs");
    shell::output(shell::program("node").arg(script).arg(book))
}

/// (chain id, lower-case address) to (symbol, decimals).
type Tokens = BTreeMap<(u64, String), (String, u8)>;

/// Merges the markets' assets, lines of `market,chain_id,address,symbol,decimals`. The book spells some symbols in several ways; the first market's spelling stays.
fn tokens(lines: &str) -> Result<Tokens> {
    let mut tokens = Tokens::new();
    for line in lines.lines() {
        let (key, value) = token(line).with_context(|| format!("the address book gave the line `{line}`"))?;
        match tokens.entry(key) {
            Entry::Vacant(free) => drop(free.insert(value)),
            Entry::Occupied(known) => ensure!(
                known.get().1 == value.1,
                "{:?} has {} decimals in one market and {} in another: ask the chain which is right",
                known.key(),
                known.get().1,
                value.1
            ),
        }
    }
    ensure!(!tokens.is_empty(), "the address book holds no assets: its layout changed, see registry/assets.mjs");
    Ok(tokens)
}

fn token(line: &str) -> Result<((u64, String), (String, u8))> {
    let [_, chain_id, address, symbol, decimals] = line.split(',').collect::<Vec<_>>()[..] else {
        bail!("expected five fields");
    };
    let chain_id: u64 = chain_id.parse().context("its chain id is no number")?;
    ensure!(chains::CHAINS.iter().any(|chain| chain.id == chain_id), "chain {chain_id} has no name: add it to CHAINS");
    let address = address.to_ascii_lowercase();
    ensure!(is_address(&address), "its address is no address");
    ensure!(is_symbol(symbol), "its symbol would need quoting");
    Ok(((chain_id, address), (symbol.to_owned(), decimals.parse().context("its decimals are no number")?)))
}

fn is_address(text: &str) -> bool {
    text.len() == 42 && text.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_symbol(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+$".contains(&byte))
}

fn tokens_csv(tokens: &Tokens) -> String {
    let rows = tokens
        .iter()
        .map(|((chain_id, address), (symbol, decimals))| format!("{chain_id},{address},{symbol},{decimals}\n"));
    std::iter::once(HEADER.to_owned()).chain(rows).collect()
}

fn write(path: &str, content: &str) -> Result<()> {
    let file = shell::root().join(path);
    let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.and_then(|()| std::fs::write(&file, content)).with_context(|| format!("{path}: cannot be written"))
}

fn compare(path: &str, content: &str) -> Result<()> {
    let committed = std::fs::read_to_string(shell::root().join(path))
        .with_context(|| format!("{path}: cannot be read: run `cargo xtask registry`"))?;
    ensure!(committed == content, "{path}: is not what {PACKAGE} gives: run `cargo xtask registry`");
    Ok(())
}

fn report(tokens: &Tokens) {
    for chain in chains::CHAINS {
        let count = tokens.keys().filter(|(id, _)| *id == chain.id).count();
        println!("{:>10}  {:<10}  {count:>3} tokens", chain.id, chain.name);
    }
    println!("{:>10}  {:<10}  {:>3} tokens", "", "all", tokens.len());
    println!("{}", markets::summary());
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "0x49D5c2BdFfac6CE2BFdB6640F4F80f226bc10bAB";

    #[test]
    fn markets_merge_and_the_first_spelling_stays() {
        let lines = format!("A,43114,{ADDRESS},WETHe,18\nB,43114,{ADDRESS},WETH.e,18\n");
        let csv = tokens_csv(&tokens(&lines).unwrap());
        assert_eq!(csv, format!("{HEADER}43114,{},WETHe,18\n", ADDRESS.to_lowercase()));
    }

    #[test]
    fn lines_that_cannot_be_right_are_refused() {
        let bad = [
            String::new(),
            format!("A,7,{ADDRESS},WETH,18"),
            "A,1,0x12,WETH,18".to_owned(),
            format!("A,1,{ADDRESS},WE TH,18"),
            format!("A,1,{ADDRESS},WETH,undefined"),
            format!("A,1,{ADDRESS},WETH,18\nB,1,{ADDRESS},WETH,6"),
        ];
        for lines in bad {
            assert!(tokens(&lines).is_err(), "{lines}");
        }
    }

    #[test]
    fn another_package_is_refused() {
        let good = format!(r#"[{{"filename": "a.tgz", "integrity": "{INTEGRITY}"}}]"#);
        assert_eq!(archive_name(&good).unwrap(), "a.tgz");
        assert!(archive_name(r#"[{"filename": "a.tgz", "integrity": "sha512-x"}]"#).is_err());
        assert!(archive_name("[]").is_err());
    }

    #[test]
    fn the_committed_tokens_are_in_order_on_named_chains() {
        let csv = std::fs::read_to_string(shell::root().join(TOKENS_FILE)).unwrap();
        let lines: String = csv.lines().skip(1).map(|line| format!("committed,{line}\n")).collect();
        assert_eq!(tokens_csv(&tokens(&lines).unwrap()), csv);
    }
}
