//! Where bids go: the settlement, the safe that accrues, and a searcher.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use anyhow::Result;

use super::key::Key;
use super::oracle::{Oracle, PRIMARY, SECONDARY, ask, deploy};
use crate::abi::{self, Value, word, word_at};
use crate::artifacts::Artifacts;
use crate::backend::Backend;

/// The protocol's treasury.
pub const COLLECTOR: Address = Address::repeat_byte(0xc0);

/// Where the oracle network's share goes.
pub const NETWORK: Address = Address::repeat_byte(0xc1);

/// Who runs the auction.
pub const AUCTIONEER: Address = Address::repeat_byte(0xc2);

/// Who gets the blocks' fees.
pub const BUILDER: Address = Address::repeat_byte(0xb0);

/// The network's share of what the safe hands out, in basis points.
pub const NETWORK_BPS: u64 = 3_500;

/// The auctioneer's and the builder's share of a settled bid, in basis points.
pub const SPLIT_BPS: [u64; 2] = [500, 350];

/// A week, in seconds.
pub const WEEK: u64 = 7 * 24 * 60 * 60;

/// The contracts, and who owns the searcher.
#[derive(Clone, Debug)]
pub struct House {
    /// Accrues what is recaptured.
    pub safe: Address,
    /// Settles an auction in one transaction; the safe is its protocol's part's destination.
    pub settlement: Address,
    /// A searcher's contract.
    pub searcher: Address,
    /// Its owner, who signs operations.
    pub key: Key,
}

/// What a searcher liquidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The pool.
    pub pool: Address,
    /// What is seized.
    pub collateral: Address,
    /// What is repaid.
    pub debt: Address,
    /// Whose position it is.
    pub user: Address,
    /// In the debt's smallest unit.
    pub amount: U256,
}

/// What a solver signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Who signs.
    pub from: Address,
    /// The contract that is called.
    pub solver: Address,
    /// In wei.
    pub bid: U256,
    /// What the contract's call may use.
    pub gas_limit: u64,
    /// The last block it is good in.
    pub deadline: u64,
    /// Of the update it is for.
    pub update_hash: B256,
    /// Handed to the contract.
    pub data: Vec<u8>,
    /// Over all of these.
    pub signature: Vec<u8>,
}

impl House {
    /// Deploys all of it, and lets the settlement send updates through these oracles' forwarders.
    pub fn deploy(chain: &mut Backend, artifacts: &Artifacts, oracles: &[Oracle]) -> Result<Self> {
        let safe = deploy(chain, artifacts, "SvrSafe", &[COLLECTOR.into(), NETWORK.into(), NETWORK_BPS.into()])?;
        let [auctioneer, builder] = SPLIT_BPS.map(Value::from);
        let split = Value::Tuple(vec![AUCTIONEER.into(), safe.into(), auctioneer, builder]);
        let settlement = deploy(chain, artifacts, "Settlement", &[split])?;
        for oracle in oracles {
            oracle.authorize(chain, &[PRIMARY, SECONDARY, settlement])?;
            let allow = abi::words("setForwarder(address,bool)", &[word(oracle.forwarder), U256::from(1)]);
            chain.admin(settlement, allow, "setForwarder")?;
        }
        let key = Key::new(1_000)?;
        let searcher = deploy(chain, artifacts, "Searcher", &[settlement.into()])?;
        hand_over(chain, searcher, key.address)?;
        Ok(Self { safe, settlement, searcher, key })
    }

    /// An operation of the searcher's, signed, that pays what it bids.
    pub fn operation(&self, chain: &mut Backend, update: &Update, aims: &[Aim], bid: U256) -> Result<Operation> {
        self.operation_paying(chain, update, aims, [bid, bid])
    }

