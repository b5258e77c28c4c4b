//! What Binance is asked.

use std::time::Duration;

use protocol::perp::{Instrument, Series};
use protocol::time::{DAY_US, HOUR_US, TimeUs};
use protocol::venue::Venue;

use super::super::binance as reply;
use super::super::client::{Ask, Client, Failure};
use super::{Plan, Snapshot, Step, Window, get, limit, pages, quoted};

const KEPT: Duration = Duration::from_secs(6 * 3_600);

fn base(venue: Venue) -> &'static str {
    if venue == Venue::BinanceCoinm { "/dapi/v1" } else { "/fapi/v1" }
}

pub(super) async fn instruments(snapshot: &mut Snapshot, client: &Client, coin: &str) {
    let venue = snapshot.venue;
    let ask = Ask { keep: Some(KEPT), ..get(format!("{}/exchangeInfo", base(venue)), 1) };
    snapshot.list(client, ask, |body| reply::instruments(venue, coin, body)).await;
    let ask = Ask { keep: Some(Duration::from_secs(3_600)), ..get(format!("{}/fundingInfo", base(venue)), 1) };
    let intervals = match client.ask(venue, &ask).await {
        Ok(answer) => reply::funding_intervals(&answer.body).map_err(Failure::Unread),
        Err(why) => Err(why),
    };
    match intervals {
        Ok(parsed) => {
            snapshot.rejects.extend(parsed.rejects);
            for (symbol, interval) in parsed.rows {
                for instrument in snapshot.instruments.iter_mut().filter(|instrument| instrument.symbol == symbol) {
                    instrument.funding_interval = Some(interval);
                }
            }
        }
        Err(why) => {
            for instrument in &mut snapshot.instruments {
                instrument.funding_interval = None;
            }
            snapshot.lack(None, "intervals of funding", why);
        }
    }
}

pub(super) fn plan(instrument: &Instrument, window: &Window, now: TimeUs) -> Plan {
    let mut plan = Plan::default();
    let base = base(instrument.venue);
    let symbol = quoted(&instrument.symbol);
    let add =
        |plan: &mut Plan, what, path, weight, read: fn(&Instrument, &super::Known, &[u8], TimeUs) -> super::Said| {
            let instrument = instrument.clone();
            let read = move |known: &super::Known, body: &[u8], at| read(&instrument, known, body, at);
            plan.steps.push(Step::said(what, get(path, weight), read));
        };
    add(&mut plan, "prices", format!("{base}/premiumIndex?symbol={symbol}"), 10, |of, _, body, at| {
        reply::price(of, body, at)
    });
    add(&mut plan, "open interest", format!("{base}/openInterest?symbol={symbol}"), 1, |of, known, body, at| {
        reply::open_interest(of, known.mark, body, at)
    });
    add(&mut plan, "order book", format!("{base}/depth?symbol={symbol}&limit=1000"), 20, |of, _, body, at| {
        reply::depth(of, body, at)
    });
    let word = window.interval.word();
    // COIN-M answers no question about more than 200 days.
    let longest = if instrument.venue == Venue::BinanceCoinm { 200 * DAY_US } else { i64::MAX };
    let rows = (longest / window.interval.us()).min(1_000);
    for (series, endpoint, what) in
        [(Series::Trade, "klines", "candles"), (Series::Mark, "markPriceKlines", "candles of the mark price")]
    {
        for (from, to) in pages(&mut plan, what, window, (rows, window.interval.us())) {
            let path =
                format!("{base}/{endpoint}?symbol={symbol}&interval={word}&startTime={from}&endTime={to}&limit=1000");
            let (instrument, interval) = (instrument.clone(), window.interval.us());
            let read = move |_: &super::Known, body: &[u8], at| reply::candles(&instrument, series, interval, body, at);
            plan.steps.push(Step::said(what, get(path, 5), read));
        }
    }
    // A day less than the month that is kept, for clocks and months that differ.
    let kept = limit(&mut plan, "open interest of the past", window, now.0 - 29 * DAY_US, "the latest 30 days");
    for (from, to) in pages(&mut plan, "open interest of the past", &kept, (500, window.interval.us())) {
        let of = match instrument.venue {
            Venue::BinanceCoinm => {
                format!("pair={}&contractType=PERPETUAL", quoted(instrument.symbol.trim_end_matches("_PERP")))
            }
            Venue::BinanceUsdm | Venue::Bybit | Venue::Okx | Venue::Hyperliquid | Venue::DydxV4 | Venue::GmxV2 => {
                format!("symbol={symbol}")
            }
        };
        let path = format!("/futures/data/openInterestHist?{of}&period={word}&startTime={from}&endTime={to}&limit=500");
        add(&mut plan, "open interest of the past", path, 3, |of, _, body, at| {
            reply::open_interest_history(of, body, at)
        });
    }
    for (from, to) in pages(&mut plan, "funding", window, (1_000, HOUR_US)) {
        let path = format!("{base}/fundingRate?symbol={symbol}&startTime={from}&endTime={to}&limit=1000");
        add(&mut plan, "funding", path, 3, |of, _, body, at| reply::funding_history(of, body, at));
    }
    plan.vain
        .push(("margin tiers", Failure::NotPublic("Binance tells its margin tiers to the keys of accounts alone")));
    plan.vain.push((
        "liquidations of the past",
        Failure::NotPublic("Binance tells liquidations on its stream alone, as they happen"),
    ));
    plan
}
