//! Screens beside the exact path: random markets of every revision, and accounts at the very edge.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use proptest::prelude::*;
use protocol::aave::Revision;
use protocol::aave::account::{Block, LIQUIDATION_HEALTH_FACTOR, Leg, Valuation};
use protocol::aave::config::{EMode, ReserveConfig, ReserveId};
use protocol::aave::math::{Bps, Ray, Wad};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;

use super::{DENSE_FROM, Factors, Screen, Verdicts};

mod watch;

/// Numbers that are counted, not drawn (SplitMix64).
struct Chance(u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    fn byte(&mut self, end: u64) -> u8 {
        u8::try_from(self.below(end)).unwrap()
    }

    /// As likely short as long, up to so many bits.
    fn up_to_bits(&mut self, bits: u64) -> u128 {
        let number = u128::from(self.bits()) << 64 | u128::from(self.bits());
        number.checked_shr(128 - u32::try_from(self.below(bits + 1)).unwrap()).unwrap_or(0)
    }

    fn part(&mut self) -> f64 {
        self.bits() as f64 / 2.0_f64.powi(64)
    }
}

const RAY: u128 = 1_000_000_000_000_000_000_000_000_000;
const NOW: u64 = 1_700_000_000;

/// What kind of market, and accounts of what size.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// 6 to 18 decimals, prices from a cent, thousands of dollars.
    Usual,
    /// 0 to 27 decimals, prices from the smallest unit to absurd ones, dust and fortunes.
    Odd,
}

fn reserve(kind: Kind, chance: &mut Chance) -> Reserve {
    let threshold = match (kind, chance.below(10)) {
        (Kind::Odd, 0) => 0,
        (Kind::Odd, 1) => chance.below(5),
        (Kind::Odd, 2) => 10_000,
        _ => 4_000 + chance.below(5_500),
    };
    let decimals = match kind {
        Kind::Usual => [6, 8, 18][usize::from(chance.byte(3))],
        Kind::Odd => chance.byte(28),
    };
    let config = ReserveConfig {
        decimals,
        ltv: Bps(u16::try_from(threshold / 2).unwrap()),
        liquidation_threshold: Bps(u16::try_from(threshold).unwrap()),
        e_mode_category: chance.byte(3),
        active: true,
        ..ReserveConfig::default()
    };
    let mut index = || Ray(U256::from(RAY + u128::from(chance.bits()) * (u128::from(chance.below(400_000_000)))));
    let (liquidity_index, variable_borrow_index) = (index(), index());
    let new = Reserve::new(config, RateModel::default());
    Reserve { liquidity_index, variable_borrow_index, last_update: NOW, ..new }
}

/// A market at one moment.
struct Market {
    revision: Revision,
    valuation: Valuation,
    reserves: u64,
    unit_values: Vec<f64>,
}

impl Market {
    fn random(kind: Kind, revision: Revision, chance: &mut Chance) -> Self {
        let reserves: Vec<Reserve> = (0..2 + chance.below(5)).map(|_| reserve(kind, chance)).collect();
        let mut e_modes = BTreeMap::new();
        for number in [1, 2] {
            let threshold = if kind == Kind::Odd && chance.below(8) == 0 { 0 } else { 9_000 + chance.below(900) };
            let bits: Vec<bool> = reserves.iter().map(|_| chance.below(2) == 0).collect();
            let members = (0..).map(ReserveId).zip(bits).filter(|(_, is_in)| *is_in).map(|(id, _)| id).collect();
            let liquidation_threshold = Bps(u16::try_from(threshold).unwrap());
            e_modes.insert(number, EMode { liquidation_threshold, collateral: members, ..EMode::default() });
        }
        let prices: Vec<U256> = reserves.iter().map(|_| U256::from(price(kind, chance))).collect();
        let unit_values = prices
            .iter()
            .zip(&reserves)
            .map(|(price, reserve)| {
                price.to_string().parse::<f64>().unwrap() / 10_f64.powi(reserve.config.decimals.into())
            })
            .collect();
        let block = Block { now: NOW, prices, ..Block::default() };
        let valuation = Valuation::new(revision, &reserves, &e_modes, &block).unwrap();
        Self { revision, valuation, reserves: reserves.len() as u64, unit_values }
    }

