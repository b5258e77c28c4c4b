//! What contracts say around an auction for liquidations: dual aggregators, safes that collect what was bid, and settlement
//! contracts that split it.
//!
//! A dual aggregator keeps one list of rounds and shows it to two kinds of readers at different moments: those of its recapturing
//! proxy see a round at once that came through the auction, and one that came in public only after the cutoff. Who said something
//! is beside it, as with every [`Statement`](crate::aave::log::Statement): that a contract is what it seems is for others to know.
//!
//! Sources: the events of Chainlink's `DualAggregator` and `AggregatorInterface`, of Safe 1.3.0 and later, and of Atlas.

use alloy_primitives::{Address, B256};

/// What such a contract said. Amounts are in the smallest unit of the native token, times in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "what is said is described; its fields say what they are by name")]
pub enum Said {
    /// `SecondaryRoundIdUpdated`: readers of the recapturing proxy see this round from here on, be it new or not.
    SecondaryRound { round: u32 },
    /// `PrimaryFeedUnlocked`: the public report of this round came after the one through the auction.
    Unlocked { round: u32 },
    /// `NewRound`: a round begins; the time is when its answer was observed.
    RoundBegun { round: u32, by: Address, observed_at: u32 },
    /// `CutoffTimeSet`: how long readers of the recapturing proxy wait for a public round.
    CutoffSet { seconds: u32 },
    /// `MaxSyncIterationsSet`: how many rounds back such a reader looks for one that it may see.
    ReachSet { rounds: u32 },
    /// `SafeReceived`: native tokens came to a safe.
    Received { from: Address, wei: u128 },
    /// `ExecutionSuccess`: a safe's transaction was carried out; the payment is the refund of its gas.
    Executed { transaction: B256, refund: u128 },
    /// `OevAllocated`: a bid was split; what division left over is the protocol's. Written by whoever executed the bid.
    Allocated { protocol: Address, bid: u128, auctioneer: u128, builder: u128, kept: u128 },
    /// `SolverTxResult`: a bidder's operation was tried.
    Solved { solver: Address, control: Address, token: Address, bid: u128, executed: bool, succeeded: bool },
    /// `MetacallResult`: everything around the operations of an auction is done.
    Settled { bundler: Address, user: Address, succeeded: bool, paid: u128, surcharge: u128 },
}
