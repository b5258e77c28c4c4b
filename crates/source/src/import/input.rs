//! Other people's files, row by row: CSV, JSON lines, Parquet. Memory does not grow with the file.

use std::borrow::Cow;
use std::cell::Cell as SharedCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::value::RawValue;

use super::cell::Cell;
use super::mapping;
use crate::error::{Error, IoContext, Result};
use crate::quiet;

/// The longest row that is read. A longer one is a quote that was never closed, or no table at all.
const LONGEST_ROW_BYTES: u64 = 4 << 20;
/// How many lines of a JSON file are looked at to learn its columns.
const SNIFFED_LINES: usize = 200;
const PARQUET_MAGIC: &[u8] = b"PAR1";

/// A file that has been opened and whose columns are known.
#[derive(Debug)]
pub(crate) struct Input {
    path: PathBuf,
    columns: Vec<String>,
    extent: Extent,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Csv { delimiter: u8 },
    JsonLines,
    Parquet,
}

/// How far there is to go, and in what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Bytes of text.
    Bytes(u64),
    /// Rows of a table.
    Rows(u64),
}

impl Extent {
    /// The number of bytes or rows.
    #[must_use]
    pub const fn total(self) -> u64 {
        match self {
            Self::Bytes(total) | Self::Rows(total) => total,
        }
    }
}

/// One row of an input.
#[derive(Debug)]
pub(crate) enum Row<'a> {
    /// Fields as text, one per column.
    Text(&'a csv::ByteRecord),
    /// JSON values as text, one per column.
    Json(&'a [Option<&'a RawValue>]),
    /// A row of a table.
    Table(&'a arrow_array::RecordBatch, usize),
    /// A row that could not be told into columns: why, and what it was.
    Broken(&'a str, Cow<'a, str>),
}

