//! What was heard around auctions: from logs, from receipts, and from the transactions of blocks with liquidations.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::keccak256;
use engine::recapture::facts::{Happened, Path, Place};
use protocol::aave::log::Statement;
use protocol::auction::Said;
use protocol::{Address, B256};
use source::archive::logs::LogReader;
use source::archive::transactions::Transaction;
use source::archive::{Archive, MarketName};
use source::decode;
use source::log::Log;
use source::markets::auctions::Auctions;

/// Where in the chain: block and place of the log in it.
type LogPlace = (u64, u64);

/// What happened in a block.
#[derive(Debug, Default)]
struct Draft {
    time: u64,
    happened: Vec<(Place, Happened)>,
}

/// What was heard, by block.
#[derive(Debug, Default)]
pub(super) struct Heard {
    blocks: BTreeMap<u64, Draft>,
    /// The logs of settlement contracts that were taken.
    settled: BTreeSet<LogPlace>,
    /// Transactions in which a safe said that it was paid.
    received: BTreeSet<(B256, Address)>,
    /// The last word of each dual aggregator that a round came through the auction, and in which transaction.
    through_auction: BTreeMap<Address, (B256, u32)>,
    /// When each dual aggregator's last round was observed.
    begun: BTreeMap<Address, (B256, u32, u32)>,
}

impl Heard {
    /// What the logs on file up to a block say. Of safes those that are known as such are believed, and of aggregators whoever is read
    /// as one.
    pub(super) fn of(archive: &Archive, market: &MarketName, to: u64, auctions: &Auctions) -> anyhow::Result<Self> {
        let mut topics = decode::auction_topics();
        topics.insert(keccak256("AnswerUpdated(int256,uint256,uint256)"));
        let mut heard = Self::default();
        let mut logs = LogReader::open(archive, market, 0, None)?;
        while let Some(log) = logs.next_log()? {
            if log.block > to {
                break;
            }
            if log.topics.first().is_some_and(|name| topics.contains(name)) {
                heard.take(&log, auctions);
            }
        }
        Ok(heard)
    }

    /// Adds something that happened in a block of a time.
    pub(super) fn add(&mut self, (block, time): (u64, u64), place: Place, happened: Happened) {
        let draft = self.blocks.entry(block).or_default();
        draft.time = time;
        draft.happened.push((place, happened));
    }

    /// The blocks in order, each with its time and what happened, by place.
    pub(super) fn into_blocks(self) -> impl Iterator<Item = (u64, u64, Vec<(Place, Happened)>)> {
        self.blocks.into_iter().filter(|(_, draft)| !draft.happened.is_empty()).map(|(number, mut draft)| {
            drop_allocated(&mut draft.happened);
            // Nothing stands twice at one place but what has none of its own.
            draft.happened.sort_by_key(|(place, _)| (place.transaction_index, place.log_index));
            (number, draft.time, draft.happened)
        })
    }

    fn take(&mut self, log: &Log<'_>, auctions: &Auctions) {
        let place = place_of(log);
        let at = (log.block, log.time);
        // A log of another shape is no statement; the fold counts those.
        #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is read here")]
        match decode::statement(log) {
            Ok(Some(Statement::Answer { answer, round, .. })) => self.round(log, place, answer, round),
            Ok(Some(Statement::Auction(said))) => match *said {
                Said::Received { from, wei } if auctions.safes.iter().any(|safe| safe.address == log.address) => {
                    self.received.insert((log.transaction, log.address));
                    self.add(at, place, Happened::Payment { safe: log.address, from, wei });
                }
                Said::Allocated { .. } | Said::Solved { .. } => {
                    if auctions.contracts().any(|known| known == log.address) {
                        self.settle(at, place, log.address, *said);
                    }
                }
                said => self.aggregator(at, place, log.address, said),
            },
            _ => {}
        }
    }

