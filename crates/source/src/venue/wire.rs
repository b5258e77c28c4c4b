//! What venues send, as far as all of them are alike: numbers written as text, moments in milliseconds, lists of which a row can be bad.
//!
//! A reply is held to be hostile. What cannot be a row is a [`Reject`] with its reason and does not touch the rows beside it; fields
//! that are not known are passed over, as venues add them without notice.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use protocol::Decimal;
use protocol::perp::{Candle, Depth, Distortions, Funding, Instrument, Level, Observation, Observed, Series};
use protocol::time::{HOUR_US, TimeUs};
use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

/// A row that was not taken is kept up to this many characters.
const LONGEST_SHOWN: usize = 400;
/// No number of a venue has more characters.
const LONGEST_NUMBER: usize = 64;
/// No name of an instrument or coin has more characters.
const LONGEST_NAME: usize = 64;

/// What was read of a reply or a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// What was taken, in the reply's order.
    pub rows: Vec<T>,
    /// What was not, and why.
    pub rejects: Vec<Reject>,
    /// How many rows are about instruments that were not asked about.
    pub foreign: u64,
}

impl<T> Default for Parsed<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), rejects: Vec::new(), foreign: 0 }
    }
}

impl<T> Parsed<T> {
    /// Adds another part.
    pub fn append(&mut self, mut other: Self) {
        self.rows.append(&mut other.rows);
        self.rejects.append(&mut other.rejects);
        self.foreign = self.foreign.saturating_add(other.foreign);
    }

    /// The rows of a reply, each read by itself: one that cannot be taken does not touch the others.
    pub(super) fn of<'a>(
        rows: impl IntoIterator<Item = &'a RawValue>,
        mut read: impl FnMut(&'a RawValue) -> Row<T>,
    ) -> Self {
        let mut parsed = Self::default();
        rows.into_iter().for_each(|raw| parsed.take(raw, read(raw)));
        parsed
    }

    /// The same of rows of which several things are read.
    pub(super) fn of_all<'a>(
        rows: impl IntoIterator<Item = &'a RawValue>,
        mut read: impl FnMut(&'a RawValue) -> Result<Vec<T>, Why>,
    ) -> Self {
        let mut parsed = Self::default();
        rows.into_iter().for_each(|raw| parsed.take_all(raw, read(raw)));
        parsed
    }

    /// Takes what a row gave.
    pub(super) fn take(&mut self, raw: &RawValue, outcome: Row<T>) {
        match outcome {
            Ok(Some(row)) => self.rows.push(row),
            Ok(None) => self.foreign = self.foreign.saturating_add(1),
            Err(why) => self.rejects.push(why.of(raw)),
        }
    }

    /// The same for a row of which several things are read.
    pub(super) fn take_all(&mut self, raw: &RawValue, outcome: Result<Vec<T>, Why>) {
        match outcome {
            Ok(rows) => self.rows.extend(rows),
            Err(why) => self.rejects.push(why.of(raw)),
        }
    }
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The kind of reason, for counting.
    pub reason: &'static str,
    /// The whole reason, for reading.
    pub detail: String,
    /// The row as it stood, shortened where it is very long.
    pub row: String,
}

/// Why a row is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    reason: &'static str,
    detail: String,
}

/// What a row gives: a value, nothing that was asked for, or a reason why it is not taken.
pub(super) type Row<T> = Result<Option<T>, Why>;

impl Why {
    /// It is not in the form the venue documents.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self { reason: "malformed", detail: detail.into() }
    }

    /// It is in that form and cannot be true.
    pub(super) fn implausible(detail: impl Into<String>) -> Self {
        Self { reason: "implausible", detail: detail.into() }
    }

    /// It is about something else than what was asked.
    pub(super) fn foreign(expected: &str, found: &str) -> Self {
        let found: String = found.chars().take(LONGEST_NAME).collect();
        Self { reason: "another instrument", detail: format!("it is about {found:?} and {expected:?} was asked about") }
    }

    /// It would have to be turned into coins, and what that takes is lacking.
    pub(super) fn unturnable(detail: impl Into<String>) -> Self {
        Self { reason: "cannot be turned into coins", detail: detail.into() }
    }

    pub(super) fn of(self, raw: &RawValue) -> Reject {
        Reject { reason: self.reason, detail: self.detail, row: shortened(raw.get()) }
    }
}

