//! What one valuation makes of each kind of leg: a factor and a slack.

use protocol::aave::account::{Quote, Valuation};
use protocol::aave::config::{MAX_RESERVES, ReserveId};

/// Which reserve, in which category: an index into the tables of [`Factors`].
pub(super) type Param = u16;

const RESERVES: u16 = MAX_RESERVES as u16;

/// A reserve in a category; none for a reserve that no pool can have.
pub(super) fn param(e_mode: u8, id: ReserveId) -> Option<Param> {
    (id.0 < MAX_RESERVES).then(|| u16::from(e_mode) * RESERVES + u16::from(id.0))
}

/// What a leg's amount is multiplied by to be its value in smallest base units, and by how much integers may differ.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) factor: f32,
    pub(super) slack: f32,
}

impl Term {
    /// Makes a suspect of every account it touches.
    pub(super) const UNKNOWN: Self = Self { factor: f32::NAN, slack: f32::NAN };

    /// `weight` is the threshold, or 1 for debt.
    #[allow(clippy::cast_possible_truncation, reason = "rounding to single precision is among the bounded errors")]
    fn new(unit_value: f64, index: f64, weight: f64) -> Self {
        // The slack of a leg, and a hundredth.
        let slack = (unit_value + 1.0) * weight.max(1.0) * 1.01;
        Self { factor: (unit_value * index * weight) as f32, slack: slack as f32 }
    }
}

impl Term {
    fn bits(self) -> [u32; 2] {
        [self.factor.to_bits(), self.slack.to_bits()]
    }

    /// For collateral. What grows by more than [`SPAN`] is not screened: sums that are far from overflowing with the
    /// lesser factor might overflow with the greater.
    fn least(self, other: Self) -> Self {
        let (least, greatest) = (self.factor.min(other.factor), self.factor.max(other.factor));
        self.with(other, if greatest <= least.max(0.0) * SPAN { least } else { f32::NAN })
    }

    /// For debt.
    fn greatest(self, other: Self) -> Self {
        self.with(other, self.factor.max(other.factor))
    }

    /// The given factor, and the greater slack; unknown where either term is.
    fn with(self, other: Self, factor: f32) -> Self {
        if self.factor.is_nan() || other.factor.is_nan() || factor.is_nan() {
            return Self::UNKNOWN;
        }
        Self { factor, slack: self.slack.max(other.slack) }
    }
}

/// A million. The exact path multiplies sums by less than 2^74 (basis points, then a wad), so from sums below 2^128 it
/// has 2^54 of room.
const SPAN: f32 = 1_048_576.0;

/// One market at one block, as a [`Screen`](super::Screen) reads it. Three kilobytes for each number up to the
/// largest of a category.
#[derive(Debug, Clone, Default)]
pub struct Factors {
    /// Collateral that stands alone, by [`param`].
    pub(super) alone: Vec<Term>,
    /// Collateral among other collateral, whose thresholds may be averaged and floored.
    pub(super) among: Vec<Term>,
    /// Debt, by [`param`].
    pub(super) debt: Vec<Term>,
}

impl Factors {
    /// Folds every reserve's index, price, decimals and threshold in every category.
    #[must_use]
    pub fn of(valuation: &Valuation) -> Self {
        let rows = valuation.categories().last().map_or(0, |(number, _)| usize::from(number) + 1);
        let size = rows * usize::from(RESERVES);
        let mut factors = Self {
            alone: vec![Term::UNKNOWN; size],
            among: vec![Term::UNKNOWN; size],
            debt: vec![Term::UNKNOWN; size],
        };
        for (e_mode, row) in valuation.categories() {
            for (id, (quote, counts)) in (0..MAX_RESERVES).map(ReserveId).zip(row) {
                factors.put(e_mode, id, quote, *counts, valuation.rules().unaveraged_health);
            }
        }
        factors
    }

    /// The worst of two moments for every account: the least factor of collateral, the greatest of debt.
    ///
    /// Whoever is healthy under them is healthy at both, and under all prices, indexes and thresholds in between. Indexes
    /// only grow, so the same prices now and an hour on cover the hour: a market whose interest is folded in so, once an
    /// hour, has only the moved price to look at between. A reserve whose rate changes is to be folded anew.
    #[must_use]
    pub fn between(one: &Self, other: &Self) -> Self {
        let fold = |one: &[Term], other: &[Term], worst: fn(Term, Term) -> Term| -> Vec<Term> {
            let size = one.len().max(other.len());
            let at = |terms: &[Term], at: usize| terms.get(at).copied().unwrap_or(Term::UNKNOWN);
            (0..size).map(|param| worst(at(one, param), at(other, param))).collect()
        };
        Self {
            alone: fold(&one.alone, &other.alone, Term::least),
            among: fold(&one.among, &other.among, Term::least),
            debt: fold(&one.debt, &other.debt, Term::greatest),
        }
    }

    /// Every parameter that has not the very same terms in both, ascending.
    pub(super) fn changed(&self, other: &Self, out: &mut Vec<Param>) {
        out.clear();
        let size = self.debt.len().max(other.debt.len());
        let differs = |param: usize| {
            let tables = [(&self.alone, &other.alone), (&self.among, &other.among), (&self.debt, &other.debt)];
            tables.iter().any(|(one, other)| {
                let bits = |terms: &[Term]| terms.get(param).unwrap_or(&Term::UNKNOWN).bits();
                bits(one) != bits(other)
            })
        };
        out.extend((0..=Param::MAX).take(size).filter(|param| differs(usize::from(*param))));
    }

    /// Leaves what cannot be screened unknown.
    fn put(&mut self, e_mode: u8, id: ReserveId, quote: &Quote, counts: bool, unaveraged: bool) {
        let numbers = [quote.price, quote.income.0, quote.debt.0].map(|number| u128::try_from(number).ok());
        let [Some(price), Some(income), Some(debt)] = numbers.map(|number| number.filter(|number| number >> 96 == 0))
        else {
            return;
        };
        let Some(at) = param(e_mode, id).map(usize::from) else {
            return;
        };
        if quote.decimals > 77 {
            return;
        }
        const RAY: f64 = 1e27;
        let unit_value = price as f64 / (0..quote.decimals).fold(1.0, |power, _| power * 10.0);
        let threshold = quote.terms.liquidation_threshold.0;
        let [alone, among] = if counts {
            [own(threshold), if unaveraged { own(threshold) } else { lowered(threshold) }]
        } else {
            [0.0; 2]
        };
        let index = income as f64 / RAY;
        self.alone[at] = Term::new(unit_value, index, alone);
        self.among[at] = Term::new(unit_value, index, among);
        self.debt[at] = Term::new(unit_value, debt as f64 / RAY, 1.0);
    }
}

fn own(threshold: u16) -> f64 {
    f64::from(threshold) / 10_000.0
}

/// One basis point less; what falls below zero by a thousandth more than that, which outweighs its rounding errors.
fn lowered(threshold: u16) -> f64 {
    if threshold == 0 { -1.001e-4 } else { own(threshold - 1) }
}
