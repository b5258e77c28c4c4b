//! A real Aave 3.6 whose prices come through our dual aggregators, with people to liquidate and a searcher to do it.

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result, anyhow};

use super::house::{Aim, BUILDER, House};
use super::oracle::{Oracle, Settings, ask};
use super::report::Way;
use crate::abi::{self, Value, word, word_at};
use crate::action::{Action, Mode};
use crate::anvil::{Anvil, Options};
use crate::artifacts::Artifacts;
use crate::backend::Backend;
use crate::deploy::{self, BEGIN};
use crate::market::Market;
use crate::world::{Rates, ReserveSpec, Version, World, ray};

/// Seconds between blocks.
pub const SLOT: u64 = 12;

/// The reserve that is borrowed: six decimals, a dollar each, priced through an auction.
pub const DOLLAR: usize = 1;

/// The collateral whose price goes through an auction.
pub const ETHER: usize = 0;

/// The collateral whose price has a feed without an auction.
pub const OTHER: usize = 2;

/// A dollar as prices count it.
pub const USD: i128 = 100_000_000;

/// What a whole piece of each reserve costs to begin with, in 10^-8 dollars.
pub const PRICES: [i128; 3] = [2_000 * USD, USD, 30_000 * USD];

/// How many people can be liquidated, one after another; nobody is twice.
const BORROWERS: usize = 24;

/// A market and everything around it.
#[derive(Debug)]
pub struct Lab {
    /// Aave.
    pub market: Market,
    /// The prices of [`ETHER`] and [`DOLLAR`].
    pub oracles: [Oracle; 2],
    /// Where bids go.
    pub house: House,
    next_borrower: usize,
}

fn world() -> World {
    let rates = Rates { base: ray(500), ..Rates::plain() };
    let spec = |decimals, price: i128| ReserveSpec {
        decimals,
        price: U256::from(price.unsigned_abs()),
        ltv: 8_000,
        liquidation_threshold: 8_300,
        liquidation_protocol_fee: 1_000,
        rates: rates.clone(),
        ..ReserveSpec::plain()
    };
    let reserves = vec![spec(18, PRICES[ETHER]), spec(6, PRICES[DOLLAR]), spec(18, PRICES[OTHER])];
    World { version: Version::V3_6, reserves, e_modes: Vec::new(), users: BORROWERS + 1, sentinel: false }
}

impl Lab {
    /// On a node of its own.
    pub fn start(binary: &std::path::Path, artifacts: &Artifacts, settings: Settings) -> Result<Self> {
        Self::deploy(Anvil::start(binary, Options::beginning(BEGIN))?.into(), artifacts, settings)
    }

    /// On an empty chain, which must be at [`BEGIN`]. Both prices have a first round, which everybody has seen.
    pub fn deploy(chain: Backend, artifacts: &Artifacts, settings: Settings) -> Result<Self> {
        let mut market = deploy::on(chain, artifacts, &world())?;
        let chain = &mut market.evm;
        let mut deploy = || Oracle::deploy(chain, artifacts, settings);
        let oracles = [deploy()?, deploy()?];
        let house = House::deploy(chain, artifacts, &oracles)?;
        chain.set_builder(BUILDER)?;
        let plenty = U256::from(10).pow(U256::from(24));
        for rich in [BUILDER, house.key.address, house.searcher] {
            chain.set_balance(rich, plenty)?;
        }
        let mut lab = Self { market, oracles, house, next_borrower: 1 };
        for feed in [ETHER, DOLLAR] {
            lab.oracles[feed].round(&mut lab.market.evm, PRICES[feed], Way::Secondary)?;
            lab.market.reserves[feed].feed = lab.oracles[feed].svr;
        }
        lab.take_prices()?;
        let supply = U256::from(10).pow(U256::from(15));
        lab.act(&Action::Supply { user: 0, reserve: DOLLAR, amount: supply, to: 0 })?;
        let dollar = lab.market.reserves[DOLLAR].asset;
        let hand_out = abi::words("transfer(address,uint256)", &[word(lab.house.searcher), supply]);
        let lender = lab.market.users[0];
        lab.market.evm.call(lender, dollar, hand_out)?.map_err(|reason| anyhow!("transfer: {reason:?}"))?;
        lab.market.evm.warp(10 * SLOT);
        Ok(lab)
    }

