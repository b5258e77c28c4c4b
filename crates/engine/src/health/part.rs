//! A part of the accounts of one shape, filed in the order in which a fall would reach them.

use super::block::{Blocks, LANES};
use super::factors::{Factors, Param, Term};

/// Who stands in an empty place.
pub(super) const NOBODY: u32 = u32::MAX;

/// Sums from which on an account is looked at always; far enough below where sums stop being finite.
const LARGEST: f64 = (1_u128 << 100) as f64;

/// Collateral that grew by more since it was filed might leave single precision.
const GROWTH: f64 = (1_u32 << 20) as f64;

/// How much more slack an account is filed with than it has: slack may double before it counts.
const SLACKENING: f64 = 2.0;

/// Accounts with equally many legs. Those that were filed stand first, whole blocks of them, the safest first of all;
/// behind them whoever came since. So whom a fall reaches stands together at the end.
#[derive(Debug, Clone)]
pub(super) struct Part {
    blocks: Blocks,
    /// The shape of all its accounts, if they have one.
    pub(super) shape: Option<Box<[Param]>>,
    /// What the legs of those that are filed were worth then.
    filed: Vec<Filed>,
    /// The largest key in each filed block, ascending.
    bounds: Vec<f32>,
    /// Every parameter that an account named since the part was made, ascending.
    pub(super) named: Vec<Param>,
    /// Accounts in it.
    live: usize,
    /// Looks at healthy accounts since it was filed.
    pub(super) wasted: usize,
    /// Whether it is waiting to be filed anew.
    pub(super) is_due: bool,
    /// Whom the last look could not clear, and who came since. Who left since may be among them.
    pub(super) suspects: Vec<u32>,
    /// Whether somebody left since the last look.
    pub(super) is_left: bool,
    /// The tick that last looked at it.
    pub(super) seen: u64,
    /// Whether somebody came since then.
    pub(super) is_touched: bool,
}

/// What one leg was worth.
#[derive(Debug, Clone, Copy)]
struct Filed {
    param: Param,
    is_collateral: bool,
    term: Term,
}

impl Part {
    /// For accounts of one shape.
    pub(super) fn of_shape(shape: &[Param], collateral: usize) -> Self {
        Self::new(Some(shape.into()), Blocks::same(collateral, &shape[1..]))
    }

    /// For accounts of any shape with so many legs.
    pub(super) fn mixed(collateral: usize, debt: usize) -> Self {
        Self::new(None, Blocks::own(collateral, debt))
    }

    fn new(shape: Option<Box<[Param]>>, blocks: Blocks) -> Self {
        Self {
            blocks,
            shape,
            filed: Vec::new(),
            bounds: Vec::new(),
            named: Vec::new(),
            live: 0,
            wasted: 0,
            is_due: false,
            suspects: Vec::new(),
            is_left: false,
            seen: 0,
            is_touched: false,
        }
    }

    /// Accounts in it.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Places in it, those of accounts that left too.
    pub(super) fn places(&self) -> usize {
        self.blocks.accounts().len()
    }

    /// The shape of the account in one place.
    pub(super) fn shape_at(&self, at: usize) -> Vec<Param> {
        self.blocks.shape(at)
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.blocks.bytes()
            + self.shape.as_ref().map_or(0, |shape| size_of_val(&**shape))
            + self.filed.capacity() * size_of::<Filed>()
            + (self.bounds.capacity() + self.suspects.capacity()) * size_of::<u32>()
            + self.named.capacity() * size_of::<Param>()
    }

    /// Adds an account, and says where. It is looked at until the part is filed anew.
    pub(super) fn push(&mut self, account: u32, params: &[Param], amounts: &[f32]) -> usize {
        self.live += 1;
        self.blocks.push(account, params, amounts)
    }

    /// Takes an account out.
    pub(super) fn vacate(&mut self, at: usize) {
        self.live -= 1;
        self.is_left = true;
        self.blocks.vacate(at, NOBODY);
    }

    /// Looks at those whom the way from the factors it was filed under to these can have reached, and at no one else;
    /// says at how many places. Whom it cannot clear goes to `suspects`, which is overwritten.
    pub(super) fn look(&mut self, factors: &Factors, words: &mut Vec<u16>, suspects: &mut Vec<u32>) -> usize {
        let reach = self.reach(factors);
        // From the end, where they stand whom it may have reached: few, and all of them are looked at.
        let passed = self.bounds.iter().rposition(|bound| f64::from(*bound) <= reach);
        let first = passed.map_or(0, |last| last + 1);
        words.clear();
        self.blocks.evaluate_from(first, factors, words);
        suspects.clear();
        let accounts = &self.blocks.accounts()[first * LANES..];
        for (accounts, word) in accounts.chunks(LANES).zip(&*words) {
            let mut doubted = !word;
            while doubted != 0 {
                let account = accounts.get(doubted.trailing_zeros() as usize).copied();
                suspects.extend(account.filter(|account| *account != NOBODY));
                doubted &= doubted - 1;
            }
        }
        let looked = accounts.len();
        self.wasted += looked - suspects.len();
        looked
    }

