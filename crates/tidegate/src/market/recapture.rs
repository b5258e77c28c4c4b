//! What became of the bonuses of a synced market's liquidations: from its archive to the facts of blocks, and to rows.
//!
//! Logs, receipts, kept transactions and answers are all there is to it, so that the same archive gives the same rows:
//!
//! * [`find`]: which dual aggregators, safes and settlement contracts are to be read, while a market is;
//! * [`blocks`]: everything that happened around auctions, block by block;
//! * [`rows`]: each liquidation's row.

mod heard;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use engine::recapture::facts::{Block, Happened, Liquidated, Place, Trigger, Untold, Value};
use engine::recapture::trigger::{Known, Told, Triggers};
use engine::recapture::{Found, Ledger, Row, Rules, Terms};
use protocol::amount::Usd8;
use protocol::{Address, B256, U256};
use source::archive::reads::{Answer, ReadKey, Reads};
use source::archive::recaptured::{Recaptured, Worth};
use source::archive::synced::Synced;
use source::archive::transactions::{self, Transaction};
use source::archive::{Archive, MarketName};
use source::decode::reads;
use source::markets::feeds::Feeds;
use source::sync::Syncer;

use self::heard::Heard;
use super::taken::Taken;
use super::{Folder, price_key, prices, valued};

/// How often prices are asked for that decide about triggers: each time it is gone back by one move of a feed.
const MOST_ROUNDS: usize = 4;

/// A base currency of US dollars with these units has a price that is one of [`Usd8`].
const USD8_UNIT: u64 = 100_000_000;

/// Asks who is dual among the aggregators that stand behind a market's prices, as of a final block, and has what they, safes and
/// settlement contracts say around auctions read. What was found out is kept: a market without a node has it too.
pub(crate) async fn find(syncer: &mut Syncer<'_>, folder: &mut Folder, feeds: &Feeds, at: u64) -> source::Result<()> {
    let held = held_feeds(folder.reads());
    let known: BTreeSet<_> = held.edges().collect();
    let mut keys: Vec<ReadKey> = feeds
        .edges()
        .filter(|edge| !known.contains(edge))
        .map(|(asked, getter, _)| ReadKey { block: at, target: asked, data: getter.call().into() })
        .collect();
    let of_type = reads::call(reads::TYPE, &[]);
    let is_asked: BTreeSet<Address> =
        folder.reads().iter().filter(|(key, _)| key.data == of_type).map(|(key, _)| key.target).collect();
    let unasked = feeds.aggregators().into_iter().filter(|aggregator| !is_asked.contains(aggregator));
    keys.extend(unasked.map(|target| ReadKey { block: at, target, data: of_type.clone() }));
    syncer.read(&keys, folder.reads_mut()).await?;
    let duals = prices::duals(folder.reads());
    folder.has_auctions = !duals.is_empty();
    if duals.is_empty() {
        return Ok(());
    }
    let safes = folder.auctions().safes.iter().map(|safe| safe.address).collect();
    syncer.add_duals(duals);
    syncer.add_auctions(folder.auctions().contracts());
    folder.collect(safes);
    Ok(())
}

/// Asks for prices that no log tells where they decide what made a liquidation possible, and keeps them: each time at the moves of feeds
/// that it was gone back to, so that nothing is asked that tells nothing.
pub(crate) async fn bring(syncer: &Syncer<'_>, folder: &mut Folder, to: u64) -> anyhow::Result<()> {
    if !folder.has_auctions() {
        return Ok(());
    }
    for _ in 0..MOST_ROUNDS {
        let missing = told(folder, to)?.missing;
        let taken = folder.liquidations(to).0;
        let oracles: BTreeMap<u64, Address> = taken.iter().map(|one| (one.block, one.oracle)).collect();
        let key = |(asset, block): &(Address, u64)| Some(price_key(*oracles.range(block..).next()?.1, *asset, *block));
        let keys: Vec<ReadKey> = missing.iter().filter_map(key).collect();
        if syncer.is_stopped() || folder.reads().missing(&keys).is_empty() {
            break;
        }
        syncer.read(&keys, folder.reads_mut()).await?;
    }
    Ok(())
}

/// Who reads whom, as far as answers tell.
fn held_feeds(reads: &Reads) -> Feeds {
    Feeds::of_answers(reads.iter().filter_map(|(key, answered)| match &answered.answer {
        Answer::Returned(bytes) => Some((key.target, &key.data[..], &bytes[..])),
        Answer::Reverted(_) => None,
    }))
}

