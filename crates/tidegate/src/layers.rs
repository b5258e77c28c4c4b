//! The three layers in one table: what liquidations paid beyond the debt, what of it an auction gave back, and where the treasury put it.
//!
//! Every line is an integer of 10^-8 US dollars, and each total is the sum of the lines before it: that is checked when the lines are made
//! ([`Steps`]), and the chart is drawn from the same lines that the table shows. A native amount in dollars is what
//! [`Row::dollars`] makes of it. What is kept by searchers is what is left, so rounding, below a unit per part and liquidation, is in it.

use std::collections::BTreeMap;

use anyhow::Context;
use engine::recapture::rates::Record;
use engine::recapture::{Route, Row, Split};
use protocol::amount::Usd8;
use protocol::standing::Standing;

use crate::chart::{Caption, Kind, Step, Steps, Waterfall};
use crate::table::{Table, Unit, Value};

pub(crate) mod put;

/// The names of the layers.
const LAYERS: [&str; 3] = ["Liquidations", "Recapture", "Treasury"];

/// What the treasury's rules did with its income, in 10^-8 US dollars. Nothing may be left out: what came in is what went somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Put {
    /// What deposits earned on top of the income.
    pub earned: u128,
    /// What buffers paid for deficits.
    pub covered: u128,
    /// What lies in buffers.
    pub buffers: u128,
    /// What lies in lending markets.
    pub deposits: u128,
    /// What was paid as incentives.
    pub incentives: u128,
    /// What was put nowhere.
    pub idle: u128,
}

/// A liquidation, as far as the layers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// How it came about.
    pub route: Route,
    /// The gross bonus and how it is known.
    pub bonus: Option<(Usd8, Standing)>,
    /// The protocol's fee on it.
    pub fee: Option<Usd8>,
    /// What was paid for it.
    pub paid: Option<Paid>,
}

/// What was paid for a liquidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paid {
    /// What builder and auctioneer kept, and how that is known.
    pub builder: Option<(Usd8, Standing)>,
    /// What came to protocol and network.
    pub recaptured: Usd8,
    /// The two parts of that, the protocol's first.
    pub split: Option<[Usd8; 2]>,
    /// How the payment is known.
    pub standing: Standing,
}

impl Part {
    /// Whether what was paid stands in the treasury's income: it was paid for an auction, or its bonus is not known.
    const fn counts(&self) -> bool {
        matches!(self.route, Route::Paid) || self.bonus.is_none()
    }
}

impl From<&Row> for Part {
    fn from(row: &Row) -> Self {
        // What came in is known as payments are, whatever the bid is estimated to have been.
        let paid = row.dollars().map(|dollars| Paid {
            builder: Some((dollars.builder, dollars.standing)),
            recaptured: dollars.recaptured,
            split: Some([dollars.protocol, dollars.network]),
            standing: Standing::Exact,
        });
        Self {
            route: row.route,
            bonus: row.value.map(|value| (value.bonus, value.standing)),
            fee: row.value.map(|value| value.protocol_fee),
            paid,
        }
    }
}

impl From<&Record> for Part {
    /// Somebody's record knows nothing of builders.
    fn from(record: &Record) -> Self {
        let paid = record.recaptured.filter(|_| record.route == Route::Paid).map(|recaptured| Paid {
            builder: None,
            recaptured,
            split: record.protocol.zip(record.network).map(|(protocol, network)| [protocol, network]),
            standing: record.standing,
        });
        let bonus = record.bonus.map(|bonus| (bonus, record.standing));
        Self { route: record.route, bonus, fee: record.protocol_fee, paid }
    }
}

/// The lines of the three layers.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    steps: Steps,
    /// How many liquidations each line is about; none where it is about money as a whole.
    counts: Vec<Option<u64>>,
    /// What the reader has to know beside the lines.
    notes: Vec<String>,
}

/// Sums over some liquidations.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    usd8: i128,
    count: u64,
    standing: Option<Standing>,
}

impl Sum {
    fn add(&mut self, usd: Usd8, standing: Standing) -> anyhow::Result<()> {
        self.usd8 = self.usd8.checked_add(usd.0).context("the sum of the bonuses is too large")?;
        self.count += 1;
        self.standing = self.standing.max(Some(standing));
        Ok(())
    }

    fn with(mut self, other: Self) -> Self {
        self.usd8 = self.usd8.saturating_add(other.usd8);
        self.count += other.count;
        self.standing = self.standing.max(other.standing);
        self
    }
}