    /// Legs in random reserves; the last one is debt, and the only leg with no amount yet.
    fn account(&self, kind: Kind, chance: &mut Chance) -> (u8, Vec<Leg>) {
        let e_mode = if self.revision == Revision::V2 { 0 } else { chance.byte(3) };
        let (collateral, debt) = (1 + chance.below(3), chance.below(2));
        let mut legs: Vec<Leg> = (0..collateral + debt + 1).map(|_| self.leg(kind, chance)).collect();
        for (leg, number) in legs.iter_mut().zip(0..) {
            if number < collateral {
                *leg = Leg { is_collateral: true, borrowed: 0, stable_debt: 0, ..*leg };
            } else {
                *leg = Leg { is_borrowing: true, supplied: 0, ..*leg };
                if !self.valuation.rules().stable_debt {
                    leg.stable_debt = 0;
                }
            }
        }
        let last = legs.last_mut().unwrap();
        (last.borrowed, last.stable_debt) = (0, last.stable_debt / 64);
        (e_mode, legs)
    }

    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an amount is positive, and any will do"
    )]
    fn leg(&self, kind: Kind, chance: &mut Chance) -> Leg {
        let reserve = ReserveId(chance.byte(self.reserves));
        let amount = match kind {
            // A hundred to a million whole dollars, or as many ether's hundredths.
            Kind::Usual => {
                let value = 1e10 * 10_f64.powf(4.0 * chance.part());
                (value / self.unit_values[usize::from(reserve.0)]) as u128
            }
            Kind::Odd => chance.up_to_bits(116),
        };
        // Stable debt makes a suspect of everyone, so few have some.
        let stable_debt = if kind == Kind::Odd && chance.below(16) == 0 { amount / 8 } else { 0 };
        Leg { supplied: amount, borrowed: amount / 16, stable_debt, reserve, is_collateral: false, is_borrowing: false }
    }

    fn exact(&self, e_mode: u8, legs: &[Leg]) -> Option<Wad> {
        self.valuation.account(e_mode, legs).ok().map(|data| data.health_factor)
    }

    /// The least debt of the last leg with which the account can be liquidated.
    fn edge(&self, e_mode: u8, legs: &[Leg]) -> Option<u128> {
        let mut legs = legs.to_vec();
        let mut is_low = |borrowed| {
            legs.last_mut().unwrap().borrowed = borrowed;
            self.exact(e_mode, &legs).is_none_or(|health| health < LIQUIDATION_HEALTH_FACTOR)
        };
        let (mut healthy, mut low) = (0, 1 << 120);
        if is_low(healthy) || !is_low(low) {
            return None;
        }
        while low - healthy > 1 {
            let middle = healthy.midpoint(low);
            if is_low(middle) { low = middle } else { healthy = middle }
        }
        Some(low)
    }
}

fn price(kind: Kind, chance: &mut Chance) -> u128 {
    match kind {
        Kind::Usual => 1_000_000 + chance.up_to_bits(43),
        Kind::Odd => 1 + chance.up_to_bits(90),
    }
}

/// Debts around an edge: by units, by the errors of single precision, and by the basis point of an average.
fn around(edge: u128, chance: &mut Chance) -> Vec<u128> {
    let mut debts = vec![edge - edge / 10, edge / 2, edge.saturating_mul(2)];
    debts.extend((0..3).flat_map(|units| [edge.saturating_sub(units), edge + units]));
    for _ in 0..5 {
        debts.push(edge.saturating_sub(edge >> 21) + (edge >> 20) * u128::from(chance.below(256)) / 256);
        debts.push(edge.saturating_sub(edge / 2_000 * u128::from(chance.below(256)) / 256));
    }
    debts
}

#[derive(Debug, Default)]
struct Tally {
    accounts: u64,
    healthy: u64,
    false_suspects: u64,
}

