//! Worked examples: what venues' documents, exchanges' own answers and other programs' tests give for stated inputs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use protocol::Decimal;
use protocol::venue::{
    Amount, Contract, Leg, Margin, Opening, Others, Position, Quantity, Reach, Refusal, Rule, Side, Tiers, Unwinding,
    Venue, bankruptcy_price, binance, bybit, dydx, hyperliquid, liquidation_price, okx,
};

use crate::venue::{d, flat, linear};

/// A number by its name in the example.
type Inputs = BTreeMap<String, Decimal>;

/// Prices from the documents and tests named beside them: (name, formula, inputs, expected, relative tolerance).
const EXAMPLES: &[(&str, &str, &str, &str, &str)] = &[
    // Binance, support/faq/b3c689c1f50a44cabb3a84e663b81d93: one account with two longs, cross and isolated.
    (
        "binance_cross_eth",
        "LP",
        "WB 1535443.01 pos 3683.979 EP 1456.84 mark 1335.18 mmr 0.1 cum 135365 TMM_other 71200.811444 UPNL_other -56354.56847999991",
        "1153.26",
        "1e-5",
    ),
    (
        "binance_cross_btc",
        "LP",
        "WB 1535443.01 pos 109.488 EP 32481.98 mark 31967.27 mmr 0.025 cum 16300 TMM_other 356512.508122 UPNL_other -448192.88513999945",
        "26316.89",
        "1e-5",
    ),
    (
        "binance_isolated_eth",
        "LP",
        "WB 1535443.01 pos 3683.979 EP 1456.84 mark 1335.18 mmr 0.1 cum 135365",
        "1114.78",
        "1e-5",
    ),
    (
        "binance_isolated_btc",
        "LP",
        "WB 1535443.01 pos 109.488 EP 32481.98 mark 31967.27 mmr 0.025 cum 16300",
        "18778.73",
        "1e-5",
    ),
    // Numbers of freqtrade's tests (tests/exchange/test_exchange.py).
    ("freqtrade_binance_short5x", "LP", "WB 2 pos 1 EP 10 mmr 0.01 cum 0.01", "11.89108910891089", "1e-9"),
    ("freqtrade_binance_long5x", "LP", "WB 2 pos 1 EP 10 mmr 0.01 cum 0.01", "8.070707070707071", "1e-9"),
    ("okx_long3x", "LPfee", "EP 10 L 3 pos 1 mmr 0.01 fee 0.0006", "6.738090425173506", "0.002"),
    ("okx_short3x", "LPfee", "EP 10 L 3 pos 1 mmr 0.01 fee 0.0006", "13.193482419684678", "0.002"),
    ("gate_long5x", "LPfee", "EP 10 L 5 pos 1 mmr 0.01 fee 0.0006", "8.085708510208207", "0.002"),
    ("bybit_long5x", "EP-side*(IM-MM)/size", "EP 10 L 5 mmr 0.01", "8.1", "1e-9"),
    ("bybit_long10x", "EP-side*(IM-MM)/size", "EP 10 L 10 mmr 0.01", "9.1", "1e-9"),
    ("bybit_short5x", "EP-side*(IM-MM)/size", "EP 10 L 5 mmr 0.01", "11.9", "1e-9"),
    // Bybit, help page "Liquidation Price (USDT Contract)".
    ("bybit_doc_50x", "EP-side*(IM-MM)/size", "EP 20000 IM 400 MM 100 size 1", "19700", "1e-9"),
    // Hyperliquid, the example of `clearinghouseState` in its documents, and accounts as the exchange answered in 2026.
    ("hl_iso_eth_doc", "HL", "szi 0.0335 rawUsd -95.059824 maxLev 50 any_mark 3000", "2866.26936529", "1e-8"),
    ("hl_iso_btc_2026-09", "HL", "szi 0.06075 rawUsd -3828.81778 maxLev 40 any_mark 70000", "63823.6021044955", "1e-8"),
    (
        "hl_cross_dydx",
        "HL",
        "account_value 3173167.351586 mm_used 37350.071885 szi -303109.2 ntl 38534.272596 l 0.01",
        "10.3702027403",
        "1e-8",
    ),
    (
        "hl_cross_avax",
        "HL",
        "account_value 3173167.351586 mm_used 37350.071885 szi -2561.2 ntl 25282.8858 l 0.01",
        "1222.1038847659",
        "1e-8",
    ),
    (
        "hl_cross_saga",
        "HL",
        "account_value 3155203.766062 mm_used 43452.918775 szi -103774.5 ntl 2527.94682 l 0.01",
        "29.713170189",
        "1e-8",
    ),
    // dYdX v4-chain, protocol/x/clob/keeper/liquidations_test.go.
    ("dydx_long_mid", "fillable", "qty 0.1 quote -4501 BA 1 SMMR 0.1 MMR 0.1 mark 50000", "49999", "1e-9"),
    ("dydx_long_BA2", "fillable", "qty 0.1 quote -4501 BA 2 SMMR 0.1 MMR 0.1 mark 50000", "49998", "1e-9"),
    ("dydx_long_SM.2", "fillable", "qty 0.1 quote -4501 BA 1 SMMR 0.2 MMR 0.1 mark 50000", "49998", "1e-9"),
    ("dydx_short_mid", "fillable", "qty -0.1 quote 5499 BA 1 SMMR 0.1 MMR 0.1 mark 50000", "50001", "1e-9"),
    ("dydx_long_bkr", "fillable", "qty 0.1 quote -5500 BA 1 SMMR 0.1 MMR 0.1 mark 50000", "49500", "1e-9"),
    ("dydx_short_bkr", "fillable", "qty -0.1 quote 5000 BA 1 SMMR 0.1 MMR 0.1 mark 50000", "50500", "1e-9"),
];

