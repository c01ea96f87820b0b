//! Which node runs a job, and how its runs went.

use std::convert::Infallible;

use super::super::db::sql;
use super::super::rows::{from_db, to_db};
use super::super::writer::{Tx, Write, WriteError};
use super::super::{ReadError, Store};

/// Takes a job to run it, unless another node has it or it ran not long ago. Tells whether it is taken. What
/// a node with a wrong clock has written into the future stops nobody.
#[derive(Clone, Debug)]
pub(crate) struct ClaimJob {
    pub(crate) name: &'static str,
    pub(crate) node: String,
    pub(crate) now_ms: u64,
    /// A run that started after this was not long ago, unless it left something for the next.
    pub(crate) due_before_ms: u64,
    /// What is said to have started later than this was written under a clock that was wrong.
    pub(crate) latest_start_ms: u64,
    /// From then on another node takes it: this one is gone.
    pub(crate) lease_until_ms: u64,
}

/// How a run ended that left something for the next, which is then due at once.
pub(crate) const MORE: &str = "more";

/// Says how a run went, and gives the job back.
#[derive(Clone, Debug)]
pub(crate) struct EndJob {
    pub(crate) name: &'static str,
    pub(crate) node: String,
    pub(crate) now_ms: u64,
    pub(crate) outcome: &'static str,
    pub(crate) items: u64,
    pub(crate) failed: bool,
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JobRow {
    pub(crate) name: String,
    pub(crate) node: String,
    pub(crate) started_at_ms: u64,
    pub(crate) ended_at_ms: Option<u64>,
    pub(crate) outcome: Option<String>,
    pub(crate) items: u64,
    pub(crate) runs: u64,
    pub(crate) failures: u64,
}

impl Write for ClaimJob {
    type Output = bool;
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<bool, WriteError<Infallible>> {
        sql(
            "INSERT INTO jobs (name, node, lease_until_ms, started_at_ms, items, runs, failures) \
             VALUES ($1, '', 0, 0, 0, 0, 0) ON CONFLICT (name) DO NOTHING",
        )
        .bind(self.name)
        .execute(&mut tx.conn)
        .await?;
        // One statement: of two nodes that see the same row, the second finds it changed.
        let taken = sql(
            "UPDATE jobs SET node = $1, lease_until_ms = $2, started_at_ms = $3, ended_at_ms = NULL \
             WHERE name = $4 AND (lease_until_ms <= $3 OR started_at_ms > $6) \
             AND (started_at_ms <= $5 OR started_at_ms > $6 OR outcome = $7)",
        )
        .bind(self.node.as_str())
        .bind(to_db(self.lease_until_ms))
        .bind(to_db(self.now_ms))
        .bind(self.name)
        .bind(to_db(self.due_before_ms))
        .bind(to_db(self.latest_start_ms))
        .bind(MORE)
        .execute(&mut tx.conn)
        .await?;
        Ok(taken == 1)
    }
}

impl Write for EndJob {
    type Output = ();
    type Refusal = Infallible;

    async fn apply(&self, tx: &mut Tx<'_>) -> Result<(), WriteError<Infallible>> {
        // Where the lease ran out and another node took over, that one has the say.
        sql(
            "UPDATE jobs SET lease_until_ms = 0, ended_at_ms = $1, outcome = $2, items = $3, \
             runs = runs + 1, failures = failures + $4 WHERE name = $5 AND node = $6",
        )
        .bind(to_db(self.now_ms))
        .bind(self.outcome)
        .bind(to_db(self.items))
        .bind(i64::from(self.failed))
        .bind(self.name)
        .bind(self.node.as_str())
        .execute(&mut tx.conn)
        .await?;
        Ok(())
    }
}

type Columns = (String, String, i64, Option<i64>, Option<String>, i64, i64, i64);

impl Store {
    /// What is known of every job that ever ran.
    pub(crate) async fn jobs(&self) -> Result<Vec<JobRow>, ReadError> {
        let mut reader = self.read().await?;
        let rows: Vec<Columns> =
            sql("SELECT name, node, started_at_ms, ended_at_ms, outcome, items, runs, failures FROM jobs")
                .fetch_all(&mut reader.conn())
                .await?;
        let row = |(name, node, started, ended, outcome, items, runs, failures): Columns| JobRow {
            name,
            node,
            started_at_ms: from_db(started),
            ended_at_ms: ended.map(from_db),
            outcome,
            items: from_db(items),
            runs: from_db(runs),
            failures: from_db(failures),
        };
        Ok(rows.into_iter().map(row).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Database;
    use crate::hints::Outbox;
    use crate::hub::Hub;
    use crate::limits::Limits;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_000 * HOUR;

    async fn store(folder: &tempfile::TempDir) -> Store {
        let hub = Hub::new(1, Outbox::nowhere());
        let store = Store::open(folder.path(), &Database::Sqlite, &Limits::default(), hub).await;
        store.unwrap()
    }

    /// Of a job that is due every hour, leased for ten minutes, on nodes whose clocks are a minute apart.
    async fn claim(store: &Store, node: &str, now_ms: u64) -> bool {
        let claim = ClaimJob {
            name: "sweep",
            node: node.to_owned(),
            now_ms,
            due_before_ms: now_ms - HOUR,
            latest_start_ms: now_ms + HOUR / 60,
            lease_until_ms: now_ms + HOUR / 6,
        };
        store.write(claim).await.unwrap()
    }

    async fn end(store: &Store, node: &str, now_ms: u64, outcome: &'static str) {
        let end = EndJob {
            name: "sweep",
            node: node.to_owned(),
            now_ms,
            outcome,
            items: 1,
            failed: false,
        };
        store.write(end).await.unwrap();
    }

    #[tokio::test]
    async fn a_job_is_another_nodes_when_the_lease_has_run_out_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        assert!(claim(&store, "one", NOW).await);
        // An hour later it would be due; the lease was ten minutes.
        assert!(!claim(&store, "two", NOW + HOUR / 6 - 1).await);
        assert!(!claim(&store, "two", NOW + HOUR / 2).await, "it is not due");
        assert!(claim(&store, "two", NOW + HOUR).await);
        end(&store, "one", NOW + HOUR, "done").await;
        assert!(
            !claim(&store, "three", NOW + HOUR + 1).await,
            "who lost it ends nothing"
        );
        store.close().await;
    }

    #[tokio::test]
    async fn a_run_that_left_something_is_followed_by_the_next_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        assert!(claim(&store, "one", NOW).await);
        end(&store, "one", NOW + 1, MORE).await;
        assert!(claim(&store, "two", NOW + 2).await);
        assert!(!claim(&store, "one", NOW + 3).await, "it is leased again");
        end(&store, "two", NOW + 4, "done").await;
        assert!(!claim(&store, "one", NOW + 5).await, "all was done");
        store.close().await;
    }

    #[tokio::test]
    async fn a_clock_that_was_wrong_stops_no_job() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let ahead = NOW + 24 * 365 * HOUR;
        assert!(claim(&store, "ahead", ahead).await);
        assert!(claim(&store, "right", NOW).await, "its lease is not believed");
        end(&store, "right", NOW + 1, "done").await;
        assert!(!claim(&store, "right", NOW + 2).await);
        assert!(claim(&store, "ahead", ahead).await);
        end(&store, "ahead", ahead, "done").await;
        assert!(
            claim(&store, "right", NOW + HOUR / 2).await,
            "nor when it is said to have run"
        );
        store.close().await;
    }
}
