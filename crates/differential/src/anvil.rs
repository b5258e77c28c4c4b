//! A node of one's own: anvil, started on a free port, which dies with its owner.
//!
//! Blocks are made when told, at the moment that is told, and nobody signs or pays: whoever is named as sender is it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use alloy_primitives::{Address, B256, Bytes, Log, U256, hex};
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::artifacts;
use crate::evm::{ADMIN, Reverted, Success};
use crate::http::Connection;

/// Names a binary to use instead of the installed one.
pub const VARIABLE: &str = "TIDEGATE_ANVIL";

/// What a transaction may use: since Osaka a node takes no more than 2^24.
const GAS: u64 = 16_000_000;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// The binary, or none where nobody installed it: it is offered for x86-64 Linux alone.
pub fn find() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(VARIABLE) {
        return Some(path.into());
    }
    let folder = std::env::var_os(artifacts::VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/contracts"),
        |folder| PathBuf::from(&folder),
    );
    let path = folder.join("node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil");
    path.is_file().then_some(path)
}

/// How a node is set up.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The chain's id.
    pub chain: u64,
    /// The moment of its first block, in seconds.
    pub begin: u64,
    /// How many blocks behind the last one the `safe` block is; `finalized` is twice as far.
    pub safe: u64,
}

impl Options {
    /// A chain that begins at a moment and has its third last block finalised.
    pub fn beginning(begin: u64) -> Self {
        Self { chain: 31_337, begin, safe: 1 }
    }
}

/// A transaction to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Who sends it.
    pub from: Address,
    /// Whom it calls; none deploys a contract.
    pub to: Option<Address>,
    /// The call, or the contract's creation code.
    pub data: Bytes,
    /// What is sent along, in wei.
    pub value: U256,
}

impl Transaction {
    /// A call that sends nothing along.
    pub fn call(from: Address, to: Address, data: Bytes) -> Self {
        Self { from, to: Some(to), data, value: U256::ZERO }
    }

    /// A plain payment, in wei.
    pub fn payment(from: Address, to: Address, value: U256) -> Self {
        Self { from, to: Some(to), data: Bytes::new(), value }
    }
}

/// What a node refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// In words.
    pub message: String,
    /// A revert's reason, where it is one.
    pub data: Option<Bytes>,
}

/// A running node.
#[derive(Debug)]
pub struct Anvil {
    process: Child,
    address: SocketAddr,
    connection: Connection,
    now: u64,
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // It may be gone already; nothing can be done about one that will not go.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Anvil {
    /// Starts a node and waits until it listens.
    pub fn start(binary: &Path, options: Options) -> Result<Self> {
        Self::start_with(binary, options, &[])
    }

