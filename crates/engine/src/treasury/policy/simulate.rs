//! A policy carried out over a history, in double entry.

use std::sync::Arc;

use protocol::aave::interest::linear;
use protocol::aave::math::Rounding;
use protocol::aave::math::{Bps, Ray, ray_mul};
use protocol::aave::rates::Usage;
use protocol::chain::ChainId;
use protocol::standing::Standing;
use protocol::time::{SECOND_US, TimeUs};
use protocol::{Address, U256};

use super::super::account::{Account, Asset, Code};
use super::super::ledger::{Ledger, Outcome};
use super::super::transfer::{Action, Entry, Id, Origin, Transfer};
use super::{Buffer, Decaying, Flaw, History, MAX_USD8, Market, Observed, Policy, Unfit, Use};

/// What the books of a simulation are kept in: dollars on no network.
const DOLLARS: Asset = Asset { network: ChainId(0), token: Address::ZERO };

/// What a policy came to; amounts in 10^-8 dollars, averages over time and rounded down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Deficits that buffers covered.
    pub covered: u128,
    /// Deficits that were left to stakers.
    pub borne_by_stakers: u128,
    /// What was put into buffers: to fill them at first, because they were to be larger, and after losses.
    pub filled: u128,
    /// What of it made good a loss that a buffer had covered. What is put into a buffer makes good its losses first.
    pub replenished: u128,
    /// How often a buffer was refilled after a loss, counted by reserve and step; neither first filling nor growth is in it.
    pub replenishments: u64,
    /// What was taken out of buffers because they were to be smaller.
    pub released: u128,
    /// What buffers held on average.
    pub average_buffer: u128,
    /// What lay in buffers beyond the cover that is measured against, and in cash, on average: capital that did nothing. None where the
    /// debt at risk was not known of any reserve at any time: nobody can say then what lay beyond.
    pub average_idle: Option<u128>,
    /// For how long buffers were below that cover, in reserve-seconds: two reserves for one second are two.
    pub under_covered_reserve_s: u64,
    /// For how long nobody knew, because the debt at risk was not known, in reserve-seconds.
    pub cover_unknown_reserve_s: u64,
    /// Interest that deposits earned.
    pub earned: u128,
    /// What deposits added to what can be borrowed, on average.
    pub average_deposits: u128,
    /// By how much deposits lowered the usage of the markets they were in, on average over the time they were there.
    pub usage_lowered: Ray,
    /// By how much they lowered what borrowers pay, yearly; none where no strategy is known for one of them.
    pub borrow_rate_lowered: Option<Ray>,
    /// What was paid as incentives.
    pub incentives: u128,
    /// Cash, buffers and deposits at the end.
    pub left: u128,
}

/// How a policy stood after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// In seconds since 1970.
    pub time: u64,
    /// In buffers.
    pub buffers: u128,
    /// In lending markets.
    pub deposits: u128,
    /// In cash.
    pub cash: u128,
    /// Left to stakers so far.
    pub borne_by_stakers: u128,
}

/// A policy's way through a history.
#[derive(Debug, Clone)]
pub struct Run {
    /// What it came to.
    pub summary: Summary,
    /// How it stood after each step.
    pub points: Vec<Point>,
    /// Its books.
    pub ledger: Ledger,
}

/// What is summed over time, to be divided by it.
#[derive(Debug, Default)]
struct Averages {
    buffer: U256,
    idle: U256,
    deposits: U256,
    usage: U256,
    rate: U256,
    deposited_s: u64,
    rate_unknown: bool,
    total_s: u64,
}

struct Simulation<'a> {
    policy: &'a Policy,
    history: &'a History,
    ledger: Ledger,
    rule: Arc<str>,
    /// The step being made, the first being 1, and the transfers made in it.
    step: usize,
    made: u64,
    time: u64,
    targets: Vec<Target>,
    spent: Vec<u128>,
    /// What each buffer covered and was not refilled with yet.
    unreplenished: Vec<u128>,
    summary: Summary,
    averages: Averages,
}

