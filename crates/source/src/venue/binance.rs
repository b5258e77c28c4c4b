//! What Binance says of its USDⓈ-M and COIN-M contracts.
//!
//! Source: developers.binance.com, *Derivatives*: *USDⓈ-M Futures* and *COIN-M Futures*, *Market Data* and *WebSocket Market Streams*.
//! COIN-M sizes are in contracts; its liquidations come on the stream of the USDⓈ-M ones too, in contracts there as well, so every size
//! is turned by the instrument its row names.

use std::sync::Arc;

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

/// Funding is paid every eight hours where nothing else is said (*Get Funding Rate Info*).
pub(super) const FUNDING_INTERVAL_US: i64 = 8 * HOUR_US;

/// An error in place of a reply: `{"code":-1121,"msg":"Invalid symbol."}`.
#[derive(Deserialize)]
struct Complaint<'a> {
    code: i64,
    #[serde(borrow)]
    msg: Text<'a>,
}

/// What an error says, where a body is one.
pub(super) fn complaint(body: &[u8]) -> Option<Unread> {
    let Complaint { code, msg } = serde_json::from_slice(body).ok()?;
    (code != 200 && code != 0).then(|| Unread::Refused { code, message: wire::shortened(&msg) })
}

fn read_reply<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Unread> {
    match complaint(body) {
        Some(refused) => Err(refused),
        None => read(body),
    }
}

#[derive(Deserialize)]
struct ExchangeInfo<'a> {
    #[serde(borrow)]
    symbols: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    contract_type: Text<'a>,
    /// Of USDⓈ-M.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    /// Of COIN-M.
    #[serde(borrow)]
    contract_status: Option<Text<'a>>,
    #[serde(borrow)]
    base_asset: Text<'a>,
    #[serde(borrow)]
    quote_asset: Text<'a>,
    /// Of COIN-M: dollars a contract.
    #[serde(default)]
    contract_size: Maybe,
}

/// The perpetual contracts of a coin that are traded: `GET /fapi/v1/exchangeInfo` or `GET /dapi/v1/exchangeInfo`.
///
/// # Errors
/// The reply cannot be read.
pub fn instruments(venue: Venue, coin: &str, body: &[u8]) -> Result<Parsed<Instrument>, Unread> {
    let info: ExchangeInfo<'_> = read_reply(body)?;
    Ok(Parsed::of(info.symbols, |raw| instrument(venue, coin, raw)))
}

