//! Replies that rarely change, kept on disk with the moment they were given: `<folder>/<venue>-<hash of the question>.reply`.
//!
//! A kept reply is only ever a saving: one that is damaged, of another question or from the future is asked for again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::time::TimeUs;
use protocol::venue::Venue;
use sha2::{Digest, Sha256};

/// A reply, and when it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) at: TimeUs,
    pub(super) body: Vec<u8>,
}

impl Kept {
    /// Whether it is no older than `age`, nor from the future.
    pub(super) fn is_fresh(&self, age: Duration, now: TimeUs) -> bool {
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        (0..=age).contains(&now.0.saturating_sub(self.at.0))
    }
}

fn path(folder: &Path, venue: Venue, question: &str) -> PathBuf {
    let hash: String = Sha256::digest(question).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    folder.join(format!("{venue}-{hash}.reply"))
}

/// The first line: what was asked and when it was answered.
fn head(question: &str, at: TimeUs) -> String {
    format!("{} {}\n", at.0, question.replace(['\n', '\r'], " "))
}

/// What is kept of a question; none where nothing is, or nothing of use.
pub(super) fn load(folder: &Path, venue: Venue, question: &str, max_bytes: usize) -> Option<Kept> {
    let path = path(folder, venue, question);
    let length = fs::metadata(&path).ok()?.len();
    if usize::try_from(length).ok()? > max_bytes.saturating_add(16_384) {
        return None;
    }
    let bytes = fs::read(&path).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let at = std::str::from_utf8(&bytes[..end]).ok()?.split_once(' ')?.0.parse().ok()?;
    let at = TimeUs(at);
    (bytes[..=end] == *head(question, at).as_bytes()).then(|| Kept { at, body: bytes[end + 1..].to_vec() })
}

/// Keeps a reply. That it cannot be kept costs a question later, and is nothing to stop for.
pub(super) fn store(folder: &Path, venue: Venue, question: &str, kept: &Kept) {
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(head(question, kept.at).as_bytes())?;
        file.write_all(&kept.body)?;
        file.persist(path(folder, venue, question))?;
        Ok(())
    };
    let _ = write();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_or_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("made on the way");
        let (venue, question) = (Venue::Okx, "/api?x=1");
        assert_eq!(load(&folder, venue, question, 100), None);
        let kept = Kept { at: TimeUs(1_700_000_000_000_000), body: b"{\"a\":\n1}".to_vec() };
        store(&folder, venue, question, &kept);
        assert_eq!(load(&folder, venue, question, 100), Some(kept.clone()));
        assert_eq!(load(&folder, venue, "/api?x=2", 100), None);
        assert_eq!(load(&folder, Venue::Bybit, question, 100), None);
        fs::write(path(&folder, venue, question), "garbage").unwrap();
        assert_eq!(load(&folder, venue, question, 100), None);
        let file = fs::File::create(path(&folder, venue, question)).unwrap();
        file.set_len(1 << 30).unwrap();
        assert_eq!(load(&folder, venue, question, 100), None, "and is not read where it is too long");
        for (age, later, fresh) in [(10, 5, true), (10, 10, true), (10, 11, false), (10, -1, false)] {
            let now = TimeUs(kept.at.0 + later * 1_000_000);
            assert_eq!(kept.is_fresh(Duration::from_secs(age), now), fresh, "{later}");
        }
    }
}