/// What a buffer is to hold.
#[derive(Debug)]
enum Target {
    Fixed(u128),
    Indexed { base: u128, indexed: Decaying, factor: Bps },
    AtRisk { share: Bps, floor: u128, cap: u128, now: u128 },
}

impl Target {
    fn of(buffer: &Buffer, reserve: &str) -> Self {
        let named = |amounts: &std::collections::BTreeMap<String, u128>| amounts.get(reserve).copied().unwrap_or(0);
        match buffer {
            Buffer::Fixed { targets } => Self::Fixed(named(targets)),
            Buffer::Indexed { start, factor, half_life_s } => {
                Self::Indexed { base: named(start), indexed: Decaying::new(0, *half_life_s), factor: *factor }
            }
            Buffer::AtRisk { share, floor, cap } => {
                Self::AtRisk { share: *share, floor: *floor, cap: *cap, now: *floor }
            }
        }
    }

    fn amount(&self) -> u128 {
        match self {
            Self::Fixed(amount) | Self::AtRisk { now: amount, .. } => *amount,
            Self::Indexed { base, indexed, .. } => base.saturating_add(indexed.amount_floor()),
        }
    }

    /// Lets what income added decay; what it began with stays.
    fn pass(&mut self, seconds: u64) {
        if let Self::Indexed { indexed, .. } = self {
            indexed.pass(seconds);
        }
    }

    /// What it is after a step: it was told of income and risk. A loss does not change it, and risk that is not known leaves it as it
    /// was.
    fn update(&mut self, seen: &Observed) {
        match self {
            Self::Fixed(_) => {}
            Self::Indexed { indexed, factor, .. } => indexed.add(share_floor(seen.income, *factor)),
            Self::AtRisk { share, floor, cap, now } => {
                if let Some(at_risk) = seen.at_risk {
                    *now = share_floor(at_risk, *share).clamp(*floor, *cap);
                }
            }
        }
    }
}

/// A share of an amount, rounded down.
fn share_floor(amount: u128, share: Bps) -> u128 {
    amount.saturating_mul(share.0.into()) / u128::from(Bps::ONE.0)
}

/// What of a total falls to each of several needs, in proportion and rounded down; what is left over goes to the first that lack it.
fn in_proportion(total: u128, needs: &[u128]) -> Vec<u128> {
    let all = needs.iter().fold(0, |sum: u128, need| sum.saturating_add(*need));
    if all <= total {
        return needs.to_vec();
    }
    let part = |need: &u128| {
        let part = U256::from(total).saturating_mul(U256::from(*need)).checked_div(U256::from(all));
        part.and_then(|part| u128::try_from(part).ok()).unwrap_or(0)
    };
    let mut parts: Vec<u128> = needs.iter().map(part).collect();
    let mut left = total.saturating_sub(parts.iter().sum());
    for (part, need) in parts.iter_mut().zip(needs) {
        let more = left.min(need.saturating_sub(*part)).min(1);
        *part = part.saturating_add(more);
        left = left.saturating_sub(more);
    }
    parts
}

/// Carries a policy out over a history. Before the first step the buffers are filled from what there is. At each step, in this order:
/// deposits earn interest for the time since the step before; what income added to buffers decays, and what is too much is released;
/// deficits are covered by the buffers as they are, and what they lack is left to stakers; income comes in; buffers are told their new
/// size, what is too much is released, what is missing is put in from cash and then from deposits as far as the market has it, in
/// proportion where there is not enough; what is left of income and of what was released is used.
///
/// # Errors
/// The policy or the history is unfit.
///
/// # Panics
/// The books do not come out even, which is a mistake of this module.
pub fn simulate(policy: &Policy, history: &History) -> Result<Run, Unfit> {
    let names: Vec<String> = history.reserves.iter().map(|reserve| reserve.name.clone()).collect();
    policy.check(&names).map_err(Unfit::Policy)?;
    check(history)?;
    let mut seen = history.steps.iter().flat_map(|step| &step.reserves).peekable();
    if matches!(policy.buffer, Buffer::AtRisk { .. })
        && seen.peek().is_some()
        && seen.all(|seen| seen.at_risk.is_none())
    {
        return Err(Unfit::RiskUnknown);
    }
    let mut simulation = Simulation::new(policy, history);
    let mut points = Vec::with_capacity(history.steps.len());
    simulation.open();
    for (at, step) in history.steps.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| history.steps.get(before));
        simulation.advance(at.saturating_add(1), before, step)?;
        points.push(simulation.point());
    }
    let summary = simulation.summed_up();
    Ok(Run { summary, points, ledger: simulation.ledger })
}

