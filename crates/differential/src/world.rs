//! What a market is before anybody uses it: reserves, e-modes, users, drawn from a seed.
//!
//! Everything here passes the configurators' own checks, and reaches into their corners: assets that are no collateral,
//! bonuses just above 100 %, thresholds that leave nothing above the bonus, fees of nothing and of everything.

use alloy_primitives::U256;

use crate::chance::Chance;

/// A version of the contracts that can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// V2.
    V2,
    /// 3.0.0.
    V3_0_0,
    /// 3.0.2.
    V3_0_2,
    /// 3.6.
    V3_6,
}

impl Version {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::V2, Self::V3_0_0, Self::V3_0_2, Self::V3_6];

    /// The name of its artifacts.
    pub fn family(self) -> &'static str {
        match self {
            Self::V2 => "v2",
            Self::V3_0_0 => "v3_0_0",
            Self::V3_0_2 => "v3_0_2",
            Self::V3_6 => "v3_6",
        }
    }

    /// As it is named on a command line.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.family() == text)
    }

    /// Whether it is one of the two 3.0s.
    pub fn is_3_0(self) -> bool {
        matches!(self, Self::V3_0_0 | Self::V3_0_2)
    }

    /// Whether debt at a stable rate exists.
    pub fn has_stable_debt(self) -> bool {
        self != Self::V3_6
    }
}

/// A market's specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// Which contracts.
    pub version: Version,
    /// In the order of their ids.
    pub reserves: Vec<ReserveSpec>,
    /// E-mode categories; none in V2.
    pub e_modes: Vec<EModeSpec>,
    /// How many people.
    pub users: usize,
    /// Whether the market has a price oracle sentinel.
    pub sentinel: bool,
}

/// One reserve.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the contract's")]
pub struct ReserveSpec {
    /// Of the underlying token.
    pub decimals: u8,
    /// In the base currency's unit: 8 decimals of a dollar, in V2 18 of an ether.
    pub price: U256,
    /// In basis points.
    pub ltv: u16,
    /// In basis points; zero where the asset is no collateral.
    pub liquidation_threshold: u16,
    /// In basis points, above 10,000; zero where the asset is no collateral.
    pub liquidation_bonus: u16,
    /// In basis points.
    pub reserve_factor: u16,
    /// In basis points.
    pub liquidation_protocol_fee: u16,
    /// Whether it can be borrowed.
    pub borrowing: bool,
    /// Whether it can be borrowed at a stable rate.
    pub stable_borrowing: bool,
    /// In whole tokens; zero is none.
    pub supply_cap: u64,
    /// In whole tokens; zero is none.
    pub borrow_cap: u64,
    /// In hundredths of a dollar; zero is none.
    pub debt_ceiling: u64,
    /// Whether it may only be borrowed alone.
    pub siloed: bool,
    /// Whether it may be borrowed against collateral with a debt ceiling.
    pub borrowable_in_isolation: bool,
    /// How interest follows from use.
    pub rates: Rates,
}

/// The interest rate strategy, in ray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Use up to which the first slope holds.
    pub optimal: U256,
    /// The variable rate at no use.
    pub base: U256,
    /// Added up to the optimal use.
    pub slope1: U256,
    /// Added from there to full use.
    pub slope2: U256,
    /// The stable rate's first slope.
    pub stable_slope1: U256,
    /// The stable rate's second slope.
    pub stable_slope2: U256,
    /// 3.0: what the stable rate starts at above the first slope. V2: the market's stable rate.
    pub stable_base: U256,
    /// 3.0: added as stable debt outgrows its share.
    pub stable_excess: U256,
    /// 3.0: the share of stable debt up to which nothing is added.
    pub stable_optimal: U256,
}

impl ReserveSpec {
    /// A reserve with nothing special about it, which is what shortened cases are made of.
    pub fn plain() -> Self {
        Self {
            decimals: 18,
            price: U256::from(100_000_000),
            ltv: 7_500,
            liquidation_threshold: 8_000,
            liquidation_bonus: 10_500,
            reserve_factor: 1_000,
            liquidation_protocol_fee: 0,
            borrowing: true,
            stable_borrowing: false,
            supply_cap: 0,
            borrow_cap: 0,
            debt_ceiling: 0,
            siloed: false,
            borrowable_in_isolation: false,
            rates: Rates::plain(),
        }
    }
}

impl Rates {
    /// Interest with nothing special about it.
    pub fn plain() -> Self {
        Self {
            optimal: ray(8_000),
            base: U256::ZERO,
            slope1: ray(400),
            slope2: ray(6_000),
            stable_slope1: ray(400),
            stable_slope2: ray(6_000),
            stable_base: ray(200),
            stable_excess: ray(500),
            stable_optimal: ray(2_000),
        }
    }
}

