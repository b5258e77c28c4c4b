//! Positions that somebody saw, each at the price that liquidates it.
//!
//! An isolated position has its own margin and one exact price. Under cross margin the account's equity answers for all its
//! positions, so the price of one coin that liquidates it depends on what the others do meanwhile; [`Others`] says what is supposed of them.
//! An account is liquidated where `equity <= maintenance margin` (Hyperliquid documents, "Liquidations"), equity moving by
//! `side * size` for each dollar of the coin's price, and each position's maintenance by its tier:
//! `notional * rate - deduction`.

use protocol::Decimal;
use protocol::venue::{self, Contract, Leg, Reach, Refusal, Rule, Side, Tiers};

use super::estimated::place;
use super::grid::Grid;

/// A coin as one venue trades it.
#[derive(Debug, Clone, PartialEq)]
pub struct Coin {
    /// Mark price in US dollars.
    pub mark: Decimal,
    /// The venue's coefficients.
    pub rule: Rule,
    /// Margin tiers of the contract, linear and measured by notional; positions of a coin without are refused.
    pub tiers: Option<Tiers>,
}

/// What secures a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Margin {
    /// The account's equity.
    Cross,
    /// So many US dollars of its own, profit and loss at the mark included.
    Isolated(Decimal),
}

/// A position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Whose: an index into the accounts.
    pub account: usize,
    /// Of what: an index into the coins.
    pub coin: usize,
    /// Which way it gains.
    pub side: Side,
    /// How many coins.
    pub size: Decimal,
    /// What secures it.
    pub margin: Margin,
}

/// What an account's other positions do while the price of one coin moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They stay at their marks, as exchanges suppose in the liquidation prices they show.
    AtTheirMarks,
    /// All coins move by the same share.
    MoveAlong,
}

impl Others {
    /// The assumption as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::AtTheirMarks => "Under cross margin, an account's other positions stay at their marks.",
            Self::MoveAlong => "Under cross margin, all coins of an account move by the same share.",
        }
    }
}

/// Where a position is liquidated, or why that is not known.
pub type Liquidation = Result<Reach, Refusal>;

/// The liquidation price of every position, in their order. `equities` are accounts' equities for cross margin in US dollars,
/// at the marks.
///
/// # Panics
/// A position names an account or a coin that is not there.
#[must_use]
pub fn liquidations(equities: &[Decimal], coins: &[Coin], positions: &[Position], others: Others) -> Vec<Liquidation> {
    let mut accounts: Vec<Account> = equities.iter().map(|equity| Account::new(*equity)).collect();
    let legs: Vec<Leg<'_>> = positions.iter().map(|position| leg(coins, position)).collect();
    for (at, position) in positions.iter().enumerate() {
        if position.margin == Margin::Cross {
            let needs = legs[at].maintenance_margin(coins[position.coin].mark);
            accounts[position.account].hold(at, needs);
        }
    }
    positions
        .iter()
        .zip(&legs)
        .map(|(position, leg)| {
            let mark = coins[position.coin].mark;
            let account = &accounts[position.account];
            let margin = match (position.margin, others) {
                (Margin::Isolated(quote), _) => venue::Margin::isolated(quote),
                (Margin::Cross, Others::AtTheirMarks) => account.behind(leg.maintenance_margin(mark)?)?,
                (Margin::Cross, Others::MoveAlong) => {
                    account.maintenance?;
                    let held = account.held.iter().map(|at| (&positions[*at], &legs[*at]));
                    return together(coins, held, position, account.equity);
                }
            };
            Ok(venue::liquidation_price(&margin, &[*leg], mark)?.reach)
        })
        .collect()
}

/// An account's positions under cross margin.
#[derive(Debug)]
struct Account {
    equity: Decimal,
    held: Vec<usize>,
    /// The sum of their maintenance margins, or why it is not known.
    maintenance: Result<Decimal, Refusal>,
}

impl Account {
    fn new(equity: Decimal) -> Self {
        Self { equity, held: Vec::new(), maintenance: Ok(Decimal::ZERO) }
    }

    fn hold(&mut self, position: usize, needs: Result<Decimal, Refusal>) {
        self.held.push(position);
        self.maintenance = self.maintenance.and_then(|sum| sum.checked_add(needs?).ok_or(Refusal::Overflow));
    }

    /// What stands behind one of them that needs `own` itself.
    fn behind(&self, own: Decimal) -> Result<venue::Margin, Refusal> {
        let maintenance = self.maintenance?.checked_sub(own).ok_or(Refusal::Overflow)?.max(Decimal::ZERO);
        Ok(venue::Margin::cross(self.equity, venue::Others { maintenance, pnl: Decimal::ZERO }))
    }
}

