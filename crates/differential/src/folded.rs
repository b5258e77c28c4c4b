//! The book beside the contracts: it sees their logs and what they answer, nothing else, and must know what they know.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::{Context as _, Result, anyhow, bail};
use engine::book::view::Want;
use engine::book::{Book, Change, Gap, View};
use protocol::aave::Revision;
use protocol::aave::account::{Account, AccountData, Block, Sentinel, account_data};
use protocol::aave::config::{ReserveConfig, UserFlags};
use protocol::aave::log::{Anchor, Statement};
use protocol::event::Event;
use source::decode::{self, reads};
use source::log::{Log, Logs};

use crate::compare::Difference;
use crate::evm::{Recorded, Reverted};
use crate::market::{Holding, Market, ReserveState};
use crate::world::Version;

/// A book that follows a market.
#[derive(Debug)]
pub struct Follower {
    book: Book,
    source: Arc<str>,
    /// Every event that was folded, and how to take it back.
    journal: Vec<(Event, Change)>,
    /// Borrow bits that the pool left behind.
    pub stale_bits: u64,
}

/// What became of following.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The book knows everything up to here.
    Wholly,
    /// A balance is larger than the book keeps.
    TooLarge,
}

impl Follower {
    /// Follows a market from its first log.
    pub fn new(market: &mut Market) -> Result<Self> {
        let book = Book::new(market.provider);
        let mut follower = Self { book, source: "market".into(), journal: Vec::new(), stale_bits: 0 };
        if follower.follow(market)? != Followed::Wholly {
            bail!("a market begins with too large a balance");
        }
        let (block, now) = (memory(market)?.block(), market.evm.now());
        // Answers are about the end of a block.
        market.evm.warp(0);
        for want in follower.book.snapshot().wants() {
            let Want::Configuration(asset) = want else {
                bail!("a new market's logs leave open: {want:?}");
            };
            let word = reads::number(&ask(market, market.pool, reads::CONFIGURATION, &[reads::word(asset)])?)?;
            let anchor = Anchor {
                asset,
                configuration: Some(word),
                indexes: None,
                stable: None,
                deficit: None,
                accrued_to_treasury: None,
            };
            let statement = Statement::Anchored(Box::new(anchor));
            follower.fold(decode::answer(&follower.source, block, now, market.pool, statement)?)?;
        }
        Ok(follower)
    }

    /// The market as the book has it.
    pub fn view(&self) -> Arc<View> {
        self.book.snapshot()
    }

    /// The events so far.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.journal.iter().map(|(event, _)| event)
    }

    /// Folds what was written since the last time. What the book asks for, it gets.
    pub fn follow(&mut self, market: &mut Market) -> Result<Followed> {
        let recorded = memory(market)?.take_logs();
        let mut logs = Logs::default();
        for log in &recorded {
            push(&mut logs, log);
        }
        for log in logs.iter() {
            let Some(event) = decode::event(&self.source, &log).map_err(|reject| anyhow!("{log:?}: {reject}"))? else {
                continue;
            };
            loop {
                match self.book.apply(&event) {
                    Ok(change) => {
                        self.journal.push((event, change));
                        break;
                    }
                    Err(Gap::TooLarge { .. }) => return Ok(Followed::TooLarge),
                    Err(Gap::UnknownContract { address, .. }) if is_foreign(market, address) => break,
                    Err(gap) => self.bring(market, &logs, &log, gap)?,
                }
            }
        }
        Ok(Followed::Wholly)
    }

    fn fold(&mut self, event: Event) -> Result<()> {
        let change = self.book.apply(&event)?;
        self.journal.push((event, change));
        Ok(())
    }

    /// Brings what a gap asks for.
    fn bring(&mut self, market: &mut Market, logs: &Logs, log: &Log<'_>, gap: Gap) -> Result<()> {
        #[expect(clippy::wildcard_enum_match_arm, reason = "the other gaps must not be")]
        let (by, statement) = match gap {
            Gap::UnknownRevision { implementation, .. } => {
                let revision = match market.evm.view(implementation, reads::call(reads::POOL_REVISION, &[]))? {
                    Ok(answer) => reads::revision_v3(reads::number(&answer)?).context("an unknown revision")?,
                    Err(_) => {
                        ask(market, implementation, reads::V2_REVISION, &[])?;
                        Revision::V2
                    }
                };
                (implementation, Statement::Runs { implementation, revision, transfers: None })
            }
            Gap::UnknownTransfers { token, transaction, block } => {
                let same = |other: &Log<'_>| (other.block, other.transaction_index) == (block, transaction);
                let transfers = reads::transfers(token, logs.iter().filter(same)).context("no transfer to compare")?;
                (token, Statement::Writes { transfers })
            }
            other => bail!("{other} at {log:?}"),
        };
        self.fold(decode::answer(&self.source, log.block, log.time, by, statement)?)
    }

    /// Takes back the last events until `left` are there, says what the book was like then, and takes them again.
    pub fn rewind(&mut self, left: usize) -> Result<Book> {
        let tail = self.journal.split_off(left.min(self.journal.len()));
        let mut events = Vec::with_capacity(tail.len());
        for (event, change) in tail.into_iter().rev() {
            self.book.undo(change);
            events.push(event);
        }
        let then = self.book.clone();
        for event in events.into_iter().rev() {
            self.fold(event)?;
        }
        Ok(then)
    }

    /// How many events were folded, and the book as it is.
    pub fn mark(&self) -> (usize, Book) {
        (self.journal.len(), self.book.clone())
    }
}