    /// Makes Aave ask the secondary proxies of the oracles that are here.
    pub fn take_prices(&mut self) -> Result<()> {
        let oracle = self.price_oracle()?;
        let of = Value::array([ETHER, DOLLAR].map(|reserve| self.market.reserves[reserve].asset));
        let from = Value::array([ETHER, DOLLAR].map(|reserve| self.oracles[reserve].svr));
        let call = abi::call("setAssetSources(address[],address[])", &[of, from]);
        self.market.evm.admin(oracle, call, "setAssetSources")
    }

    /// Aave's own oracle.
    pub fn price_oracle(&mut self) -> Result<Address> {
        let provider = self.market.provider;
        Ok(abi::address(word_at(&ask(&mut self.market.evm, provider, "getPriceOracle()", &[])?, 0)))
    }

    /// What Aave's own oracle says of a reserve, in 10^-8 dollars; none where it reverts.
    pub fn price(&mut self, reserve: usize) -> Result<Option<U256>> {
        let oracle = self.price_oracle()?;
        let asset = self.market.reserves[reserve].asset;
        let answer = self.market.evm.view(oracle, abi::words("getAssetPrice(address)", &[word(asset)]))?;
        Ok(answer.ok().map(|answer| word_at(&answer, 0)))
    }

    /// The node; an error in memory.
    pub fn node(&mut self) -> Result<&mut Anvil> {
        self.market.evm.node().context("a laboratory on a node")
    }

    /// Somebody's step, which must succeed.
    pub fn act(&mut self, action: &Action) -> Result<()> {
        self.market.act(action)?.map(|_| ()).map_err(|reason| anyhow!("{action:?}: {reason}"))
    }

    /// Puts a price back to where it began, for everybody.
    pub fn restore(&mut self, reserve: usize) -> Result<()> {
        if reserve == OTHER {
            return self.act(&Action::Price { reserve, price: U256::from(PRICES[OTHER].unsigned_abs()) });
        }
        self.oracles[reserve].round(&mut self.market.evm, PRICES[reserve], Way::Secondary)?;
        self.market.evm.warp(SLOT);
        Ok(())
    }

    /// Somebody new with so many hundredths of a collateral's piece, who owes so many whole dollars.
    pub fn borrower(&mut self, reserve: usize, hundredths: u64, dollars: u64) -> Result<Address> {
        let user = self.next_borrower;
        self.next_borrower += 1;
        let address = *self.market.users.get(user).context("nobody is left to borrow")?;
        let amount = U256::from(hundredths) * U256::from(10).pow(U256::from(16));
        self.act(&Action::Supply { user, reserve, amount, to: user })?;
        self.act(&Action::Borrow { user, reserve: DOLLAR, amount: dollar(dollars), mode: Mode::Variable })?;
        Ok(address)
    }

    /// Repaying so many whole dollars of somebody's debt against a collateral.
    pub fn aim(&self, reserve: usize, user: Address, dollars: u64) -> Aim {
        Aim {
            pool: self.market.pool,
            collateral: self.market.reserves[reserve].asset,
            debt: self.market.reserves[DOLLAR].asset,
            user,
            amount: dollar(dollars),
        }
    }

    /// Somebody's health factor, in wad.
    pub fn health(&mut self, user: Address) -> Result<U256> {
        let data = self.market.account_data(user)?.map_err(|reason| anyhow!("getUserAccountData: {reason}"))?;
        Ok(data[5])
    }

    /// How much of a reserve's token somebody has, in its smallest unit.
    pub fn tokens(&mut self, reserve: usize, of: Address) -> Result<U256> {
        let asset = self.market.reserves[reserve].asset;
        Ok(word_at(&ask(&mut self.market.evm, asset, "balanceOf(address)", &[word(of)])?, 0))
    }
}

/// Whole dollars in the smallest unit of the reserve that is borrowed.
pub fn dollar(whole: u64) -> U256 {
    U256::from(whole) * U256::from(1_000_000)
}
