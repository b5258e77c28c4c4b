//! Everything of a market that is not an account: contracts, reserves, categories, price sources.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;
use protocol::aave::Revision;
use protocol::aave::config::{EMode, ReserveConfig, ReserveId};
use protocol::aave::interest::{compounded, linear};
use protocol::aave::log::{Indexes, Listing, Setting, TokenBegun, Transfers};
use protocol::aave::math::{Bps, Checked, Ray, fits, ray_mul_half_up};
use protocol::aave::rates::{RateModel, Rates};
use protocol::aave::reserve::{Reserve, StableTotals};
use protocol::{Address, I256, U256};

/// What a contract is to the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// The pool's proxy.
    Pool,
    /// The configurator's proxy.
    Configurator,
    /// A reserve's supply token.
    Supply(ReserveId),
    /// A reserve's variable debt token.
    Variable(ReserveId),
    /// A reserve's stable debt token (to 3.1).
    Stable(ReserveId),
}

/// Mixes the bytes of an address; fixed, so that nothing differs from run to run.
#[derive(Debug, Default, Clone, Copy)]
pub struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let mut mix = |word: [u8; 8]| {
            self.0 = (self.0.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        };
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| mix(*word));
        match bytes.last_chunk::<8>() {
            _ if rest.is_empty() => {}
            // Whole words are quicker, even if some bytes are mixed in twice.
            Some(last) => mix(*last),
            None => mix(std::array::from_fn(|place| rest.get(place).copied().unwrap_or(0))),
        }
        self.0 ^= self.0 >> 29;
    }

    /// All addresses are equally long.
    #[inline]
    fn write_usize(&mut self, _: usize) {}
}

type ByAddress<T> = HashMap<Address, T, BuildHasherDefault<AddressHasher>>;

/// One reserve, as logs and answers have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its contracts.
    pub contracts: Listing,
    /// Its settings.
    pub config: ReserveConfig,
    /// Logs and answers tell all of `config`. Where not, its decimals (V2) or virtual accounting (3.1 to 3.3) must be
    /// asked for before anything is valued.
    pub is_config_known: bool,
    /// Rates and indexes at the last update.
    pub indexes: Indexes,
    /// When that was, in seconds since 1970.
    pub last_update: u64,
    /// Scaled supply of all accounts.
    pub scaled_supply: U256,
    /// Scaled variable debt of all accounts.
    pub scaled_debt: U256,
    /// Stable debt of all accounts (to 3.1).
    pub stable: StableTotals,
    /// Bad debt written off and not yet covered (3.3+).
    pub deficit: U256,
    /// Debt drawn against it in isolation, in cents (3.0 to 3.6).
    pub isolation_debt: U256,
    /// What the treasury is owed, scaled, where a call told it: logs do not.
    pub accrued_to_treasury: Option<U256>,
    /// Until when nobody is liquidated (3.1+).
    pub grace_until: u64,
    /// The loan-to-value it gets back when it thaws (3.1+).
    pub pending_ltv: u16,
    /// The revision of its supply token.
    pub supply_runs: Revision,
    /// The revision of its debt tokens.
    pub debt_runs: Revision,
    /// How its supply token writes transfers, where that is known.
    pub transfers: Option<Transfers>,
    /// Where the protocol's share goes, where the token said it.
    pub treasury: Option<Address>,
    /// Debt is not in the logs (GHO to 3.3): balances are read by call, and observed.
    pub is_debt_observed: bool,
    /// It was dropped; its number is free.
    pub is_dropped: bool,
}

