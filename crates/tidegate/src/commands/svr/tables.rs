//! The tables of `tidegate svr`.

use std::cmp::Reverse;

use engine::recapture::rates::{By, Fold, Key, Rates, Ratio, Sums};
use engine::recapture::{Route, Row};
use protocol::amount::Usd8;

use super::rows::{Event, Rows};
use crate::table::{Table, Unit, Value};
use crate::text;

fn usd(usd8: i128) -> Value {
    Value::Usd(Usd8(usd8))
}

fn maybe(amount: Option<Usd8>) -> Value {
    amount.map_or(Value::Missing, Value::Usd)
}

fn share(ratio: Ratio) -> Value {
    Value::share(ratio.part.0, ratio.whole.0)
}

fn name(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Each rate over everything: its name, its part, its whole, what it comes to, whether that is the figure or a bound, and the gross
/// bonuses for which what decides is not known.
pub(super) fn rates(rows: &Rows, fold: &Fold) -> Table {
    let dataset = rows.name.as_str();
    let mut table = Table::new(
        "rates",
        &[
            ("dataset", Unit::Text),
            ("rate", Unit::Text),
            ("part_usd", Unit::Usd),
            ("of_usd", Unit::Usd),
            ("share", Unit::Share),
            ("share_is", Unit::Text),
            ("bonus_not_known_usd", Unit::Usd),
        ],
    );
    let sums = fold.total();
    let rates = sums.rates();
    let missed = is_missed_known(sums);
    let net = sums.without_fee == 0;
    // A record says itself what each part was; what chain logs tell is split as is assumed.
    let is_split_assumed = rows.events.iter().any(|event| event.row.is_some());
    let (unpaid, unrouted) = (sums.bonus_payment_unknown, sums.of(&[Route::Unknown]));
    let either = unpaid.saturating_add(unrouted.bonus);
    let (is_paid_known, is_routed_known) = (sums.is_payment_known(), unrouted.count == 0);
    let bound = |is_known: bool| if is_known { "the figure" } else { "at least" };
    let paid = bound(is_paid_known && is_routed_known);
    // Unknown routes can be auctioned bonuses too, so that a rate of those that are known is no bound.
    let of_routed = if is_routed_known { bound(is_paid_known) } else { "of those known to be auctioned" };
    let split = if is_split_assumed { "assumed" } else { "the figure" };
    for (what, ratio, is_known, is, beside) in [
        ("recaptured / all bonuses", rates.of_all, true, paid, either),
        ("recaptured / auctioned bonuses", rates.of_routed, true, of_routed, either),
        ("coverage: auctioned / all bonuses", rates.coverage, true, bound(is_routed_known), unrouted.bonus),
        (
            "coverage with what is not known",
            rates.coverage_at_most,
            true,
            if is_routed_known { "the figure" } else { "at most" },
            0,
        ),
        ("recaptured / volume", rates.of_volume, true, paid, either),
        ("recaptured / all bonuses, net of the protocol's fee", rates.net_of_all, net, paid, either),
        ("recaptured / auctioned bonuses, net of the protocol's fee", rates.net_of_routed, net, of_routed, either),
        ("fallback / bonuses an auction was possible for", rates.fallback, missed, "the figure", 0),
        ("protocol / recaptured", Ratio { part: Usd8(sums.protocol), whole: Usd8(sums.recaptured) }, true, split, 0),
        ("network / recaptured", Ratio { part: Usd8(sums.network), whole: Usd8(sums.recaptured) }, true, split, 0),
    ] {
        let figures = [Value::Usd(ratio.part), Value::Usd(ratio.whole), share(ratio), name(is), usd(beside)];
        let mut row = vec![name(dataset), name(what)];
        row.extend(figures.map(|figure| if is_known { figure } else { Value::Missing }));
        table.push(row);
    }
    table
}

/// Whether it is known which liquidations an auction was missed for: not where routes are unknown, or told in part.
fn is_missed_known(sums: &Sums) -> bool {
    sums.of(&[Route::NotAuctioned, Route::Unknown]).count == 0
}

/// How liquidations came about.
pub(super) fn routes(dataset: &str, fold: &Fold) -> Table {
    let mut table = Table::new(
        "routes",
        &[
            ("dataset", Unit::Text),
            ("route", Unit::Text),
            ("liquidations", Unit::Count),
            ("bonus_usd", Unit::Usd),
            ("of_all_bonuses", Unit::Share),
        ],
    );
    let sums = fold.total();
    for route in Route::ALL {
        let of = sums.of(&[route]);
        if of.count > 0 {
            let share = Value::share(of.bonus, sums.bonus);
            table.push(vec![name(dataset), name(route.word()), Value::Count(of.count), usd(of.bonus), share]);
        }
    }
    let share = Value::share(sums.bonus, sums.bonus);
    table.push(vec![name(dataset), name("all"), Value::Count(sums.count), usd(sums.bonus), share]);
    table
}

/// By month, as the chart has it.
pub(super) fn months(dataset: &str, fold: &Fold) -> Table {
    Table { name: "months", ..groups(dataset, &[By::Month], fold) }
}

/// Rates in groups.
pub(super) fn groups(dataset: &str, by: &[By], fold: &Fold) -> Table {
    let mut columns = vec![("dataset", Unit::Text)];
    columns.extend(by.iter().map(|by| (by_name(*by), if *by == By::Hour { Unit::Time } else { Unit::Text })));
    columns.extend([
        ("liquidations", Unit::Count),
        ("auctioned", Unit::Count),
        ("volume_usd", Unit::Usd),
        ("bonus_usd", Unit::Usd),
        ("auctioned_bonus_usd", Unit::Usd),
        ("recaptured_usd", Unit::Usd),
        ("protocol_usd", Unit::Usd),
        ("network_usd", Unit::Usd),
        ("missed_bonus_usd", Unit::Usd),
        ("recaptured_of_all", Unit::Share),
        ("recaptured_of_auctioned", Unit::Share),
        ("coverage", Unit::Share),
        ("recaptured_of_volume", Unit::Share),
        ("bonus_without_usd", Unit::Count),
        ("rated_volume_usd", Unit::Usd),
        ("bonus_payment_unknown_usd", Unit::Usd),
        ("bonus_route_unknown_usd", Unit::Usd),
    ]);
    let mut table = Table::new("groups", &columns);
    for (key, sums) in fold.groups() {
        let mut row = vec![name(dataset)];
        row.extend(by.iter().zip(key).map(|(by, key)| label(*by, key)));
        row.extend(figures(sums, &sums.rates()));
        table.push(row);
    }
    table
}

fn figures(sums: &Sums, rates: &Rates) -> [Value; 17] {
    let routed = sums.of(&Route::ROUTED);
    [
        Value::Count(sums.count),
        Value::Count(routed.count),
        usd(sums.volume),
        usd(sums.bonus),
        usd(routed.bonus),
        usd(sums.recaptured),
        usd(sums.protocol),
        usd(sums.network),
        if is_missed_known(sums) { usd(sums.missed().bonus) } else { Value::Missing },
        share(rates.of_all),
        share(rates.of_routed),
        share(rates.coverage),
        share(rates.of_volume),
        Value::Count(sums.without_bonus),
        Value::Usd(rates.of_volume.whole),
        usd(sums.bonus_payment_unknown),
        usd(sums.of(&[Route::Unknown]).bonus),
    ]
}

fn by_name(by: By) -> &'static str {
    match by {
        By::Feed => "feed",
        By::Market => "market",
        By::Chain => "chain",
        By::Hour => "hour",
        By::Week => "week",
        By::Month => "month",
        By::Size => "size",
        By::Route => "route",
        By::Searcher => "searcher",
    }
}

