//! Which crate may depend on which: dependencies point one way.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;

/// What one crate of the workspace may depend on.
struct Rule {
    name: &'static str,
    /// Crates of the workspace; for tests too, since a test that reaches upwards turns the arrow round.
    workspace: &'static [&'static str],
    external: External,
}

/// Crates from outside, tests excepted.
enum External {
    Any,
    /// These and nothing else.
    Only(&'static [&'static str]),
    /// Anything but names that begin so.
    Never(&'static [&'static str]),
}

const RULES: &[Rule] = &[
    Rule { name: "protocol", workspace: &[], external: External::Never(&["tokio", "serde", "arrow", "parquet"]) },
    Rule { name: "source", workspace: &["protocol"], external: External::Any },
    Rule { name: "engine", workspace: &["protocol"], external: External::Only(&["rayon", "hashbrown", "wide"]) },
    Rule { name: "tidegate", workspace: &["protocol", "source", "engine"], external: External::Any },
    Rule { name: "differential", workspace: &["protocol", "source", "engine"], external: External::Any },
    Rule { name: "xtask", workspace: &[], external: External::Any },
];

/// Edges that tests alone may have: the program is tried on the real contracts, which it must not be built with.
const FOR_TESTS: [(&str, &str); 1] = [("tidegate", "differential")];

/// One edge of the graph.
struct Dependency<'a> {
    from: &'a str,
    to: &'a str,
    is_dev: bool,
    is_local: bool,
}

/// `metadata` is what `cargo metadata --no-deps` prints.
pub(super) fn check(metadata: &Value) -> Result<Vec<Finding>> {
    let packages = metadata["packages"].as_array().context("`cargo metadata` names no packages: is cargo too old?")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name")?;
        let Some(rule) = RULES.iter().find(|rule| rule.name == name) else {
            findings.push(Finding::file(&manifest(package), unknown_crate(name)));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let dependency = Dependency {
                from: name,
                to: text(dependency, "name")?,
                is_dev: dependency["kind"] == "dev",
                is_local: dependency["path"].is_string(),
            };
            findings.extend(broken(rule, &dependency).map(|what| Finding::file(&manifest(package), what)));
        }
    }
    Ok(findings)
}

fn unknown_crate(name: &str) -> String {
    format!(
        "crate `{name}` is in no table: give its reason in ARCHITECTURE.md and its row in RULES, xtask/src/tidy/crates.rs"
    )
}

/// What is wrong with an edge, if anything.
fn broken(rule: &Rule, dependency: &Dependency<'_>) -> Option<String> {
    let Dependency { from, to, is_dev, is_local } = *dependency;
    if is_local {
        let allowed = to == from || rule.workspace.contains(&to) || (is_dev && FOR_TESTS.contains(&(from, to)));
        return (!allowed).then(|| {
            format!("`{from}` may not depend on `{to}`, dependencies point one way: move the code down, or pass it in")
        });
    }
    if is_dev {
        return None;
    }
    match rule.external {
        External::Any => None,
        External::Only(names) => (!names.contains(&to)).then(|| {
            format!(
                "`{from}` may use only {}, not `{to}`: keep it to tests, or to a crate nearer the edge",
                names.join(", ")
            )
        }),
        External::Never(starts) => starts.iter().any(|start| to.starts_with(start)).then(|| {
            format!("`{from}` may not use `{to}`, it is pure arithmetic: convert in `source` or `tidegate` instead")
        }),
    }
}

/// The manifest's path inside the workspace, by cargo's convention for where crates lie.
fn manifest(package: &Value) -> String {
    let path = package["manifest_path"].as_str().unwrap_or("Cargo.toml").replace('\\', "/");
    let root = crate::shell::root().to_string_lossy().replace('\\', "/");
    match path.strip_prefix(&root) {
        Some(inside) => inside.trim_start_matches('/').to_owned(),
        None => path,
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value[key].as_str().with_context(|| format!("`cargo metadata` gives no `{key}`: is cargo too old?"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Checks one crate with one dependency.
    fn check_edge(from: &str, dependency: &Value) -> Vec<String> {
        let package = json!({"name": from, "manifest_path": "x/Cargo.toml", "dependencies": [dependency]});
        let findings = check(&json!({"packages": [package]})).unwrap();
        findings.iter().map(Finding::to_string).collect()
    }

    fn local(to: &str, kind: Option<&str>) -> Value {
        json!({"name": to, "kind": kind, "path": "somewhere"})
    }

    fn external(to: &str, kind: Option<&str>) -> Value {
        json!({"name": to, "kind": kind})
    }

    #[test]
    fn the_arrows_of_the_table_pass() {
        for rule in RULES {
            for to in rule.workspace {
                assert_eq!(check_edge(rule.name, &local(to, None)), [""; 0]);
            }
        }
    }

    #[test]
    fn arrows_against_the_table_fail() {
        let bad = [
            ("protocol", "engine"),
            ("protocol", "source"),
            ("engine", "source"),
            ("source", "engine"),
            ("engine", "tidegate"),
            ("xtask", "protocol"),
        ];
        for (from, to) in bad {
            for kind in [None, Some("dev"), Some("build")] {
                let found = check_edge(from, &local(to, kind));
                assert_eq!(found.len(), 1, "{from} -> {to} as {kind:?}");
                assert!(found[0].starts_with("x/Cargo.toml: "), "{}", found[0]);
            }
        }
    }

    #[test]
    fn protocol_stays_free_of_runtimes_and_formats() {
        for name in ["tokio", "tokio-util", "serde", "serde_json", "arrow-array", "parquet"] {
            assert_eq!(check_edge("protocol", &external(name, None)).len(), 1, "{name}");
            assert_eq!(check_edge("protocol", &external(name, Some("dev"))), [""; 0], "{name}");
        }
        assert_eq!(check_edge("protocol", &external("alloy-primitives", None)), [""; 0]);
    }

    #[test]
    fn engines_list_is_closed() {
        assert_eq!(check_edge("engine", &external("rayon", None)), [""; 0]);
        assert_eq!(check_edge("engine", &external("hashbrown", None)), [""; 0]);
        assert_eq!(check_edge("engine", &external("wide", None)), [""; 0]);
        assert_eq!(check_edge("engine", &external("proptest", Some("dev"))), [""; 0]);
        assert_eq!(check_edge("engine", &external("indexmap", None)).len(), 1);
        assert_eq!(check_edge("engine", &external("cc", Some("build"))).len(), 1);
    }

    #[test]
    fn a_new_crate_needs_its_reason() {
        let found = check_edge("helpers", &external("rayon", None));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("ARCHITECTURE.md"), "{}", found[0]);
    }
}