/// A position with its profit in the value behind it, so that the mark takes the entry's place.
fn leg<'a>(coins: &'a [Coin], position: &Position) -> Leg<'a> {
    let coin = &coins[position.coin];
    Leg {
        position: venue::Position {
            side: position.side,
            contract: Contract::Linear,
            size: position.size,
            entry: coin.mark,
        },
        rule: coin.rule,
        tiers: coin.tiers.as_ref(),
    }
}

fn sign(side: Side) -> f64 {
    match side {
        Side::Long => 1.0,
        Side::Short => -1.0,
    }
}

/// A position and its tiers in floats.
struct Held {
    notional: f64,
    sign: f64,
    /// Floor, rate, deduction.
    steps: Vec<(f64, f64, f64)>,
}

impl Held {
    fn new(coins: &[Coin], position: &Position, leg: &Leg<'_>) -> Option<Self> {
        let float = |number: Decimal| f64::try_from(number).ok();
        let steps = leg
            .tiers?
            .rows()
            .iter()
            .map(|tier| Some((float(tier.floor)?, float(tier.maintenance_margin_rate)?, float(tier.deduction)?)));
        Some(Self {
            notional: float(position.size)? * float(coins[position.coin].mark)?,
            sign: sign(position.side),
            steps: steps.collect::<Option<Vec<_>>>()?,
        })
    }

    fn step(&self, notional: f64) -> (f64, f64, f64) {
        let above = self.steps.partition_point(|(floor, ..)| *floor <= notional);
        self.steps[above.saturating_sub(1)]
    }
}

/// Where the account is liquidated if all its coins move by the same share, as the price of this position's coin. Of a fall and
/// a rise that would do it, the smaller.
fn together<'a>(
    coins: &[Coin],
    held: impl Iterator<Item = (&'a Position, &'a Leg<'a>)>,
    position: &Position,
    equity: Decimal,
) -> Liquidation {
    let held = held.map(|(each, leg)| Held::new(coins, each, leg)).collect::<Option<Vec<_>>>();
    let (Some(held), Ok(equity)) = (held, f64::try_from(equity)) else { return Err(Refusal::Overflow) };
    // Equity less maintenance at `by` times the marks is `fixed + slope * by` while no position changes its tier.
    let line = |by: f64| {
        held.iter().fold((equity, 0.0), |(fixed, slope), each| {
            let (_, rate, deduction) = each.step(each.notional * by);
            (fixed - each.notional * each.sign + deduction, slope + each.notional * (each.sign - rate))
        })
    };
    let (fixed, slope) = line(1.0);
    if fixed + slope <= 0.0 {
        return Ok(Reach::Already);
    }
    let mut edges: Vec<f64> =
        held.iter().flat_map(|each| each.steps.iter().map(|(floor, ..)| floor / each.notional)).collect();
    edges.retain(|by| by.is_finite() && *by > 0.0);
    edges.extend([0.0, 1.0]);
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let zeros = edges.iter().enumerate().filter_map(|(at, from)| {
        let to = edges.get(at + 1).copied();
        let (fixed, slope) = line(to.map_or(from + 1.0, |to| from.midpoint(to)));
        let by = -fixed / slope;
        (by > 0.0 && by >= *from && to.is_none_or(|to| by < to)).then_some(by)
    });
    let (falls, rises): (Vec<f64>, Vec<f64>) = zeros.partition(|by| *by < 1.0);
    let price = |by: f64| {
        let by = Decimal::try_from(by).map_err(|_| Refusal::Overflow)?;
        coins[position.coin].mark.checked_mul(by).ok_or(Refusal::Overflow)
    };
    Ok(match (falls.last(), rises.first()) {
        (None, None) => Reach::Never,
        (Some(by), None) => Reach::Below(price(*by)?),
        (None, Some(by)) => Reach::Above(price(*by)?),
        (Some(below), Some(above)) => Reach::Either { below: price(*below)?, above: price(*above)? },
    })
}

