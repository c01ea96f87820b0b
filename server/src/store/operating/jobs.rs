//! Which node runs a job, and how its runs went.

use std::convert::Infallible;

use super::super::db::sql;
use super::super::rows::{from_db, to_db};
use super::super::writer::{Tx, Write, WriteError};
use super::super::{ReadError, Store};

/// Takes a job to run it, unless another node has it or it ran not long ago. Tells whether it is taken.
#[derive(Clone, Debug)]
pub(crate) struct ClaimJob {
    pub(crate) name: &'static str,
    pub(crate) node: String,
    pub(crate) now_ms: u64,
    /// A run that started after this was not long ago.
    pub(crate) due_before_ms: u64,
    /// From then on another node takes it: this one is gone.
    pub(crate) lease_until_ms: u64,
}

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
             WHERE name = $4 AND lease_until_ms <= $3 AND started_at_ms <= $5",
        )
        .bind(self.node.as_str())
        .bind(to_db(self.lease_until_ms))
        .bind(to_db(self.now_ms))
        .bind(self.name)
        .bind(to_db(self.due_before_ms))
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
