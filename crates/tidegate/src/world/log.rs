//! A world's liquidations as the events that its chains would have told: with block, transaction, log index and liquidator.

use protocol::amount::{Raw, Usd8};
use protocol::chain::ChainId;
use protocol::event::{Cursor, Event, Fact};
use protocol::liquidation::{Amount, Leg, Liquidation, Version};
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, B256};

use super::World;
use super::accounts::{Account, Call};
use super::chance::Chance;
use super::markets::{self, Market, Reserve};
use super::prices::time_of;
use super::rules::Quote;

/// How many accounts live by liquidating.
const LIQUIDATORS: u64 = 36;
/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// Streams of chance below the log's.
const MOMENTS: u64 = 0;
const TRANSACTIONS: u64 = 1;
const CHOICES: u64 = 2;
const LIQUIDATOR_ADDRESSES: u64 = 3;
const FIRST_LOGS: u64 = 4;

/// A liquidation and where it stands on its chain.
struct Placed<'a> {
    time: TimeUs,
    chain: ChainId,
    block: u64,
    /// What tells it apart from every other of the world: market, account, number.
    place: [u64; 3],
    market: &'a Market,
    account: &'a Account,
    call: &'a Call,
}

/// Every liquidation as an event, by (time, market, block, log index).
pub(super) fn events(world: &World, chance: Chance) -> Vec<Event> {
    let mut placed: Vec<Placed<'_>> = (0..)
        .zip(world.markets.iter().zip(&world.accounts))
        .flat_map(|(market_place, (market, accounts))| {
            (0..).zip(accounts).flat_map(move |(index, account)| {
                (0..)
                    .zip(&account.calls)
                    .map(move |(number, call)| Placed::of(market, account, call, [market_place, index, number], chance))
            })
        })
        .collect();
    // Within a chain, and within the block.
    placed.sort_by_key(|one| (one.chain, one.block, one.place));
    let mut events = Vec::with_capacity(placed.len());
    let mut in_block = 0;
    for (index, one) in placed.iter().enumerate() {
        let previous = index.checked_sub(1).map(|previous| &placed[previous]);
        let same = previous.is_some_and(|previous| (previous.chain, previous.block) == (one.chain, one.block));
        in_block = if same { in_block + 1 } else { 0 };
        // A liquidation writes about a dozen logs; the first of a block comes after other people's.
        let first = chance.stream(FIRST_LOGS).stream(one.chain.0).between(one.block, 3, 240);
        events.push(one.event(first + 13 * in_block, chance));
    }
    events.sort_by(|a, b| a.order().cmp(&b.order()));
    events
}

impl<'a> Placed<'a> {
    fn of(market: &'a Market, account: &'a Account, call: &'a Call, place: [u64; 3], chance: Chance) -> Self {
        let (first_block, block_ms) = markets::clock(market.chain);
        let moment = path(chance.stream(MOMENTS), place).below(0, HOUR_MS);
        let passed_ms = call.hour as u64 * HOUR_MS + moment;
        let blocks = passed_ms / block_ms;
        // A block's time is in whole seconds.
        let seconds = (blocks * block_ms / 1_000).cast_signed();
        Self {
            time: TimeUs(time_of(0).0 + seconds * SECOND_US),
            chain: market.chain,
            block: first_block + blocks,
            place,
            market,
            account,
            call,
        }
    }

    fn event(&self, log_index: u64, chance: Chance) -> Event {
        let (collateral, debt) =
            (&self.market.collaterals[self.account.collateral].0, &self.market.debts[self.account.debt].0);
        let (terms, seizure) = (&self.call.terms, &self.call.seizure);
        let fee = (self.market.version == Version::V3).then(|| usd(terms.collateral.value(seizure.fee)));
        let liquidation = Liquidation {
            chain: self.chain,
            market: self.market.name.clone(),
            version: Some(self.market.version),
            block: Some(self.block),
            transaction: Some(B256::from(path(chance.stream(TRANSACTIONS), self.place).bytes(0))),
            log_index: u32::try_from(log_index).ok(),
            user: self.account.user,
            liquidator: Some(self.liquidator(chance)),
            collateral: Some(leg(collateral, seizure.collateral, terms.collateral)),
            debt: Some(leg(debt, seizure.repaid, terms.debt)),
            protocol_fee: fee,
        };
        Event {
            at: Cursor { source: self.market.name.clone(), height: self.block, index: log_index },
            time: self.time,
            fact: Fact::Liquidation(Box::new(liquidation)),
        }
    }

    /// A few win most of the races, and not the same few on every chain.
    fn liquidator(&self, chance: Chance) -> Address {
        let choice = path(chance.stream(CHOICES), self.place);
        let rank = choice.below(0, LIQUIDATORS) * choice.below(1, LIQUIDATORS) / LIQUIDATORS;
        let who = (rank + 5 * self.place[0]) % LIQUIDATORS;
        Address::from(chance.stream(LIQUIDATOR_ADDRESSES).bytes(who))
    }
}

fn path(chance: Chance, place: [u64; 3]) -> Chance {
    place.into_iter().fold(chance, Chance::stream)
}

pub(super) fn leg(reserve: &Reserve, amount: u128, quote: Quote) -> Leg {
    Leg {
        token: reserve.token.clone(),
        amount: Raw::new(amount).map_or(Amount::Missing, Amount::Exact),
        usd: Some(usd(quote.value(amount))),
    }
}

fn usd(usd8: u128) -> Usd8 {
    Usd8(i128::try_from(usd8).unwrap_or(i128::MAX))
}
