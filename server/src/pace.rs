//! How long a peer is waited for that has bytes to send or to take: no longer than its patience at a time, and
//! altogether no longer than that and what it has earned by the bytes that have moved. So who moves a byte now and
//! then gains nothing by it, and who is held up here loses nothing: only the waits for the peer count.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// The pace of one peer at one thing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    patience: Duration,
    /// What earns a second; 0 where every wait begins anew.
    bytes_per_second: u64,
    moved: u64,
    waited: Duration,
}

/// The peer was waited for as long as it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer is too slow")]
pub(crate) struct TooSlow;

impl Pace {
    pub(crate) const fn new(patience: Duration, bytes_per_second: u64) -> Self {
        Self {
            patience,
            bytes_per_second,
            moved: 0,
            waited: Duration::ZERO,
        }
    }

    /// Waits for what the peer has to do next. What is there already is had, however late it is.
    pub(crate) async fn wait<T>(&mut self, step: impl Future<Output = T>) -> Result<T, TooSlow> {
        let begun = Instant::now();
        let outcome = timeout(self.left(), step).await;
        self.waited = self.waited.saturating_add(begun.elapsed());
        outcome.map_err(|_| TooSlow)
    }

    /// So many bytes more have moved.
    pub(crate) fn moved(&mut self, bytes: usize) {
        self.moved = self.moved.saturating_add(bytes as u64);
    }

    fn left(&self) -> Duration {
        let earned = self
            .moved
            .saturating_mul(1_000)
            .checked_div(self.bytes_per_second);
        earned.map_or(self.patience, |earned| {
            self.patience
                .saturating_add(Duration::from_millis(earned))
                .saturating_sub(self.waited)
                .min(self.patience)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// Moves so many bytes after each pause; how long it was waited for until that was too long, if it was.
    async fn cut_after(mut pace: Pace, pause: Duration, bytes: usize) -> Option<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE * 100 {
            match pace.wait(sleep(pause)).await {
                Ok(()) => pace.moved(bytes),
                Err(TooSlow) => return Some(begun.elapsed()),
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_pace_is_waited_for_and_who_trickles_is_not() {
        let pace = Pace::new(PATIENCE, 1_000);
        let second = Duration::from_secs(1);
        assert_eq!(cut_after(pace, second, 1_000).await, None);
        let trickling = cut_after(pace, second, 1).await.unwrap();
        assert!(trickling < PATIENCE + second, "{trickling:?}");
        // What was earned is not for one long pause.
        assert_eq!(cut_after(pace, PATIENCE * 2, 1_000_000).await, Some(PATIENCE));
        assert_eq!(cut_after(Pace::new(PATIENCE, 0), second, 1).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_holds_a_peer_up_here_is_not_held_against_it() {
        let mut pace = Pace::new(PATIENCE, 1_000);
        for _ in 0..10 {
            sleep(PATIENCE).await;
            assert_eq!(pace.wait(async {}).await, Ok(()));
        }
        assert_eq!(pace.left(), PATIENCE);
        // Nor is what came while nobody looked late.
        assert_eq!(pace.wait(sleep(PATIENCE * 2)).await, Err(TooSlow));
        assert_eq!(pace.wait(async {}).await, Ok(()));
    }
}
