//! What OKX says of its perpetual contracts (swaps).
//!
//! Source: okx.com/docs-v5, *Public Data*, *Order Book Trading, Market Data* and *Trading Statistics*. Traps: every size is in
//! contracts, whose size differs by contract; margin tiers are in contracts too, and a position keeps its tier's rate on all of itself;
//! at most one liquidation of a contract is told a second, at its bankruptcy price.

use protocol::Decimal;
use protocol::perp::{
    Counting, Distortion, Distortions, Funding, Instrument, Kind, Liquidation, Measure, Observation, Observed,
    OpenInterest, Price, PricedAt, Series, TierTable,
};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::{Contract, Side, Tier, Tiers, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{
    self, List, Maybe, Millis, Num, Of, Parsed, Text, Unread, Why, about, above_zero, cell, moment, not_negative,
    number_at, read, row,
};

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    code: Text<'a>,
    #[serde(borrow)]
    msg: Text<'a>,
    #[serde(borrow, default)]
    data: List<'a>,
}

fn open(body: &[u8]) -> Result<List<'_>, Unread> {
    let reply: Reply<'_> = read(body)?;
    if reply.code == "0" {
        return Ok(reply.data);
    }
    Err(Unread::Refused { code: reply.code.parse().unwrap_or(-1), message: wire::shortened(&reply.msg) })
}

/// What a reply says, where it is a refusal.
pub(super) fn complaint(body: &[u8]) -> Option<Unread> {
    open(body).err().filter(|why| matches!(why, Unread::Refused { .. }))
}

/// Reads every row of a reply.
fn each<T>(body: &[u8], read: impl FnMut(&RawValue) -> wire::Row<T>) -> Result<Parsed<T>, Unread> {
    Ok(Parsed::of(open(body)?, read))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    #[serde(borrow)]
    inst_type: Text<'a>,
    /// Such as `BTC-USDT`.
    #[serde(borrow)]
    uly: Text<'a>,
    #[serde(borrow)]
    ct_type: Text<'a>,
    ct_val: Num,
    ct_mult: Maybe,
    #[serde(borrow)]
    ct_val_ccy: Text<'a>,
    #[serde(borrow)]
    state: Text<'a>,
}

/// The swaps of a coin that are traded: `GET /api/v5/public/instruments?instType=SWAP`.
///
/// # Errors
/// The reply cannot be read.
pub fn instruments(coin: &str, body: &[u8]) -> Result<Parsed<Instrument>, Unread> {
    each(body, |raw| {
        let symbol: Symbol<'_> = row(raw)?;
        let Some((base, quote)) = symbol.uly.split_once('-') else {
            return Ok(None);
        };
        if symbol.inst_type != "SWAP" || symbol.state != "live" || base != coin {
            return Ok(None);
        }
        let (contract, counted) = match &*symbol.ct_type {
            "linear" => (Contract::Linear, base),
            "inverse" => (Contract::Inverse, quote),
            other => return Err(Why::malformed(format!("its ctType is {:?}", wire::shortened(other)))),
        };
        if symbol.ct_val_ccy != *counted {
            return Err(Why::malformed(format!("a contract's value is not in {}", wire::shortened(counted))));
        }
        let size = symbol.ct_val.0.checked_mul(symbol.ct_mult.0.unwrap_or(Decimal::ONE));
        let size = size.ok_or_else(|| Why::implausible("the contract's size is too large"))?;
        Ok(Some(Instrument {
            venue: Venue::Okx,
            symbol: wire::name(&symbol.inst_id)?,
            base: wire::name(base)?,
            quote: wire::name(quote)?,
            contract,
            contract_size: above_zero(size, "the contract's size")?,
            funding_interval: None,
        }))
    })
}

/// What OKX calls the index of an instrument, and its family: `BTC-USDT` of `BTC-USDT-SWAP`.
#[must_use]
pub fn family(instrument: &Instrument) -> String {
    format!("{}-{}", instrument.base, instrument.quote)
}

