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
        let done = market.act(&action).unwrap();
        mirror.act(&action);
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

fn book_is_right(version: Version) {
    let Some(artifacts) = contracts() else { return };
    let deployer = Deployer::new(&artifacts, version).unwrap();
    let mut tally = Tally::default();
    while tally.steps < STEPS {
        live(&deployer, tally.worlds, &mut tally);
    }
    let Tally { steps, worlds, too_large, stale_bits, rewound, compared, kinds } = &tally;
    println!(
        "{version:?}: {steps} steps in {worlds} worlds ({too_large} cut short), {rewound} events taken back and again, \
         {stale_bits} borrow bits left behind, {compared:?}\n{kinds:?}"
    );
    let many = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert!(many("Liquidated") > 50 && many("BalanceTransfer") > 50 && many("Updated") > 1_000, "{kinds:?}");
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
