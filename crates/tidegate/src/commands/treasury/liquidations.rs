//! What the liquidations of a synced market brought the treasury and cost it: fees in the collateral, deficits in their assets.

use anyhow::{Context as _, bail};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int32Type, TimestampMicrosecondType, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{Array as _, RecordBatch};
use engine::recapture::Route;
use engine::treasury::posting::{Log, accrual, deficit, liquidation_fee};
use engine::treasury::{Action, Asset, Code, Transfer};
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::TimeUs;
use protocol::token::Tokens;
use protocol::{Address, B256};
use source::archive::footer::TimeRange;
use source::archive::{Archive, MarketName, Scan};

use super::made_up;
use super::record::{Found, Group};
use crate::market::recapture;
use crate::text;
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

/// What a reader of deficits must know.
const COVERED: &str = "That a deficit was covered is no liquidation and is not in the dataset: deficits stand as owed until their cover is recorded from a file.";

/// One liquidation.
struct Row {
    log: Log,
    collateral: Address,
    debt: Address,
    fee: Option<u128>,
    basis: String,
    deficits: Option<String>,
    deficit_usd: Option<Usd8>,
    coins: [(Address, String, Option<u8>); 2],
}

/// Gathers what the liquidations of a synced market, or of a made-up world, brought and cost.
pub(super) fn gather(archive: &Archive, name: &str, coins: &mut Coins, tokens: &Tokens) -> anyhow::Result<Found> {
    let (dataset, files) = super::super::dataset(archive, name, &TimeRange::ALL)?;
    if let Some(claim) = Claim::of(&files) {
        return made_up::gather(&claim, coins);
    }
    let Some(market) = archive.synced_market(&dataset) else {
        bail!(
            "{dataset} was imported and does not tell fees and deficits in tokens; name a synced market, or a record of `tidegate import recaptures`"
        );
    };
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
    shares(archive, &market, coins, &mut found)?;
    let posted = |code: Code| {
        let entries = found.groups.iter().flat_map(|group| &group.transfers).map(|transfer| transfer.action);
        entries.filter(|action| matches!(action, Action::Post(entry) if entry.credit.code == code)).count()
    };
    if posted(Code::DeficitOwed) > 0 {
        found.notes.push(COVERED.to_owned());
    }
    Ok(found)
}

/// The protocol's part of what auctions recaptured. The split is an input and not in the logs, so that the part is assumed.
fn shares(archive: &Archive, market: &MarketName, coins: &mut Coins, found: &mut Found) -> anyhow::Result<()> {
    let Some(blocks) = recapture::of_market(archive, market)? else { return Ok(()) };
    let mut untold = 0_usize;
    let mut booked = 0_usize;
    for (row, number) in blocks.iter().flat_map(|block| &block.rows).zip(1..) {
        match accrual(row, Standing::Assumed) {
            Ok(Some(transfer)) => {
                coins.put_native(row.chain)?;
                booked += 1;
                found.groups.push(Group::of(transfer, number));
            }
            Ok(None) => {}
            Err(_) if row.route == Route::Unknown => untold += 1,
            Err(_) => {
                let why = format!("what was paid for it is not known: transaction {}", row.place.transaction);
                found.unknown.push((number, why));
            }
        }
    }
    if booked > 0 {
        found.notes.push("The protocol's part of what auctions recaptured supposes its split with the network; what its safe hands on is in no log that is read: record it from a file.".to_owned());
    }
    if untold > 0 {
        let count = text::count(untold as u64);
        found.notes.push(format!(
            "Of {count} liquidations logs do not tell whether an auction was held: nothing is booked of one."
        ));
    }
    Ok(())
}

fn take(row: Row, number: u64, coins: &mut Coins, tokens: &Tokens, found: &mut Found) -> anyhow::Result<()> {
    let mut transfers: Vec<Transfer> = Vec::new();
    match row.fee {
        Some(0) => {}
        Some(fee) => match known(row.collateral, &row, coins, tokens) {
            Ok(()) => transfers.push(liquidation_fee(&row.log, row.collateral, row.debt, fee)),
            Err(why) => found.unknown.push((number, format!("a fee in {:#x}: {why}", row.collateral))),
        },
        None => found.unknown.push((number, format!("the fee is not known: {}", row.basis))),
    }
    let lost = deficits(row.deficits.as_deref())?;
    // A value of several assets together is none of each.
    let of_all = row.deficit_usd.filter(|_| lost.len() == 1);
    for (asset, amount, usd) in lost {
        match known(asset, &row, coins, tokens) {
            Ok(()) => transfers.push(deficit(&Log { usd: usd.or(of_all), ..row.log }, asset, amount)),
            Err(why) => found.unknown.push((number, format!("a deficit in {asset:#x}: {why}"))),
        }
    }
    for transfer in transfers {
        found.groups.push(Group::of(transfer, number));
    }
    Ok(())
}

