//! A deployed market: steps go in, figures come out.

use std::collections::BTreeMap;

use alloy_primitives::{Address, Bytes, Log, U256};
use anyhow::{Result, bail};

use crate::abi::{self, word, word_at};
use crate::action::{Action, Admin, Category, List};
use crate::anvil::Transaction;
use crate::backend::Backend;
use crate::deploy::TREASURY;
use crate::event::{self, Event};
use crate::evm::{ADMIN, Reverted, Success};
use crate::feed;
use crate::world::Version;

/// A market on its own chain.
#[derive(Debug)]
pub struct Market {
    /// Which contracts.
    pub version: Version,
    /// Knows every contract of the market by name.
    pub provider: Address,
    /// The pool's proxy.
    pub pool: Address,
    /// The configurator's proxy.
    pub configurator: Address,
    /// In the order of their ids.
    pub reserves: Vec<Reserve>,
    /// Categories and where their prices are.
    pub e_mode_feeds: Vec<(u8, Address)>,
    /// The phase each feed is in; the first where it is not named.
    pub phases: BTreeMap<Address, u8>,
    /// Everybody but the treasury.
    pub users: Vec<Address>,
    /// The sentinel, where there is one.
    pub sentinel: Option<Address>,
    /// Custom errors by selector.
    pub errors: abi::Errors,
    /// The chain.
    pub evm: Backend,
}

/// A reserve's contracts.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// The token itself.
    pub asset: Address,
    /// Where its price is.
    pub feed: Address,
    /// Supply.
    pub a_token: Address,
    /// Stable debt; zero in 3.6.
    pub stable: Address,
    /// Variable debt.
    pub variable: Address,
}

/// What a step came to: its events, or why it was refused, in the contract's words.
pub type Outcome = Result<Vec<Event>, String>;

/// A reserve's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReserveState {
    /// The settings as one word.
    pub configuration: U256,
    /// In ray.
    pub liquidity_index: U256,
    /// In ray.
    pub liquidity_rate: U256,
    /// In ray.
    pub variable_index: U256,
    /// In ray.
    pub variable_rate: U256,
    /// In ray; zero in 3.6.
    pub stable_rate: U256,
    /// In seconds.
    pub last_update: U256,
    /// Scaled (V3).
    pub accrued_to_treasury: U256,
    /// Minted by bridges (3.0).
    pub unbacked: U256,
    /// In cents (V3).
    pub isolation_debt: U256,
    /// Bad debt (3.6).
    pub deficit: U256,
    /// In seconds (3.6).
    pub grace_until: U256,
    /// What can be borrowed: the token's balance, in 3.6 what the pool books.
    pub liquidity: U256,
    /// All scaled supply.
    pub scaled_supply: U256,
    /// All scaled variable debt.
    pub scaled_variable_debt: U256,
    /// All stable debt at its last update.
    pub stable_principal: U256,
    /// In ray.
    pub stable_average_rate: U256,
    /// In seconds.
    pub stable_updated: U256,
}

/// One user's figures in one reserve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Supply.
    pub scaled_supply: U256,
    /// Variable debt.
    pub scaled_variable_debt: U256,
    /// Stable debt at its last update.
    pub stable_principal: U256,
    /// In ray.
    pub stable_rate: U256,
    /// In seconds.
    pub stable_updated: U256,
}

/// What `getUserAccountData` answers: collateral, debt, what may be borrowed, threshold, loan to value, health factor.
pub type AccountData = Result<[U256; 6], String>;

/// `getReserveData` as it is.
pub(crate) fn reserve_data(evm: &mut Backend, pool: Address, asset: Address) -> Result<Bytes> {
    match evm.view(pool, abi::words("getReserveData(address)", &[word(asset)]))? {
        Ok(data) => Ok(data),
        Err(Reverted(reason)) => bail!("getReserveData reverted with {reason}"),
    }
}

