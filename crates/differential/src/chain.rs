//! A market on a node with people in it: what an end-to-end test reads.

use std::collections::BTreeMap;
use std::path::Path;

use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context as _, Result, anyhow};

use crate::action::{Action, Admin, Category, Mode};
use crate::anvil::{Anvil, Options, Snapshot, Transaction};
use crate::artifacts::Artifacts;
use crate::chance::Chance;
use crate::deploy::{self, BEGIN};
use crate::evm::Success;
use crate::generate::Generator;
use crate::market::{Market, Outcome, Reserve};
use crate::mirror::Mirror;
use crate::world::{Version, World, ray};

/// How many transactions a block may hold; most hold one.
const BLOCK_SIZES: [usize; 6] = [1, 1, 1, 2, 3, 5];

/// A market on a node.
#[derive(Debug)]
pub struct Chain {
    /// What the market is made of.
    pub world: World,
    /// The market on its node.
    pub market: Market,
    /// The same market natively, which knows what can happen next.
    pub mirror: Mirror,
    seed: u64,
    /// It stays without what an upgrade cannot take along.
    is_upgradable: bool,
    /// How often people were let loose.
    lives: u64,
}

/// A chain as it was.
#[derive(Debug)]
pub struct Past {
    node: Snapshot,
    world: World,
    mirror: Mirror,
    phases: BTreeMap<Address, u8>,
    reserves: Vec<Reserve>,
    is_upgradable: bool,
}

/// What came of some steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lived {
    /// Transactions that did something.
    pub done: usize,
    /// Transactions that reverted.
    pub refused: usize,
    /// Liquidations among the first.
    pub liquidations: usize,
}

/// What waits for its block.
struct Waiting {
    transaction: Transaction,
    is_liquidation: bool,
}

impl Chain {
    /// Starts a node and deploys a world on it; its first block is 1.
    pub fn start(binary: &Path, artifacts: &Artifacts, world: World, seed: u64) -> Result<Self> {
        Self::with(Anvil::start(binary, Options::beginning(BEGIN))?, artifacts, world, seed)
    }

    /// Deploys a world on a node of one's own, which must begin at [`BEGIN`].
    pub fn with(anvil: Anvil, artifacts: &Artifacts, world: World, seed: u64) -> Result<Self> {
        let market = deploy::on(anvil.into(), artifacts, &world)?;
        let is_plain = world.e_modes.iter().all(|e_mode| e_mode.price.is_none())
            && world.reserves.iter().all(|reserve| !reserve.stable_borrowing);
        let is_upgradable = world.version == Version::V3_0_2 && is_plain;
        Ok(Self { mirror: Mirror::new(&world), world, market, seed, is_upgradable, lives: 0 })
    }

    /// The node.
    pub fn node(&mut self) -> Result<&mut Anvil> {
        self.market.evm.node().context("a market on a node")
    }

    /// Where a client reaches the node.
    pub fn url(&mut self) -> Result<String> {
        Ok(self.node()?.url())
    }

    /// The chain as it is, to go back to once.
    pub fn snapshot(&mut self) -> Result<Past> {
        Ok(Past {
            node: self.node()?.snapshot()?,
            world: self.world.clone(),
            mirror: self.mirror.clone(),
            phases: self.market.phases.clone(),
            reserves: self.market.reserves.clone(),
            is_upgradable: self.is_upgradable,
        })
    }

    /// Goes back. What happens from there on is something else than what happened the first time, in other blocks: to
    /// a client it is a reorganisation.
    pub fn revert(&mut self, to: Past) -> Result<()> {
        self.node()?.revert(to.node)?;
        self.market.version = to.world.version;
        (self.world, self.mirror) = (to.world, to.mirror);
        (self.market.phases, self.market.reserves) = (to.phases, to.reserves);
        self.is_upgradable = to.is_upgradable;
        Ok(())
    }

