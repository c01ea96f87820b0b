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

/// A span of time in its two largest units.
pub(crate) fn span(seconds: f64) -> String {
    const UNITS: [(&str, f64); 4] = [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0)];
    let mut rest = seconds.max(0.0).round();
    let mut parts = Vec::new();
    for (unit, length) in UNITS {
        let whole = (rest / length).floor();
        if whole >= 1.0 {
            parts.push(format!("{whole:.0} {unit}"));
            rest -= whole * length;
        }
    }
    parts.truncate(2);
    if parts.is_empty() {
        "0 s".to_owned()
    } else {
        parts.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        for (seconds, text) in [
            (0.0, "0 s"),
            (59.4, "59 s"),
            (61.0, "1 min 1 s"),
            (3_600.0, "1 h"),
            (90_061.0, "1 d 1 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