impl Market {
    /// Takes a step.
    pub fn act(&mut self, action: &Action) -> Result<Outcome> {
        match action {
            Action::Wait { seconds } => self.evm.warp(*seconds),
            Action::Sentinel { borrow, liquidation } => {
                if let Some(sentinel) = self.sentinel {
                    self.evm.set_storage(sentinel, U256::ZERO, U256::from(*borrow))?;
                    self.evm.set_storage(sentinel, U256::from(1), U256::from(*liquidation))?;
                }
            }
            Action::Admin(_)
            | Action::Price { .. }
            | Action::EModePrice { .. }
            | Action::Supply { .. }
            | Action::Withdraw { .. }
            | Action::Borrow { .. }
            | Action::Repay { .. }
            | Action::RepayWithATokens { .. }
            | Action::Transfer { .. }
            | Action::UseAsCollateral { .. }
            | Action::SetEMode { .. }
            | Action::SwapRate { .. }
            | Action::Rebalance { .. }
            | Action::MintToTreasury { .. }
            | Action::CoverDeficit { .. }
            | Action::Liquidate { .. } => {}
        }
        let mut outcome = Ok(Vec::new());
        for Transaction { from, to, data, .. } in self.transactions(action) {
            let result = self.evm.call(from, to.unwrap_or_default(), data)?;
            outcome = self.outcome(result);
        }
        Ok(outcome)
    }

    /// What a transaction came to.
    pub fn outcome(&self, result: Result<Success, Reverted>) -> Outcome {
        match result {
            Ok(success) => Ok(self.events(&success.logs)),
            Err(Reverted(reason)) => Err(self.reason(&reason)),
        }
    }

    /// The transactions a step consists of; none where it is not one of the chain's. The last one is the step itself.
    pub fn transactions(&self, action: &Action) -> Vec<Transaction> {
        let one = |from, to, data| vec![Transaction::call(from, to, data)];
        match action {
            Action::Wait { .. } | Action::Sentinel { .. } => Vec::new(),
            Action::Price { reserve, price } => {
                one(ADMIN, self.aggregator(self.reserves[*reserve].feed), feed::transmit(*price))
            }
            Action::EModePrice { category, price } => match self.e_mode_feeds.iter().find(|(id, _)| id == category) {
                Some((_, feed)) => one(ADMIN, self.aggregator(*feed), feed::transmit(*price)),
                None => Vec::new(),
            },
            Action::Admin(admin) => one(ADMIN, self.configurator, self.admin_call(admin)),
            Action::Supply { .. }
            | Action::Withdraw { .. }
            | Action::Borrow { .. }
            | Action::Repay { .. }
            | Action::RepayWithATokens { .. }
            | Action::Transfer { .. }
            | Action::UseAsCollateral { .. }
            | Action::SetEMode { .. }
            | Action::SwapRate { .. }
            | Action::Rebalance { .. }
            | Action::MintToTreasury { .. }
            | Action::CoverDeficit { .. }
            | Action::Liquidate { .. } => {
                let mut transactions = Vec::new();
                if let Action::CoverDeficit { user, .. } = action {
                    transactions.push(self.insure(self.users[*user]));
                }
                let (from, to, data) = self.user_call(action);
                transactions.push(Transaction::call(from, to, data));
                transactions
            }
        }
    }

    /// The aggregator behind a feed at present.
    pub fn aggregator(&self, feed: Address) -> Address {
        feed::behind(feed, self.phases.get(&feed).copied().unwrap_or(1))
    }

    /// Puts a fresh aggregator with the price it should begin with behind a reserve's feed, as Chainlink does now and
    /// then.
    pub fn next_phase(&mut self, reserve: usize, price: U256) -> Result<()> {
        let feed = self.reserves[reserve].feed;
        *self.phases.entry(feed).or_insert(1) += 1;
        let behind = self.aggregator(feed);
        self.evm.place(behind, feed::aggregator())?;
        self.evm.admin(behind, feed::transmit(price), "transmit")?;
        self.evm.admin(feed, feed::confirm(behind), "confirmAggregator")
    }

