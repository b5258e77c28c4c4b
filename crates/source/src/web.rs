//! HTTP as all of this crate speaks it: no redirects, bodies of bounded length, and what a host asks of those who ask too often.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::rpc::room::Held;

/// How a host is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Way {
    /// Without TLS.
    pub(crate) open: bool,
    /// On this machine.
    pub(crate) local: bool,
}

/// What came back, whatever its status.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// Why nothing came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// It may come the next time.
    Fleeting(String),
    /// It is longer than is read.
    TooLong,
}

/// Prepares connections to a host.
///
/// # Errors
/// This machine cannot: most often it has no root certificates.
pub(crate) fn client(way: Way, timeout: Duration) -> Result<reqwest::Client, String> {
    // Somebody else in the process may have chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        // A redirect would carry the key in the address to another host.
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(timeout.min(Duration::from_secs(20)))
        .tcp_nodelay(true);
    if way.open {
        // No certificate is looked at, so a machine without any can still reach its own node.
        builder = builder.tls_backend_preconfigured(
            rustls::ClientConfig::builder()
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth(),
        );
    }
    if way.local {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|cause| deepest(&cause))
}

/// Sends a request and reads the answer, which may be as long as `max_bytes` and may stand still for as long as `stall`. Before
/// each piece is kept, room is taken for it where the room is counted.
///
/// # Errors
/// No whole answer came.
pub(crate) async fn exchange(
    request: reqwest::RequestBuilder,
    stall: Duration,
    max_bytes: usize,
    mut held: Option<&mut Held>,
) -> Result<Received, Broken> {
    let mut response = request.send().await.map_err(broken)?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    // A length is only a promise, and memory is given for what has come.
    let promised = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut body = Vec::with_capacity(promised.min(max_bytes).min(1 << 20));
    loop {
        let piece = match tokio::time::timeout(stall, response.chunk()).await {
            Err(_) => return Err(Broken::Fleeting("the answer stood still".to_owned())),
            Ok(piece) => piece.map_err(broken)?,
        };
        let Some(piece) = piece else { break };
        if body.len() + piece.len() > max_bytes {
            return Err(Broken::TooLong);
        }
        if let Some(held) = &mut held {
            held.grow(body.len() + piece.len()).await;
        }
        body.extend_from_slice(&piece);
    }
    Ok(Received { status, headers, body })
}

fn broken(cause: reqwest::Error) -> Broken {
    let cause = cause.without_url();
    let what = if cause.is_timeout() { "the connection took too long".to_owned() } else { deepest(&cause) };
    Broken::Fleeting(what)
}

/// The innermost cause is the one that tells a person something.
fn deepest(cause: &reqwest::Error) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(inner) = next {
        text = inner.to_string();
        next = inner.source();
    }
    text
}

/// After how many seconds the count of requests begins anew, as gateways say it that count them.
const RESET: &str = "x-ratelimit-reset";

/// A larger number is no wait: some give the moment, in seconds since 1970, under the same name.
const LONGEST_RESET: u64 = 86_400;

/// How long an endpoint asks to be left alone: `Retry-After`, in seconds or as a date, or else the seconds to its next count.
pub(crate) fn wait_asked_for(headers: &HeaderMap) -> Option<Duration> {
    let reset = || headers.get(RESET)?.to_str().ok()?.trim().parse().ok().filter(|seconds| *seconds <= LONGEST_RESET);
    retry_after(headers).or_else(|| reset().map(Duration::from_secs))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let seconds = until.as_second().saturating_sub(jiff::Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_seconds_or_until_a_date() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            wait_asked_for(&headers)
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "is over");
        assert!(of("Fri, 01 Jan 2100 00:00:00 GMT").is_some_and(|wait| wait > Duration::from_secs(3_600)));
        assert_eq!(of("soon"), None);
        assert_eq!(of("-1"), None);
        for (reset, expected) in [("41", Some(41)), ("1800000000", None), ("soon", None), ("-1", None)] {
            let mut headers = HeaderMap::new();
            headers.insert(RESET, reset.parse().unwrap());
            assert_eq!(wait_asked_for(&headers), expected.map(Duration::from_secs), "{reset}");
            headers.insert(RETRY_AFTER, "7".parse().unwrap());
            assert_eq!(wait_asked_for(&headers), Some(Duration::from_secs(7)), "it comes first");
        }
    }
}
