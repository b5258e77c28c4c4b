//! Scenes of recapture on real Aave: what the archive tells of each liquidation is what truly happened, to the wei.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, U256};
use differential::svr::lab::{DOLLAR, ETHER, Lab};
use differential::svr::oracle::Settings;
use differential::svr::scene::{self, Kind, Truth};
use differential::{abi, feed};
use engine::recapture::Route;
use protocol::amount::Raw;
use protocol::standing::Standing;
use serde_json::json;
use source::archive::prices::{self, KnownBy, Row};
use source::archive::recaptured::{self, Recaptured};

use super::place::{Place, market, parts};
use super::reorganised::Following;
use crate::support;

/// An adapter in front of the recapturing proxy.
const ADAPTER: Address = Address::repeat_byte(0xad);

/// An archive for a laboratory, whose safe and settlement stand in a file of the user's.
struct Site {
    lab: Lab,
    place: Place,
    svr: String,
}

impl Site {
    fn start() -> Option<Self> {
        let (artifacts, binary) = parts()?;
        let mut lab = Lab::start(&binary, &artifacts, Settings::default()).unwrap();
        let place = Place::at(lab.node().unwrap().url(), lab.market.provider);
        let svr = place.bed.file("svr.toml", svr(&lab)).display().to_string();
        Some(Self { lab, place, svr })
    }

    /// Puts an adapter that computes its price between the oracle and the recapturing proxy, as a cap would be.
    fn adapt(&mut self) {
        let (asset, svr) = (self.lab.market.reserves[ETHER].asset, self.lab.oracles[ETHER].svr);
        let oracle = self.lab.price_oracle().unwrap();
        let evm = &mut self.lab.market.evm;
        evm.place(ADAPTER, feed::adapter()).unwrap();
        evm.set_storage(ADAPTER, U256::ZERO, abi::word(svr)).unwrap();
        evm.admin(ADAPTER, feed::set_ratio(100), "setRatio").unwrap();
        let [of, from] = [asset, ADAPTER].map(|address| abi::Value::array([address]));
        evm.admin(oracle, abi::call("setAssetSources(address[],address[])", &[of, from]), "setAssetSources").unwrap();
    }

    fn sync(&self, more: &[&str]) {
        let args: Vec<&str> = ["--svr", &self.svr].into_iter().chain(more.iter().copied()).collect();
        self.place.sync(&args);
    }
}

fn svr(lab: &Lab) -> String {
    let (safe, settlement) = (lab.house.safe, lab.house.settlement);
    let native = lab.market.reserves[ETHER].asset;
    format!(
        "[[chain]]\nid = 31337\nnative = \"{native}\"\n\
         [[chain.safe]]\naddress = \"{safe}\"\nevidence = \"own\"\n\
         [[chain.settlement]]\naddress = \"{settlement}\"\nevidence = \"own\"\n"
    )
}

/// The table, and what its footer says of payments that are in no row: how many, and how many wei.
fn table(place: &Place) -> (Vec<Recaptured>, (u64, u128)) {
    let file = recaptured::file(&place.archive(), &market()).unwrap().unwrap();
    let note = |name: &str| file.footer.note(name).unwrap().to_owned();
    let strays = (note("strays").parse().unwrap(), note("strays_wei").parse().unwrap());
    (recaptured::load(&file).unwrap(), strays)
}

fn small(wei: U256) -> u128 {
    u128::try_from(wei).unwrap()
}

