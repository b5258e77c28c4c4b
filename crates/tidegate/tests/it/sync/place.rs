//! An archive of one market, and the program working on it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use alloy_primitives::Address;
use differential::anvil;
use differential::artifacts::{self, Artifacts};
use differential::chain::Chain;
use source::archive::coverage::Coverage;
use source::archive::reads::{Answer, ReadKey, Reads};
use source::archive::{Archive, LogReader, MarketName, Table};
use source::log::Logs;

use crate::support::{Bed, Ran};

/// Contracts and a node to put them on, or none and a word about it.
pub(super) fn parts() -> Option<(Artifacts, PathBuf)> {
    let (Some(artifacts), Some(binary)) = (artifacts::find().unwrap(), anvil::find()) else {
        println!(
            "skipped: no contracts or no anvil are installed; `cargo xtask test` installs them where they are offered"
        );
        return None;
    };
    Some((artifacts, binary))
}

/// The market, as every test calls it.
pub(super) fn market() -> MarketName {
    MarketName::new("m").unwrap()
}

/// An archive for a market on a node.
pub(super) struct Place {
    pub(super) bed: Bed,
    /// Where the node is asked.
    pub(super) url: String,
    provider: Address,
    /// A chain that looks for new blocks as often as it can.
    markets: PathBuf,
}

impl Place {
    pub(super) fn new(chain: &mut Chain) -> Self {
        let url = chain.url().unwrap();
        Self::at(url, chain.market.provider)
    }

    pub(super) fn at(url: String, provider: Address) -> Self {
        let bed = Bed::new();
        let markets = bed.file("markets.toml", "[[chain]]\nid = 31337\nblock_ms = 1\n");
        Self { bed, url, provider, markets }
    }

    /// The command `sync`.
    pub(super) fn command(&self, more: &[&str]) -> std::process::Command {
        let provider = self.provider.to_string();
        let markets = self.markets.display().to_string();
        let mut args = vec!["sync", "--market", "m", "--chain", "31337", "--provider", &provider, "--rpc", &self.url];
        args.extend(["--markets", &markets]);
        args.extend(more);
        self.bed.command(&args)
    }

    pub(super) fn try_sync(&self, more: &[&str]) -> Ran {
        Ran::of(self.command(more))
    }

    pub(super) fn sync(&self, more: &[&str]) -> Ran {
        let ran = self.try_sync(more);
        assert_eq!(ran.code, Some(0), "{more:?}: {ran:?}");
        ran
    }

    /// Compares everything with the chain by every means the program has.
    pub(super) fn verify(&self) {
        let ran = self.verified("state,receipts,bloom,second", &self.url);
        assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    }

    pub(super) fn verified(&self, levels: &str, url: &str) -> Ran {
        self.bed.run(&[
            "verify",
            "--rpc",
            url,
            "--accounts",
            "all",
            "--blocks",
            "all",
            "--level",
            levels,
            "--format",
            "json",
        ])
    }

    pub(super) fn archive(&self) -> Archive {
        Archive::at(self.bed.archive()).unwrap()
    }

    /// Every finished log.
    pub(super) fn logs(&self) -> Logs {
        let mut reader = LogReader::open(&self.archive(), &market(), 0, None).unwrap();
        let mut logs = Logs::default();
        while let Some(log) = reader.next_log().unwrap() {
            logs.push(&log);
        }
        logs
    }

    /// Which logs the finished files say they hold.
    pub(super) fn coverage(&self) -> Coverage {
        Coverage::of(&self.archive().market_files(&market(), Table::Logs).unwrap()).unwrap()
    }

    /// Every kept answer.
    pub(super) fn reads(&self) -> BTreeMap<ReadKey, Answer> {
        let reads = Reads::load(&self.archive(), &market(), 0, u64::MAX).unwrap();
        reads.iter().map(|(key, answered)| (key.clone(), answered.answer.clone())).collect()
    }

    /// What the program says of everybody at a block, as it says it.
    pub(super) fn positions(&self, block: u64, accounts: &[Address]) -> String {
        let block = block.to_string();
        let mut said = String::new();
        let all = ["positions", "--top", "0", "--format", "json", "--block", &block];
        let ran = self.bed.run(&all);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        said += &ran.out;
        for account in accounts {
            let account = account.to_string();
            let ran = self.bed.run(&["positions", "--account", &account, "--format", "json", "--block", &block]);
            said += &ran.out;
            said += &ran.err;
        }
        said
    }
}
