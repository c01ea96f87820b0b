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
