//! Replies and messages in the venues' documented formats, and what reads them.

use std::sync::Arc;

use protocol::perp::{Instrument, Observation, Series};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::{Contract, Venue};
use protocol::{Address, Decimal};

use crate::venue::{Parsed, Unread, binance, bybit, hyperliquid, okx};

/// When everything here is read: in 2026, after all of it was written.
pub(crate) const NOW: TimeUs = TimeUs(1_790_000_000_000_000);

pub(crate) fn instrument(venue: Venue, symbol: &str, contract: Contract, size: &str) -> Instrument {
    let coin = ["BTC", "ETH", "ROSE", "IOST"].into_iter().find(|coin| symbol.starts_with(coin)).unwrap();
    let quote = if contract == Contract::Inverse { "USD" } else { "USDT" };
    Instrument {
        venue,
        symbol: symbol.into(),
        base: coin.into(),
        quote: quote.into(),
        contract,
        contract_size: size.parse().unwrap(),
        funding_interval: Some(8 * HOUR_US),
    }
}

pub(crate) fn usdm() -> Instrument {
    instrument(Venue::BinanceUsdm, "BTCUSDT", Contract::Linear, "1")
}

pub(crate) fn coinm() -> Instrument {
    instrument(Venue::BinanceCoinm, "BTCUSD_PERP", Contract::Inverse, "100")
}

pub(crate) fn bybit_linear() -> Instrument {
    instrument(Venue::Bybit, "BTCUSDT", Contract::Linear, "1")
}

pub(crate) fn bybit_inverse() -> Instrument {
    instrument(Venue::Bybit, "BTCUSD", Contract::Inverse, "1")
}

pub(crate) fn okx_linear() -> Instrument {
    instrument(Venue::Okx, "BTC-USDT-SWAP", Contract::Linear, "0.01")
}

pub(crate) fn hype() -> Instrument {
    instrument(Venue::Hyperliquid, "BTC", Contract::Linear, "1")
}

type Reader = fn(&[u8]) -> Result<Parsed<Observation>, Unread>;

/// A reply or message, and what reads it.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) body: &'static str,
    pub(crate) read: Reader,
    /// How many observations are in it.
    pub(crate) rows: usize,
}

pub(crate) fn price() -> Option<Decimal> {
    Some(Decimal::from(50_000))
}

