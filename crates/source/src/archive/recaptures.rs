//! The table `recaptures`: one row per liquidation and what of its bonus somebody recorded as recaptured.
//!
//! US dollars are `Decimal128(38,8)`, native tokens `Decimal128(38,18)`. What the record does not say is empty, never zero.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, FixedSizeBinaryBuilder, StringBuilder, TimestampMicrosecondBuilder,
    UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, FixedSizeBinaryArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{Address, B256};

use super::cells::{Columns, as_differences, bytes, compressed, moment};
use super::{Archive, DataFile, DatasetName, Footer, PendingFile, Scan, Span, Table, TimeRange, Writer, rejects};
use crate::error::{Error, Result};
use crate::venue::Reject;

/// Decimals of `protocol_native`.
pub const NATIVE_DECIMALS: u8 = 18;

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let usd = |name| Field::new(name, DataType::Decimal128(38, 8), true);
    Arc::new(Schema::new(vec![
        moment("time"),
        Field::new("time_is_day", DataType::Boolean, false),
        Field::new("chain_id", DataType::UInt64, false),
        Field::new("market", DataType::Utf8, false),
        Field::new("borrower", DataType::Utf8, true),
        bytes("searcher", 20, true),
        bytes("tx_hash", 32, true),
        usd("liquidated_usd"),
        usd("bonus_usd"),
        Field::new("routed", DataType::Boolean, false),
        usd("recaptured_usd"),
        usd("protocol_usd"),
        usd("network_usd"),
        Field::new("protocol_native", DataType::Decimal128(38, 18), true),
        Field::new("source_row", DataType::UInt64, false),
    ]))
});

/// One liquidation, as somebody recorded it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// When; the beginning of its day where the record knows no more.
    pub time: TimeUs,
    /// Whether only the day is known.
    pub time_is_day: bool,
    /// The chain.
    pub chain: ChainId,
    /// The market.
    pub market: String,
    /// Whose position it was, as written, perhaps abbreviated.
    pub borrower: Option<String>,
    /// Who took it.
    pub searcher: Option<Address>,
    /// Its transaction.
    pub transaction: Option<B256>,
    /// What was liquidated, in US dollars.
    pub liquidated: Option<Usd8>,
    /// The bonus that could be taken, in US dollars.
    pub bonus: Option<Usd8>,
    /// Whether an auction was held for it.
    pub routed: bool,
    /// What was recaptured, in US dollars.
    pub recaptured: Option<Usd8>,
    /// The protocol's part.
    pub protocol: Option<Usd8>,
    /// The network's part.
    pub network: Option<Usd8>,
    /// The protocol's part in native tokens of 18 decimals.
    pub protocol_native: Option<i128>,
}

/// What became of rows that were to be kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Appended {
    /// Rows written.
    pub kept: u64,
    /// Rows that the dataset holds already.
    pub already_held: u64,
    /// The files that were written.
    pub files: Vec<PathBuf>,
}

/// Adds rows, each with its number in what it was read from, and rejects to a dataset. A row that the dataset holds already is not kept
/// twice.
///
/// # Errors
/// The archive cannot be read or written.
pub fn append(
    writer: &Writer,
    dataset: &DatasetName,
    notes: &BTreeMap<String, String>,
    rows: &[(u64, Row)],
    rejected: &[Reject],
) -> Result<Appended> {
    let held: BTreeSet<Row> = load(writer.archive(), dataset, &TimeRange::ALL)?.into_iter().collect();
    let mut new: Vec<&(u64, Row)> = rows.iter().filter(|(_, row)| !held.contains(row)).collect();
    new.sort_by_key(|numbered| (numbered.1.time, numbered.0));
    let mut appended = Appended { kept: new.len() as u64, ..Appended::default() };
    appended.already_held = rows.len() as u64 - appended.kept;
    // Rejects first: a file of rows whose rejects are missing would claim that there were none.
    let span = match (new.first(), new.last()) {
        (Some(first), Some(last)) => Span::Times { from: first.1.time, to: last.1.time },
        _ => Span::Empty,
    };
    let footer = |table| Footer { table, standing: Standing::Imported, span: span.clone(), notes: notes.clone() };
    if !rejected.is_empty() {
        let folder = writer.archive().folder(dataset, Table::Rejects);
        let mut file = PendingFile::create(&folder, rejects::SCHEMA.clone(), rejects::properties())?;
        let mut kept = rejects::Rows::default();
        for (place, reject) in rejected.iter().enumerate() {
            kept.push(place as u64 + 1, reject.reason, &reject.detail, Some(&reject.row));
        }
        file.write(&kept.take().map_err(|cause| Error::arrow(&folder, &cause))?)?;
        appended.files.push(publish(file, &footer(Table::Rejects))?);
    }
    if !new.is_empty() {
        let folder = writer.archive().folder(dataset, Table::Recaptures);
        let properties = as_differences(compressed(65_536), &["time", "source_row"]).build();
        let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
        for part in new.chunks(8_192) {
            let batch = RecordBatch::try_new(SCHEMA.clone(), columns(part));
            file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
        }
        appended.files.push(publish(file, &footer(Table::Recaptures))?);
    }
    Ok(appended)
}

