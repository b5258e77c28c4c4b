//! What an endpoint hands out at once: read from its refusals, and kept from one run to the next.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use alloy_primitives::{hex, keccak256};
use serde::{Deserialize, Serialize};

/// What an endpoint was found to hand out at most. None where it has not refused yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Blocks in one question for logs.
    pub blocks: Option<u64>,
    /// Addresses in one question for logs.
    pub addresses: Option<u64>,
    /// Topics in one question for logs.
    pub topics: Option<u64>,
    /// Logs in one answer.
    pub results: Option<u64>,
    /// Questions in one batch; one where it takes none.
    pub batch: Option<u64>,
    /// When this was last found, in seconds since 1970.
    pub learned: u64,
}

/// Limits are asked after again when they are older: plans and operators change. In seconds.
const LIFETIME: u64 = 30 * 24 * 60 * 60;

impl Limits {
    /// What is kept of a host in a folder, which may be nothing: these files only save questions, so one that is gone, damaged
    /// or old is as good as none.
    #[must_use]
    pub fn load(folder: &Path, host: &str, now: u64) -> Self {
        let text = std::fs::read(file(folder, host)).unwrap_or_default();
        let kept: Self = serde_json::from_slice(&text).unwrap_or_default();
        let is_young = now.saturating_sub(kept.learned) <= LIFETIME && kept.learned <= now.saturating_add(LIFETIME);
        // A limit of nothing at all would keep everything from being asked.
        let is_sound = [kept.blocks, kept.addresses, kept.topics, kept.batch].iter().all(|limit| *limit != Some(0));
        if is_young && is_sound { kept } else { Self::default() }
    }

    /// Keeps them, under a name that does not show the host.
    ///
    /// # Errors
    /// The file cannot be written; nothing but questions is lost by it.
    pub fn save(&self, folder: &Path, host: &str) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        beside.write_all(&serde_json::to_vec(self)?)?;
        beside.persist(file(folder, host))?;
        Ok(())
    }
}

fn file(folder: &Path, host: &str) -> PathBuf {
    folder.join(format!("{}.json", hex::encode(&keccak256(host)[..8])))
}

/// In what way a question for logs was too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// Too many blocks, whatever is in them: at most so many, if it says.
    Blocks(Option<u64>),
    /// Too many logs or bytes this time; so many blocks from the first on would do.
    Suggested(u64),
    /// Too many logs or bytes: at most so many logs, if it says.
    Results(Option<u64>),
    /// Too many addresses: at most so many, if it says.
    Addresses(Option<u64>),
    /// Too many topics: at most so many, if it says.
    Topics(Option<u64>),
    /// It took too long, or was too much in a way it does not say.
    Unsaid,
}

/// Phrases of endpoints that turn away for the moment. `limit` alone is not among them.
const BUSY: &[&str] = &[
    "rate limit",
    "rate-limit",
    "ratelimit",
    "rate exceeded",
    "too many requests",
    "too many connections",
    "request limit",
    "requests limit",
    "requests per",
    "request rate",
    "request count",
    "call rate",
    "compute units",
    "throughput",
    "capacity exceeded",
    "over capacity",
    "exceeded its",
    "exceeded your",
    "quota",
    "throttl",
    "concurrent requests",
    "slow down",
];

/// Whether an endpoint says that it is asked too often.
pub(super) fn says_busy(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    BUSY.iter().any(|phrase| message.contains(phrase))
}