    /// What a dual aggregator says beside its answers.
    fn aggregator(&mut self, at: (u64, u64), place: Place, aggregator: Address, said: Said) {
        let happened = match said {
            Said::SecondaryRound { round } => {
                self.through_auction.insert(aggregator, (place.transaction, round));
                // A new round follows in the same transaction, and takes its place.
                Happened::Exposed { aggregator, round }
            }
            Said::RoundBegun { round, observed_at, .. } => {
                self.begun.insert(aggregator, (place.transaction, round, observed_at));
                return;
            }
            Said::CutoffSet { seconds } => Happened::CutoffSet { aggregator, seconds },
            Said::ReachSet { rounds } => Happened::MaxSyncSet { aggregator, rounds },
            Said::Unlocked { .. } => Happened::Repeated { aggregator, path: Path::Primary },
            Said::Received { .. }
            | Said::Executed { .. }
            | Said::Allocated { .. }
            | Said::Solved { .. }
            | Said::Settled { .. } => return,
        };
        self.add(at, place, happened);
    }

    /// A new answer; it is a dual aggregator's round if that said when it was observed, which of others is not read.
    fn round(&mut self, log: &Log<'_>, place: Place, answer: protocol::I256, round: protocol::U256) {
        let (aggregator, Ok(round)) = (log.address, u32::try_from(round)) else { return };
        let begun = self.begun.get(&aggregator).filter(|(by, of, _)| (*by, *of) == (log.transaction, round));
        let Some((.., observed_at)) = begun.copied() else { return };
        let is_through = self.through_auction.get(&aggregator) == Some(&(log.transaction, round));
        if is_through && let Some(draft) = self.blocks.get_mut(&log.block) {
            let exposed = Happened::Exposed { aggregator, round };
            draft.happened.retain(|(at, happened)| at.transaction != log.transaction || *happened != exposed);
        }
        let path = if is_through { Path::Secondary } else { Path::Primary };
        self.add((log.block, log.time), place, Happened::Round { aggregator, round, answer, observed_at, path });
    }

    fn settle(&mut self, at: (u64, u64), place: Place, by: Address, said: Said) {
        let happened = match said {
            Said::Allocated { bid, auctioneer, builder, kept, .. } => Happened::Allocated {
                control: by,
                bid_wei: bid,
                auctioneer_wei: auctioneer,
                builder_wei: builder,
                protocol_wei: kept,
            },
            // What is bid in another token is no amount of the native one.
            Said::Solved { solver, bid, executed, succeeded, token, .. } if token.is_zero() => {
                Happened::Solved { solver, bid_wei: bid, succeeded: executed && succeeded }
            }
            Said::Solved { .. }
            | Said::SecondaryRound { .. }
            | Said::Unlocked { .. }
            | Said::RoundBegun { .. }
            | Said::CutoffSet { .. }
            | Said::ReachSet { .. }
            | Said::Received { .. }
            | Said::Executed { .. }
            | Said::Settled { .. } => return,
        };
        if self.settled.insert((at.0, place.log_index.unwrap_or(0))) {
            self.add(at, place, happened);
        }
    }

    /// Adds what settlement contracts say in the receipts of transactions on file. Whoever carries out a bid writes the log of its
    /// split, and may be another contract than those that are known: it is believed where a known one says in the same transaction
    /// that a bidder's operation was tried. Whether such a split fits what was bid is for whoever attributes it to judge.
    pub(super) fn add_receipts<'a>(&mut self, auctions: &Auctions, kept: impl Iterator<Item = &'a Transaction>) {
        let known: BTreeSet<Address> = auctions.contracts().collect();
        for transaction in kept.filter(|one| one.why.liquidation && one.succeeded != Some(false)) {
            let logs = transaction.logs().unwrap_or_default();
            let own = logs.iter().filter(|log| (log.block, log.transaction) == (transaction.block, transaction.hash));
            let said = own.filter_map(|log| match decode::statement(&log) {
                Ok(Some(Statement::Auction(said))) => Some((log.address, place_of(&log), *said)),
                _ => None,
            });
            let said: Vec<_> = said.collect();
            if !said.iter().any(|(by, _, said)| known.contains(by) && matches!(said, Said::Solved { .. })) {
                continue;
            }
            for (by, place, said) in said {
                if known.contains(&by) || matches!(said, Said::Allocated { .. }) {
                    self.settle((transaction.block, transaction.time), place, by, said);
                }
            }
        }
    }

    /// Adds what was paid to safes by transactions on file; a safe that said so itself in that transaction is not heard twice.
    pub(super) fn add_payments<'a>(&mut self, auctions: &Auctions, kept: impl Iterator<Item = &'a Transaction>) {
        for one in kept.filter(|one| one.value > 0 && one.succeeded != Some(false)) {
            let safe = one.to.filter(|to| auctions.safes.iter().any(|safe| safe.address == *to));
            let Some(safe) = safe.filter(|safe| !self.received.contains(&(one.hash, *safe))) else { continue };
            let place = Place { transaction_index: one.index, log_index: None, transaction: one.hash };
            self.add((one.block, one.time), place, Happened::Payment { safe, from: one.from, wei: one.value });
        }
    }
}

