//! Liquidation prices of perpetual futures: venues' own examples, the definition, and what must hold at any price.

use proptest::prelude::*;
use protocol::Decimal;
use protocol::venue::{
    Assumes, Contract, Leg, Liquidation, Margin, Opening, Others, Position, Quantity, Reach, Refusal, Rule, Side, Tier,
    TieredBy, Tiers, Valuation, Venue, bankruptcy_price, binance, bybit, dydx, gmx, hyperliquid, liquidation_price,
    okx, surplus_at,
};

/// A decimal as written.
pub(crate) fn d(text: &str) -> Decimal {
    text.parse().or_else(|_| Decimal::from_scientific(text)).unwrap()
}

/// Tiers from "floor rate" pairs, without jumps; any leverage.
fn tiers(rows: &[(&str, &str)]) -> Tiers {
    let rows: Vec<_> = rows.iter().map(|(floor, rate)| (d(floor), d(rate), d("1000"))).collect();
    Tiers::continuous(&rows).unwrap()
}

/// One tier for everything.
pub(crate) fn flat(rate: Decimal, deduction: Decimal) -> Tiers {
    let tier = Tier { floor: Decimal::ZERO, maintenance_margin_rate: rate, deduction, max_leverage: d("1000") };
    Tiers::new(vec![tier]).unwrap()
}

pub(crate) fn linear(side: Side, size: Decimal, entry: Decimal) -> Position {
    Position { side, contract: Contract::Linear, size, entry }
}

fn price(margin: &Margin, position: Position, rule: Rule, tiers: &Tiers) -> Result<Reach, Refusal> {
    let leg = Leg { position, rule, tiers: Some(tiers) };
    Ok(liquidation_price(margin, &[leg], position.entry)?.reach)
}

/// Two tiers that meet at 1,000: 1 %, then 2 % less 10.
fn meeting() -> Tiers {
    tiers(&[("0", "0.01"), ("1000", "0.02")])
}

/// Two tiers with a jump at 1,000: 1 %, then 5 % of all.
fn jumping() -> Tiers {
    Tiers::stepped(&[(Decimal::ZERO, d("0.01"), d("10")), (d("1000"), d("0.05"), d("10"))]).unwrap()
}

#[test]
fn a_price_picks_its_tier_again() {
    use Side::{Long, Short};
    // (tiers, side, entry, margin, the price for a size of 10), each worked out by hand in the tier it must fall into.
    let table = [
        // Right at the floor: both tiers ask for 10. 110 + 10 * (100 - 110) = 10.
        (meeting(), Long, "110", "110", Reach::Below(d("100"))),
        // A little more margin: in the lower tier, 989.9 / 9.9.
        (meeting(), Long, "110", "110.1", Reach::Below(d("989.9") / d("9.9"))),
        // A little less: in the upper, 981 / 9.8.
        (meeting(), Long, "110", "109", Reach::Below(d("981") / d("9.8"))),
        (meeting(), Short, "90", "110", Reach::Above(d("100"))),
        // (900 + 109) / 10.1, and (900 + 111 + 10) / 10.2.
        (meeting(), Short, "90", "109", Reach::Above(d("1009") / d("10.1"))),
        (meeting(), Short, "90", "111", Reach::Above(d("1021") / d("10.2"))),
        // 1041 + 10 p - 2000 = 0.5 p at 959 / 9.5 = 100.9; below 100 it would be healthy again, but that is never reached.
        (jumping(), Long, "200", "1041", Reach::Below(d("959") / d("9.5"))),
        // Above 100 this has 30 to 50 less than the tier asks; below, 20 more. The jump itself is the price.
        (jumping(), Short, "90", "130", Reach::Above(d("100"))),
        // A long that gains, but not what the tier asks for: 131 where 1 % is 10, then 50 % is 500. And below, at (900 - 31) / 9.9.
        (
            Tiers::stepped(&[(Decimal::ZERO, d("0.01"), d("9")), (d("1000"), d("0.5"), d("9"))]).unwrap(),
            Long,
            "90",
            "31",
            Reach::Either { below: d("869") / d("9.9"), above: d("100") },
        ),
        // Beyond the jump: 900 + 200 = 10 p + 0.5 p.
        (jumping(), Short, "90", "200", Reach::Above(d("1100") / d("10.5"))),
    ];
    for (row, (tiers, side, entry, margin, expected)) in table.into_iter().enumerate() {
        let position = linear(side, d("10"), d(entry));
        let got = price(&Margin::isolated(d(margin)), position, binance::USDM, &tiers).unwrap();
        assert_eq!(got, expected, "row {row}");
    }
}

