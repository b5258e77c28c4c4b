//! What the pool, its configurator, provider and oracle say, and what was read by call.

use std::sync::Arc;

use protocol::aave::Revision;
use protocol::aave::config::{EMode, MAX_RESERVES, ReserveConfig, ReserveId, ReserveSet};
use protocol::aave::log::{Anchor, EModeList, Liquidated, Listing, Statement, Transfers};
use protocol::aave::math::{Bps, add, sub};
use protocol::aave::reserve::StableDebt;
use protocol::aave::revision::{EModeRule, LiquidationOrder};
use protocol::{Address, B256, U256};

use super::accounts::Side;
use super::ground::{Contract, Ground, Listed, Pending};
use super::{Book, Folded, Gap, Here, StableWas, Undo};

/// Names under which the provider keeps its proxies.
const POOLS: [&[u8]; 2] = [b"POOL", b"LENDING_POOL"];
const CONFIGURATORS: [&[u8]; 2] = [b"POOL_CONFIGURATOR", b"LENDING_POOL_CONFIGURATOR"];

fn is_named(name: B256, names: &[&[u8]]) -> bool {
    names.iter().any(|known| B256::right_padding_from(known) == name)
}

impl Book {
    /// From 3.5 to 3.7 a liquidation brings the collateral up to date even where nothing is withdrawn, and says nothing.
    pub(super) fn liquidated(&mut self, here: &Here, call: &Liquidated) -> Folded {
        self.from(here, Contract::Pool)?;
        let reserve = self.asset(here, call.collateral)?;
        let revision = self.revision(here)?;
        let rolls = match revision.rules().liquidation {
            LiquidationOrder::V3_5 | LiquidationOrder::V3_7 => call.takes_supply,
            LiquidationOrder::V2 | LiquidationOrder::V3_0_0 | LiquidationOrder::V3_0_2 | LiquidationOrder::V3_3 => {
                false
            }
        };
        let listed = self.ground.listed(reserve);
        if !rolls || listed.last_update == here.now {
            return Ok(Undo::Nothing);
        }
        let rolled = listed.rolled(revision, here.now);
        let asset = call.collateral;
        let rolled = rolled.map_err(|cause| Gap::Arithmetic { asset, cause, block: here.block })?;
        Ok(self.put_indexes(reserve, rolled, here.now))
    }

