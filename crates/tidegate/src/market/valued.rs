//! Liquidations with the prices they saw, and the table of them.

use std::collections::BTreeMap;

use protocol::aave::config::ReserveConfig;
use protocol::amount::{Raw, Usd8};
use protocol::chain::ChainId;
use protocol::liquidation::{Amount, Leg, Liquidation};
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use protocol::token::{Token, Tokens};
use protocol::{Address, U256};
use source::archive::definition::Definition;
use source::archive::reads::{Answer, ReadKey, Reads};
use source::archive::synced::{Deficit, FeeUnknown, Price, PriceFrom, Synced};
use source::decode::reads;

use super::price_key;
use super::taken::{Move, Taken};

/// What of a feed is behind a source, such as a proxy of Chainlink's.
const AGGREGATOR: &str = "aggregator()";

/// What a market without dollars is measured by, the best known first.
const DOLLARS: [&str; 3] = ["USDC", "USDT", "DAI"];

/// Eight decimals of a dollar.
const ONE_USD8: U256 = U256::from_limbs([100_000_000, 0, 0, 0]);

/// Everything that values liquidations.
pub(crate) struct Values<'a> {
    /// What the market is.
    pub definition: &'a Definition,
    /// The answers.
    pub reads: &'a Reads,
    /// What is known of the market's assets.
    pub assets: Assets,
}

/// Decimals of a market's assets, and which of them stands for a dollar.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assets {
    decimals: BTreeMap<Address, u8>,
    /// In a market that does not count in dollars: the asset that is taken for one, and what it is called.
    dollar: Option<(Address, String)>,
    /// The token that stands for the chain's native one, where auctions are paid in that.
    pub(super) native: Option<Address>,
}

impl Assets {
    /// What is known of the assets of a market from its logs, where these are enough, from `getConfiguration` at any block, or
    /// from the registry.
    pub(super) fn of<'a>(
        definition: &Definition,
        listed: impl Iterator<Item = (Address, &'a ReserveConfig, bool)>,
        known: &Reads,
    ) -> Self {
        let mut read: BTreeMap<Address, u8> = BTreeMap::new();
        let selector = reads::call(reads::CONFIGURATION, &[]);
        for (key, answered) in known.iter().filter(|(key, _)| key.target == definition.pool && key.data.len() == 36) {
            if let (Some(argument), Answer::Returned(bytes)) = (key.data.strip_prefix(&selector[..]), &answered.answer)
                && let Ok(word) = reads::number(bytes)
            {
                read.insert(Address::from_slice(&argument[12..]), ReserveConfig::from_word(word).decimals);
            }
        }
        let mut assets = Self::default();
        for (asset, config, is_known) in listed {
            let from_logs = Some(config.decimals).filter(|decimals| is_known || *decimals != 0);
            let in_registry = Tokens::embedded().by_address(definition.chain, asset);
            let decimals = from_logs.or(read.get(&asset).copied()).or(in_registry.map(|token| token.decimals));
            assets.decimals.extend(decimals.map(|decimals| (asset, decimals)));
        }
        if !definition.base_is_usd {
            let called = |name: &&str| {
                let token = Tokens::embedded().by_symbol(definition.chain, name)?;
                assets.decimals.contains_key(&token.address).then(|| (token.address, (*name).to_owned()))
            };
            assets.dollar = DOLLARS.iter().find_map(called);
        }
        assets
    }

    /// What is taken for a dollar in a market that does not count in dollars.
    pub(crate) fn dollar(&self) -> Option<&str> {
        self.dollar.as_ref().map(|(_, name)| name.as_str())
    }
}