fn instrument(venue: Venue, coin: &str, raw: &RawValue) -> wire::Row<Instrument> {
    let symbol: Symbol<'_> = row(raw)?;
    let status = symbol.status.or(symbol.contract_status);
    if symbol.base_asset != coin || symbol.contract_type != "PERPETUAL" || status.as_deref() != Some("TRADING") {
        return Ok(None);
    }
    let (contract, contract_size) = match venue {
        Venue::BinanceCoinm => {
            (Contract::Inverse, symbol.contract_size.0.ok_or_else(|| Why::malformed("it has no contractSize"))?)
        }
        Venue::BinanceUsdm | Venue::Bybit | Venue::Okx | Venue::Hyperliquid | Venue::DydxV4 | Venue::GmxV2 => {
            (Contract::Linear, Decimal::ONE)
        }
    };
    Ok(Some(Instrument {
        venue,
        symbol: wire::name(&symbol.symbol)?,
        base: wire::name(&symbol.base_asset)?,
        quote: wire::name(&symbol.quote_asset)?,
        contract,
        contract_size: above_zero(contract_size, "contractSize")?,
        funding_interval: Some(FUNDING_INTERVAL_US),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FundingInfo<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    funding_interval_hours: i64,
}

/// The contracts whose funding is not paid every eight hours, and how often it is, in microseconds: `GET /fapi/v1/fundingInfo`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding_intervals(body: &[u8]) -> Result<Parsed<(Arc<str>, i64)>, Unread> {
    Ok(Parsed::of(read_reply::<List<'_>>(body)?, |raw| {
        let info: FundingInfo<'_> = row(raw)?;
        if !(1..=24).contains(&info.funding_interval_hours) {
            return Err(Why::implausible(format!("{} hours between payments", info.funding_interval_hours)));
        }
        Ok(Some((wire::name(&info.symbol)?, info.funding_interval_hours * HOUR_US)))
    }))
}

/// Candles: `GET /fapi/v1/klines`, `markPriceKlines`, `indexPriceKlines`, and the same of `/dapi`.
///
/// A row is [open time, open, high, low, close, volume, close time, quote volume, trades, taker buy volume, taker buy quote volume, unused];
/// of COIN-M the volumes are in contracts and what stands in place of the quote volumes is in coins. Of mark and index prices only time
/// and prices count.
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
    Ok(Parsed::of(read_reply::<List<'_>>(body)?, |raw| candle(&of, series, interval, raw)))
}

fn candle(of: &Of<'_>, series: Series, interval: i64, raw: &RawValue) -> wire::Row<Observation> {
    let cells: List<'_> = row(raw)?;
    let time = moment(cell(&cells, 0, "open time")?)?;
    let price = |place, name| number_at(&cells, place, name);
    let prices = [price(1, "open")?, price(2, "high")?, price(3, "low")?, price(4, "close")?];
    let mut candle = wire::candle(series, interval, prices)?;
    candle.finished = moment(cell(&cells, 6, "close time")?)? < of.received;
    if series == Series::Trade {
        let amount = |place, name| not_negative(number_at(&cells, place, name)?, name);
        let [size, other, buy, other_buy] = [
            amount(5, "volume")?,
            amount(7, "quote volume")?,
            amount(9, "taker buy volume")?,
            amount(10, "taker buy quote volume")?,
        ];
        if buy > size {
            return Err(Why::implausible(format!("buyers took {buy} of {size} that were traded")));
        }
        let (coins, quote, taker) = match of.instrument.contract {
            Contract::Linear => (size, Some(other), buy),
            Contract::Inverse => (other, of.instrument.value(size, None), other_buy),
        };
        (candle.volume, candle.turnover, candle.taker_buy) = (Some(coins), quote, Some(taker));
    }
    Ok(Some(of.say(time, Distortions::NONE, Observed::Candle(candle))))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PremiumIndex<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    mark_price: Num,
    index_price: Maybe,
    last_funding_rate: Maybe,
    #[serde(borrow)]
    next_funding_time: Option<&'a RawValue>,
    time: Millis,
}

/// Mark and index price, and the funding to be paid next: `GET /fapi/v1/premiumIndex`, or of `/dapi`, which sends a list of one.
///
/// # Errors
/// The reply cannot be read.
pub fn price(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    Ok(Parsed::of_all(one_or_many(body)?, |raw| {
        let index: PremiumIndex<'_> = row(raw)?;
        about(instrument, &index.symbol)?;
        let mark = above_zero(index.mark_price.0, "the mark price")?;
        // An index of 0 is none.
        let price = Price { mark: Some(mark), index: index.index_price.0.filter(|price| *price > Decimal::ZERO) };
        let mut said = vec![of.say(index.time.0, Distortions::NONE, Observed::Price(price))];
        if let Some(rate) = index.last_funding_rate.0 {
            let pays_at = index.next_funding_time.and_then(|time| moment(time).ok());
            let funding = Funding { rate, interval: instrument.funding_interval, settled: false, pays_at };
            said.push(of.say(index.time.0, Distortions::NONE, Observed::Funding(funding)));
        }
        Ok(said)
    }))
}

/// The rows of a list, or the one row that stands without.
fn one_or_many(body: &[u8]) -> Result<List<'_>, Unread> {
    let whole: &RawValue = read_reply(body)?;
    if whole.get().starts_with('[') { read(body) } else { Ok(vec![whole]) }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    open_interest: Num,
    time: Millis,
}

/// What is open now: `GET /fapi/v1/openInterest` in coins, `GET /dapi/v1/openInterest` in contracts, which are turned at `price`.
///
/// # Errors
/// The reply cannot be read.
pub fn open_interest(
    instrument: &Instrument,
    price: Option<Decimal>,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let whole: &RawValue = read_reply(body)?;
    Ok(Parsed::of([whole], |raw| {
        let open: Open<'_> = row(raw)?;
        about(instrument, &open.symbol)?;
        let reported = not_negative(open.open_interest.0, "open interest")?;
        let coins = of.coins(reported, price)?;
        let usd = of.dollars(reported, price);
        Ok(Some(of.say(open.time.0, open_distortions(&of), open_said(&of, coins, usd, reported))))
    }))
}

/// Binance's documents do not say which sides it counts.
fn open_distortions(of: &Of<'_>) -> Distortions {
    of.turning().with(Distortion::SidesUnstated)
}

fn open_said(of: &Of<'_>, coins: Decimal, usd: Option<Decimal>, reported: Decimal) -> Observed {
    let (counting, unit) = (Counting::Unstated, of.instrument.measure());
    Observed::OpenInterest(OpenInterest { coins, usd, reported, counting, unit })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OpenThen<'a> {
    /// Of USDⓈ-M; COIN-M names the pair.
    #[serde(borrow)]
    symbol: Option<Text<'a>>,
    sum_open_interest: Num,
    sum_open_interest_value: Num,
    timestamp: Millis,
}

/// What was open: `GET /futures/data/openInterestHist` of either. USDⓈ-M gives coins and their value in the quote currency, COIN-M
/// contracts and their value in coins.
///
/// # Errors
/// The reply cannot be read.
pub fn open_interest_history(
    instrument: &Instrument,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    Ok(Parsed::of(read_reply::<List<'_>>(body)?, |raw| {
        let open: OpenThen<'_> = row(raw)?;
        if let Some(symbol) = &open.symbol {
            about(instrument, symbol)?;
        }
        let reported = not_negative(open.sum_open_interest.0, "open interest")?;
        let value = not_negative(open.sum_open_interest_value.0, "the value of open interest")?;
        let (coins, usd) = match instrument.contract {
            Contract::Linear => (reported, Some(value).filter(|_| instrument.is_in_dollars())),
            Contract::Inverse => (value, of.dollars(reported, None)),
        };
        Ok(Some(of.say(open.timestamp.0, open_distortions(&of), open_said(&of, coins, usd, reported))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    funding_rate: Num,
    funding_time: Millis,
}

/// What longs paid: `GET /fapi/v1/fundingRate` or of `/dapi`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding_history(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let mut parsed = Parsed::of(read_reply::<List<'_>>(body)?, |raw| {
        let paid: Paid<'_> = row(raw)?;
        about(instrument, &paid.symbol)?;
        Ok(Some(of.paid(paid.funding_time.0, paid.funding_rate.0, None)))
    });
    wire::set_funding_intervals(&mut parsed.rows, instrument.funding_interval);
    Ok(parsed)
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(rename = "E")]
    time: Millis,
    #[serde(borrow)]
    bids: List<'a>,
    #[serde(borrow)]
    asks: List<'a>,
}

/// The order book: `GET /fapi/v1/depth` or of `/dapi`.
///
/// # Errors
/// The reply cannot be read.
pub fn depth(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let whole: &RawValue = read_reply(body)?;
    Ok(Parsed::of([whole], |raw| {
        let book: Book<'_> = row(raw)?;
        let depth = wire::depth(&of, &book.bids, &book.asks)?;
        Ok(Some(of.say(book.time.0, of.turning(), Observed::Depth(depth))))
    }))
}

#[derive(Deserialize)]
struct Brackets<'a> {
    #[serde(borrow)]
    symbol: Text<'a>,
    #[serde(borrow)]
    brackets: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bracket {
    initial_leverage: Num,
    /// Of USDⓈ-M, in the quote currency.
    notional_floor: Option<Num>,
    /// Of COIN-M, in coins.
    qty_floor: Option<Num>,
    maint_margin_ratio: Num,
    cum: Num,
}

/// The margin tiers: `GET /fapi/v1/leverageBracket` or `GET /dapi/v2/leverageBracket`, which Binance answers to an account's key alone.
///
/// # Errors
/// The reply cannot be read.
pub fn tiers(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    Ok(Parsed::of(one_or_many(body)?, |raw| {
        let table: Brackets<'_> = row(raw)?;
        if table.symbol != *instrument.symbol {
            return Ok(None);
        }
        Ok(Some(of.say(received, TIMELESS, Observed::Tiers(brackets(instrument.contract, &table.brackets)?))))
    }))
}

fn brackets(contract: Contract, brackets: &[&RawValue]) -> Result<TierTable, Why> {
    let mut rows = Vec::with_capacity(brackets.len());
    for raw in brackets {
        let bracket: Bracket = row(raw)?;
        let floor = match contract {
            Contract::Linear => bracket.notional_floor,
            Contract::Inverse => bracket.qty_floor,
        };
        rows.push(Tier {
            floor: floor.ok_or_else(|| Why::malformed("a bracket has no floor"))?.0,
            maintenance_margin_rate: bracket.maint_margin_ratio.0,
            deduction: bracket.cum.0,
            max_leverage: bracket.initial_leverage.0,
        });
    }
    rows.sort_by_key(|tier| tier.floor);
    let tiers = Tiers::new(rows).map_err(|cause| Why::implausible(cause.to_string()))?;
    let floors = match contract {
        Contract::Linear => Measure::Quote,
        Contract::Inverse => Measure::Coins,
    };
    Ok(TierTable { tiers, floors })
}

/// A row of a collection of tables by symbol, with Binance's own bracket in it.
#[derive(Deserialize)]
struct Gathered<'a> {
    #[serde(borrow)]
    info: &'a RawValue,
}

