//! The table `liquidations`: one row per liquidation call.
//!
//! `*_raw` columns are the chain's integers in the token's smallest unit, `Decimal128(38,0)`; they are empty where the
//! source did not give an exact number, and `*_basis` says why. `*_amount` is the same in tokens, a float for eyes. USD is
//! `Decimal128(38,8)`. Addresses, hashes and keys are bytes.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    ArrayBuilder, Decimal128Builder, FixedSizeBinaryBuilder, Float64Builder, PrimitiveBuilder, StringDictionaryBuilder,
    TimestampMicrosecondBuilder, UInt8Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use protocol::amount::Usd8;
use protocol::liquidation::{Amount, Leg, Liquidation};
use protocol::standing::Standing;
use protocol::time::TimeUs;

use super::publish::{BackgroundFile, FinishedFile};
use super::{Footer, PendingFile, Span};
use crate::error;

/// Rows in a row group: the unit in which readers skip and share work.
const ROW_GROUP_ROWS: usize = 131_072;
/// Rows gathered before they are handed to the file.
const BATCH_ROWS: usize = 16_384;

/// How the identity of an event was established, and how far it can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyKind {
    /// By chain, transaction and log index: no two events share it.
    Log,
    /// By every identifying field the source has: two calls alike in all of them count once.
    Fields,
}

impl KeyKind {
    /// The word in the column `event_key_kind`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Fields => "fields",
        }
    }
}

/// The identity of an event, 16 bytes of a SHA-256.
pub type EventKey = [u8; 16];

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let usd = || DataType::Decimal128(38, 8);
    let mut fields = vec![
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("chain_id", DataType::UInt64, false),
        Field::new("market", word(), false),
        Field::new("version", word(), true),
        Field::new("block_number", DataType::UInt64, true),
        Field::new("tx_hash", DataType::FixedSizeBinary(32), true),
        Field::new("log_index", DataType::UInt32, true),
        Field::new("user", DataType::FixedSizeBinary(20), false),
        Field::new("liquidator", DataType::FixedSizeBinary(20), true),
    ];
    fields.extend(leg_fields("collateral_"));
    fields.extend(leg_fields("debt_"));
    fields.extend([
        Field::new("protocol_fee_usd", usd(), true),
        Field::new("standing", word(), false),
        Field::new("source_row", DataType::UInt64, false),
        Field::new("event_key", DataType::FixedSizeBinary(16), false),
        Field::new("event_key_kind", word(), false),
    ]);
    Arc::new(Schema::new(fields))
});

/// The columns of one side, each with a prefix to its name.
pub(super) fn leg_fields(prefix: &str) -> [Field; 7] {
    let word = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    [
        Field::new(format!("{prefix}symbol"), word.clone(), true),
        Field::new(format!("{prefix}address"), DataType::FixedSizeBinary(20), true),
        Field::new(format!("{prefix}decimals"), DataType::UInt8, true),
        Field::new(format!("{prefix}raw"), DataType::Decimal128(38, 0), true),
        Field::new(format!("{prefix}amount"), DataType::Float64, true),
        Field::new(format!("{prefix}basis"), word, true),
        Field::new(format!("{prefix}usd"), DataType::Decimal128(38, 8), true),
    ]
}

/// How the table is laid out in a file.
#[must_use]
pub fn properties() -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS));
    for ascending in ["time", "source_row"] {
        let column = ColumnPath::from(ascending);
        properties = properties
            .set_column_dictionary_enabled(column.clone(), false)
            .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
    }
    // Nearly every value is different, so a dictionary would be built and thrown away.
    for unique in [
        "tx_hash",
        "event_key",
        "collateral_raw",
        "debt_raw",
        "collateral_amount",
        "debt_amount",
        "collateral_usd",
        "debt_usd",
    ] {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(unique), false);
    }
    properties.build()
}

/// Turns liquidations into columns.
#[expect(missing_debug_implementations, reason = "Arrow's dictionary builder has none")]
pub struct Rows {
    time: TimestampMicrosecondBuilder,
    chain_id: UInt64Builder,
    market: Words,
    version: Words,
    block_number: UInt64Builder,
    tx_hash: FixedSizeBinaryBuilder,
    log_index: UInt32Builder,
    user: FixedSizeBinaryBuilder,
    liquidator: FixedSizeBinaryBuilder,
    collateral: LegColumns,
    debt: LegColumns,
    protocol_fee_usd: Decimal128Builder,
    standing: Words,
    source_row: UInt64Builder,
    event_key: FixedSizeBinaryBuilder,
    event_key_kind: Words,
}

