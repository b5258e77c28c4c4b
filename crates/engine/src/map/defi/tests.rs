//! Maps beside the exact evaluation of every account at every level.

use std::collections::BTreeMap;

use protocol::aave::Revision;
use protocol::aave::account::{Account, Block, Leg, Position, account_data};
use protocol::aave::config::{EMode, ReserveConfig, ReserveId, ReserveSet, UserFlags};
use protocol::aave::liquidation::LiquidationCall;
use protocol::aave::math::{Bps, Ray};
use protocol::aave::pool::{Action, Executed, Outcome, Pool};
use protocol::aave::rates::{RateModel, Rates};
use protocol::aave::reserve::Reserve;
use protocol::amount::Usd8;
use protocol::standing::Standing;
use protocol::{Address, U256};

use super::{By, Group, Holder, Index, Knows, Market, series};
use crate::map::{DebtClass, Levels, Quantity};

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
}

const NOW: u64 = 1_700_000_000;
const DECIMALS: [u8; 4] = [18, 8, 6, 18];

/// Four reserves: two of the group, a dollar, and another coin.
fn market(revision: Revision, chance: &mut Chance) -> Market {
    let is_eth = chance.below(4) == 0;
    // Prices in dollars of eight decimals: the asset, its wrapper, a dollar, another coin.
    let usd =
        [2_345_678_912_345 / (1 + chance.below(300)), 0, 99_990_000 + chance.below(20_000), 1 + chance.below(1 << 32)];
    let usd = [usd[0], usd[0] / 1_000 * (900 + chance.below(300)), usd[2], usd[3]];
    let in_ether = |usd: u64| U256::from(usd) * U256::from(10).pow(U256::from(18)) / U256::from(30_000_000_000_u64);
    let prices = usd.map(|usd| if is_eth { in_ether(usd) } else { U256::from(usd) });
    let reserves = DECIMALS.map(|decimals| {
        let threshold = u16::try_from(6_000 + chance.below(3_000)).unwrap();
        let config = ReserveConfig {
            decimals,
            ltv: Bps(threshold - 500),
            liquidation_threshold: Bps(threshold),
            liquidation_bonus: Bps(10_000 + u16::try_from(100 + chance.below(900)).unwrap()),
            liquidation_protocol_fee: Bps(u16::try_from(chance.below(3) * 1_000).unwrap()),
            e_mode_category: chance.byte(2),
            active: true,
            borrowing: true,
            virtual_accounting: revision >= Revision::V3_4,
            ..ReserveConfig::default()
        };
        let index =
            |chance: &mut Chance| Ray(Ray::ONE.0 + U256::from(chance.bits()) * U256::from(chance.below(1 << 24)));
        Reserve {
            liquidity_index: index(chance),
            variable_borrow_index: index(chance),
            rates: Rates { liquidity: Ray(Ray::ONE.0 >> 5), variable: Ray(Ray::ONE.0 >> 4), ..Rates::default() },
            last_update: NOW - 40_000,
            liquidity: U256::MAX >> 130,
            ..Reserve::new(config, RateModel::default())
        }
    });
    let category = EMode {
        ltv: Bps(9_000),
        liquidation_threshold: Bps(9_300),
        liquidation_bonus: Bps(10_100),
        collateral: ReserveSet(0b11),
        borrowable: ReserveSet(0b11),
        ..EMode::default()
    };
    Market {
        name: "random".into(),
        chain: None,
        revision,
        reserves: reserves.to_vec(),
        e_modes: [(1, category)].into(),
        block: Block { now: NOW, prices: prices.to_vec(), ..Block::default() },
        dollar: if is_eth { in_ether(100_000_000) } else { U256::from(100_000_000) },
        // In ether either another coin of the market is the asset, or ether itself.
        group: Group { members: ReserveSet(0b11), base_moves: is_eth && chance.below(2) == 0 },
        anchor: Usd8(i128::from(usd[0])),
        standing: Standing::Exact,
        knows: Knows::ALL,
    }
}