/// Compares rows with what truly happened; returns how many wei the scenes' own liquidations brought.
fn compare(rows: &[Recaptured], truths: &[Truth]) -> u128 {
    let by_place: BTreeMap<(B256, Address), &Recaptured> =
        rows.iter().map(|row| ((row.transaction, row.user), row)).collect();
    let mut told = 0;
    for truth in truths {
        let own: Vec<&Recaptured> =
            truth.liquidations.iter().map(|taken| by_place[&(taken.at.transaction, taken.user)]).collect();
        for (row, taken) in own.iter().zip(&truth.liquidations) {
            assert_eq!(row.route, taken.route.word(), "{:?}: {row:?}", truth.kind);
            assert_eq!((row.block, row.time), (taken.at.block, taken.at.time), "{:?}", truth.kind);
            assert_eq!(row.transaction_index as usize, taken.at.index);
            assert_eq!((row.liquidator, row.collateral, row.debt), (taken.liquidator, taken.collateral, taken.debt));
            let through_auction = truth.rounds.first().map(|round| round.aggregator);
            assert_eq!(row.aggregator.is_some(), through_auction.is_some(), "{:?}: {row:?}", truth.kind);
            let worth = row.worth.unwrap();
            assert_eq!(worth.bonus.0, worth.collateral.0 - worth.debt.0);
            assert!(worth.bonus.0 > 0 && row.gas.is_some(), "{:?}: {row:?}", truth.kind);
        }
        let paid: Vec<&&Recaptured> = own.iter().filter(|row| row.route == Route::Paid.word()).collect();
        let sum = |of: fn(&Recaptured) -> Option<u128>| paid.iter().map(|row| of(row).unwrap()).sum::<u128>();
        let recaptured = sum(|row| row.recaptured);
        told += recaptured;
        let is_own = !matches!(truth.kind, Kind::NothingTaken | Kind::PaidLate);
        let expected = if is_own { small(truth.received()) } else { 0 };
        assert_eq!(recaptured, expected, "{:?}", truth.kind);
        assert_eq!(recaptured, sum(|row| row.protocol) + sum(|row| row.network));
        for row in &paid {
            let payment = truth.payments.first().unwrap();
            assert_eq!(row.payment, Some((payment.at.transaction, u32::try_from(payment.at.index).unwrap())));
            assert_eq!(row.shared_by, u32::try_from(paid.len()).ok(), "{:?}", truth.kind);
        }
        if let Some(split) = truth.allocations.first() {
            assert_eq!(paid[0].bid, Some((small(split.bid), Standing::Exact)));
            assert_eq!(paid[0].builder, Some((small(split.auctioneer + split.builder), Standing::Exact)));
        }
        for row in own.iter().filter(|row| row.route != Route::Paid.word()) {
            assert_eq!((row.bid, row.recaptured, row.payment), (None, None, None), "{:?}", truth.kind);
        }
    }
    told
}

/// Every scene on one chain, read in stages and at once: each liquidation's route and payment are the scene's. Without a node the
/// tables come again to the byte.
#[test]
fn scenes_are_told_from_the_archive_alone() {
    let Some(site) = Site::start() else { return };
    tells_scenes(site);
}

/// The same where no log tells the price, because an adapter computes it from what the recapturing proxy shows.
#[test]
fn scenes_behind_an_adapter_are_told_too() {
    let Some(mut site) = Site::start() else { return };
    site.adapt();
    tells_scenes(site);
}

fn tells_scenes(mut site: Site) {
    let truths: Vec<Truth> = Kind::ALL
        .into_iter()
        .map(|kind| {
            let truth = scene::play(&mut site.lab, kind).unwrap();
            if kind == Kind::OtherFeed {
                site.sync(&["--finality", "0"]);
            }
            truth
        })
        .collect();
    site.sync(&["--finality", "0"]);
    let (rows, strays) = table(&site.place);
    let count: usize = truths.iter().map(|truth| truth.liquidations.len()).sum();
    assert_eq!(rows.len(), count);
    let told = compare(&rows, &truths);
    // What is nobody's is named, and together it is everything that the safe ever got.
    let received: u128 = truths.iter().map(|truth| small(truth.received())).sum();
    assert_eq!((strays.0, told + strays.1), (2, received));
    let at_once = Place::at(site.lab.node().unwrap().url(), site.lab.market.provider);
    at_once.sync(&["--svr", &site.svr, "--finality", "0"]);
    assert_eq!(table(&at_once), (rows, strays));
    drop(site.lab);
    for place in [&site.place, &at_once] {
        let file = place.bed.archive().join("tables/market=m/recaptures.parquet");
        let before = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(place.bed.run(&["rebuild"]).code, Some(0));
        assert!(std::fs::read(&file).unwrap() == before, "it is another table");
        for command in ["report", "events", "rates"] {
            let ran = place.bed.run(&["svr", command, "--dataset", "m"]);
            assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        }
        books_shares(place);
    }
}

