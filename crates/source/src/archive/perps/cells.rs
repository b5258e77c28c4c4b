//! Cells of a row, and how they become columns and come back.

use std::path::Path;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, FixedSizeBinaryBuilder, Float64Builder, Int64Builder, StringBuilder,
    TimestampMicrosecondBuilder,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field, TimeUnit};
use protocol::time::TimeUs;
use protocol::{Address, Decimal};

use super::super::cells::Columns;
use super::senseless;
use crate::error::Result;

/// Digits behind the point of every number.
const SCALE: u32 = 18;
/// Digits of every number in all.
const PRECISION: u8 = 38;

/// What a column holds; a number takes two, of which the second is for eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Text,
    Moment,
    Number,
    Integer,
    Flag,
    Account,
}

/// One cell; an empty one is none. An account is never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    Text(Option<String>),
    Moment(Option<TimeUs>),
    Number(Option<Decimal>),
    Integer(Option<i64>),
    Flag(Option<bool>),
    Account(Option<Address>),
}

/// A number in units of the last digit that is kept; none where it does not fit.
pub(super) fn units(value: Decimal) -> Option<i128> {
    let value = value.normalize();
    let units = value.mantissa().checked_mul(10_i128.checked_pow(SCALE.checked_sub(value.scale())?)?)?;
    (units.unsigned_abs() < 10_u128.pow(u32::from(PRECISION))).then_some(units)
}

/// The number of so many units.
fn of_units(units: i128) -> Option<Decimal> {
    // What was written has at most 28 digits, and the zeros at its end are not among them.
    let (mut units, mut scale) = (units, SCALE);
    while scale > 0 && units % 10 == 0 {
        units /= 10;
        scale -= 1;
    }
    Decimal::try_from_i128_with_scale(units, scale).ok()
}

fn float_name(name: &str) -> String {
    format!("{name}_float")
}

/// The fields of a column.
pub(super) fn fields(name: &str, sort: Sort) -> Vec<Field> {
    let field = |kind| Field::new(name, kind, true);
    match sort {
        Sort::Text => vec![field(DataType::Utf8)],
        Sort::Moment => vec![field(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))],
        Sort::Number => {
            let scale = i8::try_from(SCALE).unwrap_or(i8::MAX);
            vec![field(DataType::Decimal128(PRECISION, scale)), Field::new(float_name(name), DataType::Float64, true)]
        }
        Sort::Integer => vec![field(DataType::Int64)],
        Sort::Flag => vec![field(DataType::Boolean)],
        Sort::Account => vec![field(DataType::FixedSizeBinary(20))],
    }
}

/// A column of some rows, as its arrays.
pub(super) fn arrays<'a>(sort: Sort, cells: impl Iterator<Item = &'a Cell>) -> Vec<ArrayRef> {
    macro_rules! column {
        ($builder:expr, $cell:ident, $value:ident => $turned:expr) => {{
            let mut builder = $builder;
            for cell in cells {
                if let Cell::$cell(Some($value)) = cell {
                    builder.append_value($turned);
                } else {
                    builder.append_null();
                }
            }
            vec![Arc::new(builder.finish()) as ArrayRef]
        }};
    }
    match sort {
        Sort::Text => column!(StringBuilder::new(), Text, text => text),
        Sort::Moment => column!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), Moment, time => time.0),
        Sort::Integer => column!(Int64Builder::new(), Integer, value => *value),
        Sort::Flag => column!(BooleanBuilder::new(), Flag, flag => *flag),
        Sort::Number => {
            let scale = i8::try_from(SCALE).unwrap_or(i8::MAX);
            let mut exact = Decimal128Builder::new().with_data_type(DataType::Decimal128(PRECISION, scale));
            let mut eyes = Float64Builder::new();
            for cell in cells {
                let value = if let Cell::Number(value) = cell { *value } else { None };
                exact.append_option(value.and_then(units));
                eyes.append_option(value.and_then(|value| value.to_string().parse::<f64>().ok()));
            }
            vec![Arc::new(exact.finish()), Arc::new(eyes.finish())]
        }
        Sort::Account => {
            let mut builder = FixedSizeBinaryBuilder::new(20);
            for cell in cells {
                if let Cell::Account(Some(account)) = cell {
                    builder.append_value(account).expect("an address has 20 bytes");
                } else {
                    builder.append_null();
                }
            }
            vec![Arc::new(builder.finish())]
        }
    }
}

/// The cells of one column of a batch.
pub(super) fn column(path: &Path, batch: &RecordBatch, name: &str, sort: Sort) -> Result<Vec<Cell>> {
    let columns = Columns { path, batch };
    let rows = 0..batch.num_rows();
    macro_rules! cells {
        ($array:ty, $cell:ident, $values:ident, $row:ident => $value:expr) => {{
            let $values: &$array = columns.get(name)?;
            Ok(rows.map(|$row| Cell::$cell((!$values.is_null($row)).then(|| $value))).collect())
        }};
    }
    match sort {
        Sort::Text => cells!(StringArray, Text, values, row => values.value(row).to_owned()),
        Sort::Moment => cells!(TimestampMicrosecondArray, Moment, values, row => TimeUs(values.value(row))),
        Sort::Integer => cells!(Int64Array, Integer, values, row => values.value(row)),
        Sort::Flag => cells!(BooleanArray, Flag, values, row => values.value(row)),
        Sort::Number => {
            let values: &Decimal128Array = columns.get(name)?;
            let known = |row: usize| {
                of_units(values.value(row)).ok_or_else(|| senseless(path, "a number with too many digits"))
            };
            rows.map(|row| Ok(Cell::Number((!values.is_null(row)).then(|| known(row)).transpose()?))).collect()
        }
        Sort::Account => {
            let values: &FixedSizeBinaryArray = columns.get(name)?;
            let known =
                |row: usize| Address::try_from(values.value(row)).map_err(|_| senseless(path, "a short account"));
            rows.map(|row| Ok(Cell::Account((!values.is_null(row)).then(|| known(row)).transpose()?))).collect()
        }
    }
}

/// Takes the cells of a row one after the other; none where one is of another sort than it should be.
#[derive(Debug)]
pub(super) struct Take<'a>(pub(super) std::slice::Iter<'a, Cell>);

impl Take<'_> {
    /// A word of a closed list.
    pub(super) fn word<T>(&mut self, of: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        if let Some(Cell::Text(Some(text))) = self.0.next() { of(text) } else { None }
    }

    pub(super) fn number(&mut self) -> Option<Decimal> {
        self.maybe_number()?
    }

    pub(super) fn maybe_number(&mut self) -> Option<Option<Decimal>> {
        if let Some(Cell::Number(value)) = self.0.next() { Some(*value) } else { None }
    }

    pub(super) fn integer(&mut self) -> Option<i64> {
        self.maybe_integer()?
    }

    pub(super) fn maybe_integer(&mut self) -> Option<Option<i64>> {
        if let Some(Cell::Integer(value)) = self.0.next() { Some(*value) } else { None }
    }

    pub(super) fn moment(&mut self) -> Option<TimeUs> {
        self.maybe_moment()?
    }

    pub(super) fn maybe_moment(&mut self) -> Option<Option<TimeUs>> {
        if let Some(Cell::Moment(value)) = self.0.next() { Some(*value) } else { None }
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        if let Some(Cell::Flag(value)) = self.0.next() { *value } else { None }
    }

    pub(super) fn account(&mut self) -> Option<Address> {
        if let Some(Cell::Account(value)) = self.0.next() { *value } else { None }
    }
}
