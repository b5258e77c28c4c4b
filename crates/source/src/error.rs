//! What can go wrong outside: what, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// The result of anything that touches the outside.
pub type Result<T> = std::result::Result<T, Error>;

/// Something outside is broken, absent or not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{}: cannot {doing}: {}", path.display(), explain(cause))]
    Io {
        /// What was being done, such as `read the file`.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        cause: io::Error,
    },
    /// Somebody else holds the archive's write lock.
    #[error("{}: another program is writing to this archive; wait until it has finished, or use another --archive", path.display())]
    Locked {
        /// The archive.
        path: PathBuf,
    },
    /// A file is not what it claims or needs to be.
    #[error("{}: {what}; {advice}", path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// What to do.
        advice: &'static str,
    },
    /// What was asked for does not fit what is there.
    #[error("{what}; {advice}")]
    Unfit {
        /// What does not fit.
        what: String,
        /// What to do.
        advice: String,
    },
}

impl Error {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } => true,
            Self::Io { cause, .. } => {
                matches!(cause.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
            }
            Self::BadFile { .. } | Self::Unfit { .. } => false,
        }
    }

    /// The same, saying which file it is about where it does not yet.
    pub(crate) fn about(self, path: &Path) -> Self {
        match self {
            Self::Unfit { what, advice } => Self::Unfit { what: format!("{}: {what}", path.display()), advice },
            named @ (Self::Io { .. } | Self::Locked { .. } | Self::BadFile { .. }) => named,
        }
    }

    /// A file that Parquet's reader or writer refuses.
    pub(crate) fn parquet(path: &Path, cause: parquet::errors::ParquetError) -> Self {
        use parquet::errors::ParquetError;
        // The writer hands an operating system's refusal through as `External`; it is not the file's fault.
        if let ParquetError::External(inner) = cause {
            return match inner.downcast::<io::Error>() {
                Ok(cause) => Self::Io { doing: "read or write the file", path: path.to_owned(), cause: *cause },
                Err(other) => Self::unreadable(path, &other.to_string()),
            };
        }
        Self::unreadable(path, &cause.to_string())
    }

    /// A file whose Arrow columns cannot be handled.
    pub(crate) fn arrow(path: &Path, cause: &arrow_schema::ArrowError) -> Self {
        Self::unreadable(path, &cause.to_string())
    }

    fn unreadable(path: &Path, cause: &str) -> Self {
        let what = format!("is not readable as Parquet ({})", cause.lines().next().unwrap_or("no reason given"));
        Self::BadFile {
            path: path.to_owned(),
            what,
            advice: "it may be cut off or of another format; export or copy it again",
        }
    }
}

/// Says what is being done to which file when the operating system refuses.
pub(crate) trait IoContext<T> {
    fn while_trying_to(self, doing: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn while_trying_to(self, doing: &'static str, path: &Path) -> Result<T> {
        self.map_err(|cause| Error::Io { doing, path: path.to_owned(), cause })
    }
}

fn explain(cause: &io::Error) -> String {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of kinds is open")]
    match cause.kind() {
        io::ErrorKind::NotFound => "there is no such file or folder; check the path".to_owned(),
        io::ErrorKind::PermissionDenied => {
            "permission denied; change its permissions or run as a user who may".to_owned()
        }
        io::ErrorKind::StorageFull => {
            "the disk is full; free some space and run the same command again (nothing half-written was kept)"
                .to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only; choose another place".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder; name the file itself".to_owned(),
        io::ErrorKind::NotADirectory => "a part of the path is a file, not a folder; check the path".to_owned(),
        io::ErrorKind::FileTooLarge => {
            "the file would grow beyond the allowed size; raise the limit or free space".to_owned()
        }
        _ => cause.to_string(),
    }
}
