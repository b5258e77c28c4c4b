//! One position, one liquidation, every revision: what each makes of it, worked by hand.
//!
//! Ten ether at 2,000 dollars with a threshold of 80 %, a bonus of 5 % and a tenth of it for the treasury, against
//! dollars. Indexes are 1, so that every figure is exact.

use alloy_primitives::{Address, U256};
use protocol::aave::Revision;
use protocol::aave::account::{Account, Block, Position, Sentinel};
use protocol::aave::config::{ReserveConfig, ReserveId};
use protocol::aave::liquidation::{Liquidated, LiquidationCall};
use protocol::aave::math::{Bps, Ray};
use protocol::aave::pool::{Action, Executed, Outcome, Pool};
use protocol::aave::rates::RateModel;
use protocol::aave::refusal::Refusal;
use protocol::aave::reserve::Reserve;

const ETHER: ReserveId = ReserveId(0);
const DOLLARS: ReserveId = ReserveId(1);
const BORROWER: Address = Address::repeat_byte(1);
const LIQUIDATOR: Address = Address::repeat_byte(2);
const NOW: u64 = 1_000_000;

fn gwei(amount: u64) -> U256 {
    U256::from(amount) * U256::from(1_000_000_000_u64)
}

/// Cents, in units of a millionth.
fn cents(amount: u64) -> U256 {
    U256::from(amount) * U256::from(10_000)
}

/// The position in thousandths of an ether and in cents, under the revision.
fn position(revision: Revision, milli_ether: u64, debt_cents: u64) -> (Pool, Block) {
    let config = |decimals, threshold| ReserveConfig {
        ltv: Bps(threshold),
        liquidation_threshold: Bps(threshold),
        liquidation_bonus: Bps(10_500),
        liquidation_protocol_fee: Bps(1_000),
        decimals,
        active: true,
        borrowing: true,
        ..ReserveConfig::default()
    };
    let rates = RateModel { optimal_usage: Ray(Ray::ONE.0 / U256::from(2)), ..RateModel::default() };
    let reserve = |config| Reserve { last_update: NOW, ..Reserve::new(config, rates) };
    let (supplied, borrowed) = (gwei(milli_ether * 1_000_000), cents(debt_cents));
    let ether = Reserve { scaled_supply: supplied, liquidity: supplied, ..reserve(config(18, 8_000)) };
    let dollars = Reserve {
        scaled_supply: borrowed * U256::from(2),
        liquidity: borrowed,
        scaled_variable_debt: borrowed,
        ..reserve(config(6, 8_000))
    };
    let mut pool = Pool::new(revision, vec![ether, dollars], Address::repeat_byte(9));
    let mut account = Account::default();
    account.positions.insert(ETHER, Position { supplied, ..Position::default() });
    account.positions.insert(DOLLARS, Position { borrowed, borrow_index: Ray::ONE, ..Position::default() });
    account.flags.set_collateral(ETHER, true);
    account.flags.set_borrowing(DOLLARS, true);
    pool.accounts.insert(BORROWER, account);
    let prices = [2_000, 1].map(|dollars| U256::from(dollars * 100_000_000_u64)).to_vec();
    (pool, Block { now: NOW, prices, ..Block::default() })
}

fn call(liquidator: Address, debt_to_cover: U256) -> Action {
    Action::Liquidate(LiquidationCall {
        liquidator,
        borrower: BORROWER,
        collateral: ETHER,
        debt: DOLLARS,
        debt_to_cover,
        receive_a_token: false,
    })
}

fn liquidate(revision: Revision, milli_ether: u64, debt_cents: u64, cover: U256) -> Result<Liquidated, Refusal> {
    let (mut pool, block) = position(revision, milli_ether, debt_cents);
    match pool.apply(&call(LIQUIDATOR, cover), &block) {
        Outcome::Executed(Executed::Liquidated(liquidated)) => Ok(liquidated),
        Outcome::Refused(refusal) => Err(refusal),
        Outcome::Executed(other) => panic!("{other:?}"),
    }
}

/// Repaid in cents, received and fee in billionths of an ether.
fn amounts(liquidated: &Liquidated) -> [U256; 3] {
    let Liquidated { debt_repaid, collateral_received, protocol_fee, .. } = *liquidated;
    [debt_repaid / cents(1), collateral_received / gwei(1), protocol_fee / gwei(1)]
}

fn expect(revision: Revision, milli_ether: u64, debt_cents: u64, expected: [u64; 3]) {
    let liquidated = liquidate(revision, milli_ether, debt_cents, U256::MAX).unwrap();
    assert_eq!(amounts(&liquidated), expected.map(U256::from), "{revision:?}");
}