    /// Makes somebody the insurance, which alone may cover bad debt.
    fn insure(&self, user: Address) -> Transaction {
        let name = U256::from_be_slice(b"UMBRELLA") << 192;
        let data = abi::words("setAddress(bytes32,address)", &[name, word(user)]);
        Transaction::call(ADMIN, self.provider, data)
    }

    /// The pool's own events, in order.
    fn events(&self, logs: &[Log]) -> Vec<Event> {
        logs.iter().filter(|log| log.address == self.pool).filter_map(event::read).collect()
    }

    /// Who calls whom with what.
    fn user_call(&self, action: &Action) -> (Address, Address, Bytes) {
        let asset = |reserve: &usize| word(self.reserves[*reserve].asset);
        let user = |index: &usize| word(self.users[*index]);
        let none = U256::ZERO;
        let (from, signature, arguments) = match action {
            Action::Supply { user: from, reserve, amount, to } => {
                let is_v2 = self.version == Version::V2;
                let name = if is_v2 { "deposit" } else { "supply" };
                let signature = format!("{name}(address,uint256,address,uint16)");
                return self.to_pool(*from, &signature, &[asset(reserve), *amount, user(to), none]);
            }
            Action::Withdraw { user: from, reserve, amount, to } => {
                (from, "withdraw(address,uint256,address)", vec![asset(reserve), *amount, user(to)])
            }
            Action::Borrow { user: from, reserve, amount, mode } => {
                let arguments = vec![asset(reserve), *amount, mode.number(), none, user(from)];
                (from, "borrow(address,uint256,uint256,uint16,address)", arguments)
            }
            Action::Repay { user: from, reserve, amount, mode, of } => {
                let arguments = vec![asset(reserve), *amount, mode.number(), user(of)];
                (from, "repay(address,uint256,uint256,address)", arguments)
            }
            Action::RepayWithATokens { user: from, reserve, amount, mode } => {
                let arguments = vec![asset(reserve), *amount, mode.number()];
                (from, "repayWithATokens(address,uint256,uint256)", arguments)
            }
            Action::Transfer { user: from, reserve, amount, to } => {
                let data = abi::words("transfer(address,uint256)", &[user(to), *amount]);
                return (self.users[*from], self.reserves[*reserve].a_token, data);
            }
            Action::UseAsCollateral { user: from, reserve, on } => {
                (from, "setUserUseReserveAsCollateral(address,bool)", vec![asset(reserve), U256::from(*on)])
            }
            Action::SetEMode { user: from, category } => (from, "setUserEMode(uint8)", vec![U256::from(*category)]),
            Action::SwapRate { user: from, reserve, mode } => {
                (from, "swapBorrowRateMode(address,uint256)", vec![asset(reserve), mode.number()])
            }
            Action::Rebalance { user: from, reserve, of } => {
                (from, "rebalanceStableBorrowRate(address,address)", vec![asset(reserve), user(of)])
            }
            Action::MintToTreasury { reserve } => {
                let assets = abi::Value::array([self.reserves[*reserve].asset]);
                return (self.users[0], self.pool, abi::call("mintToTreasury(address[])", &[assets]));
            }
            Action::CoverDeficit { user: from, reserve, amount } => {
                (from, "eliminateReserveDeficit(address,uint256)", vec![asset(reserve), *amount])
            }
            Action::Liquidate { user: from, of, collateral, debt, amount, receive_a_token } => {
                let arguments = vec![asset(collateral), asset(debt), user(of), *amount, U256::from(*receive_a_token)];
                (from, "liquidationCall(address,address,address,uint256,bool)", arguments)
            }
            Action::Admin(_)
            | Action::Price { .. }
            | Action::EModePrice { .. }
            | Action::Wait { .. }
            | Action::Sentinel { .. } => unreachable!("not a user's call"),
        };
        self.to_pool(*from, signature, &arguments)
    }

