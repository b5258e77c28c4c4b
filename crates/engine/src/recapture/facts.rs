//! What is known of blocks with liquidations, rounds of oracles and payments, before anything is concluded from it.

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::{Address, B256, I256};

/// A block, as far as recapture is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its chain.
    pub chain: ChainId,
    /// Its number.
    pub number: u64,
    /// Its time in seconds since 1970.
    pub time: u64,
    /// Who gets its fees.
    pub fee_recipient: Address,
    /// What a whole native token cost, in 10^-8 US dollars.
    pub native_usd: Option<Usd8>,
    /// Whether all of its transactions were looked at. Only then is a payment that is not there known to be absent.
    pub is_whole: bool,
    /// What happened, ordered by place.
    pub happened: Vec<(Place, Happened)>,
}

/// Where in a block something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The place of the transaction in its block.
    pub transaction_index: u32,
    /// The place of the log in its block; none for what is no log, which comes before the logs of its transaction.
    pub log_index: Option<u64>,
    /// The transaction.
    pub transaction: B256,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// A dual aggregator took a new round.
    Round {
        /// The aggregator.
        aggregator: Address,
        /// The round.
        round: u32,
        /// The answer, in the feed's own decimals.
        answer: I256,
        /// When it was observed, in seconds since 1970.
        observed_at: u32,
        /// By which way it came in.
        path: Path,
    },
    /// A round that stood already became visible to the readers of the recapturing proxy.
    Exposed {
        /// The aggregator.
        aggregator: Address,
        /// The round.
        round: u32,
    },
    /// The owner of an aggregator set how long its recapturing readers wait for public rounds.
    CutoffSet {
        /// The aggregator.
        aggregator: Address,
        /// Seconds.
        seconds: u32,
    },
    /// The owner of an aggregator set how many rounds its recapturing readers look back over.
    MaxSyncSet {
        /// The aggregator.
        aggregator: Address,
        /// Rounds.
        rounds: u32,
    },
    /// A report of the newest round's epoch came again: in public it ends the hiding of that round from other readers.
    Repeated {
        /// The aggregator.
        aggregator: Address,
        /// By which way it came.
        path: Path,
    },
    /// An account was liquidated.
    Liquidated(Box<Liquidated>),
    /// Native tokens came to a safe.
    Payment {
        /// The safe.
        safe: Address,
        /// Who paid.
        from: Address,
        /// How much, in the smallest unit.
        wei: u128,
    },
    /// A settlement contract split a bid among builder, protocol and whoever runs the auction.
    Allocated {
        /// The contract that controls the auction.
        control: Address,
        /// The bid, in the smallest unit of the native token.
        bid_wei: u128,
        /// What of it went to whoever runs the auction.
        auctioneer_wei: u128,
        /// What of it went to the block's fee recipient.
        builder_wei: u128,
        /// What of it went to the protocol, with what division left over.
        protocol_wei: u128,
    },
    /// A solver's operation was tried.
    Solved {
        /// Who signed it.
        solver: Address,
        /// What it offered, in the smallest unit of the native token.
        bid_wei: u128,
        /// Whether it was carried out and paid.
        succeeded: bool,
    },
}

/// How a round came into an aggregator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    /// In public: recapturing readers see it only after the cutoff.
    Primary,
    /// Through the auction: recapturing readers see it at once, others from the next block's time on.
    Secondary,
}

/// A liquidation, as far as logs and prices tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Liquidated {
    /// The market's name.
    pub market: String,
    /// Whose position it was.
    pub user: Address,
    /// Who took it.
    pub liquidator: Address,
    /// What was seized.
    pub collateral: Address,
    /// What was repaid: the reserve whose position was unwound.
    pub debt: Address,
    /// What made it possible.
    pub trigger: Trigger,
    /// What it was worth; none where a price or an amount is missing.
    pub value: Option<Value>,
    /// What its transaction cost the sender in fees, in the smallest unit of the native token.
    pub gas_wei: Option<u128>,
}

/// What made an account liquidatable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trigger {
    /// A round of a dual aggregator.
    Round {
        /// The aggregator.
        aggregator: Address,
        /// The round.
        round: u32,
    },
    /// A new answer of a feed without an auction.
    OtherFeed(Address),
    /// Interest, a changed parameter or the account's own doing: no price it depends on moved since it was healthy.
    NoPrice,
    /// Logs do not tell.
    Unknown(Untold),
}

/// Why logs do not tell what made an account liquidatable, or what was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Untold {
    /// A price is not told by logs.
    Price,
    /// The account could be liquidated as far back as is known.
    Since,
    /// The source does not say.
    Source,
    /// Nothing was ever seen of the aggregator that is said to have made it possible.
    Aggregator,
    /// The round that is said to have made it possible came before what was read, or too long ago to be held.
    Round,
    /// The round that is said to have made it possible was not visible to the market then, by the cutoff that is known; or none is,
    /// so that it is not known to have been visible.
    Unseen,
    /// Somebody paid behind it who is no known payer, and perhaps for it.
    Payer,
    /// What the logs say of its payment contradicts itself.
    Contradiction,
}

/// What a liquidation was worth at the prices that the pool saw, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value {
    /// What was seized.
    pub collateral: Usd8,
    /// What was repaid.
    pub debt: Usd8,
    /// What was seized beyond what was repaid: the gross bonus.
    pub bonus: Usd8,
    /// What of the bonus the protocol kept as its fee.
    pub protocol_fee: Usd8,
    /// How the weakest of these is known.
    pub standing: Standing,
}

impl Value {
    /// Whether it can be: nothing is below nothing but the bonus, which is what was seized beyond what was repaid. What cannot be is
    /// taken as not known.
    #[must_use]
    pub fn is_one(&self) -> bool {
        let are_amounts = [self.collateral, self.debt, self.protocol_fee].iter().all(|usd| usd.0 >= 0);
        are_amounts && self.collateral.checked_sub(self.debt) == Some(self.bonus)
    }
}
