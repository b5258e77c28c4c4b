//! Columns of a file by name and type, where a file that has others is a damaged file.

use std::path::Path;

use arrow_array::{Array, FixedSizeBinaryArray, RecordBatch};
use arrow_schema::{DataType, Field, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::scan::damaged;
use crate::error::Result;

/// The columns of a batch that was read from a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns<'a> {
    /// The file, for messages.
    pub(super) path: &'a Path,
    /// What was read.
    pub(super) batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    /// A column of one of Arrow's types.
    pub(super) fn get<T: Array + 'static>(&self, name: &str) -> Result<&'a T> {
        let column = self.batch.column_by_name(name).and_then(|column| column.as_any().downcast_ref());
        column.ok_or_else(|| damaged(self.path, format!("its column {name} is absent or of another type")))
    }

    /// A column of which no row is empty.
    pub(super) fn full<T: Array + 'static>(&self, name: &str) -> Result<&'a T> {
        let column: &T = self.get(name)?;
        if column.null_count() == 0 {
            return Ok(column);
        }
        Err(damaged(self.path, format!("its column {name} has holes")))
    }

    /// A column of `N` bytes a row; an empty row is zeros.
    pub(super) fn bytes<const N: usize>(&self, name: &str) -> Result<(&'a FixedSizeBinaryArray, &'a [[u8; N]])> {
        let column: &FixedSizeBinaryArray = self.get(name)?;
        let values = column.value_data().as_chunks::<N>().0;
        if usize::try_from(column.value_length()) == Ok(N) && values.len() == column.len() {
            return Ok((column, values));
        }
        Err(damaged(self.path, format!("its column {name} is not of {N} bytes a row")))
    }

    /// A column of `N` bytes a row of which no row is empty.
    pub(super) fn full_bytes<const N: usize>(&self, name: &str) -> Result<&'a [[u8; N]]> {
        let (column, values) = self.bytes(name)?;
        if column.null_count() == 0 {
            return Ok(values);
        }
        Err(damaged(self.path, format!("its column {name} has holes")))
    }
}

/// A moment in UTC.
pub(super) fn moment(name: &str) -> Field {
    Field::new(name, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false)
}

/// So many bytes a row.
pub(super) fn bytes(name: &str, width: i32, nullable: bool) -> Field {
    Field::new(name, DataType::FixedSizeBinary(width), nullable)
}

/// Zstandard, and a row group of so many rows but never of more than 64 MiB.
pub(super) fn compressed(row_group_rows: usize) -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(row_group_rows))
        .set_max_row_group_bytes(Some(64 << 20))
}

/// Columns whose values rise or nearly repeat are written as differences.
pub(super) fn as_differences(mut properties: WriterPropertiesBuilder, columns: &[&str]) -> WriterPropertiesBuilder {
    for column in columns {
        let column = ColumnPath::from(*column);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    properties
}