impl Listed {
    pub(super) fn new(contracts: Listing, revision: Revision, transfers: Option<Transfers>) -> Self {
        let one = u128::try_from(Ray::ONE.0).unwrap_or(0);
        let rules = revision.rules();
        // From 3.4 on every reserve's liquidity is booked; from 3.1 to 3.3 a listing could choose.
        let virtual_accounting = revision >= Revision::V3_4;
        let chooses = rules.virtual_liquidity && !virtual_accounting;
        Self {
            contracts,
            config: ReserveConfig { active: true, virtual_accounting, ..ReserveConfig::default() },
            is_config_known: !chooses,
            indexes: Indexes { liquidity_index: one, variable_index: one, ..Indexes::default() },
            last_update: 0,
            scaled_supply: U256::ZERO,
            scaled_debt: U256::ZERO,
            stable: StableTotals::default(),
            deficit: U256::ZERO,
            isolation_debt: U256::ZERO,
            accrued_to_treasury: None,
            grace_until: 0,
            pending_ltv: 0,
            supply_runs: revision,
            debt_runs: revision,
            transfers,
            treasury: None,
            is_debt_observed: false,
            is_dropped: false,
        }
    }

    /// The liquidity index at `now`.
    ///
    /// # Errors
    /// A product leaves 256 bits, or time runs back.
    pub fn income(&self, now: u64) -> Checked<Ray> {
        let index = ray(self.indexes.liquidity_index);
        if now == self.last_update {
            return Ok(index);
        }
        let grown = linear(ray(self.indexes.liquidity_rate), self.last_update, now)?;
        ray_mul_half_up(grown.0, index).map(Ray)
    }

    /// The variable borrow index at `now`, by the pool's formula.
    ///
    /// # Errors
    /// A product leaves 256 bits, or time runs back.
    pub fn debt(&self, pool: Revision, now: u64) -> Checked<Ray> {
        let index = ray(self.indexes.variable_index);
        if now == self.last_update {
            return Ok(index);
        }
        let grown = compounded(pool.rules().compounding, ray(self.indexes.variable_rate), self.last_update, now)?;
        ray_mul_half_up(grown.0, index).map(Ray)
    }

    /// What the indexes become when the pool brings them up to `now` and says nothing.
    pub(super) fn rolled(&self, pool: Revision, now: u64) -> Checked<Indexes> {
        let narrow = |index: Ray| fits(index.0, 128).map(|index| u128::try_from(index).unwrap_or(u128::MAX));
        let mut indexes = self.indexes;
        indexes.liquidity_index = narrow(self.income(now)?)?;
        if !self.scaled_debt.is_zero() {
            indexes.variable_index = narrow(self.debt(pool, now)?)?;
        }
        Ok(indexes)
    }

    pub(super) fn set(&mut self, setting: Setting) {
        let config = &mut self.config;
        match setting {
            Setting::Borrowing(on) => config.borrowing = on,
            Setting::BorrowingAndStable(stable) => (config.borrowing, config.stable_borrowing) = (true, stable),
            Setting::StableBorrowing(on) => config.stable_borrowing = on,
            Setting::Active(on) => config.active = on,
            Setting::Frozen(on) => config.frozen = on,
            Setting::Paused(on) => config.paused = on,
            Setting::ReserveFactor(bps) => config.reserve_factor = Bps(bps),
            Setting::ProtocolFee(bps) => config.liquidation_protocol_fee = Bps(bps),
            Setting::BorrowCap(cap) => config.borrow_cap = cap,
            Setting::SupplyCap(cap) => config.supply_cap = cap,
            Setting::DebtCeiling(cents) => config.debt_ceiling = cents,
            Setting::UnbackedMintCap(cap) => config.unbacked_mint_cap = cap,
            Setting::Siloed(on) => config.siloed = on,
            Setting::BorrowableInIsolation(on) => config.borrowable_in_isolation = on,
            Setting::FlashLoans(on) => config.flash_loans = on,
            Setting::EModeCategory(category) => config.e_mode_category = category,
            Setting::GraceUntil(until) => self.grace_until = until,
            Setting::PendingLtv(bps) => self.pending_ltv = bps,
        }
    }