/// What an endpoint means that refuses the logs of `blocks` blocks from `from` on; none where it is about something else.
pub(super) fn read_refusal(message: &str, from: u64, blocks: u64) -> Option<Excess> {
    let text = without_addresses(&message.to_ascii_lowercase());
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    let is_size = has(&[
        "response size",
        "size exceeded",
        "response too large",
        "response is too",
        "too large response",
        "content length too large",
        "results",
        "too many logs",
        "logs matched",
        "number of logs",
        "logs returned",
        "max logs",
        "result set",
    ]);
    let is_time = has(&["timeout", "timed out", "deadline exceeded", "took too long", "time limit"]);
    if let Some(span) = suggested_span(&text, blocks) {
        // Alchemy's free plan words its fixed limit like a suggestion.
        let is_plan = !is_size && !is_time && text.contains("block range");
        return Some(if is_plan { Excess::Blocks(Some(span)) } else { Excess::Suggested(span) });
    }
    if says_busy(&text) && !has(&["range", "block", "result", "response size"]) {
        return None;
    }
    let is_much = has(&["too many", "exceed", "maximum", "max ", "more than", "less number", "fewer", "limit"]);
    if is_much && has(&["topics", "topic count"]) {
        return Some(Excess::Topics(numbers(&text).into_iter().rfind(|number| *number > 0)));
    }
    if is_much && has(&["addresses", "address count", "address list"]) {
        return Some(Excess::Addresses(numbers(&text).into_iter().rfind(|number| *number > 0)));
    }
    if is_size {
        let is_counted = has(&["results", "logs"]) && !has(&["bytes", "mb", "size"]);
        return Some(Excess::Results(if is_counted { numbers(&text).into_iter().find(|n| *n > 0) } else { None }));
    }
    if is_time {
        return Some(Excess::Unsaid);
    }
    if has(&["range", "blocks", "distance", "query must be smaller"]) && (is_much || is_wide(&text)) {
        return Some(Excess::Blocks(limit_among(&text, from, blocks)));
    }
    if has(&["no backend", "healthy to serve", "limit exceeded", "query limit", "too large", "too big", "too wide"]) {
        return Some(Excess::Unsaid);
    }
    None
}

fn is_wide(text: &str) -> bool {
    ["too wide", "too large", "too big", "too long", "greater than", "larger than", "limited to", "up to", "at most"]
        .iter()
        .chain(&["not supported", "over ", "max", "> ", "allowed", "smaller than", "must be"])
        .any(|phrase| text.contains(phrase))
}

/// The limit among the numbers of a refusal: the last one that the question went beyond and that is no block it asked for.
fn limit_among(text: &str, from: u64, blocks: u64) -> Option<u64> {
    let last = from.saturating_add(blocks.saturating_sub(1));
    let is_limit = |number: &u64| (1..=blocks).contains(number) && *number != from && *number != last;
    let candidates: Vec<u64> = numbers(text).into_iter().filter(is_limit).collect();
    // Where it also says how many were asked for, the limit is the smaller.
    let without_asked = candidates.iter().rev().find(|number| **number < blocks.saturating_sub(1));
    without_asked.or(candidates.last()).copied()
}

/// How many blocks a range has that the refusal offers: `[0x1, 0x7d0]`, or `the range 1-2000`.
fn suggested_span(text: &str, blocks: u64) -> Option<u64> {
    let offered = ["should work: [", "try with this block range [", "try with block range [", "retry with the range "]
        .iter()
        .find_map(|phrase| text.find(phrase).map(|at| &text[at + phrase.len()..]))?;
    let mut ends = offered.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut end = || {
        let word = ends.next()?;
        word.strip_prefix("0x").map_or_else(|| word.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
    };
    let (first, last): (u64, u64) = (end()?, end()?);
    let span = last.checked_sub(first)?.checked_add(1)?;
    // An offer of everything that was just refused is none.
    (span < blocks).then_some(span)
}

/// Addresses of pages can have numbers in them that mean nothing.
fn without_addresses(text: &str) -> String {
    text.split_whitespace().filter(|word| !word.contains("://")).collect::<Vec<_>>().join(" ")
}

/// All numbers of a text: `10,000`, `10000`, `10k`, `2.5k`; not those that are part of a word.
fn numbers(text: &str) -> Vec<u64> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == ',' || c == '.' || c == '_';
    text.split(|c: char| !is_part(c)).filter_map(|word| number(word.trim_matches([',', '.']))).collect()
}

