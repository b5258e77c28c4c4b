//! What the two kinds of readers of a dual aggregator see: those of the recapturing proxy, who wait, and all others.
//!
//! The rules are those of DualAggregator 1.0.0, `_getLatestRound` for reading and `_transmit` for what a transmission leaves
//! behind; whether a transmission is accepted (signatures, epochs, who sends it) is not decided here: only accepted ones are told.

use std::collections::BTreeMap;

use protocol::I256;

use super::facts::Path;

/// An accepted transmission, or a setting that readers depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transmission {
    /// A new round.
    Round {
        /// What it says.
        reading: Reading,
        /// By which way it came in.
        path: Path,
    },
    /// The auction's way brought a report whose round stood already: readers of the recapturing proxy see that round from now on.
    Exposed {
        /// The round.
        round: u32,
    },
    /// A report of the newest round's epoch came again, by this way. In public it ends the hiding of the newest round from
    /// other readers; through the auction it begins it anew.
    Repeated {
        /// By which way.
        path: Path,
    },
    /// How long readers of the recapturing proxy wait for public rounds.
    Cutoff {
        /// Seconds.
        seconds: u32,
    },
    /// How many rounds are looked back over.
    MaxSync {
        /// Rounds.
        rounds: u32,
    },
}

/// A round as readers see it. Round 0 with the answer 0 is what an aggregator without any round answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The round.
    pub round: u32,
    /// The answer, in the feed's own decimals.
    pub answer: I256,
    /// When it was observed, in seconds since 1970.
    pub observed_at: u32,
    /// The time of the block that took it in, in seconds since 1970.
    pub recorded_at: u64,
}

impl Reading {
    /// What an aggregator answers before its first round.
    pub const NOTHING: Self = Self { round: 0, answer: I256::ZERO, observed_at: 0, recorded_at: 0 };
}

/// The most rounds that are held: no reader is shown an older one but the last that came through the auction, which is always held.
pub const MOST_ROUNDS: usize = 1_024;

/// What a dual aggregator has stored that readers depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    rounds: BTreeMap<u32, Reading>,
    latest: u32,
    latest_secondary: u32,
    is_latest_secondary: bool,
    cutoff_seconds: Option<u32>,
    max_sync_rounds: u32,
    /// Whether everything since the aggregator's first round was told.
    is_whole: bool,
}

impl View {
    /// How far back readers look where nobody set it: what was measured on a deployed aggregator.
    pub const USUAL_MAX_SYNC_ROUNDS: u32 = 20;

    /// An aggregator without rounds and with these settings.
    #[must_use]
    pub fn new(cutoff_seconds: u32, max_sync_rounds: u32) -> Self {
        Self { cutoff_seconds: Some(cutoff_seconds), max_sync_rounds, is_whole: true, ..Self::begun_late() }
    }

    /// An aggregator of which nothing is known yet: neither what came before nor its cutoff.
    #[must_use]
    pub fn begun_late() -> Self {
        Self {
            rounds: BTreeMap::new(),
            latest: 0,
            latest_secondary: 0,
            is_latest_secondary: false,
            cutoff_seconds: None,
            max_sync_rounds: Self::USUAL_MAX_SYNC_ROUNDS,
            is_whole: false,
        }
    }