/// One e-mode category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EModeSpec {
    /// From 1.
    pub id: u8,
    /// In basis points.
    pub ltv: u16,
    /// In basis points.
    pub liquidation_threshold: u16,
    /// In basis points, above 10,000.
    pub liquidation_bonus: u16,
    /// 3.0: the price that stands for every member, where there is one.
    pub price: Option<U256>,
    /// 3.6: collateral in it. 3.0: its members.
    pub collateral: Vec<usize>,
    /// 3.6: what may be borrowed in it.
    pub borrowable: Vec<usize>,
    /// 3.6: collateral whose ltv is zero in it.
    pub ltv_zero: Vec<usize>,
}

const RAY_BPS: u64 = 100_000;

/// A basis point in ray is 10^23.
pub fn ray(bps: u64) -> U256 {
    U256::from(bps) * U256::from(RAY_BPS) * U256::from(10).pow(U256::from(18))
}

impl World {
    /// The world of a seed.
    pub fn random(version: Version, seed: u64) -> Self {
        let mut chance = Chance::new(seed, 1);
        let count = if chance.percent(70) { chance.within(3, 6) } else { chance.within(7, 12) };
        let mut reserves: Vec<ReserveSpec> = (0..count).map(|_| reserve(version, &mut chance)).collect();
        // Somebody must be able to borrow something against something.
        anchor(&mut reserves[0]);
        anchor(&mut reserves[1]);
        let e_modes = if version == Version::V2 { Vec::new() } else { e_modes(version, &mut reserves, &mut chance) };
        let users = usize::try_from(chance.within(3, 8)).unwrap_or(3);
        let sentinel = version != Version::V2 && chance.percent(40);
        Self { version, reserves, e_modes, users, sentinel }
    }
}

fn anchor(reserve: &mut ReserveSpec) {
    reserve.borrowing = true;
    reserve.debt_ceiling = 0;
    reserve.supply_cap = 0;
    if reserve.liquidation_threshold == 0 {
        reserve.ltv = 7_500;
        reserve.liquidation_threshold = 8_000;
        reserve.liquidation_bonus = 10_500;
    }
}

fn reserve(version: Version, chance: &mut Chance) -> ReserveSpec {
    let decimals = match chance.below(20) {
        0..=8 => 18,
        9..=12 => 6,
        13..=16 => 8,
        17 => 27,
        18 if version == Version::V3_6 => 7,
        18 => chance.pick(&[0, 1, 2]),
        _ => 12,
    };
    let (ltv, liquidation_threshold, liquidation_bonus) = collateral(chance);
    let is_v3 = version != Version::V2;
    let borrowing = chance.percent(90);
    ReserveSpec {
        decimals,
        price: price(version, chance),
        ltv,
        liquidation_threshold,
        liquidation_bonus,
        reserve_factor: fee(chance),
        liquidation_protocol_fee: if is_v3 { fee(chance) } else { 0 },
        borrowing,
        stable_borrowing: borrowing && version.has_stable_debt() && chance.percent(50),
        supply_cap: if is_v3 && chance.percent(10) { chance.within(1, 100_000_000) } else { 0 },
        borrow_cap: if is_v3 && chance.percent(10) { chance.within(1, 10_000_000) } else { 0 },
        debt_ceiling: if is_v3 && chance.percent(15) { chance.within(100, 100_000_000) } else { 0 },
        siloed: is_v3 && chance.percent(8),
        borrowable_in_isolation: is_v3 && chance.percent(60),
        rates: rates(version, chance),
    }
}

/// A price most often as prices are, sometimes the smallest or an absurd one.
pub fn price(version: Version, chance: &mut Chance) -> U256 {
    let is_v2 = version == Version::V2;
    match chance.below(40) {
        0 => U256::from(1),
        1 => chance.magnitude(20, 28),
        2 => U256::from(chance.within(2, 1_000)),
        3..=14 if is_v2 => U256::from(10).pow(U256::from(18)),
        3..=14 => U256::from(100_000_000),
        _ if is_v2 => chance.magnitude(13, 20),
        _ => chance.magnitude(6, 13),
    }
}

