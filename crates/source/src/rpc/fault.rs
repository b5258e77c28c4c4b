//! Why a question was not answered, sorted by what can be done about it.

use std::time::Duration;

use alloy_primitives::Bytes;

use super::json::{self, Malformed};
use super::limits;

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing came, or not whole: it may come the next time.
    Fleeting(String),
    /// Too many questions; how long to wait, if it says.
    Busy(String, Option<Duration>),
    /// What came cannot be the answer.
    Malformed(String),
    /// It does not have the state or the block that was asked about.
    Missing(String),
    /// It says that there is no such thing.
    Null,
    /// It has not got as far as the block that was asked about.
    Behind,
    /// It serves another chain.
    WrongChain(u64),
    /// As many requests were made as are allowed: it was not asked.
    Budget,
    /// A call reverted, with these bytes.
    Reverted(Bytes),
    /// It will not or cannot answer this.
    Refused(String),
    /// The answer is longer than is read, or the node says that it would be.
    Oversized(String),
    /// It takes no batch of this size.
    Batch(String),
}

/// What comes of asking once.
pub(super) type Attempt<T> = std::result::Result<T, Fault>;

/// The error a node sends in place of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: i64,
    pub(super) message: String,
    /// The bytes a call reverted with, where there are any.
    pub(super) data: Option<Bytes>,
    /// How long it asks to be left alone, if it says.
    pub(super) after: Option<Duration>,
}

impl From<Malformed> for Fault {
    fn from(cause: Malformed) -> Self {
        if cause.is_cut() { Self::Fleeting(cause.to_string()) } else { Self::Malformed(cause.to_string()) }
    }
}

/// Longer messages are cut before they are looked at.
const LONGEST: usize = 2_000;

impl Complaint {
    /// Reads the value of `error`, whatever it looks like.
    pub(super) fn read(error: &[u8]) -> Self {
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(error) else {
            return Self { code: 0, message: "an error that is not JSON".to_owned(), ..Self::default() };
        };
        let text = |value: Option<&serde_json::Value>| match value? {
            serde_json::Value::String(text) => Some(text.chars().take(LONGEST).collect::<String>()),
            serde_json::Value::Null => None,
            other @ (serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_)) => Some(other.to_string().chars().take(LONGEST).collect()),
        };
        let code = value.get("code").and_then(|code| code.as_i64().or_else(|| code.as_str()?.parse().ok()));
        let data = value.get("data");
        // Some put the bytes one level deeper, some put a word before them.
        let inner = data.and_then(|data| data.as_str().or_else(|| data.get("data")?.as_str()));
        let bytes = inner.and_then(|text| json::bytes(text.trim().rsplit(' ').next()?));
        let mut message = text(value.get("message")).or_else(|| text(Some(&value))).unwrap_or_default();
        // What a node says about a call, some gateways put into the data alone.
        if let (None, Some(more)) = (&bytes, inner) {
            message = format!("{message}: {}", more.chars().take(LONGEST).collect::<String>());
        }
        Self { code: code.unwrap_or(0), message, data: bytes, after: None }
    }

    /// What it means, where `method` was asked.
    pub(super) fn sort(&self, method: &str) -> Fault {
        let text = self.message.to_ascii_lowercase();
        let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
        if method == "eth_call" && (self.code == 3 || has(REVERTED)) {
            return Fault::Reverted(self.data.clone().unwrap_or_default());
        }
        let message = self.message.clone();
        if has(PRUNED) || has(ABSENT) {
            return Fault::Missing(message);
        }
        if self.code == 429 || limits::says_busy(&text) {
            return Fault::Busy(message, self.after);
        }
        if has(FLEETING) || matches!(self.code, -32603 | -32011 | -32002) {
            return Fault::Fleeting(message);
        }
        if method != "eth_getLogs" && self.code == -32005 {
            return Fault::Busy(message, self.after);
        }
        Fault::Refused(message)
    }

    /// Whether it is about the batch, not about a question in it.
    pub(super) fn is_about_batch(&self) -> bool {
        let text = self.message.to_ascii_lowercase();
        text.contains("batch") || self.code == -32600 || (self.code == -32700 && !limits::says_busy(&text))
    }
}

/// What clients say when a call ends without returning. Running out of gas counts: the node gave it all it gives.
const REVERTED: &[&str] = &[
    "revert",
    "vm exception",
    "vm execution error",
    "invalid opcode",
    "bad instruction",
    "opcode not defined",
    "out of gas",
    "outofgas",
    "stack underflow",
    "stack overflow",
    "stack limit reached",
    "invalid jump",
    "bad jump",
    "invalidjump",
    "write protection",
    "static state change",
    "execution error",
    "execution failed",
];