    fn to_pool(&self, from: usize, signature: &str, arguments: &[U256]) -> (Address, Address, Bytes) {
        (self.users[from], self.pool, abi::words(signature, arguments))
    }

    fn admin_call(&self, admin: &Admin) -> Bytes {
        let is_v2 = self.version == Version::V2;
        let asset = |reserve: &usize| word(self.reserves[*reserve].asset);
        let set = |signature, reserve, value| abi::words(signature, &[asset(reserve), value]);
        let either = |reserve, on, yes, no| abi::words(if on { yes } else { no }, &[asset(reserve)]);
        match admin {
            Admin::Collateral { reserve, ltv, threshold, bonus } => {
                let [ltv, threshold, bonus] = [ltv, threshold, bonus].map(|bps| U256::from(*bps));
                let arguments = [asset(reserve), ltv, threshold, bonus];
                abi::words("configureReserveAsCollateral(address,uint256,uint256,uint256)", &arguments)
            }
            Admin::Borrowing { reserve, on: true } if is_v2 => {
                set("enableBorrowingOnReserve(address,bool)", reserve, U256::ZERO)
            }
            Admin::Borrowing { reserve, .. } if is_v2 => {
                abi::words("disableBorrowingOnReserve(address)", &[asset(reserve)])
            }
            Admin::Borrowing { reserve, on } => set("setReserveBorrowing(address,bool)", reserve, U256::from(*on)),
            Admin::StableBorrowing { reserve, on } if is_v2 => {
                either(reserve, *on, "enableReserveStableRate(address)", "disableReserveStableRate(address)")
            }
            Admin::StableBorrowing { reserve, on } => {
                set("setReserveStableRateBorrowing(address,bool)", reserve, U256::from(*on))
            }
            Admin::Freeze { reserve, on } if is_v2 => {
                either(reserve, *on, "freezeReserve(address)", "unfreezeReserve(address)")
            }
            Admin::Freeze { reserve, on } => set("setReserveFreeze(address,bool)", reserve, U256::from(*on)),
            Admin::Pause { on, .. } if is_v2 => abi::words("setPoolPause(bool)", &[U256::from(*on)]),
            Admin::Pause { reserve, on, grace } if self.version == Version::V3_6 => {
                let arguments = [asset(reserve), U256::from(*on), U256::from(*grace)];
                abi::words("setReservePause(address,bool,uint40)", &arguments)
            }
            Admin::Pause { reserve, on, .. } => set("setReservePause(address,bool)", reserve, U256::from(*on)),
            Admin::Active { reserve, on } if is_v2 => {
                either(reserve, *on, "activateReserve(address)", "deactivateReserve(address)")
            }
            Admin::Active { reserve, on } => set("setReserveActive(address,bool)", reserve, U256::from(*on)),
            Admin::ReserveFactor { reserve, bps } => {
                set("setReserveFactor(address,uint256)", reserve, U256::from(*bps))
            }
            Admin::ProtocolFee { reserve, bps } => {
                set("setLiquidationProtocolFee(address,uint256)", reserve, U256::from(*bps))
            }
            Admin::SupplyCap { reserve, cap } => set("setSupplyCap(address,uint256)", reserve, U256::from(*cap)),
            Admin::BorrowCap { reserve, cap } => set("setBorrowCap(address,uint256)", reserve, U256::from(*cap)),
            Admin::DebtCeiling { reserve, cents } => {
                set("setDebtCeiling(address,uint256)", reserve, U256::from(*cents))
            }
            Admin::Siloed { reserve, on } => set("setSiloedBorrowing(address,bool)", reserve, U256::from(*on)),
            Admin::BorrowableInIsolation { reserve, on } => {
                set("setBorrowableInIsolation(address,bool)", reserve, U256::from(*on))
            }
            Admin::Category(change) => self.category_call(change),
            Admin::LtvZero { reserve, on } => set("setReserveLtvzero(address,bool)", reserve, U256::from(*on)),
        }
    }