#[test]
fn an_inverse_contract_enters_its_highest_tier_at_low_prices() {
    // 1 % up to 10 coins, then 2 % less 0.1. A size of 1,000 is 10 coins at a price of 100.
    let tiers = tiers(&[("0", "0.01"), ("10", "0.02")]);
    let at = |side, entry: &str, coins: Decimal| {
        let position = Position { side, contract: Contract::Inverse, size: d("1000"), entry: d(entry) };
        price(&Margin::in_coins(coins), position, binance::COINM, &tiers).unwrap()
    };
    // Long from 125: 8 coins at entry, 10 at a price of 100. 2.1 + 8 - 10 = 0.1, what both tiers ask for there.
    assert_eq!(at(Side::Long, "125", d("2.1")), Reach::Below(d("100")));
    // In the upper tier: margin + 8 + 0.1 = 1.02 n, with n = 1000 / p.
    assert_eq!(at(Side::Long, "125", d("3")), Reach::Below(d("1020") / d("11.1")));
    // In the lower: margin + 8 = 1.01 n.
    assert_eq!(at(Side::Long, "125", d("1")), Reach::Below(d("1010") / d("9")));
    // Short from 80: 12.5 coins at entry. margin - 12.5 + n = 0.02 n - 0.1 above 10 coins, 0.01 n below.
    assert_eq!(at(Side::Short, "80", d("1")), Reach::Above(d("980") / d("11.4")));
    assert_eq!(at(Side::Short, "80", d("3")), Reach::Above(d("990") / d("9.5")));
    // One coin of margin for each coin sold: no price takes it.
    assert_eq!(at(Side::Short, "80", d("12.5")), Reach::Never);
}

#[test]
fn a_tier_by_size_stays_whatever_the_price() {
    // 1 % up to 50 coins, 3 % of everything from there on: the price does not matter, the jump does not bite.
    let tiers = Tiers::stepped(&[(Decimal::ZERO, d("0.01"), d("10")), (d("50"), d("0.03"), d("10"))]).unwrap();
    for (size, rate) in [("49.9", "0.01"), ("50", "0.03"), ("51", "0.03")] {
        let (size, fee) = (d(size), d("0.0005"));
        let margin = Margin::isolated(size * d("20"));
        let got = price(&margin, linear(Side::Long, size, d("100")), okx::rule(fee), &tiers).unwrap();
        assert_eq!(got, Reach::Below(d("80") / (Decimal::ONE - d(rate) - fee)), "{size}");
    }
    let with_deduction =
        price(&Margin::isolated(d("1")), linear(Side::Long, d("2000"), d("1")), okx::rule(Decimal::ZERO), &meeting());
    assert_eq!(with_deduction, Err(Refusal::DeductionBySize));
}

