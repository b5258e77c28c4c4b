//! The table `recaptures` of a synced market: what became of each liquidation's bonus.
//!
//! Like [`synced`](super::synced) it is derived from logs, kept transactions and answers and made anew from them at any time: one
//! file, replaced whole. What is not known is empty, never zero. A figure's standing stands beside it; amounts in `*_wei` that have no
//! standing beside them are exact, but for `protocol_wei` and `network_wei`: those are an assumed split of `recaptured_wei`, as the footer
//! says.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    Decimal128Builder, FixedSizeBinaryBuilder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, B256};

use super::cells::{self, Columns};
use super::scan::damaged;
use super::{Archive, DataFile, Footer, MarketName, PendingFile, Scan, Span, Table, Writer};
use crate::error::{Error, Result};

/// The one file's name.
const FILE_NAME: &str = "recaptures.parquet";

/// Rows handed to the file at a time.
const BATCH_ROWS: usize = 8_192;

/// The largest number of wei a column can hold: 38 digits.
const MOST_WEI: u128 = 10_u128.pow(38) - 1;

/// The columns, in order.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let usd = |name| Field::new(name, DataType::Decimal128(38, 8), true);
    let wei = |name| Field::new(name, DataType::Decimal128(38, 0), true);
    let word = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("block", DataType::UInt64, false),
        cells::moment("time"),
        cells::bytes("transaction", 32, false),
        Field::new("transaction_index", DataType::UInt32, false),
        Field::new("log_index", DataType::UInt64, false),
        cells::bytes("user", 20, false),
        cells::bytes("liquidator", 20, false),
        cells::bytes("collateral", 20, false),
        cells::bytes("debt", 20, false),
        cells::bytes("aggregator", 20, true),
        Field::new("route", DataType::Utf8, false),
        word("why"),
        usd("collateral_usd"),
        usd("debt_usd"),
        usd("bonus_usd"),
        usd("protocol_fee_usd"),
        word("usd_standing"),
        usd("native_usd"),
        wei("gas_wei"),
        wei("bid_wei"),
        word("bid_standing"),
        wei("builder_wei"),
        word("builder_standing"),
        wei("recaptured_wei"),
        wei("protocol_wei"),
        wei("network_wei"),
        Field::new("shared_by", DataType::UInt32, true),
        cells::bytes("payment_transaction", 32, true),
        Field::new("payment_transaction_index", DataType::UInt32, true),
    ]))
});

/// What a liquidation was worth, in US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Worth {
    /// What was seized.
    pub collateral: Usd8,
    /// What was repaid.
    pub debt: Usd8,
    /// The gross bonus.
    pub bonus: Usd8,
    /// The protocol's fee.
    pub protocol_fee: Usd8,
    /// How the weakest of these is known.
    pub standing: Standing,
}

/// A liquidation and what became of its bonus, as the engine's row has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recaptured {
    /// Its block.
    pub block: u64,
    /// The block's time in seconds since 1970.
    pub time: u64,
    /// Its transaction.
    pub transaction: B256,
    /// The transaction's place in the block.
    pub transaction_index: u32,
    /// Its log's place in the block.
    pub log_index: u64,
    /// Whose position it was.
    pub user: Address,
    /// Who took it.
    pub liquidator: Address,
    /// What was seized.
    pub collateral: Address,
    /// What was repaid.
    pub debt: Address,
    /// The aggregator whose round made it possible.
    pub aggregator: Option<Address>,
    /// How it came about, in a word.
    pub route: String,
    /// Why that is not known, in a word.
    pub why: Option<String>,
    /// What it was worth.
    pub worth: Option<Worth>,
    /// What a whole native token cost.
    pub native: Option<Usd8>,
    /// What its transaction cost its sender, in wei.
    pub gas: Option<u128>,
    /// What was bid, in wei, and how that is known.
    pub bid: Option<(u128, Standing)>,
    /// What the builder kept of it, likewise.
    pub builder: Option<(u128, Standing)>,
    /// What came to protocol and network, in wei.
    pub recaptured: Option<u128>,
    /// The protocol's part, in wei.
    pub protocol: Option<u128>,
    /// The network's part, in wei.
    pub network: Option<u128>,
    /// How many liquidations the bid was for.
    pub shared_by: Option<u32>,
    /// The transaction that paid and its place in the block.
    pub payment: Option<(B256, u32)>,
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
    /// Wei that came to safes and is in no row, and how many payments that were; what is more than 128 bits hold is the most they do.
    pub strays: (u64, u128),
}