/// What clients say of state they no longer have.
const PRUNED: &[&str] = &[
    "missing trie node",
    "state not available",
    "state is not available",
    "state unavailable",
    "historical state",
    "state histories haven't been fully indexed",
    "state already been pruned",
    "pruned",
    "pruning",
    "archive",
    "distance to target block exceeds maximum proof window",
    "old data not available",
    "no state available",
    "state recreation",
];

/// What clients say of blocks they do not have, which may still come.
const ABSENT: &[&str] = &[
    "header not found",
    "block not found",
    "unknown block",
    "header for hash not found",
    "could not find block",
    "block is not available",
    "block range extends beyond current head",
    "beyond current head block",
    "after last accepted block",
    "requested block not found",
    "block number out of range",
    "invalid block range",
    "cannot query unfinalized data",
    "one of the blocks specified in filter",
];

const FLEETING: &[&str] = &[
    "timeout",
    "timed out",
    "deadline exceeded",
    "context canceled",
    "internal error",
    "internal server error",
    "server error",
    "temporar",
    "try again",
    "retry",
    "backend",
    "upstream",
    "bad gateway",
    "unavailable",
    "overload",
    "unhealthy",
    "healthy to serve",
    "connection",
    "server is busy",
    "currently syncing",
    "no response",
    "eof",
];

/// The phrases that say a node lacks what was asked about only because it keeps no old state.
pub(super) fn says_pruned(message: &str) -> bool {
    let text = message.to_ascii_lowercase();
    PRUNED.iter().any(|phrase| text.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sort(method: &str, error: &str) -> Fault {
        Complaint::read(error.as_bytes()).sort(method)
    }

    #[test]
    fn a_revert_is_an_answer_however_it_is_worded() {
        for (error, expected) in [
            (r#"{"code":3,"message":"execution reverted: no","data":"0x08c379a0"}"#, "0x08c379a0"),
            (r#"{"code":3,"message":"something new"}"#, "0x"),
            (r#"{"code":-32000,"message":"execution reverted"}"#, "0x"),
            (r#"{"code":-32015,"message":"VM execution error.","data":"Reverted 0x1234"}"#, "0x1234"),
            (r#"{"code":-32015,"message":"VM execution error","data":"revert"}"#, "0x"),
            (r#"{"code":-32000,"message":"invalid opcode: INVALID"}"#, "0x"),
            (r#"{"code":-32000,"message":"out of gas"}"#, "0x"),
            (
                r#"{"code":-32603,"message":"VM Exception while processing transaction: revert","data":{"data":"0xabcd"}}"#,
                "0xabcd",
            ),
        ] {
            let expected = json::bytes(expected).unwrap();
            assert_eq!(sort("eth_call", error), Fault::Reverted(expected), "{error}");
            assert!(!matches!(sort("eth_getLogs", error), Fault::Reverted(_)), "only calls revert: {error}");
        }
    }

    #[test]
    fn what_nodes_lack() {
        for message in [
            "missing trie node 0123 (path ) state 0x45 is not available",
            "header not found",
            "historical state 0x12 is not available",
            "required historical state unavailable (reexec=128)",
            "state is not available",
            "Archive requests require a personal token",
            "block range extends beyond current head block",
        ] {
            let error = serde_json::json!({ "code": -32000, "message": message }).to_string();
            assert!(matches!(sort("eth_call", &error), Fault::Missing(_)), "{message}");
        }
    }

    #[test]
    fn what_passes_and_what_does_not() {
        for (error, expected) in [
            (r#"{"code":429,"message":"hm"}"#, "busy"),
            (r#"{"code":-32005,"message":"daily request count exceeded, request rate limited"}"#, "busy"),
            (r#"{"code":-32007,"message":"50/second request limit reached"}"#, "busy"),
            (r#"{"code":-32603,"message":"hm"}"#, "fleeting"),
            (r#"{"code":-32000,"message":"upstream connect error"}"#, "fleeting"),
            (r#"{"code":-32601,"message":"the method eth_x does not exist"}"#, "refused"),
            (r#"{"code":-32602,"message":"invalid argument 0"}"#, "refused"),
            (r#"{"message":"Must be authenticated!"}"#, "refused"),
            (r#""Unauthorized""#, "refused"),
            ("null", "refused"),
            ("{", "refused"),
        ] {
            #[expect(clippy::wildcard_enum_match_arm, reason = "any other is wrong here")]
            let found = match sort("eth_getBlockByNumber", error) {
                Fault::Busy(..) => "busy",
                Fault::Fleeting(_) => "fleeting",
                Fault::Refused(_) => "refused",
                other => panic!("{error}: {other:?}"),
            };
            assert_eq!(found, expected, "{error}");
        }
    }
}