/// What liquidations come to.
#[derive(Debug, Default)]
struct Sums {
    bonus: Sum,
    fee: Sum,
    /// What the fee left of the bonus, by route; of what was paid and has no value in dollars, in `unpriced`.
    left: BTreeMap<Route, Sum>,
    unpriced: Sum,
    /// Of what was paid: by searchers and, where nobody knows what builders kept, by both.
    kept: Sum,
    kept_by_both: Sum,
    builder: Sum,
    recaptured: Sum,
    network: Sum,
    protocol: Sum,
    /// The protocol's part of what was recaptured of bonuses that are not known.
    beside: Sum,
    /// By how much the parts that a record gives are more than the whole it gives.
    split_off: Sum,
    without_bonus: u64,
    without_fee: u64,
    without_split: u64,
}

impl Sums {
    fn of(parts: impl IntoIterator<Item = Part>) -> anyhow::Result<Self> {
        let mut sums = Self::default();
        parts.into_iter().try_for_each(|part| sums.add(&part))?;
        Ok(sums)
    }

    fn add(&mut self, part: &Part) -> anyhow::Result<()> {
        let Some((bonus, standing)) = part.bonus else {
            self.without_bonus += 1;
            let Some(paid) = part.paid else { return Ok(()) };
            self.without_split += u64::from(paid.split.is_none());
            return paid.split.map_or(Ok(()), |[protocol, _]| self.beside.add(protocol, paid.standing));
        };
        self.bonus.add(bonus, standing)?;
        match part.fee {
            Some(fee) => self.fee.add(fee, standing)?,
            None => self.without_fee += 1,
        }
        let left = bonus.checked_sub(part.fee.unwrap_or_default()).context("a bonus is too large")?;
        match (part.route, part.paid) {
            (Route::Paid, Some(paid)) => {
                self.left.entry(Route::Paid).or_default().add(left, standing)?;
                self.paid(left, standing, paid)
            }
            (Route::Paid, None) => self.unpriced.add(left, standing),
            (route, _) => self.left.entry(route).or_default().add(left, standing),
        }
    }

    fn paid(&mut self, left: Usd8, standing: Standing, paid: Paid) -> anyhow::Result<()> {
        let kept = left.checked_sub(paid.recaptured).context("a payment is too large")?;
        self.recaptured.add(paid.recaptured, paid.standing)?;
        match paid.split {
            Some([protocol, network]) => {
                self.network.add(network, paid.standing)?;
                self.protocol.add(protocol, paid.standing)?;
                let off = protocol.checked_add(network).and_then(|sum| sum.checked_sub(paid.recaptured));
                let off = off.context("the parts of a payment are too large")?;
                if off.0 != 0 {
                    self.split_off.add(off, paid.standing)?;
                }
            }
            None => self.without_split += 1,
        }
        let Some((builder, known)) = paid.builder else {
            return self.kept_by_both.add(kept, standing.max(paid.standing));
        };
        self.builder.add(builder, known)?;
        self.kept.add(kept.checked_sub(builder).context("a bid is too large")?, standing.max(known))
    }

    fn left(&self, route: Route) -> Sum {
        self.left.get(&route).copied().unwrap_or_default()
    }

    fn of_routes(&self, routes: &[Route]) -> Sum {
        routes.iter().map(|route| self.left(*route)).fold(Sum::default(), Sum::with)
    }
}

/// Lines as they are made, one after the other.
struct Lines {
    steps: Vec<Step>,
    counts: Vec<Option<u64>>,
    layer: usize,
    level: i128,
    /// No figure is known better than what all of them come from.
    floor: Standing,
}

impl Lines {
    fn push(&mut self, label: &str, kind: Kind, usd: Option<Usd8>, standing: Option<Standing>) {
        let standing = self.floor.max(standing.unwrap_or(Standing::Exact));
        let group = LAYERS[self.layer].to_owned();
        self.steps.push(Step { group, label: label.to_owned(), kind, usd, standing });
        self.counts.push(None);
    }

    fn count(&mut self, count: u64) {
        if let Some(last) = self.counts.last_mut() {
            *last = Some(count);
        }
    }

    /// A line that takes what goes elsewhere, if there is any.
    fn takes(&mut self, label: &str, sum: Sum) {
        if sum.count > 0 {
            self.changes(label, Kind::Change, sum.usd8.saturating_neg(), sum.standing);
            self.count(sum.count);
        }
    }

