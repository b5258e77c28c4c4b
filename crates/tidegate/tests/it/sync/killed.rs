//! The program killed at any instant of a sync or while it follows: in the end the archive is as if nothing had been.

use std::process::Stdio;
use std::time::{Duration, Instant};

use differential::chain::Chain;
use differential::proxy::{Fault, Proxy, RANGE_TEXTS, When};
use differential::world::Version;
use source::archive::reads::ReadKey;
use source::decode::reads;

use super::figures::Figures;
use super::place::{Place, parts};
use super::{stage, start};
use crate::support::{Chance, every_file, number_from, read, seed};

/// A file is finished after 64 ranges, so that ranges this long make many files of a short life.
const RANGE: u64 = 1;

/// After how many kills a sync is let run to its end and compared.
const KILLS_PER_ROUND: u64 = 10;

/// Kills that fell into a sync that was not over, and those that left something half done behind.
#[derive(Debug, Default)]
struct Met {
    early: u64,
    running: u64,
    over: u64,
    with_parts: u64,
    files: usize,
}

/// What an archive comes to, and how long it takes to get there.
struct Uninterrupted {
    place: Place,
    positions: String,
    table: Vec<u8>,
    took: Duration,
}

/// The table of liquidations, made anew from what the archive holds.
fn rebuilt(place: &Place) -> Vec<u8> {
    // Those that were killed on their way have read to wherever they were killed; all are brought to the end of the chain.
    place.sync(&["--finality", "0"]);
    let file = place.bed.archive().join("tables/market=m/liquidations.parquet");
    let held = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(place.bed.run(&["rebuild"]).code, Some(0));
    let anew = std::fs::read(&file).unwrap();
    assert!(anew == held, "made anew it is another table than the sync made");
    anew
}

fn finish(place: &Place, figures: &Figures) {
    place.sync(&["--finality", "0", "--to-block", &figures.block.to_string()]);
}

fn compare(place: &Place, figures: &Figures, right: &Uninterrupted) {
    finish(place, figures);
    let parts =
        every_file(&place.bed.archive()).into_iter().filter(|path| path.extension().is_some_and(|end| end == "part"));
    assert_eq!(parts.count(), 0, "a sync that ended leaves nothing half done");
    assert!(place.logs() == right.place.logs(), "other logs than without a kill");
    assert_eq!(place.positions(figures.block, &figures.addresses()), right.positions);
    // A killed sync may have gone further than this one.
    let prices = |place: &Place| -> Vec<_> {
        let rows = read(&place.bed.archive().join("tables/market=m/prices.parquet")).1;
        rows.into_iter().filter(|row| row["block"].parse::<u64>().unwrap() <= figures.block).collect()
    };
    assert!(prices(place) == prices(&right.place), "other prices than without a kill");
    assert!(rebuilt(place) == right.table, "another table of liquidations than without a kill");
    let own = place.reads();
    // What never changes is asked once, at whichever block the first fold ended; who stands behind a feed, where that was found out.
    let once = [reads::SYMBOL, reads::TYPE, reads::PHASE_AGGREGATOR, "aggregator()"]
        .map(|signature| reads::call(signature, &[]));
    let is_asked_once = |key: &ReadKey| once.iter().any(|call| key.data.starts_with(call));
    for (key, answer) in right.place.reads().into_iter().filter(|(key, _)| !is_asked_once(key)) {
        assert_eq!(own.get(&key), Some(&answer), "another answer than without a kill");
    }
}

fn uninterrupted(proxy: &Proxy, chain: &Chain, figures: &Figures) -> Uninterrupted {
    let place = Place::at(proxy.url(), chain.market.provider);
    let begin = Instant::now();
    finish(&place, figures);
    let took = begin.elapsed();
    figures.compare(&place);
    let positions = place.positions(figures.block, &figures.addresses());
    Uninterrupted { positions, table: rebuilt(&place), place, took }
}

/// Starts the program, kills it some time later, and tallies what the kill met.
fn kill(place: &Place, args: &[&str], delay: Duration, met: &mut Met) {
    let mut child = place.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let is_over = child.try_wait().unwrap().is_some();
    // A child that has just ended by itself cannot be killed any more, which is as good.
    let _ = child.kill();
    child.wait().unwrap();
    let files = every_file(&place.bed.archive());
    let is = |path: &std::path::PathBuf, end: &str| path.extension().is_some_and(|own| own == end);
    let finished = files.iter().filter(|path| is(path, "parquet")).count();
    met.files = met.files.max(finished);
    met.with_parts += u64::from(files.iter().any(|path| is(path, "part")));
    *(if is_over {
        &mut met.over
    } else if finished == 0 {
        &mut met.early
    } else {
        &mut met.running
    }) += 1;
}

/// From so many kills on, some must have met a file that was being written.
const LONG_RUN: u64 = 200;

fn kills(count: u64) {
    let Some(parts) = parts() else { return };
    let mut chain = start(&parts, Version::V3_6, 1);
    let figures = stage(&mut chain, 200);
    chain.node().unwrap().mine(2).unwrap();
    let proxy = Proxy::start(chain.node().unwrap().address()).unwrap();
    proxy.add(Fault::Range(RANGE, RANGE_TEXTS[0]), When::Always);
    let right = uninterrupted(&proxy, &chain, &figures);
    let liquidations =
        crate::support::row_count(&right.place.bed.archive().join("tables/market=m/liquidations.parquet"));
    assert!(liquidations > 0, "nobody was liquidated, and an empty table is easily equal");
    let (mut chance, mut met) = (Chance(seed()), Met::default());
    let mut place = Place::at(proxy.url(), chain.market.provider);
    let begin = Instant::now();
    // What a kill meets is chance, so kills go on until they met both kinds, within reason. A file being written is met too
    // seldom to be waited for, except by a long run.
    let meets_all = |met: &Met| met.running > 0 && met.early > 0 && (met.with_parts > 0 || count < LONG_RUN);
    let mut number = 0;
    while number < count || (count >= 25 && !meets_all(&met) && number < 8 * count) {
        number += 1;
        let share = u32::try_from(chance.below(1_000)).unwrap();
        let delay = right.took.mul_f64(f64::from(share) / 1_000.0);
        let follows = chance.below(3) == 0;
        let args: &[&str] = if follows { &["--finality", "40", "--follow"] } else { &["--finality", "0"] };
        kill(&place, args, delay, &mut met);
        // What is visible is whole at any time.
        if number % 3 == 0 {
            place.logs();
        }
        if number % KILLS_PER_ROUND == 0 || number >= count {
            compare(&place, &figures, &right);
            place = Place::at(proxy.url(), chain.market.provider);
        }
    }
    println!(
        "{number} kills in {:?}, a sync takes {:?}, {liquidations} liquidations: {met:?}",
        begin.elapsed(),
        right.took
    );
    if count >= 25 {
        assert!(meets_all(&met), "they met too little: {met:?}");
    }
}

#[test]
fn a_sync_killed_at_any_instant_goes_on_as_if_nothing_had_been() {
    kills(number_from("TIDEGATE_KILLS").unwrap_or(25));
}
