//! What can go wrong outside: what, where, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use protocol::chain::ChainId;
use protocol::{Address, B256};

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
    /// No endpoint could be reached, or all were too busy, for longer than was worth waiting.
    #[error("{host}: {what}; it was asked {attempts} times: try later, or name another endpoint")]
    Unreachable {
        /// The endpoint that was asked last.
        host: String,
        /// What happened the last time.
        what: String,
        /// How often the question was put, to all endpoints together.
        attempts: u32,
    },
    /// A node refused a question, or answered it in a way that cannot be true.
    #[error("{host}: {method}: {what}; no other endpoint did better: name another one, or report this to its operator")]
    Node {
        /// The endpoint.
        host: String,
        /// What it was asked.
        method: String,
        /// What it said, or what is wrong with what it said.
        what: String,
    },
    /// A node no longer has, or never had, the state of a block.
    #[error("{host}: does not have the state at block {block}; {advice}")]
    Pruned {
        /// The endpoint.
        host: String,
        /// The block.
        block: u64,
        /// What to do.
        advice: &'static str,
    },
    /// An endpoint serves another chain than the one asked for.
    #[error("{host}: serves chain {} and not {}; leave it out, or name the right chain", found.0, expected.0)]
    WrongChain {
        /// The endpoint.
        host: String,
        /// What was asked for.
        expected: ChainId,
        /// What it serves.
        found: ChainId,
    },
    /// Two endpoints tell of different blocks of a number that should be final.
    #[error(
        "{first} and {second} disagree about block {block}: {first_hash} and {second_hash}; one of them is wrong or on a fork: leave it out"
    )]
    Disagreement {
        /// The block's number.
        block: u64,
        /// One endpoint.
        first: String,
        /// The hash it gives.
        first_hash: B256,
        /// The other endpoint.
        second: String,
        /// The hash that one gives.
        second_hash: B256,
    },
    /// What the archive holds of a market is of another history than the chain's.
    #[error(
        "{market}: block {block} has the hash {found} on the chain and {held} in the archive; the endpoint is on a fork, \
         or the archive's last blocks were not final: try another endpoint, or move the market's files of that block away"
    )]
    OtherHistory {
        /// The market.
        market: String,
        /// The block.
        block: u64,
        /// Its hash in the archive.
        held: B256,
        /// Its hash on the chain.
        found: B256,
    },
    /// The chain was reorganised between two questions about it.
    #[error("block {block} was exchanged for another one while it was read")]
    Moved {
        /// The block.
        block: u64,
    },
    /// No endpoint has got as far as a block.
    #[error("no endpoint has block {block} yet: {host} has got to {tip}; wait for it, or name an endpoint that has")]
    Behind {
        /// The block.
        block: u64,
        /// The endpoint that has got furthest.
        host: String,
        /// How far.
        tip: u64,
    },
    /// The logs of one address in one block are more than any endpoint hands out.
    #[error(
        "{host}: refuses the logs of {address} in block {block} alone ({what}); name an endpoint with higher limits"
    )]
    TooLarge {
        /// The endpoint that refused last.
        host: String,
        /// The block.
        block: u64,
        /// The address.
        address: Address,
        /// What it said.
        what: String,
    },
    /// As many requests were made as the caller allowed.
    #[error("{spent} requests were made, which is all that was allowed; allow more, or go on later from here")]
    Budget {
        /// How many.
        spent: u64,
    },
}

impl Error {
    /// Whether the same call may succeed later with nothing changed by the caller.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Locked { .. } | Self::Unreachable { .. } | Self::Behind { .. } | Self::Moved { .. } => true,
            Self::Io { cause, .. } => {
                matches!(cause.kind(), io::ErrorKind::Interrupted | io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
            }
            Self::BadFile { .. }
            | Self::Unfit { .. }
            | Self::Node { .. }
            | Self::Pruned { .. }
            | Self::WrongChain { .. }
            | Self::Disagreement { .. }
            | Self::TooLarge { .. }
            | Self::OtherHistory { .. }
            | Self::Budget { .. } => false,
        }
    }

    /// The same, saying which file it is about where it does not yet.
    pub(crate) fn about(self, path: &Path) -> Self {
        match self {
            Self::Unfit { what, advice } => Self::Unfit { what: format!("{}: {what}", path.display()), advice },
            // The rest names a file or an endpoint already.
            named @ (Self::Io { .. }
            | Self::Locked { .. }
            | Self::BadFile { .. }
            | Self::Unreachable { .. }
            | Self::Node { .. }
            | Self::Pruned { .. }
            | Self::WrongChain { .. }
            | Self::Disagreement { .. }
            | Self::Behind { .. }
            | Self::TooLarge { .. }
            | Self::OtherHistory { .. }
            | Self::Moved { .. }
            | Self::Budget { .. }) => named,
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