/// The margin tiers in a file of many: as Binance answers [`tiers`] of all symbols, or gathered by `COIN/QUOTE:SETTLED`, each row with
/// Binance's own bracket under `info`.
///
/// # Errors
/// The file cannot be read.
pub fn tiers_of_file(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let Ok(gathered) = serde_json::from_slice::<std::collections::BTreeMap<Text<'_>, List<'_>>>(body) else {
        return tiers(instrument, body, received);
    };
    let settled = if instrument.contract == Contract::Inverse { &instrument.base } else { &instrument.quote };
    let name = format!("{}/{}:{settled}", instrument.base, instrument.quote);
    let of = Of { instrument, received };
    let whole: &RawValue = read(body)?;
    let own = gathered.into_iter().find(|(symbol, _)| *symbol == *name);
    Ok(Parsed::of(own.is_some().then_some(whole), |_| {
        let Some((_, rows)) = &own else { return Ok(None) };
        let infos = rows.iter().map(|raw| row::<Gathered<'_>>(raw).map(|gathered| gathered.info));
        let table = brackets(instrument.contract, &infos.collect::<Result<Vec<_>, _>>()?)?;
        Ok(Some(of.say(received, TIMELESS, Observed::Tiers(table))))
    }))
}

/// Of replies without a time.
const TIMELESS: Distortions = Distortions::NONE.with(Distortion::TimeOfHearing);

/// The streams of an instrument that carry these kinds: `btcusdt@forceOrder`, `btcusdt@markPrice`.
#[must_use]
pub fn streams(instrument: &Instrument, kinds: &[Kind]) -> Vec<String> {
    let symbol = instrument.symbol.to_lowercase();
    let mut streams = Vec::new();
    if kinds.contains(&Kind::Liquidations) {
        streams.push(format!("{symbol}@forceOrder"));
    }
    if kinds.contains(&Kind::Prices) || kinds.contains(&Kind::Funding) {
        streams.push(format!("{symbol}@markPrice"));
    }
    streams
}

#[derive(Deserialize)]
struct Message<'a> {
    /// Of combined streams, which wrap every message.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow, rename = "e")]
    event: Option<Text<'a>>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    code: Option<i64>,
    #[serde(borrow)]
    msg: Option<Text<'a>>,
}