pub(crate) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST_SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Why nothing at all could be read of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It ends before it is complete.
    Cut,
    /// It is not JSON: often the page of a proxy or a firewall.
    NotJson(String),
    /// It is JSON of another form than the venue documents.
    OtherForm(String),
    /// The venue says that it will not answer.
    Refused {
        /// Its number for the reason.
        code: i64,
        /// What it says.
        message: String,
    },
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("the reply ends before it is complete"),
            Self::NotJson(begin) => write!(f, "the reply is not JSON; it begins with {begin:?}"),
            Self::OtherForm(what) => write!(f, "the reply has another form than documented ({what})"),
            Self::Refused { code, message } => write!(f, "the venue says {message:?} (its number {code})"),
        }
    }
}

/// Reads a whole reply.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unread> {
    serde_json::from_slice(body).map_err(|cause| {
        use serde_json::error::Category;
        match cause.classify() {
            Category::Eof => Unread::Cut,
            // In the middle of a number, for instance.
            Category::Syntax | Category::Data if begins_only(body) => Unread::Cut,
            Category::Data => Unread::OtherForm(shortened(&cause.to_string())),
            Category::Syntax | Category::Io => {
                Unread::NotJson(String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(60).collect())
            }
        }
    })
}

/// Whether a text begins as a list or an object and does not end as one.
fn begins_only(body: &[u8]) -> bool {
    let body = body.trim_ascii();
    matches!(body.first(), Some(b'[' | b'{')) && !matches!(body.last(), Some(b']' | b'}'))
}

/// Reads a row of a list.
pub(super) fn row<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Why> {
    serde_json::from_str(raw.get()).map_err(|cause| Why::malformed(shortened(&cause.to_string())))
}

/// A list whose rows are read one by one.
pub(super) type List<'a> = Vec<&'a RawValue>;

/// A short text.
pub(super) type Text<'a> = Cow<'a, str>;

/// A number, written as a JSON text or a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Num(pub(super) Decimal);

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        number(raw).map(Self).map_err(|why| D::Error::custom(why.detail))
    }
}

/// A number that can be lacking: absent, `null`, or an empty text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Maybe(pub(super) Option<Decimal>);

impl<'de> Deserialize<'de> for Maybe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        match raw.get() {
            "null" | "\"\"" => Ok(Self(None)),
            _ => number(raw).map(|number| Self(Some(number))).map_err(|why| D::Error::custom(why.detail)),
        }
    }
}

/// A moment in milliseconds since 1970, written as a JSON text or a JSON number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Millis(pub(super) TimeUs);

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        moment(raw).map(Self).map_err(|why| D::Error::custom(why.detail))
    }
}

/// The exact decimal a value of JSON states.
pub(super) fn number(raw: &RawValue) -> Result<Decimal, Why> {
    let text = raw.get();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    decimal(inner).ok_or_else(|| Why::malformed(format!("{} is no number", shortened(text))))
}

/// The exact decimal that a text states, with an exponent or without; none where it states none, or more than 28 digits.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.len() <= LONGEST_NUMBER
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'-' | b'+'));
    if !plain {
        return None;
    }
    let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) else {
        return digits_only(text).then(|| Decimal::from_str_exact(trimmed(text)).ok()).flatten();
    };
    let exponent: i32 = exponent.parse().ok()?;
    if !digits_only(mantissa) || !(-28..=28).contains(&exponent) {
        return None;
    }
    let mantissa = Decimal::from_str_exact(trimmed(mantissa)).ok()?.normalize();
    let ten = Decimal::TEN;
    let shifts = exponent.unsigned_abs();
    let value = if exponent < 0 {
        let mut value = mantissa;
        value.set_scale(mantissa.scale().checked_add(shifts)?).ok()?;
        value
    } else {
        (0..shifts).try_fold(mantissa, |value, _| value.checked_mul(ten))?
    };
    Some(if text.starts_with('-') { -value } else { value })
}

