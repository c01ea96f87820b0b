//! How long to wait before trying a server again.

use std::time::Duration;

use rand_core::Rng;

/// The first wait: a server that restarts is back soon.
const FIRST: Duration = Duration::from_millis(200);

/// The longest wait: a person notices a server that is back within half a minute.
const LONGEST: Duration = Duration::from_secs(30);

/// After so many doublings of [`FIRST`] the wait is the [`LONGEST`] one.
const MOST_DOUBLINGS: u32 = 8;

/// Waits that double, each spread over its upper half so that clients do not come back all at once.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// All is well again: the next wait is the first one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Coming back soon would do harm: from here on the waits are the longest.
    pub(crate) fn exhaust(&mut self) {
        self.failures = MOST_DOUBLINGS;
    }

    /// How long to wait after one more failure.
    pub(crate) fn next(&mut self, rng: &mut dyn Rng) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures).min(LONGEST);
        self.failures = (self.failures + 1).min(MOST_DOUBLINGS);
        let half = whole / 2;
        half + half.mul_f64(f64::from(rng.next_u32()) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use getrandom::SysRng;
    use rand_core::UnwrapErr;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew() {
        let (mut backoff, mut rng) = (Backoff::default(), UnwrapErr(SysRng));
        let waits: Vec<_> = (0..40).map(|_| backoff.next(&mut rng)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST);
        assert!(waits[39] >= LONGEST / 2 && waits.iter().all(|wait| *wait <= LONGEST));
        backoff.reset();
        assert!(backoff.next(&mut rng) <= FIRST);
    }

    #[test]
    fn an_exhausted_patience_waits_longest_until_all_is_well() {
        let (mut backoff, mut rng) = (Backoff::default(), UnwrapErr(SysRng));
        backoff.exhaust();
        for _ in 0..3 {
            assert!(backoff.next(&mut rng) >= LONGEST / 2);
        }
        backoff.reset();
        assert!(backoff.next(&mut rng) <= FIRST);
    }
}
