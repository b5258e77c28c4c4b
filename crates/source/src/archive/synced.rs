//! The table `liquidations` of a synced market: the columns that an import has, and behind them what only logs tell.
//!
//! It is derived from logs and answers and made anew from them at any time, so that it is one file, replaced whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow_array::builder::{
    BooleanBuilder, Decimal128Builder, PrimitiveBuilder, StringBuilder, StringDictionaryBuilder, UInt32Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use protocol::amount::Usd8;
use protocol::liquidation::Liquidation;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::{Address, U256};
use sha2::{Digest, Sha256};

use super::liquidations::{self, KeyKind, Row, Rows};
use super::logs::{self, complete_of};
use super::{Archive, DataFile, Footer, MarketName, PendingFile, Span, Table, Writer};
use crate::error::{Error, Result};
use crate::import::key;

/// The one file's name.
pub(super) const FILE_NAME: &str = "liquidations.parquet";

/// Rows handed to the file at a time.
const BATCH_ROWS: usize = 8_192;
/// 10^-8 dollars of a dollar.
const ONE_USD8: u128 = 100_000_000;

/// The columns, in order: those of [`liquidations::SCHEMA`], then what only logs tell. `*_raw` is in the smallest unit of the side's
/// token, prices are the oracle's integers, `deficits` is a JSON list of assets, raw amounts and, where their prices are known, values. `collateral_fee_basis` says why the
/// fee, and with it what was seized and its bonus, is missing. `price_standing` is how sure the two prices are, `usd_standing` how sure
/// everything in dollars is.
pub static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let word = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let raw = |name| Field::new(name, DataType::Decimal128(38, 0), true);
    let usd = |name| Field::new(name, DataType::Decimal128(38, 8), true);
    let mut fields: Vec<Arc<Field>> = liquidations::SCHEMA.fields().iter().cloned().collect();
    let more = [
        raw("collateral_seized_raw"),
        raw("collateral_fee_raw"),
        Field::new("collateral_fee_basis", word(), false),
        raw("collateral_bonus_raw"),
        Field::new("bonus_bps", DataType::UInt32, false),
        Field::new("protocol_fee_bps", DataType::UInt32, false),
        Field::new("receives_supply", DataType::Boolean, false),
        raw("deficit_raw"),
        usd("deficit_usd"),
        Field::new("deficits", DataType::Utf8, true),
        raw("collateral_price_raw"),
        raw("debt_price_raw"),
        Field::new("collateral_price_from", word(), true),
        Field::new("debt_price_from", word(), true),
        Field::new("price_standing", word(), true),
        Field::new("usd_standing", word(), true),
    ];
    fields.extend(more.into_iter().map(Arc::new));
    Arc::new(Schema::new(fields))
});

/// Where the price that a liquidation saw comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceFrom {
    /// It is the same at the end of the block before and at the end of its own. A part of it that no feed tells of and that
    /// went there and back within the block would not be noticed.
    Unchanged,
    /// The asset's feed moved in the block before the liquidation and not after it: the price at the end of the block.
    AfterUpdate,
    /// The asset's feed moved in the block after the liquidation and not before it: the price at the end of the block before.
    BeforeUpdate,
    /// The price changed in the block, and nobody knows whether before or after: the one at the end of the block.
    EndOfBlock,
}

impl PriceFrom {
    /// The word in the columns `collateral_price_from` and `debt_price_from`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::AfterUpdate => "after update",
            Self::BeforeUpdate => "before update",
            Self::EndOfBlock => "end of block",
        }
    }
}

/// Why the treasury's fee is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeeUnknown {
    /// The transfer to the treasury names an amount or an index that the contracts cannot have come to.
    ImpossibleTransfer,
}

impl FeeUnknown {
    /// The word in the column `collateral_fee_basis`, which is `exact` where the fee is known and `too large` where the column
    /// cannot hold it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::ImpossibleTransfer => "impossible transfer",
        }
    }
}