fn check(history: &History) -> Result<(), Unfit> {
    if history.cover > Bps::ONE {
        return Err(Unfit::Policy(vec![Flaw::ShareAboveOne(history.cover)]));
    }
    let mut all = history.opening;
    for (at, step) in history.steps.iter().enumerate() {
        let number = at.saturating_add(1);
        if at.checked_sub(1).is_some_and(|before| history.steps[before].time >= step.time) {
            return Err(Unfit::NotLater(number));
        }
        if step.reserves.len() != history.reserves.len() {
            return Err(Unfit::OtherReserves(number));
        }
        for seen in &step.reserves {
            let Market { available, debt, .. } = seen.market.unwrap_or_default();
            all = all.saturating_add(seen.income).saturating_add(seen.deficit);
            let largest = all.max(seen.at_risk.unwrap_or(0)).max(available).max(debt);
            if largest > MAX_USD8 {
                return Err(Unfit::TooLarge(number));
            }
        }
    }
    if all > MAX_USD8 { Err(Unfit::TooLarge(0)) } else { Ok(()) }
}

/// The account of a reserve.
fn of(code: Code, reserve: usize) -> Account {
    let number = u64::try_from(reserve).unwrap_or(u64::MAX).saturating_add(1);
    Account::new(code, DOLLARS).of_reserve(Address::left_padding_from(&number.to_be_bytes()))
}

const CASH: Account = Account::new(Code::Cash, DOLLARS);

impl<'a> Simulation<'a> {
    fn new(policy: &'a Policy, history: &'a History) -> Self {
        let reserves = history.reserves.iter();
        Self {
            policy,
            history,
            ledger: Ledger::default(),
            rule: policy.name.as_str().into(),
            step: 0,
            made: 0,
            time: history.steps.first().map_or(0, |step| step.time),
            targets: reserves.map(|reserve| Target::of(&policy.buffer, &reserve.name)).collect(),
            spent: vec![0; policy.uses.len()],
            unreplenished: vec![0; history.reserves.len()],
            summary: Summary::default(),
            averages: Averages::default(),
        }
    }

    /// Books an amount; nothing where it is zero.
    fn book(&mut self, debit: Account, credit: Account, amount: u128) {
        if amount == 0 {
            return;
        }
        self.made = self.made.saturating_add(1);
        let transfer = Transfer {
            id: Id::of_text(&format!("{} {}", self.step, self.made)),
            action: Action::Post(Entry { debit, credit, amount }),
            time: TimeUs(i64::try_from(self.time).unwrap_or(i64::MAX).saturating_mul(SECOND_US)),
            usd: None,
            standing: Standing::Assumed,
            origin: Origin::Rule { name: self.rule.clone(), step: u64::try_from(self.step).unwrap_or(u64::MAX) },
        };
        self.ledger.open_for(&transfer);
        let outcome = self.ledger.apply(&transfer);
        assert_eq!(outcome, Outcome::Posted, "a simulation books what there is");
    }

    /// What stands on an account that grows by debits.
    fn on(&self, account: Account) -> u128 {
        u128::try_from(self.ledger.balance(account).signed()).unwrap_or(0)
    }

    fn each(&self) -> std::ops::Range<usize> {
        0..self.history.reserves.len()
    }

    fn sum(&self, code: Code) -> u128 {
        self.each().map(|reserve| self.on(of(code, reserve))).fold(0, u128::saturating_add)
    }

