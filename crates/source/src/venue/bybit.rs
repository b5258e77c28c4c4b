//! What Bybit says of its linear and inverse perpetual contracts.
//!
//! Source: bybit-exchange.github.io/docs/v5, *Market* and *WebSocket Stream, Public*. Traps: `openInterest` adds both sides up
//! (`singleOpenInterest`, where it is given, does not); the side of a liquidation is the *position's*, its price the bankruptcy price;
//! sizes of inverse contracts are in contracts of one dollar, their turnover in coins.

use protocol::Decimal;
use protocol::perp::{
    Counting, Distortion, Distortions, Funding, Instrument, Kind, Liquidation, Measure, Observation, Observed,
    OpenInterest, Price, PricedAt, Series, TierTable,
};
use protocol::time::{SECOND_US, TimeUs};
use protocol::venue::{Contract, Side, Tier, Tiers, Venue};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{
    self, List, Maybe, Millis, Num, Of, Parsed, Text, Unread, Why, about, above_zero, cell, moment, not_negative,
    number_at, read, row,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    ret_code: i64,
    #[serde(borrow)]
    ret_msg: Text<'a>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
}

/// What a reply holds, and when the venue says that it wrote it.
fn open<'a, T: Deserialize<'a>>(body: &'a [u8], received: TimeUs) -> Result<(T, TimeUs, Distortions), Unread> {
    let reply: Reply<'a> = read(body)?;
    if reply.ret_code != 0 {
        return Err(Unread::Refused { code: reply.ret_code, message: wire::shortened(&reply.ret_msg) });
    }
    let result = reply.result.ok_or_else(|| Unread::OtherForm("it has no result".to_owned()))?;
    let result = read(result.get().as_bytes())?;
    match reply.time.and_then(|time| moment(time).ok()) {
        Some(time) => Ok((result, time, Distortions::NONE)),
        None => Ok((result, received, Distortions::NONE.with(Distortion::TimeOfHearing))),
    }
}

/// What a reply says, where it is a refusal.
pub(super) fn complaint(body: &[u8]) -> Option<Unread> {
    open::<serde::de::IgnoredAny>(body, TimeUs(0)).err().filter(|why| matches!(why, Unread::Refused { .. }))
}

#[derive(Deserialize)]
struct Rows<'a> {
    #[serde(borrow)]
    list: List<'a>,
    /// The instrument, where the whole list is of one.
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
}

/// The category an instrument is asked about under.
#[must_use]
pub fn category(contract: Contract) -> &'static str {
    match contract {
        Contract::Linear => "linear",
        Contract::Inverse => "inverse",
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    contract_type: Text<'a>,
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    base_coin: Text<'a>,
    #[serde(borrow)]
    quote_coin: Text<'a>,
    /// In minutes.
    funding_interval: Option<i64>,
}

