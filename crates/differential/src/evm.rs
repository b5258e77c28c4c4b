//! One chain in memory: contracts are deployed, called and looked at, and time passes when told.
//!
//! Nothing here is paid for: no gas price, no nonces, no limit on a contract's size. What a contract computes does not
//! depend on any of that.

use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use anyhow::{Context as _, Result, anyhow, bail};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{ContextTr, TxEnv};
use revm::database::InMemoryDB;
use revm::handler::MainnetContext;
use revm::primitives::hardfork::SpecId;
use revm::state::{AccountInfo, Bytecode};
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainnetEvm};

/// Enough for any transaction here, and far from overflowing when gas is added up.
const GAS: u64 = 1 << 40;

/// Who deploys and administers everything.
pub const ADMIN: Address = Address::repeat_byte(0xad);

/// The chain.
pub struct Evm {
    inner: MainnetEvm<MainnetContext<InMemoryDB>>,
    now: u64,
    place: Place,
    logs: Vec<Recorded>,
}

/// Where the next transaction stands.
#[derive(Clone, Copy, Debug)]
struct Place {
    block: u64,
    transaction: u32,
    log: u32,
}

/// A log, and where it stands.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The block.
    pub block: u64,
    /// The block's time in seconds.
    pub time: u64,
    /// The transaction's place in the block.
    pub transaction: u32,
    /// The log's place in the block.
    pub index: u32,
    /// What was written, and by whom.
    pub log: Log,
}

impl std::fmt::Debug for Evm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evm").field("now", &self.now).finish_non_exhaustive()
    }
}

/// A transaction that did what it was asked.
#[derive(Clone, Debug)]
pub struct Success {
    /// What the function returned.
    pub output: Bytes,
    /// The events, in order.
    pub logs: Vec<Log>,
}

/// A transaction that changed nothing, and why, as the contract encodes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reverted(pub Bytes);

/// The chain as it was, to return to.
#[derive(Clone, Debug)]
pub struct Snapshot {
    database: InMemoryDB,
    now: u64,
    place: Place,
    logs: Vec<Recorded>,
}

impl Evm {
    /// An empty chain at a moment in seconds.
    pub fn new(now: u64) -> Self {
        Self::over(InMemoryDB::default(), now, Place { block: 1, transaction: 0, log: 0 }, Vec::new())
    }

    fn over(database: InMemoryDB, now: u64, place: Place, logs: Vec<Recorded>) -> Self {
        let context: MainnetContext<InMemoryDB> = Context::new(database, SpecId::CANCUN);
        let context = context.modify_cfg_chained(|config| {
            config.disable_nonce_check = true;
            config.tx_chain_id_check = false;
            config.tx_gas_limit_cap = Some(u64::MAX);
            config.limit_contract_code_size = Some(usize::MAX >> 1);
            config.limit_contract_initcode_size = Some(usize::MAX >> 1);
        });
        let mut inner = context.build_mainnet();
        inner.ctx.block.gas_limit = u64::MAX;
        inner.ctx.block.number = U256::from(place.block);
        inner.ctx.block.timestamp = U256::from(now);
        Self { inner, now, place, logs }
    }

    /// The moment of the next transaction, in seconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets time pass.
    pub fn warp(&mut self, seconds: u64) {
        self.now += seconds;
        self.inner.ctx.block.timestamp = U256::from(self.now);
        self.place = Place { block: self.place.block + 1, transaction: 0, log: 0 };
        self.inner.ctx.block.number = U256::from(self.place.block);
    }

    /// The block of the next transaction.
    pub fn block(&self) -> u64 {
        self.place.block
    }

    /// The logs since this was last asked, or since the chain began.
    pub fn take_logs(&mut self) -> Vec<Recorded> {
        std::mem::take(&mut self.logs)
    }

    fn record(&mut self, logs: &[Log]) {
        for log in logs {
            self.logs.push(Recorded {
                block: self.place.block,
                time: self.now,
                transaction: self.place.transaction,
                index: self.place.log,
                log: log.clone(),
            });
            self.place.log += 1;
        }
        self.place.transaction += 1;
    }

