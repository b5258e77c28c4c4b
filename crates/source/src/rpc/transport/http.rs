//! HTTP: a request for every text.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};

use super::Delivery;
use crate::rpc::Options;
use crate::rpc::endpoint::{Endpoint, Scheme};
use crate::rpc::fault::{Attempt, Fault};
use crate::rpc::room::Room;
use crate::{Error, Result};

#[derive(Debug)]
pub(in crate::rpc) struct Http {
    client: reqwest::Client,
    endpoint: Endpoint,
    timeout: Duration,
    stall: Duration,
    room: Arc<Room>,
}

impl Http {
    pub(super) fn new(endpoint: &Endpoint, options: &Options, room: Arc<Room>) -> Result<Self> {
        // Somebody else in the process may have chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            // A redirect would carry the key in the address to another host.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.timeout.min(Duration::from_secs(20)))
            .tcp_nodelay(true);
        if endpoint.scheme() == Scheme::Http {
            // No certificate is looked at, so a machine without any can still reach its own node.
            builder = builder.tls_backend_preconfigured(
                rustls::ClientConfig::builder()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            );
        }
        if endpoint.is_local() {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|cause| Error::Unfit {
            what: format!("{endpoint}: no connection can be prepared ({})", deepest(&cause)),
            advice: "check that this machine has root certificates installed".to_owned(),
        })?;
        Ok(Self { client, endpoint: endpoint.clone(), timeout: options.timeout, stall: options.stall, room })
    }

    pub(super) async fn send(&self, text: String, longest: usize) -> Attempt<Delivery> {
        let longest = longest.min(self.room.longest());
        match tokio::time::timeout(self.timeout, self.exchange(text, longest)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Fault::Fleeting(format!("no whole answer within {} s", self.timeout.as_secs_f32()))),
        }
    }

    async fn exchange(&self, text: String, longest: usize) -> Attempt<Delivery> {
        let mut request = self.client.post(self.endpoint.address()).header(CONTENT_TYPE, "application/json").body(text);
        if let Some(token) = self.endpoint.token() {
            request = request.bearer_auth(token);
        }
        let mut response = request.send().await.map_err(broken)?;
        let status = response.status().as_u16();
        let retry_after = wait_asked_for(response.headers());
        // A length is only a promise, and memory is given for what has come.
        let promised = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let mut body = Vec::with_capacity(promised.min(longest).min(1 << 20));
        let mut held = self.room.begin();
        loop {
            let piece = match tokio::time::timeout(self.stall, response.chunk()).await {
                Err(_) => return Err(Fault::Fleeting("the answer stood still".to_owned())),
                Ok(piece) => piece.map_err(broken)?,
            };
            let Some(piece) = piece else { break };
            if body.len() + piece.len() > longest {
                return Err(super::too_long(longest));
            }
            held.grow(body.len() + piece.len()).await;
            body.extend_from_slice(&piece);
        }
        Ok(Delivery { status, retry_after, body, _held: held })
    }
}

fn broken(cause: reqwest::Error) -> Fault {
    let cause = cause.without_url();
    let what = if cause.is_timeout() { "the connection took too long".to_owned() } else { deepest(&cause) };
    Fault::Fleeting(what)
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
fn wait_asked_for(headers: &HeaderMap) -> Option<Duration> {
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
