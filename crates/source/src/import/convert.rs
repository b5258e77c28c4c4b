//! From a row of somebody's file to a liquidation, or to the reason why not.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use protocol::amount::{AmountError, Raw, Usd8, value_usd};
use protocol::chain::ChainId;
use protocol::liquidation::{Amount, Inexact, Leg, Liquidation, Version};
use protocol::time::TimeUs;
use protocol::token::{Listed, Token, Tokens};
use protocol::{Address, B256};

use super::cell::Cell;
use super::input::Row;
use super::mapping::{Field, Mapping};
use super::moment::{self, Form};
use super::{AmountUnit, Settings};

/// The longest name of a token or market that is kept.
const LONGEST_NAME_BYTES: usize = 128;
/// How many chains' tokens are kept at hand before they are forgotten and learnt anew.
const CHAINS_AT_HAND: usize = 64;
/// How many different names are kept at hand before they are forgotten and learnt anew.
const NAMES_AT_HAND: usize = 16_384;
/// The largest value of one liquidation that is taken: a thousand million million US dollars is no liquidation.
const MOST_USD: Usd8 = Usd8(100_000_000_000_000_000_000_000);

/// Why a row was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The kind of reason, for counting.
    pub reason: &'static str,
    /// The whole reason, for reading.
    pub detail: String,
}

/// What was noticed on the way, for the report: nothing of it stopped a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noticed {
    /// How moments were written, and how often.
    pub time_forms: BTreeMap<Form, u64>,
    /// Amounts that are not the chain's integers, by reason.
    pub inexact: BTreeMap<Inexact, u64>,
    /// Liquidations with a debt amount and no US dollar value of it.
    pub debt_without_usd: u64,
    /// Liquidations with a collateral amount and no US dollar value of it.
    pub collateral_without_usd: u64,
}

/// Converts the rows of one file.
#[derive(Debug)]
pub(crate) struct Converter<'a> {
    mapping: &'a Mapping,
    settings: &'a Settings,
    tokens: &'a Tokens,
    names: HashMap<Box<str>, Arc<str>>,
    /// Tokens by the one text that named them.
    known: HashMap<ChainId, HashMap<Box<str>, Token>>,
    noticed: Noticed,
}

#[derive(Clone, Copy)]
struct Side {
    name: &'static str,
    asset: Field,
    symbol: Field,
    amount: Field,
    price: Field,
    usd: Field,
}

const COLLATERAL: Side = Side {
    name: "collateral",
    asset: Field::CollateralAsset,
    symbol: Field::CollateralSymbol,
    amount: Field::CollateralAmount,
    price: Field::CollateralPriceUsd,
    usd: Field::CollateralUsd,
};
const DEBT: Side = Side {
    name: "debt",
    asset: Field::DebtAsset,
    symbol: Field::DebtSymbol,
    amount: Field::DebtAmount,
    price: Field::DebtPriceUsd,
    usd: Field::DebtUsd,
};

impl<'a> Converter<'a> {
    /// A converter for one file's columns.
    #[must_use]
    pub(crate) fn new(mapping: &'a Mapping, settings: &'a Settings, tokens: &'a Tokens) -> Self {
        Self { mapping, settings, tokens, names: HashMap::new(), known: HashMap::new(), noticed: Noticed::default() }
    }

    /// What was noticed in the rows converted so far.
    #[must_use]
    pub(crate) fn noticed(&self) -> &Noticed {
        &self.noticed
    }