/// Candles: `GET /api/v5/market/candles` and `history-candles`, `mark-price-candles`, `index-candles` and their histories.
///
/// A row of trades is [time, open, high, low, close, contracts, coins, quote, finished], of the others [time, open, high, low, close,
/// finished].
///
/// # Errors
/// The reply cannot be read.
pub fn candles(
    instrument: &Instrument,
    series: Series,
    interval: i64,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| {
        let cells: List<'_> = row(raw)?;
        let time = moment(cell(&cells, 0, "ts")?)?;
        let price = |place, name| number_at(&cells, place, name);
        let prices = [price(1, "open")?, price(2, "high")?, price(3, "low")?, price(4, "close")?];
        let mut candle = wire::candle(series, interval, prices)?;
        let confirm = if series == Series::Trade { 8 } else { 5 };
        candle.finished = match cell(&cells, confirm, "confirm")?.get() {
            "\"1\"" => true,
            "\"0\"" => false,
            other => return Err(Why::malformed(format!("confirm is {}", wire::shortened(other)))),
        };
        if series == Series::Trade {
            candle.volume = Some(not_negative(number_at(&cells, 6, "volCcy")?, "volCcy")?);
            candle.turnover = Some(not_negative(number_at(&cells, 7, "volCcyQuote")?, "volCcyQuote")?);
        }
        Ok(Some(of.say(time, Distortions::NONE, Observed::Candle(candle))))
    })
}

/// What buyers took in each stretch of time, in coins: `GET /api/v5/rubik/stat/taker-volume-contract` with `unit=0`. A row is
/// [time, sold by takers, bought by takers].
///
/// # Errors
/// The reply cannot be read.
pub fn taker_bought(body: &[u8]) -> Result<Parsed<(TimeUs, Decimal)>, Unread> {
    each(body, |raw| {
        let cells: List<'_> = row(raw)?;
        let bought = not_negative(number_at(&cells, 2, "buyVol")?, "buyVol")?;
        not_negative(number_at(&cells, 1, "sellVol")?, "sellVol")?;
        Ok(Some((moment(cell(&cells, 0, "ts")?)?, bought)))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mark<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    mark_px: Num,
    ts: Millis,
}

/// The mark price: `GET /api/v5/public/mark-price`.
///
/// # Errors
/// The reply cannot be read.
pub fn mark_price(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| mark_said(&of, raw))
}

fn mark_said(of: &Of<'_>, raw: &RawValue) -> wire::Row<Observation> {
    let mark: Mark<'_> = row(raw)?;
    about(of.instrument, &mark.inst_id)?;
    let price = Price { mark: Some(above_zero(mark.mark_px.0, "the mark price")?), index: None };
    Ok(Some(of.say(mark.ts.0, Distortions::NONE, Observed::Price(price))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    idx_px: Num,
    ts: Millis,
}

/// The index price: `GET /api/v5/market/index-tickers`.
///
/// # Errors
/// The reply cannot be read.
pub fn index_price(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| {
        let index: Index<'_> = row(raw)?;
        let family = family(instrument);
        if index.inst_id != *family {
            return Err(Why::foreign(&family, &index.inst_id));
        }
        let price = Price { mark: None, index: Some(above_zero(index.idx_px.0, "the index price")?) };
        Ok(Some(of.say(index.ts.0, Distortions::NONE, Observed::Price(price))))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    oi: Num,
    oi_ccy: Num,
    #[serde(default)]
    oi_usd: Maybe,
    ts: Millis,
}

/// What is open now: `GET /api/v5/public/open-interest`.
///
/// # Errors
/// The reply cannot be read.
pub fn open_interest(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| open_said(&of, raw))
}

fn open_said(of: &Of<'_>, raw: &RawValue) -> wire::Row<Observation> {
    let open: Open<'_> = row(raw)?;
    about(of.instrument, &open.inst_id)?;
    let fact = interest(open.oi.0, open.oi_ccy.0, open.oi_usd.0)?;
    Ok(Some(of.say(open.ts.0, OPEN, fact)))
}

/// OKX's documents do not say which sides it counts.
const OPEN: Distortions = Distortions::NONE.with(Distortion::FromContracts).with(Distortion::SidesUnstated);

fn interest(contracts: Decimal, coins: Decimal, usd: Option<Decimal>) -> Result<Observed, Why> {
    let reported = not_negative(contracts, "open interest")?;
    let coins = not_negative(coins, "open interest in coins")?;
    let usd = usd.map(|usd| not_negative(usd, "open interest in dollars")).transpose()?;
    Ok(Observed::OpenInterest(OpenInterest {
        coins,
        usd,
        reported,
        counting: Counting::Unstated,
        unit: Measure::Contracts,
    }))
}

/// What was open: `GET /api/v5/rubik/stat/contracts/open-interest-history`. A row is [time, contracts, coins, dollars].
///
/// # Errors
/// The reply cannot be read.
pub fn open_interest_history(
    instrument: &Instrument,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| {
        let cells: List<'_> = row(raw)?;
        let amount = |place, name| number_at(&cells, place, name);
        let fact = interest(amount(1, "oi")?, amount(2, "oiCcy")?, Some(amount(3, "oiUsd")?))?;
        Ok(Some(of.say(moment(cell(&cells, 0, "ts")?)?, OPEN, fact)))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Next<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    funding_rate: Num,
    funding_time: Millis,
    #[serde(borrow)]
    next_funding_time: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
}

/// The funding to be paid next: `GET /api/v5/public/funding-rate`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| funding_said(&of, raw))
}

fn funding_said(of: &Of<'_>, raw: &RawValue) -> wire::Row<Observation> {
    let next: Next<'_> = row(raw)?;
    about(of.instrument, &next.inst_id)?;
    let pays_at = next.funding_time.0;
    let after = next.next_funding_time.and_then(|time| moment(time).ok());
    let interval = after.map(|after| after.0 - pays_at.0).filter(|interval| (1..=24 * HOUR_US).contains(interval));
    let (time, distortions) = match next.ts.and_then(|time| moment(time).ok()) {
        Some(time) => (time, Distortions::NONE),
        None => (of.received, Distortions::NONE.with(Distortion::TimeOfHearing)),
    };
    let interval = interval.or(of.instrument.funding_interval);
    let funding = Funding { rate: next.funding_rate.0, interval, settled: false, pays_at: Some(pays_at) };
    Ok(Some(of.say(time, distortions, Observed::Funding(funding))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    funding_rate: Num,
    /// What was paid in the end; `fundingRate` is what was expected.
    #[serde(default)]
    realized_rate: Maybe,
    funding_time: Millis,
}

/// What longs paid: `GET /api/v5/public/funding-rate-history`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding_history(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let mut parsed = each(body, |raw| {
        let paid: Paid<'_> = row(raw)?;
        about(instrument, &paid.inst_id)?;
        Ok(Some(of.paid(paid.funding_time.0, paid.realized_rate.0.unwrap_or(paid.funding_rate.0), None)))
    })?;
    wire::set_funding_intervals(&mut parsed.rows, instrument.funding_interval);
    Ok(parsed)
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow)]
    bids: List<'a>,
    #[serde(borrow)]
    asks: List<'a>,
    ts: Millis,
}