/// One of every kind. Values are of the documents' own examples where those are whole.
pub(crate) const ALL: &[Sample] = &[
    Sample {
        name: "binance klines",
        body: r#"[[1499040000000,"0.01634790","0.80000000","0.01575800","0.01577100","148976.11427815",1499644799999,"2434.19055334",308,"1756.87402397","28.46694368","17928899.62484339"]]"#,
        read: |body| binance::candles(&usdm(), Series::Trade, HOUR_US, body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance mark klines",
        body: r#"[[1591256460000,"9653.29201333","9654.56401333","9653.07367333","9653.07367333","0",1591256519999,"0",60,"0","0","0"]]"#,
        read: |body| binance::candles(&usdm(), Series::Mark, HOUR_US, body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance coin-m klines",
        body: r#"[[1591258320000,"9640.7","9642.4","9640.6","9642.0","206",1591258379999,"2.13660389",48,"119","1.23424865","0"]]"#,
        read: |body| binance::candles(&coinm(), Series::Trade, HOUR_US, body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance premium index",
        body: r#"{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970","estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00038246","interestRate":"0.00010000","nextFundingTime":1597392000000,"time":1597370495002}"#,
        read: |body| binance::price(&usdm(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "binance coin-m premium index",
        body: r#"[{"symbol":"BTCUSD_PERP","pair":"BTCUSD","markPrice":"11029.69574559","indexPrice":"10979.14437500","estimatedSettlePrice":"10981.74168236","lastFundingRate":"0.00071003","interestRate":"0.00010000","nextFundingTime":1596096000000,"time":1596094042000}]"#,
        read: |body| binance::price(&coinm(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "binance open interest",
        body: r#"{"openInterest":"10659.509","symbol":"BTCUSDT","time":1589437530011}"#,
        read: |body| binance::open_interest(&usdm(), price(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance coin-m open interest",
        body: r#"{"symbol":"BTCUSD_PERP","pair":"BTCUSD","openInterest":"15004","contractType":"PERPETUAL","time":1591261042378}"#,
        read: |body| binance::open_interest(&coinm(), price(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance open interest history",
        body: r#"[{"symbol":"BTCUSDT","sumOpenInterest":"20403.63700000","sumOpenInterestValue":"150570784.07809979","CMCCirculatingSupply":"165880.538","timestamp":"1583127900000"},{"symbol":"BTCUSDT","sumOpenInterest":"20401.36700000","sumOpenInterestValue":"149940752.14464448","timestamp":"1583128200000"}]"#,
        read: |body| binance::open_interest_history(&usdm(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "binance coin-m open interest history",
        body: r#"[{"pair":"BTCUSD","contractType":"PERPETUAL","sumOpenInterest":"20403","sumOpenInterestValue":"176196512.23400000","timestamp":1591261042378}]"#,
        read: |body| binance::open_interest_history(&coinm(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance funding",
        body: r#"[{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1570608000000,"markPrice":"34287.54619963"},{"symbol":"BTCUSDT","fundingRate":"0.00010000","fundingTime":1570636800000,"markPrice":""}]"#,
        read: |body| binance::funding_history(&usdm(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "binance depth",
        body: r#"{"lastUpdateId":1027024,"E":1589436922972,"T":1589436922959,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}"#,
        read: |body| binance::depth(&usdm(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance brackets",
        body: r#"[{"symbol":"BTCUSDT","notionalCoef":1.50,"brackets":[{"bracket":1,"initialLeverage":75,"notionalCap":10000,"notionalFloor":0,"maintMarginRatio":0.0065,"cum":0.0},{"bracket":2,"initialLeverage":50,"notionalCap":50000,"notionalFloor":10000,"maintMarginRatio":0.01,"cum":35.0}]}]"#,
        read: |body| binance::tiers(&usdm(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance liquidation",
        body: r#"{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460893}}"#,
        read: |body| binance::message(&[usdm(), coinm()], body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance coin-m liquidation in a combined stream",
        body: r#"{"stream":"btcusd_perp@forceOrder","data":{"e":"forceOrder","E":1591154240950,"o":{"s":"BTCUSD_PERP","ps":"BTCUSD","S":"BUY","o":"LIMIT","f":"IOC","q":"1","p":"9425.5","ap":"9496.5","X":"FILLED","l":"1","z":"1","T":1591154240949}}}"#,
        read: |body| binance::message(&[usdm(), coinm()], body, NOW),
        rows: 1,
    },
    Sample {
        name: "binance mark price",
        body: r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"0.00038167","T":1562306400000}"#,
        read: |body| binance::message(&[usdm()], body, NOW),
        rows: 2,
    },
    Sample {
        name: "bybit kline",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSD","category":"inverse","list":[["1670608800000","17071","17073","17027","17055.5","268611","15.74462667"],["1670605200000","17071.5","17071.5","17061","17071","4177","0.24469757"]]},"retExtInfo":{},"time":1672025956592}"#,
        read: |body| bybit::candles(&bybit_inverse(), Series::Trade, HOUR_US, body, NOW),
        rows: 2,
    },
    Sample {
        name: "bybit mark kline",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":[["1670608800000","17164.16","17164.16","17121.5","17131.64"]]},"retExtInfo":{},"time":1672026361839}"#,
        read: |body| bybit::candles(&bybit_linear(), Series::Mark, HOUR_US, body, NOW),
        rows: 1,
    },
    Sample {
        name: "bybit ticker",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"category":"inverse","list":[{"symbol":"BTCUSD","lastPrice":"16597.00","indexPrice":"16598.54","markPrice":"16596.00","openInterest":"373504107","openInterestValue":"22505.67","fundingRate":"-0.001034","nextFundingTime":"1672387200000","predictedDeliveryPrice":"","deliveryTime":"0"}]},"retExtInfo":{},"time":1672376496682}"#,
        read: |body| bybit::ticker(&bybit_inverse(), body, NOW),
        rows: 3,
    },
    Sample {
        name: "bybit open interest",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"symbol":"BTCUSDT","category":"linear","list":[{"openInterest":"52664.64200000","singleOpenInterest":"26332.321","timestamp":"1669571400000"},{"openInterest":"52664.00000000","timestamp":"1669571100000"}],"nextPageCursor":""},"retExtInfo":{},"time":1672053548579}"#,
        read: |body| bybit::open_interest_history(&bybit_linear(), &|_| None, body, NOW),
        rows: 2,
    },
    Sample {
        name: "bybit funding",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"symbol":"BTCUSDT","fundingRate":"0.0001","fundingRateTimestamp":"1672041600000"}]},"retExtInfo":{},"time":1672051897447}"#,
        read: |body| bybit::funding_history(&bybit_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "bybit order book",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"s":"BTCUSDT","a":[["65557.7","16.606555"]],"b":[["65485.47","47.081829"]],"ts":1716863719031,"u":230704,"seq":1432604333,"cts":1716863718905},"retExtInfo":{},"time":1716863719382}"#,
        read: |body| bybit::depth(&bybit_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "bybit risk limits",
        body: r#"{"retCode":0,"retMsg":"OK","result":{"category":"linear","list":[{"id":1,"symbol":"BTCUSDT","riskLimitValue":"2000000","maintenanceMargin":"0.005","initialMargin":"0.01","isLowestRisk":1,"maxLeverage":"100.00","mmDeduction":""},{"id":2,"symbol":"BTCUSDT","riskLimitValue":"10000000","maintenanceMargin":"0.01","initialMargin":"0.02","isLowestRisk":0,"maxLeverage":"50.00","mmDeduction":"10000"}]},"retExtInfo":{},"time":1672054488010}"#,
        read: |body| bybit::tiers(&bybit_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "bybit liquidations",
        body: r#"{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"},{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}]}"#,
        read: |body| bybit::message(&[instrument(Venue::Bybit, "ROSEUSDT", Contract::Linear, "1")], body, NOW),
        rows: 2,
    },
    Sample {
        name: "bybit ticker of a stream",
        body: r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"PlusTick","markPrice":"17217.33","indexPrice":"17227.36","openInterest":"68744.761","openInterestValue":"1183601235.91","nextFundingTime":"1673280000000","fundingRate":"-0.000212"},"cs":24987956059,"ts":1673272861686}"#,
        read: |body| bybit::message(&[bybit_linear()], body, NOW),
        rows: 3,
    },
    Sample {
        name: "okx candles",
        body: r#"{"code":"0","msg":"","data":[["1597026383085","3.721","3.743","3.677","3.708","8422410","22698348.04828491","12698348.04828491","0"],["1597026383085","3.731","3.799","3.494","3.72","24912403","67632347.24399722","37632347.24399722","1"]]}"#,
        read: |body| okx::candles(&okx_linear(), Series::Trade, HOUR_US, body, NOW),
        rows: 2,
    },
    Sample {
        name: "okx mark candles",
        body: r#"{"code":"0","msg":"","data":[["1597026383085","3.721","3.743","3.677","3.708","0"]]}"#,
        read: |body| okx::candles(&okx_linear(), Series::Mark, HOUR_US, body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx mark price",
        body: r#"{"code":"0","msg":"","data":[{"instType":"SWAP","instId":"BTC-USDT-SWAP","markPx":"42310.6","ts":"1630049139746"}]}"#,
        read: |body| okx::mark_price(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx index price",
        body: r#"{"code":"0","msg":"","data":[{"instId":"BTC-USDT","idxPx":"43350","high24h":"43649.7","sodUtc0":"43444.1","open24h":"43640.8","low24h":"43261.9","sodUtc8":"43328.7","ts":"1649419644492"}]}"#,
        read: |body| okx::index_price(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx open interest",
        body: r#"{"code":"0","data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2125419.8","oiCcy":"21254.198","oiUsd":"1854113230.1","ts":"1743041250440"}],"msg":""}"#,
        read: |body| okx::open_interest(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx open interest history",
        body: r#"{"code":"0","data":[["1701417600000","731377.57500501","7313.77","8888888"],["1701417600000","731377.575","7313.77","8888888"]],"msg":""}"#,
        read: |body| okx::open_interest_history(&okx_linear(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "okx funding",
        body: r#"{"code":"0","data":[{"formulaType":"noRate","fundingRate":"0.0000182221218054","fundingTime":"1743609600000","impactValue":"","instId":"BTC-USDT-SWAP","instType":"SWAP","interestRate":"","maxFundingRate":"0.00375","method":"current_period","minFundingRate":"-0.00375","nextFundingRate":"","nextFundingTime":"1743638400000","premium":"0.0000910113652644","settFundingRate":"0.0000145824401745","settState":"settled","ts":"1743588686291"}],"msg":""}"#,
        read: |body| okx::funding(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx funding history",
        body: r#"{"code":"0","msg":"","data":[{"formulaType":"noRate","fundingRate":"0.0000746604960499","fundingTime":"1703059200000","instId":"BTC-USDT-SWAP","instType":"SWAP","method":"next_period","realizedRate":"0.0000746572360545"},{"fundingRate":"0.000227985782722","fundingTime":"1703030400000","instId":"BTC-USDT-SWAP","instType":"SWAP","method":"next_period","realizedRate":"0.0002279755647389"}]}"#,
        read: |body| okx::funding_history(&okx_linear(), body, NOW),
        rows: 2,
    },
    Sample {
        name: "okx book",
        body: r#"{"code":"0","msg":"","data":[{"asks":[["41006.8","0.60038921","0","1"]],"bids":[["41006.3","0.30178218","0","2"]],"ts":"1629966436396"}]}"#,
        read: |body| okx::depth(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx tiers",
        body: r#"{"code":"0","msg":"","data":[{"baseMaxLoan":"","imr":"0.013","instFamily":"BTC-USDT","instId":"","maxLever":"75","maxSz":"2000","minSz":"0","mmr":"0.01","optMgnFactor":"0","quoteMaxLoan":"","tier":"1","uly":"BTC-USDT"},{"baseMaxLoan":"","imr":"0.02","instFamily":"BTC-USDT","instId":"","maxLever":"50","maxSz":"4000","minSz":"2001","mmr":"0.015","optMgnFactor":"0","quoteMaxLoan":"","tier":"2","uly":"BTC-USDT"}]}"#,
        read: |body| okx::tiers(&okx_linear(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx liquidations",
        body: r#"{"code":"0","data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","time":"1692266434010","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","totalLoss":"0","uly":"IOST-USDT"}],"msg":""}"#,
        read: |body| {
            okx::liquidations(&[instrument(Venue::Okx, "IOST-USDT-SWAP", Contract::Linear, "1000")], body, NOW)
        },
        rows: 1,
    },
    Sample {
        name: "okx liquidations of a stream",
        body: r#"{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0","bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}"#,
        read: |body| okx::message(&[instrument(Venue::Okx, "IOST-USDT-SWAP", Contract::Linear, "1000")], body, NOW),
        rows: 1,
    },
    Sample {
        name: "okx open interest of a stream",
        body: r#"{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP","instType":"SWAP","oi":"2216113.01","oiCcy":"22161.1301","oiUsd":"1939251795.54","ts":"1743041250440"}]}"#,
        read: |body| okx::message(&[okx_linear()], body, NOW),
        rows: 1,
    },
    Sample { name: "hyperliquid state", body: META, read: |body| hyperliquid::state(&hype(), body, NOW), rows: 3 },
    Sample { name: "hyperliquid tiers", body: META, read: |body| hyperliquid::tiers(&hype(), body, NOW), rows: 1 },
    Sample {
        name: "hyperliquid candles",
        body: r#"[{"T":1681924499999,"c":"29258.0","h":"29309.0","i":"15m","l":"29250.0","n":189,"o":"29295.0","s":"BTC","t":1681923600000,"v":"0.98639"}]"#,
        read: |body| hyperliquid::candles(&hype(), 15 * 60_000_000, body, NOW),
        rows: 1,
    },
    Sample {
        name: "hyperliquid funding",
        body: r#"[{"coin":"BTC","fundingRate":"-0.00022196","premium":"-0.00052196","time":1683849600076}]"#,
        read: |body| hyperliquid::funding_history(&hype(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "hyperliquid book",
        body: r#"{"coin":"BTC","time":1754450974231,"levels":[[{"px":"113377.0","sz":"7.6699","n":17},{"px":"113376.0","sz":"4.13714","n":8}],[{"px":"113397.0","sz":"0.11543","n":3}]]}"#,
        read: |body| hyperliquid::depth(&hype(), body, NOW),
        rows: 1,
    },
    Sample {
        name: "hyperliquid account",
        body: r#"{"assetPositions":[{"position":{"coin":"ETH","cumFunding":{"allTime":"514.085417","sinceChange":"0.0","sinceOpen":"0.0"},"entryPx":"2986.3","leverage":{"rawUsd":"-95.059824","type":"isolated","value":20},"liquidationPx":"2866.26936529","marginUsed":"4.967826","maxLeverage":50,"positionValue":"100.02765","returnOnEquity":"-0.0026789","szi":"0.0335","unrealizedPnl":"-0.0134"},"type":"oneWay"},{"position":{"coin":"BTC","entryPx":null,"leverage":{"type":"cross","value":3},"liquidationPx":null,"marginUsed":"33.3","maxLeverage":40,"positionValue":"100","szi":"-0.001"},"type":"oneWay"}],"crossMaintenanceMarginUsed":"0.0","crossMarginSummary":{"accountValue":"13104.514502","totalMarginUsed":"0.0","totalNtlPos":"0.0","totalRawUsd":"13104.514502"},"marginSummary":{"accountValue":"13109.482328","totalMarginUsed":"4.967826","totalNtlPos":"100.02765","totalRawUsd":"13009.454678"},"time":1708622398623,"withdrawable":"13104.514502"}"#,
        read: |body| hyperliquid::positions(Address::repeat_byte(7), body, NOW),
        rows: 2,
    },
    Sample {
        name: "hyperliquid fills",
        body: r#"[{"closedPnl":"0.0","coin":"AVAX","crossed":false,"dir":"Open Long","hash":"0xa166","oid":90542681,"px":"18.435","side":"B","startPosition":"26.86","sz":"93.53","time":1681222254710,"fee":"0.01","tid":118906512037719},{"closedPnl":"-5.0","coin":"BTC","crossed":true,"dir":"Close Long","hash":"0xa1","oid":1,"px":"60000","side":"A","startPosition":"1.0","sz":"0.5","time":1781222254710,"liquidation":{"liquidatedUser":"0x0707070707070707070707070707070707070707","markPx":"60010.0","method":"market"}}]"#,
        read: |body| hyperliquid::liquidations(&[hype()], Address::repeat_byte(7), body, NOW),
        rows: 1,
    },
    Sample {
        name: "hyperliquid state of a stream",
        body: r#"{"channel":"activeAssetCtx","data":{"coin":"BTC","ctx":{"funding":"0.0000125","openInterest":"688.11","prevDayPx":"15.322","dayNtlVlm":"1169046.29","premium":"0.00031774","oraclePx":"14.32","markPx":"14.3161","midPx":"14.314","impactPxs":["14.3047","14.3444"]}}}"#,
        read: |body| hyperliquid::message(&[hype()], body, NOW),
        rows: 3,
    },
];

pub(crate) const META: &str = r#"[{"universe":[{"name":"BTC","szDecimals":5,"maxLeverage":40,"marginTableId":56},{"name":"ETH","szDecimals":4,"maxLeverage":25,"marginTableId":55},{"name":"HPOS","szDecimals":0,"maxLeverage":3,"onlyIsolated":true},{"name":"LOOM","szDecimals":1,"maxLeverage":3,"marginTableId":3,"isDelisted":true}],"marginTables":[[50,{"description":"","marginTiers":[{"lowerBound":"0.0","maxLeverage":50}]}],[56,{"description":"tiered 40x","marginTiers":[{"lowerBound":"0.0","maxLeverage":40},{"lowerBound":"150000000.0","maxLeverage":20}]}]],"collateralToken":0},[{"dayNtlVlm":"1169046.29406","funding":"0.0000125","impactPxs":["94.3047","94.3444"],"markPx":"94.3161","midPx":"94.314","openInterest":"688.11","oraclePx":"94.32","premium":"0.00031774","prevDayPx":"95.322"},{"dayNtlVlm":"1426126.295175","funding":"0.0000125","impactPxs":["6.0386","6.0562"],"markPx":"6.0436","midPx":"6.0431","openInterest":"1882.55","oraclePx":"6.0457","premium":"0.00028119","prevDayPx":"6.3611"},{"dayNtlVlm":"809774.565507","funding":"0.0000125","impactPxs":null,"markPx":"8.4505","midPx":null,"openInterest":"2912.05","oraclePx":"8.4494","premium":null,"prevDayPx":"8.8097"},{"dayNtlVlm":"0.0","funding":"0.0","impactPxs":null,"markPx":"0.5","midPx":null,"openInterest":"0.0","oraclePx":"0.5","premium":null,"prevDayPx":"0.5"}]]"#;

/// The name of a coin, as an instrument has it.
pub(crate) fn coin(name: &str) -> Arc<str> {
    name.into()
}
