//! Accounts with equally many legs, sixteen to a block, a column to a leg.

use wide::f32x8;

use super::factors::{Factors, Param, Term};

/// Accounts in a block.
pub(super) const LANES: usize = 16;

/// One number of each account in a block: a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes([f32x8; 2]);

impl Lanes {
    const ZERO: Self = Self([f32x8::ZERO; 2]);

    #[inline]
    fn splat(number: f32) -> Self {
        Self([f32x8::splat(number); 2])
    }

    #[inline]
    fn from_array(numbers: [f32; LANES]) -> Self {
        let [low, high] = [0, 8].map(|from| std::array::from_fn(|lane| numbers[from + lane]));
        Self([f32x8::new(low), f32x8::new(high)])
    }

    fn get(&self, lane: usize) -> f32 {
        self.0[lane / 8].as_array()[lane % 8]
    }

    fn set(&mut self, lane: usize, number: f32) {
        self.0[lane / 8].as_mut_array()[lane % 8] = number;
    }

    /// Product, then sum: never fused, so that every machine rounds alike.
    #[inline(always)]
    fn add_product(&mut self, amounts: Self, factors: Self) {
        self.0[0] += amounts.0[0] * factors.0[0];
        self.0[1] += amounts.0[1] * factors.0[1];
    }

    #[inline(always)]
    fn plus(self, other: Self) -> Self {
        Self([self.0[0] + other.0[0], self.0[1] + other.0[1]])
    }
}

/// What the accounts of a block have and owe, in smallest base units, and by how much integers may differ from it.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    collateral: Lanes,
    debt: Lanes,
    slack: Lanes,
}

impl Sums {
    /// A bit for each account that is certainly healthy.
    #[inline(always)]
    fn healthy(&self, margin: f32) -> u16 {
        let (margin, largest) = (f32x8::splat(margin), f32x8::splat(f32::MAX));
        let required = self.debt.plus(self.slack);
        let half = |which: usize| {
            let collateral = self.collateral.0[which];
            // Whatever is no number compares as false.
            let covered = (collateral * margin).simd_ge(required.0[which]);
            (covered & collateral.simd_le(largest)).to_bitmask()
        };
        u16::try_from(half(0) | half(1) << 8).unwrap_or(0)
    }

    /// Collateral, debt and slack of one account.
    pub(super) fn of(&self, lane: usize) -> [f32; 3] {
        [&self.collateral, &self.debt, &self.slack].map(|lanes| lanes.get(lane))
    }
}

/// Accounts with `collateral` and `debt` legs each.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    collateral: usize,
    debt: usize,
    /// Block by block, column by column: collateral, then debt.
    amounts: Vec<Lanes>,
    params: Params,
    /// Who stands in each place.
    accounts: Vec<u32>,
}

/// Which factors the columns take.
#[derive(Debug, Clone)]
enum Params {
    /// The same for all accounts: one for each column.
    Same(Box<[Param]>),
    /// Each account's own, laid out like the amounts.
    Own(Vec<[Param; LANES]>),
}

impl Blocks {
    /// For accounts of one shape.
    pub(super) fn same(collateral: usize, params: &[Param]) -> Self {
        let debt = params.len() - collateral;
        Self { collateral, debt, amounts: Vec::new(), params: Params::Same(params.into()), accounts: Vec::new() }
    }

    /// For accounts of any shape with so many legs.
    pub(super) fn own(collateral: usize, debt: usize) -> Self {
        Self { collateral, debt, amounts: Vec::new(), params: Params::Own(Vec::new()), accounts: Vec::new() }
    }

    /// Legs of an account.
    pub(super) fn width(&self) -> usize {
        self.collateral + self.debt
    }

    /// Who stands in each place.
    pub(super) fn accounts(&self) -> &[u32] {
        &self.accounts
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let params = match &self.params {
            Params::Same(params) => size_of_val(&**params),
            Params::Own(params) => params.capacity() * size_of::<[Param; LANES]>(),
        };
        self.amounts.capacity() * size_of::<Lanes>() + params + self.accounts.capacity() * size_of::<u32>()
    }

