//! Where a market lives: in memory, or on a node.

use alloy_primitives::{Address, Bytes, U256};
use anyhow::{Context as _, Result, bail};

use crate::anvil::{Anvil, Transaction};
use crate::evm::{ADMIN, Evm, Reverted, Success};

/// A chain that contracts can be put on.
#[derive(Debug)]
pub enum Backend {
    /// An interpreter in this process.
    Memory(Box<Evm>),
    /// A node, with blocks, receipts and everything that a client asks for.
    Node(Box<Anvil>),
}

impl From<Evm> for Backend {
    fn from(evm: Evm) -> Self {
        Self::Memory(Box::new(evm))
    }
}

impl From<Anvil> for Backend {
    fn from(anvil: Anvil) -> Self {
        Self::Node(Box::new(anvil))
    }
}

impl Backend {
    /// The interpreter, where it is one.
    pub fn memory(&mut self) -> Option<&mut Evm> {
        match self {
            Self::Memory(evm) => Some(evm),
            Self::Node(_) => None,
        }
    }

    /// The node, where it is one.
    pub fn node(&mut self) -> Option<&mut Anvil> {
        match self {
            Self::Memory(_) => None,
            Self::Node(anvil) => Some(anvil),
        }
    }

    /// The moment of the next transaction, in seconds.
    pub fn now(&self) -> u64 {
        match self {
            Self::Memory(evm) => evm.now(),
            Self::Node(anvil) => anvil.now(),
        }
    }

    /// Lets time pass.
    pub fn warp(&mut self, seconds: u64) {
        match self {
            Self::Memory(evm) => evm.warp(seconds),
            Self::Node(anvil) => anvil.warp(seconds),
        }
    }

    /// Runs a transaction; an error means that the chain itself broke, which a contract cannot bring about.
    pub fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Result<Success, Reverted>> {
        match self {
            Self::Memory(evm) => evm.call(from, to, data),
            Self::Node(anvil) => anvil.call(from, to, data),
        }
    }

    /// The same with wei of the native token sent along, which the sender must have.
    pub fn pay(&mut self, from: Address, to: Address, value: U256, data: Bytes) -> Result<Result<Success, Reverted>> {
        match self {
            Self::Memory(evm) => evm.pay(from, to, value, data),
            Self::Node(anvil) => {
                let transaction = Transaction { from, to: Some(to), data, value };
                let receipt = anvil.block(&[transaction])?.pop().context("one receipt")?;
                Ok(receipt.map(|receipt| Success { output: Bytes::new(), logs: receipt.logs }))
            }
        }
    }

    /// What an account has of the native token, in wei.
    pub fn balance(&mut self, of: Address) -> Result<U256> {
        match self {
            Self::Memory(evm) => evm.balance(of),
            Self::Node(anvil) => anvil.balance(of),
        }
    }

    /// Sets what an account has of the native token, in wei.
    pub fn set_balance(&mut self, of: Address, wei: U256) -> Result<()> {
        match self {
            Self::Memory(evm) => evm.set_balance(of, wei),
            Self::Node(anvil) => anvil.set_balance(of, wei),
        }
    }

    /// Who gets the fees of the blocks to come.
    pub fn set_builder(&mut self, builder: Address) -> Result<()> {
        match self {
            Self::Memory(evm) => evm.set_builder(builder),
            Self::Node(anvil) => anvil.set_builder(builder)?,
        }
        Ok(())
    }

    /// Runs a transaction of the administrator's that must succeed.
    pub fn admin(&mut self, to: Address, data: Bytes, what: &str) -> Result<()> {
        match self.call(ADMIN, to, data)? {
            Ok(_) => Ok(()),
            Err(Reverted(reason)) => bail!("{what} reverted with {reason}"),
        }
    }

    /// Asks without changing anything.
    pub fn view(&mut self, to: Address, data: Bytes) -> Result<Result<Bytes, Reverted>> {
        match self {
            Self::Memory(evm) => evm.view(to, data),
            Self::Node(anvil) => anvil.view(to, &data),
        }
    }

    /// Deploys creation code, constructor arguments already behind it.
    pub fn deploy(&mut self, code: Bytes, what: &str) -> Result<Address> {
        match self {
            Self::Memory(evm) => evm.deploy(code, what),
            Self::Node(anvil) => anvil.deploy(code, what),
        }
    }

    /// Puts runtime code at an address, without a transaction.
    pub fn place(&mut self, at: Address, code: Bytes) -> Result<()> {
        match self {
            Self::Memory(evm) => evm.place(at, code),
            Self::Node(anvil) => anvil.place(at, &code)?,
        }
        Ok(())
    }

    /// Sets a storage word, without a transaction.
    pub fn set_storage(&mut self, at: Address, slot: U256, value: U256) -> Result<()> {
        match self {
            Self::Memory(evm) => evm.set_storage(at, slot, value),
            Self::Node(anvil) => anvil.set_storage(at, slot, value),
        }
    }
}
