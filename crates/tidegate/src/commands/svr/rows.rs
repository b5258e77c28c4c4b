//! Where liquidations and what was recaptured of them come from: somebody's record, or a synced market.

use std::path::Path;

use anyhow::{Context as _, bail};
use engine::recapture::rates::Record;
use engine::recapture::{Route, Row, Stray};
use protocol::B256;
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use source::archive::footer::TimeRange;
use source::archive::{Archive, DatasetName, Table, recaptures};

use crate::args::SvrSource;
use crate::market::recapture;
use crate::world::{Claim, World, found};

/// Liquidations of one source, by time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    /// What to call it.
    pub name: String,
    /// The liquidations.
    pub events: Vec<Event>,
    /// Payments that are in no row.
    pub strays: Vec<Stray>,
    /// What a reader of the figures must know.
    pub notes: Vec<String>,
}

/// One liquidation.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// What rates are made of.
    pub record: Record,
    /// Its transaction.
    pub transaction: Option<B256>,
    /// Whose position it was, as the source writes it.
    pub borrower: Option<String>,
    /// The row of the ledger, where chain logs tell it.
    pub row: Option<Box<Row>>,
}

/// The liquidations of a source.
pub(crate) fn rows(archive: &Path, source: &SvrSource) -> anyhow::Result<Rows> {
    let archive = Archive::at(archive)?;
    let range = crate::commands::time_range(source.from.as_deref(), source.to.as_deref())?;
    let dataset = dataset(&archive, source)?;
    let mut rows = if !recaptures::files(&archive, &dataset)?.is_empty() {
        imported(&archive, &dataset, &range)?
    } else if let Some(rows) = made_up(&archive, &dataset)? {
        rows
    } else {
        of_market(&archive, &dataset)?
    };
    let chains = source.chain.iter().map(|name| {
        ChainId::from_name(name).with_context(|| {
            let name = crate::text::printable(name);
            format!("--chain \"{name}\" is no chain this program knows by name; give its number")
        })
    });
    let chains: Vec<ChainId> = chains.collect::<anyhow::Result<_>>()?;
    rows.events.retain(|event| {
        let record = &event.record;
        let is_named = |market: &String| market.trim().eq_ignore_ascii_case(&record.market);
        range.from <= record.time
            && record.time < range.until
            && (chains.is_empty() || chains.contains(&record.chain))
            && (source.market.is_empty() || source.market.iter().any(is_named))
    });
    if rows.events.is_empty() {
        bail!("no liquidation in {dataset} matches; loosen the filters, or see what there is with `tidegate datasets`");
    }
    Ok(rows)
}