    fn revision(&self, here: &Here) -> Result<Revision, Gap> {
        self.ground.revision.ok_or_else(|| Gap::UnknownRevision {
            contract: self.ground.pool.unwrap_or(here.by),
            implementation: self.ground.implementation.unwrap_or_default(),
            block: here.block,
        })
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "the rest is folded where it happens often, or says nothing")]
    pub(super) fn change_ground(&mut self, here: &Here, statement: &Statement) -> Result<(), Gap> {
        match statement {
            Statement::TokenBegun(begun) => {
                Arc::make_mut(&mut self.ground.begun).insert(here.by, **begun);
                self.know_token(here.by);
            }
            Statement::Discounted => self.discounted(here)?,
            Statement::IsolationDebt { asset, total } => {
                self.from(here, Contract::Pool)?;
                let reserve = self.asset(here, *asset)?;
                self.ground.listed_mut(reserve).isolation_debt = *total;
            }
            Statement::DeficitCreated { asset, amount, .. } => self.deficit(here, *asset, *amount, U256::ZERO)?,
            Statement::DeficitCovered { asset, amount, .. } => self.deficit(here, *asset, U256::ZERO, *amount)?,
            Statement::PoolPaused(on) => {
                self.from(here, Contract::Pool)?;
                self.ground.is_paused = *on;
            }
            Statement::ProxyCreated { name, proxy } => self.proxy_created(here, *name, *proxy)?,
            Statement::PoolImplementation { implementation } => {
                self.is_providers(here)?;
                self.pool_runs(here, *implementation)?;
            }
            Statement::Upgraded { implementation } => self.upgraded(here, *implementation)?,
            Statement::OracleChanged { oracle } => {
                self.is_providers(here)?;
                self.ground.oracle = Some(*oracle);
            }
            Statement::SourceChanged { asset, source } => {
                // An oracle's constructor speaks before the provider names it, so that everyone is listened to.
                let oracles = Arc::make_mut(&mut self.ground.oracles);
                oracles.entry(here.by).or_default().sources.insert(*asset, *source);
            }
            Statement::FallbackChanged { fallback } => {
                Arc::make_mut(&mut self.ground.oracles).entry(here.by).or_default().fallback = Some(*fallback);
            }
            Statement::BaseCurrency { currency, unit } => {
                Arc::make_mut(&mut self.ground.oracles).entry(here.by).or_default().base = Some((*currency, *unit));
            }
            Statement::Answer { answer, .. } => {
                Arc::make_mut(&mut self.ground.answers).insert(here.by, *answer);
            }
            Statement::Runs { implementation, revision, transfers } => {
                let known = transfers.or(written_by(*revision));
                Arc::make_mut(&mut self.ground.runs).insert(*implementation, (*revision, known));
            }
            Statement::Writes { transfers } => match self.ground.contracts.get(&here.by) {
                Some(Contract::Supply(reserve)) => self.ground.listed_mut(*reserve).transfers = Some(*transfers),
                _ => return Err(Gap::UnknownContract { address: here.by, block: here.block }),
            },
            Statement::Anchored(anchor) => self.anchored(here, anchor)?,
            Statement::EModeRead { category, e_mode } => self.e_mode_read(*category, e_mode.as_deref().copied()),
            Statement::Priced(prices) => {
                let known = Arc::make_mut(&mut self.ground.prices);
                known.extend(prices.iter().copied());
            }
            configured => self.configured(here, configured)?,
        }
        Ok(())
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "everything else is folded by the caller")]
    fn configured(&mut self, here: &Here, statement: &Statement) -> Result<(), Gap> {
        self.from(here, Contract::Configurator)?;
        match statement {
            Statement::Listed(listing) => self.listed(here, **listing)?,
            Statement::Dropped { asset } => self.dropped(here, *asset)?,
            Statement::Terms { asset, ltv, liquidation_threshold, liquidation_bonus } => {
                let reserve = self.asset(here, *asset)?;
                let config = &mut self.ground.listed_mut(reserve).config;
                config.ltv = Bps(*ltv);
                config.liquidation_threshold = Bps(*liquidation_threshold);
                config.liquidation_bonus = Bps(*liquidation_bonus);
            }
            Statement::Set { asset, setting } => {
                let reserve = self.asset(here, *asset)?;
                self.ground.listed_mut(reserve).set(*setting);
            }
            Statement::EModeTerms { category, ltv, liquidation_threshold, liquidation_bonus, source } => {
                let e_mode = self.e_mode_mut(*category);
                e_mode.ltv = Bps(*ltv);
                e_mode.liquidation_threshold = Bps(*liquidation_threshold);
                e_mode.liquidation_bonus = Bps(*liquidation_bonus);
                e_mode.has_price_source = !source.is_zero();
                let sources = Arc::make_mut(&mut self.ground.e_mode_sources);
                sources.remove(category);
                if !source.is_zero() {
                    sources.insert(*category, *source);
                }
            }
            Statement::EModeMember { asset, category, list, on } => {
                let reserve = self.asset(here, *asset)?;
                let e_mode = self.e_mode_mut(*category);
                let members = match list {
                    EModeList::Collateral => &mut e_mode.collateral,
                    EModeList::Borrowable => &mut e_mode.borrowable,
                    EModeList::LtvZero => &mut e_mode.ltv_zero,
                };
                let bit: ReserveSet = std::iter::once(reserve).collect();
                members.0 = if *on { members.0 | bit.0 } else { members.0 & !bit.0 };
            }
            Statement::EModeIsolated { category, on } => self.e_mode_mut(*category).isolated = *on,
            // The proxy says it too, and is listened to.
            _ => {}
        }
        Ok(())
    }

    fn e_mode_mut(&mut self, category: u8) -> &mut EMode {
        Arc::make_mut(&mut self.ground.e_modes).entry(category).or_default()
    }

    fn is_providers(&self, here: &Here) -> Result<(), Gap> {
        let is_provider = here.by == self.ground.provider;
        is_provider.then_some(()).ok_or(Gap::UnknownContract { address: here.by, block: here.block })
    }

    fn deficit(&mut self, here: &Here, asset: Address, more: U256, less: U256) -> Result<(), Gap> {
        self.from(here, Contract::Pool)?;
        let reserve = self.asset(here, asset)?;
        let listed = self.ground.listed_mut(reserve);
        let deficit = add(listed.deficit, more).and_then(|deficit| sub(deficit, less));
        listed.deficit = deficit.map_err(|cause| Gap::Arithmetic { asset, cause, block: here.block })?;
        Ok(())
    }
}

