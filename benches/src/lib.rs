//! How benchmarks are run here: ours beside a limit, or beside a peer.
//!
//! Machines are noisy, so nothing is measured alone. Each round runs our code once and then the other
//! once (the least work that could possibly do, or somebody else's code that does the same), both see the
//! same noise, and medians are compared. The ratio is what to look at.

#![allow(clippy::print_stdout, reason = "a benchmark's result is what it prints")]

use std::time::{Duration, Instant};

/// Compares one thing of ours with its limit, and prints a row.
///
/// `ours` and `limit` each run once per round and return how long the part that counts took; see
/// [`timed`]. Returns the ratio of the medians, ours to the limit.
pub fn compare(
    name: &str,
    rounds: usize,
    ours: impl FnMut() -> Duration,
    limit: impl FnMut() -> Duration,
) -> f64 {
    let (ours_ns, limit_ns) = medians(rounds, ours, limit);
    let ratio = ratio(ours_ns, limit_ns);
    println!("ROW name={name} ours_ns={ours_ns} limit_ns={limit_ns} ratio={ratio:.2}");
    ratio
}

/// Runs both once a round, and returns the median of each in nanoseconds.
pub fn medians(
    rounds: usize,
    mut ours: impl FnMut() -> Duration,
    mut other: impl FnMut() -> Duration,
) -> (u128, u128) {
    // Caches, clocks and branch predictors settle before anything counts.
    for _ in 0..rounds / 10 {
        ours();
        other();
    }
    let (mut our_times, mut other_times) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for _ in 0..rounds {
        our_times.push(ours());
        other_times.push(other());
    }
    (median(our_times), median(other_times))
}

/// Ours to the other's: smaller is better.
#[must_use]
pub fn ratio(ours_ns: u128, other_ns: u128) -> f64 {
    ours_ns as f64 / other_ns.max(1) as f64
}

/// Runs `action` once and tells how long it took, with what it returned.
pub fn timed<T>(action: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = std::hint::black_box(action());
    (start.elapsed(), result)
}

/// How many rounds to run: `full` under `cargo bench`, a handful when a test run only wants to see that
/// the benchmark still works.
#[must_use]
pub fn rounds(full: usize) -> usize {
    if is_full() { full } else { 10 }
}

/// Whether this is a run under `cargo bench`, for figures, and not one that only wants to see that the
/// benchmark still works.
#[must_use]
pub fn is_full() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The median in nanoseconds, or 0 of nothing.
fn median(mut times: Vec<Duration>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).map_or(0, Duration::as_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let times = [5, 1, 900].map(Duration::from_nanos);
        assert_eq!(median(times.to_vec()), 5);
        assert_eq!(median(Vec::new()), 0);
    }

    #[test]
    fn the_ratio_is_ours_to_the_limit() {
        let ratio = compare(
            "test",
            3,
            || Duration::from_nanos(30),
            || Duration::from_nanos(10),
        );
        assert!((ratio - 3.0).abs() < f64::EPSILON);
    }
}
