//! Liquidations as the fold passes them: what their logs tell, by which terms, and which feeds moved around them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use engine::book::View;
use engine::book::seized::{Seizure, seizures};
use protocol::aave::Revision;
use protocol::aave::config::ReserveId;
use protocol::aave::liquidation::LiquidationTerms;
use protocol::aave::log::Statement;
use protocol::aave::revision::Scaling;
use protocol::event::{Event, Fact};
use protocol::{Address, B256, U256};
use source::sync::transactions::WantedBlock;

use super::gaps::Place;

/// A liquidation and everything about it that is not a price.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// Its block.
    pub block: u64,
    /// The block's hash.
    pub block_hash: B256,
    /// The block's time in seconds.
    pub time: u64,
    /// Its transaction.
    pub transaction: B256,
    /// The place of its transaction in the block.
    pub transaction_index: u32,
    /// The place of its log in the block.
    pub log_index: u64,
    /// The assets that the account held or owed right after it.
    pub held: Vec<Address>,
    /// What was taken.
    pub seizure: Seizure,
    /// The pool's code.
    pub revision: Revision,
    /// How the collateral's supply token scales.
    pub scaling: Scaling,
    /// Bonus and fee.
    pub terms: LiquidationTerms,
    /// The oracle that was asked.
    pub oracle: Address,
    /// Where the price of the collateral's category and of the debt's comes from, where they have one of their own.
    pub category_sources: [Option<Address>; 2],
    /// What the oracle asks for the collateral's price and the debt's.
    pub sources: [Option<Address>; 2],
    /// The feeds that moved in its block.
    pub moves: Arc<[Move]>,
}

/// A feed's new answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Move {
    /// The place of its log in the block.
    pub log_index: u64,
    /// The feed.
    pub feed: Address,
    /// Its transaction.
    pub transaction: B256,
    /// What it answered before, where that was seen.
    pub before: Option<U256>,
    /// What it answers from now on; none where that is no price.
    pub after: Option<U256>,
}

/// Of which updates of feeds the transactions are remembered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Updates {
    /// Of none.
    None,
    /// Of those in a block with a liquidation, and in the blocks right before and after it.
    #[default]
    Near,
    /// Of all.
    All,
}

/// The transactions that update feeds in a block.
#[derive(Debug, Default)]
struct Updated {
    block_hash: B256,
    transactions: BTreeSet<B256>,
}

/// Collects liquidations from the events of a fold.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    /// Those of blocks that are whole.
    done: Vec<Taken>,
    /// Those of the block being folded.
    open: Vec<Taken>,
    moves: Vec<Move>,
    /// What each feed answered last.
    answers: BTreeMap<Address, U256>,
    /// What liquidations are told by, of the transaction being folded.
    events: Vec<Event>,
    /// The block and the transaction being folded.
    at: (u64, u32),
    block_hash: B256,
    /// The last block with liquidations.
    last: Option<u64>,
    remembered: Updates,
    /// Who collects what is bid for liquidations.
    safes: BTreeSet<Address>,
    /// Updates of feeds, by block.
    updates: BTreeMap<u64, Updated>,
    /// The last updates that were not near a liquidation; the next block may have one.
    before: Option<(u64, Updated)>,
}