    /// What an evaluation reads, in bytes.
    pub(super) fn read_bytes(&self) -> usize {
        let params = match &self.params {
            Params::Same(_) => 0,
            Params::Own(params) => size_of_val(&**params),
        };
        size_of_val(&*self.amounts) + params
    }

    /// The shape of the account in one place: its number of collateral legs, and every parameter.
    pub(super) fn shape(&self, at: usize) -> Vec<Param> {
        let mut shape = vec![u16::try_from(self.collateral).unwrap_or(u16::MAX)];
        match &self.params {
            Params::Same(params) => shape.extend_from_slice(params),
            Params::Own(params) => {
                let first = at / LANES * self.width();
                shape.extend(params[first..first + self.width()].iter().map(|column| column[at % LANES]));
            }
        }
        shape
    }

    /// Adds an account, and says where.
    pub(super) fn push(&mut self, account: u32, params: &[Param], amounts: &[f32]) -> usize {
        let at = self.accounts.len();
        self.room();
        self.accounts.push(account);
        self.set(at, params, amounts);
        at
    }

    /// Sees to it that there is a place for one more account; says where its block begins.
    fn room(&mut self) -> usize {
        if self.accounts.len().is_multiple_of(LANES) {
            let size = self.amounts.len() + self.width();
            self.amounts.resize(size, Lanes::ZERO);
            if let Params::Own(own) = &mut self.params {
                own.resize(size, [0; LANES]);
            }
        }
        self.amounts.len() - self.width()
    }

    /// Replaces the legs in one place.
    pub(super) fn set(&mut self, at: usize, params: &[Param], amounts: &[f32]) {
        let (first, lane) = (at / LANES * self.width(), at % LANES);
        for (column, amount) in amounts.iter().enumerate() {
            self.amounts[first + column].set(lane, *amount);
        }
        if let Params::Own(own) = &mut self.params {
            for (column, param) in params.iter().enumerate() {
                own[first + column][lane] = *param;
            }
        }
    }

    /// Empties a place. The last account moves into it, if it is not the last one's own: says who.
    pub(super) fn swap_remove(&mut self, at: usize) -> Option<u32> {
        let last = self.accounts.len() - 1;
        let (from, to) = (last / LANES * self.width(), at / LANES * self.width());
        let (from_lane, to_lane) = (last % LANES, at % LANES);
        for column in 0..self.width() {
            let amount = self.amounts[from + column].get(from_lane);
            self.amounts[to + column].set(to_lane, amount);
            self.amounts[from + column].set(from_lane, 0.0);
            if let Params::Own(own) = &mut self.params {
                own[to + column][to_lane] = own[from + column][from_lane];
            }
        }
        if from_lane == 0 {
            self.amounts.truncate(from);
            if let Params::Own(own) = &mut self.params {
                own.truncate(from);
            }
        }
        self.accounts.swap_remove(at);
        self.accounts.get(at).copied()
    }

    /// Blocks for so many accounts with the same legs, and nobody in them yet.
    pub(super) fn emptied(&self, accounts: usize) -> Self {
        let columns = accounts.div_ceil(LANES) * self.width();
        let params = match &self.params {
            Params::Same(params) => Params::Same(params.clone()),
            Params::Own(_) => Params::Own(Vec::with_capacity(columns)),
        };
        let accounts = Vec::with_capacity(accounts.next_multiple_of(LANES));
        Self { params, amounts: Vec::with_capacity(columns), accounts, ..*self }
    }

