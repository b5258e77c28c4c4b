//! What Hyperliquid says of its perpetual contracts and of the accounts that hold them.
//!
//! Source: hyperliquid.gitbook.io/hyperliquid-docs, *For developers, API*: *Info endpoint*, *Perpetuals*, *Websocket*; *Trading*: *Margin
//! tiers*. Traps: the state of contracts carries no time; the documents do not say which sides open interest counts, some who run nodes
//! say both and others one, so what is taken for one side's here is the most it can be; there is no public list of liquidations, but
//! fills that close one say so.

use protocol::perp::{
    Counting, Distortion, Distortions, Funding, Instrument, Kind, Liquidation, Margin, Measure, Observation, Observed,
    OpenInterest, Position, Price, PricedAt, Series, TierTable,
};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::{Contract, Side, Tiers, Venue};
use protocol::{Address, Decimal};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::wire::{
    self, List, Maybe, Millis, Num, Of, Parsed, Text, Unread, Why, about, above_zero, not_negative, read, row,
};

/// Funding is paid every hour (*Trading, Funding*).
const FUNDING_INTERVAL_US: i64 = HOUR_US;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    universe: List<'a>,
    #[serde(borrow, default)]
    margin_tables: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Symbol<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    max_leverage: u32,
    margin_table_id: Option<u64>,
    #[serde(default)]
    is_delisted: bool,
}

/// The state of all contracts, the second part in the order of the first: `POST /info {"type":"metaAndAssetCtxs"}`.
fn both(body: &[u8]) -> Result<(Meta<'_>, List<'_>), Unread> {
    read(body)
}

