//! Bursts of liquidation, found by one stated rule.

use std::collections::VecDeque;

use protocol::time::{DAY_US, HOUR_US};

/// When hours belong to a burst.
///
/// Every window of 24 hours whose value is at least `factor` times the median of all days that had any are hot. Hot stretches with at
/// most `join_hours` quiet hours between them are one episode. Hours at its ends with less than a hundredth of its peak
/// hour are trimmed. Episodes with less than `least_share_bps` of all value are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How many times the median day.
    pub factor: u32,
    /// The longest quiet within an episode, in hours.
    pub join_hours: u32,
    /// The least share of all value, in hundredths of a per cent.
    pub least_share_bps: u32,
}

impl Default for Rule {
    fn default() -> Self {
        Self { factor: 20, join_hours: 48, least_share_bps: 100 }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "24-hour windows with at least {} times the median day's value, joined over up to {} quiet hours; hours at the ends with \
             less than 1 % of the peak hour's value trimmed; at least {}.{:02} % of all value",
            self.factor,
            self.join_hours,
            self.least_share_bps / 100,
            self.least_share_bps % 100
        )
    }
}

/// One hour's liquidations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// Its beginning, in microseconds since 1970.
    pub start_us: i64,
    /// Their value in US dollars of eight decimals.
    pub value_usd8: i128,
    /// How many there were, with and without value.
    pub count: u64,
}

/// A burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Episode {
    /// The beginning of its first hour, in microseconds since 1970.
    pub from_us: i64,
    /// The last microsecond of its last hour.
    pub to_us: i64,
    /// The hour with the most value.
    pub peak: Hour,
    /// The value in US dollars of eight decimals.
    pub value_usd8: i128,
    /// How many liquidations.
    pub count: u64,
}

/// Finds the episodes in hours sorted by time; hours without liquidations may be absent. Sorted by time.
#[must_use]
pub fn find(hours: &[Hour], rule: &Rule) -> Vec<Episode> {
    assert!(hours.is_sorted_by_key(|hour| hour.start_us), "hours come in order");
    let total: i128 = hours.iter().map(|hour| hour.value_usd8).fold(0, i128::saturating_add);
    let Some(median) = median_day(hours) else {
        return Vec::new();
    };
    let threshold = median.saturating_mul(rule.factor.into());
    let stretches = join(&hot_stretches(hours, threshold), i64::from(rule.join_hours) * HOUR_US);
    let least = total.saturating_mul(rule.least_share_bps.into()) / 10_000;
    stretches
        .iter()
        .filter_map(|stretch| episode(hours, *stretch))
        .filter(|episode| episode.value_usd8 >= least)
        .collect()
}

/// The median value of a day that had any; of an even number of days, the lower-rounded mean of the middle two.
#[must_use]
pub fn median_day(hours: &[Hour]) -> Option<i128> {
    let mut days: Vec<i128> = Vec::new();
    for same_day in hours.chunk_by(|a, b| a.start_us.div_euclid(DAY_US) == b.start_us.div_euclid(DAY_US)) {
        days.push(same_day.iter().map(|hour| hour.value_usd8).fold(0, i128::saturating_add));
    }
    days.retain(|value| *value > 0);
    days.sort_unstable();
    let middle = days.len() / 2;
    match days.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(days[middle]),
        _ => Some(days[middle - 1].midpoint(days[middle])),
    }
}

/// The windows of 24 hours that reach the threshold, each from its first hour with liquidations to its last.
fn hot_stretches(hours: &[Hour], threshold: i128) -> Vec<(i64, i64)> {
    let mut window = VecDeque::new();
    let (mut sum, mut hot) = (0_i128, Vec::new());
    for hour in hours {
        window.push_back(hour);
        sum = sum.saturating_add(hour.value_usd8);
        while let Some(oldest) = window.front().filter(|oldest| oldest.start_us <= hour.start_us - DAY_US) {
            sum -= oldest.value_usd8;
            window.pop_front();
        }
        if sum >= threshold {
            hot.extend(window.front().map(|first| (first.start_us, hour.start_us)));
        }
    }
    hot
}

