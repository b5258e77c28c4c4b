//! What levels hold, as series that add up.

use std::collections::BTreeMap;

use protocol::aave::config::ReserveId;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};

use super::index::{At, Index};
use super::ranked::Tally;
use crate::map::{Class, DebtClass, Label, Levels, Quantity, Series, Unit};

/// By what series are split, besides the total of each standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct By {
    /// A series for each market.
    pub market: bool,
    /// A series for each chain.
    pub chain: bool,
    /// A series for each class of debt.
    pub class: bool,
}

/// The quantities of a lending market, in the order of [`figures`].
const QUANTITIES: [Quantity; 9] = [
    Quantity::Accounts,
    Quantity::Debt,
    Quantity::Collateral,
    Quantity::AllCollateral,
    Quantity::Repayable,
    Quantity::Seized,
    Quantity::Bonus,
    Quantity::ProtocolFee,
    Quantity::Recapturable,
];

/// One figure for each quantity, in `10^-8` of its unit.
type Figures = [Option<i128>; QUANTITIES.len()];

fn figures(index: &Index, at: &At, tally: &Tally) -> Figures {
    let market = index.market();
    let sum = |amounts: &[Option<u128>], wanted: &dyn Fn(ReserveId) -> bool| -> Option<i128> {
        let ids = (0..=u8::MAX).map(ReserveId).zip(amounts).filter(|(id, _)| wanted(*id));
        ids.map(|(id, amount)| market.worth(id, (*amount)?, at.level))
            .try_fold(0_i128, |sum, usd| sum.checked_add(usd?.0))
    };
    let knows = market.knows;
    let is_member = |id: ReserveId| market.group.members.contains(id);
    let all = |_: ReserveId| true;
    let money = |at: usize| (tally.without_call == 0).then(|| i128::try_from(tally.money[at]).ok()).flatten();
    [
        i128::from(tally.accounts).checked_mul(100_000_000),
        sum(&tally.owed, &all),
        sum(&tally.supplied, &is_member),
        sum(&tally.supplied, &all),
        money(0),
        money(1).filter(|_| knows.bonus),
        money(2).filter(|_| knows.bonus),
        money(3).filter(|_| knows.fee),
        money(4).filter(|_| knows.bonus && knows.fee),
    ]
}

fn add(sum: &mut Figures, more: &Figures) {
    sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.zip(*more).and_then(|(a, b)| a.checked_add(b)));
}

/// The rows of one label: now, and level by level.
#[derive(Clone)]
struct Rows {
    at: TimeUs,
    now: Figures,
    levels: Vec<Figures>,
}

/// Series of several markets on one axis: a total for each standing, and what is asked for besides. Parts add up to their
/// total, to the last digit: a total is the sum of its parts.
///
/// The first calls are missing where that of one account could not be valued.
#[must_use]
pub fn series(indexes: &[&Index], levels: &Levels, by: By) -> Vec<Series> {
    let mut rows: BTreeMap<(Standing, Label), Rows> = BTreeMap::new();
    for index in indexes {
        let market = index.market();
        let at = TimeUs(i64::try_from(market.block.now).unwrap_or(i64::MAX / SECOND_US).saturating_mul(SECOND_US));
        let now = index.at(&[market.anchor]).pop().flatten();
        let reached = index.at(levels.prices());
        for (class, at_class) in DebtClass::ALL.iter().zip(0..) {
            let of = |at: &Option<At>| match at {
                Some(at) => figures(index, at, &at.by_class[at_class]),
                None => [None; QUANTITIES.len()],
            };
            let part = Rows { at, now: of(&now), levels: reached.iter().map(of).collect() };
            for label in labels(index, *class, by) {
                match rows.entry((market.standing, label)) {
                    std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(part.clone())),
                    std::collections::btree_map::Entry::Occupied(mut entry) => {
                        let sum = entry.get_mut();
                        // The total is as old as its oldest part.
                        sum.at = sum.at.min(at);
                        add(&mut sum.now, &part.now);
                        sum.levels.iter_mut().zip(&part.levels).for_each(|(sum, more)| add(sum, more));
                    }
                }
            }
        }
    }
    let each = |((standing, label), rows): ((Standing, Label), Rows)| {
        QUANTITIES.into_iter().enumerate().map(move |(at, quantity)| Series {
            label: label.clone(),
            quantity,
            unit: if quantity == Quantity::Accounts { Unit::Count } else { Unit::Usd },
            standing,
            at: rows.at,
            now: rows.now[at],
            values: rows.levels.iter().map(|figures| figures[at]).collect(),
            band: None,
            leverage_band: None,
        })
    };
    rows.into_iter().flat_map(each).collect()
}

fn labels(index: &Index, class: DebtClass, by: By) -> Vec<Label> {
    let market = index.market();
    let class = Class::Debt(class);
    let mut labels = vec![Label::default()];
    let of_market = Label { market: Some(market.name.clone()), chain: market.chain, ..Label::default() };
    if by.market {
        labels.push(of_market.clone());
    }
    if by.chain && market.chain.is_some() {
        labels.push(Label { chain: market.chain, ..Label::default() });
    }
    if by.class {
        labels.push(Label { class: Some(class), ..Label::default() });
    }
    if by.market && by.class {
        labels.push(Label { class: Some(class), ..of_market });
    }
    labels
}

impl Index {
    /// A price of the axis in US dollars at which nothing moved: the market's own.
    #[must_use]
    pub fn anchor(&self) -> Usd8 {
        self.market.anchor
    }
}
