//! A watch beside the screen and the exact path, tick after tick: whatever prices, time, governance and accounts do.

use super::*;
use crate::health::Watch;

/// A market that moves, and everybody in it.
struct World {
    revision: Revision,
    kind: Kind,
    reserves: Vec<Reserve>,
    e_modes: BTreeMap<u8, EMode>,
    block: Block,
    /// Prices and configurations to which it returns.
    usual: (Vec<U256>, Vec<ReserveConfig>),
    /// Legs that many accounts share, with amounts of their own.
    patterns: Vec<(u8, Vec<Leg>)>,
    accounts: Vec<(u8, Vec<Leg>)>,
    /// For how many seconds factors shall hold.
    span: u64,
}

impl World {
    fn random(revision: Revision, kind: Kind, chance: &mut Chance) -> Self {
        let mut reserves: Vec<Reserve> = (0..3 + chance.below(4)).map(|_| reserve(kind, chance)).collect();
        for reserve in &mut reserves {
            set_rates(reserve, chance);
        }
        let e_modes = [1, 2].map(|number| (number, category(&reserves, chance))).into();
        let prices: Vec<U256> = reserves.iter().map(|_| U256::from(price(kind, chance))).collect();
        let block = Block { now: NOW, prices: prices.clone(), ..Block::default() };
        let span = [0, 0, 60, 3_600][usize::from(chance.byte(4))];
        let usual = (prices, reserves.iter().map(|reserve| reserve.config).collect());
        let (patterns, accounts) = (Vec::new(), Vec::new());
        let mut world = Self { revision, kind, reserves, e_modes, block, usual, patterns, accounts, span };
        let market = world.market(0);
        world.patterns = (0..4).map(|_| market.account(kind, chance)).collect();
        world.accounts = (0..180).map(|_| world.account(&market, chance)).collect();
        world
    }

    /// The market so many seconds from now.
    fn market(&self, seconds: u64) -> Market {
        let block = Block { now: self.block.now + seconds, ..self.block.clone() };
        let unit_values = block.prices.iter().zip(&self.reserves).map(|(price, reserve)| {
            price.to_string().parse::<f64>().unwrap() / 10_f64.powi(reserve.config.decimals.into())
        });
        Market {
            revision: self.revision,
            valuation: Valuation::new(self.revision, &self.reserves, &self.e_modes, &block).unwrap(),
            reserves: self.reserves.len() as u64,
            unit_values: unit_values.collect(),
        }
    }

    fn factors(&self) -> Factors {
        let now = Factors::of(&self.market(0).valuation);
        if self.span == 0 { now } else { Factors::between(&now, &Factors::of(&self.market(self.span).valuation)) }
    }

    /// One that can nearly be liquidated, or somewhat less nearly; seldom one that owes nothing.
    fn account(&self, market: &Market, chance: &mut Chance) -> (u8, Vec<Leg>) {
        let (e_mode, mut legs) = match chance.below(10) {
            0 => market.account(self.kind, chance),
            _ => self.patterns[usize::from(chance.byte(4))].clone(),
        };
        for leg in &mut legs {
            leg.supplied = leg.supplied / 64 * u128::from(8 + chance.below(120));
        }
        let borrowed = match market.edge(e_mode, &legs) {
            Some(edge) if chance.below(6) == 0 => edge.saturating_sub(u128::from(chance.below(4))),
            Some(edge) => edge / 1_000 * u128::from(400 + chance.below(620)),
            None => u128::from(chance.below(1_000)),
        };
        legs.last_mut().unwrap().borrowed = borrowed;
        if chance.below(20) == 0 {
            legs.pop();
        }
        (e_mode, legs)
    }

