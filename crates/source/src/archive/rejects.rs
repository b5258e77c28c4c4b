//! The table `rejects`: rows of an input that could not be taken, each with its reason. Nothing is dropped silently.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::{StringBuilder, StringDictionaryBuilder, UInt64Builder};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// The columns, in order: the row in the source counted from 1, the kind of reason for counting, the whole reason for
/// reading, and the row as it stood (shortened where it is very long).
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("source_row", DataType::UInt64, false),
        Field::new("reason", word, false),
        Field::new("detail", DataType::Utf8, false),
        Field::new("row", DataType::Utf8, true),
    ]))
});

/// How the table is laid out in a file.
#[must_use]
pub fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(131_072))
        .build()
}

/// Turns rejected rows into columns.
#[expect(missing_debug_implementations, reason = "Arrow's dictionary builder has none")]
pub struct Rows {
    source_row: UInt64Builder,
    reason: StringDictionaryBuilder<Int32Type>,
    detail: StringBuilder,
    row: StringBuilder,
}

impl Default for Rows {
    fn default() -> Self {
        Self {
            source_row: UInt64Builder::new(),
            reason: StringDictionaryBuilder::new(),
            detail: StringBuilder::new(),
            row: StringBuilder::new(),
        }
    }
}

impl Rows {
    /// Appends a row.
    pub fn push(&mut self, source_row: u64, reason: &str, detail: &str, row: Option<&str>) {
        self.source_row.append_value(source_row);
        self.reason.append_value(reason);
        self.detail.append_value(detail);
        self.row.append_option(row);
    }

    /// The bytes of text waiting, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.detail.values_slice().len() + self.row.values_slice().len()
    }

    /// The waiting rows as columns; none wait afterwards.
    ///
    /// # Errors
    /// The columns do not fit the schema: a defect of this module.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.source_row.finish()),
            Arc::new(self.reason.finish()),
            Arc::new(self.detail.finish()),
            Arc::new(self.row.finish()),
        ];
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}