/// How a revision's tokens write transfers, where its number tells: 1 is 3.0.0 as well as 3.0.2.
fn written_by(revision: Revision) -> Option<Transfers> {
    match revision {
        Revision::V2 => Some(Transfers::Unscaled),
        Revision::V3_0_0 | Revision::V3_0_2 => None,
        Revision::V3_1
        | Revision::V3_2
        | Revision::V3_3
        | Revision::V3_4
        | Revision::V3_5
        | Revision::V3_6
        | Revision::V3_7 => Some(Transfers::Scaled),
    }
}

/// Contracts, and the code they run.
impl Book {
    fn proxy_created(&mut self, here: &Here, name: B256, proxy: Address) -> Result<(), Gap> {
        self.is_providers(here)?;
        let contracts = Arc::make_mut(&mut self.ground.contracts);
        if is_named(name, &POOLS) {
            self.ground.pool = Some(proxy);
            contracts.insert(proxy, Contract::Pool);
        } else if is_named(name, &CONFIGURATORS) {
            self.ground.configurator = Some(proxy);
            contracts.insert(proxy, Contract::Configurator);
        }
        Ok(())
    }

    fn upgraded(&mut self, here: &Here, implementation: Address) -> Result<(), Gap> {
        let Some(contract) = self.ground.contracts.get(&here.by).copied() else {
            // A token's proxy may speak before its reserve is listed; what it runs is then what the pool runs.
            return Ok(());
        };
        match contract {
            Contract::Pool => self.pool_runs(here, implementation)?,
            Contract::Configurator => {}
            Contract::Supply(reserve) => {
                let (revision, transfers) = self.runs(here, implementation)?;
                let listed = self.ground.listed_mut(reserve);
                (listed.supply_runs, listed.transfers) = (revision, transfers);
            }
            Contract::Variable(reserve) | Contract::Stable(reserve) => {
                let (revision, _) = self.runs(here, implementation)?;
                self.ground.listed_mut(reserve).debt_runs = revision;
            }
        }
        Ok(())
    }

    fn runs(&self, here: &Here, implementation: Address) -> Result<(Revision, Option<Transfers>), Gap> {
        let known = self.ground.runs.get(&implementation).copied();
        known.ok_or(Gap::UnknownRevision { contract: here.by, implementation, block: here.block })
    }

    /// The pool has other code. What the new code's first transaction rewrote is in no log, so that everything must be
    /// read at the end of the block.
    fn pool_runs(&mut self, here: &Here, implementation: Address) -> Result<(), Gap> {
        if self.ground.implementation == Some(implementation) {
            return Ok(());
        }
        let (revision, transfers) = self.runs(here, implementation)?;
        let before = self.ground.revision.replace(revision);
        self.ground.implementation = Some(implementation);
        self.ground.transfers = transfers;
        if before.is_none() {
            return Ok(());
        }
        let listed = self.ground.reserves.iter().enumerate().filter(|(_, listed)| !listed.is_dropped);
        let reserves = listed.filter_map(|(place, _)| u8::try_from(place).ok().map(ReserveId)).collect();
        let has_e_modes = revision.rules().e_mode != EModeRule::None;
        let e_modes = if has_e_modes { self.ground.e_modes.keys().copied().collect() } else { Default::default() };
        let mut pending = Pending { block: here.block, reserves, e_modes, ..Pending::default() };
        if !revision.rules().stable_debt {
            for (_, person) in self.accounts.iter() {
                let debts = person.stable.iter().flat_map(|debts| debts.keys());
                pending.stable.extend(debts.map(|reserve| (*reserve, person.address)));
            }
        }
        self.ground.pending = (!pending.is_empty()).then(|| Arc::new(pending));
        Ok(())
    }

