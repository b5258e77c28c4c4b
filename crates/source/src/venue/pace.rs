//! How fast a venue is asked: never more in a stretch of time than it allows, and not at all for as long as it asks to be left alone.

use std::collections::VecDeque;
use std::time::Duration;

use protocol::venue::Venue;
use tokio::time::Instant;

/// What a venue lets one address ask for, and what was asked.
#[derive(Debug)]
pub(super) struct Pace {
    window: Duration,
    /// The weight that may be spent within a window.
    allowance: u32,
    spent: VecDeque<(Instant, u32)>,
    closed_until: Option<Instant>,
}

/// At most half of what the venue allows, as others may ask from the same address, or nearly all of the lowest of several limits.
///
/// Binance: a weight of 2,400 a minute (`exchangeInfo`, `rateLimits`). Bybit: 600 requests in 5 seconds. OKX: 20 requests in 2 seconds
/// of most, 5 of trading statistics, which weigh four here. Hyperliquid: a weight of 1,200 a minute (*Rate limits*).
fn limits(venue: Venue) -> (Duration, u32) {
    match venue {
        Venue::BinanceUsdm | Venue::BinanceCoinm => (Duration::from_secs(60), 1_200),
        Venue::Bybit => (Duration::from_secs(5), 100),
        Venue::Okx => (Duration::from_secs(2), 16),
        Venue::Hyperliquid => (Duration::from_secs(60), 600),
        Venue::DydxV4 | Venue::GmxV2 => (Duration::from_secs(1), 1),
    }
}

impl Pace {
    pub(super) fn of(venue: Venue) -> Self {
        let (window, allowance) = limits(venue);
        Self { window, allowance, spent: VecDeque::new(), closed_until: None }
    }

    /// Spends a weight if there is room now; else says how long to wait before asking again.
    pub(super) fn spend(&mut self, weight: u32, now: Instant) -> Result<(), Duration> {
        if let Some(rest) =
            self.closed_until.and_then(|until| until.checked_duration_since(now)).filter(|d| !d.is_zero())
        {
            return Err(rest);
        }
        while self.spent.front().is_some_and(|(then, _)| now.duration_since(*then) >= self.window) {
            self.spent.pop_front();
        }
        // What weighs more than is ever allowed goes alone.
        let weight = weight.min(self.allowance);
        let spent: u32 = self.spent.iter().map(|(_, weight)| *weight).sum();
        match self.spent.front() {
            Some((first, _)) if spent + weight > self.allowance => Err(self.window - now.duration_since(*first)),
            _ => {
                self.spent.push_back((now, weight));
                Ok(())
            }
        }
    }

    /// Whether the venue asked to be left alone, and for how much longer.
    pub(super) fn closed_for(&self, now: Instant) -> Option<Duration> {
        self.closed_until.and_then(|until| until.checked_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Leaves the venue alone for a while.
    pub(super) fn close(&mut self, wait: Duration, now: Instant) {
        // Nobody means a century.
        let until = now + wait.min(Duration::from_secs(7 * 86_400));
        self.closed_until = Some(self.closed_until.map_or(until, |closed| closed.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_window_holds_more_than_is_allowed_and_waiting_as_told_gets_through(weights in prop::collection::vec(1_u32..700, 1..200)) {
            let mut pace = Pace::of(Venue::Hyperliquid);
            let start = Instant::now();
            let (mut now, mut log) = (start, Vec::new());
            for weight in weights {
                let mut waits = 0;
                while let Err(wait) = pace.spend(weight, now) {
                    prop_assert!(!wait.is_zero() && wait <= pace.window);
                    now += wait;
                    waits += 1;
                    prop_assert!(waits <= 400);
                }
                log.push((now, weight.min(600)));
                now += Duration::from_millis(u64::from(weight));
            }
            for (place, (then, _)) in log.iter().enumerate() {
                let within = log[place..].iter().take_while(|(at, _)| at.duration_since(*then) < pace.window);
                prop_assert!(within.map(|(_, weight)| weight).sum::<u32>() <= 600);
            }
        }
    }

    #[test]
    fn a_venue_that_asks_to_be_left_alone_is() {
        let mut pace = Pace::of(Venue::BinanceUsdm);
        let now = Instant::now();
        pace.close(Duration::from_secs(30), now);
        pace.close(Duration::from_secs(10), now);
        assert_eq!(pace.spend(1, now), Err(Duration::from_secs(30)), "the longest wait counts");
        assert_eq!(pace.spend(1, now + Duration::from_secs(30)), Ok(()));
        pace.close(Duration::MAX, now);
        assert!(pace.closed_for(now).is_some(), "an absurd wait does not overflow");
    }
}