/// An account of any shape, near its threshold or far from it, a fortune or dust.
fn holder(market: &Market, chance: &mut Chance) -> (u8, Vec<Leg>) {
    let e_mode = if market.revision == Revision::V2 { 0 } else { chance.byte(3) / 2 };
    let size = 10_f64.powi(i32::from(chance.byte(10)) - 8);
    let mut legs = Vec::new();
    for (id, decimals) in (0..).map(ReserveId).zip(DECIMALS) {
        let price = f64::from(market.block.prices[usize::from(id.0)]) / f64::from(market.dollar);
        let amount = |chance: &mut Chance, odds: u64| {
            let tokens = size * (1 + chance.below(1_000)) as f64 / price * 10_f64.powi(decimals.into());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and far below 2^128"
            )]
            let units = tokens as u128;
            if chance.below(odds) == 0 { units } else { 0 }
        };
        let (supplied, borrowed) = (amount(chance, 2) * 3, amount(chance, 3));
        if supplied + borrowed > 0 {
            legs.push(Leg {
                supplied,
                borrowed,
                stable_debt: 0,
                reserve: id,
                is_collateral: chance.below(10) > 0,
                is_borrowing: borrowed > 0,
            });
        }
    }
    (e_mode, legs)
}

fn account(e_mode: u8, legs: &[Leg]) -> Account {
    let mut flags = UserFlags::default();
    let mut positions = BTreeMap::new();
    for leg in legs {
        flags.set_collateral(leg.reserve, leg.is_collateral);
        flags.set_borrowing(leg.reserve, leg.is_borrowing);
        let (supplied, borrowed) = (U256::from(leg.supplied), U256::from(leg.borrowed));
        positions.insert(leg.reserve, Position { supplied, borrowed, ..Position::default() });
    }
    Account { flags, e_mode, positions }
}

fn holders(people: &[(u8, Vec<Leg>)]) -> impl Iterator<Item = Holder<'_>> {
    (0..).zip(people).map(|(id, (e_mode, legs))| Holder { id, e_mode: *e_mode, legs })
}

fn levels(market: &Market, chance: &mut Chance) -> Levels {
    let step = u32::try_from(37 + chance.below(600)).unwrap();
    Levels::around(market.anchor, -9_000, 20_000, step).unwrap()
}

/// Who is liquidatable at a level, by the contract's arithmetic alone.
fn by_brute_force(market: &Market, people: &[(u8, Vec<Leg>)], level: Usd8) -> Vec<bool> {
    let block = market.block_at(level).unwrap();
    let is_liquidatable = |(e_mode, legs): &(u8, Vec<Leg>)| {
        let account = account(*e_mode, legs);
        let data = account_data(market.revision, &market.reserves, &market.e_modes, &account, &block);
        data.unwrap().is_liquidatable()
    };
    people.iter().map(is_liquidatable).collect()
}

/// Token sums over some accounts, from the reserves' own indexes.
fn tokens(market: &Market, people: &[(u8, Vec<Leg>)], who: &[bool]) -> (u64, Vec<Option<u128>>, Vec<Option<u128>>) {
    let rules = market.revision.rules();
    let (mut count, mut supplied, mut owed) = (0, vec![Some(0); 4], vec![Some(0); 4]);
    for ((_, legs), _) in people.iter().zip(who).filter(|(_, is_in)| **is_in) {
        count += 1;
        for leg in legs {
            let reserve = &market.reserves[usize::from(leg.reserve.0)];
            let add =
                |sum: &mut Option<u128>, amount: U256| *sum = Some(sum.unwrap() + u128::try_from(amount).unwrap());
            if leg.is_collateral {
                let index = reserve.normalized_income(NOW).unwrap();
                add(
                    &mut supplied[usize::from(leg.reserve.0)],
                    rules.scaling.supply_balance(U256::from(leg.supplied), index).unwrap(),
                );
            }
            let index = reserve.normalized_debt(rules, NOW).unwrap();
            let debt = rules.scaling.debt_balance(U256::from(leg.borrowed), index).unwrap();
            add(&mut owed[usize::from(leg.reserve.0)], debt);
        }
    }
    (count, supplied, owed)
}

/// The levels, and those at and beside the prices at which accounts become liquidatable.
fn with_edges(index: &Index, levels: &Levels) -> Levels {
    let today = levels.today();
    let mut prices = levels.prices().to_vec();
    for level in [prices[0], prices[prices.len() - 1]] {
        let edges = index.who(today, level, usize::MAX).into_iter().filter_map(|who| who.from);
        prices.extend(edges.flat_map(|Usd8(edge)| [-2, -1, 0, 1, 2].map(|away| Usd8(edge + away))));
    }
    prices.sort_unstable();
    prices.dedup();
    Levels::new(today, prices).unwrap()
}

