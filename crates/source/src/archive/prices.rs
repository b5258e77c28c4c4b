//! The table `prices` of a synced market: what its oracle says of each asset, from each place on at which that changed.
//!
//! Like [`synced`](super::synced) it is derived from logs and answers and made anew from them at any time: one file, replaced whole.
//!
//! A row holds from its log on (`log_index`), or at the end of its block where there is none. What stands in a feed's log holds until
//! the next row of its asset; what a call answered holds at the end of its block alone, and until the next row nothing is known
//! but that. A row without a price says that it is not known from there on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    Decimal128Builder, FixedSizeBinaryBuilder, PrimitiveBuilder, StringDictionaryBuilder, TimestampMicrosecondBuilder,
    UInt8Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayAccessor as _, ArrayRef, Decimal128Array, DictionaryArray, RecordBatch, StringArray,
    TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use protocol::Address;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;

use super::cells::{self, Columns};
use super::scan::damaged;
use super::{Archive, DataFile, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};

/// The one file's name.
const FILE_NAME: &str = "prices.parquet";

/// Rows handed to the file at a time.
const BATCH_ROWS: usize = 8_192;

/// The columns, in order: `price_raw` is the oracle's integer with `price_decimals` decimals, counted in `base`; `source` is whom
/// the oracle asks, and `known_by` and `standing` say how the price is known. `time` is the
/// block's, where a log about prices stands in it.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Arc::new(Schema::new(vec![
        Field::new("block", DataType::UInt64, false),
        Field::new("time", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("log_index", DataType::UInt32, true),
        cells::bytes("asset", 20, false),
        Field::new("price_raw", DataType::Decimal128(38, 0), true),
        Field::new("price_decimals", DataType::UInt8, false),
        Field::new("base", word(), false),
        cells::bytes("source", 20, true),
        Field::new("known_by", word(), true),
        Field::new("standing", word(), true),
    ]))
});

/// By what a price is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KnownBy {
    /// It is the answer in a feed's log, which the source hands on.
    Feed,
    /// The asset is what prices are counted in.
    BaseCurrency,
    /// The oracle was asked at the end of the block.
    Call,
}

impl KnownBy {
    const ALL: [Self; 3] = [Self::Feed, Self::BaseCurrency, Self::Call];

    /// The word in the column `known_by`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::BaseCurrency => "base currency",
            Self::Call => "call",
        }
    }

    /// How sure it is.
    #[must_use]
    pub const fn standing(self) -> Standing {
        match self {
            Self::Feed | Self::BaseCurrency => Standing::Exact,
            Self::Call => Standing::Observed,
        }
    }
}

/// What an asset costs from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The block.
    pub block: u64,
    /// Its time; `None` where no log about prices stands in it: how the logs lie in files must not show in this table.
    pub time: Option<TimeUs>,
    /// The log from which on it holds; `None` at the end of the block.
    pub log_index: Option<u32>,
    /// The asset.
    pub asset: Address,
    /// Where the oracle gets the price; `None` where it has no source.
    pub source: Option<Address>,
    /// The oracle's integer and by what it is known; `None` where it is not known from here on.
    pub price: Option<(u128, KnownBy)>,
}

impl Row {
    /// The order of rows: by block, and by log within it.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        (self.block, self.log_index.map_or(u64::MAX, u64::from))
    }
}

/// What the file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The chain.
    pub chain: ChainId,
    /// The first block of the logs it is made from.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// [`state_of`](super::synced::state_of) the logs it was made from.
    pub made_from: String,
    /// Decimals of prices.
    pub decimals: u8,
    /// What prices are counted in, in a word.
    pub base: &'static str,
}

/// The table on its way into the archive. Dropped without [`Making::publish`], it leaves nothing.
#[derive(Debug)]
pub struct Making {
    file: PendingFile,
    label: Label,
    market: MarketName,
    waiting: Vec<Row>,
    standing: Standing,
    priced: u64,
}

impl Making {
    /// Begins a market's table.
    ///
    /// # Errors
    /// The archive cannot be written.
    pub fn begin(writer: &Writer, market: &MarketName, label: Label) -> Result<Self> {
        let folder = writer.archive().synced_folder(market);
        let properties = cells::as_differences(cells::compressed(262_144), &["block", "time"]).build();
        let file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
        let (market, waiting) = (market.clone(), Vec::with_capacity(BATCH_ROWS));
        Ok(Self { file, label, market, waiting, standing: Standing::Exact, priced: 0 })
    }

