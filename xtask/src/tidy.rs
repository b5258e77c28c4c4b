//! `cargo xtask tidy`: the house rules a compiler cannot check.

mod crates;
mod text;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell;

/// One broken rule: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// From 1; none where the whole file is meant.
    line: Option<usize>,
    message: String,
}

impl Finding {
    fn file(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, message: message.into() }
    }

    fn line(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: Some(line), message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

pub(crate) fn run() -> Result<()> {
    let findings = check(shell::root())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        1 => bail!("tidy: one house rule is broken, see above"),
        count => bail!("tidy: {count} house rules are broken, see above"),
    }
}

fn check(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = crates::check(&metadata()?)?;
    let mut lengths = Vec::new();
    for path in paths()? {
        let Some(bytes) = read(&root.join(&path))? else {
            continue;
        };
        findings.extend(text::size(&path, bytes.len()));
        if bytes.contains(&0) {
            continue;
        }
        let content = String::from_utf8_lossy(&bytes);
        findings.extend(text::check(&path, &content));
        if path.ends_with(".rs") {
            lengths.push((path, content.lines().count()));
        }
    }
    findings.extend(text::lengths(&lengths, text::LONG_FILES));
    Ok(findings)
}

/// Without the resolved graph: it needs no network and no lock file, and the rules are about direct edges.
fn metadata() -> Result<serde_json::Value> {
    let mut command = shell::cargo();
    let json = shell::output(command.args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&json).context("`cargo metadata` printed something that is not JSON")
}

/// What git tracks, or would track once added.
fn paths() -> Result<Vec<String>> {
    let mut command = shell::program("git");
    let listed = shell::output(command.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]))?;
    let mut paths: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    paths.sort_unstable();
    // A file in conflict is listed once per side.
    paths.dedup();
    Ok(paths)
}

/// None for what is no plain file: a link, a submodule, a file deleted but not yet committed.
fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_file()) {
        return Ok(None);
    }
    let bytes = std::fs::read(path).with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_is_tidy() {
        let findings = check(shell::root()).unwrap();
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "house rules are broken:\n{}", lines.join("\n"));
    }

    #[test]
    fn findings_lead_to_the_place() {
        assert_eq!(Finding::line("a.rs", 3, "what").to_string(), "a.rs:3: what");
        assert_eq!(Finding::file("a.rs", "what").to_string(), "a.rs: what");
    }

    #[test]
    fn this_file_is_among_the_checked_ones() {
        assert!(paths().unwrap().iter().any(|path| path == "xtask/src/tidy.rs"));
    }
}