/// The perpetual contracts of a coin that are traded: `GET /v5/market/instruments-info`.
///
/// # Errors
/// The reply cannot be read.
pub fn instruments(coin: &str, body: &[u8]) -> Result<Parsed<Instrument>, Unread> {
    let (rows, ..): (Rows<'_>, _, _) = open(body, TimeUs(0))?;
    Ok(Parsed::of(rows.list, |raw| instrument(coin, raw)))
}

fn instrument(coin: &str, raw: &RawValue) -> wire::Row<Instrument> {
    let symbol: Symbol<'_> = row(raw)?;
    let contract = match &*symbol.contract_type {
        "LinearPerpetual" => Contract::Linear,
        "InversePerpetual" => Contract::Inverse,
        _ => return Ok(None),
    };
    if symbol.base_coin != coin || symbol.status != "Trading" {
        return Ok(None);
    }
    let minutes = symbol.funding_interval.filter(|minutes| (1..=1_440).contains(minutes));
    Ok(Some(Instrument {
        venue: Venue::Bybit,
        symbol: wire::name(&symbol.symbol)?,
        base: wire::name(&symbol.base_coin)?,
        quote: wire::name(&symbol.quote_coin)?,
        contract,
        contract_size: Decimal::ONE,
        funding_interval: minutes.map(|minutes| minutes * 60 * SECOND_US),
    }))
}

/// Candles: `GET /v5/market/kline`, `mark-price-kline`, `index-price-kline`.
///
/// A row is [start, open, high, low, close], of trades also volume and turnover: coins and quote of a linear contract, contracts and
/// coins of an inverse one. What buyers took is not told.
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
    let (rows, now, _): (Rows<'_>, _, _) = open(body, received)?;
    Ok(Parsed::of(rows.list, |raw| {
        if let Some(symbol) = &rows.symbol {
            about(instrument, symbol)?;
        }
        let cells: List<'_> = row(raw)?;
        let time = moment(cell(&cells, 0, "start")?)?;
        let price = |place, name| number_at(&cells, place, name);
        let prices = [price(1, "open")?, price(2, "high")?, price(3, "low")?, price(4, "close")?];
        let mut candle = wire::candle(series, interval, prices)?;
        candle.finished = time.0.saturating_add(interval) <= now.0;
        if series == Series::Trade {
            let size = not_negative(number_at(&cells, 5, "volume")?, "volume")?;
            let turnover = not_negative(number_at(&cells, 6, "turnover")?, "turnover")?;
            (candle.volume, candle.turnover) = match instrument.contract {
                Contract::Linear => (Some(size), Some(turnover)),
                Contract::Inverse => (Some(turnover), instrument.value(size, None)),
            };
        }
        Ok(Some(of.say(time, Distortions::NONE, Observed::Candle(candle))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ticker<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(default)]
    mark_price: Maybe,
    #[serde(default)]
    index_price: Maybe,
    #[serde(default)]
    open_interest: Maybe,
    #[serde(default)]
    single_open_interest: Maybe,
    #[serde(default)]
    funding_rate: Maybe,
    #[serde(borrow)]
    next_funding_time: Option<&'a RawValue>,
}

/// Mark and index price, what is open and the funding to be paid next: `GET /v5/market/tickers`.
///
/// # Errors
/// The reply cannot be read.
pub fn ticker(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (rows, time, distortions): (Rows<'_>, _, _) = open(body, received)?;
    Ok(Parsed::of_all(rows.list, |raw| row(raw).and_then(|ticker| ticker_said(&of, &ticker, time, distortions))))
}

fn ticker_said(of: &Of<'_>, ticker: &Ticker<'_>, time: TimeUs, timed: Distortions) -> Result<Vec<Observation>, Why> {
    about(of.instrument, &ticker.symbol)?;
    let price = |price: Maybe, what: &str| price.0.map(|price| above_zero(price, what)).transpose();
    let (mark, index) = (price(ticker.mark_price, "the mark price")?, price(ticker.index_price, "the index price")?);
    let mut said = Vec::new();
    if mark.is_some() || index.is_some() {
        said.push(of.say(time, timed, Observed::Price(Price { mark, index })));
    }
    // A message that tells only what changed may tell one of the two numbers and no price to turn it at.
    let turnable = of.instrument.contract == Contract::Linear || mark.is_some();
    if turnable && (ticker.open_interest.0.is_some() || ticker.single_open_interest.0.is_some()) {
        let (open, distortions) = open_said(of, ticker.open_interest, ticker.single_open_interest, mark)?;
        let all = distortions.iter().chain(timed.iter()).collect();
        said.push(of.say(time, all, Observed::OpenInterest(open)));
    }
    if let Some(rate) = ticker.funding_rate.0 {
        let pays_at = ticker.next_funding_time.and_then(|time| moment(time).ok());
        let funding = Funding { rate, interval: of.instrument.funding_interval, settled: false, pays_at };
        said.push(of.say(time, timed, Observed::Funding(funding)));
    }
    Ok(said)
}

/// One side's open interest: the number the venue gives for it, or half of the one that adds both sides up (*Get Open Interest*:
/// "The value is the sum of both sides").
fn open_said(
    of: &Of<'_>,
    both: Maybe,
    single: Maybe,
    price: Option<Decimal>,
) -> Result<(OpenInterest, Distortions), Why> {
    let unit = of.instrument.measure();
    let (reported, one, counting, distortions) = match (single.0, both.0) {
        (Some(single), both) => {
            if both.is_some_and(|both| both < single) {
                return Err(Why::implausible("one side's open interest is more than both sides'"));
            }
            (single, single, Counting::OneSide, of.turning())
        }
        (None, Some(both)) => {
            let half = both.checked_div(Decimal::TWO).ok_or_else(|| Why::implausible("open interest is too large"))?;
            (both, half, Counting::BothSides, of.turning().with(Distortion::Halved))
        }
        (None, None) => return Err(Why::malformed("it has no open interest")),
    };
    let one = not_negative(one, "open interest")?;
    let coins = of.coins(one, price)?;
    Ok((OpenInterest { coins, usd: of.dollars(one, price), reported, counting, unit }, distortions))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenThen {
    #[serde(default)]
    open_interest: Maybe,
    #[serde(default)]
    single_open_interest: Maybe,
    timestamp: Millis,
}

/// What was open: `GET /v5/market/open-interest`. An inverse contract's is turned into coins at `price_at`, the price at its moment.
///
/// # Errors
/// The reply cannot be read.
pub fn open_interest_history(
    instrument: &Instrument,
    price_at: &dyn Fn(TimeUs) -> Option<Decimal>,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (rows, ..): (Rows<'_>, _, _) = open(body, received)?;
    Ok(Parsed::of(rows.list, |raw| {
        if let Some(symbol) = &rows.symbol {
            about(instrument, symbol)?;
        }
        let then: OpenThen = row(raw)?;
        let price = price_at(then.timestamp.0);
        let (mut open, distortions) = open_said(&of, then.open_interest, then.single_open_interest, price)?;
        if instrument.contract == Contract::Linear {
            // The value is not given, and the candle's price is not the moment's.
            open.usd = None;
        }
        Ok(Some(of.say(then.timestamp.0, distortions, Observed::OpenInterest(open))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    funding_rate: Num,
    funding_rate_timestamp: Millis,
}

/// What longs paid: `GET /v5/market/funding/history`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding_history(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (rows, ..): (Rows<'_>, _, _) = open(body, received)?;
    let mut parsed = Parsed::of(rows.list, |raw| {
        let paid: Paid<'_> = row(raw)?;
        about(instrument, &paid.symbol)?;
        Ok(Some(of.paid(paid.funding_rate_timestamp.0, paid.funding_rate.0, None)))
    });
    wire::set_funding_intervals(&mut parsed.rows, instrument.funding_interval);
    Ok(parsed)
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(rename = "s", borrow)]
    symbol: Text<'a>,
    #[serde(rename = "b", borrow)]
    bids: List<'a>,
    #[serde(rename = "a", borrow)]
    asks: List<'a>,
    ts: Millis,
}

/// The order book: `GET /v5/market/orderbook`.
///
/// # Errors
/// The reply cannot be read.
pub fn depth(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (whole, ..): (&RawValue, _, _) = open(body, received)?;
    Ok(Parsed::of([whole], |raw| {
        let book: Book<'_> = row(raw)?;
        about(instrument, &book.symbol)?;
        let depth = wire::depth(&of, &book.bids, &book.asks)?;
        Ok(Some(of.say(book.ts.0, of.turning(), Observed::Depth(depth))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RiskLimit<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    /// The largest position of the tier: in the quote currency of a linear contract, in coins of an inverse one.
    risk_limit_value: Num,
    maintenance_margin: Num,
    initial_margin: Num,
    max_leverage: Num,
    #[serde(default)]
    mm_deduction: Maybe,
}

/// The margin tiers: `GET /v5/market/risk-limit`. A tier reaches from the limit of the one before it to its own.
///
/// # Errors
/// The reply cannot be read.
pub fn tiers(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (whole, time, distortions): (&RawValue, _, _) = open(body, received)?;
    Ok(Parsed::of([whole], |raw| {
        let rows: Rows<'_> = row(raw)?;
        let mut limits = Vec::with_capacity(rows.list.len());
        for raw in rows.list {
            let limit: RiskLimit<'_> = row(raw)?;
            about(instrument, &limit.symbol)?;
            limits.push((limit.risk_limit_value.0, tier(&limit)?));
        }
        limits.sort_by_key(|(limit, _)| *limit);
        let mut floor = Decimal::ZERO;
        let tiers =
            limits.into_iter().map(|(limit, tier)| Tier { floor: std::mem::replace(&mut floor, limit), ..tier });
        let tiers = Tiers::new(tiers.collect()).map_err(|cause| Why::implausible(cause.to_string()))?;
        let floors = match instrument.contract {
            Contract::Linear => Measure::Quote,
            Contract::Inverse => Measure::Coins,
        };
        Ok(Some(of.say(time, distortions, Observed::Tiers(TierTable { tiers, floors }))))
    }))
}

/// Rates are shares in replies and percentages in the documents' example; the initial margin, which is one over the highest leverage,
/// tells which.
fn tier(limit: &RiskLimit<'_>) -> Result<Tier, Why> {
    let product = limit.initial_margin.0.checked_mul(limit.max_leverage.0);
    let near = |whole: i64| {
        let (low, high) = (Decimal::new(whole * 8, 1), Decimal::new(whole * 12, 1));
        product.is_some_and(|product| low < product && product < high)
    };
    let rate = limit.maintenance_margin.0;
    let rate = if near(1) {
        Some(rate)
    } else if near(100) {
        rate.checked_div(Decimal::ONE_HUNDRED)
    } else {
        None
    };
    let maintenance_margin_rate = rate.ok_or_else(|| {
        let (margin, leverage) = (limit.initial_margin.0, limit.max_leverage.0);
        Why::implausible(format!("an initial margin of {margin} and a leverage of {leverage} do not belong together"))
    })?;
    let deduction = limit.mm_deduction.0.unwrap_or(Decimal::ZERO);
    Ok(Tier { floor: Decimal::ZERO, maintenance_margin_rate, deduction, max_leverage: limit.max_leverage.0 })
}

/// The topics of an instrument that carry these kinds.
#[must_use]
pub fn topics(instrument: &Instrument, kinds: &[Kind]) -> Vec<String> {
    let symbol = &instrument.symbol;
    let mut topics = Vec::new();
    if kinds.contains(&Kind::Liquidations) {
        topics.push(format!("allLiquidation.{symbol}"));
    }
    if [Kind::Prices, Kind::Funding, Kind::OpenInterest].iter().any(|kind| kinds.contains(kind)) {
        topics.push(format!("tickers.{symbol}"));
    }
    topics
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    topic: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    success: Option<bool>,
    #[serde(borrow)]
    ret_msg: Option<Text<'a>>,
}

/// Reads a message of a public stream. What answers a subscription or a ping gives no rows.
///
/// # Errors
/// The message cannot be read, or refuses what was subscribed to.
pub fn message(instruments: &[Instrument], text: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let message: Message<'_> = read(text)?;
    let mut parsed = Parsed::default();
    if message.success == Some(false) {
        let said = message.ret_msg.unwrap_or_default();
        return Err(Unread::Refused { code: 0, message: wire::shortened(&said) });
    }
    let (Some(topic), Some(data)) = (message.topic, message.data) else {
        return Ok(parsed);
    };
    if topic.starts_with("allLiquidation.") {
        for raw in read::<List<'_>>(data.get().as_bytes())? {
            parsed.take(raw, liquidation(instruments, raw, received));
        }
        wire::number_equals(&mut parsed.rows);
    } else if topic.starts_with("tickers.") {
        let time = message.ts.ok_or_else(|| Why::malformed("it has no ts")).and_then(moment);
        let read = || {
            let ticker: Ticker<'_> = row(data)?;
            let instrument = find(instruments, &ticker.symbol);
            instrument
                .map(|instrument| ticker_said(&Of { instrument, received }, &ticker, time?, Distortions::NONE))
                .transpose()
        };
        match read() {
            Ok(Some(rows)) => parsed.rows.extend(rows),
            Ok(None) => parsed.foreign += 1,
            Err(why) => parsed.rejects.push(why.of(data)),
        }
    } else {
        parsed.foreign += 1;
    }
    Ok(parsed)
}

fn find<'a>(instruments: &'a [Instrument], symbol: &str) -> Option<&'a Instrument> {
    instruments.iter().find(|instrument| *instrument.symbol == *symbol)
}

#[derive(Deserialize)]
struct Closed<'a> {
    #[serde(rename = "T")]
    time: Millis,
    #[serde(rename = "s", borrow)]
    symbol: Text<'a>,
    #[serde(rename = "S", borrow)]
    side: Text<'a>,
    #[serde(rename = "v")]
    size: Num,
    #[serde(rename = "p")]
    price: Num,
}

/// A liquidation (*All Liquidation*): "When you receive a `Buy` update, this means that a long position has been liquidated".
fn liquidation(instruments: &[Instrument], raw: &RawValue, received: TimeUs) -> wire::Row<Observation> {
    let closed: Closed<'_> = row(raw)?;
    let Some(instrument) = find(instruments, &closed.symbol) else {
        return Ok(None);
    };
    let of = Of { instrument, received };
    let side = match &*closed.side {
        "Buy" => Side::Long,
        "Sell" => Side::Short,
        other => return Err(Why::malformed(format!("its side is {:?}, neither Buy nor Sell", wire::shortened(other)))),
    };
    let (size, price) = (above_zero(closed.size.0, "its size")?, above_zero(closed.price.0, "its price")?);
    let (coins, usd) = (of.coins(size, Some(price))?, of.dollars(size, Some(price)));
    let liquidation = Liquidation { side, coins, price, priced_at: PricedAt::Bankruptcy, usd, ordinal: 0 };
    Ok(Some(of.say(closed.time.0, of.turning().with(Distortion::NotTraded), Observed::Liquidation(liquidation))))
}