    fn listed(&mut self, here: &Here, listing: Listing) -> Result<(), Gap> {
        let revision = self.revision(here)?;
        if self.ground.assets.contains_key(&listing.asset) {
            let (asset, account, block) = (listing.asset, listing.a_token, here.block);
            return Err(Gap::Contradiction { asset, account, what: "the second listing", block });
        }
        let listed = Listed::new(listing, revision, self.ground.transfers);
        let reserves = Arc::make_mut(&mut self.ground.reserves);
        // A dropped reserve's number is taken again, the lowest first.
        let place = reserves.iter().position(|listed| listed.is_dropped).unwrap_or(reserves.len());
        let id = u8::try_from(place).ok().filter(|id| *id < MAX_RESERVES).map(ReserveId);
        let id = id.ok_or(Gap::TooManyReserves { block: here.block })?;
        match reserves.get_mut(place) {
            Some(free) => *free = listed,
            None => reserves.push(listed),
        }
        Arc::make_mut(&mut self.ground.assets).insert(listing.asset, id);
        let contracts = Arc::make_mut(&mut self.ground.contracts);
        contracts.insert(listing.a_token, Contract::Supply(id));
        contracts.insert(listing.variable, Contract::Variable(id));
        if !listing.stable.is_zero() {
            contracts.insert(listing.stable, Contract::Stable(id));
        }
        let tokens = [listing.a_token, listing.variable].into_iter();
        let known: usize = tokens.map(|token| usize::from(self.know_token(token))).sum();
        if known == 0 {
            self.ground.listed_mut(id).is_config_known = false;
        }
        Ok(())
    }

    /// Takes over what a token said of itself, once both that and its listing are known.
    fn know_token(&mut self, token: Address) -> bool {
        let (Some(contract), Some(begun)) = (self.ground.contracts.get(&token), self.ground.begun.get(&token)) else {
            return false;
        };
        let (Contract::Supply(reserve) | Contract::Variable(reserve)) = *contract else {
            return false;
        };
        let (decimals, treasury) = (begun.decimals, begun.treasury);
        let listed = self.ground.listed_mut(reserve);
        listed.config.decimals = decimals;
        listed.treasury = treasury.or(listed.treasury);
        true
    }

    fn dropped(&mut self, here: &Here, asset: Address) -> Result<(), Gap> {
        let id = self.asset(here, asset)?;
        let listed = self.ground.listed(id);
        if !(listed.scaled_supply.is_zero() && listed.scaled_debt.is_zero()) {
            // The pool drops only what nobody holds or owes.
            let (account, what) = (listed.contracts.a_token, "the total of a dropped reserve");
            return Err(Gap::Contradiction { asset, account, what, block: here.block });
        }
        let listed = self.ground.listed_mut(id);
        listed.is_dropped = true;
        listed.config = ReserveConfig::default();
        let Listing { a_token, stable, variable, .. } = listed.contracts;
        Arc::make_mut(&mut self.ground.assets).remove(&asset);
        let contracts = Arc::make_mut(&mut self.ground.contracts);
        [a_token, stable, variable].iter().for_each(|token| {
            contracts.remove(token);
        });
        self.ground.settle(|pending| {
            pending.reserves.remove(&id);
        });
        Ok(())
    }

