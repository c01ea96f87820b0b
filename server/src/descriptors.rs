//! How many files the process may have open: every connection is one.

/// Kept for everything that is no connection: the database, its readers, attachments, the log, what a
/// runtime needs for itself.
const RESERVED: u64 = 200;

/// As many connections as are wanted, or as the system has room for once it was asked for more.
pub(crate) fn connections(wanted: usize) -> usize {
    let needed = u64::try_from(wanted).unwrap_or(u64::MAX).saturating_add(RESERVED);
    // Where there is no such limit, there is nothing to raise.
    let allowed = rlimit::increase_nofile_limit(needed).unwrap_or(needed);
    let possible = usize::try_from(allowed.saturating_sub(RESERVED))
        .unwrap_or(usize::MAX)
        .max(1);
    if possible < wanted {
        tracing::warn!(
            wanted,
            possible,
            "fewer connections than the limits allow: the system lets this process open {allowed} files"
        );
    }
    wanted.min(possible)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_connections_are_allowed_than_the_system_has_files_for() {
        assert_eq!(connections(10), 10);
        let all = connections(usize::MAX);
        let (soft, hard) = rlimit::Resource::NOFILE.get().unwrap();
        assert!(soft <= hard && all as u64 <= hard, "{all} {soft} {hard}");
    }
}