fn single(margin: &Margin, position: Position, rule: Rule, tiers: &Tiers, mark: Decimal) -> Decimal {
    let leg = Leg { position, rule, tiers: Some(tiers) };
    let reach = liquidation_price(margin, &[leg], mark).unwrap().reach;
    let price = match position.side {
        Side::Long => reach.below(),
        Side::Short => reach.above(),
    };
    price.unwrap()
}

fn binance_example(side: Side, of: &Inputs) -> Decimal {
    let position = linear(side, of["pos"], of["EP"]);
    let mark = of.get("mark").copied().unwrap_or(of["EP"]);
    let margin = match (of.get("TMM_other"), of.get("UPNL_other")) {
        (Some(maintenance), Some(pnl)) => Margin::cross(of["WB"], Others { maintenance: *maintenance, pnl: *pnl }),
        _ => Margin::isolated(of["WB"]),
    };
    single(&margin, position, binance::USDM, &flat(of["mmr"], of["cum"]), mark)
}

fn opened(side: Side, of: &Inputs, rule: Rule) -> Decimal {
    let (size, entry) = (of.get("size").copied().unwrap_or(Decimal::ONE), of["EP"]);
    let notional = size * entry;
    let leverage = of.get("L").copied().unwrap_or_else(|| notional / of["IM"]);
    let rate = of.get("mmr").copied().unwrap_or_else(|| of["MM"] / notional);
    let tiers = flat(rate, Decimal::ZERO);
    let contract = Contract::Linear;
    let opening = Opening { side, contract, entry, notional, leverage, rule, tiers: Some(&tiers) };
    opening.liquidation_price().unwrap().price().unwrap()
}

fn hyperliquid_example(of: &Inputs) -> Decimal {
    let szi = of["szi"];
    let mark = of.get("any_mark").copied().unwrap_or_else(|| of["ntl"] / szi.abs());
    let position = hyperliquid::stated_position(szi, mark).unwrap();
    if let Some(raw) = of.get("rawUsd") {
        let tiers = hyperliquid::flat(of["maxLev"]).unwrap();
        return single(&Margin::isolated(raw + szi * mark), position, hyperliquid::RULE, &tiers, mark);
    }
    let tiers = hyperliquid::flat(Decimal::ONE / (Decimal::TWO * of["l"])).unwrap();
    let leg = Leg { position, rule: hyperliquid::RULE, tiers: Some(&tiers) };
    let margin = hyperliquid::stated_cross(of["account_value"], of["mm_used"], &leg, mark).unwrap();
    single(&margin, position, hyperliquid::RULE, &tiers, mark)
}

