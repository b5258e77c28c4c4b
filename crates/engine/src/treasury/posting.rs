//! The transfers that liquidations give rise to, and those of the safe into which auctions pay.

use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, B256, U256};

use super::account::{Account, Asset, Code};
use super::transfer::{Action, Entry, Id, Origin, Transfer};
use crate::recapture::{Route, Row};

/// Which part of a log a transfer from the safe is, for [`Id::of_log`].
pub const SETTLEMENT: &str = "settlement";
/// Which part of a liquidation's log the protocol's part of the payment is.
pub const SVR_SHARE: &str = "svr share";
/// Which part of a liquidation's log its fee is.
pub const LIQUIDATION_FEE: &str = "liquidation fee";

/// Which part of a liquidation's log a deficit in an asset is.
#[must_use]
pub fn deficit_part(asset: Address) -> String {
    format!("deficit {asset}")
}

/// One native token in its smallest unit.
const ONE_NATIVE: u128 = 1_000_000_000_000_000_000;

/// What a row gives rise to, and what of it nobody told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Postings {
    /// The transfers, in the order of the rows.
    pub transfers: Vec<Transfer>,
    /// What is missing, with the number of the row, the first being 0.
    pub missing: Vec<(usize, Missing)>,
}

/// What is not known of a row, so that nothing was posted for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// Whether a bid was paid, or what of it is the protocol's.
    SvrShare,
    /// What the protocol kept of the bonus, in the collateral's smallest unit.
    LiquidationFee,
}

/// The transfers of liquidations.
///
/// * The protocol's part of a payment that came to the safe is income attributed to the reserve whose debt was repaid, and a
///   receivable from the safe until it transfers it ([`settle`]). The network's part is nobody's income here and appears nowhere.
/// * What the protocol kept of the bonus is income in the collateral, attributed likewise. It comes to the collector as supply tokens,
///   which can be redeemed at any time, so that it counts as cash. `fee_of` tells it in the collateral's smallest unit.
///
/// An amount that is zero gives rise to nothing; one that is not known is named. Ids follow from the liquidation's log, so that posting
/// a row again repeats it.
#[must_use]
pub fn post(rows: &[Row], standing: Standing, fee_of: impl Fn(&Row) -> Option<u128>) -> Postings {
    let mut postings = Postings::default();
    for (at, row) in rows.iter().enumerate() {
        match accrual(row, standing) {
            Ok(transfer) => postings.transfers.extend(transfer),
            Err(missing) => postings.missing.push((at, missing)),
        }
        match fee_of(row) {
            Some(0) => {}
            Some(amount) => {
                let log = log_of(row, row.value.map(|value| value.protocol_fee), standing);
                postings.transfers.push(liquidation_fee(&log, row.collateral, row.debt, amount));
            }
            None => postings.missing.push((at, Missing::LiquidationFee)),
        }
    }
    postings
}

/// The posting of the protocol's part of what an auction for a liquidation recaptured; nothing where there was none.
///
/// # Errors
/// Whether a bid was paid, or what of it is the protocol's, is not known.
pub fn accrual(row: &Row, standing: Standing) -> Result<Option<Transfer>, Missing> {
    let wei = match row.protocol_wei {
        Some(wei) => wei,
        None if matches!(row.route, Route::Paid | Route::PaymentUnknown | Route::Unknown) => {
            return Err(Missing::SvrShare);
        }
        None => 0,
    };
    if wei == 0 {
        return Ok(None);
    }
    let entry = svr_share(Asset::native(row.chain), Some(row.debt), wei);
    let usd = row.native_usd.and_then(|price| worth_floor(wei, price));
    let from = row.payment.unwrap_or(row.place);
    Ok(Some(Transfer {
        origin: Origin::Transaction { network: row.chain, transaction: from.transaction, log_index: from.log_index },
        ..of_log(&log_of(row, usd, standing), SVR_SHARE, entry)
    }))
}

/// The entry of the protocol's part of what an auction recaptured: income attributed to the reserve whose debt was repaid, where that is
/// known, and owed by the safe until it transfers it ([`settle`]).
#[must_use]
pub const fn svr_share(asset: Asset, debt: Option<Address>, amount: u128) -> Entry {
    let income = Account { reserve: debt, ..Account::new(Code::SvrShare, asset) };
    Entry { debit: Account::new(Code::SvrReceivable, asset), credit: income, amount }
}

fn log_of(row: &Row, usd: Option<Usd8>, standing: Standing) -> Log {
    Log {
        network: row.chain,
        transaction: row.place.transaction,
        log_index: row.place.log_index,
        time: TimeUs(i64::try_from(row.time).unwrap_or(i64::MAX).saturating_mul(SECOND_US)),
        usd,
        standing,
    }
}

