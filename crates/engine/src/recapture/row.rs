//! A liquidation's row in the ledger of values: what the bonus was and who caught it.

use protocol::Address;
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;

use super::facts::{Place, Value};

/// A figure and how it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known<T> {
    /// The figure.
    pub value: T,
    /// How it is known.
    pub standing: Standing,
}

/// How a liquidation came about, and what became of its auction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// A round that came through the auction made it possible in the same block, and the bid was paid.
    Paid,
    /// A round that came through the auction made it possible in the same block, and nobody paid.
    Unpaid,
    /// A round that came through the auction made it possible, and whether somebody paid is not known.
    PaymentUnknown,
    /// A public round made it possible once the cutoff was over: no auction was won.
    Fallback,
    /// A feed without an auction made it possible.
    OtherFeed,
    /// No price did.
    NoPrice,
    /// Logs do not tell.
    Unknown,
}

/// A liquidation and where its bonus went. Amounts of native tokens are exact integers in their smallest unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its chain.
    pub chain: ChainId,
    /// Its block.
    pub block: u64,
    /// The block's time in seconds since 1970.
    pub time: u64,
    /// Where in the block it stands.
    pub place: Place,
    /// The market.
    pub market: String,
    /// Whose position it was.
    pub user: Address,
    /// Who took it.
    pub liquidator: Address,
    /// What was seized.
    pub collateral: Address,
    /// What was repaid.
    pub debt: Address,
    /// The aggregator whose round made it possible.
    pub aggregator: Option<Address>,
    /// How it came about.
    pub route: Route,
    /// What it was worth.
    pub value: Option<Value>,
    /// What a whole native token cost, in 10^-8 US dollars.
    pub native_usd: Option<Usd8>,
    /// What its transaction cost the sender in fees.
    pub gas_wei: Option<u128>,
    /// What was bid for it; where one bid was for several liquidations, this one's part by gross bonus, whole over all of them.
    pub bid_wei: Option<Known<u128>>,
    /// What of the bid the builder or the auctioneer kept.
    pub builder_wei: Option<Known<u128>>,
    /// What of the bid came to the protocol and the network together.
    pub recaptured_wei: Option<u128>,
    /// The protocol's part.
    pub protocol_wei: Option<u128>,
    /// The network's part.
    pub network_wei: Option<u128>,
    /// The payment that brought it: where in the block.
    pub payment: Option<Place>,
    /// What it cost to turn the collateral back into the debt, and to borrow the debt for it.
    pub execution_usd: Option<Known<Usd8>>,
}