/// The questions whose answers are the prices around some liquidations.
pub(crate) fn price_keys(taken: &[Taken], assets: &Assets) -> Vec<ReadKey> {
    let mut keys = Vec::new();
    for one in taken {
        let call = &one.seizure.call;
        let sides = [Some(call.collateral), Some(call.debt)].into_iter().chain(one.category_sources).flatten();
        // What made the account liquidatable may be the price of anything it held.
        for asset in sides.chain(one.held.iter().copied()) {
            keys.push(price_key(one.oracle, asset, one.block));
            keys.extend(one.block.checked_sub(1).map(|before| price_key(one.oracle, asset, before)));
        }
        for (asset, _) in &one.seizure.written_off {
            keys.push(price_key(one.oracle, *asset, one.block));
            keys.extend(one.block.checked_sub(1).map(|before| price_key(one.oracle, *asset, before)));
        }
        keys.extend(assets.dollar.as_ref().map(|(asset, _)| price_key(one.oracle, *asset, one.block)));
        keys.extend(assets.native.map(|asset| price_key(one.oracle, asset, one.block)));
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The questions that tell which feeds are behind prices that changed in the liquidations' blocks. The prices must be known.
pub(crate) fn feed_keys(taken: &[Taken], known: &Reads) -> Vec<ReadKey> {
    let mut keys = Vec::new();
    for one in taken.iter().filter(|one| !one.moves.is_empty()) {
        for side in [0, 1] {
            let asset = asked_for(one, side, known);
            let [before, after] = around(one, asset, known);
            if before != after {
                keys.extend(source_of(one, side, asset).map(|source| aggregator_key(source, one.block)));
            }
        }
    }
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn aggregator_key(source: Address, block: u64) -> ReadKey {
    ReadKey { block, target: source, data: reads::call(AGGREGATOR, &[]) }
}

/// Whose price a side took: its category's where that has one, else its own.
fn asked_for(one: &Taken, side: usize, known: &Reads) -> Address {
    let own = if side == 0 { one.seizure.call.collateral } else { one.seizure.call.debt };
    let has_price = |source: &Address| price(known, one.oracle, *source, one.block).is_some();
    one.category_sources[side].filter(has_price).unwrap_or(own)
}

/// Who is behind a price: a category's source may be asked itself.
fn source_of(one: &Taken, side: usize, asset: Address) -> Option<Address> {
    let is_own = one.category_sources[side] != Some(asset);
    one.sources[side].filter(|_| is_own)
}

/// The price at the end of the block before and at the end of its own.
fn around(one: &Taken, asset: Address, known: &Reads) -> [Option<U256>; 2] {
    let before = one.block.checked_sub(1).and_then(|before| price(known, one.oracle, asset, before));
    [before, price(known, one.oracle, asset, one.block)]
}

pub(super) fn price(known: &Reads, oracle: Address, asset: Address, block: u64) -> Option<U256> {
    match known.get(&price_key(oracle, asset, block))? {
        Answer::Returned(bytes) => reads::number(bytes).ok().filter(|price| !price.is_zero()),
        Answer::Reverted(_) => None,
    }
}

/// A price at the end of a liquidation's block, which is the one that it saw if it did not change in the block.
fn at_end(one: &Taken, asset: Address, known: &Reads) -> Option<Price> {
    let [before, after] = around(one, asset, known);
    let raw = after?;
    if before != after {
        return Some(Price { raw, from: PriceFrom::EndOfBlock, standing: Standing::Observed });
    }
    // One that went there and back is the same at both ends, and was another one when the liquidation saw it.
    let moved = |feed: Address, earlier: bool| {
        one.moves.iter().any(|moved| moved.feed == feed && (moved.log_index < one.log_index) == earlier)
    };
    let is_sure = !one.moves.iter().any(|at| moved(at.feed, true) && moved(at.feed, false));
    let standing = if is_sure { Standing::Exact } else { Standing::Observed };
    Some(Price { raw, from: PriceFrom::Unchanged, standing })
}

/// The price that a side of a liquidation saw.
///
/// Where the price changed in the block, the logs of its feed say on which side of the liquidation. That is all there is to it only
/// where the source hands out the feed's answers as they are. A source that makes its price of several parts (a ratio, a
/// cap that grows with time) may have changed by another part at any place in the block, so the price must be the
/// feed's own answer at the ends of the block that are looked at: else the price is observed.
fn seen(one: &Taken, side: usize, known: &Reads) -> Option<Price> {
    let asset = asked_for(one, side, known);
    let at_end = at_end(one, asset, known)?;
    if at_end.from == PriceFrom::Unchanged {
        return Some(at_end);
    }
    let (before, after) = (around(one, asset, known)[0], at_end.raw);
    let source = source_of(one, side, asset);
    let behind = source.and_then(|source| match known.get(&aggregator_key(source, one.block))? {
        Answer::Returned(bytes) => reads::number(bytes).ok().map(|word| Address::from_word(word.into())),
        Answer::Reverted(_) => None,
    });
    let own = |moved: &&Move| Some(moved.feed) == source || Some(moved.feed) == behind;
    let moves: Vec<&Move> = one.moves.iter().filter(own).collect();
    let [any_before, any_after] =
        [true, false].map(|wanted| moves.iter().any(|moved| (moved.log_index < one.log_index) == wanted));
    let is_end = moves.last().is_some_and(|last| last.after == Some(after));
    let is_begin = before.is_some() && moves.first().is_some_and(|first| first.before == before);
    let standing = |is_sure: bool| if is_sure { Standing::Exact } else { Standing::Observed };
    Some(match (any_before, any_after, before) {
        (true, false, _) => Price { raw: after, from: PriceFrom::AfterUpdate, standing: standing(is_end) },
        (false, true, Some(before)) => {
            Price { raw: before, from: PriceFrom::BeforeUpdate, standing: standing(is_begin && is_end) }
        }
        _ => at_end,
    })
}

/// What an amount is worth in dollars of eight decimals: `amount * price / (10^decimals * one)`, rounded half up, where `one` is
/// what a dollar costs in the units of the price.
fn worth(amount: U256, price: U256, decimals: u8, one: U256) -> Option<Usd8> {
    let unit = U256::from(10).checked_pow(U256::from(decimals))?.checked_mul(one)?;
    let value = amount.checked_mul(price)?.checked_mul(ONE_USD8)?.checked_add(unit >> 1)?.checked_div(unit)?;
    i128::try_from(u128::try_from(value).ok()?).ok().map(Usd8)
}

impl Values<'_> {
    /// What a dollar costs at a block, in the units of prices.
    fn dollar_at(&self, one: &Taken) -> Option<U256> {
        if self.definition.base_is_usd {
            return Some(U256::from(self.definition.base_unit));
        }
        let (asset, _) = self.assets.dollar.as_ref()?;
        price(self.reads, one.oracle, *asset, one.block)
    }

    /// A liquidation as a row of the table.
    pub(crate) fn row(&self, market: &str, one: &Taken) -> Synced {
        let (call, terms) = (&one.seizure.call, &one.terms);
        // What moved at an index of nothing would be worth nothing, and no index is nothing.
        let index = one.seizure.fee_index;
        let moved = one.seizure.fee_scaled.filter(|_| !index.0.is_zero());
        let fee = moved
            .and_then(|scaled| terms.fee_paid(one.revision, one.scaling, call.received, (scaled, index)).ok())
            .ok_or(FeeUnknown::ImpossibleTransfer);
        let seized = fee.ok().and_then(|fee| call.received.checked_add(fee));
        let dollar = self.dollar_at(one);
        let prices = [seen(one, 0, self.reads), seen(one, 1, self.reads)];
        let usd = |amount: U256, asset: Address, price: Option<U256>| {
            worth(amount, price?, *self.assets.decimals.get(&asset)?, dollar?)
        };
        let side_usd = |amount, asset, side: usize| usd(amount, asset, prices[side].map(|price| price.raw));
        let mut deficits = one.seizure.written_off.clone();
        deficits.sort_by_key(|(asset, _)| *asset != call.debt);
        let of_debt = deficits.iter().filter(|(asset, _)| *asset == call.debt);
        let deficit = of_debt.clone().try_fold(U256::ZERO, |sum, (_, amount)| sum.checked_add(*amount));
        // What was written off in the debt's own asset was owed at the price that the liquidation saw.
        let price_of = |asset: Address| {
            if asset == call.debt { prices[1] } else { at_end(one, asset, self.reads) }
        };
        let deficit_prices: Vec<Option<Price>> = deficits.iter().map(|(asset, _)| price_of(*asset)).collect();
        let deficits: Vec<Deficit> = deficits
            .iter()
            .zip(&deficit_prices)
            .map(|((asset, raw), price)| Deficit {
                asset: *asset,
                raw: *raw,
                usd: usd(*raw, *asset, price.map(|price| price.raw)),
            })
            .collect();
        let deficit_usd = deficits.iter().try_fold(Usd8(0), |sum, deficit| sum.checked_add(deficit.usd?));
        let all_prices = prices.iter().chain(&deficit_prices).flatten();
        let usd_standing = dollar.and_then(|_| all_prices.map(|price| price.standing).max()).map(|weakest| {
            // Nobody says that what is taken for a dollar is worth one.
            if self.definition.base_is_usd { weakest } else { weakest.max(Standing::Observed) }
        });
        let leg = |asset: Address, amount: U256, side| Leg {
            token: self.token(self.definition.chain, asset),
            amount: u128::try_from(amount).ok().and_then(Raw::new).map_or(Amount::Missing, Amount::Exact),
            usd: side_usd(amount, asset, side),
        };
        let liquidation = Liquidation {
            chain: self.definition.chain,
            market: market.into(),
            version: Some(self.definition.version),
            block: Some(one.block),
            transaction: Some(one.transaction),
            log_index: u32::try_from(one.log_index).ok(),
            user: call.user,
            liquidator: Some(call.liquidator),
            collateral: Some(leg(call.collateral, call.received, 0)),
            debt: Some(leg(call.debt, call.repaid, 1)),
            protocol_fee: fee.ok().and_then(|fee| side_usd(fee, call.collateral, 0)),
        };
        Synced {
            time: TimeUs(i64::try_from(one.time).unwrap_or(i64::MAX).saturating_mul(SECOND_US)),
            liquidation,
            seized,
            fee,
            bonus: seized.and_then(|seized| terms.bonus_in(one.revision, seized).ok()),
            bonus_bps: terms.bonus.0,
            protocol_fee_bps: terms.protocol_fee.0,
            receives_supply: call.takes_supply,
            deficits,
            deficit,
            deficit_usd,
            collateral_price: prices[0],
            debt_price: prices[1],
            usd_standing,
        }
    }

    fn token(&self, chain: ChainId, asset: Address) -> Token {
        let listed = Tokens::embedded().by_address(chain, asset);
        Token {
            address: Some(asset),
            symbol: listed.map_or_else(|| asset.to_string().into(), |listed| listed.symbol.clone()),
            decimals: self.assets.decimals.get(&asset).copied(),
        }
    }

    /// How the dollar figures of some rows are known together.
    pub(crate) fn standing(&self, rows: &[Synced]) -> Standing {
        let best = if self.definition.base_is_usd { Standing::Exact } else { Standing::Observed };
        rows.iter().filter_map(|row| row.usd_standing).fold(best, Ord::max)
    }
}

#[cfg(test)]
mod tests {
    use engine::book::seized::Seizure;
    use protocol::B256;
    use protocol::aave::Revision;
    use protocol::aave::config::ReserveId;
    use protocol::aave::liquidation::LiquidationTerms;
    use protocol::aave::log::Liquidated;
    use protocol::aave::math::{Bps, Ray};
    use protocol::aave::revision::Scaling;

    use super::*;

    fn number(digits: u64) -> U256 {
        U256::from(digits)
    }

    const ORACLE: Address = Address::repeat_byte(1);
    const COLLATERAL: Address = Address::repeat_byte(2);
    const DEBT: Address = Address::repeat_byte(3);
    const FEED: Address = Address::repeat_byte(4);
    const OTHER: Address = Address::repeat_byte(5);

    /// A liquidation in the middle of block 10, and what its feeds answered before and after some logs of the block.
    fn taken(moves: &[(Address, u64, u64, u64)]) -> Taken {
        let moved = |&(feed, log_index, before, after): &(Address, u64, u64, u64)| {
            let answer = |digits: u64| Some(number(digits)).filter(|answer| !answer.is_zero());
            Move { log_index, feed, transaction: B256::ZERO, before: answer(before), after: answer(after) }
        };
        Taken {
            block: 10,
            block_hash: B256::ZERO,
            time: 1,
            transaction: B256::ZERO,
            transaction_index: 0,
            held: Vec::new(),
            log_index: 50,
            seizure: Seizure {
                call: Liquidated {
                    collateral: COLLATERAL,
                    debt: DEBT,
                    user: Address::repeat_byte(8),
                    repaid: number(1_000_000),
                    received: number(1_040),
                    liquidator: Address::repeat_byte(9),
                    takes_supply: false,
                },
                collateral: ReserveId(0),
                debt: ReserveId(1),
                fee_scaled: Some(number(10)),
                fee_index: Ray::ONE,
                written_off: Vec::new(),
            },
            revision: Revision::V3_0_2,
            scaling: Scaling::HalfUp,
            terms: LiquidationTerms {
                bonus: Bps(10_500),
                protocol_fee: Bps(2_000),
                collateral_category: None,
                debt_category: None,
            },
            oracle: ORACLE,
            category_sources: [None; 2],
            sources: [Some(FEED), Some(OTHER)],
            moves: moves.iter().map(moved).collect(),
        }
    }

    /// The oracle's answers at the ends of blocks 9 and 10.
    fn answers(prices: &[(Address, u64, u64)]) -> Reads {
        let mut known = Reads::default();
        for (asset, before, after) in prices {
            for (block, price) in [(9, before), (10, after)] {
                let answer = Answer::Returned(number(*price).to_be_bytes::<32>().to_vec().into());
                let answered = source::archive::reads::Answered { answer, host: "h".into(), read_at: TimeUs(0) };
                known.insert(price_key(ORACLE, *asset, block), answered).unwrap();
            }
        }
        known
    }

    #[test]
    fn a_price_is_exact_only_where_nothing_but_the_feed_can_have_made_it() {
        use PriceFrom::{AfterUpdate, BeforeUpdate, EndOfBlock, Unchanged};
        use Standing::{Exact, Observed};
        // The price at the ends of two blocks; moves of feeds; what was seen.
        type Case<'a> = (&'a str, (u64, u64), &'a [(Address, u64, u64, u64)], (u64, PriceFrom, Standing));
        let cases: [Case<'_>; 13] = [
            ("nothing moved", (100, 100), &[], (100, Unchanged, Exact)),
            ("a feed moved before it", (100, 100), &[(FEED, 9, 7, 8)], (100, Unchanged, Exact)),
            ("there and back", (100, 100), &[(FEED, 9, 100, 90), (FEED, 60, 90, 100)], (100, Unchanged, Observed)),
            ("two feeds, once each", (100, 100), &[(OTHER, 9, 1, 2), (FEED, 60, 7, 8)], (100, Unchanged, Exact)),
            ("the feed before", (100, 90), &[(FEED, 9, 100, 90)], (90, AfterUpdate, Exact)),
            ("the feed after", (100, 90), &[(FEED, 60, 100, 90)], (100, BeforeUpdate, Exact)),
            (
                "the feed on both sides",
                (100, 80),
                &[(FEED, 9, 100, 90), (FEED, 60, 90, 80)],
                (80, EndOfBlock, Observed),
            ),
            ("no log tells", (100, 90), &[], (90, EndOfBlock, Observed)),
            ("another feed", (100, 90), &[(OTHER, 9, 100, 90)], (90, EndOfBlock, Observed)),
            ("a ratio times the feed, before", (110, 99), &[(FEED, 9, 100, 90)], (99, AfterUpdate, Observed)),
            ("a ratio times the feed, after", (110, 99), &[(FEED, 60, 100, 90)], (110, BeforeUpdate, Observed)),
            ("it began elsewhere", (105, 90), &[(FEED, 60, 100, 90)], (105, BeforeUpdate, Observed)),
            ("what it was is not known", (100, 90), &[(FEED, 60, 0, 90)], (100, BeforeUpdate, Observed)),
        ];
        for (what, (before, after), moves, (raw, from, standing)) in cases {
            let known = answers(&[(COLLATERAL, before, after)]);
            let expected = Price { raw: number(raw), from, standing };
            assert_eq!(seen(&taken(moves), 0, &known), Some(expected), "{what}");
            assert_eq!(seen(&taken(moves), 1, &known), None, "no price is none");
        }
    }

    fn definition() -> Definition {
        Definition {
            chain: ChainId(1),
            version: protocol::liquidation::Version::V3,
            addresses_provider: Address::ZERO,
            pool: Address::ZERO,
            configurator: Address::ZERO,
            oracle: ORACLE,
            first_block: 0,
            base_unit: 100_000_000,
            base_is_usd: true,
        }
    }

    fn row(one: &Taken, known: &Reads) -> Synced {
        let decimals = [(COLLATERAL, 2), (DEBT, 6), (OTHER, 0)].into();
        let assets = Assets { decimals, dollar: None, native: None };
        Values { definition: &definition(), reads: known, assets }.row("m", one)
    }

    #[test]
    fn a_fee_that_no_arithmetic_gives_is_missing_and_not_nothing() {
        let known = answers(&[(COLLATERAL, 100_000_000, 100_000_000), (DEBT, 100_000_000, 100_000_000)]);
        let good = row(&taken(&[]), &known);
        assert_eq!((good.fee, good.seized), (Ok(number(10)), Some(number(1_050))));
        assert_eq!((good.liquidation.protocol_fee, good.bonus), (Some(Usd8(10_000_000)), Some(number(50))));
        for (scaled, index) in [(None, Ray::ONE), (Some(number(10)), Ray(U256::ZERO)), (Some(U256::MAX), Ray::ONE)] {
            let mut one = taken(&[]);
            (one.seizure.fee_scaled, one.seizure.fee_index) = (scaled, index);
            let bad = row(&one, &known);
            assert_eq!((bad.fee, bad.seized), (Err(FeeUnknown::ImpossibleTransfer), None), "{scaled:?}, {index:?}");
            assert_eq!((bad.liquidation.protocol_fee, bad.bonus), (None, None));
            assert_eq!(bad.liquidation.collateral, good.liquidation.collateral, "the rest is as it was");
        }
        let mut none = taken(&[]);
        none.seizure.fee_scaled = Some(U256::ZERO);
        assert_eq!(row(&none, &known).fee, Ok(U256::ZERO), "no transfer is no fee");
    }

    #[test]
    fn a_value_is_as_sure_as_the_least_sure_price_in_it() {
        let same = [(COLLATERAL, 100, 100), (DEBT, 100, 100)];
        let mut one = taken(&[]);
        assert_eq!(row(&one, &answers(&same)).usd_standing, Some(Standing::Exact));
        one.seizure.written_off = vec![(OTHER, number(3)), (DEBT, number(1_000_000))];
        let steady = row(&one, &answers(&[same[0], same[1], (OTHER, 7, 7)]));
        assert_eq!((steady.usd_standing, steady.deficit_usd), (Some(Standing::Exact), Some(Usd8(21 + 100))));
        let moved = row(&one, &answers(&[same[0], same[1], (OTHER, 7, 8)]));
        assert_eq!((moved.usd_standing, moved.deficit_usd), (Some(Standing::Observed), Some(Usd8(24 + 100))));
        assert_eq!(moved.price_standing(), Some(Standing::Exact), "of the two prices in the row");
        assert_eq!(row(&one, &answers(&same)).deficit_usd, None, "a price that is missing is not nothing");
    }

    #[test]
    fn values_are_exact_and_round_half_up() {
        // 1.5 ether at 2,000.00000001 dollars.
        let amount = number(1_500_000_000_000_000_000);
        let dollar = number(100_000_000);
        assert_eq!(worth(amount, number(200_000_000_001), 18, dollar), Some(Usd8(300_000_000_002)));
        // The same in ether, where a dollar costs 0.0005 of it.
        let ether = number(1_000_000_000_000_000_000);
        assert_eq!(worth(amount, ether, 18, number(500_000_000_000_000)), Some(Usd8(300_000_000_000)));
        assert_eq!(worth(number(1), number(1), 8, dollar), Some(Usd8(0)));
        assert_eq!(worth(U256::MAX, number(2), 18, dollar), None, "too much is no figure");
        assert_eq!(worth(number(1), number(1), 18, U256::ZERO), None);
    }
}