/// Without the zeros at the end of a fraction, which carry nothing and would use up digits.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

fn digits_only(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let all = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all(whole) && all(fraction)
}

/// The moment a value of JSON states in milliseconds.
pub(super) fn moment(raw: &RawValue) -> Result<TimeUs, Why> {
    let text = raw.get();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let millis: Option<i64> = inner.bytes().all(|byte| byte.is_ascii_digit()).then(|| inner.parse().ok()).flatten();
    let moment = millis.and_then(|millis| TimeUs(millis.checked_mul(1_000)?).plausible());
    moment.ok_or_else(|| Why::malformed(format!("{} is no moment in milliseconds", shortened(text))))
}

/// A cell of a row that is a list.
pub(super) fn cell<'a>(cells: &List<'a>, place: usize, name: &str) -> Result<&'a RawValue, Why> {
    cells.get(place).copied().ok_or_else(|| Why::malformed(format!("it has no {name}, number {place} of the row")))
}

/// A number in a cell of a row that is a list.
pub(super) fn number_at(cells: &List<'_>, place: usize, name: &str) -> Result<Decimal, Why> {
    number(cell(cells, place, name)?).map_err(|why| Why::malformed(format!("{name}: {}", why.detail)))
}

/// A name a venue gives, if it is one that can be kept: not empty, not long, in one line.
pub(super) fn name(text: &str) -> Result<Arc<str>, Why> {
    let fits = !text.is_empty() && text.chars().count() <= LONGEST_NAME && !text.chars().any(char::is_control);
    if fits {
        Ok(text.into())
    } else {
        Err(Why::malformed("a name in it is empty, very long, or has control characters"))
    }
}

pub(super) fn above_zero(value: Decimal, what: &str) -> Result<Decimal, Why> {
    if value > Decimal::ZERO { Ok(value) } else { Err(Why::implausible(format!("{what} is {value}, not above 0"))) }
}

pub(super) fn not_negative(value: Decimal, what: &str) -> Result<Decimal, Why> {
    if value >= Decimal::ZERO { Ok(value) } else { Err(Why::implausible(format!("{what} is {value}, below 0"))) }
}

/// That a row is about the instrument that was asked about.
pub(super) fn about(instrument: &Instrument, symbol: &str) -> Result<(), Why> {
    if *instrument.symbol == *symbol { Ok(()) } else { Err(Why::foreign(&instrument.symbol, symbol)) }
}

/// When something was heard, and of what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'a> {
    pub(super) instrument: &'a Instrument,
    pub(super) received: TimeUs,
}

impl Of<'_> {
    /// An observation of the instrument.
    pub(super) fn say(&self, time: TimeUs, distortions: Distortions, fact: Observed) -> Observation {
        Observation {
            venue: self.instrument.venue,
            symbol: self.instrument.symbol.clone(),
            time,
            received: self.received,
            distortions,
            fact,
        }
    }

    /// What longs paid at a moment; how long for, where that is known.
    pub(super) fn paid(&self, time: TimeUs, rate: Decimal, interval: Option<i64>) -> Observation {
        let funding = Funding { rate, interval, settled: true, pays_at: Some(time) };
        self.say(time, Distortions::NONE, Observed::Funding(funding))
    }

    /// What it takes to turn the venue's sizes into coins.
    pub(super) fn turning(&self) -> Distortions {
        if self.instrument.counts_contracts() {
            Distortions::NONE.with(protocol::perp::Distortion::FromContracts)
        } else {
            Distortions::NONE
        }
    }

    /// A size of the venue's in coins, at a price where that is needed: to the 18 digits behind the point that the archive keeps, rounded
    /// half to even.
    pub(super) fn coins(&self, size: Decimal, price: Option<Decimal>) -> Result<Decimal, Why> {
        // What is something in contracts is not nothing in coins.
        let coins = self.instrument.coins(size, price).map(|coins| coins.round_dp(18));
        let coins = coins.filter(|coins| size.is_zero() || !coins.is_zero());
        coins.ok_or_else(|| {
            Why::unturnable(format!(
                "{size} contracts have no price to be turned at, or come to too large or small a number"
            ))
        })
    }

    /// The value of a size of the venue's in US dollars, where the contract's quote is one.
    pub(super) fn dollars(&self, size: Decimal, price: Option<Decimal>) -> Option<Decimal> {
        self.instrument.value(size, price).filter(|_| self.instrument.is_in_dollars())
    }
}

