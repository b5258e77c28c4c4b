//! A liquidation's row in the ledger of values: what the bonus was and who caught it.

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::{Address, U256};

use super::facts::{Place, Untold, Value};

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
    /// A round that came through the auction made it possible in the same block, but it stands outside of the bundle that the
    /// auction was won with: its bonus leaked.
    Leaked,
    /// A round that came through the auction in an earlier block made it possible: the update landed, and no bid for this.
    Landed,
    /// A public round made it possible once the cutoff was over: no auction was won.
    Fallback,
    /// A feed without an auction made it possible.
    OtherFeed,
    /// No price did.
    NoPrice,
    /// No auction was held, and what made it possible is not told.
    NotAuctioned,
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
    /// Why that is not known, where it is not.
    pub why: Option<Untold>,
    /// How many liquidations the bid was for; none where there was no bid.
    pub shared_by: Option<u32>,
    /// What it was worth.
    pub value: Option<Value>,
    /// What a whole native token cost, in 10^-8 US dollars.
    pub native_usd: Option<Usd8>,
    /// What its transaction cost the sender in fees; where it holds several liquidations, this one's equal part.
    pub gas_wei: Option<u128>,
    /// What was bid for it: what of it the builder or the auctioneer kept, and what came to protocol and network, added up. Where one
    /// bid was for several liquidations, each of these is shared by gross bonus, whole over all of them.
    pub bid_wei: Option<Known<u128>>,
    /// What of the bid the builder or the auctioneer kept.
    pub builder_wei: Option<Known<u128>>,
    /// What of the bid came to the protocol and the network together.
    pub recaptured_wei: Option<u128>,
    /// The protocol's part.
    pub protocol_wei: Option<u128>,
    /// The network's part.
    pub network_wei: Option<u128>,
    /// The payment that brought it: where in the block; the first of several.
    pub payment: Option<Place>,
    /// What it cost to turn the collateral back into the debt, and to borrow the debt for it.
    pub execution_usd: Option<Known<Usd8>>,
}

/// A row's native amounts in US dollars at its block's price. `bid = builder + protocol + network` holds to the unit: bid, builder and
/// network are rounded down, and the protocol owns what that leaves over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dollars {
    /// The bid.
    pub bid: Usd8,
    /// What the builder or the auctioneer kept.
    pub builder: Usd8,
    /// What came to protocol and network: the bid without what the builder kept.
    pub recaptured: Usd8,
    /// The protocol's part.
    pub protocol: Usd8,
    /// The network's part.
    pub network: Usd8,
    /// How the weakest of these is known.
    pub standing: Standing,
}

/// What a searcher was left with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remainder {
    /// Bonus without protocol fee, bid, fees of the transaction and execution. On chains where a part of the bid is paid as priority
    /// fee, that part stands in both bid and fees.
    pub usd: Known<Usd8>,
    /// Why it is below nothing, where it is.
    pub loss: Option<Loss>,
}

/// Why a searcher was left with less than nothing: the first of these that already is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Loss {
    /// At the pool's prices what was seized was worth less than what was repaid.
    Bonus,
    /// The protocol's fee is above the bonus.
    ProtocolFee,
    /// The bid is above the bonus that was left: perhaps it was worth more in the market, or the searcher erred.
    Bid,
    /// The fees of the transaction.
    Gas,
    /// What execution is estimated to cost.
    Execution,
}

/// A row's parts do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Recaptured is not protocol and network.
    Recaptured,
    /// The bid is not builder, protocol and network.
    Bid,
    /// In US dollars, the bid is not builder, protocol and network, or one of them is below nothing.
    Dollars,
    /// The remainder is below nothing without a reason, or has a reason without being so.
    Remainder,
    /// It is paid without a bid or has a bid without being paid.
    Route,
}

impl Row {
    /// The native amounts in US dollars; none where there was no bid, its block has no price, or they do not fit.
    #[must_use]
    pub fn dollars(&self) -> Option<Dollars> {
        let (bid, builder) = (self.bid_wei?, self.builder_wei?);
        let price = self.native_usd?;
        let [bid_usd, builder_usd, network] =
            [bid.value, builder.value, self.network_wei?].map(|wei| usd_of(wei, price));
        let (bid_usd, builder_usd, network) = (bid_usd?, builder_usd?, network?);
        let recaptured = bid_usd.checked_sub(builder_usd)?;
        let protocol = recaptured.checked_sub(network)?;
        let standing = bid.standing.max(builder.standing);
        Some(Dollars { bid: bid_usd, builder: builder_usd, recaptured, protocol, network, standing })
    }

    /// What the transaction's fees were in US dollars, rounded up: they cost somebody.
    #[must_use]
    pub fn gas_usd(&self) -> Option<Usd8> {
        let floor = usd_of(self.gas_wei?, self.native_usd?)?;
        let is_whole = wei_usd(self.gas_wei?, self.native_usd?)?.1;
        floor.checked_add(Usd8(i128::from(!is_whole)))
    }