    fn category_call(&self, change: &Category) -> Bytes {
        let asset = |reserve: &usize| word(self.reserves[*reserve].asset);
        match change {
            Category::Terms { category, ltv, threshold, bonus, priced } => {
                let mut arguments: Vec<abi::Value> = vec![u64::from(*category).into()];
                arguments.extend([ltv, threshold, bonus].map(|bps| u64::from(*bps).into()));
                if self.version == Version::V3_6 {
                    arguments.push("e".into());
                    return abi::call("setEModeCategory(uint8,uint16,uint16,uint16,string)", &arguments);
                }
                let feed = self.e_mode_feeds.iter().find(|(id, _)| id == category);
                let source = feed.filter(|_| *priced).map_or(Address::ZERO, |(_, feed)| *feed);
                arguments.extend([source.into(), "e".into()]);
                abi::call("setEModeCategory(uint8,uint16,uint16,uint16,address,string)", &arguments)
            }
            Category::Of { reserve, category } => {
                abi::words("setAssetEModeCategory(address,uint8)", &[asset(reserve), U256::from(*category)])
            }
            Category::Member { reserve, category, list, on } => {
                let signature = match list {
                    List::AsCollateral => "setAssetCollateralInEMode(address,uint8,bool)",
                    List::AsBorrowable => "setAssetBorrowableInEMode(address,uint8,bool)",
                    List::WithoutLtv => "setAssetLtvzeroInEMode(address,uint8,bool)",
                };
                abi::words(signature, &[asset(reserve), U256::from(*category), U256::from(*on)])
            }
        }
    }

    fn reason(&self, data: &[u8]) -> String {
        abi::reason(data, &self.errors)
    }
}

/// Figures.
impl Market {
    fn ask(&mut self, to: Address, signature: &str, arguments: &[U256]) -> Result<Bytes> {
        match self.evm.view(to, abi::words(signature, arguments))? {
            Ok(data) => Ok(data),
            Err(Reverted(reason)) => bail!("{signature} reverted with {reason}"),
        }
    }

    fn ask_word(&mut self, to: Address, signature: &str, arguments: &[U256]) -> Result<U256> {
        Ok(word_at(&self.ask(to, signature, arguments)?, 0))
    }

    /// What governance set of a reserve: its configuration and its grace period.
    pub fn settings(&mut self, index: usize) -> Result<ReserveState> {
        let asset = [word(self.reserves[index].asset)];
        let mut state = ReserveState {
            configuration: self.ask_word(self.pool, "getConfiguration(address)", &asset)?,
            ..ReserveState::default()
        };
        if self.version == Version::V3_6 {
            state.grace_until = self.ask_word(self.pool, "getLiquidationGracePeriod(address)", &asset)?;
        }
        Ok(state)
    }

    /// A reserve's figures.
    pub fn reserve(&mut self, index: usize) -> Result<ReserveState> {
        let Reserve { asset, a_token, stable, variable, .. } = self.reserves[index];
        let data = reserve_data(&mut self.evm, self.pool, asset)?;
        let at = |index| word_at(&data, index);
        let is_v2 = self.version == Version::V2;
        let is_3_6 = self.version == Version::V3_6;
        // V2 stores both indexes before both rates.
        let [liquidity_rate, variable_index] = if is_v2 { [at(3), at(2)] } else { [at(2), at(3)] };
        let mut state = ReserveState {
            configuration: at(0),
            liquidity_index: at(1),
            liquidity_rate,
            variable_index,
            variable_rate: at(4),
            stable_rate: at(5),
            last_update: at(6),
            scaled_supply: self.ask_word(a_token, "scaledTotalSupply()", &[])?,
            scaled_variable_debt: self.ask_word(variable, "scaledTotalSupply()", &[])?,
            ..ReserveState::default()
        };
        if !is_v2 {
            (state.accrued_to_treasury, state.unbacked, state.isolation_debt) = (at(12), at(13), at(14));
        }
        if is_3_6 {
            let asset = [word(asset)];
            state.deficit = self.ask_word(self.pool, "getReserveDeficit(address)", &asset)?;
            state.grace_until = self.ask_word(self.pool, "getLiquidationGracePeriod(address)", &asset)?;
            state.liquidity = self.ask_word(self.pool, "getVirtualUnderlyingBalance(address)", &asset)?;
        } else {
            let supply = self.ask(stable, "getSupplyData()", &[])?;
            state.stable_principal = word_at(&supply, 0);
            state.stable_average_rate = word_at(&supply, 2);
            state.stable_updated = word_at(&supply, 3);
            state.liquidity = self.ask_word(asset, "balanceOf(address)", &[word(a_token)])?;
        }
        Ok(state)
    }