    /// Books what there is and fills the buffers from it, so that the first step's deficits find them as every later step's do.
    fn open(&mut self) {
        self.book(CASH, Account::new(Code::OpeningEquity, DOLLARS), self.history.opening);
        self.fund(None);
    }

    fn advance(&mut self, number: usize, before: Option<&super::Step>, step: &super::Step) -> Result<(), Unfit> {
        self.step = number;
        self.made = 0;
        self.time = step.time;
        let passed = before.map_or(0, |before| step.time.saturating_sub(before.time));
        if let Some(before) = before {
            self.weigh(before, passed).ok_or(Unfit::Rate(number))?;
            self.earn(before, step.time).ok_or(Unfit::Rate(number))?;
        }
        let mut released = 0;
        for (reserve, seen) in step.reserves.iter().enumerate() {
            self.targets[reserve].pass(passed);
            released = self.release(reserve).saturating_add(released);
            self.lose(reserve, seen.deficit);
            self.book(CASH, of(Code::LiquidationFees, reserve), seen.income);
            self.targets[reserve].update(seen);
            released = self.release(reserve).saturating_add(released);
        }
        let funded = self.fund(Some(step));
        let income = step.reserves.iter().map(|seen| seen.income).fold(0, u128::saturating_add);
        self.deploy(income.saturating_add(released).saturating_sub(funded).min(self.on(CASH)));
        self.assert_conserved();
        Ok(())
    }

    /// Books a deficit: covered by the buffer as far as it goes, the rest left to stakers.
    fn lose(&mut self, reserve: usize, deficit: u128) {
        let covered = deficit.min(self.on(of(Code::LossBuffer, reserve)));
        let borne = deficit.saturating_sub(covered);
        self.book(of(Code::DeficitRealised, reserve), of(Code::DeficitOwed, reserve), deficit);
        self.book(of(Code::DeficitOwed, reserve), of(Code::LossBuffer, reserve), covered);
        self.book(of(Code::DeficitOwed, reserve), of(Code::BorneByStakers, reserve), borne);
        self.unreplenished[reserve] = self.unreplenished[reserve].saturating_add(covered);
        self.summary.covered = self.summary.covered.saturating_add(covered);
        self.summary.borne_by_stakers = self.summary.borne_by_stakers.saturating_add(borne);
    }

    fn release(&mut self, reserve: usize) -> u128 {
        let buffer = of(Code::LossBuffer, reserve);
        let surplus = self.on(buffer).saturating_sub(self.targets[reserve].amount());
        self.book(CASH, buffer, surplus);
        self.summary.released = self.summary.released.saturating_add(surplus);
        surplus
    }

    /// Puts into buffers what they lack, from cash and then from what the markets of the step pay back. Returns what of it came out of
    /// cash.
    fn fund(&mut self, step: Option<&super::Step>) -> u128 {
        let lacks =
            |reserve: usize| self.targets[reserve].amount().saturating_sub(self.on(of(Code::LossBuffer, reserve)));
        let needs: Vec<u128> = self.each().map(lacks).collect();
        let need = needs.iter().fold(0, |sum: u128, need| sum.saturating_add(*need));
        let cash = self.on(CASH);
        if let Some(step) = step {
            self.withdraw(need.saturating_sub(cash), step);
        }
        for (reserve, part) in in_proportion(self.on(CASH), &needs).into_iter().enumerate() {
            self.book(of(Code::LossBuffer, reserve), CASH, part);
            self.summary.filled = self.summary.filled.saturating_add(part);
            // A loss that is not to be refilled, because the buffer is to be smaller now, is made good by that.
            let lost = self.unreplenished[reserve].min(needs[reserve]);
            let again = part.min(lost);
            self.unreplenished[reserve] = lost.saturating_sub(again);
            self.summary.replenished = self.summary.replenished.saturating_add(again);
            self.summary.replenishments = self.summary.replenishments.saturating_add(u64::from(again > 0));
        }
        need.min(cash)
    }