#[test]
fn bad_input_is_refused_and_a_price_that_is_not_there_is_an_answer() {
    let tiers = flat(d("0.01"), Decimal::ZERO);
    let long = |size, entry| linear(Side::Long, d(size), d(entry));
    let at = |position, margin: &str, mark: &str| {
        let leg = Leg { position, rule: binance::USDM, tiers: Some(&tiers) };
        liquidation_price(&Margin::isolated(d(margin)), &[leg], d(mark)).map(|found| found.reach)
    };
    assert_eq!(at(long("0", "10"), "1", "10"), Err(Refusal::NotPositive(Quantity::Size)));
    assert_eq!(at(long("-1", "10"), "1", "10"), Err(Refusal::NotPositive(Quantity::Size)));
    assert_eq!(at(long("1", "0"), "1", "10"), Err(Refusal::NotPositive(Quantity::Entry)));
    assert_eq!(at(long("1", "10"), "1", "0"), Err(Refusal::NotPositive(Quantity::Mark)));
    assert_eq!(at(long("1", "10"), "1", "-10"), Err(Refusal::NotPositive(Quantity::Mark)));
    assert_eq!(at(long("79228162514264337593543950335", "10"), "1", "10"), Err(Refusal::Overflow));
    // Paid in full: there is no price above 0 at which it owes anything.
    assert_eq!(at(long("1", "10"), "10", "10"), Ok(Reach::Never));
    assert_eq!(at(long("1", "10"), "20", "10"), Ok(Reach::Never));
    // Less margin than the position must keep, and just as much.
    assert_eq!(at(long("1", "10"), "0.05", "10"), Ok(Reach::Already));
    assert_eq!(at(long("1", "10"), "0.1", "10"), Ok(Reach::Already));
    assert_eq!(at(long("1", "10"), "-3", "10"), Ok(Reach::Already));
    // The same, where a venue waits until it is less.
    let leg = |tiers| Leg { position: long("1", "10"), rule: hyperliquid::RULE, tiers };
    let just = liquidation_price(&Margin::isolated(d("0.1")), &[leg(Some(&tiers))], d("10"));
    assert_eq!(just.map(|found| found.reach), Ok(Reach::Below(d("10"))));
    let unknown = liquidation_price(&Margin::isolated(d("1")), &[leg(None)], d("10"));
    assert_eq!(unknown, Err(Refusal::NoTiers));
    assert!(Refusal::NoTiers.to_string().contains("no exact price"));
    assert_eq!(liquidation_price(&Margin::default(), &[], d("10")), Err(Refusal::NoPosition));
    let elsewhere = Leg { rule: binance::COINM, ..leg(Some(&tiers)) };
    let two = liquidation_price(&Margin::default(), &[leg(Some(&tiers)), elsewhere], d("10"));
    let other = Venue::BinanceCoinm;
    assert_eq!(two, Err(Refusal::TwoVenues { first: Venue::Hyperliquid, other }));
    let owing = Margin::cross(d("1"), Others { maintenance: d("-1"), pnl: Decimal::ZERO });
    let refused = liquidation_price(&owing, &[leg(Some(&tiers))], d("10"));
    assert_eq!(refused, Err(Refusal::Negative(Quantity::Maintenance)));
    let too_high = Opening {
        side: Side::Long,
        contract: Contract::Linear,
        entry: d("10"),
        notional: d("10"),
        leverage: d("1001"),
        rule: binance::USDM,
        tiers: Some(&tiers),
    };
    assert_eq!(too_high.liquidation_price(), Err(Refusal::LeverageTooHigh { allowed: d("1000") }));
}

#[test]
fn a_hedged_account_can_lose_either_way() {
    let tiers = flat(d("0.01"), Decimal::ZERO);
    let leg =
        |side, size, entry| Leg { position: linear(side, d(size), d(entry)), rule: binance::USDM, tiers: Some(&tiers) };
    let solve = |balance: &str, legs: &[Leg<'_>]| {
        liquidation_price(&Margin::isolated(d(balance)), legs, d("100")).unwrap().reach
    };
    // Equal sides: profit stays 0, but both must be kept, 0.02 * 10 * p. It ends above.
    let even = [leg(Side::Long, "10", "100"), leg(Side::Short, "10", "100")];
    assert_eq!(solve("30", &even), Reach::Above(d("150")));
    // A net long of 1 on a book of 21: 50 + (p - 100) = 0.21 p. Rising gains 1 and asks for 0.21.
    let tilted = [leg(Side::Long, "11", "100"), leg(Side::Short, "10", "100")];
    assert_eq!(solve("50", &tilted), Reach::Below(d("50") / d("0.79")));
    // Where tiers rise steeply enough, the same book loses both ways: above 200 a side asks for half of what is added.
    let steep = self::tiers(&[("0", "0.01"), ("2000", "0.5")]);
    let steep = tilted.map(|leg| Leg { tiers: Some(&steep), ..leg });
    let both = solve("50", &steep);
    let (below, above) = (both.below().unwrap(), both.above().unwrap());
    assert_eq!(below, d("50") / d("0.79"));
    // From 200 on: 50 + p - 100 = 0.5 * 21 * p - 2 * 2000 * 0.49 (the long's tier begins at 2000 / 11 already).
    assert_eq!(above, d("1910") / d("9.5"));
    assert!(below < d("100") && d("100") < above);
}

