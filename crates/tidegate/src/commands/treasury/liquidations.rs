//! What the liquidations of a synced market brought the treasury and cost it: fees in the collateral, deficits in their assets.

use anyhow::{Context as _, bail};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int32Type, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, RecordBatch};
use engine::treasury::posting::{Log, deficit, liquidation_fee};
use engine::treasury::{Asset, Transfer};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::token::Tokens;
use protocol::{Address, B256};
use source::archive::footer::TimeRange;
use source::archive::{Archive, Scan};

use super::made_up;
use super::record::{Found, Group};
use crate::treasury::coins::Coins;
use crate::world::Claim;

const COLUMNS: [&str; 16] = [
    "time",
    "chain_id",
    "tx_hash",
    "log_index",
    "collateral_symbol",
    "collateral_address",
    "collateral_decimals",
    "debt_symbol",
    "debt_address",
    "debt_decimals",
    "protocol_fee_usd",
    "collateral_fee_raw",
    "collateral_fee_basis",
    "deficits",
    "deficit_usd",
    "usd_standing",
];

/// One liquidation.
struct Row {
    log: Log,
    collateral: Address,
    debt: Address,
    fee: Option<u128>,
    basis: String,
    deficits: Option<String>,
    deficit_usd: Option<Usd8>,
    coins: [(Address, String, u8); 2],
}

/// Gathers what the liquidations of a synced market, or of a made-up world, brought and cost.
pub(super) fn gather(archive: &Archive, name: &str, coins: &mut Coins, tokens: &Tokens) -> anyhow::Result<Found> {
    let (dataset, files) = super::super::dataset(archive, name, &TimeRange::ALL)?;
    if let Some(claim) = Claim::of(&files) {
        return made_up::gather(&claim, coins);
    }
    if archive.synced_market(&dataset).is_none() {
        bail!(
            "{dataset} was imported and does not tell fees and deficits in tokens; name a synced market, or a record of `tidegate import recaptures`"
        );
    }
    let mut found = Found::default();
    let mut number = 0;
    for chunk in Scan::of(&COLUMNS).chunks(&files) {
        for batch in chunk.read()? {
            let batch = batch?;
            for at in 0..batch.num_rows() {
                number += 1;
                let row = row(&batch, at).with_context(|| format!("{dataset}: row {number} cannot be read"))?;
                take(row, number, coins, tokens, &mut found)?;
            }
        }
    }
    Ok(found)
}

fn take(row: Row, number: u64, coins: &mut Coins, tokens: &Tokens, found: &mut Found) -> anyhow::Result<()> {
    let network = row.log.network;
    for (address, symbol, decimals) in &row.coins {
        if coins.find(network, &address.to_string(), tokens).map_err(anyhow::Error::msg)?.is_none() {
            coins.put(Asset { network, token: *address }, symbol, *decimals);
        }
    }
    let mut transfers: Vec<Transfer> = Vec::new();
    match row.fee {
        Some(0) => {}
        Some(fee) => transfers.push(liquidation_fee(&row.log, row.collateral, row.debt, fee)),
        None => found.unknown.push((number, format!("the fee is not known: {}", row.basis))),
    }
    let lost = deficits(row.deficits.as_deref())?;
    // A value of several assets together is none of each.
    let usd = row.deficit_usd.filter(|_| lost.len() == 1);
    for (asset, amount) in lost {
        if coins.find(network, &asset.to_string(), tokens).map_err(anyhow::Error::msg)?.is_none() {
            found
                .unknown
                .push((number, format!("a deficit in {asset}, whose decimals are not known; add it with --tokens")));
            continue;
        }
        transfers.push(deficit(&Log { usd, ..row.log }, asset, amount));
    }
    for transfer in transfers {
        found.groups.push(Group::of(transfer, number));
    }
    Ok(())
}

/// The assets and amounts of a column `deficits`.
fn deficits(json: Option<&str>) -> anyhow::Result<Vec<(Address, u128)>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let list: serde_json::Value = serde_json::from_str(json).context("deficits are no JSON")?;
    let one = |item: &serde_json::Value| {
        let asset = item.get("asset")?.as_str()?.parse().ok()?;
        Some((asset, item.get("raw")?.as_str()?.parse().ok()?))
    };
    let all: Option<Vec<_>> = list.as_array().map(|items| items.iter().map(one).collect()).unwrap_or_default();
    all.context("deficits are no list of assets and amounts")
}

fn row(batch: &RecordBatch, at: usize) -> Option<Row> {
    let column = |name: &str| batch.column_by_name(name);
    let bytes = |name: &str| {
        let column = column(name)?.as_fixed_size_binary_opt()?;
        column.is_valid(at).then(|| column.value(at))
    };
    let word = |name: &str| {
        let words = column(name)?.as_dictionary_opt::<Int32Type>()?;
        let key = usize::try_from(words.keys().is_valid(at).then(|| words.keys().value(at))?).ok()?;
        Some(words.values().as_string_opt::<i32>()?.value(key).to_owned())
    };
    let decimal = |name: &str| {
        let column = column(name)?.as_primitive_opt::<Decimal128Type>()?;
        column.is_valid(at).then(|| column.value(at))
    };
    let decimals = |name: &str| {
        let column = column(name)?.as_primitive_opt::<UInt8Type>()?;
        column.is_valid(at).then(|| column.value(at))
    };
    let address = |name: &str| Address::try_from(bytes(name)?).ok();
    let (collateral, debt) = (address("collateral_address")?, address("debt_address")?);
    let log = Log {
        network: ChainId(column("chain_id")?.as_primitive_opt::<UInt64Type>()?.value(at)),
        transaction: B256::try_from(bytes("tx_hash")?).ok()?,
        log_index: Some(u64::from(column("log_index")?.as_primitive_opt::<UInt32Type>()?.value(at))),
        time: TimeUs(column("time")?.as_primitive_opt::<TimestampMicrosecondType>()?.value(at)),
        usd: decimal("protocol_fee_usd").map(Usd8),
        // Amounts are folded from logs; only their values in dollars may be less sure.
        standing: word("usd_standing").and_then(|word| Standing::from_word(&word)).unwrap_or(Standing::Exact),
    };
    let texts = column("deficits")?.as_string_opt::<i32>()?;
    Some(Row {
        log,
        collateral,
        debt,
        fee: decimal("collateral_fee_raw").and_then(|fee| u128::try_from(fee).ok()),
        basis: word("collateral_fee_basis").unwrap_or_default(),
        deficits: texts.is_valid(at).then(|| texts.value(at).to_owned()),
        deficit_usd: decimal("deficit_usd").map(Usd8),
        coins: [
            (collateral, word("collateral_symbol").unwrap_or_default(), decimals("collateral_decimals")?),
            (debt, word("debt_symbol").unwrap_or_default(), decimals("debt_decimals")?),
        ],
    })
}
