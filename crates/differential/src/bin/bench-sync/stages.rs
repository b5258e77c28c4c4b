//! What each stage of reading a node costs alone, and what merely going over the same bytes costs.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, ensure};
use protocol::aave::Revision;
use serde::de::IgnoredAny;
use source::archive::logs::{LogsFile, end_note};
use source::archive::{Archive, MarketName, Writer};
use source::decode;
use source::log::{Filter, Logs};
use source::rpc::parse_logs;

use crate::node::Text;
use crate::{cpu_seconds, heading, life, line, thread_seconds};

const RUNS: usize = 5;

/// Logs in one answer.
const LOGS: usize = 5_000;

/// The stages, in thousands of logs a CPU-second; `raw` is what the whole way to files does, 0 where that is unknown.
pub(crate) fn report(folder: &Path, accounts: u32, count: usize, raw: f64) -> Result<()> {
    let text = Text::of(Revision::V3_0_2, accounts, count)?;
    // Whole blocks are written, so there may be a few more than were asked for.
    let (last_block, lists, count) = (text.last_block, text.lists(LOGS), text.len());
    let bytes: usize = lists.iter().map(Vec::len).sum();
    drop(text);
    let rate = |work: &mut dyn FnMut() -> Result<()>| rate_by(thread_seconds, count, work);
    let scan = rate(&mut || {
        for list in &lists {
            black_box(list.iter().filter(|byte| **byte == b'"').count());
        }
        Ok(())
    })?;
    let ignored = rate(&mut || {
        for list in &lists {
            black_box(serde_json::from_slice::<IgnoredAny>(list)?);
        }
        Ok(())
    })?;
    let mut logs = Logs::default();
    let parsed = rate(&mut || {
        logs.clear();
        for list in &lists {
            parse_logs(list, &mut logs).map_err(|cause| anyhow!("{cause}"))?;
        }
        Ok(())
    })?;
    ensure!(logs.len() == count, "every log is read");
    let written = writing(folder, &logs, last_block)?;
    let decoded = rate(&mut || {
        for log in logs.iter() {
            black_box(decode::statement(&log)?);
        }
        Ok(())
    })?;
    let size = bytes as f64 / count as f64;
    heading(&format!(
        "\neach stage alone, on one thread: {count} logs, {size:.0} bytes of JSON each (CPU time, best of {RUNS})"
    ));
    let beside =
        |rate: f64, of: f64, what: &str| format!("{:>6.0} MB/s of JSON; {:.2} of {what}", rate * size / 1e3, rate / of);
    line("the bytes passed over, quotes counted (floor: memory)", scan, "k/s", &beside(scan, scan, "itself"));
    line(
        "JSON checked by serde_json, nothing kept (floor: JSON)",
        ignored,
        "k/s",
        &beside(ignored, scan, "the memory floor"),
    );
    line("JSON read as logs, everything kept", parsed, "k/s", &beside(parsed, ignored, "the JSON floor"));
    line("written as Parquet", written, "k/s", "");
    line("decoded", decoded, "k/s", "");
    if raw > 0.0 {
        line("for comparison: all of it, from the node to files", raw, "k/s", &beside(raw, ignored, "the JSON floor"));
    }
    Ok(())
}

/// Thousands of logs a CPU-second that become Parquet.
fn writing(folder: &Path, logs: &Logs, last_block: u64) -> Result<f64> {
    let archive = Archive::at(folder)?;
    let writer = Writer::open(&archive)?;
    let filter = Filter { addresses: life::writers().into_iter().collect(), topics: decode::topics() };
    let mut round = 0;
    // Another thread encodes.
    let written = rate_by(cpu_seconds, logs.len(), &mut || {
        round += 1;
        let market = MarketName::new(&format!("bench-{round}"))?;
        let mut file = LogsFile::create(&writer, &market, life::CHAIN, &filter, life::FIRST_BLOCK)?;
        file.append(logs)?;
        file.publish(last_block, life::block_hash(last_block), end_note(life::time(last_block)))?;
        Ok(())
    })?;
    std::fs::remove_dir_all(folder).context("the archive stays")?;
    Ok(written)
}

/// Thousands of logs a second by a clock, of so many; the best run counts.
fn rate_by(clock: fn() -> f64, count: usize, work: &mut dyn FnMut() -> Result<()>) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..RUNS {
        let begin = clock();
        work()?;
        best = best.min(clock() - begin);
    }
    Ok(count as f64 / best / 1e3)
}
