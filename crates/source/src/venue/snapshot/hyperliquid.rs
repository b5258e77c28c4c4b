//! What Hyperliquid is asked.

use std::time::Duration;

use protocol::Address;
use protocol::perp::{Instrument, Observation};
use protocol::time::{HOUR_US, TimeUs};
use protocol::venue::Venue;
use serde_json::json;

use super::super::client::{Ask, Client, Failure};
use super::super::hyperliquid as reply;
use super::super::wire::Reject;
use super::{Known, Plan, Snapshot, Step, Window, limit, pages};

const KEPT: Duration = Duration::from_secs(6 * 3_600);
/// So many of the latest candles are told.
const CANDLES_KEPT: i64 = 5_000;

fn post(question: &serde_json::Value, weight: u32) -> Ask {
    Ask { path: "/info".to_owned(), body: Some(question.to_string()), weight, keep: None }
}

pub(super) async fn instruments(snapshot: &mut Snapshot, client: &Client, coin: &str) {
    // Of what is kept, the contracts alone are read; their state is asked anew below.
    let ask = Ask { keep: Some(KEPT), ..post(&json!({ "type": "metaAndAssetCtxs" }), 20) };
    snapshot.list(client, ask, |body| reply::instruments(coin, body)).await;
}

pub(super) fn plan(instrument: &Instrument, window: &Window, now: TimeUs) -> Plan {
    let mut plan = Plan::default();
    let coin = &*instrument.symbol;
    let of = instrument.clone();
    let state = move |_: &Known, body: &[u8], at| {
        let mut parsed = reply::state(&of, body, at)?;
        parsed.append(reply::tiers(&of, body, at)?);
        Ok(parsed)
    };
    let ask = post(&json!({ "type": "metaAndAssetCtxs" }), 20);
    plan.steps.push(Step::said("prices, open interest and margin tiers", ask, state));
    let of = instrument.clone();
    let book = move |_: &Known, body: &[u8], at| reply::depth(&of, body, at);
    plan.steps.push(Step::said("order book", post(&json!({ "type": "l2Book", "coin": coin }), 2), book));
    let length = window.interval.us();
    let from = now.0 - (CANDLES_KEPT - 1) * length;
    let kept = limit(&mut plan, "candles", window, from, "the latest 5,000");
    for (from, to) in pages(&mut plan, "candles", &kept, (2_500, length)) {
        let request = json!({ "coin": coin, "interval": window.interval.word(), "startTime": from, "endTime": to });
        let of = instrument.clone();
        let read = move |_: &Known, body: &[u8], at| reply::candles(&of, length, body, at);
        let rows = u32::try_from((to - from) * 1_000 / length).unwrap_or(u32::MAX);
        let ask = post(&json!({ "type": "candleSnapshot", "req": request }), 20 + rows / 60);
        plan.steps.push(Step::said("candles", ask, read));
    }
    for (from, to) in pages(&mut plan, "funding", window, (500, HOUR_US)) {
        let request = json!({ "type": "fundingHistory", "coin": coin, "startTime": from, "endTime": to });
        let of = instrument.clone();
        let read = move |_: &Known, body: &[u8], at| reply::funding_history(&of, body, at);
        plan.steps.push(Step::said("funding", post(&request, 45), read));
    }
    for what in ["open interest of the past", "candles of the mark price", "what buyers took"] {
        plan.vain.push((what, Failure::NotTold("Hyperliquid does not tell it".to_owned())));
    }
    let said = "Hyperliquid lists no liquidations; they are among the fills of the accounts concerned";
    plan.vain.push(("liquidations of the past", Failure::NotTold(said.to_owned())));
    plan
}

/// What Hyperliquid told of some accounts.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    /// Their positions, account by account.
    pub positions: Vec<Observation>,
    /// Positions that could not be taken.
    pub rejects: Vec<Reject>,
    /// The accounts that could not be read, and why.
    pub missing: Vec<(Address, Failure)>,
}

/// The positions of accounts on Hyperliquid, where every account's state is public: 300 a minute, which is half of what the venue allows.
pub async fn accounts(client: &Client, accounts: &[Address]) -> Accounts {
    let mut told = Accounts::default();
    for account in accounts {
        let ask = post(&json!({ "type": "clearinghouseState", "user": format!("{account:#x}") }), 2);
        let parsed = match client.ask(Venue::Hyperliquid, &ask).await {
            Ok(answer) => reply::positions(*account, &answer.body, answer.at).map_err(Failure::Unread),
            Err(why) => Err(why),
        };
        match parsed {
            Ok(parsed) => {
                told.positions.extend(parsed.rows);
                told.rejects.extend(parsed.rejects);
            }
            Err(why) => told.missing.push((*account, why)),
        }
    }
    told
}