    /// Takes up to so much out of deposits, as far as the markets can pay.
    fn withdraw(&mut self, mut wanted: u128, step: &super::Step) {
        for reserve in self.each() {
            let deposit = self.on(of(Code::Deposits, reserve));
            let liquid = step.reserves[reserve].market.map_or(0, |market| liquid(&market, deposit));
            let taken = wanted.min(deposit).min(liquid);
            self.book(CASH, of(Code::Deposits, reserve), taken);
            wanted = wanted.saturating_sub(taken);
        }
    }

    fn deploy(&mut self, free: u128) {
        let policy = self.policy;
        for (at, one) in policy.uses.iter().enumerate() {
            let Some(reserve) = self.history.reserves.iter().position(|reserve| reserve.name == one.reserve()) else {
                continue;
            };
            let part = share_floor(free, one.share());
            match one {
                Use::Deposit { .. } => self.book(of(Code::Deposits, reserve), CASH, part),
                Use::Incentive { budget, end, .. } => {
                    let left = budget.saturating_sub(self.spent[at]);
                    let paid = if self.time < *end { part.min(left) } else { 0 };
                    self.spent[at] = self.spent[at].saturating_add(paid);
                    self.book(of(Code::Incentives, reserve), CASH, paid);
                    self.summary.incentives = self.summary.incentives.saturating_add(paid);
                }
            }
        }
    }

    /// Interest for the time since the step before, at the rate that stood then, linear and rounded down, as supply earns it.
    fn earn(&mut self, before: &super::Step, until: u64) -> Option<()> {
        for reserve in self.each() {
            let deposit = self.on(of(Code::Deposits, reserve));
            let Some(market) = before.reserves[reserve].market.filter(|_| deposit > 0) else { continue };
            let rate = self.rates(reserve, &market, deposit)?.0;
            let index = linear(rate, before.time, until).ok()?;
            let gain = Ray(index.0.checked_sub(Ray::ONE.0)?);
            let earned: u128 = ray_mul(U256::from(deposit), gain, Rounding::Floor).ok()?.try_into().ok()?;
            // An interest above all that there may be is a rate that cannot be.
            if earned > MAX_USD8 || deposit.saturating_add(earned) > MAX_USD8 {
                return None;
            }
            self.book(of(Code::Deposits, reserve), of(Code::DepositInterest, reserve), earned);
            self.summary.earned = self.summary.earned.saturating_add(earned);
        }
        Some(())
    }

    /// What suppliers earn with a deposit in the market, and what borrowers pay where the strategy is known.
    fn rates(&self, reserve: usize, market: &Market, deposit: u128) -> Option<(Ray, Option<Ray>)> {
        let Some((model, revision)) = &self.history.reserves[reserve].strategy else {
            return Some((market.supply_rate, None));
        };
        let usage = Usage {
            available: U256::from(market.available.saturating_add(deposit)),
            variable_debt: U256::from(market.debt),
            reserve_factor: market.reserve_factor,
            ..Usage::default()
        };
        let rates = model.rates(*revision, &usage).ok()?;
        Some((rates.liquidity, Some(rates.variable)))
    }

    /// Adds what stood from the step before until now to the averages.
    fn weigh(&mut self, before: &super::Step, passed: u64) -> Option<()> {
        let time = U256::from(passed);
        let weighed = |sum: &mut U256, amount: U256| *sum = sum.saturating_add(amount.saturating_mul(time));
        let mut idle = self.on(CASH);
        self.averages.total_s = self.averages.total_s.saturating_add(passed);
        for reserve in self.each() {
            let buffer = self.on(of(Code::LossBuffer, reserve));
            let deposit = self.on(of(Code::Deposits, reserve));
            weighed(&mut self.averages.buffer, U256::from(buffer));
            weighed(&mut self.averages.deposits, U256::from(deposit));
            match before.reserves[reserve].at_risk {
                Some(at_risk) => {
                    let need = share_floor(at_risk, self.history.cover);
                    idle = idle.saturating_add(buffer.saturating_sub(need));
                    let under = if buffer < need { passed } else { 0 };
                    self.summary.under_covered_reserve_s = self.summary.under_covered_reserve_s.saturating_add(under);
                }
                None => {
                    self.summary.cover_unknown_reserve_s = self.summary.cover_unknown_reserve_s.saturating_add(passed)
                }
            }
            let Some(market) = before.reserves[reserve].market.filter(|_| deposit > 0) else { continue };
            self.averages.deposited_s = self.averages.deposited_s.saturating_add(passed);
            let lowered = usage(&market, 0).saturating_sub(usage(&market, deposit));
            weighed(&mut self.averages.usage, lowered);
            match (self.rates(reserve, &market, 0)?.1, self.rates(reserve, &market, deposit)?.1) {
                (Some(without), Some(with)) => weighed(&mut self.averages.rate, without.0.saturating_sub(with.0)),
                _ => self.averages.rate_unknown = true,
            }
        }
        weighed(&mut self.averages.idle, U256::from(idle));
        Some(())
    }

