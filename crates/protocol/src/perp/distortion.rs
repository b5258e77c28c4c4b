//! What is known to be wrong or lacking about what a venue says.

/// A way in which a venue's statement falls short of, or was turned from, what happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Distortion {
    /// Of several liquidations of a contract within a second, only the latest is told (Binance, Liquidation Order Streams).
    LatestOfSecond,
    /// At most one liquidation of a contract is told a second (OKX).
    OnePerSecond,
    /// The venue counts in contracts; coins are contracts times the contract's size, for inverse contracts divided by a price.
    FromContracts,
    /// The venue adds longs and shorts up; it was halved.
    Halved,
    /// The venue does not say whether it counts one side or both; it was taken as one.
    SidesUnstated,
    /// The venue states no time; it is the time of hearing it.
    TimeOfHearing,
    /// The price is not that of a trade, and the value in dollars is at that price.
    NotTraded,
    /// Only the accounts that were asked about are seen, not all there are.
    PartOfAccounts,
    /// It is the sum of a stretch of time, not one event.
    Summed,
}

impl Distortion {
    /// Every distortion.
    pub const ALL: [Self; 9] = [
        Self::LatestOfSecond,
        Self::OnePerSecond,
        Self::FromContracts,
        Self::Halved,
        Self::SidesUnstated,
        Self::TimeOfHearing,
        Self::NotTraded,
        Self::PartOfAccounts,
        Self::Summed,
    ];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LatestOfSecond => "latest_of_second",
            Self::OnePerSecond => "one_per_second",
            Self::FromContracts => "from_contracts",
            Self::Halved => "halved",
            Self::SidesUnstated => "sides_unstated",
            Self::TimeOfHearing => "time_of_hearing",
            Self::NotTraded => "not_traded",
            Self::PartOfAccounts => "part_of_accounts",
            Self::Summed => "summed",
        }
    }

    /// The distortion a word names, if it is one of them.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|distortion| distortion.word() == word)
    }

    /// What it means, in a sentence for people.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::LatestOfSecond => {
                "only the latest liquidation of a contract in each second is told: totals are too low"
            }
            Self::OnePerSecond => "at most one liquidation of a contract is told a second: totals are too low",
            Self::FromContracts => "turned into coins from contracts at the contract's size",
            Self::Halved => "the venue adds longs and shorts up; halved to one side",
            Self::SidesUnstated => {
                "the venue does not say whether it counts one side or both; taken as one, which is the most it can be"
            }
            Self::TimeOfHearing => "the venue states no time; the time of hearing it stands instead",
            Self::NotTraded => "the price is not that of a trade, and the value is at that price",
            Self::PartOfAccounts => "only the accounts asked about are seen",
            Self::Summed => "the sum of a stretch of time, not one event",
        }
    }

    const fn bit(self) -> u16 {
        match self {
            Self::LatestOfSecond => 1,
            Self::OnePerSecond => 2,
            Self::FromContracts => 4,
            Self::Halved => 8,
            Self::SidesUnstated => 16,
            Self::TimeOfHearing => 32,
            Self::NotTraded => 64,
            Self::PartOfAccounts => 128,
            Self::Summed => 256,
        }
    }
}

/// A set of [`Distortion`]s.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Distortions(u16);

impl Distortions {
    /// None is known.
    pub const NONE: Self = Self(0);

    /// The set with one more.
    #[must_use]
    pub const fn with(self, distortion: Distortion) -> Self {
        Self(self.0 | distortion.bit())
    }

    /// Whether one is in it.
    #[must_use]
    pub const fn has(self, distortion: Distortion) -> bool {
        self.0 & distortion.bit() != 0
    }

    /// Those in it, in their own order.
    pub fn iter(self) -> impl Iterator<Item = Distortion> {
        Distortion::ALL.into_iter().filter(move |distortion| self.has(*distortion))
    }
}

impl FromIterator<Distortion> for Distortions {
    fn from_iter<I: IntoIterator<Item = Distortion>>(distortions: I) -> Self {
        distortions.into_iter().fold(Self::NONE, Self::with)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back_and_every_set_holds_what_was_put_in() {
        for (place, distortion) in Distortion::ALL.into_iter().enumerate() {
            assert_eq!(Distortion::from_word(distortion.word()), Some(distortion));
            let rest: Distortions = Distortion::ALL.into_iter().filter(|other| *other != distortion).collect();
            assert!(!rest.has(distortion), "no two share a bit");
            assert!(rest.with(distortion).has(distortion));
            assert_eq!(rest.with(distortion).iter().nth(place), Some(distortion), "all stand in their own order");
        }
        assert_eq!(Distortions::NONE.iter().count(), 0);
    }
}