/// The order book: `GET /api/v5/market/books`.
///
/// # Errors
/// The reply cannot be read.
pub fn depth(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    each(body, |raw| {
        let book: Book<'_> = row(raw)?;
        let depth = wire::depth(&of, &book.bids, &book.asks)?;
        Ok(Some(of.say(book.ts.0, of.turning(), Observed::Depth(depth))))
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PositionTier {
    min_sz: Num,
    mmr: Num,
    max_lever: Num,
}

/// The margin tiers: `GET /api/v5/public/position-tiers`. Floors stay in contracts, as OKX states them; a tier's rate is kept on all of
/// the position, so nothing is deducted.
///
/// # Errors
/// The reply cannot be read.
pub fn tiers(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let mut rows = each(body, |raw| {
        let tier: PositionTier = row(raw)?;
        Ok(Some(Tier {
            floor: tier.min_sz.0,
            maintenance_margin_rate: tier.mmr.0,
            deduction: Decimal::ZERO,
            max_leverage: tier.max_lever.0,
        }))
    })?;
    let mut parsed = Parsed { rows: Vec::new(), rejects: rows.rejects, foreign: 0 };
    // A table that lacks a tier is no table.
    if parsed.rejects.is_empty() {
        rows.rows.sort_by_key(|tier| tier.floor);
        match Tiers::new(rows.rows) {
            Ok(tiers) => {
                let table = TierTable { tiers, floors: Measure::Contracts };
                let distortions = Distortions::NONE.with(Distortion::TimeOfHearing);
                parsed.rows.push(of.say(received, distortions, Observed::Tiers(table)));
            }
            Err(cause) => {
                let whole: &RawValue = read(body)?;
                parsed.rejects.push(Why::implausible(cause.to_string()).of(whole));
            }
        }
    }
    Ok(parsed)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Closures<'a> {
    #[serde(borrow)]
    inst_id: Text<'a>,
    #[serde(borrow)]
    details: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Closed<'a> {
    #[serde(borrow)]
    side: Text<'a>,
    #[serde(borrow, default)]
    pos_side: Text<'a>,
    bk_px: Num,
    sz: Num,
    ts: Millis,
}

/// The liquidations of the last days: `GET /api/v5/public/liquidation-orders?instType=SWAP&state=filled`.
///
/// # Errors
/// The reply cannot be read.
pub fn liquidations(instruments: &[Instrument], body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let mut parsed = Parsed::default();
    for raw in open(body)? {
        closures(instruments, raw, received, &mut parsed);
    }
    wire::number_equals(&mut parsed.rows);
    Ok(parsed)
}

fn closures(instruments: &[Instrument], raw: &RawValue, received: TimeUs, parsed: &mut Parsed<Observation>) {
    let closures: Closures<'_> = match row(raw) {
        Ok(closures) => closures,
        Err(why) => return parsed.rejects.push(why.of(raw)),
    };
    let Some(instrument) = find(instruments, &closures.inst_id) else {
        parsed.foreign += u64::try_from(closures.details.len()).unwrap_or(u64::MAX);
        return;
    };
    let of = Of { instrument, received };
    for detail in closures.details {
        parsed.take(detail, liquidation(&of, detail));
    }
}

/// A liquidation. In hedge mode the position's side is told, else it follows from the order's: a sell closes a long.
fn liquidation(of: &Of<'_>, raw: &RawValue) -> wire::Row<Observation> {
    let closed: Closed<'_> = row(raw)?;
    let by_order = match &*closed.side {
        "sell" => Side::Long,
        "buy" => Side::Short,
        other => return Err(Why::malformed(format!("its side is {:?}, neither sell nor buy", wire::shortened(other)))),
    };
    let side = match &*closed.pos_side {
        "long" => Side::Long,
        "short" => Side::Short,
        _ => by_order,
    };
    if side != by_order {
        return Err(Why::implausible("its order does not close a position of the side it names"));
    }
    let (size, price) = (above_zero(closed.sz.0, "its size")?, above_zero(closed.bk_px.0, "its price")?);
    let (coins, usd) = (of.coins(size, Some(price))?, of.dollars(size, Some(price)));
    let distortions = of.turning().with(Distortion::OnePerSecond).with(Distortion::NotTraded);
    let liquidation = Liquidation { side, coins, price, priced_at: PricedAt::Bankruptcy, usd, ordinal: 0 };
    Ok(Some(of.say(closed.ts.0, distortions, Observed::Liquidation(liquidation))))
}

fn find<'a>(instruments: &'a [Instrument], symbol: &str) -> Option<&'a Instrument> {
    instruments.iter().find(|instrument| *instrument.symbol == *symbol)
}

