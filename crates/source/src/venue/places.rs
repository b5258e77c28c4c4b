//! Where venues answer. Every place is a field, so that a mirror, a proxy or a test stands in with nothing else changed.

use protocol::perp::Instrument;
use protocol::venue::{Contract, Venue};

/// Where venues answer: over HTTP, and where their streams are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Binance, USDⓈ-M.
    pub binance_usdm: String,
    /// Binance, COIN-M.
    pub binance_coinm: String,
    /// Bybit.
    pub bybit: String,
    /// OKX.
    pub okx: String,
    /// Hyperliquid.
    pub hyperliquid: String,
    /// Binance's USDⓈ-M market streams (*Important WebSocket Change Notice*).
    pub binance_usdm_stream: String,
    /// Binance's COIN-M market streams.
    pub binance_coinm_stream: String,
    /// Bybit's public stream of linear contracts.
    pub bybit_linear_stream: String,
    /// Bybit's public stream of inverse contracts.
    pub bybit_inverse_stream: String,
    /// OKX's public stream.
    pub okx_stream: String,
    /// Hyperliquid's stream.
    pub hyperliquid_stream: String,
}

impl Default for Places {
    fn default() -> Self {
        let place = str::to_owned;
        Self {
            binance_usdm: place("https://fapi.binance.com"),
            binance_coinm: place("https://dapi.binance.com"),
            bybit: place("https://api.bybit.com"),
            okx: place("https://www.okx.com"),
            hyperliquid: place("https://api.hyperliquid.xyz"),
            binance_usdm_stream: place("wss://fstream.binance.com/market/ws"),
            binance_coinm_stream: place("wss://dstream.binance.com/ws"),
            bybit_linear_stream: place("wss://stream.bybit.com/v5/public/linear"),
            bybit_inverse_stream: place("wss://stream.bybit.com/v5/public/inverse"),
            okx_stream: place("wss://ws.okx.com:8443/ws/v5/public"),
            hyperliquid_stream: place("wss://api.hyperliquid.xyz/ws"),
        }
    }
}

impl Places {
    /// Where each venue is asked over HTTP.
    pub(super) fn rest(&self) -> [(Venue, &str); 5] {
        [
            (Venue::BinanceUsdm, &self.binance_usdm),
            (Venue::BinanceCoinm, &self.binance_coinm),
            (Venue::Bybit, &self.bybit),
            (Venue::Okx, &self.okx),
            (Venue::Hyperliquid, &self.hyperliquid),
        ]
    }

    /// The host at which an instrument is streamed.
    #[must_use]
    pub fn stream_host(&self, instrument: &Instrument) -> Option<String> {
        let place = crate::rpc::Endpoint::parse(self.stream_of(instrument)?).ok()?;
        Some(place.host().to_owned())
    }

    /// Where an instrument is streamed.
    pub(super) fn stream_of(&self, instrument: &Instrument) -> Option<&str> {
        match (instrument.venue, instrument.contract) {
            (Venue::BinanceUsdm, _) => Some(&self.binance_usdm_stream),
            (Venue::BinanceCoinm, _) => Some(&self.binance_coinm_stream),
            (Venue::Bybit, Contract::Linear) => Some(&self.bybit_linear_stream),
            (Venue::Bybit, Contract::Inverse) => Some(&self.bybit_inverse_stream),
            (Venue::Okx, _) => Some(&self.okx_stream),
            (Venue::Hyperliquid, _) => Some(&self.hyperliquid_stream),
            (Venue::DydxV4 | Venue::GmxV2, _) => None,
        }
    }
}
