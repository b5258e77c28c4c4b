//! Rules about the text of one file, and about how long files are.

use super::Finding;

/// No source file is longer. This number may only shrink.
const MAX_LINES: usize = 1_200;

/// Files that are longer nonetheless, each with its exact length, so that each can only shrink.
pub(super) const LONG_FILES: &[(&str, usize)] = &[];

/// More than this belongs in no source repository.
const MAX_BYTES: usize = 1024 * 1024;

/// Files that are written by people and run by machines.
const SOURCES: &[&str] = &[".rs", ".mjs", ".js", ".ts", ".sol", ".sh", ".py", ".html", ".css", ".toml"];

// What follows is put together from halves, so that this file passes its own rules.

/// Words that say the work is not finished.
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

/// Macros that are for the author's eyes.
const MACROS: &[&str] = &[concat!("db", "g!"), concat!("to", "do!"), concat!("unimpl", "emented!")];

/// Where absolute paths of somebody's machine begin.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Package registries: which one serves a package is the choice of who builds.
const REGISTRIES: &[&str] = &[
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("proxy.", "golang.org"),
    concat!("sparse+", "http"),
];

/// Cargo writes the name of the default registry's index into every entry of its lock file.
const CARGO_LOCK: &str = "Cargo.lock";

/// The key under which npm's lock files keep the address a package came from.
const RESOLVED: &str = concat!("\"resol", "ved\"");

pub(super) fn size(path: &str, bytes: usize) -> Option<Finding> {
    (bytes > MAX_BYTES).then(|| {
        Finding::file(path, format!("{bytes} bytes, the limit is {MAX_BYTES}: have it made or fetched, or ignore it"))
    })
}

pub(super) fn check(path: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path.ends_with(".rs") && !content.starts_with("//!") {
        findings.push(Finding::line(path, 1, "does not begin with `//!`: say in a line what the file is"));
    }
    for (line, number) in content.lines().zip(1..) {
        let messages = [unfinished(path, line), for_the_author(path, line), machine(line), registry(path, line)];
        findings.extend(messages.into_iter().flatten().map(|message| Finding::line(path, number, message)));
    }
    findings
}

fn unfinished(path: &str, line: &str) -> Option<String> {
    let is_source = SOURCES.iter().any(|end| path.ends_with(end));
    let marker = MARKERS.iter().find(|marker| is_source && has_word(line, marker))?;
    Some(format!("stray {marker}: do it, or write down elsewhere what is left"))
}

fn for_the_author(path: &str, line: &str) -> Option<String> {
    let name = MACROS.iter().find(|name| path.ends_with(".rs") && has_word(line, name))?;
    Some(format!("stray `{name}`: remove it, or return an error"))
}

fn machine(line: &str) -> Option<String> {
    let start = MACHINE_PATHS.iter().find(|start| has_absolute_path(line, start))?;
    Some(format!("a path under {start} exists on one machine only: make it relative, or take it from the environment"))
}

fn registry(path: &str, line: &str) -> Option<String> {
    let file = path.rsplit('/').next().unwrap_or(path);
    if file.ends_with("package-lock.json") && line.contains(RESOLVED) {
        return Some(format!(
            "lock file names where a package came from: delete the {RESOLVED} keys, integrity is enough"
        ));
    }
    if file == CARGO_LOCK {
        return None;
    }
    let host = REGISTRIES.iter().find(|host| line.contains(*host))?;
    Some(format!("names a package registry ({host}): leave that to the settings of who builds"))
}

/// Whether `word` occurs in `line` with no letter, digit or underscore right before or after it.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends_itself = word.ends_with('!');
        !before.is_some_and(is_part) && (ends_itself || !after.is_some_and(is_part))
    })
}

/// Whether `start` occurs in `line` as a path's beginning, and not inside a longer relative path or address.
fn has_absolute_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.~}>)]*".contains(c))
    })
}

/// The length ratchet: `files` are all source files with their lengths, `exceptions` those known to be too long.
pub(super) fn lengths(files: &[(String, usize)], exceptions: &[(&str, usize)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, lines) in files {
        let exception = exceptions.iter().find(|(name, _)| name == path).map(|(_, max)| *max);
        findings.extend(too_long(*lines, exception).map(|message| Finding::file(path, message)));
    }
    for (name, _) in exceptions {
        if !files.iter().any(|(path, _)| path == name) {
            findings.push(Finding::file(name, "is listed in LONG_FILES but does not exist: remove its row"));
        }
    }
    findings
}