    /// Moves prices, time, or what governance sets.
    fn step(&mut self, chance: &mut Chance) {
        let some = usize::from(chance.byte(self.reserves.len() as u64));
        let small = 995 + chance.below(11);
        match chance.below(30) {
            0..=7 | 23..=24 => self.scale(some, small, 1_000),
            8 => (0..self.reserves.len()).step_by(2).for_each(|one| self.scale(one, small, 1_000)),
            9 => (0..self.reserves.len()).for_each(|one| self.scale(one, 997 + chance.below(3), 1_000)),
            10 => (0..self.reserves.len()).for_each(|one| self.scale(one, 1_000 + chance.below(3), 1_000)),
            11 => self.scale(some, 1, 10),
            12 => (0..self.reserves.len()).for_each(|one| self.scale(one, 1, 10)),
            13..=15 => self.block.now += 1 + chance.below(100),
            16 => self.block.now += chance.below(86_400),
            17 => {
                let config = &mut self.reserves[some].config;
                config.liquidation_threshold = Bps(u16::try_from(chance.below(3) * chance.below(4_800)).unwrap());
            }
            18 => {
                let new = category(&self.reserves, chance);
                self.e_modes.insert(1 + chance.byte(2), new);
            }
            19 => {
                let block = self.block.now;
                let reserve = &mut self.reserves[some];
                reserve.liquidity_index = reserve.normalized_income(block).unwrap();
                reserve.variable_borrow_index = reserve.normalized_debt(self.revision.rules(), block).unwrap();
                reserve.last_update = block;
                set_rates(reserve, chance);
            }
            20 => self.block.prices[some] = U256::from(1_u8) << chance.byte(110),
            21..=22 => (),
            _ => {
                self.block.prices.clone_from(&self.usual.0);
                for (reserve, config) in self.reserves.iter_mut().zip(&self.usual.1) {
                    reserve.config = *config;
                }
            }
        }
    }

    fn scale(&mut self, reserve: usize, factor: u64, of: u64) {
        let price = &mut self.block.prices[reserve];
        *price = (*price * U256::from(factor) / U256::from(of)).max(U256::from(1));
    }
}

/// From nothing to six hundred per cent a year.
fn set_rates(reserve: &mut Reserve, chance: &mut Chance) {
    let mut rate = || Ray(U256::from(RAY / 10_000) * U256::from(chance.up_to_bits(16)));
    (reserve.rates.liquidity, reserve.rates.variable) = (rate(), rate());
}

fn category(reserves: &[Reserve], chance: &mut Chance) -> EMode {
    let bits: Vec<bool> = reserves.iter().map(|_| chance.below(2) == 0).collect();
    let collateral = (0..).map(ReserveId).zip(bits).filter(|(_, is_in)| *is_in).map(|(id, _)| id).collect();
    let threshold = if chance.below(8) == 0 { 0 } else { 9_000 + chance.below(900) };
    EMode { liquidation_threshold: Bps(u16::try_from(threshold).unwrap()), collateral, ..EMode::default() }
}

/// How often the ticks of a test did what it is about.
#[derive(Debug, Default)]
struct Seen {
    ticks: u64,
    accounts: usize,
    looked: usize,
    passed_over: usize,
    below: usize,
    suspects: usize,
    fallen: usize,
    risen: usize,
    filed: usize,
}