/// The protocol's part of a settled bid that comes to a safe is told by the split already.
fn drop_allocated(happened: &mut Vec<(Place, Happened)>) {
    let splits = happened.iter().filter_map(|(place, happened)| {
        let Happened::Allocated { control, protocol_wei, .. } = happened else { return None };
        Some((place.transaction, *control, *protocol_wei))
    });
    for split in splits.collect::<Vec<_>>() {
        let is_it = |(place, happened): &(Place, Happened)| matches!(happened, Happened::Payment { from, wei, .. } if (place.transaction, *from, *wei) == split);
        if let Some(told) = happened.iter().position(is_it) {
            happened.remove(told);
        }
    }
}

fn place_of(log: &Log<'_>) -> Place {
    Place {
        transaction_index: log.transaction_index,
        log_index: Some(log.log_index.into()),
        transaction: log.transaction,
    }
}

#[cfg(test)]
mod tests {
    use protocol::chain::ChainId;
    use source::archive::transactions::Reasons;
    use source::markets::auctions::{Evidence, Safe, Settlement};

    use super::*;

    const SAFE: Address = Address::repeat_byte(0x5a);
    const SETTLEMENT: Address = Address::repeat_byte(0x5e);
    const STRANGER: Address = Address::repeat_byte(0x99);

    fn auctions() -> Auctions {
        let evidence = Evidence::Own;
        let mut auctions = Auctions::unknown(ChainId(1));
        auctions.safes.push(Safe { address: SAFE, collector: None, network: None, evidence });
        auctions.settlements.push(Settlement { address: SETTLEMENT, control: None, evidence });
        auctions
    }