fn dydx_example(of: &Inputs) -> Decimal {
    let (quantity, oracle) = (of["qty"], of["mark"]);
    let side = if quantity < Decimal::ZERO { Side::Short } else { Side::Long };
    let maintenance = quantity.abs() * oracle * of["MMR"];
    let account = dydx::Subaccount { net_collateral: quantity * oracle + of["quote"], maintenance };
    let config = dydx::FillablePrice { bankruptcy_adjustment: of["BA"], spread_to_maintenance: of["SMMR"] };
    account.fillable_price(&linear(side, quantity.abs(), oracle), maintenance, oracle, config).unwrap()
}

fn compute(name: &str, formula: &str, of: &Inputs) -> Decimal {
    let side = if name.contains("short") { Side::Short } else { Side::Long };
    match formula {
        "LP" => binance_example(side, of),
        "LPfee" => opened(side, of, okx::rule(of["fee"])),
        "EP-side*(IM-MM)/size" => opened(side, of, bybit::CLASSIC),
        "HL" => hyperliquid_example(of),
        "fillable" => dydx_example(of),
        other => panic!("no formula {other}"),
    }
}

fn check(name: &str, got: Decimal, expected: Decimal, tolerance: Decimal) {
    let off = ((got - expected) / expected).abs();
    assert!(off <= tolerance, "{name}: {got}, expected {expected}, off by {off}");
}

#[test]
fn worked_examples_come_out() {
    for (name, formula, inputs, expected, tolerance) in EXAMPLES {
        let words: Vec<&str> = inputs.split(' ').collect();
        let of = words.chunks(2).map(|pair| (pair[0].to_owned(), d(pair[1]))).collect();
        check(name, compute(name, formula, &of), d(expected), d(tolerance));
    }
}

/// A file among the data, if they are there.
#[allow(clippy::disallowed_methods, reason = "tests read recorded files; the crate does not")]
fn data(name: &str) -> Option<serde_json::Value> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("TIDEGATE_DATA").map_or(beside, PathBuf::from).join(name);
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no {}; TIDEGATE_DATA names the folder of data", path.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn decimal(value: &serde_json::Value) -> Decimal {
    d(&value.as_number().unwrap().to_string())
}

#[test]
fn every_collected_example_comes_out() {
    let Some(examples) = data("vectors/venues.json") else { return };
    let examples = examples.as_array().unwrap();
    assert_eq!(examples.len(), 24);
    for example in examples {
        let text = |key: &str| example[key].as_str().unwrap();
        let of =
            example["inputs"].as_object().unwrap().iter().map(|(key, value)| (key.clone(), decimal(value))).collect();
        let got = compute(text("id"), text("formula"), &of);
        check(text("id"), got, decimal(&example["expected"]), decimal(&example["tol"]));
    }
}

#[test]
fn deductions_of_all_binance_contracts_leave_no_jump() {
    let Some(contracts) = data("margin_tiers/binance_usdm_2026-09.json") else { return };
    let contracts = contracts.as_object().unwrap();
    assert_eq!(contracts.len(), 907);
    for (symbol, rows) in contracts {
        let row = |row: &serde_json::Value| {
            let of = |key: &str| decimal(&row["info"][key]);
            protocol::venue::Tier {
                floor: of("notionalFloor"),
                maintenance_margin_rate: of("maintMarginRatio"),
                deduction: of("cum"),
                max_leverage: of("initialLeverage"),
            }
        };
        let rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
        let stated = Tiers::new(rows.clone()).unwrap_or_else(|error| panic!("{symbol}: {error}"));
        let plain: Vec<_> = rows.iter().map(|row| (row.floor, row.maintenance_margin_rate, row.max_leverage)).collect();
        let computed = Tiers::continuous(&plain).unwrap();
        for (stated, computed) in stated.rows().iter().zip(computed.rows()) {
            // The file went through binary floats, so its last digits are not the venue's.
            let off = (stated.deduction - computed.deduction).abs();
            assert!(off <= computed.deduction * d("1e-12"), "{symbol}: {stated:?} {computed:?}");
        }
    }
}