/// Ticks of one world, each held to the screen and to the exact path at several moments of its span.
fn follow(seed: u64, revision: Revision, ticks: u64, seen: &mut Seen) {
    let chance = &mut Chance(seed);
    let kind = if chance.below(3) == 0 { Kind::Odd } else { Kind::Usual };
    let mut world = World::random(revision, kind, chance);
    let accounts = || world.accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs));
    let sizes = [16 + usize::from(chance.byte(64)), 1 + usize::from(chance.byte(8))];
    let mut watch = Watch::with_parts(accounts(), &world.factors(), sizes);
    let mut screen = Screen::new(accounts());
    let mut verdicts = Verdicts::default();
    let mut before = watch.suspects();
    for tick in 0..ticks {
        world.step(chance);
        let market = world.market(0);
        for _ in 0..chance.below(3) * chance.below(3) * chance.below(2) {
            let account = world.account(&market, chance);
            let which = usize::try_from(chance.below(world.accounts.len() as u64 + 1)).unwrap();
            if which == world.accounts.len() {
                assert_eq!(watch.push(account.0, &account.1), screen.push(account.0, &account.1));
                world.accounts.push(account);
            } else {
                watch.replace(u32::try_from(which).unwrap(), account.0, &account.1);
                screen.replace(u32::try_from(which).unwrap(), account.0, &account.1);
                world.accounts[which] = account;
            }
        }
        let factors = world.factors();
        screen.evaluate(&factors, &mut verdicts);
        let looked = watch.tick(factors);
        let suspects = watch.suspects();
        assert_eq!(suspects, screen.suspects(&verdicts), "seed {seed}, tick {tick}: {revision:?}");
        for seconds in [0, world.span, world.span / 3] {
            seen.below += nobody_is_missing(&world, &world.market(seconds), &watch, [seed, tick, seconds]);
        }
        seen.ticks += 1;
        seen.accounts += world.accounts.len();
        seen.looked += looked.accounts;
        seen.passed_over += world.accounts.len().saturating_sub(looked.accounts);
        seen.suspects += suspects.len();
        seen.fallen += suspects.iter().filter(|account| before.binary_search(account).is_err()).count();
        seen.risen += before.iter().filter(|account| suspects.binary_search(account).is_err()).count();
        if chance.below(3) == 0 {
            seen.filed += watch.refresh(usize::try_from(chance.below(400)).unwrap());
        }
        assert_eq!(watch.suspects(), suspects, "filing changes no verdict");
        before = suspects;
    }
}

/// Says how many the exact path finds below 1, or finds nothing of.
fn nobody_is_missing(world: &World, market: &Market, watch: &Watch, at: [u64; 3]) -> usize {
    let mut below = 0;
    for ((e_mode, legs), account) in world.accounts.iter().zip(0..) {
        let owes = legs.iter().any(|leg| leg.is_borrowing);
        let health = market.exact(*e_mode, legs);
        if owes && health.is_none_or(|health| health < LIQUIDATION_HEALTH_FACTOR) {
            below += 1;
            assert!(watch.is_suspect(account), "{at:?}: {:?} {health:?} {e_mode} {legs:?}", market.revision);
        }
    }
    below
}

fn follow_all(worlds: u64, ticks: u64) -> Seen {
    let mut seen = Seen::default();
    for seed in 0..worlds {
        let revision = Revision::ALL[usize::try_from(seed).unwrap() % Revision::ALL.len()];
        follow(seed, revision, ticks, &mut seen);
    }
    println!("{seen:?}");
    seen
}

#[test]
fn nobody_who_fell_below_1_is_missed() {
    let seen = follow_all(40, 50);
    assert!(seen.below > 100_000 && seen.fallen > 3_000 && seen.risen > 3_000 && seen.filed > 10_000, "{seen:?}");
    // Half of them are suspects, which no tick may pass over while something changes.
    assert!(seen.passed_over * 4 > seen.accounts, "{seen:?}");
}

/// For an optimised build: `cargo test --release -p engine thousands_of_worlds -- --ignored`.
#[test]
#[ignore = "takes a minute when optimised"]
fn nobody_who_fell_below_1_is_missed_in_thousands_of_worlds() {
    follow_all(2_000, 200);
}

