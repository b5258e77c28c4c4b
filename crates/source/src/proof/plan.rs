//! Which blocks to prove, and what that costs, before anything is asked.

use std::collections::BTreeSet;

/// Which blocks of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// These: those with liquidations, for instance. What lies outside the range is left out.
    These(BTreeSet<u64>),
    /// So many, drawn so that the same seed always draws the same ones.
    Sample {
        /// What the draw depends on, besides the range.
        seed: u64,
        /// How many; all where the range has no more.
        count: u64,
    },
    /// Every one.
    All,
}

/// A range, and which of its blocks to prove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The first block.
    pub from: u64,
    /// The last block, not before the first.
    pub to: u64,
    /// Which of them.
    pub choice: Choice,
}

/// What a plan costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Blocks that are looked at.
    pub blocks: u64,
    /// Headers that are asked for.
    pub headers: u64,
    /// Times that all receipts of a block are asked for: the dear ones, of some hundred kilobytes each on a busy chain.
    pub receipts: u64,
}

impl Cost {
    /// All requests, every one of a batch counted.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.headers.saturating_add(self.receipts)
    }
}

impl Plan {
    /// How many blocks the range has.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }

    /// How many blocks are looked at.
    #[must_use]
    pub fn count(&self) -> u64 {
        match &self.choice {
            Choice::These(blocks) => blocks.range(self.from..=self.to).fold(0, |count, _| count + 1),
            Choice::Sample { count, .. } => self.span().min(*count),
            Choice::All => self.span(),
        }
    }

    /// What proving receipts costs: a header and the receipts for each block. A node without `eth_getBlockReceipts` is asked for
    /// every transaction by itself, which costs as many requests more as there are transactions.
    #[must_use]
    pub fn receipts_cost(&self) -> Cost {
        let blocks = self.count();
        Cost { blocks, headers: blocks, receipts: blocks }
    }

    /// What checking bloom filters costs: a header for each block. A block that turns out suspect is read once more.
    #[must_use]
    pub fn bloom_cost(&self) -> Cost {
        let blocks = self.count();
        Cost { blocks, headers: blocks, receipts: 0 }
    }

    /// The blocks, in order. A sample is drawn here and held while it is gone through; everything else is not.
    pub fn blocks(&self) -> Box<dyn Iterator<Item = u64> + Send + '_> {
        match &self.choice {
            Choice::These(blocks) => Box::new(blocks.range(self.from..=self.to).copied()),
            Choice::Sample { count, .. } if *count >= self.span() => Box::new(self.from..=self.to),
            Choice::Sample { seed, count } => Box::new(self.draw(*seed, *count).into_iter()),
            Choice::All => Box::new(self.from..=self.to),
        }
    }

    /// Draws blocks without putting one back, the `n`th from the seed and `n` alone.
    fn draw(&self, seed: u64, count: u64) -> Vec<u64> {
        let span = self.span();
        let leave_out = count > span / 2;
        // Where most are taken, those that are not are drawn: else the last few would be waited for.
        let wanted = if leave_out { span - count } else { count };
        let mut drawn = BTreeSet::new();
        let mut number = 0;
        while (drawn.len() as u64) < wanted {
            drawn.insert(self.from + below(mix(seed, number), span));
            number += 1;
        }
        if leave_out {
            return (self.from..=self.to).filter(|block| !drawn.contains(block)).collect();
        }
        drawn.into_iter().collect()
    }
}

/// Of blocks that were drawn at random and all found right, so many: the share of wrong blocks that the whole range has at
/// most, with 95 % confidence. A share, from 0 to 1; 1 where none was looked at.
#[must_use]
pub fn wrong_at_most(found_right: u64) -> f64 {
    // The exact bound, 1 - 0.05^(1/n); a number of blocks is far below where a float loses one.
    let blocks = u32::try_from(found_right).unwrap_or(u32::MAX);
    if blocks == 0 { 1.0 } else { 1.0 - 0.05_f64.powf(1.0 / f64::from(blocks)) }
}

/// A number that looks random and depends on the seed and the counter alone: SplitMix64's finaliser over both.
fn mix(seed: u64, counter: u64) -> u64 {
    let scramble = |word: u64| {
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    };
    scramble(scramble(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)) ^ counter.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A number below a bound, by the upper half of a product: even but for one part in 2^64 over the bound.
fn below(random: u64, bound: u64) -> u64 {
    u64::try_from((u128::from(random) * u128::from(bound)) >> 64).unwrap_or(0)
}
