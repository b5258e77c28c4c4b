//! What made each liquidation of a world possible: a new price of which asset, or none.

use super::accounts::{self, Account};
use super::markets::{Market, Reserve};
use super::prices::{Asset, Prices};
use super::rules::{self, Terms, WAD};
use protocol::chain::ChainId;
use protocol::liquidation::Version;

/// A health factor at and above which a position is said to have crossed 1 by interest: the world has none, so a hair's breadth stands
/// for it. 0.9998, of 18 decimals.
const BY_INTEREST_WAD: u128 = 999_800_000_000_000_000;

/// What made a liquidation possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The new price that a feed told in an hour.
    Price {
        /// The feed's asset.
        feed: Asset,
        /// The hour.
        hour: usize,
    },
    /// No price: interest.
    Interest,
}

impl Cause {
    /// What made an account's liquidation of this number possible.
    ///
    /// What was liquidatable in the hour before already, since the last liquidation did not bring it back to health, has the cause of
    /// that one. Else it is the feed of the side that moved more against the position, by parts per million.
    pub(super) fn of(market: &Market, account: &Account, number: usize, prices: &Prices) -> Self {
        let call = &account.calls[number];
        let (collateral, debt) = (&market.collaterals[account.collateral].0, &market.debts[account.debt].0);
        let earlier = call.hour.saturating_sub(1);
        let before: Terms = accounts::terms(market.version, collateral, debt, prices, earlier);
        if let Some(previous) = number.checked_sub(1)
            && account.calls[previous].after() == call.before
            && rules::liquidate(call.before, &before).is_some()
        {
            return Self::of(market, account, previous, prices);
        }
        let health = rules::health_factor_wad(call.before, &call.terms);
        if health.is_some_and(|health| (BY_INTEREST_WAD..WAD).contains(&health)) {
            return Self::Interest;
        }
        let ppm = |old: u128, new: u128| old.saturating_sub(new) * 1_000_000 / old.max(1);
        let fall = ppm(before.collateral.usd8, call.terms.collateral.usd8);
        let rise = ppm(call.terms.debt.usd8, before.debt.usd8);
        let mover: &Reserve = if fall >= rise { collateral } else { debt };
        Self::Price { feed: feed(mover.asset), hour: call.hour }
    }
}

/// Whose feed tells an asset's price.
pub(super) const fn feed(asset: Asset) -> Asset {
    // What a staked ether is worth in ether is no feed's news.
    if matches!(asset, Asset::StakedEther) { Asset::Ether } else { asset }
}

/// Whether a market reads a feed through an auction.
pub(super) fn is_auctioned(market: &Market, feed: Asset) -> bool {
    let feeds: &[Asset] = match market.chain {
        ChainId::ETHEREUM => &[Asset::Ether, Asset::Bitcoin, Asset::Aave],
        chain if is_settled_on_chain(chain) => &[Asset::Ether, Asset::Bitcoin],
        _ => &[],
    };
    market.version == Version::V3 && feeds.contains(&feed)
}

/// Whether a contract settles a chain's auctions, rather than the builder of a block.
pub(super) const fn is_settled_on_chain(chain: ChainId) -> bool {
    matches!(chain.0, 8_453 | 42_161)
}

/// How long readers wait for a public round, in seconds.
pub(super) const fn cutoff_seconds(chain: ChainId) -> u32 {
    if is_settled_on_chain(chain) { 10 } else { 30 }
}
