//! The table `positions`: who holds and owes what at one moment, one row per side of an account's position.
//!
//! Columns of amounts are as in [`super::liquidations`], without a prefix; `side` says whether they are `collateral` or `debt`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    FixedSizeBinaryBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use protocol::Address;
use protocol::chain::ChainId;
use protocol::liquidation::{Leg, Version};
use protocol::standing::Standing;
use protocol::time::TimeUs;

use super::liquidations::{LegColumns, leg_fields};
use super::{DatasetName, Footer, PendingFile, Span, Table, Writer};
use crate::error::{Error, Result};

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let mut fields = vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("chain_id", DataType::UInt64, false),
        Field::new("market", word(), false),
        Field::new("version", word(), true),
        Field::new("user", DataType::FixedSizeBinary(20), false),
        Field::new("side", word(), false),
    ];
    fields.extend(leg_fields(""));
    fields.push(Field::new("liquidation_threshold_bps", DataType::UInt32, true));
    fields.push(Field::new("liquidation_bonus_bps", DataType::UInt32, true));
    fields.push(Field::new("standing", word(), false));
    Arc::new(Schema::new(fields))
});

/// One side of an account's position.
#[derive(Debug, Clone)]
pub struct Row {
    /// The chain.
    pub chain: ChainId,
    /// The market.
    pub market: Arc<str>,
    /// The protocol's version, where known.
    pub version: Option<Version>,
    /// The account.
    pub user: Address,
    /// Whether it is owed rather than held.
    pub is_debt: bool,
    /// What, how much, and what it is worth.
    pub leg: Leg,
    /// The liquidation threshold in hundredths of a per cent, of collateral where it is known.
    pub threshold_bps: Option<u16>,
    /// One hundred per cent and the liquidation bonus in hundredths of a per cent, likewise.
    pub bonus_bps: Option<u16>,
}

/// Writes the positions of a moment as one file of a dataset, replacing what was on file for that moment.
///
/// # Errors
/// The archive cannot be written.
pub fn record(
    writer: &Writer,
    dataset: &DatasetName,
    (origin, standing): (&str, Standing),
    time: TimeUs,
    rows: &[Row],
) -> Result<PathBuf> {
    let folder = writer.archive().folder(dataset, Table::Positions);
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
    for some in rows.chunks(16_384) {
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns(time, standing, some));
        file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
    }
    let notes = BTreeMap::from([("dataset".to_owned(), dataset.to_string()), ("origin".to_owned(), origin.to_owned())]);
    let footer = Footer { table: Table::Positions, standing, span: Span::Times { from: time, to: time }, notes };
    file.publish(&footer, &format!("{}.parquet", footer.span.file_stem()))
}

fn columns(time: TimeUs, standing: Standing, rows: &[Row]) -> Vec<ArrayRef> {
    type Words = StringDictionaryBuilder<Int32Type>;
    let mut times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut chains, mut users) = (UInt64Builder::new(), FixedSizeBinaryBuilder::new(20));
    let (mut markets, mut versions, mut sides, mut standings) =
        (Words::new(), Words::new(), Words::new(), Words::new());
    let (mut thresholds, mut bonuses) = (UInt32Builder::new(), UInt32Builder::new());
    let mut legs = LegColumns::default();
    for row in rows {
        times.append_value(time.0);
        chains.append_value(row.chain.0);
        markets.append_value(&row.market);
        versions.append_option(row.version.map(|version| version.word()));
        users.append_value(row.user).expect("an address has 20 bytes");
        sides.append_value(if row.is_debt { "debt" } else { "collateral" });
        legs.push(Some(&row.leg));
        thresholds.append_option(row.threshold_bps.map(u32::from));
        bonuses.append_option(row.bonus_bps.map(u32::from));
        standings.append_value(standing.word());
    }
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(times.finish()),
        Arc::new(chains.finish()),
        Arc::new(markets.finish()),
        Arc::new(versions.finish()),
        Arc::new(users.finish()),
        Arc::new(sides.finish()),
    ];
    columns.extend(legs.take());
    columns.push(Arc::new(thresholds.finish()));
    columns.push(Arc::new(bonuses.finish()));
    columns.push(Arc::new(standings.finish()));
    columns
}