    fn discounted(&mut self, here: &Here) -> Result<(), Gap> {
        match self.ground.contracts.get(&here.by) {
            Some(Contract::Variable(reserve)) => {
                self.ground.listed_mut(*reserve).is_debt_observed = true;
                Ok(())
            }
            // Before the listing the token is set up; it says it again whenever it matters.
            _ => Ok(()),
        }
    }
}

/// What was read by call.
impl Book {
    fn anchored(&mut self, here: &Here, anchor: &Anchor) -> Result<(), Gap> {
        let id = self.asset(here, anchor.asset)?;
        let listed = self.ground.listed_mut(id);
        if let Some(word) = anchor.configuration {
            listed.config = ReserveConfig::from_word(word);
            listed.is_config_known = true;
        }
        if let Some((indexes, last_update)) = anchor.indexes {
            (listed.indexes, listed.last_update) = (indexes, last_update);
        }
        listed.stable = anchor.stable.unwrap_or(listed.stable);
        listed.deficit = anchor.deficit.unwrap_or(listed.deficit);
        listed.accrued_to_treasury = anchor.accrued_to_treasury.or(listed.accrued_to_treasury);
        let is_whole = anchor.configuration.is_some() && anchor.indexes.is_some();
        if is_whole {
            self.ground.settle(|pending| {
                pending.reserves.remove(&id);
            });
        }
        Ok(())
    }

    fn e_mode_read(&mut self, category: u8, e_mode: Option<EMode>) {
        let e_modes = Arc::make_mut(&mut self.ground.e_modes);
        match e_mode {
            Some(e_mode) => e_modes.insert(category, e_mode),
            None => e_modes.remove(&category),
        };
        self.ground.settle(|pending| {
            pending.e_modes.remove(&category);
        });
    }

    pub(super) fn balance_read(&mut self, here: &Here, address: Address, scaled: U256) -> Folded {
        let (reserve, side) = match self.ground.contracts.get(&here.by) {
            Some(Contract::Supply(reserve)) => (*reserve, Side::Supply),
            Some(Contract::Variable(reserve)) => (*reserve, Side::Debt),
            _ => return Err(Gap::UnknownContract { address: here.by, block: here.block }),
        };
        let asset = self.ground.listed(reserve).contracts.asset;
        let too_large = Gap::TooLarge { asset, account: address, block: here.block };
        let scaled = u128::try_from(scaled).map_err(|_| too_large)?;
        let ground = Box::new(self.ground.clone());
        let account = self.accounts.intern(&address);
        let was = self.accounts.scaled(account, reserve, side);
        self.put_scaled(account, reserve, side, scaled);
        if self.ground.stale.contains(&(reserve, address)) {
            Arc::make_mut(&mut self.ground.stale).remove(&(reserve, address));
        }
        Ok(Undo::Read { ground, account, reserve, side, was })
    }

    pub(super) fn stable_read(&mut self, here: &Here, address: Address, debt: StableDebt) -> Folded {
        let Some(Contract::Stable(reserve)) = self.ground.contracts.get(&here.by).copied() else {
            return Err(Gap::UnknownContract { address: here.by, block: here.block });
        };
        let before = self.ground.clone();
        let account = self.accounts.intern(&address);
        let was = self.stable_of(account, reserve);
        self.accounts.set_stable(account, reserve, debt);
        self.ground.settle(|pending| {
            pending.stable.remove(&(reserve, address));
        });
        let totals = before.listed(reserve).stable;
        Ok(Undo::Stable(Box::new(StableWas { account, reserve, debt: was, totals, ground: Some(before) })))
    }

    /// A balance that only calls tell has changed.
    pub(super) fn outdated(&mut self, reserve: ReserveId, account: Address) -> Folded {
        let before = self.ground.clone();
        Arc::make_mut(&mut self.ground.stale).insert((reserve, account));
        Ok(Undo::Ground(Box::new(before)))
    }
}

impl Ground {
    /// Crosses something off the list of what must be read.
    fn settle(&mut self, cross_off: impl FnOnce(&mut Pending)) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        cross_off(Arc::make_mut(pending));
        if pending.is_empty() {
            self.pending = None;
        }
    }
}