#[test]
fn old_answers_of_hyperliquid_follow_the_old_formula() {
    // An isolated long of 2 at 100 with 50 of margin, l = 0.02: 100 - (50 - 4) / 2, then divided by 0.98.
    let tiers = hyperliquid::flat(d("25")).unwrap();
    let position = linear(Side::Long, d("2"), d("100"));
    let at = |rule, mark| single(&Margin::isolated(d("50")), position, rule, &tiers, mark);
    assert_eq!(at(hyperliquid::RULE_2023, d("100")), d("77"));
    assert_eq!(at(hyperliquid::RULE, d("100")), d("100") - d("23") / d("0.98"));
    // The new one does not depend on the mark, the old one does: at 90, 3.6 are kept.
    assert_eq!(at(hyperliquid::RULE, d("90")), at(hyperliquid::RULE, d("100")));
    assert_eq!(at(hyperliquid::RULE_2023, d("90")), d("76.8"));
}

#[test]
fn the_rest_of_a_stated_maintenance_margin_is_that_of_others() {
    let tiers = hyperliquid::flat(d("25")).unwrap();
    let leg = Leg { position: linear(Side::Short, d("2"), d("100")), rule: hyperliquid::RULE, tiers: Some(&tiers) };
    let rest = |used| {
        hyperliquid::stated_cross(d("50"), d(used), &leg, d("100")).map(|margin| margin.others.unwrap().maintenance)
    };
    // The position's own is 4.
    assert_eq!(rest("5.5"), Ok(d("1.5")));
    assert_eq!(rest("3.999999"), Ok(Decimal::ZERO));
    assert_eq!(rest("3.9"), Err(Refusal::Negative(Quantity::Maintenance)));
}

#[test]
fn hyperliquid_states_tiers_for_its_main_assets_only() {
    let deduction = |coin| hyperliquid::stated(coin).map(|tiers| tiers.rows()[1].deduction);
    // 150M * (1/40 - 1/80), and 70M * (1/20 - 1/40).
    assert_eq!(deduction("BTC"), Some(d("1875000")));
    assert_eq!(deduction("SOL"), Some(d("1750000")));
    assert_eq!(deduction("XRP"), Some(d("1000000")));
    assert!((deduction("ETH").unwrap() - d("100000000") * (Decimal::ONE / d("30") - d("0.02"))).abs() < d("1e-15"));
    assert_eq!(deduction("HYPE"), Some(d("1000000")));
    assert_eq!(deduction("BNB"), Some(d("150000")));
    assert_eq!(deduction("PURR"), None);
}

#[test]
fn margin_of_coin_margined_contracts_is_in_coins() {
    // Binance, support/faq/ceccfcfb4e3a45e3b48b0b1bb1a8ae46: 100 contracts of 100 USD at 25,000 keep 0.0016 BTC at 0.4 %.
    let btc = [("0", "0.004"), ("5", "0.005"), ("10", "0.01"), ("20", "0.025"), ("50", "0.05")];
    let rows: Vec<_> = btc.iter().map(|(floor, rate)| (d(floor), d(rate), d("125"))).collect();
    let tiers = Tiers::continuous(&rows).unwrap();
    let position = Position { side: Side::Long, contract: Contract::Inverse, size: d("10000"), entry: d("25000") };
    let leg = Leg { position, rule: binance::COINM, tiers: Some(&tiers) };
    assert_eq!(position.notional(d("25000")), Ok(d("0.4")));
    assert_eq!(leg.maintenance_margin(d("25000")), Ok(d("0.0016")));
}

#[test]
fn inverse_contracts_of_bybit() {
    let tiers = flat(d("0.005"), d("0.001"));
    let inverse = |side| Opening {
        side,
        contract: Contract::Inverse,
        entry: d("50000"),
        notional: d("60000"),
        leverage: d("10"),
        rule: bybit::CLASSIC,
        tiers: Some(&tiers),
    };
    let price = |opening: Opening<'_>| opening.liquidation_price().unwrap();
    // 60,000 USD at 50,000 are 1.2 BTC, with 0.12 of margin; 0.006 less 0.001 are kept.
    assert_eq!(price(inverse(Side::Short)), Reach::Above(d("60000") / d("1.085")));
    assert_eq!(price(inverse(Side::Long)), Reach::Below(d("60000") / d("1.315")));
    // size * (1 + rate) / (size / entry + size / entry / leverage + deduction), and the short's.
    let unified = |side| Opening { rule: bybit::UNIFIED, ..inverse(side) };
    assert_eq!(price(unified(Side::Long)), Reach::Below(d("60300") / d("1.321")));
    assert_eq!(price(unified(Side::Short)), Reach::Above(d("59700") / d("1.079")));
    // Its page on auto-deleveraging: 50x from 7,890.08 is bankrupt at entry * leverage / (leverage + 1).
    let (leg, margin) =
        Opening { entry: d("7890.08"), notional: d("5000"), leverage: d("50"), ..inverse(Side::Long) }.leg().unwrap();
    let bankrupt = bankruptcy_price(&margin, &[leg], d("7890.08")).unwrap().below().unwrap();
    assert_eq!(bankrupt.round_dp(6), d("7735.372549"));
    // What is added counts without the fee on it.
    let (leg, _) = unified(Side::Long).leg().unwrap();
    let margin = bybit::unified_inverse_margin(Side::Long, d("0.12"), d("0.1"), d("0.25")).unwrap();
    let found = liquidation_price(&Margin::in_coins(margin), &[leg], d("50000")).unwrap().reach;
    assert_eq!(found, Reach::Below(d("60300") / d("1.401")));
}

