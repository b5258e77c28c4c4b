//! The chart of accounts of a lending protocol's treasury: closed, so that two ledgers can be added up.

use protocol::Address;
use protocol::chain::ChainId;

/// A token on its network: what one ledger is kept in. The same coin on two networks is two assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Asset {
    /// The network.
    pub network: ChainId,
    /// The token's contract, or [`Asset::NATIVE`].
    pub token: Address,
}

impl Asset {
    /// What stands in the place of a contract for a network's native token, as it does in many of its contracts.
    pub const NATIVE: Address = Address::repeat_byte(0xee);

    /// What stands in the place of a contract for US dollars of which no token is known: the number of the currency in ISO 4217, 840,
    /// as price feeds' registries write it.
    pub const DOLLARS: Address = Address::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x03, 0x48]);

    /// US dollars on a network, of which no token is known; kept in 10^-8.
    #[must_use]
    pub const fn dollars(network: ChainId) -> Self {
        Self { network, token: Self::DOLLARS }
    }

    /// A network's native token.
    #[must_use]
    pub const fn native(network: ChainId) -> Self {
        Self { network, token: Self::NATIVE }
    }
}

/// What kind of account it is; it says on which side the account grows and on which statement it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// What the treasury has; grows by debits.
    Asset,
    /// What it owes; grows by credits.
    Liability,
    /// What is left for those it belongs to; grows by credits.
    Equity,
    /// What it earned; grows by credits.
    Income,
    /// What it used up; grows by debits.
    Expense,
}

impl Class {
    /// All, in the order of statements.
    pub const ALL: [Self; 5] = [Self::Asset, Self::Liability, Self::Equity, Self::Income, Self::Expense];

    /// The word in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Asset => "assets",
            Self::Liability => "liabilities",
            Self::Equity => "equity",
            Self::Income => "income",
            Self::Expense => "expenses",
        }
    }

    /// Whether accounts of the class grow by debits.
    #[must_use]
    pub const fn grows_by_debits(self) -> bool {
        matches!(self, Self::Asset | Self::Expense)
    }
}

/// An account of the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// What the collector holds and can spend.
    Cash,
    /// What an auction's safe owes the protocol: its part of what was paid in, less what was transferred. Under zero where
    /// more was transferred than is known to have been paid in.
    SvrReceivable,
    /// What is set aside to cover a reserve's deficits before anybody else bears them.
    LossBuffer,
    /// What is supplied to lending markets.
    Deposits,
    /// What left one network and has not arrived on another; each network's side is its own asset.
    InTransit,
    /// Deficits that were realised and not covered yet.
    DeficitOwed,
    /// What was there when the ledger began.
    OpeningEquity,
    /// What was given and taken when one asset was exchanged for another.
    Exchange,
    /// What was spent on the protocol's own token.
    Buybacks,
    /// The protocol's part of what auctions recaptured.
    SvrShare,
    /// The protocol's part of liquidation bonuses.
    LiquidationFees,
    /// The protocol's part of borrowers' interest.
    ReserveFactor,
    /// Interest on the protocol's own stablecoin.
    GhoInterest,
    /// Fees for loans within a transaction.
    FlashLoanFees,
    /// Interest on what was supplied to lending markets.
    DepositInterest,
    /// Deficits that stakers bore: no income, but an expense below zero, which lessens what deficits cost the treasury.
    BorneByStakers,
    /// Deficits as they were realised.
    DeficitRealised,
    /// Rewards for users and stakers.
    Incentives,
    /// Grants.
    Grants,
    /// What service providers were paid.
    ServiceProviders,
}

impl Code {
    /// All, in the order of statements.
    pub const ALL: [Self; 20] = [
        Self::Cash,
        Self::SvrReceivable,
        Self::LossBuffer,
        Self::Deposits,
        Self::InTransit,
        Self::DeficitOwed,
        Self::OpeningEquity,
        Self::Exchange,
        Self::Buybacks,
        Self::SvrShare,
        Self::LiquidationFees,
        Self::ReserveFactor,
        Self::GhoInterest,
        Self::FlashLoanFees,
        Self::DepositInterest,
        Self::BorneByStakers,
        Self::DeficitRealised,
        Self::Incentives,
        Self::Grants,
        Self::ServiceProviders,
    ];