    /// What the searcher was left with; none where bonus, price, fees or the cost of execution are not known. Without a payment there is
    /// no bid to pay, but where a payment may have been missed there is no telling.
    #[must_use]
    pub fn remainder(&self) -> Option<Remainder> {
        let value = self.value?;
        let execution = self.execution_usd?;
        let (bid, standing) = match self.route {
            Route::Paid => self.dollars().map(|dollars| (dollars.bid, dollars.standing))?,
            Route::PaymentUnknown | Route::Unknown => return None,
            Route::Unpaid
            | Route::Leaked
            | Route::Landed
            | Route::Fallback
            | Route::OtherFeed
            | Route::NoPrice
            | Route::NotAuctioned => (Usd8(0), Standing::Exact),
        };
        let mut left = value.bonus;
        let mut loss = (left.0 < 0).then_some(Loss::Bonus);
        let costs = [
            (value.protocol_fee, Loss::ProtocolFee),
            (bid, Loss::Bid),
            (self.gas_usd()?, Loss::Gas),
            (execution.value, Loss::Execution),
        ];
        for (cost, reason) in costs {
            left = left.checked_sub(cost)?;
            loss = loss.or_else(|| (left.0 < 0).then_some(reason));
        }
        let standing = standing.max(value.standing).max(execution.standing);
        Some(Remainder { usd: Known { value: left, standing }, loss })
    }

    /// Whether everything that must add up does.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), Broken> {
        let sum = self.protocol_wei.zip(self.network_wei).and_then(|(protocol, network)| protocol.checked_add(network));
        if self.recaptured_wei != sum {
            return Err(Broken::Recaptured);
        }
        let whole = self.builder_wei.zip(sum).and_then(|(builder, sum)| builder.value.checked_add(sum));
        if self.bid_wei.map(|bid| bid.value) != whole {
            return Err(Broken::Bid);
        }
        if (self.route == Route::Paid) != self.payment.is_some() || (self.bid_wei.is_some() && self.payment.is_none()) {
            return Err(Broken::Route);
        }
        if let Some(usd) = self.dollars() {
            let parts = [usd.builder, usd.protocol, usd.network];
            let sum = parts.iter().try_fold(Usd8(0), |sum, part| sum.checked_add(*part));
            if sum != Some(usd.bid) || parts.iter().any(|part| part.0 < 0) {
                return Err(Broken::Dollars);
            }
        }
        match self.remainder() {
            Some(remainder) if (remainder.usd.value.0 < 0) != remainder.loss.is_some() => Err(Broken::Remainder),
            _ => Ok(()),
        }
    }
}

/// `floor(wei * price / 10^18)`: what an amount of the native token is worth; none where it does not fit or the price is below nothing.
#[must_use]
pub fn usd_of(wei: u128, price: Usd8) -> Option<Usd8> {
    wei_usd(wei, price).map(|(usd, _)| usd)
}

/// The same, and whether nothing was rounded off.
fn wei_usd(wei: u128, price: Usd8) -> Option<(Usd8, bool)> {
    const WHOLE_TOKEN: U256 = U256::from_limbs([1_000_000_000_000_000_000, 0, 0, 0]);
    let product = U256::from(wei).checked_mul(U256::from(u128::try_from(price.0).ok()?))?;
    let quotient = product.checked_div(WHOLE_TOKEN)?;
    let is_whole = product.checked_rem(WHOLE_TOKEN)?.is_zero();
    let usd = i128::try_from(u128::try_from(quotient).ok()?).ok()?;
    Some((Usd8(usd), is_whole))
}

impl Route {
    /// Every route.
    pub const ALL: [Self; 10] = [
        Self::Paid,
        Self::Unpaid,
        Self::PaymentUnknown,
        Self::Leaked,
        Self::Landed,
        Self::Fallback,
        Self::OtherFeed,
        Self::NoPrice,
        Self::NotAuctioned,
        Self::Unknown,
    ];

    /// Those an auction was held for: the numerator of coverage.
    pub const ROUTED: [Self; 3] = [Self::Paid, Self::Unpaid, Self::PaymentUnknown];

    /// Its place among [`Self::ALL`].
    #[must_use]
    pub const fn place(self) -> usize {
        self as usize
    }

    /// The word used in tables and files.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paid => "paid",
            Self::Unpaid => "unpaid",
            Self::PaymentUnknown => "payment unknown",
            Self::Leaked => "leaked",
            Self::Landed => "landed before",
            Self::Fallback => "fallback",
            Self::OtherFeed => "other feed",
            Self::NoPrice => "no price",
            Self::NotAuctioned => "not auctioned",
            Self::Unknown => "unknown",
        }
    }

    /// The route a word names, if it is one.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.word() == word)
    }
}