/// The contract of a coin: of `{"type":"metaAndAssetCtxs"}`.
///
/// # Errors
/// The reply cannot be read.
pub fn instruments(coin: &str, body: &[u8]) -> Result<Parsed<Instrument>, Unread> {
    let (meta, _) = both(body)?;
    Ok(Parsed::of(meta.universe, |raw| {
        let symbol: Symbol<'_> = row(raw)?;
        if symbol.name != coin || symbol.is_delisted {
            return Ok(None);
        }
        Ok(Some(Instrument {
            venue: Venue::Hyperliquid,
            symbol: wire::name(&symbol.name)?,
            base: wire::name(&symbol.name)?,
            quote: "USDC".into(),
            contract: Contract::Linear,
            contract_size: Decimal::ONE,
            funding_interval: Some(FUNDING_INTERVAL_US),
        }))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    funding: Maybe,
    open_interest: Num,
    #[serde(default)]
    mark_px: Maybe,
    #[serde(default)]
    oracle_px: Maybe,
}

/// Mark and oracle price, what is open, and the funding to be paid next: of `{"type":"metaAndAssetCtxs"}`.
///
/// # Errors
/// The reply cannot be read.
pub fn state(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (meta, contexts) = both(body)?;
    if meta.universe.len() != contexts.len() {
        let what = format!("{} contracts and the state of {}", meta.universe.len(), contexts.len());
        return Err(Unread::OtherForm(what));
    }
    let mut parsed = Parsed::default();
    for (symbol, context) in meta.universe.into_iter().zip(contexts) {
        // A contract that cannot be read was rejected where contracts are read.
        if row(symbol).is_ok_and(|symbol: Symbol<'_>| symbol.name == *instrument.symbol) {
            parsed.take_all(context, context_said(&of, context));
        }
    }
    Ok(parsed)
}

fn context_said(of: &Of<'_>, raw: &RawValue) -> Result<Vec<Observation>, Why> {
    let context: Context = row(raw)?;
    let timed = Distortions::NONE.with(Distortion::TimeOfHearing);
    let price = |price: Maybe, what: &str| price.0.map(|price| above_zero(price, what)).transpose();
    let (mark, index) = (price(context.mark_px, "the mark price")?, price(context.oracle_px, "the oracle price")?);
    let mut said = Vec::new();
    if mark.is_some() || index.is_some() {
        said.push(of.say(of.received, timed, Observed::Price(Price { mark, index })));
    }
    let coins = not_negative(context.open_interest.0, "open interest")?;
    let open = OpenInterest {
        coins,
        usd: of.dollars(coins, mark),
        reported: coins,
        counting: Counting::Unstated,
        unit: Measure::Coins,
    };
    said.push(of.say(of.received, timed.with(Distortion::SidesUnstated), Observed::OpenInterest(open)));
    if let Some(rate) = context.funding.0 {
        let funding = Funding { rate, interval: of.instrument.funding_interval, settled: false, pays_at: None };
        said.push(of.say(of.received, timed, Observed::Funding(funding)));
    }
    Ok(said)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarginTable<'a> {
    #[serde(borrow)]
    margin_tiers: List<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MarginTier {
    lower_bound: Num,
    max_leverage: u32,
}

/// The margin tiers: of `{"type":"metaAndAssetCtxs"}`. Maintenance margin is half of the initial margin at the tier's highest
/// leverage, and deductions leave no jump (*Margin tiers*). A contract that names no table has one tier.
///
/// # Errors
/// The reply cannot be read.
pub fn tiers(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let (meta, _) = both(body)?;
    let mut parsed = Parsed::default();
    for raw in &meta.universe {
        let Ok(symbol) = row::<Symbol<'_>>(raw) else { continue };
        if symbol.name == *instrument.symbol {
            parsed.take(raw, table(&of, &symbol, &meta.margin_tables));
        }
    }
    Ok(parsed)
}

fn table(of: &Of<'_>, symbol: &Symbol<'_>, tables: &[&RawValue]) -> wire::Row<Observation> {
    let mut rows = vec![(Decimal::ZERO, symbol.max_leverage)];
    for raw in tables {
        let (id, table): (u64, MarginTable<'_>) = row(raw)?;
        if Some(id) == symbol.margin_table_id {
            let tiers = table.margin_tiers.into_iter().map(|raw| {
                let tier: MarginTier = row(raw)?;
                Ok((tier.lower_bound.0, tier.max_leverage))
            });
            rows = tiers.collect::<Result<_, Why>>()?;
            break;
        }
    }
    rows.sort_by_key(|(floor, _)| *floor);
    let rows = rows.into_iter().map(|(floor, leverage)| {
        let rate = Decimal::ONE.checked_div(Decimal::from(u64::from(leverage) * 2));
        let rate = rate.ok_or_else(|| Why::implausible("a tier's highest leverage is 0"))?;
        Ok((floor, rate, Decimal::from(leverage)))
    });
    let tiers = Tiers::continuous(&rows.collect::<Result<Vec<_>, Why>>()?);
    let tiers = tiers.map_err(|cause| Why::implausible(cause.to_string()))?;
    let timed = Distortions::NONE.with(Distortion::TimeOfHearing);
    Ok(Some(of.say(of.received, timed, Observed::Tiers(TierTable { tiers, floors: Measure::Quote }))))
}

#[derive(Deserialize)]
struct Bar<'a> {
    t: Millis,
    #[serde(rename = "T")]
    end: Millis,
    #[serde(borrow)]
    s: Text<'a>,
    o: Num,
    h: Num,
    l: Num,
    c: Num,
    v: Num,
}

/// Candles of trades: `{"type":"candleSnapshot"}`. What buyers took is not told, nor the turnover.
///
/// # Errors
/// The reply cannot be read.
pub fn candles(
    instrument: &Instrument,
    interval: i64,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    Ok(Parsed::of(read::<List<'_>>(body)?, |raw| {
        let bar: Bar<'_> = row(raw)?;
        about(instrument, &bar.s)?;
        let mut candle = wire::candle(Series::Trade, interval, [bar.o.0, bar.h.0, bar.l.0, bar.c.0])?;
        candle.volume = Some(not_negative(bar.v.0, "the volume")?);
        candle.finished = bar.end.0 < received;
        Ok(Some(of.say(bar.t.0, Distortions::NONE, Observed::Candle(candle))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paid<'a> {
    #[serde(borrow)]
    coin: Text<'a>,
    funding_rate: Num,
    time: Millis,
}

/// What longs paid: `{"type":"fundingHistory"}`.
///
/// # Errors
/// The reply cannot be read.
pub fn funding_history(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let mut parsed = Parsed::of(read::<List<'_>>(body)?, |raw| {
        let paid: Paid<'_> = row(raw)?;
        about(instrument, &paid.coin)?;
        Ok(Some(of.paid(paid.time.0, paid.funding_rate.0, instrument.funding_interval)))
    });
    wire::set_funding_intervals(&mut parsed.rows, instrument.funding_interval);
    Ok(parsed)
}

#[derive(Deserialize)]
struct Book<'a> {
    #[serde(borrow)]
    coin: Text<'a>,
    time: Millis,
    #[serde(borrow)]
    levels: (List<'a>, List<'a>),
}

#[derive(Deserialize)]
struct Rung {
    px: Num,
    sz: Num,
}

/// The order book: `{"type":"l2Book"}`.
///
/// # Errors
/// The reply cannot be read.
pub fn depth(instrument: &Instrument, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let of = Of { instrument, received };
    let whole: &RawValue = read(body)?;
    Ok(Parsed::of([whole], |raw| {
        let book: Book<'_> = row(raw)?;
        about(instrument, &book.coin)?;
        let side = |rungs: List<'_>| {
            let rungs = rungs.into_iter().map(|raw| {
                let rung: Rung = row(raw)?;
                let price = above_zero(rung.px.0, "a price")?;
                Ok(protocol::perp::Level { price, coins: above_zero(rung.sz.0, "a size")? })
            });
            rungs.collect::<Result<Vec<_>, Why>>()
        };
        let depth = wire::book(side(book.levels.0)?, side(book.levels.1)?)?;
        Ok(Some(of.say(book.time.0, Distortions::NONE, Observed::Depth(depth))))
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account<'a> {
    #[serde(borrow)]
    asset_positions: List<'a>,
    cross_maintenance_margin_used: Num,
    cross_margin_summary: Summary,
    margin_summary: Summary,
    time: Millis,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    account_value: Num,
}

#[derive(Deserialize)]
struct Held<'a> {
    #[serde(borrow)]
    position: Holding<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Holding<'a> {
    #[serde(borrow)]
    coin: Text<'a>,
    /// Signed: negative of a short.
    szi: Num,
    #[serde(default)]
    entry_px: Maybe,
    #[serde(borrow)]
    leverage: Leverage<'a>,
    #[serde(default)]
    liquidation_px: Maybe,
    margin_used: Num,
    #[serde(default)]
    max_leverage: Maybe,
    position_value: Num,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Leverage<'a> {
    #[serde(rename = "type", borrow)]
    kind: Text<'a>,
    value: Num,
    /// Of isolated positions.
    #[serde(default)]
    raw_usd: Maybe,
}

/// All positions of an account: `{"type":"clearinghouseState","user":…}`, also where it was kept in a file.
///
/// # Errors
/// The reply cannot be read.
pub fn positions(account: Address, body: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let state: Account<'_> = read(body)?;
    Ok(Parsed::of(state.asset_positions.iter().copied(), |raw| position(account, &state, raw, received)))
}

fn position(account: Address, state: &Account<'_>, raw: &RawValue, received: TimeUs) -> wire::Row<Observation> {
    let Held { position: held } = row(raw)?;
    let size = held.szi.0;
    if size.is_zero() {
        return Err(Why::implausible("its size is 0"));
    }
    let margin = match &*held.leverage.kind {
        "cross" => Margin::Cross {
            account_value: state.cross_margin_summary.account_value.0,
            maintenance: Some(not_negative(state.cross_maintenance_margin_used.0, "the maintenance margin")?),
        },
        "isolated" => Margin::Isolated {
            equity: held.margin_used.0,
            cash: held.leverage.raw_usd.0.ok_or_else(|| Why::malformed("it is isolated and has no rawUsd"))?,
        },
        other => return Err(Why::malformed(format!("its margin is {:?}", wire::shortened(other)))),
    };
    let positive = |price: Maybe, what: &str| price.0.map(|price| above_zero(price, what)).transpose();
    let position = Position {
        account,
        side: if size > Decimal::ZERO { Side::Long } else { Side::Short },
        coins: size.abs(),
        entry: positive(held.entry_px, "its entry price")?,
        value: not_negative(held.position_value.0, "its value")?,
        leverage: above_zero(held.leverage.value.0, "its leverage")?,
        max_leverage: positive(held.max_leverage, "its highest leverage")?,
        margin,
        account_value: state.margin_summary.account_value.0,
        // A price that is not above 0 is reached by no market.
        liquidation_price: held.liquidation_px.0.filter(|price| *price > Decimal::ZERO),
    };
    Ok(Some(Observation {
        venue: Venue::Hyperliquid,
        symbol: wire::name(&held.coin)?,
        time: state.time.0,
        received,
        distortions: Distortions::NONE.with(Distortion::PartOfAccounts),
        fact: Observed::Position(position),
    }))
}

#[derive(Deserialize)]
struct Fill<'a> {
    #[serde(borrow)]
    coin: Text<'a>,
    px: Num,
    sz: Num,
    /// `B` of who bought, `A` of who sold.
    #[serde(borrow)]
    side: Text<'a>,
    time: Millis,
    #[serde(borrow)]
    liquidation: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Liquidated<'a> {
    #[serde(borrow)]
    liquidated_user: Text<'a>,
}

/// Those of an account's fills by which a position was liquidated, its own or another's: `{"type":"userFills","user":…}`. The vault that
/// takes over what the market does not is an account like any other. All other fills are counted as foreign.
///
/// # Errors
/// The reply cannot be read.
pub fn liquidations(
    instruments: &[Instrument],
    account: Address,
    body: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    let mut parsed = Parsed::of(read::<List<'_>>(body)?, |raw| liquidation(instruments, account, raw, received));
    wire::number_equals(&mut parsed.rows);
    Ok(parsed)
}

fn liquidation(
    instruments: &[Instrument],
    account: Address,
    raw: &RawValue,
    received: TimeUs,
) -> wire::Row<Observation> {
    let fill: Fill<'_> = row(raw)?;
    let instrument = instruments.iter().find(|instrument| *instrument.symbol == *fill.coin);
    let (Some(instrument), Some(liquidated)) = (instrument, fill.liquidation) else {
        return Ok(None);
    };
    let liquidated: Liquidated<'_> = row(liquidated)?;
    let liquidated: Address =
        liquidated.liquidated_user.parse().map_err(|_| Why::malformed("who was liquidated is no address"))?;
    let sold = match &*fill.side {
        "A" => true,
        "B" => false,
        other => return Err(Why::malformed(format!("its side is {:?}, neither A nor B", wire::shortened(other)))),
    };
    // Who is liquidated sells a long; across stands who buys it.
    let side = if sold == (liquidated == account) { Side::Long } else { Side::Short };
    let of = Of { instrument, received };
    let (coins, price) = (above_zero(fill.sz.0, "its size")?, above_zero(fill.px.0, "its price")?);
    let usd = of.dollars(coins, Some(price));
    let liquidation = Liquidation { side, coins, price, priced_at: PricedAt::Average, usd, ordinal: 0 };
    let distortions = Distortions::NONE.with(Distortion::PartOfAccounts);
    Ok(Some(of.say(fill.time.0, distortions, Observed::Liquidation(liquidation))))
}

/// The subscriptions to what carries these kinds of an instrument.
#[must_use]
pub fn subscriptions(instrument: &Instrument, kinds: &[Kind]) -> Vec<String> {
    let carried = [Kind::Prices, Kind::Funding, Kind::OpenInterest];
    if !carried.iter().any(|kind| kinds.contains(kind)) {
        return Vec::new();
    }
    let coin = serde_json::Value::from(&*instrument.symbol);
    vec![format!(r#"{{"type":"activeAssetCtx","coin":{coin}}}"#)]
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    channel: Text<'a>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Active<'a> {
    #[serde(borrow)]
    coin: Text<'a>,
    #[serde(borrow)]
    ctx: &'a RawValue,
}

/// Reads a message of a stream. What answers a subscription or a ping gives no rows.
///
/// # Errors
/// The message cannot be read, or refuses what was subscribed to.
pub fn message(instruments: &[Instrument], text: &[u8], received: TimeUs) -> Result<Parsed<Observation>, Unread> {
    let message: Message<'_> = read(text)?;
    let mut parsed = Parsed::default();
    match (&*message.channel, message.data) {
        ("error", said) => {
            let message = wire::shortened(said.map_or("", RawValue::get));
            return Err(Unread::Refused { code: 0, message });
        }
        ("activeAssetCtx", Some(data)) => match row::<Active<'_>>(data) {
            Ok(active) => match instruments.iter().find(|instrument| *instrument.symbol == *active.coin) {
                Some(instrument) => parsed.take_all(active.ctx, context_said(&Of { instrument, received }, active.ctx)),
                None => parsed.foreign += 1,
            },
            Err(why) => parsed.rejects.push(why.of(data)),
        },
        ("subscriptionResponse" | "pong", _) => {}
        _ => parsed.foreign += 1,
    }
    Ok(parsed)
}