    /// The class it belongs to.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Cash | Self::SvrReceivable | Self::LossBuffer | Self::Deposits | Self::InTransit => Class::Asset,
            Self::DeficitOwed => Class::Liability,
            Self::OpeningEquity | Self::Exchange | Self::Buybacks => Class::Equity,
            Self::SvrShare
            | Self::LiquidationFees
            | Self::ReserveFactor
            | Self::GhoInterest
            | Self::FlashLoanFees
            | Self::DepositInterest => Class::Income,
            Self::BorneByStakers | Self::DeficitRealised | Self::Incentives | Self::Grants | Self::ServiceProviders => {
                Class::Expense
            }
        }
    }

    /// The word in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Cash => "cash",
            Self::SvrReceivable => "svr-receivable",
            Self::LossBuffer => "loss-buffer",
            Self::Deposits => "deposits",
            Self::InTransit => "in-transit",
            Self::DeficitOwed => "deficit-owed",
            Self::OpeningEquity => "opening-equity",
            Self::Exchange => "exchange",
            Self::Buybacks => "buybacks",
            Self::SvrShare => "svr-share",
            Self::LiquidationFees => "liquidation-fees",
            Self::ReserveFactor => "reserve-factor",
            Self::GhoInterest => "gho-interest",
            Self::FlashLoanFees => "flash-loan-fees",
            Self::DepositInterest => "deposit-interest",
            Self::BorneByStakers => "borne-by-stakers",
            Self::DeficitRealised => "deficit-realised",
            Self::Incentives => "incentives",
            Self::Grants => "grants",
            Self::ServiceProviders => "service-providers",
        }
    }

    /// The account that a word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.word() == word)
    }

    /// Whether it is about one reserve where that is known: income and expenses, buffers and deficits. The rest is held for all
    /// reserves together.
    #[must_use]
    pub const fn is_by_reserve(self) -> bool {
        matches!(self.class(), Class::Income | Class::Expense) || matches!(self, Self::LossBuffer | Self::DeficitOwed)
    }

    /// Which side may not exceed the other, pending transfers that would make it so included.
    #[must_use]
    pub const fn limit(self) -> Limit {
        match self {
            // Nobody spends what he does not have.
            Self::Cash | Self::LossBuffer | Self::Deposits => Limit::CreditsWithinDebits,
            // No deficit is covered that was not realised.
            Self::DeficitOwed => Limit::DebitsWithinCredits,
            Self::SvrReceivable
            | Self::InTransit
            | Self::OpeningEquity
            | Self::Exchange
            | Self::Buybacks
            | Self::SvrShare
            | Self::LiquidationFees
            | Self::ReserveFactor
            | Self::GhoInterest
            | Self::FlashLoanFees
            | Self::DepositInterest
            | Self::BorneByStakers
            | Self::DeficitRealised
            | Self::Incentives
            | Self::Grants
            | Self::ServiceProviders => Limit::None,
        }
    }
}

/// Which side of an account may not exceed the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Either may.
    None,
    /// Debits may not exceed credits.
    DebitsWithinCredits,
    /// Credits may not exceed debits.
    CreditsWithinDebits,
}

/// An account: its place in the chart, what it is kept in, and whose reserve it is about. Two accounts with the same of these are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// What it is kept in.
    pub asset: Asset,
    /// Its place in the chart.
    pub code: Code,
    /// The reserve whose debt it is about, on the asset's network; none where it is about all.
    pub reserve: Option<Address>,
}

impl Account {
    /// An account about no reserve.
    #[must_use]
    pub const fn new(code: Code, asset: Asset) -> Self {
        Self { asset, code, reserve: None }
    }

    /// The same account about a reserve.
    #[must_use]
    pub const fn of_reserve(self, reserve: Address) -> Self {
        Self { reserve: Some(reserve), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn what_stakers_bore_lessens_expenses_and_is_no_income() {
        assert_eq!(Code::BorneByStakers.class(), Class::Expense);
    }

    #[test]
    fn words_and_codes_are_one_to_one() {
        let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(Code::from_word(code.word()), Some(code));
        }
        assert_eq!(Code::from_word("Cash"), None);
        assert!(Code::ALL.windows(2).all(|pair| pair[0] < pair[1]), "the chart's order is the statements' order");
    }
}
