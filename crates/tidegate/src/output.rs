//! The one place that writes for people and for other programs: text, JSON, CSV, Parquet.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use arrow_array::{
    ArrayRef, Decimal128Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use engine::map::{Assumed, Assumption};
use serde_json::json;

use crate::table::{Column, Report, Table, Unit, Value};
use crate::text;

/// In which form a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Tables for reading.
    Text,
    /// One object with every table, its columns' units and its standing.
    Json,
    /// The last table, with a heading.
    Csv,
    /// The last table, with types; needs --out.
    Parquet,
}

/// Where a report goes.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    /// In which form.
    pub format: Format,
    /// Into which file; standard output where none is given.
    pub file: Option<PathBuf>,
}

/// Writes a report.
pub(crate) fn write(report: &Report, to: &Destination) -> anyhow::Result<()> {
    write_supposing(report, &[], to)
}

/// Writes a report that rests on assumptions: JSON has them by name, with their values and units. For people they are among the notes.
pub(crate) fn write_supposing(report: &Report, assumed: &[Assumption], to: &Destination) -> anyhow::Result<()> {
    if to.format == Format::Parquet {
        let Some(path) = &to.file else { bail!("Parquet is binary; say where to write it with --out FILE") };
        return write_file(path, &to_parquet(report)?);
    }
    let text = match to.format {
        Format::Json => format!("{:#}\n", to_json(report, assumed)),
        Format::Csv => to_csv(report)?,
        Format::Text | Format::Parquet => to_text(report),
    };
    match &to.file {
        Some(path) => write_file(path, text.as_bytes()),
        None => print(&text),
    }
}

/// Writes a file whole or not at all: a table that was cut off would be taken for the whole. What was there before stays
/// until the new one is complete.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let is_device = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let written = if is_device { std::fs::write(path, content) } else { replace(path, content) };
    written.with_context(|| {
        let path = path.display();
        format!("cannot write {path}; choose a place you may write to, with room for it")
    })
}

fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = std::fs::write(&beside, content).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        // Nothing to do about a failure here: the first one is told.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

/// Prints text as it is. A reader that has gone away (`| head`) is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => {
            written.context("cannot write to standard output; free some space, or give --out a file on another disk")
        }
    }
}

/// A report for reading.
pub(crate) fn to_text(report: &Report) -> String {
    let mut text = format!("{}\nstanding: {}\n", text::harmless(&report.title), report.standing);
    let only_dataset = only_dataset(report);
    if let Some(dataset) = &only_dataset {
        text.push_str(&format!("dataset: {}\n", text::harmless(dataset)));
    }
    for table in &report.tables {
        text.push('\n');
        text.push_str(&table_text(&readable(table, report, only_dataset.is_some())));
    }
    for note in &report.notes {
        text.push_str(&format!("\n* {}", text::harmless(note)));
    }
    if !report.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// The dataset's name, where every row of every table is of one.
fn only_dataset(report: &Report) -> Option<String> {
    let mut names = report.tables.iter().flat_map(|table| {
        let place = table.columns.iter().position(|column| column.name == "dataset");
        table.rows.iter().filter_map(move |row| row.get(place?))
    });
    let first = names.next()?;
    let Value::Text(name) = first else { return None };
    names.all(|name| name == first).then(|| name.clone())
}

/// The table without columns that tell a reader nothing: the one dataset's name, the one standing, and counts of absent values that are all
/// zero. Programs get every column.
fn readable(table: &Table, report: &Report, one_dataset: bool) -> Table {
    let standing = Value::Text(report.standing.to_string());
    let all_the_same = |place: usize| table.rows.iter().all(|row| row[place] == standing);
    let all_zero = |place: usize| table.rows.iter().all(|row| row[place] == Value::Count(0));
    let tells = |place: &usize| {
        let name = &table.columns[*place].name;
        let says_it_again = (one_dataset && name == "dataset") || (name == "standing" && all_the_same(*place));
        let says_nothing = name.ends_with("_without_usd") && all_zero(*place);
        !says_it_again && !says_nothing
    };
    let kept: Vec<usize> = (0..table.columns.len()).filter(tells).collect();
    let columns = kept.iter().map(|place| table.columns[*place].clone()).collect();
    let rows = table.rows.iter().map(|row| kept.iter().map(|place| row[*place].clone()).collect()).collect();
    Table { name: table.name, columns, rows }
}

fn table_text(table: &Table) -> String {
    let heading: Vec<String> = table.columns.iter().map(|column| column.name.replace('_', " ")).collect();
    let cells: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let width = |index: usize| {
        cells.iter().map(|row| &row[index]).chain([&heading[index]]).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut line = String::new();
        for ((cell, column), width) in cells.iter().zip(&table.columns).zip(&widths) {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) =
                if matches!(column.unit, Unit::Text | Unit::Time) { ("", pad.as_str()) } else { (pad.as_str(), "") };
            line.push_str(&format!("  {before}{cell}{after}"));
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&heading);
    text.push_str(&line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>()));
    for row in &cells {
        text.push_str(&line(row));
    }
    if cells.is_empty() {
        text.push_str("  (none)\n");
    }
    text
}

fn shown(value: &Value) -> String {
    match value {
        Value::Missing => "–".to_owned(),
        Value::Text(text) => text::printable(text),
        Value::Count(count) => text::count(*count),
        Value::Usd(usd) => text::usd(*usd),
        Value::Share(share) => text::percent(*share),
        Value::Time(time) => time.to_string(),
        Value::Decimal { digits, decimals } => text::decimal(*digits, *decimals),
    }
}

