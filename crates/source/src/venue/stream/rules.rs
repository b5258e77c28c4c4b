//! What each venue wants to be told on a stream: subscriptions, and pings.

use std::time::Duration;

use protocol::perp::{Instrument, Kind, Observation};
use protocol::time::TimeUs;
use protocol::venue::Venue;
use tokio_tungstenite::tungstenite::Message;

use crate::venue::{Parsed, Unread, binance, bybit, hyperliquid, okx};

/// Arguments in one request to subscribe, so that none comes near the length that a venue allows.
const ARGUMENTS: usize = 50;

/// The requests that subscribe to what carries these kinds.
pub(super) fn subscriptions(venue: Venue, instruments: &[Instrument], kinds: &[Kind]) -> Vec<String> {
    let quoted = |texts: Vec<String>| -> Vec<String> {
        texts.into_iter().map(|text| serde_json::Value::from(text).to_string()).collect()
    };
    let all = |of: fn(&Instrument, &[Kind]) -> Vec<String>| -> Vec<String> {
        instruments.iter().flat_map(|instrument| of(instrument, kinds)).collect()
    };
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm => in_parts(&quoted(all(binance::streams)), |number, arguments| {
            format!(r#"{{"method":"SUBSCRIBE","params":[{arguments}],"id":{number}}}"#)
        }),
        Venue::Bybit => in_parts(&quoted(all(bybit::topics)), |number, arguments| {
            format!(r#"{{"req_id":"{number}","op":"subscribe","args":[{arguments}]}}"#)
        }),
        Venue::Okx => in_parts(&okx::channels(instruments, kinds), |_, arguments| {
            format!(r#"{{"op":"subscribe","args":[{arguments}]}}"#)
        }),
        Venue::Hyperliquid => all(hyperliquid::subscriptions)
            .into_iter()
            .map(|subscription| format!(r#"{{"method":"subscribe","subscription":{subscription}}}"#))
            .collect(),
        Venue::DydxV4 | Venue::GmxV2 => Vec::new(),
    }
}

fn in_parts(arguments: &[String], request: impl Fn(usize, String) -> String) -> Vec<String> {
    arguments.chunks(ARGUMENTS).enumerate().map(|(place, part)| request(place + 1, part.join(","))).collect()
}

/// What is sent so that a connection is not taken for dead, and how often.
///
/// Binance pings itself every three minutes and is answered without more; a ping of ours shows whether it is still there. Bybit asks for one
/// every 20 seconds (*Connect*), OKX for one before 30 seconds of silence, Hyperliquid before a minute of it.
pub(super) fn ping(venue: Venue) -> (Message, Duration) {
    let seconds = Duration::from_secs;
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm | Venue::DydxV4 | Venue::GmxV2 => {
            (Message::Ping(Vec::new().into()), seconds(30))
        }
        Venue::Bybit => (Message::text(r#"{"op":"ping"}"#), seconds(20)),
        Venue::Okx => (Message::text("ping"), seconds(20)),
        Venue::Hyperliquid => (Message::text(r#"{"method":"ping"}"#), seconds(30)),
    }
}

/// Reads a message.
pub(super) fn read(
    venue: Venue,
    instruments: &[Instrument],
    text: &[u8],
    received: TimeUs,
) -> Result<Parsed<Observation>, Unread> {
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm => binance::message(instruments, text, received),
        Venue::Bybit => bybit::message(instruments, text, received),
        Venue::Okx => okx::message(instruments, text, received),
        Venue::Hyperliquid => hyperliquid::message(instruments, text, received),
        Venue::DydxV4 | Venue::GmxV2 => Ok(Parsed::default()),
    }
}