/// The chain that records what was written.
fn memory(market: &mut Market) -> Result<&mut crate::evm::Evm> {
    market.evm.memory().context("the book follows a market in memory")
}

/// Tokens that are lent write `Transfer` alone; nothing else but the market's contracts writes what we read.
fn is_foreign(market: &Market, address: Address) -> bool {
    market.reserves.iter().any(|reserve| reserve.asset == address)
}

fn push(logs: &mut Logs, recorded: &Recorded) {
    logs.push(&Log {
        block: recorded.block,
        block_hash: B256::ZERO,
        time: recorded.time,
        transaction: B256::ZERO,
        transaction_index: recorded.transaction,
        log_index: recorded.index,
        address: recorded.log.address,
        topics: recorded.log.topics(),
        data: &recorded.log.data.data,
    });
}

fn ask(market: &mut Market, to: Address, signature: &str, arguments: &[U256]) -> Result<Bytes> {
    match market.evm.view(to, reads::call(signature, arguments))? {
        Ok(answer) => Ok(answer),
        Err(Reverted(reason)) => bail!("{signature} reverted with {reason}"),
    }
}

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Reserves.
    pub reserves: u64,
    /// Holdings of one account in one reserve.
    pub holdings: u64,
    /// Accounts.
    pub accounts: u64,
}

