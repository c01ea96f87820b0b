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
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(connection: SqliteConnection, hub: Hub) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let task = tokio::spawn(run(connection, hub, jobs, closing.clone()));
        Self {
            queue,
            closing,
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