    /// Lets people do as many random things as asked, some of them in common blocks.
    pub fn live(&mut self, steps: usize) -> Result<Lived> {
        self.lives += 1;
        let seed = self.seed.wrapping_add(self.lives << 32);
        let world = self.world.clone();
        let mut generator = Generator::new(&world, seed);
        let mut chance = Chance::new(seed, 4);
        let (mut lived, mut waiting, mut size) = (Lived::default(), Vec::new(), 1);
        for _ in 0..steps {
            let action = self.draw(&mut generator);
            let is_liquidation = matches!(action, Action::Liquidate { .. });
            let transactions = self.market.transactions(&action).into_iter();
            waiting.extend(transactions.map(|transaction| Waiting { transaction, is_liquidation }));
            self.mirror.act(&action);
            let is_setting = matches!(action, Action::Wait { .. } | Action::Sentinel { .. } | Action::Admin(_));
            if !is_setting && waiting.len() < size {
                continue;
            }
            size = chance.pick(&BLOCK_SIZES);
            let last = self.seal(&mut waiting, &mut lived)?;
            if let Action::Admin(admin) = &action {
                if matches!(last, Some(Ok(_))) {
                    self.mirror.follow(admin, &mut self.market)?;
                }
            } else if is_setting {
                self.market.act(&action)?.map_err(|reason| anyhow!("{action:?}: {reason}"))?;
            }
        }
        self.seal(&mut waiting, &mut lived)?;
        Ok(lived)
    }

    /// Brings a market of 3.0.2 to 3.6; it must be of a world that [`upgradable`] made.
    pub fn upgrade(&mut self, artifacts: &Artifacts) -> Result<()> {
        deploy::upgrade(&mut self.market, artifacts, &self.world)?;
        self.world.version = self.market.version;
        self.is_upgradable = false;
        self.mirror.anchor(&mut self.market)
    }

    /// Moves a reserve's price through a fresh aggregator, as when Chainlink replaces one.
    pub fn next_phase(&mut self, reserve: usize, price: U256) -> Result<()> {
        self.market.next_phase(reserve, price)?;
        self.mirror.act(&Action::Price { reserve, price });
        Ok(())
    }

    /// The next step, of those the market can take along when it is upgraded.
    fn draw(&mut self, generator: &mut Generator<'_>) -> Action {
        loop {
            let action = generator.step(&self.mirror);
            if !self.is_upgradable || !is_left_behind(&action) {
                return action;
            }
        }
    }

    fn seal(&mut self, waiting: &mut Vec<Waiting>, lived: &mut Lived) -> Result<Option<Outcome>> {
        if waiting.is_empty() {
            return Ok(None);
        }
        let transactions: Vec<Transaction> = waiting.iter().map(|waiting| waiting.transaction.clone()).collect();
        let receipts = self.node()?.block(&transactions)?;
        let mut last = None;
        for (receipt, waiting) in receipts.into_iter().zip(waiting.drain(..)) {
            let success = receipt.map(|receipt| Success { output: Bytes::new(), logs: receipt.logs });
            let outcome = self.market.outcome(success);
            let is_done = outcome.is_ok();
            lived.done += usize::from(is_done);
            lived.refused += usize::from(!is_done);
            lived.liquidations += usize::from(is_done && waiting.is_liquidation);
            last = Some(outcome);
        }
        Ok(last)
    }
}

/// Whether a step leads to what a market must not have when it is upgraded.
fn is_left_behind(action: &Action) -> bool {
    match action {
        // A balance has 128 bits before 3.4 and 120 after it, and an upgrade cuts the rest off.
        Action::Supply { amount, .. } => *amount > U256::from(1) << 100,
        Action::SwapRate { .. } | Action::Rebalance { .. } => true,
        Action::Borrow { mode, .. } => *mode == Mode::Stable,
        Action::Admin(admin) => {
            matches!(admin, Admin::StableBorrowing { .. } | Admin::Category(Category::Terms { priced: true, .. }))
        }
        Action::Withdraw { .. }
        | Action::Repay { .. }
        | Action::RepayWithATokens { .. }
        | Action::Transfer { .. }
        | Action::UseAsCollateral { .. }
        | Action::SetEMode { .. }
        | Action::MintToTreasury { .. }
        | Action::CoverDeficit { .. }
        | Action::Liquidate { .. }
        | Action::Price { .. }
        | Action::EModePrice { .. }
        | Action::Wait { .. }
        | Action::Sentinel { .. } => false,
    }
}

/// A world of 3.0.2 that can become one of 3.6: no stable debt, no prices of categories, rates in whole basis points.
pub fn upgradable(seed: u64) -> World {
    let mut world = World::random(Version::V3_0_2, seed);
    for reserve in &mut world.reserves {
        reserve.stable_borrowing = false;
        // The oldest decimals that 3.6 lists.
        reserve.decimals = reserve.decimals.max(6);
        let rates = &mut reserve.rates;
        for rate in [&mut rates.optimal, &mut rates.base, &mut rates.slope1, &mut rates.slope2] {
            *rate = *rate / ray(1) * ray(1);
        }
        rates.optimal = rates.optimal.clamp(ray(100), ray(9_900));
    }
    world.e_modes.iter_mut().for_each(|e_mode| e_mode.price = None);
    world
}
