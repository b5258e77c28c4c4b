//! Reading the archive: files are skipped by what their footers cover, row groups by their statistics.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::RecordBatch;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::statistics::Statistics;

use super::footer::{Footer, Span, TimeRange};
use super::{MarketName, Table};
use crate::error::{Error, IoContext, Result};
use crate::quiet;

/// Rows handed out at a time: few enough to stay in the processor's cache with a handful of columns.
const BATCH_ROWS: usize = 8_192;

/// A finished file of the archive.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says about itself.
    pub footer: Footer,
    metadata: ArrowReaderMetadata,
}

/// A file that this program wrote whole and that is not whole any more.
pub(super) fn damaged(path: &Path, cause: impl std::fmt::Display) -> Error {
    let what = format!("is damaged ({})", cause.to_string().lines().next().unwrap_or("no reason given"));
    let advice = "restore it from a backup, or delete it and import its source again";
    Error::BadFile { path: path.to_owned(), what, advice }
}

impl DataFile {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    /// It is no Parquet file of this archive's layout.
    pub fn open(path: PathBuf) -> Result<Self> {
        let file = File::open(&path).while_trying_to("read the file", &path)?;
        let metadata =
            ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).map_err(|cause| damaged(&path, cause))?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let pairs: BTreeMap<String, String> =
            pairs.into_iter().flatten().filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?))).collect();
        let footer = Footer::from_pairs(&path, &pairs)?;
        Ok(Self { path, footer, metadata })
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }
}

impl DataFile {
    /// Checks that the file is what its place and name say.
    pub(super) fn expect_to_be(&self, market: &MarketName, table: Table, name: &str) -> Result<()> {
        let footer = &self.footer;
        let other = |what: String| {
            let advice = "somebody put it here or renamed it; move it where it belongs";
            Err(Error::BadFile { path: self.path.clone(), what, advice })
        };
        if footer.table != table {
            return other(format!("says it belongs to the table {}, not {}", footer.table.word(), table.word()));
        }
        if footer.note("market") != Some(market.as_str()) {
            return other(format!("says it belongs to another market than {market}"));
        }
        let Span::Blocks { from, to, .. } = footer.span else {
            return other("does not say which blocks it is of".to_owned());
        };
        if from > to || Span::blocks_of_file_name(name).is_some_and(|named| named != (from, to)) {
            return other(format!("says it is of blocks {from} to {to}, and its name says otherwise"));
        }
        Ok(())
    }

    /// The first and the last block of a market's file.
    #[must_use]
    pub fn blocks(&self) -> Option<(u64, u64)> {
        match self.footer.span {
            Span::Blocks { from, to, .. } => Some((from, to)),
            Span::Empty | Span::Times { .. } => None,
        }
    }

    /// Whether a column is empty in every row, by the statistics alone; `false` where they do not say.
    #[must_use]
    pub fn is_empty_throughout(&self, column: &str) -> bool {
        let metadata = self.metadata.metadata();
        let columns = metadata.file_metadata().schema_descr().columns();
        let Some(place) = columns.iter().position(|known| known.name() == column) else {
            return false;
        };
        metadata.row_groups().iter().all(|group| {
            let nulls = group.column(place).statistics().and_then(Statistics::null_count_opt);
            nulls == u64::try_from(group.num_rows()).ok()
        })
    }
}

#[cfg(test)]
impl DataFile {
    /// Each column's name, its bytes in the file, and its bytes before compression.
    pub(super) fn column_sizes(&self) -> Vec<(String, usize, usize)> {
        let metadata = self.metadata.metadata();
        let columns = metadata.file_metadata().schema_descr().columns().iter().enumerate();
        let sum = |place: usize, size: fn(&parquet::file::metadata::ColumnChunkMetaData) -> i64| {
            let sizes = metadata.row_groups().iter().map(|group| size(group.column(place)));
            usize::try_from(sizes.sum::<i64>()).unwrap()
        };
        columns
            .map(|(place, column)| {
                let name = column.name().to_owned();
                (name, sum(place, |chunk| chunk.compressed_size()), sum(place, |chunk| chunk.uncompressed_size()))
            })
            .collect()
    }
}

/// Which columns and times or blocks to read.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The columns by name; `None` for all of them.
    columns: Option<Vec<&'static str>>,
    range: TimeRange,
    /// The first block and the last.
    blocks: (u64, u64),
    batch_rows: usize,
}