    /// Who wrote a log, its name, indexed words and others.
    type Written<'a> = (Address, &'a str, &'a [u64], &'a [u64]);

    /// A transaction that pays the safe, with a receipt of these logs.
    fn transaction(byte: u8, value: u128, logs: &[Written<'_>]) -> Transaction {
        let hash = B256::repeat_byte(byte);
        let block_hash = B256::repeat_byte(0xb0);
        let word = |number: &u64| B256::from(protocol::U256::from(*number));
        let log = |(place, (by, name, indexed, others)): (usize, &Written<'_>)| {
            let topics: Vec<String> = std::iter::once(keccak256(name))
                .chain(indexed.iter().map(word))
                .map(|topic| topic.to_string())
                .collect();
            let data: String = others.iter().map(|number| word(number).to_string()[2..].to_owned()).collect();
            serde_json::json!({
                "address": by.to_string(), "topics": topics, "data": format!("0x{data}"), "blockNumber": "0x7",
                "blockHash": block_hash.to_string(), "transactionHash": hash.to_string(), "transactionIndex": "0x1",
                "logIndex": format!("{place:#x}"), "removed": false,
            })
        };
        let logs: Vec<_> = logs.iter().enumerate().map(log).collect();
        let receipt = serde_json::json!({ "logs": logs, "l1Fee": "0x64" }).to_string();
        Transaction {
            block: 7,
            time: 70,
            block_hash,
            fee_recipient: STRANGER,
            base_fee: None,
            hash,
            index: 1,
            why: Reasons { liquidation: true, ..Reasons::default() },
            kind: 2,
            from: STRANGER,
            to: Some(SAFE),
            value,
            input: Default::default(),
            succeeded: Some(true),
            gas_used: 21_000,
            effective_gas_price: 3,
            receipt: receipt.into_bytes().into(),
            internal_transfers: None,
        }
    }

    fn happened(heard: Heard) -> Vec<Happened> {
        heard.into_blocks().flat_map(|(.., happened)| happened).map(|(_, happened)| happened).collect()
    }

    const SOLVED: &str = "SolverTxResult(address,address,address,address,uint256,bool,bool,uint256)";
    const ALLOCATED: &str = "OevAllocated(address,address,address,uint256,uint256,uint256,uint256)";

    #[test]
    fn a_safe_without_logs_is_paid_by_transactions_and_one_with_logs_once() {
        let paid = |wei| Happened::Payment { safe: SAFE, from: STRANGER, wei };
        let mut heard = Heard::default();
        let [old, failed, free, elsewhere] = [5, 6, 0, 8].map(|value| transaction(1, value, &[]));
        let failed = Transaction { succeeded: Some(false), ..failed };
        let elsewhere = Transaction { to: Some(STRANGER), ..elsewhere };
        heard.add_payments(&auctions(), [&old, &failed, &free, &elsewhere].into_iter());
        assert_eq!(happened(heard), [paid(5)]);
        let mut heard = Heard::default();
        heard.received.insert((old.hash, SAFE));
        heard.add_payments(&auctions(), [&old].into_iter());
        assert_eq!(happened(heard), []);
    }

    #[test]
    fn a_split_is_believed_where_a_known_contract_tried_an_operation() {
        let solved: Written<'_> = (SETTLEMENT, SOLVED, &[1, 2, 3], &[0, 10, 1, 1, 0]);
        // Whoever executes the bid is another contract.
        let allocated: Written<'_> = (STRANGER, ALLOCATED, &[1, 2, 3], &[10, 1, 2, 7]);
        let heard_of = |logs: &[Written<'_>]| {
            let mut heard = Heard::default();
            let one = transaction(1, 0, logs);
            heard.add_receipts(&auctions(), [&one].into_iter());
            heard.add_receipts(&auctions(), [&one].into_iter());
            happened(heard)
        };
        let split =
            Happened::Allocated { control: STRANGER, bid_wei: 10, auctioneer_wei: 1, builder_wei: 2, protocol_wei: 7 };
        let tried = Happened::Solved { solver: Address::with_last_byte(2), bid_wei: 10, succeeded: true };
        assert_eq!(heard_of(&[solved, allocated]), [tried.clone(), split], "each once");
        assert_eq!(heard_of(&[allocated]), [], "anybody can write a log of any shape");
        assert_eq!(heard_of(&[(STRANGER, SOLVED, solved.2, solved.3), allocated]), []);
        let other_token: Written<'_> = (SETTLEMENT, SOLVED, &[1, 2, 3], &[77, 10, 1, 1, 0]);
        assert_eq!(heard_of(&[other_token]), [], "a bid in another token is no amount of the native one");
        let not_executed: Written<'_> = (SETTLEMENT, SOLVED, &[1, 2, 3], &[0, 10, 0, 1, 0]);
        let lost = Happened::Solved { solver: Address::with_last_byte(2), bid_wei: 10, succeeded: false };
        assert_eq!(heard_of(&[not_executed]), [lost]);
        assert_eq!(happened(Heard::default()), []);
    }

    #[test]
    fn the_protocols_part_that_comes_to_a_safe_is_told_once() {
        let place =
            |log_index| Place { transaction_index: 1, log_index: Some(log_index), transaction: B256::repeat_byte(1) };
        let split = Happened::Allocated {
            control: SETTLEMENT,
            bid_wei: 10,
            auctioneer_wei: 1,
            builder_wei: 2,
            protocol_wei: 7,
        };
        let paid = |from, wei| Happened::Payment { safe: SAFE, from, wei };
        let mut heard = Heard::default();
        for (at, what) in
            [(0, split.clone()), (1, paid(SETTLEMENT, 7)), (2, paid(STRANGER, 7)), (3, paid(SETTLEMENT, 7))]
        {
            heard.add((7, 70), place(at), what);
        }
        assert_eq!(happened(heard), [split, paid(STRANGER, 7), paid(SETTLEMENT, 7)]);
    }

    #[test]
    fn fees_are_gas_and_what_the_chain_below_took() {
        let one = transaction(1, 0, &[]);
        assert_eq!(one.fees(), Some(63_000 + 100));
        let without = |receipt: &str| Transaction { receipt: receipt.as_bytes().to_vec().into(), ..one.clone() };
        assert_eq!(without("{\"logs\":[]}").fees(), Some(63_000));
        assert_eq!(without("{\"logs\":[],\"l1Fee\":\"none\"}").fees(), None, "what cannot be read is not nothing");
        assert_eq!(without("no receipt").fees(), None);
        assert_eq!((without("no receipt").logs(), without("{}").logs()), (None, None));
    }
}
