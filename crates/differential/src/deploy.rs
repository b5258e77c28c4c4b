//! From a world's specification to a market on a chain.
//!
//! What every world of a version shares (libraries, proxies, the pool, its configurator) is deployed once and kept as a
//! snapshot; a world adds its tokens, price feeds, interest rate strategies and settings.

mod upgrade;
mod v2;
mod v3;

pub use upgrade::upgrade;

use std::collections::BTreeMap;

use alloy_primitives::{Address, U256};
use anyhow::{Context as _, Result, bail};

use crate::abi::{self, Value};
use crate::artifacts::Artifacts;
use crate::backend::Backend;
use crate::evm::{ADMIN, Evm, Reverted, Snapshot};
use crate::feed;
use crate::market::{Market, Reserve};
use crate::world::{EModeSpec, Version, World};

/// When every market begins.
pub const BEGIN: u64 = 1_700_000_000;

/// Where the protocol's share goes.
pub const TREASURY: Address = Address::repeat_byte(0x77);

/// Deploys one version, again and again.
#[derive(Debug)]
pub struct Deployer<'a> {
    artifacts: &'a Artifacts,
    base: Base,
    snapshot: Snapshot,
}

/// What all worlds of a version share.
#[derive(Clone, Debug)]
struct Base {
    version: Version,
    libraries: BTreeMap<String, Address>,
    provider: Address,
    pool: Address,
    configurator: Address,
    /// Implementations of aToken, stable and variable debt; V2 has one of each for every reserve instead.
    tokens: [Address; 3],
}

impl<'a> Deployer<'a> {
    /// Deploys what the worlds of a version share.
    pub fn new(artifacts: &'a Artifacts, version: Version) -> Result<Self> {
        let mut backend = Backend::from(Evm::new(BEGIN));
        let base = Base::new(&mut backend, artifacts, version)?;
        let snapshot = backend.memory().context("an interpreter")?.snapshot();
        Ok(Self { artifacts, base, snapshot })
    }

    /// The version of its worlds.
    pub fn version(&self) -> Version {
        self.base.version
    }

    /// Deploys a world, hands its users tokens without end, and lets the pool take them.
    pub fn market(&self, world: &World) -> Result<Market> {
        self.base.market(Evm::restore(self.snapshot.clone()).into(), self.artifacts, world)
    }
}

/// Deploys everything a world needs on an empty chain, which must be at [`BEGIN`] for its figures to be the mirror's.
pub fn on(mut backend: Backend, artifacts: &Artifacts, world: &World) -> Result<Market> {
    let base = Base::new(&mut backend, artifacts, world.version)?;
    base.market(backend, artifacts, world)
}

impl Base {
    fn new(evm: &mut Backend, artifacts: &Artifacts, version: Version) -> Result<Self> {
        let mut site = Site::new(evm, artifacts, version);
        if version == Version::V2 { v2::base(&mut site) } else { v3::base(&mut site, version) }
    }

    fn market(&self, mut evm: Backend, artifacts: &Artifacts, world: &World) -> Result<Market> {
        let mut site = Site::new(&mut evm, artifacts, self.version);
        site.libraries.clone_from(&self.libraries);
        let users: Vec<Address> = (0..world.users).map(user).collect();
        let assets: Result<Vec<Asset>> = (0..world.reserves.len()).map(|id| site.asset(world, id)).collect();
        let assets = assets?;
        for asset in &assets {
            for user in &users {
                site.fund(*user, asset.token, self.pool)?;
            }
        }
        let tokens = match world.version {
            Version::V2 => v2::reserves(&mut site, self, world, &assets)?,
            Version::V3_0_0 | Version::V3_0_2 | Version::V3_6 => v3::reserves(&mut site, self, world, &assets)?,
        };
        let sentinel = if world.sentinel { Some(v3::sentinel(&mut site, self)?) } else { None };
        let reserves = assets.iter().zip(tokens).map(|(asset, [a_token, stable, variable])| Reserve {
            asset: asset.token,
            feed: asset.feed,
            a_token,
            stable,
            variable,
        });
        let reserves = reserves.collect();
        Ok(Market {
            version: world.version,
            provider: self.provider,
            pool: self.pool,
            configurator: self.configurator,
            reserves,
            e_mode_feeds: world.e_modes.iter().map(|e_mode| (e_mode.id, e_mode_feed(e_mode.id))).collect(),
            phases: BTreeMap::new(),
            users,
            sentinel,
            errors: abi::errors(&artifacts.errors),
            evm,
        })
    }
}

