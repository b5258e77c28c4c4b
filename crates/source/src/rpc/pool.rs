//! Who is asked next: endpoints share the work by weight, and each is asked as much at once as it bears.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// The longest rest of an endpoint, whatever it asks for.
const LONGEST_REST: Duration = Duration::from_secs(120);

/// Windows are counted in hundredths of a question, so that they can grow slowly.
const ONE: u32 = 100;

/// A round of work of an endpoint of weight one.
const STRIDE: u64 = 1 << 20;

/// The endpoints as far as their load goes.
#[derive(Debug)]
pub(super) struct Pool {
    lanes: Mutex<Vec<Lane>>,
    freed: Notify,
    backoff: Duration,
    dice: AtomicU64,
}

#[derive(Debug)]
struct Lane {
    weight: u64,
    /// How many questions may be open, in hundredths: more with every answer, half with every refusal.
    window: u32,
    most: u32,
    open: u32,
    /// Rounds of work given to it so far, in strides: who has the fewest is next.
    given: u64,
    rest_until: Option<Instant>,
    /// Failures without an answer between them.
    failures: u32,
    failed_at: Option<Instant>,
    /// Recent and usual time of an answer, in microseconds.
    recent: u64,
    usual: u64,
}

/// The right to ask an endpoint one thing; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Permit<'p> {
    pool: &'p Pool,
    pub(super) lane: usize,
    since: Instant,
}

impl Pool {
    pub(super) fn new(weights: impl Iterator<Item = u32>, most: u32, backoff: Duration) -> Self {
        let most = most.max(1).saturating_mul(ONE);
        let lanes = weights.map(|weight| Lane {
            weight: u64::from(weight.max(1)),
            window: most.min(4 * ONE),
            most,
            open: 0,
            given: 0,
            rest_until: None,
            failures: 0,
            failed_at: None,
            recent: 0,
            usual: 0,
        });
        Self { lanes: Mutex::new(lanes.collect()), freed: Notify::new(), backoff, dice: AtomicU64::new(seed()) }
    }

    /// Waits for an endpoint that is not barred, is not resting and has room. None where all are barred.
    pub(super) async fn take(&self, barred: &[bool]) -> Option<Permit<'_>> {
        loop {
            // Registered before looking, so that nothing that is freed in between is missed.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.look(barred) {
                Look::Go(permit) => return Some(permit),
                Look::Nobody => return None,
                Look::Wait(None) => freed.await,
                Look::Wait(Some(until)) => {
                    // It does not matter which of the two it was: everything is looked at again.
                    let _ = tokio::time::timeout_at(until.into(), freed).await;
                }
            }
        }
    }

    fn look(&self, barred: &[bool]) -> Look<'_> {
        let now = Instant::now();
        let mut lanes = self.lock();
        let may = |place: usize| !barred.get(place).copied().unwrap_or(false);
        if !(0..lanes.len()).any(may) {
            return Look::Nobody;
        }
        let is_ready =
            |lane: &Lane| lane.rest_until.is_none_or(|until| until <= now) && lane.open * ONE < lane.window.max(ONE);
        let ready = (0..lanes.len()).filter(|place| may(*place) && is_ready(&lanes[*place]));
        let Some(place) = ready.min_by_key(|place| lanes[*place].given) else {
            let rests = (0..lanes.len()).filter(|place| may(*place)).filter_map(|place| lanes[place].rest_until);
            return Look::Wait(rests.filter(|until| *until > now).min());
        };
        // Who comes back from a rest does not get all the work it missed.
        let floor = lanes[place].given;
        for lane in lanes.iter_mut().filter(|lane| lane.given + 16 * STRIDE < floor) {
            lane.given = floor - 16 * STRIDE;
        }
        let lane = &mut lanes[place];
        lane.given += STRIDE / lane.weight;
        lane.open += 1;
        Look::Go(Permit { pool: self, lane: place, since: now })
    }

    /// Whether an endpoint is not to be asked for a while.
    pub(super) fn rests(&self, place: usize) -> bool {
        self.lock()[place].rest_until.is_some_and(|until| until > Instant::now())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A random part of a time.
    fn part_of(&self, time: Duration) -> Duration {
        // SplitMix64: the dice only keep many clients from asking in step.
        let mut z = self.dice.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros((z ^ (z >> 31)) % micros.saturating_add(1).max(1))
    }
}

enum Look<'p> {
    Go(Permit<'p>),
    Wait(Option<Instant>),
    Nobody,
}

