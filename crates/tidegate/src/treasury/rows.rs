//! The engine's transfers as rows of the archive, and back.

use engine::treasury::{Account, Action, Asset, Code, Entry, Id, Origin, Transfer};
use protocol::amount::Raw;
use source::archive::ledger::{self, Row, Side, Token};

use super::coins::Coins;

const POST: &str = "post";
const HOLD: &str = "hold";
const POST_HELD: &str = "post-held";
const VOID_HELD: &str = "void-held";

/// The word of an action in files and outputs.
pub(crate) const fn word(action: &Action) -> &'static str {
    match action {
        Action::Post(_) => POST,
        Action::Hold(_) => HOLD,
        Action::PostHeld { .. } => POST_HELD,
        Action::VoidHeld { .. } => VOID_HELD,
    }
}

/// A transfer as a row of a group.
pub(super) fn row(transfer: &Transfer, group: u64, coins: &Coins) -> Row {
    let (mut entry, mut amount, mut held) = (None, None, None);
    match transfer.action {
        Action::Post(of) | Action::Hold(of) => {
            let side = |account: Account| Side { code: account.code.word().to_owned(), reserve: account.reserve };
            let Asset { network, token } = of.debit.asset;
            let coin = coins.of(of.debit.asset);
            entry = Some(ledger::Entry {
                token: Token { network, address: token, symbol: coin.symbol, decimals: coin.decimals },
                debit: side(of.debit),
                credit: side(of.credit),
            });
            amount = Raw::new(of.amount);
        }
        Action::PostHeld { held: id, amount: some } => (held, amount) = (Some(id.0), some.and_then(Raw::new)),
        Action::VoidHeld { held: id } => held = Some(id.0),
    }
    Row {
        id: transfer.id.0,
        group,
        time: transfer.time,
        action: word(&transfer.action).to_owned(),
        held,
        entry,
        amount,
        usd: transfer.usd,
        standing: transfer.standing,
        origin: match &transfer.origin {
            Origin::Transaction { network, transaction, log_index } => {
                ledger::Origin::Transaction { network: *network, transaction: *transaction, log_index: *log_index }
            }
            Origin::File { name, row } => ledger::Origin::File { name: name.to_string(), row: *row },
            Origin::Rule { name, step } => ledger::Origin::File { name: name.to_string(), row: *step },
        },
    }
}

/// What a row says; none where it says what cannot be.
pub(super) fn transfer(row: &Row) -> Option<Transfer> {
    let amount = row.amount.map(Raw::units);
    let entry = || -> Option<Entry> {
        let entry = row.entry.as_ref()?;
        let asset = Asset { network: entry.token.network, token: entry.token.address };
        let account =
            |side: &Side| Some(Account { reserve: side.reserve, ..Account::new(Code::from_word(&side.code)?, asset) });
        Some(Entry { debit: account(&entry.debit)?, credit: account(&entry.credit)?, amount: amount? })
    };
    let action = match row.action.as_str() {
        POST => Action::Post(entry()?),
        HOLD => Action::Hold(entry()?),
        POST_HELD => Action::PostHeld { held: Id(row.held?), amount },
        VOID_HELD => Action::VoidHeld { held: Id(row.held?) },
        _ => return None,
    };
    Some(Transfer {
        id: Id(row.id),
        action,
        time: row.time,
        usd: row.usd,
        standing: row.standing,
        origin: match &row.origin {
            ledger::Origin::Transaction { network, transaction, log_index } => {
                Origin::Transaction { network: *network, transaction: *transaction, log_index: *log_index }
            }
            ledger::Origin::File { name, row } => Origin::File { name: name.as_str().into(), row: *row },
        },
    })
}