    /// Adds what stands in a place of blocks for the same legs.
    pub(super) fn push_from(&mut self, from: &Self, at: usize) {
        let (first, lane) = (at / LANES * self.width(), at % LANES);
        let columns = first..first + self.width();
        let amounts = from.amounts[columns.clone()].iter().map(|column| column.get(lane));
        let to = self.room();
        for (column, amount) in amounts.enumerate() {
            self.amounts[to + column].set(self.accounts.len() % LANES, amount);
        }
        if let (Params::Own(own), Params::Own(from)) = (&mut self.params, &from.params) {
            for (own, from) in own[to..].iter_mut().zip(&from[columns]) {
                own[self.accounts.len() % LANES] = from[lane];
            }
        }
        self.accounts.push(from.accounts[at]);
    }

    /// Leaves a place without an account, and with the amounts it had.
    pub(super) fn vacate(&mut self, at: usize, nobody: u32) {
        self.accounts[at] = nobody;
    }

    /// The legs in one place, collateral first: each one's parameter, amount, and whether it is collateral.
    pub(super) fn legs(&self, at: usize) -> impl Iterator<Item = (Param, f32, bool)> {
        let first = at / LANES * self.width();
        (0..self.width()).map(move |column| {
            let param = match &self.params {
                Params::Same(params) => params[column],
                Params::Own(params) => params[first + column][at % LANES],
            };
            (param, self.amounts[first + column].get(at % LANES), column < self.collateral)
        })
    }

    /// A bit for each account that is certainly healthy, a word for each block. Bits beyond the last account mean nothing.
    pub(super) fn evaluate(&self, factors: &Factors, out: &mut Vec<u16>) {
        out.reserve(self.accounts.len().div_ceil(LANES));
        self.evaluate_from(0, factors, out);
    }

    /// The same from one block on.
    pub(super) fn evaluate_from(&self, block: usize, factors: &Factors, out: &mut Vec<u16>) {
        let margin = self.margin();
        self.each_from(block, factors, |sums| out.push(sums.healthy(margin)));
    }

    /// `1 - (legs + 8) 2^-24`, a number of single precision: exact for fewer than 2^20 legs.
    #[allow(clippy::cast_possible_truncation, reason = "the number is one of single precision")]
    fn margin(&self) -> f32 {
        (1.0 - self.relative_error()) as f32
    }

    /// All relative errors of one account's sums and their comparison together.
    #[allow(clippy::cast_precision_loss, reason = "no account has so many legs")]
    pub(super) fn relative_error(&self) -> f64 {
        (self.width() + 8) as f64 / f64::from(1 << 24)
    }

    /// The sums of every block, in order.
    #[inline(always)]
    pub(super) fn each(&self, factors: &Factors, give: impl FnMut(&Sums)) {
        self.each_from(0, factors, give);
    }

    /// The sums of every block from one on, in order.
    #[inline(always)]
    fn each_from(&self, block: usize, factors: &Factors, mut give: impl FnMut(&Sums)) {
        let collateral = self.collateral_terms(factors);
        let first = block * self.width();
        let amounts = &self.amounts[first..];
        match &self.params {
            Params::Same(params) => {
                let tables = [collateral, &factors.debt];
                // The usual numbers of legs are known to the compiler, which keeps their factors in registers.
                match (self.collateral, self.debt) {
                    (1, 1) => Shape::<1, 1>::new(params, tables).each(amounts, give),
                    (2, 1) => Shape::<2, 1>::new(params, tables).each(amounts, give),
                    (3, 1) => Shape::<3, 1>::new(params, tables).each(amounts, give),
                    (1, 2) => Shape::<1, 2>::new(params, tables).each(amounts, give),
                    (2, 2) => Shape::<2, 2>::new(params, tables).each(amounts, give),
                    _ => {
                        let params: Vec<[Param; LANES]> = params.iter().map(|param| [*param; LANES]).collect();
                        for amounts in amounts.chunks_exact(self.width()) {
                            give(&self.looked_up(amounts, &params, collateral, &factors.debt));
                        }
                    }
                }
            }
            Params::Own(params) => {
                let blocks = amounts.chunks_exact(self.width()).zip(params[first..].chunks_exact(self.width()));
                for (amounts, params) in blocks {
                    give(&self.looked_up(amounts, params, collateral, &factors.debt));
                }
            }
        }
    }