type Words = StringDictionaryBuilder<Int32Type>;

impl Default for Rows {
    fn default() -> Self {
        Self {
            time: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            chain_id: UInt64Builder::new(),
            market: Words::new(),
            version: Words::new(),
            block_number: UInt64Builder::new(),
            tx_hash: FixedSizeBinaryBuilder::new(32),
            log_index: UInt32Builder::new(),
            user: FixedSizeBinaryBuilder::new(20),
            liquidator: FixedSizeBinaryBuilder::new(20),
            collateral: LegColumns::default(),
            debt: LegColumns::default(),
            protocol_fee_usd: usd_builder(),
            standing: Words::new(),
            source_row: UInt64Builder::new(),
            event_key: FixedSizeBinaryBuilder::new(16),
            event_key_kind: Words::new(),
        }
    }
}

/// A liquidation and what the table says about it besides.
#[derive(Debug, Clone)]
pub struct Row<'a> {
    /// When it happened.
    pub time: TimeUs,
    /// What happened.
    pub liquidation: &'a Liquidation,
    /// How its figures are known.
    pub standing: Standing,
    /// Its row in the source, counted from 1.
    pub source_row: u64,
    /// Its identity.
    pub key: EventKey,
    /// What the identity rests on.
    pub key_kind: KeyKind,
}

impl Rows {
    /// Appends a row.
    pub fn push(&mut self, row: &Row<'_>) {
        let liquidation = row.liquidation;
        self.time.append_value(row.time.0);
        self.chain_id.append_value(liquidation.chain.0);
        self.market.append_value(&liquidation.market);
        self.version.append_option(liquidation.version.map(|version| version.word()));
        self.block_number.append_option(liquidation.block);
        append_bytes(&mut self.tx_hash, liquidation.transaction.as_ref().map(|hash| hash.as_slice()));
        self.log_index.append_option(liquidation.log_index);
        append_bytes(&mut self.user, Some(liquidation.user.as_slice()));
        append_bytes(&mut self.liquidator, liquidation.liquidator.as_ref().map(|address| address.as_slice()));
        self.collateral.push(liquidation.collateral.as_ref());
        self.debt.push(liquidation.debt.as_ref());
        self.protocol_fee_usd.append_option(liquidation.protocol_fee.map(|usd| usd.0));
        self.standing.append_value(row.standing.word());
        self.source_row.append_value(row.source_row);
        append_bytes(&mut self.event_key, Some(&row.key));
        self.event_key_kind.append_value(row.key_kind.word());
    }

    /// How many rows are waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time.len()
    }

    /// Whether no row is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The waiting rows as columns; none wait afterwards.
    ///
    /// # Errors
    /// The columns do not fit the schema: a defect of this module.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.time.finish()),
            Arc::new(self.chain_id.finish()),
            Arc::new(self.market.finish()),
            Arc::new(self.version.finish()),
            Arc::new(self.block_number.finish()),
            Arc::new(self.tx_hash.finish()),
            Arc::new(self.log_index.finish()),
            Arc::new(self.user.finish()),
            Arc::new(self.liquidator.finish()),
        ];
        columns.extend(self.collateral.take());
        columns.extend(self.debt.take());
        columns.extend::<[ArrayRef; 5]>([
            Arc::new(self.protocol_fee_usd.finish()),
            Arc::new(self.standing.finish()),
            Arc::new(self.source_row.finish()),
            Arc::new(self.event_key.finish()),
            Arc::new(self.event_key_kind.finish()),
        ]);
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}

/// A file of this table on its way into the archive, fed row by row; another thread encodes and compresses it.
#[expect(missing_debug_implementations, reason = "Arrow's dictionary builder has none")]
pub struct RowsFile {
    rows: Rows,
    /// `None` once the disk refused and its reason was asked for.
    file: Option<BackgroundFile>,
    times: Option<(TimeUs, TimeUs)>,
    pushed: u64,
}

