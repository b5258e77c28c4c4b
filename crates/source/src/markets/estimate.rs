//! What a first sync costs, told before it begins: blocks, requests, time.

use std::time::Duration;

/// How many requests a second are polite towards endpoints that ask for no key, all of a chain's together.
pub const POLITE_PER_SECOND: u64 = 5;

/// What is known before a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first block to read.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// How many blocks one request for logs may span.
    pub log_range: u64,
    /// How many requests a second the endpoints bear; more than the machine can send makes no sense.
    pub per_second: u64,
}

/// What a sync costs if nothing has to be asked twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Blocks to read.
    pub blocks: u64,
    /// Requests for logs.
    pub requests: u64,
    /// How long that takes, rounded up to a second. Endpoints that refuse spans full of logs, and those that give no
    /// times of blocks, need more: twice this is no surprise.
    pub time: Duration,
}

/// What reading the logs of a span costs. A span, a range or a rate of nothing counts as one.
#[must_use]
pub fn estimate(span: Span) -> Estimate {
    let blocks = span.to.checked_sub(span.from).map_or(0, |between| between.saturating_add(1));
    let requests = blocks.div_ceil(span.log_range.max(1));
    Estimate { blocks, requests, time: Duration::from_secs(requests.div_ceil(span.per_second.max(1))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span() -> impl Strategy<Value = Span> {
        (any::<u64>(), any::<u64>(), 0..200_000_u64, 0..100_u64).prop_map(|(from, to, log_range, per_second)| Span {
            from,
            to,
            log_range,
            per_second,
        })
    }

    proptest! {
        #[test]
        fn the_requests_cover_the_blocks_and_one_fewer_would_not(span in span()) {
            let Estimate { blocks, requests, .. } = estimate(span);
            let range = u128::from(span.log_range.max(1));
            prop_assert!(u128::from(requests) * range >= u128::from(blocks));
            prop_assert!(requests == 0 || u128::from(requests - 1) * range < u128::from(blocks));
        }

        #[test]
        fn the_time_is_enough_at_the_rate_and_a_second_less_is_not(span in span()) {
            let Estimate { requests, time, .. } = estimate(span);
            let rate = u128::from(span.per_second.max(1));
            prop_assert!(u128::from(time.as_secs()) * rate >= u128::from(requests));
            prop_assert!(time.as_secs() == 0 || u128::from(time.as_secs() - 1) * rate < u128::from(requests));
        }

        #[test]
        fn two_halves_cost_no_less_than_the_whole(span in span(), mut ends in any::<[u64; 3]>()) {
            ends.sort_unstable();
            let [from, cut, to] = ends;
            prop_assume!(cut < to);
            let span = Span { from, to, ..span };
            let whole = estimate(span);
            let (first, second) = (estimate(Span { to: cut, ..span }), estimate(Span { from: cut + 1, ..span }));
            prop_assert_eq!(first.blocks.saturating_add(second.blocks), whole.blocks);
            prop_assert!(first.requests.saturating_add(second.requests) >= whole.requests);
        }
    }

    #[test]
    fn some_syncs() {
        let cost = |from, to, log_range, per_second| {
            let Estimate { blocks, requests, time } = estimate(Span { from, to, log_range, per_second });
            (blocks, requests, time.as_secs())
        };
        assert_eq!(cost(1, 10_000, 10_000, 5), (10_000, 1, 1));
        assert_eq!(cost(1, 10_001, 10_000, 5), (10_001, 2, 1));
        assert_eq!(cost(2_356_000, 54_000_000, 10_000, 5), (51_644_001, 5_165, 1_033));
        assert_eq!(cost(7, 7, 10_000, 5), (1, 1, 1));
        assert_eq!(cost(8, 7, 10_000, 5), (0, 0, 0));
    }
}