/// US dollars are decimal text, so that no reader's float cuts them.
fn to_json(report: &Report, assumed: &[Assumption]) -> serde_json::Value {
    let tables: serde_json::Map<String, serde_json::Value> =
        report.tables.iter().map(|table| (table.name.to_owned(), table_json(table))).collect();
    let mut json =
        json!({ "title": report.title, "standing": report.standing.word(), "notes": report.notes, "tables": tables });
    if !assumed.is_empty() {
        json["assumptions"] = assumed.iter().map(|one| (one.name.to_string(), assumed_json(one))).collect();
    }
    json
}

/// One thing that was supposed. A rule has no value but the sentence that says it.
fn assumed_json(one: &Assumption) -> serde_json::Value {
    let value = match &one.value {
        Assumed::Rule => json!(null),
        Assumed::Number(number) => json!(number),
        Assumed::Words(words) => json!(&**words),
        Assumed::Numbers(numbers) => numbers.iter().map(|(of, number)| (of.to_string(), json!(number))).collect(),
    };
    let text = |text: &str| if text.is_empty() { json!(null) } else { json!(text) };
    json!({ "value": value, "unit": text(&one.unit), "says": text(&one.says) })
}

fn table_json(table: &Table) -> serde_json::Value {
    let unit = |unit| match unit {
        Unit::Text => "text",
        Unit::Count => "count",
        Unit::Usd => "USD, decimal text",
        Unit::Share => "share of one",
        Unit::Time => "UTC",
        Unit::Decimal => "decimal text",
    };
    let units: serde_json::Map<String, serde_json::Value> =
        table.columns.iter().map(|column| (column.name.clone(), json!(unit(column.unit)))).collect();
    let value = |value: &Value| match value {
        Value::Missing => json!(null),
        Value::Text(text) => json!(text),
        Value::Count(count) => json!(count),
        Value::Usd(usd) => json!(usd.to_string()),
        Value::Share(share) => json!(share),
        Value::Time(time) => json!(time.to_string()),
        Value::Decimal { digits, decimals } => json!(text::exact_decimal(*digits, *decimals)),
    };
    let row = |row: &Vec<Value>| -> serde_json::Map<String, serde_json::Value> {
        table.columns.iter().zip(row).map(|(column, cell)| (column.name.clone(), value(cell))).collect()
    };
    json!({ "units": units, "rows": table.rows.iter().map(row).collect::<Vec<_>>() })
}

fn to_csv(report: &Report) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if let Some(table) = report.tables.last().map(|table| with_standing(table, report)) {
        writer.write_record(table.columns.iter().map(|column| column.name.as_str()))?;
        for row in &table.rows {
            let cells = row.iter().map(|value| match value {
                Value::Missing => String::new(),
                Value::Text(text) => without_formula(text),
                Value::Count(count) => count.to_string(),
                Value::Usd(usd) => usd.to_string(),
                Value::Share(share) => share.to_string(),
                Value::Time(time) => time.to_string(),
                Value::Decimal { digits, decimals } => text::exact_decimal(*digits, *decimals),
            });
            writer.write_record(cells)?;
        }
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}

/// The table with a standing in every row, for those who take the table alone.
fn with_standing(table: &Table, report: &Report) -> Table {
    let mut table = table.clone();
    if table.columns.iter().all(|column| column.name != "standing") {
        table.columns.push(Column { name: "standing".to_owned(), unit: Unit::Text });
        table.rows.iter_mut().for_each(|row| row.push(Value::Text(report.standing.to_string())));
    }
    table
}

/// A name that a spreadsheet would run as a formula gets a quote before it; a number below zero is none.
fn without_formula(text: &str) -> String {
    if text.parse::<f64>().is_err() && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

fn to_parquet(report: &Report) -> anyhow::Result<Vec<u8>> {
    let Some(table) = report.tables.last() else { bail!("there is no table") };
    let table = with_standing(table, report);
    let fields: Vec<Field> =
        table.columns.iter().map(|column| Field::new(&column.name, data_type(column.unit), true)).collect();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (index, column) in table.columns.iter().enumerate() {
        columns.push(array(column.unit, table.rows.iter().map(|row| &row[index]))?);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut bytes = Vec::new();
    let mut writer = parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(bytes)
}

fn data_type(unit: Unit) -> DataType {
    match unit {
        // Longer than any numeric column holds exactly.
        Unit::Text | Unit::Decimal => DataType::Utf8,
        Unit::Count => DataType::UInt64,
        Unit::Usd => DataType::Decimal128(38, 8),
        Unit::Share => DataType::Float64,
        Unit::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
    }
}

fn array<'a>(unit: Unit, values: impl Iterator<Item = &'a Value>) -> anyhow::Result<ArrayRef> {
    macro_rules! gather {
        ($array:ty, $variant:path, $take:expr) => {{
            let gathered: $array =
                values.map(|value| if let $variant(inner) = value { Some($take(inner)) } else { None }).collect();
            gathered
        }};
    }
    Ok(match unit {
        Unit::Text => Arc::new(gather!(StringArray, Value::Text, String::as_str)),
        Unit::Count => Arc::new(gather!(UInt64Array, Value::Count, u64::clone)),
        Unit::Usd => Arc::new(
            gather!(Decimal128Array, Value::Usd, |usd: &protocol::amount::Usd8| usd.0)
                .with_precision_and_scale(38, 8)?,
        ),
        Unit::Decimal => {
            let exact = values.map(|value| {
                let Value::Decimal { digits, decimals } = value else { return None };
                Some(text::exact_decimal(*digits, *decimals))
            });
            Arc::new(exact.collect::<StringArray>())
        }
        Unit::Share => Arc::new(gather!(Float64Array, Value::Share, f64::clone)),
        Unit::Time => Arc::new(
            gather!(TimestampMicrosecondArray, Value::Time, |time: &protocol::time::TimeUs| time.0)
                .with_timezone("UTC"),
        ),
    })
}
