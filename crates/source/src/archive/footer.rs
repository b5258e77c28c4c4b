//! What a file says about itself: key-value pairs in its Parquet footer, all beginning with `tidegate.`.

use std::collections::BTreeMap;
use std::path::Path;

use protocol::B256;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};

use super::{SCHEMA_VERSION, Table};
use crate::error::{Error, Result};

/// What a file of the archive says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// The table its rows belong to.
    pub table: Table,
    /// How the figures in it are known.
    pub standing: Standing,
    /// What it covers.
    pub span: Span,
    /// Everything else worth keeping with the file, such as its origin; names are without the prefix.
    pub notes: BTreeMap<String, String>,
}

/// What a file covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// Nothing: there are no rows.
    Empty,
    /// The moments of its first and last row, both included. It claims no completeness in between.
    Times {
        /// The earliest.
        from: TimeUs,
        /// The latest.
        to: TimeUs,
    },
    /// Blocks of a chain, both ends included.
    Blocks {
        /// The chain.
        chain: ChainId,
        /// The first block.
        from: u64,
        /// The last block.
        to: u64,
        /// What it claims about every block in between; `None` where it only has rows of some of them.
        complete: Option<Complete>,
    },
}

/// A claim to hold every log of the blocks that a filter lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    /// The hash of the last block, which ties the range to one history.
    pub end_hash: B256,
    /// The hash of the addresses and topics the logs were read with.
    pub filter_hash: B256,
}

impl Span {
    /// Whether a file of this span can hold a row in the half-open time range.
    #[must_use]
    pub fn may_hold(&self, range: &TimeRange) -> bool {
        match self {
            Self::Empty => false,
            Self::Times { from, to } => *from < range.until && range.from <= *to,
            // Blocks are not times; only the rows can tell.
            Self::Blocks { .. } => true,
        }
    }

    /// The span that a file's name tells, where it tells times: widened to whole seconds, as names are written.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let mut moment = || parts.next()?.parse::<jiff::Timestamp>().ok().map(|time| time.as_microsecond());
        let (from, to) = (moment()?, moment()?);
        Some(Self::Times { from: TimeUs(from), to: TimeUs(to.saturating_add(SECOND_US - 1)) })
    }

    /// The blocks, both ends included, that a file's name tells, where it tells blocks.
    #[must_use]
    pub fn blocks_of_file_name(name: &str) -> Option<(u64, u64)> {
        let mut parts = name.split(['-', '.']);
        let mut block = || parts.next().filter(|part| part.len() >= 12)?.parse::<u64>().ok();
        Some((block()?, block()?))
    }

    /// The part of a file name that tells the span: `20210519T130000Z-20210521T044512Z`, or `000012345678-000012349999`.
    #[must_use]
    pub fn file_stem(&self) -> String {
        let compact =
            |time: &TimeUs| TimeUs(time.second().saturating_mul(1_000_000)).to_string().replace(['-', ':'], "");
        match self {
            Self::Empty => "empty".to_owned(),
            Self::Times { from, to } => format!("{}-{}", compact(from), compact(to)),
            Self::Blocks { from, to, .. } => format!("{from:012}-{to:012}"),
        }
    }
}

/// A half-open range of time: `from` is in it, `until` is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first moment in it.
    pub from: TimeUs,
    /// The first moment after it.
    pub until: TimeUs,
}

impl TimeRange {
    /// Every moment.
    pub const ALL: Self = Self { from: TimeUs(i64::MIN), until: TimeUs(i64::MAX) };
}

const PREFIX: &str = "tidegate.";
const RESERVED: [&str; 9] = [
    "schema_version",
    "table",
    "standing",
    "time_from",
    "time_to",
    "chain_id",
    "block_from",
    "block_to",
    "block_to_hash",
];

impl Footer {
    /// The pairs as they stand in the file.
    pub(crate) fn to_pairs(&self) -> BTreeMap<String, String> {
        let mut pairs = BTreeMap::new();
        let mut put = |key: &str, value: String| {
            let previous = pairs.insert(format!("{PREFIX}{key}"), value);
            assert!(previous.is_none(), "a note may not take a reserved name");
        };
        put("schema_version", SCHEMA_VERSION.to_string());
        put("table", self.table.word().to_owned());
        put("standing", self.standing.word().to_owned());
        match &self.span {
            Span::Empty => {}
            Span::Times { from, to } => {
                put("time_from", from.to_string());
                put("time_to", to.to_string());
            }
            Span::Blocks { chain, from, to, complete } => {
                put("chain_id", chain.0.to_string());
                put("block_from", from.to_string());
                put("block_to", to.to_string());
                if let Some(Complete { end_hash, filter_hash }) = complete {
                    put("block_to_hash", end_hash.to_string());
                    put("filter_hash", filter_hash.to_string());
                }
            }
        }
        for (key, value) in &self.notes {
            put(key, value.clone());
        }
        pairs
    }