/// The address of a user.
pub fn user(index: usize) -> Address {
    Address::with_last_byte(u8::try_from(0x10 + index).unwrap_or(u8::MAX))
}

/// The address whose price stands for an e-mode category; also where its feed is.
fn e_mode_feed(id: u8) -> Address {
    let mut address = Address::repeat_byte(0xe0);
    address.0[19] = id;
    address
}

/// A token and its price feed.
#[derive(Clone, Copy, Debug)]
struct Asset {
    token: Address,
    feed: Address,
}

/// A chain with contracts to put on it.
struct Site<'a> {
    evm: &'a mut Backend,
    artifacts: &'a Artifacts,
    family: &'static str,
    libraries: BTreeMap<String, Address>,
}

impl<'a> Site<'a> {
    fn new(evm: &'a mut Backend, artifacts: &'a Artifacts, version: Version) -> Self {
        Self { evm, artifacts, family: version.family(), libraries: BTreeMap::new() }
    }

    /// Deploys a contract and, before it, the libraries it needs.
    fn deploy(&mut self, name: &str, arguments: &[Value]) -> Result<Address> {
        for library in self.artifacts.libraries(self.family, name) {
            if !self.libraries.contains_key(&library) {
                let address = self.deploy(&library, &[])?;
                self.libraries.insert(library, address);
            }
        }
        let mut code = self.artifacts.code(self.family, name, &self.libraries)?.to_vec();
        code.extend(abi::encode(arguments));
        self.evm.deploy(code.into(), name)
    }

    /// Calls a function as the administrator; it must succeed.
    fn call(&mut self, to: Address, signature: &str, arguments: &[Value]) -> Result<()> {
        self.evm.admin(to, abi::call(signature, arguments), signature)
    }

    /// An address that a contract knows.
    fn ask(&mut self, to: Address, signature: &str) -> Result<Address> {
        match self.evm.view(to, abi::words(signature, &[]))? {
            Ok(answer) => Ok(abi::address(abi::word_at(&answer, 0))),
            Err(Reverted(reason)) => bail!("{signature} reverted with {reason}"),
        }
    }

    fn asset(&mut self, world: &World, id: usize) -> Result<Asset> {
        let spec = &world.reserves[id];
        let arguments = ["Token".into(), "TKN".into(), u64::from(spec.decimals).into()];
        let token = self.deploy("MintableERC20", &arguments)?;
        let mut feed = Address::repeat_byte(0xfe);
        feed.0[19] = u8::try_from(id).unwrap_or(u8::MAX);
        self.feed(feed, spec.price)?;
        Ok(Asset { token, feed })
    }

    /// A feed, with the aggregator of its first phase behind it.
    fn feed(&mut self, at: Address, price: U256) -> Result<()> {
        let behind = feed::behind(at, 1);
        self.evm.place(at, feed::proxy())?;
        self.evm.place(behind, feed::aggregator())?;
        self.evm.admin(at, feed::confirm(behind), "confirmAggregator")?;
        self.evm.admin(behind, feed::transmit(price), "transmit")
    }

    fn fund(&mut self, user: Address, token: Address, pool: Address) -> Result<()> {
        let plenty = U256::from(1) << 240;
        for data in [
            abi::words("mint(uint256)", &[plenty]),
            abi::words("approve(address,uint256)", &[abi::word(pool), U256::MAX]),
        ] {
            if let Err(Reverted(reason)) = self.evm.call(user, token, data)? {
                bail!("a token refused to be handed out: {reason}");
            }
        }
        Ok(())
    }

    /// What an oracle is built from: assets and where their prices come from.
    fn sources(&mut self, world: &World, assets: &[Asset]) -> Result<[Value; 2]> {
        let mut of: Vec<Address> = assets.iter().map(|asset| asset.token).collect();
        let mut from: Vec<Address> = assets.iter().map(|asset| asset.feed).collect();
        for EModeSpec { id, price, .. } in &world.e_modes {
            self.feed(e_mode_feed(*id), price.unwrap_or(U256::from(1)))?;
            of.push(e_mode_feed(*id));
            from.push(e_mode_feed(*id));
        }
        Ok([Value::array(of), Value::array(from)])
    }
}

/// The administrator as an argument.
fn admin() -> Value {
    ADMIN.into()
}