    fn changes(&mut self, label: &str, kind: Kind, by: i128, standing: Option<Standing>) {
        self.level = self.level.saturating_add(by);
        self.push(label, kind, Some(Usd8(by)), standing);
    }

    /// A line that says what stands: it is what `sum` has added up on its own way, not what the lines before come to.
    fn stands(&mut self, label: &str, sum: Sum) {
        self.level = sum.usd8;
        self.push(label, Kind::Total, Some(Usd8(sum.usd8)), sum.standing);
        self.count(sum.count);
    }
}

impl Layers {
    /// The lines of liquidations and, where the treasury's rules were carried out, of where they put its income. `floor` is the standing
    /// of what all of it comes from. Where it is not known how a payment was split, the treasury's lines are left open.
    ///
    /// # Errors
    /// What does not add up: a total that is not the sum of its parts, or uses that are not the income.
    pub(crate) fn of(
        parts: impl IntoIterator<Item = Part>,
        split: Option<Split>,
        put: Option<&Put>,
        floor: Standing,
    ) -> anyhow::Result<Self> {
        let sums = Sums::of(parts)?;
        let mut lines = Lines { steps: Vec::new(), counts: Vec::new(), layer: 0, level: 0, floor };
        sums.liquidations(&mut lines);
        sums.recapture(&mut lines);
        if sums.without_split == 0 {
            sums.treasury(&mut lines, split)?;
            put.map_or(Ok(()), |put| put.lines(&mut lines))?;
        } else {
            sums.open(&mut lines);
        }
        let steps = Steps::of(lines.steps)?;
        Ok(Self { steps, counts: lines.counts, notes: sums.notes() })
    }

    /// The steps, which the table and the chart show.
    #[cfg(test)]
    pub(crate) const fn steps(&self) -> &Steps {
        &self.steps
    }

    /// What the reader has to know beside the lines.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The weakest standing among the lines.
    pub(crate) fn standing(&self) -> Standing {
        self.steps.iter().map(|(step, _)| step.standing).max().unwrap_or(Standing::Exact)
    }

    /// The table.
    pub(crate) fn table(&self) -> Table {
        let columns = [
            ("layer", Unit::Text),
            ("line", Unit::Text),
            ("liquidations", Unit::Count),
            ("change_usd", Unit::Usd),
            ("stands_at_usd", Unit::Usd),
            ("share_of_gross_bonus", Unit::Share),
            ("standing", Unit::Text),
        ];
        let mut table = Table::new("layers", &columns);
        let whole = self.steps.whole().map_or(0, |(_, whole)| whole);
        for ((step, place), count) in self.steps.iter().zip(&self.counts) {
            let usd = step.usd.map_or(Value::Missing, Value::Usd);
            let is_total = step.kind == Kind::Total;
            table.push(vec![
                Value::Text(step.group.clone()),
                Value::Text(step.label.clone()),
                count.map_or(Value::Missing, Value::Count),
                if is_total { Value::Missing } else { usd },
                place.map_or(Value::Missing, |place| Value::Usd(Usd8(place.to))),
                step.usd.map_or(Value::Missing, |usd| Value::share(usd.0, whole)),
                Value::Text(step.standing.to_string()),
            ]);
        }
        table
    }

    /// The chart.
    pub(crate) fn waterfall(&self, mut caption: Caption) -> Waterfall {
        caption.footnotes.splice(0..0, self.notes.iter().cloned());
        Waterfall { caption, steps: self.steps.clone() }
    }
}

impl Sums {
    /// From all bonuses to those an auction was held for.
    fn liquidations(&self, lines: &mut Lines) {
        if self.without_bonus > 0 {
            lines.push("Bonus not known", Kind::Change, None, None);
            lines.count(self.without_bonus);
        }
        lines.stands("Gross bonus", self.bonus);
        lines.takes("Protocol's liquidation fee", self.fee);
        for (label, routes) in [
            ("No auction: other feed or no price", [Route::OtherFeed, Route::NoPrice].as_slice()),
            ("Missed: public after cutoff", &[Route::Fallback]),
            ("Outside: after or beside the bundle", &[Route::Landed, Route::Leaked]),
            ("Not auctioned, or cause not known", &[Route::NotAuctioned, Route::Unknown]),
        ] {
            lines.takes(label, self.of_routes(routes));
        }
    }

