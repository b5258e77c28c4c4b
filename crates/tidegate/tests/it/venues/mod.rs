//! The program among venues that behave, and that do not: all four answer in the formats they document, on this machine.

mod asked;
mod kept;
mod listened;
mod rules;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::local::answers::answer;
use crate::local::{Act, Server};
use crate::support::{Bed, table};

/// Every venue that is asked.
const VENUES: [&str; 5] = ["binance-usdm", "binance-coinm", "bybit", "okx", "hyperliquid"];

/// Venues on this machine.
struct Venues {
    server: Server,
    // Ends after the server that runs on it.
    runtime: Runtime,
}

impl Venues {
    fn start(script: impl Fn(&str, usize) -> Act + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = runtime.block_on(Server::start(script));
        Self { server, runtime }
    }

    /// They say what they document.
    fn fair() -> Self {
        Self::start(|question, _| Act::Say(answer(question).to_string()))
    }

    /// They do, but one of them acts otherwise when asked something that holds a text.
    fn but(
        venue: &'static str,
        part: &'static str,
        act: impl Fn(usize, String) -> Act + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |question, before| {
            let fair = answer(question).to_string();
            if whose(question) == venue && question.contains(part) { act(before, fair) } else { Act::Say(fair) }
        })
    }

    /// The same with a reply that is changed.
    fn changed(venue: &'static str, part: &'static str, change: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::but(venue, part, move |_, fair| {
            let mut value = serde_json::from_str(&fair).unwrap();
            change(&mut value);
            Act::Say(value.to_string())
        })
    }

    /// A command about these venues, asked here.
    fn args(&self, command: &[&str], venues: &[&str]) -> Vec<String> {
        let mut args: Vec<String> = command.iter().map(|text| (*text).to_owned()).collect();
        args.extend(["--live", "--window", "3d", "--venue"].map(str::to_owned));
        args.push(venues.join(","));
        for venue in venues {
            args.extend(["--rest-url".to_owned(), format!("{venue}={}", self.server.url)]);
        }
        args
    }

    /// The report of a command about these venues.
    fn report(&self, bed: &Bed, command: &[&str], venues: &[&str]) -> Value {
        let args = self.args(command, venues);
        bed.json(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// Which venue a question is put to.
fn whose(question: &str) -> &'static str {
    let begins = |text: &str| question.starts_with(text);
    match () {
        () if begins("/fapi") => "binance-usdm",
        () if begins("/dapi") => "binance-coinm",
        () if begins("/futures/data") => {
            if question.contains("pair=") {
                "binance-coinm"
            } else {
                "binance-usdm"
            }
        }
        () if begins("/v5") => "bybit",
        () if begins("/api/v5") => "okx",
        () => "hyperliquid",
    }
}

fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

/// The rows of the contracts of a report, by their source.
fn contract<'a>(report: &'a Value, source: &str) -> Option<&'a Value> {
    table(report, "contracts").iter().find(|row| row["source"] == source)
}

fn notes(report: &Value) -> String {
    report["notes"].as_array().unwrap().iter().map(|note| format!("{}\n", note.as_str().unwrap())).collect()
}

fn says(report: &Value, all: &[&str], what: &str) {
    let notes = notes(report);
    for said in all {
        assert!(notes.contains(said), "{what}: no {said:?} in {notes}");
    }
}

/// What each venue tells, as the program shows it: source, mark, coins of one side, dollars, as told, which sides, funding and its hours.
type Told = (&'static str, f64, &'static str, f64, &'static str, &'static str, f64, u64);

const UNSTATED: &str = "not stated, taken for one side";

const TOLD: [Told; 5] = [
    ("binance-usdm BTCUSDT", 60_000.0, "1000", 60e6, "1000 coins", UNSTATED, 0.0001, 4),
    (
        "binance-coinm BTCUSD_PERP",
        60_050.0,
        "24.985845129059117402",
        1_500_400.0,
        "15004 contracts",
        UNSTATED,
        0.0002,
        8,
    ),
    ("bybit BTCUSDT", 60_010.0, "42.25", 2_535_422.5, "84.5 coins", "both sides, halved", 0.00011, 8),
    ("okx BTC-USDT-SWAP", 59_990.0, "330", 19_796_700.0, "33000 contracts", UNSTATED, 0.00012, 8),
    ("hyperliquid BTC", 60_020.0, "688.11", 41_300_362.2, "688.11 coins", UNSTATED, 0.000_012_5, 1),
];

/// The report has what a venue told, and nothing else of it.
fn has_all(report: &Value, (source, mark, coins, usd, as_told, counts, funding, hours): &Told) {
    let row = contract(report, source).unwrap_or_else(|| panic!("no {source} in {report}"));
    assert_eq!((number(&row["mark"]), number(&row["open_interest_usd"])), (*mark, *usd), "{row}");
    assert_eq!(row["open_interest_coins"], json!(coins), "{row}");
    assert_eq!((row["as_told"].as_str(), row["counts"].as_str()), (Some(*as_told), Some(*counts)), "{row}");
    assert_eq!((number(&row["funding"]), row["funding_hours"].as_u64()), (*funding, Some(*hours)), "{row}");
    assert_eq!(row["standing"], "observed", "{row}");
}

const MAP: [&str; 4] = ["map", "BTC", "--step", "5%"];
const LEVERAGE: [&str; 2] = ["leverage", "BTC"];
