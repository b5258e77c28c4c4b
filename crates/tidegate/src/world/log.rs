//! A world's liquidations as the events that its chains would have told: with block, transaction, log index and liquidator.

use engine::recapture::Place;
use protocol::amount::{Raw, Usd8};
use protocol::event::{Cursor, Event, Fact};
use protocol::liquidation::{Amount, Leg, Liquidation, Version};
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, chain::ChainId};

use super::World;
use super::accounts::{Account, Call};
use super::auctions::Round;
use super::causes::{self, Cause};
use super::chance::Chance;
use super::markets::{self, Market, Reserve};
use super::prices::{Asset, time_of};
use super::rules::Quote;

/// How many accounts live by liquidating.
const LIQUIDATORS: u64 = 36;
/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// Streams of chance below the log's.
const MOMENTS: u64 = 0;
const CHOICES: u64 = 2;
const LIQUIDATOR_ADDRESSES: u64 = 3;

/// A liquidation of a world and what is about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// What tells it apart from every other of the world: market, account, number.
    pub place: [u64; 3],
    /// Its market.
    pub market: &'a Market,
    /// Its account.
    pub account: &'a Account,
    /// What was taken.
    pub call: &'a Call,
    /// What made it possible.
    pub cause: Cause,
    /// The block at its own moment, if nothing else decides it.
    pub moment: u64,
    /// Who takes it, if nobody wins it in an auction.
    pub liquidator: Address,
    /// What the chain's native token cost, in US dollars of eight decimals.
    pub native_usd8: u128,
}

/// Where a liquidation stands on its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seat {
    /// The block.
    pub block: u64,
    /// Its place in it.
    pub place: Place,
    /// Who took it.
    pub liquidator: Address,
}

/// Every liquidation of a world, by market, account and number.
pub(super) fn placed(world: &World, chance: Chance) -> Vec<Placed<'_>> {
    let mut all = Vec::new();
    for (market_place, (market, accounts)) in (0..).zip(world.markets.iter().zip(&world.accounts)) {
        for (index, account) in (0..).zip(accounts) {
            for (number, call) in account.calls.iter().enumerate() {
                let place = [market_place, index, number as u64];
                let draws = |stream: u64| place.into_iter().fold(chance.stream(stream), Chance::stream);
                let cause = Cause::of(market, account, number, &world.prices);
                let moment_ms = call.hour as u64 * HOUR_MS + draws(MOMENTS).below(0, HOUR_MS);
                let (first_block, block_ms) = markets::clock(market.chain);
                all.push(Placed {
                    place,
                    market,
                    account,
                    call,
                    cause,
                    moment: first_block + moment_ms / block_ms,
                    liquidator: liquidator(draws(CHOICES), market_place, chance),
                    native_usd8: world.prices.usd8(native(market.chain), call.hour).into(),
                });
            }
        }
    }
    all
}

/// A few win most of the races, and not the same few on every chain.
pub(super) fn liquidator(choice: Chance, market_place: u64, chance: Chance) -> Address {
    let rank = choice.below(0, LIQUIDATORS) * choice.below(1, LIQUIDATORS) / LIQUIDATORS;
    let who = (rank + 5 * market_place) % LIQUIDATORS;
    Address::from(chance.stream(LIQUIDATOR_ADDRESSES).bytes(who))
}

/// Every liquidation as an event, by (time, market, block, log index).
pub(super) fn events(placed: &[Placed<'_>], seats: &[Seat]) -> Vec<Event> {
    let mut events: Vec<Event> = placed.iter().zip(seats).map(|(placed, seat)| placed.event(seat)).collect();
    events.sort_by(|a, b| a.order().cmp(&b.order()));
    events
}

/// What a chain's fees are paid in.
pub(super) const fn native(chain: ChainId) -> Asset {
    match chain.0 {
        137 => Asset::Pol,
        43_114 => Asset::Avax,
        _ => Asset::Ether,
    }
}

/// The time of a block; it is in whole seconds.
pub(super) fn block_time(chain: ChainId, block: u64) -> TimeUs {
    let (first_block, block_ms) = markets::clock(chain);
    let seconds = ((block - first_block) * block_ms / 1_000).cast_signed();
    TimeUs(time_of(0).0 + seconds * SECOND_US)
}

impl Placed<'_> {
    /// What was seized and what was repaid.
    pub(super) fn reserves(&self) -> (&Reserve, &Reserve) {
        let Account { collateral, debt, .. } = *self.account;
        (&self.market.collaterals[collateral].0, &self.market.debts[debt].0)
    }

    /// The round that made it possible, if that is one of a feed with an auction.
    pub(super) fn round(&self) -> Option<Round> {
        let Cause::Price { feed, hour } = self.cause else { return None };
        causes::is_auctioned(self.market, feed).then_some(Round { chain: self.market.chain, feed, hour })
    }

    /// What the protocol kept, in US dollars of eight decimals.
    pub(crate) fn fee_usd8(&self) -> u128 {
        self.call.terms.collateral.value(self.call.seizure.fee)
    }

    /// What was seized, the protocol's fee with it, in US dollars of eight decimals.
    pub(crate) fn seized_usd8(&self) -> u128 {
        self.call.terms.collateral.value(self.call.seizure.collateral) + self.fee_usd8()
    }

    /// What was repaid, in US dollars of eight decimals.
    pub(crate) fn repaid_usd8(&self) -> u128 {
        self.call.terms.debt.value(self.call.seizure.repaid)
    }

    /// What was seized beyond what was repaid, in US dollars of eight decimals.
    pub(crate) fn bonus_usd8(&self) -> u128 {
        self.seized_usd8().saturating_sub(self.repaid_usd8())
    }

    fn event(&self, seat: &Seat) -> Event {
        let (collateral, debt) = self.reserves();
        let (terms, seizure) = (&self.call.terms, &self.call.seizure);
        let log_index = seat.place.log_index.unwrap_or(0);
        let liquidation = Liquidation {
            chain: self.market.chain,
            market: self.market.name.clone(),
            version: Some(self.market.version),
            block: Some(seat.block),
            transaction: Some(seat.place.transaction),
            log_index: u32::try_from(log_index).ok(),
            user: self.account.user,
            liquidator: Some(seat.liquidator),
            collateral: Some(leg(collateral, seizure.collateral, terms.collateral)),
            debt: Some(leg(debt, seizure.repaid, terms.debt)),
            protocol_fee: (self.market.version == Version::V3).then(|| usd(self.fee_usd8())),
        };
        Event {
            at: Cursor { source: self.market.name.clone(), height: seat.block, index: log_index },
            time: block_time(self.market.chain, seat.block),
            fact: Fact::Liquidation(Box::new(liquidation)),
        }
    }
}

pub(super) fn leg(reserve: &Reserve, amount: u128, quote: Quote) -> Leg {
    Leg {
        token: reserve.token.clone(),
        amount: Raw::new(amount).map_or(Amount::Missing, Amount::Exact),
        usd: Some(usd(quote.value(amount))),
    }
}

pub(super) fn usd(usd8: u128) -> Usd8 {
    Usd8(i128::try_from(usd8).unwrap_or(i128::MAX))
}