    /// Converts a row.
    ///
    /// # Errors
    /// The reason why the row cannot be taken.
    pub(crate) fn convert(&mut self, row: &Row<'_>) -> Result<(TimeUs, Liquidation), Rejection> {
        if let Row::Broken(why, _) = row {
            return Err(reject("malformed row", format!("the row {why}")));
        }
        let (time, form) = self.time(row)?;
        let chain = self.chain(row)?;
        let stated = self.version(row)?;
        let market = self.market(row, stated.or(self.settings.version))?;
        let version = stated.or_else(|| Version::named_in(&market)).or(self.settings.version);
        let liquidation = Liquidation {
            chain,
            version,
            market,
            block: self.whole(row, Field::BlockNumber, "block number")?,
            transaction: self.bytes::<32>(row, Field::TxHash, "transaction hash")?.map(B256::from),
            log_index: self.whole(row, Field::LogIndex, "log index")?,
            user: self
                .bytes::<20>(row, Field::User, "user")?
                .map(Address::from)
                .ok_or_else(|| reject("no user", "the user is missing"))?,
            liquidator: self.bytes::<20>(row, Field::Liquidator, "liquidator")?.map(Address::from),
            collateral: self.leg(row, chain, COLLATERAL)?,
            debt: self.leg(row, chain, DEBT)?,
            protocol_fee: self.dollars(row, Field::ProtocolFeeUsd, "protocol fee")?,
        };
        if liquidation.collateral.is_none() && liquidation.debt.is_none() {
            return Err(reject("no asset", "neither collateral nor debt is given"));
        }
        self.notice(form, &liquidation);
        Ok((time, liquidation))
    }

    fn notice(&mut self, form: Form, liquidation: &Liquidation) {
        *self.noticed.time_forms.entry(form).or_default() += 1;
        for leg in [&liquidation.collateral, &liquidation.debt].into_iter().flatten() {
            if let Amount::Inexact { why, .. } = leg.amount {
                *self.noticed.inexact.entry(why).or_default() += 1;
            }
        }
        let unpriced = |leg: &Option<Leg>| leg.as_ref().is_some_and(|leg| leg.usd.is_none());
        self.noticed.debt_without_usd += u64::from(unpriced(&liquidation.debt));
        self.noticed.collateral_without_usd += u64::from(unpriced(&liquidation.collateral));
    }

