//! How a figure is known. It travels with every number that reaches a person or an interface.

use std::fmt;

/// How a figure is known, from the strongest to the weakest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Folded from chain logs and checked against state.
    Exact,
    /// As reported by a venue or an oracle; known undercounts are named beside it.
    Observed,
    /// The result of a model; its assumptions, coverage and band travel with it.
    Estimated,
    /// Somebody's file, taken over as it is.
    Imported,
    /// An input of a scenario, or derived from nothing but such inputs.
    Assumed,
}

impl Standing {
    const ALL: [Self; 5] = [Self::Exact, Self::Observed, Self::Estimated, Self::Imported, Self::Assumed];

    /// The word used in files and outputs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Observed => "observed",
            Self::Estimated => "estimated",
            Self::Imported => "imported",
            Self::Assumed => "assumed",
        }
    }

    /// The standing a word names, if it is one of the five.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.word() == word)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_reads_back() {
        for standing in Standing::ALL {
            assert_eq!(Standing::from_word(standing.word()), Some(standing));
        }
        assert_eq!(Standing::from_word("guessed"), None);
    }
}