/// Writes the table of a market, in the order given, replacing the one on file in one step. The same rows give the same bytes.
///
/// # Errors
/// A number of wei is beyond every supply, or the archive cannot be written.
pub fn publish(writer: &Writer, market: &MarketName, label: &Label, rows: &[Recaptured]) -> Result<PathBuf> {
    let folder = writer.archive().synced_folder(market);
    let properties = cells::as_differences(cells::compressed(65_536), &["block", "time"]).build();
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), properties)?;
    for some in rows.chunks(BATCH_ROWS) {
        if let Some(row) = some.iter().find(|row| row.amounts().into_iter().flatten().any(|wei| wei > MOST_WEI)) {
            return Err(Error::Unfit {
                what: format!("the liquidation in transaction {} has more wei than there can be", row.transaction),
                advice: "what was read of its payment is wrong; read the block again from another endpoint".to_owned(),
            });
        }
        let batch = RecordBatch::try_new(SCHEMA.clone(), columns(some));
        file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
    }
    let (strays, wei) = label.strays;
    let notes = BTreeMap::from([
        ("market".to_owned(), market.to_string()),
        ("made_from".to_owned(), label.made_from.clone()),
        (
            "assumed".to_owned(),
            "protocol_wei and network_wei: how recaptured_wei is split, which no log tells".to_owned(),
        ),
        ("strays".to_owned(), strays.to_string()),
        ("strays_wei".to_owned(), wei.to_string()),
        (
            "origin".to_owned(),
            "logs of the chain, kept transactions and their receipts; prices as the market's oracle answered"
                .to_owned(),
        ),
    ]);
    let standings = rows.iter().flat_map(|row| {
        let figures = row.bid.iter().chain(&row.builder).map(|(_, standing)| *standing);
        figures.chain(row.worth.map(|worth| worth.standing))
    });
    let standing = standings.max().unwrap_or(Standing::Exact);
    let span = Span::Blocks { chain: label.chain, from: label.from, to: label.to, complete: None };
    file.publish(&Footer { table: Table::Recaptures, standing, span, notes }, FILE_NAME)
}

impl Recaptured {
    fn amounts(&self) -> [Option<u128>; 6] {
        let figure = |figure: Option<(u128, Standing)>| figure.map(|(wei, _)| wei);
        [self.gas, figure(self.bid), figure(self.builder), self.recaptured, self.protocol, self.network]
    }
}

fn columns(rows: &[Recaptured]) -> Vec<ArrayRef> {
    macro_rules! column {
        ($builder:expr, $row:ident => $value:expr) => {{
            let mut builder = $builder;
            for $row in rows {
                builder.append_option($value);
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    macro_rules! hashes {
        ($width:literal, $row:ident => $value:expr) => {{
            let mut builder = FixedSizeBinaryBuilder::new($width);
            for $row in rows {
                match $value {
                    Some(bytes) => builder.append_value(bytes).expect("its type has this many bytes"),
                    None => builder.append_null(),
                }
            }
            Arc::new(builder.finish()) as ArrayRef
        }};
    }
    let usd = || Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 8));
    let wei = || Decimal128Builder::new().with_data_type(DataType::Decimal128(38, 0));
    let whole = |wei: u128| i128::try_from(wei).ok();
    let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX).saturating_mul(SECOND_US);
    vec![
        column!(UInt64Builder::new(), row => Some(row.block)),
        column!(TimestampMicrosecondBuilder::new().with_timezone("UTC"), row => Some(seconds(row.time))),
        hashes!(32, row => Some(row.transaction)),
        column!(UInt32Builder::new(), row => Some(row.transaction_index)),
        column!(UInt64Builder::new(), row => Some(row.log_index)),
        hashes!(20, row => Some(row.user)),
        hashes!(20, row => Some(row.liquidator)),
        hashes!(20, row => Some(row.collateral)),
        hashes!(20, row => Some(row.debt)),
        hashes!(20, row => row.aggregator),
        column!(StringBuilder::new(), row => Some(&row.route)),
        column!(StringBuilder::new(), row => row.why.as_ref()),
        column!(usd(), row => row.worth.map(|worth| worth.collateral.0)),
        column!(usd(), row => row.worth.map(|worth| worth.debt.0)),
        column!(usd(), row => row.worth.map(|worth| worth.bonus.0)),
        column!(usd(), row => row.worth.map(|worth| worth.protocol_fee.0)),
        column!(StringBuilder::new(), row => row.worth.map(|worth| worth.standing.word())),
        column!(usd(), row => row.native.map(|native| native.0)),
        column!(wei(), row => row.gas.and_then(whole)),
        column!(wei(), row => row.bid.and_then(|(bid, _)| whole(bid))),
        column!(StringBuilder::new(), row => row.bid.map(|(_, standing)| standing.word())),
        column!(wei(), row => row.builder.and_then(|(kept, _)| whole(kept))),
        column!(StringBuilder::new(), row => row.builder.map(|(_, standing)| standing.word())),
        column!(wei(), row => row.recaptured.and_then(whole)),
        column!(wei(), row => row.protocol.and_then(whole)),
        column!(wei(), row => row.network.and_then(whole)),
        column!(UInt32Builder::new(), row => row.shared_by),
        hashes!(32, row => row.payment.map(|(transaction, _)| transaction)),
        column!(UInt32Builder::new(), row => row.payment.map(|(_, index)| index)),
    ]
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
    if file.footer.table != Table::Recaptures || file.footer.note("market") != Some(market.as_str()) {
        let what = format!("says it is not what became of bonuses in {market}");
        let advice = "somebody put it here or renamed it; delete it, and `tidegate rebuild` makes it anew";
        return Err(Error::BadFile { path: file.path, what, advice });
    }
    Ok(Some(file))
}

/// The rows of a table, in order.
///
/// # Errors
/// The file is damaged.
pub fn load(file: &DataFile) -> Result<Vec<Recaptured>> {
    let mut rows = Vec::new();
    for chunk in Scan::of_all().chunks(std::slice::from_ref(file)) {
        for batch in chunk.read()? {
            read(&Columns { path: &file.path, batch: &batch? }, &mut rows)?;
        }
    }
    Ok(rows)
}

/// A row of a batch, column by column.
struct Cells<'a> {
    columns: &'a Columns<'a>,
    row: usize,
}

