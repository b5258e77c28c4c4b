//! One price's dual aggregator with both its proxies, the operator's forwarder, and the observers who sign for it.

use alloy_primitives::{Address, B256, Bytes, I256, U256};
use anyhow::{Context as _, Result, bail};

use super::key::Key;
use super::report::{Report, Transmission, Way};
use crate::abi::{self, Value, word, word_at};
use crate::anvil::Transaction;
use crate::artifacts::{Artifacts, OWN};
use crate::backend::Backend;
use crate::evm::{Reverted, Success};

/// The operator's key for the public way.
pub const PRIMARY: Address = Address::repeat_byte(0xa1);

/// The operator's key for the way through the auction.
pub const SECONDARY: Address = Address::repeat_byte(0xa2);

/// The largest answer an aggregator takes; the smallest is 1.
pub const MOST: i128 = 1 << 100;

/// How an aggregator is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long readers of the secondary proxy wait for public rounds, in seconds.
    pub cutoff: u32,
    /// How many rounds both loops look back at most.
    pub max_sync: u32,
    /// How many observers may lie; there are three times as many and one.
    pub f: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { cutoff: 10, max_sync: 20, f: 1 }
    }
}

/// Who asks for the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Whoever reads the standard proxy.
    Standard,
    /// Whoever reads the secondary proxy.
    Svr,
}

/// What a reader sees: a proxy's `latestRoundData`, the phase taken off the round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The round.
    pub round: u32,
    /// Its answer.
    pub answer: I256,
    /// When it was observed, in seconds.
    pub observed_at: u32,
    /// When the chain took it, in seconds.
    pub recorded_at: u64,
}

/// A price and everything that stands behind it.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// The dual aggregator.
    pub aggregator: Address,
    /// What readers without an auction ask.
    pub standard: Address,
    /// What readers of the auctioned price ask.
    pub svr: Address,
    /// By which the operator is known to the aggregator.
    pub forwarder: Address,
    /// The observers' keys.
    pub keys: Vec<Key>,
    /// How many observers may lie.
    pub f: u8,
    /// The aggregator's configuration at present.
    pub digest: B256,
    /// The last epoch and round that was signed for.
    pub epoch: u64,
}

/// Deploys a contract of our own.
pub fn deploy(chain: &mut Backend, artifacts: &Artifacts, name: &str, arguments: &[Value]) -> Result<Address> {
    let mut code = artifacts.code(OWN, name, &std::collections::BTreeMap::new())?.to_vec();
    code.extend(abi::encode(arguments));
    chain.deploy(code.into(), name)
}

impl Oracle {
    /// Deploys all of it. The first round is yet to come, and should come by the secondary way: before it the secondary
    /// proxy answers 0.
    pub fn deploy(chain: &mut Backend, artifacts: &Artifacts, settings: Settings) -> Result<Self> {
        let standard = deploy(chain, artifacts, "AggregatorProxy", &[])?;
        let svr = deploy(chain, artifacts, "AggregatorProxy", &[])?;
        let forwarder = deploy(chain, artifacts, "AuthorizedForwarder", &[])?;
        let arguments = [
            1_u64.into(),
            U256::from(MOST.unsigned_abs()).into(),
            8_u64.into(),
            "X / USD".into(),
            svr.into(),
            u64::from(settings.cutoff).into(),
            u64::from(settings.max_sync).into(),
        ];
        let aggregator = deploy(chain, artifacts, "DualAggregator", &arguments)?;
        for proxy in [standard, svr] {
            chain.admin(proxy, abi::words("confirmAggregator(address)", &[word(aggregator)]), "confirmAggregator")?;
        }
        let mut oracle = Self {
            aggregator,
            standard,
            svr,
            forwarder,
            keys: (0..3 * u64::from(settings.f) + 1).map(Key::new).collect::<Result<_>>()?,
            f: settings.f,
            digest: B256::ZERO,
            epoch: 0,
        };
        oracle.authorize(chain, &[PRIMARY, SECONDARY])?;
        oracle.configure(chain)?;
        Ok(oracle)
    }

    /// Names who may send through the forwarder.
    pub fn authorize(&self, chain: &mut Backend, senders: &[Address]) -> Result<()> {
        let senders = Value::array(senders.iter().copied());
        chain.admin(self.forwarder, abi::call("setAuthorizedSenders(address[])", &[senders]), "setAuthorizedSenders")
    }