/// A log of a chain, and what the amount in it was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// The chain.
    pub network: ChainId,
    /// The transaction.
    pub transaction: B256,
    /// Its place in the block.
    pub log_index: Option<u64>,
    /// When.
    pub time: TimeUs,
    /// What the amount was worth.
    pub usd: Option<Usd8>,
    /// How the amount is known.
    pub standing: Standing,
}

fn of_log(log: &Log, part: &str, entry: Entry) -> Transfer {
    let Log { network, transaction, log_index, time, usd, standing } = *log;
    Transfer {
        id: Id::of_log(network, transaction, log_index, part),
        action: Action::Post(entry),
        time,
        usd,
        standing,
        origin: Origin::Transaction { network, transaction, log_index },
    }
}

/// The posting of what the protocol kept of a liquidation's bonus: so much of the collateral, attributed to the debt's reserve.
#[must_use]
pub fn liquidation_fee(log: &Log, collateral: Address, debt: Address, amount: u128) -> Transfer {
    let asset = Asset { network: log.network, token: collateral };
    let entry = Entry {
        debit: Account::new(Code::Cash, asset),
        credit: Account::new(Code::LiquidationFees, asset).of_reserve(debt),
        amount,
    };
    of_log(log, LIQUIDATION_FEE, entry)
}

/// The posting of a deficit that a liquidation left: an expense of the reserve, owed until it is covered.
#[must_use]
pub fn deficit(log: &Log, reserve: Address, amount: u128) -> Transfer {
    let asset = Asset { network: log.network, token: reserve };
    let entry = Entry {
        debit: Account::new(Code::DeficitRealised, asset).of_reserve(reserve),
        credit: Account::new(Code::DeficitOwed, asset).of_reserve(reserve),
        amount,
    };
    of_log(log, &deficit_part(reserve), entry)
}

/// A transfer from the safe to the collector, as its chain tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settlement {
    /// The chain.
    pub network: ChainId,
    /// The transaction.
    pub transaction: B256,
    /// Its log in the block, where it left one.
    pub log_index: Option<u64>,
    /// When.
    pub time: TimeUs,
    /// How much, in the smallest unit of the native token.
    pub wei: u128,
    /// What a whole native token cost.
    pub native_usd: Option<Usd8>,
}

/// The posting of a transfer from the safe to the collector: it takes from the receivable, which then says what was accrued and not
/// transferred yet; under zero, what was transferred and never seen to accrue.
#[must_use]
pub fn settle(settlement: &Settlement, standing: Standing) -> Transfer {
    let Settlement { network, transaction, log_index, time, wei, native_usd } = *settlement;
    let native = Asset::native(network);
    let entry = Entry {
        debit: Account::new(Code::Cash, native),
        credit: Account::new(Code::SvrReceivable, native),
        amount: wei,
    };
    Transfer {
        id: Id::of_log(network, transaction, log_index, SETTLEMENT),
        action: Action::Post(entry),
        time,
        usd: native_usd.and_then(|price| worth_floor(wei, price)),
        standing,
        origin: Origin::Transaction { network, transaction, log_index },
    }
}

