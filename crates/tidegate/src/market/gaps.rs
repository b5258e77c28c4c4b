//! What the fold asks for when logs do not say it: which questions to put to the chain, and what the answers tell.

use std::sync::Arc;

use alloy_primitives::Bytes;
use anyhow::{Context as _, bail};
use engine::book::view::Want;
use engine::book::{Gap, View};
use protocol::aave::Revision;
use protocol::aave::config::{EMode, ReserveSet};
use protocol::aave::log::{Anchor, Statement, Transfers};
use protocol::aave::reserve::StableDebt;
use protocol::aave::revision::EModeRule;
use protocol::event::Event;
use protocol::liquidation::Version;
use protocol::{Address, B256, U256};
use source::archive::reads::{Answer, ReadKey, Reads};
use source::decode::{self, reads};
use source::log::Log;
use source::proof::receipt;

/// The revision of a supply token's code, and of a debt token's.
const TOKEN_REVISIONS: [&str; 2] = ["ATOKEN_REVISION()", "DEBT_TOKEN_REVISION()"];

/// Stands in front of a transaction's hash in the key of its receipt, which is no call.
const RECEIPT: &[u8] = b"eth_getTransactionReceipt";

/// How a gap is filled.
pub(super) enum Filling {
    /// With these events.
    Events(Vec<Event>),
    /// Once these questions are answered.
    Ask(Vec<ReadKey>),
}

/// What surrounds a gap.
pub(super) struct Around<'a> {
    pub(super) source: &'a Arc<str>,
    pub(super) version: Version,
    pub(super) view: &'a View,
    pub(super) known: &'a Reads,
    pub(super) place: Place,
}

/// The log before which there is a gap.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) block: u64,
    /// The block's time in seconds.
    pub(super) time: u64,
    pub(super) block_hash: B256,
    pub(super) transaction: B256,
}

impl Place {
    pub(super) fn of(log: &Log<'_>) -> Self {
        Self { block: log.block, time: log.time, block_hash: log.block_hash, transaction: log.transaction }
    }

    /// Behind all logs of a block.
    pub(super) fn end_of(block: u64, time: u64) -> Self {
        Self { block, time, block_hash: B256::ZERO, transaction: B256::ZERO }
    }
}

/// A question that is a receipt, and of which transaction.
pub(super) fn receipt_of(key: &ReadKey) -> Option<B256> {
    key.data.strip_prefix(RECEIPT).filter(|hash| hash.len() == 32).map(B256::from_slice)
}