/// Puts an asset on record as the tokens and the liquidation have it, or says why it cannot be.
fn known(address: Address, row: &Row, coins: &mut Coins, tokens: &Tokens) -> Result<(), String> {
    let asset = Asset { network: row.log.network, token: address };
    let listed = coins.find(asset.network, &address.to_string(), tokens).map_err(|why| why.to_string())?;
    match row.coins.iter().find(|(of, ..)| *of == address) {
        Some((_, symbol, Some(decimals))) => coins.put(asset, symbol, *decimals).map_err(|why| why.to_string()),
        _ if listed.is_some() => Ok(()),
        _ => Err("its decimals are not known; add it with --tokens".to_owned()),
    }
}

/// The assets, amounts and values of a column `deficits`.
fn deficits(json: Option<&str>) -> anyhow::Result<Vec<(Address, u128, Option<Usd8>)>> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let list: serde_json::Value = serde_json::from_str(json).context("deficits are no JSON")?;
    let one = |item: &serde_json::Value| {
        let asset = item.get("asset")?.as_str()?.parse().ok()?;
        // Datasets of before have no values of single assets.
        let usd = match item.get("usd") {
            Some(usd) => Some(Usd8::parse_rounding(usd.as_str()?).ok()?),
            None => None,
        };
        Some((asset, item.get("raw")?.as_str()?.parse().ok()?, usd))
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
            (collateral, word("collateral_symbol").unwrap_or_default(), decimals("collateral_decimals")),
            (debt, word("debt_symbol").unwrap_or_default(), decimals("debt_decimals")),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHAIN: ChainId = ChainId(1);
    const ONE: Address = Address::repeat_byte(0xa1);
    const OTHER: Address = Address::repeat_byte(0xa2);
    const THIRD: Address = Address::repeat_byte(0xa3);

    fn liquidation(fee: u128, deficits: Option<String>, decimals: [Option<u8>; 2]) -> Row {
        Row {
            log: Log {
                network: CHAIN,
                transaction: B256::repeat_byte(7),
                log_index: Some(3),
                time: TimeUs(1_760_000_000_000_000),
                usd: Some(Usd8(50)),
                standing: Standing::Exact,
            },
            collateral: ONE,
            debt: OTHER,
            fee: Some(fee),
            basis: "exact".to_owned(),
            deficits,
            deficit_usd: Some(Usd8(900)),
            coins: [(ONE, "ONE".to_owned(), decimals[0]), (OTHER, "OTHER".to_owned(), decimals[1])],
        }
    }

    fn taken(row: Row, coins: &mut Coins, tokens: &Tokens) -> (Vec<Transfer>, Vec<String>) {
        let mut found = Found::default();
        take(row, 1, coins, tokens, &mut found).unwrap();
        let transfers = found.groups.into_iter().flat_map(|group| group.transfers).collect();
        (transfers, found.unknown.into_iter().map(|(_, why)| why).collect())
    }

    fn lost(items: &[(Address, u128, &str)]) -> Option<String> {
        let one = |(asset, raw, usd): &(Address, u128, &str)| {
            let usd = if usd.is_empty() { String::new() } else { format!(",\"usd\":\"{usd}\"") };
            format!("{{\"asset\":\"{asset:#x}\",\"raw\":\"{raw}\"{usd}}}")
        };
        Some(format!("[{}]", items.iter().map(one).collect::<Vec<_>>().join(",")))
    }

    #[test]
    fn every_deficit_has_its_own_value() {
        let tokens = Tokens::from_csv(&format!("chain_id,address,symbol,decimals\n1,{THIRD:#x},THIRD,8\n")).unwrap();
        let values = |deficits| -> Vec<Option<Usd8>> {
            let row = liquidation(0, deficits, [Some(6), Some(18)]);
            taken(row, &mut Coins::default(), &tokens).0.iter().map(|transfer| transfer.usd).collect()
        };
        let two = lost(&[(OTHER, 5, "0.00000007"), (THIRD, 6, "1.5")]);
        assert_eq!(values(two), [Some(Usd8(7)), Some(Usd8(150_000_000))]);
        // Datasets of before: what all were worth is what the only one was.
        assert_eq!(values(lost(&[(OTHER, 5, "")])), [Some(Usd8(900))]);
        assert_eq!(values(lost(&[(OTHER, 5, ""), (THIRD, 6, "")])), [None, None]);
    }

    #[test]
    fn what_cannot_be_divided_costs_its_own_amount_alone() {
        let mut coins = Coins::default();
        let tokens = Tokens::default();
        let both = || lost(&[(OTHER, 5, "")]);
        let (transfers, unknown) = taken(liquidation(4, both(), [None, Some(18)]), &mut coins, &tokens);
        assert_eq!((transfers.len(), unknown.len()), (1, 1), "{unknown:?}");
        assert!(unknown[0].contains("a fee in 0xa1") && unknown[0].contains("--tokens"), "{unknown:?}");
        // Afterwards another liquidation says something else of the debt than the one before.
        let (transfers, unknown) = taken(liquidation(4, both(), [Some(6), Some(6)]), &mut coins, &tokens);
        assert_eq!((transfers.len(), unknown.len()), (1, 1), "{unknown:?}");
        assert!(unknown[0].contains("18 decimals") && unknown[0].contains("6 here"), "{unknown:?}");
        // A fee of nothing needs no decimals.
        assert_eq!(taken(liquidation(0, None, [None, None]), &mut Coins::default(), &tokens).1.len(), 0);
    }
}