#[test]
fn coins_as_collateral_fall_with_the_price() {
    let tiers = flat(d("0.01"), Decimal::ZERO);
    let margin = Margin { quote: d("10"), coins: d("1"), others: None };
    // A linear and an inverse long in one account: 10 + p + (p - 100) + 100 * (p / 100 - 1) = 0.01 p + 0.01 * 100.
    let linear = Leg { position: linear(Side::Long, d("1"), d("100")), rule: bybit::UNIFIED, tiers: Some(&tiers) };
    let position = Position { contract: Contract::Inverse, size: d("100"), ..linear.position };
    let legs = [linear, Leg { position, ..linear }];
    let found = liquidation_price(&margin, &legs, d("100")).unwrap();
    assert_eq!(found, Liquidation { reach: Reach::Below(d("191") / d("2.99")), assumes: Assumes::Nothing });
    let cross = Margin { others: Some(Others::default()), ..margin };
    assert_eq!(liquidation_price(&cross, &legs, d("100")).unwrap().assumes, Assumes::OthersStay);
}

#[test]
fn a_position_of_gmx_ends_where_its_collateral_does() {
    let base = gmx::Position {
        side: Side::Long,
        size_usd: d("1000"),
        size_tokens: d("10"),
        collateral: gmx::Collateral::Usd(d("200")),
        fees: d("5"),
        price_impact: d("-30"),
        max_impact_factor: d("0.002"),
        min_collateral_factor: d("0.01"),
        min_collateral: d("1"),
    };
    let short = gmx::Position { side: Side::Short, ..base };
    let index = gmx::Collateral::Index(d("2"));
    // liq = max(10, 1) = 10; the impact counts as -2: remaining = 200 - 5 - 2 = 193.
    let table = [
        // (10 - 193 + 1000) / 10, and (193 - 10 + 1000) / 10.
        (base, Reach::Below(d("81.7"))),
        (short, Reach::Above(d("118.3"))),
        // (1000 + 10 + 2 + 5) / (10 + 2), and (1000 - 10 - 2 - 5) / (10 - 2).
        (gmx::Position { collateral: index, ..base }, Reach::Below(d("1017") / d("12"))),
        (gmx::Position { collateral: index, ..short }, Reach::Above(d("983") / d("8"))),
        // Collateral that grows as fast as the loss.
        (gmx::Position { collateral: gmx::Collateral::Index(d("10.2")), ..short }, Reach::Never),
        // The floor in dollars, and a gain that is not counted.
        (gmx::Position { min_collateral: d("20"), ..base }, Reach::Below(d("82.7"))),
        (gmx::Position { price_impact: d("30"), ..base }, Reach::Below(d("81.5"))),
    ];
    for (row, (position, expected)) in table.into_iter().enumerate() {
        assert_eq!(position.liquidation_price(d("100")).unwrap().reach, expected, "row {row}");
    }
    assert_eq!(base.bankruptcy_price(d("100")).unwrap().reach, Reach::Below(d("80.7")));
    assert_eq!(base.liquidation_price(d("100")).unwrap().assumes, Assumes::OthersStay);
    let refused = gmx::Position { fees: d("-1"), ..base }.liquidation_price(d("100"));
    assert_eq!(refused, Err(Refusal::Negative(Quantity::Fees)));
}

/// A contract's rule as one of the venues has it.
fn rule() -> impl Strategy<Value = Rule> {
    let fee = (0_i64..=100).prop_map(|hundredths| Decimal::new(hundredths, 5));
    prop_oneof![
        Just(binance::USDM),
        Just(bybit::CLASSIC),
        Just(bybit::UNIFIED),
        fee.prop_map(okx::rule),
        Just(hyperliquid::RULE),
        Just(hyperliquid::RULE_2023),
        Just(dydx::RULE),
    ]
}