    /// The same with more arguments of anvil's own, such as `--ipc=PATH`.
    pub fn start_with(binary: &Path, options: Options, more: &[&str]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.args(more);
        command.args("--port 0 --host 127.0.0.1 --accounts 0 --no-mining --order fifo --auto-impersonate".split(' '));
        command.args("--disable-pool-balance-checks --gas-price 0 --base-fee 0 --gas-limit 1000000000".split(' '));
        command.args("--disable-code-size-limit --no-request-size-limit --color never".split(' '));
        for (option, value) in
            [("--chain-id", options.chain), ("--timestamp", options.begin), ("--slots-in-an-epoch", options.safe)]
        {
            command.arg(option).arg(value.to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().with_context(|| format!("{}: cannot be started", binary.display()))?;
        let output = process.stdout.take().context("a child without output")?;
        let (sender, receiver) = mpsc::channel();
        // Reads to the end, since a node whose output nobody takes stops.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("Listening on ") {
                    let _ = sender.send(address.trim().parse::<SocketAddr>());
                }
            }
        });
        let address = receiver.recv_timeout(PATIENCE);
        let Ok(Ok(address)) = address else {
            let _ = process.kill();
            let _ = process.wait();
            bail!("{}: said no address it listens on", binary.display());
        };
        Ok(Self { process, address, connection: Connection::new(address), now: options.begin })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The moment of the next block, in seconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets time pass.
    pub fn warp(&mut self, seconds: u64) {
        self.now += seconds;
    }

    /// Asks anything; what the node refuses is a value, what it does not answer an error.
    #[expect(clippy::needless_pass_by_value, reason = "callers build the parameters in place")]
    pub fn ask(&mut self, method: &str, params: Value) -> Result<Result<Value, Refused>> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let reply = self.connection.post(body.as_bytes()).with_context(|| format!("{method} was not answered"))?;
        let mut reply: Value = serde_json::from_slice(&reply).with_context(|| format!("{method}: no JSON"))?;
        if let Some(error) = reply.get("error") {
            let data = error["data"].as_str().and_then(|data| hex::decode(data).ok());
            let message = error["message"].as_str().unwrap_or_default().to_owned();
            return Ok(Err(Refused { message, data: data.map(Bytes::from) }));
        }
        Ok(Ok(reply["result"].take()))
    }

    /// Asks what cannot be refused.
    pub fn request(&mut self, method: &str, params: Value) -> Result<Value> {
        self.ask(method, params)?.map_err(|refused| anyhow!("{method}: {}", refused.message))
    }

    /// The number of the last block.
    pub fn latest(&mut self) -> Result<u64> {
        number(&self.request("eth_blockNumber", json!([]))?)
    }

    /// The hash of a block.
    pub fn block_hash(&mut self, block: u64) -> Result<B256> {
        let block = self.request("eth_getBlockByNumber", json!([format!("{block:#x}"), false]))?;
        fixed::<32>(&block["hash"]).map(B256::from)
    }

    /// Makes this many blocks with nothing in them, all at the present moment.
    pub fn mine(&mut self, blocks: u64) -> Result<()> {
        for _ in 0..blocks {
            self.seal()?;
        }
        Ok(())
    }

    fn seal(&mut self) -> Result<()> {
        let now = self.now;
        self.request("evm_setNextBlockTimestamp", json!([format!("{now:#x}")]))?;
        self.request("evm_mine", json!([])).map(|_| ())
    }

    /// Puts transactions into one block, in this order, and says what each came to.
    pub fn block(&mut self, transactions: &[Transaction]) -> Result<Vec<Result<Receipt, Reverted>>> {
        let mut hashes = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            hashes.push(self.request("eth_sendTransaction", json!([parameters(transaction)]))?);
        }
        self.seal()?;
        let receipts = self.request("eth_getBlockReceipts", json!(["latest"]))?;
        let receipts = receipts.as_array().context("a block without receipts")?;
        if receipts.len() != hashes.len() {
            bail!("{} transactions were sent and {} taken", hashes.len(), receipts.len());
        }
        let of_hash = |(receipt, hash): (&Value, Value)| {
            if receipt["transactionHash"] != hash {
                bail!("a block in another order than its transactions were sent");
            }
            self.receipt(receipt)
        };
        receipts.iter().zip(hashes).map(of_hash).collect()
    }

    fn receipt(&mut self, receipt: &Value) -> Result<Result<Receipt, Reverted>> {
        if receipt["status"] != "0x1" {
            return self.reason(&receipt["transactionHash"]).map(Err);
        }
        let logs: Result<Vec<Log>> = receipt["logs"].as_array().context("no logs")?.iter().map(log).collect();
        let created = &receipt["contractAddress"];
        let created = if created.is_null() { None } else { Some(fixed::<20>(created)?.into()) };
        let hash = fixed::<32>(&receipt["transactionHash"])?.into();
        Ok(Ok(Receipt { hash, logs: logs?, created }))
    }

    /// Why a transaction reverted, which only a trace of it knows.
    fn reason(&mut self, hash: &Value) -> Result<Reverted> {
        let trace = self.request("debug_traceTransaction", json!([hash, {"tracer": "callTracer"}]))?;
        let error = trace["error"].as_str().unwrap_or_default();
        if error.to_ascii_lowercase().replace(' ', "").contains("outofgas") {
            bail!("out of gas: {hash}");
        }
        Ok(Reverted(trace.get("output").map_or(Ok(Bytes::new()), bytes)?))
    }

    /// Runs a transaction in a block of its own. What it returned is not known: receipts do not say.
    pub fn call(&mut self, from: Address, to: Address, data: Bytes) -> Result<Result<Success, Reverted>> {
        let receipt = self.block(&[Transaction::call(from, to, data)])?.pop().context("one receipt")?;
        Ok(receipt.map(|receipt| Success { output: Bytes::new(), logs: receipt.logs }))
    }

    /// Deploys creation code in a block of its own.
    pub fn deploy(&mut self, code: Bytes, what: &str) -> Result<Address> {
        let transaction = Transaction { from: ADMIN, to: None, data: code, value: U256::ZERO };
        let receipt = self.block(&[transaction])?.pop().context("one receipt")?;
        match receipt {
            Ok(receipt) => receipt.created.with_context(|| format!("{what} was created nowhere")),
            Err(Reverted(reason)) => bail!("deploying {what} failed with {reason}"),
        }
    }

    /// Asks a contract at the present moment, on top of the last block.
    pub fn view(&mut self, to: Address, data: &Bytes) -> Result<Result<Bytes, Reverted>> {
        let now = self.now;
        let call = json!({"from": ADMIN.to_string(), "to": to.to_string(), "data": data.to_string()});
        match self.ask("eth_call", json!([call, "latest", {}, {"time": format!("{now:#x}")}]))? {
            Ok(answer) => bytes(&answer).map(Ok),
            Err(Refused { data: Some(data), .. }) => Ok(Err(Reverted(data))),
            // An instruction that does not exist spends all gas and gives no reason.
            Err(Refused { message, .. }) if message.contains("InvalidFEOpcode") || message.contains("revert") => {
                Ok(Err(Reverted(Bytes::new())))
            }
            Err(Refused { message, .. }) => bail!("eth_call: {message}"),
        }
    }

    /// Puts runtime code at an address, without a transaction.
    pub fn place(&mut self, at: Address, code: &Bytes) -> Result<()> {
        self.request("anvil_setCode", json!([at.to_string(), code.to_string()])).map(|_| ())
    }

    /// Sets a storage word, without a transaction.
    pub fn set_storage(&mut self, at: Address, slot: U256, value: U256) -> Result<()> {
        let value = B256::from(value).to_string();
        self.request("anvil_setStorageAt", json!([at.to_string(), format!("{slot:#x}"), value])).map(|_| ())
    }

    /// What an account has of the native token, in wei.
    pub fn balance(&mut self, of: Address) -> Result<U256> {
        word(&self.request("eth_getBalance", json!([of.to_string(), "latest"]))?)
    }

    /// Sets what an account has of the native token, in wei.
    pub fn set_balance(&mut self, of: Address, wei: U256) -> Result<()> {
        self.request("anvil_setBalance", json!([of.to_string(), format!("{wei:#x}")])).map(|_| ())
    }

    /// Who gets the fees of the blocks to come.
    pub fn set_builder(&mut self, builder: Address) -> Result<()> {
        self.request("anvil_setCoinbase", json!([builder.to_string()])).map(|_| ())
    }

    /// The chain as it is, to go back to once.
    pub fn snapshot(&mut self) -> Result<Snapshot> {
        Ok(Snapshot { id: self.request("evm_snapshot", json!([]))?, now: self.now })
    }

    /// Goes back; what came since is forgotten.
    pub fn revert(&mut self, to: Snapshot) -> Result<()> {
        if self.request("evm_revert", json!([to.id]))? != Value::Bool(true) {
            bail!("a snapshot that the node does not know any more");
        }
        self.now = to.now;
        Ok(())
    }

    /// Replaces the last `depth` blocks by as many others. Each transaction goes into the replacement of the block at
    /// its offset, counted from the first that is replaced.
    pub fn reorg(&mut self, depth: u64, transactions: &[(Transaction, u64)]) -> Result<()> {
        let pairs: Vec<Value> =
            transactions.iter().map(|(transaction, offset)| json!([parameters(transaction), offset])).collect();
        self.request("anvil_reorg", json!([depth, pairs])).map(|_| ())
    }
}

