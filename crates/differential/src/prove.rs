//! A run: a random world, random steps, and after each of them the question whether chain and native pool agree.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;

use crate::action::Action;
use crate::chance::Chance;
use crate::compare::{self, Difference, Touched};
use crate::deploy::Deployer;
use crate::generate::Generator;
use crate::market::Market;
use crate::mirror::Mirror;
use crate::world::World;

/// After this many steps every figure is compared, not only what a step touched.
const EVERYTHING: usize = 200;

/// How many steps a world lives.
pub const LIFE: usize = 400;

/// A world and steps in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Where it happens.
    pub world: World,
    /// What happens.
    pub steps: Vec<Action>,
}

/// A market and its mirror.
#[derive(Debug)]
pub struct Run {
    market: Market,
    mirror: Mirror,
    steps: usize,
}

impl Run {
    /// A world with nobody in it, on both sides.
    pub fn new(deployer: &Deployer<'_>, world: &World) -> Result<Self> {
        Ok(Self { market: deployer.market(world)?, mirror: Mirror::new(world), steps: 0 })
    }

    /// The native side.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Takes a step on both sides and compares; also says whether it was done or why it was refused.
    pub fn step(&mut self, action: &Action) -> Result<(String, Option<Difference>)> {
        let touched = Touched::by(&self.mirror, action);
        let chain = self.market.act(action)?;
        let native = self.mirror.act(action);
        let came_to = match &chain {
            Ok(_) => String::new(),
            Err(reason) => reason.clone(),
        };
        if let Action::Admin(admin) = action
            && chain.is_ok()
        {
            self.mirror.follow(admin, &mut self.market)?;
        }
        if let Some(native) = &native
            && let Some(difference) = compare::outcomes(&self.mirror, &self.market, action, &chain, native)
        {
            return Ok((came_to, Some(difference)));
        }
        self.steps += 1;
        let touched = if self.steps.is_multiple_of(EVERYTHING) {
            Touched::everything(&self.market)
        } else {
            touched.and(Touched::by(&self.mirror, action))
        };
        Ok((came_to, compare::figures(&self.mirror, &mut self.market, &touched)?))
    }

    /// Compares every figure.
    pub fn everything(&mut self) -> Result<Option<Difference>> {
        let everything = Touched::everything(&self.market);
        compare::figures(&self.mirror, &mut self.market, &everything)
    }
}

/// A run that found a difference, with the steps that led there.
#[derive(Clone, Debug)]
pub struct Found {
    /// The steps; the last one shows the difference.
    pub case: Case,
    /// What differs.
    pub difference: Difference,
}

/// How often each kind of step was taken, by what it came to: nothing where it was done, else the contract's reason.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Tally {
    fn add(&mut self, action: &Action, came_to: String) {
        *self.counts.entry((kind(action), came_to)).or_default() += 1;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
    }

    /// All steps.
    pub fn steps(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Steps of one kind that were done.
    pub fn done(&self, kind: &str) -> u64 {
        self.counts
            .iter()
            .filter(|((name, reason), _)| *name == kind && reason.is_empty())
            .map(|(_, count)| count)
            .sum()
    }

    /// Steps of users, and how many of them were done.
    pub fn success(&self) -> (u64, u64) {
        let users = self.counts.iter().filter(|((name, _), _)| !ENVIRONMENT.contains(name));
        users.fold((0, 0), |(all, done), ((_, reason), count)| {
            (all + count, if reason.is_empty() { done + count } else { done })
        })
    }
}

const ENVIRONMENT: [&str; 5] = ["admin", "price", "e-mode price", "wait", "sentinel"];

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = "";
        for ((kind, reason), count) in &self.counts {
            if *kind != last {
                write!(f, "{}  {kind}:", if last.is_empty() { "" } else { "\n" })?;
                last = kind;
            }
            write!(f, " {}={count}", if reason.is_empty() { "done" } else { reason })?;
        }
        Ok(())
    }
}

/// A step's kind, as people call it.
pub fn kind(action: &Action) -> &'static str {
    match action {
        Action::Supply { .. } => "supply",
        Action::Withdraw { .. } => "withdraw",
        Action::Borrow { .. } => "borrow",
        Action::Repay { .. } => "repay",
        Action::RepayWithATokens { .. } => "repay with aTokens",
        Action::Transfer { .. } => "transfer",
        Action::UseAsCollateral { .. } => "use as collateral",
        Action::SetEMode { .. } => "set e-mode",
        Action::SwapRate { .. } => "swap rate",
        Action::Rebalance { .. } => "rebalance",
        Action::MintToTreasury { .. } => "mint to treasury",
        Action::CoverDeficit { .. } => "cover deficit",
        Action::Liquidate { .. } => "liquidate",
        Action::Admin(_) => "admin",
        Action::Price { .. } => "price",
        Action::EModePrice { .. } => "e-mode price",
        Action::Wait { .. } => "wait",
        Action::Sentinel { .. } => "sentinel",
    }
}

/// Lives one world of a seed for some steps.
pub fn live(deployer: &Deployer<'_>, seed: u64, steps: usize, tally: &mut Tally) -> Result<Option<Found>> {
    let world = World::random(deployer.version(), seed);
    let mut run = Run::new(deployer, &world)?;
    let mut generator = Generator::new(&world, seed);
    let mut taken = Vec::new();
    for _ in 0..steps {
        let action = generator.step(run.mirror());
        taken.push(action.clone());
        let (came_to, difference) = run.step(&action)?;
        tally.add(&action, came_to);
        if let Some(difference) = difference {
            return Ok(Some(Found { case: Case { world, steps: taken }, difference }));
        }
    }
    Ok(run.everything()?.map(|difference| Found { case: Case { world, steps: taken }, difference }))
}

/// The seed of a run's `number`th world.
pub fn seed(run: u64, number: u64) -> u64 {
    Chance::new(run, number.wrapping_add(3)).bits()
}

/// Takes a case's steps and gives the first difference, with the number of steps it took.
pub fn replay(deployer: &Deployer<'_>, case: &Case) -> Result<Option<(usize, Difference)>> {
    let mut run = Run::new(deployer, &case.world)?;
    for (index, action) in case.steps.iter().enumerate() {
        if let (_, Some(difference)) = run.step(action)? {
            return Ok(Some((index + 1, difference)));
        }
    }
    Ok(run.everything()?.map(|difference| (case.steps.len(), difference)))
}
