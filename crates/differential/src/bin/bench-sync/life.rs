//! A made-up market's life as logs: who supplies, borrows and leaves, in the mix in which pools say it.
//!
//! Each account has two reserves it supplies and one it borrows. Amounts follow the revision's own arithmetic, so that a
//! book takes every log. A life is the same on every machine.

use std::sync::Arc;

use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::{Result, anyhow};
use differential::chance::Chance;
use engine::book::Book;
use protocol::aave::Revision;
use protocol::aave::log::{Entry, Listing, Statement, Transfers};
use protocol::aave::math::{Ray, Rounding, ray_div, ray_mul};
use protocol::aave::revision::Scaling;
use protocol::chain::ChainId;
use protocol::event::{Cursor, Event, Fact};
use protocol::time::{SECOND_US, TimeUs};
use source::log::{Log, Logs};

pub(crate) const CHAIN: ChainId = ChainId(8_453);
pub(crate) const FIRST_BLOCK: u64 = 1_000_000;
pub(crate) const PROVIDER: Address = Address::repeat_byte(0xa1);
pub(crate) const POOL: Address = Address::repeat_byte(0xa2);
pub(crate) const CONFIGURATOR: Address = Address::repeat_byte(0xa3);
const IMPLEMENTATION: Address = Address::repeat_byte(0xa4);
const RESERVES: u8 = 12;
/// Logs that one action leaves, on average: how many actions so many logs are.
const LOGS_AN_ACTION: f64 = 3.2;

/// A contract of a reserve: its asset, its supply token or its debt token.
fn contract(kind: u8, reserve: u8) -> Address {
    Address::from_slice(&keccak256([kind, reserve])[12..])
}

/// Everybody who writes a log.
pub(crate) fn writers() -> Vec<Address> {
    let tokens = (0..RESERVES).flat_map(|reserve| [contract(1, reserve), contract(2, reserve)]);
    [PROVIDER, POOL, CONFIGURATOR].into_iter().chain(tokens).collect()
}

/// The time of a block, in seconds since 1970.
pub(crate) fn time(block: u64) -> u64 {
    1_700_000_000 + 2 * (block - FIRST_BLOCK)
}

/// The hash of a block.
pub(crate) fn block_hash(block: u64) -> B256 {
    mixed(block, 1)
}

fn mixed(number: u64, purpose: u64) -> B256 {
    let mut chance = Chance::new(number, purpose);
    let words: Vec<u8> = (0..4).flat_map(|_| chance.bits().to_be_bytes()).collect();
    B256::from_slice(&words)
}

/// A book that knows the market's contracts and nobody yet.
pub(crate) fn book(revision: Revision) -> Result<Book> {
    let mut book = Book::new(PROVIDER);
    let proxy = |name: &[u8], proxy| Statement::ProxyCreated { name: B256::right_padding_from(name), proxy };
    let transfers = Some(Transfers::Scaled);
    let mut said = vec![
        (PROVIDER, proxy(b"POOL", POOL)),
        (PROVIDER, proxy(b"POOL_CONFIGURATOR", CONFIGURATOR)),
        (PROVIDER, Statement::Runs { implementation: IMPLEMENTATION, revision, transfers }),
        (PROVIDER, Statement::PoolImplementation { implementation: IMPLEMENTATION }),
    ];
    for reserve in 0..RESERVES {
        let [asset, a_token, variable] = [0, 1, 2].map(|kind| contract(kind, reserve));
        let listing = Listing { asset, a_token, stable: Address::ZERO, variable, strategy: Address::ZERO };
        said.push((CONFIGURATOR, Statement::Listed(Box::new(listing))));
    }
    for (index, (by, statement)) in (0..).zip(said) {
        let event = Event {
            at: Cursor { source: Arc::from("bench"), height: 1, index },
            time: TimeUs(1_600_000_000 * SECOND_US),
            fact: Fact::Market(Entry { by, transaction: 0, statement }),
        };
        book.apply(&event).map_err(|gap| anyhow!("the book does not begin: {gap}"))?;
    }
    Ok(book)
}

