//! Files of few rows whose columns have the names of their fields: each row as text, field by field.

use std::path::Path;

use super::input::{Flow, Input, Row};
use crate::error::{Error, Result};

/// Rows that are read of one file.
pub const MOST_ROWS: u64 = 5_000_000;

/// A row's fields as text, or why it cannot be told into columns.
pub type Fields<'a> = std::result::Result<&'a [Option<String>], &'a str>;

/// Reads a file (CSV, JSON lines or Parquet) and hands out each row with its number, the first being 1: a text for each field, in the
/// order of `fields`, none where nothing stands there; or, of a row that cannot be told into columns, why.
///
/// # Errors
/// The file cannot be read, has more than [`MOST_ROWS`] rows, lacks a field that is needed, or has a column that is no field: what is
/// misspelt must not be left out silently. Or `each` says so.
pub fn read(
    path: &Path,
    fields: &[&str],
    needed: &[&str],
    each: &mut dyn FnMut(u64, Fields<'_>) -> Result<()>,
) -> Result<()> {
    let input = Input::open(path)?;
    let known = |name: &str| fields.iter().any(|field| field.eq_ignore_ascii_case(name.trim()));
    if let Some(unknown) = input.columns().iter().find(|name| !known(name)) {
        return Err(Error::Unfit {
            what: format!("{}: there is no field \"{}\"", path.display(), unknown.escape_debug()),
            advice: format!("fields are {}", fields.join(", ")),
        });
    }
    let place = |field: &&str| input.columns().iter().position(|name| name.trim().eq_ignore_ascii_case(field));
    if let Some(missing) = needed.iter().find(|field| place(field).is_none()) {
        return Err(Error::Unfit {
            what: format!("{}: it has no column {missing}", path.display()),
            advice: format!("fields are {}, of which {} are needed", fields.join(", "), needed.join(", ")),
        });
    }
    let places: Vec<Option<usize>> = fields.iter().map(place).collect();
    input.visit(&mut |number, row, _| {
        if number > MOST_ROWS {
            return Err(Error::Unfit {
                what: format!("{}: more than {MOST_ROWS} rows", path.display()),
                advice: "give it in parts".to_owned(),
            });
        }
        if let Row::Broken(why, _) = row {
            each(number, Err(why))?;
            return Ok(Flow::Continue);
        }
        let texts: Vec<Option<String>> = places.iter().map(|place| row.cell((*place)?).shown()).collect();
        each(number, Ok(&texts))?;
        Ok(Flow::Continue)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_field_by_field_and_columns_must_be_fields() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let gathered = |path: &Path| {
            let mut rows = Vec::new();
            read(path, &["a", "b", "c"], &["a"], &mut |number, row| {
                rows.push((number, row.map(<[_]>::to_vec).map_err(str::to_owned)));
                Ok(())
            })?;
            Ok::<_, Error>(rows)
        };
        let some = |text: &str| Some(text.to_owned());
        let expected = vec![(1, Ok(vec![some("1"), None, some("x")])), (2, Ok(vec![some("2.50"), None, None]))];
        assert_eq!(gathered(&file("f.csv", "C,a\nx,1\n,2.50\n")).unwrap(), expected);
        let json = "{\"a\":\"1\",\"c\":\"x\"}\n{\"a\":\"2.50\"}\n";
        assert_eq!(gathered(&file("f.jsonl", json)).unwrap(), expected);
        let broken = gathered(&file("g.csv", "a,b\n1,2\n3\n")).unwrap();
        assert!(broken[1].1.is_err(), "{broken:?}");
        for (content, says) in [("a,amuont\n1,2\n", "amuont"), ("b,c\n1,2\n", "no column a")] {
            let told = gathered(&file("h.csv", content)).unwrap_err().to_string();
            assert!(told.contains(says), "{told}");
        }
    }
}
