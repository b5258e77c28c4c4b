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
use source::archive::synced::{Price, PriceFrom, Synced};
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
        for asset in sides {
            keys.push(price_key(one.oracle, asset, one.block));
            keys.extend(one.block.checked_sub(1).map(|before| price_key(one.oracle, asset, before)));
        }
        let written_off = one.seizure.written_off.iter().map(|(asset, _)| *asset);
        let others = written_off.chain(assets.dollar.as_ref().map(|(asset, _)| *asset));
        keys.extend(others.map(|asset| price_key(one.oracle, asset, one.block)));
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

fn price(known: &Reads, oracle: Address, asset: Address, block: u64) -> Option<U256> {
    match known.get(&price_key(oracle, asset, block))? {
        Answer::Returned(bytes) => reads::number(bytes).ok().filter(|price| !price.is_zero()),
        Answer::Reverted(_) => None,
    }
}

/// The price that a side of a liquidation saw.
fn seen(one: &Taken, side: usize, known: &Reads) -> Option<Price> {
    let asset = asked_for(one, side, known);
    let [before, after] = around(one, asset, known);
    let after = after?;
    if before == Some(after) {
        return Some(Price { raw: after, from: PriceFrom::Unchanged });
    }
    let source = source_of(one, side, asset);
    let behind = source.and_then(|source| match known.get(&aggregator_key(source, one.block))? {
        Answer::Returned(bytes) => reads::number(bytes).ok().map(|word| Address::from_word(word.into())),
        Answer::Reverted(_) => None,
    });
    let own = |moved: &&Move| Some(moved.feed) == source || Some(moved.feed) == behind;
    let moves: Vec<bool> = one.moves.iter().filter(own).map(|moved| moved.log_index < one.log_index).collect();
    let [any_before, any_after] = [true, false].map(|wanted| moves.contains(&wanted));
    Some(match (any_before, any_after, before) {
        (true, false, _) => Price { raw: after, from: PriceFrom::AfterUpdate },
        (false, true, Some(before)) => Price { raw: before, from: PriceFrom::BeforeUpdate },
        _ => Price { raw: after, from: PriceFrom::EndOfBlock },
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
        let transferred = (one.seizure.fee_scaled, one.seizure.fee_index);
        let fee = terms.fee_paid(one.revision, one.scaling, call.received, transferred).unwrap_or_default();
        let seized = call.received.saturating_add(fee);
        let dollar = self.dollar_at(one);
        let prices = [seen(one, 0, self.reads), seen(one, 1, self.reads)];
        let usd = |amount: U256, asset: Address, price: Option<U256>| {
            worth(amount, price?, *self.assets.decimals.get(&asset)?, dollar?)
        };
        let side_usd = |amount, asset, side: usize| usd(amount, asset, prices[side].map(|price| price.raw));
        let mut deficits = one.seizure.written_off.clone();
        deficits.sort_by_key(|(asset, _)| *asset != call.debt);
        let of_debt = deficits.iter().filter(|(asset, _)| *asset == call.debt);
        let deficit = of_debt.fold(U256::ZERO, |sum, (_, amount)| sum.saturating_add(*amount));
        let deficit_usd = deficits.iter().try_fold(Usd8(0), |sum, (asset, amount)| {
            sum.checked_add(usd(*amount, *asset, price(self.reads, one.oracle, *asset, one.block))?)
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
            protocol_fee: side_usd(fee, call.collateral, 0),
        };
        Synced {
            time: TimeUs(i64::try_from(one.time).unwrap_or(i64::MAX).saturating_mul(SECOND_US)),
            liquidation,
            seized,
            fee,
            bonus: terms.bonus_in(one.revision, seized).ok(),
            bonus_bps: terms.bonus.0,
            protocol_fee_bps: terms.protocol_fee.0,
            receives_supply: call.takes_supply,
            deficits,
            deficit,
            deficit_usd,
            collateral_price: prices[0],
            debt_price: prices[1],
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
        let weakest = rows.iter().filter_map(Synced::price_standing).max().unwrap_or(Standing::Exact);
        // Nobody says that what is taken for a dollar is worth one.
        if self.definition.base_is_usd { weakest } else { weakest.max(Standing::Observed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(digits: u64) -> U256 {
        U256::from(digits)
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