fn check(index: &Index, market: &Market, people: &[(u8, Vec<Leg>)], levels: &Levels) -> (u64, u64) {
    let (mut reached, mut asked) = (0, 0);
    for (level, at) in levels.prices().iter().zip(index.at(levels.prices())) {
        let at = at.unwrap();
        let who = by_brute_force(market, people, *level);
        let mut all = super::Tally::none(4);
        at.by_class.iter().for_each(|tally| all.merge(tally));
        let found = (all.accounts, all.supplied.clone(), all.owed.clone());
        assert_eq!(found, tokens(market, people, &who), "{:?} at {level}", market.revision);
        (reached, asked) = (reached + all.accounts, asked + at.asked);
    }
    (reached, asked)
}

/// Every revision, base currency in the group or not, e-mode or not, collateral and debt in the group together.
#[test]
fn a_level_holds_exactly_who_the_contract_lets_be_liquidated_there() {
    let mut chance = Chance(5);
    let (mut reached, mut asked) = (0, 0);
    for round in 0..6 {
        for revision in Revision::ALL {
            let market = market(revision, &mut chance);
            let people: Vec<_> = (0..60).map(|_| holder(&market, &mut chance)).collect();
            let levels = levels(&market, &mut chance);
            let index = Index::new(market.clone(), holders(&people));
            assert_eq!(index.unvalued(), 0, "{round}");
            let counts = check(&index, &market, &people, &with_edges(&index, &levels));
            (reached, asked) = (reached + counts.0, asked + counts.1);
        }
    }
    // Or nothing was at stake; and the integers must have had a word.
    assert!(reached > 10_000 && asked > 100, "{reached} reached, {asked} asked");
}

/// Accounts at the very edge, looked at unit by unit of the asset's price.
#[test]
fn a_price_one_unit_away_makes_the_difference() {
    let mut chance = Chance(11);
    let mut crossed = 0;
    for revision in Revision::ALL {
        let market = market(revision, &mut chance);
        let people: Vec<_> = (0..100).map(|_| holder(&market, &mut chance)).collect();
        let index = Index::new(market.clone(), holders(&people));
        let anchor = market.anchor.0;
        for (nearer, level) in [(anchor, anchor / 10), (anchor, anchor * 3)] {
            for who in index.who(Usd8(nearer), Usd8(level), 100) {
                let Some(Usd8(first)) = who.from else { continue };
                let towards = if who.rises { -1 } else { 1 };
                let one = [people[who.id as usize].clone()];
                let around = [0, towards, 2 * towards].map(|away| Usd8(first + away));
                let is_in = around.map(|level| by_brute_force(&market, &one, level)[0]);
                if first == anchor {
                    continue;
                }
                assert_eq!(is_in[..2], [true, false], "{revision:?} {who:?} {:?}", market.group);
                let alone = Index::new(market.clone(), holders(&people).filter(|holder| holder.id == who.id));
                assert!(alone.at(&[who.certain])[0].as_ref().unwrap().by_class.iter().any(|tally| tally.accounts == 1));
                crossed += 1;
            }
        }
    }
    assert!(crossed > 100, "{crossed}");
}

#[test]
fn an_index_that_was_changed_is_one_that_was_made_so() {
    let mut chance = Chance(23);
    for revision in Revision::ALL {
        let market = market(revision, &mut chance);
        let mut people: Vec<_> = (0..50).map(|_| holder(&market, &mut chance)).collect();
        let mut index = Index::new(market.clone(), holders(&people[..40]));
        for change in 0..60 {
            let at = if change < 10 { 40 + change } else { usize::from(chance.byte(50)) };
            if change >= 10 {
                people[at] = if chance.below(5) == 0 { (0, Vec::new()) } else { holder(&market, &mut chance) };
            }
            let (e_mode, legs) = &people[at];
            index.update(&Holder { id: u32::try_from(at).unwrap(), e_mode: *e_mode, legs });
        }
        let levels = levels(&market, &mut chance);
        check(&index, &market, &people, &levels);
        let new = Index::new(market.clone(), holders(&people));
        let sums = |index: &Index| -> Vec<_> {
            let at = index.at(levels.prices());
            at.into_iter().map(|at| at.unwrap().by_class).collect()
        };
        assert_eq!(sums(&index), sums(&new));
        assert_eq!(index.len(), new.len());
    }
}

