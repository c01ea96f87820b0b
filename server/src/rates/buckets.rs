//! Buckets by key, no more of them than there is room for.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use crate::rates::Rate;

/// Pause between two looks through all buckets for those that are full again and can go.
const SWEEP_PAUSE: Duration = Duration::from_secs(10);

/// One bucket for each key, all of one rate.
#[derive(Debug)]
pub(crate) struct Buckets<K: Clone + Eq + Hash> {
    limiter: RateLimiter<K, Bounded<K>, RunningTime, NoOpMiddleware<Nanos>>,
    burst: NonZeroU32,
    /// When buckets were last looked through, in seconds of [`RunningTime`].
    swept: AtomicU64,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    pub(crate) fn new(rate: Rate, max_keys: usize) -> Self {
        let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
        let per_minute = NonZeroU32::new(rate.per_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::new(
                Quota::per_minute(per_minute).allow_burst(burst),
                Bounded::new(max_keys),
                RunningTime(Instant::now()),
            ),
            burst,
            swept: AtomicU64::new(0),
        }
    }

    /// Draws `cost`, or says how long to wait for it. What costs more than a bucket holds costs all of it.
    pub(crate) fn draw(&self, key: &K, cost: NonZeroU32) -> Result<(), Duration> {
        self.sweep();
        match self.limiter.check_key_n(key, cost.min(self.burst)) {
            Ok(Err(refused)) => Err(refused.wait_time_from(self.limiter.clock().now())),
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    fn sweep(&self) {
        let now = Duration::from(self.limiter.clock().now()).as_secs();
        let swept = self.swept.load(Ordering::Relaxed);
        let due = now >= swept.saturating_add(SWEEP_PAUSE.as_secs());
        // Of many that find it due, one does it.
        if due
            && self
                .swept
                .compare_exchange(swept, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        {
            self.limiter.retain_recent();
        }
    }
}

/// The time since the buckets were made, as tokio tells it.
#[derive(Clone, Debug)]
struct RunningTime(Instant);

impl Clock for RunningTime {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.elapsed().into()
    }
}

/// When each bucket will be full again. Keys that find no room share one bucket.
#[derive(Debug)]
struct Bounded<K> {
    held: Mutex<Held<K>>,
    max_keys: usize,
}

#[derive(Debug)]
struct Held<K> {
    own: HashMap<K, Nanos>,
    shared: Option<Nanos>,
}

impl<K> Bounded<K> {
    fn new(max_keys: usize) -> Self {
        Self {
            held: Mutex::new(Held {
                own: HashMap::new(),
                shared: None,
            }),
            max_keys,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held<K>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> StateStore for Bounded<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut held = self.lock();
        if let Some(own) = held.own.get_mut(key) {
            let (outcome, full_at) = measure(Some(*own))?;
            *own = full_at;
            return Ok(outcome);
        }
        if held.own.len() < self.max_keys {
            let (outcome, full_at) = measure(None)?;
            held.own.insert(key.clone(), full_at);
            return Ok(outcome);
        }
        let (outcome, full_at) = measure(held.shared)?;
        held.shared = Some(full_at);
        Ok(outcome)
    }
}

impl<K: Clone + Eq + Hash> ShrinkableKeyedStateStore<K> for Bounded<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut held = self.lock();
        held.own.retain(|_, full_at| *full_at > drop_below);
        if held.own.len() < held.own.capacity() / 4 {
            held.own.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.lock().own.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().own.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    #[tokio::test(start_paused = true)]
    async fn a_bucket_gives_its_burst_and_then_its_rate() {
        let buckets = Buckets::new(Rate::new(3, 60), 10);
        for _ in 0..3 {
            assert_eq!(buckets.draw(&"a", ONE), Ok(()));
        }
        assert_eq!(buckets.draw(&"a", ONE), Err(Duration::from_secs(1)));
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(buckets.draw(&"a", ONE), Err(Duration::from_millis(600)));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(buckets.draw(&"a", ONE), Ok(()));
        assert_eq!(buckets.draw(&"a", ONE), Err(Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_bucket_holds_costs_all_of_it() {
        let buckets = Buckets::new(Rate::new(3, 60), 10);
        let much = NonZeroU32::new(100).unwrap();
        assert_eq!(buckets.draw(&"a", much), Ok(()));
        assert_eq!(buckets.draw(&"a", ONE), Err(Duration::from_secs(1)));
        assert_eq!(buckets.draw(&"a", much), Err(Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn those_without_room_share_and_the_others_keep_theirs() {
        let buckets = Buckets::new(Rate::new(2, 60), 3);
        for known in 0..3 {
            assert_eq!(buckets.draw(&known, ONE), Ok(()));
        }
        assert_eq!(buckets.draw(&100, ONE), Ok(()));
        assert_eq!(buckets.draw(&101, ONE), Ok(()));
        assert!(
            buckets.draw(&102, ONE).is_err(),
            "two others have drawn all of it"
        );
        assert_eq!(buckets.draw(&0, ONE), Ok(()), "one that has its own");
        assert_eq!(buckets.limiter.len(), 3);
        // Once those who have their own have been quiet, there is room again.
        tokio::time::advance(SWEEP_PAUSE).await;
        assert_eq!(buckets.draw(&102, ONE), Ok(()));
        assert_eq!(buckets.limiter.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sweep_forgets_no_bucket_that_is_not_full() {
        let buckets = Buckets::new(Rate::new(2, 1), 10);
        for _ in 0..2 {
            assert_eq!(buckets.draw(&"slow", ONE), Ok(()));
        }
        tokio::time::advance(SWEEP_PAUSE).await;
        assert_eq!(buckets.draw(&"slow", ONE), Err(Duration::from_secs(50)));
    }
}