    /// The sums of one account's block, with its lane; collateral may be taken as if it stood alone.
    pub(super) fn one(&self, factors: &Factors, at: usize, as_alone: bool) -> [f32; 3] {
        let first = at / LANES * self.width();
        let range = first..first + self.width();
        let collateral = if as_alone { &*factors.alone } else { self.collateral_terms(factors) };
        let params = match &self.params {
            Params::Same(params) => params.iter().map(|param| [*param; LANES]).collect::<Vec<_>>(),
            Params::Own(params) => params[range.clone()].to_vec(),
        };
        self.looked_up(&self.amounts[range], &params, collateral, &factors.debt).of(at % LANES)
    }

    /// The terms of collateral in these blocks: alone or among other collateral.
    pub(super) fn collateral_terms<'a>(&self, factors: &'a Factors) -> &'a [Term] {
        if self.collateral == 1 { &factors.alone } else { &factors.among }
    }

    #[inline(always)]
    fn looked_up(&self, amounts: &[Lanes], params: &[[Param; LANES]], collateral: &[Term], debt: &[Term]) -> Sums {
        let mut sums = Sums { collateral: Lanes::ZERO, debt: Lanes::ZERO, slack: Lanes::ZERO };
        for (column, (amounts, params)) in amounts.iter().zip(params).enumerate() {
            let is_collateral = column < self.collateral;
            let table = if is_collateral { collateral } else { debt };
            let (mut factors, mut slacks) = ([0.0; LANES], [0.0; LANES]);
            for lane in 0..LANES {
                let term = table.get(usize::from(params[lane])).unwrap_or(&Term::UNKNOWN);
                (factors[lane], slacks[lane]) = (term.factor, term.slack);
            }
            let side = if is_collateral { &mut sums.collateral } else { &mut sums.debt };
            side.add_product(*amounts, Lanes::from_array(factors));
            sums.slack = sums.slack.plus(Lanes::from_array(slacks));
        }
        sums
    }
}

/// The factors of one shape with `C` legs of collateral and `D` of debt.
struct Shape<const C: usize, const D: usize> {
    collateral: [f32; C],
    debt: [f32; D],
    slack: Lanes,
}

impl<const C: usize, const D: usize> Shape<C, D> {
    /// `tables` are those of collateral and of debt.
    fn new(params: &[Param], tables: [&[Term]; 2]) -> Self {
        let term = |table: &[Term], column: usize| {
            let param = params.get(column).copied().map_or(usize::MAX, usize::from);
            table.get(param).copied().unwrap_or(Term::UNKNOWN)
        };
        let collateral: [Term; C] = std::array::from_fn(|column| term(tables[0], column));
        let debt: [Term; D] = std::array::from_fn(|column| term(tables[1], C + column));
        let slack = collateral.iter().chain(&debt).fold(0.0, |sum, term| sum + term.slack);
        let (collateral, debt) = (collateral.map(|term| term.factor), debt.map(|term| term.factor));
        Self { collateral, debt, slack: Lanes::splat(slack) }
    }

    /// The sums of every block.
    #[inline(always)]
    fn each(&self, amounts: &[Lanes], mut give: impl FnMut(&Sums)) {
        for block in amounts.chunks_exact(C + D) {
            let (first, second) = block.split_at(C);
            give(&Sums { collateral: dot(first, &self.collateral), debt: dot(second, &self.debt), slack: self.slack });
        }
    }
}

#[inline(always)]
fn dot<const N: usize>(columns: &[Lanes], factors: &[f32; N]) -> Lanes {
    let mut sum = Lanes::ZERO;
    for (column, factor) in columns.iter().zip(factors) {
        sum.add_product(*column, Lanes::splat(*factor));
    }
    sum
}