/// The same as [`rows`] from what the archive holds of a market; none where no dual aggregator is known behind its prices.
pub(crate) fn of_market(archive: &Archive, market: &MarketName) -> anyhow::Result<Option<Vec<Found>>> {
    let definition = super::definition(archive, market)?;
    let mut folder = Folder::new(archive, market, &definition)?;
    if !folder.has_auctions() {
        return Ok(None);
    }
    let to =
        super::complete_to(archive, market)?.with_context(|| format!("{market}: nothing of it is complete yet"))?;
    folder.advance_for_liquidations(to)?;
    rows(&mut folder, to).map(Some)
}

/// Each liquidation's row, and payments that are in none, in blocks of the chain's order. Of a market that no auctions are held for
/// there are none. The market must be folded up to block `to`.
pub(crate) fn rows(folder: &mut Folder, to: u64) -> anyhow::Result<Vec<Found>> {
    let mut ledger = Ledger::new(Rules::default(), Terms::aave());
    let found = blocks(folder, to)?.iter().map(|block| ledger.block(block)).collect::<Result<_, _>>()?;
    Ok(found)
}

/// Everything that happened around auctions up to a block up to which the market must be folded, in order. Where the transactions of a
/// block were not kept, whoever got its fees is not known, and stands there as nobody (zero).
pub(crate) fn blocks(folder: &mut Folder, to: u64) -> anyhow::Result<Vec<Block>> {
    if !folder.has_auctions() {
        return Ok(Vec::new());
    }
    let triggers = told(folder, to)?.triggers;
    let market = folder.market().clone();
    let archive = folder.archive.clone();
    let kept = Kept::load(folder, to)?;
    let mut heard = Heard::of(&archive, &market, to, &folder.auctions)?;
    heard.add_receipts(&folder.auctions, kept.by_hash.values());
    heard.add_payments(&folder.auctions, kept.by_hash.values());
    let native = folder.auctions.native;
    let (taken, values) = folder.liquidations(to);
    let mut natives: BTreeMap<u64, Usd8> = BTreeMap::new();
    let mut liquidated: BTreeMap<u64, Vec<B256>> = BTreeMap::new();
    for one in taken {
        let row = values.row(market.as_str(), one);
        let trigger = triggers.get(&(one.block, one.log_index)).copied();
        let happened = Liquidated {
            market: market.to_string(),
            user: one.seizure.call.user,
            liquidator: one.seizure.call.liquidator,
            collateral: one.seizure.call.collateral,
            debt: one.seizure.call.debt,
            trigger: trigger.unwrap_or(Trigger::Unknown(Untold::Source)),
            value: value(&row),
            gas_wei: kept.by_hash.get(&one.transaction).and_then(Transaction::fees),
        };
        let place = Place {
            transaction_index: one.transaction_index,
            log_index: Some(one.log_index),
            transaction: one.transaction,
        };
        heard.add((one.block, one.time), place, Happened::Liquidated(Box::new(happened)));
        liquidated.entry(one.block).or_default().push(one.transaction);
        let usd = native.filter(|_| values.definition.base_is_usd && values.definition.base_unit == USD8_UNIT);
        let price = usd.and_then(|native| valued::price(values.reads, one.oracle, native, one.block));
        natives.extend(price.and_then(usd8).map(|price| (one.block, price)));
    }
    let chain = values.definition.chain;
    let is_whole = |number: u64| {
        liquidated.get(&number).is_some_and(|hashes| {
            hashes.iter().all(|hash| kept.by_hash.get(hash).is_some_and(|transaction| transaction.why.liquidation))
        })
    };
    Ok(heard
        .into_blocks()
        .map(|(number, time, happened)| Block {
            chain,
            number,
            time,
            fee_recipient: kept.fee_recipients.get(&number).copied().unwrap_or_default(),
            native_usd: natives.get(&number).copied(),
            is_whole: is_whole(number),
            happened,
        })
        .collect())
}

/// The transactions on file.
struct Kept {
    by_hash: BTreeMap<B256, Transaction>,
    fee_recipients: BTreeMap<u64, Address>,
}

impl Kept {
    fn load(folder: &Folder, to: u64) -> anyhow::Result<Self> {
        let all = transactions::load(&folder.archive, folder.market(), 0, to)?;
        let fee_recipients = all.iter().map(|one| (one.block, one.fee_recipient)).collect();
        Ok(Self { by_hash: all.into_iter().map(|one| (one.hash, one)).collect(), fee_recipients })
    }
}

fn usd8(price: U256) -> Option<Usd8> {
    i128::try_from(u128::try_from(price).ok()?).ok().map(Usd8)
}