    /// From bonuses that an auction was held for to what came back.
    fn recapture(&self, lines: &mut Lines) {
        lines.layer = 1;
        lines.stands("Routed to an auction", self.of_routes(&Route::ROUTED).with(self.unpriced));
        lines.takes("Nobody paid", self.left(Route::Unpaid));
        lines.takes("Payment or its price not known", self.left(Route::PaymentUnknown).with(self.unpriced));
        lines.takes("Kept by searchers", self.kept);
        lines.takes("Kept by searchers and builders", self.kept_by_both);
        lines.takes("Kept by builders", self.builder);
        lines.stands("Recaptured", self.recaptured);
    }

    /// What the treasury earned.
    fn treasury(&self, lines: &mut Lines, split: Option<Split>) -> anyhow::Result<()> {
        let percent = |bps: u16| match (bps / 100, bps % 100) {
            (whole, 0) => format!(", {whole} %"),
            (whole, part) => format!(", {whole}.{part:02} %"),
        };
        let shares = split.map(|split| [split.protocol_bps(), 10_000 - split.protocol_bps()].map(percent));
        let [of_protocol, of_network] = shares.unwrap_or_default();
        lines.takes(&format!("Network's share{of_network}"), self.network);
        if self.split_off.count > 0 {
            lines.changes("Off in the record", Kind::Change, self.split_off.usd8, self.split_off.standing);
            lines.count(self.split_off.count);
        }
        lines.layer = 2;
        lines.stands(&format!("Protocol's share{of_protocol}"), self.protocol);
        let mut income = Sum { count: 0, ..self.protocol };
        for (label, sum) in [("Liquidation fee", self.fee), ("Shares of bonuses not known", self.beside)] {
            if sum.count > 0 {
                lines.changes(label, Kind::Change, sum.usd8, sum.standing);
                lines.count(sum.count);
                income.usd8 = income.usd8.checked_add(sum.usd8).context("the treasury's income is too large")?;
                income.standing = income.standing.max(sum.standing);
            }
        }
        lines.push("Treasury's income", Kind::Total, Some(Usd8(income.usd8)), income.standing);
        lines.level = income.usd8;
        Ok(())
    }

    /// What cannot be told where a split is not known.
    fn open(&self, lines: &mut Lines) {
        lines.push("Network's share", Kind::Change, None, None);
        lines.layer = 2;
        lines.push("Treasury's income", Kind::Total, None, None);
    }

    fn notes(&self) -> Vec<String> {
        let of = |count: u64| {
            let noun = if count == 1 { "liquidation" } else { "liquidations" };
            format!("{} {noun}", crate::text::count(count))
        };
        let mut notes = Vec::new();
        if self.without_bonus > 0 {
            notes.push(format!("The bonus of {} is not known: it stands in no amount.", of(self.without_bonus)));
        }
        if self.without_fee > 0 {
            let of = of(self.without_fee);
            notes.push(format!("The protocol's fee on {of} is not known: nothing is taken off their bonus for it."));
        }
        if self.without_split > 0 {
            notes.push(format!("How the payment for {} was split is not known.", of(self.without_split)));
        }
        if self.split_off.count > 0 {
            let of = of(self.split_off.count);
            notes
                .push(format!("The parts that the record gives of the payment for {of} do not add up to the payment."));
        }
        if self.kept.usd8 < 0 || self.kept_by_both.usd8 < 0 {
            notes.push("Searchers paid more than what the bonuses left them at the pools' prices.".to_owned());
        }
        notes
    }
}

impl Put {
    /// Where the income went, until nothing of it is left.
    fn lines(&self, lines: &mut Lines) -> anyhow::Result<()> {
        let signed = |usd8: u128| i128::try_from(usd8).context("an amount of the treasury's rules is too large");
        let assumed = Some(Standing::Assumed);
        for (label, by) in
            [("Interest on deposits", signed(self.earned)?), ("Deficits covered", -signed(self.covered)?)]
        {
            if by != 0 {
                lines.changes(label, Kind::Change, by, assumed);
            }
        }
        for (label, usd8) in [
            ("Loss buffer", self.buffers),
            ("Lending deposits", self.deposits),
            ("Incentives", self.incentives),
            ("Idle", self.idle),
        ] {
            lines.changes(label, Kind::Use, -signed(usd8)?, assumed);
        }
        anyhow::ensure!(lines.level == 0, "of the treasury's income, {} US dollars went nowhere", Usd8(lines.level));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