/// Reads a message of a stream. What answers a subscription gives no rows.
///
/// # Errors
/// The message cannot be read, or refuses what was subscribed to.
pub fn message(instruments: &[Instrument], text: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let mut whole: &RawValue = read(text)?;
    let mut parsed = Parsed::default();
    let mut message: Message<'_> = read(text)?;
    if let Some(data) = message.data {
        whole = data;
        message = read(data.get().as_bytes())?;
    }
    if let Some(error) = message.error {
        return Err(Unread::Refused { code: message.code.unwrap_or(0), message: wire::shortened(error.get()) });
    }
    if let (Some(code), Some(said)) = (message.code, &message.msg) {
        return Err(Unread::Refused { code, message: wire::shortened(said) });
    }
    match message.event.as_deref() {
        Some("forceOrder") => parsed.take(whole, liquidation(instruments, whole, received)),
        Some("markPriceUpdate") => match mark_price(instruments, whole, received) {
            Ok(Some(rows)) => parsed.rows.extend(rows),
            Ok(None) => parsed.foreign += 1,
            Err(why) => parsed.rejects.push(why.of(whole)),
        },
        Some(_) => parsed.foreign += 1,
        None => {}
    }
    Ok(parsed)
}

#[derive(Deserialize)]
struct ForceOrder<'a> {
    #[serde(borrow)]
    o: Order<'a>,
}

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow, rename = "s")]
    symbol: Text<'a>,
    #[serde(borrow, rename = "S")]
    side: Text<'a>,
    #[serde(rename = "q")]
    quantity: Num,
    #[serde(rename = "p")]
    price: Num,
    #[serde(rename = "ap")]
    average: Maybe,
    #[serde(rename = "T")]
    time: Millis,
}