    fn point(&self) -> Point {
        Point {
            time: self.time,
            buffers: self.sum(Code::LossBuffer),
            deposits: self.sum(Code::Deposits),
            cash: self.on(CASH),
            borne_by_stakers: self.summary.borne_by_stakers,
        }
    }

    /// What came in is what is there and what went out, to the unit.
    fn assert_conserved(&self) {
        let point = self.point();
        let steps = self.history.steps.iter().take(self.step);
        let income = steps.flat_map(|step| &step.reserves).map(|seen| seen.income).fold(0, u128::saturating_add);
        let came = self.history.opening.saturating_add(income).saturating_add(self.summary.earned);
        let went = self.summary.covered.saturating_add(self.summary.incentives);
        let there = point.buffers.saturating_add(point.deposits).saturating_add(point.cash);
        assert_eq!(came, there.saturating_add(went), "nothing is lost or made up");
    }

    fn summed_up(&self) -> Summary {
        let over = |sum: U256, time: u64| sum.checked_div(U256::from(time)).unwrap_or_default();
        let amount = |sum: U256| u128::try_from(over(sum, self.averages.total_s)).unwrap_or(u128::MAX);
        let point = self.point();
        let rate = Ray(over(self.averages.rate, self.averages.deposited_s));
        Summary {
            average_buffer: amount(self.averages.buffer),
            average_idle: (self.summary.cover_unknown_reserve_s == 0).then(|| amount(self.averages.idle)),
            average_deposits: amount(self.averages.deposits),
            usage_lowered: Ray(over(self.averages.usage, self.averages.deposited_s)),
            borrow_rate_lowered: (!self.averages.rate_unknown).then_some(rate),
            left: point.buffers.saturating_add(point.deposits).saturating_add(point.cash),
            ..self.summary
        }
    }
}

/// What a market can pay back at once while a deposit is in it, rounded down: what can be borrowed, and of the deposit what borrowers
/// left. They are taken to have borrowed as large a part of it as of everything else, though the interest is that of a market whose
/// debt stayed: each is the careful side.
fn liquid(market: &Market, deposit: u128) -> u128 {
    let unused = Ray::ONE.0.saturating_sub(usage_ceil(market));
    let left = U256::from(deposit).saturating_mul(unused).checked_div(Ray::ONE.0).unwrap_or_default();
    market.available.saturating_add(u128::try_from(left).unwrap_or(u128::MAX))
}

/// The usage without a deposit, rounded up.
fn usage_ceil(market: &Market) -> U256 {
    let all = U256::from(market.available).saturating_add(U256::from(market.debt));
    let debt = U256::from(market.debt).saturating_mul(Ray::ONE.0);
    if all.is_zero() { U256::ZERO } else { debt.div_ceil(all) }
}

/// Debt as a share of debt and what can be borrowed, in rays, rounded down; none where there is neither.
fn usage(market: &Market, deposit: u128) -> U256 {
    let all = U256::from(market.available.saturating_add(deposit)).saturating_add(U256::from(market.debt));
    let debt = U256::from(market.debt).saturating_mul(Ray::ONE.0);
    debt.checked_div(all).unwrap_or_default()
}