impl Permit<'_> {
    /// An answer came, whatever it was.
    pub(super) fn answered(self) {
        let took = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mut lanes = self.pool.lock();
        let lane = &mut lanes[self.lane];
        lane.failures = 0;
        lane.recent = if lane.recent == 0 { took } else { lane.recent - lane.recent / 4 + took / 4 };
        lane.usual = if lane.usual == 0 { took } else { lane.usual - lane.usual / 32 + took / 32 };
        // Answers that take longer and longer wait for one another over there: more at once would not bring more.
        if lane.recent > 3 * lane.usual {
            lane.window = (lane.window - lane.window / 16).max(ONE);
        } else if lane.recent <= 2 * lane.usual {
            lane.window = (lane.window + ONE * ONE / lane.window.max(ONE)).min(lane.most);
        }
    }

    /// It turned the question away because there are too many, or broke down: it rests, as long as it says or a random part of
    /// a time that doubles.
    pub(super) fn failed(self, after: Option<Duration>) {
        let now = Instant::now();
        let mut lanes = self.pool.lock();
        let lane = &mut lanes[self.lane];
        // Many questions that fail together are one failure.
        if lane.failed_at.is_none_or(|at| at <= self.since) {
            lane.window = (lane.window / 2).max(ONE);
            lane.failures = lane.failures.saturating_add(1);
            lane.failed_at = Some(now);
        }
        let doubled = self.pool.backoff.saturating_mul(1 << lane.failures.saturating_sub(1).min(16));
        let rest = match after {
            Some(after) => after.saturating_add(self.pool.part_of(self.pool.backoff)),
            None => self.pool.part_of(doubled.min(LONGEST_REST / 2)),
        };
        let until = now + rest.min(LONGEST_REST);
        lane.rest_until = lane.rest_until.max(Some(until));
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut lanes = self.pool.lock();
        lanes[self.lane].open = lanes[self.lane].open.saturating_sub(1);
        drop(lanes);
        self.pool.freed.notify_waiters();
    }
}

/// Different in every process.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_micros(10);

    #[tokio::test]
    async fn work_is_shared_by_weight() {
        let pool = Pool::new([1, 3].into_iter(), 100, MOMENT);
        let mut counts = [0; 2];
        for _ in 0..400 {
            let permit = pool.take(&[false, false]).await.unwrap();
            counts[permit.lane] += 1;
        }
        assert!((95..=105).contains(&counts[0]), "{counts:?}");
    }

    #[tokio::test]
    async fn the_barred_are_passed_over_and_all_barred_is_nobody() {
        let pool = Pool::new([1, 100].into_iter(), 4, MOMENT);
        assert_eq!(pool.take(&[false, true]).await.unwrap().lane, 0);
        assert!(pool.take(&[true, true]).await.is_none());
    }

    #[tokio::test]
    async fn a_refusal_halves_and_answers_win_it_back() {
        let pool = Pool::new([1].into_iter(), 64, MOMENT);
        let window = |pool: &Pool| pool.lock()[0].window;
        assert_eq!(window(&pool), 4 * ONE);
        // Two that were open together and failed together count once.
        let (one, two) = (pool.take(&[]).await.unwrap(), pool.take(&[]).await.unwrap());
        one.failed(None);
        two.failed(None);
        assert_eq!(window(&pool), 2 * ONE);
        for _ in 0..20 {
            pool.take(&[]).await.unwrap().failed(None);
        }
        assert_eq!(window(&pool), ONE, "never less than one");
        pool.lock()[0].rest_until = None;
        // The times are set, so that the machine's load has no say.
        for _ in 0..10_000 {
            let permit = pool.take(&[]).await.unwrap();
            (pool.lock()[0].recent, pool.lock()[0].usual) = (1_000_000, 1_000_000);
            permit.answered();
        }
        assert_eq!(window(&pool), 64 * ONE);
        for _ in 0..100 {
            let permit = pool.take(&[]).await.unwrap();
            (pool.lock()[0].recent, pool.lock()[0].usual) = (1 << 40, 1 << 20);
            permit.answered();
        }
        assert!(window(&pool) < 4 * ONE, "slower and slower answers narrow it");
    }

    #[tokio::test]
    async fn a_full_endpoint_is_waited_for() {
        let pool = Pool::new([1].into_iter(), 1, MOMENT);
        let permit = pool.take(&[]).await.unwrap();
        let (second, ()) = tokio::join!(pool.take(&[]), async {
            tokio::task::yield_now().await;
            drop(permit);
        });
        assert_eq!(second.unwrap().lane, 0);
    }

    #[tokio::test]
    async fn a_rest_is_as_long_as_asked_for_and_no_longer_than_the_longest() {
        let pool = Pool::new([1, 1].into_iter(), 4, MOMENT);
        pool.take(&[false, true]).await.unwrap().failed(Some(Duration::from_secs(60)));
        assert!(pool.rests(0) && !pool.rests(1));
        let remaining = |pool: &Pool| pool.lock()[0].rest_until.unwrap() - Instant::now();
        assert!(remaining(&pool) > Duration::from_secs(50));
        for _ in 0..10 {
            assert_eq!(pool.take(&[false, false]).await.unwrap().lane, 1, "the other one is asked meanwhile");
        }
        pool.lock()[0].rest_until = None;
        pool.take(&[false, true]).await.unwrap().failed(Some(Duration::from_secs(1_000_000)));
        assert!(remaining(&pool) <= LONGEST_REST);
    }
}