    /// Appends a row; rows come in the order of [`Row::place`].
    ///
    /// # Errors
    /// The disk refuses.
    pub fn push(&mut self, row: Row) -> Result<()> {
        if let Some((_, by)) = row.price {
            self.standing = self.standing.max(by.standing());
            self.priced += 1;
        }
        self.waiting.push(row);
        if self.waiting.len() == BATCH_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        let batch = batch_of(&self.waiting, &self.label);
        self.waiting.clear();
        self.file.write(&batch.map_err(|cause| Error::arrow(std::path::Path::new(FILE_NAME), &cause))?)
    }

    /// Gives the table its name, replacing the one on file in one step. The same rows give the same bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn publish(mut self) -> Result<PathBuf> {
        self.write()?;
        let Label { chain, from, to, made_from, .. } = self.label;
        let notes = BTreeMap::from([
            ("market".to_owned(), self.market.to_string()),
            ("made_from".to_owned(), made_from),
            ("priced".to_owned(), self.priced.to_string()),
            ("origin".to_owned(), "logs of the chain's price feeds; what the market's oracle answered".to_owned()),
        ]);
        let span = Span::Blocks { chain, from, to, complete: None };
        let footer = Footer { table: Table::Prices, standing: self.standing, span, notes };
        self.file.publish(&footer, FILE_NAME)
    }
}

type Words = StringDictionaryBuilder<Int32Type>;

fn batch_of(rows: &[Row], label: &Label) -> std::result::Result<RecordBatch, arrow_schema::ArrowError> {
    let (mut blocks, mut log_indexes) = (UInt64Builder::new(), UInt32Builder::new());
    let mut times = TimestampMicrosecondBuilder::new().with_timezone("UTC");
    let (mut assets, mut sources) = (FixedSizeBinaryBuilder::new(20), FixedSizeBinaryBuilder::new(20));
    let mut prices: Decimal128Builder = PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 0));
    let (mut decimals, mut bases) = (UInt8Builder::new(), Words::new());
    let (mut known_by, mut standings) = (Words::new(), Words::new());
    for row in rows {
        blocks.append_value(row.block);
        times.append_option(row.time.map(|time| time.0));
        log_indexes.append_option(row.log_index);
        assets.append_value(row.asset).expect("an address has 20 bytes");
        match row.source {
            Some(source) => sources.append_value(source).expect("an address has 20 bytes"),
            None => sources.append_null(),
        }
        let price = row.price.and_then(|(price, by)| Some((digits(price)?, by)));
        prices.append_option(price.map(|(price, _)| price));
        decimals.append_value(label.decimals);
        bases.append_value(label.base);
        known_by.append_option(price.map(|(_, by)| by.word()));
        standings.append_option(price.map(|(_, by)| by.standing().word()));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(blocks.finish()),
        Arc::new(times.finish()),
        Arc::new(log_indexes.finish()),
        Arc::new(assets.finish()),
        Arc::new(prices.finish()),
        Arc::new(decimals.finish()),
        Arc::new(bases.finish()),
        Arc::new(sources.finish()),
        Arc::new(known_by.finish()),
        Arc::new(standings.finish()),
    ];
    RecordBatch::try_new(SCHEMA.clone(), columns)
}

/// What a column of 38 digits can hold.
fn digits(price: u128) -> Option<i128> {
    protocol::amount::Raw::new(price).and_then(|raw| i128::try_from(raw.units()).ok())
}

/// The table of a market, if it was made.
///
/// # Errors
/// It is unreadable, or not what its place says.
pub fn file(archive: &Archive, market: &MarketName) -> Result<Option<DataFile>> {
    let path = archive.synced_folder(market).join(FILE_NAME);
    if !path.exists() {
        return Ok(None);
    }
    let file = DataFile::open(path)?;
    file.expect_to_be(market, Table::Prices, FILE_NAME)?;
    Ok(Some(file))
}

/// The last block of the logs that a table was made from, and the state they were in.
#[must_use]
pub fn made_from(file: &DataFile) -> Option<(u64, &str)> {
    Some((file.blocks()?.1, file.footer.note("made_from")?))
}

