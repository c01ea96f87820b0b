//! How the jobs went that every node runs for itself. The table of jobs has those that one node runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::store::JobRow;

/// What this node knows of its own runs.
#[derive(Debug, Default)]
pub(crate) struct RunsHere(Mutex<BTreeMap<&'static str, JobRow>>);

impl RunsHere {
    /// Notes a run that has ended.
    pub(super) fn ended(&self, job: &'static str, run: Ended<'_>) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (runs, failures) = rows.get(job).map_or((0, 0), |row| (row.runs, row.failures));
        let row = JobRow {
            name: job.to_owned(),
            node: run.node.to_owned(),
            started_at_ms: run.started_at_ms,
            ended_at_ms: Some(run.ended_at_ms),
            outcome: Some(run.outcome.to_owned()),
            items: run.items,
            runs: runs.saturating_add(1),
            failures: failures.saturating_add(u64::from(run.failed)),
        };
        rows.insert(job, row);
    }

    /// As the table of jobs has its rows.
    pub(crate) fn rows(&self) -> Vec<JobRow> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rows.values().cloned().collect()
    }
}

/// A run, and how it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) node: &'a str,
    pub(super) started_at_ms: u64,
    pub(super) ended_at_ms: u64,
    pub(super) outcome: &'static str,
    pub(super) items: u64,
    pub(super) failed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_failures_add_up_and_the_last_run_is_shown() {
        let here = RunsHere::default();
        for (outcome, items, failed) in [("done", 3, false), ("failed", 0, true), ("done", 5, false)] {
            here.ended(
                "release",
                Ended {
                    node: "one",
                    started_at_ms: 10,
                    ended_at_ms: 11,
                    outcome,
                    items,
                    failed,
                },
            );
        }
        let rows = here.rows();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].runs, rows[0].failures, rows[0].items), (3, 1, 5));
        assert_eq!(rows[0].outcome.as_deref(), Some("done"));
    }
}
