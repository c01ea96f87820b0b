//! The time, as the protocol writes it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Now, Unix time in milliseconds; 0 on a machine whose clock says it is before 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The day of a time, counted from 1970-01-01 UTC.
pub(crate) fn day(at_ms: u64) -> u64 {
    at_ms / DAY_MS
}

/// When a day begins, Unix time in milliseconds.
pub(crate) fn day_begins_ms(day: u64) -> u64 {
    day.saturating_mul(DAY_MS)
}

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