/// Screens accounts beside the exact path, and holds every verdict and estimate to it.
fn compare(market: &Market, accounts: &[(u8, Vec<Leg>)], seed: u64, tally: &mut Tally) {
    let screen = Screen::new(accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs)));
    let factors = Factors::of(&market.valuation);
    let mut verdicts = Verdicts::default();
    screen.evaluate(&factors, &mut verdicts);
    let suspects = screen.suspects(&verdicts);
    for ((e_mode, legs), account) in accounts.iter().zip(0..) {
        let is_suspect = suspects.binary_search(&account).is_ok();
        assert_eq!(is_suspect, screen.is_suspect(&verdicts, account));
        let Some(health) = market.exact(*e_mode, legs) else {
            assert!(is_suspect, "seed {seed}: {:?} has no health factor: {e_mode} {legs:?}", market.revision);
            continue;
        };
        let is_healthy = health >= LIQUIDATION_HEALTH_FACTOR;
        assert!(is_healthy || is_suspect, "seed {seed}: {:?} {health:?}: {e_mode} {legs:?}", market.revision);
        tally.accounts += 1;
        tally.healthy += u64::from(is_healthy);
        tally.false_suspects += u64::from(is_healthy && is_suspect);
        let estimate = screen.estimate(&factors, account);
        if health == Wad::INFINITE {
            assert!(estimate.high.is_infinite(), "seed {seed}: {estimate:?}");
            continue;
        }
        let exact = health.0.to_string().parse::<f64>().unwrap() / 1e18;
        let is_between = estimate.low <= exact * (1.0 + 1e-15) && exact <= estimate.high * (1.0 + 1e-15);
        assert!(is_between, "seed {seed}: {:?} {exact}: {estimate:?} {e_mode} {legs:?}", market.revision);
        let value = f64::from(estimate.value);
        assert!(value.is_nan() || estimate.low <= value * 1.000_01, "seed {seed}: {estimate:?}");
    }
}

/// Accounts at the edge, in so many random markets of each revision. Says how many accounts were compared.
fn at_the_edge(markets: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..markets {
        let chance = &mut Chance(seed);
        for revision in Revision::ALL {
            let kind = if chance.below(3) == 0 { Kind::Usual } else { Kind::Odd };
            let market = Market::random(kind, revision, chance);
            let mut accounts = Vec::new();
            for _ in 0..4 {
                let (e_mode, mut legs) = market.account(kind, chance);
                let Some(edge) = market.edge(e_mode, &legs) else { continue };
                for borrowed in around(edge, chance) {
                    legs.last_mut().unwrap().borrowed = borrowed;
                    accounts.push((e_mode, legs.clone()));
                }
            }
            compare(&market, &accounts, seed, &mut tally);
        }
    }
    tally
}

/// Accounts as chance has them, and at no edge: legs of every size, with bits that say nothing.
fn anywhere(markets: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..markets {
        let chance = &mut Chance(!seed);
        for revision in Revision::ALL {
            let market = Market::random(Kind::Odd, revision, chance);
            let accounts: Vec<_> = (0..100)
                .map(|_| {
                    let (e_mode, mut legs) = market.account(Kind::Odd, chance);
                    for leg in &mut legs {
                        (leg.supplied, leg.borrowed) = (chance.up_to_bits(128), chance.up_to_bits(128));
                        (leg.is_collateral, leg.is_borrowing) = (chance.below(2) == 0, chance.below(2) == 0);
                    }
                    (e_mode, legs)
                })
                .filter(|(_, legs)| legs.iter().any(|leg| leg.is_borrowing))
                .collect();
            compare(&market, &accounts, seed, &mut tally);
        }
    }
    tally
}

#[test]
fn nobody_below_1_is_called_healthy() {
    let edge = at_the_edge(80);
    println!("at the edge: {edge:?}");
    assert!(edge.accounts > 30_000 && edge.healthy * 3 > edge.accounts, "{edge:?}");
    let any = anywhere(50);
    println!("anywhere: {any:?}");
    assert!(any.accounts > 20_000, "{any:?}");
}

