//! What Bybit is asked.

use std::time::Duration;

use protocol::perp::{Instrument, Series};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Contract;

use super::super::bybit as reply;
use super::super::client::{Ask, Client, Failure};
use super::{Interval, Known, Plan, Said, Snapshot, Step, Window, get, pages, quoted};

const KEPT: Duration = Duration::from_secs(6 * 3_600);

pub(super) async fn instruments(snapshot: &mut Snapshot, client: &Client, coin: &str) {
    for contract in [Contract::Linear, Contract::Inverse] {
        let category = reply::category(contract);
        let path = format!("/v5/market/instruments-info?category={category}&baseCoin={}&limit=1000", quoted(coin));
        let ask = Ask { keep: Some(KEPT), ..get(path, 1) };
        snapshot.list(client, ask, |body| reply::instruments(coin, body)).await;
    }
}

/// Bybit's words for the length of a candle and of open interest's steps.
fn words(interval: Interval) -> (&'static str, &'static str) {
    match interval {
        Interval::M5 => ("5", "5min"),
        Interval::M15 => ("15", "15min"),
        Interval::M30 => ("30", "30min"),
        Interval::H1 => ("60", "1h"),
        Interval::H4 => ("240", "4h"),
        Interval::D1 => ("D", "1d"),
    }
}

pub(super) fn plan(instrument: &Instrument, window: &Window) -> Plan {
    let mut plan = Plan::default();
    let of = format!("category={}&symbol={}", reply::category(instrument.contract), quoted(&instrument.symbol));
    let (candle, step) = words(window.interval);
    let length = window.interval.us();
    let add = |plan: &mut Plan, what, ask, read: fn(&Instrument, &[u8], TimeUs) -> Said| {
        let instrument = instrument.clone();
        plan.steps.push(Step::said(what, ask, move |_: &Known, body: &[u8], at| read(&instrument, body, at)));
    };
    add(&mut plan, "prices and open interest", get(format!("/v5/market/tickers?{of}"), 1), reply::ticker);
    add(&mut plan, "order book", get(format!("/v5/market/orderbook?{of}&limit=500"), 1), reply::depth);
    let tiers = Ask { keep: Some(4 * KEPT), ..get(format!("/v5/market/risk-limit?{of}"), 1) };
    add(&mut plan, "margin tiers", tiers, reply::tiers);
    for (series, endpoint, what) in
        [(Series::Trade, "kline", "candles"), (Series::Mark, "mark-price-kline", "candles of the mark price")]
    {
        for (from, to) in pages(&mut plan, what, window, (1_000, length)) {
            let path = format!("/v5/market/{endpoint}?{of}&interval={candle}&start={from}&end={to}&limit=1000");
            let instrument = instrument.clone();
            let read = move |_: &Known, body: &[u8], at| reply::candles(&instrument, series, length, body, at);
            plan.steps.push(Step::said(what, get(path, 1), read));
        }
    }
    for (from, to) in pages(&mut plan, "open interest of the past", window, (200, length)) {
        let path = format!("/v5/market/open-interest?{of}&intervalTime={step}&startTime={from}&endTime={to}&limit=200");
        let instrument = instrument.clone();
        let read = move |known: &Known, body: &[u8], at| {
            // A candle's first price is that of the moment open interest is told of.
            reply::open_interest_history(&instrument, &|time| known.opens.get(&time).copied(), body, at)
        };
        plan.steps.push(Step::said("open interest of the past", get(path, 1), read));
    }
    for (from, to) in pages(&mut plan, "funding", window, (200, HOUR_US)) {
        let path = format!("/v5/market/funding/history?{of}&startTime={from}&endTime={to}&limit=200");
        add(&mut plan, "funding", get(path, 1), reply::funding_history);
    }
    plan.vain.push(("what buyers took", Failure::NotTold("Bybit's candles do not tell it".to_owned())));
    plan.vain.push((
        "liquidations of the past",
        Failure::NotPublic("Bybit tells liquidations on its stream alone, as they happen"),
    ));
    plan
}