/// One coin's positions by the price that liquidates them. In each pair longs come first.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Coins by cell: those that a fall liquidates, and those that a rise does.
    pub mass: [Vec<f64>; 2],
    /// Coins seen, by side.
    pub seen: [f64; 2],
    /// Of them, with a liquidation price beyond the grid.
    pub beyond: [f64; 2],
    /// Of them, liquidated at the mark already.
    pub already: [f64; 2],
    /// Of them, that no price liquidates.
    pub never: [f64; 2],
    /// Of them, whose price is not known.
    pub refused: [f64; 2],
    /// Positions seen, by side.
    pub positions: [usize; 2],
    /// Positions that no price liquidates, by side.
    pub never_positions: [usize; 2],
    /// Positions whose price is not known, by side.
    pub refused_positions: [usize; 2],
}

impl Measured {
    /// The positions of one coin, each with its side, its size in coins and where it is liquidated.
    #[must_use]
    pub fn new(grid: &Grid, positions: impl IntoIterator<Item = (Side, f64, Liquidation)>) -> Self {
        let none = vec![0.0; grid.len()];
        let mut measured = Self {
            mass: [none.clone(), none],
            seen: [0.0; 2],
            beyond: [0.0; 2],
            already: [0.0; 2],
            never: [0.0; 2],
            refused: [0.0; 2],
            positions: [0; 2],
            never_positions: [0; 2],
            refused_positions: [0; 2],
        };
        for (side, size, liquidation) in positions {
            measured.put(grid, place(side), size, liquidation);
        }
        measured
    }

    fn put(&mut self, grid: &Grid, side: usize, size: f64, liquidation: Liquidation) {
        self.seen[side] += size;
        self.positions[side] += 1;
        let Ok(reach) = liquidation else {
            self.refused[side] += size;
            self.refused_positions[side] += 1;
            return;
        };
        match reach {
            Reach::Already => self.already[side] += size,
            Reach::Never => {
                self.never[side] += size;
                self.never_positions[side] += 1;
            }
            Reach::Below(_) | Reach::Above(_) | Reach::Either { .. } => {
                // If all coins move along, an account's shorts may take its long with them in a rise.
                for (way, price) in [reach.below(), reach.above()].into_iter().enumerate() {
                    let Some(price) = price else { continue };
                    match f64::try_from(price).ok().and_then(|price| grid.cell(price)) {
                        Some(cell) => self.mass[way][cell] += size,
                        None => self.beyond[side] += size,
                    }
                }
            }
        }
    }