impl Follower {
    /// Compares reserves and accounts with the contracts, to the last unit.
    pub fn compare(
        &mut self,
        market: &mut Market,
        (reserves, users): (&[usize], &[Address]),
        compared: &mut Compared,
    ) -> Result<Option<Difference>> {
        let view = self.book.snapshot();
        for &index in reserves {
            compared.reserves += 1;
            if let Some(difference) = reserve(&view, market, index)? {
                return Ok(Some(difference));
            }
            for &user in users {
                compared.holdings += 1;
                let (chain, own) = (market.holding(user, index)?, holding(&view, user, index));
                if chain != own {
                    return Ok(Some(format!("{user} in reserve {index}\n  chain: {chain:?}\n  book:  {own:?}")));
                }
            }
        }
        let block = self.block(&view, market)?;
        for &user in users {
            compared.accounts += 1;
            if let Some(difference) = self.account(&view, market, user, &block)? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    /// Time and prices, as the oracle answers now.
    fn block(&self, view: &View, market: &mut Market) -> Result<Block> {
        let (oracle, _) = view.oracle().context("the logs name no oracle")?;
        let mut price = |asset: Address| -> Result<U256> {
            match market.evm.view(oracle, reads::call(reads::PRICE, &[reads::word(asset)]))? {
                Ok(answer) => Ok(reads::number(&answer)?),
                Err(_) => Ok(U256::ZERO),
            }
        };
        let prices = view.listed().iter().map(|listed| price(listed.contracts.asset)).collect::<Result<_>>()?;
        let sources = view.e_mode_sources().iter();
        let e_mode_prices =
            sources.map(|(category, source)| Ok((*category, price(*source)?))).collect::<Result<_>>()?;
        let sentinel: Option<Sentinel> = None;
        Ok(Block { now: market.evm.now(), prices, e_mode_prices, sentinel })
    }

    fn account(
        &mut self,
        view: &View,
        market: &mut Market,
        user: Address,
        block: &Block,
    ) -> Result<Option<Difference>> {
        let person = view.accounts.find(&user).and_then(|id| view.accounts.get(id));
        let account = person.map(View::account).unwrap_or_default();
        let (flags, e_mode) = (UserFlags(market.flags(user)?), market.e_mode(user)?);
        if let Some(difference) = self.flags(market.version, user, flags, &account) {
            return Ok(Some(difference));
        }
        if e_mode != U256::from(account.e_mode) {
            return Ok(Some(format!("{user}: the chain has e-mode {e_mode}, the book {}", account.e_mode)));
        }
        let chain = market.account_data(user)?;
        let revision = view.revision().context("the logs tell no revision")?;
        let own = account_data(revision, &view.reserves(), view.e_modes(), &account, block);
        let words = |data: AccountData| {
            let [ltv, threshold] = [data.ltv, data.liquidation_threshold].map(|bps| U256::from(bps.0));
            [data.total_collateral, data.total_debt, data.available_borrows, threshold, ltv, data.health_factor.0]
        };
        let is_same = match (&chain, own) {
            (Ok(chain), Ok(own)) => *chain == words(own),
            (Err(_), Err(_)) => true,
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        Ok((!is_same).then(|| format!("the account of {user}\n  chain: {chain:?}\n  book:  {own:?}\n  {account:?}")))
    }

    /// Collateral bits must be the same; a borrow bit without debt may have been left behind, to 3.3.
    fn flags(&mut self, version: Version, user: Address, chain: UserFlags, own: &Account) -> Option<Difference> {
        if chain == own.flags {
            return None;
        }
        let mut without = chain;
        for id in chain.reserves() {
            let is_left = chain.is_borrowing(id) && !own.flags.is_borrowing(id);
            if is_left && version != Version::V3_6 {
                without.set_borrowing(id, false);
                self.stale_bits += 1;
            }
        }
        (without != own.flags).then(|| format!("{user}: the chain's bits are {chain:?}, the book's {:?}", own.flags))
    }
}

fn reserve(view: &View, market: &mut Market, index: usize) -> Result<Option<Difference>> {
    let chain = market.reserve(index)?;
    let listed = view.listed().get(index).context("a reserve was never listed")?;
    let contracts = market.reserves[index];
    let own = [listed.contracts.asset, listed.contracts.a_token, listed.contracts.stable, listed.contracts.variable];
    if own != [contracts.asset, contracts.a_token, contracts.stable, contracts.variable] {
        return Ok(Some(format!("reserve {index} is another: {own:?}, not {contracts:?}")));
    }
    let booked = ReserveState {
        configuration: listed.config.to_word(),
        liquidity_index: U256::from(listed.indexes.liquidity_index),
        liquidity_rate: U256::from(listed.indexes.liquidity_rate),
        variable_index: U256::from(listed.indexes.variable_index),
        variable_rate: U256::from(listed.indexes.variable_rate),
        stable_rate: U256::from(listed.indexes.stable_rate),
        last_update: U256::from(listed.last_update),
        isolation_debt: listed.isolation_debt,
        deficit: listed.deficit,
        grace_until: U256::from(listed.grace_until),
        scaled_supply: listed.scaled_supply,
        scaled_variable_debt: listed.scaled_debt,
        stable_principal: listed.stable.principal,
        stable_average_rate: listed.stable.average_rate.0,
        stable_updated: U256::from(listed.stable.updated),
        // What no log tells.
        accrued_to_treasury: chain.accrued_to_treasury,
        unbacked: chain.unbacked,
        liquidity: chain.liquidity,
    };
    if chain != booked {
        let config = ReserveConfig::from_word(chain.configuration);
        return Ok(Some(format!(
            "reserve {index}\n  chain: {chain:?}\n  book:  {booked:?}\n{config:?}\n{:?}",
            listed.config
        )));
    }
    let now = market.evm.now();
    let asset = [reads::word(contracts.asset)];
    let pool = market.pool;
    let income = reads::number(&ask(market, pool, reads::INCOME, &asset)?)?;
    let debt = reads::number(&ask(market, pool, reads::DEBT, &asset)?)?;
    let revision = view.revision().context("the logs tell no revision")?;
    let own = (listed.income(now).map(|ray| ray.0), listed.debt(revision, now).map(|ray| ray.0));
    Ok((own != (Ok(income), Ok(debt)))
        .then(|| format!("indexes of reserve {index} now: {income}, {debt}, not {own:?}")))
}

fn holding(view: &View, user: Address, index: usize) -> Holding {
    let person = view.accounts.find(&user).and_then(|id| view.accounts.get(id));
    let account = person.map(View::account).unwrap_or_default();
    let position = account.position(crate::mirror::id(index));
    Holding {
        scaled_supply: position.supplied,
        scaled_variable_debt: position.borrowed,
        stable_principal: position.stable.principal,
        stable_rate: position.stable.rate.0,
        stable_updated: U256::from(position.stable.since),
    }
}

/// How often each event was folded, by its name in the book.
pub fn kinds<'a>(events: impl Iterator<Item = &'a Event>, into: &mut BTreeMap<String, u64>) {
    for event in events {
        if let protocol::event::Fact::Market(entry) = &event.fact {
            let text = format!("{:?}", entry.statement);
            let end = text.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(text.len());
            *into.entry(text[..end].to_owned()).or_default() += 1;
        }
    }
}