/// Reads a table row by row, in order.
///
/// # Errors
/// The file is damaged, or `take` fails.
pub fn each(file: &DataFile, mut take: impl FnMut(Row)) -> Result<()> {
    for chunk in Scan::of_all().chunks(std::slice::from_ref(file)) {
        for batch in chunk.read()? {
            read_batch(Columns { path: &file.path, batch: &batch? }, &mut take)?;
        }
    }
    Ok(())
}

fn read_batch(columns: Columns<'_>, take: &mut impl FnMut(Row)) -> Result<()> {
    let bad = |what: &str| damaged(columns.path, what);
    let (block, log_index) = (columns.full::<UInt64Array>("block")?, columns.get::<UInt32Array>("log_index")?);
    let time = columns.get::<TimestampMicrosecondArray>("time")?;
    let asset = columns.full_bytes::<20>("asset")?;
    let (has_source, source) = columns.bytes::<20>("source")?;
    let price = columns.get::<Decimal128Array>("price_raw")?;
    let known_by = columns.get::<DictionaryArray<Int32Type>>("known_by")?.downcast_dict::<StringArray>();
    let known_by = known_by.ok_or_else(|| bad("its column known_by is of another type"))?;
    for (row, asset) in asset.iter().enumerate() {
        let price = if price.is_null(row) {
            None
        } else {
            let by = KnownBy::ALL.into_iter().find(|by| !known_by.is_null(row) && by.word() == known_by.value(row));
            let by = by.ok_or_else(|| bad("a price that is known by nothing"))?;
            Some((u128::try_from(price.value(row)).map_err(|_| bad("a price below zero"))?, by))
        };
        take(Row {
            block: block.value(row),
            time: (!time.is_null(row)).then(|| TimeUs(time.value(row))),
            log_index: (!log_index.is_null(row)).then(|| log_index.value(row)),
            asset: Address::new(*asset),
            source: (!has_source.is_null(row)).then(|| Address::new(source[row])),
            price,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::archive::logs::tests::{CHAIN, place};

    fn rows() -> impl Strategy<Value = Vec<Row>> {
        let price = (0..10_u128.pow(38), 0..3_usize).prop_map(|(price, by)| (price, KnownBy::ALL[by]));
        let place = (0..5_u64, prop::option::of(0..4_i64), prop::option::of(0..9_u32));
        let of = (any::<u8>(), prop::option::of(any::<u8>()));
        let row =
            (place, of, prop::option::of(price)).prop_map(|((block, time, log_index), (asset, source), price)| Row {
                block,
                time: time.map(|time| TimeUs(time * 1_000_000)),
                log_index,
                asset: Address::repeat_byte(asset),
                source: source.map(Address::repeat_byte),
                price,
            });
        prop::collection::vec(row, 0..40)
    }

    fn label() -> Label {
        Label { chain: CHAIN, from: 0, to: 9, made_from: "9 logs".to_owned(), decimals: 8, base: "usd" }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn what_is_written_is_read_and_is_the_same_bytes_again(rows in rows()) {
            let place = place();
            let mut before: Option<Vec<u8>> = None;
            for _ in 0..2 {
                let mut making = Making::begin(&place.writer, &place.market, label()).unwrap();
                rows.iter().for_each(|row| making.push(*row).unwrap());
                let bytes = std::fs::read(making.publish().unwrap()).unwrap();
                prop_assert!(before.replace(bytes.clone()).is_none_or(|before| before == bytes));
            }
            let file = file(&place.archive, &place.market).unwrap().unwrap();
            prop_assert_eq!(made_from(&file), Some((9, "9 logs")));
            let weakest = rows.iter().filter_map(|row| Some(row.price?.1.standing())).max();
            prop_assert_eq!(file.footer.standing, weakest.unwrap_or(Standing::Exact));
            let mut read = Vec::new();
            each(&file, |row| read.push(row)).unwrap();
            prop_assert_eq!(read, rows);
        }
    }

    #[test]
    fn a_table_of_another_market_is_refused_and_one_that_was_never_made_is_none() {
        let place = place();
        assert!(file(&place.archive, &place.market).unwrap().is_none());
        Making::begin(&place.writer, &place.market, label()).unwrap().publish().unwrap();
        let other = MarketName::new("other").unwrap();
        let folder = place.archive.synced_folder(&other);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(place.archive.synced_folder(&place.market).join(FILE_NAME), folder.join(FILE_NAME)).unwrap();
        let said = file(&place.archive, &other).unwrap_err().to_string();
        assert!(said.contains("another market"), "{said}");
    }
}
