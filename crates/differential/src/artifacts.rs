//! The contracts' bytecode, as `npm/compile.mjs` writes it, and that of our own, as `npm/own.mjs` does.
//!
//! Nothing of it is in the repository: `cargo xtask test` installs the packages, compiles what is source only and what is
//! in `contracts/`, and names the folder in an environment variable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, Bytes, hex};
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Names the folder that holds `contracts.json`.
pub const VARIABLE: &str = "TIDEGATE_CONTRACTS";

/// The family of our own contracts.
pub const OWN: &str = "own";

/// Everything that was compiled.
#[derive(Clone, Debug)]
pub struct Artifacts {
    families: BTreeMap<String, BTreeMap<String, Contract>>,
    /// The signatures of the custom errors of 3.6.
    pub errors: Vec<String>,
    /// The signatures of the custom errors of our own.
    pub own_errors: Vec<String>,
}

/// One contract's creation code, with gaps where libraries' addresses go.
#[derive(Clone, Debug)]
struct Contract {
    code: String,
    links: BTreeMap<String, Vec<usize>>,
}

/// The artifacts, or none with a message where nobody installed them.
///
/// Where the environment names a folder they must be in it: `cargo xtask test` names it, so CI never skips.
pub fn find() -> Result<Option<Artifacts>> {
    if let Some(folder) = std::env::var_os(VARIABLE) {
        return load(&PathBuf::from(folder)).map(Some);
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/contracts");
    if usual.join("contracts.json").is_file() { load(&usual).map(Some) } else { Ok(None) }
}

fn load(folder: &Path) -> Result<Artifacts> {
    let path = folder.join("contracts.json");
    let mut artifacts = parse(&read(&path)?).with_context(|| format!("{}: of another shape", path.display()))?;
    // A folder from before our own contracts is good for every test that does not ask for them.
    let path = folder.join("own.json");
    if path.is_file() {
        let own = read(&path)?;
        let family = family_from(&own["family"]).with_context(|| format!("{}: of another shape", path.display()))?;
        artifacts.families.insert(OWN.to_owned(), family);
        artifacts.own_errors = texts(&own["errors"]).with_context(|| format!("{}: no errors", path.display()))?;
    }
    Ok(artifacts)
}

fn read(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read; `cargo xtask contracts` makes it", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))
}

fn parse(json: &Value) -> Result<Artifacts> {
    let mut families = BTreeMap::new();
    for (family, contracts) in json["families"].as_object().context("no families")? {
        families.insert(family.clone(), family_from(contracts)?);
    }
    let errors = texts(&json["errors"]).context("no errors")?;
    Ok(Artifacts { families, errors, own_errors: Vec::new() })
}

fn family_from(json: &Value) -> Result<BTreeMap<String, Contract>> {
    let contracts = json.as_object().context("a family without contracts")?;
    contracts.iter().map(|(name, contract)| Ok((name.clone(), contract_from(contract)?))).collect()
}

fn texts(json: &Value) -> Option<Vec<String>> {
    Some(json.as_array()?.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect())
}

fn contract_from(json: &Value) -> Result<Contract> {
    let code = json["code"].as_str().context("no code")?.to_owned();
    let mut links = BTreeMap::new();
    for (library, places) in json["links"].as_object().context("no links")? {
        let places = places.as_array().context("no places")?.iter().filter_map(Value::as_u64).map(usize::try_from);
        links.insert(library.clone(), places.collect::<Result<_, _>>()?);
    }
    Ok(Contract { code, links })
}

impl Artifacts {
    /// Creation code with its libraries linked.
    pub fn code(&self, family: &str, name: &str, libraries: &BTreeMap<String, Address>) -> Result<Bytes> {
        let contract = self.families.get(family).and_then(|contracts| contracts.get(name));
        let contract = contract
            .with_context(|| format!("no contract {name} in {family}: `cargo xtask contracts` compiles them"))?;
        let mut code = contract.code.clone().into_bytes();
        for (library, places) in &contract.links {
            let Some(address) = libraries.get(library) else {
                bail!("{name} of {family} needs {library}, which is not deployed yet");
            };
            let digits = hex::encode(address);
            for place in places {
                code[2 * place..2 * place + 40].copy_from_slice(digits.as_bytes());
            }
        }
        Ok(hex::decode(code).with_context(|| format!("{name} of {family} is not linked"))?.into())
    }

    /// The libraries a contract is linked with.
    pub fn libraries(&self, family: &str, name: &str) -> Vec<String> {
        let contract = self.families.get(family).and_then(|contracts| contracts.get(name));
        contract.map(|contract| contract.links.keys().cloned().collect()).unwrap_or_default()
    }
}