impl RowsFile {
    /// Begins a file in a folder of the archive.
    ///
    /// # Errors
    /// The folder or file cannot be made.
    pub fn create(folder: &Path) -> error::Result<Self> {
        let file = Some(BackgroundFile::create(folder, SCHEMA.clone(), properties())?);
        Ok(Self { rows: Rows::default(), file, times: None, pushed: 0 })
    }

    /// Appends a row.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn push(&mut self, row: &Row<'_>) -> error::Result<()> {
        let time = row.time;
        self.times = Some(self.times.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        self.pushed += 1;
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    /// Rows appended so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.pushed
    }

    /// The moments of the earliest and latest row, if there is a row.
    #[must_use]
    pub fn times(&self) -> Option<(TimeUs, TimeUs)> {
        self.times
    }

    /// What the rows appended so far cover.
    #[must_use]
    pub fn span(&self) -> Span {
        self.times.map_or(Span::Empty, |(from, to)| Span::Times { from, to })
    }

    /// Closes the file, still under its hidden name.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn finish(mut self, footer: &Footer) -> error::Result<FinishedFile> {
        self.flush()?;
        self.written()?.finish(footer)
    }

    fn flush(&mut self) -> error::Result<()> {
        let batch = self.rows.take().expect("the columns fit the schema they were made for");
        if self.file.as_ref().is_some_and(|file| file.write(batch)) { Ok(()) } else { self.written().map(drop) }
    }

    /// Waits for the file to be written.
    fn written(&mut self) -> error::Result<PendingFile> {
        self.file.take().expect("a file is waited for once, at its end or at the disk's refusal").join()
    }
}

/// The columns of one side, in the order of [`leg_fields`].
pub(super) struct LegColumns {
    symbol: Words,
    address: FixedSizeBinaryBuilder,
    decimals: UInt8Builder,
    raw: Decimal128Builder,
    amount: Float64Builder,
    basis: Words,
    usd: Decimal128Builder,
}

impl Default for LegColumns {
    fn default() -> Self {
        Self {
            symbol: Words::new(),
            address: FixedSizeBinaryBuilder::new(20),
            decimals: UInt8Builder::new(),
            raw: PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 0)),
            amount: Float64Builder::new(),
            basis: Words::new(),
            usd: usd_builder(),
        }
    }
}

impl LegColumns {
    pub(super) fn push(&mut self, leg: Option<&Leg>) {
        let token = leg.map(|leg| &leg.token);
        self.symbol.append_option(token.map(|token| &*token.symbol).filter(|symbol| !symbol.is_empty()));
        append_bytes(
            &mut self.address,
            token.and_then(|token| token.address.as_ref()).map(|address| address.as_slice()),
        );
        let decimals = token.and_then(|token| token.decimals);
        self.decimals.append_option(decimals);
        match leg.map_or(Amount::Missing, |leg| leg.amount) {
            Amount::Exact(raw) => {
                self.raw.append_value(raw.units().cast_signed());
                self.amount.append_option(decimals.map(|decimals| for_eyes(raw.units(), decimals)));
                self.basis.append_value("exact");
            }
            Amount::Inexact { tokens, why } => {
                self.raw.append_null();
                self.amount.append_value(tokens);
                self.basis.append_value(why.word());
            }
            Amount::Missing => {
                self.raw.append_null();
                self.amount.append_null();
                self.basis.append_null();
            }
        }
        self.usd.append_option(leg.and_then(|leg| leg.usd).map(|Usd8(usd)| usd));
    }

    pub(super) fn take(&mut self) -> [ArrayRef; 7] {
        [
            Arc::new(self.symbol.finish()),
            Arc::new(self.address.finish()),
            Arc::new(self.decimals.finish()),
            Arc::new(self.raw.finish()),
            Arc::new(self.amount.finish()),
            Arc::new(self.basis.finish()),
            Arc::new(self.usd.finish()),
        ]
    }
}

/// The nearest float to a number of tokens, for the column beside the exact one.
fn for_eyes(units: u128, decimals: u8) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "the exact number stands beside it")]
    let units = units as f64;
    units / 10_f64.powi(i32::from(decimals))
}

fn usd_builder() -> Decimal128Builder {
    PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 8))
}

fn append_bytes(builder: &mut FixedSizeBinaryBuilder, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => builder.append_value(bytes).expect("a key, hash or address has its column's width"),
        None => builder.append_null(),
    }
}