/// Four prices in a row of which none can be right if they contradict one another.
pub(super) fn candle(series: Series, interval: i64, prices: [Decimal; 4]) -> Result<Candle, Why> {
    let [open, high, low, close] = prices;
    above_zero(low, "the lowest price")?;
    if low > open || low > close || high < open || high < close {
        return Err(Why::implausible(format!(
            "the prices {open}, {high}, {low}, {close} cross: open, high, low, close"
        )));
    }
    Ok(Candle {
        series,
        interval,
        open,
        high,
        low,
        close,
        volume: None,
        turnover: None,
        taker_buy: None,
        finished: false,
    })
}

/// A book from rows of price and size, sorted, in coins; a size of 0 is no order.
pub(super) fn depth(of: &Of<'_>, bids: &[&RawValue], asks: &[&RawValue]) -> Result<Depth, Why> {
    let side = |rows: &[&RawValue]| -> Result<Vec<Level>, Why> {
        let mut levels = Vec::with_capacity(rows.len());
        for raw in rows {
            let cells: List<'_> = row(raw)?;
            let price = above_zero(number_at(&cells, 0, "the price")?, "a price")?;
            let size = not_negative(number_at(&cells, 1, "the size")?, "a size")?;
            if !size.is_zero() {
                levels.push(Level { price, coins: of.coins(size, Some(price))? });
            }
        }
        Ok(levels)
    };
    book(side(bids)?, side(asks)?)
}

/// A book that is sorted and not crossed.
pub(super) fn book(mut bids: Vec<Level>, mut asks: Vec<Level>) -> Result<Depth, Why> {
    bids.sort_by_key(|level| std::cmp::Reverse(level.price));
    asks.sort_by_key(|level| level.price);
    if let (Some(bid), Some(ask)) = (bids.first(), asks.first())
        && bid.price >= ask.price
    {
        return Err(Why::implausible(format!(
            "the book is crossed: a bid of {} and an ask of {}",
            bid.price, ask.price
        )));
    }
    Ok(Depth { bids, asks })
}

/// Gives each of two or more equal liquidations of one message its place among them.
pub(super) fn number_equals(rows: &mut [Observation]) {
    for place in 1..rows.len() {
        let (before, rest) = rows.split_at_mut(place);
        let this = &mut rest[0];
        let same = before.iter().filter(|other| other.symbol == this.symbol && other.time == this.time);
        if let Observed::Liquidation(this) = &mut this.fact {
            let equal = same.filter(|other| match &other.fact {
                Observed::Liquidation(other) => {
                    (other.side, other.coins, other.price) == (this.side, this.coins, this.price)
                }
                Observed::Candle(_)
                | Observed::OpenInterest(_)
                | Observed::Price(_)
                | Observed::Funding(_)
                | Observed::Depth(_)
                | Observed::Tiers(_)
                | Observed::Position(_)
                | Observed::Gap(_) => false,
            });
            this.ordinal = u32::try_from(equal.count()).unwrap_or(u32::MAX);
        }
    }
}

/// The longest time between two payments of funding that venues have.
const LONGEST_FUNDING_US: i64 = 8 * HOUR_US;

