//! The one writer. Changes queue up, and as many as are waiting share one transaction and one sync of
//! the disk; a caller hears back only after the commit that holds its change.
//!
//! ```text
//!  submit ─┐                 BEGIN IMMEDIATE
//!  submit ─┼─▶ queue ─▶ ┌─── SAVEPOINT ─ apply ─ RELEASE (or ROLLBACK TO: that one is refused)
//!  submit ─┘            └─▶  ... the next ...
//!                            COMMIT ─▶ wake the streams ─▶ answer every caller
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::PoisonError;

use sottovoce_statements::DeviceId;
use sqlx::SqliteConnection;
use sqlx::{Connection, query};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;

/// Changes that share one commit at most: enough to spread the cost of a sync, few enough that the
/// first of them does not wait long.
const BATCH: usize = 64;

/// Changes that may wait for the writer. Beyond these, callers wait for room, within their deadline.
const QUEUE: usize = 2 * BATCH;

/// One change to the database.
pub(crate) trait Write: Send + Sync + 'static {
    /// What the caller gets once the change is durable.
    type Output: Send + 'static;
    /// Why the change may be refused. A refused change leaves no trace.
    type Refusal: Send + 'static;

    /// Makes the change inside the writer's transaction.
    fn apply(
        &self,
        tx: &mut Tx<'_>,
    ) -> impl Future<Output = Result<Self::Output, WriteError<Self::Refusal>>> + Send;
}

/// The transaction a change is made in.
pub(crate) struct Tx<'c> {
    pub(crate) conn: &'c mut SqliteConnection,
    wakes: &'c mut Vec<DeviceId>,
}

impl Tx<'_> {
    /// Has the stream of `device` look at its mailbox, once the change is durable.
    pub(crate) fn wake(&mut self, device: DeviceId) {
        self.wakes.push(device);
    }
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WriteError<R> {
    /// The change itself was refused.
    #[error("the change was refused")]
    Refused(R),
    /// The database failed; what happened is in the log.
    #[error("the database failed")]
    Failed,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl<R> From<sqlx::Error> for WriteError<R> {
    fn from(error: sqlx::Error) -> Self {
        tracing::error!(%error, "a change to the database failed");
        Self::Failed
    }
}

/// The queue in front of the writer, and the task that is the writer.
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    closing: CancellationToken,
    ended: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: SqliteConnection, hub: Hub) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let ended = CancellationToken::new();
        // Cancelled whichever way the task ends, a panic included.
        let at_its_end = ended.clone().drop_guard();
        let writing = run(connection, hub, jobs, closing.clone());
        let task = tokio::spawn(async move {
            let _at_its_end = at_its_end;
            writing.await;
        });
        Self {
            queue,
            closing,
            ended,
            task: Mutex::new(Some(task)),
        }
    }

    pub(crate) async fn submit<W: Write>(&self, write: W) -> Result<W::Output, WriteError<W::Refusal>> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Queued {
            write,
            reply,
            outcome: None,
        });
        self.queue.send(job).await.map_err(|_| WriteError::Stopping)?;
        answer.await.unwrap_or(Err(WriteError::Failed))
    }

    /// Returns when the writer is no more.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Takes nothing new, commits what is queued and closes the connection.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && task.await.is_err()
        {
            tracing::error!("the writer did not end well");
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writer")
    }
}

/// A change with its caller waiting, whatever kind of change it is.
trait Job: Send {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;
    /// Whether the caller has gone away, so that the change need not be made.
    fn is_abandoned(&self) -> bool;
    fn answer(self: Box<Self>, committed: bool);
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Keep,
    Undo,
}

struct Queued<W: Write> {
    write: W,
    reply: oneshot::Sender<Result<W::Output, WriteError<W::Refusal>>>,
    outcome: Option<Result<W::Output, WriteError<W::Refusal>>>,
}

impl<W: Write> Job for Queued<W> {
    fn apply<'a>(&'a mut self, tx: &'a mut Tx<'_>) -> Pin<Box<dyn Future<Output = Verdict> + Send + 'a>> {
        Box::pin(async move {
            let outcome = self.write.apply(tx).await;
            let verdict = if outcome.is_ok() {
                Verdict::Keep
            } else {
                Verdict::Undo
            };
            self.outcome = Some(outcome);
            verdict
        })
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn answer(self: Box<Self>, committed: bool) {
        let outcome = match self.outcome {
            // A refusal rests on what the transaction read, so it too counts only once committed.
            Some(outcome) if committed => outcome,
            _ => Err(WriteError::Failed),
        };
        // The caller may have gone away meanwhile; the change stands all the same.
        let _ = self.reply.send(outcome);
    }
}

async fn run(
    mut conn: SqliteConnection,
    hub: Hub,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    closing: CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
            taken = jobs.recv_many(&mut batch, BATCH) => if taken == 0 {
                break;
            },
        }
        let mut wakes = Vec::new();
        let committed = match commit(&mut conn, &mut batch, &mut wakes).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, changes = batch.len(), "a commit failed; none of it was kept");
                // After some failures SQLite has rolled back by itself, and this only says so.
                let _ = query("ROLLBACK").execute(&mut conn).await;
                false
            }
        };
        if committed {
            wakes.iter().for_each(|device| hub.wake(*device));
        }
        batch.drain(..).for_each(|job| job.answer(committed));
    }
    if let Err(error) = finish(conn).await {
        tracing::error!(%error, "closing the database failed; the next start recovers from its log");
    }
}