/// A price as the oracle gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Of one whole token, in the market's base currency.
    pub raw: U256,
    /// Where it comes from.
    pub from: PriceFrom,
    /// Exact where it is surely the price that the pool saw, else observed.
    pub standing: Standing,
}

/// Debt that was written off in one asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deficit {
    /// The asset.
    pub asset: Address,
    /// How much, in its smallest unit.
    pub raw: U256,
    /// What it was worth, where its price is known.
    pub usd: Option<Usd8>,
}

impl Deficit {
    /// As an item of the column `deficits`.
    fn json(&self) -> String {
        let Self { asset, raw, usd } = self;
        let usd = usd.map_or_else(String::new, |usd| {
            let (sign, digits) = (if usd.0 < 0 { "-" } else { "" }, usd.0.unsigned_abs());
            format!(",\"usd\":\"{sign}{}.{:08}\"", digits / ONE_USD8, digits % ONE_USD8)
        });
        format!("{{\"asset\":\"{asset:#x}\",\"raw\":\"{raw}\"{usd}}}")
    }
}

/// A liquidation with all its logs tell.
#[derive(Debug, Clone)]
pub struct Synced {
    /// When it happened.
    pub time: TimeUs,
    /// What an import would know too.
    pub liquidation: Liquidation,
    /// What left the borrower, the treasury's fee included, where that is known.
    pub seized: Option<U256>,
    /// What the treasury got of it, or why nobody knows.
    pub fee: std::result::Result<U256, FeeUnknown>,
    /// How much of it is bonus; `None` where the bonus is not known.
    pub bonus: Option<U256>,
    /// What the liquidator gets for what he repays, in basis points.
    pub bonus_bps: u16,
    /// The treasury's share of the bonus, in basis points.
    pub protocol_fee_bps: u16,
    /// Whether the liquidator took supply tokens.
    pub receives_supply: bool,
    /// Debt that was written off, by asset; the debt's own first.
    pub deficits: Vec<Deficit>,
    /// The part of it in the debt's own asset; `None` where it is more than 256 bits hold.
    pub deficit: Option<U256>,
    /// What all of it was worth, where every price is known.
    pub deficit_usd: Option<Usd8>,
    /// The collateral's price.
    pub collateral_price: Option<Price>,
    /// The debt's price.
    pub debt_price: Option<Price>,
    /// How sure every value in dollars is, the deficit's included; `None` where there is none.
    pub usd_standing: Option<Standing>,
}

impl Synced {
    /// How sure the prices are; `None` where there is none.
    #[must_use]
    pub fn price_standing(&self) -> Option<Standing> {
        self.collateral_price.iter().chain(&self.debt_price).map(|price| price.standing).max()
    }
}

/// What the file says about itself.
#[derive(Debug, Clone)]
pub struct Label {
    /// How its dollar figures are known.
    pub standing: Standing,
    /// The first block of the logs it was made from.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// [`state_of`] the logs it was made from.
    pub made_from: String,
    /// Where it comes from, in words.
    pub origin: String,
}