/// The name of the commonest event.
pub(crate) fn updated() -> B256 {
    keccak256("ReserveDataUpdated(address,uint256,uint256,uint256,uint256,uint256)")
}

/// First topics.
struct Names {
    mint: B256,
    burn: B256,
    transfer: B256,
    supply: B256,
    withdraw: B256,
    borrow: B256,
    repay: B256,
    updated: B256,
    liquidation: B256,
    enabled: B256,
    e_mode: B256,
}

impl Names {
    fn new() -> Self {
        Self {
            mint: keccak256("Mint(address,address,uint256,uint256,uint256)"),
            burn: keccak256("Burn(address,address,uint256,uint256,uint256)"),
            transfer: keccak256("BalanceTransfer(address,address,uint256,uint256)"),
            supply: keccak256("Supply(address,address,address,uint256,uint16)"),
            withdraw: keccak256("Withdraw(address,address,address,uint256)"),
            borrow: keccak256("Borrow(address,address,address,uint256,uint8,uint256,uint16)"),
            repay: keccak256("Repay(address,address,address,uint256,bool)"),
            updated: updated(),
            liquidation: keccak256("LiquidationCall(address,address,address,uint256,uint256,address,bool)"),
            enabled: keccak256("ReserveUsedAsCollateralEnabled(address,address)"),
            e_mode: keccak256("UserEModeSet(address,uint8)"),
        }
    }
}

/// What an account has, scaled: two supplies and a debt.
#[derive(Clone, Copy, Default)]
struct Held([U256; 3]);

const DEBT: usize = 2;

/// A life, block by block.
pub(crate) struct Life {
    names: Names,
    scaling: Scaling,
    chance: Chance,
    /// What a scaled unit of each reserve's supply and debt is worth.
    indexes: Vec<[U256; 2]>,
    people: Vec<Held>,
    /// Of a thousand actions, how many are somebody's first.
    newcomers: u64,
    most: usize,
    block: u64,
    /// The place of the next log of the block, and of its transaction.
    log_index: u32,
    transaction_index: u32,
}

impl Life {
    /// A market to which so many accounts come while so many logs are written.
    pub(crate) fn new(revision: Revision, accounts: u32, logs: u64) -> Self {
        let actions = logs as f64 / LOGS_AN_ACTION;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a thousand")]
        let newcomers = (1_000.0 * f64::from(accounts) / actions).ceil().clamp(1.0, 900.0) as u64;
        Self {
            names: Names::new(),
            scaling: revision.rules().scaling,
            chance: Chance::new(7, 7),
            indexes: vec![[Ray::ONE.0 + U256::from(3_u128 << 70); 2]; usize::from(RESERVES)],
            people: Vec::new(),
            newcomers,
            most: usize::try_from(accounts).unwrap_or(usize::MAX),
            block: FIRST_BLOCK,
            log_index: 0,
            transaction_index: 0,
        }
    }

    /// The last block that was written.
    pub(crate) fn last_block(&self) -> u64 {
        self.block - 1
    }

    /// How many accounts there are.
    pub(crate) fn accounts(&self) -> usize {
        self.people.len()
    }

    /// Writes whole blocks until there are at least so many logs.
    pub(crate) fn write(&mut self, logs: &mut Logs, at_least: usize) -> Result<()> {
        while logs.len() < at_least {
            (self.log_index, self.transaction_index) = (0, 0);
            for _ in 0..=self.chance.below(4) {
                self.transaction_index += 1 + u32::try_from(self.chance.below(20))?;
                self.log_index += u32::try_from(self.chance.below(60))?;
                self.act(logs)?;
            }
            self.block += 1;
        }
        Ok(())
    }

    /// Few are active, most come seldom.
    fn anybody(&mut self) -> usize {
        let (a, b) = (self.chance.index(self.people.len()), self.chance.index(self.people.len()));
        if self.chance.percent(40) { a.min(b) / 50 } else { a }
    }

