//! What a policy of the treasury would have done with the income of some liquidations.

use std::collections::BTreeMap;

use anyhow::Context;
use engine::treasury::policy::{History, Observed, Point, Policy, simulate};
use protocol::aave::math::Bps;
use protocol::amount::Usd8;
use protocol::time::TimeUs;

use super::{Part, Put};
use crate::treasury::history::by_day;

/// The share of the debt at risk that covers are measured against; no cover is shown here.
const COVER: Bps = Bps(1_000);

/// A history of what liquidations brought the treasury, by day and by the reserve whose debt was repaid: the protocol's fee and its share
/// of what was recaptured, as the layers count them. It has no deficits, and nothing is known of markets or of debt at risk: deposits earn
/// nothing over it, and buffers cover nothing.
///
/// # Errors
/// There is no liquidation, or an income is below nothing.
pub(crate) fn history(parts: impl IntoIterator<Item = (Part, TimeUs, String)>) -> anyhow::Result<History> {
    let mut days = BTreeMap::<(i64, String), Observed>::new();
    for (part, time, reserve) in parts {
        let fee = part.bonus.and(part.fee).unwrap_or_default();
        let share = part.paid.filter(|_| part.counts()).and_then(|paid| paid.split);
        let usd = fee.checked_add(share.map_or(Usd8(0), |[protocol, _]| protocol));
        let usd = usd.and_then(|usd| u128::try_from(usd.0).ok());
        let usd = usd.context("an income is below nothing or too large, so that no policy can spend it")?;
        let seen = days.entry((time.day(), reserve)).or_default();
        seen.income = seen.income.checked_add(usd).context("a day's income is too large")?;
    }
    by_day(&days, 0, COVER).context("without liquidations there is no income to try a policy on")
}

impl Put {
    /// What a policy does with a history's income.
    ///
    /// # Errors
    /// The policy cannot be carried out over it.
    pub(crate) fn by(policy: &Policy, history: &History) -> anyhow::Result<Self> {
        let run = simulate(policy, history).map_err(|unfit| {
            anyhow::anyhow!("the policy cannot be carried out: {}", crate::text::harmless(&unfit.to_string()))
        })?;
        let at_end = |of: fn(&Point) -> u128| run.points.last().map_or(0, of);
        Ok(Self {
            earned: run.summary.earned,
            covered: run.summary.covered,
            buffers: at_end(|point| point.buffers),
            deposits: at_end(|point| point.deposits),
            incentives: run.summary.incentives,
            idle: at_end(|point| point.cash),
        })
    }
}
