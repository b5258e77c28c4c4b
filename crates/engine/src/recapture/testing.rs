//! Blocks for tests, written as stories.

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::{Address, B256, I256};

use super::facts::{Block, Happened, Liquidated, Path, Place, Trigger, Value};

pub(super) const BUILDER: Address = Address::repeat_byte(0xbb);
pub(super) const FEED: Address = Address::repeat_byte(0xfe);
pub(super) const OTHER_FEED: Address = Address::repeat_byte(0xfd);
const SAFE: Address = Address::repeat_byte(0x5a);

/// A block whose happenings are told by the place of their transaction; happenings of one transaction get rising log indexes.
pub(super) fn block(number: u64, told: Vec<(u32, Happened)>) -> Block {
    let mut happened = Vec::new();
    for (log_index, (transaction_index, what)) in (0_u64..).zip(told) {
        let mut transaction = [0; 32];
        transaction[..8].copy_from_slice(&number.to_be_bytes());
        transaction[8..12].copy_from_slice(&transaction_index.to_be_bytes());
        let is_log = !matches!(what, Happened::Payment { .. });
        let place =
            Place { transaction_index, log_index: is_log.then_some(log_index), transaction: B256::from(transaction) };
        happened.push((place, what));
    }
    Block {
        chain: ChainId::ETHEREUM,
        number,
        time: 1_000_000 + 12 * number,
        fee_recipient: BUILDER,
        native_usd: Some(Usd8(200_000_000_000)),
        is_whole: true,
        happened,
    }
}

pub(super) fn update(round: u32, path: Path) -> Happened {
    update_of(FEED, round, path)
}

pub(super) fn update_of(aggregator: Address, round: u32, path: Path) -> Happened {
    Happened::Round { aggregator, round, answer: I256::unchecked_from(1_000 + round), observed_at: 1_000, path }
}

pub(super) fn taken(round: u32, bonus_usd8: i128) -> Happened {
    taken_for(Trigger::Round { aggregator: FEED, round }, Some(bonus_usd8))
}

pub(super) fn taken_for(trigger: Trigger, bonus_usd8: Option<i128>) -> Happened {
    taken_by(Address::repeat_byte(2), trigger, bonus_usd8)
}

pub(super) fn taken_by(liquidator: Address, trigger: Trigger, bonus_usd8: Option<i128>) -> Happened {
    let debt = 10_000_000_000_000;
    let value = bonus_usd8.map(|bonus| Value {
        collateral: Usd8(debt + bonus),
        debt: Usd8(debt),
        bonus: Usd8(bonus),
        protocol_fee: Usd8(bonus.max(0) / 10),
        standing: Standing::Exact,
    });
    Happened::Liquidated(Box::new(Liquidated {
        market: "aave-v3-ethereum".to_owned(),
        user: Address::repeat_byte(1),
        liquidator,
        collateral: Address::repeat_byte(3),
        debt: Address::repeat_byte(4),
        trigger,
        value,
        gas_wei: Some(1_000_000),
    }))
}

pub(super) fn payment(wei: u128) -> Happened {
    Happened::Payment { safe: SAFE, from: BUILDER, wei }
}

pub(super) fn payment_from(from: Address, wei: u128) -> Happened {
    Happened::Payment { safe: SAFE, from, wei }
}

pub(super) fn solved(bid_wei: u128, succeeded: bool) -> Happened {
    Happened::Solved { solver: Address::repeat_byte(7), bid_wei, succeeded }
}

pub(super) fn allocated(bid_wei: u128, auctioneer_wei: u128, builder_wei: u128, protocol_wei: u128) -> Happened {
    Happened::Allocated { control: Address::repeat_byte(0xc0), bid_wei, auctioneer_wei, builder_wei, protocol_wei }
}

/// What of a happening came to a safe, or to protocol and network.
pub(super) fn came(happened: &Happened) -> u128 {
    if let Happened::Payment { wei, .. } | Happened::Allocated { protocol_wei: wei, .. } = happened { *wei } else { 0 }
}