impl Input {
    /// Opens a file, tells its format by its content and name, and learns its columns.
    ///
    /// # Errors
    /// It cannot be read, is of no known format, or has no columns.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).while_trying_to("read the file", path)?;
        if metadata.is_dir() {
            return Err(bad(path, "is a folder, not a file", "name the files in it"));
        }
        if !metadata.is_file() {
            return Err(bad(
                path,
                "is no regular file, and it has to be read more than once",
                "write it to a file first",
            ));
        }
        let mut head = Vec::new();
        File::open(path)
            .and_then(|file| file.take(64 << 10).read_to_end(&mut head))
            .while_trying_to("read the file", path)?;
        let extension =
            path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
        let first = head.iter().find(|byte| !byte.is_ascii_whitespace() && !b"\xEF\xBB\xBF".contains(byte));
        match (first, extension.as_str()) {
            (None, _) => Err(bad(path, "is empty", "check that the export finished")),
            _ if head.starts_with(PARQUET_MAGIC) => Self::open_parquet(path),
            (_, "parquet" | "pq") => Err(bad(
                path,
                "is named .parquet but does not begin like a Parquet file",
                "rename it, or export it again",
            )),
            (Some(b'['), _) => Err(bad(path, "is one JSON array", "write one object per line (jq -c '.[]' does it)")),
            (Some(b'{'), _) | (_, "jsonl" | "ndjson" | "json") => Self::open_json(path, metadata.len()),
            _ if head.contains(&0) => Err(bad(
                path,
                "is binary and not Parquet",
                "give Parquet, CSV or JSON lines; unpack it first if it is compressed",
            )),
            _ => Self::open_csv(path, &head, metadata.len()),
        }
    }

    /// The file's path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The columns' names as the file has them.
    #[must_use]
    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How far there is to go.
    #[must_use]
    pub(crate) fn extent(&self) -> Extent {
        self.extent
    }

    /// The format, in words.
    #[must_use]
    pub(crate) const fn format(&self) -> &'static str {
        match self.kind {
            Kind::Csv { .. } => "CSV",
            Kind::JsonLines => "JSON lines",
            Kind::Parquet => "Parquet",
        }
    }

    /// Visits every row in order until the visitor says to stop: its number counted from 1, the row, and how far it is
    /// into the file.
    ///
    /// # Errors
    /// The file cannot be read on, or the visitor fails.
    pub(crate) fn visit(&self, visitor: &mut dyn FnMut(u64, &Row<'_>, u64) -> Result<Flow>) -> Result<()> {
        match self.kind {
            Kind::Csv { delimiter } => self.visit_csv(delimiter, visitor),
            Kind::JsonLines => self.visit_json(visitor),
            Kind::Parquet => self.visit_parquet(visitor),
        }
    }

    fn open_parquet(path: &Path) -> Result<Self> {
        let reader = parquet_builder(path)?;
        let columns = reader.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        Ok(Self { path: path.to_owned(), columns, extent: Extent::Rows(rows), kind: Kind::Parquet })
    }

    fn open_csv(path: &Path, head: &[u8], bytes: u64) -> Result<Self> {
        let heading = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
        let count = |delimiter: u8| heading.iter().filter(|byte| **byte == delimiter).count();
        let delimiter = [b',', b';', b'\t', b'|']
            .into_iter()
            .max_by_key(|delimiter| (count(*delimiter), *delimiter == b','))
            .unwrap_or(b',');
        let mut record = csv::ByteRecord::new();
        let mut reader = csv_reader(path, delimiter)?.0;
        reader.read_byte_record(&mut record).map_err(|cause| csv_error(path, cause))?;
        let columns = record.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        Ok(Self { path: path.to_owned(), columns, extent: Extent::Bytes(bytes), kind: Kind::Csv { delimiter } })
    }

    fn open_json(path: &Path, bytes: u64) -> Result<Self> {
        let mut input =
            Self { path: path.to_owned(), columns: Vec::new(), extent: Extent::Bytes(bytes), kind: Kind::JsonLines };
        let (mut columns, mut lines) = (Vec::<String>::new(), Lines::open(path)?);
        for _ in 0..SNIFFED_LINES {
            let Some((line, _)) = lines.next()? else { break };
            for (name, _) in serde_json::from_str::<serde_json::Map<_, _>>(&line).unwrap_or_default() {
                if !columns.contains(&name) {
                    columns.push(name);
                }
            }
        }
        if columns.is_empty() {
            return Err(bad(path, "has no JSON object in its first lines", "write one object per line"));
        }
        input.columns = columns;
        Ok(input)
    }

    fn visit_csv(&self, delimiter: u8, visitor: &mut dyn FnMut(u64, &Row<'_>, u64) -> Result<Flow>) -> Result<()> {
        let (mut reader, since_row) = csv_reader(&self.path, delimiter)?;
        let mut record = csv::ByteRecord::new();
        let mut number = 0;
        reader.read_byte_record(&mut record).map_err(|cause| csv_error(&self.path, cause))?;
        loop {
            since_row.set(0);
            if !reader.read_byte_record(&mut record).map_err(|cause| csv_error(&self.path, cause))? {
                return Ok(());
            }
            number += 1;
            let at = reader.position().byte();
            let flow = match self.broken(&record, delimiter) {
                None => visitor(number, &Row::Text(&record), at)?,
                Some(why) => visitor(number, &Row::Broken(&why, joined(&record).into()), at)?,
            };
            if flow == Flow::Stop {
                return Ok(());
            }
        }
    }

    /// Why a row of CSV cannot be told into columns, if it cannot.
    fn broken(&self, record: &csv::ByteRecord, delimiter: u8) -> Option<String> {
        let lines = 1 + count_of(record.as_slice(), b'\n');
        if record.len() != self.columns.len() {
            let spread = if lines > 1 {
                format!(" and runs over {lines} lines; a quote may never have been closed")
            } else {
                String::new()
            };
            let (fields, heading) = (record.len(), self.columns.len());
            return Some(format!("has {fields} fields where the heading has {heading}{spread}"));
        }
        // A quote that is never closed swallows the rows after it, and the number of fields may be right by chance.
        let is_row = |line: &[u8]| self.columns.len() > 1 && count_of(line, delimiter) + 1 >= self.columns.len();
        let swallows = |field: &[u8]| field.contains(&b'\n') && field.split(|byte| *byte == b'\n').any(is_row);
        record.iter().any(swallows).then(|| {
            format!(
                "runs over {lines} lines and has other rows inside a quoted field; a quote may never have been closed"
            )
        })
    }

    fn visit_json(&self, visitor: &mut dyn FnMut(u64, &Row<'_>, u64) -> Result<Flow>) -> Result<()> {
        let places: HashMap<&str, usize> =
            self.columns.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
        let mut lines = Lines::open(&self.path)?;
        let mut number = 0;
        while let Some((line, at)) = lines.next()? {
            number += 1;
            let flow = match serde_json::from_str::<HashMap<Cow<'_, str>, &RawValue>>(&line) {
                // Bytes that are no text were replaced by a sign, so what was written is not known.
                Ok(_) if matches!(line, Cow::Owned(_)) => visitor(number, &Row::Broken("is not UTF-8", line), at)?,
                Ok(object) => {
                    let mut row = vec![None; self.columns.len()];
                    #[expect(clippy::iter_over_hash_type, reason = "every value goes to the place its name says")]
                    for (name, value) in object {
                        match places.get(name.as_ref()) {
                            Some(place) => row[*place] = Some(value),
                            None if mapping::is_recognised(&name) => {
                                return Err(late_column(&self.path, &name, number));
                            }
                            None => {}
                        }
                    }
                    visitor(number, &Row::Json(&row), at)?
                }
                Err(_) => visitor(number, &Row::Broken("is not a JSON object", line), at)?,
            };
            if flow == Flow::Stop {
                break;
            }
        }
        Ok(())
    }

    fn visit_parquet(&self, visitor: &mut dyn FnMut(u64, &Row<'_>, u64) -> Result<Flow>) -> Result<()> {
        let damaged = |_| bad(&self.path, "is damaged inside", "export or copy it again");
        let build = || {
            parquet_builder(&self.path)?
                .with_batch_size(4_096)
                .build()
                .map_err(|cause| Error::parquet(&self.path, cause))
        };
        let mut reader: ParquetRecordBatchReader = quiet::run(build).map_err(damaged)??;
        let mut number = 0;
        while let Some(batch) = quiet::run(|| reader.next()).map_err(damaged)? {
            let batch = batch.map_err(|cause| Error::arrow(&self.path, &cause))?;
            for index in 0..batch.num_rows() {
                number += 1;
                if visitor(number, &Row::Table(&batch, index), number)? == Flow::Stop {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Whether to go on to the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Yes.
    Continue,
    /// No.
    Stop,
}

impl<'a> Row<'a> {
    /// What stands in a column.
    #[must_use]
    pub(crate) fn cell(&self, column: usize) -> Cell<'a> {
        match self {
            Self::Text(record) => Cell::from_csv(record.get(column)),
            Self::Json(values) => Cell::from_json(values.get(column).copied().flatten()),
            Self::Table(batch, row) => Cell::from_arrow(batch.column(column), *row),
            Self::Broken(..) => Cell::Null,
        }
    }

    /// The whole row for a person to read, as it stood.
    #[must_use]
    pub(crate) fn text(&self, columns: &[String]) -> String {
        match self {
            Self::Text(record) => joined(record),
            Self::Broken(_, text) => text.clone().into_owned(),
            Self::Json(_) | Self::Table(..) => {
                let shown = columns
                    .iter()
                    .enumerate()
                    .filter_map(|(index, name)| Some(format!("{name}={}", self.cell(index).shown()?)));
                shown.collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// The lines of a text file that are not blank, each with the position after it.
struct Lines {
    reader: BufReader<File>,
    path: PathBuf,
    line: Vec<u8>,
    position: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).while_trying_to("read the file", path)?;
        Ok(Self {
            reader: BufReader::with_capacity(1 << 20, file),
            path: path.to_owned(),
            line: Vec::new(),
            position: 0,
        })
    }

    /// The next line; it is owned where it was not UTF-8 and the bytes that are no text are replaced.
    fn next(&mut self) -> Result<Option<(Cow<'_, str>, u64)>> {
        loop {
            self.line.clear();
            let read = (&mut self.reader)
                .take(LONGEST_ROW_BYTES)
                .read_until(b'\n', &mut self.line)
                .while_trying_to("read the file", &self.path)?;
            self.position += read as u64;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == LONGEST_ROW_BYTES {
                return Err(bad(&self.path, "has a line of over 4 MiB", "write one object per line"));
            }
            if !self.line.iter().all(u8::is_ascii_whitespace) {
                break;
            }
        }
        let line = self.line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&self.line);
        Ok(Some((String::from_utf8_lossy(line.trim_ascii()), self.position)))
    }
}

/// Passes bytes through until a row has grown too long for a row.
struct Guarded {
    inner: File,
    since_row: Rc<SharedCell<u64>>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.since_row.set(self.since_row.get() + read as u64);
        if self.since_row.get() > LONGEST_ROW_BYTES + buffer.len() as u64 {
            return Err(std::io::Error::other("a row is longer than 4 MiB; a quote may never have been closed"));
        }
        Ok(read)
    }
}

fn csv_reader(path: &Path, delimiter: u8) -> Result<(csv::Reader<Guarded>, Rc<SharedCell<u64>>)> {
    let inner = File::open(path).while_trying_to("read the file", path)?;
    let since_row = Rc::new(SharedCell::new(0));
    let guarded = Guarded { inner, since_row: since_row.clone() };
    let mut builder = csv::ReaderBuilder::new();
    builder.has_headers(false).flexible(true).delimiter(delimiter).buffer_capacity(1 << 20);
    Ok((builder.from_reader(guarded), since_row))
}

fn parquet_builder(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>> {
    use parquet::arrow::arrow_reader::ArrowReaderOptions;
    let mut file = File::open(path).while_trying_to("read the file", path)?;
    file.rewind().while_trying_to("read the file", path)?;
    // Without the writer's own type hints every column comes in one of few plain types.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let opened = quiet::run(|| ParquetRecordBatchReaderBuilder::try_new_with_options(file, options));
    let opened = opened.map_err(|_| bad(path, "is damaged inside", "export or copy it again"))?;
    opened.map_err(|cause| Error::parquet(path, cause))
}

fn count_of(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().filter(|byte| **byte == wanted).count()
}

fn joined(record: &csv::ByteRecord) -> String {
    record.iter().map(String::from_utf8_lossy).collect::<Vec<_>>().join(",")
}

fn csv_error(path: &Path, cause: csv::Error) -> Error {
    let what = format!("is not readable as CSV ({cause})");
    if let csv::ErrorKind::Io(cause) = cause.into_kind()
        && cause.kind() != std::io::ErrorKind::Other
    {
        return Error::Io { doing: "read the file", path: path.to_owned(), cause };
    }
    Error::BadFile { path: path.to_owned(), what, advice: "check its quotes and export it again" }
}

/// A column that would be read if only it had been seen in time; to leave it out would drop values silently.
fn late_column(path: &Path, name: &str, row: u64) -> Error {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    Error::BadFile {
        path: path.to_owned(),
        what: format!(
            "names the column \"{shown}\" first in row {row}, and columns are learnt from the first {SNIFFED_LINES}"
        ),
        advice: "name every column in the first row, with null where there is nothing",
    }
}

fn bad(path: &Path, what: &str, advice: &'static str) -> Error {
    Error::BadFile { path: path.to_owned(), what: what.to_owned(), advice }
}