impl Scan {
    /// Some columns, of all times.
    #[must_use]
    pub fn of(columns: &[&'static str]) -> Self {
        Self { columns: Some(columns.to_vec()), ..Self::of_all() }
    }

    /// All columns, of all times.
    #[must_use]
    pub fn of_all() -> Self {
        Self { columns: None, range: TimeRange::ALL, blocks: (0, u64::MAX), batch_rows: BATCH_ROWS }
    }

    /// Only where rows of the range can be. Rows outside it may come too: files and row groups are skipped whole.
    #[must_use]
    pub fn within(self, range: TimeRange) -> Self {
        Self { range, ..self }
    }

    /// Only where rows of these blocks, both ends included, can be; others may come too. For tables with a column `block`.
    #[must_use]
    pub fn of_blocks(self, from: u64, to: u64) -> Self {
        Self { blocks: (from, to), ..self }
    }

    /// At most so many rows at a time.
    #[must_use]
    pub fn in_batches_of(self, rows: usize) -> Self {
        Self { batch_rows: rows, ..self }
    }

    /// The pieces of the files that have to be read, in order.
    #[must_use]
    pub fn chunks(&self, files: &[DataFile]) -> Vec<Chunk> {
        let files = files.iter().filter(|file| file.footer.span.may_hold(&self.range));
        files.flat_map(|file| self.chunks_of(file)).collect()
    }

    /// The pieces of a file, also of one that is about no time.
    pub(super) fn chunks_of(&self, file: &DataFile) -> Vec<Chunk> {
        let metadata = file.metadata.metadata();
        let schema = metadata.file_metadata().schema_descr();
        let place = |name: &str| schema.columns().iter().position(|column| column.name() == name);
        let (time, block) = (place("time"), place("block"));
        let overlaps = |group: usize, column: Option<usize>, first: i64, last: i64| {
            let statistics = column.and_then(|column| metadata.row_group(group).column(column).statistics());
            let Some(Statistics::Int64(values)) = statistics else {
                return true;
            };
            values.min_opt().is_none_or(|min| *min <= last) && values.max_opt().is_none_or(|max| first <= *max)
        };
        let last_time = self.range.until.0.saturating_sub(1);
        let [first_block, last_block] =
            [self.blocks.0, self.blocks.1].map(|block| i64::try_from(block).unwrap_or(i64::MAX));
        let may_hold = |group: &usize| {
            overlaps(*group, time, self.range.from.0, last_time) && overlaps(*group, block, first_block, last_block)
        };
        let columns = self
            .columns
            .as_ref()
            .map_or_else(ProjectionMask::all, |names| ProjectionMask::columns(schema, names.iter().copied()));
        let path: Arc<Path> = file.path.as_path().into();
        (0..metadata.num_row_groups())
            .filter(may_hold)
            .map(|row_group| Chunk {
                path: path.clone(),
                metadata: file.metadata.clone(),
                columns: columns.clone(),
                row_group,
                batch_rows: self.batch_rows,
            })
            .collect()
    }
}

/// A piece of a file that can be read by itself, on any thread.
#[derive(Debug, Clone)]
pub struct Chunk {
    path: Arc<Path>,
    metadata: ArrowReaderMetadata,
    columns: ProjectionMask,
    row_group: usize,
    batch_rows: usize,
}

impl Chunk {
    /// The rows, a batch at a time.
    ///
    /// # Errors
    /// The file cannot be opened; each item is an error where the file is damaged.
    pub fn read(&self) -> Result<impl Iterator<Item = Result<RecordBatch>> + Send + use<>> {
        let file = File::open(&self.path).while_trying_to("read the file", &self.path)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(self.columns.clone())
            .with_row_groups(vec![self.row_group])
            .with_batch_size(self.batch_rows);
        let path = self.path.clone();
        let panicked = move || damaged(&path, "its pages contradict each other");
        let mut batches =
            quiet::run(|| builder.build()).map_err(|_| panicked())?.map_err(|cause| damaged(&self.path, cause))?;
        let path = self.path.clone();
        Ok(std::iter::from_fn(move || match quiet::run(|| batches.next()) {
            Ok(batch) => batch.map(|batch| batch.map_err(|cause| damaged(&path, cause))),
            Err(_) => Some(Err(panicked())),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Archive, DatasetName, PendingFile, Span, Table};
    use arrow_array::cast::AsArray;
    use arrow_array::types::TimestampMicrosecondType;
    use arrow_array::{TimestampMicrosecondArray, UInt64Array};
    use arrow_schema::{DataType, Field, Schema, TimeUnit};
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;
    use protocol::standing::Standing;
    use protocol::time::{SECOND_US, TimeUs};

    /// Writes a file of these times in row groups of ten.
    fn write(archive: &Archive, dataset: &DatasetName, times: &[i64], id: usize) {
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fields = vec![Field::new("time", utc, false), Field::new("other", DataType::UInt64, false)];
        let schema = Arc::new(Schema::new(fields));
        let properties = WriterProperties::builder().set_max_row_group_row_count(Some(10)).build();
        let folder = archive.folder(dataset, Table::Liquidations);
        let mut file = PendingFile::create(&folder, schema.clone(), properties).unwrap();
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC")),
            Arc::new(UInt64Array::from(vec![7; times.len()])),
        ];
        file.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
        let (from, to) = (TimeUs(*times.iter().min().unwrap()), TimeUs(*times.iter().max().unwrap()));
        let span = Span::Times { from, to };
        let name = format!("{}-{id:08x}.parquet", span.file_stem());
        let notes = BTreeMap::new();
        file.publish(&Footer { table: Table::Liquidations, standing: Standing::Assumed, span, notes }, &name).unwrap();
    }

    fn times_read(files: &[DataFile], range: TimeRange) -> (Vec<i64>, usize) {
        let chunks = Scan::of(&["time"]).within(range).chunks(files);
        let batches = chunks.iter().flat_map(|chunk| chunk.read().unwrap());
        let mut times: Vec<i64> = batches
            .flat_map(|batch| {
                let batch = batch.unwrap();
                assert_eq!(batch.num_columns(), 1, "only the asked column is read");
                batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec()
            })
            .collect();
        times.sort_unstable();
        (times, chunks.len())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn skipping_never_loses_a_row_of_the_range(
            files in prop::collection::vec(prop::collection::vec(0_i64..2_000 * SECOND_US, 1..60), 1..4),
            from in 0_i64..2_000 * SECOND_US,
            length in 1_i64..300 * SECOND_US,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let (archive, dataset) = (Archive::at(folder.path()).unwrap(), DatasetName::new("d").unwrap());
            for (id, times) in files.iter().enumerate() {
                write(&archive, &dataset, &times.iter().map(|time| 1_600_000_000 * SECOND_US + time).collect::<Vec<_>>(), id);
            }
            let from = 1_600_000_000 * SECOND_US + from;
            let range = TimeRange { from: TimeUs(from), until: TimeUs(from + length) };
            let inside = |times: Vec<i64>| times.into_iter().filter(|time| (from..from + length).contains(time)).collect::<Vec<_>>();
            let all = archive.files(&dataset, Table::Liquidations).unwrap();
            let some = archive.files_within(&dataset, Table::Liquidations, &range).unwrap();
            let (expected, _) = times_read(&all, TimeRange::ALL);
            prop_assert_eq!(inside(times_read(&some, range).0), inside(expected));
        }
    }

    #[test]
    fn files_and_row_groups_outside_the_range_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (archive, dataset) = (Archive::at(folder.path()).unwrap(), DatasetName::new("d").unwrap());
        let second = |second: i64| (1_600_000_000 + second) * SECOND_US;
        write(&archive, &dataset, &(0..100).map(second).collect::<Vec<_>>(), 1);
        write(&archive, &dataset, &(1_000..1_100).map(second).collect::<Vec<_>>(), 2);
        let range = TimeRange { from: TimeUs(second(25)), until: TimeUs(second(31)) };
        assert_eq!(archive.files(&dataset, Table::Liquidations).unwrap().len(), 2);
        let files = archive.files_within(&dataset, Table::Liquidations, &range).unwrap();
        assert_eq!(files.len(), 1, "the other file's name tells that it holds nothing");
        let (times, chunks) = times_read(&files, range);
        assert_eq!((times.first(), times.last(), chunks), (Some(&second(20)), Some(&second(39)), 2));
    }
}