fn number(word: &str) -> Option<u64> {
    let (digits, thousands) = match word.strip_suffix('k') {
        Some(digits) => (digits, 1_000),
        None => (word, 1),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain: String = digits.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    match plain.split_once('.') {
        // `2.5k` is a fraction, `10.000` is how some write ten thousand.
        Some((whole, tenths)) if thousands > 1 && tenths.len() == 1 => {
            Some(whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(tenths.parse::<u64>().ok()? * 100)?)
        }
        Some((whole, rest)) if rest.len() == 3 => format!("{whole}{rest}").parse().ok(),
        Some(_) => None,
        None => plain.parse::<u64>().ok()?.checked_mul(thousands),
    }
}

/// The size of batch an endpoint takes, from its refusal of one: none where it does not say.
pub(super) fn batch_limit(message: &str, asked: u64) -> Option<u64> {
    let text = without_addresses(&message.to_ascii_lowercase());
    numbers(&text).into_iter().rfind(|number| (1..asked).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What endpoints were seen to say, and what it means where 5,000,000 blocks from 1,000,000 on were asked for.
    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn refusals_of_known_endpoints() {
        use Excess::{Addresses, Blocks, Results, Suggested, Topics, Unsaid};
        for (message, expected) in [
            (
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size, or you can request any block range with a cap of 10K logs in the response. Based on your parameters and the response size limit, this block range should work: [0xf4240, 0xf4a0f]",
                Some(Suggested(2_000)),
            ),
            (
                "Query timeout exceeded. Consider reducing your block range. Based on your parameters and the response size limit, this block range should work: [0xf4240, 0xf4243]",
                Some(Suggested(4)),
            ),
            (
                "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your parameters, this block range should work: [0xf4240, 0xf4249]. Upgrade to PAYG for expanded block range.",
                Some(Blocks(Some(10))),
            ),
            (
                "query returned more than 10000 results. Try with this block range [0xF4240, 0xF4304].",
                Some(Suggested(197)),
            ),
            ("query returned more than 10000 results", Some(Results(Some(10_000)))),
            ("query exceeds max results 20000, retry with the range 1000000-1000999", Some(Suggested(1_000))),
            ("query exceeds max results 20000", Some(Results(Some(20_000)))),
            ("eth_getLogs is limited to a 10,000 range", Some(Blocks(Some(10_000)))),
            ("eth_getLogs and eth_newFilter are limited to a 10,000 blocks range", Some(Blocks(Some(10_000)))),
            (
                "eth_getLogs is limited to 1024 block range. Please check the parameter requirements at https://docs.example/limits-500",
                Some(Blocks(Some(1_024))),
            ),
            ("block range is too wide", Some(Blocks(None))),
            ("block range is too wide (maximum 1024)", Some(Blocks(Some(1_024)))),
            ("exceed maximum block range: 50000", Some(Blocks(Some(50_000)))),
            ("ranges over 10000 blocks are not supported on freetier", Some(Blocks(Some(10_000)))),
            ("requested too many blocks from 1000000 to 5999999, maximum is set to 2048", Some(Blocks(Some(2_048)))),
            ("query exceeds max block range 100000", Some(Blocks(Some(100_000)))),
            (
                "Block range limit exceeded. See more details at https://docs.example.com/docs/limits#evm-range-limits",
                Some(Blocks(None)),
            ),
            ("limit exceeded", Some(Unsaid)),
            ("query timeout exceeded", Some(Unsaid)),
            ("context deadline exceeded", Some(Unsaid)),
            ("no backends available for method", Some(Unsaid)),
            ("no backend is currently healthy to serve traffic", Some(Unsaid)),
            ("backend response too large", Some(Results(None))),
            ("Response size is larger than 150MB limit", Some(Results(None))),
            ("response size should not greater than 10000000 bytes", Some(Results(None))),
            ("logs matched by query exceeds limit of 10000", Some(Results(Some(10_000)))),
            ("Block range is too large", Some(Blocks(None))),
            ("block range too large, range: 5000000, max: 2000", Some(Blocks(Some(2_000)))),
            ("Max range: 800", Some(Blocks(Some(800)))),
            ("Maximum allowed number of requested blocks is 3500", Some(Blocks(Some(3_500)))),
            ("exceeds the range allowed for your plan (5000000 > 500)", Some(Blocks(Some(500)))),
            ("please limit the query to at most 1,000 blocks", Some(Blocks(Some(1_000)))),
            ("block range greater than 20000 max", Some(Blocks(Some(20_000)))),
            ("block range exceeds 1000", Some(Blocks(Some(1_000)))),
            ("eth_getLogs range is too large, max is 10k blocks", Some(Blocks(Some(10_000)))),
            ("query must be smaller than size 1024", Some(Blocks(Some(1_024)))),
            ("invalid block range params: maximum [from, to] blocks distance: 10000", Some(Blocks(Some(10_000)))),
            ("eth_getLogs requests with up to a 5,000 block range are allowed", Some(Blocks(Some(5_000)))),
            ("Block range limit exceeded: 5000000 blocks requested, 500 allowed", Some(Blocks(Some(500)))),
            ("exceed max addresses", Some(Addresses(None))),
            ("Please specify less number of addresses. Maximum is 1000", Some(Addresses(Some(1_000)))),
            ("exceed max topics", Some(Topics(None))),
            ("too many topics, at most 4", Some(Topics(Some(4)))),
            ("Your app has exceeded its compute units per second capacity", None),
            ("rate limit exceeded", None),
            ("25/second request limit reached", None),
            ("Please specify an address in your request or, to remove restrictions, order a dedicated full node", None),
            ("missing trie node", None),
            ("execution reverted", None),
            ("", None),
        ] {
            assert_eq!(read_refusal(message, 1_000_000, 5_000_000), expected, "{message}");
        }
    }

    #[test]
    fn an_offer_of_what_was_refused_is_none() {
        let message = "query returned more than 10000 results. Try with this block range [0x64, 0x64].";
        assert_eq!(read_refusal(message, 100, 1), Some(Excess::Results(Some(10_000))));
        let backwards = "this block range should work: [0x64, 0x10]";
        assert_ne!(read_refusal(backwards, 100, 10), Some(Excess::Suggested(0)));
    }

    #[test]
    fn batches_are_refused_with_a_number_or_without() {
        let drpc = "Batch of more than 3 requests are not allowed on free tier";
        assert_eq!(batch_limit(drpc, 100), Some(3));
        assert_eq!(batch_limit("batch too large", 100), None);
        assert_eq!(batch_limit("batch size 100 exceeds maximum of 50", 100), Some(50));
    }

    #[test]
    fn what_was_learned_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { blocks: Some(10_000), batch: Some(3), learned: 1_000, ..Limits::default() };
        limits.save(folder.path(), "node.example").unwrap();
        assert_eq!(Limits::load(folder.path(), "node.example", 2_000), limits);
        assert_eq!(Limits::load(folder.path(), "node.example", 1_000 + LIFETIME + 1), Limits::default(), "too old");
        assert_eq!(Limits::load(folder.path(), "other.example", 2_000), Limits::default());
        std::fs::write(file(folder.path(), "node.example"), "{\"blocks\":").unwrap();
        assert_eq!(Limits::load(folder.path(), "node.example", 2_000), Limits::default(), "damaged");
        std::fs::write(file(folder.path(), "node.example"), "{\"blocks\":0,\"learned\":1000}").unwrap();
        assert_eq!(Limits::load(folder.path(), "node.example", 2_000), Limits::default(), "nothing at all");
    }

    proptest::proptest! {
        #[test]
        fn no_refusal_is_too_strange(message in "[a-z0-9 ,.:\\[\\]x-]{0,60}", from: u64, blocks in 1..u64::MAX) {
            if let Some(Excess::Blocks(Some(most)) | Excess::Suggested(most)) = read_refusal(&message, from, blocks) {
                proptest::prop_assert!((1..=blocks).contains(&most));
            }
            let _ = read_refusal(&format!("this block range should work: [{message}"), from, blocks);
        }
    }
}
