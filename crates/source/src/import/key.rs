//! The identity of an imported event, so that the same event is taken once however often it is offered.

use std::collections::BTreeMap;

use protocol::liquidation::{Amount, Leg, Liquidation};
use protocol::time::TimeUs;
use sha2::{Digest, Sha256};

use crate::archive::liquidations::{EventKey, KeyKind};

/// What the weaker kind of key cannot tell apart, in words for reports and footers.
const WEAKNESS: &str = "two calls alike in time, chain, market, version, transaction, user, liquidator, both tokens and both amounts count once";

/// The note that a file carries about its keys.
pub(crate) fn weakness(weak: bool) -> String {
    if weak { WEAKNESS } else { "none" }.to_owned()
}

/// On what the keys of a file rest, in a few words. Files that differ in it can hold the same event under two keys.
pub(crate) fn rests_on(kinds: &BTreeMap<KeyKind, u64>, inexact_amounts: bool) -> &'static str {
    match (kinds.contains_key(&KeyKind::Log), kinds.contains_key(&KeyKind::Fields), inexact_amounts) {
        (true, false, _) => "log index",
        (false, _, false) => "all fields, exact amounts",
        (false, _, true) => "all fields, some amounts not exact",
        (true, true, _) => "log index for some rows, all fields for others",
    }
}

/// The key of an event: from (chain, transaction or else block, log index) where the source gives them, else from every
/// identifying field it has.
pub(crate) fn of(time: TimeUs, event: &Liquidation) -> (EventKey, KeyKind) {
    let mut hash = Sha256::new();
    hash.update(event.chain.0.to_be_bytes());
    let kind = match (event.transaction, event.block, event.log_index) {
        (Some(transaction), _, Some(log_index)) => {
            hash.update(b"log");
            hash.update(transaction);
            hash.update(log_index.to_be_bytes());
            KeyKind::Log
        }
        (None, Some(block), Some(log_index)) => {
            hash.update(b"block log");
            hash.update(block.to_be_bytes());
            hash.update(log_index.to_be_bytes());
            KeyKind::Log
        }
        _ => {
            hash.update(b"fields");
            fields(&mut hash, time, event);
            KeyKind::Fields
        }
    };
    let digest = hash.finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    (key, kind)
}

/// Adds every identifying field of an event to a hash.
pub(crate) fn fields(hash: &mut Sha256, time: TimeUs, event: &Liquidation) {
    hash.update(time.0.to_be_bytes());
    text(hash, &event.market);
    text(hash, event.version.map_or("", |version| version.word()));
    bytes(hash, event.transaction.as_ref().map(|hash| hash.as_slice()));
    bytes(hash, event.log_index.map(u32::to_be_bytes).as_ref().map(<[u8; 4]>::as_slice));
    hash.update(event.user);
    bytes(hash, event.liquidator.as_ref().map(|address| address.as_slice()));
    leg(hash, event.collateral.as_ref());
    leg(hash, event.debt.as_ref());
}

fn leg(hash: &mut Sha256, leg: Option<&Leg>) {
    let Some(leg) = leg else { return hash.update([0]) };
    bytes(hash, leg.token.address.as_ref().map(|address| address.as_slice()));
    // A listed token's name follows from its address, so a file that names it otherwise gives the same key.
    text(hash, &leg.token.symbol);
    match leg.amount {
        Amount::Missing => hash.update([0]),
        Amount::Exact(raw) => {
            hash.update([1]);
            hash.update(raw.units().to_be_bytes());
        }
        Amount::Inexact { tokens, .. } => {
            hash.update([2]);
            hash.update(tokens.to_bits().to_be_bytes());
        }
    }
}

/// Length first, so that no two lists of texts hash alike.
fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_be_bytes());
    hash.update(text);
}

fn bytes(hash: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        None => hash.update([0]),
        Some(bytes) => {
            hash.update([1]);
            hash.update(bytes);
        }
    }
}