    fn act(&mut self, logs: &mut Logs) -> Result<()> {
        let is_new =
            self.people.is_empty() || (self.people.len() < self.most && self.chance.below(1_000) < self.newcomers);
        if is_new {
            self.people.push(Held::default());
            return self.change(logs, self.people.len() - 1, 0, true);
        }
        let who = self.anybody();
        match self.chance.below(100) {
            0..=34 => {
                let slot = self.chance.index(DEBT);
                self.change(logs, who, slot, true)
            }
            35..=59 => {
                let slot = self.chance.index(DEBT);
                self.change(logs, who, slot, false)
            }
            60..=76 => self.change(logs, who, DEBT, true),
            77..=91 => self.change(logs, who, DEBT, false),
            92..=97 => self.transfer(logs, who),
            98 => {
                let category = U256::from(self.chance.below(4));
                self.log(logs, POOL, &[self.names.e_mode, word_of(user(who))], &[category])
            }
            _ => self.liquidate(logs, who),
        }
    }

    fn reserve(who: usize, slot: usize) -> u8 {
        // The first reserves are those that most people hold.
        let chance = &mut Chance::new(who as u64, 3 + slot as u64);
        let reserve = chance.index(usize::from(RESERVES)).min(chance.index(usize::from(RESERVES)));
        // What is transferred is the first; whoever gets it has the same. The second is another one.
        let first = who % usize::from(RESERVES);
        let reserve = match slot {
            0 => first,
            1 if reserve == first => (reserve + 1) % usize::from(RESERVES),
            _ => reserve,
        };
        u8::try_from(reserve).unwrap_or(0)
    }

    /// Somebody supplies, borrows, withdraws or repays.
    fn change(&mut self, logs: &mut Logs, who: usize, slot: usize, is_up: bool) -> Result<()> {
        let reserve = Self::reserve(who, slot);
        let was = self.people[who].0[slot];
        let is_first = was.is_zero() && slot < DEBT;
        let amount = self.token(logs, who, slot, is_up)?;
        if amount.is_zero() {
            return self.updated(logs, reserve);
        }
        self.updated(logs, reserve)?;
        let (asset, person) = (word_of(contract(0, reserve)), word_of(user(who)));
        if is_up && is_first {
            self.log(logs, POOL, &[self.names.enabled, asset, person], &[])?;
        }
        let own = U256::from_be_bytes(person.0);
        match (slot < DEBT, is_up) {
            (true, true) => self.log(logs, POOL, &[self.names.supply, asset, person, B256::ZERO], &[own, amount]),
            (true, false) => self.log(logs, POOL, &[self.names.withdraw, asset, person, person], &[amount]),
            (false, true) => {
                let rate = U256::from(50_000_000_000_000_000_000_000_000_u128);
                let rest = [own, amount, U256::from(2), rate];
                self.log(logs, POOL, &[self.names.borrow, asset, person, B256::ZERO], &rest)
            }
            (false, false) => self.log(logs, POOL, &[self.names.repay, asset, person, person], &[amount, U256::ZERO]),
        }
    }

