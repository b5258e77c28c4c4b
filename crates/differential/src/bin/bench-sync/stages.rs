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
use crate::{cpu_seconds, heading, life, line};

const RUNS: usize = 3;

/// Logs in one answer.
const LOGS: usize = 5_000;

/// The stages, in thousands of logs a CPU-second.
pub(crate) fn report(folder: &Path, accounts: u32, count: usize) -> Result<()> {
    let text = Text::of(Revision::V3_0_2, accounts, count)?;
    // Whole blocks are written, so there may be a few more than were asked for.
    let (last_block, lists, count) = (text.last_block, text.lists(LOGS), text.len());
    let bytes: usize = lists.iter().map(Vec::len).sum();
    drop(text);
    let rate = |work: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            let begin = cpu_seconds();
            work()?;
            best = best.min(cpu_seconds() - begin);
        }
        Ok(count as f64 / best / 1e3)
    };
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
    let archive = Archive::at(folder)?;
    let writer = Writer::open(&archive)?;
    let filter = Filter { addresses: life::writers().into_iter().collect(), topics: decode::topics() };
    let mut round = 0;
    let written = rate(&mut || {
        round += 1;
        let market = MarketName::new(&format!("bench-{round}"))?;
        let mut file = LogsFile::create(&writer, &market, life::CHAIN, &filter, life::FIRST_BLOCK)?;
        file.append(&logs)?;
        file.publish(last_block, life::block_hash(last_block), end_note(life::time(last_block)))?;
        Ok(())
    })?;
    std::fs::remove_dir_all(folder).context("the archive stays")?;
    let decoded = rate(&mut || {
        for log in logs.iter() {
            black_box(decode::statement(&log)?);
        }
        Ok(())
    })?;
    heading(&format!(
        "\neach stage alone: {count} logs, {} bytes of JSON each (CPU time, best of {RUNS}), thousands a second",
        bytes / count
    ));
    line("quotes counted (floor: memory)", scan, "k/s", "");
    line("JSON checked by serde_json, nothing kept (floor)", ignored, "k/s", "");
    line("read as logs", parsed, "k/s", &format!("{:.2} of the floor", parsed / ignored));
    line("written as Parquet", written, "k/s", "");
    line("decoded", decoded, "k/s", "");
    Ok(())
}
