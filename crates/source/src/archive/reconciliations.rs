//! The table `reconciliations`: which rows of two datasets are the same event, by the events' keys.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::FixedSizeBinaryBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use protocol::standing::Standing;
use sha2::{Digest, Sha256};

use super::liquidations::EventKey;
use super::{Archive, DataFile, DatasetName, Footer, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let key = |name| Field::new(name, DataType::FixedSizeBinary(16), false);
    Arc::new(Schema::new(vec![key("event_key_a"), key("event_key_b")]))
});

const BATCH_ROWS: usize = 65_536;

/// The state of a dataset: which files it has. It changes with every import, and a reconciliation holds for one state.
#[must_use]
pub fn state_of(files: &[DataFile]) -> String {
    let mut hash = Sha256::new();
    for file in files {
        hash.update(file.path.file_name().map(|name| name.as_encoded_bytes().to_vec()).unwrap_or_default());
        hash.update(file.rows().to_be_bytes());
        hash.update(file.footer.note("source_sha256").unwrap_or("").as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Two datasets that were compared, in a fixed order, each with the files that were read: what is put on record holds for
/// these files and no others.
#[derive(Debug, Clone)]
pub struct Pair<'a> {
    /// The first dataset.
    pub a: (&'a DatasetName, &'a [DataFile]),
    /// The second dataset.
    pub b: (&'a DatasetName, &'a [DataFile]),
}

impl Pair<'_> {
    fn file_name(&self) -> String {
        format!("{}~{}.parquet", self.a.0, self.b.0)
    }
}

/// Records which events of two datasets are the same, replacing what was on record for the pair.
///
/// # Errors
/// The archive cannot be written.
pub fn record(writer: &Writer, pair: &Pair<'_>, rule: &str, matches: &[(EventKey, EventKey)]) -> Result<()> {
    let archive = writer.archive();
    let folder = archive.reconciliations_folder();
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
    for some in matches.chunks(BATCH_ROWS) {
        let column = |key: fn(&(EventKey, EventKey)) -> &EventKey| {
            let mut keys = FixedSizeBinaryBuilder::with_capacity(some.len(), 16);
            for pair in some {
                keys.append_value(key(pair)).expect("a key has 16 bytes");
            }
            keys.finish()
        };
        let columns: Vec<ArrayRef> = vec![Arc::new(column(|pair| &pair.0)), Arc::new(column(|pair| &pair.1))];
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns).map_err(|cause| Error::arrow(&folder, &cause))?;
        file.write(&batch)?;
    }
    let notes = BTreeMap::from([
        ("a".to_owned(), pair.a.0.to_string()),
        ("b".to_owned(), pair.b.0.to_string()),
        ("a_state".to_owned(), state_of(pair.a.1)),
        ("b_state".to_owned(), state_of(pair.b.1)),
        ("rule".to_owned(), rule.to_owned()),
    ]);
    let standing = pair.a.1.iter().chain(pair.b.1).map(|file| file.footer.standing).max().unwrap_or(Standing::Assumed);
    let span = whole_span(pair.a.1.iter().chain(pair.b.1));
    let footer = Footer { table: Table::Reconciliations, standing, span, notes };
    file.publish(&footer, &pair.file_name())?;
    Ok(())
}

/// From the first moment that any of the files covers to the last.
fn whole_span<'a>(files: impl Iterator<Item = &'a DataFile>) -> Span {
    let times =
        files.filter_map(|file| if let Span::Times { from, to } = file.footer.span { Some((from, to)) } else { None });
    let whole = times.reduce(|(from, to), (other_from, other_to)| (from.min(other_from), to.max(other_to)));
    whole.map_or(Span::Empty, |(from, to)| Span::Times { from, to })
}

/// The pairs on record for two datasets in either order, if they hold for the datasets' present state.
///
/// # Errors
/// The archive cannot be read.
pub fn on_record(archive: &Archive, a: &DatasetName, b: &DatasetName) -> Result<Option<Vec<(EventKey, EventKey)>>> {
    for file in archive.reconciliations()? {
        let names = |first: &DatasetName, second: &DatasetName| {
            file.footer.note("a") == Some(&first.to_string()) && file.footer.note("b") == Some(&second.to_string())
        };
        let swapped = names(b, a);
        if !swapped && !names(a, b) {
            continue;
        }
        let (first, second) = if swapped { (b, a) } else { (a, b) };
        let current = |note: &str, dataset| -> Result<bool> {
            Ok(file.footer.note(note) == Some(&state_of(&archive.files(dataset, Table::Liquidations)?)))
        };
        if current("a_state", first)? && current("b_state", second)? {
            let pairs = read(&file)?;
            return Ok(Some(if swapped { pairs.into_iter().map(|(a, b)| (b, a)).collect() } else { pairs }));
        }
    }
    Ok(None)
}

fn read(file: &DataFile) -> Result<Vec<(EventKey, EventKey)>> {
    let mut pairs = Vec::new();
    for chunk in Scan::of(&["event_key_a", "event_key_b"]).chunks(std::slice::from_ref(file)) {
        for batch in chunk.read()? {
            let batch = batch?;
            let (a, b) = (batch.column(0).as_fixed_size_binary(), batch.column(1).as_fixed_size_binary());
            let keys = |column: &arrow_array::FixedSizeBinaryArray| column.value_data().as_chunks::<16>().0.to_vec();
            pairs.extend(keys(a).into_iter().zip(keys(b)));
        }
    }
    Ok(pairs)
}
