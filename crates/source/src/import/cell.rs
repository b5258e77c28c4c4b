//! What stands in one place of an input, in the few shapes an import tells apart.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, TimeUnit};
use protocol::time::{DAY_US, SECOND_US, TimeUs};
use serde_json::value::RawValue;

use super::moment::Form;

/// What stands in one place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    /// Nothing, or a float that is not a number.
    Null,
    /// Text; a number written in it is read digit by digit.
    Text(Cow<'a, str>),
    /// A whole number.
    Integer(i128),
    /// A float: near the number that was meant, not it.
    Float(f64),
    /// Bytes that are no text.
    Bytes(&'a [u8]),
    /// A moment.
    Moment(TimeUs, Form),
    /// True or false.
    Flag(bool),
    /// Something no field can be, in words.
    Unfit(&'static str),
}

/// Words that dashboards write where there is nothing.
const NOTHING: [&str; 8] = ["", "null", "NULL", "None", "nan", "NaN", "<nil>", "\\N"];

fn is_nothing(text: &str) -> bool {
    text.len() <= 5 && NOTHING.contains(&text)
}

impl<'a> Cell<'a> {
    pub(super) fn from_csv(field: Option<&'a [u8]>) -> Self {
        let Ok(text) = std::str::from_utf8(field.unwrap_or_default()) else {
            return Self::Unfit("bytes that are not UTF-8");
        };
        Self::from_word(text.trim())
    }

    pub(super) fn from_json(value: Option<&'a RawValue>) -> Self {
        let Some(text) = value.map(RawValue::get) else {
            return Self::Null;
        };
        match text.as_bytes().first() {
            Some(b'"') => match serde_json::from_str::<Cow<'a, str>>(text) {
                Ok(text) if is_nothing(&text) => Self::Null,
                Ok(text) => Self::Text(text),
                Err(_) => Self::Unfit("a malformed string"),
            },
            Some(b'n') => Self::Null,
            Some(b'{' | b'[') => Self::Unfit("a nested value"),
            Some(b't' | b'f') => Self::Flag(text == "true"),
            // A whole number is written digit by digit by whatever wrote it; one with a fraction was a float there.
            _ => match text.parse::<i128>() {
                Ok(whole) => Self::Integer(whole),
                Err(_) => match text.parse::<f64>() {
                    Ok(float) if text.contains(['.', 'e', 'E']) => Self::from_float(float),
                    _ => Self::Text(text.into()),
                },
            },
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the list of Arrow's types is open")]
    pub(super) fn from_arrow(array: &'a ArrayRef, row: usize) -> Self {
        if array.is_null(row) {
            return Self::Null;
        }
        match array.data_type() {
            DataType::Utf8 => Self::from_word(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Self::from_word(array.as_string::<i64>().value(row)),
            DataType::Utf8View => Self::from_word(array.as_string_view().value(row)),
            DataType::Binary => Self::Bytes(array.as_binary::<i32>().value(row)),
            DataType::LargeBinary => Self::Bytes(array.as_binary::<i64>().value(row)),
            DataType::BinaryView => Self::Bytes(array.as_binary_view().value(row)),
            DataType::FixedSizeBinary(_) => Self::Bytes(array.as_fixed_size_binary().value(row)),
            DataType::Float32 => Self::from_float(f64::from(array.as_primitive::<Float32Type>().value(row))),
            DataType::Float64 => Self::from_float(array.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal128(..) => {
                Self::Text(array.as_primitive::<arrow_array::types::Decimal128Type>().value_as_string(row).into())
            }
            DataType::Decimal256(..) => {
                Self::Text(array.as_primitive::<arrow_array::types::Decimal256Type>().value_as_string(row).into())
            }
            DataType::Date32 => {
                moment(i64::from(array.as_primitive::<Date32Type>().value(row)).checked_mul(DAY_US), Form::DateOnly)
            }
            DataType::Date64 => {
                moment(array.as_primitive::<Date64Type>().value(row).checked_mul(1_000), Form::DateOnly)
            }
            DataType::Timestamp(unit, zone) => timestamp(array, *unit, zone.is_some(), row),
            DataType::Boolean => Self::Flag(array.as_boolean().value(row)),
            _ => integer(array, row).map_or(Self::Unfit("a value of a nested or unusual type"), Self::Integer),
        }
    }

    /// For a person to read; `None` where there is nothing.
    #[must_use]
    pub(crate) fn shown(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.to_string()),
            Self::Integer(value) => Some(value.to_string()),
            Self::Float(value) => Some(value.to_string()),
            Self::Bytes(bytes) => {
                Some(bytes.iter().take(64).fold("0x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")))
            }
            Self::Moment(time, _) => Some(time.to_string()),
            Self::Flag(_) => Some("(true or false)".to_owned()),
            Self::Unfit(what) => Some(format!("({what})")),
        }
    }

    fn from_word(text: &'a str) -> Self {
        if is_nothing(text) { Self::Null } else { Self::Text(text.into()) }
    }

    fn from_float(value: f64) -> Self {
        if value.is_nan() { Self::Null } else { Self::Float(value) }
    }
}

fn integer(array: &ArrayRef, row: usize) -> Option<i128> {
    macro_rules! whole {
        ($($type:ident => $arrow:ty),*) => {
            match array.data_type() {
                $(DataType::$type => Some(i128::from(array.as_primitive::<$arrow>().value(row))),)*
                _ => None,
            }
        };
    }
    whole!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type,
        UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type, UInt64 => UInt64Type)
}

fn timestamp<'a>(array: &ArrayRef, unit: TimeUnit, zoned: bool, row: usize) -> Cell<'a> {
    let micros = match unit {
        TimeUnit::Second => array.as_primitive::<TimestampSecondType>().value(row).checked_mul(SECOND_US),
        TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().value(row).checked_mul(1_000),
        TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        TimeUnit::Nanosecond => Some(array.as_primitive::<TimestampNanosecondType>().value(row).div_euclid(1_000)),
    };
    moment(micros, if zoned { Form::Zoned } else { Form::Naive })
}

fn moment<'a>(micros: Option<i64>, form: Form) -> Cell<'a> {
    micros
        .and_then(|micros| TimeUs(micros).plausible())
        .map_or(Cell::Unfit("a moment before 2015 or after 2100"), |time| Cell::Moment(time, form))
}