    /// What all of these leave behind.
    pub fn replay<'a>(&mut self, transmissions: impl IntoIterator<Item = &'a Transmission>) {
        transmissions.into_iter().for_each(|transmission| self.apply(transmission));
    }

    /// What a transmission or a setting leaves behind.
    pub fn apply(&mut self, transmission: &Transmission) {
        match *transmission {
            Transmission::Round { reading, path } => {
                self.rounds.insert(reading.round, reading);
                self.latest = reading.round;
                self.is_latest_secondary = path == Path::Secondary;
                if self.is_latest_secondary {
                    self.latest_secondary = reading.round;
                }
                self.forget();
            }
            // The contract returns before it notes by which way the newest round came.
            Transmission::Exposed { round } => self.latest_secondary = round,
            Transmission::Repeated { path } => self.is_latest_secondary = path == Path::Secondary,
            Transmission::Cutoff { seconds } => self.cutoff_seconds = Some(seconds),
            Transmission::MaxSync { rounds } => self.max_sync_rounds = rounds,
        }
    }

    /// How long readers of the recapturing proxy wait for public rounds, in seconds; none where it was never told.
    #[must_use]
    pub const fn cutoff_seconds(&self) -> Option<u32> {
        self.cutoff_seconds
    }

    /// What readers of the recapturing proxy see in a block of this time: the last round that came through the auction or, where
    /// that is older than the cutoff, the newest that is. None where what was told does not say it.
    #[must_use]
    pub fn secondary(&self, now: u64) -> Option<Reading> {
        let through_auction = self.reading(self.latest_secondary)?;
        let cutoff = u64::from(self.cutoff_seconds?);
        // Strictly older: a round is still hidden in the very second its cutoff ends.
        let is_over = |reading: &Reading| reading.recorded_at.saturating_add(cutoff) < now;
        if !is_over(&through_auction) {
            return Some(through_auction);
        }
        let oldest = self.latest.saturating_sub(self.max_sync_rounds);
        for round in (oldest.saturating_add(1)..=self.latest).rev() {
            let reading = self.reading(round)?;
            if round == self.latest_secondary || is_over(&reading) {
                return Some(reading);
            }
        }
        Some(through_auction)
    }

    /// What all other readers see in a block of this time: the newest round, but not in its own second if only the auction brought it.
    /// None where what was told does not say it.
    #[must_use]
    pub fn standard(&self, now: u64) -> Option<Reading> {
        let newest = self.reading(self.latest)?;
        let is_hidden = self.latest == self.latest_secondary && self.is_latest_secondary && newest.recorded_at == now;
        if is_hidden { self.reading(self.latest.saturating_sub(1)) } else { Some(newest) }
    }

    /// A round that is held.
    #[must_use]
    pub fn round(&self, round: u32) -> Option<&Reading> {
        self.rounds.get(&round)
    }

    fn reading(&self, round: u32) -> Option<Reading> {
        if round == 0 {
            // Where the beginning was not seen, no round through the auction yet does not mean that there was none.
            return self.is_whole.then_some(Reading::NOTHING);
        }
        self.rounds.get(&round).copied()
    }

    fn forget(&mut self) {
        while self.rounds.len() > MOST_ROUNDS {
            let oldest = self.rounds.keys().copied().find(|round| *round != self.latest_secondary);
            let Some(oldest) = oldest else { return };
            self.rounds.remove(&oldest);
        }
    }
}

/// What both kinds of readers see in one block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The block's time in seconds since 1970.
    pub time: u64,
    /// What readers of the recapturing proxy see at its end.
    pub secondary: Reading,
    /// What all others see at its end.
    pub standard: Reading,
}

impl Seen {
    /// How far the recapturing reader's answer is from the other's, in millionths of the latter, rounded towards zero; none where
    /// that is nothing.
    #[must_use]
    pub fn deviation_ppm(&self) -> Option<i64> {
        let difference = self.secondary.answer.checked_sub(self.standard.answer)?;
        let scaled = difference.checked_mul(I256::unchecked_from(1_000_000))?;
        i64::try_from(scaled.checked_div(self.standard.answer)?).ok()
    }
}

/// A stretch of blocks in which both kinds of readers saw different rounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The time of its first block in seconds since 1970.
    pub from: u64,
    /// The time of the first block in which they agree again; none where they do not yet.
    pub to: Option<u64>,
    /// Blocks within.
    pub blocks: u64,
    /// The furthest that the answers were apart, in millionths of what the standard reader saw, by size.
    pub worst_ppm: Option<u64>,
    /// Which reader was ahead when it began: the one of the recapturing proxy, for a round that came through the auction.
    pub is_secondary_ahead: bool,
}

/// Joins what is seen block by block, in order, into stretches of disagreement.
#[derive(Debug, Clone, Default)]
pub struct Gaps {
    open: Option<Gap>,
    /// Blocks looked at.
    pub blocks: u64,
    /// Blocks in which both kinds of readers saw different rounds.
    pub differing: u64,
}

impl Gaps {
    /// Adds a block, and gives the stretch that it ends.
    pub fn add(&mut self, seen: &Seen) -> Option<Gap> {
        self.blocks = self.blocks.saturating_add(1);
        if seen.secondary.round == seen.standard.round {
            let mut over = self.open.take()?;
            over.to = Some(seen.time);
            return Some(over);
        }
        self.differing = self.differing.saturating_add(1);
        let gap = self.open.get_or_insert(Gap {
            from: seen.time,
            to: None,
            blocks: 0,
            worst_ppm: None,
            is_secondary_ahead: seen.secondary.round > seen.standard.round,
        });
        gap.blocks = gap.blocks.saturating_add(1);
        gap.worst_ppm = gap.worst_ppm.max(seen.deviation_ppm().map(i64::unsigned_abs));
        None
    }

    /// The stretch that has not ended.
    #[must_use]
    pub const fn open(&self) -> Option<&Gap> {
        self.open.as_ref()
    }
}

#[cfg(test)]
mod tests;