fn publish(file: PendingFile, footer: &Footer) -> Result<PathBuf> {
    let finished = file.finish(footer)?;
    let name = format!("{}-{}.parquet", footer.span.file_stem(), finished.id()?);
    finished.publish(&name)
}

fn columns(rows: &[&(u64, Row)]) -> Vec<ArrayRef> {
    macro_rules! column {
        ($builder:expr, $row:ident => $value:expr) => {{
            let mut builder = $builder;
            for (_, $row) in rows {
                builder.append_option($value);
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    macro_rules! hashes {
        ($width:literal, $row:ident => $value:expr) => {{
            let mut builder = FixedSizeBinaryBuilder::new($width);
            for (_, $row) in rows {
                match $value {
                    Some(bytes) => builder.append_value(bytes).expect("its type has this many bytes"),
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    let decimals = |scale| Decimal128Builder::new().with_data_type(DataType::Decimal128(38, scale));
    let mut numbers = UInt64Builder::new();
    rows.iter().for_each(|(number, _)| numbers.append_value(*number));
    vec![
        column!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), row => Some(row.time.0)),
        column!(BooleanBuilder::new(), row => Some(row.time_is_day)),
        column!(UInt64Builder::new(), row => Some(row.chain.0)),
        column!(StringBuilder::new(), row => Some(&row.market)),
        column!(StringBuilder::new(), row => row.borrower.as_ref()),
        hashes!(20, row => row.searcher.as_ref()),
        hashes!(32, row => row.transaction.as_ref()),
        column!(decimals(8), row => row.liquidated.map(|usd| usd.0)),
        column!(decimals(8), row => row.bonus.map(|usd| usd.0)),
        column!(BooleanBuilder::new(), row => Some(row.routed)),
        column!(decimals(8), row => row.recaptured.map(|usd| usd.0)),
        column!(decimals(8), row => row.protocol.map(|usd| usd.0)),
        column!(decimals(8), row => row.network.map(|usd| usd.0)),
        column!(decimals(18), row => row.protocol_native),
        Arc::new(numbers.finish()),
    ]
}

/// The files of a dataset.
///
/// # Errors
/// A file is unreadable or of a later layout.
pub fn files(archive: &Archive, dataset: &DatasetName) -> Result<Vec<DataFile>> {
    archive.files_in(&archive.folder(dataset, Table::Recaptures), &TimeRange::ALL)
}

/// The rows of a dataset in a range of time, by time and then in the order of what they were read from.
///
/// # Errors
/// A file cannot be read or is damaged.
pub fn load(archive: &Archive, dataset: &DatasetName, range: &TimeRange) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for file in archive.files_in(&archive.folder(dataset, Table::Recaptures), range)? {
        for chunk in Scan::of_all().within(*range).chunks(std::slice::from_ref(&file)) {
            for batch in chunk.read()? {
                read(&Columns { path: &file.path, batch: &batch? }, &mut rows)?;
            }
        }
    }
    rows.retain(|row| range.from <= row.time && row.time < range.until);
    // Stable: rows of one moment stay in the order of their files and of what those were read from.
    rows.sort_by_key(|row| row.time);
    Ok(rows)
}

fn read(columns: &Columns<'_>, rows: &mut Vec<Row>) -> Result<()> {
    let times: &TimestampMicrosecondArray = columns.full("time")?;
    let days: &BooleanArray = columns.full("time_is_day")?;
    let chains: &UInt64Array = columns.full("chain_id")?;
    let markets: &StringArray = columns.full("market")?;
    let borrowers: &StringArray = columns.get("borrower")?;
    let routed: &BooleanArray = columns.full("routed")?;
    let (searchers, searcher_bytes) = columns.bytes::<20>("searcher")?;
    let (hashes, hash_bytes) = columns.bytes::<32>("tx_hash")?;
    let number = |name| columns.get::<Decimal128Array>(name);
    let (liquidated, bonus, recaptured) = (number("liquidated_usd")?, number("bonus_usd")?, number("recaptured_usd")?);
    let (protocol, network, native) = (number("protocol_usd")?, number("network_usd")?, number("protocol_native")?);
    let there = |array: &FixedSizeBinaryArray, row: usize| !array.is_null(row);
    for row in 0..times.len() {
        let whole = |array: &Decimal128Array| (!array.is_null(row)).then(|| array.value(row));
        let usd = |array: &Decimal128Array| whole(array).map(Usd8);
        rows.push(Row {
            time: TimeUs(times.value(row)),
            time_is_day: days.value(row),
            chain: ChainId(chains.value(row)),
            market: markets.value(row).to_owned(),
            borrower: (!borrowers.is_null(row)).then(|| borrowers.value(row).to_owned()),
            searcher: there(searchers, row).then(|| Address::from(searcher_bytes[row])),
            transaction: there(hashes, row).then(|| B256::from(hash_bytes[row])),
            liquidated: usd(liquidated),
            bonus: usd(bonus),
            routed: routed.value(row),
            recaptured: usd(recaptured),
            protocol: usd(protocol),
            network: usd(network),
            protocol_native: whole(native),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn rows()(
            (second, time_is_day, chain, routed) in (1_500_000_000_i64..1_900_000_000, any::<bool>(), 1_u64..9, any::<bool>()),
            (market, borrower) in ("\\PC{0,12}", prop::option::of("\\PC{0,12}")),
            (searcher, transaction) in (prop::option::of(any::<[u8; 20]>()), prop::option::of(any::<[u8; 32]>())),
            usd in prop::collection::vec(prop::option::of(0_i128..10_i128.pow(37)), 5),
            protocol_native in prop::option::of(0_i128..10_i128.pow(37)),
        ) -> Row {
            let usd: Vec<Option<Usd8>> = usd.into_iter().map(|usd| usd.map(Usd8)).collect();
            Row {
                time: TimeUs(second * 1_000_000),
                time_is_day,
                chain: ChainId(chain),
                market,
                borrower,
                searcher: searcher.map(Address::from),
                transaction: transaction.map(B256::from),
                liquidated: usd[0],
                bonus: usd[1],
                routed,
                recaptured: usd[2],
                protocol: usd[3],
                network: usd[4],
                protocol_native,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_kept_comes_back_once(first in prop::collection::vec(rows(), 1..20), more in prop::collection::vec(rows(), 0..20)) {
            let folder = tempfile::tempdir().unwrap();
            let archive = Archive::at(folder.path()).unwrap();
            let dataset = DatasetName::new("compound").unwrap();
            let writer = Writer::open(&archive).unwrap();
            let numbered = |rows: &[Row]| (1..).zip(rows.iter().cloned()).collect::<Vec<_>>();
            append(&writer, &dataset, &BTreeMap::new(), &numbered(&first), &[]).unwrap();
            let both: Vec<Row> = first.iter().chain(&more).cloned().collect();
            let appended = append(&writer, &dataset, &BTreeMap::new(), &numbered(&both), &[]).unwrap();
            prop_assert_eq!(appended.kept + appended.already_held, both.len() as u64);
            let mut expected = first.clone();
            expected.extend(more.iter().filter(|row| !first.contains(row)).cloned());
            let mut found = load(&archive, &dataset, &TimeRange::ALL).unwrap();
            expected.sort();
            found.sort();
            prop_assert_eq!(&found, &expected);
            let from = TimeUs(1_700_000_000_000_000);
            let later = load(&archive, &dataset, &TimeRange { from, until: TimeUs(i64::MAX) }).unwrap();
            prop_assert_eq!(later.len(), expected.iter().filter(|row| row.time >= from).count());
        }
    }
}