/// Writes the table of a market, in the order given, replacing the one on file in one step.
///
/// # Errors
/// The archive cannot be written.
pub fn publish(writer: &Writer, market: &MarketName, label: &Label, rows: &[Synced]) -> Result<PathBuf> {
    let folder = writer.archive().synced_folder(market);
    let mut file = PendingFile::create(&folder, SCHEMA.clone(), liquidations::properties())?;
    let mut events = Sha256::new();
    let mut number = 0;
    for some in rows.chunks(BATCH_ROWS) {
        let (mut columns, mut more) = (Rows::default(), MoreColumns::default());
        for row in some {
            number += 1;
            let (key, key_kind) = key::of(row.time, &row.liquidation);
            events.update(key);
            let standing = Standing::Exact;
            columns.push(&Row {
                time: row.time,
                liquidation: &row.liquidation,
                standing,
                source_row: number,
                key,
                key_kind,
            });
            more.push(row);
        }
        let batch = columns.take().and_then(|batch| more.take(&batch));
        file.write(&batch.map_err(|cause| Error::arrow(&folder, &cause))?)?;
    }
    let times = rows.iter().map(|row| row.time);
    let span = match (times.clone().min(), times.max()) {
        (Some(from), Some(to)) => Span::Times { from, to },
        _ => Span::Empty,
    };
    let events: String = events.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let without_usd = rows.iter().filter(|row| {
        let worth = |leg: &Option<protocol::liquidation::Leg>| leg.as_ref().is_some_and(|leg| leg.usd.is_some());
        !worth(&row.liquidation.collateral) || !worth(&row.liquidation.debt)
    });
    let keys = BTreeMap::from([(KeyKind::Log, number)]);
    let notes = BTreeMap::from([
        ("market".to_owned(), market.to_string()),
        ("dataset".to_owned(), market.to_string()),
        ("origin".to_owned(), label.origin.clone()),
        ("source_file".to_owned(), format!("blocks {} to {}", label.from, label.to)),
        ("source_sha256".to_owned(), events),
        ("made_from".to_owned(), label.made_from.clone()),
        ("made_to_block".to_owned(), label.to.to_string()),
        ("without_usd".to_owned(), without_usd.count().to_string()),
        ("event_key_rests_on".to_owned(), key::rests_on(&keys, false).to_owned()),
        ("event_key_weakness".to_owned(), key::weakness(false)),
    ]);
    file.publish(&Footer { table: Table::Liquidations, standing: label.standing, span, notes }, FILE_NAME)
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
    if file.footer.table != Table::Liquidations || file.footer.note("market") != Some(market.as_str()) {
        let what = format!("says it is not the liquidations of {market}");
        let advice = "somebody put it here or renamed it; delete it, and `tidegate rebuild` makes it anew";
        return Err(Error::BadFile { path: file.path, what, advice });
    }
    Ok(Some(file))
}

/// The last block of the logs that a table was made from.
#[must_use]
pub fn made_to(file: &DataFile) -> Option<u64> {
    file.footer.note("made_to_block")?.parse().ok()
}

/// How many of its liquidations have a side without a value.
#[must_use]
pub fn without_usd(file: &DataFile) -> u64 {
    file.footer.note("without_usd").and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The state of a market's logs up to a block, however they lie in files: how many there are, and the block's hash where a file
/// ends there. A table was made from one state.
///
/// # Errors
/// A file is unreadable, or two contradict each other.
pub fn state_of(archive: &Archive, market: &MarketName, to: u64) -> Result<String> {
    let files = archive.market_files(market, Table::Logs)?;
    let ends = files.iter().filter(|file| file.blocks().is_some_and(|(_, last)| last == to));
    let end = ends.filter_map(complete_of).map(|complete| format!(", {}", complete.end_hash)).next();
    Ok(format!("{} logs to block {to}{}", logs::count_to(files, to)?, end.unwrap_or_default()))
}

/// Whether a folder below the archive's root holds a market's table.
pub(super) fn is_in(folder: &Path) -> bool {
    folder.join(FILE_NAME).exists()
}

type Words = StringDictionaryBuilder<Int32Type>;

/// The columns that an import does not have.
struct MoreColumns {
    seized: Decimal128Builder,
    fee: Decimal128Builder,
    fee_basis: Words,
    bonus: Decimal128Builder,
    bonus_bps: UInt32Builder,
    protocol_fee_bps: UInt32Builder,
    receives_supply: BooleanBuilder,
    deficit: Decimal128Builder,
    deficit_usd: Decimal128Builder,
    deficits: StringBuilder,
    collateral_price: Decimal128Builder,
    debt_price: Decimal128Builder,
    collateral_price_from: Words,
    debt_price_from: Words,
    price_standing: Words,
    usd_standing: Words,
}

impl Default for MoreColumns {
    fn default() -> Self {
        let raw = || PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 0));
        Self {
            seized: raw(),
            fee: raw(),
            fee_basis: Words::new(),
            bonus: raw(),
            bonus_bps: UInt32Builder::new(),
            protocol_fee_bps: UInt32Builder::new(),
            receives_supply: BooleanBuilder::new(),
            deficit: raw(),
            deficit_usd: PrimitiveBuilder::new().with_data_type(DataType::Decimal128(38, 8)),
            deficits: StringBuilder::new(),
            collateral_price: raw(),
            debt_price: raw(),
            collateral_price_from: Words::new(),
            debt_price_from: Words::new(),
            price_standing: Words::new(),
            usd_standing: Words::new(),
        }
    }
}