/// Everybody moves in the same direction by steps that none would notice, and no part is filed anew.
#[test]
fn small_steps_add_up() {
    let chance = &mut Chance(5);
    for revision in [Revision::V2, Revision::V3_3, Revision::V3_6] {
        let mut world = World::random(revision, Kind::Usual, chance);
        world.span = 0;
        let accounts = world.accounts.iter().map(|(e_mode, legs)| (*e_mode, &**legs));
        let mut watch = Watch::new(accounts, &world.factors());
        let before = watch.suspects().len();
        world.reserves.iter_mut().for_each(|reserve| reserve.rates.liquidity = Ray(U256::ZERO));
        for tick in 0..150 {
            (0..world.reserves.len()).for_each(|one| world.scale(one, 9_997, 10_000));
            world.block.now += 12;
            watch.tick(world.factors());
            nobody_is_missing(&world, &world.market(0), &watch, [0, tick, 0]);
        }
        world.reserves.iter_mut().for_each(|reserve| reserve.rates.variable = Ray(U256::from(RAY / 5)));
        for tick in 0..100 {
            world.block.now += 86_400;
            watch.tick(world.factors());
            nobody_is_missing(&world, &world.market(0), &watch, [1, tick, 0]);
        }
        assert!(watch.suspects().len() > before, "{revision:?}: nobody fell");
    }
}

/// Or a watch would be a screen. A thousand accounts of one shape, spread over health factors from 1 to 2; one price
/// falls by half a per cent.
#[test]
fn a_small_move_looks_at_few() {
    let chance = &mut Chance(11);
    let market = Market::random(Kind::Usual, Revision::V3_6, chance);
    let mut legs = [leg(0, 1, 0), leg(1, 0, 1)];
    legs[0].supplied = 1 << 90;
    let Some(edge) = market.edge(0, &legs) else { panic!("it can be liquidated at some debt") };
    let accounts: Vec<[Leg; 2]> =
        (0..1_000).map(|number| [legs[0], Leg { borrowed: edge / 2_000 * (1_000 + number), ..legs[1] }]).collect();
    let before = Factors::of(&market.valuation);
    let mut watch = Watch::new(accounts.iter().map(|legs| (0, legs.as_slice())), &before);
    assert_eq!(watch.suspects(), []);
    assert_eq!(watch.tick(before.clone()).accounts, 0, "nothing changed");
    let mut after = before;
    after.alone[0].factor *= 0.995;
    let tick = watch.tick(after.clone());
    assert!((9..=10).contains(&watch.suspects().len()));
    assert!(tick.parts == 1 && tick.accounts <= 32, "{tick:?}");
    assert_eq!(watch.tick(after).accounts, 0, "nothing changed since");
}

#[test]
fn a_part_that_looks_in_vain_is_filed_anew() {
    let chance = &mut Chance(11);
    let market = Market::random(Kind::Usual, Revision::V3_6, chance);
    let rich = [leg(0, u128::MAX >> 40, 0), leg(1, 0, 1)];
    let mut factors = Factors::of(&market.valuation);
    let mut watch = Watch::new(vec![(0, rich.as_slice()); 64].into_iter(), &factors);
    // So far from where it was filed that everybody is looked at.
    factors.debt[1].factor *= 3e6;
    let mut looked = 0;
    for step in 0..70 {
        factors.alone[0].factor *= if step % 2 == 0 { 1.001 } else { 0.999 };
        looked = watch.tick(factors.clone()).accounts;
    }
    assert_eq!(looked, 64);
    assert_eq!(watch.refresh(1), 64, "the whole part");
    assert_eq!(watch.refresh(1), 0, "nothing else is due");
    factors.alone[0].factor *= 0.999;
    assert!(watch.tick(factors).accounts == 0 || !watch.suspects().is_empty());
}

/// The usual case in a book that lives: the same account again and again, and nobody asks in between.
#[test]
fn changes_between_ticks_take_no_memory() {
    let market = Market::random(Kind::Usual, Revision::V3_6, &mut Chance(2));
    let legs = [leg(0, 1 << 90, 0), leg(1, 0, 1)];
    let factors = Factors::of(&market.valuation);
    let mut watch = Watch::with_parts(vec![(0, legs.as_slice()); 100].into_iter(), &factors, [64, 64]);
    for number in 0..20_000_u32 {
        watch.replace(number % 100, 0, &legs);
    }
    assert!(watch.bytes() < 40_000, "{}", watch.bytes());
    let tick = watch.tick(factors);
    assert!(tick.accounts <= 2 * 2 * 64 + 64, "{tick:?}");
}