fn join(stretches: &[(i64, i64)], quiet_us: i64) -> Vec<(i64, i64)> {
    let mut joined: Vec<(i64, i64)> = Vec::new();
    for (from, to) in stretches {
        match joined.last_mut() {
            Some(last) if from - (last.1 + HOUR_US) <= quiet_us => last.1 = *to,
            _ => joined.push((*from, *to)),
        }
    }
    joined
}

fn episode(hours: &[Hour], (from, to): (i64, i64)) -> Option<Episode> {
    let within = |from: i64, to: i64| {
        let start = hours.partition_point(|hour| hour.start_us < from);
        let end = hours.partition_point(|hour| hour.start_us <= to);
        &hours[start..end]
    };
    let all = within(from, to);
    // Of equal hours the first is the peak.
    let peak = all.iter().rev().max_by_key(|hour| hour.value_usd8)?;
    let matters = |hour: &&Hour| hour.value_usd8.saturating_mul(100) >= peak.value_usd8;
    let (first, last) = (all.iter().find(matters)?, all.iter().rev().find(matters)?);
    let kept = within(first.start_us, last.start_us);
    Some(Episode {
        from_us: first.start_us,
        to_us: last.start_us + HOUR_US - 1,
        peak: *peak,
        value_usd8: kept.iter().map(|hour| hour.value_usd8).fold(0, i128::saturating_add),
        count: kept.iter().map(|hour| hour.count).sum(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A table: hour number, dollars.
    fn hours(table: &[(i64, i128)]) -> Vec<Hour> {
        table.iter().map(|(hour, value)| Hour { start_us: hour * HOUR_US, value_usd8: *value, count: 1 }).collect()
    }

    fn check(table: &[(i64, i128)], expected: &[(i64, i64, i64, i128)]) {
        let found: Vec<_> = find(&hours(table), &Rule::default())
            .iter()
            .map(|e| (e.from_us / HOUR_US, e.to_us / HOUR_US, e.peak.start_us / HOUR_US, e.value_usd8))
            .collect();
        assert_eq!(found, expected);
    }

    /// A hundred quiet days of ten dollars each.
    fn quiet() -> Vec<(i64, i128)> {
        (0..100).map(|day| (day * 24, 10)).collect()
    }

    fn with(extra: &[(i64, i128)]) -> Vec<(i64, i128)> {
        let mut table = quiet();
        table.extend_from_slice(extra);
        table.sort_unstable();
        table
    }

    #[test]
    fn quiet_days_are_no_episode() {
        check(&[], &[]);
        check(&quiet(), &[]);
        check(&with(&[(241, 180)]), &[]);
    }

    #[test]
    fn a_burst_is_found_with_its_trimmed_bounds_and_peak() {
        // Day 10 brings 10 + 300 + 1,200 + 1 >= 20 * 10; the 10 and the 1 are below a hundredth of the peak.
        check(&with(&[(242, 300), (243, 1_200), (244, 1)]), &[(242, 243, 243, 1_500)]);
    }

    #[test]
    fn bursts_two_days_apart_are_one_and_four_days_apart_are_two() {
        check(&with(&[(241, 500), (280, 500)]), &[(240, 288, 241, 1_030)]);
        check(&with(&[(241, 500), (341, 500)]), &[(240, 264, 241, 520), (336, 360, 341, 520)]);
    }

    proptest! {
        #[test]
        fn episodes_are_disjoint_ordered_and_hold_what_they_say(table in prop::collection::btree_map(0_i64..2_000, 0_i128..100_000, 0..300)) {
            let hours = hours(&table.into_iter().collect::<Vec<_>>());
            let found = find(&hours, &Rule::default());
            for pair in found.windows(2) {
                prop_assert!(pair[0].to_us < pair[1].from_us);
            }
            for episode in found {
                let inside: Vec<_> = hours.iter().filter(|hour| (episode.from_us..=episode.to_us).contains(&hour.start_us)).collect();
                prop_assert_eq!(inside.iter().map(|hour| hour.value_usd8).sum::<i128>(), episode.value_usd8);
                prop_assert_eq!(inside.len() as u64, episode.count);
                prop_assert!(inside.iter().all(|hour| hour.value_usd8 <= episode.peak.value_usd8));
            }
        }
    }
}