/// An order by which Binance closes a position: a sell closes a long. Its size is the whole order's, filled or not yet.
fn liquidation(instruments: &[Instrument], raw: &RawValue, received: TimeUs) -> wire::Row<Observation> {
    let ForceOrder { o: order } = row(raw)?;
    let Some(instrument) = instruments.iter().find(|instrument| *instrument.symbol == *order.symbol) else {
        return Ok(None);
    };
    let of = Of { instrument, received };
    let side = match &*order.side {
        "SELL" => Side::Long,
        "BUY" => Side::Short,
        other => return Err(Why::malformed(format!("its side is {:?}, neither SELL nor BUY", wire::shortened(other)))),
    };
    let average = order.average.0.filter(|price| *price > Decimal::ZERO);
    let (price, priced_at) = match average {
        Some(average) => (average, PricedAt::Average),
        None => (above_zero(order.price.0, "its price")?, PricedAt::Order),
    };
    let size = above_zero(order.quantity.0, "its size")?;
    let (coins, usd) = (of.coins(size, Some(price))?, of.dollars(size, Some(price)));
    let mut distortions = of.turning().with(Distortion::LatestOfSecond);
    if priced_at == PricedAt::Order {
        distortions = distortions.with(Distortion::NotTraded);
    }
    let liquidation = Liquidation { side, coins, price, priced_at, usd, ordinal: 0 };
    Ok(Some(of.say(order.time.0, distortions, Observed::Liquidation(liquidation))))
}

#[derive(Deserialize)]
struct MarkPrice<'a> {
    #[serde(borrow, rename = "s")]
    symbol: Text<'a>,
    #[serde(rename = "p")]
    mark: Num,
    /// The index price; COIN-M's stream has none.
    #[serde(default, rename = "i")]
    index: Maybe,
    #[serde(default, rename = "r")]
    rate: Maybe,
    #[serde(borrow, rename = "T")]
    pays_at: Option<&'a RawValue>,
    #[serde(rename = "E")]
    time: Millis,
}

fn mark_price(instruments: &[Instrument], raw: &RawValue, received: TimeUs) -> wire::Row<Vec<Observation>> {
    let said: MarkPrice<'_> = row(raw)?;
    let Some(instrument) = instruments.iter().find(|instrument| *instrument.symbol == *said.symbol) else {
        return Ok(None);
    };
    let of = Of { instrument, received };
    let price = Price {
        mark: Some(above_zero(said.mark.0, "the mark price")?),
        index: said.index.0.filter(|price| *price > Decimal::ZERO),
    };
    let mut rows = vec![of.say(said.time.0, Distortions::NONE, Observed::Price(price))];
    if let Some(rate) = said.rate.0 {
        let pays_at = said.pays_at.and_then(|time| moment(time).ok());
        let funding = Funding { rate, interval: instrument.funding_interval, settled: false, pays_at };
        rows.push(of.say(said.time.0, Distortions::NONE, Observed::Funding(funding)));
    }
    Ok(Some(rows))
}