/// Loan to value, threshold and bonus.
pub fn collateral(chance: &mut Chance) -> (u16, u16, u16) {
    match chance.below(20) {
        0..=1 => (0, 0, 0),
        // Collateral that carries what is borrowed but allows nothing new.
        2 => (0, chance.bps(1_000, 9_000), chance.bps(10_001, 10_900)),
        // The bonus takes everything above the threshold.
        3 => {
            let threshold = chance.bps(5_000, 9_900);
            let bonus = u16::try_from(100_000_000 / u64::from(threshold)).unwrap_or(10_001).max(10_001);
            (chance.bps(1, threshold), threshold, bonus)
        }
        4 => (chance.bps(9_000, 9_600), chance.bps(9_600, 9_900), chance.bps(10_001, 10_050)),
        5 => (1, 1, chance.bps(10_001, 20_000)),
        _ => {
            let threshold = chance.bps(4_000, 9_000);
            (chance.bps(threshold / 2, threshold), threshold, chance.bps(10_100, 11_000))
        }
    }
}

/// A share in basis points: nothing and everything more often than chance.
pub fn fee(chance: &mut Chance) -> u16 {
    match chance.below(10) {
        0 => 0,
        1 => 10_000,
        2 => chance.bps(1, 10_000),
        _ => chance.bps(500, 3_000),
    }
}

fn rates(version: Version, chance: &mut Chance) -> Rates {
    let is_3_6 = version == Version::V3_6;
    // 3.6 keeps basis points; the others take any number.
    let any = |first, last, chance: &mut Chance| {
        let odd = if is_3_6 { U256::ZERO } else { chance.up_to(ray(1)) };
        ray(chance.within(first, last)) + odd
    };
    let slope1 = any(0, 2_000, chance);
    let optimal = if !is_3_6 && chance.percent(5) { ray(10_000) } else { any(100, 9_898, chance) };
    Rates {
        optimal,
        base: if chance.percent(50) { U256::ZERO } else { any(0, 500, chance) },
        slope1,
        slope2: slope1 + any(0, 30_000, chance),
        stable_slope1: any(0, 2_000, chance),
        stable_slope2: any(0, 30_000, chance),
        stable_base: any(0, 1_000, chance),
        stable_excess: any(0, 2_000, chance),
        stable_optimal: any(0, 9_999, chance),
    }
}

fn e_modes(version: Version, reserves: &mut [ReserveSpec], chance: &mut Chance) -> Vec<EModeSpec> {
    let count = chance.below(4);
    let ids = (1..=count).map(|id| if chance.percent(10) { 250 + id } else { id });
    let ids: Vec<u8> = ids.filter_map(|id| u8::try_from(id).ok()).collect();
    let mut taken = vec![false; reserves.len()];
    ids.into_iter().map(|id| e_mode(version, id, reserves, &mut taken, chance)).collect()
}

fn e_mode(
    version: Version,
    id: u8,
    reserves: &mut [ReserveSpec],
    taken: &mut [bool],
    chance: &mut Chance,
) -> EModeSpec {
    let liquidation_threshold = chance.bps(9_000, 9_800);
    let ltv = chance.bps(8_500, liquidation_threshold);
    let most = 100_000_000 / u64::from(liquidation_threshold);
    let liquidation_bonus = chance.bps(10_001, u16::try_from(most).unwrap_or(10_001));
    let every = 0..reserves.len();
    let mut some = |percent| every.clone().filter(|_| chance.percent(percent)).collect::<Vec<_>>();
    let mut collateral = some(50);
    let borrowable = some(60);
    let mut ltv_zero = some(15);
    if version.is_3_0() {
        // A reserve is in one category, and the category's threshold is above its own.
        collateral.retain(|&index| !taken[index] && reserves[index].liquidation_threshold < liquidation_threshold);
        collateral.iter().for_each(|&index| taken[index] = true);
    }
    ltv_zero.retain(|index| collateral.contains(index));
    let price = (version.is_3_0() && chance.percent(40)).then(|| price(version, chance));
    EModeSpec { id, ltv, liquidation_threshold, liquidation_bonus, price, collateral, borrowable, ltv_zero }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worlds_pass_the_configurators_checks() {
        for version in Version::ALL {
            for seed in 0..200 {
                let world = World::random(version, seed);
                for reserve in &world.reserves {
                    assert!(reserve.ltv <= reserve.liquidation_threshold);
                    let product = u32::from(reserve.liquidation_threshold) * u32::from(reserve.liquidation_bonus);
                    assert!((product + 5_000) / 10_000 <= 10_000);
                }
            }
        }
    }

    #[test]
    fn a_seed_gives_one_world() {
        assert_eq!(World::random(Version::V3_6, 5), World::random(Version::V3_6, 5));
        assert_ne!(World::random(Version::V3_6, 5), World::random(Version::V3_6, 6));
    }
}