/// Rates that rise up to 40 %, floors that rise from 100 on; without jumps, or without deductions.
fn table(tiered_by: TieredBy) -> impl Strategy<Value = Tiers> {
    proptest::collection::vec((1_i64..=4_000, 1_i64..=400), 1..8).prop_map(move |steps| {
        let (mut floor, mut rate) = (0, 0);
        let mut rows = Vec::new();
        for (up, more) in steps {
            rate += more.min(4_000 - rate);
            rows.push((Decimal::from(floor), Decimal::new(rate.max(1), 4), d("1000")));
            floor += up * 100;
        }
        match tiered_by {
            TieredBy::Notional => Tiers::continuous(&rows).unwrap(),
            TieredBy::Size => Tiers::stepped(&rows).unwrap(),
        }
    })
}

fn sides() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Long), Just(Side::Short)]
}

fn contracts() -> impl Strategy<Value = Contract> {
    prop_oneof![Just(Contract::Linear), Just(Contract::Inverse)]
}

/// A price of seven digits between a millionth and a million.
fn prices() -> impl Strategy<Value = Decimal> {
    (1_000_000_i64..10_000_000, 1_u32..=12).prop_map(|(digits, scale)| Decimal::new(digits, scale))
}

/// A position as it is opened: its parts but the tiers.
#[derive(Debug, Clone)]
struct Draw {
    tiers: Tiers,
    rule: Rule,
    side: Side,
    contract: Contract,
    entry: Decimal,
    notional: Decimal,
    leverage: Decimal,
}

impl Draw {
    fn opening(&self) -> Opening<'_> {
        Opening {
            side: self.side,
            contract: self.contract,
            entry: self.entry,
            notional: self.notional,
            leverage: self.leverage,
            rule: self.rule,
            tiers: Some(&self.tiers),
        }
    }
}

fn draws() -> impl Strategy<Value = Draw> {
    let ruled = rule().prop_flat_map(|rule| (table(rule.tiered_by), Just(rule)));
    (ruled, sides(), contracts(), prices(), 1_i64..=2_000_000, 10_i64..=1_250).prop_map(
        |((tiers, rule), side, contract, entry, notional, tenths)| {
            // A coin-margined notional is counted in coins: bring it into the range of the table's floors.
            let notional = match contract {
                Contract::Linear => Decimal::from(notional),
                Contract::Inverse => Decimal::from(notional) * entry,
            };
            Draw { tiers, rule, side, contract, entry, notional, leverage: Decimal::new(tenths, 1) }
        },
    )
}

