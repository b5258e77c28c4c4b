//! What venues say on streams of BTC, in the formats they document.

use super::answers::hour;

/// A long of half a coin liquidated at 59,000 at a moment in milliseconds, as a venue says it; none of Hyperliquid, which says no such
/// thing.
pub(crate) fn liquidation(venue: &str, time: i64) -> Option<String> {
    Some(match venue {
        "binance-usdm" => format!(
            r#"{{"e":"forceOrder","E":{time},"o":{{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.5","p":"58900","ap":"59000","X":"FILLED","l":"0.5","z":"0.5","T":{time}}}}}"#
        ),
        // In contracts of a hundred dollars.
        "binance-coinm" => format!(
            r#"{{"e":"forceOrder","E":{time},"o":{{"s":"BTCUSD_PERP","ps":"BTCUSD","S":"SELL","o":"LIMIT","f":"IOC","q":"295","p":"58900","ap":"59000","X":"FILLED","l":"295","z":"295","T":{time}}}}}"#
        ),
        "bybit" => format!(
            r#"{{"topic":"allLiquidation.BTCUSDT","type":"snapshot","ts":{time},"data":[{{"T":{time},"s":"BTCUSDT","S":"Buy","v":"0.5","p":"59000"}}]}}"#
        ),
        // In contracts of a hundredth of a coin.
        "okx" => format!(
            r#"{{"arg":{{"channel":"liquidation-orders","instType":"SWAP"}},"data":[{{"details":[{{"bkLoss":"0","bkPx":"59000","ccy":"","posSide":"long","side":"sell","sz":"50","ts":"{time}"}}],"instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}}]}}"#
        ),
        _ => return None,
    })
}

/// A mark price of 61,000 at a moment in milliseconds, as a venue says it. Hyperliquid states no moment.
pub(crate) fn price(venue: &str, time: i64) -> String {
    let next = hour(-1);
    match venue {
        "binance-usdm" => format!(
            r#"{{"e":"markPriceUpdate","E":{time},"s":"BTCUSDT","p":"61000","i":"61001","P":"61000","r":"0.0001","T":{next}}}"#
        ),
        "binance-coinm" => format!(
            r#"{{"e":"markPriceUpdate","E":{time},"s":"BTCUSD_PERP","p":"61000","P":"61000","r":"0.0001","T":{next}}}"#
        ),
        "bybit" => format!(
            r#"{{"topic":"tickers.BTCUSDT","type":"snapshot","data":{{"symbol":"BTCUSDT","markPrice":"61000","indexPrice":"61001","openInterest":"86","nextFundingTime":"{next}","fundingRate":"0.0001"}},"cs":1,"ts":{time}}}"#
        ),
        "okx" => format!(
            r#"{{"arg":{{"channel":"mark-price","instId":"BTC-USDT-SWAP"}},"data":[{{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"61000","ts":"{time}"}}]}}"#
        ),
        _ => r#"{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":{"funding":"0.0000125","openInterest":"700","prevDayPx":"60000","dayNtlVlm":"1","premium":"0","oraclePx":"61001","markPx":"61000","midPx":"61000","impactPxs":["60999","61001"]}}}"#.to_owned(),
    }
}