    /// Accounts with keys up to this are healthy under these factors; below zero where nothing is known.
    fn reach(&self, factors: &Factors) -> f64 {
        const NONE: f64 = -1.0;
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for filed in &self.filed {
            let now = self.term(factors, filed.param, filed.is_collateral);
            let [from, to] = [filed.term.factor, now.factor].map(f64::from);
            let ratio = if from == to { 1.0 } else { to / from };
            // Interest moves factors alone, and divisions are most of what is computed here.
            let is_slack_kept = now.slack == filed.term.slack && now.slack.is_finite();
            let slack =
                if is_slack_kept { 1.0 } else { f64::from(now.slack) / f64::from(filed.term.slack) } / SLACKENING;
            let is_known = to.is_finite() && slack.is_finite() && (0.0..=GROWTH).contains(&ratio);
            if !is_known {
                return NONE;
            }
            if filed.is_collateral && from > 0.0 {
                least = least.min(ratio);
            } else {
                most = most.max(ratio);
            }
            most = most.max(slack);
        }
        if least.is_finite() { least * (1.0 - self.margin()) / most } else { NONE }
    }

    /// Eight times the relative error of an account's sums.
    fn margin(&self) -> f64 {
        8.0 * self.blocks.relative_error()
    }

    fn term(&self, factors: &Factors, param: Param, is_collateral: bool) -> Term {
        let table = if is_collateral { self.blocks.collateral_terms(factors) } else { &factors.debt };
        table.get(usize::from(param)).copied().unwrap_or(Term::UNKNOWN)
    }

    /// Puts the accounts in their order under these factors. Says who stands where now.
    pub(super) fn file(&mut self, factors: &Factors, mut moved: impl FnMut(u32, usize)) {
        let mut order: Vec<(f64, u32, usize)> = Vec::with_capacity(self.live);
        let accounts = self.blocks.accounts().iter().enumerate().filter(|(_, account)| **account != NOBODY);
        order.extend(accounts.map(|(at, account)| (self.key(factors, at), *account, at)));
        order.sort_unstable_by(|one, other| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1)));
        let mut blocks = self.blocks.emptied(order.len());
        // Full blocks, so that whoever comes next begins one; nobody comes first.
        if let Some((_, _, safest)) = order.first() {
            for place in 0..order.len().next_multiple_of(LANES) - order.len() {
                blocks.push_from(&self.blocks, *safest);
                blocks.vacate(place, NOBODY);
            }
        }
        let padding = blocks.accounts().len();
        for ((_, account, from), at) in order.iter().zip(padding..) {
            blocks.push_from(&self.blocks, *from);
            moved(*account, at);
        }
        self.bounds.clear();
        let last = (LANES - 1..blocks.accounts().len()).step_by(LANES).map(|at| order[at - padding].0);
        self.bounds.extend(last.map(rounded_up));
        self.blocks = blocks;
        (self.wasted, self.is_due) = (0, false);
        self.remember(factors);
    }

    /// Keeps what the legs are worth as it is filed.
    fn remember(&mut self, factors: &Factors) {
        let mut sides: Vec<(bool, Param)> = match &self.shape {
            Some(shape) => {
                let collateral = usize::from(shape[0]);
                shape[1..].iter().enumerate().map(|(column, param)| (column < collateral, *param)).collect()
            }
            None => (0..self.places())
                .flat_map(|at| self.blocks.legs(at).map(|(param, _, is_collateral)| (is_collateral, param)))
                .collect(),
        };
        sides.sort_unstable();
        sides.dedup();
        let filed = sides.iter().map(|(is_collateral, param)| Filed {
            param: *param,
            is_collateral: *is_collateral,
            term: self.term(factors, *param, *is_collateral),
        });
        self.filed = filed.collect();
    }

    /// What the account in one place owes, with its slack, as a share of what it has; infinite if that is unknown.
    fn key(&self, factors: &Factors, at: usize) -> f64 {
        let (mut has, mut owes) = (0.0, 0.0);
        for (param, amount, is_collateral) in self.blocks.legs(at) {
            let term = self.term(factors, param, is_collateral);
            let value = f64::from(amount) * f64::from(term.factor);
            if is_collateral && term.factor > 0.0 {
                has += value;
            } else {
                // No threshold less a basis point is a little below zero.
                owes += value.abs();
            }
            owes += f64::from(term.slack) * SLACKENING;
        }
        let is_known = has > 0.0 && has <= LARGEST && owes <= LARGEST;
        if is_known { owes / has } else { f64::INFINITY }
    }
}

/// No less, in single precision.
#[allow(clippy::cast_possible_truncation, reason = "what rounding took is given back")]
fn rounded_up(key: f64) -> f32 {
    let near = key as f32;
    if f64::from(near) < key { near.next_up() } else { near }
}