#[test]
fn an_old_page_of_bybit_contradicts_its_own_formula() {
    // "How to calculate Liquidation Price (Inverse Contract)": 10,000 contracts at 8,000 with 0.5 BTC and a fee of 0.075 %.
    // Its bankruptcy price, 5718.57, comes out; its liquidation price, 5739.50, does not follow from its equation.
    let fee = d("0.00075");
    let tiers = flat(d("0.005"), Decimal::ZERO);
    let position = Position { side: Side::Long, contract: Contract::Inverse, size: d("10000"), entry: d("8000") };
    let with_fee = Leg { position, rule: Rule { closing_fee: fee, ..bybit::CLASSIC }, tiers: Some(&tiers) };
    let bankrupt = bankruptcy_price(&Margin::in_coins(d("0.5")), &[with_fee], d("8000")).unwrap().below().unwrap();
    assert_eq!(bankrupt.round_dp(2), d("5718.57"));
    // The fee for closing is that at the bankruptcy price.
    let margin = Margin::in_coins(d("0.5") - d("10000") * fee / bankrupt);
    assert_eq!(single(&margin, position, bybit::CLASSIC, &tiers, d("8000")).round_dp(2), d("5739.08"));
}

#[test]
fn liquidation_and_bankruptcy_in_a_small_book() {
    // The accounts of pluriholonomic's "autodeleveraging-analysis" (MIT), entered at 1, with a maintenance rate of 10 %:
    // (side, size, margin, bankruptcy price, liquidation price).
    let table = [
        (Side::Long, "1", "2", None, None),
        (Side::Long, "1", "0.6666666666666666666666666667", Some("0.3333"), Some("0.3704")),
        (Side::Short, "4", "2.6666666666666666666666666667", Some("1.6667"), Some("1.5152")),
        (Side::Long, "1", "0.1052631578947368421052631579", Some("0.8947"), Some("0.9942")),
        (Side::Short, "1", "0.1010101010101010101010101010", Some("1.1010"), Some("1.0009")),
    ];
    let tiers = flat(d("0.1"), Decimal::ZERO);
    for (side, size, margin, bankrupt, liquidated) in table {
        let leg = Leg { position: linear(side, d(size), Decimal::ONE), rule: binance::USDM, tiers: Some(&tiers) };
        let margin = Margin::isolated(d(margin));
        let rounded = |reach: Reach| reach.price().map(|price| price.round_dp(4));
        assert_eq!(rounded(bankruptcy_price(&margin, &[leg], Decimal::ONE).unwrap()), bankrupt.map(d));
        assert_eq!(rounded(liquidation_price(&margin, &[leg], Decimal::ONE).unwrap().reach), liquidated.map(d));
    }
}