/// The arguments of a subscription to what carries these kinds of some instruments. Liquidations come of all swaps at once.
#[must_use]
pub fn channels(instruments: &[Instrument], kinds: &[Kind]) -> Vec<String> {
    let mut channels = Vec::new();
    if kinds.contains(&Kind::Liquidations) {
        channels.push(r#"{"channel":"liquidation-orders","instType":"SWAP"}"#.to_owned());
    }
    let by_kind =
        [(Kind::Prices, "mark-price"), (Kind::OpenInterest, "open-interest"), (Kind::Funding, "funding-rate")];
    for (_, channel) in by_kind.iter().filter(|(kind, _)| kinds.contains(kind)) {
        for instrument in instruments {
            let symbol = serde_json::Value::from(&*instrument.symbol);
            channels.push(format!(r#"{{"channel":"{channel}","instId":{symbol}}}"#));
        }
    }
    channels
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
    #[serde(borrow)]
    arg: Option<Argument<'a>>,
    #[serde(borrow, default)]
    data: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow)]
    inst_id: Option<Text<'a>>,
}

/// Reads a message of a public stream. What answers a subscription or a ping gives no rows.
///
/// # Errors
/// The message cannot be read, or refuses what was subscribed to.
pub fn message(instruments: &[Instrument], text: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let mut parsed = Parsed::default();
    if text == b"pong" {
        return Ok(parsed);
    }
    let message: Message<'_> = read(text)?;
    if message.event.as_deref() == Some("error") {
        let code = message.code.and_then(|code| code.parse().ok()).unwrap_or(-1);
        return Err(Unread::Refused { code, message: wire::shortened(&message.msg.unwrap_or_default()) });
    }
    let Some(argument) = message.arg.filter(|_| message.event.is_none()) else {
        return Ok(parsed);
    };
    if argument.channel == "liquidation-orders" {
        for raw in message.data {
            closures(instruments, raw, received, &mut parsed);
        }
        wire::number_equals(&mut parsed.rows);
        return Ok(parsed);
    }
    let Some(instrument) = argument.inst_id.and_then(|symbol| find(instruments, &symbol)) else {
        parsed.foreign += 1;
        return Ok(parsed);
    };
    let of = Of { instrument, received };
    for raw in message.data {
        let outcome = match &*argument.channel {
            "mark-price" => mark_said(&of, raw),
            "open-interest" => open_said(&of, raw),
            "funding-rate" => funding_said(&of, raw),
            _ => Ok(None),
        };
        parsed.take(raw, outcome);
    }
    Ok(parsed)
}