#[test]
fn close_factor_and_fee() {
    for revision in Revision::ALL {
        let is_v2 = revision == Revision::V2;
        // 16,000 / 16,500 = 0.97: half. 8,250 buy 4.125 ether, and 0.20625 of bonus, of which a tenth is the fee.
        let half = if is_v2 { [825_000, 4_331_250_000, 0] } else { [825_000, 4_310_625_000, 20_625_000] };
        expect(revision, 10_000, 1_650_000, half);
        // 16,000 / 17,000 = 0.94: all, but in V2.
        let all = if is_v2 { [850_000, 4_462_500_000, 0] } else { [1_700_000, 8_882_500_000, 42_500_000] };
        expect(revision, 10_000, 1_700_000, all);
        // 1,800 dollars against 1,485, still 0.97: small positions are closed whole since 3.3.
        let small = if is_v2 {
            [74_250, 389_812_500, 0]
        } else if revision < Revision::V3_3 {
            [74_250, 387_956_250, 1_856_250]
        } else {
            [148_500, 775_912_500, 3_712_500]
        };
        expect(revision, 900, 148_500, small);
    }
}

#[test]
fn no_dust_is_left_since_3_3() {
    for revision in Revision::ALL {
        let outcome = liquidate(revision, 900, 148_500, cents(50_000)).map(|done| amounts(&done)[0]);
        let expected = if revision < Revision::V3_3 { Ok(U256::from(50_000)) } else { Err(Refusal::MustNotLeaveDust) };
        assert_eq!(outcome, expected, "{revision:?}");
    }
}

/// 1,000 dollars of ether against 2,000: all of it buys 952.38, and the rest has nothing behind it.
#[test]
fn bad_debt_is_written_off_since_3_3() {
    for revision in Revision::ALL {
        let (mut pool, block) = position(revision, 500, 200_000);
        // V2 closes at most half; asked for all, it takes what that buys.
        let outcome = pool.apply(&call(LIQUIDATOR, U256::MAX), &block);
        let Outcome::Executed(Executed::Liquidated(done)) = outcome else { panic!("{revision:?} {outcome:?}") };
        let left = pool.position(BORROWER, DOLLARS).borrowed;
        let owed = cents(200_000) - done.debt_repaid;
        let is_written_off = revision >= Revision::V3_3;
        assert_eq!(done.deficits, if is_written_off { vec![(DOLLARS, owed)] } else { vec![] }, "{revision:?}");
        assert_eq!(left, if is_written_off { U256::ZERO } else { owed }, "{revision:?}");
        assert_eq!(pool.reserves[1].deficit, if is_written_off { owed } else { U256::ZERO }, "{revision:?}");
        assert_eq!(pool.flags(BORROWER).is_borrowing(DOLLARS), !is_written_off, "{revision:?}");
        // 952.380952 dollars; since 3.5 rounded up to the next hundred-millionth before it is paid.
        assert_eq!(
            done.debt_repaid,
            U256::from(952_380_952_u64) + U256::from(revision >= Revision::V3_5),
            "{revision:?}"
        );
        // 3.0.0 forgets that the fee is part of what was taken.
        assert_eq!(pool.flags(BORROWER).is_collateral(ETHER), revision == Revision::V3_0_0, "{revision:?}");
    }
}

#[test]
fn who_may_and_when() {
    for revision in Revision::ALL {
        let refusal = |change: &dyn Fn(&mut Pool, &mut Block), liquidator| {
            let (mut pool, mut block) = position(revision, 10_000, 1_650_000);
            change(&mut pool, &mut block);
            match pool.apply(&call(liquidator, U256::MAX), &block) {
                Outcome::Executed(_) => None,
                Outcome::Refused(refusal) => Some(refusal),
            }
        };
        let when = |holds: bool, refusal| holds.then_some(refusal);
        assert_eq!(
            refusal(&|_, _| {}, BORROWER),
            when(revision >= Revision::V3_4, Refusal::SelfLiquidation),
            "{revision:?}"
        );
        assert_eq!(
            refusal(&|pool, _| pool.reserves[1].liquidation_grace_until = NOW, LIQUIDATOR),
            when(revision >= Revision::V3_1, Refusal::LiquidationGraceSentinelCheckFailed),
            "{revision:?}"
        );
        let down = Sentinel { borrow_allowed: false, liquidation_allowed: false };
        assert_eq!(
            refusal(&|_, block| block.sentinel = Some(down), LIQUIDATOR),
            when(revision > Revision::V2 && revision < Revision::V3_7, Refusal::PriceOracleSentinelCheckFailed),
            "{revision:?}"
        );
    }
}
