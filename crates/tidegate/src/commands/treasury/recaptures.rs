//! What a record of recaptured bonuses says that the protocol is owed: its part of each. The network's part is nobody's income.

use std::collections::BTreeMap;

use engine::recapture::Route;
use engine::treasury::posting::svr_share;
use engine::treasury::{Action, Asset, Id, Origin, Transfer};
use protocol::Address;
use protocol::amount::Usd8;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::token::Tokens;
use source::archive::footer::TimeRange;
use source::archive::recaptures::{NATIVE_DECIMALS, Row, load};
use source::archive::{Archive, DatasetName};

use super::record::{Found, Group};
use crate::commands::svr::rows::route;
use crate::text::count;
use crate::treasury::coins::Coins;

/// What the protocol is owed of a liquidation.
#[derive(Debug, PartialEq, Eq)]
enum Owed {
    /// Nothing: no auction, no payment, or all of it the network's.
    Nothing,
    /// Nobody says how much.
    Unknown(&'static str),
    /// So much of the chain's native token.
    Native(u128),
    /// So many 10^-8 dollars, of which nobody says in what they were paid.
    Dollars(u128),
}

fn owed(row: &Row) -> Owed {
    match route(row) {
        Route::Paid => {}
        Route::PaymentUnknown => return Owed::Unknown("an auction was held, and what it paid is not in the record"),
        Route::Unpaid
        | Route::Leaked
        | Route::Landed
        | Route::Fallback
        | Route::OtherFeed
        | Route::NoPrice
        | Route::NotAuctioned
        | Route::Unknown => return Owed::Nothing,
    }
    let native = row.protocol_native.and_then(|native| u128::try_from(native).ok());
    let dollars = row.protocol.and_then(|usd| u128::try_from(usd.0).ok());
    match (native, dollars) {
        (Some(native @ 1..), _) => Owed::Native(native),
        // A record that rounds may say no native token of what it gives in dollars.
        (_, Some(dollars @ 1..)) => Owed::Dollars(dollars),
        (Some(0), _) | (None, Some(0)) => Owed::Nothing,
        (None, None) => Owed::Unknown("the protocol's part of what was recaptured is not in the record"),
    }
}

/// Gathers what a record's auctions brought.
pub(super) fn gather(
    archive: &Archive,
    dataset: &DatasetName,
    coins: &mut Coins,
    tokens: &Tokens,
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut rows: Vec<(u64, Row)> = (1..).zip(load(archive, dataset, &TimeRange::ALL)?).collect();
    // Rows of one name are told apart by their order, which must be the same whatever files they came in.
    rows.sort_by(|(_, one), (_, other)| one.cmp(other));
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    let (mut decimals, mut natives, mut dollars, mut unattributed) = (0, 0_u64, 0_u64, 0_u64);
    for (number, row) in rows {
        let (asset, amount) = match owed(&row) {
            Owed::Nothing => continue,
            Owed::Unknown(why) => {
                found.unknown.push((number, why.to_owned()));
                continue;
            }
            Owed::Native(amount) => {
                natives += 1;
                decimals = decimals.max(decimals_of(amount));
                (Asset::native(row.chain), amount)
            }
            Owed::Dollars(amount) => {
                dollars += 1;
                (Asset::dollars(row.chain), amount)
            }
        };
        // Puts the asset on record.
        let _ = coins.find(asset.network, &asset.token.to_string(), tokens)?;
        let reserve = reserve_of(&row.market, row.chain, tokens);
        unattributed += u64::from(reserve.is_none());
        let name = name(&row);
        let before = names.entry(name.clone()).or_default();
        *before += 1;
        let transfer = Transfer {
            id: Id::of_text(&format!("{name} {before}")),
            action: Action::Post(svr_share(asset, reserve, amount)),
            time: row.time,
            usd: row.protocol.filter(|usd| *usd >= Usd8(0)),
            standing: Standing::Imported,
            origin: match row.transaction {
                Some(transaction) => Origin::Transaction { network: row.chain, transaction, log_index: None },
                None => Origin::File { name: dataset.to_string().into(), row: number },
            },
        };
        found.groups.push(Group::of(transfer, number));
    }
    found.notes = notes(natives, decimals, dollars, unattributed);
    Ok(found)
}

/// What a recorded liquidation is called. Its amounts are not in the name, so that the same one with another amount is noticed.
fn name(row: &Row) -> String {
    let whole = |text: &str| format!("{} {text}", text.len());
    let place = row.transaction.map_or_else(|| format!("at {}", row.time.0), |hash| hash.to_string());
    let borrower = row.borrower.as_deref().map_or_else(|| "nobody".to_owned(), whole);
    format!("recapture {} {place} {} {borrower}", row.chain.0, whole(&row.market))
}

/// The reserve of a market that is called after the one token that is borrowed in it, as Compound's third version calls them: `cUSDCv3`.
fn reserve_of(market: &str, network: ChainId, tokens: &Tokens) -> Option<Address> {
    let base = market.trim().strip_prefix('c')?.strip_suffix("v3")?;
    tokens.by_symbol(network, base).map(|listed| listed.address)
}

/// With how many decimals an amount of native tokens is written.
fn decimals_of(mut amount: u128) -> u8 {
    let mut decimals = NATIVE_DECIMALS;
    while decimals > 0 && amount.is_multiple_of(10) {
        amount /= 10;
        decimals -= 1;
    }
    decimals
}

fn notes(natives: u64, decimals: u8, dollars: u64, unattributed: u64) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |number: u64, what: &str| {
        if number > 0 {
            notes.push(format!("{} {what}", count(number)));
        }
    };
    note(
        natives,
        &format!(
            "amounts are in native tokens as the record gives them, with at most {decimals} decimals; they were not read from the chain, and \
            transfers of the safe settle them but for that rounding."
        ),
    );
    note(
        dollars,
        "amounts are in the asset USD, since the record gives dollars alone: in what they were paid is not known, and no transfer of the safe settles them.",
    );
    note(
        unattributed,
        "amounts are attributed to no reserve, since their market is not called after the token borrowed in it.",
    );
    notes.push("The network's part is nobody's income and stands in no entry.".to_owned());
    notes
}