impl Cells<'_> {
    fn bad(&self, what: &str) -> Error {
        damaged(self.columns.path, what.to_owned())
    }

    fn number(&self, name: &str) -> Result<Option<i128>> {
        let column: &Decimal128Array = self.columns.get(name)?;
        Ok((!column.is_null(self.row)).then(|| column.value(self.row)))
    }

    fn usd(&self, name: &str) -> Result<Option<Usd8>> {
        Ok(self.number(name)?.map(Usd8))
    }

    fn wei(&self, name: &str) -> Result<Option<u128>> {
        let number = self.number(name)?;
        number.map(|wei| u128::try_from(wei).map_err(|_| self.bad("an amount below nothing"))).transpose()
    }

    fn small(&self, name: &str) -> Result<Option<u32>> {
        let column: &UInt32Array = self.columns.get(name)?;
        Ok((!column.is_null(self.row)).then(|| column.value(self.row)))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let column: &StringArray = self.columns.get(name)?;
        Ok((!column.is_null(self.row)).then(|| column.value(self.row).to_owned()))
    }

    fn bytes<const N: usize>(&self, name: &str) -> Result<Option<[u8; N]>> {
        let (column, bytes) = self.columns.bytes::<N>(name)?;
        Ok((!column.is_null(self.row)).then(|| bytes[self.row]))
    }

    fn address(&self, name: &str) -> Result<Address> {
        Ok(Address::new(self.columns.full_bytes::<20>(name)?[self.row]))
    }

    fn standing(&self, name: &str) -> Result<Option<Standing>> {
        let word = self.text(name)?;
        word.map(|word| Standing::from_word(&word).ok_or_else(|| self.bad("a standing that is none"))).transpose()
    }

    /// A figure and how it is known, which is said of every one that is there.
    fn figure(&self, name: &str, standing: &str) -> Result<Option<(u128, Standing)>> {
        match (self.wei(name)?, self.standing(standing)?) {
            (None, None) => Ok(None),
            (Some(wei), Some(standing)) => Ok(Some((wei, standing))),
            _ => Err(self.bad("a figure without a standing, or the other way round")),
        }
    }

    fn worth(&self) -> Result<Option<Worth>> {
        let [collateral, debt, bonus, protocol_fee] =
            [self.usd("collateral_usd")?, self.usd("debt_usd")?, self.usd("bonus_usd")?, self.usd("protocol_fee_usd")?];
        match (collateral, debt, bonus, protocol_fee, self.standing("usd_standing")?) {
            (Some(collateral), Some(debt), Some(bonus), Some(protocol_fee), Some(standing)) => {
                Ok(Some(Worth { collateral, debt, bonus, protocol_fee, standing }))
            }
            (None, None, None, None, None) => Ok(None),
            _ => Err(self.bad("a value that is there in part")),
        }
    }
}