#[test]
fn parts_add_up_and_no_fall_makes_a_loan_on_the_coin_safer() {
    let mut chance = Chance(31);
    let markets: Vec<Index> = [Revision::V2, Revision::V3_0_2, Revision::V3_6]
        .map(|revision| {
            let mut market = market(revision, &mut chance);
            market.name = revision.name().into();
            market.chain = Some(protocol::chain::ChainId(u64::from(chance.byte(2)) + 1));
            let people: Vec<_> = (0..80).map(|_| holder(&market, &mut chance)).collect();
            Index::new(market, holders(&people))
        })
        .into();
    let levels = Levels::around(markets[0].anchor(), -6_000, 6_000, 500).unwrap();
    let by = By { market: true, chain: true, class: true };
    let series = series(&markets.iter().collect::<Vec<_>>(), &levels, by);
    let sum = |quantity: Quantity, wanted: &dyn Fn(&crate::map::Label) -> bool| -> Vec<i128> {
        let chosen = series.iter().filter(|series| series.quantity == quantity && wanted(&series.label));
        chosen.fold(vec![0; levels.len()], |sum, series| {
            sum.iter().zip(&series.values).map(|(sum, value)| sum + value.unwrap()).collect()
        })
    };
    for quantity in [Quantity::Accounts, Quantity::Debt, Quantity::Collateral, Quantity::Repayable, Quantity::Bonus] {
        let total = sum(quantity, &|label| *label == crate::map::Label::default());
        assert!(total.iter().any(|value| *value > 0));
        assert_eq!(total, sum(quantity, &|label| label.market.is_some() && label.class.is_none()));
        assert_eq!(total, sum(quantity, &|label| label.chain.is_some() && label.market.is_none()));
        assert_eq!(total, sum(quantity, &|label| label.class.is_some() && label.market.is_none()));
        assert_eq!(total, sum(quantity, &|label| label.class.is_some() && label.market.is_some()));
    }
    let [bonus, fee, left] = [Quantity::Bonus, Quantity::ProtocolFee, Quantity::Recapturable]
        .map(|quantity| sum(quantity, &|label| *label == crate::map::Label::default()));
    assert!((0..levels.len()).all(|at| fee[at] + left[at] <= bonus[at]));
}

/// Whoever has collateral in the asset alone and owes dollars is reached by falls only, and stays so.
#[test]
fn loans_on_the_coin_are_monotone() {
    let mut chance = Chance(41);
    let market =
        Market { group: Group { members: ReserveSet(0b11), base_moves: false }, ..market(Revision::V3_2, &mut chance) };
    let people: Vec<(u8, Vec<Leg>)> = (0..200)
        .map(|_| {
            let (_, legs) = holder(&market, &mut chance);
            let only = |leg: &Leg| Leg {
                supplied: if leg.reserve.0 < 2 { leg.supplied } else { 0 },
                borrowed: if leg.reserve.0 < 2 { 0 } else { leg.borrowed },
                is_collateral: leg.reserve.0 < 2,
                is_borrowing: leg.reserve.0 >= 2 && leg.borrowed > 0,
                ..*leg
            };
            (0, legs.iter().map(only).collect())
        })
        .collect();
    let index = Index::new(market.clone(), holders(&people));
    let levels = Levels::around(market.anchor, -9_500, 30_000, 100).unwrap();
    let counts: Vec<u64> = index
        .at(levels.prices())
        .into_iter()
        .map(|at| at.unwrap().by_class.iter().map(|tally| tally.accounts).sum())
        .collect();
    assert!(counts.is_sorted_by(|lower, higher| lower >= higher) && counts[0] > *counts.last().unwrap());
}