/// What tells a group apart, for reading.
pub(super) fn label(by: By, key: &Key) -> Value {
    let date = |length: usize, time: &protocol::time::TimeUs| time.to_string().chars().take(length).collect();
    match key {
        Key::Chain(chain) => Value::Text(chain.to_string()),
        Key::Market(market) => Value::Text(market.clone()),
        Key::Size(size) => name(size.words()),
        Key::Route(route) => name(route.word()),
        Key::Account(account) => {
            account.map_or(Value::Missing, |account| Value::Text(text::address(&account.into_array())))
        }
        Key::Time(time) => match by {
            By::Hour => Value::Time(*time),
            By::Month => Value::Text(date(7, time)),
            By::Week | By::Feed | By::Market | By::Chain | By::Size | By::Route | By::Searcher => {
                Value::Text(date(10, time))
            }
        },
    }
}

/// Each liquidation; the largest by bonus where only some are wanted, else by time.
pub(super) fn events(rows: &Rows, top: Option<usize>) -> Table {
    let mut table = Table::new(
        "events",
        &[
            ("dataset", Unit::Text),
            ("time", Unit::Time),
            ("chain", Unit::Text),
            ("market", Unit::Text),
            ("route", Unit::Text),
            ("volume_usd", Unit::Usd),
            ("bonus_usd", Unit::Usd),
            ("protocol_fee_usd", Unit::Usd),
            ("bid_usd", Unit::Usd),
            ("builder_usd", Unit::Usd),
            ("recaptured_usd", Unit::Usd),
            ("protocol_usd", Unit::Usd),
            ("network_usd", Unit::Usd),
            ("gas_usd", Unit::Usd),
            ("execution_usd", Unit::Usd),
            ("searcher_keeps_usd", Unit::Usd),
            ("standing", Unit::Text),
            ("borrower", Unit::Text),
            ("searcher", Unit::Text),
            ("feed", Unit::Text),
            ("tx_hash", Unit::Text),
        ],
    );
    let mut shown: Vec<&Event> = rows.events.iter().collect();
    if let Some(top) = top {
        shown.sort_by_key(|event| Reverse(event.record.bonus));
        shown.truncate(top);
    }
    shown.into_iter().for_each(|event| table.push(event_row(&rows.name, event)));
    table
}

