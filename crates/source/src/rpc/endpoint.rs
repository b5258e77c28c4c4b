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
    token: Option<String>,
}

/// The largest weight an endpoint can have.
const MAX_WEIGHT: u32 = 1_000;

/// What a node says is shown up to this many characters.
const LONGEST_SHOWN: usize = 240;

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
            return Ok(Self { address: address.to_owned(), scheme, host, weight, token: None });
        }
        let path = address.strip_prefix("ipc:").unwrap_or(address);
        let is_path = path.len() < address.len() || path.starts_with(['/', '.']) || path.ends_with(".ipc");
        if path.is_empty() || !is_path {
            return Err(unfit("an endpoint is neither a URL nor the path of a socket"));
        }
        Ok(Self { address: path.to_owned(), scheme: Scheme::Ipc, host: "ipc".to_owned(), weight, token: None })
    }

    /// The same, which is shown a token with every question it is asked over HTTP.
    ///
    /// # Errors
    /// The token is empty, or has a character that no token has. The message holds no part of it.
    pub fn with_token(self, token: &str) -> Result<Self> {
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::Unfit {
                what: format!("the token for {} is empty, or has a character that no token has", self.host),
                advice: "copy it anew, without spaces and quotes".to_owned(),
            });
        }
        Ok(Self { token: Some(token.to_owned()), ..self })
    }

    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_deref()
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

    /// Whether it is reached by HTTP, and whether in the open.
    pub(crate) fn http(&self) -> Option<crate::web::Way> {
        match self.scheme {
            Scheme::Http => Some(crate::web::Way { open: true, local: self.is_local() }),
            Scheme::Https => Some(crate::web::Way { open: false, local: self.is_local() }),
            Scheme::Ws | Scheme::Wss | Scheme::Ipc => None,
        }
    }

    /// Whether it is a WebSocket.
    pub(crate) fn is_web_socket(&self) -> bool {
        matches!(self.scheme, Scheme::Ws | Scheme::Wss)
    }

    /// Whether it is on this machine, where no proxy stands between.
    pub(crate) fn is_local(&self) -> bool {
        let name = self.host.rsplit_once(':').map_or(self.host.as_str(), |(name, _)| name);
        self.scheme == Scheme::Ipc || name == "localhost" || name == "[::1]" || name.starts_with("127.")
    }

    /// A text from outside, made fit to be shown: without anything of the address that could be a key, in one line, and short.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut text = text.replace(&self.address, &self.host);
        for secret in self.secrets() {
            text = text.replace(&secret, "…");
        }
        // Any other address is shown as far as its host, too.
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let words = words.map(|word| match word.split_once("://") {
            Some((scheme, rest)) => {
                let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
                format!("{scheme}://{}", authority.rsplit('@').next().unwrap_or_default())
            }
            None => word.to_owned(),
        });
        let mut short: String = words.collect::<Vec<_>>().join(" ").chars().take(LONGEST_SHOWN).collect();
        if short.chars().count() == LONGEST_SHOWN {
            short.push('…');
        }
        short
    }

    /// User and password, where the address has them.
    pub(super) fn user(&self) -> Option<String> {
        let rest = self.address.split_once("://")?.1;
        let authority = rest.split(['/', '?']).next()?;
        authority.rsplit_once('@').map(|(user, _)| percent_decoded(user))
    }

    /// The token, and every part of the address that could be a key, the longest first.
    fn secrets(&self) -> Vec<String> {
        if self.scheme == Scheme::Ipc {
            return vec![self.address.clone()];
        }
        let rest = self.address.split_once("://").map_or("", |(_, rest)| rest);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let mut secrets = vec![path.to_owned()];
        secrets.extend(self.token.clone());
        if let Some((user, _)) = authority.rsplit_once('@') {
            secrets.push(user.to_owned());
            secrets.extend(user.split(':').map(str::to_owned));
        }
        secrets.extend(path.split(['/', '?', '&', '=', ';']).map(str::to_owned));
        let decoded: Vec<String> = secrets.iter().map(|secret| percent_decoded(secret)).collect();
        secrets.extend(decoded);
        // Shorter parts are `v2` or `eth`, which are no keys and would be missed in a message.
        secrets.retain(|secret| secret.len() >= 6);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    /// The address with whatever key is in it: for the transport alone.
    pub(crate) fn address(&self) -> &str {
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

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        let (byte, taken) = match hex {
            Some(byte) if *first == b'%' => (byte, 2),
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &after[taken..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: &[&str] = &["s3cretuser", "hunter2hunter2", "pathkey0123", "querykey0123", "bearerkey0123"];

    #[test]
    fn no_form_of_an_endpoint_shows_a_key() {
        let endpoint = Endpoint::parse(
            "https://s3cretuser:hunter2hunter2@node.example:8545/v2/pathkey0123?token=querykey0123#weight=3",
        )
        .unwrap();
        assert_eq!(endpoint.to_string(), "https://node.example:8545");
        assert_eq!(endpoint.weight(), 3);
        let endpoint = endpoint.with_token("bearerkey0123").unwrap();
        let echo = format!("cannot reach {} (token querykey0123, also pathkey0123, bearerkey0123)", endpoint.address());
        for text in [format!("{endpoint}"), format!("{endpoint:?}"), endpoint.host().to_owned(), endpoint.clean(&echo)]
        {
            for secret in SECRETS {
                assert!(!text.contains(secret), "{text}");
            }
        }
    }

    #[test]
    fn a_key_in_another_spelling_is_hidden_too() {
        let endpoint = Endpoint::parse("https://node.example/%73ecretkey%21").unwrap();
        assert!(!endpoint.clean("no such key: secretkey!").contains("secretkey"));
        let other = "see https://user:password@else.example/hidden?key=hidden for more";
        assert_eq!(endpoint.clean(other), "see https://else.example for more");
        assert_eq!(endpoint.clean("a\u{1b}[31m\nb"), "a [31m b");
        assert!(endpoint.clean(&"x".repeat(10_000)).chars().count() <= LONGEST_SHOWN + 1);
    }

    #[test]
    fn what_is_an_endpoint() {
        for (text, shown) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
            (" HTTPS://Node.Example/x ", "https://node.example"),
            ("ws://[::1]:8546/", "ws://[::1]:8546"),
            ("wss://a:b@node.example?k=v", "wss://node.example"),
            ("/run/geth.ipc", "ipc"),
            ("./geth.ipc#weight=2", "ipc"),
            ("ipc:///run/geth.ipc", "ipc"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let bad =
            ["", "node.example", "ftp://node.example", "https://", "https://user:s3cret/x@node.example", "http://a b"];
        for text in
            bad.iter().chain(&["http://a#weight=0", "http://a#s3cret", "https://nöde.example", "http://u:s3cret\\@h"])
        {
            let message = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_and_not_shown() {
        let endpoint = Endpoint::parse("https://node.example").unwrap();
        for token in ["", "s3cret s3cret", "s3cret\n", "s3crét"] {
            let message = endpoint.clone().with_token(token).unwrap_err().to_string();
            assert!(message.contains("node.example") && !message.contains("s3c"), "{message}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_endpoint_shows_more_than_its_host(user in "[a-z0-9]{8,16}", path in "[A-Z0-9]{8,16}", query in "[a-z0-9]{8,16}") {
            let endpoint = Endpoint::parse(&format!("https://{user}@h.example/{path}?k={query}")).unwrap();
            let shown = format!("{endpoint}{endpoint:?}{}", endpoint.clean(&format!("{user} {path} {query} {}", endpoint.address())));
            for secret in [user, path, query] {
                proptest::prop_assert!(!shown.contains(&secret));
            }
        }
    }
}