#[test]
fn each_venue_closes_as_much_as_its_rule_says() {
    let tiers = |rows: &[(&str, &str)]| {
        let rows: Vec<_> = rows.iter().map(|(floor, rate)| (d(floor), d(rate), d("100"))).collect();
        Tiers::continuous(&rows).unwrap()
    };
    let tiers = tiers(&[("0", "0.01"), ("1000", "0.02"), ("2000", "0.03"), ("4000", "0.04")]);
    let state = |notional, equity| Unwinding {
        notional: d(notional),
        equity: d(equity),
        tiers: Some(&tiers),
        since_partial: None,
    };
    let share = Venue::Hyperliquid.procedure().amount;
    let cooling = |seconds| Unwinding { since_partial: Some(seconds), ..state("200000", "1") };
    let table = [
        // 30 covers 2,000: 0.02 * 2000 - 10.
        (Venue::BinanceUsdm.procedure().amount, state("2500", "30"), "500"),
        (Venue::BinanceUsdm.procedure().amount, state("2500", "5"), "2000"),
        (Venue::BinanceUsdm.procedure().amount, state("2500", "0"), "2500"),
        (Venue::BinanceUsdm.procedure().amount, state("2500", "-5"), "2500"),
        (Venue::BinanceUsdm.procedure().amount, state("2500", "900"), "0"),
        (Venue::Bybit.procedure().amount, state("900", "1"), "900"),
        (Venue::Bybit.procedure().amount, state("1000", "1"), "1000"),
        (Venue::Bybit.procedure().amount, state("1500", "1"), "500"),
        (Venue::Bybit.procedure().amount, state("5000", "1"), "1000"),
        (Venue::Okx.procedure().amount, state("1500", "1"), "1500"),
        (Venue::Okx.procedure().amount, state("3000", "1"), "2000"),
        (Venue::Okx.procedure().amount, state("5000", "1"), "3000"),
        (share, state("100000", "1"), "100000"),
        (share, state("200000", "1"), "40000"),
        (share, cooling(29), "200000"),
        (share, cooling(30), "40000"),
        (Venue::DydxV4.procedure().amount, state("800", "1"), "800"),
        (Venue::DydxV4.procedure().amount, state("5000", "1"), "1000"),
        (Venue::DydxV4.procedure().amount, state("50000", "1"), "5000"),
        (Venue::DydxV4.procedure().amount, state("5000000", "1"), "100000"),
        (Venue::GmxV2.procedure().amount, state("5000", "1"), "5000"),
    ];
    for (row, (amount, of, expected)) in table.into_iter().enumerate() {
        assert_eq!(amount.next(&of), Ok(d(expected)), "row {row}: {amount:?}");
    }
    let unknown = Unwinding { tiers: None, ..state("1", "1") };
    assert_eq!(Amount::UntilCovered.next(&unknown), Err(Refusal::NoTiers));
}

#[test]
fn ranks_for_deleveraging() {
    // The example of a user's question to Binance's developers: profit 40.2 on a balance of 4.27, margin ratio 13.42 %.
    let rank = binance::deleveraging_rank(d("40.2"), d("4.27"), d("0.1342") * d("44.47")).unwrap();
    assert_eq!(rank.round_dp(2), d("1.26"));
    assert_eq!(binance::deleveraging_rank(d("-1"), d("4"), d("1")), Ok(Decimal::ZERO));
    assert_eq!(binance::deleveraging_rank(d("-5"), d("4"), d("1")), Ok(Decimal::ZERO));
    // Profit over a balance below 1 counts as over 1.
    assert_eq!(binance::deleveraging_rank(d("3"), d("0.5"), d("0.35")), Ok(d("0.3")));
    let index = |side, mark: &str| hyperliquid::deleveraging_index(&linear(side, d("2"), d("100")), d(mark), d("50"));
    assert_eq!(index(Side::Long, "125"), Ok(d("1.25") * d("5")));
    assert_eq!(index(Side::Short, "80"), Ok(d("1.25") * d("3.2")));
    assert!(hyperliquid::deleveraging_index(&linear(Side::Long, d("2"), d("100")), d("1"), Decimal::ZERO).is_err());
}

#[test]
fn a_subaccount_of_dydx_goes_bankrupt_at_one_price_whole_or_in_part() {
    // One position: what it fetches just covers the debt, 4,501 / 0.1.
    let account = dydx::Subaccount { net_collateral: d("499"), maintenance: d("500") };
    let position = linear(Side::Long, d("0.1"), d("50000"));
    assert_eq!(account.bankruptcy_price(&position, d("500"), d("50000")), Ok(d("45010")));
    // Two alike: each bears its part of what is left.
    let double = dydx::Subaccount { net_collateral: d("998"), maintenance: d("1000") };
    assert_eq!(double.bankruptcy_price(&position, d("500"), d("50000")), Ok(d("45010")));
}
