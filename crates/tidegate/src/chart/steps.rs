//! Steps from one sum to the next: amounts that have to add up before they are drawn or printed.

use std::fmt;

use protocol::amount::Usd8;
use protocol::standing::Standing;

/// A step of a waterfall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// Which part of the whole it belongs to: steps of one group stand under one heading.
    pub group: String,
    /// Its name, of any origin.
    pub label: String,
    /// What it does.
    pub kind: Kind,
    /// What it adds, below zero where it takes away; of a total, what stands there. None where it is not known.
    pub usd: Option<Usd8>,
    /// How its amount is known.
    pub standing: Standing,
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Says what stands after the steps before it.
    Total,
    /// Adds something from outside, or takes something that goes to others.
    Change,
    /// Takes something to put it where it still belongs to the same owner.
    Use,
}

/// Between what a step's bar stands, in units of 10^-8 US dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// What stood before; zero for a total, whose bar stands on the ground.
    pub from: i128,
    /// What stands after it.
    pub to: i128,
}

/// Steps whose totals are the sums of what comes before them, to the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    places: Vec<Option<Place>>,
}

/// Why amounts are no steps: they do not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unbalanced {
    /// A total is not the sum of what comes before it.
    Total {
        /// Its name.
        label: String,
        /// What it says; nothing where it does not know what is known.
        says: Option<Usd8>,
        /// What the steps before it come to.
        sum: Usd8,
    },
    /// A sum leaves 128 bits.
    TooLarge {
        /// The name of the step that does it.
        label: String,
    },
}

impl fmt::Display for Unbalanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Total { label, says: Some(says), sum } => {
                write!(f, "\"{label}\" says {says} US dollars, but what comes before it adds up to {sum}")
            }
            Self::Total { label, says: None, sum } => {
                write!(f, "\"{label}\" is not known, but what comes before it adds up to {sum}")
            }
            Self::TooLarge { label } => write!(f, "the sum at \"{label}\" is too large"),
        }
    }
}

impl std::error::Error for Unbalanced {}

impl Steps {
    /// The steps, once they are seen to add up. A total at the beginning opens the sum; without one it begins at zero.
    ///
    /// # Errors
    /// A total that is not the sum of the steps before it, and a sum beyond 128 bits. Where a step before it is not known, a total
    /// stands for itself.
    pub(crate) fn of(steps: Vec<Step>) -> Result<Self, Unbalanced> {
        let mut places = Vec::with_capacity(steps.len());
        let mut level = Some(0);
        for (at, step) in steps.iter().enumerate() {
            let too_large = || Unbalanced::TooLarge { label: step.label.clone() };
            let usd = step.usd.map(|usd| usd.0);
            let place = match (step.kind, level, usd) {
                (Kind::Total, Some(sum), says) if at > 0 && says != Some(sum) => {
                    return Err(Unbalanced::Total { label: step.label.clone(), says: step.usd, sum: Usd8(sum) });
                }
                (Kind::Total, _, Some(to)) => Some(Place { from: 0, to }),
                (Kind::Change | Kind::Use, Some(from), Some(by)) => {
                    Some(Place { from, to: from.checked_add(by).ok_or_else(too_large)? })
                }
                (_, None, _) | (_, _, None) => None,
            };
            level = place.map(|place| place.to);
            places.push(place);
        }
        let mut all = Self { steps, places };
        all.place_backwards()?;
        Ok(all)
    }

    /// What follows something unknown is placed from the next total that is known.
    fn place_backwards(&mut self) -> Result<(), Unbalanced> {
        let mut level = None;
        for (step, place) in self.steps.iter().zip(&mut self.places).rev() {
            if place.is_none()
                && let (Some(to), Some(Usd8(by))) = (level, step.usd)
            {
                let from = i128::checked_sub(to, by);
                let from = from.ok_or_else(|| Unbalanced::TooLarge { label: step.label.clone() })?;
                *place = Some(Place { from, to });
            }
            level = match step.kind {
                Kind::Total => place.map(|place| place.to),
                Kind::Change | Kind::Use => place.map(|place| place.from),
            };
        }
        Ok(())
    }