    /// Reads the pairs of a file.
    pub(crate) fn from_pairs(path: &Path, pairs: &BTreeMap<String, String>) -> Result<Self> {
        let bad = |what: String| Error::BadFile {
            path: path.to_owned(),
            what,
            advice: "it was not written by this program, or by a later one; update, or move it away",
        };
        let get = |key: &str| pairs.get(&format!("{PREFIX}{key}")).map(String::as_str);
        let version = get("schema_version").ok_or_else(|| bad("has no tidegate footer".to_owned()))?;
        if version != SCHEMA_VERSION.to_string() {
            return Err(bad(format!("has layout version {version}, this program knows {SCHEMA_VERSION}")));
        }
        let incomplete = || bad("has an incomplete tidegate footer".to_owned());
        let table = Table::ALL.into_iter().find(|table| Some(table.word()) == get("table")).ok_or_else(incomplete)?;
        let standing = get("standing").and_then(Standing::from_word).ok_or_else(incomplete)?;
        let span = read_span(&get).ok_or_else(incomplete)?;
        let own = |key: &str| RESERVED.contains(&key) || (key == "filter_hash" && matches!(span, Span::Blocks { .. }));
        let notes = pairs
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?, value)))
            .filter(|(key, _)| !own(key))
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .collect();
        Ok(Self { table, standing, span, notes })
    }

    /// A note, if the file carries it.
    #[must_use]
    pub fn note(&self, key: &str) -> Option<&str> {
        self.notes.get(key).map(String::as_str)
    }
}

fn read_span<'a>(get: &impl Fn(&str) -> Option<&'a str>) -> Option<Span> {
    let time =
        |key| get(key).and_then(|text| text.parse::<jiff::Timestamp>().ok()).map(|time| TimeUs(time.as_microsecond()));
    match (get("time_from"), get("block_from")) {
        (None, None) => Some(Span::Empty),
        (Some(_), None) => Some(Span::Times { from: time("time_from")?, to: time("time_to")? }),
        (None, Some(from)) => Some(Span::Blocks {
            chain: ChainId(get("chain_id")?.parse().ok()?),
            from: from.parse().ok()?,
            to: get("block_to")?.parse().ok()?,
            complete: match (get("block_to_hash"), get("filter_hash")) {
                (None, None) => None,
                (end_hash, filter_hash) => {
                    Some(Complete { end_hash: end_hash?.parse().ok()?, filter_hash: filter_hash?.parse().ok()? })
                }
            },
        }),
        (Some(_), Some(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer(span: Span) -> Footer {
        let notes = BTreeMap::from([("origin".to_owned(), "a file\nwith \"quotes\"".to_owned())]);
        Footer { table: Table::Liquidations, standing: Standing::Imported, span, notes }
    }

    #[test]
    fn a_footer_reads_back() {
        let spans = [
            Span::Empty,
            Span::Times { from: TimeUs(1_608_214_767_000_000), to: TimeUs(1_649_023_453_000_001) },
            Span::Blocks { chain: ChainId(1), from: 5, to: 9, complete: None },
            Span::Blocks {
                chain: ChainId(1),
                from: 5,
                to: 9,
                complete: Some(Complete { end_hash: B256::repeat_byte(7), filter_hash: B256::repeat_byte(8) }),
            },
        ];
        for span in spans {
            let footer = footer(span);
            assert_eq!(Footer::from_pairs(Path::new("f"), &footer.to_pairs()).unwrap(), footer);
        }
    }

    #[test]
    fn a_footer_of_another_layout_or_with_holes_is_refused() {
        let whole = footer(Span::Times { from: TimeUs(0), to: TimeUs(1) }).to_pairs();
        for key in ["schema_version", "table", "standing", "time_to"] {
            let mut holed = whole.clone();
            holed.remove(&format!("{PREFIX}{key}"));
            assert!(Footer::from_pairs(Path::new("f"), &holed).is_err(), "{key}");
        }
        let mut later = whole;
        later.insert(format!("{PREFIX}schema_version"), "2".to_owned());
        let message = Footer::from_pairs(Path::new("f"), &later).unwrap_err().to_string();
        assert!(message.contains("layout version 2"), "{message}");
    }

    #[test]
    fn a_file_name_tells_the_span_to_the_second() {
        let span = Span::Times { from: TimeUs(1_608_214_767_000_001), to: TimeUs(1_649_023_453_999_999) };
        let name = format!("{}-0a1b2c3d.parquet", span.file_stem());
        assert_eq!(name, "20201217T141927Z-20220403T220413Z-0a1b2c3d.parquet");
        let whole = Span::Times { from: TimeUs(1_608_214_767_000_000), to: TimeUs(1_649_023_453_999_999) };
        assert_eq!(Span::of_file_name(&name), Some(whole));
        for name in ["empty-0a1b2c3d.parquet", "000000000005-000000000009.parquet", "a~b.parquet", "x"] {
            assert_eq!(Span::of_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_file_name_tells_the_blocks() {
        let span = Span::Blocks { chain: ChainId(1), from: 5, to: 1_234_567_890_123, complete: None };
        let name = format!("{}-0a1b2c3d.parquet", span.file_stem());
        assert_eq!(Span::blocks_of_file_name(&name), Some((5, 1_234_567_890_123)));
        for name in ["20201217T141927Z-20220403T220413Z-0a1b2c3d.parquet", "tail.parquet", "5-9.parquet", "x"] {
            assert_eq!(Span::blocks_of_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn only_files_that_can_hold_a_row_of_the_range_are_read() {
        let span = Span::Times { from: TimeUs(10), to: TimeUs(20) };
        for (from, until, expected) in [(0, 10, false), (0, 11, true), (20, 30, true), (21, 30, false), (12, 13, true)]
        {
            assert_eq!(
                span.may_hold(&TimeRange { from: TimeUs(from), until: TimeUs(until) }),
                expected,
                "{from}..{until}"
            );
        }
    }
}