/// For an optimised build: `cargo test --release -p engine millions -- --ignored`.
#[test]
#[ignore = "takes a minute when optimised"]
fn nobody_of_millions_below_1_is_called_healthy() {
    println!("at the edge: {:?}", at_the_edge(12_000));
    println!("anywhere: {:?}", anywhere(4_000));
}

/// Debt spread evenly between a third and all of what makes the account liquidatable, and beyond: health factors from
/// 0.8 to 3.
#[test]
fn false_suspects_are_rare() {
    for revision in [Revision::V2, Revision::V3_3, Revision::V3_6] {
        let (chance, mut tally) = (&mut Chance(7), Tally::default());
        for seed in 0..40 {
            let market = Market::random(Kind::Usual, revision, chance);
            let mut accounts = Vec::new();
            for _ in 0..5 {
                let (e_mode, mut legs) = market.account(Kind::Usual, chance);
                let Some(edge) = market.edge(e_mode, &legs) else { continue };
                for _ in 0..200 {
                    let share = u128::from(333 + chance.below(917)) * 1_000_000 + u128::from(chance.below(1_000_000));
                    legs.last_mut().unwrap().borrowed = edge / 1_000_000_000 * share;
                    accounts.push((e_mode, legs.clone()));
                }
            }
            compare(&market, &accounts, seed, &mut tally);
        }
        println!("{revision:?}: {tally:?}");
        assert!(tally.healthy > 10_000 && tally.false_suspects * 1_000 < tally.healthy, "{revision:?} {tally:?}");
    }
}

/// It is an amount at one moment: a screen that is used again later could not know it.
#[test]
fn who_has_stable_debt_is_a_suspect() {
    let market = Market::random(Kind::Usual, Revision::V2, &mut Chance(3));
    let rich = Leg { is_collateral: true, ..leg_of(0, 1 << 100, 0) };
    let owes = |stable_debt| Leg { stable_debt, is_borrowing: true, ..leg_of(0, 0, 1) };
    let screen = Screen::new([vec![rich, owes(0)], vec![rich, owes(1)]].iter().map(|legs| (0, legs.as_slice())));
    let mut verdicts = Verdicts::default();
    screen.evaluate(&Factors::of(&market.valuation), &mut verdicts);
    assert_eq!(screen.suspects(&verdicts), [1]);
}

fn leg_of(reserve: u8, supplied: u128, borrowed: u128) -> Leg {
    Leg { supplied, borrowed, stable_debt: 0, reserve: ReserveId(reserve), is_collateral: false, is_borrowing: false }
}

/// Verdicts of nobody, or of another screen, clear nobody.
#[test]
#[should_panic(expected = "the screen they are of")]
fn verdicts_are_of_one_screen() {
    let legs = [Leg { is_borrowing: true, ..leg_of(0, 0, 1) }];
    let screen = Screen::new([(0, legs.as_slice())].into_iter());
    drop(screen.suspects(&Verdicts::default()));
}

/// An account's legs as a property test draws them: few shapes, so that they fill up and empty.
fn few_shapes() -> impl Strategy<Value = (u8, Vec<Leg>)> {
    let leg = (0_u8..2, 0_u8..4, 1_u128..1 << 100).prop_map(|(reserve, bits, amount)| Leg {
        supplied: amount,
        borrowed: amount / 2,
        stable_debt: if amount % 5 == 0 { amount / 9 } else { 0 },
        reserve: ReserveId(reserve),
        is_collateral: bits & 1 != 0,
        is_borrowing: bits & 2 != 0,
    });
    (0_u8..2, prop::collection::vec(leg, 0..3))
}

