//! States of accounts as Hyperliquid answers `clearinghouseState`, kept in a file: one reply, or one to a line.

use std::io::Read as _;
use std::path::Path;
use std::str::FromStr;

use protocol::Address;
use protocol::perp::Observed;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Read, Settings};
use crate::error::{Error, IoContext, Result};
use crate::venue::{Reject, hyperliquid};

/// Bytes of such a file that are read.
const MOST_BYTES: u64 = 256 << 20;

/// A reply, or a line with the account whose it is.
#[derive(Debug, Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "assetPositions")]
    positions: Option<&'a RawValue>,
    #[serde(borrow, alias = "clearinghouseState")]
    state: Option<&'a RawValue>,
    #[serde(alias = "account", alias = "address")]
    user: Option<String>,
}

/// Reads the file if it is of that form.
///
/// # Errors
/// It cannot be read, is too long, or does not say whose an account is.
pub(super) fn read(path: &Path, settings: &Settings) -> Result<Option<Read>> {
    let mut file = std::fs::File::open(path).while_trying_to("read the file", path)?;
    let mut head = vec![0; 4_096];
    let read = file.read(&mut head).while_trying_to("read the file", path)?;
    let head = String::from_utf8_lossy(&head[..read]).into_owned();
    if !head.trim_start().starts_with('{')
        || !(head.contains("\"assetPositions\"") || head.contains("\"marginSummary\""))
    {
        return Ok(None);
    }
    let length = file.metadata().while_trying_to("read the file", path)?.len();
    if length > MOST_BYTES {
        let what = format!("{}: {length} bytes of account states", path.display());
        return Err(Error::Unfit { what, advice: "give it in parts, one state to a line".to_owned() });
    }
    let text = std::fs::read_to_string(path).while_trying_to("read the file", path)?;
    let whole = serde_json::from_str::<Line<'_>>(&text).is_ok();
    let lines: Vec<&str> =
        if whole { vec![&text] } else { text.lines().filter(|line| !line.trim().is_empty()).collect() };
    let named = path.file_stem().and_then(|stem| Address::from_str(&stem.to_string_lossy()).ok());
    let mut out = Read { columns: vec![("state", "clearinghouseState".to_owned())], ..Read::default() };
    for (at, line) in lines.into_iter().enumerate() {
        out.rows += 1;
        let number = at as u64 + 1;
        let reject = |reason, detail: String| Reject {
            reason,
            detail: format!("row {number}: {detail}"),
            row: crate::venue::shown(line),
        };
        let Ok(parsed) = serde_json::from_str::<Line<'_>>(line) else {
            out.rejects.push(reject("malformed row", "it is no state of an account".to_owned()));
            continue;
        };
        let body = if parsed.positions.is_some() { line } else { parsed.state.map_or("{}", RawValue::get) };
        let user = parsed.user.as_deref().and_then(|user| Address::from_str(user).ok());
        let Some(account) = user.or(settings.account).or(named) else {
            return Err(Error::Unfit {
                what: format!("{}: does not say whose account it is", path.display()),
                advice: "add --account 0x…, or name the file after it".to_owned(),
            });
        };
        match hyperliquid::positions(account, body.as_bytes(), settings.received) {
            Ok(read) => {
                out.rejects.extend(read.rejects);
                let is_asked =
                    |symbol: &str| settings.coin.as_ref().is_none_or(|coin| symbol.eq_ignore_ascii_case(coin));
                let (asked, others): (Vec<_>, Vec<_>) = read.rows.into_iter().partition(|row| is_asked(&row.symbol));
                out.others += others.len() as u64;
                out.observations.extend(asked.into_iter().filter(|row| matches!(row.fact, Observed::Position(_))));
            }
            Err(why) => out.rejects.push(reject("malformed row", why.to_string())),
        }
    }
    Ok(Some(out))
}