fn read(columns: &Columns<'_>, rows: &mut Vec<Recaptured>) -> Result<()> {
    let blocks: &UInt64Array = columns.full("block")?;
    let times: &TimestampMicrosecondArray = columns.full("time")?;
    let (indexes, log_indexes): (&UInt32Array, &UInt64Array) =
        (columns.full("transaction_index")?, columns.full("log_index")?);
    let transactions = columns.full_bytes::<32>("transaction")?;
    let routes: &StringArray = columns.full("route")?;
    for (row, transaction) in transactions.iter().enumerate() {
        let cells = Cells { columns, row };
        let payment = cells.bytes::<32>("payment_transaction")?.zip(cells.small("payment_transaction_index")?);
        rows.push(Recaptured {
            block: blocks.value(row),
            time: u64::try_from(TimeUs(times.value(row)).second()).map_err(|_| cells.bad("a time before 1970"))?,
            transaction: B256::new(*transaction),
            transaction_index: indexes.value(row),
            log_index: log_indexes.value(row),
            user: cells.address("user")?,
            liquidator: cells.address("liquidator")?,
            collateral: cells.address("collateral")?,
            debt: cells.address("debt")?,
            aggregator: cells.bytes::<20>("aggregator")?.map(Address::new),
            route: routes.value(row).to_owned(),
            why: cells.text("why")?,
            worth: cells.worth()?,
            native: cells.usd("native_usd")?,
            gas: cells.wei("gas_wei")?,
            bid: cells.figure("bid_wei", "bid_standing")?,
            builder: cells.figure("builder_wei", "builder_standing")?,
            recaptured: cells.wei("recaptured_wei")?,
            protocol: cells.wei("protocol_wei")?,
            network: cells.wei("network_wei")?,
            shared_by: cells.small("shared_by")?,
            payment: payment.map(|(transaction, index)| (B256::new(transaction), index)),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standings() -> impl Strategy<Value = Standing> {
        prop::sample::select(vec![Standing::Exact, Standing::Observed, Standing::Estimated])
    }

    prop_compose! {
        fn rows()(
            (block, time, transaction_index, log_index) in (0_u64..1 << 62, 0_u64..1 << 40, any::<u32>(), any::<u64>()),
            addresses in prop::array::uniform5(any::<[u8; 20]>()),
            (transaction, is_auctioned, route, why) in (any::<[u8; 32]>(), any::<bool>(), "[a-z ]{1,12}", prop::option::of("[a-z ]{0,12}")),
            usd in prop::option::of((prop::array::uniform4(-10_i128.pow(37)..10_i128.pow(37)), standings())),
            native in prop::option::of(0_i128..10_i128.pow(37)),
            wei in prop::array::uniform4(prop::option::of(0..=MOST_WEI)),
            figures in prop::array::uniform2(prop::option::of((0..=MOST_WEI, standings()))),
            (shared_by, payment) in (prop::option::of(any::<u32>()), prop::option::of((any::<[u8; 32]>(), any::<u32>()))),
        ) -> Recaptured {
            let [user, liquidator, collateral, debt, aggregator] = addresses.map(Address::new);
            let worth = |([collateral, debt, bonus, fee], standing): ([i128; 4], Standing)| Worth {
                collateral: Usd8(collateral), debt: Usd8(debt), bonus: Usd8(bonus), protocol_fee: Usd8(fee), standing,
            };
            let [gas, recaptured, protocol, network] = wei;
            let [bid, builder] = figures;
            Recaptured {
                block, time, transaction: B256::new(transaction), transaction_index, log_index, user, liquidator, collateral, debt,
                aggregator: is_auctioned.then_some(aggregator),
                route, why, worth: usd.map(worth), native: native.map(Usd8), gas, bid, builder, recaptured, protocol, network,
                shared_by, payment: payment.map(|(hash, index)| (B256::new(hash), index)),
            }
        }
    }

    fn label() -> Label {
        Label { chain: ChainId(1), from: 1, to: 9, made_from: "x".to_owned(), strays: (2, 3) }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_kept_comes_back(all in prop::collection::vec(rows(), 0..20)) {
            let folder = tempfile::tempdir().unwrap();
            let archive = Archive::at(folder.path()).unwrap();
            let market = MarketName::new("m").unwrap();
            let writer = Writer::open(&archive).unwrap();
            prop_assert!(file(&archive, &market).unwrap().is_none());
            publish(&writer, &market, &label(), &all).unwrap();
            let kept = file(&archive, &market).unwrap().unwrap();
            prop_assert_eq!(load(&kept).unwrap(), all);
            prop_assert_eq!((kept.footer.note("strays"), kept.footer.note("strays_wei")), (Some("2"), Some("3")));
        }

        #[test]
        fn more_wei_than_there_can_be_is_refused(row in rows(), more in MOST_WEI + 1..) {
            let folder = tempfile::tempdir().unwrap();
            let archive = Archive::at(folder.path()).unwrap();
            let market = MarketName::new("m").unwrap();
            let writer = Writer::open(&archive).unwrap();
            let bad = Recaptured { network: Some(more), ..row };
            let refused = matches!(publish(&writer, &market, &label(), &[bad]), Err(Error::Unfit { .. }));
            prop_assert!(refused);
            prop_assert!(file(&archive, &market).unwrap().is_none());
        }
    }
}