/// Verdicts and health factors, the latter bit by bit.
fn outcome(screen: &Screen, factors: &Factors) -> (Vec<u32>, Vec<u32>) {
    let (mut verdicts, mut health) = (Verdicts::default(), Vec::new());
    screen.evaluate(factors, &mut verdicts);
    screen.health_factors(factors, &mut health);
    (screen.suspects(&verdicts), health.iter().map(|health| health.to_bits()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was pushed and replaced on the way, and in whatever order legs came.
    #[test]
    fn a_changed_screen_is_one_built_anew(
        seed in any::<u64>(),
        first in prop::collection::vec(few_shapes(), 0..300),
        changes in prop::collection::vec((any::<prop::sample::Index>(), few_shapes()), 0..600),
    ) {
        let market = Market::random(Kind::Usual, Revision::V3_0_2, &mut Chance(seed));
        let factors = Factors::of(&market.valuation);
        let mut accounts = first;
        let mut screen = Screen::new(accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs)));
        for (which, (e_mode, legs)) in changes {
            let which = which.index(accounts.len() + 1);
            if which == accounts.len() {
                screen.push(e_mode, &legs);
                accounts.push((e_mode, legs));
            } else {
                screen.replace(u32::try_from(which).unwrap(), e_mode, &legs);
                accounts[which] = (e_mode, legs);
            }
        }
        accounts.iter_mut().for_each(|(_, legs)| legs.reverse());
        let anew = Screen::new(accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs)));
        prop_assert_eq!(screen.len(), accounts.len());
        prop_assert_eq!(outcome(&screen, &factors), outcome(&anew, &factors));
    }
}

fn leg(reserve: u8, supplied: u128, borrowed: u128) -> Leg {
    let (is_collateral, is_borrowing) = (supplied != 0, borrowed != 0);
    Leg { supplied, borrowed, stable_debt: 0, reserve: ReserveId(reserve), is_collateral, is_borrowing }
}

/// Alone among blocks of its size, and among many of its shape.
#[test]
fn a_verdict_does_not_depend_on_company() {
    let chance = &mut Chance(3);
    for revision in Revision::ALL {
        let market = Market::random(Kind::Odd, revision, chance);
        let factors = Factors::of(&market.valuation);
        let (e_mode, legs) = market.account(Kind::Odd, chance);
        let alone = outcome(&Screen::new([(e_mode, &*legs)].into_iter()), &factors);
        let many = outcome(&Screen::new(vec![(e_mode, &*legs); DENSE_FROM + 5].into_iter()), &factors);
        assert!(many.1.iter().all(|health| *health == alone.1[0]), "{revision:?}");
        assert_eq!(many.0.len(), if alone.0.is_empty() { 0 } else { DENSE_FROM + 5 });
    }
}

#[test]
fn who_owes_nothing_is_healthy_and_the_unknown_is_suspect() {
    let market = Market::random(Kind::Usual, Revision::V3_6, &mut Chance(1));
    let factors = Factors::of(&market.valuation);
    let fortune = 1 << 100;
    let accounts = [
        (0, vec![]),
        (0, vec![leg(0, u128::MAX, 0)]),
        (77, vec![leg(0, 5, 0)]),
        (0, vec![leg(0, fortune, 0), leg(1, 0, 1)]),
        (77, vec![leg(0, fortune, 0), leg(1, 0, 1)]),
        (0, vec![leg(0, fortune, 0), leg(100, 0, 1)]),
        (0, vec![leg(0, fortune, 0), leg(200, 0, 1)]),
        (0, vec![leg(200, fortune, 0), leg(0, fortune, 1)]),
        (0, vec![leg(0, u128::MAX, 0), leg(1, 0, 1)]),
        (0, vec![leg(0, 0, 1)]),
    ];
    let screen = Screen::new(accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs)));
    assert_eq!(outcome(&screen, &factors).0, [4, 5, 6, 7, 8, 9]);
    let infinite: Vec<u32> = (0..10).filter(|id| screen.estimate(&factors, *id).low.is_infinite()).collect();
    assert_eq!(infinite, [0, 1, 2]);
}

#[test]
fn a_screen_says_what_it_takes() {
    let legs = [leg(0, 9, 0), leg(1, 0, 9)];
    let screen = Screen::new(vec![(0, &legs[..]); 1_000].into_iter());
    assert_eq!(screen.read_bytes(), 2 * 4 * 1_008);
    assert!((20_000..25_000).contains(&screen.bytes()), "{}", screen.bytes());
}
