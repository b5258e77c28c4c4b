//! One liquidation call, as far as its source knew it.

use std::fmt;
use std::sync::Arc;

use alloy_primitives::{Address, B256};

use crate::amount::{Raw, Usd8};
use crate::chain::ChainId;
use crate::token::Token;

/// A liquidation: somebody repaid a user's debt and seized collateral for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Liquidation {
    /// The chain it happened on.
    pub chain: ChainId,
    /// The market, such as `aave_v2_amm`.
    pub market: Arc<str>,
    /// The protocol's version, where the source or the market's name says.
    pub version: Option<Version>,
    /// Its block, where the source says.
    pub block: Option<u64>,
    /// Its transaction, where the source says.
    pub transaction: Option<B256>,
    /// The position of its log in the block, where the source says.
    pub log_index: Option<u32>,
    /// The account that was liquidated.
    pub user: Address,
    /// The account that liquidated it, where the source says.
    pub liquidator: Option<Address>,
    /// What was seized, without the protocol's fee: `LiquidationCall.liquidatedCollateralAmount`.
    pub collateral: Option<Leg>,
    /// What was repaid: `LiquidationCall.debtToCover`.
    pub debt: Option<Leg>,
    /// The protocol's fee on the bonus, in US dollars, where the source says.
    pub protocol_fee: Option<Usd8>,
}

/// One side of a liquidation.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// The token.
    pub token: Token,
    /// How much of it.
    pub amount: Amount,
    /// What it was worth, where the source says or gives a price.
    pub usd: Option<Usd8>,
}

/// An amount of a token, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Amount {
    /// The chain's own integer.
    Exact(Raw),
    /// A number of tokens that is near the chain's integer but not it.
    Inexact {
        /// The number of tokens.
        tokens: f64,
        /// Why it is not exact.
        why: Inexact,
    },
    /// The source says nothing.
    Missing,
}

/// Why an amount is not the chain's own integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Inexact {
    /// The file itself holds floats.
    Float,
    /// More digits than the token has decimals: a computed number.
    TooFine,
    /// Nobody said how many decimals the token has.
    UnknownDecimals,
}

impl Inexact {
    /// The word used in the table columns `collateral_basis` and `debt_basis`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::TooFine => "too fine",
            Self::UnknownDecimals => "decimals unknown",
        }
    }
}

impl fmt::Display for Inexact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Float => "the file holds floats, so the raw amount is left empty",
            Self::TooFine => "the file gives more digits than the token has decimals, so the raw amount is left empty",
            Self::UnknownDecimals => "the token's decimals are not known, so the raw amount is left empty",
        })
    }
}

/// The major version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Aave V1.
    V1,
    /// Aave V2.
    V2,
    /// Aave V3, any minor version.
    V3,
    /// Aave V4.
    V4,
}

impl Version {
    const ALL: [Self; 4] = [Self::V1, Self::V2, Self::V3, Self::V4];

    /// `V1` to `V4`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
            Self::V3 => "V3",
            Self::V4 => "V4",
        }
    }

    /// Reads `V2`, `v2`, `2`, `3.0.2` or `aave_v3`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let number = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let major = number.split('.').next().unwrap_or("");
        Self::ALL.into_iter().find(|version| version.word().get(1..) == Some(major)).or_else(|| Self::named_in(text))
    }

    /// The version that a market's name carries as a word of its own: `aave_v2_amm`, `Aave V3 Ethereum`, `polygon-v3`.
    #[must_use]
    pub fn named_in(market: &str) -> Option<Self> {
        let mut words = market.split(|c: char| !c.is_ascii_alphanumeric());
        words.find_map(|word| Self::ALL.into_iter().find(|version| version.word().eq_ignore_ascii_case(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_people_write() {
        for (text, expected) in [
            ("V2", Some(Version::V2)),
            ("v3", Some(Version::V3)),
            ("3", Some(Version::V3)),
            ("3.0.2", Some(Version::V3)),
            ("aave_v3", Some(Version::V3)),
            ("Aave V2 Polygon", Some(Version::V2)),
            ("5", None),
            ("", None),
            ("v", None),
            ("cv2x", None),
        ] {
            assert_eq!(Version::parse(text), expected, "{text}");
        }
        assert_eq!(Version::named_in("aave_v2_amm"), Some(Version::V2));
        assert_eq!(Version::named_in("Aave Ethereum WBTC"), None);
        assert_eq!(Version::named_in("2"), None, "a bare number in a name is no version");
    }
}