/// What a column of 38 digits can hold.
fn digits(amount: U256) -> Option<i128> {
    let amount = u128::try_from(amount).ok()?;
    protocol::amount::Raw::new(amount).and_then(|raw| i128::try_from(raw.units()).ok())
}

impl MoreColumns {
    fn push(&mut self, row: &Synced) {
        self.seized.append_option(row.seized.and_then(digits));
        self.fee.append_option(row.fee.ok().and_then(digits));
        self.fee_basis.append_value(match row.fee {
            Ok(fee) if digits(fee).is_some() => "exact",
            Ok(_) => "too large",
            Err(why) => why.word(),
        });
        self.bonus.append_option(row.bonus.and_then(digits));
        self.bonus_bps.append_value(row.bonus_bps.into());
        self.protocol_fee_bps.append_value(row.protocol_fee_bps.into());
        self.receives_supply.append_value(row.receives_supply);
        self.deficit.append_option(row.deficit.and_then(digits));
        self.deficit_usd.append_option(row.deficit_usd.map(|usd| usd.0));
        let all: Vec<String> = row.deficits.iter().map(Deficit::json).collect();
        self.deficits.append_option((!all.is_empty()).then(|| format!("[{}]", all.join(","))));
        self.collateral_price.append_option(row.collateral_price.and_then(|price| digits(price.raw)));
        self.debt_price.append_option(row.debt_price.and_then(|price| digits(price.raw)));
        self.collateral_price_from.append_option(row.collateral_price.map(|price| price.from.word()));
        self.debt_price_from.append_option(row.debt_price.map(|price| price.from.word()));
        self.price_standing.append_option(row.price_standing().map(Standing::word));
        self.usd_standing.append_option(row.usd_standing.map(Standing::word));
    }

    fn take(&mut self, first: &RecordBatch) -> std::result::Result<RecordBatch, ArrowError> {
        let mut columns: Vec<ArrayRef> = first.columns().to_vec();
        columns.extend::<[ArrayRef; 16]>([
            Arc::new(self.seized.finish()),
            Arc::new(self.fee.finish()),
            Arc::new(self.fee_basis.finish()),
            Arc::new(self.bonus.finish()),
            Arc::new(self.bonus_bps.finish()),
            Arc::new(self.protocol_fee_bps.finish()),
            Arc::new(self.receives_supply.finish()),
            Arc::new(self.deficit.finish()),
            Arc::new(self.deficit_usd.finish()),
            Arc::new(self.deficits.finish()),
            Arc::new(self.collateral_price.finish()),
            Arc::new(self.debt_price.finish()),
            Arc::new(self.collateral_price_from.finish()),
            Arc::new(self.debt_price_from.finish()),
            Arc::new(self.price_standing.finish()),
            Arc::new(self.usd_standing.finish()),
        ]);
        RecordBatch::try_new(SCHEMA.clone(), columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deficit_is_written_with_its_value_where_there_is_one() {
        let deficit = |usd| Deficit { asset: Address::repeat_byte(0xa1), raw: U256::from(7), usd }.json();
        let asset = "a1".repeat(20);
        assert_eq!(deficit(None), format!("{{\"asset\":\"0x{asset}\",\"raw\":\"7\"}}"));
        for (usd, text) in [(0, "0.00000000"), (5, "0.00000005"), (1_250_000_000, "12.50000000"), (-3, "-0.00000003")] {
            let expected = format!("{{\"asset\":\"0x{asset}\",\"raw\":\"7\",\"usd\":\"{text}\"}}");
            assert_eq!(deficit(Some(Usd8(usd))), expected);
        }
    }
}