impl Collector {
    /// Looks at an event that was folded; `view` is the market after it, asked for only where it matters.
    pub(super) fn observe(
        &mut self,
        event: &Event,
        place: &Place,
        fallback_oracle: Address,
        view: impl FnOnce() -> Arc<View>,
    ) {
        let Fact::Market(entry) = &event.fact else {
            return;
        };
        if event.at.height != self.at.0 {
            self.close();
        }
        if (event.at.height, entry.transaction) != self.at {
            self.events.clear();
            self.at = (event.at.height, entry.transaction);
            self.block_hash = place.block_hash;
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "only these tell of liquidations")]
        match &entry.statement {
            Statement::Answer { answer, .. } => {
                let (log_index, feed, transaction) = (event.at.index, entry.by, place.transaction);
                let after = U256::try_from(*answer).ok().filter(|answer| !answer.is_zero());
                let before = match after {
                    Some(answer) => self.answers.insert(feed, answer),
                    None => self.answers.remove(&feed),
                };
                self.moves.push(Move { log_index, feed, transaction, before, after });
            }
            Statement::BalanceTransfer { .. } | Statement::DeficitCreated { .. } => self.events.push(event.clone()),
            Statement::Liquidated(_) => {
                self.events.push(event.clone());
                let view = view();
                if let Some(seizure) = seizures(&view, &self.events).pop() {
                    let at = (entry.transaction, event.at.index);
                    self.open.extend(taken(&view, seizure, at, place, fallback_oracle));
                }
            }
            _ => {}
        }
    }

    /// The block is whole.
    fn close(&mut self) {
        let block = self.at.0;
        if !self.open.is_empty() {
            let moves: Arc<[Move]> = self.moves.as_slice().into();
            self.done.extend(self.open.drain(..).map(|taken| Taken { moves: Arc::clone(&moves), ..taken }));
            self.last = Some(block);
            self.updates.extend(self.before.take().filter(|(before, _)| before.checked_add(1) == Some(block)));
        }
        if !self.moves.is_empty() {
            let transactions = self.moves.iter().map(|moved| moved.transaction).collect();
            self.close_updates(block, Updated { block_hash: self.block_hash, transactions });
        }
        self.moves.clear();
        self.events.clear();
    }

    fn close_updates(&mut self, block: u64, updated: Updated) {
        let is_near = self.last.is_some_and(|last| block.checked_sub(last).is_some_and(|blocks| blocks <= 1));
        match self.remembered {
            Updates::None => {}
            Updates::Near if !is_near => self.before = Some((block, updated)),
            Updates::Near | Updates::All => _ = self.updates.insert(block, updated),
        }
    }

    /// Remembers these updates from here on.
    pub(super) fn remember(&mut self, updates: Updates) {
        self.remembered = updates;
    }

    /// Whoever pays one of these in a block with a liquidation matters.
    pub(super) fn collect(&mut self, safes: BTreeSet<Address>) {
        self.safes = safes;
    }

    /// The blocks with liquidations and remembered updates, up to one that was folded whole, with the transactions in them that
    /// matter.
    pub(super) fn wanted_blocks(&mut self, to: u64) -> Vec<WantedBlock> {
        let mut blocks: BTreeMap<u64, WantedBlock> = BTreeMap::new();
        let safes = self.safes.clone();
        let empty = |block, block_hash| WantedBlock {
            block,
            block_hash,
            liquidations: BTreeSet::new(),
            oracle_updates: BTreeSet::new(),
            liquidators: BTreeSet::new(),
            safes: safes.clone(),
        };
        for one in self.up_to(to) {
            let block = blocks.entry(one.block).or_insert_with(|| empty(one.block, one.block_hash));
            block.liquidations.insert(one.transaction);
            block.liquidators.insert(one.seizure.call.liquidator);
        }
        for (number, updated) in self.updates.range(..=to) {
            let block = blocks.entry(*number).or_insert_with(|| empty(*number, updated.block_hash));
            block.oracle_updates.extend(&updated.transactions);
        }
        blocks.into_values().collect()
    }

    /// The liquidations up to a block that was folded whole, in order.
    pub(super) fn up_to(&mut self, block: u64) -> &[Taken] {
        if self.at.0 <= block {
            self.close();
        }
        let count = self.done.partition_point(|taken| taken.block <= block);
        &self.done[..count]
    }
}

fn taken(
    view: &View,
    seizure: Seizure,
    (transaction_index, log_index): (u32, u64),
    place: &Place,
    fallback_oracle: Address,
) -> Option<Taken> {
    let revision = view.revision()?;
    let listed = view.listed().get(usize::from(seizure.collateral.0))?;
    let person = view.accounts.find(&seizure.call.user).and_then(|id| view.accounts.get(id));
    let e_mode = person.as_ref().map_or(0, |person| person.e_mode);
    let asset = |id: ReserveId| Some(view.listed().get(usize::from(id.0))?.contracts.asset);
    let held =
        person.iter().flat_map(|person| View::account(person).flags.reserves().filter_map(asset).collect::<Vec<_>>());
    let terms = LiquidationTerms::of(revision, view.e_modes(), e_mode, seizure.collateral, &listed.config);
    let category_source = |category: Option<u8>| category.and_then(|id| view.e_mode_sources().get(&id).copied());
    let oracle = view.oracle();
    let source = |asset: Address| oracle.and_then(|(_, oracle)| oracle.sources.get(&asset).copied());
    Some(Taken {
        block: place.block,
        block_hash: place.block_hash,
        time: place.time,
        transaction: place.transaction,
        transaction_index,
        log_index,
        held: held.collect(),
        revision,
        scaling: listed.supply_runs.rules().scaling,
        terms,
        oracle: oracle.map_or(fallback_oracle, |(oracle, _)| oracle),
        category_sources: [category_source(terms.collateral_category), category_source(terms.debt_category)],
        sources: [source(seizure.call.collateral), source(seizure.call.debt)],
        seizure,
        moves: Arc::default(),
    })
}