    /// The token's own log of a change; the amount, zero where there was nothing to give.
    fn token(&mut self, logs: &mut Logs, who: usize, slot: usize, is_up: bool) -> Result<U256> {
        let reserve = Self::reserve(who, slot);
        let side = usize::from(slot == DEBT);
        let grown = U256::from(self.chance.bits() >> 2);
        let index = &mut self.indexes[usize::from(reserve)][side];
        *index += grown;
        let index = Ray(*index);
        let was = self.people[who].0[slot];
        let (balance, scaled) = match (self.scaling, side) {
            (Scaling::HalfUp, _) => (Rounding::HalfUp, Rounding::HalfUp),
            (Scaling::Protocol, 0) => (Rounding::Floor, if is_up { Rounding::Floor } else { Rounding::Ceil }),
            (Scaling::Protocol, _) => (Rounding::Ceil, if is_up { Rounding::Ceil } else { Rounding::Floor }),
        };
        let before = ray_mul(was, index, balance).map_err(|cause| anyhow!("{cause}"))?;
        let amount = match (is_up, self.chance.percent(40)) {
            (true, _) => self.chance.magnitude(6, 21),
            (false, true) => before,
            (false, false) => before * U256::from(self.chance.below(1_000)) / U256::from(1_000),
        };
        let step = ray_div(amount, index, scaled).map_err(|cause| anyhow!("{cause}"))?;
        if step.is_zero() || (!is_up && step > was) {
            return Ok(U256::ZERO);
        }
        let next = if is_up { was + step } else { was - step };
        let said = match self.scaling {
            Scaling::HalfUp => amount,
            Scaling::Protocol => ray_mul(next, index, balance).map_err(|cause| anyhow!("{cause}"))?.abs_diff(before),
        };
        self.people[who].0[slot] = next;
        let interest = (before / U256::from(100_000)).min(said);
        let person = word_of(user(who));
        let token = contract(if side == 0 { 1 } else { 2 }, reserve);
        if is_up {
            self.log(logs, token, &[self.names.mint, person, person], &[said + interest, interest, index.0])?;
        } else {
            self.log(logs, token, &[self.names.burn, person, person], &[said - interest, interest, index.0])?;
        }
        Ok(amount)
    }

    fn updated(&mut self, logs: &mut Logs, reserve: u8) -> Result<()> {
        let [supply, debt] = self.indexes[usize::from(reserve)];
        let rate = U256::from(20_000_000_000_000_000_000_000_000_u128 + u128::from(self.chance.bits()));
        let topics = [self.names.updated, word_of(contract(0, reserve))];
        self.log(logs, POOL, &topics, &[rate, U256::ZERO, rate + rate, supply, debt])
    }

    fn transfer(&mut self, logs: &mut Logs, who: usize) -> Result<()> {
        let other = who % usize::from(RESERVES) + usize::from(RESERVES) * self.chance.index(who / 12 + 1);
        let held = self.people[who].0[0];
        let value = held * U256::from(self.chance.below(1_000)) / U256::from(1_000);
        if value.is_zero() || other == who {
            return Ok(());
        }
        self.people[who].0[0] -= value;
        self.people[other].0[0] += value;
        let reserve = Self::reserve(who, 0);
        let index = self.indexes[usize::from(reserve)][0];
        let topics = [self.names.transfer, word_of(user(who)), word_of(user(other))];
        self.log(logs, contract(1, reserve), &topics, &[value, index])
    }

    fn liquidate(&mut self, logs: &mut Logs, who: usize) -> Result<()> {
        let (debt, collateral) = (Self::reserve(who, DEBT), Self::reserve(who, 0));
        let repaid = self.token(logs, who, DEBT, false)?;
        self.updated(logs, debt)?;
        let seized = self.token(logs, who, 0, false)?;
        self.updated(logs, collateral)?;
        let topics =
            [self.names.liquidation, word_of(contract(0, collateral)), word_of(contract(0, debt)), word_of(user(who))];
        let liquidator = U256::from_be_bytes(word_of(user(usize::MAX)).0);
        self.log(logs, POOL, &topics, &[repaid, seized, liquidator, U256::ZERO])
    }

    fn log(&mut self, logs: &mut Logs, address: Address, topics: &[B256], words: &[U256]) -> Result<()> {
        let data: Vec<u8> = words.iter().flat_map(U256::to_be_bytes::<32>).collect();
        logs.push(&Log {
            block: self.block,
            block_hash: block_hash(self.block),
            time: time(self.block),
            transaction: mixed(self.block << 10 | u64::from(self.transaction_index), 2),
            transaction_index: self.transaction_index,
            log_index: self.log_index,
            address,
            topics,
            data: &data,
        });
        self.log_index += 1 + u32::try_from(self.chance.below(3))?;
        Ok(())
    }
}

fn user(number: usize) -> Address {
    Address::from_slice(&mixed(number as u64, 9)[..20])
}

fn word_of(address: Address) -> B256 {
    address.into_word()
}