/// The first call is what the pool itself does when asked for all that is allowed on that pair.
#[test]
fn a_first_call_moves_what_the_pool_moves() {
    let mut chance = Chance(53);
    let mut compared = 0;
    for revision in Revision::ALL {
        let mut market = market(revision, &mut chance);
        market.reserves.iter_mut().for_each(|reserve| {
            (reserve.last_update, reserve.liquidity_index, reserve.variable_borrow_index) = (NOW, Ray::ONE, Ray::ONE);
        });
        for _ in 0..60 {
            let (e_mode, legs) = holder(&market, &mut chance);
            let index = Index::new(market.clone(), std::iter::once(Holder { id: 0, e_mode, legs: &legs }));
            let level = Usd8(market.anchor.0 * i128::from(30 + chance.below(170)) / 100);
            let Some(block) = market.block_at(level) else { continue };
            let borrower = account(e_mode, &legs);
            let data = account_data(revision, &market.reserves, &market.e_modes, &borrower, &block).unwrap();
            let held: Vec<super::Held> = index.legs.clone();
            if !data.is_liquidatable() || held.is_empty() {
                continue;
            }
            let money = market.first_call(e_mode, &held, level, Some(data.health_factor)).unwrap();
            let outcomes = outcomes(&market, &borrower, &block);
            let value = |amount: U256, id: ReserveId| {
                let decimals = u32::from(market.reserves[usize::from(id.0)].config.decimals);
                let base = amount * block.prices[usize::from(id.0)] / U256::from(10).pow(U256::from(decimals));
                market.usd(base, level).unwrap().0
            };
            let is_this = |(call, done): &(LiquidationCall, protocol::aave::liquidation::Liquidated)| {
                let seized = value(done.collateral_received + done.protocol_fee, call.collateral);
                (i128::from(money.repaid), i128::from(money.seized)) == (value(done.debt_repaid, call.debt), seized)
                    && i128::from(money.fee)
                        <= value(done.protocol_fee, call.collateral).min(i128::from(money.bonus)) + 1
            };
            if outcomes.iter().any(is_this) {
                compared += 1;
            } else {
                // Dust rules and the pool's refusals are stated: then no call asks for all.
                let refused = held.iter().filter(|held| held.supplied > 0).count()
                    * held.iter().filter(|held| held.owed > 0).count();
                assert!(outcomes.len() < refused || refused == 0, "{revision:?} {money:?} {outcomes:?}");
            }
        }
    }
    assert!(compared > 60, "{compared}");
}

/// What the pool does on every pair, asked for all that is allowed.
fn outcomes(
    market: &Market,
    borrower: &Account,
    block: &Block,
) -> Vec<(LiquidationCall, protocol::aave::liquidation::Liquidated)> {
    let [user, liquidator] = [1, 2].map(Address::with_last_byte);
    let mut found = Vec::new();
    for (collateral, debt) in (0..16_u8).map(|at| (ReserveId(at / 4), ReserveId(at % 4))) {
        let mut pool = Pool {
            revision: market.revision,
            reserves: market.reserves.clone(),
            e_modes: market.e_modes.clone(),
            accounts: [(user, borrower.clone())].into(),
            treasury: Address::with_last_byte(3),
            is_paused: false,
        };
        for (at, reserve) in (0..).map(ReserveId).zip(&mut pool.reserves) {
            let position = borrower.position(at);
            (reserve.scaled_supply, reserve.scaled_variable_debt) = (position.supplied, position.borrowed);
        }
        let call = LiquidationCall {
            liquidator,
            borrower: user,
            collateral,
            debt,
            debt_to_cover: U256::MAX,
            receive_a_token: true,
        };
        if let Outcome::Executed(Executed::Liquidated(done)) = pool.apply(&Action::Liquidate(call), block) {
            found.push((call, done));
        }
    }
    found
}

#[test]
fn what_cannot_be_valued_is_counted_and_hides_nobody_else() {
    let mut chance = Chance(61);
    let mut market = market(Revision::V3_6, &mut chance);
    market.block.prices[3] = U256::ZERO;
    let leg = |reserve: u8, supplied: u128, borrowed: u128| Leg {
        supplied,
        borrowed,
        stable_debt: 0,
        reserve: ReserveId(reserve),
        is_collateral: supplied > 0,
        is_borrowing: borrowed > 0,
    };
    let people: Vec<(u8, Vec<Leg>)> = vec![
        (0, vec![leg(0, 1 << 60, 0), leg(3, 0, 5)]),
        (0, vec![leg(3, 5, 0)]),
        (0, vec![leg(0, 1 << 60, 0), leg(2, 0, 5)]),
        (9, vec![leg(0, 1 << 60, 0), leg(2, 0, 5)]),
        (0, vec![leg(0, u128::MAX, 0), leg(2, 0, u128::MAX)]),
        (0, vec![leg(2, 0, 1_000)]),
    ];
    let index = Index::new(market.clone(), holders(&people));
    // The first owes what has no price, the fourth is in no known category, the fifth leaves 128 bits.
    assert_eq!((index.len(), index.unvalued()), (2, 3));
    let at = index.at(&[market.anchor]).pop().unwrap().unwrap();
    let all: u64 = at.by_class.iter().map(|tally| tally.accounts).sum();
    assert_eq!(all, 1, "debt without collateral can be liquidated at any price");
    assert_eq!(at.by_class[usize::from(DebtClass::of(Usd8(0)) as u8)].without_call, 0);
    assert!(index.at(&[Usd8(0)])[0].is_none(), "there is no price of zero");
}