/// The definition, in the contract's own unit and term by term: equity less maintenance margin less the fee.
fn definition(margin: &Margin, legs: &[Leg<'_>], mark: Decimal, price: Decimal) -> Decimal {
    let mut left = margin.quote + margin.coins * price;
    if let Some(others) = margin.others {
        left += others.pnl - others.maintenance;
    }
    for leg in legs {
        let counted_at = match leg.rule.valuation {
            Valuation::Moving => price,
            Valuation::AtEntry => leg.position.entry,
            Valuation::AtMark => mark,
        };
        let Position { side, contract, size, entry } = leg.position;
        let notional = |at: Decimal| match contract {
            Contract::Linear => size * at,
            Contract::Inverse => size / at,
        };
        let ranked = match leg.rule.tiered_by {
            TieredBy::Notional => notional(counted_at),
            TieredBy::Size => size,
        };
        let tier = leg.tiers.unwrap().rows().iter().rev().find(|tier| tier.floor <= ranked).unwrap();
        let maintenance = notional(counted_at) * tier.maintenance_margin_rate - tier.deduction;
        let profit = match contract {
            Contract::Linear => side.sign() * size * (price - entry),
            Contract::Inverse => side.sign() * (size / entry - size / price),
        };
        let kept = profit - maintenance - notional(price) * leg.rule.closing_fee;
        left += match contract {
            Contract::Linear => kept,
            Contract::Inverse => kept * price,
        };
    }
    left
}

/// The first price beyond `from`, towards `to`, at which the definition leaves nothing, by halving; there must be one.
fn halving(margin: &Margin, legs: &[Leg<'_>], from: Decimal, to: Decimal) -> Decimal {
    let (mut safe, mut spent) = (from, to);
    for _ in 0..100 {
        let middle = (safe + spent) / Decimal::TWO;
        if definition(margin, legs, from, middle) > Decimal::ZERO { safe = middle } else { spent = middle }
    }
    (safe + spent) / Decimal::TWO
}

/// What may be off between two roads to one figure of this size: twenty-eight digits are held, some are lost on the way.
fn slack(of: Decimal) -> Decimal {
    of.abs() * d("1e-18")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn an_isolated_position_ends_where_equity_is_what_it_must_keep(draw in draws()) {
        let (leg, margin) = draw.opening().leg().unwrap();
        let legs = [leg];
        let entry = draw.entry;
        let at = |price| surplus_at(&margin, &legs, entry, price).unwrap();
        match draw.opening().liquidation_price().unwrap() {
            Reach::Already => prop_assert!(definition(&margin, &legs, entry, entry) <= Decimal::ZERO),
            Reach::Never => {
                // Neither a price a billionth of the entry nor one a million times as high takes it.
                for price in [entry * d("1e-9"), entry * d("1e6")] {
                    prop_assert!(definition(&margin, &legs, entry, price) > -slack(draw.notional));
                }
            }
            Reach::Either { .. } => prop_assert!(false, "an isolated position loses one way only"),
            Reach::Below(price) | Reach::Above(price) => {
                // A long ends below its entry, a short above.
                prop_assert_eq!(price < entry, draw.side == Side::Long);
                prop_assert!(price > Decimal::ZERO);
                prop_assert!(at(price).abs() <= slack(draw.notional) * (Decimal::ONE + price / entry), "{}", at(price));
                let tick = price * d("1e-9") * draw.side.sign();
                prop_assert!(at(price + tick) > Decimal::ZERO);
                prop_assert!(at(price - tick) < Decimal::ZERO);
                // It lies beyond no other: everything between it and the entry is safe.
                for part in 1..10 {
                    let between = entry + (price - entry) * Decimal::new(part, 1);
                    prop_assert!(at(between) > Decimal::ZERO);
                }
                let halved = halving(&margin, &legs, entry, price - tick * d("1000"));
                prop_assert!((halved - price).abs() <= slack(price), "{halved} {price}");
            }
        }
    }

    #[test]
    fn a_table_with_jumps_ends_a_position_at_the_first_price_that_does(
        tiers in table(TieredBy::Size), side in sides(), contract in contracts(), entry in prices(),
        notional in 1_i64..=2_000_000, tenths in 10_i64..=1_250,
    ) {
        // Rates for all of a position, ranked by notional: what is left jumps, and may turn positive again beyond.
        let leverage = Decimal::new(tenths, 1);
        let notional = match contract {
            Contract::Linear => Decimal::from(notional),
            Contract::Inverse => Decimal::from(notional) * entry,
        };
        let opening = Opening { side, contract, entry, notional, leverage, rule: binance::USDM, tiers: Some(&tiers) };
        let (leg, margin) = opening.leg().unwrap();
        let left = |price| definition(&margin, &[leg], entry, price);
        let found = opening.liquidation_price().unwrap();
        if found == Reach::Already {
            prop_assert!(left(entry) <= slack(notional));
            return Ok(());
        }
        let size = leg.position.size;
        let floors = tiers.rows().iter().skip(1).map(|tier| match contract {
            Contract::Linear => tier.floor / size,
            Contract::Inverse => size / tier.floor,
        });
        let beside: Vec<Decimal> = floors.flat_map(|at| [at * d("0.999999999"), at * d("1.000000001")]).collect();
        // On either side: up to a billionth before the end it is not reached, neither at any step of a hundred nor right
        // beside a tier's price; a billionth beyond, it is. A jump may take a long as the price rises, too.
        for (price, far) in [(found.below(), entry * d("1e-6")), (found.above(), entry * d("1e6"))] {
            let end = price.unwrap_or(far);
            let before = end + (entry - end) * d("1e-9");
            let steps = (0..100).map(|part| entry + (end - entry) * Decimal::new(part, 2));
            let between = |price: &Decimal| (*price - entry) * (before - *price) >= Decimal::ZERO;
            for price in steps.chain(beside.clone()).filter(between) {
                prop_assert!(left(price) > Decimal::ZERO, "{price}");
            }
            if let Some(price) = price {
                let beyond = if price < entry { d("0.999999999") } else { d("1.000000001") };
                prop_assert!(left(price * beyond) < Decimal::ZERO, "{price}");
            }
        }
    }

    #[test]
    fn the_surplus_is_the_definition(draw in draws(), percent in 1_i64..1_000, quote in -1_000_i64..1_000, coins in 0_i64..9) {
        let (leg, _) = draw.opening().leg().unwrap();
        let others = Some(Others { maintenance: d("3.5"), pnl: d("-7.25") });
        let margin = Margin { quote: Decimal::from(quote), coins: Decimal::from(coins), others };
        let price = draw.entry * Decimal::new(percent, 2);
        let expected = definition(&margin, &[leg], draw.entry, price);
        let got = surplus_at(&margin, &[leg], draw.entry, price).unwrap();
        let size = draw.notional * (Decimal::TEN + Decimal::from(coins) * price) + d("2000");
        prop_assert!((got - expected).abs() <= slack(size), "{got} {expected}");
    }

    #[test]
    fn more_margin_and_less_leverage_put_it_farther(draw in draws(), more in 1_i64..100) {
        let far = |leverage: Decimal| {
            let reach = Opening { leverage, ..draw.opening() }.liquidation_price().unwrap();
            match reach {
                Reach::Already => Decimal::NEGATIVE_ONE,
                Reach::Never => Decimal::MAX,
                Reach::Below(price) | Reach::Above(price) => (price - draw.entry).abs(),
                Reach::Either { .. } => unreachable!("an isolated position loses one way only"),
            }
        };
        let lower = (draw.leverage - Decimal::new(more, 1)).max(Decimal::ONE);
        prop_assert!(far(lower) >= far(draw.leverage));
        if lower < draw.leverage && far(draw.leverage) >= Decimal::ZERO && far(draw.leverage) != Decimal::MAX {
            prop_assert!(far(lower) > far(draw.leverage));
        }
    }

    #[test]
    fn what_is_paid_in_full_is_never_liquidated(draw in draws()) {
        // A coin bought with money, or money bought with a coin; where maintenance margin stays at the entry's, the formula
        // itself says otherwise.
        let side = match draw.contract { Contract::Linear => Side::Long, Contract::Inverse => Side::Short };
        let paid = Opening { side, leverage: Decimal::ONE, ..draw.opening() };
        if draw.rule.valuation == Valuation::Moving {
            prop_assert_eq!(paid.liquidation_price().unwrap(), Reach::Never);
        }
        let (leg, margin) = paid.leg().unwrap();
        prop_assert!(bankruptcy_price(&margin, &[leg], draw.entry).unwrap().price().is_none());
    }

    #[test]
    fn bankruptcy_lies_beyond_liquidation(draw in draws()) {
        let (leg, margin) = draw.opening().leg().unwrap();
        let liquidated = draw.opening().liquidation_price().unwrap();
        let bankrupt = bankruptcy_price(&margin, &[leg], draw.entry).unwrap();
        match (liquidated, bankrupt) {
            (Reach::Below(liquidated), Reach::Below(bankrupt)) => prop_assert!(bankrupt < liquidated),
            (Reach::Above(liquidated), Reach::Above(bankrupt)) => prop_assert!(bankrupt > liquidated),
            (Reach::Already, _) | (_, Reach::Never) => {}
            other => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn an_account_of_several_positions_ends_where_halving_finds_it(
        draws in proptest::collection::vec(draws(), 1..5),
        entry in prices(),
        spread in proptest::collection::vec(-200_i64..200, 5),
        balance in 1_i64..3_000_000,
        coins in 0_i64..3,
        others in proptest::option::of((0_i64..1_000, -1_000_i64..1_000)),
    ) {
        // All in one coin, entered within 20 % of the mark; sizes stay those drawn, in its money.
        let legs: Vec<Leg<'_>> = draws.iter().zip(&spread).map(|(draw, off)| {
            let entry = entry * (Decimal::ONE + Decimal::new(*off, 3));
            let notional = match draw.contract { Contract::Linear => draw.notional, Contract::Inverse => draw.notional / draw.entry * entry };
            // Of one venue by name, and with the coefficients of several.
            let rule = Rule { venue: draws[0].rule.venue, ..draw.rule };
            Opening { entry, notional, rule, ..draw.opening() }.leg().unwrap().0
        }).collect();
        let margin = Margin {
            quote: Decimal::from(balance),
            coins: Decimal::from(coins),
            others: others.map(|(maintenance, pnl)| Others { maintenance: Decimal::from(maintenance), pnl: Decimal::from(pnl) }),
        };
        let found = liquidation_price(&margin, &legs, entry).unwrap();
        prop_assert_eq!(found.assumes == Assumes::OthersStay, others.is_some());
        let total: Decimal = draws.iter().map(|draw| draw.notional).sum::<Decimal>() + margin.quote + margin.coins * entry;
        let near = |price: Decimal| definition(&margin, &legs, entry, price).abs() <= slack(total) * (d("100") + price / entry);
        if found.reach == Reach::Already {
            prop_assert!(definition(&margin, &legs, entry, entry) <= slack(total));
            return Ok(());
        }
        // Rates rise with the notional, so what is left is concave in the price: one end on either side at most.
        for (price, to) in [(found.reach.below(), entry * d("1e-7")), (found.reach.above(), entry * d("1e7"))] {
            let Some(price) = price else {
                prop_assert!(definition(&margin, &legs, entry, to) >= -slack(total) * d("1e8"));
                continue;
            };
            prop_assert!(near(price), "{price}");
            let outside = if to < entry { price < to } else { price > to };
            if outside { continue; }
            let halved = halving(&margin, &legs, entry, to);
            // A flat stretch makes the price itself loose; what is left there decides.
            prop_assert!((halved - price).abs() <= slack(price) || near(halved), "{halved} {price}");
        }
    }

    #[test]
    fn no_input_panics(
        parts in proptest::collection::vec((any::<i128>(), 0_u32..=28), 8),
        draw in draws(),
    ) {
        let n: Vec<Decimal> = parts.iter().map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa >> 32, *scale)).collect();
        let position = Position { side: draw.side, contract: draw.contract, size: n[0], entry: n[1] };
        let margin = Margin { quote: n[2], coins: n[3], others: Some(Others { maintenance: n[4], pnl: n[5] }) };
        let tier = Tier { floor: n[6], ..*draw.tiers.rows().last().unwrap() };
        let mut rows = draw.tiers.rows().to_vec();
        rows.push(tier);
        if let Ok(tiers) = Tiers::new(rows) {
            let leg = Leg { position, rule: draw.rule, tiers: Some(&tiers) };
            let _ = liquidation_price(&margin, &[leg, leg], n[7]);
            let _ = bankruptcy_price(&margin, &[leg], n[7]);
            let _ = surplus_at(&margin, &[leg], n[7], n[0]);
            let _ = tiers.covered_by(n[2]);
        }
        let _ = Opening { entry: n[0], notional: n[1], leverage: n[2], ..draw.opening() }.liquidation_price();
        let _ = binance::deleveraging_rank(n[0], n[1], n[2]);
        let _ = hyperliquid::deleveraging_index(&position, n[2], n[3]);
    }

    #[test]
    fn what_a_margin_covers_is_the_inverse_of_what_a_size_asks_for(tiers in table(TieredBy::Notional), notional in 0_i64..3_000_000) {
        let notional = Decimal::from(notional);
        let asked = tiers.maintenance_margin(notional).unwrap();
        prop_assert!((tiers.covered_by(asked).unwrap() - notional).abs() <= slack(notional));
        // Where 5 % begin at 1,000, and 1 % before: what covers more than 10 and less than 50 covers 1,000.
        prop_assert_eq!(jumping().covered_by(d("30")), Ok(d("1000")));
    }
}

#[test]
fn every_venue_has_rules_of_its_own() {
    for venue in Venue::ALL {
        assert_eq!(venue.procedure().venue, venue);
        let rule = venue.rule(d("0.0005"));
        assert_eq!(rule.map(|rule| rule.venue), (venue != Venue::GmxV2).then_some(venue));
    }
}