    /// Every step with its place, in order; none where an amount is not known, or not where it begins.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&Step, Option<Place>)> {
        self.steps.iter().zip(self.places.iter().copied())
    }

    /// What everything is a share of: the first amount that is known, with its name, if it is more than nothing.
    pub(crate) fn whole(&self) -> Option<(&str, i128)> {
        let (step, Usd8(usd)) = self.steps.iter().find_map(|step| Some((step, step.usd?)))?;
        (usd > 0).then_some((step.label.as_str(), usd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(kind: Kind, usd: Option<i128>) -> Step {
        Step {
            group: String::new(),
            label: format!("{kind:?} of {usd:?}"),
            kind,
            usd: usd.map(Usd8),
            standing: Standing::Exact,
        }
    }

    /// Steps as `T100 -30 ? T50`: a total, a change, an unknown change, a total; the places as `0:100 100:70 ? 0:50`.
    fn check(steps: &str, expected: &str) {
        let steps = steps.split_whitespace().map(|word| {
            let (kind, amount) = word.strip_prefix('T').map_or((Kind::Change, word), |rest| (Kind::Total, rest));
            step(kind, amount.parse().ok())
        });
        let places = match Steps::of(steps.collect()) {
            Ok(steps) => {
                let shown = |(_, place): (&Step, Option<Place>)| {
                    place.map_or_else(|| "?".to_owned(), |Place { from, to }| format!("{from}:{to}"))
                };
                steps.iter().map(shown).collect::<Vec<_>>().join(" ")
            }
            Err(Unbalanced::Total { says, sum, .. }) => format!("{:?} is not {}", says.map(|usd| usd.0), sum.0),
            Err(Unbalanced::TooLarge { .. }) => "too large".to_owned(),
        };
        assert_eq!(places, expected);
    }

    #[test]
    fn totals_are_what_comes_before_them_to_the_unit() {
        check("T100 -30 5 T75 -75 T0", "0:100 100:70 70:75 0:75 75:0 0:0");
        check("-30 5 T-25", "0:-30 -30:-25 0:-25");
        check("T100 -30 T71", "Some(71) is not 70");
        check("T100 -30 T?", "None is not 70");
        check("T100 T99", "Some(99) is not 100");
        check("", "");
    }

    #[test]
    fn what_is_unknown_has_no_place_and_is_not_taken_for_zero() {
        check("T100 ? -10 T50 -5", "0:100 ? 60:50 0:50 50:45");
        check("T100 ? -10 ? -5", "0:100 ? ? ? ?");
        check("T? -10 T50", "? 60:50 0:50");
        // Between two amounts that are unknown nothing has a place, and a total stands for itself.
        check("T100 ? -10 ? -5 T20", "0:100 ? ? ? 25:20 0:20");
        check("T100 ? T? -10 T20", "0:100 ? ? 30:20 0:20");
    }

    #[test]
    fn sums_do_not_wrap() {
        check("T170141183460469231731687303715884105727 1", "too large");
        check("? 1 T-170141183460469231731687303715884105728", "too large");
    }

    proptest! {
        #[test]
        fn a_total_off_by_any_amount_is_refused(
            changes in prop::collection::vec(-1_000_000_i128..1_000_000, 0..12),
            opening in 0_i128..1_000_000,
            off in -5_i128..5,
        ) {
            let mut steps = vec![step(Kind::Total, Some(opening))];
            steps.extend(changes.iter().map(|by| step(if *by < 0 { Kind::Use } else { Kind::Change }, Some(*by))));
            let sum = opening + changes.iter().sum::<i128>();
            steps.push(step(Kind::Total, Some(sum + off)));
            let done = Steps::of(steps);
            prop_assert_eq!(done.is_ok(), off == 0);
            if let Ok(done) = done {
                for (two, next) in done.iter().zip(done.iter().skip(1)) {
                    let (before, after) = (two.1.unwrap(), next.1.unwrap());
                    prop_assert_eq!(before.to, if next.0.kind == Kind::Total { after.to } else { after.from });
                }
            }
        }
    }
}