/// What a liquidation was worth: what was seized is what the liquidator got and the treasury's fee.
fn value(row: &Synced) -> Option<Value> {
    let usd = |leg: &Option<protocol::liquidation::Leg>| leg.as_ref().and_then(|leg| leg.usd);
    let protocol_fee = row.liquidation.protocol_fee?;
    let collateral = usd(&row.liquidation.collateral)?.checked_add(protocol_fee)?;
    let debt = usd(&row.liquidation.debt)?;
    Some(Value { collateral, debt, bonus: collateral.checked_sub(debt)?, protocol_fee, standing: row.usd_standing? })
}

/// What made each liquidation possible, by block and place of its log: another fold over the market, which knows beforehand where
/// liquidations are.
fn told(folder: &mut Folder, to: u64) -> anyhow::Result<Told> {
    let (wiring, sources) = prices::wiring(folder, to)?;
    let feeds = held_feeds(folder.reads());
    let below =
        sources.iter().map(|source| (*source, feeds.below(*source).into_iter().map(|(feed, _)| feed).collect()));
    let (taken, values) = folder.liquidations(to);
    let (asked, blocks) = (asked(values.reads, taken), taken.iter().map(|one| one.block).collect());
    let known = Known {
        wiring,
        below: below.collect(),
        steady: sources.iter().copied().filter(|source| !feeds.moves_without_logs(*source)).collect(),
        asked,
        blocks,
    };
    let mut again = Folder::new(&folder.archive, folder.market(), &folder.definition)?;
    again.triggers = Some(Box::new(Triggers::new(folder.definition.addresses_provider, known)));
    again.advance_for_liquidations(to)?;
    Ok(again.triggers.take().map_or_else(Told::default, |triggers| triggers.finish()))
}

/// What the oracle that the next liquidation saw answered about assets at the ends of blocks.
fn asked(known: &Reads, taken: &[Taken]) -> BTreeMap<(Address, u64), U256> {
    let oracles: BTreeMap<u64, Address> = taken.iter().map(|one| (one.block, one.oracle)).collect();
    let selector = reads::call(reads::PRICE, &[]);
    let is_price = |key: &&ReadKey| key.data.len() == 36 && key.data.starts_with(&selector);
    let of_oracle = |key: &&ReadKey| oracles.range(key.block..).next().is_some_and(|(_, oracle)| *oracle == key.target);
    let keys = known.iter().map(|(key, _)| key).filter(is_price).filter(of_oracle);
    keys.filter_map(|key| {
        let asset = Address::from_slice(&key.data[16..]);
        let price = valued::price(known, key.target, asset, key.block)?;
        debug_assert_eq!(*key, price_key(key.target, asset, key.block));
        Some(((asset, key.block), price))
    })
    .collect()
}

/// A row as the archive keeps it.
pub(crate) fn kept(row: &Row) -> Recaptured {
    let worth = |value: Value| Worth {
        collateral: value.collateral,
        debt: value.debt,
        bonus: value.bonus,
        protocol_fee: value.protocol_fee,
        standing: value.standing,
    };
    Recaptured {
        block: row.block,
        time: row.time,
        transaction: row.place.transaction,
        transaction_index: row.place.transaction_index,
        log_index: row.place.log_index.unwrap_or(0),
        user: row.user,
        liquidator: row.liquidator,
        collateral: row.collateral,
        debt: row.debt,
        aggregator: row.aggregator,
        route: row.route.word().to_owned(),
        why: row.why.map(|why| why_word(why).to_owned()),
        worth: row.value.map(worth),
        native: row.native_usd,
        gas: row.gas_wei,
        bid: row.bid_wei.map(|bid| (bid.value, bid.standing)),
        builder: row.builder_wei.map(|builder| (builder.value, builder.standing)),
        recaptured: row.recaptured_wei,
        protocol: row.protocol_wei,
        network: row.network_wei,
        shared_by: row.shared_by,
        payment: row.payment.map(|place| (place.transaction, place.transaction_index)),
    }
}

/// The word in the column `why`.
const fn why_word(why: Untold) -> &'static str {
    match why {
        Untold::Price => "a price is not known",
        Untold::Since => "it could be liquidated as far back as was looked",
        Untold::Source => "the source does not say",
        Untold::Aggregator => "nothing was seen of its aggregator",
        Untold::Round => "its round is not held",
        Untold::Unseen => "its round is not known to have been visible by the cutoff",
        Untold::Payer => "another payer paid behind it",
        Untold::Contradiction => "its payment contradicts itself",
    }
}
