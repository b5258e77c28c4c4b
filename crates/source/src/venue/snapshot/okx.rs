//! What OKX is asked.

use std::time::Duration;

use protocol::perp::{Instrument, Series};
use protocol::time::{HOUR_US, TimeUs};

use super::super::client::{Ask, Client, Failure};
use super::super::okx as reply;
use super::{Interval, Known, Plan, Reading, Said, Snapshot, Step, Window, get, limit, pages, quoted};

const KEPT: Duration = Duration::from_secs(6 * 3_600);
/// Trading statistics are allowed a quarter as often as the rest.
const STATISTICS: u32 = 4;
/// So many steps of trading statistics are kept.
const STEPS_KEPT: i64 = 1_440;

pub(super) async fn instruments(snapshot: &mut Snapshot, client: &Client, coin: &str) {
    let ask = Ask { keep: Some(KEPT), ..get("/api/v5/public/instruments?instType=SWAP".to_owned(), 1) };
    snapshot.list(client, ask, |body| reply::instruments(coin, body)).await;
}

/// OKX's word for an interval; days are counted from midnight in Hong Kong unless UTC is asked for.
fn word(interval: Interval) -> &'static str {
    match interval {
        Interval::M5 => "5m",
        Interval::M15 => "15m",
        Interval::M30 => "30m",
        Interval::H1 => "1H",
        Interval::H4 => "4H",
        Interval::D1 => "1Dutc",
    }
}

pub(super) fn plan(instrument: &Instrument, window: &Window, now: TimeUs) -> Plan {
    let mut plan = Plan::default();
    let (symbol, family) = (quoted(&instrument.symbol), quoted(&reply::family(instrument)));
    let (word, length) = (word(window.interval), window.interval.us());
    let add = |plan: &mut Plan, what, ask, read: fn(&Instrument, &[u8], TimeUs) -> Said| {
        let instrument = instrument.clone();
        plan.steps.push(Step::said(what, ask, move |_: &Known, body: &[u8], at| read(&instrument, body, at)));
    };
    let swap = format!("instType=SWAP&instId={symbol}");
    add(&mut plan, "mark price", get(format!("/api/v5/public/mark-price?{swap}"), 1), reply::mark_price);
    add(&mut plan, "index price", get(format!("/api/v5/market/index-tickers?instId={family}"), 1), reply::index_price);
    add(&mut plan, "open interest", get(format!("/api/v5/public/open-interest?{swap}"), 1), reply::open_interest);
    add(&mut plan, "funding to come", get(format!("/api/v5/public/funding-rate?instId={symbol}"), 1), reply::funding);
    add(&mut plan, "order book", get(format!("/api/v5/market/books?instId={symbol}&sz=400"), 1), reply::depth);
    let path = format!("/api/v5/public/position-tiers?instType=SWAP&tdMode=cross&instFamily={family}");
    add(&mut plan, "margin tiers", Ask { keep: Some(4 * KEPT), ..get(path, 2) }, reply::tiers);
    let path = format!("/api/v5/public/liquidation-orders?instType=SWAP&state=filled&instFamily={family}&limit=100");
    add(&mut plan, "latest liquidations", get(path, 1), |of, body, at| {
        reply::liquidations(std::slice::from_ref(of), body, at)
    });
    for (series, endpoint, what) in [
        (Series::Trade, "history-candles", "candles"),
        (Series::Mark, "history-mark-price-candles", "candles of the mark price"),
    ] {
        for (from, to) in pages(&mut plan, what, window, (100, length)) {
            // Both ends are left out.
            let (before, after) = (from - 1, to + 1);
            let path =
                format!("/api/v5/market/{endpoint}?instId={symbol}&bar={word}&before={before}&after={after}&limit=100");
            let instrument = instrument.clone();
            let read = move |_: &Known, body: &[u8], at| reply::candles(&instrument, series, length, body, at);
            plan.steps.push(Step::said(what, get(path, 2), read));
        }
    }
    let (past, buyers) = ("open interest of the past", "what buyers took");
    let from = now.0 - (STEPS_KEPT - 1) * length;
    let kept = limit(&mut plan, past, window, from, "the latest 1,440 steps");
    for (from, to) in pages(&mut plan, past, &kept, (100, length)) {
        let range = format!("instId={symbol}&period={word}&begin={from}&end={to}&limit=100");
        let path = format!("/api/v5/rubik/stat/contracts/open-interest-history?{range}");
        add(&mut plan, past, get(path, STATISTICS), reply::open_interest_history);
    }
    let kept = limit(&mut plan, buyers, window, from, "the latest 1,440 steps");
    for (from, to) in pages(&mut plan, buyers, &kept, (100, length)) {
        let path = format!(
            "/api/v5/rubik/stat/taker-volume-contract?instId={symbol}&period={word}&unit=0&begin={from}&end={to}&limit=100"
        );
        let reading = Reading::Taken(reply::taker_bought);
        plan.steps.push(Step { what: buyers, ask: get(path, STATISTICS), reading });
    }
    for (from, to) in pages(&mut plan, "funding", window, (100, HOUR_US)) {
        let (before, after) = (from - 1, to + 1);
        let path =
            format!("/api/v5/public/funding-rate-history?instId={symbol}&before={before}&after={after}&limit=100");
        add(&mut plan, "funding", get(path, 2), reply::funding_history);
    }
    let said = "OKX lists a hundred at a time; the latest are asked for".to_owned();
    plan.vain.push(("liquidations before the latest hundred", Failure::NotTold(said)));
    plan
}