    /// A user's figures in a reserve.
    pub fn holding(&mut self, user: Address, index: usize) -> Result<Holding> {
        let Reserve { a_token, stable, variable, .. } = self.reserves[index];
        let user = [word(user)];
        let mut holding = Holding {
            scaled_supply: self.ask_word(a_token, "scaledBalanceOf(address)", &user)?,
            scaled_variable_debt: self.ask_word(variable, "scaledBalanceOf(address)", &user)?,
            ..Holding::default()
        };
        if self.version.has_stable_debt() {
            holding.stable_principal = self.ask_word(stable, "principalBalanceOf(address)", &user)?;
            holding.stable_rate = self.ask_word(stable, "getUserStableRate(address)", &user)?;
            holding.stable_updated = self.ask_word(stable, "getUserLastUpdated(address)", &user)?;
        }
        Ok(holding)
    }

    /// A user's two bits for each reserve.
    pub fn flags(&mut self, user: Address) -> Result<U256> {
        self.ask_word(self.pool, "getUserConfiguration(address)", &[word(user)])
    }

    /// A user's category; 0 where he is in none.
    pub fn e_mode(&mut self, user: Address) -> Result<U256> {
        if self.version == Version::V2 {
            return Ok(U256::ZERO);
        }
        self.ask_word(self.pool, "getUserEMode(address)", &[word(user)])
    }

    /// What the pool says of a user.
    pub fn account_data(&mut self, user: Address) -> Result<AccountData> {
        let data = self.evm.view(self.pool, abi::words("getUserAccountData(address)", &[word(user)]))?;
        Ok(match data {
            Ok(data) => Ok([0, 1, 2, 3, 4, 5].map(|index| word_at(&data, index))),
            Err(Reverted(reason)) => Err(self.reason(&reason)),
        })
    }

    /// A category's lists in 3.6: collateral, borrowable, without loan to value.
    pub fn e_mode_lists(&mut self, category: u8) -> Result<[U256; 3]> {
        let category = [U256::from(category)];
        Ok([
            self.ask_word(self.pool, "getEModeCategoryCollateralBitmap(uint8)", &category)?,
            self.ask_word(self.pool, "getEModeCategoryBorrowableBitmap(uint8)", &category)?,
            self.ask_word(self.pool, "getEModeCategoryLtvzeroBitmap(uint8)", &category)?,
        ])
    }

    /// A category's ltv, threshold and bonus.
    pub fn e_mode_terms(&mut self, category: u8) -> Result<[U256; 3]> {
        // The struct ends in a string, so the answer begins with the place where it stands.
        let data = self.ask(self.pool, "getEModeCategoryData(uint8)", &[U256::from(category)])?;
        Ok([1, 2, 3].map(|index| word_at(&data, index)))
    }

    /// Everybody who may hold something: the users, and last the treasury.
    pub fn holders(&self) -> Vec<Address> {
        let mut holders = self.users.clone();
        holders.push(TREASURY);
        holders
    }
}