impl Around<'_> {
    /// Fills a gap from what is known, or says what to ask.
    pub(super) fn fill(&self, gap: &Gap) -> anyhow::Result<Filling> {
        match gap {
            Gap::UnknownRevision { implementation, block, .. } => self.revision(*implementation, *block),
            Gap::UnknownTransfers { token, block, .. } => self.transfers(*token, *block),
            Gap::Unanchored { asset, block } => self.anchor(*asset, *block),
            Gap::UnanchoredEMode { category, block } => self.e_mode(*category, *block),
            Gap::StrandedStableDebt { asset, account, block } => self.stranded(*asset, *account, *block),
            Gap::OutOfOrder { .. }
            | Gap::UnknownContract { .. }
            | Gap::UnknownAsset { .. }
            | Gap::Negative { .. }
            | Gap::Contradiction { .. }
            | Gap::TooLarge { .. }
            | Gap::Arithmetic { .. }
            | Gap::TooManyReserves { .. } => bail!("{gap}"),
        }
    }

    /// What is wanted before anything is valued at the end of a block.
    pub(super) fn wanted(&self, want: Want, block: u64) -> anyhow::Result<Filling> {
        match want {
            Want::Configuration(asset) => {
                let key = self.of_pool(block, reads::CONFIGURATION, &[reads::word(asset)])?;
                self.with(vec![key], |answers| {
                    let anchor = Anchor {
                        asset,
                        configuration: Some(reads::number(answers[0])?),
                        indexes: None,
                        stable: None,
                        deficit: None,
                        accrued_to_treasury: None,
                    };
                    Ok(vec![self.event(block, self.pool()?, Statement::Anchored(Box::new(anchor)))?])
                })
            }
            Want::Balance { token, account } => {
                let key = self.key(block, token, reads::SCALED_BALANCE, &[reads::word(account)]);
                self.with(vec![key], |answers| {
                    let scaled = reads::number(answers[0])?;
                    Ok(vec![self.event(block, token, Statement::BalanceRead { account, scaled })?])
                })
            }
        }
    }

    fn key(&self, block: u64, target: Address, signature: &str, arguments: &[U256]) -> ReadKey {
        ReadKey { block, target, data: reads::call(signature, arguments) }
    }

    fn pool(&self) -> anyhow::Result<Address> {
        self.view.pool().context("no log names the market's pool; read its logs from the first block")
    }

    fn of_pool(&self, block: u64, signature: &str, arguments: &[U256]) -> anyhow::Result<ReadKey> {
        Ok(self.key(block, self.pool()?, signature, arguments))
    }

    fn event(&self, block: u64, by: Address, statement: Statement) -> anyhow::Result<Event> {
        Ok(decode::answer(self.source, block, self.place.time, by, statement)?)
    }

    /// The events that answers tell, once all of them are there and none is a revert.
    fn with(
        &self,
        keys: Vec<ReadKey>,
        tell: impl FnOnce(&[&[u8]]) -> anyhow::Result<Vec<Event>>,
    ) -> anyhow::Result<Filling> {
        let mut answers: Vec<&[u8]> = Vec::with_capacity(keys.len());
        for key in &keys {
            match self.known.get(key) {
                None => return Ok(Filling::Ask(keys)),
                Some(Answer::Returned(bytes)) => answers.push(bytes),
                Some(Answer::Reverted(_)) => {
                    let data = key.data.get(..4).unwrap_or_default();
                    bail!(
                        "block {}: {} refused a call ({}) that its revision has; its code is none that is known",
                        key.block,
                        key.target,
                        crate::text::hex(data)
                    )
                }
            }
        }
        tell(&answers).map(Filling::Events)
    }

    /// Which code an implementation is: a pool or a token says so by a number.
    fn revision(&self, implementation: Address, block: u64) -> anyhow::Result<Filling> {
        let names = [reads::POOL_REVISION, reads::V2_REVISION, TOKEN_REVISIONS[0], TOKEN_REVISIONS[1]];
        let keys: Vec<ReadKey> = names.map(|name| self.key(block, implementation, name, &[])).into();
        if keys.iter().any(|key| self.known.get(key).is_none()) {
            return Ok(Filling::Ask(keys));
        }
        let number = |place: usize| match self.known.get(&keys[place]) {
            Some(Answer::Returned(bytes)) => reads::number(bytes).ok(),
            Some(Answer::Reverted(_)) | None => None,
        };
        let of_pool = number(0).map(|number| (number, reads::revision_v3(number)));
        let of_v2 = number(1).map(|number| (number, Some(Revision::V2)));
        let of_token = number(2).or(number(3)).map(|number| (number, token_revision(self.version, number)));
        let Some((number, revision)) = of_pool.or(of_v2).or(of_token) else {
            bail!("block {block}: {implementation} does not say which revision it is; positions cannot be told exactly")
        };
        let revision = revision.with_context(|| {
            format!(
                "block {block}: {implementation} is revision {number}, which this program does not know; logs and \
                 liquidations are kept, positions cannot be told exactly"
            )
        })?;
        let statement = Statement::Runs { implementation, revision, transfers: None };
        Ok(Filling::Events(vec![self.event(block, implementation, statement)?]))
    }

    /// How a supply token writes transfers: its transaction's receipt shows both ways beside each other.
    fn transfers(&self, token: Address, block: u64) -> anyhow::Result<Filling> {
        let data: Bytes = [RECEIPT, self.place.transaction.as_slice()].concat().into();
        self.with(vec![ReadKey { block, target: token, data }], |answers| {
            let transfers = self.read_transfers(token, block, answers[0])?;
            Ok(vec![self.event(block, token, Statement::Writes { transfers })?])
        })
    }

    fn read_transfers(&self, token: Address, block: u64, receipt: &[u8]) -> anyhow::Result<Transfers> {
        let json = std::str::from_utf8(receipt).context("a receipt is no text")?;
        let receipt =
            receipt::parse(json, self.place.block_hash).map_err(|malformed| anyhow::anyhow!("{malformed}"))?;
        let receipt =
            receipt.with_context(|| format!("block {block}: the node has no receipt of {}", self.place.transaction))?;
        let log = |log: &'_ receipt::ReceiptLog| (log.address, log.topics.clone(), log.data.clone());
        let logs: Vec<_> = receipt.logs.iter().map(log).collect();
        let logs = logs.iter().map(|(address, topics, data)| Log {
            block,
            block_hash: self.place.block_hash,
            time: self.place.time,
            transaction: self.place.transaction,
            transaction_index: 0,
            log_index: 0,
            address: *address,
            topics,
            data,
        });
        reads::transfers(token, logs)
            .with_context(|| format!("block {block}: the receipt shows no transfer of {token}"))
    }

    /// A reserve's state after an upgrade. All reserves are asked for at once: each of them is a gap of its own.
    fn anchor(&self, asset: Address, block: u64) -> anyhow::Result<Filling> {
        let revision = self.view.revision().context("no log names the pool's code")?;
        let mut all = Vec::new();
        for listed in self.view.listed().iter().filter(|listed| !listed.is_dropped) {
            all.extend(self.anchor_keys(listed.contracts.asset, listed.contracts.stable, revision, block)?);
        }
        let listed = self.view.listed().iter().find(|listed| listed.contracts.asset == asset);
        let stable = listed.map_or(Address::ZERO, |listed| listed.contracts.stable);
        let own = self.anchor_keys(asset, stable, revision, block)?;
        if own.iter().any(|key| self.known.get(key).is_none()) {
            return Ok(Filling::Ask(all));
        }
        self.with(own, |answers| {
            let mut anchor = reads::anchor(revision, asset, answers[0], answers[1])?;
            let mut rest = answers[2..].iter();
            if revision.rules().stable_debt {
                anchor.stable = rest.next().map(|answer| reads::stable_totals(answer)).transpose()?;
            }
            if revision.rules().writes_off_bad_debt() {
                anchor.deficit = rest.next().map(|answer| reads::number(answer)).transpose()?;
            }
            Ok(vec![self.event(block, self.pool()?, Statement::Anchored(Box::new(anchor)))?])
        })
    }

    fn anchor_keys(
        &self,
        asset: Address,
        stable: Address,
        revision: Revision,
        block: u64,
    ) -> anyhow::Result<Vec<ReadKey>> {
        let argument = [reads::word(asset)];
        let mut keys = vec![
            self.of_pool(block, reads::CONFIGURATION, &argument)?,
            self.of_pool(block, reads::RESERVE_DATA, &argument)?,
        ];
        if revision.rules().stable_debt {
            keys.push(self.key(block, stable, reads::STABLE_TOTALS, &[]));
        }
        if revision.rules().writes_off_bad_debt() {
            keys.push(self.of_pool(block, reads::DEFICIT, &argument)?);
        }
        Ok(keys)
    }

    /// A category after an upgrade.
    fn e_mode(&self, category: u8, block: u64) -> anyhow::Result<Filling> {
        let rule = self.view.revision().context("no log names the pool's code")?.rules().e_mode;
        let argument = [U256::from(category)];
        let lists: &[&str] = match rule {
            EModeRule::None | EModeRule::OneCategory => &[],
            EModeRule::Bitmaps => &[reads::E_MODE_COLLATERAL, reads::E_MODE_BORROWABLE],
            EModeRule::LtvZero | EModeRule::Isolated => {
                &[reads::E_MODE_COLLATERAL, reads::E_MODE_BORROWABLE, reads::E_MODE_LTV_ZERO]
            }
        };
        let names = std::iter::once(&reads::E_MODE).chain(lists);
        let keys = names.map(|name| self.of_pool(block, name, &argument)).collect::<anyhow::Result<Vec<_>>>()?;
        let isolated = self.view.e_modes().get(&category).is_some_and(|known| known.isolated);
        self.with(keys, |answers| {
            let terms = reads::e_mode(answers[0])?;
            let list = |place: usize| {
                answers.get(place).map_or(Ok(ReserveSet::default()), |answer| reads::e_mode_list(answer))
            };
            let e_mode = EMode { collateral: list(1)?, borrowable: list(2)?, ltv_zero: list(3)?, isolated, ..terms };
            let statement = Statement::EModeRead { category, e_mode: Some(Box::new(e_mode)) };
            Ok(vec![self.event(block, self.pool()?, statement)?])
        })
    }

    /// What became of somebody's stable debt when there was none any more.
    fn stranded(&self, asset: Address, account: Address, block: u64) -> anyhow::Result<Filling> {
        let listed = self.view.listed().iter().find(|listed| listed.contracts.asset == asset);
        let contracts = listed.context("a reserve that was never listed had stable debt")?.contracts;
        let key = self.key(block, contracts.variable, reads::SCALED_BALANCE, &[reads::word(account)]);
        self.with(vec![key], |answers| {
            let scaled = reads::number(answers[0])?;
            let none = Box::new(StableDebt::default());
            Ok(vec![
                self.event(block, contracts.variable, Statement::BalanceRead { account, scaled })?,
                self.event(block, contracts.stable, Statement::StableRead { account, debt: none })?,
            ])
        })
    }
}

/// What a token's revision number means for its arithmetic: 3 came with 3.4, 4 with 3.5, 5 with 3.6.
fn token_revision(version: Version, number: U256) -> Option<Revision> {
    if version == Version::V2 {
        return Some(Revision::V2);
    }
    match u64::try_from(number).ok()? {
        // Transfers are seen in a receipt.
        1 | 2 => Some(Revision::V3_0_2),
        3 => Some(Revision::V3_4),
        4 => Some(Revision::V3_5),
        5 => Some(Revision::V3_6),
        _ => None,
    }
}