    /// An operation of the searcher's that bids the first amount and pays the second, both in wei.
    pub fn operation_paying(
        &self,
        chain: &mut Backend,
        update: &Update,
        aims: &[Aim],
        [bid, pays]: [U256; 2],
    ) -> Result<Operation> {
        let mut operation = Operation {
            from: self.key.address,
            solver: self.searcher,
            bid,
            gas_limit: 3_000_000,
            deadline: u64::MAX,
            update_hash: update.hash(),
            data: abi::encode(&[list(aims), pays.into()]),
            signature: Vec::new(),
        };
        operation.sign(chain, self.settlement, &self.key)?;
        Ok(operation)
    }

    /// The call of the searcher's that liquidates and pays the builder so many wei.
    pub fn liquidate_and_pay(aims: &[Aim], to_builder: U256) -> Bytes {
        let signature = "liquidateAndPay((address,address,address,address,uint256)[],uint256)";
        abi::call(signature, &[list(aims), to_builder.into()])
    }
}

/// What a settlement carries out first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Through whom.
    pub forwarder: Address,
    /// The forwarder's call.
    pub call: Bytes,
}

impl Update {
    /// What solvers name it by.
    pub fn hash(&self) -> B256 {
        keccak256(abi::encode(&[self.forwarder.into(), Value::Word(keccak256(&self.call).into())]))
    }

    /// The settlement's call.
    pub fn settle(&self, operations: &[Operation]) -> Bytes {
        let signature = "settle(address,bytes,(address,address,uint256,uint256,uint256,bytes32,bytes,bytes)[])";
        let operations = Value::Array(operations.iter().map(Operation::value).collect());
        abi::call(signature, &[self.forwarder.into(), Value::Bytes(self.call.to_vec()), operations])
    }
}

impl Operation {
    /// Signs it for a settlement; the hash is computed here, as wallets do, and not by the contract.
    pub fn sign(&mut self, chain: &mut Backend, settlement: Address, key: &Key) -> Result<()> {
        let domain: B256 = word_at(&ask(chain, settlement, "domainSeparator()", &[])?, 0).into();
        let mut signed = vec![0x19, 0x01];
        signed.extend(domain);
        signed.extend(self.content());
        self.signature = key.sign(keccak256(signed))?.to_bytes().to_vec();
        Ok(())
    }

    fn content(&self) -> B256 {
        let kind = keccak256(
            "SolverOperation(address from,address solver,uint256 bid,uint256 gasLimit,uint256 deadline,\
             bytes32 updateHash,bytes data)",
        );
        keccak256(abi::encode(&[
            Value::Word(kind.into()),
            self.from.into(),
            self.solver.into(),
            self.bid.into(),
            self.gas_limit.into(),
            self.deadline.into(),
            Value::Word(self.update_hash.into()),
            Value::Word(keccak256(&self.data).into()),
        ]))
    }

    /// As the settlement takes it.
    pub fn value(&self) -> Value {
        Value::Tuple(vec![
            self.from.into(),
            self.solver.into(),
            self.bid.into(),
            self.gas_limit.into(),
            self.deadline.into(),
            Value::Word(self.update_hash.into()),
            Value::Bytes(self.data.clone()),
            Value::Bytes(self.signature.clone()),
        ])
    }
}

fn list(aims: &[Aim]) -> Value {
    let aim = |aim: &Aim| {
        Value::Tuple(vec![aim.pool.into(), aim.collateral.into(), aim.debt.into(), aim.user.into(), aim.amount.into()])
    };
    Value::Array(aims.iter().map(aim).collect())
}

/// Makes somebody else the owner of a contract of the administrator's.
pub fn hand_over(chain: &mut Backend, contract: Address, to: Address) -> Result<()> {
    chain.admin(contract, abi::words("transferOwnership(address)", &[word(to)]), "transferOwnership")?;
    let accepted = chain.call(to, contract, abi::words("acceptOwnership()", &[]))?;
    accepted.map(|_| ()).map_err(|reason| anyhow::anyhow!("acceptOwnership: {reason:?}"))
}
