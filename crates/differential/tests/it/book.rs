//! The book, folded from nothing but logs and answers, knows after every step what the contracts know.

use std::collections::BTreeMap;

use differential::action::Action;
use differential::compare::Touched;
use differential::deploy::Deployer;
use differential::folded::{Compared, Followed, Follower, kinds};
use differential::generate::Generator;
use differential::mirror::Mirror;
use differential::prove::seed;
use differential::world::{Version, World};
use engine::book::View;
use engine::book::seized::seizures;
use protocol::aave::liquidation::Liquidated;
use protocol::aave::pool::{Executed, Outcome};
use protocol::event::Event;

use crate::contracts;

/// Steps of every version.
const STEPS: usize = 5_000;
/// Steps of one world.
const LIFE: usize = 400;
/// After this many steps everything is compared.
const EVERYTHING: usize = 200;
/// After this many steps the book goes back as many, and takes them again.
const BACK: usize = 20;

#[derive(Default)]
struct Tally {
    steps: usize,
    worlds: u64,
    too_large: u64,
    stale_bits: u64,
    rewound: usize,
    fees: u64,
    compared: Compared,
    kinds: BTreeMap<String, u64>,
}

/// Lives one world, comparing what each step touches.
fn live(deployer: &Deployer<'_>, number: u64, tally: &mut Tally) {
    let seed = seed(4, number);
    let world = World::random(deployer.version(), seed);
    let mut market = deployer.market(&world).unwrap();
    let mut follower = Follower::new(&mut market).unwrap();
    // The native pool only says which steps are worth taking.
    let (mut mirror, mut generator) = (Mirror::new(&world), Generator::new(&world, seed));
    let mut mark = follower.mark();
    for step in 1..=LIFE {
        let action = generator.step(&mirror);
        let touched = Touched::by(&mirror, &action);
        let (done, before) = (market.act(&action).unwrap(), follower.mark().0);
        let native = mirror.act(&action);
        if let Action::Admin(admin) = &action
            && done.is_ok()
        {
            mirror.follow(admin, &mut market).unwrap();
        }
        tally.steps += 1;
        if follower.follow(&mut market).unwrap() == Followed::TooLarge {
            tally.too_large += 1;
            break;
        }
        if let Some(Outcome::Executed(Executed::Liquidated(native))) = &native {
            let own: Vec<Event> = follower.events().skip(before).cloned().collect();
            tally.fees += seizure(&follower.view(), &own, native);
        }
        let touched = touched.and(Touched::by(&mirror, &action));
        let everything = Touched::everything(&market);
        let look = if step % EVERYTHING == 0 { &everything } else { &touched };
        let difference = follower.compare(&mut market, (look.reserves(), look.users()), &mut tally.compared).unwrap();
        if let Some(difference) = difference {
            panic!("{:?}, world {number}, step {step}, {action:?}: {difference}", world.version);
        }
        if step % BACK == 0 {
            let (left, then) = mark;
            let now = follower.mark();
            tally.rewound += now.0 - left;
            assert!(follower.rewind(left).unwrap() == then, "world {number}, step {step}: taken back, it is another");
            assert!(follower.mark() == now, "world {number}, step {step}: taken again, it is another");
            mark = now;
        }
    }
    tally.stale_bits += follower.stale_bits;
    tally.worlds += 1;
    kinds(follower.events(), &mut tally.kinds);
}

/// What a liquidation took, as its transaction's events tell it, is what the native pool says; 1 where there was a fee.
fn seizure(view: &View, events: &[Event], native: &Liquidated) -> u64 {
    let found = seizures(view, events);
    let [found] = &found[..] else {
        panic!("{} liquidations in one transaction", found.len());
    };
    assert_eq!((found.call.repaid, found.call.received), (native.debt_repaid, native.collateral_received));
    let scaling = view.listed()[usize::from(found.collateral.0)].supply_runs.rules().scaling;
    assert_eq!(
        scaling.withdrawn(native.protocol_fee, found.fee_index),
        Ok(found.fee_scaled.unwrap()),
        "{native:?}, {found:?}"
    );
    let mut deficits: Vec<_> =
        found.written_off.iter().map(|(asset, amount)| (view.id(asset).unwrap(), *amount)).collect();
    deficits.sort_unstable();
    let mut own = native.deficits.clone();
    own.sort_unstable();
    assert_eq!(deficits, own);
    u64::from(!native.protocol_fee.is_zero())
}

fn book_is_right(version: Version) {
    let Some(artifacts) = contracts() else { return };
    let deployer = Deployer::new(&artifacts, version).unwrap();
    let mut tally = Tally::default();
    while tally.steps < STEPS {
        live(&deployer, tally.worlds, &mut tally);
    }
    let Tally { steps, worlds, too_large, stale_bits, rewound, fees, compared, kinds } = &tally;
    println!(
        "{version:?}: {steps} steps in {worlds} worlds ({too_large} cut short), {rewound} events taken back and again, \
         {stale_bits} borrow bits left behind, {fees} fees of liquidations, {compared:?}\n{kinds:?}"
    );
    let many = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert!(many("Liquidated") > 50 && many("BalanceTransfer") > 50 && many("Updated") > 1_000, "{kinds:?}");
    assert!(version == Version::V2 || *fees > 20, "{fees} fees");
    assert!(version == Version::V3_6 || many("StableMinted") > 50, "{kinds:?}");
}

#[test]
fn book_of_v2() {
    book_is_right(Version::V2);
}

#[test]
fn book_of_v3_0_0() {
    book_is_right(Version::V3_0_0);
}

#[test]
fn book_of_v3_0_2() {
    book_is_right(Version::V3_0_2);
}

#[test]
fn book_of_v3_6() {
    book_is_right(Version::V3_6);
}