    /// The reserve as the protocol's arithmetic knows it. Its strategy, its liquidity, what bridges minted and, where no
    /// call told it, what the treasury is owed are not in the logs and are zero here; nothing that values an account
    /// looks at them.
    #[must_use]
    pub fn reserve(&self) -> Reserve {
        let mut reserve = Reserve::new(self.config, RateModel::default());
        reserve.rates = Rates {
            liquidity: ray(self.indexes.liquidity_rate),
            stable: ray(self.indexes.stable_rate),
            variable: ray(self.indexes.variable_rate),
        };
        reserve.liquidity_index = ray(self.indexes.liquidity_index);
        reserve.variable_borrow_index = ray(self.indexes.variable_index);
        reserve.last_update = self.last_update;
        reserve.scaled_supply = self.scaled_supply;
        reserve.scaled_variable_debt = self.scaled_debt;
        reserve.stable_debt = self.stable;
        reserve.accrued_to_treasury = self.accrued_to_treasury.unwrap_or_default();
        reserve.deficit = self.deficit;
        reserve.isolation_mode_total_debt = self.isolation_debt;
        reserve.liquidation_grace_until = self.grace_until;
        reserve
    }
}

pub(super) fn ray(number: u128) -> Ray {
    Ray(U256::from(number))
}

/// One oracle: where prices come from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Oracle {
    /// By asset.
    pub sources: BTreeMap<Address, Address>,
    /// Who is asked where a source answers nothing.
    pub fallback: Option<Address>,
    /// What prices are in, zero for US dollars, and its unit.
    pub base: Option<(Address, U256)>,
}

/// What must be read after an upgrade before the fold may leave its block.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pending {
    pub(super) block: u64,
    pub(super) reserves: BTreeSet<ReserveId>,
    pub(super) e_modes: BTreeSet<u8>,
    pub(super) stable: BTreeSet<(ReserveId, Address)>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.reserves.is_empty() && self.e_modes.is_empty() && self.stable.is_empty()
    }
}

/// Everything that is not an account. A clone shares all of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ground {
    pub(super) provider: Address,
    pub(super) pool: Option<Address>,
    pub(super) configurator: Option<Address>,
    pub(super) oracle: Option<Address>,
    pub(super) implementation: Option<Address>,
    pub(super) revision: Option<Revision>,
    /// How tokens of the pool's revision write transfers, where that is known.
    pub(super) transfers: Option<Transfers>,
    pub(super) is_paused: bool,
    pub(super) contracts: Arc<ByAddress<Contract>>,
    pub(super) assets: Arc<ByAddress<ReserveId>>,
    pub(super) reserves: Arc<Vec<Listed>>,
    pub(super) e_modes: Arc<BTreeMap<u8, EMode>>,
    pub(super) e_mode_sources: Arc<BTreeMap<u8, Address>>,
    pub(super) oracles: Arc<BTreeMap<Address, Oracle>>,
    pub(super) answers: Arc<BTreeMap<Address, I256>>,
    pub(super) prices: Arc<BTreeMap<Address, U256>>,
    /// What each implementation runs.
    pub(super) runs: Arc<BTreeMap<Address, (Revision, Option<Transfers>)>>,
    /// What tokens said of themselves before they were listed.
    pub(super) begun: Arc<BTreeMap<Address, TokenBegun>>,
    pub(super) pending: Option<Arc<Pending>>,
    /// Observed balances that changed since they were read.
    pub(super) stale: Arc<BTreeSet<(ReserveId, Address)>>,
}

impl Ground {
    pub(super) fn new(provider: Address) -> Self {
        Self {
            provider,
            pool: None,
            configurator: None,
            oracle: None,
            implementation: None,
            revision: None,
            transfers: None,
            is_paused: false,
            contracts: Arc::default(),
            assets: Arc::default(),
            reserves: Arc::default(),
            e_modes: Arc::default(),
            e_mode_sources: Arc::default(),
            oracles: Arc::default(),
            answers: Arc::default(),
            prices: Arc::default(),
            runs: Arc::default(),
            begun: Arc::default(),
            pending: None,
            stale: Arc::default(),
        }
    }

    #[inline]
    pub(super) fn listed(&self, id: ReserveId) -> &Listed {
        &self.reserves[usize::from(id.0)]
    }

    #[inline]
    pub(super) fn listed_mut(&mut self, id: ReserveId) -> &mut Listed {
        &mut Arc::make_mut(&mut self.reserves)[usize::from(id.0)]
    }
}