fn event_row(dataset: &str, event: &Event) -> Vec<Value> {
    let record = &event.record;
    let row = event.row.as_deref();
    let dollars = row.and_then(Row::dollars);
    let remainder = row.and_then(Row::remainder);
    let account = |account: Option<protocol::Address>| {
        account.map_or(Value::Missing, |found| Value::Text(text::address(&found.into_array())))
    };
    // The weakest of what stands in the row: a bid is an estimate where only what was handed on is seen.
    let standings = [dollars.map(|dollars| dollars.standing), remainder.map(|remainder| remainder.usd.standing)];
    let standing = standings.into_iter().flatten().fold(record.standing, std::cmp::Ord::max);
    vec![
        name(dataset),
        Value::Time(record.time),
        Value::Text(record.chain.to_string()),
        name(&record.market),
        name(record.route.word()),
        maybe(record.volume),
        maybe(record.bonus),
        maybe(record.protocol_fee),
        maybe(dollars.map(|dollars| dollars.bid)),
        maybe(dollars.map(|dollars| dollars.builder)),
        maybe(record.recaptured),
        maybe(record.protocol),
        maybe(record.network),
        maybe(row.and_then(Row::gas_usd)),
        maybe(row.and_then(|row| row.execution_usd).map(|known| known.value)),
        maybe(remainder.map(|remainder| remainder.usd.value)),
        Value::Text(standing.to_string()),
        event.borrower.as_deref().map_or(Value::Missing, name),
        account(record.searcher),
        account(record.feed),
        event.transaction.map_or(Value::Missing, |hash| Value::Text(text::hex(hash.as_slice()))),
    ]
}
