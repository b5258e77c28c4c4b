//! The contracts' bytecode, as `npm/compile.mjs` writes it.
//!
//! Nothing of it is in the repository: `cargo xtask test` installs the packages, compiles what is source only, and
//! names the folder in an environment variable.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alloy_primitives::{Address, Bytes, hex};
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Names the folder that holds `contracts.json`.
pub const VARIABLE: &str = "TIDEGATE_CONTRACTS";

/// Everything that was compiled.
#[derive(Clone, Debug)]
pub struct Artifacts {
    families: BTreeMap<String, BTreeMap<String, Contract>>,
    /// The signatures of the custom errors of 3.6.
    pub errors: Vec<String>,
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
        return load(&PathBuf::from(folder).join("contracts.json")).map(Some);
    }
    let usual = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/contracts/contracts.json");
    if usual.is_file() { load(&usual).map(Some) } else { Ok(None) }
}

fn load(path: &Path) -> Result<Artifacts> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{}: cannot be read; `cargo xtask contracts` makes it", path.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
    parse(&json).with_context(|| format!("{}: not as compile.mjs writes it", path.display()))
}

fn parse(json: &Value) -> Result<Artifacts> {
    let mut families = BTreeMap::new();
    for (family, contracts) in json["families"].as_object().context("no families")? {
        let contracts = contracts.as_object().context("a family without contracts")?;
        let parsed: Result<_> =
            contracts.iter().map(|(name, contract)| Ok((name.clone(), contract_from(contract)?))).collect();
        families.insert(family.clone(), parsed?);
    }
    let errors = json["errors"].as_array().context("no errors")?;
    let errors = errors.iter().filter_map(|error| error.as_str().map(str::to_owned)).collect();
    Ok(Artifacts { families, errors })
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
        let contract = contract.with_context(|| format!("no contract {name} in {family}"))?;
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