/// The protocol's part of every bid stands in the treasury's books with the transaction that brought it, and once however often it is
/// recorded.
fn books_shares(place: &Place) {
    let shares: Vec<Recaptured> =
        table(place).0.into_iter().filter(|row| row.protocol.is_some_and(|wei| wei > 0)).collect();
    assert!(!shares.is_empty());
    for _ in 0..2 {
        place.bed.run(&["treasury", "record", "--dataset", "m"]).succeeded();
        let report = place.bed.json(&["treasury", "ledger", "--account", "svr-share", "--top", "0"]);
        let entries = support::table(&report, "entries");
        assert_eq!(entries.len(), shares.len());
        let wei = |entry: &serde_json::Value| {
            Raw::parse_tokens(entry["amount"].as_str().expect("text"), 18).expect("an amount").units()
        };
        let booked: u128 = entries.iter().map(wei).sum();
        assert_eq!(booked, shares.iter().filter_map(|row| row.protocol).sum::<u128>());
        for row in &shares {
            let paid = row.payment.expect("it was paid").0;
            let from = format!("{paid:#x}");
            assert!(entries.iter().any(|entry| entry["from"] == *from && entry["standing"] == "assumed"), "{report}");
        }
    }
}

/// A payment that a reorganisation takes back while the program follows is in no table, and what replaced it is.
#[test]
fn a_payment_that_a_reorganisation_removes_is_gone() {
    let Some(mut site) = Site::start() else { return };
    let tip = |lab: &mut Lab| lab.node().unwrap().latest().unwrap();
    let before = scene::play(&mut site.lab, Kind::Won).unwrap();
    let mut following = Following::with(&site.place, &["--svr", &site.svr]);
    following.until(tip(&mut site.lab));
    let past = site.lab.node().unwrap().snapshot().unwrap();
    let gone = scene::play(&mut site.lab, Kind::Won).unwrap();
    following.until(tip(&mut site.lab));
    site.lab.node().unwrap().revert(past).unwrap();
    let stays = scene::play(&mut site.lab, Kind::Kept).unwrap();
    site.lab.node().unwrap().mine(1).unwrap();
    // It has taken the blocks that are gone, and takes what replaced them.
    following.until(tip(&mut site.lab));
    site.lab.node().unwrap().mine(30).unwrap();
    following.until(tip(&mut site.lab));
    following.stop();
    let (rows, strays) = table(&site.place);
    assert_eq!((rows.len(), strays), (2, (0, 0)), "{rows:?}");
    assert!(rows.iter().all(|row| row.transaction != gone.liquidations[0].at.transaction));
    compare(&rows, &[before, stays]);
    // The archive is as if the chain had never changed its mind.
    let to = recaptured::file(&site.place.archive(), &market()).unwrap().unwrap().blocks().unwrap().1;
    let fresh = Place::at(site.place.url.clone(), site.lab.market.provider);
    fresh.sync(&["--svr", &site.svr, "--finality", "0", "--to-block", &to.to_string()]);
    assert_eq!(table(&fresh), (rows, strays));
}

/// What readers of the recapturing proxies see is the price in the table, at every block at which a price is told.
#[test]
fn prices_behind_dual_aggregators_are_what_the_oracle_answers() {
    let Some(mut site) = Site::start() else { return };
    for kind in [Kind::Won, Kind::Fallback, Kind::Landed, Kind::Settled] {
        scene::play(&mut site.lab, kind).unwrap();
    }
    site.sync(&["--finality", "0"]);
    let to = site.lab.node().unwrap().latest().unwrap();
    let file = prices::file(&site.place.archive(), &market()).unwrap().unwrap();
    let mut rows = Vec::new();
    prices::each(&file, |row| rows.push(row)).unwrap();
    let oracle = site.lab.price_oracle().unwrap();
    let (mut by_feed, mut unknown) = (0, 0);
    for reserve in [ETHER, DOLLAR] {
        let asset = site.lab.market.reserves[reserve].asset;
        let svr = site.lab.oracles[reserve].svr;
        let own: Vec<&Row> = rows.iter().filter(|row| row.asset == asset && row.source == Some(svr)).collect();
        for block in own[0].block..=to {
            let last = own.iter().rev().find(|row| row.block <= block).unwrap();
            let Some((price, KnownBy::Feed)) = last.price else {
                unknown += 1;
                continue;
            };
            let data = abi::words("getAssetPrice(address)", &[abi::word(asset)]);
            let call = json!([{ "to": oracle.to_string(), "data": data.to_string() }, format!("{block:#x}")]);
            let answer = site.lab.node().unwrap().ask("eth_call", call).unwrap().unwrap();
            let answer: U256 = answer.as_str().unwrap().parse().unwrap();
            assert_eq!(answer, U256::from(price), "reserve {reserve} at block {block}: {last:?}");
            by_feed += 1;
        }
    }
    println!("{by_feed} prices told by feeds, {unknown} not known");
    assert!(by_feed > 4 * unknown && unknown > 0, "{by_feed}, {unknown}");
}