fn too_long(lines: usize, exception: Option<usize>) -> Option<String> {
    match exception {
        None if lines > MAX_LINES => Some(format!("{lines} lines, the limit is {MAX_LINES}: split it by idea")),
        None => None,
        Some(_) if lines <= MAX_LINES => {
            Some(format!("{lines} lines is within the limit: remove its row from LONG_FILES"))
        }
        Some(max) if lines > max => Some(format!("{lines} lines, it may only shrink from {max}: split it by idea")),
        Some(max) if lines < max => Some(format!("became shorter: lower its row in LONG_FILES from {max} to {lines}")),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of `content` in which a rule fires.
    fn fires(path: &str, content: &str) -> Vec<usize> {
        check(path, content).iter().filter_map(|finding| finding.line).collect()
    }

    #[test]
    fn a_source_file_says_what_it_is() {
        assert_eq!(fires("crates/x/tests/it/main.rs", "//! Tests.\nfn f() {}\n"), [0; 0]);
        assert_eq!(fires("build.rs", "fn main() {}\n"), [1]);
        assert_eq!(fires("build.rs", ""), [1]);
        assert_eq!(fires("README.md", "# Title\n"), [0; 0]);
    }

    #[test]
    fn markers_are_whole_words_in_sources() {
        for marker in MARKERS {
            assert_eq!(fires("a.rs", &format!("//! A.\n// {marker}: later\n")), [2], "{marker}");
            assert_eq!(fires("a.sol", &format!("// {marker}(me) later\n")), [1], "{marker}");
            assert_eq!(fires("a.rs", &format!("//! A.\nconst A{marker}S: u8 = 1;\n")), [0; 0], "{marker}");
            assert_eq!(fires("notes.md", &format!("{marker}\n")), [0; 0], "{marker}");
        }
    }

    #[test]
    fn macros_for_the_author_are_stray() {
        for name in MACROS {
            assert_eq!(fires("a.rs", &format!("//! A.\nlet a = {name}(b);\n")), [2], "{name}");
            assert_eq!(fires("a.rs", &format!("//! A.\nlet a = my_{name}(b);\n")), [0; 0], "{name}");
        }
    }

    #[test]
    fn paths_of_a_machine_stay_out() {
        for start in MACHINE_PATHS {
            assert_eq!(fires("a.md", &format!("see `{start}x`\n")), [1], "{start}");
            assert_eq!(fires("a.toml", &format!("path = \"{start}x\"\n")), [1], "{start}");
            assert_eq!(fires("a.sh", &format!("cd {start}\n")), [1], "{start}");
            assert_eq!(fires("a.md", &format!("file://{start}x\n")), [1], "{start}");
            assert_eq!(fires("a.md", &format!("target{start}x and ..{start}y\n")), [0; 0], "{start}");
        }
    }

    #[test]
    fn registries_stay_out() {
        for host in REGISTRIES {
            assert_eq!(fires("a.md", &format!("from https://{host}/x\n")), [1], "{host}");
            assert_eq!(fires("Cargo.lock", &format!("source = \"registry+https://{host}\"\n")), [0; 0], "{host}");
        }
        assert_eq!(fires("a.md", "see docs.rs/anyhow\n"), [0; 0]);
    }

    #[test]
    fn lock_files_name_no_address() {
        let lock = format!("{{\n  {RESOLVED}: \"https://example.org/a.tgz\",\n  \"integrity\": \"sha512-x\"\n}}\n");
        assert_eq!(fires("contracts/package-lock.json", &lock), [2]);
        assert_eq!(fires("contracts/package-lock.json", "{\n  \"integrity\": \"sha512-x\"\n}\n"), [0; 0]);
    }

    #[test]
    fn files_have_a_largest_size() {
        assert_eq!(size("a.csv", MAX_BYTES), None);
        assert!(size("a.csv", MAX_BYTES + 1).is_some());
    }

    /// What the ratchet says of one file.
    fn ratchet(lines: usize, exceptions: &[(&str, usize)]) -> String {
        let findings = lengths(&[("a.rs".to_owned(), lines)], exceptions);
        findings.iter().map(Finding::to_string).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn files_may_only_shrink() {
        let long = MAX_LINES + 10;
        assert_eq!(ratchet(MAX_LINES, &[]), "");
        assert_eq!(ratchet(long, &[]), "a.rs: 1210 lines, the limit is 1200: split it by idea");
        assert_eq!(ratchet(long, &[("a.rs", long)]), "");
        assert!(ratchet(long + 1, &[("a.rs", long)]).contains("may only shrink from 1210"));
        assert!(ratchet(long - 1, &[("a.rs", long)]).contains("lower its row in LONG_FILES from 1210 to 1209"));
        assert!(ratchet(MAX_LINES, &[("a.rs", long)]).contains("remove its row"));
        assert!(ratchet(1, &[("gone.rs", long)]).contains("gone.rs: is listed"));
    }
}