/// What an amount of native tokens is worth at a price of a whole one, rounded down: wei * price / 10^18.
fn worth_floor(wei: u128, price: Usd8) -> Option<Usd8> {
    let price = U256::from(u128::try_from(price.0).ok()?);
    let worth = U256::from(wei).checked_mul(price)?.checked_div(U256::from(ONE_NATIVE))?;
    worth.try_into().ok().map(Usd8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recapture::Place;
    use crate::recapture::facts::Value;
    use crate::treasury::{Ledger, Outcome};
    use proptest::prelude::*;

    fn row(seed: u64, route: Route, parts: Option<[u128; 2]>) -> Row {
        let place = Place { transaction_index: 1, log_index: Some(seed), transaction: B256::repeat_byte(7) };
        let usd = |value| Usd8(i128::from(value));
        Row {
            chain: ChainId::ETHEREUM,
            block: 10,
            time: 1_760_000_000,
            place,
            market: "core".to_owned(),
            user: Address::repeat_byte(1),
            liquidator: Address::repeat_byte(2),
            collateral: Address::repeat_byte(3),
            debt: Address::repeat_byte(4 + u8::try_from(seed % 3).unwrap()),
            aggregator: None,
            route,
            why: None,
            shared_by: None,
            value: Some(Value {
                collateral: usd(105),
                debt: usd(100),
                bonus: usd(5),
                protocol_fee: usd(1),
                standing: Standing::Exact,
            }),
            native_usd: Some(Usd8(250_000_000_000)),
            gas_wei: None,
            bid_wei: None,
            builder_wei: None,
            recaptured_wei: parts.map(|[protocol, network]| protocol + network),
            protocol_wei: parts.map(|[protocol, _]| protocol),
            network_wei: parts.map(|[_, network]| network),
            payment: None,
            execution_usd: None,
        }
    }

    fn posted(transfers: &[Transfer]) -> Ledger {
        let mut ledger = Ledger::default();
        for transfer in transfers {
            ledger.open_for(transfer);
            assert_eq!(ledger.apply(transfer), Outcome::Posted);
            assert_eq!(ledger.apply(transfer), Outcome::Repeated);
        }
        ledger
    }

    proptest! {
        #[test]
        fn income_is_the_protocols_part_and_the_receivable_is_what_was_not_transferred(
            parts in prop::collection::vec(([0_u128..1 << 90, 0..1 << 90], 0_u128..1 << 80), 1..20),
            transferred in 1_u128..1 << 95,
        ) {
            let rows: Vec<Row> =
                (0..).zip(&parts).map(|(seed, (parts, _))| row(seed, Route::Paid, Some(*parts))).collect();
            let fee = |row: &Row| Some(parts[usize::try_from(row.place.log_index.unwrap()).unwrap()].1);
            let mut transfers = post(&rows, Standing::Exact, fee).transfers;
            let settlement = Settlement {
                network: ChainId::ETHEREUM, transaction: B256::repeat_byte(9), log_index: None,
                time: TimeUs(1_760_600_000_000_000), wei: transferred, native_usd: None,
            };
            transfers.push(settle(&settlement, Standing::Exact));
            let ledger = posted(&transfers);
            let native = Asset::native(ChainId::ETHEREUM);
            let accrued: u128 = parts.iter().map(|(parts, _)| parts[0]).sum();
            let receivable = ledger.balance(Account::new(Code::SvrReceivable, native));
            prop_assert_eq!(receivable.signed(), accrued.cast_signed() - transferred.cast_signed());
            // Every account together: the network's part is on none of them.
            let income: i128 = ledger.accounts().filter(|(account, _)| account.code == Code::SvrShare)
                .map(|(_, balance)| -balance.signed()).sum();
            prop_assert_eq!(income, accrued.cast_signed());
            for reserve in 4_u8..7 {
                let of = Account::new(Code::SvrShare, native).of_reserve(Address::repeat_byte(reserve));
                let expected: u128 = rows.iter().filter(|row| row.debt == Address::repeat_byte(reserve))
                    .map(|row| row.protocol_wei.unwrap()).sum();
                prop_assert_eq!(-ledger.balance(of).signed(), expected.cast_signed());
            }
            let fees: u128 = parts.iter().map(|(_, fee)| fee).sum();
            let collateral = Asset { network: ChainId::ETHEREUM, token: Address::repeat_byte(3) };
            prop_assert_eq!(ledger.balance(Account::new(Code::Cash, collateral)).signed(), fees.cast_signed());
        }
    }

    #[test]
    fn what_is_not_known_is_named_and_what_was_not_paid_is_not() {
        let rows = [
            row(0, Route::Paid, None),
            row(1, Route::PaymentUnknown, None),
            row(2, Route::Unknown, None),
            row(3, Route::Unpaid, None),
            row(4, Route::Fallback, None),
            row(5, Route::OtherFeed, None),
            row(6, Route::NoPrice, None),
        ];
        let postings = post(&rows, Standing::Exact, |row| (row.place.log_index != Some(6)).then_some(0));
        assert!(postings.transfers.is_empty());
        let named =
            [(0, Missing::SvrShare), (1, Missing::SvrShare), (2, Missing::SvrShare), (6, Missing::LiquidationFee)];
        assert_eq!(postings.missing, named);
    }

    #[test]
    fn a_share_is_worth_its_price_and_leads_to_its_payment() {
        let mut paid = row(0, Route::Paid, Some([1_500_000_000_000_000_000, 9]));
        paid.payment = Some(Place { transaction_index: 2, log_index: None, transaction: B256::repeat_byte(8) });
        let transfers = post(&[paid], Standing::Observed, |_| Some(0)).transfers;
        assert_eq!(transfers[0].usd, Some(Usd8(375_000_000_000)));
        let origin =
            Origin::Transaction { network: ChainId::ETHEREUM, transaction: B256::repeat_byte(8), log_index: None };
        assert_eq!((&transfers[0].origin, transfers[0].standing), (&origin, Standing::Observed));
    }
}
