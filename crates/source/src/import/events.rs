//! Events that were made rather than read, such as those of a made-up world, as one file of the archive.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::event::{Event, Fact};
use protocol::liquidation::Liquidation;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use sha2::{Digest, Sha256};

use super::key;
use crate::archive::liquidations::{KeyKind, Row, RowsFile};
use crate::archive::{DatasetName, Footer, Table, Writer};
use crate::error::{Error, Result};

/// Where events go and what is said of them.
#[derive(Debug, Clone)]
pub struct Label {
    /// The dataset, which holds these events and nothing else.
    pub dataset: DatasetName,
    /// Where they come from, in words.
    pub origin: String,
    /// How their figures are known.
    pub standing: Standing,
}

/// What came of writing events down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The very same events were there already; nothing was done.
    pub already_there: bool,
    /// The file that holds them.
    pub file: PathBuf,
}

/// Writes events as the one file of a dataset, whole or not at all.
///
/// # Errors
/// The archive fails, or the dataset holds something else.
pub fn record(writer: &Writer, label: &Label, events: &[Event]) -> Result<Recorded> {
    let sha256 = digest(events);
    let archive = writer.archive();
    if let Some(held) = archive.files(&label.dataset, Table::Liquidations)?.into_iter().next() {
        if held.footer.note("source_sha256") == Some(&sha256) {
            return Ok(Recorded { already_there: true, file: held.path });
        }
        let what = format!("{}: dataset {} holds other events", held.path.display(), label.dataset);
        let advice = "use another folder, or move that file away first".to_owned();
        return Err(Error::Unfit { what, advice });
    }
    let mut file = RowsFile::create(&archive.folder(&label.dataset, Table::Liquidations))?;
    let mut weak = false;
    for (number, (time, liquidation)) in (1..).zip(liquidations(events)) {
        let (key, key_kind) = key::of(time, liquidation);
        weak |= key_kind == KeyKind::Fields;
        file.push(&Row { time, liquidation, standing: label.standing, source_row: number, key, key_kind })?;
    }
    let footer = Footer {
        table: Table::Liquidations,
        standing: label.standing,
        span: file.span(),
        notes: BTreeMap::from([
            ("dataset".to_owned(), label.dataset.to_string()),
            ("origin".to_owned(), label.origin.clone()),
            ("source_sha256".to_owned(), sha256.clone()),
            ("event_key_weakness".to_owned(), key::weakness(weak)),
        ]),
    };
    let name = format!("{}-{}.parquet", footer.span.file_stem(), &sha256[..16]);
    Ok(Recorded { already_there: false, file: file.finish(&footer)?.publish(&name)? })
}

fn liquidations(events: &[Event]) -> impl Iterator<Item = (TimeUs, &Liquidation)> {
    events.iter().filter_map(|event| match &event.fact {
        Fact::Liquidation(liquidation) => Some((event.time, &**liquidation)),
        Fact::Market(_) => None,
    })
}

/// The hash of what the events say, in hexadecimal, by which the same events are known again: a file of them has it in the footer's
/// note `source_sha256`.
#[must_use]
pub fn digest(events: &[Event]) -> String {
    let mut hash = Sha256::new();
    for (time, liquidation) in liquidations(events) {
        hash.update(key::of(time, liquidation).0);
        key::fields(&mut hash, time, liquidation);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::Archive;
    use protocol::chain::ChainId;
    use protocol::event::Cursor;
    use protocol::{Address, B256};

    fn event(number: u8) -> Event {
        let at = Cursor { source: "aave_v3_ethereum".into(), height: number.into(), index: 1 };
        let liquidation = Liquidation {
            chain: ChainId::ETHEREUM,
            market: at.source.clone(),
            version: None,
            block: Some(number.into()),
            transaction: Some(B256::repeat_byte(number)),
            log_index: Some(1),
            user: Address::repeat_byte(number),
            liquidator: None,
            collateral: None,
            debt: None,
            protocol_fee: None,
        };
        Event {
            at,
            time: TimeUs(1_700_000_000_000_000 + i64::from(number)),
            fact: Fact::Liquidation(Box::new(liquidation)),
        }
    }

    #[test]
    fn the_same_events_are_written_once_and_no_others_join_them() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::at(folder.path()).unwrap();
        let writer = Writer::open(&archive).unwrap();
        let label = Label {
            dataset: DatasetName::new("made").unwrap(),
            origin: "a test".to_owned(),
            standing: Standing::Assumed,
        };
        let first = record(&writer, &label, &[event(1), event(2)]).unwrap();
        let again = record(&writer, &label, &[event(1), event(2)]).unwrap();
        assert!(!first.already_there && again.already_there);
        assert_eq!(first.file, again.file);
        assert!(record(&writer, &label, &[event(1), event(3)]).is_err());
        let files = archive.files(&label.dataset, Table::Liquidations).unwrap();
        assert_eq!((files.len(), files[0].rows()), (1, 2));
        assert_eq!(files[0].footer.standing, Standing::Assumed);
    }
}