    /// The share of one-sided open interest that was seen, by side; none where that is not known.
    #[must_use]
    pub fn coverage(&self, open_interest: f64) -> Option<[f64; 2]> {
        (open_interest > 0.0).then(|| self.seen.map(|seen| seen / open_interest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::venue::hyperliquid::{RULE, tiered};

    fn coin(mark: i64, rows: &[(i64, i64)]) -> Coin {
        let rows: Vec<_> =
            rows.iter().map(|(floor, leverage)| (Decimal::from(*floor), Decimal::from(*leverage))).collect();
        Coin { mark: Decimal::from(mark), rule: RULE, tiers: Some(tiered(&rows).unwrap()) }
    }

    fn cross(coin: usize, side: Side, size: i64) -> Position {
        Position { account: 0, coin, side, size: Decimal::from(size), margin: Margin::Cross }
    }

    fn float(price: Decimal) -> f64 {
        f64::try_from(price).unwrap()
    }

    #[test]
    fn a_lone_position_is_liquidated_at_the_same_price_whatever_others_would_do() {
        let coins = [coin(100, &[(0, 20)])];
        for (side, expected) in [(Side::Long, 92.307_692_307_692_3), (Side::Short, 107.317_073_170_731_7)] {
            // 10 coins at 100 with 100 of equity: (1,000 - 100) / (10 (1 - 0.025)); (1,000 + 100) / (10 (1 + 0.025)).
            for others in [Others::AtTheirMarks, Others::MoveAlong] {
                let found = liquidations(&[Decimal::from(100)], &coins, &[cross(0, side, 10)], others)[0].unwrap();
                let price = found.below().or(found.above()).unwrap();
                assert!((float(price) / expected - 1.0).abs() < 1e-12, "{side:?} {others:?} {price}");
            }
        }
    }

    #[test]
    fn covered_positions_have_no_price_and_unknown_ones_say_why() {
        let coins = [coin(100, &[(0, 20)]), Coin { mark: Decimal::from(5), rule: RULE, tiers: None }];
        let found = |equity: i64, positions: &[Position]| {
            liquidations(&[Decimal::from(equity)], &coins, positions, Others::AtTheirMarks)
        };
        assert_eq!(found(1_000, &[cross(0, Side::Long, 10)]), [Ok(Reach::Never)]);
        assert_eq!(found(24, &[cross(0, Side::Long, 10)]), [Ok(Reach::Already)]);
        // One coin without tiers leaves the account's maintenance unknown, so neither price is known.
        let both = found(100, &[cross(0, Side::Long, 10), cross(1, Side::Long, 10)]);
        assert!(both.iter().all(Result::is_err), "{both:?}");
        let grid = Grid::new(50.0, 200.0, 100).unwrap();
        let sides = [Side::Long, Side::Short, Side::Long, Side::Short];
        let reaches =
            [Ok(Reach::Never), Ok(Reach::Above(Decimal::from(150))), Ok(Reach::Below(Decimal::from(10))), both[0]];
        let measured =
            Measured::new(&grid, sides.into_iter().zip([1.0, 2.0, 4.0, 8.0]).zip(reaches).map(|((a, b), c)| (a, b, c)));
        assert_eq!((measured.seen, measured.never, measured.beyond), ([5.0, 10.0], [1.0, 0.0], [4.0, 0.0]));
        assert_eq!((measured.refused_positions, measured.never_positions), ([0, 1], [1, 0]));
        assert_eq!(measured.mass[1].iter().sum::<f64>(), 2.0);
        assert_eq!(measured.coverage(20.0), Some([0.25, 0.5]));
        assert_eq!(measured.coverage(0.0), None);
    }

    #[test]
    fn moving_along_a_hedge_pushes_the_price_away_and_a_net_short_turns_it_round() {
        let coins = [coin(100, &[(0, 20)]), coin(10, &[(0, 20)])];
        let hedged = [cross(0, Side::Long, 10), cross(1, Side::Short, 80)];
        let at = |others| liquidations(&[Decimal::from(200)], &coins, &hedged, others);
        let alone = at(Others::AtTheirMarks)[0].unwrap().below().unwrap();
        let along = at(Others::MoveAlong)[0].unwrap().below();
        // Alone: (1,000 - 200 + 20) / 9.75. Along: 200 + 200 (b - 1) = 45 b has no solution: falls cost 200 at most.
        assert!((float(alone) - 820.0 / 9.75).abs() < 1e-9);
        assert_eq!(along, None);
        let net_short = [cross(0, Side::Long, 10), cross(1, Side::Short, 300)];
        let found = liquidations(&[Decimal::from(200)], &coins, &net_short, Others::MoveAlong)[0].unwrap();
        // 200 - 2,000 (b - 1) = 0.025 * 4,000 b at b = 2,200 / 2,100: the long goes in a rise.
        assert!((float(found.above().unwrap()) - 100.0 * 2_200.0 / 2_100.0).abs() < 1e-9, "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn at_its_price_an_account_has_its_maintenance_left(
            sizes in proptest::collection::vec((1_i64..500, any::<bool>()), 1..5), equity in 1_i64..60_000
        ) {
            let coins: Vec<Coin> = (0..5).map(|at| coin(20 + at * 30, &[(0, 40), (4_000, 20), (9_000, 5)])).collect();
            let positions: Vec<Position> = sizes.iter().enumerate()
                .map(|(at, (size, is_long))| cross(at, if *is_long { Side::Long } else { Side::Short }, *size)).collect();
            let at_marks = liquidations(&[Decimal::from(equity)], &coins, &positions, Others::AtTheirMarks);
            let along = liquidations(&[Decimal::from(equity)], &coins, &positions, Others::MoveAlong);
            for (of, (alone, along)) in positions.iter().zip(at_marks.iter().zip(&along)) {
                let left = |by: &dyn Fn(usize) -> f64| -> f64 {
                    let mut left = equity as f64;
                    for each in &positions {
                        let coin = &coins[each.coin];
                        let (mark, size) = (float(coin.mark), float(each.size));
                        let notional = size * mark * by(each.coin);
                        let tier = coin.tiers.as_ref().unwrap().at(Decimal::try_from(notional).unwrap());
                        left += sign(each.side) * size * mark * (by(each.coin) - 1.0);
                        left -= notional * float(tier.maintenance_margin_rate) - float(tier.deduction);
                    }
                    left
                };
                let mark = float(coins[of.coin].mark);
                for (reach, moves_along) in [(alone.unwrap(), false), (along.unwrap(), true)] {
                    for price in [reach.below(), reach.above()].into_iter().flatten() {
                        let by = float(price) / mark;
                        let left = left(&|coin| if moves_along || coin == of.coin { by } else { 1.0 });
                        prop_assert!(left.abs() < 1e-3, "{left} left at {price}");
                    }
                }
            }
        }
    }
}
