//! Numbers and moments out of cells.

use std::str::FromStr;

use protocol::time::TimeUs;
use protocol::{Address, Decimal};

use super::super::cell::Cell;
use super::super::moment;

/// Digits behind the point that are kept.
const SCALE: u32 = 18;
/// No number is written with more characters.
const LONGEST_NUMBER: usize = 64;

/// Why a row is not taken: the kind of reason, and the whole of it.
pub(in crate::import) type Why = (&'static str, String);

/// A number; none where nothing stands.
pub(in crate::import) fn number(cell: &Cell<'_>, what: &str) -> Result<Option<Decimal>, Why> {
    let bad = |shown: &str| ("no number", format!("{what} is no number: {}", crate::import::perps::printable(shown)));
    let text = |text: &str| {
        let text = text.trim();
        let found = (text.len() <= LONGEST_NUMBER)
            .then(|| Decimal::from_str(text).or_else(|_| Decimal::from_scientific(text)).ok())
            .flatten();
        found.map(|value| Some(value.round_dp(SCALE).normalize())).ok_or_else(|| bad(text))
    };
    match cell {
        Cell::Null => Ok(None),
        Cell::Integer(value) => {
            Decimal::try_from_i128_with_scale(*value, 0).map(Some).map_err(|_| bad(&value.to_string()))
        }
        // A float is printed with the fewest digits that name it, so what was meant comes back.
        Cell::Float(value) if value.is_finite() => text(&format!("{value:e}")).map_err(|_| bad(&value.to_string())),
        Cell::Text(value) => text(value),
        Cell::Float(_) | Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => {
            Err(bad(&cell.shown().unwrap_or_default()))
        }
    }
}

/// A number that must be there.
pub(in crate::import) fn needed(cell: &Cell<'_>, what: &str) -> Result<Decimal, Why> {
    number(cell, what)?.ok_or_else(|| ("missing", format!("{what} is missing")))
}

/// A price or size: above 0.
pub(in crate::import) fn positive(cell: &Cell<'_>, what: &str) -> Result<Decimal, Why> {
    let value = needed(cell, what)?;
    if value > Decimal::ZERO { Ok(value) } else { Err(("not above zero", format!("{what} is {value}"))) }
}

/// A quantity that may be nothing.
pub(in crate::import) fn not_negative(cell: &Cell<'_>, what: &str) -> Result<Option<Decimal>, Why> {
    match number(cell, what)? {
        Some(value) if value < Decimal::ZERO => Err(("negative", format!("{what} is {value}"))),
        other => Ok(other),
    }
}

/// A moment that must be there.
pub(in crate::import) fn time(cell: &Cell<'_>) -> Result<TimeUs, Why> {
    let found = match cell {
        Cell::Moment(time, _) => Some(*time),
        Cell::Integer(epoch) => moment::from_epoch(*epoch).map(|(time, _)| time),
        Cell::Text(text) => moment::from_text(text).map(|(time, _)| time),
        #[expect(clippy::cast_possible_truncation, reason = "its size was looked at, and an epoch has no fraction")]
        Cell::Float(epoch) if epoch.fract() == 0.0 && epoch.abs() < 9e18 => {
            moment::from_epoch(i128::from(*epoch as i64)).map(|(time, _)| time)
        }
        Cell::Null | Cell::Float(_) | Cell::Bytes(_) | Cell::Flag(_) | Cell::Unfit(_) => None,
    };
    let shown = || cell.shown().map_or_else(|| "missing".to_owned(), |text| crate::import::perps::printable(&text));
    found.ok_or_else(|| ("no time", format!("the time is no moment: {}", shown())))
}

/// An account.
pub(in crate::import) fn account(cell: &Cell<'_>) -> Result<Option<Address>, Why> {
    let found = match cell {
        Cell::Null => return Ok(None),
        Cell::Bytes(bytes) => Address::try_from(*bytes).ok(),
        Cell::Text(_) | Cell::Integer(_) | Cell::Float(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => {
            cell.shown().and_then(|text| Address::from_str(text.trim()).ok())
        }
    };
    found.map(Some).ok_or_else(|| ("no account", "the account is no address of 20 bytes".to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_come_back_as_they_were_meant() {
        let decimal = |text: &str| text.parse::<Decimal>().unwrap();
        for (cell, expected) in [
            (Cell::Float(3992.96), Some(decimal("3992.96"))),
            (Cell::Float(1.581_209_833_333_335_2e-5), Some(decimal("0.000015812098333333"))),
            (Cell::Text("1.5e-3".into()), Some(decimal("0.0015"))),
            (Cell::Text(" 42 ".into()), Some(decimal("42"))),
            (Cell::Integer(-7), Some(decimal("-7"))),
            (Cell::Null, None),
        ] {
            assert_eq!(number(&cell, "it"), Ok(expected), "{cell:?}");
        }
        let nines = "9".repeat(400);
        for cell in [
            Cell::Integer(i128::MAX),
            Cell::Float(f64::INFINITY),
            Cell::Float(1e300),
            Cell::Text("1,5".into()),
            Cell::Text(nines.as_str().into()),
            Cell::Bytes(b"1"),
            Cell::Unfit("a nested value"),
        ] {
            assert!(number(&cell, "it").is_err(), "{cell:?}");
        }
    }

    proptest! {
        #[test]
        fn no_cell_is_too_odd(whole in any::<i128>(), float in any::<f64>(), text in ".{0,80}", bytes in any::<Vec<u8>>()) {
            for cell in [Cell::Integer(whole), Cell::Float(float), Cell::Text(text.as_str().into()), Cell::Bytes(&bytes)] {
                // That all of them return is tested too.
                if let Ok(Some(found)) = number(&cell, "it") {
                    prop_assert!(found.scale() <= SCALE);
                }
                let _ = (time(&cell), account(&cell), positive(&cell, "it"), not_negative(&cell, "it"));
            }
        }
    }
}