/// The dataset asked for, or the only one that holds recaptured bonuses.
fn dataset(archive: &Archive, source: &SvrSource) -> anyhow::Result<DatasetName> {
    if let Some(name) = &source.dataset {
        return Ok(DatasetName::new(name)?);
    }
    let mut found = Vec::new();
    for dataset in archive.datasets()? {
        if !recaptures::files(archive, &dataset)?.is_empty() {
            found.push(dataset);
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => bail!(
            "{}: this archive holds no record of recaptured bonuses; run `tidegate import recaptures FILE` first",
            archive.root().display()
        ),
        several => {
            let names: Vec<String> = several.iter().map(ToString::to_string).collect();
            bail!("several datasets hold recaptured bonuses ({}); name one with --dataset", names.join(", "))
        }
    }
}

/// What the chains of a made-up world tell.
fn made_up(archive: &Archive, dataset: &DatasetName) -> anyhow::Result<Option<Rows>> {
    let Some(claim) = Claim::of(&archive.files(dataset, Table::Liquidations)?) else { return Ok(None) };
    let world = World::made(claim.seed);
    let lived = world.lived();
    claim.check(&lived)?;
    let (rows, strays) = found::rows(&lived.told.blocks)?;
    let mut rows = of_ledger(&dataset.to_string(), rows, strays);
    rows.notes.push(format!("Made up from seed {}: rounds, bids and payments follow from it, and are told in blocks that attribution reads like any others.", world.seed));
    Ok(Some(rows))
}

/// What chain logs tell of a synced market.
fn of_market(archive: &Archive, dataset: &DatasetName) -> anyhow::Result<Rows> {
    if let Some(market) = archive.synced_market(dataset) {
        let Some(found) = recapture::of_market(archive, &market)? else {
            bail!(
                "{dataset} is a synced market, and behind none of its prices is a feed known that auctions are held for; \
                 `tidegate sync --market {dataset}` asks, and `tidegate import recaptures FILE` takes somebody's record"
            );
        };
        let strays = found.iter().flat_map(|found| found.strays.iter().cloned()).collect();
        let ledger = found.into_iter().flat_map(|found| found.rows).collect();
        return Ok(of_ledger(market.as_str(), ledger, strays));
    }
    let known: Vec<String> = archive.datasets()?.iter().map(ToString::to_string).collect();
    let known = if known.is_empty() {
        "it has none yet".to_owned()
    } else {
        format!("it has the datasets {}", known.join(", "))
    };
    bail!(
        "{}: there is no dataset {dataset} with recaptured bonuses in this archive; {known}",
        archive.root().display()
    );
}

/// How a recorded liquidation came about.
pub(crate) const fn route(row: &recaptures::Row) -> Route {
    match (row.routed, row.recaptured) {
        (true, Some(Usd8(1..))) => Route::Paid,
        (true, Some(_)) => Route::Unpaid,
        (true, None) => Route::PaymentUnknown,
        // A record says that no auction was held, not what made the liquidation possible.
        (false, _) => Route::NotAuctioned,
    }
}

fn imported(archive: &Archive, dataset: &DatasetName, range: &TimeRange) -> anyhow::Result<Rows> {
    let mut rows = Rows { name: dataset.to_string(), ..Rows::default() };
    let mut days = 0_u64;
    for row in recaptures::load(archive, dataset, range)? {
        days += u64::from(row.time_is_day);
        let route = route(&row);
        let paid = |usd: Option<Usd8>| usd.filter(|_| route == Route::Paid);
        rows.events.push(Event {
            record: Record {
                time: row.time,
                chain: row.chain,
                market: row.market,
                feed: None,
                route,
                searcher: row.searcher,
                volume: row.liquidated,
                bonus: row.bonus,
                protocol_fee: None,
                recaptured: paid(row.recaptured),
                protocol: paid(row.protocol),
                network: paid(row.network),
                standing: Standing::Imported,
            },
            transaction: row.transaction,
            borrower: row.borrower,
            row: None,
        });
    }
    if days > 0 {
        rows.notes.push(format!(
            "{} events of the dataset say the day alone, read as midnight UTC.",
            crate::text::count(days)
        ));
    }
    let above = rows
        .events
        .iter()
        .filter(|event| event.record.bonus.is_some() && event.record.recaptured > event.record.bonus)
        .count();
    if above > 0 {
        rows.notes.push(format!(
            "{} events recaptured more than the record's bonus; they are taken as they stand, and raise rates.",
            crate::text::count(above as u64)
        ));
    }
    let unread = rows.events.iter().filter(|event| event.record.route == Route::PaymentUnknown).count();
    if unread > 0 {
        rows.notes.push(format!("{unread} events were auctioned, and what they paid is not in the record."));
    }
    rows.notes.push(
        "The record says whether an auction was held, not what else made a liquidation possible: of those without, it is not known which missed one.".to_owned(),
    );
    Ok(rows)
}

/// What chain logs tell, as rows of the ledger in order.
fn of_ledger(name: &str, ledger: Vec<Row>, strays: Vec<Stray>) -> Rows {
    let event = |row: Row| Event {
        record: Record::of(&row),
        transaction: Some(row.place.transaction),
        borrower: Some(crate::text::address(&row.user.into_array())),
        row: Some(Box::new(row)),
    };
    Rows { name: name.to_owned(), events: ledger.into_iter().map(event).collect(), strays, notes: Vec::new() }
}

#[cfg(test)]
mod tests {
    use engine::recapture::facts::{Block, Happened, Liquidated, Path as Way, Place, Trigger, Value};
    use engine::recapture::{Ledger, Rules, Terms};
    use protocol::{Address, I256};

    use super::*;

    #[test]
    fn what_blocks_tell_becomes_events_with_bids_and_parts() {
        let feed = Address::repeat_byte(9);
        let liquidated = Happened::Liquidated(Box::new(Liquidated {
            market: "core".to_owned(),
            user: Address::repeat_byte(1),
            liquidator: Address::repeat_byte(2),
            collateral: Address::repeat_byte(3),
            debt: Address::repeat_byte(4),
            trigger: Trigger::Round { aggregator: feed, round: 1 },
            value: Some(Value {
                collateral: Usd8(105_000_000_000),
                debt: Usd8(100_000_000_000),
                bonus: Usd8(5_000_000_000),
                protocol_fee: Usd8(500_000_000),
                standing: Standing::Exact,
            }),
            gas_wei: None,
        }));
        let builder = Address::repeat_byte(5);
        let round =
            Happened::Round { aggregator: feed, round: 1, answer: I256::ONE, observed_at: 1, path: Way::Secondary };
        let payment = Happened::Payment { safe: Address::repeat_byte(6), from: builder, wei: 9_000_000_000_000_000 };
        let place = |transaction_index: u32, log_index| {
            let byte = u8::try_from(transaction_index).unwrap();
            Place { transaction_index, log_index, transaction: B256::repeat_byte(byte) }
        };
        let block = Block {
            chain: ChainId::ETHEREUM,
            number: 7,
            time: 1_760_000_000,
            fee_recipient: builder,
            native_usd: Some(Usd8(200_000_000_000)),
            is_whole: true,
            happened: vec![(place(1, Some(0)), round), (place(2, Some(1)), liquidated), (place(3, None), payment)],
        };
        let found = Ledger::new(Rules::default(), Terms::aave()).block(&block).unwrap();
        let rows = of_ledger("core", found.rows, found.strays);
        let total = super::super::fold(&rows, &[]).unwrap();
        // 0.009 of $2,000, of a bonus of $50; the bid was a tenth of it more.
        assert_eq!((total.total().recaptured, total.total().bonus), (1_800_000_000, 5_000_000_000));
        let table = super::super::tables::events(&rows, None);
        let cell = |name: &str| {
            let place = table.columns.iter().position(|column| column.name == name).unwrap();
            table.rows[0][place].clone()
        };
        use crate::table::Value as Cell;
        assert_eq!(cell("route"), Cell::Text("paid".to_owned()));
        assert_eq!(
            (cell("bid_usd"), cell("builder_usd")),
            (Cell::Usd(Usd8(2_000_000_000)), Cell::Usd(Usd8(200_000_000)))
        );
        assert_eq!(
            (cell("protocol_usd"), cell("network_usd")),
            (Cell::Usd(Usd8(1_170_000_000)), Cell::Usd(Usd8(630_000_000)))
        );
        assert_eq!((cell("standing"), cell("searcher_keeps_usd")), (Cell::Text("estimated".to_owned()), Cell::Missing));
        assert_eq!(cell("tx_hash"), Cell::Text(crate::text::hex(&[2; 32])));
    }
}