/// The chain as it was.
#[derive(Debug)]
pub struct Snapshot {
    id: Value,
    now: u64,
}

/// What a transaction that succeeded left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The transaction's hash.
    pub hash: B256,
    /// The events, in order.
    pub logs: Vec<Log>,
    /// The contract it created.
    pub created: Option<Address>,
}

fn parameters(transaction: &Transaction) -> Value {
    let mut fields = json!({
        "from": transaction.from.to_string(),
        "data": transaction.data.to_string(),
        "gas": format!("{GAS:#x}"),
        "gasPrice": "0x0",
        "value": format!("{:#x}", transaction.value),
    });
    if let Some(to) = transaction.to {
        fields["to"] = to.to_string().into();
    }
    fields
}

/// A log as a node writes it.
pub fn log(json: &Value) -> Result<Log> {
    let topics = json["topics"].as_array().context("a log without topics")?.iter();
    let topics: Result<Vec<B256>> = topics.map(|topic| fixed::<32>(topic).map(B256::from)).collect();
    Log::new(fixed::<20>(&json["address"])?.into(), topics?, bytes(&json["data"])?).context("too many topics")
}

/// A number as a node writes it.
pub fn number(json: &Value) -> Result<u64> {
    let text = json.as_str().with_context(|| format!("{json} is no number"))?;
    u64::from_str_radix(text.trim_start_matches("0x"), 16).with_context(|| format!("{text} is no number"))
}

fn word(json: &Value) -> Result<U256> {
    let text = json.as_str().with_context(|| format!("{json} is no number"))?;
    U256::from_str_radix(text.trim_start_matches("0x"), 16).map_err(|error| anyhow!("{text} is no number: {error}"))
}

fn bytes(json: &Value) -> Result<Bytes> {
    let text = json.as_str().with_context(|| format!("{json} is no hex"))?;
    Ok(hex::decode(text).with_context(|| format!("{text} is no hex"))?.into())
}

fn fixed<const N: usize>(json: &Value) -> Result<[u8; N]> {
    let bytes = bytes(json)?;
    bytes.as_ref().try_into().with_context(|| format!("{json} has not {N} bytes"))
}
