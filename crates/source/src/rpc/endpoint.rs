//! Where a node answers: an address that may hold a key, which no message shows.

use std::fmt;

use crate::{Error, Result};

/// How an endpoint is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Http,
    Https,
    Ws,
    Wss,
    /// A Unix socket.
    Ipc,
}

/// Where a node answers.
///
/// Its text and debug forms name the scheme and the host alone: everything else of an address can be a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    address: String,
    scheme: Scheme,
    host: String,
    weight: u32,
}

/// The largest weight an endpoint can have.
const MAX_WEIGHT: u32 = 1_000;

const ADVICE: &str = "write http://…, https://…, ws://…, wss://… or the path of a node's IPC socket, with #weight=3 \
                      behind it where it should get three times the work of another";

impl Endpoint {
    /// Reads an endpoint: a URL of the schemes `http`, `https`, `ws` or `wss`, or the path of an IPC socket, which begins with
    /// `/`, `.` or `ipc:` or ends in `.ipc`. `#weight=3` behind it gives it three times the work of one without.
    ///
    /// # Errors
    /// It is none of these. The message holds no part of the text, which may be a key.
    pub fn parse(text: &str) -> Result<Self> {
        let (address, weight) = match text.trim().split_once('#') {
            None => (text.trim(), 1),
            Some((address, fragment)) => (address, parse_weight(fragment)?),
        };
        if address.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(unfit("an endpoint has a space or a control character in it"));
        }
        if let Some((scheme, rest)) = address.split_once("://") {
            let (scheme, address) = match scheme.to_ascii_lowercase().as_str() {
                "http" => (Scheme::Http, address),
                "https" => (Scheme::Https, address),
                "ws" => (Scheme::Ws, address),
                "wss" => (Scheme::Wss, address),
                "ipc" => (Scheme::Ipc, rest),
                _ => return Err(unfit("an endpoint's scheme is not known")),
            };
            let host = if scheme == Scheme::Ipc { "ipc".to_owned() } else { host(rest)? };
            return Ok(Self { address: address.to_owned(), scheme, host, weight });
        }
        let path = address.strip_prefix("ipc:").unwrap_or(address);
        let is_path = path.len() < address.len() || path.starts_with(['/', '.']) || path.ends_with(".ipc");
        if path.is_empty() || !is_path {
            return Err(unfit("an endpoint is neither a URL nor the path of a socket"));
        }
        Ok(Self { address: path.to_owned(), scheme: Scheme::Ipc, host: "ipc".to_owned(), weight })
    }

    /// The host, and the port where one is given: all of the address that may be shown. `ipc` for a socket on this machine.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How much of the work it gets beside others.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    pub(super) fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The address with whatever key is in it: for the transport alone.
    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

fn parse_weight(fragment: &str) -> Result<u32> {
    let weight = fragment.strip_prefix("weight=").and_then(|digits| digits.parse().ok());
    weight
        .filter(|weight| (1..=MAX_WEIGHT).contains(weight))
        .ok_or_else(|| unfit("what stands behind an endpoint's # is not weight= and a number from 1 to 1000"))
}

/// The host of what follows `://`: without user and password, path and query.
fn host(rest: &str) -> Result<String> {
    let authority = rest.split(['/', '?', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    // What stands behind the colon must be a port: a password with a slash in it would otherwise pass for a host.
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => (name, port.strip_prefix(':').unwrap_or(port)),
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if name.is_empty() || !name.chars().all(is_plain) || !port.chars().all(|c| c.is_ascii_digit()) {
        return Err(unfit("an endpoint's URL has no host, or one that is not plain ASCII"));
    }
    Ok(host.to_ascii_lowercase())
}

fn unfit(what: &str) -> Error {
    Error::Unfit { what: what.to_owned(), advice: ADVICE.to_owned() }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http://",
            Scheme::Https => "https://",
            Scheme::Ws => "ws://",
            Scheme::Wss => "wss://",
            Scheme::Ipc => "",
        };
        write!(f, "{scheme}{}", self.host)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self}, weight {})", self.weight)
    }
}
