//! A lending market of a million accounts: the index built cold, asked warm, changed, and beside looking at everybody.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use anyhow::{Context as _, Result, ensure};
use differential::chance::Chance;
use engine::map::Levels;
use engine::map::defi::{By, Group, Holder, Index, Knows, Market, series};
use protocol::aave::Revision;
use protocol::aave::account::{Block, Leg, Valuation};
use protocol::aave::config::{ReserveConfig, ReserveId, ReserveSet};
use protocol::aave::math::{Bps, Ray};
use protocol::aave::rates::RateModel;
use protocol::aave::reserve::Reserve;
use protocol::amount::Usd8;
use protocol::standing::Standing;

use crate::{best, cpu_seconds, line};

const ACCOUNTS: u32 = 1_000_000;
const LEVELS: usize = 200;
const NOW: u64 = 1_700_000_000;
/// Levels at which everybody is looked at, to know what that costs.
const NAIVE_LEVELS: usize = 2;

/// Decimals and whole dollars: ether, a token pegged to it, a dollar, bitcoin, a coin.
const TOKENS: [(u8, u64); 8] = [(18, 3_000), (18, 3_500), (6, 1), (8, 60_000), (18, 15), (6, 1), (18, 90), (18, 1)];

fn market() -> Market {
    let reserve = |(decimals, _): &(u8, u64)| {
        let config = ReserveConfig {
            liquidation_threshold: Bps(8_000),
            liquidation_bonus: Bps(10_500),
            liquidation_protocol_fee: Bps(1_000),
            decimals: *decimals,
            active: true,
            ..ReserveConfig::default()
        };
        let index = Ray(Ray::ONE.0 + Ray::ONE.0 / U256::from(7));
        Reserve {
            liquidity_index: index,
            variable_borrow_index: index,
            last_update: NOW,
            ..Reserve::new(config, RateModel::default())
        }
    };
    Market {
        name: "a million accounts".into(),
        chain: None,
        revision: Revision::V3_6,
        reserves: TOKENS.iter().map(reserve).collect(),
        e_modes: BTreeMap::new(),
        block: Block {
            now: NOW,
            prices: TOKENS.iter().map(|(_, dollars)| U256::from(dollars * 100_000_000)).collect(),
            ..Block::default()
        },
        dollar: U256::from(100_000_000),
        group: Group { members: ReserveSet(0b11), base_moves: false },
        anchor: Usd8(300_000_000_000),
        standing: Standing::Assumed,
        knows: Knows::ALL,
    }
}

/// Two of collateral and one of debt; most are healthy, at every distance from the edge.
fn account(chance: &mut Chance) -> [Leg; 3] {
    let size = chance.within(100, 1_000_000);
    let first = chance.index(TOKENS.len());
    std::array::from_fn(|leg| {
        let reserve = (first + leg * (1 + chance.index(2))) % TOKENS.len();
        let (decimals, dollars) = TOKENS[reserve];
        let share = if leg < 2 { 1_000 } else { chance.within(100, 1_590) };
        let amount = 10_u128.pow(decimals.into()) * u128::from(size * share) / u128::from(1_000 * dollars);
        Leg {
            supplied: if leg < 2 { amount } else { 0 },
            borrowed: if leg < 2 { 0 } else { amount },
            stable_debt: 0,
            reserve: ReserveId(u8::try_from(reserve).unwrap_or(0)),
            is_collateral: leg < 2,
            is_borrowing: leg == 2,
        }
    })
}

pub(crate) fn report() -> Result<()> {
    let chance = &mut Chance::new(7, 5);
    let people: Vec<[Leg; 3]> = (0..ACCOUNTS).map(|_| account(chance)).collect();
    let holders = || (0..).zip(&people).map(|(id, legs)| Holder { id, e_mode: 0, legs });
    let market = market();
    println!(
        "a lending market, {ACCOUNTS} accounts with three legs, {LEVELS} levels from -60 % to +60 % of today's price\n"
    );
    let (cold, index) = best(3, || Index::new(market.clone(), holders()));
    let mut index = index.context("no index")?;
    line("cold build", cold, "s", "best of 3; once for each block");
    line("memory", index.bytes() as f64 / f64::from(ACCOUNTS), "B/account", "");
    let step = 12_000 / u32::try_from(LEVELS)?;
    let levels = Levels::around(market.anchor, -6_000, 5_990, step)?;
    ensure!(levels.len() == LEVELS, "{} levels", levels.len());
    let (warm, at) = best(5, || index.at(levels.prices()));
    let at = at.context("no levels")?;
    let asked: u64 = at.iter().flatten().map(|at| at.asked).sum();
    line("who and which tokens at every level, warm", warm * 1e3, "ms", &format!("{asked} looked at by integers"));
    let by = By { market: true, chain: true, class: true };
    let (full, _) = best(3, || series(&[&index], &levels, by));
    line(
        "as series in dollars, by market and size class",
        full * 1e3,
        "ms",
        &format!("{:.1} times under a second", 1.0 / full),
    );
    let naive = naive(&market, &people, &levels, &at)?;
    line(
        "everybody's health factor at every level",
        naive,
        "s",
        &format!("{:.0} times the warm index, {:.1} times cold and warm", naive / full, naive / (cold + full)),
    );
    let mut change = |index: &mut Index, changes: std::ops::Range<u32>| {
        for change in changes {
            let id = change * 997 % ACCOUNTS;
            index.update(&Holder { id, e_mode: 0, legs: &account(chance) });
        }
    };
    change(&mut index, 0..1_000);
    let (changed, _) = best(2, || series(&[&index], &levels, by));
    line("the series after 1,000 accounts changed", changed * 1e3, "ms", "");
    let begin = cpu_seconds();
    change(&mut index, 1_000..11_000);
    line(
        "one changed account",
        (cpu_seconds() - begin) / 10_000.0 * 1e6,
        "us",
        "of 10,000, with the ranks made anew once among them",
    );
    Ok(())
}

/// Seconds for everybody at every level, from a few of them; what they find must be what the index holds.
fn naive(market: &Market, people: &[[Leg; 3]], levels: &Levels, at: &[Option<engine::map::defi::At>]) -> Result<f64> {
    let mut seconds = 0.0;
    for nth in 0..NAIVE_LEVELS {
        let place = (nth + 1) * LEVELS / (NAIVE_LEVELS + 1);
        let begin = cpu_seconds();
        let block = market.block_at(levels.prices()[place]).context("no prices")?;
        let valuation = Valuation::new(market.revision, &market.reserves, &market.e_modes, &block)
            .map_err(|why| anyhow::anyhow!("no valuation: {why}"))?;
        let is_in = |legs: &&[Leg; 3]| valuation.account(0, &legs[..]).is_ok_and(|data| data.is_liquidatable());
        let count = people.iter().filter(is_in).count() as u64;
        seconds += cpu_seconds() - begin;
        let mapped: u64 = at[place].iter().flat_map(|at| &at.by_class).map(|tally| tally.accounts).sum();
        ensure!(count == mapped, "{count} accounts, and the map has {mapped}");
    }
    Ok(seconds / NAIVE_LEVELS as f64 * LEVELS as f64)
}