async fn commit(
    conn: &mut SqliteConnection,
    batch: &mut [Box<dyn Job>],
    wakes: &mut Vec<DeviceId>,
) -> Result<(), sqlx::Error> {
    query("BEGIN IMMEDIATE").execute(&mut *conn).await?;
    for job in batch.iter_mut().filter(|job| !job.is_abandoned()) {
        query("SAVEPOINT one_change").execute(&mut *conn).await?;
        let wakes_before = wakes.len();
        let verdict = job
            .apply(&mut Tx {
                conn: &mut *conn,
                wakes: &mut *wakes,
            })
            .await;
        if verdict == Verdict::Undo {
            wakes.truncate(wakes_before);
            query("ROLLBACK TO one_change").execute(&mut *conn).await?;
        }
        query("RELEASE one_change").execute(&mut *conn).await?;
    }
    query("COMMIT").execute(&mut *conn).await?;
    Ok(())
}

async fn finish(mut conn: SqliteConnection) -> Result<(), sqlx::Error> {
    query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut conn)
        .await?;
    conn.close().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use futures_util::future::join_all;
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    /// Writes a number, then does what the test wants.
    struct Put(i64, Then);

    #[derive(Clone, Copy)]
    enum Then {
        Succeed,
        Refuse,
        FailInSql,
        /// Leaves behind what only the commit can notice.
        SpoilTheCommit,
    }

    impl Write for Put {
        type Output = i64;
        type Refusal = i64;

        async fn apply(&self, tx: &mut Tx<'_>) -> Result<i64, WriteError<i64>> {
            query("INSERT INTO numbers VALUES (?)")
                .bind(self.0)
                .execute(&mut *tx.conn)
                .await?;
            match self.1 {
                Then::Succeed => Ok(self.0),
                Then::Refuse => Err(WriteError::Refused(self.0)),
                Then::FailInSql => {
                    query("INSERT INTO nowhere VALUES (1)")
                        .execute(&mut *tx.conn)
                        .await?;
                    Ok(self.0)
                }
                Then::SpoilTheCommit => {
                    query("INSERT INTO children VALUES (999)")
                        .execute(&mut *tx.conn)
                        .await?;
                    Ok(self.0)
                }
            }
        }
    }

    async fn writer(folder: &tempfile::TempDir) -> Writer {
        let mut conn = connect(folder).await;
        for table in [
            "CREATE TABLE numbers (n INTEGER PRIMARY KEY)",
            "CREATE TABLE children (n INTEGER REFERENCES numbers (n) DEFERRABLE INITIALLY DEFERRED)",
        ] {
            query(table).execute(&mut conn).await.unwrap();
        }
        Writer::start(conn, Hub::new(1))
    }

    async fn connect(folder: &tempfile::TempDir) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(folder.path().join("db"))
            .create_if_missing(true)
            .connect()
            .await
            .unwrap()
    }

    async fn numbers(folder: &tempfile::TempDir) -> Vec<i64> {
        let rows: Vec<(i64,)> = sqlx::query_as("SELECT n FROM numbers ORDER BY n")
            .fetch_all(&mut connect(folder).await)
            .await
            .unwrap();
        rows.into_iter().map(|(n,)| n).collect()
    }

    /// All at once: on a runtime of one thread they are queued before the writer runs, and share a
    /// commit.
    async fn together(writer: &Writer, puts: Vec<Put>) -> Vec<Result<i64, WriteError<i64>>> {
        join_all(puts.into_iter().map(|put| writer.submit(put))).await
    }

    #[tokio::test]
    async fn one_refused_change_does_not_hurt_those_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let outcomes = together(
            &writer,
            vec![
                Put(1, Then::Succeed),
                Put(2, Then::Refuse),
                Put(3, Then::FailInSql),
                Put(4, Then::Succeed),
            ],
        )
        .await;
        assert_eq!(
            outcomes,
            [Ok(1), Err(WriteError::Refused(2)), Err(WriteError::Failed), Ok(4)]
        );
        assert_eq!(numbers(&folder).await, [1, 4]);
        writer.close().await;
    }

    #[tokio::test]
    async fn nobody_is_told_of_success_when_the_commit_fails() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let outcomes = together(
            &writer,
            vec![
                Put(1, Then::Succeed),
                Put(2, Then::SpoilTheCommit),
                Put(3, Then::Refuse),
            ],
        )
        .await;
        assert_eq!(outcomes, [Err(WriteError::Failed); 3]);
        assert_eq!(numbers(&folder).await, [0_i64; 0]);
        // And the writer goes on.
        assert_eq!(writer.submit(Put(5, Then::Succeed)).await, Ok(5));
        assert_eq!(numbers(&folder).await, [5]);
        writer.close().await;
    }

    #[tokio::test]
    async fn a_change_whose_caller_has_left_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        // On a runtime of one thread it is queued, and the writer has not run yet.
        let mut abandoned = Box::pin(writer.submit(Put(1, Then::Succeed)));
        assert!((&mut abandoned).now_or_never().is_none());
        drop(abandoned);
        assert_eq!(writer.submit(Put(2, Then::Succeed)).await, Ok(2));
        assert_eq!(numbers(&folder).await, [2]);
        writer.close().await;
    }

    #[tokio::test]
    async fn what_was_queued_before_the_close_is_committed_and_nothing_after() {
        let folder = tempfile::tempdir().unwrap();
        let writer = writer(&folder).await;
        let queued = together(&writer, (1..=100).map(|n| Put(n, Then::Succeed)).collect());
        let (outcomes, ()) = tokio::join!(queued, writer.close());
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(numbers(&folder).await.len(), 100);
        assert_eq!(
            writer.submit(Put(101, Then::Succeed)).await,
            Err(WriteError::Stopping)
        );
    }
}