    fn cell<'r>(&self, row: &Row<'r>, field: Field) -> Cell<'r> {
        self.mapping.column(field).map_or(Cell::Null, |column| row.cell(column))
    }

    fn time(&self, row: &Row<'_>) -> Result<(TimeUs, Form), Rejection> {
        let cell = self.cell(row, Field::Time);
        let read = match &cell {
            Cell::Moment(time, form) => Some((*time, *form)),
            Cell::Integer(epoch) => moment::from_epoch(*epoch),
            Cell::Text(text) => moment::from_text(text),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a float epoch beyond the range is no plausible moment either way"
            )]
            Cell::Float(epoch) => moment::from_epoch(epoch.floor() as i128),
            Cell::Null => return Err(reject("no time", "the time is missing")),
            Cell::Bytes(_) | Cell::Flag(_) | Cell::Unfit(_) => None,
        };
        read.ok_or_else(|| {
            unreadable(
                "bad time",
                "time",
                &cell,
                "is no moment from 2015 to 2100 (ISO 8601, or an epoch in s, ms, µs or ns)",
            )
        })
    }

    fn chain(&self, row: &Row<'_>) -> Result<ChainId, Rejection> {
        let cell = self.cell(row, Field::Chain);
        let named = match &cell {
            Cell::Null => {
                return self.settings.chain.ok_or_else(|| reject("no chain", "the chain is missing"));
            }
            Cell::Integer(number) => u64::try_from(*number).ok().filter(|number| *number > 0).map(ChainId),
            Cell::Text(name) => ChainId::from_name(name),
            Cell::Float(_) | Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => None,
        };
        named.ok_or_else(|| {
            unreadable(
                "unknown chain",
                "chain",
                &cell,
                "is no chain this program knows by name; a chain's number works always",
            )
        })
    }

    fn version(&self, row: &Row<'_>) -> Result<Option<Version>, Rejection> {
        match self.cell(row, Field::Version).shown() {
            None => Ok(None),
            Some(text) => Version::parse(&text).map(Some).ok_or_else(|| {
                reject("unknown version", format!("the version \"{}\" is none of V1 to V4", shorten(&text)))
            }),
        }
    }

    fn market(&mut self, row: &Row<'_>, version: Option<Version>) -> Result<Arc<str>, Rejection> {
        match self.cell(row, Field::Market) {
            Cell::Text(market) => self.name(&market, "market"),
            Cell::Bytes(bytes) if bytes.len() == 20 => self.name(&Address::from_slice(bytes).to_string(), "market"),
            Cell::Null => match (&self.settings.market, version) {
                (Some(market), _) => self.name(&market.clone(), "market"),
                (None, Some(version)) => self.name(&format!("aave_{}", version.word().to_lowercase()), "market"),
                (None, None) => Err(reject(
                    "no market",
                    "neither market nor version is given; --market or --version sets it for the whole file",
                )),
            },
            other @ (Cell::Integer(_)
            | Cell::Float(_)
            | Cell::Bytes(_)
            | Cell::Moment(..)
            | Cell::Flag(_)
            | Cell::Unfit(_)) => Err(unreadable("bad market", "market", &other, "is no name")),
        }
    }

    fn whole<T: TryFrom<i128>>(&self, row: &Row<'_>, field: Field, name: &str) -> Result<Option<T>, Rejection> {
        let cell = self.cell(row, field);
        let whole = match &cell {
            Cell::Null => return Ok(None),
            Cell::Integer(value) => Some(*value),
            // pandas turns a whole-number column with holes into floats; up to 2^53 they are still whole and exact.
            Cell::Text(text) => moment::without_zero_fraction(text.trim()).parse().ok(),
            #[expect(clippy::cast_possible_truncation, reason = "the value is whole and below 2^53")]
            Cell::Float(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => Some(*value as i128),
            Cell::Float(_) | Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => None,
        };
        let fitting = whole.and_then(|value| T::try_from(value).ok());
        fitting.map(Some).ok_or_else(|| unreadable("bad number", name, &cell, "is no whole number that fits"))
    }

    fn bytes<const WIDTH: usize>(
        &self,
        row: &Row<'_>,
        field: Field,
        name: &str,
    ) -> Result<Option<[u8; WIDTH]>, Rejection> {
        let cell = self.cell(row, field);
        let read = match &cell {
            Cell::Null => return Ok(None),
            Cell::Text(text) => parse_hex(text.trim()),
            Cell::Bytes(bytes) => <[u8; WIDTH]>::try_from(*bytes).ok(),
            Cell::Integer(_) | Cell::Float(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => None,
        };
        read.map(Some).ok_or_else(|| {
            unreadable("bad address or hash", name, &cell, &format!("is not {WIDTH} bytes in hexadecimal"))
        })
    }

    fn leg(&mut self, row: &Row<'_>, chain: ChainId, side: Side) -> Result<Option<Leg>, Rejection> {
        let (asset, symbol) = (self.cell(row, side.asset), self.cell(row, side.symbol));
        let Some(token) = self.token(chain, &asset, &symbol, side.name)? else {
            // A value of nobody knows what is no figure; to take the row without it would lose it silently.
            let given =
                [side.amount, side.price, side.usd].into_iter().any(|field| self.cell(row, field) != Cell::Null);
            let rejection = || reject("no asset", format!("the {} has an amount or a value but no token", side.name));
            return if given { Err(rejection()) } else { Ok(None) };
        };
        let (amount, tokens_text) = self.amount(row, side, token.decimals)?;
        let usd = match self.dollars(row, side.usd, side.name)? {
            Some(usd) => Some(usd),
            None => self.priced(row, side, tokens_text.as_deref())?,
        };
        Ok(Some(Leg { token, amount, usd }))
    }

    fn token(
        &mut self,
        chain: ChainId,
        asset: &Cell<'_>,
        symbol: &Cell<'_>,
        side: &str,
    ) -> Result<Option<Token>, Rejection> {
        if let Cell::Bytes(bytes) = asset {
            let address = Address::try_from(*bytes);
            let address = address.map_err(|_| unreadable("bad address or hash", side, asset, "is not 20 bytes"))?;
            let name = if let Cell::Text(text) = symbol { text.trim() } else { "" };
            return self.identify(chain, Some(address), Some(name), side).map(Some);
        }
        let texts = [asset, symbol].map(|cell| if let Cell::Text(text) = cell { text.trim() } else { "" });
        let text = match texts {
            ["", ""] => return Ok(None),
            ["", text] | [text, ""] => text,
            // A column of addresses may hold symbols, and the other way round; an address decides.
            both => {
                let address = both.iter().find_map(|text| Address::from_str(text).ok());
                let name = both.into_iter().rev().find(|text| Address::from_str(text).is_err());
                return self.identify(chain, address, name, side).map(Some);
            }
        };
        if let Some(token) = self.known.get(&chain).and_then(|tokens| tokens.get(text)) {
            return Ok(Some(token.clone()));
        }
        let token = match Address::from_str(text) {
            Ok(address) => self.identify(chain, Some(address), None, side)?,
            Err(_) => self.identify(chain, None, Some(text), side)?,
        };
        if self.known.len() >= CHAINS_AT_HAND {
            self.known.clear();
        }
        let tokens = self.known.entry(chain).or_default();
        if tokens.len() >= NAMES_AT_HAND {
            tokens.clear();
        }
        tokens.insert(text.into(), token.clone());
        Ok(Some(token))
    }

    fn identify(
        &mut self,
        chain: ChainId,
        address: Option<Address>,
        name: Option<&str>,
        side: &str,
    ) -> Result<Token, Rejection> {
        let listed = match address {
            Some(address) => self.tokens.by_address(chain, address),
            None => self.tokens.by_symbol(chain, name.unwrap_or_default()),
        };
        if let Some(Listed { address, symbol, decimals, .. }) = listed {
            return Ok(Token { address: Some(*address), symbol: symbol.clone(), decimals: Some(*decimals) });
        }
        // Anyone can deploy a token of any name, so an unlisted one carries its address in the name it is grouped by.
        let symbol = match address {
            None => self.name(name.unwrap_or_default(), side)?,
            Some(address) => self.name(&format!("{}@{address:#x}", name.unwrap_or_default()), side)?,
        };
        Ok(Token { address, symbol, decimals: None })
    }

    /// The amount, and its number of tokens as decimal text where that is known.
    fn amount(&self, row: &Row<'_>, side: Side, decimals: Option<u8>) -> Result<(Amount, Option<String>), Rejection> {
        let cell = self.cell(row, side.amount);
        let unit = self.settings.amounts.unwrap_or(AmountUnit::Tokens);
        let text = match &cell {
            Cell::Null => return Ok((Amount::Missing, None)),
            Cell::Integer(value) => value.to_string(),
            Cell::Text(text) => text.trim().to_owned(),
            Cell::Float(value) => {
                return inexact(*value, unit, decimals, Inexact::Float).ok_or_else(|| bad_float(side, *value));
            }
            Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => {
                return Err(unreadable("bad amount", &format!("{} amount", side.name), &cell, "is not a number"));
            }
        };
        let read = match (unit, decimals) {
            (AmountUnit::Raw, _) => Raw::parse_units(&text),
            (AmountUnit::Tokens, Some(decimals)) => Raw::parse_tokens(&text, decimals),
            // Without decimals only the sign and form can be checked; 18 is the finest any listed token has.
            (AmountUnit::Tokens, None) => Raw::parse_tokens(&text, 0).and(Err(AmountError::TooFine)),
        };
        let as_float = |why| text.parse::<f64>().ok().and_then(|value| inexact(value, unit, decimals, why));
        let refused = |cause: AmountError| {
            reject("bad amount", format!("the {} amount \"{}\" {cause}", side.name, shorten(&text)))
        };
        match (read, unit) {
            (Ok(raw), _) => Ok((Amount::Exact(raw), decimals.map(|decimals| decimal_text(raw, decimals)))),
            (Err(cause @ AmountError::Scientific), _) => as_float(Inexact::Float).ok_or_else(|| refused(cause)),
            (Err(cause @ AmountError::TooFine), AmountUnit::Tokens) => {
                let why = if decimals.is_some() { Inexact::TooFine } else { Inexact::UnknownDecimals };
                as_float(why).ok_or_else(|| refused(cause))
            }
            (Err(cause), _) => Err(refused(cause)),
        }
    }

    fn dollars(&self, row: &Row<'_>, field: Field, name: &str) -> Result<Option<Usd8>, Rejection> {
        let cell = self.cell(row, field);
        let Some(text) = decimal_of(&cell).map_err(|why| unreadable("bad dollars", name, &cell, why))? else {
            return Ok(None);
        };
        match Usd8::parse_rounding(&text) {
            Ok(usd) if usd < Usd8(0) => {
                Err(reject("bad dollars", format!("the {name} in US dollars \"{}\" is negative", shorten(&text))))
            }
            Ok(usd) if usd > MOST_USD => Err(reject(
                "bad dollars",
                format!("the {name} in US dollars \"{}\" is more than 10^15", shorten(&text)),
            )),
            Ok(usd) => Ok(Some(usd)),
            Err(cause) => {
                Err(reject("bad dollars", format!("the {name} in US dollars \"{}\" {cause}", shorten(&text))))
            }
        }
    }

    /// The value by the file's own price, where it gives a price and no value.
    fn priced(&self, row: &Row<'_>, side: Side, tokens: Option<&str>) -> Result<Option<Usd8>, Rejection> {
        let cell = self.cell(row, side.price);
        let bad = |why: &str| unreadable("bad price", &format!("{} price", side.name), &cell, why);
        let (Some(price), Some(tokens)) = (decimal_of(&cell).map_err(bad)?, tokens) else {
            return Ok(None);
        };
        if price.starts_with('-') {
            return Err(bad("is negative"));
        }
        let usd = value_usd(tokens, &price).map_err(|cause| bad(&cause.to_string()))?;
        if usd > MOST_USD { Err(bad("makes the value more than 10^15 US dollars")) } else { Ok(Some(usd)) }
    }

    fn name(&mut self, name: &str, what: &str) -> Result<Arc<str>, Rejection> {
        let name = name.trim();
        if let Some(known) = self.names.get(name) {
            return Ok(known.clone());
        }
        if name.len() > LONGEST_NAME_BYTES {
            return Err(reject(
                "name too long",
                format!("the {what}'s name has {} bytes, more than {LONGEST_NAME_BYTES}", name.len()),
            ));
        }
        if self.names.len() >= NAMES_AT_HAND {
            self.names.clear();
        }
        let shared: Arc<str> = name.into();
        self.names.insert(name.into(), shared.clone());
        Ok(shared)
    }
}

/// An amount that only a float gives; `None` where the float is no amount.
fn inexact(value: f64, unit: AmountUnit, decimals: Option<u8>, why: Inexact) -> Option<(Amount, Option<String>)> {
    // Nobody can move a part of a smallest unit: the amounts are in tokens after all.
    let is_part = unit == AmountUnit::Raw && value.fract() != 0.0;
    if !value.is_finite() || value < 0.0 || is_part {
        return None;
    }
    let tokens = match (unit, decimals) {
        (AmountUnit::Tokens, _) => value,
        (AmountUnit::Raw, Some(decimals)) => value / 10_f64.powi(i32::from(decimals)),
        (AmountUnit::Raw, None) => return None,
    };
    Some((Amount::Inexact { tokens, why }, Some(format!("{tokens}"))))
}

fn bad_float(side: Side, value: f64) -> Rejection {
    let why = if value < 0.0 {
        "is negative"
    } else if !value.is_finite() {
        "is not finite"
    } else if value.fract() != 0.0 {
        "is a part of a smallest unit; the amounts may be in tokens (--amounts tokens)"
    } else {
        "is a float of smallest units of a token whose decimals are unknown"
    };
    reject("bad amount", format!("the {} amount {value} {why}", side.name))
}

/// A number as decimal text: a float in its shortest form that reads back to the same float, written without exponent.
fn decimal_of(cell: &Cell<'_>) -> Result<Option<String>, &'static str> {
    match cell {
        Cell::Null => Ok(None),
        Cell::Integer(value) => Ok(Some(value.to_string())),
        Cell::Float(value) if value.is_finite() => Ok(Some(value.to_string())),
        Cell::Text(text) => match (Usd8::parse_rounding(text), text.trim().parse::<f64>()) {
            (Err(AmountError::Scientific), Ok(value)) if value.is_finite() => Ok(Some(value.to_string())),
            _ => Ok(Some(text.trim().to_owned())),
        },
        Cell::Float(_) => Err("is not finite"),
        Cell::Bytes(_) | Cell::Moment(..) | Cell::Flag(_) | Cell::Unfit(_) => Err("is not a number"),
    }
}

fn decimal_text(raw: Raw, decimals: u8) -> String {
    let digits = format!("{:0width$}", raw.units(), width = usize::from(decimals) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    format!("{whole}.{fraction}")
}

/// Reads `0x…`, `\x…` (as PostgreSQL writes bytes) or bare hexadecimal.
fn parse_hex<const WIDTH: usize>(text: &str) -> Option<[u8; WIDTH]> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .or_else(|| text.strip_prefix("\\x"))
        .unwrap_or(text);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    if pairs.len() != WIDTH || !rest.is_empty() {
        return None;
    }
    let mut bytes = [0; WIDTH];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = hex_digit(*high)? << 4 | hex_digit(*low)?;
    }
    Some(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn reject(reason: &'static str, detail: impl Into<String>) -> Rejection {
    Rejection { reason, detail: detail.into() }
}

fn unreadable(reason: &'static str, name: &str, cell: &Cell<'_>, why: &str) -> Rejection {
    reject(reason, format!("the {name} \"{}\" {why}", shorten(&cell.shown().unwrap_or_default())))
}

/// At most 60 characters, for a message; the whole row is kept beside it.
fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(59).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_of_smallest_units_is_whole_or_no_amount() {
        let tokens = |value, unit, decimals| match inexact(value, unit, decimals, Inexact::Float) {
            Some((Amount::Inexact { tokens, .. }, _)) => Some(tokens),
            _ => None,
        };
        assert_eq!(tokens(150.0, AmountUnit::Raw, Some(2)), Some(1.5));
        assert_eq!(tokens(0.5, AmountUnit::Raw, Some(2)), None, "a part of a smallest unit");
        assert_eq!(tokens(150.0, AmountUnit::Raw, None), None, "decimals are not known");
        assert_eq!(tokens(0.5, AmountUnit::Tokens, None), Some(0.5));
        for none in [-1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(tokens(none, AmountUnit::Tokens, Some(18)), None);
        }
    }

    #[test]
    fn hexadecimal_is_read_as_exports_write_it() {
        for text in ["0x00ff", "0X00FF", "\\x00ff", "00ff"] {
            assert_eq!(parse_hex::<2>(text), Some([0, 255]), "{text}");
        }
        for text in ["0x00f", "0x00ff00", "0x00fg", "", "0x"] {
            assert_eq!(parse_hex::<2>(text), None, "{text}");
        }
    }
}