    /// Configures the aggregator anew, with the same observers: what was signed before is refused from here on.
    pub fn configure(&mut self, chain: &mut Backend) -> Result<()> {
        chain.admin(self.aggregator, self.configuration(&self.transmitters()), "setConfig")?;
        let details = ask(chain, self.aggregator, "latestConfigDetails()", &[])?;
        self.digest = word_at(&details, 2).into();
        self.epoch = 0;
        Ok(())
    }

    /// The forwarder, and for each other observer a key of his own that nobody uses here.
    pub fn transmitters(&self) -> Vec<Address> {
        let others = (1..self.keys.len()).map(|place| Address::repeat_byte(0xd0).create(place as u64));
        std::iter::once(self.forwarder).chain(others).collect()
    }

    /// The call that configures the aggregator with these transmitters.
    pub fn configuration(&self, transmitters: &[Address]) -> Bytes {
        let mut bounds = vec![1];
        bounds.extend(&U256::from(1).to_be_bytes::<32>()[8..]);
        bounds.extend(&U256::from(MOST.unsigned_abs()).to_be_bytes::<32>()[8..]);
        abi::call(
            "setConfig(address[],address[],uint8,bytes,uint64,bytes)",
            &[
                Value::array(self.keys.iter().map(|key| key.address)),
                Value::array(transmitters.iter().copied()),
                u64::from(self.f).into(),
                Value::Bytes(bounds),
                1_u64.into(),
                Value::Bytes(Vec::new()),
            ],
        )
    }

    /// A report with the next epoch, signed by as many observers as are needed.
    pub fn sign(&mut self, report: &Report) -> Result<Transmission> {
        self.epoch += 1;
        report.sign(self.digest, self.epoch, &self.keys[..=usize::from(self.f)])
    }

    /// The next report, which all observers agree on.
    pub fn next(&mut self, observed_at: u64, answer: i128) -> Result<Transmission> {
        self.sign(&Report::unanimous(u32::try_from(observed_at)?, answer, self.keys.len()))
    }

    /// The transaction that brings a report.
    pub fn transaction(&self, transmission: &Transmission, way: Way) -> Transaction {
        let from = match way {
            Way::Primary => PRIMARY,
            Way::Secondary => SECONDARY,
        };
        Transaction::call(from, self.forwarder, transmission.forward(way, self.aggregator))
    }

    /// Brings a report.
    pub fn bring(
        &self,
        chain: &mut Backend,
        transmission: &Transmission,
        way: Way,
    ) -> Result<Result<Success, Reverted>> {
        let Transaction { from, data, .. } = self.transaction(transmission, way);
        chain.call(from, self.forwarder, data)
    }

    /// Makes and brings the next report, which must be taken.
    pub fn round(&mut self, chain: &mut Backend, answer: i128, way: Way) -> Result<Transmission> {
        let transmission = self.next(chain.now(), answer)?;
        match self.bring(chain, &transmission, way)? {
            Ok(_) => Ok(transmission),
            Err(Reverted(reason)) => bail!("a round was refused: {reason}"),
        }
    }

    /// What a reader sees now.
    pub fn seen(&self, chain: &mut Backend, by: Reader) -> Result<Seen> {
        let proxy = match by {
            Reader::Standard => self.standard,
            Reader::Svr => self.svr,
        };
        let data = ask(chain, proxy, "latestRoundData()", &[])?;
        let [round, answer, observed_at, recorded_at] = [0, 1, 2, 3].map(|index| word_at(&data, index));
        Ok(Seen {
            round: u32::try_from(round & U256::from(u64::MAX)).context("a round beyond 32 bits")?,
            answer: I256::from_raw(answer),
            observed_at: u32::try_from(observed_at).context("a moment beyond 32 bits")?,
            recorded_at: u64::try_from(recorded_at).context("a moment beyond 64 bits")?,
        })
    }

    /// Sets how long readers of the secondary proxy wait.
    pub fn set_cutoff(&self, chain: &mut Backend, seconds: u32) -> Result<()> {
        chain.admin(self.aggregator, abi::words("setCutoffTime(uint32)", &[U256::from(seconds)]), "setCutoffTime")
    }
}

/// What a contract answers, which must not be a revert.
pub fn ask(chain: &mut Backend, to: Address, signature: &str, arguments: &[U256]) -> Result<Bytes> {
    match chain.view(to, abi::words(signature, arguments))? {
        Ok(answer) => Ok(answer),
        Err(Reverted(reason)) => bail!("{signature} reverted with {reason}"),
    }
}