/// Gives each payment the time since the one before it, where that can be an interval of funding; else the instrument's present one.
/// Venues change it, and list payments without it.
pub(super) fn set_funding_intervals(rows: &mut [Observation], present: Option<i64>) {
    rows.sort_by_key(|row| row.time);
    let mut before: Option<TimeUs> = None;
    for row in rows {
        if let Observed::Funding(Funding { interval, settled: true, .. }) = &mut row.fact {
            // Payments are stamped some milliseconds late.
            let since = before.map_or(0, |before| row.time.0 - before.0);
            let hours = (since + HOUR_US / 2).div_euclid(HOUR_US) * HOUR_US;
            let fits = (HOUR_US..=LONGEST_FUNDING_US).contains(&hours) && (since - hours).abs() <= HOUR_US / 60;
            *interval = if fits { Some(hours) } else { present };
            before = Some(row.time);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_read_exactly_or_not_at_all() {
        for (text, expected) in [
            ("0", Some("0")),
            ("-0.00103400", Some("-0.001034")),
            ("461134384.00000000", Some("461134384")),
            ("0.0000588298968880", Some("0.000058829896888")),
            ("1e-05", Some("0.00001")),
            ("-2.5E3", Some("-2500")),
            ("79228162514264337593543950335", Some("79228162514264337593543950335")),
            ("79228162514264337593543950336", None),
            ("0.00000000000000000000000000001", None),
            ("1.0000000000000000000000000000000000000000", Some("1")),
            ("", None),
            ("-", None),
            ("1.", None),
            (".5", None),
            ("+5", None),
            ("1_000", None),
            ("1,5", None),
            ("NaN", None),
            ("Infinity", None),
            ("0x10", None),
            (" 1", None),
            ("1e400", None),
            ("1e", None),
            ("1-1", None),
            ("1e5e5", None),
        ] {
            let expected = expected.map(|text| text.parse::<Decimal>().unwrap());
            assert_eq!(decimal(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_decimal_reads_back(mantissa in any::<i64>(), scale in 0_u32..19) {
            let value = Decimal::new(mantissa, scale);
            prop_assert_eq!(decimal(&value.to_string()), Some(value));
        }

        #[test]
        fn no_text_panics(text in ".{0,70}") {
            let _ = decimal(&text);
        }
    }

    #[test]
    fn a_number_may_be_a_text_a_number_or_lacking() {
        for (json, expected) in [
            ("\"1.5\"", Ok(Some("1.5"))),
            ("1.5", Ok(Some("1.5"))),
            ("\"\"", Ok(None)),
            ("null", Ok(None)),
            ("true", Err(())),
            ("[]", Err(())),
            ("\"1.5", Err(())),
            ("{\"a\":1}", Err(())),
        ] {
            let found: Result<Maybe, _> = serde_json::from_str(json);
            let expected = expected.map(|text| Maybe(text.map(|text| text.parse().unwrap())));
            assert_eq!(found.map_err(|_| ()), expected, "{json}");
            if json == "\"\"" || json == "null" {
                assert!(serde_json::from_str::<Num>(json).is_err(), "where it may not be lacking");
            }
        }
    }

    #[test]
    fn a_moment_is_in_milliseconds_or_refused() {
        for (json, expected) in [
            ("1672376496682", Some(1_672_376_496_682_000)),
            ("\"1672376496682\"", Some(1_672_376_496_682_000)),
            // Seconds and microseconds are read as moments of 1970 and of the year 54968.
            ("1672376496", None),
            ("1672376496682000", None),
            ("\"\"", None),
            ("-1", None),
            ("1672376496682.5", None),
        ] {
            let raw: &RawValue = serde_json::from_str(json).unwrap();
            assert_eq!(moment(raw).ok().map(|time| time.0), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_reply_is_told_apart() {
        assert_eq!(read::<&RawValue>(b"[1, 2").unwrap_err(), Unread::Cut);
        let html = read::<&RawValue>(b"<html><title>502</title>").unwrap_err();
        assert!(matches!(&html, Unread::NotJson(begin) if begin.starts_with("<html>")), "{html}");
        #[derive(Debug, serde::Deserialize)]
        struct Wanted {
            #[expect(dead_code, reason = "only whether it can be read is asked")]
            list: u8,
        }
        assert!(matches!(read::<Wanted>(b"{}"), Err(Unread::OtherForm(_))));
    }
}