    /// The chain as it is.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            database: self.inner.ctx.journaled_state.database.clone(),
            now: self.now,
            place: self.place,
            logs: self.logs.clone(),
        }
    }

    /// A chain that goes on from where a snapshot was taken.
    pub fn restore(snapshot: Snapshot) -> Self {
        Self::over(snapshot.database, snapshot.now, snapshot.place, snapshot.logs)
    }

    fn transaction(from: Address, kind: TxKind, data: Bytes) -> TxEnv {
        TxEnv { caller: from, gas_limit: GAS, kind, data, ..TxEnv::default() }
    }

    /// Runs a transaction; an error means that the chain itself broke, which a contract cannot bring about.
    pub fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Result<Success, Reverted>> {
        self.pay(from, to, U256::ZERO, data)
    }

    /// The same with wei of the native token sent along, which the sender must have.
    pub fn pay(&mut self, from: Address, to: Address, value: U256, data: Bytes) -> Result<Result<Success, Reverted>> {
        let transaction = TxEnv { value, ..Self::transaction(from, TxKind::Call(to), data) };
        let result = self.inner.transact_commit(transaction);
        match result.map_err(|error| anyhow!("{error:?}"))? {
            ExecutionResult::Success { output, logs, .. } => {
                self.record(&logs);
                Ok(Ok(Success { output: output.into_data(), logs }))
            }
            ExecutionResult::Revert { output, .. } => Ok(Err(Reverted(output))),
            ExecutionResult::Halt { reason, .. } => halted(&format!("{reason:?}")),
        }
    }

    /// Runs a transaction of the administrator's that must succeed.
    pub fn admin(&mut self, to: Address, data: Bytes, what: &str) -> Result<Bytes> {
        match self.call(ADMIN, to, data)? {
            Ok(success) => Ok(success.output),
            Err(Reverted(reason)) => bail!("{what} reverted with {reason}"),
        }
    }

    /// Asks without changing anything.
    pub fn view(&mut self, to: Address, data: Bytes) -> Result<Result<Bytes, Reverted>> {
        let result = self.inner.transact_one(Self::transaction(ADMIN, TxKind::Call(to), data));
        let _ = self.inner.finalize();
        match result.map_err(|error| anyhow!("{error:?}"))? {
            ExecutionResult::Success { output, .. } => Ok(Ok(output.into_data())),
            ExecutionResult::Revert { output, .. } => Ok(Err(Reverted(output))),
            ExecutionResult::Halt { reason, .. } => {
                halted(&format!("{reason:?}")).map(|never| never.map(|_| Bytes::new()))
            }
        }
    }

    /// Deploys creation code, constructor arguments already behind it.
    pub fn deploy(&mut self, code: Bytes, what: &str) -> Result<Address> {
        let result = self.inner.transact_commit(Self::transaction(ADMIN, TxKind::Create, code));
        match result.map_err(|error| anyhow!("{error:?}"))? {
            ExecutionResult::Success { output: Output::Create(_, address), logs, .. } => {
                self.record(&logs);
                address.with_context(|| format!("{what} was created nowhere"))
            }
            other @ (ExecutionResult::Success { .. }
            | ExecutionResult::Revert { .. }
            | ExecutionResult::Halt { .. }) => bail!("deploying {what} failed: {other:?}"),
        }
    }

    /// Puts runtime code at an address, without a transaction.
    pub fn place(&mut self, at: Address, code: Bytes) {
        let info = AccountInfo::from_bytecode(Bytecode::new_raw(code));
        self.inner.ctx.db_mut().insert_account_info(at, info);
    }

    /// What an account has of the native token, in wei.
    pub fn balance(&mut self, of: Address) -> Result<U256> {
        let account = self.inner.ctx.db_mut().load_account(of);
        Ok(account.map_err(|error| anyhow!("{error:?}"))?.info.balance)
    }

    /// Sets what an account has of the native token, in wei.
    pub fn set_balance(&mut self, of: Address, wei: U256) -> Result<()> {
        let account = self.inner.ctx.db_mut().load_account(of);
        let info = account.map_err(|error| anyhow!("{error:?}"))?.info.clone();
        self.inner.ctx.db_mut().insert_account_info(of, AccountInfo { balance: wei, ..info });
        Ok(())
    }

    /// Who gets the fees of the blocks to come.
    pub fn set_builder(&mut self, builder: Address) {
        self.inner.ctx.block.beneficiary = builder;
    }

    /// Sets a storage word, without a transaction.
    pub fn set_storage(&mut self, at: Address, slot: U256, value: U256) -> Result<()> {
        let set = self.inner.ctx.db_mut().insert_account_storage(at, slot, value);
        set.map_err(|error| anyhow!("{error:?}"))
    }
}

/// An `assert` of Solidity before 0.8 and a jump into nowhere spend all gas and give no reason: a revert like any other.
/// Running out of gas is not, since there is no end of gas here.
fn halted(reason: &str) -> Result<Result<Success, Reverted>> {
    if reason.contains("OutOfGas") {
        bail!("out of gas: {reason}");
    }
    Ok(Err(Reverted(Bytes::new())))
}
